"""What the demo sets up for itself: a database of its own and a worker process; both are gone when it ends."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from services import Services

STOP_TIMEOUT_S = 40
AUDIT_TIMEOUT_S = 120
LOG_LINES = 25


class DemoError(Exception):
    """The demo can't go on; the message says why."""


def morning_of(day: date) -> datetime:
    """The time at which the worker's clock stands on a day."""
    return datetime(day.year, day.month, day.day, 8, tzinfo=UTC)


@contextmanager
def database(given: Services) -> Iterator[Database[dict[str, Any]]]:
    """Give a database with a new name; drop it afterwards, unless it goes with a MongoDB that was started for us."""
    name = f"paymaster-demo-{secrets.token_hex(6)}"
    with MongoClient[dict[str, Any]](given.mongodb_url, tz_aware=True) as client:
        try:
            yield client.get_database(name)
        finally:
            if given.source == "environment":
                client.drop_database(name)


class Worker:
    """A worker as it is run in earnest, `paymaster run` in a process of its own."""

    def __init__(self, rabbitmq_url: str, mongodb_url: str, database_name: str, directory: Path, day: date) -> None:
        # Only what is given here counts: no setting of the shell's, and no .env in the directory.
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("PAYMASTER_")}
        self._environment |= {
            "PAYMASTER_RABBITMQ_URL": rabbitmq_url,
            "PAYMASTER_MONGODB_URL": mongodb_url,
            "PAYMASTER_DATABASE": database_name,
            "PAYMASTER_CLOCK_FILE": str(directory / "clock"),
            # What is scheduled for a day is to happen soon after its beginning: nobody waits for it for long.
            "PAYMASTER_HELD_INTERVAL_SECONDS": "0.5",
        }
        self._directory = directory
        self._clock = directory / "clock"
        self.begin(day)
        self._log = directory / "worker.log"
        self._command = Path(sys.executable).with_name("paymaster")
        with self._log.open("wb") as log:
            # In a session of its own: Ctrl-C is for us, and we end the worker as an operator would.
            self._process = subprocess.Popen(  # noqa: S603  # our own command
                [self._command, "run"],
                env=self._environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def begin(self, day: date) -> None:
        """Move the worker's clock to a day's morning."""
        self.day = day
        beside = self._clock.with_suffix(".new")
        beside.write_text(morning_of(day).isoformat())
        beside.replace(self._clock)

    def check_alive(self) -> None:
        """Raise `DemoError` with the tail of the log when the worker has ended."""
        if (code := self._process.poll()) is not None:
            raise DemoError(f"the worker has ended with {code}; its log ends:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of the worker's log."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"

    def stop(self) -> int:
        """Send SIGTERM unless it has ended, and wait; returns its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def audit(self) -> dict[str, Any]:
        """Run `paymaster audit` on the worker's database; returns what it prints, raises `DemoError` without that."""
        done = subprocess.run(  # noqa: S603  # our own command
            [self._command, "audit"],
            env=self._environment,
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=AUDIT_TIMEOUT_S,
            check=False,
        )
        try:
            result: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise DemoError(f"`paymaster audit` ended with {done.returncode}: {done.stderr[-2000:].strip()}") from None
        if done.returncode != (0 if result["ok"] else 1):
            raise DemoError(f"`paymaster audit` says {result['ok']} and ended with {done.returncode}")
        return result


@contextmanager
def worker(rabbitmq_url: str, mongodb_url: str, database_name: str, day: date) -> Iterator[Worker]:
    """Start a worker whose clock is in the morning of a day; stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="paymaster-demo-") as directory:
        started = Worker(rabbitmq_url, mongodb_url, database_name, Path(directory), day)
        try:
            yield started
        finally:
            started.stop()
