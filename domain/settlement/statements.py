"""Statements: what tells a partner what it has earned, made by closings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice, takewhile
from typing import Literal

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import CarriedForward, Position
from domain.money import within_limit
from domain.settlement import position
from domain.settlement.accruals import Accrual

SettlementState = Literal["open", "partiallyPaid", "paid", "carriedForward"]

LINES_MAX = 5_000
"""The most lines of one statement, the line that brings an earlier one forward included."""
STATEMENTS_MAX = 8
"""The most statements that are made in one transaction: a closing of more goes on in another one."""


@dataclass(frozen=True, slots=True)
class Closing:
    """`settlement.close`: state what a partner has earned up to and including `period_end`.

    `made` is how many of its statements are made already; above zero, this is the rest of a closing. `after` is the
    statement that is to be there first: of a closing by itself, that of the period before.
    """

    id: str
    settlement_account: str
    period_end: date
    made: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """An accrual as a statement shows it."""

    accrual_id: str
    order_id: str | None
    bill_no: str | None
    line_id: str | None
    date: date
    amount: int
    adjustment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A partner's statement: its lines and what was brought forward make up `total`, of which `paid` so far.

    `state` is `open`, `partiallyPaid`, `paid`, or `carriedForward` for a total that is not positive.
    """

    id: str
    settlement_account: str
    currency: str
    closing_id: str
    period_end: date
    lines: tuple[SettlementLine, ...]
    brought_forward: int
    brought_forward_from: str | None
    total: int
    paid: int
    state: SettlementState
    booked_at: datetime


def paid_to_date(settlement: Settlement, paid: int) -> Settlement:
    """A statement of which so much (minor units) is paid, and the state that it is in by that."""
    state: SettlementState = "open"
    if paid:
        state = "paid" if paid == settlement.total else "partiallyPaid"
    return replace(settlement, paid=paid, state=state)


@dataclass(frozen=True, slots=True)
class SettlementClosed:
    """A statement was made."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class ClosingResult:
    """What a closing is answered with: the ids of the statements that it made."""

    settlement_ids: tuple[str, ...]


def closing_needs(closing: Closing, _books: WorkingSet) -> Iterator[Need]:
    """What a closing looks at."""
    yield DocumentNeed(Account, closing.settlement_account)
    yield DocumentNeed(Position, closing.settlement_account)
    yield DocumentNeed(Settlement, closing.id)
    if closing.after is not None:
        yield DocumentNeed(Settlement, closing.after)
    yield QueueNeed(Accrual, closing.settlement_account, STATEMENTS_MAX * LINES_MAX + 1)


def close_settlement(closing: Closing, books: Books) -> ClosingResult:
    """State every accrual up to the period's end that no statement holds; returns the ids of the statements made.

    A statement holds at most `LINES_MAX` lines; the rest goes on `<closing id>-2`, `-3` … . A total that is not
    positive is carried forward: the next statement opens with it. After `STATEMENTS_MAX` the closing goes on in another
    transaction; the ids are those of this one.

    Raises `MustWait` (`unknown-account`, `account-suspended`; `unknown-settlement` for the statement that is to be
    there first) and `Refused`: `invalid` for another type of account or a total beyond the limit,
    `conflicting-duplicate` when a statement of that id is there already, as a part of another closing.
    """
    account = settlement_account(closing.settlement_account, None, books, "closing")
    if closing.after is not None and books.find(Settlement, closing.after) is None:
        detail = f"closingId: {closing.id} comes after {closing.after}, which is not made yet"
        raise MustWait("unknown-settlement", detail, f"settlement:{closing.after}", again=True)
    due = takewhile(lambda accrual: accrual.date <= closing.period_end, books.queue(Accrual, account.id))
    accruals = list(islice(due, STATEMENTS_MAX * LINES_MAX + 1))
    made: list[str] = []
    while (accruals or closing.made + len(made) == 0) and len(made) < STATEMENTS_MAX:
        number = closing.made + len(made) + 1
        settlement_id = closing.id if number == 1 else f"{closing.id}-{number}"
        if books.find(Settlement, settlement_id) is not None:
            raise Refused("conflicting-duplicate", f"closingId: statement {settlement_id} exists already")
        carried = position.carried_forward(account.id, books)
        room = LINES_MAX - (1 if carried else 0)
        chunk, accruals = accruals[:room], accruals[room:]
        _state(settlement_id, closing, account, chunk, carried, books)
        made.append(settlement_id)
    if accruals:
        books.continue_with(replace(closing, made=closing.made + len(made)))
    return ClosingResult(tuple(made))


def _state(
    settlement_id: str,
    closing: Closing,
    account: Account,
    accruals: list[Accrual],
    carried: CarriedForward | None,
    books: Books,
) -> None:
    brought_forward = carried.amount if carried else 0
    total = within_limit(
        brought_forward + sum(accrual.amount for accrual in accruals),
        account.kept_in,
        "closingId: the total of statement {}",
        settlement_id,
    )
    settlement = Settlement(
        id=settlement_id,
        settlement_account=account.id,
        currency=account.currency,
        closing_id=closing.id,
        period_end=closing.period_end,
        lines=tuple(
            SettlementLine(a.id, a.order_id, a.bill_no, a.line_id, a.date, a.amount, a.adjustment_id) for a in accruals
        ),
        brought_forward=brought_forward,
        brought_forward_from=carried.settlement_id if carried else None,
        total=total,
        paid=0,
        state="open" if total > 0 else "carriedForward",
        booked_at=books.booked_at,
    )
    for accrual in accruals:
        books.put(replace(accrual, settlement_id=settlement_id))
    position.carry_forward(account.id, None if total > 0 else CarriedForward(settlement_id, total), books)
    books.put(settlement)
    position.emit(account.id, SettlementClosed(settlement), books)
    books.announce(f"settlement:{settlement_id}")
