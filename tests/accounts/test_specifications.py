"""What accounts refer to beside each other: specifications are created, patched, and deleted when no longer needed."""

import pytest

from domain.accounts.specifications import (
    SPECIFICATIONS,
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
    SpecificationChanged,
)
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    command,
    event_type,
    moment,
    respecify,
    specification,
    unspecify,
    update,
)

KINDS = [
    (BillFormat, "format", "bill-format"),
    (BillingCycleSpecification, "cycleSpecification", "billing-cycle-specification"),
    (BillPresentationMedia, "presentationMedia", "bill-presentation-media"),
    (DunningProcedure, "dunningProcedure", "dunning-procedure"),
]
kinds = pytest.mark.parametrize(("kind", "field", "resource"), KINDS, ids=[resource for _, _, resource in KINDS])


def test_these_are_all_of_them():
    """Each kind by the name that messages have for it."""
    assert {resource: kind for kind, _, resource in KINDS} == SPECIFICATIONS


@kinds
def test_its_life(kind, field, resource):
    """Created, changed and deleted, each an event of no account that names the fields, and a revision."""
    book = LedgerBook()
    book.take(specification("S", kind=kind, size="A4"))
    made = book.get(kind, "S")
    assert (made.state, made.revision, made.document) == ("active", 1, {"name": "S", "size": "A4"})
    assert (made.created_at, made.updated_at, made.touched) == (book.booked_at, book.booked_at, 0)
    assert book.results[f"{resource}.create:S"] == {"id": "S", "revision": 1, "specification": made}
    book.booked_at = moment("2026-11-23")
    book.take(respecify("S", kind=kind, at=1, name="new", size=None))
    changed = book.get(kind, "S")
    assert (type(changed), changed.revision, changed.document) == (kind, 2, {"name": "new"})
    assert (changed.created_at, changed.updated_at) == (made.created_at, book.booked_at)
    book.take(unspecify("S", kind=kind, at=2))
    deleted = book.get(kind, "S")
    assert (deleted.state, deleted.revision, deleted.document) == ("deleted", 3, {"name": "new"})
    assert [event.event for event in book.events] == [
        SpecificationChanged("created", made),
        SpecificationChanged("changed", changed, ("name", "size")),
        SpecificationChanged("deleted", deleted),
    ]
    assert [event_type(event.event) for event in book.events] == [
        f"{resource}.{happened}" for happened in ("created", "changed", "deleted")
    ]
    assert {(event.account, event.sequence) for event in book.events} == {(None, None)}
    assert_books_hold(book)


@kinds
def test_an_update_that_changes_nothing_is_no_change(kind, field, resource):
    """No revision, no event; it is told the revision there is."""
    book = LedgerBook()
    book.take(specification("S", kind=kind), respecify("S", kind=kind, name="S", other=None), respecify("S", kind=kind))
    assert (book.get(kind, "S").revision, len(book.events)) == (1, 1)
    assert [result["revision"] for result in book.results.values()] == [1, 1, 1]


@kinds
def test_what_is_not_there_yet_is_waited_for(kind, field, resource):
    """A patch and a deletion wait for the creation, and then follow in the order they came."""
    book = LedgerBook()
    book.take(respecify("S", kind=kind, name="new"), unspecify("S", kind=kind))
    assert {(why.code, why.waits_for) for _, why in book.waiting.values()} == {
        ("unknown-specification", f"{resource}:S")
    }
    assert {why.detail for _, why in book.waiting.values()} == {f"id: no {resource} S"}
    book.take(specification("S", kind=kind))
    assert (book.waiting, book.refused, book.get(kind, "S").revision) == ({}, {}, 3)
    assert_books_hold(book)


def test_each_kind_has_ids_of_its_own():
    """One id may be a format, a medium and an account."""
    book = LedgerBook()
    book.take(*[specification("S", kind=kind) for kind, _, _ in KINDS], billing("S"))
    assert book.refused == {}
    book.take(unspecify("S"))
    assert [book.get(kind, "S").state for kind, _, _ in KINDS] == ["deleted", "active", "active", "active"]
    assert_books_hold(book)


