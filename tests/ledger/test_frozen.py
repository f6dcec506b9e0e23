"""Documents are equal by value, and a copy changes what it is told to and nothing else."""

from __future__ import annotations

import pytest

from domain.frozen import dataclass, replace


@dataclass(frozen=True, slots=True)
class Point:
    """A document of two fields."""

    x: int
    y: int = 2


@dataclass(frozen=True, slots=True)
class Single:
    """A document of one field, which may itself be a tuple."""

    values: tuple[int, ...]


def test_documents_are_equal_by_value_and_are_keys() -> None:
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(2, 1)
    assert {Point(1): "there"}[Point(1, 2)] == "there"


def test_a_copy_changes_what_it_is_told_to() -> None:
    point = Point(1, 5)
    assert replace(point, y=3) == Point(1, 3)
    assert point == Point(1, 5)
    assert replace(Single((1, 2)), values=(3,)) == Single((3,))
    assert replace(Single((1, 2))) == Single((1, 2))


def test_a_field_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="z"):
        replace(Point(1), z=3)  # type: ignore[call-arg]  # which is what the type checker says of it
