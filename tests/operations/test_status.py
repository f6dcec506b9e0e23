"""`paymaster status` and `paymaster check`: what is there, who is active, what is wrong."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from adapters.settings import Settings
from adapters.version import VERSION
from tests.support.books import Books, applied
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.programs import paymaster, ran, shown
from tests.support.waiting import wait_for
from tests.support.workers import PAYMASTER, environment, working

ONE_DRIVER = pytest.mark.parametrize("driver", ["pymongo"])
SECRET = "s3cret-Pa55word"


def run(command: str, settings: Settings, directory: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    """A command, its output no terminal."""
    return ran(paymaster, command, environment(settings, **changes), directory)


def on_a_terminal(command: str, settings: Settings, directory: Path, columns: int) -> str:
    """What a command writes to a terminal so wide."""
    return shown(
        paymaster, command, {**environment(settings), "COLUMNS": str(columns), "LINES": "25", "TERM": "dumb"}, directory
    )


@ONE_DRIVER
async def test_status_tells_what_an_operator_wants_to_know(
    settings: Settings, client: Client, database: Books, tmp_path: Path
) -> None:
    """Piped it is JSON; on a terminal of 80 columns tables that fit, with no name cut."""
    async with working(settings) as worker:
        await client.ask(customer("BA-1"))
        await client.ask(("nonsense", {}))
        await client.send(order("O-1", "BA-2"))
        await applied(database, 1)
        await wait_for(lambda: database["held"].count_documents({}) == 2)
        await wait_for(lambda: worker.watch.role == "active")
        await worker.watch.look()
        await wait_for(lambda: database["outbox"].count_documents({"unsent": True}) == 0)
        done = run("status", settings, tmp_path)
        shown = on_a_terminal("status", settings, tmp_path, 80)
        name = worker.name
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["version"], told["database"]) == (VERSION, settings.database)
    assert told["mongodb"]["form"] >= 2
    assert told["mongodb"]["version"]
    assert told["rabbitmq"]["version"]
    assert told["active"] == [name]
    [one] = told["workers"]
    said = (one["worker"], one["role"], one["ready"], one["driver"])
    assert said == (name, "active", True, settings.mongodb_driver)
    assert {queue["queue"]: queue["messages"] for queue in told["queues"]} == {
        "paymaster.work": 0,
        "paymaster.dead": 0,
        "paymaster.queries": 0,
    }
    assert told["day"]["begun"] is None
    assert told["day"]["behindSeconds"] >= 0
    assert "clock" not in told
    assert told["held"]["waiting"] == 1
    assert told["held"]["scheduled"] == 0
    assert told["held"]["oldestWaitingSeconds"] >= 0
    assert told["parked"] == [{"reason": "unknown-type", "type": "nonsense", "count": 1}]
    assert told["outbox"]["unsent"] == 0
    assert max(map(len, shown.splitlines())) <= 80
    for what in (name, settings.database, "paymaster.queries", "nonsense", "active"):
        assert what in shown
    # A worker that has left is none that died.
    assert database["workers"].count_documents({}) == 0
    database["outbox"].insert_one({"_id": "BA-1:9", "unsent": True, "bookedAt": datetime.now(UTC)})
    told = json.loads(run("status", settings, tmp_path).stdout)
    assert told["outbox"]["unsent"] == 1
    assert 0 <= told["outbox"]["oldestUnsentSeconds"] < 60


@ONE_DRIVER
def test_status_tells_what_can_be_told(settings: Settings, new_database: Books, tmp_path: Path) -> None:
    """Of an empty database, and when one of the services is away."""
    settings = settings.model_copy(update={"database": new_database.name})
    done = run("status --json", settings, tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["mongodb"]["form"] is None
    assert told["active"] == []
    assert {queue["messages"] for queue in told["queues"]} == {None}
    done = run("status --json", settings, tmp_path, rabbitmq_url="amqp://guest:guest@127.0.0.1:1/")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert "nothing listens at 127.0.0.1:1" in told["rabbitmq"]["error"]
    assert told["mongodb"]["version"]
    assert done.stderr == ""


@ONE_DRIVER
async def test_check_says_what_is_wrong_with_each(settings: Settings, client: Client, tmp_path: Path) -> None:
    """One line for each, all of them at once; and it changes nothing."""
    done = run("check", settings, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert [one["name"] for one in told["checks"]] == [
        "settings",
        "PAYMASTER_ACCESS",
        "mongodb",
        "mongodb: database",
        "mongodb: rights",
        "rabbitmq",
        "rabbitmq: rights",
        "rabbitmq: queues",
        "tls",
    ]
    place = urlsplit(settings.rabbitmq_url)
    netloc = f"guest:{SECRET}@{place.netloc.rpartition('@')[2]}"
    wrong = {
        "rabbitmq_url": urlunsplit(place._replace(netloc=netloc)),
        "mongodb_url": f"mongodb://nobody:{SECRET}@{urlsplit(settings.mongodb_url).netloc}/?directConnection=true",
    }
    done = run("check", settings, tmp_path, **wrong)
    assert done.returncode == 1
    failed = {one["name"]: one["detail"] for one in json.loads(done.stdout)["checks"] if not one["ok"]}
    assert "refuses the credentials" in failed["mongodb"]
    assert "refuses the credentials" in failed["rabbitmq"]
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr == ""
    done = run("check", settings, tmp_path, time_zone="Mars", prefetch="many")
    failed = {one["name"]: one["detail"] for one in json.loads(done.stdout)["checks"]}
    assert failed.keys() == {"PAYMASTER_TIME_ZONE", "PAYMASTER_PREFETCH"}
    assert done.returncode == 1


@ONE_DRIVER
async def test_check_finds_queues_that_were_declared_otherwise(
    settings: Settings, client: Client, tmp_path: Path
) -> None:
    """What the start would stop at."""
    await client.declare()
    done = run("check", settings, tmp_path, single_active_consumer=False)
    assert done.returncode == 1
    failed = {one["name"]: one["detail"] for one in json.loads(done.stdout)["checks"] if not one["ok"]}
    assert "PAYMASTER_SINGLE_ACTIVE_CONSUMER" in failed["rabbitmq: queues"]


def test_the_version(tmp_path: Path) -> None:
    """Without any setting."""
    done = subprocess.run([PAYMASTER, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"paymaster {VERSION}\n"
