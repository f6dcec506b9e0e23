"""`/metrics`: what the engine counted, and how the worker, the queues and what is held are at the moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from adapters.mongodb.connection import DatabaseError
from adapters.operations.status import Backlog, backlog
from adapters.rabbitmq.relay import Relay
from adapters.version import VERSION
from handlers.engine.group_commit import GroupCommit
from handlers.engine.measures import OTHER, Measures, known_type
from handlers.ports import Answer
from handlers.watch import Watch

FRESH_SECONDS = 5.0
"""So long what the database told is told again: it is asked for at most so often, however many ask."""
BACKLOG_SECONDS_MAX = 3.0
"""How long the database may take; then its figures are left out."""
LAG_SECONDS_MAX = 60.0
"""So long after the last message the lag is told; a queue that is empty by then has none."""
SENDERS_MAX = 20
"""How many senders have a label of their own; the others together are `other`."""


class WorkerMetrics:
    """The page of one worker."""

    def __init__(
        self,
        measures: Measures,
        watch: Watch,
        relay: Relay,
        commit: GroupCommit,
        database: Any,
        about: dict[str, str],
        day_behind_seconds: Callable[[Backlog], float],
    ) -> None:
        self._measures = measures
        self._watch = watch
        self._relay = relay
        self._commit = commit
        self._database = database
        self._about = about
        self._day_behind_seconds = day_behind_seconds
        self._backlog: Backlog | None = None
        self._asked = -FRESH_SECONDS
        self._lock = asyncio.Lock()
        measures.registry.register(_Collected(self))
        ProcessCollector(registry=measures.registry)

    async def page(self) -> Answer:
        """`/metrics`."""
        async with self._lock:
            if time.monotonic() - self._asked >= FRESH_SECONDS:
                self._asked = time.monotonic()
                try:
                    async with asyncio.timeout(BACKLOG_SECONDS_MAX):
                        self._backlog = await backlog(self._database)
                except (DatabaseError, TimeoutError):
                    self._backlog = None
        return Answer(HTTPStatus.OK, generate_latest(self._measures.registry), CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """How things are now."""
        watch = self._watch
        yield InfoMetricFamily("paymaster", "This worker.", {"version": VERSION, **self._about})
        yield GaugeMetricFamily("paymaster_database_up", "1 while MongoDB answers.", bool(watch.database.up))
        yield GaugeMetricFamily("paymaster_broker_up", "1 while RabbitMQ answers.", bool(watch.broker.up))
        yield GaugeMetricFamily("paymaster_ready", "1 while the worker is ready.", watch.ready)
        yield GaugeMetricFamily("paymaster_active", "1 while messages are applied here.", watch.role == "active")
        yield from self._of_queues()
        yield GaugeMetricFamily(
            "paymaster_gathered_facts", "Facts that wait here for the next batch.", self._commit.gathered
        )
        sent = CounterMetricFamily("paymaster_events_published", "Events by what the broker said.", labels=("outcome",))
        for outcome, count in self._relay.counts.items():
            sent.add_metric((outcome.value,), count)
        yield sent
        yield GaugeMetricFamily(
            "paymaster_relay_stuck_seconds",
            "How long the relay has had events and got none through.",
            self._relay.stuck_seconds,
        )
        if self._backlog is not None:
            yield from _of_backlog(self._backlog)
            yield GaugeMetricFamily(
                "paymaster_day_behind_seconds",
                "For how long a day has been there that was not begun.",
                self._day_behind_seconds(self._backlog),
            )

    def _of_queues(self) -> Iterator[Metric]:
        queues = GaugeMetricFamily("paymaster_queue_messages", "Messages ready in a queue.", labels=("queue",))
        for queue in self._watch.queues if self._watch.broker.up else ():
            if queue.messages is not None:
                queues.add_metric((queue.name,), queue.messages)
        yield queues
        late = time.monotonic() - self._measures.lag_at < LAG_SECONDS_MAX
        yield GaugeMetricFamily(
            "paymaster_queue_lag_seconds",
            "The age, at its commit, of the last message that says when it was sent.",
            self._measures.lag_seconds if late else 0.0,
        )


def _of_backlog(found: Backlog) -> Iterator[Metric]:
    held = GaugeMetricFamily("paymaster_held_messages", "Messages that wait to be applied.", labels=("state",))
    oldest = GaugeMetricFamily("paymaster_held_oldest_seconds", "The age of the oldest of them.", labels=("state",))
    held.add_metric(("scheduled",), found.held.get("scheduled", 0))
    for state in ("waiting", "suspect"):
        held.add_metric((state,), found.held.get(state, 0))
        oldest.add_metric((state,), found.oldest_seconds.get(state, 0.0))
    yield held
    yield oldest
    parked = GaugeMetricFamily("paymaster_parked_messages", "Parked messages.", labels=("reason", "type"))
    counts: dict[tuple[str, str], int] = {}
    for reason, routing_key, count in found.parked:
        key = (reason, known_type(routing_key))
        counts[key] = counts.get(key, 0) + count
    for labels, count in counts.items():
        parked.add_metric(labels, count)
    yield parked
    senders = GaugeMetricFamily(
        "paymaster_parked_by_sender_messages",
        "Of the 1,000 messages parked last, by their user_id.",
        labels=("sender",),
    )
    for name, count in (*found.senders[:SENDERS_MAX], (OTHER, sum(count for _, count in found.senders[SENDERS_MAX:]))):
        senders.add_metric((name or "none",), count)
    yield senders
    yield GaugeMetricFamily("paymaster_outbox_unsent_events", "Events not sent yet.", found.unsent)
    yield GaugeMetricFamily(
        "paymaster_outbox_oldest_unsent_seconds", "The age of the oldest of them.", found.oldest_unsent_seconds
    )
    given_up = GaugeMetricFamily("paymaster_outbox_parked_events", "Events that were given up.", labels=("reason",))
    for reason, count in found.parked_events.items():
        given_up.add_metric((reason,), count)
    yield given_up


class _Collected(Collector):
    """What is asked for when the page is."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked before the worker runs."""
        return iter(())
