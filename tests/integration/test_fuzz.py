"""Bad input by the thousand through a real queue: each message is parked with its code, the good among them applied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from adapters.settings import Settings
from domain.accounts.specifications import SPECIFICATIONS
from schemas.incoming import read
from schemas.messages import MESSAGES as KNOWN
from tests.integration.test_bad_messages import publish_raw
from tests.schemas.letters import MESSAGES, Raw, body, change
from tests.schemas.test_digest_versions import SAMPLES
from tests.support.books import Books, assert_clean, held, position
from tests.support.broker import Broker
from tests.support.client import IN_FLIGHT, Client
from tests.support.messages import customer, eur, item, order, partner, payment
from tests.support.steady import AT_LENGTH
from tests.support.waiting import wait_for
from tests.support.workers import working

LETTERS = 1_600 if AT_LENGTH else 210
"""How many letters are drawn by lot, beside each wrong value."""

_NEVER: list[Any] = [True, [], {}]
_IDS: list[Any] = [*_NEVER, None, 5, 1.5, "", "a b", "a\n", "ü", "x" * 129, "\0", "\ud800"]
_TEXTS: list[Any] = [*_NEVER, 5, "x" * 1_001, "a\0b", "\ud83d", "\udc00x"]
_DECIMALS: list[Any] = [
    *[*_NEVER, None, "", " 1", "1e5", "NaN", "1,5", "0x1", "+1", "1.", ".5", "\u0661", "0.123456789", "123456789012"],
    *[2**70, -(2**63), Raw("1e5"), Raw("1E+999999999"), Raw("-1E-999999999"), Raw("NaN"), Raw("-Infinity")],
    *[Raw("1" * 5_000), Raw("0." + "1" * 5_000), Raw("12345678.12345678")],
]
_RATES: list[Any] = [*_DECIMALS, -1, "1.1", 2, Raw("-0.01")]
_TIMES: list[Any] = [
    *[*_NEVER, None, 5, "", "22.11.2026", "2026-11-22", "2026-11-22T10:15:00", "2026-11-22 10:15:00Z"],
    *["2026-02-30T10:00:00Z", "2026-11-22T25:00:00Z", "2026-11-22T10:15:00+99:00", "0000-01-01T00:00:00Z"],
]
_DATES: list[Any] = [*_NEVER, None, 20261130, "", "2026-11-31", "2026-1-1", "20261130", "2026-11-30T00:00:00Z"]
_CURRENCIES: list[Any] = [*_NEVER, None, 978, "", "eur", "EURO", "XXX", "XAU", "€"]
_AMOUNTS: list[Any] = [
    *[True, [], {}, None, 5, "5", {"unit": "EUR"}, {"value": 1}, {"unit": "eur", "value": 1}],
    *[eur(value) for value in [0, -1, "1.234", 10**12, None, True, "1e2", Raw("1e2"), Raw("NaN")]],
]
_PARTS: list[Any] = [True, [], {}, None, 5, "x"]


# What no field of a good message may hold, by its path: the message is `invalid` whatever else it says.
def _tax(category: str, rate: float, reverse: float) -> dict[str, object]:
    """A partner's tax with a rate of reverse charge."""
    return {"category": category, "rate": rate, "reverseChargeRate": reverse}


