"""What is billed: charges, subscriptions, their changes and usage; demands, runs; and what these leave to do."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from domain.billing.model import BillDemand, BillOnDemandResult, BillOnDemandState, ChargeResult, ChargeToAdd, Rest
from domain.billing.runs import (
    AccountBilled,
    AccountToBill,
    BillRunResult,
    BillRunState,
    BillRunToComplete,
    BillRunToStart,
    RunsOpened,
    RunsToOpen,
)
from domain.billing.subscriptions import (
    ChangeKind,
    SubscriptionResult,
    SubscriptionToChange,
    SubscriptionToCreate,
    SubscriptionTurn,
)
from domain.billing.terms import Patch, SubscriptionState, Terms
from domain.billing.usage import UsageResult, UsageToRecord
from domain.invoicing.model import CorrectsLine, Period
from domain.money import line_net, within_limit
from schemas.billing.prices import Prices
from schemas.invoicing.events import bills_json
from schemas.message import Continuation, InternalMessage, Message, Part, Reference, Result, message_key
from schemas.ordering.messages import Item
from schemas.values import (
    ID,
    Count,
    CurrencyCode,
    Date,
    Id,
    Json,
    Number,
    Revision,
    Text,
    Time,
    money_json,
    parse_id,
    within,
)

CHARGE_ID = re.compile(rf"{ID.pattern}|dunning~{ID.pattern}~[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}", re.ASCII)
"""The id of a charge; of what a step of dunning charges, which no sender can say, the account and the day."""


def parse_charge_id(value: object) -> str:
    """The id of a charge, or of what dunning charges; raises `ValueError`."""
    return value if isinstance(value, str) and CHARGE_ID.fullmatch(value) else parse_id(value)


ChargeId = Annotated[str, BeforeValidator(parse_charge_id)]


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
    return {"state": result.state, **bills_json(result.bill_nos), "creditNotes": list(result.credit_notes)}


_BILL = Result(
    BillOnDemandResult,
    {"state": get_args(BillOnDemandState), "billNo?": "Id", "billNos": ["Id"], "creditNotes": ["Id"]},
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


class ChargePlace(Part):
    """A place in the order of an account's charges."""

    date: Date
    charge_id: ChargeId


class SubscriptionPlace(Part):
    """A place in the order of an account's subscriptions, or a day from which on one's periods are left."""

    date: Date
    subscription_id: Id | None = None


def _rest(charges: ChargePlace | None, subscriptions: SubscriptionPlace | None, of: SubscriptionPlace | None) -> Rest:
    """What the parts of a bill that are made have been through."""
    return Rest(
        None if charges is None else (charges.date, charges.charge_id),
        None if subscriptions is None else (subscriptions.date, subscriptions.subscription_id or ""),
        None if of is None or of.subscription_id is None else (of.subscription_id, of.date),
    )


def _rest_json(after: Rest) -> Json:
    """The same as a message says it."""
    said: Json = {}
    if after.charges is not None:
        day, charge_id = after.charges
        said["after"] = {"date": day.isoformat(), "chargeId": charge_id}
    if after.subscriptions is not None:
        day, subscription_id = after.subscriptions
        place = {"date": day.isoformat(), "subscriptionId": subscription_id or None}
        said["afterSubscription"] = {name: value for name, value in place.items() if value is not None}
    if after.of is not None:
        subscription_id, day = after.of
        said["restOf"] = {"date": day.isoformat(), "subscriptionId": subscription_id}
    return said


class BillContinue(Continuation):
    """`bill.continue`: the rest of a demand, of which so many parts are made."""

    TYPE: ClassVar[str] = "bill.continue"
    RESULT = _BILL
    FACT = BillDemand

    id: Id
    billing_account: Reference
    billing_date: Date
    made: Count
    after: ChargePlace | None = None
    after_subscription: SubscriptionPlace | None = None
    rest_of: SubscriptionPlace | None = None

    def key(self, message_id: str | None) -> str:
        """The demand and how far it is."""
        return f"{self.id}/{self.made}"

    def fact(self, key: str) -> BillDemand:
        """The rest of a demand."""
        after = _rest(self.after, self.after_subscription, self.rest_of)
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
        return cls.model_validate({**said, **_rest_json(fact.after)})


