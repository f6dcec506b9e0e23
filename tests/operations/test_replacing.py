"""A sender corrects its own message while that waits, and is told what it needs; what comes again leaves its trace."""

from __future__ import annotations

from typing import Any

from yarl import URL

from adapters.settings import Settings
from tests.integration.test_queries import business, say
from tests.operations.test_parked import ONE_DRIVER, act
from tests.support.books import Books, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import Message, customer, item, order, payment
from tests.support.waiting import wait_for


async def waits(client: Client, database: Books, message: Message, message_id: str, **properties: Any) -> str:
    """Have a message wait; returns the correlation id of who asked."""
    asked = await client.send_asking(message, message_id=message_id, **properties)
    await wait_for(lambda: any(row["messageId"] == message_id for row in held(database, "waiting").values()))
    return asked


async def test_the_right_one_takes_the_place_of_the_wrong_one(
    settings: Settings, client: Client, database: Books
) -> None:
    """Under the same identity and another, applied and waiting; who asked for the wrong one is told."""
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        asked = await waits(client, database, order("O-1", "BA-9"), "m-1")
        # Without the header it is a conflict, which says what to do.
        conflict = await client.ask(order("O-1", "BA-1"), message_id="m-2")
        assert conflict["error"]["code"] == "conflicting-duplicate"
        assert "replaces: m-1" in conflict["error"]["detail"]
        assert "edit or discard it as P-" in conflict["error"]["detail"]
        # Other content than that, since that is parked by now.
        right = order("O-1", "BA-1", item(1, "20.00"))
        assert (await client.ask(right, message_id="m-3", headers={"replaces": "m-1"}))["outcome"] == "applied"
        told = await client.answer(asked)
        assert (told["outcome"], told["error"]["code"]) == ("parked", "unknown-account")
        assert told["error"]["detail"] == "replaced by its sender with m-3"
        assert position(database, "BA-1") == {"receivable": 2400}
        [gone] = (await ask("parked.list", state="discarded"))["items"]
        assert gone["identity"].startswith("order.completed:O-1#")
        assert gone["discarded"]["why"] == "replaced by its sender with m-3"
        assert (await act(client, "undo", [gone["parkedId"]]))["error"]["code"] == "invalid"
        [done] = (await ask("parked.history"))["items"]
        assert (done["act"], done["parkedId"], done["stateBefore"]) == ("discard", gone["parkedId"], "waiting")
        # Again, each of them: no second effect.
        again = await client.ask(right, message_id="m-3", headers={"replaces": "m-1"})
        assert again["outcome"] == "duplicate"
        wrong = await client.ask(order("O-1", "BA-9"), message_id="m-1")
        assert "discarded by unknown on 2026-11-22: replaced by its sender with m-3" in wrong["error"]["detail"]
        assert (await ask("parked.get", id=gone["parkedId"]))["seenAgain"] == 1

        # Another number, and the right one waits itself; that is replaced in turn, and back again.
        await waits(client, database, payment("P-1", "BA-9", "5.00"), "m-4")
        await client.send(payment("P-2", "BA-8", "5.00"), message_id="m-5", headers={"replaces": "m-4"})
        await wait_for(lambda: held(database).get("payment.received:P-2", {}).get("state") == "waiting")
        assert held(database)["payment.received:P-1"]["state"] == "discarded"
        assert held(database)["payment.received:P-1"]["replacedBy"] == "payment.received:P-2"
        for n, account_id in enumerate(("BA-7", "BA-8", "BA-7"), 6):
            replaced = {"replaces": f"m-{n - 1}"}
            await client.send(payment("P-2", account_id, "5.00"), message_id=f"m-{n}", headers=replaced)
            await wait_for(
                lambda message_id=f"m-{n}": held(database)["payment.received:P-2"]["messageId"] == message_id  # type: ignore[misc]
            )
        await say(client, customer("BA-7"), customer("BA-8"))
        await wait_for(lambda: position(database, "BA-7") == {"unapplied": 500})
        assert position(database, "BA-8") == {}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_correction_far_in_the_future_waits_in_the_place_of_the_wrong_one(
    settings: Settings, client: Client, database: Books
) -> None:
    """It is asked what any message is: with its account there it is not applied either."""
    async with business(settings, client):
        await say(client, customer("BA-1"))
        await waits(client, database, payment("P-1", "BA-9", "5.00"), "m-1")
        routing_key, body = payment("P-2", "BA-1", "5.00")
        early = {**body, "receivedAt": "2126-11-22T10:00:00Z"}
        await client.send((routing_key, early), message_id="m-2", headers={"replaces": "m-1"})
        await wait_for(lambda: "payment.received:P-2" in held(database))
        row = held(database)["payment.received:P-2"]
        assert (row["state"], row["reason"]) == ("waiting", "too-early")
        assert held(database)["payment.received:P-1"]["state"] == "discarded"
        assert position(database, "BA-1") == {}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_is_wrong_itself_replaces_nothing(settings: Settings, client: Client, database: Books) -> None:
    """It is parked with its own reason, beside the one that waits on; so is what does not fit."""
    async with business(settings, client) as (_, _, _):
        await say(client, customer("BA-1"))
        await waits(client, database, order("O-1", "BA-9"), "m-1")
        for message, code in (
            (order("O-1", "BA-1", currency="USD"), "currency-mismatch"),
            (order("O-1", "BA-1", currency="eu"), "invalid"),
        ):
            for _ in range(2):
                answer = await client.ask(message, message_id="m-2", headers={"replaces": "m-1"})
                assert (answer["outcome"], answer["error"]["code"]) == ("parked", code)
        assert held(database)["order.completed:O-1"]["state"] == "waiting"
        # What is applied or parked already, or was never there, can't be replaced: the header says nothing.
        await say(client, customer("BA-9"))
        await wait_for(lambda: position(database, "BA-9") == {"receivable": 1200})
        answer = await client.ask(order("O-1", "BA-1"), message_id="m-3", headers={"replaces": "m-1"})
        assert answer["error"]["code"] == "conflicting-duplicate"
        for replaces in ("m-2", "nothing", "", 7, ["m-1"], {"a": 1}):
            n = len(database.invoices.distinct("_id"))
            answer = await client.ask(order(f"N-{n}", "BA-1"), headers={"replaces": replaces})
            assert answer["outcome"] == "applied", replaces
    await assert_clean(client, database)


