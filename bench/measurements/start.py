"""From the start of a worker's process to the first event, with a message waiting in the queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import processes
from bench.broker import connected
from bench.measure import Lane, put_backlog
from bench.measurements.race import PAYMASTER, PLAIN
from bench.place import Contestant, Place, new_place
from bench.sizes import Sizes
from bench.workloads import ORDERS
from services import Services


@dataclass(frozen=True, slots=True)
class Start:
    """The seconds that a start took."""

    contestant: str
    number: int
    seconds: float


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Start]:
    """Several starts of Paymaster and of the plain worker, in turn."""
    for number in range(1, sizes.starts + 1):
        both: list[Contestant] = [PAYMASTER, PLAIN] if number % 2 else [PLAIN, PAYMASTER]
        for contestant in both:
            with new_place(services) as place:
                found = Start(contestant.name, number, asyncio.run(_measure(contestant, place)))
            tell(f"start {number}: {contestant.name} {found.seconds:.2f} s")
            yield found


async def _measure(contestant: Contestant, place: Place) -> float:
    async with connected(place.rabbitmq_url) as broker:
        collected = await put_backlog(Lane("start", contestant, ORDERS, 1), place, broker)
        since = time.monotonic()
        with processes.running(contestant.command, place.environment) as worker:
            seconds = await broker.reaches(collected, 1, worker.check) - since
            await worker.stop()
    return seconds
