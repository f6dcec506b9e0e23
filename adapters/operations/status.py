"""What an operator, or a monitor, wants to know first of a database: what is held, parked and unsent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from adapters.accounts.queries.statement import start_of
from adapters.days.codecs import decode_calendar
from adapters.mongodb.connection import awaited
from adapters.operations.outbox import condition
from adapters.store.forms import META, THE_FORM
from adapters.store.store import Store
from domain.days.model import CALENDAR

BACKLOG_MS_MAX = 5_000
SENDERS_OF = 1_000
"""Whose messages are parked is read from so many of them."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is to be done still: `held` and the age of its oldest by state, the parked by reason and type.

    `senders` are those of the `SENDERS_OF` messages parked last that the broker vouches for (None for the others), the
    one with most first. `day_begun` is the newest day begun, None when none was; `at` is the server's time.
    """

    held: Mapping[str, int]
    oldest_seconds: Mapping[str, float]
    parked: Sequence[tuple[str, str, int]]
    senders: Sequence[tuple[str | None, int]]
    unsent: int
    oldest_unsent_seconds: float
    parked_events: Mapping[str, int]
    day_begun: date | None
    at: datetime

    def day_behind_seconds(self, now: datetime, zone: tzinfo) -> float:
        """For how long a day has been there, where the seller is, that was not begun; 0 when there is none."""
        day = now.astimezone(zone).date() if self.day_begun is None else self.day_begun + timedelta(days=1)
        return max(0.0, (now - start_of(day, zone)).total_seconds())


async def backlog(database: Any) -> Backlog:
    """What is to be done still, by the server's clock; raises the driver's errors."""
    waiting = await _aggregated(
        database["held"],
        [
            # By the index alone, as below: what is scheduled may be much.
            {"$match": {"state": {"$in": ["waiting", "suspect", "scheduled"]}}},
            {"$group": {"_id": "$state", "count": {"$sum": 1}, "oldest": {"$min": "$heldAt"}}},
            {"$set": {"age": {"$divide": [{"$subtract": ["$$NOW", "$oldest"]}, 1000]}}},
        ],
        hint="listed",
    )
    kind = {"reason": "$reason", "type": "$routingKey"}
    parked = await _aggregated(
        database["held"],
        [
            # By the index alone: no body is read.
            {"$match": {"state": "parked"}},
            {"$group": {"_id": kind, "count": {"$sum": 1}}},
            {"$sort": {"count": -1, "_id": 1}},
        ],
        hint="listed",
    )
    senders = await _aggregated(
        database["held"],
        [
            {"$match": {"state": "parked"}},
            {"$sort": {"heldAt": -1}},
            {"$limit": SENDERS_OF},
            {"$group": {"_id": "$properties.userId", "count": {"$sum": 1}}},
            {"$sort": {"count": -1, "_id": 1}},
        ],
        hint="listed",
    )
    outbox = await condition(database)
    by_reason: Counter[str] = Counter()
    for _, reason, count in outbox.parked:
        by_reason[reason] += count
    now = await server_time(database)
    age = (now - outbox.oldest).total_seconds() if outbox.oldest else 0.0
    return Backlog(
        {row["_id"]: row["count"] for row in waiting},
        {row["_id"]: max(0.0, row["age"]) for row in waiting},
        [(row["_id"]["reason"], row["_id"]["type"], row["count"]) for row in parked],
        [(row["_id"], row["count"]) for row in senders],
        outbox.unsent,
        max(0.0, age),
        by_reason,
        await newest_day(database),
        now,
    )


async def server_time(database: Any) -> datetime:
    """What time it is by the server's clock; raises the driver's errors."""
    # By itself a command answers with times that have no zone.
    hello = await database.client.admin.command("hello", codec_options=database.codec_options)
    now: datetime = hello["localTime"]
    return now


async def newest_day(database: Any) -> date | None:
    """The newest day begun, None when none was; raises the driver's errors."""
    row = await database["calendar"].find_one({"_id": CALENDAR})
    return None if row is None else decode_calendar(row).newest


async def versions(database: Any) -> tuple[str, int | None]:
    """The server's version, and the form that the database is in (None when it holds no books)."""
    info = await database.client.admin.command("buildInfo")
    form = await database[META].find_one(THE_FORM)
    return info["version"], form["number"] if form else None


async def _aggregated(source: Any, pipeline: list[Row], **how: Any) -> list[Row]:
    cursor = await awaited(source.aggregate(pipeline, maxTimeMS=BACKLOG_MS_MAX, **how))
    return [row async for row in cursor]


async def try_to_write(store: Store) -> None:
    """Insert, update, find and delete in a transaction that is not committed; raises the driver's errors.

    As of a user who may only read, or has not each of the rights that a worker needs.
    """
    async with store.transaction() as transaction:
        session = transaction.session
        for name in ("meta", "held"):
            collection = transaction.database[name]
            await collection.insert_one({"_id": "check"}, session=session)
            await collection.update_one({"_id": "check"}, {"$set": {"check": True}}, session=session)
            await collection.find_one({"_id": "check"}, session=session)
            await collection.delete_one({"_id": "check"}, session=session)
