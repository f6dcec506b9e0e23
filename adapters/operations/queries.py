"""What is held, for operators: in groups, in lists, one by one, by account, and what was done with it."""

from __future__ import annotations

from base64 import b64encode
from codecs import getincrementaldecoder
from datetime import datetime
from functools import partial
from typing import Any

from adapters.accounts.queries.statement import end_of, start_of
from adapters.mongodb.paging import FEW_ROWS, Page, keyset
from adapters.mongodb.view import Json, Reads, Row, View, unknown
from adapters.store.rows import whole_body
from schemas.operations.queries import ParkedAccounts, ParkedGet, ParkedGroups, ParkedHistory, ParkedList
from schemas.query import cursor, milliseconds
from schemas.values import time_json

GROUPS_MAX = 500
"""The most groups that are told, the largest ones."""
BODY_MAX = 1024 * 1024
"""The most bytes of a body that are shown: what may come in; a larger one was parked for its size."""
ACTS_SHOWN = 100
"""The most acts that are told with a message, its last ones."""

KEPT_FROM_HAPPENING = {
    "order.completed": "not billed: there is no invoice, and its partners have earned nothing by it",
    "payment.received": "not booked: what it pays stays open",
    "payment.failed": "not noted: dunning waits for what was requested, for 14 days",
    "credit.allocate": "not allocated: the account has credit beside open invoices",
    "credit.deallocate": "not undone: what came back still covers invoices, and is owed beside them",
    "settlement.continue": "not stated: by itself nothing is, or the closing's other statements are there",
    "settlement.close": "not stated: what was earned is not on a statement",
    "payout.completed": "not booked: the statement is still to be paid",
    "settlement.adjust": "not accrued: the partner is owed what it was",
    "payout.returned": "not booked: the statement counts as paid",
    "advance.paid": "not booked: nothing of it is recouped",
    "reserve.due": "not left: no reserve is released by itself on that day",
    "reserve.release": "not released: it is held back until its day",
    "reserve.continue": "not released: it is held back still, and on no statement",
    "netting.apply": "not netted: what the partner owes is open, and no payout of the statement is requested",
    "settlement.correct": "not corrected: the partner has its share of the invoice by the terms of before",
    "agreement.complete": "not noted: closings of the partner wait until it is",
    "statement.report": "not compared: what differs of the statement is payable, or what agrees now still is not",
    "self-billing.accept": "not noted: a statement that is held for the document is not paid",
    "self-billing.dispute": "not noted: the document's statement may be paid",
    "credit-note.issue": "not credited: the invoice stands as it was",
    "refund.completed": "not booked: the money that went back is still in the books",
    "payment.reversed": "not booked: what came back still covers invoices, or is credit",
    "invoice.write-off": "not written off: the invoice is still open, and dunned",
    "dispute.open": "not noted: what is disputed is due, and dunned",
    "dispute.settle": "not credited: what was approved is still disputed",
    "dispute.withdraw": "not noted: what was disputed is still not due",
    "invoice.validate": "not noted: the invoice counts as not accepted",
    "invoice.send": "not noted: the invoice counts as not sent",
    "credit.grant": "not granted: what the credit is to cover is still open",
    "credit.transfer": "not transferred: the credit is still the account's that it was booked on",
    "day.begin": "not begun: no later day is, and nothing that is due on one happens",
    "charge.add": "not added: it will be on no bill",
    "subscription.create": "not agreed: nothing of it is charged, and what changes it waits",
    "subscription.change": "not agreed: it is charged as it was",
    "subscription.suspend": "not suspended: it is charged as it was",
    "subscription.resume": "not resumed: nothing of it is charged",
    "subscription.terminate": "not terminated: it is charged as it was",
    "subscription.turn": "not told: its state is that of an earlier day; what it is charged goes by its dates",
    "usage.record": "not counted: it will be on no bill",
    "bill.demand": "not billed: what is due of the account waits for its next bill",
    "bill.continue": "not billed: the demand's first bill is there, the rest of what is due waits",
    "dunning.look": "not looked at: no step is taken that is due, and none cleared that should not stand",
    "dunning.complete": "not noted: the day's looks are made, and are gone through again until it is",
    "payment.promise": "not noted: the account is dunned as if it had promised nothing",
    "bill-run.start": "not started: none of its accounts is billed by it",
    "settlement.due": "not left: no account is closed by itself on that day",
    "bill-run.open": "not opened: no cycle runs by itself on that day; of one that names a cycle, that one does not",
    "bill.account": "not billed: what is due of the account waits for its next bill; its run goes on with the others",
    "bill-run.complete": "not completed: the run is shown as running",
    "account.create": "not opened: whatever names the account waits",
}
"""What a held message of a type keeps from happening."""
_OTHER = "not done"

