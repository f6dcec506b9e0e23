"""Payments, one by one and in lists, each with what it covers now."""

from __future__ import annotations

from collections import defaultdict

from adapters.mongodb.paging import Page
from adapters.mongodb.view import Json, Reads, Row, View, unknown
from adapters.payments.codecs import decode_payment
from domain.accounts.model import BILLING
from schemas.payments.events import payment_with_allocations
from schemas.payments.queries import PaymentGet, PaymentList
from schemas.query import cursor


async def payment(query: PaymentGet, view: View) -> Json:
    """`payment.get`: it stands as it is now."""
    row = await view.one("payments", {"_id": query.payment_id})
    if row is None or not await view.shows(row["billingAccount"]):
        raise unknown("payment", query.payment_id, "paymentId")
    [found] = await _with_allocations([row], view)
    return found


async def payments(query: PaymentList, view: View) -> bytes:
    """`payment.list`, by id."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    which: Row = {"billingAccount": query.billing_account}
    if query.after is not None:
        which["_id"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = ""
    rows = await view.find("payments", which, sort=[("_id", 1)], limit=query.limit + 1, index="listed")
    for row, found in zip(rows, await _with_allocations(rows, view), strict=True):
        if not page.take(found):
            return page.answer(cursor(PaymentList.TYPE, last))
        last = row["_id"]
    return page.answer(None)


async def _with_allocations(rows: list[Row], view: View) -> list[Json]:
    """Payments as they are told, with what each covers now: what was allocated, less what was undone of it."""
    sums: dict[str, dict[str, int]] = defaultdict(dict)
    ids = [row["_id"] for row in rows]
    pipeline: list[Row] = [
        {"$match": {"paymentId": {"$in": ids}}},
        {"$group": {"_id": {"payment": "$paymentId", "billNo": "$billNo"}, "sum": {"$sum": "$amount"}}},
        {"$match": {"sum": {"$gt": 0}}},
    ]
    found = await view.aggregate("allocations", pipeline, index="payment") if ids else []
    for row in sorted(found, key=lambda row: str(row["_id"]["billNo"])):
        sums[row["_id"]["payment"]][row["_id"]["billNo"]] = row["sum"]
    return [payment_with_allocations(decode_payment(row), sums[row["_id"]]) for row in rows]


READS: Reads = ((PaymentGet, payment), (PaymentList, payments))
