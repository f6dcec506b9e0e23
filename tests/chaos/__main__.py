"""`python -m tests.chaos --minutes 10 --seed N`: breaks everything for so long, and says what came of it.

`--break NAME` puts a defect into the workers that the run has to notice: it must end with 1. NAME is `inbox-off`,
`confirms-ignored` or `ack-before-commit`.
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
from pathlib import Path

from pymongo import MongoClient
from rich.console import Console

from adapters.settings import Settings
from services import ServiceError
from tests.chaos.breakable import breakable
from tests.chaos.run import Plan, Report, run
from tests.chaos.worker import BREAKS
from tests.support.books import Document
from tests.support.broker import Broker


def main() -> int:
    """Run it; 0 if all held, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--break", dest="broken", choices=BREAKS)
    arguments = parser.parse_args()
    plan = Plan(arguments.seed, arguments.minutes * 60, broken=arguments.broken)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    mode = "one worker applies at a time" if plan.single_active_consumer else "all workers apply at once"
    console.print(f"seed {plan.seed}: {arguments.minutes:g} minutes, {plan.workers} workers, {mode}")
    for name in ("aio_pika", "aiormq", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what lost connections have to say
    warnings.filterwarnings("ignore", "coroutine 'Connection.close' was never awaited")  # by aio-pika, of those
    # An exit that runs every `finally`, so that services and workers end with this, however it is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        report = _run(plan, console)
    except ServiceError as error:
        console.print(f"chaos: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(str(report))
    console.print("all held" if report.ok else f"NOT all held; again: make chaos SEED={plan.seed}")
    return 0 if report.ok else 1


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
        broker = Broker(own.services.rabbitmq_management_url, url)
        report = asyncio.run(run(plan, settings, broker, mongo, Path(directory), own, console.print))
        if not report.ok:
            kept = Path(tempfile.mkdtemp(prefix="paymaster-chaos-logs-"))
            for log in Path(directory).glob("*/worker.log"):
                log.rename(kept / f"{log.parent.name}.log")
            console.print(f"the workers' logs are in {kept}")
        return report


if __name__ == "__main__":
    sys.exit(main())
