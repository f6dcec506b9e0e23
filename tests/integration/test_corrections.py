"""Credit notes through the worker: what is answered, told, asked for and audited."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_audit_ok, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import (
    Message,
    adjustment,
    charge,
    credit_note,
    credited,
    customer,
    demand,
    dispute,
    dispute_settled,
    dispute_withdrawn,
    eur,
    grant,
    item,
    order,
    partner,
    payment,
    refund,
    reversal,
    sent,
    transfer,
    validated,
    write_off,
)
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import working

INV1 = "INV-000000001"


async def test_a_note_comes_back_to_customer_and_partner(settings: Settings, client: Client, database: Books) -> None:
    """The worked figures of docs/corrections.md: 200.00 of 240.00 paid, then 75.00 and their tax credited."""
    lines, ask = (item(1, "100"), item(2, "100", sold_for="SA-1")), Asker(client)
    async with working(settings):
        await client.send_all(
            [
                customer("BA-1"),
                partner("SA-1", accrue_on="payment"),
                order("O-1", "BA-1", *lines),
                payment("P-1", "BA-1", 200),
            ]
        )
        await applied(database, 4)
        answer = await client.ask(credit_note("N-1", INV1, credited(1, 50), credited(2, 25), excess="refund"))
        assert answer == {"outcome": "applied", "result": {"billNo": "CN-000000001"}}
        again = await client.ask(credit_note("N-1", INV1, credited(1, 50), credited(2, 25), excess="refund"))
        assert again == {"outcome": "duplicate", "result": {"billNo": "CN-000000001"}}
        await applied(database, 5)
        note = await ask("credit-note.get", billNo="CN-000000001")
        listed = await ask("credit-note.list", billingAccount="BA-1")
        of_invoice = await ask("credit-note.list", billingAccount="BA-1", correctedBillNo=INV1)
        invoice = await ask("invoice.get", billNo=INV1)
        paid = await ask("payment.get", paymentId="P-1")
        all_paid = await ask("payment.list", billingAccount="BA-1")
        balance = await ask("account.balance", id="BA-1")
    assert note == the_one(listed) == the_one(of_invoice)
    assert (note["taxExcludedAmount"], note["taxIncludedAmount"], note["refundable"]) == (eur(75), eur(90), eur(50))
    assert note["covered"] == {
        "remaining": eur(40),
        "writtenOff": eur(0),
        "deallocations": [{"paymentId": "P-1", "amount": eur(50)}],
    }
    assert paid == the_one(all_paid)
    assert (paid["allocations"], paid["unapplied"]) == ([{"billNo": INV1, "amount": eur(150)}], eur(0))
    assert invoice["creditNotes"] == [
        {"@type": "CustomerBillRef", "id": "CN-000000001", "creditNoteId": "N-1", "taxIncludedAmount": eur(90)}
    ]
    assert (invoice["state"], invoice["remainingAmount"], invoice["amountDue"]) == ("settled", eur(0), eur(240))
    assert invoice["corrections"] == {
        "credited": eur(90),
        "lines": [{"lineId": "1", "credited": eur(50)}, {"lineId": "2", "credited": eur(25)}],
    }
    assert balance["refundable"] == eur(50)
    assert position(database, "BA-1") == {"refundable": 5000}
    assert position(database, "SA-1") == {"payable": 6000}
    assert ledger(database) == {
        "cash": 20000,
        "revenue": -5000,
        "commission": -1500,
        "tax": -2500,
        "payable:SA-1": -6000,
        "refundable:BA-1": -5000,
    }
    [entry] = database["entries"].find({"_id": "credit-note.issue:N-1"})
    assert (entry["reverses"], entry["reason"]) == ("order.completed:O-1", "returned")
    told = [
        event.type for event in client.seen() if event.message.headers.get("causation-id") == "credit-note.issue:N-1"
    ]
    assert sorted(told) == ["credit-note.issued", "invoice.credited", "settlement.accrued"]
    await assert_clean(client, database)


def the_one(page: Any) -> Any:
    """The one item of a page."""
    [item_] = page["items"]
    assert page["after"] is None
    return item_


async def test_a_note_ahead_of_its_invoice_is_right_at_once(
    settings: Settings, client: Client, database: Books
) -> None:
    """It waits for the invoice by its number, and is taken up when that is issued: no sweep has to come by."""
    settings = settings.model_copy(update={"held_interval_seconds": 3_600})
    async with working(settings):
        await client.send_all([customer("BA-1"), credit_note("N-1", INV1)])
        await wait_for(lambda: [row["waitsFor"] for row in held(database, "waiting").values()] == [f"invoice:{INV1}"])
        await client.send(order("O-1", "BA-1"))
        await applied(database, 3)
    assert database["invoices"].find_one({"_id": INV1}, {"state": 1}) == {"_id": INV1, "state": "settled"}
    await assert_clean(client, database)


INVOICES = 10 if AT_LENGTH else 2
OF_ONE_PAYMENT = 1_000 if AT_LENGTH else 150
"""How many invoices a payment is of that comes back."""


def a_hundred_of_each(numbers: list[str]) -> list[Message]:
    """A hundred corrections of each of some invoices, or of the payments of their account, in parts that all fit."""
    facts: list[Message] = []
    for k, number in enumerate(numbers):
        lines = credited(1, "1.11"), credited(2, "2.22"), credited(3, "0.01")
        facts += [credit_note(f"N-{k}-{n}", number, *lines) for n in range(40)]
        facts += [write_off(f"W-{k}-{n}", number, "1.00", taxRelief=n % 2 == 0) for n in range(10)]
        facts += [dispute(f"D-{k}-{n}", number, credited(1, "1.00"), credited(2, "1.00")) for n in range(5)]
        facts += [dispute_settled(f"D-{k}-{n}", credited(2, "0.50")) for n in range(3)]
        facts += [dispute_withdrawn(f"D-{k}-{n}") for n in range(3, 5)]
        facts += [reversal(f"X-{k}-{n}", f"P-{k}", "2.00", fee=eur("0.10")) for n in range(10)]
        facts += [refund(f"R-{k}-{n}", "BA-1", "1.00", paymentId=f"P-{k}") for n in range(10)]
        facts += [transfer(f"T-{k}-{n}", "1.00", "BA-2", "BA-1") for n in range(10)]
        facts += [grant(f"C-{k}-{n}", "BA-1", "1.00") for n in range(5)]
        facts += [adjustment(f"A-{k}-{n}", "SA-1", "0.07") for n in range(5)]
    return facts


@pytest.mark.parametrize("driver", ["motor"])
async def test_hundreds_of_corrections_of_few_invoices_by_several_workers(
    settings: Settings, client: Client, database: Books
) -> None:
    """Of a few invoices, three workers at once: the sums are those of what was sent; then each is credited in full."""
    settings = settings.model_copy(update={"single_active_consumer": False})
    await client.declare(single_active_consumer=False)
    async with working(settings), working(settings), working(settings):
        lines = (item(1, "333.33"), item(2, "666.67", sold_for="SA-1"), item(3, "3.00", rate="0.07"))
        await client.send_all([customer("BA-1"), customer("BA-2"), partner("SA-1", "0.333", "payment")])
        await applied(database, 3)
        await client.send_all([order(f"O-{n}", "BA-1", *lines) for n in range(INVOICES)])
        await applied(database, 3 + INVOICES)
        numbers = [row["_id"] for row in database["invoices"].find({}, {"_id": 1})]
        paid = [payment(f"P-{k}", "BA-1", "500.00", invoices=[number]) for k, number in enumerate(numbers)]
        await client.send_all([*paid, payment("P-wrong", "BA-2", "150.00")])
        await applied(database, 4 + 2 * INVOICES)
        facts = a_hundred_of_each(numbers)
        assert len(facts) == 100 * INVOICES
        await asyncio.gather(*(client.send(fact) for fact in [*facts, *facts[::50]]))
        await applied(database, 4 + 102 * INVOICES, 120)
        assert not held(database)
        # Of each invoice of 1203.21 the notes take 44.40, 88.80 and 0.40, and 3 × 0.50; the tax of 134.70 is 26.94, and
        # of 0.40 it is 0.03. 10.00 are lost. Of each 500.00 then 30.00 are gone, and 15.00 come from elsewhere.
        left = 120_321 - (4440 + 8880 + 40 + 150 + 2694 + 3) - 1000
        allocated = 50_000 - 3000 + 1500
        assert position(database, "BA-1") == {"receivable": INVOICES * (left - allocated)}
        assert position(database, "BA-2") == {"unapplied": 15_000 - 1000 * INVOICES}
        await client.send_all([credit_note(f"N-{row['_id']}", row["_id"]) for row in database["invoices"].find()])
        await applied(database, 4 + 103 * INVOICES, 120)
    assert database["creditNotes"].count_documents({}) == INVOICES * (40 + 3 + 1)
    for invoice in database["invoices"].find():
        assert invoice["corrections"] == {
            **invoice["corrections"],
            "credited": invoice["taxIncludedAmount"],
            "writeOffs": [],
        }
    assert position(database, "BA-1") == {"unapplied": INVOICES * allocated}
    assert position(database, "SA-1") == {"payable": INVOICES * 35}
    assert ledger(database) == {
        "cash": INVOICES * (47_000 - 100) + 15_000,
        "bankCharges": 100 * INVOICES,
        "goodwill": 500 * INVOICES,
        "commission": 35 * INVOICES,
        "unapplied:BA-1": -INVOICES * allocated,
        "unapplied:BA-2": 1000 * INVOICES - 15_000,
        "payable:SA-1": -35 * INVOICES,
    }
    await assert_clean(client, database)


async def test_a_refund_waits_for_credit_and_is_booked_when_that_is_enough(
    settings: Settings, client: Client, database: Books
) -> None:
    """Too little at first; the next payment lets it go on at once: no sweep has to come by."""
    settings = settings.model_copy(update={"held_interval_seconds": 3_600})
    async with working(settings):
        await client.send_all([customer("BA-1"), payment("P-1", "BA-1", 5), refund("R-1", "BA-1", 8)])
        await wait_for(lambda: [row["reason"] for row in held(database, "waiting").values()] == ["insufficient-credit"])
        await client.send(payment("P-2", "BA-1", 1))
        await applied(database, 3)
        await client.send(payment("P-3", "BA-1", 4))
        await applied(database, 5)
    assert position(database, "BA-1") == {"unapplied": 200}
    await assert_clean(client, database)


async def test_a_refund_that_has_waited_for_too_long_is_booked_all_the_same(
    settings: Settings, client: Client, database: Books
) -> None:
    """The money has moved: the rest is owed by the customer, and its next payment covers that first."""
    quick = settings.model_copy(update={"waiting_seconds_max": 0.5, "held_interval_seconds": 0.1})
    async with working(quick):
        await client.send_all([customer("BA-1"), payment("P-1", "BA-1", 5)])
        answer = await client.ask(refund("R-1", "BA-1", 8, method="transfer"))
        assert answer == {"outcome": "applied", "result": {"recoverable": eur(3)}}
        await applied(database, 3)
        assert position(database, "BA-1") == {"recoverable": 300}
        await client.send_all([order("O-1", "BA-1"), payment("P-2", "BA-1", 10)])
        await applied(database, 5)
        [listed] = (await Asker(client)("refund.list", billingAccount="BA-1"))["items"]
        [allocated] = [
            event for event in client.seen("payment.allocated") if event.event["payment"]["paymentId"] == "P-2"
        ]
    assert (listed["refundId"], listed["recoverable"], listed["method"]) == ("R-1", eur(3), "transfer")
    assert (allocated.event["recovered"], allocated.event["unapplied"]) == (eur(3), eur(0))
    assert position(database, "BA-1") == {"receivable": 500}
    await assert_clean(client, database)


async def test_a_refund_of_a_payment_opens_what_it_covered(settings: Settings, client: Client, database: Books) -> None:
    """Payment, refund and the next payment in one go, whatever the batches: the books are the same."""
    async with working(settings):
        await client.send_all(
            [
                customer("BA-1"),
                partner("SA-1", accrue_on="payment"),
                order("O-1", "BA-1", item(1, "10", sold_for="SA-1")),
                payment("P-1", "BA-1", 12),
                refund("R-1", "BA-1", 3, paymentId="P-1"),
            ]
        )
        await applied(database, 5)
    assert position(database, "BA-1") == {"receivable": 300}
    # Of the share of 8.00 three quarters are still released: what was taken back is withheld again.
    assert position(database, "SA-1") == {"payable": 600, "withheld": 200}
    [reopened] = client.seen("invoice.reopened")
    assert (reopened.event["invoice"]["state"], reopened.event["deallocations"]) == (
        "partiallyPaid",
        [{"paymentId": "P-1", "amount": eur(3)}],
    )
    await assert_clean(client, database)


async def test_a_chargeback_after_a_refund_counts_once(settings: Settings, client: Client, database: Books) -> None:
    """Paid, credited, given back, and then charged back: the customer owes it, its next payment covers that first."""
    async with working(settings):
        await client.send_all(
            [
                customer("BA-1"),
                reversal("X-1", "P-1", fee=eur("3.50")),
                order("O-1", "BA-1"),
                payment("P-1", "BA-1", 12),
            ]
        )
        # Ahead of its payment the reversal waits; by now the payment is gone again.
        await applied(database, 4)
        assert position(database, "BA-1") == {"receivable": 1200}
        await client.send_all([payment("P-2", "BA-1", 12), credit_note("N-1", INV1, excess="refund")])
        await client.send_all([refund("R-1", "BA-1", 12, creditNoteId="N-1"), reversal("X-2", "P-2")])
        await applied(database, 8)
        assert position(database, "BA-1") == {"recoverable": 1200}
        await client.send(payment("P-3", "BA-1", 20))
        await applied(database, 9)
    assert position(database, "BA-1") == {"unapplied": 800}
    [first, second] = client.seen("payment.reversal-booked")
    assert (first.event["recoverable"], first.event["reversal"]["fee"]) == (eur(0), eur(3.5))
    assert second.event["recoverable"] == eur(12)
    assert ledger(database) == {"cash": 450, "bankCharges": 350, "unapplied:BA-1": -800}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_the_largest_note_and_the_reversal_of_a_payment_of_many_invoices(
    settings: Settings, client: Client, database: Books
) -> None:
    """A note of 1,000 lines of partners whose shares were released; a payment of many invoices that comes back."""
    lines = [item(n, "1", sold_for=f"SA-{n % 10}") for n in range(1, 1_001)]
    async with working(settings):
        await client.send_all([customer("BA-1"), customer("BA-2")])
        await client.send_all([partner(f"SA-{n}", accrue_on="payment") for n in range(10)])
        await client.send_all([order("O-1", "BA-1", *lines), payment("P-1", "BA-1", 1200)])
        await client.send_all([order(f"O-2-{n}", "BA-2") for n in range(OF_ONE_PAYMENT)])
        await client.send(payment("P-2", "BA-2", 12 * OF_ONE_PAYMENT))
        await applied(database, 15 + OF_ONE_PAYMENT, 120)
        [billed] = database["invoices"].find({"orderId": "O-1"}, {"_id": 1})
        note = await client.ask(credit_note("N-1", billed["_id"]))
        assert note["outcome"] == "applied", note
        back = await client.ask(reversal("X-1", "P-2"))
        assert back == {"outcome": "applied", "result": {"amount": eur(12 * OF_ONE_PAYMENT), "recoverable": eur(0)}}
        await applied(database, 17 + OF_ONE_PAYMENT, 120)
    assert position(database, "BA-1") == {"unapplied": 120_000}
    assert position(database, "BA-2") == {"receivable": 1_200 * OF_ONE_PAYMENT}
    assert all(position(database, f"SA-{n}") == {} for n in range(10))
    assert database["invoices"].count_documents({"state": "new"}) == OF_ONE_PAYMENT
    await assert_clean(client, database)


async def test_what_is_lost_and_recovered(settings: Settings, client: Client, database: Books) -> None:
    """A write-off with relief ahead of its order, the money that comes after all, and what each is told and asked."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1", accrue_on="payment")])
        await client.send_all([write_off("W-1", INV1, taxRelief=True), sent(INV1, medium="e-mail")])
        await wait_for(lambda: len(held(database, "waiting")) == 2)
        await client.send(order("O-1", "BA-1", item(1, "100", sold_for="SA-1")))
        await applied(database, 5)
        lost = await ask("invoice.get", billNo=INV1)
        answer = await client.ask(write_off("W-2", INV1))
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "wrong-state")
        await client.send(payment("P-1", "BA-1", 60, invoices=[INV1]))
        await applied(database, 6)
        recovered = await ask("invoice.get", billNo=INV1)
        statement = await ask("account.statement", id="BA-1")
    assert (lost["state"], lost["remainingAmount"], lost["handling"]["medium"]) == ("settled", eur(0), "e-mail")
    assert lost["corrections"]["writtenOff"] == eur(120)
    assert recovered["writeOffs"] == [{"writeOffId": "W-1", "amount": eur(120), "taxRelief": True}]
    assert recovered["corrections"]["writeOffs"] == [{"writeOffId": "W-1", "amount": eur(60), "taxRelief": True}]
    assert {"invoice.write-off:W-1", "payment.received:P-1"} <= {one["entry"] for one in statement["items"]}
    [told] = client.seen("invoice.recovered")
    assert told.event["recovered"] == [{"writeOffId": "W-1", "amount": eur(60), "taxRelief": True}]
    assert (position(database, "BA-1"), position(database, "SA-1")) == ({}, {"payable": 4000})
    assert ledger(database) == {"cash": 6000, "badDebt": 1000, "commission": -2000, "tax": -1000, "payable:SA-1": -4000}
    await assert_clean(client, database)


