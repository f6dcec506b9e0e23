"""Whatever arrives, `read` answers: a fact, or a refusal with a code of the contract; it never raises."""

import json
import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from domain.accounts.model import NewAccount
from schemas.incoming import read
from tests.schemas.letters import MESSAGES, body
from tests.support.steady import STEADY

CODES = {"malformed", "invalid", "unknown-type"}

routing_keys = st.sampled_from(sorted(MESSAGES))
numbers = st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.sampled_from([2**53, -(2**53), 10**13])
texts = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["\ud800", "\x00", "1e5", "NaN", "2026-11-22T10:15:00Z", "0.2", "EUR", "A", "BillingAccount", "x" * 1001]
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
field_names = sorted(
    {"id", "unit", "value", "known", "document", "state", "creditLimit", "contact", "role", "partnerShare", "accrueOn"}
    | {"quantity", "unitPrice", "tax", "category", "rate", "onBehalfOf", "description"}
    | {name for message in MESSAGES.values() for name in message}
)
look_alikes: st.SearchStrategy[Any] = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(field_names), inner, max_size=6),
    max_leaves=12,
)


def check(routing_key: str, content: bytes, message_id: str | None = "m-1", encoding: str | None = None) -> None:
    """Read it, and see that the answer is one that the rest of the worker can do with."""
    facts = read(routing_key, content, message_id, {}, encoding)
    assert facts
    for incoming in facts:
        assert (incoming.fact is None) != (incoming.refusal is None)
        assert re.fullmatch("[0-9a-f]{64}", incoming.digest)
        assert incoming.routing_key == routing_key
        if incoming.refusal is not None:
            assert incoming.refusal.code in CODES
            assert 0 < len(incoming.refusal.detail) <= 1_200
            incoming.refusal.detail.encode()
            assert incoming.identity == f"unreadable:{incoming.digest}"
        else:
            assert re.fullmatch(re.escape(routing_key) + ":[A-Za-z0-9._:-]{1,70}", incoming.identity)
        if isinstance(incoming.fact, NewAccount):
            json.dumps(incoming.fact.document, ensure_ascii=False, allow_nan=False).encode()


@STEADY
@given(
    routing_keys | st.text(max_size=30), st.binary(max_size=200), st.none() | st.text(max_size=70), st.none() | texts
)
def test_any_bytes(routing_key, content, message_id, encoding):
    """Bytes of any kind, under any routing key, message id and encoding."""
    check(routing_key, content, message_id, encoding)


@STEADY
@given(routing_keys, st.text('[]{}",:0123456789.eE+-\\utrfalsn \n', max_size=60))
@example("order.completed", "[" * 200_000)
@example("order.completed", '{"a":' * 200_000)
@example("order.completed", "[" + "1," * 300_000)
@example("account.create", "1" * 300_000)
def test_almost_json(routing_key, text):
    """Text made of what JSON is made of."""
    check(routing_key, text.encode())


@STEADY
@given(routing_keys, look_alikes)
def test_any_json(routing_key, value):
    """JSON of any shape, with the names and values that messages are made of."""
    check(routing_key, json.dumps(value).encode())


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """A good message in which some fields, at any depth, have any other value, or are gone, or new."""
    routing_key = draw(routing_keys)
    message = json.loads(json.dumps(MESSAGES[routing_key]))
    for _ in range(draw(st.integers(1, 3))):
        part: Any = message
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = draw(st.sampled_from(keys)) if keys else None
            inner = part[key] if key is not None else None
            if not isinstance(inner, dict | list) or draw(st.booleans()):
                break
            part = inner
        if isinstance(part, dict) and (key is None or draw(st.integers(0, 5)) == 0):
            part[draw(st.sampled_from(field_names) | texts)] = draw(json_values)
        elif key is not None:
            part[key] = draw(json_values)
    return routing_key, message


@STEADY
@given(spoiled(), st.booleans())
def test_a_good_message_spoiled(letter, in_array):
    """A good message with a few fields that are anything at all, alone or in an array beside a good one."""
    routing_key, message = letter
    good = MESSAGES[routing_key]
    check(routing_key, json.dumps([good, message] if in_array else message).encode())


@STEADY
@given(routing_keys, st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_good_message_with_broken_bytes(routing_key, at, noise):
    """A good message with a few bytes of noise in it."""
    text = body(MESSAGES[routing_key])
    at %= len(text)
    check(routing_key, text[:at] + noise + text[at + len(noise) :])
