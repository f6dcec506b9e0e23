"""Closing cycles: when settlement accounts are closed by themselves."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from domain.frozen import dataclass
from domain.ledger.books import Books
from domain.periods import Periods, PeriodType

ClosingPeriod = Literal["week", "month", "quarter"]

ID_MAX = 128 - len(":2026-12-31")
"""The most characters of the id of an account with a cycle: its closings' ids end in a date, and are ids themselves."""
SCHEDULED = "scheduled"
"""The queue of the accounts that are closed by themselves, the next period's end first."""

_UNITS: dict[ClosingPeriod, tuple[PeriodType, int]] = {
    "week": ("week", 1),
    "month": ("month", 1),
    "quarter": ("month", 3),
}


@dataclass(frozen=True, slots=True)
class ClosingCycle:
    """An account is closed at the end of each period; they are counted from the anchor, before it and after it."""

    period: ClosingPeriod
    anchor_date: date

    def end_from(self, day: date) -> date | None:
        """The first last day of a period on a day or after it; None where the calendar ends within the period."""
        found = Periods(self.anchor_date, *_UNITS[self.period]).containing(day)
        return None if found is None else found.end - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClosingSchedule:
    """The end of an account's next period, None while it has no cycle; `closed` is that of the last one closed."""

    id: str
    period_end: date | None
    closed: date | None = None

    @property
    def owner(self) -> str:
        """The queue."""
        return SCHEDULED

    @property
    def order_key(self) -> tuple[date, str]:
        """Its place in it."""
        return (self.period_end or date.max, self.id)

    @property
    def is_open(self) -> bool:
        """Whether it is closed by itself."""
        return self.period_end is not None

    @property
    def queue(self) -> str | None:
        """The queue that it stands in, if any."""
        return SCHEDULED if self.is_open else None


def schedule(account_id: str, cycle: ClosingCycle | None, books: Books) -> None:
    """Let a cycle begin with the first period that ends today or later and was not closed yet; None ends it."""
    before = books.find(ClosingSchedule, account_id)
    closed = None if before is None else before.closed
    first = books.date_of(books.booked_at)
    if closed is not None and closed >= first:
        first = closed + timedelta(days=1)
    books.put(ClosingSchedule(account_id, None if cycle is None else cycle.end_from(first), closed))
