"""Agreeing: terms with a partner for a time, and other terms from a day of it on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal

from domain.accounts.agents import agent_needs, claim_agents_series
from domain.accounts.lifecycle import billing_account, settlement_account
from domain.accounts.model import Account, AgentTerms, settlement_terms_of
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series, claim_series
from domain.ledger.positions import Position
from domain.money import in_minor_units, within_limit
from domain.settlement import position
from domain.settlement.agreements import AgreedTerms, Agreement, AgreementChanged, AgreementCreated, find_agreement
from domain.settlement.backdating import begin_backdating
from domain.settlement.terms import NO_CLOSING_TERMS, AgreedPeriod, ClosingTerms, LineTerms, TierMode, Tiers, TierStep

AGREEMENTS_MAX = 100
"""The most agreements of a partner: all are read for each line of one that has any."""
CHANGES_MAX = 100
"""The most that is ever agreed of one agreement."""
GUARANTEE_DAYS_MAX = 3_660
"""How long ago a guarantee, or a fixed fee, may have begun when it is agreed (days): each closing works out all its
periods."""


@dataclass(frozen=True, slots=True)
class TiersToAgree:
    """Tiers whose steps end at amounts in a currency's unit, not in its minor one: (`upTo`, share) each."""

    mode: TierMode
    period: AgreedPeriod
    steps: tuple[tuple[Decimal | None, Decimal], ...]


@dataclass(frozen=True, slots=True)
class AgreementToCreate:
    """`agreement.create`: terms for a time. `valid_until` is None for no end.

    `currency` is that of the amounts in the terms; None where there is none. `tiers` are those of `terms`, whose steps'
    ends it has in the currency's unit still.
    """

    id: str
    settlement_account: str
    valid_from: datetime
    valid_until: datetime | None
    terms: LineTerms
    closing: ClosingTerms = NO_CLOSING_TERMS
    currency: str | None = None
    tiers: TiersToAgree | None = None


@dataclass(frozen=True, slots=True)
class AgreementToChange:
    """`agreement.change`: other terms from a day on, all of them.

    `currency` is that of the amounts in them; `tiers` are as in `agreement.create`.
    """

    agreement: str
    valid_from: date
    terms: LineTerms
    if_revision: int | None = None
    closing: ClosingTerms = NO_CLOSING_TERMS
    currency: str | None = None
    tiers: TiersToAgree | None = None


@dataclass(frozen=True, slots=True)
class AgreementResult:
    """What is answered: the agreement, and its revision by that."""

    agreement_id: str
    revision: int


def creation_needs(new: AgreementToCreate, books: WorkingSet) -> Iterator[Need]:
    """What a new agreement looks at."""
    yield DocumentNeed(Agreement, new.id)
    yield from _partner_needs(new.settlement_account, new.closing)
    yield from agent_needs(new.settlement_account, new.terms.agent, books)


def create_agreement(new: AgreementToCreate, books: Books) -> AgreementResult:
    """Agree terms with a partner for a time; returns its id and revision. Nothing is posted.

    They hold for the days from its first to its last; what was billed before of those that have begun is corrected. The
    day of `valid_until` counts, unless that is its first moment.

    Raises `MustWait` (`unknown-account`) and `Refused`: `account-closed`, `conflicting-duplicate` for an id that is
    taken, `agreement-overlap` for a day on which another one is in force, `wrong-state` for too many agreements,
    or another model for a day that has begun, `currency-mismatch` for amounts in another one than the account's,
    `invalid` for another type of account, a guarantee or a fixed fee that began too long ago, a step of tiers that ends
    at no whole minor unit, or a series that is not the partner's. The account whose invoices are netted has to be
    there, and kept in the same currency.
    """
    account = settlement_account(new.settlement_account, new.currency, books, "update")
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
    agreed = _as_agreed(account, start, _in_minor_units(new, account), 1, new.closing, books)
    agreement = Agreement(new.id, account.id, new.valid_from, new.valid_until, start, end, (agreed,), account.currency)
    books.announce(f"agreement:{agreement.id}")
    _check_model(account, agreed, settlement_terms_of(account).agent, books)
    result = _agreed(agreement, start, books)
    position.emit(account.id, AgreementCreated(agreement), books)
    return result


