"""A transaction: what the facts of a batch look at is read, and all that they change is written, with few commands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from itertools import chain
from math import inf
from operator import attrgetter, is_
from typing import Any

from bson import decode_all
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.documents import COLLECTION, DECODE, ENCODE, KEPT, SET
from adapters.kept import QueueRead
from adapters.mongodb.connection import Command, in_turn, is_ambiguous
from adapters.records import HeldRow, InboxRow, Known, ReplyTo
from adapters.store.rows import BODY_PIECE, done_with, event_row, held_row, inbox_row, piece_keys, to_result, verdict
from adapters.values import VALUES, read_of, referred_to
from domain.ledger.books import Document, DocumentNeed, Need, Queued, QueueNeed, RangeNeed, WorkingSet, prefixes_of
from domain.ledger.positions import Position
from schemas.event import OutgoingEvent

COMMIT_SECONDS_MAX = 30
"""How long an ambiguous commit is tried again; after that the inbox settles it."""
READ_ROWS = 10_000
"""The most rows of one answer to a read, of at most 16 MiB in any case. By default the server sends 101 at first."""
RANGES_AT_ONCE = 500
"""How many ranges of keys are read with one command."""
DATES_MAX = 32
"""In so many groups, at most, queues are looked at that are asked for through different dates."""
SHORT_ROWS = 2
"""How many rows of each short queue are read where many of them are read whole."""
LOADED_BYTES_MAX = 16 * 1024 * 1024
"""How many bytes of documents the facts of one batch may load; in memory they are about seven times as large. A lone
fact may load more."""
ALONE = 2
"""How many identities a lone fact has. It looks them up in one command, since round trips are its latency."""
HELD_KNOWN = dict.fromkeys(
    (
        "digest",
        "digestVersion",
        "state",
        "reason",
        "detail",
        "attempts",
        "replies",
        "messageId",
        "discarded",
        "editedInto",
    ),
    1,
)
INBOX_KNOWN = {"digest": 1, "digestVersion": 1, "result": 1, "values": 1}
"""The fields that say what is recorded of an identity."""

_NOT_LOADED: dict[type, dict[str, int]] = {kept.kind: dict.fromkeys(kept.not_loaded, 0) for kept in KEPT}
"""The fields of a document that only queries need."""
_JOINED = {kept.kind for kept in KEPT if kept.at_once}
"""The kinds that most facts need. For a lone fact they are read in the command that looks up its identities, ..."""
_JOINED_MAX = 8
"""... unless it needs more documents of one kind than this: a row for each account repeats the others."""
_LARGE = {"inbox", *(kept.collection.name for kept in KEPT if kept.large)}
"""Collections whose documents may be megabytes."""
_ONLY: dict[str, dict[str, int]] = {
    "held": HELD_KNOWN,
    "inbox": INBOX_KNOWN,
    **{COLLECTION[kind]: fields for kind, fields in _NOT_LOADED.items() if fields},
}
"""The fields that are read of a row where several collections are read in one command."""
_QUEUES: dict[type, QueueRead] = {kept.kind: kept.queue for kept in KEPT if kept.queue is not None}
"""How each queue is read."""
_APPEND_ONLY = {kept.kind for kept in KEPT if kept.collection.append_only and not kept.collection.but_for}
"""What is written once."""
_SET_LATER = {kept.kind: kept.collection.but_for for kept in KEPT if kept.collection.but_for}
"""Which fields are set later of what is written once but for these."""
_ALL_ELSE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    kept.kind: attrgetter(*(one.name for one in fields(kept.kind) if one.name not in kept.layout.often))
    for kept in KEPT
    if kept.layout.often
}
"""Of what has fields that change often, all the others."""
_Closed = dict[tuple[type, str], date | None]
"""By queue, the date through which nothing is open in it but what was left behind."""
_APART = {kept.kind: kept.apart for kept in KEPT if kept.apart is not None}
"""What takes large values out of a row."""


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
    seen_again: list[tuple[str, datetime]] = field(default_factory=list)
    outbox: list[OutgoingEvent] = field(default_factory=list)


class TooMuchToLoad(Exception):
    """The facts of a batch look at more of the books than one transaction loads: there have to be fewer of them."""


class ClaimLost(Exception):
    """A held message that was claimed here is no longer as it was: another worker took it up."""


class Transaction:
    """One transaction, made by `Store.transaction`; whoever writes beside it does so in its `session`."""

    def __init__(self, database: Any, session: Any) -> None:
        self.database = database
        self.session = session
        self._loaded_bytes = 0
        self._loaded_bytes_max: float = inf

    def limit_loading(self) -> None:
        """Raise `TooMuchToLoad` when more than `LOADED_BYTES_MAX` are loaded."""
        self._loaded_bytes_max = LOADED_BYTES_MAX

    async def look_up(self, identities: Sequence[str], needs: Iterable[Need], books: WorkingSet) -> dict[str, Known]:
        """Look up these identities in the inbox and among what is held, and load what is needed with them.

        These are a transaction's first reads, sent one after the other. Raises `TooMuchToLoad` and the driver's errors.
        """
        documents, queues, ranges = _by_kind(needs)
        if len(identities) <= ALONE and _are_few(documents):
            keys = {"held": identities, "inbox": identities}
            keys.update({COLLECTION[kind]: sorted(ids) for kind, ids in documents.items()})
            [joined] = await self._in_turn([_at_once(keys)])
            held, inbox, *rows = (_rows_of(joined, name) for name in keys)
        else:
            ids = {"_id": {"$in": list(identities)}}
            held, inbox, *rows = await self._in_turn(
                [_find("held", ids, HELD_KNOWN), _find("inbox", ids, INBOX_KNOWN), *_finds(documents)]
            )
        _take_in(documents, rows, books)
        await self._load_queues(queues, books)
        await self._load_ranges(ranges, books)
        found = {
            row["_id"]: Known(
                row["digest"],
                row["digestVersion"],
                row["state"],
                reason=row["reason"],
                detail=row["detail"],
                attempts=row["attempts"],
                replies=len(row["replies"]),
                message_id=row["messageId"],
                done=done_with(row),
            )
            for row in held
        }
        values = await self._values_of(inbox)
        found.update(
            {
                row["_id"]: Known(row["digest"], row["digestVersion"], "applied", result=to_result(row, values))
                for row in inbox
            }
        )
        return found

    async def _values_of(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """The values that rows refer to, by id: where they refer to none, nothing is read."""
        ids = referred_to(rows)
        if not ids:
            return {}
        [found] = await self._in_turn([_find(VALUES, {"_id": {"$in": ids}}, {})])
        return read_of(found)

    async def load(self, needs: Iterable[Need], books: WorkingSet) -> None:
        """Load what is needed into the working set: one read for each collection of documents and kind of queue.

        Raises `TooMuchToLoad` and the driver's errors.
        """
        documents, queues, ranges = _by_kind(needs)
        _take_in(documents, await self._in_turn(_finds(documents)), books)
        await self._load_queues(queues, books)
        await self._load_ranges(ranges, books)

    async def _load_ranges(self, needs: Collection[RangeNeed], books: WorkingSet) -> None:
        """Load ranges of keys: so many of a kind with one read."""
        by_kind: dict[type, dict[str, RangeNeed]] = defaultdict(dict)
        for need in needs:
            by_kind[need.type][need.prefix] = need
        reads = [
            (kind, prefixes[n : n + RANGES_AT_ONCE])
            for kind, prefixes in ((kind, sorted(found)) for kind, found in by_kind.items())
            for n in range(0, len(prefixes), RANGES_AT_ONCE)
        ]
        answers = await self._in_turn([_find(COLLECTION[kind], _within(some), {}) for kind, some in reads])
        for (kind, some), rows in zip(reads, answers, strict=True):
            within: dict[str, list[Document]] = {prefix: [] for prefix in some}
            for row in rows:
                document = DECODE[kind](row)
                for prefix in prefixes_of(row["_id"]):
                    if prefix in within:
                        within[prefix].append(document)
            for prefix, documents in within.items():
                books.load_range(by_kind[kind][prefix], documents)

    async def _load_queues(self, needs: Iterable[QueueNeed], books: WorkingSet) -> None:
        """Load queues: short ones of many owners whole, the others by how much is needed of them."""
        # A position that has just come may prove that a queue is empty.
        missing: dict[tuple[type, str], QueueNeed] = {}
        for need in needs:
            if not books.has(need):
                key = (need.type, need.owner)
                missing[key] = _both(missing[key], need) if key in missing else need
        closed = await self._closed_through(missing, books)
        short: dict[type, list[QueueNeed]] = defaultdict(list)
        for need in missing.values():
            if _QUEUES[need.type].short:
                short[need.type].append(need)
        together = {kind: _by_dates(some, closed) for kind, some in short.items() if len(some) > 1}
        reads = [_whole_queues(kind, groups, closed, _most(short[kind])) for kind, groups in together.items()]
        for (kind, groups), found in zip(together.items(), await self._in_turn(reads), strict=True):
            rows = self._by_owner(kind, found, books)
            last = max(rows) if len(found) == _most(short[kind]) else None
            for some in groups:
                through = _through(some)
                for need in some:
                    # Of the last one there may be more, and of those after it.
                    if last is None or need.owner < last:
                        del missing[kind, need.owner]
                        books.load_queue(need._replace(limit=None, through=through), rows[need.owner])
        await self._load_by_limit(missing.values(), closed, books)

    async def _closed_through(self, queues: Iterable[tuple[type, str]], books: WorkingSet) -> _Closed:
        """Through which dates nothing is open in queues but what was left behind, as the database has it."""
        owners = [key for key in queues if _QUEUES[key[0]].closed_through is not None]
        if unknown := {owner for _, owner in owners if books.lacks(Position, owner)}:
            await self.load([DocumentNeed(Position, owner) for owner in unknown], books)
        closed: _Closed = {}
        for key in owners:
            through_of, position = _QUEUES[key[0]].closed_through, books.stored.get((Position, key[1]))
            if through_of is not None and position is not None:
                closed[key] = through_of(position)
        return closed

    async def _load_by_limit(self, needs: Collection[QueueNeed], closed: _Closed, books: WorkingSet) -> None:
        """Load queues: whole ones, and those of accounts, with one read for each kind and limit, others one by one."""
        together: dict[tuple[type, int | None], list[QueueNeed]] = defaultdict(list)
        for need in needs:
            together[need.type, need.limit].append(need)
        reads: list[tuple[type, Command]] = []
        for (kind, limit), some in together.items():
            queue = _QUEUES[kind]
            if len(some) > 1 and queue.of_accounts and queue.closed_through is None:
                reads.append((kind, _queues(kind, [need.owner for need in some], limit)))
            elif len(some) > 1 and limit is None:
                reads.append((kind, _whole_queues(kind, [some], closed, 0)))
            else:
                through = _through(some)
                reads += [(kind, _queue(need._replace(through=through), closed)) for need in some]
        rows: dict[type, dict[str, list[Queued]]] = defaultdict(lambda: defaultdict(list))
        for (kind, _), found in zip(reads, await self._in_turn([read for _, read in reads]), strict=True):
            for owner, documents in self._by_owner(kind, found, books).items():
                rows[kind][owner] += documents
        for (kind, _), some in together.items():
            through = _through(some)
            for need in some:
                books.load_queue(need._replace(through=through), rows[kind][need.owner])

    @staticmethod
    def _by_owner(kind: type, found: Iterable[dict[str, Any]], books: WorkingSet) -> dict[str, list[Queued]]:
        """Rows of queues as documents, by the owner whose queue it is."""
        documents: dict[str, list[Queued]] = defaultdict(list)
        key = _QUEUES[kind].owner
        for row in found:
            # One that a payment names is here already.
            documents[row[key]].append(books.peek(kind, row["_id"]) or DECODE[kind](row))
        return documents

    async def write(self, books: WorkingSet, batch: Batch) -> None:
        """Write what the facts of a batch have changed: one bulk write for each collection.

        Each is made while the database works on those before it. Raises `ClaimLost` when a held message was taken up by
        another worker meanwhile, and the driver's errors.
        """
        check_kinds(books)
        guarded = _guarded(batch.held_changes)
        values: dict[str, bytes] = {}
        writes = chain(_writes_of_books(books, values), _writes_beside(batch, values), [("held", guarded)])
        done = await self._in_turn(self._bulk(name, operations) for name, operations in writes if operations)
        if guarded and done[-1].deleted_count + done[-1].matched_count != len(guarded):
            raise ClaimLost

    def _bulk(self, name: str, operations: list[Any]) -> Command:
        """A bulk write to a collection; raises the first error.

        Ordered: unordered, the driver would send its next message after the first error has ended the transaction, and
        raise that the transaction has ended, which looks as if running it again would help.
        """
        return lambda database, session: database[name].bulk_write(operations, ordered=True, session=session)

    async def commit(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Commit, and do something `meanwhile`.

        An ambiguous answer is asked again, since committing twice is committing once.
        """
        try:
            await self._commit(meanwhile)
        except PyMongoError as error:
            if not is_ambiguous(error):
                raise
            await self._commit_again()

    async def _commit(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        def commands() -> Iterator[Command]:
            yield lambda _, session: session.commit_transaction()
            meanwhile()

        await self._in_turn(commands())

    async def _commit_again(self) -> None:
        # Not made for each transaction: it leaves cycles behind, which cost a pause of 20 ms now and then.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(is_ambiguous),
            wait=wait_exponential_jitter(multiplier=0.05, max=2),
            stop=stop_after_delay(COMMIT_SECONDS_MAX),
            reraise=True,
        ):
            with attempt:
                await self._commit()

    async def _in_turn(self, commands: Iterable[Command]) -> list[Any]:
        return await in_turn(self.database, self.session, commands, self._take) if commands else []

    def _take(self, answer: bytes) -> list[dict[str, Any]]:
        self._loaded_bytes += len(answer)
        if self._loaded_bytes > self._loaded_bytes_max:
            raise TooMuchToLoad
        return decode_all(answer, self.database.codec_options)


