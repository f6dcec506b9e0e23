"""Gathering: what is due on an account's bill up to a date, of its charges and of its subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from heapq import merge
from itertools import groupby, takewhile
from operator import attrgetter
from typing import TypeVar

from domain.accounts.model import Account
from domain.billing.billed import BilledPeriod, id_of
from domain.billing.differing import Difference, differences
from domain.billing.model import ALL_SUBSCRIPTIONS, Charge, Place, Rest
from domain.billing.periods import DateRange
from domain.billing.rating import Charged, Rating
from domain.billing.subscriptions import Subscription
from domain.billing.usage import counted, months_needs, used_by
from domain.frozen import dataclass, replace
from domain.invoicing.model import CorrectsLine, Invoice, InvoiceLine, LineOrigin, Period, find_invoice
from domain.invoicing.pricing import Item
from domain.ledger.books import Books, DocumentNeed, Need, NotLoaded, Queued, QueueNeed, WorkingSet
from domain.money import Currency, line_net

LINES_MAX = 1_000
"""The most lines of a bill; what is beyond goes on a further bill."""
INVOICES_MAX = 50
"""Of how many invoices one part of a bill takes something back; what is beyond goes on in a further part."""
CHARGES_FIRST = 16
"""How many charges of an account are read at first: a bill is short as a rule, and what is due later is not read."""
SUBSCRIPTIONS_FIRST = 4
"""How many subscriptions of an account are read at first."""

Q = TypeVar("Q", bound=Queued)


@dataclass(frozen=True, slots=True)
class PeriodDue:
    """What is due of a period of a subscription's price, at a rate; `n` is its place among what is of that period."""

    subscription: Subscription
    price_id: str
    period: DateRange
    date: date
    difference: Difference
    n: int

    @property
    def id(self) -> str:
        """The period's id."""
        return id_of(self.subscription.id, self.price_id, self.period)

    @property
    def order_key(self) -> Place:
        """Where its line is on a bill."""
        return (self.date, f"{self.id}/{self.n:06}")


@dataclass(frozen=True, slots=True)
class Due:
    """What is due as one line: the item with its origin, what of it is billed (minor units), and what it is of.

    One that takes back what another line billed has that line's invoice, as it stands before the bill.
    """

    item: Item
    origin: LineOrigin
    net: int
    of: Charge | PeriodDue
    corrected: Invoice | None = None

    @property
    def corrects(self) -> CorrectsLine | None:
        """The line that it takes back."""
        return self.origin.corrects

    @property
    def line(self) -> InvoiceLine:
        """The line that it takes back, where it does."""
        assert self.corrected is not None
        assert self.corrects is not None
        return next(line for line in self.corrected.lines if line.id == self.corrects.line_id)

    @property
    def field(self) -> str:
        """What is named where something is wrong with its item."""
        if isinstance(self.of, Charge):
            return f"charge {self.of.id}: item"
        return f"subscription {self.of.subscription.id}: productPrice {self.of.price_id}"


