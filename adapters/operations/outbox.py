"""The outbox as an operator sees it: what is unsent or parked, its release, and sending again what was sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from adapters.mongodb.connection import awaited
from adapters.rabbitmq.connection import CONNECTION_ERRORS
from adapters.rabbitmq.publisher import CLOSED, Publisher, Sent
from adapters.rabbitmq.relay import BYTES_MAX, IN_FLIGHT_MAX
from adapters.store.beside import EPOCH
from adapters.store.rows import EVENT_SIZE, event_size, to_event
from adapters.values import ValueLost, values_of
from schemas.event import OutgoingEvent

T = TypeVar("T")
Row = dict[str, Any]
Place = tuple[datetime, str]
"""Where a page of a list ended: its last row's time and id."""

REFUSED_SECONDS_MAX = 60
"""How long a resend waits for room or for confirms, while not one event gets through, before it gives up."""
_PAUSE_SECONDS = 0.5

# A partial index serves only what repeats its filter and says something of its first field.
_UNSENT: Row = {"unsent": True, "bookedAt": {"$gt": EPOCH}}
_PARKED: Row = {"parkedAt": {"$gt": EPOCH}}
_LISTED: dict[str, tuple[Row, str]] = {"unsent": (_UNSENT, "bookedAt"), "parked": (_PARKED, "parkedAt")}


@dataclass(frozen=True, slots=True)
class Condition:
    """How an outbox is: `oldest` is when the first unsent event was booked, `refused` how many the broker refused.

    `parked` has a row for each type and reason: the type, the reason, how many.
    """

    unsent: int
    oldest: datetime | None
    refused: int
    parked: tuple[tuple[str, str, int], ...]


