"""What CPU time an order takes in each stage of the worker: its own code, called without a broker and a database.

What is not here is what the worker spends beside it: the drivers, the sockets, the event loop.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from adapters.access import Access, Sender, Topics
from adapters.documents import COLLECTION, DECODE, ENCODE
from adapters.rabbitmq.frames import HEARTBEAT_FRAME, publish_frames
from adapters.rabbitmq.publisher import message_of
from adapters.rabbitmq.receiving import DeliveryStream
from adapters.rabbitmq.topology import IN, OUT
from adapters.records import Properties
from adapters.store.rows import event_row, inbox_row
from adapters.store.transaction import Batch
from bench.orders import (
    AGENTS_TERMS,
    LINES,
    ORDER,
    TERMS,
    TIERS,
    Json,
    account_messages,
    agreement_id,
    agreement_messages,
    order_bodies,
)
from domain.facts import working_set
from domain.ledger.books import Document, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.settlement.agreements import Agreement
from handlers.engine.decision import Decisions, decide
from handlers.engine.group_commit import FACTS_MAX, BatchPolicy
from handlers.engine.intake import works_of
from handlers.engine.work import WorkItem
from handlers.worker import GARBAGE_OBJECTS
from schemas.event import OutgoingEvent
from schemas.events import outgoing
from schemas.operations.acts import Act

BOOKED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEEPING = BatchPolicy(
    series="INV-",
    credit_notes="CN-",
    zone=UTC,
    waiting_max=timedelta(days=1),
    abandoned_after=timedelta(seconds=10),
    worker="bench",
    retry_seconds_max=5,
    defect_attempts_max=1,
    defect_delay_seconds=4,
)
STAGES = {
    "receive": "the frames of deliveries read",
    "decode": "bodies read into facts",
    "load": "BSON read into documents",
    "domain": "what each order means for the books",
    "events": "their bodies written",
    "transaction": "documents and rows written as BSON",
    "publish": "the frames of events written",
    "ack": "one frame for a batch",
}
WHOLE, MIXED = "orders of a partner's lines, in its name", "orders of a partner's lines and ours, its in its name"
TIERED = "orders with two lines of a partner's, by tiers"
CHECKED = "orders, with an access file"
LIMITED = "orders of a sender who is limited to a party"
OURS, BY_SHARE, OPEN = "the same in our name", "by a share", "without one"
"""What orders are compared, and with what."""
SENDER = "bench"
SHOP = "P-SHOP"
_ACCESS = Access.of([Sender(SENDER, Topics((ORDER,)), Topics(()))])
_LIMITED = Access.of([Sender(SENDER, Topics((ORDER,)), Topics(()), SHOP)])
FRAME_BYTES = 131_064
"""How much of a body goes into one frame: what RabbitMQ agrees to, by default."""

_Stored = dict[tuple[type, str], bytes]
_Received = tuple[bytes, Properties]


@dataclass(frozen=True, slots=True)
class Stage:
    """The CPU time that an order takes in a stage, in microseconds: the median of the repetitions, and the least."""

    name: str
    what: str
    median: float
    least: float


@dataclass(frozen=True, slots=True)
class Compared:
    """The CPU time that an order takes, in microseconds, and that of `against`: the sums of the stages' least."""

    what: str
    against: str
    of_it: float
    of_other: float


@dataclass(frozen=True, slots=True)
class _Orders:
    """Orders, the partners' terms in their accounts and in their agreements, if they have any, and who may send.

    `party` is related to all accounts, too.
    """

    bodies: list[bytes]
    terms: Json = field(default_factory=lambda: TERMS)
    agreed: Json | None = None
    access: Access | None = None
    party: str | None = None


