"""Self-billing: we issue the partner's invoices to us, in its series, of what closings state."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest

from adapters.settlement.queries import preview
from domain.ledger.numbering import Series
from domain.settlement import accruals
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.earnings import ChargedFee, ChargedPart, Earnings
from domain.settlement.statements import HeldForward, Hold
from domain.settlement.terms import SelfBilling
from schemas.settlement.queries import SettlementPreview
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    accepts,
    adjustment,
    agent_of,
    agreed,
    agreement,
    as_agent,
    billing,
    charge,
    closing,
    credit_note,
    demand,
    disputes,
    fixed_fee,
    guarantee,
    holdback,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
    self_billing,
    withholding,
)

DAY = "2026-11-22"
INV1, INV2 = "INV-000000001", "INV-000000002"
FIRST = "SB-SA-1-000000001"


def opened(*facts: Fact) -> LedgerBook:
    """BA-1, SA-1 and SA-2; 22 November has begun."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner(share="1"), partner("SA-2", share="1"), *facts)
    return book


# -- what is agreed


def test_the_series_of_an_agreement_is_the_partners_from_then_on():
    """It is kept with its owner before a number is taken of it, and agreed again with the same partner."""
    book = opened(agreement("AG-1", "2026-11-01", self_billing=self_billing()))
    assert book.get(Series, "SB-SA-1-") == Series("SB-SA-1-", 0, "SA-1", "selfBilling")
    book.take(agreed("AG-1", "2026-11-10", self_billing=self_billing(rate="0.19")))
    assert not book.refused
    assert [one.closings.self_billing for one in book.get(Agreement, "AG-1").agreed] == [
        SelfBilling("SB-SA-1-", "S", Decimal("0.2")),
        SelfBilling("SB-SA-1-", "S", Decimal("0.19")),
    ]


@pytest.mark.parametrize(
    ("series", "why"),
    [
        ("INV-", "INV- is a series of ours"),
        ("CN-", "CN- is a series of ours"),
        ("SB-SA-1-", "SB-SA-1- is the series of another partner"),
        (
            "CN-SA-3-",
            (
                "CN-SA-3- is none of a partner's self-billed documents: "
                "it may not begin with CN-, which the credit notes' do"
            ),
        ),
    ],
)
def test_a_series_that_is_ours_or_anothers_is_refused_where_it_is_agreed(series, why):
    """Whether our series has given a number yet or not; when it is created, and when it is changed."""
    book = opened(
        agreement("AG-1", "2026-11-01", self_billing=self_billing()), agreement("AG-2", "2026-11-01", account="SA-2")
    )
    refused = ("invalid", f"terms.selfBilling.series: {why}")
    assert (
        book.refusal(agreement("AG-3", "2025-01-01", "2025-02-01", account="SA-2", self_billing=self_billing(series)))
        == refused
    )
    assert book.refusal(agreed("AG-2", "2026-11-10", self_billing=self_billing(series))) == refused


def test_a_series_is_of_one_kind_of_documents():
    """The invoices that we wrote in a partner's name have no gap in their series: its own documents take another."""
    book = LedgerBook()
    book.take(agent_of("SA-1"))
    fact = agreement("AG-1", "2026-11-23", share="1", self_billing=self_billing("SA-1-"))
    why = "SA-1- is the series of this partner's invoices, and of nothing else"
    assert book.refusal(fact) == ("invalid", f"terms.selfBilling.series: {why}")
    book.take(agreement("AG-2", "2026-11-23", share="1", self_billing=self_billing("SB-SA-1-")))
    code, detail = book.refusal(agreed("AG-2", "2026-11-24", agent=as_agent(series="SB-SA-1-")))
    assert (code, detail.rpartition(": ")[2]) == (
        "invalid",
        "SB-SA-1- is the series of this partner's self-billed documents, and of nothing else",
    )


def test_a_fixed_fee_can_be_agreed_of_as_many_past_days_as_a_guarantee():
    """3,660 days before 22 November 2026 is 14 November 2016."""
    book = opened(agreement("AG-1", "2016-11-14", fixed_fee=fixed_fee(1000)))
    assert not book.refused
    assert book.refusal(agreement("AG-2", "2016-11-13", account="SA-2", fixed_fee=fixed_fee(1000))) == (
        "invalid",
        "terms.fixedFee: can begin on 2016-11-14 at the earliest, not on 2016-11-13",
    )


# -- documents


def earn(id_: str, amount: int, on: str = DAY, partner_id: str = "SA-1") -> Fact:
    """An order that earns a partner an amount (minor units) by a share of all, with a line of ours."""
    price = f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"
    return order(id_, line("90000.00"), line(price, "0", partner_id), at=f"{on}T12:00:00")


def documents(book: LedgerBook) -> list[tuple[str, str, int, int, str | None]]:
    """All documents as they were issued: number, type, net, tax, and what each corrects."""
    found = []
    for one in book.documents[SettlementDocument].values():
        tax = one.tax_included_amount - one.tax_excluded_amount
        found.append((one.id, one.type_code, one.tax_excluded_amount, tax, one.corrects))
    return found


def stated(book: LedgerBook, id_: str) -> list[tuple[str, int]]:
    """The lines of a statement, what was earned by lines and adjustments in one sum, then the total."""
    found = book.settlement(id_)
    earned = sum(one.amount for one in found.lines if one.step is None)
    steps = [(one.step.kind, one.amount) for one in found.lines if one.step is not None]
    return [("earned", earned), *steps, ("total", found.total)]


def self_billed(*facts: Fact, **terms: Any) -> LedgerBook:
    """SA-1 is self-billed since 1 November, at 20 % unless other terms are said; facts follow."""
    return opened(agreement("AG-1", "2026-11-01", share="1", **{"self_billing": self_billing(), **terms}), *facts)


def test_what_was_earned_is_a_self_billed_invoice_and_what_falls_a_credit_note_that_names_it():
    """80.00 at 20 % are 96.00; 16.00 that are taken back later are 3.20 of tax, 19.20."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY))
    assert documents(book) == [("SB-SA-1-000000001", "389", 8000, 1600, None)]
    assert stated(book, "C-1") == [("earned", 8000), ("selfBilledTax", 1600), ("total", 9600)]
    assert book.postings("settlement.close:C-1") == [("inputTax S 0.2", 1600), ("payable:SA-1", -1600)]
    assert book.events_of("SA-1")[-3:] == ["settlement.closed", "self-billing.issued", "payout.requested"]
    book.take(credit_note("N-1", INV1, {"2": 1600}), closing("C-2", until="2026-11-30"))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 1600, 320, "SB-SA-1-000000001")]
    assert stated(book, "C-2") == [("earned", -1600), ("selfBilledTax", -320), ("total", -1920)]
    assert book.postings("settlement.close:C-2") == [("inputTax S 0.2", -320), ("payable:SA-1", 320)]
    assert_books_hold(book)


def test_a_self_billed_invoice_is_taxed_by_the_partners_rate():
    """80.00 at 19 % are 15.20 of tax: input tax, and payable with the net that the accrual has booked."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), self_billing=self_billing(rate="0.19"))
    assert documents(book) == [("SB-SA-1-000000001", "389", 8000, 1520, None)]
    assert book.get(SettlementDocument, "SB-SA-1-000000001").tax_included_amount == 9520
    assert book.postings("settlement.close:C-1") == [("inputTax S 0.19", 1520), ("payable:SA-1", -1520)]
    assert_books_hold(book)


def test_each_partner_has_a_series_without_a_gap_and_ours_does_not_move():
    """SA-1, SA-2, SA-1; our seven invoices have been numbered before, and the next one is the eighth."""
    book = self_billed(
        agreement("AG-2", "2026-11-01", share="1", account="SA-2", self_billing=self_billing("SB-SA-2-"))
    )
    book.take(*(earn(f"O-{n}", 1000, partner_id=("SA-1", "SA-2")[n % 2]) for n in range(7)))
    assert book.get(Series, "INV-").last == 7
    book.take(closing("C-1", until=DAY), closing("C-2", account="SA-2", until=DAY))
    book.take(adjustment("A-1", 1000), closing("C-3", until="2026-11-30"))
    assert [number for number, *_ in documents(book)] == ["SB-SA-1-000000001", "SB-SA-2-000000001", "SB-SA-1-000000002"]
    assert book.get(Series, "INV-").last == 7
    assert_books_hold(book)


