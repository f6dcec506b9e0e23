"""What a fact leaves to do at a time: it is taken up when that has come, once, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from adapters.store.store import Store
from domain.errors import MustWait
from domain.facts import apply
from domain.ledger.books import Books as FactBooks
from domain.payments.model import CreditAllocation, ReceivedPayment
from tests.chaos.crashes import LEASE
from tests.integration.test_queries import Asker, Clock
from tests.operations.test_status import on_a_terminal, run
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.messages import customer, payment
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)

OFTEN = 0.02
LEASE_OF_A_CLAIM = "handlers.engine.held.LEASE"
DAY = timedelta(days=1)
REST = "credit.allocate:BA-1/{}"


@pytest.fixture
def clock() -> Clock:
    """One clock, of all workers."""
    return Clock()


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let each payment leave so many facts to do at a time; a fact that is left does as it is told, or nothing."""

    def scheduling(at: datetime, facts: int = 1, rest: Callable[[], None] = lambda: None) -> None:
        def applying(fact: object, books: FactBooks) -> object:
            result = apply(fact, books)
            if isinstance(fact, ReceivedPayment):
                for n in range(facts):
                    books.continue_with(CreditAllocation(fact.billing_account, 1_000 + n), at)
            if isinstance(fact, CreditAllocation):
                rest()
            return result

        monkeypatch.setattr("handlers.engine.decision.apply", applying)

    return scheduling


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """When it was looked for what was scheduled, by the workers' clock."""
    looked: list[datetime] = []
    claim = Store.claim_scheduled

    async def noting(store: Store, now: datetime, lease: timedelta) -> Any:
        rows = await claim(store, now, lease)
        looked.append(now)
        return rows

    monkeypatch.setattr(Store, "claim_scheduled", noting)
    return looked


def applied(database: Books, identity: str) -> datetime | None:
    """When a fact was applied, None when it was not."""
    row = database["inbox"].find_one({"_id": identity})
    return None if row is None else row["appliedAt"]


async def test_it_is_taken_up_when_its_time_has_come(
    settings: Settings,
    client: Client,
    database: Books,
    clock: Clock,
    schedule: Callable[..., None],
    sweeps: list[datetime],
) -> None:
    """A millisecond before, it is not; a waiting time of a minute does not park it while it is scheduled for a day."""
    due = clock() + DAY
    schedule(due)
    rest = REST.format(1_000)
    async with working(settings, clock=clock, held_interval_seconds=OFTEN, waiting_seconds_max=60):
        await client.ask(customer("BA-1"))
        paid = await client.ask(payment("P-1", "BA-1", "5.00"))
        assert paid["outcome"] == "applied"
        row = held(database)[rest]
        assert (row["state"], row["reason"], row["attempts"], row["account"]) == ("scheduled", "continued", 0, "BA-1")
        assert (row["dueAt"], row["waitingSince"], row["waitsFor"]) == (due, due, None)
        assert row["detail"] == "what payment.received:P-1 leaves to do"
        before = due - timedelta(milliseconds=1)
        clock.now = before
        await wait_for(lambda: before in sweeps)
        assert held(database)[rest] == row
        clock.now = due
        await wait_for(lambda: applied(database, rest))
    assert applied(database, rest) == due
    assert held(database) == {}
    assert_audit_ok(database)


