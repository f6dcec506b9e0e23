"""The query about dunning: how far an account is."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from domain.dunning.model import Dunning
from schemas.accounts.events import account_ref
from schemas.dunning.events import ACTIONS, procedure_ref
from schemas.query import Query
from schemas.shapes import Shape
from schemas.values import Id, Json, money_json

SUSPENDED_MAX = 500
"""The most subscriptions that an answer names."""


def dunning_json(
    dunning: Dunning, currency: tuple[str, int], procedure: str | None, oldest_due: date | None, suspended: list[str]
) -> Json:
    """How far an account's dunning is; `currency` is its code and digits, `suspended` what steps suspended."""
    promise = dunning.promise
    out: Json = {
        "billingAccount": account_ref(dunning.id, "BillingAccount"),
        "level": dunning.level,
        "steps": [
            {
                "level": level,
                "action": step.action,
                "after": step.after,
                "date": step.on.isoformat(),
                **({} if step.charge_id is None else {"chargeId": step.charge_id}),
            }
            for level, step in enumerate(dunning.steps, start=1)
        ],
        "suspended": suspended,
    }
    if procedure is not None:
        out["dunningProcedure"] = procedure_ref(procedure)
    if oldest_due is not None:
        out["oldestDueDate"] = oldest_due.isoformat()
    if promise is not None:
        out["promise"] = {"promiseId": promise.id, "until": promise.until.isoformat()}
        if promise.amount is not None:
            out["promise"]["amount"] = money_json(promise.amount, *currency)
    return out


class DunningGet(Query):
    """How far a billing account's dunning is: the steps that stand, and what it has promised."""

    TYPE = "dunning.get"
    ANSWER: ClassVar[Shape] = {
        "billingAccount": "BillingAccountReference",
        "dunningProcedure?": "DunningProcedureReference",
        "level": int,
        "oldestDueDate?": "Date",
        "steps": [{"level": int, "action": ACTIONS, "after": int, "date": "Date", "chargeId?": "ChargeId"}],
        "suspended": ["Id"],
        "promise?": {"promiseId": "Id", "until": "Date", "amount?": "Money"},
    }
    billing_account: Id


QUERIES: tuple[type[Query], ...] = (DunningGet,)
