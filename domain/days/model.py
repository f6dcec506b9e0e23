"""Days: each that was begun, and which is the newest."""

from __future__ import annotations

from datetime import date, datetime

from domain.frozen import dataclass
from domain.ledger.books import Books

CALENDAR = "calendar"
"""The id of the calendar: one database is one seller, in one time zone."""


@dataclass(frozen=True, slots=True)
class BegunDay:
    """`day.begin`: this date has come where the seller is. A worker says so to itself."""

    date: date


@dataclass(frozen=True, slots=True)
class Calendar:
    """Which days were begun: all from `first` to `newest`. Whoever begins a day writes it, so two are never at once."""

    id: str
    first: date
    newest: date


@dataclass(frozen=True, slots=True)
class Day:
    """A day that was begun: append-only. `cause` is the identity of the fact that began it."""

    date: date
    booked_at: datetime
    cause: str

    @property
    def id(self) -> str:
        """The date, as ISO 8601 has it."""
        return self.date.isoformat()


@dataclass(frozen=True, slots=True)
class DayResult:
    """What came of it: the newest day begun."""

    date: date


def newest_day(books: Books) -> date:
    """The newest day begun, up to which is billed what says no date; before any is begun, the day it is."""
    calendar = books.find(Calendar, CALENDAR)
    return books.date_of(books.booked_at) if calendar is None else calendar.newest
