"""The services come up working, and nothing of them stays behind, however their user ends."""

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError
from pymongo import MongoClient

from services import ServiceError, Services, machine, programs, running
from services.keeper import FILES_ENOUGH
from services.lifeline import Lifeline, end, keep, why_ended
from services.management import ManagementError, whoami
from services.ports import reserved

END_TIMEOUT_S = 120
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)

# A user of the services that tells their URLs and then waits for its end.
USER = """
import dataclasses, json, signal, services
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
with services.running() as given:
    print(json.dumps(dataclasses.asdict(given)), flush=True)
    signal.pause()
"""

# The command line, with a record of its own, so that what `make services` left running is not touched.
COMMAND = """
import pathlib, sys, services.__main__ as command
command.RECORD = pathlib.Path(sys.argv[1])
sys.exit(command.main(sys.argv[2:]))
"""


@pytest.mark.long
@pytest.mark.services
def test_nothing_outlives_a_user_that_is_ended(tmp_path: Path) -> None:
    """Ctrl-C, a request to end and a kill each leave no process, no data and no open port."""
    with ExitStack() as users:
        # All at once: most of the time goes by in the start of the broker, on one core.
        started = {how: users.enter_context(user(tmp_path / how.name)) for how in ENDS}
        for how, process in started.items():
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            given = Services(**json.loads(line))
            assert_working(given)
            process.send_signal(how)
            process.wait(END_TIMEOUT_S)
            eventually(partial(nothing_remains, given, tmp_path / how.name))


@pytest.mark.services
def test_services_started_for_a_shell_run_until_they_are_stopped(tmp_path: Path) -> None:
    """`start` prints only exports, twice the same; what they name outlives the command; `stop` leaves nothing."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def command(name: str) -> str:
        arguments = [sys.executable, "-c", COMMAND, str(tmp_path / "running.json"), name]
        return subprocess.run(arguments, env=unnamed(scratch), text=True, stdout=subprocess.PIPE, check=True).stdout

    try:
        printed = command("start")
        given = exported(printed)
        assert_working(given)
        assert command("start") == printed
    finally:
        assert command("stop") == ""
    assert remains(given, scratch) == []


def test_a_service_that_ends_is_an_error_that_ends_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which of the services it was, and what it said, is told at once; the others are ended."""
    replace_programs(monkeypatch, tmp_path, mongod="print('no space is left'); raise SystemExit(3)")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(ServiceError, match=r"mongod ended with status 3.*\n *no space is left"):
        machine.start(detached=False)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("in_memory", "room_bytes", "where"),
    [(False, 0, "disk"), (True, 0, "memory"), (True, 2**62, "disk")],
)
def test_data_is_in_memory_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, in_memory: bool, room_bytes: int, where: str
) -> None:
    """For who asks for that, and nothing of it stays behind; a machine with too little room has it on its disk."""
    replace_programs(monkeypatch, tmp_path, mongod="import sys; raise SystemExit(' '.join(sys.argv))")
    places = {name: tmp_path / name for name in ("disk", "memory")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places["disk"]))
    monkeypatch.setattr(machine, "MEMORY", places["memory"])
    monkeypatch.setattr(machine, "ROOM_BYTES", room_bytes)
    with pytest.raises(ServiceError, match=f"--dbpath {places[where]}/paymaster-services-"):
        machine.start(detached=False, in_memory=in_memory)
    assert [list(place.iterdir()) for place in places.values()] == [[], []]


def replace_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mongod: str) -> None:
    """Let other programs be started as services; `mongod` is what Python does in place of that one."""
    commands = {
        "epmd": "import socket, sys, time; listener = socket.create_server(('', int(sys.argv[2]))); time.sleep(60)",
        "mongod": mongod,
        "rabbitmq_server": "import time; time.sleep(60)",
    }
    for program, code in commands.items():
        path = tmp_path / program
        path.write_text(f"#!{sys.executable}\n{code}\n")
        path.chmod(0o755)
        monkeypatch.setattr(programs, program, lambda path=path: str(path))


