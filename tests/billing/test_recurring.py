"""Bills of subscriptions: what falls due, and what changes of it afterwards; each expectation is worked out by hand."""

from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from domain.billing.billed import BilledPeriod
from domain.billing.differing import CountedMonth
from domain.billing.model import BillOnDemand
from domain.billing.subscriptions import Subscription
from domain.billing.terms import Step, Tiers
from domain.corrections.model import CreditNote, Dispute
from domain.invoicing.model import Invoice
from domain.periods import DateRange
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    change,
    charge,
    command,
    credit_note,
    demand,
    dispute,
    line,
    metered,
    minimum,
    monthly,
    partner,
    payment,
    relation,
    subscription,
    update,
    usage,
)


def lines(book, number):
    """The lines of an invoice: net in minor units, first day covered, first day not, and the line that it corrects."""
    found = []
    for one in book.invoice(number).lines:
        covers = one.origin.period
        corrects = one.origin.corrects and f"{one.origin.corrects.bill_no[-1]}.{one.origin.corrects.line_id}"
        found.append((one.tax_excluded_amount, str(covers.start.date()), str(covers.end.date()), corrects))
    return found


def nets(book, number):
    """The nets of an invoice's lines, in minor units."""
    return [one.tax_excluded_amount for one in book.invoice(number).lines]


def notes(book):
    """What credit notes there are: the invoice's last digit, net and total in minor units."""
    return [
        (one.corrected_bill_no[-1], one.tax_excluded_amount, one.tax_included_amount)
        for one in book.documents[CreditNote].values()
    ]


def begun(*facts):
    """Books with the account BA-1."""
    book = LedgerBook()
    book.take(billing(), *facts)
    return book


def bills(book, *days):
    """A bill on each of these days."""
    for on in days:
        book.take(demand(f"D-{on}", on=on))
        assert_books_hold(book)


def of(book, id_="S-1"):
    """A subscription."""
    return book.get(Subscription, id_)


def test_a_bill_has_what_falls_due():
    """In advance on the first day of each period, in arrears on the first day after it; one-time at the start."""
    book = begun(
        subscription(
            "S-1",
            monthly("A", "30"),
            monthly("R", "7", billed="inArrears"),
            monthly("O", "50", price_type="oneTime"),
            start="2026-11-10",
        )
    )
    bills(book, "2026-11-09")
    assert not book.documents[Invoice]
    bills(book, "2026-11-10", "2026-11-30")
    assert lines(book, 1) == [
        (3000, "2026-11-10", "2026-12-10", None),
        (5000, "2026-11-10", "2026-11-11", None),
    ]
    assert len(book.documents[Invoice]) == 1
    assert of(book).next_due == date(2026, 12, 10)
    bills(book, "2026-12-10", "2026-12-31")
    assert lines(book, 2) == [
        (3000, "2026-12-10", "2027-01-10", None),
        (700, "2026-11-10", "2026-12-10", None),
    ]
    first = book.invoice(1).lines[0]
    assert (first.description, first.quantity, first.unit_price) == ("fibre", 1, 30)
    assert (first.origin.account, first.origin.subscription_id, first.origin.price_id) == ("BA-1", "S-1", "A")


def test_a_bill_day_beyond_the_month_does_not_drift():
    """31 January, 29 February, 31 March, 30 April: counted from the anchor, never from a clamped day."""
    book = begun(subscription("S-1", monthly(), start="2024-01-31"))
    days = [date(2024, 1, 31) + timedelta(days=n) for n in range(100)]
    bills(book, *map(str, days))
    starts = [lines(book, n)[0][1] for n in range(1, 5)]
    assert starts == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]


def test_two_changes_in_one_month():
    """599.95 for May, 9.95 from the 7th, 29.95 from the 8th, with a bill after each."""
    book = begun(subscription("S-1", monthly(price="599.95"), start="2012-05-01"))
    bills(book, "2012-05-01")
    book.take(change("2012-05-07", prices=(monthly(price="9.95"),)), payment("P-1", 71994))
    bills(book, "2012-05-07")
    # What is taken back is more than the bill comes to, so it is a credit note beside it.
    assert (nets(book, 1), nets(book, 2)) == ([59995], [802])
    assert [one[:2] for one in notes(book)] == [("1", 48383)]
    book.take(change("2012-05-08", prices=(monthly(price="29.95"),)))
    bills(book, "2012-05-08")
    assert lines(book, 3) == [
        (-770, "2012-05-07", "2012-06-01", "2.1"),
        (2319, "2012-05-08", "2012-06-01", None),
    ]
    assert 59995 - 48383 + 802 - 770 + 2319 == 13963


