"""The queries: what they answer, of now and of the past, page by page, and what becomes of those that can't be."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from pymongo import MongoClient

from adapters import queries
from adapters.accounts.queries.standings import standings
from adapters.settings import Settings
from handlers.engine import queries as answering
from handlers.worker import Worker
from schemas.accounts.queries import AccountGet
from tests.support.books import Books, Document, assert_all_published, assert_clean
from tests.support.client import Client
from tests.support.failpoints import failing
from tests.support.messages import (
    account,
    closing,
    command,
    customer,
    eur,
    item,
    order,
    partner,
    payment,
    payout,
    relationship,
    update,
)
from tests.support.waiting import wait_for
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])
START = datetime(2026, 11, 22, 10, 30, 0, 123000, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def forward(self, **by: float) -> None:
        """Let time pass, of a `timedelta`'s units."""
        self.now += timedelta(**by)


def rfc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Asker:
    """Asks queries as any client does."""

    client: Client

    async def send(self, name: str | None, arguments: Any, **properties: Any) -> str:
        """Ask without waiting; returns the correlation id."""
        body = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        properties = {
            "reply_to": self.client.replies_to,
            "correlation_id": uuid4().hex,
            "content_type": "application/json",
            "user_id": self.client.user_id,
            **properties,
        }
        message = aio_pika.Message(body, type=name, **properties)
        if self.client.user_id is None:
            await self.client.channel.default_exchange.publish(message, "paymaster.queries", mandatory=True)
        else:  # with an access file there is one way
            exchange = await self.client.channel.get_exchange("paymaster.ask", ensure=False)
            await exchange.publish(message, name or "", mandatory=True)
        return str(properties["correlation_id"])

    async def answer(self, name: str | None, arguments: Any, **properties: Any) -> dict[str, Any]:
        """The whole answer."""
        return await self.client.answer(await self.send(name, arguments, **properties))

    async def __call__(self, query: str, **arguments: Any) -> Any:
        """The result of a query; `at_type` stands for `@type`, `since` and `until` for `from` and `to`."""
        names = {"at_type": "@type", "since": "from", "until": "to"}
        answer = await self.answer(query, {names.get(name, name): value for name, value in arguments.items()})
        assert "result" in answer, answer
        return answer["result"]

    async def error(self, query: str | None, arguments: Any) -> tuple[str, str]:
        """Code and detail of a query that is not answered."""
        answer = await self.answer(query, arguments)
        assert set(answer) == {"error"}, answer
        assert set(answer["error"]) == {"code", "detail"}
        return answer["error"]["code"], answer["error"]["detail"]

    async def all(
        self, query: str, limit: int, between: Callable[[], Any] | None = None, **arguments: Any
    ) -> list[Any]:
        """The items of all pages; `between` is done after each."""
        items: list[Any] = []
        after = None
        while True:
            page = await self(query, limit=limit, **arguments, **({"after": after} if after else {}))
            assert len(page["items"]) <= limit
            items += page["items"]
            after = page["after"]
            if after is None:
                return items
            if between is not None:
                await between()


@asynccontextmanager
async def business(settings: Settings, client: Client, **changes: Any) -> AsyncIterator[tuple[Asker, Clock, Worker]]:
    """A worker with a clock, and one who asks it."""
    clock = Clock()
    async with working(settings, clock=clock, **changes) as worker:
        yield Asker(client), clock, worker


async def say(client: Client, *messages: Any) -> None:
    """Messages whose outcome is awaited, in order."""
    for message in messages:
        answer = await client.ask(message)
        assert answer["outcome"] == "applied", answer


def balances(document: dict[str, Any]) -> dict[str, Any]:
    return {one["balanceType"]: one["amount"]["value"] for one in document["accountBalance"]}


def zeros(*names: str, **others: Any) -> dict[str, Any]:
    """Zero of those, and of what no day here has: something to give back, or held back; and the others."""
    if {"receivable", "unapplied"} <= {*names, *others}:
        names = (*names, "refundable", "recoverable")
    if {"payable", "withheld"} <= {*names, *others}:
        names = (*names, "reserve", "advance")
    return {**{name: eur(0.0) for name in names}, **{name: eur(value) for name, value in others.items()}}


