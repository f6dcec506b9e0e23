"""Odd AMQP properties do no harm: what can't be decoded of one is replaced, instead of ending the connection.

pamqp raises for a timestamp beyond the year 9999 (nanoseconds, a common mistake of senders), for a short string that
is not UTF-8, and for a header table that it does not understand or that is nested too deep. The error comes up in the
connection's reader: the connection dies, every message in flight is delivered again, and so is the odd one, for ever.
The broker lets all of them through, so any sender could stop every worker.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

from pamqp import decode

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
