"""What was earned on days that are past is brought to what is agreed of them; statements that were made stay."""

from decimal import Decimal

import pytest

from domain.accounts.model import SETTLEMENT
from domain.invoicing.model import AgreementRevision
from domain.ledger.entries import Entry
from domain.settlement.agreements import Agreement
from domain.settlement.backdating import Backdating, BackdatingToComplete, SettlementCorrected, SharesToCorrect
from domain.settlement.documents import SettlementDocument
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    agent_of,
    agreed,
    agreement,
    as_agent,
    billing,
    charge,
    closing,
    command,
    credit_note,
    demand,
    line,
    order,
    partner,
    payment,
    payout,
    tiers,
    update,
    write_off,
)

OCTOBER = "2026-10-15T12:00:00"


def postings(book: LedgerBook, cause: str) -> dict[str, int]:
    """What an entry posts, in sums."""
    sums: dict[str, int] = {}
    for posting in book.rows[Entry][cause].postings:
        sums[posting.account] = sums.get(posting.account, 0) + posting.amount
    return {account: amount for account, amount in sums.items() if amount}


def sold(*prices: str, on: str = "invoice", since: str | None = "2026-09-01") -> LedgerBook:
    """A book of October with an order of these lines on behalf of SA-1, at 70 %, by an agreement or its account."""
    book = LedgerBook()
    terms: list[Fact] = [] if since is None else [agreement("AG-1", since, share="0.70", on=on)]  # type: ignore[arg-type]
    book.take(billing(), partner(share="0.70", on=on), *terms)  # type: ignore[arg-type]
    book.take(order("O-1", *(line(price, "0", "SA-1") for price in prices), at=OCTOBER))
    return book


def test_october_is_agreed_anew_in_december():
    """39.90, 7.98 and 119.99 at 75 % instead of 70 %: 2.00, 0.40 and 6.00 more; the statement that was paid stays."""
    book = sold("39.90", "7.98", "119.99")
    book.take(closing("C-10", until="2026-10-31"), payout("PO-1", 2793 + 559 + 8399, "C-10"))
    october = book.settlement("C-10")
    book.begin_days("2026-12-10")
    book.take(agreed("AG-1", "2026-10-01", "0.75"))
    assert book.settlement("C-10") == october
    cause = "settlement.correct:AG-1/2/INV-000000001"
    assert postings(book, cause) == {"commission": 840, "payable:SA-1": -840}
    [told] = [event.event for event in book.events if isinstance(event.event, SettlementCorrected)]
    assert [(x.line_id, x.was, x.now, x.accrued) for x in told.correction.lines] == [
        ("1", 2793, 2993, 200),
        ("2", 559, 599, 40),
        ("3", 8399, 8999, 600),
    ]
    book.take(closing("C-12", until="2026-12-31"))
    lines = book.settlement("C-12").lines
    assert [(one.amount, str(one.date), one.corrects) for one in lines] == [
        (200, "2026-12-10", "INV-000000001/1"),
        (40, "2026-12-10", "INV-000000001/2"),
        (600, "2026-12-10", "INV-000000001/3"),
    ]
    assert book.results["agreement.complete:AG-1/2"] == {"invoices": 1}
    assert_books_hold(book)


def test_less_can_be_agreed_too():
    """What was stated at 70 % and is 50 % now is owed to us by the next statement."""
    book = sold("100.00")
    book.take(closing("C-1", until="2026-10-31"), agreed("AG-1", "2026-10-01", "0.5"), closing("C-2"))
    assert (book.settlement("C-2").total, book.settlement("C-2").state) == (-2000, "carriedForward")
    assert_books_hold(book)


def test_days_before_and_lines_of_others_stay():
    """From 16 October on: the order of the 15th is as it was, and nothing is posted."""
    book = sold("100.00")
    book.take(partner("SA-2", "0.5"), order("O-2", line("10.00", "0", "SA-2"), at="2026-10-20T12:00:00"))
    book.take(agreed("AG-1", "2026-10-16", "0.9"))
    assert book.results["agreement.complete:AG-1/2"] == {"invoices": 0}
    assert not [cause for cause in book.rows[Entry] if cause.startswith("settlement.correct:")]
    assert (book.position("SA-1").payable, book.position("SA-2").payable) == (7000, 500)
    assert_books_hold(book)