def test_with_reverse_charge_a_document_has_no_tax_and_we_owe_it():
    """80.00 in the category AE: 16.00 at 20 % are owed and come back; the statement has 80.00."""
    terms = self_billing(rate="0", category="AE", reverse="0.2")
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), self_billing=terms)
    assert documents(book) == [("SB-SA-1-000000001", "389", 8000, 0, None)]
    assert stated(book, "C-1") == [("earned", 8000), ("total", 8000)]
    assert book.postings("settlement.close:C-1") == [("inputTax AE 0.2", 1600), ("tax AE 0.2", -1600)]
    book.take(credit_note("N-1", INV1, {"2": 8000}), closing("C-2", until="2026-11-30"))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 8000, 0, "SB-SA-1-000000001")]
    assert book.postings("settlement.close:C-2") == [("inputTax AE 0.2", -1600), ("tax AE 0.2", 1600)]
    assert_books_hold(book)


def test_without_tax_a_document_posts_nothing():
    """In the category Z: the invoice has a number, the closing no entry."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), self_billing=self_billing(rate="0", category="Z"))
    assert documents(book) == [("SB-SA-1-000000001", "389", 8000, 0, None)]
    assert_books_hold(book)


def test_what_a_line_earns_and_loses_within_one_closing_is_taken_together():
    """80.00 less 16.00 that a note takes back before the closing: one invoice of 64.00."""
    book = self_billed(earn("O-1", 8000), credit_note("N-1", INV1, {"2": 1600}), closing("C-1", until="2026-11-30"))
    assert documents(book) == [("SB-SA-1-000000001", "389", 6400, 1280, None)]
    assert_books_hold(book)


def test_what_falls_of_a_line_corrects_the_invoice_that_has_it():
    """Not the latest: O-1 is on the first invoice, O-2 on the second; a note takes 10.00 of O-1 back."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY))
    book.take(earn("O-2", 5000, "2026-11-23"), closing("C-2", until="2026-11-23"))
    book.take(credit_note("N-1", INV1, {"2": 1000}), closing("C-3", until="2026-11-30"))
    assert documents(book)[2:] == [("SB-SA-1-000000003", "261", 1000, 200, "SB-SA-1-000000001")]
    assert_books_hold(book)


def test_a_line_that_was_paid_in_parts_gives_back_the_latest_part_first():
    """40.00 and 60.00 on two invoices; 70.00 fall: 60.00 of the second and 10.00 of the first, then the rest."""
    book = self_billed(on="payment")
    book.take(order("O-1", line("100", "0", "SA-1"), at="2026-11-22T12:00:00"), payment("P-1", 4000))
    book.take(closing("C-1", until=DAY), payment("P-2", 6000, at="2026-11-23T10:00:00"))
    book.take(
        closing("C-2", until="2026-11-23"), credit_note("N-1", INV1, {"1": 7000}), closing("C-3", until="2026-11-30")
    )
    assert documents(book) == [
        ("SB-SA-1-000000001", "389", 4000, 800, None),
        ("SB-SA-1-000000002", "389", 6000, 1200, None),
        ("SB-SA-1-000000003", "261", 1000, 200, "SB-SA-1-000000001"),
        ("SB-SA-1-000000004", "261", 6000, 1200, "SB-SA-1-000000002"),
    ]
    book.take(credit_note("N-2", INV1, {"1": 3000}), closing("C-4", until="2026-11-30"))
    assert documents(book)[4:] == [("SB-SA-1-000000005", "261", 3000, 600, "SB-SA-1-000000001")]
    assert not book.get(SettlementDocument, "SB-SA-1-000000001").is_open
    assert_books_hold(book)


def test_credit_notes_take_all_of_an_invoices_tax_in_the_end():
    """1.01 at 20 % is 0.20 of tax. Three times 0.33, then 0.02: 0.07, 0.06, 0.07 and 0.00 of tax."""
    book = self_billed(earn("O-1", 101), closing("C-1", until=DAY))
    for n, amount in enumerate((33, 33, 33, 2)):
        book.take(credit_note(f"N-{n}", INV1, {"2": amount}), closing(f"D-{n}", until="2026-11-30"))
    assert [(net, tax) for _, code, net, tax, _ in documents(book) if code == "261"] == [
        (33, 7),
        (33, 6),
        (33, 7),
        (2, 0),
    ]
    assert_books_hold(book)


def test_what_has_no_line_corrects_the_latest_invoice_of_which_something_is_left():
    """Of 80.00 and 50.00 an adjustment takes 60.00: 50.00 of the second, 10.00 of the first."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY))
    book.take(earn("O-2", 5000, "2026-11-23"), closing("C-2", until="2026-11-23"))
    book.take(adjustment("A-1", -6000), closing("C-3", until="2026-11-30"))
    assert documents(book)[2:] == [
        ("SB-SA-1-000000003", "261", 1000, 200, "SB-SA-1-000000001"),
        ("SB-SA-1-000000004", "261", 5000, 1000, "SB-SA-1-000000002"),
    ]
    assert_books_hold(book)


def given_a_discount(*facts: Fact, **said: Any) -> LedgerBook:
    """An order of 100.00 less 10.00, both SA-1's, is stated; at 19 %."""
    sold = order("O-1", line("90000.00"), line("100", "0", "SA-1"), line("-10", "0", "SA-1"), at=f"{DAY}T12:00:00")
    return self_billed(*facts, sold, closing("C-1", until=DAY), **{"self_billing": self_billing(rate="0.19"), **said})


def test_what_a_lines_own_invoices_have_no_room_for_is_of_the_latest_of_which_something_is_left():
    """A discount of 10.00 is of the 389 of its statement. As all is credited it rises: the rest of the line is of that.

    19.00 − 1.90 of tax, then 1.90 − 17.10 − 1.90: nothing is left of either invoice, nor of the tax.
    """
    book = given_a_discount()
    assert documents(book) == [
        ("SB-SA-1-000000001", "389", 10000, 1900, None),
        ("SB-SA-1-000000002", "261", 1000, 190, "SB-SA-1-000000001"),
    ]
    assert stated(book, "C-1") == [("earned", 9000), ("selfBilledTax", 1710), ("total", 10710)]
    book.take(credit_note("N-1", INV1, {"2": 10000, "3": -1000}), closing("C-2", until="2026-11-30"))
    assert documents(book)[2:] == [
        ("SB-SA-1-000000003", "389", 1000, 190, None),
        ("SB-SA-1-000000004", "261", 9000, 1710, "SB-SA-1-000000001"),
        ("SB-SA-1-000000005", "261", 1000, 190, "SB-SA-1-000000003"),
    ]
    assert stated(book, "C-2") == [("earned", -9000), ("selfBilledTax", -1710), ("total", -10710)]
    assert not any(one.is_open for one in book.documents[SettlementDocument].values())
    assert_books_hold(book)


def test_a_discount_takes_nothing_of_an_invoice_with_another_tax():
    """80.00 of a day before have 7 %: the discount of a day on which nothing else was earned names none."""
    book = self_billed(earn("O-0", 8000, "2026-11-20"), self_billing=self_billing(rate="0.07"))
    book.take(agreed("AG-1", DAY, "1", self_billing=self_billing(rate="0.19")), closing("C-0", until=DAY))
    book.take(earn("O-1", -1000), closing("C-1", until=DAY))
    assert documents(book) == [
        ("SB-SA-1-000000001", "389", 8000, 560, None),
        ("SB-SA-1-000000002", "261", 1000, 190, None),
    ]
    assert_books_hold(book)


def test_what_no_invoice_is_left_for_is_a_credit_note_that_names_none():
    """Nothing was invoiced before: 60.00 are taken back of what was earned by other terms."""
    book = self_billed(adjustment("A-1", -6000), closing("C-1", until="2026-11-30"))
    assert documents(book) == [("SB-SA-1-000000001", "261", 6000, 1200, None)]
    assert stated(book, "C-1") == [("earned", -6000), ("selfBilledTax", -1200), ("total", -7200)]
    assert_books_hold(book)


