"""Queues of the working set: the open documents in order, however they have come into it and whichever is closed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations

import pytest

from domain.facts import working_set
from domain.frozen import replace
from domain.ledger.books import Books, NotLoaded, QueueNeed, WorkingSet
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


def through(day: int, limit: int | None = 4) -> QueueNeed:
    """What is open up to a day."""
    return QueueNeed(Accrual, "SA-1", limit, date(2026, 11, day))


def nothing_loaded() -> WorkingSet:
    """A working set of which nothing is known."""
    return working_set(booked_at=BOOKED_AT, zone=UTC, series="INV-", credit_notes="CN-")


def test_what_is_read_through_a_date_is_all_of_it_and_says_nothing_of_what_is_later() -> None:
    working = nothing_loaded()
    working.load_queue(through(2), [accrual(id_) for id_ in IN_ORDER[:3]])
    asked = [working.has(through(day)) for day in (1, 2, 3)]
    assert asked == [True, True, False]
    assert [one.id for one in working.queue(Accrual, "SA-1", date(2026, 11, 1))] == ["A-2"]
    assert [one.id for one in working.queue(Accrual, "SA-1", date(2026, 11, 2))] == ["A-2", "A-1", "A-3"]
    for later, need in ((date(2026, 11, 3), through(3, 16)), (None, QueueNeed(Accrual, "SA-1", 16))):
        queue = working.queue(Accrual, "SA-1", later)
        assert [next(queue).id for _ in range(3)] == ["A-2", "A-1", "A-3"]
        with pytest.raises(NotLoaded) as missing:
            next(queue)
        assert missing.value.needs == (need,)
    # What a fact has put in beyond that is not taken for all that there is.
    put(accrual("A-4"), working)
    assert queued_until_missing(working) == ["A-2", "A-1", "A-3"]


def queued_until_missing(working: WorkingSet) -> list[str]:
    """The ids of the queue up to where it is not known."""
    found: list[str] = []
    with pytest.raises(NotLoaded):
        found.extend(one.id for one in working.queue(Accrual, "SA-1"))
    return found


def test_of_what_is_cut_off_no_date_is_known_as_a_whole() -> None:
    """There may be more of the day of the last one."""
    working = nothing_loaded()
    working.load_queue(through(2, 2), [accrual(id_) for id_ in IN_ORDER[:2]])
    assert [working.has(through(day, None)) for day in (1, 2)] == [True, False]
    assert [one.id for one in working.queue(Accrual, "SA-1", date(2026, 11, 1))] == ["A-2"]


def test_what_is_known_stays_known() -> None:
    """Whatever is read after it: less, or up to an earlier date."""
    working = nothing_loaded()
    working.load_queue(through(3, 16), [accrual(id_) for id_ in IN_ORDER])
    working.load_queue(through(1), [accrual("A-2")])
    assert working.has(through(3, None))
    working.load_queue(QueueNeed(Accrual, "SA-1", None), [accrual(id_) for id_ in IN_ORDER])
    working.load_queue(through(1), [accrual("A-2")])
    assert working.has(QueueNeed(Accrual, "SA-1", None))
    assert queued(working) == list(IN_ORDER)


def test_who_asks_for_what_is_known_has_seen_all_of_it() -> None:
    """`unseen` says that a fact may need more once it has seen more."""
    working = nothing_loaded()
    list(working.known(Accrual, "SA-1", date(2026, 11, 2)))
    assert working.unseen == 1
    working.load_queue(through(2), [accrual(id_) for id_ in IN_ORDER[:3]])
    assert [one.id for one in working.known(Accrual, "SA-1", date(2026, 11, 2))] == ["A-2", "A-1", "A-3"]
    assert working.unseen == 1
    list(working.known(Accrual, "SA-1", date(2026, 11, 3)))
    list(working.known(Accrual, "SA-1"))
    assert working.unseen == 3
