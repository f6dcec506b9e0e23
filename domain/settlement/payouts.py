"""Payouts: money that left for a partner, for one of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import MustWait, Refused
from domain.frozen import dataclass
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.statements import Settlement, SettlementState, paid_to_date


@dataclass(frozen=True, slots=True)
class CompletedPayout:
    """`payout.completed`: money that left for a partner, for one statement."""

    id: str
    settlement_account: str
    settlement_id: str
    money: Money


@dataclass(frozen=True, slots=True)
class PayoutReturn:
    """That a payout came back."""

    return_id: str
    returned_at: datetime
    reason: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout as booked: append-only but for its return, set once."""

    id: str
    settlement_account: str
    settlement_id: str
    currency: str
    amount: int
    booked_at: datetime
    returned: PayoutReturn | None = None


@dataclass(frozen=True, slots=True)
class SettlementPaid:
    """A payout was booked on a statement."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class PayoutResult:
    """What a payout, or its return, is answered with: its statement, and the state that it leaves that in."""

    settlement_id: str
    state: SettlementState


def payout_needs(payout: CompletedPayout, _books: WorkingSet) -> Iterator[Need]:
    """What a payout looks at."""
    yield DocumentNeed(Account, payout.settlement_account)
    yield DocumentNeed(Position, payout.settlement_account)
    yield DocumentNeed(Settlement, payout.settlement_id)


def complete_payout(payout: CompletedPayout, books: Books) -> PayoutResult:
    """Book a payout on a statement; returns the statement's id and state.

    Raises `MustWait` (`unknown-account`, `unknown-settlement`) and `Refused` (`currency-mismatch`, `overpaid-payout`
    for more than is left to pay, `invalid` for another account's statement).
    """
    account = settlement_account(payout.settlement_account, payout.money.currency, books, "payout")
    settlement = books.find(Settlement, payout.settlement_id)
    if settlement is None:
        raise MustWait(
            "unknown-settlement",
            f"settlementId: no settlement {payout.settlement_id}",
            f"settlement:{payout.settlement_id}",
        )
    if settlement.settlement_account != account.id:
        raise Refused("invalid", f"settlementId: {settlement.id} is a statement of another account than {account.id}")
    amount = payout.money.amount
    left = max(settlement.total, 0) - settlement.paid
    if amount > left:
        said = f"amount: {account.kept_in.written(amount)}, but {account.kept_in.written(left)} is left to pay"
        raise Refused("overpaid-payout", f"{said} of settlement {settlement.id}")
    books.open_entry(books.booked_at, account.kept_in)
    position.pay_out(account.id, amount, books)
    books.put(Payout(payout.id, account.id, settlement.id, account.currency, amount, books.booked_at))
    books.announce(f"payout:{payout.id}")
    settlement = paid_to_date(settlement, settlement.paid + amount)
    books.put(settlement)
    position.emit(account.id, SettlementPaid(settlement), books)
    return PayoutResult(settlement.id, settlement.state)
