"""Subscriptions: agreed, changed from a date on, which may be past, and what time makes of them."""

from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import get_args
from unittest.mock import patch as patched

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import facts as all_facts
from domain.billing.subscriptions import ChangeKind, Subscription, SubscriptionTurn, schedule_of
from domain.billing.terms import BYTES_MAX, PATCHES_MAX, Terms, end_of
from domain.days.model import BegunDay
from domain.ledger.books import Books, QueueNeed
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    JPY,
    LedgerBook,
    billing,
    change,
    command,
    moment,
    monthly,
    partner,
    subscription,
)

TODAY = "2026-11-22"


def begun(*facts) -> LedgerBook:
    """Books of the 22nd, with an account."""
    book = LedgerBook()
    book.begin_days(TODAY)
    book.take(billing(), *facts)
    return book


def of(book: LedgerBook, id_: str = "S-1") -> Subscription:
    """A subscription as it stands."""
    return book.get(Subscription, id_)


def turns(book: LedgerBook) -> list[SubscriptionTurn]:
    """What is to be done on days to come."""
    return [turn for _, turn in book.scheduled if isinstance(turn, SubscriptionTurn)]


def told(book: LedgerBook) -> list[str]:
    """The events of the account, but for its own, with what state or terms they are about."""
    found = []
    for event in book.facts_of("BA-1")[1:]:
        what, made = getattr(event, "old_state", None), event.subscription
        found.append(f"{type(event).__name__.removeprefix('Subscription')} {what or made.revision} {made.state}")
    return found


def test_a_subscription_is_agreed_and_begins():
    """On the 1st, by itself: it waits until then, and is active."""
    book = begun(subscription(start="2026-12-01", termination_date="2027-01-01"))
    found = of(book)
    assert (found.state, found.revision, found.patches) == ("pendingActive", 1, ())
    assert (found.next_due, found.recheck_from) == (date(2026, 12, 1), None)
    assert book.scheduled == [(moment("2026-12-01T00:00:00"), SubscriptionTurn("S-1", 1, date(2026, 12, 1)))]
    assert book.results["subscription.create:S-1"] == {"id": "S-1", "revision": 1, "state": "pendingActive"}
    book.begin_days("2026-11-30")
    assert of(book).state == "pendingActive"
    book.begin_days("2026-12-01")
    assert (of(book).state, of(book).revision) == ("active", 1)
    assert told(book) == ["Created 1 pendingActive", "StateChanged pendingActive active"]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("start", "terms", "state"),
    [
        (TODAY, {}, "active"),
        ("2026-01-31", {"trial_end_date": "2027-01-01"}, "active"),
        ("2026-11-23", {}, "pendingActive"),
        ("2026-01-31", {"termination_date": TODAY}, "terminated"),
        ("2026-01-31", {"termination_date": "2026-11-23"}, "active"),
    ],
)
def test_it_is_what_it_is_on_the_newest_day(start, terms, state):
    """It may start in the past, and be over when we hear of it."""
    book = begun(subscription(start=start, **terms))
    assert of(book).state == state
    assert_books_hold(book)


def test_it_is_suspended_resumed_and_ends_on_the_days_agreed():
    """Agreed in advance, each happens by itself; what is agreed for today or earlier happens at once."""
    book = begun(
        subscription(),
        change("2026-12-01", "suspend"),
        change("2026-12-10", "resume"),
        change("2026-12-24", "terminate"),
    )
    assert (of(book).state, of(book).revision) == ("active", 4)
    assert [(one.kind, one.revision, one.changed) for one in of(book).patches] == [
        ("suspend", 2, ("suspended",)),
        ("resume", 3, ("suspended",)),
        ("terminate", 4, ("termination_date",)),
    ]
    book.begin_days("2026-12-31")
    assert told(book) == [
        "Created 1 active",
        "Changed 2 active",
        "Changed 3 active",
        "Changed 4 active",
        "StateChanged active suspended",
        "StateChanged suspended active",
        "StateChanged active terminated",
    ]
    assert book.scheduled == []
    book.take(
        subscription("S-2"), change("2026-12-31", "suspend", of="S-2"), change("2026-12-30", "terminate", of="S-2")
    )
    assert told(book)[7:] == [
        "Created 1 active",
        "Changed 2 suspended",
        "StateChanged active suspended",
        "Changed 3 terminated",
        "StateChanged suspended terminated",
    ]
    assert_books_hold(book)


