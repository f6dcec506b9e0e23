"""Corrections (invariants 3, 4, 5 and 9): notes beside their invoices, line by line and group by group."""

from adapters.checks import (
    Check,
    Expression,
    Posted,
    Stage,
    View,
    agreed,
    agrees,
    begins,
    both,
    due,
    each,
    either,
    equal,
    half_away,
    has,
    minus,
    of_partner,
    of_us,
    only,
    span,
    sum_where,
    true_of_each,
    union,
)

NOTE, REFUND, REVERSAL = "credit-note.issue:", "refund.completed:", "payment.reversed:"
"""How the identities of credit notes, refunds and reversals begin."""
WRITE_OFF, DISPUTE, SETTLING, WITHDRAWAL = "invoice.write-off:", "dispute.open:", "dispute.settle:", "dispute.withdraw:"
"""Those of write-offs, and of what opens and ends disputes."""
BILL = "bill."
"""How those of bills begin, and of their further parts."""
NOTING = (NOTE, SETTLING, BILL)
"""Those of whatever issues credit notes."""
SHARES = "settlement.correct:"
"""How those begin of what brings shares to terms of past days: it says itself what it changes of what is withheld."""


def caused_by(prefix: str) -> Stage:
    """The stage that keeps the rows of facts whose identities begin so."""
    return {"$match": {"cause": begins(prefix)["$match"]["_id"]}}


def is_caused_by(prefix: str) -> Expression:
    """Whether a row is of a fact whose identity begins so."""
    return equal({"$substrBytes": ["$cause", 0, len(prefix)]}, prefix)


GRANT, TRANSFER = "credit.grant:", "credit.transfer:"
"""Those of goodwill, and of transfers."""

own: Expression = equal({"$ifNull": ["$$this.onBehalfOf", None]}, None)
net_of_own: Expression = sum_where("$lines", own, "$$this.taxExcludedAmount")
# Ours of a partner's line is its net less its share, so a note takes back as much of both.
commission_back: Expression = sum_where(
    "$lines", {"$not": own}, {"$subtract": ["$$this.taxExcludedAmount", "$$this.share"]}
)
sum_deallocated: Expression = {"$sum": "$deallocated.amount"}
sum_reserved: Expression = {"$sum": "$reserved.amount"}
reserved_elsewhere: Expression = {
    "$sum": {"$map": {"input": "$transferred", "as": "part", "in": {"$sum": "$$part.reserved.amount"}}}
}
taken_elsewhere: Expression = {"$add": [{"$sum": "$transferred.credit"}, reserved_elsewhere]}
reserved_at_first: Expression = {"$cond": [equal("$excess", "refund"), sum_deallocated, 0]}

# By the posting table. What is de-allocated has rows of its own, and so has what no longer accrues to partners.
taken: Expression = {"$sum": "$taken.amount"}
of_a_note: Expression = {"$gt": ["$creditNoteId", None]}

# A note says itself what it changes of what is withheld of its own invoice, and of no other that its credit covers: the
# loss of its own is `<billNo>/<type>/<key>`, and that of another one has the payment in its id too.
loss_of_a_note: Expression = both(
    {"$or": [is_caused_by(kind) for kind in NOTING]},
    equal("$_id", {"$concat": ["$billNo", "/", {"$replaceOne": {"input": "$cause", "find": ":", "replacement": "/"}}]}),
)
# So does what corrects shares for terms of past days.
says_what_is_withheld: Expression = either(loss_of_a_note, is_caused_by(SHARES))

POSTED = Posted(
    tuple(begins(kind) for kind in (NOTE, REFUND, REVERSAL, WRITE_OFF, SETTLING, WITHDRAWAL, GRANT, TRANSFER)),
    (
        union(
            "goodwill",
            {
                "$project": {
                    "_id": {"$concat": [GRANT, "$_id"]},
                    "document": {"$literal": 1},
                    **due({"goodwill": "$amount", "unapplied": minus("$amount")}),
                }
            },
        ),
        # What it moves is unapplied of both accounts: each account's is held against its credit.
        union("transfers", {"$project": {"_id": {"$concat": [TRANSFER, "$_id"]}, "document": {"$literal": 1}}}),
        union(
            "reversals",
            {
                "$project": {
                    "_id": {"$concat": [REVERSAL, "$_id"]},
                    "document": {"$literal": 1},
                    **due(
                        {
                            "cash": minus({"$add": ["$amount", "$fee"]}),
                            "bankCharges": "$fee",
                            "recoverable": "$recoverable",
                            "refundable": {"$add": [sum_reserved, reserved_elsewhere]},
                            "unapplied": {"$add": ["$credit", {"$sum": "$transferred.credit"}]},
                        }
                    ),
                }
            },
        ),
        union(
            "refunds",
            {
                "$project": {
                    "_id": {"$concat": [REFUND, "$_id"]},
                    "document": {"$literal": 1},
                    **due(
                        {
                            "cash": minus("$amount"),
                            "recoverable": "$recoverable",
                            "refundable": {"$cond": [of_a_note, taken, 0]},
                            "unapplied": {"$cond": [of_a_note, 0, taken]},
                        }
                    ),
                }
            },
        ),
        union(
            "creditNotes",
            {
                "$project": {
                    "_id": "$cause",
                    "document": {"$cond": [is_caused_by(NOTE), 1, 0]},
                    **due(
                        {
                            "receivable": minus("$taxIncludedAmount"),
                            "unapplied": reserved_at_first,
                            "refundable": minus(reserved_at_first),
                            "withheld": {"$sum": "$lines.withheld"},
                            "revenue": of_us(net_of_own),
                            "commission": of_us(commission_back),
                            "tax": of_us({"$sum": "$lines.taxAmount"}),
                        }
                    ),
                }
            },
        ),
        union("writeOffs", {"$project": {"_id": {"$concat": [WRITE_OFF, "$_id"]}, "document": {"$literal": 1}}}),
        union(
            "disputes",
            {"$match": {"state": {"$ne": "open"}}},
            {
                "$project": {
                    "_id": {"$concat": [{"$cond": [equal("$state", "settled"), SETTLING, WITHDRAWAL]}, "$_id"]},
                    "document": {"$literal": 1},
                }
            },
        ),
        union(
            "losses",
            {
                "$project": {
                    "_id": "$cause",
                    **due(
                        {
                            "receivable": minus("$writtenOff"),
                            "badDebt": {"$subtract": ["$writtenOff", {"$add": ["$relieved", "$givenUp"]}]},
                            "tax": "$relieved",
                            "withheld": {"$cond": [says_what_is_withheld, 0, "$givenUp"]},
                        }
                    ),
                }
            },
        ),
    ),
)

