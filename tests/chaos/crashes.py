"""Crash points: a worker that ends at a named point, the n-th time it gets there, with no chance to do anything.

`python -m tests.chaos.crashes POINT N` is `paymaster run` with that one defect. The points are put in from outside, so
the product has no hooks; a name that it no longer has fails at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from adapters.rabbitmq import publishing
from adapters.rabbitmq.work_queue import WorkQueue
from adapters.settings import Settings, load_settings
from adapters.store.store import Store
from adapters.store.transaction import Transaction
from handlers import worker
from handlers.engine import held
from handlers.engine.held import Waker

DIED = 86
"""The exit code of a worker that got to its point."""
LEASE = timedelta(milliseconds=300)
"""How long a claim lasts here: what a dead worker has claimed is soon taken up again."""

Passed = Callable[[], None]


def around(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` makes of `owner.name` in its place."""
    setattr(owner, name, make(getattr(owner, name)))


def _before(owner: Any, name: str, passed: Passed) -> None:
    def make(original: Any) -> Any:
        def dying(*arguments: Any, **options: Any) -> Any:
            passed()
            return original(*arguments, **options)

        return dying

    around(owner, name, make)


def _after(owner: Any, name: str, passed: Callable[..., None]) -> None:
    """After a coroutine function; `passed` is called with its arguments."""

    def make(original: Any) -> Any:
        async def dying(*arguments: Any, **options: Any) -> Any:
            result = await original(*arguments, **options)
            passed(*arguments)
            return result

        return dying

    around(owner, name, make)


def _after_receive(passed: Passed) -> None:
    _before(worker, "take", passed)


def _after_first_write(passed: Passed) -> None:
    seen: list[tuple[Transaction, int]] = []

    def make(original: Any) -> Any:
        def bulk(transaction: Transaction, name: str, operations: list[Any]) -> Any:
            command = original(transaction, name, operations)

            def sent(database: Any, session: Any) -> Any:
                before = seen[-1][1] if seen and seen[-1][0] is transaction else 0
                seen[:] = [(transaction, before + 1)]
                # They go one after another: when the second is sent, the first is done.
                if before == 1:
                    passed()
                return command(database, session)

            return sent

        return bulk

    around(Transaction, "_bulk", make)


def _after_commit(passed: Passed) -> None:
    # Of events, or of a day: there are commits that leave none to be sent, of what waits or is there already.
    telling: list[Transaction] = []

    def written(transaction: Transaction, _books: Any, batch: Any) -> None:
        if batch.outbox or any(row.identity.startswith("day.begin:") for row in batch.inbox):
            telling.append(transaction)

    _after(Transaction, "write", written)
    _after(Transaction, "commit", lambda transaction: passed() if transaction in telling else None)


def _before_confirm(passed: Passed) -> None:
    # The broker has the event and says so, which nobody takes note of.
    _before(publishing._Confirm, "set_result", passed)


def _before_mark(passed: Passed) -> None:
    _before(Store, "mark_sent", passed)


def _shutdown(passed: Passed) -> None:
    # No more is taken, what was taken is under way.
    _after(WorkQueue, "stop", lambda _queue: passed())


def _end_of_shutdown(passed: Passed) -> None:
    # All is committed, the last of it is not acknowledged and its events are not all sent.
    _before(WorkQueue, "close", passed)


def _held_claimed(passed: Passed) -> None:
    _before(Waker, "_take_up", passed)


def _held_before_commit(passed: Passed) -> None:
    _after(Transaction, "write", lambda _transaction, _books, batch: passed() if batch.held_changes else None)


def _held_after_commit(passed: Passed) -> None:
    replaying: list[Transaction] = []

    def written(transaction: Transaction, _books: Any, batch: Any) -> None:
        replaying[:] = [transaction] if batch.held_changes else []

    _after(Transaction, "write", written)
    _after(Transaction, "commit", lambda transaction: passed() if transaction in replaying else None)


POINTS: dict[str, Callable[[Passed], None]] = {
    "after-receive": _after_receive,
    "after-first-write": _after_first_write,
    "after-commit": _after_commit,
    "before-confirm": _before_confirm,
    "before-mark": _before_mark,
    "shutdown": _shutdown,
    "end-of-shutdown": _end_of_shutdown,
    "held-claimed": _held_claimed,
    "held-before-commit": _held_before_commit,
    "held-after-commit": _held_after_commit,
}


AFTER = "after "
"""What a point begins with that is no name: the commit of a fact, whose identity begins with the rest."""


def _after_fact(identity: str, passed: Passed) -> None:
    written: list[tuple[Transaction, int]] = []

    def note(transaction: Transaction, _books: Any, batch: Any) -> None:
        count = sum(row.identity.startswith(identity) for row in batch.inbox)
        written[:] = [(transaction, count)]

    def committed(transaction: Transaction) -> None:
        for _ in range(sum(count for one, count in written if one is transaction)):
            passed()

    _after(Transaction, "write", note)
    _after(Transaction, "commit", committed)


def die_at(point: str, nth: int) -> None:
    """Make this process end at a point, the `nth` time that it gets there.

    It is one of `POINTS`, or `after ` and how the identities of facts begin.
    """
    left = nth

    def passed() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(DIED)

    if point.startswith(AFTER):
        _after_fact(point.removeprefix(AFTER), passed)
    else:
        POINTS[point](passed)


def _stopped(starter: Any) -> Any:
    def make(*arguments: Any, **options: Any) -> Any:
        days = starter(*arguments, **options)
        days.stop()
        return days

    return make


def run_doomed(
    point: str, nth: int, settings: Settings, limits: Mapping[str, float] | None = None, *, days: bool = False
) -> None:
    """Run a worker in this process until it dies at the point; unless it begins days it gets there by what was sent.

    `limits` are in place of the constants of these names.
    """
    die_at(point, nth)
    for name, limit in (limits or {}).items():
        patch(name, limit).start()
    held.LEASE = LEASE
    if not days:
        around(worker, "DayStarter", _stopped)
    worker.run_worker(settings)


if __name__ == "__main__":
    run_doomed(sys.argv[1], int(sys.argv[2]), load_settings(), days=True)
