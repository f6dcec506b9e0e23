"""The audit of statements' documents: books with all kinds of them are clean, each tampering is seen by one check."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from adapters.settlement.documents_audit import DOCUMENT_CHECKS
from domain.frozen import replace
from tests.audit.test_audit import Mutation, adding, changing, losing, unsetting
from tests.billing.test_audit import write
from tests.support.audits import quick_audit
from tests.support.books import Books, Document, Made
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    adjustment,
    agent_of,
    agreed,
    agreement,
    as_agent,
    billing,
    closing,
    credit_note,
    disputes,
    fixed_fee,
    guarantee,
    line,
    order,
    partner,
    report,
    self_billing,
    sell_as,
)

OTHERS = {
    "input-tax-matches-documents",
    "income-matches-invoices",
    "invoice-numbers-run-without-gap",
    "invoices-name-seller-versions",
    "invoices-name-buyer-versions",
    "documents-match-inbox",
    "entries-match-inbox",
    "steps-are-worked-out",
    "numbers-are-of-their-sellers-series",
    "accruals-point-to-lines",
}
"""The checks of other capabilities that have to know of documents."""
PERIODS = {"guaranteed-matches-statements", "guarantees-top-up", "periods-come-to-what-is-agreed"}
"""Those of guarantees, whose periods are known as those of fees are, and of both."""
WATCHED = {check.name for check in DOCUMENT_CHECKS} | OTHERS | PERIODS
SB1, SB2, SB3 = (f"SB-SA-1-00000000{n}" for n in (1, 2, 3))
INVOICE_9 = "INV-000000006"
NINTH = f"{INVOICE_9}/1"
FEE, FEE_OF_6 = "INV-000000002", "INV-000000004"
OF_4, NOTE_OF_4, OF_5 = "SB-SA-4-000000001", "SB-SA-4-000000002", "SB-SA-5-000000001"


def made_books() -> LedgerBook:
    """SA-1 is self-billed and pays a fee; SA-3 has reverse charge, SA-4 and SA-5 have no tax.

    C-1 has SB1 of 80.00 and the fee of October, C-2 SB2 of 16.00 that fell, and 5.00 of the fee that are taken back.
    C-1 is carried forward to C-2, and C-2 to C-3, whose SB3 is disputed. So is SB1: C-2 holds 66.00 of C-1, and C-3 the
    52.80 that C-2 leaves of it. SA-6 has a guarantee and a fee of a month, and from 16 October on of its quarter; that
    fee has risen, so two invoices have charged of it. Of SA-7 falls what was never earned.
    E-1 of SA-8, which is not self-billed, has 20.00 in dispute that E-2 holds. Of SA-9 two adjustments take something
    of its line.
    Our commission on what SA-10 sells has no tax, by two categories: F-1 charges 10.00 of each, F-2 takes back 4.00 and
    2.00.
    """
    book = LedgerBook()
    book.begin_days("2026-11-22")
    terms: dict[str, Any] = {"self_billing": self_billing(), "fixed_fee": fixed_fee(2500), "payout_threshold": 50_000}
    reverse = self_billing("SB-SA-3-", "0", "AE", "0.2")
    book.take(sell_as(name="We"), billing(), partner(share="1"), partner("SA-3", share="1"))
    book.take(agreement("AG-1", "2026-10-01", share="1", **terms))
    book.take(agreement("AG-3", "2026-10-01", share="1", account="SA-3", self_billing=reverse))
    book.take(order("O-1", line("80", "0.2", "SA-1"), at="2026-11-22T12:00:00"), closing("C-1", until="2026-11-22"))
    book.take(credit_note("N-1", "INV-000000001", {"1": 1600}))
    book.take(agreed("AG-1", "2026-10-01", "1", **{**terms, "fixed_fee": fixed_fee(2000)}))
    book.take(closing("C-2", until="2026-11-23"), adjustment("A-1", 100_000), closing("C-3", until="2026-11-24"))
    book.take(adjustment("A-2", 5000, account="SA-3"), closing("C-6", "SA-3", until="2026-11-30"))
    for n in (4, 5):
        account, bills = f"SA-{n}", self_billing(f"SB-SA-{n}-", "0", "Z")
        book.take(partner(account, share="1"), agreement(f"AG-{n}", "2026-10-01", account=account, self_billing=bills))
        book.take(adjustment(f"A-{n}", 5000, account=account), closing(f"D-{n}", account, until="2026-11-24"))
    book.take(adjustment("A-6", -1000, account="SA-4"), closing("D-6", "SA-4", until="2026-11-24"))
    month: dict[str, Any] = {"guarantee": guarantee(3100), "fixed_fee": fixed_fee(3100)}
    quarter: dict[str, Any] = {"guarantee": guarantee(9200, "quarter"), "fixed_fee": fixed_fee(9200, "quarter")}
    book.take(partner("SA-6", share="1"), agreement("AG-6", "2026-10-01", account="SA-6", **month))
    book.take(agreed("AG-6", "2026-10-16", "1", **quarter), closing("D-7", "SA-6", until="2026-12-31"))
    more: dict[str, Any] = {**quarter, "fixed_fee": fixed_fee(18400, "quarter")}
    book.take(agreed("AG-6", "2026-10-16", "1", **more), closing("D-8", "SA-6", until="2026-12-31"))
    nothing: dict[str, Any] = {"self_billing": self_billing("SB-SA-7-", "0", "Z")}
    book.take(partner("SA-7", share="1"), agreement("AG-7", "2026-10-01", account="SA-7", **nothing))
    book.take(adjustment("A-7", -1000, account="SA-7"), closing("D-9", "SA-7", until="2026-11-24"))
    book.take(partner("SA-8", share="1"), agreement("AG-8", "2026-10-01", account="SA-8", payout_threshold=5000))
    book.take(order("O-8", line("20", "0.2", "SA-8"), at="2026-11-22T12:00:00"), closing("E-1", "SA-8"))
    book.take(report("R-8", "E-1", {}), adjustment("A-8", 4000, account="SA-8", on="2026-12-01"))
    book.take(closing("E-2", "SA-8", until="2026-12-31"))
    ninth: dict[str, Any] = {"self_billing": self_billing("SB-SA-9-", "0", "Z")}
    book.take(partner("SA-9", share="1"), agreement("AG-9", "2026-10-01", account="SA-9", **ninth))
    book.take(
        order("O-9", line("90", "0", "SA-9"), at="2026-11-22T12:00:00"), closing("D-10", "SA-9", until="2026-11-23")
    )
    for n in (18, 19):
        book.take(adjustment(f"A-{n}", -1000, account="SA-9", corrects=(INVOICE_9, "1"), on="2026-11-24"))
        book.take(closing(f"D-{n - 7}", "SA-9", until="2026-11-24"))
    terms = {"account": "SA-10", "agent": replace(as_agent(tax="0"), category="Z")}
    book.take(agent_of("SA-10", tax="0"), agreement("AG-10", "2026-11-24", **terms))
    book.take(*(order(f"O-{n}", line("100", "0", "SA-10"), at=f"2026-11-{n}T12:00:00") for n in (22, 24)))
    book.take(closing("F-1", "SA-10", until="2026-11-24"))
    book.take(
        credit_note("N-22", "SA-10-000000001", {"1": 4000}),
        credit_note("N-24", "SA-10-000000002", {"1": 2000}, at="2026-11-25T10:00:00"),
    )
    book.take(closing("F-2", "SA-10"))
    book.take(disputes(SB3), disputes(SB1))
    assert_books_hold(book)
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
    """What all checks say."""
    now = made_books().booked_at + timedelta(days=1)
    return {check["name"]: check for check in quick_audit(books, now=now, relay_interval_seconds=5)["checks"]}


def test_documents_are_clean(books: Books) -> None:
    """And each check has something to look at."""
    report = reported(books)
    assert {name: report[name] for name in WATCHED if not report[name]["ok"]} == {}
    assert {name for name in WATCHED if not report[name]["checked"]} == set()


def test_what_a_slow_clock_booked_before_its_agreement_is_as_agreed(books: Books) -> None:
    """A worker's clock may be hours behind: what names an agreement knew its first terms all the same."""
    of_month = "settlement.close/D-7/guarantee/AG-6/2026-10-01"
    # As if nothing else had been agreed, and no fee: the guarantee of October is whole.
    books["agreements"].update_one({"_id": "AG-6"}, [{"$set": {"agreed": [{"$first": "$agreed"}]}}])
    books["settlementDocuments"].delete_many({})
    books["accruals"].delete_many({"step.kind": "guarantee", "_id": {"$ne": of_month}})
    early = datetime(2026, 11, 22, 8, tzinfo=UTC)
    changing("accruals", of_month, step__of=3100, step__end="2026-10-31", bookedAt=early)(books)
    report = reported(books)["periods-come-to-what-is-agreed"]
    assert (report["ok"], report["checked"]) == (True, 1)


