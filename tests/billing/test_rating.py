"""What a price comes to in a period: parts, tiers, minimums; figures worked out by hand."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.rating import Rating, Schedule
from domain.billing.terms import Patch, ProductPrice, Step, Terms, Tiers, segments_of
from domain.money import Currency
from domain.periods import DateRange

EUR = Currency("EUR", 2)


def day(text):
    """A date."""
    return date.fromisoformat(text)


def days(start, end):
    """The days from one to another, which is not among them."""
    return DateRange(day(start), day(end))


def recurring(price, id_="1", **fields):
    """A monthly price in advance."""
    return ProductPrice(id_, "Plan", "recurring", "S", Decimal("0.2"), unit_price=Decimal(price), **fields)


def usage(id_="u", **fields):
    """A monthly price of usage."""
    return ProductPrice(id_, "Units", "usage", "S", Decimal("0.2"), **fields)


def minimum(amount, id_="m", **fields):
    """A monthly minimum."""
    return ProductPrice(id_, "Minimum", "minimum", "S", Decimal("0.2"), amount=Decimal(amount), **fields)


def tiers(mode, *steps):
    """Steps as (up to, unit price, flat fee)."""
    return Tiers(mode, tuple(Step(to and Decimal(to), Decimal(unit), Decimal(flat)) for to, unit, flat in steps))


def rated(start, *prices, changes=(), used=None, currency=EUR, **terms):
    """A subscription from a date on, changed by (date, field and value), of which some was used on dates."""
    patches = [Patch(day(on), tuple(fields), Terms(**{"prices": (), **fields})) for on, fields in changes]
    by_day = {day(on): Decimal(quantity) for on, quantity in (used or {}).items()}

    def quantity(price_id, within):
        return sum((amount for on, amount in by_day.items() if on in within), Decimal(0))

    return Rating(Schedule(segments_of(day(start), Terms(tuple(prices), **terms), patches)), quantity, currency)


def nets(rating, price_id, period):
    """What a period of a price comes to, by rate."""
    return [one.net for one in rating.charges(price_id, period)]


@pytest.mark.parametrize(
    ("start", "period", "price", "expected"),
    [
        # 23 of 31 days: 14.8016; 21 of 29: 14.4465.
        ("2023-05-23", ("2023-05-15", "2023-06-15"), "19.95", 1480),
        ("2024-02-23", ("2024-02-15", "2024-03-15"), "19.95", 1445),
    ],
)
def test_the_last_part_of_a_month(start, period, price, expected):
    """Of a subscription that begins within a period of its anchor's."""
    rating = rated(start, recurring(price), billing_anchor=day("2023-01-15"))
    assert next(rating.periods("1", days(start, "2030-01-01"))) == days(*period)
    assert nets(rating, "1", days(*period)) == [expected]
    assert rating.due("1", days(*period)) == day(start)


def test_a_period_is_that_of_the_anchor():
    """From 14 February, by the 31st: of 28 days from 31 January 14 are left; never of a period from a clamped date."""
    rating = rated("2011-02-14", recurring("100.00"), billing_anchor=day("2011-01-31"))
    assert nets(rating, "1", days("2011-01-31", "2011-02-28")) == [5000]
    assert nets(rating, "1", days("2011-02-28", "2011-03-31")) == [10000]


def test_a_year_over_a_leap_day():
    """8 of the 366 days from 17 June 2011: 52.4579."""
    rating = rated("2010-06-17", recurring("2399.95", period_type="year"), termination_date=day("2011-06-25"))
    window = days("2010-01-01", "2030-01-01")
    found = {period.start.year: nets(rating, "1", period) for period in rating.periods("1", window)}
    assert found == {2010: [239995], 2011: [5246]}


def test_proration_is_of_the_plans_price_and_not_of_the_last_charge():
    """Three prices in one period of 30 days, ten days of each: 10.00, 20.00 and 30.00, whatever was charged before."""
    changes = [("2025-04-11", {"prices": (recurring("60"),)}), ("2025-04-21", {"prices": (recurring("90"),)})]
    april = days("2025-04-01", "2025-05-01")
    assert nets(rated("2025-04-01", recurring("30")), "1", april) == [3000]
    assert nets(rated("2025-04-01", recurring("30"), changes=changes[:1]), "1", april) == [1000, 4000]
    assert nets(rated("2025-04-01", recurring("30"), changes=changes), "1", april) == [1000, 2000, 3000]