_LISTED = {"body": 0, "original": 0, "traceback": 0, "headers": 0, "properties": 0, "replies": 0}


async def groups(query: ParkedGroups, view: View) -> Json:
    """`parked.groups`."""
    pipeline: list[Row] = [
        {"$match": {"state": query.state}},
        {
            "$group": {
                "_id": "$group",
                "reason": {"$first": "$reason"},
                "messageType": {"$first": "$routingKey"},
                "count": {"$sum": 1},
                "heldAt": {"$min": "$heldAt"},
                "failedAt": {"$max": "$failedAt"},
                "sample": {"$first": "$parkedId"},
            }
        },
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": GROUPS_MAX},
    ]
    rows = await view.aggregate("held", pipeline, index="listed")
    ids = [row["sample"] for row in rows]
    fields = {"parkedId": 1, "place": 1, "detail": 1, "exception": 1}
    samples = await view.find("held", {"parkedId": {"$in": ids}}, fields=fields, index="parkedId")
    told = {row["parkedId"]: row for row in samples}
    return {
        "items": [
            {
                "group": row["_id"],
                "reason": row["reason"],
                "messageType": row["messageType"],
                "place": told[row["sample"]]["place"],
                "exception": told[row["sample"]]["exception"],
                "count": row["count"],
                "heldAt": time_json(row["heldAt"]),
                "failedAt": time_json(row["failedAt"]),
                "sample": {"parkedId": row["sample"], "detail": told[row["sample"]]["detail"]},
            }
            for row in rows
        ]
    }


async def page(query: ParkedList, view: View) -> bytes:
    """`parked.list`."""
    asked = {"group": query.group, "reason": query.reason, "routingKey": query.type, "account": query.account}
    which: Row = {"state": query.state, **{name: value for name, value in asked.items() if value is not None}}
    held: Row = {}
    if query.since is not None:
        held["$gte"] = start_of(query.since, view.zone)
    if query.until is not None:
        held["$lte"] = end_of(query.until, view.zone)
    if held:
        which["heldAt"] = held
    page = Page(query.limit)
    after = query.after
    read = partial(view.find, "held", index="listed", fields=_LISTED)
    for row in await keyset(read, which, ("heldAt", "_id"), after, query.limit + 1):
        if not page.take(_listed(row)):
            assert after is not None
            return page.answer(cursor(ParkedList.TYPE, milliseconds(after[0]), after[1]))
        after = (row["heldAt"], row["_id"])
    return page.answer(None)


def _listed(row: Row) -> Json:
    discarded = row.get("discarded")
    return {
        "parkedId": row["parkedId"],
        "identity": row["_id"],
        "state": row["state"],
        "messageType": row["routingKey"],
        "messageId": row["messageId"],
        "correlationId": row["correlationId"],
        "reason": row["reason"],
        "detail": row["detail"],
        "group": row["group"],
        "place": row["place"],
        "exception": row["exception"],
        "account": row["account"],
        "businessKey": row["businessKey"],
        "attempts": row["attempts"],
        "deaths": row["deaths"],
        "worker": row["worker"],
        "heldAt": time_json(row["heldAt"]),
        "failedAt": time_json(row["failedAt"]),
        "dueAt": _time(row["dueAt"]),
        "waitsFor": row["waitsFor"],
        "seenAgain": row.get("seenAgain", 0),
        "seenAgainAt": _time(row.get("seenAgainAt")),
        "editedAt": _time(row.get("editedAt")),
        "editedFrom": row.get("editedFrom"),
        "editedInto": row.get("editedInto"),
        **({"editedIntoAll": row["editedIntoAll"]} if "editedIntoAll" in row else {}),
        "discarded": {**_who(discarded), "at": time_json(discarded["at"]), "why": discarded["why"]}
        if discarded
        else None,
    }


def _who(row: Row) -> Json:
    """Who did something; what an earlier version recorded may be only claimed, and says nothing of the door."""
    told: Json = {name: row[name] for name in ("via", "gateway") if name in row}
    return {"by": row["by"], "claimed": row.get("claimed"), **told}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else time_json(moment)


