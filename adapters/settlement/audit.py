"""Partners (invariant 5): what accrued to them, which statement holds it, and what was paid out."""

from adapters.checks import (
    Check,
    Expression,
    Posted,
    View,
    agreed,
    agrees,
    begins,
    both,
    distinct,
    due,
    each,
    either,
    equal,
    half_away,
    has,
    minus,
    only,
    owner_rows,
    span,
    sum_where,
    true_of_each,
    union,
)
from adapters.settlement.closing_audit import ADDED, CLOSING_CHECKS
from adapters.settlement.documents_audit import DOCUMENT_CHECKS, POSTED_BY_DOCUMENTS, is_posted
from adapters.settlement.stages import AFTER_ALL_DAYS, end, is_date_of, partners_lines, revision_id

partner_lines: Expression = only("$lines", has("$$this.onBehalfOf"))
given_up: Expression = sum_where(
    {"$ifNull": ["$corrections.lines", []]}, equal("$$this.lineId", "$lines.id"), "$$this.givenUp"
)
withheld_of_line: Expression = {
    "$cond": [
        equal("$lines.onBehalfOf.accrueOn", "payment"),
        {"$subtract": ["$lines.onBehalfOf.share", {"$add": ["$lines.onBehalfOf.accrued", given_up]}]},
        0,
    ]
}

is_adjustment: Expression = has("$adjustmentId")


def commission_tax(of: str) -> Expression:
    """The tax on our commission, where there is one."""
    return {"$cond": [has(of), {"category": f"{of}.category", "rate": f"{of}.rate"}, "$$REMOVE"]}


def amount_of(*kinds: str) -> Expression:
    """The amount of an accrual that is a step of one of these kinds."""
    return {"$cond": [{"$in": ["$step.kind", kinds]}, "$amount", 0]}


is_true_up: Expression = equal("$step.kind", "trueUp")
kept_by_partner: Expression = {"$cond": [has("$returned"), 0, "$amount"]}
"""What of a payout the partner has: nothing of one that came back."""

partner_accounts = View(
    "settlement accounts",
    "positions",
    (
        {
            "$project": {
                "position": {"$literal": 1},
                "currency": 1,
                **dict.fromkeys(("payable", "withheld", "reserve", "advance"), 1),
            }
        },
        union(
            "accruals",
            *owner_rows("settlementAccount", {"accrued": "$amount", "recouped": minus(amount_of("recoupment"))}),
        ),
        union(
            "reserves",
            *owner_rows("settlementAccount", {"held": {"$subtract": ["$amount", {"$sum": "$releases.amount"}]}}),
        ),
        union("advances", *owner_rows("settlementAccount", {"advanced": "$amount"})),
        union("payouts", *owner_rows("settlementAccount", {"paidOut": kept_by_partner})),
        union(
            "settlements",
            {"$project": {"settlementAccount": 1, "currency": 1, "netted": 1}},
            *owner_rows("settlementAccount", {"netted": "$netted"}),
        ),
        union(
            "invoices",
            {"$project": {"currency": 1, "corrections.lines": 1, "lines": partner_lines}},
            {"$unwind": "$lines"},
            {"$project": {"currency": 1, "partner": "$lines.onBehalfOf.id", "kept": withheld_of_line}},
            *owner_rows("partner", {"kept": "$kept"}),
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in (
                        *("position", "documents", "payable", "withheld", "accrued", "paidOut", "netted", "kept"),
                        *("reserve", "held", "advance", "advanced", "recouped"),
                    )
                },
                "currencyLeast": {"$min": {"$ifNull": ["$currencyLeast", "$currency"]}},
                "currencyMost": {"$max": {"$ifNull": ["$currencyMost", "$currency"]}},
            }
        },
    ),
)

owed: Expression = {"$subtract": ["$accrued", {"$add": ["$paidOut", "$netted"]}]}

lines_and_accruals = View(
    "lines on behalf of partners and their accruals",
    "invoices",
    (
        {"$project": {"orderId": 1, "lines": partner_lines}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$lines.id"]},
                "line": {"$literal": 1},
                "orderId": 1,
                "account": "$lines.onBehalfOf.id",
                "accrued": "$lines.onBehalfOf.accrued",
                "charged": "$lines.onBehalfOf.agent.charged",
                # Of terms that were agreed later its rows have others.
                "tax": {
                    "$cond": [has("$lines.onBehalfOf.issued"), "$$REMOVE", commission_tax("$lines.onBehalfOf.agent")]
                },
                "changed": {"$cond": [has("$lines.onBehalfOf.issued"), 1, 0]},
                "back": {
                    "$cond": [
                        has("$lines.origin.corrects.billNo"),
                        {"$concat": ["$lines.origin.corrects.billNo", "/", "$lines.origin.corrects.lineId"]},
                        "",
                    ]
                },
            }
        },
        union(
            "accruals",
            # An adjustment may correct no line; where it does, it stands beside what the line itself accrues.
            {"$match": {"billNo": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"$concat": ["$billNo", "/", "$lineId"]},
                    "accruals": {"$literal": 1},
                    "orderId": 1,
                    "account": "$settlementAccount",
                    "amount": {"$cond": [is_adjustment, 0, "$amount"]},
                    "commission": "$commission.amount",
                    "tax": commission_tax("$commission"),
                    # An earlier version wrote none.
                    "back": {"$ifNull": ["$takesBack", "$$REMOVE"]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("line", "accruals", "accrued", "amount", "charged", "commission", "changed")
                },
                **agreed("orderId"),
                **agreed("account"),
                **agreed("tax"),
                **agreed("back"),
            }
        },
    ),
)

