"""Tiers: a partner's share of a line goes by what its lines of a period come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal

from domain.frozen import dataclass, replace
from domain.invoicing.model import AgreementRevision, FreedShare, Invoice, PartnerShare, TierShare
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import share_of, sum_of_shares
from domain.periods import DateRange, Periods
from domain.settlement.agreements import AgreedTerms, Agreement, agreement_on, has_agreements
from domain.settlement.terms import UNITS, Tiers


def tier_rate(tiers: Tiers, net: int) -> Decimal:
    """The share of the step that a period's net (minor units) falls in; `up_to` is within its step."""
    return next(step.share for step in tiers.steps if step.up_to is None or net <= step.up_to)


def tiered_share(tiers: Tiers, net: int) -> int:
    """What a partner gets in all of a period's net (both minor units), rounded once.

    Graduated, each step's share is of the part of the net within it; by volume, the share of the step that the net
    falls in is of all of it. Of a net below zero it is the first step's share.
    """
    if tiers.mode == "volume":
        return share_of(net, tier_rate(tiers, net))
    return sum_of_shares(_parts(tiers, net))


def _parts(tiers: Tiers, net: int) -> Iterator[tuple[int, Decimal]]:
    """The parts of a net within each step, with the step's share."""
    below = 0
    for step in tiers.steps:
        if step.up_to is None or net <= step.up_to:
            yield net - below, step.share
            return
        yield step.up_to - below, step.share
        below = step.up_to


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
        return replace(self, net=net, due=tiered_share(self.tiers, net))


@dataclass(frozen=True, slots=True)
class _Tier:
    """Which period of which tiers a day is in."""

    agreed: AgreedTerms
    tiers: Tiers
    by: AgreementRevision
    id: str
    days: DateRange


def share_by_tiers(partner: str, agreement: Agreement, net: int, day: date, books: Books) -> PartnerShare:
    """A partner's part in the net (minor units) of a line of a day, by the tiers that are agreed; its period has it.

    Graduated, that is what the tiers come to with the line less what they come to without it, so that the lines of a
    period add up to what they come to in all. By volume it is the share of the step that the period's net falls in with
    the line. Where it accrues at payment it is the first step's, and no period has any of it yet. Raises `NotLoaded`.
    """
    tier = _tier_on(agreement, day, books)
    assert tier is not None, f"agreement {agreement.id} has no tiers on {day}"
    if tier.agreed.terms.accrue_on == "payment":
        first = tier.tiers.steps[0].share
        return PartnerShare(partner, first, "payment", share_of(net, first), 0, tier.by, freed=())
    period = books.find(TierPeriod, tier.id)
    if period is None:
        period = TierPeriod(
            tier.id, partner, agreement.id, tier.by.revision, tier.days.start, tier.days.end, tier.tiers
        )
    net_after = period.net + net
    due = tiered_share(tier.tiers, net_after)
    by_volume = tier.tiers.mode == "volume"
    share = share_of(net, tier_rate(tier.tiers, net_after)) if by_volume else due - period.due
    books.put(replace(period, net=net_after, due=due, share=period.share + share))
    return PartnerShare(partner, None, "invoice", share, 0, tier.by, TierShare(period.start, period.net, share))


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


def share_needs(partner: str, at: datetime, books: WorkingSet) -> Iterator[Need]:
    """What a line of a time goes by that was agreed with a partner, as far as that can be told from what is loaded."""
    position = books.peek(Position, partner)
    if position is None or not has_agreements(position):
        return
    yield QueueNeed(Agreement, partner, None)
    for agreement in books.known(Agreement, partner):
        if agreement.holds_on(day := books.date_of(at)):
            tier = _tier_on(agreement, day, books)
            if tier is not None and tier.agreed.terms.accrue_on == "invoice":
                yield DocumentNeed(TierPeriod, tier.id)
            return


def require_tiers(partners: Iterable[str], day: date, books: Books) -> None:
    """See that what lines of a day go by of these partners' agreements is loaded. Raises `NotLoaded`."""
    agreed = [partner for partner in partners if has_agreements(books.position(partner))]
    if not agreed:
        return
    books.require(QueueNeed(Agreement, partner, None) for partner in agreed)
    found = (agreement_on(partner, day, books) for partner in agreed)
    tiers = (_tier_on(agreement, day, books) for agreement in found if agreement is not None)
    at_invoice = (tier for tier in tiers if tier is not None and tier.agreed.terms.accrue_on == "invoice")
    books.require(DocumentNeed(TierPeriod, tier.id) for tier in at_invoice)


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


def _tier_on(agreement: Agreement, day: date, books: Books | WorkingSet) -> _Tier | None:
    """Which period of its tiers a day is in; None where none are agreed."""

    def find(agreement: Agreement) -> _Tier | None:
        agreed = agreement.terms_on(day)
        tiers = agreed.terms.tiers
        if tiers is None:
            return None
        days = Periods(agreement.start, *UNITS[tiers.period]).containing(day) or DateRange(day, date.max)
        if agreement.end is not None and agreement.end < days.end:
            days = DateRange(days.start, agreement.end)
        by = AgreementRevision(agreement.id, agreed.revision)
        return _Tier(agreed, tiers, by, id_of(agreement.id, agreed.revision, days.start), days)

    return books.worked_out(agreement, ("tier", day), find)
