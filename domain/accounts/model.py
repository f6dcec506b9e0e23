"""Accounts: the documents, what comes in about them, and what happens to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

from domain.accounts.closings import ClosingCycle
from domain.errors import MustWait
from domain.frozen import dataclass
from domain.ledger.books import Books
from domain.money import Currency

BILLING = "BillingAccount"
SETTLEMENT = "SettlementAccount"
PARTY = "PartyAccount"
FINANCIAL = "FinancialAccount"

PaymentStatus = Literal["paid", "due", "inArrears"]
State = Literal["defined", "active", "suspended", "pendingClose", "closed", "deleted"]


@dataclass(frozen=True, slots=True)
class AgentTerms:
    """That we sell in a partner's name, as its agent: our `commission` is a rate of the net.

    `category` and `rate` are those of the tax on that. `series` is what the numbers of the partner's invoices begin
    with; None: the id of its account and a dash.
    """

    commission: Decimal
    category: str
    rate: Decimal
    series: str | None = None

    def series_of(self, account_id: str) -> str:
        """The series of the invoices in the name of the partner of this account."""
        return f"{account_id}-" if self.series is None else self.series


@dataclass(frozen=True, slots=True)
class SettlementTerms:
    """What a partner gets of the lines sold on its behalf, and when it is accrued.

    That is `partner_share` of their net; or, where we are its `agent`, all of them, and the share is None.
    """

    partner_share: Decimal | None
    accrue_on: Literal["invoice", "payment"]
    agent: AgentTerms | None = None


@dataclass(frozen=True, slots=True)
class Relationship:
    """A TMF666 AccountRelationship: `account` is this account's child (`contains`), its `payer`, its `partner`.

    It holds from `valid_from` (included) until `valid_until` (not included); None: without an end on that side.
    """

    type: str
    account: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def holds_at(self, moment: datetime) -> bool:
        """Whether it holds at a time."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_until is None or moment < self.valid_until
        )

    @property
    def never(self) -> bool:
        """Whether it ends before it begins, or as it does."""
        return self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until

    def overlaps(self, other: Relationship) -> bool:
        """Whether there is a time at which both hold."""
        if self.never or other.never:
            return False
        return (self.valid_from is None or other.valid_until is None or self.valid_from < other.valid_until) and (
            other.valid_from is None or self.valid_until is None or other.valid_from < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """What an account refers to beside other accounts' relationships: `kind` is the field that does."""

    kind: Literal["financialAccount", "format", "cycleSpecification", "presentationMedia", "dunningProcedure"]
    id: str


@dataclass(frozen=True, slots=True)
class Account:
    """A TMF666 account.

    `revision` counts what `account.*` messages changed, `version` also what followed by itself (a closing that
    completes). `document` is what clients said, whole; the other fields are what the domain reasons about of it.
    `credit_limit` is in minor units. `currency_digits` are those of the currency's minor unit, whatever becomes of its
    code.
    """

    id: str
    type: str
    currency: str
    currency_digits: int
    state: State
    revision: int
    payment_term_days: int
    settlement_terms: SettlementTerms | None
    opened_at: datetime
    document: Mapping[str, object]
    version: int
    updated_at: datetime
    credit_limit: int | None = None
    relationships: tuple[Relationship, ...] = ()
    references: tuple[Reference, ...] = ()
    closing_cycle: ClosingCycle | None = None

    @property
    def kept_in(self) -> Currency:
        """The currency that it is kept in, as it was when the account was opened."""
        return Currency(self.currency, self.currency_digits)


@dataclass(frozen=True, slots=True)
class AccountVersion:
    """An account as one fact left it: append-only, so that what it was at any past moment can be told.

    `cause` is the identity of that fact, `old_state` None for the account's creation.
    """

    account: Account
    booked_at: datetime
    cause: str
    changed: tuple[str, ...]
    old_state: State | None
    reason: str | None

    @property
    def id(self) -> str:
        """The account's id and version."""
        return f"{self.account.id}/{self.account.version}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account's money comes to at a time, in minor units.

    `balances` are those of the chart by name, each positive on its normal side; one that is not there is zero.
    `overdue` is the part of the receivable that was due before. `payment_status` is that of a billing account: `paid`
    (nothing owed), `inArrears` (something overdue), else `due`.
    """

    balances: Mapping[str, int]
    overdue: int
    payment_status: PaymentStatus | None

    def amount(self, name: str) -> int:
        """A balance by its name, or what is `overdue`."""
        return self.overdue if name == "overdue" else self.balances.get(name, 0)


@dataclass(frozen=True, slots=True)
class AccountResult:
    """What a message about an account is answered with: the account as it leaves it."""

    account: Account
    standing: Standing


def find_account(account_id: str, books: Books, field: str | None = None) -> Account:
    """The account; raises `MustWait` (`unknown-account`). `field` names where the message says it."""
    account = books.find(Account, account_id)
    if account is None:
        said = f"{field}: no account {account_id}" if field else f"no account {account_id}"
        raise MustWait("unknown-account", said, f"account:{account_id}")
    return account


def settlement_terms_of(account: Account) -> SettlementTerms:
    """The terms that a settlement account has."""
    assert account.settlement_terms is not None, f"settlement account {account.id} has no terms"
    return account.settlement_terms


# -- facts


@dataclass(frozen=True, slots=True)
class NewAccount:
    """`account.create`: an account to open; its invoices are due `payment_term_days` after their bill date."""

    id: str
    type: str
    currency: Currency
    payment_term_days: int
    settlement_terms: SettlementTerms | None
    document: Mapping[str, object]
    credit_limit: int | None = None
    relationships: tuple[Relationship, ...] = ()
    references: tuple[Reference, ...] = ()
    state: State = "active"
    closing_cycle: ClosingCycle | None = None


ReadDocument = Callable[[str, str, Currency, Mapping[str, object]], NewAccount]
"""Reads an account's id, type, currency and document as `account.create` would; raises `Refused` for what is wrong."""


@dataclass(frozen=True, slots=True)
class AccountUpdate:
    """`account.update`: a merge patch of an account's document, on `if_revision` if that is given."""

    account: str
    type: str
    if_revision: int | None
    changes: Mapping[str, object]
    read: ReadDocument


@dataclass(frozen=True, slots=True)
class StateCommand:
    """`account.suspend`, `.resume`, `.close`, `.reopen` or `.delete`."""

    command: Literal["suspend", "resume", "close", "reopen", "delete"]
    account: str
    reason: str | None
    if_revision: int | None = None


# -- what happened


@dataclass(frozen=True, slots=True)
class AccountCreated:
    """An account was opened."""

    account: Account
    standing: Standing


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """What clients say of an account has changed, in the fields named."""

    account: Account
    standing: Standing
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountStateChanged:
    """An account has come from one state to another."""

    account: Account
    standing: Standing
    old_state: State
    reason: str | None


@dataclass(frozen=True, slots=True)
class CreditLimitExceeded:
    """What an account owes, less its credit, was within its limit before this fact and is not any more."""

    account: Account
    standing: Standing
    balance: int
