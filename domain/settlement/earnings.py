"""Earnings: what statements say that a partner has earned, by day; guarantees go by it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need
from domain.periods import DateRange
from domain.settlement.accruals import Accrual
from domain.settlement.terms import AgreedPeriod
from domain.settlement.turns import PeriodKey


@dataclass(frozen=True, slots=True)
class DayEarned:
    """What of a day was stated as earned (minor units)."""

    date: date
    amount: int


@dataclass(frozen=True, slots=True)
class Guaranteed:
    """What was stated of the guarantee for a period (minor units), which is known by `key`."""

    agreement: str
    start: date
    amount: int
    type: AgreedPeriod | None = None

    @property
    def key(self) -> PeriodKey:
        """What its period is known by."""
        return PeriodKey(self.agreement, self.start, self.type)


@dataclass(frozen=True, slots=True)
class ChargedPart:
    """What an invoice has still of what was charged of a fee (minor units, above zero); `document` is its number."""

    document: str
    amount: int


@dataclass(frozen=True, slots=True)
class ChargedFee:
    """What was charged of the fee for a period (minor units, without tax), which is known by `key`.

    `document` is the number of the invoice that has charged of it last. `parts` are what each invoice has of it, the
    earliest first; None where that one has all of it, or where an earlier version wrote it, which knew of no other.
    """

    agreement: str
    start: date
    amount: int
    document: str
    type: AgreedPeriod | None = None
    parts: tuple[ChargedPart, ...] | None = None

    @property
    def of_invoices(self) -> tuple[ChargedPart, ...]:
        """What each invoice has of it, the earliest first."""
        if self.parts is None:
            return (ChargedPart(self.document, self.amount),) if self.amount else ()
        return self.parts

    @property
    def key(self) -> PeriodKey:
        """What its period is known by."""
        return PeriodKey(self.agreement, self.start, self.type)


@dataclass(frozen=True, slots=True)
class Earnings:
    """What of a year was stated of a partner: as earned, by day, and of the guarantees whose periods begin in it.

    `charged` is what was charged of the fees whose periods begin in it; None while that is nothing.
    """

    id: str
    settlement_account: str
    year: int
    days: tuple[DayEarned, ...] = ()
    guaranteed: tuple[Guaranteed, ...] = ()
    charged: tuple[ChargedFee, ...] | None = None


def earnings_needs(partner: str, years: Iterable[int]) -> Iterator[Need]:
    """A partner's earnings of these years."""
    for year in sorted(set(years)):
        yield DocumentNeed(Earnings, _id(partner, year))


def note_earned(partner: str, rows: Iterable[Accrual], books: Books) -> None:
    """Note what is stated as earned now, under its days. Raises `NotLoaded`."""
    by_day: dict[date, int] = defaultdict(int)
    for row in rows:
        if row.is_earned:
            by_day[row.date] += row.amount
    by_year: dict[int, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for day, amount in by_day.items():
        by_year[day.year][day] = amount
    books.require(earnings_needs(partner, by_year))
    for year, more in by_year.items():
        before = _of(partner, year, books)
        for one in before.days:
            more[one.date] += one.amount
        books.put(replace(before, days=tuple(DayEarned(day, more[day]) for day in sorted(more))))


def note_guaranteed(partner: str, key: PeriodKey, amount: int, books: Books) -> None:
    """Note what is stated in all of the guarantee for a period (minor units)."""
    before = _of(partner, key.start.year, books)
    others = (one for one in before.guaranteed if one.key != key)
    all_of_them = (*others, Guaranteed(key.agreement, key.start, amount, key.type))
    books.put(replace(before, guaranteed=tuple(sorted(all_of_them, key=_place))))


def earned_in(partner: str, days: Sequence[DateRange], books: Books, rows: Iterable[Accrual] = ()) -> int:
    """What was stated as earned of some days, which have none in common, with `rows` that will be (minor units)."""
    years = {year for one in days for year in range(one.start.year, one.end.year + 1)}
    earned = [(day.date, day.amount) for year in sorted(years) for day in _of(partner, year, books).days]
    earned += [(row.date, row.amount) for row in rows]
    return sum(amount for one in days for day, amount in earned if day in one)


def guaranteed_in(partner: str, key: PeriodKey, books: Books) -> int:
    """What was stated of the guarantee for a period (minor units)."""
    found = _of(partner, key.start.year, books).guaranteed
    return next((one.amount for one in found if one.key == key), 0)


def note_charged(partner: str, key: PeriodKey, amount: int, document: str, books: Books) -> None:
    """Note what an invoice charges of the fee for a period, or what is taken back of it, below zero (minor units)."""
    before = charged_in(partner, key, books)
    parts = [] if before is None else list(before.of_invoices)
    if amount > 0:
        parts.append(ChargedPart(document, amount))
    else:
        changed = (replace(one, amount=one.amount + amount) if one.document == document else one for one in parts)
        parts = [one for one in changed if one.amount]
    last = document if before is None or amount > 0 else before.document
    in_all = sum(one.amount for one in parts)
    alone = all(one.document == last for one in parts)
    charged = ChargedFee(key.agreement, key.start, in_all, last, key.type, None if alone else tuple(parts))
    year = _of(partner, key.start.year, books)
    others = (one for one in year.charged or () if one.key != key)
    books.put(replace(year, charged=tuple(sorted((*others, charged), key=_place))))


def charged_in(partner: str, key: PeriodKey, books: Books) -> ChargedFee | None:
    """What was charged of the fee for a period; None where that is nothing."""
    found = _of(partner, key.start.year, books).charged or ()
    return next((one for one in found if one.key == key), None)


def _place(one: Guaranteed | ChargedFee) -> tuple[date, str, str]:
    return one.start, one.agreement, one.type or ""


def _of(partner: str, year: int, books: Books) -> Earnings:
    return books.find(Earnings, _id(partner, year)) or Earnings(_id(partner, year), partner, year)


def _id(partner: str, year: int) -> str:
    # No id of an account has a stroke in it.
    return f"{partner}/{year}"
