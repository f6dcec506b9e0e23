"""The relay: publishes committed events, many at a time, and marks as sent what the broker has confirmed.

An event that the broker does not take holds up no other: it stays in the outbox, is tried again at growing intervals on
a connection beside the others', and is parked when that does not help. One that the broker does not confirm while it
answers for others (a queue that is bound for it has no majority) is put off likewise, but never parked for that.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from pymongo.errors import PyMongoError

from adapters.mongodb.connection import end
from adapters.rabbitmq.connection import CONNECTION_ERRORS
from adapters.rabbitmq.publisher import CLOSED, Sent
from schemas.event import OutgoingEvent

log = structlog.get_logger()

IN_FLIGHT_MAX = 500
"""The most events that are published and not yet confirmed."""
BYTES_MAX = 8 * 1024 * 1024
"""The most bytes of bodies that are read or published at once, but for one event's."""
BACKLOG_MAX = 5_000
"""The most committed events kept in memory; above it no new batch begins."""
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""The most bytes of their bodies; likewise."""
REFUSALS_MIN = 5
"""How often an event is tried at least before it is parked, however long ago it was refused first."""
REFUSED_WAIT_MAX = timedelta(minutes=5)
"""The longest wait before an event that was refused, or not confirmed, is tried again."""
CLOSES_MAX = 3
"""How often the broker closes the channel over one event alone before it is parked: once, something else may have."""
_PAUSE_SECONDS = 0.5
_MARK_SECONDS = 0.1
"""How long confirmed events gather before they are marked, many with one write; nothing waits for it. Those of a worker
that dies meanwhile are sent a second time."""

# What only a broker says that is at work.
_ANSWERED = (Sent.CONFIRMED, Sent.UNROUTED, Sent.REFUSED)


class EventPublisher(Protocol):
    """Where events go."""

    async def open(self) -> None:
        """Connect unless connected."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> Sequence[Sent]:
        """Publish events and wait for their confirms; says what became of each."""


