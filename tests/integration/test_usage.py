"""Usage through the worker: in arrays, by several workers, asked for in pages, and by the audit."""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, held
from tests.support.client import Client
from tests.support.messages import agent_of, customer, demand, metered, subscribed, subscription, usage
from tests.support.waiting import wait_for
from tests.support.workers import working


def counted(database: Books) -> dict[str, tuple[int, dict[str, Decimal]]]:
    """Each month: how many records, and what was used on each day."""
    return {
        row["_id"]: (row["count"], {one["day"]: Decimal(one["quantity"]) for one in row["days"]})
        for row in database["usageMonths"].find()
    }


async def test_usage_alone_and_in_an_array(settings: Settings, client: Client, database: Books) -> None:
    """What is answered, counted and refused; that it comes twice, or before its subscription, changes nothing."""
    ask = Asker(client)
    prices = metered("P-1", "0.10"), metered("P-2", "5")
    async with working(settings, time_zone="America/New_York", held_interval_seconds=3_600):
        await client.send(customer("BA-1"))
        await applied(database, 1)
        early = usage("U-0", "S-1", "2.5", "2026-11-01T03:59:59Z")
        await client.send(("usage.record", [early[1], usage("U-1", "S-1", 1, "2026-11-01T04:00:00Z")[1]]))
        await wait_for(lambda: len(held(database)) == 2)
        await client.send(subscription("S-1", "BA-1", *prices, start="2026-10-01"))
        await applied(database, 4)
        assert await client.ask(early) == {
            "outcome": "duplicate",
            "result": {"subscriptionId": "S-1", "priceId": "P-1", "date": "2026-10-31"},
        }
        answers = [
            await client.ask(one)
            for one in (
                usage("U-2", "S-1", "-0.5", "2026-11-01T05:00:00Z"),
                usage("U-3", "S-1", "-0.6", "2026-11-01T05:00:00Z"),
                usage("U-4", "S-1", 1, "2026-11-01T05:00:00Z", "P-3"),
                usage("U-0", "S-1", 3, "2026-11-01T03:59:59Z"),
                usage("U-5", "S-1", 7, "2026-11-02T05:00:00Z", "P-2"),
            )
        ]
        assert [one.get("error", {}).get("code", one["outcome"]) for one in answers] == [
            "applied",
            "wrong-state",
            "wrong-state",
            "conflicting-duplicate",
            "applied",
        ]
        assert answers[2]["error"]["detail"] == "priceId: on 2026-11-01 subscription S-1 has no price P-3"
        listed = await ask("usage.list", subscriptionId="S-1")
        first = await ask("usage.list", subscriptionId="S-1", limit=2)
        rest = await ask("usage.list", subscriptionId="S-1", limit=2, after=first["after"])
        of_price = await ask("usage.list", subscriptionId="S-1", priceId="P-2")
        of_days = [
            [one["usageId"] for one in (await ask("usage.list", subscriptionId="S-1", **between))["items"]]
            for between in (
                {"to": "2026-10-31"},
                {"from": "2026-11-01", "to": "2026-11-01"},
                {"from": "2026-11-02"},
                {"from": "0001-01-01", "to": "9999-12-31"},
            )
        ]
        unknown = await ask.answer("usage.list", {"subscriptionId": "S-9"})
    assert listed["items"][0] == {
        "usageId": "U-0",
        "subscriptionId": "S-1",
        "priceId": "P-1",
        "usageDate": "2026-11-01T03:59:59.000Z",
        "date": "2026-10-31",
        "quantity": 2.5,
        "bookedAt": listed["items"][0]["bookedAt"],
    }
    assert [one["usageId"] for one in listed["items"]] == ["U-0", "U-1", "U-2", "U-5"]
    assert [first["items"] + rest["items"], rest["after"]] == [listed["items"], None]
    assert [one["usageId"] for one in of_price["items"]] == ["U-5"]
    assert of_days == [["U-0"], ["U-1", "U-2"], ["U-5"], ["U-0", "U-1", "U-2", "U-5"]]
    assert unknown["error"] == {"code": "unknown-subscription", "detail": "subscriptionId: no subscription S-9"}
    assert counted(database) == {
        "S-1/P-1/2026-10": (1, {"2026-10-31": Decimal("2.5")}),
        "S-1/P-1/2026-11": (2, {"2026-11-01": Decimal("0.5")}),
        "S-1/P-2/2026-11": (1, {"2026-11-02": Decimal(7)}),
    }
    assert {event.type for event in client.events} == {"account.created", "subscription.created", "message.parked"}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_usage_of_long_ago_is_listed(settings: Settings, client: Client, database: Books) -> None:
    """Page by page, from a time before 1970 on, which is 1970 where the seller is."""
    ask = Asker(client)
    times = ["1969-12-31T15:00:00Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"]
    async with working(settings, time_zone="Asia/Tokyo"):
        await client.send(customer("BA-1"))
        await client.send(subscription("S-1", "BA-1", metered("P-1", 1), start="1970-01-01"))
        await client.send_all([usage(f"U-{n}", "S-1", n, at) for n, at in enumerate(times)])
        await applied(database, 5)
        found, after = [], None
        while True:
            page = await ask("usage.list", subscriptionId="S-1", limit=1, after=after)
            found += [one["usageId"] for one in page["items"]]
            if (after := page["after"]) is None:
                break
    assert found == ["U-0", "U-1", "U-2"]
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_usage_of_a_line_is_what_made_it(settings: Settings, client: Client, database: Books) -> None:
    """January at 1.00, from the 11th at 2.00, from the 21st at 1.00 again: the line at 1.00 has 20 units of 30."""
    ask = Asker(client)
    used = [usage(f"U-{n}", "S-1", 10, f"2026-01-{day:02}T10:00:00Z") for n, day in enumerate((3, 13, 23))]

    async def changed(on: str, price: str) -> None:
        await client.send(subscribed("change", "S-1", on, changes={"productPrice": [metered("P-1", price)]}))

    async def bill(on: str) -> list[Any]:
        """The lines of a bill: price, quantity, net, and the records that made each."""
        made = (await client.ask(demand(f"D-{on}", "BA-1", on)))["result"]
        lines = (await ask("invoice.get", billNo=made["billNo"]))["lines"]
        found = []
        for line in lines:
            listed = await ask("usage.list", billNo=made["billNo"], lineId=line["id"])
            net, quantity = line["taxExcludedAmount"]["value"], line["quantity"]
            found.append((line["unitPrice"], quantity, net, [one["usageId"] for one in listed["items"]]))
        return found

    async with working(settings):
        await client.send(customer("BA-1"))
        await client.send(subscription("S-1", "BA-1", metered("P-1", "1"), start="2026-01-01"))
        await changed("2026-01-11", "2")
        await changed("2026-01-21", "1")
        await client.send_all(used)
        await applied(database, 7)
        first = await bill("2026-02-01")
        # What comes late counts at the rate of its own day.
        await client.send(usage("U-3", "S-1", 1, "2026-01-05T10:00:00Z"))
        await client.send(usage("U-4", "S-1", 2, "2026-01-15T10:00:00Z"))
        await applied(database, 10)
        second = await bill("2026-02-02")
        await client.send(usage("U-5", "S-1", 5, "2026-01-17T10:00:00Z"))
        await applied(database, 12)
        third = await bill("2026-02-03")
        # From the 16th at 1.00: what was used on the 13th stays at 2.00.
        await changed("2026-01-16", "1")
        await client.send(usage("U-6", "S-1", 100, "2026-01-28T10:00:00Z"))
        await applied(database, 15)
        fourth = await bill("2026-02-04")
    assert first == [(1, 20, 20, ["U-0", "U-2"]), (2, 10, 20, ["U-1"])]
    assert second == [(1, 1, 1, ["U-3"]), (2, 2, 4, ["U-4"])]
    assert third == [(2, 5, 10, ["U-5"])]
    # 5 units of the 17th and 100 of the 28th; what they came to at 2.00 is taken back of its line.
    assert sorted(fourth) == [(-10, 1, -10, ["U-5"]), (1, 105, 105, ["U-5", "U-6"])]
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_usage_of_a_sellers_line_is_its_own(settings: Settings, client: Client, database: Books) -> None:
    """Of one demand line 1 of our bill has what we sell, and line 1 of the partner's what is sold in its name."""
    ask = Asker(client)
    prices = metered("P-1", "1"), metered("P-2", "2", onBehalfOf={"id": "SA-1"})
    async with working(settings):
        await client.send_all([customer("BA-1"), agent_of("SA-1")])
        await client.send(subscription("S-1", "BA-1", *prices, start="2026-01-01"))
        await client.send_all([usage(f"U-{n}", "S-1", n, "2026-01-05T10:00:00Z", f"P-{n}") for n in (1, 2)])
        await applied(database, 5)
        made = (await client.ask(demand("D-1", "BA-1", "2026-02-01")))["result"]
        found = {}
        for bill_no in made["billNos"]:
            listed = await ask("usage.list", billNo=bill_no, lineId="1")
            shown = await ask("invoice.get", billNo=bill_no, breakdown=True)
            [part] = shown["breakdown"]
            found[bill_no] = ([one["usageId"] for one in listed["items"]], part["priceId"])
    assert found == {"INV-000000001": (["U-1"], "P-1"), "SA-1-000000001": (["U-2"], "P-2")}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_usage_of_one_subscription_by_three_workers(settings: Settings, client: Client, database: Books) -> None:
    """Nine hundred records of one month, alone and in arrays, every fifth twice: sums and numbers lose none."""
    lots = random.Random(1)
    days: dict[str, Decimal] = defaultdict(Decimal)
    records = []
    for n in range(900):
        day, quantity = f"2026-11-{lots.randrange(1, 23):02}", Decimal(lots.randrange(1, 1_000)) / 100
        days[day] += quantity
        records.append(usage(f"U-{n}", "S-1", str(quantity), f"{day}T10:00:00Z")[1])
    bodies = [records[n : n + 10] for n in range(0, 600, 10)]
    letters: list[tuple[str, Any]] = [("usage.record", body) for body in [*bodies, *records[600:], *records[::5]]]
    lots.shuffle(letters)
    setup = [customer("BA-1"), subscription("S-1", "BA-1", metered("P-1", 1), start="2026-11-01")]
    await client.declare(single_active_consumer=False)
    await client.send_all([*letters[:50], *setup, *letters[50:]])
    async with AsyncExitStack() as stack:
        # A prefetch below the number of messages, so that each gets a part of them.
        changes: dict[str, Any] = {"single_active_consumer": False, "prefetch": 20}
        for _ in range(3):
            await stack.enter_async_context(working(settings, **changes))
        await applied(database, len(records) + len(setup))
    assert held(database) == {}
    assert counted(database) == {"S-1/P-1/2026-11": (900, days)}
    numbers = sorted(row["number"] for row in database["usageRecords"].find({}, {"number": 1}))
    assert numbers == list(range(1, 901))
    await assert_clean(client, database)