def change_needs(change: AgreementToChange, books: WorkingSet) -> Iterator[Need]:
    """What a change looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Agreement, change.agreement)
    agreement = books.peek(Agreement, change.agreement)
    if agreement is not None:
        yield from _partner_needs(agreement.settlement_account, change.closing)
        yield from agent_needs(agreement.settlement_account, change.terms.agent, books)


def change_agreement(change: AgreementToChange, books: Books) -> AgreementResult:
    """Agree other terms from a day of an agreement on, until the day from which others were agreed.

    Returns its id and revision. Raises `MustWait` (`unknown-agreement`) and `Refused`: `account-closed`,
    `revision-mismatch`, `wrong-state` for too many changes or another model for a day that has begun,
    `currency-mismatch` for amounts in another one than the account's, `invalid` for a day on which the agreement is not
    in force, a guarantee or a fixed fee that began too long ago, a step of tiers that ends at no whole minor unit, or a
    series that is not the partner's.
    """
    before = find_agreement(change.agreement, books)
    if change.if_revision not in (None, before.revision):
        detail = f"ifRevision: {change.if_revision}, but agreement {before.id} is at revision {before.revision}"
        raise Refused("revision-mismatch", detail)
    account = settlement_account(before.settlement_account, change.currency, books, "update", "agreementId")
    if not before.holds_on(change.valid_from):
        detail = f"agreement {before.id} is in force {_days(before.start, before.end)}"
        raise Refused("invalid", f"validFrom: {change.valid_from} is not one of its days: {detail}")
    if before.revision == CHANGES_MAX:
        raise Refused("wrong-state", f"agreementId: of {before.id} {CHANGES_MAX} terms were agreed, the most")
    terms = _in_minor_units(change, account)
    agreed = _as_agreed(account, change.valid_from, terms, before.revision + 1, change.closing, books)
    # Lines, and the periods of tiers, know no difference where only what closings go by is another.
    agreed = replace(agreed, lines_as=next((one.of_lines for one in before.agreed if one.terms == terms), None))
    _check_model(account, agreed, before.terms_on(change.valid_from).terms.agent, books)
    agreement = replace(before, agreed=(*before.agreed, agreed), currency=account.currency)
    result = _agreed(agreement, change.valid_from, books)
    position.emit(account.id, AgreementChanged(agreement), books)
    return result


def _partner_needs(partner: str, closing: ClosingTerms) -> Iterator[Need]:
    yield DocumentNeed(Account, partner)
    if closing.netting is not None:
        yield DocumentNeed(Account, closing.netting)
    if closing.self_billing is not None:
        yield DocumentNeed(Series, closing.self_billing.series)
    yield DocumentNeed(Position, partner)
    yield QueueNeed(Agreement, partner, None)


def _in_minor_units(said: AgreementToCreate | AgreementToChange, account: Account) -> LineTerms:
    """The terms that lines are to go by, in the account's currency."""
    if said.tiers is None:
        return said.terms
    steps = []
    currency = account.kept_in
    for n, (up_to, share) in enumerate(said.tiers.steps):
        if up_to is None:
            steps.append(TierStep(None, share))
            continue
        field = f"terms.tiers.steps.{n}.upTo"
        minor = in_minor_units(up_to, currency)
        if minor is None:
            raise Refused(
                "invalid", f"{field}: {up_to:f} is no amount of {currency.code}: it has {currency.digits} decimals"
            )
        steps.append(TierStep(within_limit(minor, currency, "{}: the end of a step", field), share))
    return replace(said.terms, tiers=Tiers(said.tiers.mode, said.tiers.period, tuple(steps)))


def _as_agreed(
    account: Account, start: date, terms: LineTerms, revision: int, closing: ClosingTerms, books: Books
) -> AgreedTerms:
    """Terms as they are agreed now."""
    oldest = books.date_of(books.booked_at) - timedelta(days=GUARANTEE_DAYS_MAX)
    for field, periodic in (("guarantee", closing.guarantee), ("fixedFee", closing.fixed_fee)):
        if periodic is not None and start < oldest:
            raise Refused("invalid", f"terms.{field}: can begin on {oldest} at the earliest, not on {start}")
    if closing.netting is not None:
        billing_account(closing.netting, account.currency, books, "update", "terms.netting.billingAccount.id")
    if closing.self_billing is not None:
        claim_series(closing.self_billing.series, account.id, "selfBilling", books, "terms.selfBilling.series")
    agreed = None if closing == NO_CLOSING_TERMS else closing
    return AgreedTerms(start, terms, revision, books.cause, books.booked_at, agreed)


def _check_model(account: Account, agreed: AgreedTerms, was: AgentTerms | None, books: Books) -> None:
    """Check that days that have begun keep their model: in whose name a line was sold does not change afterwards.

    `was` is by which terms we are the partner's agent on the first of them, None for none. The new series is claimed.
    """
    agent = agreed.terms.agent
    claim_agents_series(account.id, agent, "terms", books)
    has_begun = agreed.valid_from <= books.date_of(books.booked_at)
    if has_begun and (was is None) != (agent is None) and position.has_earned(account.id, books):
        model = "principal" if was is None else "agent"
        detail = f"terms.model: {agreed.valid_from} has begun, and its lines are sold by the model {model}"
        raise Refused("wrong-state", f"{detail}: agree another one from a later day on")


def _agreed(agreement: Agreement, since: date, books: Books) -> AgreementResult:
    """Keep what is agreed; what was billed already of days that have begun is brought to it."""
    if since <= books.date_of(books.booked_at) and position.has_earned(agreement.settlement_account, books):
        agreement = begin_backdating(agreement, since, books)
    books.put(agreement)
    position.agree(agreement.settlement_account, books)
    return AgreementResult(agreement.id, agreement.revision)


def _first_day_after(until: datetime, books: Books) -> date:
    day = books.date_of(until)
    return day if books.start_of(day) == until or day == date.max else day + timedelta(days=1)


def _days(start: date, end: date | None) -> str:
    return f"from {start} on" if end is None else f"from {start} to {end}, not included"
