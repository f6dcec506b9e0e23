"""What the other examples share: messages to the worker that are answered, and queries."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

SECONDS = 30


class Conversation:
    """Messages with a `reply_to`, and the answers to them, told apart by their `correlation_id`."""

    def __init__(self, channel: AbstractChannel, answers: AbstractQueue) -> None:
        self._channel = channel
        self._answers = answers

    @staticmethod
    @asynccontextmanager
    async def opened() -> AsyncIterator["Conversation"]:
        """A conversation with the worker on the broker of `PAYMASTER_RABBITMQ_URL`."""
        connection = await aio_pika.connect(os.environ["PAYMASTER_RABBITMQ_URL"])
        async with connection, connection.channel() as channel:
            yield Conversation(channel, await channel.declare_queue(exclusive=True))

    async def say(self, routing_key: str, body: Any) -> Any:
        """Send a message to the worker; returns its outcome, once that is committed."""
        return await self._ask("paymaster.in", routing_key, body)

    async def query(self, name: str, **arguments: Any) -> Any:
        """The answer to a query: `result`, or `error` with `code` and `detail`."""
        return await self._ask("paymaster.ask", name, arguments)

    async def _ask(self, exchange: str, routing_key: str, body: Any) -> Any:
        message = aio_pika.Message(
            json.dumps(body).encode(),
            content_type="application/json",
            message_id=str(uuid.uuid4()),
            correlation_id=str(uuid.uuid4()),
            reply_to=self._answers.name,
        )
        await (await self._channel.get_exchange(exchange)).publish(message, routing_key)
        async with asyncio.timeout(SECONDS), self._answers.iterator() as arriving:
            async for answer in arriving:
                async with answer.process():
                    if answer.correlation_id == message.correlation_id:
                        return json.loads(answer.body)
        raise ConnectionError("the broker went away")
