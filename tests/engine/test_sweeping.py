"""Going through accounts: each is come to, few at a time, and whatever is left is found by going through them again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from adapters.sweep import Page, Sweep, UnderWay
from domain.billing.runs import AccountToBill, BillRunToComplete
from handlers import sweeping
from handlers.engine.work import Outcome, WorkItem
from handlers.sweeping import Sweeper
from tests.support.waiting import wait_for

PAGE = 5


class Accounts:
    """Accounts that are swept, those that are done, and what is submitted to do them."""

    def __init__(self, ids: list[str], *, cursor: str | None = None) -> None:
        self.ids = ids
        self.cursor = cursor
        self.done: list[str] = []
        self.submitted: list[WorkItem] = []
        self.most = 0
        self.waiting = 0
        self.over = False
        self.active = True
        self.away = 0
        self.read: list[str | None] = []
        self.looks = 0
        self.on_look: Callable[[], None] | None = None
        self.on_page: Callable[[], Awaitable[None]] | None = None

    async def under_way(self, _database: Any) -> list[UnderWay]:
        """What is under way."""
        if self.away:
            self.away -= 1
            raise AutoReconnect("away")
        self.looks += 1
        found = [] if self.over else [UnderWay("R-1", None, self.cursor)]
        if self.on_look is not None:
            self.on_look()
        return found

    async def page(self, _database: Any, _document: Any, after: str | None, limit: int) -> Page:
        """The next accounts."""
        self.read.append(after)
        if self.on_page is not None:
            await self.on_page()
        ids = sorted(id_ for id_ in self.ids if after is None or id_ > after)[:limit]
        left = [AccountToBill("R-1", id_, date(2026, 12, 1)) for id_ in ids if id_ not in self.done]
        return Page(left, ids[-1] if len(ids) == limit else None)

    async def closing(self, _database: Any, _document: Any) -> BillRunToComplete | None:
        """That it is over."""
        return None if self.waiting else BillRunToComplete("R-1", 0)

    def submit_bulk(self, work: WorkItem) -> None:
        """Take an account's fact."""
        self.submitted.append(work)
        self.most = max(self.most, len(self.submitted))

    def submit(self, work: WorkItem) -> None:
        """Take the last fact."""
        assert not self.submitted, "over, and something is under way"
        self.over = True
        work.done(Outcome("applied"))

    async def commit(self) -> None:
        """Do what is submitted."""
        while True:
            await asyncio.sleep(0)
            if self.submitted:
                work = self.submitted.pop(0)
                fact = work.incoming.fact
                assert isinstance(fact, AccountToBill)
                self.done.append(fact.billing_account)
                work.done(Outcome("applied"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages, and no long waits."""
    monkeypatch.setattr(sweeping, "PAGE", PAGE)
    monkeypatch.setattr(sweeping, "IN_FLIGHT_MAX", 2 * PAGE)
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sweeping, "AGAIN_SECONDS", 0.02)


@asynccontextmanager
async def sweeper(accounts: Accounts, *, commit: bool = True) -> AsyncIterator[Sweeper]:
    """A sweeper of these accounts, and who does what it submits."""
    made = Sweeper(
        Sweep("test", accounts.under_way, accounts.page, accounts.closing),
        None,
        accounts.submit,
        accounts.submit_bulk,
        is_active=lambda: accounts.active,
    )
    tasks = [asyncio.create_task(made.run())]
    if commit:
        tasks.append(asyncio.create_task(accounts.commit()))
    try:
        yield made
    finally:
        made.stop()
        await asyncio.wait_for(tasks[0], 5)
        for task in tasks[1:]:
            task.cancel()


def ids(count: int) -> list[str]:
    """So many accounts."""
    return [f"BA-{n:03d}" for n in range(count)]


async def test_each_account_is_come_to_once() -> None:
    """In order, at most two pages at once; then all are looked at once more, and it is over."""
    accounts = Accounts(ids(32))
    async with sweeper(accounts):
        await wait_for(lambda: accounts.over)
    assert accounts.done == ids(32)
    assert accounts.most <= 2 * PAGE
    assert accounts.read.count(None) == 2


async def test_it_looks_for_what_is_left_while_the_last_are_under_way() -> None:
    """These are not submitted again, and it is not over before they are done."""
    accounts = Accounts(ids(7))
    async with sweeper(accounts, commit=False):
        await wait_for(lambda: len(accounts.read) == 4)
        await asyncio.sleep(0.05)
        assert (len(accounts.submitted), accounts.over) == (7, False)
        committing = asyncio.create_task(accounts.commit())
        await wait_for(lambda: accounts.over)
        committing.cancel()
    assert (accounts.done, accounts.read.count(None)) == (ids(7), 2)


async def test_it_goes_on_behind_its_cursor_and_finds_what_is_left_before_it() -> None:
    """Who takes over begins where the other one ended; what has become an account of it since is behind that."""
    accounts = Accounts(ids(12), cursor="BA-006")
    accounts.done = [id_ for id_ in ids(7) if id_ != "BA-002"]
    async with sweeper(accounts):
        await wait_for(lambda: accounts.over)
    assert accounts.done[6:] == [*ids(12)[7:], "BA-002"]
    assert accounts.read[0] == "BA-006"


async def test_what_begins_is_gone_through_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told that something has begun, it does not wait for the next time that it looks."""
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 3_600.0)
    accounts = Accounts(ids(3))
    accounts.over = True
    async with sweeper(accounts) as made:
        await wait_for(lambda: accounts.looks == 1)
        accounts.over = False
        made.look_soon()
        await wait_for(lambda: accounts.over)
    assert accounts.done == ids(3)


async def test_what_begins_during_a_look_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look may have read before it was there."""
    monkeypatch.setattr(sweeping, "LOOK_SECONDS", 3_600.0)
    accounts = Accounts(ids(3))
    accounts.over = True
    async with sweeper(accounts) as made:

        def begin() -> None:
            accounts.on_look = None
            accounts.over = False
            made.look_soon()

        accounts.on_look = begin
        await wait_for(lambda: accounts.done == ids(3))


async def test_what_comes_while_it_goes_through_is_found() -> None:
    """Behind the last account or before it: as long as something new is found, all is gone through again."""
    accounts = Accounts(ids(10))

    async def more() -> None:
        if len(accounts.ids) < 14:
            accounts.ids.append(f"BA-00{len(accounts.ids) - 10}x")

    accounts.on_page = more
    async with sweeper(accounts):
        await wait_for(lambda: accounts.over)
    assert sorted(accounts.done) == sorted(accounts.ids)
    assert len(accounts.done) == 14


async def test_what_waits_keeps_it_from_being_over() -> None:
    """It is looked at now and then, without going through all accounts again."""
    accounts = Accounts(ids(3))
    accounts.waiting = 1
    async with sweeper(accounts):
        await wait_for(lambda: len(accounts.done) == 3 and len(accounts.read) == 2)
        await asyncio.sleep(0.1)
        assert (accounts.over, len(accounts.read)) == (False, 2)
        accounts.waiting = 0
        await wait_for(lambda: accounts.over)


async def test_who_is_not_active_submits_nothing_more() -> None:
    """What it has submitted is committed all the same; when it is its turn again it goes on."""
    accounts = Accounts(ids(20))
    accounts.active = False
    async with sweeper(accounts, commit=False):
        await asyncio.sleep(0.05)
        assert accounts.submitted == []
        accounts.active = True
        await wait_for(lambda: len(accounts.submitted) == 2 * PAGE)
        accounts.active = False
        await asyncio.sleep(0.05)
        committing = asyncio.create_task(accounts.commit())
        await wait_for(lambda: len(accounts.done) == 2 * PAGE)
        accounts.active = True
        await wait_for(lambda: accounts.over)
        committing.cancel()
    assert sorted(accounts.done) == ids(20)


async def test_it_ends_when_it_is_told_to_with_facts_under_way() -> None:
    """What is not committed by then is forgotten; who takes over says it again."""
    accounts = Accounts(ids(20))
    async with sweeper(accounts, commit=False):
        await wait_for(lambda: len(accounts.submitted) == 2 * PAGE)
    assert not accounts.over


async def test_a_database_that_is_away_is_asked_again() -> None:
    """As long as it takes."""
    accounts = Accounts(ids(3))
    accounts.away = 3
    async with sweeper(accounts):
        await wait_for(lambda: accounts.over)
    assert accounts.done == ids(3)


async def test_what_comes_while_something_waits_is_found_too() -> None:
    """It may wait for days: before it is over all accounts are gone through once more."""
    accounts = Accounts(ids(3))
    accounts.waiting = 1
    async with sweeper(accounts):
        await wait_for(lambda: len(accounts.done) == 3 and len(accounts.read) == 2)
        accounts.ids.append("BA-000x")
        accounts.waiting = 0
        await wait_for(lambda: accounts.over)
    assert accounts.done == [*ids(3), "BA-000x"]
