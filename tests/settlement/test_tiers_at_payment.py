"""Tiers that go by payments: what accrues is the first step's share, and closings bring each period to its tiers."""

from collections import Counter
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.frozen import replace
from domain.invoicing.model import FreedShare, Invoice, PartnerShare
from domain.ledger.entries import Entry
from domain.settlement.accruals import Accrual, Step
from domain.settlement.statements import Settlement
from domain.settlement.tiers import TierPeriod
from tests.settlement.test_tiers import TWO, period, true_ups
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
    payout,
    reversal,
    tiers,
    write_off,
)
from tests.support.partners import due_of
from tests.support.steady import looked_at, steady, until

NOVEMBER, DECEMBER = "AG-1/1/2026-11-01", "AG-1/1/2026-12-01"


def opened(*facts: Fact, until: str | None = None) -> LedgerBook:
    """BA-1, and SA-1 with 70 % up to 1,000.00 a month, 75 % beyond, as customers pay; it is the middle of December."""
    book = LedgerBook()
    book.begin_days("2026-12-15")
    book.take(billing(), partner(), agreement("AG-1", "2026-11-01", until, on="payment", tiers=TWO), *facts)
    return book


def sold(id_: str, *prices: str, on: str = "2026-11-22") -> Fact:
    """An order with a line without tax on behalf of SA-1 for each price."""
    return order(id_, *(line(price, "0", "SA-1") for price in prices), at=f"{on}T12:00:00")


def paid(id_: str, amount: int, on: str, *names: str) -> Fact:
    """A payment on a day."""
    return payment(id_, amount, names or None, at=f"{on}T12:00:00")


def part_of(book: LedgerBook, number: int, index: int = 0) -> PartnerShare:
    """What SA-1 has of a line."""
    part = book.invoice(number).lines[index].on_behalf_of
    assert part is not None
    return part


def test_what_is_paid_counts_in_the_month_in_which_it_is_paid():
    """1,200.00 in halves, in November and in December; 1,000.00 in November.

    840.00 and 700.00 are withheld, 420.00 + 700.00 released in November, for 1,600.00: these come to 1,150.00, so 30.00
    are added. 420.00 in December, for 600.00, are right.
    """
    book = opened(sold("O-1", "1200"), sold("O-2", "1000"))
    assert book.position("SA-1").withheld == 154000
    book.take(
        paid("P-1", 60000, "2026-11-24", "INV-000000001"),
        paid("P-2", 100000, "2026-11-28", "INV-000000002"),
        paid("P-3", 60000, "2026-12-03"),
    )
    assert part_of(book, 1).freed == (
        FreedShare(date(2026, 11, 1), 60000, 42000),
        FreedShare(date(2026, 12, 1), 60000, 42000),
    )
    assert (period(book, NOVEMBER), period(book, DECEMBER)) == ((160000, 112000, 0), (60000, 42000, 0))
    assert_books_hold(book)
    book.take(closing("C-1", until="2026-11-30"))
    last = book.settlement("C-1").lines[-1]
    assert last.step == Step(
        "trueUp", "AG-1", date(2026, 11, 1), date(2026, 11, 30), of=115000, base=160000, revision=1
    )
    assert [one.amount for one in book.settlement("C-1").lines] == [42000, 70000, 3000]
    entry = book.rows[Entry]["settlement.close:C-1"]
    assert {p.account: p.amount for p in entry.postings} == {"payable:SA-1": -3000, "commission": 3000}
    book.take(closing("C-2", until="2026-12-31"))
    assert [one.amount for one in book.settlement("C-2").lines] == [42000]
    assert_books_hold(book)


def test_what_is_taken_back_leaves_the_month_in_which_it_is():
    """The 1,000.00 of November are credited on 10 December: November stays, and December has 400.00 less than nothing.

    -280.00 of it are accrued, and -280.00 is what the first step's share of -400.00 is.
    """
    book = opened(sold("O-1", "1200"), sold("O-2", "1000"))
    book.take(
        paid("P-1", 60000, "2026-11-24", "INV-000000001"),
        paid("P-2", 100000, "2026-11-28", "INV-000000002"),
        closing("C-1", until="2026-11-30"),
        paid("P-3", 60000, "2026-12-03", "INV-000000001"),
    )
    stated = book.settlement("C-1")
    book.take(credit_note("N-1", "INV-000000002", excess="refund", at="2026-12-10T09:00:00"))
    assert (period(book, NOVEMBER), period(book, DECEMBER)) == ((160000, 112000, 3000), (-40000, -28000, 0))
    book.take(closing("C-2", until="2026-12-31"))
    assert [one.amount for one in book.settlement("C-2").lines] == [42000, -70000]
    assert book.settlement("C-1") == stated
    assert_books_hold(book)


