"""The seller as it goes out, and the event that tells that it has changed."""

from __future__ import annotations

from domain.parties.model import Seller, SellerChanged
from schemas.event import Event
from schemas.values import Json, time_json

READ_ONLY = frozenset({"version", "lastUpdate"})
"""The fields that we say of the seller, which no patch may name."""


def seller_json(seller: Seller) -> Json:
    """The seller's document as it came in, with its version and the time of that laid over it."""
    return {**seller.document, "version": seller.version, "lastUpdate": time_json(seller.updated_at)}


def _changed(event: SellerChanged) -> Json:
    return {"seller": seller_json(event.seller), "changed": list(event.changed)}


EVENTS = (
    Event(
        "seller.changed",
        SellerChanged,
        "What is said of the seller was changed: invoices that are issued from now on name this version.",
        {"seller": "Seller", "changed": [str]},
        _changed,
        of_account=False,
    ),
)
