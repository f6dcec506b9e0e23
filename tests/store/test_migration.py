"""A database of an earlier version is brought to this one's form: whole, once, and whatever happens on the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import ASCENDING, DeleteMany, IndexModel, MongoClient, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

from adapters.billing.codecs import decode_billed_period, encode_billed_period
from adapters.mongodb.connection import MIGRATE_APP_NAME, TRANSACTION_SECONDS, database
from adapters.settlement.codecs import decode_earnings
from adapters.store import migration
from adapters.store.collections import INDEXES
from adapters.store.forms import WrongForm, check_now, compare
from adapters.store.migration import Migrated, Plan, Progress, Stepped, Updated, migrate
from adapters.store.steps import FORM, STEPS, Row, Step, Update, each
from adapters.store.store import Store
from domain.billing.billed import BilledPeriod, billed_price, id_of
from domain.settlement.earnings import DayEarned
from tests.support.books import Books
from tests.support.failpoints import failing
from tests.support.migrating import DOUBLED, FEW, PAGE, PAGES_DONE, PLAN, ROWS
from tests.support.older import form_1, form_5, form_6
from tests.support.steady import every_third
from tests.support.waiting import SECONDS_MAX

LISTED = Update("listed", "positions", {"listed": None}, each({"$set": {"listed": False}}))


def untold(_progress: Progress) -> None:
    """Nobody is told how far it is."""


@pytest.fixture
def books(new_database: Books) -> Books:
    """Books of form 1, and payouts enough for some pages."""
    form_1().restore(new_database)
    new_database["payouts"].delete_many({})
    new_database["payouts"].insert_many({"_id": f"PO-{n:03}", "amount": n} for n in range(ROWS))
    return new_database


@pytest.fixture
def connection(mongodb_url: str, new_database: Books) -> Iterator[Books]:
    """The test's database as the command has it."""
    with database(mongodb_url, new_database.name, MIGRATE_APP_NAME) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages, and claims that run out soon."""
    monkeypatch.setattr(migration, "PAGE_ROWS", PAGE)
    monkeypatch.setattr(migration, "LEASE_SECONDS", 1)
    monkeypatch.setattr(migration, "RENEWAL_SECONDS", 0.2)
    monkeypatch.setattr(migration, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(migration, "LOCKED_MS_MAX", 100)
    monkeypatch.setattr(migration, "ABANDONED_SECONDS", 0.2)


def the_form(books: Books) -> Row | None:
    return books["meta"].find_one({"_id": "form"})


def doubled(books: Books) -> list[int | None]:
    return [row.get("doubled") for row in books["payouts"].find().sort("_id", 1)]


def assert_declared(books: Books, indexes: Any = INDEXES) -> None:
    """Each index is as it is declared."""
    for name, declared in indexes.items():
        answer = books.command("listIndexes", name, codec_options=books.codec_options)
        state = compare(answer["cursor"]["firstBatch"], declared)
        assert (state.missing, state.differing) == ([], []), name


def test_steps_lead_from_each_form_to_the_next() -> None:
    """They are numbered without a gap up to this version's form, and updates have names of their own."""
    assert [step.to for step in STEPS] == list(range(2, FORM + 1))
    for step in STEPS:
        assert len({update.name for update in step.updates}) == len(step.updates)


def test_accounts_of_form_1_keep_their_digits_and_are_found(books: Books, connection: Books) -> None:
    """In a currency that was withdrawn, too; by parties in TMF's older form, and by names however they are composed."""
    said = {
        "document.name": "Cafe\u0301 ẞ",
        "document.relatedParty": [{"role": "customer", "id": "e\u0301-1"}, {"role": "none"}],
        "nameKey": "cafe\u0301 ss",
        "parties": [],
    }
    coins = {"BA-1": ("BGN", 2), "BA-2": ("BYR", 0), "SA-1": ("KWD", 3)}
    for id_, (code, _) in coins.items():
        row = {**said, "currency": code}
        assert books["accounts"].update_one({"_id": id_}, {"$set": row}).modified_count == 1
        version = {f"snapshot.{name}": value for name, value in row.items()}
        assert books["accountVersions"].update_many({"account": id_}, {"$set": version}).modified_count >= 1
    named = {"document.name": "Cafe\u0301", "nameKey": "cafe\u0301"}
    books["billFormats"].update_one({"_id": "R-1"}, {"$set": named})
    migrate(connection, untold)
    for id_, (_, digits) in coins.items():
        rows: list[Any] = [books["accounts"].find_one({"_id": id_})]
        rows += [row["snapshot"] for row in books["accountVersions"].find({"account": id_})]
        for row in rows:
            assert (row["currencyDigits"], row["nameKey"]) == (digits, "caf\u00e9 ss")
            assert row["parties"] == ["\u00e9-1"]
    assert (books["billFormats"].find_one({"_id": "R-1"}) or {})["nameKey"] == "caf\u00e9"
    assert books["accounts"].count_documents({"currency": "EUR", "currencyDigits": {"$ne": 2}}) == 0
    assert migrate(connection, untold).nothing