WRONG: dict[str, dict[str, list[Any]]] = {
    "order.completed": {
        "orderId": _IDS,
        "completedAt": _TIMES,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "currency": _CURRENCIES,
        "items": [*_PARTS, [5], [None], [[]], [{}]],
        "items.0": _PARTS,
        "items.0.id": [*_IDS, "2"],
        "items.0.description": _TEXTS,
        "items.0.quantity": [*_DECIMALS, 99_999_999_999],
        "items.0.unitPrice": [*_DECIMALS, "-100.00"],
        "items.0.tax": _PARTS,
        "items.0.tax.category": _IDS,
        "items.0.tax.rate": _RATES,
        "items.1.onBehalfOf": [True, [], {}, 5, "x"],
        "items.1.onBehalfOf.id": _IDS,
    },
    "payment.received": {
        "paymentId": _IDS,
        "receivedAt": _TIMES,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "amount": _AMOUNTS,
        "method": _TEXTS,
        "invoices": [True, {}, 5, "INV-1", [5], [None], ["a\0"], ["x"] * 101],
    },
    "settlement.close": {"closingId": _IDS, "settlementAccount": _PARTS, "periodEnd": _DATES},
    "payout.completed": {"payoutId": _IDS, "settlementAccount": _PARTS, "settlementId": _IDS, "amount": _AMOUNTS},
    "settlement.adjust": {
        "adjustmentId": _IDS,
        "settlementAccount": _PARTS,
        "amount": [value for value in _AMOUNTS if value != eur(-1)],
        "date": _DATES,
        "reason": [*_TEXTS, None],
        "corrects": [value for value in _PARTS if value is not None],
        "corrects.billNo": _IDS,
        "corrects.lineId": _IDS,
    },
    "agreement.create": {
        "agreementId": _IDS,
        "settlementAccount": _PARTS,
        "validFor": [*_PARTS, {}],
        "validFor.startDateTime": _TIMES,
        "validFor.endDateTime": [*(time for time in _TIMES if time is not None), "2020-01-01T00:00:00Z"],
        "terms": [
            *_PARTS,
            {"share": 0.5, "tiers": {}},
            {"share": 0.5, "fee": None},
            {"share": 0.5, "selfBilling": {"series": "SB1", "tax": {"category": "S", "rate": 0.2}}},
            {"share": 0.5, "selfBilling": {"series": "SB-", "tax": _tax("S", 0, 1)}},
            {"share": 0.5, "selfBilling": {"series": "SB-", "tax": _tax("AE", 1, 1)}},
            {"share": 0.5, "fixedFee": {"amount": eur(0), "period": "month", "tax": {"category": "S", "rate": 0}}},
            {"share": 0.5, "fixedFee": {"amount": eur(1), "period": "month"}},
            {"share": 0.5, "guarantee": {"amount": eur(0), "period": "month"}},
            {"share": 0.5, "guarantee": {"amount": eur(1), "period": "week"}},
            {"share": 0.5, "advance": {"amount": eur(1), "interest": 1}},
            {"share": 0.5, "advance": {"amount": eur(1)}, "payoutThreshold": {"unit": "USD", "value": 1}},
            {"share": 0.5, "holdback": {"rate": "1.1", "releaseAfterDays": 1}},
            {"share": 0.5, "holdback": {"rate": "0.1", "releaseAfterDays": -1}},
            {"share": 0.5, "holdback": {"rate": "0.1"}},
            {"share": 0.5, "payoutThreshold": eur(-1)},
        ],
        "terms.share": _RATES,
        "terms.accrueOn": [*_NEVER, None, 5, "", "never"],
        "terms.model": ["agent", "", 5],
    },
    "agreement.change": {
        "agreementId": _IDS,
        "ifRevision": [*_NEVER, 0, -1, 1.5, "1"],
        "validFrom": _DATES,
        "terms": [*_PARTS, {}, {"share": 0.5, "guarantee": 1}],
        "terms.share": _RATES,
    },
    "advance.paid": {"advanceId": _IDS, "agreementId": _IDS, "amount": _AMOUNTS, "paidAt": _TIMES},
    "reserve.release": {
        "releaseId": _IDS,
        "settlementId": _IDS,
        "releasedAt": _TIMES,
        "amount": [value for value in _AMOUNTS if value is not None],
    },
    "self-billing.accept": {"number": _IDS, "at": _TIMES},
    "self-billing.dispute": {"number": _IDS, "at": _TIMES, "reason": [*_TEXTS, None]},
    "statement.report": {
        "reportId": _IDS,
        "settlementId": _IDS,
        "tolerance": [value for value in _AMOUNTS if value is not None and value != eur(0)],
        "lines": [*[value for value in _PARTS if value != []], [5], [None], [{}]],
        "lines.0": [
            *_PARTS,
            {"lineId": "1", "amount": eur(1)},
            {"orderId": "O-1", "billNo": "INV-1", "lineId": "1", "amount": eur(1)},
        ],
        "lines.0.orderId": _IDS,
        "lines.0.lineId": _IDS,
        "lines.0.amount": [value for value in _AMOUNTS if value not in (eur(-1), eur(0))],
    },
    "payout.returned": {"returnId": _IDS, "payoutId": _IDS, "returnedAt": _TIMES, "reason": [*_TEXTS, None]},
    "refund.completed": {
        "refundId": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "amount": _AMOUNTS,
        "refundedAt": _TIMES,
        "creditNoteId": [value for value in _IDS if value is not None],
        "paymentId": [value for value in _IDS if value is not None],
        "method": _TEXTS,
    },
    "payment.reversed": {
        "reversalId": _IDS,
        "paymentId": _IDS,
        "reversedAt": _TIMES,
        "reason": [*_TEXTS, None],
        "amount": [value for value in _AMOUNTS if value is not None],
        "fee": [value for value in _AMOUNTS if value is not None],
    },
    "invoice.write-off": {
        "writeOffId": _IDS,
        "billNo": _IDS,
        "writtenOffAt": _TIMES,
        "reason": [*_TEXTS, None],
        "amount": [value for value in _AMOUNTS if value is not None],
        "taxRelief": [None, 5, "", "true", [], {}],
    },
    "dispute.open": {
        "disputeId": _IDS,
        "billNo": _IDS,
        "openedAt": _TIMES,
        "reason": [*_TEXTS, None],
        "items": [True, [], {}, 5, "x", [5], [None], [{}], None],
        "items.0": _PARTS,
        "items.0.lineId": _IDS,
        "items.0.taxExcludedAmount": [value for value in _AMOUNTS if value != eur(-1)],
    },
    "dispute.settle": {
        "disputeId": _IDS,
        "settledAt": _TIMES,
        "approved": [True, {}, 5, "x", [5], [None], [{}], None],
        "approved.0": _PARTS,
        "approved.0.lineId": _IDS,
        "approved.0.taxExcludedAmount": [value for value in _AMOUNTS if value != eur(-1)],
    },
    "payment.failed": {"paymentRequestId": _IDS, "reason": [*_TEXTS, None], "failedAt": _TIMES},
    "payment.promise": {
        "promiseId": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "until": _DATES,
        "amount": [value for value in _AMOUNTS if value is not None],
    },
    "dispute.withdraw": {"disputeId": _IDS, "withdrawnAt": _TIMES},
    "invoice.validate": {"billNo": _IDS, "at": _TIMES, "by": _TEXTS},
    "invoice.send": {"billNo": _IDS, "at": _TIMES, "medium": _TEXTS},
    "credit.grant": {
        "creditId": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "amount": _AMOUNTS,
        "grantedAt": _TIMES,
        "reason": [*_TEXTS, None],
    },
    "credit.transfer": {
        "transferId": _IDS,
        "from": _PARTS,
        "from.id": _IDS,
        "to": _PARTS,
        "to.id": _IDS,
        "amount": _AMOUNTS,
        "transferredAt": _TIMES,
        "reason": [*_TEXTS, None],
        "paymentId": [value for value in _IDS if value is not None],
    },
    "charge.add": {
        "chargeId": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "date": _DATES,
        "currency": _CURRENCIES,
        "item": _PARTS,
        "item.id": _IDS,
        "item.quantity": _DECIMALS,
        "item.unitPrice": _DECIMALS,
        "item.tax": _PARTS,
        "item.tax.rate": _RATES,
        "periodCoverage": [value for value in _PARTS if value is not None],
        "periodCoverage.startDateTime": _TIMES,
        "periodCoverage.endDateTime": [*_TIMES, "2026-11-16T00:00:00Z"],
        "subscriptionId": [value for value in _IDS if value is not None],
        "corrects.billNo": _IDS,
        "corrects.lineId": _IDS,
    },
    "subscription.create": {
        "subscriptionId": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "startDate": _DATES,
        "currency": _CURRENCIES,
        "name": _TEXTS,
        "trialEndDate": [value for value in _DATES if value is not None],
        "terminationDate": [value for value in _DATES if value is not None],
        "billingAnchor": [value for value in _DATES if value is not None],
        "productPrice": [*_PARTS, [5], [None], [[]], [{}]],
        "productPrice.0": _PARTS,
        "productPrice.0.id": [*_IDS, "P-2"],
        "productPrice.0.name": [*_TEXTS, None],
        "productPrice.0.priceType": [*_NEVER, None, 5, "", "discount", "usage", "oneTime", "minimum"],
        "productPrice.0.unitPrice": [*_DECIMALS, None],
        "productPrice.0.quantity": [value for value in _DECIMALS if value is not None],
        "productPrice.0.billed": [*_NEVER, None, 5, "", "later"],
        "productPrice.0.recurringChargePeriodType": [*_NEVER, None, 5, "", "months", "quarter"],
        "productPrice.0.recurringChargePeriodLength": [*_NEVER, 0, -1, 121, 1.5, "1"],
        "productPrice.0.tax": _PARTS,
        "productPrice.0.tax.category": _IDS,
        "productPrice.0.tax.rate": _RATES,
        "productPrice.0.proration": [*_NEVER, None, 5, "", "monthly"],
        "productPrice.0.amount": [1],
        "productPrice.0.unitOfMeasure": ["GB"],
        "productPrice.2.unitPrice": [1],
        "productPrice.2.unitOfMeasure": [*_TEXTS, None],
        "productPrice.2.tiers": [True, [], {}, None, 5, "x"],
        "productPrice.2.tiers.mode": [*_NEVER, None, "", "tiered"],
        "productPrice.2.tiers.steps": [*_PARTS, [5], [{}]],
        "productPrice.2.tiers.steps.0.upTo": [*_DECIMALS, None, 0, -1],
        "productPrice.2.tiers.steps.1.upTo": [20],
        "productPrice.2.tiers.steps.0.unitPrice": [*_DECIMALS, None],
        "productPrice.2.tiers.steps.0.flatFee": [value for value in _DECIMALS if value is not None],
        "productPrice.3.amount": [*_DECIMALS, None, -1],
    },
    "subscription.change": {
        "subscriptionId": _IDS,
        "effectiveDate": _DATES,
        "ifRevision": [*_NEVER, 0, -1, 1.5, "1"],
        "changes": [True, [], {}, None, 5, "x", {"startDate": "2026-11-23"}, {"name": "x", "state": "active"}],
        "changes.name": _TEXTS,
        "changes.productPrice": [*_PARTS, [5], [{}]],
        "changes.productPrice.0.unitPrice": [*_DECIMALS, None],
        "changes.billingAnchor": [value for value in _DATES if value is not None],
    },
    **{
        f"subscription.{kind}": {
            "subscriptionId": _IDS,
            "effectiveDate": _DATES,
            "ifRevision": [*_NEVER, 0, -1, 1.5, "1"],
        }
        for kind in ("suspend", "resume", "terminate")
    },
    "usage.record": {
        "usageId": _IDS,
        "subscriptionId": _IDS,
        "usageDate": _TIMES,
        "priceId": _IDS,
        "quantity": _DECIMALS,
    },
    "bill.demand": {
        "id": _IDS,
        "billingAccount": _PARTS,
        "billingAccount.id": _IDS,
        "billingDate": [value for value in _DATES if value is not None],
    },
    "bill-run.start": {
        "billRunId": _IDS,
        "cycleSpecification": _PARTS,
        "cycleSpecification.id": _IDS,
        "billingDate": _DATES,
    },
    "credit-note.issue": {
        "creditNoteId": _IDS,
        "billNo": _IDS,
        "issuedAt": _TIMES,
        "reason": [*_TEXTS, None],
        "lines": [True, [], {}, 5, "x", [5], [None], [{}]],
        "lines.0": _PARTS,
        "lines.0.lineId": _IDS,
        "lines.0.taxExcludedAmount": [value for value in _AMOUNTS if value != eur(-1)],
        "excess": [*_NEVER, 5, "", "both"],
    },
    "account.create": {
        "id": [value for value in _IDS if value is not None],
        "@type": [*_NEVER, None, 5, "", "Account", "billingaccount"],
        "name": [*_TEXTS, None],
        "currency": _CURRENCIES,
        "paymentTermDays": [*_NEVER, "30", 1.5, -1, 3_651, 2**64],
        "settlementTerms": [True, 5, "x"],
        "settlementTerms.partnerShare": _RATES,
        "settlementTerms.accrueOn": [*_NEVER, None, 5, "", "never"],
        "closingCycle": [True, 5, "month", [], {}, {"period": "day", "anchorDate": "2026-01-31"}, {"period": "week"}],
        "unheardOf": ["a\0b", "\ud800", 2**64, {"a\0b": 1}, Raw("1" * 500)],
    },
}

