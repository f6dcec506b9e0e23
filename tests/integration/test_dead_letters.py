"""What the broker gave up on is parked by the worker, never lost."""

from __future__ import annotations

import json

import aio_pika
import pytest

from adapters.records import Properties
from adapters.settings import Settings
from handlers.engine.intake import dead_letter_refusal
from tests.support.books import Books, assert_clean, held
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.waiting import wait_for
from tests.support.workers import working


async def test_a_message_that_the_broker_gave_up_on_is_parked(
    settings: Settings, client: Client, database: Books
) -> None:
    """A dead letter is parked under its own identity, with the broker's reason and the type it was published with."""
    await client.declare()
    await client.send(order("O-1", "BA-1"), expiration=0.001, message_id="m-1", correlation_id="c-1")
    await client.send(("foo.bar", b"\xff"), expiration=0.001)
    await wait_for(lambda: both_are_dead(client))
    async with working(settings):
        await wait_for(lambda: len(held(database, "parked")) == 2)
        await wait_for(lambda: len(client.seen("message.parked")) == 2)
        # It is known, and not applied by sending it again: an operator has to look.
        await client.ask(customer("BA-1"))
        answer = await client.ask(order("O-1", "BA-1"))
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "dead-letter")
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    row = held(database)["order.completed:O-1"]
    assert (row["state"], row["reason"], row["messageId"]) == ("parked", "dead-letter", "m-1")
    assert "expired" in row["detail"]
    assert "paymaster.work" in row["detail"]
    assert row["routingKey"] == "order.completed"
    assert json.loads(row["body"]) == order("O-1", "BA-1")[1]
    event = await client.event(f"{row['parkedId']}:1")
    assert event.event["messageType"] == "order.completed"
    assert event.content["correlationId"] == "c-1"
    await assert_clean(client, database)


async def both_are_dead(client: Client) -> bool:
    return await client.left_in("paymaster.dead") == 2


async def test_each_fact_of_an_array_that_the_broker_gave_up_on_is_parked(
    settings: Settings, client: Client, database: Books
) -> None:
    """What was applied already stays applied; the others are parked, each with its own part of the body."""
    await client.declare()
    async with working(settings):
        await client.ask(customer("BA-1"))
        await client.ask(order("O-1", "BA-1"))
    bodies = [order(f"O-{n}", "BA-1")[1] for n in (1, 2, 3)]
    await client.send(("order.completed", bodies), expiration=0.001, message_id="m-1")

    async def dead() -> bool:
        return await client.left_in("paymaster.dead") == 1

    await wait_for(dead)
    async with working(settings):
        await wait_for(lambda: len(client.seen("message.parked")) == 2)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert {identity: row["messageId"] for identity, row in held(database).items()} == {
        "order.completed:O-2": "m-1:2",
        "order.completed:O-3": "m-1:3",
    }
    await assert_clean(client, database)


async def test_a_sender_can_t_choose_the_type_of_a_dead_letter(
    settings: Settings, client: Client, database: Books
) -> None:
    """What it writes into the broker's own header says nothing: the routing key is what the broker was given."""
    await client.declare()
    forged = [{"queue": "paymaster.work", "routing-keys": ["parked.discard"], "reason": "expired", "count": 1}]
    await client.send(order("O-1", "BA-1"), expiration=0.001, headers={"x-death": forged})

    async def dead() -> bool:
        return await client.left_in("paymaster.dead") == 1

    await wait_for(dead)
    async with working(settings):
        await wait_for(lambda: held(database, "parked"))
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert held(database).keys() == {"order.completed:O-1"}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_the_last_death_is_told(settings: Settings, client: Client, database: Books) -> None:
    """Of one that died before in its sender's own delay queue, and of one whose sender wrote deaths of its own."""
    await client.declare()
    delay = await client.channel.declare_queue(
        "shop.delay",
        durable=True,
        arguments={"x-dead-letter-exchange": "paymaster.in", "x-dead-letter-routing-key": "order.completed"},
    )
    body = json.dumps(order("O-1", "BA-1")[1]).encode()
    forged = {
        "x-death": [{"queue": "bank", "reason": "rejected", "count": 7, "exchange": "", "routing-keys": ["x"]}],
        "x-first-death-reason": "rejected",
        "x-first-death-queue": "bank",
        "x-last-death-reason": "rejected",
        "x-last-death-queue": "bank",
    }
    dying = aio_pika.Message(body, expiration=0.001, user_id=client.user_id)
    await client.channel.default_exchange.publish(dying, delay.name)
    await client.send(order("O-2", "BA-1"), headers=forged)
    await client.send(order("O-3", "BA-1"), headers={"x-death": "nonsense", "x-first-death-reason": 7})
    work = await client.channel.get_queue("paymaster.work")

    async def refuse(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.reject(requeue=False)

    consumer = await work.consume(refuse)

    async def dead() -> bool:
        return await client.left_in("paymaster.dead") == 3

    await wait_for(dead)
    await work.cancel(consumer)
    async with working(settings):
        await wait_for(lambda: len(held(database, "parked")) == 3)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert {row["detail"] for row in held(database).values()} == {
        "the broker gave up on it: rejected in queue paymaster.work"
    }
    await assert_clean(client, database)


def test_the_broker_s_own_entry_is_read() -> None:
    """The first that tells of our queue; else the first; without any, that it did not die at all."""
    ours = {"queue": "paymaster.work", "reason": "delivery_limit"}
    earlier = {"queue": "shop.delay", "reason": "expired"}
    for deaths, told in (
        ([ours, earlier], "delivery_limit in queue paymaster.work"),
        ([earlier, ours, {**ours, "reason": "expired"}], "delivery_limit in queue paymaster.work"),
        ([earlier], "expired in queue shop.delay"),
        ([{}, "x"], "unknown in queue unknown"),
        (["x"], "without having died"),
        ("x", "without having died"),
        (None, "without having died"),
    ):
        refusal = dead_letter_refusal(Properties(headers={"x-death": deaths, "x-first-death-reason": "forged"}))
        assert (refusal.code, told in refusal.detail) == ("dead-letter", True), (deaths, refusal.detail)
