"""A small HTTP server for probes: answers GET on a few paths, and bounds whatever a client may do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

REQUEST_MAX = 8 * 1024
"""The most bytes of a request's line and headers; a body is not read."""
CONNECTIONS_MAX = 32
"""How many clients are answered at once; one more is hung up on."""
SECONDS_MAX = 5.0
"""How long a request may take to come, and its answer to go."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request."""

    status: HTTPStatus
    body: bytes
    content_type: str = JSON


Route = Callable[[], Awaitable[Answer]]


class ProbeServer:
    """Serves `routes`, by path; `port` is the one that it listens on."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; raises `OSError` when that can't be."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and hang up."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                head, answer = await self._answer(reader)
                writer.write(_written(answer, with_body=not head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a client that is gone, or says nothing
        finally:
            self._open.discard(writer)
            with suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[bool, Answer]:
        """Whether only its head is asked for, and the answer."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return False, _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return False, _plain(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if method not in (b"GET", b"HEAD"):
            return False, _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        route = self._routes.get(target.split(b"?", 1)[0].decode("latin-1"))
        return method == b"HEAD", await route() if route else _plain(HTTPStatus.NOT_FOUND)


def _plain(status: HTTPStatus) -> Answer:
    return Answer(status, status.phrase.encode() + b"\n", "text/plain; charset=utf-8")


def _written(answer: Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\n"
        + ("Allow: GET, HEAD\r\n" if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else "")
        + "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (answer.body if with_body else b"")
