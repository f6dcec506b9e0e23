"""Replays by operators: a fixed list, a canary, a rate, and the true outcome of each message."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.operations.replays import (
    ITEMS_MAX,
    Came,
    EditOf,
    Ended,
    Replay,
    Row,
    Sending,
    by_ids,
    items_of,
    last_replays,
    record,
)
from domain.errors import Refused
from handlers.console import options, tables
from handlers.console.edits import Wanted
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
    with_access,
)
from handlers.engine.trial import try_out as trial

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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would become of each, as the books are now.")
    ] = False,
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

    if dry_run:
        try_out(ids, filters, None, "replayed", as_json=as_json)
        return
    how = How("" if why is None else checked(why, "--why"), operator(by), canary, rate, timeout)
    if resume is not None:
        _follow(resume, how, as_json=as_json)
        return

    async def select(access: Access) -> list[Json]:
        return await _selected(access, ids, filters)

    messages = with_access(select)
    if not messages:
        _tell_tried([], {}, "replayed", as_json=as_json)
        return
    run(messages, how, {"ids": ids} if ids else filters.given(), None, as_json=as_json)


async def _selected(access: Access, ids: list[str] | None, filters: Filters) -> list[Json]:
    found = await by_ids(access.store.database, ids) if ids else await filters.select(access)
    if len(found) > ITEMS_MAX:
        raise stop(f"more than {ITEMS_MAX} messages: take some of them")
    return found


@dataclass(frozen=True, slots=True)
class How:
    """How messages are tried again: why, in whose name, how many first, how many a second, how long for an outcome."""

    why: str
    by: str
    canary: int | None
    rate: float | None
    timeout: float


def run(messages: list[Json], how: How, selected: Mapping[str, Any], what: Wanted | None, *, as_json: bool) -> None:
    """Write down which messages are to be tried again, as they are or edited, and do it; ends the command."""

    async def write(access: Access) -> str:
        return await record(
            access.store.database,
            messages,
            by=how.by,
            at=access.now(),
            why=how.why,
            filters=selected,
            canary=how.canary,
            rate=how.rate,
            edit=None if what is None else what.written_down(),
        )

    _follow(with_access(write), how, as_json=as_json)


def _follow(id_: str, how: How, *, as_json: bool) -> None:
    async def do(access: Access) -> tuple[Ended, list[Row]]:
        kept = await access.store.database["replays"].find_one({"_id": id_}) or {}
        edit = Wanted.read(kept["edit"]).edit if kept.get("edit") else None
        rights = access.rights()
        try:
            ended = await _run(
                access, id_, lambda tell: Sending(how.by, how.timeout, how.rate, tell, access.now, edit, rights)
            )
        except Refused:
            raise  # there is no such replay
        except BaseException:
            say(f"{id_} was stopped: paymaster parked replay --resume {id_}")
            raise
        return ended, await items_of(access.store.database, id_)

    _end(id_, *with_access(do), as_json=as_json)


def try_out(ids: list[str] | None, filters: Filters, edit: EditOf | None, done: str, *, as_json: bool) -> None:
    """Tell what would come of messages that were tried now, as they are or edited; nothing is done."""

    async def do(access: Access) -> tuple[list[Json], dict[str, Came]]:
        messages = await _selected(access, ids, filters)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
            bar = progress.add_task("trying out", total=len(messages))
            named = [one["parkedId"] for one in messages]
            return messages, await trial(
                access.store,
                access.settings,
                named,
                access.now(),
                edit,
                lambda n: progress.advance(bar, n),
                access.rights(),
            )

    _tell_tried(*with_access(do), done, as_json=as_json)


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


def _tell_tried(messages: list[Json], came: Mapping[str, Came], done: str, *, as_json: bool) -> None:
    counts = Counter(one.state for one in came.values())
    if as_json:
        fields = ("parkedId", "identity", "messageType", "reason", "attempts")
        items = [
            {name: one[name] for name in fields}
            | {"would": came[one["parkedId"]].state, "detail": came[one["parkedId"]].detail}
            for one in messages
        ]
        print_json({"total": len(messages), "counts": counts, "items": items})
        return
    remarkable = [one for one in messages if came[one["parkedId"]].state != "applied"]
    shown = messages if len(messages) <= SHOWN_MAX else remarkable[:SHOWN_MAX]
    rows = [
        (one["parkedId"], one["messageType"], one["reason"], came[one["parkedId"]].state, came[one["parkedId"]].detail)
        for one in shown
    ]
    tables.print_table(("id", "type", "reason", "would be", "detail"), rows, "no message fits" if not messages else "")
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    say(f"{len(messages)} messages would be {done}{f', and then be: {told}' if told else ''}; nothing was done")


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
