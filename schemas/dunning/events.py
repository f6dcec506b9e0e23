"""Steps of dunning as they go out, and the events that tell of them."""

from __future__ import annotations

from typing import get_args

from domain.accounts.specifications import Action, DunningProcedure
from domain.dunning.model import DunningCleared, DunningStepTaken
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.shapes import Shape, reference_to
from schemas.values import Json, money_json

_NAME = DunningProcedure.__name__
ACTIONS = get_args(Action)


def procedure_ref(procedure_id: str) -> Json:
    """A reference to a dunning procedure."""
    return {"@type": f"{_NAME}Ref", "@referredType": _NAME, "id": procedure_id}


def _step_taken(event: DunningStepTaken) -> Json:
    step = event.step
    return {
        "billingAccount": account_ref(step.billing_account, "BillingAccount"),
        "dunningProcedure": procedure_ref(step.procedure),
        "date": step.on.isoformat(),
        "level": step.level,
        "after": step.after,
        "action": step.action,
        "oldestDueDate": step.oldest_due_date.isoformat(),
        "overdue": money_json(step.overdue, step.currency),
        **({} if step.charge_id is None else {"chargeId": step.charge_id}),
    }


def _cleared(event: DunningCleared) -> Json:
    return {
        "billingAccount": account_ref(event.billing_account, "BillingAccount"),
        "date": event.on.isoformat(),
        "level": event.level,
        "oldLevel": event.old_level,
        "overdue": money_json(event.overdue, event.currency),
    }


SHAPES: dict[str, Shape] = {"DunningProcedureReference": reference_to(_NAME)}
"""Parts of what goes out, by name."""

EVENTS = (
    Event(
        "dunning.step-taken",
        DunningStepTaken,
        "An account owes for so long that a step of its dunning procedure was taken: `remind` and `collect` are for "
        "whoever reminds and collects, what `charge` and `suspend` do is done.",
        {
            "billingAccount": "BillingAccountReference",
            "dunningProcedure": "DunningProcedureReference",
            "date": "Date",
            "level": int,
            "after": int,
            "action": ACTIONS,
            "oldestDueDate": "Date",
            "overdue": "Money",
            "chargeId?": "ChargeId",
        },
        _step_taken,
    ),
    Event(
        "dunning.cleared",
        DunningCleared,
        "Steps stand no longer against an account, of `oldLevel` as many as `level`: what they suspended is resumed.",
        {
            "billingAccount": "BillingAccountReference",
            "date": "Date",
            "level": int,
            "oldLevel": int,
            "overdue": "Money",
        },
        _cleared,
    ),
)
