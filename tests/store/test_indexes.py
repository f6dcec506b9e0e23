"""Every read of the store is served by an index, and reads no more than it gives back, however old the books are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from adapters.checks import REFERRING
from adapters.records import ReplyTo
from adapters.store.beside import EPOCH
from adapters.store.collections import COLLECTIONS
from adapters.store.store import Store
from adapters.store.transaction import Batch, HeldChange
from domain.accounts.model import Account
from domain.accounts.references import PAYER, Link
from domain.billing.billed import BilledPeriod, id_of
from domain.billing.model import BilledCharge, Charge
from domain.invoicing.model import Invoice
from domain.invoicing.pricing import Item
from domain.ledger.books import DocumentNeed, NotLoaded, QueueNeed, RangeNeed
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.payments.model import Payment
from domain.periods import DateRange
from domain.settlement.accruals import Accrual
from domain.settlement.statements import Settlement
from tests.store import documents as make
from tests.support.books import Books

INDEXES = {collection.name: collection.indexes for collection in COLLECTIONS}
NOW, LEASE = make.NOW, make.LEASE
OLD = 300
"""How many documents that are done with stand beside each that is open."""


@contextmanager
def profiled(database: Books, found: list[dict[str, Any]]) -> Iterator[None]:
    """Fill `found` with what the server did, and how, for each command inside."""
    database.command("profile", 2)
    try:
        yield
    finally:
        database.command("profile", 0)
        # A cursor that was closed early is killed at some later time.
        which = {"ns": {"$ne": f"{database.name}.system.profile"}, "command.killCursors": {"$exists": False}}
        found += database["system.profile"].find(which)
        database.drop_collection("system.profile")


DUE = date(2026, 11, 20)


THROUGH = DUE - timedelta(days=1)
"""Through that date charges are billed."""


def a_charge(number: int, on: date, *, billed: bool = False) -> Charge:
    """A charge to one of three accounts."""
    item = Item(f"C-{number}", None, Decimal(1), Decimal("10.00"), "S", Decimal("0.20"), None)
    by = BilledCharge("INV-1", "1", None, 1000, "bill.demand:D-1", NOW) if billed else None
    behind = by is None and on <= THROUGH
    return Charge(f"C-{number}", f"BA-{number % 3}", on, "EUR", item, 1000, None, None, None, NOW, by, behind)


async def old_books(store: Store) -> None:
    """Books in which nearly everything is done with."""
    books = make.books()
    done: list[Any] = [
        *(make.invoice(n, "BA-1", remaining=0) for n in range(OLD)),
        *(make.invoice(n, f"BA-{n % 3}") for n in range(OLD, OLD + 9)),
        *(make.payment(f"P-{n}", "BA-1", unapplied=0) for n in range(OLD)),
        *(make.payment(f"Q-{n}", f"BA-{n % 3}") for n in range(9)),
        *(make.position(f"BA-{n}", receivable=1, unapplied=1, charges_through=THROUGH) for n in range(4)),
        *(make.position(f"SA-{n}") for n in range(3)),
        *(make.accrual(n, "SA-1", settlement="C-1") for n in range(OLD)),
        *(make.accrual(n, f"SA-{n % 3}") for n in range(OLD, OLD + 9)),
        *(Link(PAYER, f"BA-{n}", f"BA-{n % 9}", open=n > OLD - 5) for n in range(OLD)),
        *(a_charge(n, THROUGH, billed=True) for n in range(OLD - 9)),
        *(a_charge(n, THROUGH) for n in range(OLD - 9, OLD)),
        *(a_charge(n, DUE) for n in range(OLD, OLD + 9)),
        *(a_charge(n, DUE + timedelta(days=1)) for n in range(OLD + 9, 2 * OLD)),
    ]
    for document in done:
        books.changed[type(document)][document.id] = document
    held = [make.held_row(f"p:{n}", state="parked", waits_for=None, due_at=None) for n in range(OLD)]
    held += [make.held_row(f"w:{n}", waits_for=f"account:W-{n % 3}") for n in range(9)]
    held += [make.held_row(f"d:{n}", waits_for=None, due_at=NOW) for n in range(3)]
    events = [make.event("BA-1", n) for n in range(1, OLD)]
    async with store.transaction() as transaction:
        await transaction.write(books, Batch([make.inbox_row(f"i:{n}") for n in range(OLD)], held, outbox=events))
        await transaction.commit()
    await store.mark_sent([event.message_id for event in events[9:]], NOW)


async def test_each_read_is_served_by_an_index(store: Store, database: Books) -> None:
    """No collection is scanned, nothing is sorted by hand that an index sorts, and no more is read than is given."""
    await old_books(store)
    found: list[dict[str, Any]] = []
    with profiled(database, found):
        for needs in (
            [DocumentNeed(kind, "INV-000000001") for kind in (Account, Position, Invoice, Payment, Settlement, Series)],
            [QueueNeed(kind, "BA-1", 4) for kind in (Invoice, Payment)],
            [QueueNeed(kind, f"BA-{n}", 4) for kind in (Invoice, Payment) for n in range(4)],
            [QueueNeed(Accrual, f"SA-{n}", None) for n in range(3)],
            [QueueNeed(Accrual, "SA-0", None)],
            [RangeNeed(Accrual, f"INV-{n:09d}/1") for n in range(3)],
            [QueueNeed(Link, f"{PAYER}/BA-{n}", None) for n in range(3)],
            [QueueNeed(Charge, f"BA-{n}", 4, DUE) for n in range(4)],
            [QueueNeed(Charge, "BA-1", 4, DUE)],
            [QueueNeed(Charge, f"BA-{n}", 1, DUE) for n in range(4)],
        ):
            books = make.books()
            async with store.transaction() as transaction:
                await transaction.load(needs, books)
                await transaction.look_up(["i:1", "p:1", "none"], (), make.books())
                await transaction.commit()
        waiting = await store.claim_waiting(["account:W-0", "account:W-1"], NOW, LEASE)
        due = await store.claim_due(NOW, LEASE)
        assert (len(waiting), len(due)) == (6, 3)
        assert await store.claim_suspect(NOW, LEASE) is None
        await store.awaited_names(100)
        await store.there_now(["account:BA-1", "settlement:C-1"])
        events = await store.unsent(NOW + timedelta(seconds=1), None, 4)
        events += await store.unsent(NOW + timedelta(seconds=1), (events[-1].booked_at, events[-1].message_id), 4)
        assert len(events) == 8
        await store.mark_sent([event.message_id for event in events], NOW)
        async with store.transaction() as transaction:
            changed = Batch(
                held_changes=[HeldChange(waiting[0], None), *(HeldChange(row, row) for row in waiting[1:])],
                replies=[("w:2", ReplyTo("q", "c"))],
            )
            await transaction.write(make.books(), changed)
            await transaction.commit()
    plans = {(entry["ns"].rpartition(".")[2], entry.get("planSummary", "none")) for entry in found}
    assert not [plan for plan in plans if "COLLSCAN" in plan[1]], plans
    assert {name for name, _ in plans} >= {"invoices", "payments", "accruals", "held", "outbox", "inbox"}
    for entry in found:
        given = entry.get("nreturned", 0) + entry.get("nMatched", 0) + entry.get("ndeleted", 0)
        # An aggregation gives groups; it may read what waits, and nothing of what is parked.
        assert entry.get("docsExamined", 0) <= max(given, 12), entry
        if "_id" not in entry.get("planSummary", ""):
            assert not entry.get("hasSortStage"), entry


async def test_what_was_billed_is_read_from_its_last_period_back(store: Store, database: Books) -> None:
    """A subscription's periods, the last end first and then by id, a page at a time; by the index, and no more."""
    count, page = 3 * OLD, 4
    books = make.books()
    every: list[BilledPeriod] = []
    ends = [date(2026, 1, 1) + timedelta(days=n * 7 % count // 2) for n in range(count)]  # in no order, some twice
    for n, end in enumerate(ends):
        days = DateRange(end - timedelta(days=1), end)
        of = f"S-{n % 3}"
        period = BilledPeriod(f"{id_of(of, days)}/{n}", of, days, ())
        books.changed[BilledPeriod][period.id] = period
        every.append(period)
    async with store.transaction() as transaction:
        await transaction.write(books, Batch())
        await transaction.commit()
    due = {
        of: [one.id for one in sorted(every, key=lambda one: (-one.period.end.toordinal(), one.id)) if one.owner == of]
        for of in ("S-0", "S-1", "S-2")
    }
    found: list[dict[str, Any]] = []
    with profiled(database, found):
        for owners in (["S-1"], ["S-0", "S-2"]):
            for limit in (page, 4 * page, None):
                read = make.books()
                async with store.transaction() as transaction:
                    await transaction.load([QueueNeed(BilledPeriod, of, limit) for of in owners], read)
                    await transaction.commit()
                for of in owners:
                    queue = read.queue(BilledPeriod, of)
                    assert [one.id for one in islice(queue, limit)] == due[of][:limit]
                    if limit is None:
                        assert next(queue, None) is None
                    else:
                        with pytest.raises(NotLoaded):
                            next(queue)
    reads = [entry for entry in found if entry["ns"].endswith(".billedPeriods")]
    assert len(reads) >= 6
    for entry in reads:
        assert "IXSCAN { subscriptionId: 1, end: -1, _id: 1 }" in entry.get("planSummary", ""), entry
        assert not entry.get("hasSortStage"), entry
        assert entry["docsExamined"] <= entry["nreturned"], entry


async def test_every_index_serves_its_query(store: Store, database: Books) -> None:
    """Each index is there, and serves the query that it was made for."""
    await old_books(store)
    names = {name: {index["name"] for index in database[name].list_indexes()} for name in INDEXES}
    assert names["invoices"] == {"_id_", "open", "order", "listed", "seller"}
    assert names["payments"] == {"_id_", "credit", "listed"}
    assert names["accruals"] == {"_id_", "unstated"}
    assert names["entries"] == {"_id_", "movements"}
    assert names["held"] == {
        *("_id_", "waiting", "due", "scheduled", "claimed", "suspect", "parkedId", "messageId", "listed")
    }
    assert names["outbox"] == {"_id_", "unsent", "sent", "parked", "values"}
    for collection, query, index in (
        ("invoices", {"billingAccount": "BA-1", "remainingAmount": {"$gt": 0}}, "open"),
        ("payments", {"billingAccount": "BA-1", "unapplied": {"$gt": 0}}, "credit"),
        ("accruals", {"settlementAccount": "SA-1", "settlementId": {"$type": "null"}}, "unstated"),
        ("held", {"state": "waiting", "waitsFor": {"$in": ["account:W-1"]}}, "waiting"),
        ("held", {"state": "waiting", "dueAt": {"$lte": NOW}}, "due"),
        ("held", {"state": "scheduled", "dueAt": {"$lte": NOW}}, "scheduled"),
        ("held", {"state": "waiting", "claimedUntil": {"$lt": NOW, "$gt": EPOCH}}, "claimed"),
        ("held", {"state": "suspect", "dueAt": {"$lte": NOW}}, "suspect"),
        ("held", {"parkedId": "P-1"}, "parkedId"),
        ("held", {"messageId": "m-1"}, "messageId"),
        ("outbox", {"unsent": True, "bookedAt": {"$lt": NOW}}, "unsent"),
        ("outbox", {"sentAt": {"$gt": EPOCH}, "bookedAt": {"$gte": NOW}}, "sent"),
        ("outbox", {"parkedAt": {"$gt": EPOCH}}, "parked"),
        *((name, REFERRING, "values") for name in ("accountVersions", "inbox", "outbox")),
        ("entries", {"postings.account": "receivable:BA-1"}, "movements"),
    ):
        plan = str(database[collection].find(query).explain()["queryPlanner"]["winningPlan"])
        assert f"'indexName': '{index}'" in plan, plan


async def test_five_workers_may_prepare_at_once(mongodb_url: str, new_database: Books, driver: Any) -> None:
    """Collections and indexes are made once, whoever comes first; nobody fails, then or later."""
    database = new_database
    stores = [Store(mongodb_url, database.name, driver) for _ in range(5)]
    try:
        await asyncio.gather(*(store.prepare() for store in stores))
        await asyncio.gather(*(store.prepare() for store in stores))
    finally:
        for store in stores:
            await store.close()
    assert set(database.list_collection_names()) == set(INDEXES)
    for name, indexes in INDEXES.items():
        assert len(list(database[name].list_indexes())) == len(indexes) + 1
