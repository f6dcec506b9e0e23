"""What operators say about held messages: replay, edit, discard, undo, note; each is a message like any other."""

from __future__ import annotations

from typing import Annotated, ClassVar, get_args

from pydantic import AfterValidator, BeforeValidator

from schemas.message import Message, Result, at_most, message_key, not_empty
from schemas.operations.acts import Act, ActName, HeldState
from schemas.values import Json, Text, parse_text

IDS_MAX = 500
"""The most held messages that one message is about."""
EDITED_BYTES_MAX = 768 * 1024
"""The most bytes of an edited body: as a text within a message, with what has to be escaped, it stays below 1 MiB."""


def _once(ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))


def _said(why: str) -> str:
    if not why.strip():
        raise ValueError("must say why")
    return why.strip()


def parse_body(value: object) -> str:
    """The text of an edited body; raises `ValueError` for what UTF-8 can't hold and what is too large."""
    if not isinstance(value, str):
        raise ValueError("must be the new body as a text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate") from None
    if size > EDITED_BYTES_MAX:
        raise ValueError(f"has {size} bytes, more than {EDITED_BYTES_MAX}")
    return value


ParkedId = Annotated[str, BeforeValidator(parse_text)]
Why = Annotated[Text, AfterValidator(_said)]


# What comes of each message is told as it is done: there is nothing left to render.
_RESULT: Result[Json] = Result(
    dict,
    {"messages": [{"id": str, "state?": get_args(HeldState), "editedInto?": str, "refused?": "Error"}]},
    lambda result: result,
)


class _ActMessage(Message):
    RESULT = _RESULT
    NAME: ClassVar[ActName]

    def key(self, message_id: str | None) -> str:
        """The message's id: an act has no other."""
        return message_key(message_id)


class _ActOnMany(_ActMessage):
    ids: Annotated[tuple[ParkedId, ...], AfterValidator(at_most(IDS_MAX)), AfterValidator(not_empty)]
    why: Why

    def fact(self, key: str) -> Act:
        """The act."""
        return Act(self.NAME, _once(self.ids), self.why)


class ParkedReplay(_ActOnMany):
    """`parked.replay`: parked messages are to be tried again, oldest first."""

    TYPE: ClassVar[str] = "parked.replay"
    NAME = "replay"


class ParkedDiscard(_ActOnMany):
    """`parked.discard`: messages are done with, without any effect."""

    TYPE: ClassVar[str] = "parked.discard"
    NAME = "discard"


class ParkedUndo(_ActOnMany):
    """`parked.undo`: discarded messages are parked again."""

    TYPE: ClassVar[str] = "parked.undo"
    NAME = "undo"


class ParkedNote(_ActOnMany):
    """`parked.note`: what the next operator should know; `why` is the note."""

    TYPE: ClassVar[str] = "parked.note"
    NAME = "note"


class ParkedEdit(_ActMessage):
    """`parked.edit`: a parked message is to be tried with another body, a text; what came in is kept."""

    TYPE: ClassVar[str] = "parked.edit"
    NAME = "edit"

    id: ParkedId
    body: Annotated[str, BeforeValidator(parse_body)]
    why: Why

    def fact(self, key: str) -> Act:
        """The act."""
        return Act(self.NAME, (self.id,), self.why, self.body.encode())


MESSAGES: tuple[type[Message], ...] = (ParkedReplay, ParkedDiscard, ParkedUndo, ParkedNote, ParkedEdit)