ALL = ("receivable", "unapplied", "overdue", "payable", "withheld")
BILLING = {"financialAccount": {"id": "FA-1"}}


async def test_each_query_answers(settings: Settings, client: Client, database: Books) -> None:
    """The answers to all queries, to the letter, after a day of business."""
    async with business(settings, client) as (ask, clock, _):
        await say(
            client,
            ("bill-format.create", {"id": "BF-1", "name": "Übersicht"}),
            account("FinancialAccount", "FA-1"),
            account("PartyAccount", "PA-1"),
            partner("SA-1"),
            customer("BA-2", **BILLING),
            customer("BA-1", accountRelationship=[relationship("contains", "BA-2")], **BILLING),
            order("O-1", "BA-1", item(1, "39.90"), item(2, 3.99, quantity=2, sold_for="SA-1")),
        )
        clock.forward(days=40)
        await say(client, payment("P-1", "BA-1", 7.46), order("O-2", "BA-2"), payment("P-2", "BA-2", 20))
        await say(client, closing("C-1", "SA-1", "2026-12-31"), payout("PO-1", "SA-1", "C-1", 1))
        await say(client, command("suspend", "BA-2", reason="asked for it"))

        found = await ask("account.get", id="BA-1")
        created = (await client.event("BA-1:1")).event["account"]
        assert found == {
            **created,
            "revision": 1,
            "state": "active",
            "lastUpdate": rfc(START),
            "accountBalance": [
                {"@type": "AccountBalance", "balanceType": name, "amount": eur(value)}
                for name, value in (
                    ("receivable", 50.0),
                    ("unapplied", 0.0),
                    ("refundable", 0.0),
                    ("recoverable", 0.0),
                    ("overdue", 50.0),
                )
            ],
            "paymentStatus": "inArrears",
        }
        assert (found["currency"], found["paymentTermDays"]) == ("EUR", 30)
        suspended = await ask("account.get", id="BA-2")
        assert (suspended["state"], suspended["revision"], suspended["lastUpdate"]) == ("suspended", 2, rfc(clock.now))
        assert (suspended["paymentStatus"], balances(suspended)) == (
            "paid",
            {"receivable": 0.0, "unapplied": 8.0, "refundable": 0.0, "recoverable": 0.0, "overdue": 0.0},
        )
        earning = await ask("account.get", id="SA-1")
        assert balances(earning) == {"payable": 5.38, "withheld": 0.0, "reserve": 0.0, "advance": 0.0}
        assert earning["settlementTerms"] == {"partnerShare": 0.8, "accrueOn": "invoice"}
        assert "paymentStatus" not in earning
        summed = await ask("account.get", id="FA-1")
        assert balances(summed) == {
            "receivable": 50.0,
            "unapplied": 8.0,
            "refundable": 0.0,
            "recoverable": 0.0,
            "overdue": 50.0,
            "payable": 0.0,
            "withheld": 0.0,
            "reserve": 0.0,
            "advance": 0.0,
        }
        assert balances(await ask("account.get", id="PA-1")) == {}

        assert await ask("account.list") == {
            "items": [await ask("account.get", id=id_) for id_ in ("BA-1", "BA-2", "FA-1", "PA-1", "SA-1")],
            "after": None,
        }
        assert await ask("account.list", paymentStatus="inArrears") == {"items": [found], "after": None}

        below = {
            "id": "BA-2",
            "@type": "BillingAccount",
            "name": "Customer BA-2",
            "state": "suspended",
            "currency": "EUR",
        }
        own = zeros("payable", "withheld", receivable=50.0, unapplied=0.0, overdue=50.0)
        total = [{**own, "unapplied": eur(8.0)}]
        assert await ask("account.balance", id="BA-1") == {
            "id": "BA-1",
            "@type": "BillingAccount",
            "currency": "EUR",
            **own,
            "paymentStatus": "inArrears",
            "tree": {"accounts": 2, "balances": total},
        }
        assert (await ask("account.balance", id="FA-1"))["tree"] == {"accounts": 1, "balances": total}
        # What it sums up, and what is below it as well, counts once.
        contains = {"accountRelationship": [relationship("contains", "BA-1")]}
        await say(client, update("FA-1", contains, "FinancialAccount"))
        assert (await ask("account.balance", id="FA-1"))["tree"] == {"accounts": 3, "balances": total}
        assert (await ask("account.balance", id="PA-1"))["tree"] == {"accounts": 1, "balances": [zeros(*ALL)]}
        assert await ask("account.tree", id="BA-1") == {
            "account": {
                **below,
                "id": "BA-1",
                "name": "Customer BA-1",
                "state": "active",
                **own,
                "paymentStatus": "inArrears",
                "children": [
                    {
                        **below,
                        **zeros("receivable", "overdue", "payable", "withheld", unapplied=8.0),
                        "paymentStatus": "paid",
                        "children": [],
                    }
                ],
            },
            "total": total,
        }

        assert await ask("account.statement", id="BA-1", since="2026-11-22", until=rfc(START)) == {
            "id": "BA-1",
            "currency": "EUR",
            "from": "2026-11-22T00:00:00.000Z",
            "to": rfc(START),
            "opening": zeros("receivable", "unapplied"),
            "items": [
                {
                    "entry": "order.completed:O-1",
                    "occurredAt": "2026-11-22T10:15:00.000Z",
                    "bookedAt": rfc(START),
                    "movement": 1,
                    "postings": [{"account": "receivable", "amount": eur(57.46)}],
                    "balance": zeros("unapplied", receivable=57.46),
                }
            ],
            "closing": zeros("unapplied", receivable=57.46),
            "after": None,
        }
        paid = await ask("account.statement", id="BA-1", since=rfc(clock.now))
        assert (paid["opening"], paid["closing"]) == (
            zeros("unapplied", receivable=57.46),
            zeros("unapplied", receivable=50.0),
        )
        [movement] = paid["items"]
        assert sorted((one["account"], one["amount"]["value"]) for one in movement["postings"]) == [
            ("receivable", -7.46),
            ("unapplied", -7.46),
            ("unapplied", 7.46),
        ]
        earned = await ask("account.statement", id="SA-1")
        assert (earned["from"], earned["to"]) == (None, rfc(clock.now))
        assert [one["balance"]["payable"]["value"] for one in earned["items"]] == [6.38, 5.38]

        history = (await ask("account.history", id="BA-2"))["items"]
        assert [(one["version"], one["oldState"], one["newState"], one["reason"]) for one in history] == [
            (1, None, "active", None),
            (2, "active", "suspended", "asked for it"),
        ]
        version = history[1]
        row = database["inbox"].find_one({"_id": version["cause"]})
        assert row is not None
        without = {key: value for key, value in suspended.items() if key not in ("accountBalance", "paymentStatus")}
        assert version == {
            "version": 2,
            "revision": 2,
            "bookedAt": rfc(clock.now),
            "changed": ["state"],
            "oldState": "active",
            "newState": "suspended",
            "reason": "asked for it",
            "cause": f"account.suspend:{row['messageId']}",
            "messageId": row["messageId"],
            "userId": None,
            "actingUser": None,
            "appId": None,
            "correlationId": row["correlationId"],
            "account": without,
        }

        issued = (await client.event("BA-1:2")).event["invoice"]
        invoice = await ask("invoice.get", billNo="INV-000000001")
        assert invoice == {
            **issued,
            "state": "partiallyPaid",
            "remainingAmount": eur(50.0),
            "appliedPayment": [
                {
                    "@type": "AppliedPayment",
                    "appliedAmount": eur(7.46),
                    "payment": {"@type": "PaymentRef", "id": "P-1"},
                }
            ],
        }
        assert await ask("invoice.list", billingAccount="BA-1") == {"items": [invoice], "after": None}
        assert await ask("invoice.list", billingAccount="BA-1", state="settled") == {"items": [], "after": None}
        settlement = await ask("settlement.get", id="C-1")
        paid = (await wait_for(lambda: client.seen("settlement.paid")))[0]
        assert [one["payoutId"] for one in settlement.pop("payouts")] == ["PO-1"]
        assert [line.pop("explained")["cause"] for line in settlement["lines"]] == ["order.completed:O-1"]
        assert settlement == paid.event["settlement"]
        assert await ask("settlement.list", settlementAccount="SA-1") == {"items": [settlement], "after": None}

        format_ = await ask("bill-format.get", id="BF-1")
        assert format_ == {
            "@type": "BillFormat",
            "id": "BF-1",
            "name": "Übersicht",
            "revision": 1,
            "lastUpdate": rfc(START),
        }
        assert await ask("bill-format.list", namePrefix="über") == {"items": [format_], "after": None}
        for other in ("billing-cycle-specification", "bill-presentation-media"):
            assert await ask(f"{other}.list") == {"items": [], "after": None}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_the_past_is_answered_as_it_was_answered_then(
    settings: Settings, client: Client, database: Books
) -> None:
    """What `account.get` says of any past moment is what it said at that moment, overdue amounts and sums included."""
    async with business(settings, client, time_zone="Pacific/Auckland") as (ask, clock, _):
        accounts = ("BA-1", "BA-2", "SA-1", "FA-1", "PA-1")
        steps: list[Any] = [
            [account("FinancialAccount", "FA-1"), account("PartyAccount", "PA-1")],
            [partner("SA-1", accrue_on="payment"), customer("BA-1", paymentTermDays=1, **BILLING)],
            [customer("BA-2", paymentTermDays=3)],
            [order("O-1", "BA-1", item(1, 10), item(2, 20, sold_for="SA-1"))],
            [order("O-2", "BA-2"), order("O-3", "BA-1")],
            [payment("P-1", "BA-1", 7)],
            [update("BA-1", {"name": "Another", "financialAccount": None})],
            [payment("P-2", "BA-1", 200)],
            [update("BA-2", BILLING), command("suspend", "PA-1")],
            [command("close", "SA-1"), payment("P-3", "BA-2", 12)],
            [update("BA-1", BILLING), command("delete", "PA-1")],
            [closing("C-1", "SA-1", "2026-12-31")],
        ]
        then: list[tuple[str, str, dict[str, Any]]] = []

        async def record() -> None:
            at = rfc(clock.now)
            answers = await asyncio.gather(*(ask.answer("account.get", {"id": id_}) for id_ in accounts))
            then.extend((at, id_, answer) for id_, answer in zip(accounts, answers, strict=True))

        for messages in steps:
            await say(client, *messages)
            await record()
            clock.forward(hours=7)
            await record()
            clock.forward(hours=12, milliseconds=1)
        again = await asyncio.gather(*(ask.answer("account.get", {"id": id_, "at": at}) for at, id_, _ in then))
        assert again == [answer for _, _, answer in then]
        statuses = {answer["result"].get("paymentStatus") for _, _, answer in then if "result" in answer}
        assert statuses == {None, "paid", "due", "inArrears"}
        assert {answer["error"]["code"] for _, _, answer in then if "error" in answer} == {"unknown-account"}
        # What is to come is as it is now.
        later = rfc(clock.now + timedelta(days=365))
        assert await ask("account.get", id="BA-2", at=later) == await ask("account.get", id="BA-2")
        # A statement opens and closes with what there was at its ends, of dates where the seller is.
        moments = [at for at, id_, answer in then if id_ == "BA-1" and "result" in answer]
        known = {(at, id_): answer["result"] for at, id_, answer in then if "result" in answer}
        for since, until in zip(moments[1:], moments[4:], strict=False):
            statement = await ask("account.statement", id="BA-1", since=since, until=until)
            before = await ask(
                "account.get", id="BA-1", at=rfc(datetime.fromisoformat(since) - timedelta(milliseconds=1))
            )
            for name in ("receivable", "unapplied"):
                assert statement["opening"][name]["value"] == balances(before)[name]
                assert statement["closing"][name]["value"] == balances(known[until, "BA-1"])[name]
                moved = [
                    posting["amount"]["value"]
                    for one in statement["items"]
                    for posting in one["postings"]
                    if posting["account"] == name
                ]
                assert round(statement["opening"][name]["value"] + sum(moved), 2) == statement["closing"][name]["value"]
        day = await ask("account.statement", id="BA-1", since="2026-11-24", until="2026-11-25")
        assert (day["from"], day["to"]) == ("2026-11-23T11:00:00.000Z", "2026-11-25T10:59:59.999Z")
        # A deleted account has no present, and its history stays.
        assert await ask.error("account.get", {"id": "PA-1"}) == ("unknown-account", "id: no account PA-1")
        history = await ask.all("account.history", 1, id="PA-1")
        assert [one["newState"] for one in history] == ["active", "suspended", "deleted"]
    await assert_clean(client, database)


