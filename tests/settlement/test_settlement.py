"""Statements hold each accrual once, carry forward what is not due, and are paid out up to their total."""

import pytest

from domain.ledger.positions import CarriedForward
from domain.settlement.closing import SettlementClosed
from domain.settlement.statements import Settlement
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import LedgerBook, billing, closing, line, order, partner, payment, payout


def earning(*prices: str) -> LedgerBook:
    """A book in which SA-1, with a share of the whole net, has earned these prices: one order each."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"))
    book.take(*[earn(f"O-{n}", price) for n, price in enumerate(prices, 1)])
    return book


def earn(id_: str, price: str, *, at: str = "2026-11-22T10:15:00"):
    """An order that accrues the price for SA-1; a line of our own keeps its total above zero."""
    return order(id_, line("1000.00"), line(price, "0", "SA-1"), at=at)


def statement(book: LedgerBook, id_: str = "C-1") -> tuple[int, int, str]:
    """Total, paid so far and state."""
    settlement = book.settlement(id_)
    return settlement.total, settlement.paid, settlement.state


# -- closing


def test_a_statement_holds_what_was_earned():
    """Its lines name order, invoice and line of each accrual; it is open with its total, and posts nothing."""
    book = earning("6.38", "-1.38")
    book.take(closing("C-1"))
    assert statement(book) == (500, 0, "open")
    lines = book.settlement("C-1").lines
    assert [(x.accrual_id, x.order_id, x.bill_no, x.line_id, str(x.date), x.amount) for x in lines] == [
        ("INV-000000001/2", "O-1", "INV-000000001", "2", "2026-11-22", 638),
        ("INV-000000002/2", "O-2", "INV-000000002", "2", "2026-11-22", -138),
    ]
    assert book.results["settlement.close:C-1"] == {"settlementIds": ["C-1"]}
    assert book.events_of("SA-1") == [*["settlement.accrued"] * 2, "settlement.closed", "payout.requested"]
    assert "settlement.close:C-1" not in {event.id for rows in book.rows.values() for event in rows.values()}
    assert_books_hold(book)


def test_a_statement_ends_with_its_period():
    """An accrual of the period's last day is stated, one of the next day waits for the next closing."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="1"),
        earn("O-1", "1.00", at="2026-12-01T00:00:00"),
        earn("O-2", "2.00", at="2026-11-30T23:59:59"),
        earn("O-3", "4.00", at="2026-11-01T00:00:00"),
        closing("C-1", until="2026-11-30"),
    )
    assert [x.order_id for x in book.settlement("C-1").lines] == ["O-3", "O-2"]
    book.take(closing("C-2", until="2026-12-01"))
    assert [x.order_id for x in book.settlement("C-2").lines] == ["O-1"]
    assert_books_hold(book)


def test_what_a_payment_released_has_the_payments_date():
    """An order of November that is paid in December is stated with December."""
    book = LedgerBook()
    book.take(
        billing(),
        partner(share="1", on="payment"),
        order("O-1", line("1.00", "0", "SA-1"), at="2026-11-01T00:00:00"),
        payment("P-1", 100, at="2026-12-01T00:00:00"),
        closing("C-1", until="2026-11-30"),
        closing("C-2", until="2026-12-01"),
    )
    assert statement(book, "C-1") == (0, 0, "carriedForward")
    assert [(x.accrual_id, x.amount) for x in book.settlement("C-2").lines] == [("INV-000000001/1/P-1", 100)]
    assert_books_hold(book)


def test_a_closing_states_one_partner():
    """Another partner's accruals stay where they are."""
    book = earning("1.00")
    book.take(partner("SA-2"), order("O-9", line("5.00", "0", "SA-2")), closing("C-1"))
    assert [x.order_id for x in book.settlement("C-1").lines] == ["O-1"]
    assert [a.settlement_id for a in book.accruals("SA-2")] == [None]
    assert_books_hold(book)


# -- carried forward


def test_a_negative_total_is_carried_forward():
    """It is not paid out; the next statement opens with it, names where it is from, and is then due."""
    book = earning("-3.19")
    book.take(closing("C-1"))
    assert statement(book) == (-319, 0, "carriedForward")
    assert book.position("SA-1").carried_forward == CarriedForward("C-1", -319)
    book.take(earn("O-2", "6.38"), closing("C-2"))
    second = book.settlement("C-2")
    assert (second.brought_forward, second.brought_forward_from, len(second.lines)) == (-319, "C-1", 1)
    assert statement(book, "C-2") == (319, 0, "open")
    assert book.position("SA-1").carried_forward is None
    book.take(earn("O-3", "1.00"), closing("C-3"))
    assert book.settlement("C-3").brought_forward_from is None
    assert statement(book, "C-3") == (100, 0, "open")
    assert_books_hold(book)


