"""The audit has nothing to say of books that the domain has made, whatever happened in them."""

from collections import Counter
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.documents import COLLECTION, ENCODE
from domain.corrections.model import CreditNote
from domain.frozen import replace
from domain.invoicing.model import AgreementRevision, Invoice, Loss
from domain.settlement import accruals
from domain.settlement.agreements import Agreement
from domain.settlement.backdating import BackdatingToComplete, SharesToCorrect
from domain.settlement.documents import SettlementDocument
from domain.settlement.reserves import Reserve
from domain.settlement.statements import Settlement
from tests.support.audits import quick_audit
from tests.support.books import Books
from tests.support.fitting_facts import OFTEN, FittingFacts
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    JPY,
    KWD,
    LedgerBook,
    adjustment,
    advance,
    agent_of,
    agreed,
    agreement,
    as_agent,
    bill_run,
    billing,
    charge,
    closing,
    command,
    credit_note,
    cycle,
    demand,
    fixed_fee,
    guarantee,
    holdback,
    in_cycle,
    line,
    moment,
    order,
    partner,
    payment,
    release,
    reversal,
    self_billing,
    tiers,
    write_off,
)
from tests.support.steady import steady

OF_EVENTS = {"event-sequences-run-without-gap", "payouts-are-requested-once"}
"""The checks that are left out, since no events are written."""
BILLED = ["subscribe", "alter", "alter", "use", "use", "use", "bill", "bill", "bill", "note", "take_back"]
"""Facts by which subscriptions are billed again and again, and what people give of it."""
ZONES = [ZoneInfo(name) for name in ("UTC", "Pacific/Kiritimati", "Etc/GMT+12")]
"""Where days begin together with those of UTC, first and last."""


def write(book: LedgerBook, database: Books) -> None:
    """Write books made in memory as the worker does, but for the events, in place of what was there."""
    for name in database.list_collection_names():
        database[name].delete_many({})
    for holdings in (book.documents, book.rows):
        for kind, found in holdings.items():
            if found:
                database[COLLECTION[kind]].insert_many([ENCODE[kind](one) for one in found.values()])
    results = {identity: {"billNos": book.results[identity].get("billNos", [])} for identity in book.applied}
    for identity in results:
        said = book.results[identity]
        if identity.startswith("bill."):
            results[identity] = {name: one for name, one in said.items() if one is not None}
        elif identity.startswith("subscription."):
            results[identity] = {"subscriptionId": said["id"], "revision": said["revision"]}
        elif identity.startswith("reserve.continue:"):
            results[identity] = {"released": {"value": said["released"]}}
        elif identity.startswith("netting.apply:"):
            results[identity] = {"netted": {"value": said["netted"]}}
        elif identity.startswith(("settlement.correct:", "usage.record:")):
            results[identity] = said
    database["inbox"].insert_many([{"_id": identity, "result": result} for identity, result in results.items()])


def broken_of(book: LedgerBook, database: Books) -> list[Any]:
    """The checks that are red of books made in memory."""
    write(book, database)
    report = quick_audit(database, now=moment("2026-12-01"), relay_interval_seconds=0, relay_grace_seconds=0)
    return [check for check in report["checks"] if not check["ok"] and check["name"] not in OF_EVENTS]


def red(database: Books) -> set[str]:
    """The checks that are red of books that were changed since."""
    report = quick_audit(database, now=moment("2026-12-01"), relay_interval_seconds=0, relay_grace_seconds=0)
    return {check["name"] for check in report["checks"] if not check["ok"]} - OF_EVENTS


OF_TAKEN_BACK = {"what-is-taken-back-has-its-lines-terms"}


@pytest.mark.parametrize("often", [OFTEN, BILLED], ids=["all kinds", "subscriptions"])
def test_the_audit_is_clean_whatever_happened(new_database: Books, often: list[str]) -> None:
    """Facts of all kinds that fit the books as they are. A failure is not made smaller: each try is an audit."""

    @settings(steady(50), phases=[Phase.generate])
    @given(
        st.sampled_from((JPY, EUR, KWD)),
        st.lists(st.sampled_from(often), min_size=15, max_size=40),
        st.sampled_from((1, 20_000)),
        st.sampled_from(ZONES),
        st.data(),
    )
    def live(currency, kinds, work, zone, data):
        book = LedgerBook(zone=zone)
        fitting = FittingFacts(book, currency, data.draw)
        book.take(*fitting.accounts())
        with patch("domain.payments.allocating.WORK_MAX", work):
            for kind in ("order", "order", *kinds):
                book.take(fitting.next(kind))
        assert broken_of(book, new_database) == []

    live()


