"""Someone who reads the books all the while: what is seen at one point in time is never inconsistent."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from adapters.audit import AuditIncomplete, audit
from tests.support.books import Document

PAUSE_SECONDS = 0.05
DUE = {"$max": [0, {"$subtract": ["$remainingAmount", {"$sum": "$handling.disputes.amount"}]}]}
"""What remains of an invoice and no dispute is about: no account has credit beside it."""


class Reader(threading.Thread):
    """Looks at one account after the other, and at times at everything, until it is stopped; `wrong` is what it saw."""

    def __init__(self, url: str, database: str, audit_seconds: float) -> None:
        super().__init__(name="reader", daemon=True)
        self._url = url
        self._name = database
        self._audit_seconds = audit_seconds
        self._stopping = threading.Event()
        self._latest: dict[str, int] = {}
        self.looks = self.audits = self.missed = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Look until stopped."""
        with MongoClient[Document](self._url, tz_aware=True, serverSelectionTimeoutMS=1000) as client:
            next_audit = time.monotonic() + self._audit_seconds
            pause = PAUSE_SECONDS
            while not self._stopping.wait(pause):
                begun = time.monotonic()
                try:
                    for account in self._accounts(client):
                        self._look(client, account)
                    if time.monotonic() >= next_audit:
                        next_audit = time.monotonic() + self._audit_seconds
                        self._audit(client)
                except (PyMongoError, AuditIncomplete):
                    self.missed += 1
                # A look at what has grown large takes the database's time: it has most of that to itself.
                pause = PAUSE_SECONDS + 3 * (time.monotonic() - begun)

    def stop(self) -> None:
        """Look no more, and wait until the last look is over."""
        self._stopping.set()
        self.join()

    def _accounts(self, client: MongoClient[Document]) -> list[str]:
        pipeline: list[Document] = [{"$match": {"_id": {"$regex": "^BA-"}}}, {"$sample": {"size": 10}}]
        return [row["_id"] for row in client[self._name]["positions"].aggregate(pipeline)]

    def _look(self, client: MongoClient[Document], account: str) -> None:
        books = client[self._name]
        with client.start_session(snapshot=True) as session:

            def total(collection: str, amount: Any) -> int:
                pipeline: list[Document] = [
                    {"$match": {"billingAccount": account}},
                    {"$group": {"_id": None, "sum": {"$sum": amount}}},
                ]
                rows: Any = books[collection].aggregate(pipeline, session=session)
                return int(next(rows, {"sum": 0})["sum"])

            position = books["positions"].find_one({"_id": account}, session=session)
            remaining, due = total("invoices", "$remainingAmount"), total("invoices", DUE)
            unapplied = total("payments", "$unapplied")
            # What is left to allocate after one transaction's worth, and soon will be.
            rest = {"routingKey": "credit.allocate", "account": account, "state": {"$in": ["waiting", "suspect"]}}
            rests = books["held"].count_documents(rest, session=session)
            events = books["outbox"].count_documents({"account": account}, session=session)
        if position is None:
            return  # opened so shortly ago that a snapshot does not have it yet
        self.looks += 1
        saw = f"{account} at event {position['sequence']}"
        if (position["receivable"], position["unapplied"]) != (remaining, unapplied):
            self.wrong.append(f"{saw}: {position} beside {remaining} open and {unapplied} unapplied")
        if due and unapplied and not rests:
            self.wrong.append(f"{saw}: {due} due of {remaining} open, and {unapplied} unapplied")
        if events != position["sequence"]:
            self.wrong.append(f"{saw}: {events} events")
        if position["sequence"] < self._latest.get(account, 0):
            self.wrong.append(f"{saw}: it was at {self._latest[account]} before")
        self._latest[account] = position["sequence"]

    def _audit(self, client: MongoClient[Document]) -> None:
        # How late an event may be is another matter while everything is being broken.
        patience = timedelta(days=365).total_seconds()
        report = audit(client[self._name], now=datetime.now(UTC), relay_interval_seconds=patience)
        self.audits += 1
        self.wrong += [f"audit: {check}" for check in report["checks"] if not check["ok"]]