def test_an_agreement_of_past_days_takes_the_place_of_the_accounts_terms():
    """Without one before; and what is later agreed of a part of these days is corrected once more."""
    book = sold("100.00", since=None)
    book.take(agreement("AG-1", "2026-10-01", share="0.75"))
    assert book.position("SA-1").payable == 7500
    book.take(agreed("AG-1", "2026-10-15", "0.6"))
    assert book.position("SA-1").payable == 6000
    assert_books_hold(book)


def test_what_is_withheld_is_corrected_where_it_is():
    """At payment: of 70.00 half is paid; at 80 % it is 40.00 earned, and 40.00 withheld."""
    book = sold("100.00", on="payment")
    book.take(payment("P-1", 5000), agreed("AG-1", "2026-10-01", "0.8", "payment"))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (4000, 4000)
    assert postings(book, "settlement.correct:AG-1/2/INV-000000001") == {
        "commission": 1000,
        "payable:SA-1": -500,
        "withheld:SA-1": -500,
    }
    book.take(payment("P-2", 5000))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (8000, 0)
    assert_books_hold(book)


def test_when_it_accrues_can_change():
    """What was earned with the invoice waits for the payment, by terms that were agreed later; and back."""
    book = sold("100.00")
    book.take(agreed("AG-1", "2026-10-01", "0.70", "payment"))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (0, 7000)
    assert book.position("SA-1").withholding == 1
    book.take(agreed("AG-1", "2026-10-01", "0.70", "invoice"))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (7000, 0)
    assert book.position("SA-1").withholding == 0
    assert_books_hold(book)


def test_what_was_credited_has_no_share_by_new_terms_either():
    """40.00 of 100.00 credited: 60 % of the rest is 36.00; a later note takes back by the new terms."""
    book = sold("100.00")
    book.take(credit_note("N-1", "INV-000000001", {"1": 4000}), agreed("AG-1", "2026-10-01", "0.6"))
    assert book.position("SA-1").payable == 3600
    book.take(credit_note("N-2", "INV-000000001"))
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_what_was_given_up_follows():
    """All was written off, with what was withheld: nothing is earned, and the loss is another one."""
    book = sold("100.00", on="payment")
    book.take(write_off("W-1", "INV-000000001"), agreed("AG-1", "2026-10-01", "0.9", "payment"))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (0, 0)
    assert postings(book, "settlement.correct:AG-1/2/INV-000000001") == {"commission": 2000, "badDebt": -2000}
    assert_books_hold(book)


