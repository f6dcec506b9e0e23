"""The services once for the whole run; for each test a virtual host of its own and a database with nothing in it."""

from __future__ import annotations

import asyncio
import gc
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast
from zlib import crc32

import pytest
import structlog
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.settings import Settings
from adapters.store.store import Store
from handlers.worker import Worker
from services import Services, running
from tests.support import access
from tests.support.abandoned import end_abandoned_transactions
from tests.support.books import Books, Document, Made, Shelf
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.senders import Users, users_of
from tests.support.steady import AT_LENGTH
from tests.support.waiting import SECONDS_MAX
from tests.support.workers import WorkerProcess, working

# The checkers' assertions explain themselves like those of a test.
pytest.register_assert_rewrite("tests.support.invariants", "tests.support.ledger_book")

Driver = Literal["motor", "pymongo"]
DRIVERS: tuple[Driver, ...] = ("motor", "pymongo")
ON_BOTH = os.environ.get("PAYMASTER_TEST_DRIVERS") == "both"


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With PAYMASTER_TEST_DRIVERS=both a test runs on both drivers, also where it names one."""
    if ON_BOTH:
        for node in metafunc.definition.listchain():
            node.own_markers[:] = [_on_both(mark) or mark for mark in node.own_markers]
    wanted = (ON_BOTH or _of_the_store(metafunc)) and "driver" in metafunc.fixturenames
    if wanted and not _names_a_driver(metafunc):
        metafunc.parametrize("driver", DRIVERS, indirect=True)


def _of_the_store(metafunc: pytest.Metafunc) -> bool:
    """Whether it is the drivers that the test is about: it runs on both of them always."""
    return metafunc.definition.path.is_relative_to(Path(__file__).parent / "store")


def _names_a_driver(metafunc: pytest.Metafunc) -> bool:
    if hasattr(metafunc.module, "driver"):  # its own, which is always the same one
        return True
    names = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    return any(name == "driver" or (isinstance(name, tuple) and "driver" in name) for name in names)


def _on_both(mark: pytest.Mark) -> pytest.Mark | None:
    """The parametrization of drivers with each of its cases on each driver; None of any other mark."""
    if mark.name != "parametrize":
        return None
    names, cases = mark.args
    if names == "driver":
        return pytest.mark.parametrize(names, DRIVERS, **mark.kwargs).mark
    if not isinstance(names, tuple) or "driver" not in names:
        return None
    at = names.index("driver")
    others: list[Any] = []
    for case in cases:
        if (other := (*case[:at], *case[at + 1 :])) not in others:
            others.append(other)
    both = [(*other[:at], driver, *other[at:]) for other in others for driver in DRIVERS]
    return pytest.mark.parametrize(names, both, **mark.kwargs).mark


def pytest_collection(session: pytest.Session) -> None:
    """Of the processes that share the tests each imports its part of them first, and then finds the others' compiled.

    Where nobody has yet, each would compile all of them: that takes longer than to import them. What cannot be
    imported is told of when it is collected.
    """
    number, processes = (os.environ.get(f"PYTEST_XDIST_{name}") for name in ("WORKER", "WORKER_COUNT"))
    if number and processes:
        folders = [Path(argument) for argument in session.config.args if Path(argument).is_dir()]
        files = sorted(file.resolve() for folder in folders for file in folder.rglob("test_*.py"))
        for file in files[int(number.removeprefix("gw")) :: int(processes)]:
            with suppress(Exception, pytest.skip.Exception):
                import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever comes to use the services, through whichever fixtures, is marked so: `make test-quick` leaves it out.

    What is to run at length is left out of any other run, unless it is asked for: `-m at_length`. What is about the
    services with TLS comes first: of the processes that share the tests, and take the last of one another's, only the
    first one starts those then. What takes long follows: a process that began it last would keep the others waiting.
    """
    items.sort(
        key=lambda item: ("guarded" not in getattr(item, "fixturenames", ()), not item.get_closest_marker("long"))
    )
    for item in items:
        if "services" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.services)
    if not AT_LENGTH and "at_length" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("at_length")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What is there by now stays: to look at all modules and tests again for garbage took a tenth of Python's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """The workers' log in plain lines: structlog's usual tracebacks show every local variable, and take seconds.

    For each test anew: one that runs a command in this process leaves the log set up for that.
    """
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(),
        ],
    )


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """A RabbitMQ and a MongoDB, for the whole run; in memory, since each test has collections and indexes made."""
    with running(in_memory=True) as given:
        yield given


@pytest.fixture(scope="session")
def mongo(services: Services) -> Iterator[MongoClient[Document]]:
    """A connection to look into databases with."""
    # Majority, since a snapshot shows only what a majority has.
    with MongoClient[Document](services.mongodb_url, tz_aware=True, w="majority") as client:
        yield client


@pytest.fixture
def rabbitmq_url(services: Services) -> Iterator[str]:
    """A virtual host of the test's own."""
    with services.vhost() as url:
        yield url


