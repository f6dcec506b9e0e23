"""`order.completed`: what a customer ordered is delivered."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, model_validator

from domain.invoicing import pricing
from domain.ordering.completing import Order, OrderResult
from schemas.invoicing.events import bills_json
from schemas.message import Message, Part, Reference, Result, at_most, not_empty
from schemas.values import CurrencyCode, Id, Number, Rate, Text, Time, shown

ITEMS_MAX = 1_000
"""The most lines of an order."""

_RESULT = Result(OrderResult, {"billNo?": "Id", "billNos": ["Id"]}, lambda result: bills_json(result.bill_nos))


class Tax(Part):
    """A line's tax: its category (EN 16931, BT-151) and its rate, where 0.2 is 20 %."""

    category: Id
    rate: Rate


class Item(Part):
    """A line to be billed; the unit price is in major units."""

    id: Id
    description: Text | None = None
    quantity: Number
    unit_price: Number
    tax: Tax
    on_behalf_of: Reference | None = None

    def item(self) -> pricing.Item:
        """The line as the domain has it."""
        return pricing.Item(
            self.id,
            self.description,
            self.quantity,
            self.unit_price,
            self.tax.category,
            self.tax.rate,
            self.on_behalf_of.id if self.on_behalf_of else None,
        )


class OrderCompleted(Message):
    """`order.completed`: what a customer ordered is delivered, and is invoiced."""

    TYPE: ClassVar[str] = "order.completed"
    RESULT = _RESULT
    KEY_FIELD = "orderId"
    ACCOUNT_PATH = "billingAccount.id"

    order_id: Id
    completed_at: Time
    billing_account: Reference
    currency: CurrencyCode
    items: Annotated[tuple[Item, ...], AfterValidator(at_most(ITEMS_MAX)), AfterValidator(not_empty)]

    @model_validator(mode="after")
    def _line_ids_are_unique(self) -> Self:
        if len({item.id for item in self.items}) < len(self.items):
            ids = [item.id for item in self.items]
            again = next(n for n, id_ in enumerate(ids) if id_ in ids[:n])
            raise ValueError(f"items.{again}.id: is an earlier line's (got {shown(ids[again])})")
        return self

    def key(self, message_id: str | None) -> str:
        """The order's id."""
        return self.order_id

    def fact(self, key: str) -> Order:
        """The completed order."""
        items = tuple(item.item() for item in self.items)
        return Order(
            self.order_id,
            self.completed_at,
            self.billing_account.id,
            self.currency,
            items,
            pricing.price(items, self.currency),
        )


MESSAGES: tuple[type[Message], ...] = (OrderCompleted,)
