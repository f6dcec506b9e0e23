"""`paymaster parked`: what operators do about messages that can't be applied."""

from __future__ import annotations

import typer

from handlers.console import acts, editing, reads, replaying

parked = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@parked.callback()
def _parked() -> None:
    """Look at the messages that can't be applied, and replay, edit or discard them."""


parked.command()(reads.groups)
parked.command("list")(reads.list_)
parked.command()(reads.show)
parked.command()(reads.accounts)
parked.command()(reads.export)
parked.command()(replaying.replay)
parked.command()(replaying.replays)
parked.command()(editing.edit)
parked.command()(acts.discard)
parked.command()(acts.undo)
parked.command()(acts.note)
parked.command()(reads.history)