async def condition(database: Any) -> Condition:
    """How the outbox is now."""
    refused = {"$cond": [{"$gt": ["$refusals", 0]}, 1, 0]}
    sums = {"_id": None, "unsent": {"$sum": 1}, "oldest": {"$min": "$bookedAt"}, "refused": {"$sum": refused}}
    [unsent] = await _aggregated(database, [{"$match": _UNSENT}, {"$group": sums}]) or [
        {"unsent": 0, "oldest": None, "refused": 0}
    ]
    parked = await _aggregated(
        database,
        [
            {"$match": _PARKED},
            {"$group": {"_id": {"type": "$routingKey", "reason": "$reason"}, "count": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
        ],
    )
    return Condition(
        unsent["unsent"],
        unsent["oldest"],
        unsent["refused"],
        tuple((row["_id"]["type"], row["_id"]["reason"], row["count"]) for row in parked),
    )


async def listed(database: Any, state: Literal["unsent", "parked"], after: Place | None, limit: int) -> list[Row]:
    """Rows in a state, oldest first, those after a place; instead of its body each has its size as `bytes`."""
    which, order = _LISTED[state]
    if after is not None:
        place = {"$or": [{order: {"$gt": after[0]}}, {order: after[0], "_id": {"$gt": after[1]}}]}
        # The filter's own lower bound would hide the place's from the index.
        which = {**which, order: {"$gte": after[0]}, **place}
    return await _aggregated(
        database,
        [
            {"$match": which},
            {"$sort": {order: 1, "_id": 1}},
            {"$limit": limit},
            {"$set": {"bytes": EVENT_SIZE}},
            {"$unset": ["body", "size", "values"]},
        ],
    )


async def parked_among(database: Any, ids: Sequence[str]) -> set[str]:
    """Those of these events that are parked."""
    rows = database["outbox"].find({"_id": {"$in": list(ids)}, **_PARKED}, {"_id": 1})
    return {row["_id"] async for row in rows}


async def release(database: Any, ids: Sequence[str] | None, by: str, why: str, now: datetime) -> int:
    """Make parked events unsent again, all of them if no ids are given; returns how many.

    The relay tries each as if for the first time. Who did it, when and why, and why it was parked, stays in the row.
    """
    released = {
        "at": now,
        "by": {"$literal": by},
        "why": {"$literal": why},
        "parkedAt": "$parkedAt",
        "reason": "$reason",
    }
    done = await database["outbox"].update_many(
        _PARKED if ids is None else {"_id": {"$in": list(ids)}, **_PARKED},
        [
            {"$set": {"unsent": True, "released": {"$concatArrays": [{"$ifNull": ["$released", []]}, [released]]}}},
            {"$unset": ["parkedAt", "reason", "refusals", "refusedAt", "unconfirmed"]},
        ],
    )
    return int(done.modified_count)


async def _aggregated(database: Any, pipeline: list[Row]) -> list[Row]:
    cursor = await awaited(database["outbox"].aggregate(pipeline))
    return [row async for row in cursor]


# -- sending again


class NotSent(Exception):
    """An event could not be sent again; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sent events: those booked from a time on and before another, of these types (all if none), of an account.

    Those that are unsent the relay sends anyway, and those parked only once they are released.
    """

    since: datetime
    until: datetime | None = None
    types: tuple[str, ...] = ()
    account: str | None = None

    @property
    def query(self) -> Row:
        """What selects them."""
        query: Row = {"sentAt": {"$gt": EPOCH}, "bookedAt": {"$gte": self.since}}
        if self.until is not None:
            query["bookedAt"]["$lt"] = self.until
        if self.types:
            query["routingKey"] = {"$in": list(self.types)}
        if self.account is not None:
            # An account's events lie side by side in the index of ids, among them those of accounts `<id>:…`.
            query["_id"] = {"$gte": f"{self.account}:", "$lt": f"{self.account};"}
            query["account"] = self.account
        return query

    async def count(self, database: Any) -> int:
        """How many they are."""
        return int(await database["outbox"].count_documents(self.query))

    def pages(self, database: Any) -> AsyncIterator[list[OutgoingEvent]]:
        """All of them, in the order of booking and, of an account, of its sequence."""
        return self._by_time(database) if self.account is None else self._of_account(database)

    async def _by_time(self, database: Any) -> AsyncIterator[list[OutgoingEvent]]:
        # Each page is a query of its own: a slow resend would outlive a cursor.
        query = self.query
        while True:
            rows, last = await self._first(database, query)
            if rows:
                yield await _events(database, rows)
            if last is None:
                return
            # What was booked at one time comes in no order, and may go on beyond the page.
            async for events in self._sorted(database, {**query, "bookedAt": last}):
                yield events
            query["bookedAt"] = {**query["bookedAt"], "$gt": last}

    async def _first(self, database: Any, query: Row) -> tuple[list[Row], datetime | None]:
        """The first rows, and at which time they were broken off: none booked then is among them."""
        rows: list[Row] = []
        size = 0
        cursor = database["outbox"].find(query).sort("bookedAt", 1).limit(IN_FLIGHT_MAX)
        try:
            async for row in cursor:
                rows.append(row)
                size += event_size(row)
                if len(rows) == IN_FLIGHT_MAX or size > BYTES_MAX:
                    last = row["bookedAt"]
                    return [row for row in rows if row["bookedAt"] < last], last
        finally:
            await cursor.close()
        return rows, None

    def _of_account(self, database: Any) -> AsyncIterator[list[OutgoingEvent]]:
        return self._sorted(database, self.query)

    async def _sorted(self, database: Any, query: Row) -> AsyncIterator[list[OutgoingEvent]]:
        """Events in order where no index has it: all their ids are read first, then page by page the events."""
        fields = {"bookedAt": 1, "account": 1, "sequence": 1, "bytes": EVENT_SIZE}
        rows = sorted(await _aggregated(database, [{"$match": query}, {"$project": fields}]), key=_in_order)
        for page in _chunks(rows, lambda row: row["bytes"], IN_FLIGHT_MAX):
            cursor = database["outbox"].find({"_id": {"$in": [row["_id"] for row in page]}})
            yield await _events(database, [row async for row in cursor])


async def _events(database: Any, rows: list[Row]) -> list[OutgoingEvent]:
    """The events of rows, in order; raises `NotSent` when a value of one is not there."""
    values = await values_of(rows, database)
    try:
        return [to_event(row, values) for row in sorted(rows, key=_in_order)]
    except ValueLost as lost:
        raise NotSent(f"a value of an event is not there ({lost}): see `paymaster audit`") from lost


def _in_order(row: Row) -> tuple[datetime, str, int, str]:
    return row["bookedAt"], row.get("account") or "", row.get("sequence") or 0, row["_id"]


def _chunks(items: Iterable[T], bytes_of: Callable[[T], int], count_max: int) -> Iterator[list[T]]:
    """Items by so many, and of no more than `BYTES_MAX` together unless one alone has more."""
    chunk: list[T] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == count_max or size + bytes_of(item) > BYTES_MAX):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += bytes_of(item)
    if chunk:
        yield chunk


class Resend:
    """Sends events again, as they were sent first: `sent` and `unrouted` tell how many so far.

    `since` is from when on a later resend has to go on: what was booked before is all confirmed.
    """

    def __init__(self, publisher: Publisher, *, queue: str | None = None, rate: int | None = None) -> None:
        self._publisher = publisher
        self._queue = queue
        self._rate = rate
        self.sent = 0
        self.unrouted = 0
        self.since: datetime | None = None

    async def run(self, database: Any, selection: Selection, tell: Callable[[int], None]) -> None:
        """Send all; `tell` is told how many as they are confirmed. Raises `NotSent` and the driver's errors."""
        started = time.monotonic()
        self.since = selection.since
        # Four chunks a second are smooth enough.
        count_max = min(IN_FLIGHT_MAX, max(1, self._rate // 4)) if self._rate else IN_FLIGHT_MAX
        async for events in selection.pages(database):
            for chunk in _chunks(events, lambda event: len(event.body), count_max):
                self.since = chunk[0].booked_at
                await self._send(chunk)
                tell(len(chunk))
                if self._rate:
                    await asyncio.sleep(started + self.sent / self._rate - time.monotonic())

    async def _send(self, events: list[OutgoingEvent]) -> None:
        """Publish until each is confirmed: over lost connections, and for some time while not one gets through."""
        rest = events
        deadline = time.monotonic() + REFUSED_SECONDS_MAX
        while rest:
            outcomes = await self._publish(rest)
            again = []
            for event, sent in zip(rest, outcomes, strict=True):
                if sent in CLOSED or sent is Sent.UNENCODABLE:
                    raise NotSent(f"the broker does not take {event.message_id} or one beside it: {sent.value}")
                if sent is Sent.UNROUTED and self._queue is not None:
                    raise NotSent(f"the queue {self._queue} is gone")
                if sent in (Sent.REFUSED, Sent.UNCERTAIN):
                    again.append(event)
                self.unrouted += sent is Sent.UNROUTED
            if len(again) < len(rest):
                deadline = time.monotonic() + REFUSED_SECONDS_MAX
            elif time.monotonic() > deadline:
                if Sent.REFUSED in outcomes:
                    raise NotSent(
                        f"the broker refuses {rest[outcomes.index(Sent.REFUSED)].message_id}: a queue is full"
                    )
                raise NotSent(f"the broker does not confirm {again[0].message_id}")
            self.sent += len(rest) - len(again)
            rest = again
            if rest:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _publish(self, events: list[OutgoingEvent]) -> Sequence[Sent]:
        try:
            await self._publisher.open()
            return await self._publisher.publish(events, self._queue)
        except CONNECTION_ERRORS:
            return [Sent.UNCERTAIN] * len(events)
