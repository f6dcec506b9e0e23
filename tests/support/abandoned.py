"""What killed workers have left open in the database."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient

from adapters.mongodb.connection import APP_NAME


def end_abandoned_transactions(mongo: MongoClient[dict[str, Any]], seconds: float = 0) -> None:
    """End what killed workers have left open: for a minute it would keep their database from being dropped, or hashed.

    Where workers still live, `seconds` is after how long without a word a transaction is not one of theirs.
    """
    inactive = {"transaction.timeInactiveMicros": {"$gte": int(seconds * 1e6)}}
    idle = {"type": "idleSession", "appName": APP_NAME, **inactive}
    sessions = mongo.admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": idle}])
    if abandoned := [{"id": session["lsid"]["id"]} for session in sessions]:
        mongo.admin.command("killSessions", abandoned)
