"""The watch: readiness looks at both services itself; the ports tell of it; a stop is bounded when they are away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from adapters.settings import Settings
from adapters.store.workers import WorkerSeen, active
from handlers.ports import CONNECTIONS_MAX, REQUEST_MAX
from handlers.watch import Service
from handlers.worker import Worker
from tests.support.books import Books, applied
from tests.support.client import Client
from tests.support.messages import customer, order
from tests.support.proxy import Proxy
from tests.support.waiting import wait_for
from tests.support.workers import WorkerProcess, working

Start = Callable[..., AbstractAsyncContextManager[WorkerProcess]]
STOP_SECONDS_MAX = 4.0
"""What a stop may take when nothing is connected: two seconds, and what a machine that is shared adds."""


@asynccontextmanager
async def cut_off(settings: Settings, which: str) -> AsyncIterator[tuple[Proxy, dict[str, Any]]]:
    """A network to one of the services, and the setting that goes through it."""
    name = f"{which}_url"
    async with Proxy.between(getattr(settings, name)) as network:
        yield network, {name: network.url}


@pytest.mark.parametrize("which", ["mongodb", "rabbitmq"])
async def test_an_outage_is_told_also_when_nothing_comes_in(
    settings: Settings, client: Client, tmp_path: Path, which: str
) -> None:
    """Once as an error, once when it is over; the health file is touched only while both services answer."""
    file = tmp_path / "ready"
    async with cut_off(settings, which) as (network, changes):
        with capture_logs() as told:
            async with working(settings, health_file=str(file), http_port=0, **changes) as worker:
                await wait_for(file.exists)
                assert (await get(worker, "/health/ready"))[0] == 200
                await network.cut()
                await wait_for(lambda: not (worker.watch.database.up and worker.watch.broker.up))
                status, body = await get(worker, "/health/ready")
                assert status == 503
                assert ("MongoDB" if which == "mongodb" else "RabbitMQ") in json.loads(body)["why"][0]
                assert (await get(worker, "/health/live"))[0] == 200
                file.unlink()
                # As often as it would have been touched.
                for _ in range(2):
                    await worker.watch.look()
                assert not file.exists()
                await network.heal()
                await wait_for(file.exists)
    service = {"mongodb": "database", "rabbitmq": "broker"}[which]
    levels = [one["log_level"] for one in told if one["event"].startswith("service") and one["service"] == service]
    assert levels == ["error", "info"]


async def get(worker: Worker, path: str) -> tuple[int, str]:
    """What the worker answers."""
    return await ask(worker, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def ask(worker: Worker, request: bytes) -> tuple[int, str]:
    """The status and the body of the answer to a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.ports.port)
    writer.write(request)
    answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_metrics_follow_prometheus(settings: Settings, client: Client, database: Books) -> None:
    """Names, units and types as usual; what was counted is what was done; no id is in a label."""
    async with working(settings, http_port=0) as worker:
        await client.ask(customer("BA-1"))
        await client.ask(order("O-1", "BA-1"))
        await client.ask(("order.completed\x1b[0m.evil", {"x": 1}))
        await applied(database, 2)
        await wait_for(lambda: worker.watch.role == "active")
        status, body = await get(worker, "/metrics")
        assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(body)}
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for one in families.values()
        for sample in one.samples
    }
    assert samples["paymaster_facts_total", "applied", "order.completed"] == 1
    assert samples["paymaster_facts_total", "other", "parked"] == 1
    assert samples["paymaster_fact_seconds_count", "order.completed"] == 1
    assert samples["paymaster_batch_stage_seconds_count", "commit"] >= 3
    assert samples["paymaster_parked_messages", "other", "unknown-type"] == 1
    assert samples[("paymaster_active",)] == samples[("paymaster_ready",)] == 1
    assert samples[("paymaster_database_up",)] == samples[("paymaster_broker_up",)] == 1
    assert samples["paymaster_queue_messages", "paymaster.work"] == 0
    assert samples["paymaster_held_messages", "scheduled"] == 0
    assert samples[("paymaster_day_behind_seconds",)] >= 0
    for name in families:
        assert name.startswith(("paymaster", "process_")), name
    assert not any(id_ in body for id_ in ("BA-1", "O-1", "P-", "\x1b"))


