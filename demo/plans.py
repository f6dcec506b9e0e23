"""What subscriptions cost and what their bills must be: an account of the demo's own, kept without the worker's code.

It asks of each day what the subscription was on it, and knows only calendar months.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from demo.dates import END
from demo.facts import Made, rounded
from demo.wares import Partner, Provider

DAY = timedelta(days=1)
Period = tuple[date, date]
"""Its first day, and the first day after it."""
Rate = Decimal | str
"""What a unit costs; of other prices what they are."""


@dataclass(frozen=True)
class Step:
    """What a unit costs up to a quantity, and what is due once for the step."""

    up_to: Decimal | None
    price: Decimal
    fee: Decimal = Decimal(0)


@dataclass(frozen=True)
class Price:
    """A price in euros: of a month, once, of a unit that is used, or the least that usage comes to in a month."""

    id: str
    name: str
    kind: Literal["recurring", "oneTime", "usage", "minimum"]
    amount: Decimal = Decimal(0)
    quantity: Decimal = Decimal(1)
    in_arrears: bool = False
    mode: Literal["graduated", "volume"] = "graduated"
    steps: tuple[Step, ...] = ()
    tax: tuple[str, str] = ("S", "0.20")
    partner: Partner | Provider | None = None

    def content(self) -> dict[str, Any]:
        """The price as a message says it."""
        category, rate = self.tax
        said: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "priceType": self.kind,
            "tax": {"category": category, "rate": rate},
        }
        if self.kind != "oneTime":
            said["recurringChargePeriodType"] = "month"
        if self.kind == "recurring":
            said |= {"quantity": str(self.quantity), "billed": "inArrears" if self.in_arrears else "inAdvance"}
        if self.kind == "usage":
            said["unitOfMeasure"] = "unit"
        if self.steps:
            said["tiers"] = {"mode": self.mode, "steps": [_step(step) for step in self.steps]}
        else:
            said["amount" if self.kind == "minimum" else "unitPrice"] = str(self.amount)
        return said if self.partner is None else {**said, "onBehalfOf": {"id": self.partner.id}}

    def of_usage(self, quantity: Decimal) -> tuple[Rate, int]:
        """What a month's usage is charged by, and what it comes to in cents."""
        if not self.steps:
            return self.amount, rounded(quantity * self.amount * 100)
        entered = [step for n, step in enumerate(self.steps) if n == 0 or quantity > (self.steps[n - 1].up_to or 0)]
        if self.mode == "volume":
            return entered[-1].price, rounded((quantity * entered[-1].price + entered[-1].fee) * 100)
        total, below = Decimal(0), Decimal(0)
        for step in entered:
            until = quantity if step.up_to is None else min(quantity, step.up_to)
            total, below = total + (until - below) * step.price + step.fee, until
        return "by steps", rounded(total * 100)


def _step(step: Step) -> dict[str, str]:
    up_to = {} if step.up_to is None else {"upTo": str(step.up_to)}
    return {**up_to, "unitPrice": str(step.price), "flatFee": str(step.fee)}


@dataclass(frozen=True)
class Due:
    """A line of a bill, its net in cents; one that takes back has the day of the bill on which that was charged."""

    subscription: str
    price: Price
    net: int
    of: date | None = None


