"""The access file at the command line: the start, `check`, `status`, `access check`, and how it is read again."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from tests.operations.test_status import on_a_terminal, run
from tests.support.books import Books
from tests.support.client import Client
from tests.support.messages import customer, payment
from tests.support.senders import Users, toml_of
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess, working

ONE_DRIVER = pytest.mark.parametrize("driver", ["pymongo"])
SENDERS: dict[str, dict[str, Any]] = {
    "shop": {"send": ["order.*"], "ask": ["account.get"]},
    "partner": {"send": ["statement.report"], "party": "P-7"},
    "api": {"gateway": True},
}
WRONG = '[senders.shop]\nsend = ["order.complete"]\ngateway = 1\n[rights]\n'


def unconnected(**changes: Any) -> Settings:
    """Settings whose services nothing asks for."""
    urls: dict[str, Any] = {"rabbitmq_url": "amqp://127.0.0.1:1/", "mongodb_url": "mongodb://127.0.0.1:1/"}
    return Settings(_env_file=None, **urls, **changes)


@pytest.fixture
def access(tmp_path: Path) -> str:
    """The path of an access file."""
    path = tmp_path / "access.toml"
    path.write_text(toml_of(SENDERS))
    return str(path)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("shop order.completed", {"kind": "message", "allowed": True, "why": "[senders.shop] send: order.*"}),
        ("shop account.get", {"kind": "query", "allowed": True, "why": "[senders.shop] ask: account.get"}),
        (
            "partner statement.report",
            {
                "allowed": True,
                "party": "P-7",
                "why": "[senders.partner] send: statement.report; only about accounts that are related to P-7",
            },
        ),
        (
            "shop payment.received",
            {
                "allowed": False,
                "why": "forbidden: user_id: shop may not send payment.received: it may send order.*",
            },
        ),
        ("eve account.get", {"allowed": False, "why": "forbidden: user_id: the access file has no [senders.eve]"}),
        (
            "api order.completed --acting-as shop",
            {"allowed": True, "actingAs": "shop", "why": "[senders.shop] send: order.*"},
        ),
        (
            "shop order.completed --acting-as api",
            {"allowed": False, "why": "forbidden: header acting-user: shop is no gateway, and speaks only for itself"},
        ),
    ],
)
def test_access_check_says_what_would_happen_and_why(
    access: str, tmp_path: Path, command: str, told: dict[str, Any]
) -> None:
    """JSON when piped, and its exit code is the answer."""
    done = run(f"access check {command}", unconnected(), tmp_path, access=access)
    found = json.loads(done.stdout)
    assert found.items() >= told.items()
    assert found["file"] == access
    assert done.returncode == (0 if told["allowed"] else 1)


def test_access_check_on_a_terminal(access: str, tmp_path: Path) -> None:
    """A table that fits."""
    shown = on_a_terminal("access check partner statement.report", unconnected(access=access), tmp_path, 80)
    assert max(map(len, shown.splitlines())) <= 80
    assert "P-7" in shown
    assert "yes" in shown


def test_access_check_without_a_file_or_of_what_is_not_there(access: str, tmp_path: Path) -> None:
    """It is open, and says so; a slip of the pen is no answer."""
    done = run("access check eve seller.update", unconnected(), tmp_path)
    assert (done.returncode, json.loads(done.stdout)["why"]) == (0, "PAYMASTER_ACCESS is not set: access is open")
    done = run("access check shop order.complete", unconnected(), tmp_path, access=access)
    assert done.returncode == 2
    assert done.stderr == "paymaster: order.complete: no message is of this type, and no query has this name\n"


def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    """Before anything is connected to; all that is wrong, each in a line."""
    path = tmp_path / "access.toml"
    path.write_text(WRONG)
    done = run("run", unconnected(), tmp_path, access=str(path))
    assert done.returncode == 2
    faults = (
        "rights is unknown: there is [senders.NAME]",
        '[senders.shop] send: pattern 1 "order.complete" fits nothing that there is, is order.completed meant?',
        "[senders.shop] gateway: must be true or false",
    )
    assert done.stderr.splitlines() == [f"paymaster: PAYMASTER_ACCESS: {path}: {fault}" for fault in faults]
    done = run("run", unconnected(), tmp_path, access=str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "can't be read (No such file or directory)" in done.stderr


async def test_check_names_each_fault_of_the_file(access: str, tmp_path: Path) -> None:
    """Beside what else it finds; and says what is right."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(WRONG)

    def told(name: str, **changes: Any) -> list[tuple[bool, str]]:
        directory = tmp_path / name
        directory.mkdir()
        checks = json.loads(run("check", unconnected(), directory, **changes).stdout)["checks"]
        return [(one["ok"], one["detail"]) for one in checks if one["name"] == "PAYMASTER_ACCESS"]

    # Beside one another: each waits for services that are not there.
    right, open_, faults = await asyncio.gather(
        asyncio.to_thread(told, "right", access=access),
        asyncio.to_thread(told, "open"),
        asyncio.to_thread(told, "wrong", access=str(wrong)),
    )
    assert right == [(True, "3 senders")]
    assert open_ == [(True, "not set: access is open")]
    assert [ok for ok, _ in faults] == [False, False, False]


