"""Granting: goodwill is credit of an account that nobody paid, and covers what is open like any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import billing_account
from domain.corrections.crediting import settle_up
from domain.corrections.model import CreditGranted, CreditToGrant, Goodwill
from domain.ledger import chart
from domain.ledger.books import Books, Need, WorkingSet
from domain.payments.allocating import covering_needs
from domain.payments.model import Payment, PaymentResult


def grant_time(grant: CreditToGrant) -> tuple[str, datetime]:
    """When it was granted, by its own saying."""
    return "grantedAt", grant.granted_at


def grant_needs(grant: CreditToGrant, books: WorkingSet) -> Iterator[Need]:
    """What a grant looks at, as far as that can be told from what is loaded so far."""
    return covering_needs(grant.billing_account, books)


def grant_credit(grant: CreditToGrant, books: Books) -> PaymentResult:
    """Book goodwill, which may be granted wherever a payment may come in; returns what credit covers now.

    Raises `MustWait` (`unknown-account`) and `Refused` (`currency-mismatch`, `account-closed`, `invalid` for an account
    of another type).
    """
    account = billing_account(grant.billing_account, grant.money.currency, books, "payment")
    books.open_entry(grant.granted_at, account.kept_in)
    books.count(account.id, "used")
    amount = grant.money.amount
    books.debit(chart.OF_GOODWILL, amount)
    books.credit(chart.UNAPPLIED.of(account.id), amount)
    booked = Goodwill(
        id=grant.id,
        billing_account=account.id,
        currency=account.currency,
        amount=amount,
        granted_at=grant.granted_at,
        booked_at=books.booked_at,
        reason=grant.reason,
    )
    books.append(booked)
    books.put(
        Payment(
            id=f"credit~{grant.id}",
            billing_account=account.id,
            currency=account.currency,
            amount=amount,
            unapplied=amount,
            received_at=grant.granted_at,
            method=None,
            invoices=None,
            booked_at=books.booked_at,
            source="goodwill",
        )
    )
    books.announce(f"credit:{account.id}")
    books.emit(account.id, CreditGranted(booked))
    bill_nos = settle_up(account, [], books)
    return PaymentResult(bill_nos)
