"""What is held: written, claimed, completed, and never by two workers at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from adapters.mongodb.connection import is_transient
from adapters.records import HeldRow, Properties, ReplyTo
from adapters.store.store import Store
from adapters.store.transaction import Batch, ClaimLost, HeldChange
from tests.store import documents as make
from tests.support.books import Books

NOW, LEASE = make.NOW, make.LEASE
LATER = NOW + timedelta(minutes=5)


async def write(store: Store, **batch: Any) -> None:
    """Write and commit a batch that changes no books."""
    async with store.transaction() as transaction:
        await transaction.write(make.books(), Batch(**batch))
        await transaction.commit()


async def claim(store: Store, now: Any = NOW, name: str = "account:BA-1") -> list[HeldRow]:
    """Claim what waits for a name."""
    return await store.claim_waiting([name], now, LEASE)


async def test_a_held_message_is_kept_as_the_data_model_says(store: Store, database: Books) -> None:
    """Its row holds the bytes as they came, the properties, why it is held, and what it waits for."""
    properties = Properties(
        message_id="m-1",
        correlation_id="c-0",
        reply_to="replies",
        content_type="text/xml",
        content_encoding="utf-8",
        user_id="guest",
        app_id="shop",
        type="T",
        timestamp=NOW,
        expiration="60000",
        priority=4,
        delivery_mode=2,
        headers={"a.b": {"$c": [1]}},
    )
    row = make.held_row("a:1", body=b"\xff\x00{", properties=properties, replies=(ReplyTo("replies", "c-0"),))
    await write(store, held=[row])
    [found] = database["held"].find()
    assert found == {
        "_id": "a:1",
        "parkedId": "P-" + sha256(b"a:1").hexdigest()[:20],
        "state": "waiting",
        "routingKey": "order.completed",
        "messageId": "m-1",
        "correlationId": "c-1",
        "body": b"\xff\x00{",
        "properties": {
            "messageId": "m-1",
            "correlationId": "c-0",
            "replyTo": "replies",
            "contentType": "text/xml",
            "contentEncoding": "utf-8",
            "userId": "guest",
            "appId": "shop",
            "type": "T",
            "timestamp": NOW,
            "expiration": "60000",
            "priority": 4,
            "deliveryMode": 2,
        },
        "headers": {"a.b": {"$c": [1]}},
        "digest": "digest",
        "digestVersion": 1,
        "reason": "unknown-account",
        "detail": "no account BA-1",
        "traceback": None,
        "waitsFor": "account:BA-1",
        "attempts": 1,
        "deaths": 0,
        "heldAt": NOW,
        "failedAt": NOW,
        "dueAt": NOW + timedelta(hours=24),
        "claimedUntil": None,
        "replies": [{"replyTo": "replies", "correlationId": "c-0"}],
        "account": "BA-1",
        "businessKey": None,
        "waitingSince": None,
        "place": "",
        "group": row.group,
        "exception": None,
        "worker": "",
    }
    # A claim raises the attempts before anything is tried, and gives back all the rest as it was.
    assert await claim(store) == [replace(row, attempts=2)]


async def test_a_claim_is_one_workers_until_its_lease_is_over(store: Store) -> None:
    """Nobody else gets a claimed message; when the lease is over its worker is taken for dead, and it is a suspect."""
    await write(store, held=[make.held_row("a:1"), make.held_row("a:2", waits_for=None, due_at=LATER)])
    [first] = await claim(store)
    before = NOW + LEASE - timedelta(seconds=1)
    assert await claim(store, before) == []
    assert await store.claim_suspect(before, LEASE) is None
    assert await claim(store, LATER) == []
    second = await store.claim_suspect(LATER, LEASE)
    assert second == replace(first, state="suspect", attempts=3, deaths=1, waits_for=None, due_at=LATER), (
        "as it was, but for who has died of it"
    )
    assert await store.claim_suspect(LATER, LEASE) is None
    third = await store.claim_suspect(LATER + LEASE * 2, LEASE)
    assert third is not None
    assert (third.attempts, third.deaths) == (4, 2)


async def test_suspects_are_claimed_one_by_one(store: Store) -> None:
    """Each alone, the longest due first: whichever kills its worker takes no other with it."""
    suspects = [make.held_row(f"a:{n}", state="suspect", waits_for=None, due_at=NOW) for n in range(2)]
    first = make.held_row("a:9", state="suspect", waits_for=None, due_at=NOW - timedelta(seconds=1))
    later = make.held_row("a:8", state="suspect", waits_for=None, due_at=LATER)
    await write(store, held=[*suspects, first, later])
    claimed = [await store.claim_suspect(NOW, LEASE) for _ in range(4)]
    assert [row and row.identity for row in claimed] == ["a:9", *sorted(row.identity for row in suspects), None]
    assert await store.claim_due(NOW, LEASE) == []


async def test_claims_take_what_waits_oldest_first(store: Store) -> None:
    """Only what waits for the names, never what is parked, in the order in which it was held."""
    await write(
        store,
        held=[
            make.held_row("a:1", held_at=NOW + timedelta(seconds=2)),
            make.held_row("a:2", held_at=NOW),
            make.held_row("a:3", held_at=NOW + timedelta(seconds=1), waits_for="settlement:C-1"),
            make.held_row("a:4", waits_for="account:BA-2"),
            make.held_row("a:5", state="parked", waits_for=None, due_at=None),
            make.held_row("a:6", waits_for=None),
        ],
    )
    rows = await store.claim_waiting(["account:BA-1", "settlement:C-1", "account:none"], NOW, LEASE)
    assert [row.identity for row in rows] == ["a:2", "a:3", "a:1"]


async def test_claims_take_what_is_due(store: Store) -> None:
    """What is due now, the longest overdue first; what is due later is left alone."""
    await write(
        store,
        held=[
            make.held_row("a:1", due_at=NOW),
            make.held_row("a:2", due_at=NOW - timedelta(seconds=1), waits_for=None),
            make.held_row("a:3", due_at=NOW + timedelta(milliseconds=1)),
            make.held_row("a:4", due_at=None, state="parked"),
        ],
    )
    assert [row.identity for row in await store.claim_due(NOW, LEASE)] == ["a:2", "a:1"]
    assert await store.claim_due(NOW, LEASE) == []


async def test_a_claim_takes_no_more_than_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is left for the next claim."""
    monkeypatch.setattr("adapters.store.store.CLAIM_MAX", 2)
    await write(store, held=[make.held_row(f"a:{n}", held_at=NOW + timedelta(seconds=n)) for n in range(3)])
    assert [[row.identity for row in await claim(store)] for _ in range(3)] == [["a:0", "a:1"], ["a:2"], []]


