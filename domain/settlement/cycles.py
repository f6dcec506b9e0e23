"""Closing by itself: each day leaves the closings of the periods that ended before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice, takewhile

from domain.accounts.closings import SCHEDULED, ClosingSchedule
from domain.accounts.model import Account
from domain.frozen import dataclass
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.settlement.closing import Closing

LEFT_MAX = 200
"""How many closings one fact leaves to do; those beyond are left by a further one."""


@dataclass(frozen=True, slots=True)
class ClosingsDue:
    """`settlement.due`: a day has begun. `part` counts the facts of the same day before it."""

    date: dt.date
    part: int = 0


@dataclass(frozen=True, slots=True)
class ClosingsLeft:
    """Which closings were left to do."""

    closings: tuple[str, ...]


def due_needs(_fact: ClosingsDue, books: WorkingSet) -> Iterator[Need]:
    """What a day looks at: the first accounts of those that are closed by themselves."""
    yield QueueNeed(ClosingSchedule, SCHEDULED, LEFT_MAX)
    for schedule in islice(books.known(ClosingSchedule, SCHEDULED), LEFT_MAX):
        if schedule.period_end is not None and schedule.period_end < _fact.date:
            yield DocumentNeed(Account, schedule.id)


def leave_closings(fact: ClosingsDue, books: Books) -> ClosingsLeft:
    """Leave the closing of each period that ended before a day, once; returns their ids.

    The account's next period is written with it, so that no closing is left twice. The rest of many is left to a
    further fact.
    """
    schedules = books.queue(ClosingSchedule, SCHEDULED)
    due = list(islice(takewhile(lambda one: one.order_key[0] < fact.date, schedules), LEFT_MAX))
    books.require(DocumentNeed(Account, one.id) for one in due)
    made: list[str] = []
    for one in due:
        account, end = books.find(Account, one.id), one.period_end
        assert account is not None, f"a closing of {one.id}, which is not there"
        assert account.closing_cycle is not None, f"account {one.id} has no cycle"
        assert end is not None
        made.append(f"{one.id}:{end}")
        # Held up together they may be taken up in any order, and the first to come would state what all have.
        after = None if one.closed is None else f"{one.id}:{one.closed}"
        books.continue_with(Closing(made[-1], one.id, end, after=after))
        books.put(ClosingSchedule(one.id, account.closing_cycle.end_from(end + timedelta(days=1)), end))
    if len(due) == LEFT_MAX:
        books.continue_with(ClosingsDue(fact.date, fact.part + 1))
    return ClosingsLeft(tuple(made))
