"""Payments (invariants 3, 4 and 9): what is allocated of them, and the credit that is left."""

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
    minus,
    span,
    union,
)
from adapters.invoicing.audit import billing_accounts

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
        name="allocations-point-to-payments",
        invariant=9,
        view=allocated_payments,
        among={"$gt": ["$allocations", 0]},
        holds=both(equal("$payment", 1), agrees("account")),
        expected={"payment": 1, "billingAccount": "the same in both"},
        found={"payment": "$payment", "billingAccount": span("account")},
    ),
)
