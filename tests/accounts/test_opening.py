"""Accounts are opened once, and what refers to one that is not there waits for it."""

from datetime import UTC

import pytest

from domain.accounts.model import Account, AccountCreated, NewAccount, Standing, find_account
from domain.facts import working_set
from domain.ledger.books import Books, DocumentNeed, NotLoaded
from domain.ledger.positions import Position
from domain.money import Currency
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    balances,
    billing,
    closing,
    line,
    moment,
    order,
    partner,
    payment,
    payout,
)


def test_an_account_is_opened_with_an_empty_position():
    """It is active at revision 1, its position counts from nothing, and its first event says so."""
    book = LedgerBook()
    book.take(partner("SA-1", "0.8", "payment"))
    account = book.get(Account, "SA-1")
    assert (account.state, account.revision, account.currency) == ("active", 1, "EUR")
    assert account.opened_at == moment("2026-11-22T12:00:00")
    assert book.position("SA-1") == Position("SA-1", "EUR", sequence=1)
    [event] = book.events
    assert (event.account, event.sequence, event.cause) == ("SA-1", 1, "account.create:SA-1")
    assert event.event == AccountCreated(
        account,
        Standing(balances(), 0, None),
    )
    assert (book.results["account.create:SA-1"]["id"], book.results["account.create:SA-1"]["revision"]) == ("SA-1", 1)
    assert_books_hold(book)


@pytest.mark.parametrize("kind", ["PartyAccount", "FinancialAccount"])
def test_other_types_of_account_are_opened_but_bear_no_orders(kind):
    """A party or financial account is kept like any other; an order or a payment on it is `invalid`."""
    book = LedgerBook()
    book.take(
        NewAccount("PA-1", kind, Currency("EUR", 2), 30, None, {}),
        order("O-1", line("1"), account="PA-1"),
        payment("P-1", 1, account="PA-1"),
    )
    assert [refusal.code for refusal in book.refused.values()] == ["invalid", "invalid"]
    assert_books_hold(book)


@pytest.mark.parametrize("again", [billing("BA-1"), partner("BA-1")])
def test_an_id_is_taken_once_among_all_accounts(again):
    """Another message that creates an account of a used id, of whatever type, is a `conflicting-duplicate`."""
    book = LedgerBook()
    book.take(billing("BA-1"))
    book.take_as("account.create:m-1", again)
    refusal = book.refused["account.create:m-1"]
    assert refusal.code == "conflicting-duplicate"
    assert "BA-1" in refusal.detail
    assert book.get(Account, "BA-1").type == "BillingAccount"
    assert_books_hold(book)


def test_what_waits_is_applied_in_the_order_it_came():
    """Facts that wait for one account are applied, when it comes, in the order in which they came."""
    book = LedgerBook()
    book.take(
        order("O-1", line("1.00")),
        payment("P-1", 50),
        order("O-2", line("2.00")),
        closing("C-1"),
        payout("PO-1", 1, "C-1"),
    )
    assert {why.waits_for for _, why in book.waiting.values()} == {"account:BA-1", "account:SA-1"}
    book.take(billing())
    assert [book.invoice(n).order_id for n in (1, 2)] == ["O-1", "O-2"]
    assert book.events_of("BA-1") == ["invoice.issued", "payment.allocated", "invoice.partially-paid", "invoice.issued"]
    book.take(partner())
    assert book.waiting == {}
    assert book.refused["payout.completed:PO-1"].code == "overpaid-payout"  # an empty statement has nothing to pay
    assert_books_hold(book)


def test_an_account_and_all_about_it_in_one_batch():
    """A batch may open an account and use it: what one fact changes, the next ones see."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="1", on="payment"),
        order("O-1", line("1.00", "0", "SA-1")),
        payment("P-1", 150),
        order("O-2", line("0.50", "0", "SA-1")),
        closing("C-1"),
        payout("PO-1", 150, "C-1"),
    )
    assert book.ledger() == {}  # 1.50 came in for the partner and went out to it
    assert [event.account for event in book.events].count("SA-1") == 6
    assert_books_hold(book)


def test_a_fact_that_fails_leaves_no_trace():
    """Between two good facts of a batch a refused one takes no number, no event and no money with it."""
    good = [order("O-1", line("1.00")), order("O-2", line("1.00"))]
    book, other = LedgerBook(), LedgerBook()
    too_much = order("O-9", line("10000000000", quantity="10"))  # with what is owed already
    book.take(billing(), good[0], too_much, good[1])
    other.take(billing(), *good)
    assert list(book.refused) == ["order.completed:O-9"]
    assert book.holdings() == other.holdings()
    assert book.events == other.events


def test_duplicates_have_one_effect():
    """The same facts again, in the same batch or later, change nothing."""
    facts: list[Fact] = [
        billing(),
        partner(share="1"),
        order("O-1", line("1.00", "0", "SA-1")),
        payment("P-1", 30),
        closing("C-1"),
        payout("PO-1", 40, "C-1"),
    ]
    once, often = LedgerBook(), LedgerBook()
    once.take(*facts)
    often.take(*facts, *facts)
    often.take(*facts, batch=1)
    assert often.holdings() == once.holdings()
    assert often.events == once.events


def test_books_ask_for_what_is_not_loaded():
    """A fact that looks at a document which was never loaded says which, instead of taking it for absent."""
    books = Books(working_set(booked_at=moment("2026-11-22"), zone=UTC, series="INV-", credit_notes="CN-"), "x:1")
    with pytest.raises(NotLoaded) as missing:
        find_account("BA-1", books)
    assert missing.value.needs == (DocumentNeed(Account, "BA-1"),)


def test_an_event_of_no_account_has_an_id_of_its_own():
    """One with a stroke, which no account's event has."""
    books = Books(working_set(booked_at=moment("2026-11-22"), zone=UTC, series="INV-", credit_notes="CN-"), "x:1")
    books.tell("day/2026-11-22", "event")
    books.tell("day/2026-11-23", "event")
    assert [(event.id, event.account, event.sequence) for event in books.emitted] == [
        ("day/2026-11-22", None, None),
        ("day/2026-11-23", None, None),
    ]
    with pytest.raises(AssertionError):
        books.tell("BA-1:1", "event")
