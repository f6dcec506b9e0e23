"""Whatever is agreed, of past days too, billed, credited, stated, paid and sent back: no cent of a partner is lost.

What was ever paid to it, or netted, or withheld as its tax, with what it is owed and what is held back, is what its
lines earned by their terms, with what was added to that; and a statement that was made says the same for ever.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.frozen import replace
from domain.invoicing.model import Invoice
from domain.ledger.entries import Entry
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.payouts import Payout
from domain.settlement.reserves import Reserve
from domain.settlement.statements import Settlement, SettlementState
from tests.settlement.test_any_statements import next_fact, open_statements
from tests.support.fitting_facts import BOOLEANS, one_of
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    Fact,
    LedgerBook,
    accepts,
    advance,
    agent_of,
    agreed,
    agreement,
    as_agent,
    billing,
    closing,
    disputes,
    fixed_fee,
    guarantee,
    holdback,
    line,
    order,
    partner,
    payment,
    payout,
    release,
    self_billing,
    tiers,
    withholding,
    write_off,
)
from tests.support.steady import looked_at, steady, until

KINDS = (
    *("order", "order", "order", "debt", "note", "payment", "reversal", "write-off", "adjustment"),
    *("agree", "agree", "change", "change", "advance", "day", "day", "release", "release", "release", "debt"),
    *("advance", "advance", "accept", "dispute", "dispute", "order", "note", "note", "note"),
    *("closing", "closing", "closing", "change", "change", "day", "day"),
    *("closing", "closing", "payout", "payout", "payout", "return", "return", "return"),
)
TIMES_MIN = 50
"""How often each kind of fact is applied in a run, at least."""
OFTEN = {
    "order.completed",
    "credit-note.issue",
    "payment.received",
    "payment.reversed",
    "invoice.write-off",
    "settlement.adjust",
    "agreement.create",
    "agreement.change",
    "settlement.correct",
    "advance.paid",
    "reserve.release",
    "reserve.continue",
    "settlement.close",
    "netting.apply",
    "payout.completed",
    "payout.returned",
    "self-billing.accept",
    "self-billing.dispute",
}
TYPES = ("389", "261", "380", "381")
"""Each kind of document, which is issued as often."""
EARLIER = ["2026-10-18", "2026-10-19", "2026-10-20"] * 2
DAYS = [f"2026-11-{day}" for day in range(16, 24)]


class Life:
    """A partner's books as they come about."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.book = LedgerBook()
        self.book.begin_days("2026-11-22")
        self.is_agent = one_of(draw, (False, False, True))
        """Whether we sell in the partner's name: what is agreed never changes that of a day that has begun."""
        opened = agent_of("SA-1", "0.15", draw(ON)) if self.is_agent else partner("SA-1", "0.333", draw(ON))
        self.book.take(billing(days=0), billing("BA-9", days=0), opened)
        self.made: dict[str, Settlement] = {}
        self.facts: list[Fact] = []

    def next(self, number: int, kind: str) -> None:
        """A fact of a kind that fits the books as they are, if there is one; or a day that comes."""
        if kind == "day":
            newest = self.book.booked_at.date()
            self.book.begin_days(str(newest.replace(day=min(newest.day + 2, 30))))
        elif (fact := self.fact(number, kind)) is not None:
            self.facts.append(fact)
            self.book.take(fact)
        if looked_at(number):
            assert_books_hold(self.book)
        for id_, before in self.made.items():
            now = self.book.settlement(id_)
            assert now is before or as_made(now) == as_made(before), "a statement that was made has changed"
        self.made = dict(self.book.documents[Settlement])

    def fact(self, number: int, kind: str) -> Fact | None:
        """The fact."""
        draw, book = self.draw, self.book
        terms = list(book.documents[Agreement].values())
        if kind == "order":
            day = one_of(draw, DAYS)
            # An invoice of its own is not below zero, and has two lines to round.
            least, more = (1, (line("0.01", "0.2", "SA-1"),)) if self.is_agent else (-300, ())
            sold = line(str(draw(st.integers(least, 3_000))), "0.2", "SA-1")
            return order(f"O-{self.orders() + 1}", line("900"), sold, *more, at=f"{day}T12:00:00")
        if kind == "debt":
            return order(f"O-{self.orders() + 1}", line(str(draw(st.integers(1, 900))), "0"), account="BA-9")
        if kind == "write-off" and (unpaid := [one.id for one in book.documents[Invoice].values() if one.is_open]):
            return write_off(f"W-{number}", one_of(draw, unpaid))
        if kind in ("agree", "change") and not (kind == "change" and not terms):
            return self.agreed(number, kind, terms)
        if kind == "advance" and terms and not self.is_agent:
            return advance(f"AV-{number}", draw(st.integers(1, 20_000)), one_of(draw, terms).id)
        if kind == "release" and (held := [one for one in book.documents[Reserve].values() if one.remaining]):
            reserve = one_of(draw, held)
            amount = draw(st.integers(1, reserve.remaining)) if draw(BOOLEANS) else None
            return release(f"RR-{number}", reserve.id, amount, at="2026-11-22T10:00:00")
        if kind in ("accept", "dispute"):
            return self.said(kind)
        if kind == "closing":
            return closing(f"C-{number}", until=one_of(draw, (*DAYS, "2026-11-30", "2027-01-31", "2027-01-31")))
        fitting: Fact | None = next_fact(kind, number, book, EUR, draw)
        return fitting

    def said(self, kind: str) -> Fact | None:
        """What the partner says of a document that it has not accepted yet."""
        found = [one for one in self.book.documents[SettlementDocument].values() if one.is_self_billed and not one.said]
        if kind == "accept":
            found += [one for one in self.book.documents[SettlementDocument].values() if one.state == "disputed"]
        if not found:
            return None
        number = one_of(self.draw, found).id
        return accepts(number) if kind == "accept" else disputes(number)

    def orders(self) -> int:
        """How many there were."""
        return sum(identity.startswith("order.completed:") for identity in self.book.applied)

    def agreed(self, number: int, kind: str, terms: list[Agreement]) -> Fact:
        """Terms of any kind, of days that are past or to come."""
        # Of an agreement that began a month before, a period has ended.
        draw = self.draw
        since = one_of(draw, (*DAYS, *EARLIER) if kind == "agree" else (*DAYS, *DAYS[:2]))
        said: dict[str, Any] = {
            "holdback": draw(HOLDBACKS),
            "payout_threshold": one_of(draw, (None, None, None, 3_000)),
            "withholding": draw(WITHHOLDINGS),
            "netting": one_of(draw, (None, "BA-9", "BA-9")),
            "fixed_fee": draw(FEES),
        }
        if self.is_agent:
            commission, series = one_of(draw, ("0.1", "0.333", "0")), one_of(draw, (None, "P."))
            tax = one_of(draw, ("0.2", "0.2", "0.19"))
            said["agent"], said["on"] = as_agent(commission, tax=tax, series=series), draw(ON)
        else:
            said["guarantee"] = draw(GUARANTEES)
            said["advance"] = one_of(draw, (None, 50_000, 50_000))
            said["self_billing"] = one_of(draw, (None, *SELF_BILLED))
            if one_of(draw, (True, False, False, False)):
                mode = one_of(draw, ("graduated", "graduated", "volume"))
                first = one_of(draw, ("0.2", "0.2", "0"))
                said["tiers"] = tiers(("500", first), ("2000", "0.333"), (None, "0.5"), mode=mode)
                said["on"] = draw(ON) if mode == "graduated" else "invoice"
            else:
                said["share"], said["on"] = one_of(draw, ("0.2", "0.333", "0.5")), draw(ON)
        if kind == "agree":
            until = one_of(draw, (None, "2026-11-20", "2026-11-27"))
            return agreement(f"AG-{number}", since, until, **said)
        return agreed(one_of(draw, terms).id, since, **said)

    def settle(self) -> None:
        """Have the customer pay, release what is held back, state and pay all, and take what is left."""
        book = self.book
        for account in ("BA-1", "BA-9"):
            if owed := book.position(account).receivable:
                book.take(payment(f"P-last-{account}", owed, account=account))
        book.take(closing("C-last", until="2026-11-30"))
        book.begin_days("2026-12-05")
        book.take(closing("C-next", until="2027-11-30"))
        for n, reserve in enumerate(list(book.documents[Reserve].values())):
            if reserve.remaining:
                book.take(release(f"RR-last-{n}", reserve.id, at="2026-12-05T10:00:00"))
        book.take(closing("C-end", until="2027-11-30"))
        for one in list(book.documents[SettlementDocument].values()):
            if one.state == "disputed":
                book.take(accepts(one.id))
        for n, one in enumerate(open_statements(book)):
            book.take(payout(f"PO-last-{n}", one.left, one.id))
        assert_books_hold(book)


