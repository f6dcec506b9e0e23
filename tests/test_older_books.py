"""Books that an earlier version wrote are migrated, proved, and gone on with, as if there had been one version only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from adapters.audit import audit
from adapters.mongodb.connection import MIGRATE_APP_NAME, database
from adapters.settings import Settings
from adapters.store.migration import migrate
from adapters.store.steps import FORM
from schemas.incoming import Incoming, read
from schemas.messages import HELD_MESSAGES
from tests.accounts.test_large_documents import text
from tests.integration.test_queries import Asker
from tests.support.books import BY_ITSELF, Books, Document, applied, assert_audit_ok, held, position, unsent
from tests.support.client import Client
from tests.support.messages import (
    Message,
    charge,
    closing,
    command,
    credit_note,
    credited,
    customer,
    demand,
    dispute,
    dispute_settled,
    dispute_withdrawn,
    eur,
    item,
    metered,
    monthly,
    order,
    payment,
    payout,
    subscribed,
    subscription,
    update,
    usage,
)
from tests.support.older import OlderBooks, form_1, form_2, form_5, form_6, gone_on, replies_of
from tests.support.waiting import wait_for
from tests.support.workers import working

OLDER: tuple[Callable[[], OlderBooks], ...] = (form_1,)


@pytest.fixture(params=OLDER, ids=lambda older: older.__name__)
def older(request: pytest.FixtureRequest) -> OlderBooks:
    """Each of the forms that there were."""
    read: Callable[[], OlderBooks] = request.param
    return read()


EARNINGS = "earnings-match-statements"
"""The check of what there is since form 4: a migration makes it of the statements."""


def broken(database: Books, older: OlderBooks, *, but_for: str = "") -> list[Document]:
    """What the audit finds broken when the older version's last worker has just died."""
    report = audit(database, now=older.written_at, relay_interval_seconds=3_600)
    return [check for check in report["checks"] if not check["ok"] and check["name"] != but_for]


def test_what_is_kept_has_something_of_each_kind(older: OlderBooks) -> None:
    """All accounts, states and rows that its README tells of are there: a later test of them proves something."""
    rows = older.rows
    assert {row["type"] for row in rows["accounts"]} >= {
        "BillingAccount",
        "SettlementAccount",
        "PartyAccount",
        "FinancialAccount",
    }
    states = {"defined", "active", "suspended", "pendingClose", "closed", "deleted"}
    assert {row["state"] for row in rows["accounts"]} == states
    assert {row["state"] for row in rows["invoices"]} == {"new", "partiallyPaid", "settled"}
    assert {row["state"] for row in rows["settlements"]} == {"open", "partiallyPaid", "paid", "carriedForward"}
    assert {row["state"] for row in rows["held"]} == {"waiting", "suspect", "parked", "discarded"}
    awaited = {str(row["waitsFor"]).partition(":")[0] for row in rows["held"] if row["state"] == "waiting"}
    assert awaited == {"account", "resumed", "settlement", "bill-format", "None"}
    left = Counter(row["routingKey"] for row in rows["held"] if row["reason"] == "continued")
    assert left == {"credit.allocate": 3, "settlement.continue": 1}
    assert any(row["claimedUntil"] for row in rows["held"])
    assert any(row.get("pieces") for row in rows["held"])
    assert {row["act"] for row in rows["operatorActs"]} == {"replay", "edit", "discard", "undo", "note"}
    assert {row["state"] for row in rows["replays"]} == {"done", "stopped"}
    outbox = rows["outbox"]
    for field in ("unsent", "sentAt", "parkedAt", "refusals", "unconfirmed", "released"):
        assert any(field in row for row in outbox), field
    assert min(len(rows[name]) for name in rows) > 0


@pytest.fixture
def settings(settings: Settings, new_database: Books) -> Settings:
    """The settings of a worker on the database into which older books are restored."""
    return settings.model_copy(update={"database": new_database.name})


def test_older_books_are_right_as_they_are(older: OlderBooks, new_database: Books) -> None:
    """Restored, before anything is done to them, the audit finds nothing wrong with them."""
    older.restore(new_database)
    assert broken(new_database, older, but_for=EARNINGS) == []


