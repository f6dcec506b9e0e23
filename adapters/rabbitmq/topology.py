"""The exchanges and queues, and how they are declared."""

from __future__ import annotations

from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

IN = "paymaster.in"
OUT = "paymaster.out"
WORK = "paymaster.work"
DEAD = "paymaster.dead"
QUERIES = "paymaster.queries"
ASK = "paymaster.ask"
RESERVED = "paymaster."
"""No reply goes to a queue whose name begins like this: it would come back as a message."""
OWN_QUEUES = ("amq.gen-", "amq_", "amq.rabbitmq.reply-to")
"""How the names begin of the queues that a client has for itself: those that the broker names, those that aio-pika's
robust connections name, and direct reply-to."""


def may_reply(queue: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a reply may go to a queue: to a client's own, and to those whose names begin with one of `prefixes`.

    A reply is published by the worker, so to any other queue it would lend a sender the worker's rights.
    """
    return queue.startswith((*OWN_QUEUES, *prefixes)) and not queue.startswith(RESERVED)


def work_arguments(*, single_active_consumer: bool) -> dict[str, Any]:
    """The arguments of the work queue; they can't be changed once it is declared.

    The delivery limit is high since on RabbitMQ 3.10 each lost connection counts for every message in flight.
    """
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
    }
    if single_active_consumer:
        arguments["x-single-active-consumer"] = True
    return arguments


async def declare_topology(channel: AbstractChannel, *, single_active_consumer: bool) -> int:
    """Declare all exchanges and queues but those of others; safe beside other workers that do the same.

    Returns how many consumers the broker gives the messages of the work queue to.
    """
    into = await channel.declare_exchange(IN, aio_pika.ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(OUT, aio_pika.ExchangeType.TOPIC, durable=True)
    dead_exchange = await channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)
    dead = await channel.declare_queue(DEAD, durable=True, arguments={"x-queue-type": "quorum"})
    await dead.bind(dead_exchange)
    work = await channel.declare_queue(
        WORK, durable=True, arguments=work_arguments(single_active_consumer=single_active_consumer)
    )
    await work.bind(into, "#")
    # Reached through the exchange, by the query's name, and through the default exchange, by the queue's.
    asked = await channel.declare_exchange(ASK, aio_pika.ExchangeType.TOPIC, durable=True)
    queries = await channel.declare_queue(QUERIES, durable=True)
    await queries.bind(asked, "#")
    return work.declaration_result.consumer_count or 0
