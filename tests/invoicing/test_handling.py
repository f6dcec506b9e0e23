"""What is said of an invoice that moves no money: that the customer accepted it, and that it was sent."""

from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import LedgerBook, billing, line, order, payment, reversal, sending, validation

INV1 = "INV-000000001"


def test_an_invoice_is_validated_then_sent():
    """Each changes its state, once; what comes twice changes what is noted, and tells nothing."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), validation(INV1, "the customer's portal"))
    assert book.invoice(1).state == "validated"
    book.take(sending(INV1, "e-mail"), validation(INV1))
    invoice = book.invoice(1)
    assert (invoice.state, invoice.handled.medium, invoice.handled.validated_by) == ("sent", "e-mail", None)
    assert book.events_of("BA-1") == ["invoice.issued", *["invoice.state-changed"] * 2]
    assert_books_hold(book)


def test_money_says_more_than_that():
    """A payment settles it; when it bounces the invoice is one that was sent."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), sending(INV1), payment("P-1", 400))
    assert book.invoice(1).state == "partiallyPaid"
    book.take(payment("P-2", 600))
    assert book.invoice(1).state == "settled"
    book.take(reversal("X-1", "P-1"), reversal("X-2", "P-2"))
    assert book.invoice(1).state == "sent"
    assert_books_hold(book)


def test_it_waits_for_its_invoice():
    """The mail is out before the order is here."""
    book = LedgerBook()
    book.take(billing(), sending(INV1))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-invoice", f"invoice:{INV1}")
    book.take(order("O-1", line("10")))
    assert book.invoice(1).state == "sent"
