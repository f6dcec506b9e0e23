"""A body for each message that there is, about things of one customer and one partner."""

from __future__ import annotations

from typing import Any

from tests.schemas.letters import MESSAGES, SELLER, SENDING, VALIDATION

Json = dict[str, Any]

_CYCLE: Json = {"id": "MONTHLY", "name": "Monthly", "billingPeriod": "month", "frequency": "1"}
_STEPS: Json = {"id": "DP-1", "name": "Usual", "steps": [{"after": 7, "action": "remind"}]}

BODIES: dict[str, Json] = {
    **MESSAGES,
    "account.update": {"id": "BA-1", "@type": "BillingAccount", "changes": {"name": "Mine"}},
    **{
        f"account.{verb}": {"id": "BA-1", "reason": "mine"}
        for verb in ("suspend", "resume", "close", "reopen", "delete")
    },
    "invoice.validate": VALIDATION,
    "invoice.send": SENDING,
    "seller.update": SELLER,
    "bill-format.create": {"id": "BF-1", "name": "Long"},
    "bill-presentation-media.create": {"id": "BP-1", "name": "Paper"},
    "billing-cycle-specification.create": _CYCLE,
    "dunning-procedure.create": _STEPS,
    **{
        f"{resource}.update": {"id": "X-1", "changes": {"name": "Mine"}}
        for resource in ("bill-format", "bill-presentation-media", "billing-cycle-specification", "dunning-procedure")
    },
    **{
        f"{resource}.delete": {"id": "X-1"}
        for resource in ("bill-format", "bill-presentation-media", "billing-cycle-specification", "dunning-procedure")
    },
    **{
        f"parked.{act}": {"ids": ["P-0123456789abcdef0123"], "why": "mine"}
        for act in ("replay", "discard", "undo", "note")
    },
    "parked.edit": {"id": "P-0123456789abcdef0123", "type": "order.completed", "why": "mine"},
}
"""By type; every type there is, which a test sees to."""

OF_NOBODY = {
    name
    for name in BODIES
    if name.startswith(
        ("seller.", "bill-format.", "bill-presentation-media.", "billing-cycle-", "dunning-", "bill-run.", "parked.")
    )
}
"""The types that are about no account: not for who is limited to a party's accounts."""
