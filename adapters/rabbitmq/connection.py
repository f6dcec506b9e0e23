"""RabbitMQ: the topology, the work queue's deliveries and their acknowledgement, and confirmed publishing.

The work queue is read with aio-pika rather than through FastStream: a batch is acknowledged with one `multiple` frame,
and in an outage the consumer is cancelled at once. FastStream keeps the life cycle and the dead letters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, AuthenticationError, ChannelPreconditionFailed
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelClosed,
    ConnectionFrameError,
    ConnectionInternalError,
    ConnectionSyntaxError,
    ConnectionUnexpectedFrame,
    DeliveryError,
)
from pamqp import commands
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.rabbitmq.frames import Deliver, Outgoing
from adapters.rabbitmq.publishing import publish_chunk
from adapters.rabbitmq.receiving import ReceivingConnection
from adapters.rabbitmq.tolerance import plain, tolerate_odd_properties
from adapters.records import Properties
from schemas.event import OutgoingEvent

log = structlog.get_logger()

C = TypeVar("C", bound=aio_pika.Connection)

tolerate_odd_properties()

IN = "paymaster.in"
OUT = "paymaster.out"
WORK = "paymaster.work"
DEAD = "paymaster.dead"
QUERIES = "paymaster.queries"
RESERVED = "paymaster."
"""No reply goes to a queue whose name begins like this: it would come back as a message."""

OtherQueueError = ChannelPreconditionFailed
"""A queue or exchange is there already, with other arguments."""
LASTING_ERRORS = (OtherQueueError, AuthenticationError)
"""What trying again does not heal, at the start."""

CONFIRM_SECONDS = 60
ANSWER_SECONDS = 10
"""How long the broker may take to open or close a connection or a channel."""
SET_UP_SECONDS = 30
"""How long it may take until a connection consumes: the topology is declared before."""
CONNECTION_ERRORS = (AMQPError, ConnectionError, OSError, asyncio.TimeoutError, RuntimeError)
"""What a lost connection or channel may raise out of aio-pika, within `naming_losses`."""


@contextmanager
def naming_losses() -> Iterator[None]:
    """Raise one of `CONNECTION_ERRORS` also for the ends of a connection that aiormq has no such error for.

    It raises `StopAsyncIteration` when the broker hangs up within the handshake, a bare `Exception` right after it, and
    `CancelledError` when heartbeats are missed, as if whoever waits had been cancelled.
    """
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        if type(error) in (Exception, StopAsyncIteration):
            raise ConnectionError("the broker hung up") from error
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling():
            raise ConnectionError("the broker fell silent") from error
        raise


def work_arguments(*, single_active_consumer: bool) -> dict[str, Any]:
    """The arguments of the work queue; they can't be changed once it is declared.

    The delivery limit is high since on RabbitMQ 3.10 each lost connection counts for every message in flight.
    """
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
    }
    if single_active_consumer:
        arguments["x-single-active-consumer"] = True
    return arguments


async def declare_topology(channel: AbstractChannel, *, single_active_consumer: bool) -> None:
    """Declare all exchanges and queues but those of others; safe beside other workers that do the same."""
    into = await channel.declare_exchange(IN, aio_pika.ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(OUT, aio_pika.ExchangeType.TOPIC, durable=True)
    dead_exchange = await channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)
    dead = await channel.declare_queue(DEAD, durable=True, arguments={"x-queue-type": "quorum"})
    await dead.bind(dead_exchange)
    work = await channel.declare_queue(
        WORK, durable=True, arguments=work_arguments(single_active_consumer=single_active_consumer)
    )
    await work.bind(into, "#")
    # Reached through the default exchange, by its name.
    await channel.declare_queue(QUERIES, durable=True)


async def connect(url: str, name: str, *, give_up_after_seconds: float | None = None) -> AbstractConnection:
    """A connection, tried for with backoff without end, or until a limit, when the last error is raised."""
    return await _connect(url, name, aio_pika.Connection, give_up_after_seconds)


async def _connect(url: str, name: str, connection_class: type[C], give_up_after_seconds: float | None = None) -> C:

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("rabbitmq away", connection=name, attempt=state.attempt_number, error=type(error).__name__)

    def again(error: BaseException) -> bool:
        # At the start a wrong password is a wrong setting; later it may be one that is just being changed.
        wrong_setting = give_up_after_seconds is not None and isinstance(error, AuthenticationError)
        return isinstance(error, CONNECTION_ERRORS) and not wrong_setting

    options: dict[str, Any] = {"stop": stop_after_delay(give_up_after_seconds)} if give_up_after_seconds else {}
    async for attempt in AsyncRetrying(
        retry=retry_if_exception(again),
        wait=wait_exponential_jitter(multiplier=0.2, max=5),
        before_sleep=tell,
        reraise=True,
        **options,
    ):
        with attempt, naming_losses():  # a StopAsyncIteration would end tenacity's loop
            return await aio_pika.connect(
                url,
                client_properties={"connection_name": name},
                timeout=ANSWER_SECONDS,
                connection_class=connection_class,
            )
    raise AssertionError("unreachable")


def properties_of(message: commands.Basic.Properties) -> Properties:
    """The properties of a delivered message, as they are recorded."""
    timestamp = message.timestamp
    if timestamp is not None:
        timestamp = timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
    return Properties(
        message_id=plain(message.message_id),
        correlation_id=plain(message.correlation_id),
        reply_to=plain(message.reply_to),
        content_type=plain(message.content_type),
        content_encoding=plain(message.content_encoding),
        user_id=plain(message.user_id),
        app_id=plain(message.app_id),
        type=plain(message.message_type),
        timestamp=timestamp,
        expiration=plain(message.expiration),
        priority=message.priority,
        delivery_mode=message.delivery_mode,
        headers=plain(message.headers) if message.headers else {},
    )


class Delivery:
    """A message of the work queue, until it is settled; settling twice, or after its channel is gone, does nothing."""

    __slots__ = ("_settle", "_tag", "body", "properties", "redelivered", "routing_key")

    def __init__(
        self,
        routing_key: str,
        body: bytes,
        properties: Properties,
        tag: int,
        settle: Callable[[int], None],
        *,
        redelivered: bool,
    ) -> None:
        self.routing_key = routing_key
        self.body = body
        self.properties = properties
        self.redelivered = redelivered
        self._tag = tag
        self._settle = settle

    def settle(self) -> None:
        """Acknowledge it: its effect, or its place among what is held, is committed."""
        self._settle(self._tag)


class _Acknowledger:
    """Acknowledges the deliveries of one channel, many with one frame: always the longest settled run."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._settled: set[int] = set()
        self._acknowledged = 0
        self._flush: asyncio.Task[None] | None = None

    def settle(self, tag: int) -> None:
        """Note that a delivery may be acknowledged; what is settled in one go is acknowledged in one frame."""
        if tag > self._acknowledged:
            self._settled.add(tag)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._acknowledge())

    async def _acknowledge(self) -> None:
        while True:
            last = self._acknowledged
            while last + 1 in self._settled:
                last += 1
                self._settled.remove(last)
            if last == self._acknowledged:
                return
            self._acknowledged = last
            # What could not be acknowledged comes again, and has no second effect.
            with suppress(*CONNECTION_ERRORS), naming_losses():
                await self._channel.basic_ack(last, multiple=True)

    async def flushed(self) -> None:
        """Wait until all that was settled is acknowledged."""
        while self._flush is not None and not self._flush.done():
            await self._flush