async def assert_a_cursor_has_no_figures(ask: Any, first: Document) -> None:
    """Whoever changes one comes to another place of the statement, or nowhere, and is told the same balances."""
    name, id_, *place = json.loads(urlsafe_b64decode(first["after"] + "=="))
    for changed in range(2, len(place)):
        cursor = json.dumps([name, id_, *place[:changed], place[changed] + 1, *place[changed + 1 :]])
        after = urlsafe_b64encode(cursor.encode()).rstrip(b"=").decode()
        page = await ask("account.statement", id=id_, after=after)
        assert page["opening"] == first["opening"]
        balance = dict(page["items"][-1]["balance"]) if page["items"] else None
        assert balance in (None, page["closing"])


@ONE_DRIVER
async def test_pages_hold_each_item_once_whatever_comes_between(
    settings: Settings, client: Client, database: Books
) -> None:
    """Lists by every combination of filters, page by page while others are added; statements while more is booked."""
    async with business(settings, client) as (ask, clock, _):
        numbers = iter(range(1000))

        def some() -> list[Any]:
            n = next(numbers)
            party = [{"role": "owner", "partyOrPartyRole": {"id": f"X-{n % 3}", "@type": "PartyRef"}}]
            name = f"{('Ada', 'ADAM', 'Bo', 'ß')[n % 4]} {n}"
            created = customer(f"BA-{n * 37 % 100:02d}", name=name, relatedParty=party, paymentTermDays=n % 7)
            if n % 5 == 4:
                created = account("PartyAccount", f"PA-{n * 37 % 100:02d}", name=name, relatedParty=party)
            return [created, *([order(f"O-{n}", created[1]["id"])] if n % 5 in (1, 3) else [])]

        for _ in range(14):
            await say(client, *some())
        await say(client, command("suspend", "BA-00"), command("suspend", "PA-48"), command("delete", "BA-74"))
        clock.forward(days=4)
        await assert_all_published(client, database)
        documents = [
            one["account"]
            for event in client.seen("account.created")
            if (one := event.event)["account"]["id"] != "BA-74"
        ]
        current = {one["id"]: await ask("account.get", id=one["id"]) for one in documents}

        def fits(one: dict[str, Any], filters: dict[str, Any]) -> bool:
            parties = [related["partyOrPartyRole"]["id"] for related in one["relatedParty"]]
            return (
                filters.get("at_type") in (None, one["@type"])
                and filters.get("state") in (None, one["state"])
                and filters.get("paymentStatus") in (None, one.get("paymentStatus"))
                and filters.get("relatedParty") in (None, *parties)
                and one["name"].casefold().startswith(filters.get("namePrefix", "").casefold())
            )

        combinations: list[dict[str, Any]] = [{}]
        for name, values in (
            ("at_type", ("BillingAccount",)),
            ("state", ("active", "suspended")),
            ("relatedParty", ("X-1",)),
            ("namePrefix", ("aDa", "SS")),
            ("paymentStatus", ("paid", "due", "inArrears")),
        ):
            combinations += [{**one, name: value} for one in combinations for value in values]
        met = 0
        lists = await asyncio.gather(*(ask.all("account.list", 3, **filters) for filters in combinations))
        for filters, items in zip(combinations, lists, strict=True):
            wanted = sorted(id_ for id_, one in current.items() if fits(one, filters))
            assert sorted(one["id"] for one in items) == wanted, filters
            assert items == [current[one["id"]] for one in items]
            met += len(wanted) > 3
        assert met > 10

        async def more() -> None:
            await say(client, *some(), order(f"O-more-{next(numbers)}", "BA-37"))

        for filters in ({}, {"namePrefix": ""}, {"paymentStatus": "due"}, {"relatedParty": "X-1"}):
            before = {id_ for id_, one in current.items() if fits(one, filters)}
            seen = [one["id"] for one in await ask.all("account.list", 4, more, **filters)]
            assert len(seen) == len(set(seen)), filters
            assert set(seen) >= before, filters

        # What is booked between two pages of a statement is no part of it, even when its clock is behind.
        await say(client, *(order(f"O-s{n}", "BA-37") for n in range(7)), payment("P-1", "BA-37", 50))
        first = await ask("account.statement", id="BA-37", limit=4)
        items, page = first["items"], first
        clock.forward(hours=-1)
        while page["after"]:
            await say(client, order(f"O-late-{len(items)}", "BA-37"))
            page = await ask("account.statement", id="BA-37", limit=4, after=page["after"], until=page["to"])
            assert (page["opening"], page["closing"]) == (first["opening"], first["closing"])
            items += page["items"]
        assert len(items) > 12
        assert [one["movement"] for one in items] == list(range(1, len(items) + 1))
        assert items[-1]["balance"] == first["closing"]
        await assert_a_cursor_has_no_figures(ask, first)
        assert await ask.error("account.statement", {"id": "BA-44", "after": first["after"]}) == (
            "invalid",
            "after: is of another statement",
        )
        assert (await ask.error("account.statement", {"id": "BA-37", "after": first["after"], "from": "2026-01-01"}))[
            0
        ] == "invalid"

        # Large items make a page end early.
        large = {"note": ["x" * 1000] * 300}
        await say(client, *(customer(f"L-{n}", name="large", **large) for n in range(5)))
        page = await ask("account.list", namePrefix="large")
        assert [one["id"] for one in page["items"]] == ["L-0", "L-1", "L-2"]
        page = await ask("account.list", namePrefix="large", after=page["after"])
        assert [one["id"] for one in page["items"]] == ["L-3", "L-4"]
        assert page["after"] is None
        assert len(await ask.all("invoice.list", 5, billingAccount="BA-37")) >= len(items) - 1
        assert len(await ask.all("invoice.list", 2, billingAccount="BA-37", state="settled")) == 4


