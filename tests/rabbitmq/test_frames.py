"""What is written and read by hand of AMQP is what the library writes and reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.connection import TCPTransportFactory, TLSTransportFactory
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header

from adapters.rabbitmq import receiving
from adapters.rabbitmq.connection import properties_of
from adapters.rabbitmq.frames import Outgoing, publish_frames, read_deliver, read_header
from adapters.rabbitmq.receiving import HEARTBEAT_SECONDS, DeliveryStream, ReceivingConnection
from tests.support.waiting import wait_for

AFTER_1970 = datetime(1970, 1, 2)  # noqa: DTZ001  # the time zone is added to it
BEFORE_2100 = datetime(2100, 1, 1)  # noqa: DTZ001  # likewise
EXCHANGE = st.text("abc.:-_", max_size=60)
SHORT = st.text(st.characters(codec="utf-8"), max_size=60)
FRAME_MAX = 1_000
CHANNEL = 3
OUTGOING = st.builds(
    Outgoing,
    routing_key=SHORT,
    type=SHORT,
    message_id=SHORT,
    correlation_id=SHORT,
    # The library takes what is beyond 2106 for milliseconds.
    timestamp=st.datetimes(min_value=AFTER_1970, max_value=BEFORE_2100, timezones=st.just(UTC)),
    headers=st.dictionaries(SHORT, SHORT | st.integers(-(2**63), 2**63 - 1), max_size=5),
    body=st.binary(max_size=3 * FRAME_MAX) | st.just(b"x" * FRAME_MAX) | st.just(b"x" * (FRAME_MAX + 1)),
)


def frames_in(data: bytes) -> list[Any]:
    """The frames of a stream, as the library reads them; each is of our channel."""
    found = []
    while data:
        size, channel, value = frame.unmarshal(data)
        assert channel == CHANNEL
        found.append(value)
        data = data[size:]
    return found


@given(OUTGOING, EXCHANGE)
def test_a_publish_is_read_as_it_was_meant(message: Outgoing, exchange: str) -> None:
    publish, content, *parts = frames_in(publish_frames(CHANNEL, exchange, message, FRAME_MAX))
    assert (publish.exchange, publish.routing_key) == (exchange, message.routing_key)
    assert (publish.mandatory, publish.immediate) == (True, False)
    assert content.body_size == len(message.body)
    assert b"".join(part.value for part in parts) == message.body
    assert all(0 < len(part.value) <= FRAME_MAX for part in parts)
    assert dict(content.properties) == dict(
        commands.Basic.Properties(
            content_type="application/json",
            headers=dict(message.headers),
            delivery_mode=2,
            correlation_id=message.correlation_id,
            message_id=message.message_id,
            timestamp=message.timestamp.replace(microsecond=0),
            message_type=message.type,
            app_id="paymaster",
        )
    )


@pytest.mark.parametrize("text", ["x" * 256, "ü" * 128, "\ud800"], ids=["long", "long in UTF-8", "no Unicode"])
@pytest.mark.parametrize("field", ["routing_key", "type", "message_id", "correlation_id"])
def test_what_amqp_can_not_say_is_an_error(field: str, text: str) -> None:
    fields: dict[str, Any] = {"routing_key": "a", "type": "b", "message_id": "c", "correlation_id": "d", field: text}
    with pytest.raises(ValueError, match=r"255|surrogates"):
        publish_frames(1, "out", Outgoing(timestamp=datetime.now(UTC), headers={}, body=b"", **fields), FRAME_MAX)


PROPERTIES = st.builds(
    commands.Basic.Properties,
    content_type=st.none() | SHORT,
    content_encoding=st.none() | SHORT,
    headers=st.none()
    | st.dictionaries(
        SHORT, SHORT | st.integers(-(2**31), 2**31) | st.booleans() | st.dictionaries(SHORT, SHORT, max_size=2)
    ),
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | SHORT,
    reply_to=st.none() | SHORT,
    expiration=st.none() | SHORT,
    message_id=st.none() | SHORT,
    timestamp=st.none() | st.datetimes(min_value=AFTER_1970, timezones=st.just(UTC)),
    message_type=st.none() | SHORT,
    user_id=st.none() | SHORT,
    app_id=st.none() | SHORT,
)


def payload_of(value: Any) -> bytes:
    """The payload of the frame that the library makes of a value."""
    data = frame.marshal(value, CHANNEL)
    return data[7:-1]


@given(PROPERTIES, st.integers(0, 2**40))
@example(commands.Basic.Properties(), 0)
def test_a_header_is_read_as_the_library_reads_it(properties: commands.Basic.Properties, size: int) -> None:
    payload = payload_of(header.ContentHeader(body_size=size, properties=properties))
    theirs: Any
    _, _, theirs = frame.unmarshal(frame.marshal(header.ContentHeader(body_size=size, properties=properties), CHANNEL))
    assert read_header(payload) == (size, properties_of(theirs.properties))


@pytest.mark.parametrize(
    ("written", "instead"),
    [(b"ABCDEFGH", b"\xff\xfe\x80DEFGH")],
)
def test_what_is_not_utf8_is_replaced(written: bytes, instead: bytes) -> None:
    properties = commands.Basic.Properties(message_id=written.decode(), correlation_id="after it")
    payload = payload_of(header.ContentHeader(body_size=1, properties=properties)).replace(written, instead)
    _, read = read_header(payload)
    assert (read.message_id, read.correlation_id) == ("???DEFGH", "after it")


def test_a_time_in_nanoseconds_is_none() -> None:
    properties = commands.Basic.Properties(timestamp=datetime(2026, 11, 23, tzinfo=UTC), app_id="after it")
    seconds = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    payload = payload_of(header.ContentHeader(body_size=1, properties=properties)).replace(
        seconds.to_bytes(8, "big"), (seconds * 10**9).to_bytes(8, "big")
    )
    _, read = read_header(payload)
    assert (read.timestamp, read.app_id) == (None, "after it")


@pytest.mark.parametrize("redelivered", [True, False])
@given(consumer=SHORT, tag=st.integers(0, 2**63 - 1), exchange=EXCHANGE, routing_key=SHORT)
def test_a_deliver_is_read(*, redelivered: bool, consumer: str, tag: int, exchange: str, routing_key: str) -> None:
    deliver = commands.Basic.Deliver(consumer, tag, redelivered=redelivered, exchange=exchange, routing_key=routing_key)
    assert read_deliver(payload_of(deliver)) == (tag, redelivered, routing_key)


# -- the stream


class Chunks:
    """A stream that gives its bytes in pieces of a size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    async def read(self, count: int = -1) -> bytes:
        """The next piece, or all."""
        await asyncio.sleep(0)
        size = len(self._data) if count < 0 else min(count, self._size)
        given, self._data = self._data[:size], self._data[size:]
        return given

    async def readexactly(self, count: int) -> bytes:
        """So many bytes."""
        given, self._data = self._data[:count], self._data[count:]
        if len(given) < count:
            raise asyncio.IncompleteReadError(given, count)
        return given

    def at_eof(self) -> bool:
        """Whether all is given."""
        return not self._data


