"""The plain worker as a contestant: one process, 32 messages in flight."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pymongo import ASCENDING

from bench.broker import Broker
from bench.orders import EVENTS_PER_ORDER, account_messages
from bench.place import Place
from bench.plain import IN, OUT, QUEUE


class Plain:
    """FastStream and Motor, one transaction for each message."""

    name = "plain worker"
    into, queue, out = IN, QUEUE, OUT
    command: Sequence[str] = (sys.executable, "-m", "bench.plain")
    keeps_books = True
    events_per_order = EVENTS_PER_ORDER

    def missing(self) -> str | None:
        """Nothing: all that it needs is what Paymaster needs too."""
        return None

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Declare the queue as the worker does, insert the accounts, make the indexes that its readers would need."""
        channel = broker.channel
        await channel.exchange_declare(IN, exchange_type="topic", durable=True)
        await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(QUEUE, IN, "#")
        database = place.database
        database["invoices"].create_index([("orderId", ASCENDING)], unique=True)
        database["invoices"].create_index([("billingAccount", ASCENDING), ("bookedAt", ASCENDING)])
        database["entries"].create_index([("postings.account", ASCENDING), ("bookedAt", ASCENDING)])
        database["accruals"].create_index([("settlementAccount", ASCENDING), ("bookedAt", ASCENDING)])
        for name in ("inbox", "counters"):
            database.create_collection(name)
        database["accounts"].insert_many(
            {
                "_id": account["id"],
                "type": account["@type"],
                "currency": account["currency"],
                "version": 1,
                "receivable": 0,
                "paymentTermDays": account.get("paymentTermDays"),
                "partnerShare": account.get("settlementTerms", {}).get("partnerShare"),
                "document": account,
            }
            for account in account_messages()
        )

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Every order has an invoice and an entry, and the accounts owe what the invoices say."""
        database = place.database
        invoiced, owed = (
            next(iter(database[name].aggregate([{"$group": {"_id": None, "sum": {"$sum": field}}}])), {"sum": 0})["sum"]
            for name, field in (("invoices", "$taxIncludedAmount"), ("accounts", "$receivable"))
        )
        found = {
            "invoices that lack": orders - database["invoices"].count_documents({}),
            "entries that lack": orders - database["entries"].count_documents({}),
            "invoiced and not owed": invoiced - owed,
        }
        return {what: finding for what, finding in found.items() if finding}
