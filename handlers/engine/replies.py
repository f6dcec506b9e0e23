"""Replies: what came of a message goes to who asked, best effort, after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog
from pydantic_core import to_json

from adapters.rabbitmq.connection import CONNECTION_ERRORS
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.topology import may_reply
from adapters.records import ReplyTo
from handlers.engine.work import Outcome

log = structlog.get_logger()

UNDER_WAY_MAX = 1_000
"""How many replies may be under way. More are dropped: replies are best effort, and must not fill the memory."""


NOT_REPLIED = "no reply: the queue is no client's own, and PAYMASTER_REPLY_PREFIXES does not name it"


class ReplySender:
    """Sends replies in the background, and passes on what the waker has to look for."""

    def __init__(self, publisher: Publisher, prefixes: tuple[str, ...] = ()) -> None:
        self._publisher = publisher
        self._prefixes = prefixes
        self._under_way: set[asyncio.Task[None]] = set()
        self.look_for: Callable[[Iterable[str]], None] = lambda _names: None
        self.made: Callable[[Iterable[str]], None] = lambda _names: None

    def reply(self, to: ReplyTo, outcome: Outcome, causation_id: str) -> None:
        """Send a reply soon, if it may go to that queue: a client's own, or one that the settings name."""
        if not may_reply(to.queue, self._prefixes):
            log.warning(NOT_REPLIED, identity=causation_id, reply_to=to.queue)
        elif len(self._under_way) >= UNDER_WAY_MAX:
            log.warning("reply not sent: too many under way", identity=causation_id)
        else:
            task = asyncio.create_task(self._send(to, to_json(outcome.reply()), causation_id))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _send(self, to: ReplyTo, body: bytes, causation_id: str) -> None:
        try:
            await self._publisher.open()
            await self._publisher.reply(to.queue, to.correlation_id, body, causation_id)
        except CONNECTION_ERRORS as error:
            log.warning("reply not sent", identity=causation_id, error=type(error).__name__)

    def cancel(self) -> None:
        """Give up the replies that are still under way."""
        for task in self._under_way:
            task.cancel()

    async def drained(self) -> None:
        """Wait until the replies under way are sent."""
        if self._under_way:
            await asyncio.wait(self._under_way)
