"""A message that is delivered again after an upgrade is known by the digest that was recorded before it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from adapters.settings import Settings
from schemas import message as messages
from schemas import wire
from schemas.message import Message
from tests.support.books import Books, assert_clean, held
from tests.support.client import Client
from tests.support.messages import customer, item, order
from tests.support.waiting import wait_for
from tests.support.workers import working


def pretend_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a later version made digests in another way."""

    def digest_2(message: Message) -> str:
        return sha256(b"2" + message.model_dump_json(by_alias=True).encode()).hexdigest()

    monkeypatch.setitem(messages.DIGESTS, 2, digest_2)
    monkeypatch.setattr(messages, "DIGEST_VERSION", 2)
    monkeypatch.setattr(wire, "DIGEST_VERSION", 2)


async def test_what_was_recorded_before_an_upgrade_is_compared_as_it_was(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same is a duplicate, or waits as it did; other content is a conflict, held once however often it comes."""
    applied, waiting, parked = order("O-1", "BA-1"), order("O-2", "BA-9"), order("O-3", "BA-1", currency="USD")
    other, another = order("O-1", "BA-1", item(1, "11.00")), order("O-1", "BA-1", item(1, "12.00"))
    async with working(settings):
        await client.ask(customer("BA-1"))
        assert (await client.ask(applied))["outcome"] == "applied"
        await client.send(waiting)
        assert (await client.ask(parked))["error"]["code"] == "currency-mismatch"
        assert (await client.ask(other))["error"]["code"] == "conflicting-duplicate"
        await wait_for(lambda: len(held(database)) == 3)
    pretend_version_2(monkeypatch)
    async with working(settings):
        assert (await client.ask(applied))["outcome"] == "duplicate"
        again = await client.send_asking(waiting)
        assert (await client.ask(parked))["error"]["code"] == "currency-mismatch"
        assert (await client.ask(other))["error"]["code"] == "conflicting-duplicate"
        assert len(held(database)) == 3
        for _ in range(2):
            assert (await client.ask(another))["error"]["code"] == "conflicting-duplicate"
        assert (await client.ask(order("O-2", "BA-9", item(1, "11.00"))))["error"]["code"] == "conflicting-duplicate"
        assert len(held(database)) == 5
        assert (await client.ask(customer("BA-9")))["outcome"] == "applied"
        assert (await client.answer(again))["outcome"] == "applied"
        assert (await client.ask(waiting))["outcome"] == "duplicate"
    versions = {row["_id"]: row["digestVersion"] for row in database["inbox"].find()}
    assert versions == {
        "account.create:BA-1": 1,
        "order.completed:O-1": 1,
        "account.create:BA-9": 2,
        "order.completed:O-2": 2,
    }
    assert database["invoices"].count_documents({}) == 2
    assert len(client.seen("message.parked")) == 4
    await assert_clean(client, database)
