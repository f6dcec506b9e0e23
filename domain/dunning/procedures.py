"""Procedures: what an account's dunning procedure says, and how far by that the account should be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from domain.accounts.model import Account
from domain.accounts.specifications import Action, DunningProcedure
from domain.dunning.model import Promise, TakenStep
from domain.frozen import dataclass
from domain.invoicing.model import Invoice
from domain.invoicing.pricing import Item
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet


@dataclass(frozen=True, slots=True)
class Step:
    """What is done so many days after the due date; `item` is what is charged, of a step that charges."""

    after: int
    action: Action
    item: Item | None


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure as one account has it: its steps in order, and the threshold in minor units, 0 without one.

    A threshold in another currency than the account's is none.
    """

    id: str
    steps: tuple[Step, ...]
    threshold: int


def procedure_id(account: Account) -> str | None:
    """The id of the procedure that an account refers to."""
    return next((one.id for one in account.references if one.kind == "dunningProcedure"), None)


def procedure_needs(account_id: str, books: WorkingSet) -> Iterator[Need]:
    """An account's procedure, once it is known which that is."""
    account = books.peek(Account, account_id)
    found = None if account is None else procedure_id(account)
    if found is not None:
        yield DocumentNeed(DunningProcedure, found)


def procedure_of(account: Account, books: Books) -> Procedure | None:
    """The procedure of an account, None without one."""
    id_ = procedure_id(account)
    found = None if id_ is None else books.find(DunningProcedure, id_)
    if found is None or found.state == "deleted":
        return None
    document = cast("Mapping[str, Any]", found.document)
    return Procedure(found.id, tuple(map(_step, document["steps"])), _threshold(document.get("threshold"), account))


def _step(said: Mapping[str, Any]) -> Step:
    item = said.get("item")
    return Step(said["after"], said["action"], None if item is None else _item(item))


def _item(said: Mapping[str, Any]) -> Item:
    return Item(
        said["id"],
        said.get("description"),
        _decimal(said["quantity"]),
        _decimal(said["unitPrice"]),
        said["tax"]["category"],
        _decimal(said["tax"]["rate"]),
        None,
    )


def _threshold(said: Mapping[str, Any] | None, account: Account) -> int:
    if said is None or said["unit"] != account.currency:
        return 0
    return int(_decimal(said["value"]).scaleb(account.currency_digits))


def _decimal(said: object) -> Decimal:
    """A number of a document, which keeps those with a point as doubles: the shortest form is what was said."""
    found = Decimal(repr(said) if isinstance(said, float) else str(said))
    return found.normalize() if found.as_tuple().exponent < 0 else found  # type: ignore[operator]  # it is finite


def overdue_since(account_id: str, on: dt.date, books: Books) -> dt.date | None:
    """The earliest due date before a day of what an account owes; None where nothing is.

    What it disputes is not due, and for what was requested is waited.
    """
    return next((invoice.payment_due_date for invoice in _overdue(account_id, on, books)), None)


def overdue(account_id: str, on: dt.date, books: Books) -> int:
    """What an account owes that was due before a day, but for the same (minor units)."""
    return sum(invoice.undisputed for invoice in _overdue(account_id, on, books))


def _overdue(account_id: str, on: dt.date, books: Books) -> Iterator[Invoice]:
    oldest = books.position(account_id).oldest_due
    if oldest is None or oldest >= on:
        return
    for invoice in books.open_now(Invoice, account_id):
        if invoice.payment_due_date >= on:
            return
        request = invoice.handled.request
        if invoice.undisputed and not (request is not None and request.is_waited_for(on)):
            yield invoice


def level_by(procedure: Procedure | None, promise: Promise | None, account: Account, on: dt.date, books: Books) -> int:
    """How many steps should stand on a day: all whose days have passed since the earliest due date.

    None where what is overdue is promised, or what is not promised of it is below the threshold.
    """
    if procedure is None:
        return 0
    since = overdue_since(account.id, on, books)
    if since is None:
        return 0
    promised = promise is not None and promise.holds_on(on)
    if promised or procedure.threshold:
        if promised and promise is not None and promise.amount is None:
            return 0
        covered = promise.amount or 0 if promised and promise is not None else 0
        left = overdue(account.id, on, books) - covered
        if left <= 0 or left < procedure.threshold:
            return 0
    days = (on - since).days
    return sum(step.after <= days for step in procedure.steps)


def standing(steps: tuple[TakenStep, ...], procedure: Procedure | None) -> int:
    """How many of the steps that were taken are still those of the procedure: each does what that says at its place."""
    count = 0
    for taken, step in zip(steps, () if procedure is None else procedure.steps, strict=False):
        if taken.action != step.action:
            break
        count += 1
    return count
