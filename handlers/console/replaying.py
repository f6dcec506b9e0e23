"""Replays by operators: a fixed list, a canary, a rate, and the true outcome of each message."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.operations.replays import ITEMS_MAX, Ended, Replay, Row, Sending, by_ids, items_of, last_replays, record
from handlers.console import options, tables
from handlers.console.options import Filters
from handlers.console.terminal import (
    Access,
    Json,
    checked,
    errors,
    operator,
    print_json,
    say,
    stop,
    utc_now,
    with_access,
)

SHOWN_MAX = 50
"""The most outcomes that a table tells; `replays` tells all."""
_WELL = ("applied", "waiting")

Tell = Callable[[Counter[str]], None]


def replay(
    ids: options.Ids = None,
    group: options.Group = None,
    reason: options.Reason = None,
    type_: options.Type = None,
    account: options.Account = None,
    since: options.From = None,
    until: options.To = None,
    canary: Annotated[
        int | None,
        typer.Option("--canary", min=1, help="Replay so many first, and the rest if all of them are applied."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, max=10_000, help="At most so many a second.")
    ] = None,
    timeout: options.Timeout = options.TIMEOUT_SECONDS,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="REPLAY_ID", help="Go on with a replay that was stopped.")
    ] = None,
    why: Annotated[str | None, typer.Option("--why", help="Why: it is kept with what is done.")] = None,
    by: options.By = None,
    *,
    everything: options.All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be replayed.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Try parked messages again, oldest first, and tell what came of each: applied, parked again, or waiting.

    What is to be replayed is written down first. Ctrl-C stops; --resume goes on where it was stopped.

    For example:

    paymaster parked replay --group G-0123456789 --dry-run

    paymaster parked replay --group G-0123456789 --canary 5 --rate 20 --why "mended in 1.4.2"

    paymaster parked replay --resume R-0123456789ab
    """
    filters = Filters(group, reason, type_, account, since, until)
    if resume is None:
        filters.check(ids, everything=everything)
    elif ids or filters.given().keys() - {"state"} or everything or canary or dry_run:
        raise stop("--resume goes on with what was written down: it takes no ids, filters, --canary or --dry-run")
    if why is None and resume is None and not dry_run:
        raise stop("why? say --why TEXT: it is kept with what is done")

    async def select(access: Access) -> list[Json]:
        found = await by_ids(access.store.database, ids) if ids else await filters.select(access)
        if len(found) > ITEMS_MAX:
            raise stop(f"more than {ITEMS_MAX} messages: replay some of them")
        return found

    messages = with_access(select) if resume is None else []
    if dry_run or (resume is None and not messages):
        _tell_selected(messages, as_json=as_json)
        return
    by = operator(by)
    reasons = "" if why is None else checked(why, "--why")

    async def do(access: Access) -> tuple[str, Ended, list[Row]]:
        id_ = resume or await record(
            access.store.database,
            messages,
            by=by,
            at=utc_now(),
            why=reasons,
            filters={"ids": ids} if ids else filters.given(),
            canary=canary,
            rate=rate,
        )
        try:
            ended = await _run(access, id_, lambda tell: Sending(by, timeout, rate, tell, utc_now))
        except BaseException:
            say(f"{id_} was stopped: paymaster parked replay --resume {id_}")
            raise
        return id_, ended, await items_of(access.store.database, id_)

    _end(*with_access(do), as_json=as_json)


async def _run(access: Access, id_: str, sending: Callable[[Tell], Sending]) -> Ended:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bar = progress.add_task(id_, total=None)

        def tell(counts: Counter[str]) -> None:
            total = sum(counts.values())
            told = [
                f"{counts[state]} {state}" for state in ("applied", "parked", "waiting", "refused") if counts[state]
            ]
            done = total - counts["pending"] - counts["sent"]
            progress.update(bar, total=total, completed=done, description=", ".join([id_, *told]))

        replay = Replay(access.store, id_, sending(tell))
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            # Not by cancelling: that may be lost within the driver. The second time it is meant at once.
            replay.stop()
            loop.remove_signal_handler(signal.SIGINT)

        with suppress(RuntimeError, ValueError):  # in a thread, where no signals are
            loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            return await replay.run()
        finally:
            loop.remove_signal_handler(signal.SIGINT)


def _tell_selected(messages: list[Json], *, as_json: bool) -> None:
    if as_json:
        fields = ("parkedId", "identity", "messageType", "reason", "attempts")
        print_json({"total": len(messages), "items": [{name: one[name] for name in fields} for one in messages]})
        return
    rows = [(one["parkedId"], one["messageType"], one["reason"], one["identity"]) for one in messages[:SHOWN_MAX]]
    tables.print_table(("id", "type", "reason", "identity"), rows, "no message fits")
    say(f"{len(messages)} messages would be replayed; nothing was done")


def _end(id_: str, ended: Ended, items: list[Row], *, as_json: bool) -> None:
    counts = Counter(item["state"] for item in items)
    if as_json:
        fields = ("n", "parkedId", "into", "state", "detail")
        told = [{name: item[name] for name in fields} for item in items]
        print_json({"replay": id_, "ended": ended, "total": len(items), "counts": counts, "items": told})
    else:
        remarkable = [item for item in items if item["state"] not in ("applied", "pending")]
        shown = items if len(items) <= SHOWN_MAX else remarkable[:SHOWN_MAX]
        if shown:
            tables.print_outcomes(shown, "")
    say(f"{id_}: {', '.join(f'{count} {state}' for state, count in sorted(counts.items())) or 'nothing'}")
    if ended == "canary":
        say(f"the canary did not go well; the rest was not touched: paymaster parked replay --resume {id_}")
    elif ended == "stopped":
        say(f"stopped: paymaster parked replay --resume {id_}")
        raise typer.Exit(130)
    elif ended == "timeout":
        say(f"{counts['sent']} not taken up yet: is a worker running? paymaster parked replay --resume {id_}")
    if ended != "done" or counts.keys() - set(_WELL):
        raise typer.Exit(1)


def replays(
    id_: Annotated[str | None, typer.Argument(metavar="[REPLAY_ID]", help="The messages of this one.")] = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """The last replays, or what became of each message of one.

    For example: paymaster parked replays R-0123456789ab
    """

    async def do(access: Access) -> list[Row]:
        return await (items_of(access.store.database, id_) if id_ else last_replays(access.store.database))

    found = with_access(do)
    if as_json:
        print_json({"items": found})
    elif id_:
        tables.print_outcomes(found, f"there is no replay {id_}")
    else:
        tables.print_replays(found)
