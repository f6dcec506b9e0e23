"""Billing again is a difference and nothing else: whatever was billed, it ends with what the state comes to."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from domain.billing.differing import BilledLine, Difference, TakenBack, differences
from domain.billing.rating import Charged, Rate
from domain.invoicing.model import CorrectsLine
from domain.periods import DateRange

MAY = DateRange(date(2012, 5, 1), date(2012, 6, 1))


def rate(price):
    """A rate of a unit price."""
    return Rate(Decimal(price), None, "S", Decimal("0.2"), None)


def charged(price, net, quantity=None):
    """What May comes to at a rate."""
    return Charged(rate(price), MAY, quantity and Decimal(quantity), net)


class Billed:
    """What was billed of May so far, bill by bill."""

    def __init__(self):
        self.lines = []
        self._numbers = count(1)

    def bill(self, *charges):
        """Bill what is charged now; returns the nets, in the order of the lines."""
        made = list(differences(charges, self.lines, MAY))
        number = f"INV-{next(self._numbers)}"
        for n, one in enumerate(made, 1):
            if one.corrects is None:
                self.lines.append(BilledLine(number, str(n), one.rate, one.quantity, one.net))
                continue
            self.lines = [
                replace(line, taken=(*line.taken, TakenBack(number, str(n), None, one.net, one.net)))
                if CorrectsLine(line.bill_no, line.line_id) == one.corrects
                else line
                for line in self.lines
            ]
        return [one.net for one in made]


def test_a_price_that_changes_is_taken_back_and_charged_anew():
    """599.95 in advance; 9.95 from the 7th, 29.95 from the 8th: the second change takes back 7.70 of 8.02."""
    billed = Billed()
    assert billed.bill(charged("599.95", 59995, 1)) == [59995]
    assert billed.bill(charged("599.95", 11612), charged("9.95", 802)) == [-48383, 802]
    assert billed.bill(charged("599.95", 11612), charged("9.95", 32), charged("29.95", 2319)) == [-770, 2319]
    assert sum(line.left for line in billed.lines) == 13963
    assert billed.bill(charged("599.95", 11612), charged("9.95", 32), charged("29.95", 2319)) == []


def test_of_an_unchanged_price_the_difference_is_one_line():
    """Late usage: 5 units more at 0.10; and two seats more for the whole month."""
    billed = Billed()
    billed.bill(charged("0.10", 1000, 100))
    assert list(differences([charged("0.10", 1050, 105)], billed.lines, MAY)) == [
        Difference(rate("0.10"), MAY, Decimal(5), 50)
    ]


def test_late_usage_that_reprices_a_volume():
    """15 units at 10, then 16 at 5: −150.00 and 80.00."""
    billed = Billed()
    billed.bill(charged("10", 15000, 15))
    assert billed.bill(charged("5", 8000, 16)) == [-15000, 8000]


def test_the_latest_line_is_taken_back_first():
    """Of 10.00 and 5.00 more, 7.00 are taken back: 5.00 of the second and 2.00 of the first."""
    billed = Billed()
    billed.bill(charged("1", 1000, 10))
    billed.bill(charged("1", 1500, 15))
    made = list(differences([charged("1", 800, 8)], billed.lines, MAY))
    assert [(one.net, one.corrects) for one in made] == [
        (-500, CorrectsLine("INV-2", "1")),
        (-200, CorrectsLine("INV-1", "1")),
    ]


def test_what_is_not_charged_any_more_is_taken_back():
    """All of it, a discount too; then nothing is left to take."""
    billed = Billed()
    billed.bill(charged("10", 1000, 1), charged("-3", -300, 1))
    assert billed.bill() == [-1000, 300]
    assert billed.bill() == []
    assert billed.bill(charged("10", 1000, 1)) == [1000]


@given(
    st.lists(st.dictionaries(st.sampled_from(["-2", "1", "10", "99.5"]), st.integers(0, 500), max_size=4), max_size=8)
)
def test_what_was_billed_adds_up_to_what_the_last_bill_found(states):
    """Whatever came before, and never more is taken back of a line than it billed."""
    billed = Billed()
    for state in states:
        charges = [charged(price, (-1 if price[0] == "-" else 1) * units) for price, units in state.items()]
        billed.bill(*charges)
        now = {price: sum(line.left for line in billed.lines if line.rate == rate(price)) for price in state}
        assert now == {price: one.net for price, one in zip(state, charges, strict=True)}
        assert sum(line.left for line in billed.lines) == sum(now.values())
        assert all(abs(line.left) <= abs(line.net) and line.left * line.net >= 0 for line in billed.lines)
        assert billed.bill(*charges) == []