async def test_a_claim_is_not_renewed_under_the_transaction_that_applies_it(
    settings: Settings,
    client: Client,
    database: Books,
    schedule: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long that takes: it writes the same row, and would run into its own worker's renewals for ever."""
    attempts: list[str] = []
    ahead = timedelta(0)
    due = datetime.now(UTC) + DAY
    schedule(due, rest=lambda: attempts.append("an attempt"))
    rest = REST.format(1_000)
    async with (
        Proxy.between(settings.mongodb_url) as network,
        working(
            settings, clock=lambda: datetime.now(UTC) + ahead, mongodb_url=network.url, held_interval_seconds=OFTEN
        ),
    ):
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        # Each of the transaction's commands takes longer than it is between two renewals.
        monkeypatch.setattr(LEASE_OF_A_CLAIM, timedelta(seconds=0.3))
        network.delay_seconds = 0.1
        ahead = DAY
        await wait_for(lambda: applied(database, rest))
        network.delay_seconds = 0
    assert len(attempts) == 1
    assert_audit_ok(database)


async def test_its_waiting_time_is_counted_from_then(
    settings: Settings, client: Client, database: Books, clock: Clock, schedule: Callable[..., None]
) -> None:
    """What it needs is not there when it is due: it waits for that as long as any message does, and is parked then."""

    def waits() -> None:
        raise MustWait("unknown-account", "no account BA-2", "account:BA-2")

    due = clock() + DAY
    schedule(due, rest=waits)
    rest = REST.format(1_000)
    async with working(settings, clock=clock, held_interval_seconds=OFTEN, waiting_seconds_max=60):
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        clock.now = due + timedelta(seconds=1)
        await wait_for(lambda: held(database, "waiting"))
        [row] = held(database, "waiting").values()
        assert (row["waitsFor"], row["waitingSince"]) == ("account:BA-2", due)
        assert row["dueAt"] == due + timedelta(seconds=60)
        clock.now = due + timedelta(seconds=60)
        await wait_for(lambda: held(database, "parked"))
    [row] = held(database, "parked").values()
    assert (row["_id"], row["reason"]) == (rest, "unknown-account")
    assert_audit_ok(database)


async def test_what_is_due_already_is_done_soon(
    settings: Settings, client: Client, database: Books, clock: Clock, schedule: Callable[..., None]
) -> None:
    """As what is left without a time: it is not looked for, it is told."""
    schedule(clock() - DAY)
    async with working(settings, clock=clock, held_interval_seconds=3_600):
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        await wait_for(lambda: applied(database, REST.format(1_000)))
    assert held(database) == {}
    assert_audit_ok(database)


async def test_three_workers_do_what_is_due_once(
    settings: Settings,
    client: Client,
    database: Books,
    clock: Clock,
    schedule: Callable[..., None],
) -> None:
    """All three look for it, and there is more than one of them takes up at once."""
    due, facts = clock() + DAY, 1_100
    schedule(due, facts)
    each = settings.model_copy(update={"single_active_consumer": False, "held_interval_seconds": OFTEN})
    async with AsyncExitStack() as workers:
        for _ in range(3):
            await workers.enter_async_context(working(each, clock=clock))
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        assert len(held(database, "scheduled")) == facts
        clock.now = due
        await wait_for(lambda: not held(database))
    done = {"_id": {"$regex": "^credit.allocate:"}}
    assert database["inbox"].count_documents(done) == facts
    assert database["inbox"].count_documents({**done, "attempts": 1}) == facts
    assert_audit_ok(database)


async def test_a_worker_that_dies_with_it_leaves_it_to_another(
    settings: Settings, client: Client, database: Books, clock: Clock, schedule: Callable[..., None], store: Store
) -> None:
    """When the claim has run out it is a suspect, tried alone; and it is done."""
    due = clock() + DAY
    schedule(due)
    rest = REST.format(1_000)
    async with working(settings, clock=clock):
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
    assert await store.claim_scheduled(due - timedelta(milliseconds=1), LEASE) == []
    [claimed] = await store.claim_scheduled(due, LEASE)
    assert (claimed.identity, claimed.state, claimed.attempts) == (rest, "scheduled", 1)
    clock.now = due + LEASE
    async with working(settings, clock=clock, held_interval_seconds=OFTEN):
        assert applied(database, rest) is None
        clock.now += timedelta(milliseconds=1)
        await wait_for(lambda: applied(database, rest))
    [fact] = database["inbox"].find({"_id": rest})
    assert fact["attempts"] == 2
    assert held(database) == {}
    assert_audit_ok(database)


async def test_operators_see_what_is_scheduled_and_leave_it(
    settings: Settings, client: Client, database: Books, clock: Clock, schedule: Callable[..., None], tmp_path: Path
) -> None:
    """It is listed with its time, counted, noted on; whoever replays, edits or discards it is told when it comes."""
    due = clock() + DAY
    schedule(due)
    async with working(settings, clock=clock):
        ask = Asker(client)
        await client.ask(customer("BA-1"))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        [item] = (await ask("parked.list", state="scheduled"))["items"]
        assert (item["identity"], item["state"], item["messageType"]) == (
            REST.format(1_000),
            "scheduled",
            "credit.allocate",
        )
        assert item["dueAt"] == due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert (await ask("parked.list"))["items"] == (await ask("parked.accounts"))["items"] == []
        id_ = item["parkedId"]
        detail = f"{id_} is scheduled: it is taken up by itself once it is {item['dueAt']}"
        refusal = {"code": "invalid", "detail": detail}
        for act in ("replay", "discard", "undo"):
            told = await client.ask((f"parked.{act}", {"ids": [id_], "why": "to see"}), app_id="console")
            assert told["error"] == refusal, act
        told = await client.ask(("parked.edit", {"id": id_, "body": "{}", "why": "to see"}), app_id="console")
        assert told["error"] == refusal
        told = await client.ask(("parked.note", {"ids": [id_], "why": "it is right"}), app_id="console")
        assert told["outcome"] == "applied"
        shown = on_a_terminal("parked list --state scheduled", settings, tmp_path, 200)
        assert f"at {due:%Y-%m-%d %H:%M:%S}" in shown, shown
        done = run("status", settings, tmp_path)
        assert done.returncode == 0, done.stderr
        status = json.loads(done.stdout)
    assert (status["held"]["scheduled"], status["held"]["waiting"]) == (1, 0)
    assert len(held(database, "scheduled")) == 1
    assert_audit_ok(database)
