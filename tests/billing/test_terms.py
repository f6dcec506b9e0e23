"""What is agreed of a subscription on which date: as it was agreed first, and as it was changed since."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.billing.terms import Patch, Terms, end_of, next_turn, segments_of, state_on, terms_on
from domain.periods import DateRange
from tests.support.ledger_book import monthly, patch

START = date(2026, 11, 22)
DEAR, CHEAP = (monthly(price="30"),), (monthly(price="20"),)
FOR_EVER = "9999-12-31"


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


def terms(*prices, trial: str | None = None, end: str | None = None, anchor: str | None = None) -> Terms:
    """Terms of a dear price, unless others are given."""
    first, last, counted = (None if text is None else day(text) for text in (trial, end, anchor))
    return Terms(prices or DEAR, None, first, last, counted)


def told(segments) -> list[tuple[str, str, str]]:
    """From when on, until when, and what it is then."""
    return [(str(one.days.start), str(one.days.end), one.state) for one in segments]


def suspended(on: str) -> Patch:
    """That it is suspended from a date on."""
    return patch(on, suspended=True)


def resumed(on: str) -> Patch:
    """That it is not, from a date on."""
    return patch(on, suspended=False)


def terminated(on: str) -> Patch:
    """That it ends."""
    return patch(on, termination_date=on)


@pytest.mark.parametrize(
    ("agreed", "patches", "segments"),
    [
        (terms(), [], [("2026-11-22", FOR_EVER, "active")]),
        (terms(end="2026-12-01"), [], [("2026-11-22", "2026-12-01", "active")]),
        (terms(end="2026-11-22"), [], []),
        (
            terms(trial="2026-12-06"),
            [],
            [("2026-11-22", "2026-12-06", "trial"), ("2026-12-06", FOR_EVER, "active")],
        ),
        (terms(trial="2026-12-06", end="2026-12-01"), [], [("2026-11-22", "2026-12-01", "trial")]),
        (terms(trial="2026-11-22"), [], [("2026-11-22", FOR_EVER, "active")]),
        (
            terms(),
            [suspended("2026-12-01"), resumed("2026-12-10")],
            [
                ("2026-11-22", "2026-12-01", "active"),
                ("2026-12-01", "2026-12-10", "suspended"),
                ("2026-12-10", FOR_EVER, "active"),
            ],
        ),
        # What was said later for an earlier date: the days go by the dates, not by when it was said.
        (
            terms(),
            [resumed("2026-12-10"), suspended("2026-12-01")],
            [
                ("2026-11-22", "2026-12-01", "active"),
                ("2026-12-01", "2026-12-10", "suspended"),
                ("2026-12-10", FOR_EVER, "active"),
            ],
        ),
        # A suspension within a trial is one; the trial's end stays.
        (
            terms(trial="2026-12-06"),
            [suspended("2026-12-01"), resumed("2026-12-03")],
            [
                ("2026-11-22", "2026-12-01", "trial"),
                ("2026-12-01", "2026-12-03", "suspended"),
                ("2026-12-03", "2026-12-06", "trial"),
                ("2026-12-06", FOR_EVER, "active"),
            ],
        ),
        # Of two for one date the later said holds.
        (terms(), [suspended("2026-11-22"), resumed("2026-11-22")], [("2026-11-22", FOR_EVER, "active")]),
        (
            terms(),
            [terminated("2026-12-01"), patch("2026-12-01", termination_date=None)],
            [("2026-11-22", "2026-12-01", "active"), ("2026-12-01", FOR_EVER, "active")],
        ),
        # What has ended does not begin again, whatever was agreed for a later date before.
        (
            terms(),
            [patch("2027-01-01", termination_date="2027-06-01"), terminated("2026-12-01")],
            [("2026-11-22", "2026-12-01", "active")],
        ),
        (terms(), [patch("2027-01-01", termination_date=None), terminated("2026-11-22")], []),
        (
            terms(end="2026-12-01"),
            [patch("2026-11-25", termination_date="2026-12-15")],
            [("2026-11-22", "2026-11-25", "active"), ("2026-11-25", "2026-12-15", "active")],
        ),
    ],
)
def test_what_a_subscription_is_on_its_days(agreed, patches, segments):
    """Trials, suspensions, ends, and changes of these: half-open ranges, one after the other."""
    assert told(segments_of(START, agreed, patches)) == segments


def test_a_change_is_of_the_terms_that_it_names():
    """20.00 instead of 30.00 from December on; the name, said later for an earlier date, stays."""
    patches = [patch("2026-12-01", prices=CHEAP), patch("2026-11-25", name="fibre")]
    first, named, cheap = segments_of(START, terms(), patches)
    assert (first.terms.prices, first.terms.name) == (DEAR, None)
    assert (named.terms.prices, named.terms.name) == (DEAR, "fibre")
    assert (cheap.terms.prices, cheap.terms.name) == (CHEAP, "fibre")
    assert cheap.days.start == day("2026-12-01")
    found = [
        terms_on(START, terms(), patches, day(on)) for on in ("2026-01-01", "2026-11-24", "2026-11-30", "2027-01-01")
    ]
    assert found == [first.terms, first.terms, named.terms, cheap.terms]
    assert terms_on(START, terms(), [terminated("2026-12-01")], day("2027-01-01")).termination_date == day("2026-12-01")


@pytest.mark.parametrize(
    ("agreed", "patches", "anchors"),
    [
        (terms(), [], {"2026-11-22"}),
        (terms(trial="2026-12-06"), [], {"2026-12-06"}),
        (terms(trial="2026-12-06", anchor="2026-01-31"), [], {"2026-01-31"}),
        # To be suspended does not move it.
        (terms(), [suspended("2026-11-22"), resumed("2026-12-05")], {"2026-11-22"}),
        # Nor does a trial that is agreed once it has begun to be charged.
        (terms(), [patch("2026-12-01", trial_end_date="2027-01-01")], {"2026-11-22"}),
        # One that is longer than was agreed first does.
        (terms(trial="2026-12-06"), [patch("2026-12-01", trial_end_date="2026-12-20")], {"2026-12-20"}),
        (terms(), [patch("2026-12-01", billing_anchor="2026-12-05")], {"2026-11-22", "2026-12-05"}),
    ],
)
def test_from_which_day_periods_are_counted(agreed, patches, anchors):
    """The one that is agreed, else the start, or the end of the trial with which it starts."""
    assert {str(one.anchor) for one in segments_of(START, agreed, patches)} == anchors


def test_what_is_charged_in_which_state():
    """A trial frees recurring prices and minimums only, a suspension all."""
    prices = tuple(replace(monthly(type_), price_type=type_) for type_ in ("recurring", "minimum", "usage", "oneTime"))
    trial, active, stopped = segments_of(START, terms(*prices, trial="2026-12-06"), [suspended("2027-01-01")])
    for segment, charged in ((trial, {"usage", "oneTime"}), (active, {one.id for one in prices}), (stopped, set())):
        assert {one.id for one in prices if segment.charged(one.id) is not None} == charged, segment.state
        assert segment.charged("another") is None
    assert active.periods(prices[0]).nth(0) == DateRange(day("2026-12-06"), day("2027-01-06"))


def test_when_the_state_changes_next():
    """At the start, at a suspension, a resumption, the end: not where only a price or the trial changes."""
    patches = [
        patch("2026-11-30", prices=CHEAP),
        suspended("2026-12-01"),
        patch("2026-12-03", prices=DEAR),
        resumed("2026-12-10"),
        terminated("2027-01-01"),
    ]
    segments = segments_of(START, terms(trial="2026-11-25"), patches)
    turns = []
    on: date | None = day("2026-10-01")
    while on is not None:
        turns.append((str(on), state_on(segments, START, on)))
        on = next_turn(segments, START, on)
    assert turns == [
        ("2026-10-01", "pendingActive"),
        ("2026-11-22", "active"),
        ("2026-12-01", "suspended"),
        ("2026-12-10", "active"),
        ("2027-01-01", "terminated"),
    ]
    assert end_of(segments, START) == day("2027-01-01")
    # What has no end, and what was never served.
    assert next_turn(segments_of(START, terms(), []), START, START) is None
    never = segments_of(START, terms(), [terminated("2026-11-22")])
    assert (end_of(never, START), next_turn(never, START, day("2026-11-01"))) == (START, START)
    assert state_on(never, START, START) == "terminated"


def test_the_calendar_has_an_end():
    """The last day that there is is in no segment, and nothing happens on it."""
    segments = segments_of(day("9999-12-29"), terms(), [suspended("9999-12-30"), resumed("9999-12-31")])
    assert told(segments) == [("9999-12-29", "9999-12-30", "active"), ("9999-12-30", "9999-12-31", "suspended")]
    assert next_turn(segments, day("9999-12-29"), day("9999-12-30")) is None


def test_terms_know_what_they_take():
    """By no less than they do: texts are counted by their characters, of four bytes each at most."""
    assert Terms(()).bytes_max == 1_000
    assert Terms((monthly(), monthly())).bytes_max == 3_000 + 4 * 10
    assert Terms((), name="é" * 1_000).bytes_max == 5_000


# -- against a slow model

WINDOW = 30
days = st.integers(0, WINDOW).map(lambda n: START + timedelta(days=n))


@st.composite
def any_patch(draw) -> Patch:
    """Any change of any terms, also such as nobody would agree."""
    on = draw(days)
    fields = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "prices": st.sampled_from([DEAR, CHEAP]),
                "name": st.none() | st.sampled_from("ab"),
                "trial_end_date": st.none() | days,
                "termination_date": st.none() | days,
                "suspended": st.booleans(),
            },
        )
    )
    return Patch(on, tuple(fields), replace(Terms(()), **fields))


def expected(agreed: Terms, patches: list[Patch], on: date) -> Terms:
    """The terms of a date: all that holds by then, in order."""
    for that in sorted({one.effective_date for one in patches if one.effective_date <= on}):
        for one in patches:
            if one.effective_date == that:
                agreed = replace(agreed, **{name: getattr(one.terms, name) for name in one.changed})
    return agreed


@given(
    st.builds(terms, trial=st.none() | days.map(str), end=st.none() | days.map(str)), st.lists(any_patch(), max_size=8)
)
def test_each_day_is_what_was_agreed_for_it(agreed, patches):
    """Day by day against all patches looked through anew: terms, state, the end, and the next day of another state."""
    segments = segments_of(START, agreed, patches)
    ended = False
    states = ["pendingActive"]
    for n in range(WINDOW + 2):
        on = START + timedelta(days=n)
        now = expected(agreed, patches, on)
        assert terms_on(START, agreed, patches, on) == now
        ended = ended or (now.termination_date is not None and on >= now.termination_date)
        segment = next((one for one in segments if on in one.days), None)
        assert (segment is None) == ended, on
        if segment is not None:
            assert segment.terms == now
            trial = now.trial_end_date is not None and on < now.trial_end_date
            assert segment.state == ("suspended" if now.suspended else "trial" if trial else "active"), on
            assert on < end_of(segments, START)
        states.append("terminated" if ended else "suspended" if now.suspended else "active")
        assert state_on(segments, START, on) == states[-1]
    for n, state in enumerate(states):
        later = next((n + k for k, other in enumerate(states[n:]) if other != state), None)
        turn = next_turn(segments, START, START + timedelta(days=n - 1))
        assert turn == (None if later is None else START + timedelta(days=later - 1)), n
