"""Waits until a service does its work: a transaction has committed, a confirmed publish has come back."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from services import management
from services.model import ServiceError, Services

START_TIMEOUT_S = 90
ANSWER_TIMEOUT_S = 5
RETRY_S = 0.05
REPLICA_SET = "rs0"


def await_started(
    services: Services,
    failure: Callable[[], str | None],
    log: Callable[[str], str],
    database: Callable[[str], None] | None = None,
) -> None:
    """Wait until both services, newly started, are ready; the MongoDB is made a replica set of one on the way.

    `failure` says why they will never be, or None; `log` gives the tail of the named service's log; `database` is what
    is done with the MongoDB's URL instead of a commit, until it succeeds. Raises `ServiceError` when either will never
    be ready or is not within 90 seconds.
    """
    commit = database or _commit
    deadline = time.monotonic() + START_TIMEOUT_S
    stop = False

    def attempt_until_done(name: str, attempt: Callable[[], None]) -> None:
        while not stop:
            try:
                attempt()
                return
            except Exception as error:
                if (reason := failure()) is not None:
                    raise ServiceError(reason) from error
                if time.monotonic() > deadline:
                    limit = (
                        f"{name} was not ready within {START_TIMEOUT_S} s ({error!s:.200}); its log ends:\n{log(name)}"
                    )
                    raise ServiceError(limit) from error
                time.sleep(RETRY_S)

    def rabbitmq() -> None:
        broker = urlsplit(services.rabbitmq_url)
        # Until the port is there, aio-pika would fill the log with its failures.
        socket.create_connection((broker.hostname, broker.port), timeout=ANSWER_TIMEOUT_S).close()
        asyncio.run(_publish(services.rabbitmq_url))
        management.whoami(services.rabbitmq_management_url)

    with ThreadPoolExecutor(2) as pool:
        try:
            waits = [
                pool.submit(attempt_until_done, "mongod", lambda: commit(services.mongodb_url)),
                pool.submit(attempt_until_done, "rabbitmq-server", rabbitmq),
            ]
            for wait in waits:
                wait.result()
        finally:
            stop = True


def check_answers(services: Services) -> None:
    """Check that services which somebody named are there, and change nothing on them; raises `ServiceError`."""

    def rabbitmq() -> None:
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # it is said by us
        asyncio.run(_connect(services.rabbitmq_url))

    for variable, attempt in (
        ("PAYMASTER_MONGODB_URL", lambda: _ping(services.mongodb_url)),
        ("PAYMASTER_RABBITMQ_URL", rabbitmq),
    ):
        try:
            with ThreadPoolExecutor(1) as pool:  # asyncio.run needs a thread where no loop runs
                pool.submit(attempt).result()
        except Exception as error:
            why = _why(variable, error, services)
            raise ServiceError(
                f"what {variable} names is not there (left over from `make services`? then: unset {NAMED}): {why}"
            ) from error


NAMED = "PAYMASTER_RABBITMQ_URL PAYMASTER_RABBITMQ_MANAGEMENT_URL PAYMASTER_MONGODB_URL"


def _why(variable: str, error: BaseException, services: Services) -> str:
    """What is wrong, in one line: a driver would tell all that it knows of the server."""
    from adapters.faults import mongodb_fault, rabbitmq_fault

    if variable == "PAYMASTER_MONGODB_URL":
        fault = mongodb_fault(error, services.mongodb_url)
    else:
        fault = rabbitmq_fault(error, services.rabbitmq_url)
    return fault.line.rpartition(": see ")[0]


def _commit(url: str) -> None:
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    # A short selection: the driver looks again only twice a second, we look again at once.
    with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=100) as client:
        try:
            # The member is named as the server itself reaches it, also inside a container: clients connect directly.
            port = client.admin.command("getCmdLineOpts")["parsed"].get("net", {}).get("port", 27017)
            members = [{"_id": 0, "host": f"localhost:{port}"}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except OperationFailure as error:
            if error.code != 23:  # already initialized
                raise
        probe = client.get_database("paymaster_ready")
        with client.start_session() as session, session.start_transaction():
            probe.get_collection("probe").insert_one({}, session=session)
        client.drop_database(probe)


def make_administrator(url: str) -> None:
    """Make a MongoDB with access control a replica set of one, and the URL's user its first, who may do everything.

    That can be done from the machine itself, once.
    """
    from pymongo import MongoClient
    from pymongo.errors import OperationFailure

    parts = urlsplit(url)
    nobody = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    with MongoClient[dict[str, Any]](nobody, serverSelectionTimeoutMS=1_000) as client:
        try:
            members = [{"_id": 0, "host": parts.netloc.rpartition("@")[2]}]
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except OperationFailure as error:
            if error.code != 23:  # already initialized
                raise
        client.admin.command("createUser", parts.username, pwd=parts.password, roles=["root"])


async def _publish(url: str) -> None:
    import aio_pika

    async with asyncio.timeout(ANSWER_TIMEOUT_S), await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(aio_pika.Message(b"ready"), queue.name)
        await (await queue.get()).ack()


def _ping(url: str) -> None:
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=2_000) as client:
        client.admin.command("ping")


async def _connect(url: str) -> None:
    import aio_pika

    async with asyncio.timeout(ANSWER_TIMEOUT_S), await aio_pika.connect(url):
        pass
