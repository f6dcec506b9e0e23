"""Deliveries taken straight out of the connection's stream, and handed over without a task or a queue between.

aiormq reads three pieces of each frame, three frames of each message, puts each into a queue, and makes a task of each
message. Its `transport_factory` is where a stream may be put in: ours takes the deliveries out and gives on all else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aio_pika
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory

from adapters.rabbitmq.frames import (
    BODY,
    DELIVER,
    FRAME_HEAD,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    Deliver,
    read_deliver,
    read_header,
)
from adapters.records import Properties

CHUNK_BYTES = 256 * 1024
YIELD_SECONDS = 0.001
"""How long deliveries may keep the event loop to themselves; Motor's threads wait for it to go on with a batch."""
FULL_SECONDS = 2.0
"""How long no delivery is taken while there is no room for more. Then one is: a broker that can't write closes the
connection, as RabbitMQ 3.10 was seen to within a minute, and all that was taken would come again."""
ROOM_SECONDS = 0.005
"""How often it is seen whether there is room again: nothing is late, two batches wait already."""
HEARTBEAT_SECONDS = 1.0
"""How often deliveries are shown to aiormq as a heartbeat: they are a sign of life that it does not see."""

Take = Callable[[Deliver, Properties, bytes], None]


class DeliveryStream:
    """A connection's stream without its deliveries, which go to whoever takes them, in order."""

    def __init__(self, stream: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._buffer = b""
        self._at = 0
        self._frame = b""
        self._raw = False
        self._channel = 0
        self._take: Take | None = None
        self._gives_way: Callable[[], bool] = lambda: False
        self._full: Callable[[], bool] = lambda: False
        self._leaving = False
        self._dropping = False
        self._deliver: Deliver | None = None
        self._properties: Properties | None = None
        self._body: list[bytes] = []
        self._missing = 0
        self._shown = clock()

    def take(self, channel: int, take: Take, gives_way: Callable[[], bool], full: Callable[[], bool]) -> None:
        """Hand the deliveries of a channel over, from now on; one by one while they give way to what is more urgent.

        While there is no room for more, hardly any are taken out of the stream, nor anything that comes after them.
        """
        self._channel = channel
        self._take = take
        self._gives_way = gives_way
        self._full = full

    def leave(self) -> None:
        """No more is to be taken than there is room for: all else is dropped, and goes back with the channel.

        What comes after the deliveries, as the answer to a cancel does, would else wait for room.
        """
        self._leaving = True

    def at_eof(self) -> bool:
        """Whether nothing more comes."""
        return not self._frame and self._at == len(self._buffer) and self._stream.at_eof()

    async def read(self) -> bytes:
        """All that comes until the end, for who has lost its way in the stream."""
        given, self._frame, self._buffer, self._at = self._frame + self._buffer[self._at :], b"", b"", 0
        rest: bytes = await self._stream.read()
        return given + rest

    async def readexactly(self, count: int) -> bytes:
        """The next bytes of what is not a delivery; raises `asyncio.IncompleteReadError` at the end."""
        if not self._frame and not self._raw:
            self._frame = await self._next_frame()
        if self._raw and len(self._frame) < count:
            self._frame += await self._stream.readexactly(count - len(self._frame))
        given, self._frame = self._frame[:count], self._frame[count:]
        return given

    async def _next_frame(self) -> bytes:
        """The next frame that is not of a delivery."""
        since = self._clock()
        while True:
            await self._have(FRAME_HEAD.size)
            kind, channel, size = FRAME_HEAD.unpack_from(self._buffer, self._at)
            if kind not in (METHOD, HEADER, BODY, HEARTBEAT):
                # No frame: the broker speaks another protocol, which is aiormq's to tell.
                self._raw = True
                given, self._buffer, self._at = self._buffer[self._at :], b"", 0
                return given
            begin = self._at + FRAME_HEAD.size
            if len(self._buffer) <= begin + size:
                await self._have(FRAME_HEAD.size + size + 1)
                begin = self._at + FRAME_HEAD.size
            end = begin + size
            frame_at, self._at = self._at, end + 1
            if self._take is None or channel != self._channel or not self._taken(kind, self._buffer[begin:end]):
                return self._buffer[frame_at : end + 1]
            if self._deliver is None and not self._leaving and self._full():
                await self._room()
            now = self._clock()
            if now - self._shown >= HEARTBEAT_SECONDS:
                self._shown = now
                return HEARTBEAT_FRAME
            if now - since >= YIELD_SECONDS or self._gives_way():
                await asyncio.sleep(0)
                since = self._clock()

    async def _room(self) -> None:
        """Wait for room, for a while."""
        until = self._clock() + FULL_SECONDS
        while self._full() and not self._leaving and self._clock() < until:  # noqa: ASYNC110  # see ROOM_SECONDS
            await asyncio.sleep(ROOM_SECONDS)

    def _taken(self, kind: int, payload: bytes) -> bool:
        """Whether a frame of the channel is of a delivery; the last one of each hands it over."""
        if kind == METHOD:
            if payload[:4] != DELIVER:
                return False
            self._deliver = read_deliver(payload)
            return True
        if self._deliver is None:
            return False  # the content of another method, as a returned message's
        if kind == HEADER:
            self._missing, self._properties = read_header(payload)
            self._body = []
        else:
            self._missing -= len(payload)
            self._body.append(payload)
        if self._missing <= 0:
            deliver, properties, body = self._deliver, self._properties, self._body
            self._deliver, self._properties, self._body = None, None, []
            # Once one is dropped none of the later ones may be taken: an acknowledgement is for all before it.
            self._dropping = self._dropping or (self._leaving and self._full())
            assert self._take is not None
            assert properties is not None
            if not self._dropping:
                self._take(deliver, properties, body[0] if len(body) == 1 else b"".join(body))
        return True

    async def _have(self, count: int) -> None:
        """Have so many bytes from the place on; raises `asyncio.IncompleteReadError` at the end."""
        have = len(self._buffer) - self._at
        if have >= count:
            return
        parts = [self._buffer[self._at :]] if have else []
        while have < count:
            part = await self._stream.read(CHUNK_BYTES)
            if not part:
                raise asyncio.IncompleteReadError(b"".join(parts), count)
            parts.append(part)
            have += len(part)
        self._buffer, self._at = b"".join(parts), 0


class _Transport(TransportFactory):
    """Connects as aiormq does, and puts our stream before its own."""

    def __init__(self, *, tls: bool) -> None:
        self._factory = TLSTransportFactory() if tls else TCPTransportFactory()
        self.stream: DeliveryStream | None = None

    async def create(self, url: Any, **options: Any) -> tuple[Any, Any]:
        """The stream and the writer of a new connection."""
        reader, writer = await self._factory.create(url, **options)
        self.stream = DeliveryStream(reader)
        return self.stream, writer


class ReceivingConnection(aio_pika.Connection):
    """An aio-pika connection whose deliveries can be taken out of its stream."""

    def __init__(self, url: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(url, *arguments, **options)
        self._factory = _Transport(tls=self.url.scheme == "amqps")
        self.kwargs["transport_factory"] = self._factory

    def take(self, channel: int, take: Take, gives_way: Callable[[], bool], full: Callable[[], bool]) -> None:
        """Hand the deliveries of a channel to `take` while they are read; it may not raise.

        While `gives_way` says so, the event loop goes on with all else between any two of them; while `full` does,
        they are left to the broker.
        """
        assert self._factory.stream is not None, "not connected"
        self._factory.stream.take(channel, take, gives_way, full)

    def leave(self) -> None:
        """Take no more than there is room for; the rest goes back to the queue with the channel."""
        assert self._factory.stream is not None, "not connected"
        self._factory.stream.leave()
