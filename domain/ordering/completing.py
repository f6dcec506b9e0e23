"""Completing an order: it becomes an invoice, its partners' shares accrue or are withheld, and credit pays for it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from datetime import datetime

from domain.accounts.lifecycle import billing_account, check_state, settlement_account
from domain.accounts.model import Account
from domain.accounts.relations import payer_needs, payer_of
from domain.errors import Refused
from domain.frozen import dataclass
from domain.invoicing.pricing import Item, Pricing, price_with_nets
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.money import Currency
from domain.ordering.booking import SELLERS_MAX, ToInvoice, book_invoices
from domain.parties.model import SELLER, Seller
from domain.payments.model import Payment
from domain.settlement.accruals import emit_accruals, share_needs, share_of_line, terms_of_day


@dataclass(frozen=True, slots=True)
class Order:
    """`order.completed`: a fact that is never refused for what the customer owes."""

    id: str
    completed_at: datetime
    billing_account: str
    currency: Currency
    items: tuple[Item, ...]
    pricing: Pricing


@dataclass(frozen=True, slots=True)
class OrderResult:
    """What an order is answered with: the numbers of its invoices, one of each seller."""

    bill_nos: tuple[str, ...]


def order_time(order: Order) -> tuple[str, datetime]:
    """When it was completed, by its own saying."""
    return "completedAt", order.completed_at


def order_needs(order: Order, books: WorkingSet) -> Iterator[Need]:
    """What an order looks at, as far as that can be told from what is loaded so far."""
    billed = order.billing_account
    for billed in payer_needs(order.billing_account, order.completed_at, books):
        yield DocumentNeed(Account, billed)
        yield DocumentNeed(Position, billed)
    for account_id in {item.on_behalf_of for item in order.items if item.on_behalf_of}:
        yield from share_needs(account_id, order.completed_at, books)
    yield DocumentNeed(Series, books.series)
    yield DocumentNeed(Seller, SELLER)
    yield QueueNeed(Payment, billed)


def complete_order(order: Order, books: Books) -> OrderResult:
    """Invoice an order, accrue its partners' shares and let unapplied credit pay for it; returns the bills' numbers.

    Each seller has an invoice of its own: we, and each partner in whose name we sell. They are on the account that pays
    for the order's account as it was completed. A total of zero is settled at once.

    Raises `MustWait` (`unknown-account`, `account-suspended`) and `Refused` (`currency-mismatch`, `account-closed`, or
    `invalid` for an account of another type, too many sellers, or a total of one of them below zero).
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
    books.open_entry(order.completed_at, order.currency)
    day = books.date_of(order.completed_at)
    terms = {id_: terms_of_day(partner, day, books) for id_, partner in partners.items()}
    agents = {id_: agent for id_, of_day in terms.items() if (agent := of_day.terms.agent) is not None}
    invoices, accruals = book_invoices(
        account,
        [
            ToInvoice(
                items,
                pricing,
                [
                    share_of_line(terms[item.on_behalf_of], net, tax, books) if item.on_behalf_of else None
                    for item, net, tax in zip(items, pricing.nets, pricing.taxes, strict=True)
                ],
                seller,
                books.series if seller is None else agents[seller].series_of(seller),
            )
            for seller, items, pricing in _by_seller(order, agents)
        ],
        ordered_for=order.billing_account,
        order_id=order.id,
        currency=order.currency,
        at=order.completed_at,
        released_by=order.id,
        books=books,
    )
    emit_accruals(accruals, order.currency.code, books)
    return OrderResult(tuple(invoice.id for invoice in invoices))


def _by_seller(order: Order, agents: Container[str]) -> list[tuple[str | None, Sequence[Item], Pricing]]:
    """An order's lines and what they come to, by seller: ours first, then in the order of their first lines.

    Raises `Refused` (`invalid`) for too many sellers, or a total of one of them below zero.
    """
    if not agents:
        return [(None, order.items, order.pricing)]
    by_seller: dict[str | None, tuple[list[Item], list[int]]] = {None: ([], [])}
    for item, net in zip(order.items, order.pricing.nets, strict=True):
        seller = item.on_behalf_of if item.on_behalf_of in agents else None
        if seller not in by_seller:
            by_seller[seller] = [], []
        items, nets = by_seller[seller]
        items.append(item)
        nets.append(net)
    if not by_seller[None][0]:
        del by_seller[None]
    if len(by_seller) > SELLERS_MAX:
        raise Refused("invalid", f"items: of {len(by_seller)} sellers, and at most {SELLERS_MAX} fit an order")
    if len(by_seller) == 1:
        return [(seller, order.items, order.pricing) for seller in by_seller]
    return [
        (seller, items, price_with_nets(items, nets, order.currency, seller))
        for seller, (items, nets) in by_seller.items()
    ]
