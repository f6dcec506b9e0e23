"""What closings add to what was earned (invariants 5 and 9): guarantees, advances, reserves."""

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
    minus,
    only,
    span,
    sum_where,
    union,
)

KINDS = ("guarantee", "recoupment", "holdback")
"""What a closing adds to what was earned: a release is a fact of its own."""

ADDED = ("trueUp", *KINDS)
"""What closings add in all: a true-up of tiers is part of what was earned."""

earned_lines: Expression = only("$lines", either({"$not": [has("$$this.step")]}, equal("$$this.step.kind", "trueUp")))
added_lines: Expression = only("$lines", {"$in": ["$$this.step.kind", ADDED]})


def lines_of(kind: str) -> Expression:
    """The lines of a statement that are of one kind of step."""
    return only("$lines", equal("$$this.step.kind", kind))


def positive(amount: Expression) -> Expression:
    """An amount, or zero where it is negative."""
    return {"$max": [0, amount]}


closings = View(
    "closings, all statements of each",
    "settlements",
    (
        {
            "$project": {
                "closingId": 1,
                "statementsWithSteps": {"$cond": [equal(added_lines, []), 0, 1]},
                "earned": {"$sum": each(earned_lines, "$$this.amount")},
                **{kind: sum_where("$lines", equal("$$this.step.kind", kind), "$$this.amount") for kind in KINDS},
                **{f"{kind}Lines": {"$size": lines_of(kind)} for kind in KINDS[1:]},
                **{f"{kind}Base": {"$max": each(lines_of(kind), "$$this.step.base")} for kind in KINDS[1:]},
            }
        },
        {
            "$group": {
                "_id": "$closingId",
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("statementsWithSteps", "earned", *KINDS, *(f"{kind}Lines" for kind in KINDS[1:]))
                },
                **{f"{kind}Base": {"$max": f"${kind}Base"} for kind in KINDS[1:]},
            }
        },
    ),
)
recoupment_base: Expression = positive({"$add": ["$earned", "$guarantee"]})
holdback_base: Expression = positive({"$add": ["$earned", "$guarantee", "$recoupment"]})

rows_with_steps = View(
    "what closings and releases have added",
    "accruals",
    ({"$match": {"step.kind": {"$gt": ""}}}, {"$project": {"amount": 1, "step": 1}}),
)
worked_out: Expression = {
    "$switch": {
        "branches": [
            {"case": equal("$step.kind", "guarantee"), "then": {"$ne": ["$amount", 0]}},
            # What tiers come to has checks of its own.
            {"case": equal("$step.kind", "trueUp"), "then": True},
            {
                "case": equal("$step.kind", "recoupment"),
                "then": both({"$lt": ["$amount", 0]}, {"$lte": [minus("$amount"), "$step.base"]}),
            },
            {
                "case": equal("$step.kind", "holdback"),
                "then": both(
                    {"$lt": ["$amount", 0]},
                    equal(minus("$amount"), half_away({"$multiply": [{"$toDecimal": "$step.rate"}, "$step.base"]})),
                ),
            },
            {"case": equal("$step.kind", "release"), "then": {"$gt": ["$amount", 0]}},
            # What documents come to has checks of its own.
            {"case": {"$in": ["$step.kind", ["selfBilledTax", "fee", "commission"]]}, "then": {"$ne": ["$amount", 0]}},
        ],
        "default": False,
    }
}

