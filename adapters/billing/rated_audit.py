"""What subscriptions come to, worked out in the database: by their patches, the calendar and what was used.

Nothing of the domain's rating is used, so that a mistake there is found. Where that joins days on which a price is the
same, this goes by each stretch of days alone: what has elapsed by its end, less what had before it, adds up by itself.
"""

from collections.abc import Mapping

from adapters.billing.subscription_audit import IN_ORDER, NEVER, patched
from adapters.checks import Expression, Stage, both, equal, half_away, has

SPAN_UNIT = {"day": "day", "week": "day", "month": "month", "year": "month"}
SPAN_LENGTH = {"day": 1, "week": 7, "month": 1, "year": 12}
"""Each type of period in days, or in months of the calendar."""


def let(body: Expression, **variables: Expression) -> Expression:
    """`body`, with names for what it uses."""
    return {"$let": {"vars": variables, "in": body}}


def mapped(array: Expression, name: str, body: Expression) -> Expression:
    """`body` of every element of an array, which has a name there."""
    return {"$map": {"input": array, "as": name, "in": body}}


def where(array: Expression, name: str, condition: Expression) -> Expression:
    """The elements of an array, which have a name in the condition that they meet."""
    return {"$filter": {"input": array, "as": name, "cond": condition}}


def joined(arrays: Expression) -> Expression:
    """The elements of arrays as one array."""
    return {"$reduce": {"input": arrays, "initialValue": [], "in": {"$concatArrays": ["$$value", "$$this"]}}}


def day_of(text: Expression) -> Expression:
    """The time at which a date begins, in UTC: to count with."""
    return {"$toDate": text}


def days_between(start: Expression, end: Expression) -> Expression:
    """How many days there are from one date to another."""
    return {"$dateDiff": {"startDate": day_of(start), "endDate": day_of(end), "unit": "day"}}


def written(day: Expression) -> Expression:
    """A date as it is kept."""
    return {"$dateToString": {"date": day, "format": "%Y-%m-%d"}}


def by_type(price_type: Expression, values: Mapping[str, object]) -> Expression:
    """What belongs to a type of period."""
    branches = [{"case": equal(price_type, name), "then": value} for name, value in values.items()]
    return {"$switch": {"branches": branches, "default": None}}


# -- what a subscription is on its days

_TERMS = {
    "trial_end_date": "trialEndDate",
    "termination_date": "terminationDate",
    "billing_anchor": "billingAnchor",
    "suspended": "suspended",
}

# From which day on which terms are agreed; `agreed` says which of `pricesOf` the prices are.
_from: Expression = {"$max": ["$$this.effectiveDate", "$startDate"]}
_dated: Expression = {
    "$reduce": {
        "input": "$inOrder",
        "initialValue": [
            {"start": "$startDate", **{key: f"$terms.{key}" for key in _TERMS.values()}, "agreed": {"$literal": 0}}
        ],
        "in": {
            "$concatArrays": [
                where("$$value", "before", {"$lt": ["$$before.start", _from]}),
                [
                    let(
                        {
                            "start": _from,
                            **{key: patched(term, key, "$$last") for term, key in _TERMS.items()},
                            "agreed": {
                                "$cond": [
                                    {"$in": ["prices", "$$this.changed"]},
                                    {"$subtract": ["$$this.revision", 1]},
                                    "$$last.agreed",
                                ]
                            },
                        },
                        last={"$last": "$$value"},
                    )
                ],
            ]
        },
    }
}
_ended: Expression = mapped(
    {"$range": [0, {"$size": "$dated"}]},
    "n",
    {
        "$mergeObjects": [
            {"$arrayElemAt": ["$dated", "$$n"]},
            {"end": {"$ifNull": [let("$$next.start", next={"$arrayElemAt": ["$dated", {"$add": ["$$n", 1]}]}), NEVER]}},
        ]
    },
)

