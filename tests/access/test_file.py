"""The access file: what it may say, all that can be wrong in it, and who is let in by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.access import (
    FILE_BYTES_MAX,
    KNOWN_MAX,
    PATTERNS_MAX,
    SENDERS_MAX,
    Access,
    AccessError,
    AccessFile,
    Speaker,
    Topics,
    read_access,
)
from adapters.records import Properties
from domain.errors import Refused
from schemas.messages import MESSAGES
from schemas.queries import QUERIES

FILE = """
[senders.shop]
send = ["order.*", "payment.received"]
ask = ["account.get"]

[senders.partner]
send = ["statement.report"]
ask = ["settlement.#"]
party = "P-7"

[senders.api]
send = ["seller.update"]
gateway = true
"""

NO_PATTERN = "is no topic pattern: words with dots between them, * for one, # for any number"


def written(directory: Path, text: str | bytes) -> str:
    """The path of a file with that text."""
    path = directory / "access.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """What stands in `FILE`."""
    return read_access(written(tmp_path, FILE))


def by(user: str | None, **headers: Any) -> Properties:
    """What a user sends with, and headers with a hyphen for the underscore."""
    return Properties(user_id=user, headers={name.replace("_", "-"): value for name, value in headers.items()})


# -- patterns


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (
            "order.completed",
            ["order.completed"],
            ["order", "order.completed.x", "Order.completed", "order.complete", ""],
        ),
        ("order.*", ["order.completed", "order."], ["order", "order.a.b", "xorder.completed"]),
        ("*.completed", ["order.completed", "payout.completed"], ["completed", "a.order.completed"]),
        ("order.#", ["order", "order.completed", "order.a.b"], ["orders", "orders.a", "x.order"]),
        ("#", ["order", "order.completed", "", "a.b.c"], []),
        ("#.completed", ["completed", "order.completed", "a.b.completed"], ["order", "completed.a"]),
        ("a.#.z", ["a.z", "a.b.z", "a.b.c.z", "a.z.z"], ["a", "z", "a.b", "b.z"]),
        ("a.#.*", ["a.b", "a.b.c"], ["a"]),
        ("#.#", ["", "a", "a.b"], []),
        ("*", ["order"], ["order.completed"]),
    ],
)
def test_a_pattern_fits_as_a_topic_exchange_has_it(pattern: str, fits: list[str], does_not: list[str]) -> None:
    """`*` is one word, `#` any number of words, none too."""
    topics = Topics((pattern,))
    assert [topic for topic in fits if not topics.match(topic)] == []
    assert [topic for topic in does_not if topics.match(topic)] == []


WORDS = st.sampled_from(["a", "b", "*", "#"])


@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6))
def test_any_pattern_fits_what_its_regular_expression_does(pattern: list[str], words: list[str]) -> None:
    """Worked out in another way: each word with its dot before it."""
    parts = {"*": r"\.[^.]+", "#": r"(?:\.[^.]+)*"}
    expression = "".join(parts.get(word, rf"\.{word}") for word in pattern)
    expected = re.fullmatch(expression, "." + ".".join(words)) is not None
    assert Topics((".".join(pattern),)).match(".".join(words)) is expected


def test_no_pattern_takes_long() -> None:
    """The longest one, of nothing but `#` and words that come again and again."""
    pattern = ".".join(["#", "a"] * 63)
    assert not Topics((pattern,)).match(".".join(["a"] * 120 + ["b"]))


# -- who is let in


def test_who_may_do_it(access: Access) -> None:
    """By the patterns of the user; of a gateway that speaks for another, by that one's."""
    assert access.sending(by("shop"), "order.completed") == Speaker("shop")
    assert access.sending(by("partner"), "statement.report") == Speaker("partner", None, "P-7")
    assert access.asking(by("partner"), "settlement.list") == Speaker("partner", None, "P-7")
    assert access.sending(by("api"), "seller.update") == Speaker("api")
    assert access.sending(by("api", acting_user="shop"), "order.completed") == Speaker("api", "shop")
    assert access.asking(by("api", acting_user="partner"), "settlement.get") == Speaker("api", "partner", "P-7")
    assert access.sending(by("api", acting_user="api"), "seller.update") == Speaker("api", "api")


