"""What is left to pay of a statement is requested: what is netted with it, what is withheld, what is transferred."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.frozen import replace
from domain.ledger.entries import Entry
from domain.payments.model import Payment
from domain.settlement.payouts import WithholdingRecorded
from domain.settlement.requesting import NettingApplied, PayoutRequested
from domain.settlement.statements import Settlement, WithheldTax, paid_to_date, tax_of_next, withheld_with
from tests.billing.test_audit import write
from tests.support.audits import quick_audit
from tests.support.books import Books
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    agreement,
    billing,
    closing,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
    withholding,
)
from tests.support.steady import STEADY, steady

DAY = "2026-11-22"


def earning(earned: int, *debts: tuple[int, int], **terms: Any) -> LedgerBook:
    """A book in which SA-1 has earned so much (minor units) by an agreement; BA-9 is the partner's as our customer.

    It owes so much of each of `debts`, due so many days after 22 November, which it is now.
    """
    book = LedgerBook()
    now = book.booked_at
    book.take(billing(), billing("BA-9", days=14), partner(share="1"), agreement("AG-1", DAY, share="1", **terms))
    for number, (debt, days) in enumerate(debts, 1):
        book.booked_at = now + timedelta(days=days - 14)
        book.take(order(f"O-{number}", line(f"{debt // 100}.{debt % 100:02d}", "0"), account="BA-9"))
    book.booked_at = now
    price = f"{earned // 100}.{earned % 100:02d}"
    book.take(order("O-earned", line("9000000.00", "0"), line(price, "0", "SA-1"), at=f"{DAY}T12:00:00"))
    return book


def requested(book: LedgerBook) -> list[tuple[str, int, int, int, int]]:
    """The payouts that were requested: id, amount, netted, withheld, transferred."""
    found = [event.event.settlement.request for event in book.events if isinstance(event.event, PayoutRequested)]
    return [(one.id, one.amount, one.netted, one.tax_withheld, one.transferred) for one in found if one is not None]


def withheld(book: LedgerBook) -> list[tuple[str, int, int]]:
    """What is withheld of C-1, by rate: base and tax."""
    return [(str(one.rate), one.base, one.amount) for one in book.settlement("C-1").withheld or ()]


def postings(book: LedgerBook, cause: str) -> dict[str, int]:
    """What an entry posts."""
    return {posting.account: posting.amount for posting in book.rows[Entry][cause].postings}


def test_a_statement_requests_its_payout():
    """All of it is to be transferred, under the statement's id; one that is carried forward requests nothing."""
    book = earning(63800)
    book.take(closing("C-1", until=DAY), closing("C-2", until=DAY))
    assert requested(book) == [("C-1", 63800, 0, 0, 63800)]
    assert book.events_of("SA-1")[-3:] == ["settlement.closed", "payout.requested", "settlement.closed"]
    book.take(payout("C-1", 63800, "C-1", transferred=63800))
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)


# -- withholding


def test_tax_is_withheld_of_a_payout():
    """4.5 % of 156,087.00 is 7,023.915, so 7,023.92, and 149,063.08 leave."""
    book = earning(15_608_700, withholding=withholding("0.045"))
    book.take(closing("C-1", until=DAY))
    assert requested(book) == [("C-1", 15_608_700, 0, 702_392, 14_906_308)]
    book.take(payout("C-1", 15_608_700, "C-1", transferred=14_906_308))
    assert postings(book, "payout.completed:C-1") == {
        "payable:SA-1": 15_608_700,
        "cash": -14_906_308,
        "taxWithheld": -702_392,
    }
    assert (book.settlement("C-1").tax_withheld, book.settlement("C-1").state) == (702_392, "paid")
    assert book.events_of("SA-1")[-2:] == ["settlement.paid", "withholding.recorded"]
    assert_books_hold(book)


def test_parts_of_a_payout_withhold_what_the_whole_does():
    """15 % and 5.5 % of that: of 333.33 it is 50.00 + 2.75, of 1,000.00 in all 158.25; the second part has the rest."""
    book = earning(100_000, withholding=withholding("0.15", "0.055"))
    book.take(closing("C-1", until=DAY), payout("PO-1", 33333, "C-1"), payout("PO-2", 66667, "C-1"))
    assert postings(book, "payout.completed:PO-1") == {"payable:SA-1": 33333, "cash": -28058, "taxWithheld": -5275}
    assert postings(book, "payout.completed:PO-2") == {"payable:SA-1": 66667, "cash": -56117, "taxWithheld": -10550}
    assert_books_hold(book)


