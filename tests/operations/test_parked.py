"""Operators' acts on held messages, by message: replay, edit, discard, undo, note; and what is told of it all."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from adapters.operations.parked import OperatorActions
from adapters.settings import Settings
from domain import facts
from domain.ordering.completing import Order
from tests.integration.test_queries import Asker, business, say
from tests.support.books import Books, applied, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import Message, customer, order, payment
from tests.support.waiting import wait_for

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])
NEVER = 3_600
"""An interval that no test lives to see the end of."""


async def act(client: Client, name: str, ids: list[str], why: str = "as agreed") -> dict[str, Any]:
    """An act on messages by their parked ids; returns what the operator is told."""
    return await client.ask((f"parked.{name}", {"ids": ids, "why": why}), app_id="console")


async def edit(client: Client, parked_id: str, body: Any, why: str = "a typing error") -> dict[str, Any]:
    """An edit of one message."""
    text = body if isinstance(body, str) else json.dumps(body)
    return await client.ask(("parked.edit", {"id": parked_id, "body": text, "why": why}), app_id="console")


async def parked(client: Client, ask: Asker, *messages: Message | tuple[str, Any]) -> list[dict[str, Any]]:
    """Messages that are parked, as a list tells of them."""
    for message in messages:
        answer = await client.ask(message)
        assert answer["outcome"] == "parked", answer
    items: list[dict[str, Any]] = (await ask("parked.list"))["items"]
    assert len(items) >= len(messages)
    return items


def tried(database: Books, attempts: int) -> int:
    """How many messages were tried so often, and are not being tried now."""
    return database["held"].count_documents({"attempts": attempts, "claimedUntil": None})


def settled(database: Books, identity: str) -> bool:
    """Whether a message that was replayed has its outcome."""
    row = database["held"].find_one({"_id": identity})
    return row is None or (row["dueAt"] is None and row["state"] != "suspect" and row["claimedUntil"] is None)


async def test_a_message_is_looked_at_edited_and_applied(settings: Settings, client: Client, database: Books) -> None:
    """What came in is kept beside what it was changed to; who changed it, when and why is known."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        wrong = order("O-1", "BA-1", currency="USD")
        [item] = await parked(client, ask, wrong)
        assert (item["reason"], item["messageType"], item["account"]) == (
            "currency-mismatch",
            "order.completed",
            "BA-1",
        )
        assert (item["attempts"], item["state"], item["identity"]) == (1, "parked", "order.completed:O-1")
        assert item["worker"]
        id_ = item["parkedId"]
        [group] = (await ask("parked.groups"))["items"]
        assert (group["group"], group["count"], group["sample"]["parkedId"]) == (item["group"], 1, id_)
        assert await ask("parked.accounts") == {
            "items": [
                {
                    "account": "BA-1",
                    "held": [
                        {
                            "messageType": "order.completed",
                            "state": "parked",
                            "count": 1,
                            "heldAt": item["heldAt"],
                            "keepsFromHappening": (
                                "not billed: there is no invoice, and its partners have earned nothing by it"
                            ),
                        }
                    ],
                }
            ],
            "after": None,
        }

        # As it is, it is parked again, and that is told; the event of the second time is another one.
        assert await act(client, "replay", [id_]) == {
            "outcome": "applied",
            "result": {"messages": [{"id": id_, "state": "waiting"}]},
        }
        await wait_for(lambda: held(database)["order.completed:O-1"]["attempts"] == 2)
        await wait_for(lambda: len(client.seen("message.parked")) == 2)
        assert [event.message_id for event in client.seen("message.parked")] == [f"{id_}:1", f"{id_}:2"]

        # What does not fit is refused, and changes nothing.
        right = order("O-1", "BA-1")[1]
        refused = await edit(client, id_, {**right, "currency": 5})
        assert refused["outcome"] == "parked"
        assert refused["error"]["code"] == "invalid"
        assert "currency" in refused["error"]["detail"]
        assert held(database)["order.completed:O-1"]["state"] == "parked"

        assert (await edit(client, id_, right))["outcome"] == "applied"
        await applied(database, 4)  # the account, a replay, an edit, and the order
        assert position(database, "BA-1") == {"receivable": 1200}
        assert await ask.error("parked.get", {"id": id_}) == ("unknown-message", f"id: no message {id_}")
        history = (await ask("parked.history", id=id_))["items"]
        # No user that the broker vouches for: what the sender says of itself is told as that.
        assert [(one["act"], one["by"], one["claimed"], one["via"], one["why"]) for one in history] == [
            ("replay", "unknown", "console", "message", "as agreed"),
            ("edit", "unknown", "console", "message", "a typing error"),
        ]
        assert json.loads(history[1]["body"]) == right
        # The act that was refused is itself a message that is parked.
        [left] = (await ask("parked.list"))["items"]
        assert left["messageType"] == "parked.edit"
    await assert_clean(client, database)


