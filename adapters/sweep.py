"""Sweeps: what a worker goes through account by account, each account a fact that it says to itself.

A capability lists its kinds in `SWEEPS`. What is under way has a document, which the facts count in; a page of its
accounts becomes facts in memory, and only what fails of them is held. So which are done is what the inbox and the held
messages say, whoever said those facts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """The facts of some accounts that are not done yet; `after` is where the next page begins, None after the last."""

    facts: Sequence[object]
    after: str | None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sweep that is under way: the id of its document, the document, and the last account that it has come to."""

    id: str
    document: Any
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """A kind of sweep, by what is read of the database.

    `name` is what logs call it. `under_way` finds what is to be gone through, in order; `page` the facts of the next
    accounts, of at most so many, behind a cursor; `closing` the fact that ends it when none is left to do, None while
    some of its facts wait, or are tried again. `begun_by` are the facts with which one begins, where it is to be gone
    through at once: the worker that has applied one of them looks, and does not wait until it looks anyway.
    """

    name: str
    under_way: Callable[[Any], Awaitable[list[UnderWay]]]
    page: Callable[[Any, Any, str | None, int], Awaitable[Page]]
    closing: Callable[[Any, Any], Awaitable[object | None]]
    begun_by: tuple[type, ...] = ()


async def not_done(database: Any, prefix: str, accounts: Sequence[str], ours: tuple[str, str]) -> list[str]:
    """Those of these accounts whose fact, of the identity `<prefix><account>`, is neither applied nor held.

    Ids have colons: `a:b` and `c` make the same identity as `a` and `b:c`. `ours` is a field of the result, and what it
    is of this sweep; what another one has done is not done by this one, whose fact is then held as a conflicting
    duplicate.
    """
    field, value = ours
    identities = [prefix + account for account in accounts]
    which = {"_id": {"$in": identities}}
    applied = {row["_id"]: row async for row in database["inbox"].find(which, {f"result.{field}": 1})}
    held = {row["_id"]: row async for row in database["held"].find(which, {"account": 1})}
    left = []
    for account, identity in zip(accounts, identities, strict=True):
        done, kept = applied.get(identity), held.get(identity)
        if done is None and kept is None:
            left.append(account)
        elif (done is not None and done["result"].get(field) != value) or (
            kept is not None and kept["account"] != account
        ):
            again = {"_id": {"$gte": f"{identity}#", "$lt": f"{identity}$"}, "account": account}
            if await database["held"].find_one(again, {"_id": 1}) is None:
                left.append(account)
    return left


def held_by_state(prefix: str) -> list[dict[str, Any]]:
    """The pipeline that counts a sweep's held facts by state: of the identity `<prefix><account>`, or of a part."""
    own = {"$concat": [prefix, "$account"]}
    length = {"$strLenBytes": own}
    return [
        {"$match": {"_id": {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}}},
        # Another sweep's identities may begin alike, since ids have colons.
        {
            "$match": {
                "$expr": {
                    "$and": [
                        {"$eq": [{"$substrBytes": ["$_id", 0, length]}, own]},
                        {"$in": [{"$substrBytes": ["$_id", length, 1]}, ["", "/", "#"]]},
                    ]
                }
            }
        },
        {"$group": {"_id": "$state", "count": {"$sum": 1}}},
    ]
