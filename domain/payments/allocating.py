"""Allocating: payments and credit cover invoices, in as many transactions as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from domain.accounts.lifecycle import ALLOWED
from domain.accounts.model import Account, find_account
from domain.frozen import dataclass, replace
from domain.invoicing.model import (
    AppliedPayment,
    Invoice,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceRecovered,
    InvoiceState,
    WrittenOff,
    state_of,
)
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.positions import Position
from domain.money import Money
from domain.payments.model import Allocation, CreditAllocation, Payment, PaymentAllocated, Recovery, RestResult
from domain.settlement.accruals import Accrual, emit_accruals, release_withheld
from domain.settlement.correcting import rebook
from domain.settlement.tiers import freed_needs

WORK_MAX = 20_000
"""How much one transaction allocates or de-allocates, counted in lines: such an invoice is written and told again with
all its lines. What is beyond that goes on in another transaction."""
PLACES = 1_000_000
"""How many places there are between two events of an account: more than a fact has allocations."""
ALLOCATION_WORK = 3
"""How many lines an allocation itself counts for."""
CREDITS_MAX = 20
"""How many payments one transaction goes on to allocate."""


def allocation_needs(rest: CreditAllocation, books: WorkingSet) -> Iterator[Need]:
    """What the rest of an allocation looks at, as far as that can be told from what is loaded so far."""
    return covering_needs(rest.billing_account, books)


def covering_needs(account_id: str, books: WorkingSet) -> Iterator[Need]:
    """What `cover_with_credit` looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    yield QueueNeed(Payment, account_id, CREDITS_MAX)
    yield QueueNeed(Invoice, account_id)
    named = {n for payment in books.known(Payment, account_id) for n in payment.invoices or ()}
    for bill_no in sorted(named):
        yield DocumentNeed(Invoice, bill_no)
    found = (books.peek(Invoice, bill_no) for bill_no in sorted(named))
    for invoice in (*(i for i in found if i is not None), *books.known(Invoice, account_id)):
        yield from partner_needs(invoice)


def partner_needs(invoice: Invoice) -> Iterator[Need]:
    """The positions of the partners that an invoice withholds from; and what their tiers, that go by payments, have."""
    for line in invoice.lines:
        if line.on_behalf_of is not None and line.on_behalf_of.accrue_on == "payment":
            yield DocumentNeed(Position, line.on_behalf_of.id)
            if line.on_behalf_of.freed is not None:
                yield from freed_needs(line.on_behalf_of)


def consume_credit(invoice: Invoice, budget: WorkBudget, books: Books) -> list[Accrual]:
    """Let an account's unapplied credit pay a new invoice, oldest payment first; returns the accruals released.

    Each payment that is consumed is a `payment.allocated` of its own, followed by the state that it leaves the
    invoice in. While the account's credit is still being allocated to earlier ones, this one has to wait for its turn:
    the budget is that of its position before the invoice, and whoever calls has the rest continued where it is short.
    """
    accruals: list[Accrual] = []
    for found in books.queue(Payment, invoice.billing_account):
        credit = books.current(found)
        if not credit.unapplied:
            continue  # another invoice of the same fact has consumed it
        covered = cover(credit, iter([(invoice, invoice.remaining_amount)]) if invoice.is_open else (), budget, books)
        if not covered.allocations:
            break
        books.put(covered.payment)
        [invoice] = covered.invoices
        accruals += covered.accruals
        emit_covered(covered, (), books)
    return accruals


def allocate_credit(rest: CreditAllocation, books: Books) -> RestResult:
    """Go on with an allocation that was too much for one transaction: an account's credit, oldest payment first.

    Each payment covers what it would have covered at first. Returns what is covered; what is still left goes on again.
    Where nothing is left to allocate, nothing is done.
    """
    account = find_account(rest.billing_account, books)
    position = books.position(account.id)
    bill_nos: list[str] = []
    recovered = 0
    if (
        position.allocating
        and position.unapplied
        and (position.receivable or position.recoverable > (position.undoing or 0))
    ):
        accruals: list[Accrual] = []
        if cover_with_credit(account, WorkBudget(), bill_nos, accruals, books):
            books.put(replace(books.position(account.id), allocating=False))
        recovered = position.recoverable - books.balance(chart.RECOVERABLE.of(account.id))
        if bill_nos or recovered:
            books.open_entry(books.booked_at, account.kept_in)
        bring_oldest_due_up_to_date(account.id, books)
        emit_accruals(accruals, account.currency, books)
    elif position.allocating:
        books.put(replace(position, allocating=False))
    return RestResult(tuple(bill_nos), Money(account.currency, recovered))


