"""What is asked by whom: the exchange of queries, its names, and the rights of who asks."""

from __future__ import annotations

import json
from pathlib import Path

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from adapters.rabbitmq.topology import ASK, IN
from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, assert_clean
from tests.support.client import Client
from tests.support.messages import customer
from tests.support.senders import DOORS, Users
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["pymongo"])
ADMIN = {"send": ["#"], "ask": ["#"]}


@ONE_DRIVER
async def test_both_ways_are_open_without_a_file(
    settings: Settings, client: Client, database: Books, users: Users
) -> None:
    """By the exchange the routing key is the name; a `type` that says another one is wrong, none is none too many."""
    async with working(settings), users.speaking("shop", write=".*") as shop:
        assert (await shop.send(customer("BA-1")))["outcome"] == "applied"
        found = await Asker(client)("account.get", id="BA-1")
        for answer in (
            await shop.ask("account.get", {"id": "BA-1"}),
            await shop.ask("account.get", {"id": "BA-1"}, type=None),
            await shop.ask_by_the_queue("account.get", {"id": "BA-1"}),
            await shop.ask("account.get", {"id": "BA-1"}, user_id=None),
        ):
            assert answer == {"result": found}
        answer = await shop.ask("account.get", {"id": "BA-1"}, type="account.balance")
        assert answer["error"] == {
            "code": "invalid",
            "detail": "type: is account.balance, the routing key account.get: both name the query",
        }
        assert (await shop.ask("nonsense", type=None))["error"]["code"] == "unknown-type"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_with_a_file_who_may_not_ask_is_told_so(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """Beyond its patterns, without a user, in another's name, and by the default exchange."""
    file = users.file(
        tmp_path / "access.toml",
        {"admin": ADMIN, "shop": {"ask": ["account.*"]}, "api": {"gateway": True}},
    )
    async with (
        working(settings, access=file),
        users.speaking("admin") as admin,
        users.speaking("shop", write=".*") as shop,
        users.speaking("api") as api,
    ):
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        shop_s = {"acting-user": shop.user}
        assert (await shop.ask("account.get", {"id": "BA-1"}))["result"]["id"] == "BA-1"
        assert (await api.ask("account.get", {"id": "BA-1"}, headers=shop_s))["result"]["id"] == "BA-1"
        refused = {
            f"user_id: {shop.user} may not ask seller.get: it may ask account.*": shop.ask("seller.get"),
            "user_id: is needed: the user that the sender is connected as": shop.ask("account.list", user_id=None),
            f"header acting-user: {shop.user} is no gateway, and speaks only for itself": shop.ask(
                "account.list", headers={"acting-user": admin.user}
            ),
            f"user_id: {api.user} may not ask account.list: it may ask nothing": api.ask("account.list"),
            f"header acting-user: {shop.user} may not ask seller.get: it may ask account.*": api.ask(
                "seller.get", headers=shop_s
            ),
            "ask by the exchange paymaster.ask, with the query's name as the routing key": shop.ask_by_the_queue(
                "account.get", {"id": "BA-1"}
            ),
        }
        for detail, asked in refused.items():
            assert await asked == {"error": {"code": "forbidden", "detail": detail}}
        # The name by which it is judged is the one that is asked.
        answer = await shop.ask("account.get", {"id": "BA-1"}, type="seller.get")
        assert answer["error"]["code"] == "invalid"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_the_broker_s_own_topic_permissions_reach_queries_too(
    settings: Settings, client: Client, database: Books, users: Users
) -> None:
    """Which was not so by the queue's name."""
    async with working(settings), users.speaking("shop", write=DOORS) as shop:
        users.limit_topics("shop", ASK, r"^account\.get$")
        users.limit_topics("shop", IN, r"^account\.create$")
        assert (await shop.send(customer("BA-1")))["outcome"] == "applied"
        assert (await shop.ask("account.get", {"id": "BA-1"}))["result"]["id"] == "BA-1"
        where = await shop.channel.get_exchange(ASK, ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await where.publish(aio_pika.Message(json.dumps({}).encode(), type="seller.get"), "seller.get", timeout=10)
    await assert_clean(client, database)
