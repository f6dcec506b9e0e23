"""All facts and all queues of the domain, and which part of it handles which fact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, tzinfo
from functools import cache
from operator import attrgetter
from typing import Any

from domain import accounts, billing, corrections, days, dunning, invoicing, ordering, parties, payments, settlement
from domain.accounts.lifecycle import complete_closing
from domain.accounts.model import Account
from domain.accounts.standing import tell_crossing
from domain.corrections.model import CreditNote, Dispute, WriteOff
from domain.days.model import BegunDay, Day
from domain.dunning.looking import leave_review
from domain.handler import Handler
from domain.invoicing.model import Invoice
from domain.ledger.books import Books, Document, DocumentNeed, Need, Queue, WorkingSet
from domain.ledger.positions import Position

FACTS: tuple[Handler, ...] = (
    *accounts.FACTS,
    *parties.FACTS,
    *invoicing.FACTS,
    *ordering.FACTS,
    *payments.FACTS,
    *settlement.FACTS,
    *corrections.FACTS,
    *days.FACTS,
    *billing.FACTS,
    *dunning.FACTS,
)
"""How each kind of fact is handled."""

QUEUES: tuple[Queue, ...] = (
    *accounts.QUEUES,
    *invoicing.QUEUES,
    *payments.QUEUES,
    *settlement.QUEUES,
    *corrections.QUEUES,
    *billing.QUEUES,
    *dunning.QUEUES,
)
"""Each kind of queue."""

DAILY: tuple[Callable[[date], object], ...] = (*settlement.DAILY, *billing.DAILY)
"""What begins with each day: facts that are made of its date, and that it leaves to do."""

HANDLERS: dict[type, Handler] = {handler.fact: handler for handler in FACTS}
"""The same by the kind of fact."""


def working_set(*, booked_at: datetime, zone: tzinfo, series: str, credit_notes: str) -> WorkingSet:
    """An empty working set for a batch, booked at that time; all else as `WorkingSet` has it."""
    return WorkingSet(booked_at=booked_at, zone=zone, series=series, credit_notes=credit_notes, queues=QUEUES)


def account_of(fact: object) -> str | None:
    """Whose account a fact is about, None if nobody's."""
    handler = HANDLERS.get(type(fact))
    return handler.account(fact) if handler else None


def own_time_of(fact: object) -> tuple[str, datetime] | None:
    """The time at which a fact says that it happened, and the field that has it; None for what says none."""
    handler = HANDLERS.get(type(fact))
    return handler.own_time(fact) if handler else None


def late(fact: object) -> object | None:
    """What is applied of a fact that has waited for too long; None where it is parked."""
    handler = HANDLERS.get(type(fact))
    return handler.late(fact) if handler is not None and handler.late is not None else None


def needs_of(fact: object, books: WorkingSet) -> Iterable[Need]:
    """What a fact needs, as far as that can be told from what is loaded so far; an operator's act needs nothing."""
    handler = HANDLERS.get(type(fact))
    return handler.needs(fact, books) if handler else ()


def named_by(fact: object, books: WorkingSet, noted: Mapping[type, set[str]]) -> list[DocumentNeed]:
    """The documents whose ids a fact says, as far as that can be told from what is loaded so far.

    Of those that it needs, and those that it was `noted` to have looked at, their ids by their type; but for what it
    passes over where it is another account's, as if it were not there.
    """
    handler = HANDLERS.get(type(fact))
    if handler is None:
        return []
    said = _texts_of(fact)
    looked_at = (DocumentNeed(kind, id_) for kind, ids in noted.items() for id_ in ids)
    return [
        need
        for need in dict.fromkeys((*handler.needs(fact, books), *looked_at))
        if isinstance(need, DocumentNeed) and need.id in said and need.type not in handler.passes_over
    ]


def _texts_of(fact: object) -> set[str]:
    """Every text within a fact."""
    found: set[str] = set()
    values: list[Any] = [fact]
    for value in values:
        if isinstance(value, str):
            found.add(value)
        elif (within := _within(value.__class__)) is not None:
            values += within(value)
    return found


@cache
def _within(kind: type) -> Callable[[Any], Iterable[object]] | None:
    """What gives the values within one of a type; None where there are none in it."""
    if issubclass(kind, Mapping):
        return lambda value: value.values()
    if issubclass(kind, tuple | list | frozenset):
        return lambda value: value
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        return attrgetter(*names) if len(names) > 1 else lambda value: [getattr(value, name) for name in names]
    return None


@cache
def is_of_an_account(kind: type) -> bool:
    """Whether documents of a kind belong to an account, or are one."""
    return kind in (Account, Position) or any(field.name in ACCOUNT_FIELDS for field in fields(kind))


def owners_of(named: Iterable[DocumentNeed], books: Books) -> Iterator[tuple[Account, ...]]:
    """Of each document that is there the accounts that it belongs to, if there is one; raises `NotLoaded`.

    An invoice in a partner's name, with its notes, write-offs and disputes, is of who owes it and of that partner.
    """
    named = list(named)
    books.require(named)
    found = [document for need in named if (document := books.find(need.type, need.id)) is not None]
    invoices = [DocumentNeed(Invoice, one.bill_no) for one in found if isinstance(one, Dispute | WriteOff)]
    books.require(invoices)
    owners = list(dict.fromkeys(_owners_of(document, books) for document in found))
    books.require(DocumentNeed(Account, id_) for ids in owners for id_ in ids)
    for ids in owners:
        accounts = tuple(account for id_ in ids if (account := books.find(Account, id_)) is not None)
        if accounts:
            yield accounts


def _owners_of(document: Document, books: Books) -> tuple[str, ...]:
    """The ids of the accounts that a document belongs to; none of what is nobody's."""
    if isinstance(document, Account | Position):
        return (document.id,)
    billed = books.find(Invoice, document.bill_no) if isinstance(document, Dispute | WriteOff) else document
    seller = billed.seller if isinstance(billed, Invoice | CreditNote) else None
    owner = next((owner for field in ACCOUNT_FIELDS if (owner := getattr(document, field, None)) is not None), None)
    return tuple(id_ for id_ in (owner, seller) if id_ is not None)


ACCOUNT_FIELDS = ("billing_account", "settlement_account")
"""The fields by which documents belong to an account."""


def apply(fact: object, books: Books) -> object:
    """Apply a fact to its books; returns the result that its sender is told. Raises what the domain raises.

    A day leaves to do what begins with it. Every fact ends alike: what it took beyond its credit limit is told, and
    what is to be closed is closed once nothing of it is open any more; and where steps of dunning stand against an
    account, they are held against what it owes now.
    """
    result = HANDLERS[type(fact)].apply(fact, books)
    if isinstance(fact, BegunDay) and books.rows[Day]:
        for begins in DAILY:
            books.continue_with(begins(fact.date))
    books.finish()
    told = len(books.emitted)
    for account_id in tuple(books.changed[Position]):
        account = books.find(Account, account_id)
        assert account is not None, f"account {account_id} has a position, and is not there"
        if account.credit_limit is not None:
            tell_crossing(account, books)
        if account.state == "pendingClose":
            complete_closing(account, books)
        if books.position(account_id).dunned is not None:
            leave_review(account_id, books)
    if len(books.emitted) > told:
        books.finish()
    return result
