"""Facts and messages of the demo, and what must come of them, worked out without any of the worker's code."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from demo.dates import TRADE
from demo.wares import DIGITS, Partner, Provider

HOUR = 3600.0

APPLIED = "applied"
REPEATED = "repeated"
"""A fact that was sent before, with the same content: it may have no effect."""

RECOVERS = "payments of what was written off"
"""The note of those."""
PAID_IN_FULL = "payments that name their invoices, and cover them"
PARTIAL = "partial payments"


@dataclass(frozen=True)
class Made:
    """What a bill on demand has to make, in cents: the bill's total, if there is one, and those of its credit notes."""

    total: int | None
    notes: tuple[int, ...] = ()
    lines: tuple[tuple[str, str, int], ...] = ()
    """Of the lines for subscriptions: the subscription, the price, the net."""
    sold: tuple[tuple[str, int], ...] = ()
    """The partner and the net of each line sold on its behalf."""


@dataclass(frozen=True)
class Fact:
    """One fact of a message, and what must become of it: `applied`, `repeated`, or the code that parks it."""

    type: str
    outcome: str = APPLIED
    account: str = ""
    amount: int = 0
    """In minor units: the invoice's total, what was paid, paid out, credited, adjusted, or went back."""
    orders: tuple[str, ...] = ()
    """The order that it is, or the orders that a payment is for, or was."""
    sold: tuple[tuple[str, int], ...] = ()
    """Of an order: the partner and the net of each line sold on its behalf."""
    sellers: int = 0
    """Of an order with lines of several sellers: how many these are, each with an invoice of its own."""
    statement: str = ""
    note: str = ""
    id: str = ""
    """Of a payment of the bank's: its id."""
    currency: str = ""
    """Of a payment of the bank's: its currency."""
    to: str = ""
    """Of a transfer: the account that has the credit now."""
    day: date = TRADE
    """Of a bill on demand: the day on which it is made; of an order: that on which it was completed."""
    made: Made | None = None
    """Of a bill on demand: what it has to make."""


@dataclass(frozen=True)
class Message:
    """A message as it is published; more than one fact when its body is an array."""

    routing_key: str
    body: bytes
    message_id: str
    facts: tuple[Fact, ...]


BILLED = {
    "order.completed": 1,
    "credit-note.issue": -1,
    "dispute.settle": -1,
    "invoice.write-off": -1,
}
PAID = {"payment.received": 1, "credit.grant": 1, "refund.completed": -1, "payment.reversed": -1, "credit.transfer": -1}
"""What a fact's amount changes of what its account was billed, and of what it has paid."""


@dataclass
class Tally:
    """What must have come of the messages sent so far."""

    applied: Counter[str] = field(default_factory=Counter)
    parked: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    paid_out: Counter[str] = field(default_factory=Counter)
    adjusted: Counter[str] = field(default_factory=Counter)
    orders: dict[str, Fact] = field(default_factory=dict)
    bills: dict[tuple[str, date], Made] = field(default_factory=dict)
    """By account and day."""
    paid_in_full: set[str] = field(default_factory=set)

    def book(self, fact: Fact) -> None:
        """What a fact moves between us and its account, or to another one."""
        if fact.made is not None:
            self.billed[fact.account] += (fact.made.total or 0) - sum(fact.made.notes)
            self.bills[fact.account, fact.day] = fact.made
        if fact.type in BILLED:
            self.billed[fact.account] += BILLED[fact.type] * fact.amount
        if fact.type in PAID:
            self.paid[fact.account] += PAID[fact.type] * fact.amount
        if fact.to:
            self.paid[fact.to] += fact.amount

    @property
    def effects(self) -> int:
        """How many facts leave a trace: those that are applied and those that are parked."""
        return self.applied.total() + self.parked.total()


