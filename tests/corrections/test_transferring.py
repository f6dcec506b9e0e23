"""Credit that is another account's goes there; when its payment comes back it is taken from whoever has it."""

import pytest

from domain.corrections import refunding, transferring
from domain.corrections.model import CreditNote, Reversal, TransferredPart
from domain.payments.model import Payment, TransferredCredit
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
    refund,
    reversal,
    transfer,
)

INV1 = "INV-000000001"


def two_accounts(*facts) -> LedgerBook:
    """BA-1, BA-2 and BA-3, and what has happened to them."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), billing("BA-3"), *facts)
    return book


def test_a_payment_of_the_wrong_account():
    """12.00 came in on BA-1, and are BA-2's: they cover its invoice of 10.00, and 2.00 are credit there."""
    book = two_accounts(payment("P-1", 1200), order("O-1", line("10"), account="BA-2"), transfer("T-1", 1200, of="P-1"))
    assert book.postings("credit.transfer:T-1") == [
        ("receivable:BA-2", -1000),
        ("unapplied:BA-1", 1200),
        ("unapplied:BA-2", -1200),
        ("unapplied:BA-2", 1000),
    ]
    assert (book.position("BA-1").unapplied, book.position("BA-2").unapplied) == (0, 200)
    assert book.results["credit.transfer:T-1"] == {"billNos": [INV1]}
    assert book.get(Payment, "P-1").transferred == (TransferredCredit("transfer~T-1~1", 1200),)
    credit = book.get(Payment, "transfer~T-1~1")
    assert (credit.billing_account, credit.amount, credit.unapplied, credit.source) == ("BA-2", 1200, 200, "transfer")
    assert book.events_of("BA-1")[-1] == "credit.transferred"
    assert book.events_of("BA-2")[-3:] == ["credit.transferred", "payment.allocated", "invoice.paid"]
    assert_books_hold(book)


def test_credit_goes_so_far_and_no_further(monkeypatch):
    """A reversal has to follow it: 16 times, in 1,000 parts, of 10,000 payments at once. Here in few."""
    assert (transferring.LEVELS_MAX, transferring.TRANSFERS_MAX, refunding.PAYMENTS_MAX) == (16, 1_000, 10_000)
    monkeypatch.setattr(transferring, "LEVELS_MAX", 2)
    monkeypatch.setattr(transferring, "TRANSFERS_MAX", 2)
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 100), transfer("T-2", 100, by="BA-2", to="BA-1"))
    book.take(transfer("T-3", 100, of="transfer~T-2~1"))
    assert "was transferred 2 times" in book.refused["credit.transfer:T-3"].detail
    book.take(transfer("T-4", 1, of="P-1"), transfer("T-5", 1, of="P-1"))
    assert "in 2 parts" in book.refused["credit.transfer:T-5"].detail
    assert {one.code for one in book.refused.values()} == {"wrong-state"}
    monkeypatch.setattr(refunding, "PAYMENTS_MAX", 2)
    three = two_accounts(*(payment(f"P-{n}", 100) for n in range(3)))
    three.take(transfer("T-1", 300), refund("R-1", 201), refund("R-2", 200))
    assert three.refused.keys() == {"credit.transfer:T-1", "refund.completed:R-1"}
    for one in (book, three):
        one.take(reversal("X-1", "P-1"))
        assert_books_hold(one)