def test_what_comes_back_takes_the_steps_of_its_own_month():
    """1,200.00 paid in November come to 850.00; all of that comes back in November too: nothing is left, nor added."""
    book = opened(sold("O-1", "1200"))
    book.take(paid("P-1", 120000, "2026-11-24"), closing("C-1", until="2026-11-24"))
    assert true_ups(book, "C-1") == [1000]
    book.take(reversal("X-1", "P-1", at="2026-11-28T09:00:00"))
    assert (part_of(book, 1).freed, period(book, NOVEMBER)) == ((), (0, 0, 1000))
    book.take(closing("C-2", until="2026-11-30"))
    assert [one.amount for one in book.settlement("C-2").lines] == [-84000, -1000]
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_a_note_of_what_is_half_paid_takes_what_it_frees_too():
    """1,200.00, of which 600.00 are paid in November. A note of 600.00 in December leaves 600.00, all paid.

    So nothing changes: 70 % of 600.00 have accrued. A write-off of the rest, before that, frees nothing either.
    """
    book = opened(sold("O-1", "1200"))
    book.take(paid("P-1", 60000, "2026-11-24"), write_off("W-1", "INV-000000001", at="2026-12-01T09:00:00"))
    assert part_of(book, 1).freed == (FreedShare(date(2026, 11, 1), 60000, 42000),)
    book.take(credit_note("N-1", "INV-000000001", {"1": 60000}, at="2026-12-10T09:00:00"))
    assert part_of(book, 1).freed == (FreedShare(date(2026, 11, 1), 60000, 42000),)
    book.take(credit_note("N-2", "INV-000000001", {"1": 20000}, at="2026-12-11T09:00:00"))
    assert period(book, DECEMBER) == (-20000, -14000, 0)
    assert_books_hold(book)


def test_a_first_step_without_a_share_counts_its_net():
    """Nothing of the first 1,000.00, 50 % beyond: no payment releases anything, and the closing adds all of 100.00."""
    book = opened(agreed("AG-1", "2026-11-01", on="payment", tiers=tiers(("1000", "0"), (None, "0.5"))))
    book.take(sold("O-1", "1200"), paid("P-1", 60000, "2026-11-24"), paid("P-2", 60000, "2026-11-25"))
    assert (book.position("SA-1").withheld, period(book, "AG-1/2/2026-11-01")) == (0, (120000, 0, 0))
    book.take(closing("C-1", until="2026-11-30"))
    assert [one.amount for one in book.settlement("C-1").lines] == [10000]
    assert_books_hold(book)


def test_what_is_paid_after_the_agreement_counts_by_its_tiers():
    """Sold in November, by an agreement that ends on the 25th; paid in halves in December: 1,200.00 come to 850.00."""
    book = opened(until="2026-11-25")
    book.take(sold("O-1", "1200"), paid("P-1", 60000, "2026-12-03"), paid("P-2", 60000, "2026-12-04"))
    assert book.get(TierPeriod, DECEMBER).end == date(2027, 1, 1)
    book.take(closing("C-1", until="2026-12-31"))
    assert [one.amount for one in book.settlement("C-1").lines] == [42000, 42000, 1000]
    assert_books_hold(book)


def test_an_invoice_of_zero_is_paid_on_its_day():
    """1,200.00 and 1,200.00 less: nothing is paid of it; the two come to nothing."""
    book = opened(sold("O-1", "1200", "-1200"))
    assert period(book, NOVEMBER) == (0, 0, 0)
    assert [part_of(book, 1, n).freed for n in (0, 1)] == [
        (FreedShare(date(2026, 11, 1), net, share),) for net, share in ((120000, 84000), (-120000, -84000))
    ]
    book.take(closing("C-1", until="2026-11-30"))
    assert_books_hold(book)