def cover_with_credit(
    account: Account, budget: WorkBudget, bill_nos: list[str], accruals: list[Accrual], books: Books
) -> bool:
    """Let an account's credit cover what is open, oldest payment first, each as it would have covered it at first.

    Adds to `bill_nos` and `accruals` what is covered, and what that releases. Returns whether that is all; what is left
    to allocate goes on in another transaction.
    """
    taken = 0
    for credit in islice(books.open_now(Payment, account.id), CREDITS_MAX):
        if not _take_turn(credit, budget, bill_nos, accruals, books):
            break
        taken += 1
    if not budget.is_short and taken < CREDITS_MAX:
        for credit in _naming(account.id, books):
            taken += _take_turn(credit, budget, bill_nos, accruals, books)
            if budget.is_short or taken >= CREDITS_MAX:
                break
    if budget.is_short or taken >= CREDITS_MAX:
        continue_allocating(account.id, books)
        return False
    return True


def _naming(account_id: str, books: Books) -> list[Payment]:
    """The credit that may cover more than any credit does: what it names, which is disputed or written off.

    When no other credit covers anything any more, what is still open is disputed. Where nothing is, only what this fact
    has made credit again may name something that is written off.
    """
    if not books.balance(chart.UNAPPLIED.of(account_id)):
        return []
    if books.balance(chart.RECEIVABLE.of(account_id)):
        return [credit for credit in books.open_now(Payment, account_id) if credit.invoices]
    mine = books.changed_now(Payment, account_id)
    return [credit for credit in mine if credit.invoices]


def _take_turn(credit: Payment, budget: WorkBudget, bill_nos: list[str], accruals: list[Accrual], books: Books) -> bool:
    """Let one payment's credit cover what it would have covered at first; returns whether that is anything."""
    named, _ = named_invoices(credit, books)
    # What would recover the share of a closed partner stays credit: it is no fault of what made it credit again.
    named = [invoice for invoice in named if not _is_lost_to_closed(invoice, books)]
    left = recover(credit, books)
    covered = cover(left, by_precedence(named, credit.billing_account, books), budget, books, again=True)
    if left is not credit:
        covered = replace(covered, recovered=credit.unapplied - left.unapplied)
    elif not covered.allocations:
        return False
    books.put(covered.payment)
    accruals += covered.accruals
    bill_nos += [allocation.bill_no for allocation in covered.allocations]
    emit_covered(covered, (), books)
    return True


def _is_lost_to_closed(invoice: Invoice, books: Books) -> bool:
    """Whether an invoice was written off, with a share of a partner whose account is closed by now."""
    lost = {line.line_id for line in invoice.corrected.lines if line.given_up}
    partners = {line.on_behalf_of.id for line in invoice.lines if line.on_behalf_of is not None and line.id in lost}
    books.require(DocumentNeed(Account, partner) for partner in partners)
    return any("correction" not in ALLOWED[find_account(partner, books).state] for partner in partners)


def continue_allocating(account_id: str, books: Books) -> None:
    """Leave the rest of an account's allocation to a transaction of its own; until then its position says so."""
    position = books.position(account_id)
    if not position.allocating:
        books.put(replace(position, allocating=True))
    books.continue_with(CreditAllocation(account_id, books.sequence(account_id)))


@dataclass(frozen=True, slots=True)
class Covered:
    """What a payment covers now: the invoices as that leaves them."""

    payment: Payment
    invoices: list[Invoice]
    allocations: list[Allocation]
    accruals: list[Accrual]
    written_off: list[tuple[Invoice, tuple[WrittenOff, ...]]]
    recovered: int = 0


class WorkBudget:
    """How much a fact may still allocate, or de-allocate; `is_short` says that there was more to do than that."""

    def __init__(self, work: int | None = None) -> None:
        self._work = WORK_MAX if work is None else work
        self.is_short = False

    @classmethod
    def of(cls, position: Position) -> WorkBudget:
        """What a fact may allocate of an account's credit: nothing, while what came before is still being allocated."""
        return cls(0 if position.allocating else None)

    def take(self, invoice: Invoice) -> bool:
        """Whether there is budget for another allocation."""
        self.is_short = self._work <= 0
        self._work -= ALLOCATION_WORK + len(invoice.lines) + len(invoice.applied_payment)
        return not self.is_short


