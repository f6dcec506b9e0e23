"""Several workers that apply at once: a seller that changes all the time, while orders are billed."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import Any

from adapters.settings import Settings
from tests.support.books import Books, applied, assert_clean, held
from tests.support.client import Client
from tests.support.messages import customer, order, seller, update
from tests.support.workers import working

ACCOUNTS, ORDERS, UPDATES = 10, 150, 30


async def test_versions_rise_with_numbers(settings: Settings, client: Client, database: Books) -> None:
    """No update is lost, whoever applies it, and a later number never names an earlier version."""
    messages = [order(f"O-{n}", f"BA-{n % ACCOUNTS}") for n in range(ORDERS)]
    messages += [seller(name=f"Seller {n}") for n in range(UPDATES)]
    messages += [update(f"BA-{n % ACCOUNTS}", {"legalEntity": {"name": f"Buyer {n}"}}) for n in range(UPDATES)]
    random.Random(1).shuffle(messages)
    accounts = [customer(f"BA-{n}") for n in range(ACCOUNTS)]
    await client.declare(single_active_consumer=False)
    await client.send_all([*accounts, *messages])
    async with AsyncExitStack() as stack:
        # A prefetch below the number of messages, so that each gets a part of every kind.
        changes: dict[str, Any] = {"single_active_consumer": False, "prefetch": 10}
        for _ in range(3):
            await stack.enter_async_context(working(settings, **changes))
        await applied(database, len(accounts) + len(messages))
    assert held(database) == {}
    versions = [row["version"] for row in database["sellerVersions"].find().sort("version", 1)]
    assert versions == list(range(1, UPDATES + 1))
    assert (database["seller"].find_one() or {})["version"] == UPDATES
    named = [row.get("sellerVersion", 0) for row in database["invoices"].find().sort("_id", 1)]
    assert named == sorted(named)
    assert len(set(named)) > 2, "they were applied one kind after the other"
    await assert_clean(client, database)
    assert client.counted()["seller.changed"] == UPDATES
