"""A day of trade, the first of the month, drawn by lot from a seed, each fact beside what must become of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

from demo.agreements import agreed_on
from demo.dates import DAY_BEFORE, TRADE
from demo.facts import (
    APPLIED,
    HOUR,
    PARTIAL,
    REPEATED,
    Fact,
    Line,
    Message,
    message,
    moment,
    money,
    sold,
    total,
)
from demo.wares import (
    DIGITS,
    FOR_ONE_EURO,
    OWN_WARES,
    PARTNERS,
    PARTNERS_WARES,
    SELLER,
    TAXES,
    Customer,
    Partner,
    Provider,
    Ware,
    customers,
)

SEED = 20261120
CUSTOMERS = 120
DEPOSITORS = slice(4, 6)
"""Those who pay in advance more than they buy: what else comes in for them stays credit."""


def make_day(seed: int = SEED) -> list[Message]:
    """The messages of the day in the order in which they are published; the same for the same seed."""
    day = _Day(seed)
    day.seller()
    day.accounts()
    day.trade()
    day.trade_of_the_day_before()
    day.orders_in_one_body()
    day.repeats()
    day.conflicts()
    day.bad_messages()
    day.agreements()
    return [sent for _, sent in sorted(day.out, key=lambda entry: entry[0])]


def depositors(seed: int = SEED) -> Sequence[Customer]:
    """Those who pay in advance."""
    return customers(Random(seed), CUSTOMERS)[DEPOSITORS]


class _Day:
    """Draws the day; `out` has each message beside the second of the day in which it is published."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.customers = customers(self.random, CUSTOMERS)
        self.out: list[tuple[float, Message]] = []
        self._numbers = count(1)
        self._order_numbers = count(1001)
        self._payment_numbers = count(1)

    def send(self, second: float, type_: str, content: object, fact: Fact) -> None:
        self.out.append((second, message(type_, content, f"day-{next(self._numbers):05d}", fact)))

    def seller(self) -> None:
        """Tell who sells, before all else: every invoice names it."""
        self.send(0.0, "seller.update", {"changes": SELLER}, Fact("seller.update"))

    def accounts(self) -> None:
        """Open the accounts in the first hour, but for some that are late: what is sold on them has to wait."""
        for partner in PARTNERS:
            terms = {"partnerShare": str(partner.share), "accrueOn": partner.accrue_on}
            content = account_of("SettlementAccount", partner, "partner", settlementTerms=terms)
            self._open(partner, content, late=partner.id == "SA-CARTO")
        late = {customer.id for customer in self.random.sample(self.customers, 15)}
        for customer in self.customers:
            content = account_of("BillingAccount", customer, "customer", paymentTermDays=customer.term_days)
            self._open(customer, content, late=customer.id in late)

    def _open(self, account: Customer | Partner, content: dict[str, Any], *, late: bool) -> None:
        second = self.random.uniform(3 * HOUR, 9 * HOUR) if late else self.random.uniform(0, HOUR)
        self.send(second, "account.create", content, Fact("account.create", account=account.id))

    def trade(self) -> None:
        """Sell to each customer, and let it pay."""
        for customer in self.customers:
            for _ in range(self.random.randint(9, 14)):
                self._sell(customer, self._lines(customer.currency))
        for customer in self.customers[DEPOSITORS]:
            self._payment(customer, 2_500_000, (), 0.9 * HOUR, "deposits")
        [first, second] = self._lines_of(OWN_WARES, "EUR", 2)
        self._sell(self.customers[0], [first, _returned(first, Decimal(1))])  # a total of zero
        self._sell(self.customers[0], [second, _returned(second, Decimal(1))])

    def _sell(self, customer: Customer, lines: list[Line]) -> None:
        second = self.random.uniform(0.8 * HOUR, 23 * HOUR)
        content, fact = self._order(customer, lines, second)
        self.send(second, "order.completed", content, fact)
        self._pay(customer, fact, second)

    def _order(self, customer: Customer, lines: list[Line], completed: float) -> tuple[dict[str, Any], Fact]:
        order_id = f"O-{next(self._order_numbers)}"
        currency = customer.currency
        content = {
            "orderId": order_id,
            "completedAt": moment(completed, hours_east=self.random.choice((0, 0, 1))),
            "billingAccount": {"id": customer.id},
            "currency": currency,
            "items": [item_of(n, line) for n, line in enumerate(lines, 1)],
        }
        note = "orders with a negative line" if any(line.quantity < 0 for line in lines) else ""
        amount = total(lines, currency)
        return content, Fact(
            "order.completed",
            account=customer.id,
            amount=amount,
            orders=(order_id,),
            sold=sold(lines, currency),
            note=note if amount else "orders with a total of zero",
            day=TRADE if completed >= 0 else DAY_BEFORE,
        )

    def _lines(self, currency: str) -> list[Line]:
        length = self.random.choices(range(1, 9), (30, 24, 16, 10, 8, 5, 4, 3))[0]
        lines = [
            self._lines_of(PARTNERS_WARES if self.random.random() < 0.4 else OWN_WARES, currency, 1)[0]
            for _ in range(length)
        ]
        if length < 8 and self.random.random() < 0.05:
            lines.append(_returned(lines[0], Decimal("0.5")))
        return lines

    def _lines_of(self, wares: Sequence[Ware], currency: str, number: int) -> list[Line]:
        lines = []
        for ware in self.random.sample(wares, number):
            partners = [p for p in PARTNERS if p.currency == currency] if wares is PARTNERS_WARES else []
            quantity = Decimal(ware.step) * self.random.choice((1, 1, 1, 2, 3, 5, 12))
            price = Decimal(ware.price)
            if currency != "EUR":
                price = (price * FOR_ONE_EURO[currency]).quantize(Decimal(1).scaleb(-DIGITS[currency]))
            partner = self.random.choice(partners) if partners else None
            lines.append(Line(ware.description, quantity, price, *TAXES[currency][ware.tax], partner))
        return lines

    def _pay(self, customer: Customer, order: Fact, ordered: float) -> None:
        """Pay an order exactly, in parts, too little, too much or not at all; one in ten before it is invoiced."""
        if order.amount == 0:
            return
        amount, first = order.amount, max(order.amount * 2 // 5, 1)
        more = self.random.randint(1, 20) * 10 ** DIGITS[customer.currency]
        ways: tuple[tuple[int, str, list[int]], ...] = (
            (50, "", [amount]),
            (12, "payments in two parts", [first, amount - first]),
            (10, PARTIAL, [first]),
            (6, "excess payments", [amount + more]),
            (22, "", []),
        )
        [(_, note, parts)] = self.random.choices(ways, [weight for weight, _, _ in ways])
        for part in parts:
            early = self.random.random() < 0.1
            second = ordered + self.random.uniform(*((-2 * HOUR, -60) if early else (60, 8 * HOUR)))
            self._payment(customer, part, order.orders, min(max(second, 0), 23.9 * HOUR), note)

    def _payment(self, customer: Customer, amount: int, orders: tuple[str, ...], second: float, note: str) -> None:
        payment_id = f"P-{next(self._payment_numbers):05d}"
        content = {
            "paymentId": payment_id,
            "receivedAt": moment(second),
            "billingAccount": {"id": customer.id},
            "amount": money(amount, customer.currency, text=self.random.random() < 0.7),
            "method": self.random.choice(("SEPA credit transfer", "card", "direct debit")),
        }
        if self.random.random() < 0.02:
            content["invoices"] = [f"PROFORMA-{payment_id}"]
            note = note or "payments that name an unknown invoice"
        fact = Fact("payment.received", account=customer.id, amount=amount, orders=orders, note=note)
        self.send(second, "payment.received", content, fact)

    def trade_of_the_day_before(self) -> None:
        """Orders of yesterday that took more from one partner than they earned it: its statement carries that on."""
        partner = PARTNERS[1]
        for customer in [c for c in self.customers if c.currency == "EUR"][:3]:
            own = self._lines_of(OWN_WARES, "EUR", 1)[0]
            own = replace(own, quantity=Decimal(8), price=Decimal("75.00"))
            goodwill = Line("Goodwill for lost recordings", Decimal(-1), Decimal("9.90"), "S", "0.20", partner)
            content, fact = self._order(customer, [own, goodwill], -self.random.uniform(HOUR, 9 * HOUR))
            self.send(self.random.uniform(0.5 * HOUR, 2 * HOUR), "order.completed", content, fact)

    def orders_in_one_body(self) -> None:
        """Tills that send their orders as one array, each with one order among them that can't be read."""
        for till in range(1, 4):
            second = self.random.uniform(10 * HOUR, 20 * HOUR)
            orders = [
                self._order(customer, self._lines(customer.currency), second - 60)
                for customer in self.random.sample(self.customers, 20)
            ]
            orders.insert(till * 4, ({"orderId": f"TILL-{till}", "items": []}, Fact("order.completed", "invalid")))
            body = json.dumps([content for content, _ in orders]).encode()
            facts = tuple(fact for _, fact in orders)
            self.out.append((second, Message("order.completed", body, f"till-{till}", facts)))

    def repeats(self) -> None:
        """Send some messages again: half of them as they were, half written in another way with the same content."""
        for n, (second, sent) in enumerate(self.random.sample(self.out, 160)):
            facts = tuple(Fact(fact.type, REPEATED) for fact in sent.facts)
            again = replace(sent, facts=facts)
            if n % 2 and len(facts) == 1:
                content = {"sentAgain": True, **json.loads(sent.body)}
                again = replace(again, body=json.dumps(content, indent=1, sort_keys=True).encode())
                again = replace(again, message_id=f"again-{n}")
            self.out.append((second + self.random.uniform(1, 3 * HOUR), again))

    def conflicts(self) -> None:
        """Use identities again for other content."""
        changes: dict[str, dict[str, Any]] = {
            "account.create": {"currency": "USD"},
            "order.completed": {"items": [item_of(1, SURCHARGE)]},
            "payment.received": {"amount": money(100, "EUR")},
        }
        good = [entry for entry in self.out if [fact.outcome for fact in entry[1].facts] == [APPLIED]]
        for type_, change in changes.items():
            of_type = [entry for entry in good if entry[1].routing_key == type_]
            for second, sent in self.random.sample(of_type, 3):
                fact = Fact(type_, "conflicting-duplicate")
                self.send(second + HOUR / 2, type_, {**json.loads(sent.body), **change}, fact)

    def bad_messages(self) -> None:
        """What must be parked: it can't be read, or it contradicts the accounts."""
        customer = next(c for c in self.customers if c.currency == "EUR")
        order, _ = self._order(customer, [SURCHARGE], 12 * HOUR)
        payment = {"receivedAt": moment(12 * HOUR), "billingAccount": {"id": customer.id}}
        latin = json.dumps({**order, "note": "Käse"}, ensure_ascii=False).encode("latin-1")
        bad: list[tuple[str, str, Any]] = [
            ("malformed", "order.completed", b'{"orderId": "O-CUT", "items": ['),
            ("malformed", "order.completed", latin),
            ("invalid", "payment.received", b'{"paymentId": "P-NAN", "amount": {"unit": "EUR", "value": NaN}}'),
            ("malformed", "account.create", b'{"a":' * 40 + b"1" + b"}" * 40),
            ("invalid", "order.completed", {**order, "orderId": "O-BAD-1", "currency": "EUX"}),
            ("invalid", "order.completed", {**order, "orderId": "an id with spaces"}),
            ("invalid", "order.completed", {**order, "orderId": "O-BAD-2", "items": order["items"] * 2}),
            ("invalid", "payment.received", {**payment, "paymentId": "P-BAD-1", "amount": money(-500, "EUR")}),
            ("invalid", "payment.received", {**payment, "paymentId": "P-BAD-2", "amount": CENTS_OF_CENTS}),
            ("invalid", "account.create", account_of("SettlementAccount", customer, "partner", id="SA-NO-TERMS")),
            ("unknown-type", "order.cancelled", {"orderId": "O-1001"}),
            ("unknown-type", "customer.moved", {"customer": customer.name}),
            ("currency-mismatch", "order.completed", {**order, "orderId": "O-USD", "currency": "USD"}),
            ("currency-mismatch", "order.completed", {**order, "orderId": "O-OTHER", "items": [item_of(1, FOREIGN)]}),
            ("currency-mismatch", "payment.received", {**payment, "paymentId": "P-JPY", "amount": money(900, "JPY")}),
        ]
        for n, (code, type_, content) in enumerate(bad):
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            second = self.random.uniform(HOUR, 23 * HOUR)
            self.out.append((second, Message(type_, body, f"bad-{n}", (Fact(type_, code),))))
            if code == "malformed":  # the sender tries again, in vain: it is parked once
                self.out.append((second + HOUR, Message(type_, body, f"bad-{n}", (Fact(type_, REPEATED),))))

    def agreements(self) -> None:
        """Agree terms with each partner, once its account is opened."""
        opening = [(sent.facts[0], second) for second, sent in self.out if sent.routing_key == "account.create"]
        opened = {fact.account: second for fact, second in opening if fact.outcome == APPLIED}
        for partner in PARTNERS:
            self.out += [(opened[partner.id] + 1, sent) for sent in agreed_on(partner, TRADE)]


SURCHARGE = Line("Surcharge", Decimal(1), Decimal("2.50"), "S", "0.20")
FOREIGN = replace(SURCHARGE, partner=PARTNERS[4])
CENTS_OF_CENTS = {"unit": "EUR", "value": "12.345"}


def _returned(line: Line, part: Decimal) -> Line:
    return replace(line, description=f"Returned: {line.description}", quantity=-line.quantity * part)


def item_of(n: int, line: Line) -> dict[str, Any]:
    """A line as an order says it."""
    item = {
        "id": str(n),
        "description": line.description,
        "quantity": str(line.quantity) if line.quantity % 1 else int(line.quantity),
        "unitPrice": str(line.price),
        "tax": {"category": line.category, "rate": line.rate},
    }
    return item if line.partner is None else {**item, "onBehalfOf": {"id": line.partner.id}}


def account_of(type_: str, account: Customer | Partner | Provider, role: str, **more: object) -> dict[str, Any]:
    """What opens an account."""
    party = {"@type": "PartyRef", "@referredType": "Organization", "id": f"ORG-{account.id}", "name": account.name}
    return {
        "@type": type_,
        "id": account.id,
        "name": account.name,
        "relatedParty": [{"@type": "RelatedPartyRefOrPartyRoleRef", "role": role, "partyOrPartyRole": party}],
        "currency": account.currency,
        **more,
    }
