"""From bytes to facts: one fact, or an array of them, each read by the message that its routing key names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from domain.errors import Refused
from domain.frozen import dataclass
from schemas.message import DIGEST_VERSION, InternalMessage, Message, invalid
from schemas.messages import MESSAGES
from schemas.values import ID, INTEGER_MAX, is_id
from schemas.wire import BODY_MAX, check_version, parts_of, text_of

UNREADABLE = "unreadable:"
"""What the identity of a message that can't be read begins with."""
FORBIDDEN = "forbidden:"
"""The same of one that its sender may not send: it is not read, and takes no identity of a fact."""


def was_not_read(identity: str) -> bool:
    """Whether what is held under an identity was never read into a fact."""
    return identity.startswith((UNREADABLE, FORBIDDEN))


@dataclass(frozen=True, slots=True)
class Incoming:
    """One fact as it came in: its identity and, unless `refusal` says why not, what it says as a fact of the domain's.

    `body` is its own bytes, packed as `encoding` says, of an array its own part, not packed; `message_id` likewise ends
    in `:<n>`. `model` is what it was read with, None for what can't be read. `key` is the business key, and `account`
    the account that it is about: of what is refused they are told too, where they can be read. Of what fits the domain
    tells the account. `if_new` is why it is refused unless its identity is known.
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
    key: str | None = None
    account: str | None = None
    encoding: str | None = None
    if_new: Refused | None = None

    def refused_as_new(self) -> Incoming:
        """What it is when its identity is not known, and it may not come in now: like what can't be read."""
        assert self.if_new is not None
        names = self.key, self.account
        return _unreadable(self.routing_key, self.body, self.message_id, self.if_new, names, self.encoding)

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
        names = _names_in(_plain(body, encoding), None, message_id)
        return [_unreadable(routing_key, body, message_id, refusal, names, encoding)]
    try:
        text = text_of(body, encoding)
        check_version(headers)
        parts = parts_of(text, accepted=accepted)
    except Refused as refusal:
        names = _names_in(_plain(body, encoding), model, message_id)
        return [_unreadable(routing_key, body, message_id, refusal, names, encoding)]
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


def said(message: InternalMessage) -> Incoming:
    """The fact that a message of ours says, as it is read of its bytes: it was checked as it was made."""
    key = message.key(None)
    body = message.model_dump_json(by_alias=True, exclude_none=True).encode()
    digest = message.digest(DIGEST_VERSION)
    return Incoming(
        f"{message.TYPE}:{key}",
        message.TYPE,
        None,
        body,
        digest,
        message.fact(key),
        None,
        DIGEST_VERSION,
        type(message),
        key,
    )


def forbidden(
    routing_key: str,
    body: bytes,
    message_id: str | None,
    encoding: str | None,
    sender: tuple[str | None, ...],
    refusal: Refused,
) -> Incoming:
    """A delivery that its `sender` (who sent it, and for whom) may not send, whole, and not read.

    Its identity is made of the sender too: of two who may not send something each has its own.
    """
    names = _names_in(_plain(body, encoding), MESSAGES.get(routing_key), message_id)
    parts = ["" if part is None else f"{len(part)}:{part}" for part in (*sender, routing_key)]
    digest = sha256("\0".join(parts).encode(errors="surrogatepass") + b"\0" + body).hexdigest()
    return Incoming(
        FORBIDDEN + digest, routing_key, message_id, body, digest, None, refusal, DIGEST_VERSION, None, *names, encoding
    )


def _plain(body: bytes, encoding: str | None) -> str | bytes:
    """The text of a body if it can be unpacked, to look for names in it."""
    try:
        return text_of(body, encoding)
    except Refused:
        return body


def faults(routing_key: str, text: str, messages: Mapping[str, type[Message]] = MESSAGES) -> int:
    """How many things do not fit in the facts of a text; none of a type that nobody knows, which says what fits."""
    model = messages.get(routing_key)
    if model is None:
        return 0
    try:
        parts = parts_of(text)
    except Refused:
        return 1
    return sum(_faults_of(model, value) for value, _ in parts)


