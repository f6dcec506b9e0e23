"""A worker dies at each point that matters, and the next one goes on: every effect once, every event told.

`make test` has it die at each point over orders and payments, and at every third over the rest; `make prove` at each
over everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from adapters.settings import Settings
from tests.chaos import crashes
from tests.chaos.crashes import DIED, POINTS
from tests.days.test_days import ClockFile
from tests.support.books import (
    Books,
    Document,
    applied,
    assert_clean,
    facts,
    held,
    ledger,
    position,
    stands_still,
    unsent,
)
from tests.support.client import Client
from tests.support.messages import (
    Message,
    adjustment,
    bill_run,
    charge,
    closing,
    credit_note,
    credited,
    customer,
    cycle,
    demand,
    dispute,
    dispute_settled,
    dispute_withdrawn,
    eur,
    grant,
    in_cycle,
    item,
    metered,
    monthly,
    order,
    partner,
    payment,
    payout,
    payout_return,
    procedure,
    refund,
    reversal,
    sent,
    subscribed,
    subscription,
    transfer,
    usage,
    validated,
    write_off,
)
from tests.support.one_bill import billed, billed_at_once
from tests.support.programs import forks
from tests.support.proxy import Proxy
from tests.support.steady import every_third
from tests.support.waiting import wait_for
from tests.support.workers import working

FACTS = 64

NTH = {"after-receive": 20, "after-commit": 2, "before-confirm": 20, "after-first-write": 2}
"""The pass of a point that is the last one: where it is not the first, something was done before it."""


def business() -> list[Message]:
    """Orders and payments in pairs, every tenth message twice; a quarter of them wait for an account, opened last.

    Some invoices are credited, some of them twice by the same note. Some charges are billed on demand, and paid.
    """
    accounts = ("BA-0", "BA-1", "BA-2", "BA-late")
    facts = [
        order(f"O-{n}", accounts[n // 2 % 4], item(1, 9), item(2, 1, sold_for="SA-0"))
        if n % 2
        else payment(f"P-{n}", accounts[n // 2 % 4], "12.00")
        for n in range(FACTS)
    ]
    opened = [partner("SA-0"), *map(customer, accounts[:3])]
    notes = [credit_note(f"N-{n}", f"INV-{n * 3:09d}") for n in range(1, NOTES + 1)]
    bills: list[Message] = []
    for n in range(BILLS):
        account = accounts[n % 3]
        bills += [charge(f"C-{n}", account, 10), demand(f"D-{n}", account), payment(f"P-bill-{n}", account, "12.00")]
    return [*opened, *facts, *facts[::10], *notes, *notes[::4], *bills, *bills[::4], customer("BA-late")]


NOTES = 8
BILLS = 6
EFFECTS = FACTS + 5 + NOTES + 3 * BILLS


@contextmanager
def doomed(
    point: str, settings: Settings, limits: Mapping[str, float] | None = None, nth: int | None = None, *, days: bool
) -> Iterator[ForkServerProcess]:
    """A worker that will die at the point."""
    settings = settings.model_copy(update={"prefetch": 16})
    arguments = (point, nth or NTH.get(point, 1), settings, limits)
    process = forks.Process(target=crashes.run_doomed, args=arguments, kwargs={"days": days})
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


async def die_at(
    point: str,
    settings: Settings,
    database: Books,
    limits: Mapping[str, float] | None = None,
    nth: int | None = None,
    *,
    days: bool = False,
) -> None:
    """Let a worker die where it is to die, and see that it leaves what it has to."""
    applied_before = facts(database)
    async with Proxy.between(settings.mongodb_url) as network:
        behind = settings.model_copy(update={"mongodb_url": network.url})
        with doomed(point, behind, limits, nth, days=days) as dying:
            if "shutdown" in point:
                await stands_still(network, database, applied_before + 1, lambda: f"exit code {dying.exitcode}")
                dying.terminate()
                await network.heal()
            await wait_for(lambda: dying.exitcode is not None)
            assert dying.exitcode == DIED
    if point in ("after-commit", "before-confirm", "before-mark"):
        assert unsent(database) > 0


async def all_is_well(point: str, effects: int, client: Client, database: Books) -> None:
    """Every fact has had its one effect, nothing is parked, every event is told, and the books add up."""
    assert facts(database) == effects
    assert client.counted()["message.parked"] == 0
    if point in ("before-confirm", "before-mark"):
        # The broker had them, and nobody knew.
        await wait_for(lambda: len(client.events) > len(client.seen()))
    await assert_clean(client, database)


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("point", every_third(POINTS, 2))
async def test_a_worker_that_dies_at_a_point_costs_nothing(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document], point: str
) -> None:
    """The worker dies where it was to die, and leaves what it has to; a fresh one brings the books to what is due."""
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    await client.declare()
    await client.send_all(business())
    await die_at(point, settings, database)
    if point.startswith("held"):
        assert ("late" in str(held(database, "waiting"))) is (point != "held-after-commit")
    assert facts(database) < EFFECTS or point == "held-after-commit"

    async with working(settings):
        await applied(database, EFFECTS)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
    # Whose invoices are credited is told by their numbers, which follow the order in which orders were applied.
    left = [position(database, account) for account in ("BA-0", "BA-1", "BA-2", "BA-late")]
    assert sum(balances.pop("unapplied", 0) for balances in left) == 1200 * NOTES
    assert not any(left)
    assert position(database, "SA-0") == {"payable": 80 * (FACTS // 2 - NOTES)}
    assert ledger(database)["cash"] == 1200 * (FACTS // 2 + BILLS)
    await all_is_well(point, EFFECTS, client, database)


BILLED = (1, 2, 3, 5, 6, 7, 8)
"""The customers that owe an invoice of 24.00, for a line of ours and one of a partner that waits for the payment."""
PAID = (1, 2, 3)


def so_far() -> list[Message]:
    """What there is to correct: invoices and payments, one of them on the wrong account, and a payout."""
    lines = item(1, 10), item(2, 10, sold_for="SA-1")
    return [
        partner("SA-1", accrue_on="payment"),
        *(customer(f"BA-{n}") for n in range(1, 9)),
        *(order(f"O-{n}", f"BA-{n}", *lines) for n in BILLED),
        *(payment(f"P-{n}", f"BA-{n}", 24) for n in (*PAID, 4)),
        closing("CL-1", "SA-1"),
        payout("PO-1", "SA-1", "CL-1", 24),
    ]


def corrections(bill_no: dict[str, str]) -> list[Message]:
    """One of each kind, on an account of its own; what ends or gives back another thing comes ahead of it."""
    facts = [
        refund("R-1", "BA-1", 12, creditNoteId="N-1"),
        credit_note("N-1", bill_no["O-1"], credited(2, 10), excess="refund"),
        reversal("X-1", "P-2", fee=eur("3.50")),
        refund("R-2", "BA-3", 5, paymentId="P-3"),
        transfer("T-1", 10, "BA-4", "BA-8", paymentId="P-4"),
        write_off("W-1", bill_no["O-5"], taxRelief=True),
        payment("P-5", "BA-5", 12, invoices=[bill_no["O-5"]]),
        dispute_settled("D-1", credited(1, 5)),
        dispute("D-1", bill_no["O-6"], credited(1, 10)),
        dispute_withdrawn("D-2"),
        dispute("D-2", bill_no["O-7"], credited(1, 10)),
        grant("C-1", "BA-8", 4),
        adjustment("A-1", "SA-1", -1),
        payout_return("PR-1", "PO-1"),
    ]
    return [*facts, *facts[::2], validated(bill_no["O-7"]), sent(bill_no["O-7"])]


CORRECTED = 14 + 2


@pytest.mark.parametrize("driver", ["pymongo"])
@pytest.mark.parametrize("point", every_third(POINTS, 0))
async def test_a_worker_that_dies_over_corrections_costs_nothing(
    settings: Settings, client: Client, database: Books, mongo: MongoClient[Document], point: str
) -> None:
    """A correction of each kind, and the worker dies at the point while it has nothing else to do."""
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    before = so_far()
    async with working(settings):
        await client.send_all(before)
        await applied(database, len(before))
    bill_no = {row["orderId"]: row["_id"] for row in database["invoices"].find({}, {"orderId": 1})}
    await client.send_all(corrections(bill_no))
    await die_at(point, settings, database)
    async with working(settings):
        await applied(database, len(before) + CORRECTED)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
    owed = {1: {}, 2: {"receivable": 2400}, 3: {"receivable": 500}, 4: {"unapplied": 1400}, 5: {}}
    owed |= {6: {"receivable": 1800}, 7: {"receivable": 2400}, 8: {"receivable": 1000}}
    assert {n: position(database, f"BA-{n}") for n in owed} == owed
    # Of the shares of 8.00: of BA-3 19 of 24 are paid, of BA-5 half, of BA-8 14 of 24; and 1.00 is taken off.
    assert position(database, "SA-1") == {"payable": 633 + 400 + 467 - 100, "withheld": 800 + 167 + 800 + 800 + 333}
    sums = {name: amount for name, amount in ledger(database).items() if ":" not in name}
    assert sums == {
        "cash": 4 * 2400 - 1200 - 2400 - 350 - 500 + 1200,
        "revenue": -(7 * 1000 - 500),
        "commission": -(7 * 200 - 200 + 100),
        "tax": -(7 * 400 - 200 - 100 - 200),
        "badDebt": 1200 - 200 - 400,
        "bankCharges": 350,
        "goodwill": 400,
    }
    await all_is_well(point, len(before) + CORRECTED, client, database)


LIVE = 12
BEGINNING = 10


def subscriptions() -> list[tuple[str, Any]]:
    """Subscriptions that are changed and suspended as of earlier days, half of them to end later; a quarter waits.

    Something is used of each before that, told in arrays, some of it twice.
    """
    found: list[tuple[str, Any]] = []
    for n in range(LIVE):
        prices = monthly("P-1", "39.90"), metered("P-2", 1)
        made = subscription(f"S-{n}", "BA-late" if n % 4 == 3 else "BA-1", *prices, start="2026-11-01")
        used = [usage(f"U-{n}-{day}", f"S-{n}", day, f"2026-11-0{day}T10:00:00Z", "P-2")[1] for day in (3, 1, 2)]
        found += [
            subscribed("change", f"S-{n}", "2026-11-11", changes={"productPrice": [monthly("P-1", 20)]}),
            made,
            subscribed("suspend", f"S-{n}", "2026-11-15"),
            ("usage.record", used[:2]),
            subscribed("change", f"S-{n}", "2026-11-10", changes={"name": f"Home {n}"}),
            made,
            ("usage.record", used),
        ]
        if n % 2:
            found.append(subscribed("terminate", f"S-{n}", "2026-12-24"))
    return [*found, customer("BA-late")]


SUBSCRIBED = 4 * LIVE + LIVE // 2 + 1
USED = 3 * LIVE


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize("point", every_third(POINTS, 1))
async def test_a_worker_that_dies_over_subscriptions_costs_nothing(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str
) -> None:
    """Some begin on the day that has just come, others are made and changed; and the worker dies at the point."""
    monkeypatch.setattr("handlers.days.LOOK_SECONDS", 0.1)
    clock = ClockFile(tmp_path / "clock")
    clock.show("2026-11-22T12:00:00Z")
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3, "clock_file": str(clock)})
    async with working(settings, days=True, held_interval_seconds=3_600):
        await wait_for(lambda: database["days"].count_documents({}) == 1)
        begin = [subscription(f"T-{n}", "BA-1", start="2026-11-23") for n in range(BEGINNING)]
        await client.send_all([customer("BA-1"), *begin])
        await applied(database, 1 + BEGINNING)
        clock.show("2026-11-23T00:00:01Z")
        await wait_for(lambda: database["days"].count_documents({}) == 2)
    await client.send_all(subscriptions())
    await die_at(point, settings, database)
    # Claims of the dead, and what they left unsent, go by the clock that stands in the file.
    clock.show("2026-11-23T00:05:00Z")
    effects = 1 + 2 * BEGINNING + SUBSCRIBED + USED
    async with working(settings, held_interval_seconds=0.1):
        await applied(database, effects)
        await wait_for(lambda: not held(database, "waiting"), otherwise=lambda: held(database))
    # A change after the termination has scheduled its end anew.
    assert len({turn.split("/")[0] for turn in held(database, "scheduled")}) == LIVE // 2
    found = {row["_id"]: (row["state"], row["revision"]) for row in database["subscriptions"].find()}
    assert found == {
        **{f"T-{n}": ("active", 1) for n in range(BEGINNING)},
        **{f"S-{n}": ("suspended", 4 + n % 2) for n in range(LIVE)},
    }
    months = database["usageMonths"].find()
    used = {row["_id"]: (row["count"], [one["quantity"] for one in row["days"]]) for row in months}
    assert used == {f"S-{n}/P-2/2026-11": (3, ["1", "2", "3"]) for n in range(LIVE)}
    told = client.counted()
    assert (told["subscription.created"], told["subscription.changed"]) == (BEGINNING + LIVE, SUBSCRIBED - LIVE - 1)
    assert told["subscription.state-changed"] == BEGINNING + LIVE
    await all_is_well(point, effects, client, database)


RECURRING = 6
"""Customers that are billed by the month."""
PART = 5
"""How many lines a bill has."""
OF_BILLS = {f"domain.billing.{room}.LINES_MAX": PART for room in ("gathering", "composing")}


def billed_before() -> list[list[Message]]:
    """What comes one after another: each customer is billed for October and November, one by the day not at all."""
    prices = monthly("P-1", 30), metered("P-2", 1)
    daily = monthly("P-1", 1, billed="inArrears", recurringChargePeriodType="day")
    numbers = range(RECURRING)
    return [
        [customer("BA-days"), *(customer(f"BA-{n}") for n in numbers)],
        [
            subscription("S-days", "BA-days", daily, start="2026-11-01"),
            *(subscription(f"S-{n}", f"BA-{n}", *prices, start="2026-10-01") for n in numbers),
        ],
        [usage(f"U-{n}", f"S-{n}", 5, "2026-10-15T10:00:00Z", "P-2") for n in numbers],
        [demand(f"B-{n}", f"BA-{n}", "2026-11-01") for n in numbers],
    ]


def billed_now() -> list[Message]:
    """Usage that is late and some that is not, prices that change as of an earlier day, and bills; most of it twice.

    For half of them it is less than what was billed; the one by the day has more than one bill holds.
    """
    found = [demand("D-days", "BA-days", "2026-11-20")]
    for n in range(RECURRING):
        prices = [monthly("P-1", 60 if n % 2 else 15), metered("P-2", 1)]
        keyed = [
            usage(f"U-late-{n}", f"S-{n}", 3, "2026-10-20T10:00:00Z", "P-2"),
            usage(f"U-then-{n}", f"S-{n}", 2, "2026-11-02T10:00:00Z", "P-2"),
            demand(f"D-{n}", f"BA-{n}", "2026-11-17"),
        ]
        change = subscribed("change", f"S-{n}", "2026-11-16", changes={"productPrice": prices})
        found += [change, *keyed, demand(f"E-{n}", f"BA-{n}", "2026-12-01"), *keyed]
    return [*found, found[0]]


@pytest.mark.parametrize("driver", ["pymongo"])
@pytest.mark.parametrize("point", every_third(POINTS, 1))
async def test_a_worker_that_dies_over_recurring_bills_costs_nothing(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """What falls due, what is taken back, usage, and a bill in parts: each is billed once, whatever was under way."""
    for name, limit in OF_BILLS.items():
        monkeypatch.setattr(name, limit)
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    effects = 0
    async with working(settings):
        for messages in billed_before():
            await client.send_all(messages)
            effects += len(messages)
            await applied(database, effects)
    await client.send_all(billed_now())
    await die_at(point, settings, database, OF_BILLS)
    last = [demand(f"F-{account}", f"BA-{account}", "2026-12-01") for account in ("days", *range(RECURRING))]
    effects += 1 + 5 * RECURRING
    async with working(settings):
        await wait_for(lambda: facts(database) - parts(database) >= effects)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await client.send_all(last)
        effects += len(last)
        await wait_for(lambda: facts(database) - parts(database) >= effects)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await applied(database, effects + parts(database))
    # October is 30.00 and 8 units, November half at 30.00 and half at 15.00 or 60.00, with 2 units; and December.
    nets = {n: 3000 + 800 + 1500 + (3000 if n % 2 else 750) + 200 + (6000 if n % 2 else 1500) for n in range(RECURRING)}
    owed = {f"BA-{n}": net * 6 // 5 for n, net in nets.items()} | {"BA-days": 3600}
    found = {name: position(database, name) for name in owed}
    assert {name: one["receivable"] - one.get("unapplied", 0) for name, one in found.items()} == owed
    assert sum(billed(database).values()) == sum(nets.values()) + 3000 == -ledger(database)["revenue"]
    assert billed(database) == billed_at_once(database, "2026-12-01")
    assert parts(database) > 3
    await all_is_well(point, effects + parts(database), client, database)


DUNNED = 8
"""The accounts that are dunned, and pay."""
RUN = 30
"""The accounts of a cycle, with a charge each; one more has three bills' worth."""


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize(
    "point",
    every_third(
        ("after-first-write", "after-commit", "before-confirm", "before-mark", "held-claimed", "held-after-commit"), 0
    ),
)
async def test_a_worker_that_dies_over_a_bill_run_costs_nothing(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """With the run started, its accounts decided, or the rest of a bill claimed: the next one goes on."""
    for name, limit in OF_BILLS.items():
        monkeypatch.setattr(name, limit)
    monkeypatch.setattr("handlers.sweeping.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("adapters.store.workers.DEAD_AFTER_SECONDS", 2.0)
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3})
    ids = [f"BA-{n:02d}" for n in range(RUN)]
    charges = [charge(f"C-{id_}", id_, 10) for id_ in ids] + [charge(f"M-{n}", "BA-more", 1) for n in range(3 * PART)]
    async with working(settings):
        await client.send(cycle())
        await applied(database, 1)
        await client.send_all([*(in_cycle(id_) for id_ in ids), in_cycle("BA-more"), *charges])
        await applied(database, 2 + RUN + len(charges))
    await client.send_all([bill_run("R-1"), bill_run("R-1")])
    await die_at(point, settings, database, OF_BILLS)
    async with working(settings):
        await wait_for(lambda: database["billRuns"].count_documents({"state": "completed"}) == 1)
        await client.all_taken()
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await applied(database, 3 + RUN + len(charges))
    [run] = database["billRuns"].find()
    assert (run["billed"], run["nothingDue"]) == (RUN + 1, 0)
    assert [one["taxExcludedAmount"] for one in run["totals"]] == [1000 * RUN + 100 * 3 * PART]
    assert database["invoices"].count_documents({}) == RUN + 3
    assert (client.counted()["bill-run.started"], client.counted()["bill-run.completed"]) == (1, 1)
    await all_is_well(point, 3 + RUN + len(charges), client, database)