@pytest.mark.parametrize("lines", [5, 5_000])
def test_what_closings_add_is_audited(new_database: Books, lines: int) -> None:
    """Guarantees of two agreements, a change within a period, advances, reserves, a threshold, in closings of parts."""
    book = LedgerBook()
    book.begin_days("2026-10-01")
    monthly: dict[str, Any] = {"guarantee": guarantee(10000), "advance": 5000, "holdback": holdback("0.125", 20)}
    book.take(billing(), partner(share="1"), agreement("AG-1", "2026-10-01", "2026-12-01", share="1", **monthly))
    book.take(agreement("AG-2", "2026-12-01", share="1", guarantee=guarantee(30000, "quarter"), payout_threshold=9000))
    book.take(agreed("AG-1", "2026-11-16", "1", guarantee=guarantee(20000), holdback=holdback("0.1", 0)))
    book.take(advance("AV-1", 3000, at="2026-10-02T10:00:00"), advance("AV-2", 2000, at="2026-11-02T10:00:00"))
    with (
        patch("domain.settlement.closing.LINES_MAX", lines),
        patch("domain.settlement.closing.STATEMENTS_MAX", 1),
    ):
        for day in ("2026-10-31", "2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"):
            book.begin_days(day)
            book.take(
                *(
                    order(f"O-{day}-{n}", line("100.00"), line("12.34", "0", "SA-1"), at=f"{day}T12:00:00")
                    for n in range(5)
                )
            )
            book.take(closing(f"C-{day}", until=day))
            book.take(adjustment(f"A-{day}", 4000, on=day), closing(f"C-{day}-late", until=day))
            if book.documents[Reserve]:
                held = max(one.id for one in book.documents[Reserve].values())
                book.take(release(f"R-{day}", held, 1, at=f"{day}T13:00:00"))
        book.begin_days("2027-04-01")
        book.take(closing("C-last", until="2027-03-31"))
    stated = [line for one in book.documents[Settlement].values() for line in one.lines if line.step is not None]
    assert {line.step.kind for line in stated if line.step} == {"guarantee", "recoupment", "holdback", "release"}
    assert any(line.step and line.step.kind == "guarantee" and line.amount < 0 for line in stated)
    assert any(one.threshold for one in book.documents[Settlement].values())
    assert_books_hold(book, lines_max=lines)
    assert broken_of(book, new_database) == []


def test_what_a_note_frees_may_move_what_is_given_up_of_another_invoice(new_database: Books) -> None:
    """Of a share of 0.33 half is lost: 0.17, and 0.16 as soon as the other half is paid, which a note's credit does."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.33333333", on="payment"), order("O-1", line("0.50")), payment("P-1", 50))
    book.take(order("O-2", line("1.00", "0", "SA-1")), write_off("W-1", "INV-000000002", 50))
    assert book.position("SA-1").withheld == 16
    book.take(credit_note("N-1", "INV-000000001"))
    assert [(row.cause, row.given_up) for row in book.rows[Loss].values()] == [
        ("invoice.write-off:W-1", 17),
        ("credit-note.issue:N-1", -1),
    ]
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (17, 0)
    assert broken_of(book, new_database) == []


def test_what_goes_on_in_another_transaction_releases_shares_too(new_database: Books) -> None:
    """A payment covers one invoice, and its rest the other one."""
    book = LedgerBook()
    with patch("domain.payments.allocating.WORK_MAX", 1):
        book.take(billing(), partner(on="payment"), *[order(f"O-{n}", line("1.00", "0", "SA-1")) for n in (1, 2)])
        book.take(payment("P-1", 200))
    assert sorted(accrual.id.count("/") for accrual in book.accruals("SA-1")) == [2, 5]
    assert broken_of(book, new_database) == []


def test_a_bill_of_zero_releases_shares_at_once(new_database: Books) -> None:
    """Nobody pays it: what a partner gets of its lines, and what notes beside its further parts take back, is known."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), charge("C-1", line("-2.00", "0", "SA-1")), charge("C-2", line("2.00")))
    book.take(demand("D-1"))
    assert (book.invoice(1).state, [one.amount for one in book.accruals("SA-1")]) == ("settled", [-160])
    book.take(order("O-1", *[line("1.00", "0", "SA-1") for _ in range(2)]))
    taken = [charge(f"T-{n}", line("-1.00", "0", "SA-1"), corrects=("INV-000000002", str(n))) for n in (1, 2)]
    with patch("domain.billing.gathering.LINES_MAX", 1):
        book.take(*taken, demand("D-2"))
    assert [note.cause for note in book.documents[CreditNote].values()] == ["bill.demand:D-2", "bill.continue:D-2/1"]
    assert broken_of(book, new_database) == []


