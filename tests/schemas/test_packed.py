"""Bodies that gzip has packed: read like any other, within the same limits, and nothing but them."""

import gzip
import time
import tracemalloc

import pytest

from schemas.incoming import read
from schemas.wire import BODY_MAX, MEMBERS_MAX, text_of
from tests.schemas.letters import ACCOUNT, ORDER, accepted, body

PACKED = gzip.compress(body(ORDER))


def refused(content: bytes, encoding: str = "gzip") -> str:
    """The detail of what is `malformed`; such a body is held as it came, and says how it is packed."""
    [incoming] = read("order.completed", content, "m-1", {}, encoding)
    assert incoming.refusal is not None
    assert incoming.refusal.code == "malformed"
    assert (incoming.body, incoming.encoding) == (content, encoding)
    return incoming.refusal.detail


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_packed_message_is_the_message(encoding):
    """It has the identity and the digest of what is in it, and its bytes stay as they came."""
    [packed] = read("order.completed", PACKED, "m-1", {}, encoding)
    plain = accepted("order.completed", ORDER)
    assert (packed.identity, packed.digest, packed.fact) == (plain.identity, plain.digest, plain.fact)
    assert (packed.body, packed.encoding) == (PACKED, encoding)
    assert packed.digest_in(1) == plain.digest_in(1)


def test_a_part_of_a_packed_array_is_not_packed():
    """Each has its own text as its body, and stands by itself."""
    [first, second] = read(
        "account.create", gzip.compress(body([ACCOUNT, {**ACCOUNT, "id": "SA-2"}])), "m-1", {}, "gzip"
    )
    assert (first.encoding, second.encoding) == (None, None)
    for part in (first, second):
        [again] = read("account.create", part.body, part.message_id, {}, part.encoding)
        assert again == part


def test_members_one_after_another_are_one_body():
    """Files of gzip may be put together, and be filled up with zeros."""
    whole = body(ORDER)
    for packed in (gzip.compress(whole[:100]) + gzip.compress(whole[100:]), PACKED + b"\x00" * 100):
        [incoming] = read("order.completed", packed, "m-1", {}, "gzip")
        assert incoming.refusal is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "end is missing"),
        (body(ORDER), "not gzip"),
        (PACKED[:-1], "end is missing"),
        (PACKED[:40], "end is missing"),
        (PACKED[:-8] + bytes(8), "not gzip, or damaged"),
        (PACKED[:50] + b"\xff\xff" + PACKED[52:], "not gzip, or damaged"),
        (PACKED + b"garbage", "something follows"),
        (PACKED + PACKED[:20], "end is missing"),
        (gzip.compress(b"") * (MEMBERS_MAX + 1), f"more than {MEMBERS_MAX} members"),
        (gzip.compress(gzip.compress(body(ORDER))), "not UTF-8"),
    ],
    ids=["empty", "plain", "cut", "cut short", "sum", "damaged", "garbage", "second cut", "members", "twice"],
)
def test_what_cannot_be_unpacked_is_malformed(content, said):
    """Its bytes are kept as they came, and the detail says what is wrong with them."""
    assert said in refused(content)


def test_a_body_may_be_as_large_unpacked_as_plain():
    """The limit is that of the text; one byte more is too much, and says so."""
    assert len(text_of(gzip.compress(b" " * BODY_MAX), "gzip")) == BODY_MAX
    assert (
        refused(gzip.compress(b" " * (BODY_MAX + 1))) == f"the body has more than {BODY_MAX} bytes when it is unpacked"
    )


def test_a_bomb_costs_no_more_than_the_limit():
    """What would be sixty-four megabytes is left after the first megabyte of it."""
    member = gzip.compress(bytes(64 * 1024 * 1024), 1)
    assert len(member) < BODY_MAX
    tracemalloc.start()
    since = time.process_time()
    try:
        refused(member)
        assert tracemalloc.get_traced_memory()[1] < 8 * BODY_MAX
    finally:
        tracemalloc.stop()
    assert time.process_time() - since < 0.5
