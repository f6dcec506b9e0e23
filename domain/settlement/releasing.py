"""Releasing: a reserve is payable again, on its day, or by a message before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import islice, takewhile

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.accruals import Accrual, Step
from domain.settlement.reserves import HELD, Release, Reserve, ReserveReleased
from domain.settlement.statements import Settlement, find_settlement

LEFT_MAX = 200
"""How many releases one fact leaves to do; those beyond are left by a further one."""


@dataclass(frozen=True, slots=True)
class ReserveToRelease:
    """`reserve.release`: release a reserve, or `money` of it, before its day; or, without an id, what is left of it."""

    id: str | None
    settlement_id: str
    released_at: dt.datetime
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class ReservesDue:
    """`reserve.due`: a day has begun. `part` counts the facts of the same day before it."""

    date: dt.date
    part: int = 0


@dataclass(frozen=True, slots=True)
class ReservesLeft:
    """The statements whose reserves were left to be released."""

    settlement_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReserveResult:
    """What a release is answered with: how much it released, and what is still held back of the statement."""

    released: Money
    reserve: Money


def due_needs(_fact: ReservesDue, _books: WorkingSet) -> Iterator[Need]:
    """What a day looks at: the first reserves."""
    yield QueueNeed(Reserve, HELD, LEFT_MAX)


def leave_releases(fact: ReservesDue, books: Books) -> ReservesLeft:
    """Leave the release of each reserve whose day has come, once; returns the ids of their statements.

    Each is a fact of its own, since an entry is in one currency. The rest of many is left to a further fact.
    """
    due = list(islice(takewhile(lambda one: one.release_on <= fact.date, books.queue(Reserve, HELD)), LEFT_MAX))
    for one in due:
        books.continue_with(ReserveToRelease(None, one.id, books.start_of(one.release_on)))
        books.put(replace(one, is_left=True))
    if len(due) == LEFT_MAX:
        books.continue_with(ReservesDue(fact.date, fact.part + 1))
    return ReservesLeft(tuple(one.id for one in due))


def release_time(fact: ReserveToRelease) -> tuple[str, dt.datetime]:
    """When it was released, by its own saying."""
    return "releasedAt", fact.released_at


def release_needs(fact: ReserveToRelease, books: WorkingSet) -> Iterator[Need]:
    """What a release looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Reserve, fact.settlement_id)
    reserve = books.peek(Reserve, fact.settlement_id)
    if reserve is not None:
        yield DocumentNeed(Account, reserve.settlement_account)
        yield DocumentNeed(Position, reserve.settlement_account)
    elif not books.lacks(Reserve, fact.settlement_id):
        yield DocumentNeed(Settlement, fact.settlement_id)


def release_reserve(fact: ReserveToRelease, books: Books) -> ReserveResult:
    """Release what was held back of a statement, or a part of it; returns how much, and what is held back still.

    It is payable from then on, and the next statement of its date shows it.

    Raises `MustWait` (`unknown-settlement`) and `Refused`: `currency-mismatch`, `account-closed`, `wrong-state` for
    more than is held.
    """
    reserve = books.find(Reserve, fact.settlement_id)
    if reserve is None:
        settlement = find_settlement(fact.settlement_id, books)
        raise Refused("wrong-state", f"settlementId: nothing was held back of settlement {settlement.id}")
    account = find_account(reserve.settlement_account, books)
    if fact.id is None and not reserve.remaining:
        # A message has released all of it since the day has left this to do.
        return ReserveResult(Money(account.currency, 0), Money(account.currency, 0))
    check_state(account, "correction", f"settlementId (of {reserve.id})")
    if fact.money is not None and fact.money.currency != account.currency:
        detail = f"amount: {account.id} is kept in {account.currency}, not in {fact.money.currency}"
        raise Refused("currency-mismatch", detail)
    amount = reserve.remaining if fact.money is None else fact.money.amount
    if not reserve.remaining or amount > reserve.remaining:
        held = account.kept_in.written(reserve.remaining)
        raise Refused("wrong-state", f"amount: {held} is held back of settlement {reserve.id} still")
    day = books.date_of(fact.released_at)
    books.open_entry(fact.released_at, account.kept_in)
    position.release_reserve(account.id, amount, books)
    released = Release(amount, day, books.cause, books.booked_at, fact.id)
    reserve = replace(reserve, releases=(*reserve.releases, released))
    books.put(reserve)
    books.put(
        Accrual(
            id=key_of(books.cause),
            settlement_account=account.id,
            order_id=None,
            bill_no=None,
            line_id=None,
            amount=amount,
            date=day,
            cause=books.cause,
            booked_at=books.booked_at,
            step=Step("release", settlement=reserve.id),
        )
    )
    position.emit(account.id, ReserveReleased(reserve), books)
    return ReserveResult(Money(account.currency, amount), Money(account.currency, reserve.remaining))