_tax_of_line: Expression = {
    "line": "$line",
    "category": "$category",
    # 0.2 and 0.20 are one rate.
    "rate": {"$toDecimal": "$rate"},
}
commissions_by_tax = View(
    "commission on lines by its tax, and how often it was charged anew with another",
    "accruals",
    (
        {"$match": {"commission.amount": {"$exists": True}}},
        {
            "$project": {
                "line": {"$concat": ["$billNo", "/", "$lineId"]},
                "category": "$commission.category",
                "rate": "$commission.rate",
                "amount": "$commission.amount",
                "rows": {"$literal": 1},
                "taken": {"$cond": [{"$regexMatch": {"input": "$_id", "regex": "/tax$"}}, 1, 0]},
            }
        },
        union(
            "invoices",
            {"$match": {"seller": {"$gt": ""}}},
            {"$project": {"lines": partner_lines}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "line": {"$concat": ["$_id", "/", "$lines.id"]},
                    "category": "$lines.onBehalfOf.agent.category",
                    "rate": "$lines.onBehalfOf.agent.rate",
                    "now": {"$literal": 1},
                }
            },
        ),
        {"$group": {"_id": _tax_of_line, **{n: {"$sum": f"${n}"} for n in ("amount", "rows", "taken", "now")}}},
        {
            "$group": {
                "_id": "$_id.line",
                "other": {"$sum": {"$cond": [equal("$now", 1), 0, {"$abs": "$amount"}]}},
                "taxes": {"$sum": {"$cond": [{"$gt": ["$rows", 0]}, 1, 0]}},
                "taken": {"$sum": "$taken"},
            }
        },
    ),
)
# An earlier version charged the difference with the new tax, and left the rest: it has more taxes than were taken back.
is_charged_anew: Expression = either(equal("$other", 0), {"$gt": ["$taxes", {"$add": ["$taken", 1]}]})

