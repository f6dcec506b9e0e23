"""Any orders, payments, disputes, promises and days: the level follows the rule, and only what it suspended resumes."""

from datetime import date, timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from domain.billing.subscriptions import Subscription
from domain.corrections.model import Dispute
from domain.dunning import suspending
from domain.dunning.model import Dunning, DunningStep
from domain.invoicing.model import Invoice
from tests.support.invariants import assert_books_hold, is_dunnings, level_that_should_stand
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    change,
    dispute,
    dunned,
    line,
    look,
    order,
    payment,
    procedure,
    promise,
    reversal,
    subscription,
    update,
    withdrawal,
)
from tests.support.steady import STEADY

FIRST = date(2026, 11, 22)
ACCOUNTS = ("BA-1", "BA-2")
LADDERS = (
    procedure((1, "remind"), (3, "suspend"), (4, "charge")),
    procedure((2, "suspend"), (3, "remind"), (5, "suspend"), threshold="5.00"),
)

PAID_FOR = [{"type": "payer", "account": "BA-1", "since": None, "until": None}]

happenings = st.one_of(
    st.tuples(st.just("order"), st.integers(1, 12)),
    st.tuples(st.just("payment"), st.integers(1, 15)),
    st.tuples(st.just("reversal"), st.integers(0, 5)),
    st.tuples(st.just("dispute"), st.integers(0, 5)),
    st.tuples(st.just("withdrawal"), st.integers(0, 5)),
    st.tuples(st.just("promise"), st.integers(-1, 4)),
    st.tuples(st.just("suspend"), st.integers(0, 3)),
    st.tuples(st.just("resume"), st.integers(0, 3)),
    st.tuples(st.just("day"), st.integers(1, 3)),
    st.tuples(st.just("procedure"), st.integers(0, 1)),
    st.tuples(st.just("payer"), st.integers(0, 1)),
)


class Business:
    """An account, one that it pays for at times, and what happens to them, told as numbers."""

    def __init__(self, ladder: Any, *, prefetch: bool) -> None:
        self.book = LedgerBook(prefetch=prefetch, first_limit=2)
        self.book.begin_days(FIRST.isoformat())
        self.made = 0
        self.referred = self.pays = True
        referring = {"dunningProcedure": "D-1"}
        self.book.take(
            ladder,
            billing("BA-1", days=0, refersTo=referring),
            billing("BA-2", days=0, refersTo=referring, relationships=PAID_FOR),
            *(subscription(f"S-{n}", account=ACCOUNTS[n % 2]) for n in range(4)),
        )

    @property
    def today(self) -> date:
        """The newest day."""
        return self.book.booked_at.date()

    def happens(self, what: str, number: int) -> None:
        """Let it happen; what can't is refused, and leaves nothing."""
        if what == "day":
            for _ in range(number):
                day = (self.today + timedelta(days=1)).isoformat()
                self.book.begin_days(day)
            for account in ACCOUNTS:
                self._looked_at(account)
            self.book.take(dunned(self.today.isoformat()))
            return
        self.made += 1
        self.book.take(self._fact(what, number))

    def _looked_at(self, account: str) -> None:
        """A look takes one step at most, and then only if it should; a fall goes as far as it should."""
        before = self._level(account)
        self.book.take(look(self.today.isoformat(), account=account))
        should, level = level_that_should_stand(self.book, account, self.today), self._level(account)
        assert level == (before + 1 if should > before else should), (account, before, should)

    def _level(self, account: str) -> int:
        return int(self.book.documents[Dunning].get(account, Dunning(account)).level)

    def _fact(self, what: str, number: int) -> Any:
        bill = f"INV-{number + 1:09d}"
        if what == "order":
            account = ACCOUNTS[number % 2]
            return order(f"O-{self.made}", line(f"{number}.00"), account=account, at=f"{self.today}T10:00:00")
        if what == "payment":
            account = ACCOUNTS[number % 2]
            return payment(f"P-{self.made}", number * 100, account=account, at=f"{self.today}T11:00:00")
        if what == "reversal":
            paid = sorted(i.partition(":")[2] for i in self.book.applied if i.startswith("payment.received:"))
            return reversal(f"R-{self.made}", paid[number % len(paid)] if paid else "P-0", at=f"{self.today}T12:00:00")
        if what == "dispute":
            return dispute(f"D-{self.made}", bill, {"1": 100}, at=f"{self.today}T12:00:00")
        if what == "withdrawal":
            opened = sorted(self.book.documents[Dispute])
            id_ = opened[number % len(opened)] if opened else "D-0"
            return withdrawal(id_, at=f"{self.today}T13:00:00")
        if what == "promise":
            return promise(f"PR-{self.made}", (self.today + timedelta(days=number)).isoformat())
        if what == "payer":
            self.pays = not self.pays
            return update("BA-2", relationships=PAID_FOR if self.pays else None)
        if what == "procedure":
            self.referred = not self.referred
            return update("BA-1", refersTo={"dunningProcedure": "D-1"} if self.referred else None)
        assert what in ("suspend", "resume")
        return change(self.today.isoformat(), "suspend" if what == "suspend" else "resume", of=f"S-{number}")


@STEADY
@given(st.lists(happenings, max_size=25), st.sampled_from(LADDERS), st.booleans())
def test_the_level_follows_the_rule(story, ladder, prefetch):
    """After each fact all that stands should; a day brings it one step nearer; people's own suspensions stay.

    Suspended in parts of two, so that there are rests to do.
    """
    business = Business(ladder, prefetch=prefetch)
    book = business.book
    with patch.object(suspending, "SUBSCRIPTIONS_MAX", 2):
        for what, number in story:
            business.happens(what, number)
            assert_books_hold(book)
    for one in book.documents[Subscription].values():
        own = [said for said in one.patches if not is_dunnings(said.cause)]
        dunnings = book.documents[Dunning].values()
        stands = any(step.action == "suspend" for dunning in dunnings for step in dunning.steps)
        if own and own[-1].revision == one.revision:
            assert (one.state == "suspended") == (own[-1].kind == "suspend"), one
        elif not stands and not own:
            assert one.state == "active", one
    steps = [(row.billing_account, row.on) for row in book.rows[DunningStep].values()]
    assert len(steps) == len(set(steps))
    assert all(
        invoice.handled.overdue_on is None or invoice.payment_due_date < invoice.handled.overdue_on
        for invoice in book.documents[Invoice].values()
    )
