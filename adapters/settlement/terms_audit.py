"""Terms (invariant 5): of which revisions lines are, what thresholds statements keep, and what corrections came to."""

from adapters.checks import (
    Check,
    Expression,
    Stage,
    View,
    agreed,
    agrees,
    begins,
    both,
    distinct,
    each,
    either,
    equal,
    half_away,
    has,
    only,
    span,
    true_of_each,
    union,
)
from adapters.settlement.stages import (
    AFTER_ALL_DAYS,
    CLOCKS_APART,
    date_of,
    day_of,
    end,
    partners_lines,
    period_of,
    revision_id,
)

CORRECTION = "settlement.correct:"
"""How the identities of corrections of past days begin."""


def _agreements_of(partner: str) -> Stage:
    """What was ever agreed with a partner: looked up once for a row that stands for many lines, or is a statement."""
    terms = {
        "validFrom": "$$this.validFrom",
        "revision": "$$this.revision",
        "ofLines": {"$ifNull": ["$$this.linesAs", "$$this.revision"]},
        "bookedAt": "$$this.bookedAt",
        "isAgent": has("$$this.terms.agent"),
        "threshold": {"$ifNull": ["$$this.closing.payoutThreshold", None]},
        "withholding": {"$ifNull": ["$$this.closing.withholding", None]},
        "holdback": {"$ifNull": ["$$this.closing.holdback", None]},
    }
    shown = {
        "start": 1,
        "end": end,
        "agreed": each("$agreed", terms),
        "isUnderWay": {"$gt": [{"$size": {"$ifNull": ["$backdating", []]}}, 0]},
    }
    return {
        "$lookup": {
            "from": "agreements",
            "localField": partner,
            "foreignField": "settlementAccount",
            "pipeline": [{"$project": shown}],
            "as": "agreements",
        }
    }


def _in_force(day: str) -> tuple[Stage, ...]:
    """The agreement that is in force on a day, and what was agreed in it from that day or an earlier one on."""
    holds = both({"$lte": ["$$this.start", day]}, {"$gt": ["$$this.end", day]})
    begun = only({"$ifNull": ["$inForce.agreed", []]}, {"$lte": ["$$this.validFrom", day]})
    return ({"$set": {"inForce": {"$first": only("$agreements", holds)}}}, {"$set": {"begun": begun}})


def _what_holds(terms: Expression) -> Expression:
    """Of terms that have begun those that hold: of the latest `validFrom` what was agreed last."""
    return {"$max": each(terms, {"validFrom": "$$this.validFrom", "revision": "$$this.revision", "terms": "$$this"})}


def _later(booked_at: str, terms: str = "$$this") -> Expression:
    """Whether terms were agreed before something was booked, whatever the clocks."""
    return {"$lt": [{"$add": [f"{terms}.bookedAt", CLOCKS_APART]}, booked_at]}


_revision: Expression = {"$ifNull": ["$_id.revision", 0]}
_is_of_what_holds: Expression = both(
    equal({"$ifNull": ["$_id.agreement", None]}, {"$ifNull": ["$inForce._id", None]}),
    equal(_revision, {"$ifNull": ["$now.ofLines", 0]}),
)
_of_agreement: Expression = {"$concat": [CORRECTION, {"$ifNull": ["$inForce._id", ""]}]}

