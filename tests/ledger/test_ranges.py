"""Ranges of the working set: all that the database has of one, and what facts of the batch have added to it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from domain.billing.billed import BilledPeriod
from domain.facts import working_set
from domain.ledger.books import Books, NotLoaded, RangeNeed, WorkingSet
from domain.periods import DateRange


def billed(id_: str) -> BilledPeriod:
    """A document of this id."""
    return BilledPeriod(id_, "S-1", DateRange(date(2026, 11, 1), date(2026, 12, 1)), ())


def add(id_: str, working: WorkingSet) -> None:
    """A fact that puts in a document of this id."""
    books = Books(working, f"fact:{id_}")
    books.put(billed(id_))
    working.accept(books)


def test_a_range_has_what_facts_have_added_before_it_was_loaded_and_after() -> None:
    working = working_set(booked_at=datetime(2026, 11, 23, tzinfo=UTC), zone=UTC, series="INV-", credit_notes="CN-")
    add("S-1/P-1/2", working)
    with pytest.raises(NotLoaded, match="S-1/P-1"):
        working.within(BilledPeriod, "S-1/P-1")
    working.load_range(RangeNeed(BilledPeriod, "S-1/P-1"), [billed("S-1/P-1/1")])
    for id_ in ("S-1/P-1/3", "S-1/P-1", "S-1/P-10/4", "S-1"):
        add(id_, working)
    found = [document.id for document in working.within(BilledPeriod, "S-1/P-1")]
    assert found == ["S-1/P-1", "S-1/P-1/1", "S-1/P-1/2", "S-1/P-1/3"]
