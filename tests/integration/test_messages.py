"""Each message's way in and out: what is published, with which properties, and what its sender is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.settings import Settings
from tests.support.books import Books, assert_all_published, assert_clean, held, ledger, position
from tests.support.broker import Broker
from tests.support.client import Client, Event
from tests.support.messages import closing, customer, eur, item, order, partner, payment, payout
from tests.support.waiting import wait_for
from tests.support.workers import working

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])


def clock() -> datetime:
    """A time that stands still."""
    return datetime(2026, 11, 22, 10, 30, 0, 123456, tzinfo=UTC)


NOW = "2026-11-22T10:30:00.123Z"
FILMS = order("O-1001", "BA-1", item(1, "39.90"), item(2, 3.99, quantity=2, sold_for="SA-1"))
BILLING = {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"}
SETTLEMENT = {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"}
BILL = {"@type": "CustomerBillRef", "id": "INV-000000001"}
# Net 39.90 + 7.98 = 47.88; 20 % of that is 9.576, so 9.58; of which 7.98 and 1.596, so 1.60, belong to the lines.
INVOICE = {
    "@type": "CustomerBill",
    "id": "INV-000000001",
    "billNo": "INV-000000001",
    "paymentReference": "RF21INV000000001",
    "orderId": "O-1001",
    "billDate": "2026-11-22",
    "paymentDueDate": "2026-12-22",
    "taxPointDate": "2026-11-22",
    "state": "new",
    "billingAccount": BILLING,
    "sellerVersion": None,
    "buyerVersion": 1,
    "taxExcludedAmount": eur(47.88),
    "taxIncludedAmount": eur(57.46),
    "taxItem": [
        {
            "@type": "TaxItem",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxExcludedAmount": eur(47.88),
            "taxAmount": eur(9.58),
        }
    ],
    "amountDue": eur(57.46),
    "remainingAmount": eur(57.46),
    "appliedPayment": [],
    "lines": [
        {
            "@type": "AppliedCustomerBillingRate",
            "id": "1",
            "description": "Line 1",
            "isBilled": True,
            "bill": BILL,
            "billingAccount": BILLING,
            "quantity": 1,
            "unitPrice": 39.9,
            "taxExcludedAmount": eur(39.9),
            "taxIncludedAmount": eur(47.88),
            "appliedTax": [
                {"@type": "AppliedBillingTaxRate", "taxCategory": "S", "taxRate": 0.2, "taxAmount": eur(7.98)}
            ],
        },
        {
            "@type": "AppliedCustomerBillingRate",
            "id": "2",
            "description": "Line 2",
            "isBilled": True,
            "bill": BILL,
            "billingAccount": BILLING,
            "quantity": 2,
            "unitPrice": 3.99,
            "taxExcludedAmount": eur(7.98),
            "taxIncludedAmount": eur(9.58),
            "appliedTax": [
                {"@type": "AppliedBillingTaxRate", "taxCategory": "S", "taxRate": 0.2, "taxAmount": eur(1.6)}
            ],
            "onBehalfOf": SETTLEMENT,
        },
    ],
}
# 80 % of 7.98 is 6.384.
ACCRUED = {"orderId": "O-1001", "billNo": "INV-000000001", "lineId": "2", "amount": eur(6.38)}
STATEMENT = {
    "@type": "Settlement",
    "id": "C-1",
    "settlementAccount": SETTLEMENT,
    "periodEnd": "2026-11-30",
    "lines": [{"kind": "accrual", "lineType": "accrual", "date": "2026-11-22", **ACCRUED}],
    "total": eur(6.38),
    "broughtForward": eur(0.0),
    "paidAmount": eur(0.0),
    "netted": eur(0.0),
    "taxWithheld": eur(0.0),
    "transferred": eur(0.0),
    "state": "open",
}


def assert_event(event: Event, account: str, sequence: int, cause: str, correlation_id: str, content: Any) -> None:
    """An event is to the letter what the contract says of its body, its properties and its headers."""
    assert event.content == {
        "eventId": f"{account}:{sequence}",
        "eventType": event.type,
        "eventTime": NOW,
        "correlationId": correlation_id,
        "event": content,
    }
    message = event.message
    assert message.message_id == f"{account}:{sequence}"
    assert message.type == message.routing_key == event.type
    assert message.timestamp == datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    assert message.correlation_id == correlation_id
    assert message.app_id == "paymaster"
    assert message.content_type == "application/json"
    assert message.delivery_mode == 2
    assert message.headers == {
        "causation-id": cause,
        "account-id": account,
        "account-sequence": sequence,
        "schema-version": 1,
    }


async def test_a_new_account_is_told_as_it_was_sent(settings: Settings, client: Client, database: Books) -> None:
    """`account.create` opens an account with all that its document says, and `account.created` tells it whole."""
    async with working(settings, clock=clock):
        answer = await client.ask(customer("BA-1", description="New", creditLimit=eur(100)), correlation_id="one")
        await client.ask(partner("SA-1", accrue_on="payment"), correlation_id="two")
        party = {"@type": "RelatedPartyRefOrPartyRoleRef", "role": "customer"}
        account = {
            "@type": "BillingAccount",
            "id": "BA-1",
            "name": "Customer BA-1",
            "description": "New",
            "creditLimit": eur(100),
            "relatedParty": [{**party, "partyOrPartyRole": {"@type": "PartyRef", "id": "C-1", "name": "Ada"}}],
            "state": "active",
            "lastUpdate": NOW,
            "currency": "EUR",
            "paymentTermDays": 30,
            "accountBalance": [
                {"@type": "AccountBalance", "balanceType": balance, "amount": eur(0.0)}
                for balance in ("receivable", "unapplied", "refundable", "recoverable", "overdue")
            ],
            "paymentStatus": "paid",
        }
        assert answer == {"outcome": "applied", "result": {"id": "BA-1", "revision": 1, "account": account}}
        created = await client.event("BA-1:1")
        assert created.content.pop("@type") == "BillingAccountCreateEvent"
        assert created.type == "account.created"
        assert_event(created, "BA-1", 1, "account.create:BA-1", "one", {"account": account, "revision": 1})
        created = await client.event("SA-1:1")
        assert created.event["account"]["settlementTerms"] == {"partnerShare": 0.8, "accrueOn": "payment"}
    assert position(database, "BA-1") == {}
    await assert_clean(client, database)


async def test_an_order_becomes_an_invoice_and_an_accrual(settings: Settings, client: Client, database: Books) -> None:
    """`order.completed` issues an invoice, tells the partner what it earned, and books both."""
    async with working(settings, clock=clock):
        await client.send(customer("BA-1"))
        await client.send(partner("SA-1"))
        answer = await client.ask(FILMS, correlation_id="order")
        assert answer == {"outcome": "applied", "result": {"billNo": "INV-000000001", "billNos": ["INV-000000001"]}}
        cause = "order.completed:O-1001"
        issued = await client.event("BA-1:2")
        assert issued.type == "invoice.issued"
        assert_event(issued, "BA-1", 2, cause, "order", {"invoice": INVOICE, "orderId": "O-1001"})
        accrued = await client.event("SA-1:2")
        assert accrued.type == "settlement.accrued"
        content = {"settlementAccount": SETTLEMENT, "amount": eur(6.38), "cause": cause, "lines": [ACCRUED]}
        assert_event(accrued, "SA-1", 2, cause, "order", content)
    assert position(database, "BA-1") == {"receivable": 5746}
    assert position(database, "SA-1") == {"payable": 638}
    assert ledger(database) == {
        "receivable:BA-1": 5746,
        "revenue": -3990,
        "payable:SA-1": -638,
        "commission": -160,
        "tax": -958,
    }
    await assert_clean(client, database)


async def test_payments_pay_an_invoice_and_leave_credit(settings: Settings, client: Client, database: Books) -> None:
    """`payment.received` covers invoices, says what it could not cover, and leaves the rest as credit."""
    async with working(settings, clock=clock):
        await client.send(customer("BA-1"))
        await client.send(partner("SA-1"))
        await client.send(FILMS)
        answer = await client.ask(payment("P-1", "BA-1", "50.00", method="card"), correlation_id="one")
        assert answer == {"outcome": "applied", "result": {"billNos": ["INV-000000001"]}}
        invoices = ["INV-000000001", "INV-999"]
        answer = await client.ask(payment("P-2", "BA-1", 20, invoices=invoices), correlation_id="two")
        assert answer == {"outcome": "applied", "result": {"billNos": ["INV-000000001"]}}

        paid = {"@type": "Payment", "paymentId": "P-1", "receivedAt": "2026-11-23T08:00:00.000Z"}
        content: dict[str, Any] = {
            "payment": {**paid, "billingAccount": BILLING, "amount": eur(50.0), "method": "card"},
            "allocations": [{"billNo": "INV-000000001", "amount": eur(50.0)}],
            "notAllocated": [],
            "unapplied": eur(0.0),
        }
        allocated = await client.event("BA-1:3")
        assert allocated.type == "payment.allocated"
        assert_event(allocated, "BA-1", 3, "payment.received:P-1", "one", content)
        first = {"@type": "AppliedPayment", "appliedAmount": eur(50.0), "payment": {"@type": "PaymentRef", "id": "P-1"}}
        partly = {**INVOICE, "state": "partiallyPaid", "remainingAmount": eur(7.46), "appliedPayment": [first]}
        event = await client.event("BA-1:4")
        assert event.type == "invoice.partially-paid"
        assert_event(event, "BA-1", 4, "payment.received:P-1", "one", {"invoice": partly, "orderId": "O-1001"})

        content = {
            "payment": {
                **paid,
                "paymentId": "P-2",
                "billingAccount": BILLING,
                "amount": eur(20.0),
                "invoices": invoices,
            },
            "allocations": [{"billNo": "INV-000000001", "amount": eur(7.46)}],
            "notAllocated": ["INV-999"],
            "unapplied": eur(12.54),
        }
        assert_event(await client.event("BA-1:5"), "BA-1", 5, "payment.received:P-2", "two", content)
        second = {
            "@type": "AppliedPayment",
            "appliedAmount": eur(7.46),
            "payment": {"@type": "PaymentRef", "id": "P-2"},
        }
        settled = {**INVOICE, "state": "settled", "remainingAmount": eur(0.0), "appliedPayment": [first, second]}
        event = await client.event("BA-1:6")
        assert event.type == "invoice.paid"
        assert_event(event, "BA-1", 6, "payment.received:P-2", "two", {"invoice": settled, "orderId": "O-1001"})
    assert position(database, "BA-1") == {"unapplied": 1254}
    assert ledger(database)["cash"] == 7000
    await assert_clean(client, database)


async def test_credit_pays_the_next_invoice_and_releases_what_was_withheld(
    settings: Settings, client: Client, database: Books
) -> None:
    """An order consumes credit at once: issued as it was, then allocated, paid, and the partner's share released."""
    async with working(settings, clock=clock):
        await client.send(customer("BA-1"))
        await client.send(partner("SA-1", accrue_on="payment"))
        await client.send(payment("P-1", "BA-1", "100.00"))
        await client.ask(FILMS, correlation_id="order")
        types = [(await client.event(f"BA-1:{n}")).type for n in (1, 2, 3, 4, 5)]
        assert types == ["account.created", "payment.allocated", "invoice.issued", "payment.allocated", "invoice.paid"]
        issued = {"invoice": INVOICE, "orderId": "O-1001"}
        assert_event(await client.event("BA-1:3"), "BA-1", 3, "order.completed:O-1001", "order", issued)
        allocated = (await client.event("BA-1:4")).event
        assert allocated["allocations"] == [{"billNo": "INV-000000001", "amount": eur(57.46)}]
        assert allocated["unapplied"] == eur(42.54)
        assert (await client.event("SA-1:2")).event["lines"] == [ACCRUED]
    assert position(database, "BA-1") == {"unapplied": 4254}
    assert position(database, "SA-1") == {"payable": 638}
    # An accrual that a payment released has the date of the payment.
    assert [row["date"] for row in database["accruals"].find()] == ["2026-11-23"]
    await assert_clean(client, database)


