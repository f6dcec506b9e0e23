"""JSON merge patch (RFC 7396): what an update says of a document's fields."""

from __future__ import annotations

from collections.abc import Mapping


def merge_patch(target: object, patch: object) -> object:
    """`target` with `patch` applied, as RFC 7396 section 2 has it; neither of them is changed.

    A field that the patch gives as null is removed, an object is merged into what is there, anything else, an array
    too, takes the place of what was there.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def changed_fields(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """The names of the fields that are not the same in two documents, in order of the alphabet."""
    names = before.keys() | after.keys()
    return tuple(sorted(name for name in names if not _same(before.get(name), after.get(name))))


def _same(one: object, other: object) -> bool:
    """Whether two JSON values are one; Python alone would take true for 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
