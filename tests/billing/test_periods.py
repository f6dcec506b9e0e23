"""Periods against a slow, obvious model: from the anchor on, one after the other, each counted from the anchor."""

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import facts
from domain.ledger.books import Books
from domain.periods import DateRange, Periods

ANCHORS = st.dates(date(1999, 1, 1), date(2033, 12, 31)) | st.builds(
    date, st.sampled_from([2023, 2024, 2100]), st.sampled_from([1, 2, 3, 12]), st.integers(1, 28)
)
KINDS = st.sampled_from(["day", "week", "month", "year"])
LENGTHS = st.integers(1, 14)


def slow_start(anchor: date, kind: str, length: int, n: int) -> date:
    """Day by day, or month by month, from the anchor; the day is the anchor's, or the month's last."""
    if kind in ("day", "week"):
        day = anchor
        for _ in range(abs(n) * length * (7 if kind == "week" else 1)):
            day += timedelta(days=1) if n > 0 else timedelta(days=-1)
        return day
    year, month = anchor.year, anchor.month
    for _ in range(abs(n) * length * (12 if kind == "year" else 1)):
        month += 1 if n > 0 else -1
        if month in (0, 13):
            year, month = year + (1 if month == 13 else -1), 1 if month == 13 else 12
    return date(year, month, min(anchor.day, calendar.monthrange(year, month)[1]))


def nth(periods: Periods, n: int) -> DateRange:
    """A period that there is."""
    period = periods.nth(n)
    assert period is not None
    return period


@given(ANCHORS, KINDS, LENGTHS, st.integers(-40, 40))
def test_the_nth_period_both_ways_from_the_anchor(anchor, kind, length, n):
    """Each begins where the model says, and ends where the next begins."""
    period = Periods(anchor, kind, length).nth(n)
    assert period == DateRange(slow_start(anchor, kind, length, n), slow_start(anchor, kind, length, n + 1))


@given(ANCHORS, KINDS, LENGTHS, st.dates(date(1995, 1, 1), date(2040, 1, 1)))
def test_a_day_is_in_one_period(anchor, kind, length, day):
    """And the periods before and after it have it not."""
    periods = Periods(anchor, kind, length)
    n = periods.index_of(day)
    assert [day in nth(periods, m) for m in (n - 1, n, n + 1)] == [False, True, False]
    assert periods.containing(day) == periods.nth(n)


@given(ANCHORS, KINDS, LENGTHS, st.dates(date(2020, 1, 1), date(2024, 1, 1)), st.integers(1, 700))
def test_periods_cover_days_without_a_gap(anchor, kind, length, start, days):
    """Those that overlap a range follow on each other and are no more than needed."""
    window = DateRange(start, start + timedelta(days=days))
    found = list(Periods(anchor, kind, length).overlapping(window))
    assert found[0].start <= window.start < found[0].end
    assert found[-1].start < window.end <= found[-1].end
    assert all(one.end == after.start for one, after in pairwise(found))


@pytest.mark.parametrize("day", range(1, 32))
def test_a_bill_day_does_not_drift_after_february(day):
    """Whatever the day of the month: in each month it is that day, or the month's last."""
    periods = Periods(date(2024, 1, day), "month")
    for n in range(-50, 50):
        start = nth(periods, n).start
        assert start.day == min(day, calendar.monthrange(start.year, start.month)[1])


def test_thirty_first_of_january():
    """29 February, 31 March, 30 April: none is counted from a clamped one."""
    periods = Periods(date(2024, 1, 31), "month")
    assert [str(nth(periods, n).start) for n in range(-2, 4)] == [
        *("2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
    ]
    # A day before the anchor is in the period that is counted back from it.
    assert Periods(date(2011, 3, 31), "month").containing(date(2011, 2, 14)) == DateRange(
        date(2011, 1, 31), date(2011, 2, 28)
    )


def test_a_leap_day_comes_back():
    """Yearly from 29 February: the 28th in other years, and the 29th again after four."""
    periods = Periods(date(2024, 2, 29), "year")
    assert [nth(periods, n).start for n in range(5)] == [
        date(2024, 2, 29),
        date(2025, 2, 28),
        date(2026, 2, 28),
        date(2027, 2, 28),
        date(2028, 2, 29),
    ]


@pytest.mark.parametrize("kind", ["day", "week", "month", "year"])
def test_the_far_ends_of_the_calendar(kind):
    """What is not wholly within the years 1 to 9999 is no period; nothing is raised."""
    periods = Periods(date(2024, 1, 31), kind)
    assert periods.containing(date.max) is None
    assert periods.nth(10**9) is None
    assert periods.nth(-(10**9)) is None
    late = list(periods.overlapping(DateRange(date(9998, 12, 1), date.max)))
    assert late
    assert late[-1].end <= date.max
    early = list(periods.overlapping(DateRange(date.min, date(2, 1, 1))))
    assert early[-1].start < date(2, 1, 1) <= early[-1].end


def in_zone(zone: ZoneInfo) -> Books:
    """Books of a seller there."""
    working = facts.working_set(booked_at=datetime(2026, 1, 1, tzinfo=UTC), zone=zone, series="i", credit_notes="c")
    return Books(working, "test:1")


ZONES = sorted(
    name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix", "right"))
)


@pytest.mark.parametrize("year", [2023, 2026])
def test_a_change_of_clocks_makes_no_period_twice(year):
    """In every zone each day of a year begins once, after the day before, and a time just before it is not in it."""
    for name in ZONES:
        books = in_zone(ZoneInfo(name))
        day, last = date(year, 1, 1), None
        while day < date(year + 1, 1, 1):
            start = books.start_of(day)
            assert last is None or start > last, (name, day)
            assert books.date_of(start) == day, (name, day)
            assert books.date_of(start - timedelta(microseconds=1)) < day, (name, day)
            day, last = day + timedelta(days=1), start


def test_usage_around_a_change_of_clocks():
    """By the seller's dates: at New York the clocks change within March, and midnight is still midnight."""
    books = in_zone(zone := ZoneInfo("America/New_York"))
    times = ("03-01T04:00", "03-15T00:00", "03-31T23:59", "04-01T00:00", "04-01T00:01", "04-15T00:00", "04-30T23:59")
    days = [books.date_of(datetime.fromisoformat(f"2023-{time}").replace(tzinfo=zone)) for time in times]
    periods = Periods(date(2023, 1, 1), "month")
    assert [periods.index_of(day) for day in days] == [2, 2, 2, 3, 3, 3, 3]
