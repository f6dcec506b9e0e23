"""Standing: what an account's money comes to, whether it is overdue, and whether it is within its credit limit."""

from __future__ import annotations

from domain.accounts.model import BILLING, Account, CreditLimitExceeded, PaymentStatus, Standing
from domain.ledger.books import Books
from domain.ledger.chart import BALANCES
from domain.ledger.positions import Position


def standing(account: Account, books: Books) -> Standing:
    """What an account's money comes to, as the fact leaves it; its entry, if it has one, is posted."""
    position = books.position(account.id)
    today = books.date_of(books.booked_at)
    late = position.oldest_due is not None and position.oldest_due < today
    overdue = books.overdue(account.id, today) if late else 0
    status: PaymentStatus | None = None
    if account.type == BILLING:
        status = "inArrears" if overdue else "due" if position.receivable else "paid"
    return Standing({name: position.balance(name) for name in BALANCES}, overdue, status)


def tell_crossing(account: Account, books: Books) -> None:
    """Tell, once a crossing, that an account owes more than its limit by what a fact did, or by what its limit is now.

    The fact is done but for this. Nothing is refused for it: what is told has happened.
    """
    owed = _owed(books.position(account.id))
    if not is_beyond(owed, account.credit_limit):
        return
    before, position = books.found(Account, account.id), books.found(Position, account.id)
    if before is not None and position is not None and not is_beyond(_owed(position), before.credit_limit):
        books.emit(account.id, CreditLimitExceeded(account, standing(account, books), owed))


def _owed(position: Position) -> int:
    """What a customer owes us, its credit taken off. What was written off is not: nobody asks for it any more."""
    return position.receivable + position.recoverable - position.unapplied


def is_beyond(owed: int, limit: int | None) -> bool:
    """Whether what is owed (minor units) is more than a limit; None: there is no limit."""
    return limit is not None and owed > limit
