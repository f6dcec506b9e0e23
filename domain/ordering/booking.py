"""Booking: what an order or a bill comes to is an invoice with a number, posted, accrued, and paid by credit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from domain.accounts.model import Account
from domain.frozen import replace
from domain.invoicing.issuing import issue, post
from domain.invoicing.model import Billing, Invoice, InvoiceIssued, InvoicePaid, PartnerShare
from domain.invoicing.pricing import Item, Pricing
from domain.ledger.books import Books
from domain.money import Currency
from domain.parties.model import SELLER, Seller
from domain.payments.allocating import consume_credit
from domain.settlement.accruals import Accrual, accrue_at_invoice, post_share, release_withheld


def book_invoice(
    account: Account,
    items: Sequence[Item],
    pricing: Pricing,
    shares: Sequence[PartnerShare | None],
    *,
    ordered_for: str,
    order_id: str | None = None,
    billing: Billing | None = None,
    due: date | None = None,
    currency: Currency,
    at: datetime,
    released_by: str,
    books: Books,
) -> tuple[Invoice, list[Accrual]]:
    """Invoice priced lines to an account in the fact's entry; returns the invoice as issued, and what accrues.

    `shares` are the lines' partners', `at` is the tax point, whose date what accrues has; `due` is when it is due, if
    that is not the account's to say. A total of zero is settled at once, and `released_by` then names in the accruals'
    keys what released the shares that were withheld. Else unapplied credit pays for it.
    """
    before = books.position(account.id)
    seller = books.find(Seller, SELLER)
    books.count(account.id, "used")
    issued = issue(
        account,
        items,
        pricing,
        shares,
        series=books.series,
        ordered_for=ordered_for,
        order_id=order_id,
        billing=billing,
        due=due,
        currency=currency,
        tax_point=at,
        seller_version=None if seller is None else seller.version,
        books=books,
    )
    post(issued, post_share, books)
    books.emit(account.id, InvoiceIssued(issued))
    books.announce(f"invoice:{issued.id}")
    day = books.date_of(at)
    invoice, accruals = accrue_at_invoice(issued, day, books)
    if invoice.is_open:
        books.put(invoice)
        accruals += consume_credit(invoice, before, books)
        if books.current(invoice).is_open and (
            before.oldest_due is None or invoice.payment_due_date < before.oldest_due
        ):
            books.put(replace(books.position(account.id), oldest_due=invoice.payment_due_date))
    else:
        invoice, released = release_withheld(replace(invoice, state="settled"), day, released_by, books)
        books.put(invoice)
        books.emit(account.id, InvoicePaid(invoice))
        accruals += released
    return issued, accruals
