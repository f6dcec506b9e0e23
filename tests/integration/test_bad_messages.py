"""One bad message never holds up or undoes the good ones beside it, whatever is bad about it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aiormq.abc import ChannelFrame
from pamqp import commands as spec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from adapters import documents
from adapters.settings import Settings
from domain import facts
from domain.invoicing.model import Invoice
from domain.ledger.books import Books as FactBooks
from domain.ordering.completing import Order
from tests.support.books import Books, applied, assert_all_published, assert_clean, held, position
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.messages import customer, item, order, partner, payment
from tests.support.waiting import wait_for
from tests.support.workers import working

GOOD = [order(f"O-{n}", "BA-1") for n in range(100)]


def bad(order_id: str, **fields: Any) -> bytes:
    """An order with something wrong in it, as bytes."""
    return json.dumps(order(order_id, "BA-1")[1] | fields).encode()


BAD: dict[str, tuple[str, bytes, str]] = {
    "not JSON": ("order.completed", b'{"orderId": ', "malformed"),
    "NaN": ("order.completed", b'{"orderId": NaN}', "invalid"),
    "not UTF-8": ("order.completed", b'{"orderId": "\xff"}', "malformed"),
    "too large": ("order.completed", b'"' + b"x" * 1024 * 1024 + b'"', "malformed"),
    "too deep": ("order.completed", b'{"a":' * 40 + b"1" + b"}" * 40, "malformed"),
    "nothing": ("order.completed", b"", "malformed"),
    "unknown type": ("order.reversed", b"{}", "unknown-type"),
    "not an object": ("payment.received", b'"P-1"', "invalid"),
    "no fact": ("order.completed", b"[]", "invalid"),
    "huge number": ("order.completed", bad("B-1", items=[item(1, "1E+999999999")]), "invalid"),
    "lone surrogate": ("order.completed", bad("B-2", items=[item(1, 1) | {"description": "\ud800"}]), "invalid"),
    "NUL": ("order.completed", bad("B-3", items=[item(1, 1) | {"description": "\0"}]), "invalid"),
    "NUL in a name": ("account.create", json.dumps(customer("B-4")[1] | {"a\0b": 1}).encode(), "invalid"),
    "2^64": ("account.create", json.dumps(customer("B-5")[1] | {"big": 2**64}).encode(), "invalid"),
    "total below zero": ("order.completed", bad("B-6", items=[item(1, "-1.00")]), "invalid"),
    "total too large": ("order.completed", bad("B-7", items=[item(1, 99999999999, quantity=2)]), "invalid"),
    "another currency": ("order.completed", bad("B-8", currency="USD"), "currency-mismatch"),
    "a partner's account": ("order.completed", bad("B-9", billingAccount={"id": "SA-1"}), "invalid"),
    "other content": ("order.completed", bad("O-50", items=[item(1, "11.00")]), "conflicting-duplicate"),
}


async def test_bad_messages_amid_a_hundred_good_ones(settings: Settings, client: Client, database: Books) -> None:
    """Each of the bad is parked alone with its reason and its bytes as they came; each of the good is applied."""
    await client.declare()
    await client.send_all([customer("BA-1"), partner("SA-1")])
    asked = {}
    for n, message in enumerate(GOOD):
        await client.send(message)
        if n % 5 == 4:
            name = list(BAD)[n // 5 % len(BAD)]
            routing_key, body, _ = BAD[name]
            if name not in asked and name != "other content":
                asked[name] = await client.send_asking((routing_key, body))
    asked["other content"] = await client.send_asking(("order.completed", BAD["other content"][1]))
    async with working(settings):
        answers = dict(zip(asked, await client.answers_to(asked.values()), strict=True))
        await applied(database, 102)
    assert {name: answer.get("error", {}).get("code") for name, answer in answers.items()} == {
        name: code for name, (_, _, code) in BAD.items()
    }
    parked = held(database, "parked").values()
    assert sorted(row["body"] for row in parked) == sorted(body for _, body, _ in BAD.values())
    await assert_all_published(client, database)
    assert len(client.seen("message.parked")) == len(BAD)
    assert position(database, "BA-1") == {"receivable": 100 * 1200}
    await assert_clean(client, database)


async def test_bad_messages_one_at_a_time(settings: Settings, client: Client, database: Books) -> None:
    """Alone a message has its reads made one: whatever it is, it is no defect of ours, and the next one is applied."""
    expressions = {name: (name, b"{}", "unknown-type") for name in ("$a.b", "$$ROOT", "$", "$.", "$$NOW#0", "\\.*")}
    async with working(settings):
        for message in (customer("BA-1"), partner("SA-1"), *GOOD[50:51]):
            await client.ask(message)
        for name, (routing_key, body, code) in (BAD | expressions).items():
            answer = await client.answer(await client.send_asking((routing_key, body)))
            assert answer.get("error", {}).get("code") == code, name
        assert (await client.ask(GOOD[0]))["outcome"] == "applied"
    assert len(held(database, "parked")) == len(BAD) + len(expressions)
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_fact_that_makes_the_transaction_fail_is_parked_alone(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is split until the bad fact stands alone: tried again later, parked in the end; the rest commit."""
    encode = documents.ENCODE[Invoice]

    def poisoned(invoice: Invoice) -> dict[str, Any]:
        return encode(invoice) | ({"state": object()} if invoice.order_id == "O-42" else {})

    monkeypatch.setitem(documents.ENCODE, Invoice, poisoned)
    await client.declare()
    await client.send_all([customer("BA-1"), *GOOD])
    async with working(settings, held_interval_seconds=0.02, defect_delay_seconds=0.01):
        await applied(database, 100)
        await wait_for(lambda: held(database, "parked"))
        answer = await client.ask(order("O-42", "BA-1"))
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "internal")
    [row] = held(database).values()
    assert (row["_id"], row["state"], row["reason"]) == ("order.completed:O-42", "parked", "internal")
    assert row["attempts"] == 5
    assert "InvalidDocument" in row["traceback"]
    assert position(database, "BA-1") == {"receivable": 99 * 1200}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_a_defect_is_tried_again_and_then_parked(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact that meets a defect of ours is tried five times, ever later, and parked with its traceback."""
    tries = []
    handling = facts.HANDLERS[Order]

    def defective(fact: Order, books: FactBooks) -> Any:
        if fact.id == "O-42":
            tries.append(books.booked_at)
            raise ZeroDivisionError("the tax of nothing")
        return handling.apply(fact, books)

    monkeypatch.setitem(facts.HANDLERS, Order, replace(facts.HANDLERS[Order], apply=defective))
    await client.declare()
    await client.send_all([customer("BA-1"), *GOOD[:42]])
    asked = await client.send_asking(GOOD[42])
    await client.send_all(GOOD[43:])
    async with working(settings, held_interval_seconds=0.02, defect_delay_seconds=0.01):
        answer = await client.answer(asked)
        await applied(database, 100)
    assert answer["outcome"] == "parked"
    assert answer["error"]["code"] == "internal"
    assert "the tax of nothing" not in answer["error"]["detail"], "what a sender is told says nothing of our insides"
    assert len(tries) == 5
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(tries)]
    assert all(pause >= least for pause, least in zip(pauses, (0.01, 0.04, 0.16, 0.64), strict=True)), pauses
    [row] = held(database).values()
    assert (row["state"], row["attempts"]) == ("parked", 5)
    assert "ZeroDivisionError: the tax of nothing" in row["traceback"]
    event = await client.event(f"{row['parkedId']}:5")
    assert client.seen("message.parked") == [event]
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_defect_that_passes_leaves_the_fact_applied_once(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact that fails twice for a defect of ours and then goes through is applied, with the attempts it took."""
    tries = []
    handling = facts.HANDLERS[Order]

    def flawed(fact: Order, books: FactBooks) -> Any:
        tries.append(fact.id)
        if len(tries) < 3:
            raise ZeroDivisionError
        return handling.apply(fact, books)

    monkeypatch.setitem(facts.HANDLERS, Order, replace(facts.HANDLERS[Order], apply=flawed))
    async with working(settings, held_interval_seconds=0.02, defect_delay_seconds=0.01):
        await client.send(customer("BA-1"))
        assert (await client.ask(order("O-1", "BA-1")))["outcome"] == "applied"
    row = database["inbox"].find_one({"_id": "order.completed:O-1"})
    assert row is not None
    assert row["attempts"] == 3
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
@pytest.mark.parametrize(
    "properties",
    [
        {"timestamp": 1_790_000_000_000_000_000},
        {"timestamp": 1_790_000_000_000},
        {"headers": {"schema-version": 2}},
        {"headers": {"x": {"deep": [{"deeper": [1, "two", True, 1.5]}]}, "a.b": "$c", "$d": 2**62}},
        {"content_encoding": "gzip"},
        {"content_type": "text/xml"},
        {"message_id": "ü" * 100},
        {"correlation_id": "", "reply_to": "", "message_id": ""},
    ],
    ids=["nanoseconds", "milliseconds", "schema-version", "headers", "gzip", "xml", "long-id", "empty"],
)
async def test_odd_properties_hold_up_nothing(
    settings: Settings, client: Client, broker: Broker, database: Books, properties: dict[str, Any]
) -> None:
    """A message whose AMQP properties are odd is applied or parked, and what comes after it is applied."""
    await client.declare()
    await client.send(customer("BA-1"))
    routing_key, body = order("O-1", "BA-1")
    await broker.publish(routing_key, json.dumps(body).encode(), properties)
    await client.send(payment("P-1", "BA-1", 1))
    async with working(settings):
        await client.event("BA-1:2")

        def both() -> bool:
            return database["inbox"].count_documents({}) + database["held"].count_documents({}) == 3

        await wait_for(both)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("where", [b"the-message-id", b"the-header-key", b"order.c"])
async def test_properties_that_are_not_utf8_hold_up_nothing(
    settings: Settings, client: Client, database: Books, where: bytes
) -> None:
    """A message id, a header's name or a routing key with bytes that are no UTF-8 costs nobody the connection."""
    await client.declare()
    await client.send(customer("BA-1"))
    channel = await client.channel.get_underlay_channel()
    _, body = order("O-1", "BA-1")
    await publish_raw(channel, "order.completed", json.dumps(body).encode(), {where: b"\xff" * len(where)})
    await client.send(payment("P-1", "BA-1", 1))
    async with working(settings):
        await client.event("BA-1:2")

        def both() -> bool:
            return database["inbox"].count_documents({}) + database["held"].count_documents({}) == 3

        await wait_for(both)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    await assert_clean(client, database)


async def publish_raw(channel: Any, routing_key: str, body: bytes, replaced: dict[bytes, bytes]) -> None:
    """Publish, with some bytes of the frames replaced by others that no client would send."""
    properties = spec.Basic.Properties(message_id="the-message-id", headers={"the-header-key": 1}, delivery_mode=2)
    frames: list[Any] = [
        spec.Basic.Publish(exchange="paymaster.in", routing_key=routing_key),
        ContentHeader(properties=properties, body_size=len(body)),
        ContentBody(body),
    ]
    payload = ChannelFrame.marshall(channel.number, frames).payload
    for old, new in replaced.items():
        assert old in payload
        payload = payload.replace(old, new, 1)
    channel.delivery_tag += 1  # the broker confirms it; the client counts what it has published
    confirmation = channel.confirmations[channel.delivery_tag] = channel.create_future()
    await channel.write_queue.put(ChannelFrame(payload, should_close=False))
    await confirmation
