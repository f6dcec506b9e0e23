"""Invoicing: what a customer owes, line by line, with the tax of each group."""

from datetime import date

from domain.invoicing.model import Invoice
from domain.ledger.books import Queue


def _due_before(invoice: Invoice, day: date) -> int | None:
    return invoice.remaining_amount if invoice.payment_due_date < day else None


QUEUES = (Queue(Invoice, is_empty=lambda position: position.receivable == 0, overdue=_due_before),)
