"""Requesting: what is due of an invoice is asked of whoever collects it, once; it is paid then, or fails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from domain.accounts.model import Account
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.invoicing.model import Invoice, PaymentRequest
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.payments.model import FailedPayment, FailedPaymentResult, PaymentRequested, ReceivedPayment


def payment_method(account: Account) -> str | None:
    """The id of the means of payment by which an account pays what it is asked for, as its document says."""
    said = account.document.get("defaultPaymentMethod")
    id_ = said.get("id") if isinstance(said, Mapping) else None
    return id_ if isinstance(id_, str) and id_ else None


def request_payment(invoice: Invoice, method: str, on: dt.date, books: Books) -> None:
    """Ask on a day for what is due of an invoice, of which that was never done."""
    assert invoice.handled.request is None, f"invoice {invoice.id} was requested before"
    amount = invoice.undisputed
    request = PaymentRequest(on, amount, method)
    books.put(replace(invoice, handling=replace(invoice.handled, request=request)))
    account_id = invoice.billing_account
    books.emit(
        account_id,
        PaymentRequested(account_id, invoice.id, invoice.currency, amount, invoice.payment_due_date, method),
    )
    books.announce(f"payment-request:{invoice.id}")


def failure_time(failed: FailedPayment) -> tuple[str, dt.datetime]:
    """When it failed, by its own saying."""
    return "failedAt", failed.failed_at


def failure_needs(failed: FailedPayment, _books: WorkingSet) -> Iterator[Need]:
    """What a failed payment looks at: the invoice of its request."""
    yield DocumentNeed(Invoice, failed.request)


def fail_payment(failed: FailedPayment, books: Books) -> FailedPaymentResult:
    """Note that what was requested was not paid: nothing waits for it any more. Returns the invoice.

    Raises `MustWait` (`unknown-payment-request`), `Refused` (`wrong-state`) when it was paid.
    """
    invoice, request = _requested(failed.request, books)
    if request.payment_id is not None:
        raise Refused("wrong-state", f"paymentRequestId: {invoice.id} was paid, by payment {request.payment_id}")
    request = replace(request, failed_at=failed.failed_at, reason=failed.reason)
    books.put(replace(invoice, handling=replace(invoice.handled, request=request)))
    return FailedPaymentResult(invoice.id)


def answer_request(received: ReceivedPayment, request_id: str, books: Books) -> ReceivedPayment:
    """Note that a payment answers a request; returns it, naming the request's invoice unless it names others.

    A request of another account is none: as with other names, the payment is booked all the same. Raises `MustWait`
    (`unknown-payment-request`).
    """
    invoice, request = _requested(request_id, books)
    if invoice.billing_account == received.billing_account and request.payment_id is None:
        request = replace(request, payment_id=received.id)
        books.put(replace(invoice, handling=replace(invoice.handled, request=request)))
    return received if received.invoices is not None else replace(received, invoices=(invoice.id,))


def _requested(request_id: str, books: Books) -> tuple[Invoice, PaymentRequest]:
    invoice = books.find(Invoice, request_id)
    request = None if invoice is None else invoice.handled.request
    if invoice is None or request is None:
        raise MustWait(
            "unknown-payment-request",
            f"paymentRequestId: no payment request {request_id}",
            f"payment-request:{request_id}",
        )
    return invoice, request
