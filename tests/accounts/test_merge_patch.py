"""JSON merge patches: the examples of RFC 7396, and what holds of any patch."""

import json
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.merge_patch import changed_fields, merge_patch
from tests.support.steady import steady

SOME = steady(40)
RFC_7396_APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5]) | st.sampled_from("abc")
names = st.sampled_from(["a", "b", "c", "name"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)
documents = st.dictionaries(names, values, max_size=4)


def without_nulls(value):
    """A JSON value without the null fields of its objects; what stands in arrays stays as it is."""
    if not isinstance(value, dict):
        return value
    return {name: without_nulls(one) for name, one in value.items() if one is not None}


def text(value) -> str:
    """A JSON value as text, by which two are one or not: fields in order, 1 and 1.0 one number."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{text(value[name])}" for name in sorted(value)) + "}"
    return "[" + ",".join(map(text, value)) + "]" if isinstance(value, list) else json.dumps(value)


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396_APPENDIX_A)
def test_the_examples_of_the_rfc(target, patch, result):
    """RFC 7396, appendix A, in its order."""
    assert merge_patch(json.loads(target), json.loads(patch)) == json.loads(result)


@SOME
@given(values, values)
def test_a_patch_again_changes_nothing(target, patch):
    """Patching with the same patch a second time, as a repeated message would, ends in the same document."""
    once = merge_patch(target, patch)
    assert text(merge_patch(once, patch)) == text(once)


@SOME
@given(values, values)
def test_a_patch_changes_neither_of_its_arguments(target, patch):
    """What is patched is an account's document as the books hold it: it must stay what it is."""
    before = deepcopy((target, patch))
    merge_patch(target, patch)
    assert text(list(before)) == text([target, patch])


@SOME
@given(values)
def test_a_patch_of_nothing_is_what_it_says(patch):
    """Patching an empty document gives the patch itself, without the nulls of its objects; arrays are kept whole."""
    assert text(merge_patch({}, patch)) == text(without_nulls(patch))


@SOME
@given(documents, documents)
def test_a_patch_touches_what_it_names_and_nothing_else(target, patch):
    """A field that is not named stays, one that is null is gone, and one that is no object is what was said."""
    patched = merge_patch(target, patch)
    assert isinstance(patched, dict)
    for name in target.keys() | patch.keys():
        if name not in patch:
            assert text(patched[name]) == text(target[name])
        elif patch[name] is None:
            assert name not in patched
        elif not isinstance(patch[name], dict):
            assert text(patched[name]) == text(patch[name])
    assert patched.keys() <= target.keys() | patch.keys()


@SOME
@given(documents, documents | st.just({}))
def test_changed_fields_are_those_that_differ(one, other):
    """None are named if and only if the two documents are one; each is named once, in order of the alphabet."""
    one, other = without_nulls(one), without_nulls(other)
    differ = sorted(n for n in one.keys() | other.keys() if text(one.get(n)) != text(other.get(n)))
    assert changed_fields(one, other) == tuple(differ)
    assert changed_fields(other, one) == tuple(differ)
    assert (changed_fields(one, other) == ()) == (text(one) == text(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (True, 1, False),
        (False, 0, False),
        ([True], [1], False),
        ({"a": {"b": [False]}}, {"a": {"b": [0]}}, False),
        (1, 1.0, True),
        (0.5, Decimal("0.5"), True),
        ("1", 1, False),
        ([], {}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": None}, {}, False),
        ("", None, False),
    ],
)
def test_what_is_one_value(one, other, same):
    """True is not 1, order counts in arrays and not in objects, and a number is a number however it is written."""
    assert changed_fields({"x": one, "y": 1}, {"x": other, "y": 1}) == (() if same else ("x",))
