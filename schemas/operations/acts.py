"""What an operator does with held messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from domain.frozen import dataclass

ActName = Literal["replay", "edit", "discard", "undo", "note"]
HeldState = Literal["parked", "waiting", "scheduled", "suspect", "discarded", "mended"]
"""What a message is held as; one that is mended goes on as another, or as several."""
Via = Literal["message", "command line"]
"""By which door an operator came in."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be otherwise with a message; what is None stays as it is.

    `headers` are those that change: one that is None is taken away. With a new `body` and no new `encoding` it has
    none, since a text is UTF-8.
    """

    body: bytes | None = None
    type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator does with held messages, by their parked ids, and why; `edit` says what an edit changes."""

    name: ActName
    ids: tuple[str, ...]
    why: str
    edit: Edit | None = None
