"""Tables that fit their terminal: an id, a type or an amount is never cut or broken, text is broken into lines.

Where even that is too wide, each row is told field by field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Kind = Literal["text", "whole", "number"]
"""How a column gives way: text is broken into lines; what is whole is not, and neither is a number, at the right."""

TEXT_MIN, WORD_MAX = 10, 20
"""How narrow a column of text may become, and how long a word is not broken even then."""
_GAP = 2  # its padding, and the line between columns


def fitted(
    columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Text]], width: int, title: str = ""
) -> RenderableType:
    """A table of the rows in at most `width` columns of the terminal, or the rows one by one."""
    widths = _widths(columns, rows, width)
    if widths is None:
        return _one_by_one(columns, rows, title)
    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for (name, kind), given in zip(columns, widths, strict=True):
        table.add_column(name, width=given, overflow="fold", justify="right" if kind == "number" else "left")
    for row in rows:
        table.add_row(*row)
    return table


def fits(columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Text]], width: int) -> bool:
    """Whether the rows fit a table of that width."""
    return _widths(columns, rows, width) is not None


def _widths(columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """How wide each column is; None if there is not room enough."""
    longest = [max((cell_len(row[n].plain) for row in rows), default=0) for n in range(len(columns))]
    words = [max(map(cell_len, name.split()), default=0) for name, _ in columns]
    text = [
        max((cell_len(word) for row in rows for word in row[n].plain.split()), default=0) for n in range(len(columns))
    ]
    least = [
        max(heading, min(cells, max(TEXT_MIN, min(word, WORD_MAX))) if kind == "text" else cells)
        for (_, kind), heading, word, cells in zip(columns, words, text, longest, strict=True)
    ]
    room = width - sum(least) - _GAP * len(columns)
    if room < 0:
        return None
    widths = list(least)
    # Text has what is left, the narrowest first; then headings need not be broken.
    wanted = [max(cells, cell_len(name)) for (name, _), cells in zip(columns, longest, strict=True)]
    for n in sorted(range(len(columns)), key=lambda n: (columns[n][1] != "text", wanted[n])):
        more = min(room, wanted[n] - widths[n])
        widths[n] += more
        room -= more
    return widths


def _one_by_one(columns: Sequence[tuple[str, Kind]], rows: Sequence[Sequence[Text]], title: str) -> Group:
    name_width = max(cell_len(name) for name, _ in columns)
    lines = [Text(title, "bold")] if title else []
    for row in rows:
        lines.append(Text())
        for (name, _), cell in zip(columns, row, strict=True):
            if cell.plain:
                lines.append(Text.assemble(f"{name:<{name_width}}  ", cell, overflow="fold"))
    return Group(*lines)
