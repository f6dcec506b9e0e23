"""Positions: what the money says of an account, beside what its clients say of it."""

from __future__ import annotations

from datetime import date

from domain.frozen import dataclass
from domain.ledger.chart import BALANCES


@dataclass(frozen=True, slots=True)
class CarriedForward:
    """A statement that is not paid out, and that the next one opens with.

    `self_billed_tax` is how much of the amount is the tax of self-billed documents; None where that is nothing.
    """

    settlement_id: str
    amount: int
    self_billed_tax: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """The money of an account, in minor units, each balance positive on its normal side, and its counters.

    `sequence` is the number of the last event, `movements` that of the last journal entry, `oldest_due` the earliest
    due date of its open invoices. Whatever decides on an account's money writes its position, so that two decisions
    on one account can't both commit unseen; `touched` counts the decisions that changed nothing else of it.

    `used` counts the facts in the books that are about the account, also those that moved nothing; `withholding` the
    lines whose share, or a part of it, is withheld: the balance `withheld` of such lines may be zero. `allocating` says
    that the account's credit is still being allocated, in further transactions: until then it may have credit beside
    open invoices. `undoing` is how much of `recoverable` waits for a de-allocation that goes on: nothing else covers
    it; None while that is nothing. `dunned` is how many steps of dunning stand against it; None while none does.
    `agreements` is how many facts have agreed terms with it; None while none has. The balances `reserve` and `advance`
    are None while nothing was ever posted to them. `charges_through` is the date through which its charges are billed,
    but for those that say that they are behind it; None before any is.
    """

    id: str
    currency: str
    sequence: int = 0
    movements: int = 0
    receivable: int = 0
    unapplied: int = 0
    payable: int = 0
    withheld: int = 0
    carried_forward: CarriedForward | None = None
    oldest_due: date | None = None
    touched: int = 0
    used: int = 0
    withholding: int = 0
    allocating: bool = False
    refundable: int = 0
    recoverable: int = 0
    undoing: int | None = None
    dunned: int | None = None
    agreements: int | None = None
    reserve: int | None = None
    advance: int | None = None
    charges_through: date | None = None

    def balance(self, name: str) -> int:
        """A balance by its name."""
        found: int | None = getattr(self, name)
        return found or 0


assert set(BALANCES) <= set(Position.__dataclass_fields__), "each balance of the chart is a field of the position"
