"""The operators' terminal: what is shown is harmless, and every command ends in one of few ways.

Exit codes: 0 when all went well, 1 when something did not, 2 for wrong usage or a service that is away, 130 on Ctrl-C.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from adapters.access import Access as Rights
from adapters.access import AccessError, AccessFile
from adapters.clock import clock_of
from adapters.faults import mongodb_fault
from adapters.mongodb.connection import COMMAND_SELECTION_SECONDS, DatabaseError, WrongServer
from adapters.queries import read
from adapters.settings import Settings, SettingsError, load_settings
from adapters.store.forms import WrongForm, check
from adapters.store.store import Store
from domain.errors import Refused
from handlers import text
from schemas.operations.messages import Why
from schemas.queries import read_query

T = TypeVar("T")
Json = dict[str, Any]

WIDE = 500
"""How wide a table is where no terminal is: one line a row, for programs that read lines."""

safe = text.safe

errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
"""What is said beside the result."""


def output() -> Console:
    """Where the result goes; as wide as the terminal, if it is one, or as COLUMNS says."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def say(line: str) -> None:
    """Tell the operator something that is not the result."""
    errors.print(safe(line))


def print_json(value: Any) -> None:
    """Print a result for programs: pure ASCII, so that it does nothing to a terminal either."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def stop(line: str, code: int = 2) -> typer.Exit:
    """The end of a command that can't go on, told in one line: to be raised."""
    say(f"paymaster: {line}")
    return typer.Exit(code)


def confirm(question: str) -> bool:
    """Whether the operator says yes."""
    errors.print(safe(f"{question} [y/N] "), end="")
    answer = sys.stdin.readline()
    if not answer:
        raise stop("nobody is there to answer: say --yes")
    return answer.strip().lower() in ("y", "yes")


def checked(text: str, option: str) -> str:
    """A text that the record of an act can keep."""
    try:
        return str(TypeAdapter(Why).validate_python(text))
    except ValidationError as error:
        raise stop(f"{option}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def operator(by: str | None) -> str:
    """In whose name something is done."""
    try:
        return checked(by or getpass.getuser(), "--by")
    except (KeyError, OSError):
        raise stop("who are you? say --by NAME, or set PAYMASTER_OPERATOR") from None


@dataclass(frozen=True, slots=True)
class Access:
    """The database that the settings name."""

    store: Store
    settings: Settings

    @property
    def zone(self) -> tzinfo:
        """Where dates are taken."""
        return self.settings.zone

    def rights(self) -> Rights | None:
        """What the senders of messages may do; None where everything is open. A wrong file ends the command."""
        try:
            return AccessFile(self.settings.access).current
        except AccessError as error:
            raise stop("; ".join(error.problems)) from None

    def now(self) -> datetime:
        """What time it is, by the clock that workers have too."""
        return clock_of(self.settings.clock_file)()

    async def ask(self, query: str, **arguments: Any) -> Any:
        """The answer to a query, as its message would be answered; arguments that are None are left out."""
        given = {name: value for name, value in arguments.items() if value is not None}
        found = read_query(query, json.dumps(given).encode(), {}, None)
        ahead_max = timedelta(days=self.settings.days_ahead_max)
        return json.loads(await read(found, self.store.database, self.now(), self.zone, ahead_max))


def with_access(do: Callable[[Access], Awaitable[T]], *, refusals: bool = False) -> T:
    """Do something with the database; what goes wrong there ends the command, but for `refusals` that are wanted."""
    try:
        return asyncio.run(_with_store(load_settings(), do))
    except (SettingsError, WrongForm, WrongServer) as error:
        raise stop(str(error)) from None
    except Refused as refusal:
        if refusals:
            raise
        raise stop(refusal.detail, 2 if refusal.code == "invalid" else 1) from None
    except DatabaseError as error:
        raise stop(mongodb_fault(error, load_settings().mongodb_url).line) from None


async def _with_store(settings: Settings, do: Callable[[Access], Awaitable[T]]) -> T:
    try:
        store = Store(settings.mongodb_url, settings.database, "pymongo", COMMAND_SELECTION_SECONDS)
    except OSError as error:  # a certificate's file
        raise stop(mongodb_fault(error, settings.mongodb_url).line) from None
    try:
        await store.check_server()
        await check(store.database)
        return await do(Access(store, settings))
    finally:
        await store.close()


def quietly(do: Callable[[Access], Awaitable[T]], seconds: float) -> T | None:
    """The same for what is only a help: None when it can't be done in so many seconds, whatever the reason."""

    async def in_time(access: Access) -> T:
        async with asyncio.timeout(seconds):
            return await do(access)

    try:
        return asyncio.run(_with_store(load_settings(), in_time))
    except Exception:  # noqa: BLE001  # the operator is typing: nothing may be printed now
        return None
