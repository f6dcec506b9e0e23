"""Pricing: what lines come to, and their tax by group (EN 16931, BR-CO-17)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from domain.errors import Refused
from domain.frozen import dataclass
from domain.invoicing.model import LineOrigin, TaxItem
from domain.money import Currency, allocate, line_net, rounded_ratio, within_limit


@dataclass(frozen=True, slots=True)
class Item:
    """A line to be billed; `on_behalf_of` is the settlement account of the partner that it was sold for.

    `origin` says what it comes of; None where that is an order.
    """

    id: str
    description: str | None
    quantity: Decimal
    unit_price: Decimal
    category: str
    rate: Decimal
    on_behalf_of: str | None
    origin: LineOrigin | None = None


@dataclass(frozen=True, slots=True)
class Pricing:
    """What lines come to, in minor units: each line's net and part of the tax, and the sums."""

    nets: tuple[int, ...]
    taxes: tuple[int, ...]
    tax_item: tuple[TaxItem, ...]
    tax_excluded_amount: int
    tax_included_amount: int


def price(items: Sequence[Item], currency: Currency, seller: str | None = None) -> Pricing:
    """Work out what lines come to; `seller` is the partner's account in whose name they are sold, for the errors.

    Raises `Refused` (`invalid`) for a total below zero, or an amount beyond the limit: that can be told
    from the lines alone, whatever account they are for.
    """
    nets = [
        within_limit(line_net(item.quantity, item.unit_price, currency), currency, "items.{}: the net", index)
        for index, item in enumerate(items)
    ]
    return price_with_nets(items, nets, currency, seller)


def price_with_nets(
    items: Sequence[Item], nets: Sequence[int], currency: Currency, seller: str | None = None
) -> Pricing:
    """The same of lines whose nets (minor units) are worked out already."""
    taxes, tax_item = _tax(items, nets)
    excluded = within_limit(sum(nets), currency, "items: the invoice's net")
    total = within_limit(excluded + sum(taxes), currency, "items: the invoice's total")
    if total < 0:
        of = "the invoice's total" if seller is None else f"the total of what {seller} sells"
        raise Refused("invalid", f"items: {of} is {currency.written(total)}, and may not be negative")
    return Pricing(tuple(nets), taxes, tax_item, excluded, total)


def _tax(items: Sequence[Item], nets: Sequence[int]) -> tuple[tuple[int, ...], tuple[TaxItem, ...]]:
    """Each line's part of the tax, and the tax of each (category, rate) group (EN 16931, BR-CO-17)."""
    # The places of each group's lines: a decimal takes long to hash, so each line's is looked up once.
    groups: dict[tuple[str, Decimal], list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        groups[item.category, item.rate].append(place)
    tax_items = []
    taxes = [0] * len(items)
    for (category, rate), places in groups.items():
        numerator, denominator = rate.as_integer_ratio()
        of_group = [nets[place] for place in places]
        net = sum(of_group)
        tax = rounded_ratio(net * numerator, denominator)
        tax_items.append(TaxItem(category, rate, net, tax))
        for place, part in zip(places, allocate(tax, [one * numerator for one in of_group], denominator), strict=True):
            taxes[place] = part
    return tuple(taxes), tuple(tax_items)
