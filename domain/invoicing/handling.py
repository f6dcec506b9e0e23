"""Handling: what is said of an invoice that moves no money, that the customer accepted it, or that it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.frozen import replace
from domain.invoicing.model import (
    Handling,
    Invoice,
    InvoiceSending,
    InvoiceStateChanged,
    InvoiceStateResult,
    InvoiceValidation,
    find_invoice,
    state_of,
)
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position


def handling_time(said: InvoiceValidation | InvoiceSending) -> tuple[str, datetime]:
    """When it was, by its own saying."""
    return "at", said.at


def handling_needs(said: InvoiceValidation | InvoiceSending, books: WorkingSet) -> Iterator[Need]:
    """What is looked at: the invoice, and the position of who owes it, whose events it is among."""
    yield DocumentNeed(Invoice, said.bill_no)
    invoice = books.peek(Invoice, said.bill_no)
    if invoice is not None:
        yield DocumentNeed(Position, invoice.billing_account)


def validate_invoice(validation: InvoiceValidation, books: Books) -> InvoiceStateResult:
    """Note that the customer accepted an invoice; returns its state. Raises `MustWait` (`unknown-invoice`)."""
    before = find_invoice(validation.bill_no, books)
    said = replace(before.handled, validated_at=validation.at, validated_by=validation.by)
    return InvoiceStateResult(_handle(before, said, books).state)


def send_invoice(sending: InvoiceSending, books: Books) -> InvoiceStateResult:
    """Note that an invoice was sent; returns its state. Raises `MustWait` (`unknown-invoice`)."""
    before = find_invoice(sending.bill_no, books)
    said = replace(before.handled, sent_at=sending.at, medium=sending.medium)
    return InvoiceStateResult(_handle(before, said, books).state)


def _handle(before: Invoice, said: Handling, books: Books) -> Invoice:
    """Put in an invoice with what is said of it now, and the state that follows; returns it."""
    after = replace(before, handling=said)
    after = replace(after, state=state_of(after))
    books.put(after)
    tell_state(before, after, books)
    return after


def tell_state(before: Invoice, after: Invoice, books: Books) -> None:
    """Tell that an invoice's state is another one now, if it is."""
    if after.state != before.state:
        books.emit(after.billing_account, InvoiceStateChanged(after, before.state))
