"""Reading queries: arguments, cursors and limits, whatever the bytes are."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refused
from schemas.accounts.queries import AccountList, AccountStatement, StatementPlace
from schemas.queries import QUERIES, read_query
from schemas.query import cursor, from_milliseconds, milliseconds
from schemas.settlement.queries import SettlementList

CODES = {"unknown-type", "malformed", "invalid"}


def ask(name: str | None, arguments: Any, headers: Any = None, encoding: str | None = None) -> Any:
    body = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    return read_query(name, body, headers or {}, encoding)


def refusal(name: str | None, arguments: Any, **how: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(name, arguments, **how)
    return caught.value


def test_the_queries_are_the_contract_s() -> None:
    assert set(QUERIES) == {
        "account.get",
        "account.list",
        "account.balance",
        "account.tree",
        "account.statement",
        "account.history",
        "invoice.get",
        "invoice.list",
        "settlement.get",
        "settlement.list",
        "settlement.preview",
        "agreement.get",
        "agreement.list",
        "reserve.list",
        "self-billing.get",
        "self-billing.list",
        "settlement-document.get",
        "settlement-document.list",
        "seller.get",
        "seller.history",
        "credit-note.get",
        "credit-note.list",
        "refund.list",
        "dispute.get",
        "dispute.list",
        "payment.get",
        "payment.list",
        "charge.list",
        "subscription.get",
        "subscription.list",
        "usage.list",
        "bill.preview",
        "dunning.get",
        "bill-run.get",
        "bill-run.list",
        *(
            f"{kind}.{verb}"
            for kind in ("billing-cycle-specification", "bill-format", "bill-presentation-media", "dunning-procedure")
            for verb in ("get", "list")
        ),
        *(f"parked.{verb}" for verb in ("groups", "list", "get", "accounts", "history")),
    }


def test_arguments_are_read_by_their_names_on_the_wire() -> None:
    """Names are camelCase, defaults are filled in, unknown fields ignored, null is not said."""
    found = ask("account.list", {"@type": "PartyAccount", "relatedParty": "Ä/1", "namePrefix": None, "x": 1})
    assert found == AccountList.model_validate({"@type": "PartyAccount", "relatedParty": "Ä/1"})
    assert (found.limit, found.after, found.name_prefix) == (50, None, None)
    at = ask("account.get", {"id": "BA-1", "at": "2026-11-22T11:15:00.5+01:00"}).at
    assert at == datetime(2026, 11, 22, 10, 15, 0, 500_000, tzinfo=UTC)
    statement = ask("account.statement", {"id": "BA-1", "from": "2026-11-01", "to": "2026-11-22T10:15:00Z"})
    assert statement.since == date(2026, 11, 1)
    assert not isinstance(statement.since, datetime)
    assert statement.until == datetime(2026, 11, 22, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "arguments", "code", "detail"),
    [
        ("account.list", {"limit": 50.0}, "invalid", "limit: "),
        ("account.list", {"limit": True}, "invalid", "limit: "),
        ("account.list", b'{"limit": 1e400}', "invalid", "limit: "),
        ("account.list", b'{"limit": ' + b"9" * 5000 + b"}", "invalid", "limit: "),
        ("account.list", {"namePrefix": "a\0"}, "invalid", "namePrefix: holds a NUL character"),
        ("account.list", {"namePrefix": "x" * 1001}, "invalid", "namePrefix: is longer than 1000"),
        ("account.list", b'{"relatedParty": "\\ud800"}', "invalid", "relatedParty: holds a lone surrogate"),
        ("account.get", {"id": "BA-1", "party": 77}, "invalid", "party: must be a text"),
        ("account.get", {"id": "BA-1", "party": "x" * 1001}, "invalid", "party: is longer than 1000"),
        ("invoice.list", {}, "invalid", "needs billingAccount or seller, one of both"),
        ("invoice.list", {"billingAccount": "BA-1", "seller": "SA-1"}, "invalid", "needs billingAccount or seller"),
        ("credit-note.list", {}, "invalid", "needs billingAccount or seller, one of both"),
        ("credit-note.list", {"billingAccount": "BA-1", "seller": "SA-1"}, "invalid", "needs billingAccount or seller"),
        ("dispute.list", {}, "invalid", "needs billingAccount or seller, one of both"),
        ("dispute.list", {"billingAccount": "BA-1", "seller": "SA-1"}, "invalid", "needs billingAccount or seller"),
        ("parked.list", {"party": "a\0"}, "invalid", "party: holds a NUL character"),
        ("account.list", {"paymentStatus": "Paid"}, "invalid", "(got 'Paid')"),
        ("account.list", b"", "malformed", "not JSON"),
        ("account.list", b"{}{}", "malformed", "something follows"),
        ("account.list", b"null", "invalid", "must be an object"),
        ("account.list", b"[" * 100_000, "malformed", "nested deeper than 32"),
        ("account.list", b'{"state": "active", "state": "closed"}', "malformed", "a field twice: state"),
        ("account.statement", {"id": "BA-1", "from": 5}, "invalid", "from: must be a date"),
        ("account.statement", {"id": "BA-1", "from": "2026-02-30"}, "invalid", "from: is not a date that exists"),
        ("account.drop" * 100, {}, "unknown-type", "no query is named"),
    ],
)
def test_what_is_wrong_is_named(name: str, arguments: Any, code: str, detail: str) -> None:
    found = refusal(name, arguments)
    assert found.code == code
    assert detail in found.detail
    assert len(found.detail) <= 1_000


def test_encoding_and_version_are_looked_at_as_with_messages() -> None:
    assert ask("account.list", {}, headers={"schema-version": 1}, encoding="UTF-8")
    assert refusal("account.list", {}, encoding="gzip").code == "malformed"
    assert refusal("account.list", {}, headers={"schema-version": 2}).code == "invalid"


def test_cursors_come_back_as_they_went() -> None:
    """They are safe in URLs, and hold any name."""
    for name in ("", "ada", "ß 😀\n\"'\\", "x" * 3_000, "\U0010ffff"):
        text = cursor("account.list", "named", name, "BA-1")
        assert text.replace("-", "").replace("_", "").isalnum()
        assert ask("account.list", {"after": text}).after == ("named", name, "BA-1")
    place = StatementPlace("BA-1", None, 5, 4, 3, 2)
    assert ask("account.statement", {"id": "BA-1", "after": place.cursor()}).after == place
    place = place._replace(since=0)
    assert ask("account.statement", {"id": "BA-1", "after": place.cursor()}).after == place
    moment = datetime(2026, 11, 22, 10, 15, 0, 123_000, tzinfo=UTC)
    text = cursor(SettlementList.TYPE, milliseconds(moment), "C-1")
    assert ask("settlement.list", {"settlementAccount": "SA-1", "after": text}).after == (moment, "C-1")


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001  # made aware
def test_times_go_into_cursors_to_the_millisecond(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    assert from_milliseconds(milliseconds(moment)) == moment


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '["account.list"]',
        '["account.list", "listed", "", 5]',
        '["account.list", "listed", "", null]',
        '["account.list", "listed", "", "a", "b"]',
        '["account.list", "listed", "", "\\u0000"]',
        '["account.list", "listed", "", "\\ud800"]',
        '["invoice.list", "listed", "", "BA-1"]',
        '[5, "listed", "", "BA-1"]',
        "[" * 1_500,
    ],
)
def test_a_cursor_that_is_not_ours_is_invalid(content: str) -> None:
    text = urlsafe_b64encode(content.encode()).decode().rstrip("=")
    found = refusal("account.list", {"after": text})
    assert (found.code, found.detail.split(":")[0]) == ("invalid", "after")


@pytest.mark.parametrize("bad", [-(10**14), 2**53 + 1, 10**18, True, "5", None, 1.5])
def test_numbers_of_a_forged_cursor_are_looked_at(bad: Any) -> None:
    """A time must be one that exists, and a balance an integer."""
    places: list[list[Any]] = [["SA-1", 0, bad, 1, 1, 1, *[0] * 6], ["SA-1", 0, 1, 1, bad, 1, *[0] * 6]]
    if bad != -(10**14):
        places += [["SA-1", 0, 1, bad, 1, 1, *[0] * 6], ["SA-1", 0, 1, 1, 1, 1, *[0] * 5, bad]]
    for place in places:
        found = refusal("account.statement", {"id": "SA-1", "after": cursor(AccountStatement.TYPE, *place)})
        assert found.code == "invalid"
    found = refusal("settlement.list", {"settlementAccount": "SA-1", "after": cursor(SettlementList.TYPE, bad, "C-1")})
    assert found.code == "invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        "id",
        "at",
        "from",
        "to",
        "limit",
        "after",
        "@type",
        "state",
        "relatedParty",
        "namePrefix",
        "paymentStatus",
        "billNo",
        "party",
    ]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["BA-1", "2026-11-22", "2026-11-22T10:00:00Z", cursor("account.list", "a")]
)


@given(
    st.sampled_from([*QUERIES, "", "x"]),
    st.binary(max_size=50) | st.dictionaries(FIELDS, JSON | TEXTS).map(lambda value: json.dumps(value).encode()),
    st.none() | st.text(max_size=10),
)
def test_whatever_comes_is_read_or_refused(name: str, body: bytes, encoding: str | None) -> None:
    """Nothing but `Refused` is raised, with one of three codes, and a detail that can be sent."""
    try:
        query = read_query(name, body, {}, encoding)
    except Refused as refusal:
        code, detail = refusal.code, refusal.detail
    else:
        assert isinstance(query, QUERIES[name])
        return
    assert code in CODES
    assert len(detail.encode()) <= 4_000
