"""A JSON object that has a field twice is ambiguous, and `malformed`: at any depth, however it is written."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refused
from schemas.incoming import read
from schemas.wire import parts_of, value_of
from tests.schemas.letters import ORDER, PAYMENT, body, refused


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": 1, "b": {"c": [0, {"d": 1, "d": 2}]}}', "b.c.1.d"),
        ('{"a" : 1, "a" : 2}', "a"),
        ('{"a":1,"a"\n:2}', "a"),
        ('{"a"\t:1, "a"\r\n:2}', "a"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"a": "x\\":", "b": 1, "b": 2}', "b"),
        ('{"": 1, "": 2}', '""'),
        ('{"a": {"": 1, "": 2}}', "a."),
        ('{"ä": {"ö": 1, "ö": 2}}', "ä.ö"),
        ('{"a": {}, "a": {}}', "a"),
        ('[{"a": 1}, {"a": 1, "a": 2}]', "1.a"),
    ],
)
def test_a_field_that_is_there_twice_is_named(text, path):
    """The detail says which, and where."""
    with pytest.raises(Refused) as caught:
        value_of(text)
    assert caught.value.code == "malformed"
    assert caught.value.detail == f"an object has a field twice: {path}, and it is not clear which is meant"


@pytest.mark.parametrize(
    "text",
    ['{"a": "b\\":c", "d": "\\":\\":"}', '{"a" : {"a" : 1}}', '{"a": [{"a": 1}, {"a": 1}], "b": "{\\"a\\": 1}"}', "{}"],
)
def test_fields_of_one_name_in_several_objects_are_fine(text):
    """Whatever stands in a text or between a name and its colon."""
    assert value_of(text) == json.loads(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(value=_JSON, ascii_=st.booleans(), separators=st.sampled_from([(",", ":"), (" ,\n", " \t: "), (", ", ": ")]))
def test_what_is_unambiguous_is_read(value, ascii_, separators):
    """Any value comes back as it was written."""
    assert value_of(json.dumps(value, ensure_ascii=ascii_, separators=separators)) == value


@given(
    st.dictionaries(st.text(max_size=3), _JSON, min_size=1, max_size=4), st.data(), st.sampled_from([":", " :", "\n:"])
)
def test_whatever_is_doubled_is_refused(value, data, colon):
    """A field of an object, put in a second time anywhere, is found."""
    doubled = data.draw(st.sampled_from(sorted(value)))
    fields = [*value.items()]
    fields.insert(data.draw(st.integers(0, len(fields))), (doubled, data.draw(_JSON)))
    text = "{" + ", ".join(f"{json.dumps(name)}{colon}{json.dumps(item)}" for name, item in fields) + "}"
    with pytest.raises(Refused, match="twice"):
        value_of(f'{{"in": [{text}]}}')


def test_a_payment_with_two_amounts_is_malformed():
    """Neither of them counts: the message is parked, and nothing is booked."""
    text = body(PAYMENT).replace(b'"amount": {', b'"amount": {"unit": "EUR", "value": 1}, "amount": {')
    refusal = refused("payment.received", text)
    assert (refusal.code, "amount" in refusal.detail) == ("malformed", True)


def test_one_of_an_array_that_is_ambiguous_stands_alone():
    """The facts beside it are read."""
    twice = body(ORDER).replace(b'"currency"', b'"orderId": "O-2", "currency"')
    good, bad, last = read("order.completed", b"[" + b",".join([body(ORDER), twice, body(ORDER)]) + b"]", "m", {}, None)
    assert (good.refusal, last.refusal) == (None, None)
    assert bad.refusal is not None
    assert bad.refusal.code == "malformed"


def test_what_was_taken_in_before_is_read_as_it_was():
    """The last of two fields counts, as it did: a message that waits is not asked at the door again."""
    assert parts_of('{"a": 1, "a": 2.5}', accepted=True) == [({"a": Decimal("2.5")}, None)]
    twice = body(PAYMENT).replace(b'"paymentId"', b'"method": "card", "paymentId"')
    [before] = read("payment.received", twice, "m-1", {}, None, accepted=True)
    assert before.refusal is None
    assert before.digest_in(1) == before.digest
    [now] = read("payment.received", twice, "m-1", {}, None)
    assert now.refusal is not None


def test_a_name_of_a_megabyte_makes_a_short_detail():
    """And what can't be encoded is not in it."""
    name = '"\\ud800' + "x" * 500_000 + '"'
    with pytest.raises(Refused) as caught:
        value_of(f"{{{name}: 1, {name}: 2}}")
    assert len(caught.value.detail.encode()) < 500
