"""From bytes to facts: JSON that is exact about numbers, checked for size and depth, one fact or an array of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from domain.errors import Refused
from domain.frozen import dataclass
from schemas.message import DIGEST_VERSION, Fact, Message, invalid
from schemas.messages import MESSAGES

BODY_MAX = 1024 * 1024
"""The most bytes of a body."""
DEPTH_MAX = 32
FACTS_MAX = 500
"""The most facts of one array."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One fact as it came in: its identity and, unless `refusal` says why not, what it says.

    `body` is its own bytes, of an array its own part; `message_id` likewise ends in `:<n>`. `model` is what it was read
    with, None for what can't be read.
    """

    identity: str
    routing_key: str
    message_id: str | None
    body: bytes
    digest: str
    fact: Fact | None
    refusal: Refused | None
    digest_version: int
    model: type[Message] | None = None

    def digest_in(self, version: int) -> str:
        """The digest of its content in the version in which another one was recorded, to be compared with that."""
        if version == self.digest_version or self.model is None:  # what can't be read has one of its bytes
            return self.digest
        [(value, _)] = _parts(self.body.decode())
        message: Message = self.model.__pydantic_validator__.validate_python(value)
        return message.digest(version)


def read(
    routing_key: str,
    body: bytes,
    message_id: str | None,
    headers: Mapping[str, Any],
    encoding: str | None,
    messages: Mapping[str, type[Message]] = MESSAGES,
) -> list[Incoming]:
    """The facts of a delivery, at least one; what can't be read is one without a fact, with the refusal that says why.

    `encoding` is the AMQP `content_encoding`, `messages` what is handled. Nothing is raised for what a sender can do.
    """
    model = messages.get(routing_key)
    if model is None:
        return [_unreadable(routing_key, body, message_id, Refused("unknown-type", f"nothing handles {routing_key!r}"))]
    try:
        _check_version(headers)
        parts = _parts(_text(body, encoding))
    except Refused as refusal:
        return [_unreadable(routing_key, body, message_id, refusal)]
    if len(parts) == 1 and parts[0][1] is None:
        return [_incoming(model, routing_key, body, message_id, parts[0][0])]
    return [
        _incoming(
            model, routing_key, (part or "").encode(), f"{message_id}:{n}" if message_id is not None else None, value
        )
        for n, (value, part) in enumerate(parts, 1)
    ]


def _incoming(model: type[Message], routing_key: str, body: bytes, message_id: str | None, value: Any) -> Incoming:
    if isinstance(value, Refused):
        return _unreadable(routing_key, body, message_id, value)
    try:
        # What model_validate() calls when it has looked at its options, which takes a fourteenth of an order's check.
        message = model.__pydantic_validator__.validate_python(value)
        key = message.key(message_id)
        fact = message.fact(key)
    except ValidationError as error:
        return _unreadable(routing_key, body, message_id, invalid(error))
    except Refused as refusal:
        return _unreadable(routing_key, body, message_id, refusal)
    digest = message.digest(DIGEST_VERSION)
    return Incoming(f"{routing_key}:{key}", routing_key, message_id, body, digest, fact, None, DIGEST_VERSION, model)


def _unreadable(routing_key: str, body: bytes, message_id: str | None, refusal: Refused) -> Incoming:
    digest = sha256(routing_key.encode(errors="surrogatepass") + b"\0" + body).hexdigest()
    return Incoming(f"unreadable:{digest}", routing_key, message_id, body, digest, None, refusal, DIGEST_VERSION)


def _check_version(headers: Mapping[str, Any]) -> None:
    version = headers.get("schema-version", 1)
    if version not in (1, "1"):
        raise Refused("invalid", f"header schema-version: {version!r:.40} is not known, only 1 is")


def _text(body: bytes, encoding: str | None) -> str:
    if len(body) > BODY_MAX:
        raise Refused("malformed", f"the body has {len(body)} bytes, more than {BODY_MAX}")
    if encoding and encoding.lower() not in ("utf-8", "utf8", "identity"):
        raise Refused("malformed", f"content_encoding {encoding[:40]!r}: only UTF-8 is read")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused("malformed", f"the body is not UTF-8: byte {error.start}") from None


def _number(text: str) -> Decimal | float:
    # A decimal keeps what was written. One with an exponent is no decimal of the contract: a float marks it as such,
    # and can't become a number of a billion digits.
    return float(text) if "e" in text or "E" in text else Decimal(text)


def _integer(text: str) -> int | Decimal:
    # Python turns no more than 4,300 digits into an int; as a decimal they are refused where they stand.
    return int(text) if len(text) <= 400 else Decimal(text)


def _constant(text: str) -> float:
    # NaN and the infinities: no field takes them, so the message is `invalid` and its neighbours are not.
    return float(text)


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)
_SPACE = re.compile(r"[ \t\n\r]*")


def _parts(text: str) -> list[tuple[Any, str | None]]:
    """The value of a text, or each value of an array with its own text; a `Refused` stands for one that can't be read.

    Raises `Refused` when the text as a whole can't be.
    """
    try:
        at = _space(text, 0)
        if text[at : at + 1] != "[":
            value, at = _value(text, at)
            parts: list[tuple[Any, str | None]] = [(value, None)]
        else:
            parts = []
            at = _space(text, at + 1)
            if text[at : at + 1] == "]":
                raise Refused("invalid", "the array holds no fact")
            for n in range(FACTS_MAX + 1):
                if n == FACTS_MAX:
                    raise Refused("invalid", f"the array holds more than {FACTS_MAX} facts")
                value, end = _value(text, at)
                parts.append((value, text[at:end]))
                at = _space(text, end)
                if text[at : at + 1] == "]":
                    at += 1
                    break
                if text[at : at + 1] != ",":
                    raise Refused("malformed", f"not JSON: ',' or ']' expected at character {at}")
                at = _space(text, at + 1)
        if _space(text, at) != len(text):
            raise Refused("malformed", f"not JSON: something follows its end at character {at}")
        return parts
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"not JSON: {str(error)[:200]}") from None


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, at: int) -> tuple[Any, int]:
    value, end = _DECODER.raw_decode(text, at)
    # Without that many brackets it can't be that deep; most messages stop here.
    if text.count("{", at, end) + text.count("[", at, end) > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        return Refused("malformed", f"nested deeper than {DEPTH_MAX}"), end
    return value, end


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
