"""The worker: where all parts are put together, started in order and stopped without losing what was taken."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.mongodb import DatabaseError, end, is_locked_out
from adapters.rabbitmq import (
    CONNECTION_ERRORS,
    DEAD,
    LASTING_ERRORS,
    QUERIES,
    OtherQueueError,
    Publisher,
    WorkQueue,
    connect,
    declare_topology,
    naming_losses,
    properties_of,
)
from adapters.relay import Relay
from adapters.settings import Settings
from adapters.store import Store
from handlers.group_commit import Bookkeeping, GroupCommit
from handlers.held import Waker
from handlers.intake import dead_letter_refusal, take, works_of
from handlers.queries import Enquiries
from handlers.replies import Teller

log = structlog.get_logger()

ABANDONED_BY_THE_ONE = timedelta(seconds=1)
ABANDONED_BY_ONE_OF_MANY = timedelta(seconds=10)
DEAD_PREFETCH = 20
"""How many dead letters are parked at once."""
QUERY_PREFETCH = 32
"""How many queries a worker has at hand; the others are for whoever is free."""
GARBAGE_OBJECTS = 50_000
"""After so many new objects the garbage collector looks for cycles; Python's own 700 is a few messages' worth."""
SWITCH_SECONDS = 0.0005
"""How long a thread waits for the interpreter while another works: Motor's threads, which have the database's answers,
would wait ten times as long for messages to be read, several times for each command."""
CLOSE_SECONDS = 10
"""How long the connections may take to close."""
WAKER = "waker"
HEALTH_SECONDS = 5
"""How often the health file is touched while the worker is ready."""


def utc_now() -> datetime:
    """The worker's clock."""
    return datetime.now(UTC)


class ServiceAway(Exception):
    """A service did not answer in time at the start; the message is one line that names it."""


