"""What the money of accounts comes to, now and at any past moment, overdue amounts and sums included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from adapters.mongodb.view import BY_ID, Row, View
from domain.accounts.model import BILLING, FINANCIAL, PARTY, SETTLEMENT, Account, PaymentStatus, Standing
from domain.invoicing.disputed import DisputableLine, count_disputed
from domain.ledger.chart import SIGN, balances_of
from domain.money import Currency, rounded_ratio, within_limit

BALANCES = {type_: balances_of(type_) for type_ in (BILLING, SETTLEMENT)}
"""The balances that the journal moves, by the type of the accounts that have them."""

Sums = dict[str, int]
_NAMES = (*SIGN, "overdue")
_OWN = dict.fromkeys((*SIGN, "oldestDue"), 1)

_FEW_INVOICES = 500
"""Up to so many open invoices are added up here, which is faster than to have the server group them."""


async def standings(view: View, rows: Sequence[Row]) -> list[Standing]:
    """What the money of accounts comes to now, of their rows (`_id`, `type` and currency), in the same order.

    A financial account's balances are the sums of those of the accounts that name it.
    """
    sums: dict[str, Sums] = {}
    late: dict[str, list[str]] = {}
    ids = [row["_id"] for row in rows if row["type"] in BALANCES]
    # A read of its own: with $lookup it takes the server three times as long.
    positions = await view.find("positions", {"_id": {"$in": ids}}, fields=_OWN, index=BY_ID) if ids else []
    today = view.today
    for position in positions:
        id_ = position["_id"]
        sums[id_] = {name: position.get(name, 0) for name in SIGN}
        due = position.get("oldestDue")
        if due is not None and due < today:
            late[id_] = [id_]
    summed = [row["_id"] for row in rows if row["type"] == FINANCIAL]
    for members in await _sums_of_members(view, summed) if summed else []:
        sums[members["_id"]] = {name: members[name] for name in SIGN}
        late[members["_id"]] = members["late"]
    owing = {id_ for ids in late.values() for id_ in ids}
    overdue = await _overdue(view, owing, today) if owing else {}
    for id_, ids in late.items():
        sums[id_]["overdue"] = sum(overdue.get(one, 0) for one in ids)
    return [standing_of(row["_id"], row["type"], sums.get(row["_id"], {}), _kept_in(row)) for row in rows]


def _kept_in(row: Row) -> Currency:
    return Currency(row["currency"], row["currencyDigits"])


def standing_of(id_: str, type_: str, sums: Sums, currency: Currency) -> Standing:
    """A standing of balances by name, those that are not there zero; raises `Refused` (`invalid`) for what is too much.

    Its payment status: `paid` when nothing is owed, `inArrears` when something of it is overdue.
    """
    overdue = sums.get("overdue", 0)
    status: PaymentStatus | None = None
    if type_ == BILLING:
        status = "inArrears" if overdue else "due" if sums.get("receivable") else "paid"
    elif type_ == FINANCIAL:
        for name in _NAMES:
            within_limit(sums.get(name, 0), currency, "the balance {} of account {}", name, id_)
    return Standing({name: sums.get(name, 0) for name in SIGN}, overdue, status)


async def _sums_of_members(view: View, ids: list[str]) -> list[Row]:
    """For each financial account the sums of the positions of those that name it, and who of them is late."""
    pipeline: list[Row] = [
        {"$match": {"financialAccount": {"$in": ids}, "state": {"$ne": "deleted"}, **view.whose}},
        {"$project": {"financialAccount": 1}},
        {"$lookup": {"from": "positions", "localField": "_id", "foreignField": "_id", "as": "position"}},
        {"$unwind": "$position"},
        {
            "$group": {
                "_id": "$financialAccount",
                **{name: {"$sum": f"$position.{name}"} for name in SIGN},
                "late": {
                    "$push": {
                        "$cond": [
                            {
                                "$and": [
                                    {"$gt": ["$position.oldestDue", ""]},
                                    {"$lt": ["$position.oldestDue", view.today]},
                                ]
                            },
                            "$_id",
                            "$$REMOVE",
                        ]
                    }
                },
            }
        },
    ]
    return await view.aggregate("accounts", pipeline, index="financialAccount")


_DISPUTED: Row = {"$sum": {"$ifNull": ["$handling.disputes.amount", []]}}


async def _overdue(view: View, ids: Iterable[str], day: str) -> Sums:
    """What remains of each account's open invoices that were due before a day, and no dispute is about."""
    which: Row = {
        "billingAccount": {"$in": sorted(ids)},
        "paymentDueDate": {"$lt": day},
        "remainingAmount": {"$gt": 0},
    }
    fields = {"_id": 0, "billingAccount": 1, "remainingAmount": 1, "handling.disputes.amount": 1}
    few = await view.find("invoices", which, fields=fields, limit=_FEW_INVOICES + 1, index="open")
    if len(few) > _FEW_INVOICES:
        undisputed = {"$max": [0, {"$subtract": ["$remainingAmount", _DISPUTED]}]}
        group = {"$group": {"_id": "$billingAccount", "sum": {"$sum": undisputed}}}
        rows = await view.aggregate("invoices", [{"$match": which}, group], index="open")
        return {row["_id"]: row["sum"] for row in rows}
    sums: Sums = defaultdict(int)
    for row in few:
        disputed = sum(one["amount"] for one in row.get("handling", {}).get("disputes", ()))
        sums[row["billingAccount"]] += max(0, row["remainingAmount"] - disputed)
    return sums