async def get(query: ParkedGet, view: View) -> Json:
    """`parked.get`."""
    row = await view.one("held", {"parkedId": query.id}, index="parkedId")
    if row is None:
        raise unknown("message", query.id)
    original = row.get("original")
    before = None
    if original is not None:
        kept = ("messageType", "messageId", "contentEncoding")
        before = _body(bytes(original["body"])) | {name: original[name] for name in kept if name in original}
        before |= {"headers": _plain(original["headers"])} if "headers" in original else {}
    elif row.get("editedFrom") and row.get("editedAt"):
        source = await view.one("held", {"parkedId": row["editedFrom"]}, index="parkedId")
        before = await _source(view, source) if source else None
    # Without their bodies, which `parked.history` has, page by page.
    last: dict[str, Any] = {"sort": [("at", -1), ("_id", -1)], "limit": ACTS_SHOWN, "fields": {"body": 0}}
    acts = await view.find("operatorActs", {"parkedId": query.id}, index="message", **last)
    return {
        **_listed(row),
        **_body(await whole_body(view.database, row, view.session)),
        "original": before,
        "properties": {name: _plain(value) for name, value in row["properties"].items() if value is not None},
        "headers": _plain(row["headers"]),
        "traceback": row["traceback"],
        "acts": [_act(act) for act in reversed(acts)],
    }


async def _source(view: View, row: Row) -> Json:
    """What was edited, where it goes on under another identity."""
    return {
        **_body(await whole_body(view.database, row, view.session)),
        "messageType": row["routingKey"],
        "messageId": row["messageId"],
        "contentEncoding": row["properties"]["contentEncoding"],
        "headers": _plain(row["headers"]),
    }


def _body(body: bytes) -> Json:
    """A body as text where it is one, and in base64 where it is not; `bodyBytes` is how many bytes it has."""
    shown = body[:BODY_MAX]
    try:
        # A character that the end has cut through is left out.
        text = getincrementaldecoder("utf-8")().decode(shown, final=len(body) <= BODY_MAX)
    except UnicodeDecodeError:
        return {"bodyBase64": b64encode(shown).decode(), "bodyBytes": len(body)}
    return {"body": text, "bodyBytes": len(body)}


def _plain(value: Any) -> Any:
    """What a document holds, as JSON can say it."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return time_json(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


async def accounts(query: ParkedAccounts, view: View) -> bytes:
    """`parked.accounts`."""
    beyond = "" if query.after is None else query.after[0]
    which = {"state": {"$in": ["parked", "suspect", "waiting"]}, "account": {"$gt": beyond}}
    pipeline: list[Row] = [
        {"$match": which},
        {
            "$group": {
                "_id": {"account": "$account", "state": "$state", "messageType": "$routingKey"},
                "count": {"$sum": 1},
                "heldAt": {"$min": "$heldAt"},
            }
        },
        {"$sort": {"_id.account": 1, "_id.messageType": 1, "_id.state": 1}},
        {"$group": {"_id": "$_id.account", "held": {"$push": "$$ROOT"}}},
        {"$sort": {"_id": 1}},
        {"$limit": query.limit + 1},
    ]
    page = Page(query.limit)
    last = beyond
    for row in await view.aggregate("held", pipeline, index="listed"):
        held = [
            {
                "messageType": one["_id"]["messageType"],
                "state": one["_id"]["state"],
                "count": one["count"],
                "heldAt": time_json(one["heldAt"]),
                "keepsFromHappening": KEPT_FROM_HAPPENING.get(one["_id"]["messageType"], _OTHER),
            }
            for one in row["held"]
        ]
        if not page.take({"account": row["_id"], "held": held}):
            return page.answer(cursor(ParkedAccounts.TYPE, last))
        last = row["_id"]
    return page.answer(None)


async def history(query: ParkedHistory, view: View) -> bytes:
    """`parked.history`."""
    which: Row = {} if query.id is None else {"parkedId": query.id}
    page = Page(query.limit)
    after = query.after
    read = partial(view.find, "operatorActs", index="all" if query.id is None else "message")
    while True:
        # Edited bodies may be large, so they come few at a time.
        rows = await keyset(read, which, ("at", "_id"), after, FEW_ROWS)
        for row in rows:
            if not page.take(_act(row)):
                assert after is not None
                return page.answer(cursor(ParkedHistory.TYPE, milliseconds(after[0]), after[1]))
            after = (row["at"], row["_id"])
        if len(rows) < FEW_ROWS:
            return page.answer(None)


def _act(row: Row) -> Json:
    out = {name: row[name] for name in ("parkedId", "identity", "act", "why", "stateBefore", "stateAfter")}
    out |= _who(row)
    out["at"] = time_json(row["at"])
    out["editedInto"] = row["editedInto"]
    if "body" in row:
        out |= _body(bytes(row["body"]))
    if row.get("changed"):
        out["changed"] = _plain(row["changed"])
    return out


READS: Reads = (
    (ParkedGroups, groups),
    (ParkedList, page),
    (ParkedGet, get),
    (ParkedAccounts, accounts),
    (ParkedHistory, history),
)
