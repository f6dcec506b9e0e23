"""Connections to the broker that could not be opened, or closed, leave nothing to do to whoever collects them."""

import asyncio
import socket

import aio_pika
import pytest

from adapters.rabbitmq import connection
from adapters.rabbitmq.connection import close_connection, open_connection


class Noted(aio_pika.Connection):
    """One that can be looked at afterwards."""

    all: list[aio_pika.Connection]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.all.append(self)


class Deaf:
    """A transport whose other side never answers."""

    async def close(self, _why):
        """As of aio-pika's."""
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def noted(monkeypatch: pytest.MonkeyPatch) -> list[aio_pika.Connection]:
    """The connections that a test made."""
    monkeypatch.setattr(Noted, "all", [], raising=False)
    return Noted.all


async def test_one_that_can_not_be_opened_in_time_is_closed(noted: list[aio_pika.Connection]) -> None:
    """The broker takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"amqp://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await open_connection(url, "test", Noted, None)
    assert [one.is_closed for one in noted] == [True]


async def test_one_that_nobody_answers_on_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes it waits for so long and no longer."""
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.05)
    one = Noted("amqp://127.0.0.1/")
    one.transport = Deaf()  # type: ignore[assignment]
    await close_connection(one)
    assert one.is_closed