def test_an_adjustment_corrects_the_invoice_of_the_line_that_it_names():
    """O-1's, though O-2's is later; also where both are stated at once."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), earn("O-2", 5000), closing("C-2", until=DAY))
    book.take(adjustment("A-1", -1000, corrects=(INV1, "2")), closing("C-3", until="2026-11-30"))
    assert documents(book)[2:] == [("SB-SA-1-000000003", "261", 1000, 200, "SB-SA-1-000000001")]
    book.take(
        earn("O-3", 700), adjustment("A-2", -300, corrects=("INV-000000003", "2")), closing("C-4", until="2026-11-30")
    )
    assert documents(book)[3:] == [
        ("SB-SA-1-000000004", "389", 700, 140, None),
        ("SB-SA-1-000000005", "261", 300, 60, "SB-SA-1-000000004"),
    ]
    assert_books_hold(book)


def test_what_is_earned_goes_by_the_terms_of_its_day():
    """9 November is not self-billed, the 10th at 20 %, the 24th at 10 %: one invoice with two tax groups."""
    book = opened(agreement("AG-1", "2026-11-01", share="1"))
    book.take(agreed("AG-1", "2026-11-10", "1", self_billing=self_billing()))
    book.take(agreed("AG-1", "2026-11-24", "1", self_billing=self_billing(rate="0.1")))
    book.take(earn("O-1", 1000, "2026-11-09"), earn("O-2", 2000, "2026-11-10"), earn("O-3", 4000, "2026-11-24"))
    book.take(closing("C-1", until="2026-11-30"))
    [invoice] = book.documents[SettlementDocument].values()
    assert [(str(one.rate), one.tax_excluded_amount, one.tax_amount) for one in invoice.tax_item] == [
        ("0.2", 2000, 400),
        ("0.1", 4000, 400),
    ]
    assert [(one.kind, one.agreement, one.amount, str(one.start)) for one in invoice.lines] == [
        ("accrual", "AG-1", 2000, "2026-11-10"),
        ("accrual", "AG-1", 4000, "2026-11-24"),
    ]
    assert_books_hold(book)


def test_what_falls_after_self_billing_has_ended_corrects_its_invoice_still():
    """Agreed otherwise from the 23rd on: a note of the 25th is a credit note, what is earned then no document's."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), agreed("AG-1", "2026-11-23", "1"))
    book.take(earn("O-2", 500, "2026-11-25"), credit_note("N-1", INV1, {"2": 1000}), closing("C-2", until="2026-11-30"))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 1000, 200, "SB-SA-1-000000001")]
    assert_books_hold(book)


def test_what_falls_goes_by_the_tax_group_that_its_line_has_in_the_invoice():
    """O-1 at 20 %, O-2 at 10 % on one invoice: 80.00 of O-1, credited when 10 % hold, take 16.00 of tax back."""
    book = opened(
        agreement("AG-1", "2026-11-01", share="1", self_billing=self_billing()),
        agreed("AG-1", "2026-11-20", share="1", self_billing=self_billing(rate="0.1")),
    )
    book.take(earn("O-1", 8000, "2026-11-05"), earn("O-2", 8000, "2026-11-21"), closing("C-1", until=DAY))
    assert documents(book) == [(FIRST, "389", 16000, 2400, None)]
    book.take(credit_note("N-1", INV1, {"2": 8000}), closing("C-2"))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 8000, 1600, FIRST)]
    book.take(adjustment("A-1", -8000, corrects=(INV2, "2")), closing("C-3"))
    assert documents(book)[2:] == [("SB-SA-1-000000003", "261", 8000, 800, FIRST)]
    assert_books_hold(book)


def test_the_tax_group_of_a_line_is_that_by_which_its_invoice_was_issued():
    """O-1 was invoiced at 20 %, and 10 % are agreed of its day since: 16.00 of tax come back still."""
    book = opened(
        agreement("AG-1", "2026-11-01", share="1", self_billing=self_billing()),
        agreed("AG-1", "2026-11-20", share="1", self_billing=self_billing(rate="0.1")),
    )
    book.take(earn("O-1", 8000, "2026-11-05"), earn("O-2", 8000, "2026-11-21"), closing("C-1", until=DAY))
    book.begin_days("2026-11-23")
    book.take(agreed("AG-1", "2026-11-01", share="1", self_billing=self_billing(rate="0.1")))
    book.take(credit_note("N-1", INV1, {"2": 8000}), closing("C-2"))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 8000, 1600, FIRST)]
    assert_books_hold(book)


def test_what_falls_of_a_line_that_was_not_self_billed_has_no_document():
    """Self-billed from the 20th on: 80.00 of the 5th had no tax, and none comes back; by a note, or an adjustment."""
    terms = agreement("AG-1", "2026-11-20", share="1", self_billing=self_billing())
    book = opened(terms, earn("O-1", 8000, "2026-11-05"), closing("C-1", until="2026-11-15"))
    book.take(credit_note("N-1", INV1, {"2": 8000}), closing("C-2"))
    assert stated(book, "C-2") == [("earned", -8000), ("total", -8000)]
    assert not documents(book)
    assert_books_hold(book)
    book = opened(terms, earn("O-1", 8000, "2026-11-05"), adjustment("A-1", -8000, corrects=(INV1, "2")))
    book.take(closing("C-2"))
    assert stated(book, "C-2") == [("earned", 0), ("total", 0)]
    assert not documents(book)
    assert_books_hold(book)


def test_what_is_corrected_of_past_days_goes_by_the_day_of_its_line():
    """Self-billed in October: 100.00 at 70 %, at 75 % since; 5.00 more have 1.00 of tax, also in November."""
    book = opened(agreement("AG-1", "2026-10-01", "2026-11-01", share="0.7", self_billing=self_billing()))
    book.take(earn("O-1", 10000, "2026-10-05"), closing("C-1", until="2026-10-31"))
    book.take(agreed("AG-1", "2026-10-01", share="0.75", self_billing=self_billing()), closing("C-2"))
    assert documents(book) == [(FIRST, "389", 7000, 1400, None), ("SB-SA-1-000000002", "389", 500, 100, None)]
    assert stated(book, "C-2") == [("earned", 500), ("selfBilledTax", 100), ("total", 600)]
    book.take(agreed("AG-1", "2026-10-01", share="0.65", self_billing=self_billing()), closing("C-3"))
    assert [one[1:] for one in documents(book)[2:]] == [
        ("261", 500, 100, FIRST),
        ("261", 500, 100, "SB-SA-1-000000002"),
    ]
    assert_books_hold(book)


@pytest.mark.parametrize("on", ["invoice", "payment"])
def test_an_adjustment_of_an_agents_line_is_in_no_self_billed_document(on):
    """What SA-1 has sold itself it invoices itself, though what we sell is self-billed from the 23rd on."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), agent_of(on=on), order("O-1", line("100.00", "0.2", "SA-1")), closing("C-1", until=DAY))
    book.take(agreement("AG-1", "2026-11-23", share="1", self_billing=self_billing()))
    issued = documents(book)
    book.take(adjustment("A-1", -4000, corrects=("SA-1-000000001", "1"), on="2026-11-24"), closing("C-2"))
    assert stated(book, "C-2") == [("earned", -4000), ("total", -4000)]
    assert documents(book) == issued
    assert_books_hold(book)


def test_what_an_adjustment_took_of_a_line_is_not_taken_again_of_its_invoice():
    """O-1 and O-2 have 80.00 each of one invoice; O-1 is adjusted, then both are credited: its 80.00 name none."""
    book = self_billed(earn("O-1", 8000), earn("O-2", 8000), closing("C-1", until=DAY))
    book.take(adjustment("A-1", -8000, corrects=(INV1, "2")), closing("C-2"))
    book.take(credit_note("N-1", INV1, {"2": 8000}), credit_note("N-2", INV2, {"2": 8000}), closing("C-3"))
    assert documents(book)[1:] == [
        ("SB-SA-1-000000002", "261", 8000, 1600, FIRST),
        ("SB-SA-1-000000003", "261", 8000, 1600, FIRST),
        ("SB-SA-1-000000004", "261", 8000, 1600, None),
    ]
    assert book.get(Accrual, f"{INV1}/2").corrected_by == ("settlement.adjust/A-1",)
    assert_books_hold(book)


def test_an_adjustment_and_a_note_of_one_statement_take_together_what_their_line_has():
    """Both take back 80.00 of O-1 at once: for 80.00 its invoice has room of O-2 alone, and then none for that."""
    book = self_billed(earn("O-1", 8000), earn("O-2", 8000), closing("C-1", until=DAY))
    book.take(adjustment("A-1", -8000, corrects=(INV1, "2")), credit_note("N-1", INV1, {"2": 8000}), closing("C-2"))
    assert [one[1:] for one in documents(book)[1:]] == [("261", 16000, 3200, FIRST)]
    book.take(credit_note("N-2", INV2, {"2": 8000}), closing("C-3"))
    assert [one[1:] for one in documents(book)[2:]] == [("261", 8000, 1600, None)]
    assert_books_hold(book)


def test_what_an_adjustment_added_to_a_line_is_taken_back_of_its_own_invoice():
    """80.00, and 10.00 more by an adjustment: another one takes 15.00 back, 10.00 of them of the latter's invoice."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY))
    book.take(adjustment("A-1", 1000, corrects=(INV1, "2")), closing("C-2"))
    book.take(adjustment("A-2", -1500, corrects=(INV1, "2")), closing("C-3"))
    assert [one[1:] for one in documents(book)[1:]] == [
        ("389", 1000, 200, None),
        ("261", 500, 100, FIRST),
        ("261", 1000, 200, "SB-SA-1-000000002"),
    ]
    assert book.get(Accrual, f"{INV1}/2").corrected_by == ("settlement.adjust/A-1", "settlement.adjust/A-2")
    assert_books_hold(book)


