"""What is sold in partners' names, through the worker: an invoice of each seller, whatever asked for it."""

from __future__ import annotations

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, ledger, position
from tests.support.client import Client
from tests.support.messages import (
    agent_of,
    bill_run,
    charge,
    closing,
    credit_note,
    credited,
    customer,
    cycle,
    demand,
    eur,
    in_cycle,
    item,
    monthly,
    order,
    payment,
    subscription,
    write_off,
)
from tests.support.waiting import wait_for
from tests.support.workers import working

OURS, FIRST, SECOND = "INV-000000001", "SA-1-000000001", "FN.000000001"
SELLERS = [customer("BA-1"), agent_of("SA-1"), agent_of("SA-2", "payment", series="FN.")]
"""A customer, and two partners: one has what it sells at the invoice, the other one as that is paid."""


async def test_an_order_of_three_sellers_is_three_invoices(settings: Settings, client: Client, database: Books) -> None:
    """One message, three invoices on one account, told each; a payment, a note and a write-off go across them."""
    lines = item(1, 20, sold_for="SA-2"), item(2, 30), item(3, "10.01", sold_for="SA-1"), item(4, 5, sold_for="SA-1")
    async with working(settings):
        await client.send_all(SELLERS)
        await applied(database, 3)
        answer = await client.ask(order("O-1", "BA-1", *lines))
        # 24.00 of SA-2, 36.00 of ours, 18.01 of SA-1, in the order of their numbers: 10.00 of ours are left.
        await client.send(payment("P-1", "BA-1", 50))
        await applied(database, 5)
        await client.send_all([credit_note("N-1", FIRST, credited(4, 5)), write_off("W-1", OURS)])
        await applied(database, 7)
        await client.send_all([closing("C-1", "SA-1"), closing("C-2", "SA-2")])
        await applied(database, 9)
        statement = await Asker(client)("settlement.get", id="C-2")
    assert statement["lines"][0]["explained"] == {
        "cause": "payment.received:P-1",
        "net": eur(20),
        "terms": {"commission": 0.1, "commissionTax": {"category": "S", "rate": 0.2}, "accrueOn": "payment"},
        "share": eur(24),
        "accrued": eur(24),
        "commission": eur(2),
    }
    assert answer == {"outcome": "applied", "result": {"billNos": [OURS, SECOND, FIRST]}}
    issued = {one["id"]: one for one in (event.event["invoice"] for event in client.seen("invoice.issued"))}
    assert {number: (one.get("seller", {}).get("id"), one["sellerVersion"]) for number, one in issued.items()} == {
        OURS: (None, None),
        FIRST: ("SA-1", 1),
        SECOND: ("SA-2", 1),
    }
    assert {number: one["taxIncludedAmount"]["value"] for number, one in issued.items()} == {
        OURS: 36,
        FIRST: 18.01,
        SECOND: 24,
    }
    [note] = [event.event["creditNote"] for event in client.seen("credit-note.issued")]
    assert (note["id"], note["seller"]["id"]) == ("CN-SA-1-000000001", "SA-1")
    assert position(database, "BA-1") == {"receivable": 1801 - 600}
    assert (position(database, "SA-1"), position(database, "SA-2")) == ({"payable": 1081}, {"payable": 2160})
    sums = {name: amount for name, amount in ledger(database).items() if ":" not in name}
    assert sums == {"cash": 5000, "revenue": -3000, "tax": -660, "badDebt": 1000, "commission": -300}
    rows = database["accruals"].find({"commission": {"$exists": True}})
    assert sorted((row["settlementAccount"], row["commission"]["amount"]) for row in rows) == [
        ("SA-1", -50),
        ("SA-1", 50),
        ("SA-1", 100),
        ("SA-2", 200),
    ]
    await assert_clean(client, database)


async def test_bills_are_made_in_the_name_of_each_seller(settings: Settings, client: Client, database: Books) -> None:
    """On demand and in a run: of a subscription's prices and of charges, ours and partners'."""
    prices = monthly("P-1", 30), monthly("P-2", 10, sold_for="SA-1")
    accounts = ("BA-2", "BA-3")
    async with working(settings):
        await client.send_all([cycle("MONTHLY"), *SELLERS, *(in_cycle(one, "MONTHLY") for one in accounts)])
        await applied(database, 6)
        await client.send_all(
            [subscription(f"S-{one}", one, *prices, start="2026-11-22") for one in ("BA-1", *accounts)]
        )
        await client.send_all([charge(f"C-{one}", one, 5, sold_for="SA-2") for one in ("BA-1", *accounts)])
        await applied(database, 12)
        answer = await client.ask(demand("D-1", "BA-1", "2026-11-22"))
        await client.send(bill_run("R-1", "MONTHLY", "2026-11-22"))
        await wait_for(lambda: database["billRuns"].count_documents({"state": "completed"}) == 1)
        await applied(database, 14)
    told = answer["result"]
    assert (told["state"], sorted(told["billNos"]), told["creditNotes"]) == ("done", [SECOND, OURS, FIRST], [])
    [run] = database["billRuns"].find()
    assert run["billed"] == 2
    assert [(total["taxExcludedAmount"], total["taxIncludedAmount"]) for total in run["totals"]] == [(9000, 10800)]
    of_sellers = [(row["billingAccount"], row.get("seller"), row["taxIncludedAmount"]) for row in bills(database)]
    assert of_sellers == [
        (account, seller, total)
        for account in ("BA-1", *accounts)
        for seller, total in ((None, 3600), ("SA-1", 1200), ("SA-2", 600))
    ]
    assert (position(database, "SA-1"), position(database, "SA-2")) == ({"payable": 3600}, {"withheld": 1800})
    await assert_clean(client, database)


def bills(database: Books) -> list[dict[str, object]]:
    """All invoices, by account and seller, ours first."""
    return sorted(database["invoices"].find(), key=lambda row: (row["billingAccount"], row.get("seller") or ""))
