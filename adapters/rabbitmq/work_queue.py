"""The work queue: its deliveries, and their acknowledgement.

It is read with aio-pika rather than through FastStream: a batch is acknowledged with one `multiple` frame, and in an
outage the consumer is cancelled at once. FastStream keeps the life cycle and the dead letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog
from aiormq.abc import DeliveredMessage

from adapters.rabbitmq.connection import (
    ANSWER_SECONDS,
    CONNECTION_ERRORS,
    close_connection,
    connect_as,
    naming_losses,
)
from adapters.rabbitmq.frames import Deliver
from adapters.rabbitmq.receiving import ReceivingConnection
from adapters.rabbitmq.topology import WORK, declare_topology
from adapters.records import Properties

log = structlog.get_logger()

SET_UP_SECONDS = 30
"""How long it may take until a connection consumes: the topology is declared before."""


class Delivery:
    """A message of the work queue, until it is settled; settling twice, or after its channel is gone, does nothing."""

    __slots__ = ("_settle", "_tag", "body", "properties", "redelivered", "routing_key")

    def __init__(
        self,
        routing_key: str,
        body: bytes,
        properties: Properties,
        tag: int,
        settle: Callable[[int], None],
        *,
        redelivered: bool,
    ) -> None:
        self.routing_key = routing_key
        self.body = body
        self.properties = properties
        self.redelivered = redelivered
        self._tag = tag
        self._settle = settle

    def settle(self) -> None:
        """Acknowledge it: its effect, or its place among what is held, is committed."""
        self._settle(self._tag)


class Acknowledger:
    """Acknowledges the deliveries of one channel, many with one frame: always the longest settled run."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._settled: set[int] = set()
        self.acknowledged = 0
        self._flush: asyncio.Task[None] | None = None

    def settle(self, tag: int) -> None:
        """Note that a delivery may be acknowledged; what is settled in one go is acknowledged in one frame."""
        if tag > self.acknowledged:
            self._settled.add(tag)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        while True:
            last = self.acknowledged
            while last + 1 in self._settled:
                last += 1
                self._settled.remove(last)
            if last == self.acknowledged:
                return
            self.acknowledged = last
            # What could not be acknowledged comes again, and has no second effect.
            with suppress(*CONNECTION_ERRORS), naming_losses():
                await self._channel.basic_ack(last, multiple=True)

    async def flushed(self) -> None:
        """Wait until all that was settled is acknowledged."""
        while self._flush is not None and not self._flush.done():
            await self._flush


