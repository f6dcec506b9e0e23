"""Starts a keeper for a directory, sees whether it still runs, and ends it: our side of `keeper`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import keeper
from services.model import ServiceError

STOP_TIMEOUT_S = 30


@dataclass(frozen=True)
class Lifeline:
    """A keeper, which is one certain process, and its directory."""

    pid: int
    started: str  # when that process began, since pids are used again
    directory: str
    pipe: int | None  # our end of the pipe that tells the keeper of our life; None when it is detached

    @property
    def record(self) -> dict[str, Any]:
        """The keeper as JSON, for `revive` in another process."""
        return {"pid": self.pid, "started": self.started, "directory": self.directory}


def revive(record: dict[str, Any]) -> Lifeline | None:
    """The keeper that `record` describes, or None when it no longer runs."""
    lifeline = Lifeline(**record, pipe=None)
    return lifeline if runs(lifeline) else None


def keep(directory: Path, plan: dict[str, Any], *, detached: bool) -> Lifeline:
    """Start a keeper that carries out `plan` (see `keeper`) in `directory`.

    It is in a session of its own: what a terminal sends to us, Ctrl-C above all, does not reach it.
    """
    (directory / "plan.json").write_text(json.dumps({**plan, "detached": detached}))
    reader, writer = os.pipe()
    command = [sys.executable, "-I", keeper.__file__, str(directory)]
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reader, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / "keeper.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    os.close(reader)
    if detached:
        os.close(writer)
    return Lifeline(pid, _start_time(pid) or "", str(directory), None if detached else writer)


def runs(lifeline: Lifeline) -> bool:
    """Whether the keeper still runs."""
    with suppress(ChildProcessError):
        os.waitpid(lifeline.pid, os.WNOHANG)  # our own child, once ended, is a zombie until it is asked for
    return _start_time(lifeline.pid) == lifeline.started


def why_ended(lifeline: Lifeline) -> str | None:
    """Why the keeper no longer runs, with the tail of a log; None while it runs."""
    if runs(lifeline):
        return None
    ended = Path(lifeline.directory, "ended")
    if ended.exists():
        return ended.read_text()
    return f"the keeper of the services ended; its log ends:\n{keeper.tail(Path(lifeline.directory, 'keeper.log'))}"


def end(lifeline: Lifeline) -> str | None:
    """End the keeper and all that it keeps; returns when nothing of it is left.

    What comes out is None, or why it had ended by itself before, with the tail of a log. Raises `ServiceError` when it
    does not end within 30 seconds.
    """
    before = why_ended(lifeline)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    try:
        if runs(lifeline):
            os.kill(lifeline.pid, signal.SIGTERM)
        while runs(lifeline):
            if time.monotonic() > deadline:
                raise ServiceError(f"the keeper of the services (pid {lifeline.pid}) did not end in {STOP_TIMEOUT_S} s")
            time.sleep(0.01)
    finally:
        if lifeline.pipe is not None:
            os.close(lifeline.pipe)
    # It is left there when a service had ended by itself, perhaps only just.
    ended = Path(lifeline.directory, "ended")
    before = before or (ended.read_text() if ended.exists() else None)
    shutil.rmtree(lifeline.directory, ignore_errors=True)
    return before


def _start_time(pid: int) -> str | None:
    """When the process began; None when it is gone or dead."""
    if sys.platform != "linux":
        asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return asked.stdout.strip() or None
    try:
        # The name, in parentheses, may hold anything; the fields after it are plain.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
