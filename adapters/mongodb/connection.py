"""The connection to MongoDB, and the whole difference between its two asynchronous drivers.

Motor was asked for and is what runs unless set otherwise; PyMongo's own asynchronous API replaces it. They share all
that the store uses but for whether a call has to be awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Literal, cast

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import AsyncMongoClient, MongoClient, timeout
from pymongo.asynchronous.command_cursor import AsyncRawBatchCommandCursor
from pymongo.asynchronous.cursor import AsyncRawBatchCursor
from pymongo.command_cursor import RawBatchCommandCursor
from pymongo.cursor import RawBatchCursor
from pymongo.database import Database
from pymongo.driver_info import DriverInfo
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError, WTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from adapters.faults import NO_REPLICA_SET

Client = Any
"""An `AsyncIOMotorClient` or an `AsyncMongoClient`."""
Command = Callable[[Any, Any], Any]
"""A command to a database (first argument) in a session (second): gives a cursor, a result, or a coroutine of one."""
Take = Callable[[bytes], list[dict[str, Any]]]
"""What makes rows of one answer to a raw read; what it raises ends the reading."""

MAJORITY = WriteConcern("majority", wtimeout=30_000)
TRANSACTION: dict[str, Any] = {
    "read_concern": ReadConcern("snapshot"),
    "write_concern": MAJORITY,
    "read_preference": ReadPreference.PRIMARY,
    "max_commit_time_ms": 30_000,
}


SELECTION_SECONDS = 5.0
"""How long a worker looks for a server that can be worked with, each time."""
COMMAND_SELECTION_SECONDS = 2.0
"""How long a command does: somebody waits for it."""
CLOSE_SECONDS = 0.5
"""How long letting go of the connections may take."""
WIRE_VERSION_MIN = 17
"""What MongoDB 6.0 and later say they speak."""
APP_NAME = "paymaster"
"""What the server knows a worker's connections by."""
MIGRATE_APP_NAME = "paymaster migrate"
"""What it knows those of a migration by."""
TRANSACTION_SECONDS = 60
"""How old a transaction may grow (the server's transactionLifetimeLimitSeconds unless set otherwise)."""
CANCEL_AGAIN_SECONDS = 5.0
"""How long a task that was cancelled has for what it does then, before it is cancelled again."""


class WrongServer(Exception):
    """The MongoDB that answers can't be worked with; the message is one line that says what to do."""


def connect(
    url: str, driver: Literal["motor", "pymongo"], books: str, selection_seconds: float = SELECTION_SECONDS
) -> Client:
    """A client whose times are aware and whose writes are acknowledged by a majority; it connects when first used.

    `books` is the database that it is for, by which the server can tell the workers of one from those of another.
    """
    make: Any = AsyncIOMotorClient if driver == "motor" else AsyncMongoClient
    client = make(
        url,
        appname=APP_NAME,
        tz_aware=True,
        w="majority",
        readConcernLevel="majority",
        serverSelectionTimeoutMS=int(selection_seconds * 1000),
        connectTimeoutMS=5_000,
        socketTimeoutMS=60_000,
        maxPoolSize=20,
    )
    (client.delegate if driver == "motor" else client).append_metadata(DriverInfo(label(books)))
    return client


def label(books: str) -> str:
    """What the connections for a database call themselves, behind the driver's own name."""
    return f"paymaster:{books}"


@contextmanager
def database(url: str, name: str, app_name: str = "paymaster audit") -> Iterator[Database[dict[str, Any]]]:
    """A database for a program of its own, without an event loop; let go of when the block ends.

    Raises `WrongServer` and the driver's errors.
    """
    milliseconds = int(COMMAND_SELECTION_SECONDS * 1000)
    with MongoClient[dict[str, Any]](
        url, appname=app_name, tz_aware=True, serverSelectionTimeoutMS=milliseconds
    ) as client:
        check_hello(client.admin.command("hello"))
        yield client[name]


async def awaited(value: Any) -> Any:
    """The result of a call that only one of the drivers awaits: start_session, start_transaction, aggregate."""
    return await value if inspect.isawaitable(value) else value


def start_session(client: Client) -> Any:
    """A session for `in_turn`. That takes no round trip; Motor would hand it to a thread all the same."""
    return (client.delegate if isinstance(client, AsyncIOMotorClient) else client).start_session()


def _no_raw_reads(_answer: bytes) -> list[dict[str, Any]]:
    raise AssertionError("a raw read, and nobody to take what it reads")


async def in_turn(database: Any, session: Any, commands: Iterable[Command], take: Take = _no_raw_reads) -> list[Any]:
    """Run commands one after another; returns the rows of each read and the result of each write, in order.

    The answers of raw reads go through `take`, one by one as they come.

    Motor hands each call to a thread and waits for its answer: two or three switches between threads for each command.
    Here one thread runs them all, by the synchronous API that Motor itself stands on. Commands that are only made as
    they are iterated over are made while the server works on those before them.
    """
    if isinstance(database, AsyncIOMotorDatabase):
        return await _in_a_thread(database.delegate, session, commands, take)
    found: list[Any] = []
    for command in commands:
        answer = await awaited(command(database, session))
        if isinstance(answer, AsyncRawBatchCursor | AsyncRawBatchCommandCursor):
            async with answer:
                found.append([row async for piece in answer for row in take(cast("bytes", piece))])
        else:
            found.append(await answer.to_list() if hasattr(answer, "to_list") else answer)
    return found


