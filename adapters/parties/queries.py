"""The seller, now and as it was, and its history: each version, what made it, and who said so."""

from __future__ import annotations

from typing import Any

from adapters.mongodb.paging import FEW_ROWS, Page, reading
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View
from adapters.parties.codecs import decode_seller_version
from domain.errors import Refused
from domain.parties.model import SELLER, Seller
from schemas.parties.events import seller_json
from schemas.parties.queries import SellerGet, SellerHistory
from schemas.query import cursor
from schemas.values import shown, time_json

_SAID = ("messageId", "userId", "actingUser", "appId", "correlationId")


async def get(query: SellerGet, view: View) -> Json:
    """`seller.get`; raises `Refused` (`unknown-seller`) when nothing was said of it, or no such version."""
    if query.version is not None:
        row = await view.one("sellerVersions", {"_id": f"{SELLER}/{query.version}"}, index=BY_ID)
        wrong = f"version: there is none of number {query.version}"
    elif query.at is not None:
        # What is to come is not known: it is as it is now.
        row = await view.one(
            "sellerVersions",
            {"version": {"$gt": 0}, "bookedAt": {"$lte": min(query.at, view.now)}},
            sort=[("version", -1)],
            index="history",
        )
        wrong = f"at: nothing was said of the seller yet (got {shown(time_json(query.at))})"
    else:
        row = await view.one("sellerVersions", {"version": {"$gt": 0}}, sort=[("version", -1)], index="history")
        wrong = "nothing is said of the seller yet"
    if row is None:
        raise Refused("unknown-seller", wrong)
    return seller_json(_seller(row))


async def history(query: SellerHistory, view: View) -> bytes:
    """`seller.history`; nothing where nothing was said."""
    page = Page(query.limit)
    last = 0 if query.after is None else query.after[0]
    which: Row = {"version": {"$gt": last}}
    how: dict[str, Any] = {"sort": [("version", 1)], "limit": query.limit + 1, "index": "history"}
    causes = [row["cause"] for row in await view.find("sellerVersions", which, fields={"cause": 1}, **how)]
    found = await view.find("inbox", {"_id": {"$in": causes}}, fields=dict.fromkeys(_SAID, 1))
    said = {row["_id"]: row for row in found}
    async with reading(view.cursor("sellerVersions", which, batch=FEW_ROWS, **how)) as rows:
        async for row in rows:
            if not page.take(_item(row, said.get(row["cause"], {}))):
                return page.answer(cursor(SellerHistory.TYPE, last))
            last = row["version"]
    return page.answer(None)


def _seller(row: Row) -> Seller:
    found = decode_seller_version(row)
    return Seller(SELLER, found.version, found.booked_at, found.document)


def _item(row: Row, said: Row) -> Json:
    return {
        "version": row["version"],
        "bookedAt": time_json(row["bookedAt"]),
        "changed": row["changed"],
        "cause": row["cause"],
        **{name: said.get(name) for name in _SAID},
        "seller": seller_json(_seller(row)),
    }


READS: Reads = ((SellerGet, get), (SellerHistory, history))
