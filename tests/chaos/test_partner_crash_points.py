"""A worker dies over what is left to do for partners: closings, what is netted, terms of past days.

`make test` has it die at every third of these points, `make prove` at each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from handlers.sweeping import Sweeper
from tests.chaos.crashes import AFTER
from tests.chaos.test_crash_points import die_at
from tests.days.test_days import ClockFile
from tests.support.books import Books, applied, assert_clean, held, ledger, position
from tests.support.client import Client
from tests.support.messages import Message, agreement, closing, customer, eur, item, order, partner
from tests.support.steady import every_third
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"])

ALONE = {"handlers.engine.group_commit.FACTS_MAX": 1}
"""Each fact is a transaction, so that it is known how many are done."""
OF_CLOSINGS = {**ALONE, "domain.settlement.closing.LINES_MAX": 4, "domain.settlement.closing.STATEMENTS_MAX": 1}
"""A transaction makes one statement of four lines."""
OF_DAYS = {**OF_CLOSINGS, "domain.settlement.cycles.LEFT_MAX": 2}
"""And of a day's closings two are left."""

OF_SWEEPS = {**ALONE, "handlers.sweeping.LOOK_SECONDS": 0.05, "handlers.sweeping.AGAIN_SECONDS": 0.05}
"""And it is looked often for what is under way."""

PARTNERS = 3
TERMS = {"advance": {"amount": eur(30)}, "holdback": {"rate": "0.1", "releaseAfterDays": 30}}


def earned(partners: int, **fields: Any) -> list[list[Message]]:
    """What comes one after another: each partner has earned six times 80.00, and was paid 30.00 in advance."""
    sold = {n: [item(line, "100", sold_for=f"SA-{n}") for line in range(6)] for n in range(partners)}
    paid = {"amount": eur(30), "paidAt": "2026-11-22T09:00:00Z"}
    return [
        [customer("BA-1"), *(partner(f"SA-{n}", **fields) for n in range(partners))],
        [agreement(f"AG-{n}", f"SA-{n}", "2026-11-01", "0.8", **TERMS) for n in range(partners)],
        [("advance.paid", {"advanceId": f"AV-{n}", "agreementId": f"AG-{n}", **paid}) for n in range(partners)],
        [order(f"O-{n}", "BA-1", *sold[n]) for n in range(partners)],
    ]


async def sent(messages: list[list[Message]], client: Client, database: Books) -> None:
    """Have them applied."""
    count = 0
    for together in messages:
        await client.send_all(together)
        count += len(together)
        await applied(database, count)


def statements(database: Books) -> dict[str, tuple[list[str], int, int | None]]:
    """Of each statement which kinds of lines it has, what it comes to, and what is requested of it."""
    return {
        row["_id"]: (
            [line.get("step", {}).get("kind", "earned") for line in row["lines"]],
            row["total"],
            row.get("request", {}).get("amount"),
        )
        for row in database["settlements"].find()
    }


def due(closing_id: str) -> dict[str, tuple[list[str], int, int | None]]:
    """Four times 80.00; then twice, less 30.00 of the advance and 10 % of 450.00."""
    return {
        closing_id: (["earned"] * 4, 32000, 32000),
        f"{closing_id}-2": (["earned"] * 2 + ["recoupment", "holdback"], 8500, 8500),
    }


