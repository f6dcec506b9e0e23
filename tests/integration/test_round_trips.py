"""What a batch costs in commands to MongoDB and in frames to RabbitMQ: the same for many facts as for one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import aiormq
import pytest
from aiormq.abc import ChannelFrame
from pymongo import monitoring

from adapters.rabbitmq import publishing
from adapters.settings import Settings
from handlers.engine.group_commit import GroupCommit
from handlers.engine.work import WorkItem
from tests.support.books import Books, applied, assert_clean
from tests.support.client import Client
from tests.support.messages import customer, item, order, partner, payment
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"])

ACCOUNTS = 20


def orders(first: int, count: int) -> list[dict[str, Any]]:
    """Orders of four lines, two of them on behalf of a partner."""
    lines = [item(n, "10.00", sold_for="SA-1" if n % 2 else None) for n in range(4)]
    return [order(f"O-{n}", f"BA-{n % ACCOUNTS}", *lines)[1] for n in range(first, first + count)]


class Listener(monitoring.CommandListener):
    """Counts the commands that write, and those of transactions, by name and collection.

    What a worker says of itself in `workers` is none of a batch's: it comes by the clock.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.unordered: set[str] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command goes out."""
        of = str(event.command[event.command_name])
        if "txnNumber" in event.command and of != "workers":
            self.counts[event.command_name, of] += 1
            if not event.command.get("ordered", True):
                self.unordered.add(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """It was answered."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It was not."""

    def taken(self) -> Counter[tuple[str, str]]:
        """What was counted since this was last asked."""
        counts, self.counts = self.counts, Counter()
        return counts


async def test_commands_of_a_batch(settings: Settings, client: Client, database: Books) -> None:
    """One read for each collection that is looked at and one write for each that changes, however many the facts.

    What a fact alone looks at is one read.
    """
    listener = Listener()
    monitoring.register(listener)
    async with working(settings, held_interval_seconds=600):
        await client.ask(partner("SA-1"))
        for n in range(ACCOUNTS):
            await client.ask(customer(f"BA-{n}"))
        done = ACCOUNTS + 1
        await applied(database, done)
        listener.taken()
        costs: list[Counter[tuple[str, str]]] = []
        paid = [payment(f"P-{n}", f"BA-{n % ACCOUNTS}", "24.00")[1] for n in range(200)]
        for message, facts in (
            ("order.completed", orders(0, 1)),
            ("order.completed", orders(50, 2)),
            ("order.completed", orders(100, 200)),
            ("payment.received", paid),
        ):
            await client.send((message, facts))
            done += len(facts)
            await applied(database, done)
            costs.append(listener.taken())
    alone, one, many, payments = costs
    assert not listener.unordered, "of an unordered write the driver raises what came after the first error"
    assert one[("commitTransaction", "1")] == 1
    assert many == one, "a batch of 200 orders takes as many commands as one of two"
    # The series, and its first number, are made by the first order.
    alone[("update", "series")] = alone.pop(("insert", "series"))
    assert alone.pop(("aggregate", "1")) == 1
    assert alone == Counter({command: n for command, n in one.items() if command[0] != "find"})
    written = {name for command, name in one if command in ("insert", "update")}
    assert written == {"invoices", "positions", "entries", "accruals", "series", "inbox", "outbox"}
    assert max(one.values()) == 1, one
    # The open invoices of all accounts are one read, and there are payments and allocations instead of accruals.
    assert payments[("commitTransaction", "1")] == 1
    assert sum(payments.values()) <= sum(one.values()) + 2, payments
    await assert_clean(client, database)


async def test_frames_of_many_messages(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One acknowledgement for each batch at most, and one write for all of its events."""
    counts: Counter[str] = Counter()
    acknowledge, frame, attempt = aiormq.Channel.basic_ack, ChannelFrame, GroupCommit._attempt

    async def counted_ack(*given: Any, **how: Any) -> None:
        counts["acks"] += 1
        await acknowledge(*given, **how)

    def counted_frame(**how: Any) -> Any:
        counts["writes"] += 1
        return frame(**how)

    async def counted_attempt(commit: GroupCommit, works: list[WorkItem]) -> Any:
        counts["batches"] += 1
        return await attempt(commit, works)

    monkeypatch.setattr(aiormq.Channel, "basic_ack", counted_ack)
    monkeypatch.setattr(publishing, "ChannelFrame", counted_frame)
    monkeypatch.setattr(GroupCommit, "_attempt", counted_attempt)
    await client.declare()
    await client.send_all([partner("SA-1"), *(customer(f"BA-{n}") for n in range(ACCOUNTS))])
    await client.send_all(("order.completed", body) for body in orders(0, 600))
    # No sweep, which on a slow machine sends again what is only just committed.
    async with working(settings, relay_interval_seconds=600):
        await applied(database, 600 + ACCOUNTS + 1)
    assert counts["acks"] <= counts["batches"]
    assert counts["writes"] <= counts["batches"] + 3, "more only where events do not fit one write"
    assert counts["batches"] < 30, counts
    await assert_clean(client, database)
