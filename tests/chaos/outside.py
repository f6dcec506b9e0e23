"""The world outside: it sends each message until the broker has confirmed it, and hears every event there is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from adapters.rabbitmq.topology import OUT, declare_topology
from tests.chaos.business import Letter

EARS = "chaos.events"
LANES = 100
"""How many messages are sent at once."""
CONFIRM_SECONDS = 10
PAUSE_SECONDS = 0.3
LOST = (AMQPError, OSError, RuntimeError, asyncio.TimeoutError)


class Outside:
    """Both ways through a broker that may be away: nothing that is given to `send` is forgotten, no event missed."""

    def __init__(
        self,
        url: str,
        answered: Mapping[str, Callable[[dict[str, Any]], Iterable[Letter]]],
        user_id: str | None = None,
    ) -> None:
        self._url = url
        self._user_id = user_id
        self._answered = answered
        self._seen: set[str] = set()
        self._letters: deque[Letter] = deque()
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.asked = self.confirmed = self.attempts = self.copies = 0
        self.types: Counter[str] = Counter()
        self.events: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """Of each message id the routing keys and digests of the bodies that it came with."""
        self.sequences: dict[str, set[int]] = defaultdict(set)
        """The numbers of each account's events."""
        self.parked: dict[str, list[tuple[str, str]]] = defaultdict(list)
        """Of each message id that was parked, the events that said so, and the reasons."""

    async def start(self, *, single_active_consumer: bool) -> None:
        """Declare what is there before any worker, and begin."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            await declare_topology(channel, single_active_consumer=single_active_consumer)
            # It outlives a broker that is killed, as a subscriber's queue would that must miss nothing.
            ears = await channel.declare_queue(EARS, durable=True, arguments={"x-queue-type": "quorum"})
            await ears.bind(OUT, "#")
        self._tasks = [asyncio.create_task(self._again(self._speak)), asyncio.create_task(self._again(self._listen))]

    async def stop(self) -> None:
        """Send and hear no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, letters: Iterable[Letter]) -> None:
        """Have these sent, however long that takes."""
        for letter in letters:
            self._letters.append(letter)
            self.asked += 1
        self._arrived.set()

    async def _again(self, talk: Callable[[AbstractConnection], Any]) -> None:
        while True:
            connection = None
            try:
                connection = await aio_pika.connect(self._url, timeout=5)
                await talk(connection)
            except LOST:
                pass
            except BaseExceptionGroup as group:
                if group.split(LOST)[1] is not None:
                    raise
            finally:
                if connection is not None:
                    with suppress(*LOST):
                        async with asyncio.timeout(2):  # one that the broker has blocked does not answer
                            await connection.close()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _speak(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        into = await channel.get_exchange("paymaster.in", ensure=False)
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._lane(into))

    async def _lane(self, into: AbstractExchange) -> None:
        while True:
            while not self._letters:
                self._arrived.clear()
                await self._arrived.wait()
            letter = self._letters.popleft()
            message = aio_pika.Message(
                letter.body,
                message_id=letter.message_id,
                content_type="application/json",
                delivery_mode=2,
                user_id=None if letter.nobodys else self._user_id,
            )
            self.attempts += 1
            try:
                await self._publish(into, message, letter.routing_key)
            except BaseException:
                self._letters.appendleft(letter)
                raise
            self.confirmed += 1

    async def _publish(self, into: AbstractExchange, message: aio_pika.Message, routing_key: str) -> None:
        try:
            await into.publish(message, routing_key, mandatory=True, timeout=CONFIRM_SECONDS)
        except asyncio.CancelledError:
            # A connection that closes cancels the confirms that are still to come, which is not us being cancelled.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionError from None

    async def _listen(self, connection: AbstractConnection) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=500)
        lost = asyncio.Event()
        channel.close_callbacks.add(lambda *_: lost.set())
        connection.close_callbacks.add(lambda *_: lost.set())
        ears = await channel.get_queue(EARS, ensure=False)
        await ears.consume(self._hear)
        await lost.wait()

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        key, event_type = str(message.message_id), message.routing_key or ""
        self.types[event_type] += key not in self.events
        # What is given to us a second time was perhaps published once.
        self.copies += key in self.events and not message.redelivered
        self.events[key].add((event_type, sha256(message.body).hexdigest()))
        if "account-id" in message.headers:
            self.sequences[str(message.headers["account-id"])].add(int(str(message.headers["account-sequence"])))
        if event_type == "message.parked" or event_type in self._answered:
            self._read(key, event_type, json.loads(message.body)["event"])
        with suppress(*LOST):
            await message.ack()

    def _read(self, key: str, event_type: str, event: dict[str, Any]) -> None:
        if event_type == "message.parked":
            said = (key, str(event["reason"]))
            if said not in self.parked[str(event["messageId"])]:
                self.parked[str(event["messageId"])].append(said)
        elif key not in self._seen:
            self._seen.add(key)
            self.send(self._answered[event_type](event))