def cover(
    payment: Payment,
    invoices: Iterable[tuple[Invoice, int]],
    budget: WorkBudget,
    books: Books,
    *,
    again: bool = False,
    of_credit: bool = True,
) -> Covered:
    """Cover invoices in turn, each up to so much (minor units), while the payment and the budget last.

    What of that is more than remains of an invoice was written off, and is recovered. `again`: neither the payment nor
    the invoices are new, so it may have covered them before. What is not `of_credit` was never the account's: whoever
    calls debits what it is of.
    """
    covered = Covered(payment, [], [], [], [])
    for open_invoice, most in invoices:
        if not payment.unapplied or not budget.take(open_invoice):
            break
        amount = min(payment.unapplied, most)
        invoice, allocation, released, recovered = _allocate(
            payment, open_invoice, amount, books, again=again, of_credit=of_credit
        )
        payment = replace(payment, unapplied=payment.unapplied - amount)
        covered.invoices.append(invoice)
        covered.allocations.append(allocation)
        covered.accruals.extend(released)
        if recovered:
            covered.written_off.append((invoice, recovered))
    return replace(covered, payment=payment)


def recover(payment: Payment, books: Books, *, of: str | None = None, most: int | None = None) -> Payment:
    """Let a payment cover, before any invoice, what its account owes us for money that it got without credit.

    Or what another account, `of`, owes us for what was given back of it, up to `most` (minor units). What is still to
    be undone for it is left to that.
    """
    account_id = of or payment.billing_account
    owed = books.balance(chart.RECOVERABLE.of(account_id)) - (books.position(account_id).undoing or 0)
    amount = max(0, min(owed, payment.unapplied, payment.unapplied if most is None else most))
    if not amount:
        return payment
    # What is undone first covers what was recoverable for it, and then the rest of what its account owes.
    before = sum(row.payment_id == payment.id for row in books.rows[Recovery])
    id_ = f"{payment.id}/{key_of(books.cause)}" + (f"/{before}" if before else "")
    books.append(Recovery(id_, payment.id, account_id, amount, books.cause, books.booked_at))
    books.debit(chart.UNAPPLIED.of(payment.billing_account), amount)
    books.credit(chart.RECOVERABLE.of(account_id), amount)
    payment = replace(payment, unapplied=payment.unapplied - amount)
    books.put(payment)
    return payment


def emit_covered(covered: Covered, not_allocated: tuple[str, ...], books: Books) -> None:
    """`payment.allocated`, and the state that it leaves each invoice in."""
    account_id = covered.payment.billing_account
    books.emit(
        account_id, PaymentAllocated(covered.payment, tuple(covered.allocations), not_allocated, covered.recovered)
    )
    for invoice in covered.invoices:
        books.emit(account_id, InvoicePartiallyPaid(invoice) if invoice.is_open else InvoicePaid(invoice))
    for invoice, recovered in covered.written_off:
        books.emit(account_id, InvoiceRecovered(invoice, covered.payment.id, recovered))


def named_invoices(payment: Payment, books: Books) -> tuple[list[Invoice], tuple[str, ...]]:
    """The invoices that a payment names and may cover, and the names that it may not."""
    named: list[Invoice] = []
    not_allocated: list[str] = []
    names = list(dict.fromkeys(payment.invoices or ()))
    books.require(DocumentNeed(Invoice, bill_no) for bill_no in names)
    for bill_no in names:
        invoice = books.find(Invoice, bill_no)
        if invoice is None or invoice.billing_account != payment.billing_account:
            not_allocated.append(bill_no)
        elif invoice.coverable:
            named.append(invoice)
    return named, tuple(not_allocated)


def bring_oldest_due_up_to_date(account_id: str, books: Books) -> None:
    """After payments have settled invoices: the earliest due date of those that are still open and not disputed."""
    oldest = next((invoice.payment_due_date for invoice, _ in by_precedence([], account_id, books)), None)
    position = books.position(account_id)
    if oldest != position.oldest_due:
        books.put(replace(position, oldest_due=oldest))


def by_precedence(named: list[Invoice], account_id: str, books: Books) -> Iterator[tuple[Invoice, int]]:
    """What a payment covers, as it is now, and how much of each (minor units), in the order in which it does.

    Of those that it names all that remains and what is written off; then, by due date, then by number, of the others
    that are open what no dispute is about.
    """
    for invoice in named:
        yield invoice, invoice.coverable
    first = {invoice.id for invoice in named}
    for invoice in books.open_now(Invoice, account_id):
        if invoice.id not in first and (most := invoice.undisputed):
            yield invoice, most