def test_what_corrects_a_line_is_noted_also_where_statements_of_one_closing_have_both(monkeypatch):
    """Two lines a statement: the adjustment stands on the first, O-1 on the second; then O-1 is credited."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 5)
    book = self_billed(earn("O-1", 8000), adjustment("A-1", -3000, corrects=(INV1, "2"), on="2026-11-21"))
    book.take(earn("O-2", 9000, "2026-11-20"), closing("C-1", until=DAY))
    book.take(credit_note("N-1", INV1, {"2": 8000}), closing("C-2"))
    assert [one[1:] for one in documents(book)] == [
        ("389", 9000, 1800, None),
        ("261", 3000, 600, FIRST),
        ("389", 8000, 1600, None),
        ("261", 8000, 1600, "SB-SA-1-000000003"),
    ]
    assert book.get(Accrual, f"{INV1}/2").corrected_by == ("settlement.adjust/A-1",)
    assert_books_hold(book)


def taken_back(amount: str, *, corrects: tuple[str, str], on: str = "2026-11-23") -> tuple[Fact, ...]:
    """A bill that takes so much of a line of SA-1 back, and a line of ours, so that it is not below zero."""
    back = charge("CH-1", line(f"-{amount}", "0", "SA-1"), corrects=corrects, on=on)
    return back, charge("CH-2", line("90000.00", "0"), on=on), demand("B-1", on=on)


def test_what_a_bill_takes_back_of_a_line_names_the_invoice_of_that_line():
    """30.00 of O-1's 80.00, not of O-2's, which is later; a note of the rest takes the 50.00 that are left."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), earn("O-2", 5000), closing("C-2", until=DAY))
    book.begin_days("2026-11-23")
    book.take(*taken_back("30.00", corrects=(INV1, "2")), closing("C-3"))
    assert documents(book)[2:] == [("SB-SA-1-000000003", "261", 3000, 600, FIRST)]
    assert book.get(Accrual, "INV-000000003/1").takes_back == f"{INV1}/2"
    assert book.get(Accrual, f"{INV1}/2").corrected_by == ("INV-000000003/1",)
    book.take(credit_note("N-1", INV1, {"2": 5000}), closing("C-4"))
    assert documents(book)[3:] == [("SB-SA-1-000000004", "261", 5000, 1000, FIRST)]
    assert not book.get(SettlementDocument, FIRST).is_open
    assert_books_hold(book)


def test_what_a_bill_takes_back_of_a_line_that_was_not_self_billed_has_no_document():
    """Self-billed from the 20th on, O-1 is of the 5th: it had no tax."""
    book = opened(agreement("AG-1", "2026-11-20", share="1", self_billing=self_billing()))
    book.take(earn("O-1", 8000, "2026-11-05"), closing("C-1", until="2026-11-15"))
    book.begin_days("2026-11-23")
    book.take(*taken_back("30.00", corrects=(INV1, "2")), closing("C-2"))
    assert stated(book, "C-2") == [("earned", -3000), ("total", -3000)]
    assert not documents(book)
    assert_books_hold(book)


def test_guarantees_are_invoiced_too_and_holdbacks_have_no_tax():
    """60.00 earned of 100.00 guaranteed: 20.00 of tax. 10 % of 100.00 are held back, 5 % of 90.00 withheld."""
    terms = {"guarantee": guarantee(10000), "holdback": holdback("0.1", 30), "withholding": withholding("0.05")}
    book = self_billed(earn("O-1", 6000), closing("C-1", until="2026-11-30"), **terms)
    assert documents(book) == [("SB-SA-1-000000001", "389", 10000, 2000, None)]
    assert stated(book, "C-1") == [
        ("earned", 6000),
        ("guarantee", 4000),
        ("holdback", -1000),
        ("selfBilledTax", 2000),
        ("total", 11000),
    ]
    request = book.settlement("C-1").request
    assert request is not None
    assert (request.amount, request.tax_withheld, request.transferred) == (11000, 450, 10550)
    book.take(payout("PO-1", 4000, "C-1"), payout("PO-2", 7000, "C-1"))
    assert book.settlement("C-1").tax_withheld == 450
    assert_books_hold(book)


def test_the_tax_of_documents_is_not_netted():
    """96.00 are payable, the partner owes 200.00: 80.00 are netted, 16.00 paid out."""
    book = self_billed(billing("BA-9", days=0), order("O-9", line("200", "0"), account="BA-9"), netting="BA-9")
    book.take(earn("O-1", 8000), closing("C-1", until=DAY))
    request = book.settlement("C-1").request
    assert request is not None
    assert (request.amount, request.netted, request.transferred) == (9600, 8000, 1600)
    assert_books_hold(book)


def test_netting_leaves_the_tax_of_documents_beside_what_is_withheld():
    """Of 96.00, 16.00 are tax and 15 % of 80.00 are withheld: 68.00 are netted, and the 16.00 are transferred."""
    owes = (billing("BA-9", days=0), order("O-9", line("200", "0"), account="BA-9"))
    book = self_billed(*owes, netting="BA-9", withholding=withholding("0.15"))
    book.take(earn("O-1", 8000), closing("C-1", until=DAY))
    request = book.settlement("C-1").request
    assert request is not None
    assert (request.amount, request.netted, request.tax_withheld, request.transferred) == (9600, 6800, 1200, 1600)
    assert_books_hold(book)


def test_what_is_carried_forward_brings_its_tax_along():
    """Below the threshold 12.00 wait, 2.00 of them tax; with 24.00 tax is withheld of 30.00, not of 36.00."""
    book = self_billed(earn("O-1", 1000), payout_threshold=1500, withholding=withholding("0.1"))
    book.take(closing("C-1", until=DAY), earn("O-2", 2000), closing("C-2", until=DAY))
    assert (book.settlement("C-2").total, book.settlement("C-2").self_billed_tax) == (3600, 600)
    book.take(payout("PO-1", 3600, "C-2"))
    assert book.settlement("C-2").tax_withheld == 300
    assert_books_hold(book)