async def test_a_statement_is_closed_and_paid(settings: Settings, client: Client, database: Books) -> None:
    """`settlement.close` states what a partner has earned, and `payout.completed` pays it, part by part."""
    async with working(settings, clock=clock):
        for message in (customer("BA-1"), partner("SA-1"), FILMS):
            await client.send(message)
        answer = await client.ask(closing("C-1", "SA-1"), correlation_id="close")
        assert answer == {"outcome": "applied", "result": {"settlementIds": ["C-1"]}}
        closed = await client.event("SA-1:3")
        assert closed.type == "settlement.closed"
        assert_event(closed, "SA-1", 3, "settlement.close:C-1", "close", {"settlement": STATEMENT})

        answer = await client.ask(payout("PO-1", "SA-1", "C-1", 1), correlation_id="payout")
        assert answer == {"outcome": "applied", "result": {"settlementId": "C-1", "state": "partiallyPaid"}}
        assert (await client.event("SA-1:4")).type == "payout.requested"
        paid = await client.event("SA-1:5")
        assert paid.type == "settlement.paid"
        statement = {**STATEMENT, "paidAmount": eur(1.0), "transferred": eur(1.0), "state": "partiallyPaid"}
        assert_event(paid, "SA-1", 5, "payout.completed:PO-1", "payout", {"settlement": statement})

        answer = await client.ask(payout("PO-2", "SA-1", "C-1", "5.38"))
        assert answer["result"]["state"] == "paid"
        statement = {**STATEMENT, "paidAmount": eur(6.38), "transferred": eur(6.38), "state": "paid"}
        assert (await client.event("SA-1:6")).event == {"settlement": statement}
        answer = await client.ask(payout("PO-3", "SA-1", "C-1", "0.01"))
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "overpaid-payout")
    assert position(database, "SA-1") == {}
    await assert_clean(client, database)


