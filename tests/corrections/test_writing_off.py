"""What remains of an invoice is given up as lost; a payment that names the invoice, or a note, recovers it."""

from dataclasses import replace

import pytest

from domain.accounts.model import Account
from domain.corrections.model import WriteOff
from domain.corrections.writing_off import WRITE_OFFS_MAX
from domain.money import Currency
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    closing,
    command,
    credit_note,
    grant,
    line,
    order,
    partner,
    payment,
    payout,
    reversal,
    write_off,
)

INV1 = "INV-000000001"
JPY = Currency("JPY", 0)


def billed(*lines, book: LedgerBook | None = None) -> LedgerBook:
    """A book with one invoice on BA-1."""
    book = book or LedgerBook()
    book.take(billing(), order("O-1", *lines))
    return book


def test_what_remains_of_a_part_paid_invoice():
    """Of 120.00 a customer has paid 30.00; 90.00 are lost, and without relief their tax is owed all the same."""
    book = billed(line("100", "0.2"))
    book.take(payment("P-1", 3000), write_off("W-1", INV1))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.state, invoice.corrected.written_off) == (0, "settled", 9000)
    assert book.postings("invoice.write-off:W-1") == [("badDebt", 9000), ("receivable:BA-1", -9000)]
    assert book.results["invoice.write-off:W-1"] == {"amount": 9000}
    assert book.rows[WriteOff]["W-1"].amount == 9000
    assert book.position("BA-1").oldest_due is None
    assert book.events_of("BA-1")[-2:] == ["invoice.written-off", "invoice.state-changed"]
    assert_books_hold(book)


def test_relief_of_the_tax():
    """Of 120.00 with 20.00 tax half is written off with relief: 10.00 of the tax is not owed."""
    book = billed(line("100", "0.2"))
    book.take(write_off("W-1", INV1, 6000, relief=True))
    assert book.postings("invoice.write-off:W-1") == [
        ("badDebt", 5000),
        ("receivable:BA-1", -6000),
        ("tax S 0.2", 1000),
    ]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("relief", "postings"),
    [
        (True, [("badDebt", 2000), ("receivable:BA-1", -12000), ("tax S 0.2", 2000), ("withheld:SA-1", 8000)]),
        (False, [("badDebt", 4000), ("receivable:BA-1", -12000), ("withheld:SA-1", 8000)]),
    ],
)
def test_the_partner_that_waits_for_the_payment_gets_nothing(relief, postings):
    """Nothing was earned, so what is withheld of its share is given up, and our loss is less by that."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0.2", "SA-1")))
    book.take(write_off("W-1", INV1, relief=relief))
    assert book.postings("invoice.write-off:W-1") == postings
    position = book.position("SA-1")
    assert (position.payable, position.withheld, position.withholding) == (0, 0, 0)
    assert_books_hold(book)


def test_the_partner_that_accrued_at_the_invoice_keeps_its_share():
    """The loss is ours."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0", "SA-1")), write_off("W-1", INV1))
    assert book.postings("invoice.write-off:W-1") == [("badDebt", 10000), ("receivable:BA-1", -10000)]
    assert book.position("SA-1").payable == 8000
    assert_books_hold(book)


def test_only_a_payment_that_names_the_invoice_recovers_it():
    """Other money is credit: the customer is not asked for what is written off."""
    book = billed(line("100", "0.2"))
    book.take(write_off("W-1", INV1, relief=True), payment("P-1", 5000))
    assert book.position("BA-1").unapplied == 5000
    assert book.invoice(1).corrected.written_off == 12000
    assert_books_hold(book)