def test_a_change_replaces_what_it_names():
    """20.00 instead of 30.00 from December on; in January it has no name any more."""
    book = begun(
        subscription(name="fibre"),
        change("2026-12-01", prices=(monthly(price="20"),)),
        change("2027-01-01", name=None, billing_anchor="2027-01-15"),
    )
    found = [of(book).terms_on(date.fromisoformat(on)) for on in (TODAY, "2026-12-01", "2027-01-01")]
    assert [(one.prices[0].unit_price, one.name) for one in found] == [
        (Decimal(30), "fibre"),
        (Decimal(20), "fibre"),
        (Decimal(20), None),
    ]
    assert found[2].billing_anchor == date(2027, 1, 15)
    assert_books_hold(book)


def test_a_change_in_the_past_is_looked_at_again():
    """From its own date on, or from what is not billed yet, the earliest of these; until then it is due at once."""
    book = begun(subscription(start="2026-10-01"))
    billed = replace(of(book), next_due=date(2026, 12, 1), recheck_from=None)
    book.documents[Subscription]["S-1"] = billed
    dues = []
    for on in ("2026-12-20", "2026-11-05", "2026-11-10"):
        book.take(change(on, name=on))
        dues.append(str(of(book).recheck_from))
        assert of(book).next_due == date(2026, 10, 1)
    assert dues == ["2026-11-30", "2026-11-05", "2026-11-05"]
    # Of one of which nothing more would have been due, something is.
    book.documents[Subscription]["S-1"] = replace(of(book), next_due=None, recheck_from=None)
    book.take(change("2026-12-20", "suspend"))
    assert (of(book).next_due, of(book).recheck_from) == (date(2026, 10, 1), date(2026, 12, 20))


def test_a_turn_after_another_change_changes_nothing():
    """It was to end on the 1st; now it does on the 10th, and is suspended in between, once the day has come."""
    book = begun(
        subscription(),
        change("2026-11-22", termination_date="2026-12-01"),
        change("2026-11-22", termination_date="2026-12-10"),
        change("2026-12-01", "suspend"),
    )
    assert [turn.revision for turn in turns(book)] == [2, 3, 4]
    book.begin_days("2026-12-01")
    assert of(book).state == "suspended"
    assert book.results["subscription.turn:S-1/2/2026-12-01"] == {"id": "S-1", "revision": 4, "state": "active"}
    book.begin_days("2026-12-10")
    assert told(book)[-2:] == ["StateChanged active suspended", "StateChanged suspended terminated"]
    assert_books_hold(book)


def test_a_turn_waits_for_its_day():
    """The worker's clock shows the 1st before that is begun; what an outage has left is taken up, be it days later."""
    book = begun(subscription(), change("2026-12-01", "suspend"), change("2026-12-02", "resume"))
    book.begin_days("2026-11-30")
    book.booked_at = moment("2026-12-01T00:00:00")
    book.take()
    waiting = {(why.code, why.detail, why.waits_for) for _, why in book.waiting.values()}
    assert waiting == {("day-gap", "date: 2026-12-01 is not begun", "day:2026-12-01")}
    assert of(book).state == "active"
    book.take(BegunDay(date(2026, 12, 1)))
    assert of(book).state == "suspended"
    # Nobody was there for two days; what waits would be parked before the 2nd is begun.
    book.booked_at = moment("2026-12-04T08:00:00")
    book.take()
    assert (of(book).state, book.waiting) == ("active", {})
    for day in (2, 3, 4):
        book.take(BegunDay(date(2026, 12, day)))
    assert told(book)[-2:] == ["StateChanged active suspended", "StateChanged suspended active"]
    assert_books_hold(book)


def test_a_turn_is_told_as_of_its_own_day():
    """All days of an outage are begun before the first turn is taken up: it was suspended all the same."""
    book = begun(subscription(), change("2026-12-01", "suspend"), change("2026-12-02", "resume"))
    book.begin_days("2026-11-30")
    # The clock of who takes up what is scheduled is late.
    book.take(*(BegunDay(date(2026, 12, day)) for day in (1, 2, 3)))
    assert of(book).state == "active"
    book.booked_at = moment("2026-12-03T00:00:00")
    book.take()
    assert told(book)[-2:] == ["StateChanged active suspended", "StateChanged suspended active"]
    assert_books_hold(book)


