"""One effect for each fact, however often it is said, under whatever message id, and whatever else claims its key."""

from __future__ import annotations

import pytest

from adapters.settings import Settings
from tests.support.books import Books, applied, assert_all_published, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import customer, item, order, payment
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["pymongo"])


async def test_a_duplicate_delivery_has_no_second_effect(settings: Settings, client: Client, database: Books) -> None:
    """The same message again is answered with the recorded outcome, and changes nothing."""
    async with working(settings):
        await client.send(customer("BA-1"))
        first = await client.ask(order("O-1", "BA-1"), message_id="m-1")
        again = await client.ask(order("O-1", "BA-1"), message_id="m-1")
        made = {"billNo": "INV-000000001", "billNos": ["INV-000000001"]}
        assert first == {"outcome": "applied", "result": made}
        assert again == {"outcome": "duplicate", "result": made}
    await assert_all_published(client, database)
    assert client.counted() == {"account.created": 1, "invoice.issued": 1}
    assert position(database, "BA-1") == {"receivable": 1200}
    assert held(database) == {}
    await assert_clean(client, database)


async def test_the_same_fact_in_one_batch_has_one_effect(settings: Settings, client: Client, database: Books) -> None:
    """Copies that arrive together are one fact: the first is applied, the others are duplicates of it."""
    await client.declare()
    await client.send(customer("BA-1"))
    asked = [await client.send_asking(order("O-1", "BA-1")) for _ in range(5)]
    async with working(settings):
        answers = await client.answers_to(asked)
    assert sorted(answer["outcome"] for answer in answers) == ["applied", *["duplicate"] * 4]
    assert {answer["result"]["billNo"] for answer in answers} == {"INV-000000001"}
    assert position(database, "BA-1") == {"receivable": 1200}
    await assert_clean(client, database)


async def test_a_duplicate_fact_is_known_by_its_content_not_by_its_message(
    settings: Settings, client: Client, database: Books
) -> None:
    """Another message id, another spelling of the same numbers and times, another field that nobody knows: one fact."""
    async with working(settings):
        await client.send(customer("BA-1"))
        await client.ask(order("O-1", "BA-1", item(1, "10.00", rate="0.20")))
        again = order(
            "O-1",
            "BA-1",
            item(1, 10, quantity="1.0", rate=0.2),
            completedAt="2026-11-22T11:15:00.000+01:00",
            unknown={"field": True},
        )
        assert (await client.ask(again))["outcome"] == "duplicate"
        await client.ask(payment("P-1", "BA-1", "12.00"))
        assert (await client.ask(payment("P-1", "BA-1", 12)))["outcome"] == "duplicate"
    assert position(database, "BA-1") == {}
    assert held(database) == {}
    await assert_clean(client, database)


async def test_a_different_fact_under_a_used_key_is_parked(settings: Settings, client: Client, database: Books) -> None:
    """Other content for a used identity is a conflicting duplicate: parked once, and the books stay as they are."""
    async with working(settings):
        await client.send(customer("BA-1"))
        await client.ask(order("O-1", "BA-1"))
        other = order("O-1", "BA-1", item(1, "11.00"))
        answers = [await client.ask(other) for _ in range(3)]
        third = await client.ask(order("O-1", "BA-1", item(1, "12.00")))
        # The fact itself is still what it was.
        assert (await client.ask(order("O-1", "BA-1")))["outcome"] == "duplicate"
    for answer in (*answers, third):
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "conflicting-duplicate")
    rows = held(database, "parked")
    await assert_all_published(client, database)
    assert len(rows) == len(client.seen("message.parked")) == 2
    assert all(identity.startswith("order.completed:O-1#") for identity in rows)
    assert position(database, "BA-1") == {"receivable": 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_different_fact_under_the_key_of_one_that_waits_is_parked(
    settings: Settings, client: Client, database: Books
) -> None:
    """What waits keeps its key: other content is parked at once, the same content is answered with the outcome."""
    async with working(settings):
        first = await client.send_asking(order("O-1", "BA-1"))
        again = await client.send_asking(order("O-1", "BA-1"))
        other = await client.ask(order("O-1", "BA-1", item(1, "11.00")))
        assert other["error"]["code"] == "conflicting-duplicate"
        assert set(held(database, "waiting")) == {"order.completed:O-1"}
        await client.send(customer("BA-1"))
        assert [answer["outcome"] for answer in await client.answers_to([first, again])] == ["applied", "applied"]
    assert position(database, "BA-1") == {"receivable": 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_duplicate_of_what_was_parked_gets_its_recorded_outcome(
    settings: Settings, client: Client, database: Books
) -> None:
    """A message that was refused is not tried again by sending it again: one row, one event, the same answer."""
    async with working(settings):
        await client.send(customer("BA-1"))
        refused = order("O-1", "BA-1", currency="USD")
        answers = [await client.ask(refused) for _ in range(3)]
        garbage = [await client.ask(("order.completed", b"{")) for _ in range(2)]
    assert answers[0]["error"]["code"] == "currency-mismatch"
    assert answers[0] == answers[1] == answers[2]
    assert garbage[0] == garbage[1]
    await assert_all_published(client, database)
    assert len(held(database, "parked")) == len(client.seen("message.parked")) == 2
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_account_without_an_id_is_keyed_by_its_message(
    settings: Settings, client: Client, database: Books
) -> None:
    """The same message makes the same account; another message makes another; without a message id it is parked."""
    _, account = customer("x")
    del account["id"]
    async with working(settings):
        first = await client.ask(("account.create", account), message_id="m-1")
        again = await client.ask(("account.create", account), message_id="m-1")
        other = await client.ask(("account.create", account), message_id="m-2")
        assert (first["outcome"], again["outcome"], other["outcome"]) == ("applied", "duplicate", "applied")
        assert first["result"] == again["result"] != other["result"]
        parked = await client.ask(("account.create", account), message_id="not an id")
        assert parked["error"]["code"] == "invalid"
    assert database["accounts"].count_documents({}) == 2
    await assert_clean(client, database)


@ONE_DRIVER
async def test_facts_that_are_said_many_times_at_once_have_one_effect_each(
    settings: Settings, client: Client, database: Books
) -> None:
    """Two hundred facts, each sent three times in three orders, while the worker is at work."""
    facts = [order(f"O-{n}", "BA-1") for n in range(100)] + [payment(f"P-{n}", "BA-1", "12.00") for n in range(100)]
    async with working(settings):
        await client.send(customer("BA-1"))
        await client.send_all([*facts, *reversed(facts), *facts[::2], *facts[1::2]])
        await applied(database, 201)
    assert position(database, "BA-1") == {}
    assert held(database) == {}
    await assert_clean(client, database)