def test_each_recorded_digest_is_made_again(older: OlderBooks) -> None:
    """Of every message that was applied or held, in the version in which it was recorded."""

    def read_again(routing_key: str, body: bytes, message_id: str | None) -> Incoming:
        [found] = read(routing_key, body, message_id, {}, None, HELD_MESSAGES)
        return found

    sent = [read_again(message.routing_key, message.body, message.message_id) for message in older.messages]
    # Other content under a used identity came later, and is held.
    first = {incoming.identity: incoming for incoming in reversed(sent)}
    applied = {row["_id"]: row for row in older.rows["inbox"] if row["_id"] in first}
    edited = {row["identity"] for row in older.rows["operatorActs"] if row["act"] == "edit"}
    assert len(applied) > 100
    for identity, row in applied.items():
        if identity not in edited:
            assert first[identity].digest_in(row["digestVersion"]) == row["digest"], identity
    for row in older.rows["held"]:
        if row.get("pieces") or row["_id"].partition(":")[0] == "unreadable":
            continue  # known by its bytes
        again = read_again(row["routingKey"], bytes(row["body"]), row["messageId"])
        assert again.digest_in(row["digestVersion"]) == row["digest"], row["_id"]


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_older_books_are_migrated_and_gone_on_with(
    older: OlderBooks, settings: Settings, new_database: Books, client: Client
) -> None:
    """The audit finds nothing wrong before and after; what was left is done, what waits is applied, all is paid out.

    What was sent to the earlier version has no second effect, and everybody is told what the earlier one left untold.
    """
    older.restore(new_database)
    with database(settings.mongodb_url, settings.database, MIGRATE_APP_NAME) as opened:
        done = migrate(opened, lambda _progress: None)
    assert (done.found, done.form) == (older.form, FORM)
    assert broken(new_database, older) == []
    parked_before = set(held(new_database, "parked"))
    await client.declare()
    # The earlier worker's claim has run out, and an hour is not too long to wait for an account.
    begun = datetime.now(UTC)
    later = older.written_at + timedelta(hours=1)
    async with working(settings, days=True, clock=lambda: later + (datetime.now(UTC) - begun)):
        await what_was_left_is_done(new_database)
        await days_begin(new_database, later)
        await queries_answer(client)
        await redelivered_messages_have_no_second_effect(older, client, new_database)
        await what_waits_is_applied(client, new_database)
        await all_is_paid(client, new_database)
        await wait_for(lambda: not unsent(new_database))
    assert set(held(new_database, "parked")) == parked_before
    await client.assert_drained()
    assert_audit_ok(new_database)
    untold = {row["_id"] for row in older.rows["outbox"] if row.get("unsent")}
    assert untold
    assert untold <= {event.message_id for event in client.events}


async def days_begin(database: Books, now: datetime) -> None:
    """With the day on which this version's first worker starts, as those of new books do: nothing is made up for."""
    await wait_for(lambda: database["days"].count_documents({}))
    [day] = database["days"].find()
    assert day["_id"] == now.date().isoformat()
    [calendar] = database["calendar"].find()
    assert (calendar["first"], calendar["newest"]) == (day["_id"], day["_id"])


async def what_was_left_is_done(database: Books) -> None:
    """Allocations and closings go on, a suspect is tried alone, and so is what the worker that died had taken up."""
    left = {"$or": [{"reason": "continued"}, {"state": "suspect"}, {"_id": "order.completed:O-DUE"}]}
    await wait_for(
        lambda: not database["held"].count_documents(left), otherwise=lambda: list(database["held"].find(left))
    )
    # Six invoices of 3.00 and 17.00 for them, twice; nine credits of 1.00 and one invoice of 8.50.
    assert position(database, "BA-LEFT") == position(database, "BA-MANY2") == {"receivable": 100}
    assert position(database, "BA-CR2") == {"unapplied": 50}
    statements = database["settlements"].find({"closingId": "C-LEFT"}).sort("_id", 1)
    assert {row["_id"]: len(row["lines"]) for row in statements} == {"C-LEFT": 2, "C-LEFT-2": 4}
    for order_id in ("O-SUSPECT", "O-DUE"):
        assert database["invoices"].count_documents({"orderId": order_id}) == 1