def test_before_any_day_is_begun_it_is_the_day_that_it_is():
    """Of books that know of no day yet."""
    book = LedgerBook()
    book.take(billing(), subscription(), subscription("S-2", start="2026-11-23"))
    assert (of(book).state, of(book, "S-2").state) == ("active", "pendingActive")
    book.begin_days("2026-11-23")
    assert of(book, "S-2").state == "active"
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("said", "code", "detail"),
    [
        (
            change("2026-11-21", name="x"),
            "invalid",
            "effectiveDate: 2026-11-21 is before 2026-11-22, when subscription S-1 starts",
        ),
        (
            change("2027-01-01", name="x"),
            "wrong-state",
            "effectiveDate: on 2027-01-01 subscription S-1 is terminated, as of 2027-01-01",
        ),
        (
            change("2027-02-01", "terminate"),
            "wrong-state",
            "effectiveDate: on 2027-02-01 subscription S-1 is terminated, as of 2027-01-01",
        ),
        (
            change("2027-01-02", termination_date=None),
            "wrong-state",
            "effectiveDate: on 2027-01-02 subscription S-1 is terminated, as of 2027-01-01",
        ),
        (
            change("2026-12-05", "suspend"),
            "wrong-state",
            "effectiveDate: on 2026-12-05 subscription S-1 is suspended already",
        ),
        (
            change("2026-12-10", "resume"),
            "wrong-state",
            "effectiveDate: on 2026-12-10 subscription S-1 is not suspended",
        ),
        (
            change("2026-11-22", name="x", at=3),
            "revision-mismatch",
            "ifRevision: 3, but subscription S-1 is at revision 4",
        ),
        (
            change("2026-12-10", termination_date="2026-12-09"),
            "invalid",
            "changes.terminationDate: 2026-12-09 is before 2026-12-10, the effectiveDate",
        ),
        (
            change("2026-12-10", trial_end_date="2026-11-21"),
            "invalid",
            "changes.trialEndDate: 2026-11-21 is before 2026-11-22, when the subscription starts",
        ),
        (
            change("2026-12-10", prices=(monthly(), monthly("P-2", "99999999999", quantity=Decimal(2)))),
            "invalid",
            "changes.productPrice.1 comes to 199999999998.00 EUR, beyond ±100000000000.00 EUR, the largest amount",
        ),
        (
            change("2026-12-10", prices=(monthly(on_behalf_of="BA-1"),)),
            "invalid",
            "changes.productPrice.0.onBehalfOf.id: BA-1 is a BillingAccount, not a SettlementAccount",
        ),
        (
            change("2026-12-10", prices=(monthly(on_behalf_of="SA-1"),)),
            "currency-mismatch",
            "changes.productPrice.0.onBehalfOf.id: SA-1 is kept in JPY, not in EUR",
        ),
    ],
)
def test_what_its_state_on_that_day_does_not_allow(said, code, detail):
    """Suspended from the 1st to the 10th, terminated on New Year: by the day from which on it is to be so."""
    book = begun(
        partner("SA-1", currency="JPY"),
        subscription(),
        change("2026-12-01", "suspend"),
        change("2026-12-10", "resume"),
        change("2027-01-01", "terminate"),
    )
    before = of(book)
    assert book.refusal(said) == (code, detail)
    assert of(book) is before
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("said", "code", "detail"),
    [
        (
            subscription(currency=JPY),
            "currency-mismatch",
            "billingAccount.id: BA-1 is kept in EUR, not in JPY",
        ),
        (
            subscription(termination_date=TODAY),
            "invalid",
            "terminationDate: must be later than startDate, 2026-11-22: it is the first day not served",
        ),
        (
            subscription(termination_date="2026-11-21"),
            "invalid",
            "terminationDate: 2026-11-21 is before 2026-11-22, when the subscription starts",
        ),
        (
            subscription(trial_end_date="2026-11-21"),
            "invalid",
            "trialEndDate: 2026-11-21 is before 2026-11-22, when the subscription starts",
        ),
        (
            subscription(start="9999-12-31"),
            "invalid",
            "startDate: must be earlier than 9999-12-31, the last day that there is",
        ),
        (
            subscription("S-1", monthly(amount=Decimal("99999999999"), price_type="minimum", unit_price=None)),
            "invalid",
            None,
        ),
        (
            subscription("S-1", monthly(amount=Decimal("100000000000.01"), price_type="minimum", unit_price=None)),
            "invalid",
            "productPrice.0.amount comes to 100000000000.01 EUR, beyond ±100000000000.00 EUR, the largest amount",
        ),
    ],
)
def test_what_can_not_be_agreed(said, code, detail):
    """In another currency, of no day, of too much money."""
    book = begun()
    if detail is None:
        book.take(said)
        assert book.refused == {}
        return
    assert book.refusal(said) == (code, detail)
    assert Subscription not in book.documents or not book.documents[Subscription]


