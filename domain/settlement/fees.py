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
    the tax of its last day in force. What is taken back has the tax with which it was charged. Raises `NotLoaded`.
    """
    books.require(fees_needs(partner, agreements, until))
    due = []
    for agreement in agreements:
        for ended in ended_periods(agreement, until, _fee):
            charged = charged_in(partner, ended.key, books)
            more = ended.amount - (0 if charged is None else charged.amount)
            if more < 0:
                assert charged is not None, f"less than nothing is due of {ended.key}"
                due.append(_item(ended, _charged_with(charged, books), more, books, charged.document))
            elif more > 0:
                due.append(_item(ended, _agreed_of(agreement, ended), more, books))
    return due


def _item(ended: EndedPeriod, group: TaxGroup, amount: int, books: Books, by: str | None = None) -> Item:
    key = ended.key
    series = books.series
    return Item("fee", key.agreement, group, series, amount, key.start, ended.end, charged_by=by, type=key.type)


def _agreed_of(agreement: Agreement, ended: EndedPeriod) -> TaxGroup:
    """The tax of a period: that of its last day in force."""
    fee = agreement.terms_on(ended.end).closings.fixed_fee
    assert fee is not None, f"{agreement.id} has no fee on {ended.end}"
    return TaxGroup(fee.category, fee.rate)


def _charged_with(charged: ChargedFee, books: Books) -> TaxGroup:
    """The tax with which an invoice has charged of a period. Raises `NotLoaded`."""
    books.require([DocumentNeed(SettlementDocument, charged.document)])
    invoice = books.find(SettlementDocument, charged.document)
    assert invoice is not None, f"there is no document {charged.document}"
    fees = (one for one in invoice.lines if one.kind == "fee")
    line = next(one for one in fees if (one.agreement, one.start, one.type) == charged.key)
    return TaxGroup(line.category, line.rate)


def note_fees(partner: str, fees: Sequence[Item], documents: Documents, books: Books) -> None:
    """Note what was charged of periods in all, and by which invoice."""
    invoice = next((one.id for one in documents.issued if one.type_code == "380"), None)
    for fee in fees:
        assert fee.agreement is not None
        key = PeriodKey(fee.agreement, fee.start, fee.type)
        before = charged_in(partner, key, books)
        amount = fee.amount + (0 if before is None else before.amount)
        by = invoice if fee.amount > 0 else fee.charged_by
        assert by is not None, f"no invoice has the fee of {fee.agreement} from {fee.start} on"
        note_charged(partner, ChargedFee(key.agreement, key.start, amount, by, key.type), books)


def _fee(terms: ClosingTerms) -> FixedFee | None:
    return terms.fixed_fee