async def queries_answer(client: Client) -> None:
    """One of each kind is asked for what the earlier version wrote."""
    ask = Asker(client)
    assert (await ask("account.get", id="BA-1"))["name"] == "Hill Bakery"
    assert (await ask("account.get", id="BA-1", at="2026-11-02T09:30:00Z"))["revision"] >= 1
    assert len(await ask.all("account.list", 7)) == 30  # all but the deleted one
    assert len((await ask("account.history", id="BA-1"))["items"]) == 2
    assert (await ask("account.statement", id="BA-3"))["items"]
    for query in ("account.tree", "account.balance"):
        assert await ask(query, id="BA-3")
    assert (await ask("invoice.get", billNo="INV-000000001"))["id"] == "INV-000000001"
    assert (await ask("invoice.list", billingAccount="BA-3"))["items"]
    assert (await ask("settlement.get", id="C-NEG2"))["broughtForward"]
    assert (await ask("settlement.list", settlementAccount="SA-1"))["items"]
    for resource in ("bill-format", "bill-presentation-media", "billing-cycle-specification"):
        assert {one["id"] for one in (await ask(f"{resource}.list"))["items"]} == {"R-1", "R-2"}
    groups = (await ask("parked.groups"))["items"]
    assert {group["reason"] for group in groups} >= {"malformed", "invalid", "internal", "dead-letter"}
    for one in await ask.all("parked.list", 5):
        assert (await ask("parked.get", id=one["parkedId"]))["parkedId"] == one["parkedId"]
    assert len((await ask("parked.history"))["items"]) == 10


async def redelivered_messages_have_no_second_effect(older: OlderBooks, client: Client, database: Books) -> None:
    """What was applied is a duplicate, what is held is told as it was; nothing is booked and nothing more is held."""
    before = what_there_is(database)
    # What waits is told when it is applied; what an operator has edited is other content than what was sent.
    left_out = {row["_id"] for row in database["held"].find({"state": "waiting"})}
    left_out |= {row["identity"] for row in older.rows["operatorActs"] if row["act"] == "edit"}
    asked_for: list[str] = []
    for message in older.messages:
        [found] = read(message.routing_key, message.body, message.message_id, {}, None)
        if found.identity not in left_out:
            content = (message.routing_key, message.body)
            asked_for.append(await client.send_asking(content, message_id=message.message_id, app_id=message.app_id))
    outcomes = Counter([(await client.answer(asked))["outcome"] for asked in asked_for])
    assert set(outcomes) == {"duplicate", "parked"}, outcomes
    assert outcomes["duplicate"] > 100
    assert what_there_is(database) == before


def what_there_is(database: Books) -> dict[str, int]:
    """How much is booked, applied and held, but for what a day leaves to do, whenever that is done."""
    sent = {"_id": {"$not": {"$regex": BY_ITSELF}}}
    return {name: database[name].count_documents(sent) for name in ("entries", "inbox", "held", "accountVersions")}


async def what_waits_is_applied(client: Client, database: Books) -> None:
    """As soon as its account is there or resumed, its statement is made, its bill format is known."""
    assert len(held(database, "waiting")) == 7
    for message in (
        customer("BA-WAIT"),
        command("resume", "BA-SUS"),
        command("resume", "SA-SUS"),
        ("bill-format.create", {"id": "R-9", "name": "Late"}),
    ):
        assert (await client.ask(message))["outcome"] == "applied", message
    await wait_for(lambda: set(held(database, "waiting")) == {"payout.completed:PO-WAIT"})
    assert (await client.ask(closing("C-WAIT", "SA-1")))["outcome"] == "applied"
    await wait_for(lambda: not held(database, "waiting"))
    for identity in ("order.completed:O-WAIT", "order.completed:O-RES", "payout.completed:PO-WAIT"):
        assert database["inbox"].count_documents({"_id": identity}) == 1
    assert database["accounts"].count_documents({"_id": "BA-SPEC"}) == 1


