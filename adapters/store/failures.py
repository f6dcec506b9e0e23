"""What kind of failure an exception is, which decides how it is retried; and where a message failed, for the groups."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from adapters.mongodb.connection import DatabaseError, is_away, is_conflict, is_too_long, is_transient
from adapters.store.transaction import ClaimLost
from domain.errors import MustWait, Refused


class Kind(Enum):
    """The kinds of failure, and what is done about each."""

    AWAY = "the database can't be reached: again and again, and no more messages are taken until it is back"
    TRANSIENT = "something was in the way: the same batch is run again"
    WAITING = "what it refers to is not there yet: held until it is, or until its time is over"
    PERMANENT = "bad input, or the domain says no: parked at once"
    DEFECT = "an exception of ours: its batch is split, it is held, tried again with growing delays, then parked"


_KINDS: tuple[tuple[Kind, Callable[[BaseException], bool]], ...] = (
    (Kind.WAITING, lambda error: isinstance(error, MustWait)),
    (Kind.PERMANENT, lambda error: isinstance(error, Refused)),
    (Kind.AWAY, is_away),
    (Kind.TRANSIENT, lambda error: is_transient(error) or is_conflict(error) or isinstance(error, ClaimLost)),
)
"""Every failure of a message or a batch is sorted here, by the first line that fits; what fits none is a defect."""


def kind_of(error: BaseException, seconds: float = 0) -> Kind:
    """The kind of a failure; `seconds` is how long its transaction took.

    One that the server ended for its age would be as old when it is run again, so that is no transient failure.
    """
    if isinstance(error, DatabaseError) and is_too_long(error, seconds):
        return Kind.DEFECT
    return next((kind for kind, fits in _KINDS if fits(error)), Kind.DEFECT)


PLACE_MAX = 500
"""The most characters of a place."""

_ROOT = Path(__file__).parents[2]
_ROOMS = ("domain", "schemas", "adapters", "handlers")
_FIELD = re.compile(r"([\w@.-]{1,80}):", re.ASCII)
_NUMBER = re.compile(r"\d+")


def refused_at(refusal: Refused) -> str:
    """Where a message does not fit: its fields, without the numbers of items; of what can't be read, why."""
    if refusal.code == "invalid":
        # Only the first word: the rest of a detail repeats what the sender wrote.
        first = _FIELD.match(refusal.detail)
        fields = refusal.fields or ((first[1],) if first else ())
        return ", ".join(sorted({_NUMBER.sub("*", field) for field in fields}))[:PLACE_MAX]
    if refusal.code == "malformed":
        return re.split(r"[:\d]", refusal.detail)[0].strip()
    return ""


def failed_at(error: BaseException) -> str:
    """Where an exception came from: its type, and the innermost function of ours that it went through.

    Without a line's number, so that the next version of a file has the same.
    """
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and path.relative_to(_ROOT).parts[0] in _ROOMS:
            place = f" in {path.relative_to(_ROOT).as_posix()}: {frame.name}"
    return f"{type(error).__name__}{place}"