@pytest.mark.parametrize(
    ("point", "nth", "made"),
    every_third(
        [
            (AFTER + "settlement.due:", 1, 0),
            (AFTER + "settlement.due:", 2, None),
            (AFTER + "settlement.continue:", 1, 1),
            (AFTER + "settlement.continue:", 4, 4),
            ("held-claimed", 2, None),
        ],
        0,
    ),
)
async def test_a_worker_that_dies_over_a_days_closings_costs_nothing(
    settings: Settings,
    client: Client,
    database: Books,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    nth: int,
    made: int | None,
) -> None:
    """Some are left, or made in part: the next worker makes the rest, with what is recouped and held back of all."""
    for name, limit in OF_DAYS.items():
        monkeypatch.setattr(name, limit)
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3, "clock_file": str(clock)})
    async with working(settings, days=True):
        cycle = {"period": "month", "anchorDate": "2026-01-01"}
        await sent(earned(PARTNERS, closingCycle=cycle), client, database)
    clock.show("2026-12-01T12:00:00Z")
    await die_at(point, settings, database, OF_DAYS, nth, days=True)
    closings = [f"SA-{n}:2026-11-30" for n in range(PARTNERS)]
    done = database["settlements"].count_documents({})
    assert done < 2 * PARTNERS
    assert made in (None, done)
    # Claims of the dead, and what they left unsent, go by the clock that stands in the file.
    clock.show("2026-12-01T12:05:00Z")
    async with working(settings, days=True, held_interval_seconds=0.1):
        await wait_for(lambda: database["settlements"].count_documents({}) >= 2 * PARTNERS)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert statements(database) == {id_: told for one in closings for id_, told in due(one).items()}
    reserves = {row["_id"]: (row["base"], row["amount"]) for row in database["reserves"].find()}
    assert reserves == {f"{one}-2": (45000, 4500) for one in closings}
    for n in range(PARTNERS):
        assert position(database, f"SA-{n}") == {"payable": 40500, "reserve": 4500}
    told = client.counted()
    assert (told["settlement.closed"], told["payout.requested"]) == (2 * PARTNERS, 2 * PARTNERS)
    assert told["reserve.held"] == PARTNERS
    await assert_clean(client, database)


@pytest.mark.parametrize(
    ("point", "made"),
    every_third(
        [
            ("after-first-write", 0),
            (AFTER + "settlement.close:C-1", 1),
            ("held-claimed", 1),
            ("held-before-commit", 1),
            ("held-after-commit", 2),
        ],
        1,
    ),
)
async def test_a_worker_that_dies_over_a_closing_of_several_transactions_costs_nothing(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, point: str, made: int
) -> None:
    """What the first part has stated as earned is known to the last one, which recoups and holds back of all."""
    for name, limit in OF_CLOSINGS.items():
        monkeypatch.setattr(name, limit)
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    async with working(settings):
        await sent(earned(1), client, database)
    await client.send_all([closing("C-1", "SA-0"), closing("C-1", "SA-0")])
    await die_at(point, settings, database, OF_CLOSINGS, 1)
    assert database["settlements"].count_documents({}) == made
    assert database["reserves"].count_documents({}) == (made == 2)
    async with working(settings, held_interval_seconds=0.1):
        await wait_for(lambda: database["settlements"].count_documents({}) >= 2)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert statements(database) == due("C-1")
    assert position(database, "SA-0") == {"payable": 40500, "reserve": 4500}
    assert (client.counted()["settlement.closed"], client.counted()["reserve.held"]) == (2, 1)
    await assert_clean(client, database)


OF_DOCUMENTS = {**OF_CLOSINGS, "domain.settlement.closing.LINES_MAX": 7}
"""A statement of four lines beside those that documents add."""
BILLED = {
    "selfBilling": {"series": "SB-", "tax": {"category": "S", "rate": "0.2"}},
    "fixedFee": {"amount": eur(6), "period": "month", "tax": {"category": "S", "rate": "0.2"}},
}


