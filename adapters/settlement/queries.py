"""Partners' statements, one by one and in lists, and as they would be."""

from __future__ import annotations

from functools import partial

from adapters.mongodb.paging import Page, keyset
from adapters.mongodb.trying import happens
from adapters.mongodb.view import Json, Reads, Row, View, unknown
from adapters.settlement.codecs import decode_agreement, decode_payout, decode_settlement
from domain.accounts.model import SETTLEMENT
from domain.settlement.agreeing import AGREEMENTS_MAX
from domain.settlement.statements import LINES_MAX, STATEMENTS_MAX, Closing, SettlementClosed
from schemas.query import cursor, milliseconds
from schemas.settlement.events import agreement_json, payout_json, settlement_json
from schemas.settlement.queries import (
    PREVIEWED,
    AgreementGet,
    AgreementList,
    SettlementGet,
    SettlementList,
    SettlementPreview,
    agreement_with_history,
    settlement_preview,
)


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


async def preview(query: SettlementPreview, view: View) -> Json:
    """`settlement.preview`: what `settlement.close` makes of books that are thrown away.

    Raises what the domain raises, and `Refused` (`invalid`) for more statements than one transaction makes.
    """
    closing = Closing(PREVIEWED, query.settlement_account, query.period_end)
    most = f"{STATEMENTS_MAX} statements of {LINES_MAX:,} lines"
    happened = await happens(
        closing, view, parts_max=1, too_many=f"periodEnd: more than {most} are due by then: say an earlier date"
    )
    return {
        "settlements": [settlement_preview(one.settlement) for one in happened if isinstance(one, SettlementClosed)]
    }


async def agreement(query: AgreementGet, view: View) -> Json:
    """`agreement.get`."""
    row = await view.one("agreements", {"_id": query.agreement_id})
    if row is None:
        raise unknown("agreement", query.agreement_id, "agreementId")
    return agreement_with_history(decode_agreement(row))


async def agreements(query: AgreementList, view: View) -> bytes:
    """`agreement.list`, by the first day, then by id."""
    await view.check_account(query.settlement_account, SETTLEMENT, "settlementAccount")
    which: Row = {"settlementAccount": query.settlement_account}
    page = Page(query.limit)
    after = None if query.after is None else (query.after[0].isoformat(), query.after[1])
    read = partial(view.find, "agreements", index="open")
    # A partner has few, so what is asked for is taken of all that come next.
    for row in await keyset(read, which, ("start", "_id"), after, AGREEMENTS_MAX):
        found = decode_agreement(row)
        if query.on is not None and not found.holds_on(query.on):
            continue
        if not page.take(agreement_json(found)):
            assert after is not None
            return page.answer(cursor(AgreementList.TYPE, *after))
        after = (row["start"], row["_id"])
    return page.answer(None)


READS: Reads = (
    (SettlementGet, settlement),
    (SettlementList, settlements),
    (SettlementPreview, preview),
    (AgreementGet, agreement),
    (AgreementList, agreements),
)
