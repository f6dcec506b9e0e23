"""Settlement accounts that are closed by themselves: which day closes which period, and each of them once."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import facts
from domain.accounts.closings import ClosingCycle, ClosingPeriod, ClosingSchedule
from domain.accounts.model import SETTLEMENT, Account, NewAccount
from domain.days.model import BegunDay
from domain.errors import Refused
from domain.frozen import replace
from domain.settlement import cycles
from domain.settlement.closing import Closing
from domain.settlement.statements import Settlement
from schemas.accounts.documents import read_account
from schemas.values import parse_currency
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import Fact, LedgerBook, billing, command, line, order, partner, update


def cycle(period: ClosingPeriod = "month", anchor: str = "2026-01-31") -> ClosingCycle:
    """A cycle."""
    return ClosingCycle(period, date.fromisoformat(anchor))


def begun(day: str, *facts: Fact) -> LedgerBook:
    """A book in which these have happened at noon of a day, which has begun."""
    book = LedgerBook()
    book.begin_days(day)
    book.take(*facts)
    return book


def closings(book: LedgerBook) -> list[str]:
    """The closings that made statements, in the order of these."""
    return [statement.closing_id for statement in book.documents[Settlement].values()]


def test_months_are_counted_from_the_anchors_own_day():
    """Of 31 January the periods begin on 28 February, 31 March, 30 April: each closes the one before."""
    book = begun("2026-02-10", partner(closingCycle=cycle()))
    book.begin_days("2026-02-27")
    assert closings(book) == []
    book.begin_days("2026-02-28")
    assert closings(book) == ["SA-1:2026-02-27"]
    book.begin_days("2026-04-30")
    assert closings(book) == ["SA-1:2026-02-27", "SA-1:2026-03-30", "SA-1:2026-04-29"]
    assert book.get(ClosingSchedule, "SA-1") == ClosingSchedule("SA-1", date(2026, 5, 30), date(2026, 4, 29))


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (cycle("quarter", "2026-01-01"), ["2026-03-31", "2026-06-30"]),
        (cycle("quarter", "2027-11-30"), ["2026-02-27", "2026-05-29"]),
        (cycle("week", "2026-06-03"), ["2026-02-10", "2026-02-17"]),
    ],
)
def test_the_first_period_ends_on_the_day_of_the_cycle_or_later(said, ends):
    """Set on 10 February 2026, a Tuesday; the anchor may be before it or after it."""
    book = begun("2026-02-10", partner(closingCycle=said))
    book.begin_days("2026-07-10")
    assert closings(book)[:2] == [f"SA-1:{end}" for end in ends]


def test_a_closing_states_what_was_earned_up_to_its_periods_end():
    """And one in whose period nothing was earned states nothing, as by message."""
    book = begun("2026-11-22", billing(), partner(share="1", closingCycle=cycle("month", "2026-01-01")))
    book.take(order("O-1", line("1000.00"), line("6.38", "0", "SA-1"), at="2026-11-22T10:15:00"))
    book.begin_days("2027-01-01")
    totals = [(s.id, s.total, s.state) for s in book.documents[Settlement].values()]
    assert totals == [("SA-1:2026-11-30", 638, "open"), ("SA-1:2026-12-31", 0, "carriedForward")]
    assert_books_hold(book)


def test_a_change_of_cycle_begins_with_the_first_period_from_its_day():
    """A period that was closed is not closed again; null ends the cycle, and it begins anew when it is set anew."""
    book = begun("2026-02-10", partner(closingCycle=cycle("month", "2026-01-15")))
    book.begin_days("2026-02-16")
    book.take(update("SA-1", type_=SETTLEMENT, closingCycle=cycle("week", "2026-02-18")))
    book.begin_days("2026-02-25")
    book.take(update("SA-1", type_=SETTLEMENT, closingCycle=None))
    book.begin_days("2026-06-01")
    ended = ["SA-1:2026-02-14", "SA-1:2026-02-17", "SA-1:2026-02-24"]
    assert closings(book) == ended
    assert not book.get(ClosingSchedule, "SA-1").is_open
    book.take(update("SA-1", type_=SETTLEMENT, closingCycle=cycle("month", "2026-01-01")))
    book.begin_days("2026-07-01")
    assert closings(book) == [*ended, "SA-1:2026-06-30"]


def test_an_outage_of_three_months_leaves_no_period_out():
    """Its days come in their order, long after; each closes its own."""
    book = begun("2026-02-10", partner(closingCycle=cycle("month", "2026-01-01")))
    late = datetime(2026, 5, 20, 12, tzinfo=UTC)
    for day in (date(2026, 2, 11) + timedelta(days=n) for n in range(99)):
        book.booked_at = late
        book.take(BegunDay(day))
    assert closings(book) == ["SA-1:2026-02-28", "SA-1:2026-03-31", "SA-1:2026-04-30"]


def cycles_day(day: date) -> object:
    """A day that begins."""
    return BegunDay(day)


def test_many_are_left_in_parts(monkeypatch):
    """Each closing once, and the parts are facts of their own."""
    monkeypatch.setattr(cycles, "LEFT_MAX", 2)
    book = begun("2026-02-10", *[partner(f"SA-{n}", closingCycle=cycle("month", "2026-01-01")) for n in range(5)])
    book.begin_days("2026-03-01")
    assert sorted(closings(book)) == [f"SA-{n}:2026-02-28" for n in range(5)]
    parts = [book.results[f"settlement.due:2026-03-01{part}"]["closingIds"] for part in ("", "/1", "/2")]
    assert list(map(len, parts)) == [2, 2, 1]


def test_a_closing_waits_for_the_one_before():
    """What comes first would state all; where the one before is never made, it waits for so long and no longer."""
    book = begun("2026-11-29", billing(), partner(), order("O-1", line("100", "0.2", "SA-1")))
    november, december = date(2026, 11, 30), date(2026, 12, 31)
    second = Closing("SA-1:2026-12-31", "SA-1", december, after="SA-1:2026-11-30")
    book.take(second)
    [(_, refusal)] = book.waiting.values()
    assert (refusal.code, refusal.waits_for) == ("unknown-settlement", "settlement:SA-1:2026-11-30")
    # Else it would be parked when it has waited for too long, and not be made without the other.
    assert refusal.again
    book.take(Closing("SA-1:2026-11-30", "SA-1", november))
    assert [book.settlement(f"SA-1:{end}").total for end in (november, december)] == [8000, 0]
    assert facts.late(second) == replace(second, after=None)
    assert_books_hold(book)


def test_an_account_that_is_closed_has_no_cycle_until_it_is_reopened():
    """Then it begins with the period that it is reopened in."""
    book = begun("2026-02-10", partner(closingCycle=cycle("month", "2026-01-01")))
    book.take(command("close", "SA-1"))
    assert not book.get(ClosingSchedule, "SA-1").is_open
    book.begin_days("2026-04-10")
    book.take(command("reopen", "SA-1"))
    book.begin_days("2026-05-01")
    assert closings(book) == ["SA-1:2026-04-30"]


def said_of(type_: str = SETTLEMENT, id_: str = "SA-1", changed: set[str] | None = None, **said: object) -> NewAccount:
    """An account's document as messages have it, read."""
    terms = {"settlementTerms": {"partnerShare": 1}} if type_ == SETTLEMENT else {}
    document = {
        "name": "X",
        "relatedParty": [{"role": "r", "partyOrPartyRole": {"@type": "PartyRef", "id": "P-1"}}],
        **terms,
        **said,
    }
    return read_account(id_, type_, parse_currency("EUR"), document, changed)


