"""Netting: what we owe a partner covers what it owes us, and the rest is to be paid out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.accounts.model import Account, find_account
from domain.frozen import dataclass
from domain.invoicing.model import Invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.payments.allocating import (
    WorkBudget,
    bring_oldest_due_up_to_date,
    by_precedence,
    cover,
    emit_covered,
    partner_needs,
)
from domain.payments.model import Payment
from domain.settlement.accruals import emit_accruals
from domain.settlement.requesting import NettingToApply, net, request_payout
from domain.settlement.statements import Settlement, find_settlement, tax_of_next


@dataclass(frozen=True, slots=True)
class NettingResult:
    """What a netting is answered with: how much was netted."""

    netted: Money


def netting_needs(fact: NettingToApply, books: WorkingSet) -> Iterator[Need]:
    """What a netting looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Settlement, fact.settlement_id)
    for account in (fact.settlement_account, fact.billing_account):
        yield DocumentNeed(Account, account)
        yield DocumentNeed(Position, account)
    yield QueueNeed(Invoice, fact.billing_account)
    for invoice in books.known(Invoice, fact.billing_account):
        yield from partner_needs(invoice)


def apply_netting(fact: NettingToApply, books: Books) -> NettingResult:
    """Net what is due of a billing account with what is left to pay of a statement, and request the rest.

    The oldest invoices that are due today, by due date, then by number, as far as no dispute is about them, and as one
    transaction's work goes. What is to be withheld of the payout is not netted, nor the tax of self-billed documents.
    What is netted is kept as credit that has covered the invoices, so that all that happens to payments may happen to
    it. Returns how much was netted.
    """
    settlement = find_settlement(fact.settlement_id, books)
    account = find_account(fact.billing_account, books)
    today = books.date_of(books.booked_at)
    # The tax of documents is the partner's to pay on: it is not netted either.
    most = min(settlement.left, max(0, settlement.left - (settlement.self_billed_tax or 0)))
    if settlement.withholding is not None and most:
        # What is withheld is of all that is left, though that has the tax of documents in it.
        rate = settlement.withholding.rate_at(books.booked_at)
        most = max(0, most - tax_of_next(settlement, settlement.left, rate).amount)
    due = list(_due(account.id, today, most, books))
    amount = min(most, sum(remaining for _, remaining in due))
    if amount:
        books.open_entry(books.booked_at, account.kept_in)
        settlement = _net(settlement, account, due, amount, books)
    request_payout(settlement, books, amount)
    return NettingResult(Money(account.currency, amount))


def _due(account_id: str, today: date, most: int, books: Books) -> Iterator[tuple[Invoice, int]]:
    """What of an account is due, with how much of each, until that comes to so much (minor units)."""
    budget = WorkBudget()
    for invoice, remaining in by_precedence([], account_id, books):
        if most <= 0 or invoice.payment_due_date > today or not budget.take(invoice):
            return
        yield invoice, remaining
        most -= remaining


def _net(
    settlement: Settlement, account: Account, due: list[tuple[Invoice, int]], amount: int, books: Books
) -> Settlement:
    books.count(account.id, "used")
    credit = Payment(
        id=f"netting~{settlement.id}",
        billing_account=account.id,
        currency=account.currency,
        amount=amount,
        unapplied=amount,
        received_at=books.booked_at,
        method=None,
        invoices=None,
        booked_at=books.booked_at,
        source="netting",
    )
    covered = cover(credit, iter(due), WorkBudget(), books, of_credit=False)
    assert not covered.payment.unapplied, f"{amount} is netted of {settlement.id}, and not all of it is due"
    books.put(covered.payment)
    bring_oldest_due_up_to_date(account.id, books)
    emit_covered(covered, (), books)
    netted = tuple((one.bill_no, one.amount) for one in covered.allocations)
    settlement = net(settlement, account.id, netted, books)
    emit_accruals(covered.accruals, account.currency, books)
    return settlement
