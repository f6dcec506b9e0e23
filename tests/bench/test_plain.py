"""The plain worker that the benchmark measures against comes to the same figures and events as Paymaster."""

import json
from datetime import UTC, datetime

import pytest

from bench.orders import EVENTS_PER_ORDER, LINES, ORDER, account_messages, order_bodies, order_id
from bench.plain.events import events_of
from bench.plain.order import Order, accruals_of, entry_of, invoice_of
from domain.facts import apply, working_set
from domain.ledger.books import Books, DocumentNeed, NotLoaded
from schemas.events import outgoing
from schemas.incoming import read

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDERS = 200


def book(books, routing_key, body):
    """Apply a message to books in memory; returns the bodies of its events."""
    [incoming] = read(routing_key, body, "m", {}, None)
    assert incoming.refusal is None
    while True:
        attempt = Books(books, incoming.identity)
        try:
            apply(incoming.fact, attempt)
        except NotLoaded as missing:
            [need] = missing.needs
            if isinstance(need, DocumentNeed):
                books.load(need.type, need.id, None)
            else:
                books.load_queue(need, [])
        else:
            books.accept(attempt)
            return [json.loads(outgoing(event, "c", NOW).body) for event in attempt.emitted]


@pytest.fixture(scope="module")
def pairs():
    """For each order what Paymaster's events say, and the plain worker's order, invoice and events."""
    books = working_set(booked_at=NOW, zone=UTC, series="INV-", credit_notes="CN-")
    accounts = {}
    for account in account_messages():
        book(books, "account.create", json.dumps(account).encode())
        share = account.get("settlementTerms", {}).get("partnerShare")
        accounts[account["id"]] = {"version": 1, "paymentTermDays": 30, "partnerShare": share}
    result = []
    for number, body in enumerate(order_bodies(ORDERS), 1):
        ours = book(books, ORDER, body)
        order = Order.model_validate_json(body)
        invoice = invoice_of(order, f"INV-{number:09d}", accounts, NOW)
        theirs = [json.loads(event.body) for event in events_of(invoice, order.identity, "c")]
        result.append((ours, order, invoice, theirs))
    return result


def test_the_workload_is_what_it_says(pairs):
    for number, (ours, order, _, _) in enumerate(pairs):
        assert order.order_id == order_id(number)
        assert len(order.items) == LINES
        assert sum(item.on_behalf_of is not None for item in order.items) in (1, 2)
        assert [event["eventType"] for event in ours] == ["invoice.issued", "settlement.accrued"]
        assert len(ours) == EVENTS_PER_ORDER


def test_the_same_orders_come_to_the_same_money(pairs):
    for ours, order, invoice, _ in pairs:
        issued, accrued = (event["event"] for event in ours)
        assert round(issued["invoice"]["taxIncludedAmount"]["value"] * 100) == invoice["taxIncludedAmount"]
        assert round(accrued["amount"]["value"] * 100) == sum(row["amount"] for row in accruals_of(invoice))
        assert sum(posting["amount"] for posting in entry_of(order, invoice)["postings"]) == 0


def shape(value):
    """A JSON value without what it says."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return float if isinstance(value, int | float) else type(value)


def test_the_events_have_the_same_fields(pairs):
    for ours, _, _, theirs in pairs:
        assert shape(ours) == shape(theirs)
