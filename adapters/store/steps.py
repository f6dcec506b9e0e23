"""The forms that the stored books have had, and the steps from each to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

Row = dict[str, Any]
Write = Callable[[Database[Row], ClientSession, Sequence[Row]], Sequence[UpdateOne]]
"""What a page of rows becomes: it may look at other collections, within the session, and returns the updates."""


@dataclass(frozen=True, slots=True)
class Update:
    """An update of the rows of a collection that still need it: page by page, each page in one transaction.

    `which` finds the rows that are still to be changed. What `write` makes of a row must not be found any more, so that
    there is none when it is done, and doing it again does nothing. `fields` are those that `write` is given of a row.
    `name` says what is done; it is the update's own within its step.
    """

    name: str
    collection: str
    which: Mapping[str, Any]
    write: Write
    fields: Mapping[str, int] = field(default_factory=lambda: {"_id": 1})


@dataclass(frozen=True, slots=True)
class Step:
    """Brings a database from the form before to the form `to`; `why` says what that form is about.

    Its updates are done in order. Indexes need no word: a migration brings them to what
    `adapters.store.collections` declares.
    """

    to: int
    why: str
    updates: tuple[Update, ...] = ()


def each(change: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Write:
    """The same update, or pipeline of one, for each row: `each({"$set": {"allocating": False}})`."""

    def write(_database: Database[Row], _session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
        return [UpdateOne({"_id": row["_id"]}, change) for row in rows]

    return write


_UNREADABLE = {"$eq": [{"$indexOfBytes": ["$_id", "unreadable:"]}, 0]}
_AFTER_TYPE = {"$substrBytes": ["$_id", {"$add": [{"$indexOfBytes": ["$_id", ":"]}, 1]}, -1]}
_KEY = {"$arrayElemAt": [{"$split": [_AFTER_TYPE, "#"]}, 0]}

STEPS: tuple[Step, ...] = (
    Step(
        to=2,
        why="a position says whether its account's credit is still being allocated; an order may have several "
        "invoices: the index `order` of invoices is no longer unique; a held message tells "
        "its business key, and one that goes on as another is mended, not discarded",
        updates=(
            Update(
                "allocating",
                "positions",
                {"allocating": {"$exists": False}},
                # Before, credit beside open invoices said so.
                each([{"$set": {"allocating": {"$and": [{"$gt": ["$unapplied", 0]}, {"$gt": ["$receivable", 0]}]}}}]),
            ),
            Update(
                "businessKey",
                "held",
                {"businessKey": {"$exists": False}},
                # After the type, and before the digest of a conflicting duplicate; what can't be read has none there.
                each([{"$set": {"businessKey": {"$cond": [_UNREADABLE, None, _KEY]}}}]),
            ),
            Update(
                "mended",
                "held",
                {"state": "discarded", "editedInto": {"$type": "string"}},
                each({"$set": {"state": "mended"}}),
            ),
        ),
    ),
)
"""All steps that there ever were, in order. One that was released is never changed: a later one is added."""

FORM = STEPS[-1].to
"""The form that this version works on. Form 1 is that of the databases without a number."""
