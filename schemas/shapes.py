"""The notation in which it is declared what goes out: results, answers and events.

A name is the schema of that name, and with a `?` at its end that or null; a tuple is an enumeration (`(str, None)` a
text or null), a list an array of its one element, and a mapping an object whose fields are always there but for those
that end in `?`. A type of Python's is JSON's type of the same kind.
"""

from __future__ import annotations

from typing import Any

Shape = Any

SHAPES: dict[str, Shape] = {
    "Money": {"unit": "Currency", "value": float},
    "Error": {"code": "ErrorCode", "detail": str},
}
"""Parts that any capability's results, answers and events may have, by name."""


def reference_to(type_: str) -> Shape:
    """A TMF reference to a resource of that type."""
    return {"@type": (f"{type_}Ref",), "@referredType": (type_,), "id": "Id"}


def page(item: Shape) -> Shape:
    """A page of a list, whose `after` is where the next one begins."""
    return {"items": [item], "after": "Cursor?"}
