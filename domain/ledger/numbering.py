"""Series of numbers without a gap: a fact that is refused takes none."""

from __future__ import annotations

from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books

DIGITS = 9


@dataclass(frozen=True, slots=True)
class Series:
    """A series of numbers: its prefix and the last number given.

    `owner` is the settlement account of the partner in whose name its numbers are given; None where it is ours.
    """

    id: str
    last: int
    owner: str | None = None


def next_number(prefix: str, books: Books) -> str:
    """The next number of a series: its prefix and nine digits."""
    series = books.find(Series, prefix) or Series(prefix, 0)
    series = replace(series, last=series.last + 1)
    books.put(series)
    return f"{series.id}{series.last:0{DIGITS}d}"


def note_series(series: str, ours: str) -> str:
    """The series of the credit notes of a partner's invoices, by the series of those and that of our credit notes."""
    return ours + series


def claim_series(series: str, owner: str, books: Books, field: str = "terms.series") -> None:
    """Have a series be a partner's, who may have it already; `field` is what said so.

    Raises `NotLoaded` and `Refused` (`invalid`): it is one of ours, as it is set now or was once, or another partner's.
    """
    found = books.find(Series, series)
    if series in (books.series, books.credit_notes) or (found is not None and found.owner is None):
        raise Refused("invalid", f"{field}: {series} is a series of ours")
    if found is None:
        books.put(Series(series, 0, owner))
    elif found.owner != owner:
        raise Refused("invalid", f"{field}: {series} is the series of another partner")
