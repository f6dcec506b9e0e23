"""A small validator of JSON schemas (draft 7): as much of it as our AsyncAPI document uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

Json = dict[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
_BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_SIZES = {"maxLength": ("string", 1), "minLength": ("string", -1), "maxItems": ("array", 1), "minItems": ("array", -1)}
_KNOWN = {
    "$ref", "allOf", "anyOf", "oneOf", "type", "const", "enum", "pattern", "format", "properties", "required", "items",
    "additionalProperties", "description", "default", "discriminator", "contentEncoding", *_BOUNDS, *_SIZES,
}  # fmt: skip
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Schemas:
    """The schemas of a document, which refer to each other as its components."""

    document: Json

    def problems(self, schema: Json, value: Any) -> list[str]:
        """What is wrong with a value, each with its path; empty if nothing is."""
        return list(self._problems(schema, value, ""))

    def undescribed(self, schema: Json, value: Any) -> list[str]:
        """The paths of the fields of a fitting value that no schema tells of, but where it says that there are more."""
        return list(self._undescribed([schema], value, ""))

    def at(self, reference: str) -> Any:
        """What a reference refers to; raises `KeyError` for what is not there."""
        found: Any = self.document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        return found

    def _problems(self, schema: Json, value: Any, path: str) -> Iterator[str]:
        assert schema.keys() <= _KNOWN, f"keywords that are not known: {schema.keys() - _KNOWN}"
        if "$ref" in schema:
            yield from self._problems(self.at(schema["$ref"]), value, path)
            return
        for part in schema.get("allOf", []):
            yield from self._problems(part, value, path)
        for keyword, most in (("anyOf", None), ("oneOf", 1)):
            if keyword in schema:
                branches = [list(self._problems(branch, value, path)) for branch in schema[keyword]]
                fit = sum(not branch for branch in branches)
                if not fit:
                    yield from min(branches, key=len)
                elif most and fit > most:
                    yield f"{path}: fits {fit} of {keyword}"
        yield from self._plain(schema, value, path)
        if isinstance(value, dict):
            yield from (f"{path}.{name}: is missing" for name in schema.get("required", []) if name not in value)
            for name, inner in schema.get("properties", {}).items():
                if name in value:
                    yield from self._problems(inner, value[name], f"{path}.{name}")
        if isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                yield from self._problems(schema["items"], item, f"{path}.{index}")

    def _plain(self, schema: Json, value: Any, path: str) -> Iterator[str]:
        expected = schema.get("type", [])
        if expected and not any(_is(value, name) for name in ([expected] if isinstance(expected, str) else expected)):
            yield f"{path}: is no {expected}"
        if "const" in schema and (
            value != schema["const"] or isinstance(value, bool) != isinstance(schema["const"], bool)
        ):
            yield f"{path}: is not {schema['const']!r}"
        if "enum" in schema and value not in schema["enum"]:
            yield f"{path}: is not one of {schema['enum']}"
        if isinstance(value, str):
            if not re.search(schema.get("pattern", ""), value):
                yield f"{path}: does not match {schema['pattern']}"
            if not _has_format(schema.get("format"), value):
                yield f"{path}: is no {schema['format']}"
        for name, holds in _BOUNDS.items():
            if name in schema and _is(value, "number") and not holds(value, schema[name]):
                yield f"{path}: {name} is {schema[name]}"
        for name, (type_, sign) in _SIZES.items():
            if name in schema and _is(value, type_) and sign * len(value) > sign * schema[name]:
                yield f"{path}: {name} is {schema[name]}"

    def _undescribed(self, schemas: list[Json], value: Any, path: str) -> Iterator[str]:
        applied = [one for schema in schemas for one in self._applied(schema, value)]
        if isinstance(value, list):
            items = [one["items"] for one in applied if "items" in one]
            for index, item in enumerate(value):
                yield from self._undescribed(items, item, f"{path}.{index}")
        if isinstance(value, dict):
            told = {name for one in applied for name in one.get("properties", {})}
            is_open = not told or any(one.get("additionalProperties") is True for one in applied)
            for name, inner in value.items():
                if name in told:
                    of_it = [one["properties"][name] for one in applied if name in one.get("properties", {})]
                    yield from self._undescribed(of_it, inner, f"{path}.{name}")
                elif not is_open:
                    yield f"{path}.{name}"

    def _applied(self, schema: Json, value: Any) -> Iterator[Json]:
        """The schemas that a schema is made of, as far as they apply to a value."""
        if "$ref" in schema:
            yield from self._applied(self.at(schema["$ref"]), value)
            return
        yield schema
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, []):
                if not self.problems(part, value):
                    yield from self._applied(part, value)


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _has_format(name: str | None, value: str) -> bool:
    try:
        if name == "date-time":
            return _DATE_TIME.fullmatch(value) is not None and bool(datetime.fromisoformat(value.upper()))
        if name == "date":
            return bool(date.fromisoformat(value))
    except ValueError:
        return False
    assert name is None, f"a format that is not known: {name}"
    return True
