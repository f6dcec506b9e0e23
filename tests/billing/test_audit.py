"""The audit of bills: books with all kinds of them are clean, and each tampering is seen by what watches it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from adapters.audit import audit
from adapters.billing.audit import CHECKS
from adapters.documents import COLLECTION, ENCODE
from domain.billing.subscriptions import Subscription
from domain.corrections.model import CreditNote
from domain.invoicing.model import Invoice
from tests.audit.test_audit import all_of, changing, copying, losing, red, renaming
from tests.support.books import Books, Document, Made
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    change,
    charge,
    credit_note,
    demand,
    dispute,
    identity_of,
    line,
    metered,
    order,
    partner,
    payment,
    relation,
    subscription,
    usage,
)

INV1 = "INV-000000001"
WATCHED = {check.name for check in CHECKS} | {
    "credited-within-lines",
    "credited-tax-is-that-of-credited-nets",
    "disputed-is-that-of-lines",
    "documents-match-inbox",
    "entries-match-inbox",
    "receivable-matches-invoices",
    "income-matches-invoices",
}


def write(book: LedgerBook, database: Books) -> None:
    """Write the books that were made in memory as the store would, as far as these checks look at them."""
    rows: dict[str, list[Document]] = {}
    for kind, documents in (*book.documents.items(), *book.rows.items()):
        rows.setdefault(COLLECTION[kind], []).extend(ENCODE[kind](document) for document in documents.values())
    rows["inbox"] = [
        {"_id": identity, "digest": "d", "appliedAt": book.booked_at, "result": _plain(book.results[identity])}
        for identity in book.applied
    ]
    rows["held"] = [{"_id": identity_of(fact), "state": "scheduled"} for _, fact in book.scheduled]
    for name, found in rows.items():
        if found:
            database[name].insert_many(found)


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    if {"id", "revision", "state"} == result.keys():
        return {"subscriptionId": result["id"], "revision": result["revision"]}
    if "priceId" in result:
        return result
    return {name: value for name, value in result.items() if name in ("billNo", "creditNotes") and value is not None}


def made_books() -> LedgerBook:
    """Bills: of two accounts; with a line taken back; of nothing; and one that is two credit notes beside a bill."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(
        billing("BA-1"),
        billing("BA-2", relationships=(relation("payer", "BA-1"),)),
        partner(),
        order("O-1", line("10", "0.2"), line("10", "0.2", "SA-1")),
        order("O-2", line("10", "0.2")),
        payment("P-1", 1200),
        charge("C-1", line("-4", "0.2"), corrects=(INV1, "1")),
        charge("C-2", line("6", "0.2", "SA-1"), account="BA-2", covers=("2026-11-01", "2026-12-01")),
        demand("D-1"),
        demand("D-2"),
        charge("C-3", line("-3", "0.2"), corrects=(INV1, "1")),
        charge("C-4", line("-1", "0.2"), corrects=("INV-000000002", "1")),
        charge("C-5", line("2", "0.2")),
        demand("D-3"),
        charge("C-6", line("-99", "0.2"), corrects=(INV1, "1")),
        demand("D-4"),
        charge("C-7", line("-1", "0.2"), corrects=(INV1, "1")),
        demand("D-5"),
        charge("C-8", line("5", "0.2")),
        subscription("S-1", start="2026-12-01"),
        subscription("S-2"),
        change("2026-12-01", "suspend", of="S-2"),
        change("2026-11-25", "suspend", of="S-2"),
        change("2026-12-24", "resume", of="S-2"),
        subscription("S-3", start="2026-10-01", termination_date="2026-11-15"),
        subscription("S-4"),
        change("2026-12-01", termination_date="2027-01-31", of="S-4"),
        change("2026-11-23", "terminate", of="S-4"),
        subscription("S-5", account="BA-2", start="2026-10-01"),
        change("2026-11-01", name="x", of="S-5"),
        subscription("S-6", metered(), metered("P-2"), start="2026-10-01"),
        usage("U-1", "2.5", "2026-10-31T10:00:00", of="S-6"),
        usage("U-2", "-1.5", "2026-10-31T11:00:00", of="S-6"),
        usage("U-3", "4", "2026-10-02T10:00:00", of="S-6"),
        usage("U-4", "0.00000001", "2026-11-02T10:00:00", of="S-6"),
        usage("U-5", "99999999999", "2026-11-02T10:00:00", of="S-6", price="P-2"),
        credit_note("N-1", "INV-000000003", {"2": 100}),
    )
    # Of which bills have been made up to then.
    billed = book.get(Subscription, "S-5")
    book.documents[Subscription]["S-5"] = replace(billed, next_due=date(2026, 12, 1), recheck_from=None)
    book.begin_days("2026-11-25")
    return book


