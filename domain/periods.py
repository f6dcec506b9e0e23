"""Periods: how time is divided, in half-open ranges of dates."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache
from typing import Literal

from domain.frozen import dataclass

PeriodType = Literal["day", "week", "month", "year"]
"""TMF's `recurringChargePeriodType`."""

LENGTH_MAX: dict[PeriodType, int] = {"day": 3_660, "week": 520, "month": 120, "year": 10}
"""The most that a period has of each type, ten years: whatever goes through the periods of another ends soon."""

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
_SHORTEST = 28
"""The days that every month has."""

# Keys have days in them, and the same few come again and again.
written = lru_cache(maxsize=4096)(date.isoformat)
"""A day as ISO 8601 writes it."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """The days from `start` to `end`, which is not one of them; never empty."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def overlap(self, other: DateRange) -> DateRange | None:
        """The days that are in both."""
        # Written out, and of a part of this all of that: bills ask it some ten times each.
        if self.start <= other.start and other.end <= self.end:
            return other
        start = self.start if self.start > other.start else other.start
        end = self.end if self.end < other.end else other.end
        return DateRange(start, end) if start < end else None

    def without(self, others: Iterable[DateRange]) -> Iterator[DateRange]:
        """The days that are in none of these, which are in order and have no day in common."""
        start = self.start
        for other in others:
            if (common := self.overlap(other)) is not None:
                if start < common.start:
                    yield DateRange(start, common.start)
                start = common.end
        if start < self.end:
            yield DateRange(start, self.end)


def joined_to(before: tuple[DateRange, ...], days: DateRange) -> tuple[DateRange, ...]:
    """Days in order, with those that follow them: as one where there is none between them."""
    if before and before[-1].end == days.start:
        return (*before[:-1], DateRange(before[-1].start, days.end))
    return (*before, days)


@dataclass(frozen=True, slots=True)
class Periods:
    """All periods of a length, before the anchor and after it: the nth begins n lengths after the anchor.

    One that would begin on a day that its month does not have begins on the month's last day. It is counted from the
    anchor's own day and never from another period: of 31 January follow 29 February and 31 March. A period that is not
    wholly within the years 1 to 9999 is none: whoever asks for it gets None.
    """

    anchor: date
    type: PeriodType
    length: int = 1

    def nth(self, n: int) -> DateRange | None:
        """The period that begins n lengths after the anchor; n may be negative."""
        return _nth(self.anchor, self.type, self.length, n)

    def index_of(self, day: date) -> int:
        """Which period a day is in, whether all of that is within the calendar or not; looks at no other period."""
        if self.type in _DAYS:
            return (day - self.anchor).days // (_DAYS[self.type] * self.length)
        n = (_month_of(day) - _month_of(self.anchor)) // (_MONTHS[self.type] * self.length)
        start = self._start(n)
        # The nth is the last that begins in the day's month or before, be it later in that month.
        return n - 1 if start is not None and start > day else n

    def containing(self, day: date) -> DateRange | None:
        """The period that a day is in."""
        return _containing(self.anchor, self.type, self.length, day)

    def overlapping(self, days: DateRange) -> Iterator[DateRange]:
        """The periods that have one of these days, in order."""
        n = self.index_of(days.start)
        if self._start(n) is None:
            n += 1  # the calendar begins within that one
        while (period := self.nth(n)) is not None and period.start < days.end:
            yield period
            n += 1

    def _start(self, n: int) -> date | None:
        return _start(self.anchor, self.type, n * self.length)


# Many have the same anchor, and bills ask for the same few periods of them.
@lru_cache(maxsize=16_384)
def _nth(anchor: date, type_: PeriodType, length: int, n: int) -> DateRange | None:
    start, end = _start(anchor, type_, n * length), _start(anchor, type_, (n + 1) * length)
    return None if start is None or end is None else DateRange(start, end)


@lru_cache(maxsize=16_384)
def _containing(anchor: date, type_: PeriodType, length: int, day: date) -> DateRange | None:
    periods = Periods(anchor, type_, length)
    return periods.nth(periods.index_of(day))


def _start(anchor: date, type_: PeriodType, lengths: int) -> date | None:
    """The day that is so many days, weeks, months or years after an anchor; None beyond the calendar."""
    if type_ in _DAYS:
        ordinal = anchor.toordinal() + lengths * _DAYS[type_]
        return date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else None
    year, month = divmod(_month_of(anchor) + lengths * _MONTHS[type_], 12)
    if not MINYEAR <= year <= MAXYEAR:
        return None
    day = anchor.day
    return date(year, month + 1, day if day <= _SHORTEST else min(day, monthrange(year, month + 1)[1]))


def _month_of(day: date) -> int:
    """The months from the year 0 to the day's."""
    return day.year * 12 + day.month - 1
