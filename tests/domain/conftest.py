"""The checker's assertions explain themselves like those of a test."""

import pytest

pytest.register_assert_rewrite("tests.domain.invariants", "tests.domain.ledger_book")
