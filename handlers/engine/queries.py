"""Queries: from a message to its answer, beside the work queue and never behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any

import structlog
from pydantic_core import to_json

from adapters.access import Access
from adapters.mongodb.connection import DatabaseError
from adapters.queries import is_unavailable, read
from adapters.rabbitmq.connection import CONNECTION_ERRORS, naming_losses
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.topology import ASK, may_reply
from adapters.records import Properties
from adapters.store.store import Store
from domain.errors import Refused
from handlers.engine.replies import NOT_REPLIED
from schemas.queries import read_query
from schemas.query import Query
from schemas.values import normal

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
        access: Callable[[], Access | None] = lambda: None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._zone = zone
        self._clock = clock
        self._ahead_max = ahead_max
        self._prefixes = prefixes
        self._access = access
        self._slots = asyncio.Semaphore(UNDER_WAY_MAX)

    async def take(
        self,
        properties: Properties,
        body: bytes,
        acknowledge: Callable[[], Awaitable[Any]],
        exchange: str = "",
        routing_key: str = "",
    ) -> None:
        """Answer what the queue delivered, and by which exchange it came there."""
        async with self._slots:
            # Before it is answered: a query has no effect, who misses its answer asks again, and one that should kill
            # the worker is not given to the next.
            try:
                with naming_losses():
                    await acknowledge()
            except CONNECTION_ERRORS:
                return  # it comes again
            await self._answer(properties, body, routing_key if exchange == ASK else None)

    async def _answer(self, properties: Properties, body: bytes, asked: str | None) -> None:
        name = asked or properties.type
        if properties.reply_to is None:
            log.debug("query dropped: it says not where to answer", type=name)
        elif not may_reply(properties.reply_to, self._prefixes):
            log.warning(NOT_REPLIED, type=name, reply_to=properties.reply_to)
        else:
            answer = await self.answer(properties, body, asked)
            try:
                await self._publisher.open()
                correlation_id = properties.correlation_id or properties.message_id or ""
                await self._publisher.reply(properties.reply_to, correlation_id, answer, name or "")
            except CONNECTION_ERRORS as error:
                log.warning("answer not sent", type=name, error=type(error).__name__)

    async def answer(self, properties: Properties, body: bytes, asked: str | None = None) -> bytes:
        """The answer to a query: `result`, or `error` with the contract's `code` and a `detail`; never raises.

        `asked` is the routing key of one that came by the exchange of queries, which is its name.
        """
        try:
            party = self._party_of(properties, asked)
            query = read_query(asked or properties.type, body, properties.headers, properties.content_encoding)
            if party is not None:
                query = limited(query, party)
            async with asyncio.timeout(SECONDS_MAX):
                result = await read(query, self._store.database, self._clock(), self._zone, self._ahead_max)
            return b'{"result":' + result + b"}"
        except Refused as refusal:
            if refusal.code == "forbidden":
                log.warning("query refused", type=properties.type, user=properties.user_id, reason=refusal.code)
            return _error(refusal.code, refusal.detail)
        except TimeoutError:
            return _error("unavailable", f"not answered within {SECONDS_MAX} seconds")
        except Exception as error:  # a defect of ours is the answer to one query, and not the end
            if isinstance(error, DatabaseError) and is_unavailable(error):
                log.warning("query not answered", type=properties.type, error=type(error).__name__)
                return _error("unavailable", "the database is away, or took too long: ask again")
            log.exception("query failed", type=properties.type)
            return _error("internal", "a defect of ours, which is logged: the query is not to blame")

    def _party_of(self, properties: Properties, asked: str | None) -> str | None:
        """To which party its sender is limited, if it is.

        Raises `Refused`: `invalid` where the query has two names, `forbidden` where its sender may not ask it.
        """
        if asked is not None and properties.type is not None and properties.type != asked:
            raise Refused(
                "invalid", f"type: is {properties.type:.80}, the routing key {asked:.80}: both name the query"
            )
        access = self._access()
        if access is None:
            return None
        if asked is None:
            # The broker's topic permissions, which hold for an exchange, would not reach it.
            raise Refused("forbidden", f"ask by the exchange {ASK}, with the query's name as the routing key")
        return access.asking(properties, asked).party


def limited(query: Query, party: str) -> Query:
    """The query as who is limited to a party may ask it; raises `Refused` (`forbidden`) where it asks for another."""
    if query.party is not None and normal(query.party) != normal(party):
        raise Refused("forbidden", f"party: the sender may ask only for {party}")
    return query.model_copy(update={"party": party})


def _error(code: str, detail: str) -> bytes:
    return to_json({"error": {"code": code, "detail": detail}})