async def test_disputes_and_their_ends(settings: Settings, client: Client, database: Books) -> None:
    """One is settled ahead of being opened, one is withdrawn; a payment stops at what is disputed."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), validated(INV1, by="the portal")])
        await client.send_all([dispute_settled("D-1", credited(1, 20)), dispute("D-1", INV1, credited(1, 40))])
        await wait_for(lambda: len(held(database, "waiting")) == 3)
        await client.send(order("O-1", "BA-1", item(1, "100"), item(2, "50")))
        await applied(database, 5)
        assert database["invoices"].find_one({"_id": INV1}, {"state": 1, "_id": 0}) == {"state": "validated"}
        opened = await client.ask(dispute("D-2", INV1, credited(2, 50)))
        assert opened == {"outcome": "applied", "result": {"state": "open"}}
        await client.send(payment("P-1", "BA-1", 120))
        await applied(database, 7)
        held_back = await ask("account.balance", id="BA-1")
        invoice = await ask("invoice.get", billNo=INV1)
        [open_] = (await ask("dispute.list", billingAccount="BA-1", state="open"))["items"]
        ended = await client.ask(dispute_withdrawn("D-2"))
        again = await client.ask(dispute_settled("D-2"))
        await applied(database, 8)
        settled = await ask("dispute.get", disputeId="D-1")
        of_invoice = await ask("dispute.list", billingAccount="BA-1", billNo=INV1)
    assert (held_back["unapplied"], held_back["receivable"]) == (eur(24), eur(60))
    assert (invoice["state"], invoice["handling"]["undisputedAmount"]) == ("onHold", eur(0))
    assert [(one["disputeId"], one["state"]) for one in invoice["disputes"]] == [("D-1", "settled"), ("D-2", "open")]
    assert (open_["disputeId"], open_["amount"]) == ("D-2", eur(60))
    assert ended == {"outcome": "applied", "result": {"state": "withdrawn"}}
    assert (again["outcome"], again["error"]["code"]) == ("parked", "wrong-state")
    assert (settled["creditNote"], settled["items"][0]["approved"]) == ("CN-000000001", eur(20))
    assert [one["state"] for one in of_invoice["items"]] == ["settled", "withdrawn"]
    assert position(database, "BA-1") == {"receivable": 3600}
    await assert_clean(client, database)


async def test_what_was_overdue_at_a_time(settings: Settings, client: Client, database: Books) -> None:
    """What was disputed then was not, and what was written off since was: at each moment as it was."""
    ask = Asker(client)
    moments: list[tuple[str, Any]] = []

    async def note(facts: int, overdue: float) -> None:
        await applied(database, facts)
        [last] = database["inbox"].find({}, {"appliedAt": 1}).sort("appliedAt", -1).limit(1)
        moments.append((last["appliedAt"].isoformat(), eur(overdue)))
        await wait_for(lambda: datetime.now(UTC) - last["appliedAt"] > timedelta(milliseconds=5))

    async with working(settings):
        await client.send_all([customer("BA-1", paymentTermDays=0), order("O-1", "BA-1", item(1, "100"))])
        await applied(database, 2)
        database["invoices"].update_one({}, {"$set": {"paymentDueDate": "2026-01-01"}})
        database["positions"].update_one({"_id": "BA-1"}, {"$set": {"oldestDue": "2026-01-01"}})
        await client.send(payment("P-1", "BA-1", 10))
        await note(3, 110)
        await client.send(dispute("D-1", INV1, credited(1, 50)))
        await note(4, 50)
        await client.send(write_off("W-1", INV1, 20))
        await note(5, 30)
        await client.send(dispute_settled("D-1", credited(1, 20)))
        await note(6, 66)
        await client.send(dispute("D-2", INV1, credited(1, 80)))
        await note(7, 0)
        await client.send(dispute_withdrawn("D-2"))
        await note(8, 66)
        now = await ask("account.get", id="BA-1")
        then = [await ask("account.get", id="BA-1", at=at) for at, _ in moments]
    assert [overdue_of(account) for account in then] == [overdue for _, overdue in moments]
    assert overdue_of(now) == eur(66)


async def test_what_of_a_disputed_line_was_overdue_at_a_time(
    settings: Settings, client: Client, database: Books
) -> None:
    """A note leaves less of a dispute, and the end of one leaves more of another: at each moment as it was."""
    ask = Asker(client)
    moments: list[tuple[str, Any]] = []

    async def note(facts: int, overdue: float) -> None:
        await applied(database, facts)
        [last] = database["inbox"].find({}, {"appliedAt": 1}).sort("appliedAt", -1).limit(1)
        moments.append((last["appliedAt"].isoformat(), eur(overdue)))
        await wait_for(lambda: datetime.now(UTC) - last["appliedAt"] > timedelta(milliseconds=5))

    async with working(settings):
        lines = [item(n, "100") for n in (1, 2)]
        await client.send_all([customer("BA-1", paymentTermDays=0), order("O-1", "BA-1", *lines)])
        await applied(database, 2)
        database["invoices"].update_one({}, {"$set": {"paymentDueDate": "2026-01-01"}})
        database["positions"].update_one({"_id": "BA-1"}, {"$set": {"oldestDue": "2026-01-01"}})
        await client.send(dispute("D-1", INV1, credited(1, 60)))
        await note(3, 168)
        await client.send(dispute("D-2", INV1, credited(1, 40), credited(2, 10)))
        await note(4, 108)
        await client.send(credit_note("N-1", INV1, credited(1, 70)))
        await note(5, 108)
        disputed = [one["amount"] for one in (await ask("dispute.list", billingAccount="BA-1"))["items"]]
        await client.send(dispute_withdrawn("D-1"))
        await note(6, 108)
        await client.send(dispute_settled("D-2", credited(1, 30)))
        await note(7, 120)
        now = await ask("account.get", id="BA-1")
        then = [await ask("account.get", id="BA-1", at=at) for at, _ in moments]
    # Of the first line 30.00 are left, which the first dispute is about.
    assert disputed == [eur(36), eur(12)]
    assert [overdue_of(account) for account in then] == [overdue for _, overdue in moments]
    assert overdue_of(now) == eur(120)
    assert_audit_ok(database)


async def test_what_bills_took_of_a_disputed_line_was_overdue_at_a_time(
    settings: Settings, client: Client, database: Books
) -> None:
    """A bill takes back 40.00 of 100.00 in dispute, and a note credits 25.00 of that: at each moment as it was."""
    ask = Asker(client)
    moments: list[tuple[str, Any]] = []

    async def note(facts: int, overdue: float) -> None:
        await applied(database, facts)
        [last] = database["inbox"].find({}, {"appliedAt": 1}).sort("appliedAt", -1).limit(1)
        moments.append((last["appliedAt"].isoformat(), eur(overdue)))
        await wait_for(lambda: datetime.now(UTC) - last["appliedAt"] > timedelta(milliseconds=5))

    async with working(settings):
        await client.send_all([customer("BA-1", paymentTermDays=1), order("O-1", "BA-1", item(1, "100"))])
        await applied(database, 2)
        database["invoices"].update_one({}, {"$set": {"paymentDueDate": "2026-01-01"}})
        database["positions"].update_one({"_id": "BA-1"}, {"$set": {"oldestDue": "2026-01-01"}})
        await client.send(dispute("D-1", INV1, credited(1, 100)))
        await note(3, 0)
        await client.send(charge("C-1", "BA-1", -40, corrects={"billNo": INV1, "lineId": "1"}))
        await client.send(charge("C-2", "BA-1", 60))
        await applied(database, 5)
        await client.ask(demand("B-1", "BA-1"))
        await note(6, 48)
        await client.send(credit_note("N-1", "INV-000000002", credited(1, -25), credited(2, 30)))
        await note(7, 18)
        now = await ask("account.get", id="BA-1")
        then = [await ask("account.get", id="BA-1", at=at) for at, _ in moments]
    assert [overdue_of(account) for account in then] == [overdue for _, overdue in moments]
    assert overdue_of(now) == eur(18)
    assert_audit_ok(database)


def overdue_of(account: Any) -> Any:
    """What of an account is overdue."""
    [found] = [one["amount"] for one in account["accountBalance"] if one["balanceType"] == "overdue"]
    return found


async def test_goodwill_is_credit_like_a_payment(settings: Settings, client: Client, database: Books) -> None:
    """It covers what is open, is asked for by its own id, and its movement is in the statement."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), order("O-1", "BA-1")])
        await applied(database, 2)
        answer = await client.ask(grant("C-1", "BA-1", 5))
        assert answer == {"outcome": "applied", "result": {"billNos": [INV1]}}
        await client.send(grant("C-2", "BA-1", 10))
        await applied(database, 4)
        goodwill = await ask("payment.get", paymentId="credit~C-2")
        listed = await ask("payment.list", billingAccount="BA-1")
        invoice = await ask("invoice.get", billNo=INV1)
        statement = await ask("account.statement", id="BA-1")
    assert (goodwill["source"], goodwill["amount"], goodwill["unapplied"]) == ("goodwill", eur(10), eur(3))
    assert [one["paymentId"] for one in listed["items"]] == ["credit~C-1", "credit~C-2"]
    assert [one["payment"]["id"] for one in invoice["appliedPayment"]] == ["credit~C-1", "credit~C-2"]
    assert [one["entry"] for one in statement["items"]] == [
        "order.completed:O-1",
        "credit.grant:C-1",
        "credit.grant:C-2",
    ]
    assert ledger(database) == {"goodwill": 1500, "revenue": -1000, "tax": -200, "unapplied:BA-1": -300}
    assert [event.event["credit"]["creditId"] for event in client.seen("credit.granted")] == ["C-1", "C-2"]
    await assert_clean(client, database)


