"""Charges in lists, and a bill that is not made yet."""

from __future__ import annotations

from functools import partial

from adapters.billing.codecs import decode_charge
from adapters.mongodb.paging import Page, keyset
from adapters.mongodb.view import Json, Reads, Row, View
from domain import facts
from domain.accounts.model import BILLING
from domain.billing.model import BillDemand
from domain.corrections.model import CreditNoteIssued
from domain.invoicing.model import InvoiceIssued
from domain.ledger.books import Books, NotLoaded, WorkingSet
from schemas.billing.events import charge_json
from schemas.billing.queries import BillPreview, ChargeList, credit_note_preview, invoice_preview
from schemas.query import cursor


async def charges(query: ChargeList, view: View) -> bytes:
    """`charge.list`, by date, then by id."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    which: Row = {"billingAccount": query.billing_account}
    index = "listed"
    if query.billed is not None:
        which["billed"] = {"$not": {"$type": "null"}} if query.billed else {"$type": "null"}
        index = "listed" if query.billed else "open"
    page = Page(query.limit)
    after = None if query.after is None else (query.after[0].isoformat(), query.after[1])
    read = partial(view.find, "charges", index=index)
    for row in await keyset(read, which, ("date", "_id"), after, query.limit + 1):
        if not page.take(charge_json(decode_charge(row))):
            assert after is not None
            return page.answer(cursor(ChargeList.TYPE, *after))
        after = (row["date"], row["_id"])
    return page.answer(None)


async def preview(query: BillPreview, view: View) -> Json:
    """`bill.preview`: what `bill.demand` makes of books that are thrown away, with all its parts."""
    # No id, and no series of numbers, has a tilde: nothing that is kept is met by these.
    books = facts.working_set(booked_at=view.now, zone=view.zone, series="bill~", credit_notes="note~")
    parts: list[object] = [BillDemand("preview~", query.billing_account, query.billing_date)]
    for part in parts:
        await view.load(facts.needs_of(part, books), books)
        done = await _applied(part, books, view)
        books.accept(done)
        parts += [rest for rest, _ in done.continued if isinstance(rest, BillDemand)]
    happened = [emitted.event for emitted in books.emitted]
    return {
        "invoices": [invoice_preview(one.invoice) for one in happened if isinstance(one, InvoiceIssued)],
        "creditNotes": [credit_note_preview(one.note) for one in happened if isinstance(one, CreditNoteIssued)],
    }


async def _applied(fact: object, books: WorkingSet, view: View) -> Books:
    """The books that a fact leaves; what it looks at is loaded as it asks for it. Raises what the domain raises."""
    while True:
        tried = Books(books, "bill.preview:")
        try:
            facts.apply(fact, tried)
        except NotLoaded as missing:
            await view.load(missing.needs, books)
        else:
            return tried


READS: Reads = ((ChargeList, charges), (BillPreview, preview))
