"""What operators say about held messages: replay, edit, discard, undo, note; each is a message like any other."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.message import Message, Result, at_most, message_key, not_empty
from schemas.operations.acts import Act, ActName, Edit, HeldState
from schemas.values import INTEGER_MAX, Id, Json, Text, parse_text

IDS_MAX = 500
"""The most held messages that one message is about."""
EDITED_BYTES_MAX = 768 * 1024
"""The most bytes of an edited body: as a text within a message, with what has to be escaped, it stays below 1 MiB."""

SHORT_BYTES_MAX = 255
HEADERS_MAX = 100
"""The most headers that one edit changes."""


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


def parse_header(value: object) -> str | int | bool | None:
    """A header's value: a text, an integer, true or false; null takes the header away."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= INTEGER_MAX:
        return value
    try:
        return parse_text(value)
    except ValueError as error:
        raise ValueError(f"{error}, an integer, true, false or null") from None


def _short(value: str) -> str:
    # What AMQP calls a short string: more can't have come in.
    if not 1 <= len(value.encode()) <= SHORT_BYTES_MAX:
        raise ValueError(f"must have 1 to {SHORT_BYTES_MAX} bytes")
    return value


ShortText = Annotated[Text, AfterValidator(_short)]
Headers = Annotated[dict[ShortText, Annotated[Any, BeforeValidator(parse_header)]], Field(max_length=HEADERS_MAX)]
ParkedId = Annotated[str, BeforeValidator(parse_text)]
Why = Annotated[Text, AfterValidator(_said)]


# What comes of each message is told as it is done: there is nothing left to render.
_RESULT: Result[Json] = Result(
    dict,
    {
        "messages": [
            {
                "id": str,
                "state?": get_args(HeldState),
                "editedInto?": str,
                "editedIntoAll?": [str],
                "refused?": "Error",
            }
        ]
    },
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
    """`parked.edit`: a held message is to be tried as another one; what came in is kept.

    What is said is changed: the `body`, a text; the `type`, which is the routing key; the `messageId`; those of the
    `headers` that are named, null taking one away; the `encoding` of the body, which is UTF-8 where a new one is given.
    A body that is an array goes on as its facts, each by itself.
    """

    TYPE: ClassVar[str] = "parked.edit"
    NAME = "edit"

    id: ParkedId
    body: Annotated[str, BeforeValidator(parse_body)] | None = None
    type: ShortText | None = None
    message_id: Id | None = None
    headers: Headers | None = None
    encoding: ShortText | None = None
    why: Why

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.headers and all(said is None for said in (self.body, self.type, self.message_id, self.encoding)):
            raise ValueError("says nothing to change: body, type, messageId, headers or encoding")
        return self

    def fact(self, key: str) -> Act:
        """The act."""
        body = None if self.body is None else self.body.encode()
        edit = Edit(body, self.type, self.message_id, self.headers or {}, self.encoding)
        return Act(self.NAME, (self.id,), self.why, edit)


MESSAGES: tuple[type[Message], ...] = (ParkedReplay, ParkedDiscard, ParkedUndo, ParkedNote, ParkedEdit)
