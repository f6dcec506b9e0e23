"""The queries about invoices: what each is asked with, and its answer."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from domain.invoicing.model import InvoiceState
from schemas.query import LIMIT_DEFAULT, Limit, Query, place_of
from schemas.shapes import Shape, page
from schemas.values import Id


class InvoiceGet(Query):
    """One invoice."""

    TYPE = "invoice.get"
    ANSWER: ClassVar[Shape] = "Invoice"
    bill_no: Id


class InvoiceList(Query):
    """A billing account's invoices, by number."""

    TYPE = "invoice.list"
    ANSWER: ClassVar[Shape] = page("Invoice")
    billing_account: Id
    state: InvoiceState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of("invoice.list", str))] | None = None


QUERIES: tuple[type[Query], ...] = (
    InvoiceGet,
    InvoiceList,
)
