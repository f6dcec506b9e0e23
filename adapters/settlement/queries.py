"""Partners' statements, one by one and in lists, and as they would be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from operator import itemgetter

from adapters.invoicing.codecs import decode_partner_share
from adapters.mongodb.paging import Page, keyset
from adapters.mongodb.trying import happens
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View, unknown
from adapters.settlement.codecs import (
    decode_agreement,
    decode_payout,
    decode_reserve,
    decode_settlement,
    decode_settlement_document,
    decode_share_correction,
    decode_statement_report,
)
from domain.accounts.model import SETTLEMENT
from domain.invoicing.model import PartnerShare
from domain.settlement.agreeing import AGREEMENTS_MAX
from domain.settlement.backdating import id_of as backdating_id
from domain.settlement.closing import LINES_MAX, STATEMENTS_MAX, Closing, SettlementClosed
from domain.settlement.documents import SelfBillingIssued, SettlementInvoiced
from domain.settlement.statements import Settlement
from schemas.query import cursor, milliseconds
from schemas.settlement.events import (
    agreement_json,
    document_json,
    explained_json,
    payout_json,
    report_json,
    reserve_json,
    settlement_json,
)
from schemas.settlement.queries import (
    PREVIEWED,
    AgreementGet,
    AgreementList,
    ReserveList,
    SelfBillingGet,
    SelfBillingList,
    SettlementDocumentGet,
    SettlementDocumentList,
    SettlementGet,
    SettlementList,
    SettlementPreview,
    agreement_with_history,
    settlement_preview,
)

EXPLAINED_AT_ONCE = 1_000
"""How many accruals, or invoices, are read at once to explain a statement's lines."""
_EXPLAINING = {name: f"$$this.{name}" for name in ("id", "taxExcludedAmount", "onBehalfOf")}


async def settlement(query: SettlementGet, view: View) -> Json:
    """`settlement.get`: as it is now, with its documents, what was paid out, what came back, and its latest report."""
    row = await view.one("settlements", {"_id": query.id})
    if row is None or not await view.shows(row["settlementAccount"]):
        raise unknown("settlement", query.id)
    payouts = await view.find(
        "payouts", {"settlementId": query.id}, sort=[("bookedAt", 1), ("_id", 1)], index="settlement"
    )
    found = decode_settlement(row)
    shown = await _explained(found, view)
    documents = await view.find(
        "settlementDocuments",
        {"settlementId": query.id},
        fields={"typeCode": 1},
        sort=[("_id", 1)],
        index="statement",
    )
    if documents:
        shown["documents"] = [
            {"@type": "CustomerBillRef", "id": one["_id"], "typeCode": one["typeCode"]} for one in documents
        ]
    if payouts:
        shown["payouts"] = [payout_json(decode_payout(payout)) for payout in payouts]
    if found.report is not None:
        report = await view.one("statementReports", {"_id": found.report})
        assert report is not None, "it was there at the same point in time"
        shown["report"] = report_json(decode_statement_report(report))
    return shown


async def _explained(settlement: Settlement, view: View) -> Json:
    """A statement, each line of which that accrued of an invoice says how, by the terms by which it did."""
    shown = settlement_json(settlement)
    first = len(shown["lines"]) - len(settlement.lines)
    accrued = [one for one in settlement.lines if one.bill_no is not None and one.adjustment_id is None]
    causes: dict[str, tuple[str, datetime]] = {}
    parts: dict[tuple[str, str], tuple[PartnerShare, int]] = {}
    for some in _at_once([one.accrual_id for one in accrued]):
        rows = await view.find("accruals", {"_id": {"$in": some}}, fields={"cause": 1, "bookedAt": 1}, index=BY_ID)
        causes |= {row["_id"]: (row["cause"], row["bookedAt"]) for row in rows}
    bill_nos = sorted({one.bill_no for one in accrued if one.bill_no is not None})
    of_partner = {"$eq": ["$$this.onBehalfOf.id", settlement.settlement_account]}
    lines = {"$map": {"input": {"$filter": {"input": "$lines", "cond": of_partner}}, "in": _EXPLAINING}}
    for some in _at_once(bill_nos):
        pipeline: list[Row] = [{"$match": {"_id": {"$in": some}}}, {"$project": {"lines": lines}}]
        for row in await view.aggregate("invoices", pipeline, index=BY_ID):
            for line in row["lines"]:
                parts[row["_id"], line["id"]] = decode_partner_share(line["onBehalfOf"]), line["taxExcludedAmount"]
    agreed_otherwise = sorted({bill_no for (bill_no, _), (part, _) in parts.items() if part.issued is not None})
    earlier = await _corrections(settlement.settlement_account, agreed_otherwise, view)
    for line, told in zip(settlement.lines, shown["lines"][first:], strict=True):
        if line.accrual_id in causes:
            assert line.bill_no is not None
            assert line.line_id is not None
            (part, net), (cause, booked_at) = parts[line.bill_no, line.line_id], causes[line.accrual_id]
            then = (before for at, before in earlier[line.bill_no, line.line_id] if at > booked_at)
            told["explained"] = explained_json(next(then, part), net, cause, settlement.currency)
    return shown


