"""What partners' statements are made and paid by, and corrected; and what a closing may leave to do.

`settlement.close`, `payout.completed`; `settlement.adjust`: an accrual without an invoice; `payout.returned`;
`agreement.create`, `agreement.change`: the terms of a partner's share.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from domain.accounts.model import SettlementTerms
from domain.invoicing.model import CorrectsLine
from domain.settlement.adjusting import Adjustment, AdjustmentResult
from domain.settlement.agreeing import AgreementResult, AgreementToChange, AgreementToCreate
from domain.settlement.cycles import ClosingsDue, ClosingsLeft
from domain.settlement.payouts import CompletedPayout, PayoutResult
from domain.settlement.returning import ReturnedPayout
from domain.settlement.statements import Closing, ClosingResult
from schemas.message import Continuation, Message, Part, Reference, Result, message_key
from schemas.values import (
    ID_MAX,
    Count,
    Date,
    Id,
    NonZeroMoney,
    PositiveMoney,
    Rate,
    Revision,
    Text,
    Time,
    is_id,
    money_json,
    parse_id,
)

STATEMENT_ID_MAX = ID_MAX + 8
"""The most characters of a statement's id: its closing's, and of all but the first `-2`, `-3` …"""


def parse_statement_id(value: object) -> str:
    """The id of a statement; raises `ValueError`."""
    # `<closingId>-2` may be longer than the id that it is made of.
    stem, dash, part = value.rpartition("-") if isinstance(value, str) else ("", "", "")
    return parse_id(stem) + dash + part if part.isdecimal() and part.isascii() and is_id(stem) else parse_id(value)


StatementId = Annotated[str, BeforeValidator(parse_statement_id), Field(max_length=STATEMENT_ID_MAX)]

_CLOSED = Result(
    ClosingResult,
    {"settlementIds": ["StatementId"]},
    lambda result: {"settlementIds": list(result.settlement_ids)},
)
_PAID = Result(
    PayoutResult,
    {"settlementId": "StatementId", "state": "SettlementState"},
    lambda result: {"settlementId": result.settlement_id, "state": result.state},
)


class SettlementClose(Message):
    """`settlement.close`: a partner's accruals up to a date are to be stated."""

    TYPE: ClassVar[str] = "settlement.close"
    RESULT = _CLOSED
    KEY_FIELD = "closingId"
    ACCOUNT_PATH = "settlementAccount.id"

    closing_id: Id
    settlement_account: Reference
    period_end: Date

    def key(self, message_id: str | None) -> str:
        """The closing's id, which is also its first statement's."""
        return self.closing_id

    def fact(self, key: str) -> Closing:
        """The closing."""
        return Closing(self.closing_id, self.settlement_account.id, self.period_end)


class SettlementContinue(Continuation):
    """`settlement.continue`: a closing by itself; or the rest of one, of which so many statements are made."""

    TYPE: ClassVar[str] = "settlement.continue"
    RESULT = _CLOSED
    FACT = Closing

    closing_id: Id
    settlement_account: Reference
    period_end: Date
    made: Count | None = None
    after: StatementId | None = None

    def key(self, message_id: str | None) -> str:
        """The closing and how far it is; of one that begins by itself, the closing."""
        return self.closing_id if self.made is None else f"{self.closing_id}/{self.made}"

    def fact(self, key: str) -> Closing:
        """The rest of a closing."""
        return Closing(self.closing_id, self.settlement_account.id, self.period_end, self.made or 0, self.after)

    @classmethod
    def of(cls, fact: Closing) -> Self:
        """The message that says the rest of a closing."""
        return cls.model_validate(
            {
                "closingId": fact.id,
                "settlementAccount": {"id": fact.settlement_account},
                "periodEnd": fact.period_end.isoformat(),
                "made": fact.made or None,
                "after": fact.after,
            }
        )


class SettlementsDue(Continuation):
    """`settlement.due`: the closings of periods that ended before a day; of many, what is left after so many parts."""

    TYPE: ClassVar[str] = "settlement.due"
    RESULT = Result(ClosingsLeft, {"closingIds": ["Id"]}, lambda result: {"closingIds": list(result.closings)})
    FACT = ClosingsDue

    date: Date
    part: Count | None = None

    def key(self, message_id: str | None) -> str:
        """The day, and which part."""
        return self.date.isoformat() if self.part is None else f"{self.date.isoformat()}/{self.part}"

    def fact(self, key: str) -> ClosingsDue:
        """The day whose closings are to be left."""
        return ClosingsDue(self.date, self.part or 0)

    @classmethod
    def of(cls, fact: ClosingsDue) -> Self:
        """The message that says so."""
        return cls.model_validate({"date": fact.date.isoformat(), "part": fact.part or None})


