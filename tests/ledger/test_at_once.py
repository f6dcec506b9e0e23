"""Facts that are decided on at the same time, by one worker or by two: it is as if one had come after the other."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.model import SETTLEMENT, StateCommand
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    billing,
    closing,
    command,
    financial,
    line,
    order,
    partner,
    payment,
    payout,
    relation,
    respecify,
    specification,
    unspecify,
    update,
)
from tests.support.steady import steady


def relates(account: str, kind: str, *others: str, since: str | None = None, until: str | None = None) -> Fact:
    """An update that leaves an account with relationships of one kind to others."""
    return update(account, relationships=[relation(kind, other, since=since, until=until) for other in others])


UP_AND_DOWN = (line("9"), line("5.00", "0", "SA-1"), line("-5.00", "0", "SA-1"))
ACCOUNTS: list[Fact] = [billing(id_) for id_ in "ABC"]
RELATIONS: list[Fact] = [
    relates(one, kind, other) for kind in ("contains", "payer") for one, other in ("AB", "BA", "BC", "CA", "AC", "CB")
]

SETTINGS: dict[str, tuple[list[Fact], list[Fact]]] = {
    "hierarchies": (
        [*ACCOUNTS],
        [*RELATIONS, *[command("delete", id_) for id_ in "ABC"], relates("A", "cousin", "B"), update("A", name="x")],
    ),
    "periods": (
        [
            *ACCOUNTS,
            billing("D"),
            relates("A", "contains", "C", until="2026-01-01"),
            relates("B", "contains", "C", since="2030-01-01"),
        ],
        [
            relates("A", "contains", "C", until="2027-01-01"),
            relates("A", "contains", "C", until="2025-01-01"),
            relates("B", "contains", "C", since="2026-06-01"),
            relates("B", "contains", "C", since="2028-01-01"),
            relates("D", "contains", "C", since="2026-03-01", until="2026-09-01"),
            relates("D", "contains", "C", since="2026-03-01", until="2026-04-01"),
            relates("A", "contains"),
            relates("B", "contains"),
            *[command("delete", id_) for id_ in "ABCD"],
        ],
    ),
    "payers": (
        [*ACCOUNTS, relates("A", "payer", "B"), relates("B", "payer", "C"), order("O-0", line("1"), account="A")],
        [
            order("O-1", line("1.00"), account="A"),
            order("O-2", line("0"), account="B"),
            relates("A", "payer"),
            relates("B", "payer"),
            relates("B", "payer", "C", since="2027-01-01"),
            update("C", creditLimit=150),
            *[payment(f"P-{id_}", 100, account=id_) for id_ in "ABC"],
            *[command(name, id_) for name in ("suspend", "close", "delete") for id_ in "ABC"],
            relates("C", "payer", "A"),
        ],
    ),
    "money": (
        [
            billing("A", creditLimit=500),
            partner(share="1"),
            partner("SA-2", "1", "payment"),
            order("O-0", line("5.00", "0", "SA-1"), line("1.00", "0", "SA-2"), account="A"),
            closing("C-0"),
        ],
        [
            order("O-1", *UP_AND_DOWN, account="A"),
            order("O-2", line("9"), line("1.00", "0", "SA-2"), line("-1.00", "0", "SA-2"), account="A"),
            payment("P-1", 600, account="A"),
            payment("P-2", 100, account="A"),
            *[closing(f"C-{id_}", id_) for id_ in ("SA-1", "SA-2")],
            payout("PO-1", 500, "C-0"),
            payout("PO-2", 300, "C-0"),
            update("A", creditLimit=100),
            update("A", paymentTermDays=3),
            update("SA-1", type_=SETTLEMENT, share="0.5"),
            *[command(name, id_) for name in ("suspend", "close", "reopen", "delete") for id_ in ("A", "SA-1", "SA-2")],
        ],
    ),
    "partners without money": (
        [billing("A"), partner("SA-1", "1", "payment"), partner("SA-2", "0")],
        [
            order("O-1", *UP_AND_DOWN, account="A"),
            order("O-2", line("9", "0", "SA-2"), account="A"),
            order("O-3", line("0"), account="A"),
            payment("P-1", 10_000, account="A"),
            *[closing(f"C-{id_}", id_) for id_ in ("SA-1", "SA-2")],
            *[command(name, id_) for name in ("suspend", "close", "delete") for id_ in ("A", "SA-1", "SA-2")],
        ],
    ),
    "references": (
        [*ACCOUNTS[:2], financial(), specification(), specification("F-2")],
        [
            update("A", refersTo={"financialAccount": "FA-1"}),
            update("A", refersTo={"format": "F-1"}),
            update("B", refersTo={"format": "F-1", "financialAccount": "FA-1"}),
            billing("C", refersTo={"financialAccount": "FA-1", "format": "F-2"}),
            billing("D", relationships=[relation("payer", "A")]),
            billing("E", relationships=[relation("contains", "A")]),
            billing("G", relationships=[relation("contains", "A"), relation("cousin", "C")]),
            respecify(name="new"),
            respecify("F-2", name="new"),
            unspecify(),
            unspecify("F-2"),
            command("delete", "FA-1"),
            command("close", "FA-1"),
            command("delete", "A"),
            command("delete", "B"),
        ],
    ),
}


def taken(book: LedgerBook, *facts: tuple[str, Fact]) -> LedgerBook:
    """A fork of a book that has taken facts."""
    fork = book.begin()
    for identity, fact in facts:
        fork.take_as(identity, fact)
    return fork


def outcome(book: LedgerBook) -> tuple[object, ...]:
    """All that came of it."""
    return book.holdings(), set(book.refused), set(book.waiting)


@pytest.mark.parametrize("setting", SETTINGS)
def test_two_at_once_are_as_one_after_the_other(setting):
    """For each pair of facts: who commits second is told of the conflict, or the order of the two does not matter."""
    before, facts = SETTINGS[setting]
    book = LedgerBook()
    book.take(*before)
    assert (book.refused, book.waiting) == ({}, {})
    named = [(f"account.fact:{n}", fact) for n, fact in enumerate(facts)]
    alone = [taken(book, one) for one in named]
    unseen = []
    for (n, one), (m, other) in combinations(enumerate(named), 2):
        both = taken(book)
        assert both.commit(alone[n])
        if both.commit(alone[m]) and outcome(both) not in (
            outcome(taken(book, one, other)),
            outcome(taken(book, other, one)),
        ):
            unseen.append((one[1], other[1]))
    assert unseen == []


def test_a_slow_worker_makes_no_cycle():
    """What two others take away meanwhile does not hide from a worker, or from another, that they close a ring."""
    book = LedgerBook()
    book.take(*[billing(id_) for id_ in ("W", "Z", "Y", "L2", "U1", "W'", "Z'", "Y'", "L1", "U2")])
    for top, middle, bottom, lower, upper in (("W", "Z", "Y", "L2", "U1"), ("W'", "Z'", "Y'", "L1", "U2")):
        book.take(relates(top, "contains", middle), relates(middle, "contains", bottom))
        book.take(relates(bottom, "contains", lower, until="2020-01-01"), relates(lower, "contains", upper))
    assert book.refused == {}
    slow = taken(book, ("account.update:slow", relates("U1", "contains", "L1", since="2020-01-01")))
    book.take(relates("Z", "contains"), relates("Z'", "contains"))
    book.take(relates("U2", "contains", "L2", since="2020-01-01"))
    assert (slow.refused, book.refused) == ({}, {})
    book.commit(slow)
    assert_books_hold(book)


@steady(40)
@given(st.data(), st.sampled_from([2, 3, 20]), st.integers(1, 3), st.booleans())
def test_a_batch_about_accounts_decides_as_one_by_one_would(data, batch, first_limit, prefetch):
    """Commands, updates and references see what earlier facts of their batch have changed, and nothing else."""
    before, pool = data.draw(st.sampled_from(list(SETTINGS.values())))
    # What waits is woken after the batch, so nothing here may wait.
    pool = [fact for fact in pool if not (isinstance(fact, StateCommand) and fact.command == "suspend")]
    facts = [(f"account.fact:{n}", fact) for n, fact in enumerate(data.draw(st.permutations(pool)))]
    together, alone = LedgerBook(first_limit=first_limit, prefetch=prefetch), LedgerBook()
    for book, size in ((together, batch), (alone, 1)):
        book._take_batch([(f"account.before:{n}", fact) for n, fact in enumerate(before)])
        for start in range(0, len(facts), size):
            book._take_batch(facts[start : start + size])
    assert together.holdings() == alone.holdings()
    assert together.events == alone.events
    assert {identity: str(why) for identity, why in together.refused.items()} == {
        identity: str(why) for identity, why in alone.refused.items()
    }
