"""Replays: a fixed list of parked messages that are tried again, and what came of each.

The list is written before the first message is touched. A message is replayed, and its item marked as sent, in one
transaction, and only while it is parked as the list has it: so a replay that was stopped, or died, goes on where it
was, and of two operators who replay one message the second is told what it is now.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from pymongo import UpdateOne

from adapters.access import Access
from adapters.mongodb.connection import DatabaseError
from adapters.operations.parked import OPEN, Letter, OperatorActions, act_on_held
from adapters.store.rows import whole_body
from adapters.store.store import Store
from domain.errors import Refused
from schemas.operations.acts import Act, Edit
from schemas.values import time_json

Row = dict[str, Any]

ITEMS_MAX = 100_000
"""The most messages of one replay."""
IN_FLIGHT_MAX = 2_000
"""How many messages may be without an outcome at once: what a stopped replay can't take back."""
TOGETHER_MAX = 50
"""The most messages that are sent in one transaction."""
WRITTEN_TOGETHER = 1_000
"""How many rows one command reads or writes."""
SHOWN_MAX = 50
"""The most replays that are told."""
LOOK_SECONDS = 0.1
"""How long to wait before the next look for outcomes."""

_SHOWN = {
    "parkedId": 1,
    "state": 1,
    "attempts": 1,
    "claimedUntil": 1,
    "reason": 1,
    "detail": 1,
    "waitsFor": 1,
    "editedInto": 1,
}
_WORST = ("refused", "parked", "waiting", "applied")


EditOf = Callable[[Letter], Edit]
"""What is to be otherwise with a message; raises `Refused` for one that can't be like that."""


class Came(NamedTuple):
    """What came of a message that was to be tried again."""

    state: Literal["applied", "parked", "waiting", "refused"]
    detail: str


class LetGo(NamedTuple):
    """A message that is to be tried again: by what `outcomes` finds it, and its parked id if that is another now.

    What is edited into an array goes on as several: `follows` has the identity and the attempts of each.
    """

    follows: tuple[tuple[str, int], ...]
    into: str | None


Ended = Literal["done", "canary", "timeout", "stopped"]
"""How a replay ended: all has its outcome; the canary did not go well; no outcome came for too long; it was told to."""


async def outcomes(database: Any, sent: Mapping[str, int]) -> dict[str, Came]:
    """What came of messages, by identity; `sent` has the attempts that each had had when it was let go.

    Those that were not taken up yet, or are being tried, are left out.
    """
    found: dict[str, Came] = {}
    identities = list(sent)
    for at in range(0, len(identities), WRITTEN_TOGETHER):
        which = {"_id": {"$in": identities[at : at + WRITTEN_TOGETHER]}}
        # In this order: what is gone from here was applied before, and so the inbox has it.
        held = {row["_id"]: row async for row in database["held"].find(which, _SHOWN)}
        applied = {row["_id"] async for row in database["inbox"].find(which, {"_id": 1})}
        for identity in which["_id"]["$in"]:
            if identity in applied:
                found[identity] = Came("applied", "")
            elif identity not in held:
                found[identity] = Came("refused", "it is not held any more, and was not applied")
            elif came := _came(held[identity], sent[identity]):
                found[identity] = came
    return found


def _came(row: Row, attempts: int) -> Came | None:
    # An attempt is counted when a worker takes a message up.
    tried = row["attempts"] > attempts
    because = f"{row['reason']}: {row['detail']}"
    match row["state"]:
        case "mended":
            return Came("refused", f"an operator edited it meanwhile: it goes on as {row['editedInto']}")
        case "discarded":
            return Came("refused", "an operator discarded it meanwhile")
        case "parked":
            return Came("parked", because) if tried else Came("refused", "an operator parked it again, untried")
        case "suspect" if tried and row["claimedUntil"] is None:
            return Came("waiting", "a worker died with it: it is tried alone")
        case "waiting" if tried and row["claimedUntil"] is None:
            return Came("waiting", f"for {row['waitsFor']}" if row["waitsFor"] else because)
    return None


def together(follows: Sequence[tuple[str, int]], found: Mapping[str, Came]) -> Came | None:
    """What came of a message that goes on as these: of several the worst, once all have come."""
    if not all(identity in found for identity, _ in follows):
        return None
    came = [(found[identity], identity) for identity, _ in follows]
    if len(came) == 1:
        return came[0][0]
    worst, identity = min(came, key=lambda one: _WORST.index(one[0].state))
    counts = Counter(one.state for one, _ in came)
    said = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    detail = f"{len(came)} facts: {said}" + (f"; {identity}: {worst.detail}" if worst.detail else "")
    return Came(worst.state, detail)


