"""Backdating: what was earned on days that are past is brought to the terms that were agreed of them since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Literal

from domain.accounts.model import Account, find_account
from domain.errors import MustWait
from domain.frozen import dataclass, replace
from domain.invoicing.model import (
    AgreementRevision,
    CorrectedLine,
    CorrectsLine,
    Invoice,
    InvoiceLine,
    IssuedShare,
    PartnerShare,
)
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money, rounded_ratio
from domain.settlement import position
from domain.settlement.accruals import (
    Accrual,
    net_paid,
    share_of_line,
    share_taken_back,
    terms_of_day,
)
from domain.settlement.agreements import Agreement, agreement_on, terms_needs
from domain.settlement.correcting import rebook
from domain.settlement.tiers import correct_tier, free, take_out

BackdatingState = Literal["running", "completed"]


@dataclass(frozen=True, slots=True)
class Backdating:
    """That terms were agreed of days that are past, from `since` on: all invoices of these are gone through.

    Its id is the agreement's with the revision. `corrected` is of how many invoices something was corrected, `amount`
    what the partner has earned more by that (minor units).
    """

    id: str
    agreement: str
    revision: int
    settlement_account: str
    since: date
    state: BackdatingState
    booked_at: datetime
    corrected: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class SharesToCorrect:
    """`settlement.correct`: bring a partner's shares in an invoice to what is agreed now of its day."""

    agreement: str
    revision: int
    bill_no: str


@dataclass(frozen=True, slots=True)
class BackdatingToComplete:
    """`agreement.complete`: all invoices were gone through for a revision of an agreement."""

    agreement: str
    revision: int


@dataclass(frozen=True, slots=True)
class CorrectedShare:
    """How a line's share was corrected (minor units): it was, it is, and so much of the difference is accrued.

    `commission` is by how much more is charged of what is sold in the partner's name; None where that is nothing,
    also where all of it is charged anew with another tax. `before` is the partner's part as it was, with its terms; an
    earlier version kept none.
    """

    line_id: str
    was: int
    now: int
    accrued: int
    withheld: int
    commission: int | None = None
    before: PartnerShare | None = None

    @property
    def is_posted(self) -> bool:
        """Whether it moves money: a commission does when it is charged."""
        return (self.was, self.accrued, self.withheld) != (self.now, 0, 0)


@dataclass(frozen=True, slots=True)
class ShareCorrection:
    """What was corrected of an invoice for a revision of an agreement: append-only."""

    id: str
    agreement: str
    revision: int
    settlement_account: str
    bill_no: str
    lines: tuple[CorrectedShare, ...]
    cause: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class SettlementCorrected:
    """A partner's shares in an invoice were corrected."""

    correction: ShareCorrection
    order_id: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class CorrectionResult:
    """What is answered: how many lines were corrected, and what the partner has earned more by that."""

    lines: int
    corrected: Money


@dataclass(frozen=True, slots=True)
class BackdatingResult:
    """What is answered: of how many invoices something was corrected."""

    invoices: int


def id_of(agreement: str, revision: int) -> str:
    """The id of a backdating."""
    # No id of an agreement has a stroke in it.
    return f"{agreement}/{revision}"


def begin_backdating(agreement: Agreement, since: date, books: Books) -> Agreement:
    """Have all invoices since a day gone through for an agreement's newest revision; returns it, with that noted.

    Until that is done its partner is not closed.
    """
    id_ = id_of(agreement.id, agreement.revision)
    books.put(
        Backdating(
            id_,
            agreement.id,
            agreement.revision,
            agreement.settlement_account,
            since,
            "running",
            books.booked_at,
        )
    )
    return replace(agreement, backdating=(*(agreement.backdating or ()), agreement.revision))


