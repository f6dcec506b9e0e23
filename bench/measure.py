"""One round: what is needed is made, the backlog is put in the queue, then the worker starts and the clock runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from bench import processes
from bench.broker import BenchError, Broker, Events, connected
from bench.orders import order_id
from bench.place import Contestant, Place
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used: by the worker or workers, by both services, by the benchmark, by everything on the machine."""

    worker: float | None
    mongodb: float | None
    rabbitmq: float | None
    bench: float | None
    machine: float | None

    def since(self, earlier: Cpu) -> Cpu:
        """What was used between `earlier` and this."""

        def used(now: float | None, then: float | None) -> float | None:
            return None if now is None or then is None else now - then

        return Cpu(
            used(self.worker, earlier.worker),
            used(self.mongodb, earlier.mongodb),
            used(self.rabbitmq, earlier.rabbitmq),
            used(self.bench, earlier.bench),
            used(self.machine, earlier.machine),
        )

    @property
    def together(self) -> float | None:
        """What the worker and both services used; None when one of them is not known."""
        parts = (self.worker, self.mongodb, self.rabbitmq)
        return None if None in parts else sum(part or 0 for part in parts)

    @property
    def others(self) -> float | None:
        """What processes used that have no part in this; None when the rest is not known."""
        if self.machine is None or self.bench is None or self.together is None:
            return None
        return max(0.0, self.machine - self.bench - self.together)


@dataclass(frozen=True, slots=True)
class Lane:
    """Who works on what in each round of a race, on how many facts.

    `work` is what it is called in the results. Of several `workers` all but the first stand by. With `ready`, which is
    what each puts out when it is, the messages are kept back until all of them are; for that the queue must have a
    single active consumer. `before` orders are in the books already. In the last round what is `audited` is checked
    with everything there is.
    """

    work: str
    contestant: Contestant
    workload: Workload
    facts: int
    workers: int = 1
    ready: str | None = None
    before: int = 0
    audited: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """What was measured of one worker in one round."""

    work: str
    contestant: str
    number: int
    facts: int
    seconds: float
    cpu: Cpu
    load_average: float
    events: dict[str, int]
    event_bytes: int
    invoiced: int | None
    """The total of the first orders' invoices, as many as every contestant had: the same for all that keep books."""
    problems: dict[str, object]

    @property
    def foreign_cores(self) -> float | None:
        """How many cores were busy with something else meanwhile: what makes a round a noisy one."""
        return None if self.cpu.others is None else self.cpu.others / self.seconds

    @property
    def rate(self) -> float:
        """Facts a second, from the first delivery to the last event."""
        return self.facts / self.seconds


class Meter:
    """Reads how much CPU time everyone has used."""

    def __init__(self, place: Place) -> None:
        self._mongodb: MongoClient[dict[str, Any]] = place.mongodb
        url = urlsplit(place.rabbitmq_url)
        self._rabbitmq = processes.listener(url.port or 5672) if url.hostname in ("127.0.0.1", "localhost") else None

    def read(self, workers: Iterable[int]) -> Cpu:
        """The seconds used up to now, `workers` being the ids of their processes."""
        mongodb = None
        with suppress(PyMongoError, KeyError):
            # The server counts its own, so this works wherever it runs.
            extra = self._mongodb.admin.command("serverStatus")["extra_info"]
            mongodb = (extra["user_time_us"] + extra["system_time_us"]) / 1e6
        used = [processes.cpu_seconds(worker) for worker in workers]
        return Cpu(
            worker=None if None in used else sum(seconds or 0 for seconds in used),
            mongodb=mongodb,
            rabbitmq=processes.cpu_seconds(self._rabbitmq),
            bench=processes.cpu_seconds(os.getpid()),
            machine=processes.busy_seconds(),
        )


async def measure(lane: Lane, place: Place, *, number: int, compared: int = 0, last: bool = False) -> Round:
    """Measure a worker on a backlog; raises `BenchError` when it does not get through it.

    `compared` is how many orders every contestant gets, 0: their invoices are not compared; `last` says that it is the
    last round.
    """
    contestant, workload = lane.contestant, lane.workload
    async with connected(place.rabbitmq_url) as broker:
        collected = await put_backlog(lane, place, broker)
        meter = Meter(place)
        load_average = os.getloadavg()[0]
        expected = workload.events(lane.facts, contestant)
        with ExitStack() as stack:
            workers, first = await start(lane, place, broker, stack)
            pids = [worker.pid for worker in workers]
            before = meter.read(pids)
            end = await broker.reaches(collected, expected, workers[0].check)
            after = meter.read(pids)
            for worker in workers:
                await worker.stop()
        orders = lane.before + lane.workload.orders(lane.facts)
        problems = dict(contestant.check(place, orders, thoroughly=last and lane.audited))
        problems.update(workload.check(lane.facts, place))
        events = await _look_at(broker, contestant, collected, expected, problems)
    return Round(
        work=lane.work,
        contestant=contestant.name,
        number=number,
        facts=lane.facts,
        seconds=end - first,
        cpu=after.since(before),
        load_average=load_average,
        events=dict(events.counts),
        event_bytes=events.body_bytes,
        invoiced=_invoiced(place, compared) if compared and contestant.keeps_books else None,
        problems=problems,
    )


async def put_backlog(lane: Lane, place: Place, broker: Broker, keep: int | None = None) -> str:
    """Prepare a lane and put its messages in the queue; returns a queue that gathers the events, or the last ones."""
    contestant, workload = lane.contestant, lane.workload
    await contestant.prepare(place, broker)
    await workload.prepare(lane.facts, contestant, place, broker)
    collected = await broker.collect(contestant.out, keep)
    messages = await broker.fill(contestant.into, workload.letters(lane.facts, place))
    if (there := await broker.length(contestant.queue)) != messages:
        raise BenchError(f"{there} messages are in {contestant.queue}, not {messages}")
    return collected


async def start(
    lane: Lane, place: Place, broker: Broker, stack: ExitStack
) -> tuple[list[processes.WorkerProcess], float]:
    """Start a lane's workers on the backlog; returns them, the active one first, and when the first message came."""
    queue = lane.contestant.queue
    workers: list[processes.WorkerProcess] = []

    def another() -> processes.WorkerProcess:
        workers.append(stack.enter_context(processes.running(lane.contestant.command, place.environment)))
        return workers[-1]

    if lane.ready is None:
        backlog = await broker.length(queue)
        return workers, await broker.first_delivery(queue, backlog, another().check)
    async with broker.held(queue):
        for _ in range(lane.workers):
            await another().says(lane.ready)  # in this order they become the active one
        first = time.monotonic()
    return workers, first


async def _look_at(
    broker: Broker, contestant: Contestant, collected: str, expected: int, problems: dict[str, object]
) -> Events:
    """What was published, and what is left in the queue now that the worker has gone."""
    events = await broker.read_all(collected)
    if left := await broker.length(contestant.queue):
        problems["messages not acknowledged"] = left
    if events.counts.total() != expected:
        problems["events"] = f"{events.counts.total()} instead of {expected}"
    if events.twice:
        # The clock stops at the number of events, so it stopped too early.
        problems["events that came twice"] = events.twice
    return events


def _invoiced(place: Place, orders: int) -> int:
    pipeline: list[dict[str, Any]] = [
        {"$match": {"orderId": {"$lt": order_id(orders)}}},
        {"$group": {"_id": None, "sum": {"$sum": "$taxIncludedAmount"}}},
    ]
    return int(next(iter(place.database["invoices"].aggregate(pipeline)), {"sum": 0})["sum"])
