"""Standing: what an account's money comes to, whether it is overdue, and whether it is within its credit limit."""

from __future__ import annotations

from domain.accounts.model import BILLING, Account, CreditLimitExceeded, PaymentStatus, Standing
from domain.ledger.books import Books
from domain.ledger.chart import BALANCES, RECEIVABLE, RECOVERABLE, UNAPPLIED
from domain.ledger.positions import Position

OWED = (RECEIVABLE, RECOVERABLE)
"""What a customer owes us, its credit not taken off. What was written off is neither: nobody asks for it any more."""
LIMITED = frozenset(account.name for account in (*OWED, UNAPPLIED))
"""The balances that a credit limit is about."""


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


def tell_crossings(books: Books) -> None:
    """Tell, once a crossing, of each account that owes more than its limit by what a fact did: its credit is taken off.

    For every fact, when all else of it is done. What moves its money may cross the limit, and so may what changes the
    limit. Nothing is refused for it: what is told has happened.
    """
    # Only what is debited makes it owe more: a receivable, or credit that is used.
    owing = books.debited(LIMITED)
    changed = books.changed.get(Account)
    for account_id in owing if not changed else {**owing, **changed}:
        account = books.find(Account, account_id)
        assert account is not None, f"money of account {account_id} is moved, which is not there"
        if account.credit_limit is None:
            continue
        before = books.found(Account, account_id)
        if before is None or (before.credit_limit == account.credit_limit and account_id not in owing):
            continue
        owed = sum(books.balance(one.of(account_id)) for one in OWED) - books.balance(UNAPPLIED.of(account_id))
        if is_beyond(owed, account.credit_limit) and not _was_beyond(before, books):
            books.post_entry()
            books.emit(account_id, CreditLimitExceeded(account, standing(account, books), owed))


def _was_beyond(before: Account, books: Books) -> bool:
    """Whether an account owed more than its limit before the fact."""
    position = books.found(Position, before.id)
    assert position is not None, f"account {before.id} has no position"
    owed = sum(getattr(position, one.name) for one in OWED)
    return is_beyond(owed - position.unapplied, before.credit_limit)


def is_beyond(owed: int, limit: int | None) -> bool:
    """Whether what is owed (minor units) is more than a limit; None: there is no limit."""
    return limit is not None and owed > limit
