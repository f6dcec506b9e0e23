"""What closings add to what was earned: guarantees, what is recouped of advances, reserves; and what is paid at all."""

from datetime import date
from typing import Any

import pytest

from domain.ledger.entries import Entry
from domain.settlement.accruals import Step
from domain.settlement.advances import Advance
from domain.settlement.earnings import Earnings
from domain.settlement.reserves import Reserve
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    adjustment,
    advance,
    agreed,
    agreement,
    billing,
    closing,
    command,
    guarantee,
    holdback,
    line,
    order,
    partner,
    payout,
    release,
)

DAY = "2026-11-22"


def earning(*facts: Fact, earned: int = 0, on: str = DAY) -> LedgerBook:
    """A book in which SA-1 has agreed and earned what is said; it has begun at noon of 22 November."""
    book = LedgerBook()
    book.begin_days(DAY)
    book.take(billing(), partner(share="1"), *facts)
    if earned:
        book.take(earn("O-1", earned, on))
    return book


def earn(id_: str, amount: int, on: str = DAY, partner_id: str = "SA-1") -> Fact:
    """An order that accrues an amount (minor units) by a share of all, with a line of ours that keeps it positive."""
    price = f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"
    return order(id_, line("90000.00"), line(price, "0", partner_id), at=f"{on}T12:00:00")


def stated(book: LedgerBook, id_: str) -> list[tuple[str, int]]:
    """The lines of a statement, each by its kind, what was earned in one sum, then the total."""
    found = book.settlement(id_)
    sum_ = sum(one.amount for one in found.lines if one.step is None)
    steps = [(one.step.kind, one.amount) for one in found.lines if one.step is not None]
    brought = [("broughtForward", found.brought_forward)] if found.brought_forward else []
    return [*brought, ("earned", sum_), *steps, ("total", found.total)]


def postings(book: LedgerBook, cause: str) -> dict[str, int]:
    """What an entry posts."""
    return {posting.account: posting.amount for posting in book.rows[Entry][cause].postings}


# -- holdback


def test_a_part_of_what_was_earned_is_held_back_until_its_day():
    """10 % of 1,250.55 is 125.055, so 125.06; 180 days after 30 November it is 29 May."""
    terms = agreement("AG-1", DAY, share="1", holdback=holdback("0.10", 180))
    book = earning(terms, earned=125055)
    book.take(closing("C-1", until="2026-11-30"))
    assert stated(book, "C-1") == [("earned", 125055), ("holdback", -12506), ("total", 112549)]
    assert postings(book, "settlement.close:C-1") == {"payable:SA-1": 12506, "reserve:SA-1": -12506}
    assert book.settlement("C-1").lines[-1].step == Step(
        "holdback", base=125055, rate=holdback("0.10", 0).rate, end=date(2027, 5, 29)
    )
    assert book.events_of("SA-1")[-3:] == ["settlement.closed", "reserve.held", "payout.requested"]
    book.take(payout("PO-1", 112549, "C-1"))
    book.begin_days("2027-05-28")
    assert (book.position("SA-1").payable, book.position("SA-1").reserve) == (0, 12506)
    book.begin_days("2027-05-29")
    assert (book.position("SA-1").payable, book.position("SA-1").reserve) == (12506, 0)
    assert postings(book, "reserve.continue:C-1") == {"reserve:SA-1": 12506, "payable:SA-1": -12506}
    assert book.events_of("SA-1")[-1] == "reserve.released"
    book.take(closing("C-2", until="2027-05-28"), closing("C-3", until="2027-05-31"))
    assert stated(book, "C-2") == [("earned", 0), ("total", 0)]
    assert stated(book, "C-3") == [("earned", 0), ("release", 12506), ("total", 12506)]
    assert_books_hold(book)


def test_what_is_released_is_not_held_back_again():
    """The next holdback is of what was earned since: 10 % of 200.00, though the release adds 10.00."""
    book = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.1", 1)), earned=10000)
    book.take(closing("C-1", until=DAY))
    book.begin_days("2026-11-23")
    book.take(earn("O-2", 20000, "2026-11-23"), closing("C-2", until="2026-11-23"))
    assert stated(book, "C-2") == [("earned", 20000), ("release", 1000), ("holdback", -2000), ("total", 19000)]
    assert_books_hold(book)


