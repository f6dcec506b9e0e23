"""Tiers (invariant 5): what lines have by them, what their periods come to, and what closings have added for that."""

from adapters.checks import (
    Check,
    Expression,
    View,
    agreed,
    agrees,
    both,
    each,
    either,
    equal,
    half_away,
    has,
    only,
    span,
    sum_where,
    union,
)
from adapters.invoicing.audit import billed, credited, paid_to_date
from adapters.settlement.stages import AFTER_ALL_DAYS, LAST_DAY, end, partners_lines, period_of, revision_id

_is_reached: Expression = either({"$not": [has("$$this.upTo")]}, {"$lte": ["$$net", "$$this.upTo"]})
_rate: Expression = {
    "$toDecimal": {"$getField": {"field": "share", "input": {"$first": only("$tiers.steps", _is_reached)}}}
}
_end: Expression = {"$min": [{"$ifNull": ["$$this.upTo", "$$net"]}, "$$net"]}
_parts: Expression = {
    "$reduce": {
        "input": "$tiers.steps",
        "initialValue": {"below": 0, "sum": {"$toDecimal": 0}},
        "in": {
            "below": _end,
            "sum": {
                "$add": [
                    "$$value.sum",
                    {"$multiply": [{"$toDecimal": "$$this.share"}, {"$subtract": [_end, "$$value.below"]}]},
                ]
            },
        },
    }
}


def rate_at(net: Expression) -> Expression:
    """The share of the step that a net falls in, by the `tiers` of the row."""
    return {"$let": {"vars": {"net": net}, "in": _rate}}


def come_to(net: Expression) -> Expression:
    """What the `tiers` of the row come to of a net, rounded once."""
    graduated: Expression = {"$getField": {"field": "sum", "input": _parts}}
    by_one: Expression = {"$multiply": [_rate, "$$net"]}
    is_one = either(equal("$tiers.mode", "volume"), {"$lte": ["$$net", 0]})
    return {"$let": {"vars": {"net": net}, "in": half_away({"$cond": [is_one, by_one, graduated]})}}


def _is_at_payment(line: str) -> Expression:
    """Whether the tiers that a line goes by go by payments."""
    return {"$isArray": f"{line}.onBehalfOf.freed"}


def _id(of: str, start: str) -> Expression:
    return {"$concat": [revision_id(f"{of}.id", f"{of}.revision"), "/", start]}


_of_tiers = (
    {"$match": {"lines.onBehalfOf.tier.start": {"$gt": ""}}},
    *partners_lines(has("$$this.onBehalfOf.tier")),
)
_credited: Expression = sum_where(
    {"$ifNull": ["$corrections.lines", []]}, equal("$$this.lineId", "$lines.id"), "$$this.credited"
)
_of_line = _id("$lines.onBehalfOf.agreement", "$lines.onBehalfOf.tier.start")
# What each line has in which period: at the invoice what is left of it, in one; at payment what is paid, in several.
_of_any_tiers = (
    {
        "$match": {
            "$or": [{"lines.onBehalfOf.tier.start": {"$gt": ""}}, {"lines.onBehalfOf.freed.start": {"$gt": ""}}],
        }
    },
    *partners_lines(either(has("$$this.onBehalfOf.tier"), _is_at_payment("$$this")), **{"corrections.lines": 1}),
    {
        "$project": {
            "account": "$lines.onBehalfOf.id",
            "agreement": "$lines.onBehalfOf.agreement",
            "parts": {
                "$ifNull": [
                    "$lines.onBehalfOf.freed",
                    [
                        {
                            "start": "$lines.onBehalfOf.tier.start",
                            "net": {"$subtract": ["$lines.taxExcludedAmount", _credited]},
                            "share": "$lines.onBehalfOf.share",
                        }
                    ],
                ]
            },
        }
    },
    {"$unwind": "$parts"},
)
_is_true_up = {"$match": {"step.kind": "trueUp"}}
_of_true_up: Expression = {"$concat": [revision_id("$step.agreement", "$step.revision"), "/", "$step.start"]}

is_named_rightly: Expression = both(
    equal("$_id", {"$concat": [revision_id("$agreement", "$revision"), "/", "$start"]}),
    {"$gt": ["$end", "$start"]},
)