class WorkQueue:
    """The consumer of the work queue: reconnects by itself, hands each delivery over, stops without losing one."""

    def __init__(
        self,
        url: str,
        *,
        prefetch: int,
        single_active_consumer: bool,
        deliver: Callable[[Delivery], None],
        gives_way: Callable[[], bool] = lambda: False,
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._url = url
        self._prefetch = prefetch
        self._single_active_consumer = single_active_consumer
        self._deliver = deliver
        self._gives_way = gives_way
        self._full = full
        self._stopping = asyncio.Event()
        self._paused = asyncio.Event()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._acknowledger: _Acknowledger | None = None
        self._cancel: Callable[[], Awaitable[Any]] | None = None
        self._connection: ReceivingConnection | None = None
        self.consuming = False

    async def run(self) -> None:
        """Consume until `stop`, over any number of lost connections."""
        while not self._stopping.is_set():
            try:
                await _first(self._resumed.wait(), self._stopping.wait())
                with naming_losses():
                    await self._consume()
            except Exception as error:  # noqa: BLE001  # whatever a broken connection raises, it is made anew
                log.warning("work queue lost", error=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 0.5)

    async def _consume(self) -> None:
        connection = await self._connected()
        if connection is None:
            return
        try:
            await self._consume_on(connection)
        finally:
            if not self._stopping.is_set():  # `stop` still needs the channel
                await _close(connection)

    async def _consume_on(self, connection: ReceivingConnection) -> None:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        async with asyncio.timeout(SET_UP_SECONDS):
            channel = await connection.channel(publisher_confirms=False)
            channel.close_callbacks.add(lambda *_: lost.set())
            await declare_topology(channel, single_active_consumer=self._single_active_consumer)
            await channel.set_qos(prefetch_count=self._prefetch)
        under = await channel.get_underlay_channel()
        under.on_consumer_cancel_callbacks.add(lambda *_: lost.set())
        acknowledger = self._acknowledger = _Acknowledger(under)

        def take(deliver: Deliver, properties: Properties, body: bytes) -> None:
            try:
                self._deliver(
                    Delivery(
                        deliver.routing_key,
                        body,
                        properties,
                        deliver.tag,
                        acknowledger.settle,
                        redelivered=deliver.redelivered,
                    )
                )
            except Exception as error:  # noqa: BLE001  # left unsettled it would hold up every later acknowledgement
                log.error("delivery not taken", error=type(error).__name__)  # noqa: TRY400
                lost.set()

        connection.take(under.number, take, self._gives_way, self._full)

        async def nothing(_message: DeliveredMessage) -> None:
            """What aiormq's consumer is called with: nothing, all is taken before."""

        if self._stopping.is_set():
            return
        tag = (await under.basic_consume(WORK, nothing, timeout=ANSWER_SECONDS)).consumer_tag or ""
        self._cancel = lambda: under.basic_cancel(tag, timeout=ANSWER_SECONDS)
        self.consuming = True
        log.info("consuming", queue=WORK)
        try:
            await _first(lost.wait(), self._stopping.wait(), self._paused.wait())
        finally:
            self.consuming = False
        if self._paused.is_set():
            connection.leave()
            await self._cancel()
        elif not self._stopping.is_set():
            log.warning("work queue lost", error="connection or consumer closed")

    async def _connected(self) -> ReceivingConnection | None:
        connecting = asyncio.create_task(_connect(self._url, "paymaster work", ReceivingConnection))
        await _first(connecting, self._stopping.wait())
        if not connecting.done():
            connecting.cancel()
            return None
        connection = self._connection = await connecting
        return connection

    def pause(self) -> None:
        """Take nothing until `resume`: what was taken and is not acknowledged goes back to the queue, once."""
        self._resumed.clear()
        self._paused.set()

    def resume(self) -> None:
        """Take messages again."""
        self._paused.clear()
        self._resumed.set()

    async def stop(self) -> None:
        """Take no more; what was taken can still be settled."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.leave()
        if self._cancel is not None:
            with suppress(*CONNECTION_ERRORS), naming_losses():
                await self._cancel()

    async def close(self) -> None:
        """Acknowledge what is settled and leave."""
        if self._acknowledger is not None:
            await self._acknowledger.flushed()
        if self._connection is not None:
            await _close(self._connection)


async def _close(connection: AbstractConnection) -> None:
    """Close a connection, whatever the other side does."""
    with suppress(*CONNECTION_ERRORS), naming_losses():
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.close()


async def _first(*waits: Awaitable[Any]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, wait in zip(tasks, waits, strict=True):
        if task is not wait:
            task.cancel()


class Sent(Enum):
    """What became of an event that was published."""

    CONFIRMED = "confirmed"
    UNROUTED = "unrouted"
    """The broker has it, and no queue is bound for it: it counts as sent."""
    UNCERTAIN = "uncertain"
    """The connection was lost, the confirm did not come in time, or nothing can be sent at the moment."""
    REFUSED = "refused"
    """The broker does not take it, at least not now: a queue is full."""
    UNENCODABLE = "unencodable"
    """AMQP can't say it."""
    # The broker closed the channel over it, or over one beside it: it does not say which. It is too large, or has
    # something else that the broker takes from nobody; its type may not be published; it met a defect of the broker's.
    PRECONDITION_FAILED = "precondition-failed"
    ACCESS_REFUSED = "access-refused"
    INTERNAL_ERROR = "internal-error"


CLOSED = frozenset((Sent.PRECONDITION_FAILED, Sent.ACCESS_REFUSED, Sent.INTERNAL_ERROR))
"""The broker closed the channel over an event of a chunk: of those before it no confirm may have come."""

_CONTENT_TOO_LARGE = 311


def _closed(error: BaseException) -> Sent:
    """What a closed channel says of the messages that were under way on it."""
    if isinstance(
        error, ChannelPreconditionFailed | ConnectionFrameError | ConnectionSyntaxError | ConnectionUnexpectedFrame
    ) or (isinstance(error, ChannelClosed) and _CONTENT_TOO_LARGE in error.args):
        return Sent.PRECONDITION_FAILED
    # Without access to the exchange nothing can be sent, as without the exchange; to a topic it is for some types only.
    if isinstance(error, ChannelAccessRefused) and "access to topic" in str(error):
        return Sent.ACCESS_REFUSED
    return Sent.INTERNAL_ERROR if isinstance(error, ConnectionInternalError) else Sent.UNCERTAIN


def _message(event: OutgoingEvent, queue: str | None = None) -> Outgoing:
    headers: dict[str, str | int] = {"causation-id": event.causation_id, "schema-version": 1}
    if event.account is not None and event.sequence is not None:
        headers["account-id"] = event.account
        headers["account-sequence"] = event.sequence
    return Outgoing(
        queue or event.routing_key,
        event.routing_key,
        event.message_id,
        event.correlation_id,
        event.booked_at,
        headers,
        event.body,
    )


class Publisher:
    """Publishes on a connection of its own (an alarm of the broker blocks a connection that publishes), confirmed."""

    def __init__(self, url: str, name: str = "paymaster publish") -> None:
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()
        self._overdue = False

    async def open(self) -> None:
        """Connect unless connected; waits for the broker without end.

        Raises one of `CONNECTION_ERRORS` when the connection is lost again before it can be used.
        """
        async with self._lock:
            if self._channel is not None and not self._channel.is_closed and not self._overdue:
                return
            await self._close()
            self._connection = await connect(self._url, self._name)
            self._overdue = False
            with naming_losses():
                async with asyncio.timeout(ANSWER_SECONDS):
                    self._channel = await self._connection.channel(publisher_confirms=True)

    async def publish(self, events: Sequence[OutgoingEvent], queue: str | None = None) -> list[Sent]:
        """Publish events, persistent, and wait until the broker has them; returns what became of each.

        They go to whoever is bound for them, or, if `queue` is given, to that queue alone, whose name is then their
        routing key. Raises one of `CONNECTION_ERRORS` when none could be written; after that, and when one is
        `UNCERTAIN` or in `CLOSED`, `open` has to be called.
        """
        if self._channel is None:
            raise ConnectionError("not open")
        messages = [_message(event, queue) for event in events]
        exchange = "" if queue else OUT
        with naming_losses():
            under = await self._channel.get_underlay_channel()
            outcomes = await publish_chunk(under, exchange, messages, seconds_max=CONFIRM_SECONDS)
        sent = [self._sent(outcome) for outcome in outcomes]
        if not CLOSED.isdisjoint(sent):
            log.warning("channel closed by the broker", events=len(events), detail=str(under.closing.exception()))
        return sent

    def _sent(self, outcome: Any) -> Sent:
        if isinstance(outcome, commands.Basic.Ack):
            return Sent.CONFIRMED
        if isinstance(outcome, DeliveredMessage):
            return Sent.UNROUTED
        if isinstance(outcome, DeliveryError):
            return Sent.REFUSED
        if isinstance(outcome, TypeError | ValueError):
            return Sent.UNENCODABLE
        if outcome is None:
            # Sent again on the same channel, it would share its message id with the one that is still under way.
            self._overdue = True
            return Sent.UNCERTAIN
        return _closed(outcome)

    async def reply(self, queue: str, correlation_id: str, body: bytes, causation_id: str) -> None:
        """Answer to a queue, best effort: a queue that is gone is no error. Raises `CONNECTION_ERRORS`."""
        if self._channel is None:
            raise ConnectionError("not open")
        message = aio_pika.Message(
            body,
            correlation_id=correlation_id,
            app_id="paymaster",
            content_type="application/json",
            timestamp=datetime.now(UTC),
            headers={"causation-id": causation_id},
        )
        with naming_losses():
            await self._channel.default_exchange.publish(message, queue, mandatory=False, timeout=CONFIRM_SECONDS)

    async def close(self) -> None:
        """Let go of the connection."""
        async with self._lock:
            await self._close()

    async def _close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await _close(connection)
