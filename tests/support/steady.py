"""How much is tried: `make test` tries some of it, `make prove` all, by the profiles that are here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings

HUNDRED = 100
ROUNDS_MAX = 3

AT_LENGTH = os.environ.get("PAYMASTER_TEST_PROFILE") == "long" or os.environ.get("PAYMASTER_TEST_DRIVERS") == "both"
"""Whether this is a run of `make prove`."""


# The same examples on every run, and no deadline on a slow machine; at length others each time, fifty times as many.
PATIENT: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", max_examples=40, derandomize=True, **PATIENT)
settings.register_profile("long", max_examples=2_000, derandomize=False, print_blob=True, **PATIENT)
settings.load_profile(os.environ.get("PAYMASTER_TEST_PROFILE") or "steady")


def steady(examples: int, *, least: int = 1) -> settings:
    """So many examples where the profile has a hundred for a test that says nothing.

    It is `least` where that is more: a test that counts what came needs so many for all of it to come.
    """
    assert settings.default is not None
    return settings(max_examples=max(least, examples * settings.default.max_examples // HUNDRED))


STEADY = steady(150)


def until(enough: Callable[[], bool], live: Callable[[], None]) -> None:
    """Run a property until enough of each kind has come, in three rounds at most.

    Which examples come moves with any change of the code, and with it how often each kind does.
    """
    for number in range(ROUNDS_MAX):
        (live if AT_LENGTH else seed(number)(live))()
        if enough():
            return


def at_length(*values: Any) -> Any:
    """A case of a parametrization that only `make prove` runs."""
    return pytest.param(*values, marks=pytest.mark.at_length)


def every_third(cases: Iterable[Any], first: int) -> list[Any]:
    """All cases, of which `make test` runs each third one, from the one at `first` (0, 1 or 2) on."""
    each = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case) if n % 3 == first else at_length(*case) for n, case in enumerate(each)]


def looked_at(number: int) -> bool:
    """Whether the invariants are asked after the fact of this number: after each at length, else after each fifth."""
    return AT_LENGTH or number % 5 == 0