def test_books_of_form_1_are_brought_to_this_form(books: Books, connection: Books) -> None:
    """The index of orders lets two invoices be of one order, all others are there; a second time does nothing."""
    mended = books["held"].count_documents({"editedInto": {"$type": "string"}})
    assert mended == books["held"].count_documents({"state": "discarded", "editedInto": {"$type": "string"}}) > 0
    done = migrate(connection, untold)
    assert (done.found, done.form) == (1, FORM)
    assert books["held"].count_documents({"state": "mended"}) == mended
    assert [step.to for step in done.steps] == list(range(2, FORM + 1))
    positions = books["positions"]
    assert done.steps[1].updates == (Updated("refundable, recoverable", "positions", positions.count_documents({})),)
    partners = {
        (row["settlementAccount"], line["date"][:4]) for row in books["settlements"].find() for line in row["lines"]
    }
    assert done.steps[2].updates == (Updated("earnings", "earnings", len(partners)),)
    assert done.steps[0].updates[:5] == (
        Updated("allocating", "positions", positions.count_documents({})),
        Updated("businessKey", "held", books["held"].count_documents({})),
        Updated("mended", "held", mended),
        Updated("digits, parties, names", "accounts", books["accounts"].count_documents({})),
        Updated("digits, parties, names of versions", "accountVersions", books["accountVersions"].count_documents({})),
    )
    for row in books["held"].find():
        kind, _, key = row["_id"].partition(":")
        assert row["businessKey"] == (None if kind == "unreadable" else key.partition("#")[0])
    allocating = {row["_id"] for row in positions.find({"allocating": True})}
    assert allocating == {row["account"] for row in books["held"].find({"routingKey": "credit.allocate"})}
    assert done.dropped == ["invoices.order"]
    of_notes = [f"creditNotes.{name}" for name in ("booked", "invoice", "listed", "number", "seller")]
    of_disputes = [f"disputes.{name}" for name in ("ended", "invoice", "listed", "open", "seller")]
    others = [
        "billRuns.all",
        "billRuns.listed",
        "billRuns.running",
        "agreements.open",
        "backdatings.running",
        "billedPeriods.billed",
        "billingCycleSpecifications.automatic",
        "charges.behind",
        "charges.listed",
        "closingSchedules.scheduled",
        "dunningProcedures.listed",
        "dunningSuspensions.open",
        "reserves.held",
        "reserves.listed",
        "settlementDocuments.listed",
        "settlementDocuments.open",
        "settlementDocuments.statement",
        "held.messageId",
        "held.scheduled",
        "invoices.order",
        "invoices.seller",
        "losses.booked",
        "payments.listed",
        "payouts.settlement",
        "refunds.listed",
        "reversals.payment",
        "sellerVersions.history",
        "settlements.inDispute",
        "writeOffs.invoice",
        "subscriptions.listed",
        "subscriptions.open",
        "tierPeriods.open",
        "usageRecords.listed",
    ]
    referring = [f"{name}.values" for name in ("accountVersions", "inbox", "outbox")]
    assert sorted(done.made) == sorted(["allocations.payment", *of_notes, *of_disputes, *others, *referring])
    assert "values" in done.collections
    assert the_form(books) == {"_id": "form", "number": FORM}
    assert_declared(books)
    invoice = books["invoices"].find_one({})
    assert invoice is not None
    books["invoices"].insert_one({**invoice, "_id": "INV-X"})
    again = migrate(connection, untold)
    assert again.nothing
    assert (again.found, again.form) == (FORM, FORM)