async def test_a_claim_that_is_renewed_does_not_run_out(store: Store, database: Books) -> None:
    """Slowly is not dead; what is claimed no more is left alone."""
    await write(store, held=[make.held_row("a:1"), make.held_row("a:2", state="parked", waits_for=None, due_at=None)])
    await claim(store)
    await store.renew(["a:1", "a:2"], NOW + 3 * LEASE)
    assert await store.claim_suspect(NOW + 2 * LEASE, LEASE) is None
    assert database["held"].find_one({"_id": "a:2"}, {"_id": 0, "claimedUntil": 1}) == {"claimedUntil": None}
    suspect = await store.claim_suspect(NOW + 4 * LEASE, LEASE)
    assert suspect is not None
    assert (suspect.identity, suspect.deaths) == ("a:1", 1)


async def test_what_was_applied_is_held_no_longer(store: Store, database: Books) -> None:
    """Completing removes the row in the transaction that writes the inbox."""
    await write(store, held=[make.held_row("a:1")])
    [claimed] = await claim(store)
    await write(store, inbox=[make.inbox_row("a:1")], held_changes=[HeldChange(claimed, None)])
    assert database["held"].count_documents({}) == 0
    assert database["inbox"].count_documents({}) == 1


async def test_what_still_waits_can_be_claimed_again(store: Store, database: Books) -> None:
    """A verdict ends the claim, and keeps body, properties and the time since when it is held."""
    await write(store, held=[make.held_row("a:1")])
    [claimed] = await claim(store)
    verdict = replace(claimed, waits_for="account:SA-1", detail="no account SA-1", failed_at=LATER, due_at=LATER)
    await write(store, held_changes=[HeldChange(claimed, verdict)])
    [again] = await claim(store, name="account:SA-1")
    assert again == replace(verdict, attempts=3)
    assert again.held_at == NOW


async def test_a_message_that_is_parked_waits_no_longer(store: Store, database: Books) -> None:
    """A verdict of parked is what a duplicate is told from then on; no claim takes it."""
    await write(store, held=[make.held_row("a:1")])
    [claimed] = await claim(store)
    parked = replace(claimed, state="parked", reason="internal", traceback="…", waits_for=None, due_at=None)
    await write(store, held_changes=[HeldChange(claimed, parked)])
    assert await claim(store, LATER) == await store.claim_due(LATER, LEASE) == []
    async with store.transaction() as transaction:
        known = await transaction.look_up(["a:1"], (), make.books())
    assert (known["a:1"].state, known["a:1"].reason, known["a:1"].attempts) == ("parked", "internal", 2)


@pytest.mark.parametrize("verdict", [None, "waiting"])
async def test_a_claim_that_another_worker_took_over_is_lost(
    store: Store, database: Books, verdict: str | None
) -> None:
    """When the attempts have moved on nothing of the batch is written: the other worker decides."""
    await write(store, held=[make.held_row("a:1")])
    [mine] = await claim(store)
    other = await store.claim_suspect(LATER, LEASE)
    assert other is not None
    change = HeldChange(mine, mine if verdict else None)
    with pytest.raises(ClaimLost):
        await write(store, inbox=[make.inbox_row("a:1")], held_changes=[change])
    assert database["inbox"].count_documents({}) == 0
    await write(store, inbox=[make.inbox_row("a:1")], held_changes=[HeldChange(other, None)])
    with pytest.raises(ClaimLost):
        await write(store, held_changes=[change])


