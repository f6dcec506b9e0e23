"""The watch: looks at both services also when nothing comes in, and says what this worker's part is.

A worker with nothing to do would not notice that its database is gone. So readiness does not rest on what the work
meets: every few seconds the database takes a write of ours by a majority, and the broker says how its queues are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog

from adapters.faults import mongodb_fault, rabbitmq_fault
from adapters.mongodb.connection import DatabaseError
from adapters.rabbitmq.look import LOOK_ERRORS, BrokerLook, QueueLook
from adapters.rabbitmq.topology import WORK
from adapters.rabbitmq.work_queue import WorkQueue
from adapters.settings import Settings
from adapters.store import workers
from adapters.version import VERSION
from handlers.ports import Answer

log = structlog.get_logger()

WATCH_SECONDS = 2.0
"""How often it looks, unless it is asked to sooner."""
LOOK_SECONDS_MAX = 3.0
"""How long a service may take to answer a look."""
LEAVE_SECONDS_MAX = 0.5
"""How long it may take to say that this worker is gone."""
RELAY_SECONDS_MAX = 60.0
"""How long the relay may have events and get none through before the worker is not ready."""


@dataclass(slots=True)
class Service:
    """A service as it was at the last look: `up` is None before the first one; `why` says what is wrong.

    `gone`: it is no question of its being slow, as one that did not answer once may be.
    """

    name: str
    up: bool | None = None
    why: str = ""
    gone: bool = False

    def seen(self, why: str | None, *, slow: bool = False) -> None:
        """It was looked at, and this is wrong with it; an outage is told once, and so is its end."""
        was, told = self.up, self.gone
        self.up, self.why = why is None, why or ""
        self.gone = not self.up and (told or not slow or was is False)
        if self.gone and not told:
            log.error("service away", service=self.name, why=self.why)
        elif told and self.up:
            log.info("service back", service=self.name)


class Watch:
    """Looks at the services in turn, writes that this worker lives, and knows whether it is ready, and active."""

    def __init__(
        self,
        settings: Settings,
        database: Any,
        queue: WorkQueue,
        *,
        name: str,
        on_turn: Callable[[], None],
        relay_stuck_seconds: Callable[[], float],
        side_consumers: Callable[[], Awaitable[bool]],
    ) -> None:
        self._settings = settings
        self._database = database
        self._queue = queue
        self._name = name
        self._on_turn = on_turn
        self._relay_stuck_seconds = relay_stuck_seconds
        self._side_consumers = side_consumers
        self._broker = BrokerLook(settings.rabbitmq_url)
        self.database = Service("database")
        self.broker = Service("broker")
        self.queues: list[QueueLook] = []
        self._beside = False
        self.role: str | None = None
        self._soon = asyncio.Event()

    def look_soon(self) -> None:
        """Look again at once, or after the look that is under way: what this worker's part is may have changed."""
        self._soon.set()

    async def run(self) -> None:
        """Look until cancelled."""
        file = Path(self._settings.health_file) if self._settings.health_file else None
        while True:
            self._soon.clear()
            await self.look()
            if file is not None and self.ready:
                await asyncio.to_thread(file.touch)
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._soon.wait()

    async def look(self) -> None:
        """Look once at both."""
        await asyncio.gather(self._look_at_database(), self._look_at_broker())

    async def _look_at_database(self) -> None:
        queue = self._queue
        facts = {
            "version": VERSION,
            "driver": self._settings.mongodb_driver,
            "ready": self.ready,
            "appliesBesideOthers": not self._settings.single_active_consumer,
            "hasTurn": queue.has_turn,
            "behind": queue.behind,
        }
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                found = await workers.say(self._database, self._name, facts, queue.consumption)
        except (DatabaseError, TimeoutError, OSError) as error:
            line = mongodb_fault(error, self._settings.mongodb_url).line
            self.database.seen(line, slow=isinstance(error, TimeoutError))
        else:
            self.database.seen(None)
            self._play(found)

    def _play(self, found: list[workers.WorkerSeen]) -> None:
        """Find out this worker's part, and say when it changes."""
        active = workers.active(found)
        role = None
        # By its row: it may have come to the queue, or left it, while that was written.
        if any(worker.name == self._name and worker.consuming is not None for worker in found):
            role = "active" if self._name in active else "standing by"
        if role == self.role:
            return
        self.role = role
        if role == "active":
            log.info("active: messages are applied here", worker=self._name)
            if self._settings.single_active_consumer and not self._queue.has_turn:
                self._on_turn()
        elif role == "standing by":
            log.info("standing by: messages are applied elsewhere", worker=self._name, active=", ".join(sorted(active)))

    async def _look_at_broker(self) -> None:
        try:
            self.queues = await self._broker.look(LOOK_SECONDS_MAX)
            self._beside = await self._side_consumers()
        except LOOK_ERRORS as error:
            line = rabbitmq_fault(error, self._settings.rabbitmq_url).line
            self.broker.seen(line, slow=isinstance(error, TimeoutError))
        else:
            self.broker.seen(None)

    @property
    def checks(self) -> dict[str, bool]:
        """What readiness is made of."""
        return {
            "database": bool(self.database.up),
            "broker": bool(self.broker.up),
            "workQueue": self._queue.consuming,
            "deadLettersAndQueries": self._beside,
            "relay": self._relay_stuck_seconds() < RELAY_SECONDS_MAX,
        }

    @property
    def waiting(self) -> int | None:
        """How many messages waited in the work queue at the last look; None when that is not known."""
        if not self.broker.up:
            return None
        return next((queue.messages for queue in self.queues if queue.name == WORK), None)

    @property
    def ready(self) -> bool:
        """Whether this worker applies messages, or would if it were its turn."""
        return all(self.checks.values())

    @property
    def nothing_answers(self) -> bool:
        """Whether what is under way can't be ended: a service it needs for that is away."""
        return self.database.gone or self.broker.gone

    async def live(self) -> Answer:
        """`/health/live`: the event loop goes round, and no part has failed, or the process would be gone."""
        return Answer(HTTPStatus.OK, b'{"live": true}\n')

    async def readiness(self) -> Answer:
        """`/health/ready`: 200 when the worker is ready, 503 with what it lacks when not."""
        checks = self.checks
        why = [service.why for service in (self.database, self.broker) if service.up is False]
        told: dict[str, Any] = {"ready": all(checks.values()), "role": self.role, "checks": checks}
        if why:
            told["why"] = why
        status = HTTPStatus.OK if told["ready"] else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, json.dumps(told).encode() + b"\n")

    async def close(self) -> None:
        """Say that this worker is gone, if that can be said, and let go of the connection."""
        if self.database.up:
            try:
                async with asyncio.timeout(LEAVE_SECONDS_MAX):
                    await workers.leave(self._database, self._name)
            except (DatabaseError, TimeoutError):
                log.debug("the row of this worker stays: it is removed a day later")
        await self._broker.close()
