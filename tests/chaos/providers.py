"""`python -m tests.chaos.providers`: a bill run over many consumers of some providers, in whose names they are billed.

Each consumer is billed by its provider alone, every tenth by us too; then all of it is paid and told to the providers.
It ends with 0 if each was billed once, each provider has what its consumers paid, the numbers of each series have no
gap, the worker's memory stayed flat and the audit is clean, with 1 if not, with 2 if there are no services.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

from adapters.settings import Settings
from tests.chaos.long_run import Course, Say, all_is_done, billed, is_completed, judged, received, send, until, watched
from tests.support.access import spoken_for
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.messages import agent_of, bill_run, charge, closing, cycle, in_cycle, payment
from tests.support.workers import WorkerProcess

OURS_EACH = 10
"""Every so many consumers have a line of ours."""
GROSS, OURS_GROSS, COMMISSION, COMMISSION_TAX = 1_800, 600, 150, 30
"""What a consumer is billed by its provider, and by us, in cents with tax; our commission, 10 % of 15.00; its tax."""


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.providers", description=__doc__)
    parser.add_argument("--consumers", type=int, default=20_000)
    parser.add_argument("--providers", type=int, default=5)
    return judged(_run, parser)


async def _run(settings: Settings, books: Books, asked: argparse.Namespace, say: Say) -> None:
    say(f"{asked.consumers:,} consumers of {asked.providers} providers")
    providers = [f"SA-{n}" for n in range(1, asked.providers + 1)]
    provider_of = {f"BA-{n:06d}": providers[n % len(providers)] for n in range(asked.consumers)}
    ours = list(provider_of)[::OURS_EACH]
    with tempfile.TemporaryDirectory() as directory:
        async with (
            Client.connected(settings.rabbitmq_url, spoken_for(settings)) as client,
            AsyncExitStack() as stack,
        ):
            await client.declare()
            worker = await stack.enter_async_context(WorkerProcess.running(settings, Path(directory) / "worker"))
            await client.send_all([cycle(), *(agent_of(one, "payment") for one in providers)])
            await send(client, [in_cycle(id_) for id_ in provider_of])
            await send(client, [charge(f"C-{id_}", id_, 15, sold_for=of) for id_, of in provider_of.items()])
            await send(client, [charge(f"O-{id_}", id_, 5) for id_ in ours])
            facts = 1 + len(providers) + 2 * len(provider_of) + len(ours)
            await received(books, facts)
            say("all is charged")
            await client.send(bill_run("R-1"))
            looks = await watched(worker, books, lambda: billed(books), lambda: is_completed(books))
            say("completed")
            owed = dict.fromkeys(provider_of, GROSS) | dict.fromkeys(ours, GROSS + OURS_GROSS)
            await send(client, [payment(f"P-{id_}", id_, f"{cents / 100:.2f}") for id_, cents in owed.items()])
            accrued = books["accruals"].count_documents
            await until(books, lambda: accrued({}) == len(provider_of))
            await client.send_all([closing(f"CL-{one}", one) for one in providers])
            await until(books, lambda: not accrued({"settlementId": None}))
            await all_is_done(books)
    say("paid, and told to the providers")
    _judge(books, provider_of, ours)
    course = Course.of(looks)
    say(str(course))
    course.assert_flat()
    assert_audit_ok(books)
    say("each consumer is billed once by each seller, each provider has its own, and the audit is clean")


def _judge(books: Books, provider_of: dict[str, str], ours: list[str]) -> None:
    sellers: defaultdict[str, list[str | None]] = defaultdict(list)
    numbers: defaultdict[str, list[str]] = defaultdict(list)
    fields = {"billingAccount": 1, "seller": 1, "taxIncludedAmount": 1, "remainingAmount": 1}
    for one in books["invoices"].find({}, fields):
        seller = one.get("seller")
        sellers[one["billingAccount"]].append(seller)
        numbers["INV-" if seller is None else f"{seller}-"].append(one["_id"])
        assert one["taxIncludedAmount"] == (OURS_GROSS if seller is None else GROSS), one
        assert one["remainingAmount"] == 0, one
    with_ours = set(ours)
    for id_, provider in provider_of.items():
        due = [provider] if id_ not in with_ours else [None, provider]
        assert sorted(sellers[id_], key=str) == sorted(due, key=str), (id_, sellers[id_])
    for series, found in numbers.items():
        assert sorted(found) == [f"{series}{n:09d}" for n in range(1, len(found) + 1)], f"a gap in {series}"
    run = books["billRuns"].find_one({"_id": "R-1"})
    assert run is not None
    assert (run["billed"], run["nothingDue"]) == (len(provider_of), 0), run
    total = GROSS * len(provider_of) + OURS_GROSS * len(ours)
    assert [one["taxIncludedAmount"] for one in run["totals"]] == [total], run
    counts = Counter(provider_of.values())
    for provider, count in counts.items():
        rows = list(books["accruals"].find({"settlementAccount": provider}, {"amount": 1, "commission": 1, "step": 1}))
        released = [row for row in rows if "step" not in row]
        earned, charged = sum(row["amount"] for row in released), sum(row["commission"]["amount"] for row in released)
        assert (earned, charged) == (count * GROSS, count * COMMISSION), f"{provider}: {earned}, {charged}"
        # Each statement charges the commission on its lines.
        added = [(row["step"]["kind"], row["amount"]) for row in rows if "step" in row]
        assert {kind for kind, _ in added} == {"commission"}, f"{provider}: {added}"
        stated = list(books["settlements"].find({"settlementAccount": provider}, {"lines": 1}))
        lines = sum(len(one["lines"]) for one in stated)
        assert lines == count + len(stated), f"{provider}: {lines} lines are stated"
        taxed = -sum(amount for _, amount in added)
        assert taxed == charged + count * COMMISSION_TAX, f"{provider}: {taxed}"
    assert held(books) == {}, held(books)


if __name__ == "__main__":
    sys.exit(main())