def test_the_end_can_be_taken_back_on_the_day_itself():
    """Terminated on the 1st, and then not: a change of the end, effective on that day."""
    book = begun(
        subscription(),
        change("2026-12-01", "terminate"),
        change("2026-12-01", termination_date=None),
        change("2026-12-05", "suspend"),
    )
    assert book.refused == {}
    book.begin_days("2026-12-05")
    assert of(book).state == "suspended"
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("agreed", "said", "ends", "instead"),
    [
        # What terminates it is agreed for the day on which it ends.
        ((change("2026-12-16", "terminate"),), ("2026-12-10", None), None, "2026-12-16"),
        ((change("2026-12-16", "terminate"),), ("2026-12-10", "2026-12-20"), None, "2026-12-16"),
        ((change("2026-12-16", "terminate"),), (TODAY, "2026-12-20"), None, "2026-12-16"),
        ((change("2026-12-16", "terminate"),), ("2026-12-10", "2026-12-12"), "2026-12-12", None),
        ((change("2026-12-16", "terminate"),), ("2026-12-10", "2026-12-16"), "2026-12-16", None),
        ((change("2026-12-16", "terminate"),), ("2026-12-16", None), "9999-12-31", None),
        ((change("2026-12-16", "terminate"),), ("2026-12-16", "2026-12-20"), "2026-12-20", None),
        # A change of the end is agreed for its own day, and so may be the next one.
        ((change("2026-12-12", termination_date="2026-12-16"),), ("2026-12-10", None), None, "2026-12-12"),
        ((change("2026-12-12", termination_date="2026-12-16"),), ("2026-12-14", None), "9999-12-31", None),
        ((change("2026-12-12", termination_date="2026-12-16"),), ("2026-12-10", "2026-12-11"), "2026-12-11", None),
        # That it does not end is agreed for a day too.
        ((change("2026-12-11", termination_date=None),), ("2026-12-10", "2026-12-14"), None, "2026-12-11"),
        ((change("2026-12-11", termination_date=None),), ("2026-12-10", "2026-12-11"), None, "2026-12-11"),
        ((change("2026-12-11", termination_date=None),), ("2026-12-10", None), "9999-12-31", None),
        # Two ends: without the first it ends with the second.
        (
            (change("2026-12-20", "terminate"), change("2026-12-16", "terminate")),
            ("2026-12-16", None),
            "2026-12-20",
            None,
        ),
        ((change("2026-12-20", "terminate"), change("2026-12-16", "terminate")), (TODAY, None), None, "2026-12-16"),
        # Nothing else is agreed of the end.
        ((change("2026-12-16", name="x"),), ("2026-12-10", None), "9999-12-31", None),
    ],
)
def test_an_end_is_agreed_otherwise_for_the_day_for_which_it_was(agreed, said, ends, instead):
    """Said for an earlier day, what was agreed for the later one would hold all the same: that is told."""
    book = begun(subscription(), *agreed)
    before = of(book)
    on, end = said
    asked = change(on, termination_date=end, name="y")
    if instead is None:
        book.take(asked)
        assert book.refused == {}
        assert of(book).segments[-1].days.end == date.fromisoformat(ends)
    else:
        detail = f"from {instead} on what was agreed for that day holds, and subscription S-1 ends as before"
        told_so = f"changes.terminationDate: {detail}: send it with effectiveDate {instead}"
        assert book.refusal(asked) == ("wrong-state", told_so)
        assert of(book) is before
        book.take(change(instead, termination_date=end))
        assert len(book.refused) == 1
        assert end_of(of(book).segments, before.start_date) != end_of(before.segments, before.start_date)
    assert_books_hold(book)


def test_what_is_terminated_at_its_start_was_never_served():
    """Cancelled before it begins; and on the day of its start it is what it was told to be."""
    book = begun(subscription(start="2026-12-01"), change("2026-12-01", "terminate"))
    assert of(book).state == "pendingActive"
    book.begin_days("2026-12-01")
    assert told(book) == ["Created 1 pendingActive", "Changed 2 pendingActive", "StateChanged pendingActive terminated"]
    assert book.refusal(change("2026-12-01", "suspend"))[0] == "wrong-state"
    assert_books_hold(book)


