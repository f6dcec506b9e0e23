"""What is sold in partners' names: an invoice of each seller, one account, one payment; nothing of it is ours."""

from decimal import Decimal

import pytest

from domain.corrections.model import CreditNote
from domain.invoicing.model import Invoice
from domain.ledger.numbering import Series
from domain.settlement.accruals import Commission
from domain.settlement.backdating import SettlementCorrected
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    adjustment,
    agent_of,
    agreed,
    agreement,
    as_agent,
    billing,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    refund,
    reversal,
    settlement_of,
    update,
    write_off,
)

OURS = "INV-000000001"
FIRST = "SA-1-000000001"
COMMISSION = ("S", Decimal("0.2"))


def sold(*lines, on="invoice", **said) -> LedgerBook:
    """A book with an order of these lines, sold in the name of SA-1 where they say so; its commission is 10 %."""
    book = LedgerBook()
    book.take(billing(), agent_of(on=on, **said), order("O-1", *lines))
    assert_books_hold(book)
    return book


def commissions(book: LedgerBook, account: str = "SA-1") -> list[tuple[int, int]]:
    """What each row of a partner's accrues, and by how much our commission is more with it."""
    return [(row.amount, row.commission.amount if row.commission else 0) for row in book.accruals(account)]


def test_an_order_makes_an_invoice_for_each_seller():
    """Ours first, then partners' in the order of their first lines: each with its series, and its tax by group."""
    book = LedgerBook()
    book.take(
        billing(),
        agent_of("SA-2"),
        agent_of("SA-1", series="FN."),
        order(
            "O-1",
            line("10.01", "0.2", "SA-2"),
            line("39.90", "0.2"),
            line("10.01", "0.2", "SA-1"),
            line("10.01", "0.2", "SA-2"),
        ),
    )
    assert_books_hold(book)
    assert book.results["order.completed:O-1"] == {"billNos": [OURS, "SA-2-000000001", "FN.000000001"]}
    invoices = {one.id: one for one in book.documents[Invoice].values()}
    assert {id_: (one.seller, one.tax_excluded_amount, one.tax_included_amount) for id_, one in invoices.items()} == {
        OURS: (None, 3990, 4788),
        # 20.02 at 20 % is 4.004; each line alone would be 2.002, and 2.00 twice.
        "SA-2-000000001": ("SA-2", 2002, 2402),
        "FN.000000001": ("SA-1", 1001, 1201),
    }
    assert [one.id for one in invoices["SA-2-000000001"].lines] == ["1", "4"]


def test_one_invoice_is_named_as_before():
    """An order of one seller has its `billNo`, whoever that is."""
    book = sold(line("10", "0.2", "SA-1"))
    assert book.results["order.completed:O-1"] == {"billNo": FIRST, "billNos": [FIRST]}


def test_a_line_of_an_agent_is_posted():
    """Debit the receivable with the gross, and owe the partner all of it: no revenue, no commission, no tax of ours."""
    book = sold(line("10", "0.2", "SA-1"))
    assert book.postings("order.completed:O-1") == [("payable:SA-1", -1200), ("receivable:BA-1", 1200)]
    assert commissions(book) == [(1200, 100)]
    [row] = book.accruals("SA-1")
    assert row.commission == Commission(100, *COMMISSION)


def test_what_is_withheld_is_released_as_it_is_paid():
    """Half paid, half of the gross is released, and half of the commission falls due: 33.33 at 10 % is 3.33."""
    book = sold(line("33.33", "0.2", "SA-1"), on="payment")
    assert book.postings("order.completed:O-1") == [("receivable:BA-1", 4000), ("withheld:SA-1", -4000)]
    book.take(payment("P-1", 2000))
    assert_books_hold(book)
    # 3333 × 0.1 × 2000 ÷ 4000 = 166.65
    assert commissions(book) == [(2000, 167)]
    book.take(payment("P-2", 2000))
    assert_books_hold(book)
    assert commissions(book) == [(2000, 167), (2000, 166)]


