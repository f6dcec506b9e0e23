"""What long runs have in common: a database and a vhost of their own, how far and how fast they are, how they end."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern
from rich.console import Console

from adapters.settings import Settings
from bench.figures import tenths
from bench.processes import busy_seconds, cpu_seconds, listener, resident_bytes
from services import ServiceError, running
from tests.support import access
from tests.support.books import Books, held
from tests.support.client import Client
from tests.support.messages import Message
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess

SECONDS_MAX = 1_800
"""How long is waited for anything."""
TOGETHER = 500
"""How many facts one message carries."""
LOOK_SECONDS = 0.1
"""How often it is looked how far a run is, and what it takes."""
FLAT = 1.1
"""So many times as much memory as in the first tenth of a run is still flat."""
AS_FAST = 0.9
"""So many times as many accounts as in the first tenth, in the same CPU time, is still as fast."""
FLAT_FROM, AS_FAST_FROM = 5_000, 50_000
"""Of so many accounts on each is judged: fewer take less than what a worker keeps, and does, in any case."""
TICK = 0.01
"""CPU time is told in such steps (seconds)."""
BUSIER = 0.25
"""So much of a core more may be busy with something else in the last tenth than in the first, or it is not judged."""

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
    inbox, of_days = books["inbox"], {"_id": {"$not": {"$regex": "^(day|bill-run)[.]"}}}
    # To count half a million takes the database half a second: only once there may be enough.
    await until(books, lambda: inbox.estimated_document_count() >= count <= inbox.count_documents(of_days))


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


@dataclass(frozen=True)
class Look:
    """What is seen of a run at a time (seconds): how much is done, the worker's memory (RSS, bytes), and CPU time.

    That is what the worker and the database have `used` so far (seconds; the worker alone if the database is
    elsewhere), and what `others` on the machine have, the broker and whoever watches among them.
    """

    at: float
    done: int
    memory: int
    used: float
    others: float


async def watched(
    worker: WorkerProcess, books: Books, done: Callable[[], int], is_over: Callable[[], bool]
) -> list[Look]:
    """What is seen of a worker from when something is done of a run until it is over."""
    looks: list[Look] = []
    address = await asyncio.to_thread(lambda: books.client.address)
    database = listener(address[1]) if address is not None else None

    def look() -> bool:
        over, count, memory = is_over(), done(), resident_bytes(worker.pid)
        assert memory is not None, "the worker has ended"
        if count:
            used = sum(cpu_seconds(pid) or 0 for pid in (worker.pid, database))
            looks.append(Look(time.monotonic(), count, memory, used, (busy_seconds() or 0) - used))
        return over

    await wait_for(look, SECONDS_MAX, lambda: held(books), pause=LOOK_SECONDS)
    return looks


@dataclass(frozen=True)
class Course:
    """How a run went by tenths: the most memory (bytes), accounts done a second, and a second of CPU time.

    `others` is how many cores were busy with something else.
    """

    accounts: int
    memory: list[int]
    rates: list[float]
    by_cpu: list[float]
    others: list[float]

    @staticmethod
    def of(looks: Sequence[Look]) -> Course:
        """Worked out from what was seen, from the first look to the last."""
        first, count = looks[0], looks[-1].done - looks[0].done
        most = [0] * 10
        for one in looks:
            tenth = min(9, 10 * (one.done - first.done) // count)
            most[tenth] = max(most[tenth], one.memory)

        def taken(what: Callable[[Look], float]) -> list[float]:
            found = tenths([(what(one), one.done - first.done) for one in looks], count)
            return [max(seconds, TICK) for seconds in found]

        seconds, used, others = taken(lambda one: one.at), taken(lambda one: one.used), taken(lambda one: one.others)
        return Course(
            looks[-1].done,
            [size for size in most if size],
            [count / 10 / took for took in seconds],
            [count / 10 / took for took in used],
            [busy / took for busy, took in zip(others, seconds, strict=True)],
        )

    def __str__(self) -> str:
        first, later = (size / 2**20 for size in (self.memory[0], max(self.memory[1:])))
        told = (
            f"{first:.0f} MiB in the first tenth of the run, later at most {later:.0f} MiB; in the first tenth and the "
            f"last {self.rates[0]:,.0f} and {self.rates[-1]:,.0f} a second, "
            f"{self.by_cpu[0]:,.0f} and {self.by_cpu[-1]:,.0f} a second of CPU time, "
            f"beside {self.others[0]:.1f} and {self.others[-1]:.1f} cores busy with something else"
        )
        return told if self.is_judged_by_cpu else f"{told}: whether it was as fast is not judged"

    @property
    def is_judged_by_cpu(self) -> bool:
        """Whether it tells anything: there were enough accounts, and others were not much busier in the end."""
        return self.accounts >= AS_FAST_FROM and self.others[-1] - self.others[0] <= BUSIER

    def assert_flat(self) -> None:
        """The worker had at no later time much more memory than in the first tenth."""
        growth = max(self.memory[1:]) / self.memory[0]
        assert growth <= FLAT or self.accounts < FLAT_FROM, f"memory grew to {growth:.2f} times as much"

    def assert_as_fast(self) -> None:
        """An account took at the end no more CPU time than at the beginning.

        By the clock it may take twice as long, or half, by what else runs on the machine: that says nothing of the run.
        CPU time changes less by that, since others take but the caches; and it is not judged where they came late.
        """
        ratio = self.by_cpu[-1] / self.by_cpu[0]
        slower = f"by CPU time it was {ratio:.2f} times as fast in the last tenth as in the first"
        assert ratio >= AS_FAST or not self.is_judged_by_cpu, slower
