"""An order becomes an invoice: its nets and tax, its postings, what it refuses, what its credit pays."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from domain.invoicing.model import Invoice, InvoiceIssued, InvoicePaid, PartnerShare
from domain.ledger.entries import Entry, Posting
from tests.invoicing.test_pricing import refused_price
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    USD,
    LedgerBook,
    billing,
    closing,
    line,
    moment,
    order,
    partner,
    payment,
)


def issued(*lines, currency=EUR) -> Invoice:
    """The first invoice of a fresh account, for an order of these lines."""
    book = LedgerBook()
    book.take(billing(currency=currency.code), order("O-1", *lines, currency=currency))
    assert_books_hold(book)
    return book.invoice(1)


def amounts(invoice: Invoice) -> tuple[int, int]:
    """Without tax, and with it."""
    return invoice.tax_excluded_amount, invoice.tax_included_amount


def test_the_dates_of_an_invoice():
    """Bill date and tax point are dates in the seller's time zone; the due date adds the account's term."""
    book = LedgerBook(zone=ZoneInfo("Europe/Berlin"))
    book.booked_at = moment("2026-12-31T23:30:00")
    book.take(billing(days=14), order("O-1", line("1"), at="2026-11-30T23:15:00"))
    invoice = book.invoice(1)
    assert invoice.bill_date == date(2027, 1, 1)
    assert invoice.payment_due_date == date(2027, 1, 15)
    assert invoice.tax_point_date == date(2026, 12, 1)


# -- the posting table


def test_a_line_of_our_own_is_posted():
    """Debit the receivable; credit revenue with the net, and the tax: every field of every posting."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("39.90", "0.2")))
    entry = book.rows[Entry]["order.completed:O-1"]
    assert (entry.id, entry.cause) == ("order.completed:O-1", "order.completed:O-1")
    assert (entry.occurred_at, entry.booked_at) == (moment("2026-11-22T10:15:00"), moment("2026-11-22T12:00:00"))
    assert (entry.reverses, entry.reason) == (None, None)
    assert sorted(entry.postings, key=lambda posting: posting.account) == [
        Posting("receivable:BA-1", "EUR", 4788, movement=1),
        Posting("revenue", "EUR", -3990),
        Posting("tax", "EUR", -798, category="S", rate="0.2"),
    ]


def test_a_partners_line_accrued_at_the_invoice_is_posted():
    """The share of the net is payable at once, the rest of the net is commission, all its tax is ours."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="0.8", on="invoice"),
        order("O-1", line("39.90", "0.2"), line("3.99", "0.2", "SA-1", quantity="2")),
    )
    # Net 39.90 + 7.98; tax 9.576; share 6.384.
    assert book.postings("order.completed:O-1") == [
        ("commission", -160),
        ("payable:SA-1", -638),
        ("receivable:BA-1", 5746),
        ("revenue", -3990),
        ("tax S 0.2", -958),
    ]
    assert [item.tax_amount for item in book.invoice(1).lines] == [798, 160]
    assert book.invoice(1).lines[1].on_behalf_of == PartnerShare("SA-1", Decimal("0.8"), "invoice", 638, 638)
    assert book.events_of("SA-1") == ["settlement.accrued"]
    assert_books_hold(book)


def test_a_partners_line_accrued_at_payment_is_posted():
    """The share is withheld until the customer pays; nothing is accrued yet."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="0.8", on="payment"),
        order("O-1", line("39.90", "0.2"), line("3.99", "0.2", "SA-1", quantity="2")),
    )
    assert book.postings("order.completed:O-1") == [
        ("commission", -160),
        ("receivable:BA-1", 5746),
        ("revenue", -3990),
        ("tax S 0.2", -958),
        ("withheld:SA-1", -638),
    ]
    assert book.accruals("SA-1") == []
    assert book.events_of("SA-1") == []
    assert_books_hold(book)


