"""One round: the accounts are made, the backlog is put in the queue, then the worker starts and the clock runs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from bench import processes
from bench.broker import BenchError, Broker, Events, connected
from bench.orders import EVENTS_PER_ORDER, ORDER, order_bodies, order_id
from bench.place import Contestant, Place


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used: by the worker, by both services, by the benchmark, and by everything on the machine."""

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
class Round:
    """What was measured of one worker in one round."""

    contestant: str
    number: int
    orders: int
    seconds: float
    cpu: Cpu
    load_average: float
    events: dict[str, int]
    event_bytes: int
    invoiced: int
    """The total of the first orders' invoices, as many as every contestant had: the same for all."""
    problems: dict[str, object]

    @property
    def foreign_cores(self) -> float | None:
        """How many cores were busy with something else meanwhile: what makes a round a noisy one."""
        return None if self.cpu.others is None else self.cpu.others / self.seconds

    @property
    def rate(self) -> float:
        """Messages a second, from the first delivery to the last event."""
        return self.orders / self.seconds


class Meter:
    """Reads how much CPU time everyone has used."""

    def __init__(self, mongodb: MongoClient[dict[str, Any]], rabbitmq_url: str) -> None:
        self._mongodb = mongodb
        url = urlsplit(rabbitmq_url)
        self._rabbitmq = processes.listener(url.port or 5672) if url.hostname in ("127.0.0.1", "localhost") else None

    def read(self, worker: int) -> Cpu:
        """The seconds used up to now."""
        mongodb = None
        with suppress(PyMongoError, KeyError):
            # The server counts its own, so this works wherever it runs.
            extra = self._mongodb.admin.command("serverStatus")["extra_info"]
            mongodb = (extra["user_time_us"] + extra["system_time_us"]) / 1e6
        return Cpu(
            worker=processes.cpu_seconds(worker),
            mongodb=mongodb,
            rabbitmq=processes.cpu_seconds(self._rabbitmq),
            bench=processes.cpu_seconds(os.getpid()),
            machine=processes.busy_seconds(),
        )


async def measure(
    contestant: Contestant, place: Place, *, number: int, orders: int, compared: int, thoroughly: bool
) -> Round:
    """Measure a worker on a backlog of `orders`; raises `BenchError` when it does not get through it.

    `compared` is how many orders every contestant gets; `thoroughly` has its work checked with everything there is.
    """
    async with connected(place.rabbitmq_url) as broker:
        await contestant.prepare(place, broker)
        collected = await broker.collect(contestant.out)
        await broker.fill(contestant.into, ORDER, order_bodies(orders))
        if (there := await broker.length(contestant.queue)) != orders:
            raise BenchError(f"{there} messages are in {contestant.queue}, not {orders}")
        meter = Meter(place.mongodb, place.rabbitmq_url)
        load_average = os.getloadavg()[0]
        expected = orders * EVENTS_PER_ORDER
        with processes.running(contestant.command, place.environment) as worker:
            first = await broker.first_delivery(contestant.queue, orders, worker.check)
            before = meter.read(worker.pid)
            last = await broker.reaches(collected, expected, worker.check)
            after = meter.read(worker.pid)
            await worker.stop()
        problems = dict(contestant.check(place, orders, thoroughly=thoroughly))
        events = await _look_at(broker, contestant, collected, expected, problems)
    return Round(
        contestant=contestant.name,
        number=number,
        orders=orders,
        seconds=last - first,
        cpu=after.since(before),
        load_average=load_average,
        events=dict(events.counts),
        event_bytes=events.body_bytes,
        invoiced=_invoiced(place, compared),
        problems=problems,
    )


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
