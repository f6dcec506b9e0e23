"""The seller: the business whose books these are, and each version that there was of what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from domain.frozen import dataclass

SELLER = "seller"
"""The id of the seller: one database is one seller."""


@dataclass(frozen=True, slots=True)
class Seller:
    """What is said of the seller, whole; `version` counts the messages that changed it."""

    id: str
    version: int
    updated_at: datetime
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SellerVersion:
    """The seller as one fact left it: append-only, so that an invoice can be shown as it was issued.

    `cause` is the identity of that fact, `changed` names the fields.
    """

    version: int
    booked_at: datetime
    cause: str
    changed: tuple[str, ...]
    document: Mapping[str, object]

    @property
    def id(self) -> str:
        """`seller/<version>`."""
        return f"{SELLER}/{self.version}"


@dataclass(frozen=True, slots=True)
class SellerUpdate:
    """`seller.update`: a merge patch of what is said of the seller, on version `if_version` if that is given.

    `check` raises `Refused` for a whole that can't be kept.
    """

    if_version: int | None
    changes: Mapping[str, object]
    check: Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class SellerChanged:
    """What is said of the seller has changed, in the fields named."""

    seller: Seller
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SellerResult:
    """What a message about the seller is answered with: the seller as it leaves it."""

    seller: Seller
