"""The collections and their indexes, each index with the query that it serves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure

_NAMESPACE_EXISTS = 48
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Each collection is read by `_id` besides. Partial indexes hold only what is still to be done, so they stay small
# however old the books are; a query must repeat the filter to be served by one.
INDEXES: dict[str, list[IndexModel]] = {
    "accounts": [],
    "positions": [],
    "invoices": [
        # A payment's next invoices: an account's open ones, by due date, then by number.
        IndexModel(
            [("billingAccount", ASCENDING), ("paymentDueDate", ASCENDING), ("_id", ASCENDING)],
            name="open",
            partialFilterExpression={"remainingAmount": {"$gt": 0}},
        ),
        # An order has one invoice, ever.
        IndexModel([("orderId", ASCENDING)], name="order", unique=True),
    ],
    "payments": [
        # An invoice's credit: an account's payments that are not used up, oldest first.
        IndexModel(
            [("billingAccount", ASCENDING), ("receivedAt", ASCENDING), ("_id", ASCENDING)],
            name="credit",
            partialFilterExpression={"unapplied": {"$gt": 0}},
        ),
    ],
    "allocations": [],
    "accruals": [
        # A closing's accruals: a partner's that no statement holds, by date.
        IndexModel(
            [("settlementAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)],
            name="unstated",
            partialFilterExpression={"settlementId": {"$type": "null"}},
        ),
    ],
    "settlements": [],
    "payouts": [],
    "entries": [
        # An account's movements: its postings by time and number.
        IndexModel(
            [("postings.account", ASCENDING), ("bookedAt", ASCENDING), ("postings.movement", ASCENDING)],
            name="movements",
        ),
    ],
    "inbox": [],
    "held": [
        # What waits for a thing that has just appeared.
        IndexModel(
            [("waitsFor", ASCENDING), ("heldAt", ASCENDING)],
            name="waiting",
            partialFilterExpression={"state": "waiting"},
        ),
        # What is due to be tried again, or to be parked because it has waited too long.
        IndexModel(
            [("dueAt", ASCENDING)],
            name="due",
            partialFilterExpression={"state": "waiting"},
        ),
        # What a worker had taken up when it died.
        IndexModel(
            [("claimedUntil", ASCENDING)], name="claimed", partialFilterExpression={"claimedUntil": {"$gt": EPOCH}}
        ),
        # The next message that is suspected of killing workers, to be run alone.
        IndexModel(
            [("dueAt", ASCENDING)],
            name="suspect",
            partialFilterExpression={"state": "suspect"},
        ),
        # An operator's look at one parked message.
        IndexModel([("parkedId", ASCENDING)], name="parkedId", unique=True),
    ],
    "heldBodies": [],
    "outbox": [
        # What an earlier life left unsent, oldest first.
        IndexModel(
            [("bookedAt", ASCENDING), ("_id", ASCENDING)],
            name="unsent",
            partialFilterExpression={"unsent": True},
        ),
    ],
    "series": [],
}


async def prepare(database: Any) -> None:
    """Make what is missing of the collections and indexes; safe beside other workers that do the same."""
    await asyncio.gather(*(_prepare(database, name, indexes) for name, indexes in INDEXES.items()))


async def _prepare(database: Any, name: str, indexes: list[IndexModel]) -> None:
    try:
        await database.create_collection(name)
    except CollectionInvalid:
        pass
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    if indexes:
        await database[name].create_indexes(indexes)
