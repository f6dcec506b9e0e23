"""Settlement accounts that are closed by themselves, through a worker."""

from __future__ import annotations

from pathlib import Path

from adapters.settings import Settings
from tests.days.test_days import ClockFile
from tests.support.books import Books, applied, assert_clean, held
from tests.support.client import Client
from tests.support.messages import closing, command, customer, item, order, partner
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import working

ACCOUNTS = 450 if AT_LENGTH else 250
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


async def test_what_is_in_the_way_of_a_closing(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """An id that an operator took: parked, and stated by the next. Suspended: it waits. To be closed: closed on."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    names = ("SA-T", "SA-S", "SA-P")
    async with working(by_file, days=True):
        await client.send(customer("BA-1"))
        await client.send_all([partner(name, closingCycle=CYCLE) for name in names])
        await applied(database, 4)
        await client.send(closing("SA-T:2026-11-30", "SA-T", "2026-11-01"))
        sold = [item(n, "100", sold_for=name) for n, name in enumerate(names, 1)]
        await client.send(order("O-1", "BA-1", *sold))
        await applied(database, 6)
        await client.send_all([command("suspend", "SA-S"), command("close", "SA-P")])
        await applied(database, 8)
    clock.show("2026-12-01T12:00:00Z")
    taken, waiting = "settlement.continue:SA-T:2026-11-30", "settlement.continue:SA-S:2026-11-30"
    async with working(by_file, days=True):
        await wait_for(lambda: {one: row["state"] for one, row in held(database).items()} == STATES)
        assert held(database)[taken]["reason"] == "conflicting-duplicate"
        await client.send(command("resume", "SA-S"))
        await wait_for(lambda: waiting not in held(database))
    clock.show("2027-01-01T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: database["settlements"].count_documents({"periodEnd": "2026-12-31"}) == len(names))
    stated = {row["_id"]: row["total"] for row in database["settlements"].find({"total": {"$gt": 0}})}
    assert stated == {"SA-T:2026-12-31": 8000, "SA-S:2026-11-30": 8000, "SA-P:2026-11-30": 8000}
    await assert_clean(client, database)


STATES = {"settlement.continue:SA-T:2026-11-30": "parked", "settlement.continue:SA-S:2026-11-30": "waiting"}


async def test_closings_that_waited_are_made_in_their_order(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """Of a suspended account, resumed as days are caught up: what it earned is on the first, the rest have none."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    weekly = {"period": "week", "anchorDate": "2026-12-01"}
    async with working(by_file, days=True):
        await wait_for(lambda: database["calendar"].find_one({"newest": "2026-11-29"}) is not None)
        await client.send_all([customer("BA-1"), partner("SA-1", closingCycle=weekly)])
        await client.send(order("O-1", "BA-1", item(1, "100", sold_for="SA-1")))
        await applied(database, 3)
        await client.send(command("suspend", "SA-1"))
        await applied(database, 4)
    clock.show("2026-12-15T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: "settlement.continue:SA-1:2026-11-30" in held(database, "waiting"))
        await client.send(command("resume", "SA-1"))
        await wait_for(lambda: database["settlements"].count_documents({}) == 3)
    stated = {row["_id"]: row["total"] for row in database["settlements"].find()}
    assert stated == {"SA-1:2026-11-30": 8000, "SA-1:2026-12-07": 0, "SA-1:2026-12-14": 0}
    await assert_clean(client, database)