class Worker:
    """One worker process; `app` is its FastStream application, which has the life cycle and reads the dead letters."""

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._settings = settings
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
        self.teller = Teller(self.publisher)
        keeping = Bookkeeping(
            settings.series,
            settings.zone,
            timedelta(seconds=settings.waiting_seconds_max),
            # Where one worker applies at a time, whatever is in its way is of a dead one; several may be slow.
            ABANDONED_BY_THE_ONE if settings.single_active_consumer else ABANDONED_BY_ONE_OF_MANY,
            f"{socket.gethostname()}:{os.getpid()}",
            settings.retry_seconds_max,
            settings.defect_attempts_max,
            settings.defect_delay_seconds,
        )
        self.commit = GroupCommit(self.store, self.relay, self.teller, keeping, clock)
        self.waker = Waker(
            self.store,
            self.commit.submit,
            interval=timedelta(seconds=settings.held_interval_seconds),
            clock=clock,
        )
        self.teller.look_for = self.waker.look_for
        self.queue = WorkQueue(
            settings.rabbitmq_url,
            prefetch=settings.prefetch,
            single_active_consumer=settings.single_active_consumer,
            deliver=lambda delivery: take(delivery, self.commit.submit),
            gives_way=lambda: self.commit.deciding,
            full=lambda: self.commit.full,
        )
        # In an outage the messages are better off in the broker: there another worker gets them, and no time runs out.
        self.commit.on_away, self.commit.on_back = self.queue.pause, self.queue.resume
        # Connections of its own, so that no query takes one from the work; Motor's way through threads takes a page of
        # accounts a third longer.
        self.readings = Store(settings.mongodb_url, settings.database, "pymongo")
        self.enquiries = Enquiries(self.readings, self.publisher, settings.zone, clock)
        self.failure: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.app = self._application()

    def _application(self) -> FastStream:
        broker = RabbitBroker(self._settings.rabbitmq_url, logger=None, graceful_timeout=10)
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
            ):
                self.commit.submit(work)
            await committed.wait()
            await message.ack()

        queries = RabbitQueue(QUERIES, declare=False)
        beside = Channel(prefetch_count=QUERY_PREFETCH)

        @broker.subscriber(queries, channel=beside, decoder=body, ack_policy=AckPolicy.MANUAL, no_reply=True)
        async def answer_query(message: RabbitMessage) -> None:
            """Answer a query; every worker does, also one that stands by."""
            await self.enquiries.take(properties_of(message.raw_message.properties), message.body, message.ack)

        return FastStream(
            broker,
            logger=None,
            on_startup=[self._prepare],
            after_startup=[self._start],
            on_shutdown=[self._stop],
            after_shutdown=[self._close],
        )

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT; raises what stopped it when that was neither."""
        try:
            with naming_losses():
                await self.app.run()
        except BaseException as error:
            await self._close()
            if isinstance(error, CONNECTION_ERRORS) and not self._tasks:
                raise ServiceAway(f"RabbitMQ went away during the start ({type(error).__name__})") from error
            raise
        if self.failure is not None:
            raise self.failure

    async def _prepare(self) -> None:
        """Wait for the services, check the topology, declare what is missing."""
        limit = self._settings.start_timeout_seconds
        await _answered(self.store.prepare, limit)

        async def declare() -> None:
            connection = await connect(self._settings.rabbitmq_url, "paymaster start", give_up_after_seconds=limit)
            with naming_losses():
                async with connection:
                    await declare_topology(
                        await connection.channel(), single_active_consumer=self._settings.single_active_consumer
                    )

        def flaps(error: BaseException) -> bool:
            # Connected, and gone before all was declared: a broker that is just coming up.
            return isinstance(error, CONNECTION_ERRORS) and not isinstance(error, LASTING_ERRORS)

        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(flaps),
                wait=wait_exponential_jitter(multiplier=0.2, max=5),
                stop=stop_after_delay(limit),
                reraise=True,
            ):
                with attempt:
                    await declare()
        except OtherQueueError as error:
            raise ServiceAway(
                "paymaster.work is there with other arguments: PAYMASTER_SINGLE_ACTIVE_CONSUMER is not what it was "
                f"declared with ({error})"
            ) from error
        except CONNECTION_ERRORS as error:
            raise ServiceAway(
                f"RabbitMQ does not serve us: see PAYMASTER_RABBITMQ_URL ({str(error) or type(error).__name__})"
            ) from error

    async def _start(self) -> None:
        self._spawn(self.relay.run(), "relay")
        self._spawn(self.commit.run(), "group commit")
        self._spawn(self.waker.run(), WAKER)
        self._spawn(self.queue.run(), "work queue")
        if self._settings.health_file:
            self._spawn(self._report_health(Path(self._settings.health_file)), "health")

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

    async def _report_health(self, file: Path) -> None:
        while True:
            if self.queue.consuming:
                await asyncio.to_thread(file.touch)
            await asyncio.sleep(HEALTH_SECONDS)

    async def _stop(self) -> None:
        """Take no more, commit what was taken, acknowledge it, send its events."""
        since = time.monotonic()
        self.waker.stop()
        try:
            async with asyncio.timeout(self._settings.shutdown_timeout_seconds):
                await self.queue.stop()
                # One that has failed holds up nothing of what follows.
                await asyncio.gather(
                    *(task for task in self._tasks if task.get_name() == WAKER), return_exceptions=True
                )
                await self.commit.drained()
                await self.queue.close()
                await self.relay.drained()
                await self.teller.drained()
        except TimeoutError:
            # Nothing is lost: what is not acknowledged comes again, what is not sent is in the outbox.
            log.warning("stopping before all was sent")
        log.info("stopped", seconds=round(time.monotonic() - since, 3))

    async def _close(self) -> None:
        self.teller.cancel()
        for task in self._tasks:
            task.remove_done_callback(self._ended)
        await end(self._tasks)
        # A broker that has blocked a connection does not answer its closing either.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.queue.close()
                await self.publisher.close()
                await self.beside.close()
        await self.store.close()
        await self.readings.close()


async def _answered(prepare: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
    """Prepare the database once it answers; raises `ServiceAway` after that many seconds, or when it locks us out."""

    def tell(state: RetryCallState) -> None:
        log.warning("waiting for MongoDB", attempt=state.attempt_number)

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, DatabaseError) and not is_locked_out(error)),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            stop=stop_after_delay(seconds),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                await prepare()
    except DatabaseError as error:
        why = "refuses the credentials" if is_locked_out(error) else f"did not answer within {seconds:g} seconds"
        raise ServiceAway(f"MongoDB {why}: see PAYMASTER_MONGODB_URL ({type(error).__name__})") from error


def run_worker(settings: Settings) -> None:
    """Run a worker in this process until it is told to stop."""
    import uvloop

    async def main() -> None:
        worker = Worker(settings)
        # What is loaded by now stays; a batch makes many objects, hardly any of them in cycles.
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        sys.setswitchinterval(SWITCH_SECONDS)
        with suppress(asyncio.CancelledError):
            await worker.run()

    uvloop.run(main())
