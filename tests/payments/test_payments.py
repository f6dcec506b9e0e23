"""A payment covers invoices in its order, leaves credit, and releases what was withheld."""

from datetime import date, timedelta

import pytest

from domain.ledger.books import Books
from domain.ledger.positions import Position
from domain.payments.allocating import recover
from domain.payments.model import Payment, Recovery
from tests.store import documents as make
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    billing,
    closing,
    command,
    dispute,
    line,
    moment,
    order,
    partner,
    payment,
    refund,
)


def with_invoices(*prices: str) -> LedgerBook:
    """A book with one open, untaxed invoice on BA-1 for each price."""
    book = LedgerBook()
    book.take(billing(), *[order(f"O-{n}", line(price)) for n, price in enumerate(prices, 1)])
    return book


def allocations(book: LedgerBook) -> list[tuple[int, int]]:
    """What the last payment covered: the invoices' numbers and the amounts."""
    return [(int(a.bill_no.removeprefix("INV-")), a.amount) for a in book.last_allocation().allocations]


def no(*numbers: int) -> list[str]:
    """Bill numbers."""
    return [f"INV-{number:09d}" for number in numbers]


# -- the posting table


def test_a_payment_without_an_invoice_is_credit():
    """Debit cash, credit unapplied; the event says that all of it is unapplied."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 2000))
    assert book.postings("payment.received:P-1") == [("cash", 2000), ("unapplied:BA-1", -2000)]
    assert book.results["payment.received:P-1"] == {"billNos": []}
    happened = book.last_allocation()
    assert (happened.payment.unapplied, happened.allocations, happened.not_allocated) == (2000, (), ())
    assert_books_hold(book)


def test_a_payment_of_an_invoice_is_posted():
    """Cash to unapplied, unapplied to receivable: both steps stand in the entry."""
    book = with_invoices("12.34")
    book.take(payment("P-1", 1234))
    assert book.postings("payment.received:P-1") == [
        ("cash", 1234),
        ("receivable:BA-1", -1234),
        ("unapplied:BA-1", -1234),
        ("unapplied:BA-1", 1234),
    ]
    assert book.results["payment.received:P-1"] == {"billNos": no(1)}
    assert_books_hold(book)


def test_a_payment_releases_what_was_withheld():
    """Paid in full, all that was withheld becomes payable."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="0.8", on="payment"),
        order("O-1", line("39.90", "0.2"), line("7.98", "0.2", "SA-1")),
        payment("P-1", 6000, at="2026-12-01T00:00:00"),
    )
    assert book.postings("payment.received:P-1") == [
        ("cash", 6000),
        ("payable:SA-1", -638),
        ("receivable:BA-1", -5746),
        ("unapplied:BA-1", -6000),
        ("unapplied:BA-1", 5746),
        ("withheld:SA-1", 638),
    ]
    [accrual] = book.accruals("SA-1")
    assert (accrual.id, accrual.date, accrual.cause) == (
        "INV-000000001/2/P-1",
        date(2026, 12, 1),
        "payment.received:P-1",
    )
    assert_books_hold(book)


# -- which invoices


def test_named_invoices_come_first_in_the_order_named():
    """The named ones in their order, then the rest; what it names in vain is listed, and it is booked all the same."""
    book = with_invoices("10.00", "10.00", "10.00")
    book.take(billing("BA-2"), order("O-4", line("10.00"), account="BA-2"))
    book.take(payment("P-1", 2500, [*no(3), "X-1", *no(4, 2)]))
    assert allocations(book) == [(3, 1000), (2, 1000), (1, 500)]
    assert book.last_allocation().not_allocated == ("X-1", "INV-000000004")
    assert book.results["payment.received:P-1"] == {"billNos": no(3, 2, 1)}
    assert book.invoice(4).remaining_amount == 1000
    assert_books_hold(book)


def test_the_events_of_a_payment():
    """The allocation first, then the state of each invoice that it covers, in the order covered."""
    book = with_invoices("10.00", "10.00", "10.00")
    book.take(payment("P-1", 2500, no(3)))
    assert book.events_of("BA-1")[3:] == [
        "payment.allocated",
        "invoice.paid",
        "invoice.paid",
        "invoice.partially-paid",
    ]
    states = [(f.invoice.id[-1], f.invoice.state, f.invoice.remaining_amount) for f in book.facts_of("BA-1")[-3:]]
    assert states == [("3", "settled", 0), ("1", "settled", 0), ("2", "partiallyPaid", 500)]
    assert_books_hold(book)


