"""The messages of billing that we write to ourselves."""

from datetime import date

import pytest

from domain.billing.model import ALL_SUBSCRIPTIONS, BillDemand, Rest
from schemas.billing.messages import BillContinue


@pytest.mark.parametrize(
    "after",
    [
        Rest(),
        Rest((date(2026, 11, 1), "C-3"), ALL_SUBSCRIPTIONS),
        Rest(None, (date(2026, 11, 1), "S-3")),
        Rest(None, (date(2026, 11, 1), "S-3"), ("S-4", date(2026, 10, 1))),
    ],
)
def test_the_rest_of_a_demand_is_read_as_it_was_written(after):
    """With the places up to which charges and subscriptions were looked at; what an earlier version wrote is read."""
    rest = BillDemand("D-1", "BA-1", date(2026, 11, 30), 2, after)
    written = BillContinue.of(rest).model_dump_json(by_alias=True, exclude_none=True)
    assert ('"after"' in written) == (after.charges is not None)
    assert BillContinue.model_validate_json(written).fact("D-1/2") == rest
