"""The queries: what each is asked with, how its arguments are read, and the cursors that its pages go by."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from domain.errors import Refused
from schemas.message import Part, invalid
from schemas.values import INTEGER_MAX, Id, Text, Time, parse_date, parse_time
from schemas.wire import _check_version, _space, _text, _value

LIMIT_MAX = 500
"""The most items of a page."""
LIMIT_DEFAULT = 50
CURSOR_MAX = 20_000
"""The most characters of a cursor."""

_CURSOR = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CURSOR_TEXT = re.compile("[^\x00\ud800-\udfff]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # the last millisecond of the year 9999


def cursor(query: str, *place: Any) -> str:
    """The cursor of a place in a query's list: opaque text that is safe in URLs."""
    text = json.dumps([query, *place], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def milliseconds(moment: datetime) -> int:
    """A time as a cursor keeps it: in milliseconds since 1970, as exactly as the database does."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    """The time of so many milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=value)


def _place(query: str, *kinds: type | tuple[type, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Reads a cursor of that query, whose place has values of these types; raises `ValueError` for any other text."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, str):
            raise ValueError("must be the cursor of an earlier page")
        try:
            found = _decoded(value)
        except (ValueError, RecursionError):
            raise ValueError("is no cursor of ours") from None
        if not isinstance(found, list) or not found or found[0] != query:
            raise ValueError(f"is no cursor of {query}")
        place = found[1:]
        if len(place) != len(kinds) or not all(map(_fits, place, kinds)):
            raise ValueError(f"is no cursor of {query}")
        return tuple(place)

    return read


def _decoded(text: str) -> Any:
    if len(text) > CURSOR_MAX or not _CURSOR.fullmatch(text):
        raise ValueError
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _fits(value: object, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, int):
        return abs(value) <= INTEGER_MAX
    # What is looked for must be what a database can hold: no NUL, no lone surrogate. A name's key may be a long one.
    return not isinstance(value, str) or _CURSOR_TEXT.fullmatch(value) is not None


def _moment_or_date(value: object) -> datetime | date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return parse_date(value)
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError(
            "must be a date, as 2026-11-30, or an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z"
        ) from None


Limit = Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)]
When = Annotated[datetime | date, BeforeValidator(_moment_or_date)]


class Query(Part):
    """A query's arguments; unknown fields are ignored."""

    TYPE: ClassVar[str]
    """The AMQP `type` that names it."""


class AccountGet(Query):
    """One account, now or as it was at a time."""

    TYPE = "account.get"
    id: Id
    at: Time | None = None


AccountType = Literal["BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"]
LiveState = Literal["defined", "active", "suspended", "pendingClose", "closed"]
PaymentStatus = Literal["paid", "due", "inArrears"]


class AccountList(Query):
    """Accounts, any combination of filters; `after` is the order that the list goes by, and the place in it."""

    TYPE = "account.list"
    type: AccountType | None = Field(None, alias="@type")
    related_party: Text | None = None
    state: LiveState | None = None
    name_prefix: Text | None = None
    payment_status: PaymentStatus | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str, str, str], BeforeValidator(_place("account.list", str, str, str))] | None = None


class AccountBalance(Query):
    """What the money of an account, and of all below it, comes to."""

    TYPE = "account.balance"
    id: Id


class AccountTree(Query):
    """An account and all below it."""

    TYPE = "account.tree"
    id: Id


Pair = tuple[int, int]
"""An account's two balances, in the order of its type."""


class StatementPlace(NamedTuple):
    """A place in a statement, and what its first page fixed; times in milliseconds since 1970.

    Entries up to the account's movement `known` are in it.
    """

    id: str
    since: int | None
    until: int
    known: int
    booked: int
    movement: int
    opening: Pair
    balance: Pair
    closing: Pair

    def cursor(self) -> str:
        """The cursor of this place."""
        return cursor(AccountStatement.TYPE, *self[:6], *self.opening, *self.balance, *self.closing)


_statement_place = _place("account.statement", str, (int, NoneType), *[int] * 10)


def _read_statement_place(value: object) -> StatementPlace:
    id_, since, until, known, booked, movement, *balances = _statement_place(value)
    if not all(0 <= moment <= _LAST_MS for moment in (since or 0, until, booked)):
        raise ValueError("is no cursor of account.statement")
    opening, balance, closing = zip(balances[::2], balances[1::2], strict=True)
    return StatementPlace(id_, since, until, known, booked, movement, opening, balance, closing)


class AccountStatement(Query):
    """What moved an account's balances in a time, both of whose ends are included."""

    TYPE = "account.statement"
    id: Id
    since: When | None = Field(None, alias="from")
    until: When | None = Field(None, alias="to")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[StatementPlace, BeforeValidator(_read_statement_place)] | None = None


class AccountHistory(Query):
    """Every version of an account, oldest first."""

    TYPE = "account.history"
    id: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[int], BeforeValidator(_place("account.history", int))] | None = None


class InvoiceGet(Query):
    """One invoice."""

    TYPE = "invoice.get"
    bill_no: Id


InvoiceState = Literal["new", "onHold", "validated", "sent", "partiallyPaid", "settled"]


class InvoiceList(Query):
    """A billing account's invoices, by number."""

    TYPE = "invoice.list"
    billing_account: Id
    state: InvoiceState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(_place("invoice.list", str))] | None = None


