"""The worker: where all parts are put together, started in order and stopped without losing what was taken."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Collection, Coroutine
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from adapters.access import AccessFile
from adapters.billing import sweeps as billing
from adapters.clock import Clock, clock_of
from adapters.dunning import sweeps as dunning
from adapters.faults import mongodb_fault, rabbitmq_fault
from adapters.mongodb.connection import DatabaseError, end
from adapters.rabbitmq.connection import (
    CONNECTION_ERRORS,
    naming_losses,
    properties_of,
)
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.relay import Relay
from adapters.rabbitmq.topology import DEAD, QUERIES
from adapters.rabbitmq.work_queue import WorkQueue, first_of
from adapters.settings import Settings, told, unchecked_of
from adapters.settlement import sweeps as settlement
from adapters.store.forms import check_number
from adapters.store.store import Store
from adapters.version import VERSION
from handlers.backlog import Backlog
from handlers.days import DayStarter
from handlers.engine.group_commit import BatchPolicy, GroupCommit
from handlers.engine.held import Waker
from handlers.engine.intake import dead_letter_refusal, take, works_of
from handlers.engine.measures import Measures
from handlers.engine.queries import QueryServer
from handlers.engine.replies import ReplySender
from handlers.metrics import WorkerMetrics
from handlers.ports import ProbeServer
from handlers.starting import ServiceAway, prepare_broker, prepare_database
from handlers.sweeping import Sweeper
from handlers.watch import Watch

log = structlog.get_logger()

ABANDONED_BY_THE_ONE = timedelta(seconds=1)
ABANDONED_BY_ONE_OF_MANY = timedelta(seconds=10)
DEAD_PREFETCH = 20
"""How many dead letters are parked at once."""
QUERY_PREFETCH = 32
"""How many queries a worker has at hand; the others are for whoever is free."""
GARBAGE_OBJECTS = 250_000
"""After so many new objects the garbage collector looks for cycles; Python's own 700 is a few messages' worth.

A batch of bills has some 100,000, none of them in cycles and all alive until it is written: to look at them meanwhile
is in vain, and was a twelfth of a bill's cost.
"""
SWITCH_SECONDS = 0.0005
"""How long a thread waits for the interpreter while another works: Motor's threads, which have the database's answers,
would wait ten times as long for messages to be read, several times for each command."""
CLOSE_SECONDS = 10
"""How long the connections may take to close."""
WAKER = "waker"
SWEEPS = (*billing.SWEEPS, *settlement.SWEEPS)
"""What is gone through account by account."""
WATCH_SELECTION_SECONDS = 1.0
"""How long the watch looks for a server of the database: one that is known and slow is no question of that."""
PING_SECONDS = 0.5
"""How long FastStream's connection may be looked at."""
FORM_SECONDS = 5
"""How often a worker looks whether the database is still of its form."""
AWAY_STOP_SECONDS = 0.5
"""How long a stop goes on while a service is away that it needs: what was taken comes again, what is unsent stays."""
AWAY_CLOSE_SECONDS = 0.5
"""How long the parts and connections may then take to end."""


