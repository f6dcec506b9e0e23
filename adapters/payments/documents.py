"""How payments are kept, and what they are allocated to."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.payments.model import Allocation, Payment, Recovery

CREDIT = {"unapplied": {"$gt": 0}}

KEPT = (
    Kept(
        Layout(Payment, absent=(("source",), ("transferred",), ("level",), ("origin",), ("parts",), ("request",))),
        Collection(
            "payments",
            id="`paymentId`; of credit that is no payment `credit~<creditId>`, `transfer~<transferId>~<n>`",
            written="by a payment, or by what grants credit; `unapplied` falls as invoices consume it, and rises as a "
            "correction undoes that",
            fields={
                "billingAccount": "who paid",
                "currency": "",
                "amount": "",
                "unapplied": "what of it is still credit",
                "receivedAt": "",
                "method": "as the message says it, or null",
                "invoices": "the bill numbers that it names, or null",
                "bookedAt": "",
                "source": "of credit that is no payment what it is: `goodwill` or `transfer`",
                "level": "of transferred credit how often it was transferred",
                "origin": "of transferred credit the payment that it was at first; an earlier version had none",
                "parts": "how many parts of it were transferred, also further; not there while none was",
                "request": "the payment request that it answers; not there where it names none",
                "transferred": "[{`id`, `amount`}]: what of it is credit of other accounts; not there while nothing is",
            },
            indexes=(
                # An invoice's credit: an account's payments that are not used up, oldest first.
                IndexModel(
                    [("billingAccount", ASCENDING), ("receivedAt", ASCENDING), ("_id", ASCENDING)],
                    name="credit",
                    partialFilterExpression=CREDIT,
                ),
                # Lists of an account's payments, by id.
                IndexModel([("billingAccount", ASCENDING), ("_id", ASCENDING)], name="listed"),
            ),
            personal=("method", "invoices"),
        ),
        queue=QueueRead("billingAccount", "receivedAt", CREDIT),
        awaited={
            "payment": {},
            # There may be some and not enough: it is there when there is more, which no state of it says.
            "credit": {"_id": {"$exists": False}},
        },
    ),
    Kept(
        Layout(Allocation, absent=(("place",),)),
        Collection(
            "allocations",
            id="`<billNo>/<paymentId>`, with `/<type>/<key>` of a cause that is neither the payment nor the order",
            written="once, with the fact",
            fields={
                "billNo": "",
                "paymentId": "",
                "billingAccount": "",
                "amount": "below zero where it undoes what was allocated",
                "cause": "the identity of the fact that allocated it",
                "bookedAt": "",
                "place": "its place among those of its account; not there of what an earlier version has written",
            },
            indexes=(
                # What an account has paid since a time, to tell what was overdue then.
                IndexModel([("billingAccount", ASCENDING), ("bookedAt", ASCENDING)], name="booked"),
                # What a payment covers, to undo it.
                IndexModel([("paymentId", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="payment"),
            ),
            append_only=True,
        ),
        queue=QueueRead("paymentId", "bookedAt", {}, of_accounts=False),
    ),
    Kept(
        Layout(Recovery, read=False),
        Collection(
            "recoveries",
            id="`<paymentId>/<type>/<key>`; a second one of the payment and the fact has its number behind it",
            written="once, with the fact",
            fields={
                "paymentId": "",
                "billingAccount": "",
                "amount": "how much of the payment covers what the customer got without credit for it",
                "cause": "the identity of the fact that did it",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
)