@ONE_DRIVER
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_a_statement_from_the_first_day_to_the_last(
    settings: Settings, client: Client, database: Books, zone: str
) -> None:
    """The far ends of what can be asked for are as good as none, in any zone and on every page."""
    async with business(settings, client, time_zone=zone) as (ask, _, _):
        await say(client, customer("BA-1"), *(order(f"O-{n}", "BA-1") for n in range(3)))
        plain = await ask("account.statement", id="BA-1")
        assert len(plain["items"]) == 3
        for since, until in (
            ("0001-01-01", "9999-12-31"),
            ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
            ("1969-12-31", "9999-12-30"),
        ):
            found = await ask.all("account.statement", 1, id="BA-1", since=since, until=until)
            assert found == plain["items"], (since, until)
        assert await ask.all("account.statement", 1, id="BA-1", since="0001-01-01", until="0001-01-01") == []
        assert (await ask("account.get", id="BA-1", at="9999-12-31T23:59:59.999Z"))["id"] == "BA-1"
        assert (await ask.error("account.get", {"id": "BA-1", "at": "0001-01-01T00:00:00Z"}))[0] == "unknown-account"
        assert (await ask.error("account.get", {"id": "BA-1", "at": "9999-12-31T23:59:59-05:00"}))[0] == "invalid"