def message_frames(tag: int, text: bytes, channel: int = CHANNEL) -> bytes:
    """The frames of a delivery, its body in pieces of 100 bytes."""
    parts = [text[at : at + 100] for at in range(0, len(text), 100)]
    values: tuple[Any, ...] = (
        commands.Basic.Deliver("ctag", tag, exchange="in", routing_key="order.completed"),
        header.ContentHeader(body_size=len(text), properties=commands.Basic.Properties(message_id=f"M-{tag}")),
        *(body.ContentBody(part) for part in parts),
    )
    return b"".join(frame.marshal(value, channel) for value in values)


async def read_frames(stream: DeliveryStream) -> list[bytes]:
    """The frames that are left in a stream, read in pieces as aiormq does."""
    found = []
    while not stream.at_eof():
        head = await stream.readexactly(1)
        head += await stream.readexactly(6)
        found.append(head + await stream.readexactly((frame.frame_parts(head)[2] or 0) + 1))
    return found


def still(seconds: float) -> Callable[[], float]:
    """A clock that stands still."""
    return lambda: seconds


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
async def test_deliveries_are_taken_out_of_the_stream_and_all_else_is_left(size: int) -> None:
    others = [
        frame.marshal(commands.Basic.ConsumeOk("ctag"), CHANNEL),
        frame.marshal(commands.Basic.Ack(7, multiple=True), CHANNEL),
        message_frames(1, b"of another channel", CHANNEL + 1),
        frame.marshal(commands.Basic.CancelOk("ctag"), CHANNEL),
    ]
    mine = [message_frames(1, b""), message_frames(2, b"a"), message_frames(3, b"b" * 250)]
    data = others[0] + mine[0] + others[1] + mine[1] + others[2] + mine[2] + others[3]
    stream = DeliveryStream(Chunks(data, size), clock=still(0))
    taken: list[tuple[int, str | None, str, bytes]] = []
    stream.take(
        CHANNEL,
        lambda deliver, properties, text: taken.append((deliver.tag, properties.message_id, deliver.routing_key, text)),
        bool,
        bool,
    )
    left = await read_frames(stream)
    assert b"".join(left) == b"".join(others)
    assert taken == [
        (1, "M-1", "order.completed", b""),
        (2, "M-2", "order.completed", b"a"),
        (3, "M-3", "order.completed", b"b" * 250),
    ]


