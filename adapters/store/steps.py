"""The forms that the stored books have had, and the steps from each to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import DeleteMany, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from adapters.accounts.documents import name_key, parties
from schemas.currencies import DIGITS

Row = dict[str, Any]
Write = Callable[[Database[Row], ClientSession, Sequence[Row]], Sequence[UpdateOne | DeleteMany]]
"""What a page of rows becomes: it may look at other collections, within the session, and returns what is written."""


@dataclass(frozen=True, slots=True)
class Update:
    """An update of the rows of a collection that still need it: page by page, each page in one transaction.

    `which` finds the rows that are still to be changed. What `write` makes of a row must not be found any more, so that
    there is none when it is done, and doing it again does nothing; rows may become parts of others, and be deleted.
    `fields` are those that `write` is given of a row. `name` says what is done; it is the update's own within its step.
    With `again`, `which` finds what is done, too: only its place says how far it is, and doing a row again must make
    the same of it. `into` is the collection that is changed, where that is not the one that is gone through; `page` how
    many rows a transaction goes through at most, where each may take long.
    """

    name: str
    collection: str
    which: Mapping[str, Any]
    write: Write
    fields: Mapping[str, int] = field(default_factory=lambda: {"_id": 1})
    again: bool = False
    into: str | None = None
    page: int | None = None

    @property
    def changed(self) -> str:
        """The collection that it changes."""
        return self.into or self.collection


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


def _found_by(row: Row) -> Row:
    """What an account's row has had since form 1, and what is made of its document in another way since."""
    return {
        "currencyDigits": DIGITS[row["currency"]],
        "parties": parties(row["document"]),
        "nameKey": name_key(row["document"]),
    }


