"""Whatever is wrong with a held message can be mended: its envelope, a part of an array, what waits, many at once."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from yarl import URL

from adapters.settings import Settings
from tests.integration.test_queries import business, say
from tests.operations.test_parked import ONE_DRIVER, act, parked, settled
from tests.support.books import Books, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import customer, order, payment, update
from tests.support.waiting import wait_for


async def edit(client: Client, id_: str, **changes: Any) -> dict[str, Any]:
    """An edit by message; returns the answer."""
    return await client.ask(("parked.edit", {"id": id_, "why": "as they meant it", **changes}))


def gone(database: Books, id_: str) -> bool:
    """Whether a message is held no more."""
    return database["held"].find_one({"parkedId": id_}) is None


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


async def test_an_envelope_is_mended(settings: Settings, client: Client, database: Books) -> None:
    """Encoding, version, type, message id: each alone is put right, applied, and what came in is kept."""
    renamed = update("BA-1", {"name": "Anew"})
    kinds: dict[str, tuple[tuple[str, Any], dict[str, Any], dict[str, Any], str]] = {
        "encoding": (order("O-1", "BA-1"), {"content_encoding": "x-zip"}, {"encoding": "utf-8"}, "malformed"),
        "version": (
            order("O-2", "BA-1"),
            {"headers": {"schema-version": 2, "a": "b"}},
            {"headers": {"schema-version": None}},
            "invalid",
        ),
        "version as a text": (
            order("O-3", "BA-1"),
            {"headers": {"schema-version": 2}},
            {"headers": {"schema-version": "1"}},
            "invalid",
        ),
        "type": (("order.complete", order("O-4", "BA-1")[1]), {}, {"type": "order.completed"}, "unknown-type"),
        "message id": (renamed, {"message_id": "not an id"}, {"messageId": "m-right"}, "invalid"),
        "all of it": (
            ("order.complete", b"{"),
            {"content_encoding": "x-zip", "headers": {"schema-version": 9}},
            {
                "type": "order.completed",
                "headers": {"schema-version": 1},
                "messageId": "m-9",
                "body": json.dumps(order("O-5", "BA-1")[1]),
            },
            "unknown-type",
        ),
    }
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        for name, (message, properties, changes, code) in kinds.items():
            answer = await client.ask(message, **properties)
            assert answer["error"]["code"] == code, name
            [item] = (await ask("parked.list"))["items"]
            told = await edit(client, item["parkedId"], **changes)
            assert told["outcome"] == "applied", (name, told)
            [done] = told["result"]["messages"]
            assert done["state"] == "mended", name
            [row] = [row for row in held(database).values() if row["parkedId"] == item["parkedId"]]
            assert (row["state"], row["editedInto"]) == ("mended", done["editedInto"])
            await wait_for(partial(gone, database, done["editedInto"]))
        assert position(database, "BA-1") == {"receivable": 5 * 1200}
        assert (await ask("account.get", id="BA-1"))["name"] == "Anew"
        # Only what was said is changed, and the record says what that was.
        acts = {one["why"]: one for one in (await ask("parked.history"))["items"]}
        assert acts["as they meant it"]["changed"] == {
            "type": "order.completed",
            "headers": {"schema-version": 1},
            "messageId": "m-9",
        }
        # What was right of the headers goes on.
        for changes in ({}, {"headers": {}}, {"type": ""}, {"messageId": "a b"}, {"headers": {"x": [1]}}):
            refused = await edit(client, item["parkedId"], **changes)
            assert refused["error"]["code"] == "invalid", changes
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_edit_that_keeps_the_identity_keeps_the_envelope_that_came(
    settings: Settings, client: Client, database: Books
) -> None:
    """It is told as `original`: body, type, message id, encoding and headers."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        wrong = order("O-1", "BA-1", currency="USD")
        await client.ask(wrong, message_id="m-1", headers={"a": "b"})
        [item] = (await ask("parked.list"))["items"]
        again = json.dumps({**wrong[1], "currency": "CHF"})
        changes = {"body": again, "messageId": "m-2", "headers": {"a": None, "c": 5}}
        assert (await edit(client, item["parkedId"], **changes))["outcome"] == "applied"
        await wait_for(lambda: held(database, "parked").get("order.completed:O-1", {}).get("attempts") == 2)
        shown = await ask("parked.get", id=item["parkedId"])
        assert (shown["messageId"], shown["properties"]["messageId"], shown["headers"]) == ("m-2", "m-2", {"c": 5})
        assert shown["original"] == {
            "body": json.dumps(wrong[1]),
            "bodyBytes": len(json.dumps(wrong[1])),
            "messageType": "order.completed",
            "messageId": "m-1",
            "contentEncoding": None,
            "headers": {"a": "b"},
        }
    await assert_clean(client, database)


