"""Usage: how much of a subscription's price was used, each record counted once, on the day of its own time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter

from domain.accounts.lifecycle import billing_account
from domain.billing.rating import Schedule, Usage
from domain.billing.subscribing import account_needs, find_subscription
from domain.billing.subscriptions import Subscription, schedule_of
from domain.billing.terms import ProductPrice, Segment, end_of
from domain.errors import Refused
from domain.frozen import dataclass
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.periods import DateRange, written

NOTHING = Decimal(0)
DAY_MAX = 10**15
"""The most that a day's records come to: what ten years of such days come to has 27 digits with its decimals, and is
exact in a `Decimal` (28 digits) and in the database's (34)."""


@dataclass(frozen=True, slots=True)
class UsageToRecord:
    """`usage.record`: so much of a price was used at a time; what is below zero corrects an earlier record."""

    id: str
    subscription: str
    usage_date: datetime
    price_id: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """A record of usage as it was counted: append-only.

    `day` is the date of its time in the seller's zone. It is the `number`th, from 1, that was counted in its month: the
    first so many of a month are what a bill has seen that was made when there were no more.
    """

    id: str
    subscription: str
    price_id: str
    usage_date: datetime
    day: date
    quantity: Decimal
    number: int
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class UsedOn:
    """How much was used on a day: what its records come to."""

    day: date
    quantity: Decimal


_day_of = attrgetter("day")


@dataclass(frozen=True, slots=True)
class UsageMonth:
    """What was used of a price in a month of the calendar: how many records, and the sum of each day that has any.

    Sums are by day, so that they serve whatever periods there are. The id is `<subscription>/<price>/<yyyy-mm>`.
    """

    id: str
    count: int
    days: tuple[UsedOn, ...]

    def on(self, day: date) -> Decimal:
        """How much was used on a day."""
        at, after = self._place(day)
        return self.days[at].quantity if at < after else NOTHING

    def within(self, days: DateRange) -> Decimal:
        """How much was used on those of these days that are in the month."""
        return sum((one.quantity for one in self.days if one.day in days), Decimal(0))

    def with_record(self, day: date, quantity: Decimal) -> UsageMonth:
        """The month with one record more."""
        at, after = self._place(day)
        changed = UsedOn(day, self.days[at].quantity + quantity if at < after else quantity)
        return UsageMonth(self.id, self.count + 1, (*self.days[:at], changed, *self.days[after:]))

    def _place(self, day: date) -> tuple[int, int]:
        """Where a day's sum stands, from and to; both the same where it has none."""
        at = bisect_left(self.days, day, key=_day_of)
        return at, at + 1 if at < len(self.days) and self.days[at].day == day else at


@dataclass(frozen=True, slots=True)
class UsageResult:
    """What usage is answered with: what it counts for, and on which day."""

    subscription: str
    price_id: str
    day: date


def usage_time(usage: UsageToRecord) -> tuple[str, datetime]:
    """When it was used."""
    return "usageDate", usage.usage_date


def usage_needs(usage: UsageToRecord, books: WorkingSet) -> list[Need]:
    """What usage looks at, as far as that can be told from what is loaded so far."""
    month = _month(books.date_of(usage.usage_date))
    return [
        DocumentNeed(Subscription, usage.subscription),
        DocumentNeed(UsageMonth, _month_id(usage.subscription, usage.price_id, month)),
        *account_needs(usage.subscription, books),
    ]


def record_usage(usage: UsageToRecord, books: Books) -> UsageResult:
    """Count what was used, on the date of its time; returns what it counts for. Nothing is posted, nothing is told.

    Where a bill has looked at the period that it falls in, the next one looks at the subscription again.

    Raises `MustWait` (`unknown-subscription`, `unknown-account`, `account-suspended`) and `Refused`: `account-closed`,
    `wrong-state` when the price is not one of usage in force on that day, or when the day's records would come to less
    than nothing; `invalid` when they would come to more than is counted.
    """
    subscription = find_subscription(usage.subscription, books)
    account = billing_account(subscription.billing_account, None, books, "billing", "subscriptionId")
    day = books.date_of(usage.usage_date)
    schedule = schedule_of(subscription, books)
    segment, price = _in_force(usage.price_id, day, subscription, schedule.segments)
    month_id = _month_id(subscription.id, price.id, _month(day))
    before = books.find(UsageMonth, month_id) or UsageMonth(month_id, 0, ())
    _check_sum(before.on(day), usage.quantity, day)
    month = before.with_record(day, usage.quantity)
    books.append(
        UsageRecord(
            id=usage.id,
            subscription=subscription.id,
            price_id=price.id,
            usage_date=usage.usage_date,
            day=day,
            quantity=usage.quantity,
            number=month.count,
            booked_at=books.booked_at,
        )
    )
    books.put(month)
    if _is_late(day, segment, price, subscription, schedule):
        books.put(subscription.looked_at_again(day))
    # Who bills the subscription writes the position too (`used_by`): neither goes unseen by the other.
    books.count(account.id, "used")
    return UsageResult(subscription.id, price.id, day)


def used_by(subscription_id: str, books: Books) -> Usage:
    """What a `Rating` takes: how much was used of a price of the subscription on these days, late corrections included.

    Writes the position of the subscription's account, so that no usage is counted unseen while a bill is made of it.
    What it returns raises `NotLoaded`, for all months of the days that it is asked for at once.
    """
    books.touch(find_subscription(subscription_id, books).billing_account)

    def used(price_id: str, days: DateRange) -> Decimal:
        return sum((month.within(days) for _, month in _months(subscription_id, price_id, days, books)), Decimal(0))

    return used