notes = View("credit notes", "creditNotes", ())
of_tax_item: Expression = both(equal("$$line.category", "$$this.category"), equal("$$line.rate", "$$this.rate"))


def sum_of_tax_item(field: str) -> Expression:
    """The sum of a field over the note's lines that have the category and the rate of the tax item `$$this`."""
    return {"$sum": {"$map": {"input": "$lines", "as": "line", "in": {"$cond": [of_tax_item, f"$$line.{field}", 0]}}}}


adds_up: Expression = both(
    equal("$taxExcludedAmount", {"$sum": "$lines.taxExcludedAmount"}),
    equal("$taxIncludedAmount", {"$add": ["$taxExcludedAmount", {"$sum": "$taxItem.taxAmount"}]}),
    true_of_each(
        "$taxItem",
        both(
            equal("$$this.taxExcludedAmount", sum_of_tax_item("taxExcludedAmount")),
            equal("$$this.taxAmount", sum_of_tax_item("taxAmount")),
        ),
    ),
    {"$gte": ["$taxIncludedAmount", 0]},
    equal("$taxIncludedAmount", {"$add": ["$covered", "$recovered", sum_deallocated]}),
)


def of_invoice(bill_no: Expression) -> Expression:
    """The id of what a fact does to an invoice."""
    return {"$concat": ["$cause", " of ", bill_no]}


notes_and_deallocations = View(
    "credit notes and what they de-allocate",
    "creditNotes",
    (
        # A bill may have several beside it, of one invoice each.
        {"$project": {"_id": of_invoice("$correctedBillNo"), "note": {"$literal": 1}, "said": sum_deallocated}},
        *(
            union(
                "allocations",
                {"$match": {**caused_by(kind)["$match"], "amount": {"$lt": 0}}},
                {"$project": {"_id": of_invoice("$billNo"), "done": minus("$amount")}},
            )
            for kind in NOTING
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("note", "said", "done")}}},
    ),
)

corrected_lines = View(
    "what is credited of invoices' lines, and their notes",
    "invoices",
    (
        {"$match": {"corrections.credited": {"$gte": 0}}},
        {"$project": {"corrections": 1}},
        {"$unwind": "$corrections.lines"},
        {
            "$project": {
                "_id": {"billNo": "$_id", "lineId": "$corrections.lines.lineId"},
                "credited": "$corrections.lines.credited",
                "creditedTax": "$corrections.lines.creditedTax",
            }
        },
        union(
            "creditNotes",
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {"billNo": "$correctedBillNo", "lineId": "$lines.lineId"},
                    "noted": "$lines.taxExcludedAmount",
                    # Of ours it is kept by tax group alone.
                    "notedTax": {"$cond": [of_partner, "$lines.taxAmount", 0]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("credited", "noted", "creditedTax", "notedTax")},
            }
        },
    ),
)

corrected_groups = View(
    "what is credited of invoices' tax groups, and their notes",
    "invoices",
    (
        {"$match": {"corrections.credited": {"$gte": 0}}},
        {"$project": {"corrections": 1}},
        {"$unwind": "$corrections.tax"},
        {
            "$project": {
                "_id": {
                    "billNo": "$_id",
                    "category": "$corrections.tax.category",
                    "rate": "$corrections.tax.rate",
                },
                "credited": "$corrections.tax.credited",
            }
        },
        union(
            "creditNotes",
            {"$unwind": "$taxItem"},
            {
                "$project": {
                    "_id": {"billNo": "$correctedBillNo", "category": "$taxItem.category", "rate": "$taxItem.rate"},
                    "noted": "$taxItem.taxAmount",
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("credited", "noted")}}},
    ),
)

corrected_invoices = View("corrected invoices", "invoices", ({"$match": {"corrections.credited": {"$gte": 0}}},))


