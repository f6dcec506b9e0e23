"""The `account.*` messages: TMF666's accounts with our currency and terms."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from domain.accounts import model as accounts
from domain.accounts.model import NewAccount
from domain.errors import Refused
from schemas.accounts.documents import Terms, in_order, plain_document, read_account
from schemas.accounts.tmf666 import READ_ONLY
from schemas.message import Message, message_key
from schemas.values import CurrencyCode, Days, Id, Revision, Text

AccountType = Annotated[
    Literal["BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"], Field(alias="@type")
]

TMF_FIELDS = frozenset(
    {
        "@type", "@baseType", "@schemaLocation", "href", "name", "description", "accountType", "state", "lastUpdate",
        "creditLimit", "relatedParty", "taxExemption", "contact", "accountBalance", "accountRelationship",
        "paymentStatus", "billStructure", "paymentPlan", "financialAccount", "defaultPaymentMethod", "ratingType",
    }
)  # fmt: skip
"""The fields of TMF666's accounts; what else is in an account's document is kept, and is not part of its content."""


class AccountCreate(Message):
    """`account.create`: a TMF666 account with our currency and terms."""

    TYPE: ClassVar[str] = "account.create"

    id: Id | None = None
    type: AccountType
    name: Text
    currency: CurrencyCode
    payment_term_days: Days = 30
    settlement_terms: Terms | None = None
    document: Annotated[dict[str, Any], Field(default_factory=dict, exclude=True)]
    known: Annotated[dict[str, Any], Field(default_factory=dict)]

    @model_validator(mode="before")
    @classmethod
    def _keep_the_document(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        document = plain_document({key: value for key, value in data.items() if key not in ("id", "currency")})
        known = in_order({key: document[key] for key in TMF_FIELDS & document.keys() if document[key] is not None})
        return {**data, "document": document, "known": known}

    def key(self, message_id: str | None) -> str:
        """The account's id, or the message's when the id is left to us; `Refused` (`invalid`) when there is neither."""
        return self.id if self.id is not None else message_key(message_id, "id")

    def fact(self, key: str) -> NewAccount:
        """The account to open; an id left to us is made of the message's, so that a second delivery makes the same."""
        account_id = self.id or f"A-{sha256(key.encode()).hexdigest()[:20]}"
        return read_account(account_id, self.type, self.currency.code, self.document)


class Patch(Message):
    """A JSON merge patch (RFC 7396) of a document, on the revision given if one is."""

    id: Id
    if_revision: Revision | None = None
    changes: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _plain_changes(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("changes"), dict):
            return data
        return {**data, "changes": in_order(plain_document(data["changes"], "changes"))}

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def check(self) -> None:
        """Raise `Refused` (`invalid`) for changes of what a client may not patch, each named."""
        read_only = sorted(READ_ONLY & self.changes.keys())
        if read_only:
            raise Refused("invalid", "; ".join(f"changes.{name}: may not be patched" for name in read_only))


class AccountUpdate(Patch):
    """`account.update`: a JSON merge patch (RFC 7396) of an account's document."""

    TYPE: ClassVar[str] = "account.update"

    type: AccountType

    def fact(self, key: str) -> accounts.AccountUpdate:
        """The update; `Refused` (`invalid`) when it patches what a client may not."""
        self.check()
        return accounts.AccountUpdate(self.id, self.type, self.if_revision, self.changes, read_account)


class _StateCommand(Message):
    COMMAND: ClassVar[Literal["suspend", "resume", "close", "reopen", "delete"]]

    id: Id
    reason: Text | None = None
    if_revision: Revision | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> accounts.StateCommand:
        """The command."""
        return accounts.StateCommand(self.COMMAND, self.id, self.reason, self.if_revision)


class AccountSuspend(_StateCommand):
    """`account.suspend`: orders for the account wait until it is resumed."""

    TYPE: ClassVar[str] = "account.suspend"
    COMMAND = "suspend"


class AccountResume(_StateCommand):
    """`account.resume`: of one that is suspended, or only defined."""

    TYPE: ClassVar[str] = "account.resume"
    COMMAND = "resume"


class AccountClose(_StateCommand):
    """`account.close`: closed at once when nothing is open, else when the last of it is settled."""

    TYPE: ClassVar[str] = "account.close"
    COMMAND = "close"

    reason: Text


class AccountReopen(_StateCommand):
    """`account.reopen`: of one that is closed, or is to be."""

    TYPE: ClassVar[str] = "account.reopen"
    COMMAND = "reopen"


class AccountDelete(_StateCommand):
    """`account.delete`: of one that was never posted to and that nothing refers to."""

    TYPE: ClassVar[str] = "account.delete"
    COMMAND = "delete"


ACCOUNT_MESSAGES: tuple[type[Message], ...] = (
    AccountCreate,
    AccountUpdate,
    AccountSuspend,
    AccountResume,
    AccountClose,
    AccountReopen,
    AccountDelete,
)
