"""The start: what is wrong is said in one line, what is late is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from typer.testing import CliRunner

from adapters.mongodb import connection as mongodb
from adapters.mongodb.connection import WrongServer, check_server
from adapters.settings import Settings
from handlers.cli import app
from services.ports import reserved
from tests.support.books import Books, assert_clean
from tests.support.client import Client
from tests.support.messages import customer
from tests.support.proxy import Proxy
from tests.support.waiting import SECONDS_MAX, wait_for
from tests.support.workers import WorkerProcess, environment

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])
Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]
SECRET = "s3cret-Pa55word"


@pytest.fixture
def database(new_database: Books) -> Books:
    """One that the worker has to prepare."""
    return new_database


@ONE_DRIVER
@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"rabbitmq_url": f"http://user:{SECRET}@host/"}, "PAYMASTER_RABBITMQ_URL"),
        ({"mongodb_url": f"postgres://user:{SECRET}@host/"}, "PAYMASTER_MONGODB_URL"),
        ({"single_active_consumer": SECRET}, "PAYMASTER_SINGLE_ACTIVE_CONSUMER"),
        ({"time_zone": f"Mars/{SECRET}"}, "PAYMASTER_TIME_ZONE"),
        ({"waiting_seconds_max": "-1"}, "PAYMASTER_WAITING_SECONDS_MAX"),
        ({"database": f"{SECRET}/x"}, "PAYMASTER_DATABASE"),
        ({"mongodb_url": f"mongodb://user:{SECRET}@host:port/"}, "PAYMASTER_MONGODB_URL"),
        ({"mongodb_url": f"mongodb://us@er:{SECRET}@host/"}, "PAYMASTER_MONGODB_URL"),
        ({"rabbitmq_url": f"amqp://user:{SECRET}@host:port/"}, "PAYMASTER_RABBITMQ_URL"),
    ],
    ids=["amqp", "mongodb", "bool", "zone", "seconds", "database", "mongodb-port", "mongodb-user", "amqp-port"],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: dict[str, str],
    variable: str,
) -> None:
    """The line names the variable, the exit code says that it failed, and no value is told."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run"], env=dict.fromkeys(os.environ) | environment(settings, **wrong))
    assert result.exit_code == 2
    assert result.output.startswith("paymaster: ")
    assert variable in result.output
    assert len(result.output.splitlines()) == 1
    assert SECRET not in result.output


@ONE_DRIVER
async def test_a_missing_setting_is_named(settings: Settings, worker_process: Start) -> None:
    """Without the URL of the broker the start says which variable is not set."""
    async with worker_process("worker", rabbitmq_url="") as worker:
        assert await worker.ended() != 0
    assert worker.log.startswith("paymaster: PAYMASTER_RABBITMQ_URL: ")
    assert len(worker.log.splitlines()) == 1


@ONE_DRIVER
async def test_a_queue_with_other_arguments_stops_the_start_with_one_line(
    client: Client, worker_process: Start
) -> None:
    """A work queue that was declared with a single active consumer is not taken over without one: arguments stay."""
    await client.declare()
    async with worker_process("worker", single_active_consumer=False) as worker:
        assert await worker.ended() != 0
    [line] = [line for line in worker.log.splitlines() if line.startswith("paymaster:")]
    assert "PAYMASTER_SINGLE_ACTIVE_CONSUMER" in line
    assert "paymaster.work" in line
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("url", ["rabbitmq_url", "mongodb_url"])
@ONE_DRIVER
async def test_a_service_that_stays_away_is_named(settings: Settings, worker_process: Start, url: str) -> None:
    """When the time for the start is over one line says which service did not answer, and no password."""
    with reserved(1) as [port]:
        away = urlsplit(getattr(settings, url))._replace(netloc=f"user:{SECRET}@127.0.0.1:{port}")
        async with worker_process("worker", **{url: urlunsplit(away)}, start_timeout_seconds=0.5) as worker:
            assert await worker.ended() != 0
    last = worker.log.splitlines()[-1]
    assert last.startswith("paymaster: MongoDB" if url == "mongodb_url" else "paymaster: RabbitMQ")
    assert SECRET not in worker.log
    assert "Traceback" not in worker.log


async def test_a_mongodb_without_a_replica_set_or_too_old_is_refused(settings: Settings, driver: Any) -> None:
    """A standalone server, which has no transactions, is told by name, with what to do; so is one that is too old."""

    class Standalone:
        class admin:  # noqa: N801
            @staticmethod
            async def command(name: str) -> dict[str, Any]:
                return {"isWritablePrimary": True, "maxWireVersion": 17, "ok": 1.0}

    with pytest.raises(WrongServer, match="replica set") as told:
        await check_server(Standalone)
    assert len(str(told.value).splitlines()) == 1

    class Old:
        class admin:  # noqa: N801
            @staticmethod
            async def command(name: str) -> dict[str, Any]:
                return {"setName": "rs0", "maxWireVersion": 13, "ok": 1.0}

    with pytest.raises(WrongServer, match=r"older than 6\.0") as told:
        await check_server(Old)
    assert len(str(told.value).splitlines()) == 1
    real = mongodb.connect(settings.mongodb_url, driver, settings.database)
    await check_server(real)
    await mongodb.awaited(real.close())


@ONE_DRIVER
async def test_services_that_come_up_late_are_waited_for(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """A worker that was started before its services is at work moments after they are there."""
    async with Proxy.between(settings.mongodb_url) as mongodb, Proxy.between(settings.rabbitmq_url) as rabbitmq:
        await mongodb.cut()
        await rabbitmq.cut()
        late: dict[str, Any] = {"mongodb_url": mongodb.url, "rabbitmq_url": rabbitmq.url}
        async with worker_process("worker", **late, start_timeout_seconds=SECONDS_MAX) as worker:
            await told(worker, "mongodb")
            await mongodb.heal()
            await told(worker, "rabbitmq")
            await rabbitmq.heal()
            await worker.consuming()
            assert (await client.ask(customer("BA-1")))["outcome"] == "applied"
            assert await worker.terminate() == 0
    await assert_clean(client, database)


async def told(worker: WorkerProcess, what: str) -> None:
    """Wait until the worker says something of it."""
    await wait_for(lambda: what in worker.log.lower(), otherwise=lambda: worker.log)
