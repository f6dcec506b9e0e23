"""Agreeing: terms with a partner for a time, and other terms from a day of it on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account, SettlementTerms
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.settlement import position
from domain.settlement.agreements import AgreedTerms, Agreement, AgreementChanged, AgreementCreated

AGREEMENTS_MAX = 100
"""The most agreements of a partner: all are read for each line of one that has any."""
CHANGES_MAX = 100
"""The most that is ever agreed of one agreement."""


@dataclass(frozen=True, slots=True)
class AgreementToCreate:
    """`agreement.create`: terms for a time. `valid_until` is None for no end."""

    id: str
    settlement_account: str
    valid_from: datetime
    valid_until: datetime | None
    terms: SettlementTerms


@dataclass(frozen=True, slots=True)
class AgreementToChange:
    """`agreement.change`: other terms from a day on."""

    agreement: str
    valid_from: date
    terms: SettlementTerms
    if_revision: int | None = None


@dataclass(frozen=True, slots=True)
class AgreementResult:
    """What is answered: the agreement, and its revision by that."""

    agreement_id: str
    revision: int


def creation_needs(new: AgreementToCreate, _books: WorkingSet) -> Iterator[Need]:
    """What a new agreement looks at."""
    yield DocumentNeed(Agreement, new.id)
    yield from _partner_needs(new.settlement_account)


def create_agreement(new: AgreementToCreate, books: Books) -> AgreementResult:
    """Agree terms with a partner for a time; returns its id and revision. Nothing is posted.

    They hold for what is billed from then on, of the days from its first to its last. The day of `valid_until` counts,
    unless that is its first moment.

    Raises `MustWait` (`unknown-account`) and `Refused`: `account-closed`, `conflicting-duplicate` for an id that is
    taken, `agreement-overlap` for a day on which another one is in force, `wrong-state` for days that are past of a
    partner that has earned already, or for too many agreements, `invalid` for another type of account.
    """
    account = settlement_account(new.settlement_account, None, books, "update")
    if books.find(Agreement, new.id) is not None:
        raise Refused("conflicting-duplicate", f"agreementId: agreement {new.id} exists already")
    start = books.date_of(new.valid_from)
    end = None if new.valid_until is None else _first_day_after(new.valid_until, books)
    others = list(books.queue(Agreement, account.id))
    for other in others:
        if (end is None or other.start < end) and (other.end is None or start < other.end):
            raise Refused(
                "agreement-overlap",
                f"validFor: {_days(start, end)} overlaps agreement {other.id}, {_days(other.start, other.end)}",
            )
    if len(others) == AGREEMENTS_MAX:
        raise Refused("wrong-state", f"settlementAccount.id: {account.id} has {AGREEMENTS_MAX} agreements, the most")
    _check_not_past(account, start, "validFor.startDateTime", books)
    agreed = AgreedTerms(start, new.terms, 1, books.cause, books.booked_at)
    agreement = Agreement(new.id, account.id, new.valid_from, new.valid_until, start, end, (agreed,))
    books.announce(f"agreement:{agreement.id}")
    result = _agreed(agreement, books)
    position.emit(account.id, AgreementCreated(agreement), books)
    return result


def change_needs(change: AgreementToChange, books: WorkingSet) -> Iterator[Need]:
    """What a change looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Agreement, change.agreement)
    agreement = books.peek(Agreement, change.agreement)
    if agreement is not None:
        yield from _partner_needs(agreement.settlement_account)


def change_agreement(change: AgreementToChange, books: Books) -> AgreementResult:
    """Agree other terms from a day of an agreement on, until the day from which others were agreed.

    Returns its id and revision. Raises `MustWait` (`unknown-agreement`) and `Refused`: `account-closed`,
    `revision-mismatch`, `wrong-state` for a day that is past of a partner that has earned already, or for too many
    changes, `invalid` for a day on which the agreement is not in force.
    """
    before = books.find(Agreement, change.agreement)
    if before is None:
        detail = f"agreementId: no agreement {change.agreement}"
        raise MustWait("unknown-agreement", detail, f"agreement:{change.agreement}")
    if change.if_revision not in (None, before.revision):
        detail = f"ifRevision: {change.if_revision}, but agreement {before.id} is at revision {before.revision}"
        raise Refused("revision-mismatch", detail)
    account = settlement_account(before.settlement_account, None, books, "update", "agreementId")
    if not before.holds_on(change.valid_from):
        detail = f"agreement {before.id} is in force {_days(before.start, before.end)}"
        raise Refused("invalid", f"validFrom: {change.valid_from} is not one of its days: {detail}")
    if before.revision == CHANGES_MAX:
        raise Refused("wrong-state", f"agreementId: of {before.id} {CHANGES_MAX} terms were agreed, the most")
    _check_not_past(account, change.valid_from, "validFrom", books)
    agreed = AgreedTerms(change.valid_from, change.terms, before.revision + 1, books.cause, books.booked_at)
    agreement = replace(before, agreed=(*before.agreed, agreed))
    result = _agreed(agreement, books)
    position.emit(account.id, AgreementChanged(agreement), books)
    return result


def _partner_needs(partner: str) -> Iterator[Need]:
    yield DocumentNeed(Account, partner)
    yield DocumentNeed(Position, partner)
    yield QueueNeed(Agreement, partner, None)


def _agreed(agreement: Agreement, books: Books) -> AgreementResult:
    books.put(agreement)
    position.agree(agreement.settlement_account, books)
    return AgreementResult(agreement.id, agreement.revision)


def _check_not_past(account: Account, day: date, field: str, books: Books) -> None:
    """Check that no line of a day from this one on can have been billed by other terms, but today's."""
    today = books.date_of(books.booked_at)
    if day < today and position.has_earned(account.id, books):
        raise Refused(
            "wrong-state",
            f"{field}: {day} is past, and what {account.id} has earned since stands by other terms: agree it from "
            f"{today} on, and settle what differs by settlement.adjust",
        )


def _first_day_after(until: datetime, books: Books) -> date:
    day = books.date_of(until)
    return day if books.start_of(day) == until or day == date.max else day + timedelta(days=1)


def _days(start: date, end: date | None) -> str:
    return f"from {start} on" if end is None else f"from {start} to {end}, not included"