async def all_is_paid(client: Client, database: Books) -> None:
    """Every account that owes pays, every partner is stated and paid: nothing is open, withheld or payable."""
    for row in list(database["positions"].find({"receivable": {"$gt": 0}})):
        decimals = 0 if row["currency"] == "JPY" else 2
        amount = {"unit": row["currency"], "value": f"{row['receivable'] / 10**decimals:.{decimals}f}"}
        paid = ("payment.received", {**payment(f"P-ALL-{row['_id']}", row["_id"], 1)[1], "amount": amount})
        assert (await client.ask(paid))["outcome"] == "applied", paid
    await wait_for(lambda: not database["invoices"].count_documents({"remainingAmount": {"$gt": 0}}))
    for row in list(database["positions"].find({"payable": {"$ne": 0}})):
        closed = await client.ask(closing(f"C-ALL-{row['_id']}", row["_id"]))
        assert closed["outcome"] == "applied", closed
    await wait_for(lambda: not database["held"].count_documents({"reason": "continued"}))
    open_ = {"state": {"$in": ["open", "partiallyPaid"]}}
    for row in list(database["settlements"].find(open_)):
        rest = f"{(row['total'] - row['paid']) / 100:.2f}"
        outcome = await client.ask(payout(f"PO-ALL-{row['_id']}", row["settlementAccount"], row["_id"], rest))
        assert outcome["outcome"] == "applied", outcome
    assert database["settlements"].count_documents(open_) == 0
    for row in database["positions"].find():
        carried = row["carriedForward"]["amount"] if row["carriedForward"] else 0
        assert (row["receivable"], row["withheld"], row["payable"]) == (0, 0, carried), row


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_documents_that_were_kept_whole_are_told_as_they_were(
    settings: Settings, new_database: Books, client: Client
) -> None:
    """To the byte, in the answers, replies and events of this version, which keeps what is large of them apart."""
    older, told = form_2(), replies_of(form_2())
    older.restore(new_database)
    assert broken(new_database, older) == []
    with database(settings.mongodb_url, settings.database, MIGRATE_APP_NAME) as opened:
        done = migrate(opened, lambda _progress: None)
    assert (done.found, done.form) == (2, FORM)
    assert broken(new_database, older) == []
    bodies = {row["_id"]: row["body"] for row in new_database["outbox"].find({"unsent": True})}
    assert len(bodies) == 3
    await client.declare()
    begun = datetime.now(UTC)
    later = older.written_at + timedelta(hours=1)
    async with working(settings, days=True, clock=lambda: later + (datetime.now(UTC) - begun)):
        await days_begin(new_database, later)
        ask = Asker(client)
        versions = [told[message_id]["account"] for message_id in ("m-1", "m-3", "m-8")]
        history = await ask.all("account.history", 1, id="BA-1")
        assert [text(one["account"]) for one in history] == [text(one) for one in versions]
        assert text(await ask("account.get", id="BA-1", at=versions[1]["lastUpdate"])) == text(versions[1])
        for message in older.messages:
            content = (message.routing_key, message.body)
            again = await client.ask(content, message_id=message.message_id)
            assert (again["outcome"], json.dumps(again["result"])) == (
                "duplicate",
                json.dumps(told[message.message_id]),
            )
        # The first change after the migration keeps what is large apart, the next one is small.
        names = ("Hill Bakery 2", "Hill Bakery 3")
        for name in names:
            assert (await client.ask(update("BA-1", {"name": name})))["outcome"] == "applied"
        await applied(new_database, len(older.messages) + len(names))
        assert [one["account"]["name"] for one in await ask.all("account.history", 2, id="BA-1")][3:] == list(names)
    assert new_database["values"].count_documents({}) == 2
    for row in new_database["accountVersions"].find({"_id": {"$in": ["BA-1/4", "BA-1/5"]}}):
        assert [place["field"] for place in row["values"]] == ["taxExemption", "characteristic"]
    assert {event.message_id: event.message.body for event in client.events if event.message_id in bodies} == bodies
    assert_audit_ok(new_database)


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_disputes_that_were_priced_one_by_one_are_gone_on_with(
    settings: Settings, client: Client, new_database: Books
) -> None:
    """As an earlier version of this form left them, they stand until a fact counts them, then all of an invoice as one.

    Three times 0.02 left 0.01 of 0.07 due. Of 120.00 in all, 60.00 and their tax counted still, when a note had left
    30.00 of the line.
    """
    bill_nos = ("INV-000000001", "INV-000000002")
    async with working(settings):
        await client.send_all([customer("BA-1"), customer("BA-2")])
        await client.send(order("O-1", "BA-1", *(item(n, "0.02") for n in (1, 2, 3))))
        await applied(new_database, 3)
        await client.send_all([order("O-2", "BA-2", item(1, "100")), dispute("D-4", bill_nos[1], credited(1, 60))])
        await client.send_all([dispute(f"D-{n}", bill_nos[0], credited(n, "0.02")) for n in (1, 2, 3)])
        await client.send(credit_note("N-1", bill_nos[1], credited(1, 70)))
        await applied(new_database, 9)
    as_they_were = {
        "D-1": (bill_nos[0], {"lineId": "1", "taxExcludedAmount": 2, "approved": 0}, 2),
        "D-2": (bill_nos[0], {"lineId": "2", "taxExcludedAmount": 2, "approved": 0}, 2),
        "D-3": (bill_nos[0], {"lineId": "3", "taxExcludedAmount": 2, "approved": 0}, 2),
        "D-4": (bill_nos[1], {"lineId": "1", "taxExcludedAmount": 6000, "approved": 0}, 7200),
    }
    for id_, (bill_no, disputed, amount) in as_they_were.items():
        new_database["disputes"].update_one({"_id": id_}, {"$set": {"lines": [disputed], "amount": amount}})
        new_database["invoices"].update_one(
            {"_id": bill_no, "handling.disputes.disputeId": id_}, {"$set": {"handling.disputes.$.amount": amount}}
        )
    invoice = new_database["invoices"].find_one({"_id": bill_nos[0]})
    assert invoice is not None
    new_database["positions"].update_one({"_id": "BA-1"}, {"$set": {"oldestDue": invoice["paymentDueDate"]}})
    assert_audit_ok(new_database)
    ask = Asker(client)
    async with working(settings):
        before = await ask("invoice.get", billNo=bill_nos[0])
        assert before["handling"]["undisputedAmount"] == eur(0.01)
        assert (await ask("dispute.get", disputeId="D-4"))["amount"] == eur(72)
        await client.send(dispute_settled("D-1", credited(1, "0.02")))
        await applied(new_database, 10)
        after = await ask("invoice.get", billNo=bill_nos[0])
        assert after["handling"]["undisputedAmount"] == eur(0)
        assert [one["amount"] for one in after["handling"]["openDisputes"]] == [eur(0.03), eur(0.02)]
        await client.send_all([dispute_withdrawn("D-2"), dispute_settled("D-3"), payment("P-1", "BA-1", "0.05")])
        await client.send(dispute_settled("D-4", credited(1, 30)))
        await applied(new_database, 14)
    assert new_database["disputes"].count_documents({"state": "open"}) == 0
    assert (position(new_database, "BA-1"), position(new_database, "BA-2")) == ({}, {})
    assert_audit_ok(new_database)


