"""What all queries share: how one is declared, the cursors that pages go by, limits, and times that may be dates."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from schemas.message import Part
from schemas.shapes import Shape
from schemas.values import INTEGER_MAX, Text, parse_date, parse_time

LIMIT_MAX = 500
"""The most items of a page."""
LIMIT_DEFAULT = 50
CURSOR_MAX = 20_000
"""The most characters of a cursor."""

_CURSOR = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_CURSOR_TEXT = re.compile("[^\x00\ud800-\udfff]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MILLISECOND = -62_135_596_800_000
"""The first one of the year 1."""
LAST_MILLISECOND = 253_402_300_799_999
"""The last one of the year 9999."""


def cursor(query: str, *place: Any) -> str:
    """The cursor of a place in a query's list: opaque text that is safe in URLs."""
    text = json.dumps([query, *place], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def milliseconds(moment: datetime) -> int:
    """A time as a cursor keeps it: in milliseconds since 1970, as exactly as the database does."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(value: int) -> datetime:
    """The time of so many milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=value)


def place_of(query: str, *kinds: type | tuple[type, ...]) -> Callable[[object], tuple[Any, ...]]:
    """Reads a cursor of that query, whose place has values of these types; raises `ValueError` for any other text."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, str):
            raise ValueError("must be the cursor of an earlier page")
        try:
            found = _decoded(value)
        except (ValueError, RecursionError):
            raise ValueError("is no cursor of ours") from None
        if not isinstance(found, list) or not found or found[0] != query:
            raise ValueError(f"is no cursor of {query}")
        place = found[1:]
        if len(place) != len(kinds) or not all(map(_fits, place, kinds)):
            raise ValueError(f"is no cursor of {query}")
        return tuple(place)

    return read


def _decoded(text: str) -> Any:
    if len(text) > CURSOR_MAX or not _CURSOR.fullmatch(text):
        raise ValueError
    return json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _fits(value: object, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, int):
        return abs(value) <= INTEGER_MAX
    # What is looked for must be what a database can hold: no NUL, no lone surrogate. A name's key may be a long one.
    return not isinstance(value, str) or _CURSOR_TEXT.fullmatch(value) is not None


def time_place_of(query: str) -> Callable[[object], tuple[datetime, str]]:
    """Reads a cursor of that query, whose place is a time and an id; raises `ValueError` for any other text."""
    place = place_of(query, int, str)

    def read(value: object) -> tuple[datetime, str]:
        moment, id_ = place(value)
        if not FIRST_MILLISECOND <= moment <= LAST_MILLISECOND:
            raise ValueError(f"is no cursor of {query}")
        return from_milliseconds(moment), id_

    return read


def date_place_of(query: str) -> Callable[[object], tuple[date, str]]:
    """Reads a cursor of that query, whose place is a date and an id; raises `ValueError` for any other text."""
    place = place_of(query, str, str)

    def read(value: object) -> tuple[date, str]:
        day, id_ = place(value)
        try:
            return parse_date(day), id_
        except ValueError:
            raise ValueError(f"is no cursor of {query}") from None

    return read


def parse_when(value: object) -> datetime | date:
    """A date, or a time as `parse_time` has it."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        return parse_date(value)
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError(
            "must be a date, as 2026-11-30, or an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z"
        ) from None


Limit = Annotated[int, Field(strict=True, ge=1, le=LIMIT_MAX)]
When = Annotated[datetime | date, BeforeValidator(parse_when)]


Seen = Literal["own", "all", "nothing"]
"""What a party sees by a query: its own; all, since that is nobody's secret; nothing, since it is for operators."""


class Query(Part):
    """A query's arguments; unknown fields are ignored.

    Its class declares all that there is to say of it; its capability lists it in `QUERIES`. Any of them may be asked
    for a `party`, by its id: it is answered as if only what is related to that party were there.
    """

    TYPE: ClassVar[str]
    """The AMQP `type` that names it."""
    ANSWER: ClassVar[Shape]
    """What it is answered with."""
    SEEN_BY_A_PARTY: ClassVar[Seen] = "own"
    """What a party sees by it."""
    party: Text | None = None