async def edit(actions: OperatorActions, act: Act, attempts: int) -> LetGo:
    """Edit a message that is still as it was looked at, with so many attempts; raises what `OperatorActions` raises."""
    [id_] = act.ids
    row = await actions.database["held"].find_one({"parkedId": id_}, _SHOWN, session=actions.session)
    if row is not None and row["attempts"] != attempts:
        raise Refused("invalid", f"{id_} was tried meanwhile, and is {row['state']}: look at it again")
    return await _let_go(actions, act, row or {})


async def _let_go(actions: OperatorActions, act: Act, row: Row) -> LetGo:
    [told] = (await actions.perform(act))["messages"]
    into: list[str] = told.get("editedIntoAll") or ([told["editedInto"]] if "editedInto" in told else [])
    ids = [row["parkedId"], *into] if told["state"] == "waiting" else into
    held = actions.database["held"].find({"parkedId": {"$in": ids}}, _SHOWN, session=actions.session)
    # One that workers died of is a suspect.
    follows = tuple([(one["_id"], one["attempts"]) async for one in held.sort("_id", 1)])
    return LetGo(follows, into[0] if into else None)


async def outcome(database: Any, message: LetGo, timeout_seconds: float) -> Came | None:
    """Wait for what comes of a message; None when it has no outcome after so many seconds."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        came = together(message.follows, await outcomes(database, dict(message.follows)))
        if came is not None:
            return came
        if time.monotonic() > deadline:
            return None
        await asyncio.sleep(LOOK_SECONDS)


async def by_ids(database: Any, ids: Sequence[str]) -> list[Row]:
    """Messages by their parked ids, oldest first, as `record` takes them; those not held have no identity."""
    fields = {"parkedId": 1, "attempts": 1, "routingKey": 1, "reason": 1, "heldAt": 1}
    found: list[Row] = []
    for at in range(0, len(ids), WRITTEN_TOGETHER):
        which = {"parkedId": {"$in": list(ids[at : at + WRITTEN_TOGETHER])}}
        found += [row async for row in database["held"].find(which, fields)]
    found.sort(key=lambda row: (row["heldAt"], row["_id"]))
    there = {row["parkedId"] for row in found}
    return [
        {
            "parkedId": row["parkedId"],
            "identity": row["_id"],
            "attempts": row["attempts"],
            "messageType": row["routingKey"],
            "reason": row["reason"],
        }
        for row in found
    ] + [
        {"parkedId": id_, "identity": None, "attempts": 0, "messageType": "", "reason": ""}
        for id_ in dict.fromkeys(ids)
        if id_ not in there
    ]


async def record(
    database: Any,
    messages: Sequence[Mapping[str, Any]],
    *,
    by: str,
    at: datetime,
    why: str,
    filters: Mapping[str, Any],
    canary: int | None,
    rate: float | None,
    edit: Mapping[str, Any] | None = None,
) -> str:
    """Write down what a replay is to touch; returns its id. `messages` are at most `ITEMS_MAX`, oldest first.

    `edit` is what an edit of all of them changes, as whoever runs it reads it.
    """
    assert len(messages) <= ITEMS_MAX
    id_ = f"R-{uuid4().hex[:12]}"
    items = [
        {
            "_id": f"{id_}/{n:06}",
            "replay": id_,
            "n": n,
            "parkedId": message["parkedId"],
            "identity": message["identity"],
            "attempts": message["attempts"],
            "into": None,
            "state": "pending",
            "detail": "",
        }
        for n, message in enumerate(messages, 1)
    ]
    for first in range(0, len(items), WRITTEN_TOGETHER):
        await database["replayItems"].insert_many(items[first : first + WRITTEN_TOGETHER])
    # Last: a replay that is there is whole.
    await database["replays"].insert_one(
        {
            "_id": id_,
            "by": by,
            "at": at,
            "why": why,
            "filters": dict(filters),
            "canary": canary,
            "canaryWell": None,
            "rate": rate,
            "edit": None if edit is None else dict(edit),
            "total": len(items),
            "state": "stopped",
        }
    )
    return id_


async def items_of(database: Any, replay: str) -> list[Row]:
    """The items of a replay, in order."""
    which = {"_id": {"$gt": f"{replay}/", "$lt": f"{replay}0"}}
    return [row async for row in database["replayItems"].find(which).sort("_id", 1).batch_size(WRITTEN_TOGETHER)]


async def last_replays(database: Any) -> list[Row]:
    """The last replays, the newest first, at most `SHOWN_MAX`; times as answers have them."""
    rows = database["replays"].find().sort("at", -1).limit(SHOWN_MAX)
    return [{**row, "at": time_json(row["at"])} async for row in rows]


@dataclass(frozen=True, slots=True)
class Sending:
    """How a replay is done: in whose name, how fast, and how long an outcome is waited for.

    `tell` is told how many items are in each state whenever that changes; `rate` is in messages a second, None for
    the one that was recorded. `edit` makes the edit of a message, where they are not to be tried as they are; it raises
    `Refused`. `access` is what the messages' senders may do.
    """

    by: str
    timeout_seconds: float
    rate: float | None
    tell: Callable[[Counter[str]], None]
    clock: Callable[[], datetime]
    edit: EditOf | None = None
    access: Access | None = None


class Replay:
    """A replay that was recorded, begun or gone on with; its items are what the database says they are."""

    def __init__(self, store: Store, id_: str, sending: Sending) -> None:
        self._store = store
        self._id = id_
        self._how = sending
        self._why = ""
        self._rate = sending.rate
        self._pending: deque[Row] = deque()
        self._sent: dict[str, tuple[Row, float]] = {}
        self._stopping = False
        self.counts: Counter[str] = Counter()

    def stop(self) -> None:
        """Send nothing more; `run` ends soon, and what is sent is left to have its outcome."""
        self._stopping = True

    async def run(self) -> Ended:
        """Send what is pending and wait for the outcome of all that is sent; raises `Refused` (`invalid`).

        Stopped by whatever (a cancellation, the database), it can be run again.
        """
        replay = await self._store.database["replays"].find_one({"_id": self._id})
        if replay is None:
            raise Refused("invalid", f"there is no replay {self._id}")
        self._why = replay["why"]
        self._rate = self._how.rate or replay["rate"]
        try:
            await self._set(state="running")
            await self._load()
            ended = await self._run(replay)
        except BaseException:
            # It is as it is whether that can be written or not.
            with suppress(DatabaseError):
                await self._set(state="stopped")
            raise
        await self._set(state="done" if ended == "done" else "stopped")
        return ended

    async def _load(self) -> None:
        # What was found waiting when it was looked at last may be applied by now.
        which = {"_id": {"$gt": f"{self._id}/", "$lt": f"{self._id}0"}, "state": "waiting"}
        await self._store.database["replayItems"].update_many(which, {"$set": {"state": "sent"}})
        now = time.monotonic()
        for item in await items_of(self._store.database, self._id):
            self.counts[item["state"]] += 1
            if item["state"] == "pending":
                self._pending.append(item)
            elif item["state"] == "sent":
                self._sent[item["_id"]] = (item, now)
        self._how.tell(self.counts)

    async def _run(self, replay: Row) -> Ended:
        # A canary that went wrong has stopped it: whoever goes on with it knows that, and wants the rest.
        if replay["canary"] is not None and replay["canaryWell"] is None:
            ended = await self._through(replay["canary"])
            if ended != "done":
                return ended
            canary = {"_id": {"$gt": f"{self._id}/", "$lte": f"{self._id}/{replay['canary']:06}"}}
            unwell = {**canary, "state": {"$ne": "applied"}}
            well = await self._store.database["replayItems"].count_documents(unwell) == 0
            await self._set(canaryWell=well)
            if not well and self._pending:
                return "canary"
        return await self._through(replay["total"])

    async def _through(self, last: int) -> Ended:
        """Send what is pending up to the item of that number, and wait for the outcome of all that is sent."""
        begun = heard = time.monotonic()
        sent = 0
        while not self._stopping:
            if await self._look():
                heard = time.monotonic()
            room = min(TOGETHER_MAX, IN_FLIGHT_MAX - len(self._sent))
            if self._rate is not None:
                room = min(room, int((time.monotonic() - begun) * self._rate) + 1 - sent)
            items = [item for item, _ in zip(self._pending, range(room), strict=False) if item["n"] <= last]
            if items:
                await self._send(items)
                sent += len(items)
                continue
            more = bool(self._pending) and self._pending[0]["n"] <= last
            if not self._sent and not more:
                return "done"
            oldest = min((since for _, since in self._sent.values()), default=time.monotonic())
            if time.monotonic() - max(heard, oldest) > self._how.timeout_seconds:
                return "timeout"
            await asyncio.sleep(LOOK_SECONDS)
        return "stopped"

    async def _send(self, items: list[Row]) -> None:
        how = self._how
        sent = await act_on_held(self._store, how.by, how.clock(), partial(self._replay, items=items), how.access)
        for _ in items:
            self._pending.popleft()
        now = time.monotonic()
        for item in sent:
            self._count("pending", item["state"])
            if item["state"] == "sent":
                self._sent[item["_id"]] = (item, now)
        how.tell(self.counts)

    async def _replay(self, actions: OperatorActions, items: list[Row]) -> list[Row]:
        """Replay the messages of items that are still pending, and mark them; returns the items as they are now."""
        which = {"_id": {"$in": [item["_id"] for item in items]}}
        now = [
            item async for item in actions.database["replayItems"].find(which, session=actions.session).sort("_id", 1)
        ]
        held = {
            row["parkedId"]: row
            async for row in actions.database["held"].find(
                {"parkedId": {"$in": [item["parkedId"] for item in now]}}, _SHOWN, session=actions.session
            )
        }
        marks = []
        for item in now:
            if item["state"] != "pending":
                continue  # somebody else goes on with this replay too
            marked = await self._replay_one(actions, item, held.get(item["parkedId"]))
            marks.append(UpdateOne({"_id": item["_id"]}, {"$set": marked}))
            item.update(marked)
        if marks:
            await actions.database["replayItems"].bulk_write(marks, session=actions.session)
        return now

    async def _replay_one(self, actions: OperatorActions, item: Row, row: Row | None) -> Row:
        """What an item becomes: sent, or refused with what its message is now."""
        if row is None:
            applied = await actions.database["inbox"].find_one(
                {"_id": item["identity"]}, {"_id": 1}, session=actions.session
            )
            return _refused("it is applied already" if applied else "no message is held by this id")
        if row["state"] != "parked" and (self._how.edit is None or row["state"] not in OPEN):
            return _refused(f"it is {row['state']}, not parked")
        if row["attempts"] != item["attempts"]:
            return _refused(f"it was tried meanwhile, and parked again: {row['reason']}: {row['detail']}")
        try:
            let_go = await _let_go(actions, await self._act(actions, item["parkedId"]), row)
        except Refused as refusal:
            return _refused(f"{refusal.code}: {refusal.detail}")
        return {"state": "sent", "into": let_go.into, "follows": [list(one) for one in let_go.follows]}

    async def _act(self, actions: OperatorActions, id_: str) -> Act:
        if self._how.edit is None:
            return Act("replay", (id_,), self._why)
        row = await actions.database["held"].find_one({"parkedId": id_}, session=actions.session)
        letter = Letter.of(row, await whole_body(actions.database, row, actions.session))
        return Act("edit", (id_,), self._why, self._how.edit(letter))

    async def _look(self) -> int:
        """Mark the items whose outcome is known by now; returns how many."""
        follows = {id_: _follows(item) for id_, (item, _) in self._sent.items()}
        sent = {identity: attempts for each in follows.values() for identity, attempts in each}
        told = await outcomes(self._store.database, sent) if sent else {}
        found = {id_: came for id_, each in follows.items() if (came := together(each, told)) is not None}
        if found:
            marks = [UpdateOne({"_id": id_}, {"$set": came._asdict()}) for id_, came in found.items()]
            await self._store.database["replayItems"].bulk_write(marks, ordered=False)
            for id_, came in found.items():
                del self._sent[id_]
                self._count("sent", came.state)
            self._how.tell(self.counts)
        return len(found)

    def _count(self, before: str, after: str) -> None:
        self.counts[before] -= 1
        self.counts[after] += 1

    async def _set(self, **fields: Any) -> None:
        await self._store.database["replays"].update_one({"_id": self._id}, {"$set": fields})


def _follows(item: Row) -> list[tuple[str, int]]:
    # An earlier version's items go on as one.
    told = item.get("follows") or [[item["identity"], item["attempts"]]]
    return [(identity, attempts) for identity, attempts in told]


def _refused(detail: str) -> Row:
    return {"state": "refused", "detail": detail}
