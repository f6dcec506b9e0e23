"""The largest messages that are legal, as many at once as there may be, stay far from what MongoDB refuses."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.settings import Settings
from adapters.store import transaction
from adapters.store.store import Store
from adapters.store.transaction import Transaction
from domain.settlement.closing import LINES_MAX
from schemas.ordering.messages import ITEMS_MAX
from schemas.values import TEXT_MAX
from schemas.wire import BODY_MAX, FACTS_MAX
from tests.support.books import Books, applied, assert_clean, held
from tests.support.client import Client
from tests.support.messages import Json, Message, closing, customer, order, partner, payment, payout, update
from tests.support.steady import AT_LENGTH
from tests.support.workers import working

DOCUMENT_MAX = 16 * 1024 * 1024
"""The most bytes of a document (MongoDB), and of a message (RabbitMQ)."""
SECONDS_MAX = 30
"""The longest transaction that is let pass; the server's limit is twice that."""
FAILURES = {"batch failed", "smaller batches after a failure", "defect", "parked", "event parked"}
"""What a worker logs when a batch does not go through as it is, or a message or an event is given up."""
TOLD_BYTES_MAX = 8 * 1024 * 1024
"""The most bytes of events that one transaction writes before its last fact's."""
LONG = "x" * 60
"""Makes an id of four more characters as long as ids may be."""


@dataclass
class Watch:
    """What a worker did: how many seconds each of its transactions took, what it loaded, and what it logged."""

    seconds: list[float] = field(default_factory=list)
    loaded_bytes: list[int] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watches the workers of a test."""
    seen = Watch()
    make = Store.transaction

    @asynccontextmanager
    async def timed(store: Store) -> AsyncIterator[Transaction]:
        since = time.monotonic()
        try:
            async with make(store) as begun:
                yield begun
                seen.loaded_bytes.append(begun._loaded_bytes)
        finally:
            seen.seconds.append(time.monotonic() - since)

    monkeypatch.setattr(Store, "transaction", timed)
    with capture_logs() as logs:
        seen.logs = logs
        yield seen


def encoded(body: Any) -> bytes:
    """JSON as short as can be: characters beyond ASCII stand for themselves."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def ids(count: int, prefix: str = LONG) -> list[str]:
    """So many ids; unless told otherwise as long as ids may be."""
    return [f"{prefix}{n:04}" for n in range(count)]


def lines(line_ids: list[str], *, sold_for: str | None = None, groups: int = 1) -> list[Json]:
    """Lines of an order at 1.20, as short as can be but for their ids, in so many groups of tax with ids as long."""
    about: Json = {"quantity": 1, "unitPrice": 1} | ({"onBehalfOf": {"id": sold_for}} if sold_for else {})
    categories = [line_id.replace("x", "S") for line_id in line_ids[:groups]]
    return [
        {"id": line_id, **about, "tax": {"category": categories[n % groups], "rate": 0.2}}
        for n, line_id in enumerate(line_ids)
    ]


