"""Accounts that owe and are dunned: what becomes of what they owe, and what dunning must have done about it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from tests.support.books import Books, Document
from tests.support.messages import Message, customer, eur, item, monthly, order, procedure, relationship, subscription

STEPS = ((1, "remind"), (2, "charge"), (3, "suspend"))
"""How many days after the due date, and what is done."""
STRICT, LENIENT = "D-strict", "D-lenient"
"""The procedures: the second leaves alone who owes less than the threshold."""
THRESHOLD = 5
"""Euros."""
FIRST_DAY = "2026-01-05"
"""On which subscriptions begin, in arrears by the year: none of them is ever billed."""

What = Literal[
    "pays nothing",
    "pays",
    "pays nearly all",
    "pays half",
    "pays, and it comes back",
    "disputes",
    "disputes, and withdraws it",
    "promises",
    "promises, and the day is over",
    "is collected from",
    "is collected from in vain",
]
"""What becomes of what an account owes."""
WHATS: tuple[What, ...] = What.__args__  # type: ignore[attr-defined]
AT_ONCE: tuple[What, ...] = (
    "pays, and it comes back",
    "disputes, and withdraws it",
    "promises, and the day is over",
    "is collected from",
    "is collected from in vain",
)
"""What does not wait for a step: the days that come at the end have to be enough for all steps after it."""


@dataclass(frozen=True)
class Debtor:
    """An account that owes an invoice, due on its day, and has a subscription, or pays for the account that has it.

    It does `what` as it is told of a step of the `level`; with 0 some time after the invoice.
    """

    account: str
    what: What
    level: int
    euros: int
    pays_for: str | None

    @property
    def subscription(self) -> str:
        """The id of the subscription that is suspended."""
        return f"S-{self.account}"

    @property
    def cents(self) -> int:
        """What it owes, with tax."""
        return 120 * self.euros

    def opening(self) -> dict[str, Message]:
        """The account, whom it pays for, the subscription and the order, by the ids of what they make."""
        collected = self.what.startswith("is collected from")
        named = LENIENT if self.what == "pays nearly all" else STRICT
        found = {
            self.account: customer(
                self.account,
                paymentTermDays=0,
                dunningProcedure={"id": named},
                **({"defaultPaymentMethod": {"id": "PM-1"}} if collected else {}),
            ),
            f"O-{self.account}": order(f"O-{self.account}", self.account, item(1, self.euros)),
            self.subscription: subscription(
                self.subscription,
                self.pays_for or self.account,
                monthly("P-1", 12, billed="inArrears", recurringChargePeriodType="year"),
                start=FIRST_DAY,
            ),
        }
        if self.pays_for is not None:
            found[self.pays_for] = customer(self.pays_for, accountRelationship=[relationship("payer", self.account)])
        return found


def procedures() -> dict[str, Message]:
    """Both, by their ids."""
    return {STRICT: procedure(STRICT, *STEPS), LENIENT: procedure(LENIENT, *STEPS, threshold=eur(THRESHOLD))}


def judge(debtors: dict[str, Debtor], database: Books) -> list[str]:
    """What is wrong of what dunning has done to each, by the events of its account, in their order, and in the end."""
    newest = date.fromisoformat((database["calendar"].find_one() or {"newest": "0001-01-01"})["newest"])
    told: defaultdict[str, list[Document]] = defaultdict(list)
    for row in database["outbox"].find({"account": {"$in": list(debtors)}}).sort("sequence"):
        told[row["account"]].append(row)
    levels = {row["_id"]: len(row["steps"]) for row in database["dunnings"].find()}
    states = {row["_id"]: row["state"] for row in database["subscriptions"].find({}, {"state": 1})}
    charged: defaultdict[str, set[str]] = defaultdict(set)
    for row in database["charges"].find({"_id": {"$regex": "^dunning~"}}, {"billingAccount": 1}):
        charged[row["billingAccount"]].add(row["_id"])
    wrong = []
    for account, debtor in debtors.items():
        course = Course(debtor)
        wrong += [f"{account}, which {debtor.what}: {one}" for one in course.follow(told[account])]
        should, level = course.level_on(newest), levels.get(account, 0)
        suspended = "suspended" if should == len(STEPS) else "active"
        for found, due in (
            (f"it is at level {level}", f"it is at level {should}"),
            (f"its subscription is {states.get(debtor.subscription)}", f"its subscription is {suspended}"),
            (f"it has the fees {sorted(charged[account])}", f"it has the fees {sorted(course.fees)}"),
        ):
            if found != due:
                wrong.append(f"{account}, which {debtor.what}: {found}, and should be: {due}")
    return wrong


class Course:
    """What an account owes, event by event, and how far dunning is; `fees` are the charges that steps have named."""

    def __init__(self, debtor: Debtor) -> None:
        self._debtor = debtor
        self._least = 100 * THRESHOLD if debtor.what == "pays nearly all" else 1
        self._owes = 0
        self._disputed = self._promised = self._requested = False
        self._due = date.max
        self._level = 0
        self._days: set[str] = set()
        self.fees: set[str] = set()

    def level_on(self, day: date) -> int:
        """How many steps should stand in the end, when all days were looked at."""
        if self._is_held_off or self._debtor.what == "promises":
            return 0
        return sum(after <= (day - self._due).days for after, _ in STEPS)

    @property
    def _is_held_off(self) -> bool:
        return self._owes < self._least or self._disputed or self._promised or self._requested

    def follow(self, rows: list[Document]) -> Iterator[str]:
        """Go through the events; what is wrong of them."""
        for row in rows:
            event = json.loads(row["body"])["event"]
            match row["routingKey"]:
                case "invoice.issued":
                    self._owes += _cents(event["invoice"]["taxIncludedAmount"])
                    self._due = date.fromisoformat(event["invoice"]["paymentDueDate"])
                case "payment.allocated":
                    self._owes -= sum(_cents(one["amount"]) for one in event["allocations"])
                case "payment.reversal-booked":
                    self._owes += sum(_cents(one["amount"]) for one in event["deallocations"])
                case "dispute.opened":
                    self._disputed = True
                case "dispute.withdrawn":
                    self._disputed = False
                case "payment.requested":
                    # That it failed is told by nobody.
                    self._requested = self._debtor.what == "is collected from"
                case "dunning.step-taken":
                    yield from self._step(event)
                case "dunning.cleared":
                    if event["oldLevel"] != self._level or event["level"] >= self._level:
                        yield f"level {self._level} is cleared as {event}"
                    self._level = event["level"]
                    self._promised = self._debtor.what == "promises"

    def _step(self, event: dict[str, Any]) -> Iterator[str]:
        on, level, action = event["date"], event["level"], event["action"]
        if on in self._days:
            yield f"a second step on {on}"
        self._days.add(on)
        if level != self._level + 1 or (event["after"], action) != STEPS[level - 1]:
            yield f"the step {level}, {action}, on {on} at level {self._level}"
        self._level = level
        if self._is_held_off:
            yield f"{action} on {on}, when nothing was to be dunned for"
        if (date.fromisoformat(on) - self._due).days < event["after"]:
            yield f"{action} on {on} of what was due on {self._due}"
        if action == "charge":
            self.fees.add(event["chargeId"])


def _cents(money: dict[str, Any]) -> int:
    return int(Decimal(str(money["value"])) * 100)