@pytest.fixture
def broker(services: Services, rabbitmq_url: str) -> Broker:
    """The management API of the test's virtual host."""
    return Broker(services.rabbitmq_management_url, rabbitmq_url)


@pytest.fixture
def users(broker: Broker, rabbitmq_url: str) -> Iterator[Users]:
    """Users of the test's virtual host, who are gone after it."""
    with users_of(broker, rabbitmq_url) as made:
        yield made


@pytest.fixture
def mongodb_url(services: Services) -> str:
    """The MongoDB in which the test has a database."""
    return services.mongodb_url


@pytest.fixture(scope="session")
def shelf(services: Services, mongo: MongoClient[Document]) -> Iterator[Shelf]:
    """Prepared databases: to make one takes longer than most tests."""

    async def prepare(name: str) -> None:
        store = Store(services.mongodb_url, name)
        await store.prepare()
        await store.close()

    def make() -> Made:
        database = majority(mongo, new_name())
        asyncio.run(prepare(database.name))
        return Made.of(database)

    shelf = Shelf(make)
    yield shelf
    shelf.clear()


def new_name() -> str:
    """A database's name that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


def majority(mongo: MongoClient[Document], name: str) -> Books:
    """A database as a majority has it: queries and commands see that, so what a test has seen they see too."""
    return mongo.get_database(name, read_concern=ReadConcern("majority"), write_concern=WriteConcern("majority"))


@pytest.fixture
def database(shelf: Shelf, mongo: MongoClient[Document]) -> Iterator[Books]:
    """The test's database: its collections and indexes are made, and nothing is in them but the number of its form.

    Tests have it one after the other; one that is about a database that was not there before asks for a new one.
    """
    yield shelf.take()
    end_abandoned_transactions(mongo)
    shelf.give_back()


@pytest.fixture
def new_database(mongo: MongoClient[Document]) -> Iterator[Books]:
    """An empty database of the test's own, to look into; it is dropped afterwards."""
    database = majority(mongo, new_name())
    yield database
    end_abandoned_transactions(mongo)
    mongo.drop_database(database.name)


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Driver:
    """The test's driver: always the same one, half of the tests on either, unless the test names another."""
    named = getattr(request, "param", None)
    return cast("Driver", named) if named else DRIVERS[crc32(request.node.nodeid.encode()) % len(DRIVERS)]


@pytest.fixture
def access_file(
    request: pytest.FixtureRequest, rabbitmq_url: str, tmp_path_factory: pytest.TempPathFactory
) -> str | None:
    """The access file of the test's workers; there is one where the test says so, or all have one."""
    if not getattr(request, "param", access.ON):
        return None
    return access.written(rabbitmq_url, tmp_path_factory.mktemp("access"))


@pytest.fixture
def settings(rabbitmq_url: str, mongodb_url: str, database: Books, driver: Driver, access_file: str | None) -> Settings:
    """The settings of a worker on the test's virtual host and database, with intervals that suit a test."""
    return Settings(
        _env_file=None,
        rabbitmq_url=rabbitmq_url,
        mongodb_url=mongodb_url,
        database=database.name,
        mongodb_driver=driver,
        access=access_file,
        held_interval_seconds=0.5,
        relay_interval_seconds=1,
        start_timeout_seconds=SECONDS_MAX,
        shutdown_timeout_seconds=SECONDS_MAX / 2,
        log_level="info",
    )


@pytest.fixture
async def client(rabbitmq_url: str, access_file: str | None) -> AsyncIterator[Client]:
    """A client that sees every event from the beginning."""
    async with Client.connected(rabbitmq_url, access.user_of(rabbitmq_url) if access_file else None) as connected:
        yield connected


@pytest.fixture
async def worker(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    """A worker in this process; the client was there first."""
    async with working(settings) as started:
        yield started


@pytest.fixture
def worker_process(settings: Settings, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[WorkerProcess]]:
    """Starts `paymaster run` as a process: `worker_process("name", setting=value, …)`."""

    def start(name: str, **changes: Any) -> AbstractAsyncContextManager[WorkerProcess]:
        return WorkerProcess.running(settings, tmp_path / name, **changes)

    return start


@pytest.fixture
async def store(mongodb_url: str, database: Books, driver: Driver) -> AsyncIterator[Store]:
    """A store, its collections made."""
    made = Store(mongodb_url, database.name, driver)
    yield made
    await made.close()