def test_a_bill_that_takes_back_a_line_counts_as_it_is_paid():
    """100.00 of 1,000.00 taken back by a bill of 50.00 more, which is paid in December."""
    book = opened(sold("O-1", "1000"), paid("P-1", 100000, "2026-11-24"))
    taken = charge("T-1", line("-100", "0", "SA-1"), corrects=("INV-000000001", "1"), on="2026-12-01")
    book.take(taken, charge("T-2", line("150"), on="2026-12-01"), demand("D-1", on="2026-12-01"))
    assert [one.on_behalf_of and one.on_behalf_of.freed for one in book.invoice(2).lines] == [(), None]
    book.take(paid("P-2", 5000, "2026-12-05"))
    assert period(book, DECEMBER) == (-10000, -7000, 0)
    assert_books_hold(book)


def test_an_account_is_not_closed_before_its_tiers_are_trued_up():
    """1,200.00 have 840.00 that are stated, and 10.00 that come to them: its closing states all of 850.00."""
    book = opened(sold("O-1", "1200"), paid("P-1", 120000, "2026-11-24"), command("close", "SA-1"))
    book.take(closing("C-1", until="2026-11-30"), payout("PO-1", 85000, "C-1"))
    assert (book.position("SA-1").payable, book.state("SA-1")) == (0, "closed")
    assert_books_hold(book)


NO_SHARE = agreed("AG-1", "2026-11-01", "0", on="payment")
NOTHING_FIRST = tiers(("1000", "0"), (None, "0.5"))


def by_nothing_first(*facts: Fact) -> LedgerBook:
    """Nothing of the first 1,000.00 of a month, 50 % beyond, for 1,200.00 that are sold."""
    return opened(agreed("AG-1", "2026-11-01", on="payment", tiers=NOTHING_FIRST), sold("O-1", "1200"), *facts)


