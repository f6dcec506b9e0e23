"""Tiers: a partner's share of a line goes by what its lines of a period come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from math import lcm

from domain.frozen import dataclass, replace
from domain.invoicing.model import AgreementRevision, FreedShare, Invoice, PartnerShare, TierShare
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import rounded_ratio, share_of
from domain.periods import DateRange, Periods
from domain.settlement.agreements import Agreement, agreement_on, has_agreements
from domain.settlement.terms import UNITS, LineTerms, Tiers


@dataclass(frozen=True, slots=True)
class _Rate:
    """What tiers come to of a period's net within one of their steps: (share × net + more) ÷ denominator.

    `more` (minor units, as many times) is what the steps below it come to beyond this one's share; by volume, nothing.
    """

    up_to: int | None
    share: int
    more: int
    denominator: int

    def due(self, net: int) -> int:
        """What a partner gets in all of so much net (both minor units), rounded once."""
        return rounded_ratio(self.share * net + self.more, self.denominator)


def _rates_of(tiers: Tiers) -> tuple[_Rate, ...]:
    """What tiers come to within each step, in order.

    Graduated, each step's share is of the part of the net within it; by volume, the share of the step that the net
    falls in is of all of it. Of a net below zero it is the first step's share.
    """
    ratios = [step.share.as_integer_ratio() for step in tiers.steps]
    denominator = lcm(*(below for _, below in ratios))
    rates: list[_Rate] = []
    more = 0
    for step, (above, below) in zip(tiers.steps, ratios, strict=True):
        share = above * (denominator // below)
        if rates and tiers.mode == "graduated":
            before = rates[-1]
            assert before.up_to is not None, tiers
            more += before.up_to * (before.share - share)
        rates.append(_Rate(step.up_to, share, more, denominator))
    return tuple(rates)


def _rate_at(rates: Iterable[_Rate], net: int) -> _Rate:
    """That of the step that a period's net (minor units) falls in; `up_to` is within its step."""
    for rate in rates:
        if rate.up_to is None or net <= rate.up_to:
            return rate
    raise AssertionError(f"the last of {rates} has an end")


@dataclass(frozen=True, slots=True)
class TierPeriod:
    """What a partner's lines of a period come to, by one revision of an agreement with tiers (minor units).

    `net` is what is left of the lines' nets, `due` what the tiers come to of it, `share` the sum of the lines' shares,
    `trued` that of what closings have added to these. The period is the days from `start` to `end`, which is not one of
    them. Where the tiers go by payments, `net` is what was paid of these nets in the period, and `share` what accrued.
    """

    id: str
    settlement_account: str
    agreement: str
    revision: int
    start: date
    end: date
    tiers: Tiers
    net: int = 0
    due: int = 0
    share: int = 0
    trued: int = 0

    @property
    def owner(self) -> str:
        """The partner's settlement account."""
        return self.settlement_account

    @property
    def order_key(self) -> tuple[date, str]:
        """The order in which closings look at them."""
        return (self.start, self.id)

    @property
    def last(self) -> date:
        """Its last day."""
        return self.end - timedelta(days=1)

    @property
    def difference(self) -> int:
        """What the next closing is to add, or, below zero, to take."""
        return self.due - self.share - self.trued

    @property
    def is_open(self) -> bool:
        """Whether a closing is to true it up."""
        return self.difference != 0

    def after(self, net: int) -> TierPeriod:
        """It with so much more net, as it is before the line of that has its share."""
        net += self.net
        return replace(self, net=net, due=_rate_at(_rates_of(self.tiers), net).due(net))


@dataclass(frozen=True, slots=True)
class TierOfDay:
    """Which period of which tiers a day is in."""

    id: str
    days: DateRange
    tiers: Tiers
    rates: tuple[_Rate, ...]


@dataclass(frozen=True, slots=True)
class AgreedOfDay:
    """What lines of a day go by that was agreed: the terms, by which revision of an agreement, and their tiers."""

    terms: LineTerms
    by: AgreementRevision
    tier: TierOfDay | None

    @property
    def tier_at_invoice(self) -> TierOfDay | None:
        """The tiers, where a line is noted in their period as it is invoiced."""
        return self.tier if self.terms.accrue_on == "invoice" else None


