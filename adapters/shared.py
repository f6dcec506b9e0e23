"""What many documents say alike is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from bson import encode

T = TypeVar("T")

SHARED_BYTES_MAX = 4 * 1024
"""What is longer is made anew each time: it has much that is its own."""
SHARED_MAX = 512
"""So many are remembered; where there are more, it begins anew."""


class Shared(Generic[T]):
    """Makes an object of a row, which is not changed after that: the same one for rows that say the same.

    The same is what is the same as BSON: 1.0 and 1.00 are not. As a rule: of what is long, or has not come for long,
    there is another one.
    """

    def __init__(self, make: Callable[[dict[str, Any]], T]) -> None:
        self._make = make
        self._made: dict[bytes, T] = {}

    def __call__(self, row: dict[str, Any]) -> T:
        """The object of a row."""
        said = encode(row)
        found = self._made.get(said)
        if found is None:
            found = self._make(row)
            if len(said) <= SHARED_BYTES_MAX:
                if len(self._made) >= SHARED_MAX:
                    self._made.clear()
                self._made[said] = found
        return found