def test_a_further_part_of_a_runs_bill_takes_back_shares_at_once(new_database: Books) -> None:
    """As that of a demand does: its identity has a stroke, and no payment released what its note takes back."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(cycle(), in_cycle(), partner(on="invoice"))
    book.take(order("O-1", *[line("1.00", "0", "SA-1") for _ in range(2)]))
    taken = [charge(f"T-{n}", line("-1.00", "0", "SA-1"), corrects=("INV-000000001", str(n))) for n in (1, 2)]
    with patch("domain.billing.gathering.LINES_MAX", 1):
        book.take(*taken, bill_run())
        book.go_through("R-1")
    causes = [note.cause for note in book.documents[CreditNote].values()]
    assert causes == ["bill.account:R-1:BA-1", "bill.account:R-1:BA-1/1"]
    assert_books_hold(book)
    assert "payable-entries-match-accruals" not in {check["name"] for check in broken_of(book, new_database)}


def test_what_is_agreed_of_past_days_is_audited(new_database: Books) -> None:
    """Of lines that were paid in part, credited, and written off; from the invoice to the payment, and back."""
    book = LedgerBook()
    book.begin_days("2026-10-01")
    book.take(billing(), partner(share="0.5"), agreement("AG-1", "2026-10-01", share="0.7", on="payment"))
    for n in range(1, 5):
        book.take(order(f"O-{n}", line("100.00", "0", "SA-1"), line("50.00"), at="2026-10-05T12:00:00"))
    book.take(payment("P-1", 9000), credit_note("N-1", "INV-000000003", {"1": 4000}))
    book.take(write_off("W-1", "INV-000000004", 5000), closing("C-1", until="2026-10-31"))
    later = (
        agreed("AG-1", "2026-10-01", "0.8", "payment"),
        agreed("AG-1", "2026-10-01", "0.65", "invoice"),
        agreed("AG-1", "2026-10-01", "0.9", "payment"),
    )
    for change in later:
        book.take(change)
        assert_books_hold(book)
        assert broken_of(book, new_database) == []
    book.take(credit_note("N-2", "INV-000000003", {"1": 1000}), payment("P-2", 30000), closing("C-2"))
    assert broken_of(book, new_database) == []


def test_what_a_step_without_a_share_awaits_is_audited(new_database: Books) -> None:
    """Of four lines two are paid, or credited; who forgets that others are awaited has a partner closed too early."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner(share="0.7"))
    book.take(agreement("AG-1", "2026-10-01", on="payment", tiers=tiers(("1000", "0"), (None, "0.5"))))
    for n in range(1, 5):
        book.take(order(f"O-{n}", line("100.00", "0", "SA-1"), at="2026-11-22T12:00:00"))
    book.take(payment("P-1", 15000), credit_note("N-1", "INV-000000003"))
    assert book.position("SA-1").withholding == 2
    assert broken_of(book, new_database) == []
    new_database["invoices"].update_one({"_id": "INV-000000004"}, {"$unset": {"lines.0.onBehalfOf.awaited": ""}})
    assert red(new_database) == {"withholding-matches-lines"}


def test_documents_of_closings_in_parts(new_database: Books):
    """Each statement has its own: of lines that are taken back again, by other tax from November on, with a fee."""
    book = LedgerBook()
    book.begin_days("2026-10-01")
    terms: dict[str, Any] = {"fixed_fee": fixed_fee(310), "holdback": holdback("0.1", 0)}
    book.take(billing(), partner(share="1"))
    book.take(agreement("AG-1", "2026-10-01", share="1", self_billing=self_billing(), **terms))
    reverse = self_billing(rate="0", category="AE", reverse="0.19")
    book.take(agreed("AG-1", "2026-11-01", "1", self_billing=reverse, **terms))
    with (
        patch("domain.settlement.closing.LINES_MAX", 7),
        patch("domain.settlement.closing.STATEMENTS_MAX", 1),
    ):
        for month, day in enumerate(("2026-10-31", "2026-11-30", "2026-12-31")):
            book.begin_days(day)
            for n in range(1, 6):
                number = 5 * month + n
                book.take(order(f"O-{number}", line("12.34", "0", "SA-1"), line("100"), at=f"{day}T12:00:00"))
            for invoice in list(book.documents[Invoice].values()):
                if invoice.order_id is not None and int(invoice.order_id[2:]) % 2:
                    book.take(credit_note(f"N-{day}-{invoice.id}", invoice.id, {"1": 300}, at=f"{day}T13:00:00"))
            book.take(adjustment(f"A-{day}", -50, on=day), closing(f"C-{day}", until=day))
            assert_books_hold(book, lines_max=7)
    types = Counter(one.type_code for one in book.documents[SettlementDocument].values())
    assert types["261"] > 5 < types["389"], types
    assert broken_of(book, new_database) == []


