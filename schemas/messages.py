"""The messages that come in: what each looks like, its business key, and the domain's fact that it says."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from domain.accounts import SETTLEMENT, NewAccount, SettlementTerms
from domain.errors import Refused
from domain.orders import Order, OrderItem, price
from domain.payments import ReceivedPayment
from domain.settlements import Closing, CompletedPayout
from schemas.values import (
    INTEGER_MAX,
    CurrencyCode,
    Date,
    Days,
    Id,
    Number,
    PositiveMoney,
    Rate,
    Text,
    Time,
    is_id,
    parse_id,
    text_problem,
)

Fact = NewAccount | Order | ReceivedPayment | Closing | CompletedPayout

T = TypeVar("T")

ITEMS_MAX = 1_000
NAMED_INVOICES_MAX = 100
DIGEST_VERSION = 1
"""Raise it whenever the same message would get another digest than before, and keep the old one for old rows."""


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, regex_engine="python-re")


class Message(_Part):
    """A message that came in and fits its schema."""

    TYPE: ClassVar[str]

    def key(self, message_id: str | None) -> str:
        """The business key, which with the type is the fact's identity; `message_id` is the AMQP property."""
        raise NotImplementedError

    def fact(self, key: str) -> Fact:
        """What it says, in the domain's words; raises `Refused` (`invalid`) for what can't be."""
        raise NotImplementedError

    def digest(self) -> str:
        """SHA-256 of the validated content: known fields, decimals normalised, times in UTC, defaults filled in."""
        return sha256(self.model_dump_json(by_alias=True, exclude_none=True).encode()).hexdigest()


def _at_most(limit: int) -> Callable[[tuple[T, ...]], tuple[T, ...]]:
    # Checked when the parts are good: pydantic's own check would say of a bad part that there are too few.
    def check(parts: tuple[T, ...]) -> tuple[T, ...]:
        if len(parts) > limit:
            raise ValueError(f"holds {len(parts)}, more than {limit}")
        return parts

    return check


def _not_empty(parts: tuple[T, ...]) -> tuple[T, ...]:
    if not parts:
        raise ValueError("must hold at least one")
    return parts


class Reference(_Part):
    """A TMF reference: what counts is its id."""

    id: Id


class Tax(_Part):
    """A line's tax: its category (EN 16931, BT-151) and its rate, where 0.2 is 20 %."""

    category: Id
    rate: Rate


class Item(_Part):
    """A line of an order; the unit price is in major units."""

    id: Id
    description: Text | None = None
    quantity: Number
    unit_price: Number
    tax: Tax
    on_behalf_of: Reference | None = None


class OrderCompleted(Message):
    """`order.completed`."""

    TYPE: ClassVar[str] = "order.completed"

    order_id: Id
    completed_at: Time
    billing_account: Reference
    currency: CurrencyCode
    items: Annotated[tuple[Item, ...], AfterValidator(_at_most(ITEMS_MAX)), AfterValidator(_not_empty)]

    @model_validator(mode="after")
    def _line_ids_are_unique(self) -> Self:
        if len({item.id for item in self.items}) < len(self.items):
            raise ValueError("items: two lines have the same id")
        return self

    def key(self, message_id: str | None) -> str:
        """The order's id."""
        return self.order_id

    def fact(self, key: str) -> Order:
        """The completed order."""
        items = tuple(
            OrderItem(
                item.id,
                item.description,
                item.quantity,
                item.unit_price,
                item.tax.category,
                item.tax.rate,
                item.on_behalf_of.id if item.on_behalf_of else None,
            )
            for item in self.items
        )
        return Order(
            self.order_id,
            self.completed_at,
            self.billing_account.id,
            self.currency,
            items,
            price(items, self.currency),
        )


class PaymentReceived(Message):
    """`payment.received`."""

    TYPE: ClassVar[str] = "payment.received"

    payment_id: Id
    received_at: Time
    billing_account: Reference
    amount: PositiveMoney
    method: Text | None = None
    invoices: Annotated[tuple[Text, ...], AfterValidator(_at_most(NAMED_INVOICES_MAX))] | None = None

    def key(self, message_id: str | None) -> str:
        """The payment's id."""
        return self.payment_id

    def fact(self, key: str) -> ReceivedPayment:
        """The received payment."""
        return ReceivedPayment(
            self.payment_id, self.received_at, self.billing_account.id, self.amount, self.method, self.invoices
        )


class SettlementClose(Message):
    """`settlement.close`."""

    TYPE: ClassVar[str] = "settlement.close"

    closing_id: Id
    settlement_account: Reference
    period_end: Date

    def key(self, message_id: str | None) -> str:
        """The closing's id, which is also its first statement's."""
        return self.closing_id

    def fact(self, key: str) -> Closing:
        """The closing."""
        return Closing(self.closing_id, self.settlement_account.id, self.period_end)


def _statement_id(value: object) -> str:
    # `<closingId>-2` may be longer than the id that it is made of.
    stem, dash, part = value.rpartition("-") if isinstance(value, str) else ("", "", "")
    return parse_id(stem) + dash + part if part.isdecimal() and part.isascii() and is_id(stem) else parse_id(value)