def test_another_transfer_than_ours_is_refused():
    """What is said to have left has to be what is to leave."""
    book = earning(100_000, withholding=withholding("0.15"))
    book.take(closing("C-1", until=DAY), payout("PO-1", 100_000, "C-1", transferred=100_000))
    assert book.refused["payout.completed:PO-1"].code == "wrong-state"
    assert book.refused["payout.completed:PO-1"].detail == (
        "transferred: 1000.00 EUR, but of 1000.00 EUR 150.00 EUR is to be withheld, and 850.00 EUR transferred"
    )


def test_a_certificate_has_its_rate_while_it_is_valid():
    """5 % until 1 December; a part that is paid later has 15 % of its own base."""
    certificate = ("0.05", "2026-01-01T00:00:00", "2026-12-01T00:00:00")
    book = earning(100_000, withholding=withholding("0.15", certificate=certificate))
    book.take(closing("C-1", until=DAY), payout("PO-1", 40_000, "C-1"))
    book.booked_at = datetime.fromisoformat("2026-12-01T00:00:00+00:00")
    book.take(payout("PO-2", 60_000, "C-1"))
    assert requested(book) == [("C-1", 100_000, 0, 5_000, 95_000)]
    assert postings(book, "payout.completed:PO-1")["taxWithheld"] == -2_000
    assert postings(book, "payout.completed:PO-2")["taxWithheld"] == -9_000
    assert_books_hold(book)


def test_what_was_requested_is_withheld_as_it_was_fixed():
    """The certificate has ended before all of it is paid in one sum: it withholds what the request says."""
    certificate = ("0.05", "2026-01-01T00:00:00", "2026-12-01T00:00:00")
    book = earning(100_000, withholding=withholding("0.15", certificate=certificate))
    book.take(closing("C-1", until=DAY))
    book.booked_at = datetime.fromisoformat("2026-12-05T00:00:00+00:00")
    book.take(payout("C-1", 100_000, "C-1"))
    assert postings(book, "payout.completed:C-1")["taxWithheld"] == -5_000
    assert_books_hold(book)


PARTS = (payout("PO-1", 3, "C-1"), payout("PO-2", 1, "C-1"))
"""Of a statement of 0.10, at 15 %: 0.45 of a cent is none, and 0.6 of 0.04 is one, which the second part has."""


def test_a_part_that_came_back_takes_along_what_was_withheld_of_it(database: Books):
    """At 15 % of 0.03, 0.04 and 0.10 it is 0.00, 0.01 and 0.02; the first came back in December, when it is 30 %.

    Of the 0.07 that stand 0.02 was withheld, and stays so: the last part, of 0.03, has 0.01 (0.9 of a cent) at 30 %.
    """
    certificate = ("0.15", "2026-01-01T00:00:00", "2026-12-01T00:00:00")
    book = earning(10, withholding=withholding("0.3", certificate=certificate))
    book.take(closing("C-1", until=DAY), *PARTS, payout("PO-3", 6, "C-1"))
    assert withheld(book) == [("0.15", 10, 2)]
    book.booked_at = datetime.fromisoformat("2026-12-02T00:00:00+00:00")
    book.take(payout_return("PR-1", "PO-1"))
    assert withheld(book) == [("0.15", 7, 2)]
    assert_books_hold(book)
    book.take(payout("PO-4", 3, "C-1"))
    assert withheld(book) == [("0.15", 7, 2), ("0.3", 3, 1)]
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)
    write(book, database)
    checks = quick_audit(database, now=book.booked_at, relay_interval_seconds=5)["checks"]
    named = {"statements-match-withheld", "requests-withhold-by-their-rates", "statements-match-payouts"}
    assert {check["name"]: check["broken"] for check in checks if check["name"] in named} == {
        name: [] for name in named
    }


def test_a_part_has_no_less_than_nothing_withheld():
    """Of 0.01, that stands alone, 0.01 was withheld; of 0.02 it is none (0.3 of a cent), which would be one less."""
    book = earning(10, withholding=withholding("0.15"))
    book.take(closing("C-1", until=DAY), *PARTS, payout_return("PR-1", "PO-1"), payout("PO-3", 1, "C-1"))
    assert withheld(book) == [("0.15", 2, 1)]
    assert postings(book, "payout.completed:PO-3") == {"payable:SA-1": 1, "cash": -1}
    assert_books_hold(book)
    book.take(payout("PO-4", 8, "C-1"))
    assert withheld(book) == [("0.15", 10, 2)]
    assert_books_hold(book)


