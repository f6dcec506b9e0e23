"""What partners' statements are made and paid by, and corrected; and what a closing may leave to do.

`settlement.close`, `payout.completed`; `settlement.adjust`: an accrual without an invoice; `payout.returned`;
`agreement.create`, `agreement.change`: the terms with a partner; `advance.paid`, `reserve.release`;
`statement.report`: the partner's own figures; `self-billing.accept`, `self-billing.dispute`: what it says of a
document.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from domain.invoicing.model import CorrectsLine
from domain.money import Money
from domain.settlement.accepting import DocumentStateResult, DocumentToAccept, DocumentToDispute
from domain.settlement.adjusting import Adjustment, AdjustmentResult
from domain.settlement.advances import AdvanceResult, PaidAdvance
from domain.settlement.agreeing import AgreementResult, AgreementToChange, AgreementToCreate, TiersToAgree
from domain.settlement.backdating import (
    BackdatingResult,
    BackdatingToComplete,
    CorrectionResult,
    SharesToCorrect,
)
from domain.settlement.closing import LINES_MAX, Closing, ClosingResult
from domain.settlement.comparing import ComparisonResult, ReportedLine, ReportToCompare
from domain.settlement.cycles import ClosingsDue, ClosingsLeft
from domain.settlement.documents import DocumentState
from domain.settlement.payouts import CompletedPayout, PayoutResult
from domain.settlement.releasing import ReserveResult, ReservesDue, ReservesLeft, ReserveToRelease
from domain.settlement.returning import ReturnedPayout
from domain.settlement.terms import (
    AgreedPeriod,
    Certificate,
    ClosingTerms,
    FixedFee,
    Guarantee,
    Holdback,
    LineTerms,
    SelfBilling,
    TierMode,
    Withholding,
)
from schemas.accounts.documents import AgentFields
from schemas.message import Continuation, InternalMessage, Message, Part, Reference, Result, at_most, message_key
from schemas.values import (
    ID_MAX,
    AnyMoney,
    Count,
    Date,
    Days,
    Id,
    NonZeroMoney,
    NotNegativeMoney,
    Number,
    PositiveMoney,
    Rate,
    Revision,
    Series,
    Text,
    Time,
    is_id,
    money_json,
    parse_id,
    time_json,
)

STEPS_MAX = 20
"""The most steps of tiers."""
STATEMENT_ID_MAX = ID_MAX + 8
"""The most characters of a statement's id: its closing's, and of all but the first `-2`, `-3` …"""


def parse_statement_id(value: object) -> str:
    """The id of a statement; raises `ValueError`."""
    # `<closingId>-2` may be longer than the id that it is made of.
    stem, dash, part = value.rpartition("-") if isinstance(value, str) else ("", "", "")
    return parse_id(stem) + dash + part if part.isdecimal() and part.isascii() and is_id(stem) else parse_id(value)


StatementId = Annotated[str, BeforeValidator(parse_statement_id), Field(max_length=STATEMENT_ID_MAX)]

PAYOUT_ID_MAX = STATEMENT_ID_MAX + 8
"""The most characters of a payout's id: a statement's, and of what is requested again `-r2`, `-r3` …"""


def parse_payout_id(value: object) -> str:
    """The id of a payout; raises `ValueError`."""
    # What is requested has the id of a statement, which may be longer than others.
    stem, dash, part = value.rpartition("-r") if isinstance(value, str) else ("", "", "")
    return (
        parse_statement_id(stem) + dash + part
        if part.isdecimal() and part.isascii() and stem
        else parse_statement_id(value)
    )


PayoutId = Annotated[str, BeforeValidator(parse_payout_id), Field(max_length=PAYOUT_ID_MAX)]

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
    earned: int | None = None

    def key(self, message_id: str | None) -> str:
        """The closing and how far it is; of one that begins by itself, the closing."""
        return self.closing_id if self.made is None else f"{self.closing_id}/{self.made}"

    def fact(self, key: str) -> Closing:
        """The rest of a closing."""
        made, earned = self.made or 0, self.earned or 0
        return Closing(self.closing_id, self.settlement_account.id, self.period_end, made, self.after, earned)

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
                "earned": fact.earned or None,
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

    payout_id: PayoutId
    settlement_account: Reference
    settlement_id: StatementId
    amount: PositiveMoney
    transferred: NotNegativeMoney | None = None

    def key(self, message_id: str | None) -> str:
        """The payout's id."""
        return self.payout_id

    def fact(self, key: str) -> CompletedPayout:
        """The completed payout."""
        of = self.settlement_account.id, self.settlement_id
        return CompletedPayout(self.payout_id, *of, self.amount, self.transferred)


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
    payout_id: PayoutId
    returned_at: Time
    reason: Text

    def key(self, message_id: str | None) -> str:
        """The return's id."""
        return self.return_id

    def fact(self, key: str) -> ReturnedPayout:
        """The returned payout."""
        return ReturnedPayout(self.return_id, self.payout_id, self.returned_at, self.reason)


