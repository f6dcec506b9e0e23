"""Double entry: postings that sum to zero, one entry for each fact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from domain.frozen import dataclass

CASH = "cash"
REVENUE = "revenue"
COMMISSION = "commission"
TAX = "tax"

BALANCES = ("receivable", "unapplied", "payable", "withheld")
"""The ledger accounts that each account has of its own; their balances stand in its position."""


class LedgerKey(NamedTuple):
    """A ledger account; `owner` is the account whose position carries it, tax carries its category and rate."""

    account: str
    owner: str | None = None
    balance: str | None = None
    category: str | None = None
    rate: str | None = None


# The ledger accounts that belong to no account of a customer or partner.
OF_CASH = LedgerKey(CASH)
OF_REVENUE = LedgerKey(REVENUE)
OF_COMMISSION = LedgerKey(COMMISSION)


def receivable(account_id: str) -> LedgerKey:
    """What a customer owes us."""
    return LedgerKey(f"receivable:{account_id}", account_id, "receivable")


def unapplied(account_id: str) -> LedgerKey:
    """What a customer has paid and no invoice has consumed."""
    return LedgerKey(f"unapplied:{account_id}", account_id, "unapplied")


def payable(account_id: str) -> LedgerKey:
    """What we owe a partner."""
    return LedgerKey(f"payable:{account_id}", account_id, "payable")


def withheld(account_id: str) -> LedgerKey:
    """What we shall owe a partner once the customer has paid."""
    return LedgerKey(f"withheld:{account_id}", account_id, "withheld")


def tax(category: str, rate: str) -> LedgerKey:
    """The tax we owe, by category and rate."""
    return LedgerKey(TAX, category=category, rate=rate)


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

    `occurred_at` is the fact's own time, `booked_at` the worker's. An entry that undoes another names it in `reverses`
    and says why in `reason`.
    """

    id: str
    cause: str
    occurred_at: datetime
    booked_at: datetime
    postings: tuple[Posting, ...]
    reverses: str | None = None
    reason: str | None = None


def assert_balanced(postings: Iterable[Posting], cause: str) -> None:
    """The sum of an entry's postings is zero, or the rule that made them is broken: a defect, never a refusal."""
    postings = list(postings)
    if sum(posting.amount for posting in postings) != 0:
        raise AssertionError(f"the entry of {cause} does not balance: {postings}")