def test_an_invoice_that_is_settled_already_is_passed_over():
    """It is neither unknown nor another's, so it is not listed; the money goes on to the next."""
    book = with_invoices("10.00", "10.00")
    book.take(payment("P-1", 1000, no(1)), payment("P-2", 400, no(1)))
    assert allocations(book) == [(2, 400)]
    assert book.last_allocation().not_allocated == ()
    assert_books_hold(book)


def test_an_invoice_named_twice_is_covered_once():
    """Naming an invoice or an unknown number again changes nothing."""
    book = with_invoices("10.00", "10.00")
    book.take(payment("P-1", 1500, [*no(2, 2), "X", "X", *no(2)]))
    assert allocations(book) == [(2, 1000), (1, 500)]
    assert book.last_allocation().not_allocated == ("X",)
    assert_books_hold(book)


def test_names_in_vain_are_listed_when_the_money_is_gone():
    """What could not be named is said even when an earlier name has taken all the money."""
    book = with_invoices("10.00", "10.00")
    book.take(payment("P-1", 1000, [*no(1, 2), "X"]))
    assert allocations(book) == [(1, 1000)]
    assert book.last_allocation().not_allocated == ("X",)


def test_an_empty_list_of_names_names_nothing():
    """An empty list is as good as none."""
    book = with_invoices("10.00")
    book.take(payment("P-1", 1000, []))
    assert allocations(book) == [(1, 1000)]


def test_then_by_due_date_then_by_number():
    """A later number that is due earlier comes first (it was booked by a clock that was behind)."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("1.00")), order("O-2", line("1.00")))
    book.booked_at -= timedelta(days=3)
    book.take(order("O-3", line("1.00")), order("O-4", line("1.00")))
    assert [str(book.invoice(n).payment_due_date) for n in (1, 2, 3, 4)] == [
        "2026-12-22",
        "2026-12-22",
        "2026-12-19",
        "2026-12-19",
    ]
    book.take(payment("P-1", 350, no(2)))
    assert allocations(book) == [(2, 100), (3, 100), (4, 100), (1, 50)]
    assert_books_hold(book)


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("first_limit", [1, 2, 3, 32])
def test_however_little_of_a_long_queue_is_loaded_at_once(first_limit, prefetch):
    """A payment finds the next invoices of a long queue though only the first few are loaded before it asks."""
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    book.take(billing(), *[order(f"O-{n}", line("1.00")) for n in range(1, 41)])
    book.booked_at -= timedelta(days=1)
    book.take(
        payment("P-1", 150),
        order("O-41", line("1.00")),  # due before all others
        payment("P-2", 50),
        payment("P-3", 3850, no(40)),
    )
    assert allocations(book) == [(40, 100), (41, 50), (2, 50), *[(n, 100) for n in range(3, 39)], (39, 50)]
    assert book.position("BA-1").receivable == 50
    assert_books_hold(book)


@pytest.mark.parametrize("prefetch", [True, False])
def test_what_is_known_of_a_queue_does_not_jump_it(prefetch):
    """An invoice that is new, or loaded by its name, waits for those before it that are not loaded yet."""
    book = LedgerBook(first_limit=2, prefetch=prefetch)
    book.take(billing(), *[order(f"O-{n}", line("1.00")) for n in range(1, 11)])
    book.take(payment("P-1", 50, no(9)), order("O-11", line("1.00")), payment("P-2", 240))
    assert allocations(book) == [(1, 100), (2, 100), (3, 40)]
    book.take(payment("P-3", 610))
    assert allocations(book) == [(3, 60), *[(n, 100) for n in range(4, 9)], (9, 50)]
    assert_books_hold(book)


# -- credit


@pytest.mark.parametrize("prefetch", [True, False])
def test_new_credit_does_not_jump_the_queue(prefetch):
    """A payment of this batch is consumed after older ones, though only some of those are loaded before it is seen."""
    book = LedgerBook(first_limit=2, prefetch=prefetch)
    book.take(billing(), *[payment(f"P-{n}", 100, at=f"2026-11-1{n}") for n in range(6)])
    book.take(*[payment(f"P-{n}", 100, at=f"2026-11-1{n}") for n in (6, 7)], order("O-1", line("2.50")))
    assert [a.payment_id for a in book.invoice(1).applied_payment] == ["P-0", "P-1", "P-2"]
    assert_books_hold(book)


def test_what_is_left_is_credit_for_the_next_invoice():
    """After all open invoices the rest stays unapplied, and the next invoice consumes it."""
    book = with_invoices("10.00")
    book.take(payment("P-1", 1600), order("O-2", line("4.00")), order("O-3", line("4.00")))
    assert [book.invoice(n).remaining_amount for n in (1, 2, 3)] == [0, 0, 200]
    assert book.get(Payment, "P-1").unapplied == 0
    assert_books_hold(book)


# -- withheld shares


@pytest.mark.parametrize(
    ("lines", "payments", "released"),
    [
        # A share of 100 over three thirds: 33.3, 66.7, 100 to date.
        ([line("2.00"), line("1.00", "0", "SA-1")], [100, 100, 100], [33, 34, 33]),
        # Its mirror.
        ([line("4.00"), line("-1.00", "0", "SA-1")], [100, 100, 100], [-33, -34, -33]),
        # One cent over three thirds: 0.33, 0.67, 1 to date; nothing accrued is not an accrual.
        ([line("2.99"), line("0.01", "0", "SA-1")], [100, 100, 100], [1]),
        # Half a cent to date goes away from zero.
        ([line("0.01"), line("0.01", "0", "SA-1")], [1, 1], [1]),
        ([line("0.03"), line("-0.01", "0", "SA-1")], [1, 1], [-1]),
        # The total that counts is the one with tax: 100 × 60 ÷ 120.
        ([line("1.00", "0.2", "SA-1")], [60, 1, 59], [50, 1, 49]),
        # All at once, and more than asked.
        ([line("1.00", "0.2", "SA-1")], [500], [100]),
    ],
)
def test_what_is_released_adds_up_when_paid_in_full(lines, payments, released):
    """Each payment releases round(share × paid to date ÷ total) less what was released; in full, to the cent."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"), order("O-1", *lines))
    for number, amount in enumerate(payments, 1):
        book.take(payment(f"P-{number}", amount))
        assert_books_hold(book)
    assert [accrual.amount for accrual in book.accruals("SA-1")] == released
    assert book.position("SA-1").withheld == 0
    assert book.position("SA-1").payable == sum(released)


