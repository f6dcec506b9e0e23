"""The command line: `paymaster run`, `status`, `check`, `migrate`, `audit`, `asyncapi`, and the operators' commands."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from adapters.clock import clock_of
from adapters.faults import mongodb_fault
from adapters.mongodb.connection import DatabaseError, WrongServer, database
from adapters.settings import Settings, SettingsError, load_settings
from adapters.store.forms import WrongForm, check_now
from adapters.version import VERSION
from handlers.console import parked
from handlers.console.access import app as access
from handlers.console.bill_runs import app as bill_run
from handlers.console.migrate import command as migrate
from handlers.console.outbox import app as outbox
from handlers.console.status import check_all, status
from handlers.console.terminal import say, stop
from handlers.logs import set_up

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
app.add_typer(parked, name="parked")
app.add_typer(outbox, name="outbox")
app.add_typer(bill_run, name="bill-run")
app.add_typer(access, name="access")
app.command("migrate")(migrate)
app.command("status")(status)
app.command("check")(check_all)


def main() -> None:
    """The console script."""
    app()


def _say_version(asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        print(f"paymaster {VERSION}")
        raise typer.Exit


@app.callback()
def _paymaster(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Account management worker: messages in, double-entry books, invoices and settlements out."""


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise stop(str(error)) from None


@app.command()
def run() -> None:
    """Run a worker until SIGTERM: it finishes what it has taken, then leaves with 0."""
    from adapters.access import AccessError
    from handlers.starting import ServiceAway
    from handlers.worker import run_worker

    settings = _settings()
    set_up(settings.log_level, settings.log_format)
    try:
        run_worker(settings)
    except AccessError as error:
        for problem in error.problems[:-1]:
            say(f"paymaster: PAYMASTER_ACCESS: {problem}")
        raise stop(f"PAYMASTER_ACCESS: {error.problems[-1]}") from None
    except (ServiceAway, WrongServer, WrongForm) as error:
        raise stop(str(error)) from None
    except DatabaseError as error:
        raise stop(mongodb_fault(error, settings.mongodb_url).line) from None


@app.command()
def audit(
    indent: Annotated[int | None, typer.Option(help="Indent the JSON by this many spaces.")] = None,
) -> None:
    """Check every invariant of the books; prints JSON, exits with 0 if all hold and 1 if not."""
    from adapters.audit import AuditIncomplete
    from adapters.audit import audit as prove

    settings = _settings()
    try:
        with database(settings.mongodb_url, settings.database) as books:
            check_now(books)
            now = clock_of(settings.clock_file)()
            result = prove(books, now=now, relay_interval_seconds=settings.relay_interval_seconds)
    except AuditIncomplete as error:
        print(json.dumps({"ok": False, "checks": [], "error": str(error)}, indent=indent))
        raise typer.Exit(1) from None
    except (WrongForm, WrongServer) as error:
        raise stop(str(error)) from None
    except (DatabaseError, OSError) as error:
        raise stop(mongodb_fault(error, settings.mongodb_url).line) from None
    print(json.dumps(result, indent=indent))
    raise typer.Exit(0 if result["ok"] else 1)


@app.command()
def asyncapi(
    indent: Annotated[int | None, typer.Option(help="Indent the JSON by this many spaces.")] = None,
) -> None:
    """Print the AsyncAPI 3.0 document of every message, event and query, as JSON."""
    from schemas.asyncapi import asyncapi as document

    print(json.dumps(document(), indent=indent))
