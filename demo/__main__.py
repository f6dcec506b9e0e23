"""`python -m demo` sends a worker a month of business, shows what came of it and checks it."""

import asyncio
import signal
import sys
import time
from subprocess import TimeoutExpired
from typing import Any

import aio_pika
from pymongo.database import Database
from rich.console import Console
from rich.markup import escape

import services
from demo.checks import Outcome, checks
from demo.dates import TRADE
from demo.month import Month
from demo.report import show
from demo.stage import DemoError, Worker, database, worker
from demo.traffic import Traffic

WIDTH_UNLESS_TERMINAL = 80


def main() -> int:
    """Run the demo; 0 if all is as it must be, 1 if not or if it can't be had, 130 when it is interrupted."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_UNLESS_TERMINAL, highlight=False)
    # A request to end is handled as Ctrl-C is: whatever was started is stopped on the way out.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the jobs of a shell script would ignore
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return _demo(console)
    except (services.ServiceError, DemoError, TimeoutExpired) as error:
        console.print(f"[bold red]demo:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted; all that was started is stopped")
        return 130


def _demo(console: Console) -> int:
    began = time.monotonic()
    console.print("starting RabbitMQ and MongoDB …")
    with services.running() as given, given.vhost() as rabbitmq_url, database(given) as books:
        console.print(f"they are ready ({given.source}) after {time.monotonic() - began:.1f} s; starting a worker …")
        with worker(rabbitmq_url, given.mongodb_url, books.name, TRADE) as started:
            outcome = asyncio.run(_live(console, rabbitmq_url, books, started))
        results = list(checks(outcome, books))
        console.print()
        show(console, outcome, books, results)
    wrong = [check.name for check in results if not check.ok]
    seconds = f"{time.monotonic() - began:.0f} s"
    if wrong:
        console.print(f"[bold red]FAILED[/] after {seconds}: {'; '.join(wrong)}", soft_wrap=True)
        return 1
    console.print(
        f"[bold green]All is as it must be[/]: {len(results)} checks, {seconds}; what was started is stopped."
    )
    return 0


async def _live(console: Console, rabbitmq_url: str, books: Database[dict[str, Any]], started: Worker) -> Outcome:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        return await Month(console, await Traffic.open(connection, books), started).live()


if __name__ == "__main__":
    sys.exit(main())
