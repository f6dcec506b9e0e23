"""Subscribing: what is agreed with a customer, what changes of it and from when on, and what time makes of that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from domain.accounts.lifecycle import billing_account, settlement_account
from domain.accounts.model import Account
from domain.billing.subscriptions import (
    AppliedPatch,
    Subscription,
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionResult,
    SubscriptionStateChanged,
    SubscriptionToChange,
    SubscriptionToCreate,
    SubscriptionTurn,
)
from domain.billing.terms import (
    BYTES_MAX,
    PATCHES_MAX,
    ProductPrice,
    Terms,
    end_of,
    first_difference,
    next_turn,
    state_on,
)
from domain.days.model import CALENDAR, Calendar, newest_day
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Currency, line_net, within_limit

FIRST_START = date(1970, 1, 1)
"""The earliest start of a subscription: all its periods since then are billed."""


def creation_needs(new: SubscriptionToCreate, _books: WorkingSet) -> Iterator[Need]:
    """What a new subscription looks at."""
    yield DocumentNeed(Account, new.billing_account)
    yield DocumentNeed(Position, new.billing_account)
    yield DocumentNeed(Calendar, CALENDAR)
    yield from _partners(new.terms)


def create_subscription(new: SubscriptionToCreate, books: Books) -> SubscriptionResult:
    """Keep what is agreed; returns it. Nothing is posted, and nothing is billed yet.

    Raises `MustWait` (`unknown-account`, `account-suspended`) and `Refused`: `currency-mismatch`, `account-closed`,
    `invalid` for an account of another type, an amount beyond the limit, or dates on which nothing is served.
    """
    account = billing_account(new.billing_account, new.currency.code, books, "billing")
    _check_dates(new.terms, new.start_date, "")
    _check_prices(new.terms.prices, account.kept_in, "productPrice", books)
    subscription = Subscription(
        id=new.id,
        billing_account=account.id,
        currency=account.currency,
        start_date=new.start_date,
        terms=new.terms,
        patches=(),
        state="pendingActive",
        revision=1,
        booked_at=books.booked_at,
        next_due=new.start_date,
        recheck_from=None,
    )
    on = newest_day(books)
    subscription = _as_of(on, subscription, books)
    books.put(subscription)
    # Its account can't be closed at the same time: that writes the position too.
    books.count(account.id, "used")
    books.emit(account.id, SubscriptionCreated(subscription, on))
    books.announce(f"subscription:{subscription.id}")
    return SubscriptionResult(subscription)


def change_needs(change: SubscriptionToChange, books: WorkingSet) -> Iterator[Need]:
    """What a change looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Subscription, change.subscription)
    yield DocumentNeed(Calendar, CALENDAR)
    yield from _partners(change.patch.terms)
    yield from account_needs(change.subscription, books)


def change_subscription(change: SubscriptionToChange, books: Books, *, joins: bool = False) -> SubscriptionResult:
    """Change what is agreed from a date on, which may be past; returns the subscription as it is then.

    Each change that is applied is a new revision; one that `joins` what has suspended it already may suspend it again.
    Raises `MustWait` (`unknown-subscription`, `unknown-account`, `account-suspended`) and `Refused`:
    `revision-mismatch`, `account-closed`, `wrong-state` for what its state on that date does not allow, for an end that
    what is agreed for a later day keeps as it is, or for too many changes, `invalid` for a date before it starts and
    what `create_subscription` calls so.
    """
    before = find_subscription(change.subscription, books)
    account = billing_account(before.billing_account, None, books, "billing", "subscriptionId")
    if change.if_revision not in (None, before.revision):
        detail = f"ifRevision: {change.if_revision}, but subscription {before.id} is at revision {before.revision}"
        raise Refused("revision-mismatch", detail)
    _check_state(change, before, joins=joins)
    patch = change.patch
    _check_dates(patch.terms, before.start_date, "changes.")
    _check_prices(patch.terms.prices, account.kept_in, "changes.productPrice", books)
    _check_types(patch.terms.prices, before)
    applied = AppliedPatch(
        effective_date=patch.effective_date,
        changed=patch.changed,
        terms=patch.terms,
        revision=before.revision + 1,
        kind=change.kind,
        cause=books.cause,
        booked_at=books.booked_at,
    )
    on = newest_day(books)
    changed = replace(before, patches=(*before.patches, applied), revision=applied.revision)
    _check_size(changed)
    _check_end(changed, before)
    first = first_difference(before.segments, changed.segments)
    subscription = _as_of(on, changed if first is None else changed.looked_at_again(first), books)
    books.put(subscription)
    books.count(account.id, "used")
    books.emit(account.id, SubscriptionChanged(subscription, on))
    if subscription.state != before.state:
        books.emit(account.id, SubscriptionStateChanged(subscription, on, before.state))
    return SubscriptionResult(subscription)


