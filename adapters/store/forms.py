"""The number of the form in which a database holds the books, and what is made of a database that has none yet.

The document `form` of the collection `meta` has it: `{_id: "form", number}`, and `migrating` while a migration is under
way. Databases of the first version have no such document; they are of form 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from adapters.mongodb.connection import is_taken_key
from adapters.store.collections import INDEXES
from adapters.store.steps import FORM

Row = dict[str, Any]

META = "meta"
THE_FORM = {"_id": "form"}
SIGNATURE = frozenset({"entries", "held", "inbox", "outbox", "series"})
"""The collections by which books without a number are known."""
FIRST = 1
"""The form of books without a number."""

_NAMESPACE_EXISTS = 48
_INDEX_IN_THE_WAY = (85, 86)
"""An index of the same keys has another name or other options; one of the same name has other keys."""
_NOT_COMPARED = ("v", "ns", "name", "key", "background")


class WrongForm(Exception):
    """The database can't be worked on as it is; the message is one line that says what to do."""


def check_row(row: Row, name: str, *, newest: int = FORM, older: bool = False) -> None:
    """Raise `WrongForm` unless the document `form` of the database `name` says that it is of this version's form.

    `newest` is that form. With `older` an earlier one will do, and one that is being brought to this one.
    """
    number, migrating = row.get("number"), row.get("migrating")
    if not isinstance(number, int):
        raise WrongForm(f"the document `form` of `meta` in the database {name} has no number: restore it from a dump")
    if max(number, migrating["to"] if migrating else 0) > newest:
        raise WrongForm(
            f"the database {name} was brought to a form by a newer version, and this one knows forms up to {newest}: "
            "install the version that migrated it, or restore the dump that was taken before"
        )
    if older:
        return
    if migrating:
        raise WrongForm(
            f"a migration of the database {name} to form {migrating['to']} is under way, or was interrupted: "
            "let it end, or run `paymaster migrate`, which goes on with it"
        )
    if number < newest:
        raise WrongForm(
            f"the database {name} is of form {number}, of an earlier version, and this one works on form {newest}: "
            "stop all workers, take a dump (mongodump), then run `paymaster migrate`"
        )


def has_books(names: Collection[str]) -> bool:
    """Whether a database with these collections holds books, of whatever form."""
    return set(names) >= SIGNATURE


async def check(database: Any) -> None:
    """Raise `WrongForm` unless the database is of this version's form, or has no books yet; and the driver's errors."""
    row = await database[META].find_one(THE_FORM)
    if row is None:
        if not has_books(await database.list_collection_names()):
            return
        # By now another worker may have made them.
        row = await database[META].find_one(THE_FORM) or {**THE_FORM, "number": FIRST}
    check_row(row, database.name)


def check_now(database: Database[Row]) -> None:
    """The same without an event loop."""
    row = database[META].find_one(THE_FORM)
    if row is None:
        if not has_books(database.list_collection_names()):
            return
        row = database[META].find_one(THE_FORM) or {**THE_FORM, "number": FIRST}
    check_row(row, database.name)


async def check_number(database: Any) -> None:
    """The same for a running worker, which goes on where there is no number: such a database is not being migrated."""
    if row := await database[META].find_one(THE_FORM):
        check_row(row, database.name)


async def prepare(database: Any) -> None:
    """Make what is missing of the collections and indexes; safe beside other workers that do the same.

    Raises `WrongForm` when the database is of another form, is being migrated, has an index that is not as it is
    declared, or has rows of somebody else's in collections named as ours; and the driver's errors.
    """
    await check(database)
    if await database[META].find_one(THE_FORM) is None:
        await _begin(database)
        await check(database)
    names = set(await database.list_collection_names())
    # All of them are over before one's failure is raised: whoever is told of it closes the client that they use.
    ended = await asyncio.gather(
        *(_prepare(database, name, indexes, names) for name, indexes in INDEXES.items()), return_exceptions=True
    )
    for error in ended:
        if error is not None:
            raise error


async def _begin(database: Any) -> None:
    """Say that a new database is of this version's form, before anything else is in it."""
    for name in sorted(INDEXES.keys() & set(await database.list_collection_names())):
        if name != META and await database[name].find_one({}, {"_id": 1}) is not None:
            raise WrongForm(not_ours(database.name, name))
    try:
        await database[META].update_one(THE_FORM, {"$setOnInsert": {"number": FORM}}, upsert=True)
    except OperationFailure as error:
        if not is_taken_key(error):  # otherwise another worker was first
            raise


def not_ours(database: str, collection: str) -> str:
    """The line that says that a database is somebody else's."""
    return (
        f"the database {database} has no books, and a collection {collection} that is not ours: "
        "is PAYMASTER_DATABASE right?"
    )


async def _prepare(database: Any, name: str, declared: Sequence[IndexModel], there: Collection[str]) -> None:
    if name not in there:
        try:
            await database.create_collection(name)
        except CollectionInvalid:
            pass
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
    if not declared:
        return
    answer = await database.command("listIndexes", name, codec_options=database.codec_options)
    state = compare(answer["cursor"]["firstBatch"], declared)
    if state.differing:
        raise WrongForm(
            f"the index {state.differing[0]} of {name} in the database {database.name} is not as this version "
            "declares it: stop all workers, then run `paymaster migrate`, which makes it anew"
        )
    if state.missing:
        try:
            await database[name].create_indexes(state.missing)
        except OperationFailure as error:
            raise (in_the_way(error, database.name, name) or error) from error


@dataclass(frozen=True, slots=True)
class IndexState:
    """Which of a collection's declared indexes are not there, and the names of those that are other than declared."""

    missing: list[IndexModel]
    differing: list[str]


def compare(listed: Sequence[Mapping[str, Any]], declared: Sequence[IndexModel]) -> IndexState:
    """Compare a collection's indexes, as the server lists them, with those that are declared."""
    there = {index["name"]: _definition(index) for index in listed}
    missing = [index for index in declared if index.document["name"] not in there]
    wanted = {index.document["name"]: _definition(index.document) for index in declared}
    return IndexState(missing, [name for name in wanted if name in there and there[name] != wanted[name]])


def _definition(index: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], Row]:
    return list(index["key"].items()), {name: index[name] for name in index if name not in _NOT_COMPARED}


def in_the_way(error: OperationFailure, database: str, collection: str) -> WrongForm | None:
    """What to say when an index that is not ours keeps one of ours from being made; None for any other error."""
    if error.code not in _INDEX_IN_THE_WAY:
        return None
    said = str(error).partition(", full error")[0]
    return WrongForm(f"an index of {collection} in the database {database} that is not ours is in the way: {said}")
