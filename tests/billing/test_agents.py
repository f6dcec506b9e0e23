"""Bills with what is sold in partners' names: a bill of each seller, corrected where it was billed, and paid as one."""

import asyncio
from unittest.mock import patch

import pytest

from adapters.billing.queries import preview
from domain.billing.runs import RunTotal
from domain.corrections.model import CreditNote, CreditNoteIssued
from domain.dunning.model import Dunning
from domain.invoicing.model import Invoice, InvoiceIssued, InvoiceOverdue, Period
from schemas.billing.queries import BillPreview, credit_note_preview, invoice_preview
from schemas.invoicing.queries import breakdown_json
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    agent_of,
    agreement,
    as_agent,
    bill_run,
    billing,
    change,
    charge,
    credit_note,
    cycle,
    demand,
    in_cycle,
    line,
    look,
    metered,
    moment,
    monthly,
    order,
    partner,
    payment,
    procedure,
    relation,
    subscription,
    usage,
)

OURS, OURS_2 = "INV-000000001", "INV-000000002"
FIRST, SECOND = "SA-1-000000001", "SA-1-000000002"
OTHERS = "SA-2-000000001"


def bills(book: LedgerBook) -> dict[str, tuple[str | None, int, int]]:
    """The seller of each bill, its net, and what it comes to with tax; in the order in which they were made."""
    return {
        id_: (one.seller, one.tax_excluded_amount, one.tax_included_amount)
        for id_, one in book.documents[Invoice].items()
    }


def notes(book: LedgerBook) -> dict[str, tuple[str | None, str, int]]:
    """The seller of each credit note, the bill that it corrects, and what it comes to with tax."""
    return {
        one.bill_no: (one.seller, one.corrected_bill_no, one.tax_included_amount)
        for one in book.documents[CreditNote].values()
    }


def commissions(book: LedgerBook, account: str = "SA-1") -> list[tuple[int, int]]:
    """What each row of a partner's accrues, and by how much our commission is more with it."""
    return [(row.amount, row.commission.amount if row.commission else 0) for row in book.accruals(account)]


# -- what is billed


def test_a_bill_is_one_of_each_seller():
    """Ours first, then partners' in the order of their first lines, each numbered by itself, with its tax by group."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1"), agent_of("SA-2"))
    book.take(
        charge("C-1", line("10.01", "0.2", "SA-2"), on="2026-11-21"),
        charge("C-2", line("10.01", "0.2", "SA-1")),
        charge("C-3", line("39.90", "0.2")),
        charge("C-4", line("10.01", "0.2", "SA-2")),
        demand("D-1"),
    )
    assert_books_hold(book)
    # 20.02 at 20 % is 4.004; each line alone would be 2.002, and 2.00 twice.
    assert bills(book) == {OURS: (None, 3990, 4788), OTHERS: ("SA-2", 2002, 2402), FIRST: ("SA-1", 1001, 1201)}
    assert book.results["bill.demand:D-1"] == {
        "state": "done",
        "billNos": [OURS, OTHERS, FIRST],
        "creditNotes": [],
    }
    assert [(one.id, one.origin and one.origin.charge_id) for one in book.get(Invoice, OTHERS).lines] == [
        ("1", "C-1"),
        ("2", "C-4"),
    ]
    assert book.postings("bill.demand:D-1") == [
        ("payable:SA-1", -1201),
        ("payable:SA-2", -2402),
        ("receivable:BA-1", 8391),
        ("revenue", -3990),
        ("tax S 0.2", -798),
    ]
    assert (commissions(book, "SA-1"), commissions(book, "SA-2")) == ([(1201, 100)], [(1201, 100), (1201, 100)])


@pytest.mark.parametrize(("on", "order"), [("2026-11-21", [FIRST, OTHERS]), ("2026-11-23", [OTHERS, FIRST])])
def test_sellers_come_in_the_order_of_their_lines(on, order):
    """That of the bill, by the day on which each is due: a subscription of the 22nd comes between the 21st and 23rd."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1"), agent_of("SA-2"))
    book.take(
        subscription("S-1", monthly(on_behalf_of="SA-2"), start="2026-11-22"),
        charge("C-1", line("1", behalf="SA-1"), on=on),
        demand("D-1"),
    )
    assert book.results["bill.demand:D-1"]["billNos"] == order
    assert_books_hold(book)


