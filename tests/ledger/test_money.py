"""Amounts: rounded half away from zero, split without losing a minor unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refused
from domain.money import AMOUNT_MAX, Currency, allocate, line_net, rounded, rounded_ratio, share_of, within_limit
from tests.support.steady import STEADY

EUR = Currency("EUR", 2)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "digits", "net"),
    [
        ("1", "39.90", 2, 3990),
        ("2", "3.99", 2, 798),
        # Half a minor unit goes away from zero, on both sides and whether the neighbour is even or odd.
        ("1", "0.005", 2, 1),
        ("1", "-0.005", 2, -1),
        ("1", "0.015", 2, 2),
        ("1", "0.025", 2, 3),
        ("-1", "0.025", 2, -3),
        ("3", "0.335", 2, 101),  # 1.005
        ("0.5", "0.01", 2, 1),
        # Just below and above the half.
        ("1", "0.00499999", 2, 0),
        ("1", "-0.00499999", 2, 0),
        ("1", "0.00500001", 2, 1),
        # Currencies of 0, 3 and 4 decimals.
        ("1", "0.5", 0, 1),
        ("1", "2.5", 0, 3),
        ("1", "-2.5", 0, -3),
        ("1", "2.49", 0, 2),
        ("1", "1.0005", 3, 1001),
        ("1", "-1.0005", 3, -1001),
        ("1", "1.00005", 4, 10001),
        # 999.9999999999999999, and a product of 38 digits: exact, then rounded once.
        ("0.00000001", "99999999999.99999999", 2, 100_000),
        ("99999999999.99999999", "99999999999.99999999", 2, 999_999_999_999_999_999_800_000),
    ],
)
def test_a_net_is_rounded_half_away_from_zero(quantity, unit_price, digits, net):
    """Quantity × unit price is exact and then rounded once, half away from zero, to the currency's minor unit."""
    assert line_net(Decimal(quantity), Decimal(unit_price), Currency("XXX", digits)) == net


@pytest.mark.parametrize(
    ("value", "whole"),
    [("0.5", 1), ("1.5", 2), ("2.5", 3), ("-0.5", -1), ("-2.5", -3), ("2.4999999999999999999999", 2), ("0", 0)],
)
def test_a_decimal_is_rounded_half_away_from_zero(value, whole):
    """A half goes away from zero, never to the even neighbour; less than a half goes towards zero."""
    assert rounded(Decimal(value)) == whole


@pytest.mark.parametrize(
    ("numerator", "denominator", "whole"),
    [(1, 2, 1), (-1, 2, -1), (1, 3, 0), (2, 3, 1), (5, 2, 3), (-5, 2, -3), (7, 4, 2), (-5, 4, -1), (0, 7, 0)],
)
def test_a_ratio_is_rounded_half_away_from_zero(numerator, denominator, whole):
    """The nearest whole number of a ratio, halves away from zero."""
    assert rounded_ratio(numerator, denominator) == whole


@pytest.mark.parametrize(
    ("total", "parts", "split"),
    [
        (10, ["3.33333333", "3.33333333", "3.33333333"], [4, 3, 3]),
        (20, ["6.6", "6.6", "6.6"], [7, 7, 6]),
        (1, ["0.5", "0.5"], [1, 0]),
        (1, ["0.2", "0.8"], [0, 1]),
        (4, ["1.4", "1.2", "1.4"], [2, 1, 1]),
        (0, ["0.4"], [0]),
        (3, ["3", "0.2", "0.2"], [3, 0, 0]),
        (0, ["0", "0"], [0, 0]),
        # The parts of a sum may have both signs.
        (0, ["0.5", "-0.5"], [1, -1]),
        (0, ["-0.5", "0.5"], [-1, 1]),
        (320, ["400", "-79.8"], [400, -80]),
    ],
)
def test_a_split_goes_by_largest_remainder(total, parts, split):
    """The largest remainder gets the missing unit, of equal ones the earlier; the split of −x mirrors that of x."""
    numerators = [int(Decimal(part) * 10**8) for part in parts]
    assert allocate(total, numerators, 10**8) == split
    assert allocate(-total, [-part for part in numerators], 10**8) == [-amount for amount in split]


