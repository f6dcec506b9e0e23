"""Payouts: money that left for a partner, for one of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.requesting import request_the_rest, settle_request
from domain.settlement.statements import (
    Settlement,
    SettlementState,
    WithheldTax,
    find_settlement,
    in_dispute,
    paid_to_date,
    tax_of_next,
    withheld_with,
)


@dataclass(frozen=True, slots=True)
class CompletedPayout:
    """`payout.completed`: money that left for a partner, for one statement.

    `money` is what it settles of that; `transferred` (minor units), if it is said, what left.
    """

    id: str
    settlement_account: str
    settlement_id: str
    money: Money
    transferred: Money | None = None


@dataclass(frozen=True, slots=True)
class PayoutReturn:
    """That a payout came back."""

    return_id: str
    returned_at: datetime
    reason: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout as booked: append-only but for its return, set once.

    `amount` (minor units) is what it settles of its statement, of which `withheld` was kept as the partner's tax; None
    where nothing was.
    """

    id: str
    settlement_account: str
    settlement_id: str
    currency: str
    amount: int
    booked_at: datetime
    returned: PayoutReturn | None = None
    withheld: WithheldTax | None = None

    @property
    def tax(self) -> int:
        """What was withheld of it (minor units)."""
        return 0 if self.withheld is None else self.withheld.amount

    @property
    def transferred(self) -> int:
        """What left for the partner (minor units)."""
        return self.amount - self.tax


@dataclass(frozen=True, slots=True)
class SettlementPaid:
    """A payout was booked on a statement."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class WithholdingRecorded:
    """Tax was withheld of a payout, or, where that came back, is not any more; and for whom."""

    payout: Payout
    authority: str


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

    What was requested of it may be settled in one sum, what was netted with it included; else the amount is of what is
    left to pay. Tax is withheld as it was requested, or, of a part, at the rate of the day.

    Raises `MustWait` (`unknown-account`, `unknown-settlement`) and `Refused` (`currency-mismatch`, `overpaid-payout`
    for more than is left to pay, `wrong-state` where another amount was transferred than ours, or while a document of
    the statement is disputed, `invalid` for another account's statement).
    """
    account = settlement_account(payout.settlement_account, payout.money.currency, books, "payout")
    settlement = find_settlement(payout.settlement_id, books)
    if settlement.settlement_account != account.id:
        raise Refused("invalid", f"settlementId: {settlement.id} is a statement of another account than {account.id}")
    if settlement.hold is not None:
        disputed = " and ".join(settlement.hold.documents)
        raise Refused("wrong-state", f"settlementId: {settlement.id} is not paid while {disputed} is disputed")
    amount, rate = _settled(payout, settlement, books)
    left = settlement.left
    if amount > left:
        said = f"amount: {account.kept_in.written(amount)}, but {account.kept_in.written(left)} is left to pay"
        disputed = in_dispute(settlement, account.kept_in)
        raise Refused("overpaid-payout", f"{said} of settlement {settlement.id}{disputed}")
    withheld = None if rate is None else tax_of_next(settlement, amount, rate)
    booked = Payout(payout.id, account.id, settlement.id, account.currency, amount, books.booked_at, withheld=withheld)
    _check_transferred(payout, booked, account)
    books.open_entry(books.booked_at, account.kept_in)
    position.pay_out(account.id, amount, booked.tax, books)
    books.put(booked)
    books.announce(f"payout:{payout.id}")
    if withheld is not None:
        settlement = replace(settlement, withheld=withheld_with(settlement, withheld))
    settlement = settle_request(paid_to_date(settlement, settlement.paid + amount), amount, books)
    position.emit(account.id, SettlementPaid(settlement), books)
    if withheld is not None:
        assert settlement.withholding is not None
        position.emit(account.id, WithholdingRecorded(booked, settlement.withholding.authority), books)
    request_the_rest(settlement, books)
    return PayoutResult(settlement.id, settlement.state)


def _settled(payout: CompletedPayout, settlement: Settlement, books: Books) -> tuple[int, Decimal | None]:
    """What a payout settles of what is left of a statement (minor units), and the rate at which tax is withheld."""
    amount, request = payout.money.amount, settlement.request
    # What is left is what was requested where nothing was paid since.
    requested = request is not None and settlement.left == request.amount - request.netted
    if request is not None and requested and amount in (request.amount, settlement.left):
        return settlement.left, request.rate
    withholding = settlement.withholding
    return amount, None if withholding is None else withholding.rate_at(books.booked_at)


def _check_transferred(payout: CompletedPayout, booked: Payout, account: Account) -> None:
    said = payout.transferred
    if said is None:
        return
    if said.currency != account.currency:
        detail = f"transferred: {account.id} is kept in {account.currency}, not in {said.currency}"
        raise Refused("currency-mismatch", detail)
    if said.amount != booked.transferred:
        kept_in = account.kept_in
        raise Refused(
            "wrong-state",
            f"transferred: {kept_in.written(said.amount)}, but of {kept_in.written(booked.amount)} "
            f"{kept_in.written(booked.tax)} is to be withheld, and {kept_in.written(booked.transferred)} transferred",
        )
