"""Odd AMQP properties do no harm: what can't be decoded, or kept, of one is replaced.

pamqp raises for a timestamp beyond the year 9999 (nanoseconds, a common mistake of senders), for a short string that
is not UTF-8, and for a header table that it does not understand or that is nested too deep. The error comes up in the
connection's reader: the connection dies, every message in flight is delivered again, and so is the odd one, for ever.
The broker lets all of them through, so any sender could stop every worker.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pamqp import decode

HEADERS_DEPTH_MAX = 8

_strict_timestamp = decode.timestamp
_strict_table = decode.field_table


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    try:
        return _strict_timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _short_string(value: bytes) -> tuple[int, str]:
    length = value[0]
    text = value[1 : length + 1].decode(errors="replace")
    # One character for one byte: it is to be sent again, in a reply or an event, and may have no more than 255.
    return length + 1, text.replace("\ufffd", "?")


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return _strict_table(value)
    except (ValueError, OverflowError, RecursionError, ArithmeticError):
        # Its length stands before it, so what comes after it is found all the same.
        length = struct.unpack_from(">I", value)[0]
        return length + 4, {"undecodable": value[4 : length + 4]}


def tolerate_odd_properties() -> None:
    """Replace pamqp's decoders of the three kinds of value with ones that do not raise; for the whole process."""
    changes: dict[str, Any] = {"timestamp": _timestamp, "shortstr": _short_string, "table": _table}
    decode.METHODS.update(changes)
    decode.TABLE_MAPPING.update({b"T": _timestamp})
    decode.short_str = _short_string  # the keys of tables


def plain(value: Any, depth: int = 0) -> Any:
    """A header's value as a document can keep it."""
    if value is None or isinstance(value, bool | float | datetime):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if depth < HEADERS_DEPTH_MAX:
        if isinstance(value, Mapping):
            return {_field_name(key): plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item, depth + 1) for item in value]
    return str(value) if isinstance(value, Decimal) else repr(value)[:200]


def _field_name(key: Any) -> str:
    # MongoDB reads {"$ref", "$id"} back as something else than it was given; the full-width sign means nothing to it.
    name = str(key).replace("\x00", "�")
    return "＄" + name[1:] if name.startswith("$") else name