async def test_what_can_t_be_read_goes_on_under_its_own_identity(
    settings: Settings, client: Client, database: Books
) -> None:
    """What came in stays, mended, and the two are linked; it is never applied twice."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"), order("O-2", "BA-1"))
        body = json.dumps(order("O-1", "BA-1")[1])
        [item] = await parked(client, ask, ("order.completed", body[:-1].encode()))
        id_ = item["parkedId"]
        assert (item["reason"], item["identity"].split(":")[0]) == ("malformed", "unreadable")
        assert (await ask("parked.get", id=id_))["body"] == body[:-1]

        again = await act(client, "replay", [id_])
        assert again["error"]["code"] == "malformed"
        # To what is applied already it can't be changed.
        other = await edit(client, id_, order("O-2", "BA-1", currency="USD")[1])
        assert other["error"]["code"] == "conflicting-duplicate"

        told = await edit(client, id_, body)
        [to] = [one["editedInto"] for one in told["result"]["messages"]]
        await wait_for(lambda: settled(database, "order.completed:O-1"))
        assert position(database, "BA-1") == {"receivable": 2400}
        row = held(database)[item["identity"]]
        assert (row["state"], row["editedInto"]) == ("mended", to)
        assert (await ask("parked.list", state="mended"))["items"][0]["parkedId"] == id_
        assert (await ask("parked.list", state="discarded"))["items"] == []
        assert (await act(client, "undo", [id_]))["error"]["code"] == "invalid"
        # The same again has no effect: neither as it came in nor as it was meant.
        assert (await client.ask(("order.completed", body[:-1].encode())))["outcome"] == "parked"
        assert (await client.ask(order("O-1", "BA-1")))["outcome"] == "duplicate"
        # Other content for it can't be replayed, but it can be given another identity.
        await parked(client, ask, order("O-1", "BA-1", currency="USD"))
        [conflict] = (await ask("parked.list", reason="conflicting-duplicate", type="order.completed"))["items"]
        assert (await act(client, "replay", [conflict["parkedId"]]))["error"]["code"] == "invalid"
        assert (await edit(client, conflict["parkedId"], order("O-3", "BA-1")[1]))["outcome"] == "applied"
        await wait_for(lambda: settled(database, "order.completed:O-3"))
        assert position(database, "BA-1") == {"receivable": 3600}
    await assert_clean(client, database)


async def test_discarding_is_undone(settings: Settings, client: Client, database: Books) -> None:
    """A discarded message is done with, whoever sends it again; undone, it is parked, and can be replayed."""
    async with business(settings, client) as (ask, clock, _):
        await client.send_asking(order("O-1", "BA-9"))
        await wait_for(lambda: held(database, "waiting"))
        [item] = (await ask("parked.list", state="waiting"))["items"]
        id_ = item["parkedId"]
        assert item["waitsFor"] == "account:BA-9"
        assert (await act(client, "replay", [id_]))["error"]["code"] == "invalid"
        assert (await act(client, "discard", [id_, "P-nothing"]))["result"]["messages"] == [
            {"id": id_, "state": "discarded"},
            {
                "id": "P-nothing",
                "refused": {
                    "code": "unknown-message",
                    "detail": "no message is held as P-nothing: it is applied, or was never held",
                },
            },
        ]
        await say(client, customer("BA-9"))
        assert (await client.ask(order("O-1", "BA-9")))["outcome"] == "parked"
        assert position(database, "BA-9") == {}
        shown = await ask("parked.get", id=id_)
        assert shown["state"] == "discarded"
        assert shown["discarded"] == {
            "by": "unknown",
            "claimed": "console",
            "via": "message",
            "at": shown["discarded"]["at"],
            "why": "as agreed",
        }
        await act(client, "note", [id_], "the customer called")
        await act(client, "undo", [id_])
        assert (await ask("parked.get", id=id_))["state"] == "parked"
        clock.forward(days=3)
        await act(client, "replay", [id_])
        await wait_for(lambda: settled(database, "order.completed:O-1"))
        assert position(database, "BA-9") == {"receivable": 1200}
        history = await ask.all("parked.history", 2)
        assert [(one["act"], one["stateBefore"], one["stateAfter"]) for one in history] == [
            ("discard", "waiting", "discarded"),
            ("note", "discarded", "discarded"),
            ("undo", "discarded", "parked"),
            ("replay", "parked", "waiting"),
        ]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_replay_gives_a_message_its_waiting_time_anew(
    settings: Settings, client: Client, database: Books
) -> None:
    """It was parked for having waited too long; what it waits for appears, and it is applied."""
    async with business(settings, client) as (ask, clock, _):
        await client.send(payment("P-1", "BA-1", "12.00"))
        await wait_for(lambda: held(database, "waiting"))
        clock.forward(days=2)
        await wait_for(lambda: held(database, "parked"))
        [item] = (await ask("parked.list", reason="unknown-account"))["items"]
        await act(client, "replay", [item["parkedId"]])
        await wait_for(lambda: held(database, "waiting") and held(database)["payment.received:P-1"]["attempts"] == 3)
        await say(client, customer("BA-1"))
        await wait_for(lambda: settled(database, "payment.received:P-1"))
        assert position(database, "BA-1") == {"unapplied": 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_groups_and_lists(settings: Settings, client: Client, database: Books) -> None:
    """Groups are made of what failed where; lists have filters, and pages that hold each message once."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        good = order("O-1", "BA-1")[1]
        await parked(
            client,
            ask,
            *[("order.completed", {**good, "orderId": f"O-{n}", "currency": "eu"}) for n in range(5)],
            *[
                ("order.completed", {**good, "orderId": f"N-{n}", "items": [{**good["items"][0], "quantity": "x"}] * n})
                for n in range(1, 4)
            ],
            *[payment(f"P-{n}", "BA-1", "1.00", amount={"unit": "USD", "value": 1}) for n in range(2)],
            ("order.cancelled", {}),
        )
        groups = (await ask("parked.groups"))["items"]
        assert [(one["reason"], one["place"], one["messageType"], one["count"]) for one in groups] == [
            ("invalid", "currency", "order.completed", 5),
            ("invalid", "items.*.quantity", "order.completed", 3),
            ("currency-mismatch", "", "payment.received", 2),
            ("unknown-type", "", "order.cancelled", 1),
        ]
        everything = await ask.all("parked.list", 3)
        assert len({one["parkedId"] for one in everything}) == 11
        assert [one["heldAt"] for one in everything] == sorted(one["heldAt"] for one in everything)
        for filters, count in (
            ({"group": groups[1]["group"]}, 3),
            ({"reason": "invalid"}, 8),
            ({"type": "payment.received"}, 2),
            ({"account": "BA-1"}, 10),
            ({"account": "BA-1", "type": "order.completed"}, 8),
            ({"state": "waiting"}, 0),
            ({"since": "2026-11-23"}, 0),
            ({"until": "2026-11-22"}, 11),
        ):
            assert len(await ask.all("parked.list", 4, **filters)) == count, filters
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_defect_that_was_mended(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parked with its traceback, grouped by where it happened; replayed after the fix it is applied, once."""

    def broken(*_given: Any) -> Any:
        raise ZeroDivisionError("a secret")

    async with business(settings, client) as (ask, clock, _):
        await say(client, customer("BA-1"))
        with monkeypatch.context() as patch:
            patch.setitem(facts.HANDLERS, Order, replace(facts.HANDLERS[Order], apply=broken))
            await client.send(order("O-1", "BA-1"))
            for attempts in range(1, 5):
                await wait_for(partial(tried, database, attempts))
                clock.forward(hours=1)
            await wait_for(lambda: held(database, "parked"))
        [item] = (await ask("parked.list"))["items"]
        assert (item["reason"], item["exception"], item["attempts"]) == ("internal", "ZeroDivisionError", 5)
        assert item["place"] == "ZeroDivisionError in domain/facts.py: apply"
        assert "Traceback" in (await ask("parked.get", id=item["parkedId"]))["traceback"]
        # Two operators at one time: the second is told that it is not parked any more, or that nothing is left of it.
        answers = await asyncio.gather(*(act(client, "replay", [item["parkedId"]]) for _ in range(2)))
        assert sorted(answer["outcome"] for answer in answers) == ["applied", "parked"]
        await wait_for(lambda: settled(database, "order.completed:O-1"))
        assert position(database, "BA-1") == {"receivable": 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_act_that_fails_halfway_leaves_nothing(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect within an act undoes what the act has done before; it is tried again, and done once."""
    discard = OperatorActions._discard
    calls = 0

    async def failing(actions: OperatorActions, row: dict[str, Any], why: str) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError
        return await discard(actions, row, why)

    async with business(settings, client, defect_delay_seconds=0.01) as (ask, clock, _):
        await say(client, customer("BA-1"))
        items = await parked(client, ask, *(order(f"O-{n}", "BA-1", currency="USD") for n in range(3)))
        monkeypatch.setattr(OperatorActions, "_discard", failing)
        asked = await client.send_asking(
            ("parked.discard", {"ids": [item["parkedId"] for item in items], "why": "as agreed"})
        )
        await wait_for(lambda: held(database, "waiting"))
        assert len(held(database, "parked")) == 3
        assert database["operatorActs"].count_documents({}) == 0
        clock.forward(minutes=1)
        answer = await client.answer(asked)
        assert [one["state"] for one in answer["result"]["messages"]] == ["discarded"] * 3
        assert database["operatorActs"].count_documents({}) == 3
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_a_dead_worker_had_taken_up_is_discarded(
    settings: Settings, client: Client, database: Books
) -> None:
    """While somebody tries a message it can't be discarded; when its claim has run out it can, with no worker there."""
    # No sweep takes it up beside the act.
    async with business(settings, client, held_interval_seconds=NEVER) as (ask, clock, _):
        await client.send(order("O-1", "BA-9"))
        await wait_for(lambda: held(database, "waiting"))
        [item] = (await ask("parked.list", state="waiting"))["items"]
        database["held"].update_one({}, {"$set": {"claimedUntil": clock.now + timedelta(seconds=30)}})
        refused = await act(client, "discard", [item["parkedId"]])
        assert "is being tried" in refused["error"]["detail"]
        database["held"].update_one({"state": "waiting"}, {"$set": {"claimedUntil": clock.now - timedelta(seconds=30)}})
        answer = await act(client, "discard", [item["parkedId"]])
        assert answer["outcome"] == "applied"
        assert held(database)["order.completed:O-1"]["state"] == "discarded"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_many_edits_make_no_large_answer(settings: Settings, client: Client, database: Books) -> None:
    """The acts on a message are told without their bodies, and the history page by page."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        wrong = order("O-1", "BA-1", currency="USD")
        [item] = await parked(client, ask, wrong)
        for n in range(5):
            done = await edit(client, item["parkedId"], json.dumps(wrong[1]) + " " * (400_000 + n))
            assert done["outcome"] == "applied"
            await wait_for(partial(tried, database, n + 2))
        shown = await ask("parked.get", id=item["parkedId"])
        assert len(shown["acts"]) == 5
        assert len(json.dumps(shown)) < 900_000
        pages = [await ask("parked.history")]
        while pages[-1]["after"]:
            pages.append(await ask("parked.history", after=pages[-1]["after"]))
        assert [len(page["items"]) for page in pages] == [2, 2, 1]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_does_not_fit_belongs_to_its_account(settings: Settings, client: Client, database: Books) -> None:
    """An order with a word for a rate, and what is no JSON: in the lists of the account, in the event, with its key."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        good = order("O-1", "BA-1")[1]
        twenty = {**good, "items": [{**good["items"][0], "tax": {"category": "S", "rate": "twenty"}}]}
        await parked(
            client,
            ask,
            ("order.completed", twenty),
            ("order.completed", json.dumps(order("O-2", "BA-1")[1]).encode()[:-1]),
            ("order.complete", order("O-3", "BA-1")[1]),
            order("O-4", "BA-1", currency="USD"),
        )
        items = await ask.all("parked.list", 2, account="BA-1")
        items.sort(key=lambda one: str(one["businessKey"]))
        assert [(one["businessKey"], one["reason"]) for one in items] == [
            ("O-1", "invalid"),
            ("O-2", "malformed"),
            ("O-3", "unknown-type"),
            ("O-4", "currency-mismatch"),
        ]
        [account] = (await ask("parked.accounts"))["items"]
        assert (account["account"], sum(one["count"] for one in account["held"])) == ("BA-1", 4)
        assert (await ask("parked.get", id=items[0]["parkedId"]))["businessKey"] == "O-1"
        await wait_for(lambda: len(client.seen("message.parked")) == 4)
        told = [(one.event["businessKey"], one.event["account"]) for one in client.seen("message.parked")]
        assert sorted(told) == [(f"O-{n}", "BA-1") for n in range(1, 5)]
    await assert_clean(client, database)