def credited_of(line_id: Expression, field: str = "credited") -> Expression:
    """What is credited of the net of a line of a corrected invoice; or another field of its corrections."""
    return {
        "$sum": {
            "$map": {
                "input": "$corrections.lines",
                "as": "one",
                "in": {"$cond": [equal("$$one.lineId", line_id), f"$$one.{field}", 0]},
            }
        }
    }


def given_back_of(line_id: Expression) -> Expression:
    """What notes gave back of a line that took something back."""
    return credited_of(line_id, "givenBack")


def taken_back_of(line_id: Expression) -> Expression:
    """What lines of bills took back of the net of a line of a corrected invoice."""
    return credited_of(line_id, "takenBack")


taken_back: Expression = {"$add": [{"$sum": "$corrections.lines.takenBack"}, {"$sum": "$corrections.tax.takenBack"}]}
gone_of_line: Expression = {"$add": [credited_of("$$this.id"), taken_back_of("$$this.id")]}
within_line: Expression = {
    "$cond": [
        {"$lt": ["$$this.taxExcludedAmount", 0]},
        both({"$lte": [gone_of_line, 0]}, {"$gte": [gone_of_line, "$$this.taxExcludedAmount"]}),
        both({"$gte": [gone_of_line, 0]}, {"$lte": [gone_of_line, "$$this.taxExcludedAmount"]}),
    ]
}
bills_took_back_of_group: Expression = {
    "$anyElementTrue": {
        "$map": {
            "input": "$corrections.tax",
            "as": "tax",
            "in": both(
                equal("$$tax.category", "$$this.category"), equal("$$tax.rate", "$$this.rate"), has("$$tax.takenBack")
            ),
        }
    }
}
credited_of_group: Expression = {
    "$sum": {
        "$map": {
            "input": "$lines",
            "as": "line",
            "in": {"$cond": [of_tax_item, credited_of("$$line.id"), 0]},
        }
    }
}
tax_of_credited: Expression = half_away({"$multiply": [credited_of_group, {"$toDecimal": "$$this.rate"}]})


def of_share(net: Expression) -> Expression:
    """A partner's frozen share of a net."""
    return half_away({"$multiply": [net, {"$toDecimal": "$$this.onBehalfOf.partnerShare"}]})


def of_tier(net: Expression) -> Expression:
    """That of a share by tiers; net and line have one sign, and halves of a cent are told from what is less."""
    exact = {"$multiply": [{"$toDecimal": "$$this.onBehalfOf.tier.share"}, net]}
    whole = {"$toDecimal": "$$this.taxExcludedAmount"}
    return {"$cond": [equal(whole, 0), 0, half_away({"$divide": [exact, {"$cond": [equal(whole, 0), 1, whole]}]})]}


share_left: Expression = {
    "$cond": [
        {"$gt": ["$$this.onBehalfOf.tier", None]},
        {"$subtract": ["$$this.onBehalfOf.tier.share", of_tier(credited_of("$$this.id"))]},
        {"$subtract": [of_share("$$this.taxExcludedAmount"), of_share(credited_of("$$this.id"))]},
    ]
}
# What is sold in a partner's name is all the partner's, with its tax: that is a check of its own.
gross_of_note_line: Expression = {"$add": ["$$this.taxExcludedAmount", "$$this.taxAmount"]}
is_the_sellers: Expression = both(equal("$$this.onBehalfOf", "$seller"), equal("$$this.share", gross_of_note_line))
partner_lines: Expression = only("$lines", both(has("$$this.onBehalfOf"), {"$not": [has("$$this.onBehalfOf.agent")]}))

refundable_accounts = View(
    "billing accounts and what is to be given back to them",
    "positions",
    (
        {"$project": {"position": {"$literal": 1}, "refundable": 1}},
        union(
            "creditNotes",
            {"$group": {"_id": "$billingAccount", "notes": {"$sum": 1}, "left": {"$sum": sum_reserved}}},
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("position", "refundable", "notes", "left")}}},
    ),
)

notes_and_refunds = View(
    "credit notes and what was given back of them",
    "creditNotes",
    (
        {
            "$project": {
                "note": {"$literal": 1},
                "account": "$billingAccount",
                "reserved": sum_reserved,
                "first": reserved_at_first,
            }
        },
        union(
            "refunds",
            {"$match": {"creditNoteId": {"$gt": ""}}},
            {"$project": {"_id": "$creditNoteId", "account": "$billingAccount", "refunded": taken}},
        ),
        union(
            "reversals",
            {"$unwind": "$reserved"},
            {
                "$project": {
                    "_id": "$reserved.creditNoteId",
                    "account": "$billingAccount",
                    "refunded": "$reserved.amount",
                }
            },
        ),
        union(
            "reversals",
            {"$unwind": "$transferred"},
            {"$unwind": "$transferred.reserved"},
            {
                "$project": {
                    "_id": "$transferred.reserved.creditNoteId",
                    "account": "$transferred.billingAccount",
                    "refunded": "$transferred.reserved.amount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("note", "reserved", "first", "refunded")},
                **agreed("account"),
            }
        },
    ),
)

refunds = View("refunds", "refunds", ())
reversed_in_all: Expression = {"$add": ["$credit", sum_reserved, taken_elsewhere, "$recoverable"]}
reversals = View(
    "reversals and their payments",
    "reversals",
    (
        {
            "$project": {
                "_id": "$paymentId",
                "account": "$billingAccount",
                "odd": {"$cond": [equal("$amount", reversed_in_all), 0, 1]},
                "reversals": {"$literal": 1},
            }
        },
        union("payments", {"$project": {"payment": {"$literal": 1}, "account": "$billingAccount"}}),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("reversals", "odd", "payment")},
                **agreed("account"),
            }
        },
    ),
)

