"""What is taken back of invoices and payments.

`credit-note.issue`: something of an invoice; `refund.completed`: money went back to a customer; `payment.reversed`: a
payment came back; `invoice.write-off`: what remains is lost; `dispute.open`, `.settle`, `.withdraw`: it is disputed.
`credit.grant`: goodwill, credit that nobody paid; `credit.transfer`: credit that is another account's.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator

from domain.corrections.model import (
    CompletedRefund,
    CreditDeallocation,
    CreditedLine,
    CreditToGrant,
    CreditToTransfer,
    DisputeResult,
    DisputeState,
    DisputeToOpen,
    DisputeToSettle,
    DisputeToWithdraw,
    InvoiceToWriteOff,
    NoteResult,
    NoteToIssue,
    PaymentToReverse,
    RefundResult,
    ReversalResult,
    WriteOffResult,
)
from domain.money import Money
from schemas.message import Continuation, Message, Part, Reference, Result, at_most, not_empty
from schemas.ordering.messages import ITEMS_MAX
from schemas.payments.messages import REST, PaymentId
from schemas.payments.messages import RESULT as COVERED
from schemas.values import (
    ID,
    Count,
    Id,
    Json,
    PositiveMoney,
    Text,
    Time,
    money_json,
    parse_id,
    parse_money,
    shown,
    time_json,
)

CREDIT_NOTE_ID = re.compile(rf"{ID.pattern}|bill\.demand:{ID.pattern}(?:/[0-9]{{1,9}})?:{ID.pattern}", re.ASCII)
"""The id of a credit note: its sender's, or, of one beside a bill, the bill's identity and the corrected invoice's
number."""


def parse_credit_note_id(value: object) -> str:
    """The id of a credit note; raises `ValueError`."""
    return value if isinstance(value, str) and CREDIT_NOTE_ID.fullmatch(value) else parse_id(value)


CreditNoteId = Annotated[str, BeforeValidator(parse_credit_note_id)]


def not_zero(value: Money) -> Money:
    """A check that an amount is not zero."""
    if value.amount == 0:
        raise ValueError("must not be zero: leave out the line")
    return value


Amount = Annotated[Money, BeforeValidator(parse_money), AfterValidator(not_zero)]
"""An amount of either sign."""


class Line(Part):
    """How much of a line's net is taken back, with the line's sign."""

    line_id: Id
    tax_excluded_amount: Amount


Lines = Annotated[tuple[Line, ...], AfterValidator(at_most(ITEMS_MAX))]


def check_each_once(lines: tuple[Line, ...], field: str) -> None:
    """Raise `ValueError` where a line is named twice."""
    ids = [line.line_id for line in lines]
    if len(set(ids)) < len(ids):
        again = next(n for n, id_ in enumerate(ids) if id_ in ids[:n])
        raise ValueError(f"{field}.{again}.lineId: is an earlier line's (got {shown(ids[again])})")


def credited(lines: tuple[Line, ...]) -> tuple[CreditedLine, ...]:
    """The lines as the domain has them."""
    return tuple(CreditedLine(line.line_id, line.tax_excluded_amount) for line in lines)


class CreditNoteIssue(Message):
    """`credit-note.issue`: a credit note (UNTDID 1001, 381) of an invoice; without `lines`, of all that is left."""

    TYPE: ClassVar[str] = "credit-note.issue"
    RESULT = Result(NoteResult, {"billNo": "Id"}, lambda result: {"billNo": result.bill_no})
    KEY_FIELD = "creditNoteId"

    credit_note_id: Id
    bill_no: Id
    issued_at: Time
    reason: Text
    lines: Annotated[Lines, AfterValidator(not_empty)] | None = None
    excess: Literal["credit", "refund"] = "credit"

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        check_each_once(self.lines or (), "lines")
        return self

    def key(self, message_id: str | None) -> str:
        """The note's id."""
        return self.credit_note_id

    def fact(self, key: str) -> NoteToIssue:
        """The note to issue."""
        lines = None if self.lines is None else credited(self.lines)
        return NoteToIssue(self.credit_note_id, self.bill_no, self.issued_at, self.reason, lines, self.excess)


