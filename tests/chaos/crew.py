"""The workers of a run: processes that can be ended in any way, each with a network and a clock of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from adapters.settings import Settings
from tests.chaos.crashes import DIED
from tests.support.proxy import Proxy
from tests.support.workers import environment

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 60
DAY_SECONDS = 86_400


class Hand:
    """One of the workers. Whoever does something to it holds `taken`."""

    def __init__(
        self, name: str, settings: Settings, directory: Path, options: Sequence[str], database: Proxy, broker: Proxy
    ) -> None:
        self.name = name
        self.database = database
        self.broker = broker
        self.taken = asyncio.Lock()
        self.ahead = 0.0
        """The most that its clock was ever ahead, in seconds."""
        self.odd_ends: list[str] = []
        """How it ended when nobody had ended it."""
        self.starts_given_up = 0
        """How often it ended before it was ready: the broker was there, and then away again."""
        self._settings = settings.model_copy(update={"mongodb_url": database.url, "rabbitmq_url": broker.url})
        self._directory = directory
        self._clock = directory / "clock"
        self._server_clock = directory / "server-clock"
        self._days = directory / "days"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self._begun = 0
        self.log = directory / "worker.log"

    async def start(self, *crash: str) -> None:
        """Begin a new life, after whatever ended the last one."""
        await self.kill()
        with self.log.open("ab") as output:
            self._begun = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.worker", "--clock", str(self._clock)),
                *("--server-clock", str(self._server_clock), "--days", str(self._days), *self._options, *crash),
                env={**environment(self._settings), "PYTHONPATH": str(ROOT)},
                cwd=self._directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """End it with no chance to do anything."""
        if self._process is not None:
            code = self._process.returncode
            if code not in (None, DIED) and not self.ready:
                self.starts_given_up += 1
            elif code not in (None, DIED):
                self.odd_ends.append(f"{self.name} ended by itself with {code}")
            self.signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def terminate(self) -> int | None:
        """Tell it to stop, as an orchestrator does; its exit code, or None if it had to be killed in the end."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        code = await self.ended(STOP_SECONDS)
        await self.kill()
        return code

    async def ended(self, seconds: float) -> int | None:
        """Wait for so long until it has ended, as it was told to; its exit code, or None."""
        assert self._process is not None
        try:
            code = await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            return None
        self._process = None
        return code

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    def move_clock(self, seconds: float, *, days: bool = False) -> None:
        """Have it take the time to be so many seconds later than it is; its days come by that only if they are to."""
        self.ahead = max(self.ahead, seconds)
        self._clock.write_text(str(seconds))
        self._server_clock.write_text(str(seconds if days else 0))

    def move_days(self, days: int) -> None:
        """Have so many days come to it that are not there by its clock, which stays as it is."""
        self._days.write_text(str(days * DAY_SECONDS))

    @property
    def ready(self) -> bool:
        """Whether it has come in this life to where it reads the work queue, or would if it were its turn."""
        return b"event=consuming" in self.log.read_bytes()[self._begun :]


@asynccontextmanager
async def crew(settings: Settings, directory: Path, options: Sequence[str], size: int) -> AsyncIterator[list[Hand]]:
    """So many workers, started; all of them are killed at the end."""
    async with AsyncExitStack() as stack:
        hands = []
        for number in range(1, size + 1):
            place = directory / f"worker-{number}"
            await asyncio.to_thread(place.mkdir)
            networks = [
                await stack.enter_async_context(Proxy.between(url))
                for url in (settings.mongodb_url, settings.rabbitmq_url)
            ]
            hand = Hand(f"worker {number}", settings, place, options, *networks)
            hand.move_clock(0)
            hand.move_days(0)
            stack.push_async_callback(hand.kill)
            hands.append(hand)
        for hand in hands:
            await hand.start()
        yield hands
