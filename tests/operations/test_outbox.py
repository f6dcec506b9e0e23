"""The outbox and its relay on a real broker: what it refuses is tried again and then parked, and holds up no other."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
import structlog
from aio_pika.abc import AbstractQueue
from structlog.testing import capture_logs
from typer.testing import CliRunner

from adapters.rabbitmq import connection, publisher
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.relay import REFUSALS_MIN, Relay
from adapters.rabbitmq.topology import OUT
from adapters.settings import Settings
from adapters.store.store import Store
from adapters.store.transaction import Batch
from handlers import cli
from schemas.event import OutgoingEvent
from schemas.values import parse_time
from tests.store import documents as make
from tests.support.books import Books, Document, applied, assert_audit_ok
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.proxy import OPEN_OK, Proxy
from tests.support.waiting import SECONDS_MAX, wait_for
from tests.support.workers import PAYMASTER, environment, interruptible, working

pytestmark = pytest.mark.parametrize("driver", ["motor"], indirect=True)

INTERVAL = timedelta(seconds=0.05)
HOUR = timedelta(hours=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


def event(sequence: int, routing_key: str = "account.changed", account: str = "BA-1") -> OutgoingEvent:
    """An event of an account, booked long ago."""
    return replace(make.event(account, sequence), routing_key=routing_key)


async def commit(store: Store, events: Sequence[OutgoingEvent]) -> None:
    """Write events to the outbox, as a batch does."""
    async with store.transaction() as transaction:
        await transaction.write(make.books(), Batch(outbox=list(events)))
        await transaction.commit()


@asynccontextmanager
async def relaying(url: str, store: Store, refused_max: timedelta = HOUR) -> AsyncIterator[Relay]:
    """A relay at work."""
    publisher, beside = Publisher(url), Publisher(url)
    relay = Relay(publisher, beside, store, interval=INTERVAL, refused_max=refused_max, clock=utc_now)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await publisher.close()
        await beside.close()


async def sweeps(store: Store, count: int) -> None:
    """Wait until the relay has looked so often for what is unsent, and has dealt with what it found."""
    looks = 0
    unsent = store.unsent

    async def counted(*given: Any) -> list[OutgoingEvent]:
        nonlocal looks
        looks += 1
        return await unsent(*given)

    store.unsent = counted  # type: ignore[method-assign, assignment]
    # A look begins when all before it is done.
    await wait_for(lambda: looks > count)


async def full_queue(client: Client, routing_key: str) -> AbstractQueue:
    """A queue for a type of events that has room for one."""
    queue = await client.channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await queue.bind(OUT, routing_key)
    return queue


def rows(database: Books, **which: Any) -> dict[str, Document]:
    """The outbox's rows that are so, by id."""
    return {row["_id"]: row for row in database["outbox"].find(which)}


async def test_an_event_that_a_full_queue_refuses_waits_for_room_and_holds_up_no_other(
    rabbitmq_url: str, client: Client, store: Store, database: Books
) -> None:
    """It is tried again at growing intervals, stays unsent, and goes out once there is room."""
    queue = await full_queue(client, "invoice.issued")
    first = [event(n, "invoice.issued" if n in (1, 20) else "account.changed") for n in range(1, 41)]
    later = [event(n) for n in range(41, 300)]
    await commit(store, first)
    async with relaying(rabbitmq_url, store) as relay:
        relay.hand_over(first)
        [refused] = (await wait_for(lambda: rows(database, refusals={"$gte": 1}))).values()
        assert refused["_id"] == "BA-1:20"
        # Others go out beside it, also those that come later.
        await commit(store, later)
        relay.hand_over(later)
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
        assert len(rows(database, sentAt={"$exists": True})) == 298
        due = {}

        def tried() -> bool:
            found = rows(database)["BA-1:20"]
            due[found["refusals"]] = found["dueAt"]
            return len(due) == 3

        await wait_for(tried)
        # Each wait is twice the one before, and nothing is tried before it is due: no spin.
        for one, next_ in pairwise(sorted(due)):
            assert due[next_] - INTERVAL * 2 ** (next_ - 1) >= due[one]
        row = rows(database)["BA-1:20"]
        assert row["refusedAt"] == refused["refusedAt"]
        assert "parkedAt" not in row
        await queue.purge()
        await wait_for(lambda: not rows(database, unsent=True))
        assert (await queue.get()).message_id == "BA-1:20"
    assert "dueAt" not in rows(database)["BA-1:20"]