def test_a_total_of_zero_is_carried_forward():
    """Nothing earned is a total that is not positive: stated, carried, and the next statement's first line of zero."""
    book = earning()
    book.take(closing("C-1"))
    assert statement(book) == (0, 0, "carriedForward")
    book.take(earn("O-1", "1.00"), closing("C-2"))
    assert (book.settlement("C-2").brought_forward, book.settlement("C-2").brought_forward_from) == (0, "C-1")
    assert statement(book, "C-2") == (100, 0, "open")
    assert_books_hold(book)


def test_what_is_carried_is_carried_on_until_it_is_made_good():
    """A debt goes from statement to statement, each naming the one before, and is counted once."""
    book = earning("-5.00")
    book.take(closing("C-1"), closing("C-2"), earn("O-2", "2.00"), closing("C-3"), earn("O-3", "3.00"), closing("C-4"))
    assert [statement(book, f"C-{n}")[0] for n in (1, 2, 3, 4)] == [-500, -500, -300, 0]
    assert [book.settlement(f"C-{n}").brought_forward_from for n in (1, 2, 3, 4)] == [None, "C-1", "C-2", "C-3"]
    assert statement(book, "C-4") == (0, 0, "carriedForward")
    assert_books_hold(book)


# -- many lines


def thousand(id_: str, price: str = "0.01", *, lines: int = 1000):
    """An order of many lines for SA-1."""
    return order(id_, *[line(price, "0", "SA-1")] * lines)


def test_a_statement_has_at_most_five_thousand_lines():
    """The 5,001st line goes on `-2`, a statement with an event of its own."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), *[thousand(f"O-{n}") for n in range(5)], thousand("O-5", lines=1))
    book.take(closing("C-1"))
    assert book.results["settlement.close:C-1"] == {"settlementIds": ["C-1", "C-1-2"]}
    assert [(len(book.settlement(id_).lines), statement(book, id_)) for id_ in ("C-1", "C-1-2")] == [
        (5000, (5000, 0, "open")),
        (1, (1, 0, "open")),
    ]
    assert book.events_of("SA-1")[-4:] == ["settlement.closed", "payout.requested"] * 2
    closed = [fact for fact in book.facts_of("SA-1") if isinstance(fact, SettlementClosed)]
    assert [fact.settlement.id for fact in closed] == ["C-1", "C-1-2"]
    assert_books_hold(book)


def test_as_many_parts_as_it_takes(monkeypatch):
    """Exactly as many lines as a statement has room for make one statement; one more makes another part, `-2`, `-3`."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    book = earning("1.00", "2.00")
    book.take(closing("C-1"), *[earn(f"O-1{n}", "1.00") for n in range(5)], closing("C-2"))
    assert book.results["settlement.close:C-1"] == {"settlementIds": ["C-1"]}
    assert book.results["settlement.close:C-2"] == {"settlementIds": ["C-2", "C-2-2", "C-2-3"]}
    assert [len(book.settlement(id_).lines) for id_ in ("C-2", "C-2-2", "C-2-3")] == [2, 2, 1]
    assert {book.settlement(id_).closing_id for id_ in ("C-2", "C-2-2", "C-2-3")} == {"C-2"}
    assert_books_hold(book, lines_max=2)


def test_the_line_brought_forward_counts():
    """A statement that opens with what was carried has room for 4,999 accruals."""
    book = earning("-10.00")
    book.take(closing("C-1"), *[thousand(f"O-1{n}") for n in range(5)], closing("C-2"))
    assert [(len(book.settlement(id_).lines), statement(book, id_)) for id_ in ("C-2", "C-2-2")] == [
        (4999, (3999, 0, "open")),
        (1, (1, 0, "open")),
    ]
    assert book.settlement("C-2-2").brought_forward_from is None
    assert_books_hold(book)


