"""What lines come to: nets, and tax by group (EN 16931, BR-CO-17)."""

from decimal import Decimal

import pytest

from domain.errors import Refused
from domain.invoicing.model import Invoice, TaxItem
from domain.invoicing.pricing import Pricing, price
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    JPY,
    KWD,
    LedgerBook,
    billing,
    line,
    order,
)


def issued(*lines, currency=EUR) -> Invoice:
    """The first invoice of a fresh account, for an order of these lines."""
    book = LedgerBook()
    book.take(billing(currency=currency.code), order("O-1", *lines, currency=currency))
    assert_books_hold(book)
    return book.invoice(1)


def amounts(invoice: Invoice) -> tuple[int, int]:
    """Without tax, and with it."""
    return invoice.tax_excluded_amount, invoice.tax_included_amount


def refused_price(*lines, currency=EUR) -> Refused:
    """Why these lines can't be an order's."""
    with pytest.raises(Refused) as refusal:
        price(lines, currency)
    return refusal.value


# -- nets and tax


def test_tax_is_worked_out_on_the_sum_of_the_nets():
    """Three lines of 0.33 at 20 % bear 0.20 of tax (19.8 cents), not three times 0.07; the last line shows 0.06."""
    invoice = issued(*[line("0.33", "0.2")] * 3)
    assert amounts(invoice) == (99, 119)
    assert [item.tax_amount for item in invoice.lines] == [7, 7, 6]
    assert invoice.tax_item == (TaxItem("S", Decimal("0.2"), 99, 20),)


def test_tax_of_small_lines_is_not_lost():
    """Three lines of 0.02 at 20 % bear 0.01 of tax (1.2 cents), though each alone would bear none."""
    invoice = issued(*[line("0.02", "0.2")] * 3)
    assert amounts(invoice) == (6, 7)
    assert [item.tax_amount for item in invoice.lines] == [1, 0, 0]


def test_tax_of_half_a_cent_is_rounded_up():
    """0.25 at 10 % bears 0.03 of tax: 2.5 cents go away from zero."""
    assert amounts(issued(line("0.25", "0.1"))) == (25, 28)


def test_tax_of_a_group_below_zero_mirrors():
    """A group of −0.25 at 10 % bears −0.03, beside an untaxed line that keeps the total above zero."""
    invoice = issued(line("1.00"), line("-0.25", "0.1"))
    assert amounts(invoice) == (75, 72)
    assert [item.tax_amount for item in invoice.tax_item] == [0, -3]


def test_category_and_rate_make_a_group():
    """One rate in two categories, and two rates in one category, are groups apart, in the order they first appear."""
    invoice = issued(
        line("0.02", "0.2", tax="S"),
        line("0.02", "0.2", tax="AA"),
        line("0.02", "0.20", tax="S"),
        line("0.02", "0.1", tax="S"),
        line("0.02", "0", tax="Z"),
        line("0.02", "0.2", tax="S"),
    )
    assert [(item.category, item.rate, item.tax_excluded_amount, item.tax_amount) for item in invoice.tax_item] == [
        ("S", Decimal("0.2"), 6, 1),  # 1.2
        ("AA", Decimal("0.2"), 2, 0),  # 0.4
        ("S", Decimal("0.1"), 2, 0),  # 0.2
        ("Z", Decimal("0"), 2, 0),
    ]
    assert [item.tax_amount for item in invoice.lines] == [1, 0, 0, 0, 0, 0]
    assert amounts(invoice) == (12, 13)


@pytest.mark.parametrize(
    ("currency", "price", "excluded", "included"),
    [
        (JPY, "1234.5", 1235, 1359),  # 123.5 of tax, away from zero: 124
        (EUR, "12.345", 1235, 1359),
        (KWD, "1.2345", 1235, 1359),
    ],
)
def test_minor_units_are_those_of_the_currency(currency, price, excluded, included):
    """A currency of 0, 2 or 3 decimals is kept in its own minor unit: the same digits give the same integers."""
    assert amounts(issued(line(price, "0.1"), currency=currency)) == (excluded, included)


def test_a_line_is_rounded_before_it_is_added():
    """Each line's net is rounded by itself: two of 0.005 make 0.02, not 0.01."""
    assert amounts(issued(line("0.005"), line("0.005"))) == (2, 2)


def test_what_lines_come_to():
    """Each line's net and part of the tax, each group's tax, and the sums, whatever account it is for."""
    # 20 % of 15.98 is 3.196, of which 4.00 and −0.804 are the lines'; 7 % of 1.24 (1.235) is 0.0868.
    assert price([line("20.00", "0.2"), line("-4.02", "0.2"), line("1.235", "0.07", tax="AA")], EUR) == Pricing(
        nets=(2000, -402, 124),
        taxes=(400, -80, 9),
        tax_item=(TaxItem("S", Decimal("0.2"), 1598, 320), TaxItem("AA", Decimal("0.07"), 124, 9)),
        tax_excluded_amount=1722,
        tax_included_amount=2051,
    )


def test_a_total_below_zero_is_refused():
    """Lines that come to less than nothing are `invalid`; those that come to nothing are not."""
    refusal = refused_price(line("1.00", "0.2"), line("-1.01", "0.2"))
    assert refusal.code == "invalid"
    assert "items: " in refusal.detail
    assert "-0.01 EUR" in refusal.detail
    assert price([line("1.00", "0.2"), line("-1.00", "0.2")], EUR).tax_included_amount == 0


def test_the_total_that_counts_is_the_one_with_tax():
    """Nets that sum to −1.00 are fine where the tax of one of them lifts the total above zero, and the other way."""
    assert amounts(issued(line("-100.00", tax="Z"), line("99.00", "0.2"))) == (-100, 1880)
    refusal = refused_price(line("100.00", tax="Z"), line("-99.00", "0.2"))
    assert (refusal.code, "-18.80 EUR" in refusal.detail) == ("invalid", True)