class RefundCompleted(Message):
    """`refund.completed`: money went back to a customer, of a credit note, of a payment, or of its credit."""

    TYPE: ClassVar[str] = "refund.completed"
    RESULT = Result(
        RefundResult,
        {"recoverable": "Money"},
        lambda result: {"recoverable": money_json(result.recoverable.amount, result.recoverable.currency)},
    )
    KEY_FIELD = "refundId"
    ACCOUNT_PATH = "billingAccount.id"

    refund_id: Id
    billing_account: Reference
    amount: PositiveMoney
    refunded_at: Time
    credit_note_id: CreditNoteId | None = None
    payment_id: PaymentId | None = None
    method: Text | None = None

    def key(self, message_id: str | None) -> str:
        """The refund's id."""
        return self.refund_id

    def fact(self, key: str) -> CompletedRefund:
        """The completed refund."""
        return CompletedRefund(
            self.refund_id,
            self.billing_account.id,
            self.amount,
            self.refunded_at,
            self.credit_note_id,
            self.payment_id,
            self.method,
        )


class PaymentReversed(Message):
    """`payment.reversed`: a returned debit or a chargeback, of all that is left of a payment or of an amount."""

    TYPE: ClassVar[str] = "payment.reversed"
    RESULT = Result(
        ReversalResult,
        {"amount": "Money", "recoverable": "Money"},
        lambda result: {
            "amount": money_json(result.amount.amount, result.amount.currency),
            "recoverable": money_json(result.recoverable.amount, result.recoverable.currency),
        },
    )
    KEY_FIELD = "reversalId"

    reversal_id: Id
    payment_id: Id
    reversed_at: Time
    reason: Text
    amount: PositiveMoney | None = None
    fee: PositiveMoney | None = None

    def key(self, message_id: str | None) -> str:
        """The reversal's id."""
        return self.reversal_id

    def fact(self, key: str) -> PaymentToReverse:
        """The payment to reverse."""
        return PaymentToReverse(self.reversal_id, self.payment_id, self.reversed_at, self.reason, self.amount, self.fee)


class InvoiceWriteOff(Message):
    """`invoice.write-off`: what remains of an invoice, or an amount of it, is given up as lost."""

    TYPE: ClassVar[str] = "invoice.write-off"
    RESULT = Result(
        WriteOffResult,
        {"amount": "Money"},
        lambda result: {"amount": money_json(result.amount.amount, result.amount.currency)},
    )
    KEY_FIELD = "writeOffId"

    write_off_id: Id
    bill_no: Id
    written_off_at: Time
    reason: Text
    amount: PositiveMoney | None = None
    tax_relief: StrictBool = False

    def key(self, message_id: str | None) -> str:
        """The write-off's id."""
        return self.write_off_id

    def fact(self, key: str) -> InvoiceToWriteOff:
        """The invoice to write off."""
        return InvoiceToWriteOff(
            self.write_off_id, self.bill_no, self.written_off_at, self.reason, self.amount, self.tax_relief
        )


def _dispute_json(result: DisputeResult) -> Json:
    return {"state": result.state, **({} if result.credit_note is None else {"creditNote": result.credit_note})}


_DISPUTE = Result(DisputeResult, {"state": get_args(DisputeState), "creditNote?": "Id"}, _dispute_json)


class DisputeOpen(Message):
    """`dispute.open`: a customer disputes something of an invoice's lines."""

    TYPE: ClassVar[str] = "dispute.open"
    RESULT = _DISPUTE
    KEY_FIELD = "disputeId"

    dispute_id: Id
    bill_no: Id
    opened_at: Time
    reason: Text
    items: Annotated[Lines, AfterValidator(not_empty)]

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        check_each_once(self.items, "items")
        return self

    def key(self, message_id: str | None) -> str:
        """The dispute's id."""
        return self.dispute_id

    def fact(self, key: str) -> DisputeToOpen:
        """The dispute to open."""
        return DisputeToOpen(self.dispute_id, self.bill_no, self.opened_at, self.reason, credited(self.items))


