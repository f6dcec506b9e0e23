"""Brings a database that an earlier version wrote to this version's form, by steps and pages, marked as under way.

The mark is in the document that has the form's number, and is taken off in the write that raises the number. Whoever
migrates holds it by a claim that has to be renewed: of two that migrate at once the second waits, and when the first
dies goes on where it was. Each page of an update is one transaction, in which the claim is checked and the place is
written down.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pymongo import IndexModel, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from adapters.mongodb.connection import MAJORITY, MIGRATE_APP_NAME, TRANSACTION, check_hello
from adapters.store.collections import INDEXES, RETIRED
from adapters.store.forms import FIRST, META, THE_FORM, WrongForm, check_row, compare, has_books, in_the_way, not_ours
from adapters.store.steps import STEPS, Row, Step, Update

PAGE_ROWS = 500
"""How many rows one transaction changes."""
LEASE_SECONDS = 30
"""How long a claim lasts that is not renewed. Another `migrate` waits so long for one that was killed."""
RENEWAL_SECONDS = 5
WAIT_SECONDS = 0.5
"""How often one that waits looks whether it is its turn."""
LOCKED_MS_MAX = 1_000
"""How long to wait for the mark when a page's transaction has locked it."""
ABANDONED_SECONDS = 10
"""A transaction that has been silent for so long counts as left open."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be reached: all steps, and the indexes as they are declared (`retired`: and those no longer so)."""

    steps: tuple[Step, ...] = STEPS
    indexes: Mapping[str, Sequence[IndexModel]] = field(default_factory=lambda: INDEXES)
    retired: Mapping[str, Sequence[str]] = field(default_factory=lambda: RETIRED)

    @property
    def form(self) -> int:
        """The number of the form that is reached."""
        return self.steps[-1].to


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one part of a migration is: so many documents `of` as many, when that is known.

    `form` is the step's, None for what belongs to no step.
    """

    form: int | None
    what: str
    documents: int
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Updated:
    """How many documents an update has changed, or put into others, by all runs that it took."""

    name: str
    collection: str
    documents: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that was done, its updates in order."""

    to: int
    why: str
    updates: tuple[Updated, ...]


@dataclass(slots=True)
class Migrated:
    """What a migration did: `found` and `form` are the forms before and after (None: there are no books yet).

    `dropped` and `made` are indexes, as `<collection>.<name>`; `collections` those that were made.
    """

    found: int | None
    form: int | None
    steps: list[Stepped] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.steps or self.dropped or self.made or self.collections)


Tell = Callable[[Progress], None]


def migrate(database: Database[Row], tell: Tell, plan: Plan | None = None) -> Migrated:
    """Bring a database to the form of this version; `tell` is told how far it is, and what it waits for.

    Stopped at whatever point, killed or cut off from the database, it is run again and goes on. While another one is at
    it, it waits for that to end, or to die.

    Raises `WrongForm` when the database is of a newer version or not ours, `WrongServer` and the driver's errors.
    """
    plan = plan or Plan()
    check_hello(database.client.admin.command("hello"))
    database = database.with_options(write_concern=MAJORITY)
    found = _number(database, plan)
    if found is None:
        return Migrated(None, None)
    migrated = Migrated(found, plan.form)
    if found == plan.form and not _is_marked(database) and not _Indexes(database, plan).work():
        return migrated
    with _claimed(database, plan, tell) as claim:
        # Another one may have done it all meanwhile.
        migrated.found = claim.row["number"]
        _do(database, plan, claim, migrated, tell)
    return migrated


def _number(database: Database[Row], plan: Plan) -> int | None:
    """The number of the form that the database is of, written down where it was not; None when it is empty."""
    row = database[META].find_one(THE_FORM)
    if row is None:
        names = database.list_collection_names()
        if not names:
            return None
        if not has_books(names):
            raise WrongForm(not_ours(database.name, min(names)))
        database[META].update_one(THE_FORM, {"$setOnInsert": {"number": FIRST}}, upsert=True)
        row = database[META].find_one(THE_FORM) or {}
    check_row(row, database.name, newest=plan.form, older=True)
    return int(row["number"])


def _is_marked(database: Database[Row]) -> bool:
    row = database[META].find_one(THE_FORM)
    return row is None or "migrating" in row


def _do(database: Database[Row], plan: Plan, claim: _Claim, migrated: Migrated, tell: Tell) -> None:
    indexes = _Indexes(database, plan)
    migrated.collections = indexes.make_collections()
    # What is not to be unique any more must not be in the way of an update.
    migrated.dropped = indexes.drop()
    left = [step for step in plan.steps if step.to > claim.row["number"]]
    for step in left:
        for update in step.updates:
            _update(database, step, update, claim, tell)
        counts = {place["update"]: place["documents"] for place in claim.places}
        migrated.steps.append(
            Stepped(
                step.to,
                step.why,
                tuple(Updated(one.name, one.changed, counts[_key(step, one)]) for one in step.updates),
            )
        )
        if step is not left[-1]:
            claim.set({"number": step.to})
    migrated.made = indexes.make(tell)
    claim.finish(plan.form)


