"""The store: what a batch looks at is read, and all that it changes is written, in one MongoDB transaction."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import uuid4

import structlog
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters import documents
from adapters.mongodb.connection import (
    APP_NAME,
    SELECTION_SECONDS,
    TRANSACTION,
    awaited,
    check_server,
    connect,
    disconnect,
    in_turn,
    is_ambiguous,
    is_conflict,
    is_transient,
    label,
    start_session,
)
from adapters.records import HeldRow
from adapters.store.beside import EPOCH
from adapters.store.forms import prepare
from adapters.store.rows import BODY_PIECE, event_size, to_event, to_held, whole_body
from adapters.store.transaction import Transaction
from adapters.values import ValueLost, values_of
from schemas.event import OutgoingEvent

T = TypeVar("T")

log = structlog.get_logger()

AWAITED: dict[str, tuple[str, dict[str, Any]]] = {**documents.AWAITED, "applied": ("inbox", {})}
"""What may be waited for, by the name before the colon: its collection, and the filter that says that it is
there. What a fact leaves to do waits for the fact itself (`applied:<identity>`), and so is taken up as soon as that is
committed."""
ACT_SECONDS_MAX = 30
"""How long an operator's act is tried again."""
ABANDONED = timedelta(seconds=1)
"""A transaction that has been silent for so long counts as left open when a claim has run out. At worst a worker that
lives runs its batch again."""
LOCKED_MS_MAX = 1_000
"""How long to wait for rows that another transaction has locked, when their claim has run out."""
CLAIM_MAX = 500
"""The most held messages that are claimed at once."""
CLAIM_BYTES_MAX = 16 * 1024 * 1024
"""The most bytes of them, unless one alone has more."""


