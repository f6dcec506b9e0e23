"""The queries about partners' statements: what each is asked with, and its answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.reserves import ReserveState
from domain.settlement.statements import Settlement
from schemas.query import LIMIT_DEFAULT, Limit, Query, date_place_of, time_place_of
from schemas.settlement.events import SHAPES as OF_SETTLEMENT
from schemas.settlement.events import TERMS, agreement_json, document_json, settlement_json, terms_json
from schemas.settlement.messages import StatementId
from schemas.shapes import Shape, page
from schemas.values import Date, Id, Json, time_json

PREVIEWED = "preview~"
"""The id of a closing that is previewed. No id that is kept has a tilde."""


class SettlementGet(Query):
    """One statement of a partner's."""

    TYPE = "settlement.get"
    ANSWER: ClassVar[Shape] = "Settlement"
    id: StatementId


class SettlementList(Query):
    """A partner's statements, oldest first."""

    TYPE = "settlement.list"
    ANSWER: ClassVar[Shape] = page("Settlement")
    settlement_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of(TYPE))] | None = None


class SettlementPreview(Query):
    """What `settlement.close` would make of a partner's accruals now: statements and documents, without their ids."""

    TYPE = "settlement.preview"
    ANSWER: ClassVar[Shape] = {"settlements": ["SettlementPreview"]}
    settlement_account: Id
    period_end: Date


class AgreementGet(Query):
    """One agreement with a partner, and all that was ever agreed of it."""

    TYPE = "agreement.get"
    ANSWER: ClassVar[Shape] = {
        **OF_SETTLEMENT["Agreement"],
        "history": [{"revision": "Revision", "validFrom": "Date", **TERMS, "bookedAt": "Time", "cause": "Identity"}],
    }
    agreement_id: Id


class AgreementList(Query):
    """A partner's agreements, by their first day, then by id; all, or the one that is in force on a date."""

    TYPE = "agreement.list"
    ANSWER: ClassVar[Shape] = page("Agreement")
    settlement_account: Id
    on: Date | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[date, str], BeforeValidator(date_place_of(TYPE))] | None = None


class ReserveList(Query):
    """What was held back of a partner's statements, the first to be released first; all, or those in a state."""

    TYPE = "reserve.list"
    ANSWER: ClassVar[Shape] = page("Reserve")
    settlement_account: Id
    state: ReserveState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[date, str], BeforeValidator(date_place_of(TYPE))] | None = None


class SelfBillingGet(Query):
    """One document that was issued in a partner's name."""

    TYPE = "self-billing.get"
    ANSWER: ClassVar[Shape] = "SettlementDocument"
    number: Id


class SelfBillingList(Query):
    """What was issued in a partner's name, oldest first."""

    TYPE = "self-billing.list"
    ANSWER: ClassVar[Shape] = page("SettlementDocument")
    settlement_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of(TYPE))] | None = None


class SettlementDocumentGet(Query):
    """One invoice of ours to a partner, or credit note."""

    TYPE = "settlement-document.get"
    ANSWER: ClassVar[Shape] = "SettlementDocument"
    number: Id


class SettlementDocumentList(Query):
    """Our invoices to a partner, and credit notes, oldest first."""

    TYPE = "settlement-document.list"
    ANSWER: ClassVar[Shape] = page("SettlementDocument")
    settlement_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of(TYPE))] | None = None


def agreement_with_history(agreement: Agreement) -> Json:
    """An agreement, and all that was agreed of it."""
    history = [
        {
            "revision": agreed.revision,
            "validFrom": agreed.valid_from.isoformat(),
            **terms_json(agreed, agreement.currency),
            "bookedAt": time_json(agreed.booked_at),
            "cause": agreed.cause,
        }
        for agreed in agreement.agreed
    ]
    return {**agreement_json(agreement), "history": history}


_ONLY_OF_ONE_THAT_IS_MADE = ("id", "payouts?", "disputedAmount?", "report?", "heldBy?")
_ONLY_OF_ONE_THAT_IS_ISSUED = ("id", "billNo", "settlementId", "credited?", "said?")
PREVIEWS: dict[str, Shape] = {
    "SettlementPreview": {
        **{name: part for name, part in OF_SETTLEMENT["Settlement"].items() if name not in _ONLY_OF_ONE_THAT_IS_MADE},
        "documents?": ["SettlementDocumentPreview"],
    },
    "SettlementDocumentPreview": {
        name: part
        for name, part in OF_SETTLEMENT["SettlementDocument"].items()
        if name not in _ONLY_OF_ONE_THAT_IS_ISSUED
    },
}
"""Statements and their documents as they would be: they have no ids and no numbers yet."""


def settlement_preview(settlement: Settlement, documents: Sequence[SettlementDocument] = ()) -> Json:
    """A statement as `settlement.closed` would tell it, without its id, and that of one which is not made either.

    Of `documents`, all that its closing would issue, it has its own, as they would be told, without numbers. One that
    corrects another of them names none: that has no number either.
    """
    told = settlement_json(settlement)
    del told["id"]
    if settlement.brought_forward_from is not None and settlement.brought_forward_from.startswith(PREVIEWED):
        del told["lines"][0]["settlementId"]
    numbers = {document.id for document in documents}
    own = [_document_preview(one, numbers) for one in documents if one.settlement_id == settlement.id]
    return {**told, "documents": own} if own else told


def _document_preview(document: SettlementDocument, not_issued: Collection[str]) -> Json:
    told = document_json(document)
    for name in _ONLY_OF_ONE_THAT_IS_ISSUED:
        told.pop(name.removesuffix("?"), None)
    if document.corrects in not_issued:
        del told["correctedBillNo"]
    return told


QUERIES: tuple[type[Query], ...] = (
    SettlementGet,
    SettlementList,
    SettlementPreview,
    AgreementGet,
    AgreementList,
    ReserveList,
    SelfBillingGet,
    SelfBillingList,
    SettlementDocumentGet,
    SettlementDocumentList,
)
