"""Rating: what a price of a subscription comes to in a period, by what the subscription is on the days of it.

Nothing here knows what was billed, or asks for the day: the same terms, changes and usage always come to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from domain.billing.terms import ProductPrice, Segment, Step, Tiers
from domain.frozen import dataclass, replace
from domain.money import Currency, line_net, rounded_ratio
from domain.periods import DateRange, joined_to

Usage = Callable[[str, DateRange], Decimal]
"""How much was used of a price, by its id, on these days."""

_NEVER = DateRange(date.max - timedelta(days=1), date.max)


@dataclass(frozen=True, slots=True)
class Rate:
    """What makes two charges of a price the same one: what a unit costs, its tax, and on whose behalf it is sold.

    A unit costs a decimal in major units; tiers, or a minimum, have no unit.
    """

    unit_price: Decimal | None
    tiers: Tiers | None
    category: str
    rate: Decimal
    on_behalf_of: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """Days of a period on which so much of a recurring price was agreed, and what they come to (minor units)."""

    days: DateRange
    quantity: Decimal
    net: int


@dataclass(frozen=True, slots=True)
class Charged:
    """What a period of a price comes to at one rate: `net` in minor units, for these days.

    `quantity` × the unit's price is the net, where the period is charged whole; else it is None. Of a recurring price
    that is not, `parts` say what of it which days come to. Of usage, `used_on` are the days that were at this rate, in
    order; None where all of them were.
    """

    rate: Rate
    days: DateRange
    quantity: Decimal | None
    net: int
    parts: tuple[Part, ...] = ()
    used_on: tuple[DateRange, ...] | None = None

    @property
    def at_this_rate(self) -> tuple[DateRange, ...]:
        """The days on which usage is at this rate."""
        return (self.days,) if self.used_on is None else self.used_on


class Schedule:
    """Which periods a subscription's prices have, by its segments, and when each is due, whatever it comes to."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments
        self._next_due: dict[date, date | None] = {}
        self.by_price: dict[str, list[tuple[Segment, ProductPrice]]] = {}
        for segment in segments:
            for price in segment.charged_prices:
                self.by_price.setdefault(price.id, []).append((segment, price))

    def charging(self, price_id: str) -> Sequence[tuple[Segment, ProductPrice]]:
        """The segments in which a price is charged, in order, with what it is then."""
        return self.by_price.get(price_id, ())

    def periods(self, price_id: str, window: DateRange) -> Iterator[DateRange]:
        """The periods of a price, with a day on which it is charged, that have a day in a window; each once."""
        charging = self.charging(price_id)
        if len(charging) == 1:
            yield from self._periods_in(*charging[0], window)
            return
        seen: set[DateRange] = set()
        for segment, price in charging:
            for period in self._periods_in(segment, price, window):
                if period not in seen:
                    seen.add(period)
                    yield period

    def _periods_in(self, segment: Segment, price: ProductPrice, window: DateRange) -> Iterator[DateRange]:
        """The periods of a price that have a day in a window and one in a segment."""
        if price.price_type == "oneTime":
            found: Iterable[DateRange] = (self._first(price.id),)
        else:
            # What has a day of each has one that is in both, if there is any, else the one next to the other.
            nearest = window.start if segment.days.start < window.start else window.end - timedelta(days=1)
            days = segment.days.overlap(window) or DateRange(nearest, nearest + timedelta(days=1))
            found = segment.periods(price).overlapping(days)
        for period in found:
            if (
                period.start < window.end
                and window.start < period.end
                and period.start < segment.days.end
                and segment.days.start < period.end
            ):
                yield period

    def dated(self, price_id: str, window: DateRange) -> Iterator[tuple[DateRange, date]]:
        """The same, each with the date on which it is due."""
        charging = self.charging(price_id)
        if len(charging) == 1:
            # As most are: then the segment in which a period is found is the first in which it is charged.
            [(segment, price)] = charging
            for period in self._periods_in(segment, price, window):
                yield period, self._due(price, period, segment)
            return
        for period in self.periods(price_id, window):
            yield period, self.due(price_id, period)

    def alike(self, price_id: str) -> Hashable:
        """What is equal for prices that have the same periods, due on the same dates: most of a subscription have."""
        charging = self.charging(price_id)
        if len(charging) != 1:
            return price_id
        [(segment, price)] = charging
        billed = price.billed if price.price_type == "recurring" else price.price_type == "oneTime"
        return segment.days.start, price.period_type, price.period_length, billed

    def due(self, price_id: str, period: DateRange) -> date:
        """The date on which a period of a price is due.

        In advance, that is the first day on which it is charged, for one-time prices too; in arrears, for usage and for
        minimums it is the first day after the period, or after the last one served.
        """
        served = next(self._in(price_id, period), None)
        if served is None:
            return period.end
        segment, first, _ = served
        return self._due(first, period, segment)

    def _due(self, price: ProductPrice, period: DateRange, segment: Segment) -> date:
        """The same by what the price is in the first segment in which it is charged for the period."""
        if price.price_type == "oneTime" or (price.price_type == "recurring" and price.billed == "inAdvance"):
            return max(period.start, segment.days.start)
        return min(period.end, max(period.start, self.segments[-1].days.end))

    def next_due(self, after: date) -> date | None:
        """A date after this one before which nothing more is due, None where nothing will be; it may be too early."""
        if after not in self._next_due:
            self._next_due[after] = self._due_next(after)
        return self._next_due[after]

    def _due_next(self, after: date) -> date | None:
        served_until = self.segments[-1].days.end if self.segments else date.min
        if served_until <= after:
            return None
        found = [served_until]
        for segment in self.segments:
            if segment.days.start > after:
                found.append(segment.days.start)
                break
            last = min(after, segment.days.end - timedelta(days=1))
            # Most prices of a subscription have the same periods.
            prices = segment.terms.prices
            lengths = {(one.period_type, one.period_length): one for one in prices if one.price_type != "oneTime"}
            containing = (segment.periods(one).containing(last) for one in lengths.values())
            found += [period.end for period in containing if period is not None]
        # The end of what has no end never comes.
        return min((day for day in found if after < day < date.max), default=None)

    def _in(self, price_id: str, period: DateRange) -> Iterator[tuple[Segment, ProductPrice, DateRange]]:
        """The segments in which a price is charged for a period, with the days of both."""
        for segment, price in self.charging(price_id):
            days = segment.days.overlap(period)
            if days is None:
                continue
            if price.price_type == "oneTime" or segment.periods(price).containing(days.start) == period:
                yield segment, price, days

    def _first(self, price_id: str) -> DateRange:
        """The first day on which a price is charged: when a one-time price is."""
        for segment, _ in self.charging(price_id):
            return DateRange(segment.days.start, segment.days.start + timedelta(days=1))
        return _NEVER


