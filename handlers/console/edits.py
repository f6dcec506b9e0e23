"""What an operator wants to be otherwise with a message, or with many: read of options, written down, made an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ValidationError

from adapters.operations.parked import Letter
from domain.errors import Refused
from handlers.console.bodies import Number, parsed, with_value, written
from handlers.console.terminal import stop
from schemas.incoming import faults
from schemas.message import invalid
from schemas.operations.acts import Edit
from schemas.operations.messages import ParkedEdit
from schemas.wire import text_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be otherwise: values at paths, of the envelope what is not None; a header that is None goes away."""

    sets: tuple[str, ...] = ()
    type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, str | None] | None = None
    encoding: str | None = None

    @property
    def of_envelope(self) -> bool:
        """Whether anything but the body is to be otherwise."""
        return bool(self.headers) or any(one is not None for one in (self.type, self.message_id, self.encoding))

    @property
    def changes_something(self) -> bool:
        """Whether anything is to be otherwise."""
        return bool(self.sets) or self.of_envelope

    def edit(self, letter: Letter) -> Edit:
        """The edit of a message; raises `Refused` (`invalid`, `malformed`) for what can't be done with it."""
        if not self.sets:
            return self.with_body(None)
        edit = self.with_body(self._body(letter))
        # Read as it is packed; what is written is a text.
        return edit if self.encoding is None else replace(edit, encoding="utf-8")

    def with_body(self, body: bytes | None) -> Edit:
        """The edit that gives this body, where there is one."""
        return Edit(body, self.type, self.message_id, dict(self.headers or {}), self.encoding)

    def _body(self, letter: Letter) -> bytes:
        text = text_of(letter.body, self.encoding or letter.encoding)
        try:
            return with_values(text, self.sets, self.type or letter.routing_key).encode()
        except ValueError as error:
            raise Refused("invalid", str(error)) from None

    def written_down(self) -> dict[str, Any]:
        """The same as a document keeps it."""
        return {**asdict(self), "sets": list(self.sets), "headers": [list(one) for one in (self.headers or {}).items()]}

    @staticmethod
    def read(kept: Mapping[str, Any]) -> Wanted:
        """What was written down."""
        return Wanted(tuple(kept["sets"]), kept["type"], kept["message_id"], dict(kept["headers"]), kept["encoding"])


def wanted(
    sets: Sequence[str] | None,
    type_: str | None,
    message_id: str | None,
    headers: Sequence[str] | None,
    no_headers: Sequence[str] | None,
    encoding: str | None,
) -> Wanted:
    """What the options say; ends the command where one can't be."""
    changed: dict[str, str | None] = {}
    for one in headers or ():
        name, equals, value = one.partition("=")
        if not equals:
            raise stop(f"--header {one}: must be NAME=VALUE")
        changed[name] = value
    changed |= dict.fromkeys(no_headers or ())
    for one in sets or ():
        if "=" not in one:
            raise stop(f"--set {one}: must be PATH=VALUE")
    found = Wanted(tuple(sets or ()), type_, message_id, changed, encoding)
    if found.of_envelope:
        said = {"type": type_, "messageId": message_id, "headers": changed, "encoding": encoding}
        try:
            ParkedEdit.model_validate({"id": "P", "why": "as said", **said})
        except ValidationError as error:
            raise stop(invalid(error).detail) from None
    return found


def with_values(text: str, sets: Sequence[str], routing_key: str) -> str:
    """A body changed at paths, each value as what its message takes there; raises `ValueError`.

    A value is JSON, or a text as it stands. One that could be either, as `4711`, is the text where the schema takes
    that and not the number.
    """
    try:
        value = parsed(text)
    except ValueError as error:
        raise ValueError(f"the body is not JSON ({error}): use an editor, or --file") from None
    try:
        for one in sets:
            path, _, said = one.partition("=")
            value = with_value(value, path, said)
            if _could_be_text(said):
                as_json = written(value)
                value = with_value(value, path, said, as_text=True)
                if faults(routing_key, written(value)) >= faults(routing_key, as_json):
                    value = with_value(value, path, said)
        return written(value)
    except RecursionError:
        raise ValueError("the body is nested too deep: use --file") from None


def _could_be_text(said: str) -> bool:
    try:
        return isinstance(parsed(said), Number | bool)
    except ValueError:
        return False