_BILL_RUN = Result(
    BillRunResult,
    {"billRunId": "Id", "state": get_args(BillRunState)},
    lambda result: {"billRunId": result.id, "state": result.state},
)


class BillRunStart(Message):
    """`bill-run.start`: each account of a billing cycle specification is billed up to a date."""

    TYPE: ClassVar[str] = "bill-run.start"
    RESULT = _BILL_RUN
    KEY_FIELD = "billRunId"

    bill_run_id: Id
    cycle_specification: Reference
    billing_date: Date

    def key(self, message_id: str | None) -> str:
        """The run's id."""
        return self.bill_run_id

    def fact(self, key: str) -> BillRunToStart:
        """The run to start."""
        return BillRunToStart(self.bill_run_id, self.cycle_specification.id, self.billing_date)


class BillRunsOpen(Continuation):
    """`bill-run.open`: the runs that begin by themselves on a day; of many, those that are left after so many parts.

    Of one cycle, that cycle's alone.
    """

    TYPE: ClassVar[str] = "bill-run.open"
    RESULT = Result(RunsOpened, {"billRunIds": ["Id"]}, lambda result: {"billRunIds": list(result.runs)})
    FACT = RunsToOpen

    date: Date
    part: Count | None = None
    cycle_specification: Reference | None = None

    def key(self, message_id: str | None) -> str:
        """The day, and which part; or which cycle, whose id may be a number too."""
        if self.cycle_specification is not None:
            return f"{self.date.isoformat()}/0/{self.cycle_specification.id}"
        return self.date.isoformat() if self.part is None else f"{self.date.isoformat()}/{self.part}"

    def fact(self, key: str) -> RunsToOpen:
        """The day whose runs are to be opened."""
        cycle = None if self.cycle_specification is None else self.cycle_specification.id
        return RunsToOpen(self.date, self.part or 0, cycle)

    @classmethod
    def of(cls, fact: RunsToOpen) -> Self:
        """The message that says so."""
        cycle = None if fact.cycle_specification is None else {"id": fact.cycle_specification}
        said = {"date": fact.date.isoformat(), "part": fact.part or None, "cycleSpecification": cycle}
        return cls.model_validate(said)


def _account_billed(result: AccountBilled) -> Json:
    return {
        "billRunId": result.run,
        "billingAccount": {"id": result.billing_account},
        "state": result.state,
        **bills_json(result.bill_nos),
        "creditNotes": list(result.credit_notes),
    }


class BillAccount(Continuation):
    """`bill.account`: a run comes to an account, or to the rest of what is due of it. A worker says so to itself."""

    TYPE: ClassVar[str] = "bill.account"
    RESULT = Result(
        AccountBilled,
        {
            "billRunId": "Id",
            "billingAccount": {"id": "Id"},
            "state": get_args(BillOnDemandState),
            "billNo?": "Id",
            "billNos": ["Id"],
            "creditNotes": ["Id"],
        },
        _account_billed,
    )
    FACT = AccountToBill
    # For no account of a run anybody waits, and what each batch takes is then shared by twice as many.
    IS_LIGHT = True
    ACCOUNT_PATH = "billingAccount.id"

    bill_run_id: Id
    billing_account: Reference
    billing_date: Date
    made: Count | None = None
    billed: bool | None = None
    after: ChargePlace | None = None
    after_subscription: SubscriptionPlace | None = None
    rest_of: SubscriptionPlace | None = None

    def key(self, message_id: str | None) -> str:
        """The run and the account; of a further part its number, too."""
        key = f"{self.bill_run_id}:{self.billing_account.id}"
        return key if self.made is None else f"{key}/{self.made}"

    def fact(self, key: str) -> AccountToBill:
        """The account to bill."""
        after = _rest(self.after, self.after_subscription, self.rest_of)
        return AccountToBill(
            self.bill_run_id, self.billing_account.id, self.billing_date, self.made or 0, after, bool(self.billed)
        )

    @classmethod
    def of(cls, fact: AccountToBill) -> Self:
        """The message that says that a run comes to an account."""
        return cls.model_validate(
            {
                "billRunId": fact.run,
                "billingAccount": {"id": fact.billing_account},
                "billingDate": fact.billing_date.isoformat(),
                "made": fact.made or None,
                "billed": fact.billed or None,
                **_rest_json(fact.after),
            }
        )


