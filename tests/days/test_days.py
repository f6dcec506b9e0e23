"""Days on real services: whoever applies begins each day that has come, once and in order."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.clock import utc_now
from adapters.operations.status import backlog
from adapters.settings import Settings
from domain.days.model import BegunDay
from domain.facts import apply
from domain.ledger.books import Books as FactBooks
from handlers import days as starter
from handlers.days import DayStarter
from handlers.engine.work import Outcome
from tests.chaos.crashes import DIED
from tests.integration.test_watch import get
from tests.operations.test_status import on_a_terminal, run
from tests.support.books import Books, assert_audit_ok, held
from tests.support.client import Client
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess, environment, working

ROOT = Path(__file__).parents[2]
Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


class ClockFile:
    """A file in which a time stands, changed as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def show(self, time: str) -> None:
        """Let it be this time."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(time)
        fresh.replace(self.path)

    def __str__(self) -> str:
        return str(self.path)


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no second for each look."""
    monkeypatch.setattr(starter, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(starter, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(starter, "HELD_SECONDS", 0.1)
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("adapters.store.workers.DEAD_AFTER_SECONDS", 2.0)


@pytest.fixture
def clock(tmp_path: Path) -> ClockFile:
    """It is noon of the first of March."""
    found = ClockFile(tmp_path / "clock")
    found.show("2026-03-01T12:00:00Z")
    return found


@pytest.fixture
def by_file(settings: Settings, clock: ClockFile) -> Settings:
    """The settings of workers that go by the file."""
    return settings.model_copy(update={"clock_file": str(clock)})


def begun(database: Books) -> list[str]:
    """The days that were begun."""
    return [str(row["_id"]) for row in database["days"].find().sort("_id", 1)]


def days_held(database: Books) -> list[str]:
    """The days that are held; what one leaves to do may still be, when a worker has stopped."""
    return [identity for identity in held(database) if identity.startswith("day.")]


def march(first: int, last: int) -> list[str]:
    """Days of March."""
    return [f"2026-03-{day:02d}" for day in range(first, last + 1)]


async def until_begun(database: Books, days: list[str]) -> None:
    """Wait until these days were begun, and no others."""
    await wait_for(lambda: begun(database) == days, otherwise=lambda: begun(database))


def told(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """The days of which a worker says that it has begun them, in the order in which it says so."""
    return [line["day"] for line in lines if line["event"] == "day begun"]


async def test_new_books_begin_with_today(by_file: Settings, database: Books) -> None:
    """By the clock that the worker has; the row says when, and by what."""
    async with working(by_file, days=True):
        await until_begun(database, march(1, 1))
    [day] = database["days"].find()
    assert day == {
        "_id": "2026-03-01",
        "bookedAt": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "cause": "day.begin:2026-03-01",
    }
    [fact] = database["inbox"].find({"_id": {"$regex": "^day[.]"}})
    assert (fact["_id"], fact["result"], fact["appId"]) == (day["cause"], {"date": "2026-03-01"}, "paymaster")
    assert fact["correlationId"] == day["cause"]
    assert_audit_ok(database)


async def test_status_and_metrics_tell_the_day_and_the_clock(
    by_file: Settings, database: Books, clock: ClockFile, tmp_path: Path
) -> None:
    """By the clock of the file, also for who asks: the day that has come and is not begun, since its midnight."""
    async with working(by_file, days=True, http_port=0, time_zone="Europe/Vienna") as worker:
        await until_begun(database, march(1, 1))
        worker.days.stop()
        clock.show("2026-03-02T00:00:30+01:00")
        _, page = await get(worker, "/metrics")
        done = run("status", by_file, tmp_path, time_zone="Europe/Vienna")
        shown = on_a_terminal("status", by_file, tmp_path, 80)
    assert "paymaster_day_behind_seconds 30.0" in page.splitlines()
    assert 'paymaster_held_messages{state="scheduled"} 0.0' in page.splitlines()
    assert done.returncode == 0, done.stderr
    told_so = json.loads(done.stdout)
    assert told_so["day"] == {"begun": "2026-03-01", "behindSeconds": 30.0}
    assert told_so["clock"] == {"file": str(clock), "now": "2026-03-01T23:00:30.000Z"}
    assert "2026-03-01T23:00:30.000Z" in shown
    assert "2026-03-01, and the next one is there since" not in shown  # not yet, in UTC
    assert max(map(len, shown.splitlines())) <= 80


async def test_after_an_outage_each_day_is_begun_in_its_order(
    by_file: Settings, database: Books, clock: ClockFile
) -> None:
    """Ten days without a worker, and over a leap day; then midnight passes while it works."""
    clock.show("2028-02-25T08:00:00Z")
    async with working(by_file, days=True):
        await until_begun(database, ["2028-02-25"])
    clock.show("2028-03-06T08:00:00Z")
    days = [f"2028-02-{day}" for day in range(26, 30)] + [f"2028-03-{day:02d}" for day in range(1, 7)]
    with capture_logs() as lines:
        async with working(by_file, days=True):
            await until_begun(database, ["2028-02-25", *days])
            clock.show("2028-03-06T23:59:59.999Z")
            clock.show("2028-03-07T00:00:00Z")
            await until_begun(database, ["2028-02-25", *days, "2028-03-07"])
            await wait_for(lambda: len(told(lines)) == 11, otherwise=lambda: told(lines))
    assert told(lines) == [*days, "2028-03-07"]
    assert_audit_ok(database)


async def test_three_workers_begin_each_day_once(
    by_file: Settings, database: Books, clock: ClockFile, named: None
) -> None:
    """All three apply, and all see that thirty days have come."""
    clock.show("2026-03-01T00:00:00Z")
    each = by_file.model_copy(update={"single_active_consumer": False})
    with capture_logs() as lines:
        async with AsyncExitStack() as workers:
            for _ in range(3):
                await workers.enter_async_context(working(each, days=True))
            await until_begun(database, march(1, 1))
            clock.show("2026-03-31T00:00:00Z")
            await until_begun(database, march(1, 31))
            await wait_for(lambda: len(told(lines)) == 31, otherwise=lambda: told(lines))
    assert sorted(told(lines)) == march(1, 31)
    assert days_held(database) == []
    assert_audit_ok(database)


@pytest.mark.parametrize("point", ["after-first-write", "after-commit"])
async def test_a_worker_that_dies_between_days_is_gone_on_with(
    by_file: Settings, database: Books, clock: ClockFile, point: str
) -> None:
    """In the fifth transaction of nine days and what these leave to do, or behind it: the next worker goes on."""
    async with working(by_file, days=True):
        await until_begun(database, march(1, 1))
    clock.show("2026-03-10T12:00:00Z")
    dying = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.crashes", point, "5"),
        env={**environment(by_file), "PYTHONPATH": str(ROOT)},
        cwd=clock.path.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await asyncio.wait_for(dying.wait(), 60) == DIED
    finally:
        if dying.returncode is None:
            dying.kill()
    done = len(begun(database))
    assert 1 < done < 10
    assert begun(database) == march(1, done)
    with capture_logs() as lines:
        async with working(by_file, days=True):
            await until_begun(database, march(1, 10))
            await wait_for(lambda: "2026-03-10" in told(lines), otherwise=lambda: told(lines))
    assert told(lines) == march(done + 1, 10)
    assert_audit_ok(database)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker of this process has a name of its own, as each process has."""
    numbers = count(1)
    monkeypatch.setattr("handlers.worker.socket", SimpleNamespace(gethostname=lambda: f"vm-{next(numbers)}"))


@pytest.mark.parametrize("away", ["mongodb_url", "rabbitmq_url"])
async def test_days_that_come_while_a_service_is_away(
    by_file: Settings, database: Books, clock: ClockFile, away: str
) -> None:
    """Two midnights pass; when it is back both days are begun, once, by the same worker."""
    async with Proxy.between(getattr(by_file, away)) as network:
        with capture_logs() as lines:
            async with working(by_file.model_copy(update={away: network.url}), days=True):
                # What it says, not what is stored: cut off in between it would wait for the first day's outcome.
                await wait_for(lambda: told(lines) == march(1, 1), otherwise=lambda: told(lines))
                await network.cut()
                await wait_for(lambda: any(line["event"] == "service away" for line in lines))
                clock.show("2026-03-03T00:00:00Z")
                if away == "mongodb_url":
                    await wait_for(lambda: any(line["event"] == "days not read" for line in lines))
                    assert begun(database) == march(1, 1)
                await network.heal()
                await until_begun(database, march(1, 3))
                await wait_for(lambda: len(told(lines)) == 3, otherwise=lambda: told(lines))
    assert told(lines) == march(1, 3)
    assert days_held(database) == []
    assert_audit_ok(database)


async def test_a_day_that_meets_a_defect_is_parked_and_gone_on_with(
    by_file: Settings, client: Client, database: Books, clock: ClockFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said again and again that it is not begun, and no later day is; replayed, it is, and so are those."""

    def failing(fact: object, books: FactBooks) -> object:
        if isinstance(fact, BegunDay) and fact.date.day == 2:
            raise RuntimeError("a defect")
        return apply(fact, books)

    with capture_logs() as lines:
        async with working(by_file, days=True, defect_attempts_max=1) as worker:
            await until_begun(database, march(1, 1))
            with monkeypatch.context() as patched:
                patched.setattr("handlers.engine.decision.apply", failing)
                clock.show("2026-03-04T00:00:00Z")
                await wait_for(lambda: len([line for line in lines if line["event"] == "day not begun"]) >= 3)
            [row] = held(database).values()
            assert (row["_id"], row["state"], row["reason"]) == ("day.begin:2026-03-02", "parked", "internal")
            assert (row["account"], row["businessKey"], row["attempts"]) == (None, "2026-03-02", 1)
            found = await backlog(worker.looks.database)
            assert found.day_begun == date(2026, 3, 1)
            assert found.day_behind_seconds(datetime(2026, 3, 4, tzinfo=UTC), UTC) == 2 * 86_400
            [event] = database["outbox"].find({"_id": {"$regex": "^P-"}})
            assert '"messageType":"day.begin"' in bytes(event["body"]).decode().replace(" ", "")
            told_so = len([line for line in lines if line["event"] == "day not begun"])
            for act in ("discard", "undo", "replay"):
                done = await client.ask(
                    (f"parked.{act}", {"ids": [row["parkedId"]], "why": "mended"}), app_id="console"
                )
                assert done["outcome"] == "applied", done
                if act == "discard":  # and it is said as before
                    await wait_for(lambda: len([x for x in lines if x["event"] == "day not begun"]) > told_so + 1)
                    assert begun(database) == march(1, 1)
            await until_begun(database, march(1, 4))
    assert {(line["day"], line["reason"]) for line in lines if line["event"] == "day not begun"} == {
        ("2026-03-02", "internal")
    }
    assert days_held(database) == []
    assert_audit_ok(database)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Which worker has submitted which day."""
    found: list[tuple[int, str]] = []
    submit = DayStarter._outcome_of

    async def noting(days: DayStarter, fact: BegunDay) -> Outcome:
        found.append((id(days), str(fact.date)))
        return await submit(days, fact)

    monkeypatch.setattr(DayStarter, "_outcome_of", noting)
    return found


async def test_a_worker_that_stands_by_submits_nothing(
    by_file: Settings,
    database: Books,
    clock: ClockFile,
    submitted: list[tuple[int, str]],
    named: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it is the one that applies."""
    async with AsyncExitStack() as later:
        async with working(by_file, days=True) as first:
            await until_begun(database, march(1, 1))
            second = await later.enter_async_context(working(by_file, days=True))
            await wait_for(lambda: second.watch.role == "standing by")
            first.days.stop()
            looks: list[bool] = []
            is_active = second.days._is_active

            def looking() -> bool:
                looks.append(is_active())
                return looks[-1]

            monkeypatch.setattr(second.days, "_is_active", looking)
            clock.show("2026-03-04T12:00:00Z")
            await wait_for(lambda: len(looks) > 5)
            assert submitted == [(id(first.days), "2026-03-01")]
        await until_begun(database, march(1, 4))
    assert submitted[1:] == [(id(second.days), day) for day in march(2, 4)]
    assert_audit_ok(database)


async def test_a_worker_whose_clock_is_ahead_begins_no_day_before_it_has_come(
    settings: Settings, database: Books
) -> None:
    """Its clock is a year ahead, the database server's is right; one worker has the right time, and goes on as ever."""
    each = settings.model_copy(update={"single_active_consumer": False})
    with capture_logs() as lines:
        async with working(each, days=True, clock=lambda: utc_now() + timedelta(days=365)):
            await wait_for(lambda: any("this worker's clock is ahead" in line["event"] for line in lines))
            await wait_for(lambda: begun(database))
            async with working(each, days=True) as right:
                await wait_for(lambda: right.days._newest is not None)
    today = utc_now().date()
    assert set(begun(database)) <= {str(today), str(today - timedelta(days=1))}  # it may be midnight now
    assert_audit_ok(database)


async def test_a_worker_whose_clock_is_behind_changes_nothing(
    by_file: Settings, database: Books, tmp_path: Path
) -> None:
    """It finds the days begun, and begins none."""
    async with working(by_file, days=True):
        await until_begun(database, march(1, 1))
    behind = ClockFile(tmp_path / "behind")
    behind.show("2026-02-20T12:00:00Z")
    async with working(by_file, days=True, clock_file=str(behind)) as worker:
        await wait_for(lambda: worker.days._newest is not None)
    assert begun(database) == march(1, 1)


@pytest.mark.parametrize(
    ("zone", "times", "days"),
    [
        (  # a day of 25 hours, from 22:00 UTC to 23:00 UTC
            "Europe/Vienna",
            ["2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"],
            [["2026-10-24"], ["2026-10-25"], [], ["2026-10-26"]],
        ),
        (  # a day of 23 hours, from 23:00 UTC to 22:00 UTC
            "Europe/Vienna",
            ["2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"],
            [["2026-03-28"], ["2026-03-29"], [], ["2026-03-30"]],
        ),
        (  # a day whose midnight there was not
            "America/Santiago",
            ["2026-09-06T03:59:59Z", "2026-09-06T04:00:00Z"],
            [["2026-09-05"], ["2026-09-06"]],
        ),
        (  # a day that there was not, when the date line moved: it is begun beside the next one
            "Pacific/Apia",
            ["2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"],
            [["2011-12-29"], ["2011-12-30", "2011-12-31"]],
        ),
    ],
)
async def test_a_day_begins_when_it_does_where_the_seller_is(
    by_file: Settings, database: Books, clock: ClockFile, zone: str, times: list[str], days: list[list[str]]
) -> None:
    """Also where clocks change on that day."""
    clock.show(times[0])
    due: list[str] = []
    async with working(by_file, days=True, time_zone=zone) as worker:
        for time, more in zip(times, days, strict=True):
            clock.show(time)
            due += more
            await wait_for(lambda: worker.days._newest is not None)
            if more:
                await until_begun(database, due)
            else:
                await worker.days._begin()
                assert begun(database) == due
    assert_audit_ok(database)


async def test_a_start_says_that_the_time_is_a_file_s(clock: ClockFile, worker_process: Start) -> None:
    """In a line of its own, and beside the other settings."""
    async with worker_process("worker", clock_file=str(clock)) as worker:
        await wait_for(lambda: "day=2026-03-01" in worker.log, otherwise=lambda: worker.log)
    starting, *others = worker.log.splitlines()
    assert f"clock_file={clock}" in starting
    [then] = [line for line in others if "the time is what a file says, and stands still in between" in line]
    assert str(clock) in then


async def test_from_a_queue_a_day_is_of_no_known_type(settings: Settings, client: Client, database: Books) -> None:
    """It is parked, and can't be replayed: nobody but a worker can say that a day has come."""
    async with working(settings):
        reply = await client.ask(("day.begin", {"date": "2026-03-01"}))
        assert reply["error"] == {"code": "unknown-type", "detail": "nothing handles 'day.begin'"}
        [row] = held(database).values()
        told = await client.ask(("parked.replay", {"ids": [row["parkedId"]], "why": "to see"}), app_id="console")
        assert "unknown-type" in str(told), told
    assert {row["reason"] for row in held(database, "parked").values()} == {"unknown-type"}
    assert begun(database) == []
    assert_audit_ok(database)
