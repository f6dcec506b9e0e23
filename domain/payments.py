"""Payments: what a customer pays, which invoices it covers, and the credit that is left for the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from domain import ledger
from domain.accounts import Account, Position
from domain.accruals import Accrual, emit_accruals, release_withheld
from domain.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet, empty_when
from domain.frozen import dataclass, replace
from domain.invoices import AppliedPayment, Invoice, InvoicePaid, InvoicePartiallyPaid
from domain.lifecycle import billing_account, complete_closing
from domain.money import Money


@dataclass(frozen=True, slots=True)
class ReceivedPayment:
    """`payment.received`; `invoices` are the bill numbers to cover first, in that order."""

    id: str
    received_at: datetime
    billing_account: str
    money: Money
    method: str | None
    invoices: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as booked: `amount`, of which `unapplied` is still credit (minor units)."""

    id: str
    billing_account: str
    currency: str
    amount: int
    unapplied: int
    received_at: datetime
    method: str | None
    invoices: tuple[str, ...] | None
    booked_at: datetime

    @property
    def owner(self) -> str:
        """The billing account whose credit it is."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[datetime, str]:
        """The order in which credit is consumed: oldest payment first."""
        return (self.received_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether some of it is still credit."""
        return self.unapplied > 0


empty_when(Payment, lambda position: position.unapplied == 0)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a payment that covers a part of an invoice: append-only."""

    bill_no: str
    payment_id: str
    billing_account: str
    amount: int
    cause: str
    booked_at: datetime

    @property
    def id(self) -> str:
        """A payment covers an invoice once: what it leaves open, it had nothing left for."""
        return f"{self.bill_no}/{self.payment_id}"


@dataclass(frozen=True, slots=True)
class PaymentAllocated:
    """Which invoices a payment covers now, which of those it named it could not, and what is left as credit."""

    payment: Payment
    allocations: tuple[Allocation, ...]
    not_allocated: tuple[str, ...]


def payment_needs(received: ReceivedPayment, books: WorkingSet) -> Iterator[Need]:
    """What a payment looks at, as far as what is loaded tells: the partners that its invoices withhold from, last."""
    account_id = received.billing_account
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    named = []
    for bill_no in received.invoices or ():
        yield DocumentNeed(Invoice, bill_no)
        named.append(books.peek(Invoice, bill_no))
    yield QueueNeed(Invoice, account_id)
    for invoice in (*(i for i in named if i is not None), *books.known(Invoice, account_id)):
        for line in invoice.lines:
            if line.on_behalf_of is not None and line.on_behalf_of.accrue_on == "payment":
                yield DocumentNeed(Position, line.on_behalf_of.id)


def receive_payment(received: ReceivedPayment, books: Books) -> Mapping[str, object]:
    """Book a payment and cover invoices: those it names, in that order, then by due date, then by number.

    Names that are unknown or another account's are listed as not allocated; what is left is unapplied credit. Returns
    the bill numbers that it covers. It may settle the last of an account that is to be closed. Raises `MustWait`
    (`unknown-account`) and `Refused` (`currency-mismatch`, `account-closed`, `invalid` for an account of another type).
    """
    account = billing_account(received.billing_account, received.money.currency, books, "payment")
    books.open_entry(received.received_at, account.currency)
    books.count(account.id, "used")
    amount = received.money.amount
    books.debit(ledger.OF_CASH, amount)
    books.credit(ledger.unapplied(account.id), amount)
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
    )
    named, not_allocated = _named_invoices(received, books)
    covered: list[Invoice] = []
    allocations: list[Allocation] = []
    accruals: list[Accrual] = []
    for invoice in _by_precedence(named, account.id, books):
        if payment.unapplied == 0:
            break
        payment, invoice, allocation, released = _allocate(payment, invoice, books)
        covered.append(invoice)
        allocations.append(allocation)
        accruals += released
    books.put(payment)
    if any(not invoice.is_open for invoice in covered):
        _bring_oldest_due_up_to_date(payment, books)
    books.emit(account.id, PaymentAllocated(payment, tuple(allocations), not_allocated))
    for invoice in covered:
        books.emit(account.id, _paid(invoice))
    emit_accruals(accruals, account.currency, books)
    complete_closing(account, books)
    return {"billNos": [allocation.bill_no for allocation in allocations]}


def consume_credit(invoice: Invoice, books: Books) -> list[Accrual]:
    """Let an account's unapplied credit pay a new invoice, oldest payment first; returns the accruals released.

    Each payment that is consumed is a `payment.allocated` of its own, followed by the state that it leaves the
    invoice in.
    """
    accruals: list[Accrual] = []
    for credit in books.queue(Payment, invoice.billing_account):
        if not invoice.is_open:
            break
        payment, invoice, allocation, released = _allocate(credit, invoice, books)
        books.put(payment)
        accruals += released
        books.emit(invoice.billing_account, PaymentAllocated(payment, (allocation,), ()))
        books.emit(invoice.billing_account, _paid(invoice))
    return accruals


def _named_invoices(received: ReceivedPayment, books: Books) -> tuple[list[Invoice], tuple[str, ...]]:
    named: list[Invoice] = []
    not_allocated: list[str] = []
    for bill_no in dict.fromkeys(received.invoices or ()):
        invoice = books.find(Invoice, bill_no)
        if invoice is None or invoice.billing_account != received.billing_account:
            not_allocated.append(bill_no)
        elif invoice.is_open:
            named.append(invoice)
    return named, tuple(not_allocated)


def _bring_oldest_due_up_to_date(payment: Payment, books: Books) -> None:
    """After a payment has settled invoices: the earliest due date of those that are still open."""
    oldest = None
    if payment.unapplied == 0:  # otherwise it has settled all there were
        still_open = (i for i in books.queue(Invoice, payment.billing_account) if books.current(i).is_open)
        oldest = next((invoice.payment_due_date for invoice in still_open), None)
    position = books.position(payment.billing_account)
    if oldest != position.oldest_due:
        books.put(replace(position, oldest_due=oldest))


def _by_precedence(named: list[Invoice], account_id: str, books: Books) -> Iterator[Invoice]:
    yield from named
    first = {invoice.id for invoice in named}
    yield from (invoice for invoice in books.queue(Invoice, account_id) if invoice.id not in first)


def _allocate(payment: Payment, invoice: Invoice, books: Books) -> tuple[Payment, Invoice, Allocation, list[Accrual]]:
    amount = min(payment.unapplied, invoice.remaining_amount)
    remaining = invoice.remaining_amount - amount
    allocation = Allocation(invoice.id, payment.id, invoice.billing_account, amount, books.cause, books.booked_at)
    books.append(allocation)
    books.debit(ledger.unapplied(invoice.billing_account), amount)
    books.credit(ledger.receivable(invoice.billing_account), amount)
    invoice = replace(
        invoice,
        remaining_amount=remaining,
        state="partiallyPaid" if remaining else "settled",
        applied_payment=(*invoice.applied_payment, AppliedPayment(payment.id, amount)),
    )
    invoice, released = release_withheld(invoice, books.date_of(payment.received_at), payment.id, books)
    books.put(invoice)
    return replace(payment, unapplied=payment.unapplied - amount), invoice, allocation, released


def _paid(invoice: Invoice) -> InvoicePaid | InvoicePartiallyPaid:
    return InvoicePartiallyPaid(invoice) if invoice.is_open else InvoicePaid(invoice)
