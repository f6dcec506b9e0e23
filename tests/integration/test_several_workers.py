"""Several workers that apply at once: every promise holds without a single active consumer."""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from adapters.settings import Settings
from tests.support.books import Books, applied, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import Message, customer, item, order, partner, payment
from tests.support.steady import AT_LENGTH
from tests.support.workers import working

ACCOUNTS = 10
ORDERS = PAYMENTS = 500 if AT_LENGTH else 150
"""So many of each: in `make prove`, and in `make test`."""


def day(lots: random.Random) -> tuple[list[Message], dict[str, int]]:
    """Facts on ten accounts, and what each account owes after them (negative: its credit), in cents."""
    owed: dict[str, int] = defaultdict(int)
    messages = []
    for n in range(ORDERS):
        account, euros = f"BA-{lots.randrange(ACCOUNTS)}", lots.randrange(1, 50)
        owed[account] += euros * 120
        lines = [item(1, euros - 1), item(2, 1, sold_for=f"SA-{n % 2}")] if euros > 1 else [item(1, euros)]
        messages.append(order(f"O-{n}", account, *lines))
    for n in range(PAYMENTS):
        account, cents = f"BA-{lots.randrange(ACCOUNTS)}", lots.randrange(1, 6000)
        owed[account] -= cents
        messages.append(payment(f"P-{n}", account, str(Decimal(cents) / 100)))
    lots.shuffle(messages)
    return messages, owed


async def test_three_workers_at_once(settings: Settings, client: Client, database: Books) -> None:
    """Messages on ten accounts, every fifth sent twice: each effect once, the books as worked out here."""
    messages, owed = day(random.Random(1))
    duplicates = messages[::5]
    setup = [*(customer(f"BA-{n}") for n in range(ACCOUNTS)), partner("SA-0"), partner("SA-1", accrue_on="payment")]
    await client.declare(single_active_consumer=False)
    await client.send_all([*messages[:200], *setup, *messages[200:], *duplicates])
    async with AsyncExitStack() as stack:
        # A prefetch below the number of messages, so that each gets a part of every account's.
        changes: dict[str, Any] = {"single_active_consumer": False, "prefetch": 50}
        workers = [await stack.enter_async_context(working(settings, **changes)) for _ in range(3)]
        await applied(database, len(messages) + len(setup))
        assert len(workers) == 3
    assert held(database) == {}
    assert database["inbox"].count_documents({}) == len(messages) + len(setup)
    for account, cents in owed.items():
        expected = {"receivable": cents} if cents > 0 else {"unapplied": -cents} if cents < 0 else {}
        assert position(database, account) == expected
    # What is sold for a partner is 1.00, of which it gets 0.80 and we 0.20.
    sold = [line for _, body in messages for line in body.get("items", []) if "onBehalfOf" in line]
    sums = ledger(database)
    assert sums["commission"] == -20 * len(sold)
    earned = position(database, "SA-0").get("payable", 0), position(database, "SA-1")
    assert earned[0] == 80 * sum(line["onBehalfOf"]["id"] == "SA-0" for line in sold)
    assert sum(earned[1].values()) == 80 * sum(line["onBehalfOf"]["id"] == "SA-1" for line in sold)
    assert sum(sums.values()) == 0
    await assert_clean(client, database)
    counted = client.counted()
    assert counted["invoice.issued"] == ORDERS
    assert counted["account.created"] == len(setup)
    assert counted["message.parked"] == 0
    # The invoices, as told, are numbered without a gap.
    told = sorted(event.event["invoice"]["billNo"] for event in client.seen("invoice.issued"))
    assert told == [f"INV-{n:09d}" for n in range(1, ORDERS + 1)]


@pytest.mark.parametrize("driver", ["motor"])
async def test_the_order_of_arrival_does_not_change_what_is_owed(
    settings: Settings, client: Client, database: Books
) -> None:
    """The same facts, shuffled otherwise, by one worker: the receivables and credit are the same."""
    messages, owed = day(random.Random(1))
    random.Random(2).shuffle(messages)
    setup = [*(customer(f"BA-{n}") for n in range(ACCOUNTS)), partner("SA-0"), partner("SA-1", accrue_on="payment")]
    async with working(settings):
        await client.send_all([*messages, *setup])
        await applied(database, len(messages) + len(setup))
    for account, cents in owed.items():
        expected = {"receivable": cents} if cents > 0 else {"unapplied": -cents} if cents < 0 else {}
        assert position(database, account) == expected
    await assert_clean(client, database)
