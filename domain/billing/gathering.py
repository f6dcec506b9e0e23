"""Gathering: what is due on an account's bill up to a date, of its charges and of its subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from heapq import merge
from itertools import groupby, takewhile
from operator import attrgetter
from typing import TypeVar

from domain.accounts.model import Account
from domain.billing.billed import BilledPeriod, BilledPrice, PricePeriod
from domain.billing.differing import Difference, differences
from domain.billing.model import ALL_SUBSCRIPTIONS, Charge, Place, Rest
from domain.billing.planning import Plan, partner_needs, plan_of, usage_needs
from domain.billing.rating import Charged, Rating
from domain.billing.subscriptions import Subscription
from domain.billing.usage import counted, used_by
from domain.frozen import dataclass, replace
from domain.invoicing.model import CorrectsLine, Invoice, InvoiceLine, LineOrigin, Period, find_invoice
from domain.invoicing.pricing import Item
from domain.ledger.books import Books, DocumentNeed, Need, NotLoaded, Queued, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import Currency, line_net
from domain.ordering.booking import SELLERS_MAX
from domain.periods import DateRange

LINES_MAX = 1_000
"""The most lines of a bill; what is beyond goes on a further bill."""
INVOICES_MAX = 50
"""Of how many invoices one part of a bill takes something back; what is beyond goes on in a further part."""
CHARGES_FIRST = 16
"""How many charges of an account are read at first: a bill is short as a rule, and what is due later is not read."""
SUBSCRIPTIONS_FIRST = 4
"""How many subscriptions of an account are read at first."""

Q = TypeVar("Q", bound=Queued)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PeriodDue:
    """What is due of a period of a subscription's price, at a rate; `id` is the period's.

    `order_key` says where its line is on a bill: by the date on which it is due, then by the period, then by its place
    among what is due of that.
    """

    id: str
    order_key: Place
    subscription: Subscription
    price_id: str
    period: DateRange
    difference: Difference

    @property
    def date(self) -> date:
        """When it is due."""
        return self.order_key[0]


@dataclass(frozen=True, slots=True)
class Due:
    """What is due as one line: the item and its origin, what of it is billed (minor units), and what it is of.

    The item has no number, and not its origin yet. One that takes back what another line billed has that line's
    invoice, as it stands before the bill.
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
    plan: Plan
    dues: tuple[Due, ...]
    charged: dict[str, tuple[PricePeriod, tuple[Charged, ...]]]
    rest: date | None
    waits: date | None

    def counts(self, one: PricePeriod, books: Books) -> dict[str, int]:
        """How many records of usage each month of a period has, of a price of usage."""
        price_id = one.billed.price_id
        price = self.plan.prices.get(price_id)
        if price is not None and price.price_type == "usage":
            return counted(self.subscription.id, price_id, one.of.period, books)
        return {}

    @property
    def of_periods(self) -> list[PeriodDue]:
        """What its dues are of."""
        return [due.of for due in self.dues if isinstance(due.of, PeriodDue)]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is due on one part of a bill, in no order; `rest` is what is left to further parts, if anything is.

    Charges were looked at `through` a date, if they were; `passed` are those that are left to another bill.
    """

    charges: tuple[Due, ...]
    visits: tuple[Visit, ...]
    rest: Rest | None
    passed: tuple[Charge, ...] = ()
    through: date | None = None

    @property
    def dues(self) -> tuple[Due, ...]:
        """All that is due."""
        return (*self.charges, *(due for visit in self.visits for due in visit.dues))


def gathering_needs(account_id: str, on: date, books: WorkingSet, charges_through: date | None = None) -> list[Need]:
    """What is looked at of an account's own charges and subscriptions, as far as that can be told by now."""
    through = charges_through or on
    needs: list[Need] = [
        QueueNeed(Charge, account_id, CHARGES_FIRST, through),
        QueueNeed(Subscription, account_id, SUBSCRIPTIONS_FIRST),
    ]
    for charge in books.known(Charge, account_id, through):
        if charge.item.on_behalf_of is not None:
            needs += partner_needs(charge.item.on_behalf_of)
        if charge.corrects is not None:
            needs.append(DocumentNeed(Invoice, charge.corrects.bill_no))
    for subscription in books.known(Subscription, account_id):
        if subscription.next_due is not None and subscription.next_due <= on:
            needs += plan_of(subscription, on, date.min, LINES_MAX, books).needs
    return needs