def test_a_reserve_is_released_before_its_day_and_the_day_releases_the_rest():
    """40.00 of 100.00 by a message, 60.00 by the day; nothing is released twice."""
    book = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.5", 10)), earned=20000)
    book.take(closing("C-1", until="2026-11-30"), release("R-1", "C-1", 4000))
    assert book.results["reserve.release:R-1"] == {"released": 4000, "reserve": 6000}
    assert postings(book, "reserve.release:R-1") == {"reserve:SA-1": 4000, "payable:SA-1": -4000}
    book.take(release("R-2", "C-1", 6001))
    assert book.refused["reserve.release:R-2"].code == "wrong-state"
    assert book.refused["reserve.release:R-2"].detail == "amount: 60.00 EUR is held back of settlement C-1 still"
    book.begin_days("2026-12-10")
    assert [(one.amount, one.release_id) for one in book.get(Reserve, "C-1").releases] == [(4000, "R-1"), (6000, None)]
    book.begin_days("2026-12-12")
    book.take(release("R-3", "C-1"))
    assert book.refused["reserve.release:R-3"].code == "wrong-state"
    book.take(closing("C-2", until="2026-12-10"))
    assert stated(book, "C-2") == [("earned", 0), ("release", 4000), ("release", 6000), ("total", 10000)]
    assert_books_hold(book)


def test_all_of_a_reserve_is_released_by_a_message_without_an_amount():
    """The day then finds nothing that is left."""
    book = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.5", 1)), earned=20000)
    book.take(closing("C-1", until=DAY), release("R-1", "C-1"))
    assert book.results["reserve.release:R-1"] == {"released": 10000, "reserve": 0}
    book.begin_days("2026-11-25")
    assert not [identity for identity in book.applied if identity.startswith("reserve.continue:")]
    assert_books_hold(book)


def test_a_release_fits_the_statement_that_it_names():
    """It waits for the statement; one without a reserve, or in another currency, is refused."""
    book = earning(agreement("AG-1", DAY, share="1"), earned=20000)
    book.take(release("R-1", "C-1"))
    assert book.waiting["reserve.release:R-1"][1].code == "unknown-settlement"
    book.take(closing("C-1", until=DAY))
    assert book.refused["reserve.release:R-1"].code == "wrong-state"
    other = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.5", 1)), earned=20000)
    other.take(closing("C-1", until=DAY), release("R-1", "C-1", 1, currency="USD"))
    assert other.refused["reserve.release:R-1"].code == "currency-mismatch"


def test_many_reserves_are_released_by_one_day(monkeypatch):
    """So many are left by one fact, and the rest by further ones."""
    monkeypatch.setattr("domain.settlement.releasing.LEFT_MAX", 2)
    book = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.5", 3)))
    for n in range(5):
        book.take(earn(f"O-{n}", 1000), closing(f"C-{n}", until=DAY))
    book.begin_days("2026-11-25")
    assert book.position("SA-1").reserve == 0
    assert {"reserve.due:2026-11-25", "reserve.due:2026-11-25/1", "reserve.due:2026-11-25/2"} <= set(book.applied)
    assert_books_hold(book)


def test_nothing_is_held_back_of_what_is_owed_to_us():
    """A statement below zero is carried forward as it is."""
    book = earning(agreement("AG-1", DAY, share="1", holdback=holdback("0.5", 1)), earned=-1000)
    book.take(closing("C-1", until=DAY))
    assert stated(book, "C-1") == [("earned", -1000), ("total", -1000)]
    assert_books_hold(book)


# -- guarantees


def yearly(amount: int, since: str = "2026-01-01", until: str | None = None, **more) -> Fact:
    """An agreement that guarantees an amount a year."""
    return agreement("AG-1", since, until, share="1", guarantee=guarantee(amount, "year"), **more)


def test_a_guarantee_tops_up_what_was_earned_of_its_period():
    """10,000.00 a year, 8,000.00 earned: 2,000.00 more with the closing that the year has ended by, and not before."""
    book = earning(yearly(1_000_000), earned=800_000)
    book.take(closing("C-1", until="2026-12-30"))
    assert stated(book, "C-1") == [("earned", 800_000), ("total", 800_000)]
    book.take(closing("C-2", until="2026-12-31"))
    assert stated(book, "C-2") == [("earned", 0), ("guarantee", 200_000), ("total", 200_000)]
    assert postings(book, "settlement.close:C-2") == {"guarantee": 200_000, "payable:SA-1": -200_000}
    book.take(closing("C-3", until="2027-06-30"))
    assert stated(book, "C-3") == [("earned", 0), ("total", 0)]
    assert_books_hold(book)