def posting_elsewhere(cause: str, account: str) -> Callable[[Books], object]:
    """An entry's postings to a ledger account are to cash."""

    def breaks(books: Books) -> None:
        change = {"$set": {"postings.$[one].account": "cash"}}
        done = books["entries"].update_one({"_id": cause}, change, array_filters=[{"one.account": account}])
        assert done.modified_count == 1

    return breaks


def posting_as(cause: str, account: str, field: str, value: str) -> Callable[[Books], object]:
    """An entry's postings of a tax are of another one."""

    def breaks(books: Books) -> None:
        change = {"$set": {f"postings.$[one].{field}": value}}
        done = books["entries"].update_one({"_id": cause}, change, array_filters=[{"one.account": account}])
        assert done.modified_count == 1

    return breaks


def taking_more_than_there_is(books: Books) -> None:
    """A note, and what it corrects says of it, is of 60.00 where 50.00 are invoiced; all else follows."""
    amount = {"taxExcludedAmount": 6000, "taxIncludedAmount": 6000}
    of_note = {**amount, "lines.0.amount": 6000, "taxItem.0.taxExcludedAmount": 6000}
    books["settlementDocuments"].update_one({"_id": NOTE_OF_4}, {"$set": of_note})
    credited = {"credited.0.taxExcludedAmount": 6000, "isOpen": False}
    books["settlementDocuments"].update_one({"_id": OF_4}, {"$set": credited})


