"""Where replies and answers go: to clients' own queues and to those that the settings name, and nowhere else."""

from __future__ import annotations

import asyncio
import json

import aio_pika
import pytest
from structlog.testing import capture_logs

from adapters.rabbitmq.topology import may_reply
from adapters.settings import Settings, SettingsError, load_settings
from handlers.engine.replies import NOT_REPLIED
from tests.integration.test_queries import business
from tests.support.books import Books, assert_clean
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.waiting import wait_for
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])
OTHERS = ("bank.payments.in", "amq", "amq.topic", "shop", "paymaster.work", "", "xamq.gen-1")


@ONE_DRIVER
async def test_the_worker_lends_nobody_its_rights(settings: Settings, client: Client, database: Books) -> None:
    """A message that wants its reply in another system's queue is applied, gets none, and the log says so."""
    others = [name for name in OTHERS if name and not name.startswith(("paymaster.", "amq"))]
    for name in others:
        await client.channel.declare_queue(name, durable=True)
    with capture_logs() as logs:
        async with working(settings):
            await client.ask(customer("BA-1"))
            for n, name in enumerate(others):
                await client.send(order(f"O-{n}", "BA-1"), reply_to=name)
                question = aio_pika.Message(
                    json.dumps({"id": "BA-1"}).encode(), type="account.get", reply_to=name, message_id=f"q-{n}"
                )
                await client.channel.default_exchange.publish(question, "paymaster.queries")
            await wait_for(lambda: database["invoices"].count_documents({}) == len(others))
            refused = [one for one in logs if one["event"] == NOT_REPLIED]
            await wait_for(lambda: len([one for one in logs if one["event"] == NOT_REPLIED]) == 2 * len(others))
            # What is a client's own is answered: what the broker named, and direct reply-to.
            assert (await client.ask(order("O-9", "BA-1")))["outcome"] == "applied"
    refused = [one for one in logs if one["event"] == NOT_REPLIED]
    assert {one["reply_to"] for one in refused} == set(others)
    assert [await client.left_in(name) for name in others] == [0] * len(others)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_queues_that_the_settings_name_are_replied_to(
    settings: Settings, client: Client, database: Books
) -> None:
    """By their prefix; for messages and for queries."""
    for name in ("shop.replies", "crm.answers"):
        await client.channel.declare_queue(name, durable=True)
    async with business(settings, client, reply_prefixes="shop., crm.") as (ask, _, _):
        await client.send(customer("BA-1"), reply_to="shop.replies")
        await wait_for(lambda: _left(client, "shop.replies"))
        await ask.send("account.get", {"id": "BA-1"}, reply_to="crm.answers")
        await wait_for(lambda: _left(client, "crm.answers"))
    await assert_clean(client, database)


async def _left(client: Client, queue: str) -> bool:
    return await client.left_in(queue) == 1


@ONE_DRIVER
async def test_direct_reply_to(settings: Settings, client: Client, database: Books, rabbitmq_url: str) -> None:
    """The broker's pseudo-queue is a client's own, and so is the queue of a robust connection."""
    async with working(settings), await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        direct = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await answers.put(message.body)

        await direct.consume(take, no_ack=True)
        into = await channel.get_exchange("paymaster.in", ensure=False)
        body = json.dumps(customer("BA-1")[1]).encode()
        asking = aio_pika.Message(body, reply_to="amq.rabbitmq.reply-to", user_id=client.user_id)
        await into.publish(asking, "account.create")
        assert json.loads(await asyncio.wait_for(answers.get(), 30))["outcome"] == "applied"
    async with working(settings), await aio_pika.connect_robust(rabbitmq_url) as robust:
        channel = await robust.channel()
        own = await channel.declare_queue(exclusive=True)
        assert own.name.startswith("amq_")
        await own.consume(take, no_ack=True)
        into = await channel.get_exchange("paymaster.in", ensure=False)
        asking = aio_pika.Message(body, reply_to=own.name, user_id=client.user_id)
        await into.publish(asking, "account.create")
        assert json.loads(await asyncio.wait_for(answers.get(), 30))["outcome"] == "duplicate"
    await assert_clean(client, database)


def test_what_a_reply_may_go_to() -> None:
    """Names by their beginnings; never a queue of ours, whatever the settings name."""
    for name in ("amq.gen-x", "amq_0123", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.g1h2.x=="):
        assert may_reply(name, ())
    for name in OTHERS:
        assert not may_reply(name, ())
    assert may_reply("shop", ("shop",))
    assert not may_reply("paymaster.work", ("pay", "paymaster."))


@pytest.mark.parametrize(
    ("value", "said"),
    [("shop.,,crm.", "an empty prefix"), (",", "an empty prefix"), ("paymaster.in", "a queue of ours")],
)
def test_a_prefix_that_would_allow_too_much_stops_the_start(
    value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the variable."""
    for name, url in (("RABBITMQ", "amqp://x"), ("MONGODB", "mongodb://x")):
        monkeypatch.setenv(f"PAYMASTER_{name}_URL", url)
    monkeypatch.setenv("PAYMASTER_REPLY_PREFIXES", value)
    with pytest.raises(SettingsError, match=f"PAYMASTER_REPLY_PREFIXES: .*{said}"):
        load_settings()
    monkeypatch.setenv("PAYMASTER_REPLY_PREFIXES", " ")
    assert load_settings().reply_queues == ()