@pytest.mark.parametrize(
    ("point", "made"),
    every_third(
        [
            ("after-first-write", 0),
            (AFTER + "settlement.close:C-1", 1),
            ("held-before-commit", 1),
        ],
        1,
    ),
)
async def test_a_worker_that_dies_over_a_closing_with_documents_takes_each_number_once(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, point: str, made: int
) -> None:
    """320.00 and 160.00 are self-billed, each with its part of the closing; the last one has the fee of 6.00, too."""
    for name, limit in OF_DOCUMENTS.items():
        monkeypatch.setattr(name, limit)
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    lines = [item(line, "100", sold_for="SA-0") for line in range(6)]
    before: list[list[Message]] = [
        [customer("BA-1"), partner("SA-0")],
        [agreement("AG-0", "SA-0", "2026-11-01", "0.8", **BILLED)],
        [order("O-1", "BA-1", *lines)],
    ]
    async with working(settings):
        await sent(before, client, database)
    await client.send_all([closing("C-1", "SA-0"), closing("C-1", "SA-0")])
    await die_at(point, settings, database, OF_DOCUMENTS, 1)
    assert database["settlements"].count_documents({}) == made
    assert database["settlementDocuments"].count_documents({"typeCode": "389"}) == made
    async with working(settings, held_interval_seconds=0.1):
        await wait_for(lambda: database["settlements"].count_documents({}) >= 2)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    documents = {
        row["_id"]: (row["settlementId"], row["typeCode"], row["taxExcludedAmount"], row["taxIncludedAmount"])
        for row in database["settlementDocuments"].find()
    }
    assert documents == {
        "SB-000000001": ("C-1", "389", 32000, 38400),
        "SB-000000002": ("C-1-2", "389", 16000, 19200),
        "INV-000000002": ("C-1-2", "380", 600, 720),
    }
    assert statements(database) == {
        "C-1": (["earned"] * 4 + ["selfBilledTax"], 38400, 38400),
        "C-1-2": (["earned"] * 2 + ["fee", "selfBilledTax"], 18480, 18480),
    }
    last = {row["_id"]: row["last"] for row in database["series"].find({"last": {"$gt": 0}})}
    assert last == {"INV-": 2, "SB-": 2}
    assert position(database, "SA-0") == {"payable": 56880}
    told = client.counted()
    assert [told[f"{name}"] for name in ("settlement.closed", "self-billing.issued", "settlement.invoiced")] == [
        2,
        2,
        1,
    ]
    await assert_clean(client, database)


@pytest.mark.parametrize(
    ("point", "netted"),
    every_third(
        [
            ("after-first-write", 0),
            (AFTER + "settlement.close:C-1", 0),
            ("held-claimed", 0),
            ("held-before-commit", 0),
            (AFTER + "netting.apply:C-1", 6000),
        ],
        0,
    ),
)
async def test_a_worker_that_dies_between_a_closing_and_its_netting_costs_nothing(
    settings: Settings, client: Client, database: Books, point: str, netted: int
) -> None:
    """80.00 are stated, of which the 60.00 that the partner owes are netted once, and 20.00 are requested."""
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    netting = {"netting": {"billingAccount": {"id": "BA-9"}}}
    async with working(settings):
        before = [
            [customer("BA-1"), customer("BA-9", paymentTermDays=0), partner("SA-1")],
            [agreement("AG-1", "SA-1", "2026-11-01", "0.8", **netting)],
            [order("O-1", "BA-1", item(1, "100", sold_for="SA-1")), order("O-9", "BA-9", item(1, "50"))],
        ]
        await sent(before, client, database)
    await client.send_all([closing("C-1", "SA-1"), closing("C-1", "SA-1")])
    await die_at(point, settings, database, ALONE, 1)
    assert position(database, "BA-9") == ({} if netted else {"receivable": 6000})
    assert position(database, "SA-1") == {"payable": 8000 - netted}
    if point.startswith(AFTER):
        assert database["settlements"].count_documents({"request": {"$exists": True}}) == bool(netted)
    async with working(settings, held_interval_seconds=0.1):
        await wait_for(lambda: database["settlements"].find_one({"request": {"$exists": True}}) is not None)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    [statement] = database["settlements"].find()
    assert [statement[name] for name in ("total", "paid", "netted", "state")] == [8000, 6000, 6000, "partiallyPaid"]
    assert statement["request"]["amount"] - statement["request"]["netted"] == 2000
    assert position(database, "BA-9") == {}
    assert position(database, "SA-1") == {"payable": 2000}
    assert ledger(database) == {
        "receivable:BA-1": 12000,
        "payable:SA-1": -2000,
        "commission": -2000,
        "revenue": -5000,
        "tax": -3000,
    }
    assert (client.counted()["netting.applied"], client.counted()["payout.requested"]) == (1, 1)
    await assert_clean(client, database)