terms_of_days = View(
    "partners' lines by their day, and what is agreed of that now",
    "invoices",
    (
        {"$match": {"lines.onBehalfOf.id": {"$gt": ""}}},
        *partners_lines({"$not": [has("$$this.origin.corrects")]}, taxPointDate=1, bookedAt=1),
        # Of a partner's day there are few revisions, and many lines: what is agreed is looked up once for all of them.
        {
            "$group": {
                "_id": {
                    "settlementAccount": "$lines.onBehalfOf.id",
                    "day": "$taxPointDate",
                    "agreement": "$lines.onBehalfOf.agreement.id",
                    "revision": "$lines.onBehalfOf.agreement.revision",
                    "isAgent": has("$lines.onBehalfOf.agent"),
                },
                "lines": {"$sum": 1},
                "first": {"$min": "$_id"},
                "lastBookedAt": {"$max": "$bookedAt"},
            }
        },
        _agreements_of("_id.settlementAccount"),
        *_in_force("$_id.day"),
        {"$set": {"now": {"$getField": {"field": "terms", "input": _what_holds("$begun")}}}},
        {"$set": {"isWell": either(_is_of_what_holds, {"$in": [True, "$agreements.isUnderWay"]})}},
        # Only of what differs the rest is asked: for which revisions lines were corrected, and what is left of that.
        {
            "$set": {
                "ids": {
                    "$cond": [
                        "$isWell",
                        [],
                        each("$begun", revision_id("$inForce._id", "$$this.revision")),
                    ]
                }
            }
        },
        {
            "$lookup": {
                "from": "backdatings",
                "localField": "ids",
                "foreignField": "_id",
                "pipeline": [{"$project": {"revision": 1}}],
                "as": "backdatings",
            }
        },
        {
            "$lookup": {
                "from": "held",
                "let": {
                    "from": {"$concat": [_of_agreement, "/"]},
                    "until": {"$cond": ["$isWell", "", {"$concat": [_of_agreement, "0"]}]},
                },
                "pipeline": [
                    {"$match": {"$expr": both({"$gte": ["$_id", "$$from"]}, {"$lt": ["$_id", "$$until"]})}},
                    {"$limit": 1},
                    {"$project": {"_id": 1}},
                ],
                "as": "held",
            }
        },
        # What was agreed when lines had the terms of their day last, as far as that is sure.
        {
            "$set": {
                "known": {
                    "$max": [
                        _revision,
                        {"$max": "$backdatings.revision"},
                        {
                            "$max": each(
                                only(
                                    "$begun",
                                    either(
                                        _later("$lastBookedAt"),
                                        # Days that had begun were corrected, or of the partner nothing was billed yet.
                                        {
                                            "$lt": [
                                                "$$this.validFrom",
                                                {"$dateToString": {"date": "$$this.bookedAt", "format": "%Y-%m-%d"}},
                                            ]
                                        },
                                    ),
                                ),
                                "$$this.revision",
                            )
                        },
                    ]
                }
            }
        },
        {"$set": {"then": _what_holds(only("$begun", {"$lte": ["$$this.revision", "$known"]}))}},
    ),
)
"""A line has the terms of its day as they were agreed when it was billed, or corrected last. Which of two facts that
were booked within an hour was first the database does not know, so between these both will do; of a day that begins
elsewhere before it does in UTC, it is the same."""
_is_of_what_held: Expression = both(
    equal({"$ifNull": ["$_id.agreement", None]}, {"$cond": [has("$then"), "$inForce._id", None]}),
    equal(_revision, {"$ifNull": ["$then.terms.ofLines", 0]}),
)


def _terms_of(part: str) -> Expression:
    """What tells the terms of two parts of one partner apart."""
    fields = ("id", "agreement", "partnerShare", "accrueOn", "agent.commission", "agent.category", "agent.rate")
    return [{"$ifNull": [f"{part}.{field}", None]} for field in fields]


taken_back_by_terms = View(
    "lines of bills that take back partners' lines, and these",
    "invoices",
    (
        {"$match": {"lines.origin.corrects.billNo": {"$gt": ""}, "lines.onBehalfOf.id": {"$gt": ""}}},
        *partners_lines(has("$$this.origin.corrects")),
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$lines.id"]},
                "billNo": "$_id",
                "corrects": "$lines.origin.corrects",
                "part": "$lines.onBehalfOf",
            }
        },
        {
            "$lookup": {
                "from": "invoices",
                "localField": "corrects.billNo",
                "foreignField": "_id",
                "let": {"id": "$corrects.lineId"},
                "pipeline": [{"$project": {"lines": only("$lines", equal("$$this.id", "$$id"))}}],
                "as": "invoices",
            }
        },
        {"$set": {"of": {"$first": {"$getField": {"field": "lines", "input": {"$first": "$invoices"}}}}}},
        {
            "$set": {
                "isWell": either(
                    {"$ne": [has("$part.agent"), has("$of.onBehalfOf.agent")]},
                    equal(_terms_of("$part"), _terms_of("$of.onBehalfOf")),
                )
            }
        },
        # Only of what differs it is asked whether its correction is to come, or was parked.
        {"$set": {"partner": {"$cond": ["$isWell", "$$REMOVE", "$part.id"]}}},
        _agreements_of("partner"),
        {
            "$set": {
                "ids": {
                    "$reduce": {
                        "input": "$agreements",
                        "initialValue": [],
                        "in": {
                            "$concatArrays": [
                                "$$value",
                                {
                                    "$map": {
                                        "input": "$$this.agreed.revision",
                                        "as": "revision",
                                        "in": {
                                            "$concat": [
                                                CORRECTION,
                                                revision_id("$$this._id", "$$revision"),
                                                "/",
                                                "$billNo",
                                            ]
                                        },
                                    }
                                },
                            ]
                        },
                    }
                }
            }
        },
        {
            "$lookup": {
                "from": "held",
                "localField": "ids",
                "foreignField": "_id",
                "pipeline": [{"$project": {"_id": 1}}],
                "as": "held",
            }
        },
    ),
)


