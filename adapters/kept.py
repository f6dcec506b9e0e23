"""How documents are kept: a collection with its indexes and what is said of it, and a kind of document within one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pymongo import IndexModel

from adapters.codec import Layout
from domain.ledger.positions import Position

Filter = dict[str, Any]
Apart = Callable[[Any, dict[str, Any], dict[str, bytes]], None]
"""Takes large values out of a document's row: given the document, its row, and the values by id, which it adds to."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection, and what else its declaration says: indexes, the data model's page, purging follow from it.

    Each index has the comment of the query that it serves beside it, and a name of its own in its collection.
    `id` says what its `_id` is, `fields` what its fields are, `written` when its documents are written. `personal` are
    the fields that tell of a person: names, contacts, addresses, free text, and what was made of them. Documents of an
    `append_only` collection are written once; `but_for` are the fields that are set later, once. `keep`: for ever,
    until purged (what was sent), or until it is done with (what waits).
    """

    name: str
    id: str
    written: str
    fields: Mapping[str, str]
    indexes: tuple[IndexModel, ...] = ()
    personal: tuple[str, ...] = ()
    append_only: bool = False
    but_for: tuple[str, ...] = ()
    keep: Literal["for ever", "until purged", "until done"] = "for ever"


@dataclass(frozen=True, slots=True)
class QueueRead:
    """How a queue is read: the keys of its owner and its order, and the filter of the partial index that serves it.

    `of_accounts`: its owners are accounts, each of which has a position. `descending`: the order's last comes first.
    `short`: it has one or two documents as a rule, or none, so that many are read whole with one look at the index.

    `closed_through`: of a short queue in the order of dates, the date of an account's position through which nothing is
    open but what `behind` finds, the filter of a partial index. The rest of it is found by an index of all that there
    is, which nothing has to leave; `is_open` is no index's filter then.
    """

    owner: str
    order: str
    is_open: Filter
    of_accounts: bool = True
    descending: bool = False
    short: bool = False
    closed_through: Callable[[Position], date | None] | None = None
    behind: Filter = field(default_factory=dict)

    @property
    def direction(self) -> int:
        """Of the order, as MongoDB has it."""
        return -1 if self.descending else 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind of document of the books: its collection, how a row is made of it, how it is read, who waits for it.

    `awaited` are the names that messages wait for, before the colon, each with the filter that says that the document
    of that id is there. `not_loaded` are the keys that only queries need. `at_once`: most facts need it, so for a lone
    fact it is read in the command that looks up its identities. `large`: a document may have megabytes. `apart`: what
    of a row is kept in `values`.
    """

    layout: Layout
    collection: Collection
    queue: QueueRead | None = None
    awaited: Mapping[str, Filter] = field(default_factory=dict)
    not_loaded: tuple[str, ...] = ()
    at_once: bool = False
    large: bool = False
    apart: Apart | None = None

    @property
    def kind(self) -> type:
        """The domain's class."""
        return self.layout.kind
