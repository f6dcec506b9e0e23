"""`python -m bench` measures all that there is a goal for, or what `--only` names.

`… stages` shows the CPU time of an order by stage, `… profile` where Paymaster's worker spends its time, `… queries`
how long queries take.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pymongo import MongoClient
from rich.console import Console

from bench import machine, profiling, queries, report, stages
from bench.aio_pika_only.contestant import AioPikaOnly
from bench.broker import BenchError
from bench.faststream_only.contestant import FastStreamOnly, FastStreamWithoutInjection
from bench.goals import Results
from bench.measurements import beside, large_database, latency, long_backlog, race, start, takeover
from bench.node.contestant import Node
from bench.place import Contestant, new_place
from bench.sizes import FULL, QUICK, Sizes
from services import ServiceError, Services, running

MEASUREMENTS = (
    "orders",
    "hot",
    "payments",
    "corrections",
    "bills",
    "runs",
    "usage",
    "arrays",
    "standby",
    "latency",
    "beside",
    "backlog",
    "large",
    "start",
    "stages",
)
STAGE_ORDERS, STAGE_REPETITIONS = 1_000, 5
COMPARED_ORDERS, COMPARED_TURNS = 250, 30
"""Many short turns: one of them is likely to meet a quiet moment."""
# The most of a line where nobody looks at it while it is written.
COLUMNS = 160


def main() -> int:
    """Run the command; 0 unless something could not be measured: to miss a goal is a result."""
    arguments = _arguments()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what an interrupted run would say
    # An exit that runs every `finally`, so that services and workers end with this, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(width=None if sys.stdout.isatty() else COLUMNS)
    try:
        if arguments.command == "stages":
            console.print(report.stages_table(stages.measure(STAGE_ORDERS, STAGE_REPETITIONS)))
            console.print(report.compared_table(stages.compare(COMPARED_ORDERS, COMPARED_TURNS)))
            return 0
        sizes = _sizes(arguments)
        with running() as services:
            if arguments.command == "profile":
                with new_place(services) as place:
                    asyncio.run(profiling.profile(place, sizes.orders))
            elif arguments.command == "queries":
                asyncio.run(_queries(services, sizes.accounts))
            else:
                return _run(console, services, sizes, arguments.only)
    except (ServiceError, BenchError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=("run", "stages", "profile", "queries"), default="run")
    parser.add_argument("--quick", action="store_true", help="everything small, to see that it runs")
    parser.add_argument("--only", type=_chosen, default=MEASUREMENTS, help=f"some of {','.join(MEASUREMENTS)}")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--orders", type=int, help="Paymaster's facts in a round")
    parser.add_argument("--peer-orders", type=int, help="the orders in a round of a peer that keeps books")
    parser.add_argument("--backlog", type=int, help="the orders of the long backlog")
    parser.add_argument("--accounts", type=int, help="the accounts of the large database, and those to be queried")
    parser.add_argument("--latency-seconds", type=float, help="how long latency is measured")
    return parser.parse_args()


def _chosen(names: str) -> tuple[str, ...]:
    """The measurements that a list names, in their order."""
    wanted = set(names.split(","))
    if unknown := wanted - set(MEASUREMENTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not one of {', '.join(MEASUREMENTS)}")
    return tuple(name for name in MEASUREMENTS if name in wanted)


def _sizes(arguments: argparse.Namespace) -> Sizes:
    named = ("rounds", "orders", "peer_orders", "backlog", "accounts", "latency_seconds")
    given = {name: getattr(arguments, name) for name in named if getattr(arguments, name) is not None}
    return replace(QUICK if arguments.quick else FULL, **given)


async def _queries(services: Services, accounts: int) -> None:
    with new_place(services) as place:
        await queries.run(place, accounts, await machine.facts(services, place.mongodb))


def _run(console: Console, services: Services, sizes: Sizes, only: tuple[str, ...]) -> int:
    # Both kinds of output are for the same reader; progress is not part of the result.
    progress = Console(stderr=True)
    since = time.monotonic()

    def tell(line: str) -> None:
        progress.print(f"{time.monotonic() - since:5.0f} s  {line}", highlight=False, markup=False, soft_wrap=True)

    with MongoClient[dict[str, Any]](services.mongodb_url) as mongodb:
        on = asyncio.run(machine.facts(services, mongodb))
    results = Results()
    try:
        _measure(services, sizes, only, results, tell)
    finally:
        # What was measured before it was interrupted is worth having.
        report.show(console, on, sizes, results)
        console.print(f"written to {report.save(on, sizes, only, results)}", soft_wrap=True)
    return 1 if results.failures else 0


def _measure(
    services: Services, sizes: Sizes, only: tuple[str, ...], results: Results, tell: Callable[[str], None]
) -> None:
    """Measure what is chosen, one kind after the other; what goes wrong in one kind does not keep the others back.

    Each kind gives its figures round by round, so that those it came to are there whatever happens then.
    """
    peers: list[Contestant] = []
    for peer in _PEERS if "orders" in only else ():
        if line := peer.missing():
            results.missing[peer.name] = line
            tell(f"{peer.name}: {line}")
        else:
            peers.append(peer)
    racing = race.lanes(only, peers, sizes)
    results.rounds.extend(race.run(services, racing, sizes.rounds, tell, results.failures))

    def backlog() -> None:
        results.backlog = long_backlog.run(services, sizes, tell)

    def in_stages() -> None:
        results.stages.extend(stages.measure(STAGE_ORDERS, STAGE_REPETITIONS))
        results.compared.extend(stages.compare(COMPARED_ORDERS, COMPARED_TURNS))

    kinds: dict[str, Callable[[], None]] = {
        "standby": lambda: results.takeovers.extend(takeover.run(services, sizes, tell)),
        "latency": lambda: results.latencies.extend(latency.run(services, sizes, tell)),
        "beside": lambda: results.besides.extend(beside.run(services, sizes, tell)),
        "start": lambda: results.starts.extend(start.run(services, sizes, tell)),
        "stages": in_stages,
        "backlog": backlog,
        "large": lambda: results.rounds.extend(large_database.run(services, sizes, tell)),
    }
    for name, kind in kinds.items():
        if name in only:
            try:
                kind()
            except BenchError as error:
                results.failures[name] = str(error)


_PEERS: tuple[Contestant, ...] = (Node(), FastStreamOnly(), FastStreamWithoutInjection(), AioPikaOnly())


if __name__ == "__main__":
    sys.exit(main())