# What periods count from, unless it is agreed: the first day that is not one of a trial.
_after_trial: Expression = {"$max": ["$$days.start", "$$days.trialEndDate"]}
_anchor: Expression = {
    "$ifNull": [
        {"$first": mapped(where("$dated", "days", {"$lt": [_after_trial, "$$days.end"]}), "days", _after_trial)},
        NEVER,
    ]
}

# Days that are served, or suspended, by the same terms. After the first day that is not served none is.
_of_segment = {"anchor": {"$ifNull": ["$$this.billingAnchor", "$anchor"]}, "agreed": "$$this.agreed"}
_pieces: Expression = {
    "$concatArrays": [
        [{"start": "$$this.start", "end": "$$charged", "state": "trial", **_of_segment}],
        [
            {
                "start": "$$charged",
                "end": "$$served",
                "state": {"$cond": ["$$this.suspended", "suspended", "active"]},
                **_of_segment,
            }
        ],
    ]
}
_free: Expression = both(has("$$this.trialEndDate"), {"$not": ["$$this.suspended"]})
_segments: Expression = let(
    "$$found.segments",
    found={
        "$reduce": {
            "input": "$dated",
            "initialValue": {"segments": [], "over": False},
            "in": let(
                let(
                    {
                        "segments": {
                            "$concatArrays": [
                                "$$value.segments",
                                {
                                    "$cond": [
                                        "$$value.over",
                                        [],
                                        where(_pieces, "piece", {"$lt": ["$$piece.start", "$$piece.end"]}),
                                    ]
                                },
                            ]
                        },
                        "over": {"$or": ["$$value.over", {"$lt": ["$$served", "$$this.end"]}]},
                    },
                    charged={
                        "$cond": [
                            _free,
                            {"$min": ["$$served", {"$max": ["$$this.start", "$$this.trialEndDate"]}]},
                            "$$this.start",
                        ]
                    },
                ),
                served={"$min": ["$$this.end", "$$this.terminationDate"]},
            ),
        }
    },
)

AS_AGREED: tuple[Stage, ...] = (
    {
        "$lookup": {
            "from": "accounts",
            "localField": "billingAccount",
            "foreignField": "_id",
            "pipeline": [{"$project": {"currencyDigits": 1}}],
            "as": "account",
        }
    },
    {"$set": {"inOrder": IN_ORDER}},
    {"$set": {"dated": _dated}},
    {"$set": {"dated": _ended}},
    {"$set": {"anchor": _anchor}},
    {
        "$project": {
            "startDate": 1,
            "nextDue": 1,
            "recheckFrom": 1,
            "minor": {"$pow": [10, {"$max": "$account.currencyDigits"}]},
            "pricesOf": {"$concatArrays": [["$terms.prices"], "$patches.terms.prices"]},
            "segments": _segments,
        }
    },
    {"$set": {"servedUntil": {"$ifNull": [{"$last": "$segments.end"}, "$startDate"]}}},
    # Their ids begin with the subscription's; what follows on a stroke is a zero.
    {
        "$lookup": {
            "from": "usageMonths",
            "let": {"first": {"$concat": ["$_id", "/"]}, "last": {"$concat": ["$_id", "0"]}},
            "pipeline": [
                {"$match": {"$expr": both({"$gte": ["$_id", "$$first"]}, {"$lt": ["$_id", "$$last"]})}},
            ],
            "as": "usage",
        }
    },
)
"""The stages that turn subscriptions into what each is on its days: `segments`, with the prices that `agreed` says.

`usage` is what was used of it, by month.
"""


# -- periods


def _span(price: str) -> Expression:
    """How many days, or months, a period of a price has."""
    return {"$multiply": [by_type(f"{price}.periodType", SPAN_LENGTH), f"{price}.periodLength"]}


