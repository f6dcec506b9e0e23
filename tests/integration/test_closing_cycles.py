"""Settlement accounts that are closed by themselves, through a worker."""

from __future__ import annotations

from pathlib import Path

from adapters.settings import Settings
from tests.days.test_days import ClockFile
from tests.support.books import Books, applied, assert_clean
from tests.support.client import Client
from tests.support.messages import partner
from tests.support.waiting import wait_for
from tests.support.workers import working

ACCOUNTS = 450
CYCLE = {"period": "month", "anchorDate": "2026-01-01"}


async def test_a_day_closes_many_once(settings: Settings, client: Client, database: Books, tmp_path: Path) -> None:
    """More than one fact leaves, each with one statement; the day comes while nobody works."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    async with working(by_file, days=True):
        await client.send_all([partner(f"SA-{n:03d}", closingCycle=CYCLE) for n in range(ACCOUNTS)])
        await applied(database, ACCOUNTS)
    clock.show("2026-12-01T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: database["settlements"].count_documents({}) == ACCOUNTS, 40)
        await applied(database, 2 * ACCOUNTS)
    made = sorted(row["_id"] for row in database["settlements"].find())
    assert made == [f"SA-{n:03d}:2026-11-30" for n in range(ACCOUNTS)]
    assert database["held"].count_documents({}) == 0
    await assert_clean(client, database)
