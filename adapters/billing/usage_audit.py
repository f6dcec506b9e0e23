"""Usage (invariants 3, 6 and 9): what is counted is what was recorded, each record once, by a message."""

from adapters.checks import Check, Expression, View, agreed, agrees, begins, both, equal, span, union

RECORD = "usage.record:"

_MONTH_LENGTH = len("2026-11")
_price: Expression = {"$concat": ["$subscriptionId", "/", "$priceId", "/"]}
_of_month: Expression = {"$substrBytes": ["$_id", 0, {"$subtract": [{"$strLenBytes": "$_id"}, _MONTH_LENGTH]}]}

usage_days = View(
    "days and their usage",
    "usageRecords",
    (
        {
            "$project": {
                "_id": {"$concat": [_price, "$day"]},
                "records": {"$literal": 1},
                "recorded": {"$toDecimal": "$quantity"},
            }
        },
        union(
            "usageMonths",
            {"$unwind": "$days"},
            {
                "$project": {
                    "_id": {"$concat": [_of_month, "$days.day"]},
                    "days": {"$literal": 1},
                    "counted": {"$toDecimal": "$days.quantity"},
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("records", "recorded", "days", "counted")}}},
    ),
)
summed_up: Expression = both(
    equal("$days", 1),
    {"$gt": ["$records", 0]},
    equal("$recorded", "$counted"),
    {"$gte": ["$counted", 0]},
)

usage_months = View(
    "months and the numbers of their records",
    "usageRecords",
    (
        {
            "$group": {
                "_id": {
                    "month": {"$concat": [_price, {"$substrBytes": ["$day", 0, _MONTH_LENGTH]}]},
                    "number": "$number",
                },
                "records": {"$sum": 1},
            }
        },
        {
            "$group": {
                "_id": "$_id.month",
                "records": {"$sum": "$records"},
                "numbers": {"$sum": 1},
                "least": {"$min": "$_id.number"},
                "most": {"$max": "$_id.number"},
            }
        },
        union(
            "usageMonths",
            {
                "$project": {
                    "months": {"$literal": 1},
                    "count": 1,
                    "ordered": {"$eq": ["$days.day", {"$sortArray": {"input": "$days.day", "sortBy": 1}}]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("records", "numbers", "months", "count")},
                **{n: {"$max": f"${n}"} for n in ("least", "most", "ordered")},
            }
        },
    ),
)
# So many different numbers from the first to the last, and no record has another's.
numbered: Expression = both(
    equal("$months", 1),
    equal("$count", "$records"),
    equal("$count", "$numbers"),
    equal("$count", "$most"),
    equal("$least", 1),
    "$ordered",
)

usage_and_messages = View(
    "usage and what said so",
    "usageRecords",
    (
        {
            "$project": {
                "_id": {"$concat": [RECORD, "$_id"]},
                "record": {"$literal": 1},
                "counts": {"subscriptionId": "$subscriptionId", "priceId": "$priceId", "date": "$day"},
            }
        },
        union(
            "inbox",
            begins(RECORD),
            {
                "$project": {
                    "inbox": {"$literal": 1},
                    "counts": {
                        "subscriptionId": "$result.subscriptionId",
                        "priceId": "$result.priceId",
                        "date": "$result.date",
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("record", "inbox")},
                **agreed("counts"),
            }
        },
    ),
)

used_subscriptions = View(
    "subscriptions and their usage",
    "subscriptions",
    (
        {"$project": {"subscription": {"$literal": 1}}},
        union("usageRecords", {"$project": {"_id": "$subscriptionId", "records": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("subscription", "records")}}},
    ),
)

USAGE_CHECKS = (
    Check(
        name="usage-is-counted-by-day",
        invariant=3,
        view=usage_days,
        holds=summed_up,
        expected={"days": 1, "quantity": {"$toString": "$recorded"}},
        found={"days": "$days", "quantity": {"$toString": "$counted"}},
    ),
    Check(
        name="usage-is-numbered-by-month",
        invariant=3,
        view=usage_months,
        holds=numbered,
        expected={"count": "$records", "numbers": "from 1 to that, each once", "days": "in order"},
        found={"count": "$count", "numbers": ["$least", "$most"], "different": "$numbers", "ordered": "$ordered"},
    ),
    Check(
        name="usage-matches-inbox",
        invariant=6,
        view=usage_and_messages,
        holds=both(equal("$record", 1), equal("$inbox", 1), agrees("counts")),
        expected={"record": 1, "inbox": 1, "counts": "the same in both"},
        found={"record": "$record", "inbox": "$inbox", "counts": span("counts")},
    ),
    Check(
        name="usage-points-to-subscriptions",
        invariant=9,
        view=used_subscriptions,
        among={"$gt": ["$records", 0]},
        holds=equal("$subscription", 1),
        expected={"subscription": 1},
        found={"subscription": "$subscription"},
    ),
)