def is_period(anchor: Expression, price: str, start: Expression, end: Expression) -> Expression:
    """Whether a price has a period of these days: a number of periods from the anchor, clamped to the month's end."""

    def after(count: Expression) -> Expression:
        return {"$dateAdd": {"startDate": "$$anchorDay", "unit": "$$unit", "amount": count}}

    return let(
        let(
            both(
                equal({"$mod": ["$$passed", "$$length"]}, 0),
                equal("$$startDay", after("$$passed")),
                equal(day_of(end), after({"$add": ["$$passed", "$$length"]})),
            ),
            passed={"$dateDiff": {"startDate": "$$anchorDay", "endDate": "$$startDay", "unit": "$$unit"}},
        ),
        anchorDay=day_of(anchor),
        startDay=day_of(start),
        unit=by_type(f"{price}.periodType", SPAN_UNIT),
        length=_span(price),
    )


def periods_within(anchor: Expression, price: str, start: Expression, end: Expression) -> Expression:
    """The periods of a price that have one of these days, as `<first day>/<first day after it>`."""

    def nth(n: Expression) -> Expression:
        count = {"$multiply": [n, "$$length"]}
        return {"$dateAdd": {"startDate": "$$anchorDay", "unit": "$$unit", "amount": count}}

    def index_of(day: Expression) -> Expression:
        passed = {"$dateDiff": {"startDate": "$$anchorDay", "endDate": day, "unit": "$$unit"}}
        n = {"$toInt": {"$floor": {"$divide": [passed, "$$length"]}}}
        # It may begin later in the month.
        return let({"$cond": [{"$gt": [nth("$$n"), day]}, {"$subtract": ["$$n", 1]}, "$$n"]}, n=n)

    last: Expression = {"$dateSubtract": {"startDate": day_of(end), "unit": "day", "amount": 1}}
    days = mapped(
        {"$range": [index_of(day_of(start)), {"$add": [index_of(last), 1]}]},
        "n",
        {"start": nth("$$n"), "end": nth({"$add": ["$$n", 1]})},
    )
    # One that reaches beyond the calendar is none.
    within = where(days, "one", {"$lte": ["$$one.end", day_of(NEVER)]})
    return let(
        mapped(within, "one", {"$concat": [written("$$one.start"), "/", written("$$one.end")]}),
        anchorDay=day_of(anchor),
        unit=by_type(f"{price}.periodType", SPAN_UNIT),
        length=_span(price),
    )


# -- what a period comes to


def is_charged(segment: str, price: str) -> Expression:
    """Whether a price is charged on the days of a segment."""
    of_trial = both(equal(f"{segment}.state", "trial"), {"$in": [f"{price}.priceType", ["recurring", "minimum"]]})
    return both({"$ne": [f"{segment}.state", "suspended"]}, {"$not": [of_trial]})


_price_then: Expression = {
    "$first": where({"$arrayElemAt": ["$pricesOf", "$$segment.agreed"]}, "price", equal("$$price.id", "$priceId"))
}
_charging: Expression = where(
    mapped("$segments", "segment", {"$mergeObjects": ["$$segment", {"price": _price_then}]}),
    "segment",
    both(has("$$segment.price"), is_charged("$$segment", "$$segment.price")),
)
_of_period: Expression = both(
    {"$lt": ["$$segment.start", "$end"]},
    {"$gt": ["$$segment.end", "$start"]},
    {
        "$or": [
            equal("$$segment.price.priceType", "oneTime"),
            is_period("$$segment.anchor", "$$segment.price", "$start", "$end"),
        ]
    },
)
_stretch: Expression = {
    "start": {"$max": ["$$segment.start", "$start"]},
    "end": {"$min": ["$$segment.end", "$end"]},
    "price": "$$segment.price",
}

_month: Expression = {"$dateAdd": {"startDate": day_of("$start"), "unit": "month", "amount": "$$n"}}
_months: Expression = mapped(
    {
        "$range": [
            0,
            {
                "$add": [
                    {
                        "$dateDiff": {
                            "startDate": day_of("$start"),
                            "endDate": {"$dateSubtract": {"startDate": day_of("$end"), "unit": "day", "amount": 1}},
                            "unit": "month",
                        }
                    },
                    1,
                ]
            },
        ]
    },
    "n",
    {"$concat": ["$subscriptionId", "/", "$priceId", "/", {"$dateToString": {"date": _month, "format": "%Y-%m"}}]},
)
_used: Expression = {
    "$sum": mapped(
        where(
            "$used",
            "one",
            both(
                {"$gte": ["$$one.day", "$$stretch.start"]},
                {"$lt": ["$$one.day", {"$min": ["$$stretch.end", "$until"]}]},
            ),
        ),
        "one",
        {"$toDecimal": "$$one.quantity"},
    )
}


