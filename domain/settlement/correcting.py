"""Correcting: what is booked of an invoice follows its state. Every correction goes through here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from domain.frozen import replace
from domain.invoicing.model import NO_CORRECTIONS, CorrectedLine, CorrectedTax, Corrections, Invoice, Loss, state_of
from domain.ledger import chart
from domain.ledger.books import Books
from domain.ledger.entries import key_of
from domain.money import rounded_ratio
from domain.settlement.accruals import Accrual, correct_shares


def rebook(
    before: Invoice, after: Invoice, on: date, books: Books, *, payment: str | None = None
) -> tuple[Invoice, list[Accrual]]:
    """Book what the state of an invoice comes to, less what was booked of it: never a difference worked out alone.

    In: the invoice as it is booked; as the fact leaves it, with what is now credited and written off of it, of its
    lines and of its tax groups, with what is allocated to it and what remains; `on` dates what accrues, `payment` is
    the one that covers more of it, or less, if that is all that changed. Out: the invoice with all that follows from
    that: its partners' shares, what is given up of them, the tax that we are relieved of, its state; and what accrues.
    It is put into the books.

    Revenue, commission and tax are those of the net that is not credited; of what is sold in a partner's name there is
    none. A write-off is a loss, less the tax that it relieves us of (round((tax − credited) × written off with relief ÷
    billed) of each group) and the shares that it gives up. The receivable falls by what is credited or written off;
    what is allocated moves it elsewhere.

    Raises `Refused` (`account-closed`) where that would change what a closed partner has: it is to be reopened first.
    """
    was = before.corrected
    key = key_of(books.cause)
    accrual_key = key if payment is None else f"{payment}/{key}"
    after, accruals, given_up = correct_shares(before, after, on, accrual_key, books)
    after = replace(after, corrections=_followed(after, given_up))
    now = after.corrected
    own = {line.id for line in after.lines if line.on_behalf_of is None}
    books.move(chart.OF_REVENUE, _credited_of(after, own) - _credited_of(before, own))
    relieved = 0
    if after.seller is None:
        for category, rate, credited, relief in _tax_changes(before, after):
            books.move(chart.tax(category, f"{rate:f}"), credited + relief)
            relieved += relief
    written_off = now.written_off - was.written_off
    lost = sum(line.given_up for line in now.lines) - sum(line.given_up for line in was.lines)
    if written_off or relieved or lost:
        books.append(
            Loss(
                f"{after.id}/{accrual_key}",
                after.id,
                after.billing_account,
                written_off,
                relieved,
                lost,
                books.cause,
                books.booked_at,
            )
        )
    books.move(chart.OF_BAD_DEBT, written_off - relieved - lost)
    books.move(chart.RECEIVABLE.of(after.billing_account), -(now.credited - was.credited) - written_off)
    after = replace(after, state=state_of(after))
    books.put(after)
    return after, accruals


def _followed(invoice: Invoice, given_up: dict[str, int]) -> Corrections | None:
    """The corrections of an invoice with what follows from them: the shares given up, the tax that is relieved."""
    now = invoice.corrected
    so_far = {line.line_id: line for line in now.lines}
    by_group = {(group.category, group.rate): group for group in now.tax}
    lines, tax = [], []
    for line in invoice.lines:
        nothing = CorrectedLine(line.id)
        corrected = replace(so_far.get(line.id, nothing), given_up=given_up.get(line.id, 0))
        if corrected != nothing:
            lines.append(corrected)
    for item in invoice.tax_item:
        none = CorrectedTax(item.category, item.rate)
        group = by_group.get((item.category, item.rate), none)
        left = (item.tax_amount - group.credited) * now.with_relief if invoice.seller is None else 0
        group = replace(group, relieved=rounded_ratio(left, invoice.billed) if invoice.billed else 0)
        if group != none:
            tax.append(group)
    followed = replace(now, lines=tuple(lines), tax=tuple(tax))
    return None if followed == NO_CORRECTIONS else followed


def _tax_changes(before: Invoice, after: Invoice) -> Iterator[tuple[str, Decimal, int, int]]:
    """By how much what is credited of each tax group, and relieved of it, differs."""
    was, now = ({(group.category, group.rate): group for group in i.corrected.tax} for i in (before, after))
    for item in after.tax_item:
        group = (item.category, item.rate)
        old, new = (found.get(group, CorrectedTax(*group)) for found in (was, now))
        yield (*group, new.credited - old.credited, new.relieved - old.relieved)


def _credited_of(invoice: Invoice, lines: set[str]) -> int:
    return sum(line.credited for line in invoice.corrected.lines if line.line_id in lines)
