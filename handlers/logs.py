"""The log: one line for each event, for people or for programs, harmless to a terminal, and no flood of one kind."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from handlers.text import safe

Format = Literal["logfmt", "json"]

FIRST = ("time", "level", "event")
IDS = ("identity", "parked_id", "message_id", "correlation_id", "account", "type")
"""What comes next, where an event has it: by these a line is found."""
ALIKE_MAX = 20
"""So many lines of one kind are written a minute; the others are counted."""
MINUTE = 60.0
KIND = ("event", "level", "type", "reason", "error", "connection", "part", "service")
"""What lines of one kind have in common; ids and counts are not of it."""
KINDS_MAX = 1_000
"""The most kinds that are told apart: beyond that lines are written as they come."""


def set_up(level: str, form: Format, stream: TextIO | None = None) -> None:
    """Have everything logged to standard error, from a level on; on a terminal for people, whatever the form."""
    stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            Flood(),
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            structlog.processors.format_exc_info,
            harmless,
            in_order,
            _renderer(form, terminal=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    # What the libraries say of lost connections is said by us, once, in our words.
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def _renderer(form: Format, *, terminal: bool) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=True)
    if terminal:
        return structlog.dev.ConsoleRenderer(timestamp_key="time", sort_keys=False)
    return structlog.processors.LogfmtRenderer(bool_as_flag=False)


def harmless(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """What others chose (a routing key, a queue's name) may steer a terminal or forge a line: it is escaped."""
    for name, value in event.items():
        if isinstance(value, str) and not (value.isascii() and value.isprintable()):
            event[name] = safe(value, lines=name == "exception")
        elif not isinstance(value, str | int | float | bool | None):
            event[name] = safe(value)
    return event


def in_order(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Time, level and event first, then ids, then all else; what is None is left out."""
    first = {name: event[name] for name in (*FIRST, *IDS) if event.get(name) is not None}
    return first | {name: value for name, value in event.items() if value is not None and name not in first}


class Flood:
    """Lets `ALIKE_MAX` lines of one kind through a minute, counts the others, and tells the number when it is over."""

    def __init__(
        self, most: int = ALIKE_MAX, seconds: float = MINUTE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ...], list[float]] = {}

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        """The line, unless it is one too many."""
        if event.get("summed_up"):
            return event
        kind = tuple(str(event.get(name, "")) for name in KIND)
        now = self._clock()
        with self._lock:
            since, count = self._seen.get(kind, (now, 0.0))
            if now - since >= self._seconds:
                since, count = now, 0.0
            if kind not in self._seen and len(self._seen) >= KINDS_MAX:
                return event
            self._seen[kind] = [since, count + 1]
        if count < self._most:
            return event
        if count == self._most:
            timer = threading.Timer(self._seconds - (now - since), self._tell, (kind, dict(event)))
            timer.daemon = True
            timer.start()
        raise structlog.DropEvent

    def _tell(self, kind: tuple[str, ...], event: dict[str, Any]) -> None:
        with self._lock:
            _, count = self._seen.pop(kind)
        told = {name: event[name] for name in KIND if name in event and name not in ("event", "level")}
        more = int(count) - self._most
        logger = structlog.get_logger()
        getattr(logger, event["level"])(
            event["event"], **told, summed_up=f"{more} more of the same in the last {self._seconds:g} seconds"
        )
