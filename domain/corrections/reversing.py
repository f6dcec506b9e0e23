"""Reversing: a payment that came back is taken of its credit, what is reserved or transferred of it, what it covers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date, datetime

from domain.accounts.lifecycle import check_state
from domain.accounts.model import find_account
from domain.corrections.crediting import settle_up, settling_needs
from domain.corrections.deallocating import continue_deallocating, emit_reopened, uncover, uncovering_needs
from domain.corrections.model import (
    CreditNote,
    NotePart,
    PaymentPart,
    PaymentToReverse,
    Reversal,
    ReversalBooked,
    ReversalResult,
    TransferredPart,
)
from domain.corrections.refunding import take
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.invoicing.model import Invoice
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.money import Currency, Money
from domain.payments.allocating import Deallocation, WorkBudget, in_order
from domain.payments.model import Allocation, Payment
from domain.settlement.accruals import Accrual

_NOTE = "credit-note.issue:"
"""How the causes of the allocations begin that a credit note has undone."""


def reversal_time(reversal: PaymentToReverse) -> tuple[str, datetime]:
    """When it came back, by its own saying."""
    return "reversedAt", reversal.reversed_at


def reversal_needs(reversal: PaymentToReverse, books: WorkingSet) -> Iterator[Need]:
    """What a reversal looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Payment, reversal.payment_id)
    yield QueueNeed(Reversal, reversal.payment_id, None)
    yield from _taking_needs(reversal.payment_id, books)


def _taking_needs(payment_id: str, books: WorkingSet) -> Iterator[Need]:
    """What it takes to take back a payment, and all that was transferred of it."""
    payment = books.peek(Payment, payment_id)
    if payment is not None:
        yield from settling_needs(payment.billing_account)
        yield from uncovering_needs(payment, books)
        for one in payment.transferred or ():
            yield DocumentNeed(Payment, one.id)
            yield from _taking_needs(one.id, books)
    for note_id in _notes_of(list(books.known(Allocation, payment_id))):
        yield DocumentNeed(CreditNote, note_id)


def reverse_payment(reversal: PaymentToReverse, books: Books) -> ReversalResult:
    """Book that a payment came back, or a part of it; returns how much, and what the customer owes us again.

    It is taken, in this order, of the payment's credit; of what notes reserved of it, the latest first; of what was
    transferred of it, the latest first and in the same order, from whoever has it; of what it covers, the latest first:
    those invoices are open again, with the due date that they had. What was given back of it is recoverable from the
    customer whose payment it was. Without an amount it is the payment, less what was reversed of it before. More than
    that waits, and too `late` is recoverable. So is what is covered beyond a transaction's work, until
    `deallocate_credit` has done the rest.

    Raises `MustWait` (`unknown-payment`, `insufficient-credit`) and `Refused`: `currency-mismatch`, `account-closed`,
    of an account too that has what was transferred, `wrong-state` when all of it is reversed already.
    """
    payment = books.find(Payment, reversal.payment_id)
    if payment is None:
        raise MustWait(
            "unknown-payment", f"paymentId: no payment {reversal.payment_id}", f"payment:{reversal.payment_id}"
        )
    account = find_account(payment.billing_account, books)
    check_state(account, "correction", f"paymentId (of payment {payment.id})")
    left = payment.amount - sum(row.amount for row in books.queue(Reversal, payment.id))
    amount = _amount(reversal, payment, left, account.kept_in)
    books.open_entry(
        reversal.reversed_at, account.kept_in, reverses=f"payment.received:{payment.id}", reason=reversal.reason
    )
    books.count(account.id, "used")
    taken = _Taken(books.date_of(reversal.reversed_at), WorkBudget())
    found = _take_back(payment, amount, taken, books)
    recoverable = amount - found + sum(rest for _, rest in taken.rests)
    own = taken.parts[-1]
    transferred = [part for part in taken.parts[:-1] if part.credit or part.reserved]
    holders = {one.billing_account: find_account(one.billing_account, books) for one in transferred}
    for holder in holders.values():
        check_state(holder, "correction", f"paymentId (what was transferred of payment {payment.id})")
    fee = reversal.fee.amount if reversal.fee is not None else 0
    for part in taken.parts:
        books.move(chart.UNAPPLIED.of(part.billing_account), part.credit)
        books.move(chart.REFUNDABLE.of(part.billing_account), sum(one.amount for one in part.reserved))
    books.move(chart.RECOVERABLE.of(account.id), recoverable)
    books.move(chart.OF_BANK_CHARGES, fee)
    books.credit(chart.OF_CASH, amount + fee)
    booked = Reversal(
        id=reversal.id,
        payment_id=payment.id,
        billing_account=account.id,
        currency=account.currency,
        amount=amount,
        fee=fee,
        reversed_at=reversal.reversed_at,
        booked_at=books.booked_at,
        reason=reversal.reason,
        credit=own.credit,
        reserved=own.reserved,
        transferred=tuple(transferred),
        deallocated=tuple(taken.deallocated),
        recoverable=recoverable,
    )
    books.append(booked)
    undone: dict[str, list[Deallocation]] = {}
    for deallocated in booked.deallocated:
        undone.setdefault(deallocated.payment_id, []).append(deallocated)
    for part in (own, *transferred):
        now = books.find(Payment, part.payment_id)
        assert now is not None, "it is there"
        # Who has some of it is told of that alone: there may be a thousand of them.
        of_it = replace(booked, transferred=(part,), deallocated=tuple(undone.get(part.payment_id, ())))
        books.emit(part.billing_account, ReversalBooked(now, booked if part is own else of_it))
    emit_reopened(taken.reopened.values(), taken.deallocated, books)
    for covering, rest in taken.rests:
        continue_deallocating(covering, account.id, rest, reversal.reversed_at, books)
    others = [holder for holder in holders.values() if holder.id != account.id]
    settle_up(account, taken.accruals, books, *others)
    return ReversalResult(Money(account.currency, amount), Money(account.currency, recoverable))