def _key(step: Step, update: Update) -> str:
    return f"{step.to}: {update.name}"


def _update(database: Database[Row], step: Step, update: Update, claim: _Claim, tell: Tell) -> None:
    """Do an update from where it is; raises `WrongForm` when rows come up that it should have left none of."""
    key = _key(step, update)
    place = claim.place(key)
    if place["done"]:
        return
    collection = database[update.collection]
    of = place["documents"] + collection.count_documents(dict(update.which))
    what = f"{update.name} ({update.changed})"
    tell(Progress(step.to, what, place["documents"], of))
    while True:
        page = _page(database, update, claim, place)
        if page["after"] == place["after"]:
            break
        place = page
        tell(Progress(step.to, what, place["documents"], max(of, place["documents"])))
    if not update.again and collection.find_one(dict(update.which), {"_id": 1}) is not None:
        claim.write_place({**place, "after": None})
        raise WrongForm(
            f"there are new rows of {update.collection} in the database {database.name} that are of the earlier form: "
            "a worker of the earlier version still runs; stop it, and run `paymaster migrate` again"
        )
    claim.write_place({**place, "done": True})


def _page(database: Database[Row], update: Update, claim: _Claim, place: Row) -> Row:
    """Change the next page of rows, and write down how far it is, in one transaction; returns the place after it."""
    after = {} if place["after"] is None else {"_id": {"$gt": place["after"]}}
    collection = database[update.collection]

    def do(session: ClientSession) -> Row:
        # First, so that whoever has lost its claim, or renews it at this moment, waits here and not at the end.
        claim.check(session)
        found = collection.find({"$and": [after, dict(update.which)]}, dict(update.fields), session=session)
        rows = list(found.sort("_id", 1).hint("_id_").limit(min(PAGE_ROWS, update.page or PAGE_ROWS)))
        if not rows:
            return place
        operations = list(update.write(database, session, rows))
        if operations:
            database[update.changed].bulk_write(operations, session=session)
        # Each row that needs it counts once, whatever is written for it; where all are gone through, only some need it.
        changed = len(operations) if update.again else len(rows)
        page = {**place, "after": rows[-1]["_id"], "documents": place["documents"] + changed}
        claim.write_place(page, session)
        return page

    with database.client.start_session() as session:
        page: Row = session.with_transaction(do, **TRANSACTION)
    claim.remember(page)
    return page


# -- the mark, and who holds it


class _Claim:
    """The mark that a migration is under way, held by this process; `row` is the document as it was claimed."""

    def __init__(self, meta: Collection[Row], token: str, row: Row) -> None:
        self._meta = meta
        self._which = {**THE_FORM, "migrating.claim": token}
        self._database = meta.database.name
        self.row = row
        self.places: list[Row] = row["migrating"]["updates"]

    def place(self, update: str) -> Row:
        """How far an update is."""
        begun = {"update": update, "after": None, "documents": 0, "done": False}
        return next((place for place in self.places if place["update"] == update), begun)

    def remember(self, place: Row) -> None:
        """What is written down of an update's place is this."""
        self.places = self._with(place)

    def write_place(self, place: Row, session: ClientSession | None = None) -> None:
        """Write down how far an update is."""
        places = self._with(place)
        self.set({"migrating.updates": places}, session)
        if session is None:
            self.places = places

    def _with(self, place: Row) -> list[Row]:
        return [one for one in self.places if one["update"] != place["update"]] + [place]

    def check(self, session: ClientSession) -> None:
        """Renew the claim, and keep it from being lost within the transaction; `WrongForm` when it is lost already."""
        self._write([{"$set": {"migrating.until": _in(LEASE_SECONDS)}}], session)

    def set(self, fields: Mapping[str, Any], session: ClientSession | None = None) -> None:
        """Change the document; raises `WrongForm` when the claim is lost."""
        self._write({"$set": dict(fields)}, session)

    def finish(self, number: int) -> None:
        """Raise the number and take off the mark, in one write."""
        self._write({"$set": {"number": number}, "$unset": {"migrating": ""}})

    def _write(self, change: Any, session: ClientSession | None = None) -> None:
        if not self._meta.update_one(self._which, change, session=session).matched_count:
            raise WrongForm(
                f"another `paymaster migrate` has taken over the database {self._database}, since this one was silent "
                f"for {LEASE_SECONDS} seconds: let that one end"
            )

    def extend(self, seconds: float) -> None:
        """Hold it for so many seconds from now on, by the server's clock."""
        self._meta.update_one(self._which, [{"$set": {"migrating.until": _in(seconds)}}])


def _in(seconds: float) -> Row:
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(seconds * 1000)}}


