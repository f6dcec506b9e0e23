"""Payments: what a customer pays, which invoices it covers, and the credit that is left for the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from domain.accounts.lifecycle import billing_account, complete_closing
from domain.accounts.model import Account, Position
from domain.frozen import dataclass, replace
from domain.invoicing.model import AppliedPayment, Invoice, InvoicePaid, InvoicePartiallyPaid
from domain.ledger import chart as ledger
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet, empty_when
from domain.money import Money
from domain.settlement.accruals import Accrual, emit_accruals, release_withheld

WORK_MAX = 20_000
"""How much one transaction allocates, in lines of the invoices that are covered: each is written again, and told of,
with all its lines. What is more goes on in another one."""
ALLOCATION_WORK = 3
"""What an allocation itself is in lines."""
CREDITS_MAX = 20
"""How many payments one transaction goes on to allocate."""


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
class CreditAllocation:
    """The rest of what an account's credit covers, after one transaction's worth; `sequence` tells it from others."""

    billing_account: str
    sequence: int


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
        yield from _partners(invoice)


def allocation_needs(rest: CreditAllocation, books: WorkingSet) -> Iterator[Need]:
    """What the rest of an allocation looks at, likewise."""
    yield DocumentNeed(Account, rest.billing_account)
    yield DocumentNeed(Position, rest.billing_account)
    yield QueueNeed(Payment, rest.billing_account, CREDITS_MAX)
    yield QueueNeed(Invoice, rest.billing_account)
    named = {n for payment in books.known(Payment, rest.billing_account) for n in payment.invoices or ()}
    for bill_no in sorted(named):
        yield DocumentNeed(Invoice, bill_no)
    found = (books.peek(Invoice, bill_no) for bill_no in sorted(named))
    for invoice in (*(i for i in found if i is not None), *books.known(Invoice, rest.billing_account)):
        yield from _partners(invoice)


def _partners(invoice: Invoice) -> Iterator[Need]:
    for line in invoice.lines:
        if line.on_behalf_of is not None and line.on_behalf_of.accrue_on == "payment":
            yield DocumentNeed(Position, line.on_behalf_of.id)


def receive_payment(received: ReceivedPayment, books: Books) -> Mapping[str, object]:
    """Book a payment and cover invoices: those it names, in that order, then by due date, then by number.

    Names that are unknown or another account's are listed as not allocated; what is left is unapplied credit. Returns
    the bill numbers that it covers, as far as `WORK_MAX` goes: `allocate_credit` does the rest. It may settle the last
    of an account that is to be closed. Raises `MustWait` (`unknown-account`) and `Refused` (`currency-mismatch`,
    `account-closed`, `invalid` for an account of another type).
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
    named, not_allocated = _named_invoices(payment, books)
    room = _Room(0 if is_allocating(books.position(account.id)) else WORK_MAX)
    covered = _cover(payment, _by_precedence(named, account.id, books), room, books)
    books.put(covered.payment)
    if any(not invoice.is_open for invoice in covered.invoices):
        _bring_oldest_due_up_to_date(account.id, books)
    _tell(covered, not_allocated, books)
    emit_accruals(covered.accruals, account.currency, books)
    if room.is_short:
        _go_on(account.id, books)
    complete_closing(account, books)
    return {"billNos": [allocation.bill_no for allocation in covered.allocations]}


def consume_credit(invoice: Invoice, before: Position, books: Books) -> list[Accrual]:
    """Let an account's unapplied credit pay a new invoice, oldest payment first; returns the accruals released.

    Each payment that is consumed is a `payment.allocated` of its own, followed by the state that it leaves the
    invoice in. `before` is the account's position before the invoice; while its credit is still being allocated to
    earlier ones, this one has to wait for its turn.
    """
    accruals: list[Accrual] = []
    room = _Room(0 if is_allocating(before) else WORK_MAX)
    for credit in books.queue(Payment, invoice.billing_account):
        covered = _cover(credit, iter([invoice]), room, books)
        if not covered.allocations:
            break
        books.put(covered.payment)
        [invoice] = covered.invoices
        accruals += covered.accruals
        _tell(covered, (), books)
    if room.is_short:
        _go_on(invoice.billing_account, books)
    return accruals


