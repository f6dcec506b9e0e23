"""Payments: the documents, what comes in about them, and what happens to them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from domain.frozen import dataclass
from domain.money import Money


@dataclass(frozen=True, slots=True)
class ReceivedPayment:
    """`payment.received`; `invoices` are the bill numbers to cover first, in that order.

    `request` is the payment request that it answers, if it names one.
    """

    id: str
    received_at: datetime
    billing_account: str
    money: Money
    method: str | None
    invoices: tuple[str, ...] | None
    request: str | None = None


@dataclass(frozen=True, slots=True)
class FailedPayment:
    """`payment.failed`: what was requested was not paid, and why."""

    request: str
    reason: str
    failed_at: datetime


Source = Literal["goodwill", "transfer", "netting"]
"""What credit comes of that is no payment."""


@dataclass(frozen=True, slots=True)
class TransferredCredit:
    """How much of a payment was transferred to another account (minor units); `id` is that of the credit there."""

    id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as booked: `amount`, of which `unapplied` is still credit (minor units).

    Credit that is no payment is kept as one, so that all that happens to payments happens to it: its `source` says what
    it is (None: a payment), `received_at` is its own time, and its id is one that no payment can have:
    `credit~<creditId>` for goodwill, `transfer~<transferId>~<n>` for the n-th part of a transfer,
    `netting~<settlementId>` for what was netted with a partner's statement. `transferred` is
    what of it was transferred to other accounts, as it came about; None while nothing was. `level` is how often what is
    transferred credit was transferred, `origin` the payment that it was at first; None of what never was. `parts` is in
    how many parts a payment was transferred, those included that went further; None while nothing was. What an earlier
    version transferred has no origin, and counts as one. `request` is the payment request that it answers.
    """

    id: str
    billing_account: str
    currency: str
    amount: int
    unapplied: int
    received_at: datetime
    method: str | None
    invoices: tuple[str, ...] | None
    booked_at: datetime
    source: Source | None = None
    transferred: tuple[TransferredCredit, ...] | None = None
    level: int | None = None
    origin: str | None = None
    parts: int | None = None
    request: str | None = None

    @property
    def owner(self) -> str:
        """The billing account whose credit it is."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[datetime, str]:
        """The order in which credit is consumed: oldest payment first."""
        return (self.received_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether some of it is still credit."""
        return self.unapplied > 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a payment that covers a part of an invoice, or below zero, that does so no more: append-only.

    There is one for each cause: `id` is invoice and payment, and the cause, unless that made one of the two and so is
    the only one. `place` orders those of an account, also where they are booked at once; an earlier version had none.
    """

    id: str
    bill_no: str
    payment_id: str
    billing_account: str
    amount: int
    cause: str
    booked_at: datetime
    place: int | None = None

    @property
    def owner(self) -> str:
        """Its payment."""
        return self.payment_id

    @property
    def order_key(self) -> tuple[datetime, str]:
        """The order in which they were booked."""
        return (self.booked_at, self.id)

    @property
    def is_open(self) -> bool:
        """Always: what was allocated, and what was undone of it, counts for ever."""
        return True


@dataclass(frozen=True, slots=True)
class Recovery:
    """A part of a payment that covers what an account owed us for money that it got without credit: append-only."""

    id: str
    payment_id: str
    billing_account: str
    amount: int
    cause: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class CreditAllocation:
    """What an account's credit still has to cover in another transaction; `sequence` tells it from other rests."""

    billing_account: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """What a payment is answered with: the numbers of the invoices that it covers."""

    bill_nos: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedPaymentResult:
    """What is answered to a payment that failed: the invoice that is open again."""

    bill_no: str


@dataclass(frozen=True, slots=True)
class RestResult:
    """What came of a rest: the numbers of its invoices, and how much covers money that was got without credit."""

    bill_nos: tuple[str, ...]
    recovered: Money


@dataclass(frozen=True, slots=True)
class PaymentAllocated:
    """Which invoices a payment covers now, which of those it named it could not, and what is left as credit.

    `recovered` is how much of it covers what the account owed us for money that it got without credit (minor units).
    """

    payment: Payment
    allocations: tuple[Allocation, ...]
    not_allocated: tuple[str, ...]
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class PaymentRequested:
    """What is due of an invoice is to be collected (minor units) by its account's means of payment."""

    billing_account: str
    bill_no: str
    currency: str
    amount: int
    due_date: date
    payment_method: str
