"""Books that an earlier version wrote are migrated, proved, and gone on with, as if there had been one version only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from adapters.audit import audit
from schemas.continuations import HELD_MESSAGES
from schemas.wire import Incoming, read
from tests.support.books import Books, Document
from tests.support.older import OlderBooks, form_1

OLDER: tuple[Callable[[], OlderBooks], ...] = (form_1,)


@pytest.fixture(params=OLDER, ids=lambda older: older.__name__)
def older(request: pytest.FixtureRequest) -> OlderBooks:
    """Each of the forms that there were."""
    read: Callable[[], OlderBooks] = request.param
    return read()


def broken(database: Books, older: OlderBooks) -> list[Document]:
    """What the audit finds broken when the older version's last worker has just died."""
    report = audit(database, now=older.written_at, relay_interval_seconds=3_600)
    return [check for check in report["checks"] if not check["ok"]]


def test_what_is_kept_has_something_of_each_kind(older: OlderBooks) -> None:
    """All accounts, states and rows that its README tells of are there: a later test of them proves something."""
    rows = older.rows
    assert {row["type"] for row in rows["accounts"]} >= {
        "BillingAccount",
        "SettlementAccount",
        "PartyAccount",
        "FinancialAccount",
    }
    states = {"defined", "active", "suspended", "pendingClose", "closed", "deleted"}
    assert {row["state"] for row in rows["accounts"]} == states
    assert {row["state"] for row in rows["invoices"]} == {"new", "partiallyPaid", "settled"}
    assert {row["state"] for row in rows["settlements"]} == {"open", "partiallyPaid", "paid", "carriedForward"}
    assert {row["state"] for row in rows["held"]} == {"waiting", "suspect", "parked", "discarded"}
    awaited = {str(row["waitsFor"]).partition(":")[0] for row in rows["held"] if row["state"] == "waiting"}
    assert awaited == {"account", "resumed", "settlement", "bill-format", "None"}
    left = Counter(row["routingKey"] for row in rows["held"] if row["reason"] == "continued")
    assert left == {"credit.allocate": 3, "settlement.continue": 1}
    assert any(row["claimedUntil"] for row in rows["held"])
    assert any(row.get("pieces") for row in rows["held"])
    assert {row["act"] for row in rows["operatorActs"]} == {"replay", "edit", "discard", "undo", "note"}
    assert {row["state"] for row in rows["replays"]} == {"done", "stopped"}
    outbox = rows["outbox"]
    for field in ("unsent", "sentAt", "parkedAt", "refusals", "unconfirmed", "released"):
        assert any(field in row for row in outbox), field
    assert min(len(rows[name]) for name in rows) > 0


def test_older_books_are_right_as_they_are(older: OlderBooks, new_database: Books) -> None:
    """Restored, before anything is done to them, the audit finds nothing wrong with them."""
    older.restore(new_database)
    assert broken(new_database, older) == []


def test_each_recorded_digest_is_made_again(older: OlderBooks) -> None:
    """Of every message that was applied or held, in the version in which it was recorded."""

    def read_again(routing_key: str, body: bytes, message_id: str | None) -> Incoming:
        [found] = read(routing_key, body, message_id, {}, None, HELD_MESSAGES)
        return found

    sent = [read_again(message.routing_key, message.body, message.message_id) for message in older.messages]
    # Other content under a used identity came later, and is held.
    first = {incoming.identity: incoming for incoming in reversed(sent)}
    applied = {row["_id"]: row for row in older.rows["inbox"] if row["_id"] in first}
    edited = {row["identity"] for row in older.rows["operatorActs"] if row["act"] == "edit"}
    assert len(applied) > 100
    for identity, row in applied.items():
        if identity not in edited:
            assert first[identity].digest_in(row["digestVersion"]) == row["digest"], identity
    for row in older.rows["held"]:
        if row.get("pieces") or row["_id"].partition(":")[0] == "unreadable":
            continue  # known by its bytes
        again = read_again(row["routingKey"], bytes(row["body"]), row["messageId"])
        assert again.digest_in(row["digestVersion"]) == row["digest"], row["_id"]
