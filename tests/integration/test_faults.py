"""Each thing that can be wrong with a connection is one line, at once, the same for every command."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed
from pymongo.errors import OperationFailure

from adapters.faults import mongodb_fault, rabbitmq_fault
from adapters.rabbitmq.connection import connect
from adapters.settings import Settings
from tests.support import programs
from tests.support.workers import environment

ONE_DRIVER = pytest.mark.parametrize("driver", ["motor"])
SECRET = "s3cret-Pa55word"
SECONDS_MAX = 60
"""How long a command may take on a machine that is shared; 300 is what a wrong password took."""
TLS_ALERT = bytes.fromhex("15030100020246")
"""What a TLS server says to who speaks something else: a fatal alert, protocol_version."""


def changed(url: str, **parts: Any) -> str:
    """The URL with other parts."""
    return urlunsplit(urlsplit(url)._replace(**parts))


def ran(command: str, settings: Settings, directory: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    """A command as a process of its own, with some settings changed."""
    return programs.ran(programs.paymaster, command, environment(settings, **changes), directory, SECONDS_MAX)


OF_MONGODB = {
    "refused": ("mongodb://127.0.0.1:{free}/", "MongoDB is not there: nothing listens at 127.0.0.1:{free}"),
    "password": ("mongodb://nobody:{secret}@{mongodb}/?directConnection=true", "MongoDB refuses the credentials"),
    "ca-file": ("mongodb://{mongodb}/?tls=true&tlsCAFile=/nope.pem", "/nope.pem"),
    "no-certificate": ("mongodb://{mongodb}/?tls=true&tlsCAFile={python}", "a certificate's file is none"),
    "protocol": ("mongodb://{rabbitmq}/", "MongoDB is not what answers at {rabbitmq}"),
}
# All on each of the two drivers, and one on every command: they share the way.
CASES = [
    *((command, fault) for command in ("run", "audit") for fault in OF_MONGODB),
    *((command, "refused") for command in ("outbox", "parked groups", "migrate")),
]


@ONE_DRIVER
@pytest.mark.parametrize(("command", "fault"), CASES)
def test_what_is_wrong_with_the_database_is_one_line(
    settings: Settings, tmp_path: Path, command: str, fault: str
) -> None:
    """Whatever the command; the line names the variable, and no password."""
    url, line = OF_MONGODB[fault]
    names = {
        "free": 1,
        "mongodb": urlsplit(settings.mongodb_url).netloc,
        "rabbitmq": urlsplit(settings.rabbitmq_url).netloc.rpartition("@")[2],
        "python": __file__,
        "secret": SECRET,
    }
    done = ran(command, settings, tmp_path, mongodb_url=url.format(**names), start_timeout_seconds=1)
    assert done.returncode == 2
    last = told(done, 1 if command != "run" else None)
    assert line.format(**names) in last
    assert "PAYMASTER_MONGODB_URL" in last


def told(done: subprocess.CompletedProcess[str], lines: int | None) -> str:
    """The last line, which stands alone but for a log."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Topology" not in done.stderr
    assert SECRET not in done.stderr
    *before, last = done.stderr.splitlines()
    assert last.startswith("paymaster: ")
    assert all(line.startswith("time=") for line in before)
    assert lines is None or len(before) + 1 == lines
    return last


@ONE_DRIVER
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"netloc": "guest:{secret}@{place}"}, "RabbitMQ refuses the credentials"),
        ({"path": "/not-there"}, "RabbitMQ refuses the virtual host 'not-there'"),
        ({"scheme": "amqps"}, "RabbitMQ does not speak TLS at {place}"),
        ({"scheme": "amqps", "query": "cafile=/nope.pem"}, "names a cafile that can't be read: /nope.pem"),
    ],
    ids=["password", "vhost", "tls", "ca-file"],
)
def test_what_is_wrong_with_the_broker_is_one_line(
    settings: Settings, tmp_path: Path, change: dict[str, str], line: str
) -> None:
    """At the start too, which waits for a broker that is only late: none of these heals by waiting."""
    place = urlsplit(settings.rabbitmq_url).netloc.rpartition("@")[2]
    url = changed(
        settings.rabbitmq_url, **{name: value.format(place=place, secret=SECRET) for name, value in change.items()}
    )
    for command in ("run", "outbox resend --since 2026-11-22T00:00:00Z"):
        done = ran(command, settings, tmp_path, rabbitmq_url=url, start_timeout_seconds=300)
        assert done.returncode == 2
        last = told(done, None)
        assert line.format(place=place) in last
        assert "PAYMASTER_RABBITMQ_URL" in last


@ONE_DRIVER
async def test_a_port_that_wants_tls_is_told(settings: Settings) -> None:
    """A server that answers with a TLS alert, or that hangs up, is no AMQP."""
    for answer in (TLS_ALERT, b""):
        async with answering(answer) as port:
            url = f"amqp://guest:guest@127.0.0.1:{port}/"
            with pytest.raises(Exception) as failed:  # whichever it is, it has a line
                await connect(url, "test", give_up_after_seconds=0.1)
            assert "amqps://" in rabbitmq_fault(failed.value, url).line, repr(failed.value)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that says this to whoever says anything, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@ONE_DRIVER
async def test_a_broker_whose_name_is_not_found_is_told(settings: Settings) -> None:
    """As such, not by a number."""
    url = "amqp://guest:guest@nobody.invalid/"
    with pytest.raises(OSError) as failed:
        await connect(url, "test", give_up_after_seconds=0.1)
    assert "the name nobody.invalid can't be resolved" in rabbitmq_fault(failed.value, url).line


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        (18, "Authentication failed.", "refuses the credentials"),
        (
            13,
            'not authorized on shop to execute command { insert: "held", ordered: true }',
            "lets the user in, but not insert in shop.held: docs/security.md has the rights of each command",
        ),
        (13, "command find requires authentication", "wants credentials, and the URL has none"),
        (20, "Transaction numbers are only allowed on a replica set member or mongos", "without a replica set"),
        (59, "no such command", "answers with an error (no such command)"),
    ],
)
def test_what_the_database_refuses(code: int, said: str, line: str) -> None:
    """A user who may only read is let in: what is refused is a right, not the password."""
    fault = mongodb_fault(OperationFailure(f"{said}, full error: {{}}", code), "mongodb://host/")
    assert line in fault.line
    assert fault.lasting == (code != 59)


def test_what_the_broker_refuses() -> None:
    """The rights of a user, and what was declared otherwise."""
    refused = ChannelAccessRefused("ACCESS_REFUSED - configure access to exchange 'paymaster.in' refused")
    assert "set_permissions" in rabbitmq_fault(refused, "amqp://host/").line
    other = ChannelPreconditionFailed("PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'paymaster.out'")
    assert "SINGLE_ACTIVE" not in rabbitmq_fault(other, "amqp://host/").line
    assert "paymaster.out" in rabbitmq_fault(other, "amqp://host/").line


@ONE_DRIVER
@pytest.mark.parametrize("command", ["audit", "outbox", "parked groups", "migrate", "status --json"])
def test_a_mongodb_without_a_replica_set_is_told_by_every_command(
    settings: Settings, tmp_path: Path, command: str
) -> None:
    """Not by an error of the server's, and not by a clean table of zeros."""
    done = programs.ran(programs.with_standalone, command, environment(settings), tmp_path, SECONDS_MAX)
    assert done.returncode in (1, 2)
    assert "start mongod with --replSet" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
