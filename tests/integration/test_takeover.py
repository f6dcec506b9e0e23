"""How long until the work goes on after a worker's death, whatever it had open on the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from pymongo.errors import PyMongoError

from adapters.settings import Settings
from adapters.store.store import Store
from tests.support.books import Books, applied, assert_clean
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.waiting import wait_for
from tests.support.workers import working

SECONDS_MAX = 0.5


@asynccontextmanager
async def left_open(settings: Settings, *collections: str) -> AsyncIterator[None]:
    """All rows of these collections are written by a transaction that nobody goes on with."""
    dead = Store(settings.mongodb_url, settings.database, settings.mongodb_driver)
    with suppress(PyMongoError):
        async with dead.transaction() as transaction:
            for name in collections:
                rows = transaction.database[name]
                await rows.update_many({}, {"$set": {"leftOpen": True}}, session=transaction.session)
            yield
    await dead.close()


@pytest.mark.parametrize("when", ["before it takes over", "as it takes over"])
async def test_what_a_dead_worker_has_open_is_ended_at_once(
    settings: Settings, client: Client, database: Books, when: str
) -> None:
    """The next worker's first message is applied within half a second, though its account was locked for a minute."""
    async with working(settings):
        await client.ask(customer("BA-1"))
        await client.ask(order("O-0", "BA-1"))
    if when == "before it takes over":
        async with left_open(settings, "positions", "series"), working(settings) as worker:
            await wait_for(lambda: worker.queue.consuming)
            seconds = await _seconds(client, "O-2")
            usual = await _seconds(client, "O-3")
    else:
        async with working(settings) as worker:
            usual = await _seconds(client, "O-3")
            async with left_open(settings, "positions", "series"):
                seconds = await _seconds(client, "O-2")
    # Not what the machine needs for an order while others use it too.
    assert seconds < SECONDS_MAX + usual
    await applied(database, 4)
    await assert_clean(client, database)


async def _seconds(client: Client, order_id: str) -> float:
    """How long it takes until an order is applied."""
    since = time.monotonic()
    assert (await client.ask(order(order_id, "BA-1")))["outcome"] == "applied"
    return time.monotonic() - since
