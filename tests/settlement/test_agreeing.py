"""An agreement says by what terms a partner has its share, on which days; a line keeps those of its own day."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.invoicing.model import AgreementRevision, Invoice
from domain.money import share_of
from domain.settlement.agreements import Agreement
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    agreed,
    agreement,
    billing,
    charge,
    closing,
    command,
    credit_note,
    demand,
    line,
    order,
    partner,
    payment,
)
from tests.support.steady import looked_at, steady, until

INV1, INV2 = "INV-000000001", "INV-000000002"


def opened(*facts: Fact, on: Literal["invoice", "payment"] = "invoice") -> LedgerBook:
    """BA-1, and SA-1 whose account says 80 %."""
    book = LedgerBook()
    book.take(billing(), partner(on=on), *facts)
    return book


def sold(book: LedgerBook, order_id: str, on: str, price: str = "100") -> tuple[int, AgreementRevision | None]:
    """An order of one line on behalf of SA-1 on a day: what its share is, and by which agreement."""
    book.take(order(order_id, line(price, "0.2", "SA-1"), at=f"{on}T12:00:00"))
    [invoice] = [one for one in book.documents[Invoice].values() if one.order_id == order_id]
    part = invoice.lines[0].on_behalf_of
    assert part is not None
    return part.share, part.agreement


def test_a_line_has_the_terms_of_its_day():
    """50 % from 10 November to the 20th, not included; 80 % by the account before and after."""
    book = opened(agreement("AG-1", "2026-11-10", "2026-11-20"))
    of_agreement = AgreementRevision("AG-1", 1)
    assert sold(book, "O-1", "2026-11-09") == (8000, None)
    assert sold(book, "O-2", "2026-11-10") == (5000, of_agreement)
    assert sold(book, "O-3", "2026-11-19") == (5000, of_agreement)
    assert sold(book, "O-4", "2026-11-20") == (8000, None)
    assert book.position("SA-1").payable == 26000
    assert_books_hold(book)


def test_other_terms_hold_from_their_day_on():
    """60 % from the 25th and, agreed after that, 70 % from the 24th: it holds for a day, and then what was agreed."""
    book = opened(agreement("AG-1", "2026-11-10"), agreed("AG-1", "2026-11-25", "0.6"))
    book.take(agreed("AG-1", "2026-11-24", "0.7", if_revision=2))
    assert [sold(book, f"O-{day}", f"2026-11-{day}") for day in (23, 24, 25, 26)] == [
        (5000, AgreementRevision("AG-1", 1)),
        (7000, AgreementRevision("AG-1", 3)),
        (6000, AgreementRevision("AG-1", 2)),
        (6000, AgreementRevision("AG-1", 2)),
    ]
    assert book.events_of("SA-1")[:3] == ["agreement.created", *["agreement.changed"] * 2]
    assert_books_hold(book)


def test_what_was_agreed_last_of_a_day_holds():
    """Twice from one day on: the second."""
    book = opened(agreement("AG-1", "2026-11-10"), agreed("AG-1", "2026-11-24", "0.6"))
    book.take(agreed("AG-1", "2026-11-24", "0.7"))
    assert sold(book, "O-1", "2026-11-24") == (7000, AgreementRevision("AG-1", 3))


def test_a_credit_note_and_a_bill_go_by_the_terms_that_a_line_keeps():
    """50.00 of 100.00 accrued; after a change to 90 % a note of 40.00 takes back 20.00; a bill of 10.00 earns 9.00."""
    book = opened(agreement("AG-1", "2026-11-10"))
    assert sold(book, "O-1", "2026-11-23")[0] == 5000
    book.take(agreed("AG-1", "2026-11-24", "0.9"), credit_note("N-1", INV1, {"1": 4000}))
    assert book.position("SA-1").payable == 3000
    book.take(charge("C-1", line("10", "0.2", "SA-1"), on="2026-11-24"), demand("BD-1", on="2026-11-24"))
    part = book.invoice(2).lines[0].on_behalf_of
    assert part is not None
    assert (part.share, part.agreement) == (900, AgreementRevision("AG-1", 2))
    assert book.position("SA-1").payable == 3900
    assert_books_hold(book)


def test_it_accrues_as_it_was_agreed():
    """By the agreement at payment, though the account says at the invoice: 25.00 of 50.00 when half is paid."""
    book = opened(agreement("AG-1", "2026-11-10", on="payment"))
    assert sold(book, "O-1", "2026-11-23")[0] == 5000
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (0, 5000)
    book.take(payment("P-1", 6000))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (2500, 2500)
    assert_books_hold(book)


def test_days_are_those_of_the_seller():
    """From midnight in Vienna, 23:00 the day before in UTC, to a minute before midnight: that day counts."""
    book = LedgerBook(zone=ZoneInfo("Europe/Vienna"))
    start, end = datetime(2026, 11, 9, 23, tzinfo=UTC), datetime(2026, 11, 30, 22, 59, tzinfo=UTC)
    new = agreement("AG-1", "2026-11-01")
    book.take(billing(), partner())
    book.take(type(new)(new.id, new.settlement_account, start, end, new.terms))
    made = book.documents[Agreement]["AG-1"]
    assert (made.start, made.end) == (date(2026, 11, 10), date(2026, 12, 1))


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2026-11-19", None, "from 2026-11-19 on overlaps agreement AG-1, from 2026-11-10 to 2026-11-20, not included"),
        ("2026-11-01", "2026-11-11", "from 2026-11-01 to 2026-11-11, not included overlaps agreement AG-1"),
        ("2026-11-12", "2026-11-13", "overlaps agreement AG-1"),
        ("2026-12-24", "2026-12-25", "overlaps agreement AG-2, from 2026-12-01 on"),
    ],
)
def test_two_do_not_overlap(since, until, said):
    """A day has one agreement; two may follow on each other."""
    book = opened(agreement("AG-1", "2026-11-10", "2026-11-20"), agreement("AG-2", "2026-12-01"))
    book.take(agreement("AG-3", "2026-11-20", "2026-12-01"))
    code, detail = book.refusal(agreement("AG-4", since, until))
    assert (code, detail.startswith("validFor: ")) == ("agreement-overlap", True)
    assert said in detail


def test_what_was_earned_on_a_past_day_follows_what_is_agreed_of_it():
    """Of a partner that has earned, too: its lines of these days have the new terms, others stay as they are."""
    book = opened(agreement("AG-1", "2025-01-01", "2025-02-01"), agreement("AG-2", "2026-01-01"))
    assert sold(book, "O-1", "2026-11-20") == (5000, AgreementRevision("AG-2", 1))
    assert sold(book, "O-2", "2026-11-21") == (5000, AgreementRevision("AG-2", 1))
    book.take(agreed("AG-2", "2026-11-21", "0.7"))
    shares = [invoice.lines[0].on_behalf_of for invoice in book.documents[Invoice].values()]
    assert [part and (part.share, part.agreement) for part in shares] == [
        (5000, AgreementRevision("AG-2", 1)),
        (7000, AgreementRevision("AG-2", 2)),
    ]
    assert_books_hold(book)


def test_what_is_refused():
    """Each with its code, and nothing is agreed by it."""
    book = opened(agreement("AG-1", "2026-11-10", "2026-12-20"))
    for fact, code, begins in (
        (agreement("AG-9", "2027-01-01", account="BA-1"), "invalid", "settlementAccount.id: BA-1 is a BillingAccount"),
        (agreed("AG-1", "2026-12-20"), "invalid", "validFrom: 2026-12-20 is not one of its days: agreement AG-1 is in"),
        (agreed("AG-1", "2026-11-09"), "invalid", "validFrom: 2026-11-09 is not one of its days"),
        (agreed("AG-1", "2026-12-01", if_revision=2), "revision-mismatch", "ifRevision: 2, but agreement AG-1 is at"),
    ):
        found, detail = book.refusal(fact)
        assert (found, detail.startswith(begins)) == (code, True), detail


def test_a_partner_has_so_many_agreements_and_each_so_many_changes(monkeypatch):
    """Each is read for each line of its; beyond the limits nothing more is agreed."""
    monkeypatch.setattr("domain.settlement.agreeing.AGREEMENTS_MAX", 2)
    monkeypatch.setattr("domain.settlement.agreeing.CHANGES_MAX", 2)
    book = opened(agreement("AG-1", "2026-11-10", "2026-11-20"), agreement("AG-2", "2027-01-01"))
    assert book.refusal(agreement("AG-3", "2026-12-01", "2026-12-02"))[1].endswith("has 2 agreements, the most")
    book.take(agreed("AG-1", "2026-11-11"))
    assert book.refusal(agreed("AG-1", "2026-11-12"))[1].endswith("2 terms were agreed, the most")


def test_a_partner_that_is_closed_agrees_to_nothing():
    """Its agreements stay readable; before it is opened again there are no others."""
    book = opened(agreement("AG-1", "2026-11-10"), command("close", "SA-1"))
    assert book.state("SA-1") == "closed"
    assert book.refusal(agreed("AG-1", "2026-12-01"))[0] == "account-closed"
    assert book.refusal(agreement("AG-2", "2026-12-01"))[0] == "account-closed"


KINDS = ("agreement", "agreement", "change", "change", "change", "order", "order", "note", "payment", "closing")
TIMES_MIN = 50
DAYS = [date(2026, 11, 20) + timedelta(days=n) for n in range(12)]


class Partner:
    """What was agreed with SA-1 of each day, and what its lines were billed by."""

    def __init__(self, accrue_on):
        self.book, self.accrue_on = opened(on=accrue_on), accrue_on
        # By the day: the shares agreed of it, each with the day from which it holds, and when it was agreed.
        self.known: dict[date, list[tuple[date, int, str]]] = {day: [] for day in DAYS}
        self.spans = {}
        self.billed = {}

    def next(self, n, kind, day, length, share, data):
        """Something happens, if it fits; else it is refused."""
        if kind == "agreement":
            self.agree(n, day, day + timedelta(days=length), share)
        elif kind == "order":
            self.sell(n, day, 100 * length + n)
        elif kind == "closing":
            self.book.take(closing(f"C-{n}"))
        elif kind == "change" and self.spans:
            self.change(n, data.draw(st.sampled_from(sorted(self.spans))), day, share)
        elif kind == "note" and self.billed:
            self.book.take(credit_note(f"N-{n}", f"INV-{data.draw(st.integers(1, len(self.billed))):09d}"))
        elif kind == "payment" and self.billed:
            self.book.take(payment(f"P-{n}", 100 * length))

    def agree(self, n, day, until, share):
        """An agreement of days that are free; every third accrues otherwise."""
        fact = agreement(f"AG-{n}", f"{day}", f"{until}", share, self.accrue_on if n % 3 else other(self.accrue_on))
        if not all(until <= start or end <= day for start, end in self.spans.values()):
            assert self.book.refusal(fact)[0] == "agreement-overlap"
        else:
            self.book.take(fact)
            self.spans[f"AG-{n}"] = (day, until)
            self.know(n, day, until, share)

    def change(self, n, name, day, share):
        """Other terms, from one of its days on."""
        fact = agreed(name, f"{day}", share, self.accrue_on if n % 3 else other(self.accrue_on))
        start, end = self.spans[name]
        if not start <= day < end:
            assert self.book.refusal(fact)[0] == "invalid"
        else:
            self.book.take(fact)
            self.know(n, day, end, share)

    def know(self, n, day, until, share):
        """A share of all days from one to another."""
        for one in DAYS:
            if day <= one < until:
                self.known[one].append((day, n, share))
        if day <= self.book.booked_at.date():
            # What was billed of days to come keeps what it has until its agreement has other terms from a begun day on.
            for name, (of, net, _) in self.billed.items():
                if day <= of < until:
                    self.billed[name] = (of, net, self.share(of))

    def sell(self, n, day, net):
        """A line of a day, in cents."""
        assert sold(self.book, f"O-{n}", f"{day}", f"{Decimal(net) / 100}")[0] == share_of(net, self.share(day))
        self.billed[f"O-{n}"] = (day, net, self.share(day))

    def share(self, day):
        """What is agreed of a day now."""
        return Decimal(max(self.known[day])[2] if self.known[day] else "0.8")


def other(accrue_on: str) -> Literal["invoice", "payment"]:
    """The other time of accrual."""
    return "payment" if accrue_on == "invoice" else "invoice"


def test_a_line_has_what_is_agreed_of_its_day():
    """Whatever is agreed, billed, credited and paid, in any order, of past days too: held against all of it."""
    happened: Counter[str] = Counter()

    @steady(150, least=130)
    @given(
        st.sampled_from(("invoice", "payment")),
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.sampled_from(DAYS), st.integers(1, 6), st.integers(1, 99)),
            min_size=8,
            max_size=24,
        ),
        st.data(),
    )
    def live(accrue_on, facts, data):
        partner = Partner(accrue_on)
        for n, (kind, day, length, share) in enumerate(facts):
            partner.next(n, kind, day, length, f"0.{share:02d}", data)
            if looked_at(n):
                assert_books_hold(partner.book)
        assert_books_hold(partner.book)
        happened.update(identity.partition(":")[0] for identity in partner.book.applied)
        for invoice in partner.book.documents[Invoice].values():
            _, net, terms = partner.billed[str(invoice.order_id)]
            credited = sum(one.credited for one in invoice.corrected.lines)
            part = invoice.lines[0].on_behalf_of
            assert part is not None
            assert part.share == share_of(net, terms) - share_of(credited, terms)

    asked = {
        "agreement.create",
        "agreement.change",
        "order.completed",
        "payment.received",
        "credit-note.issue",
        "settlement.close",
        "settlement.correct",
    }

    def seldom():
        return {name for name in asked if happened[name] < TIMES_MIN}

    until(lambda: not seldom(), live)
    assert seldom() == set(), happened
