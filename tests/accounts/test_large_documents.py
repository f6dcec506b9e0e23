"""What a change of a large account stores is in proportion to it, and what goes out is the whole of it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import bson
import pytest

from adapters.mongodb.view import View
from adapters.settings import Settings
from adapters.values import LARGE, VALUES
from tests.integration.test_queries import Asker
from tests.operations.test_outbox import paymaster
from tests.support.books import Books, applied, assert_audit_ok
from tests.support.client import Client
from tests.support.messages import Json, customer, eur, order, update
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)

ADDED_MAX = 8 * 1024
"""How many bytes a change of a few bytes may add."""


def attachment() -> Json:
    """One file of 700 kB, in a document whose names are none for MongoDB."""
    content = b64encode(Random(1).randbytes(525_000)).decode()
    proof = {"@type": "Attachment", "attachmentType": "proof", "mimeType": "application/pdf", "content": content}
    return {"$first": 1, "taxExemption": [{"attachment": proof}], "note.last": "a"}


def characteristics() -> Json:
    """Thousands of small things in one array, 700 kB together, one of which has an odd name."""
    many = [{"name": f"characteristic {n}", "value": f"The value of {n}", "weight": n / 8} for n in range(9_000)]
    return {"characteristic": [*many, {"name": "odd", "$value": 1e22}], "other": {"a": None, "b": [1, 2.5, "ä"]}}


def stored(database: Books) -> Counter[str]:
    """How many bytes the rows of each collection have, but those that only say who works."""
    names = set(database.list_collection_names()) - {"workers", "meta"}
    return Counter({name: sum(len(bson.encode(row)) for row in database[name].find()) for name in names})


def text(told: Any) -> str:
    """What was told, to the byte, but for what an account has beside its document: its money, and its revision."""
    beside = ("accountBalance", "paymentStatus", "revision")
    return json.dumps({name: value for name, value in told.items() if name not in beside})


def bodies(client: Client) -> dict[str, bytes]:
    """The events that came, each once."""
    return {event.message_id: event.message.body for event in client.events}


@pytest.mark.parametrize("document", [attachment, characteristics])
async def test_a_rename_stores_a_few_bytes(
    document: Callable[[], Json], settings: Settings, client: Client, database: Books
) -> None:
    """Not the document again; history, the past, event, reply, duplicate and resend tell it whole, to the byte."""
    begun = datetime.now(UTC)
    sent = customer("BA-1", **document(), creditLimit=eur(5))
    async with working(settings):
        ask = Asker(client)
        made = await client.ask(sent)
        assert made["outcome"] == "applied", made
        first = text(made["result"]["account"])
        assert len(first) > 700_000
        await applied(database, 1)
        at = datetime.now(UTC)
        before = stored(database)
        rename = update("BA-1", {"name": "Customer One"})
        told = await client.ask(rename, message_id="m-2")
        await applied(database, 2)
        added = stored(database) - before
        del added["accounts"]
        assert 0 < sum(added.values()) < ADDED_MAX, added
        assert database["values"].count_documents({}) == 1

        account = told["result"]["account"]
        second = text(account)
        assert second == first.replace("Customer BA-1", "Customer One").replace(
            made["result"]["account"]["lastUpdate"], account["lastUpdate"]
        )
        assert await client.ask(rename, message_id="m-2") == {"outcome": "duplicate", "result": told["result"]}
        assert await client.ask(sent) == {"outcome": "duplicate", "result": made["result"]}
        assert [text(one["account"]) for one in await ask.all("account.history", 1, id="BA-1")] == [first, second]
        assert text(await ask("account.get", id="BA-1", at=at.isoformat())) == first
        assert text(await ask("account.get", id="BA-1")) == second

        # The event tells an account that was changed in another batch.
        before = stored(database)
        await client.ask(order("O-1", "BA-1"))
        await applied(database, 3)
        events_told = [(await client.event(f"BA-1:{n}")).event["account"] for n in (1, 2, 4)]
        assert [text(one) for one in events_told] == [first, second, second]
        assert sum((stored(database) - before).values()) < ADDED_MAX
        events = bodies(client)
    client.events.clear()
    done = await paymaster(settings, "resend", "--since", begun.isoformat())
    assert done.code == 0, done.errors
    await wait_for(lambda: len(client.events) == len(events))
    assert bodies(client) == events
    # What an earlier life left behind.
    database["outbox"].update_many({}, {"$set": {"unsent": True}, "$unset": {"sentAt": ""}})
    client.events.clear()
    async with working(settings, relay_interval_seconds=0.1):
        await applied(database, 3)
    assert bodies(client) == events
    assert_audit_ok(database)


async def test_a_page_of_history_reads_a_large_value_once(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many versions have it; one that only some have is read when it is come to."""
    reads: list[list[str]] = []
    find = View.find

    async def counted(view: View, collection: str, query: Any, **how: Any) -> list[Json]:
        if collection == VALUES:
            reads.append(query["_id"]["$in"])
        return await find(view, collection, query, **how)

    monkeypatch.setattr(View, "find", counted)
    notes = [letter * 2 * LARGE for letter in "abc"]
    async with working(settings):
        ask = Asker(client)
        await client.ask(customer("BA-1", note=notes[0], other=notes[2]))
        for n in range(12):
            await client.ask(update("BA-1", {"name": f"Name {n}"} | ({"note": notes[1]} if n == 6 else {})))
        told = [one["account"] for one in (await ask("account.history", id="BA-1"))["items"]]
    assert [(one["note"], one["other"]) for one in told] == [(notes[0], notes[2])] * 7 + [(notes[1], notes[2])] * 6
    assert [len(ids) for ids in reads] == [2, 1]
    assert database[VALUES].count_documents({}) == 3
