"""Asking: a command of ours sends a message as any other client does, and waits for its outcome."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from adapters.rabbitmq.connection import connect, naming_losses
from adapters.rabbitmq.topology import IN


async def ask(
    url: str, name: str, routing_key: str, body: dict[str, Any], *, connect_seconds: float, seconds: float
) -> dict[str, Any] | None:
    """Publish a message and return the reply to it; None when there is none within so many seconds.

    The message is in the work queue then all the same. `name` is the connection's. Raises one of `CONNECTION_ERRORS`,
    also when no queue is bound for it.
    """
    connection = await connect(url, name, give_up_after_seconds=connect_seconds)
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(message: AbstractIncomingMessage) -> None:
        if not answered.done():
            answered.set_result(message.body)

    with naming_losses():
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            replies = await channel.declare_queue(exclusive=True)
            await replies.consume(answer, no_ack=True)
            exchange = await channel.get_exchange(IN)
            message = aio_pika.Message(
                json.dumps(body).encode(),
                content_type="application/json",
                message_id=uuid4().hex,
                correlation_id=uuid4().hex,
                reply_to=replies.name,
                app_id="paymaster",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, routing_key, mandatory=True, timeout=connect_seconds)
            try:
                async with asyncio.timeout(seconds):
                    found: dict[str, Any] = json.loads(await answered)
            except TimeoutError:
                return None
    return found
