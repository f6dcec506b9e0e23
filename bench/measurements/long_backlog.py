"""A long backlog: whether the worker's memory stays flat, and whether it is as fast at the end as at the beginning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bench import processes
from bench.broker import STALL_SECONDS, BenchError, connected
from bench.figures import tenths
from bench.measure import Lane, put_backlog, start
from bench.measurements.race import PAYMASTER
from bench.place import Place, new_place
from bench.sizes import Sizes
from bench.workloads import ORDERS
from services import Services

SAMPLE_SECONDS = 0.1
EVENTS_KEPT = 1_000
"""All of them would be gigabytes, which the broker would have to find room for."""


@dataclass(frozen=True, slots=True)
class LongBacklog:
    """How a worker got through a long backlog, by tenths: orders booked a second, the most memory (RSS) in bytes."""

    messages: int
    seconds: float
    rates: list[float]
    memory: list[int]
    problems: dict[str, object]

    @property
    def slowing(self) -> float:
        """The rate in the last tenth over the rate in the first."""
        return self.rates[-1] / self.rates[0]

    @property
    def growth(self) -> float:
        """The most memory in the last nine tenths over the most in the first."""
        return max(self.memory[1:]) / self.memory[0]


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> LongBacklog:
    """One run of Paymaster."""
    with new_place(services) as place:
        found = asyncio.run(_measure(place, sizes.backlog, tell))
    tell(f"{found.messages:,} messages in {found.seconds:.0f} s")
    return found


async def _measure(place: Place, count: int, tell: Callable[[str], None]) -> LongBacklog:
    lane = Lane("backlog", PAYMASTER, ORDERS, count)
    async with connected(place.rabbitmq_url) as broker:
        await put_backlog(lane, place, broker, keep=EVENTS_KEPT)
        tell(f"{count:,} messages are in the queue")
        with ExitStack() as stack:
            (worker,), first = await start(lane, place, broker, stack)
            booked, memory = await _samples(place, count, worker, first)
            await worker.stop()
        problems = dict(PAYMASTER.check(place, count, thoroughly=False))
    ends = [first, *(first + end for end in accumulate(tenths(booked, count)))]
    lengths = [end - begin for begin, end in pairwise(ends)]
    most = [max((size for at, size in memory if begin <= at <= end), default=0) for begin, end in pairwise(ends)]
    return LongBacklog(count, ends[-1] - first, [count / 10 / length for length in lengths], most, problems)


async def _samples(
    place: Place, count: int, worker: processes.WorkerProcess, first: float
) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    """How many orders were booked, and how much memory the worker had, by time, until all are booked."""
    booked: list[tuple[float, int]] = [(first, 0)]
    memory: list[tuple[float, int]] = []
    moved = first
    while booked[-1][1] < count:
        await asyncio.sleep(SAMPLE_SECONDS)
        worker.check()
        # The last invoice number: orders are committed with it, and it is one small read.
        series, now = place.database["series"].find_one(), time.monotonic()
        last = series["last"] if series else 0
        if last > booked[-1][1]:
            moved = now
        elif now > moved + STALL_SECONDS:
            raise BenchError(f"{last} of {count} orders were booked, and then none in {STALL_SECONDS} s")
        booked.append((now, last))
        memory.append((now, processes.resident_bytes(worker.pid) or 0))
    return booked, memory