def _what_may_have_held(field: str) -> Expression:
    """What a field of the terms was by each revision that may have been the last when the statement was made."""
    terms = _what_holds(only("$begun", {"$lte": ["$$this.revision", "$$revision"]}))
    found: Expression = {"$getField": {"field": field, "input": {"$getField": {"field": "terms", "input": terms}}}}
    return {
        "$map": {
            "input": {"$range": ["$before", {"$add": ["$perhaps", 1]}]},
            "as": "revision",
            "in": {"$ifNull": [found, None]},
        }
    }


_released_on: Expression = day_of(
    {
        "$dateAdd": {
            "startDate": date_of("$periodEnd"),
            "unit": "day",
            "amount": "$$this.releaseAfterDays",
        }
    }
)

statements_and_thresholds = View(
    "statements and the thresholds that were agreed",
    "settlements",
    (
        {
            "$project": {
                **dict.fromkeys(("settlementAccount", "periodEnd", "bookedAt", "total", "threshold"), 1),
                "withholding": {"$ifNull": ["$withholding", None]},
                "heldBack": each(
                    only("$lines", equal("$$this.step.kind", "holdback")),
                    {"rate": "$$this.step.rate", "releaseOn": "$$this.step.end"},
                ),
            }
        },
        _agreements_of("settlementAccount"),
        *_in_force("$periodEnd"),
        # What was agreed about when the statement was made may have been agreed before it or after.
        {
            "$set": {
                "before": {"$max": [0, {"$max": each(only("$begun", _later("$bookedAt")), "$$this.revision")}]},
                "perhaps": {
                    "$max": [
                        0,
                        {
                            "$max": each(
                                only(
                                    "$begun",
                                    {"$lte": ["$$this.bookedAt", {"$add": ["$bookedAt", CLOCKS_APART]}]},
                                ),
                                "$$this.revision",
                            )
                        },
                    ]
                },
            }
        },
        {
            "$set": {
                "thresholds": _what_may_have_held("threshold"),
                "withholdings": _what_may_have_held("withholding"),
                "holdbacks": _what_may_have_held("holdback"),
            }
        },
        {
            "$set": {
                "holdbacks": each(
                    "$holdbacks", {"rate": {"$ifNull": ["$$this.rate", None]}, "releaseOn": _released_on}
                ),
            }
        },
        {
            "$set": {
                "isWell": {
                    "$cond": [
                        has("$threshold"),
                        {"$in": ["$threshold", "$thresholds"]},
                        either(
                            {"$lte": ["$total", 0]},
                            {"$not": [true_of_each("$thresholds", both(has("$$this"), {"$lt": ["$total", "$$this"]}))]},
                        ),
                    ]
                }
            }
        },
        # A partner that leaves is paid whatever it has: only of what is not well it is asked whether it did.
        {
            "$lookup": {
                "from": "accountVersions",
                "let": {
                    "from": {"$concat": ["$settlementAccount", "/"]},
                    "until": {"$cond": ["$isWell", "", {"$concat": ["$settlementAccount", "0"]}]},
                },
                "pipeline": [
                    {"$match": {"$expr": both({"$gte": ["$_id", "$$from"]}, {"$lt": ["$_id", "$$until"]})}},
                    {"$match": {"newState": "pendingClose"}},
                    {"$limit": 1},
                    {"$project": {"_id": 1}},
                ],
                "as": "leaving",
            }
        },
    ),
)

