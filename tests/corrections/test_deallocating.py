"""What a payment covers is undone in as many transactions as it takes; until that is done, the rest is recoverable."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.corrections.model import InvoiceReopened, Reversal
from domain.payments.model import Payment, PaymentAllocated, Recovery
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    billing,
    command,
    dispute,
    line,
    order,
    partner,
    payment,
    refund,
    reversal,
    transfer,
    withdrawal,
)
from tests.support.steady import STEADY

WORK_MAX = "domain.payments.allocating.WORK_MAX"


@pytest.fixture
def two_at_a_time(monkeypatch):
    """Room for two invoices of a line and a payment each, which count for five, in one transaction."""
    monkeypatch.setattr(WORK_MAX, 8)


def paid(*prices: str, amount: int) -> LedgerBook:
    """A book with an invoice on BA-1 for each price, half of it on behalf of SA-1, and a payment P-1."""
    book = LedgerBook()
    orders = [order(f"O-{n}", line(price, "0", "SA-1")) for n, price in enumerate(prices, 1)]
    book.take(billing(), billing("BA-2"), partner("SA-1", "0.5", "payment"), *orders)
    with patch(WORK_MAX, 20_000):
        book.take(payment("P-1", amount))
    return book


def rests(book: LedgerBook) -> dict[str, list[str]]:
    """The numbers of the invoices that each rest has undone."""
    return {i: r["billNos"] for i, r in book.results.items() if i.startswith("credit.deallocate:")}


def test_a_reversal_of_more_than_one_transaction_undoes_goes_on(two_at_a_time):
    """50.00 covered five invoices: the latest two are undone with the reversal, then two, then one."""
    book = paid(*["10"] * 5, amount=5000)
    book.take(reversal("X-1", "P-1"))
    assert book.results["payment.reversed:X-1"] == {"amount": 5000, "recoverable": 3000}
    first, second = rests(book)
    assert rests(book) == {first: ["INV-000000003", "INV-000000002"], second: ["INV-000000001"]}
    assert book.postings("payment.reversed:X-1") == [
        ("cash", -5000),
        ("payable:SA-1", 1000),
        ("receivable:BA-1", 2000),
        ("recoverable:BA-1", 3000),
        ("unapplied:BA-1", -2000),
        ("unapplied:BA-1", 2000),
        ("withheld:SA-1", -1000),
    ]
    assert book.postings(second) == [
        ("payable:SA-1", 500),
        ("receivable:BA-1", 1000),
        ("recoverable:BA-1", -1000),
        ("unapplied:BA-1", -1000),
        ("unapplied:BA-1", 1000),
        ("withheld:SA-1", -500),
    ]
    position = book.position("BA-1")
    assert (position.receivable, position.recoverable, position.unapplied) == (5000, 0, 0)
    assert (book.position("SA-1").payable, book.position("SA-1").withheld) == (0, 2500)
    assert [row.amount for row in book.rows[Recovery].values()] == [2000, 1000]
    assert_books_hold(book)
    # Only now is all of it undone: there is nothing left to reverse.
    book.take(reversal("X-2", "P-1"))
    assert book.refused["payment.reversed:X-2"].code == "wrong-state"


def test_what_the_rest_tells(two_at_a_time):
    """That the payment covers what was recoverable, and which invoices are open again."""
    book = paid(*["10"] * 3, amount=3000)
    book.take(reversal("X-1", "P-1"))
    [rest] = rests(book)
    allocated, reopened = (e.event for e in book.events if e.cause == rest and e.account == "BA-1")
    assert isinstance(allocated, PaymentAllocated)
    assert isinstance(reopened, InvoiceReopened)
    assert (allocated.payment.id, allocated.recovered, allocated.allocations) == ("P-1", 1000, ())
    assert (reopened.invoice.id, reopened.invoice.remaining_amount) == ("INV-000000001", 1000)


def test_a_refund_goes_on_likewise(two_at_a_time):
    """A refund of a payment takes of what it covers, the latest first, in two transactions."""
    book = paid(*["10"] * 4, amount=4000)
    book.take(refund("R-1", 2500, of="P-1"))
    assert book.results["refund.completed:R-1"] == {"recoverable": 500}
    assert [book.invoice(n).remaining_amount for n in (1, 2, 3, 4)] == [0, 500, 1000, 1000]
    assert (book.position("BA-1").receivable, book.position("BA-1").recoverable) == (2500, 0)
    assert_books_hold(book)


def test_a_payment_in_between_is_not_taken_for_what_is_still_to_be_undone(two_at_a_time):
    """It covers what is open, as it would if all had been undone at once."""
    for late, left in ((1200, [0, 800, 1000, 1000]), (5000, [0, 0, 0, 0])):
        book = paid(*["10"] * 4, amount=4000)
        book.take(reversal("X-1", "P-1"), payment("P-2", late))
        assert sum(left) == book.position("BA-1").receivable
        assert book.position("BA-1").recoverable == 0
        assert_books_hold(book)


def test_what_was_transferred_is_undone_there_and_covers_what_is_recoverable_here(two_at_a_time):
    """40.00 that came in for BA-1 covers BA-2's invoices: they are open again, and BA-1 owes nothing in the end."""
    book = LedgerBook()
    orders = [order(f"O-{n}", line("10"), account="BA-2") for n in range(1, 5)]
    book.take(billing(), billing("BA-2"), *orders, payment("P-1", 4000))
    with patch(WORK_MAX, 20_000):
        book.take(transfer("T-1", 4000, of="P-1", by="BA-1", to="BA-2"))
    book.take(reversal("X-1", "P-1"))
    [rest] = rests(book)
    assert rest.startswith("credit.deallocate:transfer~T-1~1/")
    assert book.postings(rest) == [
        ("receivable:BA-2", 2000),
        ("recoverable:BA-1", -2000),
        ("unapplied:BA-2", -2000),
        ("unapplied:BA-2", 2000),
    ]
    assert (book.position("BA-1").recoverable, book.position("BA-2").receivable) == (0, 4000)
    [recovery] = book.rows[Recovery].values()
    assert (recovery.payment_id, recovery.billing_account) == ("transfer~T-1~1", "BA-1")
    assert [(e.cause == rest) for e in book.events if e.account == "BA-1"][-1]
    assert_books_hold(book)


