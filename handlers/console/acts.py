"""What operators do with held messages, but for replays: edit, discard, undo, note."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from adapters.operations.parked import OperatorActions, Seen, act_on_held
from adapters.operations.replays import Came, LetGo, outcome
from adapters.operations.replays import edit as edit_held
from domain.errors import Refused
from handlers.console import options, tables
from handlers.console.bodies import parsed, pretty, with_value, written
from handlers.console.options import Filters
from handlers.console.terminal import (
    Access,
    Json,
    checked,
    confirm,
    errors,
    operator,
    print_json,
    say,
    stop,
    utc_now,
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
                done = await act_on_held(access.store, by, utc_now(), perform)
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


def edit(
    id_: options.Id,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change one value: a dotted path, items counted from 0; JSON, or a text as it stands. Several may be.",
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="The new body; - is standard input.")
    ] = None,
    timeout: options.Timeout = options.TIMEOUT_SECONDS,
    *,
    why: options.Why,
    by: options.By = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for what comes of it.")] = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Try a message with another body: in your editor, by `--set`, or from a file. What came in is kept.

    For example:

    paymaster parked edit P-0123456789abcdef0123 --why "a typing error"

    paymaster parked edit P-0123456789abcdef0123 --set currency=EUR --set items.0.quantity=2 --why "as they wrote"
    """
    why, by = checked(why, "--why"), operator(by)
    if sets and file:
        raise stop("--set and --file: say one or the other")

    async def get(access: Access) -> Json:
        found: Json = await access.ask("parked.get", id=id_)
        return found

    shown = with_access(get)
    if file is None and not sets:
        let_go = _edit_in_editor(shown, why, by, yes=yes)
    else:
        body = _from_file(file) if file else _with_values(_text_of(shown), sets or []).encode()
        try:
            let_go = _edit(shown, body, why, by, yes=yes)
        except Refused as refusal:
            raise stop(f"refused: {refusal.code}: {refusal.detail}", 1) from None
    _tell_outcome(id_, let_go, None if no_wait else timeout, as_json=as_json)


def _edit_in_editor(shown: Json, why: str, by: str, *, yes: bool) -> LetGo:
    draft = Draft(shown["parkedId"], _text_of(shown))
    try:
        while True:
            body = draft.edited()
            try:
                let_go = _edit(shown, body, why, by, yes=yes)
            except Refused as refusal:
                say(f"refused: {refusal.code}: {refusal.detail}")
                if not confirm("edit it again?"):
                    raise typer.Exit(1) from None
            else:
                draft.remove()
                return let_go
    except BaseException:
        draft.leave()
        raise


def _edit(shown: Json, body: bytes, why: str, by: str, *, yes: bool) -> LetGo:
    before, after = shown.get("body", ""), body.decode(errors="backslashreplace")
    errors.print(tables.diff(pretty(before) or before, pretty(after) or after))
    if not yes and not confirm(f"try {shown['parkedId']} with this?"):
        raise stop("nothing was changed", 1)
    act = Act("edit", (shown["parkedId"],), why, body)

    async def do(access: Access) -> LetGo:
        return await act_on_held(
            access.store, by, utc_now(), lambda actions: edit_held(actions, act, shown["attempts"])
        )

    return with_access(do, refusals=True)


def _tell_outcome(id_: str, let_go: LetGo, timeout: float | None, *, as_json: bool) -> None:
    async def wait(access: Access) -> Came | None:
        return None if timeout is None else await outcome(access.store.database, let_go, timeout)

    with errors.status("waiting for what comes of it …"):
        came = with_access(wait)
    state, detail = came or ("sent", "" if timeout is None else "not taken up yet: is a worker running?")
    item = {"n": 1, "parkedId": id_, "into": let_go.into, "state": state, "detail": detail}
    if as_json:
        print_json(item)
    else:
        tables.print_outcomes([item], "")
    if state in ("parked", "refused") or (came is None and timeout is not None):
        raise typer.Exit(1)


def _text_of(shown: Json) -> str:
    body = shown.get("body")
    if body is None or len(body.encode()) < shown["bodyBytes"]:
        raise stop(f"the body is {'no text' if body is None else 'too large to edit'}: give another one by --file")
    return str(body)


def _from_file(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise stop(f"--file: {error.strerror}: {file}") from None


def _with_values(body: str, sets: Sequence[str]) -> str:
    try:
        value = parsed(body)
    except ValueError as error:
        raise stop(f"--set: the body is not JSON ({error}): use an editor, or --file") from None
    for one in sets:
        path, equals, text = one.partition("=")
        if not equals:
            raise stop(f"--set {one}: must be PATH=VALUE")
        try:
            value = with_value(value, path, text)
        except ValueError as error:
            raise stop(f"--set {error}") from None
    try:
        return written(value)
    except RecursionError:
        raise stop("--set: the body is nested too deep: use --file") from None


class Draft:
    """A body in the operator's editor, in a file that only they can read; what they wrote is not lost by a refusal."""

    def __init__(self, id_: str, body: str) -> None:
        self._before = (pretty(body) or body).encode()
        handle, name = tempfile.mkstemp(prefix=f"paymaster-{id_}-", suffix=".json")
        self._file = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(self._before + b"\n")

    def edited(self) -> bytes:
        """What the operator makes of it; ends the command when that is nothing new."""
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            subprocess.run([*shlex.split(editor), self._file], check=True)  # noqa: S603  # the operator's own program
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise stop(f"{editor}: {error}") from None
        if self._text() == self._before:
            raise stop("nothing was changed", 1)
        return self._text()

    def _text(self) -> bytes:
        # An editor ends a file with an end of line, whether the body had one or not.
        try:
            return self._file.read_bytes().removesuffix(b"\n")
        except OSError as error:
            raise stop(f"{self._file}: {error.strerror}: nothing was changed") from None

    def leave(self) -> None:
        """Say where the text is; without a change there is nothing to keep."""
        if not self._file.exists() or self._text() == self._before:
            self.remove()
        else:
            say(f"what you wrote is in {self._file}: go on with --file")

    def remove(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)