def test_one_bill_is_named_as_before():
    """A bill of one seller has its `billNo`, whoever that is."""
    book = LedgerBook()
    book.take(billing(), agent_of(), charge("C-1", line("10", "0.2", "SA-1")), demand("D-1"))
    assert book.results["bill.demand:D-1"] == {"state": "done", "billNo": FIRST, "creditNotes": []}
    assert_books_hold(book)


def test_each_bill_says_what_its_own_lines_cover():
    """Ours is of December; the partner's is of a day in November, though both are of one demand."""
    book = LedgerBook()
    book.take(
        billing(),
        agent_of(),
        charge("C-1", line("10", behalf="SA-1"), on="2026-11-20"),
        charge("C-2", line("10"), covers=("2026-12-01", "2027-01-01")),
        demand("D-1"),
    )
    assert_books_hold(book)
    periods = {id_: one.billing and one.billing.period for id_, one in book.documents[Invoice].items()}
    assert periods == {
        OURS: Period(moment("2026-12-01"), moment("2027-01-01")),
        FIRST: Period(moment("2026-11-20"), moment("2026-11-21")),
    }


def test_a_subscription_with_prices_of_several_sellers():
    """A month of ours in advance, a month of SA-1's, and 3 GB of SA-2's at 0.333, of which 1.00 is left by rounding."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", "0.25", on="payment"), agent_of("SA-2", tax="0"))
    book.take(
        subscription(
            "S-1",
            monthly("P-1", "30"),
            monthly("P-2", "12.99", on_behalf_of="SA-1"),
            metered("P-3", "0.333", on_behalf_of="SA-2"),
            start="2026-11-01",
        ),
        usage("U-1", "3", "2026-11-05T10:00:00", price="P-3"),
        demand("D-1", on="2026-12-01"),
    )
    assert_books_hold(book)
    # November and December in advance; usage in arrears.
    assert bills(book) == {OURS: (None, 6000, 7200), FIRST: ("SA-1", 2598, 3118), OTHERS: ("SA-2", 100, 120)}
    assert book.position("SA-1").withheld == 3118
    book.take(payment("P-1", 7200 + 3118 + 120))
    # 3.12 and 3.12 of tax would be 6.24 of two lines; of 25.98 it is 5.20. 12.99 at 25 % is 3.2475.
    assert commissions(book) == [(1559, 325), (1559, 325)]
    assert commissions(book, "SA-2") == [(120, 10)]
    assert_books_hold(book)


def test_a_discount_is_the_sellers_own():
    """It waits for a bill of its seller that has room for it: what another one sells has none."""
    book = LedgerBook()
    book.take(
        billing(),
        agent_of(),
        charge("C-1", line("100")),
        charge("C-2", line("-5", behalf="SA-1")),
        demand("D-1"),
    )
    assert bills(book) == {OURS: (None, 10000, 10000)}
    book.take(charge("C-3", line("7", behalf="SA-1")), demand("D-2"))
    assert bills(book)[FIRST] == ("SA-1", 200, 200)
    assert_books_hold(book)


def test_more_sellers_than_one_part_has_go_on_in_another():
    """Three partners and we, where two fit: the demand is done in two parts, and each line is billed once."""
    book = LedgerBook()
    book.take(billing(), *(agent_of(f"SA-{n}") for n in (1, 2, 3)))
    book.take(*(charge(f"C-{n}", line("10", behalf=f"SA-{n}" if n else None)) for n in range(4)))
    with patch("domain.billing.gathering.SELLERS_MAX", 3), patch("domain.ordering.booking.SELLERS_MAX", 3):
        book.take(demand("D-1"))
    assert {id_: seller for id_, (seller, *_) in bills(book).items()} == {
        OURS: None,
        FIRST: "SA-1",
        OTHERS: "SA-2",
        "SA-3-000000001": "SA-3",
    }
    assert book.results["bill.demand:D-1"]["state"] == "inProgress"
    assert_books_hold(book)


@pytest.mark.parametrize("prefetch", [True, False])
def test_many_sellers_are_looked_at_at_once(prefetch):
    """Eighty: what is needed of each is asked for together, not of one after the other; and so are eighty notes.

    An order says before what it needs of its partners, or asks for one after the other.
    """
    book = LedgerBook(prefetch=prefetch)
    partners = [f"SA-{n}" for n in range(80)]
    book.take(billing(), *(agent_of(id_) for id_ in partners))
    book.take(
        order("O-1", *(line("1", behalf=id_) for id_ in (partners if prefetch else partners[:1]))),
        *(subscription(f"S-{id_}", monthly(on_behalf_of=id_), start="2026-11-01") for id_ in partners),
        demand("D-1", on="2026-11-22"),
        *(change("2026-11-11", "terminate", of=f"S-{id_}") for id_ in partners),
        demand("D-2", on="2026-11-22"),
    )
    assert_books_hold(book)
    assert (len(book.documents[Invoice]), len(book.documents[CreditNote])) == (160 if prefetch else 81, 80)


def test_what_is_asked_for_as_it_is_missed_comes_to_the_same():
    """Whatever of the books is loaded before, or one by one."""
    facts = (
        billing(),
        billing("BA-2", relationships=[relation("payer", "BA-1")]),
        agent_of("SA-1"),
        partner("SA-2"),
        agreement("A-2", "2026-11-01", account="SA-2", agent=as_agent(series="P.")),
        subscription("S-1", monthly(on_behalf_of="SA-1"), account="BA-2", start="2026-11-01"),
        payment("P-1", 1000),
        charge("C-1", line("10", "0.2", "SA-2")),
        charge("C-2", line("39.90", "0.2")),
        demand("D-1", on="2026-11-22"),
        change("2026-11-16", of="S-1", prices=(monthly(price="15", on_behalf_of="SA-1"),)),
        credit_note("N-1", "P.000000001", {"1": 500}),
        demand("D-2", on="2026-11-23"),
        order("O-1", line("5", "0.2", "SA-1"), line("6", "0.2", "SA-2"), line("7", "0.2")),
    )
    held = []
    for first_limit, prefetch in ((64, True), (1, False), (2, True)):
        for batch in (1, None):
            book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
            book.take(*facts, batch=batch)
            assert_books_hold(book)
            held.append((book.holdings(), book.refused.keys(), book.waiting.keys()))
            assert not book.refused
            assert not book.waiting
            assert len(book.documents[Invoice]) == 7
    assert all(one[0][Invoice].keys() == held[0][0][Invoice].keys() for one in held)
    assert held[0][0] == held[2][0] == held[4][0]


# -- what is looked at before


def test_a_preview_is_the_bill():
    """The same bills and notes in the same order, without their numbers; it leaves no trace."""
    book = billed_in_november()
    book.take(
        change("2026-11-16", of="S-1", prices=(monthly(price="15", on_behalf_of="SA-1"),)),
        charge("C-1", line("39.90", "0.2")),
        charge("C-2", line("10.01", "0.2", "SA-2")),
        agent_of("SA-2", series="P."),
    )
    before, told = book.holdings(), len(book.events)
    asked = BillPreview.model_validate({"billingAccount": "BA-1", "billingDate": "2026-11-23"})
    seen = asyncio.run(preview(asked, book.view()))
    assert (book.holdings(), len(book.events)) == (before, told)
    book.take(demand("D-2", on="2026-11-23"))
    made = [one.event for one in book.events[told:]]
    issued = [invoice_preview(one.invoice) for one in made if isinstance(one, InvoiceIssued)]
    credited = [credit_note_preview(one.note) for one in made if isinstance(one, CreditNoteIssued)]
    assert (len(issued), len(credited)) == (3, 1)
    # Both say by which demand they are made.
    without = [[{k: v for k, v in one.items() if k != "demandId"} for one in found] for found in (issued, credited)]
    assert [[{k: v for k, v in one.items() if k != "demandId"} for one in seen[k]] for k in seen] == without


# -- changes in the past


def billed_in_november() -> LedgerBook:
    """A month of 30.00 of SA-1's, billed in its name in advance."""
    book = LedgerBook()
    book.take(
        billing(),
        agent_of(),
        subscription("S-1", monthly(on_behalf_of="SA-1"), start="2026-11-01"),
        demand("D-1", on="2026-11-22"),
    )
    assert bills(book) == {FIRST: ("SA-1", 3000, 3600)}
    return book


