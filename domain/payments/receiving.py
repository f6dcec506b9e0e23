"""Receiving payments: a payment is booked, and covers invoices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import billing_account
from domain.accounts.model import Account
from domain.frozen import replace
from domain.invoicing.model import Invoice
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.payments.allocating import (
    WorkBudget,
    bring_oldest_due_up_to_date,
    by_precedence,
    continue_allocating,
    cover,
    emit_covered,
    named_invoices,
    partner_needs,
    recover,
)
from domain.payments.model import Payment, PaymentResult, ReceivedPayment
from domain.payments.requesting import answer_request
from domain.settlement.accruals import emit_accruals


def payment_time(received: ReceivedPayment) -> tuple[str, datetime]:
    """When it was received, by its own saying."""
    return "receivedAt", received.received_at


def payment_needs(received: ReceivedPayment, books: WorkingSet) -> Iterator[Need]:
    """What a payment looks at, as far as that can be told from what is loaded: last, the partners of its invoices."""
    account_id = received.billing_account
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    named = []
    for bill_no in received.invoices or ():
        yield DocumentNeed(Invoice, bill_no)
        named.append(books.peek(Invoice, bill_no))
    if received.request is not None:
        yield DocumentNeed(Invoice, received.request)
    yield QueueNeed(Invoice, account_id)
    for invoice in (*(i for i in named if i is not None), *books.known(Invoice, account_id)):
        yield from partner_needs(invoice)


def receive_payment(received: ReceivedPayment, books: Books) -> PaymentResult:
    """Book a payment and cover invoices: those it names, in that order, then by due date, then by number.

    Names that are unknown or another account's are listed as not allocated; what is left is unapplied credit. Returns
    the bill numbers that it covers, as far as `WORK_MAX` goes: `allocate_credit` does the rest. It may settle the last
    of an account that is to be closed. One that answers a payment request covers its invoice first, unless it names
    others. Raises `MustWait` (`unknown-account`, `unknown-payment-request`) and `Refused` (`currency-mismatch`,
    `account-closed`, `invalid` for an account of another type).
    """
    account = billing_account(received.billing_account, received.money.currency, books, "payment")
    if received.request is not None:
        received = answer_request(received, received.request, books)
    books.open_entry(received.received_at, account.kept_in)
    books.count(account.id, "used")
    amount = received.money.amount
    books.debit(chart.OF_CASH, amount)
    books.credit(chart.UNAPPLIED.of(account.id), amount)
    payment = Payment(
        id=received.id,
        billing_account=account.id,
        currency=account.currency,
        amount=amount,
        unapplied=amount,
        received_at=received.received_at,
        method=received.method,
        invoices=received.invoices,
        booked_at=books.booked_at,
        request=received.request,
    )
    books.announce(f"payment:{payment.id}")
    named, not_allocated = named_invoices(payment, books)
    budget = WorkBudget.of(books.position(account.id))
    left = recover(payment, books)
    covered = cover(left, by_precedence(named, account.id, books), budget, books)
    if left is not payment:
        covered = replace(covered, recovered=payment.unapplied - left.unapplied)
    books.put(covered.payment)
    if covered.payment.is_open:
        books.announce(f"credit:{account.id}")
    if any(not invoice.undisputed for invoice in covered.invoices):
        bring_oldest_due_up_to_date(account.id, books)
    emit_covered(covered, not_allocated, books)
    emit_accruals(covered.accruals, account.currency, books)
    if budget.is_short:
        continue_allocating(account.id, books)
    return PaymentResult(tuple(allocation.bill_no for allocation in covered.allocations))
