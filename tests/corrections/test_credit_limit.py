"""Whatever takes what an account owes over its limit tells it, once a crossing; what is back within arms it again."""

from __future__ import annotations

import pytest

from domain.accounts.model import CreditLimitExceeded
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    billing,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    refund,
    reversal,
    transfer,
    update,
    write_off,
)

INV1, INV2 = "INV-000000001", "INV-000000002"


def told(book: LedgerBook, account: str = "BA-1") -> list[int]:
    """What was owed each time that an account was told to owe more than its limit."""
    return [fact.balance for fact in book.facts_of(account) if isinstance(fact, CreditLimitExceeded)]


def limited(*facts: Fact) -> LedgerBook:
    """BA-1 and BA-2, each with a limit of 5.00, and what has happened to them: nothing is beyond it yet."""
    book = LedgerBook()
    book.take(billing(creditLimit=500), billing("BA-2", creditLimit=500), partner("SA-1", "0.5", "payment"), *facts)
    assert told(book) == told(book, "BA-2") == []
    return book


BILLED = (payment("P-1", 1000), order("O-1", line("10")))
"""An invoice of 10.00 that is paid in advance."""


@pytest.mark.parametrize(
    ("before", "fact", "owed"),
    [
        (BILLED, reversal("X-1", "P-1"), 1000),
        (BILLED, reversal("X-1", "P-1", 501), 501),
        (BILLED, reversal("X-1", "P-1", 500), None),
        (BILLED, refund("R-1", 700, of="P-1"), 700),
        # Nothing is left to take of: the customer has our money, and owes us that.
        ((), refund("R-1", 600, late=True), 600),
        (BILLED, reversal("X-1", "P-1", 1600, late=True), 1600),
    ],
)
def test_what_tells(before, fact, owed):
    """What an order does not do: an invoice is open again, or money went back without credit for it."""
    book = limited(*before)
    book.take(fact)
    assert told(book) == ([] if owed is None else [owed])
    if owed is not None:
        assert book.events_of("BA-1").count("account.credit-limit-exceeded") == 1
    assert_books_hold(book)


def test_credit_that_goes_elsewhere():
    """5.00 are disputed, and 4.50 of credit stay beside them: without those, 5.00 are owed."""
    book = limited(order("O-1", line("5")), dispute("D-1", INV1, {"1": 500}), payment("P-1", 450))
    book.take(update(creditLimit=300))
    assert told(book) == []
    book.take(transfer("T-1", 450))
    assert told(book) == [500]
    assert book.events_of("BA-1")[-2:] == ["credit.transferred", "account.credit-limit-exceeded"]
    assert_books_hold(book)


def test_the_account_that_has_what_was_transferred_is_told():
    """What covered its invoice came back: it is BA-2 that owes."""
    book = limited(payment("P-1", 1000), transfer("T-1", 1000), order("O-1", line("10"), account="BA-2"))
    book.take(reversal("X-1", "P-1"))
    assert (told(book), told(book, "BA-2")) == ([], [1000])
    assert_books_hold(book)


def test_once_a_crossing_and_again_after_it():
    """What comes while it is beyond tells nothing; a payment, a note or a write-off takes it back within."""
    book = limited(*BILLED, payment("P-2", 1000), order("O-2", line("10")))
    book.take(reversal("X-1", "P-1"), reversal("X-2", "P-2"), order("O-3", line("1")))
    assert told(book) == [1000]
    book.take(payment("P-3", 2100), reversal("X-3", "P-3"))
    assert told(book) == [1000, 2100]
    book.take(write_off("W-1", INV1), credit_note("N-1", INV2, {"1": 700}), order("O-4", line("1.01")))
    assert told(book) == [1000, 2100, 501]
    assert_books_hold(book)


def test_what_is_written_off_is_not_owed():
    """Nobody asks for it any more; a payment that recovers some of it owes nothing anew."""
    book = limited(order("O-1", line("5", "0", "SA-1")))
    book.take(write_off("W-1", INV1), order("O-2", line("5")))
    assert told(book) == []
    book.take(payment("P-1", 300, [INV1]), order("O-3", line("0.01")))
    assert told(book) == [501]
    assert_books_hold(book)


def test_what_goes_on_in_other_transactions_is_one_crossing(monkeypatch):
    """What is still to be undone is recoverable until then, so it is owed from the first: one that is told once."""
    book = limited(payment("P-1", 5000), *[order(f"O-{n}", line("10")) for n in range(5)])
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 8)
    book.take(reversal("X-1", "P-1"))
    assert book.position("BA-1").receivable == 5000
    assert told(book) == [5000]
    assert_books_hold(book)
