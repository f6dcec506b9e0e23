"""A bill on demand: of the charges that are due, and of those of the accounts that it pays for."""

from datetime import date
from decimal import Decimal
from unittest.mock import patch

import pytest

from domain.billing.model import BillOnDemand, Charge
from domain.corrections.model import CreditNote, Dispute
from domain.days.model import BegunDay
from domain.invoicing.model import Invoice, Period
from domain.ledger.entries import Entry
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    charge,
    closing,
    command,
    credit_note,
    demand,
    dispute,
    line,
    moment,
    order,
    partner,
    payment,
    relation,
    subscription,
    update,
    withdrawal,
)

INV1, INV2, INV3 = (f"INV-{n:09d}" for n in (1, 2, 3))
CN1, CN2 = "CN-000000001", "CN-000000002"


def billed(book, charge_id):
    """Where a charge is billed, and how much of it."""
    found = book.get(Charge, charge_id).billed
    return None if found is None else (found.bill_no, found.line_id, found.credit_note, found.amount)


def lines_of(book, number):
    """The lines of an invoice: id, net, tax, charge."""
    return [
        (one.id, one.tax_excluded_amount, one.tax_amount, one.origin and one.origin.charge_id)
        for one in book.invoice(number).lines
    ]


def test_what_is_due_is_one_bill():
    """39.90 and 10.00 up to the 30th, with the tax of each group; what is due in December is not on it."""
    book = LedgerBook()
    book.take(
        billing(),
        subscription("S-1", start="2026-12-01"),
        charge("C-1", line("39.90", "0.2"), covers=("2026-11-01", "2026-12-01"), subscription="S-1"),
        charge("C-2", line("10.00", "0.07"), on="2026-11-30"),
        charge("C-3", line("5.00", "0.2"), on="2026-12-01"),
        demand("D-1"),
    )
    assert book.results["charge.add:C-1"] == {"net": 3990}
    assert book.results["bill.demand:D-1"] == {"state": "done", "billNo": INV1, "creditNotes": []}
    invoice = book.invoice(1)
    assert lines_of(book, 1) == [("1", 3990, 798, "C-1"), ("2", 1000, 70, "C-2")]
    assert (invoice.order_id, invoice.cause, invoice.tax_point_date) == (None, "bill.demand:D-1", date(2026, 11, 30))
    assert (invoice.bill_date, invoice.payment_due_date) == (date(2026, 11, 22), date(2026, 12, 22))
    assert invoice.billing is not None
    assert invoice.billing.run_type == "offCycle"
    assert invoice.billing.period == Period(moment("2026-11-01"), moment("2026-12-01"))
    first = invoice.lines[0].origin
    assert first is not None
    assert (first.account, first.subscription_id, first.period) == ("BA-1", "S-1", invoice.billing.period)
    assert book.postings("bill.demand:D-1") == [
        ("receivable:BA-1", 5858),
        ("revenue", -4990),
        ("tax S 0.07", -70),
        ("tax S 0.2", -798),
    ]
    assert [billed(book, id_) for id_ in ("C-1", "C-2", "C-3")] == [
        (INV1, "1", None, 3990),
        (INV1, "2", None, 1000),
        None,
    ]
    assert book.events_of("BA-1")[-2:] == ["invoice.issued", "bill-on-demand.state-changed"]
    assert_books_hold(book)


def test_a_bill_is_the_same_again():
    """What was billed is not billed again: the second demand makes nothing, takes no number, has no entry."""
    book = LedgerBook()
    book.take(billing(), charge("C-1", line("10")), demand("D-1"), demand("D-2"))
    assert book.results["bill.demand:D-2"] == {"state": "done", "billNo": None, "creditNotes": []}
    assert len(book.documents[Invoice]) == 1
    assert "bill.demand:D-2" not in book.rows[Entry]
    assert book.rows[BillOnDemand]["D-2"].bill_no is None
    assert_books_hold(book)


