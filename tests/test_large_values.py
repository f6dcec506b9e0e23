"""Large fields of any document are taken out and put back, so that it is to the byte what it was."""

from __future__ import annotations

from collections.abc import Iterator

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from adapters import values
from adapters.storable import restored, storable
from adapters.values import ValueLost, cut_out, put_back, put_together, read_of, referred_to, take_out, value_id
from tests.support.steady import STEADY
from tests.test_codec import JSON, KEYS

DOCUMENTS = st.dictionaries(KEYS, JSON | st.text("ab", min_size=8, max_size=30), max_size=8)
PIECES = st.binary(max_size=20)


@pytest.fixture(scope="module", autouse=True)
def large_is_small() -> Iterator[None]:
    """So that small documents have large fields."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "LARGE", 10)
        yield


@given(document=DOCUMENTS)
@settings(STEADY, max_examples=300)
def test_any_document_is_put_back_as_it_was(document) -> None:
    """In the order that it had, whatever the names of its fields are, and from what the database keeps of it."""
    apart: dict[str, bytes] = {}
    left, places = take_out(document, "BA-1", apart)
    kept = bson.decode(bson.encode({"document": storable(left), "values": places}))
    found = read_of({"_id": id_, "json": json} for id_, json in apart.items())
    assert to_json(put_back(restored(kept["document"]), kept["values"], found)) == to_json(document)
    assert {place["field"] for place in places} == {
        field
        for field, item in document.items()
        if len(to_json(item)) > values.LARGE and len(to_json(document)) > values.LARGE
    }
    assert set(referred_to([kept])) == apart.keys()
    assert all(id_ == value_id("BA-1", json) for id_, json in apart.items())


@given(document=DOCUMENTS, before=PIECES, after=PIECES, beside=st.booleans())
@settings(STEADY, max_examples=300)
def test_any_body_is_put_together_as_it_was(document, before, after, beside) -> None:
    """Whether it has the document in it as it is, another one, or parts of it twice."""
    body = before + to_json(dict(reversed(document.items())) if beside else document) + after
    apart: dict[str, bytes] = {}
    left, places = cut_out(body, document, "BA-1", apart)
    assert put_together(left, places, apart) == body
    if not beside:
        assert len(places) == sum(len(to_json(item)) > values.LARGE for item in document.values())


def test_what_is_cut_out_is_not_in_what_is_left() -> None:
    body = b'{"event":{"account":{"id":"BA-1","note":"a long note, one","last":"a long note, two"}}}'
    document = {"id": "BA-1", "note": "a long note, one", "last": "a long note, two"}
    apart: dict[str, bytes] = {}
    left, places = cut_out(body, document, "BA-1", apart)
    assert left == b'{"event":{"account":{"id":"BA-1","note":,"last":}}}'
    assert list(apart.values()) == [b'"a long note, one"', b'"a long note, two"']
    assert [place["at"] for place in places] == [40, 48]


def test_a_value_that_is_lost_is_named() -> None:
    places = [{"field": "note", "place": 0, "at": 0, "value": "BA-1/abc"}]
    with pytest.raises(ValueLost, match="BA-1/abc"):
        put_back({}, places, {})
    with pytest.raises(ValueLost, match="BA-1/abc"):
        put_together(b"", places, {})
