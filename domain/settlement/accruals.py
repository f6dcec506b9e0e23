"""Accruals: what partners earn with the lines sold on their behalf, at the invoice or as it is paid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, AgentTerms, SettlementTerms, find_account, settlement_terms_of
from domain.frozen import dataclass, replace
from domain.invoicing.model import AgentShare, CorrectedLine, Invoice, InvoiceLine, PartnerShare
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.money import rounded_ratio, share_of
from domain.settlement import position
from domain.settlement.agreements import Agreement, agreement_on, has_agreements
from domain.settlement.terms import AgreedPeriod, LineTerms
from domain.settlement.tiers import (
    AgreedOfDay,
    TierPeriod,
    agreed_of_day,
    correct_tier,
    free,
    share_by_tiers,
    taken_back_by_tiers,
    tiers_of,
)

StepKind = Literal["trueUp", "guarantee", "recoupment", "holdback", "release", "selfBilledTax", "fee", "commission"]

RETAXED = "tax"
"""What the key of a row ends with that takes commission back at the tax that was agreed before."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a closing, or a release, changes of what is payable, beside what was earned; and how that is worked out.

    A true-up has its agreement and the revision whose tiers it goes by, the first and the last day of their period,
    what they come to (`of`) and the net that is left (`base`). A guarantee has its agreement, the first and the last
    day of its period, what it is in all (`of`) and what was earned (`base`), and a `type` as a `PeriodKey` has. A
    recoupment is of at most `base`; a holdback is `rate` of `base`. A release names the statement that the reserve was
    held back of. What a statement's documents come to has their net as `base`.
    """

    kind: StepKind
    agreement: str | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    of: int | None = None
    base: int | None = None
    rate: Decimal | None = None
    settlement: str | None = None
    revision: int | None = None
    type: AgreedPeriod | None = None


@dataclass(frozen=True, slots=True)
class Commission:
    """By how much our commission on a line is more, or less where that is below zero (minor units, without tax).

    `category` and `rate` are those of the tax on it.
    """

    amount: int
    category: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Accrual:
    """What a partner has earned with a line: append-only but for what statements note of it.

    That is `settlement_id`, set once, `document` and `corrected_by`.

    `date` is that of its order, or of the payment that released it; `cause` the identity of the fact that accrued it.
    An adjustment has its `adjustment_id`, and no line, but the one that it corrects. What a closing, or a release, has
    added to what was earned has its `step`, and no line. `corrects` is what the ids of the rows begin with that one
    corrects for terms that were agreed later. What was sold in the partner's name has our `commission`, which the
    closing charges; one of the two amounts may be zero. Where other tax is agreed of past days, a row of its own takes
    back what was charged. `document` is the number of the invoice that its statement's line stands in, or, where that
    fell, of the first credit note; None where there is none. Where its line takes back another, `takes_back` is what
    the ids of that one's rows begin with. `corrected_by` are the ids of the rows that correct its line and are of no
    line, or of another, as far as statements have them; only a line's first row has any.
    """

    id: str
    settlement_account: str
    order_id: str | None
    bill_no: str | None
    line_id: str | None
    amount: int
    date: dt.date
    cause: str
    booked_at: dt.datetime
    settlement_id: str | None = None
    adjustment_id: str | None = None
    step: Step | None = None
    corrects: str | None = None
    commission: Commission | None = None
    document: str | None = None
    takes_back: str | None = None
    corrected_by: tuple[str, ...] | None = None

    @property
    def owner(self) -> str:
        """The partner's settlement account."""
        return self.settlement_account

    @property
    def order_key(self) -> tuple[dt.date, str]:
        """The order of a statement's lines."""
        return (self.date, self.id)

    @property
    def is_open(self) -> bool:
        """Whether no statement holds it yet."""
        return self.settlement_id is None

    @property
    def is_earned(self) -> bool:
        """Whether the partner has earned it, with lines or by an adjustment."""
        return self.step is None or self.step.kind == "trueUp"


@dataclass(frozen=True, slots=True)
class SettlementAccrued:
    """What one fact has earned one partner."""

    settlement_account: str
    currency: str
    accruals: tuple[Accrual, ...]


@dataclass(frozen=True, slots=True)
class TermsOfDay:
    """By what terms a partner's lines of a day go: its account's, or what was agreed with it."""

    partner: str
    terms: SettlementTerms | LineTerms
    agreed: AgreedOfDay | None = None