def gather(
    accounts: Sequence[Account], on: date, after: Rest, books: Books, charges_through: date | None = None
) -> Gathered:
    """What is due of accounts up to a date, and fits one part of a bill: of subscriptions first, then of charges.

    Charges are due that are dated up to another date, if one is said.
    """
    through = charges_through or on
    first = ((Charge, CHARGES_FIRST, through), (Subscription, SUBSCRIPTIONS_FIRST, None))
    books.require(DocumentNeed(Position, account.id) for account in accounts)
    books.require(QueueNeed(kind, account.id, limit, end) for account in accounts for kind, limit, end in first)
    room = _Room()
    visits, rest = _visits(accounts, on, after, room, books)
    if rest is not None:
        return Gathered((), tuple(visits), replace(rest, charges=after.charges))
    charges, passed, seen_to = _due_charges(accounts, through, after.charges, room, books)
    more = None if seen_to is None else Rest(seen_to, ALL_SUBSCRIPTIONS)
    seen_through = through if seen_to is None else _day_before(seen_to[0])
    return Gathered(tuple(_of_charges(charges, books)), tuple(visits), more, tuple(passed), seen_through)


class _Room:
    """What a part of a bill still has room for."""

    def __init__(self) -> None:
        self.lines = LINES_MAX
        self.corrected: set[str] = set()
        self.partners: set[str | None] = {None}

    @property
    def is_whole(self) -> bool:
        return self.lines == LINES_MAX

    def has(self, lines: int, corrected: set[str], partners: set[str | None]) -> bool:
        # We are one of the sellers, and each partner may be one.
        return (
            lines <= self.lines
            and len(corrected | self.corrected) <= INVOICES_MAX
            and len(partners | self.partners) <= SELLERS_MAX
        )

    def takes_line(self, corrects: CorrectsLine | None, partner: str | None) -> bool:
        """Whether there is room for one line more; if so, it is taken."""
        is_as_before = (corrects is None or corrects.bill_no in self.corrected) and partner in self.partners
        if self.lines and is_as_before:
            self.lines -= 1
            return True
        corrected, partners = set() if corrects is None else {corrects.bill_no}, {partner}
        fits = self.has(1, corrected, partners)
        if fits:
            self.take(1, corrected, partners)
        return fits

    def take(self, lines: int, corrected: set[str], partners: set[str | None]) -> None:
        self.lines -= lines
        self.corrected |= corrected
        self.partners |= partners


def _queue(
    kind: type[Q], account: Account, accounts: Sequence[Account], books: Books, through: date | None = None
) -> Iterator[Q]:
    """What is open of an account; raises `NotLoaded` where that runs out: of all accounts, since each may run out."""
    try:
        yield from books.queue(kind, account.id, through)
    except NotLoaded as missing:
        [need] = missing.needs
        assert isinstance(need, QueueNeed)
        assert need.limit is not None
        books.require(QueueNeed(kind, one.id, max(need.limit, LINES_MAX + 1), through) for one in accounts)
        raise


def _in_order(queues: Iterable[Iterator[Q]]) -> Iterator[Q]:
    """What is in several queues, in order; most accounts pay for no other one."""
    first, *others = [*queues] or [iter(())]
    return merge(first, *others, key=attrgetter("order_key")) if others else first


# -- charges


def _due_charges(
    accounts: Sequence[Account], on: date, after: Place | None, room: _Room, books: Books
) -> tuple[list[Charge], list[Charge], Place | None]:
    """The charges of accounts that are due by a date and fit one bill, in order; and up to where, if there are more.

    Between them stand those that are passed over. What may wait for long takes no room from what comes after it: what
    is negative and corrects nothing is not counted, what corrects a line is passed over when an earlier part has looked
    at it, up to the place `after`.
    """
    queues = (_queue(Charge, account, accounts, books, on) for account in accounts)
    found: list[Charge] = []
    passed: list[Charge] = []
    last = after or (date.min, "")
    for charge in _in_order(queues):
        place = charge.order_key
        corrects = charge.corrects
        if corrects is not None and after is not None and place <= after:
            passed.append(charge)
            continue
        # What is negative and corrects nothing is not counted.
        if (corrects is not None or charge.net >= 0) and not room.takes_line(corrects, charge.item.on_behalf_of):
            return found, passed, last
        last = max(last, place)
        found.append(charge)
    return found, passed, None


