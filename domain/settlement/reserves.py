"""Reserves: what closings hold back of what partners have earned, until a day, or until it is released before."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal

from domain.frozen import dataclass
from domain.ledger.books import Books
from domain.settlement import position

HELD = "held"
"""The queue of all reserves that a day is to release, the earliest first."""

ReserveState = Literal["held", "released"]


@dataclass(frozen=True, slots=True)
class Release:
    """That so much of a reserve was released (minor units), on a day: by a message, or, without an id, by the day."""

    amount: int
    date: dt.date
    cause: str
    booked_at: dt.datetime
    release_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reserve:
    """What was held back of a statement, whose id it has: `rate` of `base` (minor units).

    It is released on `release_on`, as far as it was not before. `is_left` says that this day has left the release.
    """

    id: str
    settlement_account: str
    currency: str
    base: int
    rate: Decimal
    amount: int
    held_on: dt.date
    release_on: dt.date
    booked_at: dt.datetime
    is_left: bool = False
    releases: tuple[Release, ...] = ()

    @property
    def remaining(self) -> int:
        """What is not released of it yet."""
        return self.amount - sum(one.amount for one in self.releases)

    @property
    def state(self) -> ReserveState:
        """Whether something is held back still."""
        return "held" if self.remaining else "released"

    @property
    def owner(self) -> str:
        """The queue."""
        return HELD

    @property
    def order_key(self) -> tuple[dt.date, str]:
        """Its place in it."""
        return (self.release_on, self.id)

    @property
    def is_open(self) -> bool:
        """Whether a day is to release it."""
        return bool(self.remaining) and not self.is_left

    @property
    def queue(self) -> str | None:
        """The queue that it stands in, if any."""
        return HELD if self.is_open else None


@dataclass(frozen=True, slots=True)
class ReserveHeld:
    """A part of what was earned was held back."""

    reserve: Reserve


@dataclass(frozen=True, slots=True)
class ReserveReleased:
    """A reserve was released, or a part of it: the last of its `releases`."""

    reserve: Reserve


def hold(reserve: Reserve, books: Books) -> None:
    """Hold back what a statement says."""
    position.hold_back(reserve.settlement_account, reserve.amount, books)
    books.put(reserve)
