"""Corrections of past days as a sweep: which agreements are gone through, and which invoices they have yet to come to.

No index leads from a partner to its invoices: each order would pay for it, and terms of past days are agreed once in a
while. So all invoices are gone through by number, some thousands at once.
"""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING

from adapters.mongodb.connection import awaited
from adapters.mongodb.view import BY_ID
from adapters.settlement.codecs import decode_backdating
from adapters.settlement.documents import RUNNING
from adapters.sweep import Page, Sweep, UnderWay
from domain.settlement.backdating import Backdating, BackdatingToComplete, SharesToCorrect

UNDER_WAY_MAX = 100
"""How many agreements are looked at at once; the others come when these are completed."""
SCANNED = 20_000
"""How many invoices are looked at for one page."""
CORRECT = "settlement.correct:"
"""How the identities of the facts begin."""
TO_BE_DONE = ("waiting", "scheduled", "suspect")
"""The states of held messages that are tried again by themselves."""


async def under_way(database: Any) -> list[UnderWay]:
    """Those that are running, the earliest first."""
    order = [("bookedAt", ASCENDING), ("_id", ASCENDING)]
    rows = database["backdatings"].find(RUNNING).sort(order).limit(UNDER_WAY_MAX).hint("running")
    found = [decode_backdating(row) async for row in rows]
    return [UnderWay(one.id, one, None) for one in found]


async def page(database: Any, backdating: Backdating, after: str | None, limit: int) -> Page:
    """The invoices with lines of the partner that were not come to yet, behind a number, of at most so many."""
    invoices = database["invoices"]
    behind: dict[str, Any] = {} if after is None else {"_id": {"$gt": after}}
    ends = invoices.find(behind, {"_id": 1}).sort("_id", ASCENDING).skip(SCANNED - 1).limit(1).hint(BY_ID)
    last = next((row["_id"] for row in [row async for row in ends]), None)
    if last is not None:
        behind = {"_id": {**behind.get("_id", {}), "$lte": last}}
    which = {
        **behind,
        "lines.onBehalfOf.id": backdating.settlement_account,
        # A bill of an earlier date may take back a line of a later one's, whose terms it goes by.
        "$or": [
            {"taxPointDate": {"$gte": backdating.since.isoformat()}},
            {"lines.origin.corrects.billNo": {"$gt": ""}},
        ],
    }
    rows = invoices.find(which, {"_id": 1}).sort("_id", ASCENDING).limit(limit).hint(BY_ID)
    bill_nos = [row["_id"] async for row in rows]
    identities = {f"{CORRECT}{backdating.id}/{bill_no}": bill_no for bill_no in bill_nos}
    for collection in ("inbox", "held"):
        async for row in database[collection].find({"_id": {"$in": list(identities)}}, {"_id": 1}):
            identities.pop(row["_id"], None)
    facts = [SharesToCorrect(backdating.agreement, backdating.revision, bill_no) for bill_no in identities.values()]
    return Page(facts, bill_nos[-1] if len(bill_nos) == limit else last)


async def closing(database: Any, backdating: Backdating) -> BackdatingToComplete | None:
    """That all were come to, unless some of the facts are still to be tried."""
    prefix = f"{CORRECT}{backdating.id}/"
    which = {"_id": {"$gte": prefix, "$lt": f"{prefix[:-1]}0"}, "state": {"$in": TO_BE_DONE}}
    if await awaited(database["held"].find_one(which, {"_id": 1})):
        return None
    return BackdatingToComplete(backdating.agreement, backdating.revision)


SWEEPS = (Sweep("correction of past days", under_way, page, closing),)
