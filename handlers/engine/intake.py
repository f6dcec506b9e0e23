"""The door: a delivery becomes one piece of work for each fact, and is settled when the last of them is committed."""

from __future__ import annotations

from collections.abc import Callable

from adapters.rabbitmq.work_queue import Delivery
from adapters.records import Properties
from domain.errors import Refused
from handlers.engine.work import Outcome, WorkItem
from schemas.incoming import read

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
) -> list[WorkItem]:
    """The work that a message brings; `settle` is called once all of it is committed.

    `give_up` parks what is readable of it without applying it. A message that the broker has delivered
    `SUSPECT_DELIVERIES` times before is a suspect.
    """
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
        )
        for fact in facts
    ]


def take(delivery: Delivery, submit: Callable[[WorkItem], None]) -> None:
    """Submit what the work queue delivered."""
    delivered = (delivery.routing_key, delivery.body, delivery.properties, delivery.settle)
    for work in works_of(*delivered, redelivered=delivery.redelivered):
        submit(work)


def dead_letter_refusal(properties: Properties) -> Refused:
    """Why the broker gave up on a message, from the header that it adds when it dead-letters."""
    headers = properties.headers
    reason = str(headers.get("x-first-death-reason") or "unknown")
    queue = str(headers.get("x-first-death-queue") or "unknown")
    return Refused("dead-letter", f"the broker gave up on it: {reason:.100} in queue {queue:.100}")