def crediting_less_than_fell(books: Books) -> None:
    """A note without tax, and what it corrects says of it, is of 5.00 where 10.00 fell."""
    amount = {"taxExcludedAmount": 500, "taxIncludedAmount": 500}
    of_note = {**amount, "lines.0.amount": 500, "taxItem.0.taxExcludedAmount": 500}
    books["settlementDocuments"].update_one({"_id": NOTE_OF_4}, {"$set": of_note})
    books["settlementDocuments"].update_one({"_id": OF_4}, {"$set": {"credited.0.taxExcludedAmount": 500}})


def correcting_nothing(books: Books) -> None:
    """A note names no invoice, and what it corrected says nothing of it."""
    books["settlementDocuments"].update_one({"_id": SB2}, {"$unset": {"corrects": ""}})
    books["settlementDocuments"].update_one({"_id": SB1}, {"$unset": {"credited": ""}})


def correcting_anothers(books: Books) -> None:
    """A note corrects another partner's invoice, which says so too."""
    found = books["settlementDocuments"].find_one_and_update({"_id": OF_4}, {"$unset": {"credited": ""}})
    assert found is not None
    books["settlementDocuments"].update_one({"_id": OF_5}, {"$set": {"credited": found["credited"]}})
    books["settlementDocuments"].update_one({"_id": NOTE_OF_4}, {"$set": {"corrects": OF_5}})


