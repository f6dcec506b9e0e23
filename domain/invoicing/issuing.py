"""Issuing: what is billed becomes an invoice with a number, and is posted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from domain.accounts.model import Account
from domain.invoicing.model import Billing, Invoice, InvoiceLine, PartnerShare
from domain.invoicing.pricing import Item, Pricing
from domain.ledger import chart
from domain.ledger.books import Books
from domain.ledger.numbering import next_number
from domain.money import Currency


def issue(
    account: Account,
    items: Sequence[Item],
    pricing: Pricing,
    shares: Sequence[PartnerShare | None],
    *,
    series: str,
    ordered_for: str,
    order_id: str | None,
    billing: Billing | None,
    due: date | None,
    currency: Currency,
    tax_point: date,
    seller: str | None,
    seller_version: int | None,
    books: Books,
) -> Invoice:
    """The invoice of priced lines on an account, with the next number of a series; `shares` are the lines' partners'.

    It is due the account's term after the date on which it is booked, or, if `due` is said, then, but not before that
    date. `seller` is the partner's account in whose name it is; `seller_version` is that one's, or, where we are the
    seller, ours, None while nothing was said of us.
    """
    bill_date = books.date_of(books.booked_at)
    return Invoice(
        id=next_number(series, books),
        billing_account=account.id,
        ordered_for=ordered_for,
        order_id=order_id,
        currency=currency.code,
        state="new",
        bill_date=bill_date,
        payment_due_date=bill_date + timedelta(days=account.payment_term_days) if due is None else max(due, bill_date),
        tax_point_date=tax_point,
        booked_at=books.booked_at,
        tax_excluded_amount=pricing.tax_excluded_amount,
        tax_included_amount=pricing.tax_included_amount,
        remaining_amount=pricing.tax_included_amount,
        tax_item=pricing.tax_item,
        lines=tuple(
            InvoiceLine(
                item.id,
                item.description,
                item.quantity,
                item.unit_price,
                item.category,
                item.rate,
                net,
                tax,
                share,
                item.origin,
            )
            for item, net, tax, share in zip(items, pricing.nets, pricing.taxes, shares, strict=True)
        ),
        buyer_version=account.version,
        seller_version=seller_version,
        billing=billing,
        seller=seller,
    )


def post(invoice: Invoice, on_behalf: Callable[[InvoiceLine, PartnerShare, Books], None], books: Books) -> None:
    """Debit the receivable; credit revenue or, on behalf of a partner, what `on_behalf` does; and the tax, if ours."""
    books.debit(chart.RECEIVABLE.of(invoice.billing_account), invoice.tax_included_amount)
    for line in invoice.lines:
        if line.on_behalf_of is None:
            books.credit(chart.OF_REVENUE, line.tax_excluded_amount)
        else:
            on_behalf(line, line.on_behalf_of, books)
    if invoice.seller is None:
        for item in invoice.tax_item:
            books.credit(chart.tax(item.category, f"{item.rate:f}"), item.tax_amount)
