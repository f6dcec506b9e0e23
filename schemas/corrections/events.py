"""Credit notes as they go out, and the events that tell of corrections."""

from __future__ import annotations

from typing import get_args

from domain.corrections.model import (
    CreditGranted,
    CreditNote,
    CreditNoteIssued,
    CreditNoteLine,
    CreditTransferred,
    Dispute,
    DisputeOpened,
    DisputeSettled,
    DisputeState,
    DisputeWithdrawn,
    Goodwill,
    InvoiceCredited,
    InvoiceReopened,
    InvoiceWrittenOff,
    PaymentPart,
    Refund,
    RefundBooked,
    Reversal,
    ReversalBooked,
    Transfer,
    TransferredPart,
    WriteOff,
)
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.invoicing.events import TAX_ITEM, invoice_json, order_json, seller_json, tax_item_json
from schemas.payments.events import payment_json
from schemas.shapes import Shape
from schemas.values import Json, money_json, time_json


def credit_note_json(note: CreditNote) -> Json:
    """A TMF678 CustomerBill of the category `creditNote`, with what it takes back by line, and what it covers."""
    code = note.currency
    bill = {"@type": "CustomerBillRef", "id": note.bill_no}
    return {
        "@type": "CustomerBill",
        "id": note.bill_no,
        "billNo": note.bill_no,
        "category": "creditNote",
        "creditNoteId": note.id,
        "correctedBillNo": note.corrected_bill_no,
        "billDate": note.bill_date.isoformat(),
        "issuedAt": time_json(note.issued_at),
        "reason": note.reason,
        "billingAccount": account_ref(note.billing_account, "BillingAccount"),
        "taxExcludedAmount": money_json(note.tax_excluded_amount, code),
        "taxIncludedAmount": money_json(note.tax_included_amount, code),
        "taxItem": [tax_item_json(item, code) for item in note.tax_item],
        "lines": [_line_json(line, code, bill) for line in note.lines if line.tax_excluded_amount],
        "covered": {
            "remaining": money_json(note.covered, code),
            "writtenOff": money_json(note.recovered, code),
            "deallocations": deallocations_json(note.deallocated, code),
        },
        "refundable": money_json(note.refundable, code),
        **seller_json(note.seller),
        "sellerVersion": note.seller_version,
        "buyerVersion": note.buyer_version,
    }


def deallocations_json(parts: tuple[PaymentPart, ...], code: str) -> list[Json]:
    """What of payments covers an invoice no more."""
    return [{"paymentId": part.payment_id, "amount": money_json(part.amount, code)} for part in parts]