def test_what_was_stated_as_earned_is_kept_by_day(books: Books, connection: Books) -> None:
    """Of all statements of each partner, by year, adjustments included, releases not; done again it is the same.

    SA-1 on 31 December 2023: 5.00 and 1.00, and -0.50 by another statement; on 1 January 2024: 0.07.
    """

    def stated(id_: str, partner: str, **lines: list[int]) -> Row:
        rows = [
            {"accrualId": f"{id_}/{day}/{n}", "date": day.replace("_", "-"), "amount": amount}
            for day, amounts in lines.items()
            for n, amount in enumerate(amounts)
        ]
        rows[0]["adjustmentId"] = "A-1"
        return {"_id": id_, "settlementAccount": partner, "lines": rows}

    books["settlements"].insert_many(
        [
            stated("OLD-1", "SA-1", **{"2023_12_31": [500, 100], "2024_01_01": [7]}),
            stated("OLD-2", "SA-1", **{"2023_12_31": [-50], "2023_02_01": [3]}),
            stated("OLD-3", "SA-2", **{"2023_12_31": [9]}),
        ]
    )
    # As a version of this form may have made before a migration that is done again.
    released = {"accrualId": "R", "date": "2023-12-31", "amount": 1000, "step": {"kind": "release"}}
    books["settlements"].update_one({"_id": "OLD-3"}, {"$push": {"lines": released}})
    of_1: Row = {"settlementAccount": "SA-1", "guaranteed": []}
    of_2 = {**of_1, "settlementAccount": "SA-2"}
    due = [
        {
            **of_1,
            "_id": "SA-1/2023",
            "year": 2023,
            "days": [{"date": "2023-02-01", "amount": 3}, {"date": "2023-12-31", "amount": 550}],
        },
        {**of_1, "_id": "SA-1/2024", "year": 2024, "days": [{"date": "2024-01-01", "amount": 7}]},
        {**of_2, "_id": "SA-2/2023", "year": 2023, "days": [{"date": "2023-12-31", "amount": 9}]},
    ]
    for _ in range(2):
        migrate(connection, untold)
        assert list(books["earnings"].find({"year": {"$lt": 2025}}).sort("_id", 1)) == due
        assert decode_earnings(due[0]).days[1] == DayEarned(date(2023, 12, 31), 550)
        books["meta"].update_one({}, {"$set": {"number": 3}})


def test_statements_say_what_has_brought_them_forward(books: Books, connection: Books) -> None:
    """Of a partner that is self-billed, and what is held of them; of others nothing is said. Done again it is the same.

    All of the 50.00 of OLD-1 is held for SB-1. OLD-2 has 30.00 of that, and SB-2 of its own, so all of it is; OLD-3 has
    10.00, and OLD-4 as much of its 90.00. What OLD-6 was said to hold is accepted by now.
    """

    def stated(number: int, total: int, before: int | None, partner: str = "SA-1", **more: Any) -> Row:
        brought = None if before is None else f"OLD-{before}"
        row = {"settlementAccount": partner, "lines": [], "total": total, "broughtForwardFrom": brought}
        return {"_id": f"OLD-{number}", **row, **more}

    def held(*documents: str) -> Row:
        return {"documents": list(documents), "isWaiting": False, "netted": 0}

    books["agreements"].insert_many(
        [
            {"_id": "AG-1", "settlementAccount": "SA-1", "agreed": [{"closing": {"selfBilling": {"series": "SB-"}}}]},
            {"_id": "AG-2", "settlementAccount": "SA-2", "agreed": [{"closing": {"advance": 100}}, {"revision": 2}]},
        ]
    )
    books["settlements"].insert_many(
        [
            stated(1, 5000, None, hold=held("SB-1")),
            stated(2, 3000, 1, hold=held("SB-2")),
            stated(3, 1000, 2),
            stated(4, 9000, 3),
            stated(5, -100, None),
            stated(6, 700, 5, heldForward={"documents": ["SB-1"], "amount": 1}),
            stated(7, -100, None, "SA-2"),
            stated(8, 700, 7, "SA-2"),
        ]
    )
    both = ["SB-2", "SB-1"]
    due = {
        "OLD-1": ("OLD-2", None),
        "OLD-2": ("OLD-3", {"documents": ["SB-1"], "amount": 5000}),
        "OLD-3": ("OLD-4", {"documents": both, "amount": 3000}),
        "OLD-4": (None, {"documents": both, "amount": 1000}),
        "OLD-5": ("OLD-6", None),
        "OLD-6": (None, None),
        "OLD-7": (None, None),
        "OLD-8": (None, None),
    }
    for _ in range(2):
        migrate(connection, untold)
        found = books["settlements"].find({"_id": {"$regex": "^OLD-"}})
        assert {row["_id"]: (row.get("carriedTo"), row.get("heldForward")) for row in found} == due
        books["meta"].update_one({}, {"$set": {"number": 4}})


def test_disputes_say_whose_invoice_they_are_of(books: Books, connection: Books) -> None:
    """Where it is a partner's; of ours they say nothing."""
    invoice = books["invoices"].find_one({}) or {}
    books["invoices"].insert_one({**invoice, "_id": "FN.1", "orderId": "O-FN", "seller": "SA-1"})
    books["disputes"].insert_many({"_id": n, "billNo": of} for n, of in (("D-1", invoice["_id"]), ("D-2", "FN.1")))
    done = migrate(connection, untold)
    assert done.steps[3].updates[-1].name == "sellers of disputes"
    assert {row["_id"]: row.get("seller") for row in books["disputes"].find()} == {"D-1": None, "D-2": "SA-1"}


