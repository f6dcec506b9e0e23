"""What refers to a thing that is not there yet waits, is applied when the thing appears, and is parked in the end."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.settings import Settings
from domain.errors import MustWait
from handlers.engine import decision
from handlers.engine.held import Waker
from tests.integration.test_queries import Clock
from tests.support.books import Books, applied, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import closing, customer, item, order, partner, payment, payout
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import working

NEVER = 3_600
"""An interval that no test lives to see the end of: what happens, happens without a sweep."""


async def test_an_order_before_its_account(settings: Settings, client: Client, database: Books) -> None:
    """It is acknowledged and waits; once the account is created it is applied, without waiting for a sweep."""
    async with working(settings, held_interval_seconds=NEVER):
        asked = await client.send_asking(order("O-1", "BA-1"), correlation_id="c-1")
        row = (await wait_for(lambda: held(database, "waiting")))["order.completed:O-1"]
        assert (row["reason"], row["waitsFor"], row["attempts"]) == ("unknown-account", "account:BA-1", 1)
        assert row["dueAt"] - row["heldAt"] == timedelta(hours=24)
        assert client.events == []
        await client.send(customer("BA-1"))
        assert (await client.answer(asked))["outcome"] == "applied"
        event = await client.event("BA-1:2")
        assert (event.type, event.content["correlationId"]) == ("invoice.issued", "c-1")
    assert held(database) == {}
    [inbox] = database["inbox"].find({"_id": "order.completed:O-1"})
    assert inbox["attempts"] == 2
    await assert_clean(client, database)


async def test_a_packed_order_before_its_account(settings: Settings, client: Client, database: Books) -> None:
    """It waits as it came, packed; the parts of a packed array wait as what they are; all are applied in the end."""
    orders = [order(f"O-{n}", "BA-1") for n in range(3)]
    bodies = [json.dumps(body).encode() for _, body in orders]
    packed = gzip.compress(bodies[0])
    async with working(settings, held_interval_seconds=NEVER):
        await client.send(("order.completed", packed), content_encoding="gzip")
        array = gzip.compress(b"[" + b",".join(bodies[1:]) + b"]")
        await client.send(("order.completed", array), content_encoding="gzip")
        await wait_for(lambda: len(held(database, "waiting")) == 3)
        rows = [held(database, "waiting")[f"order.completed:O-{n}"] for n in range(3)]
        assert [row["body"] for row in rows] == [packed, *bodies[1:]]
        assert [row["properties"]["contentEncoding"] for row in rows] == ["gzip", None, None]
        await client.send(customer("BA-1"))
        await applied(database, 4)
        assert (await client.ask(orders[0]))["outcome"] == "duplicate"
        answer = await client.ask(("order.completed", gzip.compress(bodies[1])), content_encoding="gzip")
        assert answer["outcome"] == "duplicate"
    assert held(database) == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_what_says_that_it_happened_far_in_the_future(
    settings: Settings, client: Client, database: Books
) -> None:
    """It waits until it is no longer far, whatever comes first; what is as far as may be is applied at once."""
    clock = Clock()
    clock.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    async with working(settings, clock=clock, held_interval_seconds=0.05, waiting_seconds_max=2 * 86_400):
        await client.ask(customer("BA-1"))
        near = order("O-1", "BA-1", completedAt="2026-11-29T12:00:00Z")
        assert (await client.ask(near))["outcome"] == "applied"
        day = await client.send_asking(payment("P-1", "BA-1", "1.00", receivedAt="2026-11-30T12:00:00Z"))
        far = await client.send_asking(order("O-2", "BA-1", completedAt="2062-11-22T10:15:00Z"))
        rows = await wait_for(lambda: len(found := held(database, "waiting")) == 2 and found)
        assert {row["reason"] for row in rows.values()} == {"too-early"}
        assert rows["payment.received:P-1"]["dueAt"] == datetime(2026, 11, 23, 12, tzinfo=UTC)
        assert rows["order.completed:O-2"]["dueAt"] == datetime(2026, 11, 24, 12, tzinfo=UTC)
        clock.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        assert (await client.answer(day))["outcome"] == "applied"
        assert list(held(database, "waiting")) == ["order.completed:O-2"]
        clock.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        assert (await client.answer(far))["error"] == {
            "code": "too-early",
            "detail": "completedAt: 2062-11-22T10:15:00.000Z is more than 7 days ahead of 2026-11-24T12:00:00.000Z, "
            "when it was looked at",
        }
        assert (await client.ask(order("O-2", "BA-1", completedAt="2062-11-22T10:15:00Z")))["outcome"] == "parked"
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_what_waits_is_not_asked_at_the_door_again(settings: Settings, client: Client, database: Books) -> None:
    """An order taken in when a field might stand there twice is applied; what could not be read still can't."""
    twice = json.dumps(order("O-1", "BA-1")[1]).encode().replace(b"{", b'{"currency": "EUR", ', 1)
    async with working(settings, held_interval_seconds=NEVER):
        await client.send(order("O-1", "BA-1"))
        await wait_for(lambda: held(database, "waiting"))
        database["held"].update_one({"_id": "order.completed:O-1"}, {"$set": {"body": twice}})
        assert (await client.ask(("order.completed", twice)))["error"]["code"] == "malformed"
        await client.ask(customer("BA-1"))
        await applied(database, 2)
        [parked] = held(database).values()
        assert (parked["state"], parked["reason"]) == ("parked", "malformed")
    await assert_clean(client, database)