def _day_before(day: date) -> date | None:
    """The last date of which nothing more comes, where there may be more of a day."""
    return day - timedelta(days=1) if day > date.min else None


def _of_charges(charges: list[Charge], books: Books) -> Iterator[Due]:
    """Charges as lines of a bill, with the invoices that they correct."""
    corrected: dict[str, Invoice] = {}
    if numbers := dict.fromkeys(one.corrects.bill_no for one in charges if one.corrects is not None):
        books.require(DocumentNeed(Invoice, number) for number in numbers)
        corrected = {number: find_invoice(number, books) for number in numbers}
        books.require(DocumentNeed(Account, invoice.billing_account) for invoice in corrected.values())
    for charge in charges:
        corrects = charge.corrects
        origin = LineOrigin(charge.billing_account, charge.id, charge.subscription_id, None, charge.period, corrects)
        invoice = None if corrects is None else corrected[corrects.bill_no]
        yield Due(charge.item, origin, charge.net, charge, invoice)


# -- subscriptions


def _visits(
    accounts: Sequence[Account], on: date, after: Rest, room: _Room, books: Books
) -> tuple[list[Visit], Rest | None]:
    """The subscriptions of accounts that something is due of, in order, as far as they fit; and what is left of them.

    What a bill has looked at stands no further back in the order than it did, so what comes behind the last one that a
    part has looked at was not looked at yet.
    """
    looks, more = _looks(accounts, on, after, books)
    if not looks:
        return [], None
    looked_at = _looked_at(looks, on, books)
    found: list[Visit] = []
    last = after.subscriptions
    for look, groups in zip(looks, looked_at, strict=True):
        visit = _visit(look, groups, on, room)
        if visit is None:
            return found, Rest(None, last)
        found.append(visit)
        # The one that a part begins with stands at that place already.
        if after.of is None or look.subscription.id != after.of[0]:
            last = look.subscription.order_key
        if visit.rest is not None:
            return found, Rest(None, last, (look.subscription.id, visit.rest))
    return found, Rest(None, last) if more else None


@dataclass(frozen=True, slots=True)
class _Look:
    """A subscription that is to be looked at, at its periods that begin `since` a day."""

    subscription: Subscription
    since: date
    plan: Plan
    rating: Rating


def _looks(accounts: Sequence[Account], on: date, after: Rest, books: Books) -> tuple[list[_Look], bool]:
    """The subscriptions that a part of a bill looks at, no more than may fit; and whether there are more."""
    currencies = {account.id: account.kept_in for account in accounts}
    looks: list[_Look] = []

    def look(subscription: Subscription, since: date) -> int:
        plan = plan_of(subscription, on, since, LINES_MAX, books)
        rating = _rating(subscription.id, plan, currencies[subscription.billing_account], books)
        looks.append(_Look(subscription, since, plan, rating))
        return max(1, len(plan.falling_due))

    count, begun_with = 0, None
    if after.of is not None:
        begun_with, day = after.of
        subscription = books.find(Subscription, begun_with)
        assert subscription is not None, f"subscription {begun_with} is not there any more"
        # Else another demand has billed the rest of it, or another account pays for it now.
        if subscription.is_due(on) and subscription.billing_account in currencies:
            count += look(subscription, day)
    queues = (_queue(Subscription, account, accounts, books) for account in accounts)
    for subscription in _in_order(takewhile(lambda one: one.order_key[0] <= on, queue) for queue in queues):
        # Another demand may have moved the one that this part begins with to behind that place.
        if subscription.id == begun_with or not subscription.is_due(on):
            continue
        if after.subscriptions is not None and subscription.order_key <= after.subscriptions:
            continue
        if count > LINES_MAX:
            return looks, True
        count += look(subscription, date.min)
    return looks, False


