"""`python -m bench` measures; `… profile` shows where Paymaster's worker spends its time, `… queries` times queries."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from rich.console import Console

from bench import machine, profiling, queries, report
from bench.broker import BenchError
from bench.measure import Round, measure
from bench.paymaster import Paymaster
from bench.place import Contestant, Place
from bench.plain.contestant import Plain
from services import ServiceError, Services, running


def main() -> int:
    """Run the command; 0 unless it could not be measured: to miss a goal is a result."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("run", "profile", "queries"), default="run")
    parser.add_argument("--quick", action="store_true", help="one small round, to see that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=12_000, help="Paymaster's orders in a round")
    parser.add_argument("--plain-orders", type=int, default=3_000, help="the plain worker's orders in a round")
    parser.add_argument("--accounts", type=int, default=1_000_000, help="how many accounts are there to be queried")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.accounts = min(arguments.accounts, 20_000)
        arguments.rounds, arguments.orders, arguments.plain_orders = 1, 4_000, 1_000
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what an interrupted run would say
    # An exit that runs every `finally`, so that services and workers end with this, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with running() as services:
            if arguments.command == "profile":
                with _place(services) as place:
                    asyncio.run(profiling.profile(place, arguments.orders))
            elif arguments.command == "queries":
                with _place(services) as place:
                    asyncio.run(_queries(place, services, arguments.accounts))
            else:
                _run(services, arguments)
    except (ServiceError, BenchError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _queries(place: Place, services: Services, accounts: int) -> None:
    await queries.run(place, accounts, await machine.facts(services, place.mongodb))


def _run(services: Services, arguments: argparse.Namespace) -> None:
    console = Console(width=None if sys.stdout.isatty() else 130)
    # Both kinds of output are for the same reader; progress is not part of the result.
    progress = Console(stderr=True)
    paymaster, plain = Paymaster(), Plain()
    sizes: list[tuple[Contestant, int]] = [(plain, arguments.plain_orders), (paymaster, arguments.orders)]
    compared = min(orders for _, orders in sizes)
    rounds: list[Round] = []
    with MongoClient[dict[str, Any]](services.mongodb_url) as mongodb:
        on = asyncio.run(machine.facts(services, mongodb))
    for number in range(1, arguments.rounds + 1):
        # Each goes first in turn: what gets slower with time would otherwise fall on the same one.
        for contestant, orders in sizes if number % 2 else reversed(sizes):
            with _place(services) as place:
                measured = asyncio.run(
                    measure(
                        contestant,
                        place,
                        number=number,
                        orders=orders,
                        compared=compared,
                        thoroughly=number == arguments.rounds,
                    )
                )
            rounds.append(measured)
            progress.print(
                f"round {number}: {contestant.name} {measured.rate:,.0f} messages/s "
                f"({orders:,} orders in {measured.seconds:.1f} s)",
                highlight=False,
            )
    report.show(console, on, rounds, paymaster.name, plain.name)
    console.print(f"written to {report.save(on, rounds, paymaster.name, plain.name)}", soft_wrap=True)


@contextmanager
def _place(services: Services) -> Iterator[Place]:
    """A new virtual host and a new database, both gone afterwards."""
    name = f"bench-{secrets.token_hex(6)}"
    with services.vhost() as rabbitmq_url, MongoClient[dict[str, Any]](services.mongodb_url) as mongodb:
        try:
            yield Place(rabbitmq_url, mongodb, services.mongodb_url, name)
        finally:
            mongodb.drop_database(name)


if __name__ == "__main__":
    sys.exit(main())