class SettlementGet(Query):
    """One statement of a partner's."""

    TYPE = "settlement.get"
    id: Id


def _read_settlement_place(value: object) -> tuple[datetime, str]:
    booked, id_ = _settlement_place(value)
    if not 0 <= booked <= _LAST_MS:
        raise ValueError("is no cursor of settlement.list")
    return from_milliseconds(booked), id_


_settlement_place = _place("settlement.list", int, str)


class SettlementList(Query):
    """A partner's statements, oldest first."""

    TYPE = "settlement.list"
    settlement_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(_read_settlement_place)] | None = None


class SpecificationGet(Query):
    """One specification; each kind has a class of its own."""

    id: Id


class SpecificationList(Query):
    """The specifications of a kind, by name; each kind has a class of its own."""

    name_prefix: Text | None = None
    limit: Limit = LIMIT_DEFAULT
    after: tuple[str, str] | None = None


class BillingCycleSpecificationGet(SpecificationGet):
    """One billing cycle specification."""

    TYPE = "billing-cycle-specification.get"


class BillingCycleSpecificationList(SpecificationList):
    """Billing cycle specifications."""

    TYPE = "billing-cycle-specification.list"
    after: Annotated[tuple[str, str], BeforeValidator(_place(TYPE, str, str))] | None = None


class BillFormatGet(SpecificationGet):
    """One bill format."""

    TYPE = "bill-format.get"


class BillFormatList(SpecificationList):
    """Bill formats."""

    TYPE = "bill-format.list"
    after: Annotated[tuple[str, str], BeforeValidator(_place(TYPE, str, str))] | None = None


class BillPresentationMediaGet(SpecificationGet):
    """One bill presentation medium."""

    TYPE = "bill-presentation-media.get"


class BillPresentationMediaList(SpecificationList):
    """Bill presentation media."""

    TYPE = "bill-presentation-media.list"
    after: Annotated[tuple[str, str], BeforeValidator(_place(TYPE, str, str))] | None = None


HeldState = Literal["parked", "waiting", "suspect", "discarded"]


def _read_time_place(query: str) -> Callable[[object], tuple[datetime, str]]:
    place = _place(query, int, str)

    def read(value: object) -> tuple[datetime, str]:
        moment, id_ = place(value)
        if not 0 <= moment <= _LAST_MS:
            raise ValueError(f"is no cursor of {query}")
        return from_milliseconds(moment), id_

    return read


class ParkedGroups(Query):
    """Held messages by what failed, the largest group first."""

    TYPE = "parked.groups"
    state: HeldState = "parked"


class ParkedList(Query):
    """Held messages, any combination of filters, oldest first; `from` and `to` are about when they came to be held."""

    TYPE = "parked.list"
    state: HeldState = "parked"
    group: Text | None = None
    reason: Text | None = None
    type: Text | None = None
    account: Id | None = None
    since: When | None = Field(None, alias="from")
    until: When | None = Field(None, alias="to")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(_read_time_place("parked.list"))] | None = None


class ParkedGet(Query):
    """One held message, whole, with what came in first if it was edited."""

    TYPE = "parked.get"
    id: Text


class ParkedAccounts(Query):
    """The accounts that have something held, and what that keeps from happening, by id."""

    TYPE = "parked.accounts"
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(_place(TYPE, str))] | None = None


class ParkedHistory(Query):
    """What operators did, with one message or with all, oldest first."""

    TYPE = "parked.history"
    id: Text | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(_read_time_place("parked.history"))] | None = None


QUERIES: dict[str, type[Query]] = {
    query.TYPE: query
    for query in (
        AccountGet,
        AccountList,
        AccountBalance,
        AccountTree,
        AccountStatement,
        AccountHistory,
        InvoiceGet,
        InvoiceList,
        SettlementGet,
        SettlementList,
        BillingCycleSpecificationGet,
        BillingCycleSpecificationList,
        BillFormatGet,
        BillFormatList,
        BillPresentationMediaGet,
        BillPresentationMediaList,
        ParkedGroups,
        ParkedList,
        ParkedGet,
        ParkedAccounts,
        ParkedHistory,
    )
}
"""The queries by the AMQP `type` that names them."""


def read_query(name: str | None, body: bytes, headers: Mapping[str, Any], encoding: str | None) -> Query:
    """The query that a message asks, of the AMQP `type` `name` and `content_encoding` `encoding`.

    Raises `Refused` (`unknown-type`, `malformed`, `invalid`) for whatever a sender can do.
    """
    model = QUERIES.get(name or "")
    if model is None:
        raise Refused("unknown-type", f"type: no query is named {name!r:.80}" if name else "type: names no query")
    _check_version(headers)
    arguments = _arguments(_text(body, encoding))
    if not isinstance(arguments, dict):
        raise Refused("invalid", "must be an object that holds the query's arguments")
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        raise invalid(error) from None


def _arguments(text: str) -> Any:
    try:
        value, at = _value(text, _space(text, 0))
        if _space(text, at) != len(text):
            raise Refused("malformed", f"not JSON: something follows its end at character {at}")
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"not JSON: {str(error)[:200]}") from None
    if isinstance(value, Refused):
        raise value
    return value