def correction_needs(fact: SharesToCorrect, books: WorkingSet) -> Iterator[Need]:
    """What a correction looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Invoice, fact.bill_no)
    yield DocumentNeed(Backdating, id_of(fact.agreement, fact.revision))
    yield DocumentNeed(Agreement, fact.agreement)
    backdating = books.peek(Backdating, id_of(fact.agreement, fact.revision))
    if backdating is not None:
        yield DocumentNeed(Account, backdating.settlement_account)
        yield DocumentNeed(Position, backdating.settlement_account)
        yield from terms_needs(backdating.settlement_account, books)


PaidByDay = Callable[[Invoice, Books], list[tuple[date, int]]]
"""What covers an invoice, by day: how much (minor units), the earliest first. Raises `NotLoaded`."""


def correct_invoice(fact: SharesToCorrect, books: Books, paid_by_day: PaidByDay) -> CorrectionResult:
    """Bring a partner's shares in an invoice to what is agreed now of its day; returns what it has earned more.

    Each line of the agreement's days goes by the terms of its invoice's day, one that takes back another by those of
    that one's; what was billed of other days stays as it is. What differs
    is accrued, or withheld, by a row that names those of the line; statements that were made stay as they are. Where
    the terms are the line's own already, nothing is done.

    Raises `MustWait` (`account-suspended`; `correction-under-way` for a bill that takes back a line which is not yet
    corrected) and `Refused` (`account-closed`).
    """
    backdating = books.find(Backdating, id_of(fact.agreement, fact.revision))
    invoice = books.find(Invoice, fact.bill_no)
    assert backdating is not None, f"{fact} is of no backdating"
    assert invoice is not None, f"{fact} is of no invoice"
    partner = find_account(backdating.settlement_account, books)
    lines = tuple(_with_terms(line, invoice, partner, backdating, paid_by_day, books) for line in invoice.lines)
    if invoice.corrected.taken_back:
        books.announce(f"applied:{books.cause}")
    if lines == invoice.lines:
        return CorrectionResult(0, Money(partner.currency, 0))
    today = books.date_of(books.booked_at)
    after, accruals = rebook(invoice, replace(invoice, lines=lines), today, books)
    for accrual in accruals:
        books.put(replace(accrual, corrects=f"{accrual.bill_no}/{accrual.line_id}"))
    correction = ShareCorrection(
        id=f"{backdating.id}/{invoice.id}",
        agreement=backdating.agreement,
        revision=backdating.revision,
        settlement_account=partner.id,
        bill_no=invoice.id,
        lines=_corrected(invoice, after, accruals),
        cause=books.cause,
        booked_at=books.booked_at,
    )
    if any(line.is_posted for line in correction.lines):
        books.open_entry(books.booked_at, partner.kept_in)
    if correction.lines:
        books.append(correction)
        position.emit(partner.id, SettlementCorrected(correction, invoice.order_id, partner.currency), books)
    earned = sum(accrual.amount for accrual in accruals)
    books.put(replace(backdating, corrected=backdating.corrected + 1, amount=backdating.amount + earned))
    return CorrectionResult(len(correction.lines), Money(partner.currency, earned))


def _with_terms(
    line: InvoiceLine,
    invoice: Invoice,
    partner: Account,
    backdating: Backdating,
    paid_by_day: PaidByDay,
    books: Books,
) -> InvoiceLine:
    """A line with the terms that are agreed of its day now, its share and what it has accrued as they are booked.

    One that takes back another has those of that one, and waits until that is corrected. The periods of tiers follow.
    """
    booked = line.on_behalf_of
    if booked is None or booked.id != partner.id:
        return line
    corrects = None if line.origin is None else line.origin.corrects
    net = line.tax_excluded_amount
    if corrects is None:
        day = invoice.tax_point_date
        agreement = books.find(Agreement, backdating.agreement)
        assert agreement is not None, f"{backdating.id} is of no agreement"
        is_by_it = booked.agreement is not None and booked.agreement.id == agreement.id
        if not (is_by_it or agreement.holds_on(day)):
            return line  # another's, or its account's of then, which are not kept
        of_day = terms_of_day(partner, day, books)
        is_as_agreed = of_day.agreed is not None and booked.agreement == of_day.agreed.by
        # An invoice's seller is what it was as it was issued: no period of tiers has it either.
        if is_as_agreed or (of_day.terms.agent is None) != (booked.agent is None):
            return line
        part = share_of_line(of_day, net, line.tax_amount, books)
    else:
        taken_back, found = _taken_back(corrects, books)
        if _is_to_come(taken_back, found, backdating, books):
            identity = f"settlement.correct:{backdating.id}/{taken_back.id}"
            detail = f"invoice {invoice.id} takes back {taken_back.id}, which is to be corrected first"
            raise MustWait("correction-under-way", detail, f"applied:{identity}")
        of_found = found.on_behalf_of
        if of_found is None or _terms(of_found) == _terms(booked) or (of_found.agent is None) != (booked.agent is None):
            return line
        part = share_taken_back(found, net, line.tax_amount, books)
    corrected = next((one for one in invoice.corrected.lines if one.line_id == line.id), CorrectedLine(line.id))
    if part.tier is not None:
        share = replace(line, on_behalf_of=part).share_left(corrected)
        correct_tier(part, -corrected.credited, share - part.share, books)
    if part.freed is not None:
        part = _freed_by_payments(replace(line, on_behalf_of=part), part, corrected, invoice, paid_by_day, books)
    take_out(booked, books)
    if booked.tier is not None:
        correct_tier(booked, corrected.credited - net, -booked.share, books)
    issued = booked.issued or IssuedShare(line.share_left(CorrectedLine(line.id)), booked.accrue_on)
    agent = part.agent
    if agent is not None and booked.agent is not None:
        agent = replace(agent, charged=booked.agent.charged)
    return replace(
        line, on_behalf_of=replace(part, share=booked.share, accrued=booked.accrued, issued=issued, agent=agent)
    )


def _freed_by_payments(
    line: InvoiceLine,
    part: PartnerShare,
    corrected: CorrectedLine,
    invoice: Invoice,
    paid_by_day: PaidByDay,
    books: Books,
) -> PartnerShare:
    """A partner's part in a line whose tiers go by payments, with what those that cover its invoice have freed.

    Each counts on its own day, as if the terms had held then; what no payment frees, on the invoice's. Raises
    `NotLoaded`.
    """
    share, billed = line.share_left(corrected), invoice.billed
    if not billed:
        return free(part, net_paid(line, corrected, 0, 0), share, invoice.tax_point_date, books)
    allocated = 0
    for day, amount in paid_by_day(invoice, books):
        allocated += amount
        accrued = rounded_ratio(share * allocated, billed)
        part = free(part, net_paid(line, corrected, allocated, billed), accrued, day, books)
    return part


def _taken_back(corrects: CorrectsLine, books: Books) -> tuple[Invoice, InvoiceLine]:
    invoice = books.find(Invoice, corrects.bill_no)
    assert invoice is not None, f"a line takes back one of {corrects.bill_no}, which is not there"
    [found] = [line for line in invoice.lines if line.id == corrects.line_id]
    return invoice, found


def _is_to_come(invoice: Invoice, line: InvoiceLine, backdating: Backdating, books: Books) -> bool:
    """Whether a line that is taken back has yet to be corrected for what was agreed: it was parked, or comes later."""
    part = line.on_behalf_of
    if part is None:
        return False
    corrects = None if line.origin is None else line.origin.corrects
    if corrects is not None:
        return _is_to_come(*_taken_back(corrects, books), backdating, books)
    day = invoice.tax_point_date
    agreement = agreement_on(part.id, day, books)
    if agreement is None or agreement.id != backdating.agreement or day < backdating.since:
        return False
    has = part.agreement.revision if part.agreement is not None and part.agreement.id == agreement.id else 0
    # Its correction has brought it to what was agreed by then, which may be terms that were agreed before, once more.
    since = [agreement.terms_on(day, revision) for revision in range(backdating.revision, agreement.revision + 1)]
    if any((part.agent is None) != (one.terms.agent is None) for one in since):
        return False  # in whose name it was sold stays
    return all(has != one.of_lines for one in since)


def leave_correction(bill: Invoice, books: Books) -> None:
    """Leave to do that a new bill is corrected too, where a line that it takes back has yet to be.

    That one's correction is parked, or not come to: the bill's waits for it, also where all invoices were gone through
    before there was the bill. Raises `NotLoaded`.
    """
    for line in bill.lines:
        corrects = None if line.origin is None else line.origin.corrects
        if corrects is None or line.on_behalf_of is None:
            continue
        invoice, found = _taken_back(corrects, books)
        while found.origin is not None and found.origin.corrects is not None:
            invoice, found = _taken_back(found.origin.corrects, books)
        agreement = agreement_on(line.on_behalf_of.id, invoice.tax_point_date, books)
        if agreement is None or found.on_behalf_of is None:
            continue
        agreed = agreement.terms_on(invoice.tax_point_date)
        if found.on_behalf_of.agreement == AgreementRevision(agreement.id, agreed.of_lines):
            continue
        backdating = books.find(Backdating, id_of(agreement.id, agreed.revision))
        if backdating is not None and _is_to_come(invoice, found, backdating, books):
            books.continue_with(SharesToCorrect(agreement.id, agreed.revision, bill.id))
            return


def _terms(part: PartnerShare) -> tuple[object, ...]:
    """What tells the terms of two parts of one partner apart."""
    agent = None if part.agent is None else replace(part.agent, charged=0)
    return (part.agreement, part.partner_share, part.accrue_on, agent)


def _corrected(before: Invoice, after: Invoice, accruals: list[Accrual]) -> tuple[CorrectedShare, ...]:
    earned: Counter[str | None] = Counter()
    for accrual in accruals:
        earned[accrual.line_id] += accrual.amount
    lost = [{line.line_id: line.given_up for line in one.corrected.lines} for one in (before, after)]
    lines = []
    for was, now in zip(before.lines, after.lines, strict=True):
        if was.on_behalf_of is None or now.on_behalf_of is None or was.on_behalf_of == now.on_behalf_of:
            continue
        withheld = [
            _withheld(part, given_up.get(was.id, 0))
            for part, given_up in zip((was.on_behalf_of, now.on_behalf_of), lost, strict=True)
        ]
        shares = was.on_behalf_of.share, now.on_behalf_of.share
        commission = _charged(now.on_behalf_of) - _charged(was.on_behalf_of)
        corrected = CorrectedShare(
            was.id, *shares, earned[was.id], withheld[1] - withheld[0], commission or None, was.on_behalf_of
        )
        # What is charged again with another tax has rows, though neither amount may be another.
        if corrected.is_posted or was.id in earned:
            lines.append(corrected)
    return tuple(lines)


def _charged(part: PartnerShare) -> int:
    return 0 if part.agent is None else part.agent.charged


def _withheld(part: PartnerShare, given_up: int) -> int:
    return part.share - part.accrued - given_up if part.accrue_on == "payment" else 0


def completion_needs(fact: BackdatingToComplete, _books: WorkingSet) -> Iterator[Need]:
    """What is looked at to complete a backdating."""
    yield DocumentNeed(Backdating, id_of(fact.agreement, fact.revision))
    yield DocumentNeed(Agreement, fact.agreement)


def complete_backdating(fact: BackdatingToComplete, books: Books) -> BackdatingResult:
    """Note that all invoices were gone through; returns of how many something was corrected."""
    backdating = books.find(Backdating, id_of(fact.agreement, fact.revision))
    agreement = books.find(Agreement, fact.agreement)
    assert backdating is not None, f"{fact} is of no backdating"
    assert agreement is not None, f"{fact} is of no agreement"
    left = tuple(one for one in agreement.backdating or () if one != fact.revision)
    books.put(replace(agreement, backdating=left or None))
    books.put(replace(backdating, state="completed"))
    if not left:
        books.announce(f"backdated:{agreement.id}")
    return BackdatingResult(backdating.corrected)