_REVISIONS: list[Any] = [*_NEVER, "1", 1.5, -1, 0, 2**64]
_DOCUMENTS: list[Any] = [True, [], None, 5, "x"]
_WHY: list[Any] = [*_TEXTS, None, "", " "]
_HELD: list[Any] = [True, {}, None, "P-1", [], [5], [None], ["a\0b"], ["x" * 1_001], ["P-1"] * 501]
_COMMAND = {"id": _IDS, "ifRevision": _REVISIONS}
_ACT = {"ids": _HELD, "why": _WHY}

WRONG |= {
    "seller.update": {
        "ifRevision": _REVISIONS,
        "changes": _DOCUMENTS,
        "changes.name": _TEXTS,
        "changes.address": [True, [], 5, "x"],
        "changes.address.street": _TEXTS,
        "changes.address.country": [*_NEVER, 49, "", "de", "DEU", "XX", "Germany"],
        "changes.vatId": [*_TEXTS, "", "DE", "136695976", "DE136695977", "XX12345", "CH", "CHE\u0661", "US-", "\u212a"],
        "changes.legalId": _TEXTS,
        "changes.iban": [*_TEXTS, "", "DE89370400440532013001", "DE", "XX00", "\u0661" * 22],
        "changes.bic": [*_TEXTS, "", "COBADEFF1", "COBA1EFFXXX"],
        "changes.contact": [True, [], 5, "x"],
        "changes.contact.email": [*_TEXTS, "", "ada", "@", "a@b@c", "a b@c"],
        "changes.version": [1, None],
        "changes.slogan": ["a\0b", "\ud800", 2**64, {"a\0b": 1}],
    },
    "account.update": {
        **_COMMAND,
        "@type": [*_NEVER, None, "Account"],
        "changes": _DOCUMENTS,
        "changes.legalEntity": [True, [], 5, "x", {"vatId": "DE1"}, {"address": {"country": "XX"}}, {"name": ["x"]}],
    },
    **{
        f"account.{command}": {**_COMMAND, "reason": _TEXTS}
        for command in ("suspend", "resume", "close", "reopen", "delete")
    },
    **{
        f"{name}.create": {"id": [value for value in _IDS if value is not None], "name": [*_TEXTS, None]}
        for name in SPECIFICATIONS
    },
    **{f"{name}.update": {**_COMMAND, "@type": [True, [], 5], "changes": _DOCUMENTS} for name in SPECIFICATIONS},
    **{f"{name}.delete": _COMMAND for name in SPECIFICATIONS},
    **{f"parked.{act}": _ACT for act in ("replay", "discard", "undo", "note")},
    "parked.edit": {"id": [*_TEXTS, None], "body": [*_NEVER, None, 5, "\ud800"], "why": _WHY},
}

