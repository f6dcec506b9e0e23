"""Partners' statements as they go out, and the events that tell what is accrued, stated and paid."""

from __future__ import annotations

from typing import get_args

from domain.invoicing.model import PartnerShare
from domain.settlement.accepting import SelfBillingAccepted, SelfBillingDisputed
from domain.settlement.accruals import SettlementAccrued, Step, StepKind
from domain.settlement.adjusting import SettlementAdjusted
from domain.settlement.agreements import AgreedTerms, Agreement, AgreementChanged, AgreementCreated
from domain.settlement.backdating import SettlementCorrected
from domain.settlement.closing import SettlementClosed
from domain.settlement.comparing import ComparedLine, ComparisonOutcome, StatementCompared, StatementReport
from domain.settlement.documents import (
    DocumentLine,
    DocumentLineKind,
    DocumentSaid,
    DocumentState,
    DocumentTax,
    SelfBillingIssued,
    SettlementDocument,
    SettlementInvoiced,
    TypeCode,
)
from domain.settlement.payouts import Payout, SettlementPaid, WithholdingRecorded
from domain.settlement.requesting import NettingApplied, PayoutRequested
from domain.settlement.reserves import Reserve, ReserveHeld, ReserveReleased, ReserveState
from domain.settlement.returning import PayoutReturnBooked
from domain.settlement.statements import Settlement, SettlementLine, SettlementState
from domain.settlement.terms import AgreedPeriod, ClosingTerms, TierMode, Tiers, Withholding
from schemas.accounts.events import AGENT_TERMS, account_ref, agent_json
from schemas.event import Event
from schemas.invoicing.events import TAX_ITEM
from schemas.shapes import Shape
from schemas.values import Json, decimal_json, money_json, time_json


def _line_json(line: SettlementLine, code: str) -> Json:
    if line.step is not None:
        return {**_step_json(line.step, code), "date": line.date.isoformat(), "amount": money_json(line.amount, code)}
    kind = "accrual" if line.adjustment_id is None else "adjustment"
    out: Json = {"kind": kind, "lineType": kind}
    if line.bill_no is not None:
        out |= _of_line_json(line.order_id, line.bill_no, line.line_id)
    if line.adjustment_id is not None:
        out["adjustmentId"] = line.adjustment_id
    if line.corrects is not None:
        out["corrects"] = line.corrects
    return {**out, "date": line.date.isoformat(), "amount": money_json(line.amount, code)}


def _step_json(step: Step, code: str) -> Json:
    """How a line is worked out that a closing has added."""
    out: Json = {"kind": step.kind, "lineType": step.kind}
    if step.kind == "holdback":
        assert step.end is not None
        out["releaseOn"] = step.end.isoformat()
    elif step.start is not None and step.end is not None:
        out |= {"agreementId": step.agreement, "period": {"from": step.start.isoformat(), "to": step.end.isoformat()}}
    if step.revision is not None:
        out["revision"] = step.revision
    if step.of is not None:
        out["share" if step.kind == "trueUp" else "guaranteed"] = money_json(step.of, code)
    if step.base is not None:
        out["base"] = money_json(step.base, code)
    if step.rate is not None:
        out["rate"] = decimal_json(step.rate)
    if step.settlement is not None:
        out["settlementId"] = step.settlement
    return out


