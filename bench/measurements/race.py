"""Rates side by side: every contestant gets a backlog in every round, and each round goes the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence

from bench.broker import BenchError
from bench.measure import Lane, Round, measure
from bench.paymaster import READY, Paymaster
from bench.place import Contestant, new_place
from bench.plain.contestant import Plain
from bench.sizes import Sizes
from bench.workloads import ARRAYS, BILLS, CORRECTIONS, HOT, ORDERS, PAYMENTS, RECURRING, RUNS, SHORT, SPREAD, USAGE
from services import Services

PAYMASTER, PLAIN = Paymaster(), Plain()
ALONE = "without a standby"
STANDBY = "with a standby"


def lanes(only: Collection[str], peers: Sequence[Contestant], sizes: Sizes) -> list[Lane]:
    """The lanes that the chosen measurements need: what is compared with orders needs those too."""
    found: list[Lane] = []
    if not {"orders", "hot", "payments", "arrays"}.isdisjoint(only):
        found.append(Lane(ORDERS.name, PAYMASTER, ORDERS, sizes.orders, audited=True))
    if not {"orders", "hot", "arrays"}.isdisjoint(only):
        found.append(Lane(ORDERS.name, PLAIN, ORDERS, sizes.peer_orders))
    if "orders" in only:
        found += [
            Lane(ORDERS.name, peer, ORDERS, sizes.peer_orders if peer.keeps_books else sizes.bookless_orders)
            for peer in peers
        ]
    if "hot" in only:
        found.append(Lane(HOT.name, PAYMASTER, HOT, sizes.orders))
        found.append(Lane(HOT.name, PLAIN, HOT, sizes.hot_peer_orders))
    if not {"payments", "corrections"}.isdisjoint(only):
        found.append(Lane(PAYMENTS.name, PAYMASTER, PAYMENTS, sizes.orders, audited=True))
    if "corrections" in only:
        found.append(Lane(CORRECTIONS.name, PAYMASTER, CORRECTIONS, sizes.orders, audited=True))
    found += _of_bills(only, sizes)
    if not {"arrays", "usage"}.isdisjoint(only):
        found.append(Lane(ARRAYS.name, PAYMASTER, ARRAYS, sizes.orders))
    if "usage" in only:
        # They take no longer than the orders.
        found.append(Lane(USAGE.name, PAYMASTER, USAGE, sizes.orders * 3, audited=True))
    if "standby" in only:
        found.append(Lane(ALONE, PAYMASTER, ORDERS, sizes.orders, ready=READY))
        found.append(Lane(STANDBY, PAYMASTER, ORDERS, sizes.orders, workers=2, ready=READY))
    return found


def _of_bills(only: Collection[str], sizes: Sizes) -> Iterator[Lane]:
    """Bills and runs, and the orders that they are compared with."""
    if not {"bills", "runs"}.isdisjoint(only):
        yield Lane(SHORT.name, PAYMASTER, SHORT, sizes.orders)
    if "bills" in only:
        yield Lane(BILLS.name, PAYMASTER, BILLS, sizes.orders, audited=True)
        yield Lane(RECURRING.name, PAYMASTER, RECURRING, sizes.orders, audited=True)
    if "runs" in only:
        yield Lane(SPREAD.name, PAYMASTER, SPREAD, sizes.orders)
        # A run is found a moment after it was started; of many accounts that is little.
        yield Lane(RUNS.name, PAYMASTER, RUNS, sizes.orders * 2, audited=True)


def run(
    services: Services, racing: Sequence[Lane], rounds: int, tell: Callable[[str], None], failures: dict[str, str]
) -> Iterator[Round]:
    """Run the rounds; what goes wrong in one is added to `failures`, and the race goes on without it."""
    # Those of three lines come to other amounts, and usage has none.
    others = (SHORT, SPREAD, BILLS, RECURRING, RUNS, USAGE)
    alike = [lane for lane in racing if lane.contestant.keeps_books and lane.workload not in others]
    compared = min((lane.facts for lane in alike), default=0)
    for number in range(1, rounds + 1):
        # Each goes first in turn: what gets slower with time would otherwise fall on the same one.
        for lane in racing if number % 2 else reversed(racing):
            try:
                with new_place(services) as place:
                    orders = compared if lane in alike else 0
                    one = asyncio.run(measure(lane, place, number=number, compared=orders, last=number == rounds))
            except BenchError as error:
                failures[f"round {number}, {lane.work}, {lane.contestant.name}"] = str(error)
                continue
            tell(
                f"round {number}, {lane.work}: {lane.contestant.name} {one.rate:,.0f}/s "
                f"({lane.facts:,} in {one.seconds:.1f} s)"
            )
            yield one
