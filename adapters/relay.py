"""The relay: publishes committed events, many at a time, and marks as sent what the broker has confirmed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from pymongo.errors import PyMongoError

from adapters.rabbitmq import CONNECTION_ERRORS, Sent
from schemas.events import OutgoingEvent

log = structlog.get_logger()

IN_FLIGHT_MAX = 500
"""The most events that are published and not yet confirmed."""
BYTES_MAX = 8 * 1024 * 1024
"""The most bytes of bodies that are published at once, but for the last event's."""
BACKLOG_MAX = 5_000
"""The most committed events kept in memory; above it no new batch begins."""
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""The most bytes of their bodies; likewise."""
_PAUSE_SECONDS = 0.5


class EventPublisher(Protocol):
    """Where events go."""

    async def open(self) -> None:
        """Connect unless connected."""

    async def publish(self, events: Sequence[OutgoingEvent]) -> Sequence[Sent]:
        """Publish events and wait for their confirms; says what became of each."""


class Outbox(Protocol):
    """Where committed events are kept until they are sent."""

    async def unsent(self, before: datetime, after: tuple[datetime, str] | None, limit: int) -> list[OutgoingEvent]:
        """Events booked before a time and not marked as sent, oldest first, those after a place in that order."""

    async def mark_sent(self, message_ids: Sequence[str], now: datetime) -> None:
        """Mark events that the broker has confirmed."""


class Relay:
    """Sends what it is handed, and on an interval what an earlier life or another worker left behind."""

    def __init__(
        self, publisher: EventPublisher, outbox: Outbox, *, interval: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._publisher = publisher
        self._outbox = outbox
        self._interval = interval
        self._clock = clock
        self._backlog: deque[OutgoingEvent] = deque()
        self._backlog_bytes = 0
        self._mine: set[str] = set()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()

    def hand_over(self, events: Iterable[OutgoingEvent]) -> None:
        """Take events that are committed; they are sent in this order."""
        for event in events:
            self._backlog.append(event)
            self._backlog_bytes += len(event.body)
            self._mine.add(event.message_id)
        if self._backlog:
            self._idle.clear()
            self._arrived.set()
        self._make_room()

    async def room(self) -> None:
        """Wait while too many events are still to be sent: a batch that commits adds more."""
        await self._room.wait()

    async def drained(self) -> None:
        """Wait until all that was handed over is sent."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._sweep())

    async def _send(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._backlog:
                events = self._next_chunk()
                self._make_room()
                await self._send_all(events)
            self._idle.set()

    def _next_chunk(self) -> list[OutgoingEvent]:
        events: list[OutgoingEvent] = []
        size = 0
        while self._backlog and len(events) < IN_FLIGHT_MAX and size < BYTES_MAX:
            events.append(self._backlog.popleft())
            size += len(events[-1].body)
        self._backlog_bytes -= size
        return events

    def _make_room(self) -> None:
        if len(self._backlog) <= BACKLOG_MAX and self._backlog_bytes <= BACKLOG_BYTES_MAX:
            self._room.set()
        else:
            self._room.clear()

    async def _send_all(self, events: list[OutgoingEvent]) -> None:
        """Publish until each is confirmed or refused, whatever happens to the connection."""
        rest = events
        while rest:
            results = await self._publish(rest)
            await self._mark([event for event, sent in zip(rest, results, strict=True) if sent is Sent.CONFIRMED])
            for event, sent in zip(rest, results, strict=True):
                if sent is Sent.REFUSED:
                    # It stays in the outbox; the sweep comes back to it without holding up the others.
                    log.error("event refused by the broker", event_id=event.message_id, type=event.routing_key)
                    self._mine.discard(event.message_id)
            rest = [event for event, sent in zip(rest, results, strict=True) if sent is Sent.UNCERTAIN]
            if rest:
                log.warning("events not confirmed, sending them again", count=len(rest))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _publish(self, events: list[OutgoingEvent]) -> Sequence[Sent]:
        try:
            await self._publisher.open()
            return await self._publisher.publish(events)
        except CONNECTION_ERRORS:
            return [Sent.UNCERTAIN] * len(events)

    async def _mark(self, events: list[OutgoingEvent]) -> None:
        if events:
            # Not marked, it is sent again by the sweep: twice, never lost.
            with suppress(PyMongoError):
                await self._outbox.mark_sent([event.message_id for event in events], self._clock())
        self._mine.difference_update(event.message_id for event in events)

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
        while events := await self._outbox.unsent(before, after, IN_FLIGHT_MAX):
            after = (events[-1].booked_at, events[-1].message_id)
            left = [event for event in events if event.message_id not in self._mine]
            if left:
                log.info("sending events left behind", count=len(left))
                await self._send_all(left)
