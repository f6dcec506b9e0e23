"""De-allocating: what a payment covers is undone, in as many transactions as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice

from domain.accounts.lifecycle import check_state
from domain.accounts.model import find_account
from domain.corrections.crediting import partners_needs, settle_up, settling_needs
from domain.corrections.model import CreditDeallocation, InvoiceReopened
from domain.frozen import dataclass, replace
from domain.invoicing.model import Invoice
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.money import Money
from domain.payments.allocating import Deallocation, WorkBudget, covered_by, deallocate, recover
from domain.payments.model import Allocation, Payment, PaymentAllocated, RestResult
from domain.settlement.accruals import Accrual
from domain.settlement.correcting import rebook

LOOKED_UP_FIRST = 20
"""How many of the invoices that a payment covers are looked up at first; after that, each time twice as many."""


def uncovering_needs(payment: Payment, books: WorkingSet) -> Iterator[Need]:
    """What `uncover` looks at, as far as that can be told from what is loaded so far."""
    yield QueueNeed(Allocation, payment.id, None)
    rows = list(books.known(Allocation, payment.id))
    for bill_no, _ in islice(covered_by(rows, payment.amount), LOOKED_UP_FIRST):
        yield DocumentNeed(Invoice, bill_no)
        invoice = books.peek(Invoice, bill_no)
        if invoice is not None:
            yield from partners_needs(invoice)


@dataclass(frozen=True, slots=True)
class Uncovered:
    """What a payment covers no more: the invoices as that leaves them, what was undone, and what accrues to partners.

    `rest` is what the budget did not reach to undo, in minor units.
    """

    invoices: list[Invoice]
    undone: list[Deallocation]
    accruals: list[Accrual]
    rest: int

    @property
    def amount(self) -> int:
        """How much was undone, in minor units."""
        return sum(one.amount for one in self.undone)


def uncover(payment: Payment, amount: int, on: date, budget: WorkBudget, books: Books) -> Uncovered:
    """Undo so much (minor units) of what a payment covers, latest first, while the budget lasts.

    Those invoices are open again, with the due date that they had; accruals are dated `on`. Raises what `rebook`
    raises.
    """
    invoices: list[Invoice] = []
    undone: list[Deallocation] = []
    accruals: list[Accrual] = []
    covered = covered_by(books.queue(Allocation, payment.id), amount) if amount else []
    looked_up = 0
    for n, (bill_no, part) in enumerate(covered):
        if n == looked_up:
            looked_up = max(LOOKED_UP_FIRST, 2 * looked_up)
            _look_up([one for one, _ in covered[n:looked_up]], books)
        before = books.find(Invoice, bill_no)
        assert before is not None, f"payment {payment.id} covers {bill_no}, which is not there"
        if not budget.take(before):
            break
        amount -= part
        after, deallocations = deallocate(before, part, books, of=payment.id)
        after, accrued = rebook(before, after, on, books, payment=payment.id)
        invoices.append(after)
        undone += deallocations
        accruals += accrued
    return Uncovered(invoices, undone, accruals, amount)


def _look_up(bill_nos: list[str], books: Books) -> None:
    """See that these invoices are loaded, and their partners; raises `NotLoaded`."""
    books.require(DocumentNeed(Invoice, bill_no) for bill_no in bill_nos)
    found = (books.find(Invoice, bill_no) for bill_no in bill_nos)
    books.require(need for invoice in found if invoice is not None for need in partners_needs(invoice))


def emit_reopened(invoices: Iterable[Invoice], undone: list[Deallocation], books: Books) -> None:
    """`invoice.reopened`, of each invoice, with what covers it no more."""
    parts: dict[str, list[Deallocation]] = {}
    for one in undone:
        parts.setdefault(one.bill_no, []).append(one)
    for invoice in invoices:
        books.emit(invoice.billing_account, InvoiceReopened(invoice, tuple(parts[invoice.id])))


def continue_deallocating(payment: Payment, account_id: str, rest: int, at: datetime, books: Books) -> None:
    """Leave the rest of what a payment covers (minor units) to a transaction of its own.

    Until then it is recoverable from the account `account_id`, which nothing else covers, and `at` is when it happened.
    """
    position = books.position(account_id)
    books.put(replace(position, undoing=(position.undoing or 0) + rest))
    books.continue_with(CreditDeallocation(account_id, payment.id, rest, at, books.sequence(account_id)))


def deallocation_needs(rest: CreditDeallocation, books: WorkingSet) -> Iterator[Need]:
    """What the rest of a de-allocation looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Payment, rest.payment_id)
    yield QueueNeed(Allocation, rest.payment_id, None)
    yield from settling_needs(rest.billing_account)
    payment = books.peek(Payment, rest.payment_id)
    if payment is not None:
        yield from settling_needs(payment.billing_account)
        yield from uncovering_needs(payment, books)


def deallocate_credit(rest: CreditDeallocation, books: Books) -> RestResult:
    """Go on with a de-allocation that was too much for one transaction: a payment's, latest first.

    What it is credit of then covers what was recoverable for it. Returns the invoices that it covered, and those that
    other credit covers now, and how much of what was recoverable is covered; what is still left goes on again. Raises
    what `rebook` raises, and `Refused` (`account-closed`).
    """
    payment = books.find(Payment, rest.payment_id)
    assert payment is not None, f"payment {rest.payment_id} is not there"
    debtor, account = (find_account(one, books) for one in (rest.billing_account, payment.billing_account))
    check_state(account, "correction", f"paymentId (of payment {payment.id})")
    found = sum(row.amount for row in books.queue(Allocation, payment.id))
    uncovered = uncover(payment, min(rest.amount, found), books.date_of(rest.at), WorkBudget(), books)
    position = books.position(debtor.id)
    owed = books.balance(chart.RECOVERABLE.of(debtor.id))
    books.put(replace(position, undoing=(position.undoing or 0) - rest.amount or None))
    if uncovered.amount:
        now = books.find(Payment, payment.id)
        assert now is not None, "it is there"
        left = recover(now, books, of=debtor.id, most=uncovered.amount)
        for id_ in dict.fromkeys((account.id, debtor.id)):
            books.emit(id_, PaymentAllocated(left, (), (), now.unapplied - left.unapplied))
        emit_reopened(uncovered.invoices, uncovered.undone, books)
    if uncovered.rest:
        continue_deallocating(payment, debtor.id, uncovered.rest, rest.at, books)
    others = [debtor] if debtor.id != account.id else []
    bill_nos = (*(one.id for one in uncovered.invoices), *settle_up(account, uncovered.accruals, books, *others))
    recovered = owed - books.balance(chart.RECOVERABLE.of(debtor.id))
    if bill_nos or recovered:
        books.open_entry(rest.at, account.kept_in)
    return RestResult(tuple(dict.fromkeys(bill_nos)), Money(account.currency, recovered))
