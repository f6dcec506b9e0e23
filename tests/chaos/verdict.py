"""What went in against what came out: whatever does not match is an offence, and there must be none."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from adapters.audit import audit
from tests.chaos import dunned
from tests.chaos.agreed import agreed_on
from tests.chaos.business import AGENTS, Business
from tests.chaos.outside import Outside
from tests.support.books import Books, Document
from tests.support.one_bill import billed

Offences = dict[str, list[str]]
OURS = (
    "day.begin:",
    "bill.continue:",
    "bill.account:",
    "bill-run.open:",
    "settlement.due:",
    "reserve.due:",
    "reserve.continue:",
    "netting.apply:",
    "settlement.correct:",
    "agreement.complete:",
    "bill-run.complete:",
    "dunning.look:",
    "dunning.complete:",
)
"""What workers say to themselves: nobody has sent it."""


def judge(business: Business, outside: Outside, database: Books) -> Offences:
    """Compare, once everything is healed and drained and no worker runs."""
    held = {row["_id"]: row for row in database["held"].find({}, {"state": 1, "reason": 1, "messageId": 1})}
    applied = {row["_id"] for row in database["inbox"].find({}, {"_id": 1}) if not row["_id"].startswith(OURS)}
    offences: Offences = {"lost": [], "duplicated": [], "unexpected": []}
    if outside.confirmed < outside.asked:
        offences["lost"].append(f"{outside.asked - outside.confirmed} messages could not be sent")
    offences["lost"] += [
        f"{identity}: {held[identity]['state'] + ', ' + held[identity]['reason'] if identity in held else 'nowhere'}"
        for identity in business.facts - applied
    ]
    offences["unexpected"] += [f"{identity}: applied, and never sent" for identity in applied - business.facts]
    _judge_held(business, held, offences)
    _judge_parked(business, outside, offences)
    _judge_effects(business, database, offences)
    _judge_events(outside, database, offences)
    return offences


def _judge_held(business: Business, held: dict[str, Document], offences: Offences) -> None:
    """Every message that is wrong has one row, parked for the reason that is due, and nothing else is held."""
    conflicts: Counter[str] = Counter()
    poison: Counter[str] = Counter()
    for identity, row in held.items():
        conflicting = identity.rpartition("#")[0]
        if row["state"] == "parked" and row["reason"] == "conflicting-duplicate" and conflicting in business.conflicts:
            conflicts[conflicting] += 1
        elif row["state"] == "parked" and business.poison.get(row["messageId"]) == row["reason"]:
            poison[row["messageId"]] += 1
        elif identity not in business.facts:  # one of those is told among what is lost
            offences["unexpected"].append(f"{identity}: {row['state']}, {row['reason']}")
    for found, due in ((conflicts, business.conflicts), (poison, business.poison.keys())):
        offences["lost"] += [f"{one}: not parked" for one in due - found.keys()]
        offences["duplicated"] += [f"{one}: parked {times} times" for one, times in found.items() if times > 1]


def _judge_parked(business: Business, outside: Outside, offences: Offences) -> None:
    """Each of them was told of, once."""
    for message_id, reason in business.poison.items():
        told = outside.parked.get(message_id, [])
        if not told:
            offences["lost"].append(f"{message_id}: nobody was told that it is parked")
        elif [why for _, why in told] != [reason]:
            offences["duplicated"].append(f"{message_id}: told as {told}")


def _judge_effects(business: Business, database: Books, offences: Offences) -> None:
    """Each order has its invoice and each payment its document, and each account owes what it was to owe."""
    kinds = Counter(identity.partition(":")[0] for identity in business.facts)
    kinds["credit-note.issue"] += business.approved
    for kind, collection, which in (
        ("charge.add", "charges", {"billed.cause": {"$type": "string"}}),
        ("bill.demand", "billsOnDemand", {}),
        ("subscription.create", "subscriptions", {}),
        ("usage.record", "usageRecords", {}),
        ("payment.received", "payments", {"source": None}),
        ("credit-note.issue", "creditNotes", {"cause": {"$not": {"$regex": "^bill[.]"}}}),
        ("refund.completed", "refunds", {}),
        ("payment.reversed", "reversals", {}),
        ("credit.grant", "goodwill", {}),
        ("credit.transfer", "transfers", {}),
        ("payout.completed", "payouts", {}),
        ("payout.returned", "payouts", {"returned.returnId": {"$gt": ""}}),
        ("settlement.adjust", "accruals", {"adjustmentId": {"$gt": ""}}),
        ("agreement.create", "agreements", {}),
        ("advance.paid", "advances", {}),
        ("self-billing.accept", "settlementDocuments", {"said.state": "accepted"}),
        ("self-billing.dispute", "settlementDocuments", {"said.state": "disputed"}),
        ("reserve.release", "reserves", {"releases.releaseId": {"$gt": ""}}),
        ("invoice.write-off", "writeOffs", {}),
        ("dispute.open", "disputes", {}),
    ):
        count = database[collection].count_documents(which)
        if count != kinds[kind]:
            found = f"{kind}: {count} {collection} of {kinds[kind]}"
            offences["lost" if count < kinds[kind] else "duplicated"].append(found)
    _judge_orders(business, database, offences)
    of_subscriptions = business.subscriptions_owed()
    for row in database["positions"].find({"_id": {"$regex": "^BA-"}}):
        owed = row["receivable"] - row["unapplied"] - row["refundable"] + row["recoverable"]
        should = business.owed[row["_id"]] + of_subscriptions[row["_id"]]
        if owed != should:
            offences["unexpected"].append(f"{row['_id']} owes {owed}, and should {should}")
    _judge_subscriptions(business, database, offences)
    offences["unexpected"] += dunned.judge(business.debtors, database)
    _judge_partners(business, database, offences)
    of_adjustments: list[Document] = [
        {"$match": {"adjustmentId": {"$gt": ""}}},
        {"$group": {"_id": "$settlementAccount", "amount": {"$sum": "$amount"}}},
    ]
    adjusted = {row["_id"]: row["amount"] for row in database["accruals"].aggregate(of_adjustments) if row["amount"]}
    if adjusted != (due := {who: cents for who, cents in business.adjusted.items() if cents}):
        offences["unexpected"].append(f"partners were adjusted by {adjusted}, and should be by {due}")


def _judge_orders(business: Business, database: Books, offences: Offences) -> None:
    """Each order has an invoice, and one of each seller."""
    found = Counter(
        (row["orderId"], row.get("seller"))
        for row in database["invoices"].find({"orderId": {"$type": "string"}}, {"orderId": 1, "seller": 1})
    )
    offences["duplicated"] += [f"{one}: {times} invoices" for one, times in found.items() if times > 1]
    should = {identity.partition(":")[2] for identity in business.facts if identity.startswith("order.completed:")}
    has = {order_id for order_id, _ in found}
    offences["lost"] += [f"order {one}: no invoice" for one in should - has]
    offences["unexpected"] += [f"order {one}: invoiced, and never sent" for one in has - should]


def _judge_partners(business: Business, database: Books, offences: Offences) -> None:
    """All that was agreed is there, and each line has the terms of its day, on an invoice of its seller."""
    agreed = {row["_id"]: len(row["agreed"]) for row in database["agreements"].find()}
    if agreed != (should := {one.id: len(one.shares) for one in business.bargains}):
        offences["unexpected"].append(f"so much is agreed: {agreed}, and should be: {should}")
    invoices = {row["_id"]: row for row in database["invoices"].find({"lines.onBehalfOf.id": {"$gt": ""}})}
    for bill_no, invoice in invoices.items():
        sold_for = (line["onBehalfOf"] and line["onBehalfOf"]["id"] for line in invoice["lines"])
        if {one if one in AGENTS else None for one in sold_for} != {invoice.get("seller")}:
            offences["unexpected"].append(f"{bill_no} is in the name of {invoice.get('seller')}, and has others' lines")
        for line in invoice["lines"]:
            if line["onBehalfOf"] is None:
                continue
            has, due = _terms(line), _terms_due(business, line, invoice, invoices)
            if has != due:
                offences["unexpected"].append(f"{bill_no}/{line['id']} has the terms {has}, and should have {due}")
    _judge_statements(business, database, offences)


def _judge_statements(business: Business, database: Books, offences: Offences) -> None:
    """What is not carried forward is paid, what is due of reserves released, and advanced what was sent."""
    calendar = database["calendar"].find_one() or {"newest": ""}
    for row in database["reserves"].find({"queue": "held", "releaseOn": {"$lte": calendar["newest"]}}):
        offences["lost"].append(f"{row['_id']}: its reserve is not released")
    for row in database["settlements"].find({"state": {"$in": ["open", "partiallyPaid"]}}):
        offences["lost"].append(f"{row['_id']}: {row['paid']} is paid of {row['total']}")
    # What the last closings have netted covers lines that accrue as they are paid.
    since: Counter[str] = Counter()
    for row in database["accruals"].find({"settlementId": None}):
        since[row["settlementAccount"]] += row["amount"]
        if not row["cause"].startswith("netting.apply:"):
            offences["lost"].append(f"{row['_id']}: no statement has it")
    for row in database["positions"].find({"_id": {"$regex": "^SA-"}}):
        told = since[row["_id"]] + (row["carriedForward"] or {}).get("amount", 0)
        if row["payable"] != told:
            offences["unexpected"].append(f"{row['_id']} is owed {row['payable']}, and was told {told}")
    for one in business.bargains:
        found = database["agreements"].find_one({"_id": one.id}) or {}
        if found.get("advanced", 0) != one.advanced:
            offences["unexpected"].append(
                f"{one.id}: {found.get('advanced')} is advanced, and should be {one.advanced}"
            )


Terms = tuple[str | None, str | None, str, str | None]
"""By which agreement a line's share is, which share that is, when it accrues, and our commission as an agent."""


