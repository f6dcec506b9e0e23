"""A migration by a made-up step, run as a program, which stops for ever at a place to be killed there.

`python -m tests.support.migrating URL DATABASE PLACE`, where PLACE is `between` two pages, `within` the third page's
transaction when nothing is written yet, or `written` when all of it is. It prints `here` when it is there.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from unittest.mock import patch

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from adapters.mongodb.connection import MIGRATE_APP_NAME, database
from adapters.store import migration
from adapters.store.collections import INDEXES
from adapters.store.migration import Plan, Progress, migrate
from adapters.store.steps import FORM, STEPS, Row, Step, Update

ROWS = 23
PAGE = 4
PAGES_DONE = 2
"""How many pages are done when it stops."""


def write(_database: Database[Row], _session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
    """What is made of a row: its amount doubled, which would be seen if it were done twice."""
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"doubled": 2 * row["amount"]}}) for row in rows]


DOUBLED = Update("amounts doubled", "payouts", {"doubled": None}, write, {"amount": 1})
FEW = {name: INDEXES[name] for name in ("payouts", "positions")}
"""The indexes of a plan that is about its steps: to make all of them takes longer than the rest."""
PLAN = Plan(steps=(*STEPS, Step(FORM + 1, "payouts tell twice their amount", (DOUBLED,))), indexes=FEW)


def _stop() -> None:
    sys.stdout.write("here\n")
    sys.stdout.flush()
    signal.pause()


def main(url: str, name: str, place: str) -> None:
    """Migrate, and stop at the place."""
    migration.PAGE_ROWS = PAGE
    migration.LEASE_SECONDS = 1
    migration.RENEWAL_SECONDS = 1_000
    pages = 0

    def counting(books: Database[Row], session: ClientSession, rows: Sequence[Row]) -> Sequence[UpdateOne]:
        nonlocal pages
        pages += 1
        if place == "within" and pages > PAGES_DONE:
            _stop()
        return write(books, session, rows)

    write_place = migration._Claim.write_place

    def written(claim: migration._Claim, at: Row, session: ClientSession | None = None) -> None:
        write_place(claim, at, session)
        if place == "written" and pages > PAGES_DONE:
            _stop()

    patch.object(migration._Claim, "write_place", written).start()

    def tell(progress: Progress) -> None:
        if place == "between" and (progress.form, progress.documents) == (FORM + 1, PAGE * PAGES_DONE):
            _stop()

    update = Update(DOUBLED.name, DOUBLED.collection, DOUBLED.which, counting, DOUBLED.fields)
    with database(url, name, MIGRATE_APP_NAME) as books:
        migrate(books, tell, Plan(steps=(*STEPS, Step(FORM + 1, PLAN.steps[-1].why, (update,)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