def test_three_prices_in_one_period():
    """30, 60 and 90 for ten days of thirty each: 60 in all, by the plan's price and not by what was charged last."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(change("2026-11-11", prices=(monthly(price="60"),)))
    bills(book, "2026-11-11")
    book.take(change("2026-11-21", prices=(monthly(price="90"),)))
    bills(book, "2026-11-21")
    assert (nets(book, 1), nets(book, 2), nets(book, 3)) == ([3000], [-2000, 4000], [-2000, 3000])
    once = begun(
        subscription("S-1", monthly(price="30"), start="2026-11-01"),
        change("2026-11-11", prices=(monthly(price="60"),)),
        change("2026-11-21", prices=(monthly(price="90"),)),
    )
    bills(once, "2026-11-30")
    assert nets(once, 1) == [1000, 2000, 3000]


def test_parts_of_a_period_add_up_to_its_price():
    """10, 10 and 11 days of 31 at 10.00 are 3.23, 3.22 and 3.55, and not 10.01."""
    book = begun(
        subscription("S-1", monthly(price="10", rate=Decimal("0.19")), start="2026-12-01"),
        change("2026-12-11", prices=(monthly(price="10", rate=Decimal("0.2")),)),
        change("2026-12-21", prices=(monthly(price="10", rate=Decimal("0.07")),)),
    )
    bills(book, "2026-12-31")
    assert nets(book, 1) == [323, 322, 355]


def test_paid_in_advance_and_ended_early():
    """75.00 and 20 % for 21 of 28 days; what is not served any more, 25.00, is a credit note of 30.00."""
    book = begun(subscription("S-1", monthly(price="100"), start="2025-02-08", billing_anchor="2025-02-01"))
    bills(book, "2025-02-08")
    assert nets(book, 1) == [7500]
    book.take(change("2025-02-22", "terminate"))
    bills(book, "2025-02-22")
    assert [(net, total) for _, net, total in notes(book)] == [(2500, 3000)]
    assert (of(book).next_due, of(book).recheck_from) == (None, None)


def test_days_of_suspension_are_taken_back():
    """249.95 for 31 days, suspended from the 10th to the 20th: 80.63 are taken back, of what the next bill comes to."""
    book = begun(subscription("S-1", monthly(price="249.95"), start="2012-06-30", billing_anchor="2012-05-31"))
    bills(book, "2012-06-30")
    book.take(change("2012-07-10", "suspend"), change("2012-07-20", "resume"))
    bills(book, "2012-07-31")
    assert lines(book, 2) == [
        (-8063, "2012-06-30", "2012-07-31", "1.1"),
        (24995, "2012-07-31", "2012-08-31", None),
    ]


def test_ended_after_the_fact():
    """29.00 a month; on 5 March it is ended as of 20 February: 10 of 29 days are credited, and March is not billed."""
    book = begun(subscription("S-1", monthly(price="29"), start="2020-01-01"))
    bills(book, "2020-01-01", "2020-02-01")
    book.take(change("2020-02-20", "terminate"))
    bills(book, "2020-03-05")
    assert len(book.documents[Invoice]) == 2
    assert [one[:2] for one in notes(book)] == [("2", 1000)]
    # One that was billed for March before gets all of it back.
    late = begun(subscription("S-1", monthly(price="29"), start="2020-01-01"))
    bills(late, "2020-01-01", "2020-02-01", "2020-03-01")
    late.take(change("2020-02-20", "terminate"))
    bills(late, "2020-03-05")
    assert sorted(one[:2] for one in notes(late)) == [("2", 1000), ("3", 2900)]


def test_what_people_gave_stays_given():
    """5.00 were credited for a bad day; the end takes back what is not served, and not the 5.00 once more."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(credit_note("N-1", "INV-000000001", {"1": 500}))
    bills(book, "2026-11-02")
    assert len(book.documents[Invoice]) == 1
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16")
    assert sorted(one[1] for one in notes(book)) == [500, 1500]
    # The half that was served was 15.00, of which the customer owes 10.00.
    assert book.invoice(1).billed == 1200


def test_what_is_left_of_a_line_limits_what_is_taken_back():
    """20.00 of 30.00 were credited: of the 15.00 that are not served 10.00 are left, and that is all there will be."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(credit_note("N-1", "INV-000000001", {"1": 2000}), change("2026-11-16", "terminate"))
    bills(book, "2026-11-16", "2026-11-17")
    assert sorted(one[1] for one in notes(book)) == [1000, 2000]
    assert book.invoice(1).billed == 0
    # To be served after all costs what was taken back, as the subscription counts it: 15.00.
    book.take(change("2026-11-16", termination_date=None))
    bills(book, "2026-11-18")
    assert nets(book, 2) == [1500]


def test_an_unchanged_unit_price_is_one_line_of_the_difference():
    """Two lines at 10.00 become three: one more unit, for the whole period or the rest of it."""
    book = begun(subscription("S-1", monthly(price="10", quantity=Decimal(2)), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(change("2026-11-01", prices=(monthly(price="10", quantity=Decimal(3)),)))
    bills(book, "2026-11-02")
    [more] = book.invoice(2).lines
    assert (more.quantity, more.unit_price, more.tax_excluded_amount) == (1, 10, 1000)
    book.take(change("2026-11-16", prices=(monthly(price="10", quantity=Decimal(5)),)))
    bills(book, "2026-11-16")
    assert lines(book, 3) == [(1000, "2026-11-01", "2026-12-01", None)]


def test_a_trial_costs_nothing():
    """The first day charged is the anchor."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-05", trial_end_date="2026-12-05"))
    bills(book, "2026-11-30")
    assert not book.documents[Invoice]
    bills(book, "2026-12-05")
    assert lines(book, 1) == [(3000, "2026-12-05", "2027-01-05", None)]
    # It is made longer afterwards: the days are counted from another day, and all is taken back.
    book.take(change("2026-11-05", trial_end_date="2027-01-05"))
    bills(book, "2026-12-20")
    assert [one[:2] for one in notes(book)] == [("1", 3000)]


