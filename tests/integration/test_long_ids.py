"""Ids of the greatest length go all the way: through the books, what is held, events, statements, and queries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.settings import Settings
from tests.integration.test_queries import Asker
from tests.support.books import Books, applied, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import closing, customer, item, order, partner, payment, payout, relationship, update
from tests.support.waiting import wait_for
from tests.support.workers import working


def long(name: str) -> str:
    """An id of 128 characters."""
    return f"urn:ngsi-ld:{name}:".ljust(128, "x")


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_ids_of_128_characters(
    settings: Settings, client: Client, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts, orders, lines, payments, message ids, and a closing whose second statement has two characters more."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 1)
    buyer, seller, closed = long("BA"), long("SA"), long("C")
    bought: list[Any] = [
        order(long(f"O{n}"), buyer, item(1, "10.00", sold_for=seller) | {"id": long("line")}) for n in range(2)
    ]
    async with working(settings):
        ask = Asker(client)
        early = await client.send_asking(payment(long("P"), buyer, "24.00"), message_id=long("m"))
        await wait_for(lambda: held(database, "waiting"))
        for message in (
            customer(buyer, relatedParty=[{"role": "customer", "partyOrPartyRole": {"id": long("p")}}]),
            partner(seller),
        ):
            assert (await client.ask(message, message_id=long(message[0])))["outcome"] == "applied"
        assert (await client.answer(early))["outcome"] == "applied"
        array = ("order.completed", json.dumps([body for _, body in bought]).encode())
        await client.send(array, message_id=long("array"))
        spec = {"name": "x", "id": long("S")}
        assert (await client.ask(("billing-cycle-specification.create", spec)))["outcome"] == "applied"
        changes = {
            "accountRelationship": [relationship("endCustomer", seller)],
            "billStructure": {"cycleSpecification": {"id": long("S")}},
        }
        assert (await client.ask(update(buyer, changes), message_id=long("u")))["outcome"] == "applied"
        await applied(database, 7)
        answer = await client.ask(closing(closed, seller))
        assert answer["result"] == {"settlementIds": [closed, f"{closed}-2"]}
        for paid in (closed, f"{closed}-2"):
            answer = await client.ask(payout(long("PO") if paid == closed else "PO-2", seller, paid, "8.00"))
            assert answer["result"] == {"settlementId": paid, "state": "paid"}
            assert (await ask("settlement.get", id=paid))["id"] == paid
        assert (await ask("account.list", relatedParty=long("p")))["items"][0]["id"] == buyer
        assert len((await ask("account.statement", id=buyer))["items"]) == 3
        assert position(database, buyer) == {}
    await assert_clean(client, database)
