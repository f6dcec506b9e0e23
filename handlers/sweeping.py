"""Sweeping: the worker that applies goes through what is under way, and says each account's fact to itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from adapters.mongodb.connection import DatabaseError
from adapters.sweep import Sweep, UnderWay
from handlers.engine.work import Outcome, WorkItem, internal_work

log = structlog.get_logger()

PAGE = 1_000
"""How many accounts are looked at at once: as many as a batch may have of what is light."""
IN_FLIGHT_MAX = 2 * PAGE
"""How many facts are submitted at once: a page is found while the one before it is committed."""
PASSES_MAX = 100
"""How often all accounts are gone through, if more come each time. The next sweep has those that come then."""
LOOK_SECONDS = 1.0
"""How often it is looked whether something is under way."""
AGAIN_SECONDS = 5.0
"""After so long it is tried again what could not be read, and looked again at what waits."""
HELD_SECONDS = 60.0
"""After so long the fact that ends a sweep is submitted again when it was held: until what is wrong is mended."""


class Sweeper:
    """Goes through what is under way of a kind of sweep, one after the other, until nothing is left of it.

    All that is remembered here is how far this worker is: whoever takes over begins behind the last account that was
    come to. Something is over when all accounts were gone through and none of them was left to do; so what has become
    one behind the cursor is found too.
    """

    def __init__(
        self,
        sweep: Sweep,
        database: Any,
        submit: Callable[[WorkItem], None],
        submit_bulk: Callable[[WorkItem], None],
        *,
        is_active: Callable[[], bool],
    ) -> None:
        self._sweep = sweep
        self.begun_by = frozenset(sweep.begun_by)
        self._database = database
        self._submit = submit
        self._submit_bulk = submit_bulk
        self._is_active = is_active
        # By their identity as objects: telling them apart by what they say takes some microseconds each.
        self._in_flight: dict[int, object] = {}
        self._moved = asyncio.Event()
        self._soon = False
        self._close_at: dict[str, float] = {}
        self._waited: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopping = True
        self._moved.set()

    def look_soon(self) -> None:
        """Look for what is under way without waiting for the next time: something has begun."""
        self._soon = True
        self._moved.set()

    async def run(self) -> None:
        """Look for what is under way until stopped."""
        while not self._stopping:
            wait = LOOK_SECONDS
            self._soon = False
            if self._is_active():
                try:
                    await self._look()
                except (DatabaseError, OSError) as error:
                    log.warning("sweep not read", sweep=self._sweep.name, error=type(error).__name__)
                    wait = AGAIN_SECONDS
            if not self._soon:
                await self._wait(wait)

    async def _look(self) -> None:
        found = await self._sweep.under_way(self._database)
        self._close_at = {one.id: self._close_at[one.id] for one in found if one.id in self._close_at}
        self._waited &= self._close_at.keys()
        for one in found:
            if one.id not in self._close_at:
                if not await self._go_through(one):
                    return
                self._close_at[one.id] = 0.0
            if self._close_at[one.id] <= time.monotonic():
                self._close_at[one.id] = time.monotonic() + await self._close(one)

    async def _go_through(self, one: UnderWay) -> bool:
        """Submit all facts that are left to do; False if that had to end before."""
        if not await self._until(0):
            return False
        log.info("sweep under way", sweep=self._sweep.name, id=one.id, after=one.cursor)
        after = one.cursor
        whole = after is None
        for passes in range(PASSES_MAX):
            new = False
            while True:
                # Another pass begins while the last facts of the one before are under way.
                under_way = frozenset(self._in_flight.values() if passes else ())
                page = await self._sweep.page(self._database, one.document, after, PAGE)
                left = [fact for fact in page.facts if fact not in under_way]
                if not await self._until(IN_FLIGHT_MAX - len(left)):
                    return False
                for fact in left:
                    self._in_flight[id(fact)] = fact
                    self._submit_bulk(internal_work(fact, partial(self._done, id(fact))))
                new = new or bool(left)
                after = page.after
                if after is None:
                    break
            if whole and not new:
                break
            whole = True
        return await self._until(0)

    def _done(self, fact: int, _outcome: Outcome) -> None:
        del self._in_flight[fact]
        self._moved.set()

    async def _until(self, in_flight: int) -> bool:
        """Wait until no more than so many facts are under way; False if nothing is to be submitted any more."""
        while len(self._in_flight) > in_flight and not self._stopping and self._is_active():
            await self._wait(LOOK_SECONDS)
        return not self._stopping and self._is_active()

    async def _wait(self, seconds: float) -> None:
        """Wait until a fact is done, or it is time to stop, but not for longer."""
        if not self._stopping:
            self._moved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._moved.wait()

    async def _close(self, one: UnderWay) -> float:
        """Submit the fact that ends it, unless something waits; returns after how many seconds to look again."""
        last = await self._sweep.closing(self._database, one.document)
        if last is None:
            self._waited.add(one.id)
            return AGAIN_SECONDS
        if one.id in self._waited:
            # What it waited for may have taken days, in which accounts have come to it.
            if await self._go_through(one):
                self._waited.discard(one.id)
            return 0.0
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._submit(internal_work(last, lambda outcome: None if done.done() else done.set_result(outcome)))
        outcome = await done
        if outcome.kind not in ("applied", "duplicate"):
            log.error("sweep not over", sweep=self._sweep.name, id=one.id, outcome=outcome.kind, reason=outcome.code)
            return HELD_SECONDS
        log.info("sweep over", sweep=self._sweep.name, id=one.id)
        return AGAIN_SECONDS
