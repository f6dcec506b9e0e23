"""The waker keeps what it has claimed for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.records import HeldRow
from handlers.engine import held
from handlers.engine.held import Waker
from handlers.engine.work import Outcome, WorkItem
from tests.store import documents as make
from tests.support.waiting import wait_for

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class OneRow:
    """A store in which one message is due once; its claims are counted as they are renewed."""

    def __init__(self) -> None:
        self.due = [make.held_row("payment.received:P-1", routing_key="payment.received")]
        self.scheduled: list[list[HeldRow]] = []
        self.looked_for_names = 0
        self.renewed: asyncio.Queue[tuple[list[str], datetime]] = asyncio.Queue()

    async def claim_due(self, _now: datetime, _lease: timedelta) -> list[HeldRow]:
        """The message, once."""
        rows, self.due = self.due, []
        return rows

    async def claim_scheduled(self, _now: datetime, _lease: timedelta) -> list[HeldRow]:
        """A page of what is scheduled."""
        return self.scheduled.pop(0) if self.scheduled else []

    async def claim_suspect(self, _now: datetime, _lease: timedelta) -> None:
        """Nothing is suspect."""
        return

    async def awaited_names(self, _limit: int) -> list[str]:
        """Nothing is waited for."""
        self.looked_for_names += 1
        return []

    async def renew(self, identities: Sequence[str], until: datetime) -> None:
        """Note it."""
        self.renewed.put_nowait((list(identities), until))


async def test_a_claim_is_renewed_until_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again while the message is under way, and no longer."""
    monkeypatch.setattr(held, "LEASE", timedelta(milliseconds=30))
    store, works = OneRow(), list[WorkItem]()
    any_store: Any = store
    waker = Waker(any_store, works.append, interval=timedelta(hours=1), clock=lambda: NOW)
    running = asyncio.create_task(waker.run())
    async with asyncio.timeout(20):
        for _ in range(3):
            assert await store.renewed.get() == (["payment.received:P-1"], NOW + held.LEASE)
        [work] = works
        work.done(Outcome("applied"))
        waker.stop()
        await running
    assert store.renewed.qsize() <= 1, "one may have been on its way"


async def test_what_is_scheduled_comes_in_turns_with_what_waits() -> None:
    """Page after page, without an interval between them; in between it is looked for what else can be done."""
    store, works = OneRow(), asyncio.Queue[WorkItem]()
    store.due = []
    store.scheduled = [
        [make.held_row(f"credit.allocate:BA-1/{n}", state="scheduled", routing_key="credit.allocate")] for n in range(3)
    ]
    any_store: Any = store
    waker = Waker(any_store, works.put_nowait, interval=timedelta(hours=1), clock=lambda: NOW)
    running = asyncio.create_task(waker.run())
    async with asyncio.timeout(20):
        for n in range(3):
            work = await works.get()
            assert work.claimed is not None
            assert work.claimed.identity == f"credit.allocate:BA-1/{n}"
            assert store.looked_for_names == n
            work.done(Outcome("applied"))
        await wait_for(lambda: store.looked_for_names == 4)
        waker.stop()
        await running
    assert (works.qsize(), store.looked_for_names) == (0, 4)


@pytest.mark.parametrize(
    ("identity", "code"), [("unreadable:5f3c", "unknown-type"), ("day.begin:2026-03-01", None)], ids=["sent", "ours"]
)
async def test_a_message_of_ours_can_not_be_sent(identity: str, code: str | None) -> None:
    """What a queue brought under a name of ours is no more known when it is tried again, as a suspect is."""
    store, works = OneRow(), asyncio.Queue[WorkItem]()
    body = b'{"date": "2026-03-01"}'
    store.due = [make.held_row(identity, state="suspect", routing_key="day.begin", body=body)]
    any_store: Any = store
    waker = Waker(any_store, works.put_nowait, interval=timedelta(hours=1), clock=lambda: NOW)
    running = asyncio.create_task(waker.run())
    async with asyncio.timeout(20):
        work = await works.get()
        work.done(Outcome("parked"))
        waker.stop()
        await running
    assert (work.incoming.refusal and work.incoming.refusal.code) == code
    assert (work.incoming.fact is None) is (code is not None)