async def _corrections(
    partner: str, bill_nos: list[str], view: View
) -> Mapping[tuple[str, str], list[tuple[datetime, PartnerShare]]]:
    """Of each line of these invoices the partner's part as it was before each time that other terms were agreed of it.

    In the order in which that was booked. What an earlier version corrected has none.
    """
    found: dict[tuple[str, str], list[tuple[datetime, PartnerShare]]] = defaultdict(list)
    if not bill_nos:
        return found
    agreements = await view.find(
        "agreements", {"settlementAccount": partner}, fields={"agreed.revision": 1}, index="open"
    )
    revisions = [backdating_id(one["_id"], agreed["revision"]) for one in agreements for agreed in one["agreed"]]
    # Few of them are about days that were past, and have been gone through.
    ran = [
        row["_id"]
        for some in _at_once(revisions)
        for row in await view.find("backdatings", {"_id": {"$in": some}}, fields={"_id": 1}, index=BY_ID)
    ]
    ids = [f"{backdating}/{bill_no}" for bill_no in bill_nos for backdating in ran]
    for some in _at_once(ids):
        rows = await view.find("shareCorrections", {"_id": {"$in": some}}, index=BY_ID)
        for correction in map(decode_share_correction, rows):
            for line in correction.lines:
                if line.before is not None:
                    found[correction.bill_no, line.line_id].append((correction.booked_at, line.before))
    for of_line in found.values():
        of_line.sort(key=itemgetter(0))
    return found


def _at_once(ids: list[str]) -> Iterator[list[str]]:
    return (ids[n : n + EXPLAINED_AT_ONCE] for n in range(0, len(ids), EXPLAINED_AT_ONCE))


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
    if not await view.shows(query.settlement_account):
        raise unknown("account", query.settlement_account, "settlementAccount.id")
    closing = Closing(PREVIEWED, query.settlement_account, query.period_end)
    most = f"{STATEMENTS_MAX} statements of {LINES_MAX:,} lines"
    happened = await happens(
        closing, view, parts_max=1, too_many=f"periodEnd: more than {most} are due by then: say an earlier date"
    )
    documents = [one.document for one in happened if isinstance(one, SelfBillingIssued | SettlementInvoiced)]
    made = [one.settlement for one in happened if isinstance(one, SettlementClosed)]
    return {"settlements": [settlement_preview(one, documents) for one in made]}


async def agreement(query: AgreementGet, view: View) -> Json:
    """`agreement.get`."""
    row = await view.one("agreements", {"_id": query.agreement_id})
    if row is None or not await view.shows(row["settlementAccount"]):
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


async def reserves(query: ReserveList, view: View) -> bytes:
    """`reserve.list`, by the day of the release, then by the statement's id."""
    await view.check_account(query.settlement_account, SETTLEMENT, "settlementAccount")
    which: Row = {"settlementAccount": query.settlement_account}
    if query.state is not None:
        # A partner has one for each closing: the index finds them, and of each it is looked whether anything is left.
        left = {"$subtract": ["$amount", {"$sum": "$releases.amount"}]}
        which["$expr"] = {"$eq" if query.state == "released" else "$ne": [left, 0]}
    page = Page(query.limit)
    after = None if query.after is None else (query.after[0].isoformat(), query.after[1])
    read = partial(view.find, "reserves", index="listed")
    for row in await keyset(read, which, ("releaseOn", "_id"), after, query.limit + 1):
        if not page.take(reserve_json(decode_reserve(row))):
            assert after is not None
            return page.answer(cursor(ReserveList.TYPE, *after))
        after = (row["releaseOn"], row["_id"])
    return page.answer(None)


async def self_billed(query: SelfBillingGet, view: View) -> Json:
    """`self-billing.get`."""
    return await _document(query.number, view, self_billed=True)


async def own_document(query: SettlementDocumentGet, view: View) -> Json:
    """`settlement-document.get`."""
    return await _document(query.number, view, self_billed=False)


async def _document(number: str, view: View, *, self_billed: bool) -> Json:
    row = await view.one("settlementDocuments", {"_id": number})
    if row is None or row["isSelfBilled"] != self_billed or not await view.shows(row["settlementAccount"]):
        raise unknown("document", number, "number")
    return document_json(decode_settlement_document(row))


async def self_billed_documents(query: SelfBillingList, view: View) -> bytes:
    """`self-billing.list`, oldest first."""
    return await _documents(query, view, self_billed=True)


async def own_documents(query: SettlementDocumentList, view: View) -> bytes:
    """`settlement-document.list`, oldest first."""
    return await _documents(query, view, self_billed=False)


async def _documents(query: SelfBillingList | SettlementDocumentList, view: View, *, self_billed: bool) -> bytes:
    await view.check_account(query.settlement_account, SETTLEMENT, "settlementAccount")
    page = Page(query.limit)
    after = query.after
    which: Row = {"settlementAccount": query.settlement_account, "isSelfBilled": self_billed}
    read = partial(view.find, "settlementDocuments", index="listed")
    for row in await keyset(read, which, ("bookedAt", "_id"), after, query.limit + 1):
        if not page.take(document_json(decode_settlement_document(row))):
            assert after is not None
            return page.answer(cursor(query.TYPE, milliseconds(after[0]), after[1]))
        after = (row["bookedAt"], row["_id"])
    return page.answer(None)


READS: Reads = (
    (SettlementGet, settlement),
    (SettlementList, settlements),
    (SettlementPreview, preview),
    (AgreementGet, agreement),
    (AgreementList, agreements),
    (ReserveList, reserves),
    (SelfBillingGet, self_billed),
    (SelfBillingList, self_billed_documents),
    (SettlementDocumentGet, own_document),
    (SettlementDocumentList, own_documents),
)
