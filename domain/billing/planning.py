"""Planning: what of a subscription falls due by a date, and what its bill looks at for that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from domain.accounts.model import Account
from domain.billing.billed import BilledPeriod, id_of, id_of_price
from domain.billing.rating import Schedule
from domain.billing.subscriptions import Subscription, schedule_of
from domain.billing.terms import ProductPrice
from domain.billing.usage import months_needs
from domain.frozen import dataclass
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.periods import DateRange


class FallingDue(NamedTuple):
    """A period of a price, and the date on which it is due; `of` is the id of what is billed of the period."""

    price_id: str
    period: DateRange
    date: date
    of: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a subscription falls due by a date, by the terms that there are now: the periods by id, when each is due.

    `periods` are the ids of what is billed of them, each once for all prices. `prices` are all that the subscription
    ever has, by id. `window` are the days whose periods are looked at: not all, where these are more than a bill holds.
    `needs` is what a bill looks at of it, of the partners' own that its prices are sold for too.
    """

    schedule: Schedule
    prices: Mapping[str, ProductPrice]
    window: DateRange
    falling_due: Mapping[str, FallingDue]
    periods: tuple[str, ...]
    needs: tuple[Need, ...]


class _Dated(NamedTuple):
    """A period of a price, and the date on which it is due."""

    price_id: str
    period: DateRange
    date: date


@dataclass(frozen=True, slots=True)
class _Agenda:
    """What the plans of subscriptions with one schedule have in common, where they were billed up to the same date.

    `periods` are those that fall due, each once for all prices; `partner_needs` what is looked at of partners.
    """

    prices: Mapping[str, ProductPrice]
    window: DateRange
    falling_due: Sequence[_Dated]
    periods: Sequence[DateRange]
    partner_needs: Sequence[Need]


def plan_of(subscription: Subscription, on: date, since: date, lines_max: int, books: WorkingSet | Books) -> Plan:
    """What falls due of a subscription by a date, of as many of its days `since` another as a bill may hold.

    It is worked out once for all who ask. A bill holds at most `lines_max` lines.
    """
    return books.worked_out(
        subscription, (on, since), lambda one: _planned(one, schedule_of(one, books), on, since, lines_max, books)
    )


def _planned(
    subscription: Subscription, schedule: Schedule, on: date, since: date, lines_max: int, books: WorkingSet | Books
) -> Plan:
    next_due, recheck_from = subscription.next_due, subscription.recheck_from
    agenda = books.worked_out(
        schedule,
        (next_due, recheck_from, on, since),
        lambda one: _agenda(one, next_due, recheck_from, on, since, lines_max),
    )
    ids = {period: id_of(subscription.id, period) for period in agenda.periods}
    due = {
        id_of_price(of, subscription.id, price_id): FallingDue(price_id, period, day, of)
        for price_id, period, day in agenda.falling_due
        for of in (ids[period],)
    }
    needs: list[Need] = (
        [QueueNeed(BilledPeriod, subscription.id)]
        if recheck_from is not None
        else [DocumentNeed(BilledPeriod, id_) for id_ in ids.values()]
    )
    periods = ((one.price_id, one.period) for one in agenda.falling_due)
    needs += usage_needs(subscription.id, schedule, agenda.prices, periods)
    needs += agenda.partner_needs
    return Plan(schedule, agenda.prices, agenda.window, due, tuple(ids.values()), tuple(needs))


def _agenda(
    schedule: Schedule, next_due: date | None, recheck_from: date | None, on: date, since: date, lines_max: int
) -> _Agenda:
    """What falls due of each subscription of a schedule whose `next_due` and `recheck_from` are these."""
    of_all = [price for segment in schedule.segments for price in segment.terms.prices]
    prices = {price.id: price for price in of_all}
    window = all_days = _window(next_due, recheck_from, on)
    earliest = next_due if recheck_from is None and next_due is not None else date.min
    first = min(max(since, window.start), on)
    # As many days as have something for a bill; of most, that is all of them.
    days = max(31, lines_max // max(1, len(prices)))
    while True:
        if (all_days.end - first).days > days:
            window = DateRange(window.start, first + timedelta(days=days))
        else:
            window = all_days
        due = list(_falling_due(schedule, prices, window, earliest, on))
        if window is all_days or _begun(due, since) > lines_max // 2:
            break
        days *= 2
    while len(due) > lines_max and _begun(due, since) > lines_max and (left := (window.end - first).days) > 1:
        window = DateRange(window.start, first + timedelta(days=left // 2))
        due = [one for one in due if one.period.overlap(window)]
    partners = {price.on_behalf_of for price in of_all}
    needs = [need for partner in partners if partner is not None for need in partner_needs(partner)]
    return _Agenda(prices, window, due, tuple(dict.fromkeys(one.period for one in due)), needs)


def _begun(due: Sequence[_Dated], since: date) -> int:
    """How many of these periods begin on a day or later."""
    return sum(one.period.start >= since for one in due)


def _window(next_due: date | None, recheck_from: date | None, on: date) -> DateRange:
    """The days whose periods are looked at: up to a date, what is due after that begins later."""
    first = recheck_from
    if first is None:
        assert next_due is not None
        # It may be due on the day after its last.
        first = next_due - timedelta(days=1)
    return DateRange(min(first, on), min(on, date.max - timedelta(days=1)) + timedelta(days=1))


def _falling_due(
    schedule: Schedule, prices: Iterable[str], window: DateRange, earliest: date, on: date
) -> Iterator[_Dated]:
    """The periods that have a day in a window and are due by a date, no earlier than another; by the terms of now."""
    found: dict[Hashable, list[tuple[DateRange, date]]] = {}
    for price_id in prices:
        dated = found.get(alike := schedule.alike(price_id))
        if dated is None:
            dated = found[alike] = [
                (period, due) for period, due in schedule.dated(price_id, window) if earliest <= due <= on
            ]
        for period, due in dated:
            yield _Dated(price_id, period, due)


def usage_needs(
    subscription_id: str,
    schedule: Schedule,
    prices: Mapping[str, ProductPrice],
    periods: Iterable[tuple[str, DateRange]],
) -> Iterator[Need]:
    """What is looked at of usage for periods of prices: for a minimum, which others are held against, of all others."""
    used = [price.id for price in prices.values() if price.price_type == "usage"]
    for price_id, period in periods if used else ():
        price = prices.get(price_id)
        if price is None:
            continue
        if price.price_type == "usage":
            yield from months_needs(subscription_id, price_id, period)
        elif price.price_type == "minimum":
            for other in used:
                for of_other in schedule.periods(other, period):
                    yield from months_needs(subscription_id, other, of_other)


def partner_needs(partner: str) -> Iterator[Need]:
    """What is looked at of a partner on whose behalf something is sold."""
    yield DocumentNeed(Account, partner)
    yield DocumentNeed(Position, partner)