@pytest.fixture(scope="module")
def made(mongo: MongoClient[Document]) -> Iterator[Made]:
    """Those books, once for all the tests here."""
    database = mongo.get_database(f"test-{uuid.uuid4().hex[:12]}", write_concern=WriteConcern("majority"))
    write(made_books(), database)
    yield Made.of(database)
    mongo.drop_database(database.name)


@pytest.fixture
def books(made: Made) -> Books:
    """They, whatever the test before has done to them."""
    return made.restored()


def reported(books: Books) -> dict[str, Document]:
    """What the checks of this page, and those that know bills too, say."""
    now = made_books().booked_at + timedelta(days=1)
    return {check["name"]: check for check in audit(books, now=now, relay_interval_seconds=5)["checks"]}


def test_bills_are_clean(books: Books) -> None:
    """And each check has something to look at."""
    report = reported(books)
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}
    assert {check.name: report[check.name]["checked"] for check in CHECKS} == {
        "subscriptions-are-what-was-agreed": 6,
        "subscription-turns-are-to-come": 6,
        "subscription-revisions-are-patches": 6,
        "live-subscriptions-are-open": 6,
        "changed-subscriptions-are-due": 6,
        "subscriptions-match-inbox": 12,
        "subscriptions-have-positions": 2,
        "usage-is-counted-by-day": 4,
        "usage-is-numbered-by-month": 3,
        "usage-matches-inbox": 5,
        "usage-points-to-subscriptions": 1,
        "taken-back-matches-bills": 3,
        "taken-back-tax-matches-bills": 3,
        "charges-match-lines": 8,
        "charges-are-billed-once": 7,
        "charges-match-notes": 3,
        "bills-match-demands": 5,
        "charges-match-inbox": 8,
        "charges-have-positions": 2,
    }


