"""What is too much for one transaction goes on in others, at once and whatever dies meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from adapters.settings import Settings
from handlers.engine.held import Waker
from tests.support.audits import quick_audit
from tests.support.books import Books, applied, assert_audit_ok, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import closing, customer, item, order, partner, payment, reversal
from tests.support.steady import at_length
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


@pytest.fixture(autouse=True)
def little_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two invoices of one line, or one statement of two lines, in a transaction."""
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 8)
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    monkeypatch.setattr("domain.settlement.closing.STATEMENTS_MAX", 1)


async def test_a_payment_a_credit_and_a_closing_go_on(settings: Settings, client: Client, database: Books) -> None:
    """Nine invoices paid by one payment, nine payments used up by one invoice, five accruals stated: all at once."""
    await client.declare()
    await client.send_all([customer("BA-1"), customer("BA-2"), partner("SA-1", "1")])
    await client.send_all(order(f"O-{n}", "BA-1", item(1, "10.00", rate="0")) for n in range(9))
    await client.send_all(payment(f"P-{n}", "BA-2", "1.00") for n in range(9))
    await client.send_all(order(f"S-{n}", "BA-1", item(1, "1.00", rate="0", sold_for="SA-1")) for n in range(5))
    async with working(settings):
        await applied(database, 3 + 9 + 9 + 5)
        # A minute between two sweeps: what is left is taken up since it is told, not since it is looked for.
        reply = await client.ask(payment("P-all", "BA-1", "95.00"))
        assert reply["outcome"] == "applied"
        assert len(reply["result"]["billNos"]) == 2
        await client.ask(order("O-all", "BA-2", item(1, "8.50", rate="0")))
        await client.ask(closing("C-1", "SA-1"))
        await wait_for(lambda: held(database) == {})
    done = [row["_id"] for row in database["inbox"].find({"_id": {"$regex": "^(credit|settlement.continue)"}})]
    # Twelve invoices by two; seven payments by two, then one by one, as the invoice lists ever more; C-1-2 and -3.
    assert len(done) == 6 + 6 + 2, done
    assert position(database, "BA-1") == {}
    assert position(database, "BA-2") == {"unapplied": 50}
    assert {row["_id"]: len(row["lines"]) for row in database["settlements"].find()} == {
        "C-1": 2,
        "C-1-2": 2,
        "C-1-3": 1,
    }
    await assert_clean(client, database)


async def test_an_account_is_closed_by_the_rest(settings: Settings, client: Client, database: Books) -> None:
    """It was to be closed, and has nothing open any more: so it is with a customer's and with a partner's."""
    await client.declare()
    await client.send_all([customer("BA-1"), partner("SA-1", "1")])
    # What is earned is 1.00, -2.00 and 1.00: the first statement carries -1.00 forward, the second comes to nothing.
    earn = item(1, "1.00", rate="0", sold_for="SA-1")
    give_back = [item(1, "-2.00", rate="0", sold_for="SA-1"), item(2, "2.00", rate="0")]
    await client.send_all([order("O-1", "BA-1", earn), order("O-2", "BA-1", *give_back), order("O-3", "BA-1", earn)])
    await client.send_all(order(f"N-{n}", "BA-1", item(1, "1.00", rate="0")) for n in range(3))
    async with working(settings):
        await applied(database, 8)
        for account in ("BA-1", "SA-1"):
            await client.ask(("account.close", {"id": account, "reason": "they asked"}))
        await client.ask(payment("P-1", "BA-1", "5.00"))
        await client.ask(closing("C-1", "SA-1"))
        await wait_for(lambda: held(database) == {})
    assert {row["_id"]: row["state"] for row in database["accounts"].find()} == {"BA-1": "closed", "SA-1": "closed"}
    closed_by = {row["account"]: row["cause"] for row in database["accountVersions"].find({"newState": "closed"})}
    assert closed_by["BA-1"].startswith("credit.allocate:BA-1/")
    assert closed_by["SA-1"] == "settlement.continue:C-1/1"
    await assert_clean(client, database)


