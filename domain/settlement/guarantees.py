"""Guarantees: what a partner gets of each period at least. What it has not earned of that is topped up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.ledger.books import Books, Need
from domain.settlement.accruals import Accrual, Step
from domain.settlement.agreements import Agreement
from domain.settlement.earnings import earned_in, earnings_needs, guaranteed_in
from domain.settlement.terms import ClosingTerms, Guarantee
from domain.settlement.turns import ended_periods


def guarantee_needs(partner: str, agreements: list[Agreement], until: date) -> Iterator[Need]:
    """The earnings that the guarantees of a partner's agreements go by."""
    years = {
        year
        for agreement in agreements
        for ended in ended_periods(agreement, until, _guarantee)
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
    earlier period was stated since, or less is agreed of it. Out: how it is worked out, and the difference (minor
    units). Raises `NotLoaded`.
    """
    books.require(guarantee_needs(partner, agreements, until))
    for agreement in agreements:
        for ended in ended_periods(agreement, until, _guarantee):
            earned = earned_in(partner, ended.days, books, rows)
            stated = guaranteed_in(partner, ended.key, books)
            if more := topped_up(ended.amount, earned) - stated:
                key, end, of = ended.key, ended.end, ended.amount
                yield Step("guarantee", key.agreement, key.start, end, of=of, base=earned, type=key.type), more


def _guarantee(terms: ClosingTerms) -> Guarantee | None:
    return terms.guarantee
