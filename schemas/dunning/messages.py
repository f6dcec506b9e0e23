"""`payment.promise`, and what dunning says to itself: that an account is to be looked at."""

from __future__ import annotations

from typing import ClassVar, Self

from domain.dunning.model import AccountToDun, DayToComplete, DunnedDayResult, DunningResult, PaymentToPromise
from domain.money import Currency
from schemas.currencies import DIGITS
from schemas.message import Continuation, InternalMessage, Message, Reference, Result
from schemas.values import Count, Date, Id, PositiveMoney

RESULT = Result(DunningResult, {"level": int}, lambda result: {"level": result.level})
"""How many steps of dunning stand against the account."""


class PaymentPromise(Message):
    """`payment.promise`: an account says that it pays what is overdue by the end of a day; dunning waits until then."""

    TYPE: ClassVar[str] = "payment.promise"
    RESULT = RESULT
    KEY_FIELD = "promiseId"
    ACCOUNT_PATH = "billingAccount.id"

    promise_id: Id
    billing_account: Reference
    until: Date
    amount: PositiveMoney | None = None

    def key(self, message_id: str | None) -> str:
        """The promise's id."""
        return self.promise_id

    def fact(self, key: str) -> PaymentToPromise:
        """The promise."""
        amount = self.amount
        if amount is None:
            return PaymentToPromise(self.promise_id, self.billing_account.id, self.until)
        currency = Currency(amount.currency, DIGITS[amount.currency])
        return PaymentToPromise(self.promise_id, self.billing_account.id, self.until, amount.amount, currency)


class DunningLook(Continuation):
    """`dunning.look`: an account is held against what it owes; on a date that has come it may come a step further."""

    TYPE: ClassVar[str] = "dunning.look"
    RESULT = RESULT
    FACT = AccountToDun

    billing_account: Reference
    date: Date | None = None
    sequence: Count | None = None

    def key(self, message_id: str | None) -> str:
        """The account and the date; of what a fact leaves to do, also what tells that apart."""
        said = (self.billing_account.id, self.date and self.date.isoformat(), self.sequence)
        return "/".join(str(part) for part in said if part is not None)

    def fact(self, key: str) -> AccountToDun:
        """The account to look at."""
        return AccountToDun(self.billing_account.id, self.date, self.sequence)

    @classmethod
    def of(cls, fact: AccountToDun) -> Self:
        """The message that says that an account is to be looked at."""
        date = {} if fact.date is None else {"date": fact.date.isoformat()}
        sequence = {} if fact.sequence is None else {"sequence": fact.sequence}
        return cls.model_validate({"billingAccount": {"id": fact.billing_account}, **date, **sequence})


class DunningComplete(InternalMessage):
    """`dunning.complete`: on a date all accounts that owe were looked at. A worker says so to itself."""

    TYPE: ClassVar[str] = "dunning.complete"
    RESULT = Result(DunnedDayResult, {"date": "Date"}, lambda result: {"date": result.date.isoformat()})
    FACT = DayToComplete

    date: Date

    def key(self, message_id: str | None) -> str:
        """The date."""
        return self.date.isoformat()

    def fact(self, key: str) -> DayToComplete:
        """The day."""
        return DayToComplete(self.date)

    @classmethod
    def of(cls, fact: DayToComplete) -> Self:
        """The message that says that a day is over."""
        return cls.model_validate({"date": fact.date.isoformat()})


MESSAGES: tuple[type[Message], ...] = (PaymentPromise,)
CONTINUATIONS: tuple[type[Continuation], ...] = (DunningLook,)
INTERNAL: tuple[type[InternalMessage], ...] = (DunningComplete,)
