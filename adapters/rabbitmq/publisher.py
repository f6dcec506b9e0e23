"""Publishing: events and replies go out on connections of their own, and what became of each is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed
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

from adapters.rabbitmq.connection import ANSWER_SECONDS, close_connection, connect, naming_losses
from adapters.rabbitmq.frames import Outgoing
from adapters.rabbitmq.publishing import publish_chunk
from adapters.rabbitmq.topology import OUT
from schemas.event import OutgoingEvent

log = structlog.get_logger()

CONFIRM_SECONDS = 60
"""How long the broker may take to confirm what it was sent."""


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


def message_of(event: OutgoingEvent, queue: str | None = None) -> Outgoing:
    """An event as it goes over the wire; `queue` sends it there instead of to whoever is bound."""
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
        messages = [message_of(event, queue) for event in events]
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
            await close_connection(connection)
