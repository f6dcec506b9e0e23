"""Single accounts, now and as they were, and lists of accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from pydantic_core import from_json, to_json

from adapters.accounts.codecs import decode_account
from adapters.accounts.documents import whole_snapshot
from adapters.accounts.queries.standings import standing_at, standings
from adapters.mongodb.paging import Page, keyset, prefixed
from adapters.mongodb.view import BY_ID, Json, Row, View, unknown
from domain.accounts.model import BILLING, FINANCIAL, PARTY, SETTLEMENT, Account, Standing
from domain.errors import Refused
from domain.money import Currency
from schemas.accounts.queries import AccountGet, AccountList, account_document, account_written, of_a_party
from schemas.query import cursor
from schemas.values import normal

TYPES = (BILLING, FINANCIAL, PARTY, SETTLEMENT)
LIVE = ("active", "closed", "defined", "pendingClose", "suspended")
"""The states of accounts that are there."""
EXAMINED_MAX = 20_000
"""A page ends early after so many accounts that a filter left out, so that no query takes long."""
CHUNK_MAX = 2_000
GROWTH = 4
"""At first a page reads half as many candidates again as it has items; while that is too few, so many times more."""
WRITTEN = dict.fromkeys(("type", "currency", "currencyDigits", "json"), 1)
"""What is read of an account to show it."""


async def get(query: AccountGet, view: View) -> Json | bytes:
    """`account.get`."""
    if query.at is not None:
        # What is to come is not known: it is as it is now.
        at = min(query.at, view.now)
        if not await view.shows(query.id):
            raise unknown("account", query.id)
        account = await account_at(view, query.id, at)
        document = account_document(account, await standing_at(view, account, at))
        return document if view.party is None else of_a_party(document, view.party)
    row = await view.account(query.id)
    [standing] = await standings(view, [row])
    return _written(row, standing, view)


def _written(row: Row, standing: Standing, view: View) -> bytes:
    document = row["json"]
    if view.party is not None:
        document = to_json(of_a_party(from_json(document), view.party))
    return account_written(document, row["type"], Currency(row["currency"], row["currencyDigits"]), standing)


async def account_at(view: View, account_id: str, at: datetime) -> Account:
    """An account as it was at a time; raises `Refused` (`unknown-account`) when there was none.

    To a party it was there while it was related to that party, as it is now.
    """
    row = await view.one(
        "accountVersions",
        {"account": account_id, "bookedAt": {"$lte": at}},
        sort=[("account", -1), ("version", -1)],
        index="history",
    )
    if row is None or row["newState"] == "deleted" or not view.has(row["snapshot"]):
        raise unknown("account", account_id)
    account: Account = decode_account(whole_snapshot(row, await view.values([row])))
    return account


@dataclass(frozen=True, slots=True)
class _Way:
    """An order that lists go by: where the candidates are read, by which index, and by which fields they are placed."""

    name: str
    collection: str
    index: str
    order: tuple[str, ...]
    query: Row
    positions: Row = field(default_factory=dict)
    """What is still asked of the candidates' positions."""
    accounts: Row = field(default_factory=dict)
    """And of the accounts."""

    @property
    def loose(self) -> bool:
        """Whether another filter is still to be put to the candidates, which may leave out most of them."""
        return bool(self.positions or self.accounts)

    @property
    def whole(self) -> bool:
        """Whether the candidates are read as what they are at once: accounts that fit."""
        return self.collection == "accounts" and not self.loose

    def place(self, row: Row) -> tuple[str, str]:
        """A candidate's place in the order; its account's id comes last."""
        return (row[self.order[0]] if len(self.order) == 2 else "", row["_id"])

    async def candidates(self, view: View, after: tuple[str, str] | None, limit: int) -> list[Row]:
        """The next candidates: the fields of their places, which stand in the index, or whole accounts."""
        fields = dict.fromkeys(self.order, 1) | (WRITTEN if self.whole else {})
        read = partial(view.find, self.collection, index=self.index, fields=fields)
        if len(self.order) == 2:
            return await keyset(read, self.query, (self.order[0], self.order[1]), after, limit)
        # An index whose first field is not asked for would be read without looking at its others.
        query = {**self.query, "_id": {"$gt": "" if after is None else after[1]}}
        return await read(query, sort=[("_id", 1)], limit=limit)


