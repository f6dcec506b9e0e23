"""Fees: what a partner pays us for each period that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from domain.ledger.books import Books, DocumentNeed, Need
from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument, TaxGroup
from domain.settlement.earnings import charged_in, earnings_needs, note_charged
from domain.settlement.issuing import Documents, Item
from domain.settlement.terms import ClosingTerms, FixedFee
from domain.settlement.turns import ended_periods


def fees_needs(partner: str, agreements: Sequence[Agreement], until: date) -> Iterator[Need]:
    """The years in which the periods of a partner's fees begin: what was charged of them stands there."""
    started = (ended.start.year for agreement in agreements for ended in ended_periods(agreement, until, _fee))
    yield from earnings_needs(partner, started)


def fees_due(partner: str, agreements: Sequence[Agreement], until: date, books: Books) -> list[Item]:
    """What is to be charged of fees up to a day, which counts, or taken back where it is below zero (minor units).

    For each period that has ended it is the fee in proportion to the days in force, less what was charged of it; with
    the tax of its last day in force. Raises `NotLoaded`.
    """
    books.require(fees_needs(partner, agreements, until))
    due = []
    for agreement in agreements:
        for ended in ended_periods(agreement, until, _fee):
            fee = agreement.terms_on(ended.end).closings.fixed_fee
            assert fee is not None, f"{agreement.id} has no fee on {ended.end}"
            charged = charged_in(partner, agreement.id, ended.start, books)
            if more := ended.amount - (0 if charged is None else charged.amount):
                group = TaxGroup(fee.category, fee.rate)
                by = None if charged is None else charged.document
                due.append(Item("fee", agreement.id, group, books.series, more, ended.start, ended.end, charged_by=by))
    books.require(DocumentNeed(SettlementDocument, one.charged_by) for one in due if one.charged_by is not None)
    return due


def note_fees(partner: str, fees: Sequence[Item], documents: Documents, books: Books) -> None:
    """Note what was charged of periods in all, and by which invoice."""
    invoice = next((one.id for one in documents.issued if one.type_code == "380"), None)
    for fee in fees:
        assert fee.agreement is not None
        before = charged_in(partner, fee.agreement, fee.start, books)
        amount = fee.amount + (0 if before is None else before.amount)
        by = invoice if fee.amount > 0 else fee.charged_by
        assert by is not None, f"no invoice has the fee of {fee.agreement} from {fee.start} on"
        note_charged(partner, fee.agreement, fee.start, amount, by, books)


def _fee(terms: ClosingTerms) -> FixedFee | None:
    return terms.fixed_fee
