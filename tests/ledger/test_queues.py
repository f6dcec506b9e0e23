"""Queues of the working set: the open documents in order, however they have come into it and whichever is closed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations

import pytest

from domain.facts import working_set
from domain.frozen import replace
from domain.ledger.books import Books, QueueNeed, WorkingSet
from domain.settlement.accruals import Accrual

BOOKED_AT = datetime(2026, 11, 23, tzinfo=UTC)
IN_ORDER = ("A-2", "A-1", "A-3", "A-4")
"""By their days, then by their ids."""
DAYS = {"A-2": 1, "A-1": 2, "A-3": 2, "A-4": 3}


def accrual(id_: str) -> Accrual:
    """One that no statement holds."""
    day = date(2026, 11, DAYS[id_])
    return Accrual(id_, "SA-1", "O-1", "INV-1", "1", 100, day, "order.completed:O-1", BOOKED_AT)


def put(document: Accrual, working: WorkingSet) -> None:
    """A fact that puts in a document, or closes it."""
    books = Books(working, f"fact:{document.id}")
    books.put(document)
    working.accept(books)


def loaded(ids: list[str]) -> WorkingSet:
    """A working set with these in the queue, all of it."""
    working = working_set(booked_at=BOOKED_AT, zone=UTC, series="INV-", credit_notes="CN-")
    working.load_queue(QueueNeed(Accrual, "SA-1", None), [accrual(id_) for id_ in ids])
    return working


def queued(working: WorkingSet) -> list[str]:
    """The ids of the queue."""
    return [one.id for one in working.queue(Accrual, "SA-1")]


@pytest.mark.parametrize("come", list(permutations(IN_ORDER)))
def test_what_comes_stands_at_its_place(come: tuple[str, ...]) -> None:
    """Two from the database, two by facts; what comes twice stands there once."""
    working = loaded(sorted(come[:2], key=IN_ORDER.index))
    for id_ in (*come[2:], come[0]):
        put(accrual(id_), working)
    assert queued(working) == list(IN_ORDER)


@pytest.mark.parametrize("closed", list(permutations(IN_ORDER)))
def test_what_is_closed_leaves_its_place_to_the_others(closed: tuple[str, ...]) -> None:
    """The first, the last, or one between; what is closed already does not take another's place."""
    working = loaded(list(IN_ORDER))
    for number, id_ in enumerate(closed, 1):
        for _ in range(2):
            put(replace(accrual(id_), settlement_id="S-1"), working)
        assert queued(working) == [one for one in IN_ORDER if one not in closed[:number]]
