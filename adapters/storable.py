"""JSON objects with whatever names, as the database can keep them.

MongoDB takes a name that is empty, holds a dot or begins with a dollar in some places and not in others, reads it as
a path or an operator in the next, and a driver makes a reference of its own of `{"$ref", "$id"}`. So an object in which
there is such a name, at whatever depth, is kept as the bytes of its JSON, and any other as what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json


def storable(value: Mapping[str, Any]) -> Mapping[str, Any] | bytes:
    """A JSON object as it is kept."""
    return value if _is_plain(value) else to_json(value)


def restored(kept: Mapping[str, Any] | bytes) -> Mapping[str, Any]:
    """The JSON object that is kept so."""
    if isinstance(kept, bytes):
        found: Mapping[str, Any] = from_json(kept)
        return found
    return kept


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not name or name[0] == "$" or "." in name:
                return False
            if isinstance(item, Mapping | list | tuple) and not _is_plain(item):
                return False
        return True
    return all(not isinstance(item, Mapping | list | tuple) or _is_plain(item) for item in value)
