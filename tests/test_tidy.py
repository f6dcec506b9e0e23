"""What the linters do not see of the house's style."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("domain", "schemas", "adapters", "handlers", "services", "demo", "bench")


def private_imports(source: str) -> list[str]:
    """The private names that a module imports from another one."""
    return [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]


def test_no_module_takes_a_private_name_from_another():
    """A name that another module needs is public."""
    found = {
        path.relative_to(ROOT).as_posix(): names
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if (names := private_imports(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_a_private_import_is_seen():
    """The check can fail."""
    assert private_imports("from domain.money import _EXACT, Money") == ["domain.money._EXACT"]


def told(source: str) -> Iterator[ast.Constant | ast.FormattedValue]:
    """The texts of a module, and what is put into them; without docstrings, and what an `assert` says."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FormattedValue) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            yield node
        elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or isinstance(node, ast.Assert):
            continue
        waiting += ast.iter_child_nodes(node)


# What the domain calls an amount, where that is an integer.
_AMOUNT = re.compile(
    r"\b(amount|net|total|billed|left|remaining|found|gone|paid|owed|most|whole|unapplied|credited|fee|AMOUNT_MAX)$"
    r"|_(amount|total|paid|owed)$"
)


def bare_amounts(source: str) -> list[str]:
    """What a module tells in minor units: by that name, or as a number."""
    return [
        said
        for node in told(source)
        if (
            _AMOUNT.search(said := ast.unparse(node.value))
            if isinstance(node, ast.FormattedValue)
            else "minor unit" in (said := str(node.value))
        )
    ]


def test_no_detail_tells_an_amount_in_minor_units():
    """Those are ours: a sender is told `40.01 EUR`, which `Currency.written` makes of 4001."""
    found = {
        path.relative_to(ROOT).as_posix(): amounts
        for path in (ROOT / "domain").rglob("*.py")
        if (amounts := bare_amounts(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_an_amount_in_minor_units_is_seen():
    """The check can fail; it looks at no docstring, and at nothing that only a defect would say."""
    refused = (
        'raise Refused("invalid", f"amount: {amount} minor units, but {max(line.tax_excluded_amount, 0)} of {id_}")'
    )
    assert sorted(bare_amounts(refused)) == [" minor units, but ", "amount"]
    assert bare_amounts('f"{money.amount}, {invoice.remaining_amount}, {-left}"') == [
        "-left",
        "invoice.remaining_amount",
        "money.amount",
    ]
    assert bare_amounts('f"amount: {currency.written(amount)}, line {line.id}"') == []
    assert bare_amounts('def f():\n    """In minor units."""\n    assert left, f"{left} minor units"') == []