def _allocate(
    payment: Payment, before: Invoice, amount: int, books: Books, *, again: bool, of_credit: bool
) -> tuple[Invoice, Allocation, list[Accrual], tuple[WrittenOff, ...]]:
    allocation = _book(before, payment.id, amount, books, again=again, of_credit=of_credit)
    open_part = min(amount, before.remaining_amount)
    remaining = before.remaining_amount - open_part
    applied = (*before.applied_payment, AppliedPayment(payment.id, amount))
    on = books.date_of(payment.received_at)
    recovered: tuple[WrittenOff, ...] = ()
    if before.corrections is None and before.handling is None and not again:
        # What `state_of` says of such a one, without another copy of the invoice.
        state: InvoiceState = "partiallyPaid" if remaining else "settled"
        invoice = replace(before, remaining_amount=remaining, applied_payment=applied, state=state)
        invoice, released = release_withheld(invoice, on, payment.id, books)
        books.put(invoice)
        return invoice, allocation, released, recovered
    invoice = replace(before, remaining_amount=remaining, applied_payment=applied)
    if invoice.corrections is None and not again:
        invoice = replace(invoice, state=state_of(invoice))
        invoice, released = release_withheld(invoice, on, payment.id, books)
        books.put(invoice)
    else:
        if amount > open_part:
            left, recovered = invoice.corrected.recovered(amount - open_part)
            invoice = replace(invoice, corrections=replace(invoice.corrected, write_offs=left))
        invoice, released = rebook(before, invoice, on, books, payment=payment.id)
    return invoice, allocation, released, recovered


def _book(
    invoice: Invoice, payment_id: str, amount: int, books: Books, *, again: bool, of_credit: bool = True
) -> Allocation:
    pair = f"{invoice.id}/{payment_id}"
    allocation = Allocation(
        f"{pair}/{key_of(books.cause)}" if again else pair,
        invoice.id,
        payment_id,
        invoice.billing_account,
        amount,
        books.cause,
        books.booked_at,
        books.sequence(invoice.billing_account) * PLACES + len(books.rows[Allocation]),
    )
    books.append(allocation)
    if of_credit:
        books.move(chart.UNAPPLIED.of(invoice.billing_account), amount)
    books.move(chart.RECEIVABLE.of(invoice.billing_account), -amount)
    return allocation


@dataclass(frozen=True, slots=True)
class Deallocation:
    """How much of a payment covers an invoice no more: it is the payment's credit again."""

    bill_no: str
    payment_id: str
    amount: int


def deallocate(
    invoice: Invoice, amount: int, books: Books, *, of: str | None = None
) -> tuple[Invoice, list[Deallocation]]:
    """Undo what payments, or the payment `of`, cover of an invoice (minor units), latest first: it is credit again.

    Returns the invoice without that, its remaining amount raised by it and all else as it was; and what was undone, by
    payment. The payments are put into the books; raises `NotLoaded` for those that are not loaded.
    """
    books.require(
        DocumentNeed(Payment, one.payment_id) for one in invoice.applied_payment if of in (None, one.payment_id)
    )
    kept: list[AppliedPayment] = []
    undone: dict[str, int] = {}
    left = amount
    for one in reversed(invoice.applied_payment):
        part = min(one.amount, left) if of in (None, one.payment_id) else 0
        left -= part
        if part:
            undone[one.payment_id] = undone.get(one.payment_id, 0) + part
        if part < one.amount:
            kept.insert(0, AppliedPayment(one.payment_id, one.amount - part))
    assert not left, f"{amount} of invoice {invoice.id} is to be de-allocated, and {left} of it is not allocated"
    for payment_id, part in undone.items():
        payment = books.find(Payment, payment_id)
        assert payment is not None, f"{invoice.id} is covered by payment {payment_id}, which is not there"
        books.put(replace(payment, unapplied=payment.unapplied + part))
        _book(invoice, payment_id, -part, books, again=True)
    invoice = replace(invoice, remaining_amount=invoice.remaining_amount + amount, applied_payment=tuple(kept))
    return invoice, [Deallocation(invoice.id, *one) for one in undone.items()]


def in_order(rows: Iterable[Allocation]) -> list[Allocation]:
    """A payment's allocations in the order in which they came about; those without a place are older ones."""
    return sorted(rows, key=lambda row: (row.place is not None, row.place or 0, row.order_key))


def covered_by(rows: Iterable[Allocation], amount: int) -> list[tuple[str, int]]:
    """What is undone of a payment's allocations to undo so much of them (minor units), the latest first.

    Gives bill numbers and how much of each, an invoice once. What was undone before was the latest of its invoice then.
    """
    standing: list[tuple[str, int]] = []
    of_invoice: dict[str, list[int]] = {}
    for row in in_order(rows):
        places = of_invoice.setdefault(row.bill_no, [])
        undone = -row.amount
        if undone < 0:
            places.append(len(standing))
            standing.append((row.bill_no, row.amount))
        while undone > 0:
            last = places[-1]
            part = min(standing[last][1], undone)
            undone -= part
            standing[last] = (row.bill_no, standing[last][1] - part)
            if not standing[last][1]:
                places.pop()
    parts: dict[str, int] = {}
    for bill_no, most in reversed(standing):
        part = min(most, amount)
        amount -= part
        if part:
            parts[bill_no] = parts.get(bill_no, 0) + part
        if not amount:
            break
    return list(parts.items())
