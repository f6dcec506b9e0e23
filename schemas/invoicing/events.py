"""Invoices as they go out: TMF678 customer bills, and the events that tell what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from domain.invoicing.model import (
    Billing,
    Corrections,
    CorrectsLine,
    Invoice,
    InvoiceIssued,
    InvoiceLine,
    InvoiceOverdue,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceRecovered,
    InvoiceState,
    InvoiceStateChanged,
    LineOrigin,
    PaymentRequest,
    Period,
    RunType,
    TaxItem,
    WrittenOff,
)
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.shapes import Shape
from schemas.values import Json, decimal_json, money_json, time_json


def invoice_json(invoice: Invoice) -> Json:
    """A TMF678 CustomerBill with its lines (AppliedCustomerBillingRate) and its order."""
    code = invoice.currency
    account = account_ref(invoice.billing_account, "BillingAccount")
    # A line is charged to the account that the order was for, the bill to the one that pays (TMF678).
    ordered_for = account_ref(invoice.ordered_for, "BillingAccount")
    bill = {"@type": "CustomerBillRef", "id": invoice.id}
    reference = invoice.payment_reference
    made_by = {"orderId": invoice.order_id} if invoice.billing is None else _billing_json(invoice.billing)
    return {
        "@type": "CustomerBill",
        "id": invoice.id,
        "billNo": invoice.id,
        **({"paymentReference": reference} if reference is not None else {}),
        **made_by,
        "billDate": invoice.bill_date.isoformat(),
        "paymentDueDate": invoice.payment_due_date.isoformat(),
        "taxPointDate": invoice.tax_point_date.isoformat(),
        "state": invoice.state,
        "billingAccount": account,
        **seller_json(invoice.seller),
        "sellerVersion": invoice.seller_version,
        "buyerVersion": invoice.buyer_version,
        "taxExcludedAmount": money_json(invoice.tax_excluded_amount, code),
        "taxIncludedAmount": money_json(invoice.tax_included_amount, code),
        "taxItem": [tax_item_json(item, code) for item in invoice.tax_item],
        "amountDue": money_json(invoice.tax_included_amount, code),
        "remainingAmount": money_json(invoice.remaining_amount, code),
        "appliedPayment": [
            {
                "@type": "AppliedPayment",
                "appliedAmount": money_json(applied.amount, code),
                "payment": {"@type": "PaymentRef", "id": applied.payment_id},
            }
            for applied in invoice.applied_payment
        ],
        "lines": [_line_json(line, code, ordered_for, bill) for line in invoice.lines],
        **({} if invoice.corrections is None else {"corrections": _corrections_json(invoice.corrections, code)}),
        **({} if invoice.handling is None else {"handling": _handling_json(invoice)}),
    }


def bills_json(numbers: Sequence[str]) -> Json:
    """The numbers of the sellers' bills; where there is one, as `billNo` too."""
    return {**({"billNo": numbers[0]} if len(numbers) == 1 else {}), "billNos": list(numbers)}


def order_json(invoice: Invoice) -> Json:
    """The order that an invoice bills, if any."""
    return {} if invoice.order_id is None else {"orderId": invoice.order_id}


def _billing_json(billing: Billing) -> Json:
    # TMF678's cycle is one turn of it: a run.
    cycle = {} if billing.bill_run is None else {"billCycle": {"@type": "BillCycleRef", "id": billing.bill_run}}
    return {"billingPeriod": period_json(billing.period), **cycle, "runType": billing.run_type}


def period_json(period: Period) -> Json:
    """A TMF TimePeriod, whose end is not in it."""
    return {"startDateTime": time_json(period.start), "endDateTime": time_json(period.end)}


def corrects_json(corrects: CorrectsLine) -> Json:
    """The invoice's line that something corrects."""
    return {"billNo": corrects.bill_no, "lineId": corrects.line_id}


def seller_json(seller: str | None) -> Json:
    """The partner in whose name an invoice is, or a note; nothing of ours."""
    return {} if seller is None else {"seller": account_ref(seller, "SettlementAccount")}


def tax_item_json(item: TaxItem, code: str) -> Json:
    """A TMF678 TaxItem with its category: the tax of one (category, rate) group."""
    return {
        "@type": "TaxItem",
        "taxCategory": item.category,
        "taxRate": float(item.rate),
        "taxExcludedAmount": money_json(item.tax_excluded_amount, code),
        "taxAmount": money_json(item.tax_amount, code),
    }


def _corrections_json(corrections: Corrections, code: str) -> Json:
    out: Json = {
        "credited": money_json(corrections.credited, code),
        "lines": [
            {
                "lineId": line.line_id,
                "credited": money_json(line.credited, code),
                **({"takenBack": money_json(line.taken_back, code)} if line.taken_back else {}),
            }
            for line in corrections.lines
            if line.credited or line.taken_back
        ],
    }
    if corrections.write_offs:
        out["writtenOff"] = money_json(corrections.written_off, code)
        out["writeOffs"] = [written_off_json(one, code) for one in corrections.write_offs]
    return out