@steady(2_000, least=1_000)
@given(st.data())
def test_whatever_comes_back_what_is_withheld_is_of_what_stands(data):
    """In any order of parts, returns and rates; at the one rate that all is paid at it is the tax of all of it."""
    draw = data.draw
    rates = (Decimal("0.15"), Decimal(draw(st.sampled_from(("0.05", "0.3", "0.5")))))
    surcharge = draw(st.sampled_from((None, "0.055", "1")))
    total = draw(st.integers(8, 24))
    untaxed = draw(st.integers(0, total - 1))
    agreed = withholding("0.15", surcharge)
    settlement = Settlement(
        *("C-1", "SA-1", "EUR", "C-1", date(2026, 11, 22), (), 0, None, total, 0, "open", datetime.now(tz=UTC)),
        withholding=agreed,
        self_billed_tax=untaxed or None,
    )
    standing: list[tuple[int, WithheldTax]] = []
    back: list[Decimal] = []
    steps = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.sampled_from(rates)), min_size=3, max_size=9))
    for comes_back, n, rate in (*steps, (False, total - 1, rates[0])):
        if comes_back and standing:
            amount, tax = standing.pop(n % len(standing))
            settlement = replace(settlement, withheld=withheld_with(settlement, tax, -1))
            settlement = paid_to_date(settlement, settlement.paid - amount)
            back.append(tax.rate)
        elif settlement.unpaid:
            amount = min(n + 1, settlement.unpaid)
            tax = tax_of_next(settlement, amount, rate)
            assert tax.base >= 0
            assert 0 <= tax.amount <= amount
            settlement = replace(settlement, withheld=withheld_with(settlement, tax))
            settlement = paid_to_date(settlement, settlement.paid + amount)
            standing.append((amount, tax))
    assert settlement.state == "paid"
    assert sum(tax.base for _, tax in standing) == total - untaxed
    for rate in rates:
        here = [(amount, tax) for amount, tax in standing if tax.rate == rate]
        found = next((one for one in settlement.withheld or () if one.rate == rate), WithheldTax(rate, 0, 0))
        assert (found.base, found.amount) == (sum(t.base for _, t in here), sum(t.amount for _, t in here))
        off = found.amount - agreed.tax(found.base, rate)
        is_short = off < 0 and any(tax.amount == amount for amount, tax in here)
        others = len(standing) - len(here)
        assert is_short or abs(off) <= (2 * (1 + back.count(rate)) if others else 0)


def test_a_payout_that_came_back_is_withheld_anew():
    """Cash and tax come back, and what is left is requested again, with an id of its own."""
    book = earning(100_000, withholding=withholding("0.15"))
    book.take(closing("C-1", until=DAY), payout("C-1", 100_000, "C-1"), payout_return("PR-1", "C-1"))
    assert postings(book, "payout.returned:PR-1") == {"cash": 85_000, "taxWithheld": 15_000, "payable:SA-1": -100_000}
    assert (book.settlement("C-1").state, book.settlement("C-1").tax_withheld) == ("open", 0)
    assert requested(book)[1:] == [("C-1-r2", 100_000, 0, 15_000, 85_000)]
    recorded = [event.event for event in book.events if isinstance(event.event, WithholdingRecorded)]
    assert [one.payout.returned is not None for one in recorded] == [False, True]
    book.take(payout("C-1-r2", 100_000, "C-1", transferred=85_000))
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)


# -- netting


def test_what_the_partner_owes_and_is_due_is_netted():
    """300.00 of 1,000.00: the invoice is settled, and 700.00 are to be paid."""
    book = earning(100_000, (30_000, 0), netting="BA-9")
    book.take(closing("C-1", until=DAY))
    assert postings(book, "netting.apply:C-1") == {"payable:SA-1": 30_000, "receivable:BA-9": -30_000}
    assert book.invoice(1).state == "settled"
    assert requested(book) == [("C-1", 100_000, 30_000, 0, 70_000)]
    assert (book.settlement("C-1").netted, book.settlement("C-1").state) == (30_000, "partiallyPaid")
    [applied] = [event.event for event in book.events if isinstance(event.event, NettingApplied)]
    assert (applied.billing_account, applied.netted) == ("BA-9", (("INV-000000001", 30_000),))
    assert book.events_of("SA-1")[-3:] == ["settlement.closed", "netting.applied", "payout.requested"]
    assert book.events_of("BA-9")[-2:] == ["payment.allocated", "invoice.paid"]
    assert_books_hold(book)


@pytest.mark.parametrize("amount", [100_000, 70_000])
def test_the_payout_of_what_is_left_settles_the_statement(amount):
    """Whether it says the amount that was requested, with what was netted, or what is left."""
    book = earning(100_000, (30_000, 0), netting="BA-9")
    book.take(closing("C-1", until=DAY))
    book.take(payout("PO-1", amount, "C-1", transferred=70_000))
    assert postings(book, "payout.completed:PO-1") == {"payable:SA-1": 70_000, "cash": -70_000}
    assert (book.settlement("C-1").paid, book.settlement("C-1").state) == (100_000, "paid")
    book.take(payout_return("PR-1", "PO-1"))
    assert (book.settlement("C-1").paid, book.settlement("C-1").netted) == (30_000, 30_000)
    assert requested(book)[1:] == [("C-1-r2", 70_000, 0, 0, 70_000)]
    assert_books_hold(book)


