"""Goodwill is credit that nobody paid: it covers what any credit covers, and is spent like any other."""

import pytest

from domain.payments.model import Payment
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    command,
    credit_note,
    grant,
    line,
    order,
    partner,
    payment,
    refund,
)

INV1 = "INV-000000001"


def test_goodwill_covers_what_is_open():
    """7.00 of an invoice of 10.00; what is granted beyond it is credit, which the next invoice consumes."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), grant("C-1", 700))
    assert book.invoice(1).remaining_amount == 300
    assert book.postings("credit.grant:C-1") == [
        ("goodwill", 700),
        ("receivable:BA-1", -700),
        ("unapplied:BA-1", -700),
        ("unapplied:BA-1", 700),
    ]
    assert book.results["credit.grant:C-1"] == {"billNos": [INV1]}
    assert book.events_of("BA-1")[-3:] == ["credit.granted", "payment.allocated", "invoice.partially-paid"]
    book.take(grant("C-2", 500))
    assert book.position("BA-1").unapplied == 200
    book.take(order("O-2", line("5")))
    assert book.invoice(2).remaining_amount == 300
    assert book.ledger() == {"EUR goodwill": 1200, "EUR receivable:BA-1": 300, "EUR revenue": -1500}
    assert_books_hold(book)


def test_goodwill_covers_first_what_is_recoverable():
    """3.00 went back without credit: of 5.00 that covers, before the invoice, as much."""
    book = LedgerBook()
    book.take(billing(), refund("R-1", 300, late=True), order("O-1", line("10")), grant("C-1", 500))
    assert (book.position("BA-1").recoverable, book.invoice(1).remaining_amount) == (0, 800)
    assert book.last_allocation().recovered == 300
    assert_books_hold(book)


def test_the_oldest_credit_is_consumed_first():
    """By its own time, whatever it is: the goodwill of the 21st, then the payment of the 22nd."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 500), grant("C-1", 300, at="2026-11-21"), order("O-1", line("4")))
    assert [book.get(Payment, id_).unapplied for id_ in ("credit~C-1", "P-1")] == [0, 400]
    assert_books_hold(book)


def test_a_partner_has_its_share_of_what_goodwill_covers():
    """The customer owes it no more, whoever bears it: that is us."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("10", "0", "SA-1")), grant("C-1", 500))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (400, 400)
    assert_books_hold(book)


def test_a_note_makes_goodwill_credit_again():
    """What it covered of the invoice is credit of the account as it was, or is given back."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), grant("C-1", 1000), credit_note("N-1", INV1, {"1": 400}))
    assert book.get(Payment, "credit~C-1").unapplied == 400
    book.take(credit_note("N-2", INV1, {"1": 100}, excess="refund"), refund("R-1", 100, note="N-2"))
    book.take(refund("R-2", 400))
    assert (book.position("BA-1").unapplied, book.position("BA-1").refundable) == (0, 0)
    assert_books_hold(book)


def test_what_waits_for_credit_goes_on():
    """A refund that found too little is taken of the goodwill."""
    book = LedgerBook()
    book.take(billing(), refund("R-1", 300))
    assert book.waiting
    book.take(grant("C-1", 300))
    assert not book.waiting
    assert book.position("BA-1").unapplied == 0
    assert_books_hold(book)


def test_goodwill_closes_an_account_that_is_to_be_closed():
    """It settles the last of it."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), command("close"), grant("C-1", 1000))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (grant("C-1", 1, currency="USD"), "currency-mismatch"),
        (grant("C-1", 1, account="SA-1"), "invalid"),
        (grant("C-1", 1, account="BA-2"), "account-closed"),
    ],
)
def test_what_is_refused(fact, code):
    """Another currency, a partner's account, a closed one: the field is named."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), partner(), command("close", "BA-2"))
    found, detail = book.refusal(fact)
    assert (found, detail.startswith("billingAccount.id: ")) == (code, True)


def test_goodwill_waits_for_its_account():
    """By its id."""
    book = LedgerBook()
    book.take(grant("C-1", 100))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-account", "account:BA-1")
