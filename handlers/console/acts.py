"""What operators do with held messages, but for replays and edits: discard, undo, note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from adapters.operations.parked import OperatorActions, Seen, act_on_held
from domain.errors import Refused
from handlers.console import options, tables
from handlers.console.options import Filters
from handlers.console.terminal import (
    Access,
    Json,
    checked,
    confirm,
    operator,
    print_json,
    stop,
    with_access,
)
from schemas.operations.acts import Act, ActName
from schemas.operations.messages import IDS_MAX


def discard(
    ids: options.Ids = None,
    group: options.Group = None,
    reason: options.Reason = None,
    type_: options.Type = None,
    account: options.Account = None,
    since: options.From = None,
    until: options.To = None,
    state: options.State = "parked",
    *,
    why: options.Why,
    by: options.By = None,
    everything: options.All = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Be done with messages, without any effect; `undo` takes it back.

    For example:

    paymaster parked discard P-0123456789abcdef0123 --why "a test order"

    paymaster parked discard --group G-0123456789 --why "sent twice by the shop"
    """
    why, by = checked(why, "--why"), operator(by)
    filters = Filters(group, reason, type_, account, since, until, state)
    filters.check(ids, everything=everything)

    async def select(access: Access) -> dict[str, Seen]:
        return {one["parkedId"]: (one["state"], one["attempts"]) for one in await filters.select(access)}

    seen = {} if ids else with_access(select)
    named = ids or list(seen)
    if named and not yes and not confirm(f"discard {len(named)} {state if not ids else 'named'} messages?"):
        raise stop("nothing was discarded", 1)
    _end(_done("discard", named, why, by, seen), as_json=as_json)


def undo(
    ids: Annotated[list[str], typer.Argument(help="Discarded messages' ids.", show_default=False)],
    *,
    why: options.Why,
    by: options.By = None,
    as_json: options.AsJson = False,
) -> None:
    """Have discarded messages parked again.

    For example: paymaster parked undo P-0123456789abcdef0123 --why "it was no test"
    """
    _end(_done("undo", ids, checked(why, "--why"), operator(by)), as_json=as_json)


def note(
    id_: options.Id,
    text: Annotated[str, typer.Argument(help="What the next operator should know.", show_default=False)],
    *,
    by: options.By = None,
    as_json: options.AsJson = False,
) -> None:
    """Leave a note with a message, for who looks at it next.

    For example: paymaster parked note P-0123456789abcdef0123 "the shop mends it on Monday"
    """
    _end(_done("note", [id_], checked(text, "TEXT"), operator(by)), as_json=as_json)


def _done(name: ActName, ids: Sequence[str], why: str, by: str, seen: Mapping[str, Seen] | None = None) -> list[Json]:
    """Do an act on messages, if they are still as they were `seen`; returns what each is now, or why it was refused."""

    async def do(access: Access) -> list[Json]:
        told: list[Json] = []
        for at in range(0, len(ids), IDS_MAX):
            act = Act(name, tuple(dict.fromkeys(ids[at : at + IDS_MAX])), why)

            async def perform(actions: OperatorActions, act: Act = act) -> Json:
                return await actions.perform(act, seen)

            try:
                done = await act_on_held(access.store, by, access.now(), perform)
                told += done["messages"]
            except Refused as refusal:
                told.append({"id": act.ids[0], "refused": {"code": refusal.code, "detail": refusal.detail}})
        return told

    return with_access(do)


def _end(told: list[Json], *, as_json: bool) -> None:
    if as_json:
        print_json({"messages": told})
    else:
        rows = [(one["id"], one.get("state", "refused"), one.get("refused", {}).get("detail", "")) for one in told]
        tables.print_table(("id", "is now", "detail"), rows, "no message fits")
    if any("refused" in one for one in told):
        raise typer.Exit(1)
