"""Documents come back from their rows as they were, and rows are to the byte what earlier versions have written."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import bson
import pytest
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from adapters.accounts.documents import account_as_json
from adapters.codec import Key, Layout, LayoutError, Module, source, write
from adapters.codecs import CODECS
from adapters.documents import COLLECTION, DECODE, ENCODE, KEPT, SET
from adapters.storable import restored
from domain.accounts.model import Account, AccountVersion
from domain.billing.model import Charge
from domain.ledger.positions import Position
from schemas.currencies import DIGITS
from tests.fixtures.documents import DOCUMENTS
from tests.support.steady import steady

RECORDED: dict[str, bytes] = bson.decode(Path(__file__).with_name("fixtures").joinpath("documents.bson").read_bytes())
"""By the names of `DOCUMENTS`. A kind that is new is recorded too: encode a mapping of each name to its row's bytes."""
ADDED: dict[type, dict[str, Any]] = {
    Position: {"allocating": False, "refundable": 0, "recoverable": 0},
    Charge: {"behind": False},
}
"""What rows have had since, and a migration has given to the old ones."""
AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)

# -- what was recorded


def test_a_row_of_every_kind_is_recorded() -> None:
    assert RECORDED.keys() == DOCUMENTS.keys()
    assert {type(document) for document in DOCUMENTS.values()} == COLLECTION.keys() == ENCODE.keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_row_is_to_the_byte_what_was_recorded(name) -> None:
    document = DOCUMENTS[name]
    row = ENCODE[type(document)](document)
    for key, value in ADDED.get(type(document), {}).items():
        if key not in bson.decode(RECORDED[name]):
            assert row.pop(key) == value
    for account in [row] if isinstance(document, Account) else [row["snapshot"]] if "snapshot" in row else []:
        assert account.pop("currencyDigits") == DIGITS[account["currency"]]
    for kept in (row, row.get("snapshot", {})):
        if "document" in kept:  # with names that no document could have before
            kept["document"] = restored(kept["document"])
    if isinstance(document, AccountVersion):  # which had its account's whole row
        row["snapshot"]["json"] = account_as_json(document.account)
    assert bson.encode(row) == RECORDED[name]


@pytest.mark.parametrize("name", [name for name, document in DOCUMENTS.items() if type(document) in DECODE])
def test_a_recorded_row_is_read_as_the_document_that_it_was_made_of(name) -> None:
    document = DOCUMENTS[name]
    row = {**ADDED.get(type(document), {}), **bson.decode(RECORDED[name], AWARE)}
    if isinstance(document, Account):
        row["currencyDigits"] = DIGITS[row["currency"]]
    assert DECODE[type(document)](row) == document


# -- any document

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(KEYS, values, max_size=3),
    max_leaves=5,
)
# To the millisecond, which is what BSON keeps of a time.
TIMES = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
    date: st.dates(),
    datetime: TIMES,
    Mapping: st.dictionaries(KEYS | st.just("name"), JSON, max_size=4),
}


@cache
def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that documents are made of; made once, which takes longer than to draw one."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, *(any_of(hints[field.name]) for field in dataclasses.fields(hint)))
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(any_of(args[0]), max_size=3).map(tuple)
    if origin in (Union, UnionType):
        return st.one_of([st.none() if arg is NoneType else any_of(arg) for arg in args])
    return LEAVES[origin or hint]


@pytest.mark.parametrize("kind", DECODE, ids=lambda kind: kind.__name__)
@given(data=st.data())
@steady(25)
def test_any_document_comes_back_from_its_row_as_it_was(kind, data) -> None:
    document = data.draw(any_of(kind))
    assert DECODE[kind](bson.decode(bson.encode(ENCODE[kind](document)), AWARE)) == document


@pytest.mark.parametrize("kind", [kind for kind in ENCODE if kind not in DECODE], ids=lambda kind: kind.__name__)
@given(data=st.data())
@steady(25)
def test_the_row_of_any_document_that_is_only_written_has_its_key(kind, data) -> None:
    document = data.draw(any_of(kind))
    row = ENCODE[kind](document)
    assert next(iter(row.items())) == ("_id", document.id)
    assert bson.decode(bson.encode(row), AWARE) == row