def _accounts(_database: Database[Row], _session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    return [UpdateOne({"_id": row["_id"]}, {"$set": _found_by(row)}) for row in rows]


def _versions(_database: Database[Row], _session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    found = [(row["_id"], _found_by(row["snapshot"])) for row in rows]
    return [
        UpdateOne({"_id": id_}, {"$set": {f"snapshot.{name}": value for name, value in fields.items()}})
        for id_, fields in found
    ]


def _names(_database: Database[Row], _session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    return [
        UpdateOne({"_id": row["_id"]}, {"$set": {"nameKey": key}})
        for row in rows
        if (key := name_key(row["document"])) != row["nameKey"]
    ]


def _earnings(database: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """What statements say that partners have earned, by day: all years of each."""
    earned = database["settlements"].aggregate(
        [
            {"$match": {"settlementAccount": {"$in": [row["_id"] for row in rows]}}},
            {"$unwind": "$lines"},
            {"$match": {"lines.step": None}},
            {
                "$group": {
                    "_id": {"partner": "$settlementAccount", "date": "$lines.date"},
                    "amount": {"$sum": "$lines.amount"},
                }
            },
            {"$sort": {"_id.partner": 1, "_id.date": 1}},
        ],
        session=session,
        allowDiskUse=True,
    )
    days: dict[tuple[str, int], list[Row]] = {}
    for row in earned:
        day = row["_id"]["date"]
        year = (row["_id"]["partner"], int(day[:4]))
        days.setdefault(year, []).append({"date": day, "amount": row["amount"]})
    return [
        UpdateOne(
            {"_id": f"{partner}/{year}"},
            {"$set": {"settlementAccount": partner, "year": year, "days": found, "guaranteed": []}},
            upsert=True,
        )
        for (partner, year), found in days.items()
    ]


def _carried(database: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """Which statements have brought others forward, of partners that are or were self-billed, and what they hold."""
    partners = database["agreements"].distinct(
        "settlementAccount",
        {"settlementAccount": {"$in": [row["_id"] for row in rows]}, "agreed.closing.selfBilling.series": {"$gt": ""}},
        session=session,
    )
    which = {"settlementAccount": {"$in": partners}, "$or": [{"broughtForwardFrom": {"$gt": ""}}, {"hold": _THERE}]}
    fields = {"broughtForwardFrom": 1, "total": 1, "hold": 1, "heldForward": 1}
    found = {row["_id"]: row for row in database["settlements"].find(which, fields, session=session)}
    next_of = {before: id_ for id_, row in found.items() if (before := row.get("broughtForwardFrom"))}
    updates = [UpdateOne({"_id": id_, "carriedTo": None}, {"$set": {"carriedTo": to}}) for id_, to in next_of.items()]
    for first in next_of.keys() - next_of.values():
        id_: str | None = first
        held: Row | None = None
        while id_ is not None:
            row = found.get(id_, {"total": 0})
            if held != row.get("heldForward") and id_ != first:
                change = {"$unset": {"heldForward": ""}} if held is None else {"$set": {"heldForward": held}}
                updates.append(UpdateOne({"_id": id_}, change))
            held = _to_hold(row, held or {"documents": [], "amount": 0})
            id_ = next_of.get(id_)
    return updates


def _to_hold(row: Row, before: Row) -> Row | None:
    """What is held of a statement where it is brought forward: all, while a document of its own is disputed."""
    own = row.get("hold")
    amount = max(0, row["total"]) if own else min(max(0, row["total"]), before["amount"])
    documents = [*(own["documents"] if own else ()), *before["documents"]]
    return {"documents": documents, "amount": amount} if amount else None


def _sellers(database: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """In whose names the invoices of disputes are, where it is a partner's."""
    which = {"_id": {"$in": [row["billNo"] for row in rows]}, "seller": {"$gt": ""}}
    sellers = {row["_id"]: row["seller"] for row in database["invoices"].find(which, {"seller": 1}, session=session)}
    return [
        UpdateOne({"_id": row["_id"]}, {"$set": {"seller": sellers[row["billNo"]]}})
        for row in rows
        if row["billNo"] in sellers
    ]


def _periods(
    _database: Database[Row], _session: ClientSession, rows: Sequence[Row]
) -> Sequence[UpdateOne | DeleteMany]:
    """Each price's row becomes a part of its period's: of one that an earlier page has begun, too."""
    periods: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        period = row["period"]
        periods.setdefault((row["subscriptionId"], period["start"], period["end"]), []).append(row)
    moved = [
        UpdateOne(
            {"_id": f"{subscription}/{start}/{end}"},
            {
                "$setOnInsert": {"subscriptionId": subscription, "period": {"start": start, "end": end}, "end": end},
                "$push": {"prices": {"$each": [_price(row) for row in found]}},
            },
            upsert=True,
        )
        for (subscription, start, end), found in periods.items()
    ]
    return [*moved, DeleteMany({"_id": {"$in": [row["_id"] for row in rows]}})]


def _price(row: Row) -> Row:
    """What was billed of a price; what it came to is left out where its one line says the same of the whole period."""
    price = {"priceId": row["priceId"], "lines": row["lines"]}
    if len(row["lines"]) == len(row["charged"]) == 1:
        [line], [charged] = row["lines"], row["charged"]
        whole = {name: line[name] for name in ("rate", "quantity", "net")} | {"days": row["period"], "parts": []}
        if charged == whole and not line["taken"]:
            return price
    return {**price, "charged": row["charged"]}


def _charges_through(database: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """The date of the last charge of each account that is billed: nothing before it has to be looked through.

    A look for each, from the last one back: an account may have millions.
    """
    found: list[UpdateOne] = []
    for row in rows:
        which = {"billingAccount": row["_id"], "billed": {"$type": "object"}}
        last = database["charges"].find_one(which, {"date": 1}, sort=[("date", -1), ("_id", -1)], session=session)
        if last is not None:
            found.append(UpdateOne({"_id": row["_id"]}, {"$set": {"chargesThrough": last["date"]}}))
    return found


def _behind(database: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """Whether charges are dated before that and not billed."""
    which = {"_id": {"$in": [row["billingAccount"] for row in rows]}, "chargesThrough": {"$gt": ""}}
    positions = database["positions"].find(which, {"chargesThrough": 1}, session=session)
    through = {row["_id"]: row["chargesThrough"] for row in positions}
    behind = (row["billed"] is None and row["date"] <= through.get(row["billingAccount"], "") for row in rows)
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"behind": it}}) for row, it in zip(rows, behind, strict=True)]


_THERE = {"$exists": True}

STEPS: tuple[Step, ...] = (
    Step(
        to=2,
        why="a position says whether its account's credit is still being allocated; an order may have several "
        "invoices: the index `order` of invoices is no longer unique; a held message tells "
        "its business key, and one that goes on as another is mended, not discarded; an account keeps how many "
        "digits its currency has, and is found by parties in TMF's older form, and by its name however that is "
        "composed",
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
            Update(
                "digits, parties, names",
                "accounts",
                {"currencyDigits": {"$exists": False}},
                _accounts,
                {"currency": 1, "document.name": 1, "document.relatedParty": 1},
            ),
            Update(
                "digits, parties, names of versions",
                "accountVersions",
                {"snapshot.currencyDigits": {"$exists": False}},
                _versions,
                {"snapshot.currency": 1, "snapshot.document.name": 1, "snapshot.document.relatedParty": 1},
            ),
            *(
                Update(f"names of {name}", name, {}, _names, {"nameKey": 1, "document.name": 1}, again=True)
                # Those that there were then.
                for name in ("billingCycleSpecifications", "billFormats", "billPresentationMedia")
            ),
        ),
    ),
    Step(
        to=3,
        why="a position has what is to be given back to a customer, and what it owes us of that; a field of a "
        "document that is larger than 16 KiB is kept once in `values`: new rows of `accountVersions`, `inbox` and "
        "`outbox` refer to it, and new versions of accounts are kept without `json`; older rows stay whole",
        updates=(
            Update(
                "refundable, recoverable",
                "positions",
                {"refundable": {"$exists": False}},
                each({"$set": {"refundable": 0, "recoverable": 0}}),
            ),
        ),
    ),
    Step(
        to=4,
        why="what statements say that a partner has earned is kept by day in `earnings`, by which closings work out "
        "guarantees; agreements have terms for closings, and the balances `reserve` and `advance` go with them",
        updates=(
            Update(
                "earnings",
                "accounts",
                {"type": "SettlementAccount"},
                _earnings,
                again=True,
                into="earnings",
                # One may have millions of lines.
                page=1,
            ),
        ),
    ),
    Step(
        to=5,
        why="a statement that was carried forward says which one has brought it forward, where the partner is "
        "self-billed, and a dispute says in whose name its invoice is",
        updates=(
            Update(
                "carried forward",
                "accounts",
                {"type": "SettlementAccount"},
                _carried,
                again=True,
                into="settlements",
                page=1,
            ),
            Update(
                "sellers of disputes",
                "disputes",
                {"seller": {"$exists": False}},
                _sellers,
                {"billNo": 1},
                # Those of our own invoices have none.
                again=True,
            ),
        ),
    ),
    Step(
        to=6,
        why="what was billed of a period of a subscription is one document for all its prices, and says what a price "
        "came to only where its one line does not",
        updates=(
            Update(
                "prices of periods",
                "billedPeriods",
                {"priceId": _THERE},
                _periods,
                dict.fromkeys(("subscriptionId", "priceId", "period", "charged", "lines"), 1),
            ),
        ),
    ),
    Step(
        to=7,
        why="a position says through which date charges to its account are billed, and a charge whether it was left "
        "behind that: what is billed leaves no index any more",
        updates=(
            Update("charges through", "positions", {}, _charges_through, again=True),
            Update(
                "behind",
                "charges",
                {"behind": {"$exists": False}},
                _behind,
                {"billingAccount": 1, "date": 1, "billed": 1},
            ),
        ),
    ),
)
"""All steps that there ever were, in order. One that was released is never changed: a later one is added."""

FORM = STEPS[-1].to
"""The form that this version works on. Form 1 is that of the databases without a number."""
