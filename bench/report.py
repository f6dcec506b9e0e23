"""The results: tables and a chart to read, and JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from bench.figures import Goal, spread
from bench.goals import Results, goals
from bench.measure import Round
from bench.measurements.latency import Latency
from bench.measurements.long_backlog import LongBacklog
from bench.measurements.race import PAYMASTER
from bench.sizes import Sizes
from bench.stages import Compared, Stage
from bench.workloads import ORDERS

NOISY_CORES = 0.2
RESULTS = Path(__file__).parent / "results"
BAR_COLUMNS = 60
SMALL = "These sizes are small, to see that everything runs: the figures are no results."
STYLES = {"reached": "green", "missed": "bold red", "not measured": "yellow"}


def show(console: Console, machine: dict[str, Any], sizes: Sizes, results: Results) -> None:
    """Print what was measured, and on what; the goals come last."""
    _show_machine(console, machine)
    if results.rounds:
        console.print(_rates(results.rounds))
        console.print(_chart(results.rounds))
    if results.latencies:
        console.print(_latencies(results.latencies))
    if results.backlog is not None:
        console.print(_backlog(results.backlog))
    if results.stages:
        console.print(stages_table(results.stages, _worker_microseconds(results.rounds)))
    if results.compared:
        console.print(compared_table(results.compared))
    _show_problems(console, results)
    for name, line in results.missing.items():
        console.print(f"[yellow]{name}: {line}[/]")
    for name, line in results.failures.items():
        console.print(f"{name} was not measured: {line}", style="red", markup=False)
    console.print(_goals(goals(results, sizes)))
    if sizes.quick:
        console.print(f"[yellow]{SMALL}[/]")


def save(machine: dict[str, Any], sizes: Sizes, only: Sequence[str], results: Results) -> Path:
    """Write it all as JSON; returns the file."""
    now = datetime.now(UTC)
    result = {
        "measuredAt": now.isoformat(timespec="seconds"),
        "workload": ",".join(only),
        "machine": machine,
        "sizes": asdict(sizes),
        **asdict(results),
        "rounds": [{**asdict(one), "rate": one.rate} for one in results.rounds],
        "goals": [
            {**asdict(goal), "measured": goal.measured, "verdict": goal.verdict} for goal in goals(results, sizes)
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    return file


def stages_table(stages: Sequence[Stage], worker: float | None = None) -> Table:
    """The stages of an order; `worker` is what a whole worker was measured to take for one, in microseconds."""
    table = Table(title="CPU time of an order in Paymaster's worker, by stage: microseconds")
    for heading in ("stage", "which is"):
        table.add_column(heading)
    for heading in ("median", "least"):
        table.add_column(heading, justify="right")
    for stage in stages:
        table.add_row(stage.name, stage.what, f"{stage.median:,.1f}", f"{stage.least:,.1f}")
    together = sum(stage.median for stage in stages)
    table.add_section()
    table.add_row("together", "", f"{together:,.0f}", f"{sum(stage.least for stage in stages):,.0f}")
    if worker is not None:
        table.add_row("the rest", "drivers, sockets, event loop: up to a whole worker", f"{worker - together:,.0f}", "")
        table.add_row("a whole worker", "measured on a backlog", f"{worker:,.0f}", "")
    return table


def compared_table(compared: Sequence[Compared]) -> Table:
    """What orders take that have something more to them."""
    table = Table(title="CPU time of an order in Paymaster's worker: microseconds")
    table.add_column("orders")
    table.add_column("", justify="right")
    table.add_column("beside")
    for heading in ("", "which is"):
        table.add_column(heading, justify="right")
    for one in compared:
        ratio = f"{one.of_it / one.of_other:.3f}×"
        table.add_row(one.what, f"{one.of_it:,.0f}", one.against, f"{one.of_other:,.0f}", ratio)
    return table


def _show_machine(console: Console, machine: dict[str, Any]) -> None:
    libraries = ", ".join(f"{library} {version}" for library, version in machine["libraries"].items())
    console.print(
        f"{machine['cores']} cores ({machine['processor']}), shared by the worker, both services and this benchmark; "
        f"load average at the start {machine['loadAverage'][0]}\n"
        f"Python {machine['python']}, RabbitMQ {machine['rabbitmq']}, MongoDB {machine['mongodb']} "
        f"({machine['services']}), {libraries}"
    )
    for variable, value in machine["settings"].items():
        console.print(f"{variable} is set to {value}")


def _by_lane(rounds: Sequence[Round]) -> dict[tuple[str, str], list[Round]]:
    lanes: dict[tuple[str, str], list[Round]] = {}
    for one in rounds:
        lanes.setdefault((one.work, one.contestant), []).append(one)
    return lanes


def _rates(rounds: Sequence[Round]) -> Table:
    table = Table(title="facts a second, from the first delivery to the last event: medians of the rounds")
    table.add_column("work")
    table.add_column("worker")
    for heading in ("rounds", "facts in\neach", "facts/s", "lowest to highest"):
        table.add_column(heading, justify="right")
    for heading in ("worker", "mongod", "broker"):
        table.add_column(f"CPU µs/fact\n{heading}", justify="right")
    table.add_column("cores busy\nelsewhere", justify="right")
    table.add_column("bytes of\nan event", justify="right")
    last = ""
    for (work, name), of_it in _by_lane(rounds).items():
        if last and work != last:
            table.add_section()
        last = work
        rates = [one.rate for one in of_it]
        table.add_row(
            work,
            name,
            str(len(of_it)),
            f"{of_it[0].facts:,}",
            f"[bold]{median(rates):,.0f}[/]",
            spread(rates, ",.0f"),
            *(_microseconds([getattr(one.cpu, whose) for one in of_it], of_it) for whose in _PROCESSES),
            _foreign(of_it),
            f"{median(one.event_bytes / max(1, sum(one.events.values())) for one in of_it):,.0f}",
        )
    return table


_PROCESSES = ("worker", "mongodb", "rabbitmq")


def _microseconds(seconds: Sequence[float | None], rounds: Sequence[Round]) -> str:
    each = [used / one.facts for used, one in zip(seconds, rounds, strict=True) if used is not None]
    return f"{median(each) * 1e6:,.0f}" if each else "-"


def _worker_microseconds(rounds: Sequence[Round]) -> float | None:
    of_it = _by_lane(rounds).get((ORDERS.name, PAYMASTER.name), [])
    each = [one.cpu.worker / one.facts * 1e6 for one in of_it if one.cpu.worker is not None]
    return median(each) if each else None


def _foreign(rounds: Sequence[Round]) -> str:
    cores = [one.foreign_cores for one in rounds if one.foreign_cores is not None]
    return f"{median(cores):.2f}" if cores else "-"


def _chart(rounds: Sequence[Round]) -> Table:
    chart = Table.grid(padding=(0, 1))
    chart.title = "facts a second"
    rates = {lane: median(one.rate for one in of_it) for lane, of_it in _by_lane(rounds).items()}
    highest = max(rates.values())
    for (work, name), rate in rates.items():
        style = "green" if name == PAYMASTER.name else "blue"
        chart.add_row(work, name, Bar(highest, 0, rate, width=BAR_COLUMNS, color=style), f"{rate:,.0f}")
    return chart


def _latencies(latencies: Sequence[Latency]) -> Table:
    table = Table(title="ms from publish to event, at 50 messages a second")
    table.add_column("worker")
    for heading in ("p50", "lowest to highest", "p99", "lowest to highest", "worst"):
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(one.contestant for one in latencies):
        of_it = [one for one in latencies if one.contestant == name]
        p50, p99 = [one.p50 for one in of_it], [one.p99 for one in of_it]
        table.add_row(
            name,
            f"{median(p50):.1f}",
            spread(p50, ".1f"),
            f"{median(p99):.1f}",
            spread(p99, ".1f"),
            f"{max(one.worst for one in of_it):.1f}",
        )
    return table


def _backlog(backlog: LongBacklog) -> Table:
    table = Table(title=f"a backlog of {backlog.messages:,} orders, {backlog.seconds:,.0f} s: by tenths")
    table.add_column("")
    for tenth in range(1, 11):
        table.add_column(str(tenth), justify="right")
    table.add_row("orders/s", *(f"{rate:,.0f}" for rate in backlog.rates))
    table.add_row("most memory, MiB", *(f"{size / 2**20:.0f}" if size else "-" for size in backlog.memory))
    return table


def _show_problems(console: Console, results: Results) -> None:
    for one in results.rounds:
        for what, finding in one.problems.items():
            console.print(f"[red]round {one.number}, {one.work}, {one.contestant}: {what}: {finding}[/]")
    for what, finding in (results.backlog.problems if results.backlog else {}).items():
        console.print(f"[red]the long backlog: {what}: {finding}[/]")
    if len({one.invoiced for one in results.rounds if one.invoiced is not None}) > 1:
        console.print("[red]the workers did not invoice the same amounts for the same orders[/]")
    foreign = [one.foreign_cores for one in results.rounds if one.foreign_cores is not None]
    if foreign and max(foreign) > NOISY_CORES:
        console.print(
            f"[yellow]Something else kept {min(foreign):.1f} to {max(foreign):.1f} cores busy meanwhile: "
            "the rates are too low, and the ratios are what that made of them; CPU times are less disturbed.[/]"
        )


def _goals(found: Sequence[Goal]) -> Table:
    table = Table(title="goals: medians of the rounds, lowest and highest in parentheses")
    table.add_column("work")
    table.add_column("against")
    for heading in ("goal", "measured"):
        table.add_column(heading, justify="right")
    table.add_column("")
    table.add_column("note")
    for goal in found:
        table.add_row(goal.work, goal.against, _bound(goal), _measured(goal), _verdict(goal), goal.note)
    return table


def _bound(goal: Goal) -> str:
    return "" if goal.bound is None else f"{'≤' if goal.at_most else '≥'} {goal.bound:g}{goal.unit}"


def _measured(goal: Goal) -> str:
    if goal.measured is None:
        return "-"
    values = "" if len(goal.values) == 1 else f" ({spread(goal.values, '.2f')})"
    return f"[bold]{goal.measured:.2f}{goal.unit}[/]{values}"


def _verdict(goal: Goal) -> str:
    style = STYLES.get(goal.verdict)
    return f"[{style}]{goal.verdict}[/]" if style else goal.verdict
