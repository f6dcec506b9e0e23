"""Accruals: what partners earn with the lines sold on their behalf, at the invoice or as it is paid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.frozen import dataclass, replace
from domain.invoicing.model import AgreementRevision, CorrectedLine, Invoice, InvoiceLine, PartnerShare
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed
from domain.money import rounded_ratio, share_of
from domain.settlement import position
from domain.settlement.agreements import agreement_on


@dataclass(frozen=True, slots=True)
class Accrual:
    """What a partner has earned with a line: append-only but for the statement that holds it, set once.

    `date` is that of its order, or of the payment that released it; `cause` the identity of the fact that accrued it.
    An adjustment has its `adjustment_id`, and no line, but the one that it corrects.
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


@dataclass(frozen=True, slots=True)
class SettlementAccrued:
    """What one fact has earned one partner."""

    settlement_account: str
    currency: str
    accruals: tuple[Accrual, ...]


def share_of_line(partner: Account, net: int, day: dt.date, books: Books) -> PartnerShare:
    """A partner's part in the net (minor units) of a line of a day, its terms frozen; nothing of it is accrued yet.

    The terms are those of its agreement that is in force on that day, else its account's. Raises `NotLoaded`.
    """
    agreement = agreement_on(partner.id, day, books)
    if agreement is None:
        terms = partner.settlement_terms
        assert terms is not None, f"settlement account {partner.id} has no terms"
        return PartnerShare(partner.id, terms.partner_share, terms.accrue_on, share_of(net, terms.partner_share), 0)
    agreed = agreement.terms_on(day)
    by = AgreementRevision(agreement.id, agreed.revision)
    share = share_of(net, agreed.terms.partner_share)
    return PartnerShare(partner.id, agreed.terms.partner_share, agreed.terms.accrue_on, share, 0, by)


def post_share(line: InvoiceLine, partner: PartnerShare, books: Books) -> None:
    """Credit a line on behalf of a partner: its share is payable, or withheld until the payment; the rest is ours."""
    if partner.accrue_on == "invoice":
        position.owe(partner.id, partner.share, books)
    else:
        position.withhold(partner.id, partner.share, books)
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

    The share left is the frozen share of the line's net, less that of what was credited of it. Accrued at the invoice,
    all of it is accrued. Accrued at payment, round(share left × allocated ÷ billed) is, as much more as
    round(share left × (allocated + written off) ÷ billed) says is given up, and the rest is withheld; where nothing is
    billed any more, all that is left is accrued. What differs from what is booked may be negative, and is dated `on`.

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
        part = line.on_behalf_of
        if part is None:
            continue
        was, now = (found.get(line.id, CorrectedLine(line.id, 0)) for found in (lines_before, lines_after))
        share = share_of(line.tax_excluded_amount, part.partner_share) - share_of(now.credited, part.partner_share)
        accrued, withheld = share, (0, 0)
        if part.accrue_on == "payment":
            if billed:
                accrued = rounded_ratio(share * allocated, billed)
            lost = rounded_ratio(share * not_owed, billed) - accrued if billed else 0
            if lost:
                given_up[line.id] = lost
            withheld = (part.share - part.accrued - was.given_up, share - accrued - lost)
        if (share, accrued, withheld[1], now.credited) == (part.share, part.accrued, withheld[0], was.credited):
            continue
        touched[part.id] = None
        position.correct(part.id, accrued - part.accrued, withheld, books)
        # Ours is the net less the share: a note takes back of both.
        books.move(chart.OF_COMMISSION, now.credited - was.credited + share - part.share)
        lines[index] = replace(line, on_behalf_of=replace(part, share=share, accrued=accrued))
        if accrued != part.accrued:
            accruals.append(_accrual(after, line, part.id, accrued - part.accrued, on, key, books))
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
    for index, amount_due in due.items():
        line = lines[index]
        assert line.on_behalf_of is not None
        amount = amount_due - line.on_behalf_of.accrued
        if amount == 0:
            continue
        if released_by is not None and amount_due == line.on_behalf_of.share:
            position.end_withholding(line.on_behalf_of.id, books)
        lines[index] = replace(line, on_behalf_of=replace(line.on_behalf_of, accrued=amount_due))
        accruals.append(_accrual(invoice, line, line.on_behalf_of.id, amount, on, released_by, books))
    return (replace(invoice, lines=tuple(lines)) if accruals else invoice), accruals


def _accrual(
    invoice: Invoice, line: InvoiceLine, partner: str, amount: int, on: dt.date, key: str | None, books: Books
) -> Accrual:
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
    )
    books.put(accrual)
    return accrual