def written_off_json(one: WrittenOff, code: str) -> Json:
    """What of a write-off stands, or is recovered."""
    return {"writeOffId": one.write_off_id, "amount": money_json(one.amount, code), "taxRelief": one.tax_relief}


def _handling_json(invoice: Invoice) -> Json:
    handled = invoice.handled
    said = {
        "validatedAt": None if handled.validated_at is None else time_json(handled.validated_at),
        "validatedBy": handled.validated_by,
        "sentAt": None if handled.sent_at is None else time_json(handled.sent_at),
        "medium": handled.medium,
        "overdueOn": None if handled.overdue_on is None else handled.overdue_on.isoformat(),
    }
    return {
        "undisputedAmount": money_json(invoice.undisputed, invoice.currency),
        **{name: value for name, value in said.items() if value is not None},
        **({} if handled.request is None else {"paymentRequest": _request_json(handled.request, invoice)}),
        "openDisputes": [
            {"disputeId": one.dispute_id, "amount": money_json(one.amount, invoice.currency)}
            for one in handled.disputes
        ],
    }


def _request_json(request: PaymentRequest, invoice: Invoice) -> Json:
    said = {
        "failedAt": None if request.failed_at is None else time_json(request.failed_at),
        "reason": request.reason,
        "paymentId": request.payment_id,
    }
    return {
        "paymentRequestId": invoice.id,
        "date": request.on.isoformat(),
        "amount": money_json(request.amount, invoice.currency),
        **{name: value for name, value in said.items() if value is not None},
    }


def _line_json(line: InvoiceLine, code: str, account: Json, bill: Json) -> Json:
    out: Json = {
        "@type": "AppliedCustomerBillingRate",
        "id": line.id,
        "description": line.description,
        "isBilled": True,
        "bill": bill,
        "billingAccount": account,
        "quantity": decimal_json(line.quantity),
        "unitPrice": decimal_json(line.unit_price),
        "taxExcludedAmount": money_json(line.tax_excluded_amount, code),
        "taxIncludedAmount": money_json(line.tax_excluded_amount + line.tax_amount, code),
        "appliedTax": [
            {
                "@type": "AppliedBillingTaxRate",
                "taxCategory": line.category,
                "taxRate": float(line.rate),
                "taxAmount": money_json(line.tax_amount, code),
            }
        ],
    }
    if line.description is None:
        del out["description"]
    if line.on_behalf_of is not None:
        out["onBehalfOf"] = account_ref(line.on_behalf_of.id, "SettlementAccount")
    if line.origin is not None:
        out |= _origin_json(line.origin)
    return out


def _origin_json(origin: LineOrigin) -> Json:
    out: Json = {"billingAccount": account_ref(origin.account, "BillingAccount")}
    if origin.charge_id is not None:
        out["chargeId"] = origin.charge_id
    if origin.subscription_id is not None:
        out["subscriptionId"] = origin.subscription_id
    if origin.price_id is not None:
        out["priceId"] = origin.price_id
    if origin.period is not None:
        out["periodCoverage"] = period_json(origin.period)
    if origin.corrects is not None:
        out["corrects"] = corrects_json(origin.corrects)
    return out


def _invoice(
    event: InvoiceIssued | InvoicePaid | InvoicePartiallyPaid | InvoiceStateChanged | InvoiceRecovered | InvoiceOverdue,
) -> Json:
    invoice = event.invoice
    if invoice.order_id is None:
        return {"invoice": invoice_json(invoice)}
    return {"invoice": invoice_json(invoice), "orderId": invoice.order_id}


TAX_ITEM: Shape = {
    "@type": ("TaxItem",),
    "taxCategory": "Id",
    "taxRate": float,
    "taxExcludedAmount": "Money",
    "taxAmount": "Money",
}
"""The tax of one (category, rate) group."""

WRITTEN_OFF: Shape = {"writeOffId": "Id", "amount": "Money", "taxRelief": bool}
"""A write-off; or what of it stands, or is recovered."""

PERIOD: Shape = {"startDateTime": "Time", "endDateTime": "Time"}
"""A TMF TimePeriod: from its start to its end, which is not in it."""
CORRECTS: Shape = {"billNo": "Id", "lineId": "Id"}
"""The invoice's line that something corrects."""

