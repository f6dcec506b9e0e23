"""What is to be reached, and the figures of a run that say whether it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.aio_pika_only.contestant import AioPikaOnly
from bench.faststream_only.contestant import FastStreamOnly, FastStreamWithoutInjection
from bench.figures import Goal, ratios
from bench.measure import Round
from bench.measurements.beside import Beside
from bench.measurements.large_database import EMPTY, LARGE
from bench.measurements.latency import Latency
from bench.measurements.long_backlog import LongBacklog
from bench.measurements.race import ALONE, PAYMASTER, PLAIN, STANDBY
from bench.measurements.start import Start
from bench.node.contestant import Node
from bench.sizes import Sizes
from bench.stages import BY_SHARE, CHECKED, LIMITED, MIXED, OPEN, TIERED, WHOLE, Compared, Stage
from bench.stages import OURS as IN_OUR_NAME
from bench.workloads import ARRAYS, BILLS, CORRECTIONS, HOT, ORDERS, PAYMENTS, RECURRING, RUNS, SHORT, SPREAD, USAGE

FLAT = 1.1
"""So many times as much memory as in the first tenth is still flat."""

OURS = PAYMASTER.name
Lane = tuple[str, str]
"""The work, and who does it."""


@dataclass(slots=True)
class Results:
    """All that a run has measured; what was not chosen is empty.

    `missing` says of a peer why it is left out, `failures` of a measurement why it came to nothing.
    """

    missing: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    besides: list[Beside] = field(default_factory=list)
    backlog: LongBacklog | None = None
    starts: list[Start] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)

    def rates(self, lane: Lane) -> dict[int, float | None]:
        """A lane's facts a second, by round."""
        return {one.number: one.rate for one in self.rounds if (one.work, one.contestant) == lane}


def goals(results: Results, sizes: Sizes) -> list[Goal]:
    """Every goal, in the order in which they are told."""
    return [
        *_against_peers(results),
        _of_rates(results, HOT.name, "orders over 200 accounts", (HOT.name, OURS), (ORDERS.name, OURS), 0.7),
        _of_rates(results, HOT.name, PLAIN.name + " on its own spread", (HOT.name, PLAIN.name), _PLAIN_ORDERS, None),
        _of_rates(results, PAYMENTS.name, ORDERS.name, (PAYMENTS.name, OURS), (ORDERS.name, OURS), 0.7),
        _of_rates(results, CORRECTIONS.name, PAYMENTS.name, (CORRECTIONS.name, OURS), (PAYMENTS.name, OURS), 0.5),
        _of_rates(results, BILLS.name, SHORT.name, (BILLS.name, OURS), (SHORT.name, OURS), 0.6),
        _of_rates(results, RECURRING.name, SHORT.name, (RECURRING.name, OURS), (SHORT.name, OURS), 0.6),
        _of_rates(results, RUNS.name, SHORT.name, (RUNS.name, OURS), (SHORT.name, OURS), 0.6),
        _of_rates(results, RUNS.name, SPREAD.name, (RUNS.name, OURS), (SPREAD.name, OURS), None),
        _of_rates(results, USAGE.name, "orders in arrays", (USAGE.name, OURS), (ARRAYS.name, OURS), 3),
        _of_rates(results, ARRAYS.name, f"{PLAIN.name}, orders", (ARRAYS.name, OURS), _PLAIN_ORDERS, 25),
        _of_rates(results, STANDBY, ALONE, (STANDBY, OURS), (ALONE, OURS), 0.95),
        Goal("takeover after kill -9", "first event", 2, tuple(results.takeovers), " s", at_most=True),
        # What a dead worker had open at that moment is chance; whoever waits is not interested in the middle.
        Goal("takeover after kill -9", "first event, the worst", 0.5, _worst(results.takeovers), " s", at_most=True),
        *_of_latency(results.latencies),
        *_of_besides(results.besides),
        *_of_backlog(results.backlog),
        _of_rates(
            results,
            LARGE,
            EMPTY,
            (LARGE, OURS),
            (EMPTY, OURS),
            0.8,
            f"{sizes.accounts:,} accounts, {sizes.entries:,} entries",
        ),
        *_of_starts(results.starts),
        *_of_compared(results.compared),
    ]