def test_what_a_bill_takes_back_goes_by_the_line_that_it_takes_back():
    """A charge of October that November's bill takes back has October's terms, before and after they change."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.70"), agreement("AG-1", "2026-09-01", share="0.70"))
    book.take(charge("CH-1", line("100.00", "0", "SA-1"), on="2026-10-31"), demand("B-1", on="2026-10-31"))
    book.take(charge("CH-2", line("-40.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-3", line("90.00", "0", "SA-1")), demand("B-2", on="2026-11-22"))
    assert book.position("SA-1").payable == 7000 - 2800 + 6300
    book.take(agreed("AG-1", "2026-10-01", "0.5"), agreed("AG-1", "2026-11-01", "0.9"))
    assert book.position("SA-1").payable == 5000 - 2000 + 8100
    assert_books_hold(book)


def test_what_takes_back_a_line_waits_until_that_is_corrected():
    """B-2 takes back 40.00 of B-1's 100.00. The two are come to in the wrong order; both have 60 % in the end."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.70"), agreement("AG-1", "2026-09-01", share="0.70"))
    book.take(charge("CH-1", line("100.00", "0", "SA-1"), on="2026-10-31"), demand("B-1", on="2026-10-31"))
    book.take(charge("CH-2", line("-40.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-3", line("90.00", "0", "SA-1")), demand("B-2", on="2026-11-22"))
    book.corrects = False
    book.take(agreed("AG-1", "2026-10-01", "0.5"), SharesToCorrect("AG-1", 2, "INV-000000002"))
    assert book.waiting["settlement.correct:AG-1/2/INV-000000002"][1].code == "correction-under-way"
    assert book.position("SA-1").payable == 7000 - 2800 + 6300
    # What is agreed meanwhile is for its own corrections, which find the first ones done, or not.
    book.take(agreed("AG-1", "2026-10-01", "0.6"), SharesToCorrect("AG-1", 2, "INV-000000001"))
    assert not book.waiting
    assert book.position("SA-1").payable == 6000 - 2400 + 5400
    book.take(BackdatingToComplete("AG-1", 2), SharesToCorrect("AG-1", 3, "INV-000000002"))
    book.take(SharesToCorrect("AG-1", 3, "INV-000000001"), BackdatingToComplete("AG-1", 3))
    assert book.position("SA-1").payable == 6000 - 2400 + 5400
    assert not book.waiting
    assert_books_hold(book)


def test_what_takes_back_a_line_does_not_wait_where_that_has_terms_that_were_agreed_before():
    """B-1 is come to when 60 % are agreed of its day once more: that is revision 3 again, which was of other days."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.70"), agreement("AG-1", "2026-09-01", share="0.70"))
    book.take(charge("CH-1", line("100.00", "0", "SA-1"), on="2026-10-31"), demand("B-1", on="2026-10-31"))
    book.take(charge("CH-2", line("-40.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-3", line("90.00", "0", "SA-1")), demand("B-2", on="2026-11-22"))
    book.corrects = False
    book.take(agreed("AG-1", "2026-10-20", "0.5"), agreed("AG-1", "2026-10-01", "0.6"))
    book.take(agreed("AG-1", "2026-10-31", "0.6"))
    for revision in (2, 3, 4):
        book.take(*(SharesToCorrect("AG-1", revision, f"INV-00000000{n}") for n in (1, 2)))
        book.take(BackdatingToComplete("AG-1", revision))
    assert not book.waiting
    assert book.position("SA-1").payable == 6000 - 2400 + 5400
    assert_books_hold(book)


def test_a_later_bill_that_takes_back_a_line_whose_correction_is_parked_is_corrected_after_it():
    """All was gone through, but for B-1, when B-2 takes back 40.00 of its 100.00. It has 70 %, then 50 % as B-1 has."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.70"), agreement("AG-1", "2026-09-01", share="0.70"))
    book.take(charge("CH-1", line("100.00", "0", "SA-1"), on="2026-10-31"), demand("B-1", on="2026-10-31"))
    book.corrects = False
    book.take(agreed("AG-1", "2026-10-01", "0.5"), BackdatingToComplete("AG-1", 2))
    book.take(charge("CH-2", line("-40.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-3", line("90.00", "0", "SA-1")), demand("B-2", on="2026-11-22"))
    assert book.position("SA-1").payable == 7000 - 2800 + 4500
    assert book.waiting["settlement.correct:AG-1/2/INV-000000002"][1].code == "correction-under-way"
    # A third one takes back what the second gave: it goes by the first, too.
    book.take(charge("CH-4", line("5.00", "0", "SA-1"), corrects=("INV-000000002", "1")))
    book.take(demand("B-3", on="2026-11-23"))
    book.take(SharesToCorrect("AG-1", 2, "INV-000000001"))
    assert not book.waiting
    parts = [one.on_behalf_of for n in (1, 2, 3) for one in book.invoice(n).lines if one.on_behalf_of is not None]
    assert {part.agreement and part.agreement.revision for part in parts} == {2}
    assert_books_hold(book)
    # What is as agreed, or of days before, leaves nothing to do.
    book.take(charge("CH-5", line("-5.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-6", line("90.00", "0", "SA-1")), demand("B-4", on="2026-11-24"))
    assert "settlement.correct:AG-1/2/INV-000000004" not in book.applied


def test_what_takes_back_a_line_of_days_before_does_not_wait():
    """October's line stays as it is, and so does what takes it back: there is nothing to wait for."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.70"), agreement("AG-1", "2026-09-01", share="0.70"))
    book.take(charge("CH-1", line("100.00", "0", "SA-1"), on="2026-10-31"), demand("B-1", on="2026-10-31"))
    book.take(charge("CH-2", line("-40.00", "0", "SA-1"), corrects=("INV-000000001", "1")))
    book.take(charge("CH-3", line("90.00", "0", "SA-1")), demand("B-2", on="2026-11-22"))
    book.take(agreed("AG-1", "2026-11-01", "0.5"))
    assert book.position("SA-1").payable == 7000 - 2800 + 4500
    assert_books_hold(book)


def test_a_closing_waits_until_past_days_are_corrected():
    """Else it would state one part of the correction, and leave the other to the next."""
    book = sold("100.00")
    book.corrects = False
    book.take(agreed("AG-1", "2026-10-01", "0.8"), closing("C-1"))
    assert book.waiting["settlement.close:C-1"][1].code == "correction-under-way"
    book.take(SharesToCorrect("AG-1", 2, "INV-000000001"))
    assert book.get(Agreement, "AG-1").backdating == (2,)
    book.take(BackdatingToComplete("AG-1", 2))
    assert book.settlement("C-1").total == 8000
    assert book.get(Agreement, "AG-1").backdating is None
    assert_books_hold(book)


def test_two_corrections_of_one_agreement_end_one_after_the_other():
    """The closing waits for both."""
    book = sold("100.00")
    book.corrects = False
    book.take(agreed("AG-1", "2026-10-01", "0.8"), agreed("AG-1", "2026-10-02", "0.9"), closing("C-1"))
    book.take(SharesToCorrect("AG-1", 2, "INV-000000001"), BackdatingToComplete("AG-1", 2))
    assert "settlement.close:C-1" in book.waiting
    book.take(SharesToCorrect("AG-1", 3, "INV-000000001"), BackdatingToComplete("AG-1", 3))
    assert book.settlement("C-1").total == 9000
    assert {one.state for one in book.documents[Backdating].values()} == {"completed"}
    assert_books_hold(book)


@pytest.mark.parametrize("state", ["pendingClose", "closed"])
def test_a_partner_that_leaves(state):
    """One that is to be closed is corrected; one that is closed agrees to nothing."""
    book = sold("100.00")
    if state == "closed":
        book.take(closing("C-1", until="2026-10-31"), payout("PO-1", 7000, "C-1"))
    book.take(command("close", "SA-1"))
    assert book.state("SA-1") == state
    book.take(agreed("AG-1", "2026-10-01", "0.8"))
    assert book.position("SA-1").payable == (8000 if state == "pendingClose" else 0)
    assert_books_hold(book)


def test_what_is_agreed_of_other_days_leaves_a_line_as_it_is():
    """Sold at 80 % by the account's terms, which are 50 % since; October alone is agreed, and the line is later."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.8"))
    book.take(order("O-1", line("100", "0", "SA-1"), at="2026-11-20T10:00:00"), closing("C-0"))
    book.take(update("SA-1", type_=SETTLEMENT, share="0.5"))
    book.take(agreement("AG-1", "2026-10-01", "2026-11-01", share="0.8"), closing("C-1"))
    assert (book.settlement("C-0").total, book.settlement("C-1").total) == (8000, 0)
    part = book.invoice(1).lines[0].on_behalf_of
    assert part is not None
    assert part.partner_share == Decimal("0.8")
    assert_books_hold(book)


def test_an_agents_line_of_other_days_keeps_its_commission():
    """10 % of what was sold, where the account's terms are 30 % since."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", "0.10"))
    book.take(order("O-1", line("100", "0", "SA-1"), at="2026-11-20T10:00:00"), closing("C-0"))
    book.take(update("SA-1", type_=SETTLEMENT, agent=as_agent("0.30")))
    book.take(agreement("AG-1", "2026-10-01", "2026-11-01", agent=as_agent("0.10")), closing("C-1"))
    assert book.settlement("C-1").total == 0
    assert_books_hold(book)


def test_a_line_that_was_billed_ahead_is_not_another_agreements():
    """A line of December, of whose days others were agreed since, keeps what it has, whatever is agreed of October."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.8"), agreement("AG-1", "2026-12-01", share="0.5"))
    book.take(order("O-1", line("100", "0", "SA-1"), at="2026-12-05T10:00:00"))
    book.take(agreed("AG-1", "2026-12-02", "0.9"), agreement("AG-2", "2026-10-01", "2026-11-01", share="0.6"))
    assert book.position("SA-1").payable == 5000
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("period", "first", "second"), [("month", "2026-11-05", "2026-11-15"), ("year", "2026-05-05", "2026-07-12")]
)
def test_tiers_go_on_where_only_what_closings_go_by_is_changed(period, first, second):
    """50 % of 1,000.00 and 90 % of 1,000.00 beyond, whatever threshold of payouts is agreed in between, or again."""
    steps = tiers(("1000", "0.50"), (None, "0.90"), period=period)
    start = f"{first[:8]}01"
    book = LedgerBook()
    book.take(billing(), partner(), agreement("AG-1", start, tiers=steps))
    book.take(order("O-1", line("1000", "0", "SA-1"), at=f"{first}T10:00:00"))
    book.take(agreed("AG-1", f"{second[:8]}10", tiers=steps, payout_threshold=100))
    book.take(order("O-2", line("1000", "0", "SA-1"), at=f"{second}T10:00:00"), closing("C-1"))
    assert book.settlement("C-1").total == 140_000
    book.take(agreed("AG-1", f"{second[:8]}10", tiers=steps, payout_threshold=200), closing("C-2"))
    assert book.settlement("C-2").total == 0
    parts = [one.on_behalf_of for n in (1, 2) for one in book.invoice(n).lines]
    assert {part and part.agreement for part in parts} == {AgreementRevision("AG-1", 1)}
    # What lines go by is another for a while, and then as before.
    other = tiers(("1000", "0.10"), (None, "0.20"), period=period)
    book.take(agreed("AG-1", f"{second[:8]}10", tiers=other), closing("C-3"))
    assert book.settlement("C-3").total == 50_000 + 10_000 - 140_000
    book.take(agreed("AG-1", f"{second[:8]}10", tiers=steps), closing("C-4"))
    # What was carried forward is back.
    assert (book.settlement("C-4").total, book.position("SA-1").payable) == (0, 140_000)
    assert_books_hold(book)


