"""What an operator does with held messages."""

from __future__ import annotations

from typing import Literal

from domain.frozen import dataclass

ActName = Literal["replay", "edit", "discard", "undo", "note"]
HeldState = Literal["parked", "waiting", "suspect", "discarded"]
"""What a message is held as."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator does with held messages, by their parked ids, and why; `body` is an edited message's."""

    name: ActName
    ids: tuple[str, ...]
    why: str
    body: bytes | None = None
