"""A network between a worker and a service that can be cut, held up and slowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from services.ports import reserved

PIECE = 64 * 1024
START = b"\x00\x0a\x00\x0a"
"""AMQP's `connection.start`: with it a handshake begins."""
OPEN_OK = b"\x00\x0a\x00\x29"
"""AMQP's `connection.open-ok`: with it a handshake ends."""


class Proxy:
    """What `Proxy.between` gives: a relay of bytes to one service, `url` being its own address."""

    def __init__(self, host: str, port: int, own_port: int) -> None:
        self._target = (host, port)
        self._port = own_port
        self._connections: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self.delay_seconds = 0.0
        self.after: tuple[bytes, Callable[[], None]] | None = None
        """Bytes of the service's, and what is done each time these have gone through."""
        self.held_back = 0
        """How many pieces of data have come that are not let through."""
        self.url = ""

    @staticmethod
    @asynccontextmanager
    async def between(url: str) -> AsyncIterator[Proxy]:
        """A proxy to the service of an AMQP or MongoDB URL; it is gone when the block ends."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        with reserved(1) as [port]:
            proxy = Proxy(parts.hostname, parts.port, port)
            await proxy.heal()
            place = parts.netloc.rpartition("@")[0]
            netloc = f"{place}@127.0.0.1:{port}" if place else f"127.0.0.1:{port}"
            proxy.url = urlunsplit(parts._replace(netloc=netloc))
            if parts.scheme == "mongodb" and "directConnection" not in parts.query:
                # Otherwise the driver asks the service for its own address, and goes there.
                proxy.url += ("&" if parts.query else "/?") + "directConnection=true"
            try:
                yield proxy
            finally:
                await proxy.cut()

    async def cut(self) -> None:
        """Close every connection, and take no new one until `heal`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.transport.abort()

    async def heal(self) -> None:
        """Take connections again, and let the bytes flow."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)

    def hold(self) -> None:
        """Let no byte through, without closing anything: the other side looks alive and says nothing."""
        self._flowing.clear()

    def silence(self) -> None:
        """Let no byte more through on the connections there are, for good; new ones are taken and flow."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def hang_up(self) -> None:
        """End every connection as a service does that is stopped."""
        for writer in list(self._connections):
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._connections |= {writer, there}
        flowing = self._flowing
        await asyncio.gather(
            self._flow(reader, there, flowing), self._flow(there_reader, writer, flowing, answers=True)
        )
        self._connections -= {writer, there}

    async def _flow(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, flowing: asyncio.Event, *, answers: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await source.read(PIECE):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if not flowing.is_set():
                    self.held_back += 1
                    await flowing.wait()
                    self.held_back -= 1
                to.write(data)
                await to.drain()
                if answers and self.after is not None and self.after[0] in data:
                    self.after[1]()
        with suppress(OSError):
            to.close()