class BillRunComplete(InternalMessage):
    """`bill-run.complete`: a run has come to each of its accounts. A worker says so to itself."""

    TYPE: ClassVar[str] = "bill-run.complete"
    RESULT = _BILL_RUN
    FACT = BillRunToComplete

    bill_run_id: Id
    parked: Annotated[int, Field(strict=True, ge=0)]

    def key(self, message_id: str | None) -> str:
        """The run, and how many are held: of two workers one may count one more."""
        return f"{self.bill_run_id}/{self.parked}"

    def fact(self, key: str) -> BillRunToComplete:
        """The run to complete."""
        return BillRunToComplete(self.bill_run_id, self.parked)

    @classmethod
    def of(cls, fact: BillRunToComplete) -> Self:
        """The message that says so."""
        return cls.model_validate({"billRunId": fact.id, "parked": fact.parked})


_SUBSCRIPTION = Result(
    SubscriptionResult,
    {"subscriptionId": "Id", "revision": "Revision", "state": get_args(SubscriptionState)},
    lambda result: {
        "subscriptionId": result.subscription.id,
        "revision": result.subscription.revision,
        "state": result.subscription.state,
    },
)


class SubscriptionCreate(Message):
    """`subscription.create`: what a billing account is charged for from a date on."""

    TYPE: ClassVar[str] = "subscription.create"
    RESULT = _SUBSCRIPTION
    KEY_FIELD = "subscriptionId"
    ACCOUNT_PATH = "billingAccount.id"

    subscription_id: Id
    billing_account: Reference
    start_date: Date
    currency: CurrencyCode
    product_price: Prices
    name: Text | None = None
    trial_end_date: Date | None = None
    termination_date: Date | None = None
    billing_anchor: Date | None = None

    def key(self, message_id: str | None) -> str:
        """The subscription's id."""
        return self.subscription_id

    def fact(self, key: str) -> SubscriptionToCreate:
        """The subscription to create."""
        return SubscriptionToCreate(
            self.subscription_id,
            self.billing_account.id,
            self.start_date,
            self.currency,
            Terms(
                tuple(price.price() for price in self.product_price),
                self.name,
                self.trial_end_date,
                self.termination_date,
                self.billing_anchor,
            ),
        )