async def test_an_array_goes_on_as_its_facts(settings: Settings, client: Client, database: Books) -> None:
    """Malformed as a whole, it is mended as a whole: each fact stands alone, in one transaction, or none of them."""
    one, two = order("O-1", "BA-1")[1], order("O-2", "BA-1")[1]
    waits = order("O-3", "BA-9")[1]
    malformed = b"[" + text(one) + b"," + text(two) + b",]"
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        [item] = await parked(client, ask, ("order.completed", malformed))
        # One fact that does not fit: nothing is changed.
        refused = await edit(client, item["parkedId"], body=json.dumps([one, {**two, "currency": 5}]))
        assert "fact 2 of 2" in refused["error"]["detail"]
        twice = await edit(client, item["parkedId"], body=json.dumps([one, {**one, "items": two["items"] * 2}]))
        assert twice["error"]["code"] == "invalid"
        assert [row["_id"] for row in held(database, "parked").values() if row["routingKey"] == "order.completed"] == [
            item["identity"]
        ]
        told = await edit(
            client, item["parkedId"], body=json.dumps([one, two, waits]), messageId="m-1", encoding="utf-8"
        )
        [done] = told["result"]["messages"]
        assert done["state"] == "mended"
        assert len(done["editedIntoAll"]) == 3
        assert done["editedInto"] == done["editedIntoAll"][0]
        await wait_for(lambda: position(database, "BA-1") == {"receivable": 2400})
        await wait_for(lambda: settled(database, "order.completed:O-1") and settled(database, "order.completed:O-2"))
        assert {row["messageId"] for row in database["inbox"].find({"_id": {"$regex": "O-"}})} == {"m-1:1", "m-1:2"}
        shown = await ask("parked.get", id=done["editedIntoAll"][2])
        assert (shown["messageId"], shown["editedFrom"], shown["state"]) == ("m-1:3", item["parkedId"], "waiting")
        assert shown["original"]["body"] == malformed.decode()
        # A part is a text of its own, whatever the whole was packed in.
        assert "contentEncoding" not in shown["properties"]
        assert (await ask("parked.get", id=item["parkedId"]))["editedIntoAll"] == done["editedIntoAll"]
        # The same bytes again have no effect; and what is there already is not made twice.
        assert (await client.ask(("order.completed", malformed)))["outcome"] == "parked"
        await client.ask(("order.completed", malformed + b" "))
        [again] = [one for one in (await ask("parked.list"))["items"] if one["messageType"] == "order.completed"]
        four = order("O-4", "BA-1")[1]
        other = await edit(client, again["parkedId"], body=json.dumps([{**one, "currency": "USD"}, four]))
        assert other["error"]["code"] == "conflicting-duplicate"
        assert (await edit(client, again["parkedId"], body=json.dumps([one, two])))["outcome"] == "parked"
        [done] = (await edit(client, again["parkedId"], body=json.dumps([one, four])))["result"]["messages"]
        assert "editedIntoAll" not in done
        await wait_for(lambda: position(database, "BA-1") == {"receivable": 3600})
        # One that can be read may become several as well: what has its identity goes on in its own row.
        await parked(client, ask, order("O-5", "BA-1", currency="USD"))
        [five] = (await ask("parked.list", reason="currency-mismatch"))["items"]
        both = [order("O-5", "BA-1")[1], order("O-6", "BA-1")[1]]
        [done] = (await edit(client, five["parkedId"], body=json.dumps(both)))["result"]["messages"]
        assert done["state"] == "waiting"
        await wait_for(lambda: position(database, "BA-1") == {"receivable": 6000})
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_waits_is_edited(settings: Settings, client: Client, database: Books) -> None:
    """In its place; who asked is told what came of the right one. While it is being tried it is left alone."""
    # No sweep but the first: the next would find the claim that has run out, and take the message up itself.
    async with business(settings, client, held_interval_seconds=600) as (ask, clock, _):
        await say(client, customer("BA-1"))
        asked = await client.send_asking(order("O-1", "BA-9"))
        await wait_for(lambda: held(database, "waiting"))
        [item] = (await ask("parked.list", state="waiting"))["items"]
        right = json.dumps(order("O-1", "BA-1")[1])
        database["held"].update_one({}, {"$set": {"claimedUntil": clock.now.replace(year=2030)}})
        refused = await edit(client, item["parkedId"], body=right)
        assert "is being tried" in refused["error"]["detail"]
        # What a dead worker had taken up can be edited; were it only slow, it would find another attempt.
        database["held"].update_one({"state": "waiting"}, {"$set": {"claimedUntil": clock.now.replace(year=2020)}})
        before = held(database)["order.completed:O-1"]["attempts"]
        assert (await edit(client, item["parkedId"], body=right))["outcome"] == "applied"
    async with business(settings, client) as (ask, _, _):
        assert (await client.answer(asked))["outcome"] == "applied"
        row = database["inbox"].find_one({"_id": "order.completed:O-1"})
        assert row is not None
        assert row["attempts"] > before + 1
        assert position(database, "BA-1") == {"receivable": 1200}
        # Discarded is done with.
        await client.send(payment("P-1", "BA-8", "1.00"))
        await wait_for(lambda: held(database, "waiting"))
        [item] = (await ask("parked.list", state="waiting"))["items"]
        await act(client, "discard", [item["parkedId"]])
        refused = await edit(client, item["parkedId"], body="{}")
        assert "undo that first" in refused["error"]["detail"]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_an_operator_does_is_not_edited(settings: Settings, client: Client, database: Books) -> None:
    """Edited, it would be done in the name of who sent it first."""
    async with business(settings, client) as (ask, _, _):
        await client.ask(("parked.discard", {"ids": ["P-nothing"], "why": "x"}))
        [item] = (await ask("parked.list"))["items"]
        body = json.dumps({"ids": [item["parkedId"]], "why": "x"})
        for changes in ({"body": body}, {"body": body, "type": "parked.note"}):
            refused = await edit(client, item["parkedId"], **changes)
            assert "is not edited" in refused["error"]["detail"]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_who_did_it_is_what_the_broker_vouches_for(settings: Settings, client: Client, database: Books) -> None:
    """A name that a sender gives itself is told as claimed, in the history and with the message."""
    user = URL(settings.rabbitmq_url).user
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        [item] = await parked(client, ask, order("O-1", "BA-1", currency="USD"))
        body = {"ids": [item["parkedId"]], "why": "as agreed"}
        await client.ask(("parked.discard", body), app_id="alice")
        gone = (await ask("parked.get", id=item["parkedId"]))["discarded"]
        assert (gone["by"], gone["claimed"], gone["via"]) == ("unknown", "alice", "message")
        await client.ask(("parked.undo", body), app_id="alice", user_id=user)
        await client.ask(("parked.note", body))
        history = (await ask("parked.history"))["items"]
        assert [(one["act"], one["by"], one["claimed"]) for one in history] == [
            ("discard", "unknown", "alice"),
            ("undo", user, "alice"),
            ("note", "unknown", None),
        ]
    await assert_clean(client, database)
