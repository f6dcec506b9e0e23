"""Taking back: lines of bills take back what lines of earlier invoices billed; no note credits that again."""

from __future__ import annotations

from domain.corrections.crediting import put_taken_back, taken_of
from domain.invoicing.model import Invoice, InvoiceLine
from domain.ledger.books import Books


def left_of(invoice: Invoice, line: InvoiceLine) -> int:
    """What of a line's net can still be taken back (minor units), with its sign."""
    return line.tax_excluded_amount - taken_of(invoice).get(line.id, 0)


def take_back(bill: Invoice, books: Books) -> None:
    """Note on each invoice what the lines of a new bill take back of its lines, with the tax that they show."""
    for line in bill.lines:
        if line.origin is not None and line.origin.corrects is not None:
            put_taken_back(line, -line.tax_excluded_amount, -line.tax_amount, books)
