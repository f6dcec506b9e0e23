"""Messages to begin with, and short ways to read one."""

from __future__ import annotations

import json
from typing import Any

from domain.errors import Refused
from schemas.incoming import Incoming, read

Json = dict[str, Any]

ORDER: Json = {
    "orderId": "O-1001",
    "completedAt": "2026-11-22T10:15:00Z",
    "billingAccount": {"id": "BA-1"},
    "currency": "EUR",
    "items": [
        {
            "id": "1",
            "description": "Fibre 500, November",
            "quantity": 1,
            "unitPrice": "39.90",
            "tax": {"category": "S", "rate": "0.20"},
        },
        {
            "id": "2",
            "description": "Film rental",
            "quantity": 2,
            "unitPrice": "3.99",
            "tax": {"category": "S", "rate": "0.20"},
            "onBehalfOf": {"id": "SA-1"},
        },
    ],
}
PAYMENT: Json = {
    "paymentId": "P-1",
    "receivedAt": "2026-11-22T11:00:00Z",
    "billingAccount": {"id": "BA-1"},
    "amount": {"unit": "EUR", "value": 57.46},
    "method": "transfer",
    "invoices": ["INV-000000001"],
}
CLOSING: Json = {"closingId": "C-1", "settlementAccount": {"id": "SA-1"}, "periodEnd": "2026-11-30"}
PAYOUT: Json = {
    "payoutId": "PO-1",
    "settlementAccount": {"id": "SA-1"},
    "settlementId": "C-1",
    "amount": {"unit": "EUR", "value": "6.38"},
}
RETURN: Json = {"returnId": "PR-1", "payoutId": "PO-1", "returnedAt": "2026-12-03T09:00:00Z", "reason": "AC04"}
ADJUSTMENT: Json = {
    "adjustmentId": "A-1",
    "settlementAccount": {"id": "SA-1"},
    "amount": {"unit": "EUR", "value": "-0.38"},
    "date": "2026-11-24",
    "reason": "as agreed",
    "corrects": {"billNo": "INV-000000001", "lineId": "2"},
}
REPORT: Json = {
    "reportId": "R-1",
    "settlementId": "C-1-2",
    "tolerance": {"unit": "EUR", "value": "0.05"},
    "lines": [
        {"orderId": "O-1001", "lineId": "2", "amount": {"unit": "EUR", "value": "6.38"}},
        {"billNo": "INV-000000002", "lineId": "1", "amount": {"unit": "EUR", "value": "-0.50"}},
    ],
}
AGREEMENT: Json = {
    "agreementId": "AG-1",
    "settlementAccount": {"id": "SA-1"},
    "validFor": {"startDateTime": "2026-11-01T00:00:00Z", "endDateTime": "2027-11-01T00:00:00Z"},
    "terms": {"share": "0.75", "accrueOn": "payment"},
}
AGREEMENT_CHANGE: Json = {
    "agreementId": "AG-1",
    "ifRevision": 1,
    "validFrom": "2026-12-01",
    "terms": {"model": "principal", "share": "0.8"},
}
ADVANCE: Json = {
    "advanceId": "AV-1",
    "agreementId": "AG-1",
    "amount": {"unit": "EUR", "value": "300.00"},
    "paidAt": "2026-11-22T09:00:00Z",
}
ACCEPTANCE: Json = {"number": "SB-SA-1-000000001", "at": "2026-12-03T09:00:00Z"}
DOCUMENT_DISPUTE: Json = {**ACCEPTANCE, "reason": "one line is missing"}
RELEASE: Json = {
    "releaseId": "RR-1",
    "settlementId": "C-1",
    "releasedAt": "2026-12-03T09:00:00Z",
    "amount": {"unit": "EUR", "value": "40.00"},
}
CREDIT_NOTE: Json = {
    "creditNoteId": "N-1",
    "billNo": "INV-000000001",
    "issuedAt": "2026-11-23T09:00:00Z",
    "reason": "returned",
    "lines": [{"lineId": "2", "taxExcludedAmount": {"unit": "EUR", "value": "3.99"}}],
    "excess": "refund",
}
REFUND: Json = {
    "refundId": "R-1",
    "billingAccount": {"id": "BA-1"},
    "amount": {"unit": "EUR", "value": "4.79"},
    "refundedAt": "2026-11-24T09:00:00Z",
    "creditNoteId": "N-1",
    "paymentId": "P-1",
    "method": "transfer",
}
REVERSAL: Json = {
    "reversalId": "X-1",
    "paymentId": "P-1",
    "reversedAt": "2026-11-25T09:00:00Z",
    "reason": "AM04",
    "amount": {"unit": "EUR", "value": "4.79"},
    "fee": {"unit": "EUR", "value": "3.50"},
}
WRITE_OFF: Json = {
    "writeOffId": "W-1",
    "billNo": "INV-000000001",
    "writtenOffAt": "2026-11-26T09:00:00Z",
    "reason": "insolvent",
    "amount": {"unit": "EUR", "value": "90.00"},
    "taxRelief": True,
}
DISPUTE: Json = {
    "disputeId": "D-1",
    "billNo": "INV-000000001",
    "openedAt": "2026-11-23T10:00:00Z",
    "reason": "never came",
    "items": [{"lineId": "2", "taxExcludedAmount": {"unit": "EUR", "value": "3.99"}}],
}
DISPUTE_SETTLING: Json = {
    "disputeId": "D-1",
    "settledAt": "2026-11-24T10:00:00Z",
    "approved": [{"lineId": "2", "taxExcludedAmount": {"unit": "EUR", "value": "2.00"}}],
}
DISPUTE_WITHDRAWAL: Json = {"disputeId": "D-1", "withdrawnAt": "2026-11-24T10:00:00Z"}
VALIDATION: Json = {"billNo": "INV-000000001", "at": "2026-11-23T08:00:00Z", "by": "the customer's portal"}
SENDING: Json = {"billNo": "INV-000000001", "at": "2026-11-22T18:00:00Z", "medium": "e-mail"}
GRANT: Json = {
    "creditId": "C-1",
    "billingAccount": {"id": "BA-1"},
    "amount": {"unit": "EUR", "value": "4.79"},
    "grantedAt": "2026-11-24T10:00:00Z",
    "reason": "sorry",
}
TRANSFER: Json = {
    "transferId": "T-1",
    "from": {"id": "BA-1"},
    "to": {"id": "BA-2"},
    "amount": {"unit": "EUR", "value": "4.79"},
    "transferredAt": "2026-11-24T11:00:00Z",
    "reason": "wrong account",
    "paymentId": "P-1",
}
CHARGE: Json = {
    "chargeId": "C-1",
    "billingAccount": {"id": "BA-1"},
    "date": "2026-11-22",
    "currency": "EUR",
    "item": {
        "id": "1",
        "description": "Fibre 500, two weeks less",
        "quantity": 1,
        "unitPrice": "-19.95",
        "tax": {"category": "S", "rate": "0.20"},
    },
    "periodCoverage": {"startDateTime": "2026-11-16T00:00:00Z", "endDateTime": "2026-12-01T00:00:00Z"},
    "subscriptionId": "S-1",
    "corrects": {"billNo": "INV-000000001", "lineId": "1"},
}
SUBSCRIPTION: Json = {
    "subscriptionId": "S-1",
    "billingAccount": {"id": "BA-1"},
    "startDate": "2026-11-22",
    "currency": "EUR",
    "name": "Home",
    "trialEndDate": "2026-12-06",
    "terminationDate": "2028-11-22",
    "billingAnchor": "2026-12-01",
    "productPrice": [
        {
            "id": "P-1",
            "name": "Fibre 500",
            "priceType": "recurring",
            "unitPrice": "39.90",
            "quantity": 1,
            "billed": "inAdvance",
            "recurringChargePeriodType": "month",
            "recurringChargePeriodLength": 1,
            "tax": {"category": "S", "rate": "0.20"},
            "onBehalfOf": {"id": "SA-1"},
            "proration": "actual",
        },
        {
            "id": "P-2",
            "name": "Installation",
            "priceType": "oneTime",
            "unitPrice": "49",
            "tax": {"category": "S", "rate": "0.20"},
        },
        {
            "id": "P-3",
            "name": "Data",
            "priceType": "usage",
            "unitOfMeasure": "GB",
            "tiers": {
                "mode": "graduated",
                "steps": [{"upTo": 10, "unitPrice": 0, "flatFee": "1.50"}, {"unitPrice": "0.05"}],
            },
            "recurringChargePeriodType": "month",
            "recurringChargePeriodLength": 3,
            "tax": {"category": "S", "rate": "0.20"},
        },
        {
            "id": "P-4",
            "name": "At least",
            "priceType": "minimum",
            "amount": "9.90",
            "recurringChargePeriodType": "month",
            "tax": {"category": "S", "rate": "0.20"},
            "proration": "none",
        },
    ],
}
SUBSCRIPTION_CHANGE: Json = {
    "subscriptionId": "S-1",
    "effectiveDate": "2026-12-24",
    "ifRevision": 1,
    "changes": {"name": None, "productPrice": SUBSCRIPTION["productPrice"][:1], "billingAnchor": "2026-12-02"},
}
SUBSCRIPTION_COMMAND: Json = {"subscriptionId": "S-1", "effectiveDate": "2026-12-24", "ifRevision": 1}
USAGE: Json = {
    "usageId": "U-1",
    "subscriptionId": "S-1",
    "usageDate": "2026-11-22T10:15:00+01:00",
    "priceId": "P-3",
    "quantity": "2.50",
}
PAYMENT_FAILED: Json = {"paymentRequestId": "INV-000000001", "reason": "AM04", "failedAt": "2026-11-24T09:00:00Z"}
PROMISE: Json = {
    "promiseId": "PR-1",
    "billingAccount": {"id": "BA-1"},
    "until": "2026-12-24",
    "amount": {"unit": "EUR", "value": 19.95},
}
BILL_RUN: Json = {"billRunId": "R-1", "cycleSpecification": {"id": "MONTHLY"}, "billingDate": "2026-11-22"}
DEMAND: Json = {"id": "D-1", "billingAccount": {"id": "BA-1"}, "billingDate": "2026-11-22"}
ACCOUNT: Json = {
    "id": "SA-1",
    "@type": "SettlementAccount",
    "name": "Film studio",
    "relatedParty": [{"role": "partner", "partyOrPartyRole": {"id": "42"}}],
    "currency": "EUR",
    "settlementTerms": {"partnerShare": 0.8, "accrueOn": "payment"},
}