async def test_an_event_that_is_refused_for_too_long_is_parked_with_one_line(
    rabbitmq_url: str, client: Client, store: Store, database: Books
) -> None:
    """After the time that is set, and never after fewer than five tries; then it is left alone."""
    await full_queue(client, "invoice.issued")
    await commit(store, [event(n, "invoice.issued") for n in range(1, 4)] + [event(4)])
    with capture_logs() as logs:
        async with relaying(rabbitmq_url, store, timedelta(milliseconds=1)):
            parked = await wait_for(lambda: len(found := rows(database, parkedAt={"$exists": True})) == 2 and found)
            await sweeps(store, 3)
    assert rows(database, parkedAt={"$exists": True}) == parked
    for row in parked.values():
        assert (row["reason"], row["refusals"]) == ("refused", REFUSALS_MIN)
        assert not {"unsent", "sentAt", "dueAt"} & row.keys()
    lines = [line for line in logs if line["event"] == "event parked"]
    assert sorted((line["event_id"], line["type"], line["reason"]) for line in lines) == [
        (id_, "invoice.issued", "refused") for id_ in sorted(parked)
    ]


def spoil(monkeypatch: pytest.MonkeyPatch, *message_ids: str) -> None:
    """Give events a header over which the broker closes the channel, as it does over a body that is too large."""
    encode = publisher.message_of

    def spoilt(one: OutgoingEvent, queue: str | None) -> Any:
        outgoing = encode(one, queue)
        if one.message_id in message_ids:
            return replace(outgoing, headers={**outgoing.headers, "CC": "no list of routing keys"})
        return outgoing

    monkeypatch.setattr(publisher, "message_of", spoilt)