def test_what_is_taken_back_is_on_the_sellers_bill():
    """From the 16th on it is 15.00: of November 15.00 goes back and 7.50 comes, and December is 15.00: 7.50 in all."""
    book = billed_in_november()
    book.take(
        change("2026-11-16", of="S-1", prices=(monthly(price="15", on_behalf_of="SA-1"),)),
        charge("C-1", line("100", "0.2")),
        demand("D-2", on="2026-12-01"),
    )
    assert_books_hold(book)
    assert bills(book) == {FIRST: ("SA-1", 3000, 3600), OURS: (None, 10000, 12000), SECOND: ("SA-1", 750, 900)}
    assert notes(book) == {}
    assert sorted(one.tax_excluded_amount for one in book.get(Invoice, SECOND).lines) == [-1500, 750, 1500]
    assert book.position("SA-1").payable == 4500
    # 3.00 of the first; of the second -1.50, 0.75 and 1.50.
    assert sum(commission for _, commission in commissions(book)) == 375


def test_what_would_be_below_zero_is_a_note_of_the_seller():
    """On the 22nd December is not due: -15.00 is more than 7.50, whatever else of ours is on the bill beside it."""
    book = billed_in_november()
    book.take(
        change("2026-11-16", of="S-1", prices=(monthly(price="15", on_behalf_of="SA-1"),)),
        charge("C-1", line("100", "0.2")),
        demand("D-2", on="2026-11-22"),
    )
    assert_books_hold(book)
    assert bills(book) == {FIRST: ("SA-1", 3000, 3600), OURS: (None, 10000, 12000), SECOND: ("SA-1", 750, 900)}
    assert notes(book) == {"CN-SA-1-000000001": ("SA-1", FIRST, 1800)}
    assert book.results["bill.demand:D-2"] == {
        "state": "done",
        "billNos": [OURS, SECOND],
        "creditNotes": ["CN-SA-1-000000001"],
    }
    # 36.00 + 120.00 + 9.00 - 18.00
    assert (book.position("SA-1").payable, book.position("BA-1").receivable) == (2700, 14700)
    assert commissions(book) == [(3600, 300), (900, 75), (-1800, -150)]


