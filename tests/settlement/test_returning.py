"""A payout that came back is payable again; its statement is open by it, until another payout pays it anew."""

import pytest

from domain.ledger.entries import Entry
from domain.settlement.payouts import Payout
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    closing,
    command,
    line,
    order,
    partner,
    payout,
    payout_return,
)


def paid(*amounts: int) -> LedgerBook:
    """SA-1 has a statement C-1 of 80.00, of which these amounts are paid out by PO-1, PO-2 and so on."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0", "SA-1")), closing("C-1"))
    book.take(*[payout(f"PO-{n}", amount, "C-1") for n, amount in enumerate(amounts, 1)])
    return book


def test_it_is_payable_again():
    """Debit cash, credit payable; the entry names the payout's, and why; the statement is open as it was."""
    book = paid(8000)
    book.take(payout_return("PR-1", "PO-1"))
    assert book.postings("payout.returned:PR-1") == [("cash", 8000), ("payable:SA-1", -8000)]
    entry: Entry = book.rows[Entry]["payout.returned:PR-1"]
    assert (entry.reverses, entry.reason) == ("payout.completed:PO-1", "AC04")
    assert book.results["payout.returned:PR-1"] == {"settlementId": "C-1", "state": "open"}
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (0, "open")
    assert (book.position("SA-1").payable, book.ledger()["EUR payable:SA-1"]) == (8000, -8000)
    assert "EUR cash" not in book.ledger()
    returned = book.get(Payout, "PO-1").returned
    assert returned is not None
    assert (returned.return_id, returned.reason) == ("PR-1", "AC04")
    assert book.events_of("SA-1")[-2:] == ["payout.return-booked", "payout.requested"]
    assert_books_hold(book)


def test_a_statement_is_open_by_what_came_back():
    """Of two payouts one came back: it is partially paid, and is paid anew by another payout, never by more."""
    book = paid(5000, 3000)
    book.take(payout_return("PR-1", "PO-2"))
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (5000, "partiallyPaid")
    code, detail = book.refusal(payout("PO-3", 3001, "C-1"))
    assert (code, "30.00 EUR is left" in detail) == ("overpaid-payout", True)
    book.take(payout("PO-4", 3000, "C-1"))
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (8000, "paid")
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_what_is_paid_anew_may_come_back_too():
    """Each payout by its own return."""
    book = paid(8000)
    book.take(payout_return("PR-1", "PO-1"), payout("PO-2", 8000, "C-1"), payout_return("PR-2", "PO-2"))
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (0, "open")
    book.take(payout("PO-3", 8000, "C-1"))
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)


def test_a_payout_comes_back_once():
    """A second return of it says which was the first."""
    code, detail = paid(8000).refusal(payout_return("PR-1", "PO-1"), payout_return("PR-2", "PO-1"))
    assert (code, detail) == ("wrong-state", "payoutId: payout PO-1 came back before, by PR-1")


def test_it_waits_for_its_payout():
    """By its id, and is right as soon as that is there."""
    book = paid()
    book.take(payout_return("PR-1", "PO-1"))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-payout", "payout:PO-1")
    book.take(payout("PO-1", 8000, "C-1"))
    assert not book.waiting
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (0, "open")
    assert_books_hold(book)


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_an_account_that_is_to_be_closed_stays_open_until_it_is_paid_anew(in_one_batch):
    """It is payable again, so nothing closes before the next payout."""
    book = paid(5000)
    book.take(
        command("close", "SA-1"),
        payout_return("PR-1", "PO-1"),
        payout("PO-2", 5000, "C-1"),
        batch=None if in_one_batch else 1,
    )
    assert book.state("SA-1") == "pendingClose"
    book.take(payout("PO-3", 3000, "C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_money_that_came_back_to_a_closed_account_is_not_lost():
    """It is parked and says which account to reopen; replayed then it is booked, paid anew, and the account closes."""
    book = paid(8000)
    code, detail = book.refusal(command("close", "SA-1"), payout_return("PR-1", "PO-1"))
    assert (code, detail) == (
        "account-closed",
        "payoutId (of payout PO-1): account SA-1 is closed; reopen it, and replay this",
    )
    book.refused.clear()
    book.take(command("reopen", "SA-1"), payout_return("PR-1", "PO-1"), command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payout("PO-2", 8000, "C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_a_suspended_partners_payout_comes_back():
    """It has happened."""
    book = paid(8000)
    book.take(command("suspend", "SA-1"), payout_return("PR-1", "PO-1"))
    assert book.position("SA-1").payable == 8000
    assert_books_hold(book)
