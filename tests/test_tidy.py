"""What the linters do not see of the house's style."""

from __future__ import annotations

import ast
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
