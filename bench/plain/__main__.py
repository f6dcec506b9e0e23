"""The plain worker's process: `python -m bench.plain`, until SIGTERM."""

import asyncio
import logging
import os
from datetime import UTC, datetime
from typing import Any

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from faststream.rabbit.schemas.queue import QueueType
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from bench.plain import IN, IN_FLIGHT, OUT, QUEUE
from bench.plain.events import Event, events_of
from bench.plain.order import Order, Row, accruals_of, entry_of, invoice_of

client: AsyncIOMotorClient[Row] = AsyncIOMotorClient(
    os.environ["PAYMASTER_MONGODB_URL"], tz_aware=True, w="majority", maxPoolSize=2 * IN_FLIGHT
)
database = client[os.environ["PAYMASTER_DATABASE"]]
# At debug level FastStream says nothing of each message.
broker = RabbitBroker(
    os.environ["PAYMASTER_RABBITMQ_URL"],
    default_channel=Channel(prefetch_count=IN_FLIGHT),
    log_level=logging.DEBUG,
    app_id="plain",
)
into = RabbitExchange(IN, type=ExchangeType.TOPIC, durable=True)
queue = RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True, routing_key="#")
out = RabbitExchange(OUT, type=ExchangeType.TOPIC, durable=True)


@broker.subscriber(queue, into, ack_policy=AckPolicy.NACK_ON_ERROR)
async def complete(order: Order, message: RabbitMessage) -> None:
    """Invoice an order; it is acknowledged when this returns: after the commit and the events' confirms."""
    invoice = await book(order, str(message.message_id))
    events = events_of(invoice, order.identity, message.correlation_id)
    await asyncio.gather(*(publish(event, order.identity, message.correlation_id) for event in events))


async def book(order: Order, message_id: str) -> Row:
    """The order's invoice, made now or, when the order was delivered before, then."""
    number = await next_number()

    async def work(session: AsyncIOMotorClientSession) -> Row:
        now = datetime.now(UTC)
        await database["inbox"].insert_one(
            {"_id": order.identity, "messageId": message_id, "appliedAt": now, "billNo": number}, session=session
        )
        found = database["accounts"].find({"_id": {"$in": list(order.account_ids)}}, session=session)
        accounts = {account["_id"]: account async for account in found}
        if len(accounts) < len(order.account_ids):
            raise LookupError(f"{order.identity} names accounts that do not exist")
        invoice = invoice_of(order, number, accounts, now)
        await database["invoices"].insert_one(invoice, session=session)
        await database["entries"].insert_one(entry_of(order, invoice), session=session)
        if accruals := accruals_of(invoice):
            await database["accruals"].insert_many(accruals, session=session)
        # Last, so that the one document that others write too is held for the shortest time.
        await database["accounts"].update_one(
            {"_id": order.billing_account.id}, {"$inc": {"receivable": invoice["taxIncludedAmount"]}}, session=session
        )
        return invoice

    try:
        async with await client.start_session() as session:
            invoice: Row = await session.with_transaction(
                work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )
            return invoice
    except DuplicateKeyError:  # in the inbox
        known = await database["invoices"].find_one({"orderId": order.order_id})
        assert known is not None
        return known


async def next_number() -> str:
    """The next invoice number; taken once a message, not once an attempt."""
    counter: Any = await database["counters"].find_one_and_update(
        {"_id": "invoices"}, {"$inc": {"last": 1}}, upsert=True, return_document=ReturnDocument.AFTER
    )
    return f"INV-{counter['last']:09d}"


async def publish(event: Event, identity: str, correlation_id: str) -> None:
    """Publish an event, persistent, and wait for the broker's confirm."""
    await broker.publish(
        event.body,
        exchange=out,
        routing_key=event.type,
        persist=True,
        message_id=event.id,
        message_type=event.type,
        correlation_id=correlation_id,
        content_type="application/json",
        timestamp=datetime.now(UTC),
        headers={"causation-id": identity, "account-id": event.account, "schema-version": 1},
    )


if __name__ == "__main__":
    uvloop.run(FastStream(broker, logger=None).run())