def test_each_statement_of_a_closing_has_documents_of_its_own(monkeypatch):
    """Four lines at most, three of them kept for what documents add: three statements of 10.00 and 2.00 of tax each."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 4)
    book = self_billed(*(earn(f"O-{n}", 1000) for n in range(3)), closing("C-1", until=DAY))
    assert documents(book) == [(f"SB-SA-1-00000000{n}", "389", 1000, 200, None) for n in (1, 2, 3)]
    assert [stated(book, id_)[-1] for id_ in ("C-1", "C-1-2", "C-1-3")] == [("total", 1200)] * 3
    assert_books_hold(book)


def previewed(book: LedgerBook, until: str = DAY) -> list[dict[str, Any]]:
    """The statements that a closing would make."""
    query = SettlementPreview.model_validate({"settlementAccount": "SA-1", "periodEnd": until})
    told: list[dict[str, Any]] = asyncio.run(preview(query, book.view()))["settlements"]
    return told


def test_a_preview_says_the_documents_and_takes_no_number():
    """What is previewed is what is stated; the next number is the first still, and no document has one."""
    book = self_billed(earn("O-1", 8000))
    [statement] = previewed(book)
    assert [(one["kind"], one["amount"]["value"]) for one in statement["lines"]] == [
        ("accrual", 80.0),
        ("selfBilledTax", 16.0),
    ]
    assert statement["documents"] == [
        {
            "@type": "CustomerBill",
            "typeCode": "389",
            "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
            "billDate": DAY,
            "taxExcludedAmount": {"unit": "EUR", "value": 80.0},
            "taxIncludedAmount": {"unit": "EUR", "value": 96.0},
            "taxItem": [
                {
                    "@type": "TaxItem",
                    "taxCategory": "S",
                    "taxRate": 0.2,
                    "taxExcludedAmount": {"unit": "EUR", "value": 80.0},
                    "taxAmount": {"unit": "EUR", "value": 16.0},
                }
            ],
            "lines": [
                {
                    "@type": "AppliedCustomerBillingRate",
                    "id": "1",
                    "kind": "accrual",
                    "agreementId": "AG-1",
                    "period": {"from": DAY, "to": DAY},
                    "taxCategory": "S",
                    "taxRate": 0.2,
                    "taxExcludedAmount": {"unit": "EUR", "value": 80.0},
                }
            ],
            "sellerVersion": None,
            "partnerVersion": 1,
            "state": "issued",
        }
    ]
    assert book.get(Series, "SB-SA-1-").last == 0
    assert not book.documents[SettlementDocument]


def test_a_previewed_credit_note_names_what_is_issued_already(monkeypatch):
    """16.00 correct the 389 of C-1; of what the same closing would issue there is no number yet."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), credit_note("N-1", INV1, {"2": 1600}))
    [statement] = previewed(book, "2026-11-30")
    assert [(one["typeCode"], one["correctedBillNo"]) for one in statement["documents"]] == [
        ("261", "SB-SA-1-000000001")
    ]
    # One line for each statement: the second one's adjustment falls by 4.00 of what the first one invoices.
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 4)
    book = self_billed(earn("O-1", 1000), adjustment("A-1", -400, on=DAY))
    assert [
        [(one["typeCode"], one["taxExcludedAmount"]["value"], "correctedBillNo" in one) for one in of["documents"]]
        for of in previewed(book)
    ] == [[("389", 10.0, False)], [("261", 4.0, False)]]
    book.take(closing("C-1", until=DAY))
    assert documents(book)[1:] == [("SB-SA-1-000000002", "261", 400, 80, "SB-SA-1-000000001")]


# -- what the partner says


