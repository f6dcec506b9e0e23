"""Partners' statements as they go out, and the events that tell what is accrued, stated and paid."""

from __future__ import annotations

from typing import get_args

from domain.accounts.model import SettlementTerms
from domain.settlement.accruals import SettlementAccrued
from domain.settlement.adjusting import SettlementAdjusted
from domain.settlement.agreements import Agreement, AgreementChanged, AgreementCreated
from domain.settlement.payouts import Payout, SettlementPaid
from domain.settlement.returning import PayoutReturnBooked
from domain.settlement.statements import Settlement, SettlementClosed, SettlementLine, SettlementState
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.shapes import Shape
from schemas.values import Json, decimal_json, money_json, time_json


def _line_json(line: SettlementLine, code: str) -> Json:
    kind = "accrual" if line.adjustment_id is None else "adjustment"
    out: Json = {"kind": kind, "lineType": kind}
    if line.bill_no is not None:
        out |= _of_line_json(line.order_id, line.bill_no, line.line_id)
    if line.adjustment_id is not None:
        out["adjustmentId"] = line.adjustment_id
    return {**out, "date": line.date.isoformat(), "amount": money_json(line.amount, code)}


def _of_line_json(order_id: str | None, bill_no: str | None, line_id: str | None) -> Json:
    """The line of an invoice that something was accrued of, and its order, if it has one."""
    return {**({} if order_id is None else {"orderId": order_id}), "billNo": bill_no, "lineId": line_id}


def settlement_json(settlement: Settlement) -> Json:
    """A partner's statement; what an earlier one carried forward is its first line.

    `kind` says what a line is; `lineType` says the same, for who reads what it was called at first.
    """
    code = settlement.currency
    lines: list[Json] = [_line_json(line, code) for line in settlement.lines]
    if settlement.brought_forward_from is not None:
        brought: Json = {
            "kind": "broughtForward",
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
                **_of_line_json(accrual.order_id, accrual.bill_no, accrual.line_id),
                "amount": money_json(accrual.amount, code),
            }
            for accrual in event.accruals
        ],
    }


def payout_json(payout: Payout) -> Json:
    """A payout, and its return if it came back."""
    out: Json = {
        "@type": "Payout",
        "payoutId": payout.id,
        "settlementAccount": account_ref(payout.settlement_account, "SettlementAccount"),
        "settlementId": payout.settlement_id,
        "amount": money_json(payout.amount, payout.currency),
    }
    back = payout.returned
    if back is not None:
        returned = {"returnId": back.return_id, "returnedAt": time_json(back.returned_at), "reason": back.reason}
        out["returned"] = returned
    return out


def _settlement_adjusted(event: SettlementAdjusted) -> Json:
    accrual = event.accrual
    out: Json = {
        "@type": "SettlementAdjustment",
        "adjustmentId": accrual.adjustment_id,
        "settlementAccount": account_ref(accrual.settlement_account, "SettlementAccount"),
        "amount": money_json(accrual.amount, event.currency),
        "date": accrual.date.isoformat(),
        "reason": event.reason,
    }
    if accrual.bill_no is not None:
        out["corrects"] = {"billNo": accrual.bill_no, "lineId": accrual.line_id}
    return {"adjustment": out}


def _payout_return_booked(event: PayoutReturnBooked) -> Json:
    return {"payout": payout_json(event.payout), "settlement": settlement_json(event.settlement)}


def terms_json(terms: SettlementTerms) -> Json:
    """A partner's terms as they were agreed."""
    return {"model": "principal", "share": decimal_json(terms.partner_share), "accrueOn": terms.accrue_on}


def agreement_json(agreement: Agreement) -> Json:
    """An agreement, with the terms that hold in it from day to day."""
    valid_for = {"startDateTime": time_json(agreement.valid_from)}
    if agreement.valid_until is not None:
        valid_for["endDateTime"] = time_json(agreement.valid_until)
    terms: list[Json] = []
    for agreed, end in agreement.periods:
        until = {} if end is None else {"validUntil": end.isoformat()}
        period = {"validFrom": agreed.valid_from.isoformat(), **until, "revision": agreed.revision}
        terms.append({**period, **terms_json(agreed.terms)})
    return {
        "@type": "Agreement",
        "agreementId": agreement.id,
        "settlementAccount": account_ref(agreement.settlement_account, "SettlementAccount"),
        "validFor": valid_for,
        "revision": agreement.revision,
        "lastUpdate": time_json(agreement.agreed[-1].booked_at),
        "terms": terms,
    }


def _agreement(event: AgreementCreated | AgreementChanged) -> Json:
    return {"agreement": agreement_json(event.agreement)}


def _settlement(event: SettlementClosed | SettlementPaid) -> Json:
    return {"settlement": settlement_json(event.settlement)}


TERMS: dict[str, Shape] = {"model": ("principal",), "share": "Decimal", "accrueOn": ("invoice", "payment")}
"""How a partner's terms look."""

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
        "payouts?": ["Payout"],
    },
    "SettlementLine": {
        "kind": ("accrual", "adjustment", "broughtForward"),
        "lineType": ("accrual", "adjustment", "broughtForward"),
        "settlementId?": "StatementId",
        "orderId?": "Id",
        "billNo?": "Id",
        "lineId?": "Id",
        "adjustmentId?": "Id",
        "date?": "Date",
        "amount": "Money",
    },
    "SettlementState": get_args(SettlementState),
    "Payout": {
        "@type": ("Payout",),
        "payoutId": "Id",
        "settlementAccount": "SettlementAccountReference",
        "settlementId": "StatementId",
        "amount": "Money",
        "returned?": {"returnId": "Id", "returnedAt": "Time", "reason": "Text"},
    },
    "Agreement": {
        "@type": ("Agreement",),
        "agreementId": "Id",
        "settlementAccount": "SettlementAccountReference",
        "validFor": {"startDateTime": "Time", "endDateTime?": "Time"},
        "revision": "Revision",
        "lastUpdate": "Time",
        "terms": [{"validFrom": "Date", "validUntil?": "Date", "revision": "Revision", **TERMS}],
    },
    "SettlementAdjustment": {
        "@type": ("SettlementAdjustment",),
        "adjustmentId": "Id",
        "settlementAccount": "SettlementAccountReference",
        "amount": "Money",
        "date": "Date",
        "reason": "Text",
        "corrects?": {"billNo": "Id", "lineId": "Id"},
    },
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
            "lines": [{"orderId?": "Id", "billNo": "Id", "lineId": "Id", "amount": "Money"}],
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
    Event(
        "settlement.adjusted",
        SettlementAdjusted,
        "A partner is owed more, or less, by an accrual without an invoice.",
        {"adjustment": "SettlementAdjustment"},
        _settlement_adjusted,
    ),
    Event(
        "payout.return-booked",
        PayoutReturnBooked,
        "A payout came back: its statement is open by that sum.",
        {"payout": "Payout", "settlement": "Settlement"},
        _payout_return_booked,
    ),
    Event(
        "agreement.created",
        AgreementCreated,
        "Terms were agreed with a partner, for a time.",
        {"agreement": "Agreement"},
        _agreement,
    ),
    Event(
        "agreement.changed",
        AgreementChanged,
        "Other terms were agreed, from a day on.",
        {"agreement": "Agreement"},
        _agreement,
    ),
)
