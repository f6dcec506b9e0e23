"""What senders are told is in their own terms: the path, the value, what would be right; nothing of what reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.accounts.tmf666 import RESOURCES, OneOf
from schemas.incoming import read
from schemas.message import _OURS, WORDS
from schemas.messages import CONTINUATIONS, HELD_MESSAGES
from schemas.queries import QUERIES
from schemas.values import shown
from tests.integration.test_fuzz import written
from tests.schemas.letters import ACCOUNT, MESSAGES, ORDER, PAYMENT, Raw, change, refused

FOREIGN = re.compile(
    r"\b(dict|dictionary|tuple|list|instance|Decimal|None|NoneType|True|False|str|int|float|bool|datetime"
    r"|object at|Python|pydantic|Input|valid"
    r"|[A-Z]\w+(?:Error|Ref|Part|Completed|Received)|utf-8|codec|delimiter|char \d+|Expecting)\b"
    r"|[(]line|<class"
)
"""Words of Python and of its libraries, and the names of classes."""
# What the sender wrote is its own.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|'.{58,}?(?=[);])")

TOO_FAR = "is not, in UTC, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z: no other can be kept"
TOO_LONG = "must be a number of at most 15 significant digits: send it as a text"

RAISED = {
    "str": ("string_type", "string_unicode", "string_too_long"),
    "int": ("int_type", "greater_than_equal", "less_than_equal"),
    "bool": ("bool_type",),
    "literal": ("literal_error",),
    "list": ("list_type",),
    "tuple": ("tuple_type",),
    "dict": ("dict_type",),
    "model": ("model_type",),
    "model-fields": ("missing", "extra_forbidden"),
    "function-before": ("value_error", "of_a_part"),
    "function-after": ("value_error",),
    "function-plain": ("value_error", "not_of_this_place"),
    "custom-error": ("no_id",),
    **dict.fromkeys(("any", "nullable", "default", "model-field", "definitions", "definition-ref", "is-instance"), ()),
}
"""What each kind of pydantic's checks may find wrong, as far as our models ask it to."""


READ_ON = ("str", "model", "model-fields")


