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

    What is suspended already, by people or for another account, stays as it is.
    """
    served = list(islice(_served(account, on, books), SUBSCRIPTIONS_MAX + 1))
    books.require(DocumentNeed(Position, one.billing_account) for one in served)
    for count, subscription in enumerate(served):
        if count == SUBSCRIPTIONS_MAX:
            return False
        patch = Patch(on, ("suspended",), Terms((), suspended=True))
        change_subscription(SubscriptionToChange(subscription.id, "suspend", patch), books)
        revision = subscription.revision + 1
        id_ = f"{subscription.id}/{revision}"
        books.put(Suspension(id_, account.id, subscription.id, revision, step, books.cause))
    return True


def _served(account: Account, on: dt.date, books: Books) -> Iterator[Subscription]:
    accounts = {one.id: one for one in (account, *paid_for(account, books.start_of(on), books))}
    books.require(QueueNeed(Subscription, account_id) for account_id in accounts)
    for account_id in accounts:
        for subscription in books.open_now(Subscription, account_id):
            if (
                state_on(subscription.segments, subscription.start_date, on) == "active"
                and sum(patch.kind == "suspend" for patch in subscription.patches) < PATCHES_MAX
            ):
                yield subscription


def resume(dunning: Dunning, on: dt.date, books: Books) -> tuple[int, bool]:
    """Resume, from a day on, what steps have suspended that stand no more.

    Returns how many suspensions ended, and whether those were all. What is suspended by people as well stays so.
    """
    stand = {step.on for step in dunning.steps if step.action == "suspend"}
    over = (one for one in books.open_now(Suspension, dunning.id) if one.step not in stand)
    first = list(islice(over, SUBSCRIPTIONS_MAX + 1))
    ending = first[:SUBSCRIPTIONS_MAX]
    _require(ending, books)
    for suspension in ending:
        subscription = find_subscription(suspension.subscription, books)
        revision = None
        if _is_why(suspension, subscription, on):
            patch = Patch(on, ("suspended",), Terms(()))
            change_subscription(SubscriptionToChange(subscription.id, "resume", patch), books)
            revision = subscription.revision + 1
        books.put(replace(suspension, ended=EndedSuspension(on, revision, books.cause)))
    return len(ending), len(first) == len(ending)


def _require(suspensions: Sequence[Suspension], books: Books) -> None:
    """See that all is loaded at once that resuming these looks at: each may be of an account of its own."""
    books.require(DocumentNeed(Subscription, one.subscription) for one in suspensions)
    owners = {find_subscription(one.subscription, books).billing_account for one in suspensions}
    books.require(DocumentNeed(kind, owner) for owner in owners for kind in (Account, Position))


def _is_why(suspension: Suspension, subscription: Subscription, on: dt.date) -> bool:
    """Whether a subscription is suspended on a day, and would not be without this suspension.

    By what others have said of that day, whenever: people may suspend it for a day before the step, too.
    """
    if state_on(subscription.segments, subscription.start_date, on) != "suspended":
        return False
    others = [patch for patch in subscription.patches if patch.revision != suspension.revision]
    return not terms_on(subscription.start_date, subscription.terms, others, on).suspended
