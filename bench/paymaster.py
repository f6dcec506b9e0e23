"""Paymaster as a contestant: one worker, as `paymaster run` starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.rabbitmq.topology import IN, OUT, WORK
from bench.broker import Broker
from bench.orders import EVENTS_PER_ORDER, account_messages
from bench.place import Place, work_off

PROGRAM = str(Path(sys.executable).with_name("paymaster"))
AUDIT_SECONDS = 120
READY = "event=consuming"
"""What a worker puts out once it consumes the work queue, be it as the one that stands by."""


class Paymaster:
    """This project's worker, with the settings that it has by default."""

    name = "Paymaster"
    into, queue, out = IN, WORK, OUT
    command: Sequence[str] = (PROGRAM, "run")
    keeps_books = True
    events_per_order = EVENTS_PER_ORDER

    def missing(self) -> str | None:
        """Nothing: it is the project's own."""
        return None

    async def prepare(self, place: Place, broker: Broker) -> None:
        """Let a first worker declare everything and open the accounts, as their messages say, and end it."""
        # In a database that has been used before they are there already, and there will be no events of them.
        there = {row["_id"] for row in place.database["accounts"].find(_OF_ORDERS, {"_id": 1})}
        bodies = [json.dumps(account).encode() for account in account_messages() if account["id"] not in there]
        await work_off(Paymaster(), place, broker, "account.create", bodies, len(bodies))

    def check(self, place: Place, orders: int, *, thoroughly: bool) -> Mapping[str, object]:
        """Every order has an invoice, numbers have no gap, nothing is held or unsent; thoroughly: the audit."""
        database = place.database
        last = next((row["last"] for row in database["series"].find({"_id": "INV-"})), 0)
        found: dict[str, object] = {
            "invoices that lack": orders - database["invoices"].count_documents({}),
            "gaps in their numbers": last - orders,
            "messages held": database["held"].count_documents({}),
            "events unsent": database["outbox"].count_documents({"unsent": True}),
        }
        if thoroughly:
            found["audit"] = _audit(place)
        return {what: finding for what, finding in found.items() if finding}


_OF_ORDERS = {"_id": {"$in": [account["id"] for account in account_messages()]}}


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