class AgreementValidFor(Part):
    """The time for which an agreement holds."""

    start_date_time: Time
    end_date_time: Time | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end_date_time is not None and self.end_date_time <= self.start_date_time:
            raise ValueError("endDateTime: must be later than startDateTime")
        return self


class TermsPart(Part):
    """A part of a partner's terms. A field that is not known is refused: it is about money."""

    model_config = ConfigDict(extra="forbid")


class GuaranteeTerms(TermsPart):
    """What the partner gets of each period at least."""

    amount: PositiveMoney
    period: AgreedPeriod


class AdvanceTerms(TermsPart):
    """How much is paid in advance in all."""

    amount: PositiveMoney


class HoldbackTerms(TermsPart):
    """Which part of what was earned is kept as a reserve, and for how long."""

    rate: Rate
    release_after_days: Days


class CertificateTerms(TermsPart):
    """That another rate is withheld for a time; to the moment, where an agreement is for whole days."""

    rate: Rate
    valid_for: AgreementValidFor


class WithholdingTerms(TermsPart):
    """Which part of payouts is withheld as the partner's tax, and for whom."""

    rate: Rate
    authority: Text
    surcharge_on_tax: Rate | None = None
    certificate: CertificateTerms | None = None

    @model_validator(mode="after")
    def _is_less_than_all(self) -> Self:
        rates = [self.rate] if self.certificate is None else [self.rate, self.certificate.rate]
        if max(rates) * (1 + (self.surcharge_on_tax or 0)) > 1:
            raise ValueError("rate: comes to more than all of a payout, with surchargeOnTax")
        return self

    def terms(self) -> Withholding:
        """The terms."""
        found = self.certificate
        times = None if found is None else (found.valid_for.start_date_time, found.valid_for.end_date_time)
        certificate = None if found is None or times is None else Certificate(found.rate, *times)
        return Withholding(self.rate, self.authority, self.surcharge_on_tax, certificate)


class NettingTerms(TermsPart):
    """Whose invoices are netted."""

    billing_account: Reference


class PartnerTax(TermsPart):
    """The tax on what the partner invoices: its category (EN 16931, BT-151) and its rate.

    With a rate of reverse charge it has none, and we owe it at that rate.
    """

    category: Id
    rate: Rate
    reverse_charge_rate: Rate | None = None

    @model_validator(mode="after")
    def _has_no_tax_with_reverse_charge(self) -> Self:
        if self.reverse_charge_rate is not None and self.category != "AE":
            raise ValueError(f"reverseChargeRate: needs the category AE (got {self.category})")
        if self.reverse_charge_rate is not None and self.rate:
            raise ValueError("rate: must be 0 with reverseChargeRate")
        return self


class SelfBillingTerms(TermsPart):
    """That we issue the partner's invoices to us."""

    series: Series
    tax: PartnerTax


class FeeTax(TermsPart):
    """The tax on a fee of ours."""

    category: Id
    rate: Rate


class FixedFeeTerms(TermsPart):
    """What the partner pays us for each period."""

    amount: PositiveMoney
    period: AgreedPeriod
    tax: FeeTax


class TierStepTerms(TermsPart):
    """A share, up to an amount in units of the account's currency that is within the step; the last has no end."""

    up_to: Number | None = None
    share: Rate


class TiersTerms(TermsPart):
    """Shares that go by the net of a period."""

    mode: TierMode
    period: AgreedPeriod
    steps: list[TierStepTerms] = Field(min_length=1, max_length=STEPS_MAX)

    @field_validator("steps")
    @classmethod
    def _rise(cls, steps: list[TierStepTerms]) -> list[TierStepTerms]:
        ends = [step.up_to for step in steps]
        if ends.pop() is not None:
            raise ValueError("upTo: the last step has none: it is without an end")
        below = Decimal(0)
        for n, end in enumerate(ends):
            if end is None:
                raise ValueError(f"{n}.upTo: is missing: only the last step is without an end")
            if end <= below:
                raise ValueError(f"{n}.upTo: {end:f} must be more than {below:f}")
            below = end
        return steps


