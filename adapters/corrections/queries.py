"""Credit notes, one by one and in lists."""

from __future__ import annotations

from adapters.corrections.codecs import decode_credit_note
from adapters.mongodb.paging import FEW_ROWS, Page, reading
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View, unknown
from domain.accounts.model import BILLING
from schemas.corrections.events import credit_note_json
from schemas.corrections.queries import CreditNoteGet, CreditNoteList
from schemas.query import cursor


async def credit_note(query: CreditNoteGet, view: View) -> Json:
    """`credit-note.get`: it stands as it is now."""
    if query.credit_note_id is not None:
        rows = await view.find("creditNotes", {"_id": query.credit_note_id}, index=BY_ID)
        field, asked = "creditNoteId", query.credit_note_id
    else:
        rows = await view.find("creditNotes", {"billNo": query.bill_no}, index="number")
        field, asked = "billNo", str(query.bill_no)
    if not rows:
        raise unknown("credit-note", asked, field)
    return credit_note_json(decode_credit_note(rows[0]))


async def credit_notes(query: CreditNoteList, view: View) -> bytes:
    """`credit-note.list`, by number."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    which: Row = {"billingAccount": query.billing_account}
    index = "listed"
    if query.corrected_bill_no is not None:
        which["correctedBillNo"], index = query.corrected_bill_no, "invoice"
    if query.after is not None:
        which["billNo"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = ""
    found = view.cursor("creditNotes", which, sort=[("billNo", 1)], limit=query.limit + 1, index=index, batch=FEW_ROWS)
    async with reading(found) as rows:
        async for row in rows:
            if not page.take(credit_note_json(decode_credit_note(row))):
                return page.answer(cursor(CreditNoteList.TYPE, last))
            last = row["billNo"]
    return page.answer(None)


READS: Reads = ((CreditNoteGet, credit_note), (CreditNoteList, credit_notes))
