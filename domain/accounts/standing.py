"""Standing: what an account's money comes to, whether it is overdue, and whether it is within its credit limit."""

from __future__ import annotations

from domain.accounts.model import BILLING, Account, CreditLimitExceeded, PaymentStatus, Standing
from domain.ledger.books import Books
from domain.ledger.chart import BALANCES


def standing(account: Account, books: Books) -> Standing:
    """What an account's money comes to, as the fact leaves it; its entry, if it has one, is posted."""
    position = books.position(account.id)
    today = books.date_of(books.booked_at)
    late = position.oldest_due is not None and position.oldest_due < today
    overdue = books.overdue(account.id, today) if late else 0
    status: PaymentStatus | None = None
    if account.type == BILLING:
        status = "inArrears" if overdue else "due" if position.receivable else "paid"
    return Standing({name: getattr(position, name) for name in BALANCES}, overdue, status)


def check_credit_limit(account: Account, owed_before: int, books: Books) -> None:
    """Tell, once a crossing, when an account owes more than its limit: what it owes counts less its credit.

    To be called when the fact's entry is posted. Nothing is refused for it: an order is a completed fact.
    """
    position = books.position(account.id)
    owed = position.receivable - position.unapplied
    if is_beyond(owed, account.credit_limit) and not is_beyond(owed_before, account.credit_limit):
        books.emit(account.id, CreditLimitExceeded(account, standing(account, books), owed))


def is_beyond(owed: int, limit: int | None) -> bool:
    """Whether what is owed (minor units) is more than a limit; None: there is no limit."""
    return limit is not None and owed > limit
