"""Texts that are hostile to who reads them: a terminal, a log, the database's query language, a page of HTML."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import Settings
from tests.operations.test_status import on_a_terminal, run
from tests.support.books import Books
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.senders import Speaking, Users
from tests.support.workers import WorkerProcess

HOSTILE = (
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[1;1H",
    "\r\ntime=2026 level=error event=forged",
    "\nlevel=error event=forged",
    "\u202egnp.exe",
    "\u2066\u200b\ufeff",
    "\x9b31m",
    '"><script>alert(1)</script>',
    "{{7*7}}${7*7}<%= 7*7 %>",
    "'; db.dropDatabase(); '",
    "$where",
    "$gt",
    "a.b.$[].c",
    "__proto__",
    "=cmd|' /C calc'!A1",
    "%s%n%x{0}{user}",
    "x" * 900,
)
STEERING = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\u200b", "\ufeff", "\r")


@pytest.fixture
def driver() -> str:
    """Any one will do."""
    return "pymongo"


async def test_whatever_is_sent_nobody_is_harmed_who_reads_of_it(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> None:
    """In types, ids, names, headers and bodies: the log has our lines only, the terminal shows escapes."""
    shop = {"send": ["account.create", "order.completed"], "ask": ["account.get"]}
    file = users.file(tmp_path / "access.toml", {"eve": shop})
    async with (
        WorkerProcess.running(settings, tmp_path / "worker", access=file) as worker,
        users.speaking("eve") as eve,
    ):
        await worker.consuming()
        await asyncio.gather(*(_try(eve, n, text) for n, text in enumerate(HOSTILE)))
        # What was sent before is decided by then.
        assert (await eve.send(customer("BA-LAST")))["outcome"] == "applied"
        assert database["held"].count_documents({"state": "parked", "reason": "forbidden"}) >= len(HOSTILE)
        log = worker.log
        await worker.terminate()
    lines = log.removesuffix("\n").split("\n")
    assert all(line.startswith("time=") for line in lines), [line for line in lines if not line.startswith("time=")]
    assert not any("event=forged" in line.partition(" event=")[0] for line in lines)
    assert [char for char in STEERING if char in log] == []
    ids = [row["parkedId"] for row in database["held"].find({"messageId": {"$regex": "^m-"}}).limit(4)]
    commands = ("parked list", f"parked show {ids[0]}", "parked groups")
    shown = await asyncio.gather(
        *(asyncio.to_thread(on_a_terminal, command, settings, tmp_path, 80) for command in commands)
    )
    for text in shown:
        # Rich's own sequences are colours; with TERM=dumb there are none.
        assert [char for char in STEERING if char in text] == [], text
    piped = await asyncio.to_thread(run, "parked list --json --limit 500", settings, tmp_path)
    assert piped.stdout.isascii()
    assert len(json.loads(piped.stdout)["items"]) >= 2 * len(HOSTILE)
    assert set(database.list_collection_names()) >= {"accounts", "held", "inbox"}


async def _try(eve: Speaking, n: int, text: str) -> None:
    """Wherever a text may stand."""
    short = text[:200]
    headers: dict[str, Any] = {short: short, "$gt": {"$ref": short}, "acting-user": short}
    # A type that is not hers, in a name that is not hers; an id that is none; a name that is any text.
    await eve.publish("paymaster.in", short, {"id": short}, app_id=short)
    await eve.publish("paymaster.in", *order(f"O-{n}", "BA-1"), headers=headers, message_id=f"m-{n}{short}"[:200])
    await eve.publish("paymaster.in", *order(f"O-{n}{text}", "BA-1"), message_id=short, app_id=short)
    answer = await eve.send(customer(f"BA-{n}", name=text, **{text: {"$set": text}}))
    assert answer["outcome"] == "applied", answer
    # It goes out as the text that it came in as.
    found = (await eve.ask("account.get", {"id": f"BA-{n}"}))["result"]
    assert (found["name"], found[text]) == (text, {"$set": text})
    for arguments in ({"id": {"$gt": text}}, {"id": text}, {text: 1}, {"id": ["$where", text]}):
        answer = await eve.ask("account.get", arguments)
        assert answer["error"]["code"] in ("invalid", "unknown-account"), answer


async def test_names_in_the_access_file_and_on_the_command_line(settings: Settings, tmp_path: Path) -> None:
    """An error of the file, and an answer to who asks, are one line each that steers nothing."""
    path = tmp_path / "access.toml"
    names = [text for text in HOSTILE if len(text) < 100]
    path.write_text("".join(f"[senders.{json.dumps(name)}]\nsned = []\n" for name in names if "\x9b" not in name))
    done = await asyncio.to_thread(run, "check --json", settings, tmp_path, access=str(path))
    told = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "PAYMASTER_ACCESS"]
    assert len(told) >= len(names) - 1
    for one in told:
        assert "sned is unknown" in one["detail"]
        assert not any(char in one["detail"] for char in (*STEERING, "\n"))