def test_the_limit_itself_is_allowed():
    """An amount of 10^13 minor units passes on both sides, one more is `invalid` and says what it is."""
    assert within_limit(10_000_000_000_000, EUR, "x") == 10_000_000_000_000
    assert within_limit(-10_000_000_000_000, EUR, "x") == -10_000_000_000_000
    for amount, written in ((10_000_000_000_001, "100000000000.01"), (-10_000_000_000_001, "-100000000000.01")):
        with pytest.raises(Refused) as refusal:
            within_limit(amount, EUR, "items.{}: the {}", 3, "net")
        assert (refusal.value.code, refusal.value.detail) == (
            "invalid",
            f"items.3: the net comes to {written} EUR, beyond ±100000000000.00 EUR, the largest amount",
        )
    assert AMOUNT_MAX == 10_000_000_000_000


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (4001, EUR, "40.01 EUR"),
        (-5, EUR, "-0.05 EUR"),
        (0, EUR, "0.00 EUR"),
        (12_000, EUR, "120.00 EUR"),
        (4001, Currency("BGN", 2), "40.01 BGN"),
        (4001, Currency("JPY", 0), "4001 JPY"),
        (-100, Currency("JPY", 0), "-100 JPY"),
        (0, Currency("JPY", 0), "0 JPY"),
        (4001, Currency("KWD", 3), "4.001 KWD"),
        (-1, Currency("KWD", 3), "-0.001 KWD"),
        (1, Currency("CLF", 4), "0.0001 CLF"),
        (10**30 + 1, EUR, "10000000000000000000000000000.01 EUR"),
    ],
)
def test_an_amount_in_words(amount, currency, written):
    """All its decimals, however small or large, the sign, and the code."""
    assert currency.written(amount) == written


nets = st.integers(-10_000_000, 10_000_000) | st.integers(-3, 3)
rates = st.decimals(0, 1, places=4) | st.sampled_from([Decimal("0.5"), Decimal("0.2"), Decimal(1), Decimal(0)])


@STEADY
@given(st.lists(nets, min_size=1, max_size=12), rates)
def test_a_split_is_exact_and_near_and_mirrored(nets, rate):
    """Any split sums to its total, leaves no part a whole unit from its exact size, and mirrors its negative."""
    exact = [net * rate for net in nets]
    total = rounded(sum(exact, Decimal(0)))
    parts = [int(part * 10**4) for part in exact]
    split = allocate(total, parts, 10**4)
    assert sum(split) == total
    assert all(abs(amount - part) < 1 for amount, part in zip(split, exact, strict=True))
    assert allocate(-total, [-part for part in parts], 10**4) == [-amount for amount in split]


@STEADY
@given(nets, rates)
def test_a_share_is_the_product_rounded(net, rate):
    """An amount times a rate, worked out with decimals, halves away from zero."""
    assert share_of(net, rate) == rounded(net * rate)


@STEADY
@given(st.integers(-5_000, 5_000), rates)
def test_equal_parts_differ_by_one_and_the_earlier_has_more(amount, rate):
    """Among equal parts no later one gets more (in size) than an earlier one, and none a unit more than another."""
    part = amount * rate
    sizes = [abs(size) for size in allocate(rounded(part * 7), [int(part * 10**4)] * 7, 10**4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


@STEADY
@given(st.decimals(-(10**9), 10**9, places=6))
def test_rounding_is_within_a_half_and_mirrored(value):
    """A rounded value is at most a half from what it was, exactly a half only away from zero, and mirrors −x."""
    whole = rounded(value)
    assert abs(whole - value) <= Decimal("0.5")
    assert abs(whole) >= abs(value) if abs(whole - value) == Decimal("0.5") else True
    assert rounded(-value) == -whole


@STEADY
@given(st.integers(-(10**13), 10**13), st.integers(1, 10**13))
def test_a_ratio_is_within_a_half_and_mirrored(numerator, denominator):
    """A rounded ratio is at most a half from the exact one, exactly a half only away from zero, and mirrors −x."""
    whole = rounded_ratio(numerator, denominator)
    error = 2 * (whole * denominator - numerator)
    assert abs(error) <= denominator
    if abs(error) == denominator:
        assert abs(whole * denominator) > abs(numerator)
    assert rounded_ratio(-numerator, denominator) == -whole
