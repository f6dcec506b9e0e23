"""Usage: counted once, on the day of its own time where the seller is, and looked at again when it comes late."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import facts as all_facts
from domain.billing.rating import Rating, Schedule
from domain.billing.subscriptions import Subscription
from domain.billing.terms import Step, Tiers
from domain.billing.usage import (
    DAY_MAX,
    UsageMonth,
    UsageRecord,
    UsageToRecord,
    UsedOn,
    counted,
    months_of,
    used_by,
)
from domain.ledger.books import Books, DocumentNeed, NotLoaded
from domain.ledger.positions import Position
from domain.periods import DateRange
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    LedgerBook,
    billing,
    change,
    command,
    demand,
    metered,
    minimum,
    moment,
    monthly,
    subscription,
    usage,
)


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


def days(start: str, end: str) -> DateRange:
    """The days from one to another, which is not among them."""
    return DateRange(day(start), day(end))


def begun(*facts, zone=UTC) -> LedgerBook:
    """Books of the 22nd of November, with an account and a subscription of usage since the 1st of October."""
    book = LedgerBook(zone=zone)
    book.begin_days("2026-11-22")
    book.take(billing(), subscription("S-1", metered(), start="2026-10-01"), *facts)
    return book


def of(book: LedgerBook, id_: str = "S-1") -> Subscription:
    """A subscription as it stands."""
    return book.get(Subscription, id_)


def billed(book: LedgerBook, next_due: str | None, recheck_from: str | None = None, id_: str = "S-1") -> None:
    """Let bills have been made of all that fell due before a date."""
    due, recheck = (None if text is None else day(text) for text in (next_due, recheck_from))
    book.documents[Subscription][id_] = replace(of(book, id_), next_due=due, recheck_from=recheck)


def month(book: LedgerBook, name: str = "2026-11", price: str = "P-1") -> UsageMonth:
    """What was used in a month."""
    return book.get(UsageMonth, f"S-1/{price}/{name}")


def reading(book: LedgerBook, *ids: str) -> Books:
    """Books that have a subscription, its account's position and these months loaded."""
    found = all_facts.working_set(booked_at=book.booked_at, zone=book.zone, series="INV-", credit_notes="CN-")
    found.load(Subscription, "S-1", of(book))
    found.load(Position, "BA-1", book.get(Position, "BA-1"))
    for id_ in ids:
        found.load(UsageMonth, id_, book.documents[UsageMonth].get(id_))
    return Books(found, "bill.demand:D-1")


def test_usage_is_counted_on_its_day():
    """By month, with a sum for each day, in the order of the days; each record has its place in the month."""
    book = begun(
        usage("U-1", "2.5", "2026-11-20T23:59:59"),
        usage("U-2", "4", "2026-11-03T00:00:00"),
        usage("U-3", "0.5", "2026-11-20T00:00:00"),
        usage("U-4", "7", "2026-10-31T12:00:00"),
    )
    assert month(book) == UsageMonth(
        "S-1/P-1/2026-11", 3, (UsedOn(day("2026-11-03"), Decimal(4)), UsedOn(day("2026-11-20"), Decimal("3.0")))
    )
    assert month(book, "2026-10").count == 1
    assert [one.number for one in book.rows[UsageRecord].values()] == [1, 2, 3, 1]
    assert book.rows[UsageRecord]["U-1"] == UsageRecord(
        "U-1", "S-1", "P-1", moment("2026-11-20T23:59:59"), day("2026-11-20"), Decimal("2.5"), 1, book.booked_at
    )
    assert book.results["usage.record:U-1"] == {"subscriptionId": "S-1", "priceId": "P-1", "date": "2026-11-20"}
    assert [type(event).__name__ for event in book.facts_of("BA-1")] == ["AccountCreated", "SubscriptionCreated"]
    assert of(book).next_due == day("2026-10-01")
    assert of(book).recheck_from is None
    assert_books_hold(book)


def test_its_time_is_its_own():
    """One far ahead of the clock waits until that has come."""
    assert all_facts.own_time_of(usage("U-1")) == ("usageDate", moment("2026-11-22T10:00:00"))


def test_each_record_writes_the_account_s_position():
    """So that no bill of the account that is made by another worker commits unseen of it."""
    book = begun()
    before = book.get(Position, "BA-1").used
    book.take(usage("U-1"), usage("U-2"))
    assert book.get(Position, "BA-1").used == before + 2


