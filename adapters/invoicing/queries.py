"""Invoices, one by one and in lists."""

from __future__ import annotations

from typing import get_args

from adapters.invoicing.codecs import decode_invoice
from adapters.mongodb.paging import FEW_ROWS, Page, reading
from adapters.mongodb.view import Json, Reads, Row, View, unknown
from domain.accounts.model import BILLING
from domain.invoicing.model import InvoiceState
from schemas.invoicing.events import invoice_json
from schemas.invoicing.queries import InvoiceGet, InvoiceList
from schemas.query import cursor


async def invoice(query: InvoiceGet, view: View) -> Json:
    """`invoice.get`: it stands as it is now."""
    row = await view.one("invoices", {"_id": query.bill_no})
    if row is None:
        raise unknown("invoice", query.bill_no, "billNo")
    return invoice_json(decode_invoice(row))


async def invoices(query: InvoiceList, view: View) -> bytes:
    """`invoice.list`, by number."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    states = [query.state] if query.state else list(get_args(InvoiceState))
    which: Row = {"billingAccount": query.billing_account, "state": {"$in": states}}
    if query.after is not None:
        which["_id"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = ""
    found = view.cursor("invoices", which, sort=[("_id", 1)], limit=query.limit + 1, index="listed", batch=FEW_ROWS)
    async with reading(found) as rows:
        async for row in rows:
            if not page.take(invoice_json(decode_invoice(row))):
                return page.answer(cursor(InvoiceList.TYPE, last))
            last = row["_id"]
    return page.answer(None)


READS: Reads = ((InvoiceGet, invoice), (InvoiceList, invoices))
