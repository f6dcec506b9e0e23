"""Subscriptions and usage billed by the worker: what is told, previewed and audited, by one worker and by several."""

from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta
from typing import Any

import pytest

from adapters.settings import Settings
from schemas.billing.queries import unnumbered
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, facts, held, ledger, position
from tests.support.client import Client, Event
from tests.support.messages import (
    charge,
    command,
    customer,
    demand,
    metered,
    monthly,
    order,
    partner,
    payment,
    relationship,
    subscribed,
    subscription,
    usage,
)
from tests.support.one_bill import billed, billed_at_once
from tests.support.steady import AT_LENGTH, at_length
from tests.support.waiting import wait_for
from tests.support.workers import working


def tiered(price_id: str, mode: str, *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A price of usage by tiers, of months."""
    price = metered(price_id, None, tiers={"mode": mode, "steps": list(steps)}, **fields)
    return {name: value for name, value in price.items() if value is not None}


def least(price_id: str, amount: Any) -> dict[str, Any]:
    """A minimum, of months."""
    return {
        "id": price_id,
        "name": "at least",
        "priceType": "minimum",
        "amount": amount,
        "recurringChargePeriodType": "month",
        "tax": {"category": "S", "rate": "0.20"},
    }


def told(client: Client, what: str) -> list[dict[str, Any]]:
    """What `invoice.issued` or `credit-note.issued` said, by number."""
    part = "invoice" if what == "invoice.issued" else "creditNote"
    return sorted((event.event[part] for event in client.seen(what)), key=lambda one: str(one["billNo"]))


def covered(period: dict[str, str]) -> tuple[str, str]:
    """The first day of a period and the first not in it."""
    return period["startDateTime"][:10], period["endDateTime"][:10]


def lines(invoice: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Each line's price, quantity, net, first day and first day not covered, and number and line that it corrects."""
    return [
        (
            line["priceId"],
            line["quantity"],
            line["taxExcludedAmount"]["value"],
            *covered(line["periodCoverage"]),
            *((corrects["billNo"][-1], corrects["lineId"]) if (corrects := line.get("corrects")) else ()),
        )
        for line in invoice["lines"]
    ]


def by_note(client: Client) -> list[tuple[str, str, float]]:
    """Each credit note's id, the invoice that it corrects, and its total with tax."""
    return [
        (note["creditNoteId"], note["correctedBillNo"], note["taxIncludedAmount"]["value"])
        for note in told(client, "credit-note.issued")
    ]


def sequence(event: Event) -> int:
    """The place of an event among its account's."""
    return int(str(event.message.headers["account-sequence"]))


def number(n: int) -> str:
    """The number of the nth invoice."""
    return f"INV-{n:09d}"


async def test_notes_undo_what_their_invoice_took_back(settings: Settings, client: Client, database: Books) -> None:
    """30.00, 40.00 from the 11th, nothing from the 16th: two notes, as they were previewed, give back 20.00."""
    ask = Asker(client)
    async with working(settings):
        await client.send(customer("BA-1"))
        await applied(database, 1)
        await client.send(subscription("S-1", "BA-1", monthly("P-1", 30), start="2026-04-01"))
        await applied(database, 2)
        await client.ask(demand("D-1", "BA-1", "2026-04-01"))
        await client.send(subscribed("change", "S-1", "2026-04-11", changes={"productPrice": [monthly("P-1", 40)]}))
        await applied(database, 4)
        await client.ask(demand("D-2", "BA-1", "2026-04-11"))
        await client.send(subscribed("terminate", "S-1", "2026-04-16"))
        await applied(database, 6)
        preview = await ask("bill.preview", billingAccount="BA-1", billingDate="2026-04-16")
        answer = await client.ask(demand("D-3", "BA-1", "2026-04-16"))
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert answer["result"] == {"state": "done", "billNos": [], "creditNotes": ["CN-000000001", "CN-000000002"]}
    assert by_note(client) == [
        (f"bill.demand:D-3:{number(2)}", number(2), 8),
        (f"bill.demand:D-3:{number(1)}", number(1), 16),
    ]
    assert preview == {"invoices": [], "creditNotes": [unnumbered(one) for one in told(client, "credit-note.issued")]}
    assert position(database, "BA-1") == {"receivable": 2000}
    assert billed(database) == billed_at_once(database, "2026-04-30")
    await assert_clean(client, database)


async def test_a_subscription_to_its_second_bill_and_after(settings: Settings, client: Client, database: Books) -> None:
    """30.00 a month in advance and usage; 60.00 from a day in the past; usage that is late, and that is taken back."""
    async with working(settings):
        await client.send(customer("BA-1"))
        await applied(database, 1)
        prices = monthly("P-1", 30), metered("P-2", "0.50")
        await client.send(subscription("S-1", "BA-1", *prices, start="2026-01-10"))
        await applied(database, 2)
        answer = await client.ask(demand("D-1", "BA-1", "2026-01-10"))
        assert answer["result"] == {"state": "done", "billNo": number(1), "billNos": [number(1)], "creditNotes": []}
        await client.send(usage("U-1", "S-1", 20, "2026-01-15T10:00:00Z", "P-2"))
        changes = {"productPrice": [monthly("P-1", 60), metered("P-2", "0.50")]}
        await client.send(subscribed("change", "S-1", "2026-01-20", changes=changes))
        await applied(database, 5)
        for n, on in ((2, "2026-02-10"), (3, "2026-02-11")):
            answer = await client.ask(demand(f"D-{n}", "BA-1", on))
            assert answer["result"] == {"state": "done", "billNo": number(n), "billNos": [number(n)], "creditNotes": []}
            if n == 2:
                await client.send(usage("U-2", "S-1", 4, "2026-01-31T10:00:00Z", "P-2"))
                await applied(database, 7)
        await client.send(usage("U-3", "S-1", -14, "2026-01-15T10:00:00Z", "P-2"))
        await applied(database, 9)
        answer = await client.ask(demand("D-4", "BA-1", "2026-02-12"))
        assert answer["result"] == {"state": "done", "billNos": [], "creditNotes": ["CN-000000001", "CN-000000002"]}
        again = await client.ask(demand("D-5", "BA-1", "2026-02-12"))
        assert again["result"] == {"state": "done", "billNos": [], "creditNotes": []}
    first, second, third = told(client, "invoice.issued")
    assert lines(first) == [("P-1", 1, 30, "2026-01-10", "2026-02-10")]
    assert covered(first["billingPeriod"]) == ("2026-01-10", "2026-02-10")
    # 10 of 31 days at 30.00 are 9.68, the 21 others at 60.00 are 60.00 less 19.35.
    assert lines(second) == [
        ("P-1", 1, -20.32, "2026-01-10", "2026-02-10", "1", "1"),
        ("P-1", 1, 40.65, "2026-01-20", "2026-02-10"),
        ("P-1", 1, 60, "2026-02-10", "2026-03-10"),
        ("P-2", 20, 10, "2026-01-10", "2026-02-10"),
    ]
    assert covered(second["billingPeriod"]) == ("2026-01-10", "2026-03-10")
    assert (second["runType"], "orderId" in second) == ("offCycle", False)
    assert {(line["subscriptionId"], line["billingAccount"]["id"]) for line in second["lines"]} == {("S-1", "BA-1")}
    assert lines(third) == [("P-2", 4, 2, "2026-01-10", "2026-02-10")]
    # 14 units too many were 7.00: the 2.00 of the last bill first, then 5.00 of the one before.
    assert sorted(by_note(client)) == [
        (f"bill.demand:D-4:{number(2)}", number(2), 6),
        (f"bill.demand:D-4:{number(3)}", number(3), 2.4),
    ]
    net = 3000 + 9033 + 200 - 700
    # The tax of 90.33 is 18.07.
    assert position(database, "BA-1") == {"receivable": 3600 + 10840 + 240 - 840}
    assert ledger(database)["revenue"] == -net
    assert sum(billed(database).values()) == net
    assert billed(database) == billed_at_once(database, "2026-02-12")
    await assert_clean(client, database)


async def test_the_payer_is_billed_and_what_it_paid_for_goes_back_to_it(
    settings: Settings, client: Client, database: Books
) -> None:
    """Two accounts on one bill; after another one pays, what is taken back is a note of the first payer's invoice."""
    async with working(settings):
        await client.send_all([customer("BA-P"), customer("BA-Q"), partner("SA-1", "0.6")])
        await applied(database, 3)
        first = relationship("payer", "BA-P", until="2026-02-01T00:00:00Z")
        then = relationship("payer", "BA-Q", since="2026-02-01T00:00:00Z")
        await client.send_all([customer(f"BA-{n}", accountRelationship=[first, then]) for n in (1, 2)])
        await applied(database, 5)
        sold = monthly("P-1", 10, sold_for="SA-1"), metered("P-2", 1)
        await client.send_all([subscription(f"S-{n}", f"BA-{n}", *sold, start="2026-01-01") for n in (1, 2)])
        await applied(database, 7)
        await client.send(usage("U-1", "S-2", 7, "2026-01-15T10:00:00Z", "P-2"))
        await client.ask(demand("D-1", "BA-P", "2026-01-20"))
        nothing = await client.ask(demand("D-2", "BA-1", "2026-01-20"))
        await client.send(subscribed("terminate", "S-1", "2026-01-01"))
        await applied(database, 11)
        answer = await client.ask(demand("D-3", "BA-Q", "2026-02-01"))
        late = await client.ask(demand("D-4", "BA-P", "2026-02-01"))
    assert nothing["result"] == late["result"] == {"state": "done", "billNos": [], "creditNotes": []}
    assert answer["result"] == {
        "state": "done",
        "billNo": number(2),
        "billNos": [number(2)],
        "creditNotes": ["CN-000000001"],
    }
    january, february = told(client, "invoice.issued")
    assert january["billingAccount"]["id"] == "BA-P"
    assert february["billingAccount"]["id"] == "BA-Q"
    accounts = [[line["billingAccount"]["id"] for line in one["lines"]] for one in (january, february)]
    assert accounts == [["BA-1", "BA-2"], ["BA-2", "BA-2"]]
    assert lines(february) == [
        ("P-1", 1, 10, "2026-02-01", "2026-03-01"),
        ("P-2", 7, 7, "2026-01-01", "2026-02-01"),
    ]
    assert by_note(client) == [(f"bill.demand:D-3:{number(1)}", number(1), 12)]
    assert position(database, "BA-P") == {"receivable": 1200}
    assert position(database, "BA-Q") == {"receivable": 2040}
    assert position(database, "SA-1") == {"payable": 2 * 600}
    assert billed(database) == billed_at_once(database, "2026-02-01")
    await assert_clean(client, database)


async def test_a_long_bill_that_others_run_across(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lines a bill, and days for periods: between its parts another demand, changes, and usage that is late."""
    monkeypatch.setattr("domain.billing.gathering.LINES_MAX", 3)
    monkeypatch.setattr("domain.billing.composing.LINES_MAX", 3)
    daily = {"recurringChargePeriodType": "day"}
    await client.declare()
    async with working(settings):
        await client.send(customer("BA-1"))
        await applied(database, 1)
        prices = monthly("P-1", 1, **daily), metered("P-2", 1, **daily)
        await client.send_all([subscription(f"S-{n}", "BA-1", *prices, start="2026-01-01") for n in (1, 2)])
        await applied(database, 3)
        records = [usage(f"U-{n}", "S-1", 1, f"2026-01-{n:02}T10:00:00Z", "P-2") for n in range(1, 9)]
        await client.send_all(records)
        await applied(database, 11)
    # They are one batch: what the first leaves to do is done after all of them.
    changes = {"productPrice": [monthly("P-1", 3, **daily), metered("P-2", 1, **daily)]}
    await client.send(demand("D-1", "BA-1", "2026-01-10"))
    await client.send(subscribed("change", "S-2", "2026-01-03", changes=changes))
    await client.send(usage("U-late", "S-1", 5, "2026-01-02T10:00:00Z", "P-2"))
    await client.send(demand("D-2", "BA-1", "2026-01-10"))
    await client.send(subscribed("terminate", "S-1", "2026-01-09"))
    async with working(settings):
        await wait_for(lambda: database["billsOnDemand"].count_documents({"state": "done"}) == 2)
        await wait_for(lambda: not held(database))
        answer = await client.ask(demand("D-3", "BA-1", "2026-01-10"))
        await wait_for(lambda: database["billsOnDemand"].count_documents({"state": "done"}) == 3)
        nothing = await client.ask(demand("D-4", "BA-1", "2026-01-10"))
    made = sorted(client.seen("bill-on-demand.state-changed"), key=sequence)
    ids = [event.event["customerBillOnDemand"]["id"] for event in made]
    assert (ids[:2], "D-1" in ids[2:]) == (["D-1", "D-2"], True)
    assert len(made) > 10
    assert all(len(invoice["lines"]) <= 3 for invoice in told(client, "invoice.issued"))
    assert answer["outcome"] == "applied"
    assert nothing["result"] == {"state": "done", "billNos": [], "creditNotes": []}
    assert billed(database) == billed_at_once(database, "2026-01-10")
    # 8 days at 1.00 and 13 units; two days at 1.00 and 8 at 3.00.
    assert sum(billed(database).values()) == 800 + 1300 + 200 + 2400
    assert position(database, "BA-1")["receivable"] - position(database, "BA-1").get("unapplied", 0) == 4700 * 6 // 5
    await assert_clean(client, database)


async def test_the_last_bill_closes_an_account(settings: Settings, client: Client, database: Books) -> None:
    """That it has nothing more to bill, or what it owed is credited; or its last bill is paid. Then it has no more."""
    arrears = monthly("P-1", 31, billed="inArrears")
    async with working(settings):
        await client.send_all([customer(f"BA-{n}") for n in (1, 2, 3)])
        await applied(database, 3)
        await client.send_all(
            [
                subscription("S-1", "BA-1", monthly("P-1", 31), start="2026-01-01"),
                subscription("S-2", "BA-2", arrears, start="2026-01-01"),
                subscription("S-3", "BA-3", arrears, start="2026-01-01"),
            ]
        )
        await applied(database, 6)
        await client.ask(demand("D-1", "BA-1", "2026-01-01"))
        await client.send_all([command("close", f"BA-{n}") for n in (1, 2, 3)])
        await applied(database, 10)
        states = {row["_id"]: row["state"] for row in database["accounts"].find()}
        assert states == {f"BA-{n}": "pendingClose" for n in (1, 2, 3)}
        ends = {1: "2026-01-01", 2: "2026-01-11", 3: "2026-01-01"}
        await client.send_all([subscribed("terminate", f"S-{n}", on) for n, on in ends.items()])
        await applied(database, 13)
        answers = [await client.ask(demand(f"D-last-{n}", f"BA-{n}", "2026-01-31")) for n in (1, 2, 3)]
        await client.ask(payment("P-1", "BA-2", 12))
        refused = [
            await client.ask(message)
            for message in (
                demand("D-9", "BA-1", "2026-02-28"),
                subscription("S-9", "BA-1", start="2026-02-01"),
                usage("U-9", "S-2", 1, "2026-01-02T10:00:00Z"),
            )
        ]
    assert [answer["result"] for answer in answers] == [
        {"state": "done", "billNos": [], "creditNotes": ["CN-000000001"]},
        {"state": "done", "billNo": number(2), "billNos": [number(2)], "creditNotes": []},
        {"state": "done", "billNos": [], "creditNotes": []},
    ]
    closed = {event.event["account"]["id"]: event.content for event in client.seen("account.closed")}
    assert closed.keys() == {"BA-1", "BA-2", "BA-3"}
    assert [answer["error"]["code"] for answer in refused] == ["account-closed"] * 3
    assert [position(database, f"BA-{n}") for n in (1, 2, 3)] == [{}, {}, {}]
    await assert_clean(client, database)


def standing(database: Books) -> dict[str, list[Any]]:
    """All that is in the database, but for what a worker says of itself."""
    names = set(database.list_collection_names()) - {"workers"}
    return {name: list(database[name].find().sort("_id")) for name in sorted(names)}


KINDS = ("plan", "usage", "usage", "late", "back", "suspend", "resume", "charge")


class Traffic:
    """Subscriptions of an account and of those that it pays for, and what happens to them, drawn by lot."""

    def __init__(self, seed: int, accounts: list[str], first: date) -> None:
        self.lots = random.Random(seed)
        self.accounts = accounts
        self.first = first
        self.count = 0
        self.live: list[str] = []

    def day(self, most: int = 59, least: int = 0) -> str:
        """A day of the first two months."""
        return str(self.first + timedelta(days=self.lots.randrange(least, most + 1)))

    def prices(self) -> list[dict[str, Any]]:
        """What a subscription costs: by the month or the week, in advance or in arrears, and by usage."""
        lots = self.lots
        steps = {"upTo": 10, "unitPrice": "0.333", "flatFee": 1}, {"unitPrice": "0.25"}
        fixed = monthly(
            "P-1",
            lots.choice(("30", "19.95", "0.07")),
            billed=lots.choice(("inAdvance", "inArrears")),
            recurringChargePeriodType=lots.choice(("month", "week")),
        )
        by_unit = metered("P-2", "0.07"), tiered("P-2", "graduated", *steps), tiered("P-2", "volume", *steps)
        found = [fixed, lots.choice(by_unit)]
        if lots.random() < 0.5:
            found.append(least("P-3", "25"))
        return found

    def begin(self) -> tuple[str, Any]:
        """A new subscription."""
        name = f"S-{len(self.live)}"
        self.live.append(name)
        return subscription(name, self.lots.choice(self.accounts), *self.prices(), start=self.day(10))

    def message(self, kind: str) -> tuple[str, Any]:
        """The next message about one of the subscriptions; of some it will turn out that they are refused."""
        self.count += 1
        name = self.lots.choice(self.live)
        if kind == "plan":
            return subscribed("change", name, self.day(), changes={"productPrice": self.prices()})
        if kind == "suspend" and self.lots.random() < 0.2:
            return subscribed("terminate", name, self.day(59, 50))
        if kind in ("suspend", "resume"):
            return subscribed(kind, name, self.day(59, 30))
        if kind == "charge":
            return charge(f"C-{self.count}", self.lots.choice(self.accounts), "0.33", date=self.day())
        quantity = str(-self.lots.randrange(1, 4) if kind == "back" else self.lots.randrange(1, 9))
        day = self.first + timedelta(days=self.lots.choice((11, 12, 28) if kind == "late" else (12, 28, 31, 40)))
        return usage(f"U-{self.count}", name, quantity, f"{day}T10:00:00Z", "P-2")


REFUSED = {"wrong-state", "invalid"}
"""What becomes of some of the changes and corrections, which are drawn by lot."""


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, at_length(2)])
async def test_a_preview_is_the_bill_that_then_comes(
    settings: Settings, client: Client, database: Books, seed: int
) -> None:
    """Of subscriptions, usage and charges, with what is taken back and credited; and it writes nothing at all."""
    ask = Asker(client)
    traffic = Traffic(seed, ["BA-P", "BA-1", "BA-2"], date(2026, 1, 1))
    made = 0
    async with working(settings):
        await client.send(customer("BA-P"))
        await applied(database, 1)
        payer = relationship("payer", "BA-P")
        await client.send_all([customer(f"BA-{n}", accountRelationship=[payer]) for n in (1, 2)])
        await client.send_all([order("O-1", "BA-P"), payment("P-1", "BA-P", 100)])
        await applied(database, 5)
        for _ in range(6):
            await client.ask(traffic.begin())
        for n in range(12):
            messages = [traffic.message(kind) for kind in traffic.lots.choices(KINDS, k=6)]
            asked = [await client.send_asking(message) for message in messages]
            for answer in await client.answers_to(asked):
                assert answer["outcome"] == "applied" or answer["error"]["code"] in REFUSED, answer
            on = traffic.day(75)
            await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
            before = standing(database)
            preview = await ask("bill.preview", billingAccount="BA-P", billingDate=on)
            assert await ask("bill.preview", billingAccount="BA-P", billingDate=on) == preview
            assert standing(database) == before
            answer = await client.ask(demand(f"D-{n}", "BA-P", on))
            assert answer["result"]["state"] == "done", answer
            cause = f"bill.demand:D-{n}"
            await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
            numbers = {row["billNo"] for row in database["billsOnDemand"].find({"_id": f"D-{n}"})} - {None}
            issued = [unnumbered(one) for one in told(client, "invoice.issued") if one["billNo"] in numbers]
            noted = [
                unnumbered(event.event["creditNote"])
                for event in client.seen("credit-note.issued")
                if event.message.headers["causation-id"] == cause
            ]
            assert preview == {"invoices": issued, "creditNotes": noted}, n
            made += len(issued) + len(noted)
        await client.send_all(
            [charge("C-room", "BA-P", 1_000, date="2026-02-01"), demand("D-end", "BA-P", "2026-06-30")]
        )
        await wait_for(lambda: database["billsOnDemand"].count_documents({"_id": "D-end"}) == 1)
    assert made >= 8
    assert billed(database) == billed_at_once(database, "2026-06-30")
    await assert_clean(client, database)


@pytest.mark.long
@pytest.mark.parametrize("driver", ["motor"])
async def test_subscriptions_are_billed_by_three_workers_at_once(
    settings: Settings, client: Client, database: Books
) -> None:
    """Changed, used and billed at the same time, by demands on two payers: what one bill would have, and no more."""
    settings = settings.model_copy(update={"single_active_consumer": False, "prefetch": 20})
    await client.declare(single_active_consumer=False)
    traffic = Traffic(7, ["BA-P", "BA-1", "BA-2", "BA-3"], date(2026, 1, 1))
    async with working(settings), working(settings), working(settings):
        await client.send(customer("BA-P"))
        await applied(database, 1)
        payer = relationship("payer", "BA-P")
        await client.send_all([customer(f"BA-{n}", accountRelationship=[payer]) for n in (1, 2)])
        await client.send(customer("BA-3"))
        await applied(database, 4)
        sent = [traffic.begin() for _ in range(12)]
        await client.send_all(sent)
        await applied(database, 16)
        for n in range(150 if AT_LENGTH else 100):
            sent.append(traffic.message(KINDS[n % len(KINDS)]))
            if n % 3 == 0:
                sent.append(demand(f"D-{n}", "BA-3" if n % 9 == 0 else "BA-P", traffic.day(75)))
        repeated = [message for message in sent[12::9] if not message[0].startswith("subscription.")]
        await asyncio.gather(*(client.send(message) for message in [*sent[12:], *repeated]))
        await wait_for(lambda: settled(database) >= 4 + len(sent), 240, lambda: (settled(database), len(sent)))
        last = [charge(f"C-{account}", account, 10_000, date="2026-02-01") for account in ("BA-P", "BA-3")]
        await client.send_all(last)
        await wait_for(lambda: settled(database) >= 6 + len(sent))
        await client.send_all([demand("D-last-P", "BA-P", "2026-06-30"), demand("D-last-3", "BA-3", "2026-06-30")])
        await wait_for(lambda: settled(database) >= 8 + len(sent))
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    assert {row["reason"] for row in held(database, "parked").values()} <= REFUSED
    for kind, least_ in (("usage.record", 30), ("subscription.change", 10), ("bill.demand", 30)):
        assert database["inbox"].count_documents({"_id": {"$regex": f"^{kind}:"}}) > least_, kind
    assert database["creditNotes"].count_documents({}) > 0
    assert database["subscriptions"].count_documents({"recheckFrom": {"$ne": None}}) == 0
    assert billed(database) == billed_at_once(database, "2026-06-30")
    charged = sum(row["net"] for row in database["charges"].find())
    assert -ledger(database)["revenue"] == sum(billed(database).values()) + charged
    await assert_clean(client, database)


def settled(database: Books) -> int:
    """How many of the facts that were sent are applied or parked."""
    ours = database["inbox"].count_documents({"_id": {"$regex": "^(bill.continue|subscription.turn):"}})
    return facts(database) - ours + len(held(database, "parked"))