def test_a_time_has_the_date_that_it_has_where_the_seller_is():
    """Also over a change of clocks: in 2023 New York's went forward on the 12th of March."""
    new_york = ZoneInfo("America/New_York")
    book = LedgerBook(zone=new_york)
    book.take(billing(), subscription("S-1", metered(), start="2023-03-01"))
    at_home = [
        "2023-03-01T04:00",
        "2023-03-15T00:00",
        "2023-03-31T23:59",
        "2023-04-01T00:00",
        "2023-04-01T00:01",
        "2023-04-15T00:00",
        "2023-04-30T23:59",
        "2023-05-01T00:00",
        "2023-05-01T00:01",
    ]
    for n, text in enumerate(at_home):
        at = datetime.fromisoformat(text).replace(tzinfo=new_york).astimezone(UTC)
        book.take(replace(usage(f"U-{n}"), usage_date=at))
    found = {name: month(book, name) for name in ("2023-03", "2023-04", "2023-05")}
    assert {name: one.count for name, one in found.items()} == {"2023-03": 3, "2023-04": 4, "2023-05": 2}
    assert [str(one.day) for one in found["2023-04"].days] == ["2023-04-01", "2023-04-15", "2023-04-30"]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("zone", "lengths"),
    [
        ("UTC", {24}),
        ("Europe/Berlin", {23, 24, 25}),
        ("America/New_York", {23, 24, 25}),
        # Half an hour in spring and autumn.
        ("Australia/Lord_Howe", {23, 24, 25}),
        # From the 29th of December to the 31st.
        ("Pacific/Apia", {23, 24, 25}),
    ],
)
def test_each_hour_of_a_year_is_of_one_day(zone, lengths):
    """Whatever the clocks do: each hour is counted once, on its day, and in the month of that."""
    book = LedgerBook(zone=ZoneInfo(zone))
    book.take(billing(), subscription("S-1", metered(), start="2011-01-01"))
    first = datetime(2011, 1, 2, tzinfo=UTC)
    times = [first + timedelta(hours=n) for n in range(24 * 363)]
    book.take(*(replace(usage(f"U-{n}"), usage_date=at) for n, at in enumerate(times)), batch=500)
    expected = Counter(at.astimezone(book.zone).date() for at in times)
    found = {one.day: one.quantity for made in book.documents[UsageMonth].values() for one in made.days}
    assert found == expected
    assert (date(2011, 12, 30) in found) == (zone != "Pacific/Apia")
    # The first and the last of them are cut off.
    assert {found[on] for on in sorted(found)[1:-1]} == lengths


