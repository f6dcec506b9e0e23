"""Amounts: integers of a currency's minor unit, rounded half away from zero and split without losing one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

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

    def written(self, amount: int) -> str:
        """An amount in minor units as people write it, with all decimals and the code: `40.01 EUR`, `4001 JPY`."""
        return f"{_EXACT.scaleb(Decimal(amount), -self.digits):f} {self.code}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of the currency with this ISO 4217 code."""

    currency: str
    amount: int


def in_minor_units(value: Decimal, currency: Currency) -> int | None:
    """An amount in major units as one in minor units of `currency`; None where that is no whole number."""
    scaled = _EXACT.scaleb(value, currency.digits)
    whole = int(scaled)
    return whole if whole == scaled else None


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


def share_of(amount: int, rate: Decimal) -> int:
    """An amount in minor units times a rate (0.2 is 20 %), rounded half away from zero."""
    numerator, denominator = rate.as_integer_ratio()
    return rounded_ratio(amount * numerator, denominator)


def allocate(total: int, parts: Sequence[int], denominator: int) -> list[int]:
    """Split `total` over parts of the exact sizes `parts` / `denominator`: largest remainder first, then the earlier.

    `total` is the rounded sum of the sizes; the result sums to it, and every part is less than one minor unit from its
    exact size. Where it is off by more, as earlier rounding has left it, all parts share that. The split of the negated
    parts is the negated split.
    """
    if len(parts) == 1:
        return [total]
    exact_total = sum(parts)
    if exact_total < 0 or (exact_total == 0 and next((part for part in parts if part), 0) < 0):
        return [-amount for amount in allocate(-total, [-part for part in parts], denominator)]
    split = [part // denominator for part in parts]
    missing = total - sum(split)
    if not 0 <= missing <= len(parts):
        each, missing = divmod(missing, len(parts))
        split = [part + each for part in split]
    if missing:
        by_remainder = sorted(range(len(parts)), key=lambda i: (-(parts[i] % denominator), i))
        for i in by_remainder[:missing]:
            split[i] += 1
    return split


def within_limit(amount: int, currency: Currency, what: str, *which: object) -> int:
    """`amount` (minor units), or a refusal as `invalid` when it exceeds what the books hold.

    `what` names it, with a `{}` for each of `which`: nothing is put into words of an amount that is within the limit.
    """
    if abs(amount) > AMOUNT_MAX:
        beyond = f"beyond ±{currency.written(AMOUNT_MAX)}, the largest amount"
        raise Refused("invalid", f"{what.format(*which)} comes to {currency.written(amount)}, {beyond}")
    return amount
