"""Tables made of what each capability lists: by name, and no name twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def table(entries: Iterable[tuple[K, V]]) -> dict[K, V]:
    """The entries by their key; a key that two entries have would lose one of them: `AssertionError`."""
    made: dict[K, V] = {}
    for key, value in entries:
        assert key not in made, f"{key} is declared twice"
        made[key] = value
    return made


def merged(*tables: Mapping[K, V]) -> dict[K, V]:
    """One table of several, which have no key in common."""
    return table(entry for one in tables for entry in one.items())
