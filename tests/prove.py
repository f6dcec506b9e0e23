"""`python -m tests.prove`: what takes longer than `make test` may, and at the end what could not be run, and why.

One part after the other, whatever comes of the others; it ends with 0 if all that was run went well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from services import ServiceError, docker, named, programs

PLANTED_MINUTES = 1
"""How long a run with a defect takes, before it is drained; there may be several."""
OVER_FAULTS = (
    "tests/chaos",
    *(
        f"tests/integration/test_{name}.py"
        for name in (
            "bad_messages",
            "bill_runs",
            "continued",
            "dead_letters",
            "duplicates",
            "end",
            "faults",
            "large_batches",
            "outages",
            "publisher",
            "replies",
            "several_workers",
            "start",
            "suspects",
            "takeover",
            "waiting",
            "watch",
        )
    ),
)
"""The tests in which something dies, is cut off, fails, comes twice, too early or too late."""
RIGHTS = {"PAYMASTER_TEST_ACCESS": "on"}
"""The workers have an access file."""


@dataclass(frozen=True)
class Part:
    """A part of the proof: a module and what it is given; of pytest's the tests that it skips are told at the end."""

    name: str
    module: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    services: Literal["none", "any", "own"] = "none"
    """Which it needs; its own ones it kills, so they are programs of this machine."""


def parts(minutes: float) -> tuple[Part, ...]:
    """All of them, the chaos run taking so long."""
    two = ("--numprocesses", "2", "--dist", "worksteal")
    # Services that were named would be shared, and some tests make a server fail.
    apart = () if named() else two
    return (
        Part(
            "property tests at length, and all others without services",
            "pytest",
            ("-m", "not services", *two),
            {"PAYMASTER_TEST_PROFILE": "long"},
        ),
        Part(
            "tests with services, each on both drivers",
            "pytest",
            ("-m", "services", *apart),
            {"PAYMASTER_TEST_DRIVERS": "both"},
            services="any",
        ),
        Part("a bill run of 20,000 accounts, killed ten times", "tests.chaos.bill_run", (), services="any"),
        Part(
            "a bill run of 200,000 accounts, as fast in the end, in as much memory",
            "tests.chaos.bill_run",
            ("--accounts", "200000", "--kills", "0"),
            services="any",
        ),
        Part("a bill run of 20,000 consumers of five providers", "tests.chaos.providers", (), services="any"),
        Part("tests over faults, with an access file", "pytest", (*OVER_FAULTS, *apart), RIGHTS, services="any"),
        Part(
            "a bill run of 2,000 accounts, killed five times, with an access file",
            "tests.chaos.bill_run",
            ("--accounts", "2000", "--kills", "5"),
            RIGHTS,
            services="any",
        ),
        Part("chaos with an access file", "tests.chaos", ("--minutes", f"{minutes / 2:g}"), RIGHTS, services="own"),
        Part("closings of 150,000 lines, killed ten times", "tests.chaos.closings", (), services="any"),
        Part("chaos at length", "tests.chaos", ("--minutes", f"{minutes:g}"), services="own"),
        Part(
            "defects that chaos has to notice",
            "tests.chaos",
            ("--planted", "--minutes", f"{PLANTED_MINUTES}"),
            services="own",
        ),
    )


def missing(part: Part) -> str:
    """What it needs and cannot have here, with the command that installs it; nothing if all is there, or is now."""
    if part.services == "none" or (part.services == "any" and (named() or docker.usable())):
        return ""
    try:
        programs.rabbitmq_server()
        programs.epmd()
        programs.mongod()
    except ServiceError as error:
        return str(error)
    return ""


def run(part: Part, not_run: Counter[str]) -> bool:
    """Run a part; whether it went well. What could not be run is counted, with the reason."""
    if why := missing(part):
        not_run[f"{part.name}: {why}"] += 1
        return False
    command = [sys.executable, "-m", part.module, *part.arguments]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        if part.module == "pytest":
            command.append(f"--junitxml={report}")
        code = subprocess.run(command, env={**os.environ, **part.variables}, check=False).returncode
        if report.exists():
            not_run.update(skipped(report))
    return code == 0


def skipped(report: Path) -> Counter[str]:
    """The reasons for which tests were skipped, by a JUnit report."""
    cases = ET.parse(report).iter("testcase")
    return Counter(f"{case.get('classname')}: {one.get('message')}" for case in cases for one in case.iter("skipped"))


def main() -> int:
    """Run all parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long the chaos run takes")
    not_run: Counter[str] = Counter()
    told: list[str] = []
    well = True
    for part in parts(parser.parse_args().minutes):
        print(f"== {part.name}", flush=True)
        since = time.monotonic()
        went_well = run(part, not_run)
        well = well and went_well
        told.append(f"{'well' if went_well else 'NOT well':<10}{time.monotonic() - since:6.0f} s  {part.name}")
    print("\n== what came of it", *told, sep="\n")
    if not_run:
        print("\n== not run", *(f"{count:4} × {why}" for why, count in not_run.items()), sep="\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