def test_a_discount_waits_for_a_bill_that_it_fits_in():
    """5.00 off each month, agreed as a price below zero; alone on a bill it waits."""
    book = begun(
        subscription("S-1", monthly("D", "-5"), start="2026-11-01", name="discount"),
    )
    bills(book, "2026-11-01")
    assert not book.documents[Invoice]
    assert (of(book).recheck_from, of(book).next_due) == (date(2026, 11, 1), date(2026, 11, 1))
    book.take(subscription("S-2", monthly(price="30"), start="2026-11-15"))
    bills(book, "2026-11-15")
    assert nets(book, 1) == [-500, 3000]
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16")
    assert lines(book, 2) == [(250, "2026-11-01", "2026-12-01", "1.1")]


def test_the_payer_gets_the_bill():
    """What is due of two accounts that another one pays for, with the tax of each group on all of it."""
    book = LedgerBook()
    book.take(billing("BA-P"))
    for n in (1, 2, 3):
        book.take(billing(f"BA-{n}", relationships=(relation("payer", "BA-P"),)))
        book.take(subscription(f"S-{n}", monthly(price="0.33"), account=f"BA-{n}", start="2026-11-01"))
    book.take(demand("D-1", account="BA-P", on="2026-11-01"))
    invoice = book.invoice(1)
    assert (invoice.billing_account, nets(book, 1)) == ("BA-P", [33, 33, 33])
    assert [one.origin and one.origin.account for one in invoice.lines] == ["BA-1", "BA-2", "BA-3"]
    assert (invoice.tax_excluded_amount, invoice.tax_included_amount) == (99, 119)
    assert_books_hold(book)


def test_a_partner_has_its_share_and_loses_it():
    """60 % of 30.00 are its 18.00; of what is taken back it loses as much as it was sold on."""
    book = LedgerBook()
    book.take(billing(), partner("SA-1", "0.6"))
    book.take(subscription("S-1", monthly(price="30", on_behalf_of="SA-1"), start="2026-11-01"))
    bills(book, "2026-11-01")
    assert book.position("SA-1").payable == 1800
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16")
    assert book.position("SA-1").payable == 900


def test_a_long_bill_goes_on_in_another():
    """Three lines a bill: of three subscriptions, of which one alone has more than fit; each is billed once."""
    book = begun(
        subscription("S-1", monthly("A", "1"), monthly("B", "2"), start="2026-11-01"),
        subscription("S-2", monthly("A", "3", period_type="day"), start="2026-11-02"),
        subscription("S-3", monthly("A", "5"), monthly("B", "6"), start="2026-11-01"),
    )
    with patch("domain.billing.gathering.LINES_MAX", 3), patch("domain.billing.composing.LINES_MAX", 3):
        book.take(demand("D-1", on="2026-11-08"))
    assert [nets(book, n + 1) for n in range(len(book.documents[Invoice]))] == [
        [100, 200],
        [500, 600, 300],
        [300] * 3,
        [300] * 3,
    ]
    states = [one.state for one in book.rows[BillOnDemand].values()]
    assert states == ["inProgress"] * (len(states) - 1) + ["done"]
    assert_books_hold(book)


def test_a_bill_between_the_parts_of_another_bills_nothing_twice():
    """Up to January, while what is due up to April goes on: the rest begins with a subscription that this has moved."""
    book = LedgerBook()
    with patch("domain.billing.gathering.LINES_MAX", 4), patch("domain.billing.composing.LINES_MAX", 4):
        demands = [demand("D-1", on="2025-04-01"), demand("D-2", on="2025-01-01")]
        book.take(billing(), subscription("S-1", monthly("A", "30"), start="2025-01-01"), *demands, batch=2)
    assert [nets(book, n) for n in (1, 2)] == [[3000] * 3, [3000]]
    assert_books_hold(book)


def test_what_waits_does_not_hold_up_what_is_behind_it():
    """Discounts for which there is no room wait; the days of the same subscription go on through all parts."""
    book = begun(
        subscription("S-1", monthly("D", "-5", period_type="day"), start="2026-11-01"),
        subscription("S-2", monthly("A", "1", period_type="day"), start="2026-11-01"),
        charge("C-1", line("7"), on="2026-11-01"),
    )
    with patch("domain.billing.gathering.LINES_MAX", 3), patch("domain.billing.composing.LINES_MAX", 3):
        book.take(demand("D-1", on="2026-11-07"))
        charged = [net for n in range(len(book.documents[Invoice])) for net in nets(book, n + 1)]
        assert sorted(charged) == [100] * 7 + [700]
        assert_books_hold(book)
        book.take(charge("C-2", line("50")), demand("D-2"))
    assert of(book).recheck_from is None or of(book).recheck_from >= date(2026, 11, 1)
    assert_books_hold(book)


def test_a_bill_of_many_subscriptions_asks_for_them_together():
    """A hundred of an account, new and then changed as of their start: a bill may ask for more 64 times."""
    prices = monthly("A", "1"), metered("U", "1")
    book = begun(*(subscription(f"S-{n}", *prices, start="2026-01-01") for n in range(100)))
    bills(book, "2026-02-01")
    assert len(nets(book, 1)) == 200
    changed = monthly("A", "2"), metered("U", "1")
    book.take(*(change("2026-01-01", of=f"S-{n}", prices=changed) for n in range(100)))
    bills(book, "2026-02-02")
    assert sorted(nets(book, 2)) == [-100] * 200 + [200] * 200