def allocate_credit(rest: CreditAllocation, books: Books) -> Mapping[str, object]:
    """Go on with an allocation that was too much for one transaction: an account's credit, oldest payment first.

    Each payment covers what it would have covered at first. Returns the bill numbers covered; what is still left goes
    on again. Where nothing is left to allocate, nothing is done.
    """
    account = books.account(rest.billing_account)
    if not is_allocating(books.position(account.id)):
        return {"billNos": []}
    books.open_entry(books.booked_at, account.currency)
    room = _Room(WORK_MAX)
    bill_nos: list[str] = []
    accruals: list[Accrual] = []
    taken = 0
    for credit in islice(books.queue(Payment, account.id), CREDITS_MAX):
        named, _ = _named_invoices(credit, books)
        covered = _cover(credit, _by_precedence(named, account.id, books), room, books)
        if not covered.allocations:
            break
        taken += 1
        books.put(covered.payment)
        accruals += covered.accruals
        bill_nos += [allocation.bill_no for allocation in covered.allocations]
        _tell(covered, (), books)
    _bring_oldest_due_up_to_date(account.id, books)
    emit_accruals(accruals, account.currency, books)
    if room.is_short or taken == CREDITS_MAX:
        _go_on(account.id, books)
    complete_closing(account, books)
    return {"billNos": bill_nos}


def is_allocating(position: Position) -> bool:
    """Whether an account's credit is still being allocated: otherwise it has credit or open invoices, never both."""
    return position.unapplied > 0 and position.receivable > 0


def _go_on(account_id: str, books: Books) -> None:
    books.go_on(CreditAllocation(account_id, books.sequence(account_id)))


@dataclass(frozen=True, slots=True)
class _Covered:
    """What a payment covers now: the invoices as that leaves them."""

    payment: Payment
    invoices: list[Invoice]
    allocations: list[Allocation]
    accruals: list[Accrual]


class _Room:
    """How much a fact may still allocate; `is_short` says that there was more to do than that."""

    def __init__(self, work: int) -> None:
        self._work = work
        self.is_short = False

    def take(self, invoice: Invoice) -> bool:
        """Whether there is room for another allocation."""
        self.is_short = self._work <= 0
        self._work -= ALLOCATION_WORK + len(invoice.lines) + len(invoice.applied_payment)
        return not self.is_short


def _cover(payment: Payment, invoices: Iterator[Invoice], room: _Room, books: Books) -> _Covered:
    covered = _Covered(payment, [], [], [])
    for open_invoice in invoices:
        if not payment.unapplied or not open_invoice.is_open or not room.take(open_invoice):
            break
        payment, invoice, allocation, released = _allocate(payment, open_invoice, books)
        covered.invoices.append(invoice)
        covered.allocations.append(allocation)
        covered.accruals.extend(released)
    return replace(covered, payment=payment)


def _tell(covered: _Covered, not_allocated: tuple[str, ...], books: Books) -> None:
    account_id = covered.payment.billing_account
    books.emit(account_id, PaymentAllocated(covered.payment, tuple(covered.allocations), not_allocated))
    for invoice in covered.invoices:
        books.emit(account_id, InvoicePartiallyPaid(invoice) if invoice.is_open else InvoicePaid(invoice))


def _named_invoices(payment: Payment, books: Books) -> tuple[list[Invoice], tuple[str, ...]]:
    named: list[Invoice] = []
    not_allocated: list[str] = []
    names = list(dict.fromkeys(payment.invoices or ()))
    books.require(DocumentNeed(Invoice, bill_no) for bill_no in names)
    for bill_no in names:
        invoice = books.find(Invoice, bill_no)
        if invoice is None or invoice.billing_account != payment.billing_account:
            not_allocated.append(bill_no)
        elif invoice.is_open:
            named.append(invoice)
    return named, tuple(not_allocated)


def _bring_oldest_due_up_to_date(account_id: str, books: Books) -> None:
    """After payments have settled invoices: the earliest due date of those that are still open."""
    oldest = next((invoice.payment_due_date for invoice in _by_precedence([], account_id, books)), None)
    position = books.position(account_id)
    if oldest != position.oldest_due:
        books.put(replace(position, oldest_due=oldest))


def _by_precedence(named: list[Invoice], account_id: str, books: Books) -> Iterator[Invoice]:
    """The invoices that are open, as they are now: those that are named, then by due date, then by number."""
    yield from named
    first = {invoice.id for invoice in named}
    for invoice in map(books.current, books.queue(Invoice, account_id)):
        if invoice.id not in first and invoice.is_open:
            yield invoice


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
