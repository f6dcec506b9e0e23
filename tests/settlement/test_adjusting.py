"""An adjustment is an accrual that no invoice stands behind: of either sign, on the next statement, beside lines."""

from typing import Literal

import pytest

from domain.ledger.entries import Entry
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    adjustment,
    billing,
    closing,
    command,
    credit_note,
    line,
    order,
    partner,
    payment,
    payout,
)

INV1 = "INV-000000001"


def earning(on: Literal["invoice", "payment"] = "invoice") -> LedgerBook:
    """SA-1 has a share of 80 % in 100.00, in the second line of an invoice on BA-1."""
    book = LedgerBook()
    book.take(billing(), partner(on=on))
    book.take(order("O-1", line("20", "0.2"), line("100", "0.2", "SA-1")))
    return book


@pytest.mark.parametrize(("amount", "payable"), [(1250, 9250), (-1250, 6750), (-9000, -1000)])
def test_it_is_posted_by_its_sign(amount, payable):
    """More is debited to commission and credited to payable; less the other way round, below zero if need be."""
    book = earning()
    book.take(adjustment("A-1", amount))
    assert book.postings("settlement.adjust:A-1") == [("commission", amount), ("payable:SA-1", -amount)]
    assert book.rows[Entry]["settlement.adjust:A-1"].reason == "as agreed"
    assert book.results["settlement.adjust:A-1"] == {"payable": payable}
    assert book.position("SA-1").payable == payable
    assert book.events_of("SA-1")[-1] == "settlement.adjusted"
    assert_books_hold(book)


def test_it_stands_on_the_next_statement():
    """Beside what lines accrue, by its date; one that corrects a line names its order, invoice and line."""
    book = earning()
    book.take(
        adjustment("A-1", 500, on="2026-11-20"),
        adjustment("A-2", -700, corrects=(INV1, "2"), on="2026-11-30"),
        adjustment("A-3", 100, on="2026-12-01"),
        closing("C-1", until="2026-11-30"),
    )
    statement = book.settlement("C-1")
    assert [(x.accrual_id, x.order_id, x.bill_no, x.line_id, x.amount, x.adjustment_id) for x in statement.lines] == [
        ("settlement.adjust/A-1", None, None, None, 500, "A-1"),
        (f"{INV1}/2", "O-1", INV1, "2", 8000, None),
        ("settlement.adjust/A-2", "O-1", INV1, "2", -700, "A-2"),
    ]
    assert statement.total == 7800
    book.take(closing("C-2", until="2026-12-31"))
    assert book.settlement("C-2").total == 100
    assert_books_hold(book)


def test_the_lines_own_target_stays():
    """What an adjustment corrects of a line does not count when a note takes back of it, or a payment releases it."""
    book = earning("payment")
    book.take(adjustment("A-1", -700, corrects=(INV1, "2")), payment("P-1", 7200))
    # Half of 144.00 is paid, so half of 80.00 is released.
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (4000 - 700, 4000)
    book.take(credit_note("N-1", INV1))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (-700, 0)
    assert_books_hold(book)


def test_it_waits_for_its_invoice():
    """By its number, and is right as soon as that is there."""
    book = LedgerBook()
    book.take(billing(), partner(), adjustment("A-1", 500, corrects=(INV1, "1")))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for, why.detail) == (
        "unknown-invoice",
        f"invoice:{INV1}",
        f"corrects.billNo: no invoice {INV1}",
    )
    book.take(order("O-1", line("100", "0", "SA-1")))
    assert not book.waiting
    assert book.position("SA-1").payable == 8500
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "begins"),
    [
        (adjustment("X", 1, account="BA-1"), "invalid", "settlementAccount.id: BA-1 is a BillingAccount"),
        (adjustment("X", 1, currency="USD"), "currency-mismatch", "settlementAccount.id: SA-1 is kept in EUR"),
        (adjustment("X", 1, corrects=(INV1, "9")), "invalid", f"corrects.lineId: invoice {INV1} has no line 9"),
        (adjustment("X", 1, corrects=(INV1, "1")), "invalid", "corrects.lineId: line 1 of invoice"),
        (adjustment("X", 1, corrects=(INV1, "2"), account="SA-2"), "invalid", "corrects.lineId: line 2 of invoice"),
    ],
)
def test_what_does_not_fit_is_refused(fact, code, begins):
    """Another type of account or currency; a line that is not there, that is ours, or another partner's."""
    found, detail = earning().refusal(partner("SA-2"), fact)
    assert (found, detail.startswith(begins)) == (code, True), detail


def test_a_closed_account_is_reopened_first():
    """The detail says so; then the same adjustment is booked."""
    book = LedgerBook()
    code, detail = book.refusal(partner(), command("close", "SA-1"), adjustment("A-1", 500))
    assert code == "account-closed"
    assert detail == "settlementAccount.id: account SA-1 is closed; reopen it, and replay this"
    book.take(command("reopen", "SA-1"))
    book.refused.clear()
    book.take(adjustment("A-1", 500))
    assert book.position("SA-1").payable == 500
    assert_books_hold(book)


def test_a_suspended_partner_is_adjusted():
    """As with every correction."""
    book = earning()
    book.take(command("suspend", "SA-1"), adjustment("A-1", -500))
    assert book.position("SA-1").payable == 7500
    assert_books_hold(book)


def below_zero() -> LedgerBook:
    """SA-1 was paid 80.00, and then all of it was taken back: its statement of -80.00 is carried forward."""
    book = earning()
    book.take(closing("C-1"), payout("PO-1", 8000, "C-1"), credit_note("N-1", INV1), closing("C-2"))
    statement = book.settlement("C-2")
    assert (statement.total, statement.state, book.position("SA-1").payable) == (-8000, "carriedForward", -8000)
    return book


def test_what_was_paid_out_comes_off_the_next_statement():
    """-80.00 is carried forward; the next statement, with 100.00 that accrued since, comes to 20.00."""
    book = below_zero()
    book.take(order("O-2", line("125", "0", "SA-1")), closing("C-3"))
    statement = book.settlement("C-3")
    assert (statement.brought_forward, statement.total, statement.state) == (-8000, 2000, "open")
    assert_books_hold(book)


@pytest.mark.parametrize("close_first", [True, False])
def test_a_partner_below_zero_is_settled_and_closed(close_first):
    """An adjustment of the other sign and a closing leave nothing open: it closes by itself, or by the command."""
    book = below_zero()
    close = command("close", "SA-1")
    if close_first:
        book.take(close)
        assert book.state("SA-1") == "pendingClose"
    book.take(adjustment("A-1", 8000))
    assert book.state("SA-1") == ("pendingClose" if close_first else "active")
    book.take(closing("C-3"))
    assert book.settlement("C-3").total == 0
    if not close_first:
        book.take(close)
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_half_of_it_does_not_close_an_account():
    """What is left below zero is carried forward, and keeps it from being closed."""
    book = below_zero()
    book.take(command("close", "SA-1"), adjustment("A-1", 7999), closing("C-3"))
    assert book.state("SA-1") == "pendingClose"
    assert book.position("SA-1").payable == -1
    assert_books_hold(book)