def test_a_disputed_document_holds_its_statements_payout_until_it_is_accepted():
    """The payout that was requested is refused meanwhile, and stands: nothing is requested anew."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY))
    book.take(disputes("SB-SA-1-000000001", "one line is missing"))
    assert book.settlement("C-1").hold == Hold(("SB-SA-1-000000001",))
    assert book.refusal(payout("PO-1", 9600, "C-1")) == (
        "wrong-state",
        "settlementId: C-1 is not paid while SB-SA-1-000000001 is disputed",
    )
    book.take(accepts("SB-SA-1-000000001"), payout("PO-2", 9600, "C-1"))
    assert book.settlement("C-1").state == "paid"
    assert [one for one in book.events_of("SA-1") if one.startswith(("self-billing", "payout"))] == [
        "self-billing.issued",
        "payout.requested",
        "self-billing.disputed",
        "self-billing.accepted",
    ]
    assert_books_hold(book)


def test_what_was_to_be_requested_of_what_is_held_is_requested_when_it_is_let_go():
    """A payout came back while its statement was held: 96.00 are requested once, as `-r2`, when it is accepted."""
    book = self_billed(earn("O-1", 8000), closing("C-1", until=DAY), payout("PO-1", 9600, "C-1"))
    book.take(disputes("SB-SA-1-000000001"), payout_return("R-1", "PO-1"))
    before = book.settlement("C-1").request
    assert before is not None
    assert before.number == 1
    book.take(accepts("SB-SA-1-000000001"))
    request = book.settlement("C-1").request
    assert request is not None
    assert (request.id, request.amount) == ("C-1-r2", 9600)
    assert_books_hold(book)


def carried(*facts: Fact, **terms: Any) -> LedgerBook:
    """SA-1 earns 10.00, which C-1 carries forward with 2.00 of tax, since less than 15.00 is not paid out."""
    return self_billed(earn("O-1", 1000), closing("C-1", until=DAY), *facts, **{"payout_threshold": 1500, **terms})


def requested(book: LedgerBook, id_: str) -> tuple[str, int] | None:
    """The payout that was requested last of a statement: its id, and what it asks for."""
    request = book.settlement(id_).request
    return None if request is None else (request.id, request.amount)


def test_what_is_carried_forward_is_held_while_its_document_is_disputed():
    """C-2 brings 12.00 forward and earns 24.00: 24.00 are requested, and 12.00 once the document is accepted."""
    book = carried(disputes(FIRST), earn("O-2", 2000), closing("C-2", until=DAY))
    assert book.settlement("C-2").held_forward == HeldForward((FIRST,), 1200)
    assert requested(book, "C-2") == ("C-2", 2400)
    assert book.refusal(payout("PO-1", 3600, "C-2")) == (
        "overpaid-payout",
        (
            "amount: 36.00 EUR, but 24.00 EUR is left to pay of settlement C-2; "
            f"12.00 EUR that it brought forward is held while {FIRST} is disputed"
        ),
    )
    book.take(payout("PO-2", 2400, "C-2"))
    assert (book.settlement("C-2").state, requested(book, "C-2")) == ("partiallyPaid", ("C-2", 2400))
    book.take(accepts(FIRST))
    assert book.settlement("C-2").held_forward is None
    assert requested(book, "C-2") == ("C-2-r2", 1200)
    book.take(payout("PO-3", 1200, "C-2"))
    assert book.settlement("C-2").state == "paid"
    assert_books_hold(book)


def test_what_was_brought_forward_and_requested_is_held_when_its_document_is_disputed():
    """36.00 were requested: 24.00 can be paid, the rest is requested anew; with nothing paid the request stands."""
    book = carried(earn("O-2", 2000), closing("C-2", until=DAY), disputes(FIRST))
    assert (requested(book, "C-2"), book.settlement("C-2").left) == (("C-2", 3600), 2400)
    untouched = carried(earn("O-2", 2000), closing("C-2", until=DAY), disputes(FIRST), accepts(FIRST))
    assert (requested(untouched, "C-2"), untouched.settlement("C-2").left) == (("C-2", 3600), 3600)
    book.take(payout("PO-1", 2400, "C-2"), accepts(FIRST))
    assert requested(book, "C-2") == ("C-2-r2", 1200)
    assert_books_hold(book)


def test_what_is_held_goes_on_with_what_is_carried_on():
    """C-2 takes 2.40 of the 12.00 and is carried too: C-3 has 9.60 that are held, of 33.60; its own 24.00 are not."""
    book = carried(
        disputes(FIRST), adjustment("A-1", -200, on=DAY), closing("C-2", until=DAY), earn("O-2", 2000), closing("C-3")
    )
    assert book.settlement("C-2").held_forward == HeldForward((FIRST,), 1200)
    assert book.settlement("C-3").held_forward == HeldForward((FIRST,), 960)
    assert requested(book, "C-3") == ("C-3", 2400)
    # The note of C-2 names the invoice; disputed itself, it holds what C-2 comes to, which is the same 9.60.
    book.take(disputes("SB-SA-1-000000002"), accepts(FIRST))
    assert book.settlement("C-2").held_forward is None
    assert book.settlement("C-3").held_forward == HeldForward(("SB-SA-1-000000002",), 960)
    book.take(accepts("SB-SA-1-000000002"))
    assert (book.settlement("C-3").held_forward, book.settlement("C-3").left) == (None, 3360)
    assert_books_hold(book)


def test_what_is_held_whole_is_requested_first_when_it_is_let_go():
    """Without a threshold from the next month on C-2 would pay the 12.00 alone: nothing is requested before."""
    book = carried(agreed("AG-1", "2026-12-01", "1", self_billing=self_billing()), disputes(FIRST))
    book.take(closing("C-2", until="2026-12-01"))
    assert (book.settlement("C-2").total, requested(book, "C-2")) == (1200, None)
    book.take(accepts(FIRST))
    assert requested(book, "C-2") == ("C-2", 1200)
    assert_books_hold(book)


def test_a_disputed_document_of_what_is_owed_to_us_holds_nothing():
    """C-1 comes to -12.00: to hold that would pay out more. C-2 earns 36.00, and 24.00 are requested."""
    book = self_billed(adjustment("A-1", -1000, on=DAY), closing("C-1", until=DAY), disputes(FIRST))
    book.take(earn("O-2", 3000), closing("C-2", until=DAY))
    assert (book.settlement("C-2").held_forward, requested(book, "C-2")) == (None, ("C-2", 2400))
    assert_books_hold(book)


def test_what_is_held_is_not_netted():
    """Of 36.00 12.00 are held, and 6.00 are tax: 18.00 are netted, 6.00 requested beside them; then 12.00."""
    owes = (billing("BA-9", days=0), order("O-9", line("200", "0"), account="BA-9"))
    book = self_billed(*owes, payout_threshold=1500, netting="BA-9")
    book.take(earn("O-1", 1000), closing("C-1", until=DAY), disputes(FIRST), earn("O-2", 2000))
    book.take(closing("C-2", until=DAY))
    request = book.settlement("C-2").request
    assert request is not None
    assert (request.amount, request.netted, request.transferred) == (2400, 1800, 600)
    book.take(payout("PO-1", 600, "C-2"), accepts(FIRST))
    assert requested(book, "C-2") == ("C-2-r2", 1200)
    assert_books_hold(book)


def test_what_the_partner_says_fits_the_document():
    """It waits for a document that is not there; one of ours, and what is said twice, are refused."""
    book = self_billed(earn("O-1", 8000), fixed_fee=fixed_fee(1000))
    book.take(accepts("SB-SA-1-000000001"))
    [(_, waits)] = book.waiting.values()
    assert waits.code == "unknown-document"
    book.take(closing("C-1", until="2026-11-30"))
    assert book.get(SettlementDocument, "SB-SA-1-000000001").state == "accepted"
    refused = ("wrong-state", "number: SB-SA-1-000000001 is accepted already")
    assert book.refusal(accepts("SB-SA-1-000000001")) == refused
    assert book.refusal(disputes("SB-SA-1-000000001")) == refused
    assert book.refusal(accepts("INV-000000002")) == (
        "invalid",
        "number: INV-000000002 is no self-billed document: it is ours",
    )


# -- fees


def test_a_fixed_fee_is_charged_for_each_period_that_has_ended_once():
    """25.00 a month from 1 October on, at 20 %: October with the first closing, November with the second."""
    book = opened(agreement("AG-1", "2026-10-01", share="1", fixed_fee=fixed_fee(2500)), earn("O-1", 8000))
    book.take(closing("C-1", until=DAY))
    assert documents(book) == [("INV-000000002", "380", 2500, 500, None)]
    assert stated(book, "C-1") == [("earned", 8000), ("fee", -3000), ("total", 5000)]
    assert book.postings("settlement.close:C-1") == [("payable:SA-1", 3000), ("revenue", -2500), ("tax S 0.2", -500)]
    assert "settlement.invoiced" in book.events_of("SA-1")
    book.take(closing("C-2", until=DAY), closing("C-3", until="2026-11-30"))
    assert documents(book)[1:] == [("INV-000000003", "380", 2500, 500, None)]
    assert stated(book, "C-3") == [("earned", 0), ("fee", -3000), ("total", -3000)]
    assert_books_hold(book)


def test_a_fee_is_in_proportion_to_its_days_in_force():
    """An agreement of 10 days of November: 30.00 x 10 / 30 are 10.00."""
    book = opened(agreement("AG-1", "2026-11-01", "2026-11-11", share="1", fixed_fee=fixed_fee(3000)))
    book.take(closing("C-1", until=DAY))
    assert documents(book) == [("INV-000000001", "380", 1000, 200, None)]
    assert_books_hold(book)


def test_a_fee_that_is_less_in_the_past_is_taken_back_by_a_credit_note():
    """25.00 of October were charged, 15.00 are agreed of it since: 10.00 and 2.00 of tax come back, of that invoice."""
    book = opened(agreement("AG-1", "2026-10-01", share="1", fixed_fee=fixed_fee(2500)), closing("C-1", until=DAY))
    book.take(agreed("AG-1", "2026-10-01", "1", fixed_fee=fixed_fee(1500)), closing("C-2", until=DAY))
    assert documents(book) == [
        ("INV-000000001", "380", 2500, 500, None),
        ("CN-000000001", "381", 1000, 200, "INV-000000001"),
    ]
    assert stated(book, "C-2") == [("earned", 0), ("fee", 1200), ("total", -1800)]
    assert book.postings("settlement.close:C-2") == [("payable:SA-1", -1200), ("revenue", 1000), ("tax S 0.2", 200)]
    assert_books_hold(book)


def monthly_fee(*facts: Fact, **terms: Any) -> LedgerBook:
    """25.00 a month from 1 October on, at 20 %."""
    return opened(agreement("AG-1", "2026-10-01", share="1", fixed_fee=fixed_fee(2500), **terms), *facts)


def test_a_fee_of_another_type_from_a_later_day_on_is_charged_once():
    """25.00 of October; of the quarter's 92.00 the part of 61 of 92 days, and nothing after."""
    book = monthly_fee(closing("C-1", until="2026-10-31"))
    book.take(agreed("AG-1", "2026-11-01", "1", fixed_fee=fixed_fee(9200, "quarter")))
    book.take(
        closing("C-2", until="2026-12-31"), closing("C-3", until="2026-12-31"), closing("C-4", until="2027-01-31")
    )
    assert documents(book) == [(INV1, "380", 2500, 500, None), (INV2, "380", 6100, 1220, None)]
    assert book.position("SA-1").payable == -10320
    assert_books_hold(book)


def test_fees_of_two_types_that_begin_on_one_day_are_each_charged():
    """Of October 15 of 31 days at 31.00, of its quarter 77 of 92 days at 92.00: 15.00 and 77.00, a line each."""
    book = opened(agreement("AG-1", "2026-10-01", share="1", fixed_fee=fixed_fee(3100)))
    book.take(agreed("AG-1", "2026-10-16", "1", fixed_fee=fixed_fee(9200, "quarter")))
    book.take(closing("C-1", until="2026-12-31"), closing("C-2", until="2026-12-31"))
    assert documents(book) == [(INV1, "380", 9200, 1840, None)]
    assert [(one.amount, one.type) for one in book.get(SettlementDocument, INV1).lines] == [
        (1500, None),
        (7700, "quarter"),
    ]
    assert_books_hold(book)


def test_what_was_charged_of_a_type_that_is_no_longer_agreed_is_taken_back():
    """25.00 of October and of November; then 75.00 a quarter from October on: 90.00 with tax in all, and not 120.00."""
    book = monthly_fee(closing("C-1", until="2026-10-31"), closing("C-2", until="2026-11-30"))
    book.take(agreed("AG-1", "2026-10-01", "1", fixed_fee=fixed_fee(7500, "quarter")))
    book.take(closing("C-3", until="2026-12-31"), closing("C-4", until="2026-12-31"))
    assert documents(book)[2:] == [
        ("INV-000000003", "380", 7500, 1500, None),
        ("CN-000000001", "381", 2500, 500, INV1),
        ("CN-000000002", "381", 2500, 500, INV2),
    ]
    assert book.position("SA-1").payable == -9000
    assert_books_hold(book)


