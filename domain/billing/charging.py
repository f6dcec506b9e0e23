"""Charging: an item is charged to an account, for its next bill."""

from __future__ import annotations

from collections.abc import Iterator

from domain.accounts.lifecycle import billing_account, settlement_account
from domain.accounts.model import Account
from domain.billing.model import Charge, ChargeAdded, ChargeResult, ChargeToAdd
from domain.billing.subscribing import find_subscription
from domain.billing.subscriptions import Subscription
from domain.errors import Refused
from domain.invoicing.model import CorrectsLine, Invoice, find_invoice
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money


def charge_needs(charge: ChargeToAdd, _books: WorkingSet) -> Iterator[Need]:
    """What a charge looks at."""
    yield DocumentNeed(Account, charge.billing_account)
    yield DocumentNeed(Position, charge.billing_account)
    if charge.item.on_behalf_of is not None:
        yield DocumentNeed(Account, charge.item.on_behalf_of)
    if charge.corrects is not None:
        yield DocumentNeed(Invoice, charge.corrects.bill_no)
    if charge.subscription_id is not None:
        yield DocumentNeed(Subscription, charge.subscription_id)


def add_charge(charge: ChargeToAdd, books: Books) -> ChargeResult:
    """Keep a charge for the next bill; returns what it comes to without tax. Nothing is posted.

    Raises `MustWait` (`unknown-account`, `account-suspended`, `unknown-subscription`, `unknown-invoice`) and `Refused`:
    `currency-mismatch`, `account-closed`, `invalid` for an account of another type or another one than its
    subscription's, or for a line that it can't correct.
    """
    currency = charge.currency.code
    account = billing_account(charge.billing_account, currency, books, "billing")
    item = charge.item
    if item.on_behalf_of is not None:
        happening = "accrual" if charge.corrects is None else "correction"
        settlement_account(item.on_behalf_of, currency, books, happening, "item.onBehalfOf.id")
    if charge.subscription_id is not None:
        of = find_subscription(charge.subscription_id, books)
        if of.billing_account != account.id:
            detail = f"subscription {of.id} is {of.billing_account}'s, and what is charged for it is charged to that"
            raise Refused("invalid", f"billingAccount.id: {account.id}, but {detail}")
    if charge.corrects is not None:
        _check_corrects(charge, charge.corrects, books)
    # Its account can't be closed at the same time, nor billed: that writes the position too.
    books.count(account.id, "used")
    through = books.position(account.id).charges_through
    added = Charge(
        id=charge.id,
        billing_account=account.id,
        date=charge.date,
        currency=currency,
        item=item,
        net=charge.net,
        period=charge.period,
        subscription_id=charge.subscription_id,
        corrects=charge.corrects,
        booked_at=books.booked_at,
        behind=through is not None and charge.date <= through,
    )
    books.put(added)
    books.emit(account.id, ChargeAdded(added))
    return ChargeResult(Money(currency, charge.net))


def _check_corrects(charge: ChargeToAdd, corrects: CorrectsLine, books: Books) -> None:
    """Check that a charge can take back the line that it names: its tax and partner are the line's, its sign is not."""
    invoice = find_invoice(corrects.bill_no, books, "corrects.billNo")
    if invoice.currency != charge.currency.code:
        raise Refused(
            "currency-mismatch",
            f"corrects.billNo: invoice {invoice.id} is in {invoice.currency}, not in {charge.currency.code}",
        )
    line = next((line for line in invoice.lines if line.id == corrects.line_id), None)
    if line is None:
        raise Refused("invalid", f"corrects.lineId: invoice {invoice.id} has no line {corrects.line_id}")
    said = f"line {line.id} of invoice {invoice.id}"
    item = charge.item
    if (item.category, item.rate) != (line.category, line.rate):
        raise Refused(
            "invalid",
            f"item.tax: {item.category} {item.rate:f}, but {said} has {line.category} {line.rate:f}, and is taken back "
            "with its own",
        )
    partner = None if line.on_behalf_of is None else line.on_behalf_of.id
    if item.on_behalf_of != partner:
        whose = "nobody" if partner is None else partner
        raise Refused("invalid", f"item.onBehalfOf: {item.on_behalf_of}, but {said} was sold on behalf of {whose}")
    if charge.net * line.tax_excluded_amount >= 0:
        raise Refused(
            "invalid",
            f"item.unitPrice: comes to {charge.currency.written(charge.net)}, but {said} to "
            f"{charge.currency.written(line.tax_excluded_amount)}: what takes it back has the other sign",
        )
