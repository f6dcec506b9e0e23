"""Adjusting: an accrual that no invoice stands behind, as agreed with a partner, or to correct what a line accrued."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import Refused
from domain.frozen import dataclass
from domain.invoicing.model import CorrectsLine, Invoice, find_invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.accruals import Accrual
from domain.settlement.comparing import end_dispute
from domain.settlement.requesting import carried_needs
from domain.settlement.statements import Settlement


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`settlement.adjust`: a partner is owed so much more, or less where `money` is below zero.

    `date` says on which statement it stands.
    """

    id: str
    settlement_account: str
    money: Money
    date: date
    reason: str
    corrects: CorrectsLine | None = None


@dataclass(frozen=True, slots=True)
class SettlementAdjusted:
    """A partner is owed more, or less, by an accrual without an invoice."""

    accrual: Accrual
    currency: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdjustmentResult:
    """What an adjustment is answered with: what is payable to the partner then."""

    payable: Money


def adjustment_time(adjustment: Adjustment) -> tuple[str, datetime]:
    """Its date: one far ahead would keep it off every statement until then."""
    return "date", datetime.combine(adjustment.date, time(), UTC)


def adjustment_needs(adjustment: Adjustment, books: WorkingSet) -> Iterator[Need]:
    """What an adjustment looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Account, adjustment.settlement_account)
    yield DocumentNeed(Position, adjustment.settlement_account)
    if adjustment.corrects is not None:
        yield DocumentNeed(Invoice, adjustment.corrects.bill_no)
        yield QueueNeed(Settlement, adjustment.settlement_account, None)
        for settlement in books.known(Settlement, adjustment.settlement_account):
            yield from carried_needs(settlement.id, books)


def adjust_settlement(adjustment: Adjustment, books: Books) -> AdjustmentResult:
    """Accrue an amount to a partner, or less where it is below zero; returns what is payable to it then.

    It stands beside what accrues of lines: where it `corrects` one, that line's own share stays as it is, and is in
    dispute no more.

    Raises `MustWait` (`unknown-account`, `account-suspended`, `unknown-invoice`) and `Refused`: `currency-mismatch`,
    `account-closed`, `invalid` for another type of account or a line that is not that partner's.
    """
    account = settlement_account(adjustment.settlement_account, adjustment.money.currency, books, "correction")
    corrects = adjustment.corrects
    invoice = None if corrects is None else _invoice_of(corrects, account, books)
    books.open_entry(books.start_of(adjustment.date), account.kept_in, reason=adjustment.reason)
    payable = position.adjust(account.id, adjustment.money.amount, books)
    accrual = Accrual(
        id=key_of(books.cause),
        settlement_account=account.id,
        order_id=None if invoice is None else invoice.order_id,
        bill_no=None if corrects is None else corrects.bill_no,
        line_id=None if corrects is None else corrects.line_id,
        amount=adjustment.money.amount,
        date=adjustment.date,
        cause=books.cause,
        booked_at=books.booked_at,
        adjustment_id=adjustment.id,
    )
    books.put(accrual)
    if corrects is not None:
        end_dispute(account.id, corrects, books)
    position.emit(account.id, SettlementAdjusted(accrual, account.currency, adjustment.reason), books)
    return AdjustmentResult(Money(account.currency, payable))


def _invoice_of(corrects: CorrectsLine, partner: Account, books: Books) -> Invoice:
    """The invoice of a line that is to be one of the partner's."""
    invoice = find_invoice(corrects.bill_no, books, "corrects.billNo")
    behalf = {line.id: line.on_behalf_of for line in invoice.lines}
    if corrects.line_id not in behalf:
        raise Refused("invalid", f"corrects.lineId: invoice {invoice.id} has no line {corrects.line_id}")
    share = behalf[corrects.line_id]
    if share is None or share.id != partner.id:
        raise Refused(
            "invalid",
            f"corrects.lineId: line {corrects.line_id} of invoice {invoice.id} is not sold on behalf of {partner.id}",
        )
    return invoice