def test_a_recovery_is_the_mirror_of_the_write_off():
    """80.00 of a share are given up; a payment of 60.00 gives half of all of it back."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0.2", "SA-1")))
    book.take(write_off("W-1", INV1, relief=True), payment("P-1", 6000, [INV1]))
    assert book.postings("payment.received:P-1") == [
        ("badDebt", -1000),
        ("cash", 6000),
        ("payable:SA-1", -4000),
        ("receivable:BA-1", -6000),
        ("receivable:BA-1", 6000),
        ("tax S 0.2", -1000),
        ("unapplied:BA-1", -6000),
        ("unapplied:BA-1", 6000),
    ]
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.state, invoice.corrected.written_off) == (0, "settled", 6000)
    assert book.position("SA-1").payable == 4000
    assert "invoice.recovered" in book.events_of("BA-1")
    assert_books_hold(book)
    book.take(payment("P-2", 7000, [INV1]))
    assert book.invoice(1).corrections is None
    assert (book.position("SA-1").payable, book.position("BA-1").unapplied) == (8000, 1000)
    assert book.ledger().get("EUR badDebt", 0) == 0
    assert_books_hold(book)


def test_the_latest_write_off_is_recovered_first():
    """The first one relieves us of tax, the second does not: 50.00 of that one are paid, then 10.00 of the first."""
    book = billed(line("100", "0.2"))
    book.take(write_off("W-1", INV1, 6000, relief=True), write_off("W-2", INV1, 5000))
    book.take(payment("P-1", 6000, [INV1]))
    invoice = book.invoice(1)
    assert [(one.write_off_id, one.amount) for one in invoice.corrected.write_offs] == [("W-1", 6000)]
    assert invoice.remaining_amount == 0
    book.take(payment("P-2", 1000, [INV1]))
    assert [(one.write_off_id, one.amount) for one in book.invoice(1).corrected.write_offs] == [("W-1", 5000)]
    assert_books_hold(book)


def test_a_payment_covers_what_is_open_before_what_is_written_off():
    """70.00 are written off of 100.00, and 40.00 come: 30.00 were open."""
    book = billed(line("100"))
    book.take(write_off("W-1", INV1, 7000), payment("P-1", 4000, [INV1]))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.corrected.written_off, invoice.allocated) == (0, 6000, 4000)
    [allocated] = invoice.applied_payment
    assert allocated.amount == 4000
    assert_books_hold(book)


def test_a_note_covers_what_is_written_off_before_what_is_allocated():
    """Of 100.00, 30.00 are paid and 70.00 written off; a note of 80.00 takes 10.00 of the payment back."""
    book = billed(line("100"))
    book.take(payment("P-1", 3000), write_off("W-1", INV1), credit_note("N-1", INV1, {"1": 8000}))
    assert book.postings("credit-note.issue:N-1") == [
        ("badDebt", -7000),
        ("receivable:BA-1", -1000),
        ("receivable:BA-1", 1000),
        ("revenue", 8000),
        ("unapplied:BA-1", -1000),
    ]
    assert book.position("BA-1").unapplied == 1000
    assert book.invoice(1).corrected.written_off == 0
    assert_books_hold(book)


def test_a_debit_that_bounces_after_the_write_off():
    """What the payment covered is open again; what was written off stays lost."""
    book = billed(line("100"))
    book.take(payment("P-1", 3000), write_off("W-1", INV1), reversal("X-1", "P-1"))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.corrected.written_off, invoice.state) == (3000, 7000, "new")
    assert_books_hold(book)


def test_credit_that_is_free_again_recovers_what_it_names():
    """P-1 names the second invoice, then the first. What a note frees of it covers what of the first was written off.

    An older payment is credit, and names nothing: it covers what is open, and that is nothing.
    """
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), order("O-2", line("50")))
    book.take(payment("P-1", 10000, ["INV-000000002", INV1]), write_off("W-1", INV1))
    book.take(payment("P-0", 700, at="2026-11-20T08:00:00"))
    book.take(credit_note("N-1", "INV-000000002"))
    assert [book.invoice(n).allocated for n in (1, 2)] == [10000, 0]
    assert book.invoice(1).corrections is None
    assert book.position("BA-1").unapplied == 700
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "said"),
    [
        (
            write_off("W-2", INV1, 10001),
            "wrong-state",
            "amount: 100.01 EUR, but 100.00 EUR remains",
        ),
        (write_off("W-2", INV1, 1, currency="USD"), "currency-mismatch", "EUR"),
    ],
)
def test_what_is_refused(fact, code, said):
    """Without any effect."""
    book = billed(line("100"))
    found, detail = book.refusal(fact)
    assert (found, said in detail) == (code, True), detail
    assert_books_hold(book)


def test_nothing_remains_to_be_written_off():
    """The second one is refused, and so is one more than may stand."""
    book = billed(line("100"))
    book.take(*(write_off(f"W-{n}", INV1, 1) for n in range(WRITE_OFFS_MAX)))
    assert book.refusal(write_off("W-last", INV1))[0] == "wrong-state"
    book.take(order("O-2", line("1")), write_off("X-1", "INV-000000002"))
    assert book.refusal(write_off("X-2", "INV-000000002"))[0] == "wrong-state"
    assert_books_hold(book)


def test_a_write_off_waits_for_its_invoice():
    """It comes ahead of the order."""
    book = LedgerBook()
    book.take(billing(), write_off("W-1", INV1))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-invoice", f"invoice:{INV1}")
    book.take(order("O-1", line("10")))
    assert book.invoice(1).corrected.written_off == 1000
    assert_books_hold(book)


def test_a_write_off_closes_an_account_that_is_to_be_closed():
    """It was the last that was open; and so it is for a partner that waited for the payment."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0", "SA-1")))
    book.take(command("close", "BA-1"), command("close", "SA-1"), write_off("W-1", INV1))
    assert (book.state("BA-1"), book.state("SA-1")) == ("closed", "closed")
    assert_books_hold(book)