def test_bills_that_are_kept_have_something_of_each_kind() -> None:
    """Of each way in which something was billed of a period, and taken back: a later test of them proves something."""
    rows = form_5().rows
    lines = [line for row in rows["billedPeriods"] for line in row["lines"]]
    charged = [one for row in rows["billedPeriods"] for one in row["charged"]]
    taken = [one for line in lines for one in line["taken"]]
    counted = [one for line in lines for one in line["counted"]]
    assert {len(row["charged"]) for row in rows["billedPeriods"]} == {0, 1, 2}
    assert {len(row["lines"]) for row in rows["billedPeriods"]} >= {1, 2, 5}
    assert {bool(one["parts"]) for one in charged} == {"usedOn" in one for one in charged} == {True, False}
    assert {"days" in one for one in counted} == {line["quantity"] is None for line in lines} == {True, False}
    by = {tuple(one[name] is not None for name in ("billNo", "creditNote")) for one in taken}
    assert by == {(True, False), (False, True), (True, True)}
    assert {bool(line["rate"]["tiers"]) for line in lines} == {True, False}
    assert {line["rate"]["onBehalfOf"] for line in lines} == {None, "SA-1", "SA-2", "SA-3"}
    again = {row["_id"] for row in rows["subscriptions"] if row["recheckFrom"] is not None}
    assert again == {"S-AGAIN", "S-LATE"}
    assert [row["state"] for row in rows["billRuns"]] == ["completed"]
    assert {row["state"] for row in rows["held"]} == {"waiting", "scheduled"}


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_bills_by_price_are_gone_on_with(settings: Settings, client: Client, new_database: Books) -> None:
    """As the version that wrote them went on with them: the same bills, which leave the same to be billed.

    What was sent to that version is a duplicate, and what was left in the queue is applied.
    """
    older = form_5()
    older.restore(new_database)
    migrated_from(older, settings)
    assert broken(new_database, older) == []
    await what_is_billed_later(older, client, new_database, settings)
    await client.assert_drained()
    report = audit(new_database, now=older.written_at + LATER, relay_interval_seconds=3_600)
    assert [check for check in report["checks"] if not check["ok"]] == []
    due = gone_on(older)
    periods = billed_periods(new_database)
    assert len(periods) > 50
    for name, rows in due.items():
        if name != "billedPeriods":
            found = {row["_id"]: row for row in new_database[name].find()}
            assert found.keys() == {row["_id"] for row in rows}
            for row in rows:
                assert found[row["_id"]] == row
    # Migrated when all that was billed, these are the same.
    new_database["billedPeriods"].delete_many({})
    new_database["billedPeriods"].insert_many(due["billedPeriods"])
    new_database["meta"].update_one({"_id": "form"}, {"$set": {"number": older.form}})
    migrated_from(older, settings)
    assert billed_periods(new_database) == periods


