"""Guarantees: what a partner gets of each period at least. What it has not earned of that is topped up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from domain.frozen import dataclass
from domain.ledger.books import Books, Need
from domain.money import rounded_ratio
from domain.periods import DateRange, Periods
from domain.settlement.accruals import Accrual, Step
from domain.settlement.agreements import Agreement
from domain.settlement.earnings import earned_in, earnings_needs, guaranteed_in
from domain.settlement.terms import UNITS, AgreedPeriod


@dataclass(frozen=True, slots=True)
class GuaranteedPeriod:
    """A period that has ended: the days on which a guarantee was in force, and what is guaranteed for them."""

    agreement: str
    period: DateRange
    days: tuple[DateRange, ...]
    amount: int

    @property
    def start(self) -> date:
        """Its first day, by which it is known."""
        return self.period.start

    @property
    def end(self) -> date:
        """Its last day in force."""
        return self.days[-1].end - timedelta(days=1)


def ended_periods(agreement: Agreement, until: date) -> Iterator[GuaranteedPeriod]:
    """The periods of an agreement's guarantees that have ended by a day, which counts.

    They are counted from the agreement's first day. What is guaranteed is in proportion to the days in force,
    round(sum of amount × days in force ÷ days of the period): an agreement may end within a period, and a guarantee may
    be agreed, changed or dropped within one. A period ends with its agreement, where that ends before it.
    """
    end = date.max if agreement.end is None else agreement.end
    turns = [
        (agreed.closings.guarantee, DateRange(agreed.valid_from, end if turn_end is None else turn_end))
        for agreed, turn_end in agreement.periods
    ]
    kinds: set[AgreedPeriod] = {guarantee.period for guarantee, _ in turns if guarantee is not None}
    for kind in sorted(kinds):
        of_kind = [(one.amount, days) for one, days in turns if one is not None and one.period == kind]
        last = min(until + timedelta(days=1), end) if until < date.max else end
        if of_kind[0][1].start >= last:
            continue
        for period in Periods(agreement.start, *UNITS[kind]).overlapping(DateRange(of_kind[0][1].start, last)):
            if min(period.end, end) > last:
                break
            parts = [(amount, found) for amount, days in of_kind if (found := days.overlap(period)) is not None]
            if parts:
                amount = rounded_ratio(sum(amount * days.days for amount, days in parts), period.days)
                yield GuaranteedPeriod(agreement.id, period, tuple(days for _, days in parts), amount)


def guarantee_needs(partner: str, agreements: list[Agreement], until: date) -> Iterator[Need]:
    """The earnings that the guarantees of a partner's agreements go by."""
    years = {
        year
        for agreement in agreements
        for ended in ended_periods(agreement, until)
        for year in range(ended.start.year, ended.end.year + 1)
    }
    yield from earnings_needs(partner, years)


def topped_up(guaranteed: int, earned: int) -> int:
    """What a guarantee adds to what was earned of a period (minor units)."""
    return max(0, guaranteed - max(0, earned))


def top_ups(
    partner: str, agreements: list[Agreement], until: date, rows: Sequence[Accrual], books: Books
) -> Iterator[tuple[Step, int]]:
    """What guarantees add to what was earned by a day, which counts; `earned_in` knows all of that but `rows`.

    For each period that has ended, what it is topped up by, less what was stated of that: below zero where more of an
    earlier period was stated since. Out: how it is worked out, and the difference (minor units). Raises `NotLoaded`.
    """
    books.require(guarantee_needs(partner, agreements, until))
    for agreement in agreements:
        for ended in ended_periods(agreement, until):
            earned = earned_in(partner, ended.days, books, rows)
            stated = guaranteed_in(partner, agreement.id, ended.start, books)
            if more := topped_up(ended.amount, earned) - stated:
                step = Step("guarantee", agreement.id, ended.start, ended.end, of=ended.amount, base=earned)
                yield step, more