def test_a_fee_that_is_dropped_in_the_past_is_taken_back():
    """All of the 25.00 of October, and its 5.00 of tax."""
    book = monthly_fee(closing("C-1", until="2026-10-31"))
    book.take(agreed("AG-1", "2026-10-01", "1"), closing("C-2", until="2026-12-31"))
    assert documents(book)[1:] == [("CN-000000001", "381", 2500, 500, INV1)]
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_a_fee_that_rose_is_taken_back_of_each_invoice_that_has_charged_of_it():
    """25.00 and 10.00 more; at 5.00 the second gives 10.00 and the first 20.00. 10.00 more again, then 7.00 less."""
    book = monthly_fee(closing("C-1", until="2026-10-31"))
    for n, amount in enumerate([3500, 500, 1500, 800], 2):
        book.take(agreed("AG-1", "2026-10-01", "1", fixed_fee=fixed_fee(amount)), closing(f"C-{n}", until="2026-10-31"))
        assert_books_hold(book)
    assert documents(book) == [
        (INV1, "380", 2500, 500, None),
        (INV2, "380", 1000, 200, None),
        ("CN-000000001", "381", 2000, 400, INV1),
        ("CN-000000002", "381", 1000, 200, INV2),
        ("INV-000000003", "380", 1000, 200, None),
        ("CN-000000003", "381", 700, 140, "INV-000000003"),
    ]
    [charged] = book.get(Earnings, "SA-1/2026").charged or ()
    assert charged == ChargedFee(
        "AG-1",
        date(2026, 10, 1),
        800,
        "INV-000000003",
        parts=(ChargedPart(INV1, 500), ChargedPart("INV-000000003", 300)),
    )


def test_a_fee_whose_tax_is_agreed_otherwise_in_the_past_is_taken_back_and_charged_anew():
    """25.00 of October with 20 %, then with 10 %: 30.00 come back, 27.50 are charged; then 20.00, of the second."""
    book = monthly_fee(closing("C-1", until="2026-10-31"))
    book.take(agreed("AG-1", "2026-10-01", "1", fixed_fee=fixed_fee(2500, rate="0.1")))
    book.take(closing("C-2", until="2026-10-31"), closing("C-3", until="2026-10-31"))
    assert documents(book)[1:] == [
        (INV2, "380", 2500, 250, None),
        ("CN-000000001", "381", 2500, 500, INV1),
    ]
    assert stated(book, "C-2") == [("earned", 0), ("fee", 250), ("total", -2750)]
    book.take(agreed("AG-1", "2026-10-01", "1", fixed_fee=fixed_fee(2000, rate="0.1")))
    book.take(closing("C-4", until="2026-10-31"))
    assert documents(book)[3:] == [("CN-000000002", "381", 500, 50, INV2)]
    assert book.position("SA-1").payable == -2200
    assert_books_hold(book)


def test_a_fee_whose_tax_is_another_from_a_later_period_on_stays_as_it_was_charged():
    """October has 20 % and November 10 %, as they were agreed."""
    book = monthly_fee(closing("C-1", until="2026-10-31"))
    book.take(agreed("AG-1", "2026-11-01", "1", fixed_fee=fixed_fee(2500, rate="0.1")))
    book.take(closing("C-2", until="2026-11-30"), closing("C-3", until="2026-11-30"))
    assert documents(book) == [(INV1, "380", 2500, 500, None), (INV2, "380", 2500, 250, None)]
    assert_books_hold(book)


# -- commission


def of_an_agent(*facts: Fact, on: Literal["invoice", "payment"] = "invoice", **terms: Any) -> LedgerBook:
    """SA-1, in whose name we sell for 10 % of the net, and 20 % of tax on that."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), agent_of("SA-1", on=on))
    if terms:
        book.take(agreement("AG-1", "2026-10-01", on=on, **terms))
    book.take(*facts)
    return book


def test_our_commission_is_an_invoice_and_what_falls_of_it_a_credit_note_that_names_it():
    """Of 100.00 and 20.00 of tax 10.00 and 2.00 are ours: 108.00 are payable. Of a note of 40.00, 4.00 come back."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), closing("C-1", until=DAY))
    assert documents(book) == [("INV-000000001", "380", 1000, 200, None)]
    assert stated(book, "C-1") == [("earned", 12000), ("commission", -1200), ("total", 10800)]
    assert book.postings("settlement.close:C-1") == [("commission", -1000), ("payable:SA-1", 1200), ("tax S 0.2", -200)]
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 4000}), closing("C-2", until="2026-11-30"))
    assert documents(book)[1:] == [("CN-000000001", "381", 400, 80, "INV-000000001")]
    assert stated(book, "C-2") == [("earned", -4800), ("commission", 480), ("total", -4320)]
    assert book.postings("settlement.close:C-2") == [("commission", 400), ("payable:SA-1", -480), ("tax S 0.2", 80)]
    assert_books_hold(book)


def test_commission_and_fee_are_lines_of_one_invoice():
    """10.00 of commission and 0.12 of a fee: 2.02 of tax on 10.12; the fee has 0.02 of it, the commission the rest."""
    terms: dict[str, Any] = {"agent": as_agent(), "fixed_fee": fixed_fee(12)}
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), **terms)
    book.take(closing("C-1", until=DAY))
    assert documents(book) == [("INV-000000001", "380", 1012, 202, None)]
    assert [(one.kind, one.agreement, one.amount) for one in book.get(SettlementDocument, "INV-000000001").lines] == [
        ("fee", "AG-1", 12),
        ("commission", "AG-1", 1000),
    ]
    assert stated(book, "C-1") == [("earned", 12000), ("commission", -1200), ("fee", -14), ("total", 10786)]
    assert_books_hold(book)


def test_commission_of_what_is_paid_in_parts_goes_back_to_the_invoices_that_charged_it():
    """Two halves are paid: 5.00 are charged twice; a note of 80.00 takes back 5.00 of the second, 3.00 of the first."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), on="payment")
    for n in (1, 2):
        book.take(payment(f"P-{n}", 6000, at=f"{DAY}T13:00:00"), closing(f"C-{n}", until=DAY))
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 8000}), closing("C-3", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 500, 100, None),
        ("INV-000000002", "380", 500, 100, None),
        ("CN-000000001", "381", 300, 60, "INV-000000001"),
        ("CN-000000002", "381", 500, 100, "INV-000000002"),
    ]
    assert_books_hold(book)


def test_commission_of_what_a_bill_takes_back_names_the_invoice_that_charged_it():
    """10 % of 100.00 were charged; a bill takes 40.00 back: 4.00 and 0.80 of tax are a credit note of that invoice."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), closing("C-1", until=DAY))
    book.begin_days("2026-11-23")
    back = charge("CH-1", line("-40", "0.2", "SA-1"), corrects=("SA-1-000000001", "1"), on="2026-11-23")
    more = charge("CH-2", line("900", "0.2", "SA-1"), on="2026-11-23")
    book.take(back, more, demand("B-1", on="2026-11-23"), closing("C-2"))
    assert [one[1:] for one in documents(book)] == [
        ("380", 1000, 200, None),
        ("380", 9000, 1800, None),
        ("381", 400, 80, "INV-000000001"),
    ]
    assert_books_hold(book)


def retaxed(since: str, tax: str = "0.19", commission: str = "0.1", **said: Any) -> Fact:
    """AG-1 has other tax on our commission from a day on."""
    return agreed("AG-1", since, agent=as_agent(commission, tax=tax), **said)


