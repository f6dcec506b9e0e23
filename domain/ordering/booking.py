"""Booking: what an order or a bill comes to is an invoice of each seller, posted, accrued, and paid by credit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter

from domain.accounts.model import Account
from domain.frozen import dataclass, replace
from domain.invoicing.issuing import issue, post
from domain.invoicing.model import Billing, Invoice, InvoiceIssued, InvoicePaid, PartnerShare
from domain.invoicing.pricing import Item, Pricing
from domain.invoicing.sellers import version_of_seller
from domain.ledger.books import Books, DocumentNeed
from domain.ledger.numbering import Series
from domain.money import Currency
from domain.payments.allocating import WorkBudget, consume_credit, continue_allocating
from domain.settlement.accruals import Accrual, accrue_at_invoice, post_share, release_withheld

SELLERS_MAX = 100
"""The most sellers of one order, or bill: each has an invoice of its own."""


@dataclass(frozen=True, slots=True)
class ToInvoice:
    """Priced lines of one seller, with their partners' shares: an invoice with the next number of a series.

    `seller` is the partner's account in whose name it is; None: ours. A bill has its `billing`.
    """

    items: Sequence[Item]
    pricing: Pricing
    shares: Sequence[PartnerShare | None]
    seller: str | None
    series: str
    billing: Billing | None = None


def book_invoices(
    account: Account,
    to_invoice: Sequence[ToInvoice],
    *,
    ordered_for: str,
    order_id: str | None = None,
    due: date | None = None,
    currency: Currency,
    at: datetime,
    released_by: str,
    books: Books,
) -> tuple[list[Invoice], list[Accrual]]:
    """Invoice priced lines to an account in the fact's entry; returns the invoices as issued, and what accrues.

    `at` is the tax point, whose date what accrues has; `due` is when they are due, if that is not the account's to say.
    A total of zero is settled at once, and `released_by` then names in the accruals' keys what released the shares that
    were withheld. The others are paid by unapplied credit, in the order in which payments cover invoices.
    """
    if len(to_invoice) > 1:
        books.require(DocumentNeed(Series, one.series) for one in to_invoice)
    before = books.position(account.id)
    books.count(account.id, "used")
    day = books.date_of(at)
    issued = [
        issue(
            account,
            one.items,
            one.pricing,
            one.shares,
            series=one.series,
            ordered_for=ordered_for,
            order_id=order_id,
            billing=one.billing,
            due=due,
            currency=currency,
            tax_point=day,
            seller=one.seller,
            seller_version=version_of_seller(one.seller, books),
            books=books,
        )
        for one in to_invoice
    ]
    budget = WorkBudget.of(before)
    accruals: list[Accrual] = []
    for invoice in issued:
        post(invoice, post_share, books)
        books.emit(account.id, InvoiceIssued(invoice))
        books.announce(f"invoice:{invoice.id}")
    for invoice in sorted(issued, key=attrgetter("order_key")) if len(issued) > 1 else issued:
        accruals += _accrue_and_cover(invoice, day, released_by, budget, books)
    if budget.is_short:
        continue_allocating(account.id, books)
    oldest = min((one.payment_due_date for one in issued if books.current(one).is_open), default=None)
    if oldest is not None and (before.oldest_due is None or oldest < before.oldest_due):
        books.put(replace(books.position(account.id), oldest_due=oldest))
    return issued, accruals


def _accrue_and_cover(issued: Invoice, day: date, released_by: str, budget: WorkBudget, books: Books) -> list[Accrual]:
    invoice, accruals = accrue_at_invoice(issued, day, books)
    if invoice.is_open:
        books.put(invoice)
        return accruals + consume_credit(invoice, budget, books)
    invoice, released = release_withheld(replace(invoice, state="settled"), day, released_by, books)
    books.put(invoice)
    books.emit(invoice.billing_account, InvoicePaid(invoice))
    return accruals + released
