"""A RabbitMQ and a MongoDB of a run's own, which can be killed, kept down, and started again on their data."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from services import Services, keeper, machine, programs
from services.lifeline import end, keep, why_ended
from services.ports import reserved
from services.ready import await_started

# The keeper ends everything when a child of its own ends. This child starts its program again whenever that has ended,
# unless a file keeps it down; and the program dies with it.
AGAIN = 'while :; do while [ -e "$0" ]; do sleep 0.05; done; setpriv --pdeathsig KILL "$@"; done'
CTL = programs.DEBIAN_SERVER.with_name("rabbitmqctl")


class Breakable:
    """What `breakable` gives: both services, and the ways to break them."""

    def __init__(self, services: Services, directory: Path, broker_environment: dict[str, str]) -> None:
        self.services = services
        self._directory = directory
        self._environment = broker_environment

    async def rabbitmqctl(self, *arguments: str) -> None:
        """Run `rabbitmqctl` on the broker's node."""
        process = await asyncio.create_subprocess_exec(
            *(str(CTL), *arguments),
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {said.decode()[-500:]}"

    def kill(self, name: str) -> None:
        """End `mongod` or `rabbitmq-server` with no chance to do anything, and keep it down until `start`."""
        self._hold(name).touch()
        file = {"mongod": "mongodb/mongod.lock", "rabbitmq-server": "rabbitmq/pid"}[name]
        pid = (self._directory / file).read_text().strip()
        with suppress(ProcessLookupError):  # it is only just starting
            os.kill(int(pid), signal.SIGKILL)

    def start(self, name: str) -> None:
        """Let it come up again."""
        self._hold(name).unlink(missing_ok=True)

    def _hold(self, name: str) -> Path:
        return self._directory / f"{name}.down"


@contextmanager
def breakable() -> Iterator[Breakable]:
    """Start both, on ports and data of their own; all of it is gone afterwards. Raises `ServiceError`."""
    rabbitmq_server, epmd, mongod = programs.rabbitmq_server(), programs.epmd(), programs.mongod()
    # What is killed comes up on its own port again: nobody else has it meanwhile.
    with reserved(5) as ports:
        yield from _on(ports, rabbitmq_server, epmd, mongod)


def _on(ports: list[int], rabbitmq_server: str, epmd: str, mongod: str) -> Iterator[Breakable]:
    amqp, distribution, epmd_port, http, mongo = ports
    services = Services(
        rabbitmq_url=f"amqp://guest:guest@127.0.0.1:{amqp}/",
        mongodb_url=f"mongodb://127.0.0.1:{mongo}/?directConnection=true",
        rabbitmq_management_url=f"http://guest:guest@127.0.0.1:{http}",
        source="machine",
    )
    directory = Path(tempfile.mkdtemp(prefix="paymaster-chaos-"))
    broker = machine._rabbitmq(rabbitmq_server, directory, machine._listening(amqp, http), distribution, epmd_port)
    children = [
        machine._epmd(epmd, epmd_port),
        _again(machine._mongodb(mongod, directory, mongo), directory),
        _again(broker, directory),
    ]
    lifeline = keep(directory, {"children": children, "afterwards": None}, detached=False)
    try:
        await_started(
            services,
            failure=lambda: why_ended(lifeline),
            log=lambda name: keeper.tail(directory / f"{name}.log"),
        )
        yield Breakable(services, directory, broker["environment"])
    finally:
        end(lifeline)


def _again(child: dict[str, Any], directory: Path) -> dict[str, Any]:
    return {**child, "command": ["/bin/sh", "-c", AGAIN, str(directory / f"{child['name']}.down"), *child["command"]]}
