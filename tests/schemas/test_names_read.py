"""The business key and the account are read of whatever they can be read of, whatever else is wrong with it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from schemas.incoming import read
from tests.support.messages import command, customer, order, payment, update

GOOD = order("O-1", "BA-1")[1]
WRONG = {**GOOD, "items": [{**GOOD["items"][0], "tax": {"category": "S", "rate": "twenty"}}]}


def text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@pytest.mark.parametrize(
    ("routing_key", "body", "names"),
    [
        ("order.completed", WRONG, ("O-1", "BA-1")),
        ("order.completed", {**WRONG, "billingAccount": {"id": 4711}}, ("O-1", "4711")),
        ("order.completed", {**WRONG, "billingAccount": "BA-1", "orderId": 7}, ("7", "BA-1")),
        ("order.completed", {**WRONG, "billingAccount": {"id": "x" * 200}, "orderId": None}, (None, None)),
        ("order.completed", {**WRONG, "billingAccount": [{"id": "BA-1"}], "orderId": True}, (None, None)),
        ("order.completed", b'"P-1"', (None, None)),
        # No JSON, or not as a whole.
        ("order.completed", text(GOOD)[:-1], ("O-1", "BA-1")),
        ("order.completed", text(GOOD).replace(b'"currency"', b"currency"), ("O-1", "BA-1")),
        ("order.completed", b"[" + text(GOOD) + b"," + text(GOOD) + b",]", ("O-1", "BA-1")),
        ("order.completed", b"[" + text(GOOD) + b"," + text(order("O-2", "BA-1")[1]) + b",]", (None, "BA-1")),
        ("order.completed", text(GOOD).replace(b"BA-1", b"BA-1\xff"), ("O-1", None)),
        ("order.completed", text(GOOD).replace(b"EUR", b"\xff"), ("O-1", "BA-1")),
        ("order.completed", text({**GOOD, "x": [[[[[[[[[]]]]]]]]]}).replace(b"[[", b"[" * 40), ("O-1", "BA-1")),
        ("order.completed", text(GOOD).replace(b'"orderId"', b'"orderId": "O-2", "orderId"', 1)[:-1], (None, "BA-1")),
        # A type that nobody knows, a kind of message that has no key but its own id, and an id that is left to us.
        ("order.complete", GOOD, ("O-1", "BA-1")),
        ("payment.recieved", payment("P-1", "BA-2", "1.00")[1], ("P-1", "BA-2")),
        ("nothing.known", {"id": "X"}, (None, None)),
        ("account.update", {**update("BA-1", {})[1], "changes": 5}, ("m-1", "BA-1")),
        ("account.suspend", {**command("suspend", "BA-1")[1], "reason": 5}, ("m-1", "BA-1")),
        ("account.create", {**customer("BA-1")[1], "currency": "eu"}, ("BA-1", "BA-1")),
        ("account.create", {"name": "x"}, ("m-1", None)),
    ],
)  # fmt: skip
def test_names_of_what_is_refused(routing_key: str, body: Any, names: tuple[str | None, str | None]) -> None:
    """Also of a text that is no JSON; where there are several, none is told."""
    [incoming] = read(routing_key, text(body), "m-1", {}, None)
    assert incoming.refusal is not None
    assert (incoming.key, incoming.account) == names


def test_names_where_the_envelope_is_wrong() -> None:
    """A version or an encoding that nobody knows says nothing of the body."""
    for headers, encoding in (({"schema-version": 2}, None), ({}, "latin-1")):
        [incoming] = read("order.completed", text(GOOD), "m-1", headers, encoding)
        assert incoming.refusal is not None
        assert (incoming.key, incoming.account) == ("O-1", "BA-1")
    two, wrong = read("order.completed", text([GOOD, {**WRONG, "orderId": "O-2"}]), "m-1", {}, None)
    assert (two.key, two.refusal) == ("O-1", None)
    assert (wrong.key, wrong.account) == ("O-2", "BA-1")


@pytest.mark.parametrize("piece", ['"billingAccount":{', '"orderId":', '"billingAccount":{"id"', "{", '"id":"'])
def test_a_hostile_text_takes_no_more_than_its_length(piece: str) -> None:
    """A megabyte of the beginnings of names is looked through in a moment."""
    body = (piece * (1_000_000 // len(piece))).encode()
    begun = time.process_time()
    read("order.completed", body, "m-1", {}, None)
    assert time.process_time() - begun < 2
