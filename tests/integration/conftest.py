"""Whole workers run on one of the two drivers for each test, half of the tests on either; the store's tests on both."""

from __future__ import annotations

from typing import cast
from zlib import crc32

import pytest

from tests.conftest import Driver


@pytest.fixture
def driver(request: pytest.FixtureRequest) -> Driver:
    """The test's driver: always the same one, unless the test names another."""
    named = getattr(request, "param", None)
    return cast("Driver", named) if named else ("motor", "pymongo")[crc32(request.node.nodeid.encode()) % 2]
