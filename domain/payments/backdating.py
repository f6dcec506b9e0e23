"""Backdating of what payments have freed: which of them cover an invoice, and since when, only payments know."""

from __future__ import annotations

from datetime import date

from domain.invoicing.model import Invoice
from domain.ledger.books import Books, DocumentNeed
from domain.payments.model import Payment
from domain.settlement.backdating import CorrectionResult, SharesToCorrect, correct_invoice


def correct_past_invoice(fact: SharesToCorrect, books: Books) -> CorrectionResult:
    """Bring a partner's shares in an invoice to what is agreed now of its day, as `correct_invoice` does."""
    return correct_invoice(fact, books, paid_by_day)


def paid_by_day(invoice: Invoice, books: Books) -> list[tuple[date, int]]:
    """What covers an invoice, by the day of each payment: how much (minor units), the earliest first.

    Raises `NotLoaded`.
    """
    books.require(DocumentNeed(Payment, one.payment_id) for one in invoice.applied_payment)
    covering = []
    for one in invoice.applied_payment:
        payment = books.find(Payment, one.payment_id)
        assert payment is not None, f"{invoice.id} is covered by payment {one.payment_id}, which is not there"
        covering.append((books.date_of(payment.received_at), one.amount))
    return sorted(covering)
