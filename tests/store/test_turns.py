"""Commands in turn: read at once or one by one, and never after their caller has given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from adapters.mongodb.connection import Command, is_transient
from adapters.store.store import Store
from adapters.store.transaction import ALONE, Batch
from domain.accounts.model import Account
from domain.ledger.books import DocumentNeed, Need, WorkingSet
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from tests.conftest import Driver
from tests.store import documents as make
from tests.support.books import Books
from tests.support.waiting import SECONDS_MAX, wait_for

NEEDS: list[Need] = [
    *(DocumentNeed(Account, f"BA-{n}") for n in range(4)),
    *(DocumentNeed(Position, f"BA-{n}") for n in range(4)),
    DocumentNeed(Series, "INV-"),
]
LARGE = {"name": "x" * 3_500_000}


async def looked_up(store: Store, identities: Sequence[str], needs: Sequence[Need] = NEEDS) -> tuple[Any, Any]:
    """What is known, and what is loaded."""
    books = make.books()
    async with store.transaction() as transaction:
        known = await transaction.look_up(identities, needs, books)
    return known, {need: books.find(need.type, need.id) for need in needs if isinstance(need, DocumentNeed)}


def full() -> WorkingSet:
    """Accounts of which three together are more than a document may hold, one without a position, and a series."""
    books = make.books()
    for n in range(3):
        books.changed[Account][f"BA-{n}"] = make.account(f"BA-{n}", document=LARGE)
    books.changed[Position]["BA-1"] = make.position("BA-1", receivable=700)
    books.changed[Series]["INV-"] = Series("INV-", 12)
    return books


async def written(store: Store, books: WorkingSet, batch: Batch) -> None:
    """Written, and again after a conflict, as the worker does: a server whose cache is full of others' rolls back."""

    async def done() -> bool:
        try:
            async with store.transaction() as transaction:
                await transaction.write(books, batch)
                await transaction.commit()
        except PyMongoError as error:
            if not is_transient(error):
                raise
            return False
        return True

    await wait_for(done)


async def test_one_read_finds_what_many_find(store: Store) -> None:
    """A fact alone, whose reads are one, is told the same as one among others."""
    parked = make.held_row("parked:1", state="parked", reason="invalid", detail="x: is bad", attempts=2)
    other = make.held_row("applied:1#0123456789abcdef", state="parked", reason="conflicting-duplicate")
    rows = [make.held_row("waiting:1"), parked, other]
    await written(store, full(), Batch(inbox=[make.inbox_row("applied:1")], held=rows))
    for identity in ("applied:1", "waiting:1", "parked:1", "none:1"):
        asked = [identity, f"{identity}#0123456789abcdef"]
        alone = await looked_up(store, asked)
        beside = await looked_up(store, [*asked, "beside:1"])
        assert len(asked) <= ALONE < len(asked) + 1
        assert alone == beside
        known, documents = alone
        assert (
            set(known)
            == {
                "applied:1": set(asked),
                "waiting:1": {"waiting:1"},
                "parked:1": {"parked:1"},
                "none:1": set(),
            }[identity]
        )
        assert [documents[DocumentNeed(Account, f"BA-{n}")] is not None for n in range(4)] == [True, True, True, False]
        assert documents[DocumentNeed(Position, "BA-1")] == make.position("BA-1", receivable=700)
        assert documents[DocumentNeed(Series, "INV-")] == Series("INV-", 12)


@pytest.mark.parametrize("identity", ["$a:1", "$$ROOT:1", "$", "$$NOW", "$a.b:1", "$.:1"])
async def test_an_identity_is_no_expression(store: Store, identity: str) -> None:
    """Whatever it begins with."""
    await written(store, make.books(), Batch(inbox=[make.inbox_row(identity)]))
    known, _ = await looked_up(store, [identity, f"{identity}#0"])
    assert set(known) == {identity}


async def test_what_is_known_is_found_without_any_account(store: Store) -> None:
    """Nothing that is needed is there, or nothing is needed."""
    await written(store, make.books(), Batch(inbox=[make.inbox_row("applied:1")]))
    for needs in ([], NEEDS):
        known, documents = await looked_up(store, ["applied:1", "applied:1#0"], needs)
        assert known["applied:1"].result == {"billNo": "INV-000000001"}
        assert set(documents.values()) <= {None}


async def test_nothing_is_written_after_the_caller_gave_up(store: Store, database: Books, driver: Driver) -> None:
    """A cancelled caller waits for the command that is under way; the next ones are not sent, within or without."""
    sent, go_on = threading.Event(), threading.Event()

    def first(_database: Any, _session: Any) -> Any:
        sent.set()
        if threading.current_thread() is threading.main_thread():
            return asyncio.to_thread(go_on.wait, SECONDS_MAX)
        return go_on.wait(SECONDS_MAX)

    def second(there: Any, session: Any) -> Any:
        return there["inbox"].insert_one({"_id": "written"}, session=session)

    async def write() -> None:
        async with store.transaction() as transaction:
            await transaction._in_turn([first, second])
            await transaction.commit()

    writing = asyncio.create_task(write())
    assert await asyncio.to_thread(sent.wait, SECONDS_MAX)
    for _ in range(2):
        writing.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        # A thread goes on whatever becomes of its caller, so that is waited for.
        assert driver == "pymongo" or not writing.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await written(store, make.books(), Batch(inbox=[make.inbox_row("later:1")]))
    assert [row["_id"] for row in database["inbox"].find()] == ["later:1"]


async def test_a_command_is_sent_before_the_next_one_is_made(store: Store) -> None:
    """So the server works while the worker does."""
    sent = threading.Event()

    def first(there: Any, session: Any) -> Any:
        sent.set()
        return there["inbox"].insert_one({"_id": "first"}, session=session)

    def commands() -> Iterator[Command]:
        yield first
        assert sent.wait(SECONDS_MAX)
        yield lambda there, session: there["inbox"].insert_one({"_id": "second"}, session=session)

    async with store.transaction() as transaction:
        done = await transaction._in_turn(commands())
        await transaction.commit()
    assert [one.inserted_id for one in done] == ["first", "second"]


async def test_nothing_is_written_where_a_command_cannot_be_made(store: Store, database: Books) -> None:
    """Its transaction is aborted when no command of it is under way any more."""

    def before(there: Any, session: Any) -> Any:
        return there["inbox"].insert_one({}, session=session)

    def commands() -> Iterator[Command]:
        yield from [before] * 20
        raise ValueError("no row can be made of it")

    with pytest.raises(ValueError, match="no row"):
        async with store.transaction() as transaction:
            await transaction._in_turn(commands())
    await written(store, make.books(), Batch(inbox=[make.inbox_row("later:1")]))
    assert [row["_id"] for row in database["inbox"].find()] == ["later:1"]