class AgreementTerms(AgentFields, TermsPart):
    """A partner's terms: one `share` (0.8 is 80 % of the net), or `tiers`; as its agent, our `commission`."""

    share: Rate | None = None
    tiers: TiersTerms | None = None
    accrue_on: Literal["invoice", "payment"] = "invoice"
    guarantee: GuaranteeTerms | None = None
    advance: AdvanceTerms | None = None
    holdback: HoldbackTerms | None = None
    payout_threshold: PositiveMoney | None = None
    withholding: WithholdingTerms | None = None
    netting: NettingTerms | None = None
    self_billing: SelfBillingTerms | None = None
    fixed_fee: FixedFeeTerms | None = None

    @model_validator(mode="after")
    def _is_of_its_model(self) -> Self:
        self.check_model(
            share=self.share,
            tiers=self.tiers,
            guarantee=self.guarantee,
            advance=self.advance,
            selfBilling=self.self_billing,
        )
        return self

    @model_validator(mode="after")
    def _has_one_share_or_tiers(self) -> Self:
        if self.model != "agent" and (self.share is None) == (self.tiers is None):
            raise ValueError("share: has to be there, or tiers instead, and not both")
        if self.tiers is not None and self.tiers.mode == "volume" and self.accrue_on == "payment":
            raise ValueError("tiers.mode: volume needs accrueOn invoice")
        return self

    @model_validator(mode="after")
    def _is_in_one_currency(self) -> Self:
        if len(found := sorted({money.currency for money in self._amounts()})) > 1:
            raise ValueError(f"amounts in {' and '.join(found)}: all have to be in one currency")
        return self

    def _amounts(self) -> tuple[Money, ...]:
        said = (self.guarantee, self.advance, self.fixed_fee)
        amounts = (*(None if one is None else one.amount for one in said), self.payout_threshold)
        return tuple(money for money in amounts if money is not None)

    @property
    def currency(self) -> str | None:
        """That of the amounts; None where there is none."""
        return next((money.currency for money in self._amounts()), None)

    def terms(self) -> LineTerms:
        """What lines go by; tiers are to be added in the currency of the account."""
        return LineTerms(self.share, self.accrue_on, agent=self.agent())

    def tiers_said(self) -> TiersToAgree | None:
        """The tiers, in units of a currency that the account knows."""
        tiers = self.tiers
        if tiers is None:
            return None
        return TiersToAgree(tiers.mode, tiers.period, tuple((step.up_to, step.share) for step in tiers.steps))

    def closing(self) -> ClosingTerms:
        """What closings go by."""
        guarantee, holdback, withholding = self.guarantee, self.holdback, self.withholding
        bills, fee = self.self_billing, self.fixed_fee
        return ClosingTerms(
            guarantee=None if guarantee is None else Guarantee(guarantee.amount.amount, guarantee.period),
            advance=None if self.advance is None else self.advance.amount.amount,
            holdback=None if holdback is None else Holdback(holdback.rate, holdback.release_after_days),
            payout_threshold=None if self.payout_threshold is None else self.payout_threshold.amount,
            withholding=None if withholding is None else withholding.terms(),
            netting=None if self.netting is None else self.netting.billing_account.id,
            self_billing=None if bills is None else SelfBilling(bills.series, *_tax_of(bills.tax)),
            fixed_fee=None if fee is None else FixedFee(fee.amount.amount, fee.period, fee.tax.category, fee.tax.rate),
        )


def _tax_of(tax: PartnerTax) -> tuple[str, Decimal, Decimal | None]:
    return tax.category, tax.rate, tax.reverse_charge_rate


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
        times, terms = (self.valid_for.start_date_time, self.valid_for.end_date_time), self.terms
        return AgreementToCreate(
            self.agreement_id,
            self.settlement_account.id,
            *times,
            terms.terms(),
            terms.closing(),
            terms.currency,
            terms.tiers_said(),
        )


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
        terms = self.terms
        return AgreementToChange(
            self.agreement_id,
            self.valid_from,
            terms.terms(),
            self.if_revision,
            terms.closing(),
            terms.currency,
            terms.tiers_said(),
        )