def terms_of_day(partner: Account, day: dt.date, books: Books) -> TermsOfDay:
    """The terms of a partner's agreement that is in force on a day, else its account's. Raises `NotLoaded`."""
    agreement = agreement_on(partner.id, day, books)
    if agreement is None:
        return TermsOfDay(partner.id, settlement_terms_of(partner))
    agreed = agreed_of_day(agreement, day, books)
    return TermsOfDay(partner.id, agreed.terms, agreed)


def share_of_line(of_day: TermsOfDay, net: int, tax: int, books: Books) -> PartnerShare:
    """A partner's part in a line of these net and tax (minor units), its terms frozen; nothing is accrued yet.

    Raises `NotLoaded`.
    """
    partner, terms, agreed = of_day.partner, of_day.terms, of_day.agreed
    by = None if agreed is None else agreed.by
    if terms.agent is not None:
        return PartnerShare(partner, None, terms.accrue_on, net + tax, 0, by, agent=_as_agent(terms.agent))
    if terms.partner_share is None:
        assert agreed is not None, f"settlement account {partner} has neither a share nor commission"
        return share_by_tiers(partner, agreed, net, books)
    return PartnerShare(partner, terms.partner_share, terms.accrue_on, share_of(net, terms.partner_share), 0, by)


def share_needs(partner: str, at: dt.datetime, books: WorkingSet) -> Iterator[Need]:
    """What a partner's part in a line of a time goes by, as far as that can be told from what is loaded.

    That is what was agreed with it, the period of its tiers, and the series of the invoices that we write in its name.
    """
    yield DocumentNeed(Account, partner)
    yield DocumentNeed(Position, partner)
    account, its_position = books.peek(Account, partner), books.peek(Position, partner)
    if account is None or account.settlement_terms is None or its_position is None:
        return
    agent = account.settlement_terms.agent
    if has_agreements(its_position):
        yield QueueNeed(Agreement, partner, None)
        day = books.date_of(at)
        for agreement in books.known(Agreement, partner):
            if agreement.holds_on(day):
                agreed = agreed_of_day(agreement, day, books)
                agent = agreed.terms.agent
                if (tier := agreed.tier_at_invoice) is not None:
                    yield DocumentNeed(TierPeriod, tier.id)
                break
    if agent is not None:
        yield DocumentNeed(Series, agent.series_of(partner))


def _as_agent(terms: AgentTerms | None) -> AgentShare | None:
    return None if terms is None else AgentShare(terms.commission, terms.category, terms.rate, 0)


def share_taken_back(line: InvoiceLine, net: int, tax: int, books: Books) -> PartnerShare:
    """A partner's part in a line that takes back so much net and tax (minor units, of either sign) of an earlier one.

    It goes by that line's terms. Raises `NotLoaded`.
    """
    frozen = line.on_behalf_of
    assert frozen is not None, f"nobody has a part in line {line.id}"
    if frozen.agent is not None:
        return replace(frozen, share=net + tax, accrued=0, issued=None, agent=replace(frozen.agent, charged=0))
    if frozen.tier is not None:
        return taken_back_by_tiers(frozen, line.tax_excluded_amount, net, books)
    share = frozen.share_of(net, line.tax_excluded_amount)
    return replace(frozen, share=share, accrued=0, issued=None, freed=None if frozen.freed is None else ())


def post_share(line: InvoiceLine, partner: PartnerShare, books: Books) -> None:
    """Credit a line on behalf of a partner: its share is payable, or withheld until the payment; the rest is ours.

    Of what we sell as its agent that is nothing: the closing charges our commission.
    """
    if partner.accrue_on == "invoice":
        position.owe(partner.id, partner.share, books)
    else:
        is_awaited = partner.awaited is not None and line.tax_excluded_amount != 0
        position.withhold(partner.id, partner.share, books, is_awaited=is_awaited)
    if partner.agent is None:
        books.credit(chart.OF_COMMISSION, line.tax_excluded_amount - partner.share)


def accrue_at_invoice(invoice: Invoice, on: dt.date, books: Books) -> tuple[Invoice, list[Accrual]]:
    """Accrue the shares of the lines that accrue at the invoice; returns the invoice, its lines brought up to date."""
    due = {
        index: line.on_behalf_of.share
        for index, line in enumerate(invoice.lines)
        if line.on_behalf_of is not None and line.on_behalf_of.accrue_on == "invoice"
    }
    return _accrue(invoice, due, on, None, books)