def tally(messages: Iterable[Message]) -> Tally:
    """What must come of messages that are published in this order."""
    result = Tally()
    accounts: set[str] = set()
    for fact in (fact for message in messages for fact in message.facts):
        if fact.outcome == REPEATED:
            result.notes["sent again"] += 1
            continue
        if fact.outcome != APPLIED:
            result.parked[fact.outcome] += 1
            continue
        result.applied[fact.type] += 1
        result.book(fact)
        if fact.note:
            result.notes[fact.note] += 1
        if fact.type == "account.create":
            accounts.add(fact.account)
        elif fact.type == "order.completed":
            result.notes["orders before their account"] += not accounts.issuperset({fact.account, *dict(fact.sold)})
            result.orders[fact.orders[0]] = fact
        elif fact.type == "payment.received":
            early = fact.orders and result.orders.keys().isdisjoint(fact.orders)
            result.notes["payments before their invoice"] += bool(early)
            # What was given up is owed again, as far as it is paid.
            result.billed[fact.account] += fact.amount if fact.note == RECOVERS else 0
            if fact.note == PAID_IN_FULL:
                result.paid_in_full.update(fact.orders)
        elif fact.type == "payment.reversed":
            result.paid_in_full.difference_update(fact.orders)
        else:
            _tally_partner(result, fact)
    return result


def _tally_partner(result: Tally, fact: Fact) -> None:
    if fact.type == "payout.completed":
        result.paid_out[fact.statement] += fact.amount
    elif fact.type == "payout.returned":
        result.paid_out[fact.statement] -= fact.amount
    elif fact.type == "settlement.adjust":
        result.adjusted[fact.account] += fact.amount


def rounded(value: Decimal) -> int:
    """The nearest whole number, halves away from zero."""
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True)
class Line:
    """A line of an order, before it is JSON."""

    description: str
    quantity: Decimal
    price: Decimal
    category: str
    rate: str
    partner: Partner | Provider | None = None

    def net(self, currency: str) -> int:
        """Quantity × price in minor units."""
        return rounded((self.quantity * self.price).scaleb(DIGITS[currency]))


def total(lines: Sequence[Line], currency: str) -> int:
    """What the invoice is to come to: the nets, and the tax of each category and rate on their sum."""
    nets: Counter[tuple[str, str]] = Counter()
    for line in lines:
        nets[line.category, line.rate] += line.net(currency)
    return sum(net + rounded(net * Decimal(rate)) for (_, rate), net in nets.items())


def by_seller(lines: Iterable[Line]) -> dict[Provider | None, list[Line]]:
    """Lines by whose invoice they stand in: ours first, then providers' in the order of their first lines."""
    found: dict[Provider | None, list[Line]] = {}
    for line in lines:
        found.setdefault(line.partner if isinstance(line.partner, Provider) else None, []).append(line)
    return dict(sorted(found.items(), key=lambda one: one[0] is not None))


def total_of_all(lines: Iterable[Line], currency: str) -> int:
    """What the invoices of all sellers are to come to: each has its own tax."""
    return sum(total(of_one, currency) for of_one in by_seller(lines).values())


def sold(lines: Sequence[Line], currency: str) -> tuple[tuple[str, int], ...]:
    """The partner and the net of each line sold on its behalf."""
    return tuple((line.partner.id, line.net(currency)) for line in lines if line.partner is not None)


def money(amount: int, currency: str, *, text: bool = True) -> dict[str, Any]:
    """TMF's money; the value as a text or as a JSON number."""
    value = Decimal(amount).scaleb(-DIGITS[currency])
    return {"unit": currency, "value": str(value) if text else float(value)}


def minor(amount: dict[str, Any]) -> int:
    """An amount of an event in minor units."""
    return int(Decimal(amount["value"]).scaleb(DIGITS[amount["unit"]]))


def moment(second: float, on: date = TRADE, *, hours_east: int = 0) -> str:
    """A time of a day as RFC 3339, as it is written in a zone east of Greenwich."""
    at = datetime.combine(on, time(), UTC) + timedelta(seconds=int(second))
    return at.astimezone(timezone(timedelta(hours=hours_east))).isoformat()


def message(type_: str, content: object, message_id: str, fact: Fact) -> Message:
    """A message of one fact."""
    return Message(type_, json.dumps(content).encode(), message_id, (fact,))
