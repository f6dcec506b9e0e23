"""Names that are not one's own, doors that are not one's own, and queues of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from adapters.settings import Settings
from tests.support.books import Books
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.senders import Users, mouth
from tests.support.waiting import wait_for
from tests.support.workers import working

ADMIN = {"send": ["#"], "ask": ["#"]}


@pytest.fixture
def driver() -> str:
    """Any one will do."""
    return "pymongo"


async def test_the_broker_lets_nobody_say_another_s_name(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """Who says it is thrown out; who says none, or speaks for others without being a gateway, is refused by us."""
    file = users.file(tmp_path / "access.toml", {"admin": ADMIN, "eve": {"send": ["order.completed"]}})
    async with working(settings, access=file), users.speaking("admin") as admin, users.speaking("eve") as eve:
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        for name in (None, "", eve.user.upper(), "guest\x00"):
            try:
                answer = await eve.send(order("O-1", "BA-1"), user_id=name)
            except ChannelPreconditionFailed:
                eve.channel = await mouth(eve.connection)
                continue
            assert answer["error"]["code"] == "forbidden", name
        for acting in (admin.user, eve.user, "", "admin", ["admin"], {"x": 1}, 1, True):
            answer = await eve.send(order("O-1", "BA-1"), headers={"acting-user": acting})
            assert answer["error"]["code"] == "forbidden", acting
        assert database["invoices"].count_documents({}) == 0
        with pytest.raises(ChannelPreconditionFailed, match="user_id"):
            await eve.send(order("O-1", "BA-1"), user_id=admin.user)
        assert database["invoices"].count_documents({}) == 0
        assert (await admin.send(order("O-1", "BA-1")))["outcome"] == "applied"


def _attempts() -> dict[str, Callable[[AbstractChannel], Awaitable[Any]]]:
    async def publish(channel: AbstractChannel, exchange: str, routing_key: str) -> None:
        where = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await where.publish(aio_pika.Message(b"{}"), routing_key, timeout=10)

    async def bind(channel: AbstractChannel, exchange: str) -> None:
        own = await channel.declare_queue(exclusive=True)
        await own.bind(exchange, "#")

    async def read(channel: AbstractChannel, queue: str) -> None:
        found = await channel.get_queue(queue, ensure=False)
        await found.get(no_ack=True, timeout=10)

    return {
        "write to the work queue past the exchange": lambda channel: publish(channel, "", "paymaster.work"),
        "write among the dead letters": lambda channel: publish(channel, "paymaster.dead", "order.completed"),
        "write an event": lambda channel: publish(channel, "paymaster.out", "invoice.issued"),
        "ask past the exchange": lambda channel: publish(channel, "", "paymaster.queries"),
        "read everybody's events": lambda channel: bind(channel, "paymaster.out"),
        "read everybody's messages": lambda channel: bind(channel, "paymaster.in"),
        "read everybody's queries": lambda channel: bind(channel, "paymaster.ask"),
        "take what is for the worker": lambda channel: read(channel, "paymaster.work"),
        "take what was asked": lambda channel: read(channel, "paymaster.queries"),
        "declare a queue of ours": lambda channel: channel.declare_queue("paymaster.mine"),
        "delete a queue of ours": lambda channel: channel.queue_delete("paymaster.work"),
    }


async def test_what_the_broker_keeps_who_has_only_the_least_rights_from(client: Client, users: Users) -> None:
    """With the rights of docs/access.md for a sender, on what a worker has declared."""
    await client.declare()
    done = []
    async with users.speaking("eve") as eve:
        for name, attempt in _attempts().items():
            channel = await mouth(eve.connection)  # which the broker closes
            with suppress(ChannelAccessRefused):
                await attempt(channel)
                done.append(name)
    assert done == []


async def test_replies_go_to_no_queue_of_others(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """Neither what comes of a message, nor a refusal, nor an answer."""
    for name in ("bank.in", "shop.replies.victim"):
        await client.channel.declare_queue(name, durable=True)
    file = users.file(
        tmp_path / "access.toml", {"admin": ADMIN, "eve": {"send": ["account.create"], "ask": ["account.*"]}}
    )
    targets = ("bank.in", "shop.replies.victim", "paymaster.work", "paymaster.queries", "paymaster.dead", "")
    async with working(settings, access=file), users.speaking("eve") as eve:
        for n, target in enumerate(targets):
            await eve.publish("paymaster.in", *customer(f"BA-{n}"), reply_to=target)
            await eve.publish("paymaster.in", *order(f"O-{n}", "BA-0"), reply_to=target)
            await eve.publish("paymaster.ask", "account.get", {"id": "BA-0"}, reply_to=target)
            await eve.publish("paymaster.ask", "seller.get", {}, reply_to=target)
        await wait_for(lambda: database["held"].count_documents({"reason": "forbidden"}) == len(targets))
        assert (await eve.ask("account.get", {"id": "BA-0"}))["result"]["id"] == "BA-0"
        assert {name: await client.left_in(name) for name in targets if name} == {name: 0 for name in targets if name}