def release_withheld(invoice: Invoice, on: dt.date, released_by: str, books: Books) -> tuple[Invoice, list[Accrual]]:
    """Release what is now due of the shares withheld until payment: round(share × allocated ÷ billed) − released.

    `invoice` is as the payment leaves it; paid in full releases each share to the cent. `released_by` names the
    payment in the accrual's key, or the order when its invoice is of zero, which nothing pays.
    """
    allocated, billed = invoice.allocated, invoice.billed
    due = {
        index: rounded_ratio(line.on_behalf_of.share * allocated, billed) if billed else line.on_behalf_of.share
        for index, line in enumerate(invoice.lines)
        if line.on_behalf_of is not None and line.on_behalf_of.accrue_on == "payment"
    }
    if not due:
        return invoice, []
    invoice, accruals = _accrue(invoice, due, on, released_by, books)
    for accrual in accruals:
        position.release(accrual.settlement_account, accrual.amount, books)
    return invoice, accruals


def correct_shares(
    before: Invoice, after: Invoice, on: dt.date, key: str, books: Books
) -> tuple[Invoice, list[Accrual], dict[str, int]]:
    """Bring the partners' parts in an invoice to what its corrections, and what is allocated to it now, leave of them.

    The share left is the frozen share of the line's net, less that of what was credited of it; where it is by tiers,
    their period has as much less; where it was sold in the partner's name, it is all that is left of the line. Accrued
    at the invoice, all of it is accrued. Accrued at payment, round(share left × allocated ÷ billed) is, as much more as
    round(share left × (allocated + written off) ÷ billed) says is given up, and the rest is withheld; where nothing is
    billed any more, all that is left is accrued. What differs from what is booked may be negative, and is dated `on`.
    Where tiers go by payments, the period of the day has what is paid more, or less. The terms may be other ones than
    those by which it is booked; other tiers have the line by then.

    In: the invoice as it is booked, and as the fact leaves it, its lines not yet brought up to date; `key` is the
    fact's part in the accruals' keys. Out: the latter with its lines as they are then, what accrues, and what is given
    up of each line in all (minor units, by the line's id).
    """
    lines_before, lines_after = ({line.line_id: line for line in i.corrected.lines} for i in (before, after))
    allocated, billed = after.allocated, after.billed
    not_owed = allocated + after.corrected.written_off
    lines = list(after.lines)
    accruals: list[Accrual] = []
    given_up: dict[str, int] = {}
    touched: dict[str, None] = {}
    for index, line in enumerate(lines):
        part, booked = line.on_behalf_of, before.lines[index].on_behalf_of
        if part is None or booked is None:
            continue
        was, now = (found.get(line.id, CorrectedLine(line.id, 0)) for found in (lines_before, lines_after))
        share = line.share_left(now)
        accrued, left = share, 0
        if part.accrue_on == "payment":
            if billed:
                accrued = rounded_ratio(share * allocated, billed)
            lost = rounded_ratio(share * not_owed, billed) - accrued if billed else 0
            if lost:
                given_up[line.id] = lost
            left = share - accrued - lost
            part = free(part, net_paid(line, now, allocated, billed), accrued, on, books)
        kept = booked.share - booked.accrued - was.given_up if booked.accrue_on == "payment" else 0
        charged = _charged(part, line.tax_excluded_amount - now.credited, accrued, share)
        awaited = _is_awaited(booked, line, was, before), _is_awaited(part, line, now, after)
        if (share, accrued, left, now.credited, charged, part.freed, awaited[1]) == (
            booked.share,
            booked.accrued,
            kept,
            was.credited,
            booked.agent,
            booked.freed,
            awaited[0],
        ):
            continue
        touched[part.id] = None
        position.correct(part.id, accrued - booked.accrued, (kept, left), books, awaited)
        if part.tier is not None and part.tier == booked.tier:
            books.require(tiers_of(after))
            correct_tier(part, was.credited - now.credited, share - booked.share, books)
        if part.agent is None:
            # Ours is the net less the share: a note takes back of both.
            books.move(chart.OF_COMMISSION, now.credited - was.credited + share - booked.share)
        lines[index] = replace(line, on_behalf_of=replace(part, share=share, accrued=accrued, agent=charged))
        back, commission = _recharged(booked, charged)
        if accrued != booked.accrued or (commission is not None and commission.amount):
            accruals.append(_accrual(after, line, part.id, accrued - booked.accrued, on, key, books, commission))
        if back is not None:
            accruals.append(_accrual(after, line, part.id, 0, on, f"{key}/{RETAXED}", books, back))
    books.require(DocumentNeed(Account, partner) for partner in touched)
    for partner in touched:
        check_state(find_account(partner, books), "correction", f"invoice {after.id} (its partner)")
    return replace(after, lines=tuple(lines)), accruals, given_up


