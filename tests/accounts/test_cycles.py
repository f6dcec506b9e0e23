"""Cycles that run by themselves: what they have to say, and how it is read; `domain/accounts/cycles.py`."""

import json
from datetime import UTC, datetime

import pytest

from domain.accounts.cycles import ID_MAX, Cycle, read_cycle
from schemas.incoming import read

SINCE = {"startDateTime": "2026-01-01T00:00:00+01:00"}
AUTOMATIC = {"automatic": True, "billingPeriod": "month", "validFor": SINCE}
START = datetime.fromisoformat("2026-01-01T00:00:00+01:00")


@pytest.mark.parametrize(
    ("said", "period"),
    [
        ({"billingPeriod": "day"}, ("day", 1)),
        ({"billingPeriod": "week", "frequency": "2"}, ("week", 2)),
        ({"billingPeriod": "month", "frequency": "monthly"}, ("month", 1)),
        ({"billingPeriod": "Month ", "frequency": " MONTHLY"}, ("month", 1)),
        ({"billingPeriod": "quarter of year"}, ("month", 3)),
        ({"billingPeriod": "quarter", "frequency": "quarterly"}, ("month", 3)),
        ({"billingPeriod": "quarter", "frequency": "2"}, ("month", 6)),
        ({"frequency": "yearly"}, ("year", 1)),
        ({"frequency": "annually", "billingPeriod": "year"}, ("year", 1)),
        ({"frequency": "daily"}, ("day", 1)),
    ],
)
def test_its_period_is_what_billing_period_and_frequency_say(said, period):
    """One of both is enough; a number says how many of the billing period."""
    cycle = read_cycle("MONTHLY", {"automatic": True, "validFor": SINCE, **said})
    assert (cycle.unit, cycle.length) == period


def test_offsets_are_days_from_the_start_of_a_period():
    """Left out, a run is opened at the start, has charges up to it, and bills are due by the account's term."""
    assert read_cycle("MONTHLY", AUTOMATIC) == Cycle("month", 1, START, None, 0, 0, None)
    said = {"billingDateShift": 2, "chargeDateOffset": -1, "paymentDueDateOffset": 14}
    until = {**SINCE, "endDateTime": "2027-01-01T00:00:00Z"}
    cycle = read_cycle("MONTHLY", {**AUTOMATIC, **said, "validFor": until})
    assert cycle == Cycle("month", 1, START, datetime(2027, 1, 1, tzinfo=UTC), 2, -1, 14)


WRONG = [
    ({"automatic": "yes"}, "automatic: must be true or false (got yes)"),
    ({"validFor": None}, "validFor.startDateTime: is needed of an automatic cycle: its first period begins then"),
    ({"billingPeriod": None}, "billingPeriod: is needed of an automatic cycle, as month"),
    ({"billingPeriod": None, "frequency": "3"}, "billingPeriod: is needed of an automatic cycle whose frequency is a"),
    ({"billingPeriod": "moon"}, "billingPeriod: of an automatic cycle is one of day, week, month, quarter, quarter of"),
    ({"frequency": "now and then"}, "frequency: of an automatic cycle is one of daily, weekly, monthly, quarterly,"),
    ({"frequency": "121"}, "or a number of billing periods from 1 to 120 (got 121)"),
    ({"frequency": "0"}, "from 1 to 120 (got 0)"),
    ({"frequency": "weekly"}, "frequency: weekly is another period than billingPeriod's month: leave one out"),
    (
        {"billingDateShift": 367},
        "billingDateShift: of an automatic cycle is a number of days from -366 to 366 (got",
    ),
    ({"chargeDateOffset": -400}, "chargeDateOffset: of an automatic cycle is a number of days from -366 to 366"),
    ({"paymentDueDateOffset": 4000}, "paymentDueDateOffset: of an automatic cycle"),
    ({"id": "M" * (ID_MAX + 1)}, "id: of an automatic cycle has at most 117 characters"),
]


@pytest.mark.parametrize(("said", "detail"), WRONG)
def test_what_an_automatic_cycle_does_not_say_is_refused(said, detail):
    """When it is created, and when it is changed to it; the field is named."""
    document = {"id": "MONTHLY", "name": "Monthly", **AUTOMATIC, **said}
    [created] = read("billing-cycle-specification.create", json.dumps(document).encode(), "m-1", {}, None)
    assert created.refusal is not None
    assert created.refusal.code == "invalid"
    assert detail in created.refusal.detail


@pytest.mark.parametrize(("said", "_detail"), WRONG[1:])
def test_of_what_does_not_run_by_itself_all_of_it_is_only_kept(said, _detail):
    """As it was before there were any."""
    document = {"id": "MONTHLY", "name": "Monthly", **AUTOMATIC, **said, "automatic": False}
    [created] = read("billing-cycle-specification.create", json.dumps(document).encode(), "m-1", {}, None)
    assert created.refusal is None
