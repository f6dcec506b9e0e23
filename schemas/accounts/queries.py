"""The queries about accounts and what they refer to: what each is asked with, and what its answer is made of."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, ClassVar, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import to_json

from domain.accounts.model import FINANCIAL, Account, PaymentStatus, Standing
from domain.accounts.related import party_ids
from domain.accounts.specifications import (
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
    Specification,
)
from domain.money import Currency
from schemas.accounts.events import BALANCES as BY_TYPE
from schemas.accounts.events import account_json, account_money, specification_json, stored
from schemas.accounts.tmf666 import AccountType
from schemas.query import FIRST_MILLISECOND, LAST_MILLISECOND, LIMIT_DEFAULT, Limit, Query, Seen, When, cursor, place_of
from schemas.shapes import Shape, page
from schemas.values import Id, Json, Text, Time, money_json

BALANCES = BY_TYPE[FINANCIAL]
"""All that an account's money is told by."""

LiveState = Literal["defined", "active", "suspended", "pendingClose", "closed"]

_TYPES = get_args(AccountType)
_TOTALS: Shape = dict.fromkeys(BALANCES, "Money")
_STANDING: Shape = {**_TOTALS, "paymentStatus?": get_args(PaymentStatus)}

SHAPES: dict[str, Shape] = {
    "Totals": _TOTALS,
    "AccountNode": {
        "id": "Id",
        "@type": _TYPES,
        "name": "Text",
        "state": get_args(LiveState),
        "currency": "Currency",
        **_STANDING,
        "children": ["AccountNode"],
    },
    "AccountVersion": {
        "version": int,
        "revision": "Revision",
        "bookedAt": "Time",
        "changed": [str],
        "oldState": "State?",
        "newState": "State",
        "reason": "Text?",
        "cause": "Identity",
        "messageId": (str, None),
        "userId": (str, None),
        "actingUser": (str, None),
        "appId": (str, None),
        "correlationId": (str, None),
        "account": "Account",
    },
    "Movement": {
        "entry": "Identity",
        "reverses?": "Identity",
        "reason?": "Text",
        "occurredAt": "Time",
        "bookedAt": "Time",
        "movement": int,
        "postings": [{"account": BALANCES, "amount": "Money"}],
        "balance": "StatementBalance",
    },
    "StatementBalance": {f"{name}?": "Money" for name in BALANCES if name != "overdue"},
}
"""Parts of the answers, by name."""


def account_document(account: Account, standing: Standing | None) -> Json:
    """An account as the events have it, with its revision; without balances where no `standing` is told."""
    return {**account_json(account, standing), "revision": account.revision}


def account_written(document: bytes, type_: str, currency: Currency, standing: Standing) -> bytes:
    """What `account_document` of an account and its standing is as JSON, of what it is without a standing."""
    return document[:-1] + b"," + to_json(account_money(type_, currency, standing))[1:]


def of_a_party(document: Json, party: str) -> Json:
    """An account's document as a party (its id, in NFC) is shown it: of other accounts and parties it has only the ids.

    That is all that stands in its references to them. A contact that is another party's is left out.
    """
    said = {
        "accountRelationship": [
            _kept(one, "@type", "relationshipType", "validFor") | _bare(one, "account")
            for one in _entities(document.get("accountRelationship"))
        ],
        "relatedParty": [
            one if party in party_ids(one) else _other_party(one) for one in _entities(document.get("relatedParty"))
        ],
        "contact": [
            one for one in _entities(document.get("contact")) if all(party in party_ids(whose) for whose in _whose(one))
        ],
        **_bare(document, "financialAccount"),
    }
    return {name: said.get(name, value) for name, value in document.items()}


def _whose(contact: Json) -> list[Json]:
    """The parties that a contact says it is of: TMF has one, but what nobody asks for is kept as it was sent."""
    said = contact.get("relatedParty")
    return _entities(said if isinstance(said, list) else [said])


def _other_party(related: Json) -> Json:
    # In TMF's older form it is the reference itself.
    return _kept(related, "role", *_REFERENCE) | _bare(related, "partyOrPartyRole")


_REFERENCE = ("@type", "@referredType", "id", "partyId")
"""What is shown of a reference: what it refers to."""


def _bare(entity: Json, field: str) -> Json:
    """A field that holds a reference, if it does."""
    reference = entity.get(field)
    return {field: _kept(reference, *_REFERENCE)} if isinstance(reference, dict) else {}


def _kept(entity: Json, *names: str) -> Json:
    return {name: entity[name] for name in names if name in entity}


def _entities(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def standing_json(standing: Standing, currency: Currency) -> Json:
    """All balances of an account by name, whatever its type, and the payment status of one that has it."""
    out: Json = {balance: money_json(standing.amount(balance), currency.code, currency.digits) for balance in BALANCES}
    if standing.payment_status is not None:
        out["paymentStatus"] = standing.payment_status
    return out


def specification_document(specification: Specification) -> Json:
    """A specification as the events have it, with its revision."""
    return {**specification_json(specification), "revision": specification.revision}


class AccountGet(Query):
    """One account, now or as it was at a time."""

    TYPE = "account.get"
    ANSWER: ClassVar[Shape] = "Account"
    id: Id
    at: Time | None = None


class AccountList(Query):
    """Accounts, any combination of filters; `after` is the order that the list goes by, and the place in it."""

    TYPE = "account.list"
    ANSWER: ClassVar[Shape] = page("Account")
    type: AccountType | None = Field(None, alias="@type")
    related_party: Text | None = None
    state: LiveState | None = None
    name_prefix: Text | None = None
    payment_status: PaymentStatus | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str, str, str], BeforeValidator(place_of("account.list", str, str, str))] | None = None


