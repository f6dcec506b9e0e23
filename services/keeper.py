"""Keeps child processes for as long as its parent lives (or, detached, until it is told), and removes their data.

A process of its own, so that it works however the parent ends, by SIGKILL too. It is run as a file and takes a
directory that holds `plan.json`:

    {"detached": bool, "children": [{"name", "command": […], "environment": {…}, "port": number or null}],
     "afterwards": command or null}

Each child writes to `<name>.log` there. The next child is started when `port` of the one before it takes connections.
The end comes with the end of standard input (the parent has the other end of that pipe), or with SIGTERM: every
process below this one is killed, the command `afterwards` is run, and the directory removed. Children are killed rather
than asked: their data goes anyway. If a child ends by itself, the others are killed, the file `ended` says which it
was, how it ended and what it logged last, and the directory is left for whoever wants to read the logs.

Children may open as many files as the machine lets them, up to a number that is enough: a mongod that cannot open one
more gives up at once, and has a hundred and more for each database of Paymaster's.
"""

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PORT_TIMEOUT_S = 10
AFTERWARDS_TIMEOUT_S = 25
TAIL_LINES = 25
TAIL_LINE_CHARACTERS = 600
FILES_ENOUGH = 64_000
"""What MongoDB asks for."""
BACKTRACE = ('"BACKTRACE"', '"msg":"Frame"')
"""What is in the lines that a mongod writes when it has given up, after it has said why: more than anyone reads."""


def tail(log: Path) -> str:
    """The last lines of a log, indented, without a mongod's backtrace; or that there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if not any(mark in line for mark in BACKTRACE)][-TAIL_LINES:]
    return "\n".join(f"    {line[:TAIL_LINE_CHARACTERS]}" for line in told) or "    (no log)"


def main(directory: Path) -> int:
    """Keep what `plan.json` in `directory` names; 0 when told to end, 1 when a child ended by itself."""
    plan = json.loads((directory / "plan.json").read_text())
    _allow_files()
    # What a child leaves behind when it dies becomes our child, so that nothing below us can get lost.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup = _wake_on_signals()
    processes: list[subprocess.Popen[bytes]] = []  # held on to: `subprocess` reaps those that are not
    names: dict[int, str] = {}
    try:
        for child in plan["children"]:
            process = _spawn(child, directory)
            processes.append(process)
            names[process.pid] = child["name"]
            if child["port"]:
                _await_port(child["port"], process.pid)
        ended = _wait(names, wakeup, watch_parent=not plan["detached"])
    except BaseException as error:
        _kill_all()
        (directory / "ended").write_text(f"the services could not be started: {error!r}")
        raise
    _kill_all()
    if plan["afterwards"]:
        subprocess.run(plan["afterwards"], stdin=subprocess.DEVNULL, timeout=AFTERWARDS_TIMEOUT_S, check=True)
    if ended is None:
        shutil.rmtree(directory, ignore_errors=True)
        return 0
    (directory / "ended").write_text(f"{ended}; its log ends:\n{tail(directory / (ended.split()[0] + '.log'))}")
    return 1


def _allow_files() -> None:
    """Let children open enough files where the machine does: a shell's usual limit is 1024, which it may raise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = FILES_ENOUGH if hard == resource.RLIM_INFINITY else min(hard, FILES_ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def _wake_on_signals() -> int:
    """Make SIGTERM and SIGCHLD end a `select` on the descriptor that is returned; ignore what a terminal sends."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # Handlers that do nothing, rather than SIG_IGN, which the children would inherit.
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reader


def _spawn(child: dict[str, Any], directory: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_parent() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    with (directory / f"{child['name']}.log").open("ab") as log:
        return subprocess.Popen(
            child["command"],
            env=child["environment"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - there is one thread only
        )


def _await_port(port: int, pid: int) -> None:
    """Wait until the port takes connections, or the process that was to open it has ended, which `_wait` then sees."""
    deadline = time.monotonic() + PORT_TIMEOUT_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _wait(names: dict[int, str], wakeup: int, *, watch_parent: bool) -> str | None:
    """Block until told to end (None), or until a child has ended: then its name and how."""
    watched = [wakeup, sys.stdin.fileno()] if watch_parent else [wakeup]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wakeup not in ready or signal.SIGTERM in os.read(wakeup, 4096):
            return None
        while (found := _reap()) is not None:
            pid, status = found
            if pid in names:
                return f"{names[pid]} ended {_how(os.waitstatus_to_exitcode(status))}"


def _how(code: int) -> str:
    return f"with status {code}" if code >= 0 else f"by signal {-code} ({signal.strsignal(-code)})"


def _reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _kill_all() -> None:
    """Kill every process below this one: as each dies, what it started becomes ours, until none is left."""
    if sys.platform != "linux":  # where there are no children, only something to do afterwards
        return
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    while pids := children.read_text().split():
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        os.waitpid(-1, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
