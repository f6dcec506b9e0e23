"""Dunning as a sweep: which accounts owe on the newest day, and which of them were not looked at on it yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from pymongo import ASCENDING

from adapters.dunning.audit import LOOK
from adapters.mongodb.connection import awaited
from adapters.sweep import Page, Sweep, UnderWay
from domain.dunning.model import DUNNED, AccountToDun, DayToComplete

TO_BE_DONE = ("waiting", "scheduled", "suspect")
"""The states of held looks that are tried again by themselves."""
ORDER = [("oldestDue", ASCENDING), ("_id", ASCENDING)]


def sweep_of(newest: Callable[[], date | None]) -> Sweep:
    """The sweep of dunning; `newest` is the newest day, None as long as it is not to be looked at.

    Days that an outage has left out are not made up for: three of them would be three reminders in a second.
    """

    async def under_way(database: Any) -> list[UnderWay]:
        on = newest()
        if on is None:
            return []
        days = await database["dunnedDays"].find_one({"_id": DUNNED})
        if days is not None and days["newest"] >= on.isoformat():
            return []
        return [UnderWay(on.isoformat(), on, None)]

    return Sweep("dunning", under_way, page, closing)


async def page(database: Any, on: date, after: str | None, limit: int) -> Page:
    """The accounts that owe something which is due by a day, by due date and id, behind one of them."""
    up_to = {"$gt": "", "$lte": on.isoformat()}
    rows: list[dict[str, Any]] = []
    if after is not None:
        due, _, account = after.partition("/")
        rows = await _owing(database, {"oldestDue": due, "_id": {"$gt": account}}, limit)
        up_to = {"$gt": due, "$lte": on.isoformat()}
    if len(rows) < limit:
        rows += await _owing(database, {"oldestDue": up_to}, limit - len(rows))
    left = await _not_done(database, on, [row["_id"] for row in rows])
    last = f"{rows[-1]['oldestDue']}/{rows[-1]['_id']}" if len(rows) == limit else None
    return Page([AccountToDun(account, on) for account in left], last)


async def _owing(database: Any, which: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    found = database["positions"].find(which, {"oldestDue": 1}).sort(ORDER).limit(limit).hint("owing")
    return [row async for row in found]


async def _not_done(database: Any, on: date, accounts: Sequence[str]) -> list[str]:
    """Those of these accounts whose look on a day is neither applied nor held."""
    identities = {f"{LOOK}{account}/{on}": account for account in accounts}
    which = {"_id": {"$in": list(identities)}}
    for collection in ("inbox", "held"):
        async for row in database[collection].find(which, {"_id": 1}):
            identities.pop(row["_id"], None)
    return list(identities.values())


async def closing(database: Any, on: date) -> DayToComplete | None:
    """That a day is over, unless some of its looks, or what they have left to do, is still to be tried."""
    cursor = await awaited(
        database["held"].aggregate(
            [
                {"$match": {"_id": {"$gte": LOOK, "$lt": f"{LOOK[:-1]};"}, "state": {"$in": TO_BE_DONE}}},
                {"$match": {"_id": {"$regex": f"/{on}(/|$)"}}},
                {"$limit": 1},
            ]
        )
    )
    return None if [row async for row in cursor] else DayToComplete(on)
