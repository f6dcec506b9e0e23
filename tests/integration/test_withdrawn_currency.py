"""Books in a currency that ISO 4217 has withdrawn: what was taken in is read, listed, paid and paid out for ever."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import closing, customer, item, order, partner, payment, payout, update
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)


def bgn(message: tuple[str, Any]) -> tuple[str, Any]:
    """The message, in leva."""
    routing_key, body = message
    if "amount" in body:
        return routing_key, {**body, "amount": {**body["amount"], "unit": "BGN"}}
    return routing_key, {**body, "currency": "BGN"}


async def test_a_currency_that_is_withdrawn(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before, an account is billed, paid, stated, listed after; one that waits is opened; a new one is not."""
    limited = customer("BA-1", creditLimit={"unit": "BGN", "value": 1000})
    early = customer("BA-2", billStructure={"format": {"id": "F-1"}})
    async with working(settings, held_interval_seconds=3_600):
        ask = Asker(client)
        monkeypatch.setattr("schemas.accounts.messages.is_current", lambda _code: True)
        for message in (limited, partner("SA-1")):
            assert (await client.ask(bgn(message)))["outcome"] == "applied"
        waiting = await client.send_asking(bgn(early))
        await wait_for(lambda: held(database, "waiting"))
        assert (database["accounts"].find_one({"_id": "BA-1"}) or {})["currencyDigits"] == 2

        monkeypatch.undo()
        assert (await client.ask(bgn(limited)))["outcome"] == "duplicate"
        new = await client.ask(bgn(customer("BA-3")))
        assert (new["outcome"], new["error"]["code"]) == ("parked", "invalid")
        assert new["error"]["detail"] == "currency: was withdrawn from ISO 4217 (got 'BGN')"
        assert await client.ask(bgn(customer("BA-3"))) == new  # the same row, not another
        assert len(held(database, "parked")) == 1
        assert (await client.ask(customer("BA-3")))["outcome"] == "applied"  # corrected, under the same id
        assert (await client.ask(("bill-format.create", {"id": "F-1", "name": "Short"})))["outcome"] == "applied"
        assert (await client.answer(waiting))["outcome"] == "applied"

        for message in (
            bgn(order("O-1", "BA-1", item(1, "10.00", sold_for="SA-1"))),
            bgn(payment("P-1", "BA-1", "12.34")),
            update("BA-1", {"creditLimit": {"unit": "BGN", "value": "50.55"}}),
            closing("C-1", "SA-1"),
            bgn(payout("PO-1", "SA-1", "C-1", "8.00")),
        ):
            assert (await client.ask(message))["outcome"] == "applied", message
        assert position(database, "BA-1") == {"unapplied": 34}
        assert (await client.ask(bgn(payout("PO-2", "SA-1", "C-1", "0.01"))))["error"] == {
            "code": "overpaid-payout",
            "detail": "amount: 0.01 BGN, but 0.00 BGN is left to pay of settlement C-1",
        }
        listed = {one["id"]: one for one in (await ask("account.list"))["items"]}
        assert set(listed) == {"BA-1", "BA-2", "BA-3", "SA-1"}
        unapplied = {one["balanceType"]: one["amount"] for one in listed["BA-1"]["accountBalance"]}["unapplied"]
        assert unapplied == {"unit": "BGN", "value": 0.34}
        assert (await ask("account.get", id="BA-1"))["accountBalance"] == listed["BA-1"]["accountBalance"]
        assert (await ask("account.statement", id="BA-1"))["closing"]["unapplied"] == unapplied
        for query in ("account.balance", "account.tree"):
            assert "BGN" in str(await ask(query, id="BA-1"))
        assert (await ask("invoice.get", billNo="INV-000000001"))["amountDue"] == {"unit": "BGN", "value": 12}
        assert (await ask("settlement.get", id="C-1"))["total"] == {"unit": "BGN", "value": 8}
    await assert_clean(client, database)


async def test_a_correction_in_a_withdrawn_currency_corrects_nothing(
    settings: Settings, client: Client, database: Books
) -> None:
    """It is refused for what it is, under the id of the one that waits or under another; and that one waits on."""
    early = customer("BA-1", billStructure={"format": {"id": "F-1"}})
    async with working(settings, held_interval_seconds=3_600):
        await client.send(early, message_id="m-1")
        await wait_for(lambda: held(database, "waiting"))
        for account_id in ("BA-1", "BA-2"):
            for _ in range(2):
                answer = await client.ask(bgn(customer(account_id)), message_id="m-2", headers={"replaces": "m-1"})
                assert (answer["outcome"], answer["error"]["code"]) == ("parked", "invalid"), answer
                assert answer["error"]["detail"] == "currency: was withdrawn from ISO 4217 (got 'BGN')"
        assert list(held(database, "waiting")) == ["account.create:BA-1"]
        assert len(held(database, "parked")) == 2
        assert (await client.ask(customer("BA-2")))["outcome"] == "applied"  # its id stayed free
        answer = await client.ask(customer("BA-1"), message_id="m-3", headers={"replaces": "m-1"})
        assert answer["outcome"] == "applied"
    await assert_clean(client, database)