def test_commission_whose_tax_is_agreed_otherwise_in_the_past_is_taken_back_and_charged_anew():
    """10.00 and 2.00 are taken back, 10.00 and 1.90 charged; of a note of 40.00 that has 4.00 and 0.76."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), agent=as_agent())
    book.take(closing("C-1", until=DAY), retaxed("2026-11-01"), closing("C-2", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 1000, 200, None),
        ("INV-000000002", "380", 1000, 190, None),
        ("CN-000000001", "381", 1000, 200, "INV-000000001"),
    ]
    assert stated(book, "C-2") == [("earned", 0), ("commission", 10), ("total", 10)]
    assert book.results["settlement.correct:AG-1/2/SA-1-000000001"]["lines"] == 1
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 4000}), closing("C-3", until="2026-11-30"))
    assert documents(book)[3:] == [("CN-000000002", "381", 400, 76, "INV-000000002")]
    assert_books_hold(book)


def test_another_commission_with_another_tax_and_back_again():
    """10.00 at 20 %, then 15.00 at 19 %, then 10.00 at 20 % as at first: each takes back all that stands."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), agent=as_agent())
    book.take(closing("C-1", until=DAY), retaxed("2026-11-01", commission="0.15"), closing("C-2", until="2026-11-30"))
    book.take(retaxed("2026-11-01", "0.2"), closing("C-3", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 1000, 200, None),
        ("INV-000000002", "380", 1500, 285, None),
        ("CN-000000001", "381", 1000, 200, "INV-000000001"),
        ("INV-000000003", "380", 1000, 200, None),
        ("CN-000000002", "381", 1500, 285, "INV-000000002"),
    ]
    assert_books_hold(book)


def test_commission_that_no_closing_has_stated_is_charged_once_with_the_tax_that_is_agreed():
    """Of two halves that were paid one is stated: 5.00 are taken back, 10.00 charged; of the other nothing is left."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), agent=as_agent(), on="payment")
    book.take(retaxed("2026-11-01", "0.1", on="payment"))
    assert not book.documents[Accrual], "nothing was charged"
    book.take(payment("P-1", 6000, at=f"{DAY}T13:00:00"), closing("C-1", until=DAY))
    book.take(payment("P-2", 6000, at=f"{DAY}T14:00:00"), retaxed("2026-11-01", on="payment"))
    book.take(closing("C-2", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 500, 50, None),
        ("INV-000000002", "380", 1000, 190, None),
        ("CN-000000001", "381", 500, 50, "INV-000000001"),
    ]
    assert_books_hold(book)


def test_commission_with_another_tax_is_of_the_invoices_that_have_it_of_the_line():
    """5.00 of another order keep their 20 %, in the 380 that charges 10.00 at 19 %: what falls takes none of them."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at="2026-11-21T12:00:00"), agent=as_agent())
    book.take(closing("C-1", until=DAY), order("O-2", line("50", "0.2", "SA-1"), at=f"{DAY}T12:00:00"))
    book.take(retaxed("2026-11-01"), retaxed(DAY, "0.2"), closing("C-2", until="2026-11-30"))
    assert documents(book)[1:] == [
        ("INV-000000002", "380", 1500, 290, None),
        ("CN-000000001", "381", 1000, 200, "INV-000000001"),
    ]
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 10000}), closing("C-3", until="2026-11-30"))
    assert documents(book)[3:] == [("CN-000000002", "381", 1000, 190, "INV-000000002")]
    assert_books_hold(book)


def test_commission_of_what_a_bill_takes_back_has_the_tax_that_was_agreed_since():
    """10.00 less 4.00 at 20 % are 6.00 at 19 %: all of each is taken back where it stands, and charged anew."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), agent=as_agent())
    book.take(closing("C-1", until=DAY))
    book.begin_days("2026-11-23")
    back = charge("CH-1", line("-40", "0.2", "SA-1"), corrects=("SA-1-000000001", "1"), on="2026-11-23")
    more = charge("CH-2", line("900", "0.2", "SA-1"), on="2026-11-23")
    book.take(back, more, demand("B-1", on="2026-11-23"), closing("C-2"), retaxed("2026-11-01"), closing("C-3"))
    nets = [(net, tax) for _, code, net, tax, _ in documents(book)[3:] if code == "380"]
    fell = [(net, tax) for _, code, net, tax, _ in documents(book)[3:] if code == "381"]
    of_tax = (
        sum(net for net, _ in nets) - sum(net for net, _ in fell),
        sum(t for _, t in nets) - sum(t for _, t in fell),
    )
    # 6.00 of the order and its bill, 90.00 beside them: less 19.20 of tax, and 18.24 anew.
    assert of_tax == (0, 1824 - 1920)
    assert_books_hold(book)


def test_commission_of_a_discount_is_of_the_latest_invoice_and_all_of_it_goes_back():
    """10 % of 333.30 less 33.30, at 19 %: 6.33 of tax on 33.33, 0.63 of 3.33; of all that fell 6.33, less 0.63."""
    sold = order("O-1", line("333.3", "0", "SA-1"), line("-33.3", "0", "SA-1"), at=f"{DAY}T12:00:00")
    book = of_an_agent(sold, closing("C-1", until=DAY), agent=as_agent(tax="0.19"))
    assert documents(book) == [
        ("INV-000000001", "380", 3333, 633, None),
        ("CN-000000001", "381", 333, 63, "INV-000000001"),
    ]
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 33330, "2": -3330}), closing("C-2", until="2026-11-30"))
    assert documents(book)[2:] == [
        ("INV-000000002", "380", 333, 63, None),
        ("CN-000000002", "381", 3000, 570, "INV-000000001"),
        ("CN-000000003", "381", 333, 63, "INV-000000002"),
    ]
    assert not any(one.is_open for one in book.documents[SettlementDocument].values())
    assert_books_hold(book)


def test_commission_of_a_discount_takes_nothing_of_a_fee():
    """1.00 names none where the 380 has a fee of that tax: of it the fee is taken back, and the 10.00 of the line."""
    terms: dict[str, Any] = {"agent": as_agent(), "fixed_fee": fixed_fee(1000)}
    sold = order("O-1", line("100", "0", "SA-1"), line("-10", "0", "SA-1"), at=f"{DAY}T12:00:00")
    book = of_an_agent(sold, closing("C-1", until=DAY), **terms)
    book.take(retaxed("2026-10-01", "0.2"), closing("C-2", until=DAY))
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 10000, "2": -1000}), closing("C-3", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 2000, 400, None),
        ("CN-000000001", "381", 100, 20, None),
        ("CN-000000002", "381", 1000, 200, "INV-000000001"),
        ("INV-000000002", "380", 100, 20, None),
        ("CN-000000003", "381", 1000, 200, "INV-000000001"),
    ]
    assert_books_hold(book)


def test_commission_of_which_another_line_took_takes_nothing_with_another_tax():
    """12.00 at 20 % and 5.00 at 19 % are in one 380: a discount took 1.00 of the former, so 11.00 are left of that."""
    book = of_an_agent(order("O-1", line("100", "0", "SA-1"), at="2026-11-21T12:00:00"), agent=as_agent())
    given = order("O-3", line("20", "0", "SA-1"), line("-10", "0", "SA-1"), at="2026-11-21T13:00:00")
    book.take(
        retaxed(DAY), order("O-2", line("50", "0", "SA-1"), at=f"{DAY}T12:00:00"), given, closing("C-1", until=DAY)
    )
    back = (
        credit_note("N-1", "SA-1-000000001", {"1": 10000}),
        credit_note("N-3", "SA-1-000000003", {"1": 2000, "2": -1000}),
    )
    book.take(*back, closing("C-2", until="2026-11-30"))
    assert documents(book) == [
        ("INV-000000001", "380", 1700, 335, None),
        ("CN-000000001", "381", 100, 20, "INV-000000001"),
        ("INV-000000002", "380", 100, 20, None),
        ("CN-000000002", "381", 1100, 220, "INV-000000001"),
        ("CN-000000003", "381", 100, 20, "INV-000000002"),
    ]
    assert_books_hold(book)


def test_commission_of_which_an_earlier_version_charged_the_difference_goes_back_where_it_is(monkeypatch):
    """It left 10.00 at 20 %, and charged 5.00 more at 19 %: what falls takes these first, then the others."""
    book = of_an_agent(order("O-1", line("100", "0.2", "SA-1"), at=f"{DAY}T12:00:00"), agent=as_agent())
    with monkeypatch.context() as before:
        before.setattr(accruals, "_recharged", lambda booked, now: (None, accruals._commission(booked, now)))
        book.take(closing("C-1", until=DAY), retaxed("2026-11-01", commission="0.15"), closing("C-2"))
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 10000}), closing("C-3"))
    assert documents(book) == [
        ("INV-000000001", "380", 1000, 200, None),
        ("INV-000000002", "380", 500, 95, None),
        ("CN-000000001", "381", 1000, 200, "INV-000000001"),
        ("CN-000000002", "381", 500, 95, "INV-000000002"),
    ]
