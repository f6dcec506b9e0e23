"""How dunning is kept: how far each account is, the steps that were taken, and what they suspended."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.dunning.model import DunnedDays, Dunning, DunningStep, Suspension, TakenStep

SUSPENDED = {"ended": {"$type": "null"}}

KEPT = (
    Kept(
        Layout(
            Dunning,
            parts=(Layout(TakenStep, absent=(("charge_id",), ("suspending",))),),
        ),
        Collection(
            "dunnings",
            id="account id",
            written="by a look at an account of which a step is taken or cleared, and by `payment.promise`",
            fields={
                "steps": "those that stand, by level: [{`on`: the day on which it was taken, `after`, `action`, "
                "`chargeId`: of the charge that it made, else left out; `suspending`: true while subscriptions are "
                "left to suspend, else left out}]",
                "steppedOn": "the day of the last step that was ever taken, or null",
                "promise": "the last one: {`id`, `until`, `amount`: or null, `bookedAt`}, or null",
                "revision": "how many facts changed anything of it",
            },
        ),
    ),
    Kept(
        Layout(DunnedDays),
        Collection(
            "dunnedDays",
            id="`dunning`: there is one",
            written="by `dunning.complete`",
            fields={
                "first": "the first day on which all accounts that owe were looked at",
                "newest": "the newest one; in an outage days are left out",
            },
        ),
    ),
    Kept(
        Layout(DunningStep, read=False),
        Collection(
            "dunningSteps",
            id="`<account>/<day>`: one a day",
            written="once, with the fact that takes it",
            fields={
                "billingAccount": "",
                "on": "the day",
                "level": "the how manieth it is of those that stand",
                "after": "how many days after the due date it comes",
                "action": "`remind`, `charge`, `suspend` or `collect`",
                "procedure": "the account's dunning procedure",
                "oldestDueDate": "the earliest due date of what was overdue",
                "overdue": "what was overdue",
                "currency": "",
                "chargeId": "of the charge that it made, or null",
                "cause": "an identity in `inbox`: `dunning.look:<account>/<day>`, or that and a number: its last part",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
    Kept(
        Layout(Suspension),
        Collection(
            "dunningSuspensions",
            id="`<subscriptionId>/<revision>`",
            written="once, with the fact that suspends it; `ended` is set once",
            fields={
                "billingAccount": "the account that is dunned",
                "subscription": "of that account, or of one that it pays for",
                "revision": "the subscription's that suspended it",
                "step": "the day of the step",
                "cause": "the identity of the fact that suspended it",
                "ended": "null as long as the step stands; then {`on`: from which day on it is resumed; `revision`: "
                "the subscription's that resumed it, or null where there was nothing to resume, or where another "
                "account's stands; `cause`}",
            },
            indexes=(
                # What is to be resumed of an account.
                IndexModel(
                    [("billingAccount", ASCENDING), ("step", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression=SUSPENDED,
                ),
            ),
            append_only=True,
            but_for=("ended",),
        ),
        queue=QueueRead("billingAccount", "step", SUSPENDED),
    ),
)
