"""From bytes to JSON that is exact about numbers and checked for size and depth; what it says is for others to read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from domain.errors import Refused

BODY_MAX = 1024 * 1024
"""The most bytes of a body."""
DEPTH_MAX = 32
FACTS_MAX = 500
"""The most facts of one array."""


def check_version(headers: Mapping[str, Any]) -> None:
    """Raises `Refused` (`invalid`) for a header `schema-version` that we do not know."""
    version = headers.get("schema-version", 1)
    if version not in (1, "1"):
        raise Refused("invalid", f"header schema-version: {version!r:.40} is not known, only 1 is")


def text_of(body: bytes, encoding: str | None) -> str:
    """The text of a body of the AMQP `content_encoding` `encoding`; raises `Refused` (`malformed`)."""
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


def parts_of(text: str) -> list[tuple[Any, str | None]]:
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


def value_of(text: str) -> Any:
    """The one value of a text; raises `Refused` (`malformed`) for what is no JSON, or too deep."""
    try:
        value, at = _value(text, _space(text, 0))
        if _space(text, at) != len(text):
            raise Refused("malformed", f"not JSON: something follows its end at character {at}")
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"not JSON: {str(error)[:200]}") from None
    if isinstance(value, Refused):
        raise value
    return value


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
