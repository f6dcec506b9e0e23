"""The queries about credit notes, refunds and disputes: what each is asked with, and its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, model_validator

from domain.corrections.model import DisputeState
from schemas.corrections.messages import CreditNoteId
from schemas.query import LIMIT_DEFAULT, Limit, Query, place_of, time_place_of
from schemas.shapes import Shape, page
from schemas.values import Id


class CreditNoteGet(Query):
    """One credit note, by its number or by the id that its sender gave it."""

    TYPE = "credit-note.get"
    ANSWER: ClassVar[Shape] = "CreditNote"
    bill_no: Id | None = None
    credit_note_id: CreditNoteId | None = None

    @model_validator(mode="after")
    def _by_one_of_both(self) -> Self:
        if (self.bill_no is None) == (self.credit_note_id is None):
            raise ValueError("needs billNo or creditNoteId, one of both")
        return self


class CreditNoteList(Query):
    """A billing account's credit notes, or those in the name of a partner's settlement account (`seller`), by number.

    All, or those of one invoice.
    """

    TYPE = "credit-note.list"
    ANSWER: ClassVar[Shape] = page("CreditNote")
    billing_account: Id | None = None
    seller: Id | None = None
    corrected_bill_no: Id | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of("credit-note.list", str))] | None = None

    @model_validator(mode="after")
    def _of_one_of_both(self) -> Self:
        if (self.billing_account is None) == (self.seller is None):
            raise ValueError("needs billingAccount or seller, one of both")
        return self


class RefundList(Query):
    """A billing account's refunds, oldest first."""

    TYPE = "refund.list"
    ANSWER: ClassVar[Shape] = page("Refund")
    billing_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of("refund.list"))] | None = None


class DisputeGet(Query):
    """One dispute, as it stands now."""

    TYPE = "dispute.get"
    ANSWER: ClassVar[Shape] = "Dispute"
    dispute_id: Id


class DisputeList(Query):
    """A billing account's disputes, or those of invoices in the name of a settlement account (`seller`), oldest first.

    All, or those of one invoice, or in one state.
    """

    TYPE = "dispute.list"
    ANSWER: ClassVar[Shape] = page("Dispute")
    billing_account: Id | None = None
    seller: Id | None = None
    bill_no: Id | None = None
    state: DisputeState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of("dispute.list"))] | None = None

    @model_validator(mode="after")
    def _of_one_of_both(self) -> Self:
        if (self.billing_account is None) == (self.seller is None):
            raise ValueError("needs billingAccount or seller, one of both")
        return self


QUERIES: tuple[type[Query], ...] = (CreditNoteGet, CreditNoteList, RefundList, DisputeGet, DisputeList)
