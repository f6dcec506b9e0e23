"""The start: the services are waited for, what waiting does not heal is told at once, in one line."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from adapters.faults import mongodb_fault, rabbitmq_fault
from adapters.mongodb.connection import DatabaseError
from adapters.rabbitmq.connection import CONNECTION_ERRORS, connect, naming_losses
from adapters.rabbitmq.topology import declare_topology
from adapters.settings import Settings

log = structlog.get_logger()


class ServiceAway(Exception):
    """A service did not answer in time at the start, or does not let us in; the message is one line that says so."""


async def prepare_database(prepare: Callable[[], Coroutine[Any, Any, None]], settings: Settings) -> None:
    """Prepare the database once it answers; raises `ServiceAway` when it does not in time, or refuses us."""
    url = settings.mongodb_url

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        why = mongodb_fault(error, url).line if error else None
        log.warning("waiting for MongoDB", attempt=state.attempt_number, why=why)

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, DatabaseError) and not mongodb_fault(error, url).lasting
            ),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            stop=stop_after_delay(settings.start_timeout_seconds),
            before_sleep=tell,
            reraise=True,
        ):
            with attempt:
                await prepare()
    except DatabaseError as error:
        raise ServiceAway(mongodb_fault(error, url).line) from error


async def prepare_broker(settings: Settings) -> None:
    """Declare the topology once the broker answers; raises `ServiceAway` when it does not in time, or refuses us."""
    url, limit = settings.rabbitmq_url, settings.start_timeout_seconds

    async def declare() -> None:
        connection = await connect(url, "paymaster start", give_up_after_seconds=limit)
        with naming_losses():
            async with connection:
                await declare_topology(
                    await connection.channel(), single_active_consumer=settings.single_active_consumer
                )

    def flaps(error: BaseException) -> bool:
        # Connected, and gone before all was declared: a broker that is just coming up.
        return isinstance(error, CONNECTION_ERRORS) and not rabbitmq_fault(error, url).lasting

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(flaps),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            stop=stop_after_delay(limit),
            reraise=True,
        ):
            with attempt:
                await declare()
    except CONNECTION_ERRORS as error:
        raise ServiceAway(rabbitmq_fault(error, url).line) from error
