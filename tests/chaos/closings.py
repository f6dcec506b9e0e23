"""`python -m tests.chaos.closings`: closings of very many lines, whose workers are killed at random moments.

They are of some partners, one after the other. A closing of another partner, without deaths, tells beforehand how long
a transaction takes, and how much memory. No transaction is killed three times: what kills that many workers is parked.
It ends with 0 if each line is stated once, the sums are right, the worker's memory stayed flat and the audit is clean,
with 1 if not, with 2 if there are no services.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from adapters.settings import Settings
from bench.processes import resident_bytes
from domain.settlement.closing import LINES_MAX, STATEMENTS_MAX
from tests.chaos.long_run import Say, all_is_done, judged, received, until
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.messages import Message, agreement, closing, customer, item, order, partner
from tests.support.waiting import PAUSE_SECONDS, wait_for
from tests.support.workers import WorkerProcess

KILLED, SPARED = ("SA-1", "SA-2", "SA-3"), "SA-0"
TOGETHER = LINES_MAX * STATEMENTS_MAX
"""So many lines are stated in one transaction."""
ITEMS = 500
"""How many lines an order has."""
PERCENT, HELD_PERCENT = 80, 10
LIFE = 0.4
"""How long a worker lives at most, in times of what a transaction took: others take less, so some are done by then."""
DEATHS = 2
"""So often one transaction is killed at most."""
FLAT = 1.1
"""So many times as much memory as without deaths is still flat."""


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.closings", description=__doc__)
    parser.add_argument("--lines", type=int, default=150_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    return judged(_run, parser)


async def _run(settings: Settings, books: Books, asked: argparse.Namespace, say: Say) -> None:
    lots = random.Random(asked.seed)
    say(f"seed {asked.seed}: {asked.lines:,} lines, {asked.kills} deaths")
    lines = dict.fromkeys(KILLED, asked.lines // len(KILLED)) | {SPARED: TOGETHER + LINES_MAX}
    orders = [order for of, count in lines.items() for order in _orders(of, count)]
    deaths = memory = 0
    with tempfile.TemporaryDirectory() as directory:
        async with Client.connected(settings.rabbitmq_url) as client:
            await client.declare()
            async with WorkerProcess.running(settings, Path(directory) / "setup"):
                await client.send_all([customer("BA-1"), *map(partner, lines)])
                held_back = {"rate": f"0.{HELD_PERCENT}", "releaseAfterDays": 30}
                for one in lines:
                    await client.send(agreement(f"AG-{one}", one, "2026-11-01", f"0.{PERCENT}", holdback=held_back))
                await client.send_all(orders)
                await received(books, 1 + 2 * len(lines) + len(orders))
            say(f"{sum(lines.values()):,} lines have accrued")
            async with WorkerProcess.running(settings, Path(directory) / "spared") as worker:
                await _active(worker)
                begun = time.monotonic()
                await client.send(_closing(SPARED))
                flat = await _until_stated(books, worker, SPARED, 1)
                seconds = time.monotonic() - begun
                flat = max(flat, await _until_stated(books, worker, SPARED))
            say(f"{TOGETHER:,} lines are stated in {seconds:.1f} s, with at most {flat / 2**20:.0f} MiB")
            for of in KILLED:
                await client.send(_closing(of))
                await client.send(_closing(of))
                killed = Counter[int]()
                while not _is_stated(books, of):
                    async with WorkerProcess.running(settings, Path(directory) / f"{deaths}-{of}") as worker:
                        await _active(worker)
                        made = _statements(books, of)
                        if deaths == asked.kills:
                            memory = max(memory, await _until_stated(books, worker, of))
                        elif killed[made] == DEATHS:
                            memory = max(memory, await _until_stated(books, worker, of, made + 1))
                            made = _statements(books, of)
                        if not _is_stated(books, of):
                            left = min(TOGETHER, lines[of] - made * LINES_MAX)
                            memory = max(memory, await _for(worker, lots.uniform(0, LIFE * seconds * left / TOGETHER)))
                            await worker.kill()
                            deaths += 1
                            killed[made] += 1
                            say(f"death {deaths}: {of} has {_statements(books, of)} statements")
            async with WorkerProcess.running(settings, Path(directory) / "last"):
                await all_is_done(books)
    say(f"all is stated, with at most {memory / 2**20:.0f} MiB")
    assert 2 * deaths >= asked.kills, f"all was stated after {deaths} deaths"
    assert memory <= FLAT * flat, f"memory grew to {memory / flat:.2f} times as much"
    for of, count in lines.items():
        _judge(books, of, count)
    assert held(books) == {}, held(books)
    assert_audit_ok(books)
    say("each line is stated once, and the audit is clean")


def _closing(of: str) -> Message:
    return closing(f"C-{of}", of)


async def _active(worker: WorkerProcess) -> None:
    """Wait until messages are applied by a worker: the one that died is waited for at first."""
    await wait_for(lambda: "messages are applied here" in worker.log, otherwise=lambda: worker.log)


def _cents(n: int) -> int:
    """What the line of a number comes to, without tax."""
    return 100 + n % 7


def _orders(of: str, lines: int) -> list[Message]:
    """Orders of so many lines in all that are sold on behalf of a partner."""
    items = [item(n % ITEMS, f"{_cents(n) / 100:.2f}", sold_for=of) for n in range(lines)]
    return [order(f"O-{of}-{at}", "BA-1", *items[at : at + ITEMS]) for at in range(0, lines, ITEMS)]


def _statements(books: Books, of: str) -> int:
    """How many statements a partner has."""
    return books["settlements"].count_documents({"settlementAccount": of})


def _is_stated(books: Books, of: str) -> bool:
    """Whether all that a partner has earned is stated, and held back of."""
    rows = books["accruals"]
    left = rows.find_one({"settlementAccount": of, "settlementId": None})
    return left is None and rows.find_one({"settlementAccount": of, "step.kind": "holdback"}) is not None


async def _for(worker: WorkerProcess, seconds: float) -> int:
    """Let a worker live for a while; returns the most memory that it had (bytes)."""
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, resident_bytes(worker.pid) or 0)
        await asyncio.sleep(PAUSE_SECONDS)
    return most


async def _until_stated(books: Books, worker: WorkerProcess, of: str, statements: int | None = None) -> int:
    """Wait until a partner has so many statements, or all; returns the most memory that the worker had (bytes)."""
    most = 0

    def look() -> bool:
        nonlocal most
        size = resident_bytes(worker.pid)
        assert size is not None, "the worker has ended"
        most = max(most, size)
        return _is_stated(books, of) or (statements is not None and _statements(books, of) >= statements)

    await until(books, look)
    return most


def _judge(books: Books, of: str, lines: int) -> None:
    """Each line is stated once, by its share; all statements but the last are full, and that has what is held back."""
    full, rest = divmod(lines, LINES_MAX)
    ids = [f"C-{of}", *(f"C-{of}-{n}" for n in range(2, full + 2))]
    stated = {one["_id"]: one for one in books["settlements"].find({"settlementAccount": of})}
    assert sorted(stated) == sorted(ids), f"{of}: {len(stated)} statements, not {len(ids)}"
    earned = [line["amount"] for one in stated.values() for line in one["lines"] if line.get("step") is None]
    shares = [(PERCENT * _cents(n) + 50) // 100 for n in range(lines)]
    assert sorted(earned) == sorted(shares), f"{of}: {len(earned)} lines of {sum(earned)}, not of {sum(shares)}"
    named = {line["accrualId"] for one in stated.values() for line in one["lines"]}
    assert len(named) == lines + 1, f"{of}: {len(named)} lines are stated"
    back = (HELD_PERCENT * sum(shares) + 50) // 100
    counts = [len(stated[id_]["lines"]) for id_ in ids]
    assert counts == [*[LINES_MAX] * full, rest + 1], counts
    assert stated[ids[-1]]["lines"][-1]["amount"] == -back, stated[ids[-1]]["lines"][-1]
    told = books["outbox"].count_documents({"account": of, "routingKey": "settlement.closed"})
    assert told == len(ids), f"{of}: {told} statements are told"
    position = books["positions"].find_one({"_id": of})
    assert position is not None
    assert (position["payable"], position["reserve"]) == (sum(shares) - back, back), position


if __name__ == "__main__":
    sys.exit(main())
