"""What was billed of subscriptions (invariants 3 and 9): each line is of one period, each period comes to its target.

The target is worked out anew, by the terms of the period's days and what was used on them. What is to be looked at
again is not compared from that day on: the next bill does. Which days a line covers is known to within a day, since
the time zone is not.
"""

from adapters.billing.rated_audit import (
    AS_AGREED,
    AT_LEAST,
    DUE,
    comes_to,
    day_of,
    days_between,
    elapsed,
    joined,
    let,
    mapped,
    parted,
    periods_beside,
    periods_until,
    rate,
    times,
    where,
)
from adapters.billing.subscription_audit import NEVER
from adapters.checks import (
    Check,
    Expression,
    Stage,
    View,
    agreed,
    agrees,
    both,
    either,
    equal,
    half_away,
    has,
    minus,
    only,
    span,
    true_of_each,
    union,
)

_ZONES = 15
"""No zone of the world is more hours away from UTC."""

# What a price's one line says is what it came to, unless it says that itself.
_as_lines_say: Expression = mapped(
    "$prices.lines",
    "line",
    {
        "rate": "$$line.rate",
        "days": "$period",
        "quantity": "$$line.quantity",
        "net": "$$line.net",
        "parts": {"$literal": []},
    },
)
BY_PRICE: tuple[Stage, ...] = (
    {"$set": {"all": "$prices.priceId"}},
    {"$unwind": "$prices"},
    {
        "$project": {
            "_id": {
                "$concat": ["$subscriptionId", "/", "$prices.priceId", "/", "$period.start", "/", "$period.end"],
            },
            "of": "$_id",
            "subscriptionId": 1,
            "priceId": "$prices.priceId",
            "period": 1,
            "end": 1,
            "lines": "$prices.lines",
            "charged": {"$ifNull": ["$prices.charged", _as_lines_say]},
            "times": {"$size": where("$all", "one", equal("$$one", "$prices.priceId"))},
        }
    },
)
"""The stages that turn what was billed of periods into what was billed of each price, `of` that period.

`times` is how often the price is in it.
"""


# -- lines of bills, and lines of periods

_of_line = {
    "subscriptionId": "$subscriptionId",
    "priceId": "$priceId",
    "tax": {"category": "$line.rate.category", "rate": {"$toDecimal": "$line.rate.rate"}},
    "partner": {"$ifNull": ["$line.rate.onBehalfOf", None]},
}
_itself: Expression = {
    "billNo": "$line.billNo",
    "lineId": "$line.lineId",
    "what": {"amount": "$line.net", "corrects": None, **_of_line},
}
# What has a note beside its line is what that note undid of it.
_on_a_line: Expression = both(has("$$this.billNo"), {"$not": [has("$$this.creditNote")]})
_taking: Expression = {
    "billNo": "$$this.billNo",
    "lineId": "$$this.lineId",
    "what": {
        "amount": "$$this.amount",
        "corrects": {"billNo": "$line.billNo", "lineId": "$line.lineId"},
        **_of_line,
    },
}