def explained_json(part: PartnerShare, net: int, cause: str, code: str) -> Json:
    """Where a line of a statement comes from: by which fact, of which net, by which terms.

    `share` is what is left of the partner's share of the invoice's line, of which so much is `accrued`; of what is sold
    in its name, `commission` is ours on that so far, without tax.
    """
    terms: Json = {"accrueOn": part.accrue_on}
    if part.partner_share is not None:
        terms = {"share": decimal_json(part.partner_share), **terms}
    if part.tier is not None:
        before, share = (money_json(amount, code) for amount in (part.tier.before, part.tier.share))
        terms["tier"] = {"start": part.tier.start.isoformat(), "netBefore": before, "share": share}
    if part.freed is not None:
        terms["freed"] = [
            {
                "start": one.start.isoformat(),
                "net": money_json(one.net, code),
                "share": money_json(one.share, code),
            }
            for one in part.freed
        ]
    charged: Json = {}
    if part.agent is not None:
        tax = {"category": part.agent.category, "rate": decimal_json(part.agent.rate)}
        terms = {"commission": decimal_json(part.agent.commission), "commissionTax": tax, **terms}
        charged = {"commission": money_json(part.agent.charged, code)}
    if part.agreement is not None:
        terms |= {"agreementId": part.agreement.id, "revision": part.agreement.revision}
    return {
        "cause": cause,
        "net": money_json(net, code),
        "terms": terms,
        "share": money_json(part.share, code),
        "accrued": money_json(part.accrued, code),
        **charged,
    }


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
    out: Json = {
        "@type": "Settlement",
        "id": settlement.id,
        "settlementAccount": account_ref(settlement.settlement_account, "SettlementAccount"),
        "periodEnd": settlement.period_end.isoformat(),
        "lines": lines,
        "total": money_json(settlement.total, code),
        "broughtForward": money_json(settlement.brought_forward, code),
        "paidAmount": money_json(settlement.paid, code),
        "netted": money_json(settlement.netted or 0, code),
        "taxWithheld": money_json(settlement.tax_withheld, code),
        "transferred": money_json(settlement.paid_out - settlement.tax_withheld, code),
        "state": settlement.state,
    }
    if settlement.threshold is not None:
        out["payoutThreshold"] = money_json(settlement.threshold, code)
    if settlement.disputed_amount:
        out["disputedAmount"] = money_json(settlement.disputed_amount, code)
    if settlement.hold is not None:
        out["heldBy"] = list(settlement.hold.documents)
    if settlement.held_forward is not None and settlement.held_amount:
        held = money_json(settlement.held_amount, code)
        by = (*settlement.held_forward.documents, *(settlement.held_forward.reports or ()))
        out["heldForward"] = {"amount": held, "heldBy": list(by)}
    return out


def document_json(document: SettlementDocument) -> Json:
    """A document of a statement, as a TMF678 CustomerBill; the amounts of a credit note are above zero too."""
    code = document.currency
    out: Json = {
        "@type": "CustomerBill",
        "id": document.id,
        "billNo": document.id,
        "typeCode": document.type_code,
        "settlementAccount": account_ref(document.settlement_account, "SettlementAccount"),
        "settlementId": document.settlement_id,
        "billDate": document.bill_date.isoformat(),
        "taxExcludedAmount": money_json(document.tax_excluded_amount, code),
        "taxIncludedAmount": money_json(document.tax_included_amount, code),
        "taxItem": [_document_tax_json(item, code) for item in document.tax_item],
        "lines": [_document_line_json(n, line, code) for n, line in enumerate(document.lines, 1)],
        "sellerVersion": document.seller_version,
        "partnerVersion": document.partner_version,
    }
    if document.corrects is not None:
        out["correctedBillNo"] = document.corrects
    if document.credited is not None:
        net, tax = document.credited_amounts
        out["credited"] = {"taxExcludedAmount": money_json(net, code), "taxIncludedAmount": money_json(net + tax, code)}
    if document.is_self_billed:
        out["state"] = document.state
        out["said"] = [_said_json(one) for one in document.said or ()]
    return out


def _document_tax_json(item: DocumentTax, code: str) -> Json:
    out: Json = {
        "@type": "TaxItem",
        "taxCategory": item.category,
        "taxRate": float(item.rate),
        "taxExcludedAmount": money_json(item.tax_excluded_amount, code),
        "taxAmount": money_json(item.tax_amount, code),
    }
    if item.reverse_charge_rate is not None:
        out["reverseChargeRate"] = float(item.reverse_charge_rate)
        out["reverseChargeAmount"] = money_json(item.reverse_charge, code)
    return out


