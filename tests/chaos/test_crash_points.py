"""A worker dies at each point that matters, and the next one goes on: every effect once, every event told."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess

import pytest
from pymongo import MongoClient

from adapters.settings import Settings
from tests.chaos import crashes
from tests.chaos.crashes import DIED, POINTS
from tests.support.books import (
    Books,
    Document,
    applied,
    assert_clean,
    held,
    ledger,
    position,
    stands_still,
    unsent,
)
from tests.support.client import Client
from tests.support.messages import Message, charge, credit_note, customer, demand, item, order, partner, payment
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for
from tests.support.workers import working

FACTS = 64

NTH = {"after-receive": 20, "after-commit": 2, "before-confirm": 20, "after-first-write": 2}
"""The pass of a point that is the last one: where it is not the first, something was done before it."""

# The parts are imported once, and each worker begins as a copy of that process.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([crashes.__name__])


def business() -> list[Message]:
    """Orders and payments in pairs, every tenth message twice; a quarter of them wait for an account, opened last.

    Some invoices are credited, some of them twice by the same note. Some charges are billed on demand, and paid.
    """
    accounts = ("BA-0", "BA-1", "BA-2", "BA-late")
    facts = [
        order(f"O-{n}", accounts[n // 2 % 4], item(1, 9), item(2, 1, sold_for="SA-0"))
        if n % 2
        else payment(f"P-{n}", accounts[n // 2 % 4], "12.00")
        for n in range(FACTS)
    ]
    opened = [partner("SA-0"), *map(customer, accounts[:3])]
    notes = [credit_note(f"N-{n}", f"INV-{n * 3:09d}") for n in range(1, NOTES + 1)]
    bills: list[Message] = []
    for n in range(BILLS):
        account = accounts[n % 3]
        bills += [charge(f"C-{n}", account, 10), demand(f"D-{n}", account), payment(f"P-bill-{n}", account, "12.00")]
    return [*opened, *facts, *facts[::10], *notes, *notes[::4], *bills, *bills[::4], customer("BA-late")]


NOTES = 8
BILLS = 6
EFFECTS = FACTS + 5 + NOTES + 3 * BILLS


@contextmanager
def doomed(point: str, settings: Settings) -> Iterator[ForkServerProcess]:
    """A worker that will die at the point."""
    settings = settings.model_copy(update={"prefetch": 16})
    process = forks.Process(target=crashes.run_doomed, args=(point, NTH.get(point, 1), settings))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_that_dies_at_a_point_costs_nothing(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document], point: str
) -> None:
    """The worker dies where it was to die, and leaves what it has to; a fresh one brings the books to what is due."""
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    await client.declare()
    await client.send_all(business())
    async with Proxy.between(settings.mongodb_url) as network:
        with doomed(point, settings.model_copy(update={"mongodb_url": network.url})) as dying:
            if "shutdown" in point:
                await stands_still(network, database, 1, lambda: f"exit code {dying.exitcode}")
                dying.terminate()
                await network.heal()
            await wait_for(lambda: dying.exitcode is not None)
            assert dying.exitcode == DIED
    before = database["inbox"].count_documents({})
    if point in ("after-commit", "before-confirm", "before-mark"):
        assert unsent(database) > 0
    if point.startswith("held"):
        assert ("late" in str(held(database, "waiting"))) is (point != "held-after-commit")
    assert before < EFFECTS or point == "held-after-commit"

    async with working(settings):
        await applied(database, EFFECTS)
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
    assert database["inbox"].count_documents({}) == EFFECTS
    # Whose invoices are credited is told by their numbers, which follow the order in which orders were applied.
    left = [position(database, account) for account in ("BA-0", "BA-1", "BA-2", "BA-late")]
    assert sum(balances.pop("unapplied", 0) for balances in left) == 1200 * NOTES
    assert not any(left)
    assert position(database, "SA-0") == {"payable": 80 * (FACTS // 2 - NOTES)}
    assert ledger(database)["cash"] == 1200 * (FACTS // 2 + BILLS)
    assert client.counted()["message.parked"] == 0
    if point in ("before-confirm", "before-mark"):
        # The broker had them, and nobody knew.
        await wait_for(lambda: len(client.events) > len(client.seen()))
    await assert_clean(client, database)