def test_one_order_posts_each_ledger_account_once_on_each_side():
    """Lines are summed by ledger account; each tax group stands for itself, and a sum of zero is left out."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1"),
        partner("SA-2", "1", "payment"),
        order(
            "O-1",
            line("1.00", "0.2"),
            line("2.00", "0.1"),
            line("3.00", "0", tax="Z"),
            line("10.00", "0.2", "SA-1"),
            line("20.00", "0.2", "SA-1"),
            line("5.00", "0.1", "SA-2"),
        ),
    )
    assert book.postings("order.completed:O-1") == [
        ("commission", -600),
        ("payable:SA-1", -2400),
        ("receivable:BA-1", 4790),
        ("revenue", -600),
        ("tax S 0.1", -70),
        ("tax S 0.2", -620),
        ("withheld:SA-2", -500),
    ]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("share", "price", "partners", "ours"),
    [
        ("0.8", "3.99", 319, 80),  # 319.2
        ("0.5", "0.05", 3, 2),  # 2.5: away from zero
        ("0.5", "-0.05", -3, -2),
        ("0.33333333", "1.00", 33, 67),
        ("0", "3.99", 0, 399),
        ("1", "3.99", 399, 0),
    ],
)
@pytest.mark.parametrize("on", ["invoice", "payment"])
def test_the_share_is_of_the_net(share, price, partners, ours, on):
    """The partner's share is its part of the line's net without tax, half away from zero; the rest is commission."""
    book = LedgerBook()
    book.take(billing(), partner(share=share, on=on), order("O-1", line("10.00", "0.2"), line(price, "0.2", "SA-1")))
    posted = dict(book.postings("order.completed:O-1"))
    owed = "payable:SA-1" if on == "invoice" else "withheld:SA-1"
    assert (posted.get(owed, 0), posted.get("commission", 0)) == (-partners, -ours)
    assert [a.amount for a in book.accruals("SA-1")] == ([partners] if partners and on == "invoice" else [])
    assert len(book.events_of("SA-1")) == len(book.accruals("SA-1"))
    assert_books_hold(book)


def test_a_negative_line_of_our_own_lessens_revenue():
    """A discount is a line below zero: 20.00 less 5.00 at 20 % makes 15.00 of revenue and 3.00 of tax."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("20.00", "0.2"), line("-5.00", "0.2")))
    assert book.postings("order.completed:O-1") == [("receivable:BA-1", 1800), ("revenue", -1500), ("tax S 0.2", -300)]
    assert_books_hold(book)


def test_a_negative_line_on_behalf_of_a_partner_takes_back_its_share():
    """A refund of 3.99 takes 3.19 from the partner and 0.80 from our commission."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("20.00", "0.2"), line("-3.99", "0.2", "SA-1")))
    assert book.postings("order.completed:O-1") == [
        ("commission", 80),
        ("payable:SA-1", 319),
        ("receivable:BA-1", 1921),
        ("revenue", -2000),
        ("tax S 0.2", -320),  # 20 % of 16.01
    ]
    assert [a.amount for a in book.accruals("SA-1")] == [-319]
    assert_books_hold(book)


# -- totals of zero


def test_a_total_of_zero_is_issued_and_settled_at_once():
    """It gets a number, is issued as new and is paid at once; its entry stands with no posting; credit is untouched."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 500), order("O-1", line("1.00", "0.2"), line("-1.00", "0.2")))
    assert book.postings("order.completed:O-1") == []
    assert book.invoice(1).state == "settled"
    assert book.events_of("BA-1") == ["payment.allocated", "invoice.issued", "invoice.paid"]
    new, paid = book.facts_of("BA-1")[-2:]
    assert isinstance(new, InvoiceIssued)
    assert isinstance(paid, InvoicePaid)
    assert (new.invoice.state, paid.invoice.state) == ("new", "settled")
    assert book.position("BA-1").unapplied == 500
    assert_books_hold(book)


@pytest.mark.parametrize("on", ["invoice", "payment"])
def test_a_total_of_zero_accrues_at_once(on):
    """A partner's line in an order of zero accrues with it, also where its share waits for a payment: none comes."""
    book = LedgerBook()
    book.take(billing(), partner(on=on), order("O-1", line("10.00"), line("-10.00", "0", "SA-1")))
    withheld = [("withheld:SA-1", -800), ("withheld:SA-1", 800)] if on == "payment" else []
    assert book.postings("order.completed:O-1") == [
        ("commission", 200),
        ("payable:SA-1", 800),
        ("revenue", -1000),
        *withheld,
    ]
    [accrual] = book.accruals("SA-1")
    key = "INV-000000001/2/O-1" if on == "payment" else "INV-000000001/2"
    assert (accrual.id, accrual.amount, accrual.date) == (key, -800, date(2026, 11, 22))
    assert book.events_of("SA-1") == ["settlement.accrued"]
    assert_books_hold(book)


# -- credit


