"""Payments as they go out, and the events that tell what they cover, and what is requested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from domain.payments.model import Payment, PaymentAllocated, PaymentRequested, Source
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.shapes import Shape
from schemas.values import Json, money_json, time_json


def payment_json(payment: Payment) -> Json:
    """A payment as its message says it; of credit that is none, also what it is (`source`)."""
    out: Json = {
        "@type": "Payment",
        "paymentId": payment.id,
        "receivedAt": time_json(payment.received_at),
        "billingAccount": account_ref(payment.billing_account, "BillingAccount"),
        "amount": money_json(payment.amount, payment.currency),
    }
    if payment.method is not None:
        out["method"] = payment.method
    if payment.invoices is not None:
        out["invoices"] = list(payment.invoices)
    if payment.request is not None:
        out["paymentRequestId"] = payment.request
    if payment.source is not None:
        out["source"] = payment.source
    return out


def payment_with_allocations(payment: Payment, allocated: Mapping[str, int]) -> Json:
    """A payment with what it covers now (minor units, by bill number), and what of it is credit."""
    return {
        **payment_json(payment),
        "allocations": [
            {"billNo": bill_no, "amount": money_json(amount, payment.currency)} for bill_no, amount in allocated.items()
        ],
        "unapplied": money_json(payment.unapplied, payment.currency),
    }


def _payment_allocated(event: PaymentAllocated) -> Json:
    payment = event.payment
    return {
        "payment": payment_json(payment),
        "allocations": [
            {"billNo": allocation.bill_no, "amount": money_json(allocation.amount, payment.currency)}
            for allocation in event.allocations
        ],
        "notAllocated": list(event.not_allocated),
        "unapplied": money_json(payment.unapplied, payment.currency),
        **({"recovered": money_json(event.recovered, payment.currency)} if event.recovered else {}),
    }


def _payment_requested(event: PaymentRequested) -> Json:
    return {
        "paymentRequestId": event.bill_no,
        "billingAccount": account_ref(event.billing_account, "BillingAccount"),
        "billNo": event.bill_no,
        "amount": money_json(event.amount, event.currency),
        "dueDate": event.due_date.isoformat(),
        "paymentMethod": {"@type": "PaymentMethodRef", "id": event.payment_method},
    }


SHAPES: dict[str, Shape] = {
    "Payment": {
        "@type": ("Payment",),
        "paymentId": "PaymentId",
        "receivedAt": "Time",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "method?": "Text",
        "invoices?": ["Text"],
        "paymentRequestId?": "Id",
        "source?": get_args(Source),
        "allocations": [{"billNo": "Id", "amount": "Money"}],
        "unapplied": "Money",
    },
    "AllocatedPayment": {
        "@type": ("Payment",),
        "paymentId": "PaymentId",
        "receivedAt": "Time",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "method?": "Text",
        "invoices?": ["Text"],
        "paymentRequestId?": "Id",
        "source?": get_args(Source),
    },
}
"""Parts of what goes out, by name."""


EVENTS = (
    Event(
        "payment.allocated",
        PaymentAllocated,
        "A payment, or what is left of it, covered invoices.",
        {
            "payment": "AllocatedPayment",
            "allocations": [{"billNo": "Id", "amount": "Money"}],
            "notAllocated": ["Text"],
            "unapplied": "Money",
            "recovered?": "Money",
        },
        _payment_allocated,
    ),
    Event(
        "payment.requested",
        PaymentRequested,
        "What is due of an invoice is to be collected by its account's default payment method. Told once of each.",
        {
            "paymentRequestId": "Id",
            "billingAccount": "BillingAccountReference",
            "billNo": "Id",
            "amount": "Money",
            "dueDate": "Date",
            "paymentMethod": {"@type": ("PaymentMethodRef",), "id": "ForeignId"},
        },
        _payment_requested,
    ),
)
