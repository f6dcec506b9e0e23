"""Accepting: what a partner says of a self-billed document. One that is disputed holds its statement's payout.

Of a statement that was carried forward, what it comes to is held where it has been brought forward to.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.settlement import position
from domain.settlement.documents import DocumentSaid, DocumentState, SettlementDocument, find_document
from domain.settlement.requesting import carried_needs, hold, let_go
from domain.settlement.statements import Settlement


@dataclass(frozen=True, slots=True)
class DocumentToAccept:
    """`self-billing.accept`: the partner accepts a document that was issued in its name."""

    number: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DocumentToDispute:
    """`self-billing.dispute`: the partner does not accept it, and why."""

    number: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class SelfBillingAccepted:
    """A partner accepted a document: the last that was said of it."""

    document: SettlementDocument


@dataclass(frozen=True, slots=True)
class SelfBillingDisputed:
    """A partner disputed a document: the last that was said of it."""

    document: SettlementDocument


@dataclass(frozen=True, slots=True)
class DocumentStateResult:
    """What is answered: the document, and the state that it is in by that."""

    number: str
    state: DocumentState


def accept_time(fact: DocumentToAccept | DocumentToDispute) -> tuple[str, datetime]:
    """When it was said, by its own saying."""
    return "at", fact.at


def accept_needs(fact: DocumentToAccept | DocumentToDispute, books: WorkingSet) -> Iterator[Need]:
    """What is looked at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(SettlementDocument, fact.number)
    document = books.peek(SettlementDocument, fact.number)
    if document is not None:
        yield DocumentNeed(Account, document.settlement_account)
        yield DocumentNeed(Position, document.settlement_account)
        # What was carried forward is held where it is now.
        yield from carried_needs(document.settlement_id, books)


def accept_document(fact: DocumentToAccept, books: Books) -> DocumentStateResult:
    """Note that a document is accepted; what is held only for it is paid then. Returns its state.

    Raises `MustWait` (`unknown-document`, `account-suspended`) and `Refused`: `invalid` for a document of ours,
    `wrong-state` where it is accepted already, `account-closed`.
    """
    document = _said(fact.number, DocumentSaid("accepted", fact.at, books.cause, books.booked_at), books)
    position.emit(document.settlement_account, SelfBillingAccepted(document), books)
    let_go(_statement_of(document, books), document.id, books)
    return DocumentStateResult(document.id, "accepted")


def dispute_document(fact: DocumentToDispute, books: Books) -> DocumentStateResult:
    """Note that a document is disputed; its statement is not paid before it is accepted. Returns its state.

    Raises `MustWait` (`unknown-document`, `account-suspended`) and `Refused`: `invalid` for a document of ours,
    `wrong-state` where it is disputed already, or accepted, `account-closed`.
    """
    document = _said(fact.number, DocumentSaid("disputed", fact.at, books.cause, books.booked_at, fact.reason), books)
    position.emit(document.settlement_account, SelfBillingDisputed(document), books)
    hold(_statement_of(document, books), document.id, books)
    return DocumentStateResult(document.id, "disputed")


def _said(number: str, said: DocumentSaid, books: Books) -> SettlementDocument:
    document = find_document(number, books)
    if not document.is_self_billed:
        raise Refused("invalid", f"number: {document.id} is no self-billed document: it is ours")
    account = find_account(document.settlement_account, books)
    check_state(account, "correction", f"number (of {document.id})")
    if document.state in (said.state, "accepted"):
        raise Refused("wrong-state", f"number: {document.id} is {document.state} already")
    document = replace(document, said=(*(document.said or ()), said))
    books.put(document)
    return document


def _statement_of(document: SettlementDocument, books: Books) -> Settlement:
    settlement = books.find(Settlement, document.settlement_id)
    assert settlement is not None, f"{document.id} is of {document.settlement_id}, which is not there"
    return settlement
