"""Orders: a completed order becomes an invoice, its tax by group, its partners' shares accrued or withheld."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from domain.accounts.lifecycle import billing_account, check_state, settlement_account
from domain.accounts.model import Account, Position
from domain.accounts.opening import check_credit_limit
from domain.accounts.relations import payer_needs, payer_of
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.invoicing.model import Invoice, InvoiceIssued, InvoiceLine, InvoicePaid, PartnerShare, TaxItem
from domain.ledger import chart as ledger
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, Series, WorkingSet
from domain.money import Currency, line_net, rounded_ratio, share_of, spread, within_limit
from domain.payments.allocating import Payment, consume_credit
from domain.settlement.accruals import accrue_at_invoice, emit_accruals, release_withheld


@dataclass(frozen=True, slots=True)
class OrderItem:
    """A line of an order; `on_behalf_of` is the settlement account of the partner that it was sold for."""

    id: str
    description: str | None
    quantity: Decimal
    unit_price: Decimal
    category: str
    rate: Decimal
    on_behalf_of: str | None


@dataclass(frozen=True, slots=True)
class Pricing:
    """What the lines of an order come to, in minor units: each line's net and part of the tax, and the sums."""

    nets: tuple[int, ...]
    taxes: tuple[int, ...]
    tax_item: tuple[TaxItem, ...]
    tax_excluded_amount: int
    tax_included_amount: int


@dataclass(frozen=True, slots=True)
class Order:
    """`order.completed`: a fact that is never refused for what the customer owes."""

    id: str
    completed_at: datetime
    billing_account: str
    currency: Currency
    items: tuple[OrderItem, ...]
    pricing: Pricing


def price(items: Sequence[OrderItem], currency: Currency) -> Pricing:
    """Work out what an order's lines come to.

    Raises `Refused` (`invalid`) for a total below zero, or an amount beyond the limit: the order says so by itself,
    whatever account it is for.
    """
    nets = tuple(
        within_limit(line_net(item.quantity, item.unit_price, currency), f"items.{index}: the net")
        for index, item in enumerate(items)
    )
    taxes, tax_item = _tax(items, nets)
    excluded = within_limit(sum(nets), "the invoice's net")
    total = within_limit(excluded + sum(taxes), "the invoice's total")
    if total < 0:
        raise Refused("invalid", f"items: the invoice's total is {total} minor units, and may not be negative")
    return Pricing(nets, taxes, tax_item, excluded, total)


def order_needs(order: Order, books: WorkingSet) -> Iterator[Need]:
    """What an order looks at, as far as what is loaded tells."""
    billed = order.billing_account
    for billed in payer_needs(order.billing_account, order.completed_at, books):
        yield DocumentNeed(Account, billed)
        yield DocumentNeed(Position, billed)
    for account_id in {item.on_behalf_of for item in order.items if item.on_behalf_of}:
        yield DocumentNeed(Account, account_id)
        yield DocumentNeed(Position, account_id)
    yield DocumentNeed(Series, books.series)
    yield QueueNeed(Payment, billed)


def complete_order(order: Order, books: Books) -> Mapping[str, object]:
    """Invoice an order, accrue its partners' shares and let unapplied credit pay for it; returns its `billNo`.

    The invoice is on the account that pays for the order's account as it was completed. A total of zero is settled at
    once. Raises `MustWait` (`unknown-account`, `account-suspended`) and `Refused` (`currency-mismatch`,
    `account-closed`, or `invalid` for an account of another type).
    """
    ordered_for = billing_account(order.billing_account, order.currency.code, books, "order")
    account = payer_of(ordered_for, order.completed_at, books)
    if account.id != ordered_for.id:
        check_state(account, "order", f"billingAccount.id (the payer of {ordered_for.id})")
        books.count(ordered_for.id, "used")
    partners = {
        item.on_behalf_of: settlement_account(
            item.on_behalf_of, order.currency.code, books, "accrual", f"items.{index}.onBehalfOf.id"
        )
        for index, item in enumerate(order.items)
        if item.on_behalf_of is not None
    }
    before = books.position(account.id)
    invoice = _issue(order, account, partners, books)
    _count(invoice, books)
    books.open_entry(order.completed_at, invoice.currency)
    _post(invoice, books)
    books.emit(account.id, InvoiceIssued(invoice))
    date = books.date_of(order.completed_at)
    invoice, accruals = accrue_at_invoice(invoice, date, books)
    if invoice.is_open:
        books.put(invoice)
        accruals += consume_credit(invoice, before, books)
        if books.current(invoice).is_open and (
            before.oldest_due is None or invoice.payment_due_date < before.oldest_due
        ):
            books.put(replace(before, oldest_due=invoice.payment_due_date))
    else:
        invoice, released = release_withheld(replace(invoice, state="settled"), date, order.id, books)
        books.put(invoice)
        books.emit(account.id, InvoicePaid(invoice))
        accruals += released
    emit_accruals(accruals, invoice.currency, books)
    if account.credit_limit is not None:
        books.post_entry()
        check_credit_limit(account, before.receivable - before.unapplied, books)
    return {"billNo": invoice.id}


