"""Agreements: by what terms a partner has its share, from when until when, and what was agreed of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from domain.accounts.model import SettlementTerms
from domain.frozen import dataclass
from domain.ledger.books import Books, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position


@dataclass(frozen=True, slots=True)
class AgreedTerms:
    """Terms from a day on, as a fact agreed them: `cause` is its identity, `revision` the agreement's by it."""

    valid_from: date
    terms: SettlementTerms
    revision: int
    cause: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is agreed with a partner, from `valid_from` on and, where it ends, until `valid_until`.

    It holds for whole days: from `start` on, where the seller is, until before `end`; None: without an end. `agreed` is
    all that was ever agreed of it, in the order in which that was booked.
    """

    id: str
    settlement_account: str
    valid_from: datetime
    valid_until: datetime | None
    start: date
    end: date | None
    agreed: tuple[AgreedTerms, ...]

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

    def terms_on(self, day: date) -> AgreedTerms:
        """The terms of a day on which it is in force: of the latest `valid_from` up to it, what was agreed last."""
        begun = (one for one in self.agreed if one.valid_from <= day)
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