class AccountBalance(Query):
    """What the money of an account, and of all below it, comes to."""

    TYPE = "account.balance"
    ANSWER: ClassVar[Shape] = {
        "id": "Id",
        "@type": _TYPES,
        "currency": "Currency",
        **_STANDING,
        "tree": {"accounts": int, "balances": ["Totals"]},
    }
    id: Id


class AccountTree(Query):
    """An account and all below it."""

    TYPE = "account.tree"
    ANSWER: ClassVar[Shape] = {"account": "AccountNode", "total": ["Totals"]}
    id: Id


class StatementPlace(NamedTuple):
    """A place in a statement, and what its first page fixed; times in milliseconds since 1970.

    Entries up to the account's movement `known` are in it. It has no figures: who changes a cursor comes to another
    place, and is told what is so there.
    """

    id: str
    since: int | None
    until: int
    known: int
    booked: int
    movement: int

    def cursor(self) -> str:
        """The cursor of this place."""
        return cursor(AccountStatement.TYPE, *self)


_statement_place = place_of("account.statement", str, (int, NoneType), *[int] * 4)


def _read_statement_place(value: object) -> StatementPlace:
    place = StatementPlace(*_statement_place(value))
    if not all(
        FIRST_MILLISECOND <= moment <= LAST_MILLISECOND for moment in (place.since or 0, place.until, place.booked)
    ):
        raise ValueError("is no cursor of account.statement")
    return place


class AccountStatement(Query):
    """What moved an account's balances in a time, both of whose ends are included."""

    TYPE = "account.statement"
    ANSWER: ClassVar[Shape] = {
        "id": "Id",
        "currency": "Currency",
        "from": "Time?",
        "to": "Time",
        "opening": "StatementBalance",
        "closing": "StatementBalance",
        **page("Movement"),
    }
    id: Id
    since: When | None = Field(None, alias="from")
    until: When | None = Field(None, alias="to")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[StatementPlace, BeforeValidator(_read_statement_place)] | None = None


class AccountHistory(Query):
    """Every version of an account, oldest first."""

    TYPE = "account.history"
    ANSWER: ClassVar[Shape] = page("AccountVersion")
    id: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[int], BeforeValidator(place_of("account.history", int))] | None = None


class SpecificationGet(Query):
    """One specification; each kind has a class of its own."""

    SEEN_BY_A_PARTY: ClassVar[Seen] = "all"
    id: Id


class SpecificationList(Query):
    """The specifications of a kind, by name; each kind has a class of its own."""

    SEEN_BY_A_PARTY: ClassVar[Seen] = "all"
    name_prefix: Text | None = None
    limit: Limit = LIMIT_DEFAULT
    after: tuple[str, str] | None = None


class BillingCycleSpecificationGet(SpecificationGet):
    """One billing cycle specification."""

    TYPE = "billing-cycle-specification.get"
    ANSWER: ClassVar[Shape] = stored(BillingCycleSpecification)


class BillingCycleSpecificationList(SpecificationList):
    """Billing cycle specifications."""

    TYPE = "billing-cycle-specification.list"
    ANSWER: ClassVar[Shape] = page(stored(BillingCycleSpecification))
    after: Annotated[tuple[str, str], BeforeValidator(place_of(TYPE, str, str))] | None = None


class BillFormatGet(SpecificationGet):
    """One bill format."""

    TYPE = "bill-format.get"
    ANSWER: ClassVar[Shape] = stored(BillFormat)


class BillFormatList(SpecificationList):
    """Bill formats."""

    TYPE = "bill-format.list"
    ANSWER: ClassVar[Shape] = page(stored(BillFormat))
    after: Annotated[tuple[str, str], BeforeValidator(place_of(TYPE, str, str))] | None = None


class BillPresentationMediaGet(SpecificationGet):
    """One bill presentation medium."""

    TYPE = "bill-presentation-media.get"
    ANSWER: ClassVar[Shape] = stored(BillPresentationMedia)


class BillPresentationMediaList(SpecificationList):
    """Bill presentation media."""

    TYPE = "bill-presentation-media.list"
    ANSWER: ClassVar[Shape] = page(stored(BillPresentationMedia))
    after: Annotated[tuple[str, str], BeforeValidator(place_of(TYPE, str, str))] | None = None


class DunningProcedureGet(SpecificationGet):
    """One dunning procedure."""

    TYPE = "dunning-procedure.get"
    # From which sum on, and after how many days, is what who owes should not know.
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = stored(DunningProcedure)


class DunningProcedureList(SpecificationList):
    """Dunning procedures."""

    TYPE = "dunning-procedure.list"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page(stored(DunningProcedure))
    after: Annotated[tuple[str, str], BeforeValidator(place_of(TYPE, str, str))] | None = None


QUERIES: tuple[type[Query], ...] = (
    AccountGet,
    AccountList,
    AccountBalance,
    AccountTree,
    AccountStatement,
    AccountHistory,
    BillingCycleSpecificationGet,
    BillingCycleSpecificationList,
    BillFormatGet,
    BillFormatList,
    BillPresentationMediaGet,
    BillPresentationMediaList,
    DunningProcedureGet,
    DunningProcedureList,
)
