"""`python -m services start` leaves the services running and prints how to name them; `stop` ends them.

`named` says which services the environment names, if it does, and fails when they do not answer.
"""

import json
import os
import shlex
import sys
from dataclasses import asdict
from urllib.parse import urlsplit

import services
from services.lifeline import end, revive
from services.model import ServiceError, Services
from services.programs import STATE, exclusive
from services.ready import NAMED, check_answers

RECORD = STATE / "running.json"


def main(arguments: list[str]) -> int:
    """Do what the one argument says; 0, 1 when it failed (one line on standard error says why), 2 for a wrong one."""
    commands = {"start": start, "stop": stop, "named": named}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: python -m services start | stop | named", file=sys.stderr)
        return 2
    try:
        with exclusive("command"):
            commands[arguments[0]]()
    except ServiceError as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    return 0


def start() -> None:
    """Start the services unless those of an earlier start still run; print their URLs for a shell to read."""
    if RECORD.exists():
        record = json.loads(RECORD.read_text())
        if revive(record["keeper"]):
            _print(Services(**record["services"]))
            return
    if given := services.named():
        check_answers(given)
    else:
        given, lifeline = services.start(detached=True)
        RECORD.write_text(json.dumps({"services": asdict(given), "keeper": lifeline.record}))
    _print(given)


def stop() -> None:
    """End what `start` started, and nothing else."""
    if not RECORD.exists():
        return
    if lifeline := revive(json.loads(RECORD.read_text())["keeper"]):
        end(lifeline)
    RECORD.unlink()
    if services_named():
        print(f"services: stopped. This shell may still name them: unset {NAMED}", file=sys.stderr)


def named() -> None:
    """Say that the services of the environment are used, where it names some; raises `ServiceError`."""
    if given := services.named():
        check_answers(given)
        mongodb, rabbitmq = (urlsplit(url).netloc.rpartition("@")[2] for url in (given.mongodb_url, given.rabbitmq_url))
        print(
            f"services: the ones that the environment names, RabbitMQ {rabbitmq} and MongoDB {mongodb}", file=sys.stderr
        )


def services_named() -> bool:
    """Whether the environment names one."""
    return any(os.environ.get(name) for name in NAMED.split())


def _print(given: Services) -> None:
    for variable, url in (
        ("PAYMASTER_RABBITMQ_URL", given.rabbitmq_url),
        ("PAYMASTER_RABBITMQ_MANAGEMENT_URL", given.rabbitmq_management_url),
        ("PAYMASTER_MONGODB_URL", given.mongodb_url),
    ):
        print(f"export {variable}={shlex.quote(url)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
