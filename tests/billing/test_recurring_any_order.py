"""Whatever is agreed, changed and billed when: what was billed in the end is what one bill would have had."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from domain.billing.billed import BilledPeriod
from domain.billing.model import BillDemand
from domain.billing.subscriptions import Subscription, SubscriptionToChange, SubscriptionToCreate
from domain.corrections.model import CreditNote, NoteToIssue
from domain.invoicing.model import Invoice
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    change,
    charge,
    credit_note,
    demand,
    line,
    monthly,
    subscription,
)
from tests.support.steady import steady

FIRST = date(2025, 1, 1)
LAST = 150
"""Days within which all of it is."""
AT_THE_END = "2025-07-15"

days = st.integers(0, LAST).map(lambda n: str(FIRST + timedelta(days=n)))
amounts = st.sampled_from(["30", "19.95", "0.07", "10", "0", "-3"])
prices = st.lists(
    st.builds(
        monthly,
        st.sampled_from(["A", "B"]),
        amounts,
        quantity=st.sampled_from([Decimal(1), Decimal(2), Decimal("0.5")]),
        billed=st.sampled_from(["inAdvance", "inArrears"]),
        period_type=st.sampled_from(["month", "month", "week"]),
        period_length=st.sampled_from([1, 1, 2]),
        proration=st.sampled_from(["actual", "actual", "none"]),
        rate=st.sampled_from([Decimal("0.2"), Decimal("0.2"), Decimal("0.07")]),
    )
    | st.builds(monthly, st.just("O"), st.sampled_from(["50", "0.01"]), price_type=st.just("oneTime")),
    min_size=1,
    max_size=3,
    unique_by=lambda price: price.id,
).map(tuple)


def starts(number):
    """A subscription of that number."""
    return st.builds(
        lambda prices, start, trial, anchor, end: subscription(
            f"S-{number}",
            *prices,
            start=start,
            trial_end_date=None if trial is None else str(date.fromisoformat(start) + timedelta(days=trial)),
            billing_anchor=anchor,
            termination_date=None if end is None else str(date.fromisoformat(start) + timedelta(days=end)),
        ),
        prices,
        days,
        st.none() | st.integers(0, 40),
        st.none() | st.none() | days,
        st.none() | st.none() | st.integers(1, 100),
    )


def changes(*numbers):
    """Changes of the subscriptions of these numbers."""
    of = st.sampled_from([f"S-{number}" for number in numbers])
    terms = (
        st.builds(lambda prices: {"prices": prices}, prices)
        | st.builds(lambda end: {"termination_date": end}, st.none() | days)
        | st.builds(lambda anchor: {"billing_anchor": anchor}, st.none() | days)
        | st.builds(lambda end: {"trial_end_date": end}, st.none() | days)
    )
    kinds = st.sampled_from(["suspend", "resume", "suspend", "resume", "terminate"])
    changed = st.builds(lambda of, on, terms: change(on, of=of, **terms), of, days, terms)
    return changed | st.builds(lambda of, on, kind: change(on, kind, of=of), of, days, kinds)


bills = st.builds(lambda on: demand("?", on=on), days)
given_back = st.builds(
    lambda number, part: credit_note("?", f"INV-{number:09d}", {"1": part}), st.integers(1, 4), st.integers(1, 1500)
)
facts = st.tuples(
    starts(1).map(lambda one: [one]),
    st.lists(changes(1) | bills | given_back, max_size=5),
    starts(2).map(lambda one: [one]),
    st.lists(changes(1, 2) | bills | given_back, max_size=8),
).map(lambda parts: [fact for part in parts for fact in part])


def named(facts):
    """Each demand and note under an id of its own."""
    own = (BillDemand, NoteToIssue)
    return [replace(fact, id=f"N-{n}") if isinstance(fact, own) else fact for n, fact in enumerate(facts)]


def net_of(documents):
    """What invoices, or notes, come to without tax, in minor units."""
    return sum(one.tax_excluded_amount for one in documents)


def left_of(book):
    """What is billed of each period, in minor units, where that is something."""
    left = {one.id: sum(billed.left for billed in one.lines) for one in book.documents[BilledPeriod].values()}
    return {id_: net for id_, net in left.items() if net}


def room_for_discounts(book):
    """A bill of what is still due, at the end, which has room for whatever is below zero."""
    book.take(charge("C-END", line("100000"), on=AT_THE_END), demand("D-END", on=AT_THE_END))


@steady(200)
@given(facts, st.integers(1, 5), st.sampled_from([1, 2, 64]), st.booleans(), st.sampled_from([1, 3, 1000]))
def test_billing_again_is_a_difference_and_nothing_else(facts, batch, first_limit, prefetch, bill_lines):
    """Bills at any dates, changes in the past, and what people give in between, in any order and twice."""
    facts = named(facts)
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    with (
        patch("domain.billing.gathering.LINES_MAX", bill_lines),
        patch("domain.billing.composing.LINES_MAX", bill_lines),
        patch("domain.billing.gathering.INVOICES_MAX", bill_lines),
    ):
        book.take(billing(days=0), *facts, batch=batch)
        book.take(*(fact for fact in facts[::2] if not isinstance(fact, SubscriptionToChange)), batch=batch)
    room_for_discounts(book)
    assert_books_hold(book)
    once = LedgerBook()
    applied = [fact for fact in facts if isinstance(fact, SubscriptionToCreate | SubscriptionToChange)]
    once.take(billing(days=0), *applied, batch=1)
    room_for_discounts(once)
    assert_books_hold(once)
    assert {id_: one.segments for id_, one in book.documents[Subscription].items()} == {
        id_: one.segments for id_, one in once.documents[Subscription].items()
    }
    periods = book.documents[BilledPeriod].values()
    # What could not be taken back any more, since people had given it already.
    cut = sum(taken.amount - taken.net for one in periods for billed in one.lines for taken in billed.taken)
    by_people = [note for note in book.documents[CreditNote].values() if note.cause.startswith("credit-note.issue:")]
    billed = net_of(book.documents[Invoice].values()) - net_of(book.documents[CreditNote].values())
    assert billed == net_of(once.documents[Invoice].values()) - net_of(by_people) + cut
    assert left_of(book) == left_of(once)
    assert all(one.recheck_from is None for one in book.documents[Subscription].values())