ON = st.sampled_from(("invoice", "payment"))
PERIODS = st.sampled_from(("month", "month", "month", "month", "quarter"))
HOLDBACKS = st.builds(holdback, st.sampled_from(("0.1", "0.333", "0")), st.integers(0, 3))
WITHHOLDINGS = st.none() | st.builds(withholding, st.sampled_from(("0.045", "0.15")))
FEES = st.none() | st.builds(fixed_fee, st.integers(1, 9_000), PERIODS, rate=st.sampled_from(("0", "0.2")))
GUARANTEES = st.none() | st.builds(guarantee, st.integers(1, 90_000), PERIODS)
SELF_BILLED = (
    self_billing(),
    self_billing(rate="0.07"),
    self_billing("SB-2-", "0.19"),
    self_billing(rate="0", category="AE", reverse="0.2"),
)


def as_made(statement: Settlement) -> Settlement:
    """A statement without what was paid or held of it since, and where it was carried to."""
    state: SettlementState = "carriedForward" if statement.state == "carriedForward" else "open"
    paid = replace(statement, paid=0, state=state, netted=None, withheld=None, request=None)
    return replace(paid, hold=None, held_forward=None, carried_to=None)


@pytest.mark.long
def test_no_cent_of_a_partner_is_lost():
    """Each kind of fact, and each that a fact leaves to do, at least 50 times; some of them twice."""
    applied: Counter[str] = Counter()

    @steady(150, least=75)
    @given(st.permutations(KINDS), st.data())
    def live(kinds, data):
        life = Life(data.draw)
        for number, kind in enumerate(("agree", "advance", "order", "payment", "closing", *kinds)):
            life.next(number, kind)
        before = life.book.holdings()
        life.book.take(*(fact for fact in life.facts[::3] if not isinstance(fact, type(agreed("AG-1", "2026-01-01")))))
        assert life.book.holdings() == before, "what came twice was done twice"
        life.settle()
        applied.update(identity.partition(":")[0] for identity in life.book.applied)
        applied.update(one.type_code for one in life.book.documents[SettlementDocument].values())
        balance(life.book)

    def seldom():
        return {name for name in (*OFTEN, *TYPES) if applied[name] < TIMES_MIN}

    until(lambda: not seldom(), live)
    assert seldom() == set(), applied


