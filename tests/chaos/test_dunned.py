"""What the verdict has to say of dunning, of events that no worker should have told."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from tests.chaos.dunned import STEPS, Course, Debtor, What
from tests.support.books import Document
from tests.support.messages import eur

DUE, DAYS = "2026-11-22", [f"2026-11-{day}" for day in range(23, 30)]


def row(type_: str, **event: Any) -> Document:
    return {"routingKey": type_, "body": json.dumps({"event": event}).encode()}


OWES = row("invoice.issued", invoice={"taxIncludedAmount": eur(12), "paymentDueDate": DUE})
PAYS = row("payment.allocated", allocations=[{"billNo": "INV-1", "amount": eur(12)}])
PAYS_NEARLY_ALL = row("payment.allocated", allocations=[{"billNo": "INV-1", "amount": eur("7.01")}])
COMES_BACK = row("payment.reversal-booked", deallocations=[{"billNo": "INV-1", "amount": eur(6)}])
DISPUTES, WITHDRAWS, ASKED = row("dispute.opened"), row("dispute.withdrawn"), row("payment.requested")


def step(level: int, day: int, **said: Any) -> Document:
    """The step of a level, on one of the days."""
    after, action = STEPS[level - 1]
    charge = {"chargeId": f"dunning~BA-1~{DAYS[day]}"} if action == "charge" else {}
    return row("dunning.step-taken", date=DAYS[day], level=level, after=after, action=action, **charge)


def cleared(old: int, level: int = 0) -> Document:
    return row("dunning.cleared", oldLevel=old, level=level)


LADDER = [step(1, 0), step(2, 1), step(3, 2)]


def followed(what: What, *rows: Document) -> tuple[list[str], int, set[str]]:
    """What is wrong, the level in the end, and the fees."""
    course = Course(Debtor("BA-1", what, 0, 10, None))
    return list(course.follow(list(rows))), course.level_on(date.fromisoformat(DAYS[-1])), course.fees


@pytest.mark.parametrize(
    ("what", "rows", "level", "fees"),
    [
        ("pays nothing", (OWES, *LADDER), 3, 1),
        ("pays", (OWES, step(1, 0), PAYS, cleared(1)), 0, 0),
        ("pays", (OWES, *LADDER, PAYS, cleared(3)), 0, 1),
        ("pays nearly all", (OWES, step(1, 0), PAYS_NEARLY_ALL, cleared(1)), 0, 0),
        ("pays, and it comes back", (OWES, step(1, 0), PAYS, cleared(1), COMES_BACK, step(1, 1), step(2, 2)), 3, 1),
        ("disputes, and withdraws it", (OWES, DISPUTES, WITHDRAWS, *LADDER), 3, 1),
        ("promises", (OWES, step(1, 0), cleared(1)), 0, 0),
        ("is collected from", (OWES, ASKED, PAYS), 0, 0),
        ("is collected from in vain", (OWES, ASKED, *LADDER), 3, 1),
    ],
)
def test_what_is_right_is_not_found_fault_with(what: What, rows: tuple[Document, ...], level: int, fees: int):
    """Each thing that may become of what is owed."""
    wrong, should, charged = followed(what, *rows)
    assert (wrong, should, len(charged)) == ([], level, fees)


@pytest.mark.parametrize(
    ("what", "rows", "found"),
    [
        ("pays", (OWES, PAYS, step(1, 0)), "when nothing was to be dunned for"),
        ("pays", (OWES, *LADDER[:2], PAYS, LADDER[2]), "suspend on 2026-11-25, when nothing"),
        ("pays nearly all", (OWES, PAYS_NEARLY_ALL, step(1, 0)), "when nothing was to be dunned for"),
        ("disputes", (OWES, DISPUTES, step(1, 0)), "when nothing was to be dunned for"),
        ("promises", (OWES, step(1, 0), cleared(1), step(1, 1)), "when nothing was to be dunned for"),
        ("is collected from", (OWES, ASKED, step(1, 0)), "when nothing was to be dunned for"),
        ("pays nothing", (OWES, step(1, 1), step(2, 1)), "a second step on 2026-11-24"),
        ("pays nothing", (OWES, step(1, 0), step(1, 1)), "the step 1, remind, on 2026-11-24 at level 1"),
        ("pays nothing", (OWES, step(2, 1)), "the step 2, charge, on 2026-11-24 at level 0"),
        ("pays nothing", (OWES, step(1, 0), step(2, 0)), "of what was due on 2026-11-22"),
        ("pays nothing", (OWES, step(1, 0), cleared(2)), "level 1 is cleared"),
    ],
)
def test_what_is_wrong_is_found(what: What, rows: tuple[Document, ...], found: str):
    """A step after a payment, twice, out of turn or too early, and what was cleared that did not stand."""
    assert any(found in one for one in followed(what, *rows)[0])