class Store:
    """A database of Paymaster's; `driver` says which MongoDB driver is used."""

    def __init__(
        self,
        url: str,
        database: str,
        driver: Literal["motor", "pymongo"] = "motor",
        selection_seconds: float = SELECTION_SECONDS,
    ) -> None:
        self._client = connect(url, driver, database, selection_seconds)
        self.database = self._client[database]
        self._sessions: set[Any] = set()

    async def prepare(self) -> None:
        """Check the server and the form, make what is missing of collections and indexes.

        Raises `WrongServer`, `WrongForm` and the driver's errors.
        """
        await check_server(self._client)
        await prepare(self.database)

    async def check_server(self) -> None:
        """Raise `WrongServer`, or the driver's errors, unless the server answers and can be worked with."""
        await check_server(self._client)

    async def close(self) -> None:
        """Let go of the connections."""
        await disconnect(self._client)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, aborted unless it is committed before the block ends."""
        session = start_session(self._client)
        self._sessions.add(session)
        try:
            await awaited(session.start_transaction(**TRANSACTION))
            yield Transaction(self.database, session)
        finally:
            # From here on it may be ended by whoever it is in the way of: to abort it may take as long as a dead
            # connection takes to be given up.
            self._sessions.discard(session)
            try:
                if session.in_transaction:
                    await in_turn(self.database, session, [lambda _, session: session.abort_transaction()])
            except PyMongoError:
                pass  # the server ends what it no longer hears of; the reason to abort is what counts
            await awaited(session.end_session())

    async def end_abandoned(self, inactive: timedelta) -> int:
        """End transactions that another worker on this database left open when it died; returns how many.

        The server keeps them, and what they have written locked, until they are 60 seconds old: so long nobody could
        write the same documents. One whose worker lives and is only slow fails there as after a step-down, and is
        run again; `inactive` is how long nothing was heard of it.
        """
        mine = {bytes(session.session_id["id"]) for session in self._sessions if session.session_id is not None}
        pipeline = [
            {"$currentOp": {"idleSessions": True}},
            {
                "$match": {
                    "type": "idleSession",
                    "appName": APP_NAME,
                    # Other databases of the same server have workers of their own.
                    "clientMetadata.driver.name": {"$regex": rf"\|{re.escape(label(self.database.name))}$"},
                    "transaction.timeInactiveMicros": {"$gte": int(inactive.total_seconds() * 1e6)},
                }
            },
        ]
        # What the server is at is not read by majority.
        admin = self._client.get_database("admin", read_concern=ReadConcern("local"))
        cursor = await awaited(admin.aggregate(pipeline))
        sessions = [{"id": row["lsid"]["id"]} async for row in cursor if bytes(row["lsid"]["id"]) not in mine]
        if sessions:
            await admin.command("killSessions", sessions)
        return len(sessions)

    # -- what is held

    async def claim_waiting(self, names: Sequence[str], now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim messages that wait for one of `names`, oldest first, at most `CLAIM_MAX`."""
        which = {"state": "waiting", "waitsFor": {"$in": list(names)}}
        return await self._claim(which, "heldAt", now, lease, CLAIM_MAX)

    async def claim_due(self, now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim messages that are due to be taken up again, at most `CLAIM_MAX`."""
        return await self._claim({"state": "waiting", "dueAt": {"$lte": now}}, "dueAt", now, lease, CLAIM_MAX)

    async def claim_scheduled(self, now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim what was scheduled for a time that has come, at most `CLAIM_MAX`."""
        return await self._claim({"state": "scheduled", "dueAt": {"$lte": now}}, "dueAt", now, lease, CLAIM_MAX)

    async def claim_suspect(self, now: datetime, lease: timedelta) -> HeldRow | None:
        """Claim the next message that may kill the worker that takes it up."""
        # A claim that ran out without an outcome: whoever had it died, and this message may be why. Where it left a
        # transaction open the row is locked: that is ended, if need be at the next try.
        ran_out = {"claimedUntil": {"$lt": now, "$gt": EPOCH}}
        if await self.database["held"].find_one(ran_out, {"_id": 1}):
            await self.end_abandoned(ABANDONED)
            change = {
                "$inc": {"deaths": 1},
                "$set": {"state": "suspect", "waitsFor": None, "dueAt": now, "claimedUntil": None},
            }
            updates = [
                {"q": {"state": state, **ran_out}, "u": change, "multi": True}
                for state in ("waiting", "suspect", "scheduled")
            ]
            await self.database.command(
                "update", "held", updates=updates, maxTimeMS=LOCKED_MS_MAX, writeConcern={"w": "majority"}
            )
        rows = await self._claim({"state": "suspect", "dueAt": {"$lte": now}}, "dueAt", now, lease, 1)
        return rows[0] if rows else None

    async def _claim(
        self, which: dict[str, Any], order: str, now: datetime, lease: timedelta, limit: int
    ) -> list[HeldRow]:
        held = self.database["held"]
        free = {**which, "claimedUntil": None}
        ids: list[str] = []
        size = 0
        shown = {"_id": 1, "pieces": 1, "size": {"$bsonSize": "$$ROOT"}}
        async for row in held.find(free, shown).sort(order, 1).limit(limit):
            size += row["size"] + row.get("pieces", 0) * BODY_PIECE
            if ids and size > CLAIM_BYTES_MAX:
                break
            ids.append(row["_id"])
        if not ids:
            return []
        claim = uuid4().hex
        # The attempt is counted before it is made: a message that kills the worker can't be taken up for ever.
        await held.update_many(
            {"_id": {"$in": ids}, **free},
            {"$inc": {"attempts": 1}, "$set": {"claimedUntil": now + lease, "claim": claim}},
        )
        # Of those that are due at one time, as after a replay, the one that came first goes first.
        claimed = held.find({"_id": {"$in": ids}, "claim": claim}, {"original": 0})
        rows = [row async for row in claimed.sort([(order, 1), ("heldAt", 1), ("_id", 1)])]
        for row in rows:
            row["body"] = await whole_body(self.database, row)
        return [to_held(row) for row in rows]

    async def renew(self, identities: Sequence[str], until: datetime) -> None:
        """Renew the claims of messages that this worker is working on, as far as it still has them, until a time."""
        await self.database["held"].update_many(
            {"_id": {"$in": list(identities)}, "claimedUntil": {"$gt": EPOCH}}, {"$set": {"claimedUntil": until}}
        )

    async def awaited_names(self, limit: int) -> list[str]:
        """What messages wait for, each name once, at most `limit`."""
        pipeline = [
            {"$match": {"state": "waiting", "waitsFor": {"$type": "string"}}},
            {"$group": {"_id": "$waitsFor"}},
            {"$limit": limit},
        ]
        cursor = await awaited(self.database["held"].aggregate(pipeline))
        return [row["_id"] async for row in cursor]

    async def there_now(self, names: Iterable[str]) -> list[str]:
        """Those of `names` (`account:<id>`, `resumed:<account>`, `settlement:<id>` …) that are there."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for name in names:
            kind, _, id_ = name.partition(":")
            if kind in AWAITED:
                wanted[kind].append(id_)
            else:  # a later version's, say: its messages wait until their time is over
                log.warning("nobody knows what is waited for", name=name)
        found = []
        for kind, ids in wanted.items():
            collection, there = AWAITED[kind]
            rows = self.database[collection].find({"_id": {"$in": ids}, **there}, {"_id": 1})
            found += [f"{kind}:{row['_id']}" async for row in rows]
        return found

    async def in_one_transaction(self, do: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do something in a transaction of its own, and commit it.

        While workers or operators are in the way it is tried again, for some seconds; then it raises the driver's
        error.
        """
        async for attempt in AsyncRetrying(
            # Not when the commit is ambiguous: if it was done, a second try would be refused.
            retry=retry_if_exception(
                lambda error: (is_transient(error) or is_conflict(error)) and not is_ambiguous(error)
            ),
            wait=wait_exponential_jitter(multiplier=0.05, max=1),
            stop=stop_after_delay(ACT_SECONDS_MAX),
            reraise=True,
        ):
            with attempt:
                async with self.transaction() as transaction:
                    done = await do(transaction)
                    await transaction.commit()
        return done

    # -- the outbox

    async def unsent(
        self, before: datetime, after: tuple[datetime, str] | None, limit: int, bytes_max: float = math.inf
    ) -> list[OutgoingEvent]:
        """Unsent events booked, and due, before a time: oldest first, those after a place in that order.

        Their bodies have no more than so many bytes, unless the first alone has more. Only those that were refused or
        not confirmed have a time when they are due.
        """
        query: dict[str, Any] = {"unsent": True, "bookedAt": {"$lt": before}, "dueAt": {"$not": {"$gte": before}}}
        if after is not None:
            query["$or"] = [{"bookedAt": {"$gt": after[0]}}, {"bookedAt": after[0], "_id": {"$gt": after[1]}}]
        rows: list[dict[str, Any]] = []
        size = 0
        cursor = self.database["outbox"].find(query).sort([("bookedAt", 1), ("_id", 1)]).limit(limit)
        try:
            async for row in cursor:
                size += event_size(row)
                if rows and size > bytes_max:
                    break
                rows.append(row)
        finally:
            await cursor.close()
        values = await values_of(rows, self.database)
        events = []
        for row in rows:
            try:
                events.append(to_event(row, values))
            except ValueLost as lost:
                # It must not hold up the others.
                log.error("event not sent, a value is not there", event_id=row["_id"], value=str(lost))  # noqa: TRY400
        if rows and not events:
            return await self.unsent(before, (rows[-1]["bookedAt"], rows[-1]["_id"]), limit, bytes_max)
        return events

    async def mark_sent(self, message_ids: Sequence[str], now: datetime) -> None:
        """Mark events that the broker has confirmed."""
        # One that another worker has parked meanwhile is sent all the same.
        await self.database["outbox"].update_many(
            {"_id": {"$in": list(message_ids)}},
            {"$set": {"sentAt": now}, "$unset": dict.fromkeys(("unsent", "dueAt", "parkedAt", "reason"), "")},
        )

    async def mark_refused(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a refusal of each event, and put it off: each time for twice as long."""
        since = {"refusedAt": {"$ifNull": ["$refusedAt", now]}}
        await self._put_off("refusals", since, message_ids, now, first_wait, wait_max)

    async def mark_unconfirmed(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a try of each event that was not confirmed, and put it off likewise; that is no refusal."""
        await self._put_off("unconfirmed", {}, message_ids, now, first_wait, wait_max)

    async def _put_off(
        self,
        counter: str,
        also: dict[str, Any],
        message_ids: Sequence[str],
        now: datetime,
        first_wait: timedelta,
        wait_max: timedelta,
    ) -> None:
        milliseconds = [wait.total_seconds() * 1000 for wait in (first_wait, wait_max)]
        # 2^20 times the first wait is beyond any longest one.
        wait = {"$multiply": [milliseconds[0], {"$pow": [2, {"$min": [{"$subtract": [f"${counter}", 1]}, 20]}]}]}
        await self.database["outbox"].update_many(
            {"_id": {"$in": list(message_ids)}, "unsent": True},
            [
                {"$set": {counter: {"$add": [{"$ifNull": [f"${counter}", 0]}, 1]}}},
                {"$set": {**also, "dueAt": {"$add": [now, {"$min": [wait, milliseconds[1]]}]}}},
            ],
        )

    async def refused_since(self, message_ids: Sequence[str], since: datetime, refusals_min: int) -> list[str]:
        """Those of these events that were refused first before a time, and so many times by now."""
        refused = {"refusals": {"$gte": refusals_min}, "refusedAt": {"$lt": since}}
        rows = self.database["outbox"].find({"_id": {"$in": list(message_ids)}, **refused}, {"_id": 1})
        return [row["_id"] async for row in rows]

    async def park(self, message_ids: Sequence[str], reason: str, now: datetime) -> None:
        """Give up unsent events: nothing tries them again until they are released."""
        await self.database["outbox"].update_many(
            {"_id": {"$in": list(message_ids)}, "unsent": True},
            {"$set": {"parkedAt": now, "reason": reason}, "$unset": {"unsent": "", "dueAt": ""}},
        )
