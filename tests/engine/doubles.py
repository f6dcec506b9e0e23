"""Doubles behind the engine's ports: a broker and a database in memory, workers that can die on the way to them.

All of it runs in a time of its own, in which nobody waits: a minute's lease is over as soon as nothing else is to be
done. What must never be is noted in `World.wrong` where it happens: in a worker's task it could be swallowed.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple, cast

from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from adapters.documents import KEPT
from adapters.rabbitmq.publisher import Publisher, Sent
from adapters.rabbitmq.relay import Relay
from adapters.rabbitmq.work_queue import Acknowledger, Delivery
from adapters.records import HeldRow, InboxRow, Known, Properties
from adapters.store.store import AWAITED, CLAIM_MAX, Store
from adapters.store.transaction import Batch, ClaimLost
from domain.accounts.lifecycle import WAITS
from domain.ledger.books import DocumentNeed, Need, RangeNeed, WorkingSet
from handlers.engine.group_commit import BatchPolicy, GroupCommit
from handlers.engine.held import Waker
from handlers.engine.intake import take
from handlers.engine.replies import ReplySender
from schemas.event import OutgoingEvent
from schemas.incoming import Incoming, read
from tests.support.ledger_book import QUEUE_OPEN, QUEUE_ORDER, QUEUE_OWNER, LedgerBook

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
INTERVAL = timedelta(seconds=20)
"""How often the wakers and the relays sweep."""
WAITING_MAX = timedelta(seconds=300)
PREFETCH = 6
DELIVERIES_MAX = 30
"""So often no message is delivered, whatever happens: before that it is a suspect, and is held."""


# -- time


class _Instant(selectors.SelectSelector):
    """Waits for nothing: what it should have waited has passed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing will ever happen again"
        if timeout > 0:
            self.now += timeout + 1e-6  # a clock is late rather than early
        return []


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop in whose time nobody waits."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        """The seconds that would have passed."""
        return self._instant.now


# -- the broker


@dataclass(eq=False)
class Message:
    """A message in the work queue, and how often it was delivered without being acknowledged."""

    routing_key: str
    body: bytes
    message_id: str
    deliveries: int = 0

    def facts(self) -> list[Incoming]:
        """What it says."""
        return read(self.routing_key, self.body, self.message_id, {}, None)


class Channel:
    """A consumer's channel: what was delivered on it goes back to the queue when it ends."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.open = True
        self.delivered: dict[int, Message] = {}
        self._last = 0
        # The real one, so that what is acknowledged with a run of others is looked at too.
        self.acknowledger = Acknowledger(self)

    def deliver(self, message: Message) -> int:
        """Number a delivery."""
        self._last += 1
        self.delivered[self._last] = message
        return self._last

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        """Acknowledge all up to a delivery."""
        assert multiple
        await self._worker.step("ack")
        if not self.open:
            raise ConnectionError
        for done in [n for n in self.delivered if n <= tag]:
            self._worker.world.acknowledged(self.delivered.pop(done))
        self._worker.wake()

    def close(self) -> None:
        """What is not acknowledged goes back, to the front and in order."""
        self.open = False
        for message in reversed(self.delivered.values()):
            message.deliveries += 1
            if message.deliveries > DELIVERIES_MAX:
                self._worker.world.wrong.append(f"delivered again and again: {message.body!r}")
            self._worker.world.queue.appendleft(message)
        self.delivered.clear()