class WorkQueue:
    """The consumer of the work queue: reconnects by itself, hands each delivery over, stops without losing one."""

    def __init__(
        self,
        url: str,
        *,
        prefetch: int,
        single_active_consumer: bool,
        deliver: Callable[[Delivery], None],
        gives_way: Callable[[], bool] = lambda: False,
        full: Callable[[], bool] = lambda: False,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._url = url
        self._on_turn = on_turn
        self._prefetch = prefetch
        self._single_active_consumer = single_active_consumer
        self._deliver = deliver
        self._gives_way = gives_way
        self._full = full
        self._stopping = asyncio.Event()
        self._paused = asyncio.Event()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._acknowledger: Acknowledger | None = None
        self._cancel: Callable[[], Awaitable[Any]] | None = None
        self._connection: ReceivingConnection | None = None
        self.on_consuming: Callable[[], None] = lambda: None
        """Called when it has come to the queue."""
        self.consuming = False
        self.behind = False
        """Whether another one was given the messages when it came."""
        self.consumption: str | None = None
        """Names its stay at the queue, while it consumes."""
        self.taken = 0
        """The number of the last message that it was given in this stay; they are counted from 1."""
        self.has_turn = False
        """Whether the broker has given it a message, as it does to one worker at a time (unless all apply)."""

    @property
    def acknowledged(self) -> int:
        """The number of the message up to which all that it was given in this stay is acknowledged."""
        return 0 if self._acknowledger is None else self._acknowledger.acknowledged

    async def run(self) -> None:
        """Consume until `stop`, over any number of lost connections."""
        while not self._stopping.is_set():
            try:
                await first_of(self._resumed.wait(), self._stopping.wait())
                with naming_losses():
                    await self._consume()
            except Exception as error:  # noqa: BLE001  # whatever a broken connection raises, it is made anew
                log.warning("work queue lost", error=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 0.5)

    async def _consume(self) -> None:
        connection = await self._connected()
        if connection is None:
            return
        try:
            await self._consume_on(connection)
        finally:
            if not self._stopping.is_set():  # `stop` still needs the channel
                await close_connection(connection)

    async def _consume_on(self, connection: ReceivingConnection) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        async with asyncio.timeout(SET_UP_SECONDS):
            channel = await connection.channel(publisher_confirms=False)
            channel.close_callbacks.add(lambda *_: lost.set())
            consumers = await declare_topology(channel, single_active_consumer=self._single_active_consumer)
            await channel.set_qos(prefetch_count=self._prefetch)
        under = await channel.get_underlay_channel()
        under.on_consumer_cancel_callbacks.add(lambda *_: lost.set())
        acknowledger = self._acknowledger = Acknowledger(under)
        self.taken = 0

        def take(deliver: Deliver, properties: Properties, body: bytes) -> None:
            try:
                self.taken = deliver.tag
                if not self.has_turn:
                    self.has_turn = True
                    self._on_turn()
                self._deliver(
                    Delivery(
                        deliver.routing_key,
                        body,
                        properties,
                        deliver.tag,
                        acknowledger.settle,
                        redelivered=deliver.redelivered,
                    )
                )
            except Exception as error:  # noqa: BLE001  # left unsettled it would hold up every later acknowledgement
                log.error("delivery not taken", error=type(error).__name__)  # noqa: TRY400
                lost.set()

        connection.take(under.number, take, self._gives_way, self._full)

        async def nothing(_message: DeliveredMessage) -> None:
            """What aiormq's consumer is called with: nothing, all is taken before."""

        if self._stopping.is_set():
            return
        tag = (await under.basic_consume(WORK, nothing, timeout=ANSWER_SECONDS)).consumer_tag or ""
        self._cancel = lambda: under.basic_cancel(tag, timeout=ANSWER_SECONDS)
        self.behind = consumers > 0
        self.consumption = uuid4().hex
        self.consuming = True
        log.info("consuming", queue=WORK, behind_another=self.behind)
        self.on_consuming()
        try:
            await first_of(lost.wait(), self._stopping.wait(), self._paused.wait())
        finally:
            self.consuming = self.has_turn = False
            self.consumption = None
        if self._paused.is_set():
            connection.leave()
            await self._cancel()
        elif not self._stopping.is_set():
            log.warning("work queue lost", error="connection or consumer closed")

    async def _connected(self) -> ReceivingConnection | None:
        connecting = asyncio.create_task(connect_as(self._url, "paymaster work", ReceivingConnection))
        await first_of(connecting, self._stopping.wait())
        if not connecting.done():
            connecting.cancel()
            return None
        connection = self._connection = await connecting
        return connection

    def pause(self) -> None:
        """Take nothing until `resume`: what was taken and is not acknowledged goes back to the queue, once."""
        self._resumed.clear()
        self._paused.set()

    def resume(self) -> None:
        """Take messages again."""
        self._paused.clear()
        self._resumed.set()

    async def stop(self) -> None:
        """Take no more; what was taken can still be settled."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.leave()
        if self._cancel is not None:
            with suppress(*CONNECTION_ERRORS), naming_losses():
                await self._cancel()

    async def close(self) -> None:
        """Acknowledge what is settled and leave."""
        if self._acknowledger is not None:
            await self._acknowledger.flushed()
        if self._connection is not None:
            await close_connection(self._connection)


async def first_of(*waits: Awaitable[Any]) -> None:
    """Wait until one of these is done; the others are cancelled, but for those that were tasks already."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, wait in zip(tasks, waits, strict=True):
        if task is not wait:
            task.cancel()
