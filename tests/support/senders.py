"""Senders who are users of the broker, with the rights there that they are given, and no others."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from adapters.rabbitmq.topology import ASK, IN, QUERIES
from tests.support.broker import Broker
from tests.support.messages import Message
from tests.support.waiting import wait_for

OWN_QUEUES = r"^amq\.gen-.*$"
"""What a sender needs to be answered: queues that the broker names."""
DOORS = rf"^({IN}|{ASK})$".replace(".in", r"\.in").replace(".ask", r"\.ask")
"""The exchanges that a sender writes to."""


@dataclass
class Speaking:
    """A sender's connection; what it publishes has its `user_id`, unless it says otherwise."""

    user: str
    connection: AbstractConnection
    channel: AbstractChannel
    replies_to: str = ""
    answers: dict[str, Any] = field(default_factory=dict)

    async def _on_answer(self, message: AbstractIncomingMessage) -> None:
        self.answers[message.correlation_id or ""] = json.loads(message.body)

    async def publish(self, exchange: str, routing_key: str, body: Any, **properties: Any) -> str:
        """Publish something and wait for the confirm; returns its correlation id."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        correlation_id = uuid4().hex
        told: dict[str, Any] = {
            "user_id": self.user,
            "message_id": correlation_id,
            "correlation_id": correlation_id,
            "reply_to": self.replies_to,
            "content_type": "application/json",
            **properties,
        }
        where = await self.channel.get_exchange(exchange, ensure=False) if exchange else self.channel.default_exchange
        await where.publish(aio_pika.Message(encoded, **told), routing_key, mandatory=True, timeout=30)
        return str(told["correlation_id"])

    async def answer(self, correlation_id: str) -> Any:
        """Wait for what comes of a message or a query."""
        return await wait_for(
            lambda: self.answers.get(correlation_id), otherwise=f"{self.user}: no answer to {correlation_id}"
        )

    async def send(self, message: Message | tuple[str, Any], **properties: Any) -> Any:
        """Publish a fact and wait for its outcome."""
        return await self.answer(await self.publish(IN, message[0], message[1], **properties))

    async def ask(self, query: str, arguments: Any = None, **properties: Any) -> Any:
        """Ask a query by the exchange of queries and wait for its answer."""
        told = {"type": query, **properties}
        return await self.answer(await self.publish(ASK, query, {} if arguments is None else arguments, **told))

    async def ask_by_the_queue(self, query: str, arguments: Any) -> Any:
        """Ask a query by the default exchange."""
        return await self.answer(await self.publish("", QUERIES, arguments, type=query))


async def mouth(connection: AbstractConnection) -> AbstractChannel:
    """A channel to publish on, which the broker closes for what may not be published."""
    return await connection.channel(publisher_confirms=True, on_return_raises=True)


class Users:
    """Makes users of the broker, and lets them in."""

    def __init__(self, broker: Broker, rabbitmq_url: str) -> None:
        self._broker = broker
        self._url = urlsplit(rabbitmq_url)
        self._mark = secrets.token_hex(4)
        self._made: list[str] = []

    def name(self, user: str) -> str:
        """The user's name at the broker, which all tests share."""
        return f"{user}-{self._mark}"

    def make(self, user: str, *, write: str = DOORS, configure: str = OWN_QUEUES, read: str = OWN_QUEUES) -> str:
        """Make a user that may do so much at the broker; returns its URL."""
        name, password = self.name(user), secrets.token_hex(8)
        path = quote(name, safe="")
        self._broker.call("PUT", f"users/{path}", {"password": password, "tags": ""})
        self._made.append(path)
        rights = {"configure": configure, "write": write, "read": read}
        self._broker.call("PUT", f"permissions/{{vhost}}/{path}", rights)
        host = self._url.netloc.rpartition("@")[2]
        return urlunsplit(self._url._replace(netloc=f"{quote(name)}:{password}@{host}"))

    def limit_topics(self, user: str, exchange: str, write: str) -> None:
        """Let a user write to an exchange with routing keys that fit a regular expression, and no others."""
        limits = {"exchange": exchange, "write": write, "read": ".*"}
        self._broker.call("PUT", f"topic-permissions/{{vhost}}/{quote(self.name(user), safe='')}", limits)

    @asynccontextmanager
    async def speaking(self, user: str, **rights: str) -> AsyncIterator[Speaking]:
        """A user, made and connected."""
        url = await asyncio.to_thread(lambda: self.make(user, **rights))
        async with await aio_pika.connect(url) as connection:
            ears = await connection.channel()
            queue = await ears.declare_queue(exclusive=True)
            speaking = Speaking(self.name(user), connection, await mouth(connection), queue.name)
            await queue.consume(speaking._on_answer, no_ack=True)  # its own
            yield speaking

    def remove(self) -> None:
        """Remove all that were made."""
        for path in self._made:
            self._broker.call("DELETE", f"users/{path}")

    def file(self, path: Path, senders: Mapping[str, Mapping[str, Any]]) -> str:
        """Write the access file of these users; returns its path."""
        path.write_text(toml_of({self.name(user): rights for user, rights in senders.items()}))
        return str(path)


def toml_of(senders: Mapping[str, Mapping[str, Any]]) -> str:
    """An access file: a JSON string, list or truth value is one of TOML's too."""
    lines: list[str] = []
    for name, rights in senders.items():
        lines.append(f"[senders.{json.dumps(name)}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in rights.items()]
    return "\n".join(lines) + "\n"


@contextmanager
def users_of(broker: Broker, rabbitmq_url: str) -> Iterator[Users]:
    """Users, who are removed in the end."""
    users = Users(broker, rabbitmq_url)
    try:
        yield users
    finally:
        users.remove()
