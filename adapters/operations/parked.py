"""What operators do with held messages, each act recorded: who, when, why, and what it changed.

A held message is `parked` until an operator lets it be tried again, changes it, or discards it. Every act is one
transaction's: of two operators who act on one message at a time, the second finds it as the first has left it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bson import Binary, ObjectId

from adapters.records import parked_id
from adapters.store.rows import whole_body
from adapters.store.store import Store
from domain.errors import Refused
from domain.facts import account_of
from schemas.incoming import Incoming, read
from schemas.operations.acts import Act

T = TypeVar("T")

Row = dict[str, Any]
Json = dict[str, Any]

Seen = tuple[str, int]
"""What an operator saw of a message: its state, and how often it had been tried."""

DISCARDABLE = ("parked", "waiting", "suspect")


@dataclass(frozen=True, slots=True)
class OperatorActions:
    """What an operator does: in a transaction's session, at a time, in a name."""

    database: Any
    session: Any
    by: str
    at: datetime

    async def perform(self, act: Act, seen: Mapping[str, Seen] | None = None) -> Json:
        """Do an act on each message that it names, if it is still as it was `seen`.

        Returns `{"messages": [{"id", "state" | "refused"}]}`. What can't be done with one message of several is told
        there, and the others are dealt with. Raises `Refused` (`unknown-message`, `invalid`, `conflicting-duplicate`)
        when it is about one message alone.
        """
        told: list[Json] = []
        for id_ in act.ids:
            try:
                told.append(await self._one(act, id_, (seen or {}).get(id_)))
            except Refused as refusal:
                if len(act.ids) == 1:
                    raise
                told.append({"id": id_, "refused": {"code": refusal.code, "detail": refusal.detail}})
        return {"messages": told}

    async def _one(self, act: Act, id_: str, seen: Seen | None) -> Json:
        row = await self.database["held"].find_one({"parkedId": id_}, session=self.session)
        if row is None:
            raise Refused("unknown-message", f"no message is held as {id_}: it is applied, or was never held")
        if seen is not None and seen != (row["state"], row["attempts"]):
            raise Refused("invalid", f"{id_} was tried or changed meanwhile, and is {row['state']}: look at it again")
        match act.name:
            case "replay":
                told = await self._replay(row)
            case "edit":
                assert act.body is not None
                told = await self._edit(row, act.body)
            case "discard":
                told = await self._discard(row, act.why)
            case "undo":
                told = await self._undo(row)
            case "note":
                told = {"id": id_, "state": row["state"]}
        await self._record(act, row, told)
        return told

    async def _replay(self, row: Row) -> Json:
        _check_parked(row)
        if "#" in row["_id"]:  # it is held as a conflicting duplicate, whatever became of it since
            raise Refused(
                "invalid", f"{row['parkedId']}: its identity has other content already: edit it to another, or discard"
            )
        if row["_id"].startswith("unreadable:"):
            # Its identity is made of its bytes. It can be read now, by a newer version, or it can't.
            body = await whole_body(self.database, row, self.session)
            return await self._move(row, body, _readable(row, body))
        await self._set(row, self._due(row))
        return {"id": row["parkedId"], "state": "waiting"}

    async def _edit(self, row: Row, body: bytes) -> Json:
        _check_parked(row)
        incoming = _readable(row, body)
        if incoming.identity != row["_id"]:
            return await self._move(row, body, incoming)
        changed = {
            **self._content(incoming),
            "original": row.get("original") or {"body": row["body"], "digest": row["digest"]},
            "editedAt": self.at,
        }
        await self._set(row, {**self._due(row), **changed})
        return {"id": row["parkedId"], "state": "waiting"}

    async def _move(self, row: Row, body: bytes, incoming: Incoming) -> Json:
        """Let a message go on under the identity that its new content has; the row of what came in is discarded."""
        identity = incoming.identity
        applied = await self.database["inbox"].find_one({"_id": identity}, {"_id": 1}, session=self.session)
        held = await self.database["held"].find_one({"_id": identity}, {"state": 1}, session=self.session)
        if applied or held:
            state = held["state"] if held else "applied"
            raise Refused("conflicting-duplicate", f"{row['parkedId']}: {identity} is there already, and is {state}")
        to = parked_id(identity)
        edited = body != await whole_body(self.database, row, self.session)
        new = {
            **{name: value for name, value in row.items() if name != "pieces"},
            **self._due(row),
            **self._content(incoming),
            "_id": identity,
            "parkedId": to,
            "attempts": 0,
            "editedFrom": row["parkedId"],
            "editedAt": self.at if edited else None,
        }
        await self.database["held"].insert_one(new, session=self.session)
        # The same as the store does for whatever it holds: it conflicts with a worker that applies it at this moment.
        await self.database["inbox"].insert_one({"_id": identity}, session=self.session)
        await self.database["inbox"].delete_one({"_id": identity}, session=self.session)
        await self._set(row, {**self._at_rest("discarded"), "editedInto": to})
        return {"id": row["parkedId"], "state": "discarded", "editedInto": to}

    async def _discard(self, row: Row, why: str) -> Json:
        if row["state"] not in DISCARDABLE:
            raise Refused("invalid", f"{row['parkedId']} is {row['state']} already")
        # A claim that ran out is a dead worker's; a slow one's commit meets the state that is written here.
        if row["claimedUntil"] is not None and row["claimedUntil"] > self.at:
            raise Refused("invalid", f"{row['parkedId']} is being tried at this moment: look again in a minute")
        await self._set(row, {**self._at_rest("discarded"), "discarded": {"by": self.by, "at": self.at, "why": why}})
        return {"id": row["parkedId"], "state": "discarded"}

    async def _undo(self, row: Row) -> Json:
        if row["state"] != "discarded":
            raise Refused("invalid", f"{row['parkedId']} is {row['state']}, not discarded")
        if row.get("editedInto"):
            raise Refused("invalid", f"{row['parkedId']} was edited and goes on as {row['editedInto']}")
        await self._set(row, {**self._at_rest("parked"), "discarded": None})
        return {"id": row["parkedId"], "state": "parked"}

    def _due(self, row: Row) -> Json:
        # What workers have died of is tried alone; its waiting time begins anew.
        state = "suspect" if row["deaths"] else "waiting"
        # Due at a time that is past by any clock: the operator's may be fast.
        return {**self._at_rest(state), "dueAt": row["heldAt"], "waitingSince": self.at, "deaths": 0}

    def _at_rest(self, state: str) -> Json:
        return {"state": state, "dueAt": None, "waitsFor": None, "claimedUntil": None}

    def _content(self, incoming: Incoming) -> Json:
        return {
            "body": Binary(incoming.body),
            "digest": incoming.digest,
            "digestVersion": incoming.digest_version,
            "account": account_of(incoming.fact),
        }

    async def _set(self, row: Row, changes: Json) -> None:
        await self.database["held"].update_one({"_id": row["_id"]}, {"$set": changes}, session=self.session)

    async def _record(self, act: Act, row: Row, told: Json) -> None:
        body = {"body": Binary(act.body)} if act.body is not None else {}
        record = {
            # Of two acts in one millisecond the later one has the higher id.
            "_id": str(ObjectId()),
            "parkedId": row["parkedId"],
            "identity": row["_id"],
            "act": act.name,
            "by": self.by,
            "at": self.at,
            "why": act.why,
            "stateBefore": row["state"],
            "stateAfter": told["state"],
            "editedInto": told.get("editedInto"),
            **body,
        }
        await self.database["operatorActs"].insert_one(record, session=self.session)


async def act_on_held(store: Store, by: str, at: datetime, do: Callable[[OperatorActions], Awaitable[T]]) -> T:
    """Do something as an operator, in a transaction of its own; raises `Refused` and the driver's errors."""
    return await store.in_one_transaction(
        lambda transaction: do(OperatorActions(transaction.database, transaction.session, by, at))
    )


def _check_parked(row: Row) -> None:
    if row["state"] != "parked":
        raise Refused("invalid", f"{row['parkedId']} is {row['state']}, not parked")


def _readable(row: Row, body: bytes) -> Incoming:
    """The one fact of a body; raises `Refused` with what does not fit."""
    # What a fact has left to do is of no type that can be read here: it is replayed as it is, or discarded.
    facts = read(row["routingKey"], body, row["messageId"], row["headers"], row["properties"]["contentEncoding"])
    if len(facts) > 1:
        raise Refused("invalid", f"{row['parkedId']}: an array of {len(facts)} facts: edit it to one of them")
    refusal = facts[0].refusal
    if refusal is not None:
        raise Refused(refusal.code, f"{row['parkedId']} would be parked again: {refusal.detail}")
    return facts[0]