def test_other_credit_of_the_account_does_not_pay_for_what_another_account_has(two_at_a_time):
    """40.00 of BA-1's cover BA-2's invoices; BA-1 has 15.00 of its own, and keeps them when the 40.00 come back."""
    ends = []
    for most in (8, 20_000):
        book = LedgerBook()
        orders = [order(f"O-{n}", line("10"), account="BA-2") for n in range(1, 5)]
        book.take(billing(), billing("BA-2"), *orders, payment("P-1", 4000), payment("P-2", 1500))
        with patch(WORK_MAX, 20_000):
            book.take(transfer("T-1", 4000, of="P-1", by="BA-1", to="BA-2"))
        with patch(WORK_MAX, most):
            book.take(reversal("X-1", "P-1"))
        assert_books_hold(book)
        ends.append(
            (book.position("BA-1").unapplied, book.position("BA-1").recoverable, book.position("BA-2").receivable)
        )
    assert ends == [(1500, 0, 4000)] * 2


@pytest.mark.parametrize("batch", [1, None])
def test_the_latest_allocation_is_undone_first_whatever_was_booked_at_once(batch):
    """P-1 covered INV-2 by name, then INV-1; 6.00 are taken of INV-1, though one batch has booked all."""
    book = LedgerBook()
    facts = (order("O-1", line("12")), order("O-2", line("12")), payment("P-1", 2400, ["INV-000000002"]))
    book.take(billing(), *facts, reversal("X-1", "P-1", 600), batch=batch)
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [600, 0]
    # It covered INV-3 after that, since it had credit.
    again = LedgerBook()
    named = payment("P-1", 3600, ["INV-000000002"])
    again.take(billing(), *facts[:2], named, order("O-3", line("12")), reversal("X-1", "P-1", 600), batch=batch)
    assert [again.invoice(n).remaining_amount for n in (1, 2, 3)] == [0, 0, 600]


def test_an_invoice_that_was_covered_twice_is_undone_row_by_row():
    """P-1 covered 72.00 of INV-1, 10.00 of INV-2, and 18.00 of INV-1: of 40.00 these 18.00 go first, then the 10.00."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), dispute("D-1", "INV-000000001", {"1": 2800}))
    book.take(payment("P-1", 10000), order("O-2", line("10")), withdrawal("D-1"))
    assert [a.amount for a in book.invoice(1).applied_payment] == [7200, 1800]
    book.take(reversal("X-1", "P-1", 4000))
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [1000 + 1800 + 1200, 1000]
    assert_books_hold(book)


def test_an_account_that_is_to_be_closed_is_closed_by_the_last_of_it(two_at_a_time):
    """The credit of its last payments covers what is recoverable, and what is open again."""
    book = paid(*["10"] * 4, amount=4000)
    book.take(command("close", "BA-1"), payment("P-2", 1))
    assert book.state("BA-1") == "closed"


@pytest.mark.parametrize("work", [1, 8, 13])
def test_the_parts_come_to_the_whole(work):
    """However little is undone at once, the books end as if all of it had been."""

    @STEADY
    @given(
        st.lists(st.integers(1, 60), min_size=1, max_size=6),
        st.integers(1, 40_000),
        st.lists(st.tuples(st.booleans(), st.integers(1, 9_000)), min_size=1, max_size=4),
    )
    def check(prices, amount, back):
        ends = []
        for most in (work, 20_000):
            book = paid(*map(str, prices), amount=amount)
            with patch(WORK_MAX, most):
                for n, (reversed_, part) in enumerate(back):
                    one: Fact = reversal(f"X-{n}", "P-1", part) if reversed_ else refund(f"R-{n}", part, of="P-1")
                    book.take(one)
                    assert_books_hold(book)
            position, seller = book.position("BA-1"), book.position("SA-1")
            covered = {one.id: one.unapplied for one in book.documents[Payment].values()}
            left = [book.invoice(n).remaining_amount for n, _ in enumerate(prices, 1)]
            sums = (position.receivable, position.recoverable, position.unapplied, seller.payable, seller.withheld)
            ends.append((sums, covered, left, len(book.rows[Reversal]), book.ledger().get("EUR cash", 0)))
        assert ends[0] == ends[1]

    check()


def test_what_one_part_of_a_payment_is_still_to_give_back_is_asked_of_no_other(two_at_a_time):
    """Of 90.00 30.00 cover invoices, 40.00 were transferred and cover others; 70.00 come back.

    20.00 of that are its credit, 40.00 are of what was transferred, 20.00 of them later, and 10.00 are its own, later.
    """
    book = paid("10", "10", "10", amount=9000)
    with patch(WORK_MAX, 20_000):
        book.take(transfer("T-1", 4000, of="P-1"))
        book.take(*(order(f"T-{n}", line("10"), account="BA-2") for n in range(4)))
    book.take(reversal("X-1", "P-1", 7000))
    assert book.results["payment.reversed:X-1"] == {"amount": 7000, "recoverable": 3000}
    first, second = book.position("BA-1"), book.position("BA-2")
    assert (first.receivable, first.recoverable, second.receivable) == (1000, 0, 4000)
    assert_books_hold(book)