@pytest.mark.parametrize(
    ("properties", "type_", "detail"),
    [
        (by(None), "order.completed", "user_id: is needed: the user that the sender is connected as"),
        (by(""), "order.completed", "user_id: is needed: the user that the sender is connected as"),
        (by("Shop"), "order.completed", "user_id: the access file has no [senders.Shop]"),
        (by("shop "), "order.completed", 'user_id: the access file has no [senders."shop "]'),
        (
            by("shop"),
            "payment.reversed",
            "user_id: shop may not send payment.reversed: it may send order.*, payment.received",
        ),
        (by("api"), "order.completed", "user_id: api may not send order.completed: it may send seller.update"),
        (
            by("shop", acting_user="shop"),
            "order.completed",
            "header acting-user: shop is no gateway, and speaks only for itself",
        ),
        (by("api", acting_user=""), "order.completed", 'header acting-user: the access file has no [senders.""]'),
        (by("api", acting_user="eve"), "order.completed", "header acting-user: the access file has no [senders.eve]"),
        (
            by("api", acting_user="shop"),
            "seller.update",
            "header acting-user: shop may not send seller.update: it may send order.*, payment.received",
        ),
        (
            by("api", acting_user=["shop"]),
            "order.completed",
            "header acting-user: must be a text, the user_id for whom a gateway speaks",
        ),
        (
            by(None, acting_user="shop"),
            "order.completed",
            "user_id: is needed: the user that the sender is connected as",
        ),
    ],
)
def test_who_may_not(access: Access, properties: Properties, type_: str, detail: str) -> None:
    """The detail says what would be right; asked again it is the same."""
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            access.sending(properties, type_)
        assert (refused.value.code, refused.value.detail) == ("forbidden", detail)


def test_to_send_is_not_to_ask(access: Access) -> None:
    """What fits one list says nothing of the other, also where the answer is remembered."""
    assert access.asking(by("shop"), "account.get")
    for ask in (access.sending, access.sending):
        with pytest.raises(Refused):
            ask(by("shop"), "account.get")
    with pytest.raises(Refused, match=r"may not ask order\.completed"):
        access.asking(by("shop"), "order.completed")


def test_what_is_remembered_has_an_end() -> None:
    """A sender of everything may name as many types as it likes."""
    access = read_access_of({"send": ["#"]})
    for n in range(KNOWN_MAX + 10):
        access.sending(by("any"), f"type.{n}")
    assert len(access._known) <= KNOWN_MAX


def read_access_of(sender: dict[str, Any]) -> Access:
    """The rights of one sender, `any`."""
    from adapters.access import Sender

    return Access.of([Sender("any", Topics(tuple(sender.get("send", ()))), Topics(tuple(sender.get("ask", ()))))])


def test_a_text_that_steers_a_terminal_is_not_said(access: Access) -> None:
    """Names and types are senders' texts."""
    with pytest.raises(Refused) as refused:
        access.sending(by("shop"), "order\x1b[2J\u202e" + "x" * 500)
    assert "\x1b" not in refused.value.detail
    assert "\u202e" not in refused.value.detail
    assert len(refused.value.detail) < 250