lines_and_periods = View(
    "lines of bills that are of prices, and the periods that they bill",
    "billedPeriods",
    (
        *BY_PRICE,
        {"$project": {"subscriptionId": 1, "priceId": 1, "period": 1, "line": "$lines"}},
        {"$unwind": "$line"},
        {
            "$project": {
                "period": 1,
                "line": {
                    "$concatArrays": [
                        [_itself],
                        {"$map": {"input": only("$line.taken", _on_a_line), "in": _taking}},
                    ]
                },
            }
        },
        {"$unwind": "$line"},
        {
            "$project": {
                "_id": {"billNo": "$line.billNo", "lineId": "$line.lineId"},
                "periods": {"$literal": 1},
                "what": "$line.what",
                "start": day_of("$period.start"),
                "end": day_of("$period.end"),
            }
        },
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {"$project": {"lines": only("$lines", has("$$this.origin.priceId"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {"billNo": "$_id", "lineId": "$lines.id"},
                    "lines": {"$literal": 1},
                    "what": {
                        "amount": "$lines.taxExcludedAmount",
                        "corrects": {"$ifNull": ["$lines.origin.corrects", None]},
                        "subscriptionId": "$lines.origin.subscriptionId",
                        "priceId": "$lines.origin.priceId",
                        "tax": {"category": "$lines.category", "rate": {"$toDecimal": "$lines.rate"}},
                        "partner": {"$ifNull": ["$lines.onBehalfOf.id", None]},
                    },
                    "from": "$lines.origin.period.start",
                    "until": "$lines.origin.period.end",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("periods", "lines")},
                **{n: {"$max": f"${n}"} for n in ("start", "end", "from", "until")},
                **agreed("what"),
            }
        },
    ),
)
_of_its_days: Expression = both(
    {"$gte": ["$from", {"$dateSubtract": {"startDate": "$start", "unit": "hour", "amount": _ZONES}}]},
    {"$lte": ["$until", {"$dateAdd": {"startDate": "$end", "unit": "hour", "amount": _ZONES}}]},
    {"$lt": ["$from", "$until"]},
)

periods = View("billed periods", "billedPeriods", BY_PRICE)


def _a_part(some: Expression, whole: Expression) -> Expression:
    """Whether an amount is zero, or of another one's sign and no more than that."""
    return both({"$gte": [{"$multiply": [some, whole]}, 0]}, {"$lte": [{"$abs": some}, {"$abs": whole}]})


_somewhere: Expression = {
    "$switch": {
        "branches": [
            {"case": has("$$taken.creditNote"), "then": {"$not": [has("$$taken.billNo")]}},
            {"case": has("$$taken.billNo"), "then": has("$$taken.lineId")},
        ],
        "default": equal("$$taken.amount", 0),
    }
}
# What a note undid of what a line took back: no more than that, in all; another note took it instead.
_of_one_line: Expression = both(
    equal("$$one.billNo", "$$taken.billNo"), equal("$$one.lineId", "$$taken.lineId"), has("$$one.billNo")
)
_undone: Expression = both(
    equal("$$taken.amount", "$$taken.net"),
    {"$gt": [{"$multiply": ["$$taken.net", "$$line.net"]}, 0]},
    _a_part(minus({"$sum": mapped(where("$$line.taken", "one", _of_one_line), "one", "$$one.amount")}), "$$line.net"),
)
_taken_of_line: Expression = {
    "$cond": [
        both(has("$$taken.creditNote"), has("$$taken.billNo")),
        _undone,
        both(_a_part("$$taken.amount", "$$taken.net"), _a_part(minus("$$taken.net"), "$$line.net"), _somewhere),
    ]
}
_left: Expression = {"$add": ["$$line.net", {"$sum": "$$line.taken.net"}]}
# Under its own name, and of each line at most that is taken back, on a line, or by a note, or by neither.
taken_once: Expression = both(
    equal("$of", {"$concat": ["$subscriptionId", "/", "$period.start", "/", "$period.end"]}),
    equal("$end", "$period.end"),
    equal("$times", 1),
    {
        "$allElementsTrue": [
            mapped(
                "$lines",
                "line",
                both(
                    _a_part(_left, "$$line.net"),
                    {"$allElementsTrue": [mapped("$$line.taken", "taken", _taken_of_line)]},
                ),
            )
        ]
    },
)

# What bills took back by credit notes: rows beside those of charges.
NOTED: Stage = union(
    "billedPeriods",
    {"$match": {"prices.lines.taken.creditNote": {"$gt": ""}}},
    {"$unwind": "$prices"},
    {"$project": {"line": "$prices.lines"}},
    {"$unwind": "$line"},
    {"$project": {"line": 1, "taken": only("$line.taken", has("$$this.creditNote"))}},
    {"$unwind": "$taken"},
    {
        "$project": {
            "_id": {
                "note": "$taken.creditNote",
                "billNo": {"$ifNull": ["$taken.billNo", "$line.billNo"]},
                "lineId": {"$ifNull": ["$taken.lineId", "$line.lineId"]},
            },
            "charged": minus("$taken.amount"),
        }
    },
)

billed_subscriptions = View(
    "subscriptions and what was billed of them",
    "subscriptions",
    (
        {
            "$project": {
                "subscription": {"$literal": 1},
                "whose": {"account": "$billingAccount", "currency": "$currency"},
            }
        },
        union("billedPeriods", {"$project": {"_id": "$subscriptionId", "billed": {"$literal": 1}}}),
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {"$project": {"currency": 1, "lines": only("$lines", has("$$this.origin.priceId"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": "$lines.origin.subscriptionId",
                    "billed": {"$literal": 1},
                    "whose": {"account": "$lines.origin.account", "currency": "$currency"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("subscription", "billed")},
                **agreed("whose"),
            }
        },
    ),
)


# -- what they come to

_charged: Expression = mapped(
    "$charged",
    "one",
    {
        "rate": rate("$$one.rate.unitPrice", "$$one.rate.tiers", "$$one.rate"),
        "net": "$$one.net",
        "quantity": {"$cond": [equal("$priceType", "usage"), {"$toDecimal": "$$one.quantity"}, None]},
    },
)
_billed_lines: Expression = mapped(
    "$lines",
    "line",
    {"rate": rate("$$line.rate.unitPrice", "$$line.rate.tiers", "$$line.rate"), "net": minus(_left)},
)
# Days on which so much was agreed: all stretches within them are of that rate and quantity, and there are no others.
_within_part: Expression = where(
    "$stretches",
    "stretch",
    both({"$gte": ["$$stretch.start", "$$part.start"]}, {"$lte": ["$$stretch.end", "$$part.end"]}),
)
_as_agreed_then: Expression = let(
    both(
        equal(
            {"$sum": mapped("$$within", "stretch", days_between("$$stretch.start", "$$stretch.end"))},
            days_between("$$part.start", "$$part.end"),
        ),
        {
            "$allElementsTrue": [
                mapped(
                    "$$within",
                    "stretch",
                    both(
                        equal({"$toDecimal": "$$stretch.price.quantity"}, "$$part.quantity"),
                        equal(rate("$$stretch.price.unitPrice", None, "$$stretch.price"), "$$part.rate"),
                    ),
                )
            ]
        },
    ),
    within=_within_part,
)
_parts: Expression = joined(
    mapped(
        "$charged",
        "one",
        mapped(
            "$$one.parts",
            "part",
            {
                "start": "$$part.days.start",
                "end": "$$part.days.end",
                "quantity": {"$toDecimal": "$$part.quantity"},
                "net": "$$part.net",
                "rate": rate("$$one.rate.unitPrice", "$$one.rate.tiers", "$$one.rate"),
            },
        ),
    )
)

_is_its_part: Expression = equal(
    "$$part.net",
    elapsed(times("$$one.rate.unitPrice", "$$part.quantity", "$minor"), "$$part.days.start", "$$part.days.end"),
)
# So many units at their price; or parts that add up, each what its days come to; or tiers, which have neither.
_adds_up: Expression = {
    "$switch": {
        "branches": [
            {
                "case": has("$$one.quantity"),
                "then": both(
                    has("$$one.rate.unitPrice"),
                    equal("$$one.net", half_away(times("$$one.quantity", "$$one.rate.unitPrice", "$minor"))),
                ),
            },
            {
                "case": {"$gt": [{"$size": "$$one.parts"}, 0]},
                "then": both(
                    equal("$$one.net", {"$sum": "$$one.parts.net"}),
                    {"$allElementsTrue": [mapped("$$one.parts", "part", _is_its_part)]},
                ),
            },
        ],
        "default": {"$ne": ["$priceType", "recurring"]},
    }
}

_counted: Expression = {
    "$concatArrays": [joined("$lines.counted"), joined(mapped("$lines", "line", joined("$$line.taken.counted")))]
}
_kept: Expression = where(
    "$usageMonths",
    "month",
    equal("$$month._id", {"$concat": ["$subscriptionId", "/", "$priceId", "/", "$$one.month"]}),
)
# Some of the records that there are of a month of the period.
_are_kept: Expression = both(
    {"$lt": ["$$one.after", "$$one.count"]}, {"$lte": ["$$one.count", {"$sum": "$$kept.count"}]}
)

rated_periods = View(
    "billed periods and what they come to",
    "subscriptions",
    (
        *AS_AGREED,
        # By its index, and never as one array.
        {
            "$lookup": {
                "from": "billedPeriods",
                "localField": "_id",
                "foreignField": "subscriptionId",
                "pipeline": [*BY_PRICE],
                "as": "billed",
            }
        },
        {"$unwind": "$billed"},
        {
            "$set": {
                "_id": "$billed._id",
                "subscriptionId": "$_id",
                "priceId": "$billed.priceId",
                "start": "$billed.period.start",
                "end": "$billed.period.end",
                "charged": "$billed.charged",
                "lines": "$billed.lines",
            }
        },
        *comes_to(),
        {"$set": {"due": DUE, "said": _charged, "billed": _billed_lines, "parts": _parts, "counted": _counted}},
    ),
)

# Before that day nothing has changed since the last bill.
looked_at: Expression = either({"$not": [has("$recheckFrom")]}, {"$lte": ["$end", "$recheckFrom"]})
# After a bill of an earlier date than the last one, what falls due later is looked at again, be it billed or not.
settled: Expression = both(
    looked_at,
    {"$or": [has("$recheckFrom"), {"$not": [has("$nextDue")]}, {"$lt": ["$due", "$nextDue"]}]},
)
is_minimum: Expression = equal("$priceType", "minimum")

_of_rate: Expression = {
    "$sum": mapped(
        where({"$concatArrays": ["$billed", "$said"]}, "one", equal("$$one.rate", "$$rate")), "one", "$$one.net"
    )
}
billed_to_target: Expression = {
    "$allElementsTrue": [mapped({"$setUnion": ["$billed.rate", "$said.rate"]}, "rate", equal(_of_rate, 0))]
}
agreed_then: Expression = both(
    {"$setEquals": ["$said", "$comesTo"]},
    equal({"$size": "$said"}, {"$size": "$comesTo"}),
    {"$allElementsTrue": [mapped("$parts", "part", _as_agreed_then)]},
)
# What is due of one that nothing more is ever due of, is due by its end; of one without an end, once.
_limit: Expression = {"$ifNull": ["$nextDue", {"$cond": [{"$lt": ["$servedUntil", NEVER]}, "$servedUntil", "$newest"]}]}
# Of what is looked at again, the next bill finds out.
_AS_BILLED: tuple[Stage, ...] = (
    {"$match": {"recheckFrom": None}},
    *AS_AGREED,
    # One row, which is read once for all.
    {"$lookup": {"from": "calendar", "pipeline": [{"$project": {"newest": 1}}], "as": "calendar"}},
    {"$set": {"subscriptionId": "$_id", "newest": {"$max": ["$startDate", {"$max": "$calendar.newest"}]}}},
    {"$set": {"limit": _limit}},
)
not_yet: Expression = {"$cond": [has("$nextDue"), {"$gte": ["$due", "$nextDue"]}, {"$gt": ["$due", "$limit"]}]}

missing_periods = View(
    "periods that are not billed",
    "subscriptions",
    (
        *_AS_BILLED,
        {
            "$lookup": {
                "from": "billedPeriods",
                "localField": "_id",
                "foreignField": "subscriptionId",
                "pipeline": [*BY_PRICE, {"$project": {"_id": 1}}],
                "as": "billed",
            }
        },
        {"$set": {"missing": {"$setDifference": [periods_until("$limit"), "$billed._id"]}}},
        {"$unset": "billed"},
        {"$unwind": {"path": "$missing", "preserveNullAndEmptyArrays": True}},
        parted("$missing"),
        {"$set": {"_id": {"$ifNull": ["$missing", "$_id"]}}},
        *comes_to(),
        {"$set": {"due": DUE}},
    ),
)

# A minimum is what is missing to it of what all others come to by the end of its period, less that by its start.
minimums = View(
    "minimums and what the other prices come to",
    "subscriptions",
    (
        {"$match": {"$or": [{"terms.prices.priceType": "minimum"}, {"patches.terms.prices.priceType": "minimum"}]}},
        *_AS_BILLED,
        {"$set": {"minimum": periods_until("$limit", minimums=True)}},
        {"$unwind": "$minimum"},
        parted("$minimum"),
        *comes_to(),
        {"$set": {"minimumOf": {"$concat": ["$subscriptionId", "/", "$start", "/", "$end"]}}},
        {
            "$lookup": {
                "from": "billedPeriods",
                "localField": "minimumOf",
                "foreignField": "_id",
                "pipeline": [*BY_PRICE, {"$project": {"charged": 1}}],
                "as": "charged",
            }
        },
        {
            "$set": {
                "charged": joined(mapped(only("$charged", equal("$$this._id", "$minimum")), "one", "$$one.charged")),
                "atLeast": AT_LEAST,
                "rate": rate(None, None, "$first"),
                "due": DUE,
                "of": {"start": "$start", "end": "$end"},
                "beside": periods_beside("$start", "$end"),
            }
        },
        {"$unwind": {"path": "$beside", "preserveNullAndEmptyArrays": True}},
        parted("$beside"),
        *comes_to("$of.end"),
        {"$set": {"byEnd": {"$sum": "$comesTo.net"}}},
        *comes_to("$of.start"),
        {
            "$group": {
                "_id": "$minimum",
                **{name: {"$first": f"${name}"} for name in ("charged", "rate", "atLeast", "due", "nextDue", "limit")},
                "others": {"$sum": {"$subtract": ["$byEnd", {"$sum": "$comesTo.net"}]}},
            }
        },
        {"$set": {"missing": {"$max": [0, {"$subtract": ["$atLeast", "$others"]}]}}},
    ),
)
_one_of_it: Expression = both(
    equal({"$size": "$charged"}, 1),
    equal({"$sum": "$charged.net"}, "$missing"),
    equal(mapped("$charged", "one", rate("$$one.rate.unitPrice", "$$one.rate.tiers", "$$one.rate")), ["$rate"]),
)
trued_up: Expression = {"$cond": [{"$gt": ["$missing", 0]}, _one_of_it, equal("$charged", [])]}

BILLED_CHECKS = (
    Check(
        name="lines-of-prices-match-periods",
        invariant=3,
        view=lines_and_periods,
        holds=both(equal("$periods", 1), equal("$lines", 1), agrees("what"), _of_its_days),
        expected={"periods": 1, "lines": 1, "what": "the same in both", "days": ["$start", "$end"]},
        found={"periods": "$periods", "lines": "$lines", "what": span("what"), "days": ["$from", "$until"]},
    ),
    Check(
        name="periods-are-taken-back-once",
        invariant=3,
        view=periods,
        holds=taken_once,
        expected={
            "id": "of its subscription and days, each price once",
            "taken": "of each line at most its net, on a line, or by a note, or by neither; undone at most once",
        },
        found={"id": "$of", "period": "$period", "end": "$end", "times": "$times", "lines": "$lines"},
    ),
    Check(
        name="billed-is-what-is-charged",
        invariant=3,
        view=rated_periods,
        among=looked_at,
        holds=billed_to_target,
        expected="$said.net",
        found={"lines": "$lines"},
    ),
    Check(
        name="charged-is-what-was-agreed",
        invariant=3,
        view=rated_periods,
        among=both(settled, {"$not": [is_minimum]}),
        holds=agreed_then,
        expected={"stretches": "$stretches", "net": "$comesTo.net"},
        found="$charged",
    ),
    Check(
        name="charged-adds-up",
        invariant=3,
        view=rated_periods,
        holds={"$allElementsTrue": [mapped("$charged", "one", _adds_up)]},
        expected="units at their price, or parts by their days that sum to the net",
        found="$charged",
    ),
    Check(
        name="minimums-are-what-is-missing",
        invariant=3,
        view=minimums,
        among={"$not": [not_yet]},
        holds=trued_up,
        expected={"net": "$missing", "atLeast": "$atLeast", "others": "$others"},
        found="$charged",
    ),
    Check(
        name="counted-usage-is-kept",
        invariant=3,
        view=rated_periods,
        among=equal("$priceType", "usage"),
        holds={"$allElementsTrue": [mapped("$counted", "one", let(_are_kept, kept=_kept))]},
        expected={"months": "$usageMonths._id", "count": "$usageMonths.count"},
        found="$counted",
    ),
    Check(
        name="what-fell-due-is-billed",
        invariant=3,
        view=missing_periods,
        holds=either(not_yet, true_of_each("$comesTo", equal("$$this.net", 0))),
        expected={"net": 0, "due": "$due"},
        found={"net": "$comesTo.net", "nextDue": "$nextDue"},
    ),
    Check(
        name="periods-point-to-subscriptions",
        invariant=9,
        view=billed_subscriptions,
        among={"$gt": ["$billed", 0]},
        holds=both(equal("$subscription", 1), agrees("whose")),
        expected={"subscription": 1, "whose": "the same in both"},
        found={"subscription": "$subscription", "whose": span("whose")},
    ),
)
