"""Updating what is said of the seller: a patch makes the next version, and every version is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domain.errors import Refused
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.merge_patch import changed_fields, merge_patch
from domain.parties.model import SELLER, Seller, SellerChanged, SellerResult, SellerUpdate, SellerVersion


def seller_needs(_update: SellerUpdate, _books: WorkingSet) -> Iterator[Need]:
    """What an update looks at: what was said before."""
    yield DocumentNeed(Seller, SELLER)


def update_seller(update: SellerUpdate, books: Books) -> SellerResult:
    """Patch the seller's document (RFC 7396); returns the seller as it is then. No change is no new version.

    The first update is one of a document without fields. Raises `Refused`: `revision-mismatch`, or `invalid` for a
    document that is too large, and for a first update that says nothing.
    """
    before = books.find(Seller, SELLER)
    version = 0 if before is None else before.version
    if update.if_version not in (None, version):
        said = f"the seller is at version {version}" if version else "nothing is said of the seller yet"
        raise Refused("revision-mismatch", f"ifRevision: {update.if_version}, but {said}")
    known: Mapping[str, object] = {} if before is None else before.document
    document = merge_patch(known, update.changes)
    assert isinstance(document, Mapping)
    changed = changed_fields(known, document)
    if not changed:
        if before is None:
            raise Refused("invalid", "changes: must say something, since nothing is said of the seller yet")
        return SellerResult(before)
    update.check(document)
    seller = Seller(SELLER, version + 1, books.booked_at, document)
    books.put(seller)
    books.append(SellerVersion(seller.version, books.booked_at, books.cause, changed, document))
    books.tell(f"{SELLER}/{seller.version}", SellerChanged(seller, changed))
    return SellerResult(seller)
