"""The end of a worker, wanted or not: nothing that was taken is lost, and the next one goes on where it stood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from adapters.rabbitmq.work_queue import Delivery
from adapters.settings import Settings
from handlers.worker import Worker
from tests.support.books import Books, applied, assert_clean, facts, held, position, stands_still
from tests.support.client import Client
from tests.support.messages import customer, order, payment
from tests.support.proxy import Proxy
from tests.support.waiting import SECONDS_MAX, wait_for
from tests.support.workers import WorkerProcess, working

Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


def inbox(database: Books) -> int:
    """How many facts are applied."""
    return facts(database)


async def business(client: Client, count: int) -> None:
    """Two accounts, and so many orders and payments on them, in the queue before any worker reads it."""
    await client.declare()
    await client.send_all([customer("BA-0"), customer("BA-1")])
    await client.send_all(
        order(f"O-{n}", f"BA-{n % 2}") if n % 4 < 2 else payment(f"P-{n}", f"BA-{n % 2}", "12.00") for n in range(count)
    )


async def nothing_left(database: Books) -> None:
    """Wait until the day that comes with the first worker has begun, and all that it left to do is done."""

    def done() -> bool:
        return database["days"].count_documents({}) > 0 and not held(database)

    await wait_for(done, otherwise=lambda: held(database))


@pytest.fixture
async def begun(settings: Settings, database: Books) -> None:
    """The day has begun: a worker that is killed has claimed nothing, which would be kept for a minute."""
    async with working(settings, days=True):
        await nothing_left(database)


NEVER = 3_600
"""An interval that no test lives to see the end of: no sweep sends what the worker has only just committed."""
FEW: dict[str, Any] = {"prefetch": 100}
"""A worker that takes no more messages at once: it is far from having them all when it has some."""


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_taken(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """SIGTERM in the middle of 1,000 messages: exit 0, all that was taken is acknowledged, the rest stays queued."""
    await business(client, 996)
    async with (
        Proxy.between(settings.mongodb_url) as network,
        worker_process("first", mongodb_url=network.url, **FEW, relay_interval_seconds=NEVER) as first,
    ):
        await stands_still(network, database, 300, lambda: first.log)
        first.tell_to_stop()
        await network.heal()
        assert await first.ended() == 0, first.log
    done = inbox(database)
    assert 300 <= done < 998
    # What is applied is acknowledged and published, what is not applied is in the queue: nothing in between.
    assert await client.left_in() == 998 - done
    assert database["outbox"].count_documents({"unsent": True}) == 0
    async with worker_process("second", relay_interval_seconds=NEVER) as second:
        await applied(database, 998)
        await nothing_left(database)
        assert await second.terminate() == 0, second.log
    assert held(database) == {}
    assert position(database, "BA-0") == position(database, "BA-1") == {}
    await assert_clean(client, database)
    # Nobody has done a thing twice.
    assert len(client.events) == len(client.seen())


@pytest.mark.parametrize("driver", ["motor"])
async def test_each_message_that_reached_the_worker_is_committed_before_it_leaves(
    settings: Settings, client: Client, database: Books
) -> None:
    """What was handed to the worker before it was stopped is applied and acknowledged, none of it given back."""
    await business(client, 996)
    taken: list[bytes] = []
    async with working(settings, **FEW) as worker:
        deliver = worker.queue._deliver

        def noted(delivery: Delivery) -> None:
            taken.append(delivery.body)
            deliver(delivery)

        worker.queue._deliver = noted
        await wait_for(lambda: inbox(database) >= 300)
    left = [json.loads(body) for body in taken]
    keys = {str(fact.get("orderId") or fact.get("paymentId") or fact.get("id")) for fact in left}
    done = {str(row["_id"]).partition(":")[2] for row in database["inbox"].find({}, {"_id": 1})}
    assert len(done) < 998
    assert keys <= done
    assert await client.left_in() == 998 - len(done)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_that_is_killed_leaves_nothing_undone_and_nothing_done_twice(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """`kill -9` amid a thousand messages, then a second worker: every effect once, every event published."""
    await business(client, 996)
    async with (
        Proxy.between(settings.mongodb_url) as network,
        worker_process("first", mongodb_url=network.url, **FEW) as first,
    ):
        await stands_still(network, database, 100, lambda: first.log)
        await first.kill()
    assert 100 <= inbox(database) < 998
    async with worker_process("second") as second:
        await applied(database, 998)
        await nothing_left(database)
        assert await second.terminate() == 0, second.log
    assert held(database) == {}
    assert inbox(database) == 998
    assert database["invoices"].count_documents({}) == database["payments"].count_documents({}) == 498
    await assert_clean(client, database)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("driver", ["pymongo"])
async def test_workers_that_are_killed_again_and_again(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """Three workers are killed one after the other, a fourth finishes: every effect once, every event published."""
    await business(client, 996)
    for life in range(3):
        async with (
            Proxy.between(settings.mongodb_url) as network,
            worker_process(f"life-{life}", mongodb_url=network.url, **FEW) as worker,
        ):
            await stands_still(network, database, inbox(database) + 1, lambda worker=worker: worker.log)  # type: ignore[misc]
            await worker.kill()
    assert inbox(database) < 998
    async with worker_process("last") as last:
        await applied(database, 998)
        await nothing_left(database)
        assert await last.terminate() == 0, last.log
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_that_stood_by_takes_over(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """Two workers, one reads; when it is killed the other reads at once, and every effect is there once."""
    await client.declare()
    async with (
        Proxy.between(settings.mongodb_url) as network,
        worker_process("first", mongodb_url=network.url, **FEW) as first,
    ):
        await first.consuming()
        async with worker_process("second") as second:
            await second.consuming()
            await business(client, 996)
            await stands_still(network, database, 100, lambda: first.log)
            await first.kill()
            assert inbox(database) < 998
            await applied(database, 998)
            await nothing_left(database)
            assert await second.terminate() == 0, second.log
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_with_nothing_to_do_leaves_at_once(client: Client, worker_process: Start) -> None:
    """An idle worker ends within moments of SIGTERM, with 0, and says nothing of an error."""
    async with worker_process("idle") as worker:
        await worker.consuming()
        assert await worker.terminate() == 0
    assert "Traceback" not in worker.log
    assert "rror" not in worker.log


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("part", ["relay", "group commit", "waker", "work queue"])
async def test_a_worker_ends_when_one_of_its_parts_does(settings: Settings, client: Client, part: str) -> None:
    """Also when the part ends as if it had been told to: half a worker would take messages and do nothing with them."""
    await client.declare()
    worker = Worker(settings)
    running = asyncio.create_task(worker.run())
    await wait_for(lambda: worker.queue.consuming)
    next(task for task in asyncio.all_tasks() if task.get_name() == part).cancel()
    with pytest.raises(RuntimeError, match=f"{part} was cancelled"):
        await asyncio.wait_for(running, SECONDS_MAX)
