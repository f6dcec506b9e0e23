"""Amounts: integers of a currency's minor unit, rounded half away from zero and split without losing one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from domain.errors import Refused
from domain.frozen import dataclass

AMOUNT_MAX = 10**13
"""The largest amount, in minor units, that goes in or comes out, computed totals included."""

# A quantity and a price have at most 19 digits each, so every product here is exact: 60 digits are never used up.
# ROUND_HALF_UP of the decimal module is "half away from zero".
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: its code and how many decimals its minor unit has (EUR 2, JPY 0, KWD 3)."""

    code: str
    digits: int


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of the currency with this ISO 4217 code."""

    currency: str
    amount: int


def rounded(value: Decimal) -> int:
    """The whole number nearest to `value`, halves away from zero."""
    return int(_EXACT.quantize(value, _ONE))


def rounded_ratio(numerator: int, denominator: int) -> int:
    """`numerator` / `denominator` (positive) as the nearest whole number, halves away from zero."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def line_net(quantity: Decimal, unit_price: Decimal, currency: Currency) -> int:
    """Quantity × unit price (in major units), in minor units of `currency`."""
    product = _EXACT.multiply(quantity, unit_price)
    return rounded(_EXACT.scaleb(product, currency.digits))


def share_of(amount: int, rate: Decimal) -> Decimal:
    """The exact product of an amount in minor units and a rate; 0.2 is 20 %."""
    return _EXACT.multiply(Decimal(amount), rate)


def spread(total: int, parts: Sequence[Decimal]) -> list[int]:
    """Split `total` over parts whose exact sizes are given: largest remainder first, ties to the earlier part.

    `total` is the rounded sum of `parts`; the result sums to it, and every part is less than one minor unit from its
    exact size. The split of the negated parts is the negated split.
    """
    if len(parts) == 1:
        return [total]
    exact_total = sum(parts, Decimal(0))
    first = next((part for part in parts if part), Decimal(0))
    if exact_total < 0 or (exact_total == 0 and first < 0):
        return [-amount for amount in spread(-total, [-part for part in parts])]
    floors = [int(part.to_integral_value(ROUND_FLOOR)) for part in parts]
    missing = total - sum(floors)
    assert 0 <= missing <= len(parts), (total, parts)
    by_remainder = sorted(range(len(parts)), key=lambda i: (floors[i] - parts[i], i))
    for i in by_remainder[:missing]:
        floors[i] += 1
    return floors


def within_limit(amount: int, what: str) -> int:
    """`amount` (minor units), or a refusal as `invalid` when it exceeds what the books hold; `what` names it."""
    if abs(amount) > AMOUNT_MAX:
        raise Refused("invalid", f"{what}: {amount} minor units is more than {AMOUNT_MAX}")
    return amount
