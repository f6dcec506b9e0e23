"""The audit of what is sold in partners' names: clean of correct books, red where what it watches is broken."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from tests.audit.test_any_books import OF_EVENTS, write
from tests.audit.test_audit import (
    Mutation,
    adding,
    all_of,
    changing,
    copying,
    losing,
    posting,
    pushing,
    unsetting,
)
from tests.support.audits import quick_audit
from tests.support.books import Books, Document, Made
from tests.support.ledger_book import (
    LedgerBook,
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
    dispute,
    line,
    monthly,
    order,
    partner,
    payment,
    reversal,
    settlement_of,
    subscription,
    update,
    write_off,
)

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


def sold() -> LedgerBook:
    """Books with lines of ours, of a partner that supplies us, and of two in whose names we sell.

    SA-1 has what it sells at the invoice, SA-2 as it is paid, and by an agreement. An order and two bills have invoices
    of three sellers each; of those some is paid, credited, written off, disputed, paid back, and closed.
    """
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), partner("SA-0"), agent_of("SA-1"), agent_of("SA-2", on="payment"))
    book.take(agreement("AG-2", "2026-11-01", account="SA-2", on="payment", agent=as_agent(series="FN.")))
    book.take(
        order(
            "O-1",
            line("33.33", "0.2", "SA-2"),
            line("39.90", "0.2"),
            line("10.00", "0.2", "SA-0"),
            line("10.01", "0.2", "SA-1"),
            line("10.01", "0.2", "SA-1"),
            line("5.00", "0.1", "SA-1"),
        ),
        payment("P-1", 10000),
        order("O-2", line("100.00", "0.2", "SA-2")),
        order("O-3", line("20.00", "0.2", "SA-1")),
        payment("P-2", 3000),
        payment("P-3", 500, ["SA-1-000000002"]),
        credit_note("N-1", "SA-1-000000001", {"4": 1001}),
        credit_note("N-2", "FN.000000002", {"1": 2500}),
        dispute("D-1", "FN.000000002", {"1": 1000}),
        settlement_of("D-1", {"1": 500}),
        write_off("W-1", "FN.000000002", 700, relief=True),
        reversal("R-1", "P-1", 2000),
        order("O-4", line("1.00", "0.2", "SA-1"), line("10.00", "0.2", "SA-2"), line("20.00", "0.2", "SA-2")),
        dispute("D-2", "SA-1-000000003", {"1": 50}),
    )
    book.take(
        subscription("S-1", monthly("P-1", "30", on_behalf_of="SA-1"), monthly("P-2", "12")),
        charge("C-1", line("7.77", "0.2", "SA-2")),
        demand("D-1"),
        charge("C-2", line("8.88", "0.2", "SA-2")),
        charge("C-3", line("-1.00", "0.2", "SA-1"), corrects=("SA-1-000000002", "1")),
        demand("D-2"),
    )
    book.take(agreed("AG-2", "2026-11-01", on="payment", agent=as_agent("0.15", tax="0.19")))
    book.take(adjustment("A-1", 100), closing("C-1"), closing("C-2", "SA-2"))
    book.take(credit_note("N-3", "SA-1-000000004", {"1": 100}), update("SA-1", type_="SettlementAccount", name="Film"))
    given = line("1.00", "0.2", "SA-1"), line("-1.00", "0.2", "SA-1")
    book.take(*(order(f"O-{n}", line("1.00"), *given) for n in (5, 6)))
    # A payment names the later of two invoices; and an invoice that comes before one that is paid is issued after that.
    book.take(billing("BA-2"), billing("BA-3"))
    book.take(
        order("O-7", line("10.00", "0.2", "SA-1"), line("10.00"), account="BA-2"),
        payment("P-4", 500, ["SA-1-000000007"], account="BA-2"),
        order("O-8", line("10.00", "0.2", "SA-1"), account="BA-3"),
        payment("P-5", 500, account="BA-3"),
        order("O-9", line("10.00"), account="BA-3"),
    )
    return book


@pytest.fixture(scope="module")
def made(mongo: MongoClient[Document]) -> Iterator[Made]:
    """These books in a database, once for all the tests here."""
    database = mongo.get_database(f"test-{uuid.uuid4().hex[:12]}", write_concern=WriteConcern("majority"))
    book = sold()
    write(book, database)
    yield Made.of(database)
    mongo.drop_database(database.name)


@pytest.fixture
def books(made: Made) -> Books:
    """They, whatever the test before has done to them."""
    return made.restored()


def broken(books: Books) -> dict[str, Any]:
    """What is wrong, by check; events are not there."""
    report = quick_audit(books, now=NOW, relay_interval_seconds=0)
    return {check["name"]: check for check in report["checks"] if not check["ok"] and check["name"] not in OF_EVENTS}


def test_correct_books_are_ok(books: Books) -> None:
    """Nothing is wrong."""
    found = broken(books)
    assert not found, list(found.values())


ADJUSTED = {"payable-matches-accruals", "lines-match-accruals", "payable-entries-match-accruals"}
CORRECTED = "AG-2/2/FN.000000001"
CHARGED = "INV-000000003"
BY_TAX = "commission-is-charged-with-its-tax"
OF_ROWS = {"documents-match-rows", "statements-documents-match-rows", "document-lines-match-rows", BY_TAX}


def ordered_twice(books: Books) -> None:
    """Have what SA-1 gives for nothing by O-5 be of O-6, which has an invoice of it."""
    changing("invoices", "SA-1-000000005", orderId="O-6")(books)
    for line_id in ("2", "3"):
        changing("accruals", f"SA-1-000000005/{line_id}", orderId="O-6")(books)


def tax_of_ours(books: Books) -> None:
    """Have O-3, which SA-1 sells, post 4.00 of tax that we owe, out of a revenue that we never had."""
    tax, revenue = posting("tax", -400, category="S", rate="0.2"), posting("revenue", 400)
    pushing("entries", "order.completed:O-3", postings={"$each": [tax, revenue]})(books)


def in_the_name_of_another(books: Books) -> None:
    """Have N-3, of an invoice of SA-1, be in the name and in the series of SA-2."""
    changing("creditNotes", "N-3", seller="SA-2", billNo="CN-FN.000000003")(books)
    adding("series", "CN-SA-1-", last=-1)(books)
    adding("series", "CN-FN.", last=1)(books)


def stating_another_correction(books: Books) -> None:
    """A line of C-2 that corrects one says that it corrects another one."""
    which = {"_id": "C-2", "lines.corrects": {"$gt": ""}}
    changed = books["settlements"].update_one(which, {"$set": {"lines.$.corrects": "FN.000000009/1"}})
    assert changed.modified_count == 1


MUTATIONS: list[Mutation] = [
    # -- in whose name
    Mutation(
        "line-of-an-agent-on-ours",
        changing(
            "invoices",
            "INV-000000001",
            lines__1__onBehalfOf__agent={"commission": "0", "category": "S", "rate": "0.2", "charged": 0},
        ),
        {"invoices-are-in-one-name"},
    ),
    Mutation(
        "invoice-in-the-name-of-another",
        changing("invoices", "SA-1-000000003", seller="SA-2"),
        {
            "invoices-are-in-one-name",
            "notes-are-in-their-invoices-names",
            "numbers-are-of-their-sellers-series",
            "facts-make-one-invoice-a-seller",
            "seller-versions-rise-with-numbers",
        },
    ),
    Mutation(
        "note-in-the-name-of-another",
        in_the_name_of_another,
        {"notes-are-in-their-invoices-names", "notes-take-back-what-is-the-sellers"},
    ),
    Mutation(
        "note-takes-back-more-of-the-share",
        adding("creditNotes", "N-3", lines__0__share=1),
        {"notes-take-back-what-is-the-sellers"},
    ),
    Mutation(
        "note-takes-back-of-another-partner",
        changing("creditNotes", "N-3", lines__0__onBehalfOf="SA-2"),
        {"notes-take-back-what-is-the-sellers"},
    ),
    Mutation("statement-corrects-another-line", stating_another_correction, {"statement-lines-match-accruals"}),
    Mutation(
        "dispute-in-the-name-of-another",
        changing("disputes", "D-2", seller="SA-2"),
        {"notes-are-in-their-invoices-names"},
    ),
    Mutation("dispute-in-nobodys-name", unsetting("disputes", "D-2", "seller"), {"notes-are-in-their-invoices-names"}),
    Mutation("two-invoices-of-one-seller", ordered_twice, {"facts-make-one-invoice-a-seller"}),
    Mutation("tax-of-ours", tax_of_ours, {"income-matches-invoices"}),
    # -- series
    Mutation(
        "series-of-ours-is-a-partners",
        changing("series", "INV-", owner="SA-1"),
        {"numbers-are-of-their-sellers-series"},
    ),
    Mutation("series-agreed-and-not-claimed", losing("series", "SA-2-"), {"partners-series-are-their-own"}),
    Mutation("partners-number-not-given", adding("series", "SA-1-", last=1), {"invoice-numbers-run-without-gap"}),
    Mutation("number-of-a-note-given-twice", adding("series", "CN-FN.", last=-1), {"invoice-numbers-run-without-gap"}),
    # -- what is the partner's, and ours of that
    Mutation(
        "shares-of-two-lines-mixed-up",
        adding("invoices", "FN.000000003", lines__0__onBehalfOf__share=1, lines__1__onBehalfOf__share=-1),
        {"agents-shares-are-what-is-left"},
    ),
    Mutation(
        "credited-tax-off",
        adding("invoices", "SA-1-000000001", corrections__lines__0__creditedTax=1),
        {"credited-lines-match-notes", "agents-shares-are-what-is-left"},
    ),
    Mutation(
        "commission-at-another-rate",
        changing("invoices", "SA-1-000000002", lines__0__onBehalfOf__agent__commission="0.2"),
        {"commissions-follow-terms"},
    ),
    Mutation(
        "commission-off",
        all_of(
            adding("invoices", "SA-1-000000003", lines__0__onBehalfOf__agent__charged=1),
            adding("accruals", "SA-1-000000003/1", commission__amount=1),
        ),
        {"commissions-follow-terms", *OF_ROWS},
    ),
    Mutation(
        "commission-not-charged",
        adding("accruals", "SA-1-000000003/1", commission__amount=-1),
        {"commissions-match-accruals", *OF_ROWS},
    ),
    Mutation(
        "commission-with-another-tax",
        changing("accruals", "SA-1-000000003/1", commission__rate="0.1"),
        {"commissions-match-accruals", "document-lines-match-rows", BY_TAX},
    ),
    Mutation(
        "commission-charged-with-another-tax",
        changing("settlementDocuments", CHARGED, lines__0__category="E", taxItem__0__category="E"),
        {"document-lines-match-rows", "documents-post-their-taxes", BY_TAX},
    ),
    Mutation(
        "commission-charged-by-anothers-agreement",
        changing("settlementDocuments", CHARGED, lines__0__agreement="AG-2"),
        {"document-lines-are-as-agreed"},
    ),
    Mutation(
        "commission-taken-back-with-another-tax",
        changing("accruals", "FN.000000001/1/settlement.correct/AG-2/2/FN.000000001/tax", commission__rate="0.19"),
        {"commissions-are-of-one-tax"},
    ),
    Mutation(
        "corrected-commission-off",
        adding("shareCorrections", CORRECTED, lines__0__commission=1),
        {"corrections-match-accruals"},
    ),
    Mutation(
        "entry-for-a-corrected-commission",
        copying("entries", "payment.received:P-4", id_=f"settlement.correct:{CORRECTED}", postings=[]),
        {"entries-match-inbox"},
    ),
    Mutation(
        "commission-not-as-agreed",
        changing("invoices", "FN.000000003", lines__0__onBehalfOf__agent__commission="0.2"),
        {"lines-match-agreements"},
    ),
    # -- what holds of all partners, and all invoices
    Mutation("accrual-of-an-agents-line-off", adding("accruals", "SA-1-000000006/2", amount=1), ADJUSTED),
    Mutation(
        "accrued-of-an-agents-line-off",
        adding("invoices", "FN.000000003", lines__0__onBehalfOf__accrued=1),
        {"accrued-follows-terms", "lines-match-accruals", "withheld-matches-shares"},
    ),
    Mutation(
        "relieved-of-a-partners-tax",
        changing(
            "invoices",
            "FN.000000002",
            corrections__tax=[{"category": "S", "rate": "0.2", "credited": 600, "relieved": 1}],
        ),
        {"relieved-tax-is-that-of-write-offs", "losses-match-corrections"},
    ),
    Mutation(
        "bill-of-a-seller-not-told",
        changing("billsOnDemand", "D-1", billNos=["INV-000000002", "SA-1-000000004"]),
        {"bills-match-demands"},
    ),
    Mutation(
        "another-bill-told",
        changing("billsOnDemand", "D-1", billNos=["INV-000000002", "SA-1-000000004", "SA-1-000000005"]),
        {"bills-match-demands"},
    ),
    Mutation(
        "version-of-a-seller-not-there",
        changing("invoices", "SA-1-000000008", sellerVersion=7),
        {"invoices-name-seller-versions"},
    ),
    Mutation(
        "no-version-of-a-seller",
        unsetting("invoices", "SA-1-000000001", "sellerVersion"),
        {"invoices-name-seller-versions"},
    ),
    Mutation(
        "older-version-of-a-seller",
        changing("invoices", "SA-1-000000008", sellerVersion=1),
        {"seller-versions-rise-with-numbers"},
    ),
    # -- payments
    Mutation(
        "open-invoice-passed-over", changing("payments", "P-4", invoices=None), {"payments-cover-what-is-due-first"}
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_document_turns_its_checks_red(books: Books, mutation: Mutation) -> None:
    """What was broken is seen by the checks that watch it, and by no others."""
    mutation.breaks(books)
    assert set(broken(books)) == mutation.seen_by


def test_checks_look_at_what_is_sold_in_partners_names(books: Books) -> None:
    """Each says how many things it looked at."""
    report = quick_audit(books, now=NOW, relay_interval_seconds=0)
    checked = {check["name"]: check["checked"] for check in report["checks"]}
    expected = {
        "invoices-are-in-one-name": 19,
        "facts-make-one-invoice-a-seller": 13,
        "agents-shares-are-what-is-left": 13,
        "commissions-follow-terms": 13,
        # Of the lines of O-1 and O-2 that SA-2 sells some is paid; of O-4's nothing is.
        "commissions-are-of-one-tax": 2,
        # FN.000000002 has two notes.
        "notes-are-in-their-invoices-names": 5,
        # INV-, SA-1- and FN. with CN- before each of these two, and what SA-2's account names.
        "numbers-are-of-their-sellers-series": 7,
        "partners-series-are-their-own": 6,
        # INV-000000001, before which partners' invoices FN.000000003 to 5 come, that are younger; and what P-5 paid.
        "payments-cover-what-is-due-first": 4,
    }
    assert {name: checked[name] for name in expected} == expected
