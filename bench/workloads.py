"""What there is to do: each workload knows its messages, what has to be there before, and what comes of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from typing import Protocol

from bench.broker import BenchError, Broker, Letter
from bench.orders import BILLING_ACCOUNTS, CURRENCY, LINES, ORDER, Json, order_bodies, orders
from bench.place import Contestant, Place, work_off

HOT_ACCOUNT = "BA-0000"
FACTS_PER_ARRAY = 500
"""As many as one message may carry."""
PAYMENT = "payment.received"
LATER = "2026-11-24T09:30:00Z"
BILL_LINES = 3
FIRST_DAY = date(2026, 1, 1)
EVENTS_PER_PAYMENT = 2
"""`payment.allocated` and `invoice.paid`: each pays one invoice, in full."""
EVENTS_PER_CORRECTION = (3, 1, 2)
"""Of a note (it, the invoice, what the partner loses), of a refund, and of a reversal (it, and the invoice)."""


class Workload(Protocol):
    """Facts of one kind."""

    @property
    def name(self) -> str:
        """Its name in the results."""

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Make what so many facts need, beside the accounts; the worker does not run afterwards."""

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """The messages that carry so many facts; what they are about has been prepared."""

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """The same with their routing keys."""

    def orders(self, facts: int) -> int:
        """How many orders there are by then, those included that were prepared."""

    def events(self, facts: int, contestant: Contestant) -> int:
        """How many events come of so many facts."""

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Look at what came of them, beside orders; returns each finding that ought not to be."""


class Orders:
    """Orders of four lines or fewer, a message each, over 200 accounts or each on the `account` of its number.

    Their numbers begin with `first`.
    """

    def __init__(
        self,
        name: str = "orders",
        *,
        account: Callable[[int], str] | None = None,
        first: int = 0,
        lines: int = LINES,
    ) -> None:
        self.name = name
        self._account = account
        self._first = first
        self._lines = lines

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Nothing: accounts are all that they need."""

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """An order a message."""
        return order_bodies(facts, first=self._first, account=self._account, lines=self._lines)

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """All of one type."""
        return ((ORDER, body) for body in self.bodies(facts, place))

    def orders(self, facts: int) -> int:
        """They are that."""
        return facts

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

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """All of one type."""
        return ((PAYMENT, body) for body in self.bodies(facts, place))

    def orders(self, facts: int) -> int:
        """Each pays one."""
        return facts

    def events(self, facts: int, contestant: Contestant) -> int:
        """Two for each."""
        return facts * EVENTS_PER_PAYMENT

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Every invoice is paid."""
        unpaid = place.database["invoices"].count_documents({"state": {"$ne": "settled"}})
        return {"invoices not paid": unpaid} if unpaid else {}


class Corrections:
    """In turn: a note of all of a paid invoice, the refund of what it reserved, the reversal of another's payment."""

    name = "corrections"

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Two paid invoices for each three facts."""
        invoices = self.orders(facts)
        await PAYMENTS.prepare(invoices, contestant, place, broker)
        paid = PAYMENTS.bodies(invoices, place)
        await work_off(contestant, place, broker, PAYMENT, paid, invoices * EVENTS_PER_PAYMENT)

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """A fact a message."""
        return (body for _, body in self.letters(facts, place))

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """Of three types, in turn."""
        return islice(_corrections(place), facts)

    def orders(self, facts: int) -> int:
        """Two for each three."""
        return -(-facts // 3) * 2

    def events(self, facts: int, contestant: Contestant) -> int:
        """Those of so many facts, which come in turn."""
        turns, rest = divmod(facts, len(EVENTS_PER_CORRECTION))
        return turns * sum(EVENTS_PER_CORRECTION) + sum(EVENTS_PER_CORRECTION[:rest])

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Nobody owes anything for what came back."""
        owing = place.database["positions"].count_documents({"recoverable": {"$ne": 0}})
        return {"accounts that owe what they got": owing} if owing else {}


def _corrections(place: Place) -> Iterator[Letter]:
    invoices = place.database["invoices"].find({}, {"billingAccount": 1, "taxIncludedAmount": 1}).sort("_id", 1)
    for credited, covered in zip(invoices, invoices, strict=False):
        number, cents = credited["_id"], credited["taxIncludedAmount"]
        note = {"creditNoteId": f"N-{number}", "billNo": number, "issuedAt": LATER, "reason": "returned"}
        yield "credit-note.issue", json.dumps({**note, "excess": "refund"}).encode()
        refund = {
            "refundId": f"R-{number}",
            "billingAccount": {"id": credited["billingAccount"]},
            "amount": {"unit": CURRENCY, "value": f"{cents // 100}.{cents % 100:02d}"},
            "refundedAt": LATER,
            "creditNoteId": f"N-{number}",
        }
        yield "refund.completed", json.dumps(refund).encode()
        payment = f"P-{covered['_id']}"
        reversal = {"reversalId": f"X-{payment}", "paymentId": payment, "reversedAt": LATER, "reason": "AM04"}
        yield "payment.reversed", json.dumps(reversal).encode()


