"""Settlements: the statements that tell partners what they have earned, and the payouts that pay them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import islice, takewhile

from domain.accounts.lifecycle import complete_closing, settlement_account
from domain.accounts.model import Account, CarriedForward, Position
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger import chart as ledger
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.money import Money, within_limit
from domain.settlement.accruals import Accrual

LINES_MAX = 5_000
"""The most lines of one statement, the line that brings an earlier one forward included."""
STATEMENTS_MAX = 8
"""The most statements that are made in one transaction: a closing of more goes on in another one."""


@dataclass(frozen=True, slots=True)
class Closing:
    """`settlement.close`: state what a partner has earned up to and including `period_end`.

    `made` is how many of its statements are made already: it is the rest of a closing unless that is zero.
    """

    id: str
    settlement_account: str
    period_end: date
    made: int = 0


@dataclass(frozen=True, slots=True)
class CompletedPayout:
    """`payout.completed`: money that left for a partner, for one statement."""

    id: str
    settlement_account: str
    settlement_id: str
    money: Money


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout as booked: append-only."""

    id: str
    settlement_account: str
    settlement_id: str
    currency: str
    amount: int
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """An accrual as a statement shows it."""

    accrual_id: str
    order_id: str
    bill_no: str
    line_id: str
    date: date
    amount: int


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
    state: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class SettlementClosed:
    """A statement was made."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class SettlementPaid:
    """A payout was booked on a statement."""

    settlement: Settlement


def closing_needs(closing: Closing, _books: WorkingSet) -> Iterator[Need]:
    """What a closing looks at."""
    yield DocumentNeed(Account, closing.settlement_account)
    yield DocumentNeed(Position, closing.settlement_account)
    yield DocumentNeed(Settlement, closing.id)
    yield QueueNeed(Accrual, closing.settlement_account, STATEMENTS_MAX * LINES_MAX + 1)


def payout_needs(payout: CompletedPayout, _books: WorkingSet) -> Iterator[Need]:
    """What a payout looks at."""
    yield DocumentNeed(Account, payout.settlement_account)
    yield DocumentNeed(Position, payout.settlement_account)
    yield DocumentNeed(Settlement, payout.settlement_id)


def close_settlement(closing: Closing, books: Books) -> Mapping[str, object]:
    """State every accrual up to the period's end that no statement holds; returns the ids of the statements made.

    A statement holds at most `LINES_MAX` lines; the rest goes on `<closing id>-2`, `-3` … . A total that is not
    positive is carried forward: the next statement opens with it. After `STATEMENTS_MAX` the closing goes on in another
    transaction; the ids are those of this one.

    Raises `MustWait` (`unknown-account`) and `Refused`: `invalid` for another type of account or a total beyond the
    limit, `conflicting-duplicate` when a statement of that id is there already, as a part of another closing.
    """
    account = settlement_account(closing.settlement_account, None, books, "closing")
    due = takewhile(lambda accrual: accrual.date <= closing.period_end, books.queue(Accrual, account.id))
    accruals = list(islice(due, STATEMENTS_MAX * LINES_MAX + 1))
    made: list[str] = []
    while (accruals or closing.made + len(made) == 0) and len(made) < STATEMENTS_MAX:
        number = closing.made + len(made) + 1
        settlement_id = closing.id if number == 1 else f"{closing.id}-{number}"
        if books.find(Settlement, settlement_id) is not None:
            raise Refused("conflicting-duplicate", f"closingId: statement {settlement_id} exists already")
        carried = books.position(account.id).carried_forward
        room = LINES_MAX - (1 if carried else 0)
        chunk, accruals = accruals[:room], accruals[room:]
        _state(settlement_id, closing, account, chunk, carried, books)
        made.append(settlement_id)
    if accruals:
        books.go_on(replace(closing, made=closing.made + len(made)))
    complete_closing(account, books)
    return {"settlementIds": made}


def _state(
    settlement_id: str,
    closing: Closing,
    account: Account,
    accruals: list[Accrual],
    carried: CarriedForward | None,
    books: Books,
) -> None:
    brought_forward = carried.amount if carried else 0
    total = within_limit(brought_forward + sum(accrual.amount for accrual in accruals), "the statement's total")
    settlement = Settlement(
        id=settlement_id,
        settlement_account=account.id,
        currency=account.currency,
        closing_id=closing.id,
        period_end=closing.period_end,
        lines=tuple(SettlementLine(a.id, a.order_id, a.bill_no, a.line_id, a.date, a.amount) for a in accruals),
        brought_forward=brought_forward,
        brought_forward_from=carried.settlement_id if carried else None,
        total=total,
        paid=0,
        state="open" if total > 0 else "carriedForward",
        booked_at=books.booked_at,
    )
    for accrual in accruals:
        books.put(replace(accrual, settlement_id=settlement_id))
    next_carried = None if total > 0 else CarriedForward(settlement_id, total)
    books.put(replace(books.position(account.id), carried_forward=next_carried))
    books.put(settlement)
    books.count(account.id, "used")
    books.emit(account.id, SettlementClosed(settlement))
    books.announce(f"settlement:{settlement_id}")


def complete_payout(payout: CompletedPayout, books: Books) -> Mapping[str, object]:
    """Book a payout on a statement; returns the statement's id and state.

    Raises `MustWait` (`unknown-account`, `unknown-settlement`) and `Refused` (`currency-mismatch`, `overpaid-payout`
    for more than is left to pay, `invalid` for another account's statement).
    """
    account = settlement_account(payout.settlement_account, payout.money.currency, books, "payout")
    settlement = books.find(Settlement, payout.settlement_id)
    if settlement is None:
        raise MustWait(
            "unknown-settlement", f"no settlement {payout.settlement_id}", f"settlement:{payout.settlement_id}"
        )
    if settlement.settlement_account != account.id:
        raise Refused("invalid", f"settlementId: {settlement.id} is a statement of another account than {account.id}")
    amount = payout.money.amount
    left = max(settlement.total, 0) - settlement.paid
    if amount > left:
        raise Refused(
            "overpaid-payout", f"amount: {amount} minor units, but {left} are left to pay of settlement {settlement.id}"
        )
    books.open_entry(books.booked_at, account.currency)
    books.count(account.id, "used")
    books.debit(ledger.payable(account.id), amount)
    books.credit(ledger.OF_CASH, amount)
    books.append(Payout(payout.id, account.id, settlement.id, account.currency, amount, books.booked_at))
    settlement = replace(settlement, paid=settlement.paid + amount, state="paid" if amount == left else "partiallyPaid")
    books.put(settlement)
    books.emit(account.id, SettlementPaid(settlement))
    complete_closing(account, books)
    return {"settlementId": settlement.id, "state": settlement.state}
