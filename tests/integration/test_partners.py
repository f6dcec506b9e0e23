"""Partners' corrections through the worker: adjustments, payouts that come back, and what is closed by them."""

from __future__ import annotations

import asyncio

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import (
    adjustment,
    agreement,
    closing,
    command,
    credit_note,
    customer,
    eur,
    item,
    order,
    partner,
    payment,
    payout,
    payout_return,
    refund,
    report,
)
from tests.support.waiting import wait_for
from tests.support.workers import working

INV1 = "INV-000000001"
CORRECTS = {"billNo": INV1, "lineId": "1"}
EARNED = (customer("BA-1"), partner("SA-1"), order("O-1", "BA-1", item(1, "100", sold_for="SA-1")))
"""80.00 for SA-1."""


async def test_a_line_has_the_terms_that_were_agreed_of_its_day(
    settings: Settings, client: Client, database: Books
) -> None:
    """A change waits for its agreement; a line of 22 November has 60 % by it, one of the 20th the account's 80 %."""
    change = {"agreementId": "AG-1", "ifRevision": 1, "validFrom": "2026-11-22", "terms": {"share": "0.6"}}
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await client.send(("agreement.change", change), message_id="m-change")
        await wait_for(lambda: "agreement.change:m-change" in held(database))
        await client.send(agreement("AG-1", "SA-1", "2026-11-21", "0.5"))
        await applied(database, 4)
        again = await client.ask(agreement("AG-1", "SA-1", "2026-11-21", "0.50"))
        other = await client.ask(agreement("AG-2", "SA-1", "2027-01-01", "0.5"))
        tiers = await client.ask(agreement("AG-3", "SA-1", "2020-01-01", "0.5", tiers={"mode": "graduated"}))
        sold = item(1, "100", sold_for="SA-1")
        await client.send(order("O-1", "BA-1", sold))
        await client.send(order("O-2", "BA-1", sold, completedAt="2026-11-20T10:15:00Z"))
        await applied(database, 6)
        told = await ask("agreement.get", agreementId="AG-1")
        listed = await ask("agreement.list", settlementAccount="SA-1", on="2026-11-22")
        none = await ask("agreement.list", settlementAccount="SA-1", on="2026-11-20")
        unknown = await ask.answer("agreement.get", {"agreementId": "AG-9"})
    assert again == {"outcome": "duplicate", "result": {"agreementId": "AG-1", "revision": 1}}
    assert (other["error"]["code"], tiers["error"]["code"]) == ("agreement-overlap", "invalid")
    assert tiers["error"]["detail"].startswith("terms.tiers.period: ")
    assert unknown["error"] == {"code": "unknown-agreement", "detail": "agreementId: no agreement AG-9"}
    assert position(database, "SA-1") == {"payable": 14000}
    periods = [(one["validFrom"], one.get("validUntil"), one["share"], one["revision"]) for one in told["terms"]]
    assert periods == [("2026-11-21", "2026-11-22", 0.5, 1), ("2026-11-22", None, 0.6, 2)]
    causes = ["agreement.create:AG-1", "agreement.change:m-change"]
    assert [(one["revision"], one["cause"]) for one in told["history"]] == list(enumerate(causes, 1))
    del told["history"]
    assert (listed, none) == ({"items": [told], "after": None}, {"items": [], "after": None})
    assert [event.event["agreement"]["revision"] for event in client.seen("agreement.changed")] == [2]
    await assert_clean(client, database)


TIERS = {"mode": "graduated", "period": "month", "steps": [{"upTo": 1000, "share": 0.7}, {"share": "0.75"}]}


async def test_a_line_has_its_share_by_tiers(settings: Settings, client: Client, database: Books) -> None:
    """1,000.00 and 200.00 have 700.00 and 150.00, in one batch or in two; a note of the first takes its 700.00."""
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await client.send(agreement("AG-1", "SA-1", "2026-11-01", None, tiers=TIERS))
        await applied(database, 3)
        await client.send(order("O-1", "BA-1", item(1, "1000", sold_for="SA-1")))
        await applied(database, 4)
        await client.send_all(
            [order(f"O-{n}", "BA-1", item(1, "50", sold_for="SA-1"), item(2, "50", sold_for="SA-1")) for n in (2, 3)]
        )
        await client.send(credit_note("N-1", INV1))
        await applied(database, 7)
        told = await Asker(client)("agreement.get", agreementId="AG-1")
    steps = [{"upTo": 1000, "share": 0.7}, {"share": 0.75}]
    assert told["terms"][0]["tiers"] == {"mode": "graduated", "period": "month", "steps": steps}
    assert "share" not in told["terms"][0]
    [period] = database["tierPeriods"].find()
    assert (period["net"], period["share"], period["isOpen"]) == (20000, 15000, True)
    assert position(database, "SA-1") == {"payable": 15000}
    await assert_clean(client, database)


