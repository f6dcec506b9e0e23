"""Days in memory: which one may begin, and what that leaves."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.days.model import CALENDAR, BegunDay, Calendar, Day, DayResult
from domain.errors import MustWait
from domain.facts import apply, needs_of, working_set
from domain.ledger.books import Books, WorkingSet

NOW = datetime(2026, 11, 27, 0, 0, 1, tzinfo=UTC)
FRIDAY, SATURDAY, SUNDAY = (date(2026, 11, day) for day in (27, 28, 29))


def new_books() -> WorkingSet:
    """Books in which no day was begun."""
    found = working_set(booked_at=NOW, zone=UTC, series="INV-", credit_notes="CN-")
    found.load(Calendar, CALENDAR, None)
    return found


@pytest.fixture
def working() -> WorkingSet:
    """Books of a test's own."""
    return new_books()


def begin(working: WorkingSet, day: date) -> DayResult:
    """Say that a day has come."""
    books = Books(working, f"day.begin:{day}")
    assert all(working.has(need) for need in needs_of(BegunDay(day), working))
    result = apply(BegunDay(day), books)
    working.accept(books)
    assert isinstance(result, DayResult)
    return result


def test_new_books_begin_with_whatever_day_it_is(working: WorkingSet) -> None:
    """And go on from there, day by day; each has its row."""
    assert begin(working, FRIDAY) == DayResult(FRIDAY)
    assert begin(working, SATURDAY) == DayResult(SATURDAY)
    assert working.find(Calendar, CALENDAR) == Calendar(CALENDAR, FRIDAY, SATURDAY)
    assert working.rows[Day] == [Day(day, NOW, f"day.begin:{day}") for day in (FRIDAY, SATURDAY)]
    assert [row.id for row in working.rows[Day]] == ["2026-11-27", "2026-11-28"]
    assert working.announced == ["day:2026-11-27", "day:2026-11-28"]
    assert working.emitted == []


def test_a_day_waits_for_the_one_before_it(working: WorkingSet) -> None:
    """Whoever says it too early: what is due on the days between would never happen."""
    begin(working, FRIDAY)
    with pytest.raises(MustWait) as refused:
        begin(working, SUNDAY)
    assert (refused.value.code, refused.value.waits_for) == ("day-gap", "day:2026-11-28")
    assert (
        refused.value.detail
        == "date: 2026-11-29 comes after 2026-11-28, which is not begun: the newest day is 2026-11-27"
    )
    assert working.find(Calendar, CALENDAR) == Calendar(CALENDAR, FRIDAY, FRIDAY)


@pytest.mark.parametrize("day", [date(2026, 11, 26), FRIDAY])
def test_a_day_that_is_not_after_the_newest_changes_nothing(working: WorkingSet, day: date) -> None:
    """A worker whose clock is behind says one before the first, as a new database has its first day."""
    begin(working, FRIDAY)
    assert begin(working, day) == DayResult(FRIDAY)
    assert working.rows[Day] == [Day(FRIDAY, NOW, "day.begin:2026-11-27")]


@given(st.lists(st.integers(-3, 9), max_size=40))
def test_whoever_says_what_days_run_without_a_gap(said: list[int]) -> None:
    """In any order, again, too early, too late: each day from the first to the newest has one row, in that order."""
    working = new_books()
    for days in said:
        with suppress(MustWait):
            begin(working, FRIDAY + timedelta(days=days))
    calendar = working.find(Calendar, CALENDAR)
    begun = [row.date for row in working.rows[Day]]
    assert begun == ([] if calendar is None else [calendar.first + timedelta(days=n) for n in range(len(begun))])
    if calendar is not None:
        assert (begun[0], begun[-1]) == (FRIDAY + timedelta(days=said[0]), calendar.newest)