SOLD = 5
"""Invoices of 100.00, of which the partner has 70.00 each."""


@pytest.mark.parametrize(
    ("point", "nth", "corrected"),
    every_third(
        [
            ("after-first-write", 1, 0),
            (AFTER + "settlement.correct:", 1, 1),
            (AFTER + "settlement.correct:", 3, 3),
            (AFTER + "settlement.correct:", SOLD, SOLD),
            (AFTER + "agreement.complete:", 1, SOLD),
        ],
        1,
    ),
)
async def test_a_worker_that_dies_over_a_correction_of_past_days_costs_nothing(
    settings: Settings,
    client: Client,
    database: Books,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    nth: int,
    corrected: int,
) -> None:
    """Each invoice is corrected once, from 70 % to 75 %, and the closing that waits has all of it."""
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("adapters.store.workers.DEAD_AFTER_SECONDS", 2.0)
    for name, limit in OF_SWEEPS.items():
        monkeypatch.setattr(name, limit)
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-29T12:00:00Z")
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3, "clock_file": str(clock)})
    before = [
        [customer("BA-1"), partner("SA-1"), partner("SA-2")],
        [agreement("AG-1", "SA-1", "2026-11-01", "0.7")],
        [order(f"O-{n}", "BA-1", item(1, "100", sold_for="SA-1")) for n in range(SOLD)],
        [order(f"P-{n}", "BA-1", item(1, "100", sold_for="SA-2")) for n in range(SOLD)],
        [closing("C-1", "SA-1", "2026-11-28")],
    ]
    change = {"agreementId": "AG-1", "validFrom": "2026-11-10", "terms": {"share": "0.75"}}

    async def nobody_looks(_sweeper: Sweeper) -> None:
        """As when the worker dies before it has looked."""

    with monkeypatch.context() as patched:
        patched.setattr(Sweeper, "_look", nobody_looks)
        async with working(settings):
            await sent(before, client, database)
            await client.ask(("agreement.change", change))
            await client.send(closing("C-2", "SA-1"))
            await wait_for(lambda: "settlement.close:C-2" in held(database, "waiting"))
    await die_at(point, settings, database, OF_SWEEPS, nth)
    assert database["shareCorrections"].count_documents({}) == corrected
    assert position(database, "SA-1") == {"payable": 7000 * SOLD + 500 * corrected}
    assert held(database)["settlement.close:C-2"]["reason"] == "correction-under-way"
    assert database["settlements"].count_documents({}) == 1
    clock.show("2026-11-29T12:05:00Z")
    async with working(settings, held_interval_seconds=0.1):
        await wait_for(lambda: database["settlements"].find_one({"_id": "C-2"}) is not None)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert statements(database) == {
        "C-1": (["earned"] * SOLD, 7000 * SOLD, 7000 * SOLD),
        "C-2": (["earned"] * SOLD, 500 * SOLD, 500 * SOLD),
    }
    lines = [line["corrects"] for row in database["settlements"].find({"_id": "C-2"}) for line in row["lines"]]
    numbers = {row["orderId"]: row["_id"] for row in database["invoices"].find({}, {"orderId": 1})}
    assert sorted(lines) == sorted(f"{numbers[f'O-{n}']}/1" for n in range(SOLD))
    assert database["shareCorrections"].count_documents({}) == SOLD
    [backdating] = database["backdatings"].find()
    assert [backdating[name] for name in ("state", "corrected", "amount")] == ["completed", SOLD, 500 * SOLD]
    assert (position(database, "SA-1"), position(database, "SA-2")) == ({"payable": 7500 * SOLD}, {"payable": 40000})
    assert client.counted()["settlement.corrected"] == SOLD
    await assert_clean(client, database)