@dataclass
class Subscription:
    """A subscription, with what was said of it and billed so far."""

    id: str
    account: str
    story: str
    start: date
    prices: tuple[Price, ...]
    trial_end: date | None = None
    said: list[tuple[date, str, tuple[Price, ...]]] = field(default_factory=list)
    """Changes in the order in which they were said: the first day on which each holds, what it is, the new prices."""
    used: Counter[tuple[str, date]] = field(default_factory=Counter)
    """In thousandths of a unit."""
    _billed: dict[tuple[str, Period], list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    """The lines of a price and period: the rate, what is left of it in cents, the day of the bill."""

    def state(self, day: date) -> str:
        """What it is on a day."""
        state = "active" if self.start <= day else "pendingActive"
        for effective, kind, _ in sorted(self.said, key=lambda said: said[0]):
            if effective <= day and kind != "change":
                state = {"suspend": "suspended", "resume": "active", "terminate": "terminated"}[kind]
        return state

    def charged(self, price_id: str, day: date) -> Price | None:
        """What of a price is charged for a day."""
        if self.state(day) != "active":
            return None
        prices = self.prices
        for effective, kind, changed in sorted(self.said, key=lambda said: said[0]):
            prices = changed if kind == "change" and effective <= day else prices
        price = next((price for price in prices if price.id == price_id), None)
        free = self.trial_end is not None and day < self.trial_end
        return None if price is None or (free and price.kind in ("recurring", "minimum")) else price

    def comes_to(self, price_id: str, period: Period) -> dict[Rate, int]:
        """What a period of a price comes to in cents, by rate."""
        of_days = [(day, price) for day in _days(period) if (price := self.charged(price_id, day))]
        if not of_days:
            return {}
        price = of_days[0][1]
        if price.kind == "oneTime":
            return {price.amount: rounded(price.amount * 100)}
        if price.kind == "usage":
            quantity = Decimal(sum(self.used[price_id, day] for day, _ in of_days)) / 1_000
            return dict([price.of_usage(quantity)])
        found: Counter[Rate] = Counter()
        # Days on end of one price; the gap that a suspension leaves divides them.
        numbered = [(price, day, day.toordinal() - n) for n, (day, price) in enumerate(of_days)]
        for (price, _), same in groupby(numbered, key=lambda one: (one[0], one[2])):
            days = [day for _, day, _ in same]
            by_start, by_end = (
                rounded(price.amount * price.quantity * 100 * (day - period[0]).days / (period[1] - period[0]).days)
                for day in (days[0], days[-1] + DAY)
            )
            found[price.amount] += by_end - by_start
        if price.kind == "recurring":
            return dict(found)
        others = {one.id for one in self.prices} - {price_id}
        missing = found.total() - sum(sum(self.comes_to(other, period).values()) for other in others)
        return {"minimum": max(0, missing)}

    def bill(self, on: date) -> list[Due]:
        """What is to be billed on a day: what is due and was not, and the difference of what was."""
        lines: list[Due] = []
        known = (self.prices, *(changed for _, _, changed in self.said))
        for price in {one.id: one for prices in known for one in prices}.values():
            for period in self._periods(price):
                before = self._billed[price.id, period]
                now = self.comes_to(price.id, period)
                if before or (now and self._due(price, period) <= on):
                    lines += self._differences(price, before, now, on)
        return lines

    def _differences(self, price: Price, before: list[list[Any]], now: dict[Rate, int], on: date) -> Iterator[Due]:
        more: list[tuple[Rate, int]] = []
        for rate in dict.fromkeys((*(rate for rate, _, _ in before), *now)):
            net = now.get(rate, 0) - sum(left for one, left, _ in before if one == rate)
            for line in reversed(before):
                if net < 0 < line[1] and line[0] == rate:
                    taken = min(-net, line[1])
                    line[1] -= taken
                    net += taken
                    yield Due(self.id, price, -taken, line[2])
            if net:
                more.append((rate, net))
        for rate, net in more:
            before.append([rate, net, on])
            yield Due(self.id, price, net)

    def _due(self, price: Price, period: Period) -> date:
        if price.kind == "oneTime" or (price.kind == "recurring" and not price.in_arrears):
            return next(day for day in _days(period) if self.charged(price.id, day))
        return min([period[1], *(day for day, kind, _ in self.said if kind == "terminate")])

    def _periods(self, price: Price) -> Iterator[Period]:
        if price.kind == "oneTime":
            yield self.start, self.start + DAY
            return
        start = self.trial_end or self.start
        while start <= END:
            after = date(start.year + start.month // 12, start.month % 12 + 1, start.day)
            yield start, after
            start = after


def _days(period: Period) -> Iterator[date]:
    day, end = period
    while day < end:
        yield day
        day += DAY


def made_of(lines: Iterable[Due]) -> Made:
    """The bill of these lines; if it were below zero, credit notes of what it takes back, and a bill of the rest."""
    bill, notes = list(lines), dict[date, list[Due]]()
    if _total(bill) < 0:
        for line in bill:
            if line.of is not None:
                notes.setdefault(line.of, []).append(line)
        bill = [line for line in bill if line.of is None]
    return Made(
        _total(bill) if bill else None,
        tuple(sorted(-_total(note) for note in notes.values())),
        tuple(sorted((line.subscription, line.price.id, line.net) for line in bill)),
        tuple((line.price.partner.id, line.net) for line in bill if line.price.partner is not None),
    )


def _total(lines: Iterable[Due]) -> int:
    nets: Counter[tuple[str, str]] = Counter()
    for line in lines:
        nets[line.price.tax] += line.net
    return sum(net + rounded(net * Decimal(rate)) for (_, rate), net in nets.items())
