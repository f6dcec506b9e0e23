"""What all events share: how one is declared, and what one is when it is ready to be published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeVar

from domain.frozen import dataclass
from schemas.shapes import Shape
from schemas.values import Json

T = TypeVar("T")

SHAPES: dict[str, Shape] = {
    "Envelope": {
        "eventId": str,
        "eventType": str,
        "eventTime": "Time",
        "correlationId": str,
        "event": dict,
    },
}
"""What every event's body holds."""


@dataclass(frozen=True, slots=True)
class TmfTypes(Generic[T]):
    """What TMF calls an event: `names` by the type of the resource that it is about, which `resource` tells."""

    resource: Callable[[T], str]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """An event that goes out: all that there is to say of it. Its capability lists it in `EVENTS`.

    What the domain emits as a `kind` goes out under `routing_key`, as `render` makes it; `shape` is what that is like.
    Where one kind goes out under several keys, `fits` says which of its events this one is. `tmf` is what TMF666 calls
    it, None if it knows no such event. Events are numbered by account, unless they are not `of_account`. With
    `tells_cause`, the identity of the fact that caused it is added as `cause`. `document` is the field that holds a
    client's document whole, if one does: it may be large.
    """

    routing_key: str
    kind: type[T]
    summary: str
    shape: Shape
    render: Callable[[T], Json]
    fits: Callable[[T], bool] | None = None
    tmf: TmfTypes[T] | None = None
    of_account: bool = True
    tells_cause: bool = False
    document: str | None = None


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event ready to be published: `message_id` is stable however often that happens.

    `account` and `sequence` are its place in its account's events, None for what is no account's.
    """

    message_id: str
    routing_key: str
    body: bytes
    correlation_id: str
    causation_id: str
    account: str | None
    sequence: int | None
    booked_at: datetime
