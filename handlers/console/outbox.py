"""`paymaster outbox`: how events get out, what is done about those that do not, and sending them again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.faults import rabbitmq_fault
from adapters.settings import load_settings
from handlers.console import options
from handlers.console.tables import print_more, print_table, when
from handlers.console.terminal import (
    Access,
    checked,
    errors,
    operator,
    output,
    print_json,
    say,
    stop,
    with_access,
)
from handlers.logs import set_up
from schemas.values import parse_time, time_json

BROKER_SECONDS_MAX = 10
"""How long a resend waits for the broker before it begins."""

app = typer.Typer(pretty_exceptions_enable=False)


def _time(option: str, text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise stop(f"{option}: {error}") from None


@app.callback(invoke_without_command=True)
def outbox(
    context: typer.Context,
    *,
    as_json: options.AsJson = False,
    max_age: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if an event is unsent for more seconds than this.")
    ] = None,
) -> None:
    """How many events are unsent or parked; exits with 1 if one is parked, or older than --max-age.

    For example:

    paymaster outbox --max-age 60

    paymaster outbox list --parked

    paymaster outbox resend --since 2026-11-22T00:00:00Z --queue data-warehouse
    """
    if context.invoked_subcommand is not None:
        return
    from adapters.operations.outbox import condition

    async def look(access: Access) -> Any:
        return await condition(access.store.database), access.now()

    found, now = with_access(look)
    age = (now - found.oldest).total_seconds() if found.oldest else None
    parked = sum(count for _, _, count in found.parked)
    if as_json:
        told = {
            "unsent": found.unsent,
            "oldestUnsentSeconds": None if age is None else round(age, 3),
            "refused": found.refused,
            "parked": parked,
            "parkedBy": [{"type": type_, "reason": reason, "count": count} for type_, reason, count in found.parked],
        }
        print_json(told)
    else:
        rows = [
            ("unsent", found.unsent),
            ("oldest unsent, seconds", "" if age is None else round(age)),
            ("refused, being tried again", found.refused),
            ("parked", parked),
            *((f"  {type_}: {reason}", count) for type_, reason, count in found.parked),
        ]
        print_table(("events", "count"), rows, "")
    too_old = age is not None and max_age is not None and age > max_age
    raise typer.Exit(1 if parked or too_old else 0)


@app.command("list")
def list_(
    *,
    unsent: Annotated[bool, typer.Option("--unsent", help="Those that are still to be sent.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="Those that were given up (unless said otherwise).")] = False,
    limit: options.Limit = options.PAGE,
    after: options.After = None,
    as_json: options.AsJson = False,
) -> None:
    """Parked or unsent events, oldest first.

    For example:

    paymaster outbox list --parked

    paymaster outbox list --unsent --limit 500 --json
    """
    from adapters.operations.outbox import listed

    if unsent and parked:
        raise stop("--unsent and --parked: say one or the other")
    place = None
    if after is not None:
        moment, _, id_ = after.partition("/")
        place = (_time("--after", moment), id_)

    async def look(access: Access) -> Any:
        return await listed(access.store.database, "unsent" if unsent else "parked", place, limit + 1)

    found = with_access(look)
    rows, more = found[:limit], None
    if len(found) > limit:
        more = f"{time_json(rows[-1]['bookedAt' if unsent else 'parkedAt'])}/{rows[-1]['_id']}"
    told = [_plain(row) for row in rows]
    if as_json:
        print_json({"items": told, "after": more})
        return
    columns = ("id", "type", "booked (UTC)", "bytes", "refusals", "due (UTC)" if unsent else "parked (UTC)", "reason")
    print_table(
        columns,
        [
            (
                one["id"],
                one["routingKey"],
                when(one["bookedAt"]),
                one["bytes"],
                one.get("refusals"),
                when(one.get("dueAt" if unsent else "parkedAt")),
                one.get("reason"),
            )
            for one in told
        ],
        "no event is unsent" if unsent else "no event is parked",
    )
    print_more(more, "outbox", "list", "--unsent" if unsent else "--parked", "--limit", limit)


def _plain(value: Any) -> Any:
    """A row, or a part of one, as JSON has it."""
    if isinstance(value, dict):
        return {"id" if name == "_id" else name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return time_json(value) if isinstance(value, datetime) else value


@app.command()
def release(
    ids: Annotated[list[str] | None, typer.Argument(metavar="EVENT_ID", help="Which parked events.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every event that is parked.")] = False,
    why: options.Why,
    by: options.By = None,
) -> None:
    """Let parked events be sent after all: the workers try them as if for the first time.

    For example:

    paymaster outbox release BA-1:7 --why "the broker's limit is raised"

    paymaster outbox release --all --why "the queue is bound again"
    """
    from adapters.operations.outbox import parked_among
    from adapters.operations.outbox import release as let_go

    if bool(ids) == everything:
        raise stop("which events? say ids, or --all")
    name, reason = operator(by), checked(why, "--why")

    async def act(access: Access) -> int:
        database = access.store.database
        if ids and (missing := sorted(set(ids) - await parked_among(database, ids))):
            raise stop(f"not parked: {', '.join(missing[:20])}")
        return await let_go(database, ids, name, reason, access.now())

    output().print(f"{with_access(act)} released")


@app.command()
def resend(
    *,
    since: Annotated[str, typer.Option(help="Booked at this time or later (RFC 3339).", show_default=False)],
    until: Annotated[str | None, typer.Option(help="Booked before this time.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Of this type; can be said again.")] = None,
    account: Annotated[str | None, typer.Option(help="Of this account.")] = None,
    queue: Annotated[
        str | None, typer.Option(help="To this queue alone; else to everybody who is bound for them.")
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most so many a second.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell how many there are, and send nothing.")] = False,
) -> None:
    """Send sent events again, for a subscriber that came late: in the order of booking, as they were sent first.

    Through paymaster.out they reach every subscriber, who knows those that it has by their `message_id`. With --queue
    only that queue gets them, by the default exchange: their routing key is then its name, and the property `type`
    tells what they are. Ctrl-C ends it at any point, and it says from where to go on.

    For example:

    paymaster outbox resend --since 2026-11-01T00:00:00Z --queue data-warehouse

    paymaster outbox resend --since 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z --type invoice.issued --dry-run
    """
    from adapters.operations.outbox import NotSent, Resend, Selection
    from adapters.rabbitmq.connection import CONNECTION_ERRORS, connect, naming_losses
    from adapters.rabbitmq.publisher import Publisher
    from adapters.rabbitmq.topology import OUT

    selection = Selection(
        _time("--since", since), None if until is None else _time("--until", until), tuple(types or ()), account
    )
    # Nothing but the result goes to standard output.
    set_up("info", "logfmt")

    async def count(access: Access) -> int:
        return await selection.count(access.store.database)

    total = with_access(count)
    if dry_run:
        output().print(f"{total} events to send again")
        return
    url = load_settings().rabbitmq_url
    publisher = Publisher(url, "paymaster resend")
    sending = Resend(publisher, queue=queue, rate=rate)

    async def send(access: Access) -> None:
        try:
            connection = await connect(url, "paymaster resend", give_up_after_seconds=BROKER_SECONDS_MAX)
            with naming_losses():
                async with connection:
                    channel = await connection.channel()
                    # Either has to be there: this raises if not.
                    await (channel.get_exchange(OUT) if queue is None else channel.get_queue(queue))
        except CONNECTION_ERRORS as error:
            raise stop(rabbitmq_fault(error, url).line) from None
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
                bar = progress.add_task("", total=total)
                await sending.run(access.store.database, selection, lambda done: progress.advance(bar, done))
        finally:
            await publisher.close()

    try:
        with_access(send)
    except KeyboardInterrupt:
        raise _unfinished("stopped", sending.sent, sending.since, 130) from None
    except NotSent as error:
        raise _unfinished(str(error), sending.sent, sending.since, 1) from None
    output().print(f"{sending.sent} events sent again")
    if sending.unrouted:
        say(f"{sending.unrouted} of them to nobody: no queue is bound for their type")


def _unfinished(why: str, sent: int, since: datetime | None, code: int) -> typer.Exit:
    go_on = f"; go on with --since {time_json(since)}" if since else ""
    return stop(f"{why}: {sent} events sent again{go_on}", code)
