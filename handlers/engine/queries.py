"""Queries: from a message to its answer, beside the work queue and never behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

import structlog
from pydantic_core import to_json

from adapters.mongodb.connection import DatabaseError
from adapters.queries import is_unavailable, read
from adapters.rabbitmq.connection import CONNECTION_ERRORS, naming_losses
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.topology import may_reply
from adapters.records import Properties
from adapters.store.store import Store
from domain.errors import Refused
from handlers.engine.replies import NOT_REPLIED
from schemas.queries import read_query

log = structlog.get_logger()

UNDER_WAY_MAX = 4
"""How many queries are worked on at once, so that they leave time to the work."""
SECONDS_MAX = 8
"""After so long a query is given up, whatever it waits for."""


class QueryServer:
    """Answers each query with one message to its `reply_to`. No failure of a query ends the worker."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        zone: tzinfo,
        clock: Callable[[], datetime],
        ahead_max: timedelta,
        prefixes: tuple[str, ...] = (),
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._zone = zone
        self._clock = clock
        self._ahead_max = ahead_max
        self._prefixes = prefixes
        self._slots = asyncio.Semaphore(UNDER_WAY_MAX)

    async def take(self, properties: Properties, body: bytes, acknowledge: Callable[[], Awaitable[Any]]) -> None:
        """Answer what the queue delivered."""
        async with self._slots:
            # Before it is answered: a query has no effect, who misses its answer asks again, and one that should kill
            # the worker is not given to the next.
            try:
                with naming_losses():
                    await acknowledge()
            except CONNECTION_ERRORS:
                return  # it comes again
            await self._answer(properties, body)

    async def _answer(self, properties: Properties, body: bytes) -> None:
        name = properties.type
        if properties.reply_to is None:
            log.debug("query dropped: it says not where to answer", type=name)
        elif not may_reply(properties.reply_to, self._prefixes):
            log.warning(NOT_REPLIED, type=name, reply_to=properties.reply_to)
        else:
            answer = await self.answer(properties, body)
            try:
                await self._publisher.open()
                correlation_id = properties.correlation_id or properties.message_id or ""
                await self._publisher.reply(properties.reply_to, correlation_id, answer, name or "")
            except CONNECTION_ERRORS as error:
                log.warning("answer not sent", type=name, error=type(error).__name__)

    async def answer(self, properties: Properties, body: bytes) -> bytes:
        """The answer to a query: `result`, or `error` with the contract's `code` and a `detail`; never raises."""
        try:
            query = read_query(properties.type, body, properties.headers, properties.content_encoding)
            async with asyncio.timeout(SECONDS_MAX):
                result = await read(query, self._store.database, self._clock(), self._zone, self._ahead_max)
            return b'{"result":' + result + b"}"
        except Refused as refusal:
            return _error(refusal.code, refusal.detail)
        except TimeoutError:
            return _error("unavailable", f"not answered within {SECONDS_MAX} seconds")
        except Exception as error:  # a defect of ours is the answer to one query, and not the end
            if isinstance(error, DatabaseError) and is_unavailable(error):
                log.warning("query not answered", type=properties.type, error=type(error).__name__)
                return _error("unavailable", "the database is away, or took too long: ask again")
            log.exception("query failed", type=properties.type)
            return _error("internal", "a defect of ours, which is logged: the query is not to blame")


def _error(code: str, detail: str) -> bytes:
    return to_json({"error": {"code": code, "detail": detail}})
