"""The events of all capabilities in one table, and how what the domain did becomes one of them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from domain.ledger.books import Emitted
from schemas import event as shared
from schemas import shapes
from schemas.accounts import events as accounts
from schemas.billing import events as billing
from schemas.corrections import events as corrections
from schemas.dunning import events as dunning
from schemas.event import Event, OutgoingEvent
from schemas.invoicing import events as invoicing
from schemas.operations import events as operations
from schemas.operations.events import MessageParked
from schemas.parties import events as parties
from schemas.payments import events as payments
from schemas.settlement import events as settlement
from schemas.shapes import Shape
from schemas.tables import merged, table
from schemas.values import Json, time_json

EVENTS: dict[str, Event[Any]] = table(
    (event.routing_key, event)
    for event in (
        *accounts.EVENTS,
        *parties.EVENTS,
        *invoicing.EVENTS,
        *payments.EVENTS,
        *settlement.EVENTS,
        *corrections.EVENTS,
        *billing.EVENTS,
        *dunning.EVENTS,
        *operations.EVENTS,
    )
)
"""The events by routing key."""

SHAPES: dict[str, Shape] = merged(
    shapes.SHAPES,
    shared.SHAPES,
    accounts.SHAPES,
    invoicing.SHAPES,
    payments.SHAPES,
    settlement.SHAPES,
    corrections.SHAPES,
    billing.SHAPES,
    dunning.SHAPES,
)
"""The parts that events are made of, by name."""


def _by_kind() -> tuple[dict[type, Event[Any]], dict[type, tuple[Event[Any], ...]]]:
    of_kind: dict[type, list[Event[Any]]] = defaultdict(list)
    for event in EVENTS.values():
        of_kind[event.kind].append(event)
    for kind, events in of_kind.items():
        several = len(events) > 1
        assert all((event.fits is not None) == several for event in events), f"{kind}: `fits` tells them apart"
    return (
        {kind: events[0] for kind, events in of_kind.items() if len(events) == 1},
        {kind: tuple(events) for kind, events in of_kind.items() if len(events) > 1},
    )


_THE_ONE, _SEVERAL = _by_kind()


def outgoing(emitted: Emitted, correlation_id: str, booked_at: datetime) -> OutgoingEvent:
    """The event of what a fact did, `booked_at` being its time."""
    happened = emitted.event
    declared = _THE_ONE.get(type(happened)) or _fitting(happened)
    assert declared.of_account == (emitted.account is not None), declared.routing_key
    event = declared.render(happened)
    if declared.tells_cause:
        event["cause"] = emitted.cause
    body: Json = {
        "eventId": emitted.id,
        "eventType": declared.routing_key,
        "eventTime": time_json(booked_at),
        "correlationId": correlation_id,
        "event": event,
    }
    if declared.tmf is not None:
        body["@type"] = declared.tmf.names[declared.tmf.resource(happened)]
    return OutgoingEvent(
        emitted.id,
        declared.routing_key,
        to_json(body),
        correlation_id,
        emitted.cause,
        emitted.account,
        emitted.sequence,
        booked_at,
    )


def _fitting(happened: object) -> Event[Any]:
    [fitting] = [event for event in _SEVERAL[type(happened)] if event.fits is not None and event.fits(happened)]
    return fitting


def message_parked(
    *,
    parked_id: str,
    attempt: int,
    message_type: str,
    message_id: str | None,
    account: str | None,
    business_key: str | None,
    reason: str,
    detail: str,
    correlation_id: str,
    identity: str,
    booked_at: datetime,
) -> OutgoingEvent:
    """`message.parked`: a message waits for an operator, after its `attempt`-th attempt."""
    parked = MessageParked(parked_id, message_type, message_id, account, business_key, reason, detail)
    return outgoing(Emitted(f"{parked_id}:{attempt}", None, None, identity, parked), correlation_id, booked_at)
