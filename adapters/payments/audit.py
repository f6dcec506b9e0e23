"""Payments (invariants 3, 4 and 9): what is allocated of them, and the credit that is left."""

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
    has,
    minus,
    only,
    owner,
    span,
    union,
)
from adapters.invoicing.audit import billing_accounts, cause_of_invoice

# Type and business key of the fact, as they stand in what it books.
key_of_cause: Expression = {"$replaceOne": {"input": "$cause", "find": ":", "replacement": "/"}}

named_by_its_cause: Expression = {
    "$in": [
        "$_id",
        [
            {"$concat": ["$billNo", "/", "$paymentId"]},
            {"$concat": ["$billNo", "/", "$paymentId", "/", key_of_cause]},
        ],
    ]
}

applied_payments = View(
    "applied payments of invoices and their allocations",
    "invoices",
    (
        {"$project": {"appliedPayment": 1}},
        {"$unwind": "$appliedPayment"},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$appliedPayment.paymentId"]},
                "billNo": "$_id",
                "paymentId": "$appliedPayment.paymentId",
                "applied": "$appliedPayment.amount",
                "rows": {"$literal": 1},
            }
        },
        union(
            "allocations",
            {
                "$project": {
                    "_id": {"$concat": ["$billNo", "/", "$paymentId"]},
                    "billNo": 1,
                    "paymentId": 1,
                    "allocated": "$amount",
                    "allocations": {"$literal": 1},
                    # Its id is that of its cause, and it allocates something, or undoes something.
                    "odd": {"$cond": [both(named_by_its_cause, {"$ne": ["$amount", 0]}), 0, 1]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("applied", "rows", "allocated", "allocations", "odd")},
                **agreed("billNo"),
                **agreed("paymentId"),
            }
        },
    ),
)

