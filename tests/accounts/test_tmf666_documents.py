"""TMF666's documents go in by message and come back as they were, in events and in answers to queries."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import aio_pika
import pytest

from adapters.settings import Settings
from schemas.accounts.tmf666 import COMPUTED, RESOURCES, complete
from tests.support.books import Books, assert_all_published, assert_clean
from tests.support.client import Client
from tests.support.messages import account, customer
from tests.support.openapi import examples, tmf666_file
from tests.support.tmf666 import COMPLETE, MINIMAL
from tests.support.waiting import wait_for
from tests.support.workers import working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)
Json = dict[str, Any]
OURS = COMPUTED | {"id", "currency", "paymentTermDays", "settlementTerms"}


def message_of(resource: str) -> str:
    """What messages call a resource: `bill-format`, or `account` for any account."""
    return "account" if resource.endswith("Account") else re.sub(r"(?<!^)([A-Z])", r"-\1", resource).lower()


def to_send(resource: str, document: Json, id_: str) -> Json:
    """A document as it is sent, under an id of its own, with what we need beside TMF666's fields."""
    sent = {**copy.deepcopy(document), "@type": resource, "id": id_}
    if resource.endswith("Account"):
        sent["currency"] = document.get("creditLimit", {}).get("unit", "EUR")
        if sent.get("state", "").lower() not in ("defined", "active", "suspended"):
            sent.pop("state", None)
    for relationship in sent.get("accountRelationship", []):
        if resource != "BillingAccount" and relationship["relationshipType"] == "payer":  # only that has one
            relationship["relationshipType"] = "partner"
    if resource == "SettlementAccount":
        sent["settlementTerms"] = {"partnerShare": 0.5}
    return sent


def references(document: Json) -> Iterator[tuple[str, Json]]:
    """Each reference of an account to what we keep, with the resource that it refers to."""
    for relationship in document.get("accountRelationship", []):
        yield "BillingAccount", relationship["account"]
    if "financialAccount" in document:
        yield "FinancialAccount", document["financialAccount"]
    structure = document.get("billStructure", {})
    for resource, found in (
        ("BillFormat", [structure.get("format")]),
        ("BillingCycleSpecification", [structure.get("cycleSpecification")]),
        ("BillPresentationMedia", structure.get("presentationMedia", [])),
    ):
        for reference in found:
            if reference is not None and reference.get("@type") != resource:
                yield resource, reference


async def comes_back(client: Client, resource: str, sent: Json) -> None:
    """Send a document, after what it refers to; its event and a query give it back."""
    for n, (other, reference) in enumerate(references(sent)):
        reference["id"] = f"{sent['id']}-{n}"
        if other == "FinancialAccount":
            made = account(other, reference["id"], currency=sent["currency"])
        elif other == "BillingAccount":
            made = customer(reference["id"])
        else:
            made = (f"{message_of(other)}.create", {"id": reference["id"], "name": "Made for it"})
        assert (await client.ask(made))["outcome"] == "applied", made
    name = message_of(resource)
    answer = await client.ask((f"{name}.create", sent))
    assert answer["outcome"] == "applied", (sent, answer)
    given = answer["result"]["account" if name == "account" else "specification"]
    expected = {key: value for key, value in sent.items() if key not in OURS}
    assert {key: value for key, value in given.items() if key not in OURS} == complete(resource, expected)
    field = "account" if name == "account" else resource[0].lower() + resource[1:]
    [event] = await wait_for(lambda: [e for e in client.seen(f"{name}.created") if e.event[field]["id"] == sent["id"]])
    assert event.event[field] == given
    assert event.content["@type"] == f"{resource}CreateEvent"
    assert await asked(client, f"{name}.get", sent["id"]) == {
        **given,
        "revision": 1,
        **({"accountBalance": FINANCIAL_BALANCES(sent["currency"])} if resource == "FinancialAccount" else {}),
    }


def FINANCIAL_BALANCES(currency: str) -> list[Json]:  # noqa: N802  # a constant but for its currency
    """What a financial account that sums nothing has."""
    return [
        {"@type": "AccountBalance", "balanceType": balance, "amount": {"unit": currency, "value": 0}}
        for balance in (
            *("receivable", "unapplied", "refundable", "recoverable", "overdue"),
            *("payable", "withheld", "reserve", "advance"),
        )
    ]


async def asked(client: Client, query: str, id_: str) -> Any:
    """The result of a query for one thing."""
    correlation_id = f"{query} {id_}"
    await client.channel.default_exchange.publish(
        aio_pika.Message(
            json.dumps({"id": id_}).encode(),
            type=query,
            reply_to=client.replies_to,
            correlation_id=correlation_id,
        ),
        "paymaster.queries",
    )
    return (await client.answer(correlation_id))["result"]


async def test_every_field_of_every_resource(settings: Settings, client: Client, database: Books) -> None:
    """A document that uses each field of its resource, and one with none that is not mandatory."""
    async with working(settings):
        for resource in RESOURCES:
            await comes_back(client, resource, to_send(resource, COMPLETE[resource], f"{resource}-1"))
            await comes_back(client, resource, to_send(resource, MINIMAL[resource], f"{resource}-2"))
    await assert_clean(client, database)


async def test_tm_forum_s_examples(settings: Settings, client: Client, database: Books) -> None:
    """Each example of TMF666's own file that is valid by the file comes back, and what is sent out is valid by it."""
    api = tmf666_file()
    valid = [
        (resource, document) for _, resource, document in examples(api) if not api.problems(f"{resource}_FVO", document)
    ]
    assert {resource for resource, _ in valid} == RESOURCES.keys()
    async with working(settings):
        for n, (resource, document) in enumerate(valid):
            await comes_back(client, resource, to_send(resource, document, f"E-{n}"))
    await assert_all_published(client, database)
    for event in client.seen():
        resource = event.content["@type"].removesuffix("CreateEvent")
        told = event.event.get("account") or event.event[resource[0].lower() + resource[1:]]
        assert api.problems(event.content["@type"], event.content) == []
        assert api.problems(resource, told) == []
    await assert_clean(client, database)
