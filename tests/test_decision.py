"""A batch ends early when deciding on it takes long: its transaction may not grow old."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest

from adapters.records import Properties
from domain.books import DocumentNeed, Need, WorkingSet
from handlers import decision
from handlers.decision import SECONDS_MAX, Decisions, decide
from handlers.group_commit import Bookkeeping
from handlers.intake import works_of
from schemas.acts import Act
from tests.support.messages import order

FACTS = 10


async def decided() -> Decisions:
    """What becomes of ten orders on an account that is not there."""
    works = [
        work
        for n in range(FACTS)
        for work in works_of(
            "order.completed", json.dumps(order(f"O-{n}", "BA-1")[1]).encode(), Properties(f"M-{n}"), lambda: None
        )
    ]
    books = WorkingSet(booked_at=datetime(2026, 11, 23, tzinfo=UTC), zone=UTC, series="INV-")
    keeping = Bookkeeping("INV-", UTC, timedelta(days=1), timedelta(seconds=1), "test", 5, 4, 1)

    async def load(needs: Iterable[Need]) -> None:
        for need in needs:
            if isinstance(need, DocumentNeed):
                books.load(need.type, need.id, None)
            else:
                books.load_queue(need, [])

    async def act(_act: Act, _by: str) -> Mapping[str, object]:
        raise AssertionError

    return await decide(works, {}, books, load, act, keeping)


@pytest.mark.parametrize(
    # The clock is looked at once before the first fact, and once or twice for each.
    ("tick", "facts"),
    [(0.0, FACTS), (SECONDS_MAX + 1, 1), (SECONDS_MAX / 4, 3)],
)
async def test_a_batch_ends_when_it_takes_long(tick: float, facts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(0, tick)
    monkeypatch.setattr(decision, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    outcomes = (await decided()).outcomes
    assert [outcome.kind for outcome in outcomes] == ["waiting"] * facts