@dataclass(frozen=True, slots=True)
class Visit:
    """A subscription that a bill has looked at, what is due of it, and what each period comes to that it looked at.

    The periods that begin from `rest` on are left to a further part; of those from `waits` on something has waited
    since an earlier one, or has changed since.
    """

    subscription: Subscription
    rating: Rating
    dues: tuple[Due, ...]
    charged: dict[str, tuple[BilledPeriod, tuple[Charged, ...]]]
    rest: date | None
    waits: date | None

    def counts(self, period: BilledPeriod, books: Books) -> dict[str, int]:
        """How many records of usage each month of a period has, of a price of usage."""
        prices = (segment.terms.price(period.price_id) for segment in self.rating.segments)
        if any(price is not None and price.price_type == "usage" for price in prices):
            return counted(self.subscription.id, period.price_id, period.period, books)
        return {}

    @property
    def of_periods(self) -> list[PeriodDue]:
        """What its dues are of."""
        return [due.of for due in self.dues if isinstance(due.of, PeriodDue)]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is due on one part of a bill, in no order; `rest` is what is left to further parts, if anything is."""

    charges: tuple[Due, ...]
    visits: tuple[Visit, ...]
    rest: Rest | None

    @property
    def dues(self) -> tuple[Due, ...]:
        """All that is due."""
        return (*self.charges, *(due for visit in self.visits for due in visit.dues))


def gathering_needs(account_id: str, on: date, books: WorkingSet) -> Iterator[Need]:
    """What is looked at of an account's own charges and subscriptions, as far as that can be told by now."""
    yield QueueNeed(Charge, account_id, CHARGES_FIRST)
    for charge in books.known(Charge, account_id):
        if charge.item.on_behalf_of is not None:
            yield DocumentNeed(Account, charge.item.on_behalf_of)
        if charge.corrects is not None:
            yield DocumentNeed(Invoice, charge.corrects.bill_no)
    yield QueueNeed(Subscription, account_id, SUBSCRIPTIONS_FIRST)
    account = books.peek(Account, account_id)
    if account is None:
        return
    for subscription in books.known(Subscription, account_id):
        if subscription.next_due is not None and subscription.next_due <= on and subscription.recheck_from is None:
            yield from _subscription_needs(subscription, on, account.kept_in)


def _subscription_needs(subscription: Subscription, on: date, currency: Currency) -> Iterator[Need]:
    rating = Rating(subscription.segments, _no_usage, currency)
    prices = {price.id: price for segment in rating.segments for price in segment.terms.prices}
    used = [price.id for price in prices.values() if price.price_type == "usage"]
    for price_id, period in _falling_due(subscription, rating, _window(subscription, on), on):
        yield DocumentNeed(BilledPeriod, id_of(subscription.id, price_id, period))
        # A minimum is what is missing to it of what all others come to.
        for other in used if prices[price_id].price_type == "minimum" else {price_id}.intersection(used):
            yield from months_needs(subscription.id, other, period)
    for price in prices.values():
        if price.on_behalf_of is not None:
            yield DocumentNeed(Account, price.on_behalf_of)


def gather(accounts: Sequence[Account], on: date, after: Rest, books: Books) -> Gathered:
    """What is due of accounts up to a date, and fits one part of a bill: of subscriptions first, then of charges."""
    books.require(QueueNeed(Charge, account.id, CHARGES_FIRST) for account in accounts)
    books.require(QueueNeed(Subscription, account.id, SUBSCRIPTIONS_FIRST) for account in accounts)
    room = _Room()
    visits, rest = _visits(accounts, on, after, room, books)
    if rest is not None:
        return Gathered((), tuple(visits), replace(rest, charges=after.charges))
    charges, seen_to = _due_charges(accounts, on, after.charges, room, books)
    more = None if seen_to is None else Rest(seen_to, ALL_SUBSCRIPTIONS)
    return Gathered(tuple(_of_charges(charges, books)), tuple(visits), more)


class _Room:
    """What a part of a bill still has room for."""

    def __init__(self) -> None:
        self.lines = LINES_MAX
        self.corrected: set[str] = set()

    @property
    def is_whole(self) -> bool:
        return self.lines == LINES_MAX

    def has(self, lines: int, corrected: set[str]) -> bool:
        return lines <= self.lines and len(corrected | self.corrected) <= INVOICES_MAX

    def take(self, lines: int, corrected: set[str]) -> None:
        self.lines -= lines
        self.corrected |= corrected


def _queue(kind: type[Q], account: Account, accounts: Sequence[Account], books: Books) -> Iterator[Q]:
    """What is open of an account; raises `NotLoaded` where that runs out: of all accounts, since each may run out."""
    try:
        yield from books.queue(kind, account.id)
    except NotLoaded as missing:
        [need] = missing.needs
        assert isinstance(need, QueueNeed)
        assert need.limit is not None
        limit = max(need.limit, LINES_MAX + 1) if kind is Charge else need.limit
        books.require(QueueNeed(kind, one.id, limit) for one in accounts)
        raise


