"""What becomes of a batch: when it ends early, what it asks for at first, and whose fault a defect is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace

import pytest

from adapters.records import Properties
from domain.facts import needs_of, working_set
from domain.invoicing.model import Invoice
from domain.ledger.books import DocumentNeed, Need, QueueNeed, RangeNeed, WorkingSet
from domain.ledger.positions import Position
from handlers.engine import decision
from handlers.engine.decision import SECONDS_MAX, Decisions, decide, first_needs
from handlers.engine.group_commit import BatchPolicy
from handlers.engine.intake import works_of
from handlers.engine.work import WorkItem
from schemas.operations.acts import Act
from tests.support.messages import Message, charge, order, payment

FACTS = 10


async def decided(said: Callable[[str, str], Message] = order) -> Decisions:
    """What becomes of ten messages, orders or others, on an account that is not there."""
    works = [
        work
        for routing_key, body in (said(f"O-{n}", "BA-1") for n in range(FACTS))
        for work in works_of(routing_key, json.dumps(body).encode(), Properties(str(body)), lambda: None)
    ]
    books = working_set(booked_at=datetime(2026, 11, 23, tzinfo=UTC), zone=UTC, series="INV-", credit_notes="CN-")
    keeping = BatchPolicy("INV-", "CN-", UTC, timedelta(days=1), timedelta(seconds=1), "test", 5, 4, 1)

    async def load(needs: Iterable[Need]) -> None:
        for need in needs:
            if isinstance(need, DocumentNeed):
                books.load(need.type, need.id, None)
            elif isinstance(need, RangeNeed):
                books.load_range(need, [])
            else:
                books.load_queue(need, [])

    async def act(_act: Act, _sent: Properties) -> Mapping[str, object]:
        raise AssertionError

    return await decide(works, {}, books, load, act, keeping)


@pytest.mark.parametrize(
    # The clock is looked at once before the first fact, and once or twice for each.
    ("tick", "facts"),
    [(0.0, FACTS), (SECONDS_MAX + 1, 1), (SECONDS_MAX / 4, 3)],
)
async def test_a_batch_ends_when_it_takes_long(tick: float, facts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(0, tick)
    monkeypatch.setattr(decision, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    outcomes = (await decided()).outcomes
    assert [outcome.kind for outcome in outcomes] == ["waiting"] * facts


@pytest.mark.parametrize(
    ("said", "times"),
    [
        # The account may have a payer.
        (order, 2),
        # All that it needs is known from itself.
        (partial(charge, price="1.00"), 1),
    ],
)
async def test_what_a_fact_needs_is_listed_again_where_it_peeked_at_what_was_not_loaded(
    said: Callable[[str, str], Message], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: Counter[object] = Counter()

    def listing(fact: object, books: WorkingSet) -> Iterable[Need]:
        listed[fact] += 1
        return needs_of(fact, books)

    monkeypatch.setattr(decision, "needs_of", listing)
    await decided(said)
    assert list(listed.values()) == [times] * FACTS


async def test_what_would_wait_in_vain_is_a_defect_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that nothing announces: that message alone is tried again, and parked in the end."""
    monkeypatch.setattr("handlers.engine.decision.AWAITED", {})
    decisions = await decided()
    assert {(outcome.kind, outcome.code) for outcome in decisions.outcomes} == {("waiting", "internal")}
    assert {row.exception for row in decisions.batch.held} == {"AssertionError"}


def payments(account: str, number: int) -> list[WorkItem]:
    """So many payments of one account."""
    bodies = [json.dumps(payment(f"P-{account}-{n}", account, "1.00")[1]).encode() for n in range(number)]
    return [
        work
        for n, body in enumerate(bodies)
        for work in works_of("payment.received", body, Properties(f"M-{n}"), lambda: None)
    ]


@pytest.mark.parametrize(("number", "limit"), [(1, 4), (2, 4), (3, 8), (6, 8), (7, 16), (500, 512)])
def test_of_a_queue_as_much_is_read_as_all_facts_are_likely_to_take(number: int, limit: int) -> None:
    """Each payment an invoice, and two more, in powers of two; of another account's queue what that one needs."""
    books = working_set(booked_at=datetime(2026, 11, 23, tzinfo=UTC), zone=UTC, series="INV-", credit_notes="CN-")
    for account in ("BA-1", "BA-2"):
        books.load(Position, account, Position(id=account, currency="EUR", receivable=100))
    needs = first_needs(payments("BA-1", number) + payments("BA-2", 1), books)
    assert {need for need in needs if isinstance(need, QueueNeed)} == {
        QueueNeed(Invoice, "BA-1", limit),
        QueueNeed(Invoice, "BA-2", 4),
    }
