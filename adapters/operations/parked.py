"""What operators do with held messages, each act recorded: who, when, why, and what it changed.

A held message is `parked` until an operator lets it be tried again, changes it, or discards it; one that waits can be
changed and discarded, too. Every act is one transaction's: of two operators who act on one message at a time, the
second finds it as the first has left it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from bson import ObjectId

from adapters.access import ACTING_USER, Access
from adapters.rabbitmq.tolerance import plain
from adapters.records import Properties, parked_id
from adapters.store.rows import whole_body
from adapters.store.store import Store
from domain.errors import Refused
from domain.facts import account_of
from schemas.incoming import Incoming, read, was_not_read
from schemas.messages import HELD_MESSAGES, MESSAGES
from schemas.operations.acts import Act, Edit, Via
from schemas.operations.messages import MESSAGES as ACTS
from schemas.values import time_json

T = TypeVar("T")

Row = dict[str, Any]
Json = dict[str, Any]

Seen = tuple[str, int]
"""What an operator saw of a message: its state, and how often it had been tried."""

OPEN = ("parked", "waiting", "suspect")
"""What can be edited and discarded: it is neither applied nor done with."""
SCHEDULED = "scheduled"
"""What waits for nothing but its time: no act changes it."""
_OF_ITS_OWN = ("pieces", "original", "seenAgain", "seenAgainAt")
"""What of a row does not go over to the rows that it goes on as."""
_ACTS = {message.TYPE for message in ACTS}


@dataclass(frozen=True, slots=True)
class Letter:
    """A held message as it is read: all that can be wrong with it."""

    routing_key: str
    message_id: str | None
    headers: Mapping[str, Any]
    encoding: str | None
    body: bytes

    @staticmethod
    def of(row: Row, body: bytes) -> Letter:
        """The message of a row, whose whole body is given."""
        return Letter(row["routingKey"], row["messageId"], row["headers"], row["properties"]["contentEncoding"], body)

    def edited(self, edit: Edit) -> Letter:
        """What an edit makes of it."""
        changes = plain(edit.headers)  # a name as it would have been kept
        headers = {**self.headers, **changes}
        encoding = edit.encoding if edit.encoding is not None or edit.body is not None else self.encoding
        return Letter(
            edit.type or self.routing_key,
            edit.message_id or self.message_id,
            {name: value for name, value in headers.items() if value is not None or name not in changes},
            encoding,
            self.body if edit.body is None else edit.body,
        )

    def facts(self, id_: str) -> list[Incoming]:
        """Its facts; raises `Refused` with what does not fit, of a message that operators know as `id_`."""
        # What a fact has left to do is of no type that can be read here: it is replayed as it is, or discarded.
        facts = read(self.routing_key, self.body, self.message_id, self.headers, self.encoding)
        for n, fact in enumerate(facts, 1):
            refusal = fact.refusal or fact.if_new
            if refusal is not None:
                which = f"fact {n} of {len(facts)}: " if len(facts) > 1 else ""
                raise Refused(refusal.code, f"{id_} would be parked again: {which}{refusal.detail}")
        once: dict[str, Incoming] = {}
        for fact in facts:
            if once.setdefault(fact.identity, fact).digest != fact.digest:
                raise Refused("invalid", f"{id_}: {fact.identity} is in it twice, with other content")
        return list(once.values())


def check_not_scheduled(row: Row) -> None:
    """Raises `Refused` for a row that is scheduled."""
    if row["state"] == SCHEDULED:
        due = time_json(row["dueAt"])
        raise Refused("invalid", f"{row['parkedId']} is scheduled: it is taken up by itself once it is {due}")


def check_replayed(row: Row) -> None:
    """Raises `Refused` for a row that can't be tried again as it is."""
    check_not_scheduled(row)
    if row["state"] != "parked":
        raise Refused("invalid", f"{row['parkedId']} is {row['state']}, not parked")
    if "#" in row["_id"]:  # it is held as a conflicting duplicate, whatever became of it since
        raise Refused(
            "invalid", f"{row['parkedId']}: its identity has other content already: edit it to another, or discard"
        )


def check_edited(row: Row, edit: Edit, at: datetime) -> None:
    """Raises `Refused` for a row that can't be edited, or not like that."""
    id_ = row["parkedId"]
    check_not_scheduled(row)
    if row["state"] not in OPEN:
        undo = ": undo that first" if row["state"] == "discarded" else ""
        raise Refused("invalid", f"{id_} is {row['state']}{undo}")
    _check_unclaimed(row, at)
    if row["routingKey"] in HELD_MESSAGES.keys() - MESSAGES.keys():
        raise Refused("invalid", f"{id_} is a message of ours, whose content is right: replay or discard it")
    if _ACTS & {row["routingKey"], edit.type}:
        # It would be done in the name of who sent it first.
        raise Refused("invalid", f"{id_}: what an operator does is not edited: discard it, and do it anew")
    if ACTING_USER in edit.headers:
        raise Refused("invalid", f"{id_}: header {ACTING_USER}: for whom a message speaks is its sender's to say")


