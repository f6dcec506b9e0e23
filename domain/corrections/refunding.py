"""Refunding: money that went back to a customer is taken from what was reserved for it, a payment, or credit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import billing_account
from domain.accounts.model import Account
from domain.corrections.crediting import settle_up, settling_needs
from domain.corrections.deallocating import Uncovered, continue_deallocating, emit_reopened, uncover, uncovering_needs
from domain.corrections.model import (
    CompletedRefund,
    CreditNote,
    PaymentPart,
    Refund,
    RefundBooked,
    RefundResult,
)
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.money import Money
from domain.payments.allocating import WorkBudget
from domain.payments.model import Allocation, Payment

PAYMENTS_MAX = 10_000
"""Of how many payments credit is taken in one transaction."""


def refund_time(refund: CompletedRefund) -> tuple[str, datetime]:
    """When it went back, by its own saying."""
    return "refundedAt", refund.refunded_at


def refund_needs(refund: CompletedRefund, books: WorkingSet) -> Iterator[Need]:
    """What a refund looks at, as far as that can be told from what is loaded so far."""
    yield from settling_needs(refund.billing_account)
    if refund.credit_note_id is not None:
        yield DocumentNeed(CreditNote, refund.credit_note_id)
    elif refund.payment_id is not None:
        yield DocumentNeed(Payment, refund.payment_id)
        yield QueueNeed(Allocation, refund.payment_id, None)
        payment = books.peek(Payment, refund.payment_id)
        if payment is not None:
            yield from uncovering_needs(payment, books)


def complete_refund(refund: CompletedRefund, books: Books) -> RefundResult:
    """Book money that went back; returns what of it the customer owes us again.

    It is taken of what a credit note reserved; else of a payment: of its credit, then of what it covers, latest first;
    else of the account's credit, oldest payment first. What it finds too little of it waits for; too `late`, the rest
    is recoverable from the customer, since the money has moved. So is what a payment covers beyond a transaction's
    work, until `deallocate_credit` has done the rest.

    Raises `MustWait` (`unknown-account`, `unknown-credit-note`, `unknown-payment`, `insufficient-credit`) and
    `Refused`: `currency-mismatch`, `account-closed`, `invalid` for a note or a payment of another account,
    `wrong-state` for credit of too many payments.
    """
    account = billing_account(refund.billing_account, refund.money.currency, books, "correction")
    books.open_entry(refund.refunded_at, account.kept_in)
    books.count(account.id, "used")
    amount = refund.money.amount
    uncovered = Uncovered([], [], [], 0)
    if refund.credit_note_id is not None:
        taken = _of_note(refund.credit_note_id, account, amount, books)
    elif refund.payment_id is not None:
        payment = find_payment(refund.payment_id, account, books)
        found = payment.unapplied + sum(row.amount for row in books.queue(Allocation, payment.id))
        if found < amount and not refund.late:
            raise too_little(f"payment {payment.id}", found, amount, account)
        to_uncover = max(0, min(amount, found) - payment.unapplied)
        uncovered = uncover(payment, to_uncover, books.date_of(refund.refunded_at), WorkBudget(), books)
        taken = take(payment.id, min(amount, payment.unapplied + uncovered.amount), books)
    else:
        taken = take_of_credit(account, amount, books)
    gone = sum(part.amount for part in taken)
    if gone + uncovered.rest < amount and not refund.late:
        note = refund.credit_note_id
        of = f"the credit of account {account.id}" if note is None else f"what credit note {note} reserved"
        raise too_little(of, gone, amount, account)
    source = chart.REFUNDABLE if refund.credit_note_id is not None else chart.UNAPPLIED
    books.move(source.of(account.id), gone)
    books.move(chart.RECOVERABLE.of(account.id), amount - gone)
    books.credit(chart.OF_CASH, amount)
    booked = Refund(
        id=refund.id,
        billing_account=account.id,
        currency=account.currency,
        amount=amount,
        refunded_at=refund.refunded_at,
        booked_at=books.booked_at,
        credit_note_id=refund.credit_note_id,
        # One that names a note is of the note, whatever payment it names beside.
        payment_id=refund.payment_id if refund.credit_note_id is None else None,
        method=refund.method,
        taken=tuple(taken),
        deallocated=tuple(uncovered.undone),
        recoverable=amount - gone,
    )
    books.append(booked)
    books.emit(account.id, RefundBooked(booked))
    emit_reopened(uncovered.invoices, uncovered.undone, books)
    if uncovered.rest:
        continue_deallocating(payment, account.id, uncovered.rest, refund.refunded_at, books)
    settle_up(account, uncovered.accruals, books)
    return RefundResult(Money(account.currency, booked.recoverable))


def too_little(of: str, found: int, amount: int, account: Account) -> MustWait:
    """That there is too little to take of: what needs it (minor units) is tried again when the account has more."""
    return MustWait(
        "insufficient-credit",
        f"amount: {account.kept_in.written(amount)}, but {account.kept_in.written(found)} can be taken of {of}",
        f"credit:{account.id}",
        again=True,
    )


def _of_note(note_id: str, account: Account, amount: int, books: Books) -> list[PaymentPart]:
    """Take of what a note has reserved, as it was reserved, as far as that goes."""
    note = books.find(CreditNote, note_id)
    if note is None:
        raise MustWait("unknown-credit-note", f"creditNoteId: no credit note {note_id}", f"credit-note:{note_id}")
    if note.billing_account != account.id:
        raise Refused("invalid", f"creditNoteId: {note_id} is a credit note of another account than {account.id}")
    taken: list[PaymentPart] = []
    left: list[PaymentPart] = []
    for reserved in note.reserved:
        part = min(reserved.amount, amount)
        amount -= part
        if part:
            taken.append(PaymentPart(reserved.payment_id, part))
        if part < reserved.amount:
            left.append(PaymentPart(reserved.payment_id, reserved.amount - part))
    if taken:
        books.put(replace(note, reserved=tuple(left)))
    return taken


def find_payment(payment_id: str, account: Account, books: Books) -> Payment:
    """A payment of an account; raises `MustWait` (`unknown-payment`) and `Refused` (`invalid`)."""
    payment = books.find(Payment, payment_id)
    if payment is None:
        raise MustWait("unknown-payment", f"paymentId: no payment {payment_id}", f"payment:{payment_id}")
    if payment.billing_account != account.id:
        raise Refused("invalid", f"paymentId: {payment_id} is a payment of another account than {account.id}")
    return payment


def take(payment_id: str, amount: int, books: Books) -> list[PaymentPart]:
    """Take so much (minor units) of a payment's credit."""
    payment = books.find(Payment, payment_id)
    assert payment is not None, f"payment {payment_id} is not there"
    if not amount:
        return []
    books.put(replace(payment, unapplied=payment.unapplied - amount))
    return [PaymentPart(payment_id, amount)]


def take_of_credit(account: Account, amount: int, books: Books) -> list[PaymentPart]:
    """Take of an account's credit, oldest payment first, as far as that goes.

    Raises `Refused` (`wrong-state`) where it is that of more than `PAYMENTS_MAX` payments.
    """
    taken: list[PaymentPart] = []
    for payment in books.open_now(Payment, account.id):
        if not amount:
            break
        if len(taken) == PAYMENTS_MAX:
            raise Refused(
                "wrong-state", f"amount: takes the credit of more than {PAYMENTS_MAX} payments: send it in parts"
            )
        part = min(payment.unapplied, amount)
        amount -= part
        taken += take(payment.id, part, books)
    return taken