async def test_a_claim_of_what_an_operator_parked_meanwhile_is_lost(store: Store, database: Books) -> None:
    """A row that is no longer waiting is not touched by whoever had claimed it."""
    await write(store, held=[make.held_row("a:1")])
    [claimed] = await claim(store)
    database["held"].update_one({}, {"$set": {"state": "discarded"}})
    with pytest.raises(ClaimLost):
        await write(store, held_changes=[HeldChange(claimed, None)])


async def test_a_body_too_large_for_a_document_is_kept_in_pieces(store: Store, database: Books) -> None:
    """Twenty mebibytes come back byte for byte, and go with their row."""
    body = bytes(range(256)) * (20 * 1024 * 1024 // 256) + b"the end"
    await write(store, held=[make.held_row("a:1", body=body), make.held_row("a:2")])
    assert database["heldBodies"].count_documents({}) == 3
    rows = [*await claim(store), *await claim(store)]
    assert [row.body for row in rows] == [body, b'{"orderId": "O-1"}']
    await write(store, held_changes=[HeldChange(row, None) for row in rows])
    assert database["heldBodies"].count_documents({}) == database["held"].count_documents({}) == 0


async def test_holding_an_identity_conflicts_with_applying_it(store: Store, database: Books) -> None:
    """Of two workers of which one applies a fact and the other holds it at the same moment, only one commits."""
    async with store.transaction() as applies, store.transaction() as holds:
        assert await applies.look_up(["a:1"], (), make.books()) == {}
        assert await holds.look_up(["a:1"], (), make.books()) == {}
        await applies.write(make.books(), Batch(inbox=[make.inbox_row("a:1")]))
        with pytest.raises(PyMongoError) as refused:
            await holds.write(make.books(), Batch(held=[make.held_row("a:1")]))
        assert is_transient(refused.value)
        await applies.commit()
    async with store.transaction() as late:
        assert await late.look_up(["b:1"], (), make.books()) == {}
        await write(store, held=[make.held_row("b:1")])
        with pytest.raises(PyMongoError):
            await late.write(make.books(), Batch(inbox=[make.inbox_row("b:1")]))
    assert {row["_id"] for row in database["inbox"].find()} == {"a:1"}
    assert {row["_id"] for row in database["held"].find()} == {"b:1"}


async def test_an_identity_is_held_once(store: Store, database: Books) -> None:
    """A second row for an identity that is held fails the transaction: a race is settled by running again."""
    await write(store, held=[make.held_row("a:1")])
    with pytest.raises(PyMongoError):
        await write(store, held=[make.held_row("a:1", digest="other")], inbox=[make.inbox_row("b:1")])
    assert database["inbox"].count_documents({}) == 0


async def test_who_asks_for_what_waits_is_noted(store: Store) -> None:
    """A reply that is wanted of a waiting message is kept with it, also when it is held in the same batch."""
    await write(store, held=[make.held_row("a:1")], replies=[("a:1", ReplyTo("q1", "c1"))])
    await write(store, replies=[("a:1", ReplyTo("q2", "c2"))])
    async with store.transaction() as transaction:
        assert (await transaction.look_up(["a:1"], (), make.books()))["a:1"].replies == 2
    [row] = await claim(store)
    assert row.replies == (ReplyTo("q1", "c1"), ReplyTo("q2", "c2"))


async def test_what_is_waited_for_and_what_is_there(store: Store, database: Books) -> None:
    """Each name once, whether of an account or a settlement, and which of them exist by now."""
    await write(
        store,
        held=[
            make.held_row("a:1"),
            make.held_row("a:2"),
            make.held_row("a:3", waits_for="settlement:C-1"),
            make.held_row("a:4", waits_for="account:BA-2"),
            make.held_row("a:5", waits_for=None),
            make.held_row("a:6", state="parked", waits_for="account:BA-3"),
        ],
    )
    names = {"account:BA-1", "settlement:C-1", "account:BA-2"}
    assert sorted(await store.awaited_names(10)) == sorted(names)
    assert len(await store.awaited_names(2)) == 2
    assert await store.there_now(names) == []
    # One that nobody knows: a worker goes on, and its message waits until its time is over.
    assert await store.there_now(["nonsense:1", "applied:x:1"]) == []
    database["accounts"].insert_one({"_id": "BA-1"})
    database["settlements"].insert_one({"_id": "C-1"})
    assert sorted(await store.there_now(names)) == ["account:BA-1", "settlement:C-1"]


async def test_no_more_is_claimed_than_memory_is_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large messages come few at a time, one that is larger than all that alone."""
    monkeypatch.setattr("adapters.store.store.CLAIM_BYTES_MAX", 25_000)
    rows = [
        make.held_row(f"a:{n}", waits_for=None, due_at=NOW, body=b"x" * (90_000 if n == 4 else 10_000))
        for n in range(6)
    ]
    await write(store, held=rows)
    claims = []
    while claimed := await store.claim_due(NOW, LEASE):
        claims.append(sorted(row.identity for row in claimed))
    assert claims == [["a:0", "a:1"], ["a:2", "a:3"], ["a:4"], ["a:5"]]
