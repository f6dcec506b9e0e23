"""The messages that open and change accounts, and what accounts refer to.

`account.*`, and for each kind of specification `<resource>.create`, `.update` and `.delete`: TMF666's documents.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from domain.accounts import model as accounts
from domain.accounts import specifications
from domain.accounts.cycles import check_cycle
from domain.accounts.model import AccountResult, NewAccount
from domain.accounts.opening import CLOSING_CYCLE
from domain.accounts.specifications import (
    SPECIFICATIONS,
    BillingCycleSpecification,
    DunningProcedure,
    Specification,
    SpecificationResult,
)
from domain.errors import Refused
from schemas.accounts.documents import DUNNING_PROCEDURE, Terms, check_document, plain_document, read_account
from schemas.accounts.events import account_json, own_standing, specification_json, stored
from schemas.accounts.tmf666 import READ_ONLY, AccountType, complete
from schemas.documents import exact, in_order, plain, without_nulls
from schemas.message import Message, Result, message_key
from schemas.parties.legal_entity import LEGAL_ENTITY, check_changed_entity, check_entity, content_of
from schemas.values import CurrencyCode, Days, Id, Json, Revision, Text, is_current, money_json, parse_money, shown

_AccountType = Annotated[AccountType, Field(alias="@type")]

TMF_FIELDS = frozenset(
    {
        "@type", "@baseType", "@schemaLocation", "href", "name", "description", "accountType", "state", "lastUpdate",
        "creditLimit", "relatedParty", "taxExemption", "contact", "accountBalance", "accountRelationship",
        "paymentStatus", "billStructure", "paymentPlan", "financialAccount", "defaultPaymentMethod", "ratingType",
    }
)  # fmt: skip
"""The fields of TMF666's accounts."""
KNOWN = TMF_FIELDS | {DUNNING_PROCEDURE, CLOSING_CYCLE}
"""The fields that are an account's content; what else is in its document is kept beside that."""


def _account_result(result: AccountResult) -> Json:
    account = result.account
    return {
        "id": account.id,
        "revision": account.revision,
        "account": account_json(account, own_standing(account, result.standing)),
    }


_RESULT = Result(AccountResult, {"id": "Id", "revision": "Revision", "account": "Account"}, _account_result)


class AccountCreate(Message):
    """`account.create`: a TMF666 account with our currency and terms."""

    TYPE: ClassVar[str] = "account.create"
    RESULT = _RESULT
    KEY_FIELD = "id"
    ACCOUNT_PATH = "id"

    id: Id | None = None
    type: _AccountType
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
        known = in_order({key: document[key] for key in KNOWN & document.keys() if document[key] is not None})
        if LEGAL_ENTITY in document and (entity := content_of(document[LEGAL_ENTITY])):
            known[LEGAL_ENTITY] = entity
        return {**data, "document": document, "known": known}

    def key(self, message_id: str | None) -> str:
        """The account's id, or the message's when the id is left to us; `Refused` (`invalid`) when there is neither."""
        return self.id if self.id is not None else message_key(message_id, "id")

    def check_new(self) -> None:
        """Raise `Refused` (`invalid`) for what an account is not opened with any more.

        That is a currency that was withdrawn, and a `legalEntity` that is none: once it was an unknown field.
        """
        if not is_current(self.currency.code):
            raise Refused("invalid", f"currency: was withdrawn from ISO 4217 (got {shown(self.currency.code)})")
        if LEGAL_ENTITY in self.document:
            check_entity(self.document[LEGAL_ENTITY])

    def fact(self, key: str) -> NewAccount:
        """The account to open; an id left to us is made of the message's, so that a second delivery makes the same."""
        account_id = self.id or f"A-{sha256(key.encode()).hexdigest()[:20]}"
        return read_account(account_id, self.type, self.currency, self.document)


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
    RESULT = _RESULT
    ACCOUNT_PATH = "id"

    type: _AccountType

    def check_new(self) -> None:
        """Raise `Refused` (`invalid`) for changes of the `legalEntity` that leave none; what is stored is not asked."""
        if LEGAL_ENTITY in self.changes:
            check_changed_entity(self.changes[LEGAL_ENTITY])

    def fact(self, key: str) -> accounts.AccountUpdate:
        """The update; `Refused` (`invalid`) when it patches what a client may not."""
        self.check()
        return accounts.AccountUpdate(
            self.id, self.type, self.if_revision, self.changes, partial(read_account, changed=self.changes.keys())
        )


