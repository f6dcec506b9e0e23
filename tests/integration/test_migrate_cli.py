"""`paymaster migrate`, and what the other commands say of a database that is not of this version's form."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from adapters.mongodb.connection import MIGRATE_APP_NAME
from adapters.settings import Settings
from adapters.store.steps import FORM, STEPS
from handlers.cli import app
from tests.support.books import Books, assert_audit_ok
from tests.support.client import Client
from tests.support.failpoints import failing
from tests.support.messages import customer
from tests.support.older import form_1
from tests.support.workers import PAYMASTER, WorkerProcess, environment

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)
Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]
Call = Callable[..., Any]


@pytest.fixture
def database(new_database: Books) -> Books:
    """One that nobody has prepared."""
    return new_database


@pytest.fixture
def call(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls `paymaster` with these arguments, on the test's database."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, arguments, env=dict.fromkeys(os.environ) | environment(settings))


@pytest.fixture
def books(database: Books) -> Books:
    """Books of form 1."""
    form_1().restore(database)
    return database


def one_line(result: Any, code: int = 2) -> str:
    """What a command that can't go on says, and nothing else."""
    assert result.exit_code == code, result.output
    [line] = result.output.splitlines()
    assert line.startswith("paymaster: ")
    return str(line)


def test_what_was_done_is_told_as_json(call: Call, books: Books) -> None:
    """Line by line how far it is, and at last from which form to which, and what each step did."""
    result = call("migrate")
    assert result.exit_code == 0, result.output
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    made = last["indexes"]["made"]
    assert lines[-1] == {"form": None, "what": "indexes", "documents": len(made), "of": len(made)}
    assert {"invoices.order", "held.messageId", "outbox.values"} <= set(made)
    assert last == {
        "from": 1,
        "to": FORM,
        "steps": [
            {
                "form": step.to,
                "why": step.why,
                "updates": [
                    {"name": one.name, "collection": one.changed, "documents": said["documents"]}
                    for one, said in zip(step.updates, told["updates"], strict=True)
                ],
            }
            for step, told in zip(STEPS, last["steps"], strict=True)
        ],
        "indexes": {"dropped": ["invoices.order"], "made": made},
        "collections": [
            "advances",
            "agreements",
            "backdatings",
            "billRuns",
            "billedPeriods",
            "billsOnDemand",
            "calendar",
            "charges",
            "closingSchedules",
            "creditNotes",
            "days",
            "disputes",
            "dunnedDays",
            "dunningProcedures",
            "dunningSteps",
            "dunningSuspensions",
            "dunnings",
            "earnings",
            "goodwill",
            "losses",
            "recoveries",
            "refunds",
            "reserves",
            "reversals",
            "seller",
            "sellerVersions",
            "settlementDocuments",
            "shareCorrections",
            "statementReports",
            "subscriptions",
            "tierPeriods",
            "transfers",
            "usageMonths",
            "usageRecords",
            "values",
            "workers",
            "writeOffs",
        ],
    }
    [nothing] = [json.loads(line) for line in call("migrate", "--json").stdout.splitlines()]
    assert nothing == {
        "from": FORM,
        "to": FORM,
        "steps": [],
        "indexes": {"dropped": [], "made": []},
        "collections": [],
    }
    assert call("audit").exit_code in (0, 1)


def on_a_terminal(settings: Settings, directory: Path, *arguments: str) -> str:
    """What `paymaster` says when its output is a terminal."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [PAYMASTER, *arguments], stdin=its, stdout=its, stderr=its, env=environment(settings), cwd=directory
    ) as process:
        os.close(its)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # its end
            pass
        os.close(ours)
    assert process.returncode == 0, said
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())


def test_on_a_terminal_it_is_told_in_words(settings: Settings, books: Books, tmp_path: Path) -> None:
    """From which form to which, what was done, and that there is nothing to do."""
    said = on_a_terminal(settings, tmp_path, "migrate")
    assert "form 2: a position says whether" in said
    assert re.search(r"indexes made: .*invoices\.order", said.replace("\r\n", " "))
    assert f"was of form 1 and is of form {FORM}" in said.replace("\r\n", " ")
    again = on_a_terminal(settings, tmp_path, "migrate")
    assert "nothing to do" in again


def test_an_empty_database_has_nothing_to_migrate(call: Call, database: Books) -> None:
    result = call("migrate")
    assert (result.exit_code, json.loads(result.stdout)["from"]) == (0, None)
    assert database.list_collection_names() == []


def test_a_database_that_is_not_ours_is_told(call: Call, database: Books) -> None:
    database["accounts"].insert_one({"_id": "somebody's"})
    assert "is PAYMASTER_DATABASE right?" in one_line(call("migrate"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (None, "run `paymaster migrate`"),
        ({"number": FORM + 1}, "newer version"),
        ({"number": 1, "migrating": {"to": FORM}}, "under way"),
    ],
    ids=["older", "newer", "migrating"],
)
def test_each_command_says_that_the_form_is_another(call: Call, books: Books, row: Any, says: str) -> None:
    """In one line, with what to do, and without a look at what it would misread."""
    if row is not None:
        books["meta"].insert_one({"_id": "form", **row})
    for command in (("audit",), ("parked", "groups"), ("outbox",), ("outbox", "list"), ("parked", "replays")):
        line = one_line(call(*command))
        assert books.name in line
        assert says in line


async def test_a_worker_says_that_the_form_is_another(books: Books, worker_process: Start) -> None:
    """It does not start, and leaves the books as they are."""
    before = books["invoices"].index_information()
    async with worker_process("new") as new:
        assert await new.ended() == 2
    line = new.log.splitlines()[-1]
    assert line.startswith("paymaster: ")
    assert "stop all workers, take a dump (mongodump), then run `paymaster migrate`" in line
    assert books["invoices"].index_information() == before


def test_whoever_may_not_is_told_by_the_server(call: Call, books: Books, mongo: MongoClient[Any]) -> None:
    """A user without rights, or a database that is away, ends it with one line, and it can be run again."""
    with failing(mongo, "dropIndexes", 1, appName=MIGRATE_APP_NAME, errorCode=13):
        result = call("migrate")
    assert result.exit_code == 2
    last = result.output.splitlines()[-1]
    assert last.startswith("paymaster: MongoDB lets the user in, but not ")
    assert "goes on where it was" in last
    assert "Traceback" not in result.output
    assert "under way" in one_line(call("outbox"))
    assert call("migrate").exit_code == 0


async def test_a_worker_that_was_forgotten_stops(
    client: Client, settings: Settings, database: Books, worker_process: Start
) -> None:
    """One that runs while its database is migrated ends by itself, and says why."""
    async with worker_process("forgotten") as forgotten:
        await forgotten.consuming()
        assert (await client.ask(customer("BA-1")))["outcome"] == "applied"
        database["meta"].update_one({"_id": "form"}, {"$set": {"migrating": {"to": FORM + 1}}})
        assert await forgotten.ended() == 2
    last = forgotten.log.splitlines()[-1]
    assert last.startswith("paymaster: ")
    assert "newer version" in last
    assert "Traceback" not in forgotten.log
    database["meta"].replace_one({"_id": "form"}, {"number": FORM})
    assert_audit_ok(database)