def _check_unclaimed(row: Row, at: datetime) -> None:
    # A claim that ran out is a dead worker's; a slow one's commit meets what is written here.
    if row["claimedUntil"] is not None and row["claimedUntil"] > at:
        raise Refused("invalid", f"{row['parkedId']} is being tried at this moment: look again in a minute")


@dataclass(frozen=True, slots=True)
class OperatorActions:
    """What an operator does: in a transaction's session, at a time, in a name.

    `by` is who it is by the word of the broker, or at the command line by their own; `claimed` is what a sender only
    says that it is. `gateway` is who sent it, where that is a gateway, which spoke for `by`. With `access` a message is
    tried again only as far as the rights of its own sender go, whoever says so.
    """

    database: Any
    session: Any
    by: str
    at: datetime
    claimed: str | None = None
    via: Via = "command line"
    gateway: str | None = None
    access: Access | None = None

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
                assert act.edit is not None
                told = await self._edit(row, act.edit)
            case "discard":
                told = await self._discard(row, act.why)
            case "undo":
                told = await self._undo(row)
            case "note":
                told = {"id": id_, "state": row["state"]}
        await self._record(act, row, told)
        return told

    async def _replay(self, row: Row) -> Json:
        check_replayed(row)
        if was_not_read(row["_id"]):
            # Its identity is made of its bytes. It can be read now, by a newer version, or it can't.
            return await self._go_on(row, Letter.of(row, await whole_body(self.database, row, self.session)), None)
        self._check_rights(row, row["routingKey"], row["headers"])
        await self._set(row, self._due(row))
        return {"id": row["parkedId"], "state": "waiting"}

    async def _edit(self, row: Row, edit: Edit) -> Json:
        check_edited(row, edit, self.at)
        return await self._go_on(row, Letter.of(row, await whole_body(self.database, row, self.session)), edit)

    async def _go_on(self, row: Row, letter: Letter, edit: Edit | None) -> Json:
        """Let a message go on as its facts, as it is or edited: in its own row, if one of them has its identity.

        The others have rows of their own. Where all have, the row of what came in is mended: done with.
        """
        new = letter if edit is None else letter.edited(edit)
        self._check_rights(row, new.routing_key, new.headers)
        facts = new.facts(row["parkedId"])
        own = [fact for fact in facts if fact.identity == row["_id"]]
        others = await self._not_there(row, [fact for fact in facts if fact.identity != row["_id"]])
        into = [parked_id(fact.identity) for fact in others]
        alone = len(facts) == 1
        if others:
            rows = [self._of_another(row, new, fact, edited=edit is not None, alone=alone) for fact in others]
            await self.database["held"].insert_many(rows, session=self.session)
            # The same as the store does for whatever it holds: it conflicts with a worker that applies it just now.
            ids = [fact.identity for fact in others]
            await self.database["inbox"].insert_many([{"_id": id_} for id_ in ids], session=self.session)
            await self.database["inbox"].delete_many({"_id": {"$in": ids}}, session=self.session)
        if own:
            changed = {**self._due(row), **self._content(row, new, own[0], alone=alone), "editedAt": self.at}
            if row["claimedUntil"] is not None:  # who had taken it up, and is only slow, finds another attempt
                changed["attempts"] = row["attempts"] + 1
            await self._set(row, {**changed, "original": row.get("original") or self._original(letter, row)})
        else:
            await self._set(row, self._at_rest("mended"))
        told = {"id": row["parkedId"], "state": "waiting" if own else "mended"}
        if into:
            told |= {"editedInto": into[0]} if len(into) == 1 else {"editedInto": into[0], "editedIntoAll": into}
            await self._set(row, {name: value for name, value in told.items() if name not in ("id", "state")})
        return told

    def _check_rights(self, row: Row, routing_key: str, headers: Mapping[str, Any]) -> None:
        """Raises `Refused` (`forbidden`) for what the message's sender may not send; what is ours is no sender's."""
        ours = not was_not_read(row["_id"]) and row["routingKey"] in HELD_MESSAGES.keys() - MESSAGES.keys()
        if self.access is None or ours:
            return
        try:
            self.access.sending(Properties(user_id=row["properties"]["userId"], headers=headers), routing_key)
        except Refused as refusal:
            detail = f"{row['parkedId']} would be parked again: {refusal.detail}"
            raise Refused(refusal.code, detail) from None

    async def _not_there(self, row: Row, facts: Sequence[Incoming]) -> list[Incoming]:
        """Those of these facts that are neither applied nor held; raises `Refused` for other content of what is."""
        which = {"_id": {"$in": [fact.identity for fact in facts]}}
        fields = {"digest": 1, "digestVersion": 1, "state": 1, "parkedId": 1}
        there = [found async for found in self.database["inbox"].find(which, fields, session=self.session)]
        there += [found async for found in self.database["held"].find(which, fields, session=self.session)]
        found = {one["_id"]: one for one in there}
        for fact in facts:
            known = found.get(fact.identity)
            if known is None:
                continue
            state = known.get("state", "applied")
            same = fact.digest_in(known["digestVersion"]) == known["digest"]
            if len(facts) == 1 or not same:
                content = "the same" if same else "other"
                then = ": discard this one" if same else f": edit {known['parkedId']}" if state in OPEN else ""
                detail = f"{fact.identity} is there already with {content} content, and is {state}{then}"
                raise Refused("conflicting-duplicate", f"{row['parkedId']}: {detail}")
        if facts and len(found) == len(facts):
            raise Refused("conflicting-duplicate", f"{row['parkedId']}: all of it is there already: discard this one")
        return [fact for fact in facts if fact.identity not in found]

    def _of_another(self, row: Row, letter: Letter, fact: Incoming, *, edited: bool, alone: bool) -> Row:
        return {
            **{name: value for name, value in row.items() if name not in _OF_ITS_OWN},
            **self._due(row),
            **self._content(row, letter, fact, alone=alone),
            "_id": fact.identity,
            "parkedId": parked_id(fact.identity),
            "routingKey": fact.routing_key,
            "attempts": 0,
            "editedFrom": row["parkedId"],
            "editedAt": self.at if edited else None,
            "editedInto": None,
        }

    async def _discard(self, row: Row, why: str) -> Json:
        check_not_scheduled(row)
        if row["state"] not in OPEN:
            raise Refused("invalid", f"{row['parkedId']} is {row['state']} already")
        _check_unclaimed(row, self.at)
        discarded = {**self._who(), "at": self.at, "why": why}
        await self._set(row, {**self._at_rest("discarded"), "discarded": discarded})
        return {"id": row["parkedId"], "state": "discarded"}

    async def _undo(self, row: Row) -> Json:
        check_not_scheduled(row)
        if row["state"] == "mended":
            raise Refused("invalid", f"{row['parkedId']} was edited and goes on as {row['editedInto']}")
        if row["state"] != "discarded":
            raise Refused("invalid", f"{row['parkedId']} is {row['state']}, not discarded")
        if row.get("replacedBy"):
            raise Refused("invalid", f"{row['parkedId']} was replaced by its sender with {row['replacedBy']}")
        await self._set(row, {**self._at_rest("parked"), "discarded": None})
        return {"id": row["parkedId"], "state": "parked"}

    def _due(self, row: Row) -> Json:
        # What workers have died of is tried alone; its waiting time begins anew.
        state = "suspect" if row["deaths"] else "waiting"
        # Due at a time that is past by any clock: the operator's may be fast.
        return {**self._at_rest(state), "dueAt": row["heldAt"], "waitingSince": self.at, "deaths": 0}

    def _at_rest(self, state: str) -> Json:
        return {"state": state, "dueAt": None, "waitsFor": None, "claimedUntil": None}

    def _content(self, row: Row, letter: Letter, fact: Incoming, *, alone: bool) -> Json:
        # A part of an array is a text of its own, whatever the whole was packed in.
        encoding = letter.encoding if alone else None
        return {
            "body": fact.body,
            "messageId": fact.message_id,
            "properties": {**row["properties"], "messageId": fact.message_id, "contentEncoding": encoding},
            "headers": dict(letter.headers),
            "digest": fact.digest,
            "digestVersion": fact.digest_version,
            "account": account_of(fact.fact),
            "businessKey": fact.key,
        }

    def _original(self, letter: Letter, row: Row) -> Json:
        return {
            "body": letter.body,
            "digest": row["digest"],
            "messageType": letter.routing_key,
            "messageId": letter.message_id,
            "contentEncoding": letter.encoding,
            "headers": dict(letter.headers),
        }

    async def _set(self, row: Row, changes: Json) -> None:
        await self.database["held"].update_one({"_id": row["_id"]}, {"$set": changes}, session=self.session)

    def _who(self) -> Json:
        gateway = {} if self.gateway is None else {"gateway": self.gateway}
        return {"by": self.by, "claimed": self.claimed, "via": self.via, **gateway}

    async def _record(self, act: Act, row: Row, told: Json) -> None:
        record = {
            # Of two acts in one millisecond the later one has the higher id.
            "_id": str(ObjectId()),
            "parkedId": row["parkedId"],
            "identity": row["_id"],
            "act": act.name,
            **self._who(),
            "at": self.at,
            "why": act.why,
            "stateBefore": row["state"],
            "stateAfter": told["state"],
            "editedInto": told.get("editedInto"),
        }
        if act.edit is not None:
            edit = act.edit
            changed: Json = {"type": edit.type, "messageId": edit.message_id, "encoding": edit.encoding}
            changed |= {"headers": dict(edit.headers)} if edit.headers else {}
            record["changed"] = {name: value for name, value in changed.items() if value is not None}
            if edit.body is not None:
                record["body"] = edit.body
        await self.database["operatorActs"].insert_one(record, session=self.session)


async def act_on_held(
    store: Store,
    by: str,
    at: datetime,
    do: Callable[[OperatorActions], Awaitable[T]],
    access: Access | None = None,
) -> T:
    """Do something as an operator at the command line, in a transaction of its own.

    `access` is what the senders of what is tried again may do. Raises `Refused` and the driver's errors.
    """
    return await store.in_one_transaction(
        lambda transaction: do(OperatorActions(transaction.database, transaction.session, by, at, access=access))
    )
