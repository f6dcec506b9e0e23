"""How long it takes until the worker that stood by has its first event out, after the active one was killed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime

from aiormq.abc import DeliveredMessage

from adapters.store.store import ABANDONED, Store
from bench import processes
from bench.broker import STALL_SECONDS, BenchError, connected
from bench.measure import Lane, put_backlog, start
from bench.measurements.race import PAYMASTER
from bench.paymaster import READY
from bench.place import Place, new_place
from bench.sizes import Sizes
from bench.workloads import ORDERS
from services import Services


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[float]:
    """The seconds from the kill to the other's first event, round by round."""
    lane = Lane("takeover", PAYMASTER, ORDERS, sizes.orders, workers=2, ready=READY)
    for number in range(1, sizes.takeovers + 1):
        with new_place(services) as place:
            seconds = asyncio.run(_measure(lane, place))
        tell(f"round {number}, takeover: {seconds:.2f} s")
        yield seconds


async def _measure(lane: Lane, place: Place) -> float:
    contestant = lane.contestant
    expected = lane.workload.events(lane.facts, contestant)
    async with connected(place.rabbitmq_url) as broker:
        collected = await put_backlog(lane, place, broker)
        with ExitStack() as stack:
            (active, other), _ = await start(lane, place, broker, stack)
            used = [processes.cpu_seconds(worker.pid) or 0.0 for worker in (active, other)]
            await broker.reaches(collected, expected // 3, active.check)
            now_used = [processes.cpu_seconds(worker.pid) or 0.0 for worker in (active, other)]
            if now_used[0] - used[0] < now_used[1] - used[1]:
                raise BenchError("the worker that started second is the active one")
            # What is there by now is of no interest, and would have to be read first.
            await broker.channel.queue_purge(collected)
            first = asyncio.get_running_loop().create_future()
            killed_at = 0.0

            def take(message: DeliveredMessage) -> None:
                # What the dead worker had published comes a little later; what was booked later is not of it.
                if not first.done() and killed_at and _booked_at(message.body) > killed_at:
                    first.set_result(time.monotonic())

            async with broker.watched(collected, take):
                killed_at, since = time.time(), time.monotonic()
                active.kill()
                try:
                    seconds: float = await asyncio.wait_for(first, STALL_SECONDS) - since
                except TimeoutError:
                    raise BenchError(f"no event of the other worker came in {STALL_SECONDS} s") from None
            await _through(lane, place, other)
            await other.stop()
        # What the dead worker left open would keep the database from being dropped, for a minute.
        store = Store(place.mongodb_url, place.database_name, "pymongo")
        await store.end_abandoned(ABANDONED)
        await store.close()
    return seconds


def _booked_at(body: bytes) -> float:
    """The time of an event, in seconds since 1970."""
    return datetime.fromisoformat(json.loads(body)["eventTime"]).timestamp()


async def _through(lane: Lane, place: Place, worker: processes.WorkerProcess) -> None:
    """Wait until nothing is left to do: the dead worker's events are sent too, which is for a sweep to find."""
    deadline = time.monotonic() + STALL_SECONDS + lane.facts / 100
    while problems := lane.contestant.check(place, lane.facts, thoroughly=False):
        worker.check()
        if time.monotonic() > deadline:
            raise BenchError(f"after the takeover: {dict(problems)}")
        await asyncio.sleep(0.2)