class Rating(Schedule):
    """What the periods of a schedule come to, with what was used of the subscription, in minor units of a currency.

    What it has worked out once it keeps, so it is for one bill, or for all bills of a schedule without usage.
    """

    def __init__(self, schedule: Schedule, used: Usage, currency: Currency) -> None:
        self.segments = schedule.segments
        self.by_price = schedule.by_price
        self._next_due = {}
        self.used = used
        self.currency = currency
        self._charges: dict[tuple[str, DateRange], tuple[Charged, ...]] = {}

    def charges(self, price_id: str, period: DateRange) -> tuple[Charged, ...]:
        """What a period of a price comes to, by rate, in the order of its days; nothing where it is not charged."""
        key = (price_id, period)
        found = self._charges.get(key)
        if found is None:
            found = self._charges[key] = tuple(self._charged(price_id, period))
        return found

    def _charged(self, price_id: str, period: DateRange) -> list[Charged]:
        parts = list(self._in(price_id, period))
        if not parts:
            return []
        first = parts[0][1]
        if first.price_type == "oneTime":
            return [self._whole(first, period, first.quantity)] if period == self._first(price_id) else []
        if first.price_type == "minimum":
            return self._true_up(first, period, parts)
        if first.price_type == "usage":
            return self._used(period, parts)
        if first.proration == "none":
            return [self._whole(first, period, first.quantity)]
        if len(parts) == 1:
            return [self._part(first, period, parts[0][2])]
        return list(_by_rate(self._part(price, period, days) for price, days in _joined(parts)))

    def _whole(self, price: ProductPrice, days: DateRange, quantity: Decimal) -> Charged:
        assert price.unit_price is not None, f"price {price.id} of type {price.price_type} has no unit price"
        net = line_net(quantity, price.unit_price, self.currency)
        return Charged(_rate(price, price.unit_price), days, quantity, net)

    def _part(self, price: ProductPrice, period: DateRange, days: DateRange) -> Charged:
        """What days of a period come to: what has elapsed by their end, less what had before them."""
        if days == period:
            return self._whole(price, days, price.quantity)
        assert price.unit_price is not None, f"price {price.id} of type {price.price_type} has no unit price"
        whole = Fraction(price.unit_price) * Fraction(price.quantity)
        net = self._elapsed(whole, period, days)
        return Charged(_rate(price, price.unit_price), days, None, net, (Part(days, price.quantity, net),))

    def _elapsed(self, whole: Fraction, period: DateRange, days: DateRange) -> int:
        by_end, by_start = (
            _rounded(whole * (day - period.start).days / period.days, self.currency) for day in (days.end, days.start)
        )
        return by_end - by_start

    def _used(
        self, period: DateRange, parts: Sequence[tuple[Segment, ProductPrice, DateRange]], until: date = date.max
    ) -> list[Charged]:
        """Usage to date, by the terms that were in force on its day; steps are counted on through the whole period.

        The fee of a step is due once a period: the first step's always, by the first terms; by volume, that of the step
        that the quantity is in.
        """
        quantities = [self._quantity(price.id, days, until) for _, price, days in parts]
        total, before = sum(quantities, Fraction(0)), Fraction(0)
        found: dict[Rate, tuple[tuple[DateRange, ...], Fraction | None, Fraction]] = {}
        for (_, price, days), quantity in zip(parts, quantities, strict=True):
            whole: Fraction | None = quantity
            unit_price = price.unit_price
            if price.tiers is None:
                assert unit_price is not None, f"price {price.id} has neither a unit price nor tiers"
                net = Fraction(unit_price) * quantity
            elif price.tiers.mode == "volume":
                step = next(one for one in price.tiers.steps if one.up_to is None or total <= one.up_to)
                unit_price, fee = step.unit_price, Fraction(0 if found else step.flat_fee)
                net = Fraction(unit_price) * quantity + fee
                whole = None if fee else quantity
            else:
                so_far = graduated(price.tiers.steps, before) if found else 0
                net, whole = graduated(price.tiers.steps, before + quantity) - so_far, None
            before += quantity
            graded = price.tiers if whole is None and unit_price is None else None
            rate = _rate(price, unit_price, graded)
            used_on, so_much, sum_ = found.get(rate, ((), Fraction(0), Fraction(0)))
            used_on = joined_to(used_on, days)
            found[rate] = (used_on, None if whole is None or so_much is None else so_much + whole, sum_ + net)
        charged: list[Charged] = []
        for rate, (used_on, whole, net) in found.items():
            covered = period if len(found) == 1 else DateRange(used_on[0].start, used_on[-1].end)
            units = None if whole is None else _decimal(whole)
            of_these = None if used_on == (covered,) else used_on
            charged.append(Charged(rate, covered, units, _rounded(net, self.currency), (), of_these))
        return charged

    def _quantity(self, price_id: str, days: DateRange, until: date) -> Fraction:
        """How much was used on these days, as far as they are before a date."""
        if until <= days.start:
            return Fraction(0)
        return Fraction(self.used(price_id, DateRange(days.start, min(days.end, until))))

    def _true_up(
        self, minimum: ProductPrice, period: DateRange, parts: Sequence[tuple[Segment, ProductPrice, DateRange]]
    ) -> list[Charged]:
        """What is missing to the minimum of what the subscription's other prices come to in a period."""
        least = 0
        if minimum.proration == "none":
            least = _rounded(Fraction(minimum.amount or 0), self.currency)
        else:
            for _, price, days in parts:
                least += self._elapsed(Fraction(price.amount or 0), period, days)
        others = sum(self._comes_to(id_, period) for id_ in self._other_prices(minimum.id))
        missing = max(0, least - others)
        return [Charged(_rate(minimum, None), period, None, missing)] if missing else []

    def _other_prices(self, price_id: str) -> list[str]:
        ids = {
            price.id: None
            for segment in self.segments
            for price in segment.terms.prices
            if price.id != price_id and price.price_type != "minimum"
        }
        return list(ids)

    def _comes_to(self, price_id: str, within: DateRange) -> int:
        """What a price comes to on days: what it has come to by their end, less what it had before them.

        One that is charged whole counts on the first day on which it is charged, and so does the fee of a first step.
        """
        total = 0
        for period in self.periods(price_id, within):
            parts = list(self._in(price_id, period))
            first = parts[0][1]
            if first.price_type == "usage":
                begun = parts[0][2].start
                by_end, by_start = (
                    sum(one.net for one in self._used(period, parts, until)) if until > begun else 0
                    for until in (within.end, within.start)
                )
                total += by_end - by_start
            elif first.price_type == "recurring" and first.proration == "actual":
                for _, price, days in parts:
                    if (part := days.overlap(within)) is not None:
                        total += self._part(price, period, part).net
            elif parts[0][2].start in within:
                total += sum(one.net for one in self.charges(price_id, period))
        return total


