"""`paymaster parked edit` and what is only tried: envelopes, values as the schema takes them, many messages alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.settings import Settings
from handlers.console.bodies import parsed
from handlers.console.edits import with_values
from schemas.asyncapi.outgoing import ERRORS
from schemas.operations.queries import REASONS
from tests.operations.test_parked_cli import ONE_DRIVER, Operator, operator, park, refuse, say, store
from tests.support.books import Books, assert_clean, held, position
from tests.support.client import Client
from tests.support.messages import Message, account, customer, order, payment
from tests.support.waiting import wait_for
from tests.support.workers import working

__all__ = ["operator", "store"]


def twenty(n: int, account_id: str = "BA-1") -> Message:
    """An order with a typing error: a word for a rate."""
    good = order(f"O-{n}", account_id)[1]
    return "order.completed", {**good, "items": [{**good["items"][0], "tax": {"category": "S", "rate": "twenty"}}]}


@ONE_DRIVER
async def test_an_envelope_is_mended(settings: Settings, client: Client, database: Books, operator: Operator) -> None:
    """By options; what changes is shown before it is done."""
    async with working(settings):
        await say(client, customer("BA-1"))
        properties: dict[str, Any] = {"headers": {"schema-version": 2}, "content_encoding": "x-zip"}
        await client.ask(("order.complete", order("O-1", "BA-1")[1]), **properties)
        [row] = held(database).values()
        words = ["--type", "order.completed", "--no-header", "schema-version", "--encoding", "utf-8"]
        more = ["--header", "shop=yes", "--message-id", "m-1", "--set", "items.0.quantity=2"]
        asked = ["edit", row["parkedId"], *words, *more, "--why", "as they meant it"]
        told = await operator(*asked, typed="n\n", code=1)
        for line in (
            "-type: order.complete",
            "+type: order.completed",
            "-header schema-version: 2",
            "+message id: m-1",
        ):
            assert line in told.err
        done = (await operator(*asked, "--yes", "--json")).json
        assert (done["state"], position(database, "BA-1")) == ("applied", {"receivable": 2400})
        # Wrong usage is told in one line.
        for wrong in (["--header", "x"], ["--message-id", "a b"], ["--type", ""], ["--set", "x"]):
            told = await operator("edit", row["parkedId"], *wrong, "--why", "x", code=2)
            assert (told.out, told.err.count("\n")) == ("", 1)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_array_becomes_its_facts(
    settings: Settings, client: Client, database: Books, operator: Operator, tmp_path: Any
) -> None:
    """The outcome is that of all: one that is parked again is told."""
    good, wrong = order("O-1", "BA-1")[1], order("O-2", "BA-1", currency="USD")[1]
    file = tmp_path / "array.json"
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, ("order.completed", b"[{},]"))  # type: ignore[arg-type]
        [row] = held(database).values()
        file.write_text(json.dumps([good, wrong, order("O-3", "BA-1")[1]]))
        words = ["edit", row["parkedId"], "--file", str(file), "--yes", "--json"]
        dry = (await operator(*words, "--dry-run")).json
        assert dry["counts"] == {"parked": 1}
        told = (await operator(*words, "--why", "as they meant it", code=1)).json
        assert told["state"] == "parked"
        assert told["detail"].startswith("3 facts: 2 applied, 1 parked; order.completed:O-2: currency-mismatch: ")
        assert position(database, "BA-1") == {"receivable": 2400}
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_group_with_one_typing_error_is_one_edit(
    settings: Settings, client: Client, database: Books, operator: Operator
) -> None:
    """Tried first, by a dry run and by a canary; what came of each is told, and a stopped one is gone on with."""
    async with working(settings):
        await say(client, customer("BA-1"))
        await refuse(client, *[twenty(n) for n in range(6)], twenty(6, "BA-9"))
        [group] = (await operator("groups", "--json")).json["items"]
        assert group["count"] == 7
        words = ["edit", "--group", group["group"], "--set", "items.0.tax.rate=0.20"]
        dry = (await operator(*words, "--dry-run", "--json")).json
        assert dry["counts"] == {"applied": 6, "waiting": 1}
        assert "unknown-account" in next(one["detail"] for one in dry["items"] if one["would"] == "waiting")
        assert (position(database, "BA-1"), len(held(database, "parked"))) == ({}, 7)
        assert database["operatorActs"].count_documents({}) == 0
        still = (await operator("edit", "--group", group["group"], "--set", "currency=USD", "--dry-run", "--json")).json
        assert still["counts"] == {"refused": 7}
        # Asked, with the first one's change shown; the canary goes well, and the rest follows.
        told = await operator(*words, "--why", "typing error", typed="n\n", code=1)
        assert '+        "rate": 0.20' in told.err
        assert "edit 7 messages like this?" in told.err
        done = (await operator(*words, "--canary", "2", "--why", "typing error", "--yes", "--json")).json
        assert done["counts"] == {"applied": 6, "waiting": 1}
        assert position(database, "BA-1") == {"receivable": 6 * 1200}
        assert {row["state"] for row in held(database).values()} == {"mended", "waiting"}
        assert {one["act"] for one in (await operator("history", "--json")).json["items"]} == {"edit"}

        # A canary that does not go well stops the rest; it is gone on with as an edit.
        more = [order(f"N-{n}", "BA-7", currency="eu") for n in range(3)]
        await refuse(client, *more)
        await say(client, account("BillingAccount", "BA-7", currency="USD"))
        [group] = (await operator("groups", "--json")).json["items"]
        words = ["edit", "--group", group["group"], "--set", "currency=EUR", "--why", "typing error", "--yes"]
        stopped = await operator(*words, "--canary", "1", "--json", code=1)
        assert stopped.json["counts"] == {"parked": 1, "pending": 2}
        rest = await operator("replay", "--resume", stopped.json["replay"], "--json", code=1)
        assert rest.json["counts"] == {"parked": 3}
        for wrong in (["--set", "x=1", "--file", "f"], [], ["--file", "f"]):
            await operator("edit", "--group", group["group"], *wrong, "--why", "x", code=2)
        await operator("edit", "--set", "x=1", "--why", "x", code=2)
        await operator("edit", "P-1", "--group", group["group"], "--set", "x=1", "--why", "x", code=2)
    await assert_clean(client, database)


@ONE_DRIVER
async def test_a_dry_run_tells_which_would_fail(
    settings: Settings, client: Client, database: Books, operator: Operator
) -> None:
    """Decided on the books as they are, each seeing what those before it would do; nothing of it is kept."""
    async with working(settings):
        ids = await park(
            client,
            operator,
            database,
            order("O-1", "BA-1"),
            order("O-2", "BA-2"),
            payment("P-1", "BA-1", "5.00"),
        )
        await say(client, customer("BA-1"))
        await refuse(client, order("O-3", "BA-1", currency="USD"), ("order.complete", {}))
        await refuse(client, order("O-3", "BA-1", currency="EUR"))
        await wait_for(lambda: not database["outbox"].count_documents({"unsent": True}))
        # The worker tells meanwhile that it is there.
        names = sorted(set(database.list_collection_names()) - {"workers"})
        before = {name: list(database[name].find()) for name in names}
        dry = (await operator("replay", "--all", "--dry-run", "--json")).json
        assert {name: list(database[name].find()) for name in before} == before
        came = {one["parkedId"]: (one["would"], one["detail"].partition(":")[0]) for one in dry["items"]}
        assert [came[id_] for id_ in ids] == [("applied", ""), ("waiting", "unknown-account"), ("applied", "")]
        reasons = {one["reason"]: came[one["parkedId"]] for one in dry["items"]}
        await client.ask(("parked.note", {"ids": ids, "why": "who is this?"}), app_id="alice")
        assert "(claims to" in (await operator("history")).out
        assert reasons["currency-mismatch"] == ("parked", "currency-mismatch")
        assert reasons["unknown-type"] == ("refused", "unknown-type")
        assert reasons["conflicting-duplicate"] == ("refused", "invalid")
        shown = await operator("replay", *ids, "P-nothing", "--dry-run")
        assert "2 applied, 1 refused, 1 waiting; nothing was done" in shown.err
        told = (await operator("replay", "--all", "--why", "mended", "--json", code=1)).json
        assert {one["parkedId"]: one["state"] for one in told["items"]} == {
            id_: would for id_, (would, _) in came.items()
        }
    await assert_clean(client, database)


@ONE_DRIVER
async def test_an_unknown_reason_is_named(settings: Settings, client: Client, operator: Operator) -> None:
    """With those that there are; so is what can be no group. That nothing fits is no error."""
    async with working(settings):
        for words in (["list"], ["replay", "--dry-run"], ["discard", "--why", "x"], ["export"]):
            told = await operator(*words, "--reason", "foo", code=2)
            assert (told.out, told.err.count("\n")) == ("", 1)
            assert "--reason foo" in told.err
            assert "currency-mismatch" in told.err
            await operator(*words, "--group", "G-1", code=2)
        assert (await operator("list", "--reason", "invalid")).out == "no message fits\n"


def test_reasons_are_the_errors_that_a_message_may_be_held_for() -> None:
    """A code that is added is one that can be asked for."""
    assert set(REASONS) == ERRORS.keys() - {"unavailable", "unknown-seller", "unknown-bill-run"}


BODY = json.dumps(order("O-1", "BA-1")[1])


@pytest.mark.parametrize(
    ("routing_key", "one", "at", "value"),
    [
        ("order.completed", "billingAccount.id=4711", ("billingAccount", "id"), "4711"),
        ("order.completed", "orderId=1.0", ("orderId",), "1.0"),
        ("order.completed", "items.0.description=true", ("items", 0, "description"), "true"),
        ("order.completed", "items.0.id=007", ("items", 0, "id"), "007"),
        ("order.completed", "items.0.quantity=3", ("items", 0, "quantity"), 3),
        ("order.completed", "items.0.unitPrice=1234567890.1234567", ("items", 0, "unitPrice"), "1234567890.1234567"),
        ("order.completed", 'items.0.unitPrice="5"', ("items", 0, "unitPrice"), "5"),
        ("order.completed", "note=5", ("note",), 5),
        ("order.completed", "items.0.description=null", ("items", 0, "description"), None),
        ("order.complete", "billingAccount.id=4711", ("billingAccount", "id"), 4711),
    ],
)
def test_values_are_read_by_the_schema(routing_key: str, one: str, at: tuple[Any, ...], value: Any) -> None:
    """A number where the schema wants a text is that text; where it takes both, or nobody knows it, it is a number."""
    found = json.loads(with_values(BODY, [one], routing_key))
    for step in at:
        found = found[step]
    assert found == value


def test_values_of_an_array_and_several_at_once() -> None:
    """Each by the schema of its own fact, whatever else is wrong."""
    text = with_values(
        f"[{BODY}, {BODY}]", ["0.orderId=1", "1.orderId=2", "1.currency=5", "0.items.0.quantity=x"], "order.completed"
    )
    found = json.loads(text)
    assert [one["orderId"] for one in found] == ["1", "2"]
    assert parsed(text)[0]["items"][0]["quantity"] == "x"