GOOD = SAMPLES | MESSAGES
"""A good message of each type."""

OPTIONAL = ("description", "onBehalfOf", "method", "invoices", "lines", "excess", "creditNoteId", "paymentId", "fee")
OPTIONAL_THERE = {
    ("payment.reversed", "amount"),
    ("invoice.write-off", "amount"),
    ("invoice.write-off", "taxRelief"),
    ("invoice.validate", "by"),
    ("invoice.send", "medium"),
    ("dispute.settle", "approved.0"),
    ("settlement.adjust", "corrects"),
    ("statement.report", "tolerance"),
    ("statement.report", "lines.0"),
    ("agreement.create", "validFor.endDateTime"),
    ("agreement.create", "terms.accrueOn"),
    ("agreement.create", "terms.model"),
    ("agreement.change", "ifRevision"),
    ("reserve.release", "amount"),
    ("charge.add", "periodCoverage"),
    ("charge.add", "subscriptionId"),
    ("bill.demand", "billingDate"),
    ("payment.promise", "amount"),
    *[("subscription.create", name) for name in ("name", "trialEndDate", "terminationDate", "billingAnchor")],
    *[
        ("subscription.create", f"productPrice.0{field}")
        for field in ("", ".quantity", ".recurringChargePeriodLength", ".proration", ".amount", ".unitOfMeasure")
    ],
    ("subscription.create", "productPrice.2.unitPrice"),
    ("subscription.create", "productPrice.2.tiers.steps.0.flatFee"),
    ("subscription.create", "productPrice.2.tiers.steps.1.upTo"),
    *[("subscription.change", f"changes.{name}") for name in ("name", "productPrice", "billingAnchor")],
    *[(f"subscription.{kind}", "ifRevision") for kind in ("change", "suspend", "resume", "terminate")],
}

