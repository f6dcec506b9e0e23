"""JSON documents that are kept whole, whatever they hold: what of them can be kept, and what of them is content."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from schemas.values import DIGITS_MAX, INTEGER_MAX, shown, unkeepable


def plain(value: Any, path: str = "") -> Any:
    """A JSON value that a document can keep as it is, numbers as the database has them; `ValueError` names the rest."""
    if isinstance(value, dict):
        for key in value:
            problem = unkeepable(key)
            if problem:
                raise ValueError(f"{path or 'the document'}: a field's name {problem} (got {shown(key)})")
        return {key: plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, f"{path}.{index}") for index, item in enumerate(value)]
    problem = None
    if isinstance(value, str):
        problem = unkeepable(value)  # how long it may be is said where it is known what it is
    elif isinstance(value, int):
        problem = None if abs(value) <= INTEGER_MAX else "must be an integer within ±2^53"
    elif value is not None:  # a number with a point or an exponent
        number = float(value)
        exact = str(value).replace(".", "").replace("-", "").strip("0")
        if not isfinite(number) or len(exact) > DIGITS_MAX:
            problem = f"must be a number of at most {DIGITS_MAX} significant digits: send it as a text"
        else:  # 1000 and 1000.00 are one number, and so one content
            value = int(number) if number.is_integer() and abs(number) <= INTEGER_MAX else number
    if problem:
        raise ValueError(f"{path}: {problem} (got {shown(value)})")
    return value


def in_order(value: Any) -> Any:
    """The same JSON value with its fields in one order: the order in which they are written is not content."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def without_nulls(value: Any) -> Any:
    """The same JSON value without the fields that are null: TMF's schemas know no null, it means not said."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def exact(value: Any) -> Any:
    """A document's JSON value as it came in: what the database keeps as doubles are decimals (see `schemas.wire`)."""
    if isinstance(value, Mapping):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return Decimal(repr(value)) if isinstance(value, float) else value