def test_a_payment_goes_in_so_many_parts_and_no_more(monkeypatch):
    """A reversal takes all of them at once, so those that went further count too. Here three."""
    assert transferring.PARTS_MAX == 5_000
    monkeypatch.setattr(transferring, "PARTS_MAX", 3)
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 600), transfer("T-2", 200, by="BA-2", to="BA-3"))
    book.take(transfer("T-3", 100, by="BA-3", to="BA-1"), transfer("T-4", 1, by="BA-2", to="BA-3"))
    assert book.refused.keys() == {"credit.transfer:T-4"}
    assert book.refused["credit.transfer:T-4"].code == "wrong-state"
    assert "payment P-1 was transferred in 3 parts" in book.refused["credit.transfer:T-4"].detail
    assert (book.get(Payment, "P-1").parts, book.get(Payment, "transfer~T-3~1").origin) == (3, "P-1")
    book.take(payment("P-2", 100, account="BA-2"), transfer("T-5", 50, by="BA-2", to="BA-3", of="P-2"))
    assert book.get(Payment, "P-2").parts == 1
    book.take(reversal("X-1", "P-1"), reversal("X-2", "P-2"))
    assert [book.position(f"BA-{n}").unapplied for n in (1, 2, 3)] == [0, 0, 0]
    assert_books_hold(book)


def test_without_a_payment_the_oldest_credit_goes_first():
    """Of 3.00 goodwill, 5.00 and 4.00: each is credit of its own at the other account."""
    book = two_accounts(
        payment("P-2", 400, at="2026-11-22"), payment("P-1", 500, at="2026-11-21"), grant("C-1", 300, at="2026-11-20")
    )
    book.take(transfer("T-1", 1000))
    parts = [book.get(Payment, f"transfer~T-1~{n}").amount for n in (1, 2, 3)]
    assert parts == [300, 500, 200]
    assert [book.get(Payment, id_).unapplied for id_ in ("credit~C-1", "P-1", "P-2")] == [0, 0, 200]
    assert_books_hold(book)


def test_transferred_credit_is_as_old_as_its_transfer():
    """BA-2's own payment came in before it, and is consumed first."""
    book = two_accounts(payment("P-1", 500, at="2026-11-01"), payment("P-2", 500, account="BA-2"), transfer("T-1", 500))
    book.take(order("O-1", line("6"), account="BA-2"))
    assert [book.get(Payment, id_).unapplied for id_ in ("P-2", "transfer~T-1~1")] == [0, 400]
    assert_books_hold(book)


def test_too_little_credit_is_waited_for():
    """As soon as there is more it is tried again; it is never booked in part, nor late."""
    book = two_accounts(payment("P-1", 500), transfer("T-1", 800))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for, why.again) == ("insufficient-credit", "credit:BA-1", True)
    book.take(payment("P-2", 300))
    assert not book.waiting
    assert book.position("BA-2").unapplied == 800
    assert_books_hold(book)


def test_what_covers_an_invoice_is_not_transferred():
    """Only credit is: of 12.00 that cover 10.00 there are 2.00, of that payment and of no other."""
    book = two_accounts(
        order("O-1", line("10")), payment("P-1", 1200), payment("P-2", 900), transfer("T-1", 1200, of="P-1")
    )
    [(_, why)] = book.waiting.values()
    assert (why.code, why.detail) == (
        "insufficient-credit",
        "amount: 12.00 EUR, but 2.00 EUR can be taken of the credit of payment P-1",
    )
    assert book.invoice(1).remaining_amount == 0
    book.take(credit_note("N-1", INV1))
    assert not book.waiting
    assert book.get(Payment, "P-1").unapplied == 0
    assert_books_hold(book)


def test_a_transfer_ahead_of_its_payment():
    """It waits for it by its id."""
    book = two_accounts(transfer("T-1", 500, of="P-1"))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-payment", "payment:P-1")
    book.take(payment("P-1", 500))
    assert book.position("BA-2").unapplied == 500
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "field"),
    [
        (transfer("T-1", 1, to="BA-1"), "invalid", "to.id"),
        (transfer("T-1", 1, to="SA-1"), "invalid", "to.id"),
        (transfer("T-1", 1, by="SA-1"), "invalid", "from.id"),
        (transfer("T-1", 1, of="P-2"), "invalid", "paymentId"),
        (transfer("T-1", 1, currency="USD"), "currency-mismatch", "from.id"),
        (transfer("T-1", 1, to="BA-4"), "currency-mismatch", "to.id"),
        (transfer("T-1", 1, by="BA-5"), "account-closed", "from.id"),
        (transfer("T-1", 1, to="BA-5"), "account-closed", "to.id"),
    ],
)
def test_what_is_refused(fact, code, field):
    """The field is named."""
    book = two_accounts(payment("P-1", 100), payment("P-2", 100, account="BA-2"), partner())
    book.take(billing("BA-4", currency="USD"), billing("BA-5"), command("close", "BA-5"))
    found, detail = book.refusal(fact)
    assert (found, detail.partition(":")[0]) == (code, field)


