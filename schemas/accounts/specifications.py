"""The messages about what accounts refer to.

`billing-cycle-specification.*`, `bill-format.*` and `bill-presentation-media.*`, each with the same three commands.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from domain.accounts import specifications
from domain.accounts.specifications import SPECIFICATIONS, Specification
from domain.errors import Refused
from schemas.accounts.documents import check_document, in_order, plain, without_nulls
from schemas.accounts.messages import Patch
from schemas.accounts.tmf666 import complete
from schemas.message import Message, message_key
from schemas.values import Id, Revision, Text

_NOT_KEPT = ("id", "@type", "revision", "lastUpdate")
"""What a document goes out with that is not of its client's saying."""


class _SpecificationMessage(Message):
    KIND: ClassVar[type[Specification]]


class SpecificationCreate(_SpecificationMessage):
    """`<resource>.create`: a TMF666 document, with an id or without."""

    id: Id | None = None
    type: Annotated[Text | None, Field(alias="@type")] = None
    document: Annotated[dict[str, Any], Field(default_factory=dict)]

    @model_validator(mode="before")
    @classmethod
    def _keep_the_document(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        document = {key: value for key, value in data.items() if key not in _NOT_KEPT}
        return {"id": data.get("id"), "@type": data.get("@type"), "document": in_order(without_nulls(plain(document)))}

    def key(self, message_id: str | None) -> str:
        """The resource's id, or the message's when the id is left to us."""
        return self.id if self.id is not None else message_key(message_id, "id")

    def fact(self, key: str) -> specifications.NewSpecification:
        """The resource to create; `Refused` (`invalid`) for a document that does not fit it."""
        _check_type(self.KIND, self.type)
        document = _checked(self.KIND, self.document)
        id_ = self.id or f"S-{sha256(key.encode()).hexdigest()[:20]}"
        return specifications.NewSpecification(self.KIND, id_, document)


class SpecificationUpdate(Patch, _SpecificationMessage):
    """`<resource>.update`: a JSON merge patch (RFC 7396) of its document."""

    type: Annotated[Text | None, Field(alias="@type")] = None

    def fact(self, key: str) -> specifications.SpecificationUpdate:
        """The update; `Refused` (`invalid`) when it patches what a client may not."""
        _check_type(self.KIND, self.type)
        self.check()
        check = partial(_checked, self.KIND)
        return specifications.SpecificationUpdate(self.KIND, self.id, self.if_revision, self.changes, check)


class SpecificationDelete(_SpecificationMessage):
    """`<resource>.delete`: of one that no account refers to."""

    id: Id
    if_revision: Revision | None = None

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def fact(self, key: str) -> specifications.SpecificationDeletion:
        """The deletion."""
        return specifications.SpecificationDeletion(self.KIND, self.id, self.if_revision)


def _checked(kind: type[Specification], document: Any) -> dict[str, Any]:
    """A document that fits its resource, as it goes out; raises `Refused` (`invalid`)."""
    whole = {**document, "@type": kind.__name__}
    check_document(kind.__name__, whole)
    return complete(kind.__name__, whole)


def _check_type(kind: type[Specification], said: str | None) -> None:
    if said not in (None, kind.__name__):
        raise Refused("invalid", f"@type: must be {kind.__name__} (got {said!r:.60})")


def _of(kind: type[Specification], command: str, message: type[_SpecificationMessage]) -> type[Message]:
    return type(
        f"{kind.__name__}{command.capitalize()}",
        (message,),
        {"TYPE": f"{kind.RESOURCE}.{command}", "KIND": kind, "__doc__": message.__doc__, "__module__": __name__},
    )


SPECIFICATION_MESSAGES: tuple[type[Message], ...] = tuple(
    _of(kind, command, message)
    for kind in SPECIFICATIONS.values()
    for command, message in (
        ("create", SpecificationCreate),
        ("update", SpecificationUpdate),
        ("delete", SpecificationDelete),
    )
)
