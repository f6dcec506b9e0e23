"""The books at one point in time, to read from: a snapshot session, so that many reads are as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from pymongo.errors import PyMongoError

from adapters.mongodb.connection import is_transient
from adapters.values import VALUES, read_of, referred_to
from domain.errors import Refused
from domain.ledger.books import Need, WorkingSet
from schemas.query import Query

Json = dict[str, Any]
Row = dict[str, Any]

Reads = tuple[tuple[type[Query], Callable[[Any, "View"], Awaitable[Json | bytes]]], ...]
"""What answers each query: what a capability lists."""

Load = Callable[[Iterable[Need], WorkingSet], Awaitable[None]]
"""Loads what a fact looks at into a working set."""


async def _no_load(_needs: Iterable[Need], _books: WorkingSet) -> None:
    raise AssertionError("this view loads no books")


BY_ID = "_id_"
"""The index of `_id`. Where a read names other fields too, the server might take another one and read a lot in vain."""
READ_MS_MAX = 5_000
"""How long one read may take the server."""
BATCH_ROWS = 1_000
"""How many rows come at once where all are wanted."""

_SNAPSHOT_TOO_OLD = 239
_SNAPSHOT_UNAVAILABLE = 246


def is_unavailable(error: BaseException) -> bool:
    """Whether the database is away, or too slow for a query: asked again later it may well answer."""
    return is_transient(error) or getattr(error, "code", None) in (_SNAPSHOT_TOO_OLD, _SNAPSHOT_UNAVAILABLE)


def moved(error: BaseException) -> bool:
    """Whether the server has no snapshot that shows a collection, since that was changed just now."""
    return isinstance(error, PyMongoError) and getattr(error, "code", None) == _SNAPSHOT_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class View:
    """The database at one point in time; `now` is the worker's clock, `zone` the one that dates are taken in.

    `load` loads what a fact looks at, for a query that tries one out; its own time is at most `ahead_max` ahead of now.
    Of a `party` (its id, in NFC) it has the accounts that are related to it now, and what belongs to them, as if
    nothing else were there; None: it has all. What reads accounts by other ways than `account` and `check_account`
    holds to that itself: by `whose`, or by `shows` for what belongs to an account.
    """

    database: Any
    session: Any
    now: datetime
    zone: tzinfo
    load: Load = _no_load
    ahead_max: timedelta = timedelta.max
    party: str | None = None

    @property
    def whose(self) -> Row:
        """The condition on accounts, beside others that an index serves, that they are in this view."""
        return {} if self.party is None else {"parties": self.party}

    async def shown(self, account_ids: Iterable[str]) -> set[str]:
        """Those of these accounts that are in this view, or would be if they were there."""
        ids = set(account_ids)
        if self.party is None or not ids:
            return ids
        which = {"_id": {"$in": sorted(ids)}, **self.whose}
        return {row["_id"] for row in await self.find("accounts", which, fields={"_id": 1}, index=BY_ID)}

    async def shows(self, *account_ids: str) -> bool:
        """Whether what belongs to one of these accounts is in this view."""
        return bool(await self.shown(account_ids))

    def date_of(self, moment: datetime) -> date:
        """The date of a time, where the seller is."""
        return moment.astimezone(self.zone).date()

    @property
    def today(self) -> str:
        """The date of now, as documents keep it."""
        return self.date_of(self.now).isoformat()

    def cursor(
        self,
        collection: str,
        query: Mapping[str, Any],
        *,
        fields: Mapping[str, int] | None = None,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        index: str | None = None,
        batch: int = 0,
    ) -> Any:
        """A find; `index` is the one that must serve it. Each read is limited in time."""
        return self.database[collection].find(
            query,
            fields,
            sort=sort,
            limit=limit,
            hint=index,
            batch_size=batch,
            max_time_ms=READ_MS_MAX,
            session=self.session,
        )

    async def find(self, collection: str, query: Mapping[str, Any], **how: Any) -> list[Row]:
        """All that `cursor` finds."""
        found: list[Row] = await self.cursor(collection, query, batch=BATCH_ROWS, **how).to_list(None)
        return found

    async def one(self, collection: str, query: Mapping[str, Any], **how: Any) -> Row | None:
        """The first that `cursor` finds, or None."""
        found = await self.find(collection, query, limit=1, **how)
        return found[0] if found else None

    async def aggregate(
        self, collection: str, pipeline: list[dict[str, Any]], *, index: str | None = None
    ) -> list[Row]:
        """All that an aggregation gives."""
        options: dict[str, Any] = {} if index is None else {"hint": index}
        cursor = await self.database[collection].aggregate(
            pipeline, maxTimeMS=READ_MS_MAX, session=self.session, **options
        )
        found: list[Row] = await cursor.to_list(None)
        return found

    async def values(self, rows: Sequence[Row], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The large values that rows refer to, by id; those among the `known` ones are not read again."""
        known = known or {}
        ids = referred_to(rows)
        missing = [id_ for id_ in ids if id_ not in known]
        found = await self.find(VALUES, {"_id": {"$in": missing}}, index=BY_ID) if missing else []
        return {id_: known[id_] for id_ in ids if id_ in known} | read_of(found)

    async def account(self, account_id: str) -> Row:
        """The row of an account that is not deleted; raises `Refused` (`unknown-account`)."""
        row = await self.one("accounts", {"_id": account_id})
        if row is None or row["state"] == "deleted" or not self.has(row):
            raise unknown("account", account_id)
        return row

    async def check_account(self, account_id: str, type_: str, field: str) -> None:
        """See that there is an account of a type; raises `Refused` (`unknown-account`, `invalid`)."""
        row = await self.one("accounts", {"_id": account_id}, fields={"state": 1, "type": 1, "parties": 1})
        if row is None or row["state"] == "deleted" or not self.has(row):
            raise unknown("account", account_id, field)
        if row["type"] != type_:
            raise Refused("invalid", f"{field}: {account_id} is a {row['type']}, not a {type_}")

    def has(self, account: Row) -> bool:
        """Whether an account, of which one knows its `parties`, is in this view."""
        return self.party is None or self.party in account["parties"]


def unknown(kind: str, id_: str, field: str = "id") -> Refused:
    """That there is no account, invoice, settlement or specification of this id."""
    return Refused(f"unknown-{kind}", f"{field}: no {kind} {id_}")


@asynccontextmanager
async def view(database: Any, now: datetime, zone: tzinfo) -> AsyncIterator[View]:
    """The books as they are when they are first read; the database is one of PyMongo's asynchronous API."""
    async with database.client.start_session(snapshot=True) as session:
        yield View(database, session, now, zone)