def test_an_adjustment_before_the_day_of_its_line_is_invoiced_by_that(new_database: Books) -> None:
    """5.00 more of a line of the 20th, dated the 14th: self-billed as the line is, agreed from the 16th on."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(
        billing(), partner(share="0.5"), agreement("AG-1", "2026-11-16", share="0.5", self_billing=self_billing())
    )
    book.take(order("O-1", line("100.00", "0", "SA-1"), at="2026-11-20T12:00:00"))
    book.take(adjustment("A-1", 500, corrects=("INV-000000001", "1"), on="2026-11-14"), closing("C-1"))
    [document] = book.documents[SettlementDocument].values()
    told = [(one.kind, one.amount, one.start.day) for one in document.lines]
    assert told == [("accrual", 5000, 20), ("adjustment", 500, 14)]
    assert_books_hold(book)
    assert broken_of(book, new_database) == []


def test_commission_of_which_an_earlier_version_charged_the_difference(new_database: Books, monkeypatch: Any) -> None:
    """It left 10.00 at 20 %, and charged 5.00 more at 19 %: all of it falls at 19 %, and is credited where it was."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), agent_of(), order("O-1", line("100", "0.2", "SA-1"), at="2026-11-20T12:00:00"))
    with monkeypatch.context() as before:
        before.setattr(accruals, "_recharged", lambda booked, now: (None, accruals._commission(booked, now)))
        book.take(closing("C-1", until="2026-11-22"))
        book.take(agreement("AG-1", "2026-11-01", agent=as_agent("0.15", tax="0.19")), closing("C-2"))
    book.take(credit_note("N-1", "SA-1-000000001"), closing("C-3"))
    assert [one.tax_excluded_amount for one in book.documents[SettlementDocument].values()] == [1000, 500, 1000, 500]
    assert broken_of(book, new_database) == []


def test_which_of_two_series_was_first_is_not_told_by_their_numbers(new_database: Books) -> None:
    """A note names none, since what it takes back is stated later; an invoice in another series is from then on only.

    The 50.00 of the 23rd came back on the 21st, as was told late, and were paid again on the 25th; all in one batch.
    """
    book = LedgerBook()
    book.take(billing(), partner(share="0.5", on="payment"))
    book.take(agreement("AG-1", "2026-11-01", share="0.5", on="payment", self_billing=self_billing("SX-")))
    book.take(agreed("AG-1", "2026-11-24", "0.5", "payment", self_billing=self_billing("SA-")))
    book.take(order("O-1", line("100.00", "0", "SA-1"), at="2026-11-20T12:00:00"))
    book.take(payment("P-1", 10000, at="2026-11-23T12:00:00"), reversal("X-1", "P-1", at="2026-11-21T12:00:00"))
    book.take(closing("C-1", until="2026-11-22"), closing("C-2", until="2026-11-23"))
    book.take(payment("P-2", 10000, at="2026-11-25T12:00:00"), closing("C-3"))
    told = [(one.id, one.type_code, one.corrects) for one in book.documents[SettlementDocument].values()]
    assert told == [("SX-000000001", "261", None), ("SX-000000002", "389", None), ("SA-000000001", "389", None)]
    assert_books_hold(book)
    assert broken_of(book, new_database) == []


