"""Documents of statements (invariants 5, 8 and 9): what was stated, their taxes, what corrects what, fees."""

from adapters.checks import (
    Check,
    Expression,
    Stage,
    View,
    agreed,
    agrees,
    begins,
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
    true_of_each,
    union,
)
from adapters.settlement.stages import CLOCKS_APART, end, is_date_of

SELF_BILLED = ("389", "261")
OURS = ("380", "381")
NOTES = ("261", "381")

is_self_billed: Expression = {"$in": ["$typeCode", SELF_BILLED]}
is_note: Expression = {"$in": ["$typeCode", NOTES]}
sign: Expression = {"$cond": [is_note, -1, 1]}
"""A credit note's amounts are above zero too."""


def signed(amount: Expression) -> Expression:
    """An amount of a document, below zero of a credit note."""
    return {"$multiply": [sign, amount]}


def of_documents(amount: Expression, *, self_billed: bool) -> Expression:
    """An amount of a document, or nothing where it is not in the partner's name, or is."""
    return {"$cond": [is_self_billed, signed(amount), 0] if self_billed else [is_self_billed, 0, signed(amount)]}


tax_of_document: Expression = {"$sum": "$taxItem.taxAmount"}
reverse_charge: Expression = {"$sum": "$taxItem.reverseCharge"}
fees_of_document: Expression = sum_where("$lines", equal("$$this.kind", "fee"), "$$this.amount")
commission_of_document: Expression = sum_where("$lines", equal("$$this.kind", "commission"), "$$this.amount")
is_posted: Expression = either({"$not": [is_self_billed]}, {"$ne": [{"$add": [tax_of_document, reverse_charge]}, 0]})
"""Whether a document is about money that nothing else has booked."""

POSTED_BY_DOCUMENTS: dict[str, Expression] = {
    "inputTax": of_documents({"$add": [tax_of_document, reverse_charge]}, self_billed=True),
    "tax": {
        "$cond": [is_self_billed, minus(signed(reverse_charge)), minus(signed(tax_of_document))],
    },
    "revenue": of_documents(minus(fees_of_document), self_billed=False),
    "commission": of_documents(minus(commission_of_document), self_billed=False),
}
"""What a document makes its closing post, debit positive; what it makes payable stands in the statement's lines."""


def rows_of(*kinds: str) -> Expression:
    """What a statement's lines of these kinds come to."""
    return sum_where("$lines", {"$in": ["$$this.step.kind", kinds]}, "$$this.amount")


# What fell on a day that is not self-billed is in a note as far as an invoice has something of it left, and no further.
falls_of_other_days: Expression = both(
    equal("$typeCode", "261"), {"$not": [true_of_each("$lines", has("$$this.agreement"))]}
)


documents_of_statements = View(
    "statements and their documents",
    "settlementDocuments",
    (
        {
            "$project": {
                "_id": "$settlementId",
                "documents": {"$literal": 1},
                "account": "$settlementAccount",
                "currency": 1,
                "billDate": 1,
                "daysOff": {"$cond": [is_date_of("$billDate", "$bookedAt"), 0, 1]},
                "taxed": of_documents(tax_of_document, self_billed=True),
                "invoiced": of_documents("$taxIncludedAmount", self_billed=False),
                "net": of_documents("$taxExcludedAmount", self_billed=True),
                "commission": of_documents(commission_of_document, self_billed=False),
                "ofOtherDays": {"$cond": [falls_of_other_days, 1, 0]},
            }
        },
        union(
            "accruals",
            {"$match": {"document": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$settlementId",
                    "earned": {"$cond": [has("$commission"), 0, "$amount"]},
                    "ofRows": "$commission.amount",
                }
            },
        ),
        union(
            "settlements",
            {
                "$project": {
                    "statement": {"$literal": 1},
                    "account": "$settlementAccount",
                    "currency": 1,
                    "tax": rows_of("selfBilledTax"),
                    "charged": minus(rows_of("fee", "commission")),
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in (
                        *("documents", "statement", "taxed", "invoiced", "tax", "charged", "daysOff"),
                        *("net", "earned", "commission", "ofRows", "ofOtherDays"),
                    )
                },
                **agreed("account"),
                **agreed("currency"),
                **agreed("billDate"),
            }
        },
    ),
)