class Exchange:
    """One worker's way to where events go: it may refuse them, lose them, or lose their confirms."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def open(self) -> None:
        """Connect."""
        await self._worker.step("open")

    async def publish(self, events: Sequence[OutgoingEvent]) -> list[Sent]:
        """Publish; the weather of the moment says what becomes of it."""
        await self._worker.step("publish")
        world = self._worker.world
        weather = world.weather.popleft() if world.weather else "fine"
        if weather == "closed":
            raise ConnectionError
        sent: list[Sent] = []
        for n, event in enumerate(events):
            bad = weather != "fine" and n % 2 == 0
            if not bad or weather == "confirm lost":
                world.arrive(event)
            sent.append(_WEATHER[weather] if bad else Sent.CONFIRMED)
        await self._worker.step("confirm")
        return sent

    async def reply(self, queue: str, correlation_id: str, body: bytes, causation_id: str) -> None:
        """Tell an outcome."""
        self._worker.world.replied(causation_id, body)


_WEATHER = {
    "refused": Sent.REFUSED,
    "lost": Sent.UNCERTAIN,
    "confirm lost": Sent.UNCERTAIN,
    "precondition failed": Sent.PRECONDITION_FAILED,
}


# -- the database


class Held(NamedTuple):
    """A held row, and until when it is claimed."""

    row: HeldRow
    claimed_until: datetime | None = None


def _lost(label: str) -> AutoReconnect:
    return AutoReconnect("connection lost", {"errorLabels": [label]})


def _conflict() -> OperationFailure:
    return OperationFailure("WriteConflict", 112, {"code": 112, "errorLabels": ["TransientTransactionError"]})


def _taken() -> BulkWriteError:
    return BulkWriteError({"writeErrors": [{"code": 11_000}]})


Key = tuple[Any, str]


@dataclass
class Sending:
    """How far an event is (unsent, sent, parked), its refusals and tries without a confirm, and when it is due."""

    state: str = "unsent"
    refusals: int = 0
    refused_at: datetime | None = None
    unconfirmed: int = 0
    due_at: datetime | None = None


@dataclass
class Database:
    """What is committed, by collection (a type of the domain's, `inbox`, `held`, `outbox`) and key.

    `written` says with which commit a key was written last. `poisoned` are identities whose effect can't be encoded,
    `deadly` those that a worker dies of.
    """

    rows: dict[Any, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    written: dict[Key, int] = field(default_factory=dict)
    commits: int = 0
    sending: dict[str, Sending] = field(default_factory=lambda: defaultdict(Sending))
    books: LedgerBook = field(default_factory=LedgerBook)
    poisoned: set[str] = field(default_factory=set)
    deadly: set[str] = field(default_factory=set)

    @property
    def inbox(self) -> dict[str, InboxRow]:
        """What is applied."""
        return self.rows["inbox"]

    @property
    def held(self) -> dict[str, Held]:
        """What is not."""
        return self.rows["held"]

    @property
    def outbox(self) -> dict[str, OutgoingEvent]:
        """The events."""
        return self.rows["outbox"]

    def put(self, changes: dict[Key, Any]) -> None:
        """Write, at once: None removes a row."""
        self.commits += 1
        for (name, key), value in changes.items():
            self.written[name, key] = self.commits
            if value is None:
                self.rows[name].pop(key, None)
            else:
                self.rows[name][key] = value

    def hold(self, row: HeldRow, claimed_until: datetime | None = None) -> None:
        """Write a held row."""
        self.put({("held", row.identity): Held(row, claimed_until)})


class Transaction:
    """Sees what was committed when it began; of two that write one key the first to commit wins."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._begun = database.commits
        self._seen = {name: dict(rows) for name, rows in database.rows.items()}
        self._changes: dict[Key, Any] = {}
        self._books: WorkingSet | None = None

    def _rows(self, name: Any) -> dict[str, Any]:
        return self._seen.get(name, {})

    async def look_up(self, identities: Sequence[str], needs: Iterable[Need], books: WorkingSet) -> dict[str, Known]:
        """What is recorded of these, and what is needed."""
        await self.load(needs, books)
        await self._worker.step("known")
        found: dict[str, Known] = {}
        for identity in identities:
            if held := self._rows("held").get(identity):
                row: HeldRow = held.row
                found[identity] = Known(
                    row.digest,
                    row.digest_version,
                    row.state,
                    reason=row.reason,
                    detail=row.detail,
                    attempts=row.attempts,
                    replies=len(row.replies),
                )
            if applied := self._rows("inbox").get(identity):
                found[identity] = Known(applied.digest, applied.digest_version, "applied", result=applied.result)
        return found

    async def load(self, needs: Iterable[Need], books: WorkingSet) -> None:
        """Load documents and queues."""
        await self._worker.step("load")
        for need in needs:
            documents = self._rows(need.type)
            if isinstance(need, DocumentNeed):
                books.load(need.type, need.id, documents.get(need.id))
                continue
            if isinstance(need, RangeNeed):
                found = [one for id_, one in documents.items() if f"{id_}/".startswith(f"{need.prefix}/")]
                books.load_range(need, found)
                continue
            owner, is_open = QUEUE_OWNER[need.type], QUEUE_OPEN[need.type]
            queue = [one for one in documents.values() if owner(one) == need.owner and is_open(one)]
            books.load_queue(need, sorted(queue, key=QUEUE_ORDER[need.type])[: need.limit])

    async def write(self, books: WorkingSet, batch: Batch) -> None:
        """Write what a batch has changed."""
        await self._worker.step("write")
        if any(row.identity in self._database.deadly for row in batch.inbox):
            self._worker.world.victims += 1
            self._worker.die()
            raise asyncio.CancelledError
        if any(row.identity in self._database.poisoned for row in batch.inbox):
            raise InvalidDocument("cannot encode object")
        self._books = books
        for kind, documents in books.changed.items():
            for id_, document in documents.items():
                self._write(kind, id_, document, new=(kind, id_) not in books.stored)
        for kind, rows in books.rows.items():
            for row in rows:
                self._write(kind, row.id, row)
        for applied in batch.inbox:
            self._write("inbox", applied.identity, applied)
        for event in batch.outbox:
            self._write("outbox", event.message_id, event)
        for held in batch.held:
            self._write("held", held.identity, Held(held))
            # Holding an identity conflicts with applying it, as in the store.
            self._write("inbox", held.identity, None)
        for identity, to in batch.replies:
            row, claimed_until = self._changes.get(("held", identity)) or self._rows("held")[identity]
            self._write("held", identity, Held(replace(row, replies=(*row.replies, to)), claimed_until), new=False)
        for change in batch.held_changes:
            self._change_held(change.claimed, change.row)

    def _change_held(self, claimed: HeldRow, verdict: HeldRow | None) -> None:
        found = self._rows("held").get(claimed.identity)
        if found is None or (found.row.attempts, found.row.state) != (claimed.attempts, claimed.state):
            raise ClaimLost
        row = verdict and replace(
            found.row,
            state=verdict.state,
            reason=verdict.reason,
            detail=verdict.detail,
            traceback=verdict.traceback,
            waits_for=verdict.waits_for,
            failed_at=verdict.failed_at,
            due_at=verdict.due_at,
        )
        self._write("held", claimed.identity, row and Held(row), new=False)

    def _write(self, name: Any, key: str, value: Any, *, new: bool = True) -> None:
        if new and (key in self._rows(name) or self._changes.get((name, key)) is not None):
            raise _taken()
        assert new or key in self._rows(name) or (name, key) in self._changes
        self._changes[name, key] = value

    async def commit(self, meanwhile: Callable[[], None]) -> None:
        """Commit, unless another was first."""
        database, step = self._database, self._worker.step
        assert self._books is not None
        emitted = [*self._books.emitted]
        meanwhile()
        await step("commit")
        trouble = self._worker.trouble("commit")
        if trouble == "not done":
            raise _lost("UnknownTransactionCommitResult")
        if any(database.written.get(key, 0) > self._begun for key in self._changes):
            raise _conflict()
        database.put(self._changes)
        database.books.events += emitted
        if trouble == "done":
            raise _lost("UnknownTransactionCommitResult")
        await step("committed")


class WorkerStore:
    """One worker's way to the database, with the methods of the store that the engine uses."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction: nothing is written unless it is committed."""
        await self._worker.step("begin")
        yield Transaction(self._database, self._worker)

    async def end_abandoned(self, inactive: timedelta) -> int:
        """Dead workers leave nothing open here."""
        return 0

    async def claim_waiting(self, names: Sequence[str], now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim what waits for one of these."""
        return await self._claim(
            lambda row: row.state == "waiting" and row.waits_for in names, lambda row: row.held_at, now + lease
        )

    async def claim_due(self, now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim what is due."""
        return await self._claim(
            lambda row: row.state == "waiting" and row.due_at is not None and row.due_at <= now, _due_at, now + lease
        )

    async def claim_scheduled(self, now: datetime, lease: timedelta) -> list[HeldRow]:
        """Claim what was scheduled for a time that has come."""
        return await self._claim(
            lambda row: row.state == "scheduled" and row.due_at is not None and row.due_at <= now, _due_at, now + lease
        )

    async def claim_suspect(self, now: datetime, lease: timedelta) -> HeldRow | None:
        """Claim what may be deadly; claims that ran out make suspects."""
        await self._worker.step("claim")
        for row, claimed_until in list(self._database.held.values()):
            if row.state in ("waiting", "suspect", "scheduled") and claimed_until is not None and claimed_until < now:
                self._database.hold(
                    replace(row, state="suspect", deaths=row.deaths + 1, waits_for=None, due_at=now), None
                )
        rows = await self._claim(
            lambda row: row.state == "suspect" and row.due_at is not None and row.due_at <= now, _due_at, now + lease, 1
        )
        return rows[0] if rows else None

    async def _claim(
        self,
        which: Callable[[HeldRow], bool],
        order: Callable[[HeldRow], datetime],
        until: datetime,
        limit: int = CLAIM_MAX,
    ) -> list[HeldRow]:
        def free() -> list[HeldRow]:
            return [held.row for held in self._database.held.values() if which(held.row) and not held.claimed_until]

        await self._worker.step("claim")
        first = [row.identity for row in sorted(free(), key=order)[:limit]]
        await self._worker.step("claim")  # another worker may claim them meanwhile
        claimed = [replace(row, attempts=row.attempts + 1) for row in free() if row.identity in first]
        for row in claimed:
            self._database.hold(row, until)
        if claimed:
            await self._worker.step("claimed")
        return sorted(claimed, key=order)

    async def renew(self, identities: Sequence[str], until: datetime) -> None:
        """Let claims last until a time."""
        for identity in identities:
            held = self._database.held.get(identity)
            if held is not None and held.claimed_until is not None:
                self._database.hold(held.row, until)

    async def awaited_names(self, limit: int) -> list[str]:
        """What is waited for."""
        await self._worker.step("awaited")
        rows = [held.row for held in self._database.held.values()]
        return sorted({row.waits_for for row in rows if row.state == "waiting" and row.waits_for is not None})[:limit]

    async def there_now(self, names: Iterable[str]) -> list[str]:
        """Those that are so."""
        await self._worker.step("there")
        return [name for name in names if is_there(self._database, name)]

    async def unsent(
        self, before: datetime, after: tuple[datetime, str] | None, limit: int, bytes_max: float
    ) -> list[OutgoingEvent]:
        """Events that are not marked, oldest first."""
        await self._worker.step("unsent")
        events = []
        for event in self._database.outbox.values():
            sending, place = self._database.sending[event.message_id], (event.booked_at, event.message_id)
            due = max(event.booked_at, sending.due_at or event.booked_at)
            if sending.state == "unsent" and due < before and (after is None or place > after):
                events.append((place, event))
        return [event for _, event in sorted(events, key=lambda found: found[0])[:limit]]

    async def mark_sent(self, message_ids: Sequence[str], now: datetime) -> None:
        """Mark events."""
        await self._worker.step("mark")
        self._worker.world.marked(message_ids)
        for id_ in message_ids:
            self._database.sending[id_].state = "sent"

    async def mark_refused(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a refusal of each."""
        for sending in await self._unsent(message_ids):
            sending.due_at = now + min(first_wait * 2**sending.refusals, wait_max)
            sending.refusals += 1
            sending.refused_at = sending.refused_at or now

    async def mark_unconfirmed(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a try of each that was not confirmed."""
        for sending in await self._unsent(message_ids):
            sending.due_at = now + min(first_wait * 2**sending.unconfirmed, wait_max)
            sending.unconfirmed += 1

    async def refused_since(self, message_ids: Sequence[str], since: datetime, refusals_min: int) -> list[str]:
        """Those that were refused for long enough."""
        await self._worker.step("unsent")
        found = [(id_, self._database.sending[id_]) for id_ in message_ids]
        return [id_ for id_, s in found if s.refusals >= refusals_min and s.refused_at and s.refused_at < since]

    async def park(self, message_ids: Sequence[str], reason: str, now: datetime) -> None:
        """Give up events."""
        for sending in await self._unsent(message_ids):
            sending.state = "parked"

    async def _unsent(self, message_ids: Sequence[str]) -> list[Sending]:
        await self._worker.step("mark")
        return [self._database.sending[id_] for id_ in message_ids if self._database.sending[id_].state == "unsent"]


def _due_at(row: HeldRow) -> datetime:
    assert row.due_at is not None
    return row.due_at


KINDS = {kept.collection.name: kept.kind for kept in KEPT}


def is_there(database: Database, name: str) -> bool:
    """Whether something that may be waited for is there."""
    kind, _, id_ = name.partition(":")
    if kind == "applied":
        return id_ in database.inbox
    collection, condition = AWAITED[kind]
    document = database.rows[KINDS[collection]].get(id_)
    if document is None or not condition:
        return document is not None
    if kind == "payment-request":
        return document.handled.request is not None
    assert kind == "resumed", "a condition that is not modelled here"
    return document.state not in WAITS


# -- workers


class Worker:
    """A worker's life: the real engine on doubles. When it dies, nothing of it has any further effect."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.dies_at: str | None = None
        self.cut_until = 0.0
        self.channel: Channel | None = None
        store = cast("Store", WorkerStore(world.database, self))
        exchange = cast("Publisher", Exchange(self))
        self.relay = Relay(
            exchange,
            Exchange(self),
            store,
            interval=INTERVAL,
            refused_max=timedelta(seconds=200),
            clock=world.clock,
        )
        teller = ReplySender(exchange)
        keeping = BatchPolicy(
            series="INV-",
            credit_notes="CN-",
            zone=UTC,
            waiting_max=WAITING_MAX,
            abandoned_after=timedelta(seconds=10),
            worker=name,
            retry_seconds_max=5,
            defect_attempts_max=3,
            defect_delay_seconds=4,
        )
        self.commit = GroupCommit(store, self.relay, teller, keeping, world.clock)
        self.waker = Waker(store, self.commit.submit, interval=INTERVAL, clock=world.clock)
        teller.look_for = self.waker.look_for
        teller.made = self.waker.made
        self.commit.on_away, self.commit.on_back = self.lose_channel, self.consume
        self._wanted = asyncio.Event()
        self._tasks = [
            asyncio.create_task(part) for part in (self.relay.run(), self.commit.run(), self.waker.run(), self._read())
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        self.consume()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.wrong.append(f"a part of {self.name} failed: {error!r}")

    async def step(self, name: str) -> None:
        """All calls to the outside come by here: each takes a moment, may fail, and the worker may die at it."""
        await asyncio.sleep(self.world.random.uniform(0.001, 0.02))
        if self.alive and name == self.dies_at:
            self.die()
        if not self.alive:
            raise asyncio.CancelledError
        if name == "claimed":
            self.cut_off(self.world.cut_who_claims)
            self.world.cut_who_claims = 0
        if name in _OF_THE_DATABASE:
            if self.world.loop.time() < self.cut_until:
                raise _lost("TransientTransactionError")
            if name != "commit" and self.trouble(name) is not None:
                raise _conflict() if name == "write" else _lost("TransientTransactionError")

    def cut_off(self, seconds: int) -> None:
        """It does not reach the database for so long."""
        self.cut_until = max(self.cut_until, self.world.loop.time() + seconds)

    def trouble(self, step: str) -> str | None:
        """What is to go wrong now, at a step, if anything; of a commit, whether it is done all the same."""
        troubles = self.world.troubles
        if troubles and troubles[0][0] == step:
            return troubles.popleft()[1]
        return None

    def die(self) -> None:
        """End at once."""
        if self.alive:
            self.alive = False
            self.lose_channel()
            for task in self._tasks:
                task.cancel()
            self.world.bury(self)

    # -- the work queue

    def consume(self) -> None:
        """Take messages (again)."""
        if self.alive and self.channel is None:
            self.channel = Channel(self)
            self.wake()

    def lose_channel(self) -> None:
        """Take no more; what is not acknowledged goes back."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
            self.world.wake()

    def wake(self) -> None:
        """Look whether there is something to be read."""
        self._wanted.set()

    async def _read(self) -> None:
        queue = self.world.queue
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while queue and self.channel is not None and len(self.channel.delivered) < PREFETCH:
                channel, message = self.channel, queue.popleft()
                tag = channel.deliver(message)
                headers = {"x-delivery-count": message.deliveries} if message.deliveries else {}
                properties = Properties(message_id=message.message_id, reply_to="amq.gen-asking", headers=headers)
                take(
                    Delivery(
                        message.routing_key,
                        message.body,
                        properties,
                        tag,
                        channel.acknowledger.settle,
                        redelivered=message.deliveries > 0,
                    ),
                    self.commit.submit,
                )
                await asyncio.sleep(self.world.random.uniform(0, 0.01))


_OF_THE_DATABASE = frozenset(
    ("begin", "known", "load", "write", "commit", "claim", "awaited", "there", "unsent", "mark")
)


class World:
    """A work queue, a database, two workers, and all that must never be."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.loop = InstantLoop()
        self.database = Database()
        self.queue: deque[Message] = deque()
        self.weather: deque[str] = deque()
        self.troubles: deque[tuple[str, str]] = deque()
        self.cut_who_claims = 0
        self.arrived: dict[str, bytes] = {}
        self.edited: set[tuple[str, str]] = set()
        self.moved: set[str] = set()
        self.wrong: list[str] = []
        self.workers: list[Worker] = []
        self.lives = 0
        self.deaths = 0
        self.victims = 0
        self.loop.set_exception_handler(lambda _, context: self.wrong.append(str(context)))
        self.loop.call_soon(self.start)

    def clock(self) -> datetime:
        """What time it is."""
        return START + timedelta(seconds=self.loop.time())

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def start(self) -> None:
        """Let two workers live."""
        while len(self.workers) < 2:
            self.lives += 1
            self.workers.append(Worker(self, f"w-{self.lives}"))

    def bury(self, worker: Worker) -> None:
        """A worker has died: soon there is another."""
        self.deaths += 1
        self.workers.remove(worker)
        self.loop.call_later(0.3, self.start)

    def close(self) -> None:
        """End everything."""

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(end())
        self.loop.close()

    # -- the broker

    def publish(self, message: Message) -> None:
        """A message comes into the queue."""
        self.queue.append(message)
        self.wake()

    def wake(self) -> None:
        """There is something to be read."""
        for worker in self.workers:
            worker.wake()

    @property
    def under_way(self) -> int:
        """How many messages are in the queue or with a consumer."""
        return len(self.queue) + sum(len(worker.channel.delivered) for worker in self.workers if worker.channel)

    def acknowledged(self, message: Message) -> None:
        """What is acknowledged must be recorded."""
        for fact in message.facts():
            if not self.is_recorded(fact.identity, fact.digest):
                self.wrong.append(f"{fact.identity} is acknowledged and not recorded")

    def is_recorded(self, identity: str, digest: str) -> bool:
        """Whether this content is applied, held, held as a conflict, or an operator has changed it."""
        inbox, held = self.database.inbox, self.database.held
        return (
            (identity in inbox and inbox[identity].digest == digest)
            or (identity in held and held[identity].row.digest == digest)
            or f"{identity}#{digest[:16]}" in held
            or (identity, digest) in self.edited
        )

    def arrive(self, event: OutgoingEvent) -> None:
        """An event must be committed, and always be the same."""
        committed = self.database.outbox.get(event.message_id)
        if committed is None or committed.body != event.body:
            self.wrong.append(f"{event.message_id} is published, and is not what was committed")
        self.arrived[event.message_id] = event.body

    def marked(self, message_ids: Sequence[str]) -> None:
        """What is marked as sent must have arrived."""
        self.wrong += [f"{id_} is marked and has not arrived" for id_ in message_ids if id_ not in self.arrived]

    def replied(self, identity: str, body: bytes) -> None:
        """Who is told that something is applied must find it so."""
        if b'"parked"' not in body and identity not in self.database.inbox:
            self.wrong.append(f"{identity} is said to be applied")

    # -- operators

    def replay(self, row: HeldRow) -> None:
        """Let a parked message be tried again; its waiting time begins anew."""
        self.database.hold(self._due(row))

    def edit(self, row: HeldRow, body: bytes) -> bool:
        """Let a parked message be tried with another body; False when its new identity is there already."""
        [incoming] = read(row.routing_key, body, row.properties.message_id, {}, None)
        assert incoming.refusal is None
        changed = replace(self._due(row), body=body, digest=incoming.digest)
        if incoming.identity == row.identity:
            self.edited.add((row.identity, row.digest))
            self.database.hold(changed)
            return True
        if incoming.identity in self.database.inbox or incoming.identity in self.database.held:
            return False
        self.moved.add(row.identity)
        moved = replace(changed, identity=incoming.identity, attempts=0)
        self.database.put(
            {
                ("held", moved.identity): Held(moved),
                ("inbox", moved.identity): None,
                ("held", row.identity): Held(_at_rest(row, "discarded")),
            }
        )
        return True

    def discard(self, row: HeldRow) -> None:
        """Be done with a message that is not being tried."""
        self.database.hold(_at_rest(row, "discarded"))

    def release(self) -> None:
        """Let all events that were given up be sent again."""
        for sending in self.database.sending.values():
            if sending.state != "sent":
                sending.state, sending.refused_at, sending.due_at, sending.refusals = "unsent", None, None, 0

    def undo(self, row: HeldRow) -> None:
        """Park a discarded message again."""
        self.database.hold(_at_rest(row, "parked"))

    def _due(self, row: HeldRow) -> HeldRow:
        now = self.clock()
        return replace(_at_rest(row, "suspect" if row.deaths else "waiting"), due_at=now, waiting_since=now, deaths=0)


def _at_rest(row: HeldRow, state: str) -> HeldRow:
    return replace(row, state=state, due_at=None, waits_for=None)
