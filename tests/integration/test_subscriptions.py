"""Subscriptions through the worker: what is answered, told, asked for, scheduled and audited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from handlers import days as starter
from handlers.engine import held as waker
from tests.days.test_days import ClockFile
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, facts, held
from tests.support.client import Client
from tests.support.messages import command, customer, monthly, partner, subscribed, subscription
from tests.support.waiting import wait_for
from tests.support.workers import working


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has no second for each look."""
    monkeypatch.setattr(starter, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(starter, "HELD_SECONDS", 0.1)


@pytest.fixture
def clock(tmp_path: Path) -> ClockFile:
    """It is noon of the 22nd of November."""
    found = ClockFile(tmp_path / "clock")
    found.show("2026-11-22T12:00:00Z")
    return found


@pytest.fixture
def by_file(settings: Settings, clock: ClockFile) -> Settings:
    """The settings of workers that go by the file."""
    return settings.model_copy(update={"clock_file": str(clock), "held_interval_seconds": 0.05})


async def until(database: Books, day: str) -> None:
    """Wait until a day is begun."""
    await wait_for(lambda: database["days"].count_documents({"_id": day}) == 1)


async def test_a_subscription_from_its_start_to_its_end(
    by_file: Settings, clock: ClockFile, client: Client, database: Books
) -> None:
    """Each message in and out; what is agreed for later happens by itself; what it was can be asked for."""
    ask = Asker(client)
    async with working(by_file, days=True):
        await until(database, "2026-11-22")
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        made = subscription(
            "S-1",
            "BA-1",
            monthly("P-1", "39.90"),
            monthly("P-2", 5, sold_for="SA-1"),
            start="2026-11-23",
            name="Home",
        )
        answer = await client.ask(made)
        assert answer == {
            "outcome": "applied",
            "result": {"subscriptionId": "S-1", "revision": 1, "state": "pendingActive"},
        }
        assert await client.ask(made) == {**answer, "outcome": "duplicate"}
        changes = {"productPrice": [monthly("P-1", 20)], "name": None}
        answers = [
            await client.ask(one)
            for one in (
                subscribed("change", "S-1", "2026-11-24", ifRevision=1, changes=changes),
                subscribed("suspend", "S-1", "2026-11-25"),
                subscribed("resume", "S-1", "2026-11-26"),
                subscribed("terminate", "S-1", "2026-11-27", ifRevision=4),
                subscribed("terminate", "S-1", "2026-11-27", ifRevision=4),
            )
        ]
        assert [one.get("result", one.get("error", {})).get("revision") for one in answers] == [2, 3, 4, 5, None]
        assert answers[-1]["error"]["code"] == "revision-mismatch"
        turn = "subscription.turn:S-1/5/2026-11-23"
        assert held(database, "scheduled")[turn]["dueAt"] == datetime(2026, 11, 23, tzinfo=UTC)
        for day in (23, 24, 25, 26, 27):
            clock.show(f"2026-11-{day}T00:00:01Z")
            await until(database, f"2026-11-{day}")
        await wait_for(lambda: database["subscriptions"].count_documents({"state": "terminated"}) == 1)
        await wait_for(lambda: not held(database, "scheduled"))
        now = await ask("subscription.get", id="S-1")
        first = await ask("subscription.get", id="S-1", revision=1)
        second = await ask("subscription.get", id="S-1", revision=2, on="2026-11-24")
        early = await ask.answer("subscription.get", {"id": "S-1", "at": "2026-11-22T11:59:59Z"})
        then = await ask("subscription.get", id="S-1", at="2026-11-22T12:00:00Z", on="2026-11-25")
        wrong = [
            (await ask.answer("subscription.get", arguments))["error"]
            for arguments in (
                {"id": "S-9"},
                {"id": "S-1", "revision": 6},
                {"id": "S-1", "revision": 1, "at": "2026-11-22T12:00:00Z"},
            )
        ]
    told = [event for event in client.seen() if event.type.startswith("subscription.")]
    assert [(event.type, event.event["subscription"]["state"]) for event in told] == [
        ("subscription.created", "pendingActive"),
        *[("subscription.changed", "pendingActive")] * 4,
        *[("subscription.state-changed", state) for state in ("active", "suspended", "active", "terminated")],
    ]
    [created, changed, *_] = told
    assert [price["unitPrice"] for price in created.event["subscription"]["productPrice"]] == [39.9, 5]
    assert changed.event["changed"] == ["name", "productPrice"]
    assert (changed.event["changes"]["name"], len(changed.event["changes"]["productPrice"])) == (None, 1)
    assert (now["state"], now["revision"], now["productPrice"][0]["unitPrice"]) == ("terminated", 5, 20)
    assert [(one["kind"], one["effectiveDate"], one["changed"]) for one in now["history"]] == [
        ("change", "2026-11-24", ["name", "productPrice"]),
        ("suspend", "2026-11-25", ["state"]),
        ("resume", "2026-11-26", ["state"]),
        ("terminate", "2026-11-27", ["terminationDate"]),
    ]
    assert (first["state"], first["name"], len(first["productPrice"]), first["history"]) == (
        "pendingActive",
        "Home",
        2,
        [],
    )
    assert (second["state"], "name" in second, second["revision"]) == ("active", False, 2)
    assert (then["state"], then["revision"]) == ("suspended", 5)
    assert [early["error"]["code"], *(one["code"] for one in wrong)] == [*["unknown-subscription"] * 3, "invalid"]
    assert wrong[0]["detail"] == "id: no subscription S-9"
    assert wrong[1]["detail"] == "revision: no subscription S-1 of revision 6"
    await assert_clean(client, database)


async def test_an_account_with_a_subscription_is_not_closed(
    settings: Settings, client: Client, database: Books
) -> None:
    """Nor with one that has ended and is not billed; lists go by id, in pages, and by state."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), customer("BA-2")])
        await applied(database, 2)
        await client.send_all([subscription(f"S-{n}", "BA-1", start="2026-01-31") for n in range(3)])
        await applied(database, 5)
        await client.send(subscribed("terminate", "S-1", "2026-03-01"))
        await applied(database, 6)
        await client.send(command("close", "BA-1"))
        await applied(database, 7)
        first = await ask("subscription.list", billingAccount="BA-1", limit=2)
        rest = await ask("subscription.list", billingAccount="BA-1", limit=2, after=first["after"])
        ended = await ask("subscription.list", billingAccount="BA-1", state="terminated")
        none = await ask("subscription.list", billingAccount="BA-2")
        unknown = await ask.answer("subscription.list", {"billingAccount": "BA-9"})
    [row] = database["accounts"].find({"_id": "BA-1"}, {"state": 1})
    assert row["state"] == "pendingClose"
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ["S-0", "S-1", "S-2"]
    assert rest["after"] is None
    assert [(one["id"], one["state"]) for one in ended["items"]] == [("S-1", "terminated")]
    assert none == {"items": [], "after": None}
    assert unknown["error"]["code"] == "unknown-account"
    await assert_clean(client, database)


async def test_what_a_subscription_needs_may_come_later(settings: Settings, client: Client, database: Books) -> None:
    """In an array: a change waits for its subscription, that for its partner, and both are taken up at once."""
    settings = settings.model_copy(update={"held_interval_seconds": 3_600})
    async with working(settings):
        await client.send(customer("BA-1"))
        changes = [
            {"subscriptionId": "S-1", "effectiveDate": "2026-12-01", "changes": {"name": name}} for name in ("a", "b")
        ]
        await client.send(("subscription.change", changes))
        _, made = subscription("S-1", "BA-1", monthly("P-1", 5, sold_for="SA-1"), start="2026-01-31")
        _, other = subscription("S-2", "BA-1", start="2026-01-31")
        await client.send(("subscription.create", [made, other]))
        await wait_for(
            lambda: (
                sorted(row["waitsFor"] for row in held(database, "waiting").values())
                == ["account:SA-1", "subscription:S-1", "subscription:S-1"]
            )
        )
        await client.send(partner("SA-1"))
        await applied(database, 6)
    [row] = database["subscriptions"].find({"_id": "S-1"})
    assert (row["revision"], [patch["terms"]["name"] for patch in row["patches"]]) == (3, ["a", "b"])
    await assert_clean(client, database)


async def test_details_are_in_the_senders_terms(settings: Settings, client: Client, database: Books) -> None:
    """What is wrong with a price is told by its path, its value, and what would be right."""
    good = monthly("P-1", "39.90")
    usage = {"id": "P-1", "name": "Data", "priceType": "usage", "unitOfMeasure": "GB", "tax": good["tax"]}
    usage["recurringChargePeriodType"] = "month"

    def tiers(*steps: Any) -> dict[str, Any]:
        return {**usage, "tiers": {"mode": "volume", "steps": list(steps)}}

    wrong: list[tuple[Any, str]] = [
        ({**good, "billed": None}, "productPrice.0.billed: is needed"),
        (
            {**good, "amount": 3},
            (
                "productPrice.0.amount: is no field of the priceType recurring, which has unitPrice, billed, "
                "recurringChargePeriodType, quantity, recurringChargePeriodLength (got 3)"
            ),
        ),
        (
            {**good, "recurringChargePeriodLength": 121},
            "productPrice.0.recurringChargePeriodLength: must be at most 120 of the type month (got 121)",
        ),
        (usage, "productPrice.0.unitPrice: is needed, or tiers (got null)"),
        (
            {**tiers({"unitPrice": 1}), "unitPrice": 2},
            "productPrice.0.unitPrice: either this or tiers (got 2)",
        ),
        (
            tiers({"upTo": 5, "unitPrice": 1}, {"upTo": 5, "unitPrice": 1}, {"unitPrice": 1}),
            "productPrice.0.tiers.steps.1.upTo: must be more than 5, to which the step before goes (got 5)",
        ),
        (
            tiers({"upTo": 5, "unitPrice": 1}),
            "productPrice.0.tiers.steps.0.upTo: the last step has no end: leave it out (got 5)",
        ),
        (
            tiers({"unitPrice": 1}, {"unitPrice": 1}),
            "productPrice.0.tiers.steps.0.upTo: is needed: only the last step has no end (got null)",
        ),
        (tiers(*[{"unitPrice": 1}] * 101), "productPrice.0.tiers.steps: holds 101, more than 100"),
    ]
    async with working(settings):
        await client.send(customer("BA-1"))
        answers = [
            await client.ask(subscription(f"S-{n}", "BA-1", price, start="2026-11-22"))
            for n, (price, _) in enumerate(wrong)
        ]
        answers += [
            await client.ask(subscription("S-X", "BA-1", good, good, start="2026-11-22")),
            await client.ask(subscribed("change", "S-1", "2026-11-22", changes={"startDate": "2026-11-23"})),
            await client.ask(subscribed("change", "S-1", "2026-11-22", changes={})),
            await client.ask(subscribed("change", "S-1", "2026-11-22", changes={"productPrice": None})),
        ]
    details = [
        *(detail for _, detail in wrong),
        "productPrice.1.id: is an earlier price's (got 'P-1')",
        "changes.startDate: is no field of this (got '2026-11-23')",
        "changes: must name what is changed (got an object)",
        "changes.productPrice: can't be removed (got null)",
    ]
    assert [one["error"] for one in answers] == [{"code": "invalid", "detail": detail} for detail in details]


@pytest.mark.parametrize("driver", ["motor"])
async def test_subscriptions_by_several_workers_while_days_come(
    by_file: Settings, clock: ClockFile, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes and turns of the same subscriptions, three workers at once, and days in between: the audit holds."""
    # The days go by faster than a slow machine applies messages: none has waited for too long, and no worker is dead.
    span = timedelta(days=30)
    monkeypatch.setattr(waker, "LEASE", span)
    by_file = by_file.model_copy(update={"single_active_consumer": False, "waiting_seconds_max": span.total_seconds()})
    await client.declare(single_active_consumer=False)
    async with working(by_file, days=True), working(by_file, days=True), working(by_file, days=True):
        await until(database, "2026-11-22")
        await client.send_all([customer(f"BA-{n}") for n in range(3)])
        await applied(database, 3)
        start = datetime(2026, 11, 20, tzinfo=UTC)
        days = [str((start + timedelta(days=n)).date()) for n in range(12)]
        sent = [subscription(f"S-{n}", f"BA-{n % 3}", start=days[n % 6]) for n in range(12)]
        for n in range(150):
            kind = ("suspend", "resume", "change", "terminate")[n % 4 if n % 16 else 3]
            more = {"changes": {"name": str(n)}} if kind == "change" else {}
            sent.append(subscribed(kind, f"S-{n * 7 % 12}", days[n % 12], **more))

        async def days_come() -> None:
            for day in days[3:]:
                clock.show(f"{day}T00:00:01Z")
                await until(database, day)

        await asyncio.gather(days_come(), *(client.send(message) for message in sent))
        await wait_for(lambda: decided(database) >= 3 + len(sent), 120)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert {row["reason"] for row in held(database, "parked").values()} <= {"wrong-state", "invalid"}
    await assert_clean(client, database)


def decided(database: Books) -> int:
    """How many of the facts that were sent are applied or parked, once no turn is due."""
    turns = database["inbox"].count_documents({"_id": {"$regex": "^subscription.turn:"}})
    return 0 if held(database, "waiting") else facts(database) - turns + len(held(database, "parked"))
