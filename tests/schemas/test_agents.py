"""What comes in and goes out of what is sold in partners' names, as the AsyncAPI document tells it."""

import json
from typing import Any

import pytest

from tests.schemas.test_asyncapi import SCHEMAS, assert_told, payload, taken
from tests.schemas.test_events import sent
from tests.support import messages
from tests.support.ledger_book import (
    LedgerBook,
    agent_of,
    agreement,
    as_agent,
    billing,
    charge,
    credit_note,
    demand,
    event_type,
    line,
    order,
    payment,
)

AGENT: dict[str, Any] = {"model": "agent", "commission": "0.1", "commissionTax": {"category": "S", "rate": "0.2"}}
"""Terms by which we sell in a partner's name."""


def told() -> list[tuple[str, Any]]:
    """The events of a life with agents: of each there is one of a partner's own."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1"), agent_of("SA-2", on="payment"))
    book.take(agreement("A-1", "2026-12-01", agent=as_agent(series="FN.")))
    book.take(order("O-1", line("5"), line("10", "0.2", "SA-1"), line("10", "0.2", "SA-2")))
    book.take(credit_note("N-1", "SA-1-000000001", {"2": 100}), payment("P-1", 2000))
    book.take(charge("C-1", line("10", behalf="SA-1")), charge("C-2", line("5")), demand("D-1"))
    assert not book.refused
    return [(event_type(one.event), json.loads(sent(one.event).body)) for one in book.events]


def test_events_are_as_they_are_told():
    """Each fits the document, which tells of all its fields."""
    for routing_key, body in told():
        assert_told(f"event.{routing_key}", body)


def test_an_invoice_names_its_seller():
    """And so does a note; ours name none. A demand of several sellers names all their bills."""
    bills = {
        bill["id"]: bill.get("seller", {}).get("id")
        for routing_key, body in told()
        for name in ("invoice", "creditNote")
        if routing_key in ("invoice.issued", "credit-note.issued") and (bill := body["event"].get(name))
    }
    assert bills == {
        "INV-000000001": None,
        "SA-1-000000001": "SA-1",
        "SA-2-000000001": "SA-2",
        "CN-SA-1-000000001": "SA-1",
        "INV-000000002": None,
        "SA-1-000000002": "SA-1",
    }
    [demanded] = [
        body["event"]["customerBillOnDemand"] for _, body in told() if "customerBillOnDemand" in body["event"]
    ]
    assert [bill["id"] for bill in demanded["customerBills"]] == ["INV-000000002", "SA-1-000000002"]
    assert "customerBill" not in demanded


def test_what_accrues_tells_the_commission():
    """10 % of 10.00, at the invoice; 10 % less of the 1.00 that is credited."""
    lines = [line for key, body in told() if key == "settlement.accrued" for line in body["event"]["lines"]]
    assert [line["commission"]["value"] for line in lines if line["billNo"] == "SA-1-000000001"] == [1, -0.1]


@pytest.mark.parametrize(
    "message",
    [
        messages.account("SettlementAccount", "SA-1", settlementTerms={**AGENT, "series": "FN-"}),
        messages.agreement("A-1", "SA-1", "2026-12-01", None, **AGENT),
        messages.agreement("A-1", "SA-1", "2026-12-01", None, **AGENT, series="FN-", payoutThreshold=messages.eur(10)),
    ],
    ids=["account", "agreement", "with a series"],
)
def test_terms_that_are_taken_fit(message):
    """What the worker takes fits the document."""
    routing_key, body = message
    assert taken(message)
    assert SCHEMAS.problems(payload(f"command.{routing_key}"), body) == []


@pytest.mark.parametrize("name", ["share", "tiers", "guarantee", "advance"])
def test_what_terms_of_agents_have_none_of(name):
    """A share, tiers, a guarantee and an advance are a principal's: `invalid`."""
    said = {
        "share": "0.8",
        "tiers": {"mode": "graduated", "period": "month", "steps": [{"share": "0.5"}]},
        "guarantee": {"amount": messages.eur(10), "period": "month"},
        "advance": {"amount": messages.eur(10)},
    }
    routing_key, body = messages.agreement("A-1", "SA-1", "2026-12-01", None, **AGENT)
    assert not taken((routing_key, {**body, "terms": {**body["terms"], name: said[name]}}))
