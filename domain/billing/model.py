"""Billing: charges and bills on demand, what comes in about them, and what happens to them."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from domain.frozen import dataclass
from domain.invoicing.model import CorrectsLine, Period
from domain.invoicing.pricing import Item
from domain.money import Currency, Money


@dataclass(frozen=True, slots=True)
class ChargeToAdd:
    """`charge.add`: an item for the next bill; `net` is what it comes to without tax (minor units).

    `corrects` is the line of an invoice that it takes back, or a part of it.
    """

    id: str
    billing_account: str
    date: dt.date
    currency: Currency
    item: Item
    net: int
    period: Period | None = None
    subscription_id: str | None = None
    corrects: CorrectsLine | None = None


@dataclass(frozen=True, slots=True)
class BilledCharge:
    """Where a charge was billed, and how much of its net (minor units): on a line of a bill, or by a credit note.

    By neither where nothing could be taken back any more of the line that it corrects. `cause` is the identity of the
    fact that made the bill.
    """

    bill_no: str | None
    line_id: str | None
    credit_note: str | None
    amount: int
    cause: str
    booked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Charge:
    """A TMF678 AppliedCustomerBillingRate: an item that waits for a bill, until it is billed once.

    `net` (minor units) is what it comes to without tax; a bill may take less of one that corrects a line. It is
    `behind` while it is not billed, though those of its date are (`Position.charges_through`).
    """

    id: str
    billing_account: str
    date: dt.date
    currency: str
    item: Item
    net: int
    period: Period | None
    subscription_id: str | None
    corrects: CorrectsLine | None
    booked_at: dt.datetime
    billed: BilledCharge | None = None
    behind: bool = False

    @property
    def owner(self) -> str:
        """The account that it is charged to."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[dt.date, str]:
        """The order in which charges are billed."""
        return (self.date, self.id)

    @property
    def is_open(self) -> bool:
        """Whether it is not billed yet."""
        return self.billed is None


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """What a charge is answered with: what it comes to without tax."""

    net: Money


@dataclass(frozen=True, slots=True)
class ChargeAdded:
    """A charge waits for a bill."""

    charge: Charge


Place = tuple[dt.date, str]
"""A place in the order of an account's charges, or of its subscriptions."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What earlier parts of a demand have been through: whatever of that had to wait waits for another demand.

    Charges that correct a line were looked at up to `charges`, subscriptions up to `subscriptions`. Of `of`, the id of
    one of these, the periods that begin on a day or later are still to be looked at.
    """

    charges: Place | None = None
    subscriptions: Place | None = None
    of: tuple[str, dt.date] | None = None


NOTHING_YET = Rest()
ALL_SUBSCRIPTIONS: Place = (dt.date.max, "")
"""The place behind all subscriptions."""

BillOnDemandState = Literal["inProgress", "done"]
"""TMF678's states of a bill on demand, as far as there are any: what is refused makes none."""


@dataclass(frozen=True, slots=True)
class BillDemand:
    """`bill.demand`: what is due of an account up to a date is billed; without a date, up to the newest day.

    `made` is how many parts of it are made already; above zero, this is the rest of a demand, and `after` says what
    those parts have been through.
    """

    id: str
    billing_account: str
    billing_date: dt.date | None
    made: int = 0
    after: Rest = NOTHING_YET


@dataclass(frozen=True, slots=True)
class BillOnDemand:
    """A TMF678 CustomerBillOnDemand, or a further part of one, whose `id` has its number too: append-only.

    `bill_no` is the bill that it made, if that is one; `bill_nos` are those that it made of several sellers, None
    where it did not; `credit_notes` are the numbers of the notes beside it. It is `inProgress` while more is to be
    billed, by further parts.
    """

    id: str
    demand_id: str
    billing_account: str
    billing_date: dt.date
    state: BillOnDemandState
    bill_no: str | None
    credit_notes: tuple[str, ...]
    booked_at: dt.datetime
    bill_nos: tuple[str, ...] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of the bills that it made."""
        return self.bill_nos or (() if self.bill_no is None else (self.bill_no,))


@dataclass(frozen=True, slots=True)
class BillOnDemandResult:
    """What a demand is answered with: the numbers of the sellers' bills and of the credit notes that it made."""

    state: BillOnDemandState
    bill_nos: tuple[str, ...]
    credit_notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BillOnDemandStateChanged:
    """A bill on demand was made, or a part of it."""

    bill: BillOnDemand