def test_a_part_below_zero_is_carried_to_the_next_part(monkeypatch):
    """Each part is a statement: one that is not positive is brought forward by the part after it."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    book = earning("-5.00", "1.00", "1.00", "7.00", "2.00")
    book.take(closing("C-1"))
    # −5 + 1; −4 + 1 (two lines with the one brought forward); −3 + 7; 2.
    assert [statement(book, id_) for id_ in ("C-1", "C-1-2", "C-1-3", "C-1-4")] == [
        (-400, 0, "carriedForward"),
        (-300, 0, "carriedForward"),
        (400, 0, "open"),
        (200, 0, "open"),
    ]
    assert [book.settlement(id_).brought_forward_from for id_ in ("C-1-2", "C-1-3", "C-1-4")] == [
        "C-1",
        "C-1-2",
        None,
    ]
    assert_books_hold(book, lines_max=2)


@pytest.mark.parametrize("rest_last", [False, True])
@pytest.mark.parametrize("first_limit", [1, 32])
def test_a_closing_of_more_statements_than_one_transaction_makes_goes_on(monkeypatch, first_limit, rest_last):
    """Five accruals of 1.00, two lines a statement and one statement a transaction: C-1, -2 and -3, in three."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    monkeypatch.setattr("domain.settlement.closing.STATEMENTS_MAX", 1)
    book = LedgerBook(first_limit=first_limit, rest_last=rest_last)
    book.take(billing(), partner(share="1"))
    book.take(*[earn(f"O-{n}", "1.00", at=f"2026-11-{n:02}") for n in range(1, 7)])
    book.take(closing("C-1", until="2026-11-05"))
    assert [len(book.settlement(id_).lines) for id_ in ("C-1", "C-1-2", "C-1-3")] == [2, 2, 1]
    assert book.results["settlement.close:C-1"] == {"settlementIds": ["C-1"]}
    assert book.results["settlement.continue:C-1/1"] == {"settlementIds": ["C-1-2"]}
    assert book.results["settlement.continue:C-1/2"] == {"settlementIds": ["C-1-3"]}
    assert {s.period_end.day for s in book.documents[Settlement].values()} == {5}
    assert_books_hold(book, lines_max=2)


def test_a_closing_that_another_one_overtakes_makes_no_empty_statement(monkeypatch):
    """What is left of the first is stated by the second, which comes before the rest: nothing is left to state."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    monkeypatch.setattr("domain.settlement.closing.STATEMENTS_MAX", 1)
    book = LedgerBook(rest_last=True)
    book.take(billing(), partner(share="1"), *[earn(f"O-{n}", "1.00") for n in range(3)])
    book.take(closing("C-1"), closing("C-2"), batch=1)
    assert {id_: len(s.lines) for id_, s in book.documents[Settlement].items()} == {"C-1": 2, "C-2": 1}
    assert book.results["settlement.continue:C-1/1"] == {"settlementIds": []}
    assert_books_hold(book, lines_max=2)


def test_a_part_may_not_take_the_name_of_another_closings_statement(monkeypatch):
    """Where `C-1-2` is a closing's own statement, a part of `C-1` cannot be: refused whole, with no trace."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 2)
    book = earning()
    book.take(closing("C-1-2"), *[earn(f"O-{n}", "1.00") for n in range(3)], closing("C-1"))
    assert book.refused["settlement.close:C-1"].code == "conflicting-duplicate"
    assert set(book.documents[Settlement]) == {"C-1-2"}
    assert_books_hold(book)


# -- payouts


def test_a_payout_is_posted():
    """Debit what is payable, credit cash."""
    book = earning("6.38")
    book.take(closing("C-1"), payout("PO-1", 638, "C-1"))
    assert book.postings("payout.completed:PO-1") == [("cash", -638), ("payable:SA-1", 638)]
    assert book.results["payout.completed:PO-1"] == {"settlementId": "C-1", "state": "paid"}
    assert statement(book) == (638, 638, "paid")
    assert book.position("SA-1").payable == 0
    assert_books_hold(book)


