"""Bodies that are JSON, written so that people can read and edit them: a number keeps its digits as they came."""

from __future__ import annotations

import json
from typing import Any


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def parsed(text: str) -> Any:
    """The value of a JSON text; raises `ValueError` for what is none, or is nested too deep."""
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def written(value: Any, indent: str = "") -> str:
    """A value that was `parsed`, in lines."""
    inner = indent + "  "
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict) and value:
        lines = [f"{inner}{_text(name)}: {written(item, inner)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + written(item, inner) for item in value) + f"\n{indent}]"
    return _text(value)


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which can only be written as an escape
        return json.dumps(value)
    return text


def pretty(text: str) -> str | None:
    """A JSON text in lines; None for what is not JSON."""
    try:
        return written(parsed(text))
    except (ValueError, RecursionError):
        return None


def with_value(value: Any, path: str, text: str, *, as_text: bool = False) -> Any:
    """A value changed at a dotted path (`items.0.quantity`) to what `text` says, in JSON or as it stands.

    Raises `ValueError` that says what is wrong with the path.
    """
    try:
        new = text if as_text else parsed(text)
    except ValueError:
        new = text
    *way, last = path.split(".")
    place = value
    for step in way:
        place = place[_step(place, step, path)]
    place[_step(place, last, path, new=True)] = new
    return value


def _step(place: Any, step: str, path: str, *, new: bool = False) -> Any:
    if isinstance(place, dict):
        if not new and step not in place:
            raise ValueError(f"{path}: there is no {step}")
        return step
    if not isinstance(place, list):
        raise ValueError(f"{path}: {step} is beyond what has parts")
    if not step.isdecimal() or int(step) >= len(place):
        raise ValueError(f"{path}: {step} is no item of {len(place)}, counted from 0")
    return int(step)
