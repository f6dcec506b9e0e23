"""The outbox: what is committed and not yet sent, oldest first, page by page; what is put off, parked and released."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from pydantic_core import to_json

from adapters.operations import outbox
from adapters.rabbitmq.publisher import Publisher, Sent
from adapters.store.store import Store
from adapters.store.transaction import Batch
from adapters.values import LARGE
from schemas.event import OutgoingEvent
from tests.store import documents as make
from tests.store.test_indexes import profiled
from tests.support.books import Books
from tests.support.waiting import SECONDS_MAX

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


async def test_no_more_bytes_are_read_at_once_than_are_asked_for(store: Store) -> None:
    """A page ends before the event that would be too much, but has one at least."""
    sizes = [400, 400, 400, 2000, 100, 100]
    await write(store, *(replace(make.event("BA-1", n), body=b"x" * size) for n, size in enumerate(sizes, 1)))
    after, pages = None, []
    while page := await store.unsent(NOW + SECOND, after, 10, 1000):
        pages.append([event.sequence for event in page])
        after = (page[-1].booked_at, page[-1].message_id)
    assert pages == [[1, 2], [3], [4], [5, 6]]


async def test_an_event_that_is_not_confirmed_is_put_off_and_never_for_parking(store: Store, database: Books) -> None:
    """Each time for twice as long, up to the longest wait; it is no refusal, however often it comes."""
    await write(store, make.event("BA-1", 1))
    waits = []
    for count in range(1, 6):
        await store.mark_unconfirmed(["BA-1:1"], NOW, SECOND, SECOND * 10)
        row = database["outbox"].find_one({"_id": "BA-1:1"})
        assert row is not None
        assert (row["unconfirmed"], row["unsent"]) == (count, True)
        assert not {"refusals", "refusedAt"} & row.keys()
        waits.append((row["dueAt"] - NOW) // SECOND)
        assert await store.unsent(row["dueAt"], None, 10) == []
    assert waits == [1, 2, 4, 8, 10]
    assert await store.refused_since(["BA-1:1"], NOW + SECOND * 99, 1) == []
    # Refused after all, it has its time from then on.
    await store.mark_refused(["BA-1:1"], NOW + SECOND, SECOND, SECOND)
    await store.park(["BA-1:1"], "refused", NOW + SECOND)
    await outbox.release(store.database, None, "ada", "so", NOW)
    row = database["outbox"].find_one({"_id": "BA-1:1"})
    assert row is not None
    assert not {"refusals", "refusedAt", "unconfirmed", "dueAt"} & row.keys()


async def test_marking_what_is_marked_or_gone_is_no_error(store: Store) -> None:
    """Two workers may send the same event: whoever marks it second changes nothing that matters."""
    await write(store, make.event("BA-1", 1))
    for _ in range(2):
        await store.mark_sent(["BA-1:1", "BA-1:2"], NOW)
    assert await store.unsent(NOW + SECOND, None, 10) == []


async def test_a_refused_event_is_put_off_each_time_for_twice_as_long(store: Store, database: Books) -> None:
    """Up to the longest wait; until it is due it is not among what is to be sent."""
    await write(store, make.event("BA-1", 1), make.event("BA-1", 2))
    now, waits = NOW + SECOND, []
    for refusals in range(1, 6):
        await store.mark_refused(["BA-1:1"], now, SECOND, SECOND * 10)
        row = database["outbox"].find_one({"_id": "BA-1:1"})
        assert row is not None
        assert (row["refusals"], row["refusedAt"], row["unsent"]) == (refusals, NOW + SECOND, True)
        waits.append((row["dueAt"] - now) // SECOND)
        assert await store.unsent(row["dueAt"], None, 10) == [make.event("BA-1", 2)]
        now = row["dueAt"] + SECOND
        assert len(await store.unsent(now, None, 10)) == 2
    assert waits == [1, 2, 4, 8, 10]
    assert await store.refused_since(["BA-1:1", "BA-1:2"], NOW + SECOND * 2, 5) == ["BA-1:1"]
    assert await store.refused_since(["BA-1:1"], NOW + SECOND * 2, 6) == []
    assert await store.refused_since(["BA-1:1"], NOW + SECOND, 5) == []
    await store.mark_sent(["BA-1:1"], now)
    row = database["outbox"].find_one({"_id": "BA-1:1"})
    assert row is not None
    assert "dueAt" not in row
    # Whatever another worker says of it afterwards, it is sent.
    await store.mark_refused(["BA-1:1"], now, SECOND, SECOND)
    await store.park(["BA-1:1"], "refused", now)
    assert database["outbox"].find_one({"_id": "BA-1:1"}) == row


async def test_an_event_is_unsent_or_sent_or_parked(store: Store, database: Books) -> None:
    """Parked it is not tried; released it is as if new; and a confirm that comes late is the truth."""
    await write(store, *(make.event("BA-1", n) for n in (1, 2, 3)))
    await store.mark_refused(["BA-1:1"], NOW, SECOND, SECOND)
    await store.park(["BA-1:1", "BA-1:2"], "refused", NOW)
    assert await store.unsent(NOW + SECOND * 9, None, 10) == [make.event("BA-1", 3)]
    assert await outbox.condition(store.database) == outbox.Condition(1, NOW, 0, (("invoice.issued", "refused", 2),))
    assert await outbox.release(store.database, ["BA-1:1", "BA-1:3"], "ada", "so", NOW + SECOND) == 1
    row = database["outbox"].find_one({"_id": "BA-1:1"}, {"body": 0})
    assert row is not None
    act = {"at": NOW + SECOND, "by": "ada", "why": "so", "parkedAt": NOW, "reason": "refused"}
    assert (row["unsent"], row["released"]) == (True, [act])
    assert not {"parkedAt", "reason", "dueAt", "refusals", "refusedAt"} & row.keys()
    await store.mark_sent(["BA-1:2"], NOW)
    row = database["outbox"].find_one({"_id": "BA-1:2"})
    assert row is not None
    assert not {"parkedAt", "reason", "unsent"} & row.keys()


async def test_what_operators_read_is_served_by_indexes(store: Store, database: Books) -> None:
    """However many events were ever sent: nothing is scanned, and no more is looked at than was asked for."""
    await write(store, *(make.event(f"BA-{n % 3}", n, NOW + SECOND * (n // 300)) for n in range(1000)))
    await store.mark_sent([f"BA-{n % 3}:{n}" for n in range(980)], NOW)
    await store.park([f"BA-{n % 3}:{n}" for n in range(990, 1000)], "refused", NOW)
    found: list[dict[str, Any]] = []
    last = outbox.Selection(NOW + SECOND * 3)
    with profiled(database, found):
        assert (await outbox.condition(store.database)).unsent == 10
        assert len(await outbox.listed(store.database, "unsent", None, 3)) == 3
        assert len(await outbox.listed(store.database, "unsent", (NOW + SECOND * 3, "BA-0:981"), 3)) == 3
        assert len(await outbox.listed(store.database, "parked", None, 3)) == 3
        assert len(await outbox.listed(store.database, "parked", (NOW, "BA-1:991"), 3)) == 3
        assert await last.count(store.database) == 80
        [page] = [page async for page in last.pages(store.database)]
        assert [event.sequence for event in page if event.account == "BA-1"] == list(range(901, 980, 3))
        some = outbox.Selection(NOW, NOW + SECOND, ("invoice.issued",), "BA-1")
        [page] = [page async for page in some.pages(store.database)]
        assert [event.sequence for event in page] == list(range(1, 300, 3))
        # The first 500 end within what was booked at one time, which is read apart, in order.
        pages = [page async for page in outbox.Selection(NOW).pages(store.database)]
    assert [len(page) for page in pages] == [300, 300, 380]
    events = [(event.booked_at, event.account, event.sequence) for page in pages for event in page]
    assert events == sorted(events)
    assert len(found) > 10
    for entry in found:
        if entry["op"] in ("query", "command", "getmore") and entry["ns"].endswith(".outbox"):
            assert "COLLSCAN" not in entry.get("planSummary", ""), entry
            # An account's events are found by its ids.
            assert entry.get("docsExamined", 0) <= max(entry.get("nreturned", 0), 327), entry


def large(sequence: int, *notes: str) -> OutgoingEvent:
    """An event of an account with large fields."""
    account = {"@type": "BillingAccount", "id": "BA-1", **{f"note{n}": note for n, note in enumerate(notes)}}
    body = to_json({"eventId": f"BA-1:{sequence}", "event": {"account": account, "revision": sequence}})
    return replace(make.event("BA-1", sequence), routing_key="account.changed", body=body)


NOTES = ("a" * LARGE, "b" * LARGE)


async def test_what_is_large_of_an_events_document_is_kept_once(store: Store, database: Books) -> None:
    """However many events tell it, in one batch or in several, and the events are what they were."""
    events = [large(1, NOTES[0]), large(2, *NOTES), large(3, *NOTES), large(4, "short")]
    await write(store, *events[:2])
    await write(store, *events[2:])
    assert database["values"].count_documents({}) == 2
    assert max(len(row["body"]) for row in database["outbox"].find()) < 200
    assert await store.unsent(NOW + SECOND, None, 10) == events
    sizes = [row["bytes"] for row in await outbox.listed(store.database, "unsent", None, 10)]
    assert sizes == [len(event.body) for event in events]
    assert await store.unsent(NOW + SECOND, None, 10, bytes_max=3 * LARGE) == events[:1]
    await store.mark_sent([event.message_id for event in events], NOW)
    for selection in (outbox.Selection(NOW), outbox.Selection(NOW, account="BA-1")):
        assert [page async for page in selection.pages(store.database)] == [events]


async def test_an_event_whose_value_is_lost_holds_up_no_other(store: Store, database: Books) -> None:
    """It stays unsent, which the audit tells; the others are sent. To send it again is refused, and says why."""
    lost, other, last = large(1, NOTES[0]), large(2, NOTES[1]), make.event("BA-1", 3)
    await write(store, lost, other, last)
    database["values"].delete_one({"json": to_json(NOTES[0])})
    assert await store.unsent(NOW + SECOND, None, 10) == [other, last]
    assert await store.unsent(NOW + SECOND, None, 1) == [other]
    await store.mark_sent([lost.message_id], NOW)
    with pytest.raises(outbox.NotSent, match="a value of an event is not there"):
        assert [page async for page in outbox.Selection(NOW).pages(store.database)]


async def test_no_more_bytes_are_read_at_once_for_a_resend(
    store: Store, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether events are read by time or of an account, also those booked at one time: nothing is left out."""
    monkeypatch.setattr(outbox, "BYTES_MAX", 1000)
    made = [
        replace(make.event("BA-1", n, NOW + SECOND * minute), body=b"x" * size)
        for n, (minute, size) in enumerate([(0, 400), (1, 300), (1, 400), (1, 400), (1, 2000), (2, 300), (3, 600)], 1)
    ]
    await write(store, *reversed(made))
    await store.mark_sent([event.message_id for event in made], NOW)
    for selection in (outbox.Selection(NOW), outbox.Selection(NOW, account="BA-1")):
        pages = [page async for page in selection.pages(store.database)]
        assert [event for page in pages for event in page] == made
        assert all(len(page) == 1 or sum(len(event.body) for event in page) <= 1000 for page in pages)


class Silent:
    """A broker that confirms all but one event."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id

    async def open(self) -> None:
        """Connect."""

    async def publish(self, events: Sequence[OutgoingEvent], queue: str | None) -> list[Sent]:
        """Publish."""
        return [Sent.UNCERTAIN if one.message_id == self._message_id else Sent.CONFIRMED for one in events]


async def test_a_resend_that_is_not_confirmed_gives_up_and_says_from_where_to_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that it waits for a full queue too; the others are sent."""
    monkeypatch.setattr(outbox, "REFUSED_SECONDS_MAX", 0.05)
    monkeypatch.setattr(outbox, "_PAUSE_SECONDS", 0.01)
    await write(store, *(make.event("BA-1", n, NOW + SECOND * n) for n in (1, 2, 3)))
    await store.mark_sent([f"BA-1:{n}" for n in (1, 2, 3)], NOW)
    sending = outbox.Resend(cast("Publisher", Silent("BA-1:2")))
    with pytest.raises(outbox.NotSent, match="BA-1:2"):
        await asyncio.wait_for(sending.run(store.database, outbox.Selection(NOW), lambda _: None), SECONDS_MAX)
    assert (sending.sent, sending.since) == (2, NOW + SECOND)