def test_an_account_is_not_closed_while_a_step_without_a_share_awaits_payments():
    """Nothing is withheld, and 100.00 come of it all the same once it is paid: they are stated, and paid out."""
    book = by_nothing_first(command("close", "SA-1"))
    position = book.position("SA-1")
    assert (position.withheld, position.withholding, book.state("SA-1")) == (0, 1, "pendingClose")
    book.take(paid("P-1", 60000, "2026-11-24"))
    assert (book.position("SA-1").withholding, book.state("SA-1")) == (1, "pendingClose")
    book.take(paid("P-2", 60000, "2026-11-25"), closing("C-1", until="2026-11-30"))
    assert (book.position("SA-1").withholding, book.position("SA-1").payable) == (0, 10000)
    book.take(payout("PO-1", 10000, "C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_a_payment_is_awaited_as_long_as_there_may_be_one():
    """Of a note, of a write-off, of what comes back; and nothing of a line without a net, nor of an invoice of zero."""
    for fact in (credit_note("N-1", "INV-000000001"), write_off("W-1", "INV-000000001")):
        book = by_nothing_first(paid("P-1", 60000, "2026-11-24"))
        assert book.position("SA-1").withholding == 1
        book.take(fact)
        assert book.position("SA-1").withholding == 0
        assert_books_hold(book)
    book = by_nothing_first(paid("P-1", 120000, "2026-11-24"), reversal("X-1", "P-1"))
    assert book.position("SA-1").withholding == 1
    book.take(paid("P-2", 120000, "2026-12-01"))
    assert book.position("SA-1").withholding == 0
    assert_books_hold(book)
    book = by_nothing_first(paid("P-1", 120000, "2026-11-24"), sold("O-2", "0", "5"), sold("O-3", "7", "-7"))
    assert book.position("SA-1").withholding == 1
    assert_books_hold(book)


def test_terms_of_past_days_await_a_payment_or_do_not():
    """80 % of 1,200.00 are withheld; by tiers nothing is, and it is awaited; by a share of nothing it is neither."""
    book = opened(agreed("AG-1", "2026-11-01", "0.8", on="payment"), sold("O-1", "1200"))
    assert (book.position("SA-1").withheld, book.position("SA-1").withholding) == (96000, 1)
    for terms, count in ((agreed("AG-1", "2026-11-01", on="payment", tiers=NOTHING_FIRST), 1), (NO_SHARE, 0)):
        book.take(terms)
        assert (book.position("SA-1").withheld, book.position("SA-1").withholding) == (0, count)
        assert_books_hold(book)


# -- terms of days that are past


def test_tiers_agreed_since_count_what_was_paid_on_its_own_day():
    """1,200.00 at 80 %, paid in halves in October and in November; then it is agreed by tiers, from October on.

    At the first step's 70 %, 60.00 less are owed of each half; neither month comes to more than 1,000.00.
    """
    book = LedgerBook()
    book.begin_days("2026-12-15")
    book.take(billing(), partner(on="payment"), sold("O-1", "1200", on="2026-10-20"))
    book.take(paid("P-1", 60000, "2026-10-24"), paid("P-2", 60000, "2026-11-24"), closing("C-1", until="2026-11-30"))
    book.take(agreement("AG-1", "2026-10-01", on="payment", tiers=TWO))
    assert part_of(book, 1).freed == tuple(FreedShare(date(2026, month, 1), 60000, 42000) for month in (10, 11))
    book.take(closing("C-2", until="2026-12-31"))
    assert [(one.amount, one.corrects) for one in book.settlement("C-2").lines] == [(-12000, "INV-000000001/1")]
    assert_books_hold(book)


def test_other_tiers_have_what_was_paid_by_the_first_ones():
    """1,200.00 paid in November: 850.00 by two steps. By others, agreed since, 60 % and 90 %: 600.00 + 180.00.

    The first ones have nothing any more, so 10.00 are taken back; by the others 720.00 accrue, and 60.00 come to that.
    """
    book = opened(sold("O-1", "1200"), paid("P-1", 120000, "2026-11-24"), closing("C-1", until="2026-11-30"))
    assert true_ups(book, "C-1") == [1000]
    book.take(agreed("AG-1", "2026-11-01", on="payment", tiers=tiers(("1000", "0.6"), (None, "0.9"))))
    assert (period(book, NOVEMBER), period(book, "AG-1/2/2026-11-01")) == ((0, 0, 1000), (120000, 72000, 0))
    book.take(closing("C-2", until="2026-12-31"))
    assert [one.amount for one in book.settlement("C-2").lines] == [-12000, -1000, 6000]
    assert book.position("SA-1").payable == 78000
    assert_books_hold(book)


def test_tiers_at_payment_can_be_agreed_otherwise_in_the_past():
    """Tiers at payment, at the invoice, a share, then at payment again: as if it had been so at once."""
    book = opened(sold("O-1", "1200"), paid("P-1", 60000, "2026-11-24"))
    book.take(agreed("AG-1", "2026-11-01", on="invoice", tiers=TWO))
    assert (part_of(book, 1).freed, period(book, NOVEMBER)) == (None, (0, 0, 0))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (85000, 0)
    book.take(agreed("AG-1", "2026-11-01", "0.5"), agreed("AG-1", "2026-11-01", on="payment", tiers=TWO))
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (42000, 42000)
    assert period(book, NOVEMBER) == (60000, 42000, 0)
    book.take(closing("C-1", until="2026-12-31"))
    assert_books_hold(book)


# -- all of it, in any order

KINDS = (
    "order",
    "order",
    "payment",
    "payment",
    "payment",
    "note",
    "reversal",
    "write-off",
    "bill",
    "closing",
    "change",
)
TIMES_MIN = 30
FIRST = date(2026, 11, 20)
STEPS = (("0.70", "0.15"), ("1.50", "0.55"), (None, "0.85")), (("0.70", "0.333"), (None, "0.05"))


class Paid:
    """SA-1 with tiers at payment from 20 November on, which change, from days that are past on too."""

    def __init__(self):
        self.book = LedgerBook()
        self.book.begin_days("2026-12-31")
        terms = agreement("AG-1", f"{FIRST}", on="payment", tiers=tiers(*STEPS[0]))
        self.book.take(billing(days=0), partner(), terms)

    def next(self, n, kind, day, net, which):
        """Something happens, if it fits."""
        on = f"{FIRST + timedelta(days=day)}"
        invoices = list(self.book.documents[Invoice].values())
        invoice = invoices[day % len(invoices)] if invoices else None
        if kind == "order":
            lines = [line(f"{(net + k) / 100:.2f}", "0.2", "SA-1") for k in range(which)]
            self.book.take(order(f"O-{n}", line("4.00"), *lines, at=f"{on}T12:00:00"))
        elif kind == "payment":
            self.book.take(paid(f"P-{n}", abs(net) + which, on))
        elif kind == "closing":
            self.book.take(closing(f"C-{n}", until=on))
        elif kind == "change":
            self.book.take(self.other_terms(on, which))
        elif kind == "reversal":
            known = [one for one in self.book.applied if one.startswith("payment.received:")]
            if known:
                name = known[day % len(known)].partition(":")[2]
                self.book.take(reversal(f"X-{n}", name, at=f"{on}T13:00:00"))
        elif invoice is not None and kind == "write-off" and invoice.is_open:
            self.book.take(write_off(f"W-{n}", invoice.id, at=f"{on}T13:00:00"))
        elif invoice is not None:
            self.take_back(n, kind, on, invoice, which)

    def other_terms(self, on, which):
        """Other tiers, at payment or at the invoice, or a share."""
        if which == 3:
            return agreed("AG-1", on, "0.4", "payment")
        at_payment = on[-1] in "02468"
        return agreed("AG-1", on, on="payment" if at_payment else "invoice", tiers=tiers(*STEPS[which - 1]))

    def take_back(self, n, kind, on, invoice, which):
        """A note, or a bill, takes back all that is left of a line, a half, or a third."""
        of = invoice.lines[-1]
        left = of.tax_excluded_amount - sum(one.gone for one in invoice.corrected.lines if one.line_id == of.id)
        taken = left // which
        if taken <= 0 or of.on_behalf_of is None:
            return
        if kind == "note":
            self.book.take(credit_note(f"N-{n}", invoice.id, {of.id: taken}, at=f"{on}T13:00:00"))
        elif kind == "bill" and invoice.order_id is not None:
            less = charge(f"T-{n}", line(f"{-taken / 100:.2f}", "0.2", "SA-1"), corrects=(invoice.id, of.id), on=on)
            self.book.take(less, charge(f"E-{n}", line("90"), on=on), demand(f"D-{n}", on=on))


def test_after_a_closing_each_month_has_what_its_tiers_come_to():
    """Whatever was sold, paid, sent back, credited, lost, agreed and closed before: what statements say of a period.

    A row of a line is of the period of its day, by the revision that the line has; corrections of past days apart.
    """
    happened: Counter[str] = Counter()

    @steady(150, least=110)
    @given(
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.integers(0, 40), st.integers(1, 300), st.integers(1, 3)),
            min_size=5,
            max_size=18,
        ),
    )
    def live(facts):
        life = Paid()
        made: dict[str, object] = {}
        for n, fact in enumerate((("order", 0, 250, 2), *facts)):
            life.next(n, *fact)
            if looked_at(n):
                assert_books_hold(life.book)
            for statement in life.book.documents[Settlement].values():
                assert made.setdefault(statement.id, as_made(statement)) == as_made(statement)
        life.book.take(closing("C-END", until="2027-12-31"))
        assert_books_hold(life.book)
        for one in life.book.documents[TierPeriod].values():
            assert (one.share + one.trued, one.difference) == (due_of(one.tiers, one.net), 0), one
        happened.update(identity.partition(":")[0] for identity in life.book.applied)
        happened.update(f"step {one.step.kind}" for one in life.book.documents[Accrual].values() if one.step)
        parts = [p for i in life.book.documents[Invoice].values() for p in (x.on_behalf_of for x in i.lines) if p]
        happened.update(f"periods {len(part.freed)}" for part in parts if part.freed is not None)

    asked = {
        "order.completed",
        "payment.received",
        "credit-note.issue",
        "payment.reversed",
        "invoice.write-off",
        "bill.demand",
        "agreement.change",
        "settlement.correct",
        "step trueUp",
        "periods 0",
        "periods 1",
        "periods 2",
    }

    def seldom():
        return {name for name in asked if happened[name] < TIMES_MIN}

    until(lambda: not seldom(), live)
    assert seldom() == set(), happened


def as_made(statement):
    """A statement as it was made: nothing of it is paid here."""
    return replace(statement, carried_to=None)