@dataclasses.dataclass(slots=True)
class _Taken:
    """What a reversal has taken so far: of the payment itself in the end, before it of what was transferred of it.

    `on` dates what accrues; `reopened` are the invoices as they are then, by number; `rests` is what the budget did not
    reach to undo, of which payment.
    """

    on: date
    budget: WorkBudget
    parts: list[TransferredPart] = dataclasses.field(default_factory=list)
    reopened: dict[str, Invoice] = dataclasses.field(default_factory=dict)
    deallocated: list[Deallocation] = dataclasses.field(default_factory=list)
    accruals: list[Accrual] = dataclasses.field(default_factory=list)
    rests: list[tuple[Payment, int]] = dataclasses.field(default_factory=list)


def _take_back(payment: Payment, amount: int, taken: _Taken, books: Books) -> int:
    """Take so much (minor units) of a payment and what was transferred of it, as far as that goes.

    Returns how much, with what is left to another transaction: what a part is still to be relieved of is asked of no
    other.
    """
    credit = min(payment.unapplied, amount)
    reserved = _of_notes(payment, amount - credit, books)
    left = amount - credit - sum(part.amount for part in reserved)
    for one in reversed(payment.transferred or ()):
        there = books.find(Payment, one.id)
        assert there is not None, f"{one.id} was transferred of payment {payment.id}, and is not there"
        left -= _take_back(there, left, taken, books)
    to_uncover = min(left, sum(row.amount for row in books.queue(Allocation, payment.id)))
    uncovered = uncover(payment, to_uncover, taken.on, taken.budget, books)
    taken.reopened |= {invoice.id: invoice for invoice in uncovered.invoices}
    taken.deallocated += uncovered.undone
    taken.accruals += uncovered.accruals
    if uncovered.rest:
        taken.rests.append((payment, uncovered.rest))
    credit += uncovered.amount
    take(payment.id, credit, books)
    taken.parts.append(TransferredPart(payment.id, payment.billing_account, credit, tuple(reserved)))
    return amount - left + to_uncover


def _amount(reversal: PaymentToReverse, payment: Payment, left: int, currency: Currency) -> int:
    """How much of a payment is reversed (minor units)."""
    for field, money in (("amount", reversal.amount), ("fee", reversal.fee)):
        if money is not None and money.currency != payment.currency:
            raise Refused(
                "currency-mismatch",
                f"{field}: payment {payment.id} is in {payment.currency}, not in {money.currency}",
            )
    amount = left if reversal.amount is None else reversal.amount.amount
    if amount <= 0:
        raise Refused("wrong-state", f"paymentId: all of payment {payment.id} is reversed already")
    if amount > left and not reversal.late:
        raise MustWait(
            "insufficient-credit",
            f"amount: {currency.written(amount)}, but {currency.written(left)} is left of payment {payment.id}",
            f"credit:{payment.billing_account}",
            again=True,
        )
    return amount


def _notes_of(rows: list[Allocation]) -> list[str]:
    """The ids of the credit notes that have undone some of these allocations, the latest first."""
    undone = [row for row in in_order(rows) if row.amount < 0 and row.cause.startswith(_NOTE)]
    return list(dict.fromkeys(row.cause.removeprefix(_NOTE) for row in reversed(undone)))


def _of_notes(payment: Payment, amount: int, books: Books) -> list[NotePart]:
    """Take of what notes reserved of a payment (minor units), the latest first, as far as that goes."""
    taken: list[NotePart] = []
    for note_id in _notes_of(list(books.queue(Allocation, payment.id))) if amount else ():
        note = books.find(CreditNote, note_id)
        assert note is not None, f"credit note {note_id} has undone an allocation, and is not there"
        part = min(amount, sum(one.amount for one in note.reserved if one.payment_id == payment.id))
        if not part:
            continue
        amount -= part
        taken.append(NotePart(note.id, part))
        books.put(replace(note, reserved=_without(note.reserved, payment.id, part)))
    return taken


def _without(reserved: tuple[PaymentPart, ...], payment_id: str, amount: int) -> tuple[PaymentPart, ...]:
    left = []
    for one in reserved:
        part = min(one.amount, amount) if one.payment_id == payment_id else 0
        amount -= part
        if part < one.amount:
            left.append(replace(one, amount=one.amount - part))
    return tuple(left)
