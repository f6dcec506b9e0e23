"""Makes the collections and their indexes, as they are declared."""

from __future__ import annotations

import asyncio
from typing import Any

from pymongo.errors import CollectionInvalid, OperationFailure

from adapters.documents import KEPT
from adapters.kept import Collection
from adapters.store import beside

_NAMESPACE_EXISTS = 48

COLLECTIONS: tuple[Collection, ...] = (*(kept.collection for kept in KEPT), *beside.COLLECTIONS)
"""All collections. Each is read by `_id`, and by its indexes; partial ones hold only what is still to be done, so they
stay small however old the books are, and a query must repeat the filter to be served by one."""


async def prepare(database: Any) -> None:
    """Make what is missing of the collections and indexes; safe beside other workers that do the same."""
    await asyncio.gather(*(_prepare(database, collection) for collection in COLLECTIONS))


async def _prepare(database: Any, collection: Collection) -> None:
    try:
        await database.create_collection(collection.name)
    except CollectionInvalid:
        pass
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    if collection.indexes:
        await database[collection.name].create_indexes(list(collection.indexes))