async def test_a_worker_knows_its_part_once_it_has_come_to_the_queue(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the next look: what it says to itself waits until it is the active one."""
    monkeypatch.setattr("handlers.watch.WATCH_SECONDS", 3_600.0)
    async with working(settings) as worker:
        await wait_for(lambda: worker.watch.role == "active")


async def test_the_port_bounds_what_a_client_may_do(settings: Settings, client: Client) -> None:
    """Whatever is asked for is answered, or hung up on, and the probes are answered still."""
    async with working(settings, http_port=0) as worker:
        for request, status in (
            (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
            (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
            (b"nonsense\r\n\r\n", 400),
            (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * REQUEST_MAX * 3 + b"\r\n\r\n", 431),
            (b"HEAD /health/live HTTP/1.1\r\n\r\n", 200),
            (b"GET /health/live?verbose HTTP/1.0\r\n\r\n", 200),
        ):
            assert (await ask(worker, request))[0] == status, request[:40]
        silent = [await asyncio.open_connection("127.0.0.1", worker.ports.port) for _ in range(CONNECTIONS_MAX)]
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.ports.port)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        for _, other in [*silent, (reader, writer)]:
            other.close()

        async def free() -> bool:
            try:
                return (await get(worker, "/health/live"))[0] == 200
            except (ConnectionError, IndexError):
                return False

        await wait_for(free)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_stop_is_bounded_when_nothing_is_connected(
    settings: Settings, client: Client, database: Books, worker_process: Start
) -> None:
    """SIGTERM with both services gone and messages taken: exit 0, at once; what was taken comes again."""
    async with (
        Proxy.between(settings.mongodb_url) as mongodb,
        Proxy.between(settings.rabbitmq_url) as rabbitmq,
        worker_process("worker", mongodb_url=mongodb.url, rabbitmq_url=rabbitmq.url) as worker,
    ):
        await worker.consuming()
        await client.ask(customer("BA-1"))
        await mongodb.cut()
        await client.send_all(order(f"O-{n}", "BA-1") for n in range(20))
        await wait_for(lambda: "batch run again" in worker.log or "service away" in worker.log)
        await rabbitmq.cut()
        since = time.monotonic()
        assert await worker.terminate() == 0, worker.log
        seconds = time.monotonic() - since
    assert seconds < STOP_SECONDS_MAX, worker.log
    assert "Traceback" not in worker.log
    async with working(settings):
        await applied(database, 21)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
@pytest.mark.parametrize("away", ["mongodb_url", "rabbitmq_url"])
async def test_a_start_that_waits_is_stopped_at_once(settings: Settings, worker_process: Start, away: str) -> None:
    """SIGTERM while a service is waited for."""
    async with Proxy.between(getattr(settings, away)) as network:
        await network.cut()
        async with worker_process("worker", **{away: network.url}, start_timeout_seconds=300) as worker:
            await wait_for(lambda: "nothing listens at" in worker.log, otherwise=lambda: worker.log)
            since = time.monotonic()
            assert await worker.terminate() == 0, worker.log
            assert time.monotonic() - since < STOP_SECONDS_MAX, worker.log


@pytest.mark.long
@pytest.mark.parametrize("driver", ["motor"])
async def test_a_start_says_what_it_is_and_who_applies(client: Client, worker_process: Start) -> None:
    """Version, database, driver, and no password; one says that it is active, the other that it stands by."""
    await client.declare()
    async with worker_process("first", log_format="json") as first:
        await wait_for(lambda: '"active: ' in first.log, otherwise=lambda: first.log)
        async with worker_process("second") as second:
            await wait_for(lambda: "standing by: " in second.log, otherwise=lambda: second.log)
            assert "active: messages" not in second.log
            starting = json.loads(first.log.splitlines()[0])
            assert starting["event"] == "starting"
            assert {"version", "database", "driver", "rabbitmq", "mongodb"} <= starting.keys()
            assert "guest:guest" not in first.log + second.log
            await first.kill()
            # With nothing to do, too: nobody is told by the broker.
            await wait_for(lambda: "active: messages" in second.log, otherwise=lambda: second.log)


def worker_seen(name: str, **changes: Any) -> WorkerSeen:
    """A worker that stands by."""
    values: dict[str, Any] = {
        "name": name,
        "version": "1",
        "driver": "motor",
        "started": 100.0,
        "age": 1.0,
        "applies_beside_others": False,
        "has_turn": False,
        "behind": True,
        "consuming": 50.0,
        "ready": True,
    }
    return WorkerSeen(**{**values, **changes})


@pytest.mark.parametrize(
    ("workers", "names"),
    [
        ([], set()),
        ([worker_seen("a", behind=False), worker_seen("b", consuming=90.0)], {"a"}),
        ([worker_seen("a"), worker_seen("b", has_turn=True)], {"b"}),
        ([worker_seen("a", has_turn=True, age=60.0), worker_seen("b")], {"b"}),
        ([worker_seen("a", has_turn=True, consuming=90.0), worker_seen("b", has_turn=True)], {"b"}),
        ([worker_seen("a", consuming=40.0), worker_seen("b")], {"b"}),
        ([worker_seen("a", consuming=None, has_turn=True), worker_seen("b")], {"b"}),
        ([worker_seen("a", applies_beside_others=True), worker_seen("b", applies_beside_others=True)], {"a", "b"}),
    ],
)
def test_who_is_active(workers: list[WorkerSeen], names: set[str]) -> None:
    """Who was given a message, else who came first; the dead and those that do not consume are not."""
    assert active(workers) == names


def test_one_slow_answer_is_no_outage() -> None:
    """The worker is not ready then; it is told when it is so twice, or when the service is gone."""
    service = Service("database")
    with capture_logs() as told:
        service.seen(None)
        service.seen("slow", slow=True)
        assert (service.up, service.gone, told) == (False, False, [])
        service.seen(None)
        for _ in range(3):
            service.seen("slow", slow=True)
        service.seen("nothing listens there")
        service.seen(None)
        service.seen("nothing listens there")
    assert [one["event"] for one in told] == ["service away", "service back", "service away"]