@ONE_DRIVER
async def test_a_worker_says_how_open_it_is_and_reads_the_file_again(
    settings: Settings,
    client: Client,
    database: Books,
    users: Users,
    tmp_path: Path,
    worker_process: Callable[..., AbstractAsyncContextManager[WorkerProcess]],
) -> None:
    """On SIGHUP; `status` says it too."""
    path = tmp_path / "access.toml"
    rights: dict[str, dict[str, Any]] = {"shop": {"send": ["account.*"]}}
    file = users.file(path, rights)
    async with worker_process("limited", access=file) as worker, users.speaking("shop") as shop:
        await worker.consuming()
        assert "access is open" not in worker.log
        assert (await shop.send(customer("BA-1")))["outcome"] == "applied"
        assert (await shop.send(payment("P-1", "BA-1", 5)))["error"]["code"] == "forbidden"
        path.write_text("[senders.shop]\nsned = []\n")
        worker.send_signal(signal.SIGHUP)
        await wait_for(lambda: "the rights stay as they were" in worker.log, otherwise=lambda: worker.log)
        assert (await shop.send(customer("BA-2")))["outcome"] == "applied"
        users.file(path, {"shop": {"send": ["account.*", "payment.*"]}})
        worker.send_signal(signal.SIGHUP)
        await wait_for(lambda: "access file read again" in worker.log, otherwise=lambda: worker.log)
        assert (await shop.send(payment("P-1", "BA-1", 5)))["outcome"] == "applied"
        told = json.loads((await asyncio.to_thread(run, "status", settings, tmp_path, access=file)).stdout)
        assert told["access"] == {"file": file, "senders": 1}
        assert await worker.terminate() == 0
    assert "OPEN" in await asyncio.to_thread(on_a_terminal, "status", settings, tmp_path, 80)
    told = json.loads((await asyncio.to_thread(run, "status", settings, tmp_path)).stdout)
    assert told["access"] == {"open": True}
    # A start says it before it has to do with any service.
    started = await asyncio.to_thread(run, "run", unconnected(start_timeout_seconds=0.1), tmp_path)
    assert "access is open: whoever may publish may do everything" in started.stderr


@ONE_DRIVER
async def test_operators_commands_say_beforehand_what_the_file_will(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """A replay that would be forbidden is refused, tried out and done, and the message stays parked."""
    file = users.file(tmp_path / "access.toml", {"shop": {"send": ["account.*"]}})
    limited = settings.model_copy(update={"access": file})
    async with working(limited), users.speaking("shop") as shop:
        assert (await shop.send(payment("P-1", "BA-1", 5)))["error"]["code"] == "forbidden"
        for command in ("parked replay --all --dry-run --json", "parked replay --all --why test --json"):
            done = await asyncio.to_thread(run, command, limited, tmp_path)
            [item] = json.loads(done.stdout)["items"]
            assert "refused" in (item.get("would"), item.get("state"))
            assert f"forbidden: {item['parkedId']} would be parked again" in item["detail"] or (
                item["detail"]
                == f"forbidden: user_id: {shop.user} may not send payment.received: it may send account.*"
            )
    [row] = database["held"].find()
    assert (row["state"], row["attempts"]) == ("parked", 1)