def rate(unit_price: Expression, tiers: Expression, of: str) -> Expression:
    """What makes two charges of a price the same, its decimals as numbers."""
    step = {
        "upTo": {"$toDecimal": "$$step.upTo"},
        "unitPrice": {"$toDecimal": "$$step.unitPrice"},
        "flatFee": {"$toDecimal": "$$step.flatFee"},
    }
    said = {"mode": "$$tiers.mode", "steps": mapped("$$tiers.steps", "step", step)}
    return {
        "unitPrice": {"$toDecimal": unit_price},
        "tiers": let({"$cond": [has("$$tiers"), said, None]}, tiers=tiers),
        "category": f"{of}.category",
        "rate": {"$toDecimal": f"{of}.rate"},
        "onBehalfOf": {"$ifNull": [f"{of}.onBehalfOf", None]},
    }


def times(*factors: Expression) -> Expression:
    """A product of decimals."""
    return {"$multiply": [{"$toDecimal": factor} for factor in factors]}


def elapsed(amount: Expression, start: Expression, end: Expression) -> Expression:
    """What an amount for all of the period is for some days of it: what has elapsed by their end, less before them."""

    def by(day: Expression) -> Expression:
        return half_away({"$divide": [times(amount, days_between("$start", day)), days_between("$start", "$end")]})

    return {"$subtract": [by(end), by(start)]}


def _graduated(quantity: Expression) -> Expression:
    """What a quantity comes to where each unit costs what its step says; a step's fee is due once it is entered."""
    step = {"$arrayElemAt": ["$$stretch.price.tiers.steps", "$$n"]}
    below = {
        "$cond": [
            {"$gt": ["$$n", 0]},
            {"$toDecimal": {"$arrayElemAt": ["$$stretch.price.tiers.steps.upTo", {"$subtract": ["$$n", 1]}]}},
            0,
        ]
    }
    top = {"$min": ["$$quantity", {"$toDecimal": "$$step.upTo"}]}
    comes_to = {
        "$add": [
            {"$multiply": [{"$subtract": [top, "$$below"]}, {"$toDecimal": "$$step.unitPrice"}]},
            {"$toDecimal": "$$step.flatFee"},
        ]
    }
    entered: Expression = {"$or": [equal("$$n", 0), {"$gt": ["$$quantity", "$$below"]}]}
    each_step = mapped(
        {"$range": [0, {"$size": "$$stretch.price.tiers.steps"}]},
        "n",
        let({"$cond": [entered, comes_to, 0]}, step=step, below=below),
    )
    return let({"$sum": each_step}, quantity=quantity)


