"""The process of FastStream without a database: `python -m bench.faststream_only`, until SIGTERM.

With `--no-injection` its handler is called with the decoded body, and nothing is injected by annotations.
"""

import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.schemas.queue import QueueType
from pydantic_core import to_json

from bench.faststream_only import IN, IN_FLIGHT, OUT, QUEUE
from bench.plain.order import Order

ISSUED = "invoice.issued"
INJECTION = "--no-injection" not in sys.argv

# At debug level FastStream says nothing of each message, but says what goes wrong.
broker = RabbitBroker(
    os.environ["PAYMASTER_RABBITMQ_URL"],
    default_channel=Channel(prefetch_count=IN_FLIGHT),
    log_level=logging.DEBUG,
    app_id="faststream-only",
    apply_types=INJECTION,
)
into = RabbitExchange(IN, type=ExchangeType.TOPIC, durable=True)
queue = RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True, routing_key="#")
out = RabbitExchange(OUT, type=ExchangeType.TOPIC, durable=True)


async def complete(order: Order, message: RabbitMessage) -> None:
    """Publish an order's event; it is acknowledged when this returns: after the event's confirm."""
    await publish(order, message.correlation_id)


async def complete_without_injection(decoded: dict[str, Any]) -> None:
    """Likewise."""
    message: RabbitMessage = broker.context.get_local("message")
    await publish(Order.model_validate(decoded), message.correlation_id)


async def publish(order: Order, correlation_id: str) -> None:
    """Publish an order's event, persistent, and wait for the broker's confirm."""
    now = datetime.now(UTC)
    event_id = f"{order.order_id}:issued"
    body = {
        "eventId": event_id,
        "eventType": ISSUED,
        "eventTime": now,
        "correlationId": correlation_id,
        "event": {"order": order},
    }
    await broker.publish(
        to_json(body),
        exchange=out,
        routing_key=ISSUED,
        persist=True,
        message_id=event_id,
        message_type=ISSUED,
        correlation_id=correlation_id,
        content_type="application/json",
        timestamp=now,
        headers={"causation-id": order.identity, "account-id": order.billing_account.id, "schema-version": 1},
    )


subscriber = broker.subscriber(queue, into, ack_policy=AckPolicy.NACK_ON_ERROR)
subscriber(complete if INJECTION else complete_without_injection)

if __name__ == "__main__":
    uvloop.run(FastStream(broker, logger=None).run())
