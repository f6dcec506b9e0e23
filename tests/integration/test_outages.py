"""A connection is lost, the database fails, an answer is ambiguous: it costs time, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pymongo import MongoClient

from adapters.rabbitmq import receiving
from adapters.rabbitmq.connection import connect
from adapters.settings import Settings
from handlers.engine import group_commit
from handlers.engine.decision import Decisions
from handlers.engine.group_commit import GATHERED_MAX, GroupCommit
from handlers.engine.work import WorkItem
from tests.support.access import ON
from tests.support.books import Books, Document, applied, assert_clean, held, position
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.failpoints import failing
from tests.support.messages import customer, order, payment
from tests.support.proxy import START, Proxy
from tests.support.steady import AT_LENGTH
from tests.support.waiting import SECONDS_MAX, wait_for
from tests.support.workers import working

TRANSIENT = ["TransientTransactionError"]
NEVER = 3_600
MANY = 100 if AT_LENGTH else 40
"""Before the database fails, and as many then."""


async def business(client: Client, first: int, count: int) -> None:
    """So many orders and payments on BA-1."""
    await client.send_all(
        order(f"O-{n}", "BA-1") if n % 2 else payment(f"P-{n}", "BA-1", "12.00") for n in range(first, first + count)
    )


@pytest.mark.parametrize(
    ("driver", "names", "access_file"),
    [
        ("motor", ["paymaster work"], ON),
        ("pymongo", ["paymaster publish"], ON),
        ("motor", ["paymaster publish", "paymaster work"], True),
    ],
    indirect=["access_file"],
)
async def test_connections_that_are_closed_by_force(
    settings: Settings, client: Client, broker: Broker, database: Books, names: list[str]
) -> None:
    """The worker connects again by itself and goes on; what it had taken is applied once, every event is published."""
    async with working(settings, prefetch=100):
        await client.ask(customer("BA-1"))
        await asyncio.gather(business(client, 0, 400), *map(broker.close_connection, names))
        await applied(database, 401)
        # It still takes new messages, and still answers.
        assert (await client.ask(order("O-last", "BA-1")))["outcome"] == "applied"
        await applied(database, 402)
    assert held(database) == {}
    assert position(database, "BA-1") == {"receivable": 1200}
    await assert_clean(client, database)


FAILURES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "conflict": ("insert", 3, {"errorCode": 112, "errorLabels": TRANSIENT}),
    "connection lost in a write": ("insert", 2, {"closeConnection": True}),
    "connection lost in a read": ("find", 3, {"closeConnection": True}),
    "stepped down": ("find", 3, {"errorCode": 11602, "errorLabels": TRANSIENT}),
    "interrupted by an operator": ("insert", 3, {"errorCode": 11601}),
    # Not done, and nobody can tell: the driver asks once by itself, the store again.
    "commit without an answer": ("commitTransaction", 3, {"closeConnection": True}),
    # Done, and nobody can tell.
    "commit done but unknown": (
        "commitTransaction",
        3,
        {"writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}},
    ),
    "commit refused": ("commitTransaction", 3, {"errorCode": 112, "errorLabels": TRANSIENT}),
    "commit out of time": ("commitTransaction", 3, {"errorCode": 50}),
}
BOTH = ("commit without an answer",)
RUNS = [
    (driver, name)
    for n, name in enumerate(FAILURES)
    for k, driver in enumerate(("motor", "pymongo"))
    if name in BOTH or n % 2 == k
]


@pytest.mark.parametrize(("driver", "failure"), RUNS)
async def test_a_database_that_fails_for_a_while(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document], failure: str
) -> None:
    """The batch is run, or its commit asked, again until it is through: every effect once, nothing parked."""
    command, times, how = FAILURES[failure]
    where = {} if command == "commitTransaction" else {"namespace": f"{database.name}.inbox"}
    await client.declare()
    await client.send(customer("BA-1"))
    await business(client, 0, MANY)
    async with working(settings):
        with failing(mongo, command, times, **how, **where):
            await business(client, MANY, MANY)
            await applied(database, 1 + 2 * MANY)
    assert held(database) == {}
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_database_that_is_away(settings: Settings, client: Client, database: Books) -> None:
    """The worker gives back what it has taken and takes nothing until the database is back; nothing is parked."""
    async with (
        Proxy.between(settings.mongodb_url) as network,
        working(settings, mongodb_url=network.url) as worker,
    ):
        await client.ask(customer("BA-1"))
        await network.cut()
        await business(client, 0, 100)
        await wait_for(lambda: not worker.queue.consuming)

        async def all_are_back() -> bool:
            return await client.left_in() == 100

        await wait_for(all_are_back)
        await business(client, 100, 100)
        assert await client.left_in() == 200
        await network.heal()
        await applied(database, 201)
        assert worker.queue.consuming
    assert held(database) == {}
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


@pytest.mark.long
@pytest.mark.parametrize("driver", ["motor"])
async def test_no_more_is_taken_than_there_is_room_for(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of facts that the broker would send at once two batches gather, also when nothing is committed.

    A database that goes away meanwhile is no different from one that goes away when there is room.
    """
    gathered: list[int] = []
    submit = GroupCommit.submit

    def counted(commit: GroupCommit, work: WorkItem) -> None:
        submit(commit, work)
        gathered.append(commit.gathered)

    monkeypatch.setattr(GroupCommit, "submit", counted)
    # The worker does not give up on the database before it has taken what there is room for, and takes nothing beyond
    # for having waited long.
    monkeypatch.setattr(group_commit, "AWAY_SECONDS", NEVER)
    monkeypatch.setattr(receiving, "FULL_SECONDS", NEVER)
    await client.declare()
    arrays = [[order(f"O-{n}-{k}", "BA-1")[1] for k in range(500)] for n in range(5)]
    async with (
        Proxy.between(settings.mongodb_url) as network,
        working(settings, mongodb_url=network.url) as worker,
    ):
        await client.ask(customer("BA-1"))
        await network.cut()
        await client.send_all(("order.completed", facts) for facts in arrays)
        await wait_for(lambda: worker.commit.full)
        monkeypatch.setattr(group_commit, "AWAY_SECONDS", 0)
        await wait_for(lambda: not worker.queue.consuming)

        async def all_are_back() -> bool:
            return await client.left_in() == len(arrays)

        await wait_for(all_are_back)
        await network.heal()
        await applied(database, 2501)
    # What was taken when the database went away is still there when the messages come again.
    assert GATHERED_MAX <= max(gathered) < 2 * GATHERED_MAX
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_batches_go_down_to_single_facts_and_up_again(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While transactions of more than one fact fail they are taken one by one; when it is well they are large again."""
    sizes: list[int] = []
    ill = True
    attempt = GroupCommit._attempt

    async def failing_attempt(commit: GroupCommit, works: list[WorkItem]) -> Decisions:
        sizes.append(len(works))
        if ill and len(works) > 1:
            raise ZeroDivisionError
        return await attempt(commit, works)

    monkeypatch.setattr(GroupCommit, "_attempt", failing_attempt)
    await client.declare()
    await client.send_all([customer("BA-1"), *(order(f"O-{n}", "BA-1") for n in range(20))])
    async with working(settings):
        await applied(database, 21)
        sizes.clear()
        # A failure is known by now: they come alone, but for a try of two now and then.
        await business(client, 200, 25)
        await applied(database, 46)
        assert max(sizes) <= 2
        assert sizes.count(1) > 3 * sizes.count(2)
        ill = False
        # One message, so that they gather at once.
        await client.send(("order.completed", [order(f"O-{n}", "BA-1")[1] for n in range(1000, 1300)]))
        await applied(database, 346)
        assert max(sizes) > 16
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_events_whose_mark_was_lost_are_sent_again(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document]
) -> None:
    """When marking fails the sweep sends the events again, under the same ids: at least once, and in the end marked."""
    async with working(settings, relay_interval_seconds=0.3):
        await client.ask(customer("BA-1"))
        await applied(database, 1)
        with failing(mongo, "update", 1, errorCode=11601, namespace=f"{database.name}.outbox"):
            await client.send(order("O-1", "BA-1"))
            await applied(database, 2)
    await assert_clean(client, database)
    # When it is marked in the end the broker has it twice, of which the client may not have heard yet.
    await wait_for(lambda: sum(event.message_id == "BA-1:2" for event in client.events) >= 2)


@pytest.mark.parametrize("driver", ["motor"])
async def test_events_that_an_earlier_life_left_unsent_are_sent_at_the_start(
    settings: Settings, client: Client, database: Books
) -> None:
    """A worker that died between its commit and the broker's confirm leaves nothing unsaid."""
    async with working(settings):
        await client.ask(customer("BA-1"))
        await applied(database, 1)
    await wait_for(lambda: len(client.events) == 1)
    database["outbox"].update_many({}, {"$set": {"unsent": True}, "$unset": {"sentAt": ""}})
    async with working(settings, relay_interval_seconds=0.1):
        await wait_for(lambda: len(client.events) == 2)
        await applied(database, 1)
    assert {event.message_id for event in client.events} == {"BA-1:1"}
    await assert_clean(client, database)


async def test_a_broker_that_hangs_up_within_the_handshake(rabbitmq_url: str) -> None:
    """A broker that is just coming up or going down: it is tried again, until it answers."""
    calls = 0
    async with Proxy.between(rabbitmq_url) as proxy:

        def hang_up() -> None:
            nonlocal calls
            calls += 1
            proxy.hang_up()
            if calls == 3:
                proxy.after = None

        proxy.after = START, hang_up
        connection = await connect(proxy.url, "test", give_up_after_seconds=SECONDS_MAX)
        await connection.close()
        proxy.after = START, proxy.hang_up
        with pytest.raises(ConnectionError):
            await connect(proxy.url, "test", give_up_after_seconds=0.01)
    assert calls == 3
