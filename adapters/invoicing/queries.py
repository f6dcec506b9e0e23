"""Invoices and partners' statements, one by one and in lists."""

from __future__ import annotations

from functools import partial
from typing import get_args

from adapters.documents import DECODE
from adapters.mongodb.paging import FEW_ROWS, Page, keyset, reading
from adapters.mongodb.view import Json, Row, View, unknown
from domain.accounts.model import BILLING, SETTLEMENT
from domain.invoicing.model import Invoice, InvoiceState
from domain.settlement.statements import Settlement
from schemas.invoicing.events import invoice_json
from schemas.invoicing.queries import InvoiceGet, InvoiceList
from schemas.query import cursor, milliseconds
from schemas.settlement.events import settlement_json
from schemas.settlement.queries import SettlementGet, SettlementList


async def invoice(query: InvoiceGet, view: View) -> Json:
    """`invoice.get`: it stands as it is now."""
    row = await view.one("invoices", {"_id": query.bill_no})
    if row is None:
        raise unknown("invoice", query.bill_no, "billNo")
    return invoice_json(DECODE[Invoice](row))


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
            if not page.take(invoice_json(DECODE[Invoice](row))):
                return page.answer(cursor(InvoiceList.TYPE, last))
            last = row["_id"]
    return page.answer(None)


async def settlement(query: SettlementGet, view: View) -> Json:
    """`settlement.get`: it stands as it is now."""
    row = await view.one("settlements", {"_id": query.id})
    if row is None:
        raise unknown("settlement", query.id)
    return settlement_json(DECODE[Settlement](row))


async def settlements(query: SettlementList, view: View) -> bytes:
    """`settlement.list`, oldest first."""
    await view.check_account(query.settlement_account, SETTLEMENT, "settlementAccount")
    page = Page(query.limit)
    after = query.after
    # Statements may have thousands of lines, so only their places are read at once.
    read = partial(view.find, "settlements", index="listed", fields={"bookedAt": 1})
    which = {"settlementAccount": query.settlement_account}
    places = await keyset(read, which, ("bookedAt", "_id"), after, query.limit + 1)
    for place in places:
        row = await view.one("settlements", {"_id": place["_id"]})
        assert row is not None, "it was there at the same point in time"
        if not page.take(settlement_json(DECODE[Settlement](row))):
            assert after is not None
            return page.answer(cursor(SettlementList.TYPE, milliseconds(after[0]), after[1]))
        after = (place["bookedAt"], place["_id"])
    return page.answer(None)
