"""The messages that come in: orders, payments and settlements, and the registry of all."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from domain.invoicing import pricing
from domain.ordering.completing import Order
from domain.payments.model import ReceivedPayment
from domain.settlement.payouts import CompletedPayout
from domain.settlement.statements import Closing
from schemas.accounts.messages import ACCOUNT_MESSAGES
from schemas.accounts.specifications import SPECIFICATION_MESSAGES
from schemas.message import Message, Part, Reference, at_most, not_empty
from schemas.operations.messages import OPERATOR_MESSAGES
from schemas.values import CurrencyCode, Date, Id, Number, PositiveMoney, Rate, Text, Time, is_id, parse_id

ITEMS_MAX = 1_000
NAMED_INVOICES_MAX = 100


class Tax(Part):
    """A line's tax: its category (EN 16931, BT-151) and its rate, where 0.2 is 20 %."""

    category: Id
    rate: Rate


class Item(Part):
    """A line of an order; the unit price is in major units."""

    id: Id
    description: Text | None = None
    quantity: Number
    unit_price: Number
    tax: Tax
    on_behalf_of: Reference | None = None


class OrderCompleted(Message):
    """`order.completed`: what a customer ordered is delivered, and is invoiced."""

    TYPE: ClassVar[str] = "order.completed"

    order_id: Id
    completed_at: Time
    billing_account: Reference
    currency: CurrencyCode
    items: Annotated[tuple[Item, ...], AfterValidator(at_most(ITEMS_MAX)), AfterValidator(not_empty)]

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
            pricing.Item(
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
            pricing.price(items, self.currency),
        )


class PaymentReceived(Message):
    """`payment.received`: a customer paid, which covers invoices or is credit."""

    TYPE: ClassVar[str] = "payment.received"

    payment_id: Id
    received_at: Time
    billing_account: Reference
    amount: PositiveMoney
    method: Text | None = None
    invoices: Annotated[tuple[Text, ...], AfterValidator(at_most(NAMED_INVOICES_MAX))] | None = None

    def key(self, message_id: str | None) -> str:
        """The payment's id."""
        return self.payment_id

    def fact(self, key: str) -> ReceivedPayment:
        """The received payment."""
        return ReceivedPayment(
            self.payment_id, self.received_at, self.billing_account.id, self.amount, self.method, self.invoices
        )


class SettlementClose(Message):
    """`settlement.close`: a partner's accruals up to a date are to be stated."""

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
    """`payout.completed`: a partner was paid, on a statement."""

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


_MONEY_MESSAGES: tuple[type[Message], ...] = (OrderCompleted, PaymentReceived, SettlementClose, PayoutCompleted)

MESSAGES: dict[str, type[Message]] = {
    message.TYPE: message
    for message in (*ACCOUNT_MESSAGES, *SPECIFICATION_MESSAGES, *_MONEY_MESSAGES, *OPERATOR_MESSAGES)
}
"""The messages that are handled, by routing key."""
