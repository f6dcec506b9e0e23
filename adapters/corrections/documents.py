"""How corrections are kept: credit notes, refunds, reversals, goodwill, transfers."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Key, Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.corrections.model import CreditNote, Dispute, DisputedLine, Goodwill, Refund, Reversal, Transfer, WriteOff

DISPUTED = {"state": "open"}
OF_SELLERS = {"seller": {"$gt": ""}}

KEPT = (
    Kept(
        Layout(CreditNote, absent=(("seller",),)),
        Collection(
            "creditNotes",
            id="`creditNoteId`",
            written="once; `reserved` falls as money goes back",
            fields={
                "billNo": "its own number",
                "correctedBillNo": "the invoice that it takes back of",
                "billingAccount": "that of the invoice",
                "currency": "",
                "billDate": "",
                "issuedAt": "as the message says it",
                "bookedAt": "",
                "cause": "the identity of the fact that issued it",
                "reason": "",
                "taxExcludedAmount": "the sum of the lines' nets",
                "taxIncludedAmount": "the same with tax",
                "taxItem": "[{`category`, `rate`, `taxExcludedAmount`, `taxAmount`}], one for each category and rate",
                "lines": "[{`lineId`, `category`, `rate`, `taxExcludedAmount`, `taxAmount`, `onBehalfOf`: the "
                "partner's account or null, `share` and `withheld`: how much less is its, and is withheld of it}]",
                "covered": "how much of it covers what was open of the invoice",
                "recovered": "how much of it covers what was written off",
                "excess": "`credit` or `refund`: what becomes of what it de-allocates",
                "deallocated": "[{`paymentId`, `amount`}]: what no longer covers the invoice",
                "reserved": "[{`paymentId`, `amount`}]: what of that is still to be given back",
                "buyerVersion": "the version of its account as it was issued",
                "sellerVersion": "that of the seller, null while nothing was said of it",
                "seller": "the settlement account of the partner in whose name it is; left out of ours",
            },
            indexes=(
                # A note by its number.
                IndexModel([("billNo", ASCENDING)], name="number", unique=True),
                # The notes of an invoice.
                IndexModel([("correctedBillNo", ASCENDING), ("billNo", ASCENDING)], name="invoice"),
                # What was credited to an account since a time, to tell what was overdue then.
                IndexModel([("billingAccount", ASCENDING), ("bookedAt", ASCENDING)], name="booked"),
                # Lists of an account's notes, by number.
                IndexModel([("billingAccount", ASCENDING), ("billNo", ASCENDING)], name="listed"),
                # The same of those in a partner's name.
                IndexModel(
                    [("seller", ASCENDING), ("billNo", ASCENDING)],
                    name="seller",
                    partialFilterExpression=OF_SELLERS,
                ),
            ),
            personal=("reason",),
        ),
        awaited={"credit-note": {}},
    ),
    Kept(
        Layout(Refund),
        Collection(
            "refunds",
            id="`refundId`",
            written="once, with the fact",
            fields={
                "billingAccount": "",
                "currency": "",
                "amount": "",
                "refundedAt": "as the message says it",
                "bookedAt": "",
                "creditNoteId": "the note that had reserved it, or null",
                "paymentId": "the payment of which it is, or null",
                "method": "as the message says it, or null",
                "taken": "[{`paymentId`, `amount`}]: what of which payment went back",
                "deallocated": "[{`billNo`, `paymentId`, `amount`}]: what it undid of allocations for that",
                "recoverable": "what there was no credit for",
            },
            indexes=(
                # Lists of an account's refunds, oldest first.
                IndexModel([("billingAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="listed"),
            ),
            personal=("method",),
            append_only=True,
        ),
    ),
    Kept(
        Layout(Reversal),
        Collection(
            "reversals",
            id="`reversalId`",
            written="once, with the fact",
            fields={
                "paymentId": "",
                "billingAccount": "that of the payment",
                "currency": "",
                "amount": "",
                "fee": "the bank's, 0 if none",
                "reversedAt": "as the message says it",
                "bookedAt": "",
                "reason": "",
                "credit": "what it took of the payment's credit, what it de-allocated for that included",
                "reserved": "[{`creditNoteId`, `amount`}]: what it took of what notes had reserved of the payment",
                "transferred": "[{`paymentId`, `billingAccount`, `credit`, `reserved`}]: what it took of what was "
                "transferred of the payment",
                "deallocated": "[{`billNo`, `paymentId`, `amount`}]: what it undid of allocations",
                "recoverable": "what there was nothing of: it was given back before",
            },
            indexes=(
                # What was reversed of a payment.
                IndexModel([("paymentId", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="payment"),
            ),
            personal=("reason",),
            append_only=True,
        ),
        queue=QueueRead("paymentId", "bookedAt", {}, of_accounts=False),
    ),
    Kept(
        Layout(WriteOff),
        Collection(
            "writeOffs",
            id="`writeOffId`",
            written="once, with the fact",
            fields={
                "billNo": "the invoice",
                "billingAccount": "that of the invoice",
                "currency": "",
                "amount": "how much was written off; what of it stands is in the invoice's `corrections`",
                "taxRelief": "whether the tax in it is not owed",
                "writtenOffAt": "as the message says it",
                "bookedAt": "",
                "reason": "",
            },
            indexes=(
                # The write-offs of an invoice.
                IndexModel([("billNo", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="invoice"),
            ),
            personal=("reason",),
            append_only=True,
        ),
    ),
    Kept(
        Layout(Dispute, absent=(("seller",),), parts=(Layout(DisputedLine, absent=(("counted",),)),)),
        Collection(
            "disputes",
            id="`disputeId`",
            written="opened once, ended once; until then, what it counts for follows notes and other disputes",
            fields={
                "billNo": "the invoice",
                "billingAccount": "that of the invoice",
                "currency": "",
                "state": "`open`, `settled`, `withdrawn`",
                "lines": "[{`lineId`, `taxExcludedAmount`, `approved`, `counted`}]; `counted` is what of it notes and "
                "earlier disputes leave, not there where an earlier version of the program worked out the amount",
                "amount": "by how much more of the invoice is disputed by it, tax included",
                "openedAt": "as the message says it",
                "bookedAt": "",
                "reason": "",
                "endedAt": "as the message says it, or null",
                "endedBookedAt": "when that was booked, or null",
                "creditNote": "the number of the note that credits what was approved, or null",
                "seller": "the settlement account of the partner in whose name the invoice is; left out of ours",
            },
            indexes=(
                # The disputes of an invoice.
                IndexModel([("billNo", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="invoice"),
                # Lists of an account's disputes, all or those in one state, oldest first.
                IndexModel(
                    [
                        ("billingAccount", ASCENDING),
                        ("state", ASCENDING),
                        ("bookedAt", ASCENDING),
                        ("_id", ASCENDING),
                    ],
                    name="listed",
                ),
                # The same of those in a partner's name.
                IndexModel(
                    [("seller", ASCENDING), ("state", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)],
                    name="seller",
                    partialFilterExpression=OF_SELLERS,
                ),
                # What was disputed at a time: what is open, and what has ended since.
                IndexModel([("billingAccount", ASCENDING), ("endedBookedAt", ASCENDING)], name="ended"),
                # Whether one of an account is open, which keeps it from being closed.
                IndexModel(
                    [("billingAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression=DISPUTED,
                ),
            ),
            personal=("reason",),
        ),
        queue=QueueRead("billingAccount", "bookedAt", DISPUTED),
        awaited={"dispute": {}},
    ),
    Kept(
        Layout(Goodwill, read=False),
        Collection(
            "goodwill",
            id="`creditId`",
            written="once, with the fact; what it makes credit is among the payments",
            fields={
                "billingAccount": "",
                "currency": "",
                "amount": "",
                "grantedAt": "as the message says it",
                "bookedAt": "",
                "reason": "",
            },
            personal=("reason",),
            append_only=True,
        ),
    ),
    Kept(
        Layout(
            Transfer,
            keys=(
                "id",
                Key("from", "from_account"),
                Key("to", "to_account"),
                "currency",
                "amount",
                "transferred_at",
                "booked_at",
                "reason",
                "payment_id",
                "taken",
            ),
            read=False,
        ),
        Collection(
            "transfers",
            id="`transferId`",
            written="once, with the fact; what it makes credit is among the payments",
            fields={
                "from": "the account whose credit it was",
                "to": "the account whose credit it is",
                "currency": "",
                "amount": "",
                "transferredAt": "as the message says it",
                "bookedAt": "",
                "reason": "",
                "paymentId": "the payment of which it is, or null",
                "taken": "[{`paymentId`, `amount`}]: of which payments; the n-th is `transfer~<transferId>~<n>` now",
            },
            personal=("reason",),
            append_only=True,
        ),
    ),
)
