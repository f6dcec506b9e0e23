"""The publisher's connection, when it ends in ways for which aiormq has no error of its own."""

from __future__ import annotations

import asyncio

import pytest
from aiormq.connection import Connection

from adapters.rabbitmq.publisher import Publisher
from tests.support.proxy import OPEN_OK, Proxy
from tests.support.waiting import wait_for


async def test_a_broker_that_hangs_up_as_soon_as_it_is_connected_to(rabbitmq_url: str) -> None:
    """Then aiormq raises a bare Exception, which would look like a defect."""
    async with Proxy.between(rabbitmq_url) as proxy:
        proxy.after = OPEN_OK, proxy.hang_up
        publisher = Publisher(proxy.url)
        with pytest.raises(ConnectionError, match="hung up") as raised:
            await publisher.open()
        assert type(raised.value.__cause__) is Exception
        proxy.after = None
        await publisher.open()
        await publisher.reply("nobody", "1", b"", "1")
        await publisher.close()


async def test_a_broker_that_misses_heartbeats(rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then aiormq cancels whoever waits for an answer, which nobody meant: a task that took it so would be gone."""
    async with Proxy.between(rabbitmq_url) as proxy:
        publisher = Publisher(f"{proxy.url}?heartbeat=1")
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)
            await publisher.open()
        proxy.silence()
        with pytest.raises(ConnectionError, match="fell silent") as raised:
            await publisher.reply("nobody", "1", b"", "1")
        assert isinstance(raised.value.__cause__, asyncio.CancelledError)
        await publisher.open()
        await publisher.reply("nobody", "1", b"", "1")
        await publisher.close()


async def test_who_is_cancelled_while_waiting_for_the_broker_stays_cancelled(
    rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what nobody asked for is taken for a lost connection."""
    monkeypatch.setattr(Connection, "READER_CLOSE_TIMEOUT", 0.1)
    async with Proxy.between(rabbitmq_url) as proxy:
        proxy.after = OPEN_OK, proxy.silence
        publisher = Publisher(proxy.url)
        opening = asyncio.create_task(publisher.open())
        # What it has asked for comes to nobody.
        await wait_for(lambda: proxy.held_back)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await publisher.close()