def test_without_a_date_the_newest_day_counts():
    """Without any, the books are at the 22nd. Once the 23rd has begun, what is due then is billed."""
    book = LedgerBook()
    book.take(billing(), *(charge(f"C-{n}", line("1"), on=f"2026-11-2{n}") for n in (2, 3, 4)))
    book.take(demand("D-1", on=None))
    assert [billed(book, f"C-{n}") for n in (2, 3, 4)] == [(INV1, "1", None, 100), None, None]
    assert book.rows[BillOnDemand]["D-1"].billing_date == date(2026, 11, 22)
    book.take(BegunDay(date(2026, 11, 23)), demand("D-2", on=None))
    assert [billed(book, f"C-{n}") for n in (3, 4)] == [(INV2, "1", None, 100), None]
    assert book.rows[BillOnDemand]["D-2"].billing_date == date(2026, 11, 23)
    assert_books_hold(book)


def test_a_charge_waits_for_its_account_partner_subscription_and_invoice():
    """Each of the four may come later."""
    book = LedgerBook()
    late = charge("C-1", line("-1", behalf="SA-1"), corrects=(INV1, "1"), subscription="S-1")
    book.take(late)
    assert book.waiting["charge.add:C-1"][1].waits_for == "account:BA-1"
    book.take(billing())
    assert book.waiting["charge.add:C-1"][1].waits_for == "account:SA-1"
    book.take(partner())
    assert (book.waiting["charge.add:C-1"][1].code, book.waiting["charge.add:C-1"][1].waits_for) == (
        "unknown-subscription",
        "subscription:S-1",
    )
    book.take(subscription("S-1", start="2026-12-01"))
    assert book.waiting["charge.add:C-1"][1].waits_for == f"invoice:{INV1}"
    book.take(order("O-1", line("5", behalf="SA-1")))
    assert "charge.add:C-1" in book.applied
    assert_books_hold(book)


def test_a_charge_for_a_subscription_is_its_account_s():
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), subscription("S-1", start="2026-12-01"))
    assert book.refusal(charge("C-1", line("1"), account="BA-2", subscription="S-1")) == (
        "invalid",
        "billingAccount.id: BA-2, but subscription S-1 is BA-1's, and what is charged for it is charged to that",
    )
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (charge("C", line("-1", "0.2"), corrects=(INV1, "1")), "invalid"),
        (charge("C", line("-1", tax="Z"), corrects=(INV1, "1")), "invalid"),
        (charge("C", line("-1"), corrects=(INV1, "9")), "invalid"),
        (charge("C", line("1"), corrects=(INV1, "1")), "invalid"),
        (charge("C", line("0"), corrects=(INV1, "1")), "invalid"),
        (charge("C", line("-1", behalf="SA-1"), corrects=(INV1, "1")), "invalid"),
        (charge("C", line("-1"), corrects=(INV1, "2")), "invalid"),
        (charge("C", line("1"), account="SA-1"), "invalid"),
        (charge("C", line("1"), account="BA-USD"), "currency-mismatch"),
        (charge("C", line("-1"), corrects=(INV1, "1"), account="BA-CLOSED"), "account-closed"),
    ],
)
def test_what_can_not_be_charged(wrong, code):
    """What takes back a line has its tax, its partner, and the other sign; the account is one of the currency."""
    book = LedgerBook()
    book.take(billing(), partner(), billing("BA-USD", currency="USD"), billing("BA-CLOSED"))
    book.take(command("close", "BA-CLOSED"), order("O-1", line("5"), line("5", behalf="SA-1")))
    assert book.refusal(wrong)[0] == code
    assert_books_hold(book)


def test_a_payer_gets_the_bill_of_those_that_it_pays_for():
    """Of two accounts' charges the payer's one bill has both, each line with its account; theirs alone have nothing."""
    book = LedgerBook()
    book.take(
        billing("BA-P"),
        billing("BA-M", relationships=(relation("payer", "BA-P"),)),
        billing("BA-1", relationships=(relation("payer", "BA-M"),)),
        billing("BA-X", relationships=(relation("payer", "BA-P", until="2026-11-30"),)),
        charge("C-1", line("1"), account="BA-1"),
        charge("C-2", line("2"), account="BA-P"),
        charge("C-3", line("4"), account="BA-X"),
        demand("D-1", account="BA-1"),
        demand("D-2", account="BA-P"),
        demand("D-3", account="BA-X"),
    )
    assert book.results["bill.demand:D-1"]["billNo"] is None
    assert lines_of(book, 1) == [("1", 100, 0, "C-1"), ("2", 200, 0, "C-2")]
    assert [one.origin and one.origin.account for one in book.invoice(1).lines] == ["BA-1", "BA-P"]
    assert book.invoice(1).billing_account == "BA-P"
    # From the 30th on BA-X pays for itself.
    assert (book.invoice(2).billing_account, lines_of(book, 2)) == ("BA-X", [("1", 400, 0, "C-3")])
    assert_books_hold(book)


