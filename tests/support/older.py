"""Books that an earlier version wrote, kept as data beside the tests."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pymongo.operations import IndexModel

from tests.support.books import Books, Document

FOLDER = Path(__file__).parents[1] / "fixtures"
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)


@dataclass(frozen=True)
class Sent:
    """A message that the books were made of."""

    routing_key: str
    message_id: str
    body: bytes
    app_id: str | None


@dataclass(frozen=True)
class OlderBooks:
    """A database of an earlier form: its rows and indexes by collection, and `written_at`, its worker's last time."""

    form: int
    written_at: datetime
    rows: dict[str, list[Document]]
    indexes: dict[str, list[Document]]
    messages: list[Sent]

    def restore(self, database: Books) -> None:
        """Put all of it into an empty database, as `mongorestore` would."""
        for name, rows in self.rows.items():
            database.create_collection(name)
            indexes = [
                IndexModel(list(index["key"].items()), **{key: index[key] for key in index if key not in ("v", "key")})
                for index in self.indexes[name]
            ]
            if indexes:
                database[name].create_indexes(indexes)
            if rows:
                database[name].insert_many(rows)


def _read_rows(path: Path) -> tuple[dict[str, list[Document]], dict[str, list[Document]]]:
    """The rows and the indexes of each collection."""
    rows: dict[str, list[Document]] = {}
    indexes: dict[str, list[Document]] = {}
    by_name: dict[str, list[Document]] = defaultdict(list)
    for document in bson.decode_all(gzip.decompress(path.read_bytes()), _AWARE):
        if "in" in document:
            by_name[document["in"]].append(document["row"])
        else:
            name = document["collection"]
            rows[name], indexes[name] = by_name[name], document["indexes"]
    return rows, indexes


def _read(form: int, written_at: datetime) -> OlderBooks:
    folder = FOLDER / f"form-{form}"
    rows, indexes = _read_rows(folder / "books.bson.gz")
    messages = [
        Sent(one["routingKey"], one["messageId"], one["body"].encode("latin-1"), one.get("appId"))
        for one in json.loads(gzip.decompress((folder / "messages.json.gz").read_bytes()))
    ]
    return OlderBooks(form, written_at, rows, indexes, messages)


def replies_of(older: OlderBooks) -> dict[str, Document]:
    """What the worker of form 2 answered: the result of each message, by its id."""
    path = FOLDER / f"form-{older.form}" / "replies.json.gz"
    found: dict[str, Document] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def gone_on(older: OlderBooks) -> dict[str, list[Document]]:
    """The rows of some collections when the worker of that form had gone on with its books, by collection."""
    rows, _ = _read_rows(FOLDER / f"form-{older.form}" / "gone-on.bson.gz")
    return rows


def form_1() -> OlderBooks:
    """The books of form 1."""
    return _read(1, datetime(2026, 11, 27, 8, 4, 56, 456000, tzinfo=UTC))


def form_2() -> OlderBooks:
    """The books of form 2: a few, with large documents."""
    return _read(2, datetime(2026, 11, 26, 9, 0, 1, 199000, tzinfo=UTC))


def form_5() -> OlderBooks:
    """The books of form 5: subscriptions of all sorts, and their bills."""
    return _read(5, datetime(2026, 9, 5, 9, tzinfo=UTC))


def form_6() -> OlderBooks:
    """The books of form 6: charges, billed and not."""
    return _read(6, datetime(2026, 11, 22, 9, tzinfo=UTC))
