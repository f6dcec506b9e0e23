"""What there is to do: each workload knows its messages, what has to be there before, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

from bench.broker import BenchError, Broker
from bench.orders import CURRENCY, ORDER, order_bodies
from bench.place import Contestant, Place, work_off

HOT_ACCOUNT = "BA-0000"
FACTS_PER_ARRAY = 500
"""As many as one message may carry."""
PAYMENT = "payment.received"
EVENTS_PER_PAYMENT = 2
"""`payment.allocated` and `invoice.paid`: each pays one invoice, in full."""


class Workload(Protocol):
    """Facts of one kind."""

    @property
    def name(self) -> str:
        """Its name in the results."""

    @property
    def routing_key(self) -> str:
        """That of its messages."""

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Make what so many facts need, beside the accounts; the worker does not run afterwards."""

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """The messages that carry so many facts; what they are about has been prepared."""

    def events(self, facts: int, contestant: Contestant) -> int:
        """How many events come of so many facts."""

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Look at what came of them, beside orders; returns each finding that ought not to be."""


class Orders:
    """Orders of four lines, a message each, over 200 accounts or on one; their numbers begin with `first`."""

    routing_key = ORDER

    def __init__(self, name: str = "orders", *, account: str | None = None, first: int = 0) -> None:
        self.name = name
        self._account = account
        self._first = first

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Nothing: accounts are all that they need."""

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """An order a message."""
        return order_bodies(facts, first=self._first, account=self._account)

    def events(self, facts: int, contestant: Contestant) -> int:
        """Contestants differ in what they publish for an order."""
        return facts * contestant.events_per_order

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Nothing beside what the contestants find."""
        return {}


class Arrays(Orders):
    """The same orders, 500 of them in each message."""

    def __init__(self) -> None:
        super().__init__("arrays")

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """The last message may carry fewer."""
        orders = super().bodies(facts, place)
        while chunk := list(islice(orders, FACTS_PER_ARRAY)):
            yield b"[" + b",".join(chunk) + b"]"


class Payments:
    """A payment for each invoice, of its whole amount and naming it, in the order of the invoices."""

    name = "payments"
    routing_key = PAYMENT

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """The contestant itself makes the invoices, of as many orders."""
        events = facts * contestant.events_per_order
        await work_off(contestant, place, broker, ORDER, order_bodies(facts), events)

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """A payment a message."""
        invoices = place.database["invoices"].find({}, {"billingAccount": 1, "taxIncludedAmount": 1}).sort("_id", 1)
        count = 0
        for invoice in invoices:
            cents = invoice["taxIncludedAmount"]
            payment = {
                "paymentId": f"P-{invoice['_id']}",
                "receivedAt": "2026-11-23T09:30:00Z",
                "billingAccount": {"id": invoice["billingAccount"]},
                "amount": {"unit": CURRENCY, "value": f"{cents // 100}.{cents % 100:02d}"},
                "method": "transfer",
                "invoices": [invoice["_id"]],
            }
            yield json.dumps(payment).encode()
            count += 1
        if count != facts:
            raise BenchError(f"{count} invoices are there to be paid, not {facts}")

    def events(self, facts: int, contestant: Contestant) -> int:
        """Two for each."""
        return facts * EVENTS_PER_PAYMENT

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Every invoice is paid."""
        unpaid = place.database["invoices"].count_documents({"state": {"$ne": "settled"}})
        return {"invoices not paid": unpaid} if unpaid else {}


ORDERS: Workload = Orders()
HOT: Workload = Orders("hot account", account=HOT_ACCOUNT)
ARRAYS: Workload = Arrays()
PAYMENTS: Workload = Payments()
