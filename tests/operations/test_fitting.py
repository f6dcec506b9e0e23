"""Tables fit their terminal, and cut nothing that a person has to read whole."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from handlers.console.fitting import Kind, fits, fitted
from tests.support.steady import STEADY

COLUMNS: list[tuple[str, Kind]] = [
    ("account", "whole"),
    ("name", "text"),
    ("amount billed", "number"),
    ("amount paid", "number"),
]


def printed(rows: list[list[str]], width: int) -> list[str]:
    """The lines that a table of these rows is, in a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(fitted(COLUMNS, [[Text(cell) for cell in row] for row in rows], width))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_text_gives_way_to_amounts():
    """A name is broken between its words, a heading too; the id and the amounts stay whole."""
    row = ["BA-1000001", "Hill Bakery and Café of the Upper Town", "1,529,621.10", "393,865.06"]
    lines = printed([row], 60)
    assert max(map(len, lines)) <= 60
    body = "\n".join(lines)
    assert all(cell in body for cell in (row[0], *row[2:]))
    assert "Bakery" in body


def test_what_does_not_fit_is_told_field_by_field():
    """In a terminal that is too narrow for one line."""
    row = ["BA-1000001", "Hill Bakery", "1,529,621.10", "393,865.06"]
    assert not fits(COLUMNS, [[Text(cell) for cell in row]], 30)
    assert printed([row], 30)[1:] == [
        "account        BA-1000001",
        "name           Hill Bakery",
        "amount billed  1,529,621.10",
        "amount paid    393,865.06",
    ]


CELLS = st.text("abcdefgh 0123456789", min_size=1, max_size=30).map(str.strip).filter(bool)
WHOLE = st.text("ABC0123456789-.,", min_size=1, max_size=24)


@given(
    rows=st.lists(st.tuples(WHOLE, CELLS, WHOLE, WHOLE).map(list), min_size=1, max_size=4), width=st.integers(20, 160)
)
@STEADY
def test_nothing_whole_is_ever_cut(rows, width):
    """Whatever the rows and the terminal: each id and amount stands in one line."""
    lines = printed(rows, width)
    for row in rows:
        for cell in (row[0], *row[2:]):
            assert any(cell in line for line in lines) or len(cell) > width - 15
    if fits(COLUMNS, [[Text(cell) for cell in row] for row in rows], width):
        assert max(map(len, lines)) <= width
