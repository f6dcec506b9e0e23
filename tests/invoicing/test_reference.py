"""Payment references: ISO 11649, made of a bill's number."""

from __future__ import annotations

import pytest

from domain.invoicing.reference import payment_reference


@pytest.mark.parametrize(
    ("number", "reference"),
    [("539007547034", "RF18539007547034"), ("2348231", "RF712348231")],
)
def test_known_references(number: str, reference: str) -> None:
    """References that are in use elsewhere have the check digits that we work out."""
    assert payment_reference(number) == reference


@pytest.mark.parametrize("number", ["INV-000000001", "a.b_c:d-000000042", "INV-999999999"])
def test_a_reference_proves_itself(number: str) -> None:
    """What comes out has remainder 1 by 97, its first four characters put last, and no sign of punctuation."""
    reference = payment_reference(number)
    assert reference is not None
    assert reference.isalnum()
    assert reference == reference.upper()
    assert int("".join(str(int(c, 36)) for c in reference[4:] + reference[:4])) % 97 == 1


def test_a_number_that_is_too_long_has_none() -> None:
    """Twenty-one letters and digits are a reference, twenty-two are none."""
    assert payment_reference("A" * 12 + "-000000001") is not None
    assert payment_reference("A" * 13 + "-000000001") is None