refunds_and_deallocations = View(
    "refunds and reversals, and what they de-allocate",
    "refunds",
    (
        {"$project": {"_id": {"$concat": [REFUND, "$_id"]}, "refund": {"$literal": 1}, "said": sum_deallocated}},
        union(
            "reversals",
            {"$project": {"_id": {"$concat": [REVERSAL, "$_id"]}, "refund": {"$literal": 1}, "said": sum_deallocated}},
        ),
        *(
            union(
                "allocations",
                {"$match": {**caused_by(kind)["$match"], "amount": {"$lt": 0}}},
                {"$project": {"_id": "$cause", "done": minus("$amount")}},
            )
            for kind in (REFUND, REVERSAL)
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("refund", "said", "done")}}},
    ),
)

recoverable_accounts = View(
    "billing accounts and what they owe us of what they got",
    "positions",
    (
        {"$project": {"recoverable": 1, "undoing": 1}},
        union("refunds", {"$group": {"_id": "$billingAccount", "owed": {"$sum": "$recoverable"}}}),
        union("reversals", {"$group": {"_id": "$billingAccount", "owed": {"$sum": "$recoverable"}}}),
        union("recoveries", {"$group": {"_id": "$billingAccount", "recovered": {"$sum": "$amount"}}}),
        # What is left to undo after one transaction's worth. What is parked can be replayed; what is discarded is lost.
        union(
            "held",
            {"$match": {"routingKey": "credit.deallocate", "state": {"$in": ["waiting", "suspect", "parked"]}}},
            {"$project": {"_id": "$account", "rest": {"$literal": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("recoverable", "undoing", "owed", "recovered", "rest")},
            }
        },
    ),
)

origins = View(
    "payments and all that was transferred of them",
    "payments",
    (
        {"$match": {"parts": {"$exists": True}}},
        {"$project": {"parts": 1}},
        union(
            "payments",
            {"$match": {"origin": {"$exists": True}}},
            {"$group": {"_id": "$origin", "credit": {"$sum": 1}}},
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("parts", "credit")}}},
    ),
)

goodwill = View(
    "goodwill and the credit that it is",
    "goodwill",
    (
        {
            "$project": {
                "_id": {"$concat": ["credit~", "$_id"]},
                "grant": {"$literal": 1},
                "what": {
                    "account": "$billingAccount",
                    "currency": "$currency",
                    "amount": "$amount",
                    "at": {"$toString": "$grantedAt"},
                },
            }
        },
        union(
            "payments",
            {"$match": {"source": "goodwill"}},
            {
                "$project": {
                    "credit": {"$literal": 1},
                    "what": {
                        "account": "$billingAccount",
                        "currency": "$currency",
                        "amount": "$amount",
                        "at": {"$toString": "$receivedAt"},
                    },
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("grant", "credit")}, **agreed("what")}},
    ),
)

