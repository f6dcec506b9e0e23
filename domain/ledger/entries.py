"""Journal entries: postings that sum to zero, one entry for each fact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry: debit positive, credit negative, in minor units of `currency`.

    `movement` numbers the entries of the account that owns the ledger account: 1, 2, 3 … without a gap.
    """

    account: str
    currency: str
    amount: int
    category: str | None = None
    rate: str | None = None
    movement: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry: the postings of one fact, never changed; `id` and `cause` are the fact's identity.

    `occurred_at` is the fact's own time, `booked_at` the worker's. An entry that undoes another names it in `reverses`;
    one that follows from somebody's decision says why in `reason`.
    """

    id: str
    cause: str
    occurred_at: datetime
    booked_at: datetime
    postings: tuple[Posting, ...]
    reverses: str | None = None
    reason: str | None = None


def key_of(cause: str) -> str:
    """A fact's part in the keys of what it books: its type and business key. No other id has a stroke in it."""
    return cause.replace(":", "/", 1)


def assert_balanced(postings: Iterable[Posting], cause: str) -> None:
    """The sum of an entry's postings is zero, or the rule that made them is broken: a defect, never a refusal."""
    postings = list(postings)
    if sum(posting.amount for posting in postings) != 0:
        raise AssertionError(f"the entry of {cause} does not balance: {postings}")
