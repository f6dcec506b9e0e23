"""The queries about the seller: what each is asked with, and its answer."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, ValidationInfo, field_validator

from schemas.query import LIMIT_DEFAULT, Limit, Query, place_of
from schemas.shapes import Shape, page
from schemas.values import Revision, Time

SHAPES: dict[str, Shape] = {
    "SellerVersion": {
        "version": "Version",
        "bookedAt": "Time",
        "changed": [str],
        "cause": "Identity",
        "messageId": (str, None),
        "userId": (str, None),
        "actingUser": (str, None),
        "appId": (str, None),
        "correlationId": (str, None),
        "seller": "Seller",
    },
}
"""Parts of the answers, by name."""


class SellerGet(Query):
    """The seller: as it is, in one of its versions, or as it was at a time."""

    TYPE = "seller.get"
    # It stands on every invoice.
    SEEN_BY_A_PARTY = "all"
    ANSWER: ClassVar[Shape] = "Seller"
    version: Revision | None = None
    at: Time | None = None

    @field_validator("at")
    @classmethod
    def _is_not_beside_a_version(cls, at: Time | None, info: ValidationInfo) -> Time | None:
        if at is not None and info.data.get("version") is not None:
            raise ValueError("is asked for beside version: only one of them says which")
        return at


class SellerHistory(Query):
    """Every version of the seller, oldest first."""

    TYPE = "seller.history"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page("SellerVersion")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[int], BeforeValidator(place_of("seller.history", int))] | None = None


QUERIES: tuple[type[Query], ...] = (
    SellerGet,
    SellerHistory,
)