def emit_accruals(accruals: Iterable[Accrual], currency: str, books: Books) -> None:
    """One `settlement.accrued` for each partner: all that this fact has earned it."""
    by_partner: dict[str, list[Accrual]] = {}
    for accrual in accruals:
        by_partner.setdefault(accrual.settlement_account, []).append(accrual)
    position.require(by_partner, books)
    for partner, earned in by_partner.items():
        position.emit(partner, SettlementAccrued(partner, currency, tuple(earned)), books)


def _accrue(
    invoice: Invoice, due: dict[int, int], on: dt.date, released_by: str | None, books: Books
) -> tuple[Invoice, list[Accrual]]:
    lines: list[InvoiceLine] = list(invoice.lines)
    accruals = []
    is_freed = False
    for index, amount_due in due.items():
        line = lines[index]
        assert line.on_behalf_of is not None
        part = line.on_behalf_of
        amount = amount_due - part.accrued
        if part.freed is not None:
            paid = net_paid(line, CorrectedLine(line.id), invoice.allocated, invoice.billed)
            part = free(part, paid, amount_due, on, books)
            lines[index] = replace(line, on_behalf_of=part)
            is_freed = True
            if part.awaited and not invoice.remaining_amount and line.tax_excluded_amount:
                position.end_withholding(part.id, books)
        charged = _charged(part, line.tax_excluded_amount, amount_due, part.share)
        if amount == 0 and charged == part.agent:
            continue
        if released_by is not None and amount and amount_due == part.share:
            position.end_withholding(part.id, books)
        lines[index] = replace(line, on_behalf_of=replace(part, accrued=amount_due, agent=charged))
        commission = _commission(part, charged)
        accruals.append(_accrual(invoice, line, part.id, amount, on, released_by, books, commission))
    return (replace(invoice, lines=tuple(lines)) if accruals or is_freed else invoice), accruals


def _is_awaited(part: PartnerShare, line: InvoiceLine, corrected: CorrectedLine, invoice: Invoice) -> bool:
    """Whether the payment of a line is awaited of which nothing is withheld: of what is left of its net."""
    return part.awaited is not None and invoice.remaining_amount > 0 and line.tax_excluded_amount != corrected.credited


def net_paid(line: InvoiceLine, corrected: CorrectedLine, allocated: int, billed: int) -> int:
    """So much of a line's net as is paid, of what is left of it (minor units): where nothing is billed, all."""
    left = line.tax_excluded_amount - corrected.credited
    return rounded_ratio(left * allocated, billed) if billed else left


def _charged(part: PartnerShare, net: int, accrued: int, share: int) -> AgentShare | None:
    """Our terms as a partner's agent, with the commission on so much net, when this has accrued of the share."""
    agent = part.agent
    return None if agent is None else replace(agent, charged=agent.commission_on(net, accrued, share))


def _commission(booked: PartnerShare, now: AgentShare | None) -> Commission | None:
    """By how much the commission on a line differs from what is booked; None where we sell it in our own name."""
    if now is None:
        return None
    return Commission(now.charged - (0 if booked.agent is None else booked.agent.charged), now.category, now.rate)


def _recharged(booked: PartnerShare, now: AgentShare | None) -> tuple[Commission | None, Commission | None]:
    """What is taken back of the commission on a line, where its tax is another now; and by how much it is more.

    With another tax that is all of it.
    """
    was = booked.agent
    if was is None or now is None or not was.charged or (was.category, was.rate) == (now.category, now.rate):
        return None, _commission(booked, now)
    back = Commission(-was.charged, was.category, was.rate)
    return back, Commission(now.charged, now.category, now.rate)


def _accrual(
    invoice: Invoice,
    line: InvoiceLine,
    partner: str,
    amount: int,
    on: dt.date,
    key: str | None,
    books: Books,
    commission: Commission | None = None,
) -> Accrual:
    back = None if line.origin is None else line.origin.corrects
    accrual = Accrual(
        id=f"{invoice.id}/{line.id}" + (f"/{key}" if key is not None else ""),
        settlement_account=partner,
        order_id=invoice.order_id,
        bill_no=invoice.id,
        line_id=line.id,
        amount=amount,
        date=on,
        cause=books.cause,
        booked_at=books.booked_at,
        commission=commission,
        takes_back=None if back is None else f"{back.bill_no}/{back.line_id}",
    )
    books.put(accrual)
    return accrual
