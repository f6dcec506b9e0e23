"""Promising: an account says that it pays by a day, and until then dunning waits."""

from __future__ import annotations

from domain.accounts.lifecycle import billing_account
from domain.days.model import newest_day
from domain.dunning.looking import bring_in_line, leave_look
from domain.dunning.model import Dunning, DunningResult, PaymentToPromise, Promise
from domain.frozen import replace
from domain.ledger.books import Books


def promise_payment(promise: PaymentToPromise, books: Books) -> DunningResult:
    """Keep what an account promises, in the place of what it promised before; returns its level then.

    What stands against it is cleared at once. A day that is over withdraws what was promised. Raises `MustWait`
    (`unknown-account`) and `Refused` (`currency-mismatch`, `account-closed`, `invalid` for an account of another type).
    """
    currency = None if promise.currency is None else promise.currency.code
    account = billing_account(promise.billing_account, currency, books, "payment")
    before = books.find(Dunning, account.id) or Dunning(account.id)
    said = Promise(promise.id, promise.until, promise.amount, books.booked_at)
    promised = replace(before, promise=said, revision=before.revision + 1)
    books.put(promised)
    # A step that is taken at the same time writes the position too.
    books.touch(account.id)
    dunning, done = bring_in_line(account, promised, newest_day(books), books, rises=False)
    if not done:
        leave_look(account.id, None, books)
    return DunningResult(dunning.level)
