"""Accounts by message: each command with its answer and events, on real services."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from adapters.settings import Settings
from tests.support.books import Books, assert_all_published, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import (
    account,
    command,
    customer,
    eur,
    item,
    order,
    partner,
    payment,
    relationship,
    update,
)
from tests.support.waiting import wait_for
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"], indirect=True)


async def told(client: Client, message: tuple[str, Any]) -> dict[str, Any]:
    """Send a command that is applied; returns its result."""
    answer = await client.ask(message)
    assert answer["outcome"] == "applied", answer
    result: dict[str, Any] = answer["result"]
    return result


async def refused(client: Client, message: tuple[str, Any]) -> tuple[str, str]:
    """Send a command that is parked; returns the code and detail that its sender is told."""
    answer = await client.ask(message)
    assert answer["outcome"] == "parked", answer
    return answer["error"]["code"], answer["error"]["detail"]


async def test_the_life_of_an_account(settings: Settings, client: Client, database: Books) -> None:
    """Defined, active, suspended, closing and closed: each command answers with the document, each change is told."""
    async with working(settings):
        created = await told(client, customer("BA-1", state="Defined"))
        assert (created["revision"], created["account"]["state"]) == (1, "defined")
        early = await client.send_asking(order("O-1", "BA-1"))
        await wait_for(lambda: held(database, "waiting"))
        assert held(database)["order.completed:O-1"]["reason"] == "account-suspended"
        resumed = await told(client, command("resume", "BA-1"))
        assert (resumed["revision"], resumed["account"]["state"]) == (2, "active")
        assert (await client.answer(early))["outcome"] == "applied"

        renamed = await told(
            client, update("BA-1", {"name": "New", "description": "Ours", "x": {"y": 1}}, ifRevision=2)
        )
        assert (renamed["revision"], renamed["account"]["name"], renamed["account"]["x"]) == (3, "New", {"y": 1})
        same = await told(client, update("BA-1", {"name": "New"}))
        assert same["revision"] == 3
        await told(client, command("suspend", "BA-1", reason="unpaid"))
        late = await client.send_asking(order("O-2", "BA-1"))
        await told(client, payment("P-1", "BA-1", "5.00"))
        await wait_for(lambda: held(database, "waiting"))
        await told(client, command("resume", "BA-1"))
        assert (await client.answer(late))["outcome"] == "applied"

        closing = await told(client, command("close", "BA-1"))
        assert (closing["revision"], closing["account"]["state"]) == (6, "pendingClose")
        assert (await refused(client, order("O-3", "BA-1")))[0] == "account-closed"
        await told(client, payment("P-2", "BA-1", "19.00"))
        closed = (await wait_for(lambda: client.seen("account.closed")))[0]
        # The money closed it, no message did: the revision is the one that the closing was asked for with.
        assert (closed.event["oldState"], closed.event["newState"], closed.event["revision"]) == (
            "pendingClose",
            "closed",
            6,
        )
        assert closed.content["@type"] == "BillingAccountStateChangeEvent"
        assert await refused(client, payment("P-3", "BA-1", "1.00")) == (
            "account-closed",
            "billingAccount.id: account BA-1 is closed",
        )
        reopened = await told(client, command("reopen", "BA-1"))
        assert (reopened["revision"], reopened["account"]["state"]) == (7, "active")
        code, detail = await refused(client, command("delete", "BA-1"))
        assert (code, "has been posted to" in detail) == ("invalid", True)
    await assert_all_published(client, database)
    assert [event.type for event in client.seen() if event.type.startswith("account.")] == [
        "account.created",
        "account.state-changed",
        "account.changed",
        "account.state-changed",
        "account.state-changed",
        "account.state-changed",
        "account.closed",
        "account.state-changed",
    ]
    [changed] = client.seen("account.changed")
    assert changed.event["changed"] == ["description", "name", "x"]
    versions = list(database["accountVersions"].find().sort("version", 1))
    assert [(row["version"], row["revision"], row["newState"]) for row in versions] == [
        (1, 1, "defined"),
        (2, 2, "active"),
        (3, 3, "active"),
        (4, 4, "suspended"),
        (5, 5, "active"),
        (6, 6, "pendingClose"),
        (7, 6, "closed"),
        (8, 7, "active"),
    ]
    assert versions[6]["cause"] == "payment.received:P-2"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_of_a_thousand_updates_those_in_time_win(settings: Settings, client: Client, database: Books) -> None:
    """Each revision is won once, whoever of two workers applies; every loser is told the revision there is."""
    revisions = [n % 10 + 1 for n in range(1_000)]
    random.Random(666).shuffle(revisions)
    async with AsyncExitStack() as workers:
        for _ in range(2):
            await workers.enter_async_context(working(settings, single_active_consumer=False))
        await told(client, customer("BA-1"))
        asked = await asyncio.gather(
            *(
                client.send_asking(update("BA-1", {"name": f"Name {n}"}, ifRevision=revision))
                for n, revision in enumerate(revisions)
            )
        )
        answers = await client.answers_to(asked)
    outcomes = Counter(answer["outcome"] for answer in answers)
    won = [revision for answer, revision in zip(answers, revisions, strict=True) if answer["outcome"] == "applied"]
    assert outcomes["applied"] + outcomes["parked"] == 1_000
    assert sorted(won) == list(range(1, len(won) + 1))
    [stored] = database["accounts"].find()
    assert stored["revision"] == len(won) + 1
    for answer, revision in zip(answers, revisions, strict=True):
        if answer["outcome"] == "parked":
            assert answer["error"]["code"] == "revision-mismatch"
            assert answer["error"]["detail"].startswith(f"ifRevision: {revision}, but account BA-1 is at revision ")
    await assert_all_published(client, database)
    assert len(client.seen("account.changed")) == len(won)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_bad_input_is_told_by_field_and_leaves_nothing(
    settings: Settings, client: Client, database: Books
) -> None:
    """Each has its code and a detail that names field and value, and no account is other than it was."""
    async with working(settings):
        await told(client, customer("BA-1", creditLimit=eur(100)))
        await told(client, customer("BA-2", accountRelationship=[relationship("contains", "BA-1")]))
        await told(client, partner("SA-1"))
        await told(client, customer("BA-USD", currency="USD"))
        before = {name: list(database[name].find()) for name in ("accounts", "positions", "links", "accountVersions")}
        for message, code, words in (
            (account("SavingsAccount", "X"), "invalid", ["@type", "SavingsAccount"]),
            (("account.create", {"id": "X", "@type": "BillingAccount", "currency": "EUR"}), "invalid", ["name"]),
            (customer("X", state="frozen"), "invalid", ["state", "frozen"]),
            (customer("X", currency="EURO"), "invalid", ["currency", "EURO"]),
            (customer("X", creditLimit={"unit": "USD", "value": 1}), "currency-mismatch", ["creditLimit.unit", "USD"]),
            (customer("X", contact=[{"contactName": 7}]), "invalid", ["contact.0.contactName", "7"]),
            (customer("BA-1", name="Other"), "conflicting-duplicate", ["account.create:BA-1"]),
            (update("BA-1", {"name": "N"}, ifRevision=7), "revision-mismatch", ["ifRevision: 7", "revision 1"]),
            (update("BA-1", {"state": "closed"}), "invalid", ["changes.state", "may not be patched"]),
            (update("BA-1", {"currency": "USD", "id": "X"}), "invalid", ["changes.currency", "changes.id"]),
            (update("BA-1", {"name": None}), "invalid", ["name"]),
            (update("BA-1", {"creditLimit": {"value": -1}}), "invalid", ["creditLimit"]),
            (update("BA-1", {"name": "N"}, "SettlementAccount"), "invalid", ["@type", "SettlementAccount"]),
            (update("SA-1", {"settlementTerms": None}, "SettlementAccount"), "invalid", ["settlementTerms"]),
            (update("BA-1", {"accountRelationship": [relationship("contains", "BA-2")]}), "invalid", ["cycle"]),
            (update("BA-1", {"accountRelationship": [relationship("payer", "BA-1")]}), "invalid", ["its own payer"]),
            (update("BA-1", {"accountRelationship": [relationship("payer", "SA-1")]}), "invalid", ["SA-1"]),
            (
                update("BA-1", {"accountRelationship": [relationship("payer", "BA-USD")]}),
                "currency-mismatch",
                ["BA-USD", "USD"],
            ),
            (command("resume", "BA-1"), "invalid", ["BA-1 is active", "suspended"]),
            (command("reopen", "BA-1"), "invalid", ["BA-1 is active"]),
            (command("delete", "BA-1"), "invalid", ["BA-2", "contains"]),
            (("account.close", {"id": "BA-1"}), "invalid", ["reason"]),
        ):
            found, detail = await refused(client, message)
            assert (found, [word for word in words if word not in detail]) == (code, []), (message, detail)
        after = {name: list(database[name].find()) for name in before}
    assert after == before
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_refers_to_nothing_waits_for_it(settings: Settings, client: Client, database: Books) -> None:
    """An account whose payer, financial account or bill format is not there yet is opened when they are."""
    structure = {"format": {"id": "F-1", "@type": "BillFormatRef"}, "presentationMedia": [{"id": "M-1"}]}
    async with working(settings):
        waiting = await client.send_asking(
            customer(
                "BA-1",
                billStructure=structure,
                financialAccount={"id": "FA-1"},
                accountRelationship=[relationship("payer", "BA-9")],
            )
        )
        [row] = (await wait_for(lambda: held(database, "waiting"))).values()
        assert row["reason"] in {"unknown-account", "unknown-specification"}
        await told(client, customer("BA-9"))
        await told(client, account("FinancialAccount", "FA-1"))
        made = await told(client, ("bill-format.create", {"id": "F-1", "name": "Summary"}))
        assert made == {
            "id": "F-1",
            "revision": 1,
            "specification": {
                "@type": "BillFormat",
                "id": "F-1",
                "name": "Summary",
                "lastUpdate": made["specification"]["lastUpdate"],
            },
        }
        await told(client, ("bill-presentation-media.create", {"id": "M-1", "name": "Paper"}))
        assert (await client.answer(waiting))["outcome"] == "applied"
        code, detail = await refused(client, ("bill-format.delete", {"id": "F-1"}))
        assert (code, "BA-1" in detail) == ("invalid", True)
        changed = ("bill-format.update", {"id": "F-1", "changes": {"description": "One page"}, "ifRevision": 1})
        assert (await told(client, changed))["revision"] == 2
        assert (await refused(client, changed))[0] == "revision-mismatch"
        await told(client, update("BA-1", {"billStructure": None}))
        await told(client, ("bill-format.delete", {"id": "F-1"}))
        cycle = {"name": "Monthly", "frequency": "monthly", "paymentDueDateOffset": 14}
        named = await told(client, ("billing-cycle-specification.create", cycle))
        assert named["id"].startswith("S-")
    await assert_all_published(client, database)
    assert [(event.type, event.message_id) for event in client.seen() if "account" not in event.type][:4] == [
        ("bill-format.created", "bill-format/F-1:1"),
        ("bill-presentation-media.created", "bill-presentation-media/M-1:1"),
        ("message.parked", client.seen("message.parked")[0].message_id),
        ("bill-format.changed", "bill-format/F-1:2"),
    ]
    [created] = client.seen("bill-format.created")
    assert created.content["@type"] == "BillFormatCreateEvent"
    assert "account-id" not in created.message.headers
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_payer_is_billed_for_its_children(settings: Settings, client: Client, database: Books) -> None:
    """From the day on which the payer pays: the invoice is its own, each line names the account that ordered."""
    children = [relationship("contains", "BA-2")]
    async with working(settings):
        await told(client, customer("BA-2", accountRelationship=[]))
        await told(client, customer("BA-1", accountRelationship=children, creditLimit=eur(30)))
        payer = relationship("payer", "BA-1", since="2026-11-01T00:00:00Z", until="2026-12-01T00:00:00Z")
        await told(client, update("BA-2", {"accountRelationship": [payer]}))
        for order_id, completed_at in (("O-1", "2026-10-31T23:59:59Z"), ("O-2", "2026-11-01T00:00:00Z")):
            await told(client, order(order_id, "BA-2", completedAt=completed_at))
        await told(client, order("O-3", "BA-2", item(1, 20), completedAt="2026-11-30T23:59:59Z"))
        await told(client, order("O-4", "BA-2", completedAt="2026-12-01T00:00:00Z"))
    assert (position(database, "BA-1"), position(database, "BA-2")) == ({"receivable": 3600}, {"receivable": 2400})
    await assert_all_published(client, database)
    billed = {event.event["orderId"]: event.event["invoice"] for event in client.seen("invoice.issued")}
    assert {order_id: invoice["billingAccount"]["id"] for order_id, invoice in billed.items()} == {
        "O-1": "BA-2",
        "O-2": "BA-1",
        "O-3": "BA-1",
        "O-4": "BA-2",
    }
    assert billed["O-2"]["lines"][0]["billingAccount"]["id"] == "BA-2"
    [crossed] = client.seen("account.credit-limit-exceeded")
    assert (crossed.event["account"]["id"], crossed.event["balance"], crossed.event["limit"]) == (
        "BA-1",
        eur(36),
        eur(30),
    )
    await assert_clean(client, database)


@ONE_DRIVER
async def test_many_updates_of_a_large_document(settings: Settings, client: Client, database: Books) -> None:
    """Small messages that each tell a large document do not make a transaction too large to commit."""
    notes = {f"note{n:03d}": "x" * 1_000 for n in range(900)}
    async with working(settings):
        await told(client, customer("BA-1", notes=notes))
        too_long = {f"more{n:03d}": "x" * 1_000 for n in range(200)}
        code, detail = await refused(client, update("BA-1", {"notes": too_long}))
        assert (code, "1048576 bytes" in detail) == ("invalid", True)
        asked = [await client.send_asking(update("BA-1", {"name": f"Name {n}"})) for n in range(40)]
        answers = await client.answers_to(asked)
    assert sorted(answer["result"]["revision"] for answer in answers) == list(range(2, 42))
    await assert_clean(client, database)
