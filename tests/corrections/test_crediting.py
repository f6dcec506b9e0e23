"""A credit note takes back of an invoice by line and tax group, and what it covers becomes credit or is reserved."""

from datetime import date
from decimal import Decimal

import pytest

from domain.corrections.model import CreditNote
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    closing,
    command,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    payout,
    settlement_of,
)

INV1 = "INV-000000001"
INV2 = "INV-000000002"


def billed(*prices: str, rate: str = "0.2") -> LedgerBook:
    """A book with an invoice of these lines, at one rate, on BA-1."""
    book = LedgerBook()
    book.take(billing(), order("O-1", *[line(price, rate) for price in prices]))
    return book


def notes(book: LedgerBook) -> list[CreditNote]:
    """The credit notes, as they were issued."""
    return sorted(book.documents[CreditNote].values(), key=lambda note: note.bill_no)


def credited(book: LedgerBook, **lines: int) -> CreditNote:
    """The note of these nets by line (`l1=100`) of the first invoice."""
    number = len(notes(book)) + 1
    book.take(credit_note(f"N-{number}", INV1, {name[1:]: net for name, net in lines.items()}))
    assert_books_hold(book)
    return notes(book)[-1]


# -- tax


def test_two_notes_of_equal_lines_add_up_to_the_invoice():
    """The second takes what the group's rounding left: 13.67 and 13.66, not 13.67 twice."""
    book = billed("68.33", "68.33")
    first, second = credited(book, l1=6833), credited(book, l2=6833)
    assert [(note.tax_item[0].tax_amount, note.tax_included_amount) for note in (first, second)] == [
        (1367, 8200),
        (1366, 8199),
    ]
    assert book.invoice(1).corrected.credited == 16399 == book.invoice(1).tax_included_amount


def test_a_line_is_credited_in_parts():
    """Six notes of four lines, the last of them in three parts: what is left to credit never is a cent off."""
    book = billed("68.33", "68.33", "68.33", "68.33")
    taxes, left = [], []
    for name, net in (("l1", 6833), ("l2", 6833), ("l3", 6833), ("l4", 1367), ("l4", 2233), ("l4", 3233)):
        taxes.append(credited(book, **{name: net}).tax_item[0].tax_amount)
        left.append(book.invoice(1).billed)
    assert taxes == [1367, 1366, 1367, 273, 447, 646]
    assert left == [24598, 16399, 8199, 6559, 3879, 0]


def test_the_second_note_takes_the_rest():
    """769.00 at 20 %: a note of 726.86, then one of all that is left, which is what was not said."""
    book = billed("769.00")
    first = credited(book, l1=72686)
    book.take(credit_note("N-2", INV1))
    second = notes(book)[-1]
    assert (first.tax_item[0].tax_amount, first.tax_included_amount) == (14537, 87223)
    assert (second.tax_excluded_amount, second.tax_item[0].tax_amount, second.tax_included_amount) == (4214, 843, 5057)
    assert book.invoice(1).billed == 0
    assert_books_hold(book)


def test_a_note_of_what_was_not_used():
    """Of 200.00 for thirty days at 25 % a customer has used one day: 193.33 and 48.33 tax come back."""
    note = credited(billed("200", rate="0.25"), l1=19333)
    assert (note.tax_item[0].tax_amount, note.tax_included_amount) == (4833, 24166)


def test_a_note_has_the_rate_that_was_invoiced():
    """The rate is another one by now, as the next invoice shows; the first is credited at its own."""
    book = billed("100")
    book.take(order("O-2", line("100", "0.21")))
    note = credited(book, l1=10000)
    assert (note.tax_item[0].rate, note.tax_item[0].tax_amount, note.tax_included_amount) == (
        Decimal("0.2"),
        2000,
        12000,
    )


def test_a_note_has_its_lines_category_and_rate():
    """Each group of the invoice has its own tax on the note, at the rate that was invoiced."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2"), line("50", "0.1", tax="AA"), line("10", "0", tax="Z")))
    note = credited(book, l1=2500, l2=5000, l3=1000)
    assert [(i.category, i.rate, i.tax_excluded_amount, i.tax_amount) for i in note.tax_item] == [
        ("S", Decimal("0.2"), 2500, 500),
        ("AA", Decimal("0.1"), 5000, 500),
        ("Z", Decimal(0), 1000, 0),
    ]
    assert book.postings("credit-note.issue:N-1") == [
        ("receivable:BA-1", -9500),
        ("revenue", 8500),
        ("tax AA 0.1", 500),
        ("tax S 0.2", 500),
    ]


# -- what is open, what is allocated


def test_what_is_open_is_covered_first():
    """Of a note of 48.00 on an invoice of 120.00 of which 100.00 is paid, 28.00 is the payment's credit again."""
    book = billed("100")
    book.take(payment("P-1", 10000))
    note = credited(book, l1=4000)
    assert (note.covered, [(part.payment_id, part.amount) for part in note.deallocated]) == (2000, [("P-1", 2800)])
    invoice, position = book.invoice(1), book.position("BA-1")
    assert (invoice.remaining_amount, invoice.state, invoice.allocated) == (0, "settled", 7200)
    assert (position.receivable, position.unapplied) == (0, 2800)
    assert book.postings("credit-note.issue:N-1") == [
        ("receivable:BA-1", -4800),
        ("receivable:BA-1", 2800),
        ("revenue", 4000),
        ("tax S 0.2", 800),
        ("unapplied:BA-1", -2800),
    ]


