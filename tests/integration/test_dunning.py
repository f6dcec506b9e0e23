"""Dunning on real services: by the clock, through outages and deaths, with what customers say meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from handlers import sweeping
from handlers.engine import held as waker
from tests.chaos.dunned import Debtor, judge, procedures
from tests.days.test_days import ClockFile
from tests.integration.test_queries import Asker
from tests.support.books import Books, Document, applied, assert_clean, held, position, unsent
from tests.support.client import Client
from tests.support.messages import (
    Message,
    credited,
    customer,
    dispute,
    eur,
    item,
    monthly,
    order,
    payment,
    procedure,
    promise,
    relationship,
    subscription,
    update,
)
from tests.support.programs import in_small_steps
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess, working

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


@pytest.fixture
def clock(tmp_path: Path) -> ClockFile:
    """It is noon of the 22nd."""
    found = ClockFile(tmp_path / "clock")
    found.show("2026-11-22T12:00:00Z")
    return found


@pytest.fixture
def by_file(settings: Settings, clock: ClockFile) -> Settings:
    """The settings of workers that go by that clock."""
    return settings.model_copy(update={"clock_file": str(clock)})


def debtor(account_id: str, **fields: Any) -> Message:
    """An account that owes what it is billed at once, and is dunned."""
    return customer(account_id, paymentTermDays=0, dunningProcedure={"id": "D-1"}, **fields)


def dunned(database: Books, account_id: str) -> list[str]:
    """The steps that stand against an account."""
    found: Document = database["dunnings"].find_one({"_id": account_id}) or {"steps": []}
    return [step["action"] for step in found["steps"]]


async def looked_at(database: Books, day: str) -> None:
    """Wait until all that owe were looked at on a day."""
    await wait_for(lambda: database["dunnedDays"].find_one({"newest": day}), otherwise=lambda: held(database))


async def passes(clock: ClockFile, database: Books, *days: int) -> None:
    """Let days of November come, one after the other, each looked at."""
    for day in days:
        clock.show(f"2026-11-{day}T06:00:00Z")
        await looked_at(database, f"2026-11-{day}")


async def test_a_ladder_and_its_end(by_file: Settings, client: Client, database: Books, clock: ClockFile) -> None:
    """A reminder, a fee, a suspension, each on its day; a payment resumes what was suspended, without another look."""
    ask = Asker(client)
    async with working(by_file, days=True):
        await client.send_all([procedure("D-1", (1, "remind"), (2, "charge"), (3, "suspend"), (5, "collect"))])
        await client.send_all([debtor("BA-1"), customer("BA-2", paymentTermDays=0)])
        await client.send_all([order("O-1", "BA-1", item(1, 10)), order("O-2", "BA-2", item(1, 10))])
        await client.send(subscription("S-1", "BA-1", monthly("P-1", 30), start="2026-11-01"))
        await wait_for(lambda: database["subscriptions"].count_documents({}) == 1)
        await looked_at(database, "2026-11-22")
        await passes(clock, database, 23, 24, 25)
        stands = await ask("dunning.get", billingAccount="BA-1")
        nothing = await ask("dunning.get", billingAccount="BA-2")
        suspended = await ask("subscription.get", id="S-1")
        fees = await ask("charge.list", billingAccount="BA-1")
        await client.ask(payment("P-1", "BA-1", 12))
        await wait_for(lambda: dunned(database, "BA-1") == [], otherwise=lambda: held(database))
        await wait_for(lambda: client.counted()["dunning.cleared"] == 1)
        resumed = await ask("subscription.get", id="S-1")
        bill = await ask("invoice.get", billNo="INV-000000001")
    assert [(step["level"], step["action"], step["date"]) for step in stands["steps"]] == [
        (1, "remind", "2026-11-23"),
        (2, "charge", "2026-11-24"),
        (3, "suspend", "2026-11-25"),
    ]
    assert (stands["level"], stands["suspended"], stands["oldestDueDate"]) == (3, ["S-1"], "2026-11-22")
    assert (nothing["level"], nothing["steps"]) == (0, [])
    assert (suspended["state"], resumed["state"]) == ("suspended", "active")
    [fee] = fees["items"]
    assert (fee["id"], fee["taxExcludedAmount"], fee["isBilled"]) == ("dunning~BA-1~2026-11-24", eur(4.5), False)
    taken = [event.event for event in client.seen("dunning.step-taken")]
    assert [(step["action"], step["overdue"]) for step in taken] == [
        ("remind", eur(12)),
        ("charge", eur(12)),
        ("suspend", eur(12)),
    ]
    [cleared] = client.seen("dunning.cleared")
    assert (cleared.event["level"], cleared.event["oldLevel"], cleared.event["overdue"]) == (0, 3, eur(0))
    overdue = Counter(event.event["invoice"]["billNo"] for event in client.seen("invoice.overdue"))
    assert overdue == {"INV-000000001": 1, "INV-000000002": 1}
    assert bill["handling"]["overdueOn"] == "2026-11-23"
    await assert_clean(client, database)


async def test_ten_days_of_outage_are_one_step(
    by_file: Settings, client: Client, database: Books, clock: ClockFile
) -> None:
    """Nobody works; a customer pays meanwhile, which waits in the queue: it is not dunned, the other is, once."""
    async with working(by_file, days=True):
        await client.send(procedure("D-1", (1, "remind"), (2, "suspend"), (3, "collect")))
        await client.send_all([debtor(f"BA-{n}") for n in range(8)])
        await client.send_all([order(f"O-{n}", f"BA-{n}", item(1, 10)) for n in range(8)])
        await wait_for(lambda: database["invoices"].count_documents({}) == 8)
        await looked_at(database, "2026-11-22")
    paid = [payment(f"P-{n}", f"BA-{n}", 12) for n in range(0, 8, 2)]
    filler = [payment(f"F-{n}", "BA-0", 1) for n in range(400)]
    await client.send_all([*filler, *paid])
    clock.show("2026-12-02T06:00:00Z")
    async with working(by_file, days=True):
        await looked_at(database, "2026-12-02")
    assert database["days"].count_documents({}) == 11
    assert {n: dunned(database, f"BA-{n}") for n in range(8)} == {n: ["remind"] if n % 2 else [] for n in range(8)}
    steps = Counter(event.event["billingAccount"]["id"] for event in client.seen("dunning.step-taken"))
    assert steps == {f"BA-{n}": 1 for n in range(1, 8, 2)}
    await assert_clean(client, database)


async def test_what_customers_say_lets_dunning_wait(
    by_file: Settings, client: Client, database: Books, clock: ClockFile
) -> None:
    """One promises, one disputes, one is given another procedure; then the days go on."""
    async with working(by_file, days=True):
        await client.send(procedure("D-1", (1, "remind")))
        await client.send_all([debtor(f"BA-{n}") for n in (1, 2, 3)])
        await client.send_all([order(f"O-{n}", f"BA-{n}", item(1, 10)) for n in (1, 2, 3)])
        await wait_for(lambda: database["invoices"].count_documents({}) == 3)
        await looked_at(database, "2026-11-22")
        await passes(clock, database, 23)
        before = [dunned(database, f"BA-{n}") for n in (1, 2, 3)]
        answer = await client.ask(promise("PR-1", "BA-1", "2026-11-24"))
        number = {row["billingAccount"]: row["_id"] for row in database["invoices"].find()}
        await client.ask(dispute("DI-1", number["BA-2"], credited(1, 10)))
        await client.ask(update("BA-3", {"dunningProcedure": None}))
        await wait_for(lambda: [dunned(database, f"BA-{n}") for n in (1, 2, 3)] == [[], [], []])
        await passes(clock, database, 24, 25)
    assert before == [["remind"]] * 3
    assert answer == {"outcome": "applied", "result": {"level": 0}}
    assert [dunned(database, f"BA-{n}") for n in (1, 2, 3)] == [["remind"], [], []]
    assert database["dunningSteps"].count_documents({}) == 4
    await assert_clean(client, database)


async def test_what_is_due_is_collected(by_file: Settings, client: Client, database: Books, clock: ClockFile) -> None:
    """It is asked for on the due date, once; one is paid, the other fails and is dunned."""
    by_card = {"defaultPaymentMethod": {"id": "PM-1"}}
    async with working(by_file, days=True):
        await client.send(procedure("D-1", (1, "remind")))
        await client.send_all([debtor(f"BA-{n}", **by_card) for n in (1, 2)])
        await client.send_all([update(f"BA-{n}", {"paymentTermDays": 1}) for n in (1, 2)])
        await applied(database, 5)
        await looked_at(database, "2026-11-22")
        await client.send_all([order(f"O-{n}", f"BA-{n}", item(1, 10)) for n in (1, 2)])
        await wait_for(lambda: database["invoices"].count_documents({}) == 2)
        await passes(clock, database, 23)
        await wait_for(lambda: client.counted()["payment.requested"] == 2)
        asked = {event.event["billingAccount"]["id"]: event.event for event in client.seen("payment.requested")}
        paid = payment("P-1", "BA-1", 12, paymentRequestId=asked["BA-1"]["paymentRequestId"])
        answer = await client.ask(paid)
        await passes(clock, database, 24)
        waited = dunned(database, "BA-2")
        failed = {"paymentRequestId": asked["BA-2"]["paymentRequestId"], "reason": "AM04"}
        told = await client.ask(("payment.failed", {**failed, "failedAt": "2026-11-24T06:00:00Z"}))
        await passes(clock, database, 25)
        # On the last day: it waits no longer than some hours.
        early = await client.send_asking(
            ("payment.failed", {**failed, "paymentRequestId": "INV-000000009", "failedAt": "2026-11-24T06:00:00Z"})
        )
        assert early
        await wait_for(lambda: held(database, "waiting"))
    assert asked["BA-1"]["amount"] == eur(12)
    assert (asked["BA-1"]["dueDate"], asked["BA-1"]["paymentMethod"]["id"]) == ("2026-11-23", "PM-1")
    assert answer["result"] == {"billNos": [asked["BA-1"]["billNo"]]}
    assert told == {"outcome": "applied", "result": {"billNo": asked["BA-2"]["billNo"]}}
    assert position(database, "BA-1") == {}
    assert (waited, dunned(database, "BA-2"), dunned(database, "BA-1")) == ([], ["remind"], [])
    [row] = held(database, "waiting").values()
    assert row["reason"] == "unknown-payment-request"
    assert client.counted()["payment.requested"] == 2
    await assert_clean(client, database)


@pytest.mark.long
async def test_a_day_goes_on_after_a_death(
    by_file: Settings, client: Client, database: Books, clock: ClockFile, tmp_path: Path
) -> None:
    """Killed among the accounts, with looks in memory: each has taken its step, once."""
    accounts = 200 if AT_LENGTH else 120
    ids = [f"BA-{n:04d}" for n in range(accounts)]
    async with working(by_file, days=True):
        await client.send(procedure("D-1", (1, "suspend")))
        await applied(database, 1)
        await client.send_all([debtor(id_) for id_ in ids])
        await client.send_all([order(f"O-{id_}", id_, item(1, 10)) for id_ in ids])
        await client.send_all([subscription(f"S-{id_}", id_, monthly("P-1", 1), start="2026-11-01") for id_ in ids])
        await wait_for(lambda: database["subscriptions"].count_documents({}) == accounts, seconds=60)
        await looked_at(database, "2026-11-22")
    clock.show("2026-11-23T06:00:00Z")
    async with WorkerProcess.running(by_file, tmp_path, in_small_steps) as worker:
        await worker.consuming()
        await wait_for(database["dunningSteps"].find_one)
        await worker.kill()
    assert 0 < database["dunningSteps"].count_documents({}) < accounts, "it was over before"
    async with working(by_file, days=True):
        await looked_at(database, "2026-11-23")
        # What the dead one left unsent is sent when the clock has gone on.
        clock.show("2026-11-23T06:05:00Z")
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert database["dunningSteps"].count_documents({}) == accounts
    assert database["subscriptions"].count_documents({"state": "suspended"}) == accounts
    await assert_clean(client, database)


@pytest.mark.parametrize("routing_key", ["dunning.look", "dunning.complete"])
async def test_nobody_else_says_what_dunning_does(
    settings: Settings, client: Client, database: Books, routing_key: str
) -> None:
    """From a queue these are unknown types."""
    async with working(settings):
        answer = await client.ask((routing_key, {"billingAccount": {"id": "BA-1"}, "date": "2026-11-22"}))
    assert answer["error"]["code"] == "unknown-type"


async def test_what_an_account_pays_for_is_suspended_and_resumed_in_as_many_parts_as_it_takes(
    by_file: Settings, client: Client, database: Books, clock: ClockFile
) -> None:
    """Its parts put nothing on the payer's own account, and are told apart all the same."""

    def states() -> Counter[str]:
        return Counter(row["state"] for row in database["subscriptions"].find())

    def why() -> object:
        return states(), held(database)

    async with working(by_file, days=True):
        await client.send(procedure("D-1", (1, "suspend")))
        await client.send_all([debtor("BA-1"), customer("BA-2", accountRelationship=[relationship("payer", "BA-1")])])
        await client.send_all([order("O-1", "BA-1", item(1, 10))])
        await client.send_all(
            [subscription(f"S-{n}", "BA-2", monthly("P-1", 30), start="2026-11-01") for n in range(130)]
        )
        await wait_for(lambda: database["subscriptions"].count_documents({}) == 130)
        await looked_at(database, "2026-11-22")
        clock.show("2026-11-23T06:00:00Z")
        await wait_for(lambda: states() == {"suspended": 130}, otherwise=why)
        await client.ask(payment("P-1", "BA-1", 12))
        await wait_for(lambda: states() == {"active": 130}, otherwise=why)
    await assert_clean(client, database)