@contextmanager
def _claimed(database: Database[Row], plan: Plan, tell: Tell) -> Iterator[_Claim]:
    """Hold the mark while the block runs. It stays when the block fails, free for whoever comes next."""
    token = uuid4().hex
    claim = _Claim(database[META], token, _claim(database, plan, token, tell))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            with suppress(PyMongoError):  # away: whoever finds the claim lost says so
                claim.extend(LEASE_SECONDS)

    renewing = threading.Thread(target=renew, name="renewal", daemon=True)
    renewing.start()
    failed = True
    try:
        yield claim
        failed = False
    finally:
        # A renewal that is under way would hold again what is freed here.
        ended.set()
        renewing.join()
        if failed:
            with suppress(PyMongoError):
                claim.extend(0)


def _claim(database: Database[Row], plan: Plan, token: str, tell: Tell) -> Row:
    """Set the mark, or take it over from one that died; waits while another one holds it. Returns the document."""
    mark = {
        "to": plan.form,
        "claim": token,
        "by": {"$literal": f"{socket.gethostname()}:{os.getpid()}"},
        "since": {"$ifNull": ["$migrating.since", "$$NOW"]},
        "until": _in(LEASE_SECONDS),
        "updates": {"$ifNull": ["$migrating.updates", []]},
    }
    free = [{"migrating": None}, {"$expr": {"$lte": ["$migrating.until", "$$NOW"]}}]
    told = False
    while True:
        which = {**THE_FORM, "$or": free, "number": {"$lte": plan.form}, "migrating.to": {"$not": {"$gt": plan.form}}}
        try:
            row = database[META].find_one_and_update(
                which,
                [{"$set": {"migrating": mark}}],
                return_document=ReturnDocument.AFTER,
                maxTimeMS=LOCKED_MS_MAX,
            )
        except ExecutionTimeout:
            # Within a page's transaction: one that was killed has left it open.
            _end_abandoned(database)
        else:
            if row is not None:
                return row
        row = database[META].find_one(THE_FORM) or {}
        check_row(row, database.name, newest=plan.form, older=True)
        if not told:
            by = row.get("migrating", {}).get("by", "another one")
            tell(Progress(None, f"waiting for {by}, which migrates, or died less than {LEASE_SECONDS} seconds ago", 0))
            told = True
        time.sleep(WAIT_SECONDS)


def _end_abandoned(database: Database[Row]) -> None:
    """End the transactions that a `migrate` left open when it died: the server would keep them for a minute.

    One that lives and was silent for so long runs its page again.
    """
    silent = {"transaction.timeInactiveMicros": {"$gte": int(ABANDONED_SECONDS * 1e6)}}
    idle = {"type": "idleSession", "appName": MIGRATE_APP_NAME, **silent}
    admin = database.client.get_database("admin", read_concern=ReadConcern("local"))
    with suppress(OperationFailure):  # who may not is served a minute later
        sessions = admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": idle}])
        if abandoned := [{"id": session["lsid"]["id"]} for session in sessions]:
            admin.command("killSessions", abandoned)


# -- collections and indexes


class _Indexes:
    """The collections and indexes of a database, beside those that are declared."""

    def __init__(self, database: Database[Row], plan: Plan) -> None:
        self._database = database
        self._plan = plan
        self._there = set(database.list_collection_names())

    def work(self) -> bool:
        """Whether anything is not as it is declared."""
        if self._plan.indexes.keys() - self._there:
            return True
        return bool(self._outdated()) or any(self._missing(name) for name in self._plan.indexes)

    def make_collections(self) -> list[str]:
        """Make the collections that are not there; returns their names."""
        missing = sorted(self._plan.indexes.keys() - self._there)
        for name in missing:
            self._database.create_collection(name)
            self._there.add(name)
        return missing

    def drop(self) -> list[str]:
        """Drop the indexes that are other than declared, and those that are not declared any more."""
        outdated = self._outdated()
        for collection, name in outdated:
            self._database[collection].drop_index(name)
        return [f"{collection}.{name}" for collection, name in outdated]

    def make(self, tell: Tell) -> list[str]:
        """Make the indexes that are not there, one by one, since each reads its whole collection."""
        missing = [(name, index) for name in self._plan.indexes for index in self._missing(name)]
        made: list[str] = []
        for collection, index in missing:
            tell(Progress(None, "indexes", len(made), len(missing)))
            try:
                self._database[collection].create_indexes([index])
            except OperationFailure as error:
                raise (in_the_way(error, self._database.name, collection) or error) from error
            made.append(f"{collection}.{index.document['name']}")
        if made:
            tell(Progress(None, "indexes", len(made), len(missing)))
        return made

    def _listed(self, collection: str) -> list[Row]:
        if collection not in self._there:
            return []
        options = self._database.codec_options
        answer = self._database.command("listIndexes", collection, codec_options=options)
        listed: list[Row] = answer["cursor"]["firstBatch"]
        return listed

    def _missing(self, collection: str) -> list[IndexModel]:
        return compare(self._listed(collection), self._plan.indexes[collection]).missing

    def _outdated(self) -> list[tuple[str, str]]:
        found = [
            (collection, name)
            for collection, declared in self._plan.indexes.items()
            for name in compare(self._listed(collection), declared).differing
        ]
        for collection, names in self._plan.retired.items():
            there = {index["name"] for index in self._listed(collection)}
            found += [(collection, name) for name in names if name in there]
        return found
