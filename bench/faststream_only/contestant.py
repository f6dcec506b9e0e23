"""FastStream without a database as a contestant: one process, 32 messages in flight."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from bench.broker import Broker
from bench.faststream_only import IN, OUT, QUEUE
from bench.place import Place


class FastStreamOnly:
    """FastStream as its documentation shows it, pydantic, one event for each message; there are no books."""

    name = "FastStream only"
    into, queue, out = IN, QUEUE, OUT
    command: Sequence[str] = (sys.executable, "-m", "bench.faststream_only")
    keeps_books = False
    events_per_order = 1

    def missing(self) -> str | None:
        """Nothing: all that it needs is what Paymaster needs too."""
        return None

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Declare the queue as the worker does."""
        channel = broker.channel
        await channel.exchange_declare(IN, exchange_type="topic", durable=True)
        await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(QUEUE, IN, "#")

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Nothing: it keeps nothing."""
        return {}


class FastStreamWithoutInjection(FastStreamOnly):
    """The same with nothing injected into its handler by annotations, which is faster and less usual."""

    name = "FastStream only, no injection"
    command: Sequence[str] = (*FastStreamOnly.command, "--no-injection")
