"""`paymaster parked edit`: whatever is wrong with a message is mended, in an editor or by options; with many alike."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from adapters.operations.parked import Letter, act_on_held
from adapters.operations.replays import Came, LetGo, by_ids, outcome
from adapters.operations.replays import edit as edit_held
from adapters.store.rows import whole_body
from domain.errors import Refused
from handlers.console import options, replaying, tables
from handlers.console.bodies import pretty
from handlers.console.edits import Wanted, wanted
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
    with_access,
)
from schemas.operations.acts import Act, Edit


def edit(
    ids: options.Ids = None,
    group: options.Group = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change one value: a dotted path, items counted from 0; JSON, or a text as it stands, as the schema "
            "takes it. Several may be.",
        ),
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="The new body; - is standard input.")
    ] = None,
    type_: Annotated[str | None, typer.Option("--type", help="The right type, which is the routing key.")] = None,
    message_id: Annotated[str | None, typer.Option("--message-id", help="The right message id.")] = None,
    headers: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="A header as it should be.")
    ] = None,
    no_headers: Annotated[
        list[str] | None, typer.Option("--no-header", metavar="NAME", help="A header to take away.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="The body's content_encoding, as utf-8 (or identity: none).")
    ] = None,
    canary: Annotated[
        int | None, typer.Option("--canary", min=1, help="Of many: so many first, the rest if all of them are applied.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.01, max=10_000, help="Of many: at most so many a second.")
    ] = None,
    timeout: options.Timeout = options.TIMEOUT_SECONDS,
    why: Annotated[str | None, typer.Option("--why", help="Why: it is kept with what is done.")] = None,
    by: options.By = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would become of each, as the books are now.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for what comes of it.")] = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Try messages as other ones: another body (in your editor, by --set, from a file), type, message id, headers.

    What came in is kept. A body that is an array goes on as its facts. With --group, or several ids, each is edited
    alike, and what came of it is told as of a replay; one that was stopped is gone on with by `replay --resume`.

    For example:

    paymaster parked edit P-0123456789abcdef0123 --why "a typing error"

    paymaster parked edit P-0123456789abcdef0123 --type order.completed --no-header schema-version --why "as they wrote"

    paymaster parked edit --group G-0123456789 --set items.0.tax.rate=0.20 --canary 1 --why "the shop's typing error"
    """
    if why is None and not dry_run:
        raise stop("why? say --why TEXT: it is kept with what is done")
    if bool(ids) == bool(group):
        raise stop("which messages? say ids, or --group G-…")
    filters = Filters(group, None, None, None, None, None)
    filters.check_values()
    what = wanted(sets, type_, message_id, headers, no_headers, encoding)
    many = group is not None or len(ids or ()) > 1
    _check_changes(what, file, many=many, dry_run=dry_run)
    body = _from_file(file) if file else None

    def edit_of(letter: Letter) -> Edit:
        return what.edit(letter) if body is None else what.with_body(body)

    if dry_run:
        replaying.try_out(ids, filters, edit_of, "edited", as_json=as_json)
        return
    why, by = checked(why or "", "--why"), operator(by)
    if many:
        _edit_many(ids, filters, what, replaying.How(why, by, canary, rate, timeout), yes=yes, as_json=as_json)
        return
    assert ids
    [id_] = ids
    shown, letter = _looked_at(id_)
    if what.changes_something or body is not None:
        let_go = _edit_by_options(shown, letter, edit_of, why, by, yes=yes)
    else:
        let_go = _edit_in_editor(shown, letter, why, by, yes=yes)
    _tell_outcome(id_, let_go, None if no_wait else timeout, as_json=as_json)


def _check_changes(what: Wanted, file: str | None, *, many: bool, dry_run: bool) -> None:
    if what.sets and file:
        raise stop("--set and --file: say one or the other")
    if many and (file or not what.changes_something):
        raise stop("many messages are edited by --set, --type, --message-id, --header, --no-header or --encoding")
    if dry_run and not (file or what.changes_something):
        raise stop("--dry-run needs what to change: --set, --file, --type and so on")


def _edit_by_options(
    shown: Json, letter: Letter, edit_of: Callable[[Letter], Edit], why: str, by: str, *, yes: bool
) -> LetGo:
    try:
        change = edit_of(letter)
    except Refused as refusal:
        raise stop(f"--set {refusal.detail}") from None
    try:
        return _edit(shown, change, letter, why, by, yes=yes)
    except Refused as refusal:
        raise stop(f"refused: {refusal.code}: {refusal.detail}", 1) from None


def _looked_at(id_: str) -> tuple[Json, Letter]:
    """A message as `parked.get` tells of it, and as it is read."""

    async def get(access: Access) -> tuple[Json, Letter]:
        shown: Json = await access.ask("parked.get", id=id_)
        row = await access.store.database["held"].find_one({"parkedId": id_})
        if row is None:
            raise Refused("unknown-message", f"{id_} was applied at this moment")
        return shown, Letter.of(row, await whole_body(access.store.database, row))

    return with_access(get)


def _edit_many(
    ids: list[str] | None, filters: Filters, what: Wanted, how: replaying.How, *, yes: bool, as_json: bool
) -> None:
    async def select(access: Access) -> list[Json]:
        return await by_ids(access.store.database, ids) if ids else await filters.select(access)

    messages = with_access(select)
    if not messages:
        tables.print_outcomes([], "no message fits")
        return
    first = next((one["parkedId"] for one in messages if one["identity"] is not None), None)
    if first is not None:
        _, letter = _looked_at(first)
        try:
            change = what.edit(letter)
        except Refused as refusal:
            raise stop(f"{first}: {refusal.detail}") from None
        say(f"{first}, the first of {len(messages)}:")
        errors.print(tables.diff(_text(letter), _text(letter.edited(change))))
    if not yes and not confirm(f"edit {len(messages)} messages like this?"):
        raise stop("nothing was changed", 1)
    replaying.run(messages, how, {"ids": ids} if ids else filters.given(), what, as_json=as_json)


def _edit_in_editor(shown: Json, letter: Letter, why: str, by: str, *, yes: bool) -> LetGo:
    draft = Draft(shown["parkedId"], _text_of(shown))
    try:
        while True:
            body = draft.edited()
            try:
                let_go = _edit(shown, Wanted().with_body(body), letter, why, by, yes=yes)
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


def _edit(shown: Json, change: Edit, letter: Letter, why: str, by: str, *, yes: bool) -> LetGo:
    errors.print(tables.diff(_text(letter), _text(letter.edited(change))))
    if not yes and not confirm(f"try {shown['parkedId']} with this?"):
        raise stop("nothing was changed", 1)
    act = Act("edit", (shown["parkedId"],), why, change)

    async def do(access: Access) -> LetGo:
        return await act_on_held(
            access.store,
            by,
            access.now(),
            lambda actions: edit_held(actions, act, shown["attempts"]),
            access.rights(),
        )

    return with_access(do, refusals=True)


def _text(letter: Letter) -> str:
    """A message as people compare it: what is read of its envelope, and its body."""
    body = letter.body.decode(errors="backslashreplace")
    told = {"type": letter.routing_key, "message id": letter.message_id, "encoding": letter.encoding}
    told |= {f"header {name}": value for name, value in letter.headers.items()}
    lines = [f"{name}: {value}" for name, value in told.items() if value is not None]
    return "\n".join([*lines, "", pretty(body) or body])


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
