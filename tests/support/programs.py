"""Programs as processes of their own, each a copy of one that has imported everything: that takes longer than most do.

The console script itself is started where it is what a test is about.
"""

from __future__ import annotations

import multiprocessing
import os
import pty
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Any

# The parts are imported once.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["handlers.cli", "handlers.worker", "tests.chaos.crashes", "tests.support.deadly"])

RAN_SECONDS_MAX = 60
"""How long a command may take on a machine that is shared."""


def paymaster() -> None:
    """The console script."""
    from handlers.cli import main  # here only: who starts the program need not have all of it

    main()


def with_standalone() -> None:
    """The console script, where a MongoDB says that it is no replica set."""
    from adapters.mongodb import connection

    real = connection.check_hello

    def alone(hello: Mapping[str, Any]) -> None:
        real({"isWritablePrimary": True, "maxWireVersion": 17, "ok": 1.0})

    connection.check_hello = alone
    paymaster()


def in_small_steps() -> None:
    """The console script with small pages and transactions: it can be killed amid a few hundred facts."""
    from handlers import sweeping
    from handlers.engine import group_commit

    sweeping.PAGE, sweeping.IN_FLIGHT_MAX = 40, 80
    group_commit.FACTS_MAX = group_commit.LIGHT_MAX = 10
    paymaster()


def begin(
    program: Callable[[], None],
    arguments: list[str],
    variables: Mapping[str, str],
    directory: Path,
    output: Path,
    errors: Path | None = None,
) -> ForkServerProcess:
    """Start a program with these arguments and variables and no others; it writes its errors where its output goes."""
    process = forks.Process(
        target=_become, args=(program, arguments, dict(variables), str(directory), str(output), str(errors or output))
    )
    process.start()
    return process


def ran(
    program: Callable[[], None],
    command: str,
    variables: Mapping[str, str],
    directory: Path,
    seconds: float = RAN_SECONDS_MAX,
) -> CompletedProcess[str]:
    """A program that has ended, and what it wrote; none of it to a terminal. It must not take longer than `seconds`."""
    output, errors = directory / "output", directory / "errors"
    arguments = command.split()
    process = begin(program, arguments, variables, directory, output, errors)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutExpired(arguments, seconds)
    return CompletedProcess(arguments, process.exitcode, output.read_text(), errors.read_text())


def shown(
    program: Callable[[], None],
    command: str,
    variables: Mapping[str, str],
    directory: Path,
    seconds: float = RAN_SECONDS_MAX,
) -> str:
    """What a program writes to a terminal until it has ended. It must not take longer than `seconds`."""
    ours, theirs = pty.openpty()
    until = time.monotonic() + seconds
    process = begin(program, command.split(), variables, directory, Path(os.ttyname(theirs)))
    written = b""
    try:
        # Ours is open at the other end, too, so that nothing is lost of what was written last.
        while ready := wait([ours, process.sentinel], until - time.monotonic()):
            if ours in ready:
                written += os.read(ours, 65_536)
            else:
                return written.decode().replace("\r\n", "\n")
        raise TimeoutExpired(command, seconds)
    finally:
        process.kill()
        process.join()
        os.close(theirs)
        os.close(ours)


def _become(
    program: Callable[[], None],
    arguments: list[str],
    variables: dict[str, str],
    directory: str,
    output: str,
    errors: str,
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    os.chdir(directory)
    for path, descriptor in ((output, 1), (errors, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = ["paymaster", *arguments]
    program()
