"""How the seller is kept, and each version that there was of it."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Key, Layout
from adapters.kept import Collection, Kept
from adapters.storable import restored, storable
from domain.parties.model import Seller, SellerVersion

_SAID = "as it was sent, its VAT id, IBAN and BIC compact; as JSON where a name is one that MongoDB has a use for"
_DOCUMENT = Key("document", "document", by=storable, back=restored)

KEPT = (
    Kept(
        Layout(Seller, keys=("id", "version", "updated_at", _DOCUMENT)),
        Collection(
            "seller",
            id="`seller`: there is one",
            written="by `seller.update`",
            fields={
                "version": "how many messages have changed it",
                "updatedAt": "",
                "document": _SAID,
            },
            personal=("document",),
        ),
        at_once=True,
    ),
    Kept(
        Layout(
            SellerVersion,
            keys=("id", "version", "booked_at", "cause", "changed", _DOCUMENT),
        ),
        Collection(
            "sellerVersions",
            id="`seller/<version>`",
            written="once, one row a version",
            fields={
                "version": "",
                "bookedAt": "",
                "cause": "an identity in `inbox`",
                "changed": "field names",
                "document": "that of `seller` as that fact left it",
            },
            indexes=(
                # The seller's history, and what it was at a time.
                IndexModel([("version", ASCENDING), ("bookedAt", ASCENDING)], name="history"),
            ),
            personal=("document",),
            append_only=True,
        ),
    ),
)