def test_what_it_needs_may_come_later():
    """A change waits for its subscription, that for its account and the partner of one of its prices."""
    book = LedgerBook()
    book.begin_days(TODAY)
    book.take(change("2026-12-01", prices=(monthly(on_behalf_of="SA-2"),)))
    book.take(subscription("S-1", monthly(on_behalf_of="SA-1")))

    def waiting() -> list[tuple[str, str]]:
        return [(why.code, why.detail) for _, why in book.waiting.values()]

    assert waiting() == [
        ("unknown-subscription", "subscriptionId: no subscription S-1"),
        ("unknown-account", "billingAccount.id: no account BA-1"),
    ]
    book.take(billing())
    assert waiting()[1] == ("unknown-account", "productPrice.0.onBehalfOf.id: no account SA-1")
    book.take(partner("SA-1"))
    assert waiting() == [("unknown-account", "changes.productPrice.0.onBehalfOf.id: no account SA-2")]
    book.take(partner("SA-2"))
    assert waiting() == []
    assert of(book).revision == 2
    assert_books_hold(book)


def test_an_account_is_not_closed_while_it_has_one():
    """Nor when that has ended, as long as something of it is to be billed; once all is, the end closes the account."""
    book = begun(subscription(start="2026-12-01"), command("close"))
    assert book.state("BA-1") == "pendingClose"
    book.take(change("2026-12-10", "terminate"))
    # As a bill leaves it, of which nothing more will be due.
    book.documents[Subscription]["S-1"] = replace(of(book), next_due=None, recheck_from=None)
    book.begin_days("2026-12-09")
    assert (of(book).state, book.state("BA-1")) == ("active", "pendingClose")
    book.begin_days("2026-12-10")
    assert (of(book).state, book.state("BA-1")) == ("terminated", "closed")
    code, detail = book.refusal(change("2026-12-09", name="x"))
    assert (code, detail) == ("account-closed", "subscriptionId: account BA-1 is closed")
    code, detail = book.refusal(subscription("S-2"))
    assert (code, detail) == ("account-closed", "billingAccount.id: account BA-1 is closed")


def test_an_account_is_not_closed_over_what_is_to_be_billed():
    """Its subscription has ended, and no bill has been made of it yet."""
    book = begun(subscription(start="2026-10-01", termination_date="2026-11-01"), command("close"))
    assert (of(book).state, book.state("BA-1")) == ("terminated", "pendingClose")
    assert_books_hold(book)


def test_an_account_is_not_deleted_once_it_had_one():
    """What was agreed is kept, and names it."""
    book = begun(subscription())
    assert book.refusal(command("delete")) == (
        "invalid",
        "id: account BA-1 has been posted to: close it, what was booked is kept",
    )


def test_a_subscription_is_changed_so_often_and_no_more():
    """A thousand times, or until it can't be kept any more; it is suspended, resumed and ended all the same."""
    with patched("domain.billing.subscribing.PATCHES_MAX", 2):
        book = begun(subscription(), change(TODAY, name="a"), change(TODAY, name="b"))
        assert book.refusal(change(TODAY, name="c")) == (
            "wrong-state",
            "subscriptionId: S-1 has 2 changes by subscription.change, the most",
        )
        for kind in ("suspend", "resume", "suspend", "resume"):
            book.take(change("2026-12-01", kind))
        assert book.refusal(change("2026-12-01", "suspend")) == (
            "wrong-state",
            "subscriptionId: S-1 has 2 changes by subscription.suspend, the most",
        )
        book.take(change("2026-12-16", "terminate"))
    assert [one.kind for one in of(book).patches].count("terminate") == 1
    assert_books_hold(book)
    with patched("domain.billing.subscribing.BYTES_MAX", 6_047):
        book = begun(subscription(), change(TODAY, name="a"), change(TODAY, prices=(monthly(),)))
        code, detail = book.refusal(change(TODAY, name="c"))
        assert of(book).revision == 3
        book.take(change("2026-12-01", "suspend"), change("2026-12-16", "terminate"))
    assert of(book).revision == 5
    assert (code, detail) == (
        "wrong-state",
        "subscriptionId: S-1 was changed so often that no more prices can be kept with it",
    )
    assert_books_hold(book)


