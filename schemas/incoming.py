"""From bytes to facts: one fact, or an array of them, each read by the message that its routing key names."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from domain.errors import Refused
from domain.frozen import dataclass
from schemas.message import DIGEST_VERSION, Message, invalid
from schemas.messages import MESSAGES
from schemas.wire import check_version, parts_of, text_of

UNREADABLE = "unreadable:"
"""What the identity of a message that can't be read begins with."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One fact as it came in: its identity and, unless `refusal` says why not, what it says as a fact of the domain's.

    `body` is its own bytes, packed as `encoding` says, of an array its own part, not packed; `message_id` likewise ends
    in `:<n>`. `model` is what it was read with, None for what can't be read. `if_new` is why it is refused unless its
    identity is known.
    """

    identity: str
    routing_key: str
    message_id: str | None
    body: bytes
    digest: str
    fact: object
    refusal: Refused | None
    digest_version: int
    model: type[Message] | None = None
    encoding: str | None = None
    if_new: Refused | None = None

    def refused_as_new(self) -> Incoming:
        """What it is when its identity is not known, and it may not come in now: like what can't be read."""
        assert self.if_new is not None
        return _unreadable(self.routing_key, self.body, self.message_id, self.if_new, self.encoding)

    def digest_in(self, version: int) -> str:
        """The digest of its content in the version in which another one was recorded, to be compared with that."""
        if version == self.digest_version or self.model is None:  # what can't be read has one of its bytes
            return self.digest
        [(value, _)] = parts_of(text_of(self.body, self.encoding), accepted=True)
        message: Message = self.model.__pydantic_validator__.validate_python(value)
        return message.digest(version)


def read(
    routing_key: str,
    body: bytes,
    message_id: str | None,
    headers: Mapping[str, Any],
    encoding: str | None,
    messages: Mapping[str, type[Message]] = MESSAGES,
    *,
    accepted: bool = False,
) -> list[Incoming]:
    """The facts of a delivery, at least one; what can't be read is one without a fact, with the refusal that says why.

    `encoding` is the AMQP `content_encoding`, `messages` what is handled. What was taken in before is `accepted`: what
    is asked at the door since, or in another way, is not asked of it. Nothing is raised for what a sender can do.
    """
    model = messages.get(routing_key)
    if model is None:
        refusal = Refused("unknown-type", f"nothing handles {routing_key!r}")
        return [_unreadable(routing_key, body, message_id, refusal, encoding)]
    try:
        check_version(headers)
        parts = parts_of(text_of(body, encoding), accepted=accepted)
    except Refused as refusal:
        return [_unreadable(routing_key, body, message_id, refusal, encoding)]
    if len(parts) == 1 and parts[0][1] is None:
        return [_incoming(model, routing_key, body, message_id, parts[0][0], encoding, accepted=accepted)]
    return [
        _incoming(
            model,
            routing_key,
            (part or "").encode(),
            f"{message_id}:{n}" if message_id is not None else None,
            value,
            None,
            accepted=accepted,
        )
        for n, (value, part) in enumerate(parts, 1)
    ]


def _incoming(
    model: type[Message],
    routing_key: str,
    body: bytes,
    message_id: str | None,
    value: Any,
    encoding: str | None,
    *,
    accepted: bool,
) -> Incoming:
    if isinstance(value, Refused):
        return _unreadable(routing_key, body, message_id, value, encoding)
    try:
        # What model_validate() calls when it has looked at its options, which takes a fourteenth of an order's check.
        message = model.__pydantic_validator__.validate_python(value)
        key = message.key(message_id)
        fact = message.fact(key)
    except ValidationError as error:
        return _unreadable(routing_key, body, message_id, invalid(error), encoding)
    except Refused as refusal:
        return _unreadable(routing_key, body, message_id, refusal, encoding)
    if_new = None
    if not accepted:
        try:
            message.check_new()
        except Refused as refusal:
            if_new = refusal
    identity = f"{routing_key}:{key}"
    digest = message.digest(DIGEST_VERSION)
    return Incoming(
        identity, routing_key, message_id, body, digest, fact, None, DIGEST_VERSION, model, encoding, if_new
    )


def _unreadable(
    routing_key: str, body: bytes, message_id: str | None, refusal: Refused, encoding: str | None = None
) -> Incoming:
    digest = sha256(routing_key.encode(errors="surrogatepass") + b"\0" + body).hexdigest()
    return Incoming(
        UNREADABLE + digest,
        routing_key,
        message_id,
        body,
        digest,
        None,
        refusal,
        DIGEST_VERSION,
        encoding=encoding,
    )
