"""Where a round takes place, and who takes part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pymongo import MongoClient
from pymongo.database import Database

from bench.broker import Broker


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

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Make its queue and the accounts; the worker does not run afterwards."""

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Look at what it made of that many orders; returns each finding that ought not to be."""
