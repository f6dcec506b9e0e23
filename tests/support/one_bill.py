"""What was billed of subscriptions, and what one bill of all of them would have come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from unittest.mock import patch

from adapters.documents import COLLECTION, DECODE
from domain.accounts.model import Account
from domain.billing.billed import BilledPeriod
from domain.billing.subscriptions import Subscription
from domain.billing.usage import UsageMonth
from tests.support.books import Books
from tests.support.ledger_book import LedgerBook, billing, charge, demand, line, partner


def billed(database: Books) -> dict[str, int]:
    """What is billed of each period that something is left of, in minor units."""
    found = database[COLLECTION[BilledPeriod]].find()
    return left_of(DECODE[BilledPeriod](row) for row in found)


def billed_at_once(database: Books, on: str) -> dict[str, int]:
    """What one bill up to a date would have of the subscriptions as they are in the end, period by period.

    It is made in memory, of an account that has billed none of them, and has room for all that is below zero.
    """
    book = LedgerBook()
    book.take(billing(days=0))
    for row in database[COLLECTION[Subscription]].find():
        one: Subscription = DECODE[Subscription](row)
        behalves = {price.on_behalf_of for terms in one.all_terms for price in terms.prices} - {None}
        book.take(*(partner(str(id_)) for id_ in behalves if id_ not in book.documents[Account]))
        fresh = replace(one, billing_account="BA-1", next_due=one.start_date, recheck_from=None)
        book.documents[Subscription][one.id] = fresh
    for row in database[COLLECTION[UsageMonth]].find():
        month: UsageMonth = DECODE[UsageMonth](row)
        book.documents[UsageMonth][month.id] = month
    with (
        patch("domain.billing.gathering.LINES_MAX", 1_000_000),
        patch("domain.billing.composing.LINES_MAX", 1_000_000),
    ):
        book.take(charge("C-room", line("1000000"), on=on), demand("D-1", on=on))
    assert not book.refused | book.waiting, (book.refused, book.waiting)
    return left_of(book.documents[BilledPeriod].values())


def left_of(periods: Iterable[BilledPeriod]) -> dict[str, int]:
    """What is billed of prices' periods, less what was taken back, in minor units, where that is something."""
    left: Counter[str] = Counter()
    for one in (part for period in periods for part in period.by_price):
        left[one.id] += sum(line.left for line in one.billed.lines)
    return {id_: net for id_, net in left.items() if net}
