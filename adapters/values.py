"""Large values, each kept once: what a change leaves as it was is not stored again.

A document stands in many places: in its row, in each of its versions, in events, in what senders were told. Where its
JSON is long, the fields that make it so are rows of the collection `values` of their own, named by what they are, and
all these places but the document's own row refer to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from pydantic_core import from_json, to_json

Row = dict[str, Any]

VALUES = "values"
"""The collection."""
LARGE = 16 * 1024
"""A field whose JSON has more bytes than this is a value of its own: so much may be stored again for each field."""


class ValueLost(Exception):
    """A value that a row refers to is not there; the message is its id."""


def value_id(owner: str, json: bytes) -> str:
    """The `_id` of a value: whose it is, and the SHA-256 of its JSON."""
    return f"{owner}/{sha256(json).hexdigest()}"


def take_out(document: Mapping[str, Any], owner: str, values: dict[str, bytes]) -> tuple[Mapping[str, Any], list[Row]]:
    """A document without its large fields, and which stood where: `field`, `place` among all fields, `value`.

    Their JSON is put into `values`, by id. A document that has none is returned as it is.
    """
    if len(to_json(document)) <= LARGE:
        return document, []
    kept: Row = {}
    places: list[Row] = []
    for place, (field, item) in enumerate(document.items()):
        json = to_json(item)
        if len(json) <= LARGE:
            kept[field] = item
        else:
            places.append({"field": field, "place": place, "value": _put(json, owner, values)})
    return kept, places


def put_back(document: Mapping[str, Any], places: Sequence[Row], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document as it was before its large fields were taken out; `values` are read of their JSON (`read_of`).

    Raises `ValueLost`.
    """
    if not places:
        return document
    fields = list(document.items())
    for place in places:
        fields.insert(place["place"], (place["field"], _value(place, values)))
    return dict(fields)


def cut_out(body: bytes, document: Mapping[str, Any], owner: str, values: dict[str, bytes]) -> tuple[bytes, list[Row]]:
    """A body without the large fields of a document that is in it: what is left, and `at` which place of it each was.

    A field that is not found in the body, to the byte, stays in it.
    """
    parts: list[bytes] = []
    places: list[Row] = []
    end = left = 0
    for item in document.values():
        json = to_json(item)
        if len(json) > LARGE and (found := body.find(json, end)) >= 0:
            parts.append(body[end:found])
            left += found - end
            end = found + len(json)
            places.append({"at": left, "value": _put(json, owner, values)})
    return b"".join([*parts, body[end:]]), places


def put_together(left: bytes, places: Sequence[Row], values: Mapping[str, bytes]) -> bytes:
    """The body that was cut so, of the values' JSON; raises `ValueLost`."""
    parts: list[bytes] = []
    end = 0
    for place in places:
        parts += [left[end : place["at"]], _value(place, values)]
        end = place["at"]
    return b"".join([*parts, left[end:]])


def referred_to(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the values that rows refer to, each once."""
    return list(dict.fromkeys(place["value"] for row in rows for place in row.get("values", ())))


async def values_of(rows: Iterable[Mapping[str, Any]], database: Any) -> dict[str, bytes]:
    """The JSON of the values that rows refer to, by id, with one read; those that are not there are left out."""
    ids = referred_to(rows)
    if not ids:
        return {}
    found = database[VALUES].find({"_id": {"$in": ids}})
    return {row["_id"]: bytes(row["json"]) async for row in found}


def read_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is in the values of these rows of the collection, by id. However many documents have one, it is one."""
    return {row["_id"]: from_json(row["json"]) for row in rows}


def _value(place: Row, values: Mapping[str, Any]) -> Any:
    if place["value"] not in values:
        raise ValueLost(place["value"])
    return values[place["value"]]


def _put(json: bytes, owner: str, values: dict[str, bytes]) -> str:
    id_ = value_id(owner, json)
    values[id_] = json
    return id_
