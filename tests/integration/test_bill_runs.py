"""Bill runs on real services: each account is billed once, whatever happens beside and in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.settings import Settings
from handlers import sweeping
from tests.days.test_days import ClockFile
from tests.integration.test_queries import Asker
from tests.support.books import Books, Document, applied, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import (
    Message,
    bill_run,
    charge,
    command,
    cycle,
    eur,
    in_cycle,
    partner,
    payment,
)
from tests.support.programs import in_small_steps
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess, working

ACCOUNTS = 300 if AT_LENGTH else 150

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no second for each look, and small pages have the same ends as large ones."""
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(sweeping, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(sweeping, "PAGE", 40)
    monkeypatch.setattr(sweeping, "IN_FLIGHT_MAX", 80)
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("handlers.days.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("adapters.store.workers.DEAD_AFTER_SECONDS", 2.0)


def charged(accounts: int, cycle_id: str = "MONTHLY") -> list[Message]:
    """Accounts of a cycle, each with a charge of 10.00 and one of a partner's for 5.00."""
    ids = [f"BA-{n:04d}" for n in range(accounts)]
    return [
        *(in_cycle(id_, cycle_id) for id_ in ids),
        *(charge(f"C-{id_}", id_, 10) for id_ in ids),
        *(charge(f"P-{id_}", id_, 5, sold_for="SA-1") for id_ in ids),
    ]


async def set_up(client: Client, database: Books, messages: list[Message]) -> None:
    """A cycle, a partner, and these, all applied."""
    await client.send_all([cycle(), partner("SA-1")])
    await client.send_all(messages)
    await applied(database, 2 + len(messages))


def a_run(database: Books, run_id: str = "R-1") -> Document | None:
    """A run's document."""
    return database["billRuns"].find_one({"_id": run_id})


async def completed(database: Books, *run_ids: str) -> None:
    """Wait until runs are completed."""

    def done() -> bool:
        found = [a_run(database, run_id) for run_id in run_ids or ("R-1",)]
        return all(run is not None and run["state"] == "completed" for run in found)

    await wait_for(done, otherwise=lambda: (list(database["billRuns"].find()), held(database)))


async def under_way(database: Books, least: int, run_id: str = "R-1") -> None:
    """Wait until so many of a run's accounts are billed."""
    await wait_for(lambda: (a_run(database, run_id) or {}).get("billed", 0) >= least)


def billed_once(database: Books, accounts: int) -> None:
    """Each account has one bill, of 15.00, and the numbers have no gap."""
    invoices = list(database["invoices"].find({}, {"billingAccount": 1, "taxExcludedAmount": 1}))
    assert Counter(one["billingAccount"] for one in invoices) == {f"BA-{n:04d}": 1 for n in range(accounts)}
    assert {one["taxExcludedAmount"] for one in invoices} == {1500}
    assert sorted(one["_id"] for one in invoices) == [f"INV-{n:09d}" for n in range(1, accounts + 1)]


async def test_each_account_of_a_cycle_is_billed(settings: Settings, client: Client, database: Books) -> None:
    """Three accounts: two have something due, one has nothing; a fourth is of another cycle. It can be asked for."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([cycle(), cycle("OTHER")])
        await applied(database, 2)
        await client.send_all([*(in_cycle(f"BA-{n}") for n in (1, 2, 3)), in_cycle("BA-4", "OTHER")])
        await applied(database, 6)
        await client.send_all([charge(f"C-{n}", f"BA-{n}", 10 * n) for n in (1, 2, 4)])
        await applied(database, 9)
        answer = await client.ask(bill_run("R-1"))
        await client.ask(bill_run("R-2", "OTHER", "2026-11-21"))
        await completed(database, "R-1", "R-2")
        one = await ask("bill-run.get", billRunId="R-1")
        unknown = await ask.answer("bill-run.get", {"billRunId": "R-9"})
        first = await ask("bill-run.list", limit=1)
        rest = await ask("bill-run.list", limit=1, after=first["after"])
        of_cycle = await ask("bill-run.list", cycleSpecification="MONTHLY", state="completed")
        running = await ask("bill-run.list", state="running")
        bill = await ask("invoice.get", billNo="INV-000000001")
        await wait_for(lambda: client.counted()["bill-run.completed"] == 2)
    assert answer == {"outcome": "applied", "result": {"billRunId": "R-1", "state": "running"}}
    [started, _] = client.seen("bill-run.started")
    assert started.event["billRun"]["state"] == "running"
    assert "account-id" not in started.message.headers
    assert one["accounts"] == {"total": 3, "billed": 2, "nothingDue": 1, "parked": 0}
    assert one["totals"] == [{"taxExcludedAmount": eur(30), "taxIncludedAmount": eur(36)}]
    assert (await client.event("bill-run/R-1:2")).event["billRun"] == one
    assert unknown == {"error": {"code": "unknown-bill-run", "detail": "billRunId: no bill-run R-9"}}
    assert [run["billRunId"] for run in (*first["items"], *rest["items"])] == ["R-2", "R-1"]
    assert (of_cycle["items"], running["items"]) == ([one], [])
    assert (bill["runType"], bill["billCycle"]) == ("onCycle", {"@type": "BillCycleRef", "id": "R-1"})
    await assert_clean(client, database)


@pytest.mark.long
async def test_a_run_goes_on_after_each_death(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """Killed twice on its way through the accounts, with facts in memory; then it is gone on with."""
    accounts = ACCOUNTS
    async with working(settings):
        await set_up(client, database, charged(accounts))
    billed = 0
    for number in (1, 2):
        async with WorkerProcess.running(settings, tmp_path / str(number), in_small_steps) as worker:
            await worker.consuming()
            if number == 1:
                await client.send(bill_run("R-1"))
            await under_way(database, billed + 1)
            await worker.kill()
        billed = (a_run(database) or {})["billed"]
        assert billed < accounts, "it was over before"
    async with working(settings):
        await completed(database)
    run = a_run(database)
    assert run is not None
    assert (run["billed"], run["nothingDue"]) == (accounts, 0)
    [total] = run["totals"]
    assert total == {"currency": "EUR", "taxExcludedAmount": 1500 * accounts, "taxIncludedAmount": 1800 * accounts}
    billed_once(database, accounts)
    await assert_clean(client, database)


async def test_a_worker_stops_in_the_middle_of_a_run(settings: Settings, client: Client, database: Books) -> None:
    """It does not wait for the whole run; the next one goes on with it."""
    async with working(settings):
        await set_up(client, database, charged(ACCOUNTS))
        await client.ask(bill_run("R-1"))
        await under_way(database, 1)
    run = a_run(database)
    assert run is not None
    assert run["state"] == "running"
    async with working(settings):
        await completed(database)
    billed_once(database, ACCOUNTS)
    await assert_clean(client, database)


async def test_three_workers_at_once_bill_each_account_once(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three go through two runs of the same accounts, each in its own order of things."""
    numbers = count(1)
    monkeypatch.setattr("handlers.worker.socket", SimpleNamespace(gethostname=lambda: f"vm-{next(numbers)}"))
    accounts = 60
    await client.declare(single_active_consumer=False)
    async with AsyncExitStack() as workers:
        for _ in range(3):
            await workers.enter_async_context(working(settings, single_active_consumer=False))
        await set_up(client, database, charged(accounts))
        await client.send_all([bill_run("R-1"), bill_run("R-2")])
        await completed(database, "R-1", "R-2")
    runs = list(database["billRuns"].find())
    assert sum(run["billed"] for run in runs) == sum(run["nothingDue"] for run in runs) == accounts
    billed_once(database, accounts)
    await assert_clean(client, database)


async def test_one_bad_contract_parks_alone_and_is_replayed(
    settings: Settings, client: Client, database: Books
) -> None:
    """A line of a closed partner: the run completes without it, and says so; replayed it is billed and counted."""
    ask = Asker(client)
    async with working(settings):
        await client.send(partner("SA-2"))
        await set_up(client, database, [in_cycle(f"BA-{n}") for n in range(5)])
        sold_for = {2: {"sold_for": "SA-2"}}
        await client.send_all([charge(f"C-{n}", f"BA-{n}", 10, **sold_for.get(n, {})) for n in range(5)])
        await applied(database, 13)
        await client.ask(command("close", "SA-2"))
        await client.ask(bill_run("R-1"))
        await completed(database)
        shown = await ask("bill-run.get", billRunId="R-1")
        [parked] = held(database, "parked").values()
        await client.ask(command("reopen", "SA-2"))
        await client.ask(("parked.replay", {"ids": [parked["parkedId"]], "why": "the partner is back"}))
        await under_way(database, 5)
        after = await ask("bill-run.get", billRunId="R-1")
    assert (parked["_id"], parked["reason"]) == ("bill.account:R-1:BA-2", "account-closed")
    assert shown["accounts"] == {"total": 5, "billed": 4, "nothingDue": 0, "parked": 1}
    assert after["accounts"] == {"total": 5, "billed": 5, "nothingDue": 0, "parked": 0}
    assert (shown["state"], after["state"]) == ("completed", "completed")
    numbers = sorted(one["_id"] for one in database["invoices"].find({}, {"_id": 1}))
    assert numbers == [f"INV-{n:09d}" for n in range(1, 6)]
    await assert_clean(client, database)


async def test_what_is_tried_again_keeps_a_run_from_being_completed(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bill of more lines than one holds: its rest is a fact of its own, which the run waits for."""
    monkeypatch.setattr("domain.billing.gathering.LINES_MAX", 1)
    async with working(settings):
        await set_up(client, database, [in_cycle("BA-1")])
        await client.send_all([charge(f"C-{n}", "BA-1", 1) for n in range(6)])
        await applied(database, 9)
        await client.ask(bill_run("R-1"))
        await completed(database)
        run = a_run(database)
        invoices = database["invoices"].count_documents({})
    assert run is not None
    assert (run["billed"], run["nothingDue"], invoices) == (1, 0, 6)
    [done] = client.seen("bill-run.completed")
    assert done.event["billRun"]["accounts"] == {"total": 1, "billed": 1, "nothingDue": 0, "parked": 0}
    await assert_clean(client, database)


async def test_payments_beside_a_run_are_applied_meanwhile(settings: Settings, client: Client, database: Books) -> None:
    """Of accounts that are being billed: what comes is not held up until the run is over, and all adds up."""
    async with working(settings):
        await set_up(client, database, charged(ACCOUNTS))
        await client.ask(bill_run("R-1"))
        await under_way(database, 1)
        paid = [payment(f"P-{n}", f"BA-{n:04d}", 18) for n in range(0, ACCOUNTS, 10)]
        answers = await asyncio.gather(*(client.ask(one) for one in paid[:5]))
        run = a_run(database)
        await client.send_all(paid[5:])
        await completed(database)
        await applied(database, 2 + 3 * ACCOUNTS + 1 + len(paid))
    assert {answer["outcome"] for answer in answers} == {"applied"}
    assert run is not None
    assert run["state"] == "running", "they were answered after the run"
    assert position(database, "BA-0000") == {}
    assert position(database, "BA-0001") == {"receivable": 1800}
    billed_once(database, ACCOUNTS)
    await assert_clean(client, database)


async def test_ids_that_make_the_same_identity_are_told_apart(
    settings: Settings, client: Client, database: Books
) -> None:
    """Account `B:C` of the run `A`, and `C` of `A:B`: the second is parked as a conflict, and both runs complete."""
    async with working(settings):
        await client.send_all([cycle(), cycle("OTHER")])
        await applied(database, 2)
        await client.send_all([in_cycle("B:C"), in_cycle("C", "OTHER"), charge("C-1", "B:C", 1), charge("C-2", "C", 2)])
        await applied(database, 6)
        await client.ask(bill_run("A"))
        await completed(database, "A")
        await client.ask(bill_run("A:B", "OTHER"))
        await completed(database, "A:B")
        ask = Asker(client)
        [one, other] = [await ask("bill-run.get", billRunId=id_) for id_ in ("A", "A:B")]
    assert one["accounts"] == {"total": 1, "billed": 1, "nothingDue": 0, "parked": 0}
    assert other["accounts"] == {"total": 1, "billed": 0, "nothingDue": 0, "parked": 1}
    [(identity, row)] = held(database, "parked").items()
    assert identity.startswith("bill.account:A:B:C#")
    assert row["reason"] == "conflicting-duplicate"
    await assert_clean(client, database)


@pytest.mark.parametrize("routing_key", ["bill.account", "bill-run.open", "bill-run.complete"])
async def test_nobody_else_says_what_a_run_does(
    settings: Settings, client: Client, database: Books, routing_key: str
) -> None:
    """From a queue these are unknown types."""
    body: dict[str, Any] = {"billRunId": "R-1", "billingAccount": {"id": "BA-1"}, "billingDate": "2026-11-22"}
    async with working(settings):
        answer = await client.ask((routing_key, {**body, "date": "2026-11-22", "parked": 0}))
    assert answer["error"]["code"] == "unknown-type"


async def test_a_run_by_itself_whose_id_is_taken_is_parked(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """By a run of another cycle, from before its own ran by itself: an operator sees it, and starts it by hand."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-30T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    period = {"startDateTime": "2026-01-01T00:00:00Z"}
    async with working(by_file, days=True):
        await client.send(cycle("OTHER"))
        await client.ask(bill_run("MONTHLY:2026-12-01", "OTHER", "2026-11-15"))
        await client.send(cycle(automatic=True, billingPeriod="month", validFor=period))
        await client.send(in_cycle("BA-1"))
        await client.send(charge("C-1", "BA-1", 10, date="2026-11-20"))
        await wait_for(lambda: database["charges"].count_documents({}) == 1)
    clock.show("2026-12-01T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: held(database, "parked"))
        again = await client.ask(bill_run("MONTHLY:2027-01-01", "OTHER", "2026-11-15"))
        await client.ask(bill_run("BY-HAND", "MONTHLY", "2026-12-01"))
        await completed(database, "MONTHLY:2026-12-01", "BY-HAND")
    assert {identity: row["reason"] for identity, row in held(database, "parked").items()} == {
        "bill-run.open:2026-12-01/0/MONTHLY": "conflicting-duplicate",
        "bill-run.start:MONTHLY:2027-01-01": "conflicting-duplicate",
    }
    assert again["error"]["code"] == "conflicting-duplicate"
    assert [one["billing"]["billRun"] for one in database["invoices"].find()] == ["BY-HAND"]
    await assert_clean(client, database)


async def test_a_cycle_runs_by_itself(settings: Settings, client: Client, database: Books, tmp_path: Path) -> None:
    """Two months pass while nobody works: each of their runs is opened on its day, and bills what was due by then."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-10-31T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    period = {"startDateTime": "2026-01-01T00:00:00Z"}
    automatic: dict[str, Any] = {"automatic": True, "billingPeriod": "month", "frequency": "monthly"}
    odd = ("billing-cycle-specification.create", {"id": "ODD", "name": "x", "automatic": True})
    async with working(by_file, days=True):
        await client.send(cycle(**automatic, validFor=period, paymentDueDateOffset=10, chargeDateOffset=0))
        await applied(database, 1)
        refused = await client.ask(odd)
        await client.send(in_cycle("BA-1"))
        await client.send(charge("C-1", "BA-1", 10, date="2026-11-01"))
        await client.send(charge("C-2", "BA-1", 20, date="2026-11-15"))
        await wait_for(lambda: database["charges"].count_documents({}) == 2)
    clock.show("2026-12-02T12:00:00Z")
    async with working(by_file, days=True):
        await completed(database, "MONTHLY:2026-11-01", "MONTHLY:2026-12-01")
        await wait_for(lambda: database["days"].count_documents({}) == 33)
    assert refused["error"]["code"] == "invalid"
    bills = list(database["invoices"].find().sort("_id", 1))
    assert [(one["taxPointDate"], one["paymentDueDate"], one["taxExcludedAmount"]) for one in bills] == [
        ("2026-11-01", "2026-12-02", 1000),
        ("2026-12-01", "2026-12-11", 2000),
    ]
    assert database["billRuns"].count_documents({}) == 2
    await assert_clean(client, database)