def test_what_would_be_a_closed_partners_is_not_recovered():
    """It is to be reopened first, and the payment replayed."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0", "SA-1")))
    book.take(write_off("W-1", INV1), command("close", "SA-1"))
    assert book.state("SA-1") == "closed"
    code, detail = book.refusal(payment("P-1", 10000, [INV1]))
    assert (code, "SA-1" in detail) == ("account-closed", True)
    assert_books_hold(book)
    book.take(command("reopen", "SA-1"), payment("P-2", 10000, [INV1]), closing("C-1"), payout("PO-1", 8000, "C-1"))
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_a_partner_that_is_open_again_gets_its_share():
    """8.00 were given up. Credit goes past the invoice while SA-1 is closed; a payment recovers it then."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("10", "0", "SA-1")), order("O-2", line("10")))
    book.take(write_off("W-1", INV1), command("close", "SA-1"), payment("P-1", 1000, ["INV-000000002", INV1]))
    book.take(credit_note("N-1", "INV-000000002"))
    assert (book.position("BA-1").unapplied, book.invoice(1).corrected.written_off) == (1000, 1000)
    assert book.refusal(payment("P-2", 500, [INV1]))[0] == "account-closed"
    book.take(command("reopen", "SA-1"), payment("P-3", 500, [INV1]))
    assert (book.position("SA-1").payable, book.invoice(1).corrected.written_off) == (400, 500)
    assert_books_hold(book)


@pytest.mark.parametrize(
    "last",
    [
        lambda: payment("P-1", 500, account="BA-2", currency="JPY"),
        lambda: grant("G-1", 500, account="BA-2", currency="JPY"),
        lambda: write_off("W-2", INV1, 500, currency="JPY"),
    ],
    ids=["payment", "goodwill", "write-off"],
)
def test_a_partner_is_closed_when_nothing_is_withheld_any_more(last):
    """Of a share of 3, 1 is withheld for the 1,888 of 8,332 that remain; of 1,388 nothing is, and nothing accrues."""
    book = LedgerBook()
    accounts = (billing("BA-2"), partner("SA-2", "0.33333333", "payment"))
    book.take(*(replace(account, currency=JPY) for account in accounts))
    book.take(order("O-1", line("6933", "0.2"), line("10", "0.2", "SA-2"), account="BA-2", currency=JPY))
    book.take(write_off("W-1", INV1, 6444, currency="JPY"), command("close", "SA-2"))
    assert book.position("SA-2").withheld == 1
    assert book.get(Account, "SA-2").state == "pendingClose"
    book.take(last())
    assert book.get(Account, "SA-2").state == "closed"
    assert_books_hold(book)
