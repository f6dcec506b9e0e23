"""`python -m tests.chaos.bill_run`: a bill run over many accounts, whose workers are killed at random moments.

It ends with 0 if each account was billed once, the numbers have no gap and the audit is clean, with 1 if not, with 2 if
there are no services. With `--kills 0` one worker bills them all, and nobody pays meanwhile: then its memory has to
stay flat, too, and the last tenth of the accounts must take no more work than the first.
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
from tests.chaos.long_run import Course, Say, all_is_done, billed, is_completed, judged, received, send, until, watched
from tests.support.access import spoken_for
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.messages import bill_run, charge, cycle, in_cycle, partner, payment
from tests.support.workers import WorkerProcess

PAID = 100
"""So many accounts are paid for while they are billed."""
IN_FLIGHT = 20
"""So many messages the worker is given at once that prepares it all. Of a thousand, which are 200 MB, the broker could
not write the rest for as long as a slow worker takes for the first, and would close the connection."""


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.bill_run", description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    return judged(_run, parser)


async def _run(settings: Settings, books: Books, asked: argparse.Namespace, say: Say) -> None:
    lots = random.Random(asked.seed)
    say(f"seed {asked.seed}: {asked.accounts:,} accounts, {asked.kills} deaths")
    ids = [f"BA-{n:06d}" for n in range(asked.accounts)]
    with tempfile.TemporaryDirectory() as directory:
        async with Client.connected(settings.rabbitmq_url, spoken_for(settings), hears=False) as client:
            await client.declare()
            async with WorkerProcess.running(settings, Path(directory) / "setup", prefetch=IN_FLIGHT):
                await client.send_all([cycle(), partner("SA-1")])
                await send(client, [in_cycle(id_) for id_ in ids])
                await send(client, [charge(f"C-{id_}", id_, 10) for id_ in ids])
                await send(client, [charge(f"P-{id_}", id_, 5, sold_for="SA-1") for id_ in ids])
                await received(books, 2 + 3 * len(ids))
                # Or the first accounts would be billed beside the events that are left.
                await all_is_done(books)
            say("all is charged")
            await client.send(bill_run("R-1"))
            if asked.kills:
                await client.send_all([payment(f"P-{id_}", id_, 18) for id_ in lots.sample(ids, min(PAID, len(ids)))])
            for number in range(1, asked.kills + 1):
                async with WorkerProcess.running(settings, Path(directory) / str(number)) as worker:
                    await _goes_on(books)
                    await asyncio.sleep(lots.uniform(0, 1.2))
                    await worker.kill()
                say(f"death {number}: {billed(books):,} are billed")
            async with WorkerProcess.running(settings, Path(directory) / "last") as worker:
                looks = await watched(worker, books, lambda: billed(books), lambda: is_completed(books))
                await all_is_done(books)
    say("completed")
    _judge(books, ids)
    since = time.monotonic()
    assert_audit_ok(books)
    say(f"each account is billed once, and the audit is clean, which took {time.monotonic() - since:.0f} s")
    if not asked.kills:
        course = Course.of(looks)
        say(str(course))
        course.assert_flat()
        course.assert_as_fast()


async def _goes_on(books: Books) -> None:
    """Wait until one account more is billed."""
    before = billed(books)
    await until(books, lambda: billed(books) > before)


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