class Outbox(Protocol):
    """Where committed events are kept until they are sent."""

    async def unsent(
        self, before: datetime, after: tuple[datetime, str] | None, limit: int, bytes_max: int
    ) -> list[OutgoingEvent]:
        """Unsent events booked, and due, before a time: oldest first, those after a place in that order.

        Their bodies have no more than so many bytes, unless the first alone has more.
        """

    async def mark_sent(self, message_ids: Sequence[str], now: datetime) -> None:
        """Mark events that the broker has confirmed."""

    async def mark_refused(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a refusal of each event, and put it off: each time for twice as long."""

    async def mark_unconfirmed(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Count a try of each event that was not confirmed, and put it off likewise; that is no refusal."""

    async def refused_since(self, message_ids: Sequence[str], since: datetime, refusals_min: int) -> list[str]:
        """Those of these events that were refused first before a time, and so many times by now."""

    async def park(self, message_ids: Sequence[str], reason: str, now: datetime) -> None:
        """Give up unsent events: nothing tries them again until they are released."""


class Relay:
    """Sends what it is handed, and on an interval what an earlier life or another worker left behind.

    `beside` is a second connection for what is left behind, which has the events that the broker does not take:
    `refused_max` is how long one is tried.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        beside: EventPublisher,
        outbox: Outbox,
        *,
        interval: timedelta,
        refused_max: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._publisher = publisher
        self._beside = beside
        self._outbox = outbox
        self._interval = interval
        self._refused_max = refused_max
        self._clock = clock
        self._backlog: deque[OutgoingEvent] = deque()
        self._backlog_bytes = 0
        self._mine: set[str] = set()
        self._confirmed: deque[str] = deque()
        self._unrouted: set[str] = set()
        self.counts: Counter[Sent] = Counter()
        self._through_at = time.monotonic()
        self._arrived = asyncio.Event()
        self._to_mark = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()

    def hand_over(self, events: Iterable[OutgoingEvent]) -> None:
        """Take events that are committed; they are sent in this order."""
        if not self._backlog and not self._mine:
            self._through_at = time.monotonic()
        for event in events:
            self._backlog.append(event)
            self._backlog_bytes += len(event.body)
            self._mine.add(event.message_id)
        if self._backlog:
            self._idle.clear()
            self._arrived.set()
        self._make_room()

    def _forget(self, message_ids: Iterable[str]) -> None:
        """These are marked, or the sweep's from now on."""
        self._mine.difference_update(message_ids)
        if not self._mine:
            self._idle.set()
        self._make_room()

    @property
    def stuck_seconds(self) -> float:
        """How long there have been events and none got through; 0 when there are none."""
        return time.monotonic() - self._through_at if self._backlog or self._mine else 0.0

    async def room(self) -> None:
        """Wait while too many events are still to be sent: a batch that commits adds more."""
        await self._room.wait()

    async def drained(self) -> None:
        """Wait until all that was handed over is sent, and marked, or left to the sweep."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        # No task group: that cancels its tasks once, and one that goes on nevertheless would be waited for without end.
        parts = [asyncio.create_task(part) for part in (self._send(), self._mark(), self._sweep())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(parts)
        for part in parts:
            if not part.cancelled():
                part.result()

    async def _send(self) -> None:
        # Before there is anything to send, so that who takes over need not; if it fails, the first event connects.
        with suppress(*CONNECTION_ERRORS):
            await self._publisher.open()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._backlog:
                events = self._next_chunk()
                self._make_room()
                await self._send_all(events)

    def _next_chunk(self, rest: Sequence[OutgoingEvent] = ()) -> list[OutgoingEvent]:
        """What is left of a chunk, and as many of the next events as there is room for beside it."""
        events = list(rest)
        size = sum(len(event.body) for event in rest)
        while self._backlog and len(events) < IN_FLIGHT_MAX and size < BYTES_MAX:
            events.append(self._backlog.popleft())
            size += len(events[-1].body)
            self._backlog_bytes -= len(events[-1].body)
        return events

    def _make_room(self) -> None:
        if len(self._mine) <= BACKLOG_MAX and self._backlog_bytes <= BACKLOG_BYTES_MAX:
            self._room.set()
        else:
            self._room.clear()

    async def _send_all(self, events: list[OutgoingEvent]) -> None:
        """Publish until each is confirmed, or left to the sweep, whatever happens to the connection."""
        rest = events
        closed = False
        while rest:
            found = await self._publish(self._publisher, rest)
            over = [event for sent in CLOSED for event in found[sent]]
            if over and closed:
                # One of them is not to be sent: the sweep finds out which, while the next ones go on here.
                log.warning("events left to the sweep", count=len(over))
                self._forget(event.message_id for event in over)
                over = []
            closed = bool(over)
            uncertain = found[Sent.UNCERTAIN]
            if uncertain and any(found[sent] for sent in _ANSWERED):
                # That is no outage: sent on and on, they would hold up the others and fill the queues that work.
                await self._unconfirmed(uncertain)
                uncertain = []
            rest = over + uncertain
            if uncertain:
                log.warning("events not confirmed, sending them again", count=len(rest))
                await asyncio.sleep(_PAUSE_SECONDS)
                # Alone they would never show whether it is an outage: later ones go out beside them.
                rest = self._next_chunk(rest)
                self._make_room()

    async def _publish(self, publisher: EventPublisher, events: list[OutgoingEvent]) -> dict[Sent, list[OutgoingEvent]]:
        """Publish events once and write down what became of them; returns them by that."""
        try:
            await publisher.open()
            outcomes = await publisher.publish(events)
        except CONNECTION_ERRORS:
            outcomes = [Sent.UNCERTAIN] * len(events)
        found: dict[Sent, list[OutgoingEvent]] = {sent: [] for sent in Sent}
        for event, sent in zip(events, outcomes, strict=True):
            found[sent].append(event)
            self.counts[sent] += 1
        if found[Sent.CONFIRMED] or found[Sent.UNROUTED]:
            self._through_at = time.monotonic()
        for event in found[Sent.UNROUTED]:
            if event.routing_key not in self._unrouted:
                self._unrouted.add(event.routing_key)
                log.warning("no queue is bound for an event", type=event.routing_key)
        self._take_note(found[Sent.CONFIRMED] + found[Sent.UNROUTED])
        await self._refused(found[Sent.REFUSED], Sent.REFUSED)
        await self._park(found[Sent.UNENCODABLE], Sent.UNENCODABLE)
        return found

    def _take_note(self, events: list[OutgoingEvent]) -> None:
        """These are confirmed, and to be marked; until then no sweep sends them again."""
        if events:
            self._confirmed += [event.message_id for event in events]
            self._mine.update(event.message_id for event in events)
            self._idle.clear()
            self._to_mark.set()

    async def _mark(self) -> None:
        while True:
            await self._to_mark.wait()
            await asyncio.sleep(_MARK_SECONDS)
            self._to_mark.clear()
            while self._confirmed:
                ids = [self._confirmed.popleft() for _ in range(min(IN_FLIGHT_MAX, len(self._confirmed)))]
                # Not marked, it is sent again by the sweep: twice, never lost.
                with suppress(PyMongoError):
                    await self._outbox.mark_sent(ids, self._clock())
                self._forget(ids)

    @property
    def _wait_max(self) -> timedelta:
        """The longest wait before the next try."""
        # Several tries fit into the time that an event has, also where that is short.
        return min(REFUSED_WAIT_MAX, self._refused_max / (2 * REFUSALS_MIN))

    async def _unconfirmed(self, events: list[OutgoingEvent]) -> None:
        """Put events off, each time for longer, and leave them to the sweep; none is parked, however long it takes."""
        if not events:
            return
        log.warning("events not confirmed, left to the sweep", count=len(events), first=events[0].message_id)
        ids = [event.message_id for event in events]
        with suppress(PyMongoError):  # not put off, they are tried sooner
            await self._outbox.mark_unconfirmed(ids, self._clock(), self._interval, self._wait_max)
        self._forget(ids)

    async def _refused(self, events: list[OutgoingEvent], reason: Sent) -> None:
        """Put events off, and park those that were refused for too long; the sweep comes back to the others."""
        if not events:
            return
        log.warning("events refused by the broker", count=len(events), reason=reason.value, first=events[0].message_id)
        now = self._clock()
        ids = [event.message_id for event in events]
        with suppress(PyMongoError):
            await self._outbox.mark_refused(ids, now, self._interval, self._wait_max)
            too_long = set(await self._outbox.refused_since(ids, now - self._refused_max, REFUSALS_MIN))
            await self._park([event for event in events if event.message_id in too_long], reason)
        self._forget(ids)

    async def _park(self, events: list[OutgoingEvent], reason: Sent) -> None:
        if not events:
            return
        ids = [event.message_id for event in events]
        with suppress(PyMongoError):  # the sweep comes to the same end later
            await self._outbox.park(ids, reason.value, self._clock())
            for event in events:
                log.error("event parked", event_id=event.message_id, type=event.routing_key, reason=reason.value)
        self._forget(ids)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._send_left_behind()
            except PyMongoError as error:
                log.warning("outbox not read", error=type(error).__name__)
            await asyncio.sleep(self._interval.total_seconds())

    async def _send_left_behind(self) -> None:
        # Younger ones are still being sent by the worker that has committed them.
        before = self._clock() - self._interval
        after: tuple[datetime, str] | None = None
        while events := await self._outbox.unsent(before, after, IN_FLIGHT_MAX, BYTES_MAX):
            after = (events[-1].booked_at, events[-1].message_id)
            left = [event for event in events if event.message_id not in self._mine]
            if left:
                log.info("sending events left behind", count=len(left))
                await self._send_apart(left)

    async def _send_apart(self, events: list[OutgoingEvent]) -> None:
        """Publish events, and find those over which the broker closes the channel: by halves, until one is alone.

        What is uncertain is left to a later sweep.
        """
        groups = [events]
        while groups:
            group = groups.pop()
            alone = len(group) == 1
            for _ in range(CLOSES_MAX if alone else 1):
                found = await self._publish(self._beside, group)
                reason, over = next(((sent, found[sent]) for sent in CLOSED if found[sent]), (Sent.UNCERTAIN, []))
                if not over:
                    break
            await self._unconfirmed(found[Sent.UNCERTAIN])
            if not alone:
                # One that is left of several has not closed the channel alone yet.
                half = len(over) // 2
                groups += [part for part in (over[half:], over[:half]) if part]
            elif reason is Sent.PRECONDITION_FAILED:
                await self._park(over, reason)
            else:
                await self._refused(over, reason)
