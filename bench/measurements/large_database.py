"""Orders on a large database beside orders on an empty one.

The large one has accounts with their positions, and entries of the journal, in the shape in which Paymaster keeps
them. It has no invoices of those entries, so it is no set of books that an audit would pass.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from adapters.documents import COLLECTION, ENCODE
from adapters.store.collections import COLLECTIONS
from bench.measure import Lane, Round, measure
from bench.measurements.race import PAYMASTER
from bench.place import Place, new_place
from bench.sizes import Sizes
from bench.workloads import ORDERS, Orders
from domain.accounts.model import Account
from domain.ledger.chart import RECEIVABLE, REVENUE, TAX
from domain.ledger.entries import Entry, Posting
from domain.ledger.positions import Position
from services import Services

EMPTY = "an empty database"
LARGE = "a large database"
BATCH = 10_000
NET, TAXED = 1_000, 200
"""What each entry is about, in minor units."""
YEARS = timedelta(days=3 * 365)


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Round]:
    """Fill the database once, then measure both in turn, round by round; the large one gets other orders each time."""
    name = f"bench-{secrets.token_hex(6)}"
    empty = Lane(EMPTY, PAYMASTER, ORDERS, sizes.orders)
    with new_place(services) as around:
        place = replace(around, database_name=name)
        try:
            fill(place, sizes, tell)
            for number in range(1, sizes.rounds + 1):
                before = sizes.orders * (number - 1)
                large = Lane(LARGE, PAYMASTER, Orders(first=before), sizes.orders, before=before)
                for lane in (empty, large) if number % 2 else (large, empty):
                    with ExitStack() as stack:
                        where = stack.enter_context(new_place(services, name if lane is large else None))
                        one = asyncio.run(measure(lane, where, number=number))
                    tell(f"round {number}, {lane.work}: {one.rate:,.0f}/s")
                    yield one
        finally:
            around.mongodb.drop_database(name)


def fill(place: Place, sizes: Sizes, tell: Callable[[str], None]) -> None:
    """Put the accounts, their positions and the entries into a database, and then make all indexes."""
    begun = datetime.now(UTC).replace(microsecond=0) - YEARS
    apart = YEARS / sizes.entries
    for kind, documents in (
        (Account, _accounts(sizes.accounts, begun)),
        (Position, _positions(sizes)),
        (Entry, _entries(sizes, begun, apart)),
    ):
        collection = place.database[COLLECTION[kind]]
        encode = ENCODE[kind]
        while rows := [encode(document) for document in islice(documents, BATCH)]:
            collection.insert_many(rows, ordered=False)
        tell(f"{collection.name}: {collection.estimated_document_count():,}")
    # Made afterwards, which is faster, and here, where no time limit ends it.
    for declared in COLLECTIONS:
        if declared.indexes:
            place.database[declared.name].create_indexes(list(declared.indexes))
    # What is still to be written to the disk would be written while the first round is measured.
    place.mongodb.admin.command("fsync")
    tell("all indexes are made")


def _id(n: int) -> str:
    return f"A-{n:07d}"


def _accounts(count: int, begun: datetime) -> Iterator[Account]:
    for n in range(count):
        party = {"role": "customer", "partyOrPartyRole": {"id": f"P-{n}"}}
        document: dict[str, Any] = {"@type": "BillingAccount", "name": f"Customer {n}", "relatedParty": [party]}
        yield Account(_id(n), "BillingAccount", "EUR", 2, "active", 1, 30, None, begun, document, 1, begun)


def _positions(sizes: Sizes) -> Iterator[Position]:
    each = sizes.entries_per_account
    for n in range(sizes.accounts):
        yield Position(_id(n), "EUR", sequence=each, movements=each, receivable=each * (NET + TAXED), used=each)


def _entries(sizes: Sizes, begun: datetime, apart: timedelta) -> Iterator[Entry]:
    """Entry by entry in the order of time, each on the next account."""
    for n in range(sizes.entries):
        movement, account = divmod(n, sizes.accounts)
        identity = f"order.completed:H-{n:09d}"
        at = begun + apart * n
        postings = (
            Posting(RECEIVABLE.of(_id(account)).account, "EUR", NET + TAXED, movement=movement + 1),
            Posting(REVENUE.name, "EUR", -NET),
            Posting(TAX.name, "EUR", -TAXED, "S", "0.2"),
        )
        yield Entry(identity, identity, at, at, postings)
