"""`paymaster parked`: what operators see, what they do, and that both are true."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import signal
import stat
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from pymongo.errors import AutoReconnect
from typer.main import get_command
from typer.testing import CliRunner

from adapters.operations.parked import act_on_held
from adapters.operations.replays import Ended, Replay, Sending, by_ids, record
from adapters.settings import Settings
from adapters.store.store import Store
from handlers.cli import app
from handlers.console import options
from handlers.console.bodies import parsed, pretty, with_value, written
from handlers.console.terminal import safe
from schemas.operations.acts import Act
from tests.support.books import Books, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import Message, customer, order
from tests.support.waiting import SECONDS_MAX, wait_for
from tests.support.workers import PAYMASTER, environment, interruptible, working

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])


commands = functools.cache(get_command)


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)


@dataclass
class Operator:
    """Types commands: `await operator("list", "--json")`."""

    settings: Settings

    async def __call__(self, *words: str, typed: str = "", code: int = 0, **variables: str) -> Result:
        """Run `paymaster parked …` in this process; it must end with that exit code."""
        told = {"PAYMASTER_OPERATOR": "ada", "COLUMNS": "200", **environment(self.settings), **variables}
        ended = await asyncio.to_thread(CliRunner().invoke, app, ["parked", *words], typed, told)
        result = Result(ended.exit_code, ended.stdout, ended.stderr)
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exc_info
        assert result.code == code, (words, result)
        return result

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start it as a process of its own."""
        with interruptible():
            return await asyncio.create_subprocess_exec(
                PAYMASTER,
                "parked",
                *words,
                env=environment(self.settings) | {"PAYMASTER_OPERATOR": "ada"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )


@pytest.fixture
def operator(settings: Settings, monkeypatch: Any) -> Iterator[Operator]:
    """An operator; the log of the workers in this process is kept out of what the commands print."""
    # To make the commands takes as long as most of them do.
    monkeypatch.setattr("typer.testing._get_command", commands)
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    yield Operator(settings)
    structlog.configure(**before)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The store as commands open it."""
    made = Store(settings.mongodb_url, settings.database, "pymongo")
    await made.prepare()
    yield made
    await made.close()


async def held_in(database: Books, state: str, count: int) -> None:
    """Wait until so many messages are held in a state."""
    await wait_for(lambda: len(held(database, state)) == count)


async def park(client: Client, operator: Operator, database: Books, *messages: Message) -> list[str]:
    """Have messages parked that could be applied but for their account, which is not there; returns their ids."""
    for message in messages:
        await client.send(message)
    await held_in(database, "waiting", len(messages))
    told = (await operator("discard", "--state", "waiting", "--all", "--why", "for now", "--yes", "--json")).json
    ids = [one["id"] for one in told["messages"]]
    await operator("undo", *ids, "--why", "for a test")
    return ids


async def say(client: Client, *messages: Message) -> None:
    for message in messages:
        assert (await client.ask(message))["outcome"] == "applied"


async def refuse(client: Client, *messages: Message) -> None:
    for message in messages:
        assert (await client.ask(message))["outcome"] == "parked"


async def recorded(store: Store, ids: list[str], canary: int | None = None) -> str:
    """A replay that is written down, and not begun."""
    messages = await by_ids(store.database, ids)
    return await record(
        store.database, messages, by="ada", at=datetime.now(UTC), why="mended", filters={}, canary=canary, rate=None
    )


def drafts(directory: Path) -> list[Path]:
    """The files that editors were left with."""
    return list(directory.glob("paymaster-*"))


async def run(store: Store, replay: str) -> tuple[Ended, Counter[str]]:
    """Run a replay, as fast as it goes; returns how it ended, and how many messages became what."""
    sending = Sending("ada", SECONDS_MAX, 10_000, lambda counts: None, lambda: datetime.now(UTC))
    running = Replay(store, replay, sending)
    return await running.run(), +running.counts


def replayed(database: Books) -> Counter[str]:
    """How often each message was replayed."""
    return Counter(row["parkedId"] for row in database["operatorActs"].find({"act": "replay"}))


@ONE_DRIVER
async def test_operators_see_what_is_held(
    settings: Settings, client: Client, database: Books, operator: Operator, tmp_path: Path, monkeypatch: Any
) -> None:
    """Tables for people, JSON for programs; pages, filters, and no text that steers the terminal."""
    hostile = {"orderId": "O-\x1b[2J", "note": "\x9b31m[red]\u202eevil"}
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, *[order(f"O-{n}", "BA-1", currency="USD") for n in range(3)])
        await client.send(("order.cancelled\x1b[31m", json.dumps(hostile, ensure_ascii=False).encode()))
        await client.send(order("O-9", "BA-9"))
        await held_in(database, "waiting", 1)
        await held_in(database, "parked", 4)
        groups = (await operator("groups", "--json")).json["items"]
        assert [(one["count"], one["reason"]) for one in groups] == [(3, "currency-mismatch"), (1, "unknown-type")]
        everything = (await operator("list", "--json")).json["items"]
        assert len(everything) == 4
        first = (await operator("list", "--limit", "3", "--json")).json
        rest = (await operator("list", "--limit", "3", "--after", first["after"], "--json")).json
        assert first["items"] + rest["items"] == everything
        for words, count in (
            (["--group", groups[0]["group"]], 3),
            (["--reason", "unknown-type"], 1),
            (["--type", "order.completed"], 3),
            (["--account", "BA-1"], 3),
            (["--state", "waiting"], 1),
            (["--from", "2020-01-01", "--to", "2020-12-31"], 0),
        ):
            assert len((await operator("list", "--json", *words)).json["items"]) == count, words

        # In a narrow terminal too: no id is cut, nothing steers it.
        for columns in ("60", "200"):
            shown = (await operator("list", "--limit", "3", COLUMNS=columns)).out
            assert all(one["parkedId"] in shown for one in first["items"])
            assert f"--after {first['after']}" in shown
            assert groups[0]["group"] in (await operator("groups", COLUMNS=columns)).out
        whole = await operator("show", everything[3]["parkedId"])
        for result in (await operator("groups"), await operator("list"), whole):
            assert not set(result.out) & {"\x1b", "\x9b", "\u202e"}
        assert all(text in whole.out for text in (r"\x9b31m[red]\u202eevil", "unknown-type", "message"))
        program = await operator("show", everything[3]["parkedId"], "--json")
        assert program.out.isascii()
        assert json.loads(program.json["body"]) == hostile

        [account] = (await operator("accounts", "--json", "--limit", "1")).json["items"]
        assert account["account"] == "BA-1"
        assert "not billed" in (await operator("accounts")).out

        file = tmp_path / "export.jsonl"
        await operator("export", "--account", "BA-1", "--output", str(file))
        assert [json.loads(line)["parkedId"] for line in file.read_text().splitlines()] == [
            one["parkedId"] for one in everything[:3]
        ]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        told = await operator("export", everything[0]["parkedId"], "P-nothing", code=1)
        assert len(told.out.splitlines()) == 1
        assert "P-nothing" in told.err

        # Wrong usage is told in one line.
        for words in (["list", "--from", "yesterday"], ["replay", "--why", "x"], ["replay", "--all"], ["export"]):
            told = await operator(*words, code=2)
            assert (told.out, told.err.count("\n")) == ("", 1)
        assert (await operator("show", "P-nothing", code=1)).err == "paymaster: id: no message P-nothing\n"
        with monkeypatch.context() as patch:
            patch.setattr("handlers.console.terminal.read", _away)
            away = await operator("groups", code=2)
            assert (away.out, away.err.count("\n")) == ("", 1)
            assert away.err.startswith("paymaster: MongoDB did not answer at ")
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_replay_tells_what_came_of_each_message(
    settings: Settings, client: Client, database: Books, operator: Operator, store: Store
) -> None:
    """Applied, parked again, waiting, refused: by what is recorded, not by what was sent."""
    async with working(settings):
        ids = await park(client, operator, database, order("O-1", "BA-1"), order("O-2", "BA-2"))
        await say(client, customer("BA-1"))
        await refuse(client, order("O-3", "BA-1", currency="USD"))
        wrong = held(database)["order.completed:O-3"]["parkedId"]
        dry = (await operator("replay", "--all", "--dry-run", "--json")).json
        assert [one["parkedId"] for one in dry["items"]] == [*ids, wrong]
        assert (database["replays"].count_documents({}), replayed(database)) == (0, Counter())

        told = await operator("replay", *ids, wrong, "P-nothing", "--why", "mended", "--json", code=1)
        assert [(one["parkedId"], one["state"]) for one in told.json["items"]] == [
            (ids[0], "applied"),
            (ids[1], "waiting"),
            (wrong, "parked"),
            ("P-nothing", "refused"),
        ]
        assert "currency-mismatch" in told.json["items"][2]["detail"]
        assert told.json["ended"] == "done"
        assert position(database, "BA-1") == {"receivable": 1200}
        [row] = (await operator("replays", "--json")).json["items"]
        assert (row["_id"], row["by"], row["why"], row["state"]) == (told.json["replay"], "ada", "mended", "done")
        # What waited then is applied now; only that is looked at again.
        await say(client, customer("BA-2"))
        await wait_for(lambda: database["inbox"].find_one({"_id": "order.completed:O-2"}) is not None)
        again = await operator("replay", "--resume", row["_id"], "--json", code=1)
        assert again.json["counts"] == {"applied": 2, "parked": 1, "refused": 1}
        assert set(replayed(database).values()) == {1}
        assert "currency-mismatch" in (await operator("replays", row["_id"])).out

        # One that can be read now goes on under its own identity, and is followed there.
        await refuse(client, ("order.completed", b"{"))  # type: ignore[arg-type]
        [broken] = [row for row in held(database, "parked").values() if row["reason"] == "malformed"]
        body = json.dumps(order("O-4", "BA-1")[1]).encode()
        database["held"].update_one({"_id": broken["_id"]}, {"$set": {"body": body}})
        ended = (await operator("replay", broken["parkedId"], "--why", "read by a newer version", "--json")).json
        [item] = ended["items"]
        assert item["state"] == "applied"
        assert item["into"].startswith("P-")
        assert position(database, "BA-1") == {"receivable": 2400}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_two_replays_at_once_touch_each_message_once(
    settings: Settings, client: Client, database: Books, operator: Operator, store: Store, monkeypatch: Any
) -> None:
    """Also those that were parked again between the list of the one and the sending of the other."""
    monkeypatch.setattr("adapters.operations.replays.TOGETHER_MAX", 3)
    async with working(settings):
        good = await park(client, operator, database, *[order(f"O-{n}", "BA-1") for n in range(20)])
        await say(client, customer("BA-1"))
        await refuse(client, *[order(f"N-{n}", "BA-1", currency="USD") for n in range(8)])
        ids = [row["parkedId"] for row in held(database, "parked").values()]
        assert len(ids) == 28
        replays = [await recorded(store, ids) for _ in range(3)]
        (_, one), (_, other) = await asyncio.gather(*(run(store, replay) for replay in replays[:2]))
        assert one["applied"] + other["applied"] == len(good)
        assert one["parked"] + other["parked"] == 8
        assert one["refused"] + other["refused"] == 28
        # A list that is old by now: what was parked again is another attempt, for somebody to look at first.
        assert await run(store, replays[2]) == ("done", Counter(refused=28))
        assert replayed(database) == Counter(ids)
        assert position(database, "BA-1") == {"receivable": 20 * 1200}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_canary_that_does_not_go_well_stops_the_rest(
    settings: Settings, client: Client, database: Books, operator: Operator
) -> None:
    """Nothing but the canary was touched; who looked at it goes on with the rest."""
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, order("N-1", "BA-1", currency="USD"))
        ids = await park(client, operator, database, *[order(f"O-{n}", "BA-2") for n in range(5)])
        await say(client, customer("BA-2"))
        told = await operator("replay", "--all", "--canary", "1", "--why", "mended", "--json", code=1)
        assert told.json["counts"] == {"parked": 1, "pending": 5}
        assert told.json["ended"] == "canary"
        assert not set(replayed(database)) & set(ids)
        assert "--resume" in told.err
        told = await operator("replay", "--resume", told.json["replay"], "--json", code=1)
        assert told.json["counts"] == {"parked": 1, "applied": 5}
        assert set(replayed(database).values()) == {1}
        # One that goes well is followed by the rest at once.
        more = await park(client, operator, database, *[order(f"M-{n}", "BA-3") for n in range(3)])
        await say(client, customer("BA-3"))
        told = await operator("replay", *more, "--canary", "2", "--why", "mended", "--json")
        assert told.json["counts"] == {"applied": 3}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_replay_is_interrupted_and_gone_on_with(
    settings: Settings, client: Client, database: Books, operator: Operator, store: Store
) -> None:
    """Ctrl-C leaves what was not sent as it was; nothing is lost, and nothing is done twice."""
    async with working(settings):
        ids = await park(client, operator, database, *[order(f"O-{n}", "BA-1") for n in range(12)])
        await say(client, customer("BA-1"))
        # One at once, and the next one after so long that it is not seen here.
        process = await operator.start("replay", "--all", "--rate", "0.01", "--why", "mended")
        await wait_for(lambda: database["replayItems"].count_documents({"state": "applied"}) == 1, 90)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert process.returncode == 130, (out, err)
        [replay] = database["replays"].find()
        assert f"--resume {replay['_id']}" in err.decode()
        assert b"Traceback" not in err
        assert replay["state"] == "stopped"
        states = Counter(row["state"] for row in database["replayItems"].find())
        assert states == {"applied": 1, "pending": 11}
        assert len(held(database, "parked")) == 11
        assert await run(store, replay["_id"]) == ("done", Counter(applied=12))
        assert replayed(database) == Counter(ids)

        ids = await park(client, operator, database, *[order(f"N-{n}", "BA-2") for n in range(4)])
        await say(client, customer("BA-2"))
    # Without a worker nothing comes of it, which is told; what was sent is not sent again.
    told = await operator("replay", *ids, "--why", "mended", "--timeout", "0.2", code=1)
    assert "4 not taken up yet: is a worker running?" in told.err
    replay_id = told.err.split(":")[0]
    assert database["replays"].find_one({"_id": replay_id, "state": "stopped"})
    async with working(settings):
        assert (await operator("replay", "--resume", replay_id, "--json")).json["counts"] == {"applied": 4}
        assert set(replayed(database).values()) == {1}
    await operator("replay", "--resume", "R-nothing", code=2)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_replay_that_dies_while_it_sends(
    settings: Settings, client: Client, database: Books, operator: Operator, store: Store, monkeypatch: Any
) -> None:
    """A message is replayed and its item marked at once or not at all."""
    async with working(settings):
        ids = await park(client, operator, database, *[order(f"O-{n}", "BA-1") for n in range(3)])
        await say(client, customer("BA-1"))
        replay = await recorded(store, ids)
        with monkeypatch.context() as patch:
            patch.setattr("adapters.store.store.Transaction.commit", _killed)
            with pytest.raises(asyncio.CancelledError):
                await run(store, replay)
        assert Counter(row["state"] for row in database["replayItems"].find()) == Counter(pending=3)
        assert (len(held(database, "parked")), replayed(database)) == (3, Counter())
        assert await run(store, replay) == ("done", Counter(applied=3))
        assert replayed(database) == Counter(ids)
    await assert_clean(client, database)


async def _away(*_asked: Any) -> bytes:
    raise AutoReconnect("many\nlines")


async def _killed(_transaction: Any) -> None:
    raise asyncio.CancelledError


@ONE_DRIVER
async def test_a_message_is_edited(
    settings: Settings, client: Client, database: Books, operator: Operator, tmp_path: Path, monkeypatch: Any
) -> None:
    """By values, in an editor, from a file; what came in is kept, and a refused edit is not lost."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, *[order(f"O-{n}", "BA-1", currency="USD") for n in range(3)])
        await client.send(order("O-4", "BA-9"))
        ids = [held(database)[f"order.completed:O-{n}"]["parkedId"] for n in range(3)]
        body = json.loads(held(database)["order.completed:O-0"]["body"])

        told = await operator("edit", ids[0], "--set", "currency=XXL", "--why", "typing", "--yes", code=1)
        assert "currency" in told.err
        assert (await operator("edit", ids[0], "--set", "items.7.quantity=1", "--why", "x", code=2)).out == ""
        # Changed, but it meets another refusal: that is told, what came in is kept beside it.
        await operator("edit", ids[0], "--set", "currency=CHF", "--why", "typing", "--yes", code=1)
        shown = (await operator("show", ids[0], "--json")).json
        assert (json.loads(shown["body"]), json.loads(shown["original"]["body"])) == ({**body, "currency": "CHF"}, body)
        assert [act["why"] for act in shown["acts"]] == ["typing"]
        whole = (await operator("show", ids[0])).out
        assert '-  "currency": "USD",' in whole
        assert '+  "currency": "CHF",' in whole
        # Asked, and declined.
        edited = ["edit", ids[0], "--set", "currency=EUR", "--set", "items.0.unitPrice=20.00", "--why", "typing"]
        assert "nothing was changed" in (await operator(*edited, typed="n\n", code=1)).err
        assert (await operator(*edited, typed="y\n", code=0)).out.split()[-2:] == [ids[0], "applied"]
        assert position(database, "BA-1") == {"receivable": 2400}

        # To another identity: the two are linked, and the outcome is the new one's.
        told = await operator(
            "edit", ids[1], "--set", "orderId=O-9", "--set", "currency=EUR", "--why", "x", "-y", "--json"
        )
        assert told.json["state"] == "applied"
        assert held(database)["order.completed:O-1"]["editedInto"] == told.json["into"]
        assert position(database, "BA-1") == {"receivable": 3600}

        # The editor: what is refused stays in a file that is named; what is applied, or not changed, does not.
        await operator("edit", ids[2], "--why", "x", code=1, VISUAL="true")
        assert not drafts(tmp_path)
        told = await operator(
            "edit", ids[2], "--why", "x", "--yes", typed="n\n", code=1, VISUAL="sed -i s/USD/dollars/"
        )
        [draft] = drafts(tmp_path)
        assert str(draft) in told.err
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        draft.write_text(draft.read_text().replace("dollars", "EUR"))
        await operator("edit", ids[2], "--file", str(draft), "--why", "x", "--yes")
        draft.unlink()
        assert position(database, "BA-1") == {"receivable": 4800}
        await refuse(client, order("O-5", "BA-1", currency="USD"))
        id_ = held(database)["order.completed:O-5"]["parkedId"]
        await operator("edit", id_, "--why", "x", "--yes", EDITOR="sed -i s/USD/EUR/", VISUAL="")
        assert not drafts(tmp_path)
        assert position(database, "BA-1") == {"receivable": 6000}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_edit_is_of_what_was_looked_at(
    settings: Settings,
    client: Client,
    database: Books,
    operator: Operator,
    store: Store,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    """Who edits what another operator has tried meanwhile is told so, and loses nothing of what they wrote."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun, go = tmp_path / "begun", tmp_path / "go"
    editor = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.02; done; sed -i s/USD/EUR/ $0"
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, order("O-1", "BA-1", currency="USD"))
        id_ = held(database)["order.completed:O-1"]["parkedId"]
        words = ["edit", id_, "--why", "x", "--yes"]
        editing = asyncio.create_task(operator(*words, typed="n\n", code=1, VISUAL=f"sh -c '{editor}'"))
        await wait_for(begun.exists)
        replay = Act("replay", (id_,), "before")
        await act_on_held(store, "bob", datetime.now(UTC), lambda actions: actions.perform(replay))
        await wait_for(lambda: held(database, "parked").get("order.completed:O-1", {}).get("attempts") == 2)
        go.touch()
        told = await editing
        assert "was tried meanwhile" in told.err
        [draft] = drafts(tmp_path)
        assert str(draft) in told.err
        assert json.loads(await asyncio.to_thread(draft.read_text)) == order("O-1", "BA-1")[1]
    await assert_clean(client, database)


@ONE_DRIVER
async def test_discarding_and_undoing(settings: Settings, client: Client, database: Books, operator: Operator) -> None:
    """Counted and confirmed before, told after, and all of it in the history."""
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, *[order(f"O-{n}", "BA-1", currency="USD") for n in range(3)])
        ids = [row["parkedId"] for row in held(database).values()]
        asked = await operator("discard", "--reason", "currency-mismatch", "--why", "a test", typed="n\n", code=1)
        assert "discard 3 parked messages?" in asked.err
        await operator("discard", "--all", "--why", "a test", code=2)  # nobody answers
        assert len(held(database, "parked")) == 3
        await operator("discard", "--reason", "currency-mismatch", "--why", "a test", typed="y\n")
        assert len(held(database, "discarded")) == 3
        await operator("note", ids[0], "the shop knows")
        told = await operator("undo", ids[0], "P-nothing", "--why", "no test", "--by", "bob", "--json", code=1)
        assert told.json["messages"][0] == {"id": ids[0], "state": "parked"}
        assert told.json["messages"][1]["refused"]["code"] == "unknown-message"
        assert (await operator("discard", ids[1], "--why", "again", "--yes", code=1)).out.count("refused") == 1
        acts = (await operator("history", ids[0], "--json")).json["items"]
        assert [(act["act"], act["by"], act["why"]) for act in acts] == [
            ("discard", "ada", "a test"),
            ("note", "ada", "the shop knows"),
            ("undo", "bob", "no test"),
        ]
        page = (await operator("history", "--limit", "2", "--json")).json
        assert len((await operator("history", "--after", page["after"], "--json")).json["items"]) == 3
        assert (await operator("undo", ids[1], "--why", " ", code=2)).err.startswith("paymaster: --why: ")
    await assert_clean(client, database)


@ONE_DRIVER
async def test_the_shell_proposes_what_is_there(
    settings: Settings, client: Client, database: Books, operator: Operator, monkeypatch: Any
) -> None:
    """Groups with what they are about, and only what does nothing to a shell; silence when there is no database."""
    async with working(settings):
        await refuse(client, ("order.cancelled", {}), ("evil\x1b[2J; reboot", {}))
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    [safe_group] = [row["group"] for row in held(database).values() if row["routingKey"] == "order.cancelled"]
    proposed = dict(await asyncio.to_thread(options.propose("group"), ""))
    assert proposed[safe_group] == "1 × order.cancelled, unknown-type"
    assert not any("\x1b" in help_ for help_ in proposed.values())
    assert await asyncio.to_thread(options.propose("messageType"), "") == [("order.cancelled", "")]
    assert await asyncio.to_thread(options.propose("reason"), "inv") == []
    monkeypatch.setenv("PAYMASTER_MONGODB_URL", "nonsense")
    assert await asyncio.to_thread(options.propose("group"), "") == []
    await assert_clean(client, database)


def test_numbers_keep_their_digits() -> None:
    """What is written is what was read, but for its layout; a value that is set is JSON, or a text as it stands."""
    text = '{"a": 1.10, "b": [1e5, 12345678901234567890.000000010, -0], "c": {}, "d": "ü\\ud800", "e": []}'
    shown = pretty(text)
    assert shown is not None
    assert [digits in shown for digits in ("1.10", "1e5", "12345678901234567890.000000010", "-0")] == [True] * 4
    assert json.loads(shown, parse_float=Decimal) == json.loads(text, parse_float=Decimal)
    value = parsed('{"items": [{"quantity": 1.50}, {}]}')
    for path, new in (("items.0.quantity", "2.50"), ("items.1.id", '"7"'), ("currency", "EUR"), ("n", "NaN")):
        with_value(value, path, new)
    assert "".join(written(value).split()) == '{"items":[{"quantity":2.50},{"id":"7"}],"currency":"EUR","n":"NaN"}'
    for path in ("items.2", "items.x.y", "nothing.there", "currency.x"):
        with pytest.raises(ValueError, match=r"there is no|is no item|has parts"):
            with_value(value, path, "1")
    assert pretty("[" * 100_000) is None
    assert safe("a\x1b\x07\u202e\n\tb") == r"a\x1b\x07\u202e\n\tb"
    assert safe("a\n\tb\r", lines=True) == "a\n\tb\\r"