def agreed_of_day(agreement: Agreement, day: date, books: Books | WorkingSet) -> AgreedOfDay:
    """What lines of a day go by, on which the agreement is in force."""

    def find(agreement: Agreement) -> AgreedOfDay:
        agreed = agreement.terms_on(day)
        by = AgreementRevision(agreement.id, agreed.of_lines)
        tiers = agreed.terms.tiers
        if tiers is None:
            return AgreedOfDay(agreed.terms, by, None)
        days = Periods(agreement.start, *UNITS[tiers.period]).containing(day) or DateRange(day, date.max)
        if agreement.end is not None and agreement.end < days.end:
            days = DateRange(days.start, agreement.end)
        tier = TierOfDay(id_of(by.id, by.revision, days.start), days, tiers, _rates_of(tiers))
        return AgreedOfDay(agreed.terms, by, tier)

    return books.worked_out(agreement, day, find)


def share_by_tiers(partner: str, agreed: AgreedOfDay, net: int, books: Books) -> PartnerShare:
    """A partner's part in the net (minor units) of a line, by the tiers that are agreed; their period has it.

    Graduated, that is what the tiers come to with the line less what they come to without it, so that the lines of a
    period add up to what they come to in all. By volume it is the share of the step that the period's net falls in with
    the line. Where it accrues at payment it is the first step's, and no period has any of it yet. Raises `NotLoaded`.
    """
    tier, by = agreed.tier, agreed.by
    assert tier is not None, f"{by} has no tiers"
    if agreed.terms.accrue_on == "payment":
        first = tier.tiers.steps[0].share
        awaited = None if first else True
        return PartnerShare(partner, first, "payment", share_of(net, first), 0, by, freed=(), awaited=awaited)
    period = books.find(TierPeriod, tier.id)
    if period is None:
        period = TierPeriod(tier.id, partner, by.id, by.revision, tier.days.start, tier.days.end, tier.tiers)
    net_after = period.net + net
    rate = _rate_at(tier.rates, net_after)
    due = rate.due(net_after)
    # By volume a rate is of the line alone, too.
    share = rate.due(net) if tier.tiers.mode == "volume" else due - period.due
    books.put(replace(period, net=net_after, due=due, share=period.share + share))
    return PartnerShare(partner, None, "invoice", share, 0, by, TierShare(period.start, period.net, share))


def taken_back_by_tiers(frozen: PartnerShare, of: int, net: int, books: Books) -> PartnerShare:
    """A partner's part in a line that takes back `net` of an earlier one's net `of` (minor units, of either sign).

    It is that part of the earlier line's frozen share, of the same period. Raises `NotLoaded`.
    """
    assert frozen.tier is not None
    period = _period_of(frozen, books)
    share = frozen.share_of(net, of)
    books.put(replace(period.after(net), share=period.share + share))
    return replace(frozen, share=share, accrued=0, issued=None, tier=TierShare(period.start, period.net, share))


def correct_tier(part: PartnerShare, net: int, share: int, books: Books) -> None:
    """Note in its period that a line's net, and its share, are more by so much (minor units). Raises `NotLoaded`."""
    period = _period_of(part, books)
    books.put(replace(period.after(net), share=period.share + share))


def free(part: PartnerShare, net: int, accrued: int, on: date, books: Books) -> PartnerShare:
    """A partner's part in a line of which so much net is paid, and `accrued` for that (minor units), as of a day.

    Where its tiers go by payments, what that is more than before is of the period of the day, which has it; it may be
    less. Raises `NotLoaded`.
    """
    if part.freed is None:
        return part
    net -= sum(one.net for one in part.freed)
    share = accrued - sum(one.share for one in part.freed)
    if not net and not share:
        return part
    period = _period_at_payment(part, on, books)
    books.put(replace(period.after(net), share=period.share + share))
    by_start = {one.start: one for one in part.freed}
    before = by_start.get(period.start, FreedShare(period.start, 0, 0))
    by_start[period.start] = FreedShare(period.start, before.net + net, before.share + share)
    left = (one for one in by_start.values() if one.net or one.share)
    return replace(part, freed=tuple(sorted(left, key=lambda one: one.start)))


def take_out(part: PartnerShare, books: Books) -> None:
    """Have the periods of tiers that go by payments without what they have of a line's part. Raises `NotLoaded`."""
    for one in part.freed or ():
        period = books.find(TierPeriod, _id_of(part, one.start))
        assert period is not None, f"there is no period {_id_of(part, one.start)}, in which a line has accrued"
        books.put(replace(period.after(-one.net), share=period.share - one.share))


