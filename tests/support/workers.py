"""Workers: in this process, where they can be looked into, and as processes of their own, which can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from adapters.settings import PREFIX, Settings
from handlers.worker import Worker
from tests.support.programs import begin, paymaster
from tests.support.waiting import SECONDS_MAX, wait_for

PAYMASTER = Path(sys.executable).with_name("paymaster")


@asynccontextmanager
async def working(
    settings: Settings, *, clock: Callable[[], datetime] | None = None, days: bool = False, **changes: Any
) -> AsyncIterator[Worker]:
    """A worker in this process, with some settings changed; it is stopped in order, and must not have failed.

    It begins no day unless it is to: what is in the books is then what was sent.
    """
    worker = Worker(settings.model_copy(update=changes), clock=clock)
    if not days:
        worker.days.stop()
    try:
        await worker.app.start()
        yield worker
    finally:
        await worker.app.stop()
    assert worker.failure is None, worker.failure


@contextmanager
def interruptible() -> Iterator[None]:
    """What is started within the block ends on Ctrl-C, also where we ourselves do not.

    A shell's background jobs ignore it, and so does what they start, unless some test before has changed that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(settings: Settings, **changes: Any) -> dict[str, str]:
    """The environment in which `paymaster` finds these settings and no others."""
    values = {**settings.model_dump(exclude_none=True), **changes}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **{PREFIX + name.upper(): str(value) for name, value in values.items()}}


class WorkerProcess:
    """`paymaster run` as a process; `log` is what it wrote so far."""

    def __init__(self, process: ForkServerProcess, log: Path) -> None:
        self._process = process
        self._log = log

    @staticmethod
    @asynccontextmanager
    async def running(
        settings: Settings, directory: Path, program: Callable[[], None] = paymaster, **changes: Any
    ) -> AsyncIterator[WorkerProcess]:
        """A worker in an empty directory; it is killed if it still runs at the end."""
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
        log = directory / "worker.log"
        log.touch()
        process = await asyncio.to_thread(begin, program, ["run"], environment(settings, **changes), directory, log)
        worker = WorkerProcess(process, log)
        try:
            yield worker
        finally:
            await worker.kill()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    async def consuming(self) -> None:
        """Wait until it reads the work queue, or would if it were its turn."""

        def ready() -> bool:
            assert self._process.exitcode is None, self.log
            return "event=consuming" in self.log

        await wait_for(ready, otherwise=lambda: self.log)

    def tell_to_stop(self) -> None:
        """Tell it to stop, as an orchestrator does."""
        self._process.terminate()

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def terminate(self) -> int:
        """Tell it to stop, and wait until it has ended; returns its exit code."""
        self.tell_to_stop()
        return await self.ended()

    async def kill(self) -> None:
        """End it with no chance to do anything."""
        self._process.kill()
        await self.ended()

    async def ended(self, seconds: float = SECONDS_MAX) -> int:
        """Wait until it has ended; returns its exit code."""
        await wait_for(lambda: self._process.exitcode is not None, seconds, lambda: f"it does not end: {self.log}")
        assert self._process.exitcode is not None
        return self._process.exitcode
