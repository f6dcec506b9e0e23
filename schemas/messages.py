"""The messages of all capabilities in one table, and what is made of a fact's result and of what it leaves to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.accounts import messages as accounts
from schemas.billing import messages as billing
from schemas.corrections import messages as corrections
from schemas.days import messages as days
from schemas.dunning import messages as dunning
from schemas.invoicing import messages as invoicing
from schemas.message import Continuation, InternalMessage, Message
from schemas.operations import messages as operations
from schemas.ordering import messages as ordering
from schemas.parties import messages as parties
from schemas.payments import messages as payments
from schemas.settlement import messages as settlement
from schemas.tables import merged, table
from schemas.values import Json

MESSAGES: dict[str, type[Message]] = table(
    (message.TYPE, message)
    for message in (
        *accounts.MESSAGES,
        *parties.MESSAGES,
        *invoicing.MESSAGES,
        *ordering.MESSAGES,
        *payments.MESSAGES,
        *settlement.MESSAGES,
        *corrections.MESSAGES,
        *billing.MESSAGES,
        *dunning.MESSAGES,
        *operations.MESSAGES,
    )
)
"""The messages that are taken from a queue, by routing key."""

CONTINUATIONS: dict[type, type[Continuation]] = table(
    (message.FACT, message)
    for message in (
        *payments.CONTINUATIONS,
        *settlement.CONTINUATIONS,
        *corrections.CONTINUATIONS,
        *billing.CONTINUATIONS,
        *dunning.CONTINUATIONS,
    )
)
"""What a fact may leave to do, by the type of the fact that it leaves."""

INTERNAL_MESSAGES: dict[type, type[InternalMessage]] = merged(
    CONTINUATIONS,
    table(
        (message.FACT, message)
        for message in (*days.INTERNAL, *settlement.INTERNAL, *billing.INTERNAL, *dunning.INTERNAL)
    ),
)
"""The messages of ours, by the type of the fact that they say: those, and what a worker says to itself."""

HELD_MESSAGES: dict[str, type[Message]] = merged(
    MESSAGES, table((message.TYPE, message) for message in INTERNAL_MESSAGES.values())
)
"""The messages that may be held, by routing key: those that are taken from a queue, and those of ours."""


def _renderers() -> dict[type, Callable[[Any], Json]]:
    renderers: dict[type, Callable[[Any], Json]] = {}
    for message in HELD_MESSAGES.values():
        result = message.RESULT
        assert renderers.setdefault(result.kind, result.render) is result.render, (
            f"{result.kind} is rendered in two ways"
        )
    return renderers


_RENDERERS = _renderers()


def result_json(result: object) -> Json:
    """What a sender is told of what came of its fact."""
    return _RENDERERS[type(result)](result)


def internal(fact: object) -> InternalMessage:
    """The message of ours that says a fact."""
    return INTERNAL_MESSAGES[type(fact)].of(fact)