# -- charges


def _due_charges(
    accounts: Sequence[Account], on: date, after: Place | None, room: _Room, books: Books
) -> tuple[list[Charge], Place | None]:
    """The charges of accounts that are due by a date and fit one bill, in order; and up to where, if there are more.

    What may wait for long takes no room from what comes after it: what is negative and corrects nothing is not counted,
    what corrects a line is passed over when an earlier part has looked at it, up to the place `after`.
    """
    queues = (_queue(Charge, account, accounts, books) for account in accounts)
    found: list[Charge] = []
    last = after or (date.min, "")
    for charge in merge(
        *(takewhile(lambda one: one.date <= on, queue) for queue in queues), key=attrgetter("order_key")
    ):
        corrected: set[str] = set()
        if charge.corrects is not None:
            if after is not None and charge.order_key <= after:
                continue
            corrected.add(charge.corrects.bill_no)
        lines = 1 if charge.corrects is not None or charge.net >= 0 else 0
        if not room.has(lines, corrected):
            return found, last
        room.take(lines, corrected)
        last = max(last, charge.order_key)
        found.append(charge)
    return found, None


def _of_charges(charges: list[Charge], books: Books) -> Iterator[Due]:
    """Charges as lines of a bill, with the invoices that they correct."""
    books.require(DocumentNeed(Invoice, one.corrects.bill_no) for one in charges if one.corrects is not None)
    corrected = {
        one.corrects.bill_no: find_invoice(one.corrects.bill_no, books) for one in charges if one.corrects is not None
    }
    books.require(DocumentNeed(Account, invoice.billing_account) for invoice in corrected.values())
    for charge in charges:
        corrects = charge.corrects
        origin = LineOrigin(charge.billing_account, charge.id, charge.subscription_id, None, charge.period, corrects)
        invoice = None if corrects is None else corrected[corrects.bill_no]
        yield Due(replace(charge.item, origin=origin), origin, charge.net, charge, invoice)


# -- subscriptions


def _visits(
    accounts: Sequence[Account], on: date, after: Rest, room: _Room, books: Books
) -> tuple[list[Visit], Rest | None]:
    """The subscriptions of accounts that something is due of, in order, as far as they fit; and what is left of them.

    What a bill has looked at stands no further back in the order than it did, so what comes behind the last one that a
    part has looked at was not looked at yet.
    """
    currencies = {account.id: account.kept_in for account in accounts}
    found: list[Visit] = []
    last = after.subscriptions
    if after.of is not None:
        subscription_id, day = after.of
        subscription = books.find(Subscription, subscription_id)
        assert subscription is not None, f"subscription {subscription_id} is not there any more"
        # Else another demand has billed the rest of it.
        if subscription.next_due is not None and subscription.next_due <= on:
            visit = _visit(subscription, currencies[subscription.billing_account], on, day, room, books)
            assert visit is not None, f"subscription {subscription_id} does not fit into a part of its own"
            found.append(visit)
            if visit.rest is not None:
                return found, Rest(None, last, (subscription_id, visit.rest))
    queues = (_queue(Subscription, account, accounts, books) for account in accounts)
    in_order = merge(
        *(takewhile(lambda one: one.order_key[0] <= on, queue) for queue in queues), key=attrgetter("order_key")
    )
    for subscription in in_order:
        # Another demand may have moved the one that this part began with to behind that place.
        looked_at = after.of is not None and subscription.id == after.of[0]
        if looked_at or subscription.next_due is None or (last is not None and subscription.order_key <= last):
            continue
        try:
            visit = _visit(subscription, currencies[subscription.billing_account], on, date.min, room, books)
        except NotLoaded as missing:
            needs = (*missing.needs, *_missing(in_order, currencies, on, books))
            raise NotLoaded(*dict.fromkeys(needs)) from None
        if visit is None:
            return found, Rest(None, last)
        found.append(visit)
        last = subscription.order_key
        if visit.rest is not None:
            return found, Rest(None, last, (subscription.id, visit.rest))
    return found, None


