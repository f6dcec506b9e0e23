"""Series of numbers: each is ours or one partner's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.errors import Refused
from domain.facts import working_set
from domain.ledger.books import Books, WorkingSet
from domain.ledger.numbering import Series, claim_series, next_number

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def books(*there: Series, lacking: tuple[str, ...] = ("SB-SA-1-", "INV-", "CN-")) -> Books:
    """The books of a fact, with these series there, and none of those that are lacking."""
    known: WorkingSet = working_set(booked_at=NOW, zone=UTC, series="INV-", credit_notes="CN-")
    for series in there:
        known.load(Series, series.id, series)
    for prefix in lacking:
        known.load(Series, prefix, None)
    return Books(known, "agreement.create:AG-1")


def test_a_series_is_its_owners_from_its_claim_on_and_counts_from_one() -> None:
    made = books()
    claim_series("SB-SA-1-", "SA-1", "selfBilling", made, "terms.series")
    assert made.find(Series, "SB-SA-1-") == Series("SB-SA-1-", 0, "SA-1", "selfBilling")
    assert [next_number("SB-SA-1-", made) for _ in range(2)] == ["SB-SA-1-000000001", "SB-SA-1-000000002"]
    assert made.find(Series, "SB-SA-1-") == Series("SB-SA-1-", 2, "SA-1", "selfBilling")


def test_a_series_may_be_claimed_by_its_owner_again_and_goes_on() -> None:
    made = books(Series("SB-SA-1-", 7, "SA-1"))
    claim_series("SB-SA-1-", "SA-1", "selfBilling", made, "terms.series")
    assert next_number("SB-SA-1-", made) == "SB-SA-1-000000008"


@pytest.mark.parametrize("series", ["INV-", "CN-"])
def test_a_series_of_ours_is_nobody_elses_even_before_its_first_number(series) -> None:
    made = books()
    with pytest.raises(Refused) as refused:
        claim_series(series, "SA-1", "selfBilling", made, "terms.selfBilling.series")
    assert (refused.value.code, refused.value.detail) == (
        "invalid",
        f"terms.selfBilling.series: {series} is a series of ours",
    )


def test_a_series_that_was_ours_by_earlier_settings_stays_ours() -> None:
    made = books(Series("OLD-", 12))
    with pytest.raises(Refused, match="OLD- is a series of ours"):
        claim_series("OLD-", "SA-1", "selfBilling", made, "terms.series")


def test_a_series_of_another_partner_is_refused() -> None:
    made = books(Series("SB-", 0, "SA-2"))
    with pytest.raises(Refused) as refused:
        claim_series("SB-", "SA-1", "selfBilling", made, "terms.series")
    assert (refused.value.code, refused.value.detail) == (
        "invalid",
        "terms.series: SB- is the series of another partner",
    )
