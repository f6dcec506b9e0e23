"""`python -m tests.chaos.bill_run`: a bill run over many accounts, whose workers are killed at random moments.

It ends with 0 if each account was billed once, the numbers have no gap and the audit is clean, with 1 if not, with 2 if
there are no services.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern
from rich.console import Console

from adapters.settings import Settings
from services import ServiceError, running
from tests.support import access
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.messages import bill_run, charge, cycle, in_cycle, partner, payment
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess

RUN_SECONDS_MAX = 900
TOGETHER = 500
"""How many facts one message carries."""
PAID = 100
"""So many accounts are paid for while they are billed."""


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.bill_run", description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    arguments = parser.parse_args()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        in_database(lambda settings, books: asyncio.run(_run(settings, books, arguments, console)))
    except ServiceError as error:
        console.print(f"chaos: {error}")
        return 2
    except AssertionError as error:
        console.print(f"NOT well: {error}")
        return 1
    return 0


def in_database(run: Callable[[Settings, Books], None]) -> None:
    """Run it with a vhost and a database of its own."""
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


async def _run(settings: Settings, books: Books, asked: argparse.Namespace, console: Console) -> None:
    lots = random.Random(asked.seed)
    since = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - since:5.0f} s  {line}")

    say(f"seed {asked.seed}: {asked.accounts:,} accounts, {asked.kills} deaths")
    ids = [f"BA-{n:06d}" for n in range(asked.accounts)]
    with tempfile.TemporaryDirectory() as directory:
        async with Client.connected(settings.rabbitmq_url, access.spoken_for(settings)) as client:
            await client.declare()
            async with WorkerProcess.running(settings, Path(directory) / "setup"):
                await client.send_all([cycle(), partner("SA-1")])
                await send(client, [in_cycle(id_) for id_ in ids])
                await send(client, [charge(f"C-{id_}", id_, 10) for id_ in ids])
                await send(client, [charge(f"P-{id_}", id_, 5, sold_for="SA-1") for id_ in ids])
                await received(books, 2 + 3 * len(ids))
            say("all is charged")
            await client.send(bill_run("R-1"))
            await client.send_all([payment(f"P-{id_}", id_, 18) for id_ in lots.sample(ids, min(PAID, len(ids)))])
            for number in range(1, asked.kills + 1):
                async with WorkerProcess.running(settings, Path(directory) / str(number)) as worker:
                    await _goes_on(books)
                    await asyncio.sleep(lots.uniform(0, 1.2))
                    await worker.kill()
                say(f"death {number}: {billed(books):,} are billed")
            async with WorkerProcess.running(settings, Path(directory) / "last"):
                await wait_for(lambda: state(books) == "completed", RUN_SECONDS_MAX, lambda: held(books))
                # What a dead one had claimed is taken up when its claim is over.
                await wait_for(lambda: not held(books), RUN_SECONDS_MAX, lambda: held(books))
                await wait_for(lambda: not books["outbox"].count_documents({"unsent": True}), RUN_SECONDS_MAX)
    say("completed")
    _judge(books, ids)
    assert_audit_ok(books)
    say("each account is billed once, and the audit is clean")


async def send(client: Client, messages: list[tuple[str, Any]]) -> None:
    """Send facts of one type, many in a message."""
    for at in range(0, len(messages), TOGETHER):
        part = messages[at : at + TOGETHER]
        await client.send((part[0][0], [body for _, body in part]))


async def received(books: Books, count: int) -> None:
    """Wait until so many facts are applied, without what workers say to themselves of days and runs."""
    of_days = {"_id": {"$not": {"$regex": "^(day|bill-run)[.]"}}}
    await wait_for(lambda: books["inbox"].count_documents(of_days) >= count, RUN_SECONDS_MAX)


def billed(books: Books) -> int:
    """How many accounts the run has billed so far."""
    row = books["billRuns"].find_one({"_id": "R-1"})
    return 0 if row is None else int(row["billed"])


async def _goes_on(books: Books) -> None:
    """Wait until one account more is billed."""
    before = billed(books)
    await wait_for(lambda: billed(books) > before, RUN_SECONDS_MAX)


def state(books: Books) -> str | None:
    """The run's state, once it is there."""
    row = books["billRuns"].find_one({"_id": "R-1"})
    return None if row is None else str(row["state"])


def _judge(books: Books, ids: list[str]) -> None:
    """Each account has one bill of 15.00, the numbers have no gap, and the run says so."""
    bills = list(books["invoices"].find({}, {"billingAccount": 1, "taxExcludedAmount": 1}))
    counts = Counter(one["billingAccount"] for one in bills)
    assert counts.keys() == set(ids), f"not billed: {sorted(set(ids) - counts.keys())[:5]}"
    assert set(counts.values()) == {1}, f"billed twice: {[id_ for id_, count in counts.items() if count > 1][:5]}"
    assert {one["taxExcludedAmount"] for one in bills} == {1500}
    assert sorted(one["_id"] for one in bills) == [f"INV-{n:09d}" for n in range(1, len(ids) + 1)], "a gap"
    run = books["billRuns"].find_one({"_id": "R-1"})
    assert run is not None
    assert (run["billed"], run["nothingDue"]) == (len(ids), 0), run
    assert [one["taxIncludedAmount"] for one in run["totals"]] == [1800 * len(ids)], run
    assert held(books) == {}, held(books)


if __name__ == "__main__":
    sys.exit(main())