# -- at a past moment


async def standing_at(view: View, account: Account, at: datetime) -> Standing:
    """What an account's money came to at a time; `account` is as it was then."""
    if account.type == PARTY:
        return standing_of(account.id, account.type, {}, account.kept_in)
    ids = await _members_at(view, account.id, at) if account.type == FINANCIAL else {account.id: account.type}
    balances = await balances_at(view, ids, at)
    sums: Sums = defaultdict(int)
    for own in balances.values():
        for name, amount in own.items():
            sums[name] += amount
    owing = [id_ for id_, own in balances.items() if own.get("receivable")]
    if owing:
        sums["overdue"] = await _overdue_at(view, owing, at)
    return standing_of(account.id, account.type, sums, account.kept_in)


async def balances_at(view: View, types: dict[str, str], at: datetime) -> dict[str, Sums]:
    """The balances of accounts (their types by id) with all that was booked up to a time, by the account's id.

    From what they are now what was booked since is taken back: who asks for the past mostly asks for the recent past.
    """
    rows = await view.find("positions", {"_id": {"$in": sorted(types)}}, fields=dict.fromkeys(SIGN, 1))
    found = {row["_id"]: {name: row.get(name, 0) for name in BALANCES.get(types[row["_id"]], ())} for row in rows}
    names = ledger_accounts(types)
    pipeline: list[Row] = [
        {"$match": {"postings.account": {"$in": names}, "bookedAt": {"$gt": at}}},
        {"$project": {"postings": 1}},
        {"$unwind": "$postings"},
        {"$match": {"postings.account": {"$in": names}}},
        {"$group": {"_id": "$postings.account", "sum": {"$sum": "$postings.amount"}}},
    ]
    for row in await view.aggregate("entries", pipeline, index="movements") if names else []:
        balance, _, id_ = row["_id"].partition(":")
        found[id_][balance] -= SIGN[balance] * row["sum"]
    return found


def ledger_accounts(types: dict[str, str]) -> list[str]:
    """The ledger accounts that accounts (their types by id) have of their own."""
    return [f"{balance}:{id_}" for id_, type_ in types.items() for balance in BALANCES.get(type_, ())]


async def _overdue_at(view: View, ids: Collection[str], at: datetime) -> int:
    """What was overdue at a time: what remains now of the invoices of then, what was taken off since, less disputes."""
    day = view.date_of(at).isoformat()
    which: Row = {
        "billingAccount": {"$in": sorted(ids)},
        "paymentDueDate": {"$lt": day},
        "remainingAmount": {"$gt": 0},
        "bookedAt": {"$lte": at},
    }
    total = [{"$match": which}, {"$group": {"_id": None, "sum": {"$sum": "$remainingAmount"}}}]
    left = sum(int(row["sum"]) for row in await view.aggregate("invoices", total, index="open"))
    of_accounts: Row = {"billingAccount": {"$in": sorted(ids)}}
    for collection in _TAKEN_OFF:
        left += sum((await _taken_off_since(view, collection, of_accounts, at, day)).values())
    return left - await _disputed_at(view, of_accounts, at, day)


