"""The door: a delivery becomes one piece of work for each fact, and is settled when the last of them is committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.access import ACTING_USER, Access, Speaker
from adapters.rabbitmq.topology import DEAD, WORK
from adapters.rabbitmq.work_queue import Delivery
from adapters.records import Properties
from domain.errors import Refused
from handlers.engine.work import Outcome, WorkItem
from schemas.incoming import forbidden, read

SUSPECT_DELIVERIES = 3
"""After so many deliveries without an outcome a message may be what kills the workers (or was beside it)."""


def works_of(
    routing_key: str,
    body: bytes,
    properties: Properties,
    settle: Callable[[], None],
    give_up: Refused | None = None,
    *,
    redelivered: bool = False,
    access: Access | None = None,
) -> list[WorkItem]:
    """The work that a message brings; `settle` is called once all of it is committed.

    `give_up` parks what is readable of it without applying it. A message that the broker has delivered
    `SUSPECT_DELIVERIES` times before is a suspect. With `access` its sender's rights are looked at before any of it is
    read: what it may not send is one piece of work, whole, that is parked.
    """
    speaker: Speaker | None = None
    if access is not None:
        try:
            speaker = access.sending(properties, routing_key)
        except Refused as refusal:
            return [_forbidden(routing_key, body, properties, settle, refusal)]
    # The broker counts only what it delivers again; on a first delivery the header is the sender's.
    count = properties.headers.get("x-delivery-count", 0) if redelivered else 0
    suspect = isinstance(count, int) and count >= SUSPECT_DELIVERIES
    facts = read(routing_key, body, properties.message_id, properties.headers, properties.content_encoding)
    left = len(facts)

    def done(_outcome: Outcome) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            settle()

    return [
        WorkItem(
            fact,
            properties,
            properties.correlation_id or properties.message_id or fact.identity,
            done,
            give_up=give_up,
            suspect=suspect,
            replaces=_replaced(properties, n if len(facts) > 1 else None) if fact.fact is not None else None,
            speaker=speaker,
        )
        for n, fact in enumerate(facts, 1)
    ]


def _forbidden(
    routing_key: str, body: bytes, properties: Properties, settle: Callable[[], None], refusal: Refused
) -> WorkItem:
    sender = properties.user_id, str(properties.headers.get(ACTING_USER, ""))
    incoming = forbidden(routing_key, body, properties.message_id, properties.content_encoding, sender, refusal)
    correlation_id = properties.correlation_id or properties.message_id or incoming.identity
    return WorkItem(incoming, properties, correlation_id, lambda _outcome: settle())


def _replaced(properties: Properties, n: int | None) -> str | None:
    """The id of the message that this one corrects: of an array each fact the one in its place."""
    named = properties.headers.get("replaces")
    if not isinstance(named, str) or not named:
        return None
    return named if n is None else f"{named}:{n}"


def take(delivery: Delivery, submit: Callable[[WorkItem], None], access: Access | None = None) -> None:
    """Submit what the work queue delivered, as far as `access` lets its sender."""
    delivered = (delivery.routing_key, delivery.body, delivery.properties, delivery.settle)
    for work in works_of(*delivered, redelivered=delivery.redelivered, access=access):
        submit(work)


def dead_letter_refusal(properties: Properties) -> Refused:
    """Why the broker gave up on a message: its last death, by the header `x-death`, which the broker writes.

    Its entries are the deaths, the most recent first; what a message had in that header when it was published stands
    behind what the broker adds. So the first one that tells of our queue is the broker's. Of the first death, which
    `x-first-death-…` tell, a message may bring what it likes.
    """
    told = properties.headers.get("x-death")
    deaths = [death for death in told if isinstance(death, Mapping)] if isinstance(told, list) else []
    ours = (death for death in deaths if death.get("queue") == WORK)
    last = next(ours, None) or (deaths[0] if deaths else None)
    if last is None:
        return Refused("dead-letter", f"it came to {DEAD} without having died: published there, it seems")
    reason, queue = str(last.get("reason") or "unknown"), str(last.get("queue") or "unknown")
    return Refused("dead-letter", f"the broker gave up on it: {reason:.100} in queue {queue:.100}")