def _way(query: AccountList, view: View) -> _Way | None:
    """How a list is read; None when no account can fit.

    A party has few accounts, so it comes first; then the beginning of a name; then what is owed and since when: those
    who owe are fewer than those who do not, if more than those in any state but `active`.
    """
    status = query.payment_status
    types = [query.type] if query.type else [BILLING] if status else list(TYPES)
    if status and types != [BILLING]:
        return None
    accounts: Row = {"state": {"$in": [query.state] if query.state else list(LIVE)}, "type": {"$in": types}}
    named = {} if query.name_prefix is None else {"nameKey": prefixed(query.name_prefix)}
    positions: Row = {}
    if status:
        positions = {
            "oldestDue": {
                "paid": None,
                "due": {"$gt": "", "$gte": view.today},
                "inArrears": {"$gt": "", "$lt": view.today},
            }[status]
        }
    related = None if query.related_party is None else normal(query.related_party)
    parties = {one for one in (view.party, related) if one is not None}
    if parties:
        # Of two an index finds one; that it is of the other too is asked with it, so that no place in the list is that
        # of an account which is not in the view.
        which = {"parties": {"$all": sorted(parties)}, **accounts, **named}
        return _Way("party", "accounts", "party", ("_id",), which, positions)
    if named:
        return _Way("named", "accounts", "named", ("nameKey", "_id"), {**accounts, **named}, positions)
    if status in ("due", "inArrears") and query.state in (None, "active"):
        state = {} if query.state is None else {"state": query.state}
        return _Way("owing", "positions", "owing", ("oldestDue", "_id"), positions, accounts=state)
    if query.type is None and query.state is None and status is None:
        return _Way("listed", "accounts", "all", ("_id",), {"state": {"$in": list(LIVE)}})
    return _Way("listed", "accounts", "listed", ("_id",), accounts, positions)


async def page(query: AccountList, view: View) -> bytes:
    """`account.list`: by id; those whose name begins in some way by name; those who owe by their oldest due date."""
    page = Page(query.limit)
    way = _way(query, view)
    if way is None:
        return page.answer(None)
    after: tuple[str, str] | None = None
    if query.after is not None:
        if query.after[0] != way.name:
            raise Refused("invalid", "after: is of a list with other filters")
        after = query.after[1:]
    examined, size = 0, query.limit * 3 // 2 + 1
    while True:
        # No more are read than one that shows whether there is a next page.
        wanted = query.limit - len(page.items) + 1
        fit: list[Row] = []
        read_to, ended = after, False
        while len(fit) < wanted and not ended and examined < EXAMINED_MAX:
            many = min(CHUNK_MAX, max(size, wanted)) if way.loose else wanted
            candidates = await way.candidates(view, read_to, many)
            fit += await _fitting(view, way, candidates) if way.loose else candidates
            read_to, ended = (way.place(candidates[-1]) if candidates else read_to), len(candidates) < many
            examined += many
            size *= GROWTH
        documents = await _documents(view, way, fit[:wanted])
        for row in fit[:wanted]:
            if row["_id"] in documents and not page.take(documents[row["_id"]]):
                return page.answer(cursor(AccountList.TYPE, way.name, *(after or ("", ""))))
            after = way.place(row)
        if len(fit) > wanted:
            continue  # one of them was deleted, which its position did not show
        if ended:
            return page.answer(None)
        after = read_to
        if examined >= EXAMINED_MAX:
            return page.answer(cursor(AccountList.TYPE, way.name, *(after or ("", ""))))


async def _fitting(view: View, way: _Way, candidates: list[Row]) -> list[Row]:
    """The candidates that fit the filters which the index does not cover."""
    for collection, filter_ in (("accounts", way.accounts), ("positions", way.positions)):
        if filter_:
            which: Row = {"_id": {"$in": [row["_id"] for row in candidates]}, **filter_}
            fit = {row["_id"] for row in await view.find(collection, which, fields={"_id": 1}, index=BY_ID)}
            candidates = [row for row in candidates if row["_id"] in fit]
    return candidates


async def _documents(view: View, way: _Way, rows: list[Row]) -> dict[str, bytes]:
    """The documents, as JSON, of those candidates whose accounts are there, by id."""
    if not way.whole:
        ids = [row["_id"] for row in rows]
        which = {"_id": {"$in": ids}, "state": {"$in": list(LIVE)}}
        rows = await view.find("accounts", which, fields=WRITTEN, index=BY_ID) if ids else []
    return {
        row["_id"]: _written(row, standing, view)
        for row, standing in zip(rows, await standings(view, rows), strict=True)
    }
