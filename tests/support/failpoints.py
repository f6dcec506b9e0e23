"""Making MongoDB fail: its failCommand, which needs a server that was started with test commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure


@contextmanager
def failing(client: MongoClient[dict[str, Any]], command: str, times: int, **how: Any) -> Iterator[None]:
    """The next `times` commands of this name that a worker sends fail, in the way that `how` says.

    A `namespace` (`database.collection`) in `how` keeps it to one collection.
    """
    data = {"failCommands": [command], "appName": "paymaster", **how}
    point = {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
    try:
        client.admin.command(point)
    except OperationFailure as error:
        pytest.skip(f"this MongoDB was started without test commands: {error.details}")
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})