_TAKEN_OFF = {
    "allocations": ("billNo", "$amount"),
    "creditNotes": ("correctedBillNo", "$taxIncludedAmount"),
    "losses": ("billNo", "$writtenOff"),
}
"""What takes something off what remains of an invoice: the collections, where they name it, and how much they take."""


async def _taken_off_since(
    view: View, collection: str, which: Row, at: datetime, day: str, bill_nos: Sequence[str] | None = None
) -> Sums:
    """What was taken off invoices after a time, of those that were there then and due before a day.

    The sum of all of them, or of these by their numbers.
    """
    field, amount = _TAKEN_OFF[collection]
    if bill_nos is not None:
        which = {**which, field: {"$in": list(bill_nos)}}
    pipeline: list[Row] = [
        {"$match": {**which, "bookedAt": {"$gt": at}}},
        {"$group": {"_id": f"${field}", "sum": {"$sum": amount}}},
        {"$lookup": {"from": "invoices", "localField": "_id", "foreignField": "_id", "as": "invoice"}},
        {"$match": {"invoice.paymentDueDate": {"$lt": day}, "invoice.bookedAt": {"$lte": at}}},
        {"$group": {"_id": None if bill_nos is None else "$_id", "sum": {"$sum": "$sum"}}},
    ]
    return {row["_id"]: int(row["sum"]) for row in await view.aggregate(collection, pipeline, index="booked")}


async def _disputed_at(view: View, of_accounts: Row, at: datetime, day: str) -> int:
    """How much of what was due before a day, and remained at a time, was disputed then."""
    open_then: dict[str, list[Row]] = defaultdict(list)
    fields = {"billNo": 1, "amount": 1, "bookedAt": 1, "lines": 1}
    for ended in (None, {"$gt": at}):
        which: Row = {**of_accounts, "endedBookedAt": ended, "bookedAt": {"$lte": at}}
        for dispute in await view.find("disputes", which, fields=fields, index="ended"):
            open_then[dispute["billNo"]].append(dispute)
    if not open_then:
        return 0
    bill_nos = sorted(open_then)
    which = {"_id": {"$in": bill_nos}, "paymentDueDate": {"$lt": day}}
    fields = dict.fromkeys(("remainingAmount", "taxIncludedAmount", "lines", "corrections"), 1)
    invoices = {row["_id"]: row for row in await view.find("invoices", which, fields=fields, index=BY_ID)}
    remained: Sums = {bill_no: row["remainingAmount"] for bill_no, row in invoices.items()}
    for collection in _TAKEN_OFF:
        for bill_no, sum_ in (await _taken_off_since(view, collection, of_accounts, at, day, bill_nos)).items():
            remained[bill_no] += sum_
    since: dict[str, list[Row]] = defaultdict(list)
    which = {**of_accounts, "bookedAt": {"$gt": at}, "correctedBillNo": {"$in": bill_nos}}
    fields = {"correctedBillNo": 1, "taxIncludedAmount": 1, "taxItem": 1, "lines": 1}
    for note in await view.find("creditNotes", which, fields=fields, index="booked"):
        since[note["correctedBillNo"]].append(note)
    bills: list[Row] = []
    given_back: dict[str, list[Row]] = defaultdict(list)
    if any("takenBack" in line for row in invoices.values() for line in row.get("corrections", {}).get("lines", ())):
        which = {**of_accounts, "lines.origin.corrects.billNo": {"$in": bill_nos}}
        bills = await view.find(
            "invoices", which, fields=dict.fromkeys(("lines", "bookedAt", "corrections"), 1), index="listed"
        )
        which = {**of_accounts, "bookedAt": {"$gt": at}, "correctedBillNo": {"$in": [bill["_id"] for bill in bills]}}
        for note in await view.find("creditNotes", which, fields=fields, index="booked") if bills else ():
            given_back[note["correctedBillNo"]].append(note)
    taken_back = [one for bill in bills for one in _taken_back_since(bill, given_back[bill["_id"]], at)]
    return sum(
        min(_disputed_of(invoice, open_then[bill_no], since[bill_no], taken_back), remained[bill_no])
        for bill_no, invoice in invoices.items()
    )


