"""Pages: at most so many items, and at most so many bytes, whichever comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import to_json

from adapters.mongodb.view import Json, Row
from schemas.values import folded

PAGE_BYTES_MAX = 1024 * 1024
"""A page ends before the item that would take it beyond this; one item may be larger, and then stands alone."""
FEW_ROWS = 20
"""How many rows of documents that may be large come from the server at once."""


class Page:
    """The items of one answer, so far."""

    def __init__(self, limit: int) -> None:
        self.items: list[bytes] = []
        self.limit = limit
        self._bytes = 0

    def take(self, item: Json | bytes) -> bool:
        """Add an item, as JSON already or not; False when it does not fit, and there is a next page."""
        written = item if isinstance(item, bytes) else to_json(item)
        if self.items and (len(self.items) >= self.limit or self._bytes + len(written) > PAGE_BYTES_MAX):
            return False
        self.items.append(written)
        self._bytes += len(written)
        return True

    def answer(self, after: str | None, **beside: Any) -> bytes:
        """The page as it goes out, with what is told beside the items; `after` is where the next one begins, if any."""
        return b'{"items":[' + b",".join(self.items) + b"]," + to_json({**beside, "after": after})[1:]


def prefixed(prefix: str) -> dict[str, str]:
    """The condition on a `nameKey` that a name begins so, in any case and composition: a range of the index."""
    key = folded(prefix)
    bounds = {"$gte": key}
    end = key.rstrip(chr(0x10FFFF))
    if end:
        # The first text after all that begin with it; what lies between are surrogates, which are no characters.
        last = ord(end[-1]) + 1
        bounds["$lt"] = end[:-1] + chr(0xE000 if last == 0xD800 else last)
    return bounds


async def keyset(
    read: Callable[..., Awaitable[list[Row]]],
    query: Mapping[str, Any],
    order: tuple[str, str],
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """The rows that come after a place in the order of two fields, at most `limit`.

    In two reads (`read(query, sort=…, limit=…)`), those that share the place's first field and those beyond, since
    each then is one range of the index.
    """
    sort = [(field, 1) for field in order]
    if after is None:
        return await read(query, sort=sort, limit=limit)
    first, second = order
    beside = {**query, first: after[0], second: {"$gt": after[1]}}
    beyond = {**query, first: {**query.get(first, {}), "$gt": after[0]}}
    rows = await read(beside, sort=sort[1:], limit=limit)
    if len(rows) < limit:
        rows += await read(beyond, sort=sort, limit=limit - len(rows))
    return rows


@asynccontextmanager
async def reading(cursor: Any) -> AsyncIterator[Any]:
    """A cursor that is closed even if it is not read to its end."""
    try:
        yield cursor
    finally:
        await cursor.close()
