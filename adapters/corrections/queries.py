"""Credit notes and disputes, one by one and in lists, and refunds."""

from __future__ import annotations

from functools import partial
from typing import get_args

from adapters.corrections.codecs import decode_credit_note, decode_dispute, decode_refund
from adapters.invoicing.queries import shows_of_invoice
from adapters.mongodb.paging import FEW_ROWS, Page, keyset, reading
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View, unknown
from domain.accounts.model import BILLING, SETTLEMENT
from domain.corrections.model import DisputeState
from schemas.corrections.events import credit_note_json, dispute_json, refund_json
from schemas.corrections.queries import CreditNoteGet, CreditNoteList, DisputeGet, DisputeList, RefundList
from schemas.query import cursor, milliseconds


async def credit_note(query: CreditNoteGet, view: View) -> Json:
    """`credit-note.get`: it stands as it is now."""
    if query.credit_note_id is not None:
        rows = await view.find("creditNotes", {"_id": query.credit_note_id}, index=BY_ID)
        field, asked = "creditNoteId", query.credit_note_id
    else:
        rows = await view.find("creditNotes", {"billNo": query.bill_no}, index="number")
        field, asked = "billNo", str(query.bill_no)
    if not rows or not await shows_of_invoice(view, rows[0]["correctedBillNo"], rows[0]["billingAccount"]):
        raise unknown("credit-note", asked, field)
    return credit_note_json(decode_credit_note(rows[0]))


async def credit_notes(query: CreditNoteList, view: View) -> bytes:
    """`credit-note.list`, by number."""
    which, index = await _whose(query, view)
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


async def _whose(query: CreditNoteList | DisputeList, view: View) -> tuple[Row, str]:
    """Those that are asked for, by who owes the invoice or in whose name it is, and the index that lists them."""
    if query.seller is not None:
        await view.check_account(query.seller, SETTLEMENT, "seller")
        return {"seller": query.seller}, "seller"
    assert query.billing_account is not None, "it is of an account or of a seller"
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    return {"billingAccount": query.billing_account}, "listed"


async def refunds(query: RefundList, view: View) -> bytes:
    """`refund.list`, oldest first."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    page = Page(query.limit)
    after = query.after
    read = partial(view.find, "refunds", index="listed")
    for row in await keyset(
        read, {"billingAccount": query.billing_account}, ("bookedAt", "_id"), after, query.limit + 1
    ):
        if not page.take(refund_json(decode_refund(row))):
            assert after is not None
            return page.answer(cursor(RefundList.TYPE, milliseconds(after[0]), after[1]))
        after = (row["bookedAt"], row["_id"])
    return page.answer(None)


async def dispute(query: DisputeGet, view: View) -> Json:
    """`dispute.get`: it stands as it is now."""
    row = await view.one("disputes", {"_id": query.dispute_id})
    if row is None or not await shows_of_invoice(view, row["billNo"], row["billingAccount"]):
        raise unknown("dispute", query.dispute_id, "disputeId")
    return dispute_json(decode_dispute(row))


async def disputes(query: DisputeList, view: View) -> bytes:
    """`dispute.list`, oldest first."""
    which, index = await _whose(query, view)
    which["state"] = {"$in": [query.state] if query.state else list(get_args(DisputeState))}
    if query.bill_no is not None:
        which["billNo"], index = query.bill_no, "invoice"
    page = Page(query.limit)
    after = query.after
    read = partial(view.find, "disputes", index=index)
    for row in await keyset(read, which, ("bookedAt", "_id"), after, query.limit + 1):
        if not page.take(dispute_json(decode_dispute(row))):
            assert after is not None
            return page.answer(cursor(DisputeList.TYPE, milliseconds(after[0]), after[1]))
        after = (row["bookedAt"], row["_id"])
    return page.answer(None)


READS: Reads = (
    (CreditNoteGet, credit_note),
    (CreditNoteList, credit_notes),
    (RefundList, refunds),
    (DisputeGet, dispute),
    (DisputeList, disputes),
)
