"""A piece of work: one fact on its way through a batch, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from adapters.access import Access, Speaker
from adapters.records import HeldRow, Properties, ReplyTo
from domain.errors import Refused
from domain.frozen import dataclass
from schemas.incoming import Incoming, said, was_not_read
from schemas.messages import INTERNAL_MESSAGES, MESSAGES, internal
from schemas.operations.acts import Act

DEATHS_MAX = 3
"""How many workers may die with a message taken up, after those that died while it was in the queue."""

_OURS = frozenset(message.TYPE for message in INTERNAL_MESSAGES.values())
_LIGHT = frozenset(m.TYPE for m in (*MESSAGES.values(), *INTERNAL_MESSAGES.values()) if m.IS_LIGHT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fact. `waiting` is not final; `skipped` is a held message that another worker took up.

    `in_vain` is of one that waits: it was taken up for what it waited for, and waits for the same again.
    """

    kind: Literal["applied", "duplicate", "parked", "waiting", "skipped"]
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    detail: str = ""
    in_vain: bool = False

    def reply(self) -> dict[str, Any]:
        """The outcome as the sender is told."""
        if self.kind == "parked":
            return {"outcome": "parked", "error": {"code": self.code, "detail": self.detail}}
        return {"outcome": self.kind, "result": dict(self.result)}


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A fact to be applied, and the callback that is called once its outcome is committed.

    `claimed` is its held row when it was taken up again; `give_up` says why it is to be parked without being applied;
    `failure` is what its transaction failed with when it stood alone; `suspect` says that it was delivered so often
    without an outcome that it may be what kills the workers; `arrived` is when it came to this worker, by the monotonic
    clock. `replaces` is the id of its sender's own message that it corrects. `speaker` is who may do so and did, None
    for what a worker says to itself, and while everything is open.
    """

    incoming: Incoming
    properties: Properties
    correlation_id: str
    done: Callable[[Outcome], None]
    claimed: HeldRow | None = None
    give_up: Refused | None = None
    failure: Exception | None = None
    suspect: bool = False
    replaces: str | None = None
    speaker: Speaker | None = None
    arrived: float = field(default_factory=time.monotonic)

    @property
    def attempts(self) -> int:
        """How often it was taken up, this time included."""
        return self.claimed.attempts if self.claimed else 1

    @property
    def to_apply(self) -> bool:
        """Whether it is to be applied, as far as the message itself tells."""
        return (
            self.incoming.fact is not None
            and self.give_up is None
            and self.failure is None
            and not (self.suspect and self.claimed is None)
            and self.deaths < DEATHS_MAX
        )

    @property
    def deaths(self) -> int:
        """How many workers have died with it taken up."""
        return self.claimed.deaths if self.claimed else 0

    @property
    def is_ours(self) -> bool:
        """Whether it is a message of ours: what a fact left to do, or a worker says to itself."""
        return self.incoming.routing_key in _OURS

    @property
    def is_light(self) -> bool:
        """Whether a batch may have more of its like."""
        return self.incoming.routing_key in _LIGHT

    @property
    def alone(self) -> bool:
        """Whether it has to be a batch of its own: it may kill the worker, or changes what others are decided by."""
        return (
            (self.claimed is not None and self.claimed.state == "suspect")
            or isinstance(self.incoming.fact, Act)
            or self.replaces is not None
        )

    @property
    def reply_to(self) -> tuple[ReplyTo, ...]:
        """Who wants to be told what comes of it."""
        if self.claimed is not None:
            return self.claimed.replies
        queue = self.properties.reply_to
        return (ReplyTo(queue, self.correlation_id),) if queue else ()


def speaker_of(row: HeldRow, access: Access | None) -> Speaker | None:
    """Who says what is held, by the rights that its sender has now; raises `Refused` (`forbidden`).

    What a worker says to itself, as what a fact has left to do, is no sender's.
    """
    if access is None or (row.routing_key in _OURS and not was_not_read(row.identity)):
        return None
    return access.sending(row.properties, row.routing_key)


def read_internal(fact: object) -> tuple[Incoming, Properties]:
    """The message of ours that says a fact."""
    incoming = said(internal(fact))
    return incoming, Properties(app_id="paymaster", content_type="application/json")


def internal_work(fact: object, done: Callable[[Outcome], None]) -> WorkItem:
    """The work of a fact that a worker says to itself."""
    incoming, properties = read_internal(fact)
    return WorkItem(incoming, properties, incoming.identity, done)
