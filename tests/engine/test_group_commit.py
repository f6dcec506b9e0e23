"""The group commit by itself: what conflicts each time is held, and bulk work gives way to all other work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from adapters.rabbitmq.relay import Relay
from adapters.records import Properties, ReplyTo
from adapters.store.store import Store
from domain.billing.runs import BillRunToComplete, BillRunToStart
from handlers.engine import group_commit
from handlers.engine.decision import Decisions
from handlers.engine.group_commit import BULK_SECONDS, FACTS_MAX, LIGHT_MAX, TRANSIENT_MAX, BatchPolicy, GroupCommit
from handlers.engine.intake import works_of
from handlers.engine.work import Outcome, WorkItem, internal_work

KEEPING = BatchPolicy("INV-", "CN-", UTC, timedelta(days=1), timedelta(days=1), "test", 0.001, 4, 1)


class Nobody:
    """Is told, hands over and waits for nothing."""

    def made(self, names: Iterable[str]) -> None:
        """Nobody waits."""

    def look_for(self, names: Iterable[str]) -> None:
        """Nobody waits."""

    def reply(self, to: ReplyTo, outcome: Outcome, causation_id: str) -> None:
        """Nobody asks."""

    def hand_over(self, events: list[Any]) -> None:
        """There are none."""

    async def room(self) -> None:
        """There is room."""

    async def end_abandoned(self, _after: timedelta) -> int:
        """Nobody died."""
        return 0


async def test_what_conflicts_each_time_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody: Any = Nobody()
    store: Store = nobody
    relay: Relay = nobody
    commit = GroupCommit(store, relay, nobody, KEEPING, lambda: datetime.now(UTC))
    outcomes: dict[str, str] = {}
    tries: list[list[str]] = []

    def submit(name: str) -> None:
        for work in works_of("unknown.type", name.encode(), Properties(name), lambda: None):

            def done(outcome: Outcome, name: str = name) -> None:
                outcomes[name] = outcome.kind

            commit.submit(WorkItem(work.incoming, work.properties, name, done))

    async def attempt(_commit: GroupCommit, works: list[WorkItem]) -> Decisions:
        tries.append([work.correlation_id for work in works])
        if any(work.correlation_id == "too-much" and work.failure is None for work in works):
            raise OperationFailure("WriteConflict", 112, {"errorLabels": ["TransientTransactionError"]})
        kinds = ["applied" if work.failure is None else "waiting" for work in works]
        return Decisions([Outcome(kind) for kind in kinds])  # type: ignore[arg-type]  # both are outcomes

    monkeypatch.setattr(GroupCommit, "_attempt", attempt)
    for name in ("before", "too-much", "after"):
        submit(name)
    while len(outcomes) < 3:
        await commit._commit(commit._next_batch())
    assert outcomes == {"before": "applied", "too-much": "waiting", "after": "applied"}
    alone = [names for names in tries if names == ["too-much"]]
    assert len(alone) == TRANSIENT_MAX + 2, "as often as any, once more, and once to be held"


def work(name: str, type_: str = "unknown.type") -> WorkItem:
    """A piece of work of a name, of no fact."""
    [made] = works_of(type_, name.encode(), Properties(name), lambda: None)
    return WorkItem(made.incoming, made.properties, name, lambda _outcome: None)


class Lanes:
    """A group commit whose batches take `seconds_a_fact` for each fact, and are noted by their size and lane."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nobody: Any = Nobody()
        self.commit = GroupCommit(nobody, nobody, nobody, KEEPING, lambda: datetime.now(UTC))
        self.seconds_a_fact = 0.001
        self.batches: list[tuple[str, int]] = []
        self.now = 0.0
        monkeypatch.setattr(group_commit, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(GroupCommit, "_attempt", self._attempt)

    async def _attempt(self, works: list[WorkItem]) -> Decisions:
        [lane] = {work.correlation_id for work in works}
        self.batches.append((lane, len(works)))
        await asyncio.sleep(0)
        self.now += len(works) * self.seconds_a_fact
        # Payments go on coming, as long as there is bulk work.
        if lane == "bulk":
            await self.arrive(self.payments)
        return Decisions([Outcome("applied")] * len(works))

    async def arrive(self, payments: int) -> None:
        """So many payments come."""
        for _ in range(payments):
            self.commit.submit(work("payment"))

    payments = 0

    async def run(self, bulk: int) -> None:
        """Commit so many facts of bulk work, and what comes beside them."""
        for _ in range(bulk):
            self.commit.submit_bulk(work("bulk"))
        task = asyncio.create_task(self.commit.run())
        await asyncio.wait_for(self.commit._idle.wait(), 5)
        task.cancel()


async def test_bulk_work_alone_fills_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large as any, however long they take; nothing else is waiting for them."""
    lanes = Lanes(monkeypatch)
    lanes.now = 100.0
    await lanes.run(3 * FACTS_MAX)
    assert lanes.batches == [("bulk", FACTS_MAX)] * 3


async def test_bulk_work_gives_way_to_what_comes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of each in turn; one of bulk work takes no longer than it may, by what the last one took."""
    lanes = Lanes(monkeypatch)
    lanes.payments = 2
    lanes.now = 100.0
    await lanes.run(1_000)
    fit = round(BULK_SECONDS / lanes.seconds_a_fact)
    assert lanes.batches[:5] == [("bulk", FACTS_MAX), ("payment", 2), ("bulk", fit), ("payment", 2), ("bulk", fit)]
    assert [lane for lane, _ in lanes.batches] == ["bulk", "payment"] * (len(lanes.batches) // 2)
    assert sum(facts for lane, facts in lanes.batches if lane == "bulk") == 1_000


async def test_bulk_work_does_not_give_way_to_what_a_worker_says_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its turn, and no more: nobody waits for it."""
    lanes = Lanes(monkeypatch)
    lanes.now = 100.0
    over = internal_work(BillRunToComplete("R-1", 0), lambda _outcome: None)
    lanes.commit.submit(replace(over, correlation_id="ours"))
    await lanes.run(2 * FACTS_MAX)
    assert lanes.batches == [("ours", 1), ("bulk", FACTS_MAX), ("bulk", FACTS_MAX)]


@pytest.mark.parametrize(
    ("gathered", "expected"),
    [
        ({"usage.record": 2_500}, [LIGHT_MAX, LIGHT_MAX, 500]),
        ({"bill.account": 1_500}, [LIGHT_MAX, 500]),
        ({"usage.record": 700, "payment.received": 600}, [700, FACTS_MAX, 100]),
        ({"usage.record": 300, "payment.received": 600}, [FACTS_MAX, 400]),
        ({"payment.received": 100, "usage.record": 1_500}, [FACTS_MAX, LIGHT_MAX, 100]),
        ({"payment.received": 1_100}, [FACTS_MAX, FACTS_MAX, 100]),
    ],
    ids=lambda of: str(of) if isinstance(of, dict) else "",
)
async def test_a_batch_has_more_of_what_is_light(
    monkeypatch: pytest.MonkeyPatch, gathered: dict[str, int], expected: list[int]
) -> None:
    """As long as nothing else is among it: a payment does not wait for more than a batch of its own kind takes."""
    lanes = Lanes(monkeypatch)
    for type_, count in gathered.items():
        for _ in range(count):
            lanes.commit.submit(replace(work("x", type_), correlation_id="all"))
    await lanes.run(0)
    assert [facts for _, facts in lanes.batches] == expected


async def test_after_a_failure_what_is_light_goes_in_small_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the way of one spares the rest."""
    lanes = Lanes(monkeypatch)
    for _ in range(LIGHT_MAX):
        lanes.commit.submit(work("x", "usage.record"))
    lanes.commit._lane = lanes.commit._work
    lanes.commit._lane.go_smaller()
    assert len(lanes.commit._next_batch()) == FACTS_MAX // 4


async def test_what_begins_bulk_work_is_told_of_and_not_given_way_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts a run waits for its start alone; what else there is, is nothing that bulk work begins with."""
    lanes = Lanes(monkeypatch)
    lanes.now = 100.0
    lanes.commit.begins_bulk = frozenset({BillRunToStart})
    begun: list[set[type]] = []
    lanes.commit.on_begun = lambda facts: begun.append(set(facts))
    body = json.dumps({"billRunId": "R-1", "cycleSpecification": {"id": "M"}, "billingDate": "2026-12-01"}).encode()
    [start] = works_of("bill-run.start", body, Properties("R-1"), lambda: None)
    assert isinstance(start.incoming.fact, BillRunToStart)
    lanes.commit.submit(replace(start, correlation_id="start"))
    await lanes.run(2 * FACTS_MAX)
    assert lanes.batches == [("start", 1), ("bulk", FACTS_MAX), ("bulk", FACTS_MAX)]
    assert begun == [{BillRunToStart}]


async def test_bulk_work_that_is_slow_goes_on_beside_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fact at a time, if one alone takes longer than a batch may; and larger batches once they take less."""
    lanes = Lanes(monkeypatch)
    lanes.payments = 1
    lanes.now, lanes.seconds_a_fact = 100.0, 1.0
    await lanes.run(502)
    assert [facts for lane, facts in lanes.batches if lane == "bulk"] == [FACTS_MAX, 1, 1]
    lanes.seconds_a_fact = 0.01
    lanes.batches.clear()
    await lanes.run(10)
    assert [facts for lane, facts in lanes.batches if lane == "bulk"][:2] == [1, 4]


async def test_bulk_work_neither_stops_the_intake_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not counted in what has gathered, and at the end what is not begun of it is forgotten."""
    lanes = Lanes(monkeypatch)
    for _ in range(5 * FACTS_MAX):
        lanes.commit.submit_bulk(work("bulk"))
    assert not lanes.commit.full
    assert lanes.commit.gathered == 0
    lanes.commit.submit(work("payment"))
    task = asyncio.create_task(lanes.commit.run())
    await asyncio.wait_for(lanes.commit.drained(), 5)
    task.cancel()
    assert [lane for lane, _ in lanes.batches] == ["payment"]
