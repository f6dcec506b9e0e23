"""The audit of bills: books with all kinds of them are clean, and each tampering is seen by what watches it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal
from unittest.mock import patch

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from adapters.billing.audit import CHECKS
from adapters.documents import COLLECTION, ENCODE
from domain.billing.terms import Step, Tiers
from domain.corrections.model import CreditNote
from domain.invoicing.model import Invoice
from tests.audit.test_audit import all_of, changing, copying, losing, red, renaming
from tests.support.audits import quick_audit
from tests.support.books import Books, Document, Made
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    bill_run,
    billing,
    change,
    charge,
    credit_note,
    cycle,
    demand,
    dispute,
    identity_of,
    in_cycle,
    line,
    metered,
    minimum,
    moment,
    monthly,
    order,
    partner,
    payment,
    relation,
    subscription,
    usage,
)

INV1 = "INV-000000001"
BILL = "INV-000000005"
"""The first bill of subscriptions."""
RUN_BILL = "INV-000000013"
"""A bill of a run."""
JANUARY, MARCH = "2026-01-01/2026-02-01", "2026-03-01/2026-04-01"
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
    if "billingAccount" in result:
        result = {**result, "billingAccount": {"id": result["billingAccount"]}}
    elif "billRunId" not in result and "billRunIds" not in result:
        result = {name: result[name] for name in ("billNo", "creditNotes") if name in result}
    return {name: value for name, value in result.items() if value is not None}


def tiers(mode: Literal["graduated", "volume"]) -> Tiers:
    """Steps up to 10 and beyond, both with a fee."""
    steps = (Step(Decimal(10), Decimal("0.50"), Decimal(1)), Step(None, Decimal("0.25"), Decimal(2)))
    return Tiers(mode, steps)


def changing_price(part: str, **fields: Any) -> Callable[[Books], object]:
    """Sets fields of what was billed of a price in a period, `part` being its subscription, the price and the days."""
    subscription, price, days = part.split("/", 2)
    of = f"{subscription}/{days}"

    def breaks(books: Books) -> None:
        found = books["billedPeriods"].find_one({"_id": of})
        assert found is not None
        n = [one["priceId"] for one in found["prices"]].index(price)
        changing("billedPeriods", of, **{f"prices__{n}__{name}": value for name, value in fields.items()})(books)

    return breaks


def billed_facts() -> list[Fact]:
    """Bills of subscriptions of all kinds, of what was changed in the past, and of what was taken back."""
    return [
        billing("BA-3"),
        subscription(
            "B-1",
            monthly("A"),
            monthly("R", "7", billed="inArrears", quantity=Decimal("1.5")),
            monthly("O", "50", price_type="oneTime"),
            monthly("X", "9.99", on_behalf_of="SA-1"),
            account="BA-3",
            start="2026-01-31",
        ),
        subscription(
            "B-2",
            metered("U"),
            metered("G", None, tiers=tiers("graduated")),
            metered("V", None, tiers=tiers("volume")),
            monthly("W", "1", period_type="week", billed="inArrears"),
            minimum("M", "40"),
            account="BA-3",
            start="2026-01-01",
            billing_anchor="2025-12-15",
        ),
        subscription(
            "B-3",
            monthly("A", "31"),
            monthly("N", "5", proration="none"),
            account="BA-3",
            start="2026-01-01",
            trial_end_date="2026-01-11",
        ),
        subscription("B-4", monthly("A", "8"), account="BA-3", start="2026-01-01"),
        subscription("B-5", monthly("A", "3"), account="BA-3", start="2026-01-01"),
        usage("V-1", "12", "2026-01-03T10:00:00", of="B-2", price="U"),
        usage("V-2", "12", "2026-01-20T10:00:00", of="B-2", price="G"),
        usage("V-3", "12", "2026-01-20T10:00:00", of="B-2", price="V"),
        demand("E-1", account="BA-3", on="2026-02-01"),
        # Given by people: all of a line, and some of another one.
        credit_note("N-2", "INV-000000005", {"1": 800, "4": 2000}),
        # In the past, or late.
        usage("V-4", "5.5", "2026-01-04T10:00:00", of="B-2", price="U"),
        usage("V-5", "-5", "2026-01-20T11:00:00", of="B-2", price="V"),
        change("2026-01-21", prices=(monthly("A", "62"), monthly("N", "5", proration="none")), of="B-3"),
        change("2026-02-05", "suspend", of="B-1"),
        change("2026-02-15", "resume", of="B-1"),
        demand("E-2", account="BA-3", on="2026-03-01"),
        change("2026-01-01", "terminate", of="B-4"),
        change("2026-01-25", "terminate", of="B-3"),
        demand("E-3", account="BA-3", on="2026-03-01"),
        usage("V-6", "3", "2026-02-20T11:00:00", of="B-2", price="V"),
        demand("E-4", account="BA-3", on="2026-04-01"),
        # Of which the next bill finds out.
        change("2026-03-05", prices=(monthly("A", "4"),), of="B-5"),
        # A note that undoes a part of what its invoice took back, and one of people that does.
        *(fact for n in (1, 2) for fact in upgraded_facts(f"T-{n}", f"BA-T{n}")),
        change("2026-01-16", "terminate", of="T-1"),
        demand("T-1-E", account="BA-T1", on="2026-02-01"),
        credit_note("N-3", "INV-000000011", {"1": -500, "2": 1000}),
    ]


def run_through(book: LedgerBook) -> None:
    """A run over three accounts, of which one is billed in two parts and one has nothing due; one that only began."""
    book.take(
        cycle(),
        *(in_cycle(f"BA-R{n}") for n in (1, 2, 3)),
        *(charge(f"R-{n}", line("3", "0.2"), account="BA-R1") for n in (1, 2)),
        charge("R-3", line("9", "0.2", "SA-1"), account="BA-R2"),
        bill_run(on="2026-11-25"),
        bill_run("R-2", on="2026-11-25"),
    )
    with patch("domain.billing.gathering.LINES_MAX", 1):
        assert book.go_through("R-1").billed == 2


def waiting(books: Books) -> None:
    """Holds what a run has left to do."""
    identity, run = "bill.account:R-1:BA-R9", "R-1:BA-R9"
    row = {"_id": identity, "state": "waiting", "account": "BA-R9", "businessKey": run, "waitingSince": None}
    books["held"].insert_one({**row, "heldAt": moment("2026-11-20")})


def upgraded_facts(id_: str, account: str) -> list[Fact]:
    """A bill of 31.00, and one of what they were raised by within the month."""
    return [
        billing(account),
        subscription(id_, monthly("A", "31"), account=account, start="2026-01-01"),
        demand(f"{id_}-A", account=account, on="2026-01-01"),
        change("2026-01-11", prices=(monthly("A", "40"),), of=id_),
        demand(f"{id_}-B", account=account, on="2026-01-11"),
    ]


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
    book.begin_days("2026-11-25")
    book.take(*billed_facts())
    run_through(book)
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
    return {check["name"]: check for check in quick_audit(books, now=now, relay_interval_seconds=5)["checks"]}


def test_bills_are_clean(books: Books) -> None:
    """And each check has something to look at."""
    report = reported(books)
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}
    assert {check.name: report[check.name]["checked"] for check in CHECKS} == {
        "subscriptions-are-what-was-agreed": 13,
        "subscription-turns-are-to-come": 13,
        "subscription-revisions-are-patches": 13,
        "live-subscriptions-are-open": 13,
        "changed-subscriptions-are-due": 13,
        "subscriptions-match-inbox": 28,
        "subscriptions-have-positions": 5,
        "usage-is-counted-by-day": 9,
        "usage-is-numbered-by-month": 7,
        "usage-matches-inbox": 11,
        "usage-points-to-subscriptions": 2,
        "lines-of-prices-match-periods": 55,
        "periods-are-taken-back-once": 45,
        "billed-is-what-is-charged": 43,
        "charged-is-what-was-agreed": 40,
        "charged-adds-up": 45,
        "minimums-are-what-is-missing": 3,
        "counted-usage-is-kept": 7,
        "what-fell-due-is-billed": 15,
        "periods-point-to-subscriptions": 7,
        "bill-runs-match-inbox": 2,
        "bill-runs-count-accounts": 2,
        "bill-runs-bill-up-to-their-date": 2,
        "bill-runs-leave-nothing": 1,
        "bill-runs-add-up": 1,
        "bills-say-their-run": 12,
        "taken-back-matches-bills": 19,
        "taken-back-tax-matches-bills": 9,
        "charges-match-lines": 11,
        "charges-are-billed-once": 10,
        "charges-match-notes": 11,
        "bills-match-demands": 18,
        "charges-match-inbox": 11,
        "charges-have-positions": 4,
        "charges-are-reached-by-bills": 4,
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


def test_what_an_earlier_version_credited_gave_nothing_back(new_database: Books) -> None:
    """A note on a line that took something back left that taken back: such books are as they should be."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("10", "0.2")), charge("C-1", line("-6", "0.2"), corrects=(INV1, "1")))
    book.take(charge("C-2", line("20", "0.2")), demand("D-1"), credit_note("N-1", "INV-000000002"))
    bill, ordered = book.invoice(2), book.invoice(1)
    assert [one.given_back for one in bill.corrected.lines] == [-600, None]
    assert [one.taken_back for one in ordered.corrected.lines] == [0]
    assert [one.taken_back for one in ordered.corrected.tax] == [0]
    lines = tuple(replace(one, given_back=None) for one in bill.corrected.lines)
    book.documents[Invoice][bill.id] = replace(bill, corrections=replace(bill.corrected, lines=lines))
    taken = replace(
        ordered.corrected,
        lines=tuple(replace(one, taken_back=600) for one in ordered.corrected.lines),
        tax=tuple(replace(one, taken_back=120) for one in ordered.corrected.tax),
    )
    book.documents[Invoice][ordered.id] = replace(ordered, corrections=taken)
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


