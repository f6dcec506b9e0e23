"""Dataclasses that are replaced and never changed: the type checker enforces that, and nothing does at run time.

`dataclass(frozen=True)` of the standard library sets each field through a guard, which takes six times as long, and its
`replace` looks at each field by name. An order makes some sixty such objects: the guard was a tenth of all its cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # To the type checker these are the library's own, so that a field that is set, or one that is not there, is found.
    from dataclasses import dataclass, replace
else:

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """The library's decorator without the guard; equal objects have equal hashes all the same."""
        assert frozen
        return dataclasses.dataclass(slots=slots, unsafe_hash=True)

    def replace(document: Any, /, **changes: Any) -> Any:
        """A copy with some fields changed; raises `AttributeError` for one that is not there."""
        kind = type(document)
        copy = kind(*_fields_of(kind)(document))
        for name, value in changes.items():
            setattr(copy, name, value)
        return copy


__all__ = ["dataclass", "replace"]


@cache
def _fields_of(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    # Of one field attrgetter gives the value and not a tuple of it.
    names = [field.name for field in dataclasses.fields(kind)]
    return attrgetter(*names) if len(names) > 1 else lambda document: (getattr(document, names[0]),)