async def test_what_two_accounts_are_dunned_for_is_suspended_until_both_have_paid(
    by_file: Settings, client: Client, database: Books, clock: ClockFile
) -> None:
    """The account's own step joins that of the account which has come to pay for it."""
    ask = Asker(client)
    async with working(by_file, days=True):
        await client.send_all([procedure("D-1", (1, "suspend")), procedure("D-2", (2, "suspend"))])
        await client.send_all([debtor("BA-1"), customer("BA-2", paymentTermDays=0, dunningProcedure={"id": "D-2"})])
        await client.send_all([order(f"O-{n}", f"BA-{n}", item(1, 10)) for n in (1, 2)])
        await wait_for(lambda: database["invoices"].count_documents({}) == 2)
        await client.ask(update("BA-2", {"accountRelationship": [relationship("payer", "BA-1")]}))
        await client.send(subscription("S-1", "BA-2", monthly("P-1", 30), start="2026-11-01"))
        await wait_for(lambda: database["subscriptions"].count_documents({}) == 1)
        await looked_at(database, "2026-11-22")
        await passes(clock, database, 23, 24)
        await client.ask(payment("P-1", "BA-1", 12))
        await wait_for(lambda: dunned(database, "BA-1") == [], otherwise=lambda: held(database))
        kept = await ask("subscription.get", id="S-1")
        stands = [(await ask("dunning.get", billingAccount=f"BA-{n}"))["suspended"] for n in (1, 2)]
        await wait_for(lambda: not unsent(database))
        await assert_clean(client, database)
        await client.ask(payment("P-2", "BA-2", 12))
        await wait_for(lambda: dunned(database, "BA-2") == [], otherwise=lambda: held(database))
        resumed = await ask("subscription.get", id="S-1")
        await wait_for(lambda: not unsent(database))
    assert (kept["state"], stands, resumed["state"]) == ("suspended", [[], ["S-1"]], "active")
    await assert_clean(client, database)