class Bills:
    """Bills on demand, each of what is an order of three lines otherwise; the charges are there by then.

    Those of an account's first demand are dated on its first day, and so on, so that each demand bills three.
    """

    name = "bills"

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """Three charges for each."""
        charges = (json.dumps(charge).encode() for one in _by_day(facts) for charge in _charges(*one))
        await work_off(contestant, place, broker, "charge.add", charges, facts * BILL_LINES)

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """A demand a message."""
        for day, order in _by_day(facts):
            demand = {"id": order["orderId"], "billingAccount": order["billingAccount"], "billingDate": day}
            yield json.dumps(demand).encode()

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """All of one type."""
        return (("bill.demand", body) for body in self.bodies(facts, place))

    def orders(self, facts: int) -> int:
        """Each is an invoice, as an order is."""
        return facts

    def events(self, facts: int, contestant: Contestant) -> int:
        """What an order has, and that the demand is done."""
        return facts * (contestant.events_per_order + 1)

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Every bill has three lines."""
        others = place.database["invoices"].count_documents({"lines": {"$not": {"$size": BILL_LINES}}})
        return {"bills of more lines, or fewer": others} if others else {}


class Recurring(Bills):
    """Bills on demand of subscriptions: of three prices a day, one of them a partner's, as the orders' lines are."""

    name = "bills of subscriptions"

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """A subscription on each account."""
        subscriptions = _subscriptions(FIRST_DAY.isoformat(), _prices(), _accounts_of_orders())
        made = (json.dumps(subscription).encode() for subscription in subscriptions)
        await work_off(contestant, place, broker, "subscription.create", made, BILLING_ACCOUNTS)


class SpreadOrders(Orders):
    """Orders, each on an account of a run: as many accounts are read and written as a run has."""

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """The accounts."""
        await _accounts_of_cycle(facts, contestant, place, broker)


class Runs(Bills):
    """One bill run, over as many accounts, each with a subscription of three prices, one of them a partner's."""

    name = "a bill run"

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """A cycle, its accounts, and a subscription on each."""
        await _accounts_of_cycle(facts, contestant, place, broker)
        made = _subscriptions(FIRST_DAY.isoformat(), _prices(), map(account_id, range(facts)))
        bodies = (json.dumps(subscription).encode() for subscription in made)
        await work_off(contestant, place, broker, "subscription.create", bodies, facts)

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """That it is to start: up to the first day, which each price has one line of."""
        run = {"billRunId": "R-1", "cycleSpecification": {"id": CYCLE}, "billingDate": FIRST_DAY.isoformat()}
        yield json.dumps(run).encode()

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """One."""
        return (("bill-run.start", body) for body in self.bodies(facts, place))

    def events(self, facts: int, contestant: Contestant) -> int:
        """What each order has, and that the run is started and completed."""
        return facts * contestant.events_per_order + 2


CYCLE = "MONTHLY"


def account_id(number: int) -> str:
    """The id of an account of the cycle."""
    return f"BR-{number:06d}"


async def _accounts_of_cycle(count: int, contestant: Contestant, place: Place, broker: Broker) -> None:
    """A cycle, and accounts of it."""
    specification = json.dumps({"id": CYCLE, "name": "Monthly"}).encode()
    await work_off(contestant, place, broker, "billing-cycle-specification.create", [specification], 1)
    accounts = (json.dumps(account_of_cycle(number)).encode() for number in range(count))
    await work_off(contestant, place, broker, "account.create", accounts, count)


def account_of_cycle(number: int) -> Json:
    """A billing account of the cycle, to be opened."""
    return {
        "@type": "BillingAccount",
        "id": account_id(number),
        "name": f"Customer {number}",
        "currency": CURRENCY,
        "relatedParty": [{"role": "customer", "partyOrPartyRole": {"@type": "PartyRef", "id": f"P-{number}"}}],
        "billStructure": {"cycleSpecification": {"id": CYCLE}},
    }


def _prices() -> list[Json]:
    """Three prices a day, one of them a partner's, as an order's lines are."""
    prices: list[Json] = [{**_DAILY, "id": f"P-{n}", "unitPrice": f"{n}9.90"} for n in range(1, BILL_LINES + 1)]
    prices[-1] |= {"onBehalfOf": {"id": "SA-0"}, "tax": {"category": "S", "rate": "0.10"}}
    return prices


