"""Whatever is agreed, changed and billed when: what was billed in the end is what one bill would have had."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.billed import BilledPeriod
from domain.billing.model import BillDemand
from domain.billing.subscriptions import Subscription, SubscriptionToChange, SubscriptionToCreate
from domain.billing.terms import Step, Terms, Tiers
from domain.billing.usage import UsageRecord, UsageToRecord
from domain.corrections.model import CreditNote, NoteToIssue
from domain.invoicing.model import Invoice
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    KWD,
    LedgerBook,
    agent_of,
    billing,
    change,
    charge,
    credit_note,
    demand,
    line,
    metered,
    minimum,
    monthly,
    partner,
    subscription,
    usage,
)
from tests.support.steady import steady

FIRST = date(2025, 1, 1)
LAST = 150
"""Days within which all of it is."""
AT_THE_END = "2025-07-15"


def flat(lists):
    """What is in lists, as one."""
    return [one for found in lists for one in found]


PARTNERS = [partner("SA-1"), agent_of("SA-2", "0.15"), agent_of("SA-3", "0.333", "payment", series="P.")]
"""We sell in our own name for the first, in theirs for the others."""
SERIES = ["INV-", "INV-", "SA-2-", "P."]
sellers = st.sampled_from([None, None, "SA-1", "SA-2", "SA-3"])
days = st.integers(0, LAST).map(lambda n: str(FIRST + timedelta(days=n)))
later_days = st.integers(60, LAST).map(lambda n: str(FIRST + timedelta(days=n)))
amounts = st.sampled_from(["30", "19.95", "0.07", "10", "0", "-3"])
recurring = st.builds(
    monthly,
    st.sampled_from(["A", "B"]),
    amounts,
    quantity=st.sampled_from([Decimal(1), Decimal(2), Decimal("0.5")]),
    billed=st.sampled_from(["inAdvance", "inArrears"]),
    period_type=st.sampled_from(["month", "month", "week"]),
    period_length=st.sampled_from([1, 1, 2]),
    proration=st.sampled_from(["actual", "actual", "none"]),
    rate=st.sampled_from([Decimal("0.2"), Decimal("0.2"), Decimal("0.07")]),
    on_behalf_of=sellers,
)
one_time = st.builds(
    monthly, st.just("O"), st.sampled_from(["50", "0.01"]), price_type=st.just("oneTime"), on_behalf_of=sellers
)
tiers = st.builds(
    lambda mode, first, below, beyond, fees: Tiers(
        mode,
        (
            Step(Decimal(first), Decimal(below), Decimal(fees[0])),
            Step(Decimal(first) + 5, Decimal(beyond), Decimal(fees[1])),
            Step(None, Decimal("0.5")),
        ),
    ),
    st.sampled_from(["graduated", "volume"]),
    st.sampled_from(["3", "10"]),
    st.sampled_from(["2", "0.333", "0"]),
    st.sampled_from(["1", "0.07", "4"]),
    st.sampled_from([("0", "0"), ("5", "0"), ("0", "7"), ("1", "2")]),
)
of_usage = {
    "period_type": st.sampled_from(["month", "month", "week"]),
    "period_length": st.sampled_from([1, 1, 2]),
    "rate": st.sampled_from([Decimal("0.2"), Decimal("0.2"), Decimal("0.07")]),
    "on_behalf_of": sellers,
}


def metered_prices(id_):
    """A price of usage, by the unit or by tiers."""
    by_unit = st.builds(metered, st.just(id_), st.sampled_from(["2", "0.333", "-1", "0"]), **of_usage)
    by_tiers = st.builds(metered, st.just(id_), st.none(), tiers=tiers, **of_usage)
    return by_unit | by_tiers | by_tiers


minimums = st.builds(
    minimum,
    st.just("M"),
    st.sampled_from(["15", "40", "0.5"]),
    period_type=st.sampled_from(["month", "month", "week"]),
    period_length=st.sampled_from([1, 1, 2]),
    proration=st.sampled_from(["actual", "actual", "none"]),
)
others = st.lists(
    recurring | recurring | one_time | metered_prices("V") | minimums | minimums,
    min_size=1,
    max_size=3,
    unique_by=lambda price: price.id,
)
prices = st.builds(lambda one, others: (one, *others), metered_prices("U"), others) | others.map(tuple)
rarely = st.sampled_from([False, False, False, False, True])


def starts(number):
    """A subscription of that number; few have a trial, an anchor of their own, or an end."""
    return st.builds(
        lambda prices, start, few, trial, anchor, end: [
            subscription(
                f"S-{number}",
                *prices,
                start=str(start),
                trial_end_date=str(start + timedelta(days=trial)) if few[0] else None,
                billing_anchor=anchor if few[1] else None,
                termination_date=str(start + timedelta(days=end)) if few[2] else None,
            )
        ],
        prices,
        st.integers(0, 31).map(lambda n: FIRST + timedelta(days=n)),
        st.tuples(rarely, rarely, rarely),
        st.integers(0, 40),
        days,
        st.integers(60, LAST),
    )


def changes(of):
    """Changes of a subscription."""
    terms = (
        st.builds(lambda prices: {"prices": prices}, prices)
        | st.builds(lambda end: {"termination_date": end}, st.none() | days)
        | st.builds(lambda anchor: {"billing_anchor": anchor}, st.none() | days)
        | st.builds(lambda end: {"trial_end_date": end}, st.none() | days)
    )
    return st.builds(lambda on, terms: [change(on, of=of, **terms)], days | later_days, terms)


def interrupted(of):
    """A subscription is suspended, and now and then resumed; or it ends."""
    kinds = st.sampled_from([["suspend", "resume"], ["suspend", "resume"], ["suspend"], ["terminate"], ["terminate"]])
    return st.builds(
        lambda days, kinds: [change(on, kind, of=of) for on, kind in zip(sorted(days), kinds, strict=False)],
        st.tuples(days, later_days),
        kinds,
    )


def used(of):
    """Something is used on a day, and now and then that is corrected; or only the correction comes."""
    return st.builds(
        lambda quantities, day, price: [
            usage("?", quantity, f"{FIRST + timedelta(days=day)}T12:00:00", of=of, price=price)
            for quantity in quantities
        ],
        st.sampled_from([["1"], ["2.5"], ["12"], ["0.3", "40"], ["7", "-2.5"], ["12", "-12"], ["3", "-0.3"], ["-1"]]),
        st.sampled_from([45, 50, 75, 110]),
        st.sampled_from(["U", "U", "U", "V"]),
    )


bills = (days | later_days).map(lambda on: [demand("?", on=on)])
given_back = st.builds(
    lambda series, number, part: [credit_note("?", f"{series}{number:09d}", {"1": part})],
    st.sampled_from(SERIES),
    st.integers(1, 3),
    st.integers(1, 1500),
)
HAPPENING = {of: changes(of) | interrupted(of) | used(of) | used(of) | bills | given_back for of in ("S-1", "S-2")}
"""What happens to a subscription, or between: made once, since to make strategies anew takes longer than to draw."""


def steps(*numbers):
    """What happens to the subscriptions of these numbers, or between."""
    return st.sampled_from([f"S-{number}" for number in numbers]).flatmap(HAPPENING.__getitem__)


def rounds(*numbers):
    """Now and again a bill, and what happens before it."""
    before = st.lists(steps(*numbers), min_size=2, max_size=5).map(flat)
    return st.lists(st.tuples(before, bills).map(flat), min_size=2, max_size=3).map(flat)


facts = st.tuples(starts(1), rounds(1), starts(2), rounds(1, 2)).map(flat)


def named(facts):
    """Each demand, note and record of usage under an id of its own."""
    own = (BillDemand, NoteToIssue, UsageToRecord)
    return [replace(fact, id=f"N-{n}") if isinstance(fact, own) else fact for n, fact in enumerate(facts)]


def net_of(documents):
    """What invoices, or notes, come to without tax, in minor units."""
    return sum(one.tax_excluded_amount for one in documents)


def left_of(book):
    """What is billed of each period, in minor units, where that is something."""
    parts = (part for one in book.documents[BilledPeriod].values() for part in one.by_price)
    left = {part.id: sum(billed.left for billed in part.billed.lines) for part in parts}
    return {id_: net for id_, net in left.items() if net}


def room_for_discounts(book):
    """Bills of what is still due, at the end, which have room for whatever is below zero, of each seller."""
    room = [charge(f"C-END-{who}", line("100000", behalf=who), on=AT_THE_END) for who in (None, "SA-2", "SA-3")]
    book.take(*room, demand("D-END", on=AT_THE_END))


@pytest.mark.long
@steady(150)
@given(facts, st.integers(1, 5), st.sampled_from([1, 2, 64]), st.booleans(), st.sampled_from([1, 3, 1000]))
def test_billing_again_is_a_difference_and_nothing_else(facts, batch, first_limit, prefetch, bill_lines):
    """Bills at any dates, changes in the past, late usage, and what people give in between, in any order, twice."""
    facts = named(facts)
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    with (
        patch("domain.billing.gathering.LINES_MAX", bill_lines),
        patch("domain.billing.composing.LINES_MAX", bill_lines),
        patch("domain.billing.gathering.INVOICES_MAX", bill_lines),
    ):
        book.take(billing(days=0), *PARTNERS, *facts, batch=batch)
        book.take(*(fact for fact in facts[::2] if not isinstance(fact, SubscriptionToChange)), batch=batch)
    room_for_discounts(book)
    assert_books_hold(book)
    once = LedgerBook()
    applied = [fact for fact in facts if isinstance(fact, SubscriptionToCreate | SubscriptionToChange | UsageToRecord)]
    once.take(billing(days=0), *PARTNERS, *applied, batch=1)
    room_for_discounts(once)
    assert_books_hold(once)
    assert {id_: one.segments for id_, one in book.documents[Subscription].items()} == {
        id_: one.segments for id_, one in once.documents[Subscription].items()
    }
    assert book.rows[UsageRecord] == once.rows[UsageRecord]
    billed = [price for one in book.documents[BilledPeriod].values() for price in one.prices]
    # What could not be taken back any more, since people had given it already.
    cut = sum(taken.amount - taken.net for one in billed for each in one.lines for taken in each.taken)
    by_people = [note for note in book.documents[CreditNote].values() if note.cause.startswith("credit-note.issue:")]
    billed = net_of(book.documents[Invoice].values()) - net_of(book.documents[CreditNote].values())
    assert billed == net_of(once.documents[Invoice].values()) - net_of(by_people) + cut
    assert left_of(book) == left_of(once)
    assert all(one.recheck_from is None for one in book.documents[Subscription].values())


names = st.sampled_from(["S-1", "S-2"])
cut_short = st.builds(lambda of, on, kind: change(on, kind, of=of), names, days, st.sampled_from(["suspend", "resume"]))


def raised(seller):
    """Two years in advance that are sold for somebody, or for nobody else, and what is agreed of them anew."""
    in_advance = st.builds(
        lambda amount: (monthly("A", amount, period_length=12, on_behalf_of=seller),),
        st.sampled_from(["365", "730", "1000", "1200", "1460", "30"]),
    )
    agreed_anew = st.builds(lambda of, on, prices: change(on, of=of, prices=prices), names, days, in_advance)
    between = st.lists(
        st.tuples(agreed_anew | agreed_anew | cut_short, st.sampled_from([1, 1, 0])).map(
            lambda one: [one[0], *[demand("?", on=AT_THE_END)] * one[1]]
        ),
        min_size=1,
        max_size=8,
    ).map(flat)
    return st.tuples(in_advance, in_advance, between)


RAISED = {seller: raised(seller) for seller in (None, "SA-1", "SA-2", "SA-3")}


@steady(100)
@given(sellers.flatmap(RAISED.__getitem__), st.tuples(days, days), st.integers(1, 5))
def test_what_is_given_back_needs_no_further_bill(said, ends, batch):
    """Two years that are billed in advance, changed again and again, and end: notes give back what was billed too much.

    Nothing more is charged in the end. There are no discounts here, which keep a bill from being given back, and one
    rate of tax: where rates differ, what two lines come to may never be the same to the cent. They are sold for one:
    a note undoes nothing of another one's.
    """
    first, second, between = said
    facts = [
        subscription("S-1", *first, start=str(FIRST)),
        subscription("S-2", *second, start=str(FIRST)),
        demand("?", on=AT_THE_END),
        *between,
        *(change(on, "terminate", of=of) for of, on in zip(("S-1", "S-2"), ends, strict=True)),
    ]
    book, once = LedgerBook(), LedgerBook()
    book.take(billing(days=0), *PARTNERS, *named(facts), demand("D-END", on=AT_THE_END), batch=batch)
    assert_books_hold(book)
    once.take(billing(days=0), *PARTNERS, *(fact for fact in facts if not isinstance(fact, BillDemand)), batch=1)
    once.take(demand("D-END", on=AT_THE_END))
    assert left_of(book) == left_of(once)
    assert net_of(book.documents[Invoice].values()) - net_of(book.documents[CreditNote].values()) == net_of(
        once.documents[Invoice].values()
    )
    assert all(one.recheck_from is None for one in book.documents[Subscription].values())


def lines_of(book):
    """What each account's invoices say, line by line."""
    return Counter(
        (
            (one.billing_account, line.origin.subscription_id, line.origin.price_id, line.origin.period, line.id),
            (line.tax_excluded_amount, line.quantity, line.unit_price, line.origin.corrects is None),
        )
        for one in book.documents[Invoice].values()
        for line in one.lines
    )


