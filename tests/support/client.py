"""A client of the worker: it publishes with confirms, asks for outcomes, and sees every event."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from adapters.rabbitmq.topology import DEAD, WORK, declare_topology
from tests.support.messages import Message
from tests.support.waiting import SECONDS_MAX, wait_for

IN_FLIGHT = 500


@dataclass(frozen=True)
class Event:
    """An event as it came out."""

    type: str
    message_id: str
    content: dict[str, Any]
    message: AbstractIncomingMessage

    @property
    def event(self) -> dict[str, Any]:
        """What happened."""
        found: dict[str, Any] = self.content["event"]
        return found


@dataclass
class Client:
    """What `Client.connected` gives: `events` holds every event in the order of its arrival, `answers` every reply."""

    channel: AbstractChannel
    into: AbstractExchange
    user_id: str | None = None
    """What its messages say of who sent them."""
    replies_to: str = ""
    events: list[Event] = field(default_factory=list)
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @staticmethod
    @asynccontextmanager
    async def connected(url: str, user_id: str | None = None, *, hears: bool = True) -> AsyncIterator[Client]:
        """A client whose queue is bound to all events from now on; `user_id` is what it says of itself, if anything.

        If it does not hear them, the broker keeps the last one alone: millions are more than a test has room for.
        """
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            into = await channel.declare_exchange("paymaster.in", "topic", durable=True)
            out = await channel.declare_exchange("paymaster.out", "topic", durable=True)
            client = Client(channel, into, user_id)
            ears = await connection.channel()
            events = await ears.declare_queue(exclusive=True, arguments={} if hears else {"x-max-length": 1})
            await events.bind(out, "#")
            if hears:
                await events.consume(client._on_event, no_ack=True)
            replies = await ears.declare_queue(exclusive=True)
            client.replies_to = replies.name
            await replies.consume(client._on_reply, no_ack=True)
            yield client

    async def _on_event(self, message: AbstractIncomingMessage) -> None:
        content = json.loads(message.body)
        self.events.append(Event(message.routing_key or "", message.message_id or "", content, message))

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        self.answers.append((message.correlation_id or "", json.loads(message.body)))

    async def declare(self, *, single_active_consumer: bool = True) -> None:
        """Declare what the worker would, so that messages can wait for it."""
        await declare_topology(self.channel, single_active_consumer=single_active_consumer)

    async def send(self, message: Message | tuple[str, Any], **properties: Any) -> str:
        """Publish a fact (a body of bytes goes as it is) and wait for the confirm; returns its message id."""
        routing_key, body = message
        told = {"message_id": uuid4().hex, "content_type": "application/json", "user_id": self.user_id}
        properties = {**told, **properties}
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.into.publish(aio_pika.Message(encoded, **properties), routing_key, mandatory=True, timeout=60)
        return str(properties["message_id"])

    async def send_all(self, messages: Iterable[Message | tuple[str, Any]]) -> None:
        """Publish many facts, each confirmed, in order."""
        left = list(messages)
        while left:
            await asyncio.gather(*map(self.send, left[:IN_FLIGHT]))
            del left[:IN_FLIGHT]

    async def ask(self, message: Message | tuple[str, Any], **properties: Any) -> dict[str, Any]:
        """Publish a fact and wait for its outcome."""
        return await self.answer(await self.send_asking(message, **properties))

    async def send_asking(self, message: Message | tuple[str, Any], **properties: Any) -> str:
        """Publish a fact whose outcome is wanted; returns the correlation id for `answer`."""
        correlation_id = str(properties.pop("correlation_id", uuid4().hex))
        await self.send(message, reply_to=self.replies_to, correlation_id=correlation_id, **properties)
        return correlation_id

    async def answer(self, correlation_id: str, seconds: float = SECONDS_MAX) -> dict[str, Any]:
        """Wait for the outcome that a correlation id belongs to."""

        def come() -> list[dict[str, Any]]:
            return [answer for to, answer in self.answers if to == correlation_id]

        answers: list[dict[str, Any]] = await wait_for(come, seconds, f"no reply to {correlation_id}")
        return answers[0]

    async def answers_to(self, correlation_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Wait for many outcomes."""
        return [await self.answer(one) for one in correlation_ids]

    def seen(self, *types: str) -> list[Event]:
        """The events of these types (all, if none is named), each once, in the order of their first arrival."""
        once: dict[str, Event] = {}
        for event in self.events:
            if not types or event.type in types:
                once.setdefault(event.message_id, event)
        return list(once.values())

    def counted(self) -> Counter[str]:
        """How many different events of each type were seen."""
        return Counter(event.type for event in self.seen())

    async def event(self, message_id: str) -> Event:
        """Wait for the event of a message id."""

        def come() -> Event | None:
            return next((event for event in self.events if event.message_id == message_id), None)

        def otherwise() -> str:
            return f"no event {message_id} among {[event.message_id for event in self.events]}"

        found: Event = await wait_for(come, otherwise=otherwise)
        return found

    async def left_in(self, queue: str = WORK) -> int:
        """How many messages are ready in a queue; those that a consumer holds are not counted."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def all_taken(self) -> None:
        """Wait until a worker has taken all that is in the work queue, what a dead one gave back too."""

        async def none() -> bool:
            return await self.left_in() == 0

        await wait_for(none)

    async def assert_drained(self) -> None:
        """Nothing is left in the queues that the workers read; to be called when no worker runs."""
        assert await self.left_in(WORK) == 0
        assert await self.left_in(DEAD) == 0
