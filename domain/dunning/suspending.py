"""Suspending: a step suspends subscriptions, and when it stands no more, they are resumed: those, and no others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import islice

from domain.accounts.model import Account
from domain.accounts.relations import paid_for
from domain.billing.subscribing import change_subscription, find_subscription
from domain.billing.subscriptions import Subscription, SubscriptionToChange
from domain.billing.terms import PATCHES_MAX, Patch, Terms, state_on, terms_on
from domain.dunning.model import Dunning, EndedSuspension, Suspension
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, QueueNeed
from domain.ledger.positions import Position

SUBSCRIPTIONS_MAX = 50
"""How many subscriptions one transaction suspends, or resumes; the rest goes on in another one."""


def suspend(account: Account, step: dt.date, on: dt.date, books: Books) -> bool:
    """Suspend what an account, and those that it pays for, are served on a day; returns whether that is all.

    What dunning has suspended for other accounts is suspended for this one as well, by a revision of its own. What
    people have suspended stays as it is.
    """
    found = list(islice(_to_suspend(account, on, books), SUBSCRIPTIONS_MAX + 1))
    books.require(DocumentNeed(Position, one.billing_account) for one in found)
    for subscription in found[:SUBSCRIPTIONS_MAX]:
        patch = Patch(on, ("suspended",), Terms((), suspended=True))
        change_subscription(SubscriptionToChange(subscription.id, "suspend", patch), books, joins=True)
        revision = subscription.revision + 1
        id_ = f"{subscription.id}/{revision}"
        books.put(Suspension(id_, account.id, subscription.id, revision, step, books.cause))
    return len(found) <= SUBSCRIPTIONS_MAX


def _to_suspend(account: Account, on: dt.date, books: Books) -> Iterator[Subscription]:
    accounts = {one.id: one for one in (account, *paid_for(account, books.start_of(on), books))}
    books.require(QueueNeed(Subscription, account_id) for account_id in accounts)
    found = [
        (subscription, state)
        for account_id in accounts
        for subscription in books.open_now(Subscription, account_id)
        if (state := state_on(subscription.segments, subscription.start_date, on)) in ("active", "suspended")
        and sum(patch.kind == "suspend" for patch in subscription.patches) < PATCHES_MAX
    ]
    books.require(need for one, state in found if state == "suspended" for need in _suspension_needs(one))
    for subscription, state in found:
        if state == "active" or _is_for_others(account.id, subscription, books):
            yield subscription


def _suspension_needs(subscription: Subscription) -> Iterator[DocumentNeed]:
    """The suspensions of a subscription by dunning; by the revisions of people's there are none."""
    for patch in subscription.patches:
        if patch.kind == "suspend":
            yield DocumentNeed(Suspension, f"{subscription.id}/{patch.revision}")


def _suspensions(subscription: Subscription, books: Books) -> list[Suspension]:
    found = (books.find(Suspension, need.id) for need in _suspension_needs(subscription))
    return [one for one in found if one is not None]


def _is_for_others(account_id: str, subscription: Subscription, books: Books) -> bool:
    """Whether steps against other accounts have suspended a subscription, and none against this one has."""
    accounts = {one.billing_account for one in _suspensions(subscription, books) if one.is_open}
    return bool(accounts) and account_id not in accounts


def resume(dunning: Dunning, on: dt.date, books: Books) -> tuple[int, bool]:
    """Resume, from a day on, what steps have suspended that stand no more.

    Returns how many suspensions ended, and whether those were all. What is suspended by people as well stays so, and
    what is for another account, until that one's ends.
    """
    stand = {step.on for step in dunning.steps if step.action == "suspend"}
    over = (one for one in books.open_now(Suspension, dunning.id) if one.step not in stand)
    first = list(islice(over, SUBSCRIPTIONS_MAX + 1))
    ending = first[:SUBSCRIPTIONS_MAX]
    _require(ending, books)
    for suspension in ending:
        subscription = find_subscription(suspension.subscription, books)
        revision = None
        if state_on(subscription.segments, subscription.start_date, on) == "suspended":
            if _is_why(suspension, subscription, on, books):
                patch = Patch(on, ("suspended",), Terms(()))
                change_subscription(SubscriptionToChange(subscription.id, "resume", patch), books)
                revision = subscription.revision + 1
            else:
                # Two that end at the same time can't both leave it to the other.
                books.touch(subscription.billing_account)
        books.put(replace(suspension, ended=EndedSuspension(on, revision, books.cause)))
    return len(ending), len(first) == len(ending)


def _require(suspensions: Sequence[Suspension], books: Books) -> None:
    """See that all is loaded at once that resuming these looks at: each may be of an account of its own."""
    books.require(DocumentNeed(Subscription, one.subscription) for one in suspensions)
    subscriptions = [find_subscription(one.subscription, books) for one in suspensions]
    books.require(need for one in subscriptions for need in _suspension_needs(one))
    owners = {one.billing_account for one in subscriptions}
    books.require(DocumentNeed(kind, owner) for owner in owners for kind in (Account, Position))


def _is_why(suspension: Suspension, subscription: Subscription, on: dt.date, books: Books) -> bool:
    """Whether a subscription would not be suspended on a day without this suspension, and those that have ended.

    By what others have said of that day, whenever: people may suspend it for a day before the step, too.
    """
    over = {one.revision for one in _suspensions(subscription, books) if not one.is_open} | {suspension.revision}
    others = [patch for patch in subscription.patches if patch.revision not in over]
    return not terms_on(subscription.start_date, subscription.terms, others, on).suspended