class PayoutCompleted(Message):
    """`payout.completed`."""

    TYPE: ClassVar[str] = "payout.completed"

    payout_id: Id
    settlement_account: Reference
    settlement_id: Annotated[str, BeforeValidator(_statement_id), Field(max_length=72)]
    amount: PositiveMoney

    def key(self, message_id: str | None) -> str:
        """The payout's id."""
        return self.payout_id

    def fact(self, key: str) -> CompletedPayout:
        """The completed payout."""
        return CompletedPayout(self.payout_id, self.settlement_account.id, self.settlement_id, self.amount)


class Terms(_Part):
    """A partner's terms; a share of 0.8 is 80 % of the net."""

    partner_share: Rate
    accrue_on: Literal["invoice", "payment"] = "invoice"


def _plain(value: Any, path: str = "") -> Any:
    """A JSON value that a document can keep as it is, numbers as the database has them; `ValueError` names the rest."""
    if isinstance(value, dict):
        for key in value:
            problem = "begins with $" if key.startswith("$") else text_problem(key)
            if problem:
                raise ValueError(f"{path or 'the document'}: a field's name {problem}")
        return {key: _plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
    problem = None
    if isinstance(value, str):
        problem = text_problem(value)
    elif isinstance(value, int):
        problem = None if abs(value) <= INTEGER_MAX else "is an integer beyond ±2^53"
    elif value is not None:  # a number with a point or an exponent
        number = float(value)
        exact = str(value).replace(".", "").replace("-", "").strip("0")
        if not isfinite(number) or len(exact) > 15:
            problem = "is no number that JSON keeps: send it as a string"
        else:  # 1000 and 1000.00 are one number, and so one content
            value = int(number) if number.is_integer() and abs(number) <= INTEGER_MAX else number
    if problem:
        raise ValueError(f"{path} {problem}")
    return value


def _sorted(value: Any) -> Any:
    """The same JSON value with its fields in one order: the order in which they are written is not content."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


TMF_FIELDS = frozenset(
    {
        "@type", "@baseType", "@schemaLocation", "href", "name", "description", "accountType", "state", "lastUpdate",
        "creditLimit", "relatedParty", "taxExemption", "contact", "accountBalance", "accountRelationship",
        "paymentStatus", "billStructure", "paymentPlan", "financialAccount", "defaultPaymentMethod", "ratingType",
    }
)  # fmt: skip
"""The fields of TMF666's accounts; what else is in an account's document is kept, and is not part of its content."""

_OURS = frozenset({"id", "currency", "paymentTermDays", "settlementTerms"})


class AccountCreate(Message):
    """`account.create`: a TMF666 account with our currency and terms; `document` is all of it but for those."""

    TYPE: ClassVar[str] = "account.create"

    id: Id | None = None
    type: Annotated[
        Literal["BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"], Field(alias="@type")
    ]
    name: Text
    related_party: Annotated[tuple[dict[str, Any], ...] | None, Field(exclude=True)] = None
    currency: CurrencyCode
    payment_term_days: Days = 30
    settlement_terms: Terms | None = None
    document: Annotated[dict[str, Any], Field(exclude=True)] = {}
    known: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _keep_the_document(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        document = _plain({key: value for key, value in data.items() if key not in _OURS})
        known = _sorted({key: document[key] for key in TMF_FIELDS & document.keys() if document[key] is not None})
        return {**data, "document": document, "known": known}

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.related_party is None:
            raise ValueError(f"relatedParty: a {self.type} needs one (TMF666)")
        if (self.type == SETTLEMENT) != (self.settlement_terms is not None):
            raise ValueError(f"settlementTerms: a {SETTLEMENT} needs them and no other account has them")
        return self

    def key(self, message_id: str | None) -> str:
        """The account's id, or the message's when the id is left to us; `Refused` (`invalid`) when there is neither."""
        if self.id is not None:
            return self.id
        stem, _, place = (message_id or "").rpartition(":")  # `<message_id>:<n>` of an array may be longer
        if not is_id(message_id) and not (is_id(stem) and place.isdecimal() and place.isascii()):
            raise Refused("invalid", "id: without an id the message needs a message_id: 1 to 64 of A-Z a-z 0-9 . _ : -")
        assert message_id is not None
        return message_id

    def fact(self, key: str) -> NewAccount:
        """The account to open; an id left to us is made of the message's, so that a second delivery makes the same."""
        terms = self.settlement_terms
        return NewAccount(
            id=self.id or f"A-{sha256(key.encode()).hexdigest()[:20]}",
            type=self.type,
            currency=self.currency.code,
            payment_term_days=self.payment_term_days,
            settlement_terms=SettlementTerms(terms.partner_share, terms.accrue_on) if terms else None,
            document=self.document,
        )


MESSAGES: dict[str, type[Message]] = {
    message.TYPE: message
    for message in (AccountCreate, OrderCompleted, PaymentReceived, SettlementClose, PayoutCompleted)
}
"""The messages that are handled, by routing key."""