_MORE = (
    (WHOLE, IN_OUR_NAME, 1.1),
    # A second invoice is a document, an event, a number and a tax of its own: that is most of the quarter.
    (MIXED, IN_OUR_NAME, 1.25),
    (TIERED, BY_SHARE, 1.1),
    (CHECKED, OPEN, 1.03),
    # Each account that it names is looked at once in a batch.
    (LIMITED, OPEN, 1.1),
)


def _of_compared(compared: Sequence[Compared]) -> list[Goal]:
    """The CPU time of orders that have something more to them."""
    values = {one.what: (one.of_it / one.of_other,) for one in compared}
    return [
        Goal(what, f"{against}, CPU time", bound, values.get(what, ()), at_most=True) for what, against, bound in _MORE
    ]


def _worst(seconds: Sequence[float]) -> tuple[float, ...]:
    return (max(seconds),) if seconds else ()


_PLAIN_ORDERS = (ORDERS.name, PLAIN.name)
_TIMES = (
    (PLAIN.name, 10.0),
    (Node.name, 6.0),
    (FastStreamOnly.name, 2.0),
    (FastStreamWithoutInjection.name, None),
    (AioPikaOnly.name, None),
)


def _against_peers(results: Results) -> list[Goal]:
    return [
        _of_rates(
            results, ORDERS.name, peer, (ORDERS.name, OURS), (ORDERS.name, peer), bound, results.missing.get(peer, "")
        )
        for peer, bound in _TIMES
    ]


def _of_rates(
    results: Results, work: str, against: str, lane: Lane, other: Lane, bound: float | None, note: str = ""
) -> Goal:
    values = ratios(results.rates(lane), results.rates(other))
    return Goal(work, against, bound, tuple(values), note=note)


def _of_latency(latencies: Sequence[Latency]) -> list[Goal]:
    found = []
    for name in ("p50", "p99"):
        ours, plain = (
            {one.number: getattr(one, name) for one in latencies if one.contestant == contestant}
            for contestant in (OURS, PLAIN.name)
        )
        note = f"{_middle(ours):.1f} ms and {_middle(plain):.1f} ms" if ours and plain else ""
        values = tuple(ratios(ours, plain))
        found.append(Goal(f"50 messages a second, {name}", PLAIN.name, 1, values, at_most=True, note=note))
    return found


def _of_besides(besides: Sequence[Beside]) -> list[Goal]:
    work = "50 payments a second beside a run"
    waits = tuple(one.p99 for one in besides)
    rates = tuple(one.beside / one.alone for one in besides)
    return [
        Goal(work, "p99", 100, waits, " ms", at_most=True),
        Goal("a bill run beside payments", "a bill run by itself", 0.5, rates),
    ]


def _middle(values: Mapping[int, float]) -> float:
    return median(values.values())


def _of_backlog(backlog: LongBacklog | None) -> list[Goal]:
    work = f"a backlog of {backlog.messages:,}" if backlog else "a long backlog"
    slowing: tuple[float, ...] = ()
    growth: tuple[float, ...] = ()
    note = ""
    if backlog is not None:
        slowing, growth = (backlog.slowing,), (backlog.growth,)
        note = f"{backlog.memory[0] / 2**20:.0f} MiB, later at most {max(backlog.memory[1:]) / 2**20:.0f} MiB"
    return [
        Goal(work, "rate in the last tenth / in the first", 0.9, slowing),
        Goal(work, "most memory later / in the first tenth", FLAT, growth, at_most=True, note=note),
    ]


def _of_starts(starts: Sequence[Start]) -> list[Goal]:
    ours, plain = (tuple(one.seconds for one in starts if one.contestant == name) for name in (OURS, PLAIN.name))
    return [
        Goal("start to the first event", "", 2, ours, " s", at_most=True),
        Goal("start to the first event", PLAIN.name, None, plain, " s"),
    ]
