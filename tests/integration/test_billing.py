"""Charges and bills through the worker: what is answered, told, asked for, previewed and audited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.settings import Settings
from schemas.billing.queries import unnumbered
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import (
    charge,
    command,
    credit_note,
    customer,
    demand,
    eur,
    item,
    order,
    partner,
    payment,
    relationship,
    subscription,
)
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import working

INV1, INV2 = "INV-000000001", "INV-000000002"


async def test_what_is_charged_is_billed_on_demand(settings: Settings, client: Client, database: Books) -> None:
    """39.90 and a partner's 10.00 are one bill, as it was previewed; 15.00 of it is taken back on the next."""
    ask = Asker(client)
    period = {"startDateTime": "2026-11-01T00:00:00Z", "endDateTime": "2026-12-01T00:00:00Z"}
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        asked = asyncio.create_task(
            client.ask(charge("C-1", "BA-1", "39.90", periodCoverage=period, subscriptionId="S-1"))
        )
        await wait_for(lambda: [row["waitsFor"] for row in held(database, "waiting").values()] == ["subscription:S-1"])
        await client.send(subscription("S-1", "BA-1", start="2026-12-01"))
        answer = await asked
        assert answer == {"outcome": "applied", "result": {"taxExcludedAmount": eur(39.9)}}
        await client.send(charge("C-2", "BA-1", 10, sold_for="SA-1"))
        await applied(database, 5)
        open_ = await ask("charge.list", billingAccount="BA-1", billed=False)
        preview = await ask("bill.preview", billingAccount="BA-1", billingDate="2026-11-22")
        answer = await client.ask(demand("D-1", "BA-1"))
        assert answer == {
            "outcome": "applied",
            "result": {"state": "done", "billNo": INV1, "billNos": [INV1], "creditNotes": []},
        }
        assert await client.ask(demand("D-1", "BA-1")) == {**answer, "outcome": "duplicate"}
        await client.send(charge("C-3", "BA-1", -15, corrects={"billNo": INV1, "lineId": "1"}))
        await client.send(charge("C-4", "BA-1", 20))
        await applied(database, 8)
        answer = await client.ask(demand("D-2", "BA-1"))
        assert answer["result"]["billNo"] == INV2
        await applied(database, 9)
        billed = await ask("charge.list", billingAccount="BA-1", billed=True)
        first = await ask("charge.list", billingAccount="BA-1", limit=3)
        rest = await ask("charge.list", billingAccount="BA-1", limit=3, after=first["after"])
        invoice = await ask("invoice.get", billNo=INV1)
        nothing = await ask("bill.preview", billingAccount="BA-1", billingDate="2026-11-22")
    [issued, second] = [event.event["invoice"] for event in client.seen("invoice.issued")]
    assert preview == {"invoices": [unnumbered(issued)], "creditNotes": []}
    assert "orderId" not in issued
    assert [(one["id"], one["isBilled"]) for one in open_["items"]] == [("C-1", False), ("C-2", False)]
    assert issued["lines"][0]["periodCoverage"] == {
        "startDateTime": "2026-11-01T00:00:00.000Z",
        "endDateTime": "2026-12-01T00:00:00.000Z",
    }
    assert [(line["chargeId"], line["taxExcludedAmount"]["value"]) for line in second["lines"]] == [
        ("C-3", -15),
        ("C-4", 20),
    ]
    assert [(one["id"], one["bill"]["id"], one["lineId"]) for one in billed["items"]] == [
        ("C-1", INV1, "1"),
        ("C-2", INV1, "2"),
        ("C-3", INV2, "1"),
        ("C-4", INV2, "2"),
    ]
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ["C-1", "C-2", "C-3", "C-4"]
    assert invoice["corrections"]["lines"] == [{"lineId": "1", "credited": eur(0), "takenBack": eur(15)}]
    assert nothing == {"invoices": [], "creditNotes": []}
    [accrued] = client.seen("settlement.accrued")
    assert (accrued.event["cause"], accrued.event["lines"]) == (
        "bill.demand:D-1",
        [{"billNo": INV1, "lineId": "2", "amount": eur(8)}],
    )
    assert position(database, "BA-1") == {"receivable": 5988 + 600}
    assert ledger(database)["revenue"] == -4490
    await assert_clean(client, database)


