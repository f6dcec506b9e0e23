"""What must hold of the books whatever happened, and short looks into the database."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.read_concern import ReadConcern

from adapters.mongodb.connection import APP_NAME, label
from adapters.store.rows import to_event
from domain.ledger.chart import BALANCES
from schemas.event import OutgoingEvent
from tests.support.audits import quick_audit
from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.waiting import PAUSE_SECONDS, SECONDS_MAX, wait_for

Document = dict[str, Any]
Books = Database[Document]

LET_GO_SECONDS_MAX = 1
"""How long a database is waited for that somebody seems to use still; it takes no longer to make another."""


@dataclass(frozen=True)
class Made:
    """A database that is made once for many tests, and all that was put into it."""

    database: Books
    documents: dict[str, list[Document]]
    hashes: dict[str, str]

    @staticmethod
    def of(database: Books) -> Made:
        """What is in a database now."""
        documents = {name: list(database[name].find()) for name in database.list_collection_names()}
        return Made(database, documents, _hashes(database))

    def restored(self) -> Books:
        """The database as it was made, whatever the test before has done to it: quicker than a new one."""
        now = _hashes(self.database)
        for name in {*self.documents, *now}:
            if now.get(name) != self.hashes.get(name):
                collection, rows = self.database[name], self.documents.get(name, [])
                collection.delete_many({})
                if rows:
                    collection.insert_many(rows)
        return self.database

    def is_whole(self) -> bool:
        """Whether it has the collections that it was made with, and no others."""
        return set(self.database.list_collection_names()) == self.documents.keys()

    def is_let_go(self) -> bool:
        """Whether no worker is connected for it any more, not even one that was killed: nobody can write to it."""
        connected = {
            "appName": APP_NAME,
            "clientMetadata.driver.name": {"$regex": rf"\|{re.escape(label(self.database.name))}$"},
        }
        # What the server is at is not read by majority.
        admin = self.database.client.get_database("admin", read_concern=ReadConcern("local"))
        found = admin.aggregate([{"$currentOp": {"idleConnections": True}}, {"$match": connected}, {"$limit": 1}])
        return not list(found)


def _hashes(database: Books) -> dict[str, str]:
    """A hash of each collection's documents: one command, where to read all of them takes sixty."""
    found: dict[str, str] = database.command("dbHash")["collections"]
    return found


class Shelf:
    """Keeps the database that one test after the other takes, empties it, and has another made where that is safer."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._kept: Made | None = None

    def take(self) -> Books:
        """A prepared database that nobody uses."""
        if self._kept is None:
            self._kept = self._make()
        return self._kept.restored()

    def give_back(self) -> None:
        """What a test has done with it is over, or should be: a worker that was killed is gone within moments."""
        if self._kept is not None and not (self._kept.is_whole() and self._is_let_go(self._kept)):
            self.clear()

    def clear(self) -> None:
        """Keep none."""
        if self._kept is not None:
            self._kept.database.client.drop_database(self._kept.database.name)
            self._kept = None

    def _is_let_go(self, kept: Made) -> bool:
        deadline = time.monotonic() + LET_GO_SECONDS_MAX
        while not kept.is_let_go():
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        return True


def assert_audit_ok(database: Books) -> None:
    """Every invariant of the books holds, and no event is left unsent: to be called when no worker runs."""
    report = quick_audit(
        database, now=datetime.now(UTC) + timedelta(minutes=1), relay_interval_seconds=0, relay_grace_seconds=0
    )
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]


def committed_events(database: Books) -> dict[str, OutgoingEvent]:
    """All events of the outbox, put together of what they are kept as."""
    values = {row["_id"]: row["json"] for row in database["values"].find()}
    return {row["_id"]: to_event(row, values) for row in database["outbox"].find()}


async def assert_all_published(client: Client, database: Books) -> None:
    """What the client saw is exactly what was committed: each event at least once, always the same, and no other."""
    committed = committed_events(database)

    def come() -> bool:
        return len({event.message_id for event in client.events}) >= len(committed)

    def missing() -> set[str]:
        return committed.keys() - {event.message_id for event in client.events}

    await wait_for(come, otherwise=missing)
    for event in client.events:
        kept = committed.get(event.message_id)
        assert kept is not None, f"{event.message_id} was published and never committed"
        assert (event.type, event.message.body) == (kept.routing_key, kept.body)
    assert missing() == set()


async def assert_clean(client: Client, database: Books) -> None:
    """How every test of money ends, when its workers have stopped: drained, all published, audit clean."""
    await client.assert_drained()
    await assert_all_published(client, database)
    assert_audit_ok(database)


BY_ITSELF = (
    "^(day[.]begin|bill-run[.]open|settlement[.]due|reserve[.]due|reserve[.]continue|bill[.]account|dunning[.]look|dunning[.]complete|"
    "bill-run[.]complete|netting[.]apply|settlement[.]correct|agreement[.]complete):"
)
"""How the identities begin of what a worker says to itself, or a day leaves to do."""


def facts(database: Books) -> int:
    """How many facts are applied that were sent: but for days and runs' accounts, which a worker says to itself."""
    return database["inbox"].count_documents({"_id": {"$not": {"$regex": BY_ITSELF}}})


async def applied(database: Books, count: int, seconds: float = SECONDS_MAX) -> None:
    """Wait until so many facts are applied, and all their events marked as sent."""

    def done() -> bool:
        return facts(database) >= count and not unsent(database)

    def otherwise() -> str:
        held = Counter((row["state"], row["reason"]) for row in database["held"].find())
        return f"{facts(database)} of {count} applied, {unsent(database)} unsent, held: {held}"

    await wait_for(done, seconds, otherwise)


async def stands_still(network: Proxy, database: Books, count: int, otherwise: Callable[[], str]) -> None:
    """Wait until so many facts are applied by a worker whose database is behind `network`, and let it do no more.

    Every byte of it comes through this process, so it can't get far between two looks, however slow these are.
    """

    def so_many() -> bool:
        enough = facts(database) >= count
        if enough:
            network.hold()
        return enough

    await wait_for(so_many, otherwise=otherwise)


def unsent(database: Books) -> int:
    """How many events are not marked as sent."""
    return database["outbox"].count_documents({"unsent": True})


def held(database: Books, state: str | None = None) -> dict[str, Document]:
    """What is held, by identity."""
    return {row["_id"]: row for row in database["held"].find({"state": state} if state else {})}


def position(database: Books, account_id: str) -> dict[str, int]:
    """The balances of an account that are not zero, in minor units."""
    found = database["positions"].find_one({"_id": account_id})
    assert found is not None, f"{account_id} has no position"
    return {name: found[name] for name in BALANCES if found.get(name)}


def ledger(database: Books) -> dict[str, int]:
    """The sum of all postings of each ledger account, debit positive, in minor units."""
    sums: Counter[str] = Counter()
    for entry in database["entries"].find():
        for posting in entry["postings"]:
            sums[posting["account"]] += posting["amount"]
    return {account: amount for account, amount in sums.items() if amount}
