"""What is kept of each message beside its effect: the inbox row of an applied fact, the held row of any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from hashlib import sha256
from typing import Any

from domain.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Properties:
    """The AMQP properties of a message that came in; `headers` hold only what a document can keep."""

    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    user_id: str | None = None
    app_id: str | None = None
    type: str | None = None
    timestamp: datetime | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    expiration: str | None = None
    priority: int | None = None
    delivery_mode: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Who wants to be told the outcome."""

    queue: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class InboxRow:
    """An identity that was applied, with its content's digest and what came of it: never deleted.

    `acting_user` is for whom its sender spoke, if that is a gateway that said so.
    """

    identity: str
    digest: str
    digest_version: int
    result: Mapping[str, Any]
    applied_at: datetime
    attempts: int
    correlation_id: str
    properties: Properties
    acting_user: str | None = None


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A message that is not applied: it waits, or an operator has to look.

    `attempts` counts how often it was taken up; `due_at` is when it is taken up again unless what it `waits_for`
    appears first. `deaths` counts the claims that ended without an outcome. `waiting_since` is when an operator let it
    wait anew. `place` is where it failed: fields that do not fit, or a function of ours.
    """

    identity: str
    state: str
    routing_key: str
    body: bytes
    properties: Properties
    correlation_id: str
    digest: str
    digest_version: int
    reason: str
    detail: str
    attempts: int
    held_at: datetime
    failed_at: datetime
    due_at: datetime | None = None
    waits_for: str | None = None
    traceback: str | None = None
    account: str | None = None
    replies: tuple[ReplyTo, ...] = ()
    deaths: int = 0
    waiting_since: datetime | None = None
    place: str = ""
    exception: str | None = None
    worker: str = ""
    business_key: str | None = None

    @property
    def parked_id(self) -> str:
        """The short name that operators use. It is derived from the identity, so every worker derives the same one."""
        return parked_id(self.identity)

    @property
    def group(self) -> str:
        """The fingerprint of its failure: the same for messages of one type that failed for one reason in one place."""
        return f"G-{sha256(chr(10).join((self.reason, self.routing_key, self.place)).encode()).hexdigest()[:10]}"


def parked_id(identity: str) -> str:
    """The short name of a held message."""
    return f"P-{sha256(identity.encode(errors='surrogatepass')).hexdigest()[:20]}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of an identity: the inbox row's result, or the held row's state and reason.

    `done` says what was done with one that is discarded or mended.
    """

    digest: str
    digest_version: int
    state: str
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    attempts: int = 0
    replies: int = 0
    message_id: str | None = None
    done: str = ""