def _issue(order: Order, account: Account, partners: Mapping[str, Account], books: Books) -> Invoice:
    pricing = order.pricing
    bill_date = books.date_of(books.booked_at)
    return Invoice(
        id=books.next_bill_no(),
        billing_account=account.id,
        ordered_for=order.billing_account,
        order_id=order.id,
        currency=order.currency.code,
        state="new",
        bill_date=bill_date,
        payment_due_date=bill_date + timedelta(days=account.payment_term_days),
        tax_point_date=books.date_of(order.completed_at),
        booked_at=books.booked_at,
        tax_excluded_amount=pricing.tax_excluded_amount,
        tax_included_amount=pricing.tax_included_amount,
        remaining_amount=pricing.tax_included_amount,
        tax_item=pricing.tax_item,
        lines=tuple(
            InvoiceLine(
                item.id,
                item.description,
                item.quantity,
                item.unit_price,
                item.category,
                item.rate,
                net,
                tax,
                _partner_share(partners[item.on_behalf_of], net) if item.on_behalf_of is not None else None,
            )
            for item, net, tax in zip(order.items, pricing.nets, pricing.taxes, strict=True)
        ),
    )


def _tax(items: Sequence[OrderItem], nets: Sequence[int]) -> tuple[tuple[int, ...], tuple[TaxItem, ...]]:
    """Each line's part of the tax, and the tax of each (category, rate) group (EN 16931, BR-CO-17)."""
    groups: dict[tuple[str, Decimal], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[item.category, item.rate].append(index)
    taxes = [0] * len(items)
    tax_items = []
    for (category, rate), members in groups.items():
        numerator, denominator = rate.as_integer_ratio()
        parts = [nets[index] * numerator for index in members]
        net = sum([nets[index] for index in members])
        tax = rounded_ratio(net * numerator, denominator)
        tax_items.append(TaxItem(category, rate, net, tax))
        for index, part in zip(members, spread(tax, parts, denominator), strict=True):
            taxes[index] = part
    return tuple(taxes), tuple(tax_items)


def _partner_share(partner: Account, net: int) -> PartnerShare:
    terms = partner.settlement_terms
    assert terms is not None, f"settlement account {partner.id} has no terms"
    return PartnerShare(partner.id, terms.partner_share, terms.accrue_on, share_of(net, terms.partner_share), 0)


def _count(invoice: Invoice, books: Books) -> None:
    """Count the invoice on each account that it tells of, whether it moves anything there or not."""
    books.count(invoice.billing_account, "used")
    for line in invoice.lines:
        partner = line.on_behalf_of
        if partner is not None:
            books.count(partner.id, "used")
            if partner.accrue_on == "payment" and partner.share:
                books.count(partner.id, "withholding")


def _post(invoice: Invoice, books: Books) -> None:
    """Debit the receivable; credit revenue or, on behalf of a partner, its share and our commission; and the tax."""
    books.debit(ledger.receivable(invoice.billing_account), invoice.tax_included_amount)
    for line in invoice.lines:
        partner = line.on_behalf_of
        if partner is None:
            books.credit(ledger.OF_REVENUE, line.tax_excluded_amount)
            continue
        owed = ledger.payable if partner.accrue_on == "invoice" else ledger.withheld
        books.credit(owed(partner.id), partner.share)
        books.credit(ledger.OF_COMMISSION, line.tax_excluded_amount - partner.share)
    for item in invoice.tax_item:
        books.credit(ledger.tax(item.category, f"{item.rate:f}"), item.tax_amount)
