"""The backlog: what has waited in the work queue through an outage, and whether it is applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from adapters.rabbitmq.work_queue import WorkQueue
from handlers.watch import Watch


class Backlog:
    """Tells whether all is applied that waited in the work queue when a day had come: payments that were made in time.

    The broker hands messages over in their order. So once none waits, those that had are among the next that are
    acknowledged, as many as a worker is given at once; or all that it was given are, and nothing more comes. Where
    several workers apply, each knows of its own.
    """

    def __init__(self, queue: WorkQueue, watch: Watch, *, prefetch: int, gathered: Callable[[], int]) -> None:
        self._queue = queue
        self._watch = watch
        self._prefetch = prefetch
        self._gathered = gathered
        self._applied: date | None = None
        self._stay: tuple[date, str] | None = None
        self._mark: int | None = None
        self._taken = 0

    def is_applied(self, day: date) -> bool:
        """Whether that is so for a day that has come; asked again and again, it is so once and for all."""
        if self._applied == day:
            return True
        consumption = self._queue.consumption
        stay = None if consumption is None else (day, consumption)
        if stay != self._stay or self._watch.waiting != 0:
            self._stay, self._mark = stay, None
        if stay is None or self._watch.waiting != 0:
            return False
        acknowledged, taken = self._queue.acknowledged, self._queue.taken
        if self._mark is None:
            self._mark = acknowledged
        elif acknowledged - self._mark >= self._prefetch or (
            acknowledged == taken == self._taken and not self._gathered()
        ):
            self._applied = day
        self._taken = taken
        return self._applied == day
