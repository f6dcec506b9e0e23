"""An account's document goes out as it came in, whatever its names are and wherever they stand, ours laid over it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, assert_clean, held
from tests.support.client import Client
from tests.support.messages import customer, partner, update
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor", "pymongo"], indirect=True)

ODD: dict[str, Any] = {
    "$type": "Acme.Customer, Acme",
    "$schema": "https://example.com/customer.json",
    "": {"": [{"": 1}]},
    "a.b": {"c.d": [1, {"$oid": "507f1f77bcf86cd799439011"}]},
    ".": 1,
    "link": {"$ref": "customers", "$id": 7, "$db": "crm"},
    "$date": {"$date": "2026-11-22T10:15:00Z"},
    "_id": {"_id": 5},
    "__proto__": {"$where": "1", "$set": {"state": "closed"}},
    "$$ROOT": ["$name", "$$NOW", 1.5, True],
}
"""Names that a database, or its driver, has a use for."""


@pytest.mark.parametrize("place", ["the top", "within"])
async def test_names_of_any_kind(settings: Settings, client: Client, database: Books, place: str) -> None:
    """They are kept, told, changed and found in history like any other; a duplicate gets what was recorded."""
    odd: dict[str, Any] = ODD if place == "the top" else {"characteristic": [ODD]}
    sent = customer("BA-1", **odd)
    async with working(settings):
        ask = Asker(client)
        first = await client.ask(sent)
        assert first["outcome"] == "applied", first
        assert {name: first["result"]["account"][name] for name in odd} == odd
        assert await client.ask(sent) == {**first, "outcome": "duplicate"}
        created = (await client.event("BA-1:1")).event["account"]
        listed = (await ask("account.list"))["items"][0]
        for document in (created, listed, await ask("account.get", id="BA-1")):
            assert {name: document[name] for name in odd} == odd
        changes = {"$type": None, "a.b": {"c.d": None, "$new": {"x.y": 1}}, "": "now a text"}
        told = (await client.ask(update("BA-1", changes)))["result"]
        assert told["revision"] == 2
        account = told["account"]
        assert "$type" not in account
        assert account[""] == "now a text"
        kept = ODD["a.b"] if place == "the top" else {}
        assert account["a.b"] == {name: item for name, item in kept.items() if name != "c.d"} | {"$new": {"x.y": 1}}
        versions = (await ask("account.history", id="BA-1"))["items"]
        assert versions[0]["account"].keys() >= odd.keys()
        assert {"$type", "a.b", ""} & set(versions[1]["changed"]) >= {"a.b", ""}
        spec = ("bill-format.create", {"id": "F-1", "name": "Short", **ODD} | {"_id": 1})
        made = (await client.ask(spec))["result"]["specification"]
        assert {name: made[name] for name in ODD if name != "_id"} == {n: v for n, v in ODD.items() if n != "_id"}
        assert (await ask("bill-format.get", id="F-1"))["$schema"] == ODD["$schema"]
        refused = await client.ask(customer("BA-2", deep={"list": [{"a\0b": 1}]}))
        assert refused["error"]["code"] == "invalid"
        assert refused["error"]["detail"].startswith("deep.list.0: a field's name holds a NUL character")
    assert len(held(database)) == 1
    await assert_clean(client, database)


async def test_unknown_fields_in_what_we_write_over(settings: Settings, client: Client, database: Books) -> None:
    """Of the terms we say the share and when it accrues; what else stands in them goes out, and its changes show."""
    terms = {"partnerShare": "0.80", "accrueOn": "payment", "contract": {"no": "V-7"}, "note": None}
    async with working(settings):
        ask = Asker(client)
        made = (await client.ask(partner("SA-1", settlementTerms=terms)))["result"]["account"]
        assert made["settlementTerms"] == {"partnerShare": 0.8, "accrueOn": "payment", "contract": {"no": "V-7"}}
        changes = {"settlementTerms": {"contract": {"no": "V-8"}, "reviewed": True}}
        told = (await client.ask(update("SA-1", changes, "SettlementAccount")))["result"]
        assert told["revision"] == 2
        assert told["account"]["settlementTerms"]["contract"] == {"no": "V-8"}
        assert (await ask("account.get", id="SA-1"))["settlementTerms"] == {
            "partnerShare": 0.8,
            "accrueOn": "payment",
            "contract": {"no": "V-8"},
            "reviewed": True,
        }
        again = (await client.ask(update("SA-1", changes, "SettlementAccount")))["result"]
        assert again["revision"] == 2
    await assert_clean(client, database)


async def test_a_file_is_as_long_as_it_is(settings: Settings, client: Client, database: Books) -> None:
    """What is base64, and what nobody here knows, is held to the limit of the body; a text to that of texts."""
    file = b64encode(bytes(300_000)).decode()
    attachment = {"@type": "Attachment", "attachmentType": "proof", "mimeType": "application/pdf", "content": file}
    async with working(settings):
        sent = customer("BA-1", taxExemption=[{"attachment": attachment}], signature="x" * 50_000)
        told = await client.ask(sent)
        assert told["outcome"] == "applied", told
        assert told["result"]["account"]["taxExemption"][0]["attachment"]["content"] == file
        assert told["result"]["account"]["signature"] == "x" * 50_000
        pointed = {**attachment, "content": None, "url": f"data:application/pdf;base64,{file}"}
        told = await client.ask(customer("BA-3", taxExemption=[{"attachment": pointed}]))
        assert told["result"]["account"]["taxExemption"][0]["attachment"]["url"] == pointed["url"]
        wrong = {**attachment, "content": "no base64!", "description": "x" * 1001}
        detail = (await client.ask(customer("BA-2", taxExemption=[{"attachment": wrong}])))["error"]["detail"]
        assert "content: must be base64" in detail
        assert "description: is longer than 1000 characters" in detail
    await assert_clean(client, database)


async def test_related_parties_in_tmf_s_older_form(settings: Settings, client: Client, database: Books) -> None:
    """One that is the reference itself is found like one that holds it, and goes out as it came."""
    flat = [{"id": "p-44", "role": "customer", "name": "Ada", "@referredType": "Individual"}]
    async with working(settings):
        ask = Asker(client)
        made = (await client.ask(customer("BA-1", relatedParty=flat)))["result"]["account"]
        assert {name: made["relatedParty"][0][name] for name in flat[0]} == flat[0]
        both = [{"id": "1", "role": "customer", "partyOrPartyRole": {"id": "p-44"}}]
        assert (await client.ask(customer("BA-2", relatedParty=both)))["outcome"] == "applied"
        assert (await client.ask(customer("BA-3", relatedParty=[{"role": "customer"}])))["outcome"] == "applied"
        found = (await ask("account.list", relatedParty="p-44"))["items"]
        assert [one["id"] for one in found] == ["BA-1", "BA-2"]
        assert (await ask("account.list", relatedParty="1"))["items"] == []
        for wrong in ({"id": 5, "role": "customer"}, {"id": "", "role": "customer"}, {"id": "p-44"}):
            told = await client.ask(customer("BA-4", relatedParty=[wrong]))
            assert told["error"]["detail"].startswith("relatedParty.0."), told
        # What has a meaning here and is half said is refused, and not kept as if it had none.
        half = [{"relationshipType": "Payer", "id": "BA-1"}]
        told = await client.ask(customer("BA-5", accountRelationship=half))
        assert told["error"]["detail"].startswith("accountRelationship.0.account: is needed")
        value = {"isRef": False, "id": "F-1", "name": "Short"}
        told = await client.ask(customer("BA-6", billStructure={"format": value}))
        assert told["error"]["detail"] == "billStructure.format.@type: is needed"
        payer = [{"relationshipType": "PAYER", "account": {"id": "BA-1"}}]
        assert (await client.ask(customer("BA-7", accountRelationship=payer)))["outcome"] == "applied"
        assert database["links"].find_one({"referrer": "BA-7", "kind": "payer"}) is not None
    await assert_clean(client, database)


async def test_texts_that_are_equivalent_are_one(settings: Settings, client: Client, database: Books) -> None:
    """A name is found by its beginning however either is composed, in any case; a party by its id likewise."""
    names = {
        "BA-1": "Café Ödön",
        "BA-2": "CAFE\u0301 O\u0308do\u0308n",
        "BA-3": "\u1fb3 Straße",
        "BA-4": "\u03b1\u0345 STRASSE",
    }
    async with working(settings):
        ask = Asker(client)
        for id_, name in names.items():
            party = [{"role": "customer", "partyOrPartyRole": {"id": "Zo\u00eb" if id_ == "BA-1" else "Zoe\u0308"}}]
            assert (await client.ask(customer(id_, name=name, relatedParty=party)))["outcome"] == "applied"
            made = await ask("account.get", id=id_)
            assert made["name"] == name  # as it was sent
        for prefix in ("Café", "cafe\u0301", "CAFÉ O\u0308", "caf\u00e9 \u00f6d"):
            assert {one["id"] for one in (await ask("account.list", namePrefix=prefix))["items"]} == {"BA-1", "BA-2"}
        for prefix in ("\u1fb3", "\u03b1\u0345 s", "\u0391\u0399 strass"):
            assert {one["id"] for one in (await ask("account.list", namePrefix=prefix))["items"]} == {"BA-3", "BA-4"}
        for composed in ("Zo\u00eb", "Zoe\u0308"):
            assert len((await ask("account.list", relatedParty=composed))["items"]) == 4
        assert (await ask("account.list", relatedParty="zo\u00eb"))["items"] == []  # an id of another system
        spec = ("bill-format.create", {"id": "F-1", "name": "E\u0301tat"})
        assert (await client.ask(spec))["outcome"] == "applied"
        assert [one["id"] for one in (await ask("bill-format.list", namePrefix="état"))["items"]] == ["F-1"]
    await assert_clean(client, database)