class _StateCommand(Message):
    RESULT = _RESULT
    ACCOUNT_PATH = "id"
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


_NOT_KEPT = ("id", "@type", "revision", "lastUpdate")
"""What a document goes out with that is not of its client's saying."""


class _SpecificationMessage(Message):
    KIND: ClassVar[type[Specification]]


class SpecificationCreate(_SpecificationMessage):
    """`<resource>.create`: a TMF666 document, with an id or without."""

    KEY_FIELD = "id"

    id: Id | None = None
    type: Annotated[Text | None, Field(alias="@type")] = None
    document: Annotated[dict[str, Any], Field(default_factory=dict)]

    @model_validator(mode="before")
    @classmethod
    def _keep_the_document(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        document = {key: value for key, value in data.items() if key not in _NOT_KEPT}
        return {"id": data.get("id"), "@type": data.get("@type"), "document": in_order(without_nulls(plain(document)))}

    def key(self, message_id: str | None) -> str:
        """The resource's id, or the message's when the id is left to us."""
        return self.id if self.id is not None else message_key(message_id, "id")

    def fact(self, key: str) -> specifications.NewSpecification:
        """The resource to create; `Refused` (`invalid`) for a document that does not fit it."""
        _check_type(self.KIND, self.type)
        id_ = self.id or f"S-{sha256(key.encode()).hexdigest()[:20]}"
        document = _checked(self.KIND, id_, self.document)
        return specifications.NewSpecification(self.KIND, id_, document)


class SpecificationUpdate(Patch, _SpecificationMessage):
    """`<resource>.update`: a JSON merge patch (RFC 7396) of its document."""

    type: Annotated[Text | None, Field(alias="@type")] = None

    def fact(self, key: str) -> specifications.SpecificationUpdate:
        """The update; `Refused` (`invalid`) when it patches what a client may not."""
        _check_type(self.KIND, self.type)
        self.check()
        check = partial(_checked, self.KIND, self.id)
        return specifications.SpecificationUpdate(self.KIND, self.id, self.if_revision, self.changes, check)


class SpecificationDelete(_SpecificationMessage):
    """`<resource>.delete`: of one that no account refers to."""

    id: Id
    if_revision: Revision | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> specifications.SpecificationDeletion:
        """The deletion."""
        return specifications.SpecificationDeletion(self.KIND, self.id, self.if_revision)


def _checked(kind: type[Specification], id_: str, document: Any) -> dict[str, Any]:
    """A document that fits its resource, as it goes out; raises `Refused` (`invalid`)."""
    whole = {**document, "@type": kind.__name__}
    check_document(kind.__name__, whole)
    if kind is DunningProcedure and "threshold" in whole:
        threshold = parse_money(exact(whole["threshold"]))
        whole["threshold"] = {**whole["threshold"], **money_json(threshold.amount, threshold.currency)}
    if kind is BillingCycleSpecification:
        check_cycle(id_, whole)
    return complete(kind.__name__, whole)


def _check_type(kind: type[Specification], said: str | None) -> None:
    if said not in (None, kind.__name__):
        raise Refused("invalid", f"@type: must be {kind.__name__} (got {shown(said)})")


def _specification_result(result: SpecificationResult) -> Json:
    made = result.specification
    return {"id": made.id, "revision": made.revision, "specification": specification_json(made)}


def _of(kind: type[Specification], command: str, message: type[_SpecificationMessage]) -> type[Message]:
    declared = {
        "TYPE": f"{kind.RESOURCE}.{command}",
        "RESULT": Result(
            SpecificationResult,
            {"id": "Id", "revision": "Revision", "specification": stored(kind)},
            _specification_result,
        ),
        "KIND": kind,
    }
    return type(
        f"{kind.__name__}{command.capitalize()}",
        (message,),
        {**declared, "__doc__": message.__doc__, "__module__": __name__},
    )


MESSAGES: tuple[type[Message], ...] = (
    AccountCreate,
    AccountUpdate,
    AccountSuspend,
    AccountResume,
    AccountClose,
    AccountReopen,
    AccountDelete,
    *(
        _of(kind, command, message)
        for kind in SPECIFICATIONS.values()
        for command, message in (
            ("create", SpecificationCreate),
            ("update", SpecificationUpdate),
            ("delete", SpecificationDelete),
        )
    ),
)
