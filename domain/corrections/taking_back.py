"""Taking back: lines of bills take back what lines of earlier invoices billed; no note credits that again."""

from __future__ import annotations

from domain.corrections.crediting import open_disputes, taken_of, with_disputes
from domain.frozen import replace
from domain.invoicing.model import CorrectedLine, CorrectedTax, Invoice, InvoiceLine, find_invoice
from domain.ledger.books import Books


def left_of(invoice: Invoice, line: InvoiceLine) -> int:
    """What of a line's net can still be taken back (minor units), with its sign."""
    return line.tax_excluded_amount - taken_of(invoice).get(line.id, 0)


def take_back(bill: Invoice, books: Books) -> None:
    """Note on each invoice what the lines of a new bill take back of its lines, with the tax that they show."""
    for line in bill.lines:
        if line.origin is not None and (corrects := line.origin.corrects) is not None:
            invoice = find_invoice(corrects.bill_no, books)
            so_far = invoice.corrected
            lines = {one.line_id: one for one in so_far.lines}
            of_line = lines.get(corrects.line_id, CorrectedLine(corrects.line_id))
            lines[of_line.line_id] = replace(of_line, taken_back=(of_line.taken_back or 0) - line.tax_excluded_amount)
            groups = {(one.category, one.rate): one for one in so_far.tax}
            group = groups.get((line.category, line.rate), CorrectedTax(line.category, line.rate))
            groups[group.category, group.rate] = replace(group, taken_back=(group.taken_back or 0) - line.tax_amount)
            corrections = replace(so_far, lines=tuple(lines.values()), tax=tuple(groups.values()))
            corrected = replace(invoice, corrections=corrections)
            books.put(with_disputes(corrected, open_disputes(corrected, books), books))
