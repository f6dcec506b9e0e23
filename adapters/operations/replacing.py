"""A sender's own correction: the wrong message that still waits is discarded, and the right one takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from adapters.access import ACTING_USER
from adapters.records import Properties, ReplyTo, parked_id
from domain.errors import Refused
from schemas.incoming import Incoming

Row = dict[str, Any]

WAITING = ("waiting", "suspect")
LOOKED_AT = 20
"""How many messages of one message id are looked at: a sender has one, as a rule."""


@dataclass(frozen=True, slots=True)
class Replacements:
    """Replaces what waits, within a transaction's session and at its time."""

    database: Any
    session: Any
    at: datetime

    async def waiting(self, message_id: str, incoming: Incoming, sent: Properties, *, vouched: bool) -> Row | None:
        """The message of that id that waits; None when there is none: it is applied or parked already, or unknown.

        `vouched` says that there is an access file: then a gateway speaks for who it says. Raises `Refused`:
        `forbidden` when it is another user's, `invalid` when nobody can say which one is meant.
        """
        which = {"messageId": message_id, "state": {"$in": WAITING}}
        held = self.database["held"].find(which, session=self.session).hint("messageId").limit(LOOKED_AT)
        found: list[Row] = [row async for row in held]
        own = [row for row in found if row["properties"]["userId"] == sent.user_id]
        if vouched:
            acting = sent.headers.get(ACTING_USER)
            own = [row for row in own if row["headers"].get(ACTING_USER) == acting]
        if found and not own:
            raise Refused("forbidden", f"header replaces: {message_id} was sent by another user")
        same = [row for row in own if row["_id"] == incoming.identity]
        alike = [row for row in own if row["routingKey"] == incoming.routing_key]
        for candidates in (same, alike, own):
            if len(candidates) == 1:
                return candidates[0]
        if own:
            raise Refused("invalid", f"header replaces: {len(own)} messages wait that have the message id {message_id}")
        return None

    async def discard(self, row: Row, incoming: Incoming, sent: Properties, acting: str | None) -> tuple[ReplyTo, ...]:
        """Discard it, in its sender's name, or in that of whom a gateway spoke for; returns who is still to be told.

        Where the right one has its identity, its row is kept as one of other content for that identity is.
        """
        why = f"replaced by its sender with {incoming.message_id or incoming.identity}"
        gateway = {} if acting is None else {"gateway": sent.user_id}
        by = acting or sent.user_id or "unknown"
        who = {"by": by, "claimed": sent.app_id, "via": "message", **gateway, "at": self.at, "why": why}
        at_rest = {"state": "discarded", "dueAt": None, "waitsFor": None, "claimedUntil": None}
        changes: Row = {**at_rest, "discarded": who, "replacedBy": incoming.identity, "replies": []}
        held = self.database["held"]
        identity = row["_id"]
        if identity == incoming.identity:
            # A worker that has it taken up finds it gone, and decides anew.
            await held.delete_one({"_id": identity}, session=self.session)
            identity = f"{identity}#{row['digest'][:16]}"
            await self._keep(row, changes, identity)
        else:
            await held.update_one({"_id": identity}, {"$set": changes}, session=self.session)
        record = {
            "_id": str(ObjectId()),
            "parkedId": parked_id(identity),
            "identity": identity,
            "act": "discard",
            **who,
            "stateBefore": row["state"],
            "stateAfter": "discarded",
            "editedInto": None,
        }
        await self.database["operatorActs"].insert_one(record, session=self.session)
        return tuple(ReplyTo(to["replyTo"], to["correlationId"]) for to in row["replies"])

    async def set_aside(self, identity: str) -> None:
        """Let go of an identity that a forbidden message has: it is kept as one of other content for it is."""
        held = self.database["held"]
        row = await held.find_one({"_id": identity}, session=self.session)
        if row is not None:
            await held.delete_one({"_id": identity}, session=self.session)
            await self._keep(row, {}, f"{identity}#{row['digest'][:16]}")

    async def _keep(self, row: Row, changes: Row, identity: str) -> None:
        kept = {**row, **changes, "_id": identity, "parkedId": parked_id(identity)}
        await self.database["held"].replace_one({"_id": identity}, kept, upsert=True, session=self.session)
