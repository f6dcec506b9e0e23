"""Processes: a worker that is started, watched and ended, and what CPU time processes have used."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.broker import BenchError

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 60
SAY_SECONDS = 60
LOG_LINES = 20
LOG_BYTES = 16_384
_PROC = Path("/proc")


class WorkerProcess:
    """A worker that runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def check(self) -> None:
        """Raise `BenchError` when it has ended."""
        if (code := self._process.poll()) is not None:
            raise BenchError(f"the worker ended by itself with {code}")

    async def says(self, text: str) -> None:
        """Wait until it has put out a text; `BenchError` when it ends before, or takes too long."""
        deadline = time.monotonic() + SAY_SECONDS
        while text.encode() not in os.pread(self._log.fileno(), LOG_BYTES, 0):
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"the worker did not say {text!r} in {SAY_SECONDS} s")
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would, with SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    async def stop(self) -> None:
        """Ask it to end as an operator would, with SIGTERM; `BenchError` unless it leaves with 0."""
        self.check()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the worker was still there {STOP_SECONDS} s after SIGTERM") from None
        if code != 0:
            raise BenchError(f"the worker left with {code} after SIGTERM")


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[WorkerProcess]:
    """Start a worker, and kill it at the end of the block unless it was stopped; it never outlives this process.

    A `BenchError` in the block is given the end of what the worker has put out.
    """
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(  # noqa: S603 - the commands are the benchmark's own
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours holds a lock then
        ) as process,
    ):
        try:
            yield WorkerProcess(process, log)
        except BenchError as error:
            raise BenchError(f"{error}; its output ends:\n{_tail(log)}") from error
        finally:
            process.kill()


def _tail(log: IO[bytes]) -> str:
    # The worker shares the file's position: it is read without being moved.
    size = os.fstat(log.fileno()).st_size
    text = os.pread(log.fileno(), LOG_BYTES, max(0, size - LOG_BYTES)).decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-LOG_LINES:]) or "    (nothing)"


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def cpu_seconds(pid: int | None) -> float | None:
    """The CPU time that a process has used, all its threads together; None where that cannot be known."""
    try:
        # The second field is the program's name, which may hold anything but is the only one in parentheses.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int | None:
    """The memory that a process holds (RSS), in bytes; None where that cannot be known."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)


def busy_seconds() -> float | None:
    """The CPU time that everything on this machine has used since it started."""
    try:
        user, nice, system, _idle, _wait, irq, softirq = map(
            int, (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:8]
        )
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def listener(port: int) -> int | None:
    """The process on this machine that listens on a port; None when it is elsewhere, as in a container."""
    state_listen = "0A"
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == state_listen and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in _PROC.glob("[0-9]*"):
        try:
            if any(os.readlink(descriptor) in inodes for descriptor in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:  # it has ended meanwhile, or is not ours to look into
            continue
    return None