def _line_json(line: CreditNoteLine, code: str, bill: Json) -> Json:
    out: Json = {
        "@type": "AppliedCustomerBillingRate",
        "id": line.line_id,
        "isBilled": True,
        "bill": bill,
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
    if line.on_behalf_of is not None:
        out["onBehalfOf"] = account_ref(line.on_behalf_of, "SettlementAccount")
    return out


def _invoice_credited(event: InvoiceCredited) -> Json:
    return {
        "invoice": invoice_json(event.invoice),
        **order_json(event.invoice),
        "creditNote": event.note.bill_no,
        "creditNoteId": event.note.id,
        "deallocations": deallocations_json(event.note.deallocated, event.note.currency),
    }


def refund_json(refund: Refund) -> Json:
    """A refund as it was booked."""
    code = refund.currency
    out: Json = {
        "@type": "Refund",
        "refundId": refund.id,
        "billingAccount": account_ref(refund.billing_account, "BillingAccount"),
        "amount": money_json(refund.amount, code),
        "refundedAt": time_json(refund.refunded_at),
        "taken": deallocations_json(refund.taken, code),
        "recoverable": money_json(refund.recoverable, code),
    }
    said = {"creditNoteId": refund.credit_note_id, "paymentId": refund.payment_id, "method": refund.method}
    return {**out, **{name: value for name, value in said.items() if value is not None}}


def _refund_booked(event: RefundBooked) -> Json:
    refund = event.refund
    return {
        "refund": refund_json(refund),
        "deallocations": [
            {"billNo": one.bill_no, "amount": money_json(one.amount, refund.currency)} for one in refund.deallocated
        ],
        "recoverable": money_json(refund.recoverable, refund.currency),
    }


def reversal_json(reversal: Reversal) -> Json:
    """A reversal as it was booked."""
    code = reversal.currency
    out: Json = {
        "@type": "PaymentReversal",
        "reversalId": reversal.id,
        "paymentId": reversal.payment_id,
        "billingAccount": account_ref(reversal.billing_account, "BillingAccount"),
        "amount": money_json(reversal.amount, code),
        "reversedAt": time_json(reversal.reversed_at),
        "reason": reversal.reason,
        "recoverable": money_json(reversal.recoverable, code),
    }
    if reversal.fee:
        out["fee"] = money_json(reversal.fee, code)
    if reversal.transferred:
        out["transferred"] = [_transferred_part_json(part, code) for part in reversal.transferred]
    return out


def _transferred_part_json(part: TransferredPart, code: str) -> Json:
    return {
        "paymentId": part.payment_id,
        "billingAccount": account_ref(part.billing_account, "BillingAccount"),
        "amount": money_json(part.credit + sum(one.amount for one in part.reserved), code),
    }


def _reversal_booked(event: ReversalBooked) -> Json:
    """What happened to the payment, or to credit that was transferred of it: `recoverable` is the former's alone."""
    reversal, payment = event.reversal, event.payment
    code = reversal.currency
    return {
        "payment": payment_json(payment),
        "reversal": reversal_json(reversal),
        "deallocations": [
            {"billNo": one.bill_no, "amount": money_json(one.amount, code)}
            for one in reversal.deallocated
            if one.payment_id == payment.id
        ],
        "recoverable": money_json(reversal.recoverable if payment.id == reversal.payment_id else 0, code),
        "unapplied": money_json(payment.unapplied, code),
    }


def goodwill_json(goodwill: Goodwill) -> Json:
    """Goodwill as it was granted."""
    return {
        "@type": "Goodwill",
        "creditId": goodwill.id,
        "billingAccount": account_ref(goodwill.billing_account, "BillingAccount"),
        "amount": money_json(goodwill.amount, goodwill.currency),
        "grantedAt": time_json(goodwill.granted_at),
        "reason": goodwill.reason,
    }


def transfer_json(transfer: Transfer) -> Json:
    """A transfer as it was booked."""
    out: Json = {
        "@type": "CreditTransfer",
        "transferId": transfer.id,
        "from": account_ref(transfer.from_account, "BillingAccount"),
        "to": account_ref(transfer.to_account, "BillingAccount"),
        "amount": money_json(transfer.amount, transfer.currency),
        "transferredAt": time_json(transfer.transferred_at),
        "reason": transfer.reason,
        "taken": deallocations_json(transfer.taken, transfer.currency),
    }
    return out if transfer.payment_id is None else {**out, "paymentId": transfer.payment_id}


def _invoice_reopened(event: InvoiceReopened) -> Json:
    return {
        "invoice": invoice_json(event.invoice),
        **order_json(event.invoice),
        "deallocations": [
            {"paymentId": one.payment_id, "amount": money_json(one.amount, event.invoice.currency)}
            for one in event.deallocated
        ],
    }


def write_off_json(write_off: WriteOff) -> Json:
    """A write-off as it was booked."""
    return {
        "@type": "WriteOff",
        "writeOffId": write_off.id,
        "billNo": write_off.bill_no,
        "billingAccount": account_ref(write_off.billing_account, "BillingAccount"),
        "amount": money_json(write_off.amount, write_off.currency),
        "taxRelief": write_off.tax_relief,
        "writtenOffAt": time_json(write_off.written_off_at),
        "reason": write_off.reason,
    }


def _invoice_written_off(event: InvoiceWrittenOff) -> Json:
    return {
        "invoice": invoice_json(event.invoice),
        **order_json(event.invoice),
        "writeOff": write_off_json(event.write_off),
    }


def dispute_json(dispute: Dispute) -> Json:
    """A dispute as it stands now."""
    code = dispute.currency
    ended = {"settled": "settledAt", "withdrawn": "withdrawnAt"}.get(dispute.state)
    return {
        "@type": "Dispute",
        "disputeId": dispute.id,
        "billNo": dispute.bill_no,
        "billingAccount": account_ref(dispute.billing_account, "BillingAccount"),
        **seller_json(dispute.seller),
        "state": dispute.state,
        "amount": money_json(dispute.amount, code),
        "items": [
            {
                "lineId": line.line_id,
                "taxExcludedAmount": money_json(line.tax_excluded_amount, code),
                **({"approved": money_json(line.approved, code)} if dispute.state == "settled" else {}),
            }
            for line in dispute.lines
        ],
        "openedAt": time_json(dispute.opened_at),
        "reason": dispute.reason,
        **({} if ended is None or dispute.ended_at is None else {ended: time_json(dispute.ended_at)}),
        **({} if dispute.credit_note is None else {"creditNote": dispute.credit_note}),
    }


def _dispute(event: DisputeOpened | DisputeSettled | DisputeWithdrawn) -> Json:
    return {
        "dispute": dispute_json(event.dispute),
        "invoice": invoice_json(event.invoice),
        **order_json(event.invoice),
    }


_DEALLOCATIONS: Shape = [{"paymentId": "PaymentId", "amount": "Money"}]

SHAPES: dict[str, Shape] = {
    "CreditNote": {
        "@type": ("CustomerBill",),
        "id": "Id",
        "billNo": "Id",
        "category": ("creditNote",),
        "creditNoteId": "CreditNoteId",
        "correctedBillNo": "Id",
        "billDate": "Date",
        "issuedAt": "Time",
        "reason": "Text",
        "billingAccount": "BillingAccountReference",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "taxItem": [TAX_ITEM],
        "lines": ["CreditNoteLine"],
        "covered": {"remaining": "Money", "writtenOff": "Money", "deallocations": _DEALLOCATIONS},
        "refundable": "Money",
        "seller?": "SettlementAccountReference",
        "sellerVersion": "Version?",
        "buyerVersion": "Version",
    },
    "Refund": {
        "@type": ("Refund",),
        "refundId": "Id",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "refundedAt": "Time",
        "creditNoteId?": "CreditNoteId",
        "paymentId?": "Id",
        "method?": "Text",
        "taken": _DEALLOCATIONS,
        "recoverable": "Money",
    },
    "PaymentReversal": {
        "@type": ("PaymentReversal",),
        "reversalId": "Id",
        "paymentId": "Id",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "reversedAt": "Time",
        "reason": "Text",
        "recoverable": "Money",
        "fee?": "Money",
        "transferred?": [{"paymentId": "PaymentId", "billingAccount": "BillingAccountReference", "amount": "Money"}],
    },
    "Goodwill": {
        "@type": ("Goodwill",),
        "creditId": "Id",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "grantedAt": "Time",
        "reason": "Text",
    },
    "Transfer": {
        "@type": ("CreditTransfer",),
        "transferId": "Id",
        "from": "BillingAccountReference",
        "to": "BillingAccountReference",
        "amount": "Money",
        "transferredAt": "Time",
        "reason": "Text",
        "paymentId?": "Id",
        "taken": _DEALLOCATIONS,
    },
    "WriteOff": {
        "@type": ("WriteOff",),
        "writeOffId": "Id",
        "billNo": "Id",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "taxRelief": bool,
        "writtenOffAt": "Time",
        "reason": "Text",
    },
    "Dispute": {
        "@type": ("Dispute",),
        "disputeId": "Id",
        "billNo": "Id",
        "billingAccount": "BillingAccountReference",
        "seller?": "SettlementAccountReference",
        "state": get_args(DisputeState),
        "amount": "Money",
        "items": [{"lineId": "Id", "taxExcludedAmount": "Money", "approved?": "Money"}],
        "openedAt": "Time",
        "reason": "Text",
        "settledAt?": "Time",
        "withdrawnAt?": "Time",
        "creditNote?": "Id",
    },
    "CreditNoteLine": {
        "@type": ("AppliedCustomerBillingRate",),
        "id": "Id",
        "isBilled": (True,),
        "bill": {"@type": ("CustomerBillRef",), "id": "Id"},
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "appliedTax": [
            {"@type": ("AppliedBillingTaxRate",), "taxCategory": "Id", "taxRate": float, "taxAmount": "Money"}
        ],
        "onBehalfOf?": "SettlementAccountReference",
    },
}
"""Parts of what goes out, by name."""

_DISPUTE: Shape = {"dispute": "Dispute", "invoice": "Invoice", "orderId?": "Id"}

EVENTS = (
    Event(
        "credit-note.issued",
        CreditNoteIssued,
        "A credit note was issued.",
        {"creditNote": "CreditNote"},
        lambda event: {"creditNote": credit_note_json(event.note)},
    ),
    Event(
        "invoice.credited",
        InvoiceCredited,
        "An invoice as a credit note leaves it.",
        {
            "invoice": "Invoice",
            "orderId?": "Id",
            "creditNote": "Id",
            "creditNoteId": "CreditNoteId",
            "deallocations": _DEALLOCATIONS,
        },
        _invoice_credited,
    ),
    Event(
        "refund.booked",
        RefundBooked,
        "Money went back to a customer, of what was reserved for it, of a payment, or of its credit.",
        {"refund": "Refund", "deallocations": [{"billNo": "Id", "amount": "Money"}], "recoverable": "Money"},
        _refund_booked,
    ),
    Event(
        "payment.reversal-booked",
        ReversalBooked,
        "A payment came back, or a part of it, or what was transferred of it.",
        {
            "payment": "AllocatedPayment",
            "reversal": "PaymentReversal",
            "deallocations": [{"billNo": "Id", "amount": "Money"}],
            "recoverable": "Money",
            "unapplied": "Money",
        },
        _reversal_booked,
    ),
    Event(
        "credit.granted",
        CreditGranted,
        "Goodwill was granted: credit that nobody paid.",
        {"credit": "Goodwill"},
        lambda event: {"credit": goodwill_json(event.goodwill)},
    ),
    Event(
        "credit.transferred",
        CreditTransferred,
        "Credit went from one account to another: each of them is told.",
        {"transfer": "Transfer"},
        lambda event: {"transfer": transfer_json(event.transfer)},
    ),
    Event(
        "invoice.reopened",
        InvoiceReopened,
        "Of an invoice something remains again: what covered it does so no more.",
        {"invoice": "Invoice", "orderId?": "Id", "deallocations": _DEALLOCATIONS},
        _invoice_reopened,
    ),
    Event(
        "invoice.written-off",
        InvoiceWrittenOff,
        "What remained of an invoice, or a part of it, was given up as lost.",
        {"invoice": "Invoice", "orderId?": "Id", "writeOff": "WriteOff"},
        _invoice_written_off,
    ),
    Event("dispute.opened", DisputeOpened, "Something of an invoice is disputed.", _DISPUTE, _dispute),
    Event("dispute.settled", DisputeSettled, "A dispute ended; what was approved is credited.", _DISPUTE, _dispute),
    Event("dispute.withdrawn", DisputeWithdrawn, "A dispute ended: it is withdrawn.", _DISPUTE, _dispute),
)
