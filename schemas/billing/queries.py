"""The queries about charges, subscriptions, usage, bill runs, and a bill that is not made yet, and their answers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from domain.billing.runs import BillRunState
from domain.billing.subscriptions import Subscription
from domain.billing.terms import SubscriptionState
from domain.corrections.model import CreditNote
from domain.frozen import replace
from domain.invoicing.model import Invoice
from schemas.billing.events import CHANGED, changed_json, subscription_json
from schemas.billing.events import SHAPES as OF_BILLING
from schemas.corrections.events import SHAPES as OF_CORRECTIONS
from schemas.corrections.events import credit_note_json
from schemas.invoicing.events import SHAPES as OF_INVOICES
from schemas.invoicing.events import invoice_json
from schemas.query import LIMIT_DEFAULT, Limit, Query, date_place_of, place_of, time_place_of
from schemas.shapes import Shape, page
from schemas.values import Date, Id, Json, Revision, Time, time_json

_place_of_charge = date_place_of("charge.list")
_place_of_run = date_place_of("bill-run.list")


class ChargeList(Query):
    """A billing account's charges, by date, then by id; all, those that are billed, or those that are not."""

    TYPE = "charge.list"
    ANSWER: ClassVar[Shape] = page("Charge")
    billing_account: Id
    billed: StrictBool | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[date, str], BeforeValidator(_place_of_charge)] | None = None


class SubscriptionGet(Query):
    """One subscription and its history: now, as it was at a time, or as of a revision; with the terms of a date `on`.

    Unless it is said, that is the newest day, or the day of that time or revision.
    """

    TYPE = "subscription.get"
    ANSWER: ClassVar[Shape] = {
        **OF_BILLING["Subscription"],
        "history": [{"revision": "Revision", **CHANGED, "bookedAt": "Time", "cause": "Identity"}],
    }
    id: Id
    at: Time | None = None
    revision: Revision | None = None
    on: Date | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.at is not None and self.revision is not None:
            raise ValueError("at, revision: only one of them, since a revision has a time of its own")
        return self


class SubscriptionList(Query):
    """A billing account's subscriptions, by id; all, or those in one state."""

    TYPE = "subscription.list"
    ANSWER: ClassVar[Shape] = page("Subscription")
    billing_account: Id
    state: SubscriptionState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of("subscription.list", str))] | None = None


def subscription_with_history(subscription: Subscription, on: date) -> Json:
    """A subscription with the terms of a day, and each change of it."""
    history = [
        {
            "revision": patch.revision,
            **changed_json(patch),
            "bookedAt": time_json(patch.booked_at),
            "cause": patch.cause,
        }
        for patch in subscription.patches
    ]
    return {**subscription_json(subscription, on), "history": history}


class UsageList(Query):
    """What was used of a subscription, or of one price of it, by its time, then by id; between days, both included.

    Or what a line of a bill counts; of one that takes something back, what is counted anew, or what its line counted.
    """

    TYPE = "usage.list"
    ANSWER: ClassVar[Shape] = page("Usage")
    subscription_id: Id | None = None
    price_id: Id | None = None
    bill_no: Id | None = None
    line_id: Id | None = None
    since: Date | None = Field(None, alias="from")
    until: Date | None = Field(None, alias="to")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of("usage.list"))] | None = None

    @model_validator(mode="after")
    def _of_one_thing(self) -> Self:
        of_line = (self.bill_no, self.line_id)
        if self.subscription_id is not None and of_line != (None, None):
            raise ValueError("subscriptionId, billNo: only one of them, since a line has a subscription of its own")
        if self.subscription_id is None and None in of_line:
            raise ValueError("subscriptionId: is needed, or billNo and lineId")
        if self.price_id is not None and self.subscription_id is None:
            raise ValueError("priceId: goes with subscriptionId, since a line has a price of its own")
        return self


class BillPreview(Query):
    """What `bill.demand` would make of an account's bill now: the invoices and credit notes, without numbers."""

    TYPE = "bill.preview"
    ANSWER: ClassVar[Shape] = {"invoices": ["InvoicePreview"], "creditNotes": ["CreditNotePreview"]}
    billing_account: Id
    billing_date: Date


class BillRunGet(Query):
    """One bill run: how far it is, what its bills come to, how many of its accounts are parked."""

    TYPE = "bill-run.get"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = {
        **OF_BILLING["BillRun"],
        "accounts": OF_BILLING["BillRun"]["accounts?"],
        "totals": OF_BILLING["BillRun"]["totals?"],
    }
    bill_run_id: Id


class BillRunList(Query):
    """Bill runs, by billing date, then by id; all, or those of a billing cycle specification, or in one state."""

    TYPE = "bill-run.list"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page("BillRun")
    cycle_specification: Id | None = None
    state: BillRunState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[date, str], BeforeValidator(_place_of_run)] | None = None


_NUMBERS = ("id", "billNo", "paymentReference", "creditNoteId")


def _without(shape: dict[str, Any], *names: str) -> Any:
    return {name: part for name, part in shape.items() if name.removesuffix("?") not in names}


PREVIEWS: dict[str, Shape] = {
    "InvoicePreview": {**_without(OF_INVOICES["Invoice"], *_NUMBERS), "lines": ["InvoiceLinePreview"]},
    "InvoiceLinePreview": _without(OF_INVOICES["InvoiceLine"], "bill"),
    "CreditNotePreview": {**_without(OF_CORRECTIONS["CreditNote"], *_NUMBERS), "lines": ["CreditNoteLinePreview"]},
    "CreditNoteLinePreview": _without(OF_CORRECTIONS["CreditNoteLine"], "bill"),
}
"""Invoices and credit notes as they would be: they have no numbers yet."""


def invoice_preview(invoice: Invoice) -> Json:
    """An invoice as `invoice.issued` would tell it, without its number and all that has it."""
    # Of a number that is none, no payment reference can be made.
    return unnumbered(invoice_json(replace(invoice, id="0")))


def credit_note_preview(note: CreditNote) -> Json:
    """A credit note as `credit-note.issued` would tell it, without its number and id."""
    return unnumbered(credit_note_json(note))


def unnumbered(bill: Json) -> Json:
    """An invoice or credit note as it goes out, without its number and all that has it."""
    return {**_without(bill, *_NUMBERS), "lines": [_without(line, "bill") for line in bill["lines"]]}


QUERIES: tuple[type[Query], ...] = (
    ChargeList,
    SubscriptionGet,
    SubscriptionList,
    UsageList,
    BillPreview,
    BillRunGet,
    BillRunList,
)
