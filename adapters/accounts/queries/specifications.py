"""Billing cycle specifications, bill formats, bill presentation media and dunning procedures."""

from __future__ import annotations

from functools import partial

from adapters.accounts.codecs import DECODE
from adapters.accounts.documents import SPECIFICATION_COLLECTIONS
from adapters.mongodb.paging import Page, keyset, prefixed
from adapters.mongodb.view import Json, Row, View, unknown
from domain.accounts.specifications import SPECIFICATIONS, Specification
from schemas.accounts.queries import SpecificationGet, SpecificationList, specification_document
from schemas.query import cursor


def _kind(query: SpecificationGet | SpecificationList) -> type[Specification]:
    return SPECIFICATIONS[query.TYPE.rpartition(".")[0]]


async def get(query: SpecificationGet, view: View) -> Json:
    """`<kind>.get`."""
    kind = _kind(query)
    row = await view.one(SPECIFICATION_COLLECTIONS[kind], {"_id": query.id})
    if row is None or row["state"] == "deleted":
        raise unknown("specification", query.id)
    return specification_document(DECODE[kind](row))


async def page(query: SpecificationList, view: View) -> bytes:
    """`<kind>.list`, by name."""
    kind = _kind(query)
    which: Row = {"state": "active"}
    if query.name_prefix is not None:
        which["nameKey"] = prefixed(query.name_prefix)
    page = Page(query.limit)
    after = query.after
    read = partial(view.find, SPECIFICATION_COLLECTIONS[kind], index="listed")
    rows = await keyset(read, which, ("nameKey", "_id"), after, query.limit + 1)
    for row in rows:
        if not page.take(specification_document(DECODE[kind](row))):
            return page.answer(cursor(query.TYPE, *(after or ())))
        after = (row["nameKey"], row["_id"])
    return page.answer(None)