async def test_the_correlation_id_goes_from_the_message_to_all_that_it_causes(
    settings: Settings, client: Client, broker: Broker, database: Books
) -> None:
    """It is copied; where a message has none its message id stands in, and where it has neither its identity does."""
    async with working(settings):
        await client.send(customer("BA-1"), message_id="m-1", correlation_id="c-1")
        await client.send(customer("BA-2"), message_id="m-2")
        await client.send(("order.completed", b"{"), message_id="m-3")
        assert (await client.event("BA-1:1")).content["correlationId"] == "c-1"
        assert (await client.event("BA-2:1")).content["correlationId"] == "m-2"
        assert (await client.event("BA-2:1")).message.correlation_id == "m-2"
        routing_key, account = customer("BA-3")
        await broker.publish(routing_key, json.dumps(account).encode(), {})
        [parked] = (await wait_for(lambda: held(database, "parked"))).values()
        assert (await client.event(f"{parked['parkedId']}:1")).content["correlationId"] == "m-3"
        # Without either there is still one that is the same for all that the message causes.
        event = await client.event("BA-3:1")
        assert event.content["correlationId"] == event.message.correlation_id == "account.create:BA-3"
    await assert_clean(client, database)


@ONE_DRIVER
async def test_who_sent_a_message_and_when_is_recorded_with_its_effect(
    settings: Settings, client: Client, database: Books
) -> None:
    """`message_id`, `correlation_id`, `user_id`, `app_id` and `timestamp` stand in the inbox."""
    sent_at = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    properties: dict[str, Any] = {"user_id": "guest", "app_id": "shop", "timestamp": sent_at}
    async with working(settings, clock=clock):
        answer = await client.ask(customer("BA-1"), message_id="m-1", correlation_id="c-1", **properties)
    [row] = database["inbox"].find()
    row.pop("digest")
    assert row == {
        "_id": "account.create:BA-1",
        "digestVersion": 1,
        "messageId": "m-1",
        "correlationId": "c-1",
        "userId": "guest",
        "appId": "shop",
        "sentAt": sent_at,
        "appliedAt": datetime(2026, 11, 22, 10, 30, 0, 123000, tzinfo=UTC),
        "attempts": 1,
        "result": answer["result"],
    }
    await assert_clean(client, database)