_Write = tuple[str, list[Any]]
"""The writes to a collection."""


def _writes_of_books(books: WorkingSet, values: dict[str, bytes]) -> Iterator[_Write]:
    """The writes of documents, collection by collection; values that are kept apart are added to `values`."""
    for kind, name in COLLECTION.items():
        encode = ENCODE[kind]
        operations: list[Any] = [
            InsertOne(encode(document)) if stored is None else _change(kind, stored, document)
            for id_, document in books.changed.get(kind, {}).items()
            for stored in (books.stored.get((kind, id_)),)
        ]
        apart = _APART.get(kind)
        for document in books.rows.get(kind, ()):
            row = encode(document)
            if apart is not None:
                apart(document, row, values)
            operations.append(InsertOne(row))
        yield name, operations


def _writes_beside(batch: Batch, values: dict[str, bytes]) -> Iterator[_Write]:
    """The writes beside the books, but for the rows that were claimed; at last the values, those of documents too."""
    yield "inbox", [InsertOne(inbox_row(row, values)) for row in batch.inbox]
    yield "outbox", [InsertOne(event_row(event, values)) for event in batch.outbox]
    # What is there already is left as it is.
    yield (
        VALUES,
        [UpdateOne({"_id": id_}, {"$setOnInsert": {"json": json}}, upsert=True) for id_, json in values.items()],
    )
    yield from _held_writes(batch)


