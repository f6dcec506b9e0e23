"""Sellers: in whose name an invoice is, ours or a partner's whose agent we are, and in whose series."""

from __future__ import annotations

from string import digits

from domain.accounts.model import find_account
from domain.invoicing.model import Invoice
from domain.ledger import numbering
from domain.ledger.books import Books, WorkingSet
from domain.parties.model import SELLER, Seller


def version_of_seller(seller: str | None, books: Books) -> int | None:
    """The version of a partner's account that is the seller; or ours, None while nothing was said of us.

    Raises `NotLoaded`.
    """
    if seller is not None:
        return find_account(seller, books).version
    ours = books.find(Seller, SELLER)
    return None if ours is None else ours.version


def series_of_number(number: str) -> str:
    """The series of a partner's number: it ends with no digit."""
    return number.rstrip(digits)


def note_series(invoice: Invoice, books: Books | WorkingSet) -> str:
    """The series of an invoice's credit notes: ours; or ours before the partner's own."""
    if invoice.seller is None:
        return books.credit_notes
    return numbering.note_series(series_of_number(invoice.id), books.credit_notes)
