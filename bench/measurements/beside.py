"""A bill run by itself, and beside payments that come evenly: how fast it is, and how long they take."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from bench import processes
from bench.broker import BenchError, connected
from bench.figures import percentile
from bench.measurements.latency import PER_SECOND
from bench.measurements.race import PAYMASTER
from bench.orders import BILLING_ACCOUNTS, CURRENCY
from bench.place import Place, new_place
from bench.sizes import Sizes
from bench.workloads import PAYMENT, RUNS
from services import Services

RUN_SECONDS_MAX = 600


@dataclass(frozen=True, slots=True)
class Beside:
    """How many accounts a second a run comes to by itself and beside payments, and how long these took, in ms."""

    number: int
    accounts: int
    alone: float
    beside: float
    payments: int
    p50: float
    p99: float
    worst: float


def run(services: Services, sizes: Sizes, tell: Callable[[str], None]) -> Iterator[Beside]:
    """Both, round by round."""
    for number in range(1, sizes.rounds + 1):
        with new_place(services) as place:
            alone, _ = asyncio.run(_measure(place, sizes.orders, payments=False))
        with new_place(services) as place:
            beside, waits = asyncio.run(_measure(place, sizes.orders, payments=True))
        took = [wait * 1e3 for wait in waits]
        p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
        found = Beside(number, sizes.orders, alone, beside, len(took), p50, p99, max(took))
        tell(f"round {number}, a bill run: {alone:,.0f}/s, beside payments {beside:,.0f}/s, their p99 {p99:.1f} ms")
        yield found


async def _measure(place: Place, accounts: int, *, payments: bool) -> tuple[float, list[float]]:
    """The accounts a second of a run, and the seconds that each payment took that was published while it ran."""
    arrived: dict[str, float] = {}
    began: list[float] = []
    over = asyncio.Event()
    published: dict[str, float] = {}
    all_paid = asyncio.Event()

    def take(message: DeliveredMessage) -> None:
        now = time.perf_counter()
        key = message.routing_key
        arrived.setdefault(str((message.header.properties.headers or {}).get("causation-id")), now)
        if key == "bill-run.started":
            began.append(now)
        elif key == "bill-run.completed":
            began.append(now)
            over.set()
        if over.is_set() and published.keys() <= arrived.keys():
            all_paid.set()

    async with connected(place.rabbitmq_url) as broker:
        await PAYMASTER.prepare(place, broker)
        await RUNS.prepare(accounts, PAYMASTER, place, broker)
        collected = await broker.collect(PAYMASTER.out)
        with processes.running(PAYMASTER.command, place.environment) as worker:
            await worker.says("active: messages are applied here")
            async with broker.watched(collected, take):
                await broker.fill(PAYMASTER.into, RUNS.letters(accounts, place))
                try:
                    async with asyncio.timeout(RUN_SECONDS_MAX):
                        if payments:
                            await _pay(broker.channel.basic_publish, PAYMASTER.into, over, published)
                        await over.wait()
                        if published.keys() - arrived.keys():
                            await all_paid.wait()
                except TimeoutError:
                    raise BenchError(f"the run was not over in {RUN_SECONDS_MAX} s") from None
            await worker.stop()
    start, end = began
    during = [identity for identity, at in published.items() if start <= at <= end]
    return accounts / (end - start), [arrived[identity] - published[identity] for identity in during]


async def _pay(
    publish: Callable[..., Awaitable[object]], exchange: str, over: asyncio.Event, published: dict[str, float]
) -> None:
    """Publish payments evenly until the run is over; notes when each was, by its identity."""
    confirms = []
    begun = time.perf_counter()
    while not over.is_set():
        number = len(published)
        await asyncio.sleep(begun + number / PER_SECOND - time.perf_counter())
        payment = {
            "paymentId": f"P-{number}",
            "receivedAt": "2026-11-23T09:30:00Z",
            "billingAccount": {"id": f"BA-{number % BILLING_ACCOUNTS:04d}"},
            "amount": {"unit": CURRENCY, "value": "12.00"},
        }
        identity = f"{PAYMENT}:P-{number}"
        properties = Basic.Properties(content_type="application/json", delivery_mode=2, message_id=identity)
        published[identity] = time.perf_counter()
        sending = publish(json.dumps(payment).encode(), exchange=exchange, routing_key=PAYMENT, properties=properties)
        confirms.append(asyncio.ensure_future(sending))
    await asyncio.gather(*confirms)
