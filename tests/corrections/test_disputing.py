"""What a customer disputes is not due until that is settled, by a credit note of what is approved, or withdrawn."""

import pytest

from domain.corrections.disputing import DISPUTES_MAX
from domain.corrections.model import CreditNote, Dispute
from domain.ledger.entries import Entry
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    command,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    reversal,
    settlement_of,
    withdrawal,
    write_off,
)

INV1 = "INV-000000001"


def disputed(*, nets: dict[str, int] | None = None) -> LedgerBook:
    """120.00 on BA-1, of which 48.00 are disputed."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2")), dispute("D-1", INV1, nets or {"1": 4000}))
    return book


def test_a_dispute_of_a_part_and_its_end():
    """72.00 of 120.00 are due while it is open; of 48.00 then 24.00 are approved, and 96.00 are due."""
    book = disputed()
    invoice = book.invoice(1)
    assert (invoice.state, invoice.remaining_amount, invoice.undisputed) == ("onHold", 12000, 7200)
    assert book.events_of("BA-1")[-2:] == ["dispute.opened", "invoice.state-changed"]
    assert "dispute.open:D-1" not in book.rows[Entry]
    assert_books_hold(book)
    book.take(settlement_of("D-1", {"1": 2000}))
    invoice = book.invoice(1)
    assert (invoice.state, invoice.remaining_amount, invoice.undisputed) == ("new", 9600, 9600)
    note = book.get(CreditNote, "D-1")
    assert (note.tax_included_amount, note.bill_no) == (2400, "CN-000000001")
    assert book.results["dispute.settle:D-1"] == {"state": "settled", "creditNote": "CN-000000001"}
    ended = book.get(Dispute, "D-1")
    assert (ended.state, ended.amount, ended.lines[0].approved, ended.credit_note) == (
        "settled",
        4800,
        2000,
        "CN-000000001",
    )
    assert book.events_of("BA-1")[-4:] == [
        "credit-note.issued",
        "invoice.credited",
        "dispute.settled",
        "invoice.state-changed",
    ]
    assert_books_hold(book)


def test_a_payment_covers_what_is_not_disputed():
    """One that names no invoice stops at the dispute; one that names it goes on."""
    book = disputed()
    book.take(payment("P-1", 10000))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (4800, 2800)
    assert book.position("BA-1").oldest_due is None
    assert_books_hold(book)
    book.take(payment("P-2", 1000, [INV1]))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (3800, 2800)
    assert_books_hold(book)


def test_a_payment_goes_past_what_is_disputed():
    """The next invoice is not."""
    book = disputed(nets={"1": 10000})
    book.take(order("O-2", line("10")), payment("P-1", 500))
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [12000, 500]
    assert_books_hold(book)


def test_credit_covers_what_is_withdrawn():
    """What was disputed is due again, in the same fact."""
    book = disputed()
    book.take(payment("P-1", 10000), withdrawal("D-1"))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.state, book.position("BA-1").unapplied) == (2000, "partiallyPaid", 0)
    assert book.get(Dispute, "D-1").state == "withdrawn"
    assert book.results["dispute.withdraw:D-1"] == {"state": "withdrawn"}
    assert book.position("BA-1").oldest_due == invoice.payment_due_date
    assert_books_hold(book)


def test_nothing_is_approved():
    """No note is issued, and all of it is due."""
    book = disputed()
    book.take(settlement_of("D-1"))
    assert book.results["dispute.settle:D-1"] == {"state": "settled"}
    assert (book.invoice(1).undisputed, book.invoice(1).state) == (12000, "new")
    assert not book.documents[CreditNote]
    assert_books_hold(book)


def test_a_dispute_of_what_is_paid():
    """What is approved is the customer's credit, and covers its next invoice."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2")), payment("P-1", 12000), dispute("D-1", INV1, {"1": 5000}))
    assert book.invoice(1).state == "onHold"
    book.take(settlement_of("D-1", {"1": 5000}))
    assert (book.invoice(1).state, book.position("BA-1").unapplied) == ("settled", 6000)
    assert_books_hold(book)


