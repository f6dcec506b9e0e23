"""The one table by which failures are sorted, and the places that messages are grouped by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, NotPrimaryError, OperationFailure, ServerSelectionTimeoutError

from adapters.records import HeldRow
from adapters.store.failures import Kind, failed_at, kind_of, refused_at
from adapters.store.transaction import ClaimLost
from domain.errors import MustWait, Refused
from domain.money import Currency, within_limit
from schemas.incoming import read
from tests.store import documents as make
from tests.support import messages


def labelled(error: OperationFailure, label: str) -> OperationFailure:
    """An error with one of the server's labels."""
    error._add_error_label(label)
    return error


KINDS: list[tuple[BaseException, Kind]] = [
    (MustWait("unknown-account", "no account BA-1", "account:BA-1"), Kind.WAITING),
    (MustWait("account-suspended", "BA-1", "resumed:BA-1"), Kind.WAITING),
    (Refused("account-closed", "BA-1"), Kind.PERMANENT),
    (AutoReconnect("connection reset"), Kind.AWAY),
    (NotPrimaryError("stepped down"), Kind.AWAY),
    (ServerSelectionTimeoutError("nobody there"), Kind.AWAY),
    (OperationFailure("disk full", 14_031), Kind.AWAY),
    (OperationFailure("the password is being changed", 18), Kind.AWAY),
    (labelled(OperationFailure("unknown", 91), "UnknownTransactionCommitResult"), Kind.AWAY),
    (labelled(OperationFailure("write conflict", 112), "TransientTransactionError"), Kind.TRANSIENT),
    (OperationFailure("write conflict", 112), Kind.TRANSIENT),
    (BulkWriteError({"writeErrors": [{"code": 11_000}]}), Kind.TRANSIENT),
    (ClaimLost(), Kind.TRANSIENT),
    (BulkWriteError({"writeErrors": [{"code": 10_334}]}), Kind.DEFECT),
    (OperationFailure("bad query", 2), Kind.DEFECT),
    (ZeroDivisionError(), Kind.DEFECT),
    (MemoryError(), Kind.DEFECT),
]


@pytest.mark.parametrize(("error", "kind"), KINDS, ids=lambda value: getattr(value, "name", type(value).__name__))
def test_each_failure_has_its_kind(error: BaseException, kind: Kind) -> None:
    assert kind_of(error) is kind


def test_a_transaction_of_age_is_no_transient_failure() -> None:
    """The server ends it as if it had been interrupted; run again it would be as old."""
    ended = labelled(OperationFailure("no such transaction", 251), "TransientTransactionError")
    assert kind_of(ended, seconds=1) is not Kind.DEFECT
    assert kind_of(ended, seconds=61) is Kind.DEFECT


def test_the_kinds_are_told_to_whoever_is_on_call() -> None:
    """The table of docs/operations.md has each kind, and no other."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    [table] = re.findall(r"\| kind \|.*?\n\n", text, re.DOTALL)
    told = [line.split("|")[1].strip() for line in table.splitlines()[2:] if line]
    assert told == [kind.name.lower() for kind in Kind]


@pytest.mark.parametrize(
    ("refusal", "place"),
    [
        (Refused("invalid", "x", ("items.3.rate", "items.4.rate", "currency")), "currency, items.*.rate"),
        (Refused("invalid", "currency: is none (got 'x'); evil: it"), "currency"),
        (Refused("invalid", "header schema-version: 2 is not known, only 1 is"), ""),
        (Refused("invalid", "must be an object"), ""),
        (Refused("malformed", "not JSON: Expecting value: line 1 column 7"), "not JSON"),
        (Refused("malformed", "the body has 1048577 bytes, more than 1048576"), "the body has"),
        (Refused("account-closed", "id: BA-1 is closed"), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else value.code,
)
def test_refusals_are_grouped_by_fields_and_not_by_values(refusal: Refused, place: str) -> None:
    assert refused_at(refusal) == place


def test_a_sender_s_words_are_no_fields() -> None:
    """What it writes into a field that does not fit makes no group of its own."""
    body = json.dumps({**messages.payment("P", "BA-1", 1)[1], "paymentId": "a); evil-one: b; other: c"})
    [incoming] = read("payment.received", body.encode(), "m-1", {}, None)
    assert incoming.refusal is not None
    assert "evil-one" in incoming.refusal.detail
    assert refused_at(incoming.refusal) == "paymentId"


def test_defects_are_grouped_by_the_innermost_function_of_ours() -> None:
    """Not by a line, nor by what the library below has thrown it."""
    with pytest.raises(TypeError) as caught:
        within_limit("x", Currency("EUR", 2), "the balance")  # type: ignore[arg-type]
    assert failed_at(caught.value) == "TypeError in domain/money.py: within_limit"
    with pytest.raises(ZeroDivisionError) as elsewhere:
        _ = 1 / 0
    assert failed_at(elsewhere.value) == "ZeroDivisionError"


def test_a_group_is_reason_type_and_place() -> None:
    def row(**fields: Any) -> HeldRow:
        return make.held_row("order.completed:O-1", **fields)

    groups = [row(), row(reason="invalid"), row(routing_key="payment.received"), row(place="currency")]
    assert len({one.group for one in groups}) == 4
    assert row(detail="another", account="BA-2", attempts=7, worker="w").group == row().group
