"""The process of aio-pika without a database: `python -m bench.aio_pika_only`, until SIGTERM."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from pydantic_core import to_json

from bench.aio_pika_only import IN, IN_FLIGHT, OUT, QUEUE
from bench.plain.order import Order

ISSUED = "invoice.issued"


async def complete(message: AbstractIncomingMessage, out: AbstractExchange) -> None:
    """Publish an order's event and acknowledge the order after the event's confirm; else it is delivered again."""
    async with message.process(requeue=True):
        order = Order.model_validate_json(message.body)
        now = datetime.now(UTC)
        event_id = f"{order.order_id}:issued"
        correlation_id = message.correlation_id or str(uuid4())
        body = {
            "eventId": event_id,
            "eventType": ISSUED,
            "eventTime": now,
            "correlationId": correlation_id,
            "event": {"order": order},
        }
        event = aio_pika.Message(
            to_json(body),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event_id,
            type=ISSUED,
            correlation_id=correlation_id,
            content_type="application/json",
            timestamp=now,
            app_id="aio-pika-only",
            headers={"causation-id": order.identity, "account-id": order.billing_account.id, "schema-version": 1},
        )
        await out.publish(event, routing_key=ISSUED)


async def main() -> None:
    """Consume until SIGTERM, then finish what has begun."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    under_way: set[asyncio.Task[None]] = set()
    async with await aio_pika.connect_robust(os.environ["PAYMASTER_RABBITMQ_URL"]) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=IN_FLIGHT)
        into = await channel.declare_exchange(IN, aio_pika.ExchangeType.TOPIC, durable=True)
        out = await channel.declare_exchange(OUT, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(into, "#")

        async def take(message: AbstractIncomingMessage) -> None:
            # aio-pika runs this as a task of its own for each message.
            task = asyncio.current_task()
            assert task is not None
            under_way.add(task)
            try:
                await complete(message, out)
            finally:
                under_way.discard(task)

        tag = await queue.consume(take)
        await stopped.wait()
        await queue.cancel(tag)
        await asyncio.gather(*under_way, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