@kinds
def test_an_id_is_used_once(kind, field, resource):
    """Neither while it is there nor after it was deleted."""
    book = LedgerBook()
    book.take(specification("S", kind=kind))
    for identity in ("again:1", "again:2"):
        held = book.holdings()
        book.take_as(identity, specification("S", kind=kind))
        why = book.refused[identity]
        assert (why.code, why.detail) == ("conflicting-duplicate", f"id: {resource} S exists already, or did")
        assert book.holdings() == held
        book.take(unspecify("S", kind=kind))


@kinds
@pytest.mark.parametrize("change", [respecify, unspecify])
def test_another_revision_is_refused(kind, field, resource, change):
    """It names the revision that was said and the one there is."""
    book = LedgerBook()
    refused = book.refusal(specification("S", kind=kind), change("S", kind=kind, at=2))
    assert refused == ("revision-mismatch", "ifRevision: 2, but S is at revision 1")


@kinds
@pytest.mark.parametrize("change", [respecify, unspecify])
def test_what_is_deleted_is_not_changed(kind, field, resource, change):
    """Nor deleted again; nor does anything wait for it."""
    book = LedgerBook()
    refused = book.refusal(specification("S", kind=kind), unspecify("S", kind=kind), change("S", kind=kind))
    assert refused == ("invalid", f"id: {resource} S is deleted")


def test_a_document_that_does_not_fit_is_refused():
    """As a whole: the patch is fine by itself, what it makes is not."""
    book = LedgerBook()
    refused = book.refusal(specification("S"), respecify("S", name=None))
    assert refused == ("invalid", "name: must be a text (got None)")


@kinds
def test_it_is_not_deleted_while_an_account_refers_to_it(kind, field, resource):
    """Each reference writes it, so that a deletion at the same time fails; it is no new revision of it."""
    book = LedgerBook()
    book.take(specification("S", kind=kind), billing("BA-1", refersTo={field: "S"}))
    referred = book.get(kind, "S")
    assert (referred.touched, referred.revision, len(book.events)) == (1, 1, 2)
    refused = book.refusal(unspecify("S", kind=kind))
    assert refused == ("invalid", f"id: S can't be deleted, account BA-1 refers to it ({field})")
    book.take(billing("BA-2", refersTo={field: "S"}), update("BA-1", name="new"), update("BA-1", refersTo=None))
    assert book.get(kind, "S").touched == 2
    assert book.refusal(unspecify("S", kind=kind))[1].endswith(f"account BA-2 refers to it ({field})")
    book.take(command("delete", "BA-2"), unspecify("S", kind=kind))
    assert book.get(kind, "S").state == "deleted"
    assert_books_hold(book)


@kinds
def test_what_is_deleted_is_not_referred_to(kind, field, resource):
    """By no account, new or old."""
    book = LedgerBook()
    book.take(specification("S", kind=kind), unspecify("S", kind=kind), billing("BA-1"))
    path = field if kind is DunningProcedure else f"billStructure.{field}"
    said = ("invalid", f"{path}.id: {resource} S is deleted")
    assert book.refusal(update("BA-1", refersTo={field: "S"})) == said
    assert book.refusal(billing("BA-2", refersTo={field: "S"})) == said
    assert_books_hold(book)


def test_several_media():
    """An account's bills may go out on more than one."""
    book = LedgerBook()
    media = [specification(f"M-{n}", kind=BillPresentationMedia) for n in (1, 2, 3)]
    book.take(*media, billing("BA-1", refersTo={"presentationMedia": ["M-1", "M-2"]}))
    book.take(update("BA-1", refersTo={"presentationMedia": ["M-2", "M-3"]}))
    assert {to for _, _, to in book.links()} == {"M-2", "M-3"}
    assert [book.get(BillPresentationMedia, f"M-{n}").touched for n in (1, 2, 3)] == [1, 1, 1]
    assert_books_hold(book)
