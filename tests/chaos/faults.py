"""The faults: what each one breaks, for as long as its block lasts, and how that is healed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aio_pika
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from services.management import whoami
from tests.chaos.breakable import Breakable
from tests.chaos.crashes import DIED, POINTS
from tests.chaos.crew import Hand
from tests.support.books import Document
from tests.support.broker import Broker
from tests.support.failpoints import failing
from tests.support.waiting import wait_for

HOUR = 3600.0
READY_SECONDS = 60
CRASH_SECONDS = 10
"""How long a worker with a crash point may take to get there; one that stands by may never."""


@dataclass(frozen=True)
class Scene:
    """What there is to break: the workers and the services, which are others' too unless they are `breakable`.

    `tell` is told what exactly is being done.
    """

    crew: list[Hand]
    broker: Broker
    mongo: MongoClient[Document]
    tell: Callable[[str], None]
    breakable: Breakable | None = None

    @property
    def services(self) -> Breakable:
        """The services of a run that has its own."""
        assert self.breakable is not None
        return self.breakable


Fault = Callable[[Scene, random.Random], AbstractAsyncContextManager[None]]


# -- the workers


@asynccontextmanager
async def worker_killed(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """`kill -9`, and a new one after a while."""
    hand = lots.choice(scene.crew)
    async with hand.taken:
        scene.tell(hand.name)
        await hand.kill()
        yield
        await hand.start()


@asynccontextmanager
async def all_workers_killed(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """`kill -9` of everyone, so that nobody stands by."""
    async with AsyncExitStack() as stack:
        for hand in scene.crew:
            await stack.enter_async_context(hand.taken)
        scene.tell("all")
        for hand in scene.crew:
            await hand.kill()
        yield
        for hand in scene.crew:
            await hand.start()


@asynccontextmanager
async def worker_crashed(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """A worker that dies at one of the crash points; the others are killed, so that it is its turn to get there."""
    point, nth = lots.choice(sorted(POINTS)), lots.choice((1, 1, 2, 5))
    async with AsyncExitStack() as stack:
        for hand in scene.crew:
            await stack.enter_async_context(hand.taken)
            await hand.kill()
        hand = lots.choice(scene.crew)
        scene.tell(f"{hand.name} {point}, time {nth}")
        await hand.start("--crash", point, str(nth))
        if "shutdown" in point:
            with suppress(AssertionError):  # it may never get there while other things are broken
                await wait_for(lambda: hand.ready, CRASH_SECONDS)
            hand.signal(signal.SIGTERM)
        code = await hand.ended(CRASH_SECONDS)
        if code != DIED:
            scene.tell(f"{hand.name} did not get there: {code}")
            hand.odd_ends += [f"{hand.name} ended with {code}"] if code and hand.ready else []
        yield
        for other in scene.crew:
            await other.start()


@asynccontextmanager
async def worker_stopped(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """SIGTERM, as in every deployment."""
    hand = lots.choice(scene.crew)
    async with hand.taken:
        with suppress(AssertionError):  # it may never get there while other things are broken
            await wait_for(lambda: hand.ready, CRASH_SECONDS)
        scene.tell(f"{hand.name} left with {await hand.terminate()}")
        yield
        await hand.start()


@asynccontextmanager
async def worker_frozen(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """It stands still in the middle of what it does, and goes on later as if nothing had happened."""
    hand = lots.choice(scene.crew)
    async with hand.taken:
        scene.tell(hand.name)
        hand.signal(signal.SIGSTOP)
        yield
        hand.signal(signal.SIGCONT)


@asynccontextmanager
async def channel_closed(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """The broker closes a channel of every worker, and not its connection."""
    which = lots.choice((signal.SIGUSR1, signal.SIGUSR2))
    async with AsyncExitStack() as stack:
        for hand in scene.crew:
            await stack.enter_async_context(hand.taken)
        # One that has only just started would die of the signal.
        scene.tell("work" if which is signal.SIGUSR1 else "events")
        for hand in scene.crew:
            if hand.ready:
                hand.signal(which)
    yield


@asynccontextmanager
async def rights_read_again(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """Everyone reads the access file again, as when it was changed."""
    async with AsyncExitStack() as stack:
        for hand in scene.crew:
            await stack.enter_async_context(hand.taken)
        # One that has only just started would die of the signal.
        scene.tell("all")
        for hand in scene.crew:
            if hand.ready:
                hand.signal(signal.SIGHUP)
    yield


@asynccontextmanager
async def clock_moved(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """One worker's clock is hours off, forward or back, and then right again."""
    hand, hours = lots.choice(scene.crew), lots.uniform(-6, 6)
    scene.tell(f"{hand.name} {hours:+.1f} hours")
    hand.move_clock(hours * HOUR)
    yield
    hand.move_clock(0)