def test_two_disputes_of_one_line():
    """The second is about what the first leaves, with the tax that a note of it would have."""
    book = disputed()
    code, detail = book.refusal(dispute("D-2", INV1, {"1": 6001}))
    assert (code, "60.00 EUR is left of it" in detail) == ("over-credited", True), detail
    book.take(dispute("D-3", INV1, {"1": 6000}))
    assert book.invoice(1).undisputed == 0
    book.take(withdrawal("D-3"))
    assert (book.invoice(1).state, book.invoice(1).undisputed) == ("onHold", 7200)
    assert_books_hold(book)


def test_the_share_of_a_partner_is_not_touched_until_something_is_approved():
    """Of 80.00, 16.00 are for what is approved."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0", "SA-1")), dispute("D-1", INV1, {"1": 4000}))
    assert book.position("SA-1").payable == 8000
    book.take(settlement_of("D-1", {"1": 2000}))
    assert book.position("SA-1").payable == 6400
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "said"),
    [
        (dispute("D-2", INV1, {"2": 100}), "invalid", "items.0.lineId"),
        (dispute("D-2", INV1, {"1": -100}), "invalid", "of its sign"),
        (dispute("D-2", INV1, {"1": 100}, currency="USD"), "currency-mismatch", "EUR"),
        (dispute("D-2", INV1, {"1": 6001}), "over-credited", "items.0"),
        (settlement_of("D-1", {"1": 4001}), "over-credited", "40.01 EUR, but 40.00 EUR is disputed of line 1"),
        (settlement_of("D-1", {"2": 1}), "invalid", "approved.0.lineId"),
        (credit_note("D-1", INV1, {"1": 1}), "conflicting-duplicate", "dispute D-1"),
        (dispute("N-1", INV1, {"1": 1}), "conflicting-duplicate", "credit note N-1"),
    ],
)
def test_what_is_refused(fact, code, said):
    """Without any effect."""
    book = disputed()
    book.take(order("O-2", line("1")), credit_note("N-1", "INV-000000002"))
    found, detail = book.refusal(fact)
    assert (found, said in detail) == (code, True), detail
    assert_books_hold(book)


@pytest.mark.parametrize("first", [settlement_of("D-1", {"1": 100}), settlement_of("D-1"), withdrawal("D-1")])
@pytest.mark.parametrize("then", [settlement_of("D-1", {"1": 200}), withdrawal("D-1", at="2026-11-28T09:00:00")])
def test_what_is_ended_ends_once(first, then):
    """What comes after that is `wrong-state`."""
    book = disputed()
    book.take_as("first", first)
    book.take_as("then", then)
    assert book.refused["then"].code == "wrong-state"


def test_no_more_than_so_many():
    """Of one invoice, at a time."""
    book = disputed()
    book.take(*(dispute(f"M-{n}", INV1, {"1": 1}) for n in range(DISPUTES_MAX - 1)))
    assert book.refusal(dispute("M-last", INV1, {"1": 1}))[0] == "wrong-state"


def test_the_end_of_a_dispute_waits_for_it():
    """It comes ahead of it."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), settlement_of("D-1", {"1": 100}))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-dispute", "dispute:D-1")
    book.take(dispute("D-1", INV1, {"1": 200}))
    assert book.get(Dispute, "D-1").state == "settled"
    assert_books_hold(book)


def test_an_open_dispute_keeps_its_account():
    """All is paid, yet what will be approved is the customer's."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), payment("P-1", 10000), dispute("D-1", INV1, {"1": 4000}))
    book.take(command("close", "BA-1"))
    assert book.state("BA-1") == "pendingClose"
    book.take(settlement_of("D-1"))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_what_is_disputed_may_be_written_off():
    """And is recovered, or credited, all the same."""
    book = disputed()
    book.take(write_off("W-1", INV1))
    assert (book.invoice(1).remaining_amount, book.invoice(1).state) == (0, "onHold")
    book.take(settlement_of("D-1", {"1": 4000}))
    assert book.invoice(1).corrected.written_off == 7200
    assert_books_hold(book)


def test_credit_that_names_what_is_disputed_covers_it_again():
    """P-2 names the invoice and is credit when the debit that covered it bounces; older credit names nothing."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), payment("P-1", 10000, [INV1]))
    book.take(dispute("D-1", INV1, {"1": 10000}), payment("P-0", 500, at="2026-11-20T08:00:00"))
    book.take(payment("P-2", 3000, [INV1]), reversal("X-1", "P-1"))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.undisputed, book.position("BA-1").unapplied) == (7000, 0, 500)
    assert_books_hold(book)
