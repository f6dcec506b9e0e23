"""What is said of the seller: versions that follow each other, and invoices that name the one of their time."""

from __future__ import annotations

import pytest

from domain.parties.model import SellerChanged, SellerVersion
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import LedgerBook, billing, event_type, line, moment, order, relation, sell_as, update


def test_versions_follow_each_other():
    """The first update begins with nothing, each one that changes something is a version and an event of nobody's."""
    book = LedgerBook()
    book.take(sell_as(name="Ada Ltd", address={"city": "Cork", "country": "IE"}, vatId="IE6433435F"))
    first = book.seller()
    assert (first.version, first.updated_at) == (1, book.booked_at)
    book.booked_at = moment("2026-12-01")
    book.take(sell_as(at=1, address={"city": "Dublin"}, vatId=None, more=[1]))
    said = {"name": "Ada Ltd", "address": {"city": "Dublin", "country": "IE"}, "more": [1]}
    assert (book.seller().version, book.seller().document) == (2, said)
    assert [result["version"] for result in book.results.values()] == [1, 2]
    changed = (("address", "name", "vatId"), ("address", "more", "vatId"))
    causes = tuple(book.applied)
    assert book.seller_versions() == [
        SellerVersion(1, moment("2026-11-22T12:00:00"), causes[0], changed[0], first.document),
        SellerVersion(2, moment("2026-12-01"), causes[1], changed[1], said),
    ]
    assert [(event.id, event.account, event.sequence) for event in book.events] == [
        ("seller/1", None, None),
        ("seller/2", None, None),
    ]
    assert [event.event for event in book.events] == [
        SellerChanged(first, changed[0]),
        SellerChanged(book.seller(), changed[1]),
    ]
    assert {event_type(event.event) for event in book.events} == {"seller.changed"}
    assert_books_hold(book)


def test_an_update_that_says_what_is_so_is_no_version():
    """Nor is one that takes away what is not there."""
    book = LedgerBook()
    book.take(sell_as(name="Ada"))
    book.take(sell_as(name="Ada", vatId=None))
    assert [result["version"] for result in book.results.values()] == [1, 1]
    assert len(book.seller_versions()) == len(book.events) == 1


def test_what_is_refused():
    """Another version than the message was made for, a whole that can't be kept, a first update that says nothing."""
    book = LedgerBook()
    assert book.refusal(sell_as(at=1, name="Ada")) == (
        "revision-mismatch",
        "ifRevision: 1, but nothing is said of the seller yet",
    )
    assert book.refusal(sell_as(name=None)) == (
        "invalid",
        "changes: must say something, since nothing is said of the seller yet",
    )
    assert book.refusal(sell_as(name="Ada"), sell_as(at=2, name="Bob")) == (
        "revision-mismatch",
        "ifRevision: 2, but the seller is at version 1",
    )
    assert book.refusal(sell_as(name=5)) == ("invalid", "name: must be a text (got 5)")
    assert book.seller().document == {"name": "Ada"}


@pytest.mark.parametrize("batch", [1, 2, None])
@pytest.mark.parametrize("prefetch", [True, False])
def test_an_invoice_names_its_parties_as_they_were(batch, prefetch):
    """Of an account with a payer the buyer is the payer; what changes later changes no invoice."""
    book = LedgerBook(prefetch=prefetch)
    book.take(
        billing("PAYER"),
        billing("BA-1", relationships=[relation("payer", "PAYER")]),
        order("O-1", line("1"), account="BA-1"),
        sell_as(name="Ada"),
        update("PAYER", name="Paul"),
        update("BA-1", name="Kate"),
        order("O-2", line("1"), account="BA-1"),
        sell_as(name="Bob"),
        sell_as(name="Bob"),
        order("O-3", line("1"), account="PAYER"),
        batch=batch,
    )
    named = [(i.billing_account, i.buyer_version, i.seller_version) for i in map(book.invoice, (1, 2, 3))]
    assert named == [("PAYER", 1, None), ("PAYER", 2, 1), ("PAYER", 2, 2)]
    assert_books_hold(book)


def test_a_seller_that_changes_meanwhile_holds_up_no_order():
    """An order that another worker decides on before it sees the change names the version before, and both commit."""
    book = LedgerBook()
    book.take(billing("BA-1"), sell_as(name="Ada"))
    other = book.begin()
    other.take(order("O-1", line("1")))
    book.take(sell_as(name="Bob"))
    assert book.commit(other)
    assert (book.invoice(1).seller_version, book.seller().version) == (1, 2)
    assert_books_hold(book)