def test_a_bill_of_many_periods_asks_for_them_together():
    """Weeks of a year, each on an invoice of its own, changed as of the first."""
    week = {"period_type": "week"}
    book = begun(subscription("S-1", monthly("A", "1", **week), metered("U", "1", **week), start="2025-01-01"))
    bills(book, *(str(date(2025, 1, 1) + timedelta(days=7 * n)) for n in range(60)))
    book.take(change("2025-01-01", prices=(monthly("A", "2", **week), metered("U", "1", **week))))
    bills(book, "2026-02-19")
    assert of(book).recheck_from is None
    last = [book.invoice(n + 1) for n in range(60, len(book.documents[Invoice]))]
    assert sum(one.tax_excluded_amount for one in last) == 60 * 100


def test_what_waits_of_a_later_period_leaves_out_nothing_before_it():
    """A bill up to the 10th of January: a discount for February waits, and the weeks until then are billed later."""
    weekly = monthly("R", "7", billed="inArrears", period_type="week")
    book = begun(subscription("S-1", monthly("A", "30"), start="2025-01-01"))
    bills(book, "2025-01-01", "2025-02-01")
    book.take(
        change("2025-01-01", prices=(monthly("A", "30"), weekly)),
        change("2025-02-01", prices=(monthly("A", "-50"), weekly)),
    )
    bills(book, "2025-01-10")
    assert lines(book, 3) == [(700, "2025-01-01", "2025-01-08", None)]
    book.take(charge("C-1", line("200"), on="2025-02-28"))
    bills(book, "2025-02-28")
    weeks = [str(one.origin.period.start.date()) for one in book.invoice(4).lines if one.origin.price_id == "R"]
    assert weeks == ["2025-01-08", "2025-01-15", "2025-01-22", "2025-01-29", "2025-02-05", "2025-02-12", "2025-02-19"]
    assert sorted(nets(book, 4)) == [-5000, -3000, *[700] * 7, 20000]