NEEDED = [
    (routing_key, "items" if path == "items.0" else path)
    for routing_key in MESSAGES
    if routing_key != "account.create"
    for path in WRONG[routing_key]
    if path.rpartition(".")[2] not in OPTIONAL and (routing_key, path) not in OPTIONAL_THERE
]
"""What must be there, of the messages that say what happened."""

HEADERS: dict[str, Any] = {
    "nothing": None,
    "bool": True,
    "int": -1,
    "long": 2**62,
    "float": 1.5,
    "decimal": Decimal("1.25"),
    "text": "ü" * 300,
    "bytes": bytearray(b"\xff\0"),
    "time": datetime(1970, 1, 1, tzinfo=UTC),
    "list": [1, "two", [3.0, {"four": None}]],
    "table": {"$ref": "x", "a.b": {"": 1}},
    "x-death": [{"count": 2**40, "routing-keys": ["x"]}],
    "x-first-death-reason": 7,
    "": "no name",
    "x-delivery-count": "many",
    "schema-version": 1,
}
ODD: list[dict[str, Any]] = [
    *[{"headers": {name: value}} for name, value in HEADERS.items()],
    {"headers": HEADERS},
    {"headers": {f"h-{n}": n for n in range(500)}},
    {"headers": {"x-delivery-count": -1}},
    {"content_type": "text/xml", "type": "order.reversed"},
    {"content_encoding": "UTF-8"},
    {"reply_to": "paymaster.work"},
    {"reply_to": "nobody", "correlation_id": "ü" * 120},
    {"reply_to": "", "correlation_id": "", "message_id": "", "app_id": ""},
    {"timestamp": datetime(9999, 12, 31, tzinfo=UTC)},
    {"message_id": "ü" * 120, "app_id": "\U0001f600" * 60},
    {"expiration": 86_400, "priority": 255},
]


