"""The store: what a batch looks at is read, and all that it changes is written, in one MongoDB transaction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import uuid4

from bson import Binary
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.collections import EPOCH, prepare
from adapters.documents import COLLECTION, DECODE, ENCODE
from adapters.mongodb import (
    APP_NAME,
    TRANSACTION,
    awaited,
    check_topology,
    connect,
    disconnect,
    is_conflict,
    is_transient,
)
from adapters.parked import Desk, whole_body
from adapters.records import HeldRow, InboxRow, Known, ReplyTo
from adapters.rows import BODY_PIECE, event_row, held_row, inbox_row, piece_keys, to_event, to_held, verdict
from domain.accounts import Position
from domain.accruals import Accrual
from domain.books import DocumentNeed, Need, Queued, QueueNeed, WorkingSet
from domain.invoices import Invoice
from domain.lifecycle import WAITS
from domain.links import Link
from domain.payments import Payment
from domain.specifications import SPECIFICATIONS
from schemas.events import OutgoingEvent

T = TypeVar("T")

COMMIT_SECONDS_MAX = 30
"""How long an ambiguous commit is tried again; after that the inbox settles it."""
ACT_SECONDS_MAX = 30
"""How long an operator's act is tried again."""
ABANDONED = timedelta(seconds=1)
"""After so long without a word from it a transaction counts as left open, when a claim ran out: at worst a worker that
lives runs its batch again."""
LOCKED_MS_MAX = 1_000
"""How long rows that another transaction has locked are waited for, of those whose claim ran out."""
READ_ROWS = 10_000
"""The most rows of one answer to a read; it has 16 MiB at most anyhow. Unless told the server sends 101 at first."""
NOT_LOADED = {"json": 0}
"""What of a document only queries need: an account as they give it."""
CLAIM_MAX = 500
"""The most held messages that are claimed at once."""
CLAIM_BYTES_MAX = 16 * 1024 * 1024
"""The most bytes of them, unless one alone has more."""

# How a queue is read: its collection's owner and order fields, and the filter of the partial index that serves it.
_QUEUES: dict[type, tuple[str, str, dict[str, Any]]] = {
    Invoice: ("billingAccount", "paymentDueDate", {"remainingAmount": {"$gt": 0}}),
    Payment: ("billingAccount", "receivedAt", {"unapplied": {"$gt": 0}}),
    Accrual: ("settlementAccount", "date", {"settlementId": {"$type": "null"}}),
    Link: ("owner", "referrer", {"open": True}),
}

_OF_ACCOUNTS = (Invoice, Payment, Accrual)
"""The queues whose owners are accounts, each of which has a position."""

# What may be waited for, by the name before the colon: where it is, and what makes it be there.
_AWAITED: dict[str, tuple[str, dict[str, Any]]] = {
    "account": ("accounts", {}),
    "resumed": ("accounts", {"state": {"$nin": sorted(WAITS)}}),
    "settlement": ("settlements", {}),
    **{kind.RESOURCE: (COLLECTION[kind], {}) for kind in SPECIFICATIONS.values()},
}


@dataclass(slots=True)
class HeldChange:
    """A held row as it was claimed, and what it becomes: None when it is gone."""

    claimed: HeldRow
    row: HeldRow | None


@dataclass(slots=True)
class Batch:
    """What one transaction writes beside the books."""

    inbox: list[InboxRow] = field(default_factory=list)
    held: list[HeldRow] = field(default_factory=list)
    held_changes: list[HeldChange] = field(default_factory=list)
    replies: list[tuple[str, ReplyTo]] = field(default_factory=list)
    outbox: list[OutgoingEvent] = field(default_factory=list)


class ClaimLost(Exception):
    """A held message that was claimed here is no longer as it was: another worker took it up."""


