"""Completing: on a day all accounts that owe were looked at."""

from __future__ import annotations

from collections.abc import Iterator

from domain.dunning.model import DUNNED, DayToComplete, DunnedDayResult, DunnedDays
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet


def completion_needs(_fact: DayToComplete, _books: WorkingSet) -> Iterator[Need]:
    """What completing a day looks at."""
    yield DocumentNeed(DunnedDays, DUNNED)


def complete_day(fact: DayToComplete, books: Books) -> DunnedDayResult:
    """Note that all were looked at on a day; returns the newest such day. One before that changes nothing."""
    days = books.find(DunnedDays, DUNNED) or DunnedDays(DUNNED, fact.date, fact.date)
    days = replace(days, newest=max(days.newest, fact.date))
    books.put(days)
    return DunnedDayResult(days.newest)