def test_an_invoice_consumes_credit_oldest_first():
    """The next invoice takes credit by `receivedAt`, then by `paymentId`, whatever the order in which it came in."""
    book = LedgerBook()
    book.take(
        billing(),
        payment("P-b", 300, at="2026-11-20T08:00:00"),
        payment("P-a", 400, at="2026-11-20T08:00:00"),
        payment("P-c", 500, at="2026-11-19T08:00:00"),
        order("O-1", line("10.00")),
    )
    assert [(a.payment_id, a.amount) for a in book.invoice(1).applied_payment] == [
        ("P-c", 500),
        ("P-a", 400),
        ("P-b", 100),
    ]
    assert book.results["order.completed:O-1"] == {"billNo": "INV-000000001", "billNos": ["INV-000000001"]}
    assert book.position("BA-1").unapplied == 200
    assert book.position("BA-1").receivable == 0
    assert_books_hold(book)


def test_the_events_of_an_invoice_that_consumes_credit():
    """Issued as new with all of it remaining; then each payment is allocated, followed by what it leaves."""
    book = LedgerBook()
    book.take(
        billing(),
        payment("P-1", 300, at="2026-11-19T08:00:00"),
        payment("P-2", 900, at="2026-11-20T08:00:00"),
        order("O-1", line("10.00")),
    )
    assert book.events_of("BA-1")[2:] == [
        "invoice.issued",
        "payment.allocated",
        "invoice.partially-paid",
        "payment.allocated",
        "invoice.paid",
    ]
    new, first, partly, second, paid = book.facts_of("BA-1")[-5:]
    assert (new.invoice.state, new.invoice.remaining_amount, new.invoice.applied_payment) == ("new", 1000, ())
    assert (first.payment.id, first.payment.unapplied, first.not_allocated) == ("P-1", 0, ())
    assert [(a.bill_no, a.amount) for a in first.allocations] == [("INV-000000001", 300)]
    assert (partly.invoice.state, partly.invoice.remaining_amount) == ("partiallyPaid", 700)
    assert (second.payment.id, second.payment.unapplied) == ("P-2", 200)
    assert [(a.bill_no, a.amount) for a in second.allocations] == [("INV-000000001", 700)]
    assert (paid.invoice.state, paid.invoice.remaining_amount) == ("settled", 0)
    assert [event.sequence for event in book.events] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert_books_hold(book)


def test_credit_that_does_not_cover_the_invoice():
    """All credit is consumed, and the invoice stays open for the rest."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 300), order("O-1", line("10.00")), order("O-2", line("5.00")))
    assert [(book.invoice(n).state, book.invoice(n).remaining_amount) for n in (1, 2)] == [
        ("partiallyPaid", 700),
        ("new", 500),
    ]
    assert_books_hold(book)


def test_what_is_invoiced_and_allocated_at_once_is_not_netted():
    """One entry shows both sides: the receivable debited and credited, the share withheld and released in part."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="0.8", on="payment"),
        payment("P-1", 2000, at="2026-11-20T08:00:00"),
        order("O-1", line("39.90", "0.2"), line("3.99", "0.2", "SA-1", quantity="2")),
    )
    # Of 57.46 20.00 are paid: round(638 × 2000 ÷ 5746) = round(222.07).
    assert book.postings("order.completed:O-1") == [
        ("commission", -160),
        ("payable:SA-1", -222),
        ("receivable:BA-1", -2000),
        ("receivable:BA-1", 5746),
        ("revenue", -3990),
        ("tax S 0.2", -958),
        ("unapplied:BA-1", 2000),
        ("withheld:SA-1", -638),
        ("withheld:SA-1", 222),
    ]
    [accrual] = book.accruals("SA-1")
    assert (accrual.id, accrual.amount, accrual.date, accrual.cause) == (
        "INV-000000001/2/P-1",
        222,
        date(2026, 11, 20),  # the payment that released it
        "order.completed:O-1",
    )
    assert_books_hold(book)