async def test_an_event_over_which_the_broker_closes_the_channel_is_found_and_parked(
    rabbitmq_url: str, client: Client, store: Store, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 events three are such: they are parked, the others go out, and so do those that come meanwhile."""
    bad = {"BA-1:1", "BA-1:77", "BA-1:200"}
    spoil(monkeypatch, *bad)
    first = [event(n) for n in range(1, 201)]
    later = [event(n) for n in range(201, 301)]
    await commit(store, first + later)
    async with relaying(rabbitmq_url, store) as relay:
        relay.hand_over(first)
        relay.hand_over(later)
        await asyncio.wait_for(relay.drained(), SECONDS_MAX)
        await wait_for(lambda: not rows(database, unsent=True))
        parked = rows(database, parkedAt={"$exists": True})
        await wait_for(lambda: len(client.seen()) == 297)
    assert parked.keys() == bad
    assert {row["reason"] for row in parked.values()} == {"precondition-failed"}
    assert {one.message_id for one in client.seen()} == {one.message_id for one in first + later} - bad


async def test_an_event_whose_type_may_not_be_published_is_tried_for_its_time(
    rabbitmq_url: str, client: Client, broker: Broker, store: Store, database: Books
) -> None:
    """The broker closes the channel over it too, but permissions change: it is put off, and goes out in the end."""
    permitted = "topic-permissions/{vhost}/guest"
    broker.call("PUT", permitted, {"exchange": OUT, "write": "^account[.]", "read": ".*"})
    await commit(store, [event(n, "invoice.issued" if n == 5 else "account.changed") for n in range(1, 11)])
    async with relaying(rabbitmq_url, store):
        await wait_for(lambda: rows(database, refusals={"$gte": 1}))
        await wait_for(lambda: len(rows(database, unsent=True)) == 1)
        broker.call("DELETE", permitted)
        await wait_for(lambda: not rows(database, unsent=True))
    assert "parkedAt" not in rows(database)["BA-1:5"]
    await wait_for(lambda: len(client.seen()) == 10)


async def test_an_event_that_amqp_cannot_say_is_parked_at_once(
    rabbitmq_url: str, client: Client, store: Store, database: Books
) -> None:
    """A correlation id of more than 255 bytes can't be sent by anybody; the others go out."""
    await commit(store, [replace(event(1), correlation_id="c" * 300), event(2)])
    async with relaying(rabbitmq_url, store):
        await wait_for(lambda: not rows(database, unsent=True))
    assert [row["reason"] for row in rows(database, parkedAt={"$exists": True}).values()] == ["unencodable"]
    assert "sentAt" in rows(database)["BA-1:2"]


async def test_an_outage_parks_nothing(
    rabbitmq_url: str, client: Client, store: Store, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a lost connection nor a missing exchange is an event's fault, however short its time."""
    monkeypatch.setattr("adapters.rabbitmq.relay._PAUSE_SECONDS", 0.05)
    tries = 0
    publish = Publisher.publish

    async def counted(publisher: Publisher, *given: Any) -> Any:
        nonlocal tries
        tries += 1
        return await publish(publisher, *given)

    monkeypatch.setattr(Publisher, "publish", counted)

    async def tried(times: int) -> None:
        goal = tries + times
        await wait_for(lambda: tries >= goal)

    events = [event(n) for n in range(1, 51)]
    await commit(store, events)
    no_time = timedelta(microseconds=1)
    # Before the relay begins, which looks at once for what is unsent.
    await client.channel.exchange_delete(OUT)
    async with Proxy.between(rabbitmq_url) as proxy, relaying(proxy.url, store, no_time) as relay:
        relay.hand_over(events)
        # More often than an event is tried that the broker refuses.
        await tried(REFUSALS_MIN + 1)
        for _ in range(6):
            await proxy.cut()
            await proxy.heal()
            await tried(2)
        assert len(rows(database, unsent=True)) == 50
        assert not rows(database, refusals={"$exists": True})
        await client.channel.declare_exchange(OUT, "topic", durable=True)
        await wait_for(lambda: not rows(database, unsent=True))
    assert not rows(database, parkedAt={"$exists": True})


async def test_a_broker_that_hangs_up_as_soon_as_it_is_connected_to(
    rabbitmq_url: str, client: Client, store: Store, database: Books
) -> None:
    """The relay lives on, and sends what it has once it can."""
    await client.declare()
    events = [event(1)]
    await commit(store, events)
    times = 0

    async with Proxy.between(rabbitmq_url) as proxy:

        def hang_up() -> None:
            nonlocal times
            times += 1
            proxy.hang_up()

        proxy.after = OPEN_OK, hang_up
        async with relaying(proxy.url, store) as relay:
            relay.hand_over(events)
            await wait_for(lambda: times >= 5)
            assert rows(database, unsent=True)
            proxy.after = None
            await wait_for(lambda: not rows(database, unsent=True))


async def test_a_broker_that_falls_silent_while_a_channel_is_opened(
    rabbitmq_url: str, client: Client, store: Store, database: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for no longer than for a connection, neither to open the channel nor to close what there is."""
    for module in (connection, publisher):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    await client.declare()
    events = [event(1)]
    await commit(store, events)
    silent = 0
    async with Proxy.between(rabbitmq_url) as proxy:

        def fall_silent() -> None:
            nonlocal silent
            silent += 1
            proxy.silence()
            if silent == 2:
                proxy.after = None

        proxy.after = OPEN_OK, fall_silent
        async with relaying(proxy.url, store) as relay:
            relay.hand_over(events)
            await wait_for(lambda: not rows(database, unsent=True))
    assert silent == 2


async def test_an_event_that_no_queue_is_bound_for_is_warned_about_once_a_type(
    settings: Settings, database: Books
) -> None:
    """It counts as sent; the warning names the type, once in a worker's life, and no event."""
    with capture_logs() as logs:
        async with Client.connected(settings.rabbitmq_url) as client:
            await client.declare()
            await client.send_all([customer("BA-1"), customer("BA-2")])
        async with working(settings):
            await applied(database, 2)
            async with Client.connected(settings.rabbitmq_url) as client:
                await client.send_all([order("O-1", "BA-1"), order("O-2", "BA-2")])
                await applied(database, 4)
    warned = [line for line in logs if line["event"] == "no queue is bound for an event"]
    assert [(line["type"], line["log_level"]) for line in warned] == [("account.created", "warning")]
    assert_audit_ok(database)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


async def paymaster(settings: Settings, *arguments: str) -> Ended:
    """Run `paymaster outbox` in this process, which takes a tenth of the time."""
    log = structlog.get_config()
    try:
        given = environment(settings)
        done = await asyncio.to_thread(CliRunner().invoke, cli.app, ["outbox", *arguments], env=given)
    finally:
        structlog.configure(**log)
    return Ended(done.exit_code, done.stdout.strip(), done.stderr.strip())


async def interrupted(settings: Settings, *arguments: str, when: Callable[[], Awaitable[bool]]) -> Ended:
    """Run it as a process, and send it SIGINT when a condition comes to hold, in which it has to stay."""
    with interruptible():
        process = await asyncio.create_subprocess_exec(
            PAYMASTER,
            "outbox",
            *arguments,
            env=environment(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def held() -> Any:
        assert process.returncode is None, await process.communicate()
        return await when()

    await wait_for(held)
    process.send_signal(signal.SIGINT)
    output, errors = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    assert process.returncode is not None
    return Ended(process.returncode, output.decode().strip(), errors.decode().strip())


async def sent_history(store: Store, batches: int, events: int) -> list[OutgoingEvent]:
    """Events of three accounts, sent long ago, so many a batch; they are given in the order of their booking."""
    made = [
        replace(
            event(batch * events + n, ("account.changed", "invoice.issued")[n % 2], f"BA-{n % 3}"),
            booked_at=make.NOW + timedelta(minutes=batch),
            body=f'{{"n": {batch * events + n}}}'.encode(),
        )
        for batch in range(batches)
        for n in range(1, events + 1)
    ]
    # A batch's rows are in no order that could be relied on.
    await commit(store, sorted(made, key=lambda one: one.message_id, reverse=True))
    await store.mark_sent([one.message_id for one in made], make.NOW + timedelta(days=1))
    return sorted(made, key=lambda one: (one.booked_at, one.account, one.sequence))


async def test_a_late_subscriber_is_sent_what_was_sent_before(
    settings: Settings, client: Client, store: Store, database: Books
) -> None:
    """Through the exchange or to one queue: the same messages, in the order of booking, `sentAt` as it was."""
    made = await sent_history(store, 3, 400)
    # What is unsent is the relay's, and what is parked nobody's.
    await commit(store, [event(1, account="U-1"), event(1, account="P-1")])
    await store.park(["P-1:1"], "refused", make.NOW)
    before = rows(database)
    late = await client.channel.declare_queue("late", durable=True)
    since, until = "2026-11-22T10:31:00.123Z", "2026-11-22T12:32:00+02:00"

    dry = await paymaster(settings, "resend", "--since", since, "--dry-run")
    assert (dry.code, dry.output) == (0, "800 events to send again")
    done = await paymaster(settings, "resend", "--since", since, "--queue", "late")
    assert done == (0, "800 events sent again", "")
    assert client.events == []
    expected = [one for one in made if one.booked_at >= make.NOW + timedelta(minutes=1)]
    got = [await late.get(no_ack=True) for _ in expected]
    assert [one.message_id for one in got] == [one.message_id for one in expected]
    assert {one.routing_key for one in got} == {"late"}

    first = next(one for one in expected if one.account == "BA-1" and one.routing_key == "invoice.issued")
    some = ["resend", "--since", since, "--until", until, "--type", "invoice.issued", "--account", "BA-1"]
    done = await paymaster(settings, *some)
    expected = [one for one in expected if one.routing_key == "invoice.issued" and one.account == "BA-1"]
    expected = [one for one in expected if one.booked_at == make.NOW + timedelta(minutes=1)]
    assert done == (0, f"{len(expected)} events sent again", "")
    await wait_for(lambda: len(client.events) == len(expected))
    assert [one.message_id for one in client.events] == [one.message_id for one in expected]
    [told] = [one.message for one in client.events if one.message_id == first.message_id]
    [again] = [one for one in got if one.message_id == first.message_id]
    assert (told.body, again.body) == (first.body, first.body)
    for name in ("headers", "correlation_id", "timestamp", "app_id", "type", "delivery_mode", "content_type"):
        assert getattr(told, name) == getattr(again, name), name
    assert (told.type, told.routing_key, told.headers["account-sequence"]) == (
        "invoice.issued",
        "invoice.issued",
        first.sequence,
    )
    assert rows(database) == before


async def test_a_resend_that_is_interrupted_says_from_where_to_go_on(
    settings: Settings, client: Client, store: Store
) -> None:
    """Ctrl-C: exit 130, what was sent is said, and from that time on nothing is left out."""
    made = await sent_history(store, 4, 40)
    # A queue with room for 70 of the 160: it tries the 71st again and again until it is told to stop.
    room: Any = {"x-max-length": 70, "x-overflow": "reject-publish"}
    late = await client.channel.declare_queue("late", durable=True, arguments=room)

    async def full() -> bool:
        return await client.left_in("late") >= 70

    async def sent() -> list[str | None]:
        return [one.message_id for one in [await late.get(no_ack=True, fail=False) for _ in range(200)] if one]

    command = ["resend", "--since", "2026-11-22T00:00:00Z", "--queue", "late"]
    # At 80 a second it sends 20 at once.
    stopped = await interrupted(settings, *command, "--rate", "80", when=full)
    assert (stopped.code, stopped.output) == (130, ""), stopped.errors
    found = re.fullmatch(r"paymaster: stopped: (\d+) events sent again; go on with --since (\S+)", stopped.errors)
    assert found, stopped.errors
    # What is counted is confirmed: all of three times twenty, and of the fourth as many as it had heard of.
    assert 60 <= int(found[1]) <= 70
    # They are booked time by time, 40 at each: those at the second were under way.
    assert parse_time(found[2]) == make.NOW + timedelta(minutes=1)
    got = await sent()
    await late.delete()
    late = await client.channel.declare_queue("late", durable=True)
    done = await paymaster(settings, *command[:2], found[2], *command[3:])
    assert done.code == 0, done.errors
    got += await sent()
    assert list(dict.fromkeys(got)) == [one.message_id for one in made]


async def test_wrong_usage_of_a_resend_is_one_line(settings: Settings, client: Client) -> None:
    """A time without an offset, a queue that is not there: exit 2 and a line that says so."""
    wrong = await paymaster(settings, "resend", "--since", "2026-11-22")
    missing = await paymaster(settings, "resend", "--since", "2026-11-22T00:00:00Z", "--queue", "nobody")
    assert wrong == (2, "", "paymaster: --since: must be an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z")
    assert (missing.code, missing.output, missing.errors.count("\n")) == (2, "", 0)
    assert "nobody" in missing.errors


async def test_parked_events_are_seen_and_released(
    settings: Settings, client: Client, store: Store, database: Books
) -> None:
    """`paymaster outbox` counts them and exits with 1; released, they go out, and who did it stays in the row."""
    await commit(store, [event(1), event(2, "invoice.issued"), event(3, "invoice.issued")])
    await store.mark_refused(["BA-1:1", "BA-1:2"], utc_now(), INTERVAL, INTERVAL)
    await store.park(["BA-1:2", "BA-1:3"], "refused", make.NOW)
    looks = [[], ["--json"], ["list", "--json", "--limit", "1"], ["release", "BA-1:1", "--why", "so"]]
    shown, told, page, refused = [await paymaster(settings, *look) for look in looks]
    assert shown.code == told.code == 1
    assert shown.output.split()[-3:] == ["invoice.issued:", "refused", "2"]
    assert json.loads(told.output).items() >= {"unsent": 1, "refused": 1, "parked": 2}.items()
    assert refused == (2, "", "paymaster: not parked: BA-1:1")
    listed = json.loads(page.output)
    assert [one["id"] for one in listed["items"]] == ["BA-1:2"]
    rest = await paymaster(settings, "list", "--parked", "--json", "--after", listed["after"])
    assert [one["id"] for one in json.loads(rest.output)["items"]] == ["BA-1:3"]
    # What is said of the next page can be run as it is.
    page = await paymaster(settings, "list", "--parked", "--limit", "1")
    assert "BA-1:2" in page.output
    program, command, *words = shlex.split(page.output.partition("more: ")[2])
    assert (program, command, words[:-1]) == (
        "paymaster",
        "outbox",
        ["list", "--parked", "--limit", "1", "--after"],
    )
    rest = await paymaster(settings, *words)
    assert "BA-1:3" in rest.output
    assert "more" not in rest.output

    done = await paymaster(settings, "release", "BA-1:2", "--why", "$room", "--by", "ada")
    assert done == (0, "1 released", "")
    [act] = rows(database)["BA-1:2"]["released"]
    assert act.pop("at") > make.NOW
    assert act == {"by": "ada", "why": "$room", "parkedAt": make.NOW, "reason": "refused"}
    done = await paymaster(settings, "release", "--all", "--why", "there is room")
    assert done == (0, "1 released", "")
    old = await paymaster(settings, "--max-age", "60")
    assert old.code == 1
    async with relaying(settings.rabbitmq_url, store):
        await wait_for(lambda: not rows(database, unsent=True))
    assert {one.message_id for one in client.seen()} == {"BA-1:1", "BA-1:2", "BA-1:3"}
    well = await paymaster(settings, "--max-age", "60")
    assert well.code == 0
