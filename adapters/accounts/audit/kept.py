"""Accounts as they are kept (invariant 6): their JSON, and the large fields of their documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic_core import to_json
from pymongo.client_session import ClientSession
from pymongo.database import Database

from adapters.accounts.codecs import decode_account
from adapters.accounts.documents import account_as_json, whole_snapshot
from adapters.checks import REFERRING, Offender, Reading
from adapters.storable import restored
from adapters.values import VALUES, ValueLost, read_of, referred_to

Row = dict[str, Any]

PAGE = 20
"""How many accounts with large documents are in memory at once."""
_AMISS = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, ValueLost)
"""What reading a row raises with which something is wrong."""


def json_of_accounts(database: Database[Row], session: ClientSession) -> Iterator[Offender | None]:
    """Whether each account's JSON, which queries give, is what the rest of its row says."""
    for row in database["accounts"].find({}, session=session).sort("_id", 1):
        try:
            # The JSON does not tell the digits, and form 1 had none.
            same = account_as_json(decode_account({"currencyDigits": 0, **row})) == row["json"]
        except _AMISS:
            same = False
        yield None if same else {"id": row["_id"], "expected": "what the account's fields say", "found": "another"}


def large_documents(database: Database[Row], session: ClientSession) -> Iterator[Offender | None]:
    """Whether each account whose last version has large fields apart has the document that this version has."""
    by_account: list[Row] = [
        {"$match": REFERRING},
        {"$group": {"_id": "$account", "version": {"$max": "$version"}}},
        {"$sort": {"_id": 1}},
    ]
    versions = database["accountVersions"].aggregate(by_account, session=session, allowDiskUse=True)
    while page := {row["_id"]: row["version"] for row in islice(versions, PAGE)}:
        ids = [f"{account}/{version}" for account, version in page.items()]
        found = list(database["accountVersions"].find({"_id": {"$in": ids}}, session=session))
        values = {
            row["_id"]: row for row in database[VALUES].find({"_id": {"$in": referred_to(found)}}, session=session)
        }
        said = {row["account"]: row for row in found}
        for row in database["accounts"].find({"_id": {"$in": list(page)}}, session=session).sort("_id", 1):
            # Of one whose last version has nothing apart, and of any other field, the server sees what is wrong.
            if row["version"] == page[row["_id"]]:
                yield _difference(row, said.get(row["_id"], {}), values)


def _difference(row: Row, version: Row, values: dict[str, Row]) -> Offender | None:
    try:
        apart = read_of(values[id_] for id_ in referred_to([version]) if id_ in values)
        one, other = restored(row["document"]), restored(whole_snapshot(version, apart)["document"])
        same = to_json(one) == to_json(other)
    except _AMISS:
        one, other, same = {}, {}, False
    if same:
        return None
    differ = sorted({*one, *other} - {name for name in one if name in other and one[name] == other[name]})
    return {"id": row["_id"], "expected": "the document, as its last version left it", "found": {"differ": differ}}


CHECKS = (
    Reading("accounts-json-is-what-they-say", 6, ("accounts",), json_of_accounts),
    Reading("large-documents-match-last-versions", 6, ("accounts", "accountVersions", VALUES), large_documents),
)