async def test_a_closing_states_what_differs_from_tiers(settings: Settings, client: Client, database: Books) -> None:
    """By volume 1,200.00 are all at 75 %: 700.00 + 150.00 and 50.00 that are trued up, once, as the preview has it."""
    by_volume = {**TIERS, "mode": "volume"}
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await client.send(agreement("AG-1", "SA-1", "2026-11-01", None, tiers=by_volume))
        await applied(database, 3)
        await client.send(order("O-1", "BA-1", item(1, "1000", sold_for="SA-1"), item(2, "200", sold_for="SA-1")))
        await applied(database, 4)
        preview = await ask("settlement.preview", settlementAccount="SA-1", periodEnd="2026-11-30")
        await client.send(closing("C-1", "SA-1"))
        await applied(database, 5)
        told = await ask("settlement.get", id="C-1")
        await client.send(closing("C-2", "SA-1"))
        await applied(database, 6)
        again = await ask("settlement.get", id="C-2")
    assert told["total"] == eur(900)
    assert told["lines"][-1] == {
        "kind": "trueUp",
        "lineType": "trueUp",
        "agreementId": "AG-1",
        "period": {"from": "2026-11-01", "to": "2026-11-30"},
        "revision": 1,
        "share": eur(900),
        "base": eur(1200),
        "date": told["lines"][-1]["date"],
        "amount": eur(50),
    }
    assert [line.pop("explained")["terms"]["accrueOn"] for line in told["lines"][:-1]] == ["invoice"] * 2
    assert preview["settlements"][0]["lines"] == told["lines"]
    assert (again["lines"], again["total"]) == ([], eur(0))
    [period] = database["tierPeriods"].find()
    assert (period["share"], period["trued"], period["isOpen"]) == (85000, 5000, False)


