"""The chaos runs' worker: `paymaster run` with a clock that can be moved, and with what is to be broken in it.

`python -m tests.chaos.worker [--clock FILE] [--server-clock FILE] [--days FILE] [--lease SECONDS] [--crash POINT N]
[--break NAME]`; SIGUSR1 makes the broker close the channel of its work queue, SIGUSR2 that of its events.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import InsertOne, ReplaceOne

from adapters.clock import utc_now
from adapters.dunning import sweeps
from adapters.operations.status import newest_day
from adapters.rabbitmq import publisher
from adapters.rabbitmq.connection import CONNECTION_ERRORS
from adapters.rabbitmq.publisher import Publisher, Sent
from adapters.settings import load_settings
from adapters.store.transaction import Transaction
from domain.dunning import looking, procedures
from domain.ledger.books import Books
from handlers import days, worker
from handlers.engine import held
from handlers.logs import set_up
from handlers.worker import Worker
from tests.chaos.crashes import POINTS, around, die_at

FOUND_SECONDS = 3.0
"""How long it takes, with that defect, until what is found is looked at."""


def _inbox_off() -> None:
    """Nothing is known of what was applied before, and nothing is in the way of applying it again."""

    def unknowing(original: Any) -> Any:
        async def look_up(transaction: Transaction, _identities: Sequence[str], *needed: Any) -> dict[str, Any]:
            await original(transaction, (), *needed)
            return {}

        return look_up

    def overwriting(original: Any) -> Any:
        def bulk(transaction: Transaction, name: str, operations: list[Any]) -> Any:
            if name == "inbox":
                rows = [operation._doc for operation in operations if isinstance(operation, InsertOne)]
                operations = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows if "digest" in row]
            return original(transaction, name, operations) if operations else lambda _database, _session: None

        return bulk

    around(Transaction, "look_up", unknowing)
    around(Transaction, "_bulk", overwriting)


def _confirms_ignored() -> None:
    """Every event counts as confirmed as soon as it is on its way."""

    def at_once(original: Any) -> Any:
        async def publish(publisher: Publisher, events: Sequence[Any], queue: str | None = None) -> list[Sent]:
            with suppress(*CONNECTION_ERRORS):
                await original(publisher, events, queue)
            return [Sent.CONFIRMED] * len(events)

        return publish

    around(Publisher, "publish", at_once)
    publisher.CONFIRM_SECONDS = 0


def _ack_before_commit() -> None:
    """A message is acknowledged as soon as it is here."""

    def make(original: Any) -> Any:
        def take(delivery: Any, submit: Any) -> None:
            delivery.settle()
            original(delivery, submit)

        return take

    around(worker, "take", make)


def _dunned_as_found() -> None:
    """Whether a step is taken is decided as accounts that owe are found, a while before it is."""
    found: dict[tuple[str, date], date] = {}
    rising = False

    def lingering(original: Any) -> Any:
        async def owing(database: Any, *which: Any) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = await original(database, *which)
            newest = await newest_day(database)
            found.update({(row["_id"], newest): date.fromisoformat(row["oldestDue"]) for row in rows if newest})
            await asyncio.sleep(FOUND_SECONDS)
            return rows

        return owing

    def as_found(original: Any) -> Any:
        def overdue_since(account_id: str, on: date, books: Books) -> date | None:
            now: date | None = original(account_id, on, books)
            return now or (found.get((account_id, on)) if rising else None)

        return overdue_since

    def of_its_day(original: Any) -> Any:
        def bring_in_line(*arguments: Any, rises: bool) -> Any:
            nonlocal rising
            rising = rises
            try:
                return original(*arguments, rises=rises)
            finally:
                rising = False

        return bring_in_line

    around(sweeps, "_owing", lingering)
    around(looking, "bring_in_line", of_its_day)
    for module in (looking, procedures):
        around(module, "overdue_since", as_found)


BREAKS: dict[str, Callable[[], None]] = {
    "inbox-off": _inbox_off,
    "confirms-ignored": _confirms_ignored,
    "ack-before-commit": _ack_before_commit,
    "dunned-as-found": _dunned_as_found,
}
"""Defects that a run has to notice."""


class _Disturbed(Worker):
    """A worker whose channels the broker can be made to close."""

    async def _start(self) -> None:
        await super()._start()
        loop = asyncio.get_running_loop()
        self._disturbing: asyncio.Task[None] | None = None

        def when_told(disturb: Callable[[], Any]) -> None:
            self._disturbing = loop.create_task(disturb())

        loop.add_signal_handler(signal.SIGUSR1, when_told, self._lose_work_channel)
        loop.add_signal_handler(signal.SIGUSR2, when_told, self._lose_event_channel)

    async def _lose_work_channel(self) -> None:
        acknowledger = self.queue._acknowledger
        if acknowledger is not None:
            with suppress(*CONNECTION_ERRORS):
                await acknowledger._channel.basic_ack(2**40)  # no such delivery: 406

    async def _lose_event_channel(self) -> None:
        channel = self.publisher._channel
        if channel is not None:
            with suppress(*CONNECTION_ERRORS):
                under = await channel.get_underlay_channel()
                await under.basic_publish(b"", exchange="paymaster.nowhere", timeout=5)  # no such exchange: 404


def _clock(file: Path) -> Callable[[], datetime]:
    """The time, moved by the seconds that the file says."""

    def now() -> datetime:
        return datetime.now(UTC) + _moved(file)

    return now


def _moved(file: Path) -> timedelta:
    return timedelta(seconds=float(file.read_text() or 0))


def _move_days(server_clock: Path, ahead: Path) -> None:
    """Have the days come earlier: by how far the database server's clock is ahead, and by so many days more.

    Both files have seconds. The latter move nothing but the days: whatever goes by the clock, as claims do, would be
    over at once if that jumped by a day.
    """

    def by_server(original: Any) -> Any:
        async def server_time(database: Any) -> datetime:
            time: datetime = await original(database)
            return time + _moved(server_clock) + _moved(ahead)

        return server_time

    def by_clock(original: Any) -> Any:
        def make(*arguments: Any, clock: Callable[[], datetime], **options: Any) -> Any:
            return original(*arguments, clock=lambda: clock() + _moved(ahead), **options)

        return make

    around(days, "server_time", by_server)
    around(worker, "DayStarter", by_clock)


def main() -> None:
    """Run the worker until it is told to stop, or dies of what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--server-clock", type=Path)
    parser.add_argument("--days", type=Path)
    parser.add_argument("--lease", type=float)
    parser.add_argument("--crash", nargs=2, metavar=("POINT", "N"))
    parser.add_argument("--break", dest="broken", choices=BREAKS)
    arguments = parser.parse_args()
    if arguments.lease:
        held.LEASE = timedelta(seconds=arguments.lease)
    if arguments.broken:
        BREAKS[arguments.broken]()
    if arguments.crash:
        point, nth = arguments.crash
        assert point in POINTS
        die_at(point, int(nth))
    clock = _clock(arguments.clock) if arguments.clock else utc_now
    if arguments.server_clock:
        _move_days(arguments.server_clock, arguments.days)
    around(worker, "Worker", lambda _: functools.partial(_Disturbed, clock=clock))
    settings = load_settings()
    set_up(settings.log_level, "logfmt")
    worker.run_worker(settings)


if __name__ == "__main__":
    main()