def _change(kind: type[Document], stored: Any, document: Any) -> ReplaceOne[dict[str, Any]] | UpdateOne:
    """The write of a document that is there, `stored` as it was loaded.

    Of what is written once but for some fields these alone are sent; what changes often is sent alone where all else is
    still the same. Equal is not enough: 1.0 and 1.00 are, and are kept as they were written.
    """
    if kind in _ALL_ELSE and all(map(is_, _ALL_ELSE[kind](stored), _ALL_ELSE[kind](document))):
        return UpdateOne({"_id": document.id}, {"$set": SET[kind](document)})
    row = ENCODE[kind](document)
    later = _SET_LATER.get(kind)
    if later is None:
        return ReplaceOne({"_id": row["_id"]}, row)
    return UpdateOne({"_id": row["_id"]}, {"$set": {field: row[field] for field in later if field in row}})


def check_kinds(books: WorkingSet) -> None:
    """Raise `AssertionError` for kinds that can't be written as they were changed.

    What nothing keeps would be dropped in silence, its entry committed; what is append-only is never replaced.
    """
    changed = {kind for kind, documents in books.changed.items() if documents}
    appended = {kind for kind, rows in books.rows.items() if rows}
    unknown = (changed | appended) - COLLECTION.keys()
    assert not unknown, f"nothing keeps {sorted(kind.__name__ for kind in unknown)}"
    assert changed.isdisjoint(_APPEND_ONLY), f"append-only, and put: {changed & _APPEND_ONLY}"
    assert appended <= _APPEND_ONLY, f"appended, and not append-only: {appended - _APPEND_ONLY}"


