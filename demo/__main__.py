"""`python -m demo` sends a worker a day of business, shows what came of it and checks it."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from subprocess import TimeoutExpired
from typing import Any

import aio_pika
from pymongo.database import Database
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import services
from demo.charges import charged, charges, demands
from demo.checks import Outcome, Wave, checks
from demo.day import depositors, make_day
from demo.disputes import disputes_and_losses
from demo.evening import DAY_BEFORE, adjustments, bank_file, closings, payouts
from demo.facts import DATE, Message, tally
from demo.report import show
from demo.returns import bounced, charged_back, put_right, returns
from demo.stage import DemoError, Worker, database, worker
from demo.traffic import Traffic
from demo.wares import PARTNERS

WIDTH_UNLESS_TERMINAL = 120


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
        with worker(rabbitmq_url, given.mongodb_url, books.name) as started:
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
    """Live through the day and its evening, then stop the worker and audit its books."""
    async with await aio_pika.connect(rabbitmq_url) as connection:
        traffic = await Traffic.open(connection, books)
        events = traffic.events
        await traffic.worker_ready(started)
        sent: list[Message] = []
        waves: list[Wave] = []

        async def wave(name: str, messages: Sequence[Message]) -> None:
            sent.extend(messages)
            waves.append(await _wave(console, traffic, started, name, messages, tally(sent).effects))

        await wave("the day", make_day())
        # Bill numbers and totals are known from the events only, as they would be to a bank's customer.
        bank = bank_file(events.open_invoices())
        await wave("the bank's file", bank + closings(PARTNERS[1:2], DAY_BEFORE))
        of_partners = {order for order, fact in tally(sent).orders.items() if fact.shares}
        back = returns(events.first_lines(paid=True)) + bounced(bank, of_partners)
        back += charged_back(bank, of_partners, {fact.account for message in back for fact in message.facts})
        await wave("what came back", back + put_right(events.open_invoices(), depositors()))
        await wave("what is disputed, or lost", disputes_and_losses(events.first_lines(paid=False)))
        billed = charged(id_ for id_, a in events.accounts.items() if a["currency"] == "EUR" and id_.startswith("BA-"))
        await wave("what is charged", charges(billed))
        await wave("the bills", demands(billed))
        await wave("the closings", adjustments(PARTNERS) + closings(PARTNERS, DATE))
        await wave("the payouts", payouts(events.open_statements()))

        code = await asyncio.to_thread(started.stop)
        left = await traffic.left_in_queue()
    return Outcome(sent, waves, events, code, left, await asyncio.to_thread(started.audit))


async def _wave(
    console: Console, traffic: Traffic, started: Worker, name: str, messages: Sequence[Message], effects: int
) -> Wave:
    """Publish messages and wait until nothing is left to do; `effects` is what there must be of them by then."""
    before, began = traffic.events.distinct, time.monotonic()
    with _progress(console) as progress:
        published = progress.add_task(f"{name}: published", total=len(messages))
        handled = progress.add_task(f"{name}: applied or parked", total=effects)
        draining = asyncio.create_task(
            traffic.drained(effects, started, lambda so_far: progress.update(handled, completed=so_far))
        )
        await asyncio.gather(traffic.publish(messages, lambda more: progress.advance(published, more)), draining)
    events, seconds = traffic.events.distinct - before, traffic.events.last_at - began
    console.print(f"{name}: {len(messages):,} messages, {events:,} events, {seconds:.1f} s")
    return Wave(name, len(messages), events, seconds)


def _progress(console: Console) -> Progress:
    """A progress bar, where somebody watches."""
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    watched = sys.stdout.isatty() and console.is_interactive
    return Progress(*columns, console=console, transient=True, disable=not watched)


if __name__ == "__main__":
    sys.exit(main())
