"""Beginning a day: the first one is whatever day it is, each further one is the day after the newest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from domain.days.model import CALENDAR, BegunDay, Calendar, Day, DayResult
from domain.errors import MustWait
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet


def day_needs(_fact: BegunDay, _books: WorkingSet) -> Iterator[Need]:
    """What a new day looks at: which is the newest."""
    yield DocumentNeed(Calendar, CALENDAR)


def begin_day(fact: BegunDay, books: Books) -> DayResult:
    """Begin a day; returns the newest one then.

    A day that is not after the newest changes nothing: workers whose clocks differ began with different days. Raises
    `MustWait` (`day-gap`) for one whose day before was not begun yet.
    """
    calendar = books.find(Calendar, CALENDAR)
    if calendar is None:
        calendar = Calendar(CALENDAR, fact.date, fact.date)
    elif fact.date <= calendar.newest:
        return DayResult(calendar.newest)
    else:
        before = fact.date - timedelta(days=1)
        if before != calendar.newest:
            detail = f"date: {fact.date} comes after {before}, which is not begun: the newest day is {calendar.newest}"
            raise MustWait("day-gap", detail, f"day:{before}")
        calendar = replace(calendar, newest=fact.date)
    books.put(calendar)
    books.append(Day(fact.date, books.booked_at, books.cause))
    books.announce(f"day:{fact.date}")
    return DayResult(fact.date)