def test_each_line_is_released_by_itself():
    """Two lines of one partner are released line by line, and said in one event."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="1", on="payment"),
        order("O-1", line("0.01", "0", "SA-1"), line("0.03", "0", "SA-1"), line("0.04")),
        payment("P-1", 4),
    )
    # Half is paid: 0.5 and 1.5 cents, each away from zero.
    [happened] = book.facts_of("SA-1")[1:]
    assert [(a.line_id, a.amount) for a in happened.accruals] == [("1", 1), ("2", 2)]
    book.take(payment("P-2", 4))
    assert [(a.line_id, a.amount) for a in book.facts_of("SA-1")[-1].accruals] == [("2", 1)]
    assert_books_hold(book)


def test_one_accrual_event_for_a_payment_of_many_invoices():
    """A payment that releases on several invoices says so once for each partner."""
    book = LedgerBook()
    book.take(
        billing(),
        partner("SA-1", "1", "payment"),
        partner("SA-2", "0.5", "payment"),
        order("O-1", line("1.00", "0", "SA-1"), line("1.00", "0", "SA-2")),
        order("O-2", line("2.00", "0", "SA-2"), line("2.00", "0", "SA-1")),
        payment("P-1", 600),
    )
    assert [(a.id, a.amount) for a in book.facts_of("SA-1")[-1].accruals] == [
        ("INV-000000001/1/P-1", 100),
        ("INV-000000002/2/P-1", 200),
    ]
    assert [(a.id, a.amount) for a in book.facts_of("SA-2")[-1].accruals] == [
        ("INV-000000001/2/P-1", 50),
        ("INV-000000002/1/P-1", 100),
    ]
    assert book.events_of("SA-1") == book.events_of("SA-2") == ["settlement.accrued"]
    assert_books_hold(book)


def test_credit_that_an_order_consumes_is_dated_by_the_payment():
    """What an old payment releases on a new invoice has the payment's date, so a closing of that date states it."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="1", on="payment"),
        payment("P-1", 100, at="2026-10-31T12:00:00"),
        order("O-1", line("1.00", "0", "SA-1"), at="2026-11-22T10:15:00"),
        closing("C-1", until="2026-10-31"),
    )
    assert book.settlement("C-1").total == 100
    assert_books_hold(book)