RATE: Row = {"unitPrice": "10", "tiers": None, "category": "S", "rate": "0.2", "onBehalfOf": None}
MAY = {"start": "2026-05-01", "end": "2026-06-01"}
LINE: Row = {"billNo": "INV-1", "lineId": "1", "rate": RATE, "quantity": "1", "net": 1000, "taken": [], "counted": []}
CHARGED: Row = {"rate": RATE, "days": MAY, "quantity": "1", "net": 1000, "parts": []}
TAKEN: Row = {"billNo": None, "lineId": None, "creditNote": "CN-1", "net": -1000, "amount": -1000, "counted": []}
SAYS_THE_SAME = {
    "one line": ([LINE], [CHARGED]),
    "by tiers": ([{**LINE, "quantity": None}], [{**CHARGED, "quantity": None}]),
    "usage": ([{**LINE, "counted": [{"month": "2026-05", "after": 0, "count": 2}]}], [CHARGED]),
}
"""Lines and what was charged, where the one line says it."""
SAYS_ANOTHER = {
    "all taken back": ([{**LINE, "taken": [TAKEN]}], []),
    "taken back, and charged": ([{**LINE, "taken": [{**TAKEN, "net": 0, "amount": 0}]}], [CHARGED]),
    "two lines": ([LINE, {**LINE, "lineId": "2"}], [{**CHARGED, "quantity": "2", "net": 2000}]),
    "two rates": ([LINE], [CHARGED, {**CHARGED, "rate": {**RATE, "rate": "0.1"}, "net": 0}]),
    "nothing any more": ([LINE], []),
    "parts": ([LINE], [{**CHARGED, "parts": [{"days": MAY, "quantity": "1", "net": 1000}]}]),
    "usage on some days": ([LINE], [{**CHARGED, "usedOn": [MAY]}]),
    "fewer days": ([LINE], [{**CHARGED, "days": {**MAY, "start": "2026-05-02"}}]),
    "another quantity": ([LINE], [{**CHARGED, "quantity": None}]),
    "another net": ([LINE], [{**CHARGED, "net": 999}]),
    "another rate": ([LINE], [{**CHARGED, "rate": {**RATE, "onBehalfOf": "SA-1"}}]),
}
"""Likewise, where it does not."""


def test_what_a_price_came_to_is_kept_where_its_line_does_not_say_it(books: Books, connection: Books) -> None:
    """Of a period with a price of each sort, which takes some pages; a longer one of the same price is apart."""
    sorts = {**SAYS_THE_SAME, **SAYS_ANOTHER}
    prices = [(f"P{n:02}", *sort) for n, sort in enumerate(sorts.values())]
    of: Row = {"subscriptionId": "S-1", "period": MAY, "end": MAY["end"]}
    books["billedPeriods"].insert_many(
        {**of, "_id": f"S-1/{id_}/2026-05-01/2026-06-01", "priceId": id_, "charged": charged, "lines": lines}
        for id_, lines, charged in prices
    )
    longer: Row = {"subscriptionId": "S-1", "period": {**MAY, "end": "2026-07-01"}, "end": "2026-07-01"}
    one: Row = {"priceId": "P00", "lines": [LINE], "charged": [CHARGED]}
    books["billedPeriods"].insert_one({**longer, **one, "_id": "S-1/P00/2026-05-01/2026-07-01"})
    migrate(connection, untold)
    kept = [
        {"priceId": id_, "lines": lines, **({"charged": charged} if sort in SAYS_ANOTHER else {})}
        for sort, (id_, lines, charged) in zip(sorts, prices, strict=True)
    ]
    assert list(books["billedPeriods"].find().sort("_id", 1)) == [
        {"_id": "S-1/2026-05-01/2026-06-01", **of, "prices": kept},
        {"_id": "S-1/2026-05-01/2026-07-01", **longer, "prices": [one]},
    ]


def as_a_bill_writes_it(rows: Sequence[Row]) -> dict[str, Row]:
    """The rows of periods, as this version would have written them, of those of form 5; by id."""
    periods: dict[str, BilledPeriod] = {}
    for row in rows:
        price = {name: row[name] for name in ("priceId", "lines", "charged")}
        old = decode_billed_period({**row, "prices": [price]})
        id_ = id_of(old.subscription, old.period)
        [one] = old.prices
        made = billed_price(one.price_id, one.lines, one.charged_in(old.period), old.period)
        period = periods.get(id_, BilledPeriod(id_, old.subscription, old.period, ()))
        periods[id_] = period.with_prices([made])
    return {id_: encode_billed_period(period) for id_, period in periods.items()}