def test_only_what_is_due_is_netted_the_oldest_first():
    """Due on the 21st and the 22nd is netted, on the 23rd is not; the last one as far as the payable goes."""
    book = earning(50_000, (30_000, 0), (40_000, -1), (100, 1), netting="BA-9")
    book.take(closing("C-1", until=DAY))
    [applied] = [event.event for event in book.events if isinstance(event.event, NettingApplied)]
    assert applied.netted == (("INV-000000002", 40_000), ("INV-000000001", 10_000))
    assert book.settlement("C-1").state == "paid"
    assert requested(book) == []
    assert_books_hold(book)


def test_what_is_disputed_is_not_netted():
    """A dispute about 100.00 of 300.00 leaves 200.00."""
    book = earning(100_000, (30_000, 0), netting="BA-9")
    book.take(dispute("D-1", "INV-000000001", {"1": 10_000}), closing("C-1", until=DAY))
    assert book.settlement("C-1").netted == 20_000
    assert_books_hold(book)


def test_what_is_to_be_withheld_is_not_netted():
    """Of 1,000.00 with 15 % tax 850.00 are netted at most; the payout of the rest withholds of all that is stated."""
    book = earning(100_000, (200_000, 0), netting="BA-9", withholding=withholding("0.15"))
    book.take(closing("C-1", until=DAY))
    assert requested(book) == [("C-1", 100_000, 85_000, 15_000, 0)]
    book.take(payout("C-1", 100_000, "C-1", transferred=0))
    assert postings(book, "payout.completed:C-1") == {"payable:SA-1": 15_000, "taxWithheld": -15_000}
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)


def test_what_was_netted_is_credit_once_the_invoice_is_credited():
    """A credit note of the invoice gives the partner credit as our customer, as if it had paid it."""
    book = earning(100_000, (30_000, 0), netting="BA-9")
    book.take(closing("C-1", until=DAY))
    book.take(credit_note("N-1", "INV-000000001"))
    assert book.position("BA-9").unapplied == 30_000
    assert book.get(Payment, "netting~C-1").unapplied == 30_000
    assert_books_hold(book)


def test_netting_finds_the_account_and_its_currency():
    """An agreement waits for the account that it names; one in another currency does not fit."""
    book = LedgerBook()
    book.take(partner(share="1"), agreement("AG-1", DAY, netting="BA-9"))
    assert book.waiting["agreement.create:AG-1"][1].code == "unknown-account"
    book.take(billing("BA-9", currency="USD"))
    assert book.refused["agreement.create:AG-1"].code == "currency-mismatch"


def test_what_was_paid_before_is_not_netted():
    """The partner has paid its invoice itself: all of the statement is to be transferred."""
    book = earning(100_000, (30_000, 0), netting="BA-9")
    book.take(payment("P-1", 30_000, account="BA-9"), closing("C-1", until=DAY))
    assert requested(book) == [("C-1", 100_000, 0, 0, 100_000)]
    assert_books_hold(book)


@STEADY
@given(st.data())
def test_all_that_is_stated_is_netted_withheld_or_transferred(data):
    """Whatever is owed, in whatever parts it is paid and comes back: each cent goes one of these ways."""
    draw = data.draw
    terms: dict[str, Any] = {}
    if draw(st.booleans()):
        terms["netting"] = "BA-9"
    if draw(st.booleans()):
        surcharge = draw(st.sampled_from((None, "0.055", "1")))
        terms["withholding"] = withholding(draw(st.sampled_from(("0", "0.045", "0.15", "0.333"))), surcharge)
    total = draw(st.integers(1, 100_000))
    debts = draw(st.lists(st.integers(1, 60_000), max_size=3))
    book = earning(total, *((debt, -n) for n, debt in enumerate(debts)), **terms)
    book.take(closing("C-1", until=DAY))
    for n in range(draw(st.integers(0, 4))):
        left = book.settlement("C-1").left
        if not left:
            break
        book.take(payout(f"PO-{n}", draw(st.integers(1, left)), "C-1"))
        if draw(st.booleans()):
            book.take(payout_return(f"PR-{n}", f"PO-{n}"))
    if left := book.settlement("C-1").left:
        book.take(payout("PO-last", left, "C-1"))
    assert not book.refused
    found = book.settlement("C-1")
    assert found.state == "paid"
    cash = -sum(p.amount for e in book.rows[Entry].values() for p in e.postings if p.account == "cash")
    assert cash + found.tax_withheld + (found.netted or 0) == total
    assert_books_hold(book)
