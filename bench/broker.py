"""What the benchmarks do at the broker: a backlog is put there, its first delivery noticed, the events counted.

All of it costs the machine next to nothing while a worker is measured: queues are asked for their length, and what is
in them is read only after the clock has stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.commands import Basic

IN_FLIGHT = 500
FIRST_POLL_SECONDS = 0.005
LAST_POLL_SECONDS = 0.02
STALL_SECONDS = 60
"""A worker that does nothing for as long is given up."""


class BenchError(Exception):
    """A round cannot be measured; the message says why."""


@dataclass(slots=True)
class Events:
    """What a worker published: how many of each type, how many bytes of bodies, and how many came more than once."""

    counts: Counter[str] = field(default_factory=Counter)
    body_bytes: int = 0
    twice: int = 0


Letter = tuple[str, bytes]
"""A routing key and a body."""


class Broker:
    """A connection to a virtual host."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self._connection = connection
        self.channel = channel

    async def fill(self, exchange: str, letters: Iterable[Letter]) -> int:
        """Publish messages, persistent and each confirmed; returns how many."""
        count = 0
        waits: list[asyncio.Task[object]] = []
        for count, (key, body) in enumerate(letters, 1):
            properties = Basic.Properties(content_type="application/json", delivery_mode=2, message_id=f"{key}:{count}")
            waits.append(
                asyncio.ensure_future(
                    self.channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)
                )
            )
            if len(waits) == IN_FLIGHT:
                await asyncio.gather(*waits)
                waits.clear()
        await asyncio.gather(*waits)
        return count

    async def collect(self, exchange: str, keep: int | None = None) -> str:
        """A new queue that gathers all events published to a topic exchange, or keeps the last; returns its name."""
        await self.channel.exchange_declare(exchange, exchange_type="topic", durable=True)
        arguments: dict[str, Any] = {} if keep is None else {"x-max-length": keep}
        queue = (await self.channel.queue_declare("", exclusive=True, arguments=arguments)).queue
        assert queue is not None
        await self.channel.queue_bind(queue, exchange, "#")
        return queue

    async def appears(self, queue: str, alive: Callable[[], None]) -> None:
        """Wait until somebody has declared a queue, and its bindings with it: until it has a consumer."""
        deadline = time.monotonic() + STALL_SECONDS
        while time.monotonic() < deadline:
            alive()
            # Asking for a queue that is not there costs the channel.
            channel = await self._connection.channel()
            try:
                if (await channel.queue_declare(queue, passive=True)).consumer_count:
                    return
            except ChannelNotFoundEntity:
                continue
            finally:
                await channel.close()
                await asyncio.sleep(LAST_POLL_SECONDS)
        raise BenchError(f"{queue} had no consumer in {STALL_SECONDS} s")

    async def length(self, queue: str) -> int:
        """How many messages are ready in a queue: those delivered and not yet acknowledged are not."""
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0

    async def first_delivery(self, queue: str, backlog: int, alive: Callable[[], None]) -> float:
        """Wait until a message of the backlog is delivered; returns the last time at which none was."""
        deadline = time.monotonic() + STALL_SECONDS
        while True:
            now = time.monotonic()
            if await self.length(queue) < backlog:
                return now
            alive()
            if now > deadline:
                raise BenchError(f"nothing was taken from {queue} in {STALL_SECONDS} s")
            await asyncio.sleep(FIRST_POLL_SECONDS)

    async def reaches(self, queue: str, length: int, alive: Callable[[], None]) -> float:
        """Wait until a queue that only grows is as long as that; returns the time at which it was seen to be."""
        last, deadline = -1, 0.0
        while True:
            now_there, now = await self.length(queue), time.monotonic()
            if now_there >= length:
                return now
            alive()
            if now_there > last:
                last, deadline = now_there, now + STALL_SECONDS
            elif now > deadline:
                raise BenchError(f"{last} of {length} events came, and then none in {STALL_SECONDS} s")
            await asyncio.sleep(LAST_POLL_SECONDS)

    @asynccontextmanager
    async def held(self, queue: str) -> AsyncIterator[None]:
        """Keep a queue's messages from everyone else, where it has a single active consumer: until the block ends.

        Its consumers can then start, and are ready, before the first of them gets anything. One message will have been
        delivered before.
        """

        async def keep(_message: DeliveredMessage) -> None:
            pass

        channel = await self._connection.channel()
        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume(queue, keep)
        try:
            yield
        finally:
            await channel.close()

    @asynccontextmanager
    async def watched(self, queue: str, take: Callable[[DeliveredMessage], None]) -> AsyncIterator[None]:
        """Have each message of a queue taken out and looked at as it comes, until the block ends."""

        async def on_message(message: DeliveredMessage) -> None:
            take(message)

        channel = await self._connection.channel()
        await channel.basic_consume(queue, on_message, no_ack=True)
        try:
            yield
        finally:
            await channel.close()

    async def read_all(self, queue: str) -> Events:
        """Take everything out of a queue of events."""
        left = await self.length(queue)
        events, ids, done = Events(), set[str | None](), asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            properties = message.header.properties
            events.counts[str(message.routing_key)] += 1
            events.body_bytes += len(message.body)
            events.twice += properties.message_id in ids
            ids.add(properties.message_id)
            if events.counts.total() >= left:
                done.set()

        if left:
            await self.channel.basic_consume(queue, take, no_ack=True)
            try:
                await asyncio.wait_for(done.wait(), STALL_SECONDS)
            except TimeoutError:
                raise BenchError(f"{left} events could not be read back in {STALL_SECONDS} s") from None
        return events


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Broker]:
    """A connection for as long as the block runs."""
    connection = await aiormq.connect(url)
    try:
        yield Broker(connection, await connection.channel())
    finally:
        await connection.close()
