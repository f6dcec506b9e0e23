"""Everything is broken for a few seconds, on services that other tests use too; `make chaos` does it for longer.

CHAOS_SEED in the environment draws others; `make chaos` draws a seed of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pymongo import MongoClient

from adapters.settings import Settings
from tests.chaos.run import Plan, run
from tests.support.books import Document
from tests.support.broker import Broker

SECONDS = 5


@pytest.mark.long
@pytest.mark.parametrize("driver", ["motor"])
async def test_nothing_is_lost_or_done_twice_whatever_breaks(
    settings: Settings, broker: Broker, mongo: MongoClient[Document], tmp_path: Path
) -> None:
    """Business goes on while workers are killed, networks cut, connections closed and the database fails."""
    seed = int(os.environ.get("CHAOS_SEED") or 20_261_123)
    print(f"CHAOS_SEED={seed}")
    plan = Plan(
        seed,
        SECONDS,
        workers=2,
        messages_per_second=35,
        lasting=(0.2, 1),
        apart=(0.8, 2),
        days=2,
        lease_seconds=2,
        # More than the 60 for which MongoDB keeps what a dead worker had open.
        standstill_seconds=75,
        audit_seconds=4,
    )
    report = await run(plan, settings, broker, mongo, tmp_path, None, print)
    assert report.ok, str(report)
    assert report.counts["applied"] > 50
    assert report.faults["worker killed"] > 0
