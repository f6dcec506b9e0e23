"""`paymaster status`: what an operator wants to know first. `paymaster check`: whether everything can be reached."""

from __future__ import annotations

import asyncio
import socket
import stat
import sys
from collections.abc import Awaitable, Callable

import typer

from adapters.access import AccessError, AccessFile
from adapters.clock import clock_of
from adapters.faults import mongodb_fault, rabbitmq_fault
from adapters.mongodb.connection import COMMAND_SELECTION_SECONDS, DatabaseError, WrongServer
from adapters.operations.status import Backlog, backlog, try_to_write, versions
from adapters.rabbitmq.look import LOOK_ERRORS, BrokerLook, QueueLook, try_rights, try_topology
from adapters.settings import PREFIX, Settings, SettingsError, load_settings, problems, secret_files, tls_of
from adapters.store import workers
from adapters.store.forms import WrongForm, check
from adapters.store.store import Store
from adapters.version import VERSION
from handlers.console import options
from handlers.console.tables import print_table
from handlers.console.terminal import Json, output, print_json, stop
from handlers.logs import set_up
from schemas.values import time_json

SECONDS_MAX = 5.0
"""How long a service may take to answer."""


def status(*, as_json: options.AsJson = False) -> None:
    """Versions, services, who is active, queue depths, the oldest waiting, what is parked, unsent events.

    Exits with 1 when a service can't be asked; what the other one tells is told all the same.

    For example: paymaster status
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        raise stop(str(error)) from None
    set_up("error", "logfmt")
    found = asyncio.run(_status(settings))
    if as_json or not sys.stdout.isatty():
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(1 if "error" in found["mongodb"] or "error" in found["rabbitmq"] else 0)


async def _status(settings: Settings) -> Json:
    database, broker = await asyncio.gather(_of_database(settings), _of_broker(settings))
    told: Json = {"version": VERSION, "database": settings.database, "access": _of_access(settings)}
    if settings.clock_file is not None:
        told["clock"] = {"file": settings.clock_file, "now": time_json(clock_of(settings.clock_file)())}
    return {**told, **database, **broker}


def _of_access(settings: Settings) -> Json:
    try:
        access = AccessFile(settings.access).current
    except AccessError as error:
        return {"file": settings.access, "error": "; ".join(error.problems)}
    return {"open": True} if access is None else {"file": settings.access, "senders": len(access.senders)}


async def _of_database(settings: Settings) -> Json:
    try:
        store = _store(settings)
    except OSError as error:
        return {"mongodb": {"error": mongodb_fault(error, settings.mongodb_url).line}}
    try:
        await store.check_server()
        version, form = await versions(store.database)
        mongodb = {"version": version, "form": form}
        if form is None:
            return {"mongodb": mongodb, "workers": [], "active": []}
        await check(store.database)
        seen = await workers.seen(store.database)
        found = await backlog(store.database)
        now = found.at if settings.clock_file is None else clock_of(settings.clock_file)()
        behind = round(found.day_behind_seconds(now, settings.zone), 1)
        day = {"begun": None if found.day_begun is None else str(found.day_begun), "behindSeconds": behind}
        return {"mongodb": mongodb, "day": day, **_of_workers(seen), **_of_backlog(found)}
    except DatabaseError as error:
        return {"mongodb": {"error": mongodb_fault(error, settings.mongodb_url).line}}
    except (WrongServer, WrongForm) as error:
        return {"mongodb": {"error": str(error)}}
    finally:
        await store.close()


def _store(settings: Settings) -> Store:
    return Store(settings.mongodb_url, settings.database, "pymongo", COMMAND_SELECTION_SECONDS)


def _of_workers(seen: list[workers.WorkerSeen]) -> Json:
    active = workers.active(seen)
    told = [
        {
            "worker": worker.name,
            "role": _role(worker, active),
            "ready": worker.ready and worker.lives,
            "version": worker.version,
            "driver": worker.driver,
            "startedSecondsAgo": round(worker.started, 1),
            "seenSecondsAgo": round(worker.age, 1),
        }
        for worker in seen
    ]
    return {"workers": told, "active": sorted(active)}


def _role(worker: workers.WorkerSeen, active: frozenset[str]) -> str:
    if not worker.lives:
        return "gone"
    if worker.name in active:
        return "active"
    return "standing by" if worker.consuming is not None else "not consuming"


def _of_backlog(found: Backlog) -> Json:
    oldest = found.oldest_seconds.get("waiting")
    return {
        "held": {
            "waiting": found.held.get("waiting", 0),
            "suspect": found.held.get("suspect", 0),
            "scheduled": found.held.get("scheduled", 0),
            "oldestWaitingSeconds": None if oldest is None else round(oldest, 1),
        },
        "parked": [{"reason": reason, "type": type_, "count": count} for reason, type_, count in found.parked],
        "outbox": {
            "unsent": found.unsent,
            "oldestUnsentSeconds": round(found.oldest_unsent_seconds, 1) if found.unsent else None,
            "parked": dict(found.parked_events),
        },
    }


async def _of_broker(settings: Settings) -> Json:
    look = BrokerLook(settings.rabbitmq_url, "paymaster status")
    try:
        queues = await look.look(SECONDS_MAX)
    except LOOK_ERRORS as error:
        return {"rabbitmq": {"error": rabbitmq_fault(error, settings.rabbitmq_url).line}, "queues": []}
    finally:
        await look.close()
    return {"rabbitmq": {"version": look.version}, "queues": [_of_queue(queue) for queue in queues]}


def _of_queue(queue: QueueLook) -> Json:
    return {"queue": queue.name, "messages": queue.messages, "consumers": queue.consumers}


def _print(found: Json) -> None:
    mongodb, rabbitmq = found["mongodb"], found["rabbitmq"]
    print_table(
        ("what", "how it is"),
        [
            ("Paymaster", f"version {found['version']}, database {found['database']}"),
            ("MongoDB", mongodb.get("error") or f"{mongodb['version']}, {_form(mongodb['form'])}"),
            ("RabbitMQ", rabbitmq.get("error") or f"{rabbitmq['version']}"),
            ("access", _access(found["access"])),
            ("active", ", ".join(found.get("active", ())) or "nobody"),
            *([("clock", f"{found['clock']['now']}, by {found['clock']['file']}")] if "clock" in found else []),
            *([("day begun", _day(found["day"]))] if "day" in found else []),
        ],
        "",
    )
    say = output().print
    if found.get("workers"):
        say()
        print_table(
            ("id", "role", "ready", "version", "seen"),
            [
                (
                    one["worker"],
                    one["role"],
                    "yes" if one["ready"] else "no",
                    one["version"],
                    f"{_age(one['seenSecondsAgo'])} ago",
                )
                for one in found["workers"]
            ],
            "",
        )
    if found["queues"]:
        say()
        rows = [(one["queue"], _count(one["messages"]), _count(one["consumers"])) for one in found["queues"]]
        print_table(("queue", "ready", "consumers"), rows, "")
    if "held" in found:
        _print_backlog(found)


def _access(access: Json) -> str:
    if "file" not in access:
        return "OPEN: whoever may publish may do everything (PAYMASTER_ACCESS)"
    return f"{access['file']}: {access.get('error') or str(access['senders']) + ' senders'}"


def _day(day: Json) -> str:
    late = f", and the next one is there since {_age(day['behindSeconds'])}" if day["behindSeconds"] else ""
    return f"{day['begun'] or 'none'}{late}"


def _print_backlog(found: Json) -> None:
    held, outbox = found["held"], found["outbox"]
    output().print()
    print_table(
        ("count", "what is to be done", "oldest"),
        [
            (held["waiting"], "messages wait for what they need", _age(held["oldestWaitingSeconds"])),
            (held["suspect"], "messages are to be tried alone", ""),
            (held["scheduled"], "are scheduled for a time to come", ""),
            (outbox["unsent"], "events are unsent", _age(outbox["oldestUnsentSeconds"])),
            *((count, f"events are parked: {reason}", "") for reason, count in outbox["parked"].items()),
            *((one["count"], f"parked: {one['type']}: {one['reason']}", "") for one in found["parked"]),
        ],
        "",
    )


def _form(number: int | None) -> str:
    return "no books yet" if number is None else f"books of form {number}"


def _count(number: int | None) -> str:
    return "not there" if number is None else str(number)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


# -- check

Tried = tuple[str, str | None, str]
"""What was tried, what is wrong with it (None: nothing), and what was found."""


def check_all(*, as_json: options.AsJson = False) -> None:
    """Try each connection and setting, change nothing, and say in a line what is wrong; exits with 0 or 1.

    For example: paymaster check
    """
    set_up("error", "logfmt")
    tried = asyncio.run(_check())
    ok = all(wrong is None for _, wrong, _ in tried)
    if as_json or not sys.stdout.isatty():
        told = [{"name": name, "ok": wrong is None, "detail": wrong or found} for name, wrong, found in tried]
        print_json({"ok": ok, "checks": told})
    else:
        rows = [("well" if wrong is None else "WRONG", name, wrong or found) for name, wrong, found in tried]
        print_table(("", "what", "detail"), rows, "")
    raise typer.Exit(0 if ok else 1)


async def _check() -> list[Tried]:
    try:
        settings = load_settings()
    except SettingsError:
        return [(variable, wrong, "") for variable, wrong in problems()]
    tried: list[Tried] = [("settings", None, "each can be read"), *_check_access(settings)]
    for part in await asyncio.gather(_check_database(settings), _check_broker(settings), _check_port(settings)):
        tried += part
    tried.append(("tls", None, tls_of(settings)))
    tried += [(variable, None, _readers(path, mode)) for variable, path, mode in secret_files(settings)]
    return tried


def _check_access(settings: Settings) -> list[Tried]:
    name = f"{PREFIX}ACCESS"
    try:
        access = AccessFile(settings.access).current
    except AccessError as error:
        return [(name, problem, "") for problem in error.problems]
    return [(name, None, "not set: access is open" if access is None else f"{len(access.senders)} senders")]


def _readers(path: str, mode: int) -> str:
    if mode & stat.S_IROTH:
        return f"every user of this machine can read {path} (mode {mode:04o}): chmod 600, or 640 for a group"
    return f"{path} can be read by its owner{' and a group' if mode & stat.S_IRGRP else ''} only"


async def _check_database(settings: Settings) -> list[Tried]:
    tried: list[Tried] = []

    async def answers(store: Store) -> str:
        await store.check_server()
        return f"version {(await versions(store.database))[0]}"

    async def form(store: Store) -> str:
        await check(store.database)
        return _form((await versions(store.database))[1])

    async def write(store: Store) -> str:
        await try_to_write(store)
        return "a transaction can be written"

    steps: tuple[tuple[str, Callable[[Store], Awaitable[str]]], ...] = (
        ("mongodb", answers),
        ("mongodb: database", form),
        ("mongodb: rights", write),
    )
    store = None
    try:
        for name, step in steps:
            # Of what can't be connected to nothing more is asked.
            store = store or _store(settings)
            tried.append((name, None, await step(store)))
    except (WrongServer, WrongForm) as error:
        tried.append((name, str(error), ""))
    except (DatabaseError, OSError) as error:
        tried.append((name, mongodb_fault(error, settings.mongodb_url).line, ""))
    finally:
        if store is not None:
            await store.close()
    return tried


async def _check_broker(settings: Settings) -> list[Tried]:
    tried: list[Tried] = []
    look = BrokerLook(settings.rabbitmq_url, "paymaster check")
    name = "rabbitmq"
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await look.channel()
            tried.append((name, None, f"version {look.version}"))
            name = "rabbitmq: rights"
            await try_rights(look)
            tried.append((name, None, "queues can be declared, written and read"))
            name = "rabbitmq: queues"
            there = await try_topology(look, single_active_consumer=settings.single_active_consumer)
            tried.append((name, None, "as declared" if there else "not there yet: `paymaster run` declares them"))
    except LOOK_ERRORS as error:
        tried.append((name, rabbitmq_fault(error, settings.rabbitmq_url).line, ""))
    finally:
        await look.close()
    return tried


async def _check_port(settings: Settings) -> list[Tried]:
    if settings.http_port is None:
        return []
    address = f"{settings.http_host}:{settings.http_port}"
    try:
        await asyncio.to_thread(_listen, settings.http_host, settings.http_port)
    except OSError as error:
        why = f"nothing can listen at {address} ({error.strerror}): a worker that runs does, or it is somebody else's"
        return [(f"{PREFIX}HTTP_PORT", why, "")]
    return [(f"{PREFIX}HTTP_PORT", None, f"{address} is free")]


def _listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
