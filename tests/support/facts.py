"""Books made by real facts without a broker: messages are read, applied and written as a worker does it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from adapters.records import InboxRow, Properties
from adapters.store.store import Store
from adapters.store.transaction import Batch
from domain.facts import apply, working_set
from domain.ledger.books import Books, NotLoaded
from schemas.events import outgoing
from schemas.incoming import Incoming, read
from schemas.messages import result_json
from tests.support.messages import Message


async def take(store: Store, booked_at: datetime, messages: Iterable[Message], ids: str = "m") -> None:
    """Apply messages in one transaction; their message ids are `<ids>-1`, `-2` … A refusal is raised."""
    books = working_set(booked_at=booked_at, zone=UTC, series="INV-", credit_notes="CN-")
    batch = Batch()
    async with store.transaction() as transaction:
        for number, (routing_key, body) in enumerate(messages, 1):
            message_id = f"{ids}-{number}"
            [incoming] = read(routing_key, json.dumps(body).encode(), message_id, {}, None)
            if incoming.refusal is not None:
                raise incoming.refusal
            while True:
                fact_books = Books(books, incoming.identity)
                try:
                    fact_books.result = apply(incoming.fact, fact_books)
                except NotLoaded as missing:
                    await transaction.load(missing.needs, books)
                else:
                    break
            books.accept(fact_books)
            _record(incoming, fact_books, batch)
        await transaction.write(books, batch)
        await transaction.commit()


def _record(incoming: Incoming, books: Books, batch: Batch) -> None:
    properties = Properties(message_id=incoming.message_id)
    digest, version = incoming.digest, incoming.digest_version
    correlation_id = str(incoming.message_id)
    result = result_json(books.result)
    batch.inbox.append(
        InboxRow(incoming.identity, digest, version, result, books.booked_at, 1, correlation_id, properties)
    )
    batch.outbox += [outgoing(event, correlation_id, books.booked_at) for event in books.emitted]