@pytest.mark.parametrize(
    ("fact", "detail"),
    [
        (
            usage("U-1", at="2026-09-30T10:00:00"),
            "priceId: on 2026-09-30 subscription S-1 is not served yet: it starts on 2026-10-01",
        ),
        (
            usage("U-1", at="2026-11-20T10:00:00"),
            "priceId: on 2026-11-20 subscription S-1 is terminated, as of 2026-11-20",
        ),
        (usage("U-1", at="2026-11-12T10:00:00"), "priceId: on 2026-11-12 subscription S-1 is suspended"),
        (
            usage("U-1", at="2026-10-10T10:00:00", price="P-9"),
            "priceId: on 2026-10-10 subscription S-1 has no price P-9",
        ),
        (
            usage("U-1", at="2026-11-02T10:00:00", price="P-2"),
            "priceId: on 2026-11-02 subscription S-1 has no price P-2",
        ),
        (
            usage("U-1", at="2026-10-10T10:00:00", price="P-2"),
            "priceId: on 2026-10-10 subscription S-1 has price P-2 as one of type recurring, not usage",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_usage_of_what_is_not_in_force(fact, detail):
    """The price of its own day counts, not that of today."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(
        billing(),
        subscription("S-1", metered(), monthly("P-2"), start="2026-10-01", trial_end_date="2026-10-20"),
        change("2026-11-01", prices=(metered(),)),
        change("2026-11-10", "suspend"),
        change("2026-11-15", "resume"),
        change("2026-11-20", "terminate"),
        fact,
    )
    assert (book.refused["usage.record:U-1"].code, book.refused["usage.record:U-1"].detail) == ("wrong-state", detail)
    assert not book.documents[UsageMonth]
    assert_books_hold(book)


def test_usage_in_a_trial_counts():
    """A trial frees recurring prices and minimums."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), subscription("S-1", metered(), trial_end_date="2026-12-22"), usage("U-1", "3"))
    assert month(book).within(days("2026-11-22", "2026-11-23")) == 3


def test_a_record_below_zero_corrects_earlier_ones():
    """Down to nothing on its day, whatever was used on others; and zero may be told too."""
    book = begun(
        usage("U-1", "5", "2026-11-20T10:00:00"),
        usage("U-2", "9", "2026-11-21T10:00:00"),
        usage("U-3", "-5", "2026-11-20T11:00:00"),
        usage("U-4", "0", "2026-11-20T11:00:00"),
        usage("U-5", "-0.01", "2026-11-20T12:00:00"),
    )
    refused = book.refused["usage.record:U-5"]
    assert (refused.code, refused.detail) == (
        "wrong-state",
        "quantity: -0.01 is more than can be taken back: 0 was used on 2026-11-20",
    )
    assert month(book).count == 4
    assert [month(book).on(day(on)) for on in ("2026-11-20", "2026-11-21")] == [0, 9]
    assert_books_hold(book)


def test_a_day_counts_no_more_than_can_be_added_up():
    """Ten years of the fullest days are exact."""
    book = begun(usage("U-1", "0.00000001"))
    most = UsageMonth("S-1/P-1/2026-11", 1, (UsedOn(day("2026-11-22"), Decimal(DAY_MAX) - 1),))
    book.documents[UsageMonth][most.id] = most
    book.take(usage("U-2", "1"), usage("U-3", "0.00000001"))
    assert "usage.record:U-2" in book.applied
    refused = book.refused["usage.record:U-3"]
    assert (refused.code, refused.detail) == (
        "invalid",
        "quantity: 0.00000001 takes what was used on 2026-11-22 beyond 1000000000000000, the most that is counted",
    )
    fullest = Decimal(DAY_MAX) - Decimal("0.00000001")
    years = [UsedOn(day("2016-01-01") + timedelta(days=n), fullest) for n in range(3_660)]
    found = UsageMonth("x", 1, tuple(years)).within(days("2016-01-01", "2027-01-01"))
    assert Fraction(found) == 3_660 * Fraction(fullest)


def test_usage_waits_for_its_subscription():
    """And is counted as soon as that is there."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), usage("U-1"), usage("U-1"))
    _, why = book.waiting["usage.record:U-1"]
    assert (why.code, why.detail, why.waits_for) == (
        "unknown-subscription",
        "subscriptionId: no subscription S-1",
        "subscription:S-1",
    )
    book.take(subscription("S-1", metered()))
    assert month(book).count == 1
    assert_books_hold(book)


def test_usage_of_a_closed_account():
    """Its subscription has ended and was billed."""
    book = begun(change("2026-11-20", "terminate"))
    billed(book, None)
    book.take(command("close"), usage("U-1", at="2026-11-19T10:00:00"))
    refused = book.refused["usage.record:U-1"]
    assert (refused.code, refused.detail) == ("account-closed", "subscriptionId: account BA-1 is closed")


@pytest.mark.parametrize(
    ("next_due", "recheck_from", "used_on", "again"),
    [
        # The month is due on the day after its last.
        pytest.param("2026-12-01", None, "2026-11-20", None, id="not billed yet"),
        pytest.param("2026-11-01", None, "2026-10-31", None, id="due, and not billed"),
        pytest.param("2026-12-01", None, "2026-10-31", "2026-10-31", id="billed"),
        pytest.param("2026-10-01", "2026-10-20", "2026-10-19", "2026-10-19", id="before what is looked at again"),
        pytest.param("2026-10-01", "2026-10-20", "2026-10-20", "2026-10-20", id="looked at again anyway"),
        pytest.param("2026-10-01", "2026-10-20", "2026-10-31", "2026-10-20", id="after that"),
        pytest.param(None, None, "2026-11-20", "2026-11-20", id="nothing more would be"),
    ],
)
def test_late_usage_is_looked_at_again(next_due, recheck_from, used_on, again):
    """Where a bill has looked at its period, and does not look again anyway."""
    book = begun()
    billed(book, next_due, recheck_from)
    before = of(book)
    book.take(usage("U-1", at=f"{used_on}T10:00:00"))
    if again is None or again == recheck_from:
        assert of(book) is before, "it was written in vain"
    else:
        assert (of(book).recheck_from, of(book).next_due) == (day(again), day("2026-10-01"))
    assert of(book).revision == 1
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("used_on", "on", "again"),
    [
        # Weeks are from Monday, the 2nd, months too.
        pytest.param("2026-11-04", "2026-11-15", True, id="of a week that was billed"),
        pytest.param("2026-11-12", "2026-11-15", False, id="of a week that is due"),
        pytest.param("2026-11-18", "2026-11-19", False, id="of a week that was not"),
        pytest.param("2026-11-30", "2026-11-19", False, id="after all weeks"),
    ],
)
def test_usage_is_late_for_a_minimum_that_was_billed(used_on, on, again):
    """Although its own month is not: what a minimum comes to depends on what others do."""
    weekly = minimum("M-1", "10", period_type="week")
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(billing(), subscription("S-1", metered(), weekly, start="2026-11-01", billing_anchor="2026-11-02"))
    book.take(demand("D-1", on=on), usage("U-1", at=f"{used_on}T10:00:00"))
    assert (of(book).recheck_from is not None) == again
    assert_books_hold(book)


def test_usage_is_late_for_a_minimum_that_is_no_more():
    """It was agreed for the first days of a period whose usage counts in it, whenever that was."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    quarterly = metered(period_length=3)
    book.take(
        billing(),
        subscription("S-1", quarterly, minimum("M-1", "10"), start="2026-10-01"),
        change("2026-10-10", prices=(quarterly,)),
    )
    billed(book, "2026-11-15")
    book.take(usage("U-1", at="2026-10-20T10:00:00"))
    assert of(book).recheck_from == day("2026-10-20")
    billed(book, "2026-12-05")
    book.take(usage("U-2", at="2026-11-20T10:00:00"))
    assert of(book).recheck_from is None


def test_usage_is_late_for_a_minimum_that_comes_later():
    """In the same period of usage: what is used before it takes what is used then to another step."""
    book = LedgerBook()
    book.begin_days("2026-12-10")
    quarterly = metered(period_length=3)
    changed = change("2026-11-10", prices=(quarterly, minimum("M-1", "10")))
    book.take(billing(), subscription("S-1", quarterly, start="2026-10-01"), changed)
    billed(book, "2026-12-01")
    book.take(usage("U-1", at="2026-10-05T10:00:00"))
    assert of(book).recheck_from is None
    billed(book, "2026-12-02")
    book.take(usage("U-2", at="2026-10-05T10:00:00"))
    assert of(book).recheck_from == day("2026-10-05")


def test_what_was_used_is_asked_for_by_days():
    """Of months that are not loaded all are asked for at once; who asks writes the position of the account."""
    book = begun(
        usage("U-1", "1", "2026-10-05T10:00:00"),
        usage("U-2", "2", "2026-10-31T10:00:00"),
        usage("U-3", "4", "2026-11-01T10:00:00"),
        usage("U-4", "8", "2026-11-15T10:00:00"),
    )
    ids = ("S-1/P-1/2026-10", "S-1/P-1/2026-11", "S-1/P-1/2026-12")
    used = used_by("S-1", reading(book))
    with pytest.raises(NotLoaded) as missing:
        used("P-1", days("2026-10-31", "2026-12-02"))
    assert missing.value.needs == tuple(DocumentNeed(UsageMonth, id_) for id_ in ids)
    books = reading(book, *ids)
    used = used_by("S-1", books)
    found = [
        used("P-1", days(start, end))
        for start, end in (
            ("2026-10-01", "2026-11-01"),
            ("2026-10-06", "2026-11-15"),
            ("2026-10-06", "2026-11-16"),
            ("2026-11-02", "2026-12-31"),
            ("2026-12-01", "2026-12-31"),
        )
    ]
    assert found == [3, 6, 14, 8, 0]
    books.finish()
    assert books.position("BA-1").touched == book.get(Position, "BA-1").touched + 1


def test_how_many_records_there_are_now():
    """Of each month of a line's days that has any: by that it is known later which records are on the line."""
    book = begun(
        usage("U-1", "1", "2026-10-05T10:00:00"),
        usage("U-2", "2", "2026-10-31T10:00:00"),
        usage("U-3", "4", "2026-11-15T10:00:00"),
    )
    books = reading(book, "S-1/P-1/2026-09", "S-1/P-1/2026-10", "S-1/P-1/2026-11")
    found = counted("S-1", "P-1", days("2026-09-15", "2026-11-02"), books)
    assert found == {"2026-10": 2, "2026-11": 1}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-11-30", "2026-12-01", ["2026-11"]),
        ("2026-11-30", "2026-12-02", ["2026-11", "2026-12"]),
        ("2026-12-31", "2027-02-01", ["2026-12", "2027-01"]),
        ("0001-01-01", "0001-01-02", ["0001-01"]),
        ("9999-12-01", "9999-12-31", ["9999-12"]),
    ],
)
def test_the_months_of_days(start, end, expected):
    """Those that have one of them; the end is none of them."""
    assert list(months_of(days(start, end))) == expected


def test_late_usage_takes_all_to_another_step():
    """15 units at 10 are 150.00; one more makes it 16 at 5, which are 80.00."""
    volume = Tiers("volume", (Step(Decimal(15), Decimal(10)), Step(None, Decimal(5))))
    book = LedgerBook()
    book.begin_days("2026-11-22")
    book.take(billing(), subscription("S-1", metered(price=None, tiers=volume), start="2026-10-01"))
    book.take(usage("U-1", "15", "2026-10-10T10:00:00"))

    def october() -> int:
        books = reading(book, "S-1/P-1/2026-10")
        rating = Rating(Schedule(of(book).segments), used_by("S-1", books), EUR)
        return sum(one.net for one in rating.charges("P-1", days("2026-10-01", "2026-11-01")))

    assert october() == 15_000
    billed(book, "2026-12-01")
    book.take(usage("U-2", "1", "2026-10-20T10:00:00"))
    assert october() == 8_000
    assert of(book).recheck_from == day("2026-10-20")


# -- whatever comes in

instants = st.datetimes(datetime(2026, 9, 28), datetime(2026, 12, 3)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
records = st.builds(
    lambda n, quantity, at, price, of: replace(usage(f"U-{n}", quantity, of=of, price=price), usage_date=at),
    st.integers(0, 10**6),
    st.sampled_from(["0", "1", "0.00000001", "2.5", "99999999999.99999999", "-1", "-2.5"]),
    instants,
    st.sampled_from(["P-1", "P-2", "P-3"]),
    st.sampled_from(["S-1", "S-2"]),
)


@given(
    st.lists(records, max_size=25, unique_by=lambda fact: fact.id),
    st.randoms(use_true_random=False),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
    st.sampled_from(["UTC", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe"]),
)
def test_whatever_is_recorded_is_counted_once(recorded, random, batch, prefetch, zone):
    """In any order and batches, told twice, in any zone, before its subscription is there: sums are the records'."""
    book = LedgerBook(prefetch=prefetch, zone=ZoneInfo(zone))
    book.begin_days("2026-11-22")
    facts = [*recorded, *recorded]
    random.shuffle(facts)
    half = len(facts) // 2
    made = [subscription(f"S-{n}", metered(), metered("P-2"), start="2026-10-01") for n in (1, 2)]
    book.take(billing(), *facts[:half], batch=batch)
    assert_books_hold(book)
    book.take(*made, *facts[half:], batch=batch)
    assert_books_hold(book)
    sums: defaultdict[tuple[str, str, date], Fraction] = defaultdict(Fraction)
    for fact in book.applied.values():
        if isinstance(fact, UsageToRecord):
            on = fact.usage_date.astimezone(book.zone).date()
            sums[fact.subscription, fact.price_id, on] += Fraction(fact.quantity)
    for (of_, price, on), total in sums.items():
        assert on >= day("2026-10-01")
        assert price != "P-3"
        assert Fraction(book.get(UsageMonth, f"{of_}/{price}/{on:%Y-%m}").on(on)) == total
    for fact in recorded:
        identity = f"usage.record:{fact.id}"
        if identity in book.refused:
            early = fact.usage_date.astimezone(book.zone).date() < day("2026-10-01")
            assert early or fact.price_id == "P-3" or fact.quantity < 0, book.refused[identity]
        else:
            assert identity in book.applied
