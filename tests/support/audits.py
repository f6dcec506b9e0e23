"""The audit, with what it read of the same documents before: a view is a function of the collections that it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

from pymongo.client_session import ClientSession
from pymongo.database import Database

import adapters.audit
from adapters.audit import read_here, read_view
from adapters.checks import Check, Reading
from tests.support.abandoned import end_abandoned_transactions

Document = dict[str, Any]

Found = dict[str, Document]

_REMEMBERED: dict[tuple[object, ...], Found] = {}
"""What views and readings found, by all that it follows from."""

_READ: dict[str, tuple[list[str], list[str], list[str]]] = {}
"""What `what_is_read` says of a view, by its name."""

_EMPTY = (None, hashlib.md5(usedforsecurity=False).hexdigest())
"""The hash of a collection that has no documents, or is not there."""


def quick_audit(database: Database[Document], **options: Any) -> Document:
    """What `adapters.audit.audit` reports; to be called while nobody writes to the database.

    A view is read only where the documents of its collections, or what is said to the audit, were never seen together
    in this process: most collections of a test's database are empty, and a test breaks one document in one of them.
    """
    end_abandoned_transactions(database.client)
    hashes: dict[str, str] = database.command("dbHash")["collections"]

    def view(checks: Sequence[Check], _: object, session: ClientSession, variables: Document) -> Found:
        name = checks[0].view.name
        if name not in _READ:
            _READ[name] = what_is_read(checks, variables)
        said, first, collections = _READ[name]
        if all(hashes.get(name) in _EMPTY for name in first):
            return {check.name: {"checked": 0, "broken": [], "brokenTotal": 0} for check in checks}
        key = (name, *(variables[name] for name in said), *(hashes.get(name) for name in collections))
        if key not in _REMEMBERED:
            _REMEMBERED[key] = read_view(checks, database, session, variables)
        return dict(_REMEMBERED[key])

    def here(reading: Reading, _: object, session: ClientSession) -> Found:
        key = (reading.name, *(hashes.get(name) for name in reading.collections))
        if key not in _REMEMBERED:
            _REMEMBERED[key] = read_here(reading, database, session)
        return dict(_REMEMBERED[key])

    with mock.patch.object(adapters.audit, "read_view", view), mock.patch.object(adapters.audit, "read_here", here):
        return adapters.audit.audit(database, **options)


def what_is_read(checks: Sequence[Check], variables: Document) -> tuple[list[str], list[str], list[str]]:
    """What the view of some checks reads: variables, collections that its rows come from, and all collections."""
    view = checks[0].view
    pipeline = [*view.steps, *adapters.audit.verdicts(checks)]
    said = [name for name in variables if f"$${name}" in repr(pipeline)]
    first = {view.collection, *collections_of(pipeline, ("$unionWith",))}
    return said, sorted(first), sorted({*first, *collections_of(pipeline)})


def collections_of(steps: Any, operators: Sequence[str] = ("$unionWith", "$lookup", "$graphLookup")) -> Iterator[str]:
    """The collections that the stages of a pipeline read, by these operators, beside the one it begins with."""
    if isinstance(steps, list | tuple):
        for step in steps:
            yield from collections_of(step, operators)
    elif isinstance(steps, dict):
        for operator, says in steps.items():
            if operator in operators:
                yield says if isinstance(says, str) else says.get("coll") or says["from"]
            yield from collections_of(says, operators)
