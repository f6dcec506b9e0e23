"""The workers that are there: each writes every few seconds that it lives, and what its part is.

All times are the server's, so that no worker's clock decides who lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.mongodb.connection import awaited

WORKERS = "workers"
DEAD_AFTER_SECONDS = 15.0
"""After so long without a word a worker counts as gone."""
FORGOTTEN_AFTER_SECONDS = 86_400.0
"""After so long its row is removed."""


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker, by its row: `age` is the seconds since its last word.

    `has_turn`: the broker has given it a message of the work queue. `behind`: others were there when it came to the
    queue. `consuming` are the seconds since when it is there, None when it is not.
    """

    name: str
    version: str
    driver: str
    started: float
    age: float
    applies_beside_others: bool
    has_turn: bool
    behind: bool
    consuming: float | None
    ready: bool

    @property
    def lives(self) -> bool:
        """Whether it was heard of lately."""
        return self.age < DEAD_AFTER_SECONDS


def active(workers: Sequence[WorkerSeen]) -> frozenset[str]:
    """The names of those that apply: all that read the queue, or the one whose turn it is.

    AMQP tells nobody whose turn it is. It is the one that was given a message; while nobody was, the one that came
    first, since the broker goes by that.
    """
    there = [worker for worker in workers if worker.lives and worker.consuming is not None]
    beside = {worker.name for worker in there if worker.applies_beside_others}
    one = [worker for worker in there if not worker.applies_beside_others]
    if not one:
        return frozenset(beside)
    # Of two that were given messages the one that came later took over from the other, which has not noticed yet.
    given = sorted((worker for worker in one if worker.has_turn), key=lambda worker: (worker.consuming, worker.name))
    first = min(one, key=lambda worker: (worker.behind, -(worker.consuming or 0.0), worker.name))
    return frozenset(beside | {(given[0] if given else first).name})


async def say(database: Any, name: str, facts: Mapping[str, Any], consumption: str | None) -> list[WorkerSeen]:
    """Write that a worker lives, with what it says of itself; returns all workers as they are then.

    `consumption` names its stay at the work queue, None while it does not read it: the server notes when each began.
    """
    same = {"$eq": ["$consumption", consumption]}
    await database[WORKERS].update_one(
        {"_id": name},
        [
            {
                "$set": {
                    **{field: {"$literal": value} for field, value in facts.items()},
                    "consumption": {"$literal": consumption},
                    "consumingSince": {"$cond": [same, "$consumingSince", "$$NOW"]} if consumption else None,
                    "startedAt": {"$ifNull": ["$startedAt", "$$NOW"]},
                    "seenAt": "$$NOW",
                }
            }
        ],
        upsert=True,
    )
    return await seen(database)


async def seen(database: Any) -> list[WorkerSeen]:
    """All workers that were heard of within a day, by name."""

    def ago(field: str) -> dict[str, Any]:
        return {"$divide": [{"$subtract": ["$$NOW", f"${field}"]}, 1000]}

    pipeline = [
        {"$sort": {"_id": 1}},
        {"$limit": 500},
        {"$set": {"age": ago("seenAt"), "started": ago("startedAt"), "consuming": ago("consumingSince")}},
        {"$match": {"age": {"$lt": FORGOTTEN_AFTER_SECONDS}}},
    ]
    cursor = await awaited(database[WORKERS].aggregate(pipeline))
    return [
        WorkerSeen(
            row["_id"],
            row["version"],
            row["driver"],
            row["started"],
            row["age"],
            row["appliesBesideOthers"],
            row["hasTurn"],
            row["behind"],
            row["consuming"],
            row["ready"],
        )
        async for row in cursor
    ]


async def leave(database: Any, name: str) -> None:
    """Remove a worker's row, and those of workers that were not heard of for a day."""
    old = {"$expr": {"$gt": [{"$subtract": ["$$NOW", "$seenAt"]}, FORGOTTEN_AFTER_SECONDS * 1000]}}
    await database[WORKERS].delete_many({"$or": [{"_id": name}, old]})