is_release: Expression = equal("$step.kind", "release")
reserves_and_rows = View(
    "reserves, and what was held back and released",
    "reserves",
    (
        {
            "$project": {
                "reserve": {"$literal": 1},
                "account": "$settlementAccount",
                "what": {
                    "base": "$base",
                    "rate": "$rate",
                    "amount": "$amount",
                    "releaseOn": "$releaseOn",
                    "heldOn": "$heldOn",
                },
                "left": {"$subtract": ["$amount", {"$sum": "$releases.amount"}]},
                "isLeft": 1,
                "queue": 1,
                "said": each("$releases", {"cause": "$$this.cause", "amount": "$$this.amount", "date": "$$this.date"}),
            }
        },
        union(
            "accruals",
            {"$match": {"step.kind": {"$in": ["holdback", "release"]}}},
            {
                "$project": {
                    "_id": {"$cond": [is_release, "$step.settlement", "$settlementId"]},
                    "account": "$settlementAccount",
                    "holdbacks": {"$cond": [is_release, 0, 1]},
                    "what": {
                        "$cond": [
                            is_release,
                            "$$REMOVE",
                            {
                                "base": "$step.base",
                                "rate": "$step.rate",
                                "amount": minus("$amount"),
                                "releaseOn": "$step.end",
                                "heldOn": "$date",
                            },
                        ]
                    },
                    "release": {
                        "$cond": [is_release, {"cause": "$cause", "amount": "$amount", "date": "$date"}, "$$REMOVE"]
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("reserve", "holdbacks", "left")},
                **{n: {"$max": f"${n}"} for n in ("isLeft", "queue", "said")},
                "released": {"$push": "$release"},
                **agreed("account"),
                **agreed("what"),
            }
        },
    ),
)
queue_due: Expression = {"$cond": [both({"$gt": ["$left", 0]}, {"$not": ["$isLeft"]}), "held", None]}

earned_days = View(
    "days of partners, as statements say and as it is kept",
    "settlements",
    (
        {"$project": {"settlementAccount": 1, "lines": earned_lines}},
        {"$unwind": "$lines"},
        {
            "$group": {
                "_id": {"settlementAccount": "$settlementAccount", "date": "$lines.date"},
                "stated": {"$sum": "$lines.amount"},
            }
        },
        union(
            "earnings",
            {"$unwind": "$days"},
            {
                "$project": {
                    "_id": {"settlementAccount": "$settlementAccount", "date": "$days.date"},
                    "kept": "$days.amount",
                    "times": {"$literal": 1},
                    "in": "$_id",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("stated", "kept", "times")},
                "in": {"$max": "$in"},
            }
        },
    ),
)


def year_of(day: Expression) -> Expression:
    """The id of a partner's earnings of a day's year."""
    return {"$concat": ["$_id.settlementAccount", "/", {"$substrBytes": [day, 0, 4]}]}


def is_kept(day: Expression) -> Expression:
    """Whether what is stated is kept, once, and in its year."""
    return both(
        equal("$kept", "$stated"),
        {"$lte": ["$times", 1]},
        either(equal("$times", 0), equal("$in", year_of(day))),
    )


guaranteed_periods = View(
    "periods of guarantees, as statements say and as it is kept",
    "settlements",
    (
        {"$project": {"settlementAccount": 1, "lines": lines_of("guarantee")}},
        {"$unwind": "$lines"},
        {
            "$group": {
                "_id": {
                    "settlementAccount": "$settlementAccount",
                    "agreement": "$lines.step.agreement",
                    "start": "$lines.step.start",
                    "type": "$lines.step.type",
                },
                "stated": {"$sum": "$lines.amount"},
                # The latest of them counts, and which that is no time tells for sure: there are several workers.
                "toppedUp": {
                    "$addToSet": positive({"$subtract": ["$lines.step.of", positive("$lines.step.base")]}),
                },
            }
        },
        union(
            "earnings",
            {"$unwind": "$guaranteed"},
            {
                "$project": {
                    "_id": {
                        "settlementAccount": "$settlementAccount",
                        "agreement": "$guaranteed.agreement",
                        "start": "$guaranteed.start",
                        "type": "$guaranteed.type",
                    },
                    "kept": "$guaranteed.amount",
                    "times": {"$literal": 1},
                    "in": "$_id",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("stated", "kept", "times")},
                "toppedUp": {"$max": "$toppedUp"},
                "in": {"$max": "$in"},
            }
        },
    ),
)

agreements_and_what_goes_by_them = View(
    "agreements, and what was paid in advance and guaranteed by them",
    "agreements",
    (
        {
            "$project": {
                "agreement": {"$literal": 1},
                "account": "$settlementAccount",
                "advanced": 1,
                "most": {"$max": "$agreed.closing.advance"},
            }
        },
        union(
            "advances",
            {
                "$project": {
                    "_id": "$agreement",
                    "rows": {"$literal": 1},
                    "account": "$settlementAccount",
                    "paid": "$amount",
                }
            },
        ),
        union(
            "accruals",
            {"$match": {"step.kind": "guarantee"}},
            {"$project": {"_id": "$step.agreement", "rows": {"$literal": 1}, "account": "$settlementAccount"}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("agreement", "rows", "advanced", "paid")},
                "most": {"$max": "$most"},
                **agreed("account"),
            }
        },
    ),
)

