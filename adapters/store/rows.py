"""The records kept beside the books (inbox, held, outbox) as MongoDB keeps them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import from_json

from adapters.accounts.documents import owner_of
from adapters.records import HeldRow, InboxRow, Properties, ReplyTo, parked_id
from adapters.storable import restored, storable
from adapters.values import LARGE, cut_out, put_back, put_together, take_out
from schemas.event import OutgoingEvent
from schemas.events import EVENTS

BODY_PIECE = 8 * 1024 * 1024
"""A held body above this many bytes is kept in pieces beside its row: a document holds 16 MiB."""


def piece_key(identity: str, n: int) -> dict[str, Any]:
    """The key of the n-th piece of a body that is kept in pieces."""
    return {"held": identity, "n": n}


def piece_keys(row: HeldRow) -> list[dict[str, Any]]:
    """The keys of the pieces that a body is kept in; none when it fits its row."""
    return (
        [piece_key(row.identity, n) for n in range(-(-len(row.body) // BODY_PIECE))]
        if len(row.body) > BODY_PIECE
        else []
    )


def _properties(p: Properties) -> dict[str, Any]:
    return {
        "messageId": p.message_id,
        "correlationId": p.correlation_id,
        "replyTo": p.reply_to,
        "contentType": p.content_type,
        "contentEncoding": p.content_encoding,
        "userId": p.user_id,
        "appId": p.app_id,
        "type": p.type,
        "timestamp": p.timestamp,
        "expiration": p.expiration,
        "priority": p.priority,
        "deliveryMode": p.delivery_mode,
    }


def inbox_row(row: InboxRow, values: dict[str, bytes]) -> dict[str, Any]:
    """The row of an applied fact; what is large of a document in its result is put into `values`, by id."""
    result: dict[str, Any] = {}
    places: list[dict[str, Any]] = []
    for name, item in row.result.items():
        # Most are texts, and whether those are mappings takes longer to tell.
        if not isinstance(item, str) and isinstance(item, Mapping):
            # The result's own fields are named by us, those of a document within it by whoever sent that.
            kept, taken = take_out(item, owner_of(item), values)
            result[name] = storable(kept)
            places += [{"in": name, **place} for place in taken]
        else:
            result[name] = item
    made = {
        "_id": row.identity,
        "digest": row.digest,
        "digestVersion": row.digest_version,
        "messageId": row.properties.message_id,
        "correlationId": row.correlation_id,
        "userId": row.properties.user_id,
        "appId": row.properties.app_id,
        "sentAt": row.properties.timestamp,
        "appliedAt": row.applied_at,
        "attempts": row.attempts,
        "result": result,
    }
    if row.acting_user is not None:
        made["actingUser"] = row.acting_user
    if places:
        made["values"] = places
    return made


def to_result(row: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a sender was told, from the row of the applied fact and what is in its values; raises `ValueLost`."""
    result = {name: restored(item) if isinstance(item, bytes) else item for name, item in row["result"].items()}
    places = row.get("values", ())
    for name in dict.fromkeys(place["in"] for place in places):
        result[name] = put_back(result[name], [place for place in places if place["in"] == name], values)
    return result


def verdict(row: HeldRow) -> dict[str, Any]:
    """What an attempt changes of a held row."""
    return {
        "state": row.state,
        "reason": row.reason,
        "detail": row.detail,
        "traceback": row.traceback,
        "waitsFor": row.waits_for,
        "failedAt": row.failed_at,
        "dueAt": row.due_at,
        "claimedUntil": None,
        "group": row.group,
        "place": row.place,
        "exception": row.exception,
        "worker": row.worker,
    }


def held_row(row: HeldRow) -> dict[str, Any]:
    """The row of a message that is not applied."""
    return {
        "_id": row.identity,
        "parkedId": parked_id(row.identity),
        "routingKey": row.routing_key,
        "messageId": row.properties.message_id,
        "correlationId": row.correlation_id,
        "body": row.body,
        "properties": _properties(row.properties),
        "headers": row.properties.headers,
        "digest": row.digest,
        "digestVersion": row.digest_version,
        "attempts": row.attempts,
        "heldAt": row.held_at,
        "account": row.account,
        "businessKey": row.business_key,
        "deaths": row.deaths,
        "waitingSince": row.waiting_since,
        "replies": [{"replyTo": to.queue, "correlationId": to.correlation_id} for to in row.replies],
        **verdict(row),
    }


