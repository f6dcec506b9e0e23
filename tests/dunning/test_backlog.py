"""The backlog: what waited in the work queue is applied before anybody is dunned."""

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

from handlers.backlog import Backlog

DAY = date(2026, 12, 2)


class Worker:
    """What a backlog looks at: the queue, and the look at the broker."""

    def __init__(self) -> None:
        self.queue = SimpleNamespace(consumption="stay", taken=0, acknowledged=0)
        self.watch = SimpleNamespace(waiting=0)
        self.gathered = 0
        self.backlog = Backlog(
            cast("Any", self.queue), cast("Any", self.watch), prefetch=100, gathered=lambda: self.gathered
        )

    def is_applied(self, *, waiting: int | None = 0, taken: int, acknowledged: int, day: date = DAY) -> bool:
        """Whether it is, at a moment at which this is so."""
        self.watch.waiting, self.queue.taken, self.queue.acknowledged = waiting, taken, acknowledged
        return self.backlog.is_applied(day)


def test_what_waits_in_the_queue_is_waited_for():
    """Until nothing is there any more, and what was taken is acknowledged; then it is so for that day."""
    worker = Worker()
    assert not worker.is_applied(waiting=5_000, taken=100, acknowledged=0)
    assert not worker.is_applied(waiting=0, taken=200, acknowledged=100)
    assert not worker.is_applied(waiting=0, taken=200, acknowledged=150)
    assert worker.is_applied(waiting=0, taken=200, acknowledged=200)
    assert worker.is_applied(waiting=9, taken=300, acknowledged=200)
    assert not worker.is_applied(waiting=9, taken=300, acknowledged=200, day=date(2026, 12, 3))


def test_where_always_something_comes_as_many_are_enough_as_could_have_been_taken():
    """The broker hands them over in their order."""
    worker = Worker()
    assert not worker.is_applied(taken=50, acknowledged=0)
    assert not worker.is_applied(taken=120, acknowledged=99)
    assert worker.is_applied(taken=150, acknowledged=100)


def test_what_has_gathered_otherwise_is_waited_for_too():
    """As what was held, and is taken up again."""
    worker = Worker()
    worker.gathered = 1
    assert [worker.is_applied(taken=0, acknowledged=0) for _ in range(3)] == [False] * 3
    worker.gathered = 0
    assert worker.is_applied(taken=0, acknowledged=0)


def test_what_is_not_known_is_waited_for():
    """The broker is away, or this worker has no stay at the queue, or has had another one since."""
    worker = Worker()
    assert not worker.is_applied(waiting=None, taken=0, acknowledged=0)
    assert not worker.is_applied(taken=0, acknowledged=0)
    worker.queue.consumption = "another"
    assert not worker.is_applied(taken=0, acknowledged=0)
    worker.queue.consumption = None
    assert not worker.is_applied(taken=0, acknowledged=0)
    worker.queue.consumption = "third"
    assert not worker.is_applied(taken=0, acknowledged=0)
    assert not worker.is_applied(waiting=3, taken=0, acknowledged=0)
    assert not worker.is_applied(taken=0, acknowledged=0)
    assert worker.is_applied(taken=0, acknowledged=0)