def test_a_bill_is_paid_by_credit_and_accrues_to_partners():
    """Like an order's invoice: the share accrues on the billing date, 5.00 of credit pays."""
    book = LedgerBook()
    book.take(billing(), partner(), payment("P-1", 500), charge("C-1", line("10", "0.2", "SA-1")), demand("D-1"))
    assert book.invoice(1).remaining_amount == 700
    [accrual] = book.accruals("SA-1")
    assert (accrual.amount, accrual.date, accrual.order_id) == (800, date(2026, 11, 30), None)
    book.take(closing("S-1", until="2026-11-30"))
    assert book.settlement("S-1").total == 800
    assert_books_hold(book)


def test_a_line_is_taken_back_on_the_bill():
    """Of 10.00, 4.00 is taken back on a bill with 6.00 more: it is owed on the first, less on the second."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10", "0.2")))
    book.take(charge("C-1", line("-4", "0.2"), corrects=(INV1, "1")), charge("C-2", line("6", "0.2")), demand("D-1"))
    assert lines_of(book, 2) == [("1", -400, -80, "C-1"), ("2", 600, 120, "C-2")]
    assert book.invoice(2).tax_included_amount == 240
    [corrected] = book.invoice(1).corrected.lines
    assert (corrected.credited, corrected.taken_back) == (0, 400)
    assert book.invoice(1).remaining_amount == 1200
    # 6.00 are left to be credited.
    assert book.refusal(credit_note("N-1", INV1, {"1": 601}))[0] == "over-credited"
    assert book.refusal(dispute("X-1", INV1, {"1": 601}))[0] == "over-credited"
    book.take(credit_note("N-2", INV1))
    assert book.get(CreditNote, "N-2").tax_included_amount == 720
    assert_books_hold(book)


def test_no_more_is_taken_back_than_is_left():
    """Of 10.00, 7.00 is credited: of a charge of -4.00 the line takes 3.00, of the next nothing; both are done with."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), credit_note("N-1", INV1, {"1": 700}))
    book.take(
        charge("C-1", line("-2", quantity="2"), corrects=(INV1, "1")),
        charge("C-2", line("-1"), corrects=(INV1, "1")),
        charge("C-3", line("20")),
        demand("D-1"),
    )
    assert lines_of(book, 2) == [("1", -300, 0, "C-1"), ("2", 2000, 0, "C-3")]
    first = book.invoice(2).lines[0]
    assert (first.quantity, first.unit_price) == (Decimal(1), Decimal("-3.00"))
    assert billed(book, "C-2") == (None, None, None, 0)
    assert_books_hold(book)


def test_a_bill_below_zero_becomes_credit_notes():
    """-4.00 and -3.00 of two invoices beside 6.00: a note of each, and a bill of 6.00 that their credit pays."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), order("O-2", line("10")), payment("P-1", 2000))
    book.take(
        charge("C-1", line("-4"), corrects=(INV1, "1")),
        charge("C-2", line("-3"), corrects=(INV2, "1")),
        charge("C-3", line("6")),
        demand("D-1"),
    )
    assert book.results["bill.demand:D-1"] == {"state": "done", "billNo": INV3, "creditNotes": [CN1, CN2]}
    note = book.get(CreditNote, f"bill.demand:D-1:{INV1}")
    assert (note.tax_included_amount, note.excess, note.cause) == (400, "credit", "bill.demand:D-1")
    assert book.invoice(3).remaining_amount == 0
    assert book.position("BA-1").unapplied == 100
    assert billed(book, "C-1") == (None, None, CN1, -400)
    assert_books_hold(book)


def test_only_notes_where_nothing_else_is_due():
    """No bill, no bill number, but the note's."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10", "0.2")), charge("C-1", line("-4", "0.2"), corrects=(INV1, "1")))
    book.take(demand("D-1"))
    assert book.results["bill.demand:D-1"] == {"state": "done", "billNo": None, "creditNotes": [CN1]}
    assert book.invoice(1).remaining_amount == 720
    assert_books_hold(book)