async def test_a_reply_tells_the_outcome(settings: Settings, client: Client, database: Books) -> None:
    """Applied, duplicate, parked, and for what waits the final outcome: to `reply_to`, with the correlation id."""
    async with working(settings):
        waiting = await client.send_asking(order("O-1", "BA-1"), correlation_id="waiting")
        applied = await client.ask(customer("BA-1"), correlation_id="applied")
        assert applied["outcome"] == "applied"
        assert (applied["result"]["id"], applied["result"]["revision"]) == ("BA-1", 1)
        assert await client.answer(waiting) == {
            "outcome": "applied",
            "result": {"billNo": "INV-000000001", "billNos": ["INV-000000001"]},
        }
        assert await client.ask(customer("BA-1"), correlation_id="duplicate") == {
            "outcome": "duplicate",
            "result": applied["result"],
        }
        assert await client.ask(order("O-2", "BA-1", currency="USD"), correlation_id="refused") == {
            "outcome": "parked",
            "error": {
                "code": "currency-mismatch",
                "detail": "billingAccount.id: BA-1 is kept in EUR, not in USD",
            },
        }
        answer = await client.ask(("foo.bar", {}), message_id="m-1", correlation_id="unknown")
        assert answer == {"outcome": "parked", "error": {"code": "unknown-type", "detail": "nothing handles 'foo.bar'"}}
    # Each asked once and was told once.
    assert len(client.answers) == len({to for to, _ in client.answers}) == 5
    await assert_clean(client, database)


