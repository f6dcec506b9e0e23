"""A small validator of OpenAPI 3.0 schemas: as much of it as TM Forum's files use."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.accounts.tmf666 import RESOURCES

Json = dict[str, Any]

_KEYWORDS = {
    "$ref", "allOf", "oneOf", "discriminator", "type", "format", "enum", "items", "properties", "required",
    "description", "example", "default", "nullable",
}  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class OpenApi:
    """An OpenAPI document; `strict` about the values of discriminators.

    To be strict is to take no type that the file does not know, which TM Forum's own examples fail; else such a value
    leaves the schema where it stands to decide, and of alternatives one that fits is enough.
    """

    document: Json
    strict: bool = False

    def problems(self, schema: str, value: Any) -> list[str]:
        """What is wrong with a value by a schema of the document, each with its path; empty if nothing is."""
        return list(dict.fromkeys(self._problems({"$ref": f"#/components/schemas/{schema}"}, value, "")))

    def fields(self, schema: str) -> tuple[set[str], set[str]]:
        """The properties of a schema, and those that are mandatory; parts that it is made of included."""
        found: Json = self.document["components"]["schemas"][schema]
        fields, mandatory = set(found.get("properties", {})), set(found.get("required", []))
        for part in found.get("allOf", []):
            if "$ref" in part:
                more = self.fields(part["$ref"].rpartition("/")[2])
            else:
                more = set(part.get("properties", {})), set(part.get("required", []))
            fields, mandatory = fields | more[0], mandatory | more[1]
        return fields, mandatory

    def parts(self, schema: str) -> set[str]:
        """The names of the schemas that a schema refers to, mapped kinds included."""
        found = set()
        todo: list[Any] = [self.document["components"]["schemas"][schema]]
        while todo:
            value = todo.pop()
            if isinstance(value, dict | list):
                todo += value.values() if isinstance(value, dict) else value
            elif isinstance(value, str) and value.startswith("#/components/schemas/"):
                found.add(value.rpartition("/")[2])
        return found

    def _problems(self, schema: Json, value: Any, path: str, *, as_part: bool = False) -> Iterator[str]:
        if "$ref" in schema:
            schema = self._at(schema["$ref"])
        assert schema.keys() <= _KEYWORDS, f"keywords that are not known: {schema.keys() - _KEYWORDS}"
        # A part of another schema is not asked for its kinds: the whole was.
        if "discriminator" in schema and not as_part:
            yield from self._by_kind(schema, value, path)
        else:
            yield from self._plain(schema, value, path)

    def _by_kind(self, schema: Json, value: Any, path: str) -> Iterator[str]:
        name, mapping = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
        said = value.get(name) if isinstance(value, dict) else None
        if isinstance(said, str) and said in mapping:
            yield from self._plain(self._at(mapping[said]), value, path)
        elif self.strict or ("oneOf" in schema and said is None):
            yield f"{path}: {name} is {said!r}, not one of {sorted(mapping)}"
        elif "oneOf" in schema:
            branches = [list(self._problems(branch, value, path)) for branch in schema["oneOf"]]
            yield from min(branches, key=len)
        else:
            yield from self._plain(schema, value, path)

    def _plain(self, schema: Json, value: Any, path: str) -> Iterator[str]:
        for part in schema.get("allOf", []):
            yield from self._problems(part, value, path, as_part=True)
        expected = schema.get("type")
        if expected and (
            not isinstance(value, _TYPES[expected]) or (isinstance(value, bool) and expected != "boolean")
        ):
            yield f"{path}: is no {expected}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{path}: is not one of {schema['enum']}"
        if isinstance(value, str) and not _has_format(schema.get("format"), value):
            yield f"{path}: is no {schema['format']}"
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._problems(schema.get("items", {}), item, f"{path}.{index}")
        if isinstance(value, dict):
            for field in schema.get("required", []):
                if field not in value:
                    yield f"{path}.{field}: is missing"
            for field, inner in schema.get("properties", {}).items():
                if field in value:
                    yield from self._problems(inner, value[field], f"{path}.{field}")

    def _at(self, reference: str) -> Json:
        found: Any = self.document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert isinstance(found, dict)
        return found


def _has_format(name: str | None, value: str) -> bool:
    try:
        if name == "date-time":
            return _DATE_TIME.fullmatch(value) is not None and bool(datetime.fromisoformat(value.upper()))
        if name == "base64":
            b64decode(value, validate=True)
    except ValueError:
        return False
    assert name in {None, "date-time", "base64"}, f"a format that is not known: {name}"
    return True


FILE = "TMF666-Account_Management-v5.0.0.oas.yaml"
FOLDER = "PAYMASTER_TEST_TMF_FOLDER"


def tmf666_file() -> OpenApi:
    """TM Forum's TMF666 file, which the project may not hold; without it the test is skipped, saying how to run it."""
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"to run it, put TM Forum's {FILE} into a folder, name that in {FOLDER} and have PyYAML installed")
    yaml = pytest.importorskip("yaml", reason="to read TM Forum's file, install PyYAML")
    # JSON has no timestamps: a time is a text.
    resolvers = {
        letter: [resolver for resolver in found if resolver[0] != "tag:yaml.org,2002:timestamp"]
        for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader = type("Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": resolvers})
    return OpenApi(yaml.load(Path(folder, FILE).read_bytes(), loader))


def examples(api: OpenApi) -> list[tuple[str, str, Json]]:
    """The file's example documents, each with its example's name and its resource; patches are no documents."""
    found: list[tuple[str, str, Json]] = []
    for name, example in api.document["components"]["examples"].items():
        value = example["value"]
        if name.endswith("Event_request"):
            ((field, document),) = value["event"].items()
            found.append((name, field[0].upper() + field[1:], document))
        elif "_update_" not in name.lower() or not name.endswith("_request"):
            documents = value if isinstance(value, list) else [value]
            found += [(name, name.partition("_")[0], document) for document in documents]
    assert {resource for _, resource, _ in found} == RESOURCES.keys()
    return found
