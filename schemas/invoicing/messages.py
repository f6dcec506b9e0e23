"""What is said of an invoice: `invoice.validate`, that the customer accepted it; `invoice.send`, that it was sent."""

from __future__ import annotations

from typing import ClassVar, get_args

from domain.invoicing.model import InvoiceSending, InvoiceState, InvoiceStateResult, InvoiceValidation
from schemas.message import Message, Result, message_key
from schemas.values import Id, Text, Time

_RESULT = Result(InvoiceStateResult, {"state": get_args(InvoiceState)}, lambda result: {"state": result.state})


class InvoiceValidate(Message):
    """`invoice.validate`: the customer accepted an invoice."""

    TYPE: ClassVar[str] = "invoice.validate"
    RESULT = _RESULT

    bill_no: Id
    at: Time
    by: Text | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> InvoiceValidation:
        """The validation."""
        return InvoiceValidation(self.bill_no, self.at, self.by)


class InvoiceSend(Message):
    """`invoice.send`: an invoice was sent."""

    TYPE: ClassVar[str] = "invoice.send"
    RESULT = _RESULT

    bill_no: Id
    at: Time
    medium: Text | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> InvoiceSending:
        """The sending."""
        return InvoiceSending(self.bill_no, self.at, self.medium)


MESSAGES: tuple[type[Message], ...] = (InvoiceValidate, InvoiceSend)
