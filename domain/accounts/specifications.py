"""The resources that accounts refer to: billing cycles, bill formats, presentation media, dunning procedures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Literal

from domain.accounts.cycles import is_automatic
from domain.accounts.references import assert_unreferenced
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.merge_patch import changed_fields, merge_patch


@dataclass(frozen=True, slots=True)
class Specification:
    """One of TMF666's resources beside the accounts, or one like these: `document` is what clients said of it, whole.

    `revision` counts what messages changed, `touched` what referred to it.
    """

    RESOURCE: ClassVar[str]
    """Its name in messages."""
    FIELD: ClassVar[str]
    """The field of an account, or of its bill structure, that refers to it."""

    id: str
    state: Literal["active", "deleted"]
    revision: int
    created_at: datetime
    updated_at: datetime
    document: Mapping[str, object]
    touched: int = 0


AUTOMATIC = "automatic"
"""The queue of the billing cycle specifications whose runs begin by themselves."""


class BillingCycleSpecification(Specification):
    """When an account is billed. Those whose runs begin by themselves stand in a queue, the oldest first."""

    __slots__ = ()
    RESOURCE = "billing-cycle-specification"
    FIELD = "cycleSpecification"

    @property
    def owner(self) -> str:
        """The queue."""
        return AUTOMATIC

    @property
    def order_key(self) -> tuple[datetime, str]:
        """Its place in it."""
        return (self.created_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether its runs begin by themselves."""
        return self.state == "active" and is_automatic(self.document)

    @property
    def runs(self) -> str | None:
        """The queue that it stands in, if any."""
        return AUTOMATIC if self.is_open else None


class BillFormat(Specification):
    """How a bill is laid out."""

    __slots__ = ()
    RESOURCE = "bill-format"
    FIELD = "format"


class BillPresentationMedia(Specification):
    """What a bill is sent on."""

    __slots__ = ()
    RESOURCE = "bill-presentation-media"
    FIELD = "presentationMedia"


Action = Literal["remind", "charge", "suspend", "collect"]
"""What a step of a dunning procedure does."""


class DunningProcedure(Specification):
    """What is done, step by step, about what an account owes for too long: ours, TMF666 has none."""

    __slots__ = ()
    RESOURCE = "dunning-procedure"
    FIELD = "dunningProcedure"


SPECIFICATIONS: dict[str, type[Specification]] = {
    kind.RESOURCE: kind for kind in (BillingCycleSpecification, BillFormat, BillPresentationMedia, DunningProcedure)
}
"""The kinds of specification, by the name that messages have for them."""


@dataclass(frozen=True, slots=True)
class NewSpecification:
    """`<resource>.create`."""

    kind: type[Specification]
    id: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SpecificationUpdate:
    """`<resource>.update`: a merge patch; `check` gives the document as it is kept, or raises `Refused`."""

    kind: type[Specification]
    id: str
    if_revision: int | None
    changes: Mapping[str, object]
    check: Callable[[Mapping[str, object]], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class SpecificationDeletion:
    """`<resource>.delete`: only of what no account refers to."""

    kind: type[Specification]
    id: str
    if_revision: int | None = None


@dataclass(frozen=True, slots=True)
class SpecificationChanged:
    """A specification was created, changed or deleted; `changed` names the fields."""

    happened: Literal["created", "changed", "deleted"]
    specification: Specification
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpecificationResult:
    """What a message about a specification is answered with: the specification as it leaves it."""

    specification: Specification


def specification_needs(
    fact: NewSpecification | SpecificationUpdate | SpecificationDeletion, _books: WorkingSet
) -> Iterator[Need]:
    """What a fact about a specification looks at: whether it is there."""
    yield DocumentNeed(fact.kind, fact.id)


def create_specification(new: NewSpecification, books: Books) -> SpecificationResult:
    """Create a specification; returns its id, revision and document.

    Raises `Refused` (`conflicting-duplicate`) for an id that is used, or was.
    """
    if books.find(new.kind, new.id) is not None:
        raise Refused("conflicting-duplicate", f"id: {new.kind.RESOURCE} {new.id} exists already, or did")
    made = new.kind(new.id, "active", 1, books.booked_at, books.booked_at, new.document)
    books.announce(f"{new.kind.RESOURCE}:{new.id}")
    return _tell(SpecificationChanged("created", made), books)


def update_specification(update: SpecificationUpdate, books: Books) -> SpecificationResult:
    """Patch a specification's document; one that changes nothing is no change.

    Raises `MustWait` (`unknown-specification`), `Refused` (`revision-mismatch`, or `invalid` for a document that does
    not fit the resource).
    """
    found = _existing(update.kind, update.id, update.if_revision, books)
    document = merge_patch(found.document, update.changes)
    assert isinstance(document, Mapping)
    document = update.check(document)
    changed = changed_fields(found.document, document)
    if not changed:
        return SpecificationResult(found)
    made = replace(found, document=document, revision=found.revision + 1, updated_at=books.booked_at)
    return _tell(SpecificationChanged("changed", made, changed), books)


def delete_specification(deletion: SpecificationDeletion, books: Books) -> SpecificationResult:
    """Delete a specification that no account refers to.

    Raises `MustWait` (`unknown-specification`), `Refused` (`revision-mismatch`, or `invalid` while an account refers to
    it).
    """
    found = _existing(deletion.kind, deletion.id, deletion.if_revision, books)
    assert_unreferenced([deletion.kind.FIELD], deletion.id, books)
    made = replace(found, state="deleted", revision=found.revision + 1, updated_at=books.booked_at)
    return _tell(SpecificationChanged("deleted", made), books)


def _existing(kind: type[Specification], id_: str, if_revision: int | None, books: Books) -> Specification:
    found = books.find(kind, id_)
    if found is None:
        raise MustWait("unknown-specification", f"id: no {kind.RESOURCE} {id_}", f"{kind.RESOURCE}:{id_}")
    if found.state == "deleted":
        raise Refused("invalid", f"id: {kind.RESOURCE} {id_} is deleted")
    if if_revision not in (None, found.revision):
        raise Refused("revision-mismatch", f"ifRevision: {if_revision}, but {id_} is at revision {found.revision}")
    return found


def _tell(event: SpecificationChanged, books: Books) -> SpecificationResult:
    made = event.specification
    books.put(made)
    books.tell(f"{made.RESOURCE}/{made.id}:{made.revision}", event)
    return SpecificationResult(made)
