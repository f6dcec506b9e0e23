"""`payment.received`, `payment.failed`, and what a payment may leave to do."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator

from domain.payments.model import (
    CreditAllocation,
    FailedPayment,
    FailedPaymentResult,
    PaymentResult,
    ReceivedPayment,
    RestResult,
)
from domain.payments.netting import NettingResult
from domain.settlement.requesting import NettingToApply
from schemas.message import Continuation, Message, Reference, Result, at_most
from schemas.settlement.messages import StatementId
from schemas.values import ID, Count, Id, PositiveMoney, Text, Time, money_json, parse_id

NAMED_INVOICES_MAX = 100
"""The most invoices that a payment names."""

PAYMENT_ID = re.compile(
    rf"{ID.pattern}|credit~{ID.pattern}|transfer~{ID.pattern}~[0-9]{{1,9}}|netting~{ID.pattern}(-[0-9]{{1,7}})?",
    re.ASCII,
)
"""The id of a payment, or of credit that is none: `credit~<creditId>` is goodwill, `transfer~<transferId>~<n>` the n-th
part of a transfer, `netting~<settlementId>` what was netted."""


def parse_payment_id(value: object) -> str:
    """The id of a payment, or of credit that is none; raises `ValueError`."""
    return value if isinstance(value, str) and PAYMENT_ID.fullmatch(value) else parse_id(value)


PaymentId = Annotated[str, BeforeValidator(parse_payment_id)]

RESULT = Result(PaymentResult, {"billNos": ["Id"]}, lambda result: {"billNos": list(result.bill_nos)})
"""The numbers of the invoices that a payment, or other credit, covers now."""
REST = Result(
    RestResult,
    {"billNos": ["Id"], "recovered": "Money"},
    lambda result: {
        "billNos": list(result.bill_nos),
        "recovered": money_json(result.recovered.amount, result.recovered.currency),
    },
)
"""The numbers of the invoices of a rest, and how much of it covers money that an account got without credit."""


class PaymentReceived(Message):
    """`payment.received`: a customer paid, which covers invoices or is credit."""

    TYPE: ClassVar[str] = "payment.received"
    RESULT = RESULT
    KEY_FIELD = "paymentId"
    ACCOUNT_PATH = "billingAccount.id"

    payment_id: Id
    received_at: Time
    billing_account: Reference
    amount: PositiveMoney
    method: Text | None = None
    invoices: Annotated[tuple[Text, ...], AfterValidator(at_most(NAMED_INVOICES_MAX))] | None = None
    payment_request_id: Id | None = None

    def key(self, message_id: str | None) -> str:
        """The payment's id."""
        return self.payment_id

    def fact(self, key: str) -> ReceivedPayment:
        """The received payment."""
        return ReceivedPayment(
            self.payment_id,
            self.received_at,
            self.billing_account.id,
            self.amount,
            self.method,
            self.invoices,
            self.payment_request_id,
        )


class PaymentFailed(Message):
    """`payment.failed`: what was requested was not paid; dunning does not wait for it any more."""

    TYPE: ClassVar[str] = "payment.failed"
    RESULT = Result(FailedPaymentResult, {"billNo": "Id"}, lambda result: {"billNo": result.bill_no})
    KEY_FIELD = "paymentRequestId"

    payment_request_id: Id
    reason: Text
    failed_at: Time

    def key(self, message_id: str | None) -> str:
        """The payment request's id."""
        return self.payment_request_id

    def fact(self, key: str) -> FailedPayment:
        """The payment that failed."""
        return FailedPayment(self.payment_request_id, self.reason, self.failed_at)


class CreditAllocate(Continuation):
    """`credit.allocate`: the rest of what an account's credit covers."""

    TYPE: ClassVar[str] = "credit.allocate"
    RESULT = REST
    FACT = CreditAllocation

    billing_account: Reference
    sequence: Count

    def key(self, message_id: str | None) -> str:
        """The account and its last event's number, which is another one whenever there is a rest."""
        return f"{self.billing_account.id}/{self.sequence}"

    def fact(self, key: str) -> CreditAllocation:
        """The rest of an allocation."""
        return CreditAllocation(self.billing_account.id, self.sequence)

    @classmethod
    def of(cls, fact: CreditAllocation) -> Self:
        """The message that says the rest of an allocation."""
        return cls.model_validate({"billingAccount": {"id": fact.billing_account}, "sequence": fact.sequence})


class NettingApply(Continuation):
    """`netting.apply`: what a partner owes us is netted with a statement of its, and the rest is requested."""

    TYPE: ClassVar[str] = "netting.apply"
    RESULT = Result(
        NettingResult,
        {"netted": "Money"},
        lambda result: {"netted": money_json(result.netted.amount, result.netted.currency)},
    )
    FACT = NettingToApply

    settlement_id: StatementId
    settlement_account: Reference
    billing_account: Reference

    def key(self, message_id: str | None) -> str:
        """The statement's id."""
        return self.settlement_id

    def fact(self, key: str) -> NettingToApply:
        """The netting."""
        return NettingToApply(self.settlement_id, self.settlement_account.id, self.billing_account.id)

    @classmethod
    def of(cls, fact: NettingToApply) -> Self:
        """The message that says so."""
        return cls.model_validate(
            {
                "settlementId": fact.settlement_id,
                "settlementAccount": {"id": fact.settlement_account},
                "billingAccount": {"id": fact.billing_account},
            }
        )


MESSAGES: tuple[type[Message], ...] = (PaymentReceived, PaymentFailed)
CONTINUATIONS: tuple[type[Continuation], ...] = (CreditAllocate, NettingApply)