def test_terms_of_the_days_are_audited(new_database: Books) -> None:
    """A line of a day to come keeps its terms; one of a past day has those of it, unless its correction was parked.

    AG-1's revision 2 is from 5 December on, which is to come; 3 from 1 November on, after two bills.
    """
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner(share="0.7"), agreement("AG-1", "2026-10-01", share="0.7", payout_threshold=4000))
    book.take(order("O-1", line("10.00", "0", "SA-1"), at="2026-12-05T12:00:00"))
    book.take(charge("CH-1", line("50.00", "0", "SA-1")), demand("B-1", on="2026-11-22"))
    book.take(agreed("AG-1", "2026-12-05", "0.7", payout_threshold=4000))
    book.take(charge("CH-2", line("-20.00", "0", "SA-1"), corrects=("INV-000000002", "1")), charge("CH-3", line("50")))
    book.take(demand("B-2", on="2026-11-22"), closing("C-1"))
    assert (book.settlement("C-1").total, book.settlement("C-1").threshold) == (3500 - 1400, 4000)
    assert broken_of(book, new_database) == []
    lines = "lines-have-the-terms-of-their-days"
    # Had it begun when that was agreed, the line would have been corrected.
    agreements, invoices = new_database["agreements"], new_database["invoices"]
    agreements.update_one(
        {"_id": "AG-1"}, {"$set": {"agreed.1.validFrom": "2026-11-21"}, "$unset": {"agreed.1.linesAs": ""}}
    )
    assert red(new_database) == {lines}
    # As an earlier version wrote it, whose lines went by the last revision also where the terms were the same.
    book.corrects = False
    book.take(agreed("AG-1", "2026-11-01", "0.7", payout_threshold=4000))
    of_now = book.get(Agreement, "AG-1")
    of_then = tuple(replace(one, lines_as=None) for one in of_now.agreed)
    book.documents[Agreement]["AG-1"] = replace(of_now, agreed=of_then)
    book.take(*(SharesToCorrect("AG-1", 3, f"INV-{n:09}") for n in (1, 2, 3)), BackdatingToComplete("AG-1", 3))
    part = book.invoice(3).lines[0].on_behalf_of
    assert part is not None
    assert part.agreement == AgreementRevision("AG-1", 3)
    assert broken_of(book, new_database) == []
    revision = "lines.0.onBehalfOf.agreement.revision"
    both, second = {"_id": {"$in": ["INV-000000002", "INV-000000003"]}}, {"_id": "INV-000000003"}
    invoices.update_many(both, {"$set": {revision: 1}})
    assert red(new_database) == {lines}
    invoices.update_many(both, {"$set": {revision: 3}})
    invoices.update_one(second, {"$set": {revision: 1}})
    assert red(new_database) == OF_TAKEN_BACK
    # What was parked, or waits, is told elsewhere.
    invoices.update_many(both, {"$set": {revision: 1}})
    new_database["held"].insert_one({"_id": "settlement.correct:AG-1/3/INV-000000002", "state": "parked"})
    assert lines not in red(new_database)


def test_a_partner_that_leaves_is_paid_below_the_threshold(new_database: Books) -> None:
    """Its account could not be closed otherwise."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.7"), agreement("AG-1", "2026-10-01", share="0.7", payout_threshold=4000))
    book.take(order("O-1", line("10.00", "0", "SA-1")), command("close", "SA-1"), closing("C-1"))
    assert (book.state("SA-1"), book.settlement("C-1").state) == ("pendingClose", "open")
    assert broken_of(book, new_database) == []


def test_a_line_that_was_billed_ahead_has_what_was_agreed_then(new_database: Books) -> None:
    """Of 5 December 50 % were agreed as it was billed, and 90 % since: it keeps the 50 %, whatever October has."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner(share="0.8"), agreement("AG-1", "2026-12-01", share="0.5"))
    book.take(order("O-1", line("10.00", "0", "SA-1"), at="2026-12-05T12:00:00"), agreed("AG-1", "2026-12-02", "0.9"))
    book.take(agreement("AG-2", "2026-10-01", "2026-11-01", share="0.6"))
    assert book.position("SA-1").payable == 500
    assert broken_of(book, new_database) == []


def test_lines_go_by_the_first_revision_that_has_their_terms(new_database: Books) -> None:
    """60 % from 10 November on are revision 2, and 3 has them from the 1st on: a line of the 5th is by 2 as well."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner(share="0.8"), agreement("AG-1", "2026-10-01", share="0.5"))
    book.take(agreed("AG-1", "2026-11-10", "0.6"), agreed("AG-1", "2026-11-01", "0.6"))
    book.take(order("O-1", line("10.00", "0", "SA-1"), at="2026-11-05T12:00:00"))
    part = book.invoice(1).lines[0].on_behalf_of
    assert part is not None
    assert (part.share, part.agreement) == (600, AgreementRevision("AG-1", 2))
    assert broken_of(book, new_database) == []
    # That it says which one lets nothing through: these have other terms.
    new_database["agreements"].update_one({"_id": "AG-1"}, {"$set": {"agreed.2.linesAs": 1}})
    assert "lines-have-the-terms-of-their-days" in red(new_database)