SELLER: Json = {
    "ifRevision": 4,
    "changes": {
        "name": "Hill Bakery GmbH",
        "address": {"street": "Hügelweg 1", "postCode": "80331", "city": "München", "country": "DE"},
        "vatId": "DE 136695976",
        "legalId": "HRB 12345",
        "iban": "DE89 3704 0044 0532 0130 00",
        "bic": "COBADEFFXXX",
        "contact": {"name": "Ada", "phone": "+49 89 1234", "email": "ada@example.org"},
        "terms": None,
        "slogan": {"de": "Frisch", "since": 1907},
    },
}

MESSAGES: dict[str, Json] = {
    "account.create": ACCOUNT,
    "order.completed": ORDER,
    "payment.received": PAYMENT,
    "settlement.close": CLOSING,
    "payout.completed": PAYOUT,
    "credit-note.issue": CREDIT_NOTE,
    "refund.completed": REFUND,
    "payment.reversed": REVERSAL,
    "invoice.write-off": WRITE_OFF,
    "dispute.open": DISPUTE,
    "dispute.settle": DISPUTE_SETTLING,
    "dispute.withdraw": DISPUTE_WITHDRAWAL,
    "payout.returned": RETURN,
    "settlement.adjust": ADJUSTMENT,
    "statement.report": REPORT,
    "agreement.create": AGREEMENT,
    "agreement.change": AGREEMENT_CHANGE,
    "advance.paid": ADVANCE,
    "reserve.release": RELEASE,
    "self-billing.accept": ACCEPTANCE,
    "self-billing.dispute": DOCUMENT_DISPUTE,
    "credit.grant": GRANT,
    "credit.transfer": TRANSFER,
    "charge.add": CHARGE,
    "subscription.create": SUBSCRIPTION,
    "subscription.change": SUBSCRIPTION_CHANGE,
    "subscription.suspend": SUBSCRIPTION_COMMAND,
    "subscription.resume": SUBSCRIPTION_COMMAND,
    "subscription.terminate": SUBSCRIPTION_COMMAND,
    "usage.record": USAGE,
    "bill.demand": DEMAND,
    "payment.promise": PROMISE,
    "payment.failed": PAYMENT_FAILED,
    "bill-run.start": BILL_RUN,
}


