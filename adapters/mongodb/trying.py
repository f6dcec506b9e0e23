"""Trying a fact: what it would do now, on books that are thrown away."""

from __future__ import annotations

import asyncio

from adapters.mongodb.view import View
from domain import facts
from domain.errors import Refused
from domain.ledger.books import Books, NotLoaded, WorkingSet


async def happens(fact: object, view: View, *, parts_max: int, too_many: str) -> list[object]:
    """What a fact would tell if it were applied now, with its further parts: those that it leaves of its own kind.

    Raises what the domain raises, and `Refused` (`invalid`, `too_many`) for more than `parts_max` parts. No id of the
    fact may be one that is kept: ids from outside have no tilde.
    """
    books = facts.working_set(booked_at=view.now, zone=view.zone, series="bill~", credit_notes="note~")
    parts: list[object] = [fact]
    for part in parts:
        if len(parts) > parts_max:
            raise Refused("invalid", too_many)
        # The work has its turn, and a query that takes too long is given up.
        await asyncio.sleep(0)
        await view.load(facts.needs_of(part, books), books)
        done = await _applied(part, books, view)
        books.accept(done)
        parts += [rest for rest, _ in done.continued if isinstance(rest, type(fact))]
    return [emitted.event for emitted in books.emitted]


async def _applied(fact: object, books: WorkingSet, view: View) -> Books:
    """The books that a fact leaves; what it looks at is loaded as it asks for it."""
    while True:
        tried = Books(books, "preview:")
        try:
            facts.apply(fact, tried)
        except NotLoaded as missing:
            await view.load(missing.needs, books)
        else:
            return tried
