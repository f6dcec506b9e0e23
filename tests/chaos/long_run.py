"""What long runs have in common: a database and a vhost of their own, how far they are, and how they end."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern
from rich.console import Console

from adapters.settings import Settings
from services import ServiceError, running
from tests.support import access
from tests.support.books import Books, held
from tests.support.client import Client
from tests.support.messages import Message
from tests.support.waiting import wait_for

SECONDS_MAX = 900
"""How long is waited for anything."""
TOGETHER = 500
"""How many facts one message carries."""

Say = Callable[[str], None]
"""Tells how far a run is, with the seconds since it began."""
Run = Callable[[Settings, Books, argparse.Namespace, Say], Coroutine[Any, Any, None]]


def judged(run: Run, parser: argparse.ArgumentParser) -> int:
    """Run it as it is asked for; returns the exit code: 0 if all is well, 1 if not, 2 if there are no services."""
    asked = parser.parse_args()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    since = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - since:5.0f} s  {line}")

    try:
        _in_database(lambda settings, books: asyncio.run(run(settings, books, asked, say)))
    except ServiceError as error:
        console.print(f"chaos: {error}")
        return 2
    except AssertionError as error:
        console.print(f"NOT well: {error}")
        return 1
    return 0


def _in_database(run: Callable[[Settings, Books], None]) -> None:
    with (
        running() as services,
        services.vhost() as url,
        MongoClient[dict[str, Any]](services.mongodb_url) as mongodb,
        tempfile.TemporaryDirectory() as directory,
    ):
        name = f"chaos-{uuid.uuid4().hex[:8]}"
        settings = Settings(rabbitmq_url=url, mongodb_url=services.mongodb_url, database=name)
        if access.ON:
            settings = access.with_access_file(settings, Path(directory))
        try:
            run(settings, mongodb.get_database(name, write_concern=WriteConcern("majority")))
        finally:
            mongodb.drop_database(name)


async def send(client: Client, messages: list[Message]) -> None:
    """Send facts of one type, many in a message."""
    for at in range(0, len(messages), TOGETHER):
        part = messages[at : at + TOGETHER]
        await client.send((part[0][0], [body for _, body in part]))


async def received(books: Books, count: int) -> None:
    """Wait until so many facts are applied, without what workers say to themselves of days and runs."""
    of_days = {"_id": {"$not": {"$regex": "^(day|bill-run)[.]"}}}
    await until(books, lambda: books["inbox"].count_documents(of_days) >= count)


async def until(books: Books, done: Callable[[], bool]) -> None:
    """Wait until something is done; what is held is told where it is not."""
    await wait_for(done, SECONDS_MAX, lambda: held(books))


async def all_is_done(books: Books) -> None:
    """Wait until nothing is left to do: what a dead worker had claimed is taken up when its claim is over."""
    await until(books, lambda: not held(books))
    await until(books, lambda: not books["outbox"].count_documents({"unsent": True}))


def billed(books: Books) -> int:
    """How many accounts the bill run `R-1` has billed so far."""
    row = books["billRuns"].find_one({"_id": "R-1"})
    return 0 if row is None else int(row["billed"])


def is_completed(books: Books) -> bool:
    """Whether that run is."""
    row = books["billRuns"].find_one({"_id": "R-1"})
    return row is not None and row["state"] == "completed"
