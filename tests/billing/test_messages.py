"""The messages of billing that we write to ourselves."""

from datetime import date

import pytest

from domain.billing.model import BillDemand
from schemas.billing.messages import BillContinue


@pytest.mark.parametrize("after", [None, (date(2026, 11, 1), "C-3")])
def test_the_rest_of_a_demand_is_read_as_it_was_written(after):
    """With the place up to which charges were looked at; an earlier version wrote none, and reads as such."""
    rest = BillDemand("D-1", "BA-1", date(2026, 11, 30), 2, after)
    written = BillContinue.of(rest).model_dump_json(by_alias=True, exclude_none=True)
    assert ("after" in written) == (after is not None)
    assert BillContinue.model_validate_json(written).fact("D-1/2") == rest