@ONE_DRIVER
async def test_only_its_sender_replaces_a_message(settings: Settings, client: Client, database: Books) -> None:
    """Another user's is forbidden, and so is one of nobody's; several of one id are told apart, or not at all."""
    user = URL(settings.rabbitmq_url).user
    async with business(settings, client) as (_, _, _):
        await say(client, customer("BA-1"))
        await waits(client, database, order("O-1", "BA-9"), "m-1", user_id=user)
        replaces: dict[str, Any] = {"headers": {"replaces": "m-1"}}
        answer = await client.ask(order("O-1", "BA-1"), message_id="m-2", **replaces)
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "forbidden")
        answer = await client.ask(order("O-2", "BA-1"), message_id="m-2", **replaces)
        assert (answer["outcome"], answer["error"]["code"]) == ("parked", "forbidden")
        assert held(database)["order.completed:O-1"]["state"] == "waiting"
        # Two that wait have the same id: which one is meant is clear only to who names the same fact.
        await waits(client, database, order("O-3", "BA-9"), "m-1", user_id=user)
        await wait_for(lambda: len(held(database, "waiting")) == 2)
        answer = await client.ask(order("O-4", "BA-1"), message_id="m-5", user_id=user, **replaces)
        assert answer["error"]["code"] == "invalid"
        answer = await client.ask(order("O-3", "BA-1"), message_id="m-6", user_id=user, **replaces)
        assert answer["outcome"] == "applied"
        answer = await client.ask(payment("P-1", "BA-1", "1.00"), message_id="m-7", user_id=user, **replaces)
        assert answer["outcome"] == "applied"
        assert held(database, "waiting") == {}
        assert position(database, "BA-1") == {"receivable": 1100}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_array_replaces_fact_by_fact(settings: Settings, client: Client, database: Books) -> None:
    """The n-th takes the place of the n-th; those that were right are duplicates."""
    async with business(settings, client) as (_, _, _):
        await say(client, customer("BA-1"))
        good, wrong = order("O-1", "BA-1")[1], order("O-2", "BA-9")[1]
        await client.send(("order.completed", [good, wrong]), message_id="m-1")
        await wait_for(lambda: held(database, "waiting"))
        right = order("O-2", "BA-1")[1]
        await client.send(("order.completed", [good, right]), message_id="m-2", headers={"replaces": "m-1"})
        await wait_for(lambda: position(database, "BA-1") == {"receivable": 2400})
        assert {row["state"] for row in held(database).values()} == {"discarded"}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_worker_that_has_taken_up_the_wrong_one_finds_it_gone(
    settings: Settings, client: Client, database: Books
) -> None:
    """Claimed or not: what is replaced is not applied."""
    async with business(settings, client) as (_, clock, _):
        await say(client, customer("BA-1"))
        await waits(client, database, order("O-1", "BA-9"), "m-1")
        database["held"].update_one(
            {}, {"$set": {"claimedUntil": clock.now.replace(year=2030)}, "$inc": {"attempts": 1}}
        )
        answer = await client.ask(order("O-1", "BA-1"), message_id="m-2", headers={"replaces": "m-1"})
        assert answer["outcome"] == "applied"
        await say(client, customer("BA-9"))
        assert (position(database, "BA-1"), position(database, "BA-9")) == ({"receivable": 1200}, {})
    await assert_clean(client, database)


@ONE_DRIVER
async def test_what_comes_again_after_a_discard_leaves_its_trace(
    settings: Settings, client: Client, database: Books
) -> None:
    """The reply says who discarded it, when and why; the row counts it. Other content is told what can be done."""
    user = URL(settings.rabbitmq_url).user
    async with business(settings, client) as (ask, _, _):
        await say(client, customer("BA-1"))
        wrong = order("O-1", "BA-1", currency="USD")
        assert (await client.ask(wrong))["error"]["code"] == "currency-mismatch"
        [row] = held(database).values()
        conflict = await client.ask(order("O-1", "BA-1", currency="CHF"))
        assert f"parked: an operator can edit or discard it as {row['parkedId']}" in conflict["error"]["detail"]
        body = {"ids": [row["parkedId"]], "why": "test data"}
        await client.ask(("parked.discard", body), user_id=user)
        for n in (1, 2):
            again = await client.ask(wrong)
            assert (again["outcome"], again["error"]["code"]) == ("parked", "currency-mismatch")
            assert f"discarded by {user} on 2026-11-22: test data" in again["error"]["detail"]
            shown = await ask("parked.get", id=row["parkedId"])
            assert (shown["seenAgain"], shown["seenAgainAt"]) == (n, "2026-11-22T10:30:00.123Z")
        conflict = await client.ask(order("O-1", "BA-1"))
        assert f"an operator can undo that, and edit {row['parkedId']}" in conflict["error"]["detail"]
        assert (await client.ask(order("O-1", "BA-1")))["error"] == conflict["error"]
    await assert_clean(client, database)