accruals_and_statements = View(
    "accruals and the statements that hold them",
    "accruals",
    (
        {
            "$project": {
                "accrual": {"$literal": 1},
                "settlementId": 1,
                "what": {
                    "account": "$settlementAccount",
                    "orderId": "$orderId",
                    "billNo": "$billNo",
                    "lineId": "$lineId",
                    "date": "$date",
                    "amount": "$amount",
                    "adjustmentId": "$adjustmentId",
                    "step": "$step",
                    "corrects": "$corrects",
                },
            }
        },
        union(
            "settlements",
            {"$project": {"settlementAccount": 1, "lines": 1}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": "$lines.accrualId",
                    "stated": {"$literal": 1},
                    "statement": "$_id",
                    "what": {
                        "account": "$settlementAccount",
                        "orderId": "$lines.orderId",
                        "billNo": "$lines.billNo",
                        "lineId": "$lines.lineId",
                        "date": "$lines.date",
                        "amount": "$lines.amount",
                        "adjustmentId": "$lines.adjustmentId",
                        "step": "$lines.step",
                        "corrects": "$lines.corrects",
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "accrual": {"$sum": "$accrual"},
                "stated": {"$sum": "$stated"},
                "settlementId": {"$max": "$settlementId"},
                **agreed("statement"),
                **agreed("what"),
            }
        },
    ),
)

ON_THE_LAST_DAY = ("recoupment", "holdback", "selfBilledTax", "fee", "commission")
"""The steps that a closing states of the last day of its period."""
is_of_its_period: Expression = true_of_each(
    "$lines",
    {
        "$cond": [
            {"$in": ["$$this.step.kind", ON_THE_LAST_DAY]},
            equal("$$this.date", "$periodEnd"),
            {"$lte": ["$$this.date", "$periodEnd"]},
        ]
    },
)

paid_statements = View(
    "statements and their payouts",
    "settlements",
    (
        {
            "$project": {
                "statement": {"$literal": 1},
                "account": "$settlementAccount",
                "state": 1,
                "total": 1,
                "threshold": 1,
                "paid": 1,
                "broughtForward": 1,
                "broughtForwardFrom": 1,
                "lines": {"$sum": "$lines.amount"},
                "netted": 1,
                "request": 1,
                "report": 1,
                "isWaiting": "$hold.isWaiting",
                "withheld": 1,
                "withholding": 1,
                "selfBilledTax": 1,
                "periodEnd": 1,
                "daysBeyond": {"$cond": [is_of_its_period, 0, 1]},
            }
        },
        # What was netted of a statement is kept as credit, under its id.
        union(
            "payments",
            {"$match": {"source": "netting"}},
            {"$project": {"_id": {"$substrBytes": ["$_id", len("netting~"), -1]}, "credit": "$amount"}},
        ),
        union(
            "payouts",
            {
                "$project": {
                    "_id": "$settlementId",
                    "payouts": {"$literal": 1},
                    "account": "$settlementAccount",
                    "paidOut": kept_by_partner,
                    "returns": {"$cond": [has("$returned"), 1, 0]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$max": f"${n}"}
                    for n in (
                        *("state", "threshold", "broughtForwardFrom", "request", "report", "isWaiting"),
                        *("withheld", "withholding", "selfBilledTax", "periodEnd"),
                    )
                },
                **{
                    n: {"$sum": f"${n}"}
                    for n in (
                        "statement",
                        "payouts",
                        "total",
                        "paid",
                        "paidOut",
                        "lines",
                        "broughtForward",
                        "netted",
                        "credit",
                        "returns",
                        "daysBeyond",
                    )
                },
                **agreed("account"),
            }
        },
    ),
)

# What payouts have paid since stands in the request, so what it was made of is known still. In dispute, or held of what
# was brought forward, there may have been more than now; and what came back while a document was disputed is not
# requested before it is let go.
to_be_paid: Expression = {"$subtract": ["$request.amount", "$request.netted"]}
paid_since: Expression = {"$ifNull": ["$request.settled", 0]}
unpaid_then: Expression = {"$add": [{"$subtract": ["$total", "$paid"]}, paid_since]}
paid_out_then: Expression = {"$subtract": ["$paid", {"$add": ["$netted", paid_since]}]}
most_held: Expression = {"$max": [0, "$broughtForward"]}
nothing_disputed: Expression = both({"$not": [has("$report")]}, {"$ne": ["$isWaiting", True]})
nothing_returned: Expression = equal("$returns", 0)
# A payout that comes back before the netting is requested anew before it too.
netted_later: Expression = {"$cond": [both(nothing_returned, nothing_disputed), 0, "$netted"]}
is_first_of_all: Expression = both(nothing_returned, both(nothing_disputed, {"$lte": ["$broughtForward", 0]}))
is_of_what_is_left: Expression = both(
    {"$gt": [to_be_paid, 0]},
    {"$lte": [to_be_paid, {"$add": [unpaid_then, netted_later]}]},
    {"$in": ["$request.netted", [0, "$netted"]]},
    either(
        {"$not": [is_first_of_all]},
        both(equal("$request.number", 1), equal("$request.netted", "$netted")),
    ),
    either({"$not": [nothing_disputed]}, {"$gte": [to_be_paid, {"$subtract": [unpaid_then, most_held]}]}),
    equal(
        "$request.id",
        {
            "$cond": [
                equal("$request.number", 1),
                "$_id",
                {"$concat": ["$_id", "-r", {"$toString": "$request.number"}]},
            ]
        },
    ),
)


def withheld_of(base: Expression) -> Expression:
    """The tax on a base at the rate of a request, its surcharge included."""
    tax_of_base = half_away({"$multiply": [{"$toDecimal": base}, {"$toDecimal": "$request.rate"}]})
    surcharged = half_away({"$multiply": ["$$tax", {"$toDecimal": {"$ifNull": ["$withholding.surchargeOnTax", "0"]}}]})
    return {"$let": {"vars": {"tax": tax_of_base}, "in": {"$add": ["$$tax", surcharged]}}}


withholding_base: Expression = {"$max": [0, {"$subtract": ["$total", {"$ifNull": ["$selfBilledTax", 0]}]}]}
base_to_date: Expression = half_away(
    {
        "$divide": [
            {"$multiply": [{"$toDecimal": withholding_base}, {"$add": [paid_out_then, to_be_paid]}]},
            {"$max": [1, {"$subtract": ["$total", "$netted"]}]},
        ]
    }
)
# What was withheld before it: all that is now, where nothing was paid since; nothing, where nothing was paid before.
_before: Expression = {"$cond": [equal(paid_since, 0), {"$ifNull": ["$withheld", []]}, []]}
_found: Expression = only("$$before", equal("$$this.rate", "$request.rate"))
_left_to_withhold: Expression = {"$subtract": [withholding_base, {"$sum": "$$before.base"}]}
_so_far: Expression = {"$max": [0, {"$subtract": [base_to_date, {"$sum": "$$before.base"}]}]}
tax_of_request: Expression = {
    "$let": {
        "vars": {"before": _before},
        "in": {
            "$let": {
                "vars": {
                    "base": {"$sum": each(_found, "$$this.base")},
                    "amount": {"$sum": each(_found, "$$this.amount")},
                },
                "in": {
                    "$min": [
                        to_be_paid,
                        {
                            "$max": [
                                0,
                                {"$subtract": [withheld_of({"$add": ["$$base", _so_far]}), "$$amount"]},
                                # A part of a few minor units leaves no more tax to the rest than that pays.
                                {
                                    "$subtract": [
                                        withheld_of({"$add": ["$$base", _left_to_withhold]}),
                                        {"$add": ["$$amount", {"$subtract": [unpaid_then, to_be_paid]}]},
                                    ]
                                },
                            ]
                        },
                    ]
                },
            }
        },
    }
}
before_is_known: Expression = both(
    either(nothing_returned, both(nothing_disputed, {"$lte": ["$broughtForward", 0]})),
    either(equal(paid_since, 0), equal(paid_out_then, 0)),
    either({"$ne": ["$request.number", 1]}, equal("$request.netted", "$netted")),
)
rates_of_statement: Expression = ["$withholding.rate", "$withholding.certificate.rate"]
tax_is_of_rate: Expression = {
    "$cond": [
        has("$request.rate"),
        both(
            {"$in": ["$request.rate", rates_of_statement]},
            {"$gte": ["$request.taxWithheld", 0]},
            {"$lte": ["$request.taxWithheld", to_be_paid]},
            either({"$not": [before_is_known]}, equal("$request.taxWithheld", tax_of_request)),
        ),
        both({"$not": [has("$withholding")]}, equal("$request.taxWithheld", 0)),
    ]
}

payouts_requested = View(
    "payouts that were requested, by partner, and what told of them",
    "settlements",
    (
        {"$match": {"request.number": {"$gt": 0}}},
        {"$group": {"_id": "$settlementAccount", "requested": {"$sum": "$request.number"}}},
        union(
            "outbox",
            {"$match": {"routingKey": "payout.requested"}},
            {"$group": {"_id": "$account", "told": {"$sum": 1}}},
        ),
        {"$group": {"_id": "$_id", "requested": {"$sum": "$requested"}, "told": {"$sum": "$told"}}},
    ),
)

is_carried: Expression = either({"$lte": ["$total", 0]}, has("$threshold"))
state_of_statement: Expression = {
    "$switch": {
        "branches": [
            {"case": is_carried, "then": "carriedForward"},
            {"case": equal("$paid", 0), "then": "open"},
            {"case": {"$lt": ["$paid", "$total"]}, "then": "partiallyPaid"},
        ],
        "default": "paid",
    }
}

carried_statements = View(
    "statements and what carries them forward",
    "settlements",
    (
        {"$project": {"statement": {"$literal": 1}, "account": "$settlementAccount", "state": 1, "total": 1}},
        union(
            "settlements",
            {"$match": {"broughtForwardFrom": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$broughtForwardFrom",
                    "named": {"$literal": 1},
                    "account": "$settlementAccount",
                    "carried": "$broughtForward",
                }
            },
        ),
        union(
            "positions",
            {"$match": {"carriedForward.settlementId": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$carriedForward.settlementId",
                    "standing": {"$literal": 1},
                    "account": "$_id",
                    "carried": "$carriedForward.amount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "state": {"$max": "$state"},
                **{n: {"$sum": f"${n}"} for n in ("statement", "total", "named", "standing", "carried")},
                **agreed("account"),
            }
        },
    ),
)

rate: Expression = {"$toDecimal": "$_id.rate"}
tax: Expression = {"$floor": {"$add": [{"$multiply": ["$base", rate]}, 0.5]}}
surcharge: Expression = {"$floor": {"$add": [{"$multiply": [tax, {"$toDecimal": "$surcharge"}]}, 0.5]}}
off: Expression = {"$subtract": ["$amount", {"$add": [tax, surcharge]}]}

# What is withheld is below zero nowhere, so halves are away from zero where they are up.
withheld_of_statements = View(
    "what is withheld of statements, by rate",
    "settlements",
    (
        {"$match": {"withheld.0": {"$exists": True}}},
        {"$unwind": "$withheld"},
        {
            "$project": {
                "_id": {"statement": "$_id", "rate": "$withheld.rate"},
                "base": "$withheld.base",
                "amount": "$withheld.amount",
                # All that payouts are to pay of it; those at the rate may have paid it alone.
                "byOthers": {"$subtract": ["$total", {"$ifNull": ["$netted", 0]}]},
                "surcharge": "$withholding.surchargeOnTax",
            }
        },
        union(
            "payouts",
            {"$match": {"withheld.rate": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"statement": "$settlementId", "rate": "$withheld.rate"},
                    **{
                        name: {"$cond": [has("$returned"), 0, value]}
                        for name, value in {
                            "payoutBase": "$withheld.base",
                            "payoutAmount": "$withheld.amount",
                            "byOthers": minus("$amount"),
                            "kept": {"$cond": [equal("$withheld.amount", "$amount"), 1, 0]},
                        }.items()
                    },
                    "returns": {"$cond": [has("$returned"), 1, 0]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "surcharge": {"$max": "$surcharge"},
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("base", "amount", "byOthers", "payoutBase", "payoutAmount", "kept", "returns")
                },
            }
        },
        {
            "$project": {
                "base": 1,
                "amount": 1,
                "byOthers": 1,
                "kept": 1,
                "returns": 1,
                "surcharge": {"$ifNull": ["$surcharge", "0"]},
                "ofPayouts": {"base": "$payoutBase", "amount": "$payoutAmount"},
            }
        },
    ),
)

shares_corrected = View(
    "lines that were corrected for terms of past days, and what they accrued by that",
    "shareCorrections",
    (
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {"$concat": ["$cause", " ", "$billNo", "/", "$lines.lineId"]},
                "told": {"$literal": 1},
                "accrued": "$lines.accrued",
                "commission": "$lines.commission",
                "account": "$settlementAccount",
            }
        },
        union(
            "accruals",
            {"$match": {"corrects": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"$concat": ["$cause", " ", "$corrects"]},
                    "amount": 1,
                    "charged": "$commission.amount",
                    "account": "$settlementAccount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{name: {"$sum": f"${name}"} for name in ("told", "accrued", "amount", "commission", "charged")},
                **agreed("account"),
            }
        },
    ),
)

backdatings = View(
    "corrections of past days that are under way",
    "backdatings",
    (
        {"$match": {"state": "running"}},
        {"$project": {"running": {"$literal": 1}}},
        union(
            "agreements",
            {"$match": {"backdating.0": {"$exists": True}}},
            {"$unwind": "$backdating"},
            {
                "$project": {
                    "_id": revision_id("$_id", "$backdating"),
                    "noted": {"$literal": 1},
                }
            },
        ),
        {"$group": {"_id": "$_id", "running": {"$sum": "$running"}, "noted": {"$sum": "$noted"}}},
    ),
)

returned_payouts = View(
    "payouts that came back",
    "payouts",
    (
        {"$match": {"returned.returnId": {"$gt": ""}}},
        {"$project": {"entry": {"$concat": ["payout.returned:", "$returned.returnId"]}}},
        # A payout comes back once in a thousand, so here a lookup by `_id` is cheaper than grouping the entries.
        {
            "$lookup": {
                "from": "entries",
                "localField": "entry",
                "foreignField": "_id",
                "pipeline": [{"$project": {"reverses": 1}}],
                "as": "entries",
            }
        },
        {"$project": {"reverses": {"$first": "$entries.reverses"}}},
    ),
)

agreements_in_order = View(
    "agreements, and the one of the partner before each",
    "agreements",
    (
        {
            "$setWindowFields": {
                "partitionBy": "$settlementAccount",
                "sortBy": {"start": 1, "_id": 1},
                "output": {"endBefore": {"$shift": {"output": end, "by": -1, "default": ""}}},
            }
        },
        {
            "$project": {
                **dict.fromkeys(("start", "endBefore", "agreed.validFrom", "agreed.revision"), 1),
                **dict.fromkeys(("validFrom", "validUntil"), 1),
                "end": end,
            }
        },
    ),
)

partners_agreed_with = View(
    "partners with agreements",
    "positions",
    (
        {"$match": {"agreements": {"$gt": 0}}},
        {"$project": {"position": {"$literal": 1}, "told": "$agreements"}},
        union("agreements", *owner_rows("settlementAccount", {"agreed": {"$size": "$agreed"}})),
        {"$group": {"_id": "$_id", **{name: {"$sum": f"${name}"} for name in ("position", "told", "agreed")}}},
    ),
)


def commission_of(agent: str) -> Expression:
    """Our commission by the terms of an agent, with the tax on it; null where we are none."""
    fields = {name: f"{agent}.{name}" for name in ("commission", "category", "rate")}
    return {"$cond": [has(agent), fields, None]}


tiers_by_payments: Expression = both(has("$agreed.terms.tiers"), equal("$agreed.terms.accrueOn", "payment"))
"""Whether terms have tiers that go by payments: lines have the first step's share."""

lines_and_agreements = View(
    "agreements' revisions and the lines that stand by them",
    "invoices",
    (
        {"$match": {"lines.onBehalfOf.agreement.id": {"$gt": ""}}},
        *partners_lines(has("$$this.onBehalfOf.agreement"), taxPointDate=1),
        {
            "$project": {
                "_id": revision_id("$lines.onBehalfOf.agreement.id", "$lines.onBehalfOf.agreement.revision"),
                "lines": {"$literal": 1},
                # What takes back a line does so by that line's terms, whenever that is.
                "day": {"$cond": [has("$lines.origin.corrects"), None, "$taxPointDate"]},
                "terms": {
                    "account": "$lines.onBehalfOf.id",
                    "byPayments": {"$isArray": "$lines.onBehalfOf.freed"},
                    "share": "$lines.onBehalfOf.partnerShare",
                    "accrueOn": "$lines.onBehalfOf.accrueOn",
                    "agent": commission_of("$lines.onBehalfOf.agent"),
                },
            }
        },
        union(
            "agreements",
            {"$unwind": "$agreed"},
            {"$set": {"ofLines": {"$ifNull": ["$agreed.linesAs", "$agreed.revision"]}}},
            {
                "$project": {
                    # Of revisions with the same terms lines go by the first, on the days of all of them.
                    "_id": revision_id("$_id", "$ofLines"),
                    "agreed": {"$cond": [equal("$agreed.revision", "$ofLines"), 1, 0]},
                    "from": "$agreed.validFrom",
                    "until": end,
                    "terms": {
                        "account": "$settlementAccount",
                        "byPayments": tiers_by_payments,
                        "share": {
                            "$cond": [
                                tiers_by_payments,
                                {"$getField": {"field": "share", "input": {"$first": "$agreed.terms.tiers.steps"}}},
                                "$agreed.terms.partnerShare",
                            ]
                        },
                        "accrueOn": "$agreed.terms.accrueOn",
                        "agent": commission_of("$agreed.terms.agent"),
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "lines": {"$sum": "$lines"},
                "agreed": {"$sum": "$agreed"},
                "from": {"$min": "$from"},
                "until": {"$max": "$until"},
                **agreed("day"),
                **agreed("terms"),
            }
        },
    ),
)

is_of_line: Expression = both(
    has("$$this.billNo"), {"$not": [has("$$this.adjustmentId")]}, {"$not": [has("$$this.step")]}
)
"""Whether a statement's line is compared: what a line of an order or a bill has accrued."""

reported_lines = View(
    "lines of statements as partners' reports have them",
    "statementReports",
    (
        {"$project": {"settlementId": 1}},
        {
            "$lookup": {
                "from": "settlements",
                "localField": "settlementId",
                "foreignField": "_id",
                "pipeline": [{"$project": {"lines": only("$lines", is_of_line)}}],
                "as": "statement",
            }
        },
        {"$unwind": "$statement"},
        {"$unwind": "$statement.lines"},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$statement.lines.billNo", "/", "$statement.lines.lineId"]},
                "rows": {"$literal": 1},
                "stated": "$statement.lines.amount",
                "orderId": "$statement.lines.orderId",
            }
        },
        union(
            "statementReports",
            {"$project": {"lines": only("$lines", has("$$this.ours"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {"$concat": ["$_id", "/", "$lines.billNo", "/", "$lines.lineId"]},
                    "reported": {"$literal": 1},
                    "ours": "$lines.ours",
                    "orderId": "$lines.orderId",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("rows", "reported", "stated", "ours")},
                **agreed("orderId"),
            }
        },
    ),
)

compared_lines = View(
    "lines of partners' reports",
    "statementReports",
    (
        {"$project": {"tolerance": 1, "lines": 1}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {
                    "$concat": ["$_id", "/", {"$ifNull": ["$lines.orderId", "$lines.billNo"]}, "/", "$lines.lineId"]
                },
                "tolerance": 1,
                "outcome": "$lines.outcome",
                "ours": "$lines.ours",
                "theirs": "$lines.theirs",
            }
        },
    ),
)

outcome_of_line: Expression = {
    "$switch": {
        "branches": [
            {"case": {"$not": [has("$ours")]}, "then": "missingHere"},
            {"case": {"$not": [has("$theirs")]}, "then": "missingThere"},
            {"case": {"$lte": [{"$abs": {"$subtract": ["$theirs", "$ours"]}}, "$tolerance"]}, "then": "agreed"},
        ],
        "default": "different",
    }
}


def _line_of(account: Expression, line: str) -> Expression:
    return {"$concat": [account, "/", f"{line}billNo", "/", f"{line}lineId"]}


lines_in_dispute = View(
    "lines that partners' latest reports leave in dispute, and what corrects them",
    "statementReports",
    (
        {
            "$project": {
                "settlementId": 1,
                "bookedAt": 1,
                "lines": only("$lines", {"$in": ["$$this.outcome", ["different", "missingThere"]]}),
            }
        },
        {
            "$lookup": {
                "from": "settlements",
                "localField": "settlementId",
                "foreignField": "_id",
                "pipeline": [{"$project": {"report": 1, "settlementAccount": 1}}],
                "as": "statement",
            }
        },
        {"$unwind": "$statement"},
        {"$match": {"$expr": equal("$statement.report", "$_id")}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": _line_of("$statement.settlementAccount", "$lines."),
                "left": {"statement": "$settlementId", "amount": "$lines.ours", "bookedAt": "$bookedAt"},
            }
        },
        union(
            "settlements",
            {"$match": {"disputed": {"$exists": True}}},
            {"$project": {"settlementAccount": 1, "disputed": 1}},
            {"$unwind": "$disputed"},
            {
                "$project": {
                    "_id": _line_of("$settlementAccount", "$disputed."),
                    "disputed": {"statement": "$_id", "amount": "$disputed.amount"},
                }
            },
        ),
        union(
            "accruals",
            {"$match": {"adjustmentId": {"$gt": ""}, "billNo": {"$gt": ""}}},
            {"$project": {"_id": _line_of("$settlementAccount", "$"), "correctedAt": "$bookedAt"}},
        ),
        {
            "$group": {
                "_id": "$_id",
                "left": {"$push": "$left"},
                "disputed": {"$push": "$disputed"},
                "correctedAt": {"$max": "$correctedAt"},
            }
        },
    ),
)
_is_disputed: Expression = {"$in": [{"statement": "$$this.statement", "amount": "$$this.amount"}, "$disputed"]}

reports_of_statements = View(
    "statements and the reports of them",
    "settlements",
    (
        {
            "$project": {
                "statement": {"$literal": 1},
                "account": "$settlementAccount",
                "currency": 1,
                "report": 1,
            }
        },
        union(
            "statementReports",
            {
                "$project": {
                    "_id": "$settlementId",
                    "reports": {"$literal": 1},
                    "account": "$settlementAccount",
                    "currency": 1,
                    "made": {"report": "$_id", "bookedAt": "$bookedAt"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "statement": {"$sum": "$statement"},
                "reports": {"$sum": "$reports"},
                "report": {"$max": "$report"},
                "made": {"$push": "$made"},
                **agreed("account"),
                **agreed("currency"),
            }
        },
    ),
)
latest_reports: Expression = each(only("$made", equal("$$this.bookedAt", {"$max": "$made.bookedAt"})), "$$this.report")
"""Of several that were booked at one time any may be the last."""

reports_and_inbox = View(
    "partners' reports and their facts",
    "statementReports",
    (
        {"$project": {"_id": {"$concat": ["statement.report:", "$_id"]}, "report": {"$literal": 1}}},
        union("inbox", begins("statement.report:"), {"$project": {"inbox": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", "report": {"$sum": "$report"}, "inbox": {"$sum": "$inbox"}}},
    ),
)

PAYOUT, RETURN, ADJUSTMENT = "payout.completed:", "payout.returned:", "settlement.adjust:"
"""How the identities of payouts, of their returns and of adjustments begin."""
ADVANCE, RELEASE, RELEASE_OF_DAY = "advance.paid:", "reserve.release:", "reserve.continue:"
"""How those of advances begin, of releases, and of those by a day."""
CORRECTION = "settlement.correct:"
"""How those of corrections of past days begin."""
FURTHER_PARTS = ["bill.continue", "bill.account"]
"""What further parts of bills are told by: of a demand, and of an account of a run."""

# `<billNo>/<lineId>` accrued with the invoice, and with `/<type>/<key>` by a credit note, which says itself what it
# changes of what is withheld. Where a payment stands behind the line, what accrues was withheld: it is released by
# what the payment covers, and withheld again where that is less than nothing. Of the keys only those of
# `credit.allocate`, and a payment stands before it always, and of further parts of bills have a stroke: what bills
# accrue is by their notes, or with an invoice of zero, which withholds nothing. What a closing adds was never withheld.
_parts: Expression = {"$split": ["$_id", "/"]}
released: Expression = {
    "$and": [
        {"$not": [has("$step")]},
        {"$not": [has("$corrects")]},
        {"$in": [{"$size": _parts}, [3, 5, 6]]},
        {"$or": [equal({"$size": _parts}, 3), {"$not": [{"$in": [{"$arrayElemAt": [_parts, 2]}, FURTHER_PARTS]}]}]},
    ]
}

tax_of_payout: Expression = {"$ifNull": ["$withheld.amount", 0]}
transferred: Expression = {"$subtract": ["$amount", tax_of_payout]}

is_facts_own: Expression = {
    "$or": [
        equal("$cause", {"$concat": [ADJUSTMENT, "$adjustmentId"]}),
        *(equal({"$indexOfBytes": ["$cause", kind]}, 0) for kind in (RELEASE, RELEASE_OF_DAY)),
    ]
}
"""Whether an accrual is what its fact is about: an adjustment, a release."""

posts_nothing: Expression = both(
    equal("$$this.was", "$$this.now"), equal("$$this.accrued", 0), equal("$$this.withheld", 0)
)
"""Whether a correction of a line moves no money."""

# By the posting table. A day's release has an entry unless there was nothing left when it came to it.
POSTED = Posted(
    (
        *(begins(kind) for kind in (PAYOUT, RETURN, ADJUSTMENT, ADVANCE, RELEASE)),
        {"$match": {**begins(RELEASE_OF_DAY)["$match"], "result.released.value": {"$gt": 0}}},
        {"$match": {**begins(CORRECTION)["$match"], "result.lines": {"$gt": 0}}},
    ),
    (
        union(
            "accruals",
            {
                "$project": {
                    "_id": "$cause",
                    "document": {"$cond": [is_facts_own, 1, 0]},
                    **due(
                        {
                            "payable": minus("$amount"),
                            "withheld": {"$cond": [released, "$amount", 0]},
                            "commission": {"$cond": [either(is_adjustment, is_true_up), "$amount", 0]},
                            "guarantee": amount_of("guarantee"),
                            "advance": amount_of("recoupment"),
                            "reserve": amount_of("holdback", "release"),
                        }
                    ),
                }
            },
        ),
        # Most closings add nothing, and have no entry: those that have are told by what they added, and by documents.
        union(
            "accruals",
            {"$match": {"step.kind": {"$in": ADDED}}},
            {"$group": {"_id": "$cause"}},
            union("settlementDocuments", {"$match": {"$expr": is_posted}}, {"$project": {"_id": "$cause"}}),
            {"$group": {"_id": "$_id"}},
            {
                "$lookup": {
                    "from": "inbox",
                    "localField": "_id",
                    "foreignField": "_id",
                    "pipeline": [{"$project": {"_id": 1}}],
                    "as": "inbox",
                }
            },
            {"$project": {"document": {"$literal": 1}, "inbox": {"$size": "$inbox"}}},
        ),
        union(
            "settlementDocuments",
            {"$match": {"$expr": is_posted}},
            {"$project": {"_id": "$cause", **due(POSTED_BY_DOCUMENTS)}},
        ),
        # What is given up follows from the invoice: losses say it.
        union(
            "shareCorrections",
            {
                "$project": {
                    "_id": "$cause",
                    "document": {"$literal": 1},
                    # What changes our commission alone has no entry: that is charged later.
                    "entry": {"$cond": [true_of_each("$lines", posts_nothing), 1, 0]},
                    **due(
                        {
                            "withheld": minus({"$sum": "$lines.withheld"}),
                            "commission": {"$subtract": [{"$sum": "$lines.now"}, {"$sum": "$lines.was"}]},
                        }
                    ),
                }
            },
        ),
        union(
            "advances",
            {
                "$project": {
                    "_id": {"$concat": [ADVANCE, "$_id"]},
                    "document": {"$literal": 1},
                    **due({"advance": "$amount", "cash": minus("$amount")}),
                }
            },
        ),
        union(
            "payouts",
            {"$match": {"returned.returnId": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"$concat": [RETURN, "$returned.returnId"]},
                    "document": {"$literal": 1},
                    **due({"payable": minus("$amount"), "cash": transferred, "taxWithheld": tax_of_payout}),
                }
            },
        ),
        union(
            "payouts",
            {
                "$project": {
                    "_id": {"$concat": [PAYOUT, "$_id"]},
                    "document": {"$literal": 1},
                    **due({"payable": "$amount", "cash": minus(transferred), "taxWithheld": minus(tax_of_payout)}),
                }
            },
        ),
    ),
)

CHECKS = (
    Check(
        name="payable-matches-accruals",
        invariant=5,
        view=partner_accounts,
        holds=equal("$payable", owed),
        expected=owed,
        found="$payable",
    ),
    Check(
        name="withheld-matches-shares",
        invariant=5,
        view=partner_accounts,
        holds=equal("$withheld", "$kept"),
        expected="$kept",
        found="$withheld",
    ),
    Check(
        name="reserve-matches-reserves",
        invariant=5,
        view=partner_accounts,
        holds=equal("$reserve", "$held"),
        expected="$held",
        found="$reserve",
    ),
    Check(
        name="advance-matches-advances",
        invariant=5,
        view=partner_accounts,
        holds=equal("$advance", {"$subtract": ["$advanced", "$recouped"]}),
        expected={"$subtract": ["$advanced", "$recouped"]},
        found="$advance",
    ),
    Check(
        name="lines-match-accruals",
        invariant=5,
        view=lines_and_accruals,
        among=equal("$line", 1),
        holds=equal("$accrued", "$amount"),
        expected="$amount",
        found="$accrued",
    ),
    Check(
        name="commissions-match-accruals",
        invariant=5,
        view=lines_and_accruals,
        among=equal("$line", 1),
        holds=both(equal("$charged", "$commission"), either({"$gt": ["$changed", 0]}, agrees("tax"))),
        expected={"commission": "$commission", "tax": "the same in all"},
        found={"commission": "$charged", "tax": span("tax")},
    ),
    Check(
        name="commissions-are-of-one-tax",
        invariant=5,
        view=commissions_by_tax,
        among={"$gt": ["$taken", 0]},
        holds=is_charged_anew,
        expected={"withAnotherTax": 0},
        found={"withAnotherTax": "$other"},
    ),
    Check(
        name="accruals-in-one-statement",
        invariant=5,
        view=accruals_and_statements,
        holds={
            "$cond": [
                has("$settlementId"),
                both(equal("$stated", 1), equal("$statementMost", "$settlementId")),
                equal("$stated", 0),
            ]
        },
        expected={"settlementId": "$settlementId"},
        found={"lines": "$stated", "statements": span("statement")},
    ),
    Check(
        name="statement-lines-match-accruals",
        invariant=5,
        view=accruals_and_statements,
        among={"$gt": ["$stated", 0]},
        holds=both(equal("$accrual", 1), agrees("what")),
        expected={"accrual": 1, "what": "the same in both"},
        found={"accrual": "$accrual", "what": span("what")},
    ),
    Check(
        name="statements-add-up",
        invariant=5,
        view=paid_statements,
        among=equal("$statement", 1),
        holds=both(
            equal("$total", {"$add": ["$lines", "$broughtForward"]}),
            either(equal("$broughtForward", 0), has("$broughtForwardFrom")),
        ),
        expected={"$add": ["$lines", "$broughtForward"]},
        found={"total": "$total", "broughtForward": "$broughtForward", "broughtForwardFrom": "$broughtForwardFrom"},
    ),
    Check(
        name="statements-carried-forward-once",
        invariant=5,
        view=carried_statements,
        holds={
            "$cond": [
                equal("$state", "carriedForward"),
                both(equal({"$add": ["$named", "$standing"]}, 1), equal("$carried", "$total"), agrees("account")),
                both(equal("$named", 0), equal("$standing", 0)),
            ]
        },
        expected={
            "times": {"$cond": [equal("$state", "carriedForward"), 1, 0]},
            "amount": {"$cond": [equal("$state", "carriedForward"), "$total", 0]},
            "settlementAccount": "the same in both",
        },
        found={
            "brought": "$named",
            "standing": "$standing",
            "amount": "$carried",
            "settlementAccount": span("account"),
        },
    ),
    Check(
        name="statements-match-payouts",
        invariant=5,
        view=paid_statements,
        among=equal("$statement", 1),
        holds=equal("$paid", {"$add": ["$paidOut", "$netted"]}),
        expected={"$add": ["$paidOut", "$netted"]},
        found="$paid",
    ),
    Check(
        name="statements-match-netting",
        invariant=5,
        view=paid_statements,
        among=either(equal("$statement", 1), {"$gt": ["$credit", 0]}),
        holds=both(equal("$netted", "$credit"), equal("$statement", 1)),
        expected={"statement": 1, "netted": "$credit"},
        found={"statement": "$statement", "netted": "$netted"},
    ),
    Check(
        name="statements-match-withheld",
        invariant=5,
        view=withheld_of_statements,
        holds=both(
            equal("$base", "$ofPayouts.base"),
            equal("$amount", "$ofPayouts.amount"),
            # A part has no more tax than it pays, and leaves no more to the rest than that pays. One that came back
            # took along what was withheld of it, also what evened the parts before it; the next part at the rate evens
            # that, if there is one: where all is paid at one rate, nothing is off.
            either(
                either(equal(off, 0), both({"$lt": [off, 0]}, {"$gt": ["$kept", 0]})),
                both(
                    {"$gt": ["$byOthers", 0]},
                    {"$lte": [{"$abs": off}, {"$multiply": [2, {"$add": [1, "$returns"]}]}]},
                ),
            ),
        ),
        expected={"base": "$ofPayouts.base", "amount": "$ofPayouts.amount", "tax": {"$add": [tax, surcharge]}},
        found={"base": "$base", "amount": "$amount"},
    ),
    Check(
        name="returns-reverse-their-payouts",
        invariant=5,
        view=returned_payouts,
        holds=equal("$reverses", {"$concat": [PAYOUT, "$_id"]}),
        expected={"reverses": {"$concat": [PAYOUT, "$_id"]}},
        found={"reverses": "$reverses"},
    ),
    Check(
        name="payouts-within-statements",
        invariant=5,
        view=paid_statements,
        among=equal("$statement", 1),
        holds=either(
            equal("$paid", 0),
            both({"$gt": ["$paid", 0]}, {"$lte": ["$paid", "$total"]}, {"$not": [is_carried]}),
        ),
        expected={"atMost": "$total"},
        found="$paidOut",
    ),
    Check(
        name="statements-are-of-their-periods",
        invariant=5,
        view=paid_statements,
        among=equal("$statement", 1),
        holds=equal("$daysBeyond", 0),
        expected={"until": "$periodEnd"},
        found={"daysBeyond": "$daysBeyond"},
    ),
    Check(
        name="requests-are-of-what-is-left",
        invariant=5,
        view=paid_statements,
        among=has("$request"),
        holds=both({"$not": [is_carried]}, is_of_what_is_left),
        expected={"toBePaid": unpaid_then, "butFor": most_held, "netted": "$netted"},
        found="$request",
    ),
    Check(
        name="requests-withhold-by-their-rates",
        invariant=5,
        view=paid_statements,
        among=has("$request"),
        holds=tax_is_of_rate,
        expected={
            "rate": {"$cond": [has("$withholding"), rates_of_statement, None]},
            "taxWithheld": {"$cond": [has("$request.rate"), tax_of_request, 0]},
        },
        found={"rate": "$request.rate", "taxWithheld": "$request.taxWithheld"},
    ),
    Check(
        name="statement-states-fit",
        invariant=5,
        view=paid_statements,
        among=equal("$statement", 1),
        holds=equal("$state", state_of_statement),
        expected=state_of_statement,
        found="$state",
    ),
    Check(
        name="thresholds-are-not-reached",
        invariant=5,
        view=paid_statements,
        among=has("$threshold"),
        holds=both({"$gt": ["$total", 0]}, {"$lt": ["$total", "$threshold"]}),
        expected={"between": [0, "$threshold"]},
        found="$total",
    ),
    Check(
        name="reports-match-statements",
        invariant=5,
        view=reported_lines,
        holds=both({"$gt": ["$rows", 0]}, equal("$reported", 1), equal("$ours", "$stated"), agrees("orderId")),
        expected={"reported": 1, "amount": "$stated", "orderId": "the same in both"},
        found={"reported": "$reported", "amount": "$ours", "orderId": span("orderId")},
    ),
    Check(
        name="outcomes-follow-figures",
        invariant=5,
        view=compared_lines,
        holds=equal("$outcome", outcome_of_line),
        expected=outcome_of_line,
        found="$outcome",
    ),
    Check(
        name="disputed-is-what-reports-leave",
        invariant=5,
        view=lines_in_dispute,
        among=either({"$gt": ["$left", []]}, {"$gt": ["$disputed", []]}),
        holds=both(
            {
                "$setIsSubset": [
                    "$disputed",
                    each("$left", {"statement": "$$this.statement", "amount": "$$this.amount"}),
                ]
            },
            equal({"$size": "$disputed"}, {"$size": distinct("$disputed")}),
            # An adjustment of the same batch came before the report or after it.
            true_of_each(
                "$left",
                {
                    "$cond": [
                        _is_disputed,
                        {"$lte": ["$correctedAt", "$$this.bookedAt"]},
                        {"$gte": ["$correctedAt", "$$this.bookedAt"]},
                    ]
                },
            ),
        ),
        expected={"disputed": "$left", "correctedAt": "$correctedAt"},
        found="$disputed",
    ),
    Check(
        name="statements-name-their-latest-reports",
        invariant=5,
        view=reports_of_statements,
        among=either({"$gt": ["$reports", 0]}, has("$report")),
        holds={"$in": ["$report", latest_reports]},
        expected=latest_reports,
        found="$report",
    ),
    Check(
        name="agreements-follow-each-other",
        invariant=5,
        view=agreements_in_order,
        holds=both(
            {"$lt": ["$start", "$end"]},
            {"$lte": ["$endBefore", "$start"]},
            equal({"$first": "$agreed.validFrom"}, "$start"),
            true_of_each(
                "$agreed",
                both({"$gte": ["$$this.validFrom", "$start"]}, {"$lt": ["$$this.validFrom", "$end"]}),
            ),
            equal("$agreed.revision", {"$range": [1, {"$add": [{"$size": "$agreed"}, 1]}]}),
        ),
        expected={"start": {"atLeast": "$endBefore"}, "validFrom": ["$start", "$end"]},
        found={"start": "$start", "end": "$end", "agreed": "$agreed"},
    ),
    Check(
        name="agreements-have-their-days",
        invariant=5,
        view=agreements_in_order,
        holds=both(
            is_date_of("$start", "$validFrom"),
            # A time within a day is on the last one: the first day after is the next.
            {"$cond": [has("$validUntil"), is_date_of("$end", "$validUntil", 1), equal("$end", AFTER_ALL_DAYS)]},
        ),
        expected={"start": "$validFrom", "end": "$validUntil"},
        found={"start": "$start", "end": "$end"},
    ),
    Check(
        name="positions-match-agreements",
        invariant=5,
        view=partners_agreed_with,
        holds=both(equal("$position", 1), equal("$told", "$agreed")),
        expected="$agreed",
        found={"position": "$position", "agreements": "$told"},
    ),
    Check(
        name="lines-match-agreements",
        invariant=5,
        view=lines_and_agreements,
        among={"$gt": ["$lines", 0]},
        holds=both(
            equal("$agreed", 1),
            agrees("terms"),
            either(
                {"$not": [has("$dayLeast")]},
                both({"$gte": ["$dayLeast", "$from"]}, {"$lt": ["$dayMost", "$until"]}),
            ),
        ),
        expected={"agreed": 1, "days": ["$from", "$until"], "terms": "the same in both"},
        found={"agreed": "$agreed", "days": span("day"), "terms": span("terms")},
    ),
    Check(
        name="corrections-match-accruals",
        invariant=5,
        view=shares_corrected,
        holds=both(
            equal("$told", 1),
            equal("$accrued", "$amount"),
            equal("$commission", "$charged"),
            agrees("account"),
        ),
        expected={
            "corrections": 1,
            "accrued": "$amount",
            "commission": "$charged",
            "settlementAccount": "the same in both",
        },
        found={
            "corrections": "$told",
            "accrued": "$accrued",
            "commission": "$commission",
            "settlementAccount": span("account"),
        },
    ),
    Check(
        name="agreements-match-backdatings",
        invariant=5,
        view=backdatings,
        holds=equal("$running", "$noted"),
        expected={"backdating": "$running"},
        found={"backdating": "$noted"},
    ),
    Check(
        name="payouts-are-requested-once",
        invariant=7,
        view=payouts_requested,
        holds={"$cond": ["$$pruned", {"$lte": ["$told", "$requested"]}, equal("$told", "$requested")]},
        expected={"told": "$requested"},
        found={"told": "$told"},
    ),
    Check(
        name="accruals-point-to-lines",
        invariant=9,
        view=lines_and_accruals,
        among={"$gt": ["$accruals", 0]},
        holds=both(equal("$line", 1), agrees("orderId"), agrees("account"), agrees("back")),
        expected={
            "line": 1,
            "orderId": "the same in both",
            "settlementAccount": "the same in both",
            "takesBack": "the same in both",
        },
        found={
            "line": "$line",
            "orderId": span("orderId"),
            "settlementAccount": span("account"),
            "takesBack": span("back"),
        },
    ),
    Check(
        name="payouts-point-to-statements",
        invariant=9,
        view=paid_statements,
        among={"$gt": ["$payouts", 0]},
        holds=both(equal("$statement", 1), agrees("account")),
        expected={"statement": 1, "settlementAccount": "the same in both"},
        found={"statement": "$statement", "settlementAccount": span("account")},
    ),
    Check(
        name="reports-point-to-statements",
        invariant=9,
        view=reports_of_statements,
        among={"$gt": ["$reports", 0]},
        holds=both(equal("$statement", 1), agrees("account"), agrees("currency")),
        expected={"statement": 1, "settlementAccount": "the same in all", "currency": "the same in all"},
        found={"statement": "$statement", "settlementAccount": span("account"), "currency": span("currency")},
    ),
    Check(
        name="reports-match-inbox",
        invariant=6,
        view=reports_and_inbox,
        holds=both(equal("$report", 1), equal("$inbox", 1)),
        expected={"report": 1, "inbox": 1},
        found={"report": "$report", "inbox": "$inbox"},
    ),
    Check(
        name="brought-forward-points-to-statements",
        invariant=9,
        view=carried_statements,
        holds=equal("$statement", 1),
        expected={"statement": 1},
        found={"statement": "$statement"},
    ),
    Check(
        name="partner-documents-have-positions",
        invariant=9,
        view=partner_accounts,
        among={"$gt": ["$documents", 0]},
        holds=both(equal("$position", 1), agrees("currency")),
        expected={"position": 1, "currency": "the same in all"},
        found={"position": "$position", "currency": span("currency")},
    ),
    *CLOSING_CHECKS,
    *DOCUMENT_CHECKS,
)