async def test_a_payment_of_the_wrong_account_comes_back(settings: Settings, client: Client, database: Books) -> None:
    """Transferred, it covers the right account's invoice; when the debit bounces, that is open again."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all(
            [customer("BA-1"), customer("BA-2"), transfer("T-1", 15, "BA-1", "BA-2", paymentId="P-1")]
        )
        await client.send_all([order("O-1", "BA-2"), payment("P-1", "BA-1", 20)])
        # Ahead of its payment the transfer waits; by now BA-2 has it.
        await applied(database, 5)
        assert (position(database, "BA-1"), position(database, "BA-2")) == ({"unapplied": 500}, {"unapplied": 300})
        credit = await ask("payment.get", paymentId="transfer~T-1~1")
        answer = await client.ask(reversal("X-1", "P-1", 12))
        await applied(database, 6)
        statement = await ask("account.statement", id="BA-2")
    assert (credit["source"], credit["allocations"]) == ("transfer", [{"billNo": INV1, "amount": eur(12)}])
    assert answer == {"outcome": "applied", "result": {"amount": eur(12), "recoverable": eur(0)}}
    assert (position(database, "BA-1"), position(database, "BA-2")) == ({}, {"receivable": 400})
    assert [one["entry"] for one in statement["items"]] == [
        "order.completed:O-1",
        "credit.transfer:T-1",
        "payment.reversed:X-1",
    ]
    moved = client.seen("credit.transferred")
    assert sorted(str(event.message.headers["account-id"]) for event in moved) == ["BA-1", "BA-2"]
    back = {event.message.headers["account-id"]: event.event for event in client.seen("payment.reversal-booked")}
    assert back["BA-1"]["deallocations"] == []
    assert (back["BA-2"]["payment"]["paymentId"], back["BA-2"]["deallocations"]) == (
        "transfer~T-1~1",
        [{"billNo": INV1, "amount": eur(4)}],
    )
    [reopened] = client.seen("invoice.reopened")
    assert reopened.message.headers["account-id"] == "BA-2"
    await assert_clean(client, database)


async def test_a_payment_in_very_many_parts_comes_back_whole(
    settings: Settings, client: Client, database: Books
) -> None:
    """A payment of 1,000.00 goes on in 1,000 parts, then all of them at once: 2,000 parts are in one transaction."""
    parts = [transfer(f"T-{n}", 1, "BA-1", "BA-2")[1] for n in range(1_000)]
    async with working(settings):
        await client.send_all([*(customer(f"BA-{n}") for n in (1, 2, 3)), payment("P-1", "BA-1", 1_000)])
        for some in (parts[:500], parts[500:]):
            await client.send(("credit.transfer", some))
        await wait_for(lambda: database["transfers"].count_documents({}) == 1_000)
        assert (await client.ask(transfer("T-ALL", 1_000, "BA-2", "BA-3")))["outcome"] == "applied"
        answer = await client.ask(reversal("X-1", "P-1"))
    assert answer["result"]["amount"]["value"] == 1_000
    assert answer["result"]["recoverable"]["value"] == 0
    assert [position(database, f"BA-{n}") for n in (1, 2, 3)] == [{}, {}, {}]
    await assert_clean(client, database)


async def test_a_transfer_that_finds_too_little_is_parked_in_the_end(
    settings: Settings, client: Client, database: Books
) -> None:
    """Nothing has moved outside: what has waited for too long is not booked."""
    quick = settings.model_copy(update={"waiting_seconds_max": 0.5, "held_interval_seconds": 0.1})
    async with working(quick):
        await client.send_all([customer("BA-1"), customer("BA-2"), payment("P-1", "BA-1", 5)])
        answer = await client.ask(transfer("T-1", 8, "BA-1", "BA-2"))
    assert (answer["outcome"], answer["error"]["code"]) == ("parked", "insufficient-credit")
    assert (position(database, "BA-1"), position(database, "BA-2")) == ({"unapplied": 500}, {})
    await assert_clean(client, database)