rows_of_documents = View(
    "documents and the rows that they are of",
    "accruals",
    (
        {"$match": {"document": {"$gt": ""}}},
        {
            "$project": {
                "_id": "$document",
                "rows": {"$literal": 1},
                "amount": 1,
                "commission": "$commission.amount",
                "statement": "$settlementId",
                "account": "$settlementAccount",
            }
        },
        union(
            "settlementDocuments",
            {
                "$project": {
                    "document": {"$literal": 1},
                    "typeCode": 1,
                    "net": "$taxExcludedAmount",
                    "fees": fees_of_document,
                    "statement": "$settlementId",
                    "account": "$settlementAccount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "typeCode": {"$max": "$typeCode"},
                **{n: {"$sum": f"${n}"} for n in ("document", "rows", "amount", "commission", "net", "fees")},
                **agreed("statement"),
                **agreed("account"),
            }
        },
    ),
)
net_of_rows: Expression = {
    "$switch": {
        "branches": [
            {"case": equal("$typeCode", "389"), "then": "$amount"},
            {"case": equal("$typeCode", "380"), "then": {"$add": ["$commission", "$fees"]}},
        ],
        # What fell may stand in several credit notes, of which its rows name the first: those count by statement.
        "default": "$net",
    }
}


def _of_group(array: Expression, amount: Expression) -> Expression:
    """What the elements of an array that have the category and rate of `$$group` come to."""
    is_of_it = both(equal("$$this.category", "$$group.category"), equal("$$this.rate", "$$group.rate"))
    return sum_where(array, is_of_it, amount)


# EN 16931, BR-S-08 and its like: each group's net is that of the lines with its category and rate.
groups_add_up: Expression = {
    "$allElementsTrue": [
        {
            "$map": {
                "input": {"$concatArrays": ["$lines", "$taxItem"]},
                "as": "group",
                "in": equal(_of_group("$lines", "$$this.amount"), _of_group("$taxItem", "$$this.taxExcludedAmount")),
            }
        }
    ]
}

documents = View(
    "documents of statements",
    "settlementDocuments",
    (
        {
            "$project": {
                "typeCode": 1,
                "corrects": 1,
                "net": "$taxExcludedAmount",
                "total": "$taxIncludedAmount",
                "taxItem": 1,
                "lines": {"$sum": "$lines.amount"},
                "taxed": {"$sum": "$taxItem.taxExcludedAmount"},
                "tax": tax_of_document,
                "byGroup": groups_add_up,
                "isOpen": 1,
                "isSelfBilled": 1,
                "left": {
                    "$subtract": [
                        {"$sum": "$taxItem.taxExcludedAmount"},
                        {"$sum": "$credited.taxExcludedAmount"},
                    ]
                },
            }
        },
    ),
)
adds_up: Expression = both(
    {"$gt": ["$net", 0]},
    equal("$lines", "$net"),
    equal("$taxed", "$net"),
    "$byGroup",
    equal("$total", {"$add": ["$net", "$tax"]}),
)
due_open: Expression = both({"$not": [is_note]}, {"$gt": ["$left", 0]})


def tax_at(net: Expression, rate: Expression) -> Expression:
    """The tax on a net at a rate, halves away from zero."""
    return half_away({"$multiply": [net, {"$toDecimal": {"$ifNull": [rate, "0"]}}]})


# Of what corrects no invoice the tax is that of its own net; of what does, all notes of the invoice count together.
taxes_of_groups = View(
    "tax groups of invoices and what credit notes took of them",
    "settlementDocuments",
    (
        {"$unwind": "$taxItem"},
        {
            "$project": {
                "_id": {
                    "number": {"$ifNull": ["$corrects", "$_id"]},
                    "category": "$taxItem.category",
                    "rate": "$taxItem.rate",
                    "reverseChargeRate": "$taxItem.reverseChargeRate",
                },
                "item": {"$cond": [has("$corrects"), None, "$taxItem"]},
                "note": {"$cond": [has("$corrects"), "$taxItem", None]},
            }
        },
        union(
            "settlementDocuments",
            {"$match": {"credited.0": {"$exists": True}}},
            {"$unwind": "$credited"},
            {
                "$project": {
                    "_id": {
                        "number": "$_id",
                        "category": "$credited.category",
                        "rate": "$credited.rate",
                        "reverseChargeRate": "$credited.reverseChargeRate",
                    },
                    "told": "$credited",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    f"{kind}{name[0].upper()}{name[1:]}": {"$sum": f"${kind}.{name}"}
                    for kind in ("item", "note", "told")
                    for name in ("taxExcludedAmount", "taxAmount", "reverseCharge")
                },
            }
        },
    ),
)


def is_taxed(kind: str) -> Expression:
    """Whether the tax of invoices, or of credit notes, is that of their net."""
    net = f"${kind}TaxExcludedAmount"
    return both(
        equal(f"${kind}TaxAmount", tax_at(net, "$_id.rate")),
        equal(f"${kind}ReverseCharge", tax_at(net, "$_id.reverseChargeRate")),
    )


def _tax_of_item(account: str, rate: str, amount: Expression) -> Expression:
    return {"account": account, "category": "$taxItem.category", "rate": rate, "amount": amount}


_reverse_charged: Expression = signed("$taxItem.reverseCharge")
_reverse_rate = "$taxItem.reverseChargeRate"
# By the posting table, debit positive.
_tax_due: Expression = {
    "$cond": [
        is_self_billed,
        [
            _tax_of_item("inputTax", "$taxItem.rate", signed("$taxItem.taxAmount")),
            _tax_of_item("inputTax", _reverse_rate, _reverse_charged),
            _tax_of_item("tax", _reverse_rate, minus(_reverse_charged)),
        ],
        [_tax_of_item("tax", "$taxItem.rate", minus(signed("$taxItem.taxAmount")))],
    ]
}


def _posting_of(entry: str, of: str, **amounts: Expression) -> Stage:
    key = {
        "entry": entry,
        "account": f"{of}.account",
        "category": f"{of}.category",
        "rate": {"$toDecimal": {"$ifNull": [f"{of}.rate", "0"]}},
    }
    return {"$project": {"_id": key, **amounts}}


posted_taxes = View(
    "taxes of documents, and what their closings posted of each",
    "settlementDocuments",
    (
        {"$unwind": "$taxItem"},
        {"$project": {"cause": 1, "tax": _tax_due}},
        {"$unwind": "$tax"},
        _posting_of("$cause", "$tax", due="$tax.amount"),
        union(
            "entries",
            begins("settlement."),
            {"$match": {"postings.account": {"$in": ["tax", "inputTax"]}}},
            {"$unwind": "$postings"},
            {"$match": {"postings.account": {"$in": ["tax", "inputTax"]}}},
            _posting_of("$_id", "$postings", posted="$postings.amount"),
        ),
        {"$group": {"_id": "$_id", "due": {"$sum": "$due"}, "posted": {"$sum": "$posted"}}},
    ),
)

corrections_of_documents = View(
    "credit notes and the documents that they correct",
    "settlementDocuments",
    (
        {"$match": {"corrects": {"$gt": ""}}},
        {
            "$project": {
                "_id": "$corrects",
                "notes": {"$literal": 1},
                "account": "$settlementAccount",
                "kind": {"$cond": [equal("$typeCode", "261"), "389", "380"]},
            }
        },
        union(
            "settlementDocuments",
            {
                "$project": {
                    "document": {"$literal": 1},
                    "account": "$settlementAccount",
                    "kind": "$typeCode",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "notes": {"$sum": "$notes"},
                "document": {"$sum": "$document"},
                **agreed("account"),
                **agreed("kind"),
            }
        },
    ),
)

# What fell of a line corrects the invoices that have it, as far as something is left of them: a note that names none is
# one in thousands, and is of lines that no open invoice has. So for each the rows of its lines are looked up, by ids.
_lines_of_note: Expression = only("$lines", has("$$this.billNo"))
_line: Expression = {"$ifNull": ["$lines._id", ""]}


def _series(number: str) -> Expression:
    """A document's number without its nine digits."""
    return {"$substrCP": [number, 0, {"$subtract": [{"$strLenCP": number}, 9]}]}


# What was booked in one batch is in order by its numbers within a series; what another has stays undecided.
_same_batch: Expression = equal("$bookedAt", "$$bookedAt")
_other_series: Expression = {"$ne": [_series("$_id"), _series("$$note")]}
_may_be_before: Expression = either(
    {"$lt": ["$bookedAt", "$$bookedAt"]}, both(_same_batch, either(_other_series, {"$lt": ["$_id", "$$note"]}))
)
notes_of_nothing = View(
    "self-billed credit notes that name no invoice, and the invoices of their lines",
    "settlementDocuments",
    (
        {"$match": {"typeCode": "261", "corrects": None}},
        {"$project": {"settlementId": 1, "bookedAt": 1}},
        {
            "$lookup": {
                "from": "settlements",
                "localField": "settlementId",
                "foreignField": "_id",
                "pipeline": [
                    {
                        "$project": {
                            "rows": {"$map": {"input": _lines_of_note, "in": "$$this.accrualId"}},
                        }
                    }
                ],
                "as": "statements",
            }
        },
        {"$set": {"rows": {"$first": "$statements.rows"}}},
        {
            "$lookup": {
                "from": "accruals",
                "localField": "rows",
                "foreignField": "_id",
                "let": {"note": "$_id"},
                "pipeline": [
                    {"$match": {"$expr": equal("$document", "$$note")}},
                    {"$group": {"_id": {"$concat": ["$billNo", "/", "$lineId"]}}},
                ],
                "as": "lines",
            }
        },
        {"$unwind": {"path": "$lines", "preserveNullAndEmptyArrays": True}},
        {
            "$lookup": {
                "from": "accruals",
                "let": {"line": _line, "after": {"$concat": [_line, "0"]}, "note": "$_id"},
                "pipeline": [
                    {"$match": {"$expr": both({"$gte": ["$_id", "$$line"]}, {"$lt": ["$_id", "$$after"]})}},
                    {"$match": {"document": {"$gt": ""}, "commission": None}},
                    {
                        "$match": {
                            "$expr": both(
                                equal({"$concat": ["$billNo", "/", "$lineId"]}, "$$line"),
                                {"$ne": ["$document", "$$note"]},
                            )
                        }
                    },
                    {"$project": {"document": 1, "amount": 1}},
                ],
                "as": "others",
            }
        },
        {
            "$lookup": {
                "from": "settlementDocuments",
                "localField": "others.document",
                "foreignField": "_id",
                "let": {"bookedAt": "$bookedAt", "note": "$_id"},
                "pipeline": [
                    {"$match": {"$expr": _may_be_before}},
                    {"$project": {"isOpen": 1, "typeCode": 1, "undecided": both(_same_batch, _other_series)}},
                ],
                "as": "before",
            }
        },
        {
            "$project": {
                "line": "$lines._id",
                "invoices": only("$before", equal("$$this.typeCode", "389")),
                "undecided": {"$anyElementTrue": ["$before.undecided"]},
                "standing": sum_where("$others", {"$in": ["$$this.document", "$before._id"]}, "$$this.amount"),
            }
        },
    ),
)
open_invoices: Expression = only("$invoices", equal("$$this.isOpen", {"$literal": True}))

_tax_charged: dict[str, Expression] = {
    "statement": "$settlementId",
    "category": "$tax.category",
    # 0.2 and 0.20 are one rate.
    "rate": {"$toDecimal": "$tax.rate"},
}
_is_charged_as_stated: Expression = equal("$charged", "$ofRows")
# As an earlier version left it: more taxes than were taken back, and of one more falls than was charged with it.
_is_left_at_another_tax: Expression = both(
    {"$gt": ["$taxes", {"$add": ["$taken", 1]}]},
    {"$lt": ["$least", 0]},
    {"$gt": [{"$subtract": ["$amount", "$least"]}, 0]},
)
_rows_with_commission: tuple[Stage, ...] = (
    {"$match": {"$expr": both({"$gte": ["$_id", "$$line"]}, {"$lt": ["$_id", "$$after"]})}},
    {
        "$match": {
            "commission.amount": {"$exists": True},
            "$expr": equal({"$concat": ["$billNo", "/", "$lineId"]}, "$$line"),
        }
    },
    {
        "$group": {
            "_id": {"category": "$commission.category", "rate": {"$toDecimal": "$commission.rate"}},
            "amount": {"$sum": "$commission.amount"},
            "taken": {"$sum": {"$cond": [{"$regexMatch": {"input": "$_id", "regex": "/tax$"}}, 1, 0]}},
        }
    },
    {
        "$group": {
            "_id": None,
            "taxes": {"$sum": 1},
            "least": {"$min": "$amount"},
            **{n: {"$sum": f"${n}"} for n in ("amount", "taken")},
        }
    },
    {"$match": {"$expr": _is_left_at_another_tax}},
)
# The lines are looked up of those few statements only that charge another tax than their rows say.
_lines_left_at_another_tax: tuple[Stage, ...] = (
    {"$project": {"line": each(_lines_of_note, {"$concat": ["$$this.billNo", "/", "$$this.lineId"]})}},
    {"$unwind": "$line"},
    {"$group": {"_id": "$line"}},
    {
        "$lookup": {
            "from": "accruals",
            "let": {"line": "$_id", "after": {"$concat": ["$_id", "0"]}},
            "pipeline": list(_rows_with_commission),
            "as": "rows",
        }
    },
    {"$match": {"rows.0": {"$exists": True}}},
)
commission_by_tax = View(
    "commission that statements charge by its tax, their rows, and lines that an earlier version charged",
    "settlementDocuments",
    (
        {"$match": {"typeCode": {"$in": OURS}}},
        {"$project": {"settlementId": 1, "typeCode": 1, "tax": only("$lines", equal("$$this.kind", "commission"))}},
        {"$unwind": "$tax"},
        {"$project": {"_id": _tax_charged, "charged": signed("$tax.amount")}},
        union(
            "accruals",
            {"$match": {"document": {"$gt": ""}, "commission.amount": {"$exists": True}}},
            {"$project": {"settlementId": 1, "tax": "$commission"}},
            {"$project": {"_id": _tax_charged, "ofRows": "$tax.amount"}},
        ),
        {"$group": {"_id": "$_id", "charged": {"$sum": "$charged"}, "ofRows": {"$sum": "$ofRows"}}},
        {"$set": {"lookedUp": {"$cond": [_is_charged_as_stated, None, "$_id.statement"]}}},
        {
            "$lookup": {
                "from": "settlements",
                "localField": "lookedUp",
                "foreignField": "_id",
                "pipeline": list(_lines_left_at_another_tax),
                "as": "earlier",
            }
        },
    ),
)

kind_of_row: Expression = {
    "$switch": {
        "branches": [
            {"case": has("$commission"), "then": "commission"},
            {"case": has("$adjustmentId"), "then": "adjustment"},
        ],
        "default": {"$ifNull": ["$step.kind", "accrual"]},
    }
}


def _tax_of_commission(of: str, kind: Expression) -> dict[str, Expression]:
    """The tax of our commission; nothing of what the partner has earned, whose rows know none."""
    return {n: {"$cond": [equal(kind, "commission"), f"{of}.{n}", None]} for n in ("category", "rate")}


def _in_all(arrays: str) -> Expression:
    """What is in one of these arrays."""
    return {"$reduce": {"input": arrays, "initialValue": [], "in": {"$setUnion": ["$$value", "$$this"]}}}


# What fell may stand in several credit notes, of which its rows name the first, and in the tax group of what each of
# them corrects: so a statement's notes of a type count together, and without it. Fees have no rows.
lines_and_rows = View(
    "what documents have of each kind, and the rows that they are of",
    "accruals",
    (
        {"$match": {"document": {"$gt": ""}}},
        {
            "$group": {
                "_id": {
                    "number": "$document",
                    "kind": kind_of_row,
                    **_tax_of_commission("$commission", kind_of_row),
                },
                "amount": {"$sum": {"$ifNull": ["$commission.amount", "$amount"]}},
                "dates": {"$addToSet": "$date"},
            }
        },
        {
            "$project": {
                "_id": "$_id.number",
                "row": {
                    **{n: f"$_id.{n}" for n in ("kind", "category", "rate")},
                    "ofRows": "$amount",
                    "dates": "$dates",
                },
            }
        },
        union(
            "settlementDocuments",
            {
                "$project": {
                    "typeCode": 1,
                    "statement": "$settlementId",
                    "lines": each(
                        only("$lines", {"$ne": ["$$this.kind", "fee"]}),
                        {
                            "kind": "$$this.kind",
                            **_tax_of_commission("$$this", "$$this.kind"),
                            "ofLines": signed("$$this.amount"),
                            "start": "$$this.start",
                            "end": "$$this.end",
                            "ofOtherDay": {"$cond": [has("$$this.agreement"), 0, 1]},
                        },
                    ),
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$max": f"${n}"} for n in ("typeCode", "statement", "lines")},
                "rows": {"$push": "$row"},
            }
        },
        {"$match": {"typeCode": {"$gt": ""}}},
        {"$set": {"part": {"$concatArrays": ["$lines", "$rows"]}}},
        {"$unwind": "$part"},
        {
            "$group": {
                "_id": {
                    "of": {"$cond": [is_note, "$statement", "$_id"]},
                    "typeCode": "$typeCode",
                    "kind": "$part.kind",
                    **{n: {"$cond": [is_note, None, f"$part.{n}"]} for n in ("category", "rate")},
                },
                **{n: {"$sum": f"$part.{n}"} for n in ("ofLines", "ofRows", "ofOtherDay")},
                "dates": {"$push": "$part.dates"},
                "starts": {"$addToSet": "$part.start"},
                "ends": {"$addToSet": "$part.end"},
            }
        },
        {"$set": {"dates": _in_all("$dates")}},
    ),
)
is_of_other_days: Expression = both(equal("$_id.typeCode", "261"), {"$gt": ["$ofOtherDay", 0]})

_tax_of_line: dict[str, Expression] = {"category": "$lines.category", "rate": "$lines.rate"}
_of_agreement: dict[str, Expression] = {"account": "$settlementAccount", "from": "$start", "until": end}


def _agreed(what: str, field: str, *, is_once: bool = False) -> tuple[Stage, ...]:
    """A row for each tax that was ever agreed of what a field of closing terms is about, by its agreement.

    With `is_once` by its partner, and with the series.
    """
    of = f"$agreed.closing.{field}"
    reverse = {"reverseChargeRate": {"$ifNull": [f"{of}.reverseChargeRate", None]}, "series": f"{of}.series"}
    key = {"what": what, "of": "$settlementAccount" if is_once else "$_id"}
    return (
        {"$unwind": "$agreed"},
        {"$match": {f"agreed.closing.{field}.category": {"$gt": ""}}},
        {
            "$project": {
                "_id": {**key, "category": f"{of}.category", "rate": f"{of}.rate", **(reverse if is_once else {})},
                "agreed": {"$literal": 1},
                **({} if is_once else _of_agreement),
            }
        },
    )


# A note has the tax of what it corrects, and goes by the first day of the line, which its own days do not tell.
OF_LINES = ("accrual", "adjustment", "commission")
"""The kinds of documents' lines that rows of lines, and what corrects them, stand in."""

lines_and_terms = View(
    "taxes of documents' lines by their agreements, and what was ever agreed",
    "settlementDocuments",
    (
        {"$project": {"typeCode": 1, "corrects": 1, "settlementAccount": 1, "lines": 1}},
        {"$unwind": "$lines"},
        {
            "$match": {
                "$or": [
                    {"typeCode": "389"},
                    {"typeCode": "261", "corrects": None},
                    {"typeCode": {"$in": OURS}, "lines.agreement": {"$gt": ""}},
                    {"typeCode": "381", "lines.kind": "fee"},
                ]
            }
        },
        {
            "$project": {
                "_id": {
                    "$cond": [
                        equal("$lines.kind", "commission"),
                        {"what": "commission", "of": "$lines.agreement"},
                        {
                            "what": {"$cond": [is_self_billed, "selfBilling", "fixedFee"]},
                            "of": "$lines.agreement",
                            **_tax_of_line,
                        },
                    ]
                },
                "lines": {"$literal": 1},
                "number": "$_id",
                "account": "$settlementAccount",
                # What corrects a line goes by that line's day, and may be of another one.
                "first": {"$cond": [{"$in": ["$lines.kind", OF_LINES]}, "$$REMOVE", "$lines.start"]},
                "last": {
                    "$cond": [
                        {"$in": ["$lines.kind", ["trueUp", "guarantee", "commission", "fee"]]},
                        "$lines.start",
                        "$$REMOVE",
                    ]
                },
            }
        },
        union(
            "settlementDocuments",
            {"$match": {"typeCode": "389"}},
            {"$unwind": "$taxItem"},
            {
                "$project": {
                    "_id": {
                        "what": "taxItem",
                        "of": "$settlementAccount",
                        "category": "$taxItem.category",
                        "rate": "$taxItem.rate",
                        "reverseChargeRate": {"$ifNull": ["$taxItem.reverseChargeRate", None]},
                        "series": _series("$_id"),
                    },
                    "lines": {"$literal": 1},
                    "number": "$_id",
                }
            },
        ),
        union("agreements", *_agreed("selfBilling", "selfBilling")),
        union("agreements", *_agreed("fixedFee", "fixedFee")),
        union("agreements", *_agreed("taxItem", "selfBilling", is_once=True)),
        union(
            "agreements",
            {"$project": {"_id": {"what": "commission", "of": "$_id"}, "agreed": {"$literal": 1}, **_of_agreement}},
        ),
        {
            "$group": {
                "_id": "$_id",
                "lines": {"$sum": "$lines"},
                "agreed": {"$sum": "$agreed"},
                "number": {"$min": "$number"},
                "first": {"$min": "$first"},
                "last": {"$max": "$last"},
                "from": {"$min": "$from"},
                "until": {"$max": "$until"},
                **agreed("account"),
            }
        },
    ),
)

# The rows of a line are looked up of those few only that it does not name though it should.
_corrected_line: Expression = {"$ifNull": ["$takesBack", {"$concat": ["$billNo", "/", "$lineId"]}]}
_is_named: Expression = either({"$gt": ["$told", 0]}, {"$ne": ["$hasDocument", 1]})
_is_of_earlier_version: Expression = both(
    equal("$isAdjustment", 1),
    either({"$not": [has("$firstTold")]}, {"$lt": ["$bookedAt", "$firstTold"]}),
)
_was_there: Expression = either(
    equal("$settlementId", "$$statement"), {"$lt": [{"$add": ["$bookedAt", CLOCKS_APART]}, "$$bookedAt"]}
)
corrections_of_lines = View(
    "rows that correct a line without being of it, and what the line says of them",
    "accruals",
    (
        {"$match": {"correctedBy.0": {"$exists": True}}},
        {"$unwind": "$correctedBy"},
        {
            "$project": {
                "_id": {"line": {"$concat": ["$billNo", "/", "$lineId"]}, "row": "$correctedBy"},
                "told": {"$literal": 1},
                "account": "$settlementAccount",
            }
        },
        union(
            "accruals",
            {
                "$match": {
                    "settlementId": {"$gt": ""},
                    "$or": [{"adjustmentId": {"$gt": ""}, "billNo": {"$gt": ""}}, {"takesBack": {"$gt": ""}}],
                }
            },
            {
                "$project": {
                    "_id": {"line": _corrected_line, "row": "$_id"},
                    "correcting": {"$literal": 1},
                    "hasDocument": {"$cond": [has("$document"), 1, 0]},
                    "isAdjustment": {"$cond": [has("$adjustmentId"), 1, 0]},
                    "account": "$settlementAccount",
                    "statement": "$settlementId",
                    "bookedAt": 1,
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("told", "correcting")},
                **{n: {"$max": f"${n}"} for n in ("hasDocument", "isAdjustment", "statement", "bookedAt")},
                **agreed("account"),
            }
        },
        # An earlier version noted none: of a partner those adjustments are its that are before the first one noted.
        {
            "$setWindowFields": {
                "partitionBy": "$accountLeast",
                "output": {"firstTold": {"$min": {"$cond": [{"$gt": ["$told", 0]}, "$bookedAt", None]}}},
            }
        },
        {"$set": {"isExcused": either(_is_named, _is_of_earlier_version)}},
        {
            "$lookup": {
                "from": "accruals",
                "let": {
                    "from": "$_id.line",
                    "until": {"$cond": ["$isExcused", "", {"$concat": ["$_id.line", "0"]}]},
                    "line": "$_id.line",
                    "statement": "$statement",
                    "bookedAt": "$bookedAt",
                },
                "pipeline": [
                    {"$match": {"$expr": both({"$gte": ["$_id", "$$from"]}, {"$lt": ["$_id", "$$until"]})}},
                    {"$match": {"$expr": both(equal({"$concat": ["$billNo", "/", "$lineId"]}, "$$line"), _was_there)}},
                    {"$limit": 1},
                    {"$project": {"_id": 1}},
                ],
                "as": "rows",
            }
        },
    ),
)

_fee_of: dict[str, Expression] = {
    "settlementAccount": "$settlementAccount",
    "agreement": "$lines.agreement",
    "start": "$lines.start",
    "type": "$lines.type",
}
charged_periods = View(
    "periods of fees, as documents and as it is kept",
    "settlementDocuments",
    (
        {"$match": {"typeCode": {"$in": OURS}}},
        {"$project": {"settlementAccount": 1, "typeCode": 1, "lines": only("$lines", equal("$$this.kind", "fee"))}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": _fee_of,
                "invoiced": signed("$lines.amount"),
                "number": {"$cond": [is_note, "$$REMOVE", "$_id"]},
            }
        },
        union(
            "earnings",
            {"$match": {"charged.0": {"$exists": True}}},
            {"$unwind": "$charged"},
            {
                "$project": {
                    "_id": {
                        "settlementAccount": "$settlementAccount",
                        "agreement": "$charged.agreement",
                        "start": "$charged.start",
                        "type": "$charged.type",
                    },
                    "kept": "$charged.amount",
                    "ofInvoices": {"$sum": {"$ifNull": ["$charged.parts.amount", ["$charged.amount"]]}},
                    "document": "$charged.document",
                    "times": {"$literal": 1},
                    "in": "$_id",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("invoiced", "kept", "ofInvoices", "times")},
                "in": {"$max": "$in"},
                "document": {"$max": "$document"},
                "numbers": {"$push": "$number"},
            }
        },
    ),
)
year_of_period: Expression = {"$concat": ["$_id.settlementAccount", "/", {"$substrBytes": ["$_id.start", 0, 4]}]}

disputed_documents = View(
    "documents that are disputed, and the statements that they hold",
    "settlementDocuments",
    (
        {
            "$project": {
                "document": {"$literal": 1},
                "disputed": {"$cond": [equal({"$last": {"$ifNull": ["$said.state", []]}}, "disputed"), 1, 0]},
                "statement": "$settlementId",
            }
        },
        union(
            "settlements",
            {"$match": {"hold": {"$exists": True}}},
            {"$unwind": "$hold.documents"},
            {"$project": {"_id": "$hold.documents", "holds": {"$literal": 1}, "statement": "$_id"}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("document", "disputed", "holds")},
                **agreed("statement"),
            }
        },
    ),
)

documents_before: Expression = {"$ifNull": ["$heldForward.documents", []]}
amount_before: Expression = {"$ifNull": ["$heldForward.amount", 0]}
above_zero: Expression = {"$max": [0, "$total"]}
reports_before: Expression = {"$ifNull": ["$heldForward.reports", []]}
lines_in_dispute: Expression = {"$max": [0, {"$sum": "$disputed.amount"}]}
amount_to_hold: Expression = {
    "$cond": [has("$hold"), above_zero, {"$min": [above_zero, {"$add": [amount_before, lines_in_dispute]}]}],
}
held_forward = View(
    "statements that were brought forward, and what is held of them",
    "settlements",
    (
        {
            "$project": {
                "to": {"$ifNull": ["$carriedTo", None]},
                "amount": amount_to_hold,
                "documents": {
                    "$cond": [
                        {"$gt": [amount_to_hold, 0]},
                        {"$concatArrays": [{"$ifNull": ["$hold.documents", []]}, documents_before]},
                        [],
                    ]
                },
                "reports": {
                    "$cond": [
                        {"$gt": [amount_to_hold, 0]},
                        {
                            "$concatArrays": [
                                {"$cond": [{"$gt": [lines_in_dispute, 0]}, ["$report"], []]},
                                reports_before,
                            ]
                        },
                        [],
                    ]
                },
                # An earlier version held nothing for a report.
                "amountBut": {"$cond": [has("$hold"), above_zero, {"$min": [above_zero, amount_before]}]},
            }
        },
        union(
            "settlements",
            {"$match": {"$or": [{"broughtForwardFrom": {"$gt": ""}}, {"heldForward": {"$exists": True}}]}},
            {
                "$project": {
                    "_id": "$broughtForwardFrom",
                    "in": "$_id",
                    "held": amount_before,
                    "heldBy": documents_before,
                    "heldByReports": reports_before,
                }
            },
        ),
        # What was carried forward is found from its documents: from their statement on, each says the next one.
        union(
            "settlementDocuments",
            {"$match": {"isSelfBilled": True}},
            {"$project": {"_id": "$settlementId", "links": {"$literal": 1}}},
        ),
        union(
            "settlements",
            {"$match": {"carriedTo": {"$gt": ""}}},
            {"$project": {"_id": "$carriedTo", "links": {"$literal": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$max": f"${n}"} for n in ("to", "in", "documents", "heldBy", "reports", "heldByReports")},
                **{n: {"$sum": f"${n}"} for n in ("amount", "amountBut", "held", "links")},
            }
        },
    ),
)

own_tax: Expression = rows_of("selfBilledTax")
tax_of_statement: Expression = {"$ifNull": ["$selfBilledTax", 0]}
carried: Stage = {"$match": {"broughtForwardFrom": {"$gt": ""}}}
self_billed_tax = View(
    "statements, and the tax of documents that is brought forward",
    "settlements",
    (
        {
            "$project": {
                "tax": tax_of_statement,
                "first": {
                    "$cond": [has("$broughtForwardFrom"), 0, {"$subtract": [tax_of_statement, own_tax]}],
                },
            }
        },
        union(
            "settlements",
            carried,
            {
                "$project": {
                    "_id": "$broughtForwardFrom",
                    "named": {"$literal": 1},
                    "brought": {"$subtract": [tax_of_statement, own_tax]},
                }
            },
        ),
        union(
            "positions",
            {"$match": {"carriedForward.settlementId": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$carriedForward.settlementId",
                    "named": {"$literal": 1},
                    "brought": "$carriedForward.selfBilledTax",
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("tax", "first", "named", "brought")}}},
    ),
)

DOCUMENT_CHECKS = (
    Check(
        name="documents-match-statements",
        invariant=5,
        view=documents_of_statements,
        among=either({"$gt": ["$documents", 0]}, either({"$ne": ["$tax", 0]}, {"$ne": ["$charged", 0]})),
        holds=both(equal("$taxed", "$tax"), equal("$invoiced", "$charged")),
        expected={"selfBilledTax": "$taxed", "charged": "$invoiced"},
        found={"selfBilledTax": "$tax", "charged": "$charged"},
    ),
    Check(
        name="documents-match-rows",
        invariant=5,
        view=rows_of_documents,
        among=equal("$document", 1),
        holds=equal("$net", net_of_rows),
        expected=net_of_rows,
        found="$net",
    ),
    Check(
        name="statements-documents-match-rows",
        invariant=5,
        view=documents_of_statements,
        among=either({"$gt": ["$documents", 0]}, either({"$ne": ["$earned", 0]}, {"$ne": ["$ofRows", 0]})),
        holds=both(
            equal("$commission", "$ofRows"),
            either(equal("$net", "$earned"), both({"$gt": ["$ofOtherDays", 0]}, {"$gte": ["$net", "$earned"]})),
        ),
        expected={"selfBilled": "$earned", "commission": "$ofRows"},
        found={"selfBilled": "$net", "commission": "$commission"},
    ),
    Check(
        name="commission-is-charged-with-its-tax",
        invariant=5,
        view=commission_by_tax,
        # What an earlier version charged with another tax than its line had before falls where that was charged.
        holds=either(_is_charged_as_stated, {"$ne": ["$earlier", []]}),
        expected="$ofRows",
        found="$charged",
    ),
    Check(
        name="document-lines-match-rows",
        invariant=5,
        view=lines_and_rows,
        holds=both(
            either(equal("$ofLines", "$ofRows"), both(is_of_other_days, {"$gte": ["$ofLines", "$ofRows"]})),
            {"$setIsSubset": ["$starts", "$dates"]},
            {"$setIsSubset": ["$ends", "$dates"]},
            equal({"$min": "$starts"}, {"$min": "$dates"}),
            equal({"$max": "$ends"}, {"$max": "$dates"}),
        ),
        expected={"amount": "$ofRows", "from": {"$min": "$dates"}, "to": {"$max": "$dates"}},
        found={"amount": "$ofLines", "start": "$starts", "end": "$ends"},
    ),
    Check(
        name="document-lines-are-as-agreed",
        invariant=5,
        view=lines_and_terms,
        among={"$gt": ["$lines", 0]},
        holds=both(
            {"$gt": ["$agreed", 0]},
            agrees("account"),
            either({"$not": [has("$first")]}, {"$gte": ["$first", "$from"]}),
            either({"$not": [has("$last")]}, {"$lt": ["$last", "$until"]}),
        ),
        expected={"agreed": "this tax, of the partner", "days": ["$from", "$until"]},
        found={
            "agreed": "$agreed",
            "firstOf": "$number",
            "settlementAccount": span("account"),
            "days": ["$first", "$last"],
        },
    ),
    Check(
        name="documents-add-up",
        invariant=5,
        view=documents,
        holds=adds_up,
        expected={"lines": "$net", "taxItem": "$net", "taxIncludedAmount": {"$add": ["$net", "$tax"]}},
        found={
            "lines": "$lines",
            "taxItem": "$taxed",
            "byGroup": "$byGroup",
            "taxIncludedAmount": "$total",
            "taxExcludedAmount": "$net",
        },
    ),
    Check(
        name="documents-tax-their-nets",
        invariant=5,
        view=taxes_of_groups,
        holds=both(is_taxed("item"), is_taxed("note")),
        expected={
            "invoiced": tax_at("$itemTaxExcludedAmount", "$_id.rate"),
            "credited": tax_at("$noteTaxExcludedAmount", "$_id.rate"),
        },
        found={"invoiced": "$itemTaxAmount", "credited": "$noteTaxAmount"},
    ),
    Check(
        name="documents-post-their-taxes",
        invariant=5,
        view=posted_taxes,
        holds=equal("$posted", "$due"),
        expected="$due",
        found="$posted",
    ),
    Check(
        name="documents-are-credited-by-notes",
        invariant=5,
        view=taxes_of_groups,
        among=either({"$ne": ["$noteTaxExcludedAmount", 0]}, {"$ne": ["$toldTaxExcludedAmount", 0]}),
        holds=both(
            *(equal(f"$note{name}", f"$told{name}") for name in ("TaxExcludedAmount", "TaxAmount", "ReverseCharge"))
        ),
        expected={"taxExcludedAmount": "$noteTaxExcludedAmount", "taxAmount": "$noteTaxAmount"},
        found={"taxExcludedAmount": "$toldTaxExcludedAmount", "taxAmount": "$toldTaxAmount"},
    ),
    Check(
        name="notes-within-documents",
        invariant=5,
        view=taxes_of_groups,
        among={"$ne": ["$noteTaxExcludedAmount", 0]},
        holds={"$lte": ["$noteTaxExcludedAmount", "$itemTaxExcludedAmount"]},
        expected={"atMost": "$itemTaxExcludedAmount"},
        found="$noteTaxExcludedAmount",
    ),
    Check(
        name="open-documents-have-something-left",
        invariant=5,
        view=documents,
        holds=both(equal("$isOpen", due_open), equal("$isSelfBilled", is_self_billed)),
        expected={"isOpen": due_open, "isSelfBilled": is_self_billed},
        found={"isOpen": "$isOpen", "isSelfBilled": "$isSelfBilled", "left": "$left"},
    ),
    Check(
        name="notes-name-what-they-correct",
        invariant=5,
        view=notes_of_nothing,
        holds=either(
            either("$undecided", {"$lte": ["$standing", 0]}),
            either(equal("$invoices", []), {"$ne": [open_invoices, "$invoices"]}),
        ),
        expected={"oneOf": "$invoices._id", "line": "$line"},
        found={"corrects": None, "left": "$standing"},
    ),
    Check(
        name="lines-name-what-corrects-them",
        invariant=5,
        view=corrections_of_lines,
        # Only what stands in a document is noted, and of a line that has rows by then.
        holds=both(
            equal("$correcting", 1),
            either(equal("$told", 1), both(equal("$told", 0), equal("$rows", []))),
            agrees("account"),
        ),
        expected={"correctedBy": "$_id.row", "times": 1, "settlementAccount": "the same in both"},
        found={"times": "$told", "rows": "$correcting", "settlementAccount": span("account")},
    ),
    Check(
        name="fees-are-charged-once",
        invariant=5,
        view=charged_periods,
        holds=both(
            equal("$kept", "$invoiced"),
            equal("$ofInvoices", "$invoiced"),
            equal("$times", 1),
            equal("$in", year_of_period),
            {"$in": ["$document", "$numbers"]},
        ),
        expected={
            "amount": "$invoiced",
            "ofInvoices": "$invoiced",
            "times": 1,
            "in": year_of_period,
            "document": {"oneOf": "$numbers"},
        },
        found={
            "amount": "$kept",
            "ofInvoices": "$ofInvoices",
            "times": "$times",
            "in": "$in",
            "document": "$document",
        },
    ),
    Check(
        name="disputed-documents-hold-statements",
        invariant=5,
        view=disputed_documents,
        among=either({"$gt": ["$disputed", 0]}, {"$gt": ["$holds", 0]}),
        holds=both(equal("$disputed", "$holds"), equal("$document", 1), agrees("statement")),
        expected={"holds": "$disputed", "statement": "the same in both"},
        found={"holds": "$holds", "statement": span("statement")},
    ),
    Check(
        name="what-is-held-is-brought-forward",
        invariant=5,
        view=held_forward,
        among=either(has("$to"), both(has("$in"), {"$gt": [{"$add": ["$amount", "$held", "$links"]}, 0]})),
        holds=both(
            either(
                both(equal("$held", "$amount"), equal("$heldByReports", "$reports")),
                both(equal("$held", "$amountBut"), equal("$heldByReports", [])),
            ),
            equal("$heldBy", "$documents"),
            either(both({"$not": [has("$to")]}, equal("$links", 0)), equal("$to", "$in")),
        ),
        expected={"amount": "$amount", "documents": "$documents", "reports": "$reports", "carriedTo": "$in"},
        found={"amount": "$held", "documents": "$heldBy", "reports": "$heldByReports", "carriedTo": "$to"},
    ),
    Check(
        name="self-billed-tax-is-brought-forward",
        invariant=5,
        view=self_billed_tax,
        holds=both(equal("$first", 0), either(equal("$named", 0), equal("$brought", "$tax"))),
        expected={"brought": "$tax", "beyondItsLines": 0},
        found={"brought": "$brought", "beyondItsLines": "$first"},
    ),
    Check(
        name="documents-point-to-statements",
        invariant=9,
        view=documents_of_statements,
        among={"$gt": ["$documents", 0]},
        holds=both(
            equal("$statement", 1), agrees("account"), agrees("currency"), agrees("billDate"), equal("$daysOff", 0)
        ),
        expected={
            "statement": 1,
            "settlementAccount": "the same in both",
            "currency": "the same in both",
            "billDate": "the day on which they were booked",
        },
        found={
            "statement": "$statement",
            "settlementAccount": span("account"),
            "currency": span("currency"),
            "billDate": span("billDate"),
        },
    ),
    Check(
        name="rows-point-to-documents",
        invariant=9,
        view=rows_of_documents,
        among={"$gt": ["$rows", 0]},
        holds=both(equal("$document", 1), agrees("statement"), agrees("account")),
        expected={"document": 1, "settlementId": "the same in both", "settlementAccount": "the same in both"},
        found={"document": "$document", "settlementId": span("statement"), "settlementAccount": span("account")},
    ),
    Check(
        name="notes-point-to-documents",
        invariant=9,
        view=corrections_of_documents,
        among={"$gt": ["$notes", 0]},
        holds=both(equal("$document", 1), agrees("account"), agrees("kind")),
        expected={"document": 1, "settlementAccount": "the same in both", "typeCode": "what its notes correct"},
        found={"document": "$document", "settlementAccount": span("account"), "typeCode": span("kind")},
    ),
)
