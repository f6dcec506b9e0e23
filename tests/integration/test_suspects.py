"""A message that kills the worker is parked after a few lives, and what was in flight beside it is applied."""

from __future__ import annotations

from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from adapters.settings import Settings
from tests.support import deadly
from tests.support.books import Books, assert_clean, unsent
from tests.support.client import Client
from tests.support.deadly import DEADLY
from tests.support.messages import customer, order
from tests.support.programs import begin
from tests.support.waiting import wait_for
from tests.support.workers import environment

LIVES_MAX = 12
"""More than enough: three in the queue, four alone."""


@pytest.mark.parametrize("driver", ["pymongo"], indirect=True)
async def test_a_message_that_kills_the_worker_is_parked_and_those_beside_it_are_applied(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """An order that ends the process each time is parked as internal; the 39 orders around it are invoiced."""
    await client.declare()
    await client.send(customer("BA-1"))
    await client.send_all(order(DEADLY if n == 20 else f"O-{n}", "BA-1") for n in range(40))

    deaths = 0
    while deaths < LIVES_MAX:
        process = begin(deadly.run, [], environment(settings), tmp_path, tmp_path / f"{deaths}.log")

        def settled(process: ForkServerProcess = process) -> bool:
            parked = database["held"].count_documents({"state": "parked", "reason": "internal"})
            done = parked == 1 and database["invoices"].count_documents({}) == 39
            # What one that died has published and not marked is sent again after a while, by the next one.
            return process.exitcode is not None or (done and not unsent(database))

        await wait_for(settled)
        if process.exitcode is None:
            process.terminate()
            await wait_for(lambda process=process: process.exitcode is not None)  # type: ignore[misc]
            break
        deaths += 1
    assert 0 < deaths < LIVES_MAX
    parked = database["held"].find_one({"_id": f"order.completed:{DEADLY}"})
    assert parked is not None
    assert "died" in parked["detail"]
    assert database["held"].count_documents({}) == 1
    await assert_clean(client, database)
