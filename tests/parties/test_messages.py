"""The seller and legal entities by message: answers, events, queries and invoices, on real services."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker, business, rfc, say
from tests.schemas.letters import SELLER
from tests.support.books import Books, applied, assert_clean, held
from tests.support.client import Client
from tests.support.messages import command, customer, item, order, partner, payment, seller, update
from tests.support.workers import working

ENTITY: dict[str, Any] = SELLER["changes"]
COMPACT = {"vatId": "DE136695976", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}
KEPT = {name: value for name, value in (ENTITY | COMPACT).items() if value is not None}

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"], indirect=True)


async def test_the_seller_is_told_and_asked_for(settings: Settings, client: Client, database: Books) -> None:
    """Each change is a version, an event and a row of history; each version, and each time, can be asked for."""
    async with business(settings, client) as (ask, clock, _):
        assert await ask.error("seller.get", {}) == ("unknown-seller", "nothing is said of the seller yet")
        assert await ask("seller.history") == {"items": [], "after": None}
        begun = clock.now
        clock.forward(minutes=1)
        first = {**KEPT, "version": 1, "lastUpdate": rfc(clock.now)}
        answer = await client.ask(("seller.update", {"changes": ENTITY}), message_id="m-1")
        assert answer == {"outcome": "applied", "result": {"version": 1, "seller": first}}
        event = await client.event("seller/1")
        assert (event.type, event.event) == ("seller.changed", {"seller": first, "changed": sorted(KEPT)})
        assert "account-id" not in (event.message.headers or {})
        clock.forward(minutes=1)
        odd = {"$odd.name": {"a.b": 1}}
        changes = {"name": "Mill Bakery", "contact": {"phone": None}, "vatId": "de 136 695 976", **odd}
        answer = await client.ask(
            ("seller.update", {"ifRevision": 1, "changes": changes}), message_id="m-2", user_id="guest", app_id="crm"
        )
        second = {**first, "name": "Mill Bakery", **odd, "version": 2, "lastUpdate": rfc(clock.now)}
        second["contact"] = {"name": "Ada", "email": "ada@example.org"}
        assert answer["result"] == {"version": 2, "seller": second}
        changed = (await client.event("seller/2")).event["changed"]
        assert changed == ["$odd.name", "contact", "name"]

        assert await ask("seller.get") == await ask("seller.get", version=2) == second
        assert await ask("seller.get", version=1) == await ask("seller.get", at=first["lastUpdate"]) == first
        assert await ask("seller.get", at="2999-01-01T00:00:00Z") == second
        assert await ask.error("seller.get", {"version": 3}) == ("unknown-seller", "version: there is none of number 3")
        code, detail = await ask.error("seller.get", {"at": rfc(begun)})
        assert (code, detail) == ("unknown-seller", f"at: nothing was said of the seller yet (got '{rfc(begun)}')")
        assert (await ask.error("seller.get", {"version": 1, "at": rfc(begun)}))[0] == "invalid"
        history = await ask.all("seller.history", 1)
        assert history == (await ask("seller.history"))["items"]
        assert [one["seller"] for one in history] == [first, second]
        assert {name: history[1][name] for name in history[1] if name != "seller"} == {
            "version": 2,
            "bookedAt": rfc(clock.now),
            "changed": changed,
            "cause": "seller.update:m-2",
            "messageId": "m-2",
            "userId": "guest",
            "actingUser": None,
            "appId": "crm",
            "correlationId": history[1]["correlationId"],
        }
        # What is delivered again is told what it was told; what says what is so makes no version.
        again = await client.ask(("seller.update", {"changes": ENTITY}), message_id="m-1")
        assert again == {"outcome": "duplicate", "result": {"version": 1, "seller": first}}
        assert (await client.ask(seller(name="Mill Bakery")))["result"] == {"version": 2, "seller": second}
        late = await client.ask(("seller.update", {"ifRevision": 1, "changes": {"name": "Late"}}))
        assert late["error"] == {
            "code": "revision-mismatch",
            "detail": "ifRevision: 1, but the seller is at version 2",
        }
        large = await client.ask(seller(more="x" * 70_000))
        assert large["error"]["detail"] == "changes: the seller's document would have more than 65536 bytes"
        wrong = await client.ask(seller(name="Wrong", iban="DE1"))
        assert wrong["error"]["code"] == "invalid"
        assert wrong["error"]["detail"].startswith("changes.iban: must be an IBAN")
        assert (await ask("seller.get"))["version"] == 2
    assert len(held(database, "parked")) == 3
    await assert_clean(client, database)


async def test_an_invoice_names_its_parties(settings: Settings, client: Client, database: Books) -> None:
    """Alone and in a batch, before anything is said and after, in the event and for ever in the queries."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"), partner("SA-1"), order("O-1", "BA-1", item(1, "10.00", sold_for="SA-1")))
        await say(client, seller(name="Ada Ltd"), update("BA-1", {"legalEntity": ENTITY}), order("O-2", "BA-1"))
        await say(client, seller(name="Bob Ltd"), command("suspend", "BA-1"), command("resume", "BA-1"))
        await client.send(("order.completed", [order(f"O-{n}", "BA-1")[1] for n in range(3, 40)]))
        await applied(database, 46)
        await say(client, seller(name="Eve Ltd"), update("BA-1", {"name": "Other"}), payment("P-1", "BA-1", "30.00"))
        invoices = await ask.all("invoice.list", 20, billingAccount="BA-1")
        named = [(one["sellerVersion"], one["buyerVersion"]) for one in invoices]
        assert named == [(None, 1), (1, 2), *[(2, 4)] * 37]
        assert await ask("invoice.get", billNo="INV-000000002") == invoices[1]
        assert [one["state"] for one in invoices[:4]] == ["settled", "settled", "partiallyPaid", "new"]
        issued = {e.event["invoice"]["id"]: e.event["invoice"] for e in client.events if e.type == "invoice.issued"}
        assert [(i["sellerVersion"], i["buyerVersion"]) for _, i in sorted(issued.items())] == named
        # So it can be shown alike for ever.
        assert (await ask("seller.get", version=1))["name"] == "Ada Ltd"
        versions = {one["version"]: one["account"] for one in (await ask("account.history", id="BA-1"))["items"]}
        assert versions[2]["legalEntity"] == {name: value for name, value in ENTITY.items() if value is not None}
    rows = {row["_id"]: row for row in database["invoices"].find()}
    assert "sellerVersion" not in rows["INV-000000001"]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_invoice_of_an_earlier_version_goes_on(settings: Settings, client: Client, database: Books) -> None:
    """It names nobody, is shown so, is paid, and stays what it was."""
    async with working(settings):
        ask = Asker(client)
        await say(client, customer("BA-1"), order("O-1", "BA-1"))
        database["invoices"].update_one({"_id": "INV-000000001"}, {"$unset": {"buyerVersion": "", "sellerVersion": ""}})
        await say(client, seller(name="Ada"), payment("P-1", "BA-1", "5.00"), order("O-2", "BA-1"))
        for number, versions in ((1, (None, None)), (2, (1, 1))):
            told = await ask("invoice.get", billNo=f"INV-00000000{number}")
            assert (told["sellerVersion"], told["buyerVersion"]) == versions
        row = database["invoices"].find_one({"_id": "INV-000000001"}) or {}
        assert (row["remainingAmount"], "buyerVersion" in row) == (700, False)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_legal_entity_is_kept_as_it_came_in(settings: Settings, client: Client, database: Books) -> None:
    """It goes out in answers, events and queries; a patch changes a part of it, null takes it away."""
    async with working(settings):
        ask = Asker(client)
        entity = {name: value for name, value in ENTITY.items() if value is not None}
        created = await client.ask(customer("BA-1", legalEntity=ENTITY))
        assert created["result"]["account"]["legalEntity"] == entity
        assert (await client.event("BA-1:1")).event["account"]["legalEntity"] == entity
        changed = await client.ask(update("BA-1", {"legalEntity": {"address": {"street": "Talweg 2"}, "bic": None}}))
        entity = {**entity, "address": {**entity["address"], "street": "Talweg 2"}}
        del entity["bic"]
        assert changed["result"]["account"]["legalEntity"] == entity
        assert (await client.event("BA-1:2")).event["changed"] == ["legalEntity"]
        assert (await ask("account.get", id="BA-1"))["legalEntity"] == entity
        wrong = await client.ask(update("BA-1", {"name": "Wrong", "legalEntity": {"vatId": "DE1"}}))
        assert wrong["error"]["detail"].startswith("changes.legalEntity.vatId: must be a VAT id of DE")
        other = await client.ask(customer("BA-2", legalEntity={"iban": "DE1"}))
        assert other["error"]["detail"].startswith("legalEntity.iban: must be an IBAN")
        assert (await client.ask(customer("BA-2", legalEntity={"iban": ENTITY["iban"]})))["outcome"] == "applied"
        gone = await client.ask(update("BA-1", {"legalEntity": None}))
        assert "legalEntity" not in gone["result"]["account"]
    await assert_clean(client, database)