def test_what_was_billed_by_price_is_put_together_by_period(new_database: Books, connection: Books) -> None:
    """As a bill of this version writes it, of all sorts of subscriptions, each row once; a second time does nothing."""
    older = form_5()
    older.restore(new_database)
    rows = older.rows["billedPeriods"]
    told: list[Progress] = []
    done = migrate(connection, told.append)
    assert (done.found, done.form) == (5, FORM)
    assert done.steps[0].updates == (Updated("prices of periods", "billedPeriods", len(rows)),)
    pages = [(progress.documents, progress.of) for progress in told if progress.form == 6]
    assert pages == [(n, len(rows)) for n in [*range(0, len(rows), PAGE), len(rows)]]
    found = {row["_id"]: row for row in new_database["billedPeriods"].find()}
    assert found == as_a_bill_writes_it(rows)
    new_database["meta"].update_one({}, {"$set": {"number": 5}})
    again = migrate(connection, untold)
    assert again.steps[0].updates == (Updated("prices of periods", "billedPeriods", 0),)
    assert {row["_id"]: row for row in new_database["billedPeriods"].find()} == found


@pytest.mark.parametrize("place", ["between pages", "within a page"])
def test_periods_that_are_half_put_together_are_gone_on_with(
    new_database: Books, connection: Books, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A period's prices are on several pages: at each point each price is there once, and at last all are together."""
    older = form_5()
    older.restore(new_database)
    rows = older.rows["billedPeriods"]
    write_place = migration._Claim.write_place
    stops = list(range(PAGE, len(rows), 7 * PAGE))

    def stop(documents: int) -> None:
        if stops and documents >= stops[0]:
            stops.pop(0)
            raise ZeroDivisionError

    def written(claim: migration._Claim, at: Row, session: ClientSession | None = None) -> None:
        write_place(claim, at, session)
        if place == "within a page" and session is not None:
            stop(at["documents"])

    def tell(progress: Progress) -> None:
        if place == "between pages" and progress.form == 6:
            stop(progress.documents)

    monkeypatch.setattr(migration._Claim, "write_place", written)
    halves = 0
    for _ in range(len(stops)):
        with pytest.raises(ZeroDivisionError):
            migrate(connection, tell)
        found = list(new_database["billedPeriods"].find())
        prices = [
            (row["subscriptionId"], one["priceId"], row["end"]) for row in found for one in row.get("prices", [row])
        ]
        assert len(prices) == len(set(prices)) == len(rows)
        begun = {(row["subscriptionId"], str(row["period"])) for row in found if "prices" in row}
        halves += any((row["subscriptionId"], str(row["period"])) in begun for row in found if "prices" not in row)
    assert halves
    done = migrate(connection, tell)
    assert done.steps[0].updates == (Updated("prices of periods", "billedPeriods", len(rows)),)
    assert {row["_id"]: row for row in new_database["billedPeriods"].find()} == as_a_bill_writes_it(rows)


async def test_new_books_are_of_this_form(
    new_database: Books, connection: Books, mongodb_url: str, driver: Any
) -> None:
    """A worker's first start says so, and there is nothing to migrate."""
    store = Store(mongodb_url, new_database.name, driver)
    await store.prepare()
    await store.close()
    assert the_form(new_database) == {"_id": "form", "number": FORM}
    assert migrate(connection, untold).nothing
    assert_declared(new_database)


def test_an_empty_database_is_left_alone(new_database: Books, connection: Books) -> None:
    """There is nothing to migrate, and nothing is made."""
    assert migrate(connection, untold) == Migrated(None, None)
    assert new_database.list_collection_names() == []


async def test_a_database_that_is_not_ours_is_left_alone(
    new_database: Books, connection: Books, mongodb_url: str, driver: Any
) -> None:
    """Neither a migration nor a worker touches one that has collections of the same names with something in them."""
    new_database["accounts"].insert_one({"_id": "somebody's"})
    with pytest.raises(WrongForm, match="is PAYMASTER_DATABASE right"):
        migrate(connection, untold)
    store = Store(mongodb_url, new_database.name, driver)
    try:
        with pytest.raises(WrongForm, match="accounts that is not ours"):
            await store.prepare()
    finally:
        await store.close()
    assert new_database.list_collection_names() == ["accounts"]


async def test_a_worker_does_not_start_on_another_form(books: Books, mongodb_url: str, driver: Any) -> None:
    """Each of them is told in one line, with what to do: older, newer, being migrated, or with another index."""
    store = Store(mongodb_url, books.name, driver)

    async def told() -> str:
        with pytest.raises(WrongForm) as raised:
            await store.prepare()
        # Nothing of it goes on, which would connect anew while the client is closed.
        assert not [task for task in asyncio.all_tasks() if "_prepare()" in repr(task)]
        line = str(raised.value)
        assert len(line.splitlines()) == 1
        assert books.name in line
        return line

    try:
        line = await told()
        assert "of form 1" in line
        assert "paymaster migrate" in line
        assert "stop all workers, take a dump" in line
        books["meta"].insert_one({"_id": "form", "number": FORM, "migrating": {"to": FORM}})
        assert "under way, or was interrupted" in await told()
        books["meta"].replace_one({}, {"number": FORM, "migrating": {"to": FORM + 1}})
        assert "newer version" in await told()
        books["meta"].replace_one({}, {"number": FORM + 1})
        assert "restore the dump" in await told()
        books["meta"].replace_one({}, {"number": None})
        assert "has no number" in await told()
        books["meta"].replace_one({}, {"number": FORM})
        line = await told()
        assert "the index order of invoices" in line
        assert "paymaster migrate" in line
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"number": FORM + 1}, "newer version"),
        ({"number": FORM, "migrating": {"to": FORM + 1, "until": None}}, "newer version"),
        ({"number": "two"}, "no number"),
    ],
)
def test_a_newer_database_is_not_migrated(books: Books, connection: Books, row: Row, says: str) -> None:
    """It is left as it is, to be gone on with by the newer version."""
    books["meta"].insert_one({"_id": "form", **row})
    with pytest.raises(WrongForm, match=says):
        migrate(connection, untold)
    assert the_form(books) == {"_id": "form", **row}