_all_used: Expression = {"$sum": "$stretches.used"}
_first_step: Expression = {"$eq": [{"$size": "$$value.each"}, 0]}
_volume_step: Expression = {
    "$first": where(
        "$$stretch.price.tiers.steps",
        "step",
        {"$or": [{"$not": [has("$$step.upTo")]}, {"$lte": [_all_used, {"$toDecimal": "$$step.upTo"}]}]},
    )
}
_of_volume: Expression = let(
    {
        "rate": rate("$$step.unitPrice", None, "$$stretch.price"),
        "net": {"$add": [times("$$step.unitPrice", "$$stretch.used"), "$$fee"]},
        "quantity": {"$cond": [equal("$$fee", 0), "$$stretch.used", None]},
    },
    step=_volume_step,
    fee={"$cond": [_first_step, {"$toDecimal": let("$$step.flatFee", step=_volume_step)}, 0]},
)
_of_graduated: Expression = {
    "rate": rate(None, "$$stretch.price.tiers", "$$stretch.price"),
    "net": {
        "$subtract": [
            _graduated({"$add": ["$$value.before", "$$stretch.used"]}),
            {"$cond": [_first_step, 0, _graduated("$$value.before")]},
        ]
    },
    "quantity": None,
}
_of_units: Expression = {
    "rate": rate("$$stretch.price.unitPrice", None, "$$stretch.price"),
    "net": times("$$stretch.price.unitPrice", "$$stretch.used"),
    "quantity": "$$stretch.used",
}
_of_usage: Expression = {
    "$switch": {
        "branches": [
            {"case": {"$not": [has("$$stretch.price.tiers")]}, "then": _of_units},
            {"case": equal("$$stretch.price.tiers.mode", "volume"), "then": _of_volume},
        ],
        "default": _of_graduated,
    }
}
_each_of_usage: Expression = let(
    mapped(
        "$$found.each",
        "one",
        {"rate": "$$one.rate", "net": {"$multiply": ["$$one.net", "$minor"]}, "quantity": "$$one.quantity"},
    ),
    found={
        "$reduce": {
            "input": "$stretches",
            "initialValue": {"each": [], "before": 0},
            "in": let(
                {
                    "each": {"$concatArrays": ["$$value.each", [_of_usage]]},
                    "before": {"$add": ["$$value.before", "$$stretch.used"]},
                },
                stretch="$$this",
            ),
        }
    },
)
_whole_price: Expression = times("$$stretch.price.unitPrice", "$$stretch.price.quantity", "$minor")


def _recurring(net: Expression) -> Expression:
    return {
        "rate": rate("$$stretch.price.unitPrice", None, "$$stretch.price"),
        "net": net,
        # Units are charged whole, or not: their quantity stands with their days.
        "quantity": None,
    }


_at_once: Expression = mapped(
    where({"$slice": ["$stretches", 1]}, "stretch", {"$lt": ["$$stretch.start", "$until"]}),
    "stretch",
    _recurring(half_away(_whole_price)),
)
_by_days: Expression = mapped(
    where("$stretches", "stretch", {"$lt": ["$$stretch.start", "$until"]}),
    "stretch",
    _recurring(elapsed(_whole_price, "$$stretch.start", {"$min": ["$$stretch.end", "$until"]})),
)
_starts: Expression = both(equal("$start", {"$min": "$charging.start"}), equal(days_between("$start", "$end"), 1))
_each_by_type: Expression = {
    "$switch": {
        "branches": [
            {
                "case": equal("$priceType", "usage"),
                "then": {"$cond": [{"$lt": [{"$first": "$stretches.start"}, "$until"]}, _each_of_usage, []]},
            },
            {"case": equal("$priceType", "oneTime"), "then": {"$cond": [_starts, _at_once, []]}},
            {"case": {"$ne": ["$priceType", "recurring"]}, "then": []},
            {"case": equal("$first.proration", "none"), "then": _at_once},
        ],
        "default": _by_days,
    }
}
_same_rate: Expression = where("$each", "one", equal("$$one.rate", "$$rate"))
_by_rate: Expression = mapped(
    {"$setUnion": ["$each.rate", []]},
    "rate",
    let(
        {
            "rate": "$$rate",
            "net": half_away({"$sum": "$$same.net"}),
            "quantity": {"$cond": [{"$in": [None, "$$same.quantity"]}, None, {"$sum": "$$same.quantity"}]},
        },
        same=_same_rate,
    ),
)

_amount: Expression = times("$$stretch.price.amount", "$minor")
AT_LEAST: Expression = {
    "$cond": [
        equal("$first.proration", "none"),
        {"$sum": mapped({"$slice": ["$stretches", 1]}, "stretch", half_away(_amount))},
        {"$sum": mapped("$stretches", "stretch", elapsed(_amount, "$$stretch.start", "$$stretch.end"))},
    ]
}


