"""`payment.received`, and what a payment may leave to do."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator

from domain.payments.model import CreditAllocation, PaymentResult, ReceivedPayment
from schemas.message import Continuation, Message, Reference, Result, at_most
from schemas.values import Count, Id, PositiveMoney, Text, Time

NAMED_INVOICES_MAX = 100
"""The most invoices that a payment names."""

_RESULT = Result(PaymentResult, {"billNos": ["Id"]}, lambda result: {"billNos": list(result.bill_nos)})


class PaymentReceived(Message):
    """`payment.received`: a customer paid, which covers invoices or is credit."""

    TYPE: ClassVar[str] = "payment.received"
    RESULT = _RESULT
    KEY_FIELD = "paymentId"
    ACCOUNT_PATH = "billingAccount.id"

    payment_id: Id
    received_at: Time
    billing_account: Reference
    amount: PositiveMoney
    method: Text | None = None
    invoices: Annotated[tuple[Text, ...], AfterValidator(at_most(NAMED_INVOICES_MAX))] | None = None

    def key(self, message_id: str | None) -> str:
        """The payment's id."""
        return self.payment_id

    def fact(self, key: str) -> ReceivedPayment:
        """The received payment."""
        return ReceivedPayment(
            self.payment_id, self.received_at, self.billing_account.id, self.amount, self.method, self.invoices
        )


class CreditAllocate(Continuation):
    """`credit.allocate`: the rest of what an account's credit covers."""

    TYPE: ClassVar[str] = "credit.allocate"
    RESULT = _RESULT
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


MESSAGES: tuple[type[Message], ...] = (PaymentReceived,)
CONTINUATIONS: tuple[type[Continuation], ...] = (CreditAllocate,)