def counted(subscription_id: str, price_id: str, days: DateRange, books: Books) -> dict[str, int]:
    """How many records each month of these days has, on any of its days; months without one are left out.

    Records of a month up to that number are those that are counted now, also once there are more.
    """
    return {name: month.count for name, month in _months(subscription_id, price_id, days, books)}


def months_needs(subscription_id: str, price_id: str, days: DateRange) -> Iterator[Need]:
    """What is looked at of the usage of these days."""
    for month in months_of(days):
        yield DocumentNeed(UsageMonth, _month_id(subscription_id, price_id, month))


def months_of(days: DateRange) -> tuple[str, ...]:
    """The months of the calendar that have one of these days, in order: `2026-11`."""
    first, last = days.start.year * 12 + days.start.month - 1, days.end.year * 12 + days.end.month - 1
    if days.end.day == 1:
        last -= 1  # the end is not one of them
    return tuple(f"{n // 12:04}-{n % 12 + 1:02}" for n in range(first, last + 1))


def days_of(month: str) -> DateRange:
    """The days of a month of the calendar that is not its last: `2026-11`."""
    first = date.fromisoformat(f"{month}-01")
    return DateRange(first, (first + timedelta(days=31)).replace(day=1))


def _months(subscription_id: str, price_id: str, days: DateRange, books: Books) -> Iterator[tuple[str, UsageMonth]]:
    """The months of these days that have records."""
    ids = {month: _month_id(subscription_id, price_id, month) for month in months_of(days)}
    books.require(DocumentNeed(UsageMonth, id_) for id_ in ids.values())
    for name, id_ in ids.items():
        if (month := books.find(UsageMonth, id_)) is not None:
            yield name, month


def _month(day: date) -> str:
    return written(day)[:7]


def _month_id(subscription_id: str, price_id: str, month: str) -> str:
    # No id has a stroke.
    return f"{subscription_id}/{price_id}/{month}"


def _in_force(
    price_id: str, day: date, subscription: Subscription, segments: tuple[Segment, ...]
) -> tuple[Segment, ProductPrice]:
    """A price of usage on a day on which it is charged, with what the subscription is then."""
    segment = next((segment for segment in segments if day in segment.days), None)
    price = None
    if segment is not None and segment.state != "suspended":
        price = segment.terms.price(price_id)
    if segment is None or price is None or price.price_type != "usage":
        raise _not_in_force(price_id, day, subscription, segment, price)
    return segment, price


def _not_in_force(
    price_id: str, day: date, subscription: Subscription, segment: Segment | None, price: ProductPrice | None
) -> Refused:
    """Why a subscription has no such price of usage on a day."""
    said = f"priceId: on {day} subscription {subscription.id}"
    if segment is None:
        if day < subscription.start_date:
            return Refused("wrong-state", f"{said} is not served yet: it starts on {subscription.start_date}")
        end = end_of(subscription.segments, subscription.start_date)
        return Refused("wrong-state", f"{said} is terminated, as of {end}")
    if segment.state == "suspended":
        return Refused("wrong-state", f"{said} is suspended")
    if price is None:
        return Refused("wrong-state", f"{said} has no price {price_id}")
    return Refused("wrong-state", f"{said} has price {price_id} as one of type {price.price_type}, not usage")


def _check_sum(before: Decimal, quantity: Decimal, day: date) -> None:
    """Check what a day's records come to with the one that is to be counted."""
    if before + quantity < 0:
        detail = f"quantity: {quantity:f} is more than can be taken back: {before:f} was used on {day}"
        raise Refused("wrong-state", detail)
    if before + quantity > DAY_MAX:
        detail = f"quantity: {quantity:f} takes what was used on {day} beyond {DAY_MAX}, the most that is counted"
        raise Refused("invalid", detail)


def _is_late(day: date, segment: Segment, price: ProductPrice, subscription: Subscription, schedule: Schedule) -> bool:
    """Whether bills have looked at a period that usage of a day counts in, and will not look at it again anyway.

    Such periods are the price's own, and those of minimums that have a day from then on in it: what is used first may
    take what is used later to another step.
    """
    if subscription.recheck_from is not None:
        return day < subscription.recheck_from
    if subscription.next_due is None:
        return True
    if subscription.next_due <= day:
        return False  # whatever it counts in is due later
    period = segment.periods(price).containing(day)
    if period is None:
        return False  # it reaches beyond the calendar, and is never billed
    if schedule.due(price.id, period) < subscription.next_due:
        return True
    return any(
        schedule.due(minimum_id, of_minimum) < subscription.next_due
        for minimum_id, of_minimum in _minimums(schedule.segments, DateRange(day, period.end))
    )


def _minimums(segments: tuple[Segment, ...], days: DateRange) -> Iterator[tuple[str, DateRange]]:
    """Of each minimum, wherever it is charged, the first period with one of these days: later ones are due later."""
    for segment in segments:
        first = max(days.start, segment.days.start)
        if first >= days.end:
            return
        for price in segment.terms.prices:
            if price.price_type == "minimum" and segment.charged(price.id) is not None:
                period = segment.periods(price).containing(first)
                if period is not None and period.overlap(segment.days) is not None:
                    yield price.id, period