def by_anothers_agreement(books: Books) -> None:
    """A note of our commission says that it is by the agreement of another partner."""
    which = {"settlementId": "F-2", "lines.agreement": "AG-10"}
    assert books["settlementDocuments"].update_one(which, {"$set": {"lines.$.agreement": "AG-9"}}).modified_count == 1


def charging_another_tax(books: Books) -> None:
    """Of 4.00 and 2.00 that fell, the note, and what it corrects, have 3.00 each."""
    of_note = {f"lines.{n}.amount": 300 for n in (0, 1)} | {f"taxItem.{n}.taxExcludedAmount": 300 for n in (0, 1)}
    found = books["settlementDocuments"].find_one_and_update({"settlementId": "F-2"}, {"$set": of_note})
    assert found is not None
    assert [one["amount"] for one in found["lines"]] == [400, 200]
    of_invoice = {f"credited.{n}.taxExcludedAmount": 300 for n in (0, 1)}
    books["settlementDocuments"].update_one({"_id": found["corrects"]}, {"$set": of_invoice})


FALLEN = "INV-000000001/1/credit-note.issue/N-1"
MUTATIONS = [
    Mutation("fee-of-statement-off", adding("settlements", "C-1", lines__1__amount=1), {"documents-match-statements"}),
    Mutation(
        "row-off",
        adding("accruals", "INV-000000001/1", amount=1),
        {"documents-match-rows", "statements-documents-match-rows", "document-lines-match-rows"},
    ),
    Mutation(
        "fallen-row-off",
        adding("accruals", FALLEN, amount=1),
        {"statements-documents-match-rows", "document-lines-match-rows"},
    ),
    Mutation("commission-with-another-tax", charging_another_tax, {"commission-is-charged-with-its-tax"}),
    Mutation(
        "in-a-series-that-was-not-agreed",
        changing("agreements", "AG-5", agreed__0__closing__selfBilling__series="SB-5-"),
        {"document-lines-are-as-agreed"},
    ),
    Mutation(
        "self-billed-by-a-version-of-us-that-is-none",
        changing("settlementDocuments", SB1, sellerVersion=2),
        {"invoices-name-seller-versions"},
    ),
    Mutation("note-by-anothers-agreement", by_anothers_agreement, {"document-lines-are-as-agreed"}),
    Mutation("note-of-nothing", correcting_nothing, {"notes-name-what-they-correct"}),
    Mutation(
        "credited-less-than-fell",
        crediting_less_than_fell,
        {"statements-documents-match-rows", "document-lines-match-rows"},
    ),
    Mutation(
        "fallen-row-of-no-document",
        unsetting("accruals", FALLEN, "document"),
        {"statements-documents-match-rows", "document-lines-match-rows"},
    ),
    Mutation(
        "line-of-another-rate",
        changing("settlementDocuments", SB1, lines__0__rate="0.1"),
        {"documents-add-up", "document-lines-are-as-agreed"},
    ),
    Mutation(
        "line-of-another-category",
        changing("settlementDocuments", SB1, lines__0__category="Z"),
        {"documents-add-up", "document-lines-are-as-agreed"},
    ),
    Mutation(
        "document-in-another-currency",
        changing("settlementDocuments", SB1, currency="USD"),
        {"documents-point-to-statements"},
    ),
    Mutation(
        "document-of-another-day",
        changing("settlementDocuments", SB2, billDate="2026-10-22"),
        {"documents-point-to-statements"},
    ),
    Mutation(
        "line-off",
        adding("settlementDocuments", SB1, lines__0__amount=1),
        {"documents-add-up", "document-lines-match-rows"},
    ),
    *(
        Mutation(
            f"line-of-another-{field}",
            changing("settlementDocuments", SB1, **{f"lines__0__{field}": value}),
            {"document-lines-match-rows"},
        )
        for field, value in (("kind", "adjustment"), ("start", "2026-11-21"), ("end", "2026-11-23"))
    ),
    Mutation(
        "note-of-another-kind",
        changing("settlementDocuments", SB2, lines__0__kind="guarantee"),
        {"document-lines-match-rows"},
    ),
    Mutation(
        "line-of-anothers-agreement",
        changing("settlementDocuments", OF_5, lines__0__agreement="AG-4"),
        {"document-lines-are-as-agreed"},
    ),
    Mutation(
        "line-of-no-agreement",
        changing("settlementDocuments", OF_5, lines__0__agreement=None),
        {"document-lines-are-as-agreed"},
    ),
    Mutation(
        "self-billed-with-another-tax",
        changing("settlementDocuments", OF_5, lines__0__category="E", taxItem__0__category="E"),
        {"document-lines-are-as-agreed"},
    ),
    Mutation(
        "corrected-by-nothing",
        changing("accruals", NINTH, correctedBy=["settlement.adjust/A-18", "settlement.adjust/A-1"]),
        {"lines-name-what-corrects-them"},
    ),
    Mutation(
        "correction-forgotten",
        # Which was first is not known of what was booked within an hour.
        changing("accruals", NINTH, correctedBy=["settlement.adjust/A-18"], bookedAt=datetime(2026, 10, 1, tzinfo=UTC)),
        {"lines-name-what-corrects-them"},
    ),
    Mutation(
        "corrected-twice-by-one",
        changing("accruals", NINTH, correctedBy=["settlement.adjust/A-18", *(["settlement.adjust/A-19"] * 2)]),
        {"lines-name-what-corrects-them"},
    ),
    Mutation(
        "takes-back-what-it-does-not",
        changing("accruals", NINTH, takesBack="INV-000000001/1"),
        {"accruals-point-to-lines"},
    ),
    Mutation(
        "fee-not-as-agreed",
        adding("agreements", "AG-6", agreed__2__closing__fixedFee__amount=92),
        {"periods-come-to-what-is-agreed"},
    ),
    Mutation(
        "fee-until-another-day",
        changing("settlementDocuments", FEE_OF_6, lines__0__end="2026-10-31"),
        {"periods-come-to-what-is-agreed"},
    ),
    Mutation(
        "guarantee-not-as-agreed",
        adding(
            "agreements", "AG-6", agreed__1__closing__guarantee__amount=92, agreed__2__closing__guarantee__amount=92
        ),
        {"periods-come-to-what-is-agreed"},
    ),
    Mutation(
        "fee-with-another-tax",
        changing("settlementDocuments", FEE_OF_6, lines__0__category="E", taxItem__0__category="E"),
        {"document-lines-are-as-agreed", "documents-post-their-taxes"},
    ),
    Mutation(
        "rate-off",
        changing("settlementDocuments", SB3, taxItem__0__rate="0.3", lines__0__rate="0.3"),
        {"documents-tax-their-nets", "documents-post-their-taxes", "document-lines-are-as-agreed"},
    ),
    Mutation(
        "credited-tax-off",
        adding("settlementDocuments", SB1, credited__0__taxAmount=1),
        {"documents-are-credited-by-notes"},
    ),
    Mutation(
        "more-credited-than-invoiced",
        taking_more_than_there_is,
        {"notes-within-documents", "statements-documents-match-rows", "document-lines-match-rows"},
    ),
    Mutation(
        "open-called-done", changing("settlementDocuments", SB1, isOpen=False), {"open-documents-have-something-left"}
    ),
    Mutation(
        "self-billed-called-ours",
        changing("settlementDocuments", SB1, isSelfBilled=False),
        {"open-documents-have-something-left", "numbers-are-of-their-sellers-series"},
    ),
    Mutation("charged-off", adding("earnings", "SA-1/2026", charged__0__amount=1), {"fees-are-charged-once"}),
    Mutation(
        "charged-of-another-type", unsetting("earnings", "SA-6/2026", "charged.1.type"), {"fees-are-charged-once"}
    ),
    Mutation(
        "charged-by-one-of-two-off",
        adding("earnings", "SA-6/2026", charged__1__parts__0__amount=1),
        {"fees-are-charged-once"},
    ),
    Mutation(
        "guaranteed-of-another-type",
        changing("earnings", "SA-6/2026", guaranteed__1__type="year"),
        {"guaranteed-matches-statements"},
    ),
    Mutation(
        "charged-by-another",
        changing("earnings", "SA-1/2026", charged__0__document=SB1),
        {"fees-are-charged-once"},
    ),
    Mutation(
        "another-document-holds",
        changing("settlements", "C-3", hold__documents=[SB1]),
        {"disputed-documents-hold-statements"},
    ),
    Mutation(
        "held-forward-off",
        adding("settlements", "C-3", heldForward__amount=1),
        {"what-is-held-is-brought-forward"},
    ),
    Mutation(
        "held-by-another",
        changing("settlements", "C-3", heldForward__documents=[SB2]),
        {"what-is-held-is-brought-forward"},
    ),
    Mutation(
        "held-by-no-report",
        unsetting("settlements", "E-2", "heldForward.reports"),
        {"what-is-held-is-brought-forward"},
    ),
    Mutation(
        "held-less-than-is-in-dispute",
        adding("settlements", "E-2", heldForward__amount=-1),
        {"what-is-held-is-brought-forward"},
    ),
    Mutation("carried-nowhere", unsetting("settlements", "C-2", "carriedTo"), {"what-is-held-is-brought-forward"}),
    Mutation("carried-elsewhere", changing("settlements", "C-1", carriedTo="C-3"), {"what-is-held-is-brought-forward"}),
    Mutation("brought-tax-off", adding("settlements", "C-3", selfBilledTax=1), {"self-billed-tax-is-brought-forward"}),
    Mutation(
        "series-of-another", changing("series", "SB-SA-1-", owner="SA-4"), {"numbers-are-of-their-sellers-series"}
    ),
    Mutation(
        "statement-of-another",
        changing("settlements", "D-5", settlementAccount="SA-4"),
        {"documents-point-to-statements"},
    ),
    Mutation(
        "row-of-no-document",
        changing("accruals", FALLEN, document="SB-X-000000001"),
        {"rows-point-to-documents", "document-lines-match-rows"},
    ),
    Mutation("note-of-another", correcting_anothers, {"notes-point-to-documents"}),
    Mutation(
        "input-tax-elsewhere",
        posting_elsewhere("settlement.close:C-3", "inputTax"),
        {"input-tax-matches-documents", "documents-post-their-taxes"},
    ),
    Mutation("fee-elsewhere", posting_elsewhere("settlement.close:C-1", "revenue"), {"income-matches-invoices"}),
    Mutation(
        "reverse-charge-elsewhere",
        posting_elsewhere("settlement.close:C-6", "tax"),
        {"income-matches-invoices", "documents-post-their-taxes"},
    ),
    *(
        Mutation(
            f"{account}-of-another-{field}",
            posting_as("settlement.close:C-1", account, field, value),
            {"documents-post-their-taxes"},
        )
        for account in ("tax", "inputTax")
        for field, value in (("category", "E"), ("rate", "0.1"))
    ),
    Mutation("number-missing", adding("series", "SB-SA-1-", last=1), {"invoice-numbers-run-without-gap"}),
    Mutation(
        "no-such-seller", changing("settlementDocuments", FEE, sellerVersion=7), {"invoices-name-seller-versions"}
    ),
    Mutation(
        "no-such-partner", changing("settlementDocuments", FEE, partnerVersion=7), {"invoices-name-buyer-versions"}
    ),
    Mutation(
        "closing-not-in-inbox",
        losing("inbox", "settlement.close:C-6"),
        {"documents-match-inbox", "entries-match-inbox"},
    ),
    Mutation(
        "tax-of-nothing",
        changing("accruals", "settlement.close/C-1/selfBilledTax/C-1", amount=0),
        {"steps-are-worked-out"},
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_tampering_is_seen_by_what_watches_it(books: Books, mutation: Mutation) -> None:
    """By those checks of the watched ones, and by no other."""
    mutation.breaks(books)
    report = reported(books)
    assert {name for name in WATCHED if not report[name]["ok"]} == mutation.seen_by
