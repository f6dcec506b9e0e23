"""Subscriptions: what is agreed with a customer for a time, each change of it, and what happens to them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal

from domain.billing.rating import Schedule
from domain.billing.terms import Patch, Segment, SubscriptionState, Terms, segments_of, terms_on
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, WorkingSet
from domain.money import Currency

ChangeKind = Literal["change", "suspend", "resume", "terminate"]
"""What changes a subscription's terms: the messages' last words."""


@dataclass(frozen=True, slots=True)
class AppliedPatch(Patch):
    """A change of a subscription's terms as it was applied: part of its history.

    `revision` is the one that it made, `cause` the identity of the fact that said it.
    """

    revision: int
    kind: ChangeKind
    cause: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a billing account is charged for over time: the terms agreed first, and each change of them, in order.

    `state` is that of the newest day begun, or of an earlier one as long as a turn is left to do. Before `next_due`
    nothing of it is due, and nothing more ever is where that is None: all that fell due before is billed.
    `recheck_from` is a day from which on the next bill looks at all periods again, billed or not; where there is one,
    `next_due` is the start. It is None where nothing changed since the last bill.
    """

    id: str
    billing_account: str
    currency: str
    start_date: date
    terms: Terms
    patches: tuple[AppliedPatch, ...]
    state: SubscriptionState
    revision: int
    booked_at: datetime
    next_due: date | None
    recheck_from: date | None

    @property
    def owner(self) -> str:
        """The account that it is billed to, or whose payer it is billed to."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[date, str]:
        """The order in which subscriptions fall due; those of which nothing more will be come first."""
        return (self.next_due or date.min, self.id)

    @property
    def is_open(self) -> bool:
        """Whether it is live, or something of it is still to be billed."""
        return self.state != "terminated" or self.next_due is not None

    def is_due(self, on: date) -> bool:
        """Whether something of it may be due by a date."""
        return self.next_due is not None and self.next_due <= on

    @property
    def all_terms(self) -> tuple[Terms, ...]:
        """The terms agreed first, and those of its changes."""
        return (self.terms, *(patch.terms for patch in self.patches))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What it is on each of its days."""
        return segments_of(self.start_date, self.terms, self.patches)

    def looked_at_again(self, day: date) -> Subscription:
        """The subscription when the next bill is to look at the periods again that have this day, or a later one."""
        first = day
        if self.recheck_from is not None:
            first = min(day, self.recheck_from)
        elif self.next_due is not None:
            # What falls due from then on is not billed yet; a period may be due on the day after its last.
            first = min(day, self.next_due - timedelta(days=1))
        return replace(self, recheck_from=first, next_due=self.start_date)

    def terms_on(self, day: date) -> Terms:
        """The terms that are agreed for a day."""
        return terms_on(self.start_date, self.terms, self.patches, day)


def schedule_of(subscription: Subscription, books: Books | WorkingSet) -> Schedule:
    """Which periods its prices have, and when each is due, worked out once until its terms change.

    Of all that start on one day by the same terms, and were not changed since, it is the same object.
    """
    # Each change of the terms is a patch: what else changes of it, as a bill does, leaves the schedule as it is.
    of = subscription.patches or subscription.terms
    return books.worked_out(of, subscription.start_date, lambda _: Schedule(subscription.segments))


# -- facts


@dataclass(frozen=True, slots=True)
class SubscriptionToCreate:
    """`subscription.create`: what is agreed first."""

    id: str
    billing_account: str
    start_date: date
    currency: Currency
    terms: Terms


@dataclass(frozen=True, slots=True)
class SubscriptionToChange:
    """`subscription.change`, `.suspend`, `.resume` or `.terminate`: other terms from a date on, which may be past."""

    subscription: str
    kind: ChangeKind
    patch: Patch
    if_revision: int | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionTurn:
    """`subscription.turn`: a day has come on which the state changes by itself, as of that revision."""

    subscription: str
    revision: int
    date: date


# -- what came of it


@dataclass(frozen=True, slots=True)
class SubscriptionResult:
    """What a message about a subscription is answered with: the subscription as it leaves it."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionCreated:
    """A subscription was agreed; `on` is the newest day begun."""

    subscription: Subscription
    on: date


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    """The last of a subscription's patches was applied; `on` is the newest day begun."""

    subscription: Subscription
    on: date


@dataclass(frozen=True, slots=True)
class SubscriptionStateChanged:
    """A subscription has come from one state to another, as of a day."""

    subscription: Subscription
    on: date
    old_state: SubscriptionState