def test_corrections_of_corrections_are_clean(new_database: Books) -> None:
    """A line that takes back is taken back; and tax of which bills took back none is all a note's, or comes back."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10", "0.2")), charge("C-1", line("-6", "0.2"), corrects=(INV1, "1")))
    book.take(charge("C-2", line("20", "0.2")), demand("D-1"))
    book.take(dispute("X-1", "INV-000000002", {"1": -600, "2": 2000}))
    book.take(charge("C-3", line("6", "0.2"), corrects=("INV-000000002", "1")), demand("D-2"))
    assert book.invoice(2).state == "onHold"
    for net in ("0.02", "0.03"):
        who = f"BA-{net}"
        number = f"INV-{len(book.documents[Invoice]) + 1:09d}"
        book.take(billing(who), order(f"O-{net}", *(line(net, "0.2") for _ in range(10)), account=who))
        for n in range(1, 10):
            took = charge(f"C-{net}-{n}", line(f"-{net}", "0.2"), account=who, corrects=(number, str(n)))
            book.take(took, charge(f"E-{net}-{n}", line("1"), account=who), demand(f"D-{net}-{n}", account=who))
        book.take(credit_note(f"N-{net}", number))
    assert_books_hold(book)
    write(book, new_database)
    report = reported(new_database)
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}


def test_bills_of_zero_release_what_they_withhold(new_database: Books) -> None:
    """Of a partner that gets its share with the payment, which never comes; so does a further part of a long bill."""
    book = LedgerBook()
    book.take(billing(), partner("SA-1", "0.8", "payment"))
    book.take(charge("C-1", line("1", "0", "SA-1")), charge("C-2", line("-1", "0")), demand("D-1"))
    with patch("domain.billing.gathering.LINES_MAX", 1):
        book.take(charge("C-3", line("5")), charge("C-4", line("2", "0", "SA-1"), on="2026-11-23"))
        book.take(charge("C-5", line("-2", "0"), on="2026-11-23"), demand("D-2"))
    assert [one.tax_included_amount for one in book.documents[Invoice].values()] == [0, 500, 0]
    assert book.position("SA-1").payable == 240
    # What a note of a further part takes back says itself what of it was withheld.
    book.take(order("O-1", line("3", "0", "SA-1")), order("O-2", line("3", "0", "SA-1")))
    book.take(*(charge(f"T-{n}", line("-1", "0", "SA-1"), corrects=(f"INV-{n:09d}", "1")) for n in (4, 5)))
    with patch("domain.billing.gathering.INVOICES_MAX", 1):
        book.take(payment("P-1", 600, [f"INV-{n:09d}" for n in (4, 5)]), demand("D-3"))
    assert [one.cause for one in book.documents[CreditNote].values()] == ["bill.demand:D-3", "bill.continue:D-3/1"]
    assert_books_hold(book)
    write(book, new_database)
    report = reported(new_database)
    assert report["payable-entries-match-accruals"]["broken"] == []
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}


@dataclass(frozen=True)
class Tampering:
    """One way to break the books, and the checks that must see it; all others of these must stay green."""

    name: str
    breaks: Any
    seen_by: set[str]


TAMPERINGS = [
    Tampering(
        "take-back-more-than-bills-say",
        changing("invoices", INV1, corrections__lines__0__takenBack=300),
        {"taken-back-matches-bills"},
    ),
    Tampering(
        "take-back-another-tax",
        changing("invoices", INV1, corrections__tax__0__takenBack=79),
        {"taken-back-tax-matches-bills"},
    ),
    Tampering(
        "take-back-more-than-the-line",
        changing("invoices", INV1, corrections__lines__0__takenBack=1001),
        {"taken-back-matches-bills", "credited-within-lines"},
    ),
    Tampering(
        "a-line-of-another-account",
        changing("invoices", "INV-000000003", lines__1__origin__account="BA-1"),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-line-that-covers-another-time",
        changing("invoices", "INV-000000003", lines__1__origin__period=None),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-charge-of-another-rate",
        changing("charges", "C-2", item__rate="0.07"),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-charge-billed-again",
        changing("charges", "C-8", billed={"billNo": "INV-000000003", "lineId": "1", "amount": 500}),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-charge-that-is-open-again",
        changing("charges", "C-2", billed=None),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-charge-that-came-to-another-sum",
        changing("charges", "C-2", net=601),
        {"charges-are-billed-once"},
    ),
    Tampering(
        "a-charge-with-a-note-beside-its-line",
        changing("charges", "C-1", billed__creditNote="CN-000000009"),
        {"charges-are-billed-once", "charges-match-notes"},
    ),
    Tampering(
        "a-charge-taken-back-by-nothing",
        changing("charges", "C-7", billed__amount=-100),
        {"charges-are-billed-once"},
    ),
    Tampering(
        "a-note-of-less-than-its-charge",
        changing("charges", "C-3", billed__amount=-299),
        {"charges-match-notes"},
    ),
    Tampering(
        "a-bill-without-its-demand",
        losing("billsOnDemand", "D-1"),
        {"bills-match-demands", "documents-match-inbox"},
    ),
    Tampering(
        "a-demand-of-another-date",
        changing("billsOnDemand", "D-1", billingDate="2026-11-29"),
        {"bills-match-demands"},
    ),
    Tampering(
        "a-demand-without-its-note",
        changing("billsOnDemand", "D-3", creditNotes=["CN-000000001"]),
        {"bills-match-demands"},
    ),
    Tampering("a-charge-that-nobody-sent", losing("inbox", "charge.add:C-8"), {"charges-match-inbox"}),
    Tampering(
        "a-charge-of-no-account",
        copying("charges", "C-8", id_="C-9", billingAccount="BA-9"),
        {"charges-match-inbox", "charges-have-positions"},
    ),
    Tampering("a-charge-in-another-currency", changing("charges", "C-8", currency="USD"), {"charges-have-positions"}),
    Tampering(
        "a-subscription-that-is-another",
        changing("subscriptions", "S-2", state="active"),
        {"subscriptions-are-what-was-agreed"},
    ),
    Tampering(
        "a-suspension-for-another-day",
        changing("subscriptions", "S-2", patches__1__effectiveDate="2026-12-02"),
        {"subscriptions-are-what-was-agreed", "subscription-turns-are-to-come"},
    ),
    Tampering(
        "an-end-that-is-not-agreed",
        changing("subscriptions", "S-4", patches__1__terms__terminationDate=None),
        {"subscriptions-are-what-was-agreed", "subscription-turns-are-to-come"},
    ),
    Tampering(
        "a-turn-that-nobody-will-take",
        losing("held", "subscription.turn:S-1/1/2026-12-01"),
        {"subscription-turns-are-to-come"},
    ),
    Tampering(
        "a-turn-that-is-thrown-away",
        changing("held", "subscription.turn:S-2/4/2026-12-24", state="discarded"),
        {"subscription-turns-are-to-come"},
    ),
    Tampering(
        "a-patch-from-before-the-start",
        changing("subscriptions", "S-5", startDate="2026-11-02"),
        {"subscription-revisions-are-patches"},
    ),
    Tampering(
        "a-live-one-that-lets-its-account-close",
        changing("subscriptions", "S-1", open=False),
        {"live-subscriptions-are-open"},
    ),
    Tampering(
        "an-ended-one-with-something-to-bill-that-lets-its-account-close",
        changing("subscriptions", "S-3", open=False),
        {"live-subscriptions-are-open"},
    ),
    Tampering(
        "a-change-that-is-billed-too-late",
        changing("subscriptions", "S-5", recheckFrom="2026-11-01"),
        {"changed-subscriptions-are-due"},
    ),
    Tampering(
        "a-change-that-is-never-billed",
        changing("subscriptions", "S-2", nextDue=None),
        {"changed-subscriptions-are-due"},
    ),
    Tampering(
        "a-change-that-nobody-sent",
        changing("subscriptions", "S-5", patches__0__cause="subscription.change:x"),
        {"subscriptions-match-inbox"},
    ),
    Tampering("a-subscription-that-is-lost", losing("subscriptions", "S-3"), {"subscriptions-match-inbox"}),
    Tampering(
        "a-subscription-of-no-account",
        changing("subscriptions", "S-3", billingAccount="BA-9"),
        {"subscriptions-have-positions"},
    ),
    Tampering(
        "usage-that-is-counted-twice",
        changing("usageMonths", "S-6/P-1/2026-10", days__0__quantity="8"),
        {"usage-is-counted-by-day"},
    ),
    Tampering(
        "usage-of-less-than-was-counted", changing("usageRecords", "U-1", quantity="2.4"), {"usage-is-counted-by-day"}
    ),
    Tampering(
        "usage-that-is-counted-on-another-day",
        changing("usageMonths", "S-6/P-1/2026-10", days__0__day="2026-10-03"),
        {"usage-is-counted-by-day"},
    ),
    Tampering(
        "usage-below-zero",
        all_of(
            changing("usageRecords", "U-3", quantity="-4"),
            changing("usageMonths", "S-6/P-1/2026-10", days__0__quantity="-4"),
        ),
        {"usage-is-counted-by-day"},
    ),
    Tampering(
        "days-of-usage-out-of-order",
        changing(
            "usageMonths",
            "S-6/P-1/2026-10",
            days=[{"day": "2026-10-31", "quantity": "1"}, {"day": "2026-10-02", "quantity": "4"}],
        ),
        {"usage-is-numbered-by-month"},
    ),
    Tampering(
        "a-month-of-more-records", changing("usageMonths", "S-6/P-1/2026-10", count=4), {"usage-is-numbered-by-month"}
    ),
    Tampering("two-records-of-one-number", changing("usageRecords", "U-3", number=2), {"usage-is-numbered-by-month"}),
    Tampering("a-number-that-is-left-out", changing("usageRecords", "U-3", number=4), {"usage-is-numbered-by-month"}),
    Tampering(
        "usage-that-is-lost",
        losing("usageRecords", "U-2"),
        {"usage-is-counted-by-day", "usage-is-numbered-by-month", "usage-matches-inbox"},
    ),
    Tampering("usage-that-nobody-sent", losing("inbox", "usage.record:U-1"), {"usage-matches-inbox"}),
    Tampering(
        "usage-that-was-told-of-another-day",
        changing("inbox", "usage.record:U-1", result__date="2026-11-01"),
        {"usage-matches-inbox"},
    ),
    Tampering(
        "usage-of-no-subscription",
        all_of(
            changing("usageRecords", "U-5", subscriptionId="S-9"),
            renaming("usageMonths", "S-6/P-2/2026-11", "S-9/P-2/2026-11"),
            changing("inbox", "usage.record:U-5", result__subscriptionId="S-9"),
        ),
        {"usage-points-to-subscriptions"},
    ),
    Tampering(
        "an-invoice-of-nobody",
        changing("invoices", "INV-000000002", orderId=None),
        {
            "bills-match-demands",
            "documents-match-inbox",
            "entries-match-inbox",
            "receivable-matches-invoices",
            "income-matches-invoices",
        },
    ),
]


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.name)
def test_what_was_tampered_with_is_seen(books: Books, tampering: Tampering) -> None:
    """By the checks that watch it, and by no others of these."""
    tampering.breaks(books)
    found = red({"checks": list(reported(books).values())})
    assert found & WATCHED == tampering.seen_by


def test_each_check_has_a_tampering_that_only_it_finds() -> None:
    """A check that finds nothing that others do not is none."""
    alone = {next(iter(one.seen_by)) for one in TAMPERINGS if len(one.seen_by) == 1}
    assert {check.name for check in CHECKS} <= alone