def parts(database: Books) -> int:
    """How many bills went on in a further part."""
    return database["inbox"].count_documents({"_id": {"$regex": "^bill.continue:"}})


async def due_by_noon(clock: ClockFile, settings: Settings, client: Client, database: Books) -> list[str]:
    """Accounts that owe at noon of the 22nd, and are suspended a day later; each has a subscription."""
    clock.show("2026-11-22T12:00:00Z")
    ids = [f"BA-{n}" for n in range(DUNNED)]
    async with working(settings, days=True):
        await client.send(procedure("D-1", (1, "suspend")))
        await client.send_all([customer(id_, paymentTermDays=0, dunningProcedure={"id": "D-1"}) for id_ in ids])
        await client.send_all([order(f"O-{id_}", id_, item(1, 10)) for id_ in ids])
        await client.send_all([subscription(f"S-{id_}", id_, monthly("P-1", 7), start="2026-11-01") for id_ in ids])
        await wait_for(lambda: database["subscriptions"].count_documents({}) == DUNNED)
        await wait_for(lambda: database["dunnedDays"].find_one({"newest": "2026-11-22"}))
    return ids


@pytest.mark.parametrize("driver", ["motor"])
@pytest.mark.parametrize(
    ("point", "nth"),
    every_third(
        [
            ("after-first-write", 2),  # the first is the day's
            ("after dunning.look:", 1),
            ("after dunning.look:", DUNNED),
            ("after dunning.complete:", 1),
            ("before-confirm", DUNNED),
            ("before-mark", 1),
        ],
        1,
    ),
)
async def test_a_worker_that_dies_over_a_days_look_costs_nothing(
    settings: Settings,
    client: Client,
    database: Books,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    nth: int,
) -> None:
    """With a look decided, all of them, or the day: each account has its step once, and the day is over."""
    monkeypatch.setattr("handlers.sweeping.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("adapters.store.workers.DEAD_AFTER_SECONDS", 2.0)
    clock = ClockFile(tmp_path / "clock")
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3, "clock_file": str(clock)})
    await due_by_noon(clock, settings, client, database)
    before = facts(database)
    clock.show("2026-11-23T06:00:00Z")
    await die_at(point, settings, database, nth=nth, days=True)
    clock.show("2026-11-23T06:05:00Z")
    async with working(settings, days=True):
        await wait_for(lambda: database["dunnedDays"].find_one({"newest": "2026-11-23"}))
        await wait_for(lambda: not held(database), otherwise=lambda: held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert database["dunningSteps"].count_documents({}) == DUNNED
    assert database["subscriptions"].count_documents({"state": "suspended"}) == DUNNED
    assert client.counted()["subscription.state-changed"] == DUNNED
    await all_is_well(point, before, client, database)


@pytest.mark.parametrize("driver", ["pymongo"])
@pytest.mark.parametrize(
    "point", every_third(("after-first-write", "after-commit", "held-claimed", "held-after-commit"), 1)
)
async def test_a_worker_that_dies_over_what_clears_dunning_costs_nothing(
    settings: Settings, client: Client, database: Books, tmp_path: Path, point: str
) -> None:
    """Who is suspended pays: with that decided, or what it leaves to do claimed. The next one resumes them all."""
    clock = ClockFile(tmp_path / "clock")
    settings = settings.model_copy(update={"relay_interval_seconds": 0.3, "clock_file": str(clock)})
    ids = await due_by_noon(clock, settings, client, database)
    async with working(settings, days=True):
        clock.show("2026-11-23T06:00:00Z")
        await wait_for(lambda: database["dunnedDays"].find_one({"newest": "2026-11-23"}))
        assert database["subscriptions"].count_documents({"state": "suspended"}) == DUNNED
    before = facts(database)
    await client.send_all([payment(f"P-{id_}", id_, 12) for id_ in ids])
    await die_at(point, settings, database)
    # What the dead one has claimed, or left unsent, is found when the clock has gone on.
    clock.show("2026-11-23T06:05:00Z")
    async with working(settings):
        await wait_for(lambda: facts(database) == before + DUNNED and not held(database))
        await wait_for(lambda: database["outbox"].find_one({"unsent": True}) is None)
    assert database["subscriptions"].count_documents({"state": "active"}) == DUNNED
    assert database["dunningSuspensions"].count_documents({"ended": None}) == 0
    assert client.counted()["dunning.cleared"] == DUNNED
    await all_is_well(point, before + DUNNED, client, database)