# The two first parts of `settlement.correct:<agreement>/<revision>/<billNo>` are those of the id of a correction.
_parts: Expression = {"$split": [{"$substrBytes": ["$_id", len(CORRECTION), -1]}, "/"]}

corrections_of_past_days = View(
    "corrections of past days and what they came to",
    "backdatings",
    (
        {
            "$project": {
                "correction": {"$literal": 1},
                "account": "$settlementAccount",
                "corrected": 1,
                "amount": 1,
                "since": 1,
            }
        },
        union(
            "agreements",
            {"$unwind": "$agreed"},
            {"$project": {"_id": revision_id("$_id", "$agreed.revision"), "since": "$agreed.validFrom"}},
        ),
        union(
            "shareCorrections",
            {
                "$project": {
                    "_id": revision_id("$agreement", "$revision"),
                    "rows": {"$literal": 1},
                    "account": "$settlementAccount",
                    "accrued": {"$sum": "$lines.accrued"},
                }
            },
        ),
        union(
            "inbox",
            begins(CORRECTION),
            {
                "$project": {
                    "_id": {"$concat": [{"$first": _parts}, "/", {"$arrayElemAt": [_parts, 1]}]},
                    "facts": {"$literal": 1},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("correction", "corrected", "amount", "rows", "accrued", "facts")},
                **agreed("account"),
                **agreed("since"),
            }
        },
    ),
)

_fees: Expression = only("$lines", equal("$$this.kind", "fee"))
_signed: Expression = {"$cond": [equal("$typeCode", "381"), {"$multiply": ["$lines.amount", -1]}, "$lines.amount"]}
_of_this: Expression = {
    "$cond": [equal("$_id.what", "guarantee"), "$$this.closing.guarantee", "$$this.closing.fixedFee"]
}
_start_of_type: Expression = period_of("$agreement.start", "$period.start", "$$this.of.period")
_begins_there: Expression = both(
    has("$$this.of.period"), equal("$period.start", {"$getField": {"field": "start", "input": _start_of_type}})
)
_is_before_it: Expression = {"$lt": [{"$add": ["$$this.bookedAt", CLOCKS_APART]}, "$period.bookedAt"]}
_is_perhaps_before_it: Expression = {"$lte": ["$$this.bookedAt", {"$add": ["$period.bookedAt", CLOCKS_APART]}]}
_is_agreed_anew: Expression = {
    "$in": [
        True,
        {
            "$map": {
                "input": "$$known",
                "as": "other",
                "in": both(
                    equal("$$other.validFrom", "$$one.validFrom"), {"$gt": ["$$other.revision", "$$one.revision"]}
                ),
            }
        },
    ]
}
_next_of_it: Expression = {
    "$min": {
        "$map": {
            "input": "$$known",
            "as": "other",
            "in": {"$cond": [{"$gt": ["$$other.validFrom", "$$one.validFrom"]}, "$$other.validFrom", AFTER_ALL_DAYS]},
        }
    }
}


def _days(start: Expression, until: Expression) -> Expression:
    return {"$dateDiff": {"startDate": date_of(start), "endDate": date_of(until), "unit": "day"}}


