"""`paymaster bill-run`: start a run over the accounts of a billing cycle, and see how far it is."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.faults import rabbitmq_fault
from adapters.settings import SettingsError, load_settings
from handlers.console import options, tables
from handlers.console.terminal import Access, Json, errors, output, print_json, safe, say, stop, with_access
from schemas.billing.messages import BillRunStart

WATCH_SECONDS = 0.5
"""How often it is looked how far a run is."""
BROKER_SECONDS = 10.0
"""How long the broker may take to take the message."""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run's id.", show_default=False)]


@app.callback()
def _bill_run() -> None:
    """Bill the accounts of a billing cycle, and see how far that is."""


@app.command()
def start(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="An id for the run, used once.", show_default=False)],
    cycle: Annotated[str, typer.Option("--cycle", help="The billing cycle specification.", show_default=False)],
    on: Annotated[str, typer.Option("--on", metavar="DATE", help="Up to which date is billed.", show_default=False)],
    timeout: options.Timeout = options.TIMEOUT_SECONDS,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Start a run: send `bill-run.start`, and tell what came of it.

    For example: paymaster bill-run start DECEMBER --cycle MONTHLY --on 2026-12-01
    """
    from adapters.rabbitmq.asking import ask
    from adapters.rabbitmq.connection import CONNECTION_ERRORS

    body = {"billRunId": run_id, "cycleSpecification": {"id": cycle}, "billingDate": on}
    try:
        url = load_settings().rabbitmq_url
        answer = asyncio.run(
            ask(url, "paymaster bill-run", BillRunStart.TYPE, body, connect_seconds=BROKER_SECONDS, seconds=timeout)
        )
    except SettingsError as error:
        raise stop(str(error)) from None
    except CONNECTION_ERRORS as error:
        raise stop(rabbitmq_fault(error, url).line) from None
    if answer is None:
        raise stop(f"sent, and not answered in {timeout:g} seconds: is a worker running?", 1)
    if as_json:
        print_json(answer)
    elif answer["outcome"] == "parked":
        say(f"{answer['error']['code']}: {answer['error']['detail']}")
    else:
        output().print(safe(f"{run_id}: {answer['outcome']}, {answer['result']['state']}"))
    if answer["outcome"] == "parked":
        raise typer.Exit(1)


@app.command("list")
def list_(
    cycle: Annotated[str | None, typer.Option("--cycle", help="Of this billing cycle specification.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="running, or completed.")] = None,
    limit: options.Limit = options.PAGE,
    after: options.After = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Runs by billing date, page by page.

    For example: paymaster bill-run list --state running
    """

    async def ask(access: Access) -> Any:
        return await access.ask("bill-run.list", cycleSpecification=cycle, state=state, limit=limit, after=after)

    found = with_access(ask)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["billRunId"],
            one["cycleSpecification"]["id"],
            one["billingDate"],
            one["state"],
            *(one["accounts"][name] for name in ("total", "billed", "nothingDue", "parked")),
        )
        for one in found["items"]
    ]
    columns = ("id", "cycle", "up to", "state", "accounts", "billed", "nothing due", "parked")
    tables.print_table(columns, rows, "there is no run")
    words = [word for name, value in (("--cycle", cycle), ("--state", state)) if value for word in (name, value)]
    tables.print_more(found["after"], "bill-run", "list", *words, "--limit", limit)


@app.command()
def show(run_id: RunId, *, as_json: options.AsJson = False) -> None:
    """One run: how far it is, and what its bills come to.

    For example: paymaster bill-run show MONTHLY:2026-12-01
    """
    _tell(with_access(lambda access: _get(access, run_id)), as_json=as_json)


@app.command()
def watch(run_id: RunId, *, as_json: options.AsJson = False) -> None:
    """Follow a run until it is completed; ends with 1 if something of it is parked. Ctrl-C ends only the watching.

    For example: paymaster bill-run watch MONTHLY:2026-12-01
    """

    async def follow(access: Access) -> Json:
        columns = TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("", total=None)
            told = time.monotonic()
            while True:
                run = await _get(access, run_id)
                counts = run["accounts"]
                done = counts["billed"] + counts["nothingDue"] + counts["parked"]
                parked = f", {counts['parked']} parked" if counts["parked"] else ""
                progress.update(bar, total=counts["total"], completed=done, description=f"billing{parked}")
                if run["state"] == "completed":
                    return run
                if not errors.is_terminal and time.monotonic() - told >= options.TIMEOUT_SECONDS:
                    told = time.monotonic()
                    say(f"{done} of {counts['total']}")
                await asyncio.sleep(WATCH_SECONDS)

    try:
        run = with_access(follow)
    except KeyboardInterrupt:
        raise stop(f"the run goes on: paymaster bill-run watch {run_id}", 130) from None
    _tell(run, as_json=as_json)
    if run["accounts"]["parked"]:
        raise typer.Exit(1)


async def _get(access: Access, run_id: str) -> Json:
    run: Json = await access.ask("bill-run.get", billRunId=run_id)
    return run


def _tell(run: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    counts = run["accounts"]
    rows = [
        ("run", run["billRunId"]),
        ("cycle", run["cycleSpecification"]["id"]),
        ("up to", run["billingDate"]),
        ("charges up to", run.get("chargesThrough")),
        ("due", run.get("paymentDueDate")),
        ("state", run["state"]),
        ("started (UTC)", tables.when(run["startedAt"])),
        ("completed (UTC)", tables.when(run.get("completedAt"))),
        ("accounts", counts["total"]),
        ("billed", counts["billed"]),
        ("nothing due", counts["nothingDue"]),
        ("parked", counts["parked"]),
        *((f"net, {one['taxExcludedAmount']['unit']}", one["taxExcludedAmount"]["value"]) for one in run["totals"]),
        *(
            (f"with tax, {one['taxIncludedAmount']['unit']}", one["taxIncludedAmount"]["value"])
            for one in run["totals"]
        ),
    ]
    for name, value in rows:
        if value not in (None, ""):
            output().print(safe(f"{name:<16} {value}"), soft_wrap=True)
    if counts["parked"]:
        say("parked: paymaster parked list --type bill.account")
