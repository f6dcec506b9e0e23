"""Fees: what a partner pays us for each period that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.ledger.books import Books, DocumentNeed, Need
from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument, TaxGroup
from domain.settlement.earnings import ChargedFee, charged_in, earnings_needs, note_charged
from domain.settlement.issuing import Documents, Item
from domain.settlement.terms import ClosingTerms, FixedFee
from domain.settlement.turns import EndedPeriod, PeriodKey, ended_periods


def fees_needs(partner: str, agreements: Sequence[Agreement], until: date) -> Iterator[Need]:
    """The years in which the periods of a partner's fees begin: what was charged of them stands there."""
    started = (ended.start.year for agreement in agreements for ended in ended_periods(agreement, until, _fee))
    yield from earnings_needs(partner, started)


def fees_due(partner: str, agreements: Sequence[Agreement], until: date, books: Books) -> list[Item]:
    """What is to be charged of fees up to a day, which counts, or taken back where it is below zero (minor units).

    For each period that has ended it is the fee in proportion to the days in force, less what was charged of it; with
    the tax of its last day in force. What is taken back has the tax with which it was charged, and is of the invoices
    that have charged it, the latest first; what was charged with another tax is taken back, and charged anew. Raises
    `NotLoaded`.
    """
    books.require(fees_needs(partner, agreements, until))
    return [
        item
        for agreement in agreements
        for ended in ended_periods(agreement, until, _fee)
        for item in _due_of(agreement, ended, charged_in(partner, ended.key, books), books)
    ]


def note_fees(partner: str, fees: Sequence[Item], documents: Documents, books: Books) -> None:
    """Note what was charged of periods in all, and by which invoices."""
    invoice = next((one.id for one in documents.issued if one.type_code == "380"), None)
    for fee in fees:
        assert fee.agreement is not None
        by = invoice if fee.amount > 0 else fee.charged_by
        assert by is not None, f"no invoice has the fee of {fee.agreement} from {fee.start} on"
        note_charged(partner, PeriodKey(fee.agreement, fee.start, fee.type), fee.amount, by, books)


def _due_of(agreement: Agreement, ended: EndedPeriod, charged: ChargedFee | None, books: Books) -> Iterator[Item]:
    """What is to be taken back of a period, of each invoice that has some of it, and what is to be charged."""
    if charged is not None and charged.amount == ended.amount and len(set(_taxes(agreement))) == 1:
        return
    fee = agreement.terms_on(ended.end).closings.fixed_fee if ended.days else None
    tax = None if fee is None else _tax(fee)
    left = ended.amount
    falls = []
    for part in () if charged is None else charged.of_invoices:
        charged_with = _charged_with(ended.key, part.document, books)
        stays = min(left, part.amount) if charged_with == tax else 0
        left -= stays
        if stays < part.amount:
            falls.append(_item(ended, charged_with, stays - part.amount, books, part.document))
    yield from reversed(falls)
    if left:
        assert tax is not None, f"no fee is agreed of {ended.key}"
        yield _item(ended, tax, left, books)


def _item(ended: EndedPeriod, tax: TaxGroup, amount: int, books: Books, by: str | None = None) -> Item:
    key = ended.key
    return Item("fee", key.agreement, tax, books.series, amount, key.start, ended.end, charged_by=by, type=key.type)


def _charged_with(key: PeriodKey, number: str, books: Books) -> TaxGroup:
    """The tax with which an invoice has charged of a period. Raises `NotLoaded`."""
    books.require([DocumentNeed(SettlementDocument, number)])
    invoice = books.find(SettlementDocument, number)
    assert invoice is not None, f"there is no document {number}"
    fees = (one for one in invoice.lines if one.kind == "fee")
    line = next(one for one in fees if (one.agreement, one.start, one.type) == key)
    return TaxGroup(line.category, line.rate)


def _taxes(agreement: Agreement) -> Iterator[TaxGroup]:
    """The taxes that were ever agreed of an agreement's fees."""
    return (_tax(fee) for one in agreement.agreed if (fee := _fee(one.closings)) is not None)


def _tax(fee: FixedFee) -> TaxGroup:
    return TaxGroup(fee.category, fee.rate)


def _fee(terms: ClosingTerms) -> FixedFee | None:
    return terms.fixed_fee
