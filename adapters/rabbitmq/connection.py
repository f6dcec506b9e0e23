"""Connections to RabbitMQ: how they are opened, what their ends look like, and what a message's properties say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import Any, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError
from pamqp import commands
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.faults import rabbitmq_fault
from adapters.rabbitmq.tolerance import plain, tolerate_odd_properties
from adapters.records import Properties

log = structlog.get_logger()

C = TypeVar("C", bound=aio_pika.Connection)

tolerate_odd_properties()

ANSWER_SECONDS = 10
"""How long the broker may take to open or close a connection or a channel."""
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


async def connect(url: str, name: str, *, give_up_after_seconds: float | None = None) -> AbstractConnection:
    """A connection, tried for with backoff without end, or until a limit, when the last error is raised."""
    return await connect_as(url, name, aio_pika.Connection, give_up_after_seconds)


async def connect_as(url: str, name: str, connection_class: type[C], give_up_after_seconds: float | None = None) -> C:
    """The same, as a connection of another class."""

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        why = rabbitmq_fault(error, url).line if error else None
        log.warning("rabbitmq away", connection=name, attempt=state.attempt_number, error=type(error).__name__, why=why)

    def again(error: BaseException) -> bool:
        # At the start a wrong password is a wrong setting; later it may be one that is just being changed.
        wrong_setting = give_up_after_seconds is not None and rabbitmq_fault(error, url).lasting
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
            return await open_connection(url, name, connection_class, ANSWER_SECONDS)
    raise AssertionError("unreachable")


async def open_connection(url: str, name: str, connection_class: type[C], seconds: float | None) -> C:
    """A connection, tried for once, for so many seconds at most; raises one of `CONNECTION_ERRORS` in `naming_losses`.

    One that can't be opened is closed at once. aio-pika closes it when it is collected, on whatever loop runs then.
    """
    connection = connection_class(make_url(url), client_properties={"connection_name": name})
    try:
        await connection.connect(timeout=seconds)
    except BaseException:
        await connection.close()  # it has no transport yet, so nothing is waited for
        raise
    return connection


async def close_connection(connection: AbstractConnection) -> None:
    """Close a connection, whatever the other side does."""
    with suppress(*CONNECTION_ERRORS), naming_losses():
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.close()
        finally:
            # It has let go of its transport: this waits for nothing, and nothing is left to do when it is collected.
            await connection.close()


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