def _taken_back_since(bill: Row, notes_since: list[Row], at: datetime) -> Iterator[tuple[Row, int, int]]:
    """What a bill's lines took back after a time, less what these notes, which came after it, credited of that.

    Each line, with its net and its tax.
    """
    for line in bill["lines"]:
        if line.get("origin", {}).get("corrects") is None:
            continue
        net, tax = line["taxExcludedAmount"], line["taxAmount"]
        if bill["bookedAt"] > at:
            yield line, -net, -tax
        lines = bill.get("corrections", {}).get("lines", ())
        credited = sum(one["credited"] for one in lines if one["lineId"] == line["id"])
        of_line = [
            one["taxExcludedAmount"] for note in notes_since for one in note["lines"] if one["lineId"] == line["id"]
        ]
        if of_line:
            given_back = [rounded_ratio(tax * abs(part), abs(net)) for part in (credited, credited - sum(of_line))]
            yield line, sum(of_line), given_back[0] - given_back[1]


def _disputed_of(
    invoice: Row, disputes: list[Row], notes_since: list[Row], taken_back_since: list[tuple[Row, int, int]]
) -> int:
    """What was disputed of an invoice by the disputes that were open at a time, after which these notes came.

    And after which lines of bills took so much back of it, net and tax; below zero, where that was credited since.
    """
    if any(line.get("counted") is None for dispute in disputes for line in dispute["lines"]):
        # An earlier version worked out what each comes to, and nothing has changed it since.
        return sum(dispute["amount"] for dispute in disputes)
    corrections = invoice.get("corrections") or {"credited": 0, "lines": [], "tax": []}
    gone: Sums = defaultdict(int)
    tax: dict[tuple[str, str], int] = defaultdict(int)
    for line in corrections["lines"]:
        gone[line["lineId"]] += line["credited"] + line.get("takenBack", 0)
    for group in corrections["tax"]:
        tax[group["category"], group["rate"]] += group["credited"] + group.get("takenBack", 0)
    taken_back = sum(part.get("takenBack", 0) for part in (*corrections["lines"], *corrections["tax"]))
    billed = invoice["taxIncludedAmount"] - corrections["credited"]
    for note in notes_since:
        billed += note["taxIncludedAmount"]
        for group in note["taxItem"]:
            tax[group["category"], group["rate"]] -= group["taxAmount"]
        for line in note["lines"]:
            gone[line["lineId"]] -= line["taxExcludedAmount"]
    for line, net, tax_amount in taken_back_since:
        corrects = line["origin"]["corrects"]
        if corrects["billNo"] == invoice["_id"]:
            taken_back -= net + tax_amount
            gone[corrects["lineId"]] -= net
            tax[line["category"], line["rate"]] -= tax_amount
    lines = {
        line["id"]: DisputableLine(line["category"], Decimal(line["rate"]), line["taxExcludedAmount"], gone[line["id"]])
        for line in invoice["lines"]
    }
    of_groups = {(category, Decimal(rate)): amount for (category, rate), amount in tax.items()}
    asked = (
        {line["lineId"]: line["taxExcludedAmount"] for line in dispute["lines"]}
        for dispute in sorted(disputes, key=lambda one: (one["bookedAt"], one["_id"]))
    )
    return sum(one.amount for one in count_disputed(lines, of_groups, billed - max(0, taken_back), asked))


async def _members_at(view: View, financial_account: str, at: datetime) -> dict[str, str]:
    """The types of the accounts that named a financial account at a time, by id.

    In a party's view those that were related to it then, and are now.
    """
    ever: list[Row] = [
        {"$match": {"snapshot.financialAccount": financial_account, "bookedAt": {"$lte": at}}},
        {"$group": {"_id": "$account"}},
    ]
    ids = [row["_id"] for row in await view.aggregate("accountVersions", ever, index="financialAccount")]
    last: list[Row] = [
        {"$match": {"account": {"$in": ids}, "bookedAt": {"$lte": at}}},
        {"$sort": {"account": 1, "version": 1}},
        {
            "$group": {
                "_id": "$account",
                "type": {"$last": "$snapshot.type"},
                "state": {"$last": "$newState"},
                "financialAccount": {"$last": "$snapshot.financialAccount"},
                "parties": {"$last": "$snapshot.parties"},
            }
        },
    ]
    rows = await view.aggregate("accountVersions", last, index="history") if ids else []
    members = {
        row["_id"]: row["type"]
        for row in rows
        if row["financialAccount"] == financial_account and row["state"] != "deleted" and view.has(row)
    }
    shown = await view.shown(members)
    return {id_: type_ for id_, type_ in members.items() if id_ in shown}