# -- what can be wrong with the file


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lists nobody: without a [senders.NAME] nothing at all would be let in"),
        ("[senders]\n", "lists nobody: without a [senders.NAME] nothing at all would be let in"),
        ("senders = 1", "senders: must be tables, as [senders.shop]"),
        ("[sender.shop]\n[senders.shop]", "sender is unknown: there is [senders.NAME]"),
        ("[senders]\nshop = 1", "[senders.shop]: must be a table"),
        (
            '[senders.shop]\nsends = ["#"]',
            "[senders.shop] sends is unknown, is send meant?: there are send, ask, party, gateway",
        ),
        ('[senders.shop]\nsend = "#"', '[senders.shop] send: must be a list of patterns, as ["account.*"]'),
        ("[senders.shop]\nsend = [1]", "[senders.shop] send: pattern 1 must be a text"),
        (
            '[senders.shop]\nsend = ["#", "order*"]',
            f'[senders.shop] send: pattern 2 "order*" {NO_PATTERN}',
        ),
        (
            '[senders.shop]\nask = ["account..get"]',
            f'[senders.shop] ask: pattern 1 "account..get" {NO_PATTERN}',
        ),
        (
            '[senders.shop]\nsend = ["order.complete"]',
            '[senders.shop] send: pattern 1 "order.complete" fits nothing that there is, is order.completed meant?',
        ),
        (
            '[senders.shop]\nsend = ["account.balance"]',
            '[senders.shop] send: pattern 1 "account.balance" fits nothing that there is: it is for ask',
        ),
        (
            "[senders.shop]\nparty = 7",
            "[senders.shop] party: must be the id of a party, as relatedParty of an account has it",
        ),
        (
            '[senders.shop]\nparty = ""',
            "[senders.shop] party: must be the id of a party, as relatedParty of an account has it",
        ),
        ('[senders.shop]\ngateway = "yes"', "[senders.shop] gateway: must be true or false"),
        ('[senders.""]', '[senders.""] a user_id has 1 to 255 bytes'),
    ],
)
def test_each_fault_is_named_with_its_table(tmp_path: Path, text: str, problem: str) -> None:
    """In one line, which says what would be right."""
    path = written(tmp_path, text)
    with pytest.raises(AccessError) as error:
        read_access(path)
    assert error.value.problems == (f"{path}: {problem}",)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    """Of one table and of several."""
    path = written(tmp_path, '[senders.a]\nsend = ["x.y.z"]\ngateway = 1\n[senders."b c"]\nrights = []\n')
    with pytest.raises(AccessError) as error:
        read_access(path)
    assert [line.removeprefix(f"{path}: ").partition("]")[0] for line in error.value.problems] == [
        "[senders.a",
        "[senders.a",
        '[senders."b c"',
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[senders.shop\n", "is no TOML: Expected ']' at the end of a table declaration"),
        (b"[senders.shop]\n[senders.shop]\n", "is no TOML: Cannot declare ('senders', 'shop') twice"),
        (b"[senders.sh\xff]", "is not UTF-8 (byte 11)"),
        (b"# " + b"x" * FILE_BYTES_MAX, f"has more than {FILE_BYTES_MAX} bytes"),
        (b"a = " + b"[" * 100_000, "is no TOML: "),
        (
            b"".join(b"[senders.s%d]\n" % n for n in range(SENDERS_MAX + 1)),
            f": senders: there are {SENDERS_MAX + 1}, more than {SENDERS_MAX}",
        ),
        (
            b"[senders.shop]\nsend = [" + b'"#",' * (PATTERNS_MAX + 1) + b"]",
            f": [senders.shop] send: has {PATTERNS_MAX + 1} patterns, more than {PATTERNS_MAX}",
        ),
    ],
    ids=["no end", "twice", "bytes", "large", "deep", "senders", "patterns"],
)
def test_what_is_no_file_of_ours(tmp_path: Path, content: bytes, problem: str) -> None:
    """Nor does it take long, or end in anything but a line."""
    path = written(tmp_path, content)
    with pytest.raises(AccessError) as error:
        read_access(path)
    [line] = error.value.problems
    assert line.startswith(path)
    assert problem in line


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """None there, and a directory."""
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(AccessError, match=r"can't be read \("):
            read_access(str(path))


def test_each_message_and_query_has_a_name_that_a_pattern_can_say() -> None:
    """Else nobody could be let in to it."""
    for name in (*MESSAGES, *QUERIES):
        assert Topics((name,)).match(name)
        assert all(re.fullmatch(r"[a-z-]+", word) for word in name.split("."))


# -- read again


def test_read_again_it_holds_at_once_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    """The rights stay, and the log says why."""
    file = AccessFile(written(tmp_path, FILE))
    before = file.current
    assert before is not None
    written(tmp_path, "[senders.shop]\nsned = []\n")
    with capture_logs() as logs:
        file.reload()
    assert file.current is before
    [line] = logs
    assert (line["event"], line["log_level"]) == ("access file refused: the rights stay as they were", "error")
    assert "[senders.shop] sned is unknown" in line["problem"]
    written(tmp_path, '[senders.shop]\nsend = ["payment.#"]\n')
    with capture_logs() as logs:
        file.reload()
    assert [line["event"] for line in logs] == ["access file read again"]
    assert file.current is not None
    assert file.current.sending(by("shop"), "payment.reversed") == Speaker("shop")
    with pytest.raises(Refused):
        file.current.sending(by("shop"), "order.completed")


def test_without_a_file_there_are_no_rights_to_look_at() -> None:
    """And nothing to read again."""
    file = AccessFile(None)
    file.reload()
    assert file.current is None
