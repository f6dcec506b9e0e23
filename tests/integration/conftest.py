"""Whole workers run on one of the two drivers for each test, half of the tests on either; the store's tests on both."""

from __future__ import annotations

from typing import cast
from zlib import crc32

import pytest

from tests.conftest import DRIVERS, ON_BOTH, Driver


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On both drivers where that is asked for, if the test names none."""
    if ON_BOTH and "driver" in metafunc.fixturenames and not _names_a_driver(metafunc):
        metafunc.parametrize("driver", DRIVERS, indirect=True)


def _names_a_driver(metafunc: pytest.Metafunc) -> bool:
    names = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    return any(name == "driver" or (isinstance(name, tuple) and "driver" in name) for name in names)


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Driver:
    """The test's driver: always the same one, unless the test names another."""
    named = getattr(request, "param", None)
    return cast("Driver", named) if named else DRIVERS[crc32(request.node.nodeid.encode()) % len(DRIVERS)]
