"""`paymaster access check`: what would become of a sender's message or query, and why."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from adapters.access import ACTING_USER, AccessError, AccessFile
from adapters.settings import SettingsError, load_settings
from domain.errors import Refused
from handlers.console import options
from handlers.console.tables import print_table
from handlers.console.terminal import Json, print_json, stop
from schemas.messages import MESSAGES
from schemas.queries import QUERIES

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _access() -> None:
    """Who may do what, by the access file."""


@app.command("check")
def check(
    user: Annotated[str, typer.Argument(help="The sender: the user that it is connected as.", show_default=False)],
    type_: Annotated[
        str, typer.Argument(metavar="TYPE", help="A message's type, or a query's name.", show_default=False)
    ],
    acting_as: Annotated[
        str | None, typer.Option("--acting-as", metavar="USER", help=f"What it says in the header {ACTING_USER}.")
    ] = None,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Say what would become of a message or query of that sender, and why; exits with 0 if it is let in, else with 1.

    For example:

    paymaster access check shop order.completed

    paymaster access check api account.get --acting-as alice
    """
    told = _told(user, type_, acting_as)
    if as_json or not sys.stdout.isatty():
        print_json(told)
    else:
        print_table(("what", "how it is"), [(name, _said(value)) for name, value in told.items()], "")
    raise typer.Exit(0 if told["allowed"] else 1)


def _told(user: str, type_: str, acting_as: str | None) -> Json:
    try:
        path = load_settings().access
        access = AccessFile(path).current
    except SettingsError as error:
        raise stop(str(error)) from None
    except AccessError as error:
        raise stop("; ".join(error.problems)) from None
    kind = "message" if type_ in MESSAGES else "query" if type_ in QUERIES else None
    if kind is None:
        raise stop(f"{type_}: no message is of this type, and no query has this name")
    told: Json = {"user": user, "actingAs": acting_as, "type": type_, "kind": kind, "file": path}
    if access is None:
        return {**told, "allowed": True, "party": None, "why": "PAYMASTER_ACCESS is not set: access is open"}
    try:
        speaker = access.judge(user, acting_as, type_, asks=kind == "query")
    except Refused as refusal:
        return {**told, "allowed": False, "party": None, "why": f"{refusal.code}: {refusal.detail}"}
    sender = access.senders[acting_as or user]
    patterns = sender.ask if kind == "query" else sender.send
    does = "ask" if kind == "query" else "send"
    why = f"[senders.{sender.name}] {does}: {patterns}"
    if speaker.party is not None:
        why += f"; only about accounts that are related to {speaker.party}"
    return {**told, "allowed": True, "party": speaker.party, "why": why}


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
