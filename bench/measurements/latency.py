"""From publish to event, at a rate that everyone can keep up with: one order at a time, evenly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from bench import processes
from bench.broker import STALL_SECONDS, BenchError, Broker, connected
from bench.figures import percentile
from bench.measurements.race import PAYMASTER, PLAIN
from bench.orders import ORDER, order_bodies, order_id
from bench.place import Contestant, Place, new_place
from bench.sizes import Sizes
from services import Services

PER_SECOND = 50
WARM_UP_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a worker took from the publish of an order to its first event, in milliseconds."""

    contestant: str
    number: int
    orders: int
    p50: float
    p99: float
    worst: float


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Latency]:
    """Paymaster and the plain worker in turn, round by round."""
    for number in range(1, sizes.rounds + 1):
        both: list[Contestant] = [PAYMASTER, PLAIN] if number % 2 else [PLAIN, PAYMASTER]
        for contestant in both:
            with new_place(services) as place:
                waits = asyncio.run(_measure(contestant, place, sizes.latency_seconds))
            found = _summary(contestant.name, number, [wait * 1e3 for wait in waits])
            tell(f"round {number}, latency: {contestant.name} p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms")
            yield found


def _summary(contestant: str, number: int, waits: Sequence[float]) -> Latency:
    return Latency(contestant, number, len(waits), percentile(waits, 0.5), percentile(waits, 0.99), max(waits))


async def _measure(contestant: Contestant, place: Place, seconds: float) -> list[float]:
    """The seconds that each order took, without those of the warm-up."""
    warm_up = WARM_UP_SECONDS * PER_SECOND
    count = warm_up + round(seconds * PER_SECOND)
    arrived: dict[str, float] = {}
    done = asyncio.Event()

    def take(message: DeliveredMessage) -> None:
        now = time.perf_counter()
        cause = (message.header.properties.headers or {}).get("causation-id")
        arrived.setdefault(str(cause), now)
        if len(arrived) == count:
            done.set()

    async with connected(place.rabbitmq_url) as broker:
        await contestant.prepare(place, broker)
        collected = await broker.collect(contestant.out)
        with processes.running(contestant.command, place.environment) as worker:
            await broker.appears(contestant.queue, worker.check)
            async with broker.watched(collected, take):
                published = await _publish(broker, contestant.into, count)
                try:
                    await asyncio.wait_for(done.wait(), STALL_SECONDS)
                except TimeoutError:
                    raise BenchError(f"{count - len(arrived)} of {count} orders had no event") from None
            await worker.stop()
    identities = [f"{ORDER}:{order_id(number)}" for number in range(warm_up, count)]
    return [arrived[identity] - published[identity] for identity in identities]


async def _publish(broker: Broker, exchange: str, count: int) -> dict[str, float]:
    """Publish orders evenly; returns when each was, by the identity that its events name as their cause."""
    published: dict[str, float] = {}
    confirms: list[asyncio.Task[object]] = []
    begun = time.perf_counter()
    for number, body in enumerate(order_bodies(count)):
        await asyncio.sleep(begun + number / PER_SECOND - time.perf_counter())
        identity = f"{ORDER}:{order_id(number)}"
        properties = Basic.Properties(content_type="application/json", delivery_mode=2, message_id=identity)
        published[identity] = time.perf_counter()
        publish = broker.channel.basic_publish(body, exchange=exchange, routing_key=ORDER, properties=properties)
        # The next one does not wait for this one's confirm.
        confirms.append(asyncio.ensure_future(publish))
    await asyncio.gather(*confirms)
    return published