def test_charges_that_are_kept_are_in_each_place() -> None:
    """Billed and not, before and after what was billed last: a later test of them proves something."""
    rows = form_6().rows
    charges = rows["charges"]
    last: dict[str, str] = {}
    for row in charges:
        if row["billed"] is not None:
            last[row["billingAccount"]] = max(row["date"], last.get(row["billingAccount"], ""))
    assert last.keys() == {f"BA-{n}" for n in (1, 2, 4, 5)}
    open_ = {(row["_id"], row["billingAccount"] in last, row["date"]) for row in charges if row["billed"] is None}
    assert {id_ for id_, _, _ in open_} == {f"C-{n}" for n in (2, 6, 7, *range(10, 18))}
    assert {known for _, known, _ in open_} == {True, False}
    by_id = {row["_id"]: row for row in charges}
    where = {(by_id[id_]["date"] > at) - (by_id[id_]["date"] < at) for id_, at in places(open_, by_id, last)}
    assert where == {-1, 0, 1}


def places(
    open_: set[tuple[str, bool, str]], by_id: dict[str, Document], last: dict[str, str]
) -> list[tuple[str, str]]:
    """Open charges of accounts that were billed, each with the date of the last one that was."""
    return [(id_, last[by_id[id_]["billingAccount"]]) for id_, known, _ in open_ if known]


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_charges_are_gone_on_with(settings: Settings, client: Client, new_database: Books) -> None:
    """As the version that wrote them went on with them: the same charges on the same bills, and the rest waits.

    What was sent to that version is a duplicate.
    """
    older = form_6()
    older.restore(new_database)
    migrated_from(older, settings)
    assert broken(new_database, older) == []
    now, numbers = older.written_at + timedelta(hours=1), count(1)
    async with working(settings, clock=lambda: now):
        asked_for = [
            await client.send_asking((message.routing_key, message.body), message_id=message.message_id)
            for message in older.messages
        ]
        assert {(await client.answer(asked))["outcome"] for asked in asked_for} == {"duplicate"}
        for message in (
            *(demand(f"E-{n}", f"BA-{account}", f"2026-11-{day}") for n, account, day in CHARGES_DUE),
            charge("C-20", "BA-1", 90, date="2026-11-03"),
            charge("C-21", "BA-2", 90, date="2026-11-12"),
            charge("C-22", "BA-5", 1, date="2026-11-23"),
            *(demand(f"F-{account}", f"BA-{account}", "2026-11-23") for account in (1, 5, 3)),
        ):
            answer = await client.ask(message, message_id=f"later-{next(numbers)}")
            assert answer["outcome"] == "applied", (message, answer)
        await wait_for(lambda: not unsent(new_database))
    await client.assert_drained()
    report = audit(new_database, now=now, relay_interval_seconds=3_600)
    assert [check for check in report["checks"] if not check["ok"]] == []
    for name, rows in gone_on(older).items():
        found = {row["_id"]: row for row in new_database[name].find({}, {"behind": 0})}
        assert found == {row["_id"]: row for row in rows}, name
    behind = {row["_id"] for row in new_database["charges"].find({"behind": True})}
    # What is left is due later.
    assert behind == set()
    assert {row["_id"] for row in new_database["charges"].find({"billed": None})} == {"C-7", "C-13"}


