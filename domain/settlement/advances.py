"""Advances: what a partner was paid before it has earned that, until closings have recouped it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.agreements import Agreement, find_agreement


@dataclass(frozen=True, slots=True)
class PaidAdvance:
    """`advance.paid`: money that left for a partner, which has yet to earn it."""

    id: str
    agreement: str
    money: Money
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Advance:
    """An advance as booked: append-only."""

    id: str
    agreement: str
    settlement_account: str
    currency: str
    amount: int
    paid_at: datetime
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class AdvanceResult:
    """What is answered: what is still to be recouped of the partner's advances."""

    advance: Money


def advance_time(advance: PaidAdvance) -> tuple[str, datetime]:
    """When it was paid, by its own saying."""
    return "paidAt", advance.paid_at


def advance_needs(advance: PaidAdvance, books: WorkingSet) -> Iterator[Need]:
    """What an advance looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Agreement, advance.agreement)
    agreement = books.peek(Agreement, advance.agreement)
    if agreement is not None:
        yield DocumentNeed(Account, agreement.settlement_account)
        yield DocumentNeed(Position, agreement.settlement_account)


def pay_advance(advance: PaidAdvance, books: Books) -> AdvanceResult:
    """Book what was paid in advance; returns what is to be recouped of the partner's advances then.

    All advances of an agreement come to what its terms of the day say at most.

    Raises `MustWait` (`unknown-agreement`, `account-suspended`) and `Refused`: `currency-mismatch`, `account-closed`,
    `wrong-state` for a day without agreed advance, or for more than is agreed.
    """
    agreement = find_agreement(advance.agreement, books)
    amount = advance.money.amount
    account = settlement_account(
        agreement.settlement_account, advance.money.currency, books, "payout", "agreementId (its partner)"
    )
    day = books.date_of(advance.paid_at)
    agreed = agreement.terms_on(day).closings.advance if agreement.holds_on(day) else None
    if agreed is None:
        raise Refused("wrong-state", f"agreementId: {agreement.id} has no advance on {day}: agree it from that day on")
    advanced = (agreement.advanced or 0) + amount
    if advanced > agreed:
        kept_in = account.kept_in
        raise Refused(
            "wrong-state",
            f"amount: advances of {agreement.id} would come to {kept_in.written(advanced)}, but "
            f"{kept_in.written(agreed)} is agreed",
        )
    books.open_entry(advance.paid_at, account.kept_in)
    left = position.pay_advance(account.id, amount, books)
    books.put(replace(agreement, advanced=advanced))
    books.append(
        Advance(advance.id, agreement.id, account.id, account.currency, amount, advance.paid_at, books.booked_at)
    )
    return AdvanceResult(Money(account.currency, left))