@dataclass
class Mail:
    """Letters, and what must come of them: the identities applied, the code of each body that is parked."""

    random: Random
    letters: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    applied: set[str] = field(default_factory=set)
    parked: dict[tuple[str, bytes], str] = field(default_factory=dict)
    owed: int = 0
    count: int = 0

    def send(self, routing_key: str, content: bytes, properties: dict[str, Any] | None = None) -> None:
        """One more letter."""
        self.letters.append((routing_key, content, properties or {}))

    def number(self) -> int:
        """A number that no other letter has."""
        self.count += 1
        return self.count

    def good(self) -> tuple[str, bytes]:
        """An order of 12.00 or a payment of some cents, which will be applied."""
        n = self.number()
        if self.random.random() < 0.7:
            routing_key, content = order(
                f"O-{n}", "BA-1", unheardOf=self.random.choice(["\0", "\ud800", 2**64, [[]], n])
            )
            self.applied.add(f"order.completed:O-{n}")
            self.owed += 1_200
        else:
            routing_key, content = payment(f"P-{n}", "BA-1", Raw(f"0.{n % 89 + 10}"))
            self.applied.add(f"payment.received:P-{n}")
            self.owed -= n % 89 + 10
        return routing_key, body(content)

    def invalid(self, routing_key: str) -> bytes:
        """A good message but for one field that is wrong; `n` makes its bytes its own."""
        path = self.random.choice(list(WRONG[routing_key]))
        wrong = self.random.choice(WRONG[routing_key][path])
        return body(change(GOOD[routing_key] | {"n": self.number()}, path, wrong))

    def park(self, routing_key: str, content: bytes, code: str, properties: dict[str, Any] | None = None) -> None:
        """A letter that will be parked as a whole."""
        self.expect(routing_key, content, code)
        self.send(routing_key, content, properties)

    def expect(self, routing_key: str, content: bytes, code: str) -> None:
        """These bytes, a letter's or a part's of one, will be parked."""
        assert self.parked.setdefault((routing_key, content), code) == code


def a_good_one(mail: Mail) -> None:
    """A good message with odd properties."""
    mail.send(*mail.good(), mail.random.choice(ODD))


def a_wrong_field(mail: Mail) -> None:
    """A field of a wrong type or value."""
    routing_key = mail.random.choice(list(WRONG))
    mail.park(routing_key, mail.invalid(routing_key), "invalid")


def a_missing_field(mail: Mail) -> None:
    """A field that is needed is not there."""
    routing_key, path = mail.random.choice(NEEDED)
    content = change(MESSAGES[routing_key] | {"n": mail.number()}, path, ...)
    mail.park(routing_key, body(content), "invalid")