async def test_a_day_of_business_in_reverse(settings: Settings, client: Client, database: Books) -> None:
    """Payout, closing, payment and order arrive before their accounts; all are applied, and the books are the same."""
    async with working(settings):
        asked = [
            await client.send_asking(message)
            for message in (
                payout("PO-1", "SA-1", "C-1", "8.00"),
                payment("P-1", "BA-1", "12.00"),
                order("O-1", "BA-1", item(1, "10.00", sold_for="SA-1")),
            )
        ]
        await wait_for(lambda: len(held(database, "waiting")) == 3)
        await client.ask(partner("SA-1"))
        await client.ask(customer("BA-1"))
        assert [answer["outcome"] for answer in await client.answers_to(asked[1:])] == ["applied"] * 2
        assert held(database)["payout.completed:PO-1"]["waitsFor"] == "settlement:C-1"
        await client.ask(closing("C-1", "SA-1"))
        assert await client.answer(asked[0]) == {
            "outcome": "applied",
            "result": {"settlementId": "C-1", "state": "paid"},
        }
    assert position(database, "BA-1") == {}
    assert position(database, "SA-1") == {}
    assert held(database) == {}
    await assert_clean(client, database)


async def test_what_lacks_two_things_waits_for_one_after_the_other(
    settings: Settings, client: Client, database: Books
) -> None:
    """An order without its account and without its partner waits twice, and is answered once."""
    async with working(settings, held_interval_seconds=NEVER):
        asked = await client.send_asking(order("O-1", "BA-1", item(1, "10.00", sold_for="SA-1")))
        await wait_for(lambda: held(database))
        await client.ask(customer("BA-1"))
        await wait_for(lambda: held(database)["order.completed:O-1"]["waitsFor"] == "account:SA-1")
        await client.send(partner("SA-1"))
        assert (await client.answer(asked))["outcome"] == "applied"
    assert len(client.answers) == 2
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_a_thousand_orders_before_their_account(settings: Settings, client: Client, database: Books) -> None:
    """All of them are applied, more than one claim takes, and each gets its number."""
    await client.declare()
    await client.send_all(order(f"O-{n}", "BA-1") for n in range(1000))
    async with working(settings, held_interval_seconds=NEVER):
        await wait_for(lambda: database["held"].count_documents({"state": "waiting"}) == 1000)
        await client.send(customer("BA-1"))
        await applied(database, 1001)
    assert held(database) == {}
    assert position(database, "BA-1") == {"receivable": 1000 * 1200}
    await assert_clean(client, database)
    assert client.counted() == {"account.created": 1, "invoice.issued": 1000}


