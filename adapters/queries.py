"""The reads that answer queries: each answer is from one point in time, and each read is served by an index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any

from pydantic_core import to_json
from tenacity import AsyncRetrying, retry_if_exception, wait_fixed

import adapters.accounts.queries as accounts
import adapters.billing.queries as billing
import adapters.corrections.queries as corrections
import adapters.dunning.queries as dunning
import adapters.invoicing.queries as invoicing
import adapters.operations.queries as operations
import adapters.parties.queries as parties
import adapters.payments.queries as payments
import adapters.settlement.queries as settlement
from adapters.mongodb.view import Json, View, is_unavailable, moved, view
from adapters.store.transaction import Transaction
from domain.errors import Refused
from schemas.query import Query
from schemas.values import normal

__all__ = ["READS", "is_unavailable", "read"]

Read = Callable[[Any, View], Awaitable[Json | bytes]]

READS: dict[type[Query], Read] = dict(
    (
        *accounts.READS,
        *parties.READS,
        *invoicing.READS,
        *payments.READS,
        *settlement.READS,
        *corrections.READS,
        *billing.READS,
        *dunning.READS,
        *operations.READS,
    )
)
"""What answers each query."""


async def read(query: Query, database: Any, now: datetime, zone: tzinfo, ahead_max: timedelta) -> bytes:
    """The answer to a query as JSON, of what is committed at this moment; `zone` is the one that dates are taken in.

    A fact that is tried out may be as far ahead of `now` as one that comes in, `ahead_max`. What is asked for a party
    is answered as if only what is related to it were there.

    Raises `Refused` (`unknown-account`, `unknown-invoice`, `unknown-settlement`, `unknown-specification`,
    `unknown-seller`, `unknown-credit-note`, `unknown-payment`, `unknown-dispute`, `invalid`; of a bill that is tried
    out also `account-suspended`, `account-closed`; of what is for operators, asked for a party, `forbidden`) and the
    driver's errors.
    """
    if query.party is not None and query.SEEN_BY_A_PARTY == "nothing":
        raise Refused("forbidden", f"party: {query.TYPE} is for operators, no party sees any of it")
    party = None if query.party is None else normal(query.party)
    # Where a collection or an index was made a moment ago the server has no snapshot yet that shows it.
    async for attempt in AsyncRetrying(retry=retry_if_exception(moved), wait=wait_fixed(0.1), reraise=True):
        with attempt:
            async with view(database, now, zone) as books:
                # It reads in the view's session, and is never asked to write.
                loading = Transaction(books.database, books.session)
                answer = await READS[type(query)](
                    query, replace(books, load=loading.load, ahead_max=ahead_max, party=party)
                )
                return answer if isinstance(answer, bytes) else to_json(answer)
    raise AssertionError("unreachable")