def test_two_changes_in_one_month():
    """Of 599.95, 9.95 and 29.95: 6 days, 1 day and 24 days of 31."""
    changes = [("2012-05-07", {"prices": (recurring("9.95"),)}), ("2012-05-08", {"prices": (recurring("29.95"),)})]
    may = days("2012-05-01", "2012-06-01")
    # 599.95 × 6 ÷ 31 is 116.1194; of 9.95, 25 days of the end are 8.02, 1.93 having elapsed; one day is 0.32.
    assert nets(rated("2012-05-01", recurring("599.95"), changes=changes[:1]), "1", may) == [11612, 802]
    assert nets(rated("2012-05-01", recurring("599.95"), changes=changes), "1", may) == [11612, 32, 2319]


def test_parts_do_not_add_up_to_a_cent_too_many():
    """10.00 in 10, 10 and 11 days of 31: 3.23, 3.22 and 3.55, where each rounded by itself is 10.01 in all."""
    march = days("2025-03-01", "2025-04-01")
    cuts = [("2025-03-11", "A"), ("2025-03-21", "B")]
    changes = [
        (on, {"prices": (ProductPrice("1", "P", "recurring", category, Decimal(0), unit_price=Decimal(10)),)})
        for on, category in cuts
    ]
    first = ProductPrice("1", "P", "recurring", "S", Decimal(0), unit_price=Decimal(10))
    assert nets(rated("2025-03-01", first, changes=changes), "1", march) == [323, 322, 355]


@given(
    st.decimals("-9999", "9999", places=5),
    st.decimals("0", "99", places=3),
    st.lists(st.integers(1, 30), max_size=8),
    st.sampled_from([Currency("JPY", 0), EUR, Currency("KWD", 3)]),
)
def test_the_parts_of_a_period_add_up_to_its_price(price, quantity, cuts, currency):
    """However it is cut: each cut is a change of tax, so that its parts are charges of their own."""
    base = {"unit_price": price, "quantity": quantity}
    changes = [
        (
            str(day("2025-03-01") + timedelta(days=cut)),
            {"prices": (ProductPrice("1", "P", "recurring", "S", Decimal(n), **base),)},
        )
        for n, cut in enumerate(sorted(cuts), 1)
    ]
    first = ProductPrice("1", "P", "recurring", "S", Decimal(0), **base)
    march = days("2025-03-01", "2025-04-01")
    parts = nets(rated("2025-03-01", first, changes=changes, currency=currency), "1", march)
    assert len(parts) == len({*cuts}) + 1
    assert parts
    assert sum(parts) == nets(rated("2025-03-01", first, currency=currency), "1", march)[0]


def test_what_changes_no_price_divides_nothing():
    """A name that changes within a month: the month is charged whole, by quantity and price."""
    rating = rated("2025-03-01", recurring("10", quantity=Decimal(3)), changes=[("2025-03-09", {"name": "Other"})])
    [charged] = rating.charges("1", days("2025-03-01", "2025-04-01"))
    assert (charged.net, charged.quantity, charged.days) == (3000, Decimal(3), days("2025-03-01", "2025-04-01"))


def test_days_that_are_suspended_are_not_charged():
    """Ten of 31 days of 249.95: 80.63 less. The anchor stays."""
    changes = [("2012-07-10", {"suspended": True}), ("2012-07-20", {"suspended": False})]
    rating = rated("2012-05-31", recurring("249.95"), changes=changes)
    assert sum(nets(rating, "1", days("2012-06-30", "2012-07-31"))) == 24995 - 8063
    assert nets(rating, "1", days("2012-07-31", "2012-08-31")) == [24995]


def test_an_end_within_a_month_and_after_the_fact():
    """Until 21 February inclusive of a month from the 8th: 14 of 28 days are 50.00, from the 1st 21 are 75.00."""
    assert nets(
        rated("2025-02-01", recurring("100"), termination_date=day("2025-02-22")), "1", days("2025-02-01", "2025-03-01")
    ) == [7500]
    # 29.00 for February 2020, ended as of the 20th: 10 of 29 days fall away, and March is not charged.
    rating = rated("2020-01-01", recurring("29"), changes=[("2020-02-20", {"termination_date": day("2020-02-20")})])
    assert nets(rating, "1", days("2020-02-01", "2020-03-01")) == [1900]
    assert nets(rating, "1", days("2020-03-01", "2020-04-01")) == []
    assert list(rating.periods("1", days("2020-03-01", "2021-01-01"))) == []


def test_a_period_charged_whole():
    """Without proration: whole at its first price, from whatever day and however long."""
    price = recurring("30", proration="none")
    changes = [("2025-04-11", {"prices": (recurring("60", proration="none"),)})]
    rating = rated("2025-04-05", price, changes=changes, billing_anchor=day("2025-04-01"))
    assert nets(rating, "1", days("2025-04-01", "2025-05-01")) == [3000]
    assert nets(rating, "1", days("2025-05-01", "2025-06-01")) == [6000]