def test_it_settles_the_last_of_both():
    """BA-1 has no credit any more, BA-2 owes nothing: both were to be closed."""
    book = two_accounts(payment("P-1", 1000), order("O-1", line("10"), account="BA-2"))
    book.take(command("close", "BA-1"), command("close", "BA-2"), transfer("T-1", 1000))
    assert (book.state("BA-1"), book.state("BA-2")) == ("closed", "closed")
    assert_books_hold(book)


# -- and the payment comes back


def test_a_reversal_takes_what_was_transferred_before_what_the_payment_covers():
    """20.00: 8.00 cover BA-1's invoice, 7.00 of the 12.00 at BA-2 cover one there, and 5.00 are credit there.

    Of 14.00 that come back 12.00 are taken from BA-2, whose invoice is open again, and 2.00 of what covers BA-1's.
    """
    book = two_accounts(order("O-1", line("8")), payment("P-1", 2000), transfer("T-1", 1200, of="P-1"))
    book.take(order("O-2", line("7"), account="BA-2"))
    due = book.invoice(2).payment_due_date
    book.take(reversal("X-1", "P-1", 1400, fee=100))
    assert book.postings("payment.reversed:X-1") == [
        ("bankCharges", 100),
        ("cash", -1500),
        ("receivable:BA-1", 200),
        ("receivable:BA-2", 700),
        ("unapplied:BA-1", -200),
        ("unapplied:BA-1", 200),
        ("unapplied:BA-2", -700),
        ("unapplied:BA-2", 1200),
    ]
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [200, 700]
    assert (book.position("BA-2").oldest_due, book.position("BA-2").unapplied) == (due, 0)
    assert book.rows[Reversal]["X-1"].transferred == (TransferredPart("transfer~T-1~1", "BA-2", 1200, ()),)
    assert book.results["payment.reversed:X-1"] == {"amount": 1400, "recoverable": 0}
    assert book.events_of("BA-1")[-2:] == ["payment.reversal-booked", "invoice.reopened"]
    assert book.events_of("BA-2")[-2:] == ["payment.reversal-booked", "invoice.reopened"]
    assert_books_hold(book)


def test_its_own_credit_goes_first():
    """3.00 are left of it on BA-1: of 4.00 only 1.00 is taken from BA-2."""
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 700, of="P-1"), reversal("X-1", "P-1", 400))
    assert (book.position("BA-1").unapplied, book.position("BA-2").unapplied) == (0, 600)
    assert_books_hold(book)


def test_the_latest_transfer_gives_back_first():
    """To BA-2, then to BA-3."""
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 500, of="P-1"), transfer("T-2", 500, of="P-1", to="BA-3"))
    book.take(reversal("X-1", "P-1", 600))
    assert (book.position("BA-2").unapplied, book.position("BA-3").unapplied) == (400, 0)
    assert_books_hold(book)


