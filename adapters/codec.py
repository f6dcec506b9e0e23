"""Generates the code that makes rows of documents and documents of rows, from how each kind is declared to be kept.

By hand such code says the same thing three times, and a library that works it out at run time takes twice as long. So
`make codecs` writes it. The result is checked in and reads like the rest, and a test fails when it is stale. No worker
runs what is here.

What is not declared follows from the dataclass. Its fields are the keys, in order and in camelCase; `id` is `_id` where
the row is one of a collection. A `Decimal` is kept as a string without an exponent, a `date` in ISO's form, a tuple as
a list, a dataclass as a row within the row, and None as null. What BSON knows is kept as it is.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import indent
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LINE = 120
_AS_IT_IS = (str, int, bool, datetime, Mapping, Literal)
_ROOT = Path(__file__).parent.parent
_REMEMBERED = {"_to_decimal": "Decimal", "_to_date": "date.fromisoformat", "_of_date": "date.isoformat"}
"""What the modules have so many last results of."""


class LayoutError(ValueError):
    """A declaration from which no code can be generated; it says for which kind and field, and why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a row that is not just a field under its own name.

    `of` is what of the document is kept there: a field, a property, a path of them (`account.state`); empty, it is the
    whole document. `by` is a function of a module, and is given that; what it returns is kept as it is, and `back` is
    the function that makes the field of it again. What is not simply a field, and has no `back`, is written and never
    read.
    """

    name: str
    of: str = ""
    by: Callable[[Any], Any] | None = None
    back: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the documents of a kind, a dataclass, are kept.

    `keys` are those of the row in order, if they are others than the fields: a field or property by name, or a `Key`.
    `absent` are groups of fields, the last ones, that are left out together where the first of them is None. `parts`
    are the layouts of what the document contains, as far as they differ from what follows by itself. `read`: whether
    such rows are read, too. `repeats`: a batch reads many, with few different decimals and dates, which are remembered.
    `alone`: of a part, whether it is also read by itself, of a row that was projected: its decoder is public.
    `often` are fields that are changed often while the others stay: what a document that differs in nothing else sets
    of its row is made by a function of its own.
    `shared`: of a part, whether many documents say the same: those that do have one object of it, as a rule.
    """

    kind: type
    keys: tuple[str | Key, ...] = ()
    absent: tuple[tuple[str, ...], ...] = ()
    parts: tuple[Layout, ...] = ()
    read: bool = True
    repeats: bool = False
    alone: bool = False
    often: tuple[str, ...] = ()
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """A module to write, by its dotted name: the code for some layouts; `declared` is the module that declares them."""

    name: str
    declared: str
    layouts: tuple[Layout, ...]

    @property
    def path(self) -> Path:
        """Where its source is kept."""
        return _ROOT.joinpath(*self.name.split(".")).with_suffix(".py")


def write(modules: Iterable[Module]) -> None:
    """Write the modules' sources to their files; raises `LayoutError`, and then nothing is written."""
    for path, text in [(module.path, source(module)) for module in modules]:
        path.write_text(text, encoding="utf-8")


def source(module: Module) -> str:
    """The source of a module, formatted: for each layout a function that encodes and, if it is read, one that decodes.

    `ENCODE` and `DECODE` have them by kind, `SET` those that encode what changes often, where there are any. What a
    document contains has private functions where that reads better; two modules that contain the same have one each.
    Raises `LayoutError`.
    """
    return _Source(module).text()


@dataclass(frozen=True, slots=True)
class _Member:
    """A key of a row as it was worked out: the type of what is kept there, and the field that is read of it, if any."""

    key: str
    path: str
    hint: Any
    by: Callable[[Any], Any] | None
    field: str | None
    back: Callable[[Any], Any] | None


