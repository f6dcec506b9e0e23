"""Waiting for a condition, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

SECONDS_MAX = 120
"""More than anything here takes on a machine that has much else to do; only a test that fails waits for so long."""
PAUSE_SECONDS = 0.02


async def wait_for(
    condition: Callable[[], Any], seconds: float = SECONDS_MAX, otherwise: Any = "", *, pause: float = PAUSE_SECONDS
) -> Any:
    """Wait until `condition` gives something true, and return that; `otherwise` says what is amiss when it does not.

    `condition` may be a coroutine function, `otherwise` a text or a function that makes one. `pause` seconds
    lie between two looks.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(
                f"it did not come to hold in {seconds:g} seconds: {otherwise() if callable(otherwise) else otherwise}"
            )
        await asyncio.sleep(pause)