@ONE_DRIVER
async def test_what_can_t_be_answered_is_told_why(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Each error has the contract's code; nothing is redelivered, and the worker goes on."""
    await client.channel.declare_queue("paymaster.spy", exclusive=True)
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"), partner("SA-1"))
        cases: list[tuple[str | None, Any, str, str]] = [
            ("account.drop", {}, "unknown-type", "'account.drop'"),
            (None, {}, "unknown-type", "names no query"),
            ("account.get", b"{", "malformed", "not JSON"),
            ("account.get", b'{"id": "BA-1"} x', "malformed", "follows its end"),
            ("account.get", b"\xff", "malformed", "not UTF-8"),
            ("account.get", b'{"id": "BA-1", "x": "' + b"x" * 1024 * 1024 + b'"}', "malformed", "more than 1048576"),
            ("account.get", b'{"id": "BA-1", "x": ' + b"[" * 40 + b"]" * 40 + b"}", "malformed", "deeper than 32"),
            ("account.get", [], "invalid", "object"),
            ("account.get", {}, "invalid", "id: is needed"),
            ("account.get", {"id": "a/b"}, "invalid", "(got 'a/b')"),
            ("account.get", {"id": {"$gt": ""}}, "invalid", "id: must be an id"),
            ("account.get", {"id": "BA-1", "at": "2026-11-22"}, "invalid", "at: must be an RFC 3339 time"),
            ("account.get", {"id": "BA-2"}, "unknown-account", "BA-2"),
            ("account.get", {"id": "BA-1", "at": "2026-11-22T10:30:00.122Z"}, "unknown-account", "BA-1"),
            ("account.list", {"limit": 0}, "invalid", "limit"),
            ("account.list", {"limit": 501}, "invalid", "(got 501)"),
            ("account.list", {"limit": "5"}, "invalid", "limit"),
            ("account.list", {"state": "deleted"}, "invalid", "(got 'deleted')"),
            ("account.list", {"after": "?"}, "invalid", "after: "),
            ("account.list", {"after": "e30"}, "invalid", "after: "),
            ("account.list", {"after": 5}, "invalid", "after: "),
            ("account.statement", {"id": "BA-1", "from": "2026-11-23", "to": "2026-11-22"}, "invalid", "from: "),
            ("account.statement", {"id": "BA-1", "to": "yesterday"}, "invalid", "(got 'yesterday')"),
            ("account.statement", {"id": "BA-2"}, "unknown-account", "BA-2"),
            ("account.history", {"id": "BA-2"}, "unknown-account", "BA-2"),
            ("account.balance", {"id": "BA-2"}, "unknown-account", "BA-2"),
            ("account.tree", {"id": "BA-2"}, "unknown-account", "BA-2"),
            ("invoice.get", {"billNo": "INV-1"}, "unknown-invoice", "INV-1"),
            ("invoice.list", {"billingAccount": "BA-2"}, "unknown-account", "billingAccount: no account BA-2"),
            ("invoice.list", {"billingAccount": "SA-1"}, "invalid", "billingAccount: SA-1 is a SettlementAccount"),
            ("settlement.get", {"id": "C-1"}, "unknown-settlement", "C-1"),
            ("settlement.list", {"settlementAccount": "BA-1"}, "invalid", "is a BillingAccount"),
            (
                "settlement.preview",
                {"settlementAccount": "BA-1", "periodEnd": "2026-11-30"},
                "invalid",
                "BillingAccount",
            ),
            ("settlement.preview", {"settlementAccount": "SA-9", "periodEnd": "2026-11-30"}, "unknown-account", "SA-9"),
            ("bill-format.get", {"id": "BF-1"}, "unknown-specification", "BF-1"),
        ]
        for name, arguments, code, detail in cases:
            found = await ask.error(name, arguments)
            assert found[0] == code, (name, arguments, found)
            assert detail in found[1], (name, arguments, found)
        # Unknown fields are ignored, and what is null is not said.
        assert (await ask("account.get", id="BA-1", at=None, colour="red"))["id"] == "BA-1"

        # Nobody to answer to, or a queue of ours: dropped.
        await ask.send("account.get", {"id": "BA-1"}, reply_to=None)
        await ask.send("account.get", {"id": "BA-1"}, reply_to="paymaster.spy")
        await ask.send("account.get", {"id": "BA-1"}, reply_to="a-queue-that-is-gone")

        async def broken(query: AccountGet, view: Any) -> Any:
            raise ZeroDivisionError("a secret")

        with monkeypatch.context() as patch:
            patch.setitem(queries.READS, AccountGet, broken)  # type: ignore[misc]
            assert await ask.error("account.get", {"id": "BA-1"}) == (
                "internal",
                "a defect of ours, which is logged: the query is not to blame",
            )
        assert (await ask.answer("account.get", {"id": "BA-1"}, correlation_id="c-1"))["result"]["id"] == "BA-1"
        # Without a correlation id the message's own id is it.
        await ask.send("account.get", {"id": "BA-1"}, correlation_id=None, message_id="m-1")
        assert (await client.answer("m-1"))["result"]["id"] == "BA-1"
    out = "".join(capfd.readouterr())
    assert "a secret" in out
    assert "Traceback" in out
    assert await client.left_in("paymaster.queries") == 0
    assert await client.left_in("paymaster.spy") == 0


async def test_queries_are_answered_while_the_work_waits_and_the_database_fails(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that can't be committed holds up no query; a database that fails or is slow makes one `unavailable`."""
    async with business(settings, client) as (ask, _, _):
        await say(client, account("FinancialAccount", "FA-1"), customer("BA-1", **BILLING))
        with failing(mongo, "insert", 1_000_000, errorCode=11601, namespace=f"{database.name}.entries"):
            waiting = await client.send_asking(order("O-1", "BA-1"))
            for _ in range(20):
                assert balances(await ask("account.get", id="BA-1"))["receivable"] == 0
        assert (await client.answer(waiting))["outcome"] == "applied"
        assert balances(await ask("account.get", id="BA-1"))["receivable"] == 12

        # What is committed between two reads of one answer is in the next.
        async def later(*given: Any) -> Any:
            await say(client, order("O-2", "BA-1"))
            return await standings(*given)

        with monkeypatch.context() as patch:
            patch.setattr("adapters.accounts.queries.lists.standings", later)
            assert balances(await ask("account.get", id="FA-1"))["receivable"] == 12
        assert balances(await ask("account.get", id="FA-1"))["receivable"] == 24

        accounts = f"{database.name}.accounts"
        for how in ({"errorCode": 50}, {"errorCode": 11602}, {"closeConnection": True}):
            # The driver reads a second time by itself.
            with failing(mongo, "find", 2, namespace=accounts, **how):
                assert (await ask.error("account.get", {"id": "BA-1"}))[0] == "unavailable", how
            assert (await ask("account.get", id="BA-1"))["id"] == "BA-1"
        with (
            monkeypatch.context() as patch,
            failing(mongo, "find", 1, namespace=accounts, blockConnection=True, blockTimeMS=1_500),
        ):
            patch.setattr(answering, "SECONDS_MAX", 0.3)
            assert (await ask.error("account.get", {"id": "BA-1"}))[0] == "unavailable"
        assert (await ask("account.get", id="BA-1"))["id"] == "BA-1"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_worker_that_stands_by_answers_too(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker applies at a time, and all of them answer; many queries at once are all answered."""
    async with business(settings, client) as (ask, _, first), working(settings) as second:
        await say(client, customer("BA-1"))
        answered: list[Worker] = []
        for worker in (first, second):
            enquiries = worker.enquiries

            async def answer(*given: Any, worker: Worker = worker, own: Any = enquiries.answer) -> bytes:
                answered.append(worker)
                found: bytes = await own(*given)
                return found

            monkeypatch.setattr(enquiries, "answer", answer)
        asked = [await ask.send("account.get", {"id": "BA-1"}) for _ in range(200)]
        for found in await client.answers_to(asked):
            assert found["result"]["id"] == "BA-1"
        assert set(answered) == {first, second}
    assert await client.left_in("paymaster.queries") == 0
    await assert_clean(client, database)
