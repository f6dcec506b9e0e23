"""Series of numbers without a gap: a fact that is refused takes none."""

from __future__ import annotations

from domain.frozen import dataclass
from domain.ledger.books import Books

DIGITS = 9


@dataclass(frozen=True, slots=True)
class Series:
    """A series of numbers: its prefix and the last number given."""

    id: str
    last: int


def next_number(prefix: str, books: Books) -> str:
    """The next number of a series: its prefix and nine digits."""
    series = books.find(Series, prefix) or Series(prefix, 0)
    books.put(Series(series.id, series.last + 1))
    return f"{series.id}{series.last + 1:0{DIGITS}d}"