def test_what_is_taken_back_goes_to_its_invoices_account():
    """The order was billed to BA-1; its payer now is BA-2, whose bill has nothing of it: the note is BA-1's."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), order("O-1", line("10")), payment("P-1", 1000))
    book.take(update("BA-1", relationships=[relation("payer", "BA-2")]))
    book.take(charge("C-1", line("-4"), corrects=(INV1, "1")), charge("C-2", line("6")), demand("D-1", account="BA-2"))
    assert lines_of(book, 2) == [("1", 600, 0, "C-2")]
    assert (book.invoice(2).billing_account, book.position("BA-1").unapplied) == ("BA-2", 400)
    assert_books_hold(book)


def test_what_is_negative_waits_for_a_bill_that_it_fits_in():
    """-5.00, -3.00 and -1.00 beside 4.00: the first waits, the others fit; the next bill has room for it."""
    book = LedgerBook()
    book.take(
        billing(),
        *(charge(f"C-{n}", line(price)) for n, price in enumerate(("-5", "-3", "-1", "4"), 1)),
        demand("D-1"),
    )
    assert lines_of(book, 1) == [("1", -300, 0, "C-2"), ("2", -100, 0, "C-3"), ("3", 400, 0, "C-4")]
    book.take(demand("D-2"))
    assert book.results["bill.demand:D-2"]["billNo"] is None
    book.take(charge("C-5", line("5")), demand("D-3"))
    assert lines_of(book, 2) == [("1", -500, 0, "C-1"), ("2", 500, 0, "C-5")]
    assert book.invoice(2).state == "settled"
    assert_books_hold(book)


def through(book: LedgerBook, account: str = "BA-1") -> tuple[str | None, list[str]]:
    """The date through which an account's charges are billed, and those that were left behind it."""
    day = book.position(account).charges_through
    behind = [one.id for one in book.documents[Charge].values() if one.behind and one.billing_account == account]
    return None if day is None else day.isoformat(), sorted(behind)


def test_what_is_left_behind_says_so_until_it_is_billed():
    """A bill notes through which date it has billed, and what it could not; so does a charge that comes too late."""
    book = LedgerBook()
    book.take(billing(), charge("C-1", line("5"), on="2026-11-21"), charge("C-2", line("-9"), on="2026-11-20"))
    assert through(book) == (None, [])
    book.take(charge("C-3", line("1"), on="2026-11-22"), demand("D-1", on="2026-11-21"))
    assert (through(book), billed(book, "C-2")) == (("2026-11-21", ["C-2"]), None)
    assert lines_of(book, 1) == [("1", 500, 0, "C-1")]
    assert_books_hold(book)
    book.take(charge("C-4", line("7"), on="2026-11-21"), charge("C-5", line("1"), on="2026-11-23"))
    assert through(book) == ("2026-11-21", ["C-2", "C-4"])
    book.take(demand("D-2", on="2026-11-20"))  # an earlier date, by which nothing is due but what fits in nowhere
    assert through(book) == ("2026-11-21", ["C-2", "C-4"])
    book.take(demand("D-3", on="2026-11-21"))
    assert lines_of(book, 2) == [("1", 700, 0, "C-4")]
    assert through(book) == ("2026-11-21", ["C-2"])
    book.take(charge("C-6", line("9"), on="2026-11-01"), demand("D-4", on="2026-11-22"))
    assert lines_of(book, 3) == [("1", 900, 0, "C-6"), ("2", -900, 0, "C-2"), ("3", 100, 0, "C-3")]
    assert through(book) == ("2026-11-22", [])
    assert_books_hold(book)


def test_a_part_of_a_bill_has_billed_through_the_day_before_its_last_charge():
    """Three lines a bill: of the day of the third there may be more; what comes to it between the parts is billed."""
    book = LedgerBook(rest_last=True)
    with patch("domain.billing.gathering.LINES_MAX", 3), patch("domain.billing.composing.LINES_MAX", 3):
        book.take(billing(), *(charge(f"C-{n}", line("1"), on=f"2026-11-{20 + n // 2}") for n in range(5)))
        between = (charge("B-1", line("1"), on="2026-11-20"), charge("B-2", line("1"), on="2026-11-21"))
        book.take(demand("D-1"), *between, batch=1)
    assert through(book) == ("2026-11-30", [])
    assert [[charge_id for *_, charge_id in lines_of(book, n)] for n in (1, 2, 3)] == [
        ["C-0", "C-1", "C-2"],
        ["B-1", "B-2", "C-3"],
        ["C-4"],
    ]
    assert_books_hold(book)


