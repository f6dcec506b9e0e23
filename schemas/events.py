"""The events that go out: what the domain did, as TMF666 and TMF678 entities in an envelope."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from domain.accounts.model import (
    BILLING,
    FINANCIAL,
    PARTY,
    SETTLEMENT,
    Account,
    AccountChanged,
    AccountCreated,
    AccountResult,
    AccountStateChanged,
    CreditLimitExceeded,
    Standing,
)
from domain.accounts.specifications import (
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    Specification,
    SpecificationChanged,
    SpecificationResult,
)
from domain.frozen import dataclass
from domain.invoicing.model import Invoice, InvoiceIssued, InvoiceLine, InvoicePaid, InvoicePartiallyPaid
from domain.ledger.books import Emitted
from domain.ledger.chart import balances_of
from domain.ordering.completing import OrderResult
from domain.payments.model import PaymentAllocated, PaymentResult
from domain.settlement.accruals import SettlementAccrued
from domain.settlement.payouts import PayoutResult, SettlementPaid
from domain.settlement.statements import ClosingResult, Settlement, SettlementClosed
from schemas.accounts.tmf666 import Happened, event_type
from schemas.values import money_json

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event ready to be published: `message_id` is stable however often that happens.

    `account` and `sequence` are its place in its account's events; `message.parked` and the events of specifications
    have none.
    """

    message_id: str
    routing_key: str
    body: bytes
    correlation_id: str
    causation_id: str
    account: str | None
    sequence: int | None
    booked_at: datetime


def outgoing(emitted: Emitted, correlation_id: str, booked_at: datetime) -> OutgoingEvent:
    """The event of what a fact did, `booked_at` being its time."""
    fact = emitted.event
    routing_key, render = _RENDERERS[type(fact)]
    event = render(fact)
    tmf_type = None
    if not routing_key:
        routing_key, tmf_type = _routing(fact)
    if isinstance(fact, SettlementAccrued):
        event["cause"] = emitted.cause
    return _enveloped(
        emitted.id,
        routing_key,
        tmf_type,
        event,
        correlation_id,
        emitted.cause,
        emitted.account,
        emitted.sequence,
        booked_at,
    )


def message_parked(
    *,
    parked_id: str,
    attempt: int,
    message_type: str,
    message_id: str | None,
    reason: str,
    detail: str,
    correlation_id: str,
    identity: str,
    booked_at: datetime,
) -> OutgoingEvent:
    """`message.parked`: a message waits for an operator, after its `attempt`-th attempt."""
    event = {
        "parkedId": parked_id,
        "messageType": message_type,
        "messageId": message_id,
        "reason": reason,
        "detail": detail,
    }
    event_id = f"{parked_id}:{attempt}"
    return _enveloped(event_id, "message.parked", None, event, correlation_id, identity, None, None, booked_at)


def _enveloped(
    event_id: str,
    routing_key: str,
    tmf_type: str | None,
    event: Json,
    correlation_id: str,
    cause: str,
    account: str | None,
    sequence: int | None,
    booked_at: datetime,
) -> OutgoingEvent:
    body: Json = {
        "eventId": event_id,
        "eventType": routing_key,
        "eventTime": _time(booked_at),
        "correlationId": correlation_id,
        "event": event,
    }
    if tmf_type is not None:
        body["@type"] = tmf_type
    return OutgoingEvent(event_id, routing_key, to_json(body), correlation_id, cause, account, sequence, booked_at)


