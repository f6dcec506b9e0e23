"""Agreements: by what terms a partner has its share, from when until when, and what was agreed of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from domain.errors import MustWait
from domain.frozen import dataclass
from domain.ledger.books import Books, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.settlement.terms import NO_CLOSING_TERMS, ClosingTerms, LineTerms


@dataclass(frozen=True, slots=True)
class AgreedTerms:
    """Terms from a day on, as a fact agreed them: `cause` is its identity, `revision` the agreement's by it.

    `terms` are what lines go by, `closing` what closings go by; None where that is nothing. `lines_as` is the first
    revision that has the same `terms`, by which lines still go; None where it is this one, or not looked for by an
    earlier version.
    """

    valid_from: date
    terms: LineTerms
    revision: int
    cause: str
    booked_at: datetime
    closing: ClosingTerms | None = None
    lines_as: int | None = None

    @property
    def of_lines(self) -> int:
        """The revision by which lines go."""
        return self.lines_as or self.revision

    @property
    def closings(self) -> ClosingTerms:
        """What closings go by."""
        return self.closing or NO_CLOSING_TERMS


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is agreed with a partner, from `valid_from` on and, where it ends, until `valid_until`.

    It holds for whole days: from `start` on, where the seller is, until before `end`; None: without an end. `agreed` is
    all that was ever agreed of it, in the order in which that was booked. `advanced` is what was paid in advance by it
    (minor units); None while nothing was. `currency` is that of its amounts; None where an earlier version wrote it,
    which knew none. `backdating` are the revisions for which what was earned on past days is still being corrected;
    None where that is none.
    """

    id: str
    settlement_account: str
    valid_from: datetime
    valid_until: datetime | None
    start: date
    end: date | None
    agreed: tuple[AgreedTerms, ...]
    currency: str | None = None
    advanced: int | None = None
    backdating: tuple[int, ...] | None = None

    @property
    def owner(self) -> str:
        """The partner's settlement account."""
        return self.settlement_account

    @property
    def order_key(self) -> tuple[date, str]:
        """Its place among the partner's agreements."""
        return (self.start, self.id)

    @property
    def is_open(self) -> bool:
        """Whether it stands among the partner's agreements: always, since a line may be of any day."""
        return True

    @property
    def revision(self) -> int:
        """How often something was agreed of it."""
        return len(self.agreed)

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return self.start <= day and (self.end is None or day < self.end)

    def terms_on(self, day: date, revision: int | None = None) -> AgreedTerms:
        """The terms of a day on which it is in force: of the latest `valid_from` up to it, what was agreed last.

        With a `revision`, as they were when it was at that.
        """
        begun = (one for one in self.agreed[:revision] if one.valid_from <= day)
        return max(begun, key=lambda one: (one.valid_from, one.revision))

    @property
    def periods(self) -> tuple[tuple[AgreedTerms, date | None], ...]:
        """Its terms as they follow on each other, each with the day on which it ends; the last with its own end."""
        turns = sorted({one.valid_from for one in self.agreed})
        return tuple(zip(map(self.terms_on, turns), (*turns[1:], self.end), strict=True))


@dataclass(frozen=True, slots=True)
class AgreementCreated:
    """Something was agreed with a partner."""

    agreement: Agreement


@dataclass(frozen=True, slots=True)
class AgreementChanged:
    """Other terms were agreed, from a day on: the last of `agreement.agreed`."""

    agreement: Agreement


def find_agreement(agreement_id: str, books: Books) -> Agreement:
    """The agreement of an id; raises `MustWait` (`unknown-agreement`)."""
    agreement = books.find(Agreement, agreement_id)
    if agreement is None:
        detail = f"agreementId: no agreement {agreement_id}"
        raise MustWait("unknown-agreement", detail, f"agreement:{agreement_id}")
    return agreement


def closing_terms_on(partner: str, day: date, books: Books) -> ClosingTerms:
    """What closings of a partner go by on a day; without an agreement, nothing. Raises `NotLoaded`."""
    agreement = agreement_on(partner, day, books)
    return NO_CLOSING_TERMS if agreement is None else agreement.terms_on(day).closings


def terms_needs(partner: str, books: WorkingSet) -> Iterator[Need]:
    """A partner's agreements, once it is known that it has any."""
    position = books.peek(Position, partner)
    if position is not None and has_agreements(position):
        yield QueueNeed(Agreement, partner, None)


def has_agreements(position: Position) -> bool:
    """Whether anything was ever agreed with a partner."""
    return position.agreements is not None


def agreement_on(partner: str, day: date, books: Books) -> Agreement | None:
    """A partner's agreement that is in force on a day; None: the terms of its account hold. Raises `NotLoaded`."""
    if not has_agreements(books.position(partner)):
        return None
    return next((one for one in books.queue(Agreement, partner) if one.holds_on(day)), None)
