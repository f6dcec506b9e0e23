"""A worker dies over orders and bills of several sellers: all their invoices are made, or none is, and once."""

from __future__ import annotations

import pytest

from adapters.settings import Settings
from tests.chaos.crashes import POINTS
from tests.chaos.test_crash_points import all_is_well, die_at
from tests.conftest import ON_BOTH
from tests.support.books import Books, applied, facts, held, ledger, position
from tests.support.client import Client
from tests.support.messages import Message, agent_of, charge, customer, demand, item, order, payment
from tests.support.waiting import wait_for
from tests.support.workers import working

ORDERS, BILLS = 16, 6
ACCOUNTS = ("BA-0", "BA-1", "BA-late")
EFFECTS = 2 + 3 + 2 * ORDERS + 4 * BILLS
DIED_AT = tuple(POINTS) if ON_BOTH else ("after-first-write", "held-before-commit")
"""At length with both drivers; else within the transaction of what was sent, and of what has waited."""


def business() -> list[Message]:
    """Orders and bills of ours and of two partners, paid, every fifth twice; a third waits for an account."""
    found = [agent_of("SA-1"), agent_of("SA-2", "payment", series="FN."), *map(customer, ACCOUNTS[:2])]
    for n in range(ORDERS):
        account = ACCOUNTS[n % 3]
        lines = item(1, 2, sold_for="SA-2"), item(2, 9), item(3, 1, sold_for="SA-1")
        found += [order(f"O-{n}", account, *lines), payment(f"P-{n}", account, "14.40")]
    for n in range(BILLS):
        account = ACCOUNTS[n % 2]
        sold = charge(f"C-{n}", account, 10), charge(f"CA-{n}", account, 5, sold_for="SA-1")
        found += [*sold, demand(f"D-{n}", account), payment(f"P-bill-{n}", account, 18)]
    return [*found, *found[::5], customer("BA-late")]


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("point", DIED_AT)
async def test_a_worker_that_dies_over_several_sellers_costs_nothing(
    settings: Settings, client: Client, database: Books, point: str
) -> None:
    """A fresh one makes what is missing: each seller's numbers have no gap, and all is paid."""
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    await client.declare()
    await client.send_all(business())
    await die_at(point, settings, database)
    assert facts(database) < EFFECTS or point == "held-after-commit"
    assert database["invoices"].count_documents({"orderId": {"$gt": ""}}) % 3 == 0, "an order is invoiced in part"
    async with working(settings):
        await applied(database, EFFECTS)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
    assert not any(position(database, account) for account in ACCOUNTS)
    assert position(database, "SA-1") == {"payable": 120 * ORDERS + 600 * BILLS}
    assert position(database, "SA-2") == {"payable": 240 * ORDERS}
    sums = {name: amount for name, amount in ledger(database).items() if ":" not in name}
    net = 900 * ORDERS + 1000 * BILLS
    assert sums == {"cash": 1440 * ORDERS + 1800 * BILLS, "revenue": -net, "tax": -net // 5}
    last = {row["_id"]: row["last"] for row in database["series"].find({"last": {"$gt": 0}})}
    assert last == {"INV-": ORDERS + BILLS, "SA-1-": ORDERS + BILLS, "FN.": ORDERS}
    await all_is_well(point, EFFECTS, client, database)