def _time(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


# Quantities, prices and rates are few and come again and again.
@lru_cache(maxsize=4096)
def _decimal(value: Decimal) -> int | float | str:
    """A decimal as a JSON number where a double keeps it, else as a string: the way it may come in."""
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    # A float below 0.0001 may be written with an exponent, which may not come in.
    return float(value) if len(value.as_tuple().digits) <= 15 and value.adjusted() >= -4 else f"{value:f}"


def _account_ref(account_id: str, type_: str) -> Json:
    return {"@type": f"{type_}Ref", "@referredType": type_, "id": account_id}


def account_json(account: Account, standing: Standing | None = None) -> Json:
    """A TMF666 account with our currency and terms, and its balances and payment status if its `standing` is given.

    A financial account's balances are sums over other accounts, which only a query works out.
    """
    out: Json = {
        **account.document,
        "@type": account.type,
        "id": account.id,
        "state": account.state,
        "lastUpdate": _time(account.updated_at),
        "currency": account.currency,
        "paymentTermDays": account.payment_term_days,
    }
    if account.settlement_terms is not None:
        terms = account.settlement_terms
        out["settlementTerms"] = {"partnerShare": _decimal(terms.partner_share), "accrueOn": terms.accrue_on}
    return out if standing is None else {**out, **account_money(account.type, account.currency, standing)}


def account_money(type_: str, currency: str, standing: Standing) -> Json:
    """The fields of a TMF666 account that tell of its money: balances and payment status."""
    out: Json = {
        "accountBalance": [
            {
                "@type": "AccountBalance",
                "balanceType": balance,
                "amount": money_json(standing.amount(balance), currency),
            }
            for balance in BALANCES[type_]
        ]
    }
    if standing.payment_status is not None:
        out["paymentStatus"] = standing.payment_status
    return out


BALANCES: dict[str, tuple[str, ...]] = {
    BILLING: (*balances_of(BILLING), "overdue"),
    SETTLEMENT: balances_of(SETTLEMENT),
    FINANCIAL: (*balances_of(BILLING), "overdue", *balances_of(SETTLEMENT)),
    PARTY: (),
}
"""The balances that each type of account goes out with."""


def specification_json(specification: Specification) -> Json:
    """A TMF666 billing cycle specification, bill format or bill presentation media."""
    resource = type(specification).__name__
    return {
        **specification.document,
        "@type": resource,
        "id": specification.id,
        "lastUpdate": _time(specification.updated_at),
    }


def _account_result(result: AccountResult) -> Json:
    account = result.account
    return {
        "id": account.id,
        "revision": account.revision,
        "account": account_json(account, _own(account, result.standing)),
    }


def _specification_result(result: SpecificationResult) -> Json:
    made = result.specification
    return {"id": made.id, "revision": made.revision, "specification": specification_json(made)}


RESULTS: dict[type, Callable[[Any], Json]] = {
    AccountResult: _account_result,
    SpecificationResult: _specification_result,
    OrderResult: lambda result: {"billNo": result.bill_no},
    PaymentResult: lambda result: {"billNos": list(result.bill_nos)},
    ClosingResult: lambda result: {"settlementIds": list(result.settlement_ids)},
    PayoutResult: lambda result: {"settlementId": result.settlement_id, "state": result.state},
    dict: lambda result: result,
}
"""What a sender is told of what came of its fact, by the type of the result; an operator's act has it told already."""


def result_json(result: object) -> Json:
    """What a sender is told of what came of its fact."""
    return RESULTS[type(result)](result)


def invoice_json(invoice: Invoice) -> Json:
    """A TMF678 CustomerBill with its lines (AppliedCustomerBillingRate) and its order."""
    code = invoice.currency
    account = _account_ref(invoice.billing_account, "BillingAccount")
    # A line is charged to the account that the order was for, the bill to the one that pays (TMF678).
    ordered_for = _account_ref(invoice.ordered_for, "BillingAccount")
    bill = {"@type": "CustomerBillRef", "id": invoice.id}
    return {
        "@type": "CustomerBill",
        "id": invoice.id,
        "billNo": invoice.id,
        "orderId": invoice.order_id,
        "billDate": invoice.bill_date.isoformat(),
        "paymentDueDate": invoice.payment_due_date.isoformat(),
        "taxPointDate": invoice.tax_point_date.isoformat(),
        "state": invoice.state,
        "billingAccount": account,
        "taxExcludedAmount": money_json(invoice.tax_excluded_amount, code),
        "taxIncludedAmount": money_json(invoice.tax_included_amount, code),
        "taxItem": [
            {
                "@type": "TaxItem",
                "taxCategory": item.category,
                "taxRate": float(item.rate),
                "taxExcludedAmount": money_json(item.tax_excluded_amount, code),
                "taxAmount": money_json(item.tax_amount, code),
            }
            for item in invoice.tax_item
        ],
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
    }


def _line_json(line: InvoiceLine, code: str, account: Json, bill: Json) -> Json:
    out: Json = {
        "@type": "AppliedCustomerBillingRate",
        "id": line.id,
        "description": line.description,
        "isBilled": True,
        "bill": bill,
        "billingAccount": account,
        "quantity": _decimal(line.quantity),
        "unitPrice": _decimal(line.unit_price),
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
        out["onBehalfOf"] = _account_ref(line.on_behalf_of.id, "SettlementAccount")
    return out


def settlement_json(settlement: Settlement) -> Json:
    """A partner's statement; what an earlier one carried forward is its first line."""
    code = settlement.currency
    lines: list[Json] = [
        {
            "lineType": "accrual",
            "orderId": line.order_id,
            "billNo": line.bill_no,
            "lineId": line.line_id,
            "date": line.date.isoformat(),
            "amount": money_json(line.amount, code),
        }
        for line in settlement.lines
    ]
    if settlement.brought_forward_from is not None:
        brought: Json = {
            "lineType": "broughtForward",
            "settlementId": settlement.brought_forward_from,
            "amount": money_json(settlement.brought_forward, code),
        }
        lines.insert(0, brought)
    return {
        "@type": "Settlement",
        "id": settlement.id,
        "settlementAccount": _account_ref(settlement.settlement_account, "SettlementAccount"),
        "periodEnd": settlement.period_end.isoformat(),
        "lines": lines,
        "total": money_json(settlement.total, code),
        "broughtForward": money_json(settlement.brought_forward, code),
        "paidAmount": money_json(settlement.paid, code),
        "state": settlement.state,
    }


def _own(account: Account, standing: Standing) -> Standing | None:
    return None if account.type == FINANCIAL else standing


def _account(fact: AccountCreated | AccountChanged | AccountStateChanged | CreditLimitExceeded) -> Json:
    return {
        "account": account_json(fact.account, _own(fact.account, fact.standing)),
        "revision": fact.account.revision,
    }


def _account_changed(fact: AccountChanged) -> Json:
    return {**_account(fact), "changed": list(fact.changed)}


def _account_state_changed(fact: AccountStateChanged) -> Json:
    event = {**_account(fact), "changed": ["state"], "oldState": fact.old_state, "newState": fact.account.state}
    return event if fact.reason is None else {**event, "reason": fact.reason}


def _credit_limit_exceeded(fact: CreditLimitExceeded) -> Json:
    assert fact.account.credit_limit is not None
    code = fact.account.currency
    return {
        **_account(fact),
        "balance": money_json(fact.balance, code),
        "limit": money_json(fact.account.credit_limit, code),
    }


def _specification(fact: SpecificationChanged) -> Json:
    specification = fact.specification
    event: Json = {
        _CAMEL[type(specification)]: specification_json(specification),
        "revision": specification.revision,
    }
    return {**event, "changed": list(fact.changed)} if fact.happened == "changed" else event


_CAMEL: dict[type, str] = {
    BillingCycleSpecification: "billingCycleSpecification",
    BillFormat: "billFormat",
    BillPresentationMedia: "billPresentationMedia",
}
"""What TMF666 calls a resource within its events."""


def _routing(fact: Any) -> tuple[str, str]:
    """The routing key of what happened to an account or specification, and TMF666's type of that event."""
    if isinstance(fact, SpecificationChanged):
        kind = type(fact.specification)
        return f"{kind.RESOURCE}.{fact.happened}", event_type(kind.__name__, fact.happened)
    if isinstance(fact, AccountStateChanged):
        happened = _HAPPENED.get(fact.account.state, "state-changed")
        return f"account.{happened}", event_type(fact.account.type, happened)
    if isinstance(fact, AccountCreated):
        return "account.created", event_type(fact.account.type, "created")
    return "account.changed", event_type(fact.account.type, "changed")


_HAPPENED: dict[str, Happened] = {"closed": "closed", "deleted": "deleted"}


def _invoice(fact: InvoiceIssued | InvoicePaid | InvoicePartiallyPaid) -> Json:
    return {"invoice": invoice_json(fact.invoice), "orderId": fact.invoice.order_id}


def _payment_allocated(fact: PaymentAllocated) -> Json:
    payment = fact.payment
    out: Json = {
        "@type": "Payment",
        "paymentId": payment.id,
        "receivedAt": _time(payment.received_at),
        "billingAccount": _account_ref(payment.billing_account, "BillingAccount"),
        "amount": money_json(payment.amount, payment.currency),
    }
    if payment.method is not None:
        out["method"] = payment.method
    if payment.invoices is not None:
        out["invoices"] = list(payment.invoices)
    return {
        "payment": out,
        "allocations": [
            {"billNo": allocation.bill_no, "amount": money_json(allocation.amount, payment.currency)}
            for allocation in fact.allocations
        ],
        "notAllocated": list(fact.not_allocated),
        "unapplied": money_json(payment.unapplied, payment.currency),
    }


def _settlement_accrued(fact: SettlementAccrued) -> Json:
    code = fact.currency
    return {
        "settlementAccount": _account_ref(fact.settlement_account, "SettlementAccount"),
        "amount": money_json(sum(accrual.amount for accrual in fact.accruals), code),
        "lines": [
            {
                "orderId": accrual.order_id,
                "billNo": accrual.bill_no,
                "lineId": accrual.line_id,
                "amount": money_json(accrual.amount, code),
            }
            for accrual in fact.accruals
        ],
    }


def _settlement(fact: SettlementClosed | SettlementPaid) -> Json:
    return {"settlement": settlement_json(fact.settlement)}


_RENDERERS: dict[type, tuple[str, Callable[[Any], Json]]] = {
    AccountCreated: ("", _account),
    AccountChanged: ("", _account_changed),
    AccountStateChanged: ("", _account_state_changed),
    CreditLimitExceeded: ("account.credit-limit-exceeded", _credit_limit_exceeded),
    SpecificationChanged: ("", _specification),
    InvoiceIssued: ("invoice.issued", _invoice),
    InvoicePartiallyPaid: ("invoice.partially-paid", _invoice),
    InvoicePaid: ("invoice.paid", _invoice),
    PaymentAllocated: ("payment.allocated", _payment_allocated),
    SettlementAccrued: ("settlement.accrued", _settlement_accrued),
    SettlementClosed: ("settlement.closed", _settlement),
    SettlementPaid: ("settlement.paid", _settlement),
}