def test_the_latest_allocation_is_undone_first():
    """Two payments of an invoice: the later one is credit again, and of the earlier one what is still missing."""
    book = billed("100", rate="0")
    book.take(payment("P-1", 6000), payment("P-2", 4000))
    note = credited(book, l1=5000)
    assert [(part.payment_id, part.amount) for part in note.deallocated] == [("P-2", 4000), ("P-1", 1000)]


def test_credit_of_a_note_covers_what_is_open():
    """What a note makes credit again covers the account's other invoice in the same fact, and is told."""
    book = billed("100", rate="0")
    book.take(payment("P-1", 10000), order("O-2", line("30")), credit_note("N-1", INV1, {"1": 5000}))
    assert (book.invoice(2).remaining_amount, book.position("BA-1").unapplied) == (0, 2000)
    assert book.events_of("BA-1")[-4:] == [
        "credit-note.issued",
        "invoice.credited",
        "payment.allocated",
        "invoice.paid",
    ]
    assert_books_hold(book)


def test_a_refund_is_reserved():
    """With excess `refund` the money is refundable: the other invoice stays open, and so does the account."""
    book = billed("100", rate="0")
    book.take(payment("P-1", 10000), order("O-2", line("30")), credit_note("N-1", INV1, {"1": 5000}, excess="refund"))
    position = book.position("BA-1")
    assert (position.refundable, position.unapplied, position.receivable) == (5000, 0, 3000)
    [note] = notes(book)
    assert (note.refundable, [(part.payment_id, part.amount) for part in note.reserved]) == (5000, [("P-1", 5000)])
    assert_books_hold(book)


def test_a_payment_may_cover_an_invoice_again():
    """What a note frees covers the invoice that the payment had covered in part: a row for each cause."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("50")), order("O-2", line("100")), payment("P-1", 9000))
    assert book.invoice(2).remaining_amount == 6000
    book.take(credit_note("N-1", INV1))
    assert [(part.payment_id, part.amount) for part in book.invoice(2).applied_payment] == [
        ("P-1", 4000),
        ("P-1", 5000),
    ]
    assert book.invoice(2).remaining_amount == 1000
    assert_books_hold(book)


def test_a_note_of_an_open_invoice_leaves_it_new():
    """Nothing is allocated, something remains: the state is what it was."""
    book = billed("100")
    note = credited(book, l1=2500)
    assert (note.covered, book.invoice(1).state, book.invoice(1).remaining_amount) == (3000, "new", 9000)
    assert book.position("BA-1").oldest_due is not None
    credited(book, l1=7500)
    assert (book.invoice(1).state, book.position("BA-1").oldest_due) == ("settled", None)


def test_an_invoice_with_a_negative_line_is_credited_in_full():
    """A negative line is taken back towards zero, and the note has the invoice's total."""
    book = billed("100", "-20")
    book.take(credit_note("N-1", INV1))
    [note] = notes(book)
    assert ([item.tax_excluded_amount for item in note.lines], note.tax_included_amount) == ([10000, -2000], 9600)
    assert_books_hold(book)


# -- partners


def test_a_share_accrued_at_the_invoice_is_taken_back():
    """Of 25.00 net the partner loses its 80 %, we our 20 %, and the tax office its 5.00."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0.2", "SA-1")), credit_note("N-1", INV1, {"1": 2500}))
    assert book.postings("credit-note.issue:N-1") == [
        ("commission", 500),
        ("payable:SA-1", 2000),
        ("receivable:BA-1", -3000),
        ("tax S 0.2", 500),
    ]
    accrual = book.accruals("SA-1")[-1]
    assert (accrual.id, accrual.amount, accrual.date) == (
        "INV-000000001/1/credit-note.issue/N-1",
        -2000,
        date(2026, 11, 23),
    )
    assert_books_hold(book)


def test_a_share_is_taken_back_in_parts_to_the_cent():
    """7.50 of 10.00, taken back by notes of 3.34, 3.33 and 3.33: 2.51, 2.49 and 2.50."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.75"), order("O-1", line("10", "0", "SA-1")))
    for net in (334, 333, 333):
        credited(book, l1=net)
    assert [accrual.amount for accrual in book.accruals("SA-1")] == [750, -251, -249, -250]