def _accounts_of_orders() -> Iterator[str]:
    return (f"BA-{number:04d}" for number in range(BILLING_ACCOUNTS))


def _subscriptions(start: str, prices: list[Json], accounts: Iterable[str]) -> Iterator[Json]:
    """One on each account."""
    for number, account in enumerate(accounts):
        yield {
            "subscriptionId": f"S-{number:04d}",
            "billingAccount": {"id": account},
            "startDate": start,
            "currency": CURRENCY,
            "productPrice": prices,
        }


def _by_day(count: int) -> Iterator[tuple[str, Json]]:
    """Orders of three lines, each with a day on which its account has no other."""
    days: Counter[str] = Counter()
    for order in orders(count, lines=BILL_LINES):
        account = order["billingAccount"]["id"]
        yield (FIRST_DAY + timedelta(days=days[account])).isoformat(), order
        days[account] += 1


def _charges(day: str, order: Json) -> Iterator[Json]:
    """An order's lines, each charged on a day."""
    for item in order["items"]:
        yield {
            "chargeId": f"{order['orderId']}-{item['id']}",
            "billingAccount": order["billingAccount"],
            "date": day,
            "currency": order["currency"],
            "item": item,
        }


class Usages:
    """Usage of a subscription for each account, on days of November, 500 records in each message; and an order.

    Of usage no event tells. The order is the last message, so that by its events all usage is counted.
    """

    name = "usage in arrays"

    async def prepare(self, facts: int, contestant: Contestant, place: Place, broker: Broker) -> None:
        """A subscription on each account."""
        subscriptions = _subscriptions("2026-11-01", [_PRICE], _accounts_of_orders())
        made = (json.dumps(subscription).encode() for subscription in subscriptions)
        await work_off(contestant, place, broker, "subscription.create", made, BILLING_ACCOUNTS)

    def bodies(self, facts: int, place: Place) -> Iterator[bytes]:
        """The last message of usage may carry fewer; then comes the order."""
        return (body for _, body in self.letters(facts, place))

    def letters(self, facts: int, place: Place) -> Iterator[Letter]:
        """All of one type but for the last."""
        records = _usage(facts)
        while chunk := list(islice(records, FACTS_PER_ARRAY)):
            yield "usage.record", json.dumps(chunk).encode()
        for body in order_bodies(1):
            yield ORDER, body

    def orders(self, facts: int) -> int:
        """The last message."""
        return 1

    def events(self, facts: int, contestant: Contestant) -> int:
        """The order's."""
        return contestant.events_per_order

    def check(self, facts: int, place: Place) -> Mapping[str, object]:
        """Every record is counted."""
        lacking = facts - place.database["usageRecords"].count_documents({})
        return {"records that lack": lacking} if lacking else {}


_PRICE: Json = {
    "id": "P-1",
    "name": "Data",
    "priceType": "usage",
    "unitOfMeasure": "GB",
    "unitPrice": "0.10",
    "recurringChargePeriodType": "month",
    "tax": {"category": "S", "rate": "0.20"},
}


_DAILY: Json = {
    "name": "Line",
    "priceType": "recurring",
    "billed": "inAdvance",
    "recurringChargePeriodType": "day",
    "tax": {"category": "S", "rate": "0.20"},
}


def _usage(count: int) -> Iterator[Json]:
    """Records of usage, on any of the subscriptions and days."""
    lots = random.Random(678)
    for number in range(count):
        day, second = lots.randrange(1, 23), lots.randrange(60)
        yield {
            "usageId": f"U-{number:09d}",
            "subscriptionId": f"S-{lots.randrange(BILLING_ACCOUNTS):04d}",
            "usageDate": f"2026-11-{day:02d}T10:15:{second:02d}Z",
            "priceId": "P-1",
            "quantity": f"{lots.randrange(1, 5_000) / 100:.2f}",
        }


ORDERS: Workload = Orders()
HOT: Workload = Orders("hot account", account=lambda _number: HOT_ACCOUNT)
ARRAYS: Workload = Arrays()
PAYMENTS: Workload = Payments()
CORRECTIONS: Workload = Corrections()
SHORT: Workload = Orders("orders of three lines", lines=BILL_LINES)
SPREAD: Workload = SpreadOrders("orders of three lines, each on its own account", account=account_id, lines=BILL_LINES)
BILLS: Workload = Bills()
RECURRING: Workload = Recurring()
RUNS: Workload = Runs()
USAGE: Workload = Usages()
