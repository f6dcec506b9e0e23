"""What is agreed with partners, through the worker: closings' steps, requested payouts, and terms of past days."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from adapters.settings import Settings
from domain.facts import apply
from domain.ledger.books import Books as FactBooks
from domain.settlement.backdating import SharesToCorrect
from tests.days.test_days import ClockFile
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import (
    agreement,
    charge,
    closing,
    credit_note,
    customer,
    demand,
    eur,
    item,
    order,
    partner,
    payment,
    payout,
    payout_return,
    write_off,
)
from tests.support.waiting import wait_for
from tests.support.workers import working

WITHHOLDING = {"rate": "0.10", "authority": "tax office", "surchargeOnTax": "0.05"}
TERMS = {
    "holdback": {"rate": "0.10", "releaseAfterDays": 30},
    "advance": {"amount": eur(100)},
    "payoutThreshold": eur(50),
    "withholding": WITHHOLDING,
    "netting": {"billingAccount": {"id": "BA-9"}},
}

COMPLETED = {"state": "completed"}


async def test_a_statement_is_netted_withheld_held_back_and_paid(
    settings: Settings, client: Client, database: Books
) -> None:
    """800.00 earned, 100.00 of an advance recouped, 70.00 held back: 630.00, of which 60.00 are netted.

    Of 630.00 the tax is 63.00 and 3.15; 503.85 leave, come back, and leave again. What was released is paid next.
    """
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), customer("BA-9", paymentTermDays=0), partner("SA-1")])
        await applied(database, 3)
        await client.send(agreement("AG-1", "SA-1", "2026-11-01", "0.8", **TERMS))
        await applied(database, 4)
        paid = {"advanceId": "AV-1", "agreementId": "AG-1", "amount": eur(100), "paidAt": "2026-11-21T09:00:00Z"}
        assert (await client.ask(("advance.paid", paid)))["result"] == {"advance": eur(100)}
        await client.send(order("O-1", "BA-1", item(1, "1000", sold_for="SA-1")))
        await client.send(order("O-9", "BA-9", item(1, "50")))
        await applied(database, 7)
        await client.send(closing("C-1", "SA-1"))
        await wait_for(lambda: client.seen("payout.requested"))
        [request] = [seen.event for seen in client.seen("payout.requested")]
        assert {name: request[name] for name in ("payoutId", "settlementId", "amount", "netted")} == {
            "payoutId": "C-1",
            "settlementId": "C-1",
            "amount": eur(630),
            "netted": eur(60),
        }
        assert (request["taxWithheld"], request["transferred"]) == (eur(66.15), eur(503.85))
        wrong = await client.ask(
            ("payout.completed", {**payout("C-0", "SA-1", "C-1", 630)[1], "transferred": eur(510)})
        )
        assert wrong["error"]["code"] == "wrong-state"
        done = ("payout.completed", {**payout("C-1", "SA-1", "C-1", 630)[1], "transferred": eur(503.85)})
        assert (await client.ask(done))["result"] == {"settlementId": "C-1", "state": "paid"}
        assert (await client.ask(payout_return("PR-1", "C-1")))["result"]["state"] == "partiallyPaid"
        await wait_for(lambda: len(client.seen("payout.requested")) == 2)
        anew = client.seen("payout.requested")[1].event
        assert (anew["payoutId"], anew["amount"], anew["transferred"]) == ("C-1-r2", eur(570), eur(503.85))
        assert (await client.ask(payout("C-1-r2", "SA-1", "C-1", 570)))["result"]["state"] == "paid"
        early = {"releaseId": "RR-1", "settlementId": "C-1", "releasedAt": "2026-11-27T09:00:00Z"}
        assert (await client.ask(("reserve.release", early)))["result"]["reserve"] == eur(0)
        assert (await client.ask(closing("C-2", "SA-1")))["result"] == {"settlementIds": ["C-2"]}
        statement = await ask("settlement.get", id="C-1")
        reserves = await ask("reserve.list", settlementAccount="SA-1")
        invoice = await ask("invoice.get", billNo="INV-000000002")
    kinds = [(line["kind"], line["amount"]) for line in statement["lines"]]
    assert kinds == [("accrual", eur(800)), ("recoupment", eur(-100)), ("holdback", eur(-70))]
    assert statement["lines"][0]["explained"] == {
        "cause": "order.completed:O-1",
        "net": eur(1000),
        "terms": {"share": 0.8, "accrueOn": "invoice", "agreementId": "AG-1", "revision": 1},
        "share": eur(800),
        "accrued": eur(800),
    }
    of_it = ("total", "paidAmount", "netted", "taxWithheld", "transferred")
    assert [statement[name] for name in of_it] == [eur(630), eur(630), eur(60), eur(66.15), eur(503.85)]
    assert [(one["settlementId"], one["state"]) for one in reserves["items"]] == [("C-1", "released")]
    assert invoice["state"] == "settled"
    assert position(database, "SA-1") == {"payable": 7000}
    assert [event.event["amount"] for event in client.seen("withholding.recorded")] == [
        eur(66.15),
        eur(-66.15),
        eur(66.15),
    ]
    assert ledger(database)["taxWithheld"] == -6615
    await assert_clean(client, database)


async def test_a_day_releases_what_was_held_back(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """Of two partners on 30 days, in two currencies, while nobody works; the statement of December has it."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-30T12:00:00Z")
    by_file = settings.model_copy(update={"clock_file": str(clock)})
    held_back = {"holdback": {"rate": "0.5", "releaseAfterDays": 5}}
    cycle = {"period": "month", "anchorDate": "2026-01-01"}
    async with working(by_file, days=True):
        await wait_for(lambda: database["calendar"].find_one({"newest": "2026-11-30"}) is not None)
        await client.send_all([customer("BA-1"), customer("BA-2", currency="USD")])
        await client.send_all(
            [partner("SA-1", closingCycle=cycle), partner("SA-2", closingCycle=cycle, currency="USD")]
        )
        await applied(database, 4)
        await client.send_all([agreement(f"AG-{n}", f"SA-{n}", "2026-11-01", "0.8", **held_back) for n in (1, 2)])
        await applied(database, 6)
        await client.send(order("O-1", "BA-1", item(1, "100", sold_for="SA-1")))
        await client.send(order("O-2", "BA-2", item(1, "10", sold_for="SA-2"), currency="USD"))
        await applied(database, 8)
    clock.show("2026-12-31T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: database["reserves"].count_documents({"queue": None}) == 2)
        await wait_for(lambda: len(client.seen("reserve.released")) == 2)
    clock.show("2027-01-01T12:00:00Z")
    async with working(by_file, days=True):
        await wait_for(lambda: database["settlements"].count_documents({"periodEnd": "2026-12-31"}) == 2)
    stated = {row["_id"]: row["total"] for row in database["settlements"].find()}
    assert stated == {
        "SA-1:2026-11-30": 4000,
        "SA-1:2026-12-31": 4000,
        "SA-2:2026-11-30": 400,
        "SA-2:2026-12-31": 400,
    }
    await assert_clean(client, database)


async def test_terms_of_past_days_are_corrected_before_the_next_statement(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """39.90, 7.98 and 119.99 at 75 % instead of 70 %: 8.40 more, as lines of the next closing, which waits for them."""
    sold = [item(n, price, sold_for="SA-1") for n, price in enumerate(("39.90", "7.98", "119.99"), 1)]
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-12-10T12:00:00Z")
    async with working(settings, clock_file=str(clock)):
        await client.send_all([customer("BA-1"), partner("SA-1", "0.70"), partner("SA-2", "0.70")])
        await applied(database, 3)
        await client.send(agreement("AG-1", "SA-1", "2026-09-01", "0.70"))
        await client.send(order("O-1", "BA-1", *sold, completedAt="2026-10-15T10:00:00Z"))
        other = [item(1, "5", sold_for="SA-2")]
        await client.send_all(
            [order(f"O-{n}", "BA-1", *other, completedAt="2026-10-16T10:00:00Z") for n in range(2, 40)]
        )
        await applied(database, 43)
        await client.send(closing("C-10", "SA-1", "2026-10-31"))
        await applied(database, 44)
        change = {"agreementId": "AG-1", "validFrom": "2026-10-01", "terms": {"share": "0.75"}}
        await client.send(("agreement.change", change), message_id="m-change")
        assert (await client.ask(closing("C-12", "SA-1", "2026-12-31")))["outcome"] in ("applied", "waiting")
        await wait_for(lambda: database["settlements"].find_one({"_id": "C-12"}) is not None)
        await wait_for(lambda: database["agreements"].find_one({"backdating": {"$exists": True}}) is None)
    found = database["settlements"].find_one({"_id": "C-12"})
    assert found is not None
    assert [line["amount"] for line in found["lines"]] == [200, 40, 600]
    assert database["settlements"].find_one({"_id": "C-10"}, {"total": 1}) == {"_id": "C-10", "total": 11751}
    [told] = [seen.event for seen in client.seen("settlement.corrected")]
    assert (told["billNo"], told["amount"]) == ("INV-000000001", eur(8.4))
    assert position(database, "SA-1") == {"payable": 12591}
    assert held(database) == {}
    await assert_clean(client, database)


async def test_a_statement_is_explained_by_the_terms_of_its_time(
    settings: Settings, client: Client, database: Books
) -> None:
    """100.00 at 70 %, at 75 % as agreed later, at last at 60 %: 70.00, 5.00 more, 15.00 less, each by its own terms."""
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        await client.send(agreement("AG-1", "SA-1", "2026-10-01", "0.70"))
        await applied(database, 3)
        sold = item(1, "100", sold_for="SA-1")
        await client.send(order("O-1", "BA-1", sold, completedAt="2026-10-15T10:00:00Z"))
        await applied(database, 4)
        assert (await client.ask(closing("C-1", "SA-1", "2026-10-31")))["outcome"] == "applied"
        for n, share in ((2, "0.75"), (3, "0.6")):
            change = {"agreementId": "AG-1", "validFrom": "2026-10-01", "terms": {"share": share}}
            await client.send(("agreement.change", change), message_id=f"m-{n}")
            done = {"_id": f"AG-1/{n}", **COMPLETED}
            await wait_for(partial(database["backdatings"].find_one, done))
            assert (await client.ask(closing(f"C-{n}", "SA-1", "2026-12-31")))["outcome"] == "applied"
        lines = [(await ask("settlement.get", id=f"C-{n}"))["lines"] for n in (1, 2, 3)]
    explained = [next(line for line in of if "explained" in line) for of in lines]
    assert [line["amount"] for line in explained] == [eur(70), eur(5), eur(-15)]
    found = [line["explained"] for line in explained]
    assert [(one["terms"]["share"], one["terms"]["revision"]) for one in found] == [(0.7, 1), (0.75, 2), (0.6, 3)]
    assert [(one["share"], one["accrued"]) for one in found] == [(eur(n), eur(n)) for n in (70, 75, 60)]
    assert position(database, "SA-1") == {"payable": 6000}
    await assert_clean(client, database)


async def test_a_statement_by_tiers_explains_itself(settings: Settings, client: Client, database: Books) -> None:
    """70 % up to 1,000.00 and 75 % beyond: 280.00 of 400.00, 495.00 of 700.00; 100.00 credited, and 4.29 trued up.

    The note takes 70.71 back of the second line; of 1,000.00 that are left it is 700.00, and 704.29 were left.
    """
    tiers = {"mode": "graduated", "period": "month", "steps": [{"upTo": 1000, "share": 0.7}, {"share": 0.75}]}
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        said = agreement("AG-1", "SA-1", "2026-11-01", "0", tiers=tiers)[1]
        del said["terms"]["share"]
        await client.send(("agreement.create", said))
        await applied(database, 3)
        await client.send(order("O-1", "BA-1", item(1, 400, sold_for="SA-1"), item(2, 700, sold_for="SA-1")))
        await applied(database, 4)
        less = {"lineId": "2", "taxExcludedAmount": eur(100)}
        await client.send(credit_note("N-1", "INV-000000001", less))
        await applied(database, 5)
        assert (await client.ask(closing("C-1", "SA-1")))["outcome"] == "applied"
        statement = await ask("settlement.get", id="C-1")
    kinds = [(line["kind"], line["amount"]) for line in statement["lines"]]
    assert sorted(kinds, key=str) == sorted(
        [("accrual", eur(280)), ("accrual", eur(495)), ("accrual", eur(-70.71)), ("trueUp", eur(-4.29))], key=str
    )
    by_line = {line["lineId"]: line["explained"]["terms"]["tier"] for line in statement["lines"] if "lineId" in line}
    assert by_line == {
        "1": {"start": "2026-11-01", "netBefore": eur(0), "share": eur(280)},
        "2": {"start": "2026-11-01", "netBefore": eur(400), "share": eur(495)},
    }
    assert statement["total"] == eur(700)
    await assert_clean(client, database)


async def test_a_statement_by_tiers_at_payment_explains_itself(
    settings: Settings, client: Client, database: Books
) -> None:
    """70 % up to 1,000.00 and 75 % beyond of what is paid: 840.00 are released of 1,200.00, and 10.00 are added."""
    tiers = {"mode": "graduated", "period": "month", "steps": [{"upTo": 1000, "share": 0.7}, {"share": 0.75}]}
    ask = Asker(client)
    async with working(settings):
        await client.send_all([customer("BA-1"), partner("SA-1")])
        await applied(database, 2)
        await client.send(agreement("AG-1", "SA-1", "2026-11-01", None, tiers=tiers, accrueOn="payment"))
        await applied(database, 3)
        await client.send(order("O-1", "BA-1", item(1, 1200, sold_for="SA-1")))
        await applied(database, 4)
        owed = database["positions"].find_one({"_id": "BA-1"}) or {}
        assert (await client.ask(payment("P-1", "BA-1", owed["receivable"] / 100)))["outcome"] == "applied"
        seen = await ask("settlement.preview", settlementAccount="SA-1", periodEnd="2026-11-30")
        assert (await client.ask(closing("C-1", "SA-1")))["outcome"] == "applied"
        statement = await ask("settlement.get", id="C-1")
    assert [(line["kind"], line["amount"]) for line in statement["lines"]] == [
        ("accrual", eur(840)),
        ("trueUp", eur(10)),
    ]
    assert seen["settlements"][0]["lines"][1]["amount"] == eur(10)
    terms = {"share": 0.7, "accrueOn": "payment", "agreementId": "AG-1", "revision": 1}
    freed = [{"start": "2026-11-01", "net": eur(1200), "share": eur(840)}]
    assert statement["lines"][0]["explained"]["terms"] == {**terms, "freed": freed}
    assert statement["lines"][1]["base"] == eur(1200)
    await assert_clean(client, database)


async def test_what_an_earlier_bill_takes_back_follows_its_line(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """40.00 of 100.00 of the 20th are taken back by a bill of the 10th: 70 % of both, and 50 % from the 15th on."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    back = {"date": "2026-11-05", "corrects": {"billNo": "INV-000000001", "lineId": "1"}}
    async with working(settings, clock_file=str(clock)):
        for messages in (
            [customer("BA-1"), partner("SA-1")],
            [agreement("AG-1", "SA-1", "2026-11-01", "0.7")],
            [charge("CH-1", "BA-1", 100, sold_for="SA-1", date="2026-11-20"), demand("B-1", "BA-1", "2026-11-20")],
            [charge("CH-2", "BA-1", -40, sold_for="SA-1", **back), charge("CH-3", "BA-1", 90, date="2026-11-05")],
            [demand("B-2", "BA-1", "2026-11-10")],
        ):
            for message in messages:
                assert (await client.ask(message))["outcome"] == "applied", message
        assert position(database, "SA-1") == {"payable": 7000 - 2800}
        change = {"agreementId": "AG-1", "validFrom": "2026-11-15", "terms": {"share": "0.5"}}
        await client.ask(("agreement.change", change))
        await wait_for(lambda: database["backdatings"].find_one({"state": "completed"}) is not None)
    assert {row["_id"]: row["taxPointDate"] for row in database["invoices"].find()} == {
        "INV-000000001": "2026-11-20",
        "INV-000000002": "2026-11-10",
    }
    assert position(database, "SA-1") == {"payable": 5000 - 2000}
    await assert_clean(client, database)


async def test_a_bill_waits_for_the_parked_correction_of_what_it_takes_back(
    settings: Settings, client: Client, database: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B-1's 100.00 stay at 70 % by a defect, the next bill takes 40.00 back of them: 50 % of both once it is mended."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")

    def failing(fact: object, books: FactBooks) -> object:
        if isinstance(fact, SharesToCorrect) and fact.bill_no == "INV-000000001":
            raise RuntimeError("a defect")
        return apply(fact, books)

    back = {"date": "2026-11-22", "corrects": {"billNo": "INV-000000001", "lineId": "1"}}
    change = {"agreementId": "AG-1", "validFrom": "2026-11-15", "terms": {"share": "0.5"}}
    async with working(settings, clock_file=str(clock), defect_attempts_max=1):
        for messages in (
            [customer("BA-1"), partner("SA-1")],
            [agreement("AG-1", "SA-1", "2026-11-01", "0.7")],
            [charge("CH-1", "BA-1", 100, sold_for="SA-1", date="2026-11-20"), demand("B-1", "BA-1", "2026-11-20")],
        ):
            for message in messages:
                assert (await client.ask(message))["outcome"] == "applied", message
        with monkeypatch.context() as patched:
            patched.setattr("handlers.engine.decision.apply", failing)
            assert (await client.ask(("agreement.change", change)))["outcome"] == "applied"
            await wait_for(lambda: database["backdatings"].find_one({"state": "completed"}) is not None)
            [row] = held(database).values()
            assert (row["_id"], row["state"], row["reason"]) == (
                "settlement.correct:AG-1/2/INV-000000001",
                "parked",
                "internal",
            )
            for message in (
                charge("CH-2", "BA-1", -40, sold_for="SA-1", **back),
                charge("CH-3", "BA-1", 90),
                demand("B-2", "BA-1", "2026-11-22"),
            ):
                assert (await client.ask(message))["outcome"] == "applied", message
            after = "settlement.correct:AG-1/2/INV-000000002"
            await wait_for(
                lambda: held(database).get(after, {}).get("reason") == "correction-under-way",
                otherwise=lambda: held(database),
            )
            assert position(database, "SA-1") == {"payable": 7000 - 2800}
        done = await client.ask(("parked.replay", {"ids": [row["parkedId"]], "why": "mended"}), app_id="console")
        assert done["outcome"] == "applied", done
        await wait_for(lambda: held(database) == {}, otherwise=lambda: held(database))
    assert position(database, "SA-1") == {"payable": 5000 - 2000}
    told = {seen.event["billNo"]: seen.event["amount"] for seen in client.seen("settlement.corrected")}
    assert told == {"INV-000000001": eur(-20), "INV-000000002": eur(8)}
    await assert_clean(client, database)


async def test_what_was_given_up_is_corrected_with_the_rest(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """Of 100.00 half is paid and half written off: of 70.00, and of 90.00 then, half is earned and half given up."""
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    paid = {"share": "0.7", "accrueOn": "payment"}
    async with working(settings, clock_file=str(clock)):
        for message in (
            customer("BA-1"),
            partner("SA-1"),
            agreement("AG-1", "SA-1", "2026-11-01", **paid),
            order("O-1", "BA-1", item(1, "100", sold_for="SA-1")),
            payment("P-1", "BA-1", 60),
            write_off("W-1", "INV-000000001"),
        ):
            assert (await client.ask(message))["outcome"] == "applied", message
        assert position(database, "SA-1") == {"payable": 3500}
        change = {"agreementId": "AG-1", "validFrom": "2026-11-15", "terms": {**paid, "share": "0.9"}}
        await client.ask(("agreement.change", change))
        await wait_for(lambda: database["backdatings"].find_one({"state": "completed"}) is not None)
    assert position(database, "SA-1") == {"payable": 4500}
    await assert_clean(client, database)