def _rating(subscription_id: str, plan: Plan, currency: Currency, books: Books) -> Rating:
    """What the periods of a subscription come to: the same of all that have its schedule, if none of it is usage."""
    used = used_by(subscription_id, books)
    if any(price.price_type == "usage" for price in plan.prices.values()):
        return Rating(plan.schedule, used, currency)
    return books.worked_out(plan.schedule, currency.code, lambda schedule: Rating(schedule, _nothing_used, currency))


def _nothing_used(_price_id: str, _days: DateRange) -> Decimal:
    return Decimal(0)


_Rated = tuple[PricePeriod, tuple[Charged, ...], list[T]]
"""A period of a price, what it comes to, and what of that is due."""


def _looked_at(looks: Sequence[_Look], on: date, books: Books) -> list[list[_Rated[Due]]]:
    """The periods of subscriptions in the order of their first days, each with what it comes to and what is due of it.

    What is not loaded is asked for of all of them together: each question is one more run of the fact.
    """
    periods = _together(looks, lambda look: _periods(look, on, books))
    books.require(
        need
        for look, found in zip(looks, periods, strict=True)
        for need in usage_needs(
            look.subscription.id,
            look.plan.schedule,
            look.plan.prices,
            ((one.billed.price_id, one.of.period) for one in found),
        )
    )
    rated = [[_rated(one, look) for one in found] for look, found in zip(looks, periods, strict=True)]
    corrected = (one.difference.corrects for found in rated for _, _, due in found for one in due)
    if numbers := {corrects.bill_no for corrects in corrected if corrects is not None}:
        books.require(DocumentNeed(Invoice, number) for number in numbers)
        invoices = [find_invoice(number, books) for number in numbers]
        partners = {line.on_behalf_of.id for one in invoices for line in one.lines if line.on_behalf_of is not None}
        of_invoices = {invoice.billing_account for invoice in invoices}
        books.require(need for id_ in sorted(partners | of_invoices) for need in partner_needs(id_))
    return [
        [(period, comes_to, [_as_line(one, period, look, books) for one in due]) for period, comes_to, due in found]
        for look, found in zip(looks, rated, strict=True)
    ]


def _rated(one: PricePeriod, look: _Look) -> _Rated[PeriodDue]:
    """A period with what it comes to, and what is to be billed of it, for it to come to that."""
    id_, period, price_id = one.id, one.of.period, one.billed.price_id
    charged = look.rating.charges(price_id, period)
    falling_due = look.plan.falling_due.get(id_)
    on = period.start if falling_due is None else falling_due.date
    due = [
        PeriodDue(id_, (on, f"{id_}/{n:06}"), look.subscription, price_id, period, difference)
        for n, difference in enumerate(differences(charged, one.billed.lines, period))
    ]
    return one, charged, due


def _together(looks: Iterable[_Look], ask: Callable[[_Look], T]) -> list[T]:
    """What is asked of each; raises `NotLoaded` for what all of them lack."""
    found: list[T] = []
    missing: list[Need] = []
    for look in looks:
        try:
            found.append(ask(look))
        except NotLoaded as lacking:
            missing += lacking.needs
    if missing:
        raise NotLoaded(*dict.fromkeys(missing))
    return found


def _periods(look: _Look, on: date, books: Books) -> list[PricePeriod]:
    """The periods of prices that are looked at, in the order of their first days, with what was billed of them."""
    subscription, plan = look.subscription, look.plan
    billed = _billed(subscription, plan, books)
    periods: dict[str, PricePeriod] = {}
    for of in billed.values():
        for one in of.by_price:
            # What is billed, and falls due later by the terms that there are now, is looked at then.
            if one.id in plan.falling_due or (
                subscription.recheck_from is not None and _is_looked_at(look.rating, one.billed.price_id, of.period, on)
            ):
                periods[one.id] = one
    for id_, due in plan.falling_due.items():
        if id_ not in periods:
            if due.of not in billed:
                billed[due.of] = BilledPeriod(due.of, subscription.id, due.period, ())
            periods[id_] = PricePeriod(id_, billed[due.of], BilledPrice(due.price_id, (), None))
    in_order = sorted(periods.values(), key=lambda one: (one.of.period.start, one.billed.price_id, one.of.period.end))
    if plan.window.end > on:
        return in_order
    return [one for one in in_order if one.of.period.start < plan.window.end]


