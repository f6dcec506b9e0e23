"""The message that tells of the seller: `seller.update`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator
from pydantic_core import to_json

from domain.errors import Refused
from domain.parties import model as parties
from domain.parties.model import SellerResult
from schemas.documents import in_order, plain
from schemas.message import Message, Result, message_key
from schemas.parties.events import READ_ONLY, seller_json
from schemas.parties.legal_entity import check_changes, compacted
from schemas.values import Json, Revision

SELLER_BYTES_MAX = 64 * 1024
"""The most bytes of the seller's document, whatever it was patched together from: each order looks at it."""


def _result(result: SellerResult) -> Json:
    return {"version": result.seller.version, "seller": seller_json(result.seller)}


def check_size(document: Mapping[str, object]) -> None:
    """Raise `Refused` (`invalid`) for a seller's document that is too large."""
    if len(to_json(document)) > SELLER_BYTES_MAX:
        raise Refused("invalid", f"changes: the seller's document would have more than {SELLER_BYTES_MAX} bytes")


class SellerUpdate(Message):
    """`seller.update`: a JSON merge patch (RFC 7396) of what is said of the seller; the first one begins with nothing.

    With `ifRevision` only if that is the seller's version.
    """

    TYPE: ClassVar[str] = "seller.update"
    RESULT = Result(SellerResult, {"version": "Version", "seller": "Seller"}, _result)

    if_revision: Revision | None = None
    changes: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _plain_changes(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("changes"), dict):
            return data
        return {**data, "changes": in_order(plain(data["changes"], "changes"))}

    def key(self, message_id: str | None) -> str:
        """The message's id."""
        return message_key(message_id)

    def check_new(self) -> None:
        """Raise `Refused` (`invalid`) for changes that make no legal entity, each named."""
        check_changes(self.changes)

    def fact(self, key: str) -> parties.SellerUpdate:
        """The update; `Refused` (`invalid`) when it patches what a client may not."""
        read_only = sorted(READ_ONLY & self.changes.keys())
        if read_only:
            raise Refused("invalid", "; ".join(f"changes.{name}: may not be patched" for name in read_only))
        return parties.SellerUpdate(self.if_revision, compacted(self.changes), check_size)


MESSAGES: tuple[type[Message], ...] = (SellerUpdate,)