def test_one_payment_covers_the_invoices_of_all_sellers():
    """By due date, then by number, whoever the seller is."""
    book = sold(line("10", "0", "SA-1"), line("20", "0"), on="payment")
    book.take(payment("P-1", 2500))
    assert_books_hold(book)
    assert {id_: book.get(Invoice, id_).remaining_amount for id_ in (OURS, FIRST)} == {OURS: 0, FIRST: 500}
    assert commissions(book) == [(500, 50)]


def test_credit_pays_for_the_invoices_of_all_sellers():
    """Credit that was there before covers them in the same order, each once."""
    book = LedgerBook()
    book.take(billing(), agent_of(), payment("P-1", 1500), payment("P-2", 1000))
    book.take(order("O-1", line("10", "0", "SA-1"), line("20", "0")))
    assert_books_hold(book)
    remaining = {id_: one.remaining_amount for id_, one in book.documents[Invoice].items()}
    assert remaining == {OURS: 0, FIRST: 500}
    assert book.position("BA-1").unapplied == 0


def test_no_sellers_invoice_is_below_zero():
    """Each stands for itself: what we sell does not make up for what a partner takes back."""
    book = LedgerBook()
    book.take(billing(), agent_of())
    refusal = book.refusal(order("O-1", line("10", "0"), line("-5", "0", "SA-1")))
    assert refusal == ("invalid", "items: the total of what SA-1 sells is -5.00 EUR, and may not be negative")


def test_what_a_seller_gives_for_nothing_is_settled_at_once():
    """A total of zero is settled; what its lines accrue at the payment is released with it."""
    book = sold(line("10", "0", "SA-1"), line("-10", "0", "SA-1"), line("1", "0"), on="payment")
    assert book.get(Invoice, FIRST).state == "settled"
    assert commissions(book) == [(1000, 100), (-1000, -100)]


# -- corrections


def test_a_note_takes_back_of_the_partner_alone():
    """The note is in the partner's series; payable falls by its gross, and our commission by its part."""
    book = sold(line("10.01", "0.2", "SA-1"), line("10.01", "0.2", "SA-1"))
    book.take(credit_note("N-1", FIRST, {"1": 1001}))
    assert_books_hold(book)
    [note] = book.documents[CreditNote].values()
    # 20.02 at 20 % is 4.00; of 10.01 the tax is 2.00.
    assert (note.bill_no, note.seller, note.tax_included_amount) == ("CN-SA-1-000000001", "SA-1", 1201)
    assert book.postings("credit-note.issue:N-1") == [("payable:SA-1", 1201), ("receivable:BA-1", -1201)]
    assert commissions(book) == [(1201, 100), (1201, 100), (-1201, -100)]
    book.take(credit_note("N-2", FIRST))
    assert_books_hold(book)
    assert book.position("SA-1").payable == 0


def test_a_note_of_what_is_withheld():
    """Half paid, half credited: what was released stays the partner's, and its commission is that of what is left."""
    book = sold(line("100", "0.2", "SA-1"), on="payment")
    book.take(payment("P-1", 6000))
    assert commissions(book) == [(6000, 500)]
    book.take(credit_note("N-1", FIRST, {"1": 5000}))
    assert_books_hold(book)
    assert book.postings("credit-note.issue:N-1") == [("receivable:BA-1", -6000), ("withheld:SA-1", 6000)]
    assert commissions(book) == [(6000, 500)]


@pytest.mark.parametrize(
    ("on", "postings"),
    [
        ("invoice", [("badDebt", 1200), ("receivable:BA-1", -1200)]),
        ("payment", [("receivable:BA-1", -1200), ("withheld:SA-1", 1200)]),
    ],
)
def test_a_write_off_relieves_us_of_no_tax(on, postings):
    """The tax in it is the partner's: our loss is what we owe it all the same, or nothing where it is not owed yet."""
    book = sold(line("10", "0.2", "SA-1"), on=on)
    book.take(write_off("W-1", FIRST, relief=True))
    assert_books_hold(book)
    assert book.postings("invoice.write-off:W-1") == postings


