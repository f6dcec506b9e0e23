"""The relay alone, on a broker and an outbox that are made up: what it does with what the broker does not confirm."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from adapters.mongodb import connection as mongodb
from adapters.rabbitmq import relay as module
from adapters.rabbitmq.publisher import Sent
from adapters.rabbitmq.relay import BYTES_MAX, CLOSES_MAX, Relay
from schemas.event import OutgoingEvent
from tests.store import documents as make
from tests.support.waiting import SECONDS_MAX, wait_for

INTERVAL = timedelta(seconds=0.02)
UNCERTAIN, CONFIRMED, CLOSED = Sent.UNCERTAIN, Sent.CONFIRMED, Sent.PRECONDITION_FAILED


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pause between two tries, and before marks."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(module, "_MARK_SECONDS", 0.001)


def utc_now() -> datetime:
    return datetime.now(UTC)


def events(*sequences: int, size: int = 2) -> list[OutgoingEvent]:
    """Events that were booked long ago."""
    return [replace(make.event("BA-1", n), body=b"x" * size) for n in sequences]


def told(found: Sequence[OutgoingEvent]) -> list[int]:
    return [one.sequence or 0 for one in found]


class Exchange:
    """Where events go: `says` what becomes of the events of each try, which are in `tries`."""

    def __init__(self, says: Callable[[list[int]], dict[int, Sent]] = lambda _: {}) -> None:
        self.says = says
        self.tries: list[list[int]] = []
        self.times: list[datetime] = []
        self.bytes: list[int] = []
        self.opened = 0
        self.open_fails = False

    async def open(self) -> None:
        """Connect, unless that is to fail."""
        self.opened += 1
        if self.open_fails:
            self.open_fails = False
            raise ConnectionError

    async def publish(self, events: Sequence[OutgoingEvent]) -> list[Sent]:
        """Publish; what nothing is said of is confirmed."""
        self.tries.append(told(events))
        self.times.append(utc_now())
        self.bytes.append(sum(len(one.body) for one in events))
        await asyncio.sleep(0.001)
        said = self.says(told(events))
        return [said.get(n, CONFIRMED) for n in told(events)]


class Outbox:
    """An outbox in memory."""

    def __init__(self, *kept: OutgoingEvent) -> None:
        self.rows = {one.message_id: one for one in kept}
        self.due: dict[str, datetime] = {}
        self.unconfirmed: list[str] = []
        self.parked: list[str] = []
        self.looks = 0
        self.marks: list[int] = []
        self.marking = asyncio.Event()
        """Until it is set no mark comes to an end."""
        self.marking.set()

    async def unsent(
        self, before: datetime, after: tuple[datetime, str] | None, limit: int, bytes_max: float = math.inf
    ) -> list[OutgoingEvent]:
        """What is due, a page of it."""
        self.looks += 1
        found: list[OutgoingEvent] = []
        size = 0
        for id_, one in sorted(self.rows.items()):
            if self.due.get(id_, one.booked_at) < before and (after is None or (one.booked_at, id_) > after):
                size += len(one.body)
                if found and size > bytes_max:
                    break
                found.append(one)
        return found[:limit]

    async def mark_sent(self, message_ids: Sequence[str], now: datetime) -> None:
        """Forget what is sent."""
        await self.marking.wait()
        self.marks.append(len(message_ids))
        for id_ in message_ids:
            self.rows.pop(id_, None)

    async def mark_refused(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Put off what is refused."""
        self.due |= dict.fromkeys(message_ids, now + first_wait)

    async def mark_unconfirmed(
        self, message_ids: Sequence[str], now: datetime, first_wait: timedelta, wait_max: timedelta
    ) -> None:
        """Put off what is not confirmed."""
        self.unconfirmed += message_ids
        for id_ in message_ids:
            wait = first_wait * 2 ** (self.unconfirmed.count(id_) - 1)
            self.due[id_] = now + min(wait, wait_max)

    async def refused_since(self, message_ids: Sequence[str], since: datetime, refusals_min: int) -> list[str]:
        """None: no time goes by here."""
        return []

    async def park(self, message_ids: Sequence[str], reason: str, now: datetime) -> None:
        """Give up events."""
        self.parked += message_ids
        for id_ in message_ids:
            self.rows.pop(id_, None)


