"""The days: for each date that has come the worker that applies says `day.begin` to itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import structlog

from adapters.clock import Clock
from adapters.mongodb.connection import DatabaseError
from adapters.operations.status import newest_day, server_time
from domain.days.model import BegunDay
from handlers.engine.work import Outcome, WorkItem, internal_work
from schemas.values import time_json

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""How often the clock is looked at. The database is asked only when there is a new date."""
AGAIN_SECONDS = 5.0
"""After so long it is tried again what could not be done: the database was away, or a clock is ahead."""
HELD_SECONDS = 60.0
"""After so long a day is submitted again that was held: that changes nothing until what is wrong is mended."""


class DayStarter:
    """Submits each day that has come and was not begun, in order, one after the other.

    A day is begun once the worker's clock has come to it and, unless that is a file's, the database server's has, too:
    a worker whose clock is ahead would otherwise bill what is not due, and nothing takes a day back.
    """

    def __init__(
        self,
        database: Any,
        submit: Callable[[WorkItem], None],
        *,
        is_active: Callable[[], bool],
        zone: tzinfo,
        clock: Clock,
        by_server_too: bool,
    ) -> None:
        self._database = database
        self._submit = submit
        self._is_active = is_active
        self._zone = zone
        self._clock = clock
        self._by_server_too = by_server_too
        self._newest: date | None = None
        self._ahead = False
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopping.set()

    @property
    def current(self) -> date | None:
        """The newest day, once all that have come are begun; None before that."""
        newest = self._newest
        return None if newest is None or newest < self._date_of(self._clock()) else newest

    async def run(self) -> None:
        """Look at the clock until stopped."""
        while not self._stopping.is_set():
            wait = LOOK_SECONDS
            if self._is_active() and (self._newest is None or self._newest < self._date_of(self._clock())):
                try:
                    wait = await self._begin()
                except (DatabaseError, OSError) as error:
                    log.warning("days not read", error=type(error).__name__)
                    wait = AGAIN_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()

    def _date_of(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    async def _begin(self) -> float:
        """Begin all days that have come; returns after how many seconds to look again."""
        today = self._date_of(await self._now())
        newest = await newest_day(self._database)
        # A new database, or one of an earlier version, begins with today.
        coming = today if newest is None else newest + timedelta(days=1)
        while coming <= today and self._is_active() and not self._stopping.is_set():
            outcome = await self._outcome_of(BegunDay(coming))
            if outcome.kind not in ("applied", "duplicate"):
                log.error("day not begun", day=str(coming), outcome=outcome.kind, reason=outcome.code)
                return HELD_SECONDS
            if outcome.kind == "applied":
                log.info("day begun", day=str(coming))
            newest = date.fromisoformat(outcome.result["date"])
            coming = newest + timedelta(days=1)
        self._newest = newest
        return AGAIN_SECONDS if self._ahead else LOOK_SECONDS

    async def _now(self) -> datetime:
        now = self._clock()
        if not self._by_server_too:
            return now
        server = await server_time(self._database)
        ahead = self._date_of(now) > self._date_of(server)
        if ahead and not self._ahead:
            log.warning("this worker's clock is ahead: no day is begun before it has come", server=time_json(server))
        self._ahead = ahead
        return min(now, server)

    async def _outcome_of(self, fact: BegunDay) -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._submit(internal_work(fact, lambda outcome: None if done.done() else done.set_result(outcome)))
        return await done