class Raw(str):
    """JSON text that goes into a body as it is, such as a number that no Python value is written as."""

    __slots__ = ()


def body(message: Any) -> bytes:
    """The message as UTF-8 JSON, every `Raw` in it as it stands."""
    raws: list[str] = []

    def marked(value: Any) -> Any:
        if isinstance(value, Raw):
            raws.append(value)
            return f"<raw {len(raws) - 1}>"
        if isinstance(value, dict):
            return {key: marked(item) for key, item in value.items()}
        return [marked(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(marked(message))
    for n, raw in enumerate(raws):
        text = text.replace(f'"<raw {n}>"', raw)
    return text.encode()


def change(message: Json, path: str, value: Any) -> Json:
    """A copy of a message in which the field at a dotted path has another value (`...`: it is not there)."""
    copy: Any = json.loads(json.dumps(message))
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    part = copy
    for step in way:
        part = part[step]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return dict(copy)


def one(routing_key: str, message: Any, message_id: str | None = "m-1") -> Incoming:
    """The one fact of a message, or of a body given as bytes."""
    content = message if isinstance(message, bytes) else body(message)
    [incoming] = read(routing_key, content, message_id, {}, None)
    return incoming


def accepted(routing_key: str, message: Any, message_id: str | None = "m-1") -> Incoming:
    """The one fact of a message that is fine."""
    incoming = one(routing_key, message, message_id)
    assert incoming.refusal is None, incoming.refusal
    assert incoming.fact is not None
    return incoming


def refused(routing_key: str, message: Any, message_id: str | None = "m-1") -> Refused:
    """The refusal of a message that is not."""
    incoming = one(routing_key, message, message_id)
    assert incoming.refusal is not None, incoming.fact
    assert incoming.fact is None
    return incoming.refusal