def _document_line_json(number: int, line: DocumentLine, code: str) -> Json:
    return {
        "@type": "AppliedCustomerBillingRate",
        "id": str(number),
        "kind": line.kind,
        **({} if line.agreement is None else {"agreementId": line.agreement}),
        "period": {"from": line.start.isoformat(), "to": line.end.isoformat()},
        "taxCategory": line.category,
        "taxRate": float(line.rate),
        "taxExcludedAmount": money_json(line.amount, code),
    }


def _said_json(said: DocumentSaid) -> Json:
    reason = {} if said.reason is None else {"reason": said.reason}
    return {"state": said.state, "at": time_json(said.at), **reason}


def _document(event: SelfBillingIssued | SettlementInvoiced | SelfBillingAccepted | SelfBillingDisputed) -> Json:
    return {"document": document_json(event.document)}


def report_json(report: StatementReport) -> Json:
    """A partner's report of a statement, and what comparing it came to."""
    code = report.currency
    return {
        "@type": "StatementReport",
        "reportId": report.id,
        "settlementId": report.settlement_id,
        "settlementAccount": account_ref(report.settlement_account, "SettlementAccount"),
        "tolerance": money_json(report.tolerance, code),
        "agreed": report.count("agreed"),
        "different": report.count("different"),
        "missing": report.count("missingThere", "missingHere"),
        "lines": [_compared_json(line, code) for line in report.lines],
    }


def _compared_json(line: ComparedLine, code: str) -> Json:
    named = {"orderId": line.order_id, "billNo": line.bill_no, "lineId": line.line_id}
    out: Json = {name: id_ for name, id_ in named.items() if id_ is not None}
    out["outcome"] = line.outcome
    if line.ours is not None:
        out["amount"] = money_json(line.ours, code)
    if line.theirs is not None:
        out["reportedAmount"] = money_json(line.theirs, code)
    return {**out, "difference": money_json(line.difference, code)}


def _statement_compared(event: StatementCompared) -> Json:
    return {"report": report_json(event.report)}


def reserve_json(reserve: Reserve) -> Json:
    """What was held back of a statement, and what was released of it."""
    code = reserve.currency
    releases: list[Json] = []
    for one in reserve.releases:
        by = {} if one.release_id is None else {"releaseId": one.release_id}
        releases.append({**by, "date": one.date.isoformat(), "amount": money_json(one.amount, code)})
    return {
        "@type": "Reserve",
        "settlementId": reserve.id,
        "settlementAccount": account_ref(reserve.settlement_account, "SettlementAccount"),
        "base": money_json(reserve.base, code),
        "rate": decimal_json(reserve.rate),
        "amount": money_json(reserve.amount, code),
        "heldOn": reserve.held_on.isoformat(),
        "releaseOn": reserve.release_on.isoformat(),
        "remainingAmount": money_json(reserve.remaining, code),
        "state": reserve.state,
        "releases": releases,
    }


def _reserve(event: ReserveHeld | ReserveReleased) -> Json:
    return {"reserve": reserve_json(event.reserve)}


