"""The audit of dunning: books with all that it does are clean, and each tampering is seen by what watches it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from adapters.dunning.audit import CHECKS
from domain.dunning.model import AccountToDun
from tests.audit.test_audit import Mutation, changing, copying, losing, renaming
from tests.billing.test_audit import write
from tests.support.audits import quick_audit
from tests.support.books import Books, Document, Made
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    dunned,
    event_type,
    identity_of,
    line,
    look,
    order,
    payment,
    procedure,
    promise,
    subscription,
)

OTHERS = {"subscriptions-match-inbox", "charges-match-inbox", "charges-have-positions"}
"""The checks of other capabilities that have to know of dunning."""
WATCHED = {check.name for check in CHECKS} | OTHERS


def made_books() -> LedgerBook:
    """An account with three steps, one that was cleared and has begun again, and one that has promised."""
    book = LedgerBook()
    book.begin_days("2026-11-01")
    for n in (1, 2, 3):
        account = f"BA-{n}"
        book.take(
            procedure((1, "remind"), (2, "charge"), (3, "suspend")),
            billing(account, days=0, refersTo={"dunningProcedure": "D-1"}),
            order(f"O-{n}", line("10.00"), account=account),
            subscription(f"S-{n}", account=account, start="2026-11-01"),
        )
    book.take(billing("BA-4", days=3, defaultPaymentMethod={"id": "PM-1"}))
    book.take(*(order(f"R-{n}", line("1.00"), account="BA-4") for n in (1, 2)))
    book.take(promise("PR-3", "2026-11-30", account="BA-3"))
    for n in range(2, 7):
        day = f"2026-11-0{n}"
        book.begin_days(day)
        for account in ("BA-1", "BA-2", "BA-3", "BA-4"):
            book.take(look(day, account=account))
        book.take(dunned(day))
        if n == 5:
            book.take(payment("P-4", 100, account="BA-4", request="INV-000000004", at="2026-11-05T11:00:00"))
            book.take(payment("P-1", 1000, account="BA-2", at="2026-11-05T11:00:00"))
            book.take(order("O-9", line("5.00"), account="BA-2", at="2026-11-05T12:00:00"))
    assert_books_hold(book)
    return book


def write_all(book: LedgerBook, database: Books) -> None:
    """The books with their events, as far as these checks look at them."""
    write(book, database)
    outbox = [
        {"_id": event.id, "account": event.account, "sequence": event.sequence, "routingKey": event_type(event.event)}
        for event in book.events
    ]
    database["outbox"].insert_many(outbox)


@pytest.fixture(scope="module")
def made(mongo: MongoClient[Document]) -> Iterator[Made]:
    """Those books, once for all the tests here."""
    database = mongo.get_database(f"test-{uuid.uuid4().hex[:12]}", write_concern=WriteConcern("majority"))
    write_all(made_books(), database)
    yield Made.of(database)
    mongo.drop_database(database.name)


@pytest.fixture
def books(made: Made) -> Books:
    """They, whatever the test before has done to them."""
    return made.restored()


def reported(books: Books, *, pruned: bool = False) -> dict[str, Document]:
    """What all checks say."""
    now = made_books().booked_at + timedelta(days=1)
    return {
        check["name"]: check
        for check in quick_audit(books, now=now, relay_interval_seconds=5, outbox_pruned=pruned)["checks"]
    }


def broken(books: Books, *, pruned: bool = False) -> set[str]:
    """Those of the watched checks that are red."""
    report = reported(books, pruned=pruned)
    return {name for name in WATCHED if not report[name]["ok"]}


def test_dunning_is_clean(books: Books) -> None:
    """And each check has something to look at."""
    report = reported(books)
    assert {name: report[name]["broken"] for name in WATCHED if not report[name]["ok"]} == {}
    assert {check.name: report[check.name]["checked"] for check in CHECKS} == {
        "dunning-levels-match-positions": 2,
        "dunning-levels-are-of-what-is-owed": 2,
        "dunning-steps-were-taken": 4,
        "dunning-steps-match-inbox": 7,
        "dunning-is-as-of-its-last-step": 3,
        "dunning-steps-are-told-once": 4,
        "overdue-invoices-are-told-once": 4,
        "payments-are-requested-once": 4,
        "requests-are-answered-by-payments": 1,
        "dunned-days-match-inbox": 1,
        "dunning-charges-are-of-steps": 2,
        "dunning-suspensions-match-subscriptions": 3,
        "dunning-suspends-while-its-steps-stand": 2,
        "dunned-subscriptions-are-suspended": 2,
        "dunning-has-positions": 3,
    }


def event_of(books: Books, routing_key: str) -> Document:
    """The first event of a type."""
    found = books["outbox"].find_one({"routingKey": routing_key})
    assert found is not None
    return found


def telling_again(routing_key: str) -> Callable[[Books], object]:
    """Tells an event of a type twice."""
    return lambda books: books["outbox"].insert_one({**event_of(books, routing_key), "_id": "BA-1:99"})


def said_by(cause: str) -> Callable[[Books], object]:
    """Another cause of a step, which was a reminder: nothing else has it."""
    return changing("dunningSteps", "BA-1/2026-11-02", cause=cause)


def taken_by(cause: str) -> Callable[[Books], object]:
    """The same, and that look was applied."""

    def breaks(books: Books) -> None:
        said_by(cause)(books)
        copying("inbox", "dunning.look:BA-1/2026-11-02", id_=cause)(books)

    return breaks


STEP = "BA-1/2026-11-04"
FEE = "dunning~BA-1~2026-11-03"
MUTATIONS = [
    Mutation("a-step-told-twice", telling_again("dunning.step-taken"), {"dunning-steps-are-told-once"}),
    Mutation("asked-twice", telling_again("payment.requested"), {"payments-are-requested-once"}),
    Mutation(
        "answered-by-another-payment",
        changing("invoices", "INV-000000004", handling__request__paymentId="P-1"),
        {"requests-are-answered-by-payments"},
    ),
    Mutation("of-another-day", changing("dunnedDays", "dunning", newest="2026-11-05"), {"dunned-days-match-inbox"}),
    Mutation("overdue-told-twice", telling_again("invoice.overdue"), {"overdue-invoices-are-told-once"}),
    Mutation("another-level", changing("positions", "BA-1", dunned=2), {"dunning-levels-match-positions"}),
    Mutation("a-level-of-nothing", changing("positions", "BA-3", dunned=1), {"dunning-levels-match-positions"}),
    Mutation(
        "too-early", changing("positions", "BA-1", oldestDue="2026-11-20"), {"dunning-levels-are-of-what-is-owed"}
    ),
    Mutation("nothing-owed", changing("positions", "BA-1", oldestDue=None), {"dunning-levels-are-of-what-is-owed"}),
    Mutation(
        "promised",
        changing("dunnings", "BA-1", promise={"id": "PR-9", "until": "2026-12-01", "amount": None}),
        {"dunning-levels-are-of-what-is-owed"},
    ),
    Mutation("another-action", changing("dunningSteps", STEP, action="collect"), {"dunning-steps-were-taken"}),
    Mutation(
        "a-step-that-nothing-took",
        renaming("dunningSteps", "BA-2/2026-11-03", "BA-2/2026-11-09"),
        {"dunning-steps-match-inbox"},
    ),
    Mutation("of-another-day-s-part", taken_by("dunning.look:BA-1/2026-11-03/12"), {"dunning-steps-match-inbox"}),
    Mutation(
        "of-a-part-that-was-not-applied", said_by("dunning.look:BA-1/2026-11-02/12"), {"dunning-steps-match-inbox"}
    ),
    Mutation("of-another-cause", changing("dunningSteps", STEP, cause="x"), {"dunning-steps-match-inbox"}),
    Mutation(
        "stepped-on-another-day",
        changing("dunnings", "BA-2", steppedOn="2026-11-05"),
        {"dunning-is-as-of-its-last-step"},
    ),
    Mutation(
        "overdue-before-it-was",
        changing("invoices", "INV-000000003", handling__overdueOn="2026-11-01"),
        {"overdue-invoices-are-told-once"},
    ),
    Mutation("a-fee-on-another-day", changing("charges", FEE, date="2026-11-09"), {"dunning-charges-are-of-steps"}),
    Mutation("a-fee-of-no-step", copying("charges", FEE, id_=FEE[:-1]), {"dunning-charges-are-of-steps"}),
    Mutation("a-fee-lost", losing("charges", FEE), {"dunning-charges-are-of-steps"}),
    Mutation(
        "a-suspension-of-another-cause",
        changing("dunningSuspensions", "S-1/2", cause="x"),
        {"dunning-suspensions-match-subscriptions"},
    ),
    Mutation(
        "a-suspension-lost",
        losing("dunningSuspensions", "S-1/2"),
        {"dunning-suspensions-match-subscriptions", "dunned-subscriptions-are-suspended"},
    ),
    Mutation(
        "never-resumed",
        changing("dunningSuspensions", "S-2/2", ended=None),
        {
            "dunning-suspends-while-its-steps-stand",
            "dunning-suspensions-match-subscriptions",
            "dunned-subscriptions-are-suspended",
        },
    ),
    Mutation(
        "of-another-step",
        changing("dunningSuspensions", "S-1/2", step="2026-11-03"),
        {"dunning-suspends-while-its-steps-stand"},
    ),
    Mutation(
        "ended-while-it-stands",
        changing("dunningSuspensions", "S-1/2", ended={"on": "2026-11-05", "revision": None, "cause": "x"}),
        {"dunning-suspends-while-its-steps-stand", "dunned-subscriptions-are-suspended"},
    ),
    Mutation(
        "served-while-a-step-stands",
        changing("subscriptions", "S-1", state="active"),
        {"dunned-subscriptions-are-suspended"},
    ),
    Mutation(
        "suspended-while-none-does",
        changing("subscriptions", "S-2", state="suspended"),
        {"dunned-subscriptions-are-suspended"},
    ),
    Mutation(
        "of-no-account",
        renaming("dunnings", "BA-3", "BA-9"),
        {"dunning-has-positions"},
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[mutation.name for mutation in MUTATIONS])
def test_each_tampering_is_seen(books: Books, mutation: Mutation) -> None:
    """By the checks that are to see it, and by no other of these."""
    mutation.breaks(books)
    assert broken(books) == mutation.seen_by


@pytest.mark.parametrize(
    ("routing_key", "check"),
    [
        ("dunning.step-taken", "dunning-steps-are-told-once"),
        ("invoice.overdue", "overdue-invoices-are-told-once"),
        ("payment.requested", "payments-are-requested-once"),
    ],
)
def test_what_was_not_told_is_seen(books: Books, routing_key: str, check: str) -> None:
    """Unless sent rows are pruned."""
    losing("outbox", event_of(books, routing_key)["_id"])(books)
    assert broken(books) == {check}
    assert broken(books, pruned=True) == set()


def test_a_step_may_be_of_the_last_part_of_its_day_s_look(books: Books) -> None:
    """One that had much to request before it."""
    taken_by("dunning.look:BA-1/2026-11-02/12")(books)
    assert broken(books) == set()


def test_every_check_is_turned_red() -> None:
    """By a mutation here that nothing else of these sees, too."""
    alone = {check for mutation in MUTATIONS if len(mutation.seen_by) == 1 for check in mutation.seen_by}
    assert alone == {check.name for check in CHECKS}


def test_what_is_still_to_be_looked_at_is_left_to_that(books: Books) -> None:
    """A payment has left a look behind, which a worker that died has not done yet."""
    changing("positions", "BA-1", oldestDue=None)(books)
    left = AccountToDun("BA-1", None, 7)
    books["held"].insert_one({"_id": identity_of(left), "state": "waiting"})
    assert broken(books) == set()
