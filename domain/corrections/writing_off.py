"""Writing off: what remains of an invoice is given up as lost; a payment that names the invoice recovers it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.model import Account
from domain.corrections.crediting import correctable_account, settle_up
from domain.corrections.model import InvoiceToWriteOff, InvoiceWrittenOff, WriteOff, WriteOffResult
from domain.errors import Refused
from domain.frozen import replace
from domain.invoicing.handling import tell_state
from domain.invoicing.model import Invoice, WrittenOff, find_invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.payments.allocating import partner_needs
from domain.settlement.correcting import rebook

WRITE_OFFS_MAX = 50
"""The most write-offs of an invoice of which something stands."""


def write_off_time(write_off: InvoiceToWriteOff) -> tuple[str, datetime]:
    """When it was written off, by its own saying."""
    return "writtenOffAt", write_off.written_off_at


def write_off_needs(write_off: InvoiceToWriteOff, books: WorkingSet) -> Iterator[Need]:
    """What a write-off looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Invoice, write_off.bill_no)
    invoice = books.peek(Invoice, write_off.bill_no)
    if invoice is not None:
        yield DocumentNeed(Account, invoice.billing_account)
        yield DocumentNeed(Position, invoice.billing_account)
        yield QueueNeed(Invoice, invoice.billing_account)
        yield from partner_needs(invoice)


def write_off_invoice(write_off: InvoiceToWriteOff, books: Books) -> WriteOffResult:
    """Give up as lost what remains of an invoice, or an amount of it; returns how much.

    It is no longer open: only a payment that names the invoice recovers it. With relief the tax in it is not owed. What
    is withheld of it for partners is given up with it.

    Raises `MustWait` (`unknown-invoice`) and `Refused`: `currency-mismatch`, `account-closed`, `wrong-state` where
    nothing remains, or less than the amount, or too many write-offs stand already.
    """
    before = find_invoice(write_off.bill_no, books)
    account = correctable_account(before, books)
    remaining = before.remaining_amount
    amount = remaining if write_off.amount is None else write_off.amount.amount
    if write_off.amount is not None and write_off.amount.currency != before.currency:
        raise Refused(
            "currency-mismatch",
            f"amount: invoice {before.id} is in {before.currency}, not in {write_off.amount.currency}",
        )
    if not remaining:
        raise Refused("wrong-state", f"billNo: of invoice {before.id} nothing remains to be written off")
    if amount > remaining:
        said = f"amount: {account.kept_in.written(amount)}, but {account.kept_in.written(remaining)} remains"
        raise Refused("wrong-state", f"{said} of invoice {before.id}")
    if len(before.corrected.write_offs) >= WRITE_OFFS_MAX:
        raise Refused(
            "wrong-state", f"billNo: {WRITE_OFFS_MAX} write-offs of invoice {before.id} stand, and no more may"
        )
    books.open_entry(write_off.written_off_at, account.kept_in, reason=write_off.reason)
    books.count(account.id, "used")
    stands = WrittenOff(write_off.id, amount, write_off.tax_relief)
    after = replace(
        before,
        remaining_amount=remaining - amount,
        corrections=replace(before.corrected, write_offs=(*before.corrected.write_offs, stands)),
    )
    after, accruals = rebook(before, after, books.date_of(write_off.written_off_at), books)
    booked = WriteOff(
        write_off.id,
        before.id,
        account.id,
        before.currency,
        amount,
        write_off.tax_relief,
        write_off.written_off_at,
        books.booked_at,
        write_off.reason,
    )
    books.append(booked)
    books.emit(account.id, InvoiceWrittenOff(after, booked))
    tell_state(before, after, books)
    settle_up(account, accruals, books)
    return WriteOffResult(Money(before.currency, amount))
