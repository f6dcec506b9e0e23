"""What the engine counts and times, for Prometheus: once a batch, so that no message is slower for it."""

from __future__ import annotations

import time
from collections import Counter as Count
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram

from handlers.engine.work import Outcome, WorkItem
from schemas.messages import HELD_MESSAGES

OTHER = "other"
"""The type of whatever is none of ours: a label has no more values than we have types."""
STAGES = ("look-up", "decide", "write", "commit")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_FACTS = (1, 2, 5, 10, 25, 50, 100, 250, 500)


def known_type(routing_key: str) -> str:
    """A message's type as a label."""
    return routing_key if routing_key in HELD_MESSAGES else OTHER


class Measures:
    """Counters and histograms of one worker, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._facts = Counter(
            "paymaster_facts", "Facts whose outcome was committed.", ("type", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "paymaster_fact_seconds",
            "From a fact's arrival at the worker to its commit.",
            ("type",),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._stages = Histogram(
            "paymaster_batch_stage_seconds",
            "How long a stage of a batch took.",
            ("stage",),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._stage = {stage: self._stages.labels(stage) for stage in STAGES}
        self._batch = Histogram(
            "paymaster_batch_facts", "Facts of a committed batch.", registry=self.registry, buckets=_FACTS
        )
        self._attempts = Counter(
            "paymaster_batch_failures",
            "Attempts on a batch that failed.",
            ("kind",),
            registry=self.registry,
        )
        self.lag_seconds = 0.0
        """How old the last committed message was that says when it was sent, by its `timestamp` (whole seconds)."""
        self.lag_at = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of a batch."""
        since = time.perf_counter()
        yield
        self._stage[name].observe(time.perf_counter() - since)

    def failed(self, kind: str) -> None:
        """An attempt on a batch failed."""
        self._attempts.labels(kind).inc()

    def committed(self, works: Sequence[WorkItem], outcomes: Sequence[Outcome]) -> None:
        """A batch is committed."""
        if not works:
            return
        self._batch.observe(len(works))
        now = time.monotonic()
        counts = Count((work.incoming.routing_key, outcome.kind) for work, outcome in zip(works, outcomes, strict=True))
        for (routing_key, kind), count in counts.items():
            self._facts.labels(known_type(routing_key), kind).inc(count)
        seconds = {key: self._seconds.labels(known_type(key)) for key in {key for key, _ in counts}}
        for work in works:
            seconds[work.incoming.routing_key].observe(now - work.arrived)
        sent = works[-1].properties.timestamp
        if sent is not None and works[-1].claimed is None:
            self.lag_seconds, self.lag_at = max(0.0, time.time() - sent.timestamp()), now
