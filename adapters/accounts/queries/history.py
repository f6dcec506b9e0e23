"""The history of accounts: each version, what made it, and who said so."""

from __future__ import annotations

from typing import Any

from adapters.accounts.codecs import decode_account
from adapters.accounts.documents import whole_snapshot
from adapters.mongodb.paging import FEW_ROWS, Page, reading
from adapters.mongodb.view import Json, Row, View, unknown
from schemas.accounts.queries import AccountHistory, account_document, of_a_party
from schemas.query import cursor
from schemas.values import time_json

_SAID = ("messageId", "userId", "actingUser", "appId", "correlationId")


async def page(query: AccountHistory, view: View) -> bytes:
    """`account.history`: the account's document as of each version, without balances; a deleted account's too.

    To a party, the versions in which the account was related to it.
    """
    if not await view.shows(query.id):
        raise unknown("account", query.id)
    which: Row = {"account": query.id}
    if view.party is not None:
        which["snapshot.parties"] = view.party
    if query.after is not None:
        which["version"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = 0
    how: dict[str, Any] = {"sort": [("account", 1), ("version", 1)], "limit": query.limit + 1, "index": "history"}
    causes = [row["cause"] for row in await view.find("accountVersions", which, fields={"cause": 1}, **how)]
    said = {
        row["_id"]: row for row in await view.find("inbox", {"_id": {"$in": causes}}, fields=dict.fromkeys(_SAID, 1))
    }
    # Documents may be large, so they come few at a time.
    found = view.cursor("accountVersions", which, batch=FEW_ROWS, **how)
    values: Json = {}
    async with reading(found) as rows:
        async for row in rows:
            # Most versions leave the large values of the one before as they were.
            values = await view.values([row], values)
            if not page.take(_item(row, values, said.get(row["cause"], {}), view.party)):
                return page.answer(cursor(AccountHistory.TYPE, last))
            last = row["version"]
    if not last and query.after is None:
        await view.account(query.id)
    return page.answer(None)


def _item(row: Row, values: Json, said: Row, party: str | None) -> Json:
    document = account_document(decode_account(whole_snapshot(row, values)), None)
    return {
        "version": row["version"],
        "revision": row["revision"],
        "bookedAt": time_json(row["bookedAt"]),
        "changed": row["changed"],
        "oldState": row["oldState"],
        "newState": row["newState"],
        "reason": row["reason"],
        "cause": row["cause"],
        **{name: said.get(name) for name in _SAID},
        "account": document if party is None else of_a_party(document, party),
    }
