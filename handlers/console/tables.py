"""What operators see: tables as wide as the terminal, in which no id is ever cut, and one message in full."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from handlers.console.bodies import pretty
from handlers.console.terminal import Json, output, safe

# How a column gives way in a narrow terminal: an id never does, other text is broken into lines.
_KEPT = ("id", "group", "sample", "#", "count")

TEXT_MIN = 10
"""How narrow a column of text may become."""
_STYLES = {"applied": "green", "parked": "red", "refused": "red", "waiting": "yellow", "suspect": "yellow"}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """Print a table, or `nothing` when it has no rows; row by row where the terminal is too narrow for one."""
    console = output()
    cells = [[safe("" if value is None else value) for value in row] for row in rows]
    if not cells:
        console.print(nothing)
        return
    widths = [max(cell_len(cell) for cell in column) for column in zip(columns, *cells, strict=True)]
    least = [width if name in _KEPT else min(width, TEXT_MIN) for name, width in zip(columns, widths, strict=True)]
    if sum(least) + len(least) > console.width:
        for row in cells:
            for name, cell in zip(columns, row, strict=True):
                console.print(Text(f"{name:<{max(map(len, columns))}} {cell}".rstrip()), soft_wrap=True)
            console.print()
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name, width in zip(columns, least, strict=True):
        justify: JustifyMethod = "right" if name in ("#", "count") else "left"
        table.add_column(name, no_wrap=name in _KEPT, overflow="fold", justify=justify, min_width=width)
    for row in cells:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def print_more(after: str | None, *command: object) -> None:
    """Print by which command of `paymaster` the next page is got, if there is one."""
    if after is not None:
        words = ["paymaster", *map(str, command), "--after", after]
        output().print(f"\nmore: {safe(shlex.join(words))}", soft_wrap=True)


def when(moment: str | None) -> str:
    """A time for people: in UTC, to the second."""
    return "" if moment is None else moment[:19].replace("T", " ")


def who(told: Json) -> str:
    """Who did something: what is only claimed is told as that."""
    claimed, gateway = told.get("claimed"), told.get("gateway")
    said = [*([f"by way of {gateway}"] if gateway else []), *([f"claims to be {claimed}"] if claimed else [])]
    return f"{told['by']} ({', '.join(said)})" if said else str(told["by"])


def print_groups(items: list[Json]) -> None:
    """Groups, the largest first."""
    print_table(
        ("count", "group", "reason", "type", "place", "first held (UTC)", "last failed (UTC)", "sample"),
        [
            (
                one["count"],
                one["group"],
                one["reason"],
                one["messageType"],
                one["place"],
                when(one["heldAt"]),
                when(one["failedAt"]),
                one["sample"]["parkedId"],
            )
            for one in items
        ],
        "nothing is parked",
    )


def print_messages(items: list[Json]) -> None:
    """A list of held messages."""
    print_table(
        ("id", "held (UTC)", "type", "account", "reason", "detail"),
        [
            (
                one["parkedId"],
                when(one["heldAt"]),
                one["messageType"],
                one["account"],
                one["reason"],
                _then(one),
            )
            for one in items
        ],
        "no message fits",
    )


def _then(one: Json) -> str:
    """What it waits for: a thing, or a time; else what is wrong."""
    if one["state"] == "scheduled":
        return f"at {when(one['dueAt'])}: {one['detail']}"
    return f"for {one['waitsFor']}" if one["waitsFor"] else str(one["detail"])


def print_accounts(items: list[Json]) -> None:
    """Accounts, and what does not happen to them."""
    print_table(
        ("account", "count", "state", "type", "since (UTC)", "what that keeps from happening"),
        [
            (
                one["account"],
                held["count"],
                held["state"],
                held["messageType"],
                when(held["heldAt"]),
                held["keepsFromHappening"],
            )
            for one in items
            for held in one["held"]
        ],
        "no account has something held",
    )


def print_acts(items: list[Json]) -> None:
    """What operators did."""
    print_table(
        ("at (UTC)", "id", "act", "by", "became", "why"),
        [
            (
                when(one["at"]),
                one["parkedId"],
                one["act"],
                who(one),
                one["stateAfter"] + (f", goes on as {one['editedInto']}" if one["editedInto"] else ""),
                one["why"],
            )
            for one in items
        ],
        "nothing was done",
    )


def print_message(shown: Json) -> None:
    """One held message, whole."""
    console = output()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    apart = ("body", "bodyBase64", "bodyBytes", "original", "properties", "headers", "traceback", "acts", "discarded")
    for name, value in shown.items():
        if name not in apart and value not in (None, ""):
            table.add_row(name, Text(safe(value), style=_STYLES.get(str(value), "")))
    if shown["discarded"]:
        gone = shown["discarded"]
        table.add_row("discarded", Text(safe(f"by {who(gone)}, {when(gone['at'])}: {gone['why']}")))
    for name in ("properties", "headers"):
        for key, value in shown[name].items():
            written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.add_row(f"{name[:-1] if name == 'headers' else 'property'} {safe(key)}", Text(safe(written)))
    console.print(table)
    _print_part("traceback", shown["traceback"])
    _print_part(f"body, {shown['bodyBytes']} bytes", _body(shown))
    if shown["original"] is not None:
        console.print(Text("\nwhat was edited", style="bold"))
        console.print(diff(_body(shown["original"]), _body(shown)), soft_wrap=True)
    if shown["acts"]:
        console.print(Text("\nwhat was done", style="bold"))
        print_acts(shown["acts"])


def _print_part(title: str, text: str | None) -> None:
    if text is not None:
        console = output()
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Text(safe(text, lines=True)), soft_wrap=True)


def _body(shown: Json) -> str:
    if "body" not in shown:
        return f"(no text, in base64) {shown['bodyBase64']}"
    body: str = shown["body"]
    return pretty(body) or body


DIFF_LINES_MAX = 5_000
"""What takes a second to compare; the time grows with the square."""


def diff(before: str, after: str) -> Text:
    """A unified diff, coloured as usual."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    if before.count("\n") + after.count("\n") > DIFF_LINES_MAX:
        return Text("(too long to be compared line by line)")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "original", "edited", lineterm="")
    text = Text()
    for line in lines:
        text.append(safe(line) + "\n", style=styles.get(line[:1], ""))
    text.rstrip()
    return text or Text("(it reads the same)")


def print_outcomes(items: Iterable[Any], nothing: str) -> None:
    """What came of the messages of a replay."""
    print_table(
        ("#", "id", "became", "detail"),
        [
            (one["n"], one["parkedId"], one["state"], (f"as {one['into']}: " if one["into"] else "") + one["detail"])
            for one in items
        ],
        nothing,
    )


def print_replays(items: Iterable[Any]) -> None:
    """Replays, the last one first."""
    print_table(
        ("id", "at (UTC)", "by", "state", "count", "why"),
        [(one["_id"], when(one["at"]), one["by"], one["state"], one["total"], one["why"]) for one in items],
        "nothing was replayed",
    )