@asynccontextmanager
async def relaying(exchange: Exchange, beside: Exchange, outbox: Outbox) -> AsyncIterator[Relay]:
    """A relay at work."""
    hour = timedelta(hours=1)
    relay = Relay(exchange, beside, outbox, interval=INTERVAL, refused_max=hour, clock=utc_now)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def never(*sequences: int) -> Callable[[list[int]], dict[int, Sent]]:
    """No confirm of these ever comes."""
    return lambda _: dict.fromkeys(sequences, UNCERTAIN)


@pytest.mark.parametrize("at_first", ["connects", "fails"])
async def test_it_connects_before_there_is_anything_to_send(at_first: str) -> None:
    """So that who takes over does not connect first; when that fails, the first event connects."""
    exchange = Exchange()
    exchange.open_fails = at_first == "fails"
    async with relaying(exchange, Exchange(), Outbox()) as relay:
        await wait_for(lambda: exchange.opened)
        assert exchange.tries == []
        relay.hand_over(events(1))
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
    assert (exchange.tries, exchange.opened) == ([[1]], 2)


async def test_an_event_that_is_never_confirmed_holds_up_no_other() -> None:
    """The others go on after one try; it is left to the sweep, which waits ever longer, and is never parked."""
    exchange, beside = Exchange(never(2)), Exchange(never(2))
    outbox = Outbox(*events(1, 2, 3))
    async with relaying(exchange, beside, outbox) as relay:
        relay.hand_over(events(1, 2, 3))
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
        relay.hand_over(events(4, 5))
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
        assert exchange.tries == [[1, 2, 3], [4, 5]]
        await wait_for(lambda: len(beside.tries) >= 6)
    # Waits of 40, 80, 160, 320 and 640 ms, where the sweep comes by every 20 ms.
    waits = [later - earlier for earlier, later in pairwise(beside.times)]
    assert all(wait >= INTERVAL * 2**n for n, wait in enumerate(waits, 1)), waits
    assert set(map(tuple, beside.tries)) == {(2,)}
    assert set(outbox.unconfirmed) == {"BA-1:2"}
    assert (list(outbox.rows), outbox.parked) == (["BA-1:2"], [])


async def test_an_event_that_is_alone_and_not_confirmed_holds_up_no_later_one() -> None:
    """What comes later goes out together with it, and shows whether it is this event or an outage."""
    exchange = Exchange(never(1))
    outbox = Outbox()
    async with relaying(exchange, Exchange(), outbox) as relay:
        relay.hand_over(events(1))
        await wait_for(lambda: len(exchange.tries) > 2)
        assert outbox.unconfirmed == []
        relay.hand_over(events(2, 3))
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
    assert exchange.tries[-1] == [1, 2, 3]
    assert outbox.unconfirmed == ["BA-1:1"]


async def test_in_an_outage_all_is_tried_until_it_is_over() -> None:
    """While nothing at all is confirmed no event is put off, and a try stays within the limits."""
    away = True
    exchange = Exchange(lambda found: dict.fromkeys(found, UNCERTAIN) if away else {})
    outbox = Outbox()
    big = events(*range(1, 6), size=3 * 1024 * 1024)
    async with relaying(exchange, Exchange(), outbox) as relay:
        relay.hand_over(big)
        await wait_for(lambda: len(exchange.tries) > 5)
        away = False
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
    assert (outbox.unconfirmed, outbox.parked) == ([], [])
    assert max(exchange.bytes) < BYTES_MAX + len(big[0].body)


async def test_an_event_is_parked_only_after_closing_the_channel_alone_so_many_times() -> None:
    """What is left alone of a group, its others being confirmed, was not tried alone yet."""
    closes = 1
    beside = Exchange(lambda _: {2: CLOSED} if len(beside.tries) <= closes else {})
    outbox = Outbox(*events(1, 2, 3))
    async with relaying(Exchange(), beside, outbox):
        await wait_for(lambda: not outbox.rows)
        assert (beside.tries, outbox.parked) == ([[1, 2, 3], [2]], [])
        beside.tries.clear()
        closes = 9
        outbox.rows = {one.message_id: one for one in events(1, 2, 3)}
        await wait_for(lambda: not outbox.rows)
    assert (beside.tries, outbox.parked) == ([[1, 2, 3]] + CLOSES_MAX * [[2]], ["BA-1:2"])