def _is_looked_at(rating: Rating, price_id: str, period: DateRange, on: date) -> bool:
    """Whether what was billed of a period is looked at again: it is due, or nothing is charged for it any more."""
    return rating.due(price_id, period) <= on or not any(one == period for one in rating.periods(price_id, period))


def _visit(look: _Look, rated: Sequence[_Rated[Due]], on: date, room: _Room) -> Visit | None:
    """What is due of a subscription up to a date; None where it does not fit, and is left to a further part as a whole.

    What does not fit into a part alone is divided: the rest is of the periods that begin `since` a day. What is still
    due of earlier ones has had to wait, or has changed meanwhile, and waits for another demand.
    """
    rest = None if look.plan.window.end > on else look.plan.window.end
    dues: list[Due] = []
    charged: dict[str, tuple[PricePeriod, tuple[Charged, ...]]] = {}
    waits = None
    for start, begun in groupby(rated, key=lambda one: one[0].of.period.start):
        group = list(begun)
        more = [due for _, _, of_period in group for due in of_period]
        if start < look.since:
            if more:
                waits = start if waits is None else waits
            else:
                charged.update((period.id, (period, comes_to)) for period, comes_to, _ in group)
            continue
        corrected = {due.corrects.bill_no for due in more if due.corrects is not None}
        partners = {due.item.on_behalf_of for due in more}
        if not room.has(len(more), corrected, partners):
            if not room.is_whole and not dues:
                return None
            if dues:
                rest = start
                break
        room.take(len(more), corrected, partners)
        dues += more
        charged.update((period.id, (period, comes_to)) for period, comes_to, _ in group)
    return Visit(look.subscription, look.rating, look.plan, tuple(dues), charged, rest, waits)


def _billed(subscription: Subscription, plan: Plan, books: Books) -> dict[str, BilledPeriod]:
    """What was billed of the periods that are due; of what is looked at again, of all that have a day in the window."""
    books.require(plan.needs)
    if subscription.recheck_from is not None:
        billed = books.queue(BilledPeriod, subscription.id)
        return {one.id: one for one in takewhile(lambda one: one.period.end > plan.window.start, billed)}
    return {id_: one for id_ in plan.periods if (one := books.find(BilledPeriod, id_)) is not None}


def _as_line(of: PeriodDue, period: PricePeriod, look: _Look, books: Books) -> Due:
    """What is to be billed of a period as a line of a bill, with the invoice that it corrects."""
    difference = of.difference
    days, corrects = difference.days, difference.corrects
    covered: Period | None = Period(books.start_of(days.start), books.start_of(days.end))
    name, invoice = _name(of, look.plan), None
    if corrects is not None:
        invoice = find_invoice(corrects.bill_no, books)
        line = next(line for line in invoice.lines if line.id == corrects.line_id)
        name = line.description
        covered = covered if line.origin is None else line.origin.period
    origin = LineOrigin(look.subscription.billing_account, None, look.subscription.id, of.price_id, covered, corrects)
    item = _item(difference, name, look.rating.currency, is_first=not period.billed.lines)
    return Due(item, origin, difference.net, of, invoice)


def _item(difference: Difference, name: str | None, currency: Currency, *, is_first: bool) -> Item:
    """A difference as an item: what is not so many units at their price is one unit of what it comes to.

    What `is_first` to be billed of a period is all that is charged: its units, if it has any, come to its net.
    """
    unit_price, quantity = difference.rate.unit_price, difference.quantity
    if (
        unit_price is None
        or quantity is None
        or not (is_first or line_net(quantity, unit_price, currency) == difference.net)
    ):
        quantity, unit_price = Decimal(1), Decimal(difference.net).scaleb(-currency.digits)
    rate = difference.rate
    return Item("", name, quantity, unit_price, rate.category, rate.rate, rate.on_behalf_of)


def _name(of: PeriodDue, plan: Plan) -> str | None:
    """What the price is called on the days that are charged."""
    for segment, price in plan.schedule.charging(of.price_id):
        if segment.days.overlap(of.difference.days) or price.price_type == "oneTime":
            return price.name
    return None
