"""A look at the broker: whether it answers, and how many messages its queues hold. It changes nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from adapters.rabbitmq.connection import CONNECTION_ERRORS, close_connection, naming_losses, open_connection
from adapters.rabbitmq.topology import ASK, DEAD, QUERIES, RESERVED, WORK, declare_topology

LOOKED_AT = (WORK, DEAD, QUERIES)
CLOSE_SECONDS = 0.5
"""How long letting go of the connection may take."""


@dataclass(frozen=True, slots=True)
class QueueLook:
    """A queue: how many messages are ready in it (not those that a worker has), and how many consumers get them.

    Of a single active consumer's queue only that one is counted. A queue that is not there has None for both.
    """

    name: str
    messages: int | None
    consumers: int | None


class BrokerLook:
    """Looks again and again, on a connection of its own."""

    def __init__(self, url: str, name: str = "paymaster watch") -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self.version: str | None = None

    async def look(self, seconds: float) -> list[QueueLook]:
        """The queues as they are; raises one of `CONNECTION_ERRORS`, at the latest after so many seconds."""
        try:
            with naming_losses():
                async with asyncio.timeout(seconds):
                    return [await self.look_at(name) for name in LOOKED_AT]
        except BaseException:
            await self.close()
            raise

    async def look_at(self, name: str) -> QueueLook:
        """One queue; raises one of `CONNECTION_ERRORS`."""
        channel = await self.channel()
        try:
            queue = await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            self._channel = None
            return QueueLook(name, None, None)
        found = queue.declaration_result
        return QueueLook(name, found.message_count or 0, found.consumer_count or 0)

    async def has_exchange(self, name: str) -> bool:
        """Whether there is an exchange; raises one of `CONNECTION_ERRORS`."""
        channel = await self.channel()
        try:
            await channel.get_exchange(name)
        except ChannelNotFoundEntity:
            self._channel = None
            return False
        return True

    async def channel(self) -> AbstractChannel:
        """A channel, connecting once if need be: it is not tried again."""
        if self._connection is None:
            self._connection = await open_connection(self._url, self._name, aio_pika.Connection, None)
            self.version = _version(self._connection)
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel(publisher_confirms=False)
        return self._channel

    async def confirming(self) -> AbstractChannel:
        """Another channel, on which a publish raises what the broker says of it; raises one of `CONNECTION_ERRORS`."""
        await self.channel()
        assert self._connection is not None, "channel connects"
        return await self._connection.channel(publisher_confirms=True)

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            # Nothing of ours is under way on it, so one that does not answer is not waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await close_connection(connection)


def _version(connection: AbstractConnection) -> str | None:
    transport = connection.transport
    properties = getattr(transport.connection, "server_properties", None) if transport else None
    version = (properties or {}).get("version")
    return version.decode(errors="replace") if isinstance(version, bytes) else version


LOOK_ERRORS = CONNECTION_ERRORS


async def try_rights(look: BrokerLook) -> None:
    """Declare a queue of our own, write to it, read it and let go of it; raises `ChannelAccessRefused`, in the end."""
    with naming_losses():
        channel = await look.confirming()
        queue = await channel.declare_queue(f"{RESERVED}check-{uuid4().hex}", exclusive=True, auto_delete=True)
        await channel.default_exchange.publish(aio_pika.Message(b""), queue.name, mandatory=False)
        await queue.get(no_ack=True, fail=False)
        await queue.delete(if_unused=False, if_empty=False)


async def try_topology(look: BrokerLook, *, single_active_consumer: bool) -> bool:
    """Whether all queues are there, and the exchange of queries; none is made.

    Raises `ChannelPreconditionFailed` when one has other arguments.
    """
    with naming_losses():
        if any(queue.messages is None for queue in [await look.look_at(name) for name in LOOKED_AT]):
            return False
        if not await look.has_exchange(ASK):
            return False
        # What is there already, and is the same, is not changed by it.
        await declare_topology(await look.channel(), single_active_consumer=single_active_consumer)
        return True