def a_broken_text(mail: Mail) -> None:
    """A message that was good, cut off or with bytes that are no JSON or no UTF-8."""
    routing_key = mail.random.choice(list(MESSAGES))
    text = body(MESSAGES[routing_key] | {"n": mail.number()})
    at = mail.random.randrange(1, len(text))
    noise = mail.random.choice([b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\0", b"\x01", b"\x7f\x80"])
    broken = mail.random.choice([text[:at], text[:at] + noise + text[at:], text + b"}", text + text, b"{" + text])
    mail.park(routing_key, broken, "malformed")


def another_encoding(mail: Mail) -> None:
    """A good message in another encoding than UTF-8, or said to be in one."""
    text = body(MESSAGES["order.completed"] | {"n": mail.number(), "name": "ü"}).decode()
    encoding = mail.random.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gzip", "latin-1", "a" * 200])
    if encoding in ("utf-7", "gzip", "latin-1", "a" * 200):
        mail.park("order.completed", text.encode(), "malformed", {"content_encoding": encoding})
    else:
        mail.park("order.completed", text.encode(encoding), "malformed")


def noise(mail: Mail) -> None:
    """Bytes of any kind; the first of them can't begin UTF-8."""
    mail.park(
        mail.random.choice(list(MESSAGES)), b"\xbf" + mail.random.randbytes(mail.random.randrange(99)), "malformed"
    )


def no_object(mail: Mail) -> None:
    """JSON that is no message."""
    n = mail.number()
    content = mail.random.choice([b"%d", b" %d ", b"%d.5", b'"%d"', b"-%dE400", b"true" + b" " * 20 + b"%d"]) % n
    mail.park("order.completed", content, "malformed" if content.startswith(b"true") else "invalid")


def nobody_s(mail: Mail) -> None:
    """A routing key that nothing handles."""
    n = mail.number()
    routing_key = mail.random.choice(
        ["order.reversed", "ORDER.COMPLETED", "order.completed.", "#", "*", "", "ü.\0.$x", "x" * 255]
    )
    mail.park(routing_key, mail.random.choice([b"%d", b"[%d]", b"\xff%d", b'{"n":%d}']) % n, "unknown-type")


def too_deep(mail: Mail) -> None:
    """Nested deeper than 32, or so deep that it could end a reader."""
    n, depth = mail.number(), mail.random.choice([33, 40, 100, 990, 30_000])
    opening, closing = mail.random.choice([('{"a":', "}"), ("[", "]")])
    text = f'{{"n":{n},"deep":{opening * depth}{closing * depth if opening == "[" else "1" + closing * depth}}}'
    mail.park("order.completed", text.encode(), "malformed")


def another_version(mail: Mail) -> None:
    """A schema version that is not known."""
    version = mail.random.choice([2, 0, -1, "2", "", "1.0", [1], {"version": 1}, None, 2**60])
    content = body(MESSAGES["payment.received"] | {"n": mail.number()})
    mail.park("payment.received", content, "invalid", {"headers": {"schema-version": version}})


def another_currency(mail: Mail) -> None:
    """What only the books can tell."""
    n = mail.number()
    routing_key, content = order(f"O-{n}", "BA-1", currency="USD")
    mail.park(routing_key, body(content), "currency-mismatch")


def an_array(mail: Mail) -> None:
    """Good and bad facts in one message: each stands alone."""
    pieces: list[bytes] = []
    for _ in range(mail.random.randrange(1, 12)):
        kind = mail.random.random()
        if kind < 0.5:
            n = mail.number()
            mail.applied.add(f"order.completed:O-{n}")
            mail.owed += 1_200
            pieces.append(body(order(f"O-{n}", "BA-1")[1]))
            continue
        n = mail.number()
        deep = f'{{"n":{n},"deep":{"[" * 40}{"]" * 40}}}'.encode()
        piece, code = mail.random.choice(
            [(deep, "malformed"), (b"%d" % n, "invalid"), (mail.invalid("order.completed"), "invalid")]
        )
        mail.expect("order.completed", piece, code)
        pieces.append(piece)
    between = mail.random.choice([b",", b" ,\n", b",\t "])
    mail.send("order.completed", b" [" + between.join(pieces) + b"]\n")


def a_broken_array(mail: Mail) -> None:
    """An array that is cut off, empty, or too long is refused as a whole, with the good facts in it."""
    n = mail.number()
    good = body(order(f"O-{n}", "BA-1")[1])
    content, code = mail.random.choice(
        [
            (b"[" + good + b"," + good, "malformed"),
            (b"[" + good + b",]", "malformed"),
            (b"[" + good + b"]]", "malformed"),
            (b"[" + b" " * n + b"]", "invalid"),
            (b"[" + b"%d," % n * 500 + b"0]", "invalid"),
        ]
    )
    mail.park("order.completed", content, code)


KINDS: dict[Callable[[Mail], None], int] = {
    a_good_one: 30,
    a_wrong_field: 35,
    a_missing_field: 5,
    a_broken_text: 12,
    another_encoding: 4,
    noise: 5,
    no_object: 3,
    nobody_s: 5,
    too_deep: 3,
    another_version: 3,
    another_currency: 2,
    an_array: 5,
    a_broken_array: 3,
}
"""What comes, and how often."""


def written(seed: int, count: int) -> Mail:
    """So many letters, the same for each seed; every wrong value of every field is there at least once.

    Orders with other content than before come last.
    """
    mail = Mail(Random(seed))
    for routing_key, path, wrong in every_wrong_value():
        content = change(GOOD[routing_key] | {"n": mail.number()}, path, wrong)
        mail.park(routing_key, body(content), "invalid")
    for kind in mail.random.choices(list(KINDS), list(KINDS.values()), k=count):
        kind(mail)
    mail.park("order.completed", b'"' + b"x" * 1024 * 1024 + b'"', "malformed")
    for _ in range(5):  # forged: nobody has delivered it before
        mail.send(*mail.good(), {"headers": {"x-delivery-count": 10**9}})
    mail.random.shuffle(mail.letters)
    for identity in mail.random.sample(sorted(one for one in mail.applied if one.startswith("order")), 50):
        routing_key, content = order(identity.partition(":")[2], "BA-1", item(1, 11))
        mail.park(routing_key, body(content), "conflicting-duplicate")
    return mail


def every_wrong_value() -> Iterator[tuple[str, str, Any]]:
    """The whole table."""
    for routing_key, fields in WRONG.items():
        for path, values in fields.items():
            for value in values:
                yield routing_key, path, value


@pytest.mark.parametrize("driver", ["pymongo"])
def assert_needed() -> None:
    """Each message without something that it needs is refused at the door: otherwise the lists above are wrong."""
    for routing_key, path in NEEDED:
        content = body(change(MESSAGES[routing_key], path, ...))
        [found] = read(routing_key, content, "m-1", {}, None, KNOWN)
        assert found.refusal is not None, (routing_key, path)


@pytest.mark.long
async def test_bad_input_by_the_thousand(settings: Settings, client: Client, broker: Broker, database: Books) -> None:
    """The worker lives, the queue is empty, each good fact is applied once, each bad one parked with its code."""
    assert_needed()
    mail = written(seed=2026, count=LETTERS)
    await client.declare()
    await client.send_all([customer("BA-1"), partner("SA-1")])
    await send(client, mail)
    await send_what_no_client_would(client, broker, mail)

    def left() -> tuple[int, int]:
        applied, parked = database["inbox"].count_documents({}), database["held"].count_documents({"state": "parked"})
        return len(mail.applied) + 2 - applied, len(mail.parked) - parked

    async with working(settings):
        await wait_for(
            lambda: left() == (0, 0), 120, otherwise=lambda: f"{left()} are left: {surprises(mail, database)}"
        )
        routing_key, content = mail.good()
        assert (await client.ask((routing_key, content)))["outcome"] == "applied", "the worker lives"
    assert surprises(mail, database) == []
    applied = {row["_id"] for row in database["inbox"].find({}, {"_id": 1})}
    assert applied == mail.applied | {"account.create:BA-1", "account.create:SA-1"}
    owed = {"receivable": mail.owed} if mail.owed > 0 else {"unapplied": -mail.owed}
    assert position(database, "BA-1") == owed
    await assert_clean(client, database)


async def send(client: Client, mail: Mail) -> None:
    """Publish the letters, in order."""
    for start in range(0, len(mail.letters), IN_FLIGHT):
        letters = mail.letters[start : start + IN_FLIGHT]
        await asyncio.gather(*[client.send((key, content), **properties) for key, content, properties in letters])


async def send_what_no_client_would(client: Client, broker: Broker, mail: Mail) -> None:
    """Good facts whose properties are beyond what AMQP clients would write."""
    channel = await client.channel.get_underlay_channel()
    for where in (b"the-message-id", b"the-header-key") * 4:
        routing_key, content = mail.good()
        # None of these begins UTF-8.
        noise = bytes(mail.random.randrange(0x80, 0xC0) for _ in where)
        await publish_raw(channel, routing_key, content, {where: noise})
    for timestamp in (1_790_000_000_000, 1_790_000_000_000_000_000, 2**63 - 1):
        await broker.publish(*mail.good(), {"timestamp": timestamp})


def surprises(mail: Mail, database: Books) -> list[tuple[str, str, bytes]]:
    """What is not held as it should be, a few of it: the code that it should have, the one it has, its bytes."""
    found = {(row["routingKey"], bytes(row["body"])): row["reason"] for row in held(database).values()}
    keys = [key for key in mail.parked | found if mail.parked.get(key) != found.get(key)]
    return [(mail.parked.get(key, "none"), found.get(key, "none"), key[1][:300]) for key in keys[:5]]