async def test_the_content_of_a_returned_message_is_left() -> None:
    returned = commands.Basic.Return(312, "NO_ROUTE", "out", "a.b")
    data = (
        frame.marshal(returned, CHANNEL)
        + message_frames(1, b"text")[
            len(
                frame.marshal(commands.Basic.Deliver("ctag", 1, exchange="in", routing_key="order.completed"), CHANNEL)
            ) :
        ]
    )
    stream = DeliveryStream(Chunks(data, 10_000), clock=still(0))
    stream.take(CHANNEL, lambda *_: pytest.fail("it is no delivery"), bool, bool)
    assert b"".join(await read_frames(stream)) == data


async def test_before_anyone_takes_them_deliveries_are_left() -> None:
    data = message_frames(1, b"text")
    assert b"".join(await read_frames(DeliveryStream(Chunks(data, 10_000)))) == data


async def test_deliveries_are_shown_as_heartbeats() -> None:
    """Without them aiormq would take a connection that only delivers for one that is stuck, and close it."""
    now = 0.0
    data = b"".join(message_frames(tag, b"x") for tag in range(1, 6)) + frame.marshal(commands.Basic.Ack(1), CHANNEL)
    stream = DeliveryStream(Chunks(data, 10_000), clock=lambda: now)

    def take(*_: object) -> None:
        nonlocal now
        now += HEARTBEAT_SECONDS / 2

    stream.take(CHANNEL, take, bool, bool)
    kinds = [found[0] for found in await read_frames(stream)]
    assert kinds == [8, 8, 1], "five deliveries, two and a half seconds"


async def test_while_there_is_no_room_deliveries_are_left_in_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are taken when there is room, one in each while when there is none, the rest when there is room again."""
    monkeypatch.setattr(receiving, "FULL_SECONDS", 0.05)
    data = b"".join(message_frames(tag, b"x") for tag in range(1, 11)) + frame.marshal(commands.Basic.Ack(1), CHANNEL)
    stream = DeliveryStream(Chunks(data, 10_000))
    taken: list[tuple[int, float]] = []
    full = True
    stream.take(CHANNEL, lambda deliver, *_: taken.append((deliver.tag, time.monotonic())), bool, lambda: full)
    reading = asyncio.create_task(read_frames(stream))
    await wait_for(lambda: len(taken) >= 3)
    assert not reading.done()
    assert taken[2][1] - taken[0][1] >= 0.1, "one in each while"
    full = False
    await reading
    assert [tag for tag, _ in taken] == list(range(1, 11))


async def test_who_leaves_takes_what_there_is_room_for_and_reads_on() -> None:
    """What comes after the deliveries is read at once; after one that is dropped none is taken, room or not."""
    cancel_ok = frame.marshal(commands.Basic.CancelOk("ctag"), CHANNEL)
    stream = DeliveryStream(Chunks(b"".join(message_frames(tag, b"x") for tag in range(1, 8)) + cancel_ok, 10_000))
    taken: list[int] = []
    # Full at the fourth, and not any more at the sixth.
    stream.take(CHANNEL, lambda deliver, *_: taken.append(deliver.tag), bool, lambda: next(full))
    full = iter([False, False, False, True, False, False, False])
    stream.leave()
    assert b"".join(await read_frames(stream)) == cancel_ok
    assert taken == [1, 2, 3]


async def test_another_protocol_is_left_to_the_library() -> None:
    stream = DeliveryStream(Chunks(b"AMQP\x00\x01\x00\x00", 3))
    assert await stream.readexactly(1) + await stream.readexactly(6) == b"AMQP\x00\x01\x00"


async def test_a_stream_that_breaks_off_is_told() -> None:
    stream = DeliveryStream(Chunks(message_frames(1, b"text")[:-3], 10_000))
    stream.take(CHANNEL, lambda *_: pytest.fail("it is not complete"), bool, bool)
    with pytest.raises(asyncio.IncompleteReadError):
        await stream.readexactly(1)


@pytest.mark.parametrize(("scheme", "factory"), [("amqp", TCPTransportFactory), ("amqps", TLSTransportFactory)])
async def test_a_connection_is_encrypted_where_its_address_says_so(scheme: str, factory: type) -> None:
    assert type(ReceivingConnection(f"{scheme}://guest:guest@localhost/")._factory._factory) is factory