class PayoutCompleted(Message):
    """`payout.completed`: a partner was paid, on a statement."""

    TYPE: ClassVar[str] = "payout.completed"
    RESULT = _PAID
    KEY_FIELD = "payoutId"
    ACCOUNT_PATH = "settlementAccount.id"

    payout_id: Id
    settlement_account: Reference
    settlement_id: StatementId
    amount: PositiveMoney

    def key(self, message_id: str | None) -> str:
        """The payout's id."""
        return self.payout_id

    def fact(self, key: str) -> CompletedPayout:
        """The completed payout."""
        return CompletedPayout(self.payout_id, self.settlement_account.id, self.settlement_id, self.amount)


class CorrectedAccrual(Part):
    """The line of an invoice that an adjustment corrects."""

    bill_no: Id
    line_id: Id


class SettlementAdjust(Message):
    """`settlement.adjust`: a partner is owed more, or less, by an accrual without an invoice."""

    TYPE: ClassVar[str] = "settlement.adjust"
    RESULT = Result(
        AdjustmentResult,
        {"payable": "Money"},
        lambda result: {"payable": money_json(result.payable.amount, result.payable.currency)},
    )
    KEY_FIELD = "adjustmentId"
    ACCOUNT_PATH = "settlementAccount.id"

    adjustment_id: Id
    settlement_account: Reference
    amount: NonZeroMoney
    date: Date
    reason: Text
    corrects: CorrectedAccrual | None = None

    def key(self, message_id: str | None) -> str:
        """The adjustment's id."""
        return self.adjustment_id

    def fact(self, key: str) -> Adjustment:
        """The adjustment."""
        corrects = self.corrects
        return Adjustment(
            self.adjustment_id,
            self.settlement_account.id,
            self.amount,
            self.date,
            self.reason,
            None if corrects is None else CorrectsLine(corrects.bill_no, corrects.line_id),
        )


class PayoutReturned(Message):
    """`payout.returned`: a payout came back, all of it."""

    TYPE: ClassVar[str] = "payout.returned"
    RESULT = _PAID
    KEY_FIELD = "returnId"

    return_id: Id
    payout_id: Id
    returned_at: Time
    reason: Text

    def key(self, message_id: str | None) -> str:
        """The return's id."""
        return self.return_id

    def fact(self, key: str) -> ReturnedPayout:
        """The returned payout."""
        return ReturnedPayout(self.return_id, self.payout_id, self.returned_at, self.reason)


class AgreementTerms(Part):
    """A partner's terms; a share of 0.8 is 80 % of the net. A field that is not known is refused: it is about money."""

    model_config = ConfigDict(extra="forbid")

    model: Literal["principal", "agent"] | None = None
    share: Rate
    accrue_on: Literal["invoice", "payment"] = "invoice"

    @field_validator("model")
    @classmethod
    def _is_supported(cls, value: str | None) -> str | None:
        if value == "agent":
            raise ValueError("agent is not supported: what a partner sells in its own name can't be billed yet")
        return value

    def terms(self) -> SettlementTerms:
        """The terms."""
        return SettlementTerms(self.share, self.accrue_on)


class AgreementValidFor(Part):
    """The time for which an agreement holds."""

    start_date_time: Time
    end_date_time: Time | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end_date_time is not None and self.end_date_time <= self.start_date_time:
            raise ValueError("endDateTime: must be later than startDateTime")
        return self


_AGREED = Result(
    AgreementResult,
    {"agreementId": "Id", "revision": "Revision"},
    lambda result: {"agreementId": result.agreement_id, "revision": result.revision},
)


class AgreementCreate(Message):
    """`agreement.create`: terms with a partner for a time."""

    TYPE: ClassVar[str] = "agreement.create"
    RESULT = _AGREED
    KEY_FIELD = "agreementId"
    ACCOUNT_PATH = "settlementAccount.id"

    agreement_id: Id
    settlement_account: Reference
    valid_for: AgreementValidFor
    terms: AgreementTerms

    def key(self, message_id: str | None) -> str:
        """The agreement's id."""
        return self.agreement_id

    def fact(self, key: str) -> AgreementToCreate:
        """The agreement."""
        times = self.valid_for.start_date_time, self.valid_for.end_date_time
        return AgreementToCreate(self.agreement_id, self.settlement_account.id, *times, self.terms.terms())


class AgreementChange(Message):
    """`agreement.change`: other terms from a day on, which is one of the agreement's."""

    TYPE: ClassVar[str] = "agreement.change"
    RESULT = _AGREED

    agreement_id: Id
    if_revision: Revision | None = None
    valid_from: Date
    terms: AgreementTerms

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> AgreementToChange:
        """The change."""
        return AgreementToChange(self.agreement_id, self.valid_from, self.terms.terms(), self.if_revision)


MESSAGES: tuple[type[Message], ...] = (
    SettlementClose,
    PayoutCompleted,
    SettlementAdjust,
    PayoutReturned,
    AgreementCreate,
    AgreementChange,
)
CONTINUATIONS: tuple[type[Continuation], ...] = (SettlementContinue, SettlementsDue)