def _missing(
    subscriptions: Iterator[Subscription], currencies: dict[str, Currency], on: date, books: Books
) -> Iterator[Need]:
    """What else is not loaded of what is known to be due: a bill of many would ask for more too often, one by one."""
    try:
        for subscription in subscriptions:
            if subscription.next_due is not None:
                try:
                    _visit(subscription, currencies[subscription.billing_account], on, date.min, _Room(), books)
                except NotLoaded as missing:
                    yield from missing.needs
    except NotLoaded:
        return  # there are more, which are asked for once these are done


def _visit(
    subscription: Subscription, currency: Currency, on: date, since: date, room: _Room, books: Books
) -> Visit | None:
    """What is due of a subscription up to a date; None where it does not fit, and is left to a further part as a whole.

    What does not fit into a part alone is divided: the rest is of the periods that begin `since` a day. What is still
    due of earlier ones has had to wait, or has changed meanwhile, and waits for another demand.
    """
    rating = Rating(subscription.segments, used_by(subscription.id, books), currency)
    window = _window(subscription, on)
    due = list(_falling_due(subscription, rating, window, on))
    first = max(since, window.start)
    while sum(period.start >= since for _, period in due) > LINES_MAX and (left := (window.end - first).days) > 1:
        window = DateRange(window.start, first + timedelta(days=left // 2))
        due = list(_falling_due(subscription, rating, window, on))
    rest = None if window.end > on else window.end
    periods = {one.id: one for one in _billed(subscription, window.start, due, books)}
    for price_id, period in due:
        id_ = id_of(subscription.id, price_id, period)
        periods.setdefault(id_, BilledPeriod(id_, subscription.id, price_id, period, (), ()))
    dues: list[Due] = []
    charged: dict[str, tuple[BilledPeriod, tuple[Charged, ...]]] = {}
    waits = None
    for start, looked_at, more in _by_start(subscription, rating, periods.values(), rest, books):
        if start < since:
            waits = start if more and waits is None else waits
            continue
        corrected = {due.corrects.bill_no for due in more if due.corrects is not None}
        if not room.has(len(more), corrected):
            if not room.is_whole and not dues:
                return None
            if dues:
                rest = start
                break
        room.take(len(more), corrected)
        dues += more
        charged |= {one.id: (one, comes_to) for one, comes_to in looked_at}
    return Visit(subscription, rating, tuple(dues), charged, rest, waits)


def _by_start(
    subscription: Subscription, rating: Rating, periods: Iterable[BilledPeriod], until: date | None, books: Books
) -> Iterator[tuple[date, list[tuple[BilledPeriod, tuple[Charged, ...]]], list[Due]]]:
    """Periods that begin before a day by their first day, in order: what each comes to, and what is due of all.

    Raises `NotLoaded` for what all of them miss, as far as that is of not too many invoices.
    """
    missing: list[Need] = []
    in_order = sorted(periods, key=lambda one: (one.period.start, one.price_id, one.period.end))
    for start, group in groupby(in_order, key=lambda one: one.period.start):
        if (until is not None and start >= until) or len(missing) >= INVOICES_MAX:
            break
        try:
            looked_at = [(one, tuple(rating.charges(one.price_id, one.period))) for one in group]
            more = list(_of_periods(subscription, rating, looked_at, books))
        except NotLoaded as one_by_one:
            missing += one_by_one.needs
        if not missing:
            yield start, looked_at, more
    if missing:
        raise NotLoaded(*dict.fromkeys(missing))


def _window(subscription: Subscription, on: date) -> DateRange:
    """The days whose periods are looked at: up to a date, what is due after that begins later."""
    first = subscription.recheck_from
    if first is None:
        assert subscription.next_due is not None
        # It may be due on the day after its last.
        first = subscription.next_due - timedelta(days=1)
    return DateRange(min(first, on), min(on, date.max - timedelta(days=1)) + timedelta(days=1))


def _falling_due(
    subscription: Subscription, rating: Rating, window: DateRange, on: date
) -> Iterator[tuple[str, DateRange]]:
    """The periods that have a day in a window and are due by a date, by the terms that there are now."""
    ids = {price.id: None for segment in rating.segments for price in segment.terms.prices}
    for price_id in ids:
        for period in rating.periods(price_id, window):
            due = rating.due(price_id, period)
            if due <= on and (subscription.recheck_from is not None or due >= (subscription.next_due or due)):
                yield price_id, period


def _billed(
    subscription: Subscription, since: date, due: list[tuple[str, DateRange]], books: Books
) -> list[BilledPeriod]:
    """What was billed of the periods that are due; of what is looked at again, of all that have a day since then."""
    if subscription.recheck_from is not None:
        billed = books.queue(BilledPeriod, subscription.id)
        return list(takewhile(lambda one: one.period.end > since, billed))
    ids = [id_of(subscription.id, price_id, period) for price_id, period in due]
    books.require(DocumentNeed(BilledPeriod, id_) for id_ in ids)
    found = (books.find(BilledPeriod, id_) for id_ in ids)
    return [one for one in found if one is not None]


def _of_periods(
    subscription: Subscription,
    rating: Rating,
    looked_at: Iterable[tuple[BilledPeriod, tuple[Charged, ...]]],
    books: Books,
) -> Iterator[Due]:
    """What is to be billed of periods, as lines of a bill, with the invoices that they correct."""
    found = [
        PeriodDue(
            subscription,
            one.price_id,
            one.period,
            rating.due(one.price_id, one.period) if charged else one.period.start,
            difference,
            n,
        )
        for one, charged in looked_at
        for n, difference in enumerate(differences(charged, one.lines, one.period))
    ]
    numbers = {one.difference.corrects.bill_no for one in found if one.difference.corrects is not None}
    books.require(DocumentNeed(Invoice, number) for number in numbers)
    corrected = {number: find_invoice(number, books) for number in numbers}
    books.require(DocumentNeed(Account, invoice.billing_account) for invoice in corrected.values())
    for of in found:
        difference = of.difference
        days, corrects = difference.days, difference.corrects
        covered: Period | None = Period(books.start_of(days.start), books.start_of(days.end))
        name = _name(of)
        invoice = None
        if corrects is not None:
            invoice = corrected[corrects.bill_no]
            line = next(line for line in invoice.lines if line.id == corrects.line_id)
            name = line.description
            covered = covered if line.origin is None else line.origin.period
        origin = LineOrigin(subscription.billing_account, None, subscription.id, of.price_id, covered, corrects)
        yield Due(_item(difference, name, origin, rating.currency), origin, difference.net, of, invoice)


def _item(difference: Difference, name: str | None, origin: LineOrigin, currency: Currency) -> Item:
    """A difference as an item: what is not so many units at their price is one unit of what it comes to."""
    unit_price, quantity = difference.rate.unit_price, difference.quantity
    if unit_price is None or quantity is None or line_net(quantity, unit_price, currency) != difference.net:
        quantity, unit_price = Decimal(1), Decimal(difference.net).scaleb(-currency.digits)
    rate = difference.rate
    return Item("", name, quantity, unit_price, rate.category, rate.rate, rate.on_behalf_of, origin)


def _name(of: PeriodDue) -> str | None:
    """What the price is called in the period."""
    for segment in of.subscription.segments:
        price = segment.charged(of.price_id)
        if price is not None and (segment.days.overlap(of.period) or price.price_type == "oneTime"):
            return price.name
    return None


def _no_usage(_price_id: str, _days: DateRange) -> Decimal:
    return Decimal(0)