def checks(schema: Any) -> Iterator[dict[str, Any]]:
    """All checks that a model's is made of."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for name, part in schema.items():
            if name == "function":
                place = getattr(part["function"], "__self__", None)
                for kind in place.kinds.values() if isinstance(place, OneOf) else ():
                    yield from checks(kind.__pydantic_core_schema__)
            elif (schema.get("type"), name) == ("function-before", "schema") and part["type"] not in READ_ON:
                continue  # what our function has made of a value fits
            elif name == "definitions":
                # A dataclass is only ever what our function has made, and stands here where two fields have it.
                yield from checks([one for one in part if one["type"] != "dataclass"])
            elif name not in ("metadata", "serialization"):
                yield from checks(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from checks(part)


def test_every_error_that_a_model_can_raise_has_words() -> None:
    """Of each kind of check in all messages, queries and documents it is known what it raises, and how that is said."""
    models = [*HELD_MESSAGES.values(), *QUERIES.values(), *RESOURCES.values()]
    kinds = {check["type"] for model in models for check in checks(model.__pydantic_core_schema__)}
    assert kinds - RAISED.keys() == set()
    assert kinds >= {"str", "int", "model", "literal", "dict", "list", "tuple", "bool", "custom-error"}
    raised = {error for kind in kinds for error in RAISED[kind]}
    assert raised == WORDS.keys() | set(_OURS)


def test_whole_numbers_are_asked_for_strictly() -> None:
    """Otherwise a number that is no whole one, or a text, would be read as one, or be wrong in more ways."""
    ours = CONTINUATIONS.values()
    for model in [*HELD_MESSAGES.values(), *QUERIES.values(), *RESOURCES.values()]:
        for check in checks(model.__pydantic_core_schema__):
            if check["type"] in ("int", "bool"):
                assert check.get("strict") or model in ours, (model, check)


def told(detail: str) -> str:
    """A detail without what the sender wrote."""
    return _QUOTED.sub("…", detail)


def test_no_detail_speaks_python() -> None:
    """Of thousands of wrong letters none is told a word of Python, or of a library."""
    details = set()
    for seed in (1, 2):
        for routing_key, content, properties in written(seed, 3_000).letters:
            headers, encoding = properties.get("headers", {}), properties.get("content_encoding")
            for incoming in read(routing_key, content, "m-1", headers, encoding):
                if incoming.refusal is not None:
                    details.add(incoming.refusal.detail)
    assert len(details) > 300
    foreign = {detail: found[0] for detail in details if (found := FOREIGN.search(told(detail)))}
    assert foreign == {}


@pytest.mark.parametrize(
    ("routing_key", "message", "detail"),
    [
        (
            "payment.received",
            change(PAYMENT, "amount.value", Raw("0.30000000000000004")),
            "amount.value: has 17 digits after the point, EUR has 2 (got 0.30000000000000004)",
        ),
        (
            "payment.received",
            change(PAYMENT, "amount", {"unit": "JPY", "value": 1.5}),
            "amount.value: has 1 digits after the point, JPY has none (got 1.5)",
        ),
        (
            "payment.received",
            change(PAYMENT, "amount.value", Raw("100000000000.01")),
            "amount.value: is beyond ±100000000000, the largest amount of EUR (got 100000000000.01)",
        ),
        ("payment.received", change(PAYMENT, "amount.value", 0), "amount: must be more than zero (got 0 EUR)"),
        (
            "payment.received",
            change(PAYMENT, "amount.unit", "eur"),
            "amount.unit: must be an ISO 4217 currency code, as EUR (got 'eur')",
        ),
        (
            "payment.received",
            change(PAYMENT, "amount.value", Raw("1e2")),
            "amount.value: must be a finite number without an exponent, as 39.9 (got 1E+2)",
        ),
        (
            "order.completed",
            change(ORDER, "items.0.unitPrice", Raw("0.30000000000000004")),
            "items.0.unitPrice: has 17 digits after the point, at most 8 are taken (got 0.30000000000000004)",
        ),
        (
            "order.completed",
            change(ORDER, "items.0.quantity", "123456789012"),
            "items.0.quantity: has 12 digits before the point, at most 11 are taken (got '123456789012')",
        ),
        (
            "order.completed",
            change(ORDER, "items.0.quantity", None),
            "items.0.quantity: must be a number, or a text that holds one, as 39.9 (got null)",
        ),
        ("order.completed", change(ORDER, "items.0", "x"), "items.0: must be an object (got 'x')"),
        ("order.completed", change(ORDER, "items", {}), "items: must be an array (got an object)"),
        ("order.completed", change(ORDER, "items.1.id", "1"), "items.1.id: is an earlier line's (got '1')"),
        ("order.completed", [[]], "must be an object"),
        (
            "account.create",
            {**ACCOUNT, "paymentTermDays": Raw("5.0")},
            "paymentTermDays: must be a whole number, as 5 (got 5.0)",
        ),
        (
            "account.create",
            {**ACCOUNT, "paymentTermDays": True},
            "paymentTermDays: must be a whole number, as 5 (got true)",
        ),
        ("account.create", {**ACCOUNT, "paymentTermDays": 5000}, "paymentTermDays: must be at most 3650 (got 5000)"),
        (
            "account.create",
            {**ACCOUNT, "loyalty": {"points": [Raw("0.30000000000000004")]}},
            f"loyalty.points.0: {TOO_LONG} (got 0.30000000000000004)",
        ),
        (
            "account.create",
            change(ACCOUNT, "settlementTerms.accrueOn", "never"),
            "settlementTerms.accrueOn: must be 'invoice' or 'payment' (got 'never')",
        ),
        ("payment.received", b"\xef\xbb\xbf{}", "the body begins with a byte order mark (EF BB BF): send it without"),
        ("payment.received", b"", "not JSON: a value is expected at line 1, column 1, and the body ends there"),
        (
            "payment.received",
            b'{"amount": 1,\n "x" 2}',
            "not JSON: \":\" is expected at line 2, column 6, and '2' is there",
        ),
        ("payment.received", b"{}x", "not JSON: something follows its end at line 1, column 3"),
        ("payment.received", b"[" * 100_000, "nested deeper than 32"),
        (
            "order.completed",
            change(ORDER, "completedAt", "9999-12-31T23:59:59-05:00"),
            f"completedAt: {TOO_FAR} (got '9999-12-31T23:59:59-05:00')",
        ),
        (
            "order.completed",
            change(ORDER, "completedAt", "2026-02-30T00:00:00Z"),
            "completedAt: is not a time that exists (got '2026-02-30T00:00:00Z')",
        ),
    ],
)
def test_what_is_told(routing_key: str, message: Any, detail: str) -> None:
    """The path, what would be right, and what is there instead."""
    refusal = refused(routing_key, message)
    assert refusal.detail == detail


@pytest.mark.parametrize("routing_key", MESSAGES)
def test_each_needed_field_is_named(routing_key: str) -> None:
    """An empty object lacks them all."""
    refusal = refused(routing_key, {})
    assert set(refusal.fields) == {name.strip() for name in re.findall(r"(?:^|; )([^:]+): is needed", refusal.detail)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (10**400, "a number of more than 60 digits"),
        (1e5, "1E+5"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "nan"),
        ([1], "an array"),
        ({}, "an object"),
        ("it's", '"it\'s"'),
    ],
)
def test_a_value_is_shown_as_json_has_it(value: Any, text: str) -> None:
    assert shown(value).replace("NaN", "nan") == text


def test_a_detail_can_always_be_sent_and_kept() -> None:
    """Whatever a name or a value holds: lone surrogates are replaced, and it is not long."""
    for text in (b'{"\\ud800": 1, "\\ud800": 2}', b'{"paymentId": "\\ud800"}', b'{"paymentId": "%s"}' % (b"x" * 5000)):
        assert len(json.dumps(refused("payment.received", text).detail).encode()) < 2_000
        refused("payment.received", text).detail.encode()