def test_a_withheld_share_follows_what_is_left_and_paid():
    """Half paid, then 20.00 of 100.00 credited: 64.00 is left of the share, 40.00 of it released."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0.2", "SA-1")), payment("P-1", 6000))
    credited(book, l1=2000)
    [part] = [line.on_behalf_of for line in book.invoice(1).lines]
    assert part is not None
    assert (part.share, part.accrued) == (6400, 4000)
    position = book.position("SA-1")
    assert (position.payable, position.withheld, position.withholding) == (4000, 2400, 1)
    assert (book.ledger()["EUR commission"], book.invoice(1).remaining_amount) == (-1600, 3600)


def test_what_was_released_is_taken_back():
    """Paid in full and credited in full: nothing is left to the partner, nothing withheld, and all is credit."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0.2", "SA-1")), payment("P-1", 12000))
    book.take(credit_note("N-1", INV1))
    position = book.position("SA-1")
    assert (position.payable, position.withheld, position.withholding) == (0, 0, 0)
    assert book.position("BA-1").unapplied == 12000
    assert_books_hold(book)


def test_a_partner_that_was_paid_owes_it_back():
    """80.00 paid out, then credited in full: the next statement is carried forward, the one after brings it."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0", "SA-1")), closing("C-1"))
    book.take(payout("PO-1", 8000, "C-1"), credit_note("N-1", INV1), closing("C-2"))
    assert book.position("SA-1").payable == -8000
    assert (book.settlement("C-2").total, book.settlement("C-2").state) == (-8000, "carriedForward")
    book.take(order("O-2", line("125", "0", "SA-1")), closing("C-3"))
    assert (book.settlement("C-3").brought_forward, book.settlement("C-3").total) == (-8000, 2000)
    assert_books_hold(book)


def test_a_note_closes_a_partner_whose_last_share_goes_with_it():
    """It was to be closed, and waited for two payments: the note that leaves nothing of either share closes it."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"))
    book.take(*[order(f"O-{n}", line("100", "0.2", "SA-1"), line("10")) for n in (1, 2)], command("close", "SA-1"))
    book.take(credit_note("N-1", INV1, {"1": 10000}))
    assert (book.state("SA-1"), book.position("SA-1").withheld) == ("pendingClose", 8000)
    book.take(credit_note("N-2", INV2, {"1": 9999}))
    assert (book.state("SA-1"), book.position("SA-1").withheld) == ("pendingClose", 1)
    book.take(credit_note("N-3", INV2, {"1": 1}))
    assert (book.state("SA-1"), book.position("SA-1").withheld) == ("closed", 0)
    assert book.events_of("SA-1")[-1] == "account.closed"
    assert book.position("BA-1").receivable == 2000
    assert_books_hold(book)


def test_the_end_of_a_dispute_closes_a_partner_too():
    """Its note is a note like any other."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("100", "0.2", "SA-1")), command("close", "SA-1"))
    book.take(dispute("D-1", INV1, {"1": 10000}), settlement_of("D-1", {"1": 10000}))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


# -- refused, and waiting


def test_never_more_than_the_line():
    """No tolerance: 40.01 of a line of which 40.00 are left is refused, and nothing happens."""
    book = billed("100")
    credited(book, l1=6000)
    code, detail = book.refusal(credit_note("N-more", INV1, {"1": 4001}))
    assert code == "over-credited"
    assert "lines.0.taxExcludedAmount" in detail
    assert "40.01 EUR, but line 1 is 100.00 EUR, and 40.00 EUR is left of it" in detail
    assert credited(book, l1=4000).tax_included_amount == 4800


def test_never_more_than_the_invoice():
    """The positive lines alone are more than the invoice's total: the negative one goes with them."""
    code, _ = billed("100", "-20").refusal(credit_note("N-1", INV1, {"1": 10000}))
    assert code == "over-credited"


def test_a_total_below_zero():
    """A note of the negative line alone would be an invoice."""
    code, detail = billed("100", "-20").refusal(credit_note("N-1", INV1, {"2": -2000}))
    assert (code, "-24.00 EUR" in detail) == ("over-credited", True)


def test_nothing_is_left():
    """The second note of all that is left finds nothing."""
    book = billed("100")
    book.take(credit_note("N-1", INV1))
    assert book.refusal(credit_note("N-2", INV1))[0] == "over-credited"


@pytest.mark.parametrize(
    ("lines", "currency", "code", "said"),
    [
        ({"7": 100}, "EUR", "invalid", "lines.0.lineId: invoice INV-000000001 has no line 7"),
        (
            {"1": -100},
            "EUR",
            "invalid",
            "line 1 is 100.00 EUR, and 100.00 EUR is left of it: send an amount of its",
        ),
        (
            {"2": 100},
            "EUR",
            "invalid",
            "line 2 is -20.00 EUR, and -20.00 EUR is left of it: send an amount of its",
        ),
        ({"1": 100}, "USD", "currency-mismatch", "is in EUR, not in USD"),
    ],
)
def test_a_line_that_does_not_fit(lines: dict[str, int], currency: str, code: str, said: str):
    """The path is named, and what would be right."""
    refused, detail = billed("100", "-20").refusal(credit_note("N-1", INV1, lines, currency=currency))
    assert refused == code
    assert said in detail


def test_a_note_waits_for_its_invoice():
    """Ahead of the order it waits, and is right as soon as the invoice is there."""
    book = LedgerBook()
    book.take(billing(), credit_note("N-1", INV1))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-invoice", f"invoice:{INV1}")
    book.take(order("O-1", line("10")))
    assert not book.waiting
    assert book.invoice(1).state == "settled"
    assert_books_hold(book)