FEW_FILES = 1_024
KEPT = """
import resource, time
print('{"s":"E","msg":"no room"}')
print('{"s":"I","msg":"Frame"}\\n' * 40 + f"files {resource.getrlimit(resource.RLIMIT_NOFILE)}", flush=True)
time.sleep(60)
"""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Lifeline]:
    """The keeper of two children that do what `KEPT` says, started where few files may be open."""
    command = [sys.executable, "-c", KEPT]
    children: list[Any] = [
        {"name": name, "command": command, "environment": {}, "port": None} for name in ("one", "other")
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_FILES, hard))
    try:
        lifeline = keep(tmp_path, {"children": children, "afterwards": None}, detached=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield lifeline
    if Path(lifeline.directory).exists():
        end(lifeline)


def child(kept: Lifeline) -> int:
    """The pid of the keeper's first child, when both are there and have written."""
    logs = [Path(kept.directory, f"{name}.log") for name in ("one", "other")]
    eventually(lambda: all(log.exists() and "files" in log.read_text() for log in logs))
    return int(Path(f"/proc/{kept.pid}/task/{kept.pid}/children").read_text().split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the keeper has children on Linux only")
def test_a_service_that_is_killed_while_it_is_used_is_told_at_the_end(
    kept: Lifeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which it was, how it ended, and what it had to say, rather than only that nobody could connect any more."""
    monkeypatch.setattr("services.start", lambda **_: (None, kept))
    monkeypatch.setattr("services.named", lambda: None)

    def use() -> None:
        with running():
            os.kill(child(kept), signal.SIGABRT)
            eventually(lambda: why_ended(kept) is not None)
            raise ConnectionRefusedError

    with pytest.raises(ServiceError) as raised:
        use()
    told = str(raised.value)
    assert "one ended by signal 6 (Aborted); its log ends:" in told
    assert "no room" in told
    assert "Frame" not in told
    assert isinstance(raised.value.__context__, ConnectionRefusedError)


@pytest.mark.skipif(sys.platform != "linux", reason="the keeper has children on Linux only")
def test_services_may_open_as_many_files_as_they_need(kept: Lifeline) -> None:
    """Where a shell lets its programs open few, and more if they ask: a mongod that may not gives up."""
    child(kept)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES_ENOUGH if hard == resource.RLIM_INFINITY else min(hard, FILES_ENOUGH)
    assert allowed > FEW_FILES
    assert f"files ({allowed}, {hard})" in Path(kept.directory, "one.log").read_text()


def test_named_services_are_taken_as_they_are(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """URLs in the environment are given back unchanged, and nothing is started or stopped."""
    name(services, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running() as given:
        assert given == Services(
            services.rabbitmq_url, services.mongodb_url, services.rabbitmq_management_url, source="environment"
        )
        assert list(tmp_path.iterdir()) == []
    assert_working(services)


def test_a_named_service_that_is_away_is_an_error_that_names_the_variable(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL that a stopped service left in the shell is told as such, instead of failing somewhere deep."""
    name(services, monkeypatch)
    with reserved(1) as [port]:
        monkeypatch.setenv("PAYMASTER_RABBITMQ_URL", f"amqp://guest:guest@127.0.0.1:{port}/")
        with pytest.raises(ServiceError, match="PAYMASTER_RABBITMQ_URL"), running():
            pass


@pytest.mark.parametrize("away", ["PAYMASTER_RABBITMQ_URL", "PAYMASTER_MONGODB_URL"])
def test_exports_that_outlived_their_services_are_told_in_one_line(services: Services, away: str) -> None:
    """By what `make test` asks first, at once, with what to type; not by a dump of all that a driver knows."""
    url = {
        "PAYMASTER_RABBITMQ_URL": "amqp://guest:guest@127.0.0.1:1/",
        "PAYMASTER_MONGODB_URL": "mongodb://127.0.0.1:1/",
    }
    named = {
        **os.environ,
        "PAYMASTER_RABBITMQ_URL": services.rabbitmq_url,
        "PAYMASTER_MONGODB_URL": services.mongodb_url,
        away: url[away],
    }
    done = subprocess.run(
        [sys.executable, "-m", "services", "named"], env=named, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"services: what {away} names is not there")
    assert "unset PAYMASTER_" in line
    assert "nothing listens at 127.0.0.1:1" in line


def test_services_that_are_named_are_said_to_be_used(services: Services) -> None:
    """A run of the tests on somebody else's services is none in silence."""
    named = {
        **os.environ,
        "PAYMASTER_RABBITMQ_URL": services.rabbitmq_url,
        "PAYMASTER_MONGODB_URL": services.mongodb_url,
    }
    done = subprocess.run(
        [sys.executable, "-m", "services", "named"], env=named, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert "the ones that the environment names" in done.stderr


def test_one_named_service_alone_is_an_error(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a naming is a mistake, not a wish for a mixture."""
    name(services, monkeypatch)
    monkeypatch.delenv("PAYMASTER_MONGODB_URL")
    with pytest.raises(ServiceError, match="PAYMASTER_MONGODB_URL"), running():
        pass


async def test_a_virtual_host_is_empty_and_gone_afterwards(services: Services) -> None:
    """Each virtual host is a new one, takes every operation, and is deleted with what is in it."""
    with services.vhost() as url, services.vhost() as other:
        assert url != other
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("here", durable=True)
            await channel.default_exchange.publish(aio_pika.Message(b"content"), "here")
            message = await queue.get()
            assert message is not None
            await message.ack()
    with pytest.raises((AMQPError, OSError)):
        await aio_pika.connect(url)


def user(scratch: Path) -> subprocess.Popen[str]:
    """Start a user of the services whose temporary directory is `scratch`."""
    scratch.mkdir()
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", USER], env=unnamed(scratch), text=True, stdout=pipe, stderr=pipe)


def unnamed(scratch: Path) -> dict[str, str]:
    """The environment without named services, and with a temporary directory of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return {**inherited, "TMPDIR": str(scratch)}


def name(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the services in the environment."""
    for variable, url in (
        ("PAYMASTER_RABBITMQ_URL", services.rabbitmq_url),
        ("PAYMASTER_RABBITMQ_MANAGEMENT_URL", services.rabbitmq_management_url),
        ("PAYMASTER_MONGODB_URL", services.mongodb_url),
    ):
        monkeypatch.setenv(variable, url)


def exported(printed: str) -> Services:
    """What a shell makes of the lines, each of which has to be an export."""
    urls = {}
    for line in printed.splitlines():
        export, assignment = shlex.split(line)
        assert export == "export"
        variable, _, urls[variable] = assignment.partition("=")
    return Services(
        rabbitmq_url=urls.pop("PAYMASTER_RABBITMQ_URL"),
        mongodb_url=urls.pop("PAYMASTER_MONGODB_URL"),
        rabbitmq_management_url=urls.pop("PAYMASTER_RABBITMQ_MANAGEMENT_URL"),
        source="machine",
    )


def assert_working(given: Services) -> None:
    """Both services answer, MongoDB with a transaction, RabbitMQ with a new virtual host."""
    with MongoClient[dict[str, object]](given.mongodb_url) as client, client.start_session() as session:
        with session.start_transaction():
            client.get_database("probe").get_collection("probe").insert_one({}, session=session)
        client.drop_database("probe")
    with given.vhost() as url:
        assert urlsplit(url).path != "/"


def remains(given: Services, scratch: Path) -> list[str]:
    """What is still there of the services whose temporary directory was `scratch`."""
    left = [str(path) for path in scratch.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            texts = [(process / "cmdline").read_text(), (process / "environ").read_text(), os.readlink(process / "cwd")]
        except OSError:  # it has ended, or it is somebody else's
            continue
        if any(str(scratch) in text for text in texts):
            left.append(texts[0].replace("\0", " "))
    try:
        whoami(given.rabbitmq_management_url)
        left.append(given.rabbitmq_management_url)
    except ManagementError:
        pass
    return left


def nothing_remains(given: Services, scratch: Path) -> bool:
    """Whether all of the services whose temporary directory was `scratch` is gone."""
    return remains(given, scratch) == []


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, for no longer than a slow machine takes."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.02)