# -- refusals


@pytest.mark.parametrize(
    ("wrong", "code", "named"),
    [
        (payment("P-9", 1, currency="USD"), "currency-mismatch", "billingAccount.id: BA-1 is kept in EUR"),
        (payment("P-9", 1, account="SA-1"), "invalid", "billingAccount.id: SA-1 is a SettlementAccount"),
    ],
)
def test_a_payment_on_the_wrong_account_is_refused(wrong, code, named):
    """Another currency is a `currency-mismatch`, another type of account `invalid`; the detail names the field."""
    book = LedgerBook()
    book.take(billing(), partner(), wrong)
    refusal = book.refused["payment.received:P-9"]
    assert (refusal.code, refusal.detail[: len(named)]) == (code, named)
    assert book.documents[Payment] == {}
    assert_books_hold(book)


def test_a_payment_waits_for_its_account():
    """It waits for `account:<id>` and is applied when the account is there."""
    book = LedgerBook()
    book.take(payment("P-1", 100))
    _, why = book.waiting["payment.received:P-1"]
    assert (why.code, why.waits_for) == ("unknown-account", "account:BA-1")
    assert "BA-1" in why.detail
    book.take(billing())
    assert book.position("BA-1").unapplied == 100
    assert_books_hold(book)


def test_credit_beyond_the_limit_is_refused():
    """10^13 minor units of credit are fine, one more is `invalid` and leaves the account as it was."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 10_000_000_000_000), payment("P-2", 1))
    assert book.refused["payment.received:P-2"].code == "invalid"
    assert "unapplied of account BA-1" in book.refused["payment.received:P-2"].detail
    assert book.position("BA-1").unapplied == 10_000_000_000_000
    assert_books_hold(book)


def test_a_payment_keeps_what_it_said():
    """The payment's document holds the message's fields beside what became of it."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 100, ["X"], at="2026-11-20T08:00:00"))
    booked = book.get(Payment, "P-1")
    assert (booked.amount, booked.received_at, booked.invoices) == (100, moment("2026-11-20T08:00:00"), ("X",))
    assert booked.booked_at == moment("2026-11-22T12:00:00")


# -- more than one transaction allocates


@pytest.fixture
def two_at_a_time(monkeypatch):
    """Room for two invoices of a line each, whose allocations are as much as three lines, in one transaction."""
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 8)


def test_a_payment_of_more_invoices_than_one_transaction_covers_goes_on(two_at_a_time):
    """50.00 for five invoices of 10.00 and the one that it names: two at a time, in the order of all of them."""
    book = with_invoices("10.00", "10.00", "10.00", "10.00", "10.00")
    book.take(payment("P-1", 5500, no(4)))
    assert book.results["payment.received:P-1"] == {"billNos": no(4, 1)}
    rest = {i: r["billNos"] for i, r in book.results.items() if i.startswith("credit.allocate:")}
    # After five invoices an account has had six events; the payment's first part tells three more, and so its second.
    assert rest == {"credit.allocate:BA-1/9": no(2, 3), "credit.allocate:BA-1/12": no(5)}
    assert book.postings("credit.allocate:BA-1/12") == [("receivable:BA-1", -1000), ("unapplied:BA-1", 1000)]
    told = [f for f in book.facts_of("BA-1") if hasattr(f, "allocations")]
    assert [(len(f.allocations), f.payment.unapplied) for f in told] == [(2, 3500), (2, 1500), (1, 500)]
    assert book.events_of("BA-1")[5:] == ["payment.allocated", "invoice.paid", "invoice.paid"] * 2 + [
        "payment.allocated",
        "invoice.paid",
    ]
    assert_books_hold(book)


