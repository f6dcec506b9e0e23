"""All collections of a database and their indexes, as they are declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymongo import IndexModel

from adapters.documents import KEPT
from adapters.kept import Collection
from adapters.store import beside

COLLECTIONS: tuple[Collection, ...] = (*(kept.collection for kept in KEPT), *beside.COLLECTIONS)
"""All collections. Each is read by `_id`, and by its indexes; partial ones hold only what is still to be done, so they
stay small however old the books are, and a query must repeat the filter to be served by one."""

INDEXES: dict[str, Sequence[IndexModel]] = {collection.name: collection.indexes for collection in COLLECTIONS}
"""The indexes of each."""
assert len(INDEXES) == len(COLLECTIONS), "two collections of one name"

RETIRED: Mapping[str, Sequence[str]] = {"charges": ("open",)}
"""Indexes that an earlier version declared and this one does not, by collection: a migration drops them. Any others
that are there are somebody else's, and are left alone."""
