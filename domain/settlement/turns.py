"""Turns: what is agreed for a period, and changed within one, comes to a part of it by its days in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

from domain.frozen import dataclass
from domain.money import rounded_ratio
from domain.periods import DateRange, Periods
from domain.settlement.agreements import Agreement
from domain.settlement.terms import UNITS, AgreedPeriod, ClosingTerms, FixedFee, Guarantee

Periodic = TypeVar("Periodic", Guarantee, FixedFee)


class PeriodKey(NamedTuple):
    """What a period is known by: its agreement, its first day and, where need be, its type.

    `type` is None of the type that was agreed first, of those of which a period begins on that day: of most agreements
    there is but one, and earlier versions knew none.
    """

    agreement: str
    start: date
    type: AgreedPeriod | None = None


@dataclass(frozen=True, slots=True)
class EndedPeriod:
    """A period that has ended: the days on which something is agreed for it, and what that comes to (minor units).

    It has no days where nothing of its type is agreed on them any more. `end` is its last day in force; of one without
    days, its last.
    """

    key: PeriodKey
    end: date
    days: tuple[DateRange, ...]
    amount: int

    @property
    def start(self) -> date:
        """Its first day."""
        return self.key.start


def ended_periods(
    agreement: Agreement, until: date, of: Callable[[ClosingTerms], Periodic | None]
) -> Iterator[EndedPeriod]:
    """The periods that have ended by a day, which counts, of what an agreement's terms have for each of them.

    They are counted from the agreement's first day. What it comes to is in proportion to the days in force, round(sum
    of amount × days in force ÷ days of the period): an agreement may end within a period, and what is agreed may be
    agreed, changed or dropped within one. A period ends with its agreement, where that ends before it.

    Periods of another type are others, though they begin on the same day. All that were ever agreed are among them:
    what does not hold any more comes to nothing, and what was stated or charged of it is to be taken back.
    """
    end = date.max if agreement.end is None else agreement.end
    turns = [
        (of(agreed.closings), DateRange(agreed.valid_from, end if turn_end is None else turn_end))
        for agreed, turn_end in agreement.periods
    ]
    # The first day on which each type was ever agreed, in the order in which they were agreed first.
    begun: dict[AgreedPeriod, date] = {}
    for agreed in agreement.agreed:
        if (one := of(agreed.closings)) is not None:
            begun[one.period] = min(agreed.valid_from, begun.get(one.period, agreed.valid_from))
    types = {type_: Periods(agreement.start, *UNITS[type_]) for type_ in begun}
    last = min(until + timedelta(days=1), end) if until < date.max else end
    for type_ in sorted(types):
        if begun[type_] >= last:
            continue
        of_type = [(one.amount, days) for one, days in turns if one is not None and one.period == type_]
        for period in types[type_].overlapping(DateRange(begun[type_], last)):
            if min(period.end, end) > last:
                break
            parts = [(amount, found) for amount, days in of_type if (found := days.overlap(period)) is not None]
            first = next(one for one, periods in types.items() if _begins(periods, period.start))
            yield EndedPeriod(
                PeriodKey(agreement.id, period.start, None if type_ == first else type_),
                (parts[-1][1].end if parts else min(period.end, end)) - timedelta(days=1),
                tuple(days for _, days in parts),
                rounded_ratio(sum(amount * days.days for amount, days in parts), period.days),
            )


def _begins(periods: Periods, day: date) -> bool:
    """Whether one of these begins on a day."""
    period = periods.containing(day)
    return period is not None and period.start == day
