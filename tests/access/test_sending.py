"""What becomes of messages by who sends them: real users of the broker, with the rights that they are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from tests.support.books import Books, assert_clean
from tests.support.client import Client
from tests.support.messages import command, customer, order, partner, payment
from tests.support.senders import Users
from tests.support.waiting import wait_for
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["pymongo"])
ADMIN = {"send": ["#"], "ask": ["#"]}


def forbidden(answer: Any) -> str:
    """Why a message was refused, which must be for want of rights."""
    assert answer["outcome"] == "parked", answer
    assert answer["error"]["code"] == "forbidden", answer
    return str(answer["error"]["detail"])


@ONE_DRIVER
async def test_who_may_not_is_parked_and_takes_nobody_s_identity(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """At once, whole, with what would be right; who may say the same says it after all, and has the effect."""
    file = users.file(
        tmp_path / "access.toml", {"admin": ADMIN, "shop": {"send": ["order.#"]}, "bank": {"send": ["payment.*"]}}
    )
    async with (
        working(settings, access=file) as worker,
        users.speaking("admin") as admin,
        users.speaking("shop") as shop,
        users.speaking("bank") as bank,
    ):
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        detail = forbidden(await bank.send(order("O-1", "BA-1")))
        assert detail == f"user_id: {bank.user} may not send order.completed: it may send payment.*"
        assert forbidden(await shop.send(order("O-1", "BA-1"), user_id=None)) == (
            "user_id: is needed: the user that the sender is connected as"
        )
        # An array is one message of who may not send it, and what nobody can read is not looked at.
        forbidden(await bank.send(("order.completed", [order("O-2", "BA-1")[1], order("O-3", "BA-1")[1]])))
        forbidden(await bank.send(("nonsense", b"\xff")))
        # Of one who may not say it the same again is the same; of another it is another's.
        forbidden(await bank.send(order("O-1", "BA-1")))
        assert database["invoices"].count_documents({}) == 0
        assert (await shop.send(order("O-1", "BA-1")))["outcome"] == "applied"
        assert (await shop.send(order("O-1", "BA-1")))["outcome"] == "duplicate"
        assert (await bank.send(payment("P-1", "BA-1", 12)))["outcome"] == "applied"
        said = sorted((row["routingKey"], row["properties"]["userId"] or "") for row in database["held"].find())
        assert said == [
            ("nonsense", bank.user),
            ("order.completed", ""),
            ("order.completed", bank.user),
            ("order.completed", bank.user),
        ]
        assert database["held"].count_documents({"state": "parked", "reason": "forbidden"}) == 4
        one = database["held"].find_one({"properties.userId": None})
        assert one is not None
        assert (one["businessKey"], one["account"]) == ("O-1", "BA-1")
        assert database["held"].count_documents({"seenAgain": 1}) == 1
        await wait_for(lambda: database["outbox"].count_documents({"unsent": True}) == 0)
        assert worker.failure is None
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_gateway_speaks_for_others(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """By their rights; both are recorded with the effect, and told where senders are told."""
    file = users.file(
        tmp_path / "access.toml",
        {
            "admin": ADMIN,
            "api": {"gateway": True},
            "alice": {"send": ["account.*", "parked.*"], "ask": ["account.*", "parked.*"]},
            "bob": {"send": ["order.*"]},
        },
    )
    alice, bob = users.name("alice"), users.name("bob")
    async with working(settings, access=file), users.speaking("api") as api, users.speaking("bob") as himself:
        assert (await api.send(customer("BA-1"), headers={"acting-user": alice}))["outcome"] == "applied"
        row = database["inbox"].find_one({"_id": "account.create:BA-1"})
        assert row is not None
        assert (row["userId"], row["actingUser"]) == (api.user, alice)
        answer = await api.ask("account.history", {"id": "BA-1"}, headers={"acting-user": alice})
        [version] = answer["result"]["items"]
        assert (version["userId"], version["actingUser"]) == (api.user, alice)
        # Not beyond them, not for who is not listed, and for nobody but itself unless it is a gateway.
        detail = forbidden(await api.send(command("suspend", "BA-1"), headers={"acting-user": bob}))
        assert detail == f"header acting-user: {bob} may not send account.suspend: it may send order.*"
        assert forbidden(await api.send(command("suspend", "BA-1"))).endswith("it may send nothing")
        forbidden(await api.send(command("suspend", "BA-1"), headers={"acting-user": "eve"}))
        assert forbidden(await himself.send(command("suspend", "BA-1"), headers={"acting-user": alice})) == (
            f"header acting-user: {bob} is no gateway, and speaks only for itself"
        )
        assert database["accounts"].count_documents({"state": "active"}) == 1
        # An operator's act is alice's, by way of the gateway.
        groups = await api.ask("parked.list", headers={"acting-user": alice})
        ids = [one["parkedId"] for one in groups["result"]["items"]]
        assert len(ids) == 4
        done = await api.send(("parked.discard", {"ids": ids, "why": "a test"}), headers={"acting-user": alice})
        assert done["outcome"] == "applied"
        history = await api.ask("parked.history", {"id": ids[0]}, headers={"acting-user": alice})
        assert [(act["by"], act["gateway"]) for act in history["result"]["items"]] == [(alice, api.user)]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_waits_is_looked_at_again_by_the_rights_of_its_sender(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """When it is applied: rights that were taken away meanwhile are gone, and who has them says it anew."""
    rights: dict[str, dict[str, Any]] = {"admin": ADMIN, "shop": {"send": ["order.#"]}}
    file = users.file(tmp_path / "access.toml", rights)
    async with (
        working(settings, access=file) as worker,
        users.speaking("admin") as admin,
        users.speaking("shop") as shop,
    ):
        waiting = await shop.publish("paymaster.in", *order("O-1", "BA-1"))
        mine = await shop.publish("paymaster.in", *order("O-2", "BA-2"))
        await wait_for(lambda: database["held"].count_documents({"state": "waiting"}) == 2)
        assert (await admin.send(customer("BA-2")))["outcome"] == "applied"
        assert (await shop.answer(mine))["outcome"] == "applied"
        users.file(tmp_path / "access.toml", {**rights, "shop": {"send": ["payment.#"]}})
        worker.access.reload()
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        forbidden(await shop.answer(waiting))
        assert database["held"].find_one({"_id": "order.completed:O-1"}, {"_id": 0, "state": 1}) == {"state": "parked"}
        # The bad one keeps the order from nobody.
        assert (await admin.send(order("O-1", "BA-1")))["outcome"] == "applied"
        [row] = database["held"].find()
        assert (row["_id"].partition("#")[0], row["state"], row["reason"]) == (
            "order.completed:O-1",
            "parked",
            "forbidden",
        )
        assert row["_id"] != "order.completed:O-1"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_replays_and_edits_have_the_rights_of_who_sent_it(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """Not those of the operator who may do anything; with the rights it can be replayed."""
    rights: dict[str, dict[str, Any]] = {"admin": ADMIN, "shop": {"send": ["order.#"]}}
    path = tmp_path / "access.toml"
    file = users.file(path, rights)
    async with (
        working(settings, access=file) as worker,
        users.speaking("admin") as admin,
        users.speaking("shop") as shop,
    ):
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        forbidden(await shop.send(payment("P-1", "BA-1", 5)))
        assert (await shop.send(("order.completed", {"orderId": "O-1"})))["error"]["code"] == "invalid"
        held = {row["routingKey"]: row["parkedId"] for row in database["held"].find()}
        replay = ("parked.replay", {"ids": [held["payment.received"]], "why": "let it in"})
        detail = forbidden(await admin.send(replay))
        assert detail == (
            f"{held['payment.received']} would be parked again: user_id: {shop.user} may not send payment.received: "
            "it may send order.#"
        )
        edit: dict[str, Any] = {"id": held["order.completed"], "type": "payment.received", "why": "a test"}
        body = json.dumps(payment("P-2", "BA-1", 1)[1])
        forbidden(await admin.send(("parked.edit", {**edit, "body": body})))
        acting = {"id": edit["id"], "headers": {"acting-user": admin.user}, "why": "a test"}
        refused = await admin.send(("parked.edit", acting))
        assert refused["error"]["code"] == "invalid"
        assert "acting-user" in refused["error"]["detail"]
        assert database["payments"].count_documents({}) == 0
        users.file(path, {**rights, "shop": {"send": ["order.#", "payment.*"]}})
        worker.access.reload()
        again = ("parked.replay", {"ids": [held["payment.received"]], "why": "it may now"})
        assert (await admin.send(again))["outcome"] == "applied"
        await wait_for(lambda: database["payments"].count_documents({"_id": "P-1"}))
        row = database["inbox"].find_one({"_id": "payment.received:P-1"})
        assert row is not None
        assert row["userId"] == shop.user
        assert (await admin.send(("parked.edit", {**edit, "body": body})))["outcome"] == "applied"
        await wait_for(lambda: database["payments"].count_documents({"_id": "P-2"}))
    await assert_clean(client, database)


@ONE_DRIVER
async def test_only_the_same_user_replaces(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """The same validated one, and of a gateway for the same."""
    file = users.file(
        tmp_path / "access.toml",
        {
            "admin": ADMIN,
            "shop": {"send": ["order.#"]},
            "other": {"send": ["order.#"]},
            "api": {"gateway": True},
        },
    )
    async with (
        working(settings, access=file),
        users.speaking("admin") as admin,
        users.speaking("shop") as shop,
        users.speaking("other") as other,
        users.speaking("api") as api,
    ):
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        waiting = await shop.publish("paymaster.in", *order("O-1", "BA-9"), message_id="m-1")
        await wait_for(lambda: database["held"].count_documents({"state": "waiting"}) == 1)
        right, headers = order("O-1", "BA-1"), {"replaces": "m-1"}
        detail = forbidden(await other.send(right, headers=headers))
        assert detail == "header replaces: m-1 was sent by another user"
        # Delivered again it is no other one.
        forbidden(await other.send(right, headers=headers))
        forbidden(await api.send(right, headers={**headers, "acting-user": shop.user}))
        assert database["invoices"].count_documents({}) == 0
        assert (await shop.send(right, headers=headers, message_id="m-2"))["outcome"] == "applied"
        assert (await shop.answer(waiting))["outcome"] == "parked"
        # Through a gateway: of two for whom it speaks one does not replace what is the other's.
        for_shop = {"acting-user": shop.user}
        await api.publish("paymaster.in", *order("O-2", "BA-9"), message_id="m-3", headers=for_shop)
        await wait_for(lambda: database["held"].count_documents({"state": "waiting"}) == 1)
        right, headers = order("O-2", "BA-1"), {"replaces": "m-3"}
        forbidden(await api.send(right, headers={**headers, "acting-user": other.user}))
        assert (await api.send(right, headers={**headers, **for_shop}))["outcome"] == "applied"
        acts = list(database["operatorActs"].find({"act": "discard"}, sort=[("at", 1), ("_id", 1)]))
        assert [(act["by"], act.get("gateway")) for act in acts] == [(shop.user, None), (shop.user, api.user)]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_a_worker_says_to_itself_is_no_sender_s(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """What a fact leaves to do is done; who sends the like is refused."""
    file = users.file(tmp_path / "access.toml", {"admin": ADMIN})
    async with working(settings, access=file, days=True), users.speaking("admin") as admin:
        await wait_for(lambda: database["days"].count_documents({}) == 1)
        assert (await admin.send(partner("SA-1")))["outcome"] == "applied"
        assert (await admin.send(("day.begin", {"date": "2026-11-30"})))["error"]["code"] == "unknown-type"
        forbidden(await admin.send(("credit.allocate", {}), user_id=None))
    await assert_clean(client, database)


@ONE_DRIVER
async def test_dead_letters_are_looked_at_like_all_else(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """What somebody publishes among them takes nobody's identity."""
    file = users.file(tmp_path / "access.toml", {"admin": ADMIN})
    async with working(settings, access=file), users.speaking("admin", write=".*") as admin:
        await admin.publish("paymaster.dead", "order.completed", order("O-1", "BA-1")[1], user_id=None)
        await wait_for(lambda: database["held"].count_documents({"reason": "forbidden"}) == 1)
        [row] = database["held"].find()
        assert row["_id"].startswith("forbidden:")
        assert (await admin.send(customer("BA-1")))["outcome"] == "applied"
        assert (await admin.send(order("O-1", "BA-1")))["outcome"] == "applied"
    await assert_clean(client, database)
