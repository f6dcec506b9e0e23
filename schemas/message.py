"""What all messages share: type, business key, digest, the fact that a message says and what that results in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from domain.errors import Refused
from domain.frozen import dataclass
from schemas.shapes import Shape
from schemas.values import ID_ALPHABET, Id, Json, is_id, shown

_DETAIL_MAX = 1_000
_ERRORS_MAX = 20

T = TypeVar("T")


class Part(BaseModel):
    """A part of a message; what it does not know is ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, regex_engine="python-re")


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What the sender of a message is told once it is applied: what `render` makes of the domain's result.

    `kind` is the type of that result, `shape` what it is like when it is rendered. Results of one kind are rendered
    alike, whatever message they are of.
    """

    kind: type[T]
    shape: Shape
    render: Callable[[T], Json]


class Message(Part):
    """A message that came in and fits its schema.

    Its class declares all that there is to say of it; its capability lists it in `MESSAGES`.
    """

    TYPE: ClassVar[str]
    """Its routing key."""
    RESULT: ClassVar[Result[Any]]
    KEY_FIELD: ClassVar[str | None] = None
    """Where its business key stands; None where that is the message's id."""
    ACCOUNT_PATH: ClassVar[str | None] = None
    """Where the account stands that it is about; None for nobody's. Both are read of what does not fit, too."""
    IS_LIGHT: ClassVar[bool] = False
    """Whether more fit one transaction than of others: it writes little and no event, or nobody waits for it."""

    def key(self, message_id: str | None) -> str:
        """The business key, which with the type is the fact's identity; `message_id` is the AMQP property."""
        raise NotImplementedError

    def fact(self, key: str) -> object:
        """What it says, in the domain's words; raises `Refused` (`invalid`) for what can't be."""
        raise NotImplementedError

    def check_new(self) -> None:
        """Raise `Refused` for what is wrong of a message that is not known yet, and was right at another time.

        What was taken in once, and what is delivered again, is not asked.
        """

    def digest(self, version: int) -> str:
        """The digest of the validated content, as that version of it is made; a `KeyError` if there never was one."""
        return DIGESTS[version](self)


class InternalMessage(Message):
    """A message of ours, which may be held, and is never taken from a queue.

    One that a worker says to itself its capability lists in `INTERNAL`.
    """

    FACT: ClassVar[type]
    """The facts that it is made of."""

    @classmethod
    def of(cls, fact: Any) -> Self:
        """The message that says a fact of the type `FACT`."""
        raise NotImplementedError


class Continuation(InternalMessage):
    """What a fact leaves to do: it is held until then.

    Its capability lists it in `CONTINUATIONS`.
    """


def _digest_1(message: Message) -> str:
    """SHA-256 of the content's JSON: known fields, decimals normalised, times in UTC, defaults filled in."""
    # What model_dump_json() calls, and decodes into a text that would be encoded again.
    return sha256(message.__pydantic_serializer__.to_json(message, by_alias=True, exclude_none=True)).hexdigest()


DIGESTS: dict[int, Callable[[Message], str]] = {1: _digest_1}
"""How a digest is made, in each version that there ever was: rows keep the one of their time for ever.

Whatever gives any message another digest than before is a new version (a field that is added is no such thing if it is
left out where it is not said), and the old one goes on giving what it gave. A new version is a new form of the
database, too: a worker that does not know it must not run on rows that have it.
"""
DIGEST_VERSION = 1
"""The version in which digests are recorded now."""


def at_most(limit: int) -> Callable[[tuple[T, ...]], tuple[T, ...]]:
    """A check that an array has no more than so many parts."""

    # Checked when the parts are good: pydantic's own check would say of a bad part that there are too few.
    def check(parts: tuple[T, ...]) -> tuple[T, ...]:
        if len(parts) > limit:
            raise ValueError(f"holds {len(parts)}, more than {limit}")
        return parts

    return check


def not_empty(parts: tuple[T, ...]) -> tuple[T, ...]:
    """A check that an array has a part."""
    if not parts:
        raise ValueError("must hold at least one")
    return parts


class Reference(Part):
    """A TMF reference: what counts is its id."""

    id: Id


def message_key(message_id: str | None, field: str | None = None) -> str:
    """The message's id, as the key of a message that has no other.

    `field` is what would have been the key. Raises `Refused` (`invalid`) when there is none that will do.
    """
    stem, _, place = (message_id or "").rpartition(":")  # `<message_id>:<n>` of an array may be longer
    if not is_id(message_id) and not (is_id(stem) and place.isdecimal() and place.isascii()):
        without = f"{field}: without it" if field else "message_id:"
        raise Refused("invalid", f"{without} the message needs a message_id: {ID_ALPHABET}")
    assert message_id is not None
    return message_id


def invalid(error: ValidationError) -> Refused:
    """The refusal that names each field that does not fit, and its value."""
    fields = {".".join(map(str, problem["loc"])) for problem in error.errors(include_url=False, include_input=False)}
    return Refused("invalid", _detail(error), tuple(sorted(fields - {""})[:_ERRORS_MAX]))


WORDS: dict[str, str] = {
    "missing": "is needed",
    "string_type": "must be a text",
    "string_unicode": "holds a lone surrogate",
    "string_too_long": "is longer than {max_length} characters",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
    "int_type": "must be a whole number, as 5",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "extra_forbidden": "is no field of this",
}
"""What pydantic finds wrong, by its name for it, in words that need neither pydantic nor Python."""
_OURS = ("value_error", "no_id", "of_a_part", "not_of_this_place")
"""What our own checks find wrong: they say it themselves."""


def words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, by one of the errors of a `ValidationError`."""
    if problem["type"] in _OURS:
        return str(problem["msg"]).removeprefix("Value error, ")
    said = WORDS.get(problem["type"])
    return "does not fit" if said is None else said.format_map(problem.get("ctx", {}))


def _detail(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False)[:_ERRORS_MAX]:
        path, given = ".".join(str(part) for part in problem["loc"]), problem["input"]
        if problem["type"] == "missing" or not path or (isinstance(given, list) and problem["type"] == "value_error"):
            got = ""
        elif isinstance(given, dict) and given.keys() >= {"unit", "value"}:
            got = f" (got {shown(given['value'])} {given['unit']!s:.10})"
        else:
            got = f" (got {shown(given)})"
        problems.append(f"{path}: {words(problem)}{got}" if path else words(problem))
    if error.error_count() > _ERRORS_MAX:
        problems.append(f"and {error.error_count() - _ERRORS_MAX} more")
    return "; ".join(problems)[:_DETAIL_MAX].encode(errors="replace").decode()