async def test_a_bill_below_zero_is_notes(settings: Settings, client: Client, database: Books) -> None:
    """The preview has the notes that then come; one of them can be asked for by the id that it has."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), order("O-1", "BA-1", item(1, 100)), payment("P-1", "BA-1", 120)])
        await applied(database, 3)
        await client.send(charge("C-1", "BA-1", -30, corrects={"billNo": INV1, "lineId": "1"}))
        await client.send(charge("C-2", "BA-1", 5))
        await applied(database, 5)
        preview = await ask("bill.preview", billingAccount="BA-1", billingDate="2026-11-22")
        answer = await client.ask(demand("D-1", "BA-1"))
        await applied(database, 6)
        note = await ask("credit-note.get", creditNoteId=f"bill.demand:D-1:{INV1}")
    assert answer["result"] == {"state": "done", "billNo": INV2, "billNos": [INV2], "creditNotes": ["CN-000000001"]}
    [told] = [event.event["creditNote"] for event in client.seen("credit-note.issued")]
    issued = client.seen("invoice.issued")[-1].event["invoice"]
    assert preview == {"invoices": [unnumbered(issued)], "creditNotes": [unnumbered(told)]}
    assert (note["billNo"], note["taxIncludedAmount"]) == ("CN-000000001", eur(36))
    assert position(database, "BA-1") == {"unapplied": 3000}
    await assert_clean(client, database)


async def test_a_bill_of_more_lines_than_one_holds_goes_on(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven charges of accounts that it pays for, and three lines a bill: a message of ours goes on with the rest."""
    monkeypatch.setattr("domain.billing.gathering.LINES_MAX", 3)
    monkeypatch.setattr("domain.billing.composing.LINES_MAX", 3)
    async with working(settings):
        await client.send(customer("BA-P"))
        payer = relationship("payer", "BA-P")
        await client.send_all([customer(f"BA-{n}", accountRelationship=[payer]) for n in (1, 2)])
        await applied(database, 3)
        await client.send_all([charge(f"C-{n}", f"BA-{1 + n % 2}", 1) for n in range(7)])
        await applied(database, 10)
        preview = await Asker(client)("bill.preview", billingAccount="BA-P", billingDate="2026-11-22")
        answer = await client.ask(demand("D-1", "BA-P"))
        await applied(database, 13)
    assert answer["result"] == {"state": "inProgress", "billNo": INV1, "billNos": [INV1], "creditNotes": []}
    states = [event.event["customerBillOnDemand"]["state"] for event in client.seen("bill-on-demand.state-changed")]
    assert states == ["inProgress", "inProgress", "done"]
    issued = [event.event["invoice"] for event in client.seen("invoice.issued")]
    assert preview["invoices"] == [unnumbered(invoice) for invoice in issued]
    assert [len(invoice["lines"]) for invoice in issued] == [3, 3, 1]
    assert position(database, "BA-P") == {"receivable": 840}
    await assert_clean(client, database)


async def test_what_a_charge_needs_may_come_later(settings: Settings, client: Client, database: Books) -> None:
    """It waits for its account and the invoice that it corrects, and is taken up at once: no sweep has to come by."""
    settings = settings.model_copy(update={"held_interval_seconds": 3_600})
    async with working(settings):
        await client.send(charge("C-1", "BA-1", -10, corrects={"billNo": INV1, "lineId": "1"}))
        await wait_for(lambda: [row["waitsFor"] for row in held(database, "waiting").values()] == ["account:BA-1"])
        await client.send(customer("BA-1"))
        await wait_for(lambda: [row["waitsFor"] for row in held(database, "waiting").values()] == [f"invoice:{INV1}"])
        await client.send(order("O-1", "BA-1", item(1, 10)))
        await applied(database, 3)
        await client.send(command("close", "BA-1"))
        await client.send(demand("D-1", "BA-1"))
        await applied(database, 5)
    [row] = database["accounts"].find({"_id": "BA-1"}, {"state": 1})
    assert row["state"] == "closed"
    await assert_clean(client, database)