# -- the network of one worker


@asynccontextmanager
async def network_cut(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """Its connections are closed, and no new ones taken."""
    hand, networks = _networks(scene, lots)
    scene.tell(hand)
    for network in networks:
        await network.cut()
    yield
    for network in networks:
        await network.heal()


@asynccontextmanager
async def network_held(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """No byte comes through, though all looks connected; and then what was under way is lost."""
    hand, networks = _networks(scene, lots)
    scene.tell(hand)
    for network in networks:
        network.hold()
    yield
    for network in networks:
        if lots.random() < 0.7:
            await network.cut()
        await network.heal()


@asynccontextmanager
async def network_slowed(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """Every piece of data takes a while."""
    hand, networks = _networks(scene, lots)
    scene.tell(hand)
    for network in networks:
        network.delay_seconds = lots.uniform(0.02, 0.3)
    yield
    for network in networks:
        network.delay_seconds = 0


def _networks(scene: Scene, lots: random.Random) -> tuple[str, list[Any]]:
    hand = lots.choice(scene.crew)
    which = lots.choice(({"RabbitMQ": hand.broker}, {"MongoDB": hand.database}))
    if lots.random() < 0.2:
        which = {"RabbitMQ": hand.broker, "MongoDB": hand.database}
    return f"{hand.name} and {' and '.join(which)}", list(which.values())


# -- RabbitMQ


@asynccontextmanager
async def connections_closed(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """By force, from the broker's side: those of the work queue, of the events, or of everyone."""
    name = lots.choice(("paymaster work", "paymaster publish", ""))
    scene.tell(name or "all")
    for _ in range(len(scene.crew)):
        with suppress(TimeoutError):  # there is none while the workers are down
            async with asyncio.timeout(3):
                await scene.broker.close_connection(name)
    yield


@asynccontextmanager
async def rabbitmq_stopped(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """In order."""
    scene.tell("stop_app")
    await scene.services.rabbitmqctl("stop_app")
    yield
    await scene.services.rabbitmqctl("start_app")
    await _rabbitmq_ready(scene)


@asynccontextmanager
async def rabbitmq_killed(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """`kill -9`."""
    scene.tell("kill -9")
    scene.services.kill("rabbitmq-server")
    yield
    scene.services.start("rabbitmq-server")
    await _rabbitmq_ready(scene)


@asynccontextmanager
async def memory_alarm(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """The broker takes nothing from connections that publish."""
    scene.tell("on")
    await scene.services.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
    yield
    await scene.services.rabbitmqctl("set_vm_memory_high_watermark", "0.4")


@asynccontextmanager
async def disk_alarm(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """The same, for the disk."""
    scene.tell("on")
    await scene.services.rabbitmqctl("set_disk_free_limit", "900000GB")
    yield
    await scene.services.rabbitmqctl("set_disk_free_limit", "50MB")


async def _rabbitmq_ready(scene: Scene) -> None:
    services = scene.services.services

    async def ready() -> bool:
        try:
            await asyncio.to_thread(whoami, services.rabbitmq_management_url)
            await (await aio_pika.connect(services.rabbitmq_url, timeout=2)).close()
        except Exception:  # noqa: BLE001  # whatever it is that is not there yet
            return False
        return True

    await wait_for(ready, READY_SECONDS, "RabbitMQ does not come back")


# -- MongoDB

TRANSIENT = ["TransientTransactionError"]
UNKNOWN = ["UnknownTransactionCommitResult"]
FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "write conflict": ("insert", {"errorCode": 112, "errorLabels": TRANSIENT}),
    "stepped down in a read": ("find", {"errorCode": 11602, "errorLabels": TRANSIENT}),
    "connection lost in a write": ("insert", {"closeConnection": True}),
    "connection lost in a read": ("find", {"closeConnection": True}),
    "connection lost in an update": ("update", {"closeConnection": True}),
    "slow": ("insert", {"blockConnection": True, "blockTimeMS": 700}),
    "commit refused": ("commitTransaction", {"errorCode": 112, "errorLabels": TRANSIENT}),
    "commit without an answer": ("commitTransaction", {"closeConnection": True}),
    "commit not done, unknown": ("commitTransaction", {"errorCode": 91, "errorLabels": UNKNOWN}),
    "commit done, unknown": (
        "commitTransaction",
        {"writeConcernError": {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "shutting down"}},
    ),
    "commit done, not known of a majority": (
        "commitTransaction",
        {"writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}},
    ),
}


@asynccontextmanager
async def commands_failing(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """Some commands of one kind fail, in one way; a commit perhaps after it was done."""
    name, times = lots.choice(sorted(FAILURES)), lots.choice((1, 2, 3, 8))
    command, how = FAILURES[name]
    scene.tell(f"{name}, {times} times")
    with failing(scene.mongo, command, times, **how):
        yield


@asynccontextmanager
async def mongodb_killed(scene: Scene, _lots: random.Random) -> AsyncIterator[None]:
    """`kill -9`."""
    scene.tell("kill -9")
    scene.services.kill("mongod")
    yield
    scene.services.start("mongod")
    await _mongodb_ready(scene)


@asynccontextmanager
async def mongodb_stepped_down(scene: Scene, lots: random.Random) -> AsyncIterator[None]:
    """For some seconds nobody is the primary."""
    seconds = lots.randrange(1, 6)
    scene.tell(f"for {seconds} seconds")
    with suppress(PyMongoError):  # it closes our connection too
        await asyncio.to_thread(scene.mongo.admin.command, "replSetStepDown", seconds, force=True)
    yield
    await _mongodb_ready(scene)


async def _mongodb_ready(scene: Scene) -> None:
    def ready() -> bool:
        try:
            return bool(scene.mongo.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False

    async def attempt() -> bool:
        return await asyncio.to_thread(ready)

    await wait_for(attempt, READY_SECONDS, "MongoDB does not come back")


KILLS: tuple[Fault, ...] = (worker_killed,)
OF_WORKERS_AND_QUICK: tuple[Fault, ...] = (worker_frozen, channel_closed, network_cut, network_held, network_slowed)
OF_WORKERS: tuple[Fault, ...] = (
    *OF_WORKERS_AND_QUICK,
    all_workers_killed,
    worker_crashed,
    worker_crashed,
    worker_stopped,
)
OF_ACCESS: tuple[Fault, ...] = (rights_read_again,)
"""Of workers that have an access file."""
OF_SHARED_SERVICES: tuple[Fault, ...] = (connections_closed, commands_failing, commands_failing)
"""What may be done to services that others use at another time."""
OF_OWN_SERVICES: tuple[Fault, ...] = (
    *OF_SHARED_SERVICES,
    clock_moved,
    rabbitmq_stopped,
    rabbitmq_killed,
    memory_alarm,
    disk_alarm,
    mongodb_killed,
    mongodb_stepped_down,
)


async def trouble(
    scene: Scene,
    faults: tuple[Fault, ...],
    lots: random.Random,
    until: float,
    lasting: tuple[float, float],
    apart: tuple[float, float],
    count: Callable[[str], None],
) -> None:
    """One fault after the other until that time on the monotonic clock: each once, in any order, then all again."""
    deck: list[Fault] = []
    while time.monotonic() < until:
        if not deck:
            deck = lots.sample(faults, len(faults))
        fault = deck.pop()
        name = fault.__name__.replace("_", " ")
        count(name)
        told = replace(scene, tell=partial(_tell, scene, name))
        async with fault(told, lots):
            await asyncio.sleep(lots.uniform(*lasting))
        told.tell("healed")
        await asyncio.sleep(lots.uniform(*apart))


def _tell(scene: Scene, name: str, detail: str) -> None:
    scene.tell(f"{name}: {detail}")