def test_what_is_taken_back_of_later_leaves_out_nothing_before_it():
    """December was billed less 20.00 and is not served: 30.00 are more than its bill came to, and wait for room."""
    book = begun(subscription("S-1", monthly("A", "30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(charge("C-1", line("-20", "0.2"), on="2026-12-01"))
    bills(book, "2026-12-01")
    book.take(change("2026-12-01", "terminate"))
    book.take(change("2026-11-20", prices=(monthly("A", "30"), monthly("B", "60"))))
    bills(book, "2026-11-15")
    book.take(demand("D-5", on="2026-12-01"), charge("C-9", line("500", "0.2"), on="2026-12-31"))
    bills(book, "2026-12-31")
    billed = sorted(net for n in range(3, len(book.documents[Invoice]) + 1) for net in nets(book, n))
    assert (billed, notes(book)) == ([-3000, 2200, 50000], [])


def test_what_falls_due_later_now_is_looked_at_then():
    """Half of November was billed as it was to end; it goes on, and the rest is due with December and not before."""
    book = begun(
        subscription("S-1", metered("U", "1"), minimum("M", "100"), start="2026-11-01", termination_date="2026-11-16"),
        subscription("S-2", monthly("R", "30", billed="inArrears"), start="2026-11-01", termination_date="2026-11-16"),
        usage("U-1", "10", "2026-11-02T10:00:00", price="U"),
    )
    bills(book, "2026-11-16")
    assert sorted(nets(book, 1)) == [1000, 1500, 4000]
    book.take(*(change("2026-11-16", of=of, termination_date=None) for of in ("S-1", "S-2")))
    bills(book, "2026-11-17", "2026-11-30")
    assert len(book.documents[Invoice]) == 1
    bills(book, "2026-12-01")
    assert sorted(nets(book, 2)) == [1500, 5000]


def test_what_waited_and_falls_due_later_now_is_looked_at_then():
    """30.00 have no room on a bill of 25.00 while all of November is suspended; half of it is then due on the 16th."""
    discount = charge("C-1", line("-5.00", "0.2"), on="2026-11-01")
    book = begun(subscription("S-1", monthly(), start="2026-11-01"), discount)
    bills(book, "2026-11-01")
    assert nets(book, 1) == [-500, 3000]
    book.take(change("2026-11-01", "suspend"))
    bills(book, "2026-11-02")
    assert (notes(book), of(book).recheck_from) == ([], date(2026, 11, 1))
    book.take(change("2026-11-16", "resume"))
    bills(book, "2026-11-03")
    assert (notes(book), of(book).recheck_from, of(book).next_due) == ([], None, date(2026, 11, 16))
    bills(book, "2026-11-16")
    assert notes(book) == [("1", 1500, 1800)]


@pytest.mark.parametrize("days", [1, 3, 40])
def test_billing_again_bills_nothing(days):
    """Neither on the same day nor on an earlier one; after a change that changes nothing, either."""
    book = begun(subscription("S-1", monthly("A", "30"), monthly("R", "7", billed="inArrears"), start="2026-11-10"))
    last = date(2026, 11, 10) + timedelta(days=days)
    bills(book, str(last))
    made = len(book.documents[Invoice])
    periods = dict(book.documents[BilledPeriod])
    bills(book, "2026-11-10", str(last - timedelta(days=1)))
    book.take(change("2026-11-12", name="other"), demand("D-x", on=str(last)))
    book.take(update("BA-1", name="x"), demand("D-y", on="2026-11-12"))
    assert (len(book.documents[Invoice]), book.documents[BilledPeriod]) == (made, periods)
    assert_books_hold(book)


def tiers(mode, *steps):
    """Steps as (up to, unit price, flat fee)."""
    return Tiers(mode, tuple(Step(to and Decimal(to), Decimal(unit), Decimal(flat)) for to, unit, flat in steps))


def parts(book):
    """What was billed of each period of each price."""
    return [part for period in book.documents[BilledPeriod].values() for part in period.by_price]


def counted(book):
    """What records each line of usage counts, by the month: beyond the first so many, up to so many."""
    return [
        [(one.month, one.after, one.count) for one in line.counted]
        for period in book.documents[BilledPeriod].values()
        for price in period.prices
        for line in price.lines
    ]


def test_usage_after_the_bill_is_on_the_next():
    """100 units in January, 10.00, unchanged; 5 that come in February are 0.50 of January on February's bill."""
    book = begun(
        subscription("S-1", metered(), start="2026-01-01"),
        usage("U-1", "60", "2026-01-10T10:00:00"),
        usage("U-2", "40", "2026-01-31T23:59:59"),
    )
    bills(book, "2026-01-31", "2026-02-01")
    assert lines(book, 1) == [(1000, "2026-01-01", "2026-02-01", None)]
    [line] = book.invoice(1).lines
    assert (line.quantity, line.unit_price) == (100, Decimal("0.1"))
    book.take(usage("U-3", "5", "2026-01-30T10:00:00"), usage("U-4", "7", "2026-02-10T10:00:00"))
    bills(book, "2026-02-03", "2026-03-01")
    assert nets(book, 1) == [1000]
    assert lines(book, 2) == [(50, "2026-01-01", "2026-02-01", None)]
    assert lines(book, 3) == [(70, "2026-02-01", "2026-03-01", None)]
    assert counted(book) == [[("2026-01", 0, 2)], [("2026-01", 2, 3)], [("2026-02", 0, 1)]]


def test_usage_after_a_bill_of_none_is_on_the_next():
    """The same line, where January was billed at nothing."""
    book = begun(subscription("S-1", metered(), start="2026-01-01"))
    bills(book, "2026-02-01")
    assert not book.documents[Invoice]
    book.take(usage("U-3", "5", "2026-01-30T10:00:00"))
    bills(book, "2026-03-01")
    assert lines(book, 1) == [(50, "2026-01-01", "2026-02-01", None)]


def test_late_usage_reprices_a_volume():
    """15 units at 10.00, one more makes all 16 cost 5.00: 150.00 are taken back, 80.00 charged."""
    by_volume = metered(price=None, tiers=tiers("volume", ("15", "10", "0"), (None, "5", "0")))
    book = begun(
        subscription("S-1", by_volume, start="2026-01-01"),
        *(usage(f"U-{n}", "1", f"2026-01-{n:02}T10:00:00") for n in range(1, 16)),
    )
    bills(book, "2026-02-01")
    assert nets(book, 1) == [15000]
    book.take(usage("U-16", "1", "2026-01-31T10:00:00"))
    bills(book, "2026-02-02")
    assert nets(book, 2) == [8000]
    assert notes(book) == [("1", 15000, 18000)]
    # The new line counts all sixteen, not the late one alone.
    assert counted(book) == [[("2026-01", 0, 15)], [("2026-01", 0, 16)]]


def test_graduated_usage_is_billed_in_two_parts():
    """12 units cross two steps and enter a third: 160.00; ten more of the period are 22.00, and 182.00 in all."""
    steps = tiers("graduated", ("5", "0", "100"), ("10", "0", "50"), ("15", "5", "0"), (None, "1", "0"))
    book = begun(
        subscription("S-1", metered(price=None, tiers=steps), start="2026-01-01"),
        usage("U-1", "12", "2026-01-10T10:00:00"),
    )
    bills(book, "2026-02-01")
    book.take(usage("U-2", "10", "2026-01-20T10:00:00"))
    bills(book, "2026-03-01")
    # February's first step is due, used or not.
    assert (nets(book, 1), nets(book, 2)) == ([16000], [2200, 10000])


@pytest.mark.parametrize(("quantity", "net"), [("0", 200), ("1", 1200), ("10", 10200), ("11", 11000), ("12", 11500)])
def test_a_step_has_its_fee_once_it_is_entered(quantity, net):
    """The first step's always."""
    steps = tiers("graduated", ("10", "10", "2"), ("20", "5", "3"), (None, "5", "3"))
    book = begun(subscription("S-1", metered(price=None, tiers=steps), start="2026-01-01"))
    if quantity != "0":
        book.take(usage("U-1", quantity, "2026-01-10T10:00:00"))
    bills(book, "2026-02-01")
    assert nets(book, 1) == [net]


@pytest.mark.parametrize(("mode", "net"), [("graduated", 60000), ("volume", 15000)])
def test_each_unit_by_its_step_or_all_by_the_last(mode, net):
    """15,000 units: 1,000 at 0.10, 9,000 at 0.05 and 5,000 at 0.01; or all of them at 0.01."""
    steps = tiers(mode, ("1000", "0.10", "0"), ("10000", "0.05", "0"), (None, "0.01", "0"))
    book = begun(
        subscription("S-1", metered(price=None, tiers=steps), start="2026-01-01"),
        usage("U-1", "15000", "2026-01-10T10:00:00"),
    )
    bills(book, "2026-02-01")
    assert nets(book, 1) == [net]


def test_a_minimum_of_a_part_of_a_period():
    """Two days of February: 689.66 of 10,000.00 and 6.90 of 100.00; 30.00 were used, so 652.76 are missing."""
    book = begun(
        subscription(
            "S-1",
            monthly("A", "100", billed="inArrears"),
            metered("U", "1"),
            minimum("M", "10000"),
            start="2024-02-28",
            billing_anchor="2024-01-01",
        ),
        usage("U-1", "30", "2024-02-28T10:00:00", price="U"),
    )
    bills(book, "2024-03-01")
    assert sorted(nets(book, 1)) == [690, 3000, 65276]
    # What comes late is charged, and what was missing is that much less.
    book.take(usage("U-2", "100", "2024-02-29T10:00:00", price="U"))
    bills(book, "2024-03-02")
    assert (sorted(nets(book, 2)), len(book.documents[CreditNote])) == ([-10000, 10000], 0)


def test_each_record_is_billed_by_the_step_that_it_reaches():
    """500 at 0.01 with its fee of 200.00; 500 more at 0.01, 50 at 0.02 with 300.00; 4,000 at 0.02."""
    steps = tiers("graduated", ("1000", "0.01", "200"), ("10000", "0.02", "300"), (None, "0.03", "400"))
    book = begun(subscription("S-1", metered(price=None, tiers=steps), start="2026-01-01"))
    for n, (quantity, net) in enumerate([("500", 20500), ("550", 30600), ("4000", 8000)], 1):
        book.take(usage(f"U-{n}", quantity, f"2026-01-0{n}T10:00:00"))
        bills(book, f"2026-02-0{n}")
        assert nets(book, n) == [net]


def test_a_first_step_s_fee_counts_towards_a_minimum_once_it_is_charged():
    """Two-month periods are counted from another day from 23 March on: that of 16 March costs nothing before."""
    steps = tiers("graduated", ("3", "2", "1"), (None, "0.5", "0"))
    two_months = metered("U", None, tiers=steps, period_length=2)
    book = begun(subscription("S-1", two_months, minimum("M", "15"), start="2025-01-23"))
    bills(book, "2025-05-19")
    book.take(change("2025-03-23", billing_anchor="2025-01-16"))
    bills(book, "2025-07-15")


def test_usage_that_is_corrected_is_taken_back():
    """3 of 10 units were none; of what comes next, the line counts what it came to."""
    book = begun(subscription("S-1", metered(price="1"), start="2026-01-01"), usage("U-1", "10", "2026-01-05T10:00:00"))
    bills(book, "2026-02-01")
    book.take(usage("U-2", "-3", "2026-01-05T11:00:00"))
    bills(book, "2026-02-02")
    assert notes(book) == [("1", 300, 360)]
    book.take(usage("U-3", "2", "2026-01-06T10:00:00"))
    bills(book, "2026-02-03")
    assert nets(book, 2) == [200]
    [part] = parts(book)
    january = DateRange(date(2026, 1, 1), date(2026, 2, 1))
    assert [one.counted for one in part.billed.lines[0].taken] == [(CountedMonth("2026-01", 1, 2, (january,)),)]
    assert part.billed.lines[1].counted == (CountedMonth("2026-01", 2, 3),)


def test_an_amount_beyond_the_limit_is_told_by_what_it_is_of():
    """One absurd record keeps a bill from being made, until it is taken back; a sum becomes two bills."""
    book = begun(subscription("S-1", metered(price="0.01"), start="2026-10-01"))
    book.take(usage("U-1", "1000000000000000", "2026-10-02T10:00:00"))
    limit = "beyond ±100000000000.00 EUR, the largest amount"
    assert book.refusal(demand("D-1", on="2026-11-01")) == (
        "invalid",
        "subscription S-1: productPrice P-1: the net of 2026-10-01 to 2026-11-01 comes to 10000000000000.00 EUR, "
        + limit,
    )
    book.take(usage("U-2", "-999999999999000", "2026-10-02T11:00:00"))
    bills(book, "2026-11-01")
    assert nets(book, 1) == [1000]
    large = line("60000000000")
    book.take(charge("C-1", large, on="2026-11-02"), charge("C-2", large, on="2026-11-03"))
    assert book.refusal(demand("D-2", on="2026-11-03")) == (
        "invalid",
        f"items: the invoice's net comes to 120000000000.00 EUR, {limit}",
    )
    bills(book, "2026-11-02")
    assert book.refusal(demand("D-3", on="2026-11-03"))[0] == "invalid"
    book.take(payment("P-1", 7_200_000_000_000))
    bills(book, "2026-11-03")
    assert (nets(book, 2), nets(book, 3)) == ([6000000000000], [6000000000000])


def test_usage_is_of_the_days_that_were_at_a_rate():
    """January at 1.00, from the 11th at 2.00, from the 21st at 1.00; then the days from the 6th on are suspended."""

    def days(*ranges):
        return tuple(
            DateRange(date(2026, 1, start), date(2026, 1, 1) + timedelta(days=end - 1)) for start, end in ranges
        )

    one, two = metered(price="1"), metered(price="2")
    book = begun(subscription("S-1", one, start="2026-01-01"), change("2026-01-11", prices=(two,)))
    book.take(change("2026-01-21", prices=(one,)))
    book.take(*(usage(f"U-{day}", "10", f"2026-01-{day:02}T10:00:00") for day in (3, 8, 13, 23)))
    bills(book, "2026-02-01")
    [part] = parts(book)
    first, second = days((1, 11), (21, 32)), days((11, 21))
    assert [(one.net, one.at_this_rate) for one in part.billed.charged_in(part.of.period)] == [
        (3000, first),
        (2000, second),
    ]
    assert [(line.net, line.counted) for line in part.billed.lines] == [
        (3000, (CountedMonth("2026-01", 0, 4, first),)),
        (2000, (CountedMonth("2026-01", 0, 4),)),
    ]
    book.take(change("2026-01-06", "suspend"), change("2026-01-21", "resume"))
    bills(book, "2026-02-02")
    [part] = parts(book)
    left, gone = days((1, 6), (21, 32)), days((6, 11))
    assert [(one.net, one.at_this_rate) for one in part.billed.charged_in(part.of.period)] == [(2000, left)]
    assert [one.counted for line in part.billed.lines for one in line.taken] == [
        (CountedMonth("2026-01", 0, 4, gone),),
        (),
    ]
    # Served after all, at 1.00: the days that come to it have all their records, the others those that came since.
    book.take(change("2026-01-06", "resume"), change("2026-01-11", prices=(one,)))
    book.take(usage("U-4", "1", "2026-01-04T10:00:00"))
    bills(book, "2026-02-03")
    [part] = parts(book)
    assert [(line.net, line.counted) for line in part.billed.lines[2:]] == [
        (2100, (CountedMonth("2026-01", 0, 5, days((6, 21))), CountedMonth("2026-01", 4, 5, left))),
    ]


def test_an_id_keeps_its_type():
    """What was billed of a price is known by its id."""
    book = begun(subscription("S-1", monthly(), start="2026-01-01"))
    assert book.refusal(change("2026-02-01", prices=(metered("P-2"), metered("P-1")))) == (
        "invalid",
        "changes.productPrice.1.priceType: price P-1 of subscription S-1 is recurring: another type needs another id",
    )


def test_a_subscription_does_not_start_in_another_age():
    """All its periods are billed, one by one."""
    assert begun().refusal(subscription(start="1969-12-31")) == (
        "invalid",
        "startDate: must not be earlier than 1970-01-01",
    )


def test_the_last_bill_closes_the_account():
    """It is to be closed; its subscription ends, is billed for the last time, and that is paid."""
    book = begun(subscription("S-1", monthly("R", "31", billed="inArrears"), start="2026-10-01"))
    book.take(demand("D-1", on="2026-11-01"), change("2026-11-16", "terminate"), command("close", "BA-1"))
    assert (of(book).state, of(book).is_open, book.state("BA-1")) == ("terminated", True, "pendingClose")
    book.take(payment("P-1", 3720))
    bills(book, "2026-11-20")
    assert nets(book, 2) == [1550]
    assert (of(book).is_open, book.state("BA-1")) == (False, "pendingClose")
    book.take(payment("P-2", 1860))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_what_is_credited_of_a_take_back_can_be_credited_where_it_was_taken():
    """30.00 becomes 40.00 after ten days: -20.00 + 26.67. Notes of all of both bills leave nothing owed."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(change("2026-11-11", prices=(monthly(price="40"),)))
    bills(book, "2026-11-11")
    assert lines(book, 2) == [
        (-2000, "2026-11-01", "2026-12-01", "1.1"),
        (2667, "2026-11-11", "2026-12-01", None),
    ]
    # As long as that stands, 10.00 are left of the first.
    assert book.refusal(credit_note("N-0", "INV-000000001", {"1": 1001}))[0] == "over-credited"
    book.take(credit_note("N-1", "INV-000000002", {"1": -500, "2": 1000}))
    [corrected] = book.invoice(1).corrected.lines
    [group] = book.invoice(1).corrected.tax
    assert (corrected.taken_back, group.taken_back) == (1500, 300)
    assert_books_hold(book)
    book.take(credit_note("N-2", "INV-000000002"), credit_note("N-3", "INV-000000001"))
    assert notes(book) == [("2", 500, 600), ("2", 167, 200), ("1", 3000, 3600)]
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [0, 0]
    assert_books_hold(book)


def test_a_dispute_counts_for_what_is_given_back_to_its_line():
    """30.00 are disputed, of which a bill takes back 20.00: 12.00 with tax are left, 18.00 after a note of 5.00."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(dispute("X-1", "INV-000000001", {"1": 3000}), change("2026-11-11", prices=(monthly(price="40"),)))
    bills(book, "2026-11-11")
    assert book.get(Dispute, "X-1").amount == 1200
    book.take(credit_note("N-1", "INV-000000002", {"1": -500, "2": 1000}))
    assert book.get(Dispute, "X-1").amount == 1800
    assert_books_hold(book)


def upgraded(*facts, price=None):
    """30.00 for November that become 40.00 after ten days: a bill of 30.00, and one of -20.00 + 26.67; all is paid."""
    price = price or {}
    book = begun(*facts, subscription("S-1", monthly(price="30", **price), start="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(change("2026-11-11", prices=(monthly(price="40", **price),)))
    bills(book, "2026-11-11")
    book.take(payment("P-1", 3600, ["INV-000000001"]), payment("P-2", 800, ["INV-000000002"]))
    return book


def test_a_note_undoes_what_its_invoice_took_back():
    """Ended after fifteen days it comes to 10.00 + 6.67: 20.00 are given back, of a bill that came to 6.67.

    A note credits 20.00 of that and undoes 13.33 of what it took back; another one takes those of the first bill.
    """
    book = upgraded()
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16", "2026-11-17")
    assert book.results["bill.demand:D-2026-11-16"] == {
        "state": "done",
        "billNo": None,
        "creditNotes": ["CN-000000001", "CN-000000002"],
    }
    assert notes(book) == [("2", 667, 800), ("1", 1333, 1600)]
    first = book.get(CreditNote, "bill.demand:D-2026-11-16:INV-000000002")
    assert [(one.line_id, one.tax_excluded_amount) for one in first.lines] == [("1", -1333), ("2", 2000)]
    # Of 44.00 with tax 20.00 were owed.
    assert book.position("BA-1").unapplied == 2400
    [corrected] = book.invoice(1).corrected.lines
    assert (corrected.credited, corrected.taken_back) == (1333, 667)
    [part] = parts(book)
    assert [one.left for one in part.billed.lines] == [1000, 667]
    assert of(book).recheck_from is None
    # It is served after all: what was given back is charged anew, at the rate of those days.
    book.take(change("2026-11-16", termination_date=None))
    bills(book, "2026-11-18")
    assert nets(book, 3) == [2000]


def test_what_is_undone_may_have_been_taken_of_what_took_back_itself():
    """30.00, 40.00 from the 11th, 60.00 from the 16th, ended on the 21st: 10.00 + 6.67 + 10.00 of 46.67 billed.

    20.00 are given back of the third bill, which came to 10.00: 10.00 of what it took of the second one are undone. Of
    that nothing more can be given, as still more than it came to is taken of it: it undoes what is taken of the first.
    """
    book = upgraded()
    book.take(change("2026-11-16", prices=(monthly(price="60"),)))
    bills(book, "2026-11-16")
    assert nets(book, 3) == [-2000, 3000]
    book.take(change("2026-11-21", "terminate"))
    bills(book, "2026-11-21")
    assert notes(book) == [("3", 1000, 1200), ("2", 0, 0), ("1", 1000, 1200)]
    assert [book.invoice(n).billed for n in (1, 2, 3)] == [2400, 800, 0]
    assert of(book).recheck_from is None


def test_what_is_undone_is_taken_by_one_note_with_what_is_due_of_that_invoice():
    """Ended after five days: 5.00 more of the first bill, all 26.67 of the second, which undoes all that it took."""
    book = upgraded()
    book.take(change("2026-11-06", "terminate"))
    bills(book, "2026-11-16")
    assert notes(book) == [("2", 667, 800), ("1", 2500, 3000)]
    assert [book.invoice(n).billed for n in (1, 2)] == [600, 0]


def test_what_can_be_taken_on_the_bill_needs_no_note():
    """The note that can be made makes room: of 15.00 and 20.00 beside 25.00 the latter are on the bill."""
    book = upgraded(subscription("S-2", monthly(price="30"), start="2026-10-31"))
    assert nets(book, 1) == [3000, 3000]
    book.take(subscription("S-3", monthly(price="30"), start="2026-11-01"))
    bills(book, "2026-11-12")
    book.take(
        change("2026-11-16", "terminate"),
        change("2026-11-16", "terminate", of="S-3"),
        charge("C-1", line("25", "0.2"), on="2026-11-16"),
    )
    bills(book, "2026-11-16")
    assert notes(book) == [("3", 1500, 1800)]
    assert sorted(nets(book, 4)) == [-2000, 2500]


@pytest.mark.parametrize("on", ["invoice", "payment"])
def test_what_is_undone_is_undone_of_the_partner(on):
    """80 % of the 16.67 that are left: 13.34, less a cent that rounding each line's share leaves."""
    book = upgraded(partner(on=on), price={"on_behalf_of": "SA-1"})
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16")
    assert notes(book) == [("2", 667, 800), ("1", 1333, 1600)]
    assert abs(book.position("SA-1").payable - 1334) <= 1


def test_what_is_undone_goes_to_the_account_that_was_billed():
    """Another account pays by now: its bill has nothing of it, both notes are the first one's."""
    book = upgraded(billing("BA-2"))
    book.take(update("BA-1", relationships=[relation("payer", "BA-2")]), change("2026-11-16", "terminate"))
    book.take(charge("C-1", line("100"), on="2026-11-16"), demand("D-1", account="BA-2", on="2026-11-16"))
    assert notes(book) == [("2", 667, 800), ("1", 1333, 1600)]
    assert (book.position("BA-1").unapplied, nets(book, 3)) == (2400, [10000])
    assert_books_hold(book)


def test_a_part_undoes_no_more_than_it_may_take_back():
    """What would take back of more invoices than a part does waits for another demand."""
    book = upgraded()
    book.take(change("2026-11-16", "terminate"))
    with patch("domain.billing.composing.INVOICES_MAX", 1):
        bills(book, "2026-11-16")
    assert notes(book) == []
    bills(book, "2026-11-17")
    assert notes(book) == [("2", 667, 800), ("1", 1333, 1600)]


def test_a_discount_on_the_same_bill_is_not_undone():
    """30.00 less a promotion of 20.00, ended half way: a note of 15.00 would go beyond the 10.00 of the bill."""
    book = begun(subscription("S-1", monthly(price="30"), start="2026-11-01"))
    book.take(charge("C-1", line("-20", "0.2"), on="2026-11-01"))
    bills(book, "2026-11-01")
    book.take(change("2026-11-16", "terminate"))
    bills(book, "2026-11-16")
    assert notes(book) == []
    assert of(book).recheck_from == date(2026, 11, 1)