def _find(name: str, which: dict[str, Any], fields: dict[str, int]) -> Command:
    return lambda database, session: database[name].find_raw_batches(
        which, fields, session=session, batch_size=READ_ROWS
    )


def _finds(documents: dict[type, set[str]]) -> list[Command]:
    return [
        _find(COLLECTION[kind], {"_id": {"$in": sorted(ids)}}, _NOT_LOADED[kind]) for kind, ids in documents.items()
    ]


def _are_few(documents: Mapping[type, set[str]]) -> bool:
    return documents.keys() <= _JOINED and all(len(ids) <= _JOINED_MAX for ids in documents.values())


def _at_once(keys: Mapping[str, Sequence[str]]) -> Command:
    """Read the documents of several collections with one command; `_rows_of` makes rows of its answer."""
    # $literal: senders choose ids, and a string that begins with a dollar would be an expression.
    stages: list[dict[str, Any]] = [{"$documents": [{name: {"$literal": list(ids)} for name, ids in keys.items()}]}]
    for name in sorted(keys, key=_LARGE.__contains__):
        only = [{"$project": _ONLY[name]}] if name in _ONLY else []
        stages.append(
            {"$lookup": {"from": name, "localField": name, "foreignField": "_id", "pipeline": only, "as": name}}
        )
        if name in _LARGE:
            # A row for each of them: together they may be more than the 16 MiB of a document.
            stages.append({"$unwind": {"path": f"${name}", "preserveNullAndEmptyArrays": True}})
    return lambda database, session: database.aggregate(stages, session=session)


