"""The settings of property tests: the same examples on every run, no deadline on a slow machine."""

from hypothesis import HealthCheck, settings

STEADY = settings(
    derandomize=True, deadline=None, database=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow]
)
