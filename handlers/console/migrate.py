"""`paymaster migrate`: brings the database to the form that this version works on."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from adapters.faults import mongodb_fault
from adapters.mongodb.connection import MIGRATE_APP_NAME, DatabaseError, WrongServer, database
from adapters.settings import SettingsError, load_settings
from adapters.store.forms import WrongForm
from adapters.store.migration import Migrated, migrate
from adapters.store.migration import Progress as Told
from handlers.console import options
from handlers.console.terminal import errors, output, safe, stop

LINE_SECONDS = 1.0
"""How often a program that reads lines is told how far it is."""


def command(*, as_json: options.AsJson = False) -> None:
    """Bring the database to this version's form, when an earlier version wrote it; stop all workers before.

    Take a dump before: to go back to the earlier version is to restore it. What is stopped or killed is run again, and
    goes on where it was. Where standard output is no terminal, or with --json, each line is a JSON object: how far it
    is, and at last what was done.

    For example:

    mongodump --uri "$PAYMASTER_MONGODB_URL" --db paymaster --archive=before.archive

    paymaster migrate
    """
    lines = as_json or not sys.stdout.isatty()
    try:
        settings = load_settings()
        with database(settings.mongodb_url, settings.database, MIGRATE_APP_NAME) as books:
            done = migrate(books, _Lines()) if lines else _shown(books)
    except SettingsError as error:
        raise stop(str(error)) from None
    except (WrongForm, WrongServer) as error:
        raise stop(str(error)) from None
    except (DatabaseError, OSError) as error:
        line = mongodb_fault(error, settings.mongodb_url).line
        raise stop(f"{line}; run it again, it goes on where it was") from None
    except KeyboardInterrupt:
        raise stop("stopped: run it again, it goes on where it was", 130) from None
    if lines:
        _print_line(_told(done))
    else:
        _print(done, settings.database)


class _Lines:
    """Tells programs how far it is: a line at each part's begin and end, and not too many between."""

    def __init__(self) -> None:
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, progress: Told) -> None:
        what, at = self._last
        if progress.what == what and progress.documents != progress.of and time.monotonic() - at < LINE_SECONDS:
            return
        self._last = (progress.what, time.monotonic())
        _print_line({"form": progress.form, "what": progress.what, "documents": progress.documents, "of": progress.of})


def _print_line(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _shown(books: Any) -> Migrated:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as bars:
        tasks: dict[tuple[int | None, str], TaskID] = {}

        def tell(progress: Told) -> None:
            key = (progress.form, progress.what)
            if key not in tasks:
                tasks[key] = bars.add_task(safe(progress.what), total=progress.of)
            bars.update(tasks[key], completed=progress.documents, total=progress.of)

        return migrate(books, tell)


def _told(done: Migrated) -> dict[str, Any]:
    return {
        "from": done.found,
        "to": done.form,
        "steps": [
            {
                "form": step.to,
                "why": step.why,
                "updates": [
                    {"name": one.name, "collection": one.collection, "documents": one.documents} for one in step.updates
                ],
            }
            for step in done.steps
        ],
        "indexes": {"dropped": done.dropped, "made": done.made},
        "collections": done.collections,
    }


def _print(done: Migrated, name: str) -> None:
    say = output().print
    if done.form is None:
        say(f"the database {name} is empty: nothing to do, `paymaster run` makes what it needs")
        return
    if done.nothing:
        say(f"the database {name} is of form {done.form}, and its indexes are as they should be: nothing to do")
        return
    for step in done.steps:
        say(f"form {step.to}: {step.why}")
        for one in step.updates:
            say(f"  {one.name}: {one.documents} documents of {one.collection}")
    for what, names in (
        ("collections made", done.collections),
        ("indexes dropped", done.dropped),
        ("indexes made", done.made),
    ):
        if names:
            say(f"{what}: {', '.join(names)}")
    said = f"was of form {done.found} and is of form {done.form}" if done.steps else f"is of form {done.form} as before"
    say(f"the database {name} {said}: start the workers")