class DisputeSettle(Message):
    """`dispute.settle`: what is approved of a dispute is credited; `approved` may be empty."""

    TYPE: ClassVar[str] = "dispute.settle"
    RESULT = _DISPUTE
    KEY_FIELD = "disputeId"

    dispute_id: Id
    settled_at: Time
    approved: Lines

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        check_each_once(self.approved, "approved")
        return self

    def key(self, message_id: str | None) -> str:
        """The dispute's id."""
        return self.dispute_id

    def fact(self, key: str) -> DisputeToSettle:
        """The dispute to settle."""
        return DisputeToSettle(self.dispute_id, self.settled_at, credited(self.approved))


class DisputeWithdraw(Message):
    """`dispute.withdraw`: the customer disputes it no more."""

    TYPE: ClassVar[str] = "dispute.withdraw"
    RESULT = _DISPUTE
    KEY_FIELD = "disputeId"

    dispute_id: Id
    withdrawn_at: Time

    def key(self, message_id: str | None) -> str:
        """The dispute's id."""
        return self.dispute_id

    def fact(self, key: str) -> DisputeToWithdraw:
        """The dispute to withdraw."""
        return DisputeToWithdraw(self.dispute_id, self.withdrawn_at)


class CreditGrant(Message):
    """`credit.grant`: goodwill, credit of an account that nobody paid."""

    TYPE: ClassVar[str] = "credit.grant"
    RESULT = COVERED
    KEY_FIELD = "creditId"
    ACCOUNT_PATH = "billingAccount.id"

    credit_id: Id
    billing_account: Reference
    amount: PositiveMoney
    granted_at: Time
    reason: Text

    def key(self, message_id: str | None) -> str:
        """The grant's id."""
        return self.credit_id

    def fact(self, key: str) -> CreditToGrant:
        """The credit to grant."""
        return CreditToGrant(self.credit_id, self.billing_account.id, self.amount, self.granted_at, self.reason)


class CreditTransfer(Message):
    """`credit.transfer`: credit that is another account's, as of a payment that was booked on the wrong one."""

    TYPE: ClassVar[str] = "credit.transfer"
    RESULT = COVERED
    KEY_FIELD = "transferId"
    ACCOUNT_PATH = "from.id"

    transfer_id: Id
    from_: Annotated[Reference, Field(alias="from")]
    to: Reference
    amount: PositiveMoney
    transferred_at: Time
    reason: Text
    payment_id: PaymentId | None = None

    def key(self, message_id: str | None) -> str:
        """The transfer's id."""
        return self.transfer_id

    def fact(self, key: str) -> CreditToTransfer:
        """The credit to transfer."""
        return CreditToTransfer(
            self.transfer_id,
            self.from_.id,
            self.to.id,
            self.amount,
            self.transferred_at,
            self.reason,
            self.payment_id,
        )


class CreditDeallocate(Continuation):
    """`credit.deallocate`: what of a payment that came back, or went back, still covers invoices; in minor units."""

    TYPE: ClassVar[str] = "credit.deallocate"
    RESULT = REST
    FACT = CreditDeallocation

    billing_account: Reference
    payment_id: PaymentId
    amount: Count
    at: Time
    sequence: Count

    def key(self, message_id: str | None) -> str:
        """The payment and the number of the account's last event, which is another one whenever there is a rest."""
        return f"{self.payment_id}/{self.sequence}"

    def fact(self, key: str) -> CreditDeallocation:
        """The rest of a de-allocation."""
        return CreditDeallocation(self.billing_account.id, self.payment_id, self.amount, self.at, self.sequence)

    @classmethod
    def of(cls, fact: CreditDeallocation) -> Self:
        """The message that says the rest of a de-allocation."""
        return cls.model_validate(
            {
                "billingAccount": {"id": fact.billing_account},
                "paymentId": fact.payment_id,
                "amount": fact.amount,
                "at": time_json(fact.at),
                "sequence": fact.sequence,
            }
        )


MESSAGES: tuple[type[Message], ...] = (
    CreditNoteIssue,
    RefundCompleted,
    PaymentReversed,
    InvoiceWriteOff,
    DisputeOpen,
    DisputeSettle,
    DisputeWithdraw,
    CreditGrant,
    CreditTransfer,
)
CONTINUATIONS: tuple[type[Continuation], ...] = (CreditDeallocate,)