class SubscriptionChanges(Part):
    """A JSON merge patch (RFC 7396) of a subscription's terms: what is null is removed, `productPrice` replaced."""

    model_config = ConfigDict(extra="forbid")

    name: Text | None = None
    product_price: Prices | None = None
    trial_end_date: Date | None = None
    termination_date: Date | None = None
    billing_anchor: Date | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must name what is changed")
        if "product_price" in self.model_fields_set and self.product_price is None:
            raise within("productPrice", "can't be removed", None)
        return self

    @model_serializer(mode="wrap")
    def _with_what_is_removed(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The content, of which the digest is made, has no nulls but for these.
        removed = (to_camel(name) for name in sorted(self.model_fields_set) if getattr(self, name) is None)
        return {**serialized(self), **dict.fromkeys(removed)}

    def patch(self, effective_date: date) -> Patch:
        """The changes from a date on."""
        changed = tuple(sorted("prices" if name == "product_price" else name for name in self.model_fields_set))
        prices = () if self.product_price is None else tuple(price.price() for price in self.product_price)
        terms = Terms(prices, self.name, self.trial_end_date, self.termination_date, self.billing_anchor)
        return Patch(effective_date, changed, terms)


class _SubscriptionMessage(Message):
    RESULT = _SUBSCRIPTION
    KIND: ClassVar[ChangeKind]

    subscription_id: Id
    effective_date: Date
    if_revision: Revision | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def patch(self) -> Patch:
        """What it changes, from when on."""
        raise NotImplementedError

    def fact(self, key: str) -> SubscriptionToChange:
        """The change."""
        return SubscriptionToChange(self.subscription_id, self.KIND, self.patch(), self.if_revision)


class SubscriptionChange(_SubscriptionMessage):
    """`subscription.change`: other terms from a date on, which may be past."""

    TYPE: ClassVar[str] = "subscription.change"
    KIND = "change"

    changes: SubscriptionChanges

    def patch(self) -> Patch:
        """The changes."""
        return self.changes.patch(self.effective_date)


class SubscriptionSuspend(_SubscriptionMessage):
    """`subscription.suspend`: from a date on nothing is charged, until it is resumed."""

    TYPE: ClassVar[str] = "subscription.suspend"
    KIND = "suspend"

    def patch(self) -> Patch:
        """That it is suspended."""
        return Patch(self.effective_date, ("suspended",), Terms((), suspended=True))


class SubscriptionResume(_SubscriptionMessage):
    """`subscription.resume`: of one that is suspended on that date."""

    TYPE: ClassVar[str] = "subscription.resume"
    KIND = "resume"

    def patch(self) -> Patch:
        """That it is not suspended."""
        return Patch(self.effective_date, ("suspended",), Terms(()))


class SubscriptionTerminate(_SubscriptionMessage):
    """`subscription.terminate`: the date is the first day not served."""

    TYPE: ClassVar[str] = "subscription.terminate"
    KIND = "terminate"

    def patch(self) -> Patch:
        """That it ends."""
        return Patch(self.effective_date, ("termination_date",), Terms((), termination_date=self.effective_date))


class SubscriptionTurns(Continuation):
    """`subscription.turn`: a day on which the state changes by itself, as of a revision."""

    TYPE: ClassVar[str] = "subscription.turn"
    RESULT = _SUBSCRIPTION
    FACT = SubscriptionTurn

    subscription_id: Id
    revision: Revision
    date: Date

    def key(self, message_id: str | None) -> str:
        """The subscription, its revision and the day."""
        return f"{self.subscription_id}/{self.revision}/{self.date.isoformat()}"

    def fact(self, key: str) -> SubscriptionTurn:
        """The turn."""
        return SubscriptionTurn(self.subscription_id, self.revision, self.date)

    @classmethod
    def of(cls, fact: SubscriptionTurn) -> Self:
        """The message that says a turn."""
        return cls.model_validate(
            {"subscriptionId": fact.subscription, "revision": fact.revision, "date": fact.date.isoformat()}
        )


class UsageRecorded(Message):
    """`usage.record`: so much of a subscription's price was used at a time."""

    TYPE: ClassVar[str] = "usage.record"
    RESULT = Result(
        UsageResult,
        {"subscriptionId": "Id", "priceId": "Id", "date": "Date"},
        lambda result: {
            "subscriptionId": result.subscription,
            "priceId": result.price_id,
            "date": result.day.isoformat(),
        },
    )
    KEY_FIELD = "usageId"
    IS_LIGHT = True

    usage_id: Id
    subscription_id: Id
    usage_date: Time
    price_id: Id
    quantity: Number

    def key(self, message_id: str | None) -> str:
        """The record's id."""
        return self.usage_id

    def fact(self, key: str) -> UsageToRecord:
        """The usage to count."""
        return UsageToRecord(self.usage_id, self.subscription_id, self.usage_date, self.price_id, self.quantity)


MESSAGES: tuple[type[Message], ...] = (
    ChargeAdd,
    SubscriptionCreate,
    SubscriptionChange,
    SubscriptionSuspend,
    SubscriptionResume,
    SubscriptionTerminate,
    UsageRecorded,
    BillDemanded,
    BillRunStart,
)
CONTINUATIONS: tuple[type[Continuation], ...] = (BillContinue, SubscriptionTurns, BillRunsOpen, BillAccount)
INTERNAL: tuple[type[InternalMessage], ...] = (BillRunComplete,)
