"""The results: a table to read, and JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Round

GOAL = 5.0
"""How many times the plain worker's rate Paymaster is to reach."""
NOISY_CORES = 0.2
RESULTS = Path(__file__).parent / "results"


def ratios(
    rounds: Sequence[Round], name: str, peer: str, of: Callable[[Round], float | None] = lambda measured: measured.rate
) -> list[float]:
    """How many times the peer's figure the named contestant's was, round by round: both saw the same machine then."""
    values = {(measured.contestant, measured.number): of(measured) for measured in rounds}
    return [
        value / other
        for (contestant, number), value in values.items()
        if contestant == name and value and (other := values.get((peer, number)))
    ]


def show(console: Console, machine: dict[str, Any], rounds: Sequence[Round], name: str, peer: str) -> None:
    """Print what was measured, and on what."""
    libraries = ", ".join(f"{library} {version}" for library, version in machine["libraries"].items())
    console.print(
        f"{machine['cores']} cores ({machine['processor']}), shared by the worker, both services and this benchmark; "
        f"load average at the start {machine['loadAverage'][0]}\n"
        f"Python {machine['python']}, RabbitMQ {machine['rabbitmq']}, MongoDB {machine['mongodb']} "
        f"({machine['services']}), {libraries}"
    )
    for variable, value in machine["settings"].items():
        console.print(f"{variable} is set to {value}")
    console.print(_table(rounds))
    for measured in rounds:
        for what, finding in measured.problems.items():
            console.print(f"[red]round {measured.number}, {measured.contestant}: {what}: {finding}[/]")
    if len({measured.invoiced for measured in rounds}) > 1:
        console.print("[red]the workers did not invoice the same amounts for the same orders[/]")
    if values := ratios(rounds, name, peer):
        verdict = "reached" if median(values) >= GOAL else "missed"
        console.print(
            f"{name} / {peer}: [bold]{median(values):.1f}[/] times the rate ({_spread(values, '.1f')}); "
            f"the goal of {GOAL:g} is {verdict}"
        )
    for whose, used in (
        ("worker", lambda measured: measured.cpu.worker),
        ("worker and both services", lambda measured: measured.cpu.together),
    ):
        if less := ratios(rounds, peer, name, of=_per_order(used)):
            console.print(f"CPU time for a message, {whose}: {median(less):.1f} times less ({_spread(less, '.1f')})")
    foreign = [measured.foreign_cores for measured in rounds if measured.foreign_cores is not None]
    if foreign and max(foreign) > NOISY_CORES:
        console.print(
            f"[yellow]Something else kept {min(foreign):.1f} to {max(foreign):.1f} cores busy meanwhile: "
            "the rates are too low, and the ratio is what that made of it; CPU times are less disturbed.[/]"
        )


def _per_order(used: Callable[[Round], float | None]) -> Callable[[Round], float | None]:
    def of(measured: Round) -> float | None:
        seconds = used(measured)
        return None if seconds is None else seconds / measured.orders

    return of


def save(machine: dict[str, Any], rounds: Sequence[Round], name: str, peer: str) -> Path:
    """Write it all as JSON; returns the file."""
    now = datetime.now(UTC)
    values = ratios(rounds, name, peer)
    result = {
        "measuredAt": now.isoformat(timespec="seconds"),
        "workload": "orders",
        "machine": machine,
        "rounds": [{**asdict(measured), "rate": measured.rate} for measured in rounds],
        "ratio": {"of": name, "to": peer, "goal": GOAL, "median": median(values), "rounds": values} if values else None,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    return file


def _table(rounds: Sequence[Round]) -> Table:
    table = Table(title="orders of four lines: messages a second, from the first delivery to the last event")
    table.add_column("worker")
    for heading in ("round", "orders", "seconds", "messages/s"):
        table.add_column(heading, justify="right")
    for heading in ("worker", "mongod", "broker"):
        table.add_column(f"CPU µs/msg\n{heading}", justify="right")
    table.add_column("cores busy\nelsewhere", justify="right")
    table.add_column("bytes of\nan event", justify="right")
    for name in dict.fromkeys(measured.contestant for measured in rounds):
        of_it = [measured for measured in rounds if measured.contestant == name]
        for measured in of_it:
            table.add_row(
                name,
                str(measured.number),
                f"{measured.orders:,}",
                f"{measured.seconds:.2f}",
                f"{measured.rate:,.0f}",
                *(_per_message([seconds], [measured.orders]) for seconds in _shown(measured)),
                _foreign([measured]),
                f"{measured.event_bytes / max(1, sum(measured.events.values())):,.0f}",
            )
        rates = [measured.rate for measured in of_it]
        table.add_row(
            f"[bold]{name}[/]",
            "median",
            "",
            "",
            f"[bold]{median(rates):,.0f}[/]\n({_spread(rates, ',.0f')})",
            *(
                _per_message(list(column), [measured.orders for measured in of_it])
                for column in zip(*map(_shown, of_it), strict=True)
            ),
            _foreign(of_it),
            "",
            end_section=True,
        )
    return table


def _shown(measured: Round) -> tuple[float | None, float | None, float | None]:
    return measured.cpu.worker, measured.cpu.mongodb, measured.cpu.rabbitmq


def _per_message(seconds: Sequence[float | None], orders: Sequence[int]) -> str:
    each = [used / count for used, count in zip(seconds, orders, strict=True) if used is not None]
    return f"{median(each) * 1e6:,.0f}" if each else "-"


def _foreign(rounds: Sequence[Round]) -> str:
    cores = [measured.foreign_cores for measured in rounds if measured.foreign_cores is not None]
    return f"{median(cores):.2f}" if cores else "-"


def _spread(values: Sequence[float], spec: str) -> str:
    return f"{min(values):{spec}} to {max(values):{spec}}"