def graduated(steps: Iterable[Step], quantity: Fraction) -> Fraction:
    """What a quantity comes to where each unit costs what its step says, in major units, unrounded.

    A step's flat fee is due once it is entered; that of the first step always.
    """
    total, below = Fraction(0), Fraction(0)
    for step in steps:
        if below and quantity <= below:
            break
        top = quantity if step.up_to is None else min(quantity, Fraction(step.up_to))
        total += (top - below) * Fraction(step.unit_price) + Fraction(step.flat_fee)
        if step.up_to is None:
            break
        below = Fraction(step.up_to)
    return total


def _joined(parts: Iterable[tuple[Segment, ProductPrice, DateRange]]) -> Iterator[tuple[ProductPrice, DateRange]]:
    """Days on end on which a price is the same, as one: whatever else has changed between them."""
    before: tuple[ProductPrice, DateRange] | None = None
    for _, price, days in parts:
        if before is None:
            before = (price, days)
        elif before[1].end == days.start and replace(before[0], name=price.name) == price:
            before = (price, DateRange(before[1].start, days.end))
        else:
            yield before
            before = (price, days)
    if before is not None:
        yield before


def _decimal(quantity: Fraction) -> Decimal:
    """A sum of decimals as one again."""
    return Decimal(quantity.numerator) / Decimal(quantity.denominator)


def _rate(price: ProductPrice, unit_price: Decimal | None, tiers: Tiers | None = None) -> Rate:
    return Rate(unit_price, tiers, price.category, price.rate, price.on_behalf_of)


def _by_rate(charged: Iterable[Charged]) -> Iterator[Charged]:
    """What is charged at the same rate, as one: from its first day to its last."""
    found: dict[Rate, Charged] = {}
    for one in charged:
        before = found.get(one.rate)
        if before is None:
            found[one.rate] = one
        else:
            days = DateRange(min(before.days.start, one.days.start), max(before.days.end, one.days.end))
            found[one.rate] = Charged(one.rate, days, None, before.net + one.net, before.parts + one.parts)
    yield from found.values()


def _rounded(amount: Fraction, currency: Currency) -> int:
    """An amount in major units, in minor units of the currency, halves away from zero."""
    scaled = amount * 10**currency.digits
    return rounded_ratio(scaled.numerator, scaled.denominator)