def test_several_payouts_pay_one_statement():
    """Each has its event with the statement as it stands: partially paid, then paid."""
    book = earning("6.38")
    book.take(closing("C-1"), payout("PO-1", 200, "C-1"), payout("PO-2", 437, "C-1"), payout("PO-3", 1, "C-1"))
    assert book.events_of("SA-1") == [
        "settlement.accrued",
        "settlement.closed",
        "payout.requested",
        *["settlement.paid"] * 3,
    ]
    assert [(f.settlement.paid, f.settlement.state) for f in book.facts_of("SA-1")[-3:]] == [
        (200, "partiallyPaid"),
        (637, "partiallyPaid"),
        (638, "paid"),
    ]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("paid_before", "amount", "left"),
    [([], 639, "6.38"), ([200], 439, "4.38"), ([638], 1, "0.00"), ([600, 38], 1, "0.00")],
)
def test_a_payout_beyond_what_is_left_is_refused(paid_before, amount, left):
    """More than the statement's total, payouts added up, is an `overpaid-payout` and changes nothing."""
    book = earning("6.38")
    book.take(closing("C-1"), earn("O-2", "10.00"))
    book.take(*[payout(f"PO-{n}", part, "C-1") for n, part in enumerate(paid_before)], payout("PO-9", amount, "C-1"))
    refusal = book.refused["payout.completed:PO-9"]
    assert refusal.code == "overpaid-payout"
    assert f"but {left} EUR is left to pay of settlement C-1" in refusal.detail
    assert book.settlement("C-1").paid == sum(paid_before)
    assert_books_hold(book)


@pytest.mark.parametrize("earned", [["-3.19"], []])
def test_a_statement_that_is_carried_forward_is_not_paid(earned):
    """What is not positive has nothing to pay out."""
    book = earning(*earned)
    book.take(closing("C-1"), payout("PO-1", 1, "C-1"))
    assert book.refused["payout.completed:PO-1"].code == "overpaid-payout"
    assert_books_hold(book)


def test_a_payout_waits_for_its_statement():
    """It waits for `settlement:<id>`, and pays as soon as the closing has made it; a part announces itself too."""
    book = earning("6.38")
    book.take(payout("PO-1", 638, "C-1"))
    _, why = book.waiting["payout.completed:PO-1"]
    assert (why.code, why.waits_for) == ("unknown-settlement", "settlement:C-1")
    assert why.detail == "settlementId: no settlement C-1"
    book.take(closing("C-1"))
    assert statement(book) == (638, 638, "paid")
    assert_books_hold(book)


def test_a_payout_waits_for_a_part(monkeypatch):
    """The second part of a closing is announced like the first."""
    monkeypatch.setattr("domain.settlement.closing.LINES_MAX", 1)
    book = earning("1.00", "2.00")
    book.take(payout("PO-1", 200, "C-1-2"), closing("C-1"))
    assert [statement(book, id_)[2] for id_ in ("C-1", "C-1-2")] == ["open", "paid"]
    assert_books_hold(book, lines_max=1)


# -- refusals


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (payout("X", 1, "C-1", currency="USD"), "currency-mismatch"),
        (payout("X", 1, "C-1", account="SA-2"), "invalid"),  # another partner's statement
        (payout("X", 1, "C-1", account="BA-1"), "invalid"),
        (closing("X", "BA-1"), "invalid"),
    ],
)
def test_the_wrong_account_is_refused(wrong, code):
    """Another currency is a `currency-mismatch`; another type of account or another's statement is `invalid`."""
    book = earning("6.38")
    book.take(partner("SA-2"), closing("C-1"), wrong)
    [(_, refusal)] = book.refused.items()
    assert refusal.code == code
    assert statement(book) == (638, 0, "open")
    assert_books_hold(book)


@pytest.mark.parametrize("early", [closing("C-1"), payout("PO-1", 100, "C-0")])
def test_what_comes_before_its_account_waits(early):
    """A closing and a payout wait for `account:<id>`."""
    book = LedgerBook()
    book.take(early)
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-account", "account:SA-1")


@pytest.mark.parametrize("first_limit", [1, 2])
@pytest.mark.parametrize("prefetch", [True, False])
def test_however_few_accruals_are_loaded_at_once(first_limit, prefetch):
    """A closing states all that is due though only the first few accruals are loaded before it asks."""
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    book.take(billing(), partner(share="1"), *[earn(f"O-{n:02d}", "0.01") for n in range(1, 31)])
    late, early = earn("O-31", "0.01", at="2026-12-15T00:00:00"), earn("O-32", "0.01", at="2026-11-01T00:00:00")
    book.take(late, early, closing("C-1", until="2026-11-01"), closing("C-2"))
    assert [len(book.settlement(id_).lines) for id_ in ("C-1", "C-2")] == [1, 30]
    assert_books_hold(book)
