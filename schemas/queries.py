"""The queries of all capabilities in one table, and how one is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from domain.errors import Refused
from schemas.accounts import queries as accounts
from schemas.billing import queries as billing
from schemas.corrections import queries as corrections
from schemas.dunning import queries as dunning
from schemas.invoicing import queries as invoicing
from schemas.message import invalid
from schemas.operations import queries as operations
from schemas.parties import queries as parties
from schemas.payments import queries as payments
from schemas.query import Query
from schemas.settlement import queries as settlement
from schemas.shapes import Shape
from schemas.tables import merged, table
from schemas.wire import check_version, text_of, value_of

QUERIES: dict[str, type[Query]] = table(
    (query.TYPE, query)
    for query in (
        *accounts.QUERIES,
        *parties.QUERIES,
        *invoicing.QUERIES,
        *payments.QUERIES,
        *settlement.QUERIES,
        *corrections.QUERIES,
        *billing.QUERIES,
        *dunning.QUERIES,
        *operations.QUERIES,
    )
)
"""The queries by the AMQP `type` that names them."""

SHAPES: dict[str, Shape] = merged(
    accounts.SHAPES, parties.SHAPES, billing.PREVIEWS, settlement.PREVIEWS, operations.SHAPES
)
"""The parts that answers are made of beside those of events, by name."""


def read_query(name: str | None, body: bytes, headers: Mapping[str, Any], encoding: str | None) -> Query:
    """The query that a message asks, of the AMQP `type` `name` and `content_encoding` `encoding`.

    Raises `Refused` (`unknown-type`, `malformed`, `invalid`) for whatever a sender can do.
    """
    model = QUERIES.get(name or "")
    if model is None:
        raise Refused("unknown-type", f"type: no query is named {name!r:.80}" if name else "type: names no query")
    check_version(headers)
    arguments = value_of(text_of(body, encoding))
    if not isinstance(arguments, dict):
        raise Refused("invalid", "must be an object that holds the query's arguments")
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        raise invalid(error) from None
