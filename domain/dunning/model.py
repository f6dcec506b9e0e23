"""Dunning: which steps stand against an account, what it has promised, and what happens to that."""

from __future__ import annotations

import datetime as dt

from domain.accounts.specifications import Action
from domain.frozen import dataclass
from domain.money import Currency


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A step that stands against an account: taken on a day, by what its procedure says of that step.

    `after` is how many days after the due date it comes, by the procedure as it was when the account was looked at
    last. `suspending`: of a step that suspends, whether there are subscriptions left to suspend.
    """

    on: dt.date
    after: int
    action: Action
    charge_id: str | None = None
    suspending: bool | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """That an account pays by the end of a day what is overdue, or so much of it (minor units)."""

    id: str
    until: dt.date
    amount: int | None
    booked_at: dt.datetime

    def holds_on(self, day: dt.date) -> bool:
        """Whether it is still waited for on a day."""
        return day <= self.until


@dataclass(frozen=True, slots=True)
class Dunning:
    """How far the dunning of an account is; `id` is the account's.

    `steps` are those that stand, by level, `stepped_on` is the day of the last one that was ever taken. `revision`
    counts the facts that changed anything of it: two that do can't both commit.
    """

    id: str
    steps: tuple[TakenStep, ...] = ()
    stepped_on: dt.date | None = None
    promise: Promise | None = None
    revision: int = 0

    @property
    def level(self) -> int:
        """How many steps stand."""
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class DunningStep:
    """A step that was taken: append-only; one a day, so the account and the day are its `id`.

    `overdue` (minor units) is what was, `oldest_due_date` since when. `charge_id` is the charge that it made.
    """

    id: str
    billing_account: str
    on: dt.date
    level: int
    after: int
    action: Action
    procedure: str
    oldest_due_date: dt.date
    overdue: int
    currency: str
    charge_id: str | None
    cause: str
    booked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class EndedSuspension:
    """How a suspension by dunning ended: `revision` is the subscription's that resumed it.

    None where there was nothing to resume: it was ended or resumed by then, or is suspended by people too, or for
    another account that is dunned.
    """

    on: dt.date
    revision: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """A subscription that a step suspended, of the account or of one that it pays for, until dunning resumes it.

    `revision` is the subscription's that suspended it, and `step` the day of the step; `id` is made of the
    subscription and that revision. Where another account's step has suspended it before, both have one.
    """

    id: str
    billing_account: str
    subscription: str
    revision: int
    step: dt.date
    cause: str
    ended: EndedSuspension | None = None

    @property
    def owner(self) -> str:
        """The account that is dunned."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[dt.date, str]:
        """The order in which they are resumed."""
        return (self.step, self.id)

    @property
    def is_open(self) -> bool:
        """Whether dunning has still to resume it."""
        return self.ended is None


DUNNED = "dunning"
"""The id of the days on which all were looked at: there is one document."""


@dataclass(frozen=True, slots=True)
class DunnedDays:
    """The days on which all accounts that owe were looked at: the `first` and the `newest`; an outage may lie between.

    What was due before the first is neither asked for nor told of: another system has done so.
    """

    id: str
    first: dt.date
    newest: dt.date


# -- facts


@dataclass(frozen=True, slots=True)
class AccountToDun:
    """`dunning.look`: an account is looked at, by what it owes then.

    On a `date` that has come it may come a step further; without one, only what stands is held against what is owed,
    since that has changed, or goes on with what is to be suspended or resumed. `sequence` tells apart what facts leave
    to do: the number of the account's last event and the revision of its dunning together; with a date it is the rest
    of a look that had more to request, or to tell, than one transaction does.
    """

    billing_account: str
    date: dt.date | None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class DayToComplete:
    """`dunning.complete`: on a date all accounts that owe were looked at. A worker says so to itself."""

    date: dt.date


@dataclass(frozen=True, slots=True)
class DunnedDayResult:
    """The newest day on which all accounts that owe were looked at."""

    date: dt.date


@dataclass(frozen=True, slots=True)
class PaymentToPromise:
    """`payment.promise`: an account says that it pays by the end of a day; without an `amount`, all that is overdue.

    The amount is in minor units of `currency`.
    """

    id: str
    billing_account: str
    until: dt.date
    amount: int | None = None
    currency: Currency | None = None


@dataclass(frozen=True, slots=True)
class DunningResult:
    """What a promise, or a look, is answered with: how many steps stand then."""

    level: int


# -- what happens


@dataclass(frozen=True, slots=True)
class DunningStepTaken:
    """A step was taken against an account."""

    step: DunningStep


@dataclass(frozen=True, slots=True)
class DunningCleared:
    """Steps stand no longer against an account: of `old_level`, as many as `level`.

    `overdue` (minor units) is what still is, `on` the newest day.
    """

    billing_account: str
    on: dt.date
    level: int
    old_level: int
    overdue: int
    currency: str