tier_periods = View(
    "periods of tiers, their lines and what closings added",
    "tierPeriods",
    (
        {
            "$project": {
                "period": {"$cond": [is_named_rightly, 1, 0]},
                "account": "$settlementAccount",
                "net": 1,
                "share": 1,
                "trued": 1,
                "isOpen": 1,
                "due": 1,
                "comesTo": come_to("$net"),
            }
        },
        union(
            "invoices",
            *_of_any_tiers,
            {
                "$project": {
                    "_id": _id("$agreement", "$parts.start"),
                    "account": 1,
                    "netOfLines": "$parts.net",
                    "shareOfLines": "$parts.share",
                }
            },
        ),
        union(
            "accruals",
            _is_true_up,
            {"$project": {"_id": _of_true_up, "account": "$settlementAccount", "added": "$amount"}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in (
                        "period",
                        "net",
                        "share",
                        "trued",
                        "due",
                        "comesTo",
                        "netOfLines",
                        "shareOfLines",
                        "added",
                    )
                },
                "isOpen": {"$max": "$isOpen"},
                **agreed("account"),
            }
        },
    ),
)

tiers_agreed = View(
    "tiers that were agreed and the periods that go by them",
    "tierPeriods",
    (
        {
            "$project": {
                "_id": revision_id("$agreement", "$revision"),
                "periods": {"$literal": 1},
                "tiers": {"account": "$settlementAccount", "tiers": "$tiers"},
                "days": {"start": "$start", "end": "$end"},
            }
        },
        union(
            "agreements",
            {"$unwind": "$agreed"},
            {"$match": {"agreed.terms.tiers.mode": {"$gt": ""}}},
            {
                "$project": {
                    "_id": revision_id("$_id", "$agreed.revision"),
                    "agreed": {"$literal": 1},
                    "tiers": {"account": "$settlementAccount", "tiers": "$agreed.terms.tiers"},
                    "type": "$agreed.terms.tiers.period",
                    "first": "$start",
                    # What an agreement has sold is paid after it too.
                    "until": {"$cond": [equal("$agreed.terms.accrueOn", "payment"), AFTER_ALL_DAYS, end]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("periods", "agreed")},
                **{n: {"$max": f"${n}"} for n in ("type", "first", "until")},
                "days": {"$push": "$days"},
                **agreed("tiers"),
            }
        },
    ),
)
_periods_agreed: Expression = each(
    "$days",
    {
        "$let": {
            "vars": {"days": period_of("$first", "$$this.start", "$type")},
            "in": {"start": "$$days.start", "end": {"$min": ["$$days.end", "$until"]}},
        }
    },
)


def _within_calendar(periods: Expression) -> Expression:
    return only(periods, {"$lt": ["$$this.end", LAST_DAY]})


# A partner has few periods, and many lines in each: a look by `_id` is at what was read for the line before.
_tiers_of_period = (
    {
        "$lookup": {
            "from": "tierPeriods",
            "localField": "period",
            "foreignField": "_id",
            "pipeline": [{"$project": {"tiers": 1}}],
            "as": "periods",
        }
    },
    {"$set": {"tiers": {"$first": "$periods.tiers"}}},
)
_net_after: Expression = {"$add": ["$before", "$net"]}

tiered_lines = View(
    "lines whose share is by tiers",
    "invoices",
    (
        *_of_tiers,
        # What takes back another line has a part of the share that this has.
        {"$match": {"lines.origin.corrects.billNo": None}},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$lines.id"]},
                "period": _of_line,
                "rate": "$lines.onBehalfOf.partnerShare",
                "net": "$lines.taxExcludedAmount",
                "before": "$lines.onBehalfOf.tier.before",
                "share": "$lines.onBehalfOf.tier.share",
            }
        },
        *_tiers_of_period,
        {
            "$project": {
                "rate": 1,
                "share": 1,
                "due": {
                    "$cond": [
                        equal("$tiers.mode", "volume"),
                        half_away({"$multiply": ["$net", rate_at(_net_after)]}),
                        {"$subtract": [come_to(_net_after), come_to("$before")]},
                    ]
                },
            }
        },
    ),
)

