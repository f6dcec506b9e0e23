"""A payment that comes back is taken of its credit, of what is reserved of it, of what it covers; the rest is owed."""

import pytest

from domain.corrections.model import CreditNote
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    closing,
    command,
    credit_note,
    line,
    order,
    partner,
    payment,
    payout,
    refund,
    reversal,
)

INV1 = "INV-000000001"


def paid(*prices: str, amount: int, rate: str = "0") -> LedgerBook:
    """A book with an invoice on BA-1 for each price, and a payment P-1."""
    book = LedgerBook()
    orders = [order(f"O-{n}", line(price, rate)) for n, price in enumerate(prices, 1)]
    book.take(billing(), *orders, payment("P-1", amount))
    return book


def test_a_debit_that_bounces():
    """The invoice is open again, due when it was; no cash is left of it, and the bank has its fee."""
    book = paid("100", amount=12000, rate="0.2")
    due = book.invoice(1).payment_due_date
    book.take(reversal("X-1", "P-1", fee=350))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.state, invoice.payment_due_date) == (12000, "new", due)
    assert book.postings("payment.reversed:X-1") == [
        ("bankCharges", 350),
        ("cash", -12350),
        ("receivable:BA-1", 12000),
        ("unapplied:BA-1", -12000),
        ("unapplied:BA-1", 12000),
    ]
    assert book.results["payment.reversed:X-1"] == {"amount": 12000, "recoverable": 0}
    assert book.ledger()["EUR cash"] == -350
    assert book.position("BA-1").oldest_due == due
    assert book.events_of("BA-1")[-2:] == ["payment.reversal-booked", "invoice.reopened"]
    assert_books_hold(book)


def test_a_part_of_a_payment_of_two_invoices():
    """150.00 covered 120.00 and 30.00 of 60.00; of 50.00 that come back the later 30.00 go first, then 20.00."""
    book = paid("120", "60", amount=15000)
    book.take(reversal("X-1", "P-1", 5000))
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [2000, 6000]
    assert_books_hold(book)
    book.take(reversal("X-2", "P-1"))
    assert book.results["payment.reversed:X-2"]["amount"] == 10000
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [12000, 6000]
    assert_books_hold(book)


def test_credit_goes_first_then_what_is_reserved():
    """2.00 of credit, 3.00 that a note reserved, and 1.00 of what it still covers."""
    book = paid("10", amount=1200)
    book.take(credit_note("N-1", INV1, {"1": 300}, excess="refund"), reversal("X-1", "P-1", 600))
    assert book.postings("payment.reversed:X-1") == [
        ("cash", -600),
        ("receivable:BA-1", 100),
        ("refundable:BA-1", 300),
        ("unapplied:BA-1", -100),
        ("unapplied:BA-1", 300),
    ]
    assert book.get(CreditNote, "N-1").reserved == ()
    assert book.invoice(1).remaining_amount == 100
    assert_books_hold(book)


def test_a_chargeback_after_a_refund():
    """The customer got it twice: what was given back before is recoverable."""
    book = paid("10", amount=1000)
    book.take(credit_note("N-1", INV1, excess="refund"), refund("R-1", 1000, note="N-1"), reversal("X-1", "P-1"))
    assert book.results["payment.reversed:X-1"] == {"amount": 1000, "recoverable": 1000}
    assert book.postings("payment.reversed:X-1") == [("cash", -1000), ("recoverable:BA-1", 1000)]
    assert book.invoice(1).remaining_amount == 0
    assert_books_hold(book)


def test_the_latest_note_gives_back_what_it_reserved_first():
    """Two notes have reserved of one payment."""
    book = paid("10", amount=1000)
    book.take(credit_note("N-1", INV1, {"1": 200}, excess="refund"))
    book.booked_at = book.booked_at.replace(hour=13)
    book.take(credit_note("N-2", INV1, {"1": 200}, excess="refund"), reversal("X-1", "P-1", 300))
    assert [book.get(CreditNote, note).refundable for note in ("N-1", "N-2")] == [100, 0]
    assert_books_hold(book)


def test_the_partner_waits_again():
    """What was released by the payment is withheld again, by a negative accrual dated by the reversal."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0", "SA-1")), payment("P-1", 10000))
    book.take(reversal("X-1", "P-1"))
    position = book.position("SA-1")
    assert (position.payable, position.withheld, position.withholding) == (0, 8000, 1)
    accrual = book.accruals("SA-1")[-1]
    assert (accrual.amount, str(accrual.date)) == (-8000, "2026-11-25")
    assert_books_hold(book)


def test_a_reversal_ahead_of_its_payment():
    """It waits for the payment by its id, and is right as soon as that is there."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), reversal("X-1", "P-1"))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-payment", "payment:P-1")
    book.take(payment("P-1", 1000))
    assert not book.waiting
    assert book.invoice(1).remaining_amount == 1000
    assert_books_hold(book)


def test_more_than_the_payment_waits_and_is_booked_when_it_is_late():
    """The money has moved: what the payment never was, the customer owes."""
    book = paid("10", amount=1000)
    book.take(reversal("X-1", "P-1", 1500))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.again) == ("insufficient-credit", True)
    book.take(reversal("X-2", "P-1", 1500, late=True))
    assert book.results["payment.reversed:X-2"] == {"amount": 1500, "recoverable": 500}
    assert_books_hold(book)


def test_a_payment_comes_back_once():
    """A second reversal of all of it has nothing to reverse."""
    book = paid("10", amount=1000)
    book.take(reversal("X-1", "P-1"))
    assert book.refusal(reversal("X-2", "P-1"))[0] == "wrong-state"


@pytest.mark.parametrize(
    ("fact", "field"),
    [
        (reversal("X-1", "P-1", 1, currency="USD"), "amount"),
        (reversal("X-1", "P-1", fee=1, currency="USD"), "fee"),
    ],
)
def test_another_currency(fact, field):
    """The field is named."""
    code, detail = paid("10", amount=1000).refusal(fact)
    assert (code, detail.startswith(f"{field}: ")) == ("currency-mismatch", True)


@pytest.mark.parametrize("fact", [reversal("X-1", "P-1"), refund("R-1", 1000, of="P-1"), credit_note("N-1", INV1)])
def test_a_partner_that_is_closed_is_reopened_first(fact):
    """What it was paid for would be taken back of an account that nobody looks at: the fact is parked, and says so."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("10", "0", "SA-1")), payment("P-1", 1000))
    book.take(closing("C-1"), payout("PO-1", 800, "C-1"), command("close", "SA-1"))
    assert book.state("SA-1") == "closed"
    code, detail = book.refusal(fact)
    assert (code, "SA-1" in detail) == ("account-closed", True)
    assert_books_hold(book)
