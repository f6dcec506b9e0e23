"""Where Paymaster's worker spends its time: cProfile on a backlog.

cProfile sees the thread of the event loop only, not those in which Motor talks to MongoDB, and it makes calls look
dearer than work in C: read it for what to look at, and measure without it.
"""

from __future__ import annotations

import pstats
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Lane, measure
from bench.paymaster import PROGRAM, Paymaster
from bench.place import Place
from bench.workloads import ORDERS

FUNCTIONS = 40


class _Profiled(Paymaster):
    """Paymaster under cProfile."""

    name = "Paymaster under cProfile"

    def __init__(self, statistics: Path) -> None:
        self.command: Sequence[str] = (sys.executable, "-m", "cProfile", "-o", str(statistics), PROGRAM, "run")


async def profile(place: Place, orders: int) -> None:
    """Profile a worker on a backlog of `orders` and print its functions by own time and by time with what they call."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "statistics"
        lane = Lane(ORDERS.name, _Profiled(file), ORDERS, orders)
        measured = await measure(lane, place, number=1)
        print(f"{measured.rate:,.0f} messages/s under cProfile")
        statistics = pstats.Stats(str(file))
        for order in ("tottime", "cumtime"):
            statistics.sort_stats(order).print_stats(FUNCTIONS)
