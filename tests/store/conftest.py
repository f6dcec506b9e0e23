"""The store's tests share one database, which each finds empty: to make one anew takes longer than most of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from adapters.store.store import Store
from services import Services
from tests.conftest import Driver
from tests.support.books import Books, Document, Made


@pytest.fixture(scope="session")
def prepared(services: Services, mongo: MongoClient[Document]) -> Iterator[Made]:
    """A database with its collections and indexes, and nothing in them but the number of its form."""
    database = mongo.get_database(f"test-{uuid.uuid4().hex[:12]}", write_concern=WriteConcern("majority"))

    async def prepare() -> None:
        store = Store(services.mongodb_url, database.name)
        await store.prepare()
        await store.close()

    asyncio.run(prepare())
    yield Made.of(database)
    mongo.drop_database(database.name)


@pytest.fixture
def database(prepared: Made) -> Books:
    """The shared database, as good as empty."""
    return prepared.restored()


@pytest.fixture
async def store(mongodb_url: str, database: Books, driver: Driver) -> AsyncIterator[Store]:
    """A store on it."""
    made = Store(mongodb_url, database.name, driver)
    yield made
    await made.close()
