"""Bill runs as a sweep: which are under way, and which of their accounts they have not come to yet."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING

from adapters.billing.codecs import decode_bill_run
from adapters.billing.documents import RUNNING
from adapters.mongodb.connection import awaited
from adapters.sweep import Page, Sweep, UnderWay, held_by_state, not_done
from domain.billing.runs import AccountToBill, BillRun, BillRunToComplete, BillRunToStart, RunsToOpen

RUNS_MAX = 100
"""How many runs are looked at at once; the others come when these are completed."""
TO_BE_DONE = ("waiting", "scheduled", "suspect")
"""The states of held messages that are tried again by themselves."""


def facts_of(run: str) -> str:
    """What the identities of a run's facts begin with."""
    return f"bill.account:{run}:"


async def under_way(database: Any) -> list[UnderWay]:
    """The runs that are running, the earliest billing date first."""
    order = [("billingDate", ASCENDING), ("_id", ASCENDING)]
    rows = database["billRuns"].find(RUNNING).sort(order).limit(RUNS_MAX).hint("running")
    runs = [decode_bill_run(row) async for row in rows]
    return [UnderWay(run.id, run, run.cursor) for run in runs]


async def page(database: Any, run: BillRun, after: str | None, limit: int) -> Page:
    """The accounts of a run's cycle behind one of them that it has not come to yet, of at most so many."""
    which: dict[str, Any] = {"owner": f"cycleSpecification/{run.cycle_specification}", "open": True}
    if after is not None:
        which["referrer"] = {"$gt": after}
    links = (
        database["links"].find(which, {"_id": 0, "referrer": 1}).sort([("owner", ASCENDING), ("referrer", ASCENDING)])
    )
    accounts = [row["referrer"] async for row in links.limit(limit).hint("open")]
    left = await not_done(database, facts_of(run.id), accounts, ("billRunId", run.id))
    facts = [AccountToBill(run.id, account, run.billing_date) for account in left]
    return Page(facts, accounts[-1] if len(accounts) == limit else None)


async def closing(database: Any, run: BillRun) -> BillRunToComplete | None:
    """That a run is completed, unless some of its facts are still to be tried."""
    cursor = await awaited(database["held"].aggregate(held_by_state(facts_of(run.id))))
    held = {row["_id"]: row["count"] async for row in cursor}
    if any(held.get(state) for state in TO_BE_DONE):
        return None
    return BillRunToComplete(run.id, sum(held.values()))


SWEEPS = (Sweep("bill run", under_way, page, closing, (BillRunToStart, RunsToOpen)),)