def _period_at_payment(part: PartnerShare, day: date, books: Books) -> TierPeriod:
    """The period of a day, of the tiers that a part in a line goes by; it does not end with the agreement.

    What the agreement has sold is paid after it too. Raises `NotLoaded`.
    """
    assert part.agreement is not None
    agreement = books.find(Agreement, part.agreement.id)
    assert agreement is not None, f"there is no agreement {part.agreement.id}, which a line has its share by"
    tiers = agreement.agreed[part.agreement.revision - 1].terms.tiers
    assert tiers is not None, f"{part.agreement} has no tiers"
    days = Periods(agreement.start, *UNITS[tiers.period]).containing(day) or DateRange(day, date.max)
    id_ = _id_of(part, days.start)
    return books.find(TierPeriod, id_) or TierPeriod(
        id_, part.id, agreement.id, part.agreement.revision, days.start, days.end, tiers
    )


def true_up(period_id: str, amount: int, books: Books) -> None:
    """Note that a closing adds so much (minor units) to the shares of a period's lines."""
    period = books.find(TierPeriod, period_id)
    assert period is not None, f"there is no period {period_id}"
    books.put(replace(period, trued=period.trued + amount))


def to_true_up(partner: str, until: date, books: Books) -> Iterator[TierPeriod]:
    """The periods of a partner's tiers that a closing up to a day trues up: those that have begun by it.

    Of each it adds what the tiers come to of the net that is left, less the shares of its lines and what was added
    before. Raises `NotLoaded`.
    """
    if has_agreements(books.position(partner)):
        yield from (period for period in books.queue(TierPeriod, partner) if period.start <= until)


def open_tiers_needs(partner: str, books: WorkingSet) -> Iterator[Need]:
    """The periods of a partner's tiers that are to be trued up, once it is known that anything was agreed with it."""
    position = books.peek(Position, partner)
    if position is not None and has_agreements(position):
        yield QueueNeed(TierPeriod, partner, None)


def require_tiers(partners: Iterable[str], day: date, books: Books) -> None:
    """See that what lines of a day go by of these partners' agreements is loaded. Raises `NotLoaded`."""
    agreed = [partner for partner in partners if has_agreements(books.position(partner))]
    if not agreed:
        return
    books.require(QueueNeed(Agreement, partner, None) for partner in agreed)
    found = (agreement_on(partner, day, books) for partner in agreed)
    tiers = (agreed_of_day(agreement, day, books).tier_at_invoice for agreement in found if agreement is not None)
    books.require(DocumentNeed(TierPeriod, tier.id) for tier in tiers if tier is not None)


def tiers_of(invoice: Invoice) -> Iterator[Need]:
    """The periods of the tiers that an invoice's lines have their shares by; of those that go by payments, so far."""
    for line in invoice.lines:
        part = line.on_behalf_of
        if part is None:
            continue
        if part.tier is not None:
            yield DocumentNeed(TierPeriod, _id_of(part, part.tier.start))
        yield from freed_needs(part)


def freed_needs(part: PartnerShare) -> Iterator[Need]:
    """The agreement whose tiers go by what is paid of a line, and the periods in which something was, so far."""
    if part.freed is not None and part.agreement is not None:
        yield DocumentNeed(Agreement, part.agreement.id)
        for one in part.freed:
            yield DocumentNeed(TierPeriod, _id_of(part, one.start))


def id_of(agreement: str | None, revision: int | None, start: date | None) -> str:
    """The id of a period of an agreement's tiers; it is none where one of these is None."""
    assert None not in (agreement, revision, start), (agreement, revision, start)
    # No id of an agreement has a stroke in it.
    return f"{agreement}/{revision}/{start}"


def _id_of(part: PartnerShare, start: date) -> str:
    """That of the period from a day on of the tiers that a share is by."""
    assert part.agreement is not None
    return id_of(part.agreement.id, part.agreement.revision, start)


def _period_of(part: PartnerShare, books: Books) -> TierPeriod:
    assert part.tier is not None
    id_ = _id_of(part, part.tier.start)
    period = books.find(TierPeriod, id_)
    assert period is not None, f"there is no period {id_}, which a line has its share by"
    return period