def _settlement_accrued(event: SettlementAccrued) -> Json:
    code = event.currency
    return {
        "settlementAccount": account_ref(event.settlement_account, "SettlementAccount"),
        "amount": money_json(sum(accrual.amount for accrual in event.accruals), code),
        "lines": [
            {
                **_of_line_json(accrual.order_id, accrual.bill_no, accrual.line_id),
                "amount": money_json(accrual.amount, code),
                **({} if accrual.commission is None else {"commission": money_json(accrual.commission.amount, code)}),
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
        "taxWithheld": money_json(payout.tax, payout.currency),
        "transferred": money_json(payout.transferred, payout.currency),
    }
    back = payout.returned
    if back is not None:
        returned = {"returnId": back.return_id, "returnedAt": time_json(back.returned_at), "reason": back.reason}
        out["returned"] = returned
    return out


def _netting_applied(event: NettingApplied) -> Json:
    settlement, code = event.settlement, event.settlement.currency
    return {
        "settlement": settlement_json(settlement),
        "billingAccount": account_ref(event.billing_account, "BillingAccount"),
        "amount": money_json(sum(amount for _, amount in event.netted), code),
        "invoices": [{"billNo": bill_no, "amount": money_json(amount, code)} for bill_no, amount in event.netted],
    }


def _settlement_corrected(event: SettlementCorrected) -> Json:
    correction, code = event.correction, event.currency
    of_order = {} if event.order_id is None else {"orderId": event.order_id}
    return {
        "settlementAccount": account_ref(correction.settlement_account, "SettlementAccount"),
        "agreementId": correction.agreement,
        "revision": correction.revision,
        "billNo": correction.bill_no,
        **of_order,
        "amount": money_json(sum(line.accrued for line in correction.lines), code),
        "lines": [
            {
                "lineId": line.line_id,
                "was": money_json(line.was, code),
                "share": money_json(line.now, code),
                "amount": money_json(line.accrued, code),
                **({} if line.commission is None else {"commission": money_json(line.commission, code)}),
            }
            for line in correction.lines
        ],
    }


def _payout_requested(event: PayoutRequested) -> Json:
    settlement, request, code = event.settlement, event.settlement.request, event.settlement.currency
    assert request is not None, "it was requested"
    return {
        "payoutId": request.id,
        "settlementAccount": account_ref(settlement.settlement_account, "SettlementAccount"),
        "settlementId": settlement.id,
        "amount": money_json(request.amount, code),
        "netted": money_json(request.netted, code),
        "taxWithheld": money_json(request.tax_withheld, code),
        "transferred": money_json(request.transferred, code),
    }


def _withholding_recorded(event: WithholdingRecorded) -> Json:
    payout = event.payout
    assert payout.withheld is not None, "it was withheld"
    sign = 1 if payout.returned is None else -1
    return {
        "payoutId": payout.id,
        "settlementAccount": account_ref(payout.settlement_account, "SettlementAccount"),
        "settlementId": payout.settlement_id,
        "authority": event.authority,
        "base": money_json(sign * payout.withheld.base, payout.currency),
        "rate": decimal_json(payout.withheld.rate),
        "amount": money_json(sign * payout.withheld.amount, payout.currency),
    }


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


def terms_json(agreed: AgreedTerms, currency: str | None) -> Json:
    """A partner's terms as they were agreed; `currency` is that of their amounts, None where there is none."""
    terms, closing = agreed.terms, agreed.closings
    code = currency or ""
    out: Json = {"model": "principal" if terms.agent is None else "agent"}
    if terms.agent is not None:
        out |= agent_json(terms.agent)
    if terms.partner_share is not None:
        out["share"] = decimal_json(terms.partner_share)
    if terms.tiers is not None:
        out["tiers"] = _tiers_json(terms.tiers, code)
    out["accrueOn"] = terms.accrue_on
    if (guarantee := closing.guarantee) is not None:
        out["guarantee"] = {"amount": money_json(guarantee.amount, code), "period": guarantee.period}
    if closing.advance is not None:
        out["advance"] = {"amount": money_json(closing.advance, code)}
    if (holdback := closing.holdback) is not None:
        out["holdback"] = {"rate": decimal_json(holdback.rate), "releaseAfterDays": holdback.release_after_days}
    if closing.payout_threshold is not None:
        out["payoutThreshold"] = money_json(closing.payout_threshold, code)
    if closing.withholding is not None:
        out["withholding"] = _withholding_json(closing.withholding)
    if closing.netting is not None:
        out["netting"] = {"billingAccount": account_ref(closing.netting, "BillingAccount")}
    return {**out, **_invoiced_json(closing, code)}


def _invoiced_json(closing: ClosingTerms, code: str) -> Json:
    out: Json = {}
    if (bills := closing.self_billing) is not None:
        tax: Json = {"category": bills.category, "rate": decimal_json(bills.rate)}
        if bills.reverse_charge_rate is not None:
            tax["reverseChargeRate"] = decimal_json(bills.reverse_charge_rate)
        out["selfBilling"] = {"series": bills.series, "tax": tax}
    if (fee := closing.fixed_fee) is not None:
        tax = {"category": fee.category, "rate": decimal_json(fee.rate)}
        out["fixedFee"] = {"amount": money_json(fee.amount, code), "period": fee.period, "tax": tax}
    return out


def _withholding_json(withholding: Withholding) -> Json:
    out: Json = {"rate": decimal_json(withholding.rate), "authority": withholding.authority}
    if withholding.surcharge_on_tax is not None:
        out["surchargeOnTax"] = decimal_json(withholding.surcharge_on_tax)
    if (found := withholding.certificate) is not None:
        end = {} if found.end is None else {"endDateTime": time_json(found.end)}
        valid_for = {"startDateTime": time_json(found.start), **end}
        out["certificate"] = {"rate": decimal_json(found.rate), "validFor": valid_for}
    return out


def _tiers_json(tiers: Tiers, code: str) -> Json:
    """Tiers as they came in: their steps end at amounts in units of the currency."""
    steps: list[Json] = []
    for step in tiers.steps:
        up_to = {} if step.up_to is None else {"upTo": money_json(step.up_to, code)["value"]}
        steps.append({**up_to, "share": decimal_json(step.share)})
    return {"mode": tiers.mode, "period": tiers.period, "steps": steps}


def agreement_json(agreement: Agreement) -> Json:
    """An agreement, with the terms that hold in it from day to day."""
    valid_for = {"startDateTime": time_json(agreement.valid_from)}
    if agreement.valid_until is not None:
        valid_for["endDateTime"] = time_json(agreement.valid_until)
    terms: list[Json] = []
    for agreed, end in agreement.periods:
        until = {} if end is None else {"validUntil": end.isoformat()}
        period = {"validFrom": agreed.valid_from.isoformat(), **until, "revision": agreed.revision}
        terms.append({**period, **terms_json(agreed, agreement.currency)})
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


TERMS: dict[str, Shape] = {
    "model": ("principal", "agent"),
    **AGENT_TERMS,
    "share?": "Decimal",
    "tiers?": {
        "mode": get_args(TierMode),
        "period": get_args(AgreedPeriod),
        "steps": [{"upTo?": "Decimal", "share": "Decimal"}],
    },
    "accrueOn": ("invoice", "payment"),
    "guarantee?": {"amount": "Money", "period": get_args(AgreedPeriod)},
    "advance?": {"amount": "Money"},
    "holdback?": {"rate": "Decimal", "releaseAfterDays": int},
    "payoutThreshold?": "Money",
    "withholding?": {
        "rate": "Decimal",
        "authority": "Text",
        "surchargeOnTax?": "Decimal",
        "certificate?": {"rate": "Decimal", "validFor": {"startDateTime": "Time", "endDateTime?": "Time"}},
    },
    "netting?": {"billingAccount": "BillingAccountReference"},
    "selfBilling?": {
        "series": "Id",
        "tax": {"category": "Id", "rate": "Decimal", "reverseChargeRate?": "Decimal"},
    },
    "fixedFee?": {
        "amount": "Money",
        "period": get_args(AgreedPeriod),
        "tax": {"category": "Id", "rate": "Decimal"},
    },
}
"""How a partner's terms look."""

LINE_KINDS = ("accrual", "adjustment", *get_args(StepKind), "broughtForward")

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
        "netted": "Money",
        "taxWithheld": "Money",
        "transferred": "Money",
        "state": "SettlementState",
        "payoutThreshold?": "Money",
        "disputedAmount?": "Money",
        "heldBy?": ["Id"],
        "heldForward?": {"amount": "Money", "heldBy": ["Id"]},
        "documents?": [{"@type": ("CustomerBillRef",), "id": "Id", "typeCode": get_args(TypeCode)}],
        "payouts?": ["Payout"],
        "report?": "StatementReport",
    },
    "SettlementLine": {
        "kind": LINE_KINDS,
        "lineType": LINE_KINDS,
        "settlementId?": "StatementId",
        "orderId?": "Id",
        "billNo?": "Id",
        "lineId?": "Id",
        "adjustmentId?": "Id",
        "corrects?": "Text",
        "agreementId?": "Id",
        "period?": {"from": "Date", "to": "Date"},
        "revision?": "Revision",
        "share?": "Money",
        "guaranteed?": "Money",
        "base?": "Money",
        "rate?": "Decimal",
        "releaseOn?": "Date",
        "explained?": {
            "cause": "Identity",
            "net": "Money",
            "terms": {
                "share?": "Decimal",
                "commission?": "Decimal",
                "commissionTax?": {"category": "Id", "rate": "Decimal"},
                "tier?": {"start": "Date", "netBefore": "Money", "share": "Money"},
                "freed?": [{"start": "Date", "net": "Money", "share": "Money"}],
                "accrueOn": ("invoice", "payment"),
                "agreementId?": "Id",
                "revision?": "Revision",
            },
            "share": "Money",
            "accrued": "Money",
            "commission?": "Money",
        },
        "date?": "Date",
        "amount": "Money",
    },
    "Reserve": {
        "@type": ("Reserve",),
        "settlementId": "StatementId",
        "settlementAccount": "SettlementAccountReference",
        "base": "Money",
        "rate": "Decimal",
        "amount": "Money",
        "heldOn": "Date",
        "releaseOn": "Date",
        "remainingAmount": "Money",
        "state": get_args(ReserveState),
        "releases": [{"releaseId?": "Id", "date": "Date", "amount": "Money"}],
    },
    "StatementReport": {
        "@type": ("StatementReport",),
        "reportId": "Id",
        "settlementId": "StatementId",
        "settlementAccount": "SettlementAccountReference",
        "tolerance": "Money",
        "agreed": int,
        "different": int,
        "missing": int,
        "lines": [
            {
                "orderId?": "Id",
                "billNo?": "Id",
                "lineId": "Id",
                "outcome": get_args(ComparisonOutcome),
                "amount?": "Money",
                "reportedAmount?": "Money",
                "difference": "Money",
            }
        ],
    },
    "SettlementDocument": {
        "@type": ("CustomerBill",),
        "id": "Id",
        "billNo": "Id",
        "typeCode": get_args(TypeCode),
        "settlementAccount": "SettlementAccountReference",
        "settlementId": "StatementId",
        "billDate": "Date",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "taxItem": [{**TAX_ITEM, "reverseChargeRate?": float, "reverseChargeAmount?": "Money"}],
        "lines": [
            {
                "@type": ("AppliedCustomerBillingRate",),
                "id": "Id",
                "kind": get_args(DocumentLineKind),
                "agreementId?": "Id",
                "period": {"from": "Date", "to": "Date"},
                "taxCategory": "Id",
                "taxRate": float,
                "taxExcludedAmount": "Money",
            }
        ],
        "sellerVersion": "Version?",
        "partnerVersion": "Version?",
        "correctedBillNo?": "Id",
        "credited?": {"taxExcludedAmount": "Money", "taxIncludedAmount": "Money"},
        "state?": get_args(DocumentState),
        "said?": [{"state": get_args(DocumentState), "at": "Time", "reason?": "Text"}],
    },
    "SettlementState": get_args(SettlementState),
    "Payout": {
        "@type": ("Payout",),
        "payoutId": "PayoutId",
        "settlementAccount": "SettlementAccountReference",
        "settlementId": "StatementId",
        "amount": "Money",
        "taxWithheld": "Money",
        "transferred": "Money",
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

_DOCUMENT: Shape = {"document": "SettlementDocument"}

EVENTS = (
    Event(
        "settlement.accrued",
        SettlementAccrued,
        "A partner has a share in what was billed or paid.",
        {
            "settlementAccount": "SettlementAccountReference",
            "amount": "Money",
            "cause": "Identity",
            "lines": [
                {"orderId?": "Id", "billNo": "Id", "lineId": "Id", "amount": "Money", "commission?": "Money"},
            ],
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
    Event(
        "settlement.corrected",
        SettlementCorrected,
        "A partner's shares in an invoice follow what was agreed of its day since.",
        {
            "settlementAccount": "SettlementAccountReference",
            "agreementId": "Id",
            "revision": "Revision",
            "billNo": "Id",
            "orderId?": "Id",
            "amount": "Money",
            "lines": [{"lineId": "Id", "was": "Money", "share": "Money", "amount": "Money", "commission?": "Money"}],
        },
        _settlement_corrected,
    ),
    Event(
        "payout.requested",
        PayoutRequested,
        "What is left to pay of a statement is to be paid out: `transferred` is to leave for the partner.",
        {
            "payoutId": "PayoutId",
            "settlementAccount": "SettlementAccountReference",
            "settlementId": "StatementId",
            "amount": "Money",
            "netted": "Money",
            "taxWithheld": "Money",
            "transferred": "Money",
        },
        _payout_requested,
    ),
    Event(
        "netting.applied",
        NettingApplied,
        "What was left to pay of a partner's statement has covered what the partner owed us.",
        {
            "settlement": "Settlement",
            "billingAccount": "BillingAccountReference",
            "amount": "Money",
            "invoices": [{"billNo": "Id", "amount": "Money"}],
        },
        _netting_applied,
    ),
    Event(
        "withholding.recorded",
        WithholdingRecorded,
        "Tax was withheld of a payout; or, below zero, is not any more, since it came back.",
        {
            "payoutId": "PayoutId",
            "settlementAccount": "SettlementAccountReference",
            "settlementId": "StatementId",
            "authority": "Text",
            "base": "Money",
            "rate": "Decimal",
            "amount": "Money",
        },
        _withholding_recorded,
    ),
    Event(
        "reserve.held",
        ReserveHeld,
        "A part of what a statement says was earned is held back.",
        {"reserve": "Reserve"},
        _reserve,
    ),
    Event(
        "reserve.released",
        ReserveReleased,
        "What was held back of a statement was released, or a part of it: the last of its releases.",
        {"reserve": "Reserve"},
        _reserve,
    ),
    Event(
        "statement.compared",
        StatementCompared,
        "A partner's own figures of a statement were compared with ours, line by line.",
        {"report": "StatementReport"},
        _statement_compared,
    ),
    Event(
        "self-billing.issued",
        SelfBillingIssued,
        "A statement's invoice, or credit note, was issued in the partner's name.",
        _DOCUMENT,
        _document,
    ),
    Event(
        "settlement.invoiced",
        SettlementInvoiced,
        "A statement settles what we have invoiced the partner, or have credited it.",
        _DOCUMENT,
        _document,
    ),
    Event(
        "self-billing.accepted",
        SelfBillingAccepted,
        "The partner has accepted a document that was issued in its name.",
        _DOCUMENT,
        _document,
    ),
    Event(
        "self-billing.disputed",
        SelfBillingDisputed,
        "The partner disputes a document that was issued in its name: its statement is not paid.",
        _DOCUMENT,
        _document,
    ),
)