@pytest.mark.parametrize(
    ("quantity", "expected"), [("0", 200), ("1", 1200), ("10", 10200), ("11", 11000), ("12", 11500)]
)
def test_graduated_with_a_fee_a_step(quantity, expected):
    """To 10 at 10, further at 5; 2 for the first step, used or not, and 3 for the second once it is entered."""
    price = usage(tiers=tiers("graduated", (10, 10, 2), (20, 5, 3), (None, 5, 3)))
    rating = rated("2025-01-01", price, used={"2025-01-15": quantity})
    assert nets(rating, "u", days("2025-01-01", "2025-02-01")) == [expected]


def test_graduated_with_steps_that_cost_their_fee_only():
    """12 are 100 and 50 and 2 × 5; 10 more are 3 × 5 and 7 × 1 more: 22 in all."""
    price = usage(tiers=tiers("graduated", (5, 0, 100), (10, 0, 50), (15, 5, 0), (None, 1, 0)))
    january = days("2025-01-01", "2025-02-01")
    assert nets(rated("2025-01-01", price, used={"2025-01-02": 12}), "u", january) == [16000]
    assert nets(rated("2025-01-01", price, used={"2025-01-02": 12, "2025-01-09": 10}), "u", january) == [18200]


@pytest.mark.parametrize(("mode", "expected"), [("graduated", 60000), ("volume", 15000)])
def test_tiers_by_unit_and_by_volume(mode, expected):
    """Of 15,000: 1,000 at 0.10, 9,000 at 0.05, 5,000 at 0.01; or all at 0.01."""
    price = usage(tiers=tiers(mode, (1000, "0.10", 0), (10000, "0.05", 0), (None, "0.01", 0)))
    rating = rated("2025-01-01", price, used={"2025-01-15": 15000})
    assert nets(rating, "u", days("2025-01-01", "2025-02-01")) == [expected]


def test_a_step_has_its_upper_end():
    """Up to 15 at 10, above at 5 for all: 15 are 150, 16 are 80, at another rate."""
    price = usage(tiers=tiers("volume", (15, 10, 0), (None, 5, 0)))
    january = days("2025-01-01", "2025-02-01")
    [at_15], [at_16] = (rated("2025-01-01", price, used={"2025-01-15": n}).charges("u", january) for n in (15, 16))
    assert (at_15.net, at_16.net, at_15.rate == at_16.rate) == (15000, 8000, False)
    assert (at_15.quantity, at_15.rate.unit_price) == (15, 10)


def test_usage_costs_what_its_day_says():
    """10 at 0.10 before the change, 5 at 0.20 after it; steps are counted on, and the first one's fee is due once."""
    changes = [("2025-01-16", {"prices": (usage(unit_price=Decimal("0.20")),)})]
    used = {"2025-01-15": 10, "2025-01-16": 5}
    january = days("2025-01-01", "2025-02-01")
    rating = rated("2025-01-01", usage(unit_price=Decimal("0.10")), changes=changes, used=used)
    assert nets(rating, "u", january) == [100, 100]
    before, after = (usage(tiers=tiers("graduated", (10, unit, 7), (None, 1, 0))) for unit in (2, 3))
    rating = rated("2025-01-01", before, changes=[("2025-01-16", {"prices": (after,)})], used=used)
    assert nets(rating, "u", january) == [2700, 500]


def test_a_minimum_of_a_part_of_a_month():
    """2 of 29 days of 10,000.00 are 689.66; less 6.90 of the plan and 30.00 of usage 652.76 are missing."""
    prices = (recurring("100"), usage(unit_price=Decimal(1)), minimum("10000"))
    february = days("2024-02-01", "2024-03-01")
    fields = {"billing_anchor": day("2024-01-01"), "used": {"2024-02-28": 30}}
    rating = rated("2024-02-28", *prices, **fields)
    assert [nets(rating, id_, february) for id_ in ("1", "u", "m")] == [[690], [3000], [65276]]
    assert rating.due("m", february) == day("2024-03-01")
    enough = rated("2024-02-28", *prices, billing_anchor=day("2024-01-01"), used={"2024-02-28": 700})
    assert nets(enough, "m", february) == []


def test_a_minimum_over_weeks():
    """Each week of 7.00 counts by its days: January has 31 of them at 1.00, from Wednesday the 1st on."""
    rating = rated("2025-01-01", recurring("7", period_type="week"), minimum("100"))
    january, february = days("2025-01-01", "2025-02-01"), days("2025-02-01", "2025-03-01")
    assert [nets(rating, "m", month) for month in (january, february)] == [[6900], [7200]]


