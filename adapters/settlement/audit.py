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
    due,
    either,
    equal,
    has,
    minus,
    only,
    owner_rows,
    span,
    sum_where,
    true_of_each,
    union,
)

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
kept_by_partner: Expression = {"$cond": [has("$returned"), 0, "$amount"]}
"""What of a payout the partner has: nothing of one that came back."""

partner_accounts = View(
    "settlement accounts",
    "positions",
    (
        {"$project": {"position": {"$literal": 1}, "currency": 1, "payable": 1, "withheld": 1}},
        union("accruals", *owner_rows("settlementAccount", {"accrued": "$amount"})),
        union("payouts", *owner_rows("settlementAccount", {"paidOut": kept_by_partner})),
        union(
            "settlements", {"$project": {"settlementAccount": 1, "currency": 1}}, *owner_rows("settlementAccount", {})
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
                    for n in ("position", "documents", "payable", "withheld", "accrued", "paidOut", "kept")
                },
                "currencyLeast": {"$min": {"$ifNull": ["$currencyLeast", "$currency"]}},
                "currencyMost": {"$max": {"$ifNull": ["$currencyMost", "$currency"]}},
            }
        },
    ),
)

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
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("line", "accruals", "accrued", "amount")},
                **agreed("orderId"),
                **agreed("account"),
            }
        },
    ),
)

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
                "paid": 1,
                "broughtForward": 1,
                "broughtForwardFrom": 1,
                "lines": {"$sum": "$lines.amount"},
            }
        },
        union(
            "payouts",
            {
                "$project": {
                    "_id": "$settlementId",
                    "payouts": {"$literal": 1},
                    "account": "$settlementAccount",
                    "paidOut": kept_by_partner,
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "state": {"$max": "$state"},
                "broughtForwardFrom": {"$max": "$broughtForwardFrom"},
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("statement", "payouts", "total", "paid", "paidOut", "lines", "broughtForward")
                },
                **agreed("account"),
            }
        },
    ),
)

state_of_statement: Expression = {
    "$switch": {
        "branches": [
            {"case": {"$lte": ["$total", 0]}, "then": "carriedForward"},
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

end: Expression = {"$ifNull": ["$end", "9999-12-32"]}
"""The first day after an agreement; after every day, of one without an end."""

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
        {"$project": {"start": 1, "end": end, "endBefore": 1, "agreed.validFrom": 1, "agreed.revision": 1}},
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

lines_and_agreements = View(
    "agreements' revisions and the lines that stand by them",
    "invoices",
    (
        {"$match": {"lines.onBehalfOf.agreement.id": {"$gt": ""}}},
        {"$project": {"taxPointDate": 1, "lines": only("$lines", has("$$this.onBehalfOf.agreement"))}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {
                    "$concat": [
                        "$lines.onBehalfOf.agreement.id",
                        "/",
                        {"$toString": "$lines.onBehalfOf.agreement.revision"},
                    ]
                },
                "lines": {"$literal": 1},
                # What takes back a line does so by that line's terms, whenever that is.
                "day": {"$cond": [has("$lines.origin.corrects"), None, "$taxPointDate"]},
                "terms": {
                    "account": "$lines.onBehalfOf.id",
                    "share": "$lines.onBehalfOf.partnerShare",
                    "accrueOn": "$lines.onBehalfOf.accrueOn",
                },
            }
        },
        union(
            "agreements",
            {"$unwind": "$agreed"},
            {
                "$project": {
                    "_id": {"$concat": ["$_id", "/", {"$toString": "$agreed.revision"}]},
                    "agreed": {"$literal": 1},
                    "from": "$agreed.validFrom",
                    "until": end,
                    "terms": {
                        "account": "$settlementAccount",
                        "share": "$agreed.terms.partnerShare",
                        "accrueOn": "$agreed.terms.accrueOn",
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "lines": {"$sum": "$lines"},
                "agreed": {"$sum": "$agreed"},
                "from": {"$max": "$from"},
                "until": {"$max": "$until"},
                **agreed("day"),
                **agreed("terms"),
            }
        },
    ),
)

PAYOUT, RETURN, ADJUSTMENT = "payout.completed:", "payout.returned:", "settlement.adjust:"
"""How the identities of payouts, of their returns and of adjustments begin."""

# `<billNo>/<lineId>` accrued with the invoice, and with `/<type>/<key>` by a credit note, which says itself what it
# changes of what is withheld. Where a payment stands behind the line, what accrues was withheld: it is released by
# what the payment covers, and withheld again where that is less than nothing. Of the keys only those of
# `credit.allocate`, and a payment stands before it always, and of `bill.continue` have a stroke: what bills accrue is
# by their notes, or with an invoice of zero, which withholds nothing.
_parts: Expression = {"$split": ["$_id", "/"]}
released: Expression = {
    "$and": [
        {"$in": [{"$size": _parts}, [3, 5, 6]]},
        {"$or": [equal({"$size": _parts}, 3), {"$ne": [{"$arrayElemAt": [_parts, 2]}, "bill.continue"]}]},
    ]
}

# By the posting table.
POSTED = Posted(
    (begins(PAYOUT), begins(RETURN), begins(ADJUSTMENT)),
    (
        union(
            "accruals",
            {
                "$project": {
                    "_id": "$cause",
                    "document": {"$cond": [equal("$cause", {"$concat": [ADJUSTMENT, "$adjustmentId"]}), 1, 0]},
                    **due(
                        {
                            "payable": minus("$amount"),
                            "withheld": {"$cond": [released, "$amount", 0]},
                            "commission": {"$cond": [is_adjustment, "$amount", 0]},
                        }
                    ),
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
                    **due({"payable": minus("$amount"), "cash": "$amount"}),
                }
            },
        ),
        union(
            "payouts",
            {
                "$project": {
                    "_id": {"$concat": [PAYOUT, "$_id"]},
                    "document": {"$literal": 1},
                    **due({"payable": "$amount", "cash": minus("$amount")}),
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
        holds=equal("$payable", {"$subtract": ["$accrued", "$paidOut"]}),
        expected={"$subtract": ["$accrued", "$paidOut"]},
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
        name="lines-match-accruals",
        invariant=5,
        view=lines_and_accruals,
        among=equal("$line", 1),
        holds=equal("$accrued", "$amount"),
        expected="$amount",
        found="$accrued",
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
        holds=equal("$paid", "$paidOut"),
        expected="$paidOut",
        found="$paid",
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
        holds=either(equal("$paidOut", 0), both({"$gt": ["$paidOut", 0]}, {"$lte": ["$paidOut", "$total"]})),
        expected={"atMost": "$total"},
        found="$paidOut",
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
        name="accruals-point-to-lines",
        invariant=9,
        view=lines_and_accruals,
        among={"$gt": ["$accruals", 0]},
        holds=both(equal("$line", 1), agrees("orderId"), agrees("account")),
        expected={"line": 1, "orderId": "the same in both", "settlementAccount": "the same in both"},
        found={"line": "$line", "orderId": span("orderId"), "settlementAccount": span("account")},
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
)
