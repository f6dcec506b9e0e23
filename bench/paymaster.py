"""Paymaster as a contestant: one worker, as `paymaster run` starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.rabbitmq import IN, OUT, WORK
from bench import processes
from bench.broker import Broker
from bench.orders import account_messages
from bench.place import Place

PROGRAM = str(Path(sys.executable).with_name("paymaster"))
AUDIT_SECONDS = 120


class Paymaster:
    """This project's worker, with the settings that it has by default."""

    name = "Paymaster"
    into, queue, out = IN, WORK, OUT
    command: Sequence[str] = (PROGRAM, "run")

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Let a first worker declare everything and open the accounts, as their messages say, and end it."""
        created = await broker.collect(self.out)
        with processes.running(Paymaster.command, place.environment) as worker:
            # Declared by the worker: until then there is nowhere to publish to.
            await broker.appears(self.queue, worker.check)
            bodies = [json.dumps(account).encode() for account in account_messages()]
            await broker.fill(self.into, "account.create", bodies)
            await broker.reaches(created, len(bodies), worker.check)
            await worker.stop()
        await broker.channel.queue_delete(created)

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Every order has an invoice, numbers have no gap, nothing is held or unsent; thoroughly: the audit."""
        database = place.database
        last = max((row["last"] for row in database["series"].find()), default=0)
        found: dict[str, object] = {
            "invoices that lack": orders - database["invoices"].count_documents({}),
            "gaps in their numbers": last - orders,
            "messages held": database["held"].count_documents({}),
            "events unsent": database["outbox"].count_documents({"unsent": True}),
        }
        if thoroughly:
            found["audit"] = _audit(place)
        return {what: finding for what, finding in found.items() if finding}


def _audit(place: Place) -> str:
    """What `paymaster audit` finds to be wrong; nothing when all is right."""
    try:
        audit = subprocess.run(  # noqa: S603 - our own program
            [PROGRAM, "audit"],
            env={**os.environ, **place.environment},
            capture_output=True,
            text=True,
            timeout=AUDIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {AUDIT_SECONDS} s"
    return "" if audit.returncode == 0 else (audit.stdout or audit.stderr)[-2_000:]