class Store:
    """A database of Paymaster's; `driver` says which MongoDB driver is used."""

    def __init__(self, url: str, database: str, driver: Literal["motor", "pymongo"] = "motor") -> None:
        self._client = connect(url, driver)
        self.database = self._client[database]

    async def prepare(self) -> None:
        """Check the topology and make the collections and indexes; raises `WrongTopology` and the driver's errors."""
        await check_topology(self._client)
        await prepare(self.database)

    async def close(self) -> None:
        """Let go of the connections."""
        await disconnect(self._client)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, aborted unless it is committed before the block ends."""
        session = await awaited(self._client.start_session())
        try:
            await awaited(session.start_transaction(**TRANSACTION))
            yield Transaction(self.database, session)
        finally:
            try:
                if session.in_transaction:
                    await session.abort_transaction()
            except PyMongoError:
                pass  # the server ends what it no longer hears of; the reason to abort is what counts
            await session.end_session()

    async def end_abandoned(self, inactive: timedelta) -> int:
        """End transactions that a worker left open when it died; returns how many.

        The server keeps them, and what they have written locked, until they are 60 seconds old: so long nobody could
        write the same documents. One whose worker lives and is only slow fails there as after a step-down, and is
        run again; `inactive` is how long nothing was heard of it.
        """
        pipeline = [
            {"$currentOp": {"idleSessions": True}},
            {
                "$match": {
                    "type": "idleSession",
                    "appName": APP_NAME,
                    "transaction.timeInactiveMicros": {"$gte": int(inactive.total_seconds() * 1e6)},
                }
            },
        ]
        # What the server is at is not read by majority.
        admin = self._client.get_database("admin", read_concern=ReadConcern("local"))
        cursor = await awaited(admin.aggregate(pipeline))
        sessions = [{"id": row["lsid"]["id"]} async for row in cursor]
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
                {"q": {"state": state, **ran_out}, "u": change, "multi": True} for state in ("waiting", "suspect")
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
        """Those of `names` (`account:<id>`, `resumed:<account>`, `settlement:<id>`, `bill-format:<id>`) that are so."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for name in names:
            kind, _, id_ = name.partition(":")
            wanted[kind].append(id_)
        found = []
        for kind, ids in wanted.items():
            collection, there = _AWAITED[kind]
            rows = self.database[collection].find({"_id": {"$in": ids}, **there}, {"_id": 1})
            found += [f"{kind}:{row['_id']}" async for row in rows]
        return found

    async def at_desk(
        self, by: str, at: datetime, account_of: Callable[[Any], str | None], do: Callable[[Desk], Awaitable[T]]
    ) -> T:
        """Do something at an operator's desk, in a transaction of its own.

        It is tried again while workers or other operators are in the way, for some seconds; then it raises the driver's
        error.
        """
        async for attempt in AsyncRetrying(
            # Not when nobody knows whether it is done: done a second time it would be told that it can't be.
            retry=retry_if_exception(
                lambda error: (is_transient(error) or is_conflict(error)) and not _is_ambiguous(error)
            ),
            wait=wait_exponential_jitter(multiplier=0.05, max=1),
            stop=stop_after_delay(ACT_SECONDS_MAX),
            reraise=True,
        ):
            with attempt:
                async with self.transaction() as transaction:
                    done = await do(transaction.desk(by, at, account_of))
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
        events: list[OutgoingEvent] = []
        size = 0
        cursor = self.database["outbox"].find(query).sort([("bookedAt", 1), ("_id", 1)]).limit(limit)
        try:
            async for row in cursor:
                size += len(row["body"])
                if events and size > bytes_max:
                    break
                events.append(to_event(row))
        finally:
            await cursor.close()
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