allocated_payments = View(
    "payments and what was allocated from them",
    "payments",
    (
        {
            "$project": {
                "payment": {"$literal": 1},
                "account": "$billingAccount",
                "amount": 1,
                "unapplied": 1,
                "gone": {"$sum": "$transferred.amount"},
            }
        },
        union(
            "allocations",
            {
                "$project": {
                    "_id": "$paymentId",
                    "allocations": {"$literal": 1},
                    "account": "$billingAccount",
                    "allocated": "$amount",
                }
            },
        ),
        union(
            "creditNotes",
            {"$unwind": "$reserved"},
            {"$project": {"_id": "$reserved.paymentId", "reserved": "$reserved.amount"}},
        ),
        union(
            "refunds",
            {"$unwind": "$taken"},
            {"$project": {"_id": "$taken.paymentId", "gone": "$taken.amount"}},
        ),
        union("recoveries", {"$project": {"_id": "$paymentId", "gone": "$amount"}}),
        union(
            "reversals",
            {"$project": {"_id": "$paymentId", "gone": {"$add": ["$credit", {"$sum": "$reserved.amount"}]}}},
        ),
        union(
            "reversals",
            {"$unwind": "$transferred"},
            {
                "$project": {
                    "_id": "$transferred.paymentId",
                    "gone": {"$add": ["$transferred.credit", {"$sum": "$transferred.reserved.amount"}]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("payment", "allocations", "amount", "unapplied", "allocated", "reserved", "gone")
                },
                **agreed("account"),
            }
        },
    ),
)

# An account's invoices that are open and never were anything else: not credited, written off, or in dispute.
# Which comes first is told by due date, then by number: dates are of one length.
_precedence: Expression = {"$concat": ["$paymentDueDate", "/", "$_id"]}
_untouched: Expression = both(
    {"$gt": ["$remainingAmount", 0]}, {"$not": [has("$corrections")]}, {"$not": [has("$handling.disputes")]}
)


def _beside(collection: str, field: str, foreign: str, name: str, *steps: Stage) -> Stage:
    return {
        "$lookup": {"from": collection, "localField": field, "foreignField": foreign, "pipeline": [*steps], "as": name}
    }


_account_of_posting: Expression = {
    "$cond": [
        equal({"$indexOfBytes": ["$$this.account", "receivable:"]}, 0),
        {"account": owner("$$this.account"), "movement": "$$this.movement"},
        None,
    ]
}
_moved: Stage = {"$project": {"moved": each("$postings", _account_of_posting)}}


def _movement(entries: str) -> Expression:
    """The number of an entry among those that move what the account owes."""
    of_account = only({"$first": f"{entries}.moved"}, equal("$$this.account", "$_id"))
    return {"$max": each(of_account, "$$this.movement")}


# Where an earlier invoice is open, and a later one was paid, by a payment that does not name it: few accounts have such
# invoices, so these are looked up. That the earlier one was open then is told from the movements of the account.
passed_over = View(
    "allocations to one invoice while an earlier one is open",
    "invoices",
    (
        {
            "$group": {
                "_id": "$billingAccount",
                "first": {"$min": {"$cond": [_untouched, _precedence, "$$REMOVE"]}},
                "last": {"$max": {"$cond": [{"$gt": ["$appliedPayment", []]}, _precedence, "$$REMOVE"]}},
            }
        },
        {"$match": {"first": {"$gt": ""}, "$expr": {"$lt": ["$first", "$last"]}}},
        _beside("disputes", "_id", "billingAccount", "disputes", {"$project": {"billNo": 1}}),
        _beside(
            "allocations",
            "_id",
            "billingAccount",
            "undone",
            {"$match": {"amount": {"$lt": 0}}},
            {"$group": {"_id": "$billNo"}},
        ),
        {
            "$project": {
                "first": 1,
                "touched": {"$setUnion": ["$disputes.billNo", "$undone._id"]},
            }
        },
        _beside(
            "invoices",
            "_id",
            "billingAccount",
            "paid",
            {"$match": {"appliedPayment.0": {"$exists": True}}},
            {"$project": {"place": _precedence, "appliedPayment.paymentId": 1}},
        ),
        {"$unwind": "$paid"},
        {"$match": {"$expr": {"$gt": ["$paid.place", "$first"]}}},
        {"$unwind": "$paid.appliedPayment"},
        _beside(
            "payments",
            "paid.appliedPayment.paymentId",
            "_id",
            "payment",
            # What is netted covers what is due by then, and a request names its invoice.
            {"$match": {"source": {"$ne": "netting"}, "request": None}},
            {"$project": {"invoices": {"$ifNull": ["$invoices", []]}}},
        ),
        {"$unwind": "$payment"},
        {"$match": {"$expr": {"$not": [{"$in": ["$paid._id", "$payment.invoices"]}]}}},
        _beside(
            "allocations",
            "payment._id",
            "paymentId",
            "allocation",
            {"$match": {"amount": {"$gt": 0}}},
            {"$project": {"billNo": 1, "cause": 1}},
        ),
        {"$unwind": "$allocation"},
        {"$match": {"$expr": equal("$allocation.billNo", "$paid._id")}},
        _beside("entries", "allocation.cause", "_id", "allocating", _moved),
        _beside(
            "invoices",
            "_id",
            "billingAccount",
            "open",
            {"$match": {"remainingAmount": {"$gt": 0}, "$expr": _untouched}},
            {"$project": {"place": _precedence, "cause": cause_of_invoice}},
        ),
        {"$unwind": "$open"},
        {"$match": {"$expr": {"$lt": ["$open.place", "$paid.place"]}}},
        _beside("entries", "open.cause", "_id", "issuing", _moved),
        {
            "$project": {
                "_id": {"allocation": "$allocation._id", "open": "$open._id"},
                "wasTouched": {"$in": ["$open._id", "$touched"]},
                "issued": _movement("$issuing"),
                "allocated": _movement("$allocating"),
            }
        },
    ),
)

PAYMENT = "payment.received:"
"""How the identities of payments begin."""
NETTING = "netting.apply:"
"""How those of nettings begin."""
RESTS = ("credit.allocate:", "credit.deallocate:")
"""How those of the rest of an allocation begin, and of a de-allocation."""
CAME_TO_SOMETHING = [{"result.billNos.0": {"$exists": True}}, {"result.recovered.value": {"$gt": 0}}]

# By the posting table. A rest has an entry unless there was nothing left when it came to it.
POSTED = Posted(
    (
        begins(PAYMENT),
        {"$match": {**begins(NETTING)["$match"], "result.netted.value": {"$gt": 0}}},
        *({"$match": {**begins(rest)["$match"], "$or": CAME_TO_SOMETHING}} for rest in RESTS),
    ),
    (
        union(
            "payments",
            {"$match": {"source": None}},
            {
                "$project": {
                    "_id": {"$concat": [PAYMENT, "$_id"]},
                    "document": {"$literal": 1},
                    **due({"cash": "$amount", "unapplied": minus("$amount")}),
                }
            },
        ),
        # It never was the account's credit: what its allocations take of that, it has not.
        union(
            "payments",
            {"$match": {"source": "netting"}},
            {
                "$project": {
                    "_id": {"$concat": [NETTING, {"$substrBytes": ["$_id", len("netting~"), -1]}]},
                    "document": {"$literal": 1},
                    **due({"payable": "$amount", "unapplied": minus("$amount")}),
                }
            },
        ),
        union(
            "allocations",
            {"$project": {"_id": "$cause", **due({"unapplied": "$amount", "receivable": minus("$amount")})}},
        ),
        union(
            "recoveries",
            {"$project": {"_id": "$cause", **due({"unapplied": "$amount", "recoverable": minus("$amount")})}},
        ),
        *(
            union(
                "allocations",
                {"$match": {"cause": begins(rest)["$match"]["_id"]}},
                union("recoveries", {"$match": {"cause": begins(rest)["$match"]["_id"]}}),
                {"$group": {"_id": "$cause"}},
                {"$project": {"document": {"$literal": 1}}},
            )
            for rest in RESTS
        ),
    ),
)

CHECKS = (
    Check(
        name="applied-payments-match-allocations",
        invariant=3,
        view=applied_payments,
        holds=both(
            {"$gte": ["$allocations", {"$max": ["$rows", 1]}]},
            equal("$applied", "$allocated"),
            equal("$odd", 0),
            agrees("billNo"),
            agrees("paymentId"),
        ),
        expected={"amount": "$allocated", "billNo": "$billNoMost", "paymentId": "$paymentIdMost"},
        found={
            "allocations": "$allocations",
            "appliedPayments": "$rows",
            "amount": "$applied",
            "billNo": span("billNo"),
            "paymentId": span("paymentId"),
        },
    ),
    Check(
        name="allocations-within-payments",
        invariant=4,
        view=allocated_payments,
        among=equal("$payment", 1),
        holds=both({"$lte": ["$allocated", "$amount"]}, {"$gte": ["$allocated", 0]}),
        expected={"atMost": "$amount"},
        found="$allocated",
    ),
    Check(
        name="unapplied-is-what-is-left",
        invariant=4,
        view=allocated_payments,
        among=equal("$payment", 1),
        holds=equal("$unapplied", {"$subtract": ["$amount", {"$add": ["$allocated", "$reserved", "$gone"]}]}),
        expected={"$subtract": ["$amount", {"$add": ["$allocated", "$reserved", "$gone"]}]},
        found="$unapplied",
    ),
    Check(
        name="credit-matches-unapplied",
        invariant=4,
        view=billing_accounts,
        holds=equal("$unapplied", "$credit"),
        expected="$credit",
        found="$unapplied",
    ),
    Check(
        name="no-credit-beside-open-invoice",
        invariant=4,
        view=billing_accounts,
        holds={
            "$or": [
                {"$gt": ["$rest", 0]},
                {
                    "$not": [
                        either(
                            both({"$gt": ["$open", "$disputed"]}, {"$gt": ["$credit", 0]}),
                            both({"$gt": ["$receivable", "$disputed"]}, {"$gt": ["$unapplied", 0]}),
                        )
                    ]
                },
            ]
        },
        expected="open invoices or unapplied credit, or a dispute, or a credit.allocate that waits",
        found={
            "openInvoices": "$open",
            "disputed": "$disputed",
            "credit": "$credit",
            "receivable": "$receivable",
            "unapplied": "$unapplied",
        },
    ),
    Check(
        name="payments-cover-what-is-due-first",
        invariant=4,
        view=passed_over,
        holds=either("$wasTouched", {"$gt": ["$issued", "$allocated"]}),
        expected={"issued": {"after": "$allocated"}},
        found={"issued": "$issued"},
    ),
    Check(
        name="allocations-point-to-payments",
        invariant=9,
        view=allocated_payments,
        among={"$gt": ["$allocations", 0]},
        holds=both(equal("$payment", 1), agrees("account")),
        expected={"payment": 1, "billingAccount": "the same in both"},
        found={"payment": "$payment", "billingAccount": span("account")},
    ),
)