def test_an_update_goes_through_all_rows_in_pages(books: Books, connection: Books) -> None:
    """Each row that needs it is changed once, how far it is is told, and what was done is told at last."""
    books["payouts"].update_one({"_id": "PO-004"}, {"$set": {"doubled": 8}})
    told: list[Progress] = []
    done = migrate(connection, told.append, PLAN)
    assert doubled(books) == [2 * n for n in range(ROWS)]
    assert done.steps[-1] == Stepped(FORM + 1, PLAN.steps[-1].why, (Updated("amounts doubled", "payouts", ROWS - 1),))
    pages = [progress for progress in told if progress.form == FORM + 1]
    assert [page.documents for page in pages] == [*range(0, ROWS - 1, PAGE), ROWS - 1]
    assert {page.of for page in pages} == {ROWS - 1}
    assert the_form(books) == {"_id": "form", "number": FORM + 1}


def test_a_field_that_old_rows_lack_is_filled(books: Books, connection: Books) -> None:
    """By the same update of each: those that have it keep it."""
    books["positions"].update_one({"_id": "BA-1"}, {"$set": {"listed": True}})
    migrate(connection, untold, Plan((*STEPS, Step(FORM + 1, "positions say it", (LISTED,))), FEW))
    assert {row["_id"] for row in books["positions"].find({"listed": True})} == {"BA-1"}
    assert books["positions"].count_documents({"listed": False}) == books["positions"].count_documents({}) - 1


