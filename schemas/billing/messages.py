"""`charge.add`: an item for the next bill; `bill.demand`: what is due is billed, and what that may leave to do."""

from __future__ import annotations

from typing import ClassVar, Self, get_args

from pydantic import model_validator

from domain.billing.model import BillDemand, BillOnDemandResult, BillOnDemandState, ChargeResult, ChargeToAdd
from domain.invoicing.model import CorrectsLine, Period
from domain.money import line_net, within_limit
from schemas.message import Continuation, Message, Part, Reference, Result
from schemas.ordering.messages import Item
from schemas.values import Count, CurrencyCode, Date, Id, Json, Time, money_json


class PeriodCoverage(Part):
    """A TMF TimePeriod, whose end is not in it."""

    start_date_time: Time
    end_date_time: Time

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.end_date_time <= self.start_date_time:
            raise ValueError("endDateTime: must be later than startDateTime, since it is not in the period")
        return self


class Corrected(Part):
    """The line of an invoice that is taken back."""

    bill_no: Id
    line_id: Id


class ChargeAdd(Message):
    """`charge.add`: an item for an account's next bill."""

    TYPE: ClassVar[str] = "charge.add"
    RESULT = Result(
        ChargeResult,
        {"taxExcludedAmount": "Money"},
        lambda result: {"taxExcludedAmount": money_json(result.net.amount, result.net.currency)},
    )
    KEY_FIELD = "chargeId"
    ACCOUNT_PATH = "billingAccount.id"

    charge_id: Id
    billing_account: Reference
    date: Date
    currency: CurrencyCode
    item: Item
    period_coverage: PeriodCoverage | None = None
    subscription_id: Id | None = None
    corrects: Corrected | None = None

    def key(self, message_id: str | None) -> str:
        """The charge's id."""
        return self.charge_id

    def fact(self, key: str) -> ChargeToAdd:
        """The charge to add."""
        item, covers, corrects = self.item.item(), self.period_coverage, self.corrects
        return ChargeToAdd(
            self.charge_id,
            self.billing_account.id,
            self.date,
            self.currency,
            item,
            within_limit(line_net(item.quantity, item.unit_price, self.currency), self.currency, "item: the net"),
            None if covers is None else Period(covers.start_date_time, covers.end_date_time),
            self.subscription_id,
            None if corrects is None else CorrectsLine(corrects.bill_no, corrects.line_id),
        )


def _bill_json(result: BillOnDemandResult) -> Json:
    bill = {} if result.bill_no is None else {"billNo": result.bill_no}
    return {"state": result.state, **bill, "creditNotes": list(result.credit_notes)}


_BILL = Result(
    BillOnDemandResult,
    {"state": get_args(BillOnDemandState), "billNo?": "Id", "creditNotes": ["Id"]},
    _bill_json,
)


class BillDemanded(Message):
    """`bill.demand`: what is due of an account up to a date is billed at once."""

    TYPE: ClassVar[str] = "bill.demand"
    RESULT = _BILL
    KEY_FIELD = "id"
    ACCOUNT_PATH = "billingAccount.id"

    id: Id
    billing_account: Reference
    billing_date: Date | None = None

    def key(self, message_id: str | None) -> str:
        """The demand's id."""
        return self.id

    def fact(self, key: str) -> BillDemand:
        """The demand."""
        return BillDemand(self.id, self.billing_account.id, self.billing_date)


class Place(Part):
    """A place in the order of an account's charges."""

    date: Date
    charge_id: Id


class BillContinue(Continuation):
    """`bill.continue`: the rest of a demand, of which so many parts are made."""

    TYPE: ClassVar[str] = "bill.continue"
    RESULT = _BILL
    FACT = BillDemand

    id: Id
    billing_account: Reference
    billing_date: Date
    made: Count
    after: Place | None = None

    def key(self, message_id: str | None) -> str:
        """The demand and how far it is."""
        return f"{self.id}/{self.made}"

    def fact(self, key: str) -> BillDemand:
        """The rest of a demand."""
        after = None if self.after is None else (self.after.date, self.after.charge_id)
        return BillDemand(self.id, self.billing_account.id, self.billing_date, self.made, after)

    @classmethod
    def of(cls, fact: BillDemand) -> Self:
        """The message that says the rest of a demand."""
        assert fact.billing_date is not None, f"{fact} goes on, and says not up to which date"
        said: Json = {
            "id": fact.id,
            "billingAccount": {"id": fact.billing_account},
            "billingDate": fact.billing_date.isoformat(),
            "made": fact.made,
        }
        if fact.after is not None:
            day, charge_id = fact.after
            said["after"] = {"date": day.isoformat(), "chargeId": charge_id}
        return cls.model_validate(said)


MESSAGES: tuple[type[Message], ...] = (ChargeAdd, BillDemanded)
CONTINUATIONS: tuple[type[Continuation], ...] = (BillContinue,)