def compare(orders: int, repetitions: int) -> list[Compared]:
    """What orders take that have something more to them, beside the same ones without it, in turns.

    Where all lines are a partner's, each order is one invoice, whoever sells. Where some are ours, an order of a
    partner's whose agent we are is two invoices, and has an event more.
    """
    mixed = list(order_bodies(orders))
    whole, half = ([_of_partner(body, lines) for body in mixed] for lines in (LINES, LINES // 2))
    pairs = (
        (WHOLE, OURS, _Orders(whole, AGENTS_TERMS), _Orders(whole)),
        (MIXED, OURS, _Orders(mixed, AGENTS_TERMS), _Orders(mixed)),
        (TIERED, BY_SHARE, _Orders(half, agreed=TIERS), _Orders(half)),
        (CHECKED, OPEN, _Orders(mixed, access=_ACCESS), _Orders(mixed)),
        (LIMITED, OPEN, _Orders(mixed, access=_LIMITED, party=SHOP), _Orders(mixed, party=SHOP)),
    )
    return [Compared(what, against, *_least(pair, repetitions)) for what, against, *pair in pairs]


def _least(pair: Sequence[_Orders], repetitions: int) -> Iterator[float]:
    """What each of two takes."""
    least: list[dict[str, float]] = [{}, {}]
    for turn in range(repetitions):
        # In turns: what gets slower with time would otherwise fall on the same one.
        for n in (0, 1) if turn % 2 else (1, 0):
            for stage in _measured(pair[n], 1):
                least[n][stage.name] = min(stage.least, least[n].get(stage.name, stage.least))
    return (sum(stages.values()) for stages in least)


def _of_partner(body: bytes, lines: int) -> bytes:
    """An order whose last lines, so many, are its partner's."""
    order = json.loads(body)
    [partner] = {item["onBehalfOf"]["id"] for item in order["items"] if "onBehalfOf" in item}
    for item in order["items"][-lines:]:
        item["onBehalfOf"] = {"id": partner}
    return json.dumps(order).encode()


def measure(orders: int, repetitions: int) -> list[Stage]:
    """Take so many orders through all stages, batch by batch, several times."""
    return _measured(_Orders(list(order_bodies(orders))), repetitions)


def _measured(orders: _Orders, repetitions: int) -> list[Stage]:
    stored = asyncio.run(_accounts(orders))
    user = None if orders.access is None else SENDER
    wire = [_delivery(number, body, user) for number, body in enumerate(orders.bodies, 1)]
    found: dict[str, list[float]] = {name: [] for name in STAGES}
    threshold = gc.get_threshold()
    # As the worker has it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        for _ in range(repetitions):
            clock = _Clock()
            asyncio.run(_all_stages(wire, dict(stored), clock, orders.access))
            for name, values in found.items():
                values.append(clock.seconds[name] / len(wire) * 1e6)
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
    return [Stage(name, what, median(found[name]), min(found[name])) for name, what in STAGES.items()]


class _Clock:
    """The CPU time of this process, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str, within: str | None = None) -> Iterator[None]:
        """Count what the block takes for a stage, and not for the one that it is `within`."""
        since = time.process_time()
        try:
            yield
        finally:
            used = time.process_time() - since
            self.seconds[name] += used
            if within is not None:
                self.seconds[within] -= used


async def _all_stages(wire: list[bytes], stored: _Stored, clock: _Clock, access: Access | None) -> None:
    for at in range(0, len(wire), FACTS_MAX):
        deliveries = b"".join(wire[at : at + FACTS_MAX])
        with clock.stage("receive"):
            received = await _received(deliveries)
        with clock.stage("decode"):
            works = [
                work
                for body, properties in received
                for work in works_of(ORDER, body, properties, _settled, access=access)
            ]
        books, decisions = await _decided(works, stored, clock)
        with clock.stage("events", within="domain"):
            events = [outgoing(emitted, "c", BOOKED_AT) for emitted in books.emitted]
        assert len(events) == len(decisions.batch.outbox)
        assert len(decisions.outcomes) == len(works)
        with clock.stage("transaction"):
            written = _written(books, decisions.batch)
        stored.update(written)
        with clock.stage("publish"):
            _published(decisions.batch.outbox)
        with clock.stage("ack"):
            marshal(commands.Basic.Ack(at + FACTS_MAX, multiple=True), _CHANNEL)


def _settled() -> None:
    """Nobody waits for it."""


async def _decided(works: list[WorkItem], stored: _Stored, clock: _Clock) -> tuple[WorkingSet, Decisions]:
    books = working_set(booked_at=BOOKED_AT, zone=UTC, series=KEEPING.series, credit_notes=KEEPING.credit_notes)

    async def load(needs: Iterable[Need]) -> None:
        with clock.stage("load", within="domain"):
            _loaded(needs, books, stored)

    async def act(_act: Act, _sent: Properties) -> Mapping[str, object]:
        raise AssertionError("orders are no acts of an operator")

    with clock.stage("domain"):
        decisions = await decide(works, {}, books, load, act, KEEPING)
    for outcome in decisions.outcomes:
        assert outcome.kind == "applied", outcome
    return books, decisions


_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


def _loaded(needs: Iterable[Need], books: WorkingSet, stored: _Stored) -> None:
    """What is needed, as if a read of the database had brought it; partners' agreements are all there is in queues."""
    for need in needs:
        if isinstance(need, DocumentNeed):
            books.load(need.type, need.id, _read(need.type, need.id, stored))
        elif isinstance(need, QueueNeed):
            agreed = _read(Agreement, agreement_id(need.owner), stored) if need.type is Agreement else None
            books.load_queue(need, [] if agreed is None else [agreed])
        else:
            books.load_range(need, [])


def _read(kind: type[Document], id_: str, stored: _Stored) -> Any:
    row = stored.get((kind, id_))
    return None if row is None else DECODE[kind](bson.decode(row, _AWARE))


def _written(books: WorkingSet, batch: Batch) -> _Stored:
    """All that a transaction writes, as BSON; returns the documents, by type and key."""
    documents = {
        (kind, id_): bson.encode(ENCODE[kind](document))
        for kind in COLLECTION
        for id_, document in books.changed.get(kind, {}).items()
    }
    for kind in COLLECTION:
        for row in books.rows.get(kind, ()):
            bson.encode(ENCODE[kind](row))
    for applied in batch.inbox:
        bson.encode(inbox_row(applied, {}))
    for event in batch.outbox:
        bson.encode(event_row(event, {}))
    return documents


def _related(account: Json, party: str | None) -> Json:
    """The message of an account that is related to a party, too."""
    more = [] if party is None else [{"role": "shop", "partyOrPartyRole": {"id": party}}]
    return {**account, "relatedParty": [*account["relatedParty"], *more]}


async def _accounts(orders: _Orders) -> _Stored:
    """The accounts that orders name, their positions, and the partners' agreements, as BSON: made by their messages."""
    stored: _Stored = {}
    for type_, messages in (
        ("account.create", [_related(message, orders.party) for message in account_messages(orders.terms)]),
        ("agreement.create", [] if orders.agreed is None else agreement_messages(orders.agreed)),
    ):
        works = [
            work
            for number, message in enumerate(messages)
            for work in works_of(
                type_, json.dumps(message).encode(), Properties(message_id=f"{type_}:{number}"), _settled
            )
        ]
        books, _ = await _decided(works, stored, _Clock())
        stored |= _written(books, Batch())
    return stored


# -- how deliveries are read and events are written, which is the adapters' business


_CHANNEL = 1


def _delivery(number: int, body: bytes, user: str | None) -> bytes:
    """What the broker sends to deliver an order that a user has sent; None: one who does not say who it is."""
    properties = commands.Basic.Properties(
        content_type="application/json", delivery_mode=2, message_id=f"{ORDER}:{number}", user_id=user
    )
    return b"".join(
        marshal(frame, _CHANNEL)
        for frame in (
            commands.Basic.Deliver("ctag", number, redelivered=False, exchange=IN, routing_key=ORDER),
            ContentHeader(properties=properties, body_size=len(body)),
            ContentBody(body),
        )
    )


class _Wire:
    """A stream that has all there is to read at once, and then ends."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    async def read(self, _count: int) -> bytes:
        data, self._left = self._left, b""
        return data


async def _received(data: bytes) -> list[_Received]:
    """Each delivery's body and properties."""
    received: list[_Received] = []
    stream = DeliveryStream(_Wire(data))
    stream.take(_CHANNEL, lambda _deliver, properties, body: received.append((body, properties)), bool, bool)
    with suppress(asyncio.IncompleteReadError):
        while True:  # what it gives on is a heartbeat now and then
            await stream.readexactly(len(HEARTBEAT_FRAME))
    return received


def _published(events: list[OutgoingEvent]) -> list[bytes]:
    """What is sent to publish events."""
    return [publish_frames(_CHANNEL, OUT, message_of(event), FRAME_BYTES) for event in events]
