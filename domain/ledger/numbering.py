"""Series of numbers without a gap: a fact that is refused takes none."""

from __future__ import annotations

from typing import Literal

from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books

DIGITS = 9
SeriesUse = Literal["invoices", "creditNotes", "selfBilling"]
"""What a partner's series numbers: documents of one kind, so that who lists these sees no gap."""
_USES: dict[SeriesUse, str] = {
    "invoices": "invoices",
    "creditNotes": "credit notes",
    "selfBilling": "self-billed documents",
}


@dataclass(frozen=True, slots=True)
class Series:
    """A series of numbers: its prefix and the last number given.

    `owner` is the settlement account of the partner in whose name its numbers are given; None where it is ours. `use`
    is what those are the numbers of; None where it is ours, or an earlier version wrote it.
    """

    id: str
    last: int
    owner: str | None = None
    use: SeriesUse | None = None


def next_number(prefix: str, books: Books) -> str:
    """The next number of a series: its prefix and nine digits."""
    series = books.find(Series, prefix) or Series(prefix, 0)
    series = replace(series, last=series.last + 1)
    books.put(series)
    return f"{series.id}{series.last:0{DIGITS}d}"


def note_series(series: str, ours: str) -> str:
    """The series of the credit notes of a partner's invoices, by the series of those and that of our credit notes."""
    return ours + series


def claim_series(series: str, owner: str, use: SeriesUse, books: Books, field: str) -> None:
    """Have a series be a partner's for one use, who may have it already; `field` is what said so.

    Raises `NotLoaded` and `Refused` (`invalid`): it is one of ours, as it is set now or was once, another partner's, or
    this one's for another use; or it begins as those of credit notes do, and is none.
    """
    found = books.find(Series, series)
    if series in (books.series, books.credit_notes) or (found is not None and found.owner is None):
        raise Refused("invalid", f"{field}: {series} is a series of ours")
    if use != "creditNotes" and series.startswith(books.credit_notes):
        begins = f"may not begin with {books.credit_notes}, which the credit notes' do"
        raise Refused("invalid", f"{field}: {series} is none of a partner's {_USES[use]}: it {begins}")
    if found is None:
        books.put(Series(series, 0, owner, use))
    elif found.owner != owner:
        raise Refused("invalid", f"{field}: {series} is the series of another partner")
    elif found.use not in (None, use):
        detail = f"{series} is the series of this partner's {_USES[found.use]}, and of nothing else"
        raise Refused("invalid", f"{field}: {detail}")