def comes_to(until: Expression = NEVER) -> tuple[Stage, ...]:
    """The stages that say what a period of a price has come to by a date, by rate: `comesTo`; nothing for a minimum.

    Of a row with `subscriptionId`, `priceId`, `start` and `end` of the period, and what the subscription is as agreed.
    `stretches` are the days of the period on which the price is charged, `first` is what it is on the first of them.
    """
    return (
        {"$set": {"until": until, "charging": _charging}},
        {"$set": {"stretches": mapped(where("$charging", "segment", _of_period), "segment", _stretch)}},
        {"$set": {"first": {"$first": "$stretches.price"}}},
        {
            "$set": {
                "priceType": "$first.priceType",
                "months": {"$cond": [equal("$first.priceType", "usage"), _months, []]},
            }
        },
        {
            "$set": {
                "usageMonths": {
                    "$cond": [
                        equal("$priceType", "usage"),
                        where("$usage", "month", {"$in": ["$$month._id", "$months"]}),
                        [],
                    ]
                }
            }
        },
        {"$set": {"used": joined("$usageMonths.days")}},
        {"$set": {"stretches": mapped("$stretches", "stretch", {"$mergeObjects": ["$$stretch", {"used": _used}]})}},
        {"$set": {"each": _each_by_type}},
        {"$set": {"comesTo": _by_rate}},
    )


def parted(id_: Expression) -> Stage:
    """The stage that takes a period's `priceId`, `start` and `end` out of its id; of no id, those of no period."""
    # No part of it has a stroke.
    parts = {"$split": [{"$ifNull": [id_, {"$concat": ["//", "$startDate", f"/{NEVER}"]}]}, "/"]}
    names = ("priceId", "start", "end")
    return {"$set": {name: {"$arrayElemAt": [parts, n]} for n, name in enumerate(names, 1)}}


_in_advance: Expression = {
    "$or": [
        equal("$priceType", "oneTime"),
        both(equal("$priceType", "recurring"), equal("$first.billed", "inAdvance")),
    ]
}
DUE: Expression = {
    "$cond": [
        _in_advance,
        {"$min": "$stretches.start"},
        {"$min": ["$end", {"$max": ["$start", "$servedUntil"]}]},
    ]
}
"""When a period that is charged is due: in advance on the first day on which it is, else on the first day after it."""


def _ids(periods: Expression) -> Expression:
    """Periods of a price of a segment by the ids that they would have, were they billed."""
    return mapped(periods, "period", {"$concat": ["$_id", "/", "$$price.id", "/", "$$period"]})


_once: Expression = [
    {
        "$concat": [
            "$$segment.start",
            "/",
            written({"$dateAdd": {"startDate": day_of("$$segment.start"), "unit": "day", "amount": 1}}),
        ]
    }
]


def _of_prices(segments: Expression, those: Expression, periods: Expression) -> Expression:
    """The ids of periods, or of the first day, of `those` prices that are charged in segments; each once."""
    found = mapped(
        where(
            {"$arrayElemAt": ["$pricesOf", "$$segment.agreed"]},
            "price",
            both(those, is_charged("$$segment", "$$price")),
        ),
        "price",
        _ids({"$cond": [equal("$$price.priceType", "oneTime"), _once, periods]}),
    )
    return {"$setUnion": [joined(mapped(segments, "segment", joined(found))), []]}


_of_minimum: Expression = equal("$$price.priceType", "minimum")


def periods_until(limit: Expression, *, minimums: bool = False) -> Expression:
    """The ids of the periods that begin before a date, and may be charged: of minimums, or of all other prices."""
    return _of_prices(
        where("$segments", "segment", {"$lt": ["$$segment.start", limit]}),
        _of_minimum if minimums else {"$not": [_of_minimum]},
        periods_within("$$segment.anchor", "$$price", "$$segment.start", {"$min": ["$$segment.end", limit]}),
    )


def periods_beside(start: Expression, end: Expression) -> Expression:
    """The ids of the periods that have one of these days, and may be charged, of all prices but minimums."""
    return _of_prices("$segments", {"$not": [_of_minimum]}, periods_within("$$segment.anchor", "$$price", start, end))
