"""The reads that answer queries: each answer is from one point in time, and each read is served by an index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from typing import Any

from pydantic_core import to_json
from tenacity import AsyncRetrying, retry_if_exception, wait_fixed

from adapters.accounts.queries import history, specifications, statement, trees
from adapters.accounts.queries import lists as accounts
from adapters.invoicing import queries as bills
from adapters.mongodb.view import Json, View, is_unavailable, moved, view
from adapters.operations import queries as parked
from schemas.accounts.queries import (
    AccountBalance,
    AccountGet,
    AccountHistory,
    AccountList,
    AccountStatement,
    AccountTree,
    BillFormatGet,
    BillFormatList,
    BillingCycleSpecificationGet,
    BillingCycleSpecificationList,
    BillPresentationMediaGet,
    BillPresentationMediaList,
)
from schemas.invoicing.queries import InvoiceGet, InvoiceList
from schemas.operations.queries import ParkedAccounts, ParkedGet, ParkedGroups, ParkedHistory, ParkedList
from schemas.query import Query
from schemas.settlement.queries import SettlementGet, SettlementList

__all__ = ["READS", "is_unavailable", "read"]

Read = Callable[[Any, View], Awaitable[Json | bytes]]

READS: dict[type[Query], Read] = {
    AccountGet: accounts.get,
    AccountList: accounts.page,
    AccountBalance: trees.balance,
    AccountTree: trees.tree,
    AccountStatement: statement.page,
    AccountHistory: history.page,
    InvoiceGet: bills.invoice,
    InvoiceList: bills.invoices,
    SettlementGet: bills.settlement,
    SettlementList: bills.settlements,
    **dict.fromkeys((BillingCycleSpecificationGet, BillFormatGet, BillPresentationMediaGet), specifications.get),
    **dict.fromkeys((BillingCycleSpecificationList, BillFormatList, BillPresentationMediaList), specifications.page),
    ParkedGroups: parked.groups,
    ParkedList: parked.page,
    ParkedGet: parked.get,
    ParkedAccounts: parked.accounts,
    ParkedHistory: parked.history,
}
"""What answers each query."""


async def read(query: Query, database: Any, now: datetime, zone: tzinfo) -> bytes:
    """The answer to a query as JSON, of what is committed at this moment; `zone` is the one that dates are taken in.

    Raises `Refused` (`unknown-account`, `unknown-invoice`, `unknown-settlement`, `unknown-specification`, `invalid`)
    and the driver's errors.
    """
    # Where a collection or an index was made a moment ago the server has no snapshot yet that shows it.
    async for attempt in AsyncRetrying(retry=retry_if_exception(moved), wait=wait_fixed(0.1), reraise=True):
        with attempt:
            async with view(database, now, zone) as books:
                answer = await READS[type(query)](query, books)
                return answer if isinstance(answer, bytes) else to_json(answer)
    raise AssertionError("unreachable")
