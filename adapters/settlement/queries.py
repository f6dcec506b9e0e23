"""Partners' statements, one by one and in lists."""

from __future__ import annotations

from functools import partial

from adapters.mongodb.paging import Page, keyset
from adapters.mongodb.view import Json, Reads, View, unknown
from adapters.settlement.codecs import decode_payout, decode_settlement
from domain.accounts.model import SETTLEMENT
from schemas.query import cursor, milliseconds
from schemas.settlement.events import payout_json, settlement_json
from schemas.settlement.queries import SettlementGet, SettlementList


async def settlement(query: SettlementGet, view: View) -> Json:
    """`settlement.get`: it stands as it is now, with what was paid out of it, and what came back."""
    row = await view.one("settlements", {"_id": query.id})
    if row is None:
        raise unknown("settlement", query.id)
    payouts = await view.find(
        "payouts", {"settlementId": query.id}, sort=[("bookedAt", 1), ("_id", 1)], index="settlement"
    )
    shown = settlement_json(decode_settlement(row))
    return {**shown, "payouts": [payout_json(decode_payout(payout)) for payout in payouts]} if payouts else shown


async def settlements(query: SettlementList, view: View) -> bytes:
    """`settlement.list`, oldest first."""
    await view.check_account(query.settlement_account, SETTLEMENT, "settlementAccount")
    page = Page(query.limit)
    after = query.after
    # Statements may have thousands of lines, so only their places are read at once.
    read = partial(view.find, "settlements", index="listed", fields={"bookedAt": 1})
    which = {"settlementAccount": query.settlement_account}
    places = await keyset(read, which, ("bookedAt", "_id"), after, query.limit + 1)
    for place in places:
        row = await view.one("settlements", {"_id": place["_id"]})
        assert row is not None, "it was there at the same point in time"
        if not page.take(settlement_json(decode_settlement(row))):
            assert after is not None
            return page.answer(cursor(SettlementList.TYPE, milliseconds(after[0]), after[1]))
        after = (place["bookedAt"], place["_id"])
    return page.answer(None)


READS: Reads = ((SettlementGet, settlement), (SettlementList, settlements))