def test_what_just_fits_leaves_nothing_to_do(two_at_a_time):
    """Neither when the money ends with the room, nor when the invoices do."""
    book = with_invoices("10.00", "10.00", "10.00")
    book.take(payment("P-1", 2000))
    book.take(order("O-4", line("10.00")), payment("P-2", 5000))
    assert [i for i in book.applied if i.startswith("credit.allocate:")] == []
    assert book.position("BA-1").unapplied == 3000
    assert_books_hold(book)


def test_credit_of_more_payments_than_one_transaction_consumes_goes_on(two_at_a_time):
    """Five payments of 1.00, the youngest taken first, pay 4.50 of an order: the oldest two, then two, then half."""
    book = LedgerBook()
    days = range(25, 20, -1)
    book.take(billing(), *[payment(f"P-{day}", 100, at=f"2026-11-{day}") for day in days])
    book.take(order("O-1", line("4.50")))
    told = [f for f in book.facts_of("BA-1") if hasattr(f, "allocations") and f.allocations]
    assert [(f.payment.id, f.payment.unapplied) for f in told] == [
        ("P-21", 0),
        ("P-22", 0),
        ("P-23", 0),
        ("P-24", 0),
        ("P-25", 50),
    ]
    causes = [event.cause.partition(":")[0] for event in book.events if event.event in told]
    assert causes == ["order.completed"] * 2 + ["credit.allocate"] * 3
    assert book.invoice(1).state == "settled"
    assert_books_hold(book)


def test_what_comes_before_the_rest_is_done_waits_for_its_turn(two_at_a_time):
    """An order and a payment between the parts: neither the new invoice nor the new credit goes first."""
    book = LedgerBook(rest_last=True)
    book.take(billing(), *[order(f"O-{n}", line("10.00")) for n in range(1, 5)])
    book.take(payment("P-1", 4500, at="2026-11-23"), payment("P-0", 300, at="2026-11-20"), batch=1)
    # P-1 covers two; of the third the older P-0 pays 3.00 and P-1 the rest, as of the fourth.
    assert [book.get(Payment, id_).unapplied for id_ in ("P-0", "P-1")] == [0, 800]
    assert_books_hold(book)
    book = LedgerBook(rest_last=True)
    book.take(billing(), *[order(f"O-{n}", line("10.00")) for n in range(1, 5)])
    book.take(payment("P-1", 4500), order("O-5", line("10.00")), batch=1)
    assert book.results["payment.received:P-1"] == {"billNos": no(1, 2)}
    assert [book.invoice(n).remaining_amount for n in range(1, 6)] == [0, 0, 0, 0, 500]
    assert_books_hold(book)


def test_the_rest_is_done_also_when_its_message_is_lost(two_at_a_time):
    """Whatever comes next on the account sees that something is left, and has it done."""
    for last in (payment("P-2", 1), order("O-5", line("0.01"))):
        book = with_invoices("10.00", "10.00", "10.00", "10.00")
        book.take_as("payment.received:P-1", payment("P-1", 4000))
        book.left.clear()
        assert book.position("BA-1").receivable == 2000
        book.take(last)
        assert book.position("BA-1").receivable == (0 if last.id == "P-2" else 1)
        assert_books_hold(book)


def test_the_last_of_an_account_that_is_to_be_closed_may_be_settled_by_the_rest(two_at_a_time):
    """It is `pendingClose` until the last invoice is covered, and then closed."""
    book = with_invoices("10.00", "10.00", "10.00")
    book.take(command("close"))
    book.take_as("payment.received:P-1", payment("P-1", 3000))
    assert book.state("BA-1") == "pendingClose"
    book.take()
    left, book.left = book.left, []
    book.take(*left)
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_the_rest_is_covered_in_the_order_named(two_at_a_time):
    """Last to first, though the parts are far apart."""
    book = with_invoices("10.00", "10.00", "10.00", "10.00", "10.00")
    book.take(payment("P-1", 4500, no(5, 4, 3, 2, 1)))
    told = [f for f in book.facts_of("BA-1") if hasattr(f, "allocations")]
    assert [a.bill_no for f in told for a in f.allocations] == no(5, 4, 3, 2, 1)
    assert book.invoice(1).remaining_amount == 500
    assert_books_hold(book)


