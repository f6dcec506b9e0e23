"""What the pages name is there: files, modules, names of the code, targets of make; and their links lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    (*ROOT.glob("*.md"), *(page for room in ("docs", "examples", "tests") for page in (ROOT / room).rglob("*.md")))
)
NAMED_IN = ("ARCHITECTURE.md", "CONTRIBUTING.md")
"""The pages whose names of classes and constants are looked for in the code."""
ROOMS = ("adapters", "bench", "demo", "docs", "domain", "examples", "handlers", "schemas", "services", "tests")

EXAMPLES = {
    "domain/payments/reversing.py",
    "tests/payments/test_reversals.py",
}
"""The files of the example in docs/adding-a-capability.md that nobody has built."""

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./<>*-]*|[\w-]+\.(?:md|toml|yml)")
MODULE = re.compile(r"(?:adapters|domain|handlers|schemas)(?:\.[a-z_0-9]+)+")
DEFINED = re.compile(r"^ *(?:(?:class|def|async def) (\w+)|(\w+)(?:: .*)? = )", re.MULTILINE)
NAME = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*|[A-Z][A-Z_]{2,}")
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKE = re.compile(r"make ([a-z]+(?:-[a-z]+)*)")
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)

PAST = ("tests/fixtures/form-1/README.md",)
"""Pages that tell of what was there once, by its name then."""
WRITTEN = {"bench/results/"}
"""What is there when a program has run."""


def page_name(page: Path) -> str:
    """A page's path from the project's folder."""
    return page.relative_to(ROOT).as_posix()


def quoted(page: Path) -> Iterator[str]:
    """What stands in backticks on a page, but for programs."""
    return (match[1] for match in CODE.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))))


def is_there(path: str) -> bool:
    """Whether a file or a folder is there; with `<capability>` in it, of at least one."""
    pattern = re.sub(r"<[a-z]+>", "*", path.rstrip("/"))
    return any(ROOT.glob(pattern))


def is_module(name: str) -> bool:
    """Whether a module is there, or a name in one."""
    path = ROOT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    module, name = path.parent, path.name
    source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return source.exists() and name in names_in(source)


@cache
def names_in(source: Path) -> set[str]:
    """The names that a module defines, also within its classes; to parse all modules for them takes five seconds."""
    return {match[1] or match[2] for match in DEFINED.finditer(source.read_text(encoding="utf-8"))}


@cache
def all_names() -> set[str]:
    """The names that any module of the rooms defines."""
    return {name for room in ROOMS for source in (ROOT / room).rglob("*.py") for name in names_in(source)}


def heading_id(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", heading.casefold()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {heading_id(heading) for heading in headings}


def lost_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere; those to other sites are not followed."""
    lost = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    return lost


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_a_page_names_is_there(page: Path) -> None:
    """Each file, folder and module in backticks, each target of make; and each link."""
    said = set(quoted(page))
    missing = {path for path in said if PATH.fullmatch(path) and not is_there(path)} - EXAMPLES - WRITTEN
    missing |= {name for name in said if MODULE.fullmatch(name) and not is_module(name)}
    if page_name(page) not in PAST:
        assert missing == set()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {match[1] for text in said if (match := MAKE.match(text))} <= targets
    assert lost_links(page) == []


@pytest.mark.parametrize("page", NAMED_IN)
def test_the_names_on_a_page_are_the_code_s(page: str) -> None:
    """A class or a constant in backticks is defined somewhere."""
    assert {name for name in quoted(ROOT / page) if NAME.fullmatch(name)} <= all_names()


def test_the_example_is_an_example() -> None:
    """Who builds it for good takes it off the list: then the page's files have to be there."""
    assert not [path for path in EXAMPLES if is_there(path)]


def test_each_capability_has_its_page() -> None:
    """A capability is called alike in the domain and in the docs, and its page is linked from ARCHITECTURE.md."""
    shared = {"ledger"}
    capabilities = {path.parent.name for path in ROOT.glob("domain/*/__init__.py")} - shared
    assert capabilities <= {path.stem for path in ROOT.glob("docs/*.md")}
    linked = set(LINK.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    assert {f"docs/{name}.md" for name in capabilities} <= linked


def test_what_is_missing_is_seen(tmp_path: Path) -> None:
    """The checks can fail."""
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[one](#a-page) [two](#another) [three](page.md#a-page) [four](none.md)\n")
    assert lost_links(page) == ["#another", "none.md"]
    assert not is_there("domain/facts/")
    assert not is_there("schemas/<capability>/nothing.py")
    assert is_there("schemas/<capability>/events.py")
    assert not is_module("domain.orders")
    assert not is_module("domain.facts.NOTHING")
    assert is_module("domain.payments.allocating.WORK_MAX")
    assert "HANDLINGS" not in all_names()