async def test_the_rest_outlives_its_worker(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held in the transaction of the first part: another worker finds it, and until then the audit knows why."""
    await client.declare()
    await client.send_all([customer("BA-1"), *(order(f"O-{n}", "BA-1") for n in range(5))])

    async def nobody_wakes(_waker: Waker, _names: Any = None) -> None:
        """As when the worker dies before it takes up what is left."""

    with monkeypatch.context() as patched:
        patched.setattr(Waker, "_wake", nobody_wakes)
        patched.setattr(Waker, "_sweep", nobody_wakes)
        async with working(settings):
            await applied(database, 6)
            await client.ask(payment("P-1", "BA-1", "50.00"))
    [rest] = database["held"].find()
    assert (rest["routingKey"], rest["state"], rest["account"]) == ("credit.allocate", "waiting", "BA-1")
    [paid] = database["inbox"].find({"_id": "payment.received:P-1"})
    assert rest["correlationId"] == paid["correlationId"]
    assert position(database, "BA-1") == {"receivable": 3600, "unapplied": 2600}
    assert_audit_ok(database)
    database["held"].update_one({}, {"$set": {"state": "discarded"}})
    report = quick_audit(database, now=datetime.now(UTC), relay_interval_seconds=0, relay_grace_seconds=0)
    assert "no-credit-beside-open-invoice" in {check["name"] for check in report["checks"] if not check["ok"]}
    database["held"].update_one({}, {"$set": {"state": "waiting"}})
    async with working(settings):
        await wait_for(lambda: held(database) == {})
    assert position(database, "BA-1") == {"receivable": 1000}
    await assert_clean(client, database)


async def test_the_rest_of_a_reversal_outlives_its_worker(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it died with its worker: the books hold, what is left is owed beside the invoices; then they are open."""
    await client.declare()
    await client.send_all([customer("BA-1"), *(order(f"O-{n}", "BA-1", item(1, "10", rate="0")) for n in range(5))])
    await client.send_all([payment("P-1", "BA-1", "50.00")])

    async def nobody_wakes(_waker: Waker, _names: Any = None) -> None:
        """As when the worker dies before it takes up what is left."""

    async with working(settings):
        await applied(database, 7)
        await wait_for(lambda: held(database) == {})
    with monkeypatch.context() as patched:
        patched.setattr(Waker, "_wake", nobody_wakes)
        patched.setattr(Waker, "_sweep", nobody_wakes)
        async with working(settings):
            reply = await client.ask(reversal("X-1", "P-1"))
    eur_30 = {"unit": "EUR", "value": 30}
    assert reply["result"] == {"amount": {"unit": "EUR", "value": 50}, "recoverable": eur_30}
    [rest] = database["held"].find()
    assert (rest["routingKey"], rest["state"], rest["account"]) == ("credit.deallocate", "waiting", "BA-1")
    assert position(database, "BA-1") == {"receivable": 2000, "recoverable": 3000}
    assert_audit_ok(database)
    async with working(settings):
        await wait_for(lambda: held(database) == {})
    assert position(database, "BA-1") == {"receivable": 5000}
    assert database["entries"].count_documents({"_id": {"$regex": "^credit.deallocate:P-1/"}}) == 2
    await assert_clean(client, database)


async def test_what_is_left_to_do_is_no_message_that_anyone_may_send(
    settings: Settings, client: Client, database: Books
) -> None:
    """From a queue it is of a type that nothing handles."""
    async with working(settings):
        for routing_key in ("credit.allocate", "credit.deallocate", "settlement.continue"):
            reply = await client.ask((routing_key, {"billingAccount": {"id": "BA-1"}, "sequence": 1}))
            assert reply["error"]["code"] == "unknown-type"
        for row in held(database).values():
            told = await client.ask(("parked.replay", {"ids": [row["parkedId"]], "why": "to see"}), app_id="console")
            assert "unknown-type" in str(told), told
    assert {row["state"] for row in held(database).values()} == {"parked"}


@pytest.mark.parametrize("seed", [1, at_length(2)])
async def test_two_workers_go_on_at_once(settings: Settings, client: Client, database: Books, seed: int) -> None:
    """Rests, orders and payments of two accounts, in a mixed order: each waits its turn, and none is done twice."""
    chance = Random(seed)
    mixed = [
        *(order(f"O-{n}", f"BA-{n % 2}", item(1, chance.randint(1, 9), rate="0")) for n in range(60)),
        *(payment(f"P-{n}", f"BA-{n % 2}", chance.randint(1, 9)) for n in range(60)),
        *(payment(f"L-{n}", f"BA-{n % 2}", 60) for n in range(4)),
    ]
    chance.shuffle(mixed)
    both = settings.model_copy(update={"single_active_consumer": False})
    async with working(both), working(both):
        await client.send_all([customer("BA-0"), customer("BA-1")])
        await applied(database, 2)
        await client.send_all(mixed)
        sent = {"_id": {"$not": {"$regex": "^credit.allocate:"}}}
        await wait_for(lambda: database["inbox"].count_documents(sent) == 2 + len(mixed))
        await wait_for(lambda: held(database) == {})
    assert database["inbox"].count_documents({"_id": {"$regex": "^credit.allocate:"}}) > 0
    assert database["entries"].count_documents({"_id": {"$regex": "^credit.allocate:"}}) > 0
    await assert_clean(client, database)
