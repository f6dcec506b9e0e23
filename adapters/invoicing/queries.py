"""Invoices, one by one and in lists."""

from __future__ import annotations

from functools import partial
from typing import get_args

from adapters.invoicing.codecs import decode_invoice
from adapters.mongodb.paging import FEW_ROWS, Page, reading
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View, unknown
from domain.accounts.model import BILLING, SETTLEMENT
from domain.invoicing.model import InvoiceState
from schemas.invoicing.events import invoice_json
from schemas.invoicing.queries import InvoiceGet, InvoiceList, breakdown_json
from schemas.query import cursor
from schemas.values import money_json

REFERENCES_MAX = 500
"""How many of its notes, write-offs and disputes an invoice shows at most; lists have all."""


async def invoice(query: InvoiceGet, view: View) -> Json:
    """`invoice.get`: it stands as it is now."""
    row = await view.one("invoices", {"_id": query.bill_no})
    if row is None or not await view.shows(*whose_invoice(row)):
        raise unknown("invoice", query.bill_no, "billNo")
    found, most = decode_invoice(row), REFERENCES_MAX
    shown = invoice_json(found)
    if "corrections" in row:
        fields = {"billNo": 1, "taxIncludedAmount": 1, "currency": 1}
        which = {"correctedBillNo": query.bill_no}
        notes = await view.find("creditNotes", which, sort=[("billNo", 1)], fields=fields, limit=most, index="invoice")
        shown["creditNotes"] = [credit_note_ref(note) for note in notes]
    if "corrections" in row or "handling" in row:
        order = [("bookedAt", 1), ("_id", 1)]
        of_it = partial(view.find, query={"billNo": query.bill_no}, sort=order, limit=most, index="invoice")
        shown["writeOffs"] = [write_off_ref(one) for one in await of_it("writeOffs")]
        shown["disputes"] = [dispute_ref(one) for one in await of_it("disputes")]
    if query.breakdown:
        shown["breakdown"] = breakdown_json(found)
    return shown


def whose_invoice(row: Row) -> list[str]:
    """The accounts that an invoice belongs to: the one that owes it, and of one in a partner's name the partner's."""
    return [row["billingAccount"], *([row["seller"]] if row.get("seller") is not None else [])]


async def shows_of_invoice(view: View, bill_no: str, billing_account: str) -> bool:
    """Whether what belongs to an invoice, as its notes and disputes do, is in a view; `billing_account` owes it."""
    if await view.shows(billing_account):
        return True
    row = await view.one("invoices", {"_id": bill_no}, fields={"billingAccount": 1, "seller": 1}, index=BY_ID)
    return row is not None and await view.shows(*whose_invoice(row))


def credit_note_ref(note: Row) -> Json:
    """A credit note as its invoice shows it."""
    return {
        "@type": "CustomerBillRef",
        "id": note["billNo"],
        "creditNoteId": note["_id"],
        "taxIncludedAmount": money_json(note["taxIncludedAmount"], note["currency"]),
    }


def write_off_ref(write_off: Row) -> Json:
    """A write-off as its invoice shows it."""
    return {
        "writeOffId": write_off["_id"],
        "amount": money_json(write_off["amount"], write_off["currency"]),
        "taxRelief": write_off["taxRelief"],
    }


def dispute_ref(dispute: Row) -> Json:
    """A dispute as its invoice shows it."""
    return {
        "disputeId": dispute["_id"],
        "state": dispute["state"],
        "amount": money_json(dispute["amount"], dispute["currency"]),
    }


async def invoices(query: InvoiceList, view: View) -> bytes:
    """`invoice.list`, by number."""
    which: Row = {"state": {"$in": [query.state] if query.state else list(get_args(InvoiceState))}}
    if query.seller is not None:
        await view.check_account(query.seller, SETTLEMENT, "seller")
        which["seller"], index = query.seller, "seller"
    else:
        assert query.billing_account is not None, "it is of an account or of a seller"
        await view.check_account(query.billing_account, BILLING, "billingAccount")
        which["billingAccount"], index = query.billing_account, "listed"
    if query.after is not None:
        which["_id"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = ""
    found = view.cursor("invoices", which, sort=[("_id", 1)], limit=query.limit + 1, index=index, batch=FEW_ROWS)
    async with reading(found) as rows:
        async for row in rows:
            if not page.take(invoice_json(decode_invoice(row))):
                return page.answer(cursor(InvoiceList.TYPE, last))
            last = row["_id"]
    return page.answer(None)


READS: Reads = ((InvoiceGet, invoice), (InvoiceList, invoices))