class Transaction:
    """One transaction, made by `Store.transaction`."""

    def __init__(self, database: Any, session: Any) -> None:
        self._database = database
        self._session = session

    async def known(self, identities: Sequence[str]) -> dict[str, Known]:
        """What is recorded of these identities, in the inbox or among what is held."""
        ids = {"_id": {"$in": list(identities)}}
        found: dict[str, Known] = {}
        fields = {"digest": 1, "state": 1, "reason": 1, "detail": 1, "attempts": 1, "replies": 1}
        async for row in self._database["held"].find(ids, fields, session=self._session, batch_size=READ_ROWS):
            found[row["_id"]] = Known(
                row["digest"],
                row["state"],
                reason=row["reason"],
                detail=row["detail"],
                attempts=row["attempts"],
                replies=len(row["replies"]),
            )
        inbox = self._database["inbox"]
        async for row in inbox.find(ids, {"digest": 1, "result": 1}, session=self._session, batch_size=READ_ROWS):
            found[row["_id"]] = Known(row["digest"], "applied", result=row["result"])
        return found

    async def load(self, needs: Iterable[Need], books: WorkingSet) -> None:
        """Load what is needed into the working set: one read for each collection of documents and kind of queue."""
        documents: dict[type, set[str]] = defaultdict(set)
        queue_needs: list[QueueNeed] = []
        for need in needs:
            if isinstance(need, DocumentNeed):
                documents[need.type].add(need.id)
            else:
                queue_needs.append(need)
        for kind, ids in documents.items():
            cursor = self._database[COLLECTION[kind]].find(
                {"_id": {"$in": sorted(ids)}}, NOT_LOADED, session=self._session, batch_size=READ_ROWS
            )
            decode = DECODE[kind]
            async for row in cursor:
                ids.remove(row["_id"])
                books.load(kind, row["_id"], decode(row))
            for missing in ids:
                books.load(kind, missing, None)
        queues: dict[type, dict[str, QueueNeed]] = defaultdict(dict)
        for need in queue_needs:
            # A position that has just come may prove that a queue is empty.
            if not books.has(need):
                queues[need.type][need.owner] = need
        for kind, by_owner in queues.items():
            await self._load_queues(kind, by_owner, books)

    async def _load_queues(self, kind: type, needs: dict[str, QueueNeed], books: WorkingSet) -> None:
        """The queues of accounts in one read for each limit, any others one by one."""
        by_limit: dict[int | None, list[str]] = defaultdict(list)
        for owner, need in needs.items():
            by_limit[need.limit].append(owner)
        for limit, owners in by_limit.items():
            rows: dict[str, list[Queued]] = defaultdict(list)
            if len(owners) > 1 and kind in _OF_ACCOUNTS:
                async for row in await self._read_queues(kind, owners, limit):
                    # One that a payment names is here already.
                    document: Any = books.peek(kind, row["_id"]) or DECODE[kind](row)
                    rows[document.owner].append(document)
            else:
                for owner in owners:
                    rows[owner] = await self._read_queue(kind, owner, limit)
            for owner in owners:
                books.load_queue(needs[owner], rows[owner])

    async def _read_queues(self, kind: type, owners: list[str], limit: int | None) -> Any:
        """The first rows of each account's queue, in order: a read by the index for each, on the server."""
        owner_field, order_field, is_open = _QUEUES[kind]
        first: list[dict[str, Any]] = [{"$match": is_open}, {"$sort": {order_field: 1, "_id": 1}}]
        if limit is not None:
            first.append({"$limit": limit})
        lookup = {
            "from": COLLECTION[kind],
            "localField": "_id",
            "foreignField": owner_field,
            "pipeline": first,
            "as": "row",
        }
        pipeline = [
            {"$match": {"_id": {"$in": sorted(owners)}}},
            {"$project": {"_id": 1}},
            # Unwound at once, the rows of an account are never together in one document, which has 16 MiB at most.
            {"$lookup": lookup},
            {"$unwind": "$row"},
            {"$replaceWith": "$row"},
        ]
        positions = self._database[COLLECTION[Position]]
        return await awaited(positions.aggregate(pipeline, session=self._session, batchSize=READ_ROWS))

    async def _read_queue(self, kind: type, owner: str, limit: int | None) -> list[Queued]:
        owner_field, order_field, is_open = _QUEUES[kind]
        cursor = self._database[COLLECTION[kind]].find(
            {owner_field: owner, **is_open}, session=self._session, batch_size=READ_ROWS
        )
        cursor = cursor.sort([(owner_field, 1), (order_field, 1), ("_id", 1)]).limit(limit or 0)
        return [DECODE[kind](row) async for row in cursor]

    def desk(self, by: str, at: datetime, account_of: Callable[[Any], str | None]) -> Desk:
        """Where an operator's acts are done within this transaction."""
        return Desk(self._database, self._session, by, at, account_of)

    async def write(self, books: WorkingSet, batch: Batch) -> None:
        """Write what the facts of a batch have changed: one bulk write for each collection.

        Raises `ClaimLost` when a held message was taken up by another worker meanwhile, and the driver's errors.
        """
        for kind, name in COLLECTION.items():
            encode = ENCODE[kind]
            operations: list[Any] = [
                ReplaceOne({"_id": id_}, encode(document))
                if (kind, id_) in books.stored
                else InsertOne(encode(document))
                for id_, document in books.changed.get(kind, {}).items()
            ]
            operations += [InsertOne(encode(row)) for row in books.rows.get(kind, ())]
            await self._bulk(name, operations)
        await self._bulk("inbox", [InsertOne(inbox_row(row)) for row in batch.inbox])
        await self._bulk("outbox", [InsertOne(event_row(event)) for event in batch.outbox])
        await self._write_held(batch)

    async def _write_held(self, batch: Batch) -> None:
        pieces: list[Any] = []
        operations: list[Any] = []
        for row in batch.held:
            document = held_row(row)
            keys = piece_keys(row)
            if keys:
                document["body"] = b""
                document["pieces"] = len(keys)
                pieces += [
                    InsertOne({"_id": key, "data": Binary(row.body[n * BODY_PIECE : (n + 1) * BODY_PIECE])})
                    for n, key in enumerate(keys)
                ]
            operations.append(InsertOne(document))
        operations += [
            UpdateOne(
                {"_id": identity}, {"$push": {"replies": {"replyTo": to.queue, "correlationId": to.correlation_id}}}
            )
            for identity, to in batch.replies
        ]
        await self._bulk("held", operations)
        await self._guard_identities([row.identity for row in batch.held])
        guarded: list[Any] = []
        for change in batch.held_changes:
            # Whoever claims a row raises its attempts: that they are still the same says that the claim still holds.
            which = {"_id": change.claimed.identity, "attempts": change.claimed.attempts, "state": change.claimed.state}
            if change.row is None:
                guarded.append(DeleteOne(which))
                pieces += [DeleteOne({"_id": key}) for key in piece_keys(change.claimed)]
            else:
                guarded.append(UpdateOne(which, {"$set": verdict(change.row)}))
        if guarded:
            done = await self._bulk("held", guarded)
            if done.deleted_count + done.matched_count != len(guarded):
                raise ClaimLost
        await self._bulk("heldBodies", pieces)

    async def _guard_identities(self, identities: list[str]) -> None:
        """Make holding an identity conflict with applying it, which another worker may be doing at this moment.

        The one writes `held`, the other `inbox`, so under snapshot isolation neither would see the other. A row that
        is put into the inbox and taken out again in one transaction leaves nothing but the conflict.
        """
        await self._bulk("inbox", [InsertOne({"_id": identity}) for identity in identities])
        await self._bulk("inbox", [DeleteOne({"_id": identity}) for identity in identities])

    async def _bulk(self, name: str, operations: list[Any]) -> Any:
        """Write to a collection; of what fails the first error is raised.

        In order: unordered the driver would go on with its next message when the first error has ended the
        transaction, and raise that it has ended, which looks as if running it again would help.
        """
        if operations:
            return await self._database[name].bulk_write(operations, ordered=True, session=self._session)
        return None

    async def commit(self) -> None:
        """Commit; an ambiguous answer is asked again, since committing twice is committing once."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_is_ambiguous),
            wait=wait_exponential_jitter(multiplier=0.05, max=2),
            stop=stop_after_delay(COMMIT_SECONDS_MAX),
            reraise=True,
        ):
            with attempt:
                await self._session.commit_transaction()


def _is_ambiguous(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")