others_of_ours = st.lists(
    (recurring | one_time).map(lambda price: replace(price, on_behalf_of=None)) | minimums,
    min_size=1,
    max_size=3,
    unique_by=lambda price: price.id,
)
ALIKE = [("S-1", "BA-1", EUR), ("S-2", "BA-2", EUR), ("S-3", "BA-3", KWD), ("S-4", "BA-4", EUR)]
"""Subscriptions that are sold alike, each with its account and what that is kept in."""


@steady(60)
@given(
    others_of_ours,
    st.booleans(),
    st.tuples(*[st.sampled_from([0, 0, 0, 14, 31])] * len(ALIKE)),
    st.lists(changes("S-1") | interrupted("S-4") | used("S-2") | used("S-4"), max_size=3).map(flat),
    st.lists(st.tuples(later_days, st.sampled_from([ALIKE, ALIKE[:1], ALIKE[1:3]])), min_size=1, max_size=2),
)
def test_what_is_sold_alike_is_billed_as_if_it_were_alone(prices, is_used, starts, between, bills):
    """The same terms, and the same object of them, in a batch: since other days, billed up to others."""
    if is_used:
        prices = [*prices, metered("U", "2")]
    together, alone = LedgerBook(), LedgerBook()
    terms = Terms(tuple(prices))
    for book, batch in ((together, None), (alone, 1)):
        book.take(*(billing(account, currency=currency.code, days=0) for _, account, currency in ALIKE))
        book.take(
            *(
                SubscriptionToCreate(id_, account, FIRST + timedelta(days=start), currency, terms)
                for (id_, account, currency), start in zip(ALIKE, starts, strict=True)
            )
        )
        for n, (on, billed) in enumerate([*bills, (AT_THE_END, ALIKE)]):
            demands = [demand(f"D-{n}-{account}", account=account, on=on) for _, account, _ in billed]
            book.take(*demands, batch=batch)
            if not n:
                book.take(*named(between), batch=batch)
    assert_books_hold(together)
    assert lines_of(together) == lines_of(alone)
    assert left_of(together) == left_of(alone)
