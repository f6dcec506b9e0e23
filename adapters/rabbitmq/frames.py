"""The AMQP frames of an event and of a delivery, written and read by hand: nearly all frames are one of these.

The library's marshaller looks up a field's type and its encoder by name for each property of each frame, which was a
sixth of an order's CPU time. What these functions write and read is held against the library's own by tests; what is
rare (the other methods, tables of headers) is left to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from pamqp import decode

from adapters.rabbitmq.tolerance import plain
from adapters.records import Properties
from domain.frozen import dataclass

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
FRAME_HEAD = Struct(">BHI")
"""Type, channel and size of what follows; after that comes `END`."""
HEARTBEAT_FRAME = FRAME_HEAD.pack(HEARTBEAT, 0, 0) + END
DELIVER = b"\x00\x3c\x00\x3c"
"""What a `Basic.Deliver` begins with: class 60, method 60."""

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"
_MANDATORY = b"\x01"
_CONTENT_HEAD = Struct(">HHQH")
_BASIC = 60
_LONG = Struct(">I")
_LONG_LONG = Struct(">Q")
_SIGNED = Struct(">i")
_SIGNED_LONG = Struct(">q")
_SHORT_MAX = 255
_BYTES = [bytes((value,)) for value in range(_SHORT_MAX + 1)]
_PERSISTENT = b"\x02"

# A property's bit in the flags, in the order in which properties stand.
_CONTENT_TYPE = 1 << 15
_CONTENT_ENCODING = 1 << 14
_HEADERS = 1 << 13
_DELIVERY_MODE = 1 << 12
_PRIORITY = 1 << 11
_CORRELATION_ID = 1 << 10
_REPLY_TO = 1 << 9
_EXPIRATION = 1 << 8
_MESSAGE_ID = 1 << 7
_TIMESTAMP = 1 << 6
_TYPE = 1 << 5
_USER_ID = 1 << 4
_APP_ID = 1 << 3
_CLUSTER_ID = 1 << 2
_OF_EVENTS = _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _CORRELATION_ID | _MESSAGE_ID | _TIMESTAMP | _TYPE | _APP_ID


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to publish, persistent; no other message under way may have its `message_id`.

    The values of `headers` are texts and integers.
    """

    routing_key: str
    type: str
    message_id: str
    correlation_id: str
    timestamp: datetime
    headers: Mapping[str, str | int]
    body: bytes


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > _SHORT_MAX:
        raise ValueError(f"{text[:40]!r} has {len(data)} bytes, and AMQP takes {_SHORT_MAX}")
    return _BYTES[len(data)] + data


_known = lru_cache(maxsize=1_024)(_short)
"""The same of texts that come again and again: names, not ids."""

_JSON = _short("application/json")
_PAYMASTER = _short("paymaster")


def _value(value: str | int) -> bytes:
    if isinstance(value, str):
        data = value.encode()
        return b"S" + _LONG.pack(len(data)) + data
    return b"I" + _SIGNED.pack(value) if -(2**31) <= value < 2**31 else b"l" + _SIGNED_LONG.pack(value)


def publish_frames(channel: int, exchange: str, message: Outgoing, frame_max: int) -> bytes:
    """The frames of one mandatory publish; `frame_max` is the most bytes of a frame's content.

    Raises `ValueError` for what AMQP can't say: a text of more than 255 bytes, or one that is not Unicode.
    """
    method = b"".join((_PUBLISH, _known(exchange), _known(message.routing_key), _MANDATORY))
    table = b"".join([_known(name) + _value(value) for name, value in message.headers.items()])
    body = message.body
    content = b"".join(
        (
            _CONTENT_HEAD.pack(_BASIC, 0, len(body), _OF_EVENTS),
            _JSON,
            _LONG.pack(len(table)),
            table,
            _PERSISTENT,
            _short(message.correlation_id),
            _short(message.message_id),
            _LONG_LONG.pack(int(message.timestamp.timestamp())),
            _known(message.type),
            _PAYMASTER,
        )
    )
    if len(body) <= frame_max:
        parts = [body] if body else []
    else:
        parts = [body[at : at + frame_max] for at in range(0, len(body), frame_max)]
    pack = FRAME_HEAD.pack
    frames = [pack(METHOD, channel, len(method)), method, END, pack(HEADER, channel, len(content)), content, END]
    for part in parts:
        frames += (pack(BODY, channel, len(part)), part, END)
    return b"".join(frames)


class Deliver(NamedTuple):
    """What a `Basic.Deliver` says."""

    tag: int
    redelivered: bool
    routing_key: str


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A short string and where it ends; what is not UTF-8 in it is one `?` for each byte (see `tolerance`)."""
    end = at + 1 + data[at]
    try:
        return data[at + 1 : end].decode(), end
    except UnicodeDecodeError:
        return data[at + 1 : end].decode(errors="replace").replace("\ufffd", "?"), end


def read_deliver(payload: bytes) -> Deliver:
    """The payload of a `Basic.Deliver` frame."""
    at = 5 + payload[4]  # behind the consumer's tag
    (tag,) = _LONG_LONG.unpack_from(payload, at)
    redelivered = payload[at + 8] & 1 == 1
    at += 9
    at += 1 + payload[at]  # the exchange
    return Deliver(tag, redelivered, _text(payload, at)[0])


def read_header(payload: bytes) -> tuple[int, Properties]:
    """The payload of a content header: how many bytes the body has, and the message's properties."""
    _class, _weight, size, flags = _CONTENT_HEAD.unpack_from(payload)
    at = _CONTENT_HEAD.size

    # Most messages have three of these properties: nothing is called for the others.
    def text() -> str:
        nonlocal at
        value, at = _text(payload, at)
        return value

    def octet() -> int:
        nonlocal at
        at += 1
        return payload[at - 1]

    content_type = text() if flags & _CONTENT_TYPE else None
    content_encoding = text() if flags & _CONTENT_ENCODING else None
    headers: dict[str, Any] = {}
    if flags & _HEADERS:
        length, table = decode.METHODS["table"](payload[at:])
        headers = plain(table)
        at += length
    delivery_mode = octet() if flags & _DELIVERY_MODE else None
    priority = octet() if flags & _PRIORITY else None
    correlation_id = text() if flags & _CORRELATION_ID else None
    reply_to = text() if flags & _REPLY_TO else None
    expiration = text() if flags & _EXPIRATION else None
    message_id = text() if flags & _MESSAGE_ID else None
    timestamp: datetime | None = None
    if flags & _TIMESTAMP:
        length, moment = decode.METHODS["timestamp"](payload[at : at + 8])
        at += length
        timestamp = moment if isinstance(moment, datetime) else None
    message_type = text() if flags & _TYPE else None
    user_id = text() if flags & _USER_ID else None
    return size, Properties(
        message_id,
        correlation_id,
        reply_to,
        content_type,
        content_encoding,
        user_id,
        text() if flags & _APP_ID else None,
        message_type,
        timestamp,
        headers,
        expiration,
        priority,
        delivery_mode,
    )
