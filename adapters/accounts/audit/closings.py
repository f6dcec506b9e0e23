"""Closing cycles (invariant 5): each account that has one has its next closing, at the end of a period."""

from adapters.checks import Check, Expression, View, both, equal, union

closing_schedules = View(
    "closing cycles and their next closings",
    "accounts",
    (
        {"$match": {"closingCycle.period": {"$gt": ""}}},
        {
            "$project": {
                "cycle": {"$literal": 1},
                "live": {"$cond": [{"$in": ["$state", ["closed", "deleted"]]}, 0, 1]},
                "period": "$closingCycle.period",
                "anchor": "$closingCycle.anchorDate",
            }
        },
        union(
            "closingSchedules",
            {
                "$project": {
                    "open": {"$cond": [equal("$queue", "scheduled"), 1, 0]},
                    "ends": {"$cond": [equal({"$type": "$periodEnd"}, "string"), 1, 0]},
                    "end": "$periodEnd",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("cycle", "live", "open", "ends")},
                **{n: {"$max": f"${n}"} for n in ("period", "anchor", "end")},
            }
        },
    ),
)

_anchor: Expression = {"$dateFromString": {"dateString": "$anchor"}}
_next: Expression = {"$dateAdd": {"startDate": {"$dateFromString": {"dateString": "$end"}}, "unit": "day", "amount": 1}}
_months: Expression = {"$dateDiff": {"startDate": _anchor, "endDate": _next, "unit": "month"}}
_days: Expression = {"$dateDiff": {"startDate": _anchor, "endDate": _next, "unit": "day"}}
# A month that is too short for the anchor's day has its last one, of $dateAdd as of the domain.
_begins: Expression = {
    "$cond": [
        equal("$period", "week"),
        equal({"$mod": [_days, 7]}, 0),
        both(
            equal({"$mod": [_months, {"$cond": [equal("$period", "quarter"), 3, 1]}]}, 0),
            equal({"$dateAdd": {"startDate": _anchor, "unit": "month", "amount": _months}}, _next),
        ),
    ]
}

CHECKS = (
    Check(
        name="closing-cycles-are-scheduled",
        invariant=5,
        view=closing_schedules,
        holds=both(equal("$open", "$live"), equal("$ends", "$live")),
        expected={"open": "$live"},
        found={"open": "$open", "ends": "$ends"},
    ),
    Check(
        name="closings-at-period-ends",
        invariant=5,
        view=closing_schedules,
        among=both(equal("$cycle", 1), equal("$ends", 1)),
        holds=_begins,
        expected={"the end of a": "$period", "from": "$anchor"},
        found="$end",
    ),
)