def _faults_of(model: type[Message], value: Any) -> int:
    if isinstance(value, Refused):
        return 1
    try:
        # Whatever its id will be: that is no fault of the text.
        message = model.__pydantic_validator__.validate_python(value)
        message.fact("m")
        message.check_new()
    except ValidationError as error:
        return error.error_count()
    except Refused as refusal:
        return 1 + refusal.detail.count("; ")
    return 0


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
    try:
        if isinstance(value, Refused):
            raise value
        # What model_validate() calls when it has looked at its options, which takes a fourteenth of an order's check.
        message = model.__pydantic_validator__.validate_python(value)
        key = message.key(message_id)
        fact = message.fact(key)
    except ValidationError as error:
        refusal = invalid(error)
    except Refused as error:
        refusal = error
    else:
        if_new = None
        if not accepted:
            try:
                message.check_new()
            except Refused as error:
                if_new = error
        return Incoming(
            f"{routing_key}:{key}",
            routing_key,
            message_id,
            body,
            message.digest(DIGEST_VERSION),
            fact,
            None,
            DIGEST_VERSION,
            model,
            key,
            None if if_new is None else _names_of(value, model, message_id)[1],
            encoding,
            if_new,
        )
    if isinstance(value, Refused):
        names = _names_in(_plain(body, encoding), model, message_id)
    else:
        names = _names_of(value, model, message_id)
    return _unreadable(routing_key, body, message_id, refusal, names, encoding)


_Names = tuple[str | None, str | None]
"""The business key and the account of what can't be read as a whole."""


def _unreadable(
    routing_key: str, body: bytes, message_id: str | None, refusal: Refused, names: _Names, encoding: str | None
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
        None,
        *names,
        encoding,
    )


# Of a type that nobody knows: fields that mean the same in every message that has them.
_KEY_FIELDS = tuple(sorted({model.KEY_FIELD for model in MESSAGES.values() if model.KEY_FIELD} - {"id"}))
_ACCOUNT_PATHS = tuple(sorted({model.ACCOUNT_PATH for model in MESSAGES.values() if model.ACCOUNT_PATH} - {"id"}))


def _paths(model: type[Message] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if model is None:
        return _KEY_FIELDS, _ACCOUNT_PATHS
    return (model.KEY_FIELD,) if model.KEY_FIELD else (), (model.ACCOUNT_PATH,) if model.ACCOUNT_PATH else ()


def _names_of(value: Any, model: type[Message] | None, message_id: str | None) -> _Names:
    """The business key and the account of a value that does not fit, each as far as it can be read."""
    if not isinstance(value, dict):
        return _key_by_message(model, message_id), None
    keys, accounts = _paths(model)
    key = _the_one(_at(value, path) for path in keys) or _key_by_message(model, message_id)
    return key, _the_one(_at(value, path) for path in accounts)


def _key_by_message(model: type[Message] | None, message_id: str | None) -> str | None:
    # An id that is left out is left to us, and is made of the message's.
    return message_id if model is not None and model.KEY_FIELD in (None, "id") and is_id(message_id) else None


def _at(value: Any, path: str) -> str | None:
    for step in path.split("."):
        # Whoever writes an account where its reference should be says which one it is all the same.
        if isinstance(value, dict):
            value = value.get(step)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX:
        value = str(value)
    return value if is_id(value) else None


def _names_in(body: str | bytes, model: type[Message] | None, message_id: str | None) -> _Names:
    """The same of a text that may be no JSON: a name that stands there once, or each time alike."""
    text = body if isinstance(body, str) else body[:BODY_MAX].decode(errors="replace")
    try:
        parts = parts_of(text)
    except Refused:
        parts = []
    if parts and not any(isinstance(value, Refused) for value, _ in parts):
        found = [_names_of(value, model, message_id) for value, _ in parts]
        return _the_one(key for key, _ in found), _the_one(account for _, account in found)
    keys, accounts = _paths(model)
    return _the_one(_scanned(text, keys)) or _key_by_message(model, message_id), _the_one(_scanned(text, accounts))


def _scanned(text: str, paths: Iterable[str]) -> Iterator[str | None]:
    for path in paths:
        *outer, last = path.split(".")
        # Within a few characters, so that a hostile text takes no more than its length.
        around = "".join(rf'"{step}"\s{{0,9}}:\s{{0,9}}\{{[^{{}}]{{0,200}}?' for step in outer)
        for match in re.finditer(
            rf'{around}"{last}"\s{{0,9}}:\s{{0,9}}"?({ID.pattern})(?=["\s,}}\]]|$)', text, re.ASCII
        ):
            yield match[1]


def _the_one(found: Iterable[str | None]) -> str | None:
    different = {name for name in found if name is not None}
    return different.pop() if len(different) == 1 else None