def test_what_was_transferred_further_and_back():
    """From BA-1 to BA-2, some of it on to BA-3, and some of that to BA-1 again: all of it comes from whoever has it."""
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 1000), transfer("T-2", 700, by="BA-2", to="BA-3"))
    book.take(transfer("T-3", 200, by="BA-3", to="BA-1"), order("O-1", line("5"), account="BA-3"))
    assert [book.position(f"BA-{n}").unapplied for n in (1, 2, 3)] == [200, 300, 0]
    book.take(reversal("X-1", "P-1", 900))
    # 3.00 at BA-2; of what went on to BA-3 what is BA-1's again, then what BA-3's invoice is covered by: 4.00 of 5.00.
    assert [book.position(f"BA-{n}").unapplied for n in (1, 2, 3)] == [0, 0, 0]
    assert book.invoice(1).remaining_amount == 400
    assert [part.payment_id for part in book.rows[Reversal]["X-1"].transferred] == [
        "transfer~T-3~1",
        "transfer~T-2~1",
        "transfer~T-1~1",
    ]
    assert_books_hold(book)
    book.take(reversal("X-2", "P-1"))
    assert book.results["payment.reversed:X-2"] == {"amount": 100, "recoverable": 0}
    assert book.invoice(1).remaining_amount == 500
    assert_books_hold(book)


def test_what_a_note_has_reserved_of_it():
    """BA-2 gets 6.00 back of an invoice that it covers: until it has them they are taken as well."""
    book = two_accounts(payment("P-1", 1000), order("O-1", line("10"), account="BA-2"), transfer("T-1", 1000))
    book.take(credit_note("N-1", INV1, {"1": 600}, excess="refund"), reversal("X-1", "P-1", 700))
    assert (book.get(CreditNote, "N-1").reserved, book.position("BA-2").refundable) == ((), 0)
    assert book.invoice(1).remaining_amount == 100
    assert_books_hold(book)


def test_what_was_given_back_of_it_is_owed_by_whose_payment_it_was():
    """BA-2 had 4.00 of it paid back: BA-1's customer, whose payment bounced, owes them."""
    book = two_accounts(payment("P-1", 1000), transfer("T-1", 1000), refund("R-1", 400, account="BA-2"))
    book.take(reversal("X-1", "P-1"))
    assert book.results["payment.reversed:X-1"] == {"amount": 1000, "recoverable": 400}
    assert (book.position("BA-1").recoverable, book.position("BA-2").unapplied) == (400, 0)
    assert_books_hold(book)


def test_other_credit_covers_what_is_open_again():
    """BA-2 has 5.00 of its own by then: of the invoice of 10.00 they cover as much again, in the same fact."""
    book = two_accounts(payment("P-1", 1000), order("O-1", line("10"), account="BA-2"), transfer("T-1", 1000))
    book.take(payment("P-2", 500, account="BA-2"), reversal("X-1", "P-1"))
    assert (book.invoice(1).remaining_amount, book.position("BA-2").unapplied) == (500, 0)
    assert book.invoice(1).applied_payment[-1].payment_id == "P-2"
    assert_books_hold(book)


def test_the_partner_of_an_invoice_elsewhere_waits_again():
    """What the transferred credit released is withheld again, in one event for each partner."""
    book = two_accounts(
        partner(on="payment"), payment("P-1", 2000), order("O-1", line("10", "0", "SA-1"), account="BA-2")
    )
    book.take(transfer("T-1", 1000, of="P-1"), order("O-2", line("10", "0", "SA-1")), reversal("X-1", "P-1"))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (0, 1600)
    assert book.events_of("SA-1").count("settlement.accrued") == 3
    assert_books_hold(book)


@pytest.mark.parametrize("closed", ["BA-2", "SA-1"])
def test_a_holder_that_is_closed_is_reopened_first(closed):
    """Its invoice would be open again, on an account that nobody looks at: the reversal is parked, and says so."""
    book = two_accounts(
        partner(on="payment"), payment("P-1", 1000), order("O-1", line("10", "0", "SA-1"), account="BA-2")
    )
    book.take(transfer("T-1", 1000), closing("C-1"), payout("PO-1", 800, "C-1"), command("close", closed))
    assert book.state(closed) == "closed"
    code, detail = book.refusal(reversal("X-1", "P-1"))
    assert (code, closed in detail) == ("account-closed", True)
    assert_books_hold(book)