def test_each_seller_gives_back_its_own():
    """Two subscriptions end: a note of ours and one of the partner's, each of its own invoice."""
    book = LedgerBook()
    book.take(
        billing(),
        agent_of(on="payment"),
        subscription("S-1", monthly(), start="2026-11-01"),
        subscription("S-2", monthly(on_behalf_of="SA-1"), start="2026-11-01"),
        demand("D-1", on="2026-11-22"),
        payment("P-1", 5400),
    )
    # By due date, then by number: ours is paid, and half of the partner's.
    assert commissions(book) == [(1800, 150)]
    book.take(
        *(change("2026-11-11", "terminate", of=of) for of in ("S-1", "S-2")),
        demand("D-2", on="2026-11-22"),
    )
    assert_books_hold(book)
    # Ten days of thirty stay: 10.00, 12.00 with tax. 24.00 of each goes back: of the partner's 18.00 was open, and
    # 6.00 is credit again with the 24.00 of ours.
    assert notes(book) == {"CN-000000001": (None, OURS, 2400), "CN-SA-1-000000001": ("SA-1", FIRST, 2400)}
    assert (book.position("BA-1").unapplied, book.position("BA-1").receivable) == (3000, 0)
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (1200, 0)
    assert commissions(book) == [(1800, 150), (-600, -50)]


# -- a partner becomes an agent


def test_a_partner_becomes_an_agent_from_a_month_on():
    """November was ours, and what it billed too much goes back by our note; December is the partner's."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1", "0.8"),
        subscription("S-1", monthly(on_behalf_of="SA-1"), start="2026-11-01"),
        demand("D-1", on="2026-11-22"),
        agreement("A-1", "2026-12-01", agent=as_agent()),
        change("2026-11-16", "suspend", of="S-1"),
        change("2026-12-01", "resume", of="S-1"),
        demand("D-2", on="2026-12-01"),
    )
    assert_books_hold(book)
    assert bills(book) == {OURS: (None, 3000, 3600), FIRST: ("SA-1", 3000, 3600)}
    assert notes(book) == {"CN-000000001": (None, OURS, 1800)}
    # 24.00 of 30.00, less 12.00; then all of 36.00, with a commission of 3.00.
    assert commissions(book) == [(2400, 0), (3600, 300), (-1200, 0)]


def test_what_was_ours_is_taken_back_on_our_bill():
    """Our bill has room for it: the line takes back of ours by its terms, beside one of the partner's."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1", "0.8"),
        charge("C-1", line("30", "0.2", "SA-1")),
        demand("D-1", on="2026-11-22"),
        agreement("A-1", "2026-12-01", agent=as_agent()),
        charge("C-2", line("-10", "0.2", "SA-1"), corrects=(OURS, "1")),
        charge("C-3", line("50", "0.2")),
        charge("C-4", line("30", "0.2", "SA-1")),
        demand("D-2", on="2026-12-01"),
    )
    assert_books_hold(book)
    assert bills(book) == {OURS: (None, 3000, 3600), OURS_2: (None, 4000, 4800), FIRST: ("SA-1", 3000, 3600)}
    assert commissions(book) == [(2400, 0), (-800, 0), (3600, 300)]