async def test_a_preview_has_the_statements_that_then_come_and_makes_none(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three accruals, two lines a statement: as the closing tells them, without ids; beyond its limit it says so."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    ask = Asker(client)
    async with working(settings):
        await client.send_all(EARNED)
        await applied(database, 3)
        await client.send_all([adjustment("A-1", "SA-1", "-7.50"), adjustment("A-2", "SA-1", 12)])
        await applied(database, 5)
        preview = await ask("settlement.preview", settlementAccount="SA-1", periodEnd="2026-11-30")
        assert list(database["settlements"].find()) == []
        assert (await client.ask(closing("C-1", "SA-1")))["result"] == {"settlementIds": ["C-1", "C-1-2"]}
        nothing = await ask("settlement.preview", settlementAccount="SA-1", periodEnd="2026-11-30")
        await client.send_all([adjustment(f"A-{n}", "SA-1", 1) for n in (3, 4, 5)])
        await applied(database, 9)
        monkeypatch.setattr("domain.settlement.closing.STATEMENTS_MAX", 1)
        arguments = {"settlementAccount": "SA-1", "periodEnd": "2026-11-30"}
        refused = await ask.answer("settlement.preview", arguments)
    told = [event.event["settlement"] for event in client.seen("settlement.closed")]
    assert [one.pop("id") for one in told] == ["C-1", "C-1-2"]
    assert preview == {"settlements": told}
    assert [one["total"] for one in told] == [eur(72.5), eur(12)]
    assert (nothing["settlements"][0]["lines"], nothing["settlements"][0]["total"]) == ([], eur(0))
    assert refused["error"]["code"] == "invalid"
    assert refused["error"]["detail"].startswith("periodEnd: more than ")
    await assert_clean(client, database)


async def test_what_a_partner_reports_otherwise_is_not_paid_before_it_is_adjusted(
    settings: Settings, client: Client, database: Books
) -> None:
    """A report waits for its statement of 100.00: 80.00 of it differs until it is adjusted."""
    ask = Asker(client)
    figures = {"O-1/1": 81, "O-1/2": 20, "O-9/1": "0.5"}
    tolerance = eur("0.99")
    lines = [item(1, "100", sold_for="SA-1"), item(2, "25", sold_for="SA-1")]
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1"), order("O-1", "BA-1", *lines)])
        await applied(database, 3)
        await client.send(report("R-1", "C-1", figures, tolerance=tolerance))
        await wait_for(lambda: "statement.report:R-1" in held(database))
        await client.send(closing("C-1", "SA-1"))
        await applied(database, 5)
        again = await client.ask(report("R-1", "C-1", figures, tolerance=tolerance))
        shown = await ask("settlement.get", id="C-1")
        refused = await client.ask(payout("PO-1", "SA-1", "C-1", 100))
        part = await client.ask(payout("PO-2", "SA-1", "C-1", 20))
        await client.ask(adjustment("A-1", "SA-1", "0.5", corrects=CORRECTS))
        rest = await client.ask(payout("PO-3", "SA-1", "C-1", 80))
        paid = await ask("settlement.get", id="C-1")
    assert again == {"outcome": "duplicate", "result": {"agreed": 1, "different": 1, "missing": 1}}
    [event] = [one.event["report"] for one in client.seen("statement.compared")]
    assert event == shown["report"] == paid["report"]
    assert [(one["lineId"], one["outcome"], one["difference"]) for one in event["lines"]] == [
        ("1", "different", eur(1)),
        ("2", "agreed", eur(0)),
        ("1", "missingHere", eur(0.5)),
    ]
    assert shown["disputedAmount"] == eur(80)
    assert refused["error"] == {
        "code": "overpaid-payout",
        "detail": "amount: 100.00 EUR, but 20.00 EUR is left to pay of settlement C-1; 80.00 EUR is in dispute: 1 line "
        "differs from what R-1 reports",
    }
    assert [answer["result"]["state"] for answer in (part, rest)] == ["partiallyPaid", "paid"]
    assert "disputedAmount" not in paid
    await assert_clean(client, database)


async def test_an_adjustment_and_a_return_are_stated_told_and_paid_anew(
    settings: Settings, client: Client, database: Books
) -> None:
    """80.00 that accrued, 7.50 less of it and 12.00 more; and its payout, which comes back and is paid anew."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all(EARNED)
        await applied(database, 3)
        assert await client.ask(adjustment("A-1", "SA-1", "-7.50", corrects=CORRECTS)) == {
            "outcome": "applied",
            "result": {"payable": eur(72.5)},
        }
        assert (await client.ask(adjustment("A-2", "SA-1", 12)))["result"] == {"payable": eur(84.5)}
        await client.send_all([closing("C-1", "SA-1"), payout("PO-1", "SA-1", "C-1", "84.50")])
        await applied(database, 7)
        first = await client.ask(payout_return("PR-1", "PO-1"))
        assert first == {"outcome": "applied", "result": {"settlementId": "C-1", "state": "open"}}
        assert (await client.ask(payout_return("PR-1", "PO-1"))) == {**first, "outcome": "duplicate"}
        refused = await client.ask(payout_return("PR-2", "PO-1"))
        assert refused["error"] == {
            "code": "wrong-state",
            "detail": "payoutId: payout PO-1 came back before, by PR-1",
        }
        assert position(database, "SA-1") == {"payable": 8450}
        await client.send(payout("PO-2", "SA-1", "C-1", "84.50"))
        await applied(database, 9)
        statement = await ask("settlement.get", id="C-1")
        moved = await ask("account.statement", id="SA-1")
    adjusted = {"kind": "adjustment", "lineType": "adjustment", "date": "2026-11-26"}
    of_line = {"orderId": "O-1", **CORRECTS}
    assert statement["lines"][0].pop("explained")["cause"] == "order.completed:O-1"
    assert statement["lines"] == [
        {"kind": "accrual", "lineType": "accrual", **of_line, "date": "2026-11-22", "amount": eur(80)},
        {**adjusted, **of_line, "adjustmentId": "A-1", "amount": eur(-7.5)},
        {**adjusted, "adjustmentId": "A-2", "amount": eur(12)},
    ]
    assert (statement["total"], statement["paidAmount"], statement["state"]) == (eur(84.5), eur(84.5), "paid")
    back = {"returnId": "PR-1", "returnedAt": "2026-11-26T09:00:00.000Z", "reason": "AC04"}
    assert [(one["payoutId"], one.get("returned")) for one in statement["payouts"]] == [("PO-1", back), ("PO-2", None)]
    assert [(one["entry"], one["balance"]["payable"]) for one in moved["items"]] == [
        ("order.completed:O-1", eur(80)),
        ("settlement.adjust:A-1", eur(72.5)),
        ("settlement.adjust:A-2", eur(84.5)),
        ("payout.completed:PO-1", eur(0)),
        ("payout.returned:PR-1", eur(84.5)),
        ("payout.completed:PO-2", eur(0)),
    ]
    assert [(one.get("reverses"), one["reason"]) for one in moved["items"] if "reason" in one] == [
        *[(None, "as agreed")] * 2,
        ("payout.completed:PO-1", "AC04"),
    ]
    [told] = [one for one in client.seen("settlement.adjusted") if one.event["adjustment"]["adjustmentId"] == "A-1"]
    assert (told.event["adjustment"]["corrects"], told.event["adjustment"]["amount"]) == (CORRECTS, eur(-7.5))
    [booked] = client.seen("payout.return-booked")
    assert (booked.event["payout"]["returned"], booked.event["settlement"]["state"]) == (back, "open")
    [entry] = database["entries"].find({"_id": "payout.returned:PR-1"})
    assert (entry["reverses"], entry["reason"]) == ("payout.completed:PO-1", "AC04")
    assert ledger(database) == {"receivable:BA-1": 12000, "cash": -8450, "commission": -1550, "tax": -2000}
    await assert_clean(client, database)


async def test_what_comes_ahead_of_what_it_names_is_right_at_once(
    settings: Settings, client: Client, database: Books
) -> None:
    """A return waits for its payout, an adjustment for its invoice, each by its name: no sweep has to come by."""
    settings = settings.model_copy(update={"held_interval_seconds": 3_600})
    async with working(settings):
        await client.send_all([*EARNED[:2], adjustment("A-1", "SA-1", 5, corrects=CORRECTS)])
        await client.send(payout_return("PR-1", "PO-1"))
        await wait_for(
            lambda: (
                sorted(row["waitsFor"] for row in held(database, "waiting").values())
                == [f"invoice:{INV1}", "payout:PO-1"]
            )
        )
        await client.send(EARNED[2])
        await applied(database, 4)
        await client.send_all([closing("C-1", "SA-1"), payout("PO-1", "SA-1", "C-1", 85)])
        await applied(database, 7)
    assert position(database, "SA-1") == {"payable": 8500}
    assert database["settlements"].find_one({"_id": "C-1"}, {"state": 1, "paid": 1, "_id": 0}) == {
        "state": "open",
        "paid": 0,
    }
    await assert_clean(client, database)


async def test_a_customer_with_credit_is_settled_and_closed(
    settings: Settings, client: Client, database: Books
) -> None:
    """It is to be closed while it has credit; what goes back of that closes it, by itself."""
    async with working(settings):
        await client.send_all([customer("BA-1"), order("O-1", "BA-1"), payment("P-1", "BA-1", 20)])
        closed = await client.ask(command("close", "BA-1", reason="moved away"))
        assert closed["result"]["account"]["state"] == "pendingClose"
        await client.send(refund("R-1", "BA-1", 5))
        await applied(database, 5)
        assert client.seen("account.closed") == []
        await client.send(refund("R-2", "BA-1", 3))
        await wait_for(lambda: client.seen("account.closed"))
    [event] = client.seen("account.closed")
    assert (event.event["account"]["id"], event.message.headers["causation-id"]) == ("BA-1", "refund.completed:R-2")
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


async def test_a_customer_is_not_closed_while_something_is_reserved_for_it(
    settings: Settings, client: Client, database: Books
) -> None:
    """What a note reserved is open until it has gone back."""
    async with working(settings):
        await client.send_all([customer("BA-1"), order("O-1", "BA-1"), payment("P-1", "BA-1", 12)])
        await applied(database, 3)
        await client.send(credit_note("N-1", INV1, excess="refund"))
        closed = await client.ask(command("close", "BA-1", reason="moved away"))
        assert closed["result"]["account"]["state"] == "pendingClose"
        await client.send(refund("R-1", "BA-1", 12, creditNoteId="N-1"))
        await wait_for(lambda: client.seen("account.closed"))
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


async def test_a_partner_below_zero_is_settled_and_closed(settings: Settings, client: Client, database: Books) -> None:
    """Paid out, then all taken back: an adjustment of the other sign and a closing leave nothing open."""
    async with working(settings):
        await client.send_all([*EARNED, closing("C-1", "SA-1"), payout("PO-1", "SA-1", "C-1", 80)])
        await applied(database, 5)
        await client.send_all([credit_note("N-1", INV1), closing("C-2", "SA-1")])
        await applied(database, 7)
        assert position(database, "SA-1") == {"payable": -8000}
        closed = await client.ask(command("close", "SA-1", reason="gone"))
        assert closed["result"]["account"]["state"] == "pendingClose"
        await client.send_all([adjustment("A-1", "SA-1", 80), closing("C-3", "SA-1")])
        await wait_for(lambda: client.seen("account.closed"))
        statement = await Asker(client)("settlement.get", id="C-3")
    assert (statement["broughtForward"], statement["total"], statement["state"]) == (eur(-80), eur(0), "carriedForward")
    [event] = client.seen("account.closed")
    assert event.message.headers["causation-id"] == "settlement.close:C-3"
    assert position(database, "SA-1") == {}
    await assert_clean(client, database)


async def test_what_comes_back_to_a_closed_partner_is_parked_and_replayed(
    settings: Settings, client: Client, database: Books
) -> None:
    """The refusal says to reopen the account; replayed then it is booked, and paid anew the account closes again."""
    async with working(settings):
        await client.send_all([*EARNED, closing("C-1", "SA-1"), payout("PO-1", "SA-1", "C-1", 80)])
        await applied(database, 5)
        closed = await client.ask(command("close", "SA-1", reason="gone"))
        assert closed["result"]["account"]["state"] == "closed"
        answer = await client.ask(payout_return("PR-1", "PO-1"))
        assert answer["error"] == {
            "code": "account-closed",
            "detail": "payoutId (of payout PO-1): account SA-1 is closed; reopen it, and replay this",
        }
        [row] = held(database, "parked").values()
        await client.send(command("reopen", "SA-1"))
        await applied(database, 7)
        await client.ask(("parked.replay", {"ids": [row["parkedId"]], "why": "reopened"}), app_id="console")
        await applied(database, 9)  # the replay among them
        assert position(database, "SA-1") == {"payable": 8000}
        await client.send_all([command("close", "SA-1", reason="gone"), payout("PO-2", "SA-1", "C-1", 80)])
        await wait_for(lambda: len(client.seen("account.closed")) == 2)
    assert position(database, "SA-1") == {}
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
async def test_a_payout_comes_back_once_whoever_hears_of_it(
    settings: Settings, client: Client, database: Books
) -> None:
    """Twenty payouts, each of which two returns name, and three workers at once: each is taken back once."""
    settings = settings.model_copy(update={"single_active_consumer": False})
    await client.declare(single_active_consumer=False)
    async with working(settings), working(settings), working(settings):
        await client.send_all(EARNED)
        await applied(database, 3)
        await client.send(closing("C-1", "SA-1"))
        await applied(database, 4)
        facts = [payout(f"PO-{n}", "SA-1", "C-1", 4) for n in range(20)]
        facts += [payout_return(f"PR-{n}-{which}", f"PO-{n}") for n in range(20) for which in ("a", "b")]
        facts += [adjustment(f"A-{n}", "SA-1", (-1) ** n) for n in range(20)]
        await asyncio.gather(*(client.send(fact) for fact in facts))
        await applied(database, 4 + 60, 60)
        await wait_for(lambda: len(held(database, "parked")) == 20)
    assert {row["reason"] for row in held(database).values()} == {"wrong-state"}
    assert database["payouts"].count_documents({"returned.returnId": {"$gt": ""}}) == 20
    assert position(database, "SA-1") == {"payable": 8000}
    assert database["settlements"].find_one({"_id": "C-1"}, {"paid": 1, "state": 1, "_id": 0}) == {
        "paid": 0,
        "state": "open",
    }
    await assert_clean(client, database)