def test_a_dispute_refund_and_reversal_are_as_of_our_own():
    """The approved part is credited, what was paid of it goes back, and a payment that is reversed opens the rest."""
    book = sold(line("100", "0.2", "SA-1"), on="payment")
    book.take(payment("P-1", 12000), dispute("D-1", FIRST, {"1": 2000}), settlement_of("D-1", {"1": 1000}))
    assert_books_hold(book)
    assert book.position("BA-1").unapplied == 1200
    book.take(refund("R-1", 1200), reversal("RV-1", "P-1", 5000))
    assert_books_hold(book)
    assert book.get(Invoice, FIRST).remaining_amount == 5000


# -- terms


def test_terms_of_an_agreement_make_us_an_agent():
    """On its days; before them what the partner gets is a share."""
    book = LedgerBook()
    book.take(billing(), partner(), agreement("A-1", "2026-11-24", agent=as_agent(series="P.")))
    book.take(order("O-1", line("10", "0", "SA-1"), at="2026-11-23T10:00:00"))
    book.take(order("O-2", line("10", "0", "SA-1"), at="2026-11-24T10:00:00"))
    assert_books_hold(book)
    assert book.results["order.completed:O-1"]["billNos"] == [OURS]
    assert book.results["order.completed:O-2"]["billNos"] == ["P.000000001"]


def test_a_commission_of_past_days_is_corrected():
    """From 10 % to 15 %: a row of no amount has the 5 % more, and the invoice stays as it is."""
    book = sold(line("100", "0.2", "SA-1"))
    book.take(agreement("A-1", "2026-11-01", agent=as_agent("0.15")))
    assert_books_hold(book)
    assert commissions(book) == [(12000, 1000), (0, 500)]
    [told] = [one.event for one in book.events if isinstance(one.event, SettlementCorrected)]
    assert [(line.line_id, line.was, line.now, line.commission) for line in told.correction.lines] == [
        ("1", 12000, 12000, 500)
    ]


def test_the_model_of_a_day_that_has_begun_stays():
    """In whose name a line was sold does not change; from tomorrow on it may."""
    book = sold(line("100", "0.2", "SA-1"))
    code, detail = book.refusal(agreement("A-1", "2026-11-22", share="0.8"))
    assert code == "wrong-state"
    assert detail.startswith("terms.model: 2026-11-22 has begun, and its lines are sold by the model agent")
    book.take(agreement("A-2", "2026-11-23", share="0.8"))
    book.take(agreed("A-2", "2026-11-30", agent=as_agent()))
    assert_books_hold(book)


def test_a_series_is_one_partners():
    """Neither ours nor another partner's, nor that of another one's credit notes."""
    book = LedgerBook()
    book.take(agent_of("SA-1"))
    assert book.get(Series, "SA-1-").owner == book.get(Series, "CN-SA-1-").owner == "SA-1"
    begins = "it may not begin with CN-, which the credit notes' do"
    taken = {
        "INV-": "a series of ours",
        "SA-1-": "the series of another partner",
        "CN-": "a series of ours",
        "CN-X-": begins,
    }
    for n, (series, why) in enumerate(taken.items(), 3):
        code, detail = book.refusal(agent_of(f"SA-{n}", series=series))
        assert code == "invalid"
        assert detail.startswith(f"settlementTerms.series: {series} is "), detail
        assert detail.endswith(why), detail
    book.take(agent_of("SA-2", series="S."))
    code, _ = book.refusal(update("SA-2", type_="SettlementAccount", agent=as_agent(series="SA-1-")))
    assert code == "invalid"


def test_an_adjustment_has_no_commission():
    """What is owed beside lines is as of any partner."""
    book = sold(line("10", "0.2", "SA-1"))
    book.take(adjustment("AJ-1", -200))
    assert_books_hold(book)
    assert commissions(book) == [(1200, 100), (-200, 0)]