# What was agreed by a revision of the days of a period: each part of the terms of its type, and for how many days.
_parts_in_force: Expression = {
    "$map": {
        "input": {"$filter": {"input": "$$known", "as": "one", "cond": {"$not": [_is_agreed_anew]}}},
        "as": "one",
        "in": {
            "$let": {
                "vars": {
                    "from": {"$max": ["$$one.validFrom", "$$days.start"]},
                    "until": {"$min": [_next_of_it, "$agreement.end", "$$days.end"]},
                },
                "in": {
                    "amount": "$$one.of.amount",
                    "until": "$$until",
                    "days": {
                        "$cond": [
                            both(equal("$$one.of.period", "$$type"), {"$lt": ["$$from", "$$until"]}),
                            _days("$$from", "$$until"),
                            0,
                        ]
                    },
                },
            }
        },
    }
}
_amount_of_parts: Expression = half_away(
    {
        "$divide": [
            {"$toDecimal": {"$sum": each("$$parts", {"$multiply": ["$$this.amount", "$$this.days"]})}},
            _days("$$days.start", "$$days.end"),
        ]
    }
)
_last_of_parts: Expression = {
    "$ifNull": [
        {"$max": each(only("$$parts", {"$gt": ["$$this.days", 0]}), "$$this.until")},
        {"$min": ["$$days.end", "$agreement.end"]},
    ]
}
_comes_to: Expression = {
    "amount": _amount_of_parts,
    "end": day_of({"$dateAdd": {"startDate": date_of(_last_of_parts), "unit": "day", "amount": -1}}),
}
_by_revisions: Expression = {
    "$map": {
        "input": {"$range": [{"$max": [1, "$before"]}, {"$add": ["$perhaps", 1]}]},
        "as": "revision",
        "in": {
            "$let": {
                "vars": {"known": only("$terms", {"$lte": ["$$this.revision", "$$revision"]})},
                "in": {"$let": {"vars": {"parts": _parts_in_force}, "in": _comes_to}},
            }
        },
    }
}

periods_and_terms = View(
    "periods of guarantees and fees, and what was agreed of them",
    "accruals",
    (
        {"$match": {"step.kind": "guarantee"}},
        {
            "$project": {
                "_id": {"agreement": "$step.agreement", "what": {"$literal": "guarantee"}},
                "period": {
                    "of": "$_id",
                    "start": "$step.start",
                    "type": "$step.type",
                    "amount": "$step.of",
                    "ends": ["$step.end"],
                    "bookedAt": "$bookedAt",
                },
            }
        },
        union(
            "settlementDocuments",
            {"$match": {"typeCode": {"$in": ["380", "381"]}}},
            {"$project": {"typeCode": 1, "bookedAt": 1, "lines": _fees}},
            {"$unwind": "$lines"},
            {
                "$group": {
                    "_id": {"agreement": "$lines.agreement", "start": "$lines.start", "type": "$lines.type"},
                    "amount": {"$sum": _signed},
                    "ends": {"$addToSet": {"end": "$lines.end", "bookedAt": "$bookedAt"}},
                    "bookedAt": {"$max": "$bookedAt"},
                    "number": {"$max": "$_id"},
                }
            },
            {
                "$project": {
                    "_id": {"agreement": "$_id.agreement", "what": {"$literal": "fixedFee"}},
                    "period": {
                        "of": "$number",
                        "start": "$_id.start",
                        "type": "$_id.type",
                        "amount": "$amount",
                        # What was charged before others were agreed may have ended on another day.
                        "ends": {
                            "$map": {
                                "input": only("$ends", equal("$$this.bookedAt", "$bookedAt")),
                                "in": "$$this.end",
                            }
                        },
                        "bookedAt": "$bookedAt",
                    },
                }
            },
        ),
        # An agreement has many periods: it is looked up once for all of them.
        {"$group": {"_id": "$_id", "period": {"$push": "$period"}}},
        {
            "$lookup": {
                "from": "agreements",
                "localField": "_id.agreement",
                "foreignField": "_id",
                "pipeline": [{"$project": {"start": 1, "end": end, "agreed": 1}}],
                "as": "agreement",
            }
        },
        {"$unwind": "$agreement"},
        {
            "$set": {
                "terms": each(
                    "$agreement.agreed",
                    {
                        "validFrom": "$$this.validFrom",
                        "revision": "$$this.revision",
                        "bookedAt": "$$this.bookedAt",
                        "of": _of_this,
                    },
                )
            }
        },
        {"$unset": "agreement.agreed"},
        {"$unwind": "$period"},
        {
            "$set": {
                # Without a type it is of one that begins there; of which, an earlier version did not tell apart.
                "types": {
                    "$cond": [
                        has("$period.type"),
                        ["$period.type"],
                        distinct(
                            each(only("$terms", both(has("$$this.of.period"), _begins_there)), "$$this.of.period")
                        ),
                    ]
                },
                "before": {"$max": [0, {"$max": each(only("$terms", _is_before_it), "$$this.revision")}]},
                # What names an agreement knew its first terms, whatever the clock of the worker said that booked it.
                "perhaps": {"$max": [1, {"$max": each(only("$terms", _is_perhaps_before_it), "$$this.revision")}]},
            }
        },
        {
            "$set": {
                "agreed": {
                    "$reduce": {
                        "input": {
                            "$map": {
                                "input": "$types",
                                "as": "type",
                                "in": {
                                    "$let": {
                                        "vars": {"days": period_of("$agreement.start", "$period.start", "$$type")},
                                        "in": {"$cond": [equal("$$days.start", "$period.start"), _by_revisions, []]},
                                    }
                                },
                            }
                        },
                        "initialValue": [],
                        "in": {"$setUnion": ["$$value", "$$this"]},
                    }
                }
            }
        },
    ),
)