async def _in_a_thread(database: Any, session: Any, commands: Iterable[Command], take: Take) -> list[Any]:
    made: SimpleQueue[Command | None] = SimpleQueue()
    cancelled = False

    def run() -> list[Any]:
        found: list[Any] = []
        while (command := made.get()) is not None and not cancelled:
            answer = command(database, session)
            if isinstance(answer, RawBatchCursor | RawBatchCommandCursor):
                with answer:
                    found.append([row for piece in answer for row in take(cast("bytes", piece))])
            else:
                found.append(answer.to_list() if hasattr(answer, "to_list") else answer)
        return found

    # Not by `asyncio.to_thread`, whose thread begins when this one waits: by then all commands are made.
    running = asyncio.get_running_loop().run_in_executor(None, copy_context().run, run)
    try:
        for command in commands:
            made.put(command)
        made.put(None)
        return await asyncio.shield(running)
    except BaseException:
        # Whoever is cancelled, or could not make a command, aborts: what is still sent after that would be written
        # outside the transaction.
        cancelled = True
        made.put(None)
        while not running.done():  # also when it is cancelled once more; the driver's time-outs end it
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # it is seen, and of no interest any more
        raise


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, whatever they end with; so it does also when it is cancelled itself.

    A task that goes on is cancelled again: PyMongo writes to its sockets with `asyncio.wait_for`, and that of Python
    3.11 loses a cancellation that comes at the moment at which it is done.
    """
    ended = list(tasks)
    left = {task for task in ended if not task.done()}
    cancelled = False
    while left:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError:
            cancelled = True
        left = {task for task in left if not task.done()}
    for task in ended:
        if not task.cancelled():
            task.exception()  # it is seen
    if cancelled:
        raise asyncio.CancelledError


async def disconnect(client: Client) -> None:
    """Close a client's connections, without Motor's way of it, which blocks the event loop while the server answers.

    One that is away is not waited for as long as usual: it is only told that our sessions are over.
    """
    if inspect.iscoroutinefunction(client.close):
        with timeout(CLOSE_SECONDS):
            await client.close()
        return

    def close() -> None:
        with timeout(CLOSE_SECONDS):
            client.close()

    await asyncio.to_thread(close)


async def check_server(client: Client) -> None:
    """Raise `WrongServer` unless the server is a replica set's member or a router, and of this age.

    Transactions need the one, reading from several collections at once (`$documents`) the other.

    Raises `ConnectionFailure` while a replica set is still to be initiated.
    """
    check_hello(await client.admin.command("hello"))


def check_hello(hello: Mapping[str, Any]) -> None:
    """The same by what the server answers to `hello`."""
    if "isreplicaset" in hello:
        raise ConnectionFailure("the replica set is not initiated yet")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise WrongServer(NO_REPLICA_SET)
    if hello["maxWireVersion"] < WIRE_VERSION_MIN:
        raise WrongServer("MongoDB is older than 6.0, which is needed: its $documents, within a transaction")


_NO_FACT_S_FAULT = {
    13,  # Unauthorized, and
    18,  # AuthenticationFailed: a password is being changed
    24,  # LockTimeout
    50,  # MaxTimeMSExpired
    262,  # ExceededTimeLimit
    11_600,  # InterruptedAtShutdown
    11_601,  # Interrupted, by an operator
    14_031,  # OutOfDiskSpace
}
"""The codes of errors that have nothing to do with the facts of a batch: the server counts as away."""


_WRITE_CONFLICT = 112
_TAKEN_KEY = 11_000


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may well succeed when it is run again: conflicts, step-downs, lost connections."""
    if isinstance(error, ConnectionFailure | WTimeoutError) or getattr(error, "code", None) in _NO_FACT_S_FAULT:
        return True
    return isinstance(error, PyMongoError) and (
        error.has_error_label("TransientTransactionError")
        or error.has_error_label("UnknownTransactionCommitResult")
        or error.has_error_label("RetryableWriteError")
    )


def is_ambiguous(error: BaseException) -> bool:
    """Whether nobody knows what became of a commit."""
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")


def is_away(error: BaseException) -> bool:
    """Whether the database can't be worked with at all at the moment, whatever the transaction was about."""
    return is_transient(error) and not is_conflict(error)


def is_too_long(error: BaseException, seconds: float) -> bool:
    """Whether a transaction was ended by the server for its age: run again it would be as old.

    The server says so itself (290), or no longer knows the transaction (251) when it is `seconds` old.
    """
    code = getattr(error, "code", None)
    return isinstance(error, PyMongoError) and (code == 290 or (code == 251 and seconds >= TRANSACTION_SECONDS))


def is_locked_out(error: BaseException) -> bool:
    """Whether the server answers, and does not let us in: a wrong setting, which waiting does not heal."""
    return isinstance(error, OperationFailure) and error.code in (13, 18)


def is_conflict(error: BaseException) -> bool:
    """Whether another worker's transaction wrote the same documents first."""
    return isinstance(error, PyMongoError) and not _codes(error).isdisjoint((_WRITE_CONFLICT, _TAKEN_KEY))


def is_taken_key(error: BaseException) -> bool:
    """Whether a key was there already, as after a conflict with another worker, or by a fault of ours."""
    return isinstance(error, PyMongoError) and _TAKEN_KEY in _codes(error)


def _codes(error: PyMongoError) -> set[int | None]:
    if isinstance(error, BulkWriteError):
        return {failed.get("code") for failed in (error.details or {}).get("writeErrors", ())}
    return {getattr(error, "code", None)}


DatabaseError = PyMongoError
"""Whatever the database or the way to it may raise."""