def test_what_was_an_agents_is_taken_back_in_its_name():
    """It is one no more: what goes back is of its series still, by a note or on a bill of its own."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1", "0.8"),
        agreement("A-1", "2026-11-01", "2026-12-01", agent=as_agent(series="P.")),
        charge("C-1", line("30", "0.2", "SA-1")),
        demand("D-1", on="2026-11-22"),
        charge("C-2", line("-10", "0.2", "SA-1"), corrects=("P.000000001", "1")),
        charge("C-3", line("20", "0.2", "SA-1")),
        demand("D-2", on="2026-12-01"),
    )
    assert_books_hold(book)
    assert bills(book) == {"P.000000001": ("SA-1", 3000, 3600), OURS: (None, 2000, 2400)}
    assert notes(book) == {"CN-P.000000001": ("SA-1", "P.000000001", 1200)}
    assert commissions(book) == [(3600, 300), (1600, 0), (-1200, -100)]


# -- runs, payers, what is shown


def test_a_run_counts_the_bills_of_all_sellers():
    """Two accounts, three bills: 10.00, 20.00 and 5.00, with tax 12.00, 24.00 and 5.35."""
    book = LedgerBook()
    book.take(cycle(), in_cycle("BA-1"), in_cycle("BA-2"), agent_of())
    book.take(
        charge("C-1", line("10", "0.2")),
        charge("C-2", line("20", "0.2", "SA-1")),
        charge("C-3", line("5", "0.07", "SA-1"), account="BA-2"),
        bill_run(),
    )
    run = book.go_through("R-1")
    assert_books_hold(book)
    assert (run.billed, run.nothing_due, run.totals) == (2, 0, (RunTotal("EUR", 3500, 4135),))
    assert book.results["bill.account:R-1:BA-1"]["billNos"] == [OURS, FIRST]
    assert book.results["bill.account:R-1:BA-2"]["billNo"] == SECOND
    assert {one.billing and one.billing.bill_run for one in book.documents[Invoice].values()} == {"R-1"}


def test_a_payers_bill_is_one_of_each_seller_for_all_that_it_pays_for():
    """Its own 10.00 of ours; of SA-1 its own 1.00 and 2.00 of another account's, which the breakdown tells apart."""
    book = LedgerBook()
    book.take(
        billing("BA-1"),
        billing("BA-2", relationships=[relation("payer", "BA-1")]),
        agent_of(),
        charge("C-1", line("10", "0.2")),
        charge("C-2", line("1", "0.2", "SA-1")),
        charge("C-3", line("2", "0.2", "SA-1"), account="BA-2"),
        demand("D-1"),
    )
    assert_books_hold(book)
    assert bills(book) == {OURS: (None, 1000, 1200), FIRST: ("SA-1", 300, 360)}
    parts = breakdown_json(book.get(Invoice, FIRST))
    assert [(one["billingAccount"]["id"], one["taxIncludedAmount"]["value"], one["lines"]) for one in parts] == [
        ("BA-1", 1.2, ["1"]),
        ("BA-2", 2.4, ["2"]),
    ]
    assert book.position("BA-2").receivable == 0


def test_dunning_is_for_what_all_sellers_bills_are_overdue():
    """5.00 of ours is not worth a step, 5.00 and 6.00 are: one step for both; each bill is told to be overdue."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(
        procedure((5, "remind"), (7, "charge"), threshold="10"),
        billing("BA-1", days=0, refersTo={"dunningProcedure": "D-1"}),
        agent_of(on="payment"),
        order("O-1", line("5"), line("6", behalf="SA-1")),
    )
    for on in range(23, 30):
        book.begin_days(f"2026-11-{on}")
        book.take(look(f"2026-11-{on}"))
    assert_books_hold(book)
    overdue = [one.event.invoice.id for one in book.events if isinstance(one.event, InvoiceOverdue)]
    assert sorted(overdue) == [OURS, FIRST]
    assert [step.action for step in book.get(Dunning, "BA-1").steps] == ["remind", "charge"]
    # The fee is ours, and no partner's.
    book.take(demand("D-1", on="2026-11-29"))
    assert bills(book)[OURS_2] == (None, 450, 450)
    book.take(payment("P-1", 1550))
    assert_books_hold(book)
    assert book.get(Dunning, "BA-1").steps == ()
    assert commissions(book) == [(600, 60)]
