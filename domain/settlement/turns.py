"""Turns: what is agreed for a period, and changed within one, comes to a part of it by its days in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TypeVar

from domain.frozen import dataclass
from domain.money import rounded_ratio
from domain.periods import DateRange, Periods
from domain.settlement.agreements import Agreement
from domain.settlement.terms import UNITS, AgreedPeriod, ClosingTerms, FixedFee, Guarantee

Periodic = TypeVar("Periodic", Guarantee, FixedFee)


@dataclass(frozen=True, slots=True)
class EndedPeriod:
    """A period that has ended: the days on which something was agreed for it, and what that comes to (minor units)."""

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


def ended_periods(
    agreement: Agreement, until: date, of: Callable[[ClosingTerms], Periodic | None]
) -> Iterator[EndedPeriod]:
    """The periods that have ended by a day, which counts, of what an agreement's terms have for each of them.

    They are counted from the agreement's first day. What it comes to is in proportion to the days in force, round(sum
    of amount × days in force ÷ days of the period): an agreement may end within a period, and what is agreed may be
    agreed, changed or dropped within one. A period ends with its agreement, where that ends before it.
    """
    end = date.max if agreement.end is None else agreement.end
    turns = [
        (of(agreed.closings), DateRange(agreed.valid_from, end if turn_end is None else turn_end))
        for agreed, turn_end in agreement.periods
    ]
    kinds: set[AgreedPeriod] = {one.period for one, _ in turns if one is not None}
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
                yield EndedPeriod(agreement.id, period, tuple(days for _, days in parts), amount)
