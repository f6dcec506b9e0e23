"""What the money of accounts comes to, now and at any past moment, overdue amounts and sums included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from adapters.mongodb.view import BY_ID, Row, View
from domain.accounts.model import BILLING, FINANCIAL, PARTY, SETTLEMENT, Account, PaymentStatus, Standing
from domain.ledger.chart import SIGN, balances_of
from domain.money import within_limit

BALANCES = {type_: balances_of(type_) for type_ in (BILLING, SETTLEMENT)}
"""The balances that the journal moves, by the type of the accounts that have them."""

Sums = dict[str, int]
_NAMES = (*SIGN, "overdue")
_OWN = dict.fromkeys((*SIGN, "oldestDue"), 1)

_FEW_INVOICES = 500
"""Up to so many open invoices are added up here, which is faster than to have the server group them."""


async def standings(view: View, rows: Sequence[Row]) -> list[Standing]:
    """What the money of accounts comes to now, of their rows (`_id` and `type`), in the same order.

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
        sums[id_] = {name: position[name] for name in SIGN}
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
    return [standing_of(row["_id"], row["type"], sums.get(row["_id"], {})) for row in rows]


def standing_of(id_: str, type_: str, sums: Sums) -> Standing:
    """A standing of balances by name, those that are not there zero; raises `Refused` (`invalid`) for what is too much.

    Its payment status: `paid` when nothing is owed, `inArrears` when something of it is overdue.
    """
    overdue = sums.get("overdue", 0)
    status: PaymentStatus | None = None
    if type_ == BILLING:
        status = "inArrears" if overdue else "due" if sums.get("receivable") else "paid"
    elif type_ == FINANCIAL:
        for name in _NAMES:
            within_limit(sums.get(name, 0), f"the balance {name}:{id_}")
    return Standing({name: sums.get(name, 0) for name in SIGN}, overdue, status)


async def _sums_of_members(view: View, ids: list[str]) -> list[Row]:
    """For each financial account the sums of the positions of those that name it, and who of them is late."""
    pipeline: list[Row] = [
        {"$match": {"financialAccount": {"$in": ids}, "state": {"$ne": "deleted"}}},
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


async def _overdue(view: View, ids: Iterable[str], day: str, booked: datetime | None = None) -> Sums:
    """What remains of each account's open invoices that were due before a day (and were booked by a time)."""
    which: Row = {
        "billingAccount": {"$in": sorted(ids)},
        "paymentDueDate": {"$lt": day},
        "remainingAmount": {"$gt": 0},
    }
    if booked is not None:
        which["bookedAt"] = {"$lte": booked}
    fields = {"_id": 0, "billingAccount": 1, "remainingAmount": 1}
    few = await view.find("invoices", which, fields=fields, limit=_FEW_INVOICES + 1, index="open")
    if len(few) > _FEW_INVOICES:
        group = {"$group": {"_id": "$billingAccount", "sum": {"$sum": "$remainingAmount"}}}
        rows = await view.aggregate("invoices", [{"$match": which}, group], index="open")
        return {row["_id"]: row["sum"] for row in rows}
    sums: Sums = defaultdict(int)
    for row in few:
        sums[row["billingAccount"]] += row["remainingAmount"]
    return sums


# -- at a past moment


async def standing_at(view: View, account: Account, at: datetime) -> Standing:
    """What an account's money came to at a time; `account` is as it was then."""
    if account.type == PARTY:
        return standing_of(account.id, account.type, {})
    ids = await _members_at(view, account.id, at) if account.type == FINANCIAL else {account.id: account.type}
    balances = await balances_at(view, ids, at)
    sums: Sums = defaultdict(int)
    for own in balances.values():
        for name, amount in own.items():
            sums[name] += amount
    owing = [id_ for id_, own in balances.items() if own.get("receivable")]
    if owing:
        sums["overdue"] = await _overdue_at(view, owing, at)
    return standing_of(account.id, account.type, sums)


async def balances_at(view: View, types: dict[str, str], at: datetime) -> dict[str, Sums]:
    """The balances of accounts (their types by id) with all that was booked up to a time, by the account's id.

    From what they are now what was booked since is taken back: who asks for the past mostly asks for the recent past.
    """
    rows = await view.find("positions", {"_id": {"$in": sorted(types)}}, fields=dict.fromkeys(SIGN, 1))
    found = {row["_id"]: {name: row[name] for name in BALANCES.get(types[row["_id"]], ())} for row in rows}
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
    """What was overdue at a time: what remains now of the invoices of then, and what was paid or credited since."""
    day = view.date_of(at).isoformat()
    left = sum((await _overdue(view, ids, day, booked=at)).values())
    paid = await _sum_since(view, "allocations", "$billNo", "$amount", ids, at, day)
    credited = await _sum_since(view, "creditNotes", "$correctedBillNo", "$taxIncludedAmount", ids, at, day)
    return left + paid + credited


async def _sum_since(
    view: View, collection: str, bill_no: str, amount: str, ids: Collection[str], at: datetime, day: str
) -> int:
    """The sum of what was booked after a time for invoices that were there then and due before a day."""
    pipeline: list[Row] = [
        {"$match": {"billingAccount": {"$in": sorted(ids)}, "bookedAt": {"$gt": at}}},
        {"$group": {"_id": bill_no, "sum": {"$sum": amount}}},
        {"$lookup": {"from": "invoices", "localField": "_id", "foreignField": "_id", "as": "invoice"}},
        {"$match": {"invoice.paymentDueDate": {"$lt": day}, "invoice.bookedAt": {"$lte": at}}},
        {"$group": {"_id": None, "sum": {"$sum": "$sum"}}},
    ]
    return sum(int(row["sum"]) for row in await view.aggregate(collection, pipeline, index="booked"))


async def _members_at(view: View, financial_account: str, at: datetime) -> dict[str, str]:
    """The types of the accounts that named a financial account at a time, by id."""
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
            }
        },
    ]
    rows = await view.aggregate("accountVersions", last, index="history") if ids else []
    return {
        row["_id"]: row["type"]
        for row in rows
        if row["financialAccount"] == financial_account and row["state"] != "deleted"
    }