def to_held(row: dict[str, Any]) -> HeldRow:
    """A held message, from its row."""
    p = row["properties"]
    return HeldRow(
        identity=row["_id"],
        state=row["state"],
        routing_key=row["routingKey"],
        body=bytes(row["body"]),
        properties=Properties(
            p["messageId"],
            p["correlationId"],
            p["replyTo"],
            p["contentType"],
            p["contentEncoding"],
            p["userId"],
            p["appId"],
            p["type"],
            p["timestamp"],
            row["headers"],
            p["expiration"],
            p["priority"],
            p["deliveryMode"],
        ),
        correlation_id=row["correlationId"],
        digest=row["digest"],
        digest_version=row["digestVersion"],
        reason=row["reason"],
        detail=row["detail"],
        attempts=row["attempts"],
        held_at=row["heldAt"],
        failed_at=row["failedAt"],
        due_at=row["dueAt"],
        waits_for=row["waitsFor"],
        traceback=row["traceback"],
        account=row["account"],
        deaths=row["deaths"],
        replies=tuple(ReplyTo(to["replyTo"], to["correlationId"]) for to in row["replies"]),
        waiting_since=row["waitingSince"],
        place=row["place"],
        exception=row["exception"],
        worker=row["worker"],
        business_key=row["businessKey"],
    )


def event_row(event: OutgoingEvent, values: dict[str, bytes]) -> dict[str, Any]:
    """The row of an event that is still to be sent; what is large of a document in it is put into `values`, by id."""
    left, places = _cut_out(event, values) if len(event.body) > LARGE else (event.body, [])
    row = {
        "_id": event.message_id,
        "routingKey": event.routing_key,
        "body": left,
        "correlationId": event.correlation_id,
        "causationId": event.causation_id,
        "bookedAt": event.booked_at,
        "unsent": True,
    }
    if event.account is not None:
        row["account"] = event.account
        row["sequence"] = event.sequence
    if places:
        row["size"] = len(event.body)
        row["values"] = places
    return row


def _cut_out(event: OutgoingEvent, values: dict[str, bytes]) -> tuple[bytes, list[dict[str, Any]]]:
    field = EVENTS[event.routing_key].document
    if field is None:
        return event.body, []
    document = from_json(event.body)["event"][field]
    return cut_out(event.body, document, owner_of(document), values)


EVENT_SIZE = {"$ifNull": ["$size", {"$binarySize": "$body"}]}
"""How many bytes an event's body has, as an expression on its row."""


def event_size(row: Mapping[str, Any]) -> int:
    """The same, of a row that was read."""
    size: int = row.get("size", len(row["body"]))
    return size


def to_event(row: dict[str, Any], values: Mapping[str, bytes]) -> OutgoingEvent:
    """An event, from its row and the JSON of its values; raises `ValueLost`."""
    return OutgoingEvent(
        row["_id"],
        row["routingKey"],
        put_together(bytes(row["body"]), row.get("values", ()), values),
        row["correlationId"],
        row["causationId"],
        cast("str | None", row.get("account")),
        cast("int | None", row.get("sequence")),
        row["bookedAt"],
    )


async def whole_body(database: Any, row: dict[str, Any], session: Any = None) -> bytes:
    """The body of a held row as it was received, from its pieces if it is kept in some."""
    if not row.get("pieces"):
        return bytes(row["body"])
    keys = [piece_key(row["_id"], n) for n in range(row["pieces"])]
    pieces = database["heldBodies"].find({"_id": {"$in": keys}}, session=session).sort("_id", 1)
    return b"".join([bytes(piece["data"]) async for piece in pieces])


def done_with(row: dict[str, Any]) -> str:
    """What was done with a held row, in words; nothing of one that is still open."""
    if row["state"] == "discarded" and (gone := row.get("discarded")):
        return f"discarded by {gone['by']} on {gone['at']:%Y-%m-%d}: {gone['why']}"
    if row["state"] == "mended":
        return f"mended by an operator: it goes on as {row['editedInto']}"
    return ""
