"""The command line: `paymaster run`, `migrate`, `audit`, `asyncapi`, and the operators' commands."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Annotated

import structlog
import typer
from rich.console import Console

from adapters.mongodb.connection import DatabaseError, WrongServer, database
from adapters.settings import Settings, SettingsError, load_settings
from adapters.store.forms import WrongForm, check_now
from handlers.console import parked
from handlers.console.migrate import command as migrate
from handlers.console.outbox import app as outbox

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
app.add_typer(parked, name="parked")
app.add_typer(outbox, name="outbox")
app.command("migrate")(migrate)


def main() -> None:
    """The console script."""
    app()


@app.callback()
def _paymaster() -> None:
    """Account management worker: messages in, double-entry books, invoices and settlements out."""


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise _stop(str(error)) from None


def _stop(line: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"paymaster: {line}", markup=False)
    return typer.Exit(2)


def _log_to_stderr(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else structlog.processors.LogfmtRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # What the libraries say of lost connections is said by us, once, in our words.
    logging.getLogger("aio_pika").setLevel(logging.CRITICAL)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


@app.command()
def run() -> None:
    """Run a worker until SIGTERM: it finishes what it has taken, then leaves with 0."""
    from handlers.worker import ServiceAway, run_worker

    settings = _settings()
    _log_to_stderr(settings.log_level)
    try:
        run_worker(settings)
    except (ServiceAway, WrongServer, WrongForm) as error:
        raise _stop(str(error)) from None


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
            result = prove(books, now=datetime.now(UTC), relay_interval_seconds=settings.relay_interval_seconds)
    except AuditIncomplete as error:
        print(json.dumps({"ok": False, "checks": [], "error": str(error)}, indent=indent))
        raise typer.Exit(1) from None
    except WrongForm as error:
        raise _stop(str(error)) from None
    except DatabaseError as error:
        raise _stop(f"MongoDB: {type(error).__name__}") from None
    print(json.dumps(result, indent=indent))
    raise typer.Exit(0 if result["ok"] else 1)


@app.command()
def asyncapi(
    indent: Annotated[int | None, typer.Option(help="Indent the JSON by this many spaces.")] = None,
) -> None:
    """Print the AsyncAPI 3.0 document of every message, event and query, as JSON."""
    from schemas.asyncapi import asyncapi as document

    print(json.dumps(document(), indent=indent))