class Worker:
    """One worker process; `app` is its FastStream application, which has the life cycle and reads the dead letters."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self.access = AccessFile(settings.access)
        clock = clock or clock_of(settings.clock_file)
        self.store = Store(settings.mongodb_url, settings.database, settings.mongodb_driver)
        self.publisher = Publisher(settings.rabbitmq_url)
        # A channel that the broker closes over one event is not the one on which the others are under way.
        self.beside = Publisher(settings.rabbitmq_url, "paymaster publish left behind")
        self.relay = Relay(
            self.publisher,
            self.beside,
            self.store,
            interval=timedelta(seconds=settings.relay_interval_seconds),
            refused_max=timedelta(seconds=settings.refused_seconds_max),
            clock=clock,
        )
        self.teller = ReplySender(self.publisher, settings.reply_queues)
        name = self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.measures = Measures()
        keeping = BatchPolicy(
            settings.series,
            settings.credit_note_series,
            settings.zone,
            timedelta(seconds=settings.waiting_seconds_max),
            # Where one worker applies at a time, whatever is in its way is of a dead one; several may be slow.
            ABANDONED_BY_THE_ONE if settings.single_active_consumer else ABANDONED_BY_ONE_OF_MANY,
            name,
            settings.retry_seconds_max,
            settings.defect_attempts_max,
            settings.defect_delay_seconds,
            timedelta(days=settings.days_ahead_max),
        )
        self.commit = GroupCommit(
            self.store, self.relay, self.teller, keeping, clock, self.measures, lambda: self.access.current
        )
        self.waker = Waker(
            self.store,
            self.commit.submit,
            interval=timedelta(seconds=settings.held_interval_seconds),
            clock=clock,
            access=lambda: self.access.current,
            applying=lambda: self.commit.applying,
        )
        self.teller.look_for = self.waker.look_for
        self.teller.made = self.waker.made
        self.queue = WorkQueue(
            settings.rabbitmq_url,
            prefetch=settings.prefetch,
            single_active_consumer=settings.single_active_consumer,
            deliver=lambda delivery: take(delivery, self.commit.submit, self.access.current),
            gives_way=lambda: self.commit.deciding,
            full=lambda: self.commit.full,
            # Where one applies at a time whoever had the turn before is dead, or has lost it.
            on_turn=self.commit.take_over if settings.single_active_consumer else lambda: None,
        )
        # In an outage the messages are better off in the broker: there another worker gets them, and no time runs out.
        self.commit.on_away, self.commit.on_back = self.queue.pause, self.queue.resume
        # Connections of its own, so that no query takes one from the work; Motor's way through threads takes a page of
        # accounts a third longer.
        self.readings = Store(settings.mongodb_url, settings.database, "pymongo")
        self.enquiries = QueryServer(
            self.readings,
            self.publisher,
            settings.zone,
            clock,
            keeping.ahead_max,
            settings.reply_queues,
            lambda: self.access.current,
        )
        # Of its own too: it gives up sooner than the work does.
        self.looks = Store(settings.mongodb_url, settings.database, "pymongo", WATCH_SELECTION_SECONDS)
        self.watch = Watch(
            settings,
            self.looks.database,
            self.queue,
            name=name,
            on_turn=self.commit.take_over,
            relay_stuck_seconds=lambda: self.relay.stuck_seconds,
            side_consumers=self._reads_beside,
        )
        self.queue.on_consuming = self.watch.look_soon
        by_file = settings.clock_file is not None
        self.days = DayStarter(
            self.looks.database,
            self.commit.submit,
            is_active=lambda: self.watch.role == "active",
            zone=settings.zone,
            clock=clock,
            by_server_too=not by_file,
        )
        self.backlog = Backlog(
            self.queue, self.watch, prefetch=settings.prefetch, gathered=lambda: self.commit.gathered
        )
        self.sweepers = [
            Sweeper(
                sweep,
                self.looks.database,
                self.commit.submit,
                self.commit.submit_bulk,
                is_active=lambda: self.watch.role == "active",
            )
            for sweep in (*SWEEPS, dunning.sweep_of(self._day_to_dun))
        ]
        self.commit.begins_bulk = frozenset().union(*(sweeper.begun_by for sweeper in self.sweepers))
        self.commit.on_begun = self._look_soon
        about = {"database": settings.database, "driver": settings.mongodb_driver}
        metrics = WorkerMetrics(
            self.measures,
            self.watch,
            self.relay,
            self.commit,
            self.looks.database,
            about,
            lambda found: found.day_behind_seconds(clock() if by_file else found.at, settings.zone),
        )
        self.ports = ProbeServer(
            {"/health/live": self.watch.live, "/health/ready": self.watch.readiness, "/metrics": metrics.page}
        )
        self._gave_up = asyncio.Event()
        self.failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.app = self._application()

    def _application(self) -> FastStream:
        broker = self._reading = RabbitBroker(self._settings.rabbitmq_url, logger=None, graceful_timeout=10)
        dead = RabbitQueue(DEAD, declare=False)

        async def body(message: RabbitMessage) -> bytes:
            return message.body

        # Without a prefetch of its own it would be sent all that ever died at once.
        channel = Channel(prefetch_count=DEAD_PREFETCH)

        @broker.subscriber(dead, channel=channel, decoder=body, ack_policy=AckPolicy.MANUAL, no_reply=True)
        async def park_dead_letter(message: RabbitMessage) -> None:
            """Park what the broker gave up on; it is acknowledged once that is committed."""
            properties = properties_of(message.raw_message.properties)
            committed = asyncio.Event()
            for work in works_of(
                # The broker keeps it; what the header `x-death` says of it a sender can have written.
                message.raw_message.routing_key or "",
                message.body,
                properties,
                committed.set,
                give_up=dead_letter_refusal(properties),
                access=self.access.current,
            ):
                self.commit.submit(work)
            await first_of(committed.wait(), self._gave_up.wait())
            if committed.is_set():
                await message.ack()

        queries = RabbitQueue(QUERIES, declare=False)
        beside = Channel(prefetch_count=QUERY_PREFETCH)

        @broker.subscriber(queries, channel=beside, decoder=body, ack_policy=AckPolicy.MANUAL, no_reply=True)
        async def answer_query(message: RabbitMessage) -> None:
            """Answer a query; every worker does, also one that stands by."""
            raw = message.raw_message
            asked = raw.exchange or "", raw.routing_key or ""
            await self.enquiries.take(properties_of(raw.properties), message.body, message.ack, *asked)

        return FastStream(
            broker,
            logger=None,
            on_startup=[self._prepare],
            after_startup=[self._start],
            on_shutdown=[self._stop],
            after_shutdown=[self._close],
        )

    def _look_soon(self, begun: Collection[type]) -> None:
        """See to the sweeps that begin with one of these facts."""
        for sweeper in self.sweepers:
            if not sweeper.begun_by.isdisjoint(begun):
                sweeper.look_soon()

    def _day_to_dun(self) -> date | None:
        """The newest day, once what waited for this worker is applied: who has paid is not dunned."""
        day = self.days.current
        return day if day is not None and self.backlog.is_applied(day) else None

    async def _reads_beside(self) -> bool:
        """Whether the dead letters and the queries are read: FastStream's connection is there."""
        return bool(self._tasks) and await self._reading.ping(PING_SECONDS)

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; raises what stopped it when that was neither."""
        try:
            with naming_losses():
                await self.app.run()
        except BaseException as error:
            await self._close()
            if isinstance(error, CONNECTION_ERRORS) and not self._tasks:
                raise ServiceAway(rabbitmq_fault(error, self._settings.rabbitmq_url).line) from error
            raise
        if self.failure is not None:
            raise self.failure

    async def _prepare(self) -> None:
        """Wait for the services, check the topology, declare what is missing."""
        if self._settings.http_port is not None:
            await self._open_port(self._settings.http_host, self._settings.http_port)
        await prepare_database(self.store.prepare, self._settings)
        await prepare_broker(self._settings)

    async def _start(self) -> None:
        self._spawn(self.relay.run(), "relay")
        self._spawn(self.commit.run(), "group commit")
        self._spawn(self.waker.run(), WAKER)
        self._spawn(self.queue.run(), "work queue")
        self._spawn(self._watch_the_form(), "form")
        self._spawn(self.watch.run(), "watch")
        self._spawn(self.days.run(), "days")
        for sweeper in self.sweepers:
            self._spawn(sweeper.run(), "sweeper")

    async def _open_port(self, host: str, port: int) -> None:
        # Open while the services are waited for: the process lives, and is not ready.
        try:
            await self.ports.start(host, port)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ServiceAway(
                f"nothing can listen at {host}:{port} ({why}): see PAYMASTER_HTTP_HOST, PAYMASTER_HTTP_PORT"
            ) from error
        log.info("probes answered", host=host, port=self.ports.port)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # A part that ends by an exception is a defect: the whole worker goes down, and another takes over cleanly.
        error = RuntimeError(f"{task.get_name()} was cancelled") if task.cancelled() else task.exception()
        if error is not None:
            log.error("part failed", part=task.get_name(), error=type(error).__name__)
            self.failure = self.failure or error
            self.app.exit()

    async def _watch_the_form(self) -> None:
        # Whoever migrates stops the workers first: this one was forgotten.
        while True:
            await asyncio.sleep(FORM_SECONDS)
            with suppress(DatabaseError):  # away: the group commit says so
                await check_number(self.store.database)

    async def _stop(self) -> None:
        """Take no more, commit what was taken, acknowledge it, send its events."""
        since = time.monotonic()
        self.days.stop()
        for sweeper in self.sweepers:
            sweeper.stop()
        self.waker.stop()
        # Of one that had not started yet there is nothing to finish.
        if self._tasks and not await self._finished():
            # Nothing is lost: what is not acknowledged comes again, what is not sent is in the outbox.
            log.warning("stopping before all was sent")
            self._gave_up.set()
        log.info("stopped", seconds=round(time.monotonic() - since, 3))

    async def _finished(self) -> bool:
        """Finish what was taken; whether that went, in the time it has and with both services there."""
        finishing = asyncio.create_task(self._finish())
        looking = asyncio.create_task(self.watch.look())
        until = time.monotonic() + self._settings.shutdown_timeout_seconds
        while not finishing.done() and time.monotonic() < until:
            await asyncio.wait([finishing], timeout=0.1)
            if self.watch.nothing_answers and not finishing.done():
                until = min(until, time.monotonic() + AWAY_STOP_SECONDS)
        for task in (finishing, looking):
            if not task.done():
                task.cancel()
        done, _ = await asyncio.wait([finishing, looking], timeout=AWAY_CLOSE_SECONDS)
        return finishing in done and not finishing.cancelled() and finishing.exception() is None

    async def _finish(self) -> None:
        await self.queue.stop()
        # One that has failed holds up nothing of what follows; given up, it is not cancelled before all others are.
        await asyncio.wait([task for task in self._tasks if task.get_name() == WAKER])
        await self.commit.drained()
        await self.queue.close()
        await self.relay.drained()
        await self.teller.drained()

    async def _close(self) -> None:
        self.teller.cancel()
        for task in self._tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        await self.ports.close()
        if self.watch.nothing_answers:
            # A call that looks for a server ends with its client; until then a part would wait for it.
            await self.store.close()
        await end(self._tasks)
        # A broker that has blocked a connection does not answer its closing either.
        with suppress(TimeoutError):
            async with asyncio.timeout(AWAY_CLOSE_SECONDS if self.watch.nothing_answers else CLOSE_SECONDS):
                await self.watch.close()
                await self.queue.close()
                await self.publisher.close()
                await self.beside.close()
        await asyncio.gather(*(store.close() for store in (self.store, self.readings, self.looks)))


def run_worker(settings: Settings) -> None:
    """Run a worker in this process until it is told to stop."""
    import uvloop

    async def main() -> None:
        try:
            worker = Worker(settings)
        except OSError as error:  # a certificate's file
            raise ServiceAway(mongodb_fault(error, settings.mongodb_url).line) from error
        log.info("starting", version=VERSION, worker=worker.name, **told(settings))
        if settings.access is None:
            log.warning("access is open: whoever may publish may do everything", setting="PAYMASTER_ACCESS")
        else:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, worker.access.reload)
        for service in unchecked_of(settings):
            log.warning("certificates unchecked", service=service, setting="PAYMASTER_UNCHECKED_TLS")
        if settings.clock_file is not None:
            log.warning("the time is what a file says, and stands still in between", file=settings.clock_file)
        # What is loaded by now stays; a batch makes many objects, hardly any of them in cycles.
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        sys.setswitchinterval(SWITCH_SECONDS)
        with suppress(asyncio.CancelledError):
            await worker.run()

    uvloop.run(main())