def _terms(line: Document) -> Terms:
    part = line["onBehalfOf"]
    commission = part.get("agent", {}).get("commission")
    return part.get("agreement", {}).get("id"), part["partnerShare"], part["accrueOn"], commission


def _terms_due(business: Business, line: Document, invoice: Document, invoices: dict[str, Document]) -> Terms:
    """Those that were sent for its day; of a line that takes back another, that one's."""
    corrects = line.get("origin", {}).get("corrects")
    if corrects is not None:
        [taken_back] = [one for one in invoices[corrects["billNo"]]["lines"] if one["id"] == corrects["lineId"]]
        return _terms(taken_back)
    partner, day = line["onBehalfOf"]["id"], date.fromisoformat(invoice["taxPointDate"])
    bargain = agreed_on(business.bargains, partner, day)
    by, (share, accrue_on) = None, business.account_terms[partner]
    if bargain is not None:
        by, (share, accrue_on) = bargain.id, bargain.share_on(day)
        if bargain.tiered:
            # At payment a line has the first step's share.
            return by, share if accrue_on == "payment" else None, accrue_on, None
    return (by, None, accrue_on, share) if partner in AGENTS else (by, share, accrue_on, None)


def _judge_subscriptions(business: Business, database: Books, offences: Offences) -> None:
    """Each week of each subscription is billed once, to what it comes to in the end; all that was used is counted."""
    found, should = billed(database), business.billed()
    for id_ in found.keys() | should.keys():
        net, due = found.get(id_, 0), should.get(id_, 0)
        if net != due:
            offences["lost" if net < due else "duplicated"].append(f"{id_}: {net} is billed, and should be {due}")
    used: Counter[str] = Counter()
    for row in database["usageMonths"].find():
        used[row["_id"].partition("/")[0]] += sum(int(one["quantity"]) for one in row["days"])
    all_used = Counter({id_: sum(agreed.used.values()) for id_, agreed in business.agreed.items()})
    if used != all_used:
        offences["unexpected"].append(f"so much was used: {used}, and should have been: {all_used}")