def _rows_of(joined: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The documents of one collection. A large one comes in a row of its own, which repeats all else."""
    if name in _LARGE:
        return list({row[name]["_id"]: row[name] for row in joined if name in row}.values())
    return next((row[name] for row in joined), [])


def _within(prefixes: Sequence[str]) -> dict[str, Any]:
    """The filter of what is in ranges: by the index of `_id`, a look for each. What follows a stroke is a zero."""
    ranges = [{"_id": {"$gte": f"{prefix}/", "$lt": f"{prefix}0"}} for prefix in prefixes]
    return {"$or": [{"_id": {"$in": list(prefixes)}}, *ranges]}


def _by_kind(needs: Iterable[Need]) -> tuple[dict[type, set[str]], list[QueueNeed], list[RangeNeed]]:
    """The keys of the documents that are needed, by their type; the queues; and the ranges."""
    documents: dict[type, set[str]] = defaultdict(set)
    queues: list[QueueNeed] = []
    ranges: list[RangeNeed] = []
    for need in needs:
        if isinstance(need, DocumentNeed):
            documents[need.type].add(need.id)
        elif isinstance(need, RangeNeed):
            ranges.append(need)
        else:
            queues.append(need)
    return documents, queues, ranges


def _take_in(documents: dict[type, set[str]], found: Iterable[list[dict[str, Any]]], books: WorkingSet) -> None:
    """Put the documents that were found into the books, and say of the others that there is none."""
    for (kind, ids), rows in zip(documents.items(), found, strict=True):
        decode = DECODE[kind]
        for row in rows:
            books.load(kind, row["_id"], decode(row))
        for missing in ids - {row["_id"] for row in rows}:
            books.load(kind, missing, None)


def _both(one: QueueNeed, other: QueueNeed) -> QueueNeed:
    """What two needs of a queue come to: as much as both together."""
    through = None if one.through is None or other.through is None else max(one.through, other.through)
    if one.limit is None or other.limit is None:
        return one._replace(limit=None, through=through)
    # Up to different dates each uses its own; else they were counted already.
    limit = one.limit + other.limit if through is not None else max(one.limit, other.limit)
    return one._replace(limit=limit, through=through)


def _by_dates(needs: Iterable[QueueNeed], closed: _Closed) -> list[list[QueueNeed]]:
    """Needs of queues in groups that are looked at together: those of the same dates; of many dates, of close ones."""
    by_dates: dict[tuple[date, date], list[QueueNeed]] = defaultdict(list)
    for need in needs:
        by_dates[need.through or date.max, closed.get((need.type, need.owner)) or date.min].append(need)
    each = -(-len(by_dates) // DATES_MAX)
    dates = sorted(by_dates)
    return [[need for key in dates[n : n + each] for need in by_dates[key]] for n in range(0, len(dates), max(1, each))]


def _through(needs: Iterable[QueueNeed]) -> date | None:
    """The date up to which queues are read together: the last one that is asked for."""
    dates = [need.through for need in needs]
    known = [day for day in dates if day is not None]
    return max(known) if len(known) == len(dates) else None


def _open_in(groups: Sequence[Sequence[QueueNeed]], closed: _Closed) -> dict[str, Any]:
    """The filter of what is open in several queues of a kind, of each group through its date.

    It is as many looks at the index, whose rows are merged on the server; and one at that of what was left behind.
    """
    queue = _QUEUES[groups[0][0].type]
    each: list[dict[str, Any]] = []
    for some in groups:
        ends = [closed.get((need.type, need.owner)) for need in some]
        known = [end for end in ends if end is not None]
        dates = {"$gt": min(known).isoformat()} if len(known) == len(some) else {}
        each.append(_which(queue, some, dates))
    needs = [need for some in groups for need in some]
    if any(closed.get((need.type, need.owner)) for need in needs):
        each.append({**_which(queue, needs, {}), **queue.behind})
    return each[0] if len(each) == 1 else {"$or": each}


def _which(queue: QueueRead, needs: Collection[QueueNeed], dates: dict[str, Any]) -> dict[str, Any]:
    """The filter of what is open in some queues, within dates and no later than they are asked for."""
    owners = sorted({need.owner for need in needs})
    through = _through(needs)
    if through is not None:
        dates = {**dates, "$lte": through.isoformat()}
    which = {queue.owner: {"$in": owners} if len(owners) > 1 else owners[0], **queue.is_open}
    return {**which, queue.order: dates} if dates else which


def _queue(need: QueueNeed, closed: _Closed) -> Command:
    """The first rows of one queue, in order, or of those through a date."""
    return _whole_queues(need.type, [[need]], closed, need.limit or 0)


def _most(needs: Collection[QueueNeed]) -> int:
    """How many rows of short queues are read together: where there are more, each is read as far as it is needed.

    What is asked for through a date is used, as far as its limit goes.
    """
    return sum(SHORT_ROWS if need.through is None or need.limit is None else need.limit for need in needs)


def _whole_queues(kind: type, groups: Sequence[Sequence[QueueNeed]], closed: _Closed, most: int) -> Command:
    """All rows of several queues, queue by queue, each in its order; or so many of them."""
    queue, which = _QUEUES[kind], _open_in(groups, closed)
    order = [(queue.owner, 1), (queue.order, queue.direction), ("_id", 1)]
    return lambda database, session: (
        database[COLLECTION[kind]]
        .find_raw_batches(which, session=session, batch_size=READ_ROWS)
        .sort(order)
        .limit(most)
    )


def _queues(kind: type, owners: list[str], limit: int | None) -> Command:
    """The first rows of each account's queue, in order: a read by the index for each, on the server."""
    queue = _QUEUES[kind]
    first: list[dict[str, Any]] = [{"$match": queue.is_open}, {"$sort": {queue.order: queue.direction, "_id": 1}}]
    if limit is not None:
        first.append({"$limit": limit})
    lookup = {
        "from": COLLECTION[kind],
        "localField": "_id",
        "foreignField": queue.owner,
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
    positions = COLLECTION[Position]
    return lambda database, session: database[positions].aggregate_raw_batches(
        pipeline, session=session, batchSize=READ_ROWS
    )


def _held_writes(batch: Batch) -> list[_Write]:
    """The writes for messages that are held now or no more, but for the rows that were claimed."""
    pieces: list[Any] = []
    operations: list[Any] = []
    for row in batch.held:
        document = held_row(row)
        keys = piece_keys(row)
        if keys:
            document["body"] = b""
            document["pieces"] = len(keys)
            pieces += [
                InsertOne({"_id": key, "data": row.body[n * BODY_PIECE : (n + 1) * BODY_PIECE]})
                for n, key in enumerate(keys)
            ]
        operations.append(InsertOne(document))
    operations += [
        UpdateOne({"_id": identity}, {"$push": {"replies": {"replyTo": to.queue, "correlationId": to.correlation_id}}})
        for identity, to in batch.replies
    ]
    operations += [
        UpdateOne({"_id": identity}, {"$inc": {"seenAgain": 1}, "$set": {"seenAgainAt": at}})
        for identity, at in batch.seen_again
    ]
    # Holding an identity has to conflict with applying it, which another worker may be doing at this moment: the one
    # writes `held`, the other `inbox`, so under snapshot isolation neither would see the other. A row that is put into
    # the inbox and taken out again in one transaction leaves nothing but the conflict.
    guards = [{"_id": row.identity} for row in batch.held]
    pieces += [
        DeleteOne({"_id": key})
        for change in batch.held_changes
        if change.row is None
        for key in piece_keys(change.claimed)
    ]
    return [
        ("held", operations),
        ("inbox", [InsertOne(dict(guard)) for guard in guards]),
        ("inbox", [DeleteOne(guard) for guard in guards]),
        ("heldBodies", pieces),
    ]


def _guarded(changes: Iterable[HeldChange]) -> list[Any]:
    """The writes of rows that were claimed, each of which has to find its row as it was claimed."""
    operations: list[Any] = []
    for change in changes:
        # Whoever claims a row raises its attempts: that they are still the same says that the claim still holds.
        which = {"_id": change.claimed.identity, "attempts": change.claimed.attempts, "state": change.claimed.state}
        operations.append(DeleteOne(which) if change.row is None else UpdateOne(which, {"$set": verdict(change.row)}))
    return operations
