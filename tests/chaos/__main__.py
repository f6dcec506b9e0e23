"""`python -m tests.chaos --minutes 10 --seed N`: breaks everything for so long, and says what came of it.

It ends with 0 if all held, with 1 if not, and with 2 if there are no services that can be broken. `--break NAME` puts a
defect into the workers that the run has to notice: it must end with 1. NAME is `inbox-off`, `confirms-ignored`,
`ack-before-commit` or `dunned-as-found`. `--planted` does so with each of them, again with the next seed for as long as
it is not noticed, and ends with 0 if each was. With `PAYMASTER_TEST_ACCESS=on` the workers have an access file.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

from pymongo import MongoClient
from rich.console import Console

from adapters.settings import Settings
from services import ServiceError
from tests.chaos.breakable import breakable
from tests.chaos.run import Plan, Report, run
from tests.chaos.worker import BREAKS
from tests.support import access
from tests.support.books import Document
from tests.support.broker import Broker

PLANTED_RUNS_MAX = 5
"""How often a run with a defect is tried until it is noticed."""


def main() -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--break", dest="broken", choices=BREAKS)
    which.add_argument("--planted", action="store_true")
    arguments = parser.parse_args()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name in ("aio_pika", "aiormq", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what lost connections have to say
    warnings.filterwarnings("ignore", "coroutine 'Connection.close' was never awaited")  # by aio-pika, of those
    # An exit that runs every `finally`, so that services and workers end with this, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    plan = Plan(arguments.seed, arguments.minutes * 60, broken=arguments.broken)
    try:
        if arguments.planted:
            return 0 if _all_noticed(plan, console) else 1
        return 0 if _held(plan, console) else 1
    except ServiceError as error:
        console.print(f"chaos: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


def _all_noticed(plan: Plan, console: Console) -> bool:
    """Run it with each defect until that is noticed; whether each was."""
    noticed = {}
    for defect in BREAKS:
        # Whether a worker is killed just when it matters is a matter of luck.
        seeds = range(plan.seed, plan.seed + PLANTED_RUNS_MAX)
        noticed[defect] = not all(_held(replace(plan, seed=seed, broken=defect), console) for seed in seeds)
    for defect, well in noticed.items():
        console.print(f"{defect}: {'noticed' if well else 'NOT noticed'}")
    return all(noticed.values())


def _held(plan: Plan, console: Console) -> bool:
    """Run it and tell of it; whether all held."""
    mode = "one worker applies at a time" if plan.single_active_consumer else "all workers apply at once"
    defect = f", with a defect: {plan.broken}" if plan.broken else ""
    console.print(f"seed {plan.seed}: {plan.seconds / 60:g} minutes, {plan.workers} workers, {mode}{defect}")
    report = _run(plan, console)
    console.print(str(report))
    if plan.broken is not None:
        console.print("all held: it was NOT noticed" if report.ok else "NOT all held: it was noticed")
    else:
        console.print("all held" if report.ok else f"NOT all held; again: make chaos SEED={plan.seed}")
    return report.ok


def _run(plan: Plan, console: Console) -> Report:
    with (
        breakable() as own,
        own.services.vhost() as url,
        tempfile.TemporaryDirectory(prefix="paymaster-chaos-") as directory,
        MongoClient[Document](own.services.mongodb_url, tz_aware=True, w="majority") as mongo,
    ):
        settings = Settings(
            _env_file=None,
            rabbitmq_url=url,
            mongodb_url=own.services.mongodb_url,
            held_interval_seconds=1,
            relay_interval_seconds=2,
        )
        if access.ON:
            settings = access.with_access_file(settings, Path(directory))
        broker = Broker(own.services.rabbitmq_management_url, url)
        report = asyncio.run(run(plan, settings, broker, mongo, Path(directory), own, console.print))
        if not report.ok and plan.broken is None:
            kept = Path(tempfile.mkdtemp(prefix="paymaster-chaos-logs-"))
            for log in Path(directory).glob("*/worker.log"):
                log.rename(kept / f"{log.parent.name}.log")
            console.print(f"the workers' logs are in {kept}")
        return report


if __name__ == "__main__":
    sys.exit(main())
