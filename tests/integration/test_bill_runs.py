"""Bill runs on real services: each account is billed once, whatever happens beside and in between."""

from __future__ import annotations

import pytest

from adapters.settings import Settings
from tests.support.books import Books, applied, assert_clean
from tests.support.client import Client
from tests.support.messages import bill_run, charge, cycle, eur, in_cycle
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


async def test_each_account_of_a_cycle_is_billed(settings: Settings, client: Client, database: Books) -> None:
    """Three accounts: two have something due, one has nothing; a fourth is of another cycle."""
    async with working(settings):
        await client.send_all([cycle(), cycle("OTHER")])
        await applied(database, 2)
        await client.send_all([in_cycle(f"BA-{n}") for n in (1, 2, 3)])
        await client.send_all([in_cycle("BA-4", "OTHER")])
        await applied(database, 6)
        await client.send_all([charge(f"C-{n}", f"BA-{n}", 10 * n) for n in (1, 2, 4)])
        await applied(database, 9)
        answer = await client.ask(bill_run("R-1"))
        await wait_for(lambda: client.counted()["bill-run.completed"])
    assert answer == {"outcome": "applied", "result": {"billRunId": "R-1", "state": "running"}}
    [done] = client.seen("bill-run.completed")
    assert done.event["billRun"]["accounts"] == {"total": 3, "billed": 2, "nothingDue": 1, "parked": 0}
    assert done.event["billRun"]["totals"] == [{"taxExcludedAmount": eur(30), "taxIncludedAmount": eur(36)}]
    await assert_clean(client, database)