CLOSING_CHECKS = (
    Check(
        name="closings-add-their-steps",
        invariant=5,
        view=closings,
        among={"$gt": ["$statementsWithSteps", 0]},
        holds=both(
            equal("$statementsWithSteps", 1),
            {"$lte": ["$recoupmentLines", 1]},
            {"$lte": ["$holdbackLines", 1]},
            either(equal("$recoupmentLines", 0), equal("$recoupmentBase", recoupment_base)),
            either(equal("$holdbackLines", 0), equal("$holdbackBase", holdback_base)),
        ),
        expected={"statementsWithSteps": 1, "recoupmentBase": recoupment_base, "holdbackBase": holdback_base},
        found={
            "statementsWithSteps": "$statementsWithSteps",
            "recoupmentBase": "$recoupmentBase",
            "holdbackBase": "$holdbackBase",
            "recoupments": "$recoupmentLines",
            "holdbacks": "$holdbackLines",
        },
    ),
    Check(
        name="steps-are-worked-out",
        invariant=5,
        view=rows_with_steps,
        holds=worked_out,
        expected="an amount as it is worked out",
        found={"amount": "$amount", "step": "$step"},
    ),
    Check(
        name="reserves-match-holdbacks",
        invariant=5,
        view=reserves_and_rows,
        holds=both(equal("$reserve", 1), equal("$holdbacks", 1), agrees("what"), agrees("account")),
        expected={"reserve": 1, "holdbacks": 1, "what": "the same in both"},
        found={
            "reserve": "$reserve",
            "holdbacks": "$holdbacks",
            "what": span("what"),
            "settlementAccount": span("account"),
        },
    ),
    Check(
        name="reserves-match-releases",
        invariant=5,
        view=reserves_and_rows,
        among=equal("$reserve", 1),
        holds=both(
            {"$setEquals": ["$said", "$released"]},
            equal({"$size": "$said"}, {"$size": "$released"}),
            {"$gte": ["$left", 0]},
        ),
        expected="$released",
        found={"releases": "$said", "left": "$left"},
    ),
    Check(
        name="held-reserves-are-due",
        invariant=5,
        view=reserves_and_rows,
        among=equal("$reserve", 1),
        holds=equal({"$ifNull": ["$queue", None]}, queue_due),
        expected=queue_due,
        found={"queue": "$queue", "left": "$left", "isLeft": "$isLeft"},
    ),
    Check(
        name="earnings-match-statements",
        invariant=5,
        view=earned_days,
        holds=is_kept("$_id.date"),
        expected={"amount": "$stated", "in": year_of("$_id.date")},
        found={"amount": "$kept", "times": "$times", "in": "$in"},
    ),
    Check(
        name="guaranteed-matches-statements",
        invariant=5,
        view=guaranteed_periods,
        holds=is_kept("$_id.start"),
        expected={"amount": "$stated", "in": year_of("$_id.start")},
        found={"amount": "$kept", "times": "$times", "in": "$in"},
    ),
    Check(
        name="guarantees-top-up",
        invariant=5,
        view=guaranteed_periods,
        among={"$gt": ["$toppedUp", None]},
        holds={"$in": ["$stated", "$toppedUp"]},
        expected={"oneOf": "$toppedUp"},
        found="$stated",
    ),
    Check(
        name="advances-match-agreements",
        invariant=5,
        view=agreements_and_what_goes_by_them,
        among=equal("$agreement", 1),
        holds=equal("$advanced", "$paid"),
        expected="$paid",
        found="$advanced",
    ),
    Check(
        name="advances-within-agreed",
        invariant=5,
        view=agreements_and_what_goes_by_them,
        among=both(equal("$agreement", 1), {"$gt": ["$paid", 0]}),
        holds={"$lte": ["$paid", "$most"]},
        expected={"atMost": "$most"},
        found="$paid",
    ),
    Check(
        name="steps-point-to-agreements",
        invariant=9,
        view=agreements_and_what_goes_by_them,
        among={"$gt": ["$rows", 0]},
        holds=both(equal("$agreement", 1), agrees("account")),
        expected={"agreement": 1, "settlementAccount": "the same in both"},
        found={"agreement": "$agreement", "settlementAccount": span("account")},
    ),
)
