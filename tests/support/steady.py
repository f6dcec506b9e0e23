"""The settings of property tests: how much is tried follows from the profile, of which tests/conftest.py has two."""

from hypothesis import settings

HUNDRED = 100


def steady(examples: int) -> settings:
    """So many examples where the profile has a hundred for a test that says nothing."""
    assert settings.default is not None
    return settings(max_examples=examples * settings.default.max_examples // HUNDRED)


STEADY = steady(150)