BREAKDOWN: Shape = {
    "billingAccount": "BillingAccountReference",
    "subscriptionId?": "Id",
    "priceId?": "Id",
    "periodCoverage?": PERIOD,
    "taxCategory": "Id",
    "taxRate": float,
    "taxExcludedAmount": "Money",
    "taxAmount": "Money",
    "taxIncludedAmount": "Money",
    "lines": ["Id"],
}
"""What some of an invoice's lines come to."""

SHAPES: dict[str, Shape] = {
    "Invoice": {
        "@type": ("CustomerBill",),
        "id": "Id",
        "billNo": "Id",
        "paymentReference?": "Id",
        "orderId?": "Id",
        "billingPeriod?": PERIOD,
        "billCycle?": {"@type": ("BillCycleRef",), "id": "Id"},
        "runType?": get_args(RunType),
        "billDate": "Date",
        "paymentDueDate": "Date",
        "taxPointDate": "Date",
        "state": get_args(InvoiceState),
        "billingAccount": "BillingAccountReference",
        "seller?": "SettlementAccountReference",
        "sellerVersion": "Version?",
        "buyerVersion": "Version?",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "taxItem": [TAX_ITEM],
        "amountDue": "Money",
        "remainingAmount": "Money",
        "appliedPayment": [
            {
                "@type": ("AppliedPayment",),
                "appliedAmount": "Money",
                "payment": {"@type": ("PaymentRef",), "id": "PaymentId"},
            }
        ],
        "lines": ["InvoiceLine"],
        "breakdown?": [BREAKDOWN],
        "creditNotes?": [
            {"@type": ("CustomerBillRef",), "id": "Id", "creditNoteId": "CreditNoteId", "taxIncludedAmount": "Money"}
        ],
        "writeOffs?": [WRITTEN_OFF],
        "disputes?": [{"disputeId": "Id", "state": ("open", "settled", "withdrawn"), "amount": "Money"}],
        "corrections?": {
            "credited": "Money",
            "lines": [{"lineId": "Id", "credited": "Money", "takenBack?": "Money"}],
            "writtenOff?": "Money",
            "writeOffs?": [WRITTEN_OFF],
        },
        "handling?": {
            "undisputedAmount": "Money",
            "validatedAt?": "Time",
            "validatedBy?": "Text",
            "sentAt?": "Time",
            "medium?": "Text",
            "overdueOn?": "Date",
            "paymentRequest?": {
                "paymentRequestId": "Id",
                "date": "Date",
                "amount": "Money",
                "failedAt?": "Time",
                "reason?": "Text",
                "paymentId?": "Id",
            },
            "openDisputes": [{"disputeId": "Id", "amount": "Money"}],
        },
    },
    "InvoiceLine": {
        "@type": ("AppliedCustomerBillingRate",),
        "id": "Id",
        "description?": "Text",
        "isBilled": (True,),
        "bill": {"@type": ("CustomerBillRef",), "id": "Id"},
        "billingAccount": "BillingAccountReference",
        "quantity": "Decimal",
        "unitPrice": "Decimal",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "appliedTax": [
            {"@type": ("AppliedBillingTaxRate",), "taxCategory": "Id", "taxRate": float, "taxAmount": "Money"}
        ],
        "onBehalfOf?": "SettlementAccountReference",
        "chargeId?": "ChargeId",
        "subscriptionId?": "Id",
        "priceId?": "Id",
        "periodCoverage?": PERIOD,
        "corrects?": CORRECTS,
    },
}
"""Parts of what goes out, by name."""

_INVOICE: Shape = {"invoice": "Invoice", "orderId?": "Id"}

EVENTS = (
    Event(
        "invoice.issued",
        InvoiceIssued,
        "An order, or what was due, was billed.",
        _INVOICE,
        _invoice,
    ),
    Event("invoice.partially-paid", InvoicePartiallyPaid, "A part of an invoice was paid.", _INVOICE, _invoice),
    Event("invoice.paid", InvoicePaid, "The rest of an invoice was paid.", _INVOICE, _invoice),
    Event(
        "invoice.state-changed",
        InvoiceStateChanged,
        "By what was said of an invoice its state is another one: it was validated or sent, or is disputed.",
        {**_INVOICE, "oldState": get_args(InvoiceState)},
        lambda event: {**_invoice(event), "oldState": event.old_state},
    ),
    Event(
        "invoice.overdue",
        InvoiceOverdue,
        "An invoice was due before the day that has begun, and is not paid. Told once of each.",
        _INVOICE,
        _invoice,
    ),
    Event(
        "invoice.recovered",
        InvoiceRecovered,
        "A payment that names an invoice covers what was written off of it.",
        {**_INVOICE, "paymentId": "Id", "recovered": [WRITTEN_OFF]},
        lambda event: {
            **_invoice(event),
            "paymentId": event.payment_id,
            "recovered": [written_off_json(one, event.invoice.currency) for one in event.recovered],
        },
    ),
)