def test_a_closing_does_not_end_in_another_century():
    """It would state the guarantees of a hundred years: two years ahead of 22 November 2026 are the most."""
    book = earning(yearly(1_000_000), earned=800_000)
    code, detail = book.refusal(closing("C-1", until="2126-12-31"))
    assert (code, detail[:41]) == ("invalid", "periodEnd: 2126-12-31 is more than 731 da")
    assert book.refusal(closing("C-2", until="2028-11-23"))[0] == "invalid"
    book.take(closing("C-3", until="2028-11-22"))
    assert [amount for kind, amount in stated(book, "C-3") if kind == "guarantee"] == [200_000, 1_000_000]
    # Of one with whom nothing is agreed only what it has earned is stated.
    book.take(partner("SA-2"), closing("C-4", "SA-2", until="2126-12-31"))
    assert_books_hold(book)


def test_each_period_of_a_guarantee_stands_alone():
    """10,000 with 14,000 earned, then 20,000 with 12,000: 0 and 8,000, where crossed it would be 4,000."""
    book = earning(yearly(1_000_000), earned=1_400_000)
    book.take(agreed("AG-1", "2027-01-01", "1", guarantee=guarantee(2_000_000, "year")))
    book.take(closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [("earned", 1_400_000), ("total", 1_400_000)]
    book.begin_days("2027-03-01")
    book.take(earn("O-2", 1_200_000, "2027-03-01"), closing("C-2", until="2027-12-31"))
    assert stated(book, "C-2") == [("earned", 1_200_000), ("guarantee", 800_000), ("total", 2_000_000)]
    assert_books_hold(book)


def test_what_is_earned_later_of_a_period_reduces_what_it_was_topped_up_by():
    """500.00 of December come in after the year was topped up by 2,000.00: 500.00 less of that, and the total is 0."""
    book = earning(yearly(1_000_000), earned=800_000)
    book.take(closing("C-1", until="2026-12-31"))
    book.take(adjustment("A-1", 50_000), closing("C-2", until="2026-12-31"))
    assert stated(book, "C-2") == [("earned", 50_000), ("guarantee", -50_000), ("total", 0)]
    assert postings(book, "settlement.close:C-2") == {"payable:SA-1": 50_000, "guarantee": -50_000}
    assert_books_hold(book)


def test_a_guarantee_is_in_proportion_to_its_days_in_force():
    """365.00 a year: an agreement that ends after 181 days of it guarantees 181.00, and it is due then."""
    book = earning(yearly(36500, until="2026-07-01"))
    book.take(closing("C-1", until="2026-06-29"), closing("C-2", until="2026-06-30"))
    assert stated(book, "C-1")[-1] == ("total", 0)
    assert stated(book, "C-2") == [("earned", 0), ("guarantee", 18100), ("total", 18100)]
    assert_books_hold(book)


def test_a_guarantee_that_changes_within_a_period_counts_by_days():
    """Of a year 350 days at 365.00 and 15 at 730.00: 350.00 + 30.00; what was earned of the year counts once."""
    book = earning(yearly(36500), earned=8000)
    book.take(agreed("AG-1", "2026-12-17", "1", guarantee=guarantee(73000, "year")))
    book.take(closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [("earned", 8000), ("guarantee", 30000), ("total", 38000)]
    [_, step] = book.settlement("C-1").lines
    assert step.step == Step("guarantee", "AG-1", date(2026, 1, 1), date(2026, 12, 31), of=38000, base=8000)
    assert_books_hold(book)


def test_what_was_earned_outside_the_guaranteed_days_does_not_count():
    """Agreed from 1 December on for its month: 300.00 of November don't count, and a loss counts as nothing."""
    book = earning(agreement("AG-1", "2026-12-01", share="1", guarantee=guarantee(10000)), earned=30000)
    book.take(adjustment("A-1", -4000, on="2026-12-01"), closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [("earned", 26000), ("guarantee", 10000), ("total", 36000)]
    assert_books_hold(book)


def monthly(amount: int = 10000) -> Fact:
    """An agreement that guarantees an amount a month from 1 October on."""
    return agreement("AG-1", "2026-10-01", share="1", guarantee=guarantee(amount, "month"))


def test_a_guarantee_of_another_type_from_a_later_day_on_is_topped_up_once():
    """100.00 of October; of the quarter's 92 days, at 300.00, the 61 from 1 November on: 198.91, and nothing after."""
    book = earning(monthly())
    book.take(closing("C-1", until="2026-10-31"))
    assert stated(book, "C-1") == [("earned", 0), ("guarantee", 10000), ("total", 10000)]
    book.take(agreed("AG-1", "2026-11-01", "1", guarantee=guarantee(30000, "quarter")))
    book.take(
        closing("C-2", until="2026-12-31"), closing("C-3", until="2026-12-31"), closing("C-4", until="2027-01-31")
    )
    assert stated(book, "C-2") == [("earned", 0), ("guarantee", 19891), ("total", 19891)]
    assert stated(book, "C-3") == [("earned", 0), ("total", 0)]
    assert stated(book, "C-4") == [("earned", 0), ("total", 0)]
    assert_books_hold(book)


def test_periods_of_two_types_that_begin_on_one_day_each_have_a_line():
    """October has 15 of 31 days at 100.00 a month: 48.39; its quarter 77 of 92 at 300.00: 251.09."""
    book = earning(monthly())
    book.take(agreed("AG-1", "2026-10-16", "1", guarantee=guarantee(30000, "quarter")))
    book.take(closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [("earned", 0), ("guarantee", 4839), ("guarantee", 25109), ("total", 29948)]
    month, quarter = book.settlement("C-1").lines
    assert month.accrual_id == "settlement.close/C-1/guarantee/AG-1/2026-10-01"
    assert quarter.accrual_id == "settlement.close/C-1/guarantee/AG-1/2026-10-01/quarter"
    assert month.step == Step("guarantee", "AG-1", date(2026, 10, 1), date(2026, 10, 15), of=4839, base=0)
    assert quarter.step == Step(
        "guarantee", "AG-1", date(2026, 10, 1), date(2026, 12, 31), of=25109, base=0, type="quarter"
    )
    assert book.position("SA-1").payable == 29948
    assert_books_hold(book)


def test_what_was_stated_of_a_type_that_is_no_longer_agreed_is_taken_back():
    """100.00 of October and of November come back, and the quarter has 300.00 instead: 100.00 more."""
    book = earning(monthly())
    book.take(closing("C-1", until="2026-11-30"))
    book.take(agreed("AG-1", "2026-10-01", "1", guarantee=guarantee(30000, "quarter")))
    book.take(closing("C-2", until="2026-12-31"))
    lines = [("guarantee", -10000), ("guarantee", -10000), ("guarantee", 30000)]
    assert stated(book, "C-2") == [("earned", 0), *lines, ("total", 10000)]
    back = book.settlement("C-2").lines[1].step
    assert back == Step("guarantee", "AG-1", date(2026, 11, 1), date(2026, 11, 30), of=0, base=0)
    assert book.position("SA-1").payable == 30000
    assert_books_hold(book)


def test_a_type_that_is_agreed_again_is_known_by_what_it_had():
    """The quarter's 300.00 come back as the month's 3 x 100.00 do, whichever is agreed last."""
    book = earning(monthly())
    book.take(agreed("AG-1", "2026-10-01", "1", guarantee=guarantee(30000, "quarter")))
    book.take(closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [("earned", 0), ("guarantee", 30000), ("total", 30000)]
    book.take(agreed("AG-1", "2026-10-01", "1", guarantee=guarantee(9000)), closing("C-2", until="2026-12-31"))
    lines = [*[("guarantee", 9000)] * 3, ("guarantee", -30000)]
    assert stated(book, "C-2") == [("earned", 0), *lines, ("total", -3000)]
    assert book.position("SA-1").payable == 27000
    assert_books_hold(book)


def test_a_guarantee_that_is_dropped_in_the_past_is_taken_back():
    """100.00 of October, of which 40.00 were earned: the other 60.00 come back, as 59.99 would for 40.01."""
    book = earning(monthly(), earned=4000, on="2026-10-20")
    book.take(closing("C-1", until="2026-10-31"))
    assert stated(book, "C-1") == [("earned", 4000), ("guarantee", 6000), ("total", 10000)]
    book.take(agreed("AG-1", "2026-10-01", "1"), closing("C-2", until="2026-10-31"))
    assert stated(book, "C-2") == [("earned", 0), ("guarantee", -6000), ("total", -6000)]
    book.take(closing("C-3", until="2026-12-31"))
    assert stated(book, "C-3") == [("broughtForward", -6000), ("earned", 0), ("total", -6000)]
    assert_books_hold(book)


def test_what_an_earlier_version_stated_is_of_the_type_agreed_first_that_begins_a_period_on_that_day():
    """A year from October on, months from January on: that of January 2027 is known without its type."""
    book = earning(agreement("AG-1", "2026-10-01", share="1", guarantee=guarantee(36500, "year")))
    book.take(agreed("AG-1", "2027-01-01", "1", guarantee=guarantee(10000)))
    book.take(closing("C-1", until="2027-02-28"))
    assert [(one.start, one.type) for one in book.get(Earnings, "SA-1/2027").guaranteed] == [
        (date(2027, 1, 1), None),
        (date(2027, 2, 1), None),
    ]
    book.take(agreed("AG-1", "2026-10-01", "1", guarantee=guarantee(10000)), closing("C-2", until="2027-02-28"))
    assert [(one.start, one.type) for one in book.get(Earnings, "SA-1/2026").guaranteed] == [
        (date(2026, 10, 1), "month"),
        (date(2026, 11, 1), None),
        (date(2026, 12, 1), None),
    ]
    assert book.position("SA-1").payable == 50000
    assert_books_hold(book)


def test_a_guarantee_can_not_have_begun_too_long_ago():
    """Each closing works out all its periods."""
    book = earning(agreement("AG-1", "2016-11-13", guarantee=guarantee(100)))
    assert book.refused["agreement.create:AG-1"].code == "invalid"
    assert book.refused["agreement.create:AG-1"].detail == (
        "terms.guarantee: can begin on 2016-11-14 at the earliest, not on 2016-11-13"
    )
    book.take(agreement("AG-2", "2016-11-14", share="1", guarantee=guarantee(100)), closing("C-1", until="2026-11-13"))
    assert stated(book, "C-1")[-1] == ("total", 12000)
    assert_books_hold(book)


# -- advances


def test_an_advance_is_recouped_of_what_is_earned():
    """300.00 in advance: of 100.00 all is recouped, of 250.00 the other 200.00."""
    book = earning(agreement("AG-1", DAY, share="1", advance=30000), advance("AV-1", 30000))
    assert book.results["advance.paid:AV-1"] == {"advance": 30000}
    assert postings(book, "advance.paid:AV-1") == {"advance:SA-1": 30000, "cash": -30000}
    book.take(earn("O-1", 10000), closing("C-1", until=DAY))
    assert stated(book, "C-1") == [("earned", 10000), ("recoupment", -10000), ("total", 0)]
    assert postings(book, "settlement.close:C-1") == {"payable:SA-1": 10000, "advance:SA-1": -10000}
    book.take(earn("O-2", 25000), closing("C-2", until=DAY))
    assert stated(book, "C-2") == [("earned", 25000), ("recoupment", -20000), ("total", 5000)]
    assert (book.position("SA-1").advance, book.position("SA-1").payable) == (0, 5000)
    assert_books_hold(book)


def test_an_advance_is_within_what_is_agreed():
    """Two of 200.00 and one of 100.01 are more than 500.00; without terms, or on another day, there is none."""
    book = earning(agreement("AG-1", DAY, "2026-11-25", share="1", advance=50000), advance("AV-1", 20000))
    book.take(advance("AV-2", 20000), advance("AV-3", 10001))
    assert book.refused["advance.paid:AV-3"].detail == (
        "amount: advances of AG-1 would come to 500.01 EUR, but 500.00 EUR is agreed"
    )
    book.take(advance("AV-4", 10000, at="2026-11-21T10:00:00"), advance("AV-5", 100, currency="USD"))
    assert book.refused["advance.paid:AV-4"].detail == (
        "agreementId: AG-1 has no advance on 2026-11-21: agree it from that day on"
    )
    assert book.refused["advance.paid:AV-5"].code == "currency-mismatch"
    book.take(advance("AV-6", 1, "AG-2"))
    assert book.waiting["advance.paid:AV-6"][1].code == "unknown-agreement"
    assert [row.amount for row in book.rows[Advance].values()] == [20000, 20000]
    assert_books_hold(book)


def test_a_partner_with_an_advance_can_leave_once_it_is_recouped():
    """What it does not earn any more is given to it by an adjustment, which is recouped."""
    book = earning(agreement("AG-1", DAY, share="1", advance=30000), advance("AV-1", 30000), command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(adjustment("A-1", 30000), closing("C-1", until="2026-11-30"))
    assert (book.state("SA-1"), book.position("SA-1").payable) == ("closed", 0)
    assert_books_hold(book)


# -- all of them


def test_the_steps_of_a_closing_follow_on_each_other():
    """60.00 earned of 100.00; 30.00 recouped; 10 % of the other 70.00 held back; and what was brought forward last."""
    book = earning(earned=-500)
    book.take(closing("C-0", until=DAY))
    terms: dict[str, Any] = {"guarantee": guarantee(10000), "advance": 3000, "holdback": holdback("0.1", 30)}
    book.take(agreement("AG-1", "2026-12-01", share="1", **terms))
    book.begin_days("2026-12-01")
    book.take(advance("AV-1", 3000, at="2026-12-01T09:00:00"), earn("O-2", 6000, "2026-12-01"))
    book.take(closing("C-1", until="2026-12-31"))
    assert stated(book, "C-1") == [
        ("broughtForward", -500),
        ("earned", 6000),
        ("guarantee", 4000),
        ("recoupment", -3000),
        ("holdback", -700),
        ("total", 5800),
    ]
    assert_books_hold(book)


@pytest.mark.parametrize("lines", [2, 3, 4])
def test_the_steps_stand_on_the_last_statement_of_a_closing(monkeypatch, lines):
    """Whether they have room beside the last accruals or not, and however many transactions it takes."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", lines)
    monkeypatch.setattr("domain.settlement.closing.STATEMENTS_MAX", 2)
    terms: dict[str, Any] = {"advance": 100, "holdback": holdback("0.1", 30)}
    book = earning(agreement("AG-1", DAY, share="1", **terms), advance("AV-1", 100))
    book.take(*(earn(f"O-{n}", 1000) for n in range(12)), closing("C-1", until=DAY))
    made = [book.settlement("C-1" if n == 1 else f"C-1-{n}") for n in range(1, 12 // lines + 2)]
    assert [len(one.lines) for one in made] == [lines] * (12 // lines) + [2]
    assert [(one.step.kind, one.amount) for one in made[-1].lines if one.step] == [
        ("recoupment", -100),
        ("holdback", -1190),
    ]
    assert_books_hold(book, lines_max=lines)


# -- the threshold


def test_what_is_less_than_the_threshold_is_carried_forward():
    """49.99 is not paid out, and with the next cent it is."""
    book = earning(agreement("AG-1", DAY, share="1", payout_threshold=5000), earned=4999)
    book.take(closing("C-1", until=DAY))
    assert (book.settlement("C-1").state, book.settlement("C-1").threshold) == ("carriedForward", 5000)
    book.take(payout("PO-1", 1, "C-1"))
    assert book.refused["payout.completed:PO-1"].code == "overpaid-payout"
    book.take(earn("O-2", 1), closing("C-2", until=DAY))
    assert stated(book, "C-2") == [("broughtForward", 4999), ("earned", 1), ("total", 5000)]
    assert (book.settlement("C-2").state, book.settlement("C-2").threshold) == ("open", None)
    assert_books_hold(book)


def test_a_partner_that_leaves_is_paid_whatever_it_has():
    """What was carried forward below the threshold is due with the next closing of an account that is to be closed."""
    book = earning(agreement("AG-1", DAY, share="1", payout_threshold=5000), earned=100)
    book.take(
        closing("C-1", until=DAY), command("close", "SA-1"), closing("C-2", until=DAY), payout("PO-1", 100, "C-2")
    )
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_amounts_are_in_the_accounts_currency():
    """Others are refused, of a new agreement and of its change."""
    book = earning(agreement("AG-1", DAY, currency="USD", payout_threshold=1))
    assert book.refused["agreement.create:AG-1"].code == "currency-mismatch"