@pytest.mark.parametrize("place", every_third(["written", "between", "within"], 0))
def test_a_migration_that_is_killed_is_gone_on_with(
    books: Books, connection: Books, mongodb_url: str, place: str
) -> None:
    """`kill -9` between two pages, or in the middle of one: no worker starts on it, and the next run does the rest."""
    command = [sys.executable, "-m", "tests.support.migrating", mongodb_url, books.name, place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert process.returncode == -9
    assert doubled(books).count(None) == ROWS - PAGE * PAGES_DONE
    with pytest.raises(WrongForm, match=r"newer version"):
        check_now(books)
    told: list[Progress] = []
    since = time.monotonic()
    done = migrate(connection, told.append, PLAN)
    # Not only when the server ends the transaction that was left open.
    assert time.monotonic() - since < TRANSACTION_SECONDS / 2
    assert doubled(books) == [2 * n for n in range(ROWS)]
    assert done.steps[-1].updates == (Updated("amounts doubled", "payouts", ROWS),)
    pages = [progress.documents for progress in told if progress.form == FORM + 1]
    assert pages == [*range(PAGE * PAGES_DONE, ROWS, PAGE), ROWS]
    assert the_form(books) == {"_id": "form", "number": FORM + 1}
    assert_declared(books, FEW)


def failing_step(fails: list[bool]) -> Plan:
    """A step that fails in its third page while `fails` has something."""
    pages: list[int] = []

    def write(books: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne | DeleteMany]:
        pages.append(len(rows))
        if len(pages) > PAGES_DONE and fails:
            fails.pop()
            raise ZeroDivisionError
        return DOUBLED.write(books, session, rows)

    update = Update(DOUBLED.name, DOUBLED.collection, DOUBLED.which, write, DOUBLED.fields)
    return Plan((*STEPS, Step(FORM + 1, "", (update,))), FEW)


def test_a_step_that_fails_halfway_leaves_the_mark(
    books: Books, connection: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done stays, no worker starts, and the next run, of a version that is mended, goes on at once."""
    monkeypatch.setattr(migration, "LEASE_SECONDS", 5)
    plan = failing_step([True])
    with pytest.raises(ZeroDivisionError):
        migrate(connection, untold, plan)
    assert doubled(books).count(None) == ROWS - PAGE * PAGES_DONE
    row = the_form(books)
    assert row is not None
    assert (row["number"], row["migrating"]["to"]) == (FORM, FORM + 1)
    told: list[Progress] = []
    migrate(connection, told.append, plan)
    assert not [progress for progress in told if progress.what.startswith("waiting")]
    assert doubled(books) == [2 * n for n in range(ROWS)]
    assert the_form(books) == {"_id": "form", "number": FORM + 1}


def test_a_renewal_that_is_under_way_as_a_step_fails_holds_nothing(
    books: Books, connection: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of a run that failed is free, also where it was just then renewed: the next run goes on at once."""
    freed = threading.Event()
    extend = migration._Claim.extend

    def late(claim: migration._Claim, seconds: float) -> None:
        if seconds:
            freed.wait(1)  # the mark is freed meanwhile, unless that waits for this renewal
        extend(claim, seconds)
        if not seconds:
            freed.set()

    with monkeypatch.context() as patched:
        patched.setattr(migration, "LEASE_SECONDS", 5)
        patched.setattr(migration, "RENEWAL_SECONDS", 0)
        patched.setattr(migration._Claim, "extend", late)
        with pytest.raises(ZeroDivisionError):
            migrate(connection, untold, failing_step([True]))
    told: list[Progress] = []
    migrate(connection, told.append, failing_step([]))
    assert not [progress for progress in told if progress.what.startswith("waiting")]


def test_a_database_that_stumbles_is_tried_again(books: Books, connection: Books, mongo: MongoClient[Row]) -> None:
    """A conflict, or a step-down, within a page: the page is done again, and each row once."""
    with failing(
        mongo,
        "commitTransaction",
        3,
        appName=MIGRATE_APP_NAME,
        errorCode=112,
        errorLabels=["TransientTransactionError"],
    ):
        migrate(connection, untold, PLAN)
    assert doubled(books) == [2 * n for n in range(ROWS)]


def test_whoever_may_not_write_changes_nothing(books: Books, connection: Books, mongo: MongoClient[Row]) -> None:
    """Without the rights it ends with what the server says, and with them it goes through."""
    with (
        failing(mongo, "dropIndexes", 1, appName=MIGRATE_APP_NAME, errorCode=13),
        pytest.raises(OperationFailure),
    ):
        migrate(connection, untold)
    row = the_form(books)
    assert row is not None
    assert row["number"] == 1
    assert migrate(connection, untold).form == FORM


def test_of_two_at_once_the_second_waits(
    books: Books, connection: Books, mongodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first renews its claim; then there is nothing left to do."""
    # Longer than this machine may stand still: the test waits for renewals, and not for the time.
    monkeypatch.setattr(migration, "LEASE_SECONDS", SECONDS_MAX)
    inside, waits = threading.Event(), threading.Event()
    results: list[Migrated] = []
    waited: list[Progress] = []

    def until() -> datetime:
        held: datetime = (the_form(books) or {})["migrating"]["until"]
        return held

    def first_tell(progress: Progress) -> None:
        if progress.documents == PAGE and not inside.is_set():
            inside.set()
            assert waits.wait(SECONDS_MAX)
            begun, deadline = until(), time.monotonic() + SECONDS_MAX
            while until() == begun:
                assert time.monotonic() < deadline, "the claim is not renewed"
                time.sleep(migration.WAIT_SECONDS)

    def second() -> None:
        assert inside.wait(SECONDS_MAX)
        with database(mongodb_url, books.name, MIGRATE_APP_NAME) as other:
            results.append(migrate(other, tell, PLAN))

    def tell(progress: Progress) -> None:
        waited.append(progress)
        waits.set()

    thread = threading.Thread(target=second)
    thread.start()
    first = migrate(connection, first_tell, PLAN)
    thread.join()
    assert doubled(books) == [2 * n for n in range(ROWS)]
    assert first.steps[-1].updates[0].documents == ROWS
    assert [one.nothing for one in results] == [True]
    assert [progress.what.split()[0] for progress in waited] == ["waiting"]


def test_whoever_was_silent_too_long_does_nothing_more(
    books: Books, connection: Books, mongodb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one took over: the first one's next page is not written, and it says why."""
    monkeypatch.setattr(migration, "RENEWAL_SECONDS", 1_000)
    monkeypatch.setattr(migration, "LEASE_SECONDS", 0.05)
    others: list[Migrated] = []

    def tell(progress: Progress) -> None:
        if progress.documents == PAGE and not others:
            with database(mongodb_url, books.name, MIGRATE_APP_NAME) as other:
                others.append(migrate(other, untold, PLAN))

    with pytest.raises(WrongForm, match="has taken over"):
        migrate(connection, tell, PLAN)
    assert others[0].steps[-1].updates[0].documents == ROWS
    assert doubled(books) == [2 * n for n in range(ROWS)]
    assert the_form(books) == {"_id": "form", "number": FORM + 1}


def test_a_worker_that_still_runs_is_noticed(books: Books, connection: Books) -> None:
    """Rows of the earlier form that come behind the update end it, with the mark left; the next run does them too."""
    late = [{"_id": "PO-000a", "amount": 50}]

    def tell(progress: Progress) -> None:
        if progress.form == FORM + 1 and progress.documents == 3 * PAGE and late:
            books["payouts"].insert_many([late.pop()])

    with pytest.raises(WrongForm, match="still runs"):
        migrate(connection, tell, PLAN)
    migrate(connection, tell, PLAN)
    assert None not in doubled(books)
    assert 100 in doubled(books)


def test_indexes_are_brought_to_what_is_declared(books: Books, connection: Books) -> None:
    """One that changed is made anew, one that is retired is dropped, one that is missing is made; others stay."""
    migrate(connection, untold)
    books["payouts"].create_index([("amount", 1)], name="somebody's")
    books["payments"].drop_index("credit")
    books["outbox"].drop_index("unsent")
    books["outbox"].create_index([("bookedAt", 1)], name="unsent", partialFilterExpression={"unsent": True})
    indexes = {name: list(declared) for name, declared in INDEXES.items() if name != "entries"}
    indexes["entries"] = [IndexModel([("cause", ASCENDING)], name="cause")]
    plan = Plan(indexes=indexes, retired={"entries": ("movements",)})
    done = migrate(connection, untold, plan)
    assert sorted(done.dropped) == ["entries.movements", "outbox.unsent"]
    assert sorted(done.made) == ["entries.cause", "outbox.unsent", "payments.credit"]
    assert not done.steps
    assert_declared(books, indexes)
    assert {index["name"] for index in books["entries"].list_indexes()} == {"_id_", "cause"}
    assert "somebody's" in {index["name"] for index in books["payouts"].list_indexes()}
    assert the_form(books) == {"_id": "form", "number": FORM}
    assert migrate(connection, untold, plan).nothing


def test_an_index_in_the_way_is_named(books: Books, connection: Books) -> None:
    """One of the same keys that somebody else made under another name can't be told apart: it is theirs to drop."""
    books["payments"].drop_index("credit")
    keys = [("billingAccount", 1), ("receivedAt", 1), ("_id", 1)]
    books["payments"].create_index(keys, name="mine", partialFilterExpression={"unapplied": {"$gt": 0}})
    with pytest.raises(WrongForm, match="that is not ours is in the way"):
        migrate(connection, untold)
    books["payments"].drop_index("mine")
    assert migrate(connection, untold).form == FORM
    assert_declared(books)


def test_what_is_to_be_billed_is_found_after_a_migration(new_database: Books, connection: Books) -> None:
    """Through which date accounts are billed, and what was left behind that; a second time says the same."""
    older = form_6()
    older.restore(new_database)
    for _ in range(2):
        done = migrate(connection, untold)
        assert (done.found, done.form) == (6, FORM)
        assert done.steps[0].updates[0] == Updated("charges through", "positions", 4)
        through = {row["_id"]: row.get("chargesThrough") for row in new_database["positions"].find()}
        assert through == {
            "BA-1": "2026-11-20",
            "BA-2": "2026-11-11",
            "BA-3": None,
            "BA-4": "2026-11-21",
            "BA-5": "2026-11-22",
            "SA-1": None,
        }
        behind = {row["_id"]: row["behind"] for row in new_database["charges"].find()}
        assert {id_ for id_, it in behind.items() if it} == {f"C-{n}" for n in (2, 10, 14, 15, 16)}
        assert set(behind.values()) == {True, False}
        new_database["meta"].update_one({}, {"$set": {"number": 6}})
    assert_declared(new_database)
    assert "open" not in new_database["charges"].index_information()
