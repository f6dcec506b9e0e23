"""From bytes to JSON that is exact about numbers and checked for size and depth; what it says is for others to read."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Generator, Mapping
from decimal import Decimal
from typing import Any

from domain.errors import Refused
from schemas.values import shown

BODY_MAX = 1024 * 1024
"""The most bytes of a body."""
DEPTH_MAX = 32
FACTS_MAX = 500
"""The most facts of one array."""
MEMBERS_MAX = 100
"""The most members of a gzip file: each costs something, even one that holds nothing."""

_SHOWN_MAX = 200
_PLAIN = ("utf-8", "utf8", "identity")
_GZIP = ("gzip", "x-gzip")


def check_version(headers: Mapping[str, Any]) -> None:
    """Raises `Refused` (`invalid`) for a header `schema-version` that we do not know."""
    version = headers.get("schema-version", 1)
    if version not in (1, "1"):
        raise Refused("invalid", f"header schema-version: {shown(version)} is not known, only 1 is")


def text_of(body: bytes, encoding: str | None) -> str:
    """The text of a body of the AMQP `content_encoding` `encoding`; raises `Refused` (`malformed`).

    What `gzip` has packed is held to the same limit when it is unpacked, and no more of it is unpacked than that.
    """
    if len(body) > BODY_MAX:
        raise Refused("malformed", f"the body has {len(body)} bytes, more than {BODY_MAX}")
    if encoding and (said := encoding.lower()) not in _PLAIN:
        if said not in _GZIP:
            raise Refused("malformed", f"content_encoding {encoding[:40]!r}: only UTF-8 is read, plain or by gzip")
        body = _unpacked(body)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused("malformed", f"the body is not UTF-8: byte {error.start}") from None


def _unpacked(body: bytes) -> bytes:
    unpacked = bytearray()
    for _ in range(MEMBERS_MAX):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked += member.decompress(body, BODY_MAX + 1 - len(unpacked))
        except zlib.error:
            what = "something follows the end of it" if unpacked else "it is not gzip, or damaged"
            raise Refused("malformed", f"content_encoding gzip: the body can't be unpacked: {what}") from None
        if len(unpacked) > BODY_MAX:
            raise Refused("malformed", f"the body has more than {BODY_MAX} bytes when it is unpacked")
        if not member.eof:
            raise Refused("malformed", "content_encoding gzip: the body can't be unpacked: its end is missing")
        body = member.unused_data
        if not body.strip(b"\x00"):  # a file may be filled up with zeros
            return bytes(unpacked)
    raise Refused("malformed", f"content_encoding gzip: the body has more than {MEMBERS_MAX} members")


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


def _adding_up() -> Generator[Any, Any, None]:
    """Given an object it adds up its fields and gives it back; given None it gives the sum, and begins anew."""
    fields = 0
    answer: Any = None
    while True:
        given = yield answer
        if given is None:
            answer, fields = fields, 0
        else:
            answer = given
            fields += len(given)


_FIELDS = _adding_up()
next(_FIELDS)
# A generator goes on in less time than a function is called in, and an order has a dozen objects.
_add_up = _FIELDS.send

_DECODER = json.JSONDecoder(object_hook=_add_up, parse_float=_number, parse_int=_integer, parse_constant=_constant)


class _Pairs(list[tuple[str, Any]]):
    """The fields of an object as they were written, with those that stand there twice."""


_PAIRS = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=_number, parse_int=_integer, parse_constant=_constant)
_WHITE = " \t\n\r"
_SPACE = re.compile(f"[{_WHITE}]*")

_EXPECTED = {
    "Expecting value": "a value is expected",
    "Expecting property name enclosed in double quotes": 'a field\'s name in double quotes, or "}", is expected',
    "Expecting ':' delimiter": '":" is expected',
    "Expecting ',' delimiter": '"," or the end of the object or array is expected',
    "Unterminated string starting at": "the end of the text is missing that begins",
    "Invalid control character at": "a control character is not written as \\u and four digits",
    "Invalid \\escape": "a backslash is followed by what it may not be",
    "Invalid \\uXXXX escape": "\\u is not followed by four digits",
    "Illegal trailing comma before end of object": "no comma may stand before the end of an object",
    "Illegal trailing comma before end of array": "no comma may stand before the end of an array",
}
"""What Python's decoder says, in words that also fit what other decoders say."""


