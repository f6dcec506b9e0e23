"""`paymaster bill-run`: a run is started, listed, shown and watched."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.settings import Settings
from handlers import sweeping
from handlers.cli import app
from handlers.console import bill_runs
from tests.support.books import Books, applied
from tests.support.client import Client
from tests.support.messages import charge, command, cycle, in_cycle, partner
from tests.support.workers import environment, working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no second for each look."""
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(bill_runs, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)


async def typed(settings: Settings, *words: str, code: int = 0, columns: int = 80) -> tuple[str, str]:
    """What a command prints, and says beside it; it must end with that exit code."""
    told = {**environment(settings), "COLUMNS": str(columns)}
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["bill-run", *words], None, told)
    assert ended.exit_code == code, (words, ended.stdout, ended.stderr)
    # The worker of this process may write its log there too, at any moment.
    return "".join(one for one in ended.stdout.splitlines(keepends=True) if "event=" not in one), ended.stderr


async def test_a_run_is_started_watched_and_shown(settings: Settings, client: Client, database: Books) -> None:
    """Two accounts, one with a line of a closed partner: the watching ends with 1 and says where to look."""
    async with working(settings):
        await client.send_all([cycle(), partner("SA-1")])
        await applied(database, 2)
        await client.send_all([in_cycle("BA-1"), in_cycle("BA-2"), charge("C-1", "BA-1", "39.90")])
        await client.send(charge("C-2", "BA-2", 5, sold_for="SA-1"))
        await applied(database, 6)
        await client.ask(command("close", "SA-1"))
        started, _ = await typed(settings, "start", "R-1", "--cycle", "MONTHLY", "--on", "2026-11-22")
        watched, said = await typed(settings, "watch", "R-1", code=1)
        again, _ = await typed(settings, "start", "R-1", "--cycle", "MONTHLY", "--on", "2026-11-22", "--json")
        _, refused = await typed(settings, "start", "R-2", "--cycle", "MONTHLY", "--on", "22 November", code=1)
        shown, _ = await typed(settings, "show", "R-1", "--json")
        listed, _ = await typed(settings, "list")
        none, _ = await typed(settings, "list", "--state", "running")
        _, unknown = await typed(settings, "show", "R-9", code=1)
    assert started == "R-1: applied, running\n"
    assert "billed           1" in watched
    assert "with tax, EUR    47.88" in watched
    assert "paymaster parked list --type bill.account" in said
    assert max(len(one) for one in (watched + listed).splitlines()) <= 80
    assert json.loads(again)["outcome"] == "duplicate"
    assert refused.startswith("invalid: billingDate: ")
    run: dict[str, Any] = json.loads(shown)
    assert run["accounts"] == {"total": 2, "billed": 1, "nothingDue": 0, "parked": 1}
    assert "R-1" in listed
    assert none == "there is no run\n"
    assert "no bill-run R-9" in unknown


async def test_nobody_answers_without_a_worker(settings: Settings, client: Client, database: Books) -> None:
    """The message is in the queue, and will be applied."""
    await client.declare()
    words = ("start", "R-1", "--cycle", "MONTHLY", "--on", "2026-11-22", "--timeout", "0.2")
    _, said = await typed(settings, *words, code=1)
    assert "is a worker running?" in said
    async with working(settings):
        await client.ask(cycle())
        await applied(database, 2)
    assert database["billRuns"].count_documents({}) == 1
