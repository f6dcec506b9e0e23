"""A refund is taken of what a note reserved, of a payment, or of credit; what there is too little of is waited for."""

import pytest

from domain.corrections.model import CompletedRefund, CreditNote
from domain.payments.model import Recovery
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import LedgerBook, billing, command, credit_note, line, order, partner, payment, refund

INV1 = "INV-000000001"


def paid(*prices: str, amount: int) -> LedgerBook:
    """A book with an untaxed invoice on BA-1 for each price, and a payment P-1."""
    book = LedgerBook()
    orders = [order(f"O-{n}", line(price)) for n, price in enumerate(prices, 1)]
    book.take(billing(), *orders, payment("P-1", amount))
    return book


def test_what_a_note_reserved_goes_back():
    """Debit refundable, credit cash: no invoice is touched, and the note has less reserved."""
    book = paid("100", amount=10000)
    book.take(credit_note("N-1", INV1, {"1": 5000}, excess="refund"), refund("R-1", 3000, note="N-1"))
    assert book.postings("refund.completed:R-1") == [("cash", -3000), ("refundable:BA-1", 3000)]
    note = book.get(CreditNote, "N-1")
    assert [(part.payment_id, part.amount) for part in note.reserved] == [("P-1", 2000)]
    assert book.results["refund.completed:R-1"] == {"recoverable": 0}
    assert_books_hold(book)
    book.take(refund("R-2", 2000, note="N-1"))
    assert book.position("BA-1").refundable == 0
    assert_books_hold(book)


def test_credit_goes_back_oldest_first():
    """Of two payments without an invoice, the older one is gone first."""
    book = LedgerBook()
    book.take(billing(), payment("P-2", 500, at="2026-11-23"), payment("P-1", 500, at="2026-11-22"), refund("R-1", 700))
    assert book.postings("refund.completed:R-1") == [("cash", -700), ("unapplied:BA-1", 700)]
    assert book.position("BA-1").unapplied == 300
    assert_books_hold(book)


def test_a_payment_s_credit_goes_first_and_then_what_it_covers_latest_first():
    """150.00 covered 120.00 and 30.00 of 60.00; 50.00 go back: the 30.00, then 20.00, and both invoices are open."""
    book = paid("120", "60", amount=15000)
    book.take(refund("R-1", 5000, of="P-1"))
    assert [(book.invoice(n).remaining_amount, book.invoice(n).state) for n in (1, 2)] == [
        (2000, "partiallyPaid"),
        (6000, "new"),
    ]
    assert book.postings("refund.completed:R-1") == [
        ("cash", -5000),
        ("receivable:BA-1", 5000),
        ("unapplied:BA-1", -5000),
        ("unapplied:BA-1", 5000),
    ]
    assert book.events_of("BA-1")[-3:] == ["refund.booked", "invoice.reopened", "invoice.reopened"]
    assert book.position("BA-1").oldest_due is not None
    assert_books_hold(book)


def test_the_order_of_names_is_that_in_which_invoices_were_covered():
    """The payment named the second invoice first, so the first one was covered last, and is open again first."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), order("O-2", line("10")))
    book.take(payment("P-1", 2000, ["INV-000000002"]), refund("R-1", 1000, of="P-1"))
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [1000, 0]


def test_a_share_that_was_released_is_withheld_again():
    """The customer got its money back, so the partner waits for it again."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0", "SA-1")), payment("P-1", 10000))
    assert book.position("SA-1").payable == 8000
    book.take(refund("R-1", 4000, of="P-1"))
    position = book.position("SA-1")
    assert (position.payable, position.withheld, position.withholding) == (4800, 3200, 1)
    assert book.accruals("SA-1")[-1].id == "INV-000000001/1/P-1/refund.completed/R-1"
    assert_books_hold(book)