def test_accounts_that_another_pays_for_are_billed_through_dates_of_their_own():
    """One that nothing was charged to is not touched; a demand of its payer bills it later."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2", relationships=(relation("payer", "BA-1"),)))
    book.take(charge("C-1", line("5"), on="2026-11-20"), demand("D-1", on="2026-11-20"))
    assert (through(book), through(book, "BA-2")) == (("2026-11-20", []), (None, []))
    book.take(charge("C-2", line("5"), account="BA-2", on="2026-11-19"), demand("D-2", on="2026-11-22"))
    assert (through(book), through(book, "BA-2")) == (("2026-11-20", []), ("2026-11-22", []))
    assert lines_of(book, 2) == [("1", 500, 0, "C-2")]
    assert_books_hold(book)


def test_a_discount_is_taken_back_too():
    """A line of -2.00 is taken back by +2.00; where its invoice is another account's, it waits: no note is negative."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), order("O-1", line("10"), line("-2")))
    book.take(charge("C-1", line("5"), corrects=(INV1, "2")), demand("D-1"))
    assert lines_of(book, 2) == [("1", 200, 0, "C-1")]
    book.take(order("O-2", line("10"), line("-2")), charge("C-2", line("2"), corrects=(INV3, "2"), account="BA-2"))
    book.take(demand("D-2", account="BA-2"))
    assert billed(book, "C-2") is None
    assert_books_hold(book)


def test_a_line_that_takes_back_may_be_taken_back():
    """Of 10.00 a bill takes back 6.00 (and has 20.00), the next one takes that back: 16.80 + 7.20 are owed on them.

    No note credits more of the bill than is owed on it: 16.80, not the 24.00 that are left of its lines. The 7.20 are
    credited where they are owed. Then nothing is owed but the 7.20 of the order that a bill took back.
    """
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10", "0.2")))
    book.take(charge("C-1", line("-6", "0.2"), corrects=(INV1, "1")), charge("C-2", line("20", "0.2")), demand("D-1"))
    book.take(dispute("X-1", INV2, {"1": -600, "2": 2000}))
    book.take(charge("C-3", line("6", "0.2"), corrects=(INV2, "1")), demand("D-2"))
    assert [book.invoice(n).tax_included_amount for n in (2, 3)] == [1680, 720]
    assert book.refusal(credit_note("N-1", INV2))[0] == "over-credited"
    assert book.get(Dispute, "X-1").amount == 1680
    book.take(withdrawal("X-1"), credit_note("N-2", INV2, {"2": 1400}), credit_note("N-3", INV3))
    book.take(credit_note("N-4", INV1))
    assert [book.invoice(n).remaining_amount for n in (1, 2, 3)] == [720, 0, 0]
    assert_books_hold(book)


def test_tax_that_bills_took_none_of_is_the_notes():
    """Of ten lines of 0.02 with 0.04 of tax nine are taken back by bills, each with no tax: the note has all of it."""
    book = LedgerBook()
    book.take(billing(), order("O-1", *(line("0.02", "0.2") for _ in range(10))))
    for n in range(1, 10):
        took = charge(f"C-{n}", line("-0.02", "0.2"), corrects=(INV1, str(n)))
        book.take(took, charge(f"E-{n}", line("1")), demand(f"D-{n}"))
    book.take(credit_note("N-1", INV1))
    note = book.get(CreditNote, "N-1")
    assert (note.tax_excluded_amount, note.tax_included_amount) == (2, 6)
    assert_books_hold(book)


def test_tax_that_bills_took_none_of_is_shared_by_the_lines_that_are_left():
    """Of those ten lines eight are taken back: the two that are left have 0.02 of tax each."""
    book = LedgerBook()
    book.take(billing(), order("O-1", *(line("0.02", "0.2") for _ in range(10))))
    for n in range(1, 9):
        took = charge(f"C-{n}", line("-0.02", "0.2"), corrects=(INV1, str(n)))
        book.take(took, charge(f"E-{n}", line("1")), demand(f"D-{n}"))
    book.take(credit_note("N-1", INV1))
    note = book.get(CreditNote, "N-1")
    assert [(one.tax_excluded_amount, one.tax_amount) for one in note.lines] == [(2, 2), (2, 2)]
    assert_books_hold(book)