async def test_what_has_waited_too_long_is_parked(settings: Settings, client: Client, database: Books) -> None:
    """After the settable time a message that still waits is parked with the reason that it waited for, and answered."""
    async with working(settings, waiting_seconds_max=0.5, held_interval_seconds=0.1):
        asked = await client.send_asking(order("O-1", "BA-1"))
        answer = await client.answer(asked)
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "unknown-account")
        # What was parked stays so when the account comes after all: an operator has to look.
        await client.ask(customer("BA-1"))
    [row] = held(database).values()
    assert (row["state"], row["reason"], row["attempts"]) == ("parked", "unknown-account", 2)
    assert row["failedAt"] - row["heldAt"] >= timedelta(seconds=0.5)
    event = await client.event(f"{row['parkedId']}:2")
    assert client.seen("message.parked") == [event]
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_worker_that_starts_takes_up_what_an_earlier_one_left_waiting(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits outlives its worker: one that starts after the account was made applies it at once."""
    async with working(settings):
        await client.send(order("O-1", "BA-1"))
        await wait_for(lambda: held(database, "waiting"))

    async def nobody_wakes(_waker: Waker, _names: Any = None) -> None:
        """The account is made by a worker that looks for nothing."""

    with monkeypatch.context() as patched:
        patched.setattr(Waker, "_wake", nobody_wakes)
        patched.setattr(Waker, "_sweep", nobody_wakes)
        async with working(settings):
            await client.ask(customer("BA-1"))
    assert set(held(database, "waiting")) == {"order.completed:O-1"}
    async with working(settings, held_interval_seconds=NEVER):
        await applied(database, 2)
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
async def test_a_claim_of_a_worker_that_died_runs_out(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was claimed and not finished is taken up again after its lease, and not before."""
    now = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    sweeps = 0
    sweep = Waker._sweep

    async def counted(waker: Waker) -> None:
        nonlocal sweeps
        await sweep(waker)
        sweeps += 1

    monkeypatch.setattr(Waker, "_sweep", counted)
    async with working(settings, held_interval_seconds=0.02, clock=lambda: now):
        await client.send(order("O-1", "BA-1"))
        await wait_for(lambda: held(database, "waiting"))
        lease = {"attempts": 2, "claim": "of-the-dead", "claimedUntil": now + timedelta(seconds=2)}
        database["held"].update_one({}, {"$set": lease})
        await client.ask(customer("BA-1"))
        before = sweeps
        await wait_for(lambda: sweeps >= before + 3)
        assert held(database, "waiting")["order.completed:O-1"]["attempts"] == 2
        now += timedelta(seconds=3)
        await applied(database, 2)
    [inbox] = database["inbox"].find({"_id": "order.completed:O-1"})
    assert (inbox["attempts"], inbox["appliedAt"]) == (3, now)
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_what_waits_in_vain_is_not_tried_without_an_end(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for a thing that is there is tried for it once, and then by each sweep."""
    with monkeypatch.context() as patch:

        def in_vain(*_: Any) -> None:
            raise MustWait("unknown-account", "no account BA-1, as it says", "account:BA-1")

        async with working(settings, held_interval_seconds=NEVER):
            await client.ask(customer("BA-1"))
            patch.setattr(decision, "apply", in_vain)
            await client.send(payment("P-1", "BA-1", "5.00"))
            await wait_for(lambda: [row["attempts"] for row in held(database, "waiting").values()] == [2])
            for n in range(20):
                await client.ask(("no.such", {}), message_id=f"m-{n}")
            assert [row["attempts"] for row in held(database, "waiting").values()] == [2]
        async with working(settings, held_interval_seconds=0.02):
            await wait_for(lambda: all(row["attempts"] > 4 for row in held(database, "waiting").values()))
            patch.undo()
            await applied(database, 2)
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_an_account_created_by_another_worker_at_the_same_moment(
    settings: Settings, client: Client, database: Books
) -> None:
    """Two workers race: whichever of order and account is committed first, the order is applied, without a sweep."""
    rounds = 60 if AT_LENGTH else 40
    changes: dict[str, Any] = {"single_active_consumer": False, "held_interval_seconds": NEVER, "prefetch": 1}
    async with working(settings, **changes), working(settings, **changes):
        for n in range(rounds):
            await asyncio.gather(client.send(order(f"O-{n}", f"BA-{n}")), client.send(customer(f"BA-{n}")))
        await applied(database, 2 * rounds)
    assert held(database) == {}
    assert all(position(database, f"BA-{n}") == {"receivable": 1200} for n in range(rounds))
    await assert_clean(client, database)