freed_lines = View(
    "lines whose tiers go by payments",
    "invoices",
    (
        {"$match": {"lines.onBehalfOf.freed": {"$type": "array"}}},
        {
            "$project": {
                "billed": billed,
                "paid": paid_to_date,
                "lines": each(
                    only("$lines", _is_at_payment("$$this")),
                    {
                        "id": "$$this.id",
                        "left": {"$subtract": ["$$this.taxExcludedAmount", credited]},
                        "accrued": "$$this.onBehalfOf.accrued",
                        "net": {"$sum": "$$this.onBehalfOf.freed.net"},
                        "share": {"$sum": "$$this.onBehalfOf.freed.share"},
                    },
                ),
            }
        },
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$lines.id"]},
                "billed": 1,
                "paid": 1,
                **{name: f"$lines.{name}" for name in ("left", "accrued", "net", "share")},
            }
        },
    ),
)
# Said without a division, as of shares: twice the distance from the exact value is at most one unit of it.
_distance: Expression = {
    "$subtract": [
        {"$multiply": [{"$toDecimal": "$net"}, "$billed"]},
        {"$multiply": [{"$toDecimal": "$left"}, "$paid"]},
    ]
}
_is_paid_of_left: Expression = {
    "$cond": [
        equal("$billed", 0),
        equal("$net", "$left"),
        {"$lte": [{"$abs": {"$multiply": [{"$toDecimal": 2}, _distance]}}, "$billed"]},
    ]
}

true_ups = View(
    "what closings added for tiers",
    "accruals",
    (
        _is_true_up,
        {"$project": {"period": _of_true_up, "of": "$step.of", "base": "$step.base"}},
        *_tiers_of_period,
        {"$project": {"of": 1, "due": come_to("$base")}},
    ),
)

CHECKS = (
    Check(
        name="tier-periods-match-lines",
        invariant=5,
        view=tier_periods,
        holds=both(
            equal("$period", 1), equal("$net", "$netOfLines"), equal("$share", "$shareOfLines"), agrees("account")
        ),
        expected={"period": 1, "net": "$netOfLines", "share": "$shareOfLines", "account": "the same in all"},
        found={"period": "$period", "net": "$net", "share": "$share", "account": span("account")},
    ),
    Check(
        name="tier-periods-match-true-ups",
        invariant=5,
        view=tier_periods,
        holds=equal("$trued", "$added"),
        expected="$added",
        found="$trued",
    ),
    Check(
        name="tier-periods-come-to-what-is-due",
        invariant=5,
        view=tier_periods,
        among=equal("$period", 1),
        holds=both(equal("$due", "$comesTo"), equal("$isOpen", {"$ne": ["$due", {"$add": ["$share", "$trued"]}]})),
        expected={"due": {"$toString": "$comesTo"}, "isOpen": {"$ne": ["$due", {"$add": ["$share", "$trued"]}]}},
        found={"due": "$due", "isOpen": "$isOpen"},
    ),
    Check(
        name="tier-periods-match-agreements",
        invariant=5,
        view=tiers_agreed,
        among={"$gt": ["$periods", 0]},
        holds=both(equal("$agreed", 1), agrees("tiers")),
        expected={"agreed": 1, "tiers": "the same in both"},
        found={"agreed": "$agreed", "tiers": span("tiers")},
    ),
    Check(
        name="tier-periods-have-their-days",
        invariant=5,
        view=tiers_agreed,
        among=both({"$gt": ["$periods", 0]}, equal("$agreed", 1)),
        # One that would end after the calendar begins with its first line.
        holds=equal(
            only("$days", {"$lt": ["$$this.end", LAST_DAY]}), only(_periods_agreed, {"$lt": ["$$this.end", LAST_DAY]})
        ),
        expected=_periods_agreed,
        found="$days",
    ),
    Check(
        name="shares-follow-tiers",
        invariant=5,
        view=tiered_lines,
        holds=both(equal("$share", "$due"), {"$not": [has("$rate")]}),
        expected={"$toString": "$due"},
        found={"share": "$share", "rate": "$rate"},
    ),
    Check(
        name="freed-nets-follow-payments",
        invariant=5,
        view=freed_lines,
        holds=both(_is_paid_of_left, equal("$share", "$accrued")),
        expected={"share": "$accrued", "net": {"of": "$left", "paid": "$paid", "billed": "$billed"}},
        found={"share": "$share", "net": "$net"},
    ),
    Check(
        name="true-ups-follow-tiers",
        invariant=5,
        view=true_ups,
        holds=equal("$of", "$due"),
        expected={"$toString": "$due"},
        found="$of",
    ),
)