@pytest.mark.parametrize("layout", [one.layout for one in KEPT if one.layout.often], ids=lambda one: one.kind.__name__)
@given(data=st.data())
@steady(50)
def test_what_changes_often_is_all_that_has_to_be_set_where_nothing_else_has_changed(layout, data) -> None:
    before, other = data.draw(any_of(layout.kind)), data.draw(any_of(layout.kind))
    now = dataclasses.replace(before, **{name: getattr(other, name) for name in layout.often})
    assert {**ENCODE[layout.kind](before), **SET[layout.kind](now)} == ENCODE[layout.kind](now)


# -- what is generated


@pytest.mark.parametrize("module", CODECS, ids=lambda module: module.name)
def test_the_codecs_are_what_is_declared(module) -> None:
    assert module.path.read_text(encoding="utf-8") == source(module), "run `make codecs`"


def test_the_codecs_are_written_where_they_are_imported_from(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("adapters.codec._ROOT", tmp_path)
    (tmp_path / "books").mkdir()
    module = Module("books.codecs", "books.layouts", (Layout(Plain),))
    write([module])
    assert (tmp_path / "books" / "codecs.py").read_text(encoding="utf-8") == source(module)


def test_nothing_is_written_if_one_declaration_is_wrong(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("adapters.codec._ROOT", tmp_path)
    with pytest.raises(LayoutError):
        write([Module("one", "layouts", (Layout(Plain),)), Module("other", "layouts", (Layout(Floating),))])
    assert not list(tmp_path.iterdir())


def generated(*layouts: Layout) -> dict[str, Any]:
    """What the module for some layouts defines."""
    namespace: dict[str, Any] = {}
    exec(source(Module("codecs", "layouts", layouts)), namespace)
    return namespace


@dataclass(frozen=True)
class Plain:
    """What is kept as it follows from it."""

    id: str
    bill_no: int


@dataclass(frozen=True)
class Inner:
    """What is contained; its id is no `_id`."""

    id: str
    due: date | None
    rates: tuple[Decimal, ...] | None


@dataclass(frozen=True)
class Middle:
    """What contains something."""

    inner: Inner
    more: tuple[Inner, ...]


@dataclass(frozen=True)
class Outer:
    """What contains that once, perhaps, and many times, and has an unlikely name for a field."""

    id: str
    outer: Inner | None
    middle: Middle | None
    middles: tuple[Middle, ...]
    days: tuple[date, ...]
    last_day_of_the_period_in_which_it_was_still_to_be_paid: date | None
    last_days_of_the_periods_in_which_it_was_still_to_be_paid: tuple[date, ...]
    note: Decimal | None

    @property
    def unknown(self):
        """A property that says nothing of its type."""


INNER = Inner("I", date(2026, 1, 2), (Decimal("1E+2"), Decimal("-0.10")))
MIDDLE = Middle(INNER, (INNER, Inner("J", None, None)))


@pytest.mark.parametrize(
    "outer",
    [
        Outer("O", INNER, MIDDLE, (MIDDLE, MIDDLE), (date(1, 1, 1),), date.max, (date.min, date.max), Decimal(1)),
        Outer("O", None, None, (), (), None, (), None),
    ],
)
def test_what_contains_what_contains_something_comes_back(outer) -> None:
    made = generated(Layout(Outer, absent=(("note",),)))
    row = made["encode_outer"](outer)
    assert made["decode_outer"](bson.decode(bson.encode(row))) == outer
    assert ("note" in row) == (outer.note is not None)
    if outer.middle is not None:
        assert row["middle"]["inner"] == {"id": "I", "due": "2026-01-02", "rates": ["100", "-0.10"]}


def test_lines_that_would_be_too_long_are_in_the_format_of_the_rest() -> None:
    text = source(Module("codecs", "layouts", (Layout(Outer, repeats=True),)))
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(Path(__file__).with_name("codecs.py")), "-"]
    assert subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout == text


@dataclass(frozen=True)
class Floating:
    """What has a field of a type that amounts must not have."""

    id: str
    amount: float


@dataclass(frozen=True)
class Nameless:
    """What has no id."""

    amount: int


@dataclass(frozen=True)
class Pair:
    """What has a tuple of a fixed length."""

    id: str
    both: tuple[str, int]


@dataclass(frozen=True)
class Either:
    """What has a field of one of two types."""

    id: str
    amount: int | str


@dataclass(frozen=True)
class Endless:
    """What contains itself."""

    id: str
    next: Endless | None


@dataclass(frozen=True)
class Deep:
    """What contains what can't be kept."""

    id: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """What is made by its fields' names only."""

    id: str


def _private(_document: Mapping[str, object]) -> str:
    return ""


@pytest.mark.parametrize(
    ("layout", "why"),
    [
        (Layout(str), "str is no dataclass"),
        (Layout(Floating), "Floating.amount: how <class 'float'> is kept is not known"),
        (Layout(Pair), "Pair.both: how tuple[str, int] is kept is not known"),
        (Layout(Either), "Either.amount: how int | str is kept is not known"),
        (Layout(Deep), "Deep.pairs.both: how tuple[str, int] is kept is not known"),
        (Layout(Endless), "Endless.next.next: Endless contains itself"),
        (Layout(Nameless), "Nameless: no key is the _id of its row"),
        (Layout(Keyword), "Keyword.id can't be read"),
        (Layout(Plain, keys=("id",)), "Plain: of its fields no key keeps bill_no"),
        (Layout(Plain, keys=("id", "bill_no", "bill_no")), "Plain: a key is there twice: billNo"),
        (Layout(Plain, keys=("id", "bill_no", Key("no", "bill_no"))), "Plain: a field is there twice: bill_no"),
        (Layout(Plain, keys=("id", "bill_no", "owner")), "Plain.owner: <class 'tests.test_codec.Plain'> has no owner"),
        (Layout(Plain, keys=("id", "bill_no", Key("a", "id.b"))), "Plain.id.b: <class 'str'> has no b"),
        (Layout(Plain, keys=("id", "bill_no", Key("a", "id", by=_private))), "_private can't be imported"),
        (Layout(Plain, absent=(("bill_no",),)), "Plain.bill_no: only a field that may be None can be absent"),
        (Layout(Plain, often=("number",)), "Plain.number: only a field that is always kept can be set alone"),
        (Layout(Outer, absent=(("note",),), often=("note",)), "Outer.note: only a field that is always kept"),
        (Layout(Plain, parts=(Layout(Inner),)), "Plain contains no Inner"),
        (Layout(Outer, absent=(("middle",),)), "Outer: the keys that may be absent are not the last ones"),
        (Layout(Outer, keys=("id", "unknown")), "Outer.unknown: <class 'tests.test_codec.Outer'> has no unknown"),
    ],
)
def test_what_no_code_can_be_written_of_is_refused(layout, why) -> None:
    with pytest.raises(LayoutError, match=re.escape(why)):
        generated(layout)


@dataclass(frozen=True)
class Version:
    """What contains a document of another collection."""

    id: str
    plain: Plain


def test_a_document_within_another_may_be_kept_in_another_way_than_in_its_own_collection() -> None:
    part = Layout(Plain, keys=(Key("_id", "id"), "bill_no"))
    version = Layout(Version, keys=("id", Key("snapshot", "plain")), parts=(part,), read=False)
    made = generated(Layout(Plain), version)
    assert made["encode_version"](Version("V", Plain("P", 1))) == {"_id": "V", "snapshot": {"_id": "P", "billNo": 1}}
    assert Version not in made["DECODE"]
    assert generated(Layout(Version))["encode_version"](Version("V", Plain("P", 1)))["plain"] == {
        "id": "P",
        "billNo": 1,
    }


def test_what_is_contained_is_kept_in_one_way_in_one_module() -> None:
    other = Layout(Version, keys=("id", "plain"), parts=(Layout(Plain, keys=(Key("number", "bill_no"), "id")),))
    assert generated(other)["encode_version"](Version("V", Plain("P", 1)))["plain"] == {"number": 1, "id": "P"}
    whole, twice = Layout(Outer), dataclasses.replace(Layout(Outer), repeats=True)
    with pytest.raises(LayoutError, match="Middle is contained in two ways in codecs"):
        generated(whole, twice)


def test_two_kinds_of_one_name_are_not_in_one_module() -> None:
    namesake = dataclasses.make_dataclass("Inner", [("id", str)], namespace={"__module__": "elsewhere"})
    with pytest.raises(LayoutError, match=r"codecs would import Inner of elsewhere and of tests\.test_codec"):
        generated(Layout(Inner), Layout(namesake))
