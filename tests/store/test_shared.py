"""What many rows say alike is one object."""

import pytest

from adapters import shared
from adapters.billing.codecs import DECODE, ENCODE
from adapters.shared import Shared
from domain.billing.subscriptions import Subscription
from tests.support.ledger_book import LedgerBook, billing, monthly, subscription


def rows_of(*facts):
    """The subscriptions' rows, as the database has them."""
    book = LedgerBook()
    book.take(billing(), *facts)
    return [ENCODE[Subscription](one) for one in book.documents[Subscription].values()]


def read(rows):
    """The terms of rows as they are read."""
    return [DECODE[Subscription](row).terms for row in rows]


def test_subscriptions_that_are_sold_alike_have_one_object_of_their_terms():
    first, second, other = read(
        rows_of(*(subscription(f"S-{n}", monthly(price=price)) for n, price in enumerate(["30", "30", "31"])))
    )
    assert first is second
    assert other.prices[0].unit_price == 31
    assert read(rows_of(subscription("S-9", monthly(price="30")))) == [first]


def test_equal_is_not_the_same():
    """What was written as 30.00 stays so when the row is written again."""
    rows = rows_of(*(subscription(f"S-{n}", monthly(price=price)) for n, price in enumerate(["30", "30.00"])))
    assert [ENCODE[Subscription](DECODE[Subscription](row)) for row in rows] == rows


@pytest.fixture
def made():
    """Rows as they were made anew."""
    return []


@pytest.fixture
def share(made):
    def make(row):
        made.append(row)
        return dict(row)

    return Shared(make)


def test_what_is_long_is_made_anew(made, share):
    long, short = {"name": "x" * shared.SHARED_BYTES_MAX}, {"name": "x"}
    for row in (long, long, short, short):
        assert share(row) == row
    assert made == [long, long, short]


def test_no_more_is_remembered_than_so_many(made, share, monkeypatch):
    monkeypatch.setattr(shared, "SHARED_MAX", 2)
    rows = [{"n": n} for n in range(3)]
    for row in (*rows, rows[2], rows[0]):
        assert share(row) == row
    # The third one began anew, so that the first was gone.
    assert made == [*rows, rows[0]]
