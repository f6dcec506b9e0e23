"""What a worker that died has left open on the server, and keeps from the others."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pymongo.errors import PyMongoError

from adapters.mongodb.connection import is_conflict
from adapters.store.store import Store
from adapters.store.transaction import Batch
from tests.conftest import Driver
from tests.store import documents as make
from tests.support.books import Books
from tests.support.waiting import SECONDS_MAX, wait_for


async def test_a_transaction_that_nobody_goes_on_with_is_ended(
    store: Store, database: Books, mongodb_url: str, driver: Driver
) -> None:
    """One that is idle for long enough is ended, and what it had locked can be written; a younger one is left alone."""
    other = Store(mongodb_url, database.name, driver)
    left_open = other.transaction()
    dead = await left_open.__aenter__()
    await dead.write(make.books(), Batch(inbox=[make.inbox_row("a:1")]))

    async with store.transaction() as alive:
        with pytest.raises(PyMongoError) as conflict:
            await alive.write(make.books(), Batch(inbox=[make.inbox_row("a:1")]))
    assert is_conflict(conflict.value)

    assert await store.end_abandoned(timedelta(minutes=5)) == 0
    await wait_for(lambda: _ended(store))
    async with store.transaction() as alive:
        await alive.write(make.books(), Batch(inbox=[make.inbox_row("a:1")]))
        await alive.commit()
    assert database["inbox"].count_documents({}) == 1

    with pytest.raises(PyMongoError):
        await dead.commit()
    await asyncio.wait_for(left_open.__aexit__(None, None, None), SECONDS_MAX)
    await other.close()


async def test_whose_transactions_are_ended(store: Store, database: Books, mongodb_url: str, driver: Driver) -> None:
    """Neither a worker's own, nor those of the workers of another database on the same server."""
    elsewhere = Store(mongodb_url, f"{database.name}-2", driver)
    async with store.transaction() as mine, elsewhere.transaction() as theirs:
        for transaction in (mine, theirs):
            await transaction.write(make.books(), Batch(inbox=[make.inbox_row("a:1")]))
        assert await store.end_abandoned(timedelta(0)) == 0
        await mine.commit()
    await elsewhere.close()


async def _ended(store: Store) -> bool:
    return await store.end_abandoned(timedelta(0)) > 0