def _not_json(error: ValueError | RecursionError) -> Refused:
    if isinstance(error, RecursionError):
        return _too_deep()
    if not isinstance(error, json.JSONDecodeError):
        return Refused("malformed", "not JSON")
    if error.doc.startswith("\ufeff"):
        return Refused("malformed", "the body begins with a byte order mark (EF BB BF): send it without")
    said = next((ours for theirs, ours in _EXPECTED.items() if error.msg.startswith(theirs)), "something is wrong")
    found = error.doc[error.pos : error.pos + 1]
    there = f", and {found!r} is there" if found else ", and the body ends there"
    return _no_json_at(said, error.doc, error.pos, there)


def _no_json_at(what: str, text: str, at: int, there: str = "") -> Refused:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return Refused("malformed", f"not JSON: {what} at line {line}, column {column}{there}")


def _too_deep() -> Refused:
    return Refused("malformed", f"nested deeper than {DEPTH_MAX}")


def parts_of(text: str, *, accepted: bool = False) -> list[tuple[Any, str | None]]:
    """The value of a text, or each value of an array with its own text; a `Refused` stands for one that can't be read.

    `accepted` is what was taken in before: of a field that an object has twice the last counts, as it did once.
    Raises `Refused` when the text as a whole can't be read.
    """
    try:
        at = _space(text, 0)
        if text[at : at + 1] != "[":
            value, at = _value(text, at, accepted=accepted)
            parts: list[tuple[Any, str | None]] = [(value, None)]
        else:
            parts = []
            at = _space(text, at + 1)
            if text[at : at + 1] == "]":
                raise Refused("invalid", "the array holds no fact")
            for n in range(FACTS_MAX + 1):
                if n == FACTS_MAX:
                    raise Refused("invalid", f"the array holds more than {FACTS_MAX} facts")
                value, end = _value(text, at, accepted=accepted)
                parts.append((value, text[at:end]))
                at = _space(text, end)
                if text[at : at + 1] == "]":
                    at += 1
                    break
                if text[at : at + 1] != ",":
                    raise _no_json_at('"," or "]" is expected', text, at)
                at = _space(text, at + 1)
        if at != len(text):
            _check_end(text, at)
        return parts
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None


def value_of(text: str) -> Any:
    """The one value of a text; raises `Refused` (`malformed`) for what is no JSON, too deep, or ambiguous."""
    try:
        value, at = _value(text, _space(text, 0))
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None
    _check_end(text, at)
    if isinstance(value, Refused):
        raise value
    return value


def _check_end(text: str, at: int) -> None:
    if (at := _space(text, at)) != len(text):
        raise _no_json_at("something follows its end", text, at)


def _space(text: str, at: int) -> int:
    if text[at : at + 1] not in _WHITE:  # nearly always
        return at
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, at: int, *, accepted: bool = False) -> tuple[Any, int]:
    _add_up(None)
    value, end = _DECODER.raw_decode(text, at)
    fields = _add_up(None)
    # Without that many brackets it can't be that deep; most messages stop here.
    if text.count("{", at, end) + text.count("[", at, end) > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        return _too_deep(), end
    if not accepted and fields != _names(text[at:end]) and (twice := _twice(_PAIRS.raw_decode(text, at)[0], "")):
        where = twice[:_SHOWN_MAX].encode(errors="replace").decode()
        return Refused("malformed", f"an object has a field twice: {where}, and it is not clear which is meant"), end
    return value, end


def _names(text: str) -> int:
    """How many fields a text has, or more: a colon follows each name, but for space, and perhaps a quote in a text."""
    return text.encode(errors="surrogatepass").translate(None, b" \t\n\r").count(b'":')


def _twice(value: Any, path: str) -> str | None:
    """The path of the first field that an object has twice."""
    if isinstance(value, _Pairs):
        seen = set()
        for name, item in value:
            at = f"{path}.{name}" if path else name
            if name in seen:
                return at or '""'
            seen.add(name)
            if found := _twice(item, at):
                return found
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if found := _twice(item, f"{path}.{index}" if path else str(index)):
                return found
    return None


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