def test_no_period_of_tiers_has_what_was_sold_in_the_partners_name():
    """100.00 in its name counts in no tiers that are agreed later: of 50.00 after another 100.00 it has 20 % still."""
    book = LedgerBook()
    book.take(billing(), agent_of(), order("O-1", line("100", "0", "SA-1"), at="2026-11-20T10:00:00"))
    book.take(update("SA-1", type_=SETTLEMENT, agent=None, share="0.5"))
    book.take(order("O-2", line("100", "0", "SA-1"), at="2026-11-21T10:00:00"))
    book.take(agreement("AG-1", "2026-11-01", tiers=tiers(("150", "0.20"), (None, "0.50"))))
    book.take(order("O-3", line("50", "0", "SA-1")))
    parts = [book.invoice(number).lines[0].on_behalf_of for number in (1, 2)]
    assert [part and (part.share, part.tier and part.tier.before) for part in parts] == [(2_000, 0), (1_000, 10_000)]
    assert book.position("SA-1").payable == 10_000 + 2_000 + 1_000
    assert_books_hold(book)


def test_what_falls_at_a_new_tax_before_all_is_charged_anew_takes_nothing_of_the_old_ones():
    """10.00 of commission at 7 %, all of it at 0 % instead: a note of half, stated first, takes 5.00 at 0 %."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", "0.1", tax="0.07"), order("O-1", line("100", "0", "SA-1")))
    book.take(closing("C-1", until="2026-11-22"))
    book.begin_days("2026-11-26")
    book.take(agreement("AG-1", "2026-11-01", agent=as_agent("0.1", tax="0")))
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 5_000}, at="2026-11-23T09:00:00"))
    book.take(closing("C-2", until="2026-11-25"))
    fallen = [one for one in book.documents[SettlementDocument].values() if one.settlement_id == "C-2"]
    told = [(one.type_code, one.corrects, one.tax_excluded_amount, one.tax_included_amount) for one in fallen]
    assert told == [("381", None, 500, 500)]
    assert_books_hold(book)
    book.take(closing("C-3"))
    assert_books_hold(book)


def test_what_falls_at_a_new_tax_takes_nothing_of_the_old_one_that_was_given_up_before():
    """10.00 of commission at 7 %, then none, then 10 % of the net at 0 %: a note of half, stated first, is at 0 %."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", "0.1", tax="0.07"), order("O-1", line("100", "0", "SA-1")))
    book.take(closing("C-1", until="2026-11-22"))
    book.begin_days("2026-11-26")
    book.take(agreement("AG-1", "2026-11-01", agent=as_agent("0", tax="0.07")))
    book.take(agreed("AG-1", "2026-11-01", agent=as_agent("0.1", tax="0")))
    book.take(credit_note("N-1", "SA-1-000000001", {"1": 5_000}, at="2026-11-23T09:00:00"))
    book.take(closing("C-2", until="2026-11-25"))
    fallen = [one for one in book.documents[SettlementDocument].values() if one.settlement_id == "C-2"]
    told = [(one.type_code, one.corrects, one.tax_excluded_amount, one.tax_included_amount) for one in fallen]
    assert told == [("381", None, 500, 500)]
    assert_books_hold(book)
    book.take(closing("C-3"))
    assert_books_hold(book)
