"""Partners' statements as they go out, and the events that tell what is accrued, stated and paid."""

from __future__ import annotations

from typing import get_args

from domain.settlement.accruals import SettlementAccrued
from domain.settlement.payouts import SettlementPaid
from domain.settlement.statements import Settlement, SettlementClosed, SettlementState
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.shapes import Shape
from schemas.values import Json, money_json


def settlement_json(settlement: Settlement) -> Json:
    """A partner's statement; what an earlier one carried forward is its first line."""
    code = settlement.currency
    lines: list[Json] = [
        {
            "lineType": "accrual",
            "orderId": line.order_id,
            "billNo": line.bill_no,
            "lineId": line.line_id,
            "date": line.date.isoformat(),
            "amount": money_json(line.amount, code),
        }
        for line in settlement.lines
    ]
    if settlement.brought_forward_from is not None:
        brought: Json = {
            "lineType": "broughtForward",
            "settlementId": settlement.brought_forward_from,
            "amount": money_json(settlement.brought_forward, code),
        }
        lines.insert(0, brought)
    return {
        "@type": "Settlement",
        "id": settlement.id,
        "settlementAccount": account_ref(settlement.settlement_account, "SettlementAccount"),
        "periodEnd": settlement.period_end.isoformat(),
        "lines": lines,
        "total": money_json(settlement.total, code),
        "broughtForward": money_json(settlement.brought_forward, code),
        "paidAmount": money_json(settlement.paid, code),
        "state": settlement.state,
    }


def _settlement_accrued(event: SettlementAccrued) -> Json:
    code = event.currency
    return {
        "settlementAccount": account_ref(event.settlement_account, "SettlementAccount"),
        "amount": money_json(sum(accrual.amount for accrual in event.accruals), code),
        "lines": [
            {
                "orderId": accrual.order_id,
                "billNo": accrual.bill_no,
                "lineId": accrual.line_id,
                "amount": money_json(accrual.amount, code),
            }
            for accrual in event.accruals
        ],
    }


def _settlement(event: SettlementClosed | SettlementPaid) -> Json:
    return {"settlement": settlement_json(event.settlement)}


SHAPES: dict[str, Shape] = {
    "Settlement": {
        "@type": ("Settlement",),
        "id": "StatementId",
        "settlementAccount": "SettlementAccountReference",
        "periodEnd": "Date",
        "lines": ["SettlementLine"],
        "total": "Money",
        "broughtForward": "Money",
        "paidAmount": "Money",
        "state": "SettlementState",
    },
    "SettlementLine": {
        "lineType": ("accrual", "broughtForward"),
        "settlementId?": "StatementId",
        "orderId?": "Id",
        "billNo?": "Id",
        "lineId?": "Id",
        "date?": "Date",
        "amount": "Money",
    },
    "SettlementState": get_args(SettlementState),
}
"""Parts of what goes out, by name."""

EVENTS = (
    Event(
        "settlement.accrued",
        SettlementAccrued,
        "A partner has a share in what was billed or paid.",
        {
            "settlementAccount": "SettlementAccountReference",
            "amount": "Money",
            "cause": "Identity",
            "lines": [{"orderId": "Id", "billNo": "Id", "lineId": "Id", "amount": "Money"}],
        },
        _settlement_accrued,
        tells_cause=True,
    ),
    Event(
        "settlement.closed",
        SettlementClosed,
        "A partner's statement was made.",
        {"settlement": "Settlement"},
        _settlement,
    ),
    Event(
        "settlement.paid",
        SettlementPaid,
        "A payout paid a statement, or a part of it.",
        {"settlement": "Settlement"},
        _settlement,
    ),
)
