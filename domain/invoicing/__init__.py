"""Invoicing: what a customer owes, line by line, with the tax of each group."""

from datetime import date

from domain.handler import Handler, nobody
from domain.invoicing.handling import handling_needs, handling_time, send_invoice, validate_invoice
from domain.invoicing.model import Invoice, InvoiceSending, InvoiceValidation
from domain.ledger.books import Queue

FACTS = (
    Handler(InvoiceValidation, handling_needs, validate_invoice, nobody, handling_time),
    Handler(InvoiceSending, handling_needs, send_invoice, nobody, handling_time),
)


def _due_before(invoice: Invoice, day: date) -> int | None:
    return invoice.undisputed if invoice.payment_due_date < day else None


QUEUES = (Queue(Invoice, is_empty=lambda position: position.receivable == 0, overdue=_due_before),)