SAID = {"period": "month", "anchorDate": "2026-01-31"}
WRONG = [{**SAID, "period": "day"}, {"period": "week"}, {**SAID, "anchorDate": "2026-02-30"}, "month", [], True, 7]


def test_a_cycle_is_read():
    """And shown as it was said."""
    account = said_of(closingCycle=SAID)
    assert account.closing_cycle == ClosingCycle("month", date(2026, 1, 31))
    assert account.document["closingCycle"] == SAID
    assert said_of(closingCycle=None).closing_cycle is None


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_cycle_is_refused(said):
    """The field named, at its creation and in a patch; what an earlier version took is kept, and is no cycle."""
    for changed in (None, {"closingCycle"}):
        with pytest.raises(Refused, match="closingCycle"):
            said_of(changed=changed, closingCycle=said)
    assert said_of(changed={"name"}, closingCycle=said).closing_cycle is None


def test_a_settlement_account_alone_has_a_cycle():
    """Whose id leaves room for the date in its closings' ids."""
    with pytest.raises(Refused, match="closingCycle: a SettlementAccount alone"):
        said_of("BillingAccount", closingCycle=SAID)
    with pytest.raises(Refused, match="id: of an account with a closingCycle"):
        said_of(id_="S" * 118, closingCycle=SAID)
    assert said_of(id_="S" * 117, closingCycle=SAID).closing_cycle is not None


def test_what_an_earlier_version_took_begins_no_cycle():
    """Nor does a change of something else; a message that says a cycle does."""
    book = begun("2026-02-10", partner())
    account = book.get(Account, "SA-1")
    book.documents[Account]["SA-1"] = replace(account, document={**account.document, "closingCycle": cycle("week")})
    book.take(update("SA-1", type_=SETTLEMENT, name="Y"))
    assert book.get(Account, "SA-1").closing_cycle is None
    assert not book.documents[ClosingSchedule]
    book.take(update("SA-1", type_=SETTLEMENT, closingCycle=cycle()))
    assert book.get(ClosingSchedule, "SA-1").period_end == date(2026, 2, 27)


PERIODS = {"week": 7, "month": 1, "quarter": 3}


@given(
    st.sampled_from(sorted(PERIODS)),
    st.dates(date(2000, 1, 1), date(2040, 1, 1)),
    st.dates(date(2000, 1, 1), date(2040, 1, 1)),
)
def test_a_periods_end_is_the_day_before_the_next_begins(period, anchor, day):
    """Looked for day by day: the first one from `day` whose next day is an anchor day."""

    def begins(on):
        if period == "week":
            return (on - anchor).days % 7 == 0
        months = (on.year - anchor.year) * 12 + on.month - anchor.month
        last = (on + timedelta(days=1)).month != on.month
        fits = on.day == anchor.day or (last and on.day < anchor.day)
        return months % PERIODS[period] == 0 and fits

    end = day
    while not begins(end + timedelta(days=1)):
        end += timedelta(days=1)
    assert ClosingCycle(period, anchor).end_from(day) == end