FOREIGN = "Ada & Sons, 1 Hill Road", {"vatId": 7, "address": [{"street": None}], "name": ["Ada"]}, [1.5, {"x": "y"}]


@ONE_DRIVER
@pytest.mark.parametrize("foreign", FOREIGN, ids=["a text", "an object", "an array"])
async def test_an_account_of_an_earlier_version_stays_what_it_was(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch, foreign: Any
) -> None:
    """Whatever it had as an unknown field `legalEntity`: it is read, listed, billed, changed, and comes again."""
    old = customer("BA-1", legalEntity=foreign)
    early = customer("BA-2", legalEntity=foreign, billStructure={"format": {"id": "F-1"}})
    async with working(settings):
        ask = Asker(client)
        with monkeypatch.context() as earlier:
            earlier.setattr("schemas.accounts.messages.check_entity", lambda _said: None)
            earlier.setattr("schemas.accounts.messages.check_changed_entity", lambda _said: None)
            await say(client, old)
            waiting = await client.send_asking(early)
            changed = await client.ask(update("BA-1", {"legalEntity": {"kept": 1}}), message_id="again")
            told = changed["result"]["account"]["legalEntity"]
        # What an earlier version took is not asked again, whether it waits or comes once more.
        again = await client.ask(update("BA-1", {"legalEntity": {"kept": 1}}), message_id="again")
        assert again == {**changed, "outcome": "duplicate"}
        await say(client, ("bill-format.create", {"id": "F-1", "name": "Short"}))
        assert (await client.answer(waiting))["outcome"] == "applied"
        assert (await client.ask(customer("BA-3", legalEntity=foreign)))["error"]["code"] == "invalid"
        await say(client, update("BA-1", {"name": "Other"}), order("O-1", "BA-1"), payment("P-1", "BA-1", "5.00"))
        listed = {one["id"]: one for one in (await ask("account.list"))["items"]}
        assert set(listed) == {"BA-1", "BA-2"}
        assert listed["BA-1"] == await ask("account.get", id="BA-1")
        assert (listed["BA-1"]["legalEntity"], listed["BA-1"]["name"]) == (told, "Other")
        await say(client, update("BA-1", {"legalEntity": {"city": "Cork"}}))
        assert (await ask("account.get", id="BA-1"))["legalEntity"]["city"] == "Cork"
    await assert_clean(client, database)