CHECKS = (
    Check(
        name="periods-come-to-what-is-agreed",
        invariant=5,
        view=periods_and_terms,
        holds=both({"$in": ["$period.amount", "$agreed.amount"]}, {"$setIsSubset": ["$period.ends", "$agreed.end"]}),
        expected={"oneOf": each("$agreed", {"amount": {"$toString": "$$this.amount"}, "end": "$$this.end"})},
        found="$period",
    ),
    Check(
        name="lines-have-the-terms-of-their-days",
        invariant=5,
        view=terms_of_days,
        # In whose name a line was sold does not change, whatever is agreed afterwards.
        holds=either(
            "$isWell",
            either(
                {"$gt": [{"$size": "$held"}, 0]},
                either(_is_of_what_held, {"$ne": ["$_id.isAgent", {"$ifNull": ["$now.isAgent", "$_id.isAgent"]}]}),
            ),
        ),
        expected={"agreement": "$inForce._id", "revision": "$now.ofLines"},
        found={"lines": "$lines", "firstOf": "$first"},
    ),
    Check(
        name="what-is-taken-back-has-its-lines-terms",
        invariant=5,
        view=taken_back_by_terms,
        holds=either("$isWell", either({"$in": [True, "$agreements.isUnderWay"]}, {"$gt": [{"$size": "$held"}, 0]})),
        expected={"of": "$corrects", "agreement": "$of.onBehalfOf.agreement", "share": "$of.onBehalfOf.partnerShare"},
        found={"agreement": "$part.agreement", "share": "$part.partnerShare"},
    ),
    Check(
        name="thresholds-are-those-agreed",
        invariant=5,
        view=statements_and_thresholds,
        holds=either("$isWell", {"$gt": [{"$size": "$leaving"}, 0]}),
        expected={"oneOf": "$thresholds"},
        found={"threshold": "$threshold", "total": "$total"},
    ),
    Check(
        name="tax-is-withheld-as-agreed",
        invariant=5,
        view=statements_and_thresholds,
        holds={
            "$cond": [
                both({"$gt": ["$total", 0]}, {"$not": [has("$threshold")]}),
                {"$in": ["$withholding", "$withholdings"]},
                equal("$withholding", None),
            ]
        },
        expected={"oneOf": "$withholdings"},
        found="$withholding",
    ),
    Check(
        name="held-back-as-agreed",
        invariant=5,
        view=statements_and_thresholds,
        among={"$ne": ["$heldBack", []]},
        holds={"$setIsSubset": ["$heldBack", "$holdbacks"]},
        expected={"oneOf": "$holdbacks"},
        found="$heldBack",
    ),
    Check(
        name="backdatings-match-corrections",
        invariant=5,
        view=corrections_of_past_days,
        among={"$gt": [{"$add": ["$correction", "$rows", "$facts"]}, 0]},
        # What changes a line's terms and no amount makes no row, and counts.
        holds=both(
            equal("$correction", 1),
            equal("$amount", "$accrued"),
            {"$lte": ["$rows", "$corrected"]},
            {"$lte": ["$corrected", "$facts"]},
            agrees("account"),
            agrees("since"),
        ),
        expected={"amount": "$accrued", "corrected": {"from": "$rows", "to": "$facts"}, "since": "as it was agreed"},
        found={
            "backdatings": "$correction",
            "amount": "$amount",
            "corrected": "$corrected",
            "since": span("since"),
        },
    ),
)