async def test_a_query_for_no_bill_says_why(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of no account, of a partner's, of one that is closed; of a date far ahead, or too long."""
    ask = Asker(client).answer
    monkeypatch.setattr("domain.billing.gathering.LINES_MAX", 1)
    monkeypatch.setattr("domain.billing.composing.LINES_MAX", 1)
    monkeypatch.setattr("adapters.billing.queries.PREVIEW_PARTS_MAX", 2)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        await client.send(command("close", "BA-1"))
        await applied(database, 3)
        await client.send_all([customer("BA-2"), *(charge(f"C-{n}", "BA-2", 1) for n in range(3))])
        await applied(database, 7)
        far = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
        ahead, long = [
            (await ask("bill.preview", {"billingAccount": "BA-2", "billingDate": day}))["error"]
            for day in (far, "2026-11-22")
        ]
        codes: list[Any] = [
            (await ask("bill.preview", {"billingAccount": id_, "billingDate": "2026-11-22"}))["error"]["code"]
            for id_ in ("BA-9", "SA-1", "BA-1")
        ]
    assert codes == ["unknown-account", "invalid", "account-closed"]
    too_far = f"billingDate: {far} is more than 7 days ahead, when its demand would be too-early"
    assert (ahead["code"], ahead["detail"]) == ("invalid", too_far)
    assert (long["code"], long["detail"]) == (
        "invalid",
        "billingDate: what is due by 2026-11-22 has more than 2 parts: say an earlier date, or demand the bill",
    )
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_charges_and_bills_by_several_workers(settings: Settings, client: Client, database: Books) -> None:
    """Charges, demands and notes of the same invoices, three workers at once: each charge is billed once."""
    settings = settings.model_copy(update={"single_active_consumer": False})
    await client.declare(single_active_consumer=False)
    async with working(settings), working(settings), working(settings):
        await client.send_all([customer("BA-P"), partner("SA-1", "0.333", "payment")])
        await applied(database, 2)
        payer = relationship("payer", "BA-P")
        await client.send_all([customer(f"BA-{n}", accountRelationship=[payer]) for n in range(3)])
        await applied(database, 5)
        await client.send_all([order(f"O-{n}", "BA-P", item(1, "33.33", sold_for="SA-1")) for n in range(5)])
        await applied(database, 10)
        many = 250 if AT_LENGTH else 120
        numbers = [row["_id"] for row in database["invoices"].find({}, {"_id": 1})]
        corrects = [{"billNo": number, "lineId": "1"} for number in numbers]
        sent = [charge(f"C-{n}", f"BA-{n % 3}", "0.33", sold_for="SA-1" if n % 2 else None) for n in range(many)]
        sent += [
            charge(f"B-{n}", f"BA-{n % 3}", "-1.11", corrects=corrects[n % 5], sold_for="SA-1")
            for n in range(many // 5)
        ]
        sent += [demand(f"D-{n}", "BA-P") for n in range(many // 4)]
        sent += [credit_note(f"N-{number}", number) for number in numbers]
        await asyncio.gather(*(client.send(message) for message in sent))
        await wait_for(
            lambda: database["inbox"].count_documents({}) + len(held(database, "parked")) >= 10 + len(sent), 120
        )
        await client.send(demand("D-last", "BA-P"))
        await wait_for(lambda: database["inbox"].count_documents({"_id": "bill.demand:D-last"}) == 1)
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
    # What the bills took back first is no longer there for the notes, and the other way round.
    assert {row["reason"] for row in held(database, "parked").values()} <= {"over-credited"}
    assert database["charges"].count_documents({"billed": None}) == 0
    for row in database["invoices"].find({"orderId": {"$type": "string"}}):
        [line] = row["corrections"]["lines"]
        assert line["credited"] + line["takenBack"] == 3333, row["_id"]
    await assert_clean(client, database)
