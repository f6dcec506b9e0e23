"""The outbox: what is committed and not yet sent, oldest first, page by page."""

from __future__ import annotations

from datetime import timedelta

from adapters.store import Batch, Store
from schemas.events import OutgoingEvent
from tests.store import documents as make
from tests.support.books import Books

NOW = make.NOW
SECOND = timedelta(seconds=1)


async def write(store: Store, *events: OutgoingEvent) -> None:
    """Write and commit events."""
    async with store.transaction() as transaction:
        await transaction.write(make.books(), Batch(outbox=list(events)))
        await transaction.commit()


async def test_an_event_is_kept_as_the_data_model_says(store: Store, database: Books) -> None:
    """With its place in its account's events, or, of a parked message, without one; unsent until it is marked."""
    parked = OutgoingEvent("P-1:1", "message.parked", b"{}", "c-1", "a:1", None, None, NOW)
    await write(store, make.event("BA-1", 7), parked)
    common = {"body": b"{}", "correlationId": "c-1", "bookedAt": NOW, "unsent": True}
    rows = {row.pop("_id"): row for row in database["outbox"].find()}
    account = {"account": "BA-1", "sequence": 7}
    assert rows == {
        "BA-1:7": {"routingKey": "invoice.issued", "causationId": "cause", **account, **common},
        "P-1:1": {"routingKey": "message.parked", "causationId": "a:1", **common},
    }
    found = await store.unsent(NOW + SECOND, None, 10)
    assert found == [make.event("BA-1", 7), parked]
    await store.mark_sent(["BA-1:7"], NOW + SECOND)
    row = database["outbox"].find_one({"_id": "BA-1:7"})
    assert row is not None
    assert "unsent" not in row
    assert row["sentAt"] == NOW + SECOND
    assert await store.unsent(NOW + SECOND, None, 10) == [parked]


async def test_unsent_events_come_oldest_first_and_page_by_page(store: Store) -> None:
    """Only those booked before the time, in the order of time and id, each on one page, also when times are equal."""
    events = [make.event("BA-1", n, NOW + SECOND * (n // 4)) for n in range(1, 10)]
    await write(store, *reversed(events))
    before, after, pages = NOW + SECOND * 2, None, []
    while page := await store.unsent(before, after, 3):
        pages.append([event.sequence for event in page])
        after = (page[-1].booked_at, page[-1].message_id)
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]


async def test_marking_what_is_marked_or_gone_is_no_error(store: Store) -> None:
    """Two workers may send the same event: whoever marks it second changes nothing that matters."""
    await write(store, make.event("BA-1", 1))
    for _ in range(2):
        await store.mark_sent(["BA-1:1", "BA-1:2"], NOW)
    assert await store.unsent(NOW + SECOND, None, 10) == []