def test_what_it_takes_to_keep_leaves_room_for_its_ends():
    """A subscription of which as much is agreed as can be kept, with all that suspends, resumes and ends it."""
    of_its_state = Terms(()).bytes_max * (len(get_args(ChangeKind)) - 1) * PATCHES_MAX
    assert BYTES_MAX + of_its_state < 16_000_000


def test_those_that_are_due_first_come_first():
    """Also within the batch that changes when something is due; those of which nothing more is come before all."""
    book = begun(subscription("S-1"), subscription("S-2", start="2026-10-01"), subscription("S-3", start="2026-12-01"))
    books = all_facts.working_set(booked_at=book.booked_at, zone=UTC, series="INV-", credit_notes="CN-")
    found = sorted(book.documents[Subscription].values(), key=lambda one: one.order_key)
    books.load_queue(QueueNeed(Subscription, "BA-1"), found)

    def queue() -> list[str]:
        return [one.id for one in books.queue(Subscription, "BA-1")]

    assert queue() == ["S-2", "S-1", "S-3"]
    one = Books(books, "bill.demand:D-1")
    one.put(replace(of(book, "S-2"), next_due=date(2026, 11, 30)))
    one.put(replace(of(book, "S-3"), next_due=None))
    books.accept(one)
    assert queue() == ["S-3", "S-1", "S-2"]
    ended = Books(books, "bill.demand:D-2")
    ended.put(replace(of(book, "S-3"), next_due=None, state="terminated"))
    books.accept(ended)
    assert queue() == ["S-1", "S-2"]


# -- whatever comes in

starts = st.integers(-10, 10).map(lambda n: str(date(2026, 11, 22) + timedelta(days=n)))
later = st.integers(-8, 25).map(lambda n: str(date(2026, 11, 22) + timedelta(days=n)))
creations = st.builds(
    lambda id_, start, trial, end: subscription(id_, start=start, trial_end_date=trial, termination_date=end),
    st.sampled_from(["S-1", "S-2"]),
    starts,
    st.none() | later,
    st.none() | later,
)
commands = st.builds(
    lambda on, kind, id_, at: change(on, kind, of=id_, at=at),
    later,
    st.sampled_from(["suspend", "resume", "terminate"]),
    st.sampled_from(["S-1", "S-2"]),
    st.none() | st.integers(1, 4),
)
changes = st.builds(
    lambda on, id_, terms: change(on, of=id_, **terms),
    later,
    st.sampled_from(["S-1", "S-2"]),
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={
            "termination_date": st.none() | later,
            "trial_end_date": st.none() | later,
            "prices": st.sampled_from([(monthly(price="20"),), (monthly(), monthly("P-2"))]),
        },
    ),
)
nights = st.integers(1, 5)


@given(
    st.lists(creations, min_size=1, max_size=2, unique_by=lambda fact: fact.id),
    st.lists(commands | changes | nights, max_size=14),
    st.randoms(use_true_random=False),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
)
def test_whatever_is_agreed_it_is_what_it_should_be_each_day(made, rest, random, batch, prefetch):
    """Starts, changes, suspensions, resumptions, ends in any order, for days past and to come, and days in between."""
    book = LedgerBook(prefetch=prefetch)
    book.begin_days(TODAY)
    facts = [*made, *rest, *made]
    random.shuffle(facts)
    for fact in (billing(), *facts):
        if isinstance(fact, int):
            book.begin_days(str(book.booked_at.date() + timedelta(days=fact)))
        else:
            book.take(fact, batch=batch)
        assert_books_hold(book)
    book.begin_days(str(book.booked_at.date() + timedelta(days=30)))
    assert_books_hold(book)
    assert all(turn.revision < of(book, turn.subscription).revision for turn in turns(book))


def test_a_schedule_is_worked_out_anew_when_the_terms_change_and_only_then():
    """A bill changes other things of a subscription; of two that are created with one id, one is refused."""
    book = begun(subscription("S-1", start="2026-11-01"))
    before = of(book)
    book.take(change("2026-12-31", "terminate"))
    changed = of(book)
    books = all_facts.working_set(booked_at=moment(TODAY), zone=UTC, series="INV-", credit_notes="CN-")
    schedule = schedule_of(before, books)
    assert schedule_of(replace(before, next_due=None, recheck_from=date(2026, 11, 1)), books) is schedule
    for other in (changed, before, replace(before, terms=Terms(())), replace(changed, patches=changed.patches * 2)):
        assert schedule_of(other, books).segments == other.segments
        assert schedule_of(other, books) is schedule_of(replace(other, next_due=None), books)
