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

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class OneRow:
    """A store in which one message is due once; its claims are counted as they are renewed."""

    def __init__(self) -> None:
        self.due = [make.held_row("payment.received:P-1", routing_key="payment.received")]
        self.renewed: asyncio.Queue[tuple[list[str], datetime]] = asyncio.Queue()

    async def claim_due(self, _now: datetime, _lease: timedelta) -> list[HeldRow]:
        """The message, once."""
        rows, self.due = self.due, []
        return rows

    async def claim_suspect(self, _now: datetime, _lease: timedelta) -> None:
        """Nothing is suspect."""
        return

    async def awaited_names(self, _limit: int) -> list[str]:
        """Nothing is waited for."""
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