@pytest.mark.parametrize("prefetch", [True, False])
def test_credit_of_many_payments_that_each_name_an_invoice_goes_on(two_at_a_time, monkeypatch, prefetch):
    """Eighty payments, each with a name of its own to look up: no part has to look for more than its own twenty."""
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 20_000)
    book = LedgerBook(prefetch=prefetch)
    book.take(billing(), *[payment(f"P-{n:02}", 100, [f"PRO-FORMA-{n}"]) for n in range(80)])
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 1)
    book.take(order("O-1", line("79.50")))
    assert book.position("BA-1").unapplied == 50
    assert_books_hold(book)


def test_credit_of_many_payments_covers_what_is_recoverable_in_parts():
    """45.00 went back of a payment of 1.00, for which there is other credit of 44 payments: twenty, twenty and four."""
    book = LedgerBook()
    book.take(billing(), *[payment(f"P-{n:02}", 100) for n in range(45)], refund("R-1", 4500, of="P-00", late=True))
    rest = [r for i, r in book.results.items() if i.startswith("credit.allocate:")]
    assert rest == [{"billNos": [], "recovered": 2000}, {"billNos": [], "recovered": 400}]
    assert (book.position("BA-1").unapplied, book.position("BA-1").recoverable) == (0, 0)
    assert not book.position("BA-1").allocating
    assert_books_hold(book)


def test_a_rest_that_finds_all_of_it_disputed_does_nothing(two_at_a_time):
    """What is open became disputed before the rest had its turn: the credit stays, and nothing is booked."""
    book = with_invoices("10.00", "10.00", "10.00")
    book.take(payment("P-1", 5000), dispute("D-1", no(3)[0], {"1": 1000}))
    [rest] = [i for i in book.applied if i.startswith("credit.allocate:")]
    assert book.results[rest] == {"billNos": [], "recovered": 0}
    assert (book.position("BA-1").receivable, book.position("BA-1").unapplied) == (1000, 3000)
    assert_books_hold(book)


@pytest.mark.parametrize(("paid", "parts"), [(20, 1), (21, 2), (41, 3)])
def test_a_part_takes_twenty_payments(monkeypatch, paid, parts):
    """The order has no room for any of them; each part of the rest has for twenty, and the last may find nothing."""
    monkeypatch.setattr("domain.payments.allocating.WORK_MAX", 20_000)
    book = LedgerBook()
    book.take(billing(), *[payment(f"P-{n:02}", 100) for n in range(paid)])
    with monkeypatch.context() as nothing:
        nothing.setattr("domain.payments.allocating.WORK_MAX", 0)
        book.take_as("order.completed:O-1", order("O-1", line(f"{paid}.00")))
    left, book.left = book.left, []
    book.take(*left)
    worked = [i for i, r in book.results.items() if i.startswith("credit.allocate:") and r["billNos"]]
    assert len(worked) == parts
    assert book.position("BA-1").receivable == 0
    assert_books_hold(book)


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_payment_of_invoices_with_many_partners_goes_on(two_at_a_time, prefetch):
    """Seventy partners of two invoices that are named, and in no part of the queue that is loaded."""
    book = LedgerBook()
    book.take(billing(), *[partner(f"SA-{n}", "1", "payment") for n in range(70)])
    book.take(*[order(f"O-{n}", line("1.00")) for n in range(30)])
    sold = [line("1.00", "0", f"SA-{n}") for n in range(70)]
    book.take(order("O-30", *sold), order("O-31", *sold))
    book.prefetch = prefetch
    book.take(payment("P-1", 17_000, no(1, 2, 31, 32)))
    assert [book.invoice(n).state for n in (31, 32)] == ["settled", "settled"]
    assert_books_hold(book)


def test_one_fact_recovers_twice_of_one_payment():
    """First what was undone for it, up to so much, and then what its account owes beside: two rows, of two ids."""
    working_set = make.books()
    working_set.load(Position, "BA-1", make.position("BA-1", recoverable=70, unapplied=100))
    books = Books(working_set, "credit.deallocate:P-1/20")
    left = recover(make.payment("P-1", "BA-1", unapplied=100), books, most=20)
    left = recover(left, books)
    assert left.unapplied == 30
    assert [(row.id, row.amount) for row in books.rows[Recovery]] == [
        ("P-1/credit.deallocate/P-1/20", 20),
        ("P-1/credit.deallocate/P-1/20/1", 50),
    ]