def test_one_accrual_event_for_each_partner():
    """An order that accrues several lines, some at once and some released by credit, says so once a partner."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1", "0.5", "invoice"),
        partner("SA-2", "0.5", "payment"),
        payment("P-1", 2000, at="2026-11-19T08:00:00"),
        payment("P-2", 2000, at="2026-11-20T08:00:00"),
        order("O-1", line("10.00", "0", "SA-1"), line("20.00", "0", "SA-1"), line("10.00", "0", "SA-2")),
    )
    [first] = book.facts_of("SA-1")[1:]
    assert [(a.line_id, a.amount) for a in first.accruals] == [("1", 500), ("2", 1000)]
    [second] = book.facts_of("SA-2")[1:]
    assert [(a.id, a.amount) for a in second.accruals] == [
        ("INV-000000001/3/P-1", 250),
        ("INV-000000001/3/P-2", 250),
    ]
    assert_books_hold(book)


# -- refusals


@pytest.mark.parametrize(
    ("wrong", "code", "named"),
    [
        (order("O-9", line("1"), currency=USD), "currency-mismatch", "billingAccount.id: BA-1"),
        (order("O-9", line("1", behalf="SA-$")), "currency-mismatch", "items.0.onBehalfOf.id: SA-$"),
        (order("O-9", line("1"), account="SA-1"), "invalid", "billingAccount.id: SA-1 is a SettlementAccount"),
        (order("O-9", line("1"), line("1", behalf="BA-1")), "invalid", "items.1.onBehalfOf.id: BA-1"),
    ],
)
def test_an_order_on_the_wrong_account_is_refused(wrong, code, named):
    """Another currency is a `currency-mismatch`, another type of account `invalid`; the detail names the field."""
    book = LedgerBook()
    book.take(billing(), partner("SA-1"), partner("SA-$", currency="USD"), wrong)
    refusal = book.refused["order.completed:O-9"]
    assert refusal.code == code
    assert refusal.detail.startswith(named)
    assert book.documents[Invoice] == {}
    assert_books_hold(book)


def test_an_order_waits_for_its_accounts():
    """It waits for the billing account, then for each partner, and is applied as soon as the last appears."""
    book = LedgerBook()
    waiting = order("O-1", line("1", behalf="SA-1"), line("1", behalf="SA-2"))
    book.take(waiting)
    for wanted, account in (("BA-1", billing()), ("SA-1", partner()), ("SA-2", partner("SA-2"))):
        _, why = book.waiting["order.completed:O-1"]
        assert (why.code, why.waits_for) == ("unknown-account", f"account:{wanted}")
        book.take(account)
    assert book.waiting == {}
    assert book.invoice(1).order_id == "O-1"
    assert_books_hold(book)


TOO_MUCH = "10000000000"


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([line("10000000000.01", quantity="10")], "items.0: the net"),
        ([line("1"), line("-10000000000.01", quantity="10")], "items.1: the net"),
        ([line(TOO_MUCH, quantity="6"), line(TOO_MUCH, quantity="6")], "items: the invoice's net"),
        ([line(TOO_MUCH, "0.2", quantity="9")], "items: the invoice's total"),
    ],
)
def test_a_computed_amount_beyond_the_limit_is_refused(lines, named):
    """A net, a sum of nets or a total of more than 10^13 minor units is `invalid`, and says which."""
    refusal = refused_price(*lines)
    assert refusal.code == "invalid"
    assert refusal.detail.startswith(named)


def test_a_balance_beyond_the_limit_is_refused():
    """An invoice of 10^13 minor units exactly is fine; one cent more on the account is not, and leaves no trace."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line(TOO_MUCH, quantity="10")), order("O-2", line("0.01")))
    assert book.position("BA-1").receivable == 10_000_000_000_000
    assert book.refused["order.completed:O-2"].code == "invalid"
    assert book.refused["order.completed:O-2"].detail == (
        "the balance receivable of account BA-1 comes to 100000000000.01 EUR, beyond ±100000000000.00 EUR, the largest "
        "amount"
    )
    book.take(billing("BA-2"), order("O-3", line("1"), account="BA-2"))
    assert book.invoice(2).order_id == "O-3"
    assert_books_hold(book)


def test_a_time_at_the_end_of_the_calendar_has_a_date():
    """The last moment that a message can say is a fact like any other, in whatever time zone the seller is."""
    book = LedgerBook(zone=ZoneInfo("Europe/Berlin"))
    book.take(billing(), order("O-1", line("1"), at="9999-12-31T23:59:59"))
    assert book.applied.keys() | book.refused.keys() >= {"order.completed:O-1"}


def test_a_closing_between_two_orders_holds_only_what_was_before():
    """What an order accrues after a closing of the same date waits for the next one."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("1", behalf="SA-1")), closing("C-1"))
    book.take(order("O-2", line("2", behalf="SA-1")), closing("C-2"))
    assert [[item.order_id for item in book.settlement(c).lines] for c in ("C-1", "C-2")] == [["O-1"], ["O-2"]]
    assert_books_hold(book)