def _judge_events(outside: Outside, database: Books, offences: Offences) -> None:
    """What was told is what was committed; each account's events run without a gap; one effect is told as one event."""
    causes: Counter[tuple[str, str, str]] = Counter()
    committed = set()
    for row in database["outbox"].find({}, {"routingKey": 1, "body": 1, "causationId": 1, "account": 1}):
        committed.add(row["_id"])
        told = outside.events.get(row["_id"])
        if told is None:
            offences["lost"].append(f"event {row['_id']}: never told")
        elif told != {(row["routingKey"], sha256(row["body"]).hexdigest())}:
            offences["unexpected"].append(f"event {row['_id']}: told otherwise than committed")
        if row["routingKey"] in ("account.created", "account.changed", "invoice.issued"):
            # Of a fact each seller has an invoice.
            seller = json.loads(row["body"])["event"]["invoice"].get("seller") if "invoice" in row["routingKey"] else ""
            causes[row["routingKey"], row["causationId"], f"{row.get('account')} {seller}"] += 1
    offences["unexpected"] += [f"event {key}: told, and never committed" for key in outside.events.keys() - committed]
    offences["duplicated"] += [f"{cause}: told as {times} events" for cause, times in causes.items() if times > 1]
    for account, numbers in outside.sequences.items():
        if numbers != set(range(1, len(numbers) + 1)):
            offences["lost"].append(f"{account}: a gap in its events")


def proof(database: Books, ahead: timedelta) -> list[Document]:
    """The checks of the audit, when no event may be unsent any more and clocks were so far ahead."""
    now = datetime.now(UTC) + ahead + timedelta(minutes=1)
    checks: list[Document] = audit(database, now=now, relay_interval_seconds=0, relay_grace_seconds=0)["checks"]
    return checks