def test_other_credit_covers_what_is_open_again():
    """What a refund opens again is covered by the account's other credit, in the same fact."""
    book = paid("100", amount=10000)
    book.take(payment("P-2", 3000), refund("R-1", 4000, of="P-1"))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (1000, 0)
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "waits_for"),
    [
        (refund("R-1", 100, note="N-9"), "unknown-credit-note", "credit-note:N-9"),
        (refund("R-1", 100, of="P-9"), "unknown-payment", "payment:P-9"),
        (refund("R-1", 501), "insufficient-credit", "credit:BA-1"),
        (refund("R-1", 501, of="P-1"), "insufficient-credit", "credit:BA-1"),
    ],
)
def test_what_a_refund_waits_for(fact, code, waits_for):
    """The note, the payment, or more credit."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 500), fact)
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for, why.again) == (code, waits_for, code == "insufficient-credit")


def test_a_refund_ahead_of_its_note_is_right_when_it_comes():
    """It waits for the note by its id; of what the note makes credit it would be taken, too."""
    book = paid("100", amount=10000)
    book.take(refund("R-1", 1000, note="N-1"), credit_note("N-1", INV1, {"1": 1000}, excess="refund"))
    assert not book.waiting
    assert book.position("BA-1").refundable == 0
    assert_books_hold(book)


def test_more_credit_lets_a_refund_go_on():
    """The second payment makes enough of it."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 500), refund("R-1", 800), payment("P-2", 500))
    assert not book.waiting
    assert book.position("BA-1").unapplied == 200


def test_a_late_refund_is_booked_all_the_same():
    """The money has moved: what there was no credit for, the customer owes; its next payment covers that first."""
    book = paid("10", amount=1500)
    book.take(refund("R-1", 800, late=True))
    assert book.results["refund.completed:R-1"] == {"recoverable": 300}
    assert book.postings("refund.completed:R-1") == [
        ("cash", -800),
        ("recoverable:BA-1", 300),
        ("unapplied:BA-1", 500),
    ]
    assert_books_hold(book)
    book.take(order("O-2", line("5")), payment("P-2", 400))
    assert book.position("BA-1").recoverable == 0
    assert book.invoice(2).remaining_amount == 400
    assert book.last_allocation().recovered == 300
    assert_books_hold(book)


def test_a_late_refund_of_a_payment_takes_all_of_it():
    """More than the payment was: its credit, all that it covered, and the rest is recoverable."""
    book = paid("10", amount=1500)
    book.take(refund("R-1", 2000, of="P-1", late=True))
    assert (book.invoice(1).state, book.position("BA-1").recoverable) == ("new", 500)
    assert_books_hold(book)


def test_what_a_note_frees_covers_what_is_recoverable_first():
    """Credit of a note, like that of a payment."""
    book = paid("100", amount=10000)
    book.take(refund("R-1", 800, late=True), credit_note("N-1", INV1, {"1": 1000}))
    position = book.position("BA-1")
    assert (position.recoverable, position.unapplied) == (0, 200)
    assert_books_hold(book)


def test_an_account_with_something_recoverable_is_not_closed():
    """It owes us; once that is covered, it is."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 100), refund("R-1", 300, late=True), command("close"))
    assert book.state("BA-1") == "pendingClose"
    book.take(payment("P-2", 200))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_the_last_credit_of_an_account_goes_back_and_closes_it():
    """An account with credit can be settled: it is given back."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 100), command("close"), refund("R-1", 100))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


@pytest.mark.parametrize(
    "fact", [refund("R-1", 100, account="BA-2", note="N-1"), refund("R-1", 100, account="BA-2", of="P-1")]
)
def test_of_another_account_it_is_refused(fact: CompletedRefund):
    """A note or a payment of somebody else's."""
    book = paid("100", amount=10000)
    book.take(billing("BA-2"), credit_note("N-1", INV1, {"1": 1000}, excess="refund"))
    code, detail = book.refusal(fact)
    assert (code, "of another account than BA-2" in detail) == ("invalid", True)


def test_what_is_recoverable_is_covered_once():
    """A note frees two payments: the older one covers some of it, the other one the rest, and no more."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")))
    book.take(payment("P-1", 5000, at="2026-11-22"), payment("P-2", 5000, at="2026-11-23"))
    book.take(refund("R-1", 5500, late=True), credit_note("N-1", INV1, {"1": 6000}))
    position = book.position("BA-1")
    assert (position.recoverable, position.unapplied) == (0, 500)
    assert [row.amount for row in book.rows[Recovery].values()] == [1000, 4500]
    assert_books_hold(book)


def test_other_credit_covers_what_is_recoverable_at_once():
    """A late refund of one payment takes more than it was; the account's other credit covers that in the same fact."""
    book = paid("10", amount=1000)
    book.take(payment("P-2", 300), refund("R-1", 1500, of="P-1", late=True))
    position = book.position("BA-1")
    assert (position.recoverable, position.unapplied, position.receivable) == (200, 0, 1000)
    assert_books_hold(book)