async def test_what_is_left_behind_is_sent_in_chunks_of_so_many_bytes() -> None:
    """As what is handed over is; an event that is larger goes alone."""
    mebi = 1024 * 1024
    beside = Exchange()
    outbox = Outbox(*events(1, 2, 3, 4, size=3 * mebi), *events(5, size=9 * mebi), *events(6))
    async with relaying(Exchange(), beside, outbox):
        await wait_for(lambda: not outbox.rows)
    assert beside.tries == [[1, 2], [3, 4], [5], [6]]


async def test_confirmed_events_are_marked_many_at_once() -> None:
    """Sending waits for no mark; all is drained once the marks are made, and no sweep sends what is to be marked."""
    kept = events(*range(1, 6))
    exchange, beside, outbox = Exchange(), Exchange(), Outbox()
    outbox.marking.clear()
    async with relaying(exchange, beside, outbox) as relay:
        for count, event in enumerate(kept, 1):
            outbox.rows[event.message_id] = event
            relay.hand_over([event])
            await wait_for(lambda: len(exchange.tries) >= count)  # noqa: B023  # it is awaited at once
        # The first is being marked; the others are confirmed, one after another, meanwhile.
        await wait_for(lambda: len(relay._confirmed) == 4)
        before = outbox.looks
        await wait_for(lambda: outbox.looks > before + 2)
        assert outbox.marks == []
        outbox.marking.set()
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
    assert outbox.rows == {}
    assert outbox.marks == [1, 4]
    assert beside.tries == []


async def test_events_that_are_to_be_marked_count_as_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """While marks are not made, no more is committed than is kept in memory."""
    monkeypatch.setattr(module, "BACKLOG_MAX", 3)
    kept = events(*range(1, 5))
    exchange, outbox = Exchange(), Outbox(*kept)
    outbox.marking.clear()
    async with relaying(exchange, Exchange(), outbox) as relay:
        relay.hand_over(kept)
        committing = asyncio.create_task(relay.room())
        # All are on their way, and looked at by the sweep, which leaves them alone.
        await wait_for(lambda: exchange.tries and outbox.looks > 2)
        assert not committing.done()
        outbox.marking.set()
        await asyncio.wait_for(committing, SECONDS_MAX)
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)


async def test_what_a_sweep_has_sent_the_next_one_leaves_alone() -> None:
    """Also before it is marked."""
    beside, outbox = Exchange(), Outbox(*events(1, 2))
    outbox.marking.clear()
    async with relaying(Exchange(), beside, outbox):
        # The first sweep looks a second time for what is beyond its first page.
        await wait_for(lambda: outbox.looks > 5)
        assert len(outbox.rows) == 2
        outbox.marking.set()
        await wait_for(lambda: not outbox.rows)
    assert beside.tries == [[1, 2]]


async def test_a_relay_ends_though_a_cancellation_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMongo loses one now and then: then the sweep goes on, and the worker would wait for it without end."""
    monkeypatch.setattr(mongodb, "CANCEL_AGAIN_SECONDS", 0.02)
    looking, lost = asyncio.Event(), False

    class Losing(Outbox):
        async def unsent(self, *_given: Any) -> list[OutgoingEvent]:
            nonlocal lost
            if not lost:
                looking.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    lost = True
            return []

    relay = Relay(Exchange(), Exchange(), Losing(), interval=INTERVAL, refused_max=INTERVAL, clock=utc_now)
    running = asyncio.create_task(relay.run())
    await looking.wait()
    running.cancel()
    await asyncio.wait([running], timeout=SECONDS_MAX)
    assert running.cancelled()
    assert lost


async def test_a_part_that_fails_ends_the_relay() -> None:
    """With what it failed with; nothing of it goes on."""

    class Broken(Outbox):
        async def unsent(self, *_given: Any) -> list[OutgoingEvent]:
            raise ZeroDivisionError

    relay = Relay(Exchange(), Exchange(), Broken(), interval=INTERVAL, refused_max=INTERVAL, clock=utc_now)
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await relay.run()
    assert asyncio.all_tasks() == before
