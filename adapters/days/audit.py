"""Days (invariant 6): those that were begun run without a gap from the first one, each by a fact of its own."""

from adapters.checks import Check, View, begins, both, equal, has, union

# What is no date counts as no day, and so leaves a gap.
_DATE = {"$dateFromString": {"dateString": "$_id", "format": "%Y-%m-%d", "onError": None}}
_DAYS_BETWEEN = {"$dateDiff": {"startDate": "$from", "endDate": "$to", "unit": "day"}}
_RUN = {"$add": [_DAYS_BETWEEN, 1]}

days_and_calendar = View(
    "days and the calendar",
    "days",
    (
        {"$set": {"moment": _DATE}},
        {
            "$group": {
                "_id": None,
                "days": {"$sum": {"$cond": [has("$moment"), 1, 0]}},
                "first": {"$min": "$_id"},
                "newest": {"$max": "$_id"},
                "from": {"$min": "$moment"},
                "to": {"$max": "$moment"},
            }
        },
        union("calendar", {"$project": {"_id": 0, "calendar": {"first": "$first", "newest": "$newest"}}}),
        {
            "$group": {
                "_id": None,
                "calendars": {"$push": "$calendar"},
                **{name: {"$max": f"${name}"} for name in ("days", "first", "newest", "from", "to")},
            }
        },
        {"$set": {"_id": "calendar"}},
    ),
)

days_and_facts = View(
    "days and their facts",
    "days",
    (
        {"$project": {"_id": {"$concat": ["day.begin:", "$_id"]}, "cause": 1, "day": {"$literal": 1}}},
        union("inbox", begins("day.begin:"), {"$project": {"applied": {"$literal": 1}}}),
        {
            "$group": {
                "_id": "$_id",
                "day": {"$sum": "$day"},
                "applied": {"$sum": "$applied"},
                "cause": {"$max": "$cause"},
            }
        },
        # A worker whose clock was behind may have said a day before the first one, which began nothing.
        {
            "$setWindowFields": {
                "sortBy": {"_id": 1},
                "output": {"begun": {"$sum": "$day", "window": {"documents": ["unbounded", "current"]}}},
            }
        },
    ),
)

CHECKS = (
    Check(
        name="days-run-without-gap",
        invariant=6,
        view=days_and_calendar,
        among=has("$days"),
        holds=equal("$days", _RUN),
        expected={"days": _RUN},
        found={"days": "$days", "first": "$first", "newest": "$newest"},
    ),
    Check(
        name="calendar-tells-days-begun",
        invariant=6,
        view=days_and_calendar,
        holds=equal("$calendars", [{"first": "$first", "newest": "$newest"}]),
        expected=[{"first": "$first", "newest": "$newest"}],
        found="$calendars",
    ),
    Check(
        name="days-match-inbox",
        invariant=6,
        view=days_and_facts,
        among={"$gt": ["$begun", 0]},
        holds=both(equal("$day", 1), equal("$applied", 1), equal("$cause", "$_id")),
        expected={"day": 1, "applied": 1, "cause": "$_id"},
        found={"day": "$day", "applied": "$applied", "cause": "$cause"},
    ),
)