class SettlementCorrect(Continuation):
    """`settlement.correct`: a partner's shares in an invoice are brought to what was agreed of its day since.

    A worker says so to itself; a bill leaves it to do that takes back a line which has yet to be corrected.
    """

    TYPE: ClassVar[str] = "settlement.correct"
    RESULT = Result(
        CorrectionResult,
        {"lines": int, "corrected": "Money"},
        lambda result: {
            "lines": result.lines,
            "corrected": money_json(result.corrected.amount, result.corrected.currency),
        },
    )
    FACT = SharesToCorrect

    agreement_id: Id
    revision: Revision
    bill_no: Id

    def key(self, message_id: str | None) -> str:
        """The agreement, its revision and the invoice."""
        return f"{self.agreement_id}/{self.revision}/{self.bill_no}"

    def fact(self, key: str) -> SharesToCorrect:
        """The invoice to correct."""
        return SharesToCorrect(self.agreement_id, self.revision, self.bill_no)

    @classmethod
    def of(cls, fact: SharesToCorrect) -> Self:
        """The message that says so."""
        said = {"agreementId": fact.agreement, "revision": fact.revision, "billNo": fact.bill_no}
        return cls.model_validate(said)


class AgreementComplete(InternalMessage):
    """`agreement.complete`: all invoices of past days were gone through. A worker says so to itself."""

    TYPE: ClassVar[str] = "agreement.complete"
    RESULT = Result(BackdatingResult, {"invoices": int}, lambda result: {"invoices": result.invoices})
    FACT = BackdatingToComplete

    agreement_id: Id
    revision: Revision

    def key(self, message_id: str | None) -> str:
        """The agreement and its revision."""
        return f"{self.agreement_id}/{self.revision}"

    def fact(self, key: str) -> BackdatingToComplete:
        """What is complete."""
        return BackdatingToComplete(self.agreement_id, self.revision)

    @classmethod
    def of(cls, fact: BackdatingToComplete) -> Self:
        """The message that says so."""
        return cls.model_validate({"agreementId": fact.agreement, "revision": fact.revision})


class AdvancePaid(Message):
    """`advance.paid`: a partner was paid what it has yet to earn."""

    TYPE: ClassVar[str] = "advance.paid"
    RESULT = Result(
        AdvanceResult,
        {"advance": "Money"},
        lambda result: {"advance": money_json(result.advance.amount, result.advance.currency)},
    )
    KEY_FIELD = "advanceId"

    advance_id: Id
    agreement_id: Id
    amount: PositiveMoney
    paid_at: Time

    def key(self, message_id: str | None) -> str:
        """The advance's id."""
        return self.advance_id

    def fact(self, key: str) -> PaidAdvance:
        """The advance."""
        return PaidAdvance(self.advance_id, self.agreement_id, self.amount, self.paid_at)


_RELEASED = Result(
    ReserveResult,
    {"released": "Money", "reserve": "Money"},
    lambda result: {
        "released": money_json(result.released.amount, result.released.currency),
        "reserve": money_json(result.reserve.amount, result.reserve.currency),
    },
)


class ReserveRelease(Message):
    """`reserve.release`: what was held back of a statement is to be released before its day, all or a part."""

    TYPE: ClassVar[str] = "reserve.release"
    RESULT = _RELEASED
    KEY_FIELD = "releaseId"

    release_id: Id
    settlement_id: StatementId
    released_at: Time
    amount: PositiveMoney | None = None

    def key(self, message_id: str | None) -> str:
        """The release's id."""
        return self.release_id

    def fact(self, key: str) -> ReserveToRelease:
        """The release."""
        return ReserveToRelease(self.release_id, self.settlement_id, self.released_at, self.amount)


class ReportedFigure(Part):
    """What the partner says of a line: that of an order, or that of a bill."""

    order_id: Id | None = None
    bill_no: Id | None = None
    line_id: Id
    amount: AnyMoney

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if (self.order_id is None) == (self.bill_no is None):
            raise ValueError("must have either orderId or billNo")
        return self


