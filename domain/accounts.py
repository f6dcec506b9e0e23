"""Accounts, what a client may say of them, and positions, what the money says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from domain.errors import Refused

if TYPE_CHECKING:
    from domain.books import Books, Need, WorkingSet

BILLING = "BillingAccount"
SETTLEMENT = "SettlementAccount"


@dataclass(frozen=True, slots=True)
class SettlementTerms:
    """What a partner gets of the net of the lines sold on its behalf, and when it is accrued."""

    partner_share: Decimal
    accrue_on: Literal["invoice", "payment"]


@dataclass(frozen=True, slots=True)
class Account:
    """A TMF666 account. `document` carries the TMF fields that the domain does not reason about, as they were sent."""

    id: str
    type: str
    currency: str
    state: str
    revision: int
    payment_term_days: int
    settlement_terms: SettlementTerms | None
    opened_at: datetime
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CarriedForward:
    """A statement whose total was not positive, and that the next one opens with."""

    settlement_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Position:
    """The money of an account, in minor units, each balance positive on its normal side, and its counters.

    `sequence` is the number of the last event, `movements` that of the last journal entry. Whatever decides on an
    account's money writes its position, so that two decisions on one account can't both commit unseen.
    """

    id: str
    currency: str
    sequence: int = 0
    movements: int = 0
    receivable: int = 0
    unapplied: int = 0
    payable: int = 0
    withheld: int = 0
    carried_forward: CarriedForward | None = None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """`account.create`: an account to open; its invoices are due `payment_term_days` after their bill date."""

    id: str
    type: str
    currency: str
    payment_term_days: int
    settlement_terms: SettlementTerms | None
    document: Mapping[str, object]


def account_needs(new: NewAccount, _books: WorkingSet) -> Iterator[Need]:
    """What opening an account looks at: whether it is there."""
    from domain.books import DocumentNeed

    yield DocumentNeed(Account, new.id)


def open_account(new: NewAccount, books: Books) -> Mapping[str, object]:
    """Open an account with an empty position; returns its id and revision.

    Raises `Refused` (`conflicting-duplicate`) when another message has already created an account of this id: ids are
    shared by all the types of account, since `account.create`'s business key is the id alone.
    """
    if books.find(Account, new.id) is not None:
        raise Refused("conflicting-duplicate", f"id: account {new.id} exists already")
    account = Account(
        id=new.id,
        type=new.type,
        currency=new.currency,
        state="active",
        revision=1,
        payment_term_days=new.payment_term_days,
        settlement_terms=new.settlement_terms,
        opened_at=books.booked_at,
        document=new.document,
    )
    books.put(account)
    books.put(Position(id=new.id, currency=new.currency))
    books.emit(new.id, AccountCreated(account))
    books.announce(f"account:{new.id}")
    return {"id": new.id, "revision": account.revision}


@dataclass(frozen=True, slots=True)
class AccountCreated:
    """An account was opened."""

    account: Account


def billing_account(account_id: str, currency: str, books: Books) -> Account:
    """The billing account of this id.

    Raises `MustWait` (`unknown-account`) when it is not there yet, `Refused` when it is of another type (`invalid`)
    or keeps another currency than the fact's (`currency-mismatch`).
    """
    return _of_type(BILLING, "billingAccount.id", account_id, currency, books)


def settlement_account(
    account_id: str, currency: str | None, books: Books, field: str = "settlementAccount.id"
) -> Account:
    """The settlement account of this id; raises what `billing_account` raises. `field` names where it was said."""
    return _of_type(SETTLEMENT, field, account_id, currency, books)


def _of_type(type_: str, field: str, account_id: str, currency: str | None, books: Books) -> Account:
    account = books.account(account_id)
    if account.type != type_:
        raise Refused("invalid", f"{field}: {account_id} is a {account.type}, not a {type_}")
    if currency is not None and account.currency != currency:
        raise Refused("currency-mismatch", f"{field}: {account_id} is kept in {account.currency}, not in {currency}")
    return account