# What a transfer took of a payment, what the payment says of that, and the credit that it is.
transferred = View(
    "what was transferred, and the credit that it is",
    "transfers",
    (
        {"$unwind": {"path": "$taken", "includeArrayIndex": "n"}},
        {
            "$project": {
                "_id": {"$concat": ["transfer~", "$_id", "~", {"$toString": {"$add": ["$n", 1]}}]},
                "taken": {"$literal": 1},
                "what": {"source": "$taken.paymentId", "amount": "$taken.amount", "currency": "$currency"},
                "where": {"to": "$to", "at": {"$toString": "$transferredAt"}, "amount": "$taken.amount"},
                "giver": "$from",
            }
        },
        union(
            "payments",
            {"$match": {"transferred.0": {"$exists": True}}},
            {"$unwind": "$transferred"},
            {
                "$project": {
                    "_id": "$transferred.id",
                    "given": {"$literal": 1},
                    "what": {"source": "$_id", "amount": "$transferred.amount", "currency": "$currency"},
                    "giver": "$billingAccount",
                }
            },
        ),
        union(
            "payments",
            {"$match": {"source": "transfer"}},
            {
                "$project": {
                    "credit": {"$literal": 1},
                    "where": {"to": "$billingAccount", "at": {"$toString": "$receivedAt"}, "amount": "$amount"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("taken", "given", "credit")},
                **agreed("what"),
                **agreed("where"),
                **agreed("giver"),
            }
        },
    ),
)

transfers = View("transfers", "transfers", ())

notes_and_invoices = View(
    "credit notes, disputes and their invoices",
    "invoices",
    (
        {
            "$project": {
                "invoice": {"$literal": 1},
                "account": "$billingAccount",
                "currency": 1,
                "seller": {"$ifNull": ["$seller", ""]},
                "credited": {"$ifNull": ["$corrections.credited", 0]},
            }
        },
        union(
            "creditNotes",
            {
                "$project": {
                    "_id": "$correctedBillNo",
                    "notes": {"$literal": 1},
                    "account": "$billingAccount",
                    "currency": 1,
                    "seller": {"$ifNull": ["$seller", ""]},
                    "noted": "$taxIncludedAmount",
                }
            },
        ),
        union(
            "disputes",
            {
                "$project": {
                    "_id": "$billNo",
                    "disputes": {"$literal": 1},
                    "seller": {"$ifNull": ["$seller", ""]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("invoice", "notes", "disputes", "credited", "noted")},
                **agreed("account"),
                **agreed("currency"),
                **agreed("seller"),
            }
        },
    ),
)

lost_of_invoices = View(
    "what is lost of invoices, and what changed that",
    "invoices",
    (
        {"$match": {"corrections.credited": {"$gte": 0}}},
        {
            "$project": {
                "writtenOff": {"$sum": "$corrections.writeOffs.amount"},
                "relieved": {"$sum": "$corrections.tax.relieved"},
                "givenUp": {"$sum": "$corrections.lines.givenUp"},
                "account": "$billingAccount",
            }
        },
        union(
            "losses",
            {
                "$project": {
                    "_id": "$billNo",
                    "account": "$billingAccount",
                    **{name: minus(f"${name}") for name in ("writtenOff", "relieved", "givenUp")},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{name: {"$sum": f"${name}"} for name in ("writtenOff", "relieved", "givenUp")},
                **agreed("account"),
            }
        },
    ),
)

booked_write_offs = View(
    "write-offs, what their facts lost, and what of them stands",
    "writeOffs",
    (
        {
            "$project": {
                "booked": {"$literal": 1},
                "amount": 1,
                "what": {"billNo": "$billNo", "account": "$billingAccount"},
                "relief": "$taxRelief",
            }
        },
        union(
            "losses",
            caused_by(WRITE_OFF),
            {
                "$project": {
                    "_id": {"$substrBytes": ["$cause", len(WRITE_OFF), -1]},
                    "lost": "$writtenOff",
                    "what": {"billNo": "$billNo", "account": "$billingAccount"},
                }
            },
        ),
        union(
            "invoices",
            {"$match": {"corrections.credited": {"$gte": 0}}},
            {"$project": {"corrections": 1, "billingAccount": 1}},
            {"$unwind": "$corrections.writeOffs"},
            {
                "$project": {
                    "_id": "$corrections.writeOffs.writeOffId",
                    "stands": "$corrections.writeOffs.amount",
                    "relief": "$corrections.writeOffs.taxRelief",
                    "what": {"billNo": "$_id", "account": "$billingAccount"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{name: {"$sum": f"${name}"} for name in ("booked", "amount", "lost", "stands")},
                **agreed("what"),
                **agreed("relief"),
            }
        },
    ),
)

on_hold: Stage = {"$match": {"handling.disputes.0": {"$exists": True}}}

opened_disputes = View(
    "disputes, what opened them, and what their invoices and notes say of them",
    "disputes",
    (
        {
            "$project": {
                "dispute": {"$literal": 1},
                "open": {"$cond": [equal("$state", "open"), 1, 0]},
                "amount": {"$cond": [equal("$state", "open"), "$amount", 0]},
                "approved": {"$sum": "$lines.approved"},
                "beyond": {
                    "$sum": each(
                        "$lines",
                        {
                            "$cond": [
                                {"$gt": [{"$abs": "$$this.approved"}, {"$abs": "$$this.taxExcludedAmount"}]},
                                1,
                                0,
                            ]
                        },
                    )
                },
                "numbered": {"$cond": [{"$gt": ["$creditNote", None]}, 1, 0]},
                "number": "$creditNote",
                "what": {"billNo": "$billNo", "account": "$billingAccount"},
            }
        },
        union(
            "inbox",
            begins(DISPUTE),
            {"$project": {"_id": {"$substrBytes": ["$_id", len(DISPUTE), -1]}, "inbox": {"$literal": 1}}},
        ),
        union(
            "invoices",
            on_hold,
            {"$project": {"handling": 1, "billingAccount": 1}},
            {"$unwind": "$handling.disputes"},
            {
                "$project": {
                    "_id": "$handling.disputes.disputeId",
                    "held": {"$literal": 1},
                    "holds": "$handling.disputes.amount",
                    "what": {"billNo": "$_id", "account": "$billingAccount"},
                }
            },
        ),
        union(
            "creditNotes",
            caused_by(SETTLING),
            {
                "$project": {
                    "note": {"$literal": 1},
                    "credited": "$taxExcludedAmount",
                    "number": "$billNo",
                    "what": {"billNo": "$correctedBillNo", "account": "$billingAccount"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    name: {"$sum": f"${name}"}
                    for name in (
                        "dispute",
                        "inbox",
                        "open",
                        "amount",
                        "held",
                        "holds",
                        "approved",
                        "beyond",
                        "numbered",
                        "note",
                        "credited",
                    )
                },
                **agreed("what"),
                **agreed("number"),
            }
        },
    ),
)

line_left: Expression = {"$subtract": ["$net", "$gone"]}
counts: Expression = {
    "$cond": [
        {"$lt": ["$net", 0]},
        {"$max": [line_left, "$asked"]},
        {"$min": [line_left, "$asked"]},
    ]
}


def tax_on(net: Expression) -> Expression:
    """The tax of the group of the row, on a net."""
    return half_away({"$multiply": [net, {"$toDecimal": "$_id.rate"}]})


# All that is disputed of an invoice as one credit note of it would come to: by line, by tax group, in all. Of disputes
# that say nothing of what counts, an earlier version of the program has worked out the amounts, one by one.
disputed_invoices = View(
    "invoices that are disputed, and what all that is disputed of their lines comes to",
    "disputes",
    (
        {"$match": {"state": "open"}},
        {"$unwind": "$lines"},
        {
            "$project": {
                "_id": {"billNo": "$billNo", "lineId": "$lines.lineId"},
                "asked": "$lines.taxExcludedAmount",
                "counted": "$lines.counted",
                "older": {"$cond": [has("$lines.counted"), 0, 1]},
            }
        },
        union(
            "invoices",
            on_hold,
            {"$project": {"lines": 1, "corrections": 1}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {"billNo": "$_id", "lineId": "$lines.id"},
                    "group": {"category": "$lines.category", "rate": "$lines.rate"},
                    "net": "$lines.taxExcludedAmount",
                    "gone": {"$add": [credited_of("$lines.id"), taken_back_of("$lines.id")]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "group": {"$max": "$group"},
                **{n: {"$sum": f"${n}"} for n in ("asked", "counted", "older", "net", "gone")},
            }
        },
        {
            "$group": {
                "_id": {"billNo": "$_id.billNo", "category": "$group.category", "rate": "$group.rate"},
                "odd": {"$sum": {"$cond": [equal("$counted", counts), 0, 1]}},
                "touched": {"$sum": {"$cond": [equal("$counted", 0), 0, 1]}},
                **{n: {"$sum": f"${n}"} for n in ("counted", "older", "gone")},
            }
        },
        union(
            "invoices",
            on_hold,
            {"$project": {"tax": "$corrections.tax"}},
            {"$unwind": "$tax"},
            {
                "$project": {
                    "_id": {"billNo": "$_id", "category": "$tax.category", "rate": "$tax.rate"},
                    "goneOfTax": {"$add": ["$tax.credited", {"$ifNull": ["$tax.takenBack", 0]}]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("odd", "touched", "counted", "older", "gone", "goneOfTax")},
            }
        },
        {
            "$project": {
                "_id": "$_id.billNo",
                "odd": 1,
                "older": 1,
                "priced": {
                    "$cond": [
                        "$touched",
                        {
                            "$add": [
                                "$counted",
                                {"$subtract": [tax_on({"$add": ["$gone", "$counted"]}), "$goneOfTax"]},
                            ]
                        },
                        0,
                    ]
                },
            }
        },
        union(
            "invoices",
            on_hold,
            {
                "$project": {
                    "disputed": {"$sum": "$handling.disputes.amount"},
                    "creditable": {
                        "$subtract": [
                            "$taxIncludedAmount",
                            {"$sum": ["$corrections.credited", {"$max": [0, taken_back]}]},
                        ]
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("odd", "older", "priced", "disputed", "creditable")},
            }
        },
    ),
)
disputed_in_all: Expression = {"$max": [0, {"$min": ["$priced", "$creditable"]}]}

with_relief: Expression = sum_where("$corrections.writeOffs", "$$this.taxRelief", "$$this.amount")
billed: Expression = {"$subtract": ["$taxIncludedAmount", "$corrections.credited"]}


def of_group(field: str) -> Expression:
    """What of a corrected invoice's tax group `$$this` is credited, or relieved."""
    return {
        "$sum": {
            "$map": {
                "input": "$corrections.tax",
                "as": "line",
                "in": {"$cond": [of_tax_item, f"$$line.{field}", 0]},
            }
        }
    }


# The tax of what is sold in a partner's name is the partner's: we are relieved of none.
relief_due: Expression = {
    "$cond": [
        either(equal(billed, 0), of_partner),
        0,
        half_away(
            {
                "$divide": [
                    {
                        "$multiply": [
                            {"$toDecimal": {"$subtract": ["$$this.taxAmount", of_group("credited")]}},
                            with_relief,
                        ]
                    },
                    billed,
                ]
            }
        ),
    ]
}

CHECKS = (
    Check(
        name="losses-match-corrections",
        invariant=3,
        view=lost_of_invoices,
        holds=both(*(equal(f"${name}", 0) for name in ("writtenOff", "relieved", "givenUp")), agrees("account")),
        expected={"beyondLosses": 0, "billingAccount": "the same in all"},
        found={
            "beyondLosses": {name: f"${name}" for name in ("writtenOff", "relieved", "givenUp")},
            "billingAccount": span("account"),
        },
    ),
    Check(
        name="write-offs-match-losses",
        invariant=3,
        view=booked_write_offs,
        holds=both(
            equal("$booked", 1),
            equal("$amount", "$lost"),
            {"$lte": ["$stands", "$amount"]},
            agrees("what"),
            agrees("relief"),
        ),
        expected={"booked": 1, "amount": "$lost", "atMost": "$amount", "what": "the same in all"},
        found={"booked": "$booked", "amount": "$amount", "stands": "$stands", "what": span("what")},
    ),
    Check(
        name="relieved-tax-is-that-of-write-offs",
        invariant=3,
        view=corrected_invoices,
        holds=true_of_each("$taxItem", equal(of_group("relieved"), relief_due)),
        expected=each("$taxItem", {"rate": "$$this.rate", "relieved": {"$toString": relief_due}}),
        found="$corrections.tax",
    ),
    Check(
        name="disputes-match-invoices",
        invariant=3,
        view=opened_disputes,
        holds=both(
            equal("$dispute", 1),
            equal("$inbox", 1),
            equal("$open", "$held"),
            equal("$amount", "$holds"),
            agrees("what"),
        ),
        expected={"dispute": 1, "inbox": 1, "holds": "$amount", "what": "the same in all"},
        found={"dispute": "$dispute", "inbox": "$inbox", "holds": "$holds", "what": span("what")},
    ),
    Check(
        name="disputed-is-that-of-lines",
        invariant=3,
        view=disputed_invoices,
        among=equal("$older", 0),
        holds=both(equal("$odd", 0), equal("$disputed", disputed_in_all)),
        expected={"disputed": {"$toString": disputed_in_all}, "linesThatCountOtherwise": 0},
        found={"disputed": "$disputed", "linesThatCountOtherwise": "$odd"},
    ),
    Check(
        name="approved-is-credited",
        invariant=3,
        view=opened_disputes,
        holds=both(
            equal("$numbered", "$note"),
            equal("$approved", "$credited"),
            equal("$beyond", 0),
            agrees("number"),
        ),
        expected={"notes": "$numbered", "credited": "$approved", "linesBeyond": 0, "number": "the same in both"},
        found={"notes": "$note", "credited": "$credited", "linesBeyond": "$beyond", "number": span("number")},
    ),
    Check(
        name="notes-add-up",
        invariant=3,
        view=notes,
        holds=adds_up,
        expected={
            "taxExcludedAmount": {"$sum": "$lines.taxExcludedAmount"},
            "taxIncludedAmount": {"$sum": [{"$sum": "$lines.taxExcludedAmount"}, {"$sum": "$lines.taxAmount"}]},
        },
        found={
            "taxExcludedAmount": "$taxExcludedAmount",
            "taxIncludedAmount": "$taxIncludedAmount",
            "covered": {"$add": ["$covered", "$recovered", sum_deallocated]},
        },
    ),
    Check(
        name="notes-take-back-what-is-the-sellers",
        invariant=3,
        view=notes,
        among=has("$seller"),
        holds=true_of_each("$lines", is_the_sellers),
        expected=each("$lines", {"lineId": "$$this.lineId", "onBehalfOf": "$seller", "share": gross_of_note_line}),
        found=each("$lines", {"lineId": "$$this.lineId", "onBehalfOf": "$$this.onBehalfOf", "share": "$$this.share"}),
    ),
    Check(
        name="credited-matches-notes",
        invariant=3,
        view=notes_and_invoices,
        among={"$gt": [{"$add": ["$notes", "$credited"]}, 0]},
        holds=equal("$credited", "$noted"),
        expected="$noted",
        found="$credited",
    ),
    Check(
        name="credited-lines-match-notes",
        invariant=3,
        view=corrected_lines,
        holds=both(equal("$credited", "$noted"), equal("$creditedTax", "$notedTax")),
        expected={"taxExcludedAmount": "$noted", "taxAmount": "$notedTax"},
        found={"taxExcludedAmount": "$credited", "taxAmount": "$creditedTax"},
    ),
    Check(
        name="credited-tax-matches-notes",
        invariant=3,
        view=corrected_groups,
        holds=equal("$credited", "$noted"),
        expected="$noted",
        found="$credited",
    ),
    Check(
        name="credited-within-lines",
        invariant=3,
        view=corrected_invoices,
        holds=true_of_each("$lines", within_line),
        expected={"atMost": each("$lines", {"lineId": "$$this.id", "net": "$$this.taxExcludedAmount"})},
        found="$corrections.lines",
    ),
    Check(
        name="credited-tax-is-that-of-credited-nets",
        invariant=3,
        view=corrected_invoices,
        # Where bills took something back, what a group's notes come to depends on what came before them.
        holds=true_of_each(
            "$taxItem",
            {"$or": [bills_took_back_of_group, equal(of_group("credited"), tax_of_credited)]},
        ),
        expected=each(
            "$taxItem",
            {"category": "$$this.category", "rate": "$$this.rate", "credited": {"$toString": tax_of_credited}},
        ),
        found="$corrections.tax",
    ),
    Check(
        name="notes-match-deallocations",
        invariant=4,
        view=notes_and_deallocations,
        holds=both(equal("$note", 1), equal("$said", "$done")),
        expected={"note": 1, "deallocated": "$done"},
        found={"note": "$note", "deallocated": "$said"},
    ),
    Check(
        name="refundable-matches-notes",
        invariant=4,
        view=refundable_accounts,
        holds=equal("$refundable", "$left"),
        expected="$left",
        found="$refundable",
    ),
    Check(
        name="reserved-is-what-was-not-given-back",
        invariant=4,
        view=notes_and_refunds,
        holds=both(equal("$note", 1), equal("$reserved", {"$subtract": ["$first", "$refunded"]}), agrees("account")),
        expected={"note": 1, "reserved": {"$subtract": ["$first", "$refunded"]}, "billingAccount": "the same in both"},
        found={"note": "$note", "reserved": "$reserved", "billingAccount": span("account")},
    ),
    Check(
        name="refunds-add-up",
        invariant=4,
        view=refunds,
        holds=both(equal("$amount", {"$add": [taken, "$recoverable"]}), {"$gte": ["$recoverable", 0]}),
        expected="$amount",
        found={"$add": [taken, "$recoverable"]},
    ),
    Check(
        name="reversals-add-up",
        invariant=4,
        view=reversals,
        among={"$gt": ["$reversals", 0]},
        holds=both(equal("$odd", 0), equal("$payment", 1), agrees("account")),
        expected={"odd": 0, "payment": 1, "billingAccount": "the same in both"},
        found={"odd": "$odd", "payment": "$payment", "billingAccount": span("account")},
    ),
    Check(
        name="refunds-match-deallocations",
        invariant=4,
        view=refunds_and_deallocations,
        holds=both(equal("$refund", 1), equal("$said", "$done")),
        expected={"refund": 1, "deallocated": "$done"},
        found={"refund": "$refund", "deallocated": "$said"},
    ),
    Check(
        name="recoverable-matches-refunds",
        invariant=4,
        view=recoverable_accounts,
        holds=equal("$recoverable", {"$subtract": ["$owed", "$recovered"]}),
        expected={"$subtract": ["$owed", "$recovered"]},
        found="$recoverable",
    ),
    Check(
        name="undoing-is-what-can-be-undone",
        invariant=4,
        view=recoverable_accounts,
        holds=both(
            equal({"$gt": ["$undoing", 0]}, {"$gt": ["$rest", 0]}),
            {"$gte": ["$undoing", 0]},
            {"$lte": ["$undoing", "$recoverable"]},
        ),
        expected="part of what is recoverable while a credit.deallocate is held, else nothing",
        found={"undoing": "$undoing", "recoverable": "$recoverable", "held": "$rest"},
    ),
    Check(
        name="goodwill-is-credit",
        invariant=4,
        view=goodwill,
        holds=both(equal("$grant", 1), equal("$credit", 1), agrees("what")),
        expected={"grant": 1, "credit": 1, "what": "the same in both"},
        found={"grant": "$grant", "credit": "$credit", "what": span("what")},
    ),
    Check(
        name="transfers-add-up",
        invariant=4,
        view=transfers,
        holds=both(equal("$amount", taken), {"$ne": ["$from", "$to"]}),
        expected={"amount": "$amount", "accounts": "two"},
        found={"amount": taken, "from": "$from", "to": "$to"},
    ),
    Check(
        name="transferred-is-credit",
        invariant=4,
        view=transferred,
        holds=both(
            equal("$taken", 1),
            equal("$given", 1),
            equal("$credit", 1),
            agrees("what"),
            agrees("where"),
            agrees("giver"),
        ),
        expected={"taken": 1, "given": 1, "credit": 1, "what": "the same", "where": "the same", "giver": "the same"},
        found={
            "taken": "$taken",
            "given": "$given",
            "credit": "$credit",
            "what": span("what"),
            "where": span("where"),
            "giver": span("giver"),
        },
    ),
    Check(
        name="transferred-parts-are-counted",
        invariant=4,
        view=origins,
        holds=equal("$parts", "$credit"),
        expected="$credit",
        found="$parts",
    ),
    Check(
        name="shares-left-follow-what-is-credited",
        invariant=5,
        view=corrected_invoices,
        holds=true_of_each(partner_lines, equal("$$this.onBehalfOf.share", share_left)),
        expected=each(partner_lines, {"lineId": "$$this.id", "share": {"$toString": share_left}}),
        found=each(partner_lines, {"lineId": "$$this.id", "share": "$$this.onBehalfOf.share"}),
    ),
    Check(
        name="notes-point-to-invoices",
        invariant=9,
        view=notes_and_invoices,
        among={"$gt": ["$notes", 0]},
        holds=both(equal("$invoice", 1), agrees("account"), agrees("currency")),
        expected={"invoice": 1, "billingAccount": "the same in both", "currency": "the same in both"},
        found={"invoice": "$invoice", "billingAccount": span("account"), "currency": span("currency")},
    ),
    Check(
        name="notes-are-in-their-invoices-names",
        invariant=3,
        view=notes_and_invoices,
        among=either({"$gt": ["$notes", 0]}, {"$gt": ["$disputes", 0]}),
        holds=agrees("seller"),
        expected="the seller of the invoice",
        found=span("seller"),
    ),
    Check(
        name="notes-have-positions",
        invariant=9,
        view=refundable_accounts,
        among={"$gt": ["$notes", 0]},
        holds=equal("$position", 1),
        expected={"position": 1},
        found={"position": "$position"},
    ),
)
