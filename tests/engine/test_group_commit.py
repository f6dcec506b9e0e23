"""A fact whose transaction conflicts each time is not run again for ever: it is held, and those beside it go on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from adapters.rabbitmq.relay import Relay
from adapters.records import Properties, ReplyTo
from adapters.store.store import Store
from handlers.engine.decision import Decisions
from handlers.engine.group_commit import TRANSIENT_MAX, BatchPolicy, GroupCommit
from handlers.engine.intake import works_of
from handlers.engine.work import Outcome, WorkItem

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