def full(message: Message, text: str) -> tuple[str, bytes]:
    """An order whose lines are described with `text` again and again, until it is as large as a message may be."""
    routing_key, body = message
    described = [{**item, "description": ""} for item in body["items"]]
    room = (BODY_MAX - len(encoded({**body, "items": described}))) // len(described)
    for item in described:
        item["description"] = (text * TEXT_MAX)[: min(TEXT_MAX, room // (len(encoded(text)) - 2))]
    whole = encoded({**body, "items": described})
    assert BODY_MAX * 0.9 < len(whole) <= BODY_MAX
    return routing_key, whole


def array(messages: list[Message]) -> tuple[str, bytes]:
    """Messages of one kind as one."""
    whole = encoded([body for _, body in messages])
    assert len(messages) <= FACTS_MAX
    assert len(whole) <= BODY_MAX
    return messages[0][0], whole


def largest(database: Books) -> dict[str, int]:
    """The bytes of the largest document of each collection."""
    size = [{"$group": {"_id": None, "bytes": {"$max": {"$bsonSize": "$$ROOT"}}}}]
    return {
        name: next((row["bytes"] for row in database[name].aggregate(size)), 0)
        for name in database.list_collection_names()
    }


def told_at_once(database: Books) -> list[tuple[int, int]]:
    """Of each batch how many bytes of events it told, and how many the fact that told most."""
    events = database["outbox"].find({}, {"bookedAt": 1, "causationId": 1, "bytes": {"$binarySize": "$body"}})
    batches: dict[Any, dict[str, int]] = {}
    for event in events:
        facts = batches.setdefault(event["bookedAt"], {})
        facts[event["causationId"]] = facts.get(event["causationId"], 0) + event["bytes"]
    return [(sum(facts.values()), max(facts.values())) for facts in batches.values()]


async def assert_far_from_limits(client: Client, database: Books, watch: Watch) -> None:
    """Every message was applied at the first attempt, in transactions and documents of modest size."""
    assert [log for log in watch.logs if log["event"] in FAILURES] == []
    assert held(database) == {}
    assert max(watch.seconds) < SECONDS_MAX
    sizes = largest(database)
    assert max(sizes.values()) < DOCUMENT_MAX, sizes
    # The fact that goes beyond is the last one.
    for told, by_one in told_at_once(database):
        assert told <= TOLD_BYTES_MAX + by_one
    await assert_clean(client, database)


@pytest.mark.long
async def test_orders_as_large_as_a_message_may_be(
    settings: Settings, client: Client, database: Books, watch: Watch
) -> None:
    """More orders of 1,000 lines and 1 MiB than one transaction takes, of one account; then one payment for all.

    The payment is one fact, so one transaction: it writes each invoice again, and an event as large.
    """
    account, supplier, count = f"{LONG}BA-1", f"{LONG}SA-1", 12 if AT_LENGTH else 8
    line_ids = ids(ITEMS_MAX)
    kinds = [
        (lines(line_ids), "\U0001f600"),  # four bytes in UTF-8
        (lines(line_ids), "\x01"),  # six bytes in JSON
        (lines(line_ids, groups=ITEMS_MAX), "ä"),
        (lines(line_ids, groups=ITEMS_MAX, sold_for=supplier), "\x01"),
    ]
    orders = []
    for n, order_id in enumerate(ids(count)):
        items, text = kinds[n % len(kinds)]
        orders.append(full(order(order_id, account, *items), text))
    await client.declare()
    await client.send_all([customer(account), partner(supplier, accrue_on="payment"), *orders])
    async with working(settings):
        await applied(database, 2 + count)
        await client.send(payment("P-1", account, 1_200 * count))
        await applied(database, 3 + count)
    assert database["invoices"].count_documents({"state": "settled"}) == count
    await assert_far_from_limits(client, database, watch)


async def test_arrays_of_orders_whose_events_are_larger_by_far(
    settings: Settings, client: Client, database: Books, watch: Watch
) -> None:
    """A short line is told in many words, some seven times as long; of such lines arrays of 1 MiB are full."""
    account, counts = f"{LONG}BA-1", (FACTS_MAX, 100, 20) if AT_LENGTH else (FACTS_MAX, 20)
    arrays = []
    for count in counts:
        header = len(encoded(order("O-500-500", account)[1]))
        line = len(encoded(lines(ids(1, ""))[0])) + 1
        items = lines(ids((BODY_MAX // count - header) // line, ""))
        arrays.append(array([order(f"O-{count}-{n}", account, *items) for n in range(count)]))
    await client.declare()
    await client.send_all([customer(account), *arrays])
    async with working(settings):
        await applied(database, 1 + sum(counts))
    assert sum(told for told, _ in told_at_once(database)) > 6 * len(counts) * BODY_MAX
    await assert_far_from_limits(client, database, watch)


async def test_statements_with_as_many_lines_as_they_may_have(
    settings: Settings, client: Client, database: Books, watch: Watch
) -> None:
    """A closing over thousands of accruals with the longest ids, and many payouts at once, each of which tells all."""
    account, supplier, closing_id = f"{LONG}BA-1", f"{LONG}SA-1", f"{LONG}CL-1"
    orders_count, payouts_count = LINES_MAX // ITEMS_MAX + 1, 8 if AT_LENGTH else 4
    items = lines(ids(ITEMS_MAX), sold_for=supplier)
    orders = [order(order_id, account, *items) for order_id in ids(orders_count)]
    payouts = [payout(f"PO-{n}", supplier, closing_id, "0.01") for n in range(payouts_count)]
    await client.declare()
    await client.send_all([customer(account), partner(supplier), *orders])
    async with working(settings):
        await applied(database, 2 + orders_count)
        await client.send(closing(closing_id, supplier))
        await client.send(array(payouts))
        await applied(database, 3 + orders_count + payouts_count)
    assert [len(statement["lines"]) for statement in database["settlements"].find()] == [LINES_MAX, ITEMS_MAX]
    await assert_far_from_limits(client, database, watch)


@pytest.mark.long
async def test_accounts_as_large_as_a_message_may_be(
    settings: Settings, client: Client, database: Books, watch: Watch
) -> None:
    """Accounts of 1 MiB, of which one is seven times as large as BSON, and small updates that each tell the whole."""
    room = BODY_MAX - 2_000
    texts, updates_count = ids(3 if AT_LENGTH else 2, "BA-"), 2
    accounts = [customer(account, notes=["ä" * TEXT_MAX] * (room // (2 * TEXT_MAX + 3))) for account in texts]
    accounts.append(customer("BA-numbers", numbers=[1] * (room // 2)))
    updates = [update(account, {"description": f"The {n}th"}) for n in range(updates_count) for account in texts]
    updates.append(update("BA-numbers", {"description": "Once"}))
    await client.declare()
    await client.send_all([(routing_key, encoded(body)) for routing_key, body in accounts])
    await client.send(array(updates))
    async with working(settings):
        await applied(database, len(accounts) + len(updates))
    assert largest(database)["accounts"] > 6 * BODY_MAX
    await assert_far_from_limits(client, database, watch)


async def test_facts_that_look_at_much_of_the_books(
    settings: Settings, client: Client, database: Books, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small payments of invoices of 1,000 lines: no more is loaded at once than what is set, in as many batches.

    Of two that take more than that together each is alone, and one that takes more by itself may.
    """
    count = 16
    orders = [order(f"O-{n}", f"BA-{n}", *lines(ids(ITEMS_MAX, ""))) for n in range(count)]
    orders.append(order("O-more", "BA-0", *lines(ids(ITEMS_MAX, ""))))
    await client.declare()
    await client.send_all([*(customer(f"BA-{n}") for n in range(count)), *orders])
    async with working(settings):
        await applied(database, 2 * count + 1)
        [size] = database["invoices"].aggregate([{"$group": {"_id": None, "bytes": {"$max": {"$bsonSize": "$$ROOT"}}}}])
        # There is room for four of them, with what belongs to them.
        most = int(size["bytes"] * 4.5)
        monkeypatch.setattr(transaction, "LOADED_BYTES_MAX", most)
        watch.loaded_bytes.clear()
        await client.send(array([payment(f"P-{n}", f"BA-{n}", 1_200) for n in range(count)]))
        await applied(database, 3 * count + 1)
        assert max(watch.loaded_bytes) <= most
        assert len(watch.loaded_bytes) >= count / 4
        smaller = [log["facts"] for log in watch.logs if log["event"].startswith("smaller batches: their facts")]
        assert smaller[0] == count // 4
        monkeypatch.setattr(transaction, "LOADED_BYTES_MAX", int(size["bytes"] / 2))
        await client.send(array([payment(f"P-0-{n}", "BA-0", 600) for n in range(2)]))
        await applied(database, 3 * count + 3)
        assert max(watch.loaded_bytes[-2:]) > size["bytes"]
    assert database["invoices"].count_documents({"state": "settled"}) == count + 1
    await assert_far_from_limits(client, database, watch)


async def test_a_fact_that_looks_at_more_than_was_foreseen(
    settings: Settings, client: Client, database: Books, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four invoices are loaded beforehand, and the payment pays six: that is too much beside another one, not alone."""
    orders = [order(f"O-{n}", "BA-0", *lines(ids(ITEMS_MAX, ""))) for n in range(6)]
    await client.declare()
    await client.send_all([customer("BA-0"), customer("BA-1"), *orders, order("O-other", "BA-1")])
    async with working(settings):
        await applied(database, 9)
        monkeypatch.setattr(transaction, "LOADED_BYTES_MAX", int(largest(database)["invoices"] * 4.6))
        await client.send(array([payment("P-0", "BA-0", 7_200), payment("P-1", "BA-1", 12)]))
        await applied(database, 11)
    assert [log["facts"] for log in watch.logs if log["event"].startswith("smaller batches: their facts")] == [1]
    assert database["invoices"].count_documents({"state": "settled"}) == 7
    await assert_far_from_limits(client, database, watch)