CHARGES_DUE = ((1, 1, 14), (2, 1, 22), (4, 4, 22), (5, 5, 22), (3, 3, 22))
"""What is demanded first: the demand's number, the account, the day of November up to which."""
LATER = timedelta(days=32)
"""When a worker has gone on with the books of form 5."""
BILLED = [
    f"BA-{name}"
    for name in (
        *("ALL", "USE", "PAUSE", "LINE", "NOTE", "UNDO", "DAYS", "NONE", "AGAIN", "LATE", "MANY", "BOTH"),
        *("R1", "R2", "R3"),
    )
]
"""The accounts that are billed, in this order."""


def migrated_from(older: OlderBooks, settings: Settings) -> None:
    """Migrate the database, which is of that form."""
    with database(settings.mongodb_url, settings.database, MIGRATE_APP_NAME) as opened:
        done = migrate(opened, lambda _progress: None)
    assert (done.found, done.form) == (older.form, FORM)


def billed_periods(database: Books) -> dict[str, Document]:
    """What was billed of each period; the order of its prices says nothing."""

    def by_price(row: Document) -> Any:
        return row["priceId"]

    return {
        row["_id"]: {**row, "prices": sorted(row["prices"], key=by_price)} for row in database["billedPeriods"].find()
    }


async def what_is_billed_later(older: OlderBooks, client: Client, database: Books, settings: Settings) -> None:
    """All accounts are billed for the same date, a month later, and after changes of days before all that.

    It is what the worker of form 5 was sent after it had written its books: the order and the times are as they were.
    """
    now, numbers = [older.written_at + timedelta(hours=1)], count(1)

    async def take(*sent: Message) -> None:
        for message in sent:
            answer = await client.ask(message, message_id=f"later-{next(numbers)}")
            assert answer["outcome"] == "applied", (message, answer)

    async def bill(name: str, on: str) -> None:
        await take(*(demand(f"{name}-{id_}", id_, on) for id_ in BILLED))

    # Sent while no worker runs.
    await client.declare()
    await client.send(usage("U-11", "S-USE", 60, "2026-08-21T10:00:00Z", "U"), message_id="later-0")
    async with working(settings, clock=lambda: now[0]):
        await wait_for(lambda: database["inbox"].count_documents({"_id": "usage.record:U-11"}))
        await take(subscription("S-SOON", "BA-LATE", metered("U", 2), start="2026-09-01"))
        await wait_for(lambda: not held(database, "waiting"))
        asked_for = [
            await client.send_asking((message.routing_key, message.body), message_id=message.message_id)
            for message in older.messages
        ]
        assert {(await client.answer(asked))["outcome"] for asked in asked_for} == {"duplicate"}
        await bill("F", "2026-09-05")
        now[0] += timedelta(days=31)
        await bill("G", "2026-10-05")

        def priced(id_: str, on: str, *prices: Any) -> Message:
            return subscribed("change", id_, on, changes={"productPrice": prices})

        await take(
            priced("S-MANY", "2026-06-11", monthly("A1", 9), monthly("R1", 9, billed="inArrears")),
            priced("S-ALL", "2026-08-05", monthly("A", 20), monthly("X", "9.99", sold_for="SA-1")),
            priced("S-DAYS", "2026-07-02", metered("P-1", 3)),
            subscribed("suspend", "S-LINE", "2026-07-11"),
            subscribed("terminate", "S-MORE", "2026-08-21"),
            subscribed("terminate", "S-R1", "2026-08-01"),
            usage("U-12", "S-USE", 4, "2026-07-05T10:00:00Z", "U"),
            usage("U-13", "S-USE", -9, "2026-07-20T12:00:00Z", "G"),
        )
        await bill("H", "2026-10-05")
        await wait_for(lambda: not unsent(database))
    # On the same date nothing is billed but what was to be looked at again.
    with_bills = database["billsOnDemand"].find({"_id": {"$regex": "^F-"}, "billNo": {"$ne": None}})
    assert {row["_id"] for row in with_bills} == {"F-BA-AGAIN", "F-BA-LATE"}
    # What was billed before the migration is taken back by changes after it.
    notes = database["creditNotes"].find({"cause": {"$regex": "^bill.demand:H-"}})
    corrected = {row["correctedBillNo"] for row in notes}
    assert len(corrected & {row["_id"] for row in older.rows["invoices"]}) > 5