def test_usage_of_what_is_billed_and_due_again_is_clean(new_database: Books) -> None:
    """After a bill of an earlier date than the one before, what falls due later is looked at by the next one."""
    book = LedgerBook()
    book.take(billing(), subscription("S-1", metered("P-1", None, tiers=tiers("volume")), start="2026-09-10"))
    book.take(demand("D-1"), change("2026-09-10", name="x"), demand("D-2", on="2026-11-03"))
    book.take(usage("U-1", "1", "2026-11-03T10:00:00"))
    assert_books_hold(book)
    write(book, new_database)
    report = reported(new_database)
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}
    book.take(demand("D-3"))
    assert_books_hold(book)
    assert [line.tax_excluded_amount for line in book.invoice(2).lines] == [50]


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
        "a-note-of-a-take-back-that-gives-back-no-room",
        changing("invoices", "INV-000000010", corrections__lines__0__takenBack=2100),
        {"taken-back-matches-bills"},
    ),
    Tampering(
        "a-note-of-a-take-back-that-gives-back-another-tax",
        changing("invoices", "INV-000000010", corrections__tax__0__takenBack=420),
        {"taken-back-tax-matches-bills"},
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
        changing("charges", "C-8", billed={"billNo": "INV-000000003", "lineId": "1", "amount": 500}, behind=False),
        {"charges-match-lines"},
    ),
    Tampering(
        "a-charge-that-is-open-again",
        changing("charges", "C-2", billed=None, behind=True),
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
        {"charges-match-inbox", "charges-have-positions", "charges-are-reached-by-bills"},
    ),
    Tampering(
        "a-charge-that-no-bill-looks-back-for",
        changing("charges", "C-5", behind=True),
        {"charges-are-reached-by-bills"},
    ),
    Tampering(
        "a-charge-that-bills-look-beyond",
        changing("charges", "C-8", behind=False),
        {"charges-are-reached-by-bills"},
    ),
    Tampering(
        "a-position-whose-bills-look-back-no-more",
        changing("positions", "BA-1", chargesThrough=None),
        {"charges-are-reached-by-bills"},
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
        changing("subscriptions", "S-5", startDate="2026-11-02", nextDue="2026-11-02"),
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
        changing("subscriptions", "B-1", recheckFrom="2026-11-01"),
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
        "a-line-of-another-price",
        changing("invoices", BILL, lines__4__origin__priceId="A"),
        {"lines-of-prices-match-periods"},
    ),
    Tampering(
        "a-line-that-covers-another-period",
        changing("invoices", BILL, lines__4__origin__period__end=moment("2026-02-13")),
        {"lines-of-prices-match-periods"},
    ),
    Tampering(
        "a-line-that-takes-back-another-one",
        changing("invoices", "INV-000000006", lines__0__origin__corrects__lineId="5"),
        {"lines-of-prices-match-periods", "taken-back-matches-bills"},
    ),
    Tampering(
        "a-line-that-no-period-knows",
        changing_price(f"B-5/A/{MARCH}", lines=[]),
        {"lines-of-prices-match-periods"},
    ),
    Tampering(
        "taken-back-by-nothing",
        changing_price(f"B-4/A/{JANUARY}", lines__0__taken__0__amount=-1),
        {"periods-are-taken-back-once"},
    ),
    Tampering(
        "taken-back-by-a-line-and-a-note",
        changing_price("B-1/A/2026-01-31/2026-02-28", lines__0__taken__0__creditNote="CN-000000009"),
        {"periods-are-taken-back-once", "charges-match-notes", "lines-of-prices-match-periods"},
    ),
    Tampering(
        "undone-more-than-was-taken-back",
        changing_price(
            f"T-1/A/{JANUARY}",
            lines__0__taken__1__net=2101,
            lines__0__taken__1__amount=2101,
            lines__0__taken__2__net=-2101,
            lines__0__taken__2__amount=-2101,
        ),
        {"periods-are-taken-back-once", "charges-match-notes"},
    ),
    Tampering(
        "undone-and-not-taken-instead",
        changing_price(f"T-1/A/{JANUARY}", lines__0__taken__2__net=0, lines__0__taken__2__amount=0),
        {"billed-is-what-is-charged", "charges-match-notes"},
    ),
    Tampering(
        "undone-of-another-line",
        changing_price(f"T-1/A/{JANUARY}", lines__0__taken__1__lineId="2"),
        {"periods-are-taken-back-once", "charges-match-notes"},
    ),
    Tampering(
        "a-period-that-ends-later",
        changing("billedPeriods", f"B-4/{JANUARY}", end="2026-02-02"),
        {"periods-are-taken-back-once"},
    ),
    Tampering(
        "a-price-that-is-in-a-period-twice",
        lambda books: books["billedPeriods"].update_one(
            {"_id": f"B-5/{MARCH}"}, {"$push": {"prices": {"priceId": "A", "lines": [], "charged": []}}}
        ),
        {"periods-are-taken-back-once"},
    ),
    Tampering(
        "so-many-units-that-come-to-something-else",
        changing_price(f"B-5/A/{MARCH}", lines__0__quantity="2"),
        {"charged-adds-up"},
    ),
    Tampering(
        "taken-back-less-than-what-counts",
        changing_price("B-3/A/2026-01-11/2026-02-11", lines__0__taken__0__net=-2099),
        {"billed-is-what-is-charged"},
    ),
    Tampering(
        "taken-back-less-than-the-note-says",
        changing_price("B-3/N/2026-02-11/2026-03-11", lines__0__taken__0__amount=-499),
        {"charges-match-notes"},
    ),
    Tampering(
        "a-price-that-was-not-agreed",
        changing("subscriptions", "B-1", terms__prices__0__unitPrice="31"),
        {"charged-is-what-was-agreed"},
    ),
    Tampering(
        "a-price-of-another-partner",
        changing("subscriptions", "B-1", terms__prices__3__onBehalfOf="SA-2"),
        {"charged-is-what-was-agreed"},
    ),
    Tampering(
        "a-suspension-that-was-not-agreed",
        changing("subscriptions", "B-1", patches__0__effectiveDate="2026-02-06"),
        {"charged-is-what-was-agreed"},
    ),
    Tampering(
        "a-trial-that-was-not-agreed",
        changing("subscriptions", "B-3", terms__trialEndDate="2026-01-12"),
        {"charged-is-what-was-agreed", "what-fell-due-is-billed"},
    ),
    Tampering(
        "an-anchor-that-was-not-agreed",
        changing("subscriptions", "B-5", recheckFrom=None, nextDue="2026-05-01", terms__billingAnchor="2026-01-02"),
        {"charged-is-what-was-agreed", "what-fell-due-is-billed"},
    ),
    Tampering(
        "a-step-that-was-not-agreed",
        changing("subscriptions", "B-2", terms__prices__1__tiers__steps__1__unitPrice="0.26"),
        {"charged-is-what-was-agreed", "minimums-are-what-is-missing"},
    ),
    Tampering(
        "the-fee-of-a-step-that-was-not-agreed",
        changing("subscriptions", "B-2", terms__prices__2__tiers__steps__0__flatFee="1.01"),
        {"charged-is-what-was-agreed", "minimums-are-what-is-missing"},
    ),
    Tampering(
        "usage-that-was-charged-otherwise",
        changing("usageMonths", "B-2/U/2026-01", days__1__quantity="5.4"),
        {"charged-is-what-was-agreed", "minimums-are-what-is-missing", "usage-is-counted-by-day"},
    ),
    Tampering(
        "days-on-which-another-quantity-was-agreed",
        all_of(
            changing("subscriptions", "B-1", terms__prices__1__quantity="3", terms__prices__1__unitPrice="3.5"),
            changing_price("B-1/R/2026-01-31/2026-02-28", charged__0__rate__unitPrice="3.5"),
        ),
        {"charged-is-what-was-agreed", "charged-adds-up", "billed-is-what-is-charged"},
    ),
    Tampering(
        "days-that-come-to-something-else",
        changing_price(
            "B-1/R/2026-01-31/2026-02-28",
            charged__0__parts__0__net=187,
            charged__0__parts__1__net=488,
        ),
        {"charged-adds-up"},
    ),
    Tampering(
        "a-minimum-that-was-not-agreed",
        changing("subscriptions", "B-2", terms__prices__4__amount="41"),
        {"minimums-are-what-is-missing"},
    ),
    Tampering(
        "records-that-nobody-sent",
        changing_price("B-2/U/2025-12-15/2026-01-15", lines__1__counted__0__count=3),
        {"counted-usage-is-kept"},
    ),
    Tampering(
        "a-period-that-fell-due",
        changing("subscriptions", "B-1", nextDue="2026-05-01"),
        {"what-fell-due-is-billed"},
    ),
    Tampering(
        "a-period-that-is-lost",
        losing("billedPeriods", "B-1/2026-01-31/2026-02-01"),
        {"lines-of-prices-match-periods", "what-fell-due-is-billed"},
    ),
    Tampering(
        "a-line-of-an-account-that-it-is-not-of",
        changing("invoices", BILL, lines__4__origin__account="BA-1"),
        {"periods-point-to-subscriptions"},
    ),
    Tampering(
        "a-run-that-is-completed-at-no-time",
        changing("billRuns", "R-1", completedAt=None),
        {"bill-runs-match-inbox"},
    ),
    Tampering("a-run-that-nobody-started", copying("billRuns", "R-2", id_="R-3"), {"bill-runs-match-inbox"}),
    Tampering("an-account-that-is-counted-twice", changing("billRuns", "R-1", billed=3), {"bill-runs-count-accounts"}),
    Tampering(
        "an-account-that-is-billed-twice-by-a-run",
        copying("inbox", "bill.account:R-1:BA-R3", id_="bill.account:R-1:BA-R3/1"),
        {"bill-runs-count-accounts"},
    ),
    Tampering(
        "a-run-up-to-another-date",
        changing("billRuns", "R-1", billingDate="2026-11-30"),
        {"bill-runs-bill-up-to-their-date"},
    ),
    Tampering("an-account-that-a-run-has-left", waiting, {"bill-runs-leave-nothing"}),
    Tampering(
        "a-total-of-something-else",
        changing("billRuns", "R-1", totals__0__taxIncludedAmount=1801),
        {"bill-runs-add-up"},
    ),
    Tampering(
        "a-bill-of-a-run-that-says-that-it-was-demanded",
        changing("invoices", RUN_BILL, billing__runType="offCycle"),
        {"bills-say-their-run"},
    ),
    Tampering(
        "a-bill-of-another-account-of-the-run",
        changing("invoices", RUN_BILL, billing__cause="bill.account:R-1:BA-R3"),
        {
            "bills-say-their-run",
            "bills-match-demands",
            "charges-match-lines",
            "documents-match-inbox",
            "entries-match-inbox",
            "income-matches-invoices",
            "receivable-matches-invoices",
        },
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
    report = reported(books)
    assert json.loads(json.dumps(report)) == report, "it can't be told"
    found = red({"checks": list(report.values())})
    assert found & WATCHED == tampering.seen_by


def test_each_check_has_a_tampering_that_only_it_finds() -> None:
    """A check that finds nothing that others do not is none."""
    alone = {next(iter(one.seen_by)) for one in TAMPERINGS if len(one.seen_by) == 1}
    assert {check.name for check in CHECKS} <= alone
