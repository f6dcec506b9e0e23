"""The Node.js peer as a contestant: one process, 32 messages in flight."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Sequence

from bench.broker import BenchError, Broker
from bench.node import FOLDER, IN, OUT, QUEUE
from bench.place import Place
from bench.plain.contestant import Plain

INSTALL_SECONDS = 300
LEFT_OUT = "the Node.js peer is left out"


class Node(Plain):
    """amqplib and mongodb, one transaction for each message; its books are the plain worker's, as is their check."""

    name = "Node.js peer"
    into, queue, out = IN, QUEUE, OUT
    command: Sequence[str] = ("node", str(FOLDER / "worker.js"))

    def missing(self) -> str | None:
        """Why it can't run here, in one line, or None; its libraries are installed if that is all that lacks."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            return f"node and npm are not on PATH: {LEFT_OUT}"
        try:
            install()
        except BenchError as error:
            return f"{error}: {LEFT_OUT}"
        return None

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Install what it needs, make its queue as the worker does, and the plain worker's collections and accounts."""
        await asyncio.to_thread(install)
        await super().prepare(place, broker)
        channel = broker.channel
        await channel.exchange_declare(IN, exchange_type="topic", durable=True)
        await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(QUEUE, IN, "#")


def install() -> None:
    """`npm ci`, unless what it makes is there and no older than the lock file; `BenchError` when it does not work."""
    # Written by npm when everything else is there.
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= (FOLDER / "package-lock.json").stat().st_mtime:
        return
    try:
        npm = subprocess.run(
            ["npm", "ci"],  # noqa: S607 - wherever it is installed
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"npm ci did not work ({error})") from error
    if npm.returncode != 0:
        said = [line.removeprefix("npm error ") for line in npm.stderr.splitlines() if line.startswith("npm error ")]
        raise BenchError(f"npm ci did not work ({'; '.join(said[:2]) or npm.returncode})")