def test_a_minimum_of_months_and_usage_of_a_year():
    """10 in January at 1.00, 10 in March of which 5 at 2.00: each month counts what it adds to the year."""
    year = usage(tiers=tiers("graduated", (15, 1, 0), (None, 2, 0)), period_type="year")
    rating = rated("2025-01-01", year, minimum("20"), used={"2025-01-15": 10, "2025-03-15": 10})
    months = [days(f"2025-0{n}-01", f"2025-0{n + 1}-01") for n in range(1, 4)]
    assert [sum(nets(rating, "m", month)) for month in months] == [1000, 2000, 500]


def test_a_trial_frees_what_recurs_and_minimums():
    """Usage in it is charged; the periods are counted from its end."""
    prices = (recurring("10"), usage(unit_price=Decimal(1)), minimum("100"))
    rating = rated("2025-01-10", *prices, trial_end_date=day("2025-01-24"), used={"2025-01-12": 3})
    window = days("2025-01-01", "2025-03-25")
    assert [period.start for period in rating.periods("1", window)] == [
        day("2025-01-24"),
        day("2025-02-24"),
        day("2025-03-24"),
    ]
    assert nets(rating, "u", days("2024-12-24", "2025-01-24")) == [300]
    assert nets(rating, "m", days("2024-12-24", "2025-01-24")) == []


def test_what_is_due_when():
    """In advance when its first day comes, in arrears when it ended, or with the last day served."""
    prices = (recurring("10"), recurring("10", "2", billed="inArrears"), usage(unit_price=Decimal(1)))
    once = ProductPrice("o", "Set-up", "oneTime", "S", Decimal("0.2"), unit_price=Decimal(50))
    rating = rated("2025-01-10", *prices, once, termination_date=day("2025-02-20"))
    first, second = days("2025-01-10", "2025-02-10"), days("2025-02-10", "2025-03-10")
    assert [rating.due(id_, first) for id_ in ("1", "2", "u")] == [day("2025-01-10"), *[day("2025-02-10")] * 2]
    assert [rating.due(id_, second) for id_ in ("1", "2", "u")] == [day("2025-02-10"), *[day("2025-02-20")] * 2]
    [start] = rating.periods("o", days("2025-01-01", "2030-01-01"))
    assert (start, rating.due("o", start), nets(rating, "o", start)) == (
        days("2025-01-10", "2025-01-11"),
        day("2025-01-10"),
        [5000],
    )
    dates, at = [], day("2025-01-01")
    while (at := rating.next_due(at)) is not None:
        dates.append(at)
    assert dates == [day("2025-01-10"), day("2025-02-10"), day("2025-02-20")]


PRICES = st.tuples(
    st.builds(recurring, st.sampled_from(["10", "0.01"]), period_type=st.sampled_from(["day", "week", "month"])),
    st.builds(recurring, st.just("3"), st.just("2"), billed=st.just("inArrears"), period_length=st.integers(1, 3)),
    st.just(usage(unit_price=Decimal(1))),
    st.just(minimum("20")),
)


@given(
    PRICES,
    st.lists(
        st.tuples(
            st.integers(0, 120),
            st.sampled_from([{"suspended": True}, {"suspended": False}, {"prices": (recurring("4"),)}, {"name": "N"}])
            | st.builds(lambda n: {"termination_date": day("2025-01-05") + timedelta(days=n)}, st.integers(0, 120)),
        ),
        max_size=4,
    ),
)
def test_nothing_is_due_between_the_dates_that_are_told(prices, changes):
    """Whatever becomes due does so on a date that `next_due` has told."""
    start = day("2025-01-05")
    changed = [(str(start + timedelta(days=after)), fields) for after, fields in changes]
    rating = rated(str(start), *prices, changes=changed, billing_anchor=day("2025-01-01"))
    told, at = set(), start - timedelta(days=1)
    while (at := rating.next_due(at)) is not None and at < day("2025-07-01"):
        told.add(at)
    window = DateRange(start, day("2025-06-01"))
    for id_ in ("1", "2", "u", "m"):
        for period in rating.periods(id_, window):
            if rating.due(id_, period) < day("2025-07-01"):
                assert rating.due(id_, period) in told, (id_, period)
    # Those that are alike are asked for once.
    for one, other in product(("1", "2", "u", "m"), repeat=2):
        if rating.alike(one) == rating.alike(other):
            assert [*rating.dated(one, window)] == [*rating.dated(other, window)], (one, other)
