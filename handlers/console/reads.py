"""What operators look at: groups, lists, one message, accounts, what was done, and all of it as JSON lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from domain.errors import Refused
from handlers.console import options, tables
from handlers.console.options import Filters
from handlers.console.terminal import Access, Json, print_json, say, stop, with_access


def _asked(query: str, **arguments: Any) -> Any:
    async def ask(access: Access) -> Any:
        return await access.ask(query, **arguments)

    return with_access(ask)


def groups(state: options.State = "parked", *, as_json: options.AsJson = False) -> None:
    """Held messages by what failed, the largest group first.

    For example: paymaster parked groups
    """
    found = _asked("parked.groups", state=state)
    if as_json:
        print_json(found)
    else:
        tables.print_groups(found["items"])


def list_(
    group: options.Group = None,
    reason: options.Reason = None,
    type_: options.Type = None,
    account: options.Account = None,
    since: options.From = None,
    until: options.To = None,
    state: options.State = "parked",
    limit: options.Limit = options.PAGE,
    after: options.After = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Held messages, oldest first, page by page; filters narrow them down together.

    For example:

    paymaster parked list --reason invalid --type order.completed

    paymaster parked list --state waiting --account BA-1 --from 2026-11-01 --json
    """
    filters = Filters(group, reason, type_, account, since, until, state)
    filters.check_values()
    found = _asked("parked.list", **filters.given(), limit=limit, after=after)
    if as_json:
        print_json(found)
    else:
        tables.print_messages(found["items"])
        words = [word for name, value in filters.given().items() for word in (f"--{name}", value)]
        tables.print_more(found["after"], "parked", "list", *words, "--limit", limit)


def show(id_: options.Id, *, as_json: options.AsJson = False) -> None:
    """One message, whole: its body, properties, headers and traceback, what it was before an edit, what was done.

    For example: paymaster parked show P-0123456789abcdef0123
    """
    found = _asked("parked.get", id=id_)
    if as_json:
        print_json(found)
    else:
        tables.print_message(found)


def accounts(
    limit: options.Limit = options.PAGE, after: options.After = None, *, as_json: options.AsJson = False
) -> None:
    """The accounts that have something held, and what that keeps from happening.

    For example: paymaster parked accounts
    """
    found = _asked("parked.accounts", limit=limit, after=after)
    if as_json:
        print_json(found)
    else:
        tables.print_accounts(found["items"])
        tables.print_more(found["after"], "parked", "accounts", "--limit", limit)


def history(
    id_: Annotated[str | None, typer.Argument(help="Of this message only.", show_default=False)] = None,
    limit: options.Limit = options.PAGE,
    after: options.After = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """What operators did, oldest first: with one message, or with all.

    For example: paymaster parked history P-0123456789abcdef0123
    """
    found = _asked("parked.history", id=id_, limit=limit, after=after)
    if as_json:
        print_json(found)
    else:
        tables.print_acts(found["items"])
        tables.print_more(found["after"], "parked", "history", *([id_] if id_ else []), "--limit", limit)


def export(
    ids: options.Ids = None,
    group: options.Group = None,
    reason: options.Reason = None,
    type_: options.Type = None,
    account: options.Account = None,
    since: options.From = None,
    until: options.To = None,
    state: options.State = "parked",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="To this file, which only you can read.", dir_okay=False)
    ] = None,
    *,
    everything: options.All = False,
) -> None:
    """Messages as JSON lines, each whole, as `show --json` has it: those of the ids, or all that fit the filters.

    For example:

    paymaster parked export --group G-0123456789 --output group.jsonl

    paymaster parked export --all | jq -r .body
    """
    filters = Filters(group, reason, type_, account, since, until, state)
    filters.check(ids, everything=everything)
    try:
        lines = sys.stdout if output is None else os.fdopen(os.open(output, _NEW, 0o600), "w")
    except OSError as error:
        raise stop(f"--output: {error.strerror}: {output}") from None
    try:
        told, gone = with_access(lambda access: _export(access, ids, filters, lines))
    finally:
        if output is not None:
            lines.close()
    say(f"{told} messages" + (f"; {len(gone)} are not held (any more): {', '.join(gone[:10])}" if gone else ""))
    if ids and gone:
        raise typer.Exit(1)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
"""A file that is there already stays as it is: others may read it, or it is a link to another."""


async def _export(access: Access, ids: list[str] | None, filters: Filters, lines: TextIO) -> tuple[int, list[str]]:
    told, gone = 0, []
    for id_ in ids or [one["parkedId"] for one in await filters.select(access)]:
        try:
            whole: Json = await access.ask("parked.get", id=id_)
        except Refused as refusal:
            if refusal.code != "unknown-message":
                raise
            gone.append(id_)  # applied since the list was read, or named wrongly
        else:
            lines.write(json.dumps(whole) + "\n")
            told += 1
    return told, gone