@pytest.mark.parametrize("on", ["invoice", "payment"])
def test_what_is_taken_back_is_taken_back_of_the_partner(on):
    """By the terms of the line: 80 % of 4.00, whatever the partner's terms are now."""
    book = LedgerBook()
    book.take(billing(), partner(on=on), order("O-1", line("10", behalf="SA-1")), payment("P-1", 1000))
    book.take(update("SA-1", type_="SettlementAccount", terms={"share": "0.5", "on": "invoice"}))
    book.take(charge("C-1", line("-4", behalf="SA-1"), corrects=(INV1, "1")), charge("C-2", line("6")), demand("D-1"))
    share = book.invoice(2).lines[0].on_behalf_of
    assert share is not None
    assert (share.share, share.partner_share, share.accrue_on) == (-320, Decimal("0.8"), on)
    book.take(payment("P-2", 200))
    assert book.position("SA-1").payable == 480
    assert_books_hold(book)


def test_a_partner_that_is_being_closed_loses_what_is_taken_back():
    """8.00 of 10.00 are the partner's, and open. All of it is taken back by a bill, and the partner is closed by that.

    What is sold for it anew is not billed.
    """
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("10", behalf="SA-1")), charge("C-0", line("1", behalf="SA-1")))
    book.take(command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    assert book.refusal(demand("D-0"))[0] == "account-closed"
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("10", behalf="SA-1")))
    book.take(command("close", "SA-1"))
    took = charge("C-1", line("-10", behalf="SA-1"), corrects=(INV1, "1"))
    book.take(took, charge("C-2", line("12")), demand("D-1"))
    assert lines_of(book, 2) == [("1", -1000, 0, "C-1"), ("2", 1200, 0, "C-2")]
    assert book.position("SA-1").payable == 0
    assert book.refusal(charge("C-3", line("1", behalf="SA-1")))[0] == "account-closed"
    book.take(closing("S-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_what_waits_for_ever_can_be_ended():
    """As the page says: by a charge of the other amount, or by a note of what is left of the invoice."""
    book = LedgerBook()
    book.take(billing(), charge("C-1", line("-5", "0.2")), command("close", "BA-1"), demand("D-1"))
    assert book.state("BA-1") == "pendingClose"
    book.take(charge("C-2", line("5", "0.2")), demand("D-2"))
    assert book.state("BA-1") == "closed"
    book.take(billing("BA-2"), order("O-1", line("10"), line("-9"), account="BA-2"))
    book.take(charge("C-3", line("-10"), account="BA-2", corrects=(INV2, "1")), demand("D-3", account="BA-2"))
    book.take(command("close", "BA-2"))
    assert billed(book, "C-3") is None
    book.take(credit_note("N-1", INV2), demand("D-4", account="BA-2"))
    assert book.state("BA-2") == "closed"
    assert_books_hold(book)


def test_a_long_bill_goes_on_in_another():
    """With three lines a bill: seven charges are three bills, each in a transaction of its own."""
    book = LedgerBook()
    with patch("domain.billing.gathering.LINES_MAX", 3), patch("domain.billing.composing.LINES_MAX", 3):
        book.take(billing(), *(charge(f"C-{n}", line("1")) for n in range(7)), demand("D-1"))
    assert book.results["bill.demand:D-1"] == {"state": "inProgress", "billNo": INV1, "creditNotes": []}
    assert book.results["bill.continue:D-1/1"]["billNo"] == INV2
    assert book.results["bill.continue:D-1/2"] == {"state": "done", "billNo": INV3, "creditNotes": []}
    assert [len(book.invoice(n).lines) for n in (1, 2, 3)] == [3, 3, 1]
    assert_books_hold(book)


def test_what_waits_does_not_hold_up_what_is_behind_it():
    """Four negative charges that fit nowhere, and a bill holds three lines: what comes after them is billed."""
    book = LedgerBook()
    with patch("domain.billing.gathering.LINES_MAX", 3), patch("domain.billing.composing.LINES_MAX", 3):
        book.take(billing(), *(charge(f"C-{n}", line("-9"), on="2026-11-01") for n in range(4)))
        book.take(*(charge(f"D-{n}", line("1")) for n in range(4)), demand("D-1"))
    assert [len(book.invoice(n).lines) for n in (1, 2)] == [3, 1]
    assert_books_hold(book)


@pytest.mark.parametrize("limit", ["LINES_MAX", "INVOICES_MAX"])
def test_what_can_not_become_notes_holds_up_nothing_behind_it(limit):
    """Seven corrections of closed accounts' invoices, and a part looks at three: what comes after them is billed.

    Once the accounts are open again, the next demand bills those too.
    """
    book = LedgerBook()
    book.take(billing())
    for n in range(1, 8):
        who = f"BA-C{n}"
        book.take(billing(who), order(f"O-{n}", line("5"), account=who), payment(f"P-{n}", 500, account=who))
        book.take(command("close", who), charge(f"C-{n}", line("-1"), on="2026-11-01", corrects=(f"INV-{n:09d}", "1")))
    book.take(*(charge(f"D-{n}", line("1")) for n in range(2)))
    with patch("domain.billing.composing.LINES_MAX", 3), patch(f"domain.billing.gathering.{limit}", 3):
        book.take(demand("D-1"))
        assert [book.rows[BillOnDemand][f"D-1{part}"].state for part in ("", "/1")] == ["inProgress"] * 2
        assert book.rows[BillOnDemand]["D-1/2"].state == "done"
        assert lines_of(book, 8) == [("1", 100, 0, "D-0"), ("2", 100, 0, "D-1")]
        assert [billed(book, f"C-{n}") for n in range(1, 8)] == [None] * 7
        assert_books_hold(book)
        book.take(*(command("reopen", f"BA-C{n}") for n in range(1, 8)), demand("D-2"))
    assert [billed(book, f"C-{n}") for n in range(1, 8)] == [(None, None, f"CN-{n:09d}", -100) for n in range(1, 8)]
    assert_books_hold(book)


def test_a_charge_keeps_its_account_from_being_closed():
    """It is pendingClose until the charge is billed and that is paid."""
    book = LedgerBook()
    book.take(billing(), charge("C-1", line("10")), command("close", "BA-1"))
    assert book.state("BA-1") == "pendingClose"
    book.take(charge("C-2", line("1")), demand("D-1"))
    assert book.state("BA-1") == "pendingClose"
    book.take(payment("P-1", 1100))
    assert book.state("BA-1") == "closed"
    assert book.refusal(demand("D-2"))[0] == "account-closed"
    assert_books_hold(book)


def test_a_bill_may_close_accounts():
    """One whose last charge its payer's bill has; and one that a bill of zero settles."""
    book = LedgerBook()
    book.take(billing("BA-P"), billing("BA-1", relationships=(relation("payer", "BA-P"),)))
    book.take(charge("C-1", line("10")), command("close", "BA-1"), demand("D-1", account="BA-P"))
    assert book.state("BA-1") == "closed"
    book.take(billing("BA-0"), charge("C-0", line("0"), account="BA-0"), command("close", "BA-0"))
    book.take(demand("D-0", account="BA-0"))
    assert book.state("BA-0") == "closed"
    assert_books_hold(book)


def test_a_suspended_account_is_billed():
    """It goes on to owe what it was charged."""
    book = LedgerBook()
    book.take(billing(), command("suspend", "BA-1"), charge("C-1", line("10")), demand("D-1"))
    assert book.invoice(1).tax_included_amount == 1000
    assert_books_hold(book)


def test_a_bill_beyond_the_credit_limit_says_so():
    """As an order does, and once."""
    book = LedgerBook()
    book.take(billing(creditLimit=500), charge("C-1", line("6")), demand("D-1"))
    assert "account.credit-limit-exceeded" in book.events_of("BA-1")
    assert_books_hold(book)


def test_the_id_of_a_note_is_not_taken_twice():
    """A sender has used the id that the bill's note would have: nothing is billed, and it says so."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10")), credit_note(f"bill.demand:D-1:{INV1}", INV1, {"1": 100}))
    book.take(charge("C-1", line("-4"), corrects=(INV1, "1")))
    assert book.refusal(demand("D-1"))[0] == "conflicting-duplicate"
    assert billed(book, "C-1") is None
    assert_books_hold(book)


def test_a_correction_of_a_bill_names_its_cause():
    """An entry that reverses a bill's names `bill.demand:<id>`."""
    book = LedgerBook()
    book.take(billing(), charge("C-1", line("10")), demand("D-1"), credit_note("N-1", INV1))
    assert book.rows[Entry]["credit-note.issue:N-1"].reverses == "bill.demand:D-1"
    assert_books_hold(book)