class StatementReported(Message):
    """`statement.report`: a partner's own figures of a statement, line by line."""

    TYPE: ClassVar[str] = "statement.report"
    RESULT = Result(
        ComparisonResult,
        {"agreed": int, "different": int, "missing": int},
        lambda result: {"agreed": result.agreed, "different": result.different, "missing": result.missing},
    )
    KEY_FIELD = "reportId"

    report_id: Id
    settlement_id: StatementId
    tolerance: NotNegativeMoney | None = None
    lines: Annotated[tuple[ReportedFigure, ...], AfterValidator(at_most(LINES_MAX))]

    @model_validator(mode="after")
    def _says_each_line_once(self) -> Self:
        said: set[tuple[str | None, str | None, str]] = set()
        for n, line in enumerate(self.lines):
            key = line.order_id, line.bill_no, line.line_id
            if key in said:
                raise ValueError(f"lines.{n}: is said before (got {line.order_id or line.bill_no}, {line.line_id})")
            said.add(key)
        return self

    def key(self, message_id: str | None) -> str:
        """The report's id."""
        return self.report_id

    def fact(self, key: str) -> ReportToCompare:
        """The report."""
        lines = tuple(ReportedLine(one.order_id, one.bill_no, one.line_id, one.amount) for one in self.lines)
        return ReportToCompare(self.report_id, self.settlement_id, lines, self.tolerance)


class ReserveContinue(Continuation):
    """`reserve.continue`: a reserve whose day has come is to be released."""

    TYPE: ClassVar[str] = "reserve.continue"
    RESULT = _RELEASED
    FACT = ReserveToRelease

    settlement_id: StatementId
    released_at: Time

    def key(self, message_id: str | None) -> str:
        """The statement's id."""
        return self.settlement_id

    def fact(self, key: str) -> ReserveToRelease:
        """The release of what is left."""
        return ReserveToRelease(None, self.settlement_id, self.released_at)

    @classmethod
    def of(cls, fact: ReserveToRelease) -> Self:
        """The message that says so."""
        return cls.model_validate({"settlementId": fact.settlement_id, "releasedAt": time_json(fact.released_at)})


class ReservesToRelease(Continuation):
    """`reserve.due`: the reserves whose day has come; of many, what is left after so many parts."""

    TYPE: ClassVar[str] = "reserve.due"
    RESULT = Result(
        ReservesLeft,
        {"settlementIds": ["StatementId"]},
        lambda result: {"settlementIds": list(result.settlement_ids)},
    )
    FACT = ReservesDue

    date: Date
    part: Count | None = None

    def key(self, message_id: str | None) -> str:
        """The day, and which part."""
        return self.date.isoformat() if self.part is None else f"{self.date.isoformat()}/{self.part}"

    def fact(self, key: str) -> ReservesDue:
        """The day whose releases are to be left."""
        return ReservesDue(self.date, self.part or 0)

    @classmethod
    def of(cls, fact: ReservesDue) -> Self:
        """The message that says so."""
        return cls.model_validate({"date": fact.date.isoformat(), "part": fact.part or None})


_SAID = Result(
    DocumentStateResult,
    {"number": "Id", "state": get_args(DocumentState)},
    lambda result: {"number": result.number, "state": result.state},
)


class SelfBillingAccept(Message):
    """`self-billing.accept`: the partner accepts a document that was issued in its name."""

    TYPE: ClassVar[str] = "self-billing.accept"
    RESULT = _SAID

    number: Id
    at: Time

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> DocumentToAccept:
        """The acceptance."""
        return DocumentToAccept(self.number, self.at)


class SelfBillingDispute(Message):
    """`self-billing.dispute`: the partner does not accept a document that was issued in its name."""

    TYPE: ClassVar[str] = "self-billing.dispute"
    RESULT = _SAID

    number: Id
    at: Time
    reason: Text

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> DocumentToDispute:
        """The dispute."""
        return DocumentToDispute(self.number, self.at, self.reason)


MESSAGES: tuple[type[Message], ...] = (
    SettlementClose,
    PayoutCompleted,
    SettlementAdjust,
    PayoutReturned,
    AgreementCreate,
    AgreementChange,
    AdvancePaid,
    ReserveRelease,
    StatementReported,
    SelfBillingAccept,
    SelfBillingDispute,
)
CONTINUATIONS: tuple[type[Continuation], ...] = (
    SettlementContinue,
    SettlementsDue,
    ReservesToRelease,
    ReserveContinue,
    SettlementCorrect,
)
INTERNAL: tuple[type[InternalMessage], ...] = (AgreementComplete,)
