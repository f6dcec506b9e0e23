"""Transferring: credit that is another account's goes there, as of a payment that was booked on the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import billing_account
from domain.accounts.model import Account
from domain.corrections.crediting import settle_up
from domain.corrections.model import CreditToTransfer, CreditTransferred, PaymentPart, Transfer
from domain.corrections.refunding import find_payment, take, take_of_credit, too_little
from domain.errors import Refused
from domain.frozen import replace
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.payments.allocating import covering_needs
from domain.payments.model import Payment, PaymentResult, TransferredCredit

LEVELS_MAX = 16
"""How often the same credit may be transferred: that of a payment, then that of what it became, and so on."""
TRANSFERS_MAX = 1_000
"""In how many parts the credit of one payment may be transferred."""
PARTS_MAX = 5_000
"""In how many parts in all, those included that go further: a reversal takes all of them in one transaction."""


def transfer_time(transfer: CreditToTransfer) -> tuple[str, datetime]:
    """When it was transferred, by its own saying."""
    return "transferredAt", transfer.transferred_at


def transfer_needs(transfer: CreditToTransfer, books: WorkingSet) -> Iterator[Need]:
    """What a transfer looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Account, transfer.from_account)
    yield DocumentNeed(Position, transfer.from_account)
    if transfer.payment_id is not None:
        yield DocumentNeed(Payment, transfer.payment_id)
    else:
        yield QueueNeed(Payment, transfer.from_account)
    yield from covering_needs(transfer.to_account, books)


def transfer_credit(transfer: CreditToTransfer, books: Books) -> PaymentResult:
    """Book that credit is another account's; returns what credit covers there now.

    It is taken of a payment's credit, else of the account's, oldest payment first. What covers invoices is no credit:
    it stays. More than there is waits.

    Raises `MustWait` (`unknown-account`, `unknown-payment`, `insufficient-credit`) and `Refused`: `currency-mismatch`,
    `account-closed`, `invalid` for one account twice, for an account of another type, or for a payment of another
    account, `wrong-state` for credit of too many payments, or that was transferred too often.
    """
    if transfer.from_account == transfer.to_account:
        raise Refused("invalid", f"to.id: must be another account than from.id (got {transfer.to_account})")
    currency, amount = transfer.money.currency, transfer.money.amount
    giver = billing_account(transfer.from_account, currency, books, "correction", "from.id")
    taker = billing_account(transfer.to_account, currency, books, "payment", "to.id")
    books.open_entry(transfer.transferred_at, giver.kept_in)
    if transfer.payment_id is not None:
        payment = find_payment(transfer.payment_id, giver, books)
        if payment.unapplied < amount:
            raise too_little(f"the credit of payment {payment.id}", payment.unapplied, amount, giver)
        taken = take(payment.id, amount, books)
    else:
        taken = take_of_credit(giver, amount, books)
        found = sum(part.amount for part in taken)
        if found < amount:
            raise too_little(f"the credit of account {giver.id}", found, amount, giver)
    sources = [books.find(Payment, part.payment_id) for part in taken]
    books.require(DocumentNeed(Payment, _origin(source)) for source in sources if source is not None)
    for account in (giver, taker):
        books.count(account.id, "used")
    books.debit(chart.UNAPPLIED.of(giver.id), amount)
    books.credit(chart.UNAPPLIED.of(taker.id), amount)
    for n, part in enumerate(taken, 1):
        _hand_over(part, f"transfer~{transfer.id}~{n}", transfer, taker, books)
    booked = Transfer(
        id=transfer.id,
        from_account=giver.id,
        to_account=taker.id,
        currency=giver.currency,
        amount=amount,
        transferred_at=transfer.transferred_at,
        booked_at=books.booked_at,
        reason=transfer.reason,
        payment_id=transfer.payment_id,
        taken=tuple(taken),
    )
    books.append(booked)
    books.announce(f"credit:{taker.id}")
    for account in (giver, taker):
        books.emit(account.id, CreditTransferred(booked))
    bill_nos = settle_up(taker, [], books)
    return PaymentResult(bill_nos)


def _origin(credit: Payment) -> str:
    """The payment that credit was at first, as far as that is known."""
    return credit.origin or credit.id


def _hand_over(part: PaymentPart, credit_id: str, transfer: CreditToTransfer, taker: Account, books: Books) -> None:
    """Make what was taken of a payment credit of another account; the payment says which."""
    source = books.find(Payment, part.payment_id)
    assert source is not None, f"payment {part.payment_id} was just taken of"
    before, level = source.transferred or (), (source.level or 0) + 1
    if len(before) == TRANSFERS_MAX or level > LEVELS_MAX:
        raise Refused(
            "wrong-state",
            f"from.id: credit of payment {source.id} was transferred "
            + (f"{LEVELS_MAX} times" if level > LEVELS_MAX else f"in {TRANSFERS_MAX} parts")
            + ": a reversal of the payment follows it no further",
        )
    books.put(replace(source, transferred=(*before, TransferredCredit(credit_id, part.amount))))
    origin = books.find(Payment, _origin(source))
    assert origin is not None, f"credit {source.id} was transferred of a payment that is not there"
    parts = (origin.parts or 0) + 1
    if parts > PARTS_MAX:
        raise Refused(
            "wrong-state",
            f"from.id: credit of payment {origin.id} was transferred in {PARTS_MAX} parts, here and elsewhere: a "
            "reversal of the payment takes no more at once",
        )
    books.put(replace(origin, parts=parts))
    books.put(
        Payment(
            id=credit_id,
            billing_account=taker.id,
            currency=taker.currency,
            amount=part.amount,
            unapplied=part.amount,
            received_at=transfer.transferred_at,
            method=None,
            invoices=None,
            booked_at=books.booked_at,
            source="transfer",
            level=level,
            origin=origin.id,
        )
    )
