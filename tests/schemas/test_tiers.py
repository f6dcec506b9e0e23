"""Tiers as they come in: what of them is taken, and what is refused before anything is looked at."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from domain.settlement.agreeing import AgreementToChange, AgreementToCreate, TiersToAgree
from domain.settlement.terms import LineTerms
from tests.schemas.letters import AGREEMENT, AGREEMENT_CHANGE, accepted, refused

STEPS: list[dict[str, Any]] = [{"upTo": 1000, "share": 0.7}, {"upTo": "10000.00", "share": "0.75"}, {"share": 0.8}]
TIERS: dict[str, Any] = {"mode": "graduated", "period": "month", "steps": STEPS}
SAID = TiersToAgree(
    "graduated",
    "month",
    (
        (Decimal(1000), Decimal("0.7")),
        (Decimal(10000), Decimal("0.75")),
        (None, Decimal("0.8")),
    ),
)


def refusal(**terms: Any) -> str:
    """What is said of an agreement with these terms."""
    found = refused("agreement.create", {**AGREEMENT, "terms": terms})
    assert found.code == "invalid"
    return found.detail


def test_tiers_are_read():
    """Of a new agreement, and of other terms of one; there is no share beside them."""
    new = accepted("agreement.create", {**AGREEMENT, "terms": {"tiers": TIERS}})
    assert isinstance(new.fact, AgreementToCreate)
    assert (new.fact.terms, new.fact.tiers, new.fact.currency) == (LineTerms(None, "invoice"), SAID, None)
    other = accepted("agreement.change", {**AGREEMENT_CHANGE, "terms": {"tiers": TIERS}})
    assert isinstance(other.fact, AgreementToChange)
    assert (other.fact.tiers, other.fact.valid_from) == (SAID, date(2026, 12, 1))


def test_graduated_tiers_may_go_by_payments():
    """By volume they may not: that is among what is refused."""
    new = accepted("agreement.create", {**AGREEMENT, "terms": {"tiers": TIERS, "accrueOn": "payment"}})
    assert isinstance(new.fact, AgreementToCreate)
    assert (new.fact.terms, new.fact.tiers) == (LineTerms(None, "payment"), SAID)


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "share: has to be there, or tiers instead, and not both"),
        ({"share": 0.5, "tiers": TIERS}, "share: has to be there, or tiers instead, and not both"),
        ({"tiers": {**TIERS, "mode": "volume"}, "accrueOn": "payment"}, "volume needs accrueOn invoice"),
        ({"tiers": {**TIERS, "mode": "flat"}}, "terms.tiers.mode"),
        ({"tiers": {**TIERS, "period": "week"}}, "terms.tiers.period"),
        ({"tiers": {**TIERS, "steps": []}}, "terms.tiers.steps"),
        ({"tiers": {**TIERS, "steps": [*({"upTo": n, "share": 0} for n in range(1, 21)), {"share": 0}]}}, "steps"),
        ({"tiers": {**TIERS, "steps": [{"upTo": 1, "share": 0.7}]}}, "upTo: the last step has none"),
        ({"tiers": {**TIERS, "steps": [{"share": 0.7}, {"share": 0.8}]}}, "0.upTo: is missing"),
        ({"tiers": {**TIERS, "steps": [{"upTo": 0, "share": 0.7}, {"share": 1}]}}, "0.upTo: 0 must be more than 0"),
        ({"tiers": {**TIERS, "steps": [STEPS[0], STEPS[0], STEPS[2]]}}, "1.upTo: 1000 must be more than 1000"),
        ({"tiers": {**TIERS, "steps": [{"share": 1.1}]}}, "terms.tiers.steps.0.share"),
        ({"tiers": {**TIERS, "steps": [{"share": 1, "from": 1}]}}, "terms.tiers.steps.0.from"),
    ],
)
def test_what_are_no_tiers(terms, said):
    """One share or tiers; up to twenty steps that rise, the last without an end; accrued at the invoice."""
    assert said in refusal(**terms)


def test_twenty_steps_are_taken():
    """The most."""
    steps = [*({"upTo": n, "share": 0} for n in range(1, 20)), {"share": 0}]
    new = accepted("agreement.create", {**AGREEMENT, "terms": {"tiers": {**TIERS, "steps": steps}}})
    assert isinstance(new.fact, AgreementToCreate)
    assert new.fact.tiers is not None
    assert len(new.fact.tiers.steps) == 20
