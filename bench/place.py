"""Where a round takes place, and who takes part in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pymongo import MongoClient
from pymongo.database import Database

from bench import processes
from bench.broker import Broker
from services import Services


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual host and a database that nobody else uses."""

    rabbitmq_url: str
    mongodb: MongoClient[dict[str, Any]]
    mongodb_url: str
    database_name: str

    @property
    def database(self) -> Database[dict[str, Any]]:
        """The database."""
        return self.mongodb[self.database_name]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a worker where to work; they are Paymaster's, and every other worker's too."""
        return {
            "PAYMASTER_RABBITMQ_URL": self.rabbitmq_url,
            "PAYMASTER_MONGODB_URL": self.mongodb_url,
            "PAYMASTER_DATABASE": self.database_name,
        }


@contextmanager
def new_place(services: Services, database: str | None = None) -> Iterator[Place]:
    """A new virtual host and a new database, both gone afterwards; a `database` that is named stays."""
    name = database or f"bench-{secrets.token_hex(6)}"
    with services.vhost() as rabbitmq_url, MongoClient[dict[str, Any]](services.mongodb_url) as mongodb:
        try:
            yield Place(rabbitmq_url, mongodb, services.mongodb_url, name)
        finally:
            if database is None:
                mongodb.drop_database(name)


class Contestant(Protocol):
    """A worker that can be measured."""

    @property
    def name(self) -> str:
        """Its name in the results."""

    @property
    def into(self) -> str:
        """The exchange that its messages come through."""

    @property
    def queue(self) -> str:
        """The queue that it consumes."""

    @property
    def out(self) -> str:
        """The topic exchange that it publishes its events to."""

    @property
    def command(self) -> Sequence[str]:
        """What starts it."""

    @property
    def keeps_books(self) -> bool:
        """Whether it writes to the database: without that it does a part of the work only."""

    @property
    def events_per_order(self) -> int:
        """How many events it publishes for an order."""

    def missing(self) -> str | None:
        """What it lacks to run on this machine, in one line; None when it can run."""

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Make its queue and the accounts; the worker does not run afterwards."""

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Look at what it made of that many orders; returns each finding that ought not to be."""


async def work_off(
    contestant: Contestant, place: Place, broker: Broker, routing_key: str, bodies: Iterable[bytes], events: int
) -> None:
    """Have a worker do something that is not measured: it runs until it has published that many events for it."""
    published = await broker.collect(contestant.out)
    with processes.running(contestant.command, place.environment) as worker:
        # Where the worker declares its queue there is nowhere to publish to until then.
        await broker.appears(contestant.queue, worker.check)
        await broker.fill(contestant.into, ((routing_key, body) for body in bodies))
        await broker.reaches(published, events, worker.check)
        await worker.stop()
    await broker.channel.queue_delete(published)