class _Source:
    """One module's source while it comes together."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._imports: dict[str, str] = {}
        self._functions: list[str] = []
        self._private: dict[str, tuple[Layout, bool]] = {}
        self._parts: dict[type, Layout] = {}
        self._used: set[type] = set()
        self._repeats = False

    def text(self) -> str:
        encoders, decoders, setters = {}, {}, {}
        self._import("collections.abc", "Callable")
        self._import("typing", "Any")
        for layout in self._module.layouts:
            self._parts = {part.kind: part for part in layout.parts}
            self._used = set()
            self._repeats = layout.repeats
            name = _snake(layout.kind.__name__)
            encoders[self._kind(layout.kind)] = f"encode_{name}"
            self._encoder(f"encode_{name}", layout, f"{_words(layout.kind)} as a row.", is_row=True)
            if layout.read:
                decoders[layout.kind.__name__] = f"decode_{name}"
                self._decoder(f"decode_{name}", layout, f"{_words(layout.kind)} of a row.", is_row=True)
            if layout.often:
                setters[layout.kind.__name__] = f"set_{name}"
                self._setter(f"set_{name}", layout, f"{_words(layout.kind)}: what changes often.")
            if unused := self._parts.keys() - self._used:
                raise LayoutError(f"{layout.kind.__name__} contains no {', '.join(sorted(k.__name__ for k in unused))}")
        body = "\n".join(_folded(line) for line in "\n\n\n".join(self._functions).split("\n"))
        remembered = [
            f"{name} = lru_cache(maxsize=4096)({made})\n" for name, made in _REMEMBERED.items() if f"{name}(" in body
        ]
        if remembered:
            self._import("functools", "lru_cache")
            remembered.insert(0, "# What is read or written many times over is made once.\n")
        return (
            f'"""Rows of documents and back. Generated by `make codecs` of {self._module.declared}: do not edit."""\n\n'
            f"from __future__ import annotations\n\n{self._import_lines()}\n"
            "Row = dict[str, Any]\n"
            + ("\n" + "".join(remembered) if remembered else "")
            + f"\n\n{body}\n\n\n"
            + _registry("ENCODE: dict[type, Callable[[Any], Row]]", encoders)
            + "\n"
            + _registry("DECODE: dict[type, Callable[[Row], Any]]", decoders)
            + ("\n" + _registry("SET: dict[type, Callable[[Any], Row]]", setters) if setters else "")
        )

    # -- functions

    def _encoder(self, name: str, layout: Layout, docstring: str, *, is_row: bool) -> None:
        kind = self._kind(layout.kind)
        it = _variable(layout.kind)
        always, absent = _divided(layout, _members(layout, is_row=is_row))
        taken: dict[str, str] = {}
        made = self._dict(always, it, taken)
        if not absent:
            body = f"return {made}"
        else:
            body = f"row: Row = {made}\n"
            for first, *others in absent:
                value = f"{it}.{first.path}"
                if self._is_taken(first.hint):
                    value = _take(value, first.path.split(".")[-1], it, taken)
                body += f"if {value} is not None:\n"
                made = self._encoded(value, _optional(first.hint))
                body += indent(f'row["{first.key}"] = {made}\n', "    ")
                body += "".join(f'    row["{m.key}"] = {_further(self._kept(m, it, taken))}\n' for m in others)
            body += "return row"
        self._function(f"{name}({it}: {kind}) -> Row", docstring, taken, body)

    def _setter(self, name: str, layout: Layout, docstring: str) -> None:
        """Encode the fields that change often, and all keys that are no field: these may follow from any of them."""
        members = _members(layout, is_row=True)
        fields = {member.field for member in members}
        absent = {field for group in layout.absent for field in group}
        for field in layout.often:
            if field not in fields or field in absent:
                raise LayoutError(f"{layout.kind.__name__}.{field}: only a field that is always kept can be set alone")
        set_ = [member for member in members if member.field is None or member.field in layout.often]
        it, taken = _variable(layout.kind), dict[str, str]()
        made = self._dict(set_, it, taken)
        self._function(f"{name}({it}: {self._kind(layout.kind)}) -> Row", docstring, taken, f"return {made}")

    def _decoder(self, name: str, layout: Layout, docstring: str, *, is_row: bool) -> None:
        taken: dict[str, str] = {}
        made = self._made(layout, "row", taken, is_row=is_row)
        self._function(f"{name}(row: Row) -> {self._kind(layout.kind)}", docstring, taken, f"return {made}")

    def _function(self, signature: str, docstring: str, taken: Mapping[str, str], body: str) -> None:
        lines = [f'"""{docstring}"""'] if docstring else []
        lines += [f"{name} = {value}" for name, value in taken.items()]
        self._functions.append(f"def {signature}:\n{indent(chr(10).join([*lines, body]), '    ')}")

    def _private_function(self, prefix: str, kind: type) -> str:
        """The name of the function that encodes or decodes a part; it is written if it was not yet."""
        layout = self._part(kind)
        is_public = layout.alone and prefix == "decode"
        name = f"{'' if is_public else '_'}{prefix}_{_snake(kind.__name__)}"
        if self._private.setdefault(name, (layout, self._repeats)) != (layout, self._repeats):
            raise LayoutError(f"{kind.__name__} is contained in two ways in {self._module.name}")
        if not any(function.startswith(f"def {name}(") for function in self._functions):
            docstring = f"{_words(kind)} of what a document contains." if is_public else ""
            (self._encoder if prefix == "encode" else self._decoder)(name, layout, docstring, is_row=False)
            if layout.shared and prefix == "decode":
                self._import("adapters.shared", "Shared")
                self._functions.append(f"_shared_{_snake(kind.__name__)} = Shared({name})")
        return f"_shared_{_snake(kind.__name__)}" if layout.shared and prefix == "decode" else name

    # -- values as they are kept

    def _dict(self, members: Iterable[_Member], it: str, taken: dict[str, str] | None) -> str:
        lines = "".join(f'"{member.key}": {self._kept(member, it, taken)},\n' for member in members)
        return f"{{\n{indent(lines, '    ')}}}" if lines else "{}"

    def _kept(self, member: _Member, it: str, taken: dict[str, str] | None) -> str:
        value = f"{it}.{member.path}" if member.path else it
        if member.by is not None:
            self._import(member.by.__module__, member.by.__qualname__)
            return f"{member.by.__name__}({value})"
        if taken is not None and self._is_taken(member.hint):
            value = _take(value, member.path.split(".")[-1], it, taken)
        return self._encoded(value, member.hint)

    def _encoded(self, value: str, hint: Any) -> str:
        if (inner := _optional(hint)) is not None:
            return _unless_none(value, self._encoded(value, inner))
        if hint is Decimal:
            return f'f"{{{value}:f}}"'
        if hint is date:
            self._import("datetime", "date")
            return f"_of_date({value})"
        if (element := _element(hint)) is not None:
            one = _variable(element)
            made = self._encoded(one, element)
            return f"list({value})" if made == one else _comprehension("[]", made, one, value)
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            part = self._part(hint)
            if _is_flat(part):
                return self._dict(_members(part, is_row=False), value, None)
            return f"{self._private_function('encode', hint)}({value})"
        return value

    # -- values as they are read

    def _made(self, layout: Layout, row: str, taken: dict[str, str] | None, *, is_row: bool) -> str:
        members = {m.field: m for m in _members(layout, is_row=is_row) if m.field is not None}
        absent = {name for group in layout.absent for name in group}
        lines = ""
        for field in dataclasses.fields(layout.kind):
            member = members[field.name]
            if not field.init or field.kw_only:
                name = f"{layout.kind.__name__}.{field.name}"
                raise LayoutError(f"{name} can't be read: it is not given by its place")
            there = f'{row}["{member.key}"]'
            value = f'{row}.get("{member.key}")' if field.name in absent else there
            if member.back is not None:
                self._import(member.back.__module__, member.back.__qualname__)
                lines += f"{member.back.__name__}({value}),\n"
                continue
            inner = _optional(member.hint)
            # What is read twice, to see that it is there and then to make something of it.
            is_part = (isinstance(inner, type) and dataclasses.is_dataclass(inner)) or _element(inner) is not None
            if taken is not None and (self._is_taken(member.hint) or (is_part and field.name in absent)):
                value = there = _take(value, field.name, row, taken)
            made = self._decoded(there, member.hint if inner is None else inner)
            lines += f"{value if made == there else made if inner is None else _unless_none(value, made)},\n"
        return f"{self._kind(layout.kind)}(\n{indent(lines, '    ')})"

    def _decoded(self, value: str, hint: Any) -> str:
        if (inner := _optional(hint)) is not None:
            return _unless_none(value, self._decoded(value, inner))
        if hint is Decimal:
            self._import("decimal", "Decimal")
            return f"_to_decimal({value})" if self._repeats else f"Decimal({value})"
        if hint is date:
            self._import("datetime", "date")
            return f"_to_date({value})" if self._repeats else f"date.fromisoformat({value})"
        if (element := _element(hint)) is not None:
            one = _variable(element)
            made = self._decoded(one, element)
            return f"tuple({value})" if made == one else _comprehension("tuple()", made, one, value)
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            part = self._part(hint)
            if _is_flat(part):
                return self._made(part, value, None, is_row=False)
            return f"{self._private_function('decode', hint)}({value})"
        return value

    # -- names

    def _part(self, kind: type) -> Layout:
        self._used.add(kind)
        return self._parts.get(kind) or Layout(kind)

    def _is_taken(self, hint: Any) -> bool:
        """Whether a value is written out field by field unless it is None, and so needs a variable of its own."""
        inner = _optional(hint)
        return isinstance(inner, type) and dataclasses.is_dataclass(inner) and _is_flat(self._part(inner))

    def _kind(self, kind: type) -> str:
        self._import(kind.__module__, kind.__qualname__)
        return kind.__name__

    def _import(self, module: str, name: str) -> None:
        if not name.isidentifier() or name.startswith("_"):
            raise LayoutError(f"{module}.{name} can't be imported: it has to be public, and in no function or class")
        if self._imports.setdefault(name, module) != module:
            raise LayoutError(f"{self._module.name} would import {name} of {module} and of {self._imports[name]}")

    def _import_lines(self) -> str:
        by_module: dict[str, list[str]] = {}
        for name, module in self._imports.items():
            by_module.setdefault(module, []).append(name)
        sections: tuple[list[str], list[str]] = ([], [])
        for module, names in sorted(by_module.items()):
            names.sort(key=lambda name: (name[0].islower(), not name.isupper(), name.casefold()))
            line = f"from {module} import {', '.join(names)}\n"
            if len(line) > LINE + 1:
                line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
            sections[module.split(".")[0] not in sys.stdlib_module_names].append(line)
        return "\n".join("".join(lines) for lines in sections if lines)


# -- what a layout comes to


def _members(layout: Layout, *, is_row: bool) -> list[_Member]:
    """The keys of a row, in order; a row of a collection has an `_id`, and each field is kept once."""
    if not dataclasses.is_dataclass(layout.kind):
        raise LayoutError(f"{layout.kind.__name__} is no dataclass")
    fields = {field.name: field for field in dataclasses.fields(layout.kind)}
    members = []
    for key in layout.keys or fields:
        if isinstance(key, str):
            key = Key("_id" if is_row and key == "id" else _camel(key), key)
        hint = _hint(layout.kind, key.of)
        if key.by is None:
            _check(hint, f"{layout.kind.__name__}.{key.of}", ())
        field = key.of if (key.by is None or key.back is not None) and key.of in fields else None
        members.append(_Member(key.name, key.of, hint, key.by, field, key.back))
    name = layout.kind.__name__
    _check_once(f"{name}: a key", [m.key for m in members])
    _check_once(f"{name}: a field", [m.field for m in members if m.field is not None])
    if left_out := fields.keys() - {m.field for m in members}:
        raise LayoutError(f"{name}: of its fields no key keeps {', '.join(sorted(left_out))}")
    if is_row and all(m.key != "_id" for m in members):
        raise LayoutError(f"{name}: no key is the _id of its row")
    return members


def _divided(layout: Layout, members: list[_Member]) -> tuple[list[_Member], list[list[_Member]]]:
    """The members that are always there, and the groups that may be left out, which are the last."""
    by_field = {m.field: m for m in members if m.field is not None}
    for name in (name for group in layout.absent for name in group):
        if name not in by_field or _optional(by_field[name].hint) is None:
            raise LayoutError(f"{layout.kind.__name__}.{name}: only a field that may be None can be absent")
    groups = [[by_field[name] for name in group] for group in layout.absent]
    last = [m for group in groups for m in group]
    always = members[: len(members) - len(last)]
    if [*always, *last] != members:
        raise LayoutError(f"{layout.kind.__name__}: the keys that may be absent are not the last ones, in their order")
    return always, groups


def _check_once(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LayoutError(f"{what} is there twice: {', '.join(twice)}")


def _hint(kind: type, path: str) -> Any:
    """The type of what a path leads to."""
    found: Any = kind
    for name in path.split(".") if path else ():
        described = getattr(found, name, None)
        try:
            if isinstance(described, property):
                found = get_type_hints(described.fget)["return"]
            else:
                found = get_type_hints(found)[name]
        except (KeyError, TypeError):
            raise LayoutError(f"{kind.__name__}.{path}: {found} has no {name} of a known type") from None
    return found


def _check(hint: Any, where: str, within: tuple[type, ...]) -> None:
    """Raise `LayoutError` for a type that no code can be written for, here or within."""
    inner = _optional(hint)
    if inner is None:
        inner = _element(hint)
    if inner is not None:
        _check(inner, where, within)
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if hint in within:
            raise LayoutError(f"{where}: {hint.__name__} contains itself")
        for field, of in _fields(hint):
            _check(of, f"{where}.{field}", (*within, hint))
    elif hint not in (Decimal, date) and (get_origin(hint) or hint) not in _AS_IT_IS:
        raise LayoutError(f"{where}: how {hint} is kept is not known")


def _is_flat(layout: Layout) -> bool:
    """Whether it is written out where it stands: it contains nothing that is itself written field by field."""
    return not layout.absent and not any(_dataclasses_in(hint) for _, hint in _fields(layout.kind))


def _dataclasses_in(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint) or any(_dataclasses_in(inner) for inner in get_args(hint))


def _fields(kind: type) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind)
    assert dataclasses.is_dataclass(kind)
    return ((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _optional(hint: Any) -> Any:
    """Of a type that may be None, the type that it is otherwise."""
    if get_origin(hint) not in (Union, UnionType):
        return None
    others = [inner for inner in get_args(hint) if inner is not NoneType]
    return others[0] if len(others) == 1 else None


def _element(hint: Any) -> Any:
    """Of a tuple of any length, the type of what it contains."""
    match get_origin(hint), get_args(hint):
        case (origin, (element, end)) if origin is tuple and end is Ellipsis:
            return element
    return None


# -- how it is written


def _unless_none(value: str, made: str) -> str:
    if made == value:
        return value
    if "\n" not in made:
        return f"None if {value} is None else {made}"
    return f"(\n    None\n    if {value} is None\n    else {_further(made)}\n)"


def _comprehension(around: str, made: str, one: str, values: str) -> str:
    opening, closing = around[:-1], around[-1]
    if "\n" not in made:
        return f"{opening}{made} for {one} in {values}{closing}"
    return f"{opening}\n    {_further(made)}\n    for {one} in {values}\n{closing}"


def _further(text: str) -> str:
    """Lines four columns further in, but for the first."""
    return indent(text, "    ").lstrip()


def _folded(line: str) -> str:
    """A line of an expression that is too long, on several."""
    if len(line) <= LINE:
        return line
    if found := re.fullmatch(r"( *)(.*?)(None) (if .+ is None) (else .+)(),", line):
        opening, closing = "(", ")"
    elif found := re.fullmatch(r"( *)(.*?)(?:\[|tuple\()(.+) (for \w+ in .+)()()[\])],", line):
        opening, closing = ("tuple(", ")") if line.endswith("),") else ("[", "]")
    else:
        return line
    margin, before, *parts = found.groups()
    whole = f"{margin}    {' '.join(part for part in parts if part)}"
    lines = [whole] if len(whole) <= LINE else [f"{margin}    {part}" for part in parts if part]
    return "\n".join([f"{margin}{before}{opening}", *lines, f"{margin}{closing},"])


def _take(value: str, name: str, it: str, taken: dict[str, str]) -> str:
    name = f"{name}_" if name == it or name in taken else name
    taken[name] = value
    return name


def _registry(declared: str, functions: Mapping[str, str]) -> str:
    if not functions:
        return f"{declared} = {{}}\n"
    return f"{declared} = {{\n" + "".join(f"    {kind}: {name},\n" for kind, name in functions.items()) + "}\n"


def _variable(kind: Any) -> str:
    if not dataclasses.is_dataclass(kind):
        return "one"
    assert isinstance(kind, type)
    name = _snake(kind.__name__)
    return f"{name}_" if keyword.iskeyword(name) else name


def _words(kind: type) -> str:
    return _snake(kind.__name__).replace("_", " ").capitalize()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