@ONE_DRIVER
async def test_no_reply_goes_to_a_queue_of_ours(settings: Settings, client: Client, database: Books) -> None:
    """A `reply_to` that begins with `paymaster.` is refused, the message is applied all the same."""
    await client.channel.declare_queue("paymaster.spy", exclusive=True)
    async with working(settings):
        for number, queue in enumerate(("paymaster.work", "paymaster.spy", "paymaster.dead")):
            await client.send(customer(f"BA-{number}"), reply_to=queue)
        await client.send(customer("BA-gone"), reply_to="a-queue-that-is-gone")
        await client.ask(customer("BA-last"))
    assert await client.left_in("paymaster.spy") == 0
    assert database["inbox"].count_documents({}) == 5
    assert held(database) == {}
    await assert_clean(client, database)


async def test_an_array_brings_many_facts_and_each_stands_alone(
    settings: Settings, client: Client, database: Books
) -> None:
    """Of 500 facts in one body 499 are applied, and the bad one is parked with its own bytes and message id."""
    orders: list[Any] = [order(f"O-{n}", "BA-1")[1] for n in range(1, 501)]
    orders[249]["items"][0]["quantity"] = "many"
    async with working(settings):
        await client.send(customer("BA-1"))
        await client.send(("order.completed", orders), message_id="m-1", correlation_id="c-1")
        await client.event("BA-1:500")
    assert database["inbox"].count_documents({"correlationId": "c-1"}) == 499
    [parked] = held(database).values()
    assert (parked["state"], parked["reason"], parked["messageId"]) == ("parked", "invalid", "m-1:250")
    assert b'"O-250"' in parked["body"]
    assert b'"O-249"' not in parked["body"]
    await assert_all_published(client, database)
    [event] = client.seen("message.parked")
    assert event.event["messageId"] == "m-1:250"
    assert position(database, "BA-1") == {"receivable": 499 * 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_facts_of_an_array_that_need_a_message_id_get_one_each(
    settings: Settings, client: Client, database: Books
) -> None:
    """Accounts without an id in one array are keyed `<message_id>:<n>`, so that a second delivery makes no others."""
    accounts = [{key: value for key, value in customer("x")[1].items() if key != "id"} for _ in range(3)]
    async with working(settings):
        for _ in range(2):
            await client.ask(("account.create", accounts), message_id="m-1")
    identities = sorted(row["_id"] for row in database["inbox"].find())
    assert identities == ["account.create:m-1:1", "account.create:m-1:2", "account.create:m-1:3"]
    assert database["accounts"].count_documents({}) == 3
    assert held(database) == {}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_parked_message_is_told_without_an_account(settings: Settings, client: Client, database: Books) -> None:
    """`message.parked` names the row, the type, the message and the reason; its id is `<parkedId>:<attempt>`."""
    async with working(settings):
        await client.ask(("foo.bar", {"a": 1}), message_id="m-1", correlation_id="c-1")
        [row] = held(database, "parked").values()
        event = await client.event(f"{row['parkedId']}:1")
    assert event.type == "message.parked"
    assert event.event == {
        "parkedId": row["parkedId"],
        "messageType": "foo.bar",
        "messageId": "m-1",
        "account": None,
        "businessKey": None,
        "reason": "unknown-type",
        "detail": "nothing handles 'foo.bar'",
    }
    assert event.message.correlation_id == "c-1"
    assert event.message.headers == {"causation-id": row["_id"], "schema-version": 1}
    assert (row["routingKey"], row["body"], row["attempts"]) == ("foo.bar", b'{"a": 1}', 1)
    await assert_clean(client, database)


@ONE_DRIVER
@pytest.mark.parametrize("single_active_consumer", [True, False])
async def test_the_topology_is_the_contracts(
    settings: Settings, broker: Broker, *, single_active_consumer: bool
) -> None:
    """Every exchange, queue and binding has the kind and the arguments that the contract says, and no others."""
    async with working(settings, single_active_consumer=single_active_consumer):
        pass
    exchanges = {
        exchange["name"]: (exchange["type"], exchange["durable"])
        for exchange in broker.call("GET", "exchanges/{vhost}")
        if exchange["name"].startswith("paymaster.")
    }
    assert exchanges == {
        "paymaster.in": ("topic", True),
        "paymaster.dead": ("fanout", True),
        "paymaster.out": ("topic", True),
        "paymaster.ask": ("topic", True),
    }
    queues = {queue["name"]: queue for queue in broker.call("GET", "queues/{vhost}")}
    work = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "paymaster.dead",
        "x-dead-letter-strategy": "at-least-once",
    }
    if single_active_consumer:
        work["x-single-active-consumer"] = True
    assert queues["paymaster.work"]["arguments"] == work
    assert queues["paymaster.dead"]["arguments"] == {"x-queue-type": "quorum"}
    assert all(queue["durable"] for queue in queues.values())
    bindings = {
        (binding["source"], binding["destination"], binding["routing_key"])
        for binding in broker.call("GET", "bindings/{vhost}")
        if binding["source"]
    }
    assert ("paymaster.in", "paymaster.work", "#") in bindings
    assert ("paymaster.ask", "paymaster.queries", "#") in bindings
    assert {(source, to) for source, to, _ in bindings} == {
        ("paymaster.in", "paymaster.work"),
        ("paymaster.dead", "paymaster.dead"),
        ("paymaster.ask", "paymaster.queries"),
    }


@ONE_DRIVER
async def test_an_event_that_no_queue_is_bound_for_counts_as_sent(settings: Settings, database: Books) -> None:
    """Without a subscriber events are marked as sent, and nothing is tried for ever."""
    from tests.support.books import applied

    async with working(settings), Client.connected(settings.rabbitmq_url) as client:
        await client.send(customer("BA-1"))
        await applied(database, 1)