async def test_several_workers_dun_while_days_come_and_customers_pay(
    by_file: Settings, client: Client, database: Books, clock: ClockFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers at once, and payments while accounts are looked at: a step each day, none against who has paid."""
    # The days go by faster than a slow machine applies messages: none has waited for too long, and no worker is dead.
    span = timedelta(days=30)
    monkeypatch.setattr(waker, "LEASE", span)
    by_file = by_file.model_copy(update={"single_active_consumer": False, "waiting_seconds_max": span.total_seconds()})
    pays_on = {f"BA-{n}": 23 + n % 6 for n in range(36)}
    debtors = {
        account: Debtor(account, "pays" if day < 28 else "pays nothing", 0, 10, f"{account}-for" if day % 2 else None)
        for account, day in pays_on.items()
    }
    opening = [made for one in debtors.values() for made in one.opening().values()]
    await client.declare(single_active_consumer=False)

    async def pay(day: int) -> None:
        for account, debtor in debtors.items():
            if pays_on[account] == day and debtor.what == "pays":
                await client.ask(payment(f"P-{account}", account, 12))

    async with working(by_file, days=True), working(by_file, days=True), working(by_file, days=True):
        await looked_at(database, "2026-11-22")
        await client.send_all([*procedures().values(), *opening])
        await applied(database, 2 + len(opening))
        for day in range(23, 29):
            clock.show(f"2026-11-{day}T06:00:00Z")
            await asyncio.gather(pay(day), looked_at(database, f"2026-11-{day}"))
        await wait_for(lambda: not unsent(database) and not held(database), otherwise=lambda: held(database))
    assert judge(debtors, database) == []
    assert database["dunningSteps"].count_documents({}) >= 3 * 6
    await assert_clean(client, database)