def turn_needs(turn: SubscriptionTurn, books: WorkingSet) -> Iterator[Need]:
    """What a turn looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Subscription, turn.subscription)
    yield DocumentNeed(Calendar, CALENDAR)
    yield from account_needs(turn.subscription, books)


def turn_subscription(turn: SubscriptionTurn, books: Books) -> SubscriptionResult:
    """Let a subscription be what it is on a day that has come; returns it. After another change it stays as it is.

    Raises `MustWait` (`day-gap`) when the day is not begun: its clock may be ahead of that. After an outage the day may
    be over, and not begun yet; then it does not wait, since that might be for too long.
    """
    if newest_day(books) < turn.date and books.date_of(books.booked_at) <= turn.date:
        raise MustWait("day-gap", f"date: {turn.date} is not begun", f"day:{turn.date}")
    before = find_subscription(turn.subscription, books)
    if before.revision != turn.revision:
        return SubscriptionResult(before)
    subscription = _as_of(turn.date, before, books)
    books.put(subscription)
    books.count(subscription.billing_account, "used")
    books.emit(subscription.billing_account, SubscriptionStateChanged(subscription, turn.date, before.state))
    return SubscriptionResult(subscription)


def find_subscription(subscription_id: str, books: Books) -> Subscription:
    """The subscription that a fact names; raises `MustWait` (`unknown-subscription`)."""
    subscription = books.find(Subscription, subscription_id)
    if subscription is None:
        detail = f"subscriptionId: no subscription {subscription_id}"
        raise MustWait("unknown-subscription", detail, f"subscription:{subscription_id}")
    return subscription


def account_needs(subscription_id: str, books: WorkingSet) -> Iterator[Need]:
    """A subscription's account, once it is known which that is."""
    subscription = books.peek(Subscription, subscription_id)
    if subscription is not None:
        yield DocumentNeed(Account, subscription.billing_account)
        yield DocumentNeed(Position, subscription.billing_account)


def _partners(terms: Terms) -> Iterator[Need]:
    for price in terms.prices:
        if price.on_behalf_of is not None:
            yield DocumentNeed(Account, price.on_behalf_of)


def _as_of(on: date, subscription: Subscription, books: Books) -> Subscription:
    """A subscription in the state of a day; what it becomes by itself after that day is left to do then."""
    segments = subscription.segments
    turn = next_turn(segments, subscription.start_date, on)
    if turn is not None:
        books.continue_with(SubscriptionTurn(subscription.id, subscription.revision, turn), at=books.start_of(turn))
    return replace(subscription, state=state_on(segments, subscription.start_date, on))


def _check_state(change: SubscriptionToChange, before: Subscription, *, joins: bool) -> None:
    """Check that a subscription is what a change makes something else of, on the date from which it does."""
    day = change.patch.effective_date
    if day < before.start_date:
        detail = f"effectiveDate: {day} is before {before.start_date}, when subscription {before.id} starts"
        raise Refused("invalid", detail)
    end = end_of(before.segments, before.start_date)
    # On the day on which it would end, that can still be agreed otherwise.
    goes_on = change.kind == "change" and day == end and "termination_date" in change.patch.changed
    if day >= end and not goes_on:
        detail = f"effectiveDate: on {day} subscription {before.id} is terminated, as of {end}"
        raise Refused("wrong-state", detail)
    suspended = before.terms_on(day).suspended
    if suspended and change.kind == "suspend" and not joins:
        raise Refused("wrong-state", f"effectiveDate: on {day} subscription {before.id} is suspended already")
    if not suspended and change.kind == "resume":
        raise Refused("wrong-state", f"effectiveDate: on {day} subscription {before.id} is not suspended")
    ends = change.patch.terms.termination_date
    if ends is not None and ends < day:
        raise Refused("invalid", f"changes.terminationDate: {ends} is before {day}, the effectiveDate")


