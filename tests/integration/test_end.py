"""The end of a worker, wanted or not: nothing that was taken is lost, and the next one goes on where it stood."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.support.books import Books, applied, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import customer, order, payment
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess

Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


def inbox(database: Books) -> int:
    """How many facts are applied."""
    return database["inbox"].count_documents({})


async def business(client: Client, count: int, *, single_active_consumer: bool = True) -> None:
    """Two accounts, and so many orders and payments on them, in the queue before any worker reads it."""
    await client.declare(single_active_consumer=single_active_consumer)
    await client.send_all([customer("BA-0"), customer("BA-1")])
    await client.send_all(
        order(f"O-{n}", f"BA-{n % 2}") if n % 4 < 2 else payment(f"P-{n}", f"BA-{n % 2}", "12.00") for n in range(count)
    )


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_taken(
    client: Client, database: Books, worker_process: Start
) -> None:
    """SIGTERM in the middle of 2,000 messages: exit 0, all that was taken is acknowledged, the rest stays queued."""
    # Without a single active consumer, for the broker to let us look at what is left.
    await business(client, 1996, single_active_consumer=False)
    async with worker_process("first", single_active_consumer=False) as first:
        await wait_for(lambda: inbox(database) >= 300, otherwise=lambda: first.log)
        assert await first.terminate() == 0, first.log
    done = inbox(database)
    assert 300 <= done < 1998
    # What is applied is acknowledged and published, what is not applied is in the queue: nothing in between.
    assert await client.left_in() == 1998 - done
    assert database["outbox"].count_documents({"unsent": True}) == 0
    assert not await client.next_was_delivered(), "what was taken was given back instead of being finished"
    async with worker_process("second", single_active_consumer=False) as second:
        await applied(database, 1998)
        assert await second.terminate() == 0, second.log
    assert held(database) == {}
    assert position(database, "BA-0") == position(database, "BA-1") == {}
    await assert_clean(client, database)
    # Nobody has done a thing twice.
    assert len(client.events) == len(client.seen())


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_that_is_killed_leaves_nothing_undone_and_nothing_done_twice(
    client: Client, database: Books, worker_process: Start
) -> None:
    """`kill -9` amid a thousand messages, then a second worker: every effect once, every event published."""
    await business(client, 996)
    async with worker_process("first") as first:
        await wait_for(lambda: inbox(database) >= 100, otherwise=lambda: first.log)
        await first.kill()
    assert 100 <= inbox(database) < 998
    async with worker_process("second") as second:
        await applied(database, 998)
        assert await second.terminate() == 0, second.log
    assert held(database) == {}
    assert inbox(database) == 998
    assert database["invoices"].count_documents({}) == database["payments"].count_documents({}) == 498
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_workers_that_are_killed_again_and_again(client: Client, database: Books, worker_process: Start) -> None:
    """Three workers are killed one after the other, a fourth finishes: every effect once, every event published."""
    await business(client, 996)
    for life in range(3):
        async with worker_process(f"life-{life}", prefetch=100) as worker:
            before = inbox(database)
            await wait_for(lambda before=before: inbox(database) > before, otherwise=lambda worker=worker: worker.log)  # type: ignore[misc]
            await worker.kill()
    assert inbox(database) < 998
    async with worker_process("last") as last:
        await applied(database, 998)
        assert await last.terminate() == 0, last.log
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_that_stood_by_takes_over(client: Client, database: Books, worker_process: Start) -> None:
    """Two workers, one reads; when it is killed the other reads at once, and every effect is there once."""
    await client.declare()
    async with worker_process("first") as first:
        await first.consuming()
        async with worker_process("second") as second:
            await second.consuming()
            await business(client, 996)
            await wait_for(lambda: inbox(database) >= 100)
            await first.kill()
            await applied(database, 998)
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