def balance(book: LedgerBook) -> None:
    """All ways that money goes to a partner come to all that it has earned."""
    position = book.position("SA-1")
    shares = [
        (part.accrued, part.share)
        for invoice in book.documents[Invoice].values()
        for part in (one.on_behalf_of for one in invoice.lines)
        if part is not None
    ]
    added = sum(
        row.amount
        for row in book.documents[Accrual].values()
        if row.adjustment_id is not None or (row.step and row.step.kind in ("trueUp", "guarantee"))
    )
    recouped = -sum(
        row.amount for row in book.documents[Accrual].values() if row.step and row.step.kind == "recoupment"
    )
    went = sum(row.amount for row in book.documents[Payout].values() if row.returned is None)
    went += sum(one.netted or 0 for one in book.documents[Settlement].values())
    # What documents add, or take, is no part of what lines earn.
    documents = sum(
        row.amount
        for row in book.documents[Accrual].values()
        if row.step and row.step.kind in ("selfBilledTax", "fee", "commission")
    )
    has = went + position.payable + (position.reserve or 0) + recouped - documents
    assert has == sum(accrued for accrued, _ in shares) + added
    lost = sum(one.given_up for invoice in book.documents[Invoice].values() for one in invoice.corrected.lines)
    assert sum(share - accrued for accrued, share in shares) == position.withheld + lost
    assert sum(posting.amount for entry in book.rows[Entry].values() for posting in entry.postings) == 0