def _check_dates(terms: Terms, start: date, path: str) -> None:
    """Check that what is agreed of a subscription is of days on which it is served."""
    if start < FIRST_START:
        raise Refused("invalid", f"startDate: must not be earlier than {FIRST_START}")
    if start == date.max:
        raise Refused("invalid", f"startDate: must be earlier than {date.max}, the last day that there is")
    for name, day in (("trialEndDate", terms.trial_end_date), ("terminationDate", terms.termination_date)):
        if day is not None and day < start:
            raise Refused("invalid", f"{path}{name}: {day} is before {start}, when the subscription starts")
    if not path and terms.termination_date == start:
        raise Refused(
            "invalid", f"terminationDate: must be later than startDate, {start}: it is the first day not served"
        )


def _check_prices(prices: tuple[ProductPrice, ...], currency: Currency, path: str, books: Books) -> None:
    """Check that each price can be charged: its amount is within the limit, and its partner's account takes it."""
    for n, price in enumerate(prices):
        if price.unit_price is not None:
            within_limit(line_net(price.quantity, price.unit_price, currency), currency, "{}.{}", path, n)
        if price.amount is not None:
            within_limit(line_net(Decimal(1), price.amount, currency), currency, "{}.{}.amount", path, n)
        if price.on_behalf_of is not None:
            field = f"{path}.{n}.onBehalfOf.id"
            settlement_account(price.on_behalf_of, currency.code, books, "accrual", field)


def _check_types(prices: tuple[ProductPrice, ...], before: Subscription) -> None:
    """Check that each price is of the type that its id has always had: what was billed of it is told by the id."""
    types = {price.id: price.price_type for terms in before.all_terms for price in terms.prices}
    for n, price in enumerate(prices):
        if types.get(price.id, price.price_type) != price.price_type:
            detail = f"price {price.id} of subscription {before.id} is {types[price.id]}: another type needs another id"
            raise Refused("invalid", f"changes.productPrice.{n}.priceType: {detail}")


def _check_end(changed: Subscription, before: Subscription) -> None:
    """Check that an end which is agreed otherwise is not left as it was by what is agreed of it for a later day."""
    said = changed.patches[-1]
    if said.kind != "change" or "termination_date" not in said.changed:
        return
    asked = said.terms.termination_date or date.max
    end = end_of(changed.segments, changed.start_date)
    if end == asked or end != end_of(before.segments, before.start_date):
        return
    later = (one.effective_date for one in before.patches if "termination_date" in one.changed)
    day = max((day for day in later if said.effective_date < day <= min(asked, end)), default=None)
    if day is not None:
        detail = f"from {day} on what was agreed for that day holds, and subscription {before.id} ends as before"
        raise Refused("wrong-state", f"changes.terminationDate: {detail}: send it with effectiveDate {day}")


def _check_size(subscription: Subscription) -> None:
    """Check that a subscription with its last patch can be kept: what others there are of its kind says so alone."""
    kind = subscription.patches[-1].kind
    alike = [patch for patch in subscription.patches if patch.kind == kind]
    if len(alike) > PATCHES_MAX:
        many = f"subscriptionId: {subscription.id} has {PATCHES_MAX:,} changes by subscription.{kind}, the most"
        raise Refused("wrong-state", many)
    if (
        kind == "change"
        and sum(terms.bytes_max for terms in (subscription.terms, *(one.terms for one in alike))) > BYTES_MAX
    ):
        detail = f"subscriptionId: {subscription.id} was changed so often that no more prices can be kept with it"
        raise Refused("wrong-state", detail)
